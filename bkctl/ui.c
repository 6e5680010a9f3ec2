#include "bkctl/ui.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "bkctl/command.h"
#include "bkctl/text.h"

enum {
    LIVE_MS = 200,
    JSON_MS = 1000,
    PLAIN_MS = 10000,
};

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int ui_init(struct ui *u, struct job *j, struct bk_error *err)
{
    const char *term = getenv("TERM");
    u->job = j;
    u->json_out = stdout;
    u->live = !u->json && !u->quiet && isatty(STDERR_FILENO) && term && strcmp(term, "dumb");
    u->start_ns = now_ns();
    pthread_condattr_t attr;
    int r = pthread_mutex_init(&u->lock, NULL);
    if (r == 0)
        r = pthread_condattr_init(&attr);
    if (r == 0) {
        pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        r = pthread_cond_init(&u->wake, &attr);
        pthread_condattr_destroy(&attr);
    }
    return r ? bk_fail_errno(err, r, "set up the display") : 0;
}

void ui_clear(struct ui *u)
{
    ui_end(u);
    pthread_cond_destroy(&u->wake);
    pthread_mutex_destroy(&u->lock);
}

double ui_seconds(const struct ui *u)
{
    return (double)(now_ns() - u->start_ns) / 1e9;
}

static void erase(struct ui *u)
{
    if (u->drawn)
        fputs("\r\033[K", stderr);
    u->drawn = false;
}

/* Rate over the last samples; older ones fade. */
static void sample(struct ui *u)
{
    int64_t now = now_ns();
    uint64_t bytes = atomic_load(&u->job->done_bytes);
    double dt = (double)(now - u->last_ns) / 1e9;
    if (dt < 0.05)
        return;
    double rate = bytes >= u->last_bytes ? (double)(bytes - u->last_bytes) / dt : 0;
    double keep = dt < 3 ? 1 - dt / 3 : 0;
    u->rate = u->rate > 0 ? u->rate * keep + rate * (1 - keep) : rate;
    u->last_ns = now;
    u->last_bytes = bytes;
}

/* Seconds to go, or -1. */
static double eta(const struct ui *u, uint64_t done, uint64_t total)
{
    return total > done && u->rate > 0 ? (double)(total - done) / u->rate : -1;
}

static int columns(void)
{
    struct winsize w;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 20 ? w.ws_col : 80;
}

static int status_line(const struct ui *u, char *out, size_t len)
{
    struct job *j = u->job;
    uint64_t done = atomic_load(&j->done_bytes), total = atomic_load(&j->total_bytes);
    char b1[TEXT_SIZE], b2[TEXT_SIZE], b3[TEXT_SIZE], b4[TEXT_SIZE], b5[TEXT_SIZE], b6[TEXT_SIZE];
    int n = 0;
    if (total)
        n = snprintf(out, len, "%s / %s (%.0f%%)", text_bytes(done, b1), text_bytes(total, b2),
                     100.0 * (double)(done < total ? done : total) / (double)total);
    else
        n = snprintf(out, len, "%s", text_bytes(done, b1));
    uint64_t items = atomic_load(&j->done_items), exceptions = atomic_load(&j->exceptions);
    n += snprintf(out + n, len - (size_t)n,
                  ngettext(", %llu item, %s/s", ", %llu items, %s/s", (unsigned long)items),
                  (unsigned long long)items, text_bytes((uint64_t)u->rate, b3));
    double left = eta(u, done, total);
    if (left >= 0)
        n += snprintf(out + n, len - (size_t)n, _(", %s left"), text_seconds(left, b4));
    uint64_t fresh = atomic_load(&j->new_bytes), stored = atomic_load(&j->stored_bytes);
    if (fresh || stored)
        n += snprintf(out + n, len - (size_t)n, _(", new %s, stored %s"), text_bytes(fresh, b5),
                      text_bytes(stored, b6));
    if (exceptions)
        n += snprintf(out + n, len - (size_t)n,
                      ngettext(", %llu exception", ", %llu exceptions", (unsigned long)exceptions),
                      (unsigned long long)exceptions);
    return n;
}

