/* What a store did beside what it was asked: copies that went bad or missing, and what became of them.
 *
 * Events go to struct world's `store_event`, from any thread, while the call that met the damage is still
 * running: the listener must not call the store. */
#ifndef BKD_STORE_EVENT_H
#define BKD_STORE_EVENT_H

enum store_event_kind {
    STORE_EVENT_REPAIRED,    /* a bad or missing copy was written anew from a sound one */
    STORE_EVENT_UNREPAIRED,  /* a bad or missing copy stays */
    STORE_EVENT_NOT_WRITTEN, /* a copy could not be written; it is tried again later */
    STORE_EVENT_UNREACHABLE, /* one of several stores does not answer: once per store and run */
};

struct store_event {
    enum store_event_kind kind;
    const char *object; /* "" where it concerns the whole store */
    const char *store;  /* which of the stores, for people */
    const char *why;    /* translated */
};

const char *store_event_name(enum store_event_kind kind); /* "repaired", "unrepaired"... */

#endif
