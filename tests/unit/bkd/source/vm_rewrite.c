/* How the definition of a machine is changed when it is restored. Real machines are in tests/vm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "bkd/source/vm_rewrite.h"

#define UUID "a25ccb01-4bc8-40f1-b553-8bbddef592aa"
#define HEAD "<domain type='qemu' id='7'><name>web</name><uuid>" UUID "</uuid>"

static struct job job;
static char told[4096];

static void tell(void *ctx, enum job_level level, const char *text)
{
    (void)ctx;
    (void)level;
    strncat(told, text, sizeof told - strlen(told) - 1);
}

static int setup(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    told[0] = '\0';
    int r = job_init(&job, &err);
    job.log = tell;
    return r;
}

static int teardown(void **state)
{
    (void)state;
    job_clear(&job);
    return 0;
}

/* NULL: refused, with this code. */
static char *changed(const char *inside, const struct vm_rewrite *w, int code)
{
    struct bk_error err = { 0 };
    char text[8192], *out = NULL;
    snprintf(text, sizeof text, "%s%s</domain>", *inside == '<' && inside[1] == '?' ? "" : HEAD, inside);
    assert_int_equal(vm_rewrite(text, w, &job, &out, &err), code);
    return out;
}

static void has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("'%s' is not in: %s", part, text);
}

static void has_not(const char *text, const char *part)
{
    if (strstr(text, part))
        fail_msg("'%s' is in: %s", part, text);
}

static const struct vm_rewrite_disk to_x[] = {
    { .target = "vda", .path = "/new/a&b <c>'d.qcow2", .format = "qcow2" },
    { .target = "vdb", .path = "/new/b.raw", .format = "raw" },
    { .target = "vdc", .path = "/dev/vg/c", .format = "raw", .device = true },
};

static void disks_lie_where_they_are_restored_to(void **state)
{
    (void)state;
    struct vm_rewrite w = { .disks = to_x, .n_disks = BK_COUNT(to_x) };
    bk_auto(free) char *x = changed(
        "<devices>"
        "<disk type='file' device='disk'><driver name='qemu' type='qcow2' cache='none'/>"
        "<source file='/old/a.qcow2' index='3'><slices/></source>"
        "<backingStore type='file'><source file='/etc/shadow'/></backingStore><target dev='vda'/>"
        "<alias name='virtio-disk0'/></disk>"
        "<disk type='network'><driver type='qcow2' discard_no_unref='on'><metadata_cache/></driver><auth "
        "username='u'/><source protocol='rbd' name='p/i'><encryption format='luks'/></source>"
        "<mirror/><target dev='vdb'/></disk>"
        "<disk type='block'><source dev='/dev/old'/><target dev='vdc'/></disk>"
        "<disk type='file'><source file='/old/d'/><target dev='vdd'/></disk>"
        "<disk type='block' device='lun'><source dev='/dev/lun'/><target dev='sda'/></disk>"
        "</devices>",
        &w, 0);
    has(x, "<source file=\"/new/a&amp;b &lt;c&gt;'d.qcow2\"/>");
    has(x, "<driver name=\"qemu\" type=\"qcow2\" cache=\"none\"/>");
    has(x, "<disk type=\"file\"><driver type=\"raw\" name=\"qemu\"/><target dev=\"vdb\"/><source "
           "file=\"/new/b.raw\"/>");
    has(x, "<disk type=\"block\">");
    has(x, "<source dev=\"/dev/vg/c\"/>");
    static const char *const gone[] = { "/old/",      "shadow",       "backingStore", "index",
                                        "slices",     "virtio-disk0", "username",     "mirror",
                                        "encryption", "lun",          "id=\"7\"" };
    for (size_t i = 0; i < BK_COUNT(gone); i++)
        has_not(x, gone[i]);
    has(told, "'vdd' is not in the snapshot");
    has(told, "'sda' is not in the snapshot");
    has(told, "'vdb' was encrypted");
}

