/* retries.c -- error replies, pauses and breakers: what a client sees when its first worker does badly (dispatch.c, outcome.c) */
#include "recorder.h"

#define NO    "HTTP/1.1 500 No\r\nx-foo: bar\r\ncontent-length: 4\r\n\r\noops"
#define QUICK .initial_ms = 1, .max_ms = 10, .multiplier = 1

static const struct worker_judge STRICT = {
    .breaker = { .failure_threshold = 1, .success_threshold = 2, .timeout_ms = 100, .window_ms = 10000 },
    .failures = STATUS_SET_DEFAULT,
};

/* Before anybody asks. */
static void judge(unsigned i, struct worker_judge j)
{
    stage.engines[i].worker->spec.judge = j;
}

static struct breaker_view breaker_of(unsigned i)
{
    return breaker_view(&stage.engines[i].worker->live->breaker);
}

static void answer(unsigned i, const char *reply)
{
    int e = engine_hear(i);

    say(e, reply);
    close(e);
}

static uint64_t ms_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* The record is the loop's, also between two requests: a client that left may still be on its way out. */
static void forget_record(void *arg)
{
    (void)arg;
    rec.terminals = 0;
    buf_clear(&rec.text);
}

static void again(void)
{
    stage_do(forget_record, NULL);
}

/* ---- error replies ---- */

static void dp_39_an_error_reply_is_made_good_by_another_worker(void **state)
{
    int client;

    OPEN(UP, UP);
    client = ask("m");
    answer(0, NO);
    end_well(1, client);
    assert_sink("head 200, part hello, end"); /* nothing of the first one */
    assert_int_equal(load(0), 0);
}

static void dp_16_a_4xx_is_passed_through_at_once(void **state)
{
    int client;

    OPEN(UP, UP);
    client = ask("m");
    answer(0, "HTTP/1.1 422 Nonsense\r\ncontent-length: 3\r\n\r\nyou");
    hear_all(client);
    assert_status(422);
    assert_sink("head 422, part you, end");
    engine_is_left_alone(1, 0);
}

static void dp_16_after_the_last_attempt_its_reply_is_returned_unchanged(void **state)
{
    int client;

    open_with((const struct engine[]){ UP, { 0 } }, (struct dispatcher_conf){ .retry = { .attempts_max = 3, QUICK } });
    client = ask("m");
    answer(0, NO);
    answer(0, "HTTP/1.1 429 No\r\ncontent-length: 3\r\n\r\ntwo");
    answer(0, "HTTP/1.1 502 No\r\ncontent-length: 5\r\n\r\nthree");
    hear_all(client);
    assert_status(502);
    assert_sink("head 502, part three, end");
    assert_int_equal(picks(0), 3);
    assert_counted("smg_worker_retries_total{worker_type=\"regular\",endpoint=\"chat\"} 2");
    assert_counted("smg_worker_retries_exhausted_total{worker_type=\"regular\",endpoint=\"chat\"} 1");
}

static void dp_37_attempts_are_counted_as_are_the_pauses_between(void **state)
{
    int client;

    open_with((const struct engine[]){ UP, { 0 } }, (struct dispatcher_conf){ .retry = { .attempts_max = 3, QUICK } });
    client = ask("m");
    for (unsigned i = 0; i < 3; i++)
        answer(0, NO);
    hear_all(client);
    assert_status(500);
    engine_is_left_alone(0, 50);
    assert_sink("head 500, part oops, end");
    assert_counted("smg_worker_retry_backoff_seconds_count{attempt=\"1\"} 1");
    assert_counted("smg_worker_retry_backoff_seconds_count{attempt=\"2\"} 1");
    assert_not_counted("smg_worker_retry_backoff_seconds_count{attempt=\"3\"}");
}

