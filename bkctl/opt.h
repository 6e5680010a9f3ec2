/* Option tables. A command states its options once, as data; parsing, help, man pages and shell completion
 * are all read from the table.
 *
 *     static const struct opt ls_opts[] = {
 *         OPT_FLAG(struct ls_args, long_form, 'l', "long", N_("show owner, size and time")),
 *         OPT_END,
 *     };
 *
 * Values are stored into a struct of the command; strings borrow from argv. One thread. */
#ifndef BKCTL_OPT_H
#define BKCTL_OPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "formats/base/auto.h"
#include "formats/base/error.h"

enum opt_kind {
    OPT_KIND_END,
    OPT_KIND_FLAG,    /* bool */
    OPT_KIND_COUNT,   /* int, one more each time */
    OPT_KIND_STR,     /* const char * */
    OPT_KIND_LIST,    /* struct opt_list, may be repeated */
    OPT_KIND_SIZE,    /* uint64_t bytes: 64MiB, 1G, 4096 */
    OPT_KIND_INT,     /* int, within min..max */
    OPT_KIND_PERCENT, /* double, "2.5%" or "2.5", above 0 and at most 100 */
    OPT_KIND_CHOICE,  /* int: which of `choices`, from 0 */
};

struct opt_list {
    const char **v; /* the array is owned, the strings are borrowed */
    size_t n;
};

struct opt {
    enum opt_kind kind;
    char ch;               /* short name or 0 */
    const char *name;      /* long name, without dashes */
    const char *meta;      /* what the value is, "DIR"; message id */
    const char *help;      /* message id */
    size_t offset;         /* of the field */
    const char *def;       /* value when absent; parsed like a given one */
    const char *env;       /* variable that gives the default */
    const char *choices;   /* "a|b|c" */
    const char *conflicts; /* "name name": options that contradict this one */
    int min, max;          /* INT */
    bool hidden;
};

#define OPT_OF(k, type, field, short_, long_, meta_, help_, ...)              \
    {                                                                         \
        .kind = k, .ch = short_, .name = long_, .meta = meta_, .help = help_, \
        .offset = offsetof(type, field), __VA_ARGS__                          \
    }
#define OPT_FLAG(type, field, c, name, help, ...) \
    OPT_OF(OPT_KIND_FLAG, type, field, c, name, NULL, help, __VA_ARGS__)
#define OPT_COUNT(type, field, c, name, help, ...) \
    OPT_OF(OPT_KIND_COUNT, type, field, c, name, NULL, help, __VA_ARGS__)
#define OPT_STR(type, field, c, name, meta, help, ...) \
    OPT_OF(OPT_KIND_STR, type, field, c, name, meta, help, __VA_ARGS__)
#define OPT_LIST(type, field, c, name, meta, help, ...) \
    OPT_OF(OPT_KIND_LIST, type, field, c, name, meta, help, __VA_ARGS__)
#define OPT_SIZE(type, field, c, name, help, ...) \
    OPT_OF(OPT_KIND_SIZE, type, field, c, name, N_("SIZE"), help, __VA_ARGS__)
#define OPT_INT(type, field, c, name, lo, hi, help, ...) \
    OPT_OF(OPT_KIND_INT, type, field, c, name, N_("N"), help, .min = lo, .max = hi, __VA_ARGS__)
#define OPT_PERCENT(type, field, c, name, help, ...) \
    OPT_OF(OPT_KIND_PERCENT, type, field, c, name, N_("N%"), help, __VA_ARGS__)
#define OPT_CHOICE(type, field, c, name, list, help, ...) \
    OPT_OF(OPT_KIND_CHOICE, type, field, c, name, NULL, help, .choices = list, __VA_ARGS__)
#define OPT_END              \
    {                        \
        .kind = OPT_KIND_END \
    }

/* A table, where its values go, and which of its options were seen. */
struct opt_set {
    const struct opt *table; /* at most OPT_TABLE_MAX options */
    void *base;
    uint64_t seen;
};
enum { OPT_TABLE_MAX = 64, OPT_SETS_MAX = 2, OPT_LIST_MAX = 1 << 20 };

struct operands {
    char **v; /* the array is owned, the strings are argv's */
    size_t n;
    size_t n_before; /* how many stood before "--"; n when there was none */
    bool dashes;     /* there was a "--" */
};
void operands_clear(struct operands *o);
BK_AUTO_CLEAR(struct operands, operands_clear)

/* Defaults and variables into the fields. USAGE when a variable's value is not valid. */
int opt_defaults(const struct opt_set *sets, size_t n_sets, struct bk_error *err) BK_MUST_CHECK;
/* Options and operands of argv, mixed. stop_at_operand: the first operand ends the parse and *ret_used tells
 * how many arguments were taken; else everything is. USAGE: unknown option (with the nearest known one as the
 * hint), a missing or bad value, a contradiction. */
int opt_parse(struct opt_set *sets, size_t n_sets, int argc, char **argv, bool stop_at_operand,
              struct operands *ret, int *ret_used, struct bk_error *err) BK_MUST_CHECK;
/* Free what lists own. */
void opt_clear(const struct opt_set *set);
bool opt_seen(const struct opt_set *set, const char *name);

/* "64MiB", "64M", "1g", "4096": binary multiples. USAGE. */
int opt_size(const char *text, uint64_t *ret, struct bk_error *err) BK_MUST_CHECK;
int opt_list_add(struct opt_list *l, const char *s, struct bk_error *err) BK_MUST_CHECK;
void opt_list_clear(struct opt_list *l);
BK_AUTO_CLEAR(struct opt_list, opt_list_clear)
/* The candidate nearest to word (edit distance at most 2), or NULL. candidates ends with NULL. */
const char *opt_nearest(const char *word, const char *const *candidates);

#endif
