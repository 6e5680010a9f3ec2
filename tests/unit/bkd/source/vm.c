/* What the source of virtual machines reads and writes: libvirt's XML, what a snapshot remembers, its
 * folders. Real machines are in tests/vm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "bkd/source/vm_domain.h"
#include "bkd/source/vm_lib.h"
#include "bkd/source/vm_past.h"
#include "bkd/source/vm_scratch.h"
#include "bkd/source/vm_xml.h"

#define HEAD "<domain type='qemu'><name>web</name><uuid>a25ccb01-4bc8-40f1-b553-8bbddef592aa</uuid>"

static int read_xml(const char *devices, struct vm_xml *x)
{
    struct bk_error err = { 0 };
    char text[4096];
    snprintf(text, sizeof text, HEAD "%s</domain>", devices);
    return vm_xml_read(text, x, &err);
}

static void hard_disks_with_a_source_are_read(void **state)
{
    (void)state;
    bk_auto(vm_xml_clear) struct vm_xml x = { 0 };
    assert_int_equal(
        read_xml(
            "<devices>"
            "<disk type='file' device='disk'><driver type='qcow2'/><source file='/a&amp;b'/><target "
            "dev='vda'/></disk>"
            "<disk type='block'><source dev='/dev/x'/><target dev='sdb'/><readonly/></disk>"
            "<disk type='file' device='cdrom'><source file='/x.iso'/><target dev='sda'/></disk>"
            "<disk type='file' device='floppy'><target dev='fda'/></disk>"
            "<disk type='file' device='disk'><target dev='vdx'/></disk>"
            "<disk type='block' device='lun'><source dev='/dev/y'/><target dev='sdc'/></disk>"
            "<disk type='network'><source protocol='nbd' name='a/b'><host name='::1' port='99'/></source>"
            "<target dev='vdn'/></disk>"
            "<disk type='network'><source protocol='nbd' name='e'><host transport='unix' socket='/s "
            "o'/></source>"
            "<target dev='vdo'/></disk>"
            "<disk type='volume'><source pool='p' volume='v'/><target dev='vdp'/></disk>"
            "<channel type='unix'><target name='org.qemu.guest_agent.0' state='connected'/></channel>"
            "<tpm><backend type='emulator'/></tpm>"
            "</devices><os><nvram>/n</nvram><kernel>relative</kernel><initrd>/i</initrd></os>"
            "<seclabel type='dynamic' model='dac'><label>+64055:+109</label></seclabel>",
            &x),
        0);
    assert_string_equal(x.name, "web");
    assert_int_equal(x.n_disks, 5);
    assert_string_equal(x.disks[0].target, "vda");
    assert_string_equal(x.disks[0].source, "/a&b");
    assert_string_equal(x.disks[0].format, "qcow2");
    assert_false(x.disks[0].read_only);
    assert_string_equal(x.disks[1].source, "/dev/x");
    assert_string_equal(x.disks[1].format, "raw");
    assert_true(x.disks[1].read_only);
    assert_string_equal(x.disks[2].nbd, "nbd://[::1]:99/a/b");
    assert_string_equal(x.disks[3].nbd, "nbd+unix:///e?socket=/s%20o");
    assert_string_equal(x.disks[4].pool, "p");
    assert_string_equal(x.disks[4].volume, "v");
    assert_null(x.disks[4].source);
    assert_int_equal(x.n_passed, 1);
    assert_string_equal(x.passed[0], "sdc");
    assert_true(x.agent && x.agent_connected && x.tpm && x.has_owner);
    assert_int_equal(x.uid, 64055);
    assert_int_equal(x.gid, 109);
    assert_string_equal(x.nvram, "/n");
    assert_null(x.kernel);
    assert_string_equal(x.initrd, "/i");
}

static void what_only_qemu_can_read_is_known(void **state)
{
    (void)state;
    bk_auto(vm_xml_clear) struct vm_xml x = { 0 };
    assert_int_equal(
        read_xml(
            "<devices>"
            "<disk type='network'><driver type='qcow2'/><source protocol='nbd' name='e'><host name='h'/>"
            "</source><target dev='vda'/></disk>"
            "<disk type='file'><source file='/b'/><target dev='vdb'/><encryption format='luks'/></disk>"
            "<disk type='file'><source file='/c'><encryption format='luks'/></source><target "
            "dev='vdc'/></disk>"
            "<disk type='file'><source file='/d'><slices><slice type='storage' offset='1' size='1'/></slices>"
            "</source><target dev='vdd'/></disk>"
            "</devices>",
            &x),
        0);
    assert_int_equal(x.n_disks, 4);
    assert_string_equal(x.disks[0].nbd, "nbd://h:10809/e"); /* the place is known all the same */
    for (size_t i = 0; i < 4; i++)
        assert_true(x.disks[i].wrapped);
}

