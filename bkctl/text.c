#include "bkctl/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wchar.h>

const char *text_bytes(uint64_t bytes, char out[static TEXT_SIZE])
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    double v = (double)bytes;
    size_t u = 0;
    for (; v >= 1023.95 && u + 1 < BK_COUNT(units); u++)
        v /= 1024;
    snprintf(out, TEXT_SIZE, u ? "%.1f %s" : "%.0f %s", v, units[u]);
    return out;
}

/* The form is a literal that gettext chose, and msgfmt checks its conversions. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
const char *text_count(char out[static TEXT_COUNT], const char *form, uint64_t n)
{
    snprintf(out, TEXT_COUNT, form, (unsigned long long)n);
    return out;
}
#pragma GCC diagnostic pop

const char *text_seconds(double s, char out[static TEXT_SIZE])
{
    if (!(s >= 0 && s < 1e9)) {
        snprintf(out, TEXT_SIZE, "?");
    } else if (s < 60) {
        snprintf(out, TEXT_SIZE, s < 10 ? "%.1f s" : "%.0f s", s);
    } else {
        long n = (long)s;
        if (n < 3600)
            snprintf(out, TEXT_SIZE, "%ld:%02ld", n / 60, n % 60);
        else
            snprintf(out, TEXT_SIZE, "%ld:%02ld:%02ld", n / 3600, n / 60 % 60, n % 60);
    }
    return out;
}

const char *text_time(int64_t s, char out[static TEXT_TIME])
{
    struct tm tm;
    time_t t = (time_t)s;
    if (!localtime_r(&t, &tm) || !strftime(out, TEXT_TIME, "%Y-%m-%d %H:%M:%S", &tm))
        snprintf(out, TEXT_TIME, "@%" PRId64, s);
    return out;
}

const char *text_time_iso(int64_t s, uint32_t ns, char out[static TEXT_TIME])
{
    struct tm tm;
    time_t t = (time_t)s;
    size_t n = gmtime_r(&t, &tm) ? strftime(out, TEXT_TIME, "%Y-%m-%dT%H:%M:%S", &tm) : 0;
    if (n)
        snprintf(out + n, TEXT_TIME - n, ".%09uZ", ns % 1000000000u);
    else
        snprintf(out, TEXT_TIME, "@%" PRId64, s);
    return out;
}

static char type_letter(enum tree_type t)
{
    switch (t) {
    case TREE_FILE:
        return '-';
    case TREE_DIR:
        return 'd';
    case TREE_SYMLINK:
        return 'l';
    case TREE_FIFO:
        return 'p';
    case TREE_SOCKET:
        return 's';
    case TREE_CHAR:
        return 'c';
    case TREE_BLOCK:
        return 'b';
    }
    return '?';
}

const char *text_type(enum tree_type t)
{
    switch (t) {
    case TREE_FILE:
        return "file";
    case TREE_DIR:
        return "dir";
    case TREE_SYMLINK:
        return "symlink";
    case TREE_FIFO:
        return "fifo";
    case TREE_SOCKET:
        return "socket";
    case TREE_CHAR:
        return "char";
    case TREE_BLOCK:
        return "block";
    }
    return "unknown";
}

const char *text_mode(const struct tree_entry *e, char out[static TEXT_MODE])
{
    out[0] = type_letter(e->type);
    for (int i = 0; i < 9; i++)
        out[1 + i] = e->mode & (0400u >> i) ? "rwx"[i % 3] : '-';
    if (e->mode & 04000)
        out[3] = out[3] == 'x' ? 's' : 'S';
    if (e->mode & 02000)
        out[6] = out[6] == 'x' ? 's' : 'S';
    if (e->mode & 01000)
        out[9] = out[9] == 'x' ? 't' : 'T';
    out[10] = '\0';
    return out;
}

const char *text_hex(const uint8_t *id, size_t len, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[id[i] >> 4];
        out[2 * i + 1] = digits[id[i] & 15];
    }
    out[2 * len] = '\0';
    return out;
}

/* Length of the valid UTF-8 sequence at p (1..4), or 0. */
static size_t sequence(const uint8_t *p, size_t left)
{
    if (p[0] < 0x80)
        return 1;
    size_t n = p[0] >= 0xf0 && p[0] < 0xf5   ? 4
               : p[0] >= 0xe0 && p[0] < 0xf0 ? 3
               : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
                                             : 0;
    if (!n || n > left)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
        (p[0] == 0xf4 && p[1] > 0x8f))
        return 0; /* over-long, a surrogate, or past U+10FFFF */
    return n;
}

