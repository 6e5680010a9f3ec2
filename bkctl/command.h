/* A command is one const record: its words for people, its option table, and its code. main.c holds the table
 * of all of them. */
#ifndef BKCTL_COMMAND_H
#define BKCTL_COMMAND_H

#include <libintl.h>

#include "bkctl/app.h"
#include "bkctl/opt.h"

#define _(s) gettext(s)

struct example {
    const char *text;    /* message id: what it does */
    const char *command; /* as typed */
};

struct command {
    const char *name;
    const char *summary;            /* message id, one line, no full stop */
    const char *operands;           /* "SNAP[:PATH] [PATH...]", NULL: none */
    const char *about;              /* message id, paragraphs parted by an empty line; may be NULL */
    const char *verbs;              /* "list|add": what the first operand may be; may be NULL */
    const struct opt *opts;         /* NULL: none */
    size_t args_size;               /* of the struct that opts fill, zeroed before */
    const struct example *examples; /* ends with a NULL command */
    size_t min_operands, max_operands;
    bool hidden;   /* in no list */
    bool listing;  /* output is for reading along: a closed pipe ends it without a word, as of any Unix filter
                    */
    bool uncached; /* looks at what the store itself holds, not at copies on this machine */
    bool data_on_stdout; /* standard output carries data: JSON goes to standard error */
    /* 0, or a code. A code without a text in err has been reported already (exceptions, damage). */
    int (*run)(struct app *a, const void *args, const struct operands *ops, struct bk_error *err);
};

/* ends with NULL; shown in this order */
extern const struct command *const commands[];
extern const struct opt global_opts[];
const struct command *command_find(const char *name);

#define DECLARE_COMMAND(x) extern const struct command cmd_##x
DECLARE_COMMAND(init);
DECLARE_COMMAND(backup);
DECLARE_COMMAND(snapshots);
DECLARE_COMMAND(ls);
DECLARE_COMMAND(find);
DECLARE_COMMAND(cat);
DECLARE_COMMAND(diff);
DECLARE_COMMAND(restore);
DECLARE_COMMAND(mount);
DECLARE_COMMAND(nbd);
DECLARE_COMMAND(export);
DECLARE_COMMAND(import);
DECLARE_COMMAND(check);
DECLARE_COMMAND(copy);
DECLARE_COMMAND(prune);
DECLARE_COMMAND(scrub);
DECLARE_COMMAND(stats);
DECLARE_COMMAND(key);
DECLARE_COMMAND(store);
DECLARE_COMMAND(tag);
DECLARE_COMMAND(hold);
DECLARE_COMMAND(forget);
DECLARE_COMMAND(retention);
DECLARE_COMMAND(vm);
DECLARE_COMMAND(version);
DECLARE_COMMAND(help);
DECLARE_COMMAND(completion);
DECLARE_COMMAND(man);

#endif
