/* A cheap look at data before it is compressed. Pure; any thread. */
#ifndef FORMATS_PACK_PROBE_H
#define FORMATS_PACK_PROBE_H

#include <stdbool.h>
#include <stddef.h>

/* False when the bytes look random (encrypted or compressed already), so that compressing them would
 * only burn time. Data shorter than 64 KiB is always worth the try. */
bool probe_worthwhile(const void *data, size_t len);

#endif
