#include "bkctl/confirm.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bkctl/command.h"

int confirm(const struct app *a, const char *question)
{
    char line[64];
    if (a->g.json || !isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
        return -1;
    fflush(stdout);
    fprintf(stderr, _("%s (yes or no)? "), question);
    fflush(stderr);
    if (!fgets(line, sizeof line, stdin))
        return 0;
    line[strcspn(line, "\r\n")] = '\0';
    return !strcmp(line, "yes") || !strcmp(line, "y") || !strcmp(line, _("yes"));
}
