/* Errors: a code to act on, a text to read.
 *
 * Fallible functions return 0 or a negative code (-BK_E_X is never written: the enum is
 * negative already) and explain themselves in the caller's struct bk_error. The struct has a
 * fixed size, so that reporting lack of memory needs none. Each level adds what only it knows
 * with bk_context. Texts are message ids of the "bkctl" gettext domain: English in the source,
 * translated when they are formatted.
 *
 * Threads: a struct bk_error belongs to one thread. */
#ifndef FORMATS_BASE_ERROR_H
#define FORMATS_BASE_ERROR_H

#include <stdarg.h>
#include <stdbool.h>
#include <libintl.h>
#include <stddef.h>

/* The one table behind the enum, the names, the exit status and docs/errors.md.
 *   X(name, exit status, meaning) */
#define BK_CODES(X)                                                          \
    X(FAILED, 1, "the operation failed")                                     \
    X(USAGE, 2, "the request itself is wrong")                               \
    X(ABSENT, 3, "the named thing does not exist")                           \
    X(EXISTS, 4, "the named thing exists already")                           \
    X(CORRUPT, 5, "bytes read back fail their check")                        \
    X(BUSY, 6, "another holder has it; trying later may work")               \
    X(AUTH, 7, "the secret opens none of the key slots")                     \
    X(VERSION, 8, "written by a newer version, or needs an unknown feature") \
    X(NOSPACE, 9, "no space left where something must be written")           \
    X(EXCEPTIONS, 10, "complete, with exceptions that are listed")           \
    X(IO, 11, "reading or writing failed")                                   \
    X(LIMIT, 12, "a size or count passes its limit")                         \
    X(NOMEM, 13, "not enough memory")                                        \
    X(PERM, 14, "permission denied")                                         \
    X(UNSUPPORTED, 15, "this build, store or kernel cannot do it")           \
    X(CANCELLED, 16, "stopped on request")                                   \
    X(AMBIGUOUS, 17, "the name fits more than one thing")                    \
    X(FENCED, 18, "the session was declared dead by somebody else")          \
    X(CHANGED, 19, "the source changed while it was read")                   \
    X(UNREACHABLE, 20, "the store does not answer in time")                  \
    X(COPIES, 21, "written to fewer stores than must hold it")

enum bk_code {
    BK_OK = 0,
#define X(name, status, text) BK_E_##name = -(status),
    BK_CODES(X)
#undef X
};

/* The table goes up from 1 without gaps; its last entry bounds the exit statuses. */
enum { BK_ERROR_TEXT = 768, BK_ERROR_HINT = 256 };

struct bk_error {
    int code;                 /* 0 or an enum bk_code */
    int sys;                  /* errno behind it, or 0 */
    char text[BK_ERROR_TEXT]; /* "outer: inner: cause", translated */
    char hint[BK_ERROR_HINT]; /* a remedy if one is known, translated, else "" */
};

#define BK_MUST_CHECK __attribute__((warn_unused_result))
#define BK_PRINTF(f, a) __attribute__((format(printf, f, a)))

/* Set err to code and text; returns code. err may be NULL. A hint set before is cleared. */
int bk_fail(struct bk_error *err, int code, const char *fmt, ...) BK_PRINTF(3, 4);

/* The same for a system error: the code is derived from sys (ENOSPC, EDQUOT -> NOSPACE,
 * ENOENT -> ABSENT, EEXIST -> EXISTS, EACCES, EPERM, EROFS -> PERM, ENOMEM -> NOMEM, others -> IO) and
 * ": strerror" is appended. */
int bk_fail_errno(struct bk_error *err, int sys, const char *fmt, ...) BK_PRINTF(3, 4);

/* Put "text: " in front of what err says; returns err->code (or FAILED if err is NULL). */
int bk_context(struct bk_error *err, const char *fmt, ...) BK_PRINTF(2, 3);

/* Attach a remedy; returns err->code. */
int bk_hint(struct bk_error *err, const char *fmt, ...) BK_PRINTF(2, 3);

void bk_error_clear(struct bk_error *err);

/* "CORRUPT" for BK_E_CORRUPT; "OK" for 0. Never NULL. */
const char *bk_code_name(int code);
/* The table's meaning, English (a message id). Never NULL. */
const char *bk_code_text(int code);
/* The code says nothing of the one thing that was asked for: who goes on past what is damaged must not go on
 * past this. NOMEM, CANCELLED, UNREACHABLE. */
bool bk_code_aborts(int code);
/* Exit status for a code, 0 for 0. */
int bk_code_exit(int code);

/* Mark a message id that is translated elsewhere. */
#define N_(s) s

/* The format for n things, already translated: bk_hint(err, BK_COUNTED("%u slot is ...", "%u slots are ...",
 * n), n). */
#define BK_COUNTED(one, many, n) dngettext("bkctl", one, many, (unsigned long)(n))

/* A message id translated: a noun that goes into another message. "" stays "". */
const char *bk_text(const char *msgid);
/* What errno value sys means, translated; buf is used where the value is an unusual one. Never NULL. */
const char *bk_errno_text(int sys, char *buf, size_t len);

#endif
