/* Questions before what cannot be taken back. */
#ifndef BKCTL_CONFIRM_H
#define BKCTL_CONFIRM_H

#include "bkctl/app.h"

/* Does the user agree? 1 or 0; -1 when there is nobody to ask: input or messages are no terminal, or the
 * output is JSON. question: translated, one line, without a mark at its end. */
int confirm(const struct app *a, const char *question);

#endif
