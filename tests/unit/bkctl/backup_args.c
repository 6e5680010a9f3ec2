#include "bkctl/backup_args.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static int read_text(const void *data, size_t len, char separator, bool comments, struct opt_list *l,
                     char **mem)
{
    char path[] = "/tmp/bkctl-args-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, len), (ssize_t)len);
    close(fd);
    int r = backup_args_read(path, separator, comments, l, mem, NULL);
    unlink(path);
    return r;
}

static void lines_without_comments(void **state)
{
    (void)state;
    struct opt_list l = { 0 };
    char *mem = NULL;
    assert_int_equal(read_text("# no\n*.o\n\n/last", 15, '\n', true, &l, &mem), 0);
    assert_int_equal(l.n, 2);
    assert_string_equal(l.v[0], "*.o");
    assert_string_equal(l.v[1], "/last");
    opt_list_clear(&l);
    free(mem);
}

static void nul_ended_paths_keep_newlines(void **state)
{
    (void)state;
    struct opt_list l = { 0 };
    char *mem = NULL;
    assert_int_equal(read_text("a\nb\0#c\0", 7, '\0', false, &l, &mem), 0);
    assert_int_equal(l.n, 2);
    assert_string_equal(l.v[0], "a\nb");
    assert_string_equal(l.v[1], "#c");
    opt_list_clear(&l);
    free(mem);
}

static void a_nul_among_lines_is_usage(void **state)
{
    (void)state;
    struct opt_list l = { 0 };
    char *mem = NULL;
    assert_int_equal(read_text("a\0b\n", 4, '\n', false, &l, &mem), BK_E_USAGE);
    assert_int_equal(l.n, 0);
}

static void a_big_list_is_read_whole(void **state)
{
    (void)state;
    enum { N = 50000 };
    char *text = malloc(N * 8);
    size_t len = 0;
    for (int i = 0; i < N; i++)
        len += (size_t)sprintf(text + len, "/%05d\n", i);
    struct opt_list l = { 0 };
    char *mem = NULL;
    assert_int_equal(read_text(text, len, '\n', false, &l, &mem), 0);
    assert_int_equal(l.n, N);
    assert_string_equal(l.v[N - 1], "/49999");
    opt_list_clear(&l);
    free(mem);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_without_comments),
        cmocka_unit_test(nul_ended_paths_keep_newlines),
        cmocka_unit_test(a_nul_among_lines_is_usage),
        cmocka_unit_test(a_big_list_is_read_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
