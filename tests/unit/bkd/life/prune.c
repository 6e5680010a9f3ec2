/* Collections with others in between: at each step of the collector somebody writes, commits, forgets or
 * wakes up. */
#include <sys/wait.h>

#include "tests/unit/bkd/backup/backup_fixture.h"

#include "bkd/life/prune.h"
#include "bkd/repo/check.h"
#include "bkd/repo/collection.h"
#include "bkd/repo/names.h"
#include "bkd/repo/session.h"
#include "bkd/repo/sessions.h"
#include "tests/unit/bkd/repo/index_thin.h"

/* A store that calls back before or after an object with some prefix is put. */
struct hooked {
    struct store store;
    struct store *to;
    const char *prefix;
    bool before;
    void (*fn)(void);
    unsigned fired;
};
static struct hooked *hook;

static int hooked_put(struct store *s, const char *name, const void *data, size_t len, struct bk_error *err)
{
    struct hooked *h = (struct hooked *)s;
    bool now = h->fn && strncmp(name, h->prefix, strlen(h->prefix)) == 0 && !h->fired;
    if (now && h->before) {
        h->fired++;
        h->fn();
    }
    int r = store_put(h->to, name, data, len, err);
    if (now && !h->before) {
        h->fired++;
        h->fn();
    }
    return r;
}
static int hooked_get(struct store *s, const char *name, uint64_t offset, void *out, size_t len, size_t *ret,
                      struct bk_error *err)
{
    struct store *to = ((struct hooked *)s)->to;
    return to->ops->get(to, name, offset, out, len, ret, err);
}
static int hooked_stat(struct store *s, const char *name, uint64_t *ret, struct bk_error *err)
{
    return store_stat(((struct hooked *)s)->to, name, ret, err);
}
static int hooked_list(struct store *s, const char *prefix, store_list_fn *fn, void *ctx,
                       struct bk_error *err)
{
    return store_list(((struct hooked *)s)->to, prefix, fn, ctx, err);
}
static int hooked_remove(struct store *s, const char *name, struct bk_error *err)
{
    return store_remove(((struct hooked *)s)->to, name, err);
}
static void hooked_free(struct store *s)
{
    free(s);
    hook = NULL;
}

static struct bed bed;
static struct snapshot first, second; /* that were saved */
static unsigned timeout_s, max_wait_s;
static double max_unused;

static uint8_t bytes_a[400000], bytes_b[300000], bytes_c[200000];

static int collect(const char *prefix, bool before, void (*fn)(void), struct prune_report *rep,
                   struct bk_error *err)
{
    static const struct store_ops ops = { .put = hooked_put,
                                          .get = hooked_get,
                                          .stat = hooked_stat,
                                          .list = hooked_list,
                                          .remove = hooked_remove,
                                          .free = hooked_free };
    hook = calloc(1, sizeof *hook);
    assert_non_null(hook);
    *hook = (struct hooked){ .store = *bed.mem, .to = bed.mem, .prefix = prefix, .before = before, .fn = fn };
    hook->store.ops = &ops;
    struct repo *r = NULL;
    struct job j = { .n_threads = 4 };
    assert_int_equal(try_open(&hook->store, &key_file, &r, err), 0);
    assert_int_equal(job_init(&j, err), 0);
    struct prune_opts o = { .max_unused_percent = max_unused,
                            .poll_ms = 1,
                            .max_wait_s = max_wait_s,
                            .timeout_s = timeout_s ? timeout_s : 600 };
    int rc = prune_run(r, &j, &o, rep, err);
    if (fn && hook)
        assert_int_equal(hook->fired, 1);
    job_clear(&j);
    repo_free(r);
    return rc;
}

static void forget(const struct snapshot *s)
{
    struct bk_error err = { 0 };
    char path[REPO_PATH];
    repo_id_path("snapshots/", s->id, SESSION_ID, path);
    OK(store_remove(bed.mem, path, &err));
}

