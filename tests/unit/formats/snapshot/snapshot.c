#include "formats/snapshot/snapshot.h"
#include "tests/unit/formats/support.h"

static char *dup_of(const char *s)
{
    char *p = strdup(s);
    assert_non_null(p);
    return p;
}

/* The least that is valid. */
static struct snapshot minimal(void)
{
    struct snapshot s = { .sequence = 1, .level = LEVEL_FULL, .state = STATE_COMPLETE };
    memset(s.id, 0xaa, sizeof s.id);
    memset(s.base, 0xaa, sizeof s.base);
    return s;
}

static void random_text(struct dice *d, char *out, size_t max)
{
    size_t n = roll_n(d, max);
    for (size_t i = 0; i < n; i++)
        out[i] = (char)(1 + roll_n(d, 255));
    out[n] = '\0';
}

static void random_list(struct dice *d, struct snapshot_list *l)
{
    char text[64];
    for (size_t n = roll_n(d, 6); n; n--) {
        random_text(d, text, sizeof text);
        assert_int_equal(snapshot_list_add(l, text, NULL), 0);
    }
}

static struct snapshot_id_name *random_owners(struct dice *d, size_t *n)
{
    char text[32];
    *n = roll_n(d, 5);
    struct snapshot_id_name *v = *n ? calloc(*n, sizeof *v) : NULL;
    for (size_t i = 0; i < *n; i++) {
        random_text(d, text, sizeof text);
        v[i] = (struct snapshot_id_name){ (uint32_t)roll_size(d), dup_of(text) };
    }
    return v;
}

static void random_streams(struct dice *d, struct snapshot *s)
{
    char text[32];
    s->n_streams = roll_n(d, 5);
    s->streams = s->n_streams ? calloc(s->n_streams, sizeof *s->streams) : NULL;
    for (size_t i = 0; i < s->n_streams; i++) {
        struct snapshot_stream *t = &s->streams[i];
        t->kind = (enum stream_kind)(1 + roll_n(d, 5));
        random_text(d, text, sizeof text);
        t->name = dup_of(text);
        if (t->kind == STREAM_TREE) {
            t->tree.depth = (uint8_t)(1 + roll_n(d, TREE_DEPTH_MAX));
            roll_bytes(d, t->tree.id.b, CHUNK_ID);
        } else {
            t->content.depth = (uint8_t)(1 + roll_n(d, CONTENT_DEPTH_MAX));
            t->content.size = 1 + (roll_size(d) >> 2);
            roll_bytes(d, t->content.root.b, CHUNK_ID);
        }
    }
}

static void random_snapshot(struct dice *d, struct snapshot *s)
{
    char text[64];
    uint64_t *numbers[] = { &s->sequence,  &s->generation,   &s->n_files,       &s->n_dirs,
                            &s->n_others,  &s->n_exceptions, &s->content_bytes, &s->read_bytes,
                            &s->new_bytes, &s->stored_bytes, &s->n_unchanged };
    char **texts[] = { &s->name, &s->host, &s->user, &s->program };
    roll_bytes(d, s->id, sizeof s->id);
    roll_bytes(d, s->base, sizeof s->base);
    if (roll_n(d, 2))
        roll_bytes(d, s->parent, sizeof s->parent);
    if (roll_n(d, 2)) {
        roll_bytes(d, s->origin_repo, sizeof s->origin_repo);
        roll_bytes(d, s->origin, sizeof s->origin);
    }
    for (size_t i = 0; i < BK_COUNT(numbers); i++)
        *numbers[i] = roll_size(d);
    for (size_t i = 0; i < BK_COUNT(texts); i++) {
        random_text(d, text, sizeof text);
        *texts[i] = dup_of(text);
    }
    s->level = (enum snapshot_level)(1 + roll_n(d, 3));
    s->state = (enum snapshot_state)(1 + roll_n(d, 3));
    s->start_ns = (int64_t)roll(d);
    s->end_ns = (int64_t)roll_size(d);
    random_list(d, &s->paths);
    random_list(d, &s->excludes);
    random_list(d, &s->tags);
    s->users = random_owners(d, &s->n_users);
    s->groups = random_owners(d, &s->n_groups);
    random_streams(d, s);
}

static void assert_same_list(const struct snapshot_list *a, const struct snapshot_list *b)
{
    assert_int_equal(a->n, b->n);
    for (size_t i = 0; i < a->n; i++)
        assert_string_equal(a->v[i], b->v[i]);
}

static void assert_same_owners(const struct snapshot_id_name *a, size_t n, const struct snapshot_id_name *b,
                               size_t m)
{
    assert_int_equal(n, m);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(a[i].id, b[i].id);
        assert_string_equal(a[i].name, b[i].name);
    }
}

