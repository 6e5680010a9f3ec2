#include "bkctl/opt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct args {
    bool fast, slow;
    int level, kind, more;
    const char *name;
    struct opt_list tags;
    uint64_t size;
    double share;
};

static const struct opt table[] = {
    OPT_FLAG(struct args, fast, 'f', "fast", "", .conflicts = "slow name"),
    OPT_FLAG(struct args, slow, 's', "slow", ""),
    OPT_COUNT(struct args, more, 'v', "verbose", ""),
    OPT_INT(struct args, level, 0, "level", 0, 19, "", .def = "3"),
    OPT_CHOICE(struct args, kind, 0, "kind", "one|two|three", "", .def = "two"),
    OPT_STR(struct args, name, 'n', "name", "NAME", "", .env = "BKCTL_TEST_NAME"),
    OPT_LIST(struct args, tags, 't', "tag", "TAG", ""),
    OPT_SIZE(struct args, size, 0, "size", "", .def = "64MiB"),
    OPT_PERCENT(struct args, share, 0, "sample", ""),
    OPT_END,
};

struct parsed {
    struct args a;
    struct opt_set set;
    struct operands ops;
    struct bk_error err;
    int r, used;
};

static void parse(struct parsed *p, bool stop, const char *line)
{
    static char text[256];
    static char *argv[32];
    int argc = 0;
    memset(p, 0, sizeof *p);
    strcpy(text, line);
    for (char *s = strtok(text, " "); s; s = strtok(NULL, " "))
        argv[argc++] = s;
    p->set = (struct opt_set){ .table = table, .base = &p->a };
    p->r = opt_defaults(&p->set, 1, &p->err);
    if (p->r == 0)
        p->r = opt_parse(&p->set, 1, argc, argv, stop, &p->ops, &p->used, &p->err);
}

static void parsed_clear(struct parsed *p)
{
    operands_clear(&p->ops);
    opt_clear(&p->set);
}

static void defaults_come_first(void **state)
{
    (void)state;
    struct parsed p;
    parse(&p, false, "");
    assert_int_equal(p.r, 0);
    assert_int_equal(p.a.level, 3);
    assert_int_equal(p.a.kind, 1);
    assert_int_equal(p.a.size, 64 << 20);
    assert_null(p.a.name);
    parsed_clear(&p);
}

static void all_forms_are_read(void **state)
{
    (void)state;
    struct parsed p;
    parse(&p, false,
          "a -vvs --level=19 --kind three b -tone --tag two --tag= -n x --size 1k --sample 2.5% -- --fast -");
    assert_int_equal(p.r, 0);
    assert_true(p.a.slow);
    assert_false(p.a.fast);
    assert_int_equal(p.a.more, 2);
    assert_int_equal(p.a.level, 19);
    assert_int_equal(p.a.kind, 2);
    assert_string_equal(p.a.name, "x");
    assert_int_equal(p.a.tags.n, 3);
    assert_string_equal(p.a.tags.v[0], "one");
    assert_string_equal(p.a.tags.v[1], "two");
    assert_string_equal(p.a.tags.v[2], "");
    assert_int_equal(p.a.size, 1024);
    assert_true(p.a.share > 2.49 && p.a.share < 2.51);
    assert_int_equal(p.ops.n, 4);
    assert_int_equal(p.ops.n_before, 2);
    assert_true(p.ops.dashes);
    assert_string_equal(p.ops.v[2], "--fast");
    assert_string_equal(p.ops.v[3], "-");
    assert_null(p.ops.v[4]);
    parsed_clear(&p);
}

static void the_first_operand_can_end_the_parse(void **state)
{
    (void)state;
    struct parsed p;
    parse(&p, true, "--slow backup --unknown");
    assert_int_equal(p.r, 0);
    assert_int_equal(p.used, 1);
    assert_int_equal(p.ops.n, 0);
    parsed_clear(&p);
}

