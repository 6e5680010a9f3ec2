/* libcurl, loaded when the first S3 repository is opened: with all that it draws in it would cost every other
 * command 9 ms of its start. Internal to bkd/store/s3*. */
#ifndef BKD_STORE_S3_CURL_H
#define BKD_STORE_S3_CURL_H

#include <curl/curl.h>

#include "formats/base/error.h"

#define S3_CURL_CALLS(X)                                                      \
    X(CURLcode, global_init, (long flags))                                    \
    X(CURL *, easy_init, (void))                                              \
    X(void, easy_cleanup, (CURL * c))                                         \
    X(void, easy_reset, (CURL * c))                                           \
    X(CURLcode, easy_perform, (CURL * c))                                     \
    X(CURLcode, easy_setopt, (CURL * c, CURLoption option, ...))              \
    X(CURLcode, easy_getinfo, (CURL * c, CURLINFO info, ...))                 \
    X(const char *, easy_strerror, (CURLcode e))                              \
    X(struct curl_slist *, slist_append, (struct curl_slist *, const char *)) \
    X(void, slist_free_all, (struct curl_slist *))                            \
    X(time_t, getdate, (const char *text, const time_t *unused))

struct s3_curl {
#define X(type, name, args) type(*name) args;
    S3_CURL_CALLS(X)
#undef X
};
extern struct s3_curl s3_curl;

/* Loads it once for the process; it stays. UNSUPPORTED with a hint when it is not installed or too old. Any
 * thread. */
int s3_curl_load(struct bk_error *err) BK_MUST_CHECK;

#endif