static void the_held_reply_is_returned_when_nobody_is_left(void **state)
{
    int client, e;

    OPEN(UP);
    client = ask("m");
    e = engine_hear(0);
    atomic_store(&stage.engines[0].worker->live->status, WORKER_NOT_READY);
    registry_admissions_changed(&stage.registry);
    say(e, NO);
    hear_all(client);
    assert_status(500);
    assert_heard("oops");
    close(e);
    assert_sink("head 500, part oops, end");
    assert_int_equal(picks(0), 1);
}

static void a_held_reply_without_a_body_is_returned_too(void **state)
{
    int client, e;

    OPEN(UP);
    client = ask("m");
    e = engine_hear(0);
    atomic_store(&stage.engines[0].worker->live->status, WORKER_NOT_READY);
    registry_admissions_changed(&stage.registry);
    say(e, "HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n");
    hear_all(client);
    assert_status(503);
    close(e);
    assert_sink("head 503, end");
}

static void a_reply_too_long_to_be_held_is_told_in_our_words(void **state)
{
    int client, e;
    char *big = calloc(1, DISPATCH_HELD_MAX + 1);

    memset(big, 'x', DISPATCH_HELD_MAX + 1);
    OPEN(UP);
    client = ask("m");
    e = engine_hear(0);
    atomic_store(&stage.engines[0].worker->live->status, WORKER_NOT_READY);
    registry_admissions_changed(&stage.registry);
    say(e, "HTTP/1.1 500 No\r\nconnection: close\r\n\r\n");
    say_n(e, big, DISPATCH_HELD_MAX + 1);
    close(e);
    hear_all(client);
    free(big);
    assert_status(500);
    assert_heard("call_upstream_status_error");
    assert_sink("error");
}

static void a_failed_reply_that_does_not_end_is_not_waited_for(void **state)
{
    int client, e;

    OPEN(UP, UP);
    client = ask("m");
    e = engine_hear(0);
    say(e, "HTTP/1.1 500 No\r\ncontent-length: 4\r\n\r\noo");
    end_well(1, client);
    hear_all(e); /* closed */
    assert_sink("head 200, part hello, end");
}

static void a_failed_reply_that_is_cut_is_a_failed_reply(void **state)
{
    int client;

    OPEN(UP, UP);
    client = ask("m");
    answer(0, "HTTP/1.1 500 No\r\ncontent-length: 4\r\n\r\noo");
    end_well(1, client);
    assert_sink("head 200, part hello, end");
}

static void without_retries_an_error_reply_is_passed_through(void **state)
{
    int client;

    open_with((const struct engine[]){ UP, UP, { 0 } }, ONCE);
    client = ask("m");
    answer(0, NO);
    hear_all(client);
    assert_status(500);
    engine_is_left_alone(1, 0);
    assert_sink("head 500, part oops, end");
}

static void without_retries_a_worker_that_is_not_there_is_replaced(void **state)
{
    open_with((const struct engine[]){ DOWN, DOWN, UP, { 0 } }, ONCE);
    end_well(2, ask("m"));
    assert_sink("head 200, part hello, end");
}

static void without_retries_a_reset_is_the_end(void **state)
{
    int client;

    open_with((const struct engine[]){ UP, UP, { 0 } }, ONCE);
    client = ask("m");
    slam(engine_hear(0));
    hear_all(client);
    assert_status(502);
    engine_is_left_alone(1, 0);
    assert_sink("error");
}

static void the_last_worker_with_settings_speaks_for_its_model(void **state)
{
    int client;

    OPEN(UP, UP, UP);
    stage.engines[0].worker->spec.resilience.max_retries = 4;
    stage.engines[1].worker->spec.resilience.max_retries = 2;
    client = ask("m");
    answer(0, NO);
    answer(1, NO);
    hear_all(client);
    assert_status(500);
    engine_is_left_alone(2, 20);
    assert_sink("head 500, part oops, end");
}

/* ---- pauses ---- */