/* Files a, b and c; then without b. */
static void set_up(void)
{
    bed = bed_new();
    timeout_s = max_wait_s = 0;
    max_unused = 0.1;
    noise(bytes_a, sizeof bytes_a, 1);
    noise(bytes_b, sizeof bytes_b, 2);
    noise(bytes_c, sizeof bytes_c, 3);
    put_file("a", bytes_a, sizeof bytes_a);
    put_file("b", bytes_b, sizeof bytes_b);
    first = bed_run(&bed);
    unlink(at("b"));
    put_file("c", bytes_c, sizeof bytes_c);
    second = bed_run(&bed);
}

static void tear_down(void)
{
    snapshot_clear(&first);
    snapshot_clear(&second);
    unlink(at("a"));
    unlink(at("b"));
    unlink(at("c"));
    bed_free(&bed);
}

static void on_damage(void *ctx, const struct check_damage *d)
{
    (void)ctx;
    print_message("damage: %s: %s\n", d->object ? d->object : "?", d->why ? d->why->text : "");
}

static void is_sound(void)
{
    struct bk_error err = { 0 };
    struct check_report rep = { 0 };
    struct check_opts o = { .read_data = true };
    struct job j = { .n_threads = 1 };
    OK(job_init(&j, &err));
    OK(check_run(bed.repo, &j, &o, on_damage, NULL, &rep, &err));
    job_clear(&j);
    assert_int_equal(rep.n_damages, 0);
    assert_int_equal(rep.n_files_hit, 0);
}

static void has_files(const struct snapshot *s, bool b, bool c)
{
    struct view v = view_open(&bed, s);
    view_file_is(&v, "a", bytes_a, sizeof bytes_a);
    assert_int_equal(view_has(&v, "b"), b);
    assert_int_equal(view_has(&v, "c"), c);
    if (b)
        view_file_is(&v, "b", bytes_b, sizeof bytes_b);
    if (c)
        view_file_is(&v, "c", bytes_c, sizeof bytes_c);
    view_close(&v);
}

static void what_is_needed_stays_and_the_rest_goes(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct prune_report rep;
    set_up();
    OK(collect("", false, NULL, &rep, &err));
    assert_int_equal(rep.n_deleted, 0);
    forget(&first);
    OK(collect("", false, NULL, &rep, &err));
    assert_true(rep.deleted_bytes > sizeof bytes_b);
    assert_int_equal(rep.n_lifted, 0);
    is_sound();
    has_files(&second, false, true);
    forget(&second);
    OK(collect("", false, NULL, &rep, &err));
    assert_int_equal(count_objects(bed.mem, "data/"), 0);
    assert_int_equal(count_objects(bed.mem, "meta/"), 0);
    assert_int_equal(count_objects(bed.mem, "index/"), 0);
    is_sound();
    tear_down();
}

/* Workers write half-used packs anew side by side; what they cannot read stays where it is, and all else goes
 * on. */
static void damaged_packs_that_are_half_used_stay(void **state)
{
    (void)state;
    enum { MANY = 16, FLIPS = 8 };
    struct bk_error err = { 0 };
    struct prune_report rep;
    struct snapshot s[MANY];
    bk_auto(names_clear) struct names packs = { 0 };
    unsigned flipped = 0, stayed = 0;
    set_up();
    for (size_t i = 0; i < MANY; i++) {
        noise(bytes_b, sizeof bytes_b, 100 + i / 2); /* each second one writes both */
        noise(bytes_c, sizeof bytes_c, 200 + i);
        put_file("b", bytes_b, sizeof bytes_b);
        put_file("c", bytes_c, sizeof bytes_c);
        s[i] = bed_run(&bed);
    }
    for (size_t i = 0; i < MANY; i += 2)
        forget(&s[i]);
    OK(names_list(bed.mem, "data/", 1000, &packs, &err));
    for (; flipped < FLIPS && 3 * flipped < packs.n; flipped++)
        flip(bed.mem, packs.v[3 * flipped].name, packs.v[3 * flipped].size / 3);
    assert_true(flipped > 3);
    OK(collect("", false, NULL, &rep, &err));
    assert_true(rep.n_moved > 0);
    assert_true(rep.n_deleted > 0);
    for (size_t i = 0; i < flipped; i++) {
        const struct names_item *p = &packs.v[3 * i];
        uint64_t size;
        if (store_stat(bed.mem, p->name, &size, &(struct bk_error){ 0 }) != 0)
            continue;
        flip(bed.mem, p->name, p->size / 3);
        stayed++;
    }
    assert_true(stayed > 0);
    is_sound();
    for (size_t i = 0; i < MANY; i++) {
        noise(bytes_b, sizeof bytes_b, 100 + i / 2);
        noise(bytes_c, sizeof bytes_c, 200 + i);
        if (i % 2)
            has_files(&s[i], true, true);
        snapshot_clear(&s[i]);
    }
    tear_down();
}

