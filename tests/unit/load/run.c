/* run.c -- whole loads against a server on loopback: paces, counts, failures, ends */
#include "target.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "load/load.h"

static struct load_report report;

static struct load_conf a_load(const char *path)
{
    return (struct load_conf){ .host = STR("127.0.0.1"),
                               .port = target.port,
                               .authority = STR("t"),
                               .path = str_of(path),
                               .model = STR("m"),
                               .prompt_bytes = 64,
                               .concurrency = 4,
                               .requests = 100,
                               .drain_s = 5,
                               .head_ms = 5000,
                               .seed = 1 };
}

static void run(const struct load_conf *c)
{
    struct err err = { 0 };

    if (load_run(c, &report, NULL, NULL, &err) < 0)
        fail_msg("%s", err.message);
}

static void assert_only_failure(enum load_failure why, uint64_t n)
{
    for (unsigned i = 0; i < LOAD_FAILURE_N; i++)
        assert_int_equal(report.t.failures[i], i == why ? n : 0);
    assert_int_equal(report.t.failed, n);
}

/* ---- closed loop ---- */

static void a_closed_loop_makes_the_requests_that_were_asked_for(void **state)
{
    struct load_conf c = a_load("");

    run(&c);
    assert_int_equal(target.requests, 100);
    assert_int_equal(report.t.ok, 100);
    assert_int_equal(report.t.failed + report.t.unfinished + report.t.warmup, 0);
    assert_int_equal(report.t.statuses[200], 100);
    assert_int_equal(report.t.latency.count, 100);
    assert_int_equal(report.t.ttft.count, 100);
    assert_int_equal(report.t.output_tokens, 700);
    assert_int_equal(report.t.connections, 4);
    assert_int_equal(report.t.peak_in_flight, 4);
    assert_int_equal(report.t.window_ok, 100);
    assert_int_equal(report.t.lag.count, 0);
    assert_true(report.window_us > 0 && report.window_us <= report.elapsed_us);
}

static void threads_share_the_requests_and_the_slots(void **state)
{
    struct load_conf c = a_load("");

    c.threads = 3;
    c.concurrency = 7;
    c.requests = 1001;
    run(&c);
    assert_int_equal(target.requests, 1001);
    assert_int_equal(report.t.ok, 1001);
    assert_int_equal(report.t.connections, 7);
    assert_int_equal(report.threads, 3);
}

static void more_threads_and_slots_than_requests_is_fine(void **state)
{
    struct load_conf c = a_load("");

    c.threads = 8;
    c.concurrency = 64;
    c.requests = 3;
    run(&c);
    assert_int_equal(target.requests, 3);
    assert_int_equal(report.t.ok, 3);
}

static void a_duration_ends_the_run(void **state)
{
    struct load_conf c = a_load("");

    c.requests = 0;
    c.duration_s = 0.2;
    run(&c);
    assert_true(report.t.ok > 20);
    assert_int_equal(report.t.ok, target.requests);
    assert_int_equal(report.window_us, 200000);
    assert_true(report.elapsed_us >= 200000 && report.elapsed_us < 2000000);
}

static void the_warm_up_is_not_measured(void **state)
{
    struct load_conf c = a_load("");

    c.requests = 0;
    c.duration_s = 0.1;
    c.warmup_s = 0.1;
    run(&c);
    assert_true(report.t.warmup > 5);
    assert_true(report.t.ok > 5);
    assert_int_equal(report.t.ok + report.t.warmup, target.requests);
    assert_int_equal(report.t.latency.count, report.t.ok);
    assert_int_equal(report.window_us, 100000);
}

/* ---- requests ---- */

static void the_shared_prefix_is_shared_and_the_rest_is_not(void **state)
{
    struct load_conf c = a_load("/generate");
    char *text[64];

    c.endpoint = LOAD_GENERATE;
    c.prompt_bytes = 200;
    c.shared_prefix = 0.5;
    c.threads = 2;
    c.requests = 64;
    run(&c);
    for (unsigned i = 0; i < 64; i++) {
        text[i] = strstr(target.bodies[i], "\"text\":\"");
        assert_non_null(text[i]);
        assert_memory_equal(text[i], text[0], 108);
        for (unsigned k = 0; k < i; k++)
            assert_memory_not_equal(text[i] + 108, text[k] + 108, 16);
    }
}

static void every_prefix_is_drawn(void **state)
{
    struct load_conf c = a_load("/generate");
    unsigned kinds = 0;

    c.endpoint = LOAD_GENERATE;
    c.prompt_bytes = 200;
    c.shared_prefix = 0.5;
    c.prefixes = 4;
    c.requests = 64;
    run(&c);
    for (unsigned i = 0; i < 64; i++) {
        bool seen = false;

        for (unsigned k = 0; k < i; k++)
            seen |= memcmp(strstr(target.bodies[i], "\"text\":\""), strstr(target.bodies[k], "\"text\":\""), 108) == 0;
        kinds += !seen;
    }
    assert_int_equal(kinds, 4);
}

