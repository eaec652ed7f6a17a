/* counters.c -- sums that outlive a call, until their window ends, and never more of them than agreed */
#include "test.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "fail_alloc.h"
#include "plugin/counters.h"

#define M STR("limits")

static struct counters *c;

static int begin(void **state)
{
    c = counters_new(4);
    return c ? 0 : -1;
}

static int end(void **state)
{
    counters_free(c);
    return 0;
}

static void increments_add_up_within_a_window(void **state)
{
    assert_int_equal(counters_add(c, M, STR("ann"), 1, 1000, 10), 1);
    assert_int_equal(counters_add(c, M, STR("ann"), 2, 1000, 500), 3);
    assert_int_equal(counters_add(c, M, STR("ann"), 1, 1000, 1009), 4);
    assert_int_equal(counters_add(c, M, STR("bob"), 1, 1000, 1009), 1);
}

static void a_window_begins_with_the_first_increment_and_is_not_moved_by_later_ones(void **state)
{
    assert_int_equal(counters_add(c, M, STR("ann"), 5, 1000, 0), 5);
    assert_int_equal(counters_add(c, M, STR("ann"), 5, 86400000, 999), 10);
    assert_int_equal(counters_add(c, M, STR("ann"), 5, 1000, 1000), 5);
}

static void an_amount_of_zero_only_looks(void **state)
{
    assert_int_equal(counters_add(c, M, STR("ann"), 0, 1000, 0), 0);
    assert_int_equal(counters_count(c), 0);
    assert_int_equal(counters_add(c, M, STR("ann"), 7, 1000, 0), 7);
    assert_int_equal(counters_add(c, M, STR("ann"), 0, 1000, 1), 7);
    assert_int_equal(counters_add(c, M, STR("ann"), 0, 1000, 1000), 0);
}

static void modules_do_not_see_each_others_counters(void **state)
{
    assert_int_equal(counters_add(c, STR("ab"), STR("c"), 1, 1000, 0), 1);
    assert_int_equal(counters_add(c, STR("a"), STR("bc"), 1, 1000, 0), 1);
    assert_int_equal(counters_add(c, STR("ab"), STR("c"), 1, 1000, 0), 2);
}

static void a_full_table_takes_no_new_counter_until_a_window_ends(void **state)
{
    const char *keys[] = { "a", "b", "c", "d" };

    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        assert_int_equal(counters_add(c, M, str_of(keys[i]), 1, 1000 * (4 - i), 0), 1);
    assert_int_equal(counters_add(c, M, STR("e"), 1, 1000, 999), 0);
    assert_int_equal(counters_add(c, M, STR("a"), 1, 1000, 999), 2);
    assert_int_equal(counters_add(c, M, STR("e"), 1, 1000, 1000), 1); /* "d" has ended */
    assert_int_equal(counters_count(c), 4);
    assert_int_equal(counters_add(c, M, STR("a"), 1, 1000, 1000), 3);
}

static void what_is_past_a_limit_is_not_counted(void **state)
{
    char key[COUNTER_KEY_MAX + 1] = { 0 };

    assert_int_equal(counters_add(c, M, (struct str){ key, COUNTER_KEY_MAX }, 1, 1, 0), 1);
    assert_int_equal(counters_add(c, M, (struct str){ key, sizeof key }, 1, 1, 0), 0);
    assert_int_equal(counters_add(c, M, STR("k"), 1, 0, 0), 0);
    assert_int_equal(counters_add(c, M, STR("k"), 1, COUNTER_WINDOW_MAX_MS, 0), 1);
    assert_int_equal(counters_add(c, M, STR("j"), 1, COUNTER_WINDOW_MAX_MS + 1, 0), 0);
    assert_int_equal(counters_add(c, STR(""), STR("k"), 1, 1, 0), 0);
    assert_int_equal(counters_add(c, M, STR(""), 1, 1, 0), 1);
}

static void a_sum_stops_at_its_largest_value(void **state)
{
    assert_true(counters_add(c, M, STR("k"), UINT64_MAX - 1, 1000, 0) == UINT64_MAX - 1);
    assert_true(counters_add(c, M, STR("k"), 5, 1000, 0) == UINT64_MAX);
    assert_true(counters_add(c, M, STR("k"), 5, 1000, 0) == UINT64_MAX);
}

/* Against a plain array of the same, with windows that end in any order. */
static void many_counters_end_exactly_when_their_window_does(void **state)
{
    enum { KEYS = 200 };
    uint64_t value[KEYS] = { 0 }, ends[KEYS] = { 0 }, seed = 1;
    struct counters *many = counters_new(KEYS);
    char key[16];

    assert_non_null(many);
    for (uint64_t now = 1; now < 20000; now++) {
        unsigned k, window;

        seed = seed * 6364136223846793005u + 1442695040888963407u;
        k = (unsigned)(seed >> 33) % KEYS;
        window = 1 + (unsigned)(seed >> 45) % 997;
        if (ends[k] <= now) {
            value[k] = 0;
            ends[k] = now + window;
        }
        snprintf(key, sizeof key, "k%u", k);
        assert_true(counters_add(many, M, str_of(key), 1 + k, window, now) == (value[k] += 1 + k));
    }
    counters_free(many);
}

static void ended_counters_are_let_go_of(void **state)
{
    struct counters *many = counters_new(1000);
    char key[16];

    assert_non_null(many);
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(key, sizeof key, "k%u", i);
        counters_add(many, M, str_of(key), 1, 10, 0);
    }
    assert_int_equal(counters_count(many), 1000);
    for (unsigned i = 0; i < 125; i++)
        counters_add(many, M, STR("other"), 1, 1000, 10);
    assert_int_equal(counters_count(many), 1);
    counters_free(many);
}

static void *count_a_thousand(void *arg)
{
    for (unsigned i = 0; i < 1000; i++)
        counters_add(c, M, STR("shared"), 1, 1000, 0);
    return NULL;
}

static void threads_lose_no_increment(void **state)
{
    pthread_t t[4];

    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        assert_int_equal(pthread_create(&t[i], NULL, count_a_thousand, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        pthread_join(t[i], NULL);
    assert_int_equal(counters_add(c, M, STR("shared"), 0, 1, 0), 4000);
}

static void without_memory_nothing_is_counted_and_nothing_is_lost(void **state)
{
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct counters *few = counters_new(4);

        if (few) {
            uint64_t first = counters_add(few, M, STR("a"), 1, 1000, 0);

            assert_true(first == 1 || (first == 0 && fail_alloc_failed()));
            assert_int_equal(counters_add(few, M, STR("a"), 1, 1000, 0), first + 1);
        }
        counters_free(few);
    }
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        CASE(increments_add_up_within_a_window),
        CASE(a_window_begins_with_the_first_increment_and_is_not_moved_by_later_ones),
        CASE(an_amount_of_zero_only_looks),
        CASE(modules_do_not_see_each_others_counters),
        CASE(a_full_table_takes_no_new_counter_until_a_window_ends),
        CASE(what_is_past_a_limit_is_not_counted),
        CASE(a_sum_stops_at_its_largest_value),
        CASE(many_counters_end_exactly_when_their_window_does),
        CASE(ended_counters_are_let_go_of),
        CASE(threads_lose_no_increment),
        cmocka_unit_test(without_memory_nothing_is_counted_and_nothing_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
