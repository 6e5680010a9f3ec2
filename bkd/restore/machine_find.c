/* Which machines a snapshot holds. */
#include <errno.h>
#include <string.h>

#include "bkd/restore/browse.h"
#include "bkd/restore/machine_plan.h"
#include "bkd/source/disks.h"

#define DEFINITION "domain.xml"

enum { MACHINES_MAX = 512, DEFINITION_MAX = 1 << 20 /* bytes; libvirt's have some thousands */ };

static void machine_clear(struct machine *m)
{
    for (size_t i = 0; i < m->n_parts; i++) {
        free(m->parts[i].path);
        free(m->parts[i].beside);
    }
    free(m->parts);
    free(m->text);
    free(m->changed);
    vm_xml_clear(&m->xml);
    *m = (struct machine){ 0 };
}

void machines_clear(struct machines *m)
{
    for (size_t i = 0; i < m->n; i++)
        machine_clear(&m->v[i]);
    free(m->v);
    free(m->folder);
    *m = (struct machines){ 0 };
}

int machine_read(const struct hold *h, const struct content *c, struct bk_buf *ret, struct bk_error *err)
{
    uint8_t *to;
    size_t got = 0;
    if (c->size > DISKS_TEXT_MAX)
        return bk_fail(err, BK_E_LIMIT, "it has more than %d bytes", DISKS_TEXT_MAX);
    int r = bk_buf_extend(ret, (size_t)c->size, &to, err);
    if (r == 0)
        r = browse_read(h->reader, h->lane, c, 0, to, (size_t)c->size, &got, err);
    return r == 0 && got != c->size ? bk_fail(err, BK_E_CORRUPT, "it ends early") : r;
}

static int read_definition(const struct hold *h, const struct snapshot_stream *t, struct machine *m,
                           struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(DEFINITION_MAX + 1);
    if (t->content.size > DEFINITION_MAX)
        return bk_fail(err, BK_E_LIMIT, "it has more than %d bytes", DEFINITION_MAX);
    int r = machine_read(h, &t->content, &b, err);
    if (r == 0 && memchr(b.data, '\0', b.len))
        r = bk_fail(err, BK_E_CORRUPT, "it is no text");
    if (r == 0)
        r = bk_buf_u8(&b, 0, err);
    if (r == 0 && !(m->text = strdup((const char *)b.data)))
        r = bk_fail_errno(err, ENOMEM, "read it");
    return r == 0 ? vm_xml_read(m->text, &m->xml, err) : r;
}

/* "domain.xml" or "NAME/domain.xml" */
static bool is_definition(const struct snapshot_stream *t, size_t *ret_prefix)
{
    size_t n = strlen(t->name), tail = strlen(DEFINITION);
    if (t->kind != STREAM_BLOB || n < tail || strcmp(t->name + n - tail, DEFINITION))
        return false;
    *ret_prefix = n - tail;
    return !*ret_prefix || (t->name[*ret_prefix - 1] == '/' && *ret_prefix > 1);
}

/* The name in front is the machine's; where there is none, it stands in the definition alone. */
static bool is_named(const struct snapshot_stream *t, size_t prefix, const char *domain)
{
    size_t n = strlen(domain);
    return !prefix || (prefix == n + 1 && !memcmp(t->name, domain, n));
}

static int add(struct machines *m, const struct snapshot_stream *t, size_t prefix, const struct hold *h,
               struct bk_error *err)
{
    struct machine *v = m->n < MACHINES_MAX ? realloc(m->v, (m->n + 1) * sizeof *v) : NULL;
    if (!v)
        return bk_fail_errno(err, ENOMEM, "list the machines of the snapshot");
    m->v = v;
    struct machine *one = &v[m->n++];
    *one = (struct machine){ .prefix = t->name, .prefix_len = prefix };
    int r = read_definition(h, t, one, err);
    return r < 0 ? bk_context(err, "'%s' of the snapshot", t->name) : 0;
}

static int none(const struct machine_opts *o, bool any, struct bk_error *err)
{
    if (!any) {
        bk_fail(err, BK_E_ABSENT, "the snapshot holds no virtual machine");
        return bk_hint(err, "restore what it holds with --target DIR");
    }
    bk_fail(err, BK_E_ABSENT, "the snapshot holds no machine '%s'", o->domain);
    return bk_hint(err, "bkctl ls SNAP lists what it holds");
}

int machine_find(const struct snapshot *s, const struct machine_opts *o, const struct hold *h, struct job *j,
                 struct machines *m, struct bk_error *err)
{
    bool any = false;
    int r = 0;
    for (size_t i = 0; i < s->n_streams && r == 0; i++) {
        size_t prefix = 0;
        if (!is_definition(&s->streams[i], &prefix))
            continue;
        any = true;
        if (o->domain && !is_named(&s->streams[i], prefix, o->domain))
            continue;
        if ((r = job_check(j, err)) == 0)
            r = add(m, &s->streams[i], prefix, h, err);
        if (r == 0 && o->domain && !prefix && strcmp(m->v[m->n - 1].xml.name, o->domain))
            machine_clear(&m->v[--m->n]);
    }
    if (r < 0)
        return r;
    if (!m->n)
        return none(o, any, err);
    if (m->n > 1 && o->name) {
        bk_fail(err, BK_E_USAGE, "the snapshot holds %zu machines, and one name was given", m->n);
        return bk_hint(err, "choose one of them with --domain");
    }
    return 0;
}