/* Their segments are merged, and what the merged ones supersede waits for the collector on a store like this.
 */
static void many_small_backups_go_with_their_index(void **state)
{
    (void)state;
    enum { MANY = 24 };
    struct bk_error err = { 0 };
    struct prune_report rep;
    struct snapshot s[MANY];
    set_up();
    for (size_t i = 0; i < MANY; i++) {
        noise(bytes_c, sizeof bytes_c, 100 + i);
        put_file("c", bytes_c, sizeof bytes_c);
        s[i] = bed_run(&bed);
    }
    for (size_t i = 0; i + 1 < MANY; i++)
        if (i % 7 != 3)
            forget(&s[i]);
    forget(&first);
    forget(&second);
    OK(collect("", false, NULL, &rep, &err));
    assert_true(rep.n_deleted > MANY / 2);
    is_sound();
    for (size_t i = 0; i < MANY; i++) {
        noise(bytes_c, sizeof bytes_c, 100 + i);
        if (i % 7 == 3 || i + 1 == MANY)
            has_files(&s[i], false, true);
        snapshot_clear(&s[i]);
    }
    OK(collect("", false, NULL, &rep, &err));
    assert_int_equal(rep.n_deleted, 0);
    assert_int_equal(rep.n_segments_removed, 0);
    is_sound();
    tear_down();
}

/* ---- a writer that was there before the tombstones ---- */

static struct session *writer;
static struct repo *writer_repo;

static void open_writer(void)
{
    struct bk_error err = { 0 };
    writer_repo = open_mem(bed.mem);
    OK(session_open(writer_repo, SESSION_WRITER, "backup", &writer, &err));
}

/* It compared with the first snapshot and found nothing changed. */
static int commit_like(const struct snapshot *s, struct snapshot *ret, struct bk_error *err)
{
    struct snapshot copy = { .level = LEVEL_INCREMENTAL, .state = STATE_COMPLETE, .name = strdup("test") };
    memcpy(copy.base, s->base, SESSION_ID);
    copy.streams = calloc(s->n_streams, sizeof *copy.streams);
    copy.n_streams = s->n_streams;
    for (size_t i = 0; i < s->n_streams; i++) {
        copy.streams[i] = s->streams[i];
        copy.streams[i].name = strdup(s->streams[i].name);
    }
    int r = session_commit(writer, &copy, err);
    *ret = copy;
    return r;
}

static void close_writer(void)
{
    session_free(writer);
    repo_free(writer_repo);
    writer = NULL;
}

static struct snapshot third;

static void commit_third(void)
{
    struct bk_error err = { 0 };
    OK(commit_like(&first, &third, &err));
    close_writer();
}

static void who_was_there_before_is_waited_for_and_respected(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct prune_report rep;
    set_up();
    open_writer();
    forget(&first);
    OK(collect("tombstones/", false, commit_third, &rep, &err));
    assert_true(rep.n_lifted > 0);
    is_sound();
    has_files(&third, true, false);
    has_files(&second, false, true);
    forget(&third);
    OK(collect("", false, NULL, &rep, &err));
    assert_true(rep.deleted_bytes > sizeof bytes_b);
    is_sound();
    snapshot_clear(&third);
    tear_down();
}

static void who_gives_no_sign_of_life_is_fenced(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct prune_report rep;
    struct snapshot s;
    set_up();
    session_renew_every(3600000);
    open_writer();
    session_renew_every(30000);
    forget(&first);
    timeout_s = 1;
    OK(collect("", false, NULL, &rep, &err));
    assert_int_equal(rep.n_fenced, 1);
    assert_int_equal(rep.n_lifted, 0);
    assert_int_equal(commit_like(&first, &s, &err), BK_E_FENCED);
    snapshot_clear(&s);
    close_writer();
    is_sound();
    has_files(&second, false, true);
    tear_down();
}

