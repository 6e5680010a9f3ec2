/* Help, man pages and completion scripts, all from the command and option tables. */
#ifndef BKCTL_HELP_H
#define BKCTL_HELP_H

#include <stdio.h>

#include "bkctl/command.h"

void help_overview(FILE *f);
void help_command(FILE *f, const struct command *c);
/* c NULL: bkctl(1) itself. roff, English unless translated by the locale. */
void man_page(FILE *f, const struct command *c);
void completion_bash(FILE *f);
void completion_zsh(FILE *f);
void completion_fish(FILE *f);

#endif
