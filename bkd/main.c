/* bkd: the daemon. This version serves nothing yet; bkctl does everything against a repository by itself. */
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
        printf("bkd %s\n", BKCTL_VERSION);
        return 0;
    }
    if (argc == 2 && !strcmp(argv[1], "--help")) {
        fputs(gettext("Usage: bkd --version | --help\n\nThe backup daemon. This version serves nothing yet: "
                      "bkctl works on a "
                      "repository without it.\n"),
              stdout);
        return 0;
    }
    fputs(
        gettext("bkd: this version serves nothing yet\nhint: see bkd --help; backups are made with bkctl\n"),
        stderr);
    return bk_code_exit(BK_E_USAGE);
}