struct slow {
    struct repo *repo;
    struct job job;
    struct prune_report rep;
    struct bk_error err;
    int code;
};

static void *collect_slowly(void *arg)
{
    struct slow *s = arg;
    struct prune_opts o = { .max_unused_percent = 0.1, .poll_ms = 1, .timeout_s = 1 };
    s->code = prune_run(s->repo, &s->job, &o, &s->rep, &s->err);
    return NULL;
}

static void who_is_renewed_is_waited_for(void **state)
{
    (void)state;
    static struct slow s;
    struct bk_error err = { 0 };
    pthread_t t;
    set_up();
    session_renew_every(50);
    open_writer();
    session_renew_every(30000);
    forget(&first);
    s = (struct slow){ .repo = open_mem(bed.mem), .job = { .n_threads = 1 } };
    OK(job_init(&s.job, &err));
    assert_int_equal(pthread_create(&t, NULL, collect_slowly, &s), 0);
    usleep(1500000); /* longer than the timeout */
    commit_third();
    assert_int_equal(pthread_join(t, NULL), 0);
    assert_int_equal(s.code, 0);
    assert_int_equal(s.rep.n_waited, 1);
    assert_int_equal(s.rep.n_fenced, 0);
    assert_true(s.rep.n_lifted > 0);
    job_clear(&s.job);
    repo_free(s.repo);
    is_sound();
    has_files(&third, true, false);
    snapshot_clear(&third);
    tear_down();
}

static void waiting_ends_with_busy_and_the_next_one_goes_on(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct prune_report rep;
    struct collection c = { 0 };
    set_up();
    session_renew_every(50);
    open_writer();
    session_renew_every(30000);
    forget(&first);
    max_wait_s = 1;
    size_t n = count_objects(bed.mem, "data/");
    assert_int_equal(collect("", false, NULL, &rep, &err), BK_E_BUSY);
    assert_non_null(strstr(err.text, "backup on "));
    assert_non_null(strstr(err.hint, "--max-wait"));
    assert_int_equal(rep.n_waited, 1);
    assert_true(count_objects(bed.mem, "data/") >= n); /* more: half-used ones were written anew */
    struct sessions left = { 0 };
    OK(sessions_list(bed.repo, &left, &err));
    assert_int_equal(left.n, 1);
    assert_int_equal(left.v[0].rec.role, SESSION_WRITER);
    sessions_clear(&left);
    err = (struct bk_error){ 0 };
    OK(collection_read(bed.repo, &c, &err));
    assert_int_equal(c.state, COLLECTION_UNDECIDED);
    collection_clear(&c);
    commit_third(); /* needs what is on the list */
    OK(collect("", false, NULL, &rep, &err));
    assert_int_equal(rep.n_resumed, 1);
    assert_true(rep.n_lifted > 0);
    is_sound();
    has_files(&third, true, false);
    has_files(&second, false, true);
    snapshot_clear(&third);
    tear_down();
}

/* ---- sessions whose process is gone ---- */

/* As a process of this host leaves it that is killed. */
static void leave_session(enum session_role role, uint8_t fill, bool alive)
{
    struct bk_error err = { 0 };
    struct session_record rec = { .role = role, .purpose = "backup", .started_ns = 1 };
    struct bk_buf payload = BK_BUF(1 << 16);
    char path[REPO_PATH];
    int fd[2];
    memset(rec.id, fill, SESSION_ID);
    assert_int_equal(gethostname(rec.host, sizeof rec.host - 1), 0);
    if (alive) {
        rec.pid = (uint64_t)getpid();
        sessions_process(rec.process);
    } else {
        assert_int_equal(pipe(fd), 0);
        pid_t pid = fork();
        if (pid == 0) {
            char own[SESSION_TEXT_MAX + 1] = "";
            sessions_process(own);
            _exit(write(fd[1], own, sizeof own) != (ssize_t)sizeof own);
        }
        assert_true(pid > 0);
        assert_int_equal(read(fd[0], rec.process, sizeof rec.process), sizeof rec.process);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        close(fd[0]);
        close(fd[1]);
        rec.pid = (uint64_t)pid;
        assert_int_equal(sessions_fate(&rec), SESSION_DEAD);
    }
    sessions_path(rec.id, 0, path);
    OK(session_record_encode(&rec, &payload, &err));
    OK(repo_put_record(bed.repo, OBJECT_SESSION, path, payload.data, payload.len, &err));
    bk_buf_clear(&payload);
}

