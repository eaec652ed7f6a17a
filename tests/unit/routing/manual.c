/* manual.c -- sticky sessions, their table, and the keys in flight (spec data-plane 6.9, case 33) */
#include <pthread.h>

#include "herd.h"

#include "base/budget.h"
#include "fail_alloc.h"
#include "routing/key_loads.h"
#include "routing/sticky.h"

static struct policy *a_manual(enum policy_assignment assignment)
{
    struct policy_conf conf = POLICY_CONF_DEFAULTS;

    conf.assignment = assignment;
    conf.max_idle_s = 100;
    conf.eviction_interval_s = 10;
    return herd_policy(&policy_manual, &conf);
}

static void key(const char *text)
{
    herd.hint.routing_key = str_of(text);
}

static void dp_33_a_key_stays_where_it_is(void **state)
{
    struct policy *p;
    size_t at;

    herd_make(8);
    p = a_manual(POLICY_ASSIGN_RANDOM);
    key("a");
    at = herd_pick(p);
    assert_string_equal(herd.choice.branch, "vacant");
    for (int i = 0; i < 20; i++)
        assert_int_equal(herd_pick(p), at);
    assert_string_equal(herd.choice.branch, "occupied_hit");
    assert_int_equal(policy_manual_entries(p), 1);
    key("");
    assert_true(herd_pick(p) > 0);
    assert_string_equal(herd.choice.branch, "no_routing_id");
    assert_int_equal(policy_manual_entries(p), 1);
    policy_unref(p);
}

static void dp_33_a_worker_that_comes_back_has_its_keys_again(void **state)
{
    struct policy *p;
    size_t first, second, third;

    herd_make(8);
    p = a_manual(POLICY_ASSIGN_RANDOM);
    key("a");
    first = herd_pick(p);
    second = herd_pick_of(p, ~(1ull << (first - 1)));
    assert_int_not_equal(second, first);
    assert_string_equal(herd.choice.branch, "occupied_miss");
    assert_int_equal(herd_pick_of(p, ~(1ull << (first - 1))), second);
    assert_int_equal(herd_pick(p), first);
    third = herd_pick_of(p, ~(1ull << (first - 1) | 1ull << (second - 1))); /* pushes the first out */
    assert_string_equal(herd.choice.branch, "occupied_miss");
    assert_int_equal(herd_pick_of(p, ~(1ull << (second - 1))), third);
    assert_int_equal(herd_pick(p), second);
    policy_unref(p);
}

static void dp_33_assignment_takes_the_minimum(void **state)
{
    struct policy *p;

    herd_make(4);
    for (size_t i = 0; i < 4; i++) {
        atomic_store(&herd.lives[i].load, i == 2 ? 1 : 2);
        atomic_store(&herd.lives[i].routing_keys, i == 1 ? 1 : 2);
    }
    p = a_manual(POLICY_ASSIGN_MIN_LOAD);
    key("a");
    assert_int_equal(herd_pick(p), 3);
    policy_unref(p);
    p = a_manual(POLICY_ASSIGN_MIN_GROUP);
    assert_int_equal(herd_pick(p), 2);
    policy_unref(p);
}

static void dp_33_of_equals_any_is_taken(void **state)
{
    size_t hits[5] = { 0 };
    struct policy *p;
    char text[16];

    herd_make(4);
    p = a_manual(POLICY_ASSIGN_MIN_LOAD);
    atomic_store(&herd.lives[0].load, 1);
    for (int i = 0; i < 300; i++) {
        snprintf(text, sizeof text, "k%d", i);
        key(text);
        hits[herd_pick(p)]++;
    }
    assert_int_equal(hits[1], 0);
    for (size_t i = 2; i <= 4; i++)
        assert_true(hits[i] > 60 && hits[i] < 140);
    policy_unref(p);
}