static void draw_live(struct ui *u)
{
    char line[512], path[JOB_PATH_MAX], shown[JOB_PATH_MAX];
    int n = status_line(u, line, sizeof line);
    job_get_path(u->job, path);
    text_path(path, strlen(path), shown, sizeof shown);
    int room = columns() - 1 - text_width(line) - 2;
    const char *p = shown;
    bool cut = text_width(p) > room;
    while (cut && *p && text_width(p) > room - 3) { /* the end of a path says more than its start */
        do
            p++;
        while ((*p & 0xc0) == 0x80);
    }
    bool fits = room > 8 && *p;
    fprintf(stderr, "\r%.*s%s%s%s\033[K", n, line, fits ? "  " : "", fits && cut ? "..." : "", fits ? p : "");
    fflush(stderr);
    u->drawn = true;
}

static json_t *progress_record(struct ui *u)
{
    struct job *j = u->job;
    char path[JOB_PATH_MAX];
    job_get_path(j, path);
    uint64_t done = atomic_load(&j->done_bytes), total = atomic_load(&j->total_bytes);
    json_t *o = json_object();
    json_object_set_new(o, "type", json_string("progress"));
    json_object_set_new(o, "command", json_string(u->verb));
    json_object_set_new(o, "seconds", json_real(ui_seconds(u)));
    json_object_set_new(o, "done_bytes", text_json_u64(done));
    json_object_set_new(o, "total_bytes", text_json_u64(total));
    json_object_set_new(o, "done_items", text_json_u64(atomic_load(&j->done_items)));
    json_object_set_new(o, "total_items", text_json_u64(atomic_load(&j->total_items)));
    json_object_set_new(o, "bytes_per_second", text_json_u64((uint64_t)u->rate));
    double left = eta(u, done, total);
    json_object_set_new(o, "seconds_left", left >= 0 ? json_real(left) : json_null());
    json_object_set_new(o, "read_bytes", text_json_u64(atomic_load(&j->read_bytes)));
    json_object_set_new(o, "new_bytes", text_json_u64(atomic_load(&j->new_bytes)));
    json_object_set_new(o, "stored_bytes", text_json_u64(atomic_load(&j->stored_bytes)));
    json_object_set_new(o, "exceptions", text_json_u64(atomic_load(&j->exceptions)));
    text_json_bytes(o, "path", path, strlen(path));
    return o;
}

static void put_json(struct ui *u, json_t *o)
{
    json_dumpf(o, u->json_out, JSON_COMPACT | JSON_REAL_PRECISION(9));
    fputc('\n', u->json_out);
    fflush(u->json_out);
    json_decref(o);
}

static void show(struct ui *u)
{
    sample(u);
    if (u->json) {
        json_t *o = progress_record(u);
        if (o)
            put_json(u, o);
    } else if (u->live) {
        draw_live(u);
    } else {
        char line[512];
        status_line(u, line, sizeof line);
        fprintf(stderr, "%s: %s\n", u->verb, line);
    }
}

static void *display(void *arg)
{
    struct ui *u = arg;
    int64_t every = (int64_t)(u->live ? LIVE_MS : u->json ? JSON_MS : PLAIN_MS) * 1000000;
    int64_t due = now_ns() + every;
    pthread_mutex_lock(&u->lock);
    while (!u->stop) {
        struct timespec at = { .tv_sec = due / 1000000000, .tv_nsec = due % 1000000000 };
        if (pthread_cond_timedwait(&u->wake, &u->lock, &at) == ETIMEDOUT) {
            show(u);
            due = now_ns() + every;
        }
    }
    pthread_mutex_unlock(&u->lock);
    return NULL;
}

