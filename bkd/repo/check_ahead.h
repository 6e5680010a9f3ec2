/* The trees walked while packs are still being read, in the hope that nothing is wrong.
 *
 *     check_ahead_init -> run as a task of the pool that reads the packs -> check_ahead_take ->
 * check_ahead_clear
 *
 * A walk before all damage is known cannot tell which files are hit, and tells nobody anything. It is only
 * good for what is mostly the case: neither it nor the packs show any damage, and then the trees have been
 * checked. Otherwise they are walked again, with everything known. */
#ifndef BKD_REPO_CHECK_AHEAD_H
#define BKD_REPO_CHECK_AHEAD_H

#include "bkd/job/pool.h"
#include "bkd/repo/check_state.h"

struct check_ahead {
    struct task task;
    struct check shadow; /* what the walk finds goes here; borrows from the check */
    bool sound;          /* it came to the end */
};
/* false: there is damage already, and no use in it; then only clear. */
bool check_ahead_init(struct check_ahead *a, const struct check *c);
/* After the pool is drained: set c->walked when the trees need not be walked again. */
void check_ahead_take(const struct check_ahead *a, struct check *c);
void check_ahead_clear(struct check_ahead *a);

#endif