static void odd_xml_is_refused(void **state)
{
    (void)state;
    static const char *const odd[] = {
        "",
        "<domain>",
        "<domainbackup/>",
        "<domain/>",
        "<!DOCTYPE d [<!ENTITY e 'x'>]>" HEAD "<title>&e;</title></domain>",
        "<!DOCTYPE d SYSTEM 'file:///etc/passwd'>" HEAD "</domain>",
        "<domain><name>a/b</name><uuid>a25ccb01-4bc8-40f1-b553-8bbddef592aa</uuid></domain>",
        "<domain><name>a</name><uuid>1</uuid></domain>",
        HEAD "<devices><disk><source file='/a'/><target dev='../x'/></disk></devices></domain>",
        HEAD "<devices><disk><source file='/a'/></disk></devices></domain>",
        HEAD "<devices><disk><source file='/a'/><target dev='vda'/></disk>"
             "<disk><source file='/b'/><target dev='vda'/></disk></devices></domain>",
    };
    for (size_t i = 0; i < BK_COUNT(odd); i++) {
        struct bk_error err = { 0 };
        bk_auto(vm_xml_clear) struct vm_xml x = { 0 };
        assert_int_equal(vm_xml_read(odd[i], &x, &err), BK_E_CORRUPT);
    }
}

static void a_job_asks_for_what_was_planned(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    bk_auto(bk_buf_clear) struct bk_buf job = BK_BUF(1 << 20), point = BK_BUF(1 << 20),
                                        none = BK_BUF(1 << 20);
    struct vm_xml_backup v[] = {
        { .target = "vda", .scratch = "/s/'<vda>", .base = "bkctl-1", .tracks = true },
        { .target = "vdb", .scratch = "/s/vdb" }
    };
    assert_int_equal(vm_xml_write("/s/sock", "bkctl-2", v, 2, &job, &point, &err), 0);
    assert_string_equal(
        (const char *)job.data,
        "<domainbackup mode='pull'><server transport='unix' socket='/s/sock'/><disks>"
        "<disk backup='yes' type='file' name='vda' backupmode='incremental' incremental='bkctl-1'>"
        "<driver type='qcow2'/><scratch file='/s/&apos;&lt;vda&gt;'/></disk>"
        "<disk backup='yes' type='file' name='vdb' backupmode='full'>"
        "<driver type='qcow2'/><scratch file='/s/vdb'/></disk></disks></domainbackup>");
    assert_string_equal((const char *)point.data,
                        "<domaincheckpoint><name>bkctl-2</name><disks><disk name='vda' checkpoint='bitmap'/>"
                        "<disk name='vdb' checkpoint='no'/></disks></domaincheckpoint>");
    bk_auto(free) char *socket = NULL;
    assert_int_equal(vm_xml_job_socket((const char *)job.data, &socket, &err), 0);
    assert_string_equal(socket, "/s/sock");

    bk_buf_clear(&job);
    assert_int_equal(vm_xml_write("/s/sock", "bkctl-2", v + 1, 1, &job, &none, &err), 0);
    assert_int_equal(none.len, 0);
}

static void only_our_names_are_ours(void **state)
{
    (void)state;
    struct vm_point_name n = vm_point_name("0123abcd", 1700000000);
    assert_string_equal(n.text, "bkctl-0123abcd-1700000000");
    assert_true(vm_point_is_ours(n.text) && vm_point_is_of(n.text, "0123abcd"));
    assert_false(vm_point_is_of(n.text, "0123abce"));
    static const char *const others[] = { "",
                                          "virtnbdbackup.0",
                                          "bkctl-",
                                          "bkctl-0123abcd",
                                          "bkctl-0123abcd-",
                                          "bkctl-0123abcd-1x",
                                          "bkctl-0123ABCD-1",
                                          "bkctl-0123abcd-123456789012345678901" };
    for (size_t i = 0; i < BK_COUNT(others); i++)
        assert_false(vm_point_is_ours(others[i]));
}

