#include "bkd/backup/sink.h"

int sink_put(struct sink *s, unsigned lane, enum chunk_kind kind, const void *data, size_t len, chunk_id *ret,
             struct bk_error *err)
{
    if (s->w)
        return writer_put(s->w, lane, kind, data, len, ret, err);
    int r = chunk_name(repo_namer(s->repo), kind, data, len, ret, err);
    if (r < 0)
        return r;
    r = index_has(s->index, ret, err);
    if (r < 0)
        return r;
    if (!r)
        atomic_fetch_add_explicit(&s->dry_new_bytes, len, memory_order_relaxed);
    return 0;
}