static void the_dead_are_ended_also_when_there_is_nothing_to_collect(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct prune_report rep;
    char path[REPO_PATH];
    uint8_t id[SESSION_ID];
    uint64_t size;
    set_up();
    leave_session(SESSION_WRITER, 0xaa, false);
    leave_session(SESSION_READER, 0xbb, false);
    leave_session(SESSION_WRITER, 0xcc, true);
    OK(collect("", false, NULL, &rep, &err));
    assert_int_equal(rep.n_deleted, 0);
    assert_int_equal(rep.n_waited, 0); /* nobody had to be waited for */
    assert_int_equal(rep.n_fenced, 2);
    assert_int_equal(count_objects(bed.mem, "sessions/"), 1); /* the living one's */
    memset(id, 0xaa, SESSION_ID);
    repo_id_path("snapshots/", id, SESSION_ID, path);
    OK(store_stat(bed.mem, path, &size, &err)); /* it can never commit */
    memset(id, 0xbb, SESSION_ID);
    repo_id_path("snapshots/", id, SESSION_ID, path);
    assert_int_equal(store_stat(bed.mem, path, &size, &err), BK_E_ABSENT); /* it never could */
    err = (struct bk_error){ 0 };
    is_sound();
    has_files(&first, true, false);
    has_files(&second, false, true);
    tear_down();
}

/* ---- a writer that came after the tombstones, and its parent goes ---- */

static struct snapshot fourth;

static void save_again_and_forget_the_parent(void)
{
    struct bk_error err = { 0 };
    struct collection c = { 0 };
    /* the writer from before commits what needs candidates */
    OK(commit_like(&first, &third, &err));
    close_writer();
    OK(collection_read(bed.repo, &c, &err));
    assert_int_equal(c.state, COLLECTION_UNDECIDED);
    collection_clear(&c);
    /* and somebody saves what looks unchanged since then */
    fourth = bed_run(&bed);
    assert_memory_equal(fourth.parent, third.id, SESSION_ID);
    forget(&third);
}

static void what_only_a_forgotten_parent_kept_is_stored_again(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct prune_report rep;
    set_up();
    /* the source looks as it did for the first one */
    unlink(at("c"));
    put_file("b", bytes_b, sizeof bytes_b);
    forget(&first);
    snapshot_clear(&first);
    first = bed_run(&bed);
    open_writer();
    forget(&first);
    OK(collect("tombstones/", false, save_again_and_forget_the_parent, &rep, &err));
    assert_true(rep.deleted_bytes > sizeof bytes_b);
    is_sound();
    has_files(&fourth, true, false);
    has_files(&second, false, true);
    snapshot_clear(&third);
    snapshot_clear(&fourth);
    tear_down();
}

/* ---- others collect as well ---- */

static void go(void)
{
    struct bk_error err = { 0 };
    struct hooked *mine = hook;
    struct prune_report rep;
    timeout_s = 1;
    /* our session stands there still: it counts as living, since its process does */
    assert_int_equal(collect("", false, NULL, &rep, &err), BK_E_BUSY);
    hook = mine;
}

static void a_second_collection_gives_way(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct prune_report rep;
    set_up();
    forget(&first);
    OK(collect("tombstones/", false, go, &rep, &err));
    assert_true(rep.n_deleted > 0);
    is_sound();
    tear_down();
}

static int remove_one(void *ctx, const char *name, uint64_t size, struct bk_error *err)
{
    (void)size;
    return store_remove(ctx, name, err);
}

static struct prune_report others;

/* Another collector took us for dead, ended our collection, and made one or two of its own. */
static void be_overtaken(unsigned rounds)
{
    struct bk_error err = { 0 };
    struct hooked *mine = hook;
    OK(store_list(bed.mem, "sessions/", remove_one, bed.mem, &err));
    for (unsigned i = 0; i < rounds; i++) {
        put_file("c", bytes_c, 1000 * (i + 1));
        struct snapshot s = bed_run(&bed);
        forget(&s);
        snapshot_clear(&s);
        OK(collect("", false, NULL, &others, &err));
    }
    hook = mine;
}

