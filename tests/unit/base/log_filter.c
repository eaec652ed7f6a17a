/* log_filter.c -- which lines a filter lets through */
#include "test.h"

#include "base/log_internal.h"

static void the_longest_prefix_decides(void **state)
{
    static const struct {
        const char *filter, *target;
        enum log_level level;
    } TABLE[] = {
        { "", "smg::x", LOG_ERROR },
        { " , ", "smg::x", LOG_ERROR },
        { "info", "smg::x", LOG_INFO },
        { "WARN", "anything", LOG_WARN },
        { "trace", "anything", LOG_DEBUG },
        { "off", "anything", LOG_OFF },
        { "smg=debug,warn", "smg::x", LOG_DEBUG },
        { "smg=debug,warn", "smg_mesh::x", LOG_DEBUG },
        { "smg=debug,warn", "wfaas", LOG_WARN },
        { "smg=debug", "wfaas", LOG_OFF },
        { "smg", "smg::x", LOG_DEBUG },
        { "warn,smg=info,smg::request=error", "smg::request", LOG_ERROR },
        { "warn,smg=info,smg::request=error", "smg::response", LOG_INFO },
        { "smg::request=error,smg=info,warn", "smg::request", LOG_ERROR },
        { "smg=info,smg=error", "smg", LOG_ERROR },
        { " smg = info ", "smg", LOG_INFO },
    };

    for (size_t i = 0; i < ARRAY_LEN(TABLE); i++) {
        struct log_filter f;

        assert_int_equal(log_filter_parse(&f, TABLE[i].filter, NULL), 0);
        assert_int_equal(log_filter_level(&f, TABLE[i].target), TABLE[i].level);
    }
}

static void the_highest_level_of_all_rules_is_known(void **state)
{
    struct log_filter f;

    assert_int_equal(log_filter_parse(&f, "warn,smg=debug,x=off", NULL), 0);
    assert_int_equal(f.highest, LOG_DEBUG);
    assert_int_equal(log_filter_parse(&f, "off", NULL), 0);
    assert_int_equal(f.highest, LOG_OFF);
}

static void what_is_not_understood_is_refused_by_name(void **state)
{
    static const char *const BAD[] = { "smg=loud", "smg=", "a b", "smg[span]=debug", "smg=info=warn" };
    struct log_filter f = { .n = 7 };
    struct err err;

    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        assert_int_equal(log_filter_parse(&f, BAD[i], &err), ERR_INVALID);
        assert_non_null(strstr(err.message, BAD[i]));
    }
    assert_int_equal(f.n, 7);
}

static void too_many_targets_are_refused(void **state)
{
    struct buf text = { 0 };
    struct log_filter f;

    for (unsigned i = 0; i <= LOG_RULES_MAX; i++)
        buf_printf(&text, "t%u=info,", i);
    buf_put_char(&text, 0);
    assert_int_equal(log_filter_parse(&f, text.p, NULL), ERR_INVALID);
    buf_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_longest_prefix_decides),
        cmocka_unit_test(the_highest_level_of_all_rules_is_known),
        cmocka_unit_test(what_is_not_understood_is_refused_by_name),
        cmocka_unit_test(too_many_targets_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
