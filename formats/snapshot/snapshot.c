#include "formats/snapshot/tlv.h"

static size_t count_users(const void *of)
{
    return ((const struct snapshot *)of)->n_users;
}

static size_t count_groups(const void *of)
{
    return ((const struct snapshot *)of)->n_groups;
}

static size_t count_streams(const void *of)
{
    return ((const struct snapshot *)of)->n_streams;
}

static int put_owner(const struct snapshot_id_name *o, struct bk_buf *out, struct bk_error *err)
{
    int r = bk_buf_varint(out, o->id, err);
    return r == 0 ? tlv_put_text(o->name, SNAPSHOT_TEXT_MAX, out, err) : r;
}

static int put_user(const void *of, size_t i, struct bk_buf *out, struct bk_error *err)
{
    return put_owner(&((const struct snapshot *)of)->users[i], out, err);
}

static int put_group(const void *of, size_t i, struct bk_buf *out, struct bk_error *err)
{
    return put_owner(&((const struct snapshot *)of)->groups[i], out, err);
}

static int get_owner(struct bk_reader *r, struct snapshot_id_name **v, size_t *n, struct bk_error *err)
{
    uint64_t id = bk_read_varint(r);
    size_t len = bk_reader_left(r);
    const uint8_t *name = bk_read_raw(r, len);
    if (r->bad || id > UINT32_MAX || len > SNAPSHOT_TEXT_MAX)
        return bk_fail(err, BK_E_CORRUPT, "an owner's name is malformed");
    int rc;
    *v = tlv_grow(*v, *n, SNAPSHOT_LIST_MAX, sizeof **v, err, &rc);
    if (rc == 0)
        rc = tlv_text(name, len, &(*v)[*n].name, err);
    if (rc == 0)
        (*v)[(*n)++].id = (uint32_t)id;
    return rc;
}

static int get_user(struct bk_reader *r, void *of, struct bk_error *err)
{
    struct snapshot *s = of;
    return get_owner(r, &s->users, &s->n_users, err);
}

static int get_group(struct bk_reader *r, void *of, struct bk_error *err)
{
    struct snapshot *s = of;
    return get_owner(r, &s->groups, &s->n_groups, err);
}

/* kind | name | the tree or the content */
static int put_stream(const void *of, size_t i, struct bk_buf *out, struct bk_error *err)
{
    const struct snapshot_stream *s = &((const struct snapshot *)of)->streams[i];
    const char *name = s->name ? s->name : "";
    size_t len = strlen(name);
    if (s->kind < STREAM_TREE || s->kind > STREAM_BLOCK_HASHES)
        return bk_fail(err, BK_E_USAGE, "a stream of the unknown kind %u", (unsigned)s->kind);
    if (len > SNAPSHOT_TEXT_MAX)
        return bk_fail(err, BK_E_LIMIT, "a stream's name of %zu bytes", len);
    int r = bk_buf_u8(out, (uint8_t)s->kind, err);
    if (r == 0)
        r = bk_buf_bytes(out, name, len, err);
    if (r == 0)
        r = s->kind == STREAM_TREE ? tree_dir_encode(&s->tree, out, err)
                                   : content_encode(&s->content, out, err);
    return r;
}

static int get_stream(struct bk_reader *r, void *of, struct bk_error *err)
{
    struct snapshot *s = of;
    unsigned kind = bk_read_u8(r);
    size_t len;
    const uint8_t *name = bk_read_bytes(r, SNAPSHOT_TEXT_MAX, &len);
    if (r->bad || kind == 0)
        return bk_fail(err, BK_E_CORRUPT, "a stream is malformed");
    if (kind > STREAM_BLOCK_HASHES)
        return bk_fail(err, BK_E_VERSION, "a stream of the unknown kind %u", kind);
    int rc;
    s->streams = tlv_grow(s->streams, s->n_streams, SNAPSHOT_STREAMS_MAX, sizeof *s->streams, err, &rc);
    if (rc < 0)
        return rc;
    struct snapshot_stream *to = &s->streams[s->n_streams];
    to->kind = (enum stream_kind)kind;
    rc = kind == STREAM_TREE ? tree_dir_decode(r, &to->tree, err) : content_decode(r, &to->content, err);
    if (rc == 0)
        rc = tlv_text(name, len, &to->name, err);
    if (rc == 0)
        s->n_streams++;
    return rc;
}