static void a_worker_that_asks_for_a_pause_gets_it_up_to_the_longest(void **state)
{
    uint64_t began;
    int client;

    open_with((const struct engine[]){ UP, { 0 } },
              (struct dispatcher_conf){ .retry = { .attempts_max = 2, .initial_ms = 1, .max_ms = 300, .multiplier = 1 } });
    client = ask("m");
    answer(0, "HTTP/1.1 429 Busy\r\nretry-after: 7\r\ncontent-length: 4\r\n\r\nbusy");
    began = ms_now();
    end_well(0, client);
    assert_in_range(ms_now() - began, 250, 6000);
    assert_sink("head 200, part hello, end");
}

static void another_worker_need_not_wait_for_it(void **state)
{
    uint64_t began;
    int client;

    open_with((const struct engine[]){ UP, UP, { 0 } },
              (struct dispatcher_conf){ .retry = { .attempts_max = 2, .initial_ms = 1, .max_ms = 20000, .multiplier = 1 } });
    client = ask("m");
    answer(0, "HTTP/1.1 503 Busy\r\nretry-after: 20\r\ncontent-length: 4\r\n\r\nbusy");
    began = ms_now();
    end_well(1, client);
    assert_true(ms_now() - began < 10000);
    assert_sink("head 200, part hello, end");
}

static void a_client_that_leaves_in_a_pause_ends_it(void **state)
{
    int client;

    open_with((const struct engine[]){ UP, { 0 } },
              (struct dispatcher_conf){ .retry = { .attempts_max = 5, .initial_ms = 200, .max_ms = 200, .multiplier = 1 } });
    client = ask("m");
    answer(0, NO);
    wait_for_load(0, 0); /* paused: nobody's */
    slam(client);
    engine_is_left_alone(0, 300);
    assert_sink("");
    assert_int_equal(rec.outcome, EX_ABORTED);
}

static void a_client_that_leaves_while_a_reply_is_held_closes_it(void **state)
{
    int client, e;

    OPEN(UP, UP);
    client = ask("m");
    e = engine_hear(0);
    say(e, "HTTP/1.1 500 No\r\ncontent-length: 4\r\n\r\noo");
    nap_ms(20);
    slam(client);
    hear_all(e);
    wait_for_load(0, 0);
    engine_is_left_alone(1, 20);
    assert_sink("");
}

/* ---- time-outs ---- */

static void a_workers_own_time_out_leads_to_another_worker(void **state)
{
    int client, e;

    OPEN(UP, UP);
    stage.engines[0].worker->spec.pool.timeout_s = 1;
    client = ask("m");
    e = engine_hear(0);
    end_well(1, client);
    hear_all(e);
    assert_sink("head 200, part hello, end");
}

static void a_workers_own_time_out_is_504_when_nobody_is_left(void **state)
{
    int client, e;

    OPEN(UP);
    stage.engines[0].worker->spec.pool.timeout_s = 1;
    client = ask("m");
    e = engine_hear(0);
    hear_all(client);
    assert_status(504);
    hear_all(e);
    assert_sink("error");
    assert_int_equal(picks(0), 1);
}

static void a_workers_own_connect_time_holds(void **state)
{
    OPEN({ .kind = ENGINE_DEAF, .model = "m" }, UP);
    stage.engines[0].worker->spec.pool.connect_s = 1; /* the stage's is 8 s */
    end_well(1, ask("m"));
    assert_sink("head 200, part hello, end");
}

static void a_worker_may_want_no_connection_kept(void **state)
{
    struct http_client_stats stats;
    int client, e;

    OPEN(UP);
    stage.engines[0].worker->spec.pool.idle_max = 0;
    client = ask("m");
    e = engine_hear(0);
    say(e, REPLY_OK);
    hear_all(client);
    hear_all(e); /* closed by the gateway */
    http_client_stats(stage.client, &stats);
    assert_int_equal(stats.idle, 0);
    assert_sink("head 200, part hello, end");
}

/* ---- breakers ---- */