static void be_overtaken_once(void)
{
    be_overtaken(1);
}

static void be_overtaken_thrice(void)
{
    be_overtaken(3);
}

static void who_slept_before_its_decision_does_no_harm(void **state)
{
    (void)state;
    struct prune_report rep;
    for (int thrice = 0; thrice < 2; thrice++) {
        struct bk_error err = { 0 };
        set_up();
        forget(&first);
        int r = collect("generation/", true, thrice ? be_overtaken_thrice : be_overtaken_once, &rep, &err);
        assert_int_equal(r, BK_E_FENCED);
        is_sound();
        has_files(&second, false, true);
        OK(collect("", false, NULL, &rep, &err));
        is_sound();
        tear_down();
    }
}

static void who_slept_before_its_tombstones_does_no_harm(void **state)
{
    (void)state;
    struct prune_report rep;
    for (int thrice = 0; thrice < 2; thrice++) {
        struct bk_error err = { 0 };
        set_up();
        forget(&first);
        int r = collect("tombstones/", true, thrice ? be_overtaken_thrice : be_overtaken_once, &rep, &err);
        assert_true(r == BK_E_BUSY || r == BK_E_FENCED);
        is_sound();
        has_files(&second, false, true);
        OK(collect("", false, NULL, &rep, &err));
        is_sound();
        tear_down();
    }
}

/* It puts segments that name packs which others have deleted since. */
static void who_slept_before_its_segments_does_no_harm(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct prune_report rep;
    set_up();
    forget(&first);
    (void)!collect("index/", true, be_overtaken_thrice, &rep, &err);
    struct snapshot s = bed_run(&bed);
    has_files(&second, false, true);
    struct view v = view_open(&bed, &s);
    view_file_is(&v, "a", bytes_a, sizeof bytes_a);
    view_close(&v);
    err = (struct bk_error){ 0 };
    OK(collect("", false, NULL, &rep, &err));
    is_sound();
    snapshot_clear(&s);
    tear_down();
}

/* ---- what cannot be read ---- */

static void a_damaged_snapshot_stops_everything(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct prune_report rep;
    set_up();
    char path[REPO_PATH];
    repo_id_path("snapshots/", first.id, SESSION_ID, path);
    flip(bed.mem, path, 100);
    size_t n = count_objects(bed.mem, "data/");
    assert_int_equal(collect("", false, NULL, &rep, &err), BK_E_CORRUPT);
    assert_true(err.hint[0]);
    assert_int_equal(count_objects(bed.mem, "data/"), n);
    has_files(&second, false, true);
    OK(store_remove(bed.mem, path, &err)); /* given up */
    OK(collect("", false, NULL, &rep, &err));
    assert_true(rep.deleted_bytes > sizeof bytes_b);
    is_sound();
    tear_down();
}

static void a_lost_index_is_no_reason_to_delete(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct prune_report rep;
    set_up();
    OK(store_list(bed.mem, "index/", remove_one, bed.mem, &err));
    OK(collect("", false, NULL, &rep, &err));
    assert_int_equal(rep.n_deleted, 0);
    has_files(&first, true, false);
    has_files(&second, false, true);
    tear_down();
}

static void count_damage(void *ctx, const struct check_damage *d)
{
    (void)d;
    ++*(unsigned *)ctx;
}

/* Some chunks of packs that are named are in no segment: they are needed all the same. */
static void an_incomplete_index_is_no_reason_to_delete(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct prune_report rep;
    struct check_report found = { 0 };
    struct job j = { .n_threads = 1 };
    struct index *x = NULL;
    unsigned damages = 0;
    for (unsigned nth = 1; nth < 6; nth++) {
        set_up();
        OK(index_open(bed.repo, NULL, NULL, &x, &err));
        assert_in_range(index_thin(x, nth), 3, 1000);
        index_free(x);
        OK(job_init(&j, &err));
        damages = 0;
        found = (struct check_report){ 0 };
        OK(check_run(bed.repo, &j, &(struct check_opts){ .read_data = true }, count_damage, &damages, &found,
                     &err));
        job_clear(&j);
        assert_int_equal(damages, 1); /* of the index, and told once */
        assert_int_equal(found.n_files_hit, 0);
        forget(&first);
        OK(collect("", false, NULL, &rep, &err));
        assert_true(rep.deleted_bytes > 0);
        has_files(&second, false, true);
        snapshot_clear(&first);
        is_sound();
        tear_down();
    }
}