static void what_was_noted_is_read_back(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    bool odd;
    bk_auto(vm_now_free) struct vm_now *now = NULL;
    bk_auto(free) char *text = NULL;
    assert_int_equal(vm_now_new("0123abcd", &now, &err), 0);
    assert_int_equal(vm_now_domain(now,
                                   &(struct vm_now_domain){ .name = "web",
                                                            .uuid = "u1",
                                                            .checkpoint = "bkctl-0123abcd-2",
                                                            .full = "bkctl-0123abcd-1" },
                                   &err),
                     0);
    assert_int_equal(vm_now_disk(now,
                                 &(struct vm_now_disk){ .target = "vda",
                                                        .name = "vda",
                                                        .format = "qcow2",
                                                        .source = "/\xff",
                                                        .checkpoint = "bkctl-0123abcd-2",
                                                        .size = 1 << 20 },
                                 &err),
                     0);
    assert_int_equal(vm_now_text(now, &text, &err), 0);

    bk_auto(vm_past_free) struct vm_past *past = NULL;
    struct vm_past_domain d;
    struct vm_past_disk k;
    assert_int_equal(
        vm_past_read(&(struct disks_past){ .source = text, .source_len = strlen(text) }, &past, &odd, &err),
        0);
    assert_false(odd);
    assert_string_equal(vm_past_series(past), "0123abcd");
    assert_false(vm_past_domain(past, "u2", &d));
    assert_true(vm_past_domain(past, "u1", &d));
    assert_string_equal(d.full, "bkctl-0123abcd-1");
    assert_false(vm_past_disk(&d, "vdb", &k));
    assert_true(vm_past_disk(&d, "vda", &k));
    assert_string_equal(k.checkpoint, "bkctl-0123abcd-2");
    assert_string_equal(k.format, "qcow2");
    assert_null(k.source); /* no UTF-8: left out */
    assert_int_equal(k.size, 1 << 20);
}

/* Two images with a bitmap of the same checkpoint change places, or domains their names. */
static void a_bitmap_is_laid_over_its_own_image_only(void **state)
{
    (void)state;
    static const char text[] =
        "{\"type\":\"vm\",\"version\":1,\"series\":\"0123abcd\",\"domains\":[{\"name\":\"web\",\"uuid\":"
        "\"u1\","
        "\"checkpoint\":\"bkctl-0123abcd-1\",\"full_checkpoint\":\"bkctl-0123abcd-1\",\"disks\":["
        "{\"target\":\"vda\",\"name\":\"%1$svda\",\"format\":\"qcow2\",\"source\":\"/"
        "x\",\"checkpoint\":\"bkctl-0123abcd-1\",\"size\":9},"
        "{\"target\":\"vdb\",\"name\":\"%1$svdb\",\"format\":\"qcow2\",\"source\":\"/"
        "y\",\"checkpoint\":\"bkctl-0123abcd-1\",\"size\":9}]}]}";
    static const struct {
        const char *prefix, *vda, *vdb; /* names in the snapshot before; what lies behind the targets now */
        bool many, tracked;
    } t[] = {
        { "", "/x", "/y", false, true },       { "", "/y", "/x", false, false },
        { "", NULL, NULL, false, false },      { "web/", "/x", "/y", true, true },
        { "", "/x", "/y", true, false },       { "web/", "/x", "/y", false, false },
        { "other/", "/x", "/y", true, false },
    };
    for (size_t i = 0; i < BK_COUNT(t); i++) {
        struct bk_error err = { 0 };
        bool odd;
        char json[2048];
        snprintf(json, sizeof json, text, t[i].prefix);
        bk_auto(vm_past_free) struct vm_past *past = NULL;
        assert_int_equal(vm_past_read(&(struct disks_past){ .source = json, .source_len = strlen(json) },
                                      &past, &odd, &err),
                         0);
        assert_false(odd);
        static char vda[] = "vda", vdb[] = "vdb", qcow2[] = "qcow2", point[] = "bkctl-0123abcd-1";
        struct vm_xml_disk x[2] = {
            { .target = vda, .format = qcow2, .source = (char *)(uintptr_t)t[i].vda },
            { .target = vdb, .format = qcow2, .source = (char *)(uintptr_t)t[i].vdb }
        };
        struct vm_disk k[2] = { { .xml = &x[0], .size = 9, .tracks = true },
                                { .xml = &x[1], .size = 9, .tracks = true } };
        struct vm_domain d = { .uuid = "u1", .name = "web", .active = true, .disks = k, .n_disks = 2 };
        char *points[] = { point, NULL };
        struct job j = { .n_threads = 1 };
        assert_int_equal(job_init(&j, &err), 0);
        assert_int_equal(vm_domain_plan(&d, past, false, t[i].many, points, &j, &err), 0);
        job_clear(&j);
        for (size_t n = 0; n < 2; n++)
            if (!k[n].base[0] == t[i].tracked || !k[n].reason != t[i].tracked)
                fail_msg("case %zu, disk %zu: base '%s', reason '%s'", i, n, k[n].base,
                         k[n].reason ? k[n].reason : "");
    }
}

