/* splice.c -- setting members of an object's text */
#include "test.h"

#include "dispatch/splice.h"
#include "fail_alloc.h"

static const struct splice SET[] = {
    { STR_INIT("stream"), STR_INIT("false"), SPLICE_ALWAYS },
    { STR_INIT("room"), STR_INIT("7"), SPLICE_ALWAYS },
    { STR_INIT("n"), STR_INIT("1"), SPLICE_IF_THERE },
};

static void check(const char *text, const char *want)
{
    struct arena arena;
    struct buf out = { 0 };

    arena_init(&arena, NULL, 0);
    assert_int_equal(splice_members(str_of(text), SET, ARRAY_LEN(SET), &arena, &out), want ? 0 : ERR_INVALID);
    if (want)
        assert_str(buf_str(&out), want);
    buf_fini(&out);
    arena_fini(&arena);
}

static void a_member_that_is_there_keeps_its_place_and_a_missing_one_goes_to_the_end(void **state)
{
    check("{}", "{\"stream\":false,\"room\":7}");
    check(" { } \n", " { \"stream\":false,\"room\":7} \n");
    check("{\"a\": 1.50}", "{\"a\": 1.50,\"stream\":false,\"room\":7}");
    check("{ \"stream\" : true , \"a\":[1e0] }", "{ \"stream\" : false , \"a\":[1e0] ,\"room\":7}");
    check("{\"n\":3,\"room\":{\"x\":[]},\"stream\":null}", "{\"n\":1,\"room\":7,\"stream\":false}");
}

static void every_one_of_several_is_set_and_escaped_names_count(void **state)
{
    check("{\"room\":1,\"room\":2}", "{\"room\":7,\"room\":7,\"stream\":false}");
    check("{\"r\\u006fom\":1}", "{\"r\\u006fom\":7,\"stream\":false}");
}

static void members_of_inner_objects_are_left_alone(void **state)
{
    check("{\"a\":{\"stream\":true}}", "{\"a\":{\"stream\":true},\"stream\":false,\"room\":7}");
}

static void what_is_no_object_is_refused(void **state)
{
    check("[]", NULL);
    check("7", NULL);
    check("{\"a\":}", NULL);
    check("", NULL);
}

static void memory_that_runs_out_is_told(void **state)
{
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct arena arena;
        struct buf out = { 0 };
        int r;

        arena_init(&arena, NULL, 0);
        r = splice_members(STR("{\"a\":1}"), SET, ARRAY_LEN(SET), &arena, &out);
        assert_true(r == 0 || r == ERR_NOMEM);
        assert_true(r == 0 || fail_alloc_failed());
        buf_fini(&out);
        arena_fini(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_member_that_is_there_keeps_its_place_and_a_missing_one_goes_to_the_end),
        cmocka_unit_test(every_one_of_several_is_set_and_escaped_names_count),
        cmocka_unit_test(members_of_inner_objects_are_left_alone),
        cmocka_unit_test(what_is_no_object_is_refused),
        cmocka_unit_test(memory_that_runs_out_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
