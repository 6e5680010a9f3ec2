#include "bkd/life/keep_state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bkd/job/folder.h"
#include "bkd/repo/idset.h"
#include "bkd/store/stack.h"

enum { PLACE = 4096, HEAD = 64, LINE = REPO_PATH + 2, PENDING_MAX = 1 << 20 };

struct keep_state {
    struct repo *repo;
    int fd;            /* -1: nothing is written */
    struct idset have; /* of hashes of names */
    struct bk_buf pending;
};

static bool hash_of(const struct keep_state *s, const char *name, uint8_t out[static SUITE_HASH])
{
    struct bk_error ignored = { 0 };
    return suite_hash(repo_keyring(s->repo)->suite, name, strlen(name), out, &ignored) == 0;
}

/* The repository's id is not enough: it may lie in several places, and each has locks of its own. */
static bool place_of(const struct keep_state *s, char out[static PLACE])
{
    const uint8_t *id = repo_config(s->repo)->repo_id;
    char home[PLACE - 128], hex[2 * CONFIG_REPO_ID + 1], at[17];
    uint8_t url[SUITE_HASH];
    if (!store_cache_home(home, sizeof home) || !hash_of(s, repo_store(s->repo)->url, url))
        return false;
    for (size_t i = 0; i < CONFIG_REPO_ID; i++)
        snprintf(hex + 2 * i, 3, "%02x", id[i]);
    for (size_t i = 0; i < 8; i++)
        snprintf(at + 2 * i, 3, "%02x", url[i]);
    snprintf(out, PLACE, "%s/%s-%s.locks", home, hex, at);
    return true;
}

static void take_line(struct keep_state *s, const char *name)
{
    uint8_t h[SUITE_HASH];
    struct bk_error ignored = { 0 };
    if (hash_of(s, name, h))
        (void)!idset_add(&s->have, h, &ignored); /* bounded: what it does not hold is locked once more */
}

/* Is it of that date? Then what it says. */
static bool load(struct keep_state *s, const char *path, const char *head)
{
    char line[LINE + HEAD];
    s->fd = open(path, O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
    FILE *f = s->fd < 0 ? NULL : fopen(path, "re");
    struct stat a, b;
    /* the very file that lines will be added to */
    bool ours = f && fstat(s->fd, &a) == 0 && fstat(fileno(f), &b) == 0 && a.st_ino == b.st_ino &&
                a.st_dev == b.st_dev && fgets(line, sizeof line, f) && strcmp(line, head) == 0;
    while (ours && fgets(line, sizeof line, f)) {
        size_t n = strlen(line);
        if (n < 2 || line[n - 1] != '\n')
            continue;
        line[n - 1] = '\0';
        take_line(s, line);
    }
    if (f)
        fclose(f);
    if (!ours && s->fd >= 0) {
        close(s->fd);
        s->fd = -1;
    }
    return ours;
}

static int start_anew(struct keep_state *s, const char *path, const char *head)
{
    char temp[PLACE + 32];
    snprintf(temp, sizeof temp, "%s.%ld", path, (long)getpid());
    s->fd = open(temp, O_RDWR | O_APPEND | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (s->fd < 0)
        return -errno;
    size_t len = strlen(head);
    if (write(s->fd, head, len) == (ssize_t)len && rename(temp, path) == 0)
        return 0;
    int e = errno ? errno : EIO;
    unlink(temp);
    close(s->fd);
    s->fd = -1;
    return -e;
}

int keep_state_open(struct repo *r, struct job *j, int64_t until_ns, struct keep_state **ret,
                    struct bk_error *err)
{
    char path[PLACE], head[HEAD];
    struct bk_error why = { 0 };
    bk_auto(keep_state_free) struct keep_state *s = calloc(1, sizeof *s);
    if (!s)
        return bk_fail_errno(err, ENOMEM, "remember what is locked");
    *s = (struct keep_state){
        .repo = r, .fd = -1, .have.limit = j->memory_bytes / 8, .pending = BK_BUF(PENDING_MAX)
    };
    *ret = NULL;
    if (!place_of(s, path))
        return 0;
    snprintf(head, sizeof head, "bkctl locks 1 %lld\n", (long long)(until_ns / 1000000000));
    int e = folder_make_above(path, 0700, &why) < 0 ? -errno : 0;
    if (e == 0 && !load(s, path, head))
        e = start_anew(s, path, head);
    if (e < 0)
        job_log(j, JOB_DEBUG, "what is locked cannot be remembered in %s: %s", path, strerror(-e));
    *ret = bk_steal(s);
    return 0;
}

bool keep_state_has(const struct keep_state *s, const char *name)
{
    uint8_t h[SUITE_HASH];
    return s && s->have.n && hash_of(s, name, h) && idset_has(&s->have, h);
}

void keep_state_add(struct keep_state *s, const char *name)
{
    struct bk_error ignored = { 0 };
    if (!s)
        return;
    take_line(s, name);
    size_t before = s->pending.len;
    if (bk_buf_append(&s->pending, name, strlen(name), &ignored) < 0 ||
        bk_buf_append(&s->pending, "\n", 1, &ignored) < 0)
        s->pending.len = before;
}

/* One write: with O_APPEND those of several processes do not mix. */
void keep_state_save(struct keep_state *s)
{
    if (!s || !s->pending.len)
        return;
    if (s->fd >= 0 && write(s->fd, s->pending.data, s->pending.len) != (ssize_t)s->pending.len) {
        close(s->fd);
        s->fd = -1;
    }
    s->pending.len = 0;
}

void keep_state_free(struct keep_state *s)
{
    if (!s)
        return;
    if (s->fd >= 0)
        close(s->fd);
    idset_clear(&s->have);
    bk_buf_clear(&s->pending);
    free(s);
}