/* What lies on it is in packs that are written anew, among others. */
static void a_rotten_page_of_the_index_stops_no_collection(void **state)
{
    (void)state;
    for (size_t i = 0;; i++) {
        struct bk_error err = { 0 };
        struct prune_report rep;
        bk_auto(names_clear) struct names l = { 0 };
        struct snapshot one, other; /* the folder's page is the same in both, the top's is not */
        set_up();
        max_unused = 0;
        assert_int_equal(mkdir(at("d"), 0755), 0);
        put_file("d/b", bytes_b, sizeof bytes_b);
        one = bed_run(&bed);
        unlink(at("c"));
        other = bed_run(&bed);
        OK(names_list(bed.mem, "index/", 100, &l, &err));
        if (i < l.n) {
            flip(bed.mem, l.v[i].name, SEGMENT_PAGE + 40); /* an entry page */
            forget(&first);
            forget(&one);
            OK(collect("", false, NULL, &rep, &err));
            assert_true(rep.deleted_bytes > 0);
            OK(collect("", false, NULL, &rep, &err));
            has_files(&second, false, true);
            has_files(&other, false, false);
        }
        snapshot_clear(&one);
        snapshot_clear(&other);
        unlink(at("d/b"));
        rmdir(at("d"));
        tear_down();
        if (i >= l.n) {
            assert_true(i > 2);
            return;
        }
    }
}

static void tombstones_that_cannot_be_read_are_passed_over(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    struct prune_report rep;
    set_up();
    OK(store_put(bed.mem, "tombstones/7", "x", 1, &err));
    struct snapshot s = bed_run(&bed); /* relies on nothing */
    has_files(&s, false, true);
    forget(&first);
    OK(collect("", false, NULL, &rep, &err)); /* careful: nothing is moved */
    uint64_t deleted = rep.deleted_bytes;
    assert_int_equal(count_objects(bed.mem, "tombstones/7"), 0);
    assert_int_equal(count_objects(bed.mem, "generation/8"), 1);
    OK(collect("", false, NULL, &rep, &err));
    assert_true(deleted + rep.deleted_bytes > sizeof bytes_b);
    is_sound();
    has_files(&second, false, true);
    has_files(&s, false, true);
    snapshot_clear(&s);
    tear_down();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_needed_stays_and_the_rest_goes),
        cmocka_unit_test(damaged_packs_that_are_half_used_stay),
        cmocka_unit_test(many_small_backups_go_with_their_index),
        cmocka_unit_test(who_was_there_before_is_waited_for_and_respected),
        cmocka_unit_test(who_gives_no_sign_of_life_is_fenced),
        cmocka_unit_test(who_is_renewed_is_waited_for),
        cmocka_unit_test(waiting_ends_with_busy_and_the_next_one_goes_on),
        cmocka_unit_test(the_dead_are_ended_also_when_there_is_nothing_to_collect),
        cmocka_unit_test(what_only_a_forgotten_parent_kept_is_stored_again),
        cmocka_unit_test(a_second_collection_gives_way),
        cmocka_unit_test(who_slept_before_its_decision_does_no_harm),
        cmocka_unit_test(who_slept_before_its_tombstones_does_no_harm),
        cmocka_unit_test(who_slept_before_its_segments_does_no_harm),
        cmocka_unit_test(a_damaged_snapshot_stops_everything),
        cmocka_unit_test(a_lost_index_is_no_reason_to_delete),
        cmocka_unit_test(an_incomplete_index_is_no_reason_to_delete),
        cmocka_unit_test(a_rotten_page_of_the_index_stops_no_collection),
        cmocka_unit_test(tombstones_that_cannot_be_read_are_passed_over),
    };
    return cmocka_run_group_tests(tests, place_make, place_remove);
}
