/* What a probe of a store found, for people and as JSON; for init and store. */
#ifndef BKCTL_STORE_PROBE_H
#define BKCTL_STORE_PROBE_H

#include <stdio.h>

#include <jansson.h>

#include "bkd/store/probe.h"

void store_probe_print(FILE *f, const char *url, const struct store *s, const struct probe_report *r);
json_t *store_probe_json(const char *url, const struct store *s, const struct probe_report *r);
/* 0, or UNSUPPORTED with the first thing that makes the place unusable. err may be NULL. */
int store_probe_verdict(const struct probe_report *r, struct bk_error *err);

#endif
