/* start.c -- a gateway that cannot start says which flag is to blame and leaves nothing behind: no thread, no file, no memory (the sanitizer looks) */
#include "running.h"

#include "fail_alloc.h"

/* A label over 63 bytes: no name server needs to be asked. */
#define NO_HOST "a123456789a123456789a123456789a123456789a123456789a123456789a123456789.invalid"

static unsigned files_before;

/* libuv keeps one pipe for signals from its first loop on. */
static int open_what_stays_open(void **state)
{
    struct loop *loop;

    assert_int_equal(loop_new("first", 0, &loop, NULL), 0);
    loop_free(loop);
    return 0;
}

static int count_files(void **state)
{
    choose_ports();
    files_before = open_files();
    return 0;
}

/* The start failed with CODE, and the message has each of the words. */
static void cannot_start(int code, const char *word1, const char *word2)
{
    int r = gateway_run(&run.config, /* source= */ NULL, &run.err);

    arena_fini(&run.arena);
    assert_int_equal(r, code);
    if (!strstr(run.err.message, word1) || !strstr(run.err.message, word2))
        fail_msg("neither \"%s\" nor \"%s\" in: %s", word1, word2, run.err.message);
}

static void nothing_is_left(void)
{
    assert_int_equal(open_files(), files_before);
    assert_int_equal(budget_used(), 0);
}

static void a_busy_port_stops_the_start(void **state)
{
    int busy = listen_anywhere(run.port);

    configure((const char *const[]){ "--port", run.port, "--prometheus-port", run.metrics_port, NULL });
    cannot_start(ERR_EXISTS, run.port, "127.0.0.1");
    close(busy);
    nothing_is_left();
}

static void a_busy_metrics_port_stops_the_start(void **state)
{
    int busy = listen_anywhere(run.metrics_port);

    configure((const char *const[]){ "--port", run.port, "--prometheus-port", run.metrics_port, NULL });
    cannot_start(ERR_EXISTS, "metrics listener", run.metrics_port);
    close(busy);
    nothing_is_left();
}

static void a_busy_probe_port_stops_the_start(void **state)
{
    int busy = listen_anywhere(run.probe_port);

    configure((const char *const[]){ "--port", run.port, "--prometheus-port", run.metrics_port, "--health-check-port",
                                     run.probe_port, NULL });
    cannot_start(ERR_EXISTS, "probe listener", run.probe_port);
    close(busy);
    nothing_is_left();
}

static void a_host_that_does_not_resolve_stops_the_start(void **state)
{
    configure((const char *const[]){ "--port", run.port, "--prometheus-port", run.metrics_port, NULL });
    run.config.host = STR(NO_HOST);
    cannot_start(ERR_INVALID, "--host", NO_HOST);
    nothing_is_left();
}

static void an_address_that_is_not_ours_stops_the_start(void **state)
{
    configure((const char *const[]){ "--port", run.port, "--prometheus-port", run.metrics_port, NULL });
    run.config.host = STR("192.0.2.1");
    assert_true(gateway_run(&run.config, /* source= */ NULL, &run.err) < 0);
    arena_fini(&run.arena);
    assert_non_null(strstr(run.err.message, "192.0.2.1"));
    nothing_is_left();
}

static void too_many_buckets_stop_the_start(void **state)
{
    static double buckets[METRIC_BUCKETS_MAX + 1];

    for (size_t i = 0; i < ARRAY_LEN(buckets); i++)
        buckets[i] = (double)(i + 1);
    configure((const char *const[]){ "--port", run.port, "--prometheus-port", run.metrics_port, NULL });
    run.config.prometheus_duration_buckets.items = buckets;
    run.config.prometheus_duration_buckets.n = ARRAY_LEN(buckets);
    cannot_start(ERR_INVALID, "--prometheus-duration-buckets", "64");
    nothing_is_left();
}

/* A worker that cannot be is found last, when all loops and listeners stand: it would fail in any case. What is tested is the way back from each place. */
static void whatever_allocation_fails_the_start_fails_cleanly(void **state)
{
    struct str nonsense = STR("http://host:99999");

    configure((const char *const[]){ "--port", run.port, "--prometheus-port", run.metrics_port, "--health-check-port",
                                     run.probe_port, "--model-alias", "a=b", NULL });
    run.config.worker_urls.items = &nonsense;
    run.config.worker_urls.n = 1;
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct err err = { 0 };

        assert_true(gateway_run(&run.config, /* source= */ NULL, &err) < 0);
        assert_true(err.message[0] != 0);
    }
    arena_fini(&run.arena);
    nothing_is_left();
}

static void a_failed_start_can_be_followed_by_a_good_one(void **state)
{
    int busy = listen_anywhere(run.port);

    configure((const char *const[]){ "--port", run.port, "--prometheus-port", run.metrics_port, NULL });
    cannot_start(ERR_EXISTS, run.port, "");
    close(busy);
    gateway_begin("0");
    kill(getpid(), SIGTERM);
    gateway_ends();
}

#define RULE(f) cmocka_unit_test_setup(f, count_files)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(a_busy_port_stops_the_start),
        RULE(a_busy_metrics_port_stops_the_start),
        RULE(a_busy_probe_port_stops_the_start),
        RULE(a_host_that_does_not_resolve_stops_the_start),
        RULE(an_address_that_is_not_ours_stops_the_start),
        RULE(too_many_buckets_stop_the_start),
        RULE(whatever_allocation_fails_the_start_fails_cleanly),
        RULE(a_failed_start_can_be_followed_by_a_good_one),
    };

    return cmocka_run_group_tests(tests, open_what_stays_open, NULL);
}
