/* Memory store: ends a stack in tests and drills. */
#ifndef BKD_STORE_MEM_H
#define BKD_STORE_MEM_H

#include "bkd/store/store.h"

int store_mem_new(struct store **ret, struct bk_error *err) BK_MUST_CHECK;

#endif