int ui_begin(struct ui *u, const char *verb, struct bk_error *err)
{
    u->verb = verb;
    u->start_ns = u->last_ns = now_ns();
    u->last_bytes = 0;
    u->rate = 0;
    u->stop = false;
    if (u->quiet || !(u->live || u->json || u->verbose))
        return 0;
    int r = pthread_create(&u->thread, NULL, display, u);
    if (r)
        return bk_fail_errno(err, r, "start the display");
    u->running = true;
    return 0;
}

void ui_end(struct ui *u)
{
    if (!u->running)
        return;
    pthread_mutex_lock(&u->lock);
    u->stop = true;
    pthread_cond_signal(&u->wake);
    pthread_mutex_unlock(&u->lock);
    pthread_join(u->thread, NULL);
    u->running = false;
    erase(u);
}

void ui_emit(struct ui *u, json_t *record)
{
    if (!record)
        return;
    pthread_mutex_lock(&u->lock);
    put_json(u, record);
    pthread_mutex_unlock(&u->lock);
}

static void emit_log(struct ui *u, const char *level, const char *text)
{
    json_t *o = json_object();
    json_object_set_new(o, "type", json_string("log"));
    json_object_set_new(o, "level", json_string(level));
    text_json_bytes(o, "text", text, strlen(text));
    ui_emit(u, o);
}

static void put_line(struct ui *u, const char *head, const char *text)
{
    pthread_mutex_lock(&u->lock);
    erase(u);
    fprintf(stderr, "%s%s\n", head, text);
    pthread_mutex_unlock(&u->lock);
}

void ui_warn(struct ui *u, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (u->json)
        emit_log(u, "warn", text);
    else
        put_line(u, _("warning: "), text);
}

void ui_log(void *ctx, enum job_level level, const char *text)
{
    struct ui *u = ctx;
    if ((level == JOB_INFO && u->verbose < 1) || (level == JOB_DEBUG && u->verbose < 2))
        return;
    if (u->json)
        emit_log(u, level == JOB_WARN ? "warn" : level == JOB_INFO ? "info" : "debug", text);
    else
        put_line(u, level == JOB_WARN ? _("warning: ") : "", text);
}

void ui_problem(struct ui *u, const char *type, const void *path, size_t path_len, const char *code,
                const char *text)
{
    if (u->json) {
        json_t *o = json_object();
        json_object_set_new(o, "type", json_string(type));
        text_json_bytes(o, "path", path, path_len);
        json_object_set_new(o, "code", json_string(code));
        text_json_bytes(o, "text", text, strlen(text));
        ui_emit(u, o);
        return;
    }
    pthread_mutex_lock(&u->lock);
    erase(u);
    fputs(_("warning: "), stderr);
    text_path_put(stderr, path, path_len);
    fprintf(stderr, _(": %s\n"), text);
    pthread_mutex_unlock(&u->lock);
}

void ui_error(struct ui *u, const char *command, const struct bk_error *err)
{
    char shown[BK_ERROR_TEXT * 4];
    if (u->json) {
        json_t *e = json_object();
        json_object_set_new(e, "code", json_string(bk_code_name(err->code)));
        json_object_set_new(e, "exit", json_integer(bk_code_exit(err->code)));
        text_json_bytes(e, "text", err->text, strlen(err->text));
        text_json_bytes(e, "hint", err->hint, strlen(err->hint));
        json_t *o = json_object();
        json_object_set_new(o, "type", json_string("error"));
        json_object_set_new(o, "error", e);
        ui_emit(u, o);
        return;
    }
    text_path(err->text, strlen(err->text), shown, sizeof shown);
    if (command)
        fprintf(stderr, "bkctl: %s: %s\n", command, shown);
    else
        fprintf(stderr, "bkctl: %s\n", shown);
    if (err->hint[0])
        fprintf(stderr, _("hint: %s\n"), text_path(err->hint, strlen(err->hint), shown, sizeof shown));
}
