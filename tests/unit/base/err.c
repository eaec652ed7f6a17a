/* err.c -- the rules of failures and their texts */
#include "test.h"

#include "base/err.h"

#include <errno.h>

static void setting_returns_the_code_also_when_nobody_reads(void **state)
{
    struct err err = { 0 };

    assert_int_equal(err_set(&err, ERR_LIMIT, "x=%d", 5), ERR_LIMIT);
    assert_int_equal(err.code, ERR_LIMIT);
    assert_string_equal(err.message, "x=5");
    assert_int_equal(err_set(NULL, ERR_LIMIT, "x"), ERR_LIMIT);
    assert_int_equal(err_wrap(NULL, ERR_LIMIT, "x"), ERR_LIMIT);
}

static void wrapping_puts_the_context_before_the_message(void **state)
{
    struct err err = { 0 };

    (void)err_set(&err, ERR_IO, "no disk");
    assert_int_equal(err_wrap(&err, ERR_NOT_FOUND, "file %s", "a"), ERR_NOT_FOUND);
    assert_string_equal(err.message, "file a: no disk");
    assert_int_equal(err.code, ERR_NOT_FOUND);
    (void)err_wrap(&err, ERR_IO, "%s", err.message); /* its own text may be in the context */
    assert_string_equal(err.message, "file a: no disk: file a: no disk");
}

static void wrapping_nothing_uses_the_text_of_the_code(void **state)
{
    struct err err = { 0 };

    (void)err_wrap(&err, ERR_TIMEOUT, "probe");
    assert_string_equal(err.message, "probe: timed out");
}

static void long_messages_are_cut_and_end_in_nul(void **state)
{
    char x[2 * ERR_MESSAGE_MAX];
    struct err err = { 0 };

    memset(x, 'x', sizeof x);
    (void)err_set(&err, ERR_IO, "%.*s", (int)sizeof x, x);
    assert_int_equal(strlen(err.message), ERR_MESSAGE_MAX - 1);
    (void)err_wrap(&err, ERR_IO, "context");
    assert_int_equal(strlen(err.message), ERR_MESSAGE_MAX - 1);
    assert_memory_equal(err.message, "context: xxx", 12);
    (void)err_wrap(&err, ERR_IO, "%.*s", (int)sizeof x, x);
    assert_int_equal(strlen(err.message), ERR_MESSAGE_MAX - 1);
}

static void every_code_has_its_text(void **state)
{
    assert_string_equal(err_text(ERR_NOMEM), "out of memory");
    assert_string_equal(err_text(ERR_UNSUPPORTED), "not supported");
    assert_string_equal(err_text(-999), "unknown error");
    assert_string_equal(err_text(0), "unknown error");
}

static void numbers_of_the_system_become_ours(void **state)
{
    assert_int_equal(err_from_errno(0), 0);
    assert_int_equal(err_from_errno(-ECONNREFUSED), ERR_REFUSED);
    assert_int_equal(err_from_errno(-ECONNRESET), ERR_RESET);
    assert_int_equal(err_from_errno(-ETIMEDOUT), ERR_TIMEOUT);
    assert_int_equal(err_from_errno(-EHOSTUNREACH), ERR_UNREACHABLE);
    assert_int_equal(err_from_errno(-ENOMEM), ERR_NOMEM);
    assert_int_equal(err_from_errno(-ENOENT), ERR_NOT_FOUND);
    assert_int_equal(err_from_errno(-ECANCELED), ERR_CANCELLED);
    assert_int_equal(err_from_errno(-4095), ERR_CLOSED);  /* UV_EOF */
    assert_int_equal(err_from_errno(-3008), ERR_RESOLVE); /* UV_EAI_NONAME */
    assert_int_equal(err_from_errno(-3003), ERR_CANCELLED);
    assert_int_equal(err_from_errno(-9999), ERR_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(setting_returns_the_code_also_when_nobody_reads),
        cmocka_unit_test(wrapping_puts_the_context_before_the_message),
        cmocka_unit_test(wrapping_nothing_uses_the_text_of_the_code),
        cmocka_unit_test(long_messages_are_cut_and_end_in_nul),
        cmocka_unit_test(every_code_has_its_text),
        cmocka_unit_test(numbers_of_the_system_become_ours),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
