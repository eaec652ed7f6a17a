/* manual.c -- sticky sessions (spec data-plane 6.9; case 33), the table behind them, and the count of keys in flight */
#include <assert.h>
#include <pthread.h>

#include "crew.h"

#include "routing/key_loads.h"
#include "routing/sticky.h"

static struct policy *sticky_by(enum policy_assignment a)
{
    struct policy_conf conf = POLICY_CONF_DEFAULTS;

    conf.assignment = a;
    return a_policy_with("manual", &conf);
}

static void dp_33_a_key_stays_and_its_worker_takes_it_back(void **state)
{
    struct policy *p = sticky_by(POLICY_ASSIGN_MIN_LOAD);

    gather(3);
    hint.routing_key = STR("s1");
    give_load(0, 1);
    give_load(2, 1);
    assert_int_equal(chosen(p), 2);
    assert_branch("vacant");
    give_load(1, 9);
    assert_int_equal(chosen(p), 2);
    assert_branch("occupied_hit");
    leave_out(1);
    give_load(0, 0);
    assert_int_equal(chosen(p), 1);
    assert_branch("occupied_miss");
    assert_int_equal(chosen(p), 1);
    assert_branch("occupied_hit");
    come_back(1);
    assert_int_equal(chosen(p), 2);
    assert_int_equal(policy_manual_entries(p), 1);
    policy_unref(p);
}

static void dp_33_the_third_worker_pushes_the_oldest_out(void **state)
{
    struct policy *p = sticky_by(POLICY_ASSIGN_MIN_LOAD);

    gather(3);
    hint.routing_key = STR("s1");
    give_load(1, 1);
    give_load(2, 2);
    assert_int_equal(chosen(p), 1);
    leave_out(0);
    assert_int_equal(chosen(p), 2);
    leave_out(1);
    assert_int_equal(chosen(p), 3);
    come_back(0);
    come_back(1);
    assert_int_equal(chosen(p), 2); /* the older of the two that are left */
    policy_unref(p);
}

static void dp_33_the_unique_minimum_is_assigned(void **state)
{
    struct policy *p = sticky_by(POLICY_ASSIGN_MIN_GROUP);

    gather(3);
    atomic_store(&lives[0].routing_keys, 2);
    atomic_store(&lives[1].routing_keys, 2);
    atomic_store(&lives[2].routing_keys, 1);
    hint.routing_key = STR("k");
    assert_int_equal(chosen(p), 3);
    hint.routing_key = STR_NONE;
    assert_int_equal(chosen(p), 3);
    assert_branch("no_routing_id");
    assert_int_equal(policy_manual_entries(p), 1);
    policy_unref(p);
}

static void models_and_legs_have_keys_of_their_own(void **state)
{
    struct policy *p = sticky_by(POLICY_ASSIGN_MIN_LOAD);

    gather(2);
    give_load(1, 1);
    hint.routing_key = STR("k");
    assert_int_equal(chosen(p), 1);
    give_load(0, 2);
    hint.model = STR("other");
    assert_int_equal(chosen(p), 2);
    hint.leg = POLICY_DECODE;
    assert_int_equal(chosen(p), 2);
    assert_branch("vacant");
    policy_unref(p);
}

static void dp_33_keys_that_nobody_uses_are_forgotten(void **state)
{
    struct policy_conf conf = POLICY_CONF_DEFAULTS;
    struct policy *p;

    conf.max_idle_s = 100;
    conf.eviction_interval_s = 10;
    p = a_policy_with("manual", &conf);
    gather(2);
    hint.routing_key = STR("old");
    hint.now_us = 1000 * 1000000ull;
    chosen(p);
    hint.routing_key = STR("young");
    hint.now_us = 1050 * 1000000ull;
    chosen(p);
    p->ops->tick(p, 1090 * 1000000ull);
    assert_int_equal(policy_manual_entries(p), 2);
    p->ops->tick(p, 1095 * 1000000ull);
    assert_int_equal(policy_manual_entries(p), 2);
    p->ops->tick(p, 1101 * 1000000ull);
    assert_int_equal(policy_manual_entries(p), 1);
    hint.routing_key = STR("young");
    chosen(p);
    assert_branch("occupied_hit");
    policy_unref(p);
}

/* ---- the table ---- */

#define KEYS 50000