static void assert_same_streams(const struct snapshot *a, const struct snapshot *b)
{
    assert_int_equal(a->n_streams, b->n_streams);
    for (size_t i = 0; i < a->n_streams; i++) {
        const struct snapshot_stream *s = &a->streams[i], *t = &b->streams[i];
        assert_int_equal(s->kind, t->kind);
        assert_string_equal(s->name, t->name);
        assert_int_equal(s->tree.depth, t->tree.depth);
        assert_memory_equal(s->tree.id.b, t->tree.id.b, CHUNK_ID);
        assert_int_equal(s->content.size, t->content.size);
        assert_int_equal(s->content.depth, t->content.depth);
        assert_memory_equal(s->content.root.b, t->content.root.b, CHUNK_ID);
    }
}

static void assert_same(const struct snapshot *a, const struct snapshot *b)
{
    assert_memory_equal(a->id, b->id, SESSION_ID);
    assert_memory_equal(a->parent, b->parent, SESSION_ID);
    assert_memory_equal(a->origin_repo, b->origin_repo, SESSION_ID);
    assert_memory_equal(a->origin, b->origin, SESSION_ID);
    assert_memory_equal(a->base, b->base, SESSION_ID);
    assert_int_equal(a->sequence, b->sequence);
    assert_int_equal(a->generation, b->generation);
    assert_int_equal(a->level, b->level);
    assert_int_equal(a->state, b->state);
    assert_int_equal(a->start_ns, b->start_ns);
    assert_int_equal(a->end_ns, b->end_ns);
    assert_string_equal(a->name, b->name);
    assert_string_equal(a->host, b->host);
    assert_string_equal(a->user, b->user);
    assert_string_equal(a->program, b->program);
    assert_same_list(&a->paths, &b->paths);
    assert_same_list(&a->excludes, &b->excludes);
    assert_same_list(&a->tags, &b->tags);
    assert_int_equal(a->n_files, b->n_files);
    assert_int_equal(a->n_dirs, b->n_dirs);
    assert_int_equal(a->n_others, b->n_others);
    assert_int_equal(a->n_exceptions, b->n_exceptions);
    assert_int_equal(a->content_bytes, b->content_bytes);
    assert_int_equal(a->read_bytes, b->read_bytes);
    assert_int_equal(a->new_bytes, b->new_bytes);
    assert_int_equal(a->stored_bytes, b->stored_bytes);
    assert_int_equal(a->n_unchanged, b->n_unchanged);
    assert_same_owners(a->users, a->n_users, b->users, b->n_users);
    assert_same_owners(a->groups, a->n_groups, b->groups, b->n_groups);
    assert_same_streams(a, b);
}

static void snapshots_come_back(void **state)
{
    (void)state;
    struct dice d = { 51 };
    for (int i = 0; i < 300; i++) {
        bk_auto(snapshot_clear) struct snapshot s = { 0 }, back = { 0 };
        bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(1 << 20);
        random_snapshot(&d, &s);
        assert_int_equal(snapshot_encode(&s, &b, NULL), 0);
        assert_int_equal(snapshot_decode(b.data, b.len, &back, NULL), 0);
        assert_same(&s, &back);
    }
}

static void bytes_of_a_snapshot_are_pinned(void **state)
{
    (void)state;
    bk_auto(snapshot_clear) struct snapshot s = minimal();
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(4096);
    memset(s.parent, 0xbb, sizeof s.parent);
    s.generation = 300;
    s.start_ns = -1;
    s.end_ns = 2;
    s.name = dup_of("n");
    s.n_files = 5;
    assert_int_equal(snapshot_list_add(&s.paths, "/a", NULL), 0);
    assert_int_equal(snapshot_list_add(&s.paths, "/b", NULL), 0);
    s.users = calloc(1, sizeof *s.users);
    s.users[s.n_users++] = (struct snapshot_id_name){ 1000, dup_of("u") };
    s.streams = calloc(2, sizeof *s.streams);
    s.streams[s.n_streams++] =
        (struct snapshot_stream){ .kind = STREAM_TREE, .name = dup_of(""), .tree.depth = 1 };
    s.streams[s.n_streams++] =
        (struct snapshot_stream){ .kind = STREAM_EXCEPTIONS, .name = dup_of("x"), .content = { 0 } };
    assert_int_equal(snapshot_encode(&s, &b, NULL), 0);
    assert_hex(b.data, b.len,
               "0110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
               "0210bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
               "0410aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
               "060101"
               "0802ac02"
               "030101"
               "050101"
               "0a0101"
               "0c0104"
               "0e016e"
               "16022f61"
               "16022f62"
               "1c0105"
               "2e03e80775"
               "07230100010000000000000000000000000000000000000000000000000000000000000000"
               "07050401780000");
}

