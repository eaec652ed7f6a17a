/* health.c -- the status machine (spec control-plane 11.2, case 36; data-plane case 40): a pure function; and settings that change while probes run */
#include "house.h"

#include "worker/registry_internal.h"

/* Feeds ok ('+') and failed ('-') probes; returns the status at the end. */
static enum worker_status after(enum worker_status from, const char *probes)
{
    struct health_counters c = { 0 };

    for (; *probes; probes++)
        from = health_step(&c, from, *probes == '+', 2, 3);
    return from;
}

static void dp_40_case_36_the_table_of_transitions_holds(void **state)
{
    static const struct {
        enum worker_status from;
        const char *probes;
        enum worker_status to;
    } CASES[] = {
        { WORKER_PENDING, "+", WORKER_PENDING },
        { WORKER_PENDING, "++", WORKER_READY },
        { WORKER_PENDING, "+-+", WORKER_PENDING },
        { WORKER_PENDING, "-----------------------------", WORKER_PENDING },
        { WORKER_PENDING, "------------------------------", WORKER_FAILED },
        { WORKER_PENDING, "-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+", WORKER_FAILED },
        { WORKER_PENDING, "-+-+-+-+-+-+-+-+-+-+-+-+-+-++", WORKER_READY },
        { WORKER_READY, "--", WORKER_READY },
        { WORKER_READY, "--+--", WORKER_READY },
        { WORKER_READY, "---", WORKER_NOT_READY },
        { WORKER_NOT_READY, "--------", WORKER_NOT_READY },
        { WORKER_NOT_READY, "---------", WORKER_FAILED },
        { WORKER_NOT_READY, "--------+--------", WORKER_NOT_READY },
        { WORKER_NOT_READY, "+", WORKER_NOT_READY },
        { WORKER_NOT_READY, "++", WORKER_READY },
        { WORKER_READY,
          "---"
          "---------",
          WORKER_FAILED },
        { WORKER_READY,
          "---"
          "++"
          "--",
          WORKER_READY },
        { WORKER_FAILED, "+", WORKER_FAILED },
        { WORKER_FAILED, "+-+", WORKER_FAILED },
        { WORKER_FAILED, "++", WORKER_READY },
        { WORKER_FAILED, "----------------------------------------", WORKER_FAILED },
        { WORKER_DRAINING, "++++----------------", WORKER_DRAINING },
    };

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++)
        assert_int_equal(after(CASES[i].from, CASES[i].probes), CASES[i].to);
}

static void thresholds_of_zero_count_as_one(void **state)
{
    struct health_counters c = { 0 };

    assert_int_equal(health_step(&c, WORKER_READY, false, 0, 0), WORKER_NOT_READY);
    assert_int_equal(health_step(&c, WORKER_NOT_READY, true, 0, 0), WORKER_READY);
}

/* ---- settings that change ---- */

static struct engine *engine;
static char id[UUID_TEXT_LEN + 1];

static int open_house(void **state)
{
    struct registry_conf conf = house_conf();

    house_open(&conf);
    engine = an_engine(0);
    engine_start(engine);
    assert_int_equal(
        ask_add(spec_for(engine, ",\"health\":{\"failure_threshold\":1,\"success_threshold\":1,\"check_interval_secs\":60}"), id),
        0);
    wait_until(is_ready, id, 1000);
    return 0;
}

static int close_house(void **state)
{
    house_close();
    return 0;
}

static bool has_been_checked(void *arg)
{
    return atomic_load(&engine->asked[E_HEALTH]) >= *(unsigned *)arg;
}

static bool is_not_ready(void *arg)
{
    return strstr(ask_get(id), "\"status\":\"not_ready\"") != NULL;
}

/* On the control loop: as a PATCH does it. */
static void change(void *arg)
{
    struct entry *e = map_get(&house.registry->by_id, (struct str){ id, UUID_TEXT_LEN });
    struct worker_spec spec = e->worker->spec;
    struct worker *w;

    spec.health = *(const struct worker_health_conf *)arg;
    w = registry_describe(e, &spec, e->worker->order);
    assert_non_null(w);
    worker_unref(e->worker);
    e->worker = w;
    health_settings_changed(e);
}

static void change_to(uint32_t interval_s, bool disabled)
{
    struct worker_health_conf conf = {
        .timeout_s = 1, .interval_s = interval_s, .success_threshold = 1, .failure_threshold = 1, .disabled = disabled
    };

    house_do(house.control, change, &conf);
}

static void a_changed_interval_counts_from_now_on(void **state)
{
    unsigned checks = 2; /* the registration's and the first */

    wait_until(has_been_checked, &checks, 1000);
    engine->status[E_HEALTH] = 500;
    change_to(1, false);
    wait_until(is_not_ready, NULL, 1000);
    engine->status[E_HEALTH] = 200;
    wait_until(is_ready, id, 2500);
}

static void case_31_checks_that_are_switched_off_leave_a_ready_worker(void **state)
{
    unsigned checks;

    engine->status[E_HEALTH] = 500;
    change_to(60, false);
    wait_until(is_not_ready, NULL, 1000);
    change_to(60, true);
    assert_true(is_ready(id));
    assert_int_equal(registry_counts(house.registry).ready, 1);
    checks = atomic_load(&engine->asked[E_HEALTH]);
    change_to(60, true); /* again: nothing happens */
    assert_true(is_ready(id));
    assert_int_equal(atomic_load(&engine->asked[E_HEALTH]), checks);
    change_to(60, false); /* on again: probed at once */
    wait_until(is_not_ready, NULL, 1000);
}

static void a_worker_that_drains_is_left_alone(void **state)
{
    struct worker_health_conf off = { .disabled = true, .interval_s = 60, .timeout_s = 1, .drain_settle_s = 5 };
    const struct worker *w;
    struct entry *e = map_get(&house.registry->by_id, (struct str){ id, UUID_TEXT_LEN });

    w = worker_ref(e->worker);
    worker_load_begin(w);
    assert_int_equal(ask_remove(id), 0);
    house_do(house.control, change, &off);
    assert_non_null(strstr(ask_get(id), "\"status\":\"draining\""));
    worker_load_end(w);
    worker_unref(w);
    wait_until(is_gone, id, 1000);
}

#define RULE(f) cmocka_unit_test_setup_teardown(f, open_house, close_house)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dp_40_case_36_the_table_of_transitions_holds),
        cmocka_unit_test(thresholds_of_zero_count_as_one),
        RULE(a_changed_interval_counts_from_now_on),
        RULE(case_31_checks_that_are_switched_off_leave_a_ready_worker),
        RULE(a_worker_that_drains_is_left_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