static void dp_3_an_open_breaker_is_503_at_once(void **state)
{
    int client;

    open_with((const struct engine[]){ UP, { 0 } }, ONCE);
    judge(0, STRICT);
    stage.engines[0].worker->spec.judge.breaker.timeout_ms = 60000;
    client = ask("m");
    answer(0, NO);
    hear_all(client);
    assert_status(500);
    again();
    hear_all(ask("m"));
    assert_status(503);
    assert_heard("no_available_workers");
    assert_heard("retry-after: 1");
    assert_int_equal(picks(0), 1);
    assert_int_equal(breaker_of(0).state, BREAKER_OPEN);
}

static void dp_38_a_half_open_breaker_lets_one_request_through(void **state)
{
    int client, probe, e;

    open_with((const struct engine[]){ UP, { 0 } }, ONCE);
    judge(0, STRICT);
    client = ask("m");
    answer(0, NO);
    hear_all(client);
    nap_ms(150);
    again();
    probe = ask("m");
    e = engine_hear(0);
    assert_int_equal(breaker_of(0).state, BREAKER_HALF_OPEN);
    hear_all(ask("m"));
    assert_status(503);
    again();
    say(e, REPLY_OK);
    hear_all(probe);
    assert_status(200);
    close(e);
    stage_do(nothing, NULL);
    assert_int_equal(breaker_of(0).state, BREAKER_HALF_OPEN);
    again();
    end_well(0, ask("m"));
    stage_do(nothing, NULL);
    assert_int_equal(breaker_of(0).state, BREAKER_CLOSED);
}

static void dp_38_workers_are_judged_apart(void **state)
{
    int client;

    OPEN(UP, UP);
    judge(0, STRICT);
    judge(1, STRICT);
    client = ask("m");
    answer(0, NO);
    end_well(1, client);
    again();
    end_well(1, ask("m")); /* not tried first any more */
    assert_int_equal(breaker_of(0).state, BREAKER_OPEN);
    assert_int_equal(breaker_of(1).state, BREAKER_CLOSED);
}

static void a_probe_whose_client_leaves_makes_room(void **state)
{
    int client, e;

    open_with((const struct engine[]){ UP, { 0 } }, ONCE);
    judge(0, STRICT);
    client = ask("m");
    answer(0, NO);
    hear_all(client);
    nap_ms(150);
    client = ask("m");
    e = engine_hear(0);
    slam(client);
    hear_all(e);
    wait_for_load(0, 0);
    again();
    end_well(0, ask("m"));
    assert_int_equal(breaker_of(0).successes, 1);
}

static void a_probe_that_streams_is_judged_before_its_end(void **state)
{
    int client, e;

    open_with((const struct engine[]){ UP, { 0 } }, ONCE);
    judge(0, STRICT);
    client = ask("m");
    answer(0, NO);
    hear_all(client);
    nap_ms(150);
    again();
    client = ask("m");
    e = engine_hear(0);
    say(e, "HTTP/1.1 200 OK\r\n\r\nab");
    hear_until(client, "ab");
    nap_ms(DISPATCH_PROBE_MS + 50);
    say(e, "cd");
    hear_until(client, "cd");
    stage_do(nothing, NULL);
    assert_int_equal(breaker_of(0).successes, 1);
    slam(e); /* and it is a failure all the same when it breaks */
    hear_all(client);
    stage_do(nothing, NULL);
    assert_int_equal(atomic_load(&stage.engines[0].worker->live->breaker.failures), 2);
}

static void dp_18_a_stream_that_breaks_counts_against_its_worker(void **state)
{
    int client, e;

    OPEN(UP, UP);
    judge(0, STRICT);
    client = ask("m");
    e = engine_hear(0);
    say(e, "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc");
    hear_until(client, "abc");
    slam(e);
    hear_all(client);
    assert_sink("head 200, part abc, error");
    assert_int_equal(breaker_of(0).state, BREAKER_OPEN);
    engine_is_left_alone(1, 0);
}

