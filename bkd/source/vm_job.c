#include "bkd/source/vm_job.h"

#include <errno.h>
#include <string.h>
#include <time.h>

enum { END_WAIT_MS = 60000, END_STEP_MS = 20, XML_MAX = 1 << 20 };

static void pause_ms(unsigned ms)
{
    nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L }, NULL);
}

/* The socket of the backup job that runs, *ret NULL: none runs. One without a socket has an empty name. */
static int running(virDomainPtr dom, char **ret, struct bk_error *err)
{
    *ret = NULL;
    bk_auto(free) char *text = vm_lib.DomainBackupGetXMLDesc(dom, 0);
    if (!text) {
        int code = vm_lib_code();
        if (code == VIR_ERR_NO_DOMAIN_BACKUP || code == VIR_ERR_OPERATION_INVALID ||
            code == VIR_ERR_NO_DOMAIN)
            return 0; /* INVALID, NO_DOMAIN: it does not run at all any more */
        vm_lib_fail(err);
        return bk_context(err, "look for a backup job");
    }
    int r = vm_xml_job_socket(text, ret, err);
    if (r == 0 && !*ret && !(*ret = strdup("")))
        r = bk_fail_errno(err, ENOMEM, "look for a backup job");
    return r;
}

/* *ret_there: the job on this socket runs; then it is aborted, if that is asked for. */
static int look_for(virDomainPtr dom, const char *socket, bool abort, bool *ret_there, struct bk_error *err)
{
    bk_auto(free) char *now = NULL;
    int r = running(dom, &now, err);
    *ret_there = r == 0 && now && !strcmp(now, socket);
    if (*ret_there && abort && vm_lib.DomainAbortJob(dom) < 0 && vm_lib_lost()) {
        r = vm_lib_fail(err);
        bk_context(err, "end the backup job");
    }
    return r;
}

int vm_job_abort(virDomainPtr dom, const char *socket, struct bk_error *err)
{
    bool there;
    return look_for(dom, socket, true, &there, err);
}

/* Abort the job on this socket and wait until it is gone. */
static int end_job(virDomainPtr dom, const char *socket, struct bk_error *err)
{
    for (unsigned ms = 0; ms < END_WAIT_MS; ms += END_STEP_MS) {
        bool there;
        int r = look_for(dom, socket, ms % 2000 == 0, &there, err);
        if (r < 0 || !there)
            return r;
        pause_ms(END_STEP_MS);
    }
    return bk_fail(err, BK_E_BUSY, "the backup job does not end");
}

int vm_job_clear_way(virDomainPtr dom, struct job *j, struct bk_error *err)
{
    bk_auto(free) char *socket = NULL;
    int r = running(dom, &socket, err);
    if (r < 0)
        return r;
    if (socket) {
        enum vm_scratch_owner owner = vm_scratch_owner(socket);
        if (owner == VM_SCRATCH_FOREIGN)
            return bk_fail(err, BK_E_BUSY, "another program's backup job runs on it");
        if (owner == VM_SCRATCH_ALIVE) {
            bk_fail(err, BK_E_BUSY, "another backup of it runs");
            return bk_hint(err, "if none does, end it with: virsh domjobabort NAME");
        }
        job_log(j, JOB_WARN, N_("domain '%s': ending the job of a backup that was interrupted"),
                vm_lib.DomainGetName(dom));
        r = end_job(dom, socket, err);
        if (r == 0)
            vm_scratch_clear_dead(socket);
        return r;
    }
    virDomainJobInfo info;
    if (vm_lib.DomainGetJobInfo(dom, &info) == 0 && info.type != VIR_DOMAIN_JOB_NONE &&
        info.type != VIR_DOMAIN_JOB_COMPLETED && info.type != VIR_DOMAIN_JOB_FAILED &&
        info.type != VIR_DOMAIN_JOB_CANCELLED)
        return bk_fail(err, BK_E_BUSY, "a job runs on it: it is being saved, moved or copied");
    return 0;
}

static void free_list(struct vm_xml_backup *v, size_t n)
{
    for (size_t i = 0; v && i < n; i++)
        free((void *)v[i].scratch);
    free(v);
}

static int write_xml(const struct vm_domain *d, bool with_point, struct bk_buf *job, struct bk_buf *point,
                     struct bk_error *err)
{
    struct vm_xml_backup *v = calloc(d->n_disks, sizeof *v);
    int r = v ? 0 : bk_fail_errno(err, ENOMEM, "begin a backup");
    for (size_t i = 0; i < d->n_disks && r == 0; i++) {
        const struct vm_disk *k = &d->disks[i];
        char *scratch = NULL;
        r = vm_scratch_file(d->socket, k->xml->target, &scratch, err);
        v[i] = (struct vm_xml_backup){ .target = k->xml->target,
                                       .scratch = scratch,
                                       .base = k->base[0] ? k->base : NULL,
                                       .tracks = k->tracks };
    }
    if (r == 0)
        r = vm_xml_write(d->socket, with_point ? d->point : NULL, v, d->n_disks, job, point, err);
    free_list(v, d->n_disks);
    return r;
}

static int begin_once(struct vm_domain *d, virDomainPtr dom, bool with_point, struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf job = BK_BUF(XML_MAX), point = BK_BUF(XML_MAX);
    int r = write_xml(d, with_point, &job, &point, err);
    if (r < 0)
        return r;
    d->job = true; /* from here on it may be there, whatever is answered */
    bool tracks = point.len > 0;
    if (vm_lib.DomainBackupBegin(dom, (const char *)job.data, tracks ? (const char *)point.data : NULL, 0) <
        0)
        return vm_lib_fail(err);
    if (!tracks)
        d->point[0] = '\0';
    return 0;
}

