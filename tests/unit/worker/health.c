/* health.c -- the status machine (spec control-plane 11.2, case 36; data-plane case 40): a pure function */
#include "test.h"

#include "worker/registry_internal.h"

/* Feeds ok ('+') and failed ('-') probes; returns the status at the end. */
static enum worker_status after(enum worker_status from, const char *probes)
{
    struct health_counters c = { 0 };

    for (; *probes; probes++)
        from = health_step(&c, from, *probes == '+', 2, 3);
    return from;
}

static void the_table_of_transitions_holds(void **state)
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_of_transitions_holds),
        cmocka_unit_test(thresholds_of_zero_count_as_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