static void a_variable_gives_the_default(void **state)
{
    (void)state;
    struct parsed p;
    setenv("BKCTL_TEST_NAME", "from-env", 1);
    parse(&p, false, "");
    assert_string_equal(p.a.name, "from-env");
    parsed_clear(&p);
    parse(&p, false, "--name given");
    assert_string_equal(p.a.name, "given");
    parsed_clear(&p);
    unsetenv("BKCTL_TEST_NAME");
}

static void wrong_input_is_usage(void **state)
{
    (void)state;
    static const struct {
        const char *line, *text;
    } cases[] = {
        { "--fast --slow", "contradict" },
        { "--slow --fast", "contradict" },
        { "-n x -f", "contradict" },
        { "--nosuch", "--nosuch" },
        { "-z", "-z" },
        { "--level", "needs a value" },
        { "-n", "needs a value" },
        { "--fast=yes", "takes no value" },
        { "--level=x", "not a number" },
        { "--level=", "not a number" },
        { "--level 20", "out of range" },
        { "--level -1", "out of range" },
        { "--level 99999999999999", "out of range" },
        { "--kind four", "not one of" },
        { "--kind on", "not one of" },
        { "--size lots", "not a size" },
        { "--size 5xb", "not a size" },
        { "--size -5", "not a size" },
        { "--size 99999999999999999999", "too large" },
        { "--size 99999999999T", "too large" },
        { "--sample 0", "percentage" },
        { "--sample 101%", "percentage" },
        { "--sample nan", "percentage" },
        { "--sample 5%%", "not a percentage" },
    };
    for (size_t i = 0; i < BK_COUNT(cases); i++) {
        struct parsed p;
        parse(&p, false, cases[i].line);
        if (p.r != BK_E_USAGE || !strstr(p.err.text, cases[i].text))
            fail_msg("'%s' gave %d '%s'", cases[i].line, p.r, p.err.text);
        parsed_clear(&p);
    }
}

static void an_unknown_option_suggests_the_nearest(void **state)
{
    (void)state;
    struct parsed p;
    parse(&p, false, "--lebel=3");
    assert_non_null(strstr(p.err.hint, "--level"));
    parsed_clear(&p);
    parse(&p, false, "--verb");
    assert_non_null(strstr(p.err.hint, "--verbose"));
    parsed_clear(&p);
    parse(&p, false, "--completely-else");
    assert_string_equal(p.err.hint, "");
    parsed_clear(&p);
}

static void sizes_are_binary(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t bytes;
    } cases[] = { { "0", 0 },
                  { "4096", 4096 },
                  { "4096B", 4096 },
                  { "1KiB", 1024 },
                  { "1k", 1024 },
                  { "3M", 3 << 20 },
                  { "64MiB", 64 << 20 },
                  { "2g", (uint64_t)2 << 30 },
                  { "16383P", (uint64_t)16383 << 50 },
                  { "18446744073709551615", UINT64_MAX } };
    for (size_t i = 0; i < BK_COUNT(cases); i++) {
        uint64_t v = 1;
        assert_int_equal(opt_size(cases[i].text, &v, NULL), 0);
        assert_true(v == cases[i].bytes);
    }
    static const char *const bad[] = { "", "k", "1kk", "1 k", "1KB", "0x10", "16384P", "+1", "1.5G", "1i" };
    for (size_t i = 0; i < BK_COUNT(bad); i++) {
        uint64_t v = 7;
        struct bk_error err = { 0 };
        assert_int_equal(opt_size(bad[i], &v, &err), BK_E_USAGE);
        assert_true(v == 7);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_come_first),
        cmocka_unit_test(all_forms_are_read),
        cmocka_unit_test(the_first_operand_can_end_the_parse),
        cmocka_unit_test(a_variable_gives_the_default),
        cmocka_unit_test(wrong_input_is_usage),
        cmocka_unit_test(an_unknown_option_suggests_the_nearest),
        cmocka_unit_test(sizes_are_binary),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
