/* metrics_merge.c -- many engines' metrics on one page (spec control-plane 15.4, operations 9) */
#include "test.h"

#include "observe/metrics_merge.h"

static struct buf page;
static struct err err;

static int add(struct metrics_merge *m, const char *text, const char *origin)
{
    struct buf b = { 0 };
    int r;

    err = (struct err){ 0 };
    buf_put(&b, str_of(text));
    r = metrics_merge_add(m, &b, str_of(origin), &err);
    buf_fini(&b);
    return r;
}

/* The page, written in pieces of ROOM bytes; frees M. */
static const char *page_of(struct metrics_merge *m, size_t room)
{
    buf_clear(&page);
    while (!metrics_merge_next(m, &page, room))
        ;
    buf_put_char(&page, 0);
    metrics_merge_free(m);
    return page.p;
}

static struct metrics_merge *a_merge(void)
{
    struct metrics_merge *m = metrics_merge_new(STR("worker_addr"), 1 << 20);

    assert_non_null(m);
    return m;
}

#define HEAD "# HELP t The total.\n# TYPE t counter\n"

static void equal_families_become_one(void **state)
{
    for (size_t room = 1; room < 4096; room *= 8) {
        struct metrics_merge *m = a_merge();

        assert_int_equal(add(m, HEAD "t{method=\"post\",code=\"200\"} 1027\n", "http://a:1"), 0);
        assert_int_equal(add(m, HEAD "t{method=\"post\",code=\"200\"} 500.0\n", "http://b:1"), 0);
        assert_string_equal(page_of(m, room), HEAD "t{code=\"200\",method=\"post\",worker_addr=\"http://a:1\"} 1027\n"
                                                   "t{code=\"200\",method=\"post\",worker_addr=\"http://b:1\"} 500\n\n");
    }
}

static void only_names_lose_their_colons(void **state)
{
    struct metrics_merge *m = a_merge();

    assert_int_equal(add(m, "# HELP v:x at a:1\n# TYPE v:x gauge\nv:x{url=\"http://a:1\"} 8.128902e+06 12\n", "o:1"), 0);
    assert_string_equal(page_of(m, 4096),
                        "# HELP v_x at a:1\n# TYPE v_x gauge\nv_x{url=\"http://a:1\",worker_addr=\"o:1\"} 8128902 12\n\n");
}

static void missing_labels_are_empty_and_le_is_last(void **state)
{
    struct metrics_merge *m = a_merge();

    assert_int_equal(add(m, "# TYPE h histogram\nh_bucket{le=\"1\",z=\"q\"} 2\nh_count{z=\"q\"} 2\nh_sum{z=\"q\"} 0.5\n", "a"), 0);
    assert_int_equal(add(m, "# TYPE h histogram\nh_sum{b=\"1\"} 3\n", "b"), 0);
    assert_string_equal(page_of(m, 4096),
                        "# TYPE h histogram\nh_bucket{b=\"\",worker_addr=\"a\",z=\"q\",le=\"1\"} 2\n"
                        "h_sum{b=\"\",worker_addr=\"a\",z=\"q\"} 0.5\nh_count{b=\"\",worker_addr=\"a\",z=\"q\"} 2\n"
                        "h_sum{b=\"1\",worker_addr=\"b\",z=\"\"} 3\n\n");
}

static void an_engines_own_origin_is_renamed(void **state)
{
    struct metrics_merge *m = a_merge();

    assert_int_equal(add(m, "x{worker_addr=\"e\"} NaN\n", "a\"b\\"), 0);
    assert_string_equal(page_of(m, 4096), "x{exported_worker_addr=\"e\",worker_addr=\"a\\\"b\\\\\"} NaN\n\n");
}

static void what_is_no_metrics_text_changes_nothing(void **state)
{
    static const char *const BAD[] = { "invalid metrics text",
                                       "x 1\ny{a=\"b} 1\n",
                                       "x{a=\"\\q\"} 1",
                                       "x{a=\"1\",a=\"2\"} 1",
                                       "x 1 1.5",
                                       "# TYPE x wheel",
                                       "x{a=\"\xff\"} 1",
                                       "# TYPE x counter\nx 1\n# TYPE x gauge\n" };
    struct metrics_merge *m = a_merge();

    for (size_t i = 0; i < ARRAY_LEN(BAD); i++)
        assert_int_equal(add(m, BAD[i], "bad"), ERR_SYNTAX);
    assert_int_equal(metrics_merge_texts(m), 0);
    assert_int_equal(add(m, "", "empty"), 0);
    assert_string_equal(page_of(m, 4096), "");
}

static void two_types_of_a_family_are_told(void **state)
{
    struct metrics_merge *m = a_merge();

    assert_int_equal(add(m, "# TYPE x counter\nx 1\n", "a"), 0);
    assert_int_equal(add(m, "# TYPE x gauge\nx 1\n", "b"), ERR_INVALID);
    assert_string_equal(err.message, "x is a counter at one worker and a gauge at another");
    metrics_merge_free(m);
}

static void the_bound_holds(void **state)
{
    struct metrics_merge *m = metrics_merge_new(STR("w"), 10);

    assert_int_equal(add(m, "x 1\n", "a"), 0);
    assert_int_equal(add(m, "x 1234567\n", "b"), ERR_LIMIT);
    assert_string_equal(page_of(m, 4096), "x{w=\"a\"} 1\n\n");
    buf_fini(&page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_families_become_one),
        cmocka_unit_test(only_names_lose_their_colons),
        cmocka_unit_test(missing_labels_are_empty_and_le_is_last),
        cmocka_unit_test(an_engines_own_origin_is_renamed),
        cmocka_unit_test(what_is_no_metrics_text_changes_nothing),
        cmocka_unit_test(two_types_of_a_family_are_told),
        cmocka_unit_test(the_bound_holds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