static void an_odd_past_is_no_past(void **state)
{
    (void)state;
    static const char *const odd[] = {
        "",
        "[]",
        "{",
        "{\"type\":\"vm\"}",
        "{\"type\":\"vm\",\"version\":2,\"domains\":[]}",
        "{\"type\":\"vm\",\"version\":1,\"version\":1}",
    };
    struct bk_error err = { 0 };
    struct vm_past_domain d;
    bool is_odd;
    for (size_t i = 0; i < BK_COUNT(odd); i++) {
        bk_auto(vm_past_free) struct vm_past *p = NULL;
        assert_int_equal(vm_past_read(&(struct disks_past){ .source = odd[i], .source_len = strlen(odd[i]) },
                                      &p, &is_odd, &err),
                         0);
        assert_true(is_odd);
        assert_null(vm_past_series(p));
        assert_false(vm_past_domain(p, "u", &d));
    }
    /* values of other kinds than ours, and a name that would not stay a name */
    static const char hostile[] =
        "{\"type\":\"vm\",\"version\":1,\"series\":\"../../xx\",\"domains\":[7,{\"uuid\":\"u\","
        "\"full_checkpoint\":\"x' y='\",\"disks\":[{\"target\":\"vda\",\"size\":-1,"
        "\"format\":[],\"checkpoint\":\"bkctl-0123abcd-1'/>\"}]}]}";
    bk_auto(vm_past_free) struct vm_past *p = NULL;
    struct vm_past_disk k;
    assert_int_equal(vm_past_read(&(struct disks_past){ .source = hostile, .source_len = strlen(hostile) },
                                  &p, &is_odd, &err),
                     0);
    assert_false(is_odd);
    assert_null(vm_past_series(p));
    assert_true(vm_past_domain(p, "u", &d));
    assert_null(d.full);
    assert_true(vm_past_disk(&d, "vda", &k));
    assert_null(k.format);
    assert_null(k.checkpoint);
    assert_int_equal(k.size, 0);
    bk_auto(vm_past_free) struct vm_past *none = NULL;
    assert_int_equal(vm_past_read(&(struct disks_past){ 0 }, &none, &is_odd, &err), 0);
    assert_false(is_odd);
}

static void a_folder_lives_as_long_as_its_run(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    char dir[] = "/tmp/bkctl-test-XXXXXX", socket[VM_SOCKET_MAX], outer[VM_SOCKET_MAX];
    bk_auto(vm_scratch_free) struct vm_scratch *s = NULL;
    assert_non_null(mkdtemp(dir));
    assert_int_equal(vm_scratch_new(dir, &s, &err), 0);
    assert_int_equal(vm_scratch_domain(s, 0, false, 0, 0, socket, &err), 0);
    assert_int_equal(vm_scratch_owner(socket), VM_SCRATCH_ALIVE);
    vm_scratch_sweep(dir); /* of no effect */
    snprintf(outer, sizeof outer, "%.*s", (int)(strlen(socket) - strlen("/0/sock")), socket);
    assert_int_equal(access(outer, F_OK), 0);
    vm_scratch_free(bk_steal(s));
    assert_int_not_equal(access(outer, F_OK), 0);
    assert_int_equal(vm_scratch_owner(socket), VM_SCRATCH_ALIVE); /* nothing is known of it */
    assert_int_equal(rmdir(dir), 0);
    assert_int_equal(vm_scratch_owner("/tmp/virtnbdbackup.123"), VM_SCRATCH_FOREIGN);
    assert_int_equal(vm_scratch_owner("/tmp/bkctl-vm-0123abcx/0/sock"), VM_SCRATCH_FOREIGN);
    assert_int_equal(vm_scratch_owner(""), VM_SCRATCH_FOREIGN);
}

