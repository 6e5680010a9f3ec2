#include "bkd/store/s3_xml.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct parse {
    const char *p, *end;
    s3_xml_fn *fn;
    void *ctx;
    unsigned depth;
    char path[S3_XML_DEPTH * (S3_XML_NAME + 1) + 1];
    size_t starts[S3_XML_DEPTH + 1]; /* where each open element's name starts in path */
    bool parent;                     /* the element at work has had elements inside */
    bool had_root;
    char text[S3_XML_TEXT + 1];
    size_t n_text;
};

static int corrupt(struct bk_error *err)
{
    return bk_fail(err, BK_E_CORRUPT, "the server's answer is not the XML that S3 speaks");
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == ':' || c == '.';
}

static bool starts(const struct parse *x, const char *word)
{
    size_t n = strlen(word);
    return (size_t)(x->end - x->p) >= n && memcmp(x->p, word, n) == 0;
}

static bool skip_past(struct parse *x, const char *word)
{
    const char *at = memmem(x->p, (size_t)(x->end - x->p), word, strlen(word));
    if (!at)
        return false;
    x->p = at + strlen(word);
    return true;
}

static bool put_utf8(struct parse *x, uint32_t c)
{
    char out[4];
    size_t n = 0;
    if (c == 0 || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return false;
    if (c < 0x80) {
        out[n++] = (char)c;
    } else {
        unsigned rest = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
        out[n++] = (char)(c >> (6 * rest) | (0xf00u >> rest & 0xff));
        while (rest--)
            out[n++] = (char)(0x80 | (c >> (6 * rest) & 0x3f));
    }
    if (x->n_text + n > S3_XML_TEXT)
        return false;
    memcpy(x->text + x->n_text, out, n);
    x->n_text += n;
    return true;
}

static bool number(const char *s, size_t len, uint32_t base, uint32_t *ret)
{
    uint32_t c = 0;
    if (len == 0 || len > 7)
        return false;
    for (size_t i = 0; i < len; i++) {
        char ch = (char)(s[i] | 0x20);
        uint32_t d = s[i] >= '0' && s[i] <= '9' ? (uint32_t)(s[i] - '0')
                     : ch >= 'a' && ch <= 'f'   ? (uint32_t)(ch - 'a' + 10)
                                                : 99;
        if (d >= base)
            return false;
        c = c * base + d;
    }
    *ret = c;
    return true;
}

/* At '&'. */
static bool entity(struct parse *x)
{
    static const struct {
        const char *name;
        char c;
    } known[] = { { "amp", '&' }, { "lt", '<' }, { "gt", '>' }, { "quot", '"' }, { "apos", '\'' } };
    size_t left = (size_t)(x->end - x->p);
    const char *semi = memchr(x->p, ';', left < 12 ? left : 12);
    if (!semi)
        return false;
    const char *s = x->p + 1;
    size_t len = (size_t)(semi - s);
    uint32_t c = 0;
    x->p = semi + 1;
    if (len > 2 && s[0] == '#' && s[1] == 'x')
        return number(s + 2, len - 2, 16, &c) && put_utf8(x, c);
    if (len > 1 && s[0] == '#')
        return number(s + 1, len - 1, 10, &c) && put_utf8(x, c);
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strlen(known[i].name) == len && memcmp(known[i].name, s, len) == 0)
            return put_utf8(x, (uint32_t)known[i].c);
    return false;
}

/* Text between elements. White space beside elements means nothing. */
static bool text(struct parse *x)
{
    if (x->depth == 0 || x->parent) {
        if (!is_space(*x->p))
            return false;
        x->p++;
        return true;
    }
    if (*x->p == '&')
        return entity(x);
    if (*x->p == '\0' || x->n_text == S3_XML_TEXT)
        return false;
    x->text[x->n_text++] = *x->p++;
    return true;
}

/* The name at p, without its namespace. */
static bool name(struct parse *x, const char **ret, size_t *ret_len)
{
    const char *from = x->p;
    while (x->p < x->end && is_name(*x->p))
        x->p++;
    const char *colon = memchr(from, ':', (size_t)(x->p - from));
    *ret = colon ? colon + 1 : from;
    *ret_len = (size_t)(x->p - *ret);
    return *ret_len > 0 && *ret_len <= S3_XML_NAME;
}

/* Attributes up to '>' or "/>". */
static bool attributes(struct parse *x, bool *ret_empty)
{
    while (x->p < x->end) {
        if (*x->p == '>') {
            x->p++;
            *ret_empty = false;
            return true;
        }
        if (starts(x, "/>")) {
            x->p += 2;
            *ret_empty = true;
            return true;
        }
        if (*x->p == '"' || *x->p == '\'') {
            const char quote[] = { *x->p++, '\0' };
            if (!skip_past(x, quote))
                return false;
        } else if (is_name(*x->p) || is_space(*x->p) || *x->p == '=') {
            x->p++;
        } else {
            return false;
        }
    }
    return false;
}

static int close_element(struct parse *x, struct bk_error *err)
{
    x->text[x->n_text] = '\0';
    int r = x->fn(x->ctx, x->path, x->parent ? NULL : x->text, err);
    x->depth--;
    size_t at = x->starts[x->depth];
    x->path[at ? at - 1 : 0] = '\0';
    x->parent = true;
    x->n_text = 0;
    return r;
}

static bool blank(const struct parse *x)
{
    for (size_t i = 0; i < x->n_text; i++)
        if (!is_space(x->text[i]))
            return false;
    return true;
}

/* At '<' of a start tag. */
static int open_element(struct parse *x, struct bk_error *err)
{
    const char *s;
    size_t len;
    bool empty;
    x->p++;
    if (x->depth == S3_XML_DEPTH || (x->depth == 0 && x->had_root) || !blank(x) || !name(x, &s, &len))
        return corrupt(err);
    size_t at = strlen(x->path);
    if (at)
        x->path[at++] = '/';
    memcpy(x->path + at, s, len);
    x->path[at + len] = '\0';
    x->starts[x->depth++] = at;
    x->had_root = true;
    x->parent = false;
    x->n_text = 0;
    if (!attributes(x, &empty))
        return corrupt(err);
    return empty ? close_element(x, err) : 0;
}

/* At "</". */
static int end_tag(struct parse *x, struct bk_error *err)
{
    const char *s;
    size_t len;
    x->p += 2;
    if (x->depth == 0 || !name(x, &s, &len))
        return corrupt(err);
    const char *open = x->path + x->starts[x->depth - 1];
    if (strlen(open) != len || memcmp(open, s, len) != 0)
        return corrupt(err);
    while (x->p < x->end && is_space(*x->p))
        x->p++;
    if (x->p == x->end || *x->p++ != '>')
        return corrupt(err);
    return close_element(x, err);
}

int s3_xml_parse(const char *data, size_t len, s3_xml_fn *fn, void *ctx, struct bk_error *err)
{
    struct parse x = { .p = data, .end = data + len, .fn = fn, .ctx = ctx };
    if (starts(&x, "\xef\xbb\xbf"))
        x.p += 3;
    if (starts(&x, "<?xml") && !skip_past(&x, "?>"))
        return corrupt(err);
    while (x.p < x.end) {
        int r = 0;
        if (starts(&x, "<!--")) {
            if (!skip_past(&x, "-->"))
                r = corrupt(err);
        } else if (starts(&x, "</")) {
            r = end_tag(&x, err);
        } else if (*x.p == '<') {
            r = open_element(&x, err);
        } else if (!text(&x)) {
            r = corrupt(err);
        }
        if (r != 0)
            return r;
    }
    return x.depth || !x.had_root ? corrupt(err) : 0;
}
