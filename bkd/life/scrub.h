/* Scrub: every stored byte is read and verified again, without keys, before two copies can have gone bad.
 *
 * What was read when, and when all copies of it were sound, is remembered in a file on this machine; what was
 * read longest ago comes first, so that runs that are cut short go round, also past what stays bad. Where the
 * store keeps several copies (mirror.h) every copy is read, and bad or missing ones are written anew from a
 * sound one; each is told. Nothing else is changed. docs/design/mirror.md */
#ifndef BKD_LIFE_SCRUB_H
#define BKD_LIFE_SCRUB_H

#include "bkd/job/job.h"
#include "bkd/job/world.h"
#include "bkd/store/store.h"

/* A copy that is not sound, or was not; any thread. */
typedef void scrub_copy_fn(void *ctx, const struct store_copy *c);

struct scrub_opts {
    const char *state;    /* the file; its folder is made. NULL: nothing is remembered */
    uint64_t max_bytes;   /* read at most so many, then stop in good order; 0: no limit */
    unsigned max_seconds; /* the same for time */
    bool fill;            /* also onto a store that holds nothing yet: it takes the place of a lost one */
    scrub_copy_fn *copy;  /* may be NULL */
    void *ctx;
};

struct scrub_report {
    uint64_t n_objects, bytes;       /* that are there */
    uint64_t n_verified, read_bytes; /* in this run: objects with all copies sound; bytes of all copies */
    uint64_t n_repaired, n_bad,
        n_unknown;                 /* copies: written anew; damaged and no sound one; not to be judged */
    uint64_t n_unreachable;        /* copies in stores that do not answer */
    uint64_t n_fresh, fresh_bytes; /* objects of which all copies were found sound, ever */
    unsigned n_copies;             /* most that any object was looked for in */
    int64_t oldest_s;              /* age of the verification longest ago; -1: none was ever */
    bool all;                      /* this run has read everything */
};
/* 0 also with bad copies: look at the report. CANCELLED in good order: what was done is remembered. CORRUPT:
 * the remembered state is no such file. */
int scrub_run(struct store *s, const struct world *w, struct job *j, const struct scrub_opts *o,
              struct scrub_report *ret, struct bk_error *err) BK_MUST_CHECK;

/* "$XDG_STATE_HOME/bkctl/<repository>/scrub", or below "$HOME/.local/state". The repository is named by what
 * its config says in clear. ABSENT: there is none, or neither variable is set. */
int scrub_state_path(struct store *s, char *out, size_t cap, struct bk_error *err) BK_MUST_CHECK;

/* The chance to lose a given object within a year, at most 1.
 *
 * Copies fail on their own, each with `rate` a year, and are as new after `window` years on average: half a
 * scrub interval until it is seen and the time to repair it. The first of n copies fails n * rate times a
 * year; with k of them bad another fails (n - k) * rate times a year and one is repaired k / window times, so
 * the next one is too late with (n - k) / k * rate * window. The product over k = 1 .. n - 1 is (rate *
 * window)^(n - 1). loss = n * rate * (rate * window)^(n - 1) */
double scrub_annual_loss(unsigned n_copies, double rate, double window_years);
/* The window in which that loss is `target`; 0: no window is small enough, or there is one copy only. */
double scrub_window_for(unsigned n_copies, double rate, double target);

#endif