static void a_get_sends_no_body(void **state)
{
    struct load_conf c = a_load("/get");

    c.endpoint = LOAD_GET;
    c.stream = true; /* means nothing here */
    run(&c);
    assert_int_equal(report.t.ok, 100);
}

/* ---- streams ---- */

static void a_stream_gives_first_tokens_and_gaps(void **state)
{
    struct load_conf c = a_load("/stream");

    c.stream = true;
    run(&c);
    assert_int_equal(report.t.ok, 100);
    assert_int_equal(report.t.ttft.count, 100);
    assert_int_equal(report.t.itl.count, 200); /* three events with content each */
    assert_int_equal(report.t.output_tokens, 300);
    assert_int_equal(report.t.window_tokens, 300);
    assert_in_range(report.t.peak_streams, 1, 4);
}

static void a_stream_without_its_end_mark_is_cut(void **state)
{
    struct load_conf c = a_load("/no-done");

    c.stream = true;
    c.requests = 5;
    run(&c);
    assert_only_failure(LOAD_CUT, 5);
    assert_int_equal(report.t.latency.count, 0);
    c.done_optional = true;
    run(&c);
    assert_only_failure(LOAD_CUT, 0);
    assert_int_equal(report.t.ok, 5);
}

static void broken_streams_are_told_apart(void **state)
{
    static const struct {
        const char *path;
        enum load_failure why;
    } ROWS[] = { { "/break", LOAD_CUT },
                 { "/error", LOAD_STREAM_ERROR },
                 { "/garbage", LOAD_BAD_SSE },
                 { "/get-me-json", LOAD_STATUS },
                 { "/generate", LOAD_BAD_SSE } };

    for (unsigned i = 0; i < ARRAY_LEN(ROWS); i++) {
        struct load_conf c = a_load(ROWS[i].path);

        c.stream = true;
        c.requests = 3;
        run(&c);
        if (ROWS[i].why == LOAD_CUT && report.t.failures[LOAD_RESET]) /* the break may come as a reset */
            continue;
        assert_only_failure(ROWS[i].why, 3);
        assert_int_equal(report.t.ok, 0);
    }
}

/* ---- failures ---- */

static void statuses_are_counted_by_code(void **state)
{
    struct load_conf c = a_load("/sometimes");

    c.concurrency = 1;
    c.requests = 9;
    run(&c);
    assert_int_equal(report.t.ok, 6);
    assert_only_failure(LOAD_STATUS, 3);
    assert_int_equal(report.t.statuses[200], 6);
    assert_int_equal(report.t.statuses[503], 3);
}

static void a_refusing_target_is_not_hammered(void **state)
{
    struct load_conf c = a_load("");

    c.port = 1; /* nobody listens there */
    c.requests = 0;
    c.duration_s = 0.3;
    run(&c);
    assert_int_equal(report.t.ok, 0);
    assert_in_range(report.t.failures[LOAD_REFUSED], 4, 16); /* four slots, a pause of 100 ms each */
    assert_only_failure(LOAD_REFUSED, report.t.failed);
}

static void a_name_that_does_not_resolve_is_counted(void **state)
{
    struct load_conf c = a_load("");

    c.host = STR("no name at all");
    c.requests = 4;
    run(&c);
    assert_only_failure(LOAD_RESOLVE, 4);
}

static void silence_times_out(void **state)
{
    struct load_conf c = a_load("/hold");

    c.requests = 4;
    c.head_ms = 50;
    run(&c);
    assert_only_failure(LOAD_TIMEOUT, 4);
    c = a_load("/stall");
    c.requests = 4;
    c.stream = true;
    c.idle_ms = 50;
    run(&c);
    assert_only_failure(LOAD_TIMEOUT, 4);
    assert_int_equal(report.t.ttft.count, 4);
}

static void what_is_in_flight_at_the_end_is_unfinished_and_no_failure(void **state)
{
    struct load_conf c = a_load("/hold");

    c.requests = 0;
    c.duration_s = 0.1;
    c.drain_s = 0.1;
    run(&c);
    assert_int_equal(report.t.unfinished, 4);
    assert_int_equal(report.t.failed, 0);
    assert_true(report.elapsed_us >= 200000 && report.elapsed_us < 1500000);
}

/* ---- open loop ---- */

static void an_open_loop_keeps_its_rate(void **state)
{
    struct load_conf c = a_load("");

    c.concurrency = 0;
    c.rate = 1000;
    c.requests = 0;
    c.duration_s = 0.5;
    run(&c);
    assert_in_range(target.requests, 350, 650); /* 500 with a standard deviation of 22 */
    assert_int_equal(report.t.ok, target.requests);
    assert_int_equal(report.t.lag.count, report.t.ok);
    assert_int_equal(report.t.unstarted, 0);
    assert_int_equal(report.concurrency > 100, 1);
}

