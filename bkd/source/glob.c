#include "bkd/source/glob.h"

#include <string.h>

/* End of the set that starts at p[i] == '[', or 0 when it is not closed and '[' stands for itself. */
static size_t set_end(const char *p, size_t n, size_t i)
{
    size_t j = i + 1;
    if (j < n && (p[j] == '!' || p[j] == '^'))
        j++;
    if (j < n && p[j] == ']') /* first in the set: itself */
        j++;
    for (; j < n; j++) {
        if (p[j] == '\\')
            j++;
        else if (p[j] == ']')
            return j + 1;
    }
    return 0;
}

static unsigned char set_byte(const char *p, size_t *j)
{
    if (p[*j] == '\\')
        (*j)++;
    return (unsigned char)p[(*j)++];
}

/* Is c in the set p[i..end)? */
static bool set_has(const char *p, size_t i, size_t end, unsigned char c)
{
    size_t j = i + 1, last = end - 1;
    bool negated = p[j] == '!' || p[j] == '^';
    if (negated)
        j++;
    bool found = false;
    while (j < last) {
        unsigned char lo = set_byte(p, &j), hi = lo;
        if (j + 1 < last && p[j] == '-') {
            j++;
            hi = set_byte(p, &j);
        }
        found |= lo <= c && c <= hi;
    }
    return found != negated;
}

/* Match one pattern element at p[*i] against a byte; advances *i past the element when it fits. */
static bool element(const char *p, size_t n, size_t *i, unsigned char c)
{
    size_t at = *i, end;
    switch (p[at]) {
    case '?':
        *i = at + 1;
        return true;
    case '[':
        end = set_end(p, n, at);
        if (end) {
            *i = end;
            return set_has(p, at, end, c);
        }
        break;
    case '\\':
        if (at + 1 < n)
            at++;
        break;
    default:
        break;
    }
    *i = at + 1;
    return (unsigned char)p[at] == c;
}

bool glob_match(const char *p, size_t n, const char *t, size_t len)
{
    size_t i = 0, k = 0;
    bool starred = false;
    size_t star_i = 0, star_k = 0; /* only the last star ever needs to be tried again */
    while (k < len) {
        if (i < n && p[i] == '*') {
            starred = true;
            star_i = ++i;
            star_k = k;
            continue;
        }
        size_t next = i;
        if (i < n && element(p, n, &next, (unsigned char)t[k])) {
            i = next;
            k++;
            continue;
        }
        if (!starred)
            return false;
        i = star_i;
        k = ++star_k;
    }
    while (i < n && p[i] == '*')
        i++;
    return i == n;
}

bool glob_is_plain(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strchr("*?[\\", p[i]) && p[i])
            return false;
    return true;
}