static void dp_33_idle_keys_are_forgotten(void **state)
{
    struct policy *p;

    herd_make(4);
    p = a_manual(POLICY_ASSIGN_RANDOM);
    key("old");
    (void)herd_pick(p);
    herd.hint.now_us += 60 * 1000000ull;
    key("young");
    (void)herd_pick(p);
    p->ops->tick(p, herd.hint.now_us + 41 * 1000000ull);
    assert_int_equal(policy_manual_entries(p), 1);
    (void)herd_pick(p);
    assert_string_equal(herd.choice.branch, "occupied_hit");
    policy_unref(p);
}

static void dp_33_models_and_legs_do_not_share_keys(void **state)
{
    struct policy *p;

    herd_make(8);
    p = a_manual(POLICY_ASSIGN_RANDOM);
    key("a");
    (void)herd_pick(p);
    herd.hint.leg = POLICY_DECODE;
    (void)herd_pick(p);
    assert_string_equal(herd.choice.branch, "vacant");
    herd.hint.model = STR("other");
    (void)herd_pick(p);
    assert_string_equal(herd.choice.branch, "vacant");
    assert_int_equal(policy_manual_entries(p), 3);
    policy_unref(p);
}

static void without_memory_there_is_no_stickiness(void **state)
{
    herd_make(2);
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct policy *p = NULL;

        if (policy_new(&policy_manual, &POLICY_CONF_DEFAULTS, &p, NULL) == 0) {
            key("a");
            assert_true(herd_pick(p) > 0);
        }
        policy_unref(p);
    }
}

/* ---- the table ---- */

static void the_table_has_a_bound_and_the_oldest_give_way(void **state)
{
    struct sticky_pair pair, one = { 1, 0 };
    struct sticky *s;
    size_t lost = 0;

    assert_int_equal(sticky_new(&s), 0);
    for (uint32_t i = 0; i < 2 * STICKY_ENTRIES_MAX; i++) {
        char text[16];

        (void)sticky_settle(s, sticky_hash((struct str){ text, (size_t)snprintf(text, sizeof text, "%u", i) }, STR("m"), 0),
                            (struct sticky_pair){ 0 }, one, i / 1000);
    }
    assert_true(sticky_count(s) <= STICKY_ENTRIES_MAX);
    for (uint32_t i = 2 * STICKY_ENTRIES_MAX - 1000; i < 2 * STICKY_ENTRIES_MAX; i++) {
        char text[16];

        lost += !sticky_get(s, sticky_hash((struct str){ text, (size_t)snprintf(text, sizeof text, "%u", i) }, STR("m"), 0), 3000,
                            &pair);
    }
    assert_int_equal(lost, 0);
    assert_true(budget_used() >= STICKY_ENTRIES_MAX * 32ull);
    sticky_sweep(s, 2999);
    assert_int_equal(sticky_count(s), 1000);
    sticky_free(s);
    assert_int_equal(budget_used(), 0);
}

static void few_keys_are_lost_before_the_bound(void **state)
{
    struct sticky_pair pair, one = { 1, 0 };
    struct sticky *s;
    size_t lost = 0;

    assert_int_equal(sticky_new(&s), 0);
    for (uint64_t i = 1; i <= 100000; i++)
        (void)sticky_settle(s, i * 0x9e3779b97f4a7c15u, (struct sticky_pair){ 0 }, one, 1);
    for (uint64_t i = 1; i <= 100000; i++)
        lost += !sticky_get(s, i * 0x9e3779b97f4a7c15u, 1, &pair);
    assert_int_equal(lost, 0);
    sticky_free(s);
}

static void whoever_settles_first_is_right(void **state)
{
    struct sticky_pair none = { 0 }, a = { 5, 0 }, b = { 7, 0 };
    struct sticky *s;

    assert_int_equal(sticky_new(&s), 0);
    assert_int_equal(sticky_settle(s, 99, none, a, 1).first, 5);
    assert_int_equal(sticky_settle(s, 99, none, b, 1).first, 5);
    assert_int_equal(sticky_settle(s, 99, a, b, 1).first, 7);
    sticky_free(s);
}