/* Odd numbers are what a restore cannot do without. A number is never used again for something else. */
#define AT(member) .at = offsetof(struct snapshot, member)
static const struct tlv_field fields[] = {
    { 1, TLV_ID, true, AT(id) },
    { 2, TLV_ID, false, AT(parent) },
    { 4, TLV_ID, true, AT(base) },
    { 6, TLV_U64, true, AT(sequence) },
    { 8, TLV_U64, true, AT(generation) },
    { 3, TLV_ENUM, true, AT(level), .max = LEVEL_INCREMENTAL },
    { 5, TLV_ENUM, true, AT(state), .max = STATE_INCOMPLETE },
    { 10, TLV_S64, true, AT(start_ns) },
    { 12, TLV_S64, true, AT(end_ns) },
    { 14, TLV_TEXT, false, AT(name), .max = SNAPSHOT_TEXT_MAX },
    { 16, TLV_TEXT, false, AT(host), .max = SNAPSHOT_TEXT_MAX },
    { 18, TLV_TEXT, false, AT(user), .max = SNAPSHOT_TEXT_MAX },
    { 20, TLV_TEXT, false, AT(program), .max = SNAPSHOT_TEXT_MAX },
    { 22, TLV_LIST, false, AT(paths), .max = SNAPSHOT_PATH_MAX },
    { 24, TLV_LIST, false, AT(excludes), .max = SNAPSHOT_PATH_MAX },
    { 26, TLV_LIST, false, AT(tags), .max = SNAPSHOT_TEXT_MAX },
    { 28, TLV_U64, false, AT(n_files) },
    { 30, TLV_U64, false, AT(n_dirs) },
    { 32, TLV_U64, false, AT(n_others) },
    { 34, TLV_U64, false, AT(n_exceptions) },
    { 36, TLV_U64, false, AT(content_bytes) },
    { 38, TLV_U64, false, AT(read_bytes) },
    { 40, TLV_U64, false, AT(new_bytes) },
    { 42, TLV_U64, false, AT(stored_bytes) },
    { 44, TLV_U64, false, AT(n_unchanged) },
    { 46, TLV_EACH, .max = SNAPSHOT_LIST_MAX, .count = count_users, .put = put_user, .get = get_user },
    { 48, TLV_EACH, .max = SNAPSHOT_LIST_MAX, .count = count_groups, .put = put_group, .get = get_group },
    { 50, TLV_ID, false, AT(origin_repo) },
    { 52, TLV_ID, false, AT(origin) },
    { 7, TLV_EACH, .max = SNAPSHOT_STREAMS_MAX, .count = count_streams, .put = put_stream,
      .get = get_stream },
};
#undef AT

static void clear_owners(struct snapshot_id_name *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(v[i].name);
    free(v);
}

void snapshot_clear(struct snapshot *s)
{
    free(s->name);
    free(s->host);
    free(s->user);
    free(s->program);
    snapshot_list_clear(&s->paths);
    snapshot_list_clear(&s->excludes);
    snapshot_list_clear(&s->tags);
    clear_owners(s->users, s->n_users);
    clear_owners(s->groups, s->n_groups);
    for (size_t i = 0; i < s->n_streams; i++)
        free(s->streams[i].name);
    free(s->streams);
    *s = (struct snapshot){ 0 };
}

int snapshot_encode(const struct snapshot *s, struct bk_buf *out, struct bk_error *err)
{
    return tlv_encode(fields, BK_COUNT(fields), N_("a snapshot"), s, out, err);
}

int snapshot_decode(const void *data, size_t len, struct snapshot *ret, struct bk_error *err)
{
    bk_auto(snapshot_clear) struct snapshot s = { 0 };
    int r = tlv_decode(fields, BK_COUNT(fields), N_("a snapshot"), data, len, &s, err);
    if (r < 0)
        return r;
    *ret = s;
    s = (struct snapshot){ 0 };
    return 0;
}
