/* file.c -- the rules of whole files, in a folder of their own */
#include "test.h"

#include "base/file.h"
#include "fail_alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/smg-test-file-XXXXXX";
static char path[64], temporary[80];

static void what_was_written_is_read(void **state)
{
    struct buf b = { 0 };
    struct stat st;

    assert_int_equal(file_write_atomic(path, STR("first"), 0600, NULL), 0);
    assert_int_equal(file_write_atomic(path, STR("sec\0nd"), 0640, NULL), 0);
    buf_puts(&b, "> ");
    assert_int_equal(file_read(path, 100, &b, NULL), 0);
    assert_int_equal(b.n, 8);
    assert_memory_equal(b.p, "> sec\0nd", 8);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    assert_int_not_equal(access(temporary, F_OK), 0);
    buf_fini(&b);
}

static void large_files_come_whole_and_the_bound_is_exact(void **state)
{
    static char bytes[300000];
    struct buf b = { 0 };
    struct err err = { 0 };

    memset(bytes, 'x', sizeof bytes);
    assert_int_equal(file_write_atomic(path, (struct str){ bytes, sizeof bytes }, 0600, NULL), 0);
    assert_int_equal(file_read(path, sizeof bytes, &b, NULL), 0);
    assert_int_equal(b.n, sizeof bytes);
    assert_memory_equal(b.p, bytes, sizeof bytes);
    assert_int_equal(file_read(path, sizeof bytes - 1, &b, &err), ERR_LIMIT);
    assert_int_equal(b.n, sizeof bytes); /* as before */
    assert_false(b.failed);
    assert_non_null(strstr(err.message, "larger than 299999 bytes"));
    buf_fini(&b);
}

static void failures_name_the_path_and_the_reason(void **state)
{
    struct buf b = { 0 };
    struct err err = { 0 };
    char missing[128];

    (void)snprintf(missing, sizeof missing, "%s/none/file", folder);
    assert_int_equal(file_read(missing, 10, &b, &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, missing));
    assert_non_null(strstr(err.message, "No such file"));
    assert_int_equal(file_write_atomic(missing, STR("x"), 0600, &err), ERR_NOT_FOUND);
    assert_int_equal(file_read(folder, 10, &b, &err), ERR_IO); /* a folder */
    assert_int_equal(file_write_atomic(folder, STR("x"), 0600, &err), ERR_IO);
    assert_int_equal(b.n, 0);
    buf_fini(&b);
}

static void paths_that_are_too_long_are_refused(void **state)
{
    static char name[5000];

    memset(name, 'x', sizeof name - 1);
    assert_int_equal(file_write_atomic(name, STR("x"), 0600, NULL), ERR_INVALID);
}

static void one_line_numbers_are_read(void **state)
{
    uint64_t v = 7;

    assert_int_equal(file_write_atomic(path, STR("4096\n"), 0600, NULL), 0);
    assert_int_equal(file_read_u64(path, &v), 0);
    assert_int_equal(v, 4096);
    assert_int_equal(file_write_atomic(path, STR("max\n"), 0600, NULL), 0);
    assert_int_equal(file_read_u64(path, &v), ERR_SYNTAX);
    assert_int_equal(file_read_u64("/nonexistent", &v), ERR_NOT_FOUND);
    assert_int_equal(v, 4096);
}

static void without_memory_reading_fails_and_nothing_is_added(void **state)
{
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct buf b = { 0 };
        int r;

        buf_puts(&b, "x");
        r = file_read(path, 100, &b, NULL);
        assert_true(r == 0 || r == ERR_NOMEM);
        assert_true(r == 0 || b.n <= 1);
        buf_fini(&b);
    }
}

static int make_folder(void **state)
{
    if (!mkdtemp(folder))
        return -1;
    (void)snprintf(path, sizeof path, "%s/f", folder);
    (void)snprintf(temporary, sizeof temporary, "%s.tmp", path);
    return 0;
}

static int remove_folder(void **state)
{
    unlink(path);
    return rmdir(folder); /* fails when a temporary file was left */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_read),
        cmocka_unit_test(large_files_come_whole_and_the_bound_is_exact),
        cmocka_unit_test(failures_name_the_path_and_the_reason),
        cmocka_unit_test(paths_that_are_too_long_are_refused),
        cmocka_unit_test(one_line_numbers_are_read),
        cmocka_unit_test(without_memory_reading_fails_and_nothing_is_added),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