static bool compares(const struct vm_domain *d)
{
    for (size_t i = 0; i < d->n_disks; i++)
        if (d->disks[i].base[0])
            return true;
    return false;
}

static const char *why_not(void)
{
    switch (vm_lib_code()) {
    case VIR_ERR_CHECKPOINT_INCONSISTENT:
        return N_("its checkpoint is not consistent: the domain did not end in order");
    case VIR_ERR_NO_DOMAIN_CHECKPOINT:
        return N_("its checkpoint is gone");
    default:
        return N_("libvirt could not compare it with its checkpoint");
    }
}

/* A failure that another way of asking would not mend. */
static bool is_final(int r)
{
    return r == BK_E_BUSY || r == BK_E_UNREACHABLE || r == BK_E_NOMEM || r == BK_E_PERM ||
           vm_lib_code() == VIR_ERR_OPERATION_INVALID || vm_lib_code() == VIR_ERR_NO_DOMAIN;
}

/* As planned; else everything with a new checkpoint; else everything without one. Each failure leaves no job,
 * but maybe a checkpoint. */
static int begin(struct vm_domain *d, virDomainPtr dom, struct job *j, struct bk_error *err)
{
    int r = begin_once(d, dom, true, err);
    if (r < 0 && compares(d) && !is_final(r)) {
        job_log(j, JOB_WARN, N_("domain '%s': all of its disks are read: %s"), d->name, err->text);
        if (vm_lib_code() == VIR_ERR_CHECKPOINT_INCONSISTENT)
            d->full[0] = '\0'; /* what ended out of order has lost all of them */
        vm_domain_read_all(d, why_not());
        r = vm_points_delete(dom, d->point, err);
        if (r == 0)
            r = begin_once(d, dom, true, err);
    }
    if (r < 0 && !is_final(r)) {
        struct bk_error first = *err;
        job_log(j, JOB_WARN,
                N_("domain '%s': no checkpoint can be made, the next backup reads everything: %s"), d->name,
                err->text);
        r = vm_points_delete(dom, d->point, err);
        if (r == 0)
            r = begin_once(d, dom, false, err);
        if (r < 0)
            *err = first;
        r = r < 0 ? first.code : 0;
    }
    for (size_t i = 0; i < d->n_disks && r == 0; i++) {
        struct vm_disk *k = &d->disks[i];
        snprintf(k->point, sizeof k->point, "%s", k->tracks ? d->point : "");
    }
    return r;
}

/* FAILED when it had to be frozen and is not. */
static int not_frozen(const struct vm_domain *d, const struct vm_opts *o, struct job *j, const char *why,
                      struct bk_error *err)
{
    if (o->freeze == VM_FREEZE_REQUIRE)
        return bk_fail(err, BK_E_FAILED, "the guest's file systems cannot be frozen: %s", why);
    job_log(j, JOB_WARN, N_("domain '%s': its file systems are not frozen, as after a power cut: %s"),
            d->name, why);
    return 0;
}

static int freeze(struct vm_domain *d, const struct vm_opts *o, struct job *j, struct bk_error *err)
{
    struct bk_error why = { 0 };
    if (o->freeze == VM_FREEZE_NEVER)
        return 0;
    if (d->paused)
        return not_frozen(d, o, j, bk_text(N_("it is paused")), err);
    if (!d->xml.agent)
        return not_frozen(d, o, j, bk_text(N_("it has no channel for the guest agent")), err);
    if (!d->xml.agent_connected)
        return not_frozen(d, o, j, bk_text(N_("no guest agent runs in it")), err);
    if (vm_freeze_start(o->uri, d->uuid, o->freeze_max_ms, &d->freeze, &why) < 0)
        return not_frozen(d, o, j, why.text, err);
    d->frozen = true;
    return 0;
}

static int thaw(struct vm_domain *d, const struct vm_opts *o, struct job *j, struct bk_error *err)
{
    bool early = false;
    if (!d->frozen)
        return 0;
    int r = vm_freeze_thaw(d->freeze, &d->freeze_ms, &early, err);
    if (r == 0) {
        vm_freeze_free(d->freeze);
        d->freeze = NULL;
    }
    if (r == 0 && early) {
        d->frozen = false;
        r = not_frozen(d, o, j, bk_text(N_("the backup did not begin in time, and it was thawed")), err);
    }
    return r;
}

int vm_job_begin(struct vm_domain *d, virDomainPtr dom, const struct vm_opts *o, struct job *j,
                 struct bk_error *err)
{
    int r = freeze(d, o, j, err);
    if (r < 0)
        return r;
    r = begin(d, dom, j, err);
    struct bk_error second = { 0 };
    int t = thaw(d, o, j, &second);
    if (r == 0 && t < 0)
        *err = second;
    return r < 0 ? r : t;
}

static void wake(const struct vm_domain *d, virDomainPtr dom, struct job *j)
{
    int state = 0, reason = 0;
    if (d->paused || vm_lib.DomainGetState(dom, &state, &reason, 0) < 0 || state != VIR_DOMAIN_PAUSED ||
        reason != VIR_DOMAIN_PAUSED_IOERROR)
        return;
    bool woken = vm_lib.DomainResume(dom) == 0;
    job_log(j, JOB_WARN,
            woken ? N_("domain '%s': it was stopped, as the scratch folder was full, and goes on now")
                  : N_("domain '%s': it is stopped with an error of its disks and cannot be resumed"),
            d->name);
}

int vm_job_end(struct vm_domain *d, virDomainPtr dom, struct job *j, struct bk_error *err)
{
    if (!d->job)
        return 0;
    int r = end_job(dom, d->socket, err);
    if (r < 0)
        return r;
    wake(d, dom, j);
    d->job = false;
    return 0;
}
