/* MHD's callbacks: one request from its head through its body to its end. Internal to bkd/serve. */
#ifndef BKD_SERVE_EXCHANGE_H
#define BKD_SERVE_EXCHANGE_H

#include "bkd/serve/inside.h"

enum MHD_Result serve_exchange_handle(void *cls, struct MHD_Connection *c, const char *path,
                                      const char *method, const char *version, const char *data, size_t *len,
                                      void **state);
void serve_exchange_end(void *cls, struct MHD_Connection *c, void **state,
                        enum MHD_RequestTerminationCode why);

#endif