static bool is_iso(const char *path)
{
    return !strcmp(path, "/there.iso");
}

static void drives_for_media_keep_what_is_there(void **state)
{
    (void)state;
    struct vm_rewrite w = { .has_medium = is_iso };
    bk_auto(free) char *x = changed(
        "<devices><disk type='file' device='cdrom'><source file='/there.iso'/><target dev='sda'/></disk>"
        "<disk type='file' device='cdrom'><source file='/gone.iso'/><target dev='sdb'/></disk>"
        "<disk type='network' device='cdrom'><source protocol='http' name='x'/><target dev='sdc'/></disk>"
        "<disk type='file' device='floppy'><target dev='fda'/></disk></devices>",
        &w, 0);
    has(x, "<source file=\"/there.iso\"/>");
    has_not(x, "/gone.iso");
    has_not(x, "http");
    has(x, "\"sdb\"");
    has(x, "\"fda\"");
    has(told, "'sdb' is not here");
}

static void a_copy_is_a_machine_of_its_own(void **state)
{
    (void)state;
    struct vm_rename nets[] = { { .from = "default", .to = "lan & wan" },
                                { .from = "br0", .to = "br1" },
                                { .from = "lan & wan", .to = "no" },
                                { .from = "unknown", .to = "x" } };
    struct vm_rewrite w = { .name = "web & <copy>",
                            .uuid = "00000000-0000-4000-8000-000000000001",
                            .new_macs = true,
                            .networks = nets,
                            .n_networks = BK_COUNT(nets) };
    bk_auto(free) char *x =
        changed("<genid>" UUID "</genid><sysinfo type='smbios'><system><entry name='uuid'>" UUID "</entry>"
                "<entry name='serial'>s</entry></system></sysinfo>"
                "<seclabel type='dynamic' model='dac'><label>+1:+2</label></seclabel><seclabel type='none' "
                "model='dac'/>"
                "<devices><interface type='network'><mac address='52:54:00:00:00:01'/>"
                "<source network='default' portid='" UUID
                "' bridge='virbr0'/><target dev='vnet3'/><alias name='net0'/></interface>"
                "<interface type='bridge'><mac address='52:54:00:00:00:02'/><source bridge='br0'/><target "
                "dev='mine'/>"
                "<alias name='ua-mine'/></interface></devices>",
                &w, 0);
    has(x, "<name>web &amp; &lt;copy&gt;</name><uuid>00000000-0000-4000-8000-000000000001</uuid>");
    has(x, "<entry name=\"uuid\">00000000-0000-4000-8000-000000000001</entry>");
    has(x, "<entry name=\"serial\">s</entry>");
    has(x, "<source network=\"lan &amp; wan\"/>");
    has(x, "<source bridge=\"br1\"/>");
    has(x, "ua-mine");
    has(x, "mine");
    has(x, "<seclabel type=\"none\"");
    static const char *const gone[] = {
        UUID, "52:54", "portid", "virbr0", "vnet3", "net0", "dynamic", "+1:+2"
    };
    for (size_t i = 0; i < BK_COUNT(gone); i++)
        has_not(x, gone[i]);
    assert_true(nets[0].used && nets[1].used);
    assert_false(nets[2].used || nets[3].used);
}

static void what_is_not_asked_for_stays(void **state)
{
    (void)state;
    struct vm_rewrite w = { 0 };
    bk_auto(free) char *x =
        changed("<os><kernel>/k</kernel><nvram template='/t'>/n</nvram></os><metadata><a:b "
                "xmlns:a='u'>c</a:b></metadata>"
                "<devices><interface type='network'><mac address='52:54:00:00:00:01'/><source "
                "network='n'/></interface>"
                "<tpm><backend type='emulator'><source type='dir' path='/p'/></backend></tpm></devices>",
                &w, 0);
    static const char *const kept[] = { UUID,         "52:54:00:00:00:01", "<kernel>/k</kernel>",
                                        ">/n<",       "network=\"n\"",     "<a:b xmlns:a=\"u\">c</a:b>",
                                        "path=\"/p\"" };
    for (size_t i = 0; i < BK_COUNT(kept); i++)
        has(x, kept[i]);
    assert_string_equal(told, "");
}