static void the_same_seed_makes_the_same_number_of_requests(void **state)
{
    struct load_conf c = a_load("");
    unsigned first;

    c.concurrency = 1000;
    c.rate = 500;
    c.requests = 0;
    c.duration_s = 0.2;
    c.threads = 2;
    run(&c);
    first = target.requests;
    run(&c);
    assert_int_equal(target.requests, 2 * first);
}

/* 1000 a second are due, the target manages 200: latency has to show the wait for a slot, which the target never saw. */
static void latency_counts_from_the_due_time(void **state)
{
    struct load_conf c = a_load("/slow");

    c.concurrency = 1;
    c.rate = 1000;
    c.requests = 0;
    c.duration_s = 0.4;
    run(&c);
    assert_true(report.t.ok >= 10 && report.t.ok <= 90);
    assert_true(report.t.queued >= report.t.ok / 2);
    assert_in_range(report.t.ok + report.t.unstarted, 250, 550);
    assert_true(histogram_quantile(&report.t.lag, 0.9) > 100000);
    assert_true(histogram_quantile(&report.t.latency, 0.9) > 100000);
    assert_int_equal(report.t.peak_in_flight, 1);
}

static void an_open_loop_ends_with_its_requests(void **state)
{
    struct load_conf c = a_load("");

    c.concurrency = 50;
    c.rate = 5000;
    c.threads = 2;
    run(&c);
    assert_int_equal(target.requests, 100);
    assert_int_equal(report.t.ok, 100);
}

/* ---- progress, interrupts, refusals ---- */

static unsigned looks;
static uint64_t most_ended;

static void look(void *arg, const struct load_progress *p)
{
    looks++;
    most_ended = p->ended;
    assert_true(p->in_flight <= 4);
}

static void progress_is_reported_while_it_runs(void **state)
{
    struct load_conf c = a_load("");

    looks = 0;
    c.requests = 0;
    c.duration_s = 0.4;
    c.progress_ms = 50;
    assert_int_equal(load_run(&c, &report, look, NULL, NULL), 0);
    assert_in_range(looks, 2, 12);
    assert_true(most_ended > 0 && most_ended <= report.t.ok);
}

static void interrupt(void *arg, const struct load_progress *p)
{
    kill(getpid(), SIGINT);
}

static void ctrl_c_ends_the_run_and_keeps_what_there_is(void **state)
{
    struct load_conf c = a_load("/stall");

    c.stream = true;
    c.requests = 0;
    c.duration_s = 60;
    c.progress_ms = 50;
    c.threads = 2;
    assert_int_equal(load_run(&c, &report, interrupt, NULL, NULL), 0);
    assert_true(report.interrupted);
    assert_int_equal(report.t.unfinished, 4);
    assert_int_equal(report.t.ttft.count, 4);
    assert_true(report.elapsed_us < 5000000);
    assert_true(report.window_us < 5000000);
}

static void a_load_that_makes_no_sense_is_refused(void **state)
{
    struct load_conf c = a_load("");
    struct err err = { 0 };

    c.requests = 0;
    assert_int_equal(load_run(&c, &report, NULL, NULL, &err), ERR_INVALID);
    assert_non_null(strstr(err.message, "duration"));
    c = a_load("");
    c.shared_prefix = 1.5;
    assert_int_equal(load_run(&c, &report, NULL, NULL, &err), ERR_INVALID);
    c = a_load("");
    c.concurrency = LOAD_CONCURRENCY_MAX + 1;
    assert_int_equal(load_run(&c, &report, NULL, NULL, &err), ERR_LIMIT);
    c = a_load("");
    c.loop_index = TARGET_LOOP; /* taken */
    assert_int_equal(load_run(&c, &report, NULL, NULL, &err), ERR_EXISTS);
    assert_int_equal(target.requests, 0);
}

#define RULE(f) cmocka_unit_test_setup_teardown(f, target_start, target_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(a_closed_loop_makes_the_requests_that_were_asked_for),
        RULE(threads_share_the_requests_and_the_slots),
        RULE(more_threads_and_slots_than_requests_is_fine),
        RULE(a_duration_ends_the_run),
        RULE(the_warm_up_is_not_measured),
        RULE(the_shared_prefix_is_shared_and_the_rest_is_not),
        RULE(every_prefix_is_drawn),
        RULE(a_get_sends_no_body),
        RULE(a_stream_gives_first_tokens_and_gaps),
        RULE(a_stream_without_its_end_mark_is_cut),
        RULE(broken_streams_are_told_apart),
        RULE(statuses_are_counted_by_code),
        RULE(a_refusing_target_is_not_hammered),
        RULE(a_name_that_does_not_resolve_is_counted),
        RULE(silence_times_out),
        RULE(what_is_in_flight_at_the_end_is_unfinished_and_no_failure),
        RULE(an_open_loop_keeps_its_rate),
        RULE(the_same_seed_makes_the_same_number_of_requests),
        RULE(latency_counts_from_the_due_time),
        RULE(an_open_loop_ends_with_its_requests),
        RULE(progress_is_reported_while_it_runs),
        RULE(ctrl_c_ends_the_run_and_keeps_what_there_is),
        RULE(a_load_that_makes_no_sense_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
