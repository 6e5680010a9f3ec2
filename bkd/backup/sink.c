#include "bkd/backup/sink.h"

int sink_put_many(struct sink *s, unsigned lane, enum chunk_kind kind, const struct suite_piece *chunks,
                  size_t n, chunk_id *ret, struct bk_error *err)
{
    if (s->w)
        return writer_put_many(s->w, lane, kind, chunks, n, ret, err);
    int r = chunk_name_many(repo_namer(s->repo), kind, chunks, n, ret, err);
    for (size_t i = 0; i < n && r == 0; i++) {
        r = index_has(s->index, &ret[i], err);
        if (r < 0)
            return r;
        if (!r)
            atomic_fetch_add_explicit(&s->dry_new_bytes, chunks[i].len, memory_order_relaxed);
        r = 0;
    }
    return r;
}

int sink_put(struct sink *s, unsigned lane, enum chunk_kind kind, const void *data, size_t len, chunk_id *ret,
             struct bk_error *err)
{
    return sink_put_many(s, lane, kind, &(struct suite_piece){ data, len }, 1, ret, err);
}