static void firmware_and_kernel_move(void **state)
{
    (void)state;
    struct vm_rewrite w = { .nvram = "/d/n&1", .kernel = "/d/k", .initrd = "/d/i", .forget_tpm_place = true };
    bk_auto(free) char *plain =
        changed("<os><kernel>/k</kernel><initrd>/i</initrd><nvram template='/t'>/n</nvram></os>"
                "<devices><tpm><backend type='emulator' version='2.0'><source type='dir' "
                "path='/p'/></backend></tpm></devices>",
                &w, 0);
    has(plain, "<kernel>/d/k</kernel><initrd>/d/i</initrd><nvram template=\"/t\">/d/n&amp;1</nvram>");
    has_not(plain, "/p");
    bk_auto(free) char *typed = changed("<os><nvram type='block'><source dev='/dev/n'/></nvram></os>", &w, 0);
    has(typed, "<nvram type=\"file\"><source file=\"/d/n&amp;1\"/></nvram>");
    w = (struct vm_rewrite){ .forget_nvram = true };
    bk_auto(free) char *none = changed("<os><nvram template='/t'>/n</nvram></os>", &w, 0);
    has(none, "<nvram template=\"/t\"/>");
}

static void what_reaches_into_the_host_is_told(void **state)
{
    (void)state;
    struct vm_rewrite w = { 0 };
    bk_auto(free) char *x = changed("<q:commandline xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0'/>"
                                    "<devices><hostdev/><filesystem/></devices>",
                                    &w, 0);
    has(x, "hostdev");
    has(told, "<hostdev>");
    has(told, "<filesystem>");
    has(told, "<commandline>");
}

static void hostile_definitions_are_refused(void **state)
{
    (void)state;
    struct vm_rewrite w = { .name = "n" };
    assert_null(changed("<?xml version='1.0'?><!DOCTYPE domain [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>"
                        "<domain><name>&e;</name>",
                        &w, BK_E_CORRUPT));
    assert_null(changed("<devices>", &w, BK_E_CORRUPT));
    /* libvirt would take the one, and we another */
    assert_null(changed("<devices/><devices/>", &w, BK_E_CORRUPT));
    assert_null(changed("<os/><devices/><os/>", &w, BK_E_CORRUPT));
    assert_null(changed("<name>other</name><devices/>", &w, BK_E_CORRUPT));
    struct bk_error err = { 0 };
    char *out = NULL;
    assert_int_equal(vm_rewrite("<network/>", &w, &job, &out, &err), BK_E_CORRUPT);
    assert_int_equal(vm_rewrite("<domain/>", &w, &job, &out, &err), BK_E_CORRUPT);
    w.name = "a\x1b[2J";
    assert_null(changed("", &w, BK_E_USAGE));
    w.name = "\xff";
    assert_null(changed("", &w, BK_E_USAGE));
    assert_null(out);
}

static int note(void *ctx, const char *name, struct bk_error *err)
{
    (void)err;
    strcat(strcat(ctx, name), ",");
    return 0;
}

static void networks_are_listed(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    char list[64] = "";
    assert_int_equal(
        vm_rewrite_networks(HEAD
                            "<devices><interface type='network'><source network='a'/></interface>"
                            "<interface type='bridge'><source bridge='x'/></interface>"
                            "<interface type='network'><source network='b'/></interface></devices></domain>",
                            note, list, &err),
        0);
    assert_string_equal(list, "a,b,");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(disks_lie_where_they_are_restored_to),
        T(drives_for_media_keep_what_is_there),
        T(a_copy_is_a_machine_of_its_own),
        T(what_is_not_asked_for_stays),
        T(firmware_and_kernel_move),
        T(what_reaches_into_the_host_is_told),
        T(hostile_definitions_are_refused),
        T(networks_are_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
