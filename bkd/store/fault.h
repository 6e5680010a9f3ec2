/* Fault store: passes calls to the store below and makes chosen ones fail. Ships with the product, for
 * drills. Owns the store below. */
#ifndef BKD_STORE_FAULT_H
#define BKD_STORE_FAULT_H

#include "bkd/store/store.h"

enum store_fault_kind {
    FAULT_ERROR,     /* the nth call fails with IO and does nothing */
    FAULT_LOST_ACK,  /* the nth call is carried out, then reported as IO */
    FAULT_SHORT_GET, /* the nth get returns fewer bytes than there are */
    FAULT_FLIP_GET,  /* the nth get has one bit flipped */
    FAULT_NOSPACE,   /* the nth put and all later ones fail with NOSPACE */
    FAULT_CUT,       /* the nth call and all later ones fail: the store is gone */
    FAULT_SILENT,    /* the same of a store across a network, which does not answer: UNREACHABLE */
    /* What no store of the contract does, and some do all the same: */
    FAULT_SHORT_PUT, /* the nth put stores half of the bytes, and is reported as IO */
    FAULT_TWICE, /* the nth put or removal is carried out twice, and what the second one says is reported */
    FAULT_STALE_LIST, /* the nth listing does not show what was put last through this store */
    FAULT_SLOW,       /* the nth call takes 20 ms longer */
};

/* nth counts calls of any slot from 1 (for *_GET gets only; for *_PUT and NOSPACE puts only; for TWICE puts
 * and removals, for *_LIST listings only); 0 never fires. */
int store_fault_new(struct store *below, enum store_fault_kind kind, uint64_t nth, struct store **ret,
                    struct bk_error *err) BK_MUST_CHECK;
bool store_fault_fired(const struct store *s);
uint64_t store_fault_calls(const struct store *s);

#endif
