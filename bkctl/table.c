#include "bkctl/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

void table_init(struct table *t, size_t n_cols, unsigned right)
{
    *t = (struct table){ .n_cols = n_cols, .right = right };
}

void table_cell(struct table *t, const char *fmt, ...)
{
    if ((t->n & (t->n - 1)) == 0) {
        char **v = realloc(t->v, (t->n ? t->n * 2 : 1) * sizeof *v);
        if (!v) {
            t->failed = true;
            return;
        }
        t->v = v;
    }
    char *s;
    va_list ap;
    va_start(ap, fmt);
    if (vasprintf(&s, fmt, ap) < 0)
        t->failed = true;
    else
        t->v[t->n++] = s;
    va_end(ap);
}

static int column_width(const struct table *t, size_t col)
{
    int most = 0;
    for (size_t i = col; i < t->n; i += t->n_cols) {
        int w = text_width(t->v[i]);
        most = w > most ? w : most;
    }
    return most;
}

int table_print(const struct table *t, FILE *f, struct bk_error *err)
{
    bk_auto(free) int *width = calloc(t->n_cols, sizeof *width);
    if (t->failed || !width)
        return bk_fail_errno(err, ENOMEM, "print a table");
    for (size_t c = 0; c < t->n_cols; c++)
        width[c] = column_width(t, c);
    for (size_t i = 0; i < t->n; i++) {
        size_t c = i % t->n_cols;
        bool last = c + 1 == t->n_cols;
        int pad = width[c] - text_width(t->v[i]);
        if (t->right >> c & 1)
            fprintf(f, "%*s%s", pad, "", t->v[i]);
        else
            fprintf(f, "%s%*s", t->v[i], last ? 0 : pad, "");
        fputs(last ? "\n" : "  ", f);
    }
    return 0;
}

void table_clear(struct table *t)
{
    for (size_t i = 0; i < t->n; i++)
        free(t->v[i]);
    free(t->v);
    *t = (struct table){ 0 };
}
