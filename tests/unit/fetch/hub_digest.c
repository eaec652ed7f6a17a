/* hub_digest.c -- what an etag says of the bytes */
#include "fetch/hub_digest.h"
#include "fetch/temporary_folder.h"

static int check(const char *text, const char *etag, struct err *err)
{
    char path[PATH_MAX];
    int fd, st;

    folder_write("file", text);
    snprintf(path, sizeof path, "%s/file", folder);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    st = hub_digest_check(fd, strlen(text), str_of(etag), err);
    close(fd);
    return st;
}

static void gits_names_sha1_and_sha256_are_known(void **state)
{
    assert_int_equal(check("hello\n", "ce013625030ba8dba906f756967f9e9ca394464a", NULL), 0); /* git hash-object */
    assert_int_equal(check("", "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391", NULL), 0);
    assert_int_equal(check("hello\n", "f572d396fae9206628714fb2ce00f72e94f2258f", NULL), 0); /* sha1sum */
    assert_int_equal(check("hello\n", "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03", NULL), 0);
}

static void other_bytes_are_damaged(void **state)
{
    struct err err;

    assert_int_equal(check("hellO\n", "ce013625030ba8dba906f756967f9e9ca394464a", &err), ERR_PROTOCOL);
    assert_non_null(strstr(err.message, "git hash"));
    assert_int_equal(check("hellO\n", "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03", &err), ERR_PROTOCOL);
    assert_non_null(strstr(err.message, "should be 5891b5b5"));
}

static void an_etag_that_is_no_hash_says_nothing(void **state)
{
    assert_int_equal(check("hello\n", "5f3c-12ab", NULL), 0);
    assert_int_equal(check("hello\n", "CE013625030BA8DBA906F756967F9E9CA394464A", NULL), 0);
}

static void a_file_that_became_shorter_is_an_error_of_the_disk(void **state)
{
    char path[PATH_MAX];
    struct err err;
    int fd;

    folder_write("file", "hello\n");
    snprintf(path, sizeof path, "%s/file", folder);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(hub_digest_check(fd, 7, STR("ce013625030ba8dba906f756967f9e9ca394464a"), &err), ERR_IO);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gits_names_sha1_and_sha256_are_known),
        cmocka_unit_test(other_bytes_are_damaged),
        cmocka_unit_test(an_etag_that_is_no_hash_says_nothing),
        cmocka_unit_test(a_file_that_became_shorter_is_an_error_of_the_disk),
    };

    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