/* ---- keys in flight ---- */

static int64_t keys_of(size_t worker)
{
    return atomic_load(&herd.lives[worker - 1].routing_keys);
}

static void keys_in_flight_are_counted_once_each(void **state)
{
    struct key_loads *k;
    struct key_hold a, b, c, none;

    herd_make(2);
    assert_int_equal(key_loads_new(&k), 0);
    a = key_loads_begin(k, herd.all[0], STR("x"));
    b = key_loads_begin(k, herd.all[0], STR("x"));
    c = key_loads_begin(k, herd.all[1], STR("x"));
    none = key_loads_begin(k, herd.all[0], STR(""));
    assert_int_equal(keys_of(1), 1);
    assert_int_equal(keys_of(2), 1);
    key_loads_end(&a, herd.all[0]);
    assert_int_equal(keys_of(1), 1);
    key_loads_end(&a, herd.all[0]); /* ended once, whatever comes */
    key_loads_end(&b, herd.all[0]);
    key_loads_end(&c, herd.all[1]);
    key_loads_end(&none, herd.all[0]);
    assert_int_equal(keys_of(1), 0);
    assert_int_equal(keys_of(2), 0);
    key_loads_free(k);
}

static struct key_loads *shared;

static void *count_much(void *arg)
{
    struct key_hold holds[64];
    char text[16];

    for (int round = 0; round < 500; round++) {
        for (int i = 0; i < 64; i++)
            holds[i] =
                key_loads_begin(shared, herd.all[i % 2], (struct str){ text, (size_t)snprintf(text, sizeof text, "%d", i % 20) });
        for (int i = 0; i < 64; i++)
            key_loads_end(&holds[i], herd.all[i % 2]);
    }
    return arg;
}

static void no_count_is_left_behind_by_threads(void **state)
{
    pthread_t threads[3];

    herd_make(2);
    assert_int_equal(key_loads_new(&shared), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_much, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(keys_of(1), 0);
    assert_int_equal(keys_of(2), 0);
    key_loads_free(shared);
}

static void more_keys_than_places_are_not_counted_and_not_leaked(void **state)
{
    static struct key_hold holds[KEY_LOADS_MAX * 2];
    char text[16];
    int64_t counted;

    herd_make(1);
    assert_int_equal(key_loads_new(&shared), 0);
    for (unsigned i = 0; i < ARRAY_LEN(holds); i++)
        holds[i] = key_loads_begin(shared, herd.all[0], (struct str){ text, (size_t)snprintf(text, sizeof text, "%u", i) });
    counted = keys_of(1);
    assert_true(counted > KEY_LOADS_MAX / 2 && counted <= KEY_LOADS_MAX);
    for (unsigned i = 0; i < ARRAY_LEN(holds); i++)
        key_loads_end(&holds[i], herd.all[0]);
    assert_int_equal(keys_of(1), 0);
    key_loads_free(shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dp_33_a_key_stays_where_it_is),
        cmocka_unit_test(dp_33_a_worker_that_comes_back_has_its_keys_again),
        cmocka_unit_test(dp_33_assignment_takes_the_minimum),
        cmocka_unit_test(dp_33_of_equals_any_is_taken),
        cmocka_unit_test(dp_33_idle_keys_are_forgotten),
        cmocka_unit_test(dp_33_models_and_legs_do_not_share_keys),
        cmocka_unit_test(without_memory_there_is_no_stickiness),
        cmocka_unit_test(the_table_has_a_bound_and_the_oldest_give_way),
        cmocka_unit_test(few_keys_are_lost_before_the_bound),
        cmocka_unit_test(whoever_settles_first_is_right),
        cmocka_unit_test(keys_in_flight_are_counted_once_each),
        cmocka_unit_test(no_count_is_left_behind_by_threads),
        cmocka_unit_test(more_keys_than_places_are_not_counted_and_not_leaked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