bool text_is_utf8(const void *data, size_t len)
{
    const uint8_t *p = data;
    for (size_t n; len; p += n, len -= n) {
        n = *p ? sequence(p, len) : 0;
        if (!n)
            return false;
    }
    return true;
}

/* The next shown piece of a name into out (at most 5 bytes and NUL); returns bytes of p taken. */
static size_t piece(const uint8_t *p, size_t left, char out[static 6])
{
    size_t n = sequence(p, left);
    bool c1 = n == 2 && p[0] == 0xc2 && p[1] < 0xa0; /* C1 controls start terminal sequences too */
    if (n > 1 && !c1) {
        memcpy(out, p, n);
        out[n] = '\0';
        return n;
    }
    if (*p == '\n' || *p == '\t' || *p == '\r' || *p == '\\')
        snprintf(out, 6, "\\%c", *p == '\n' ? 'n' : *p == '\t' ? 't' : *p == '\r' ? 'r' : '\\');
    else if (*p < 0x20 || *p >= 0x7f)
        snprintf(out, 6, "\\x%02x", *p);
    else
        snprintf(out, 6, "%c", *p);
    return 1;
}

void text_path_put(FILE *f, const void *path, size_t len)
{
    const uint8_t *p = path;
    char s[6];
    for (size_t n; len; p += n, len -= n) {
        n = piece(p, len, s);
        fputs(s, f);
    }
}

const char *text_path(const void *path, size_t len, char *out, size_t out_len)
{
    const uint8_t *p = path;
    size_t at = 0;
    char s[6];
    out[0] = '\0';
    for (size_t n; len; p += n, len -= n) {
        n = piece(p, len, s);
        size_t k = strlen(s);
        if (at + k + 4 > out_len) {
            if (at + 4 <= out_len)
                memcpy(out + at, "...", 4);
            break;
        }
        memcpy(out + at, s, k + 1);
        at += k;
    }
    return out;
}

int text_width(const char *s)
{
    int width = 0;
    mbstate_t state = { 0 };
    while (*s) {
        wchar_t wc;
        size_t n = mbrtowc(&wc, s, MB_CUR_MAX, &state);
        if (n == (size_t)-1 || n == (size_t)-2) { /* not text in this locale: a column per byte */
            memset(&state, 0, sizeof state);
            n = 1;
            width++;
        } else {
            int w = wcwidth(wc);
            width += w > 0 ? w : 0;
        }
        s += n;
    }
    return width;
}

static char *base64(const uint8_t *p, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *out = malloc((len + 2) / 3 * 4 + 1);
    char *w = out;
    for (size_t i = 0; out && i < len; i += 3) {
        uint32_t v = (uint32_t)p[i] << 16;
        v |= i + 1 < len ? (uint32_t)p[i + 1] << 8 : 0;
        v |= i + 2 < len ? p[i + 2] : 0;
        *w++ = digits[v >> 18];
        *w++ = digits[v >> 12 & 63];
        *w++ = i + 1 < len ? digits[v >> 6 & 63] : '=';
        *w++ = i + 2 < len ? digits[v & 63] : '=';
    }
    if (out)
        *w = '\0';
    return out;
}

void text_json_bytes(json_t *o, const char *key, const void *data, size_t len)
{
    if (text_is_utf8(data, len)) {
        json_object_set_new(o, key, json_stringn(data, len));
        return;
    }
    bk_auto(free) char *shown = malloc(len * 3 + 1);
    bk_auto(free) char *raw = base64(data, len);
    if (!shown || !raw)
        return;
    size_t at = 0;
    const uint8_t *p = data;
    for (size_t left = len, n; left; p += n, left -= n) {
        n = *p ? sequence(p, left) : 0;
        if (n) {
            memcpy(shown + at, p, n);
            at += n;
        } else {
            memcpy(shown + at, "\xef\xbf\xbd", 3);
            at += 3;
            n = 1;
        }
    }
    char name[64];
    snprintf(name, sizeof name, "%s_raw", key);
    json_object_set_new(o, key, json_stringn(shown, at));
    json_object_set_new(o, name, json_string(raw));
}

json_t *text_json_u64(uint64_t v)
{
    return json_integer(v > INT64_MAX ? INT64_MAX : (json_int_t)v);
}
