/* migrate: moving systems from one provider to another. It holds no commands yet; it states so. */
#include <libintl.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "formats/base/error.h"

int main(int argc, char **argv)
{
    setlocale(LC_ALL, "");
    bindtextdomain("bkctl", LOCALEDIR);
    textdomain("bkctl");
    if (argc == 2 && !strcmp(argv[1], "--version")) {
        printf("migrate %s\n", BKCTL_VERSION);
        return 0;
    }
    if (argc == 2 && !strcmp(argv[1], "--help")) {
        fputs(gettext("Usage: migrate --version | --help\n\nMoves systems from one provider to another. This "
                      "version holds no "
                      "commands yet.\n"),
              stdout);
        return 0;
    }
    fputs(gettext("migrate: this version holds no commands yet\nhint: see migrate --help\n"), stderr);
    return bk_code_exit(BK_E_USAGE);
}