static void put(struct bk_buf *b, unsigned number, const void *value, size_t len)
{
    assert_int_equal(bk_buf_varint(b, number, NULL), 0);
    assert_int_equal(bk_buf_bytes(b, value, len, NULL), 0);
}

static struct bk_buf encoded(const struct snapshot *s)
{
    struct bk_buf b = BK_BUF(1 << 20);
    assert_int_equal(snapshot_encode(s, &b, NULL), 0);
    return b;
}

static int decode_with(unsigned number, const void *value, size_t len)
{
    struct snapshot s = minimal(), back = { 0 };
    bk_auto(bk_buf_clear) struct bk_buf b = encoded(&s);
    put(&b, number, value, len);
    int r = snapshot_decode(b.data, b.len, &back, NULL);
    if (r < 0)
        assert_null(back.name); /* untouched */
    snapshot_clear(&back);
    return r;
}

static void fields_of_the_future_skip_or_stop(void **state)
{
    (void)state;
    assert_int_equal(decode_with(54, "abc", 3), 0);
    assert_int_equal(decode_with(100000, "", 0), 0);
    assert_int_equal(decode_with(9, "abc", 3), BK_E_VERSION);
    assert_int_equal(decode_with(100001, "", 0), BK_E_VERSION);
}

static void bad_fields_are_refused(void **state)
{
    (void)state;
    static char big[SNAPSHOT_PATH_MAX + 1];
    memset(big, 'x', sizeof big);
    assert_int_equal(decode_with(6, "\x01", 1), BK_E_CORRUPT);      /* twice */
    assert_int_equal(decode_with(28, "\x01\x02", 2), BK_E_CORRUPT); /* bytes too many */
    assert_int_equal(decode_with(28, "", 0), BK_E_CORRUPT);
    assert_int_equal(decode_with(2, "short", 5), BK_E_CORRUPT);
    assert_int_equal(decode_with(14, "a\0b", 3), BK_E_CORRUPT);
    assert_int_equal(decode_with(14, big, SNAPSHOT_TEXT_MAX), 0);
    assert_int_equal(decode_with(14, big, SNAPSHOT_TEXT_MAX + 1), BK_E_CORRUPT);
    assert_int_equal(decode_with(26, big, SNAPSHOT_TEXT_MAX + 1), BK_E_CORRUPT);
    assert_int_equal(decode_with(22, big, SNAPSHOT_PATH_MAX), 0);
    assert_int_equal(decode_with(22, big, SNAPSHOT_PATH_MAX + 1), BK_E_CORRUPT);
    assert_int_equal(decode_with(46, "\x80\x80\x80\x80\x10u", 6), BK_E_CORRUPT); /* owner 2^32 */
    assert_int_equal(decode_with(7, "\x00\x00\x00", 3), BK_E_CORRUPT);           /* stream of kind 0 */
    assert_int_equal(decode_with(7, "\x06\x00\x00", 3), BK_E_VERSION);
    assert_int_equal(decode_with(7, "\x01\x00\x07", 3), BK_E_CORRUPT);         /* tree of depth 7 */
    assert_int_equal(decode_with(7, "\x02\x00\x00\x00\x00", 5), BK_E_CORRUPT); /* bytes after it */
    assert_int_equal(decode_with(7, "\x02\x00\x00\x00", 4), 0);
}

static void missing_fields_are_noticed(void **state)
{
    (void)state;
    static const unsigned mandatory[] = { 1, 3, 4, 5, 6, 8, 10, 12 };
    struct snapshot s = minimal();
    bk_auto(bk_buf_clear) struct bk_buf whole = encoded(&s);
    for (size_t i = 0; i < BK_COUNT(mandatory); i++) {
        bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(1 << 20);
        struct bk_reader r = bk_reader_of(whole.data, whole.len);
        size_t n = 0;
        while (bk_reader_left(&r)) {
            size_t len;
            unsigned number = (unsigned)bk_read_varint(&r);
            const uint8_t *value = bk_read_bytes(&r, SIZE_MAX, &len);
            if (number != mandatory[i])
                put(&b, number, value, len);
            n++;
        }
        assert_int_equal(n, BK_COUNT(mandatory)); /* nothing else is written for it */
        struct snapshot back;
        assert_int_equal(snapshot_decode(b.data, b.len, &back, NULL), BK_E_CORRUPT);
    }
    struct snapshot back;
    assert_int_equal(snapshot_decode("", 0, &back, NULL), BK_E_CORRUPT);
}

