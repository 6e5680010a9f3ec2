/* When a server took the snapshots: its own notes `received/snapshots/<id>`, put by bkd serve, which no
 * client can write. docs/design/store-https.md, docs/design/retention.md */
#ifndef BKD_LIFE_RECEIVED_H
#define BKD_LIFE_RECEIVED_H

#include "bkd/repo/catalog.h"

/* Fill in received_ns of all that have such a note, and bring those into the order of their notes: among
 * themselves, each in a place where one of them was. So what came another way keeps its place, and where all
 * came through the server its order is the only one. A note that makes no sense counts as none. The errors of
 * the store. */
int received_load(struct repo *r, struct catalog *c, struct bk_error *err) BK_MUST_CHECK;
/* Its note goes with a snapshot that went. Best effort: a server does it by itself, and lets nobody else. */
void received_forget(struct repo *r, const struct catalog_item *i);

/* "1 <Unix ns> <who>\n": the time, or 0 for anything else. */
int64_t received_parse(const void *data, size_t len);

#endif