static void busy_workers_cool_down_but_serve_when_nobody_else_does(void **state)
{
    int client;

    open_with((const struct engine[]){ UP, UP, { 0 } }, ONCE);
    judge(0, STRICT);
    client = ask("m");
    answer(0, "HTTP/1.1 503 Busy\r\nretry-after: 30\r\ncontent-length: 4\r\n\r\nbusy");
    hear_all(client);
    assert_status(503);
    assert_int_equal(breaker_of(0).state, BREAKER_CLOSED); /* no trip */
    again();
    end_well(1, ask("m"));
    atomic_store(&stage.engines[1].worker->live->status, WORKER_NOT_READY);
    registry_admissions_changed(&stage.registry);
    again();
    end_well(0, ask("m"));
}

static void a_worker_that_serves_others_meanwhile_is_not_to_blame_for_a_time_out(void **state)
{
    int slow, client, e, f;

    OPEN(UP);
    judge(0, STRICT);
    stage.engines[0].worker->spec.pool.timeout_s = 1;
    slow = ask("m");
    e = engine_hear(0);
    nap_ms(800);
    client = ask("m");
    f = engine_hear(0);
    say(f, REPLY_OK);
    hear_all(client);
    again();
    hear_all(slow);
    assert_status(504);
    stage_do(nothing, NULL);
    assert_int_equal(breaker_of(0).state, BREAKER_CLOSED);
    close(e);
    close(f);
}

static void one_that_is_silent_is(void **state)
{
    int client, e;

    OPEN(UP);
    judge(0, STRICT);
    stage.engines[0].worker->spec.pool.timeout_s = 1;
    client = ask("m");
    e = engine_hear(0);
    hear_all(client);
    assert_status(504);
    stage_do(nothing, NULL);
    assert_int_equal(breaker_of(0).state, BREAKER_OPEN);
    close(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(dp_39_an_error_reply_is_made_good_by_another_worker),
        RULE(dp_16_a_4xx_is_passed_through_at_once),
        RULE(dp_16_after_the_last_attempt_its_reply_is_returned_unchanged),
        RULE(dp_37_attempts_are_counted_as_are_the_pauses_between),
        RULE(the_held_reply_is_returned_when_nobody_is_left),
        RULE(a_held_reply_without_a_body_is_returned_too),
        RULE(a_reply_too_long_to_be_held_is_told_in_our_words),
        RULE(a_failed_reply_that_does_not_end_is_not_waited_for),
        RULE(a_failed_reply_that_is_cut_is_a_failed_reply),
        RULE(without_retries_an_error_reply_is_passed_through),
        RULE(without_retries_a_worker_that_is_not_there_is_replaced),
        RULE(without_retries_a_reset_is_the_end),
        RULE(the_last_worker_with_settings_speaks_for_its_model),
        RULE(a_worker_that_asks_for_a_pause_gets_it_up_to_the_longest),
        RULE(another_worker_need_not_wait_for_it),
        RULE(a_client_that_leaves_in_a_pause_ends_it),
        RULE(a_client_that_leaves_while_a_reply_is_held_closes_it),
        RULE(a_workers_own_time_out_leads_to_another_worker),
        RULE(a_workers_own_time_out_is_504_when_nobody_is_left),
        RULE(a_workers_own_connect_time_holds),
        RULE(a_worker_may_want_no_connection_kept),
        RULE(dp_3_an_open_breaker_is_503_at_once),
        RULE(dp_38_a_half_open_breaker_lets_one_request_through),
        RULE(dp_38_workers_are_judged_apart),
        RULE(a_probe_whose_client_leaves_makes_room),
        RULE(a_probe_that_streams_is_judged_before_its_end),
        RULE(dp_18_a_stream_that_breaks_counts_against_its_worker),
        RULE(busy_workers_cool_down_but_serve_when_nobody_else_does),
        RULE(a_worker_that_serves_others_meanwhile_is_not_to_blame_for_a_time_out),
        RULE(one_that_is_silent_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
