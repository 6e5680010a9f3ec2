/* Time zones that people name: local, UTC, +08:00, Asia/Shanghai. */
#ifndef BKCTL_ZONE_H
#define BKCTL_ZONE_H

#include "bkd/life/retention.h"

struct zone {
    bool fixed;
    int64_t offset_s; /* east of UTC, when fixed */
    char name[64];    /* as it is shown: "UTC", "+08:00", "Asia/Shanghai", "local (CST)" */
};
/* USAGE: no such zone. A named one becomes the zone of the whole process. The zone lives as long as it is
 * used. */
int zone_find(const char *text, struct zone *ret, struct bk_error *err) BK_MUST_CHECK;
struct retention_zone zone_for_rules(struct zone *z);

#endif