static void the_table_grows_and_loses_few(void **state)
{
    struct sticky *s;
    struct sticky_pair pair;
    size_t lost = 0;

    assert_int_equal(sticky_new(&s), 0);
    for (uint64_t i = 1; i <= KEYS; i++) {
        uint64_t hash = sticky_hash((struct str){ (const char *)&i, sizeof i }, STR("m"), 0);

        pair = sticky_settle(s, hash, (struct sticky_pair){ 0 }, (struct sticky_pair){ i, 0 }, 1);
        assert_int_equal(pair.first, i);
    }
    for (uint64_t i = 1; i <= KEYS; i++) {
        uint64_t hash = sticky_hash((struct str){ (const char *)&i, sizeof i }, STR("m"), 0);

        if (!sticky_get(s, hash, 2, &pair))
            lost++;
        else
            assert_int_equal(pair.first, i);
    }
    assert_true(lost < KEYS / 50);
    assert_int_equal(sticky_count(s), KEYS - lost);
    sticky_sweep(s, 1);
    assert_int_equal(sticky_count(s), KEYS - lost);
    sticky_sweep(s, 2);
    assert_int_equal(sticky_count(s), 0);
    sticky_free(s);
}

#define THREADS 4
static struct sticky *shared;

/* All threads want the same keys for themselves; all must see the same winner. */
static void *fight(void *arg)
{
    uint64_t me = (uint64_t)(uintptr_t)arg;

    for (uint64_t i = 1; i <= 2000; i++) {
        uint64_t hash = sticky_hash((struct str){ (const char *)&i, sizeof i }, STR("m"), 0);
        struct sticky_pair won = sticky_settle(shared, hash, (struct sticky_pair){ 0 }, (struct sticky_pair){ me, 0 }, 1), now;

        if (sticky_get(shared, hash, 1, &now))
            assert(now.first == won.first);
    }
    return NULL;
}

static void threads_agree_on_a_keys_worker(void **state)
{
    pthread_t t[THREADS];

    assert_int_equal(sticky_new(&shared), 0);
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&t[i], NULL, fight, (void *)(i + 1)), 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(t[i], NULL);
    sticky_free(shared);
}

/* ---- keys in flight ---- */

static void distinct_keys_in_flight_are_counted(void **state)
{
    struct key_loads *k;
    struct key_hold a, b, c, none;

    gather(2);
    assert_int_equal(key_loads_new(&k), 0);
    a = key_loads_begin(k, &crew[0], STR("x"));
    b = key_loads_begin(k, &crew[0], STR("x"));
    c = key_loads_begin(k, &crew[0], STR("y"));
    none = key_loads_begin(k, &crew[0], STR_NONE);
    assert_int_equal(atomic_load(&lives[0].routing_keys), 2);
    key_loads_end(&a, &crew[0]);
    assert_int_equal(atomic_load(&lives[0].routing_keys), 2);
    key_loads_end(&b, &crew[0]);
    key_loads_end(&c, &crew[0]);
    key_loads_end(&none, &crew[0]);
    assert_int_equal(atomic_load(&lives[0].routing_keys), 0);
    key_loads_free(k);
}

static struct key_loads *counted;

static void *come_and_go(void *arg)
{
    for (unsigned i = 0; i < 20000; i++) {
        char key[8];
        struct key_hold h, g;

        snprintf(key, sizeof key, "%u", i % 7);
        h = key_loads_begin(counted, &crew[i % 2], str_of(key));
        g = key_loads_begin(counted, &crew[i % 2], STR("all"));
        key_loads_end(&h, &crew[i % 2]);
        key_loads_end(&g, &crew[i % 2]);
    }
    return arg;
}

static void counts_are_back_at_nothing_whoever_came_together(void **state)
{
    pthread_t t[THREADS];

    gather(2);
    assert_int_equal(key_loads_new(&counted), 0);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&t[i], NULL, come_and_go, NULL), 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(t[i], NULL);
    assert_int_equal(atomic_load(&lives[0].routing_keys), 0);
    assert_int_equal(atomic_load(&lives[1].routing_keys), 0);
    key_loads_free(counted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dp_33_a_key_stays_and_its_worker_takes_it_back),
        cmocka_unit_test(dp_33_the_third_worker_pushes_the_oldest_out),
        cmocka_unit_test(dp_33_the_unique_minimum_is_assigned),
        cmocka_unit_test(models_and_legs_have_keys_of_their_own),
        cmocka_unit_test(dp_33_keys_that_nobody_uses_are_forgotten),
        cmocka_unit_test(the_table_grows_and_loses_few),
        cmocka_unit_test(threads_agree_on_a_keys_worker),
        cmocka_unit_test(distinct_keys_in_flight_are_counted),
        cmocka_unit_test(counts_are_back_at_nothing_whoever_came_together),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