static void what_a_dead_run_left_is_swept(void **state)
{
    (void)state;
    char dir[] = "/tmp/bkctl-test-XXXXXX", path[128];
    static const char *const parts[] = { "", "/0" };
    static const char *const files[] = { "/lock", "/0/vda", "/0/sock" };
    assert_non_null(mkdtemp(dir));
    for (size_t i = 0; i < BK_COUNT(parts); i++) {
        snprintf(path, sizeof path, "%s/bkctl-vm-0123abcd%s", dir, parts[i]);
        assert_int_equal(mkdir(path, 0700), 0);
    }
    for (size_t i = 0; i < BK_COUNT(files); i++) {
        snprintf(path, sizeof path, "%s/bkctl-vm-0123abcd%s", dir, files[i]);
        bk_auto(close) int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
    }
    assert_int_equal(vm_scratch_owner(path), VM_SCRATCH_DEAD);
    snprintf(path, sizeof path, "%s/bkctl-vm-01234567", dir); /* killed before it had a lock */
    assert_int_equal(mkdir(path, 0700), 0);
    vm_scratch_sweep(dir);
    assert_int_equal(rmdir(dir), 0);
}

/* Serves a socket there until it is closed. */
static int serve(const char *path)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    assert_int_equal(bind(s, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(s, 1), 0);
    return s;
}

static void a_job_that_runs_on_keeps_its_folder(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    char dir[] = "/tmp/bkctl-test-XXXXXX", socket[VM_SOCKET_MAX];
    bk_auto(vm_scratch_free) struct vm_scratch *s = NULL;
    assert_non_null(mkdtemp(dir));
    assert_int_equal(vm_scratch_new(dir, &s, &err), 0);
    assert_int_equal(vm_scratch_domain(s, 1, false, 0, 0, socket, &err), 0); /* 0 is shut off */
    int served = serve(socket);
    vm_scratch_leave(bk_steal(s));
    vm_scratch_sweep(dir);
    assert_int_equal(access(socket, F_OK), 0);
    assert_int_equal(vm_scratch_owner(socket), VM_SCRATCH_DEAD);
    close(served);
    vm_scratch_sweep(dir);
    assert_int_equal(rmdir(dir), 0);
}

static void only_this_machine_is_here(void **state)
{
    (void)state;
    static const char *const here[] = { "qemu:///system",           "qemu+unix:///system?socket=/a:b@c://x",
                                        "qemu+ssh://localhost",     "qemu+ssh://root@localhost:22/system",
                                        "qemu+tcp://[::1]/system",  "qemu+tcp://[::1]:16509/system",
                                        "qemu+tls://127.0.0.1:1/s", "an-alias" };
    static const char *const elsewhere[] = { "qemu+ssh://hv2/system",
                                             "qemu+ssh://localhost.example.org/system",
                                             "qemu+ssh://localhost@hv2/system", "qemu://hv2?no_verify=1",
                                             "qemu+tcp://[fe80::1]:1/system" };
    for (size_t i = 0; i < BK_COUNT(here); i++)
        assert_true(vm_lib_is_here(here[i]));
    for (size_t i = 0; i < BK_COUNT(elsewhere); i++)
        assert_false(vm_lib_is_here(elsewhere[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hard_disks_with_a_source_are_read),
        cmocka_unit_test(odd_xml_is_refused),
        cmocka_unit_test(a_job_asks_for_what_was_planned),
        cmocka_unit_test(only_our_names_are_ours),
        cmocka_unit_test(what_was_noted_is_read_back),
        cmocka_unit_test(an_odd_past_is_no_past),
        cmocka_unit_test(a_bitmap_is_laid_over_its_own_image_only),
        cmocka_unit_test(a_folder_lives_as_long_as_its_run),
        cmocka_unit_test(what_a_dead_run_left_is_swept),
        cmocka_unit_test(a_job_that_runs_on_keeps_its_folder),
        cmocka_unit_test(only_this_machine_is_here),
        cmocka_unit_test(what_only_qemu_can_read_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