static void unknown_values_of_enums_need_a_newer_version(void **state)
{
    (void)state;
    struct snapshot s = minimal();
    bk_auto(bk_buf_clear) struct bk_buf b = encoded(&s);
    uint8_t *level = memmem(b.data, b.len, "\x03\x01\x01\x05", 4);
    assert_non_null(level);
    struct snapshot back;
    level[2] = 4;
    assert_int_equal(snapshot_decode(b.data, b.len, &back, NULL), BK_E_VERSION);
    level[2] = 0;
    assert_int_equal(snapshot_decode(b.data, b.len, &back, NULL), BK_E_CORRUPT);
}

static void impossible_snapshots_are_not_written(void **state)
{
    (void)state;
    static char big[SNAPSHOT_PATH_MAX + 2];
    memset(big, 'x', sizeof big - 1);
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(1 << 20);
    struct snapshot s = minimal();
    s.level = (enum snapshot_level)0;
    assert_int_equal(snapshot_encode(&s, &b, NULL), BK_E_USAGE);
    s = minimal();
    s.state = (enum snapshot_state)4;
    assert_int_equal(snapshot_encode(&s, &b, NULL), BK_E_USAGE);
    s = minimal();
    s.name = big;
    assert_int_equal(snapshot_encode(&s, &b, NULL), BK_E_LIMIT);
    s = minimal();
    struct snapshot_stream stream = { .kind = (enum stream_kind)9 };
    s.streams = &stream;
    s.n_streams = 1;
    assert_int_equal(snapshot_encode(&s, &b, NULL), BK_E_USAGE);
    s.n_streams = SNAPSHOT_STREAMS_MAX + 1;
    assert_int_equal(snapshot_encode(&s, &b, NULL), BK_E_LIMIT);
    assert_int_equal(b.len, 0);
    bk_auto(snapshot_list_clear) struct snapshot_list l = { 0 };
    assert_int_equal(snapshot_list_add(&l, big, NULL), BK_E_LIMIT);
    assert_int_equal(l.n, 0);
}

static void lists_have_a_ceiling(void **state)
{
    (void)state;
    bk_auto(snapshot_list_clear) struct snapshot_list l = { 0 };
    for (size_t i = 0; i < SNAPSHOT_LIST_MAX; i++)
        assert_int_equal(snapshot_list_add(&l, "", NULL), 0);
    assert_int_equal(snapshot_list_add(&l, "", NULL), BK_E_LIMIT);
    assert_int_equal(l.n, SNAPSHOT_LIST_MAX);
}

static void read_any(const void *p, size_t n)
{
    bk_auto(snapshot_clear) struct snapshot s = { 0 }, back = { 0 };
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(1 << 20);
    int r = snapshot_decode(p, n, &s, NULL);
    assert_true(r == 0 || r == BK_E_CORRUPT || r == BK_E_VERSION);
    if (r < 0)
        return;
    assert_int_equal(snapshot_encode(&s, &b, NULL), 0); /* what is accepted is valid */
    assert_int_equal(snapshot_decode(b.data, b.len, &back, NULL), 0);
    assert_same(&s, &back);
}

static void damaged_snapshots_fail_or_are_valid(void **state)
{
    (void)state;
    struct dice d = { 52 };
    for (int i = 0; i < 3; i++) {
        bk_auto(snapshot_clear) struct snapshot s = { 0 };
        random_snapshot(&d, &s);
        bk_auto(bk_buf_clear) struct bk_buf b = encoded(&s);
        damage(b.data, b.len, read_any);
    }
}

static void streams_are_found_by_kind(void **state)
{
    (void)state;
    struct snapshot_stream v[3] = { { .kind = STREAM_TREE },
                                    { .kind = STREAM_BLOB },
                                    { .kind = STREAM_BLOB } };
    struct snapshot s = { .streams = v, .n_streams = 3 };
    assert_ptr_equal(snapshot_stream_of(&s, STREAM_BLOB), &v[1]);
    assert_null(snapshot_stream_of(&s, STREAM_DISK));
    assert_string_equal(snapshot_level_name(LEVEL_DIFFERENTIAL), "differential");
    assert_string_equal(snapshot_state_name(STATE_INCOMPLETE), "incomplete");
    assert_string_equal(snapshot_stream_kind_name(STREAM_BLOCK_HASHES), "block-hashes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(snapshots_come_back),
        cmocka_unit_test(bytes_of_a_snapshot_are_pinned),
        cmocka_unit_test(fields_of_the_future_skip_or_stop),
        cmocka_unit_test(bad_fields_are_refused),
        cmocka_unit_test(missing_fields_are_noticed),
        cmocka_unit_test(unknown_values_of_enums_need_a_newer_version),
        cmocka_unit_test(impossible_snapshots_are_not_written),
        cmocka_unit_test(lists_have_a_ceiling),
        cmocka_unit_test(damaged_snapshots_fail_or_are_valid),
        cmocka_unit_test(streams_are_found_by_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
