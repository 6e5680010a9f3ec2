#include "formats/base/error.h"

#include <errno.h>
#include <libintl.h>
#include <stdio.h>
#include <string.h>

#define DOMAIN "bkctl"

static const struct {
    int code;
    const char *name;
    const char *text;
} table[] = { { 0, "OK", N_("success") },
#define X(name, status, text) { BK_E_##name, #name, N_(text) },
              BK_CODES(X)
#undef X
};

/* Message ids are literals checked against their arguments at every call (BK_PRINTF); gettext
 * returns the same conversions, which msgfmt -c checks. */
#pragma GCC diagnostic ignored "-Wformat-nonliteral"

static void set_text(struct bk_error *err, const char *fmt, va_list ap)
{
    vsnprintf(err->text, sizeof err->text, dgettext(DOMAIN, fmt), ap);
    err->hint[0] = '\0';
}

int bk_fail(struct bk_error *err, int code, const char *fmt, ...)
{
    if (!err)
        return code;
    err->code = code;
    err->sys = 0;
    va_list ap;
    va_start(ap, fmt);
    set_text(err, fmt, ap);
    va_end(ap);
    return code;
}

static int code_of_errno(int sys)
{
    switch (sys) {
    case ENOSPC:
    case EDQUOT:
        return BK_E_NOSPACE;
    case ENOENT:
        return BK_E_ABSENT;
    case EEXIST:
        return BK_E_EXISTS;
    case EACCES:
    case EPERM:
    case EROFS:
        return BK_E_PERM;
    case ENOMEM:
        return BK_E_NOMEM;
    default:
        return BK_E_IO;
    }
}

int bk_fail_errno(struct bk_error *err, int sys, const char *fmt, ...)
{
    int code = code_of_errno(sys);
    if (!err)
        return code;
    err->code = code;
    err->sys = sys;
    va_list ap;
    va_start(ap, fmt);
    set_text(err, fmt, ap);
    va_end(ap);
    size_t n = strlen(err->text);
    char reason[128];
    snprintf(err->text + n, sizeof err->text - n, bk_text(N_(": %s")),
             bk_errno_text(sys, reason, sizeof reason));
    return code;
}

int bk_context(struct bk_error *err, const char *fmt, ...)
{
    if (!err)
        return BK_E_FAILED;
    char inner[BK_ERROR_TEXT];
    memcpy(inner, err->text, sizeof inner);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err->text, sizeof err->text, dgettext(DOMAIN, fmt), ap);
    va_end(ap);
    size_t n = strlen(err->text);
    snprintf(err->text + n, sizeof err->text - n, bk_text(N_(": %s")), inner);
    return err->code ? err->code : BK_E_FAILED;
}

int bk_hint(struct bk_error *err, const char *fmt, ...)
{
    if (!err)
        return BK_E_FAILED;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err->hint, sizeof err->hint, dgettext(DOMAIN, fmt), ap);
    va_end(ap);
    return err->code;
}

void bk_error_clear(struct bk_error *err)
{
    if (err)
        *err = (struct bk_error){ 0 };
}

const char *bk_code_name(int code)
{
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (table[i].code == code)
            return table[i].name;
    return "UNKNOWN";
}

const char *bk_code_text(int code)
{
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (table[i].code == code)
            return table[i].text;
    return N_("unknown error");
}

bool bk_code_aborts(int code)
{
    return code == BK_E_NOMEM || code == BK_E_CANCELLED || code == BK_E_UNREACHABLE;
}

int bk_code_exit(int code)
{
    return code < 0 && code >= BK_E_COPIES ? -code : code == 0 ? 0 : 1;
}
