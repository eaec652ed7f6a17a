/* dispatch.c -- carrying a request out: who is tried, what a failure turns into, and that the sink hears the end exactly once */
#include "recorder.h"

/* ---- one attempt ---- */

static void a_reply_comes_as_head_then_parts_then_one_end(void **state)
{
    int client, e;

    OPEN(UP);
    client = ask("m");
    e = engine_hear(0);
    assert_heard("POST /v1/chat/completions HTTP/1.1\r\n");
    assert_heard("\r\n\r\nm");
    say(e, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
    hear_until(client, "\r\n\r\n");
    say(e, "3\r\nabc\r\n");
    hear_until(client, "abc");
    say(e, "3\r\ndef\r\n");
    hear_until(client, "def");
    say(e, "0\r\n\r\n");
    hear_all(client);
    close(e);
    assert_sink("head 200, part abc, part def, end");
    assert_int_equal(rec.outcome, EX_FINISHED);
}

static void a_whole_reply_in_one_read_ends_once(void **state)
{
    OPEN(UP);
    end_well(0, ask("m"));
    assert_sink("head 200, part hello, end");
}

static void the_load_counts_from_the_pick_to_the_end_of_the_body(void **state)
{
    int client, e;

    OPEN(UP, UP);
    client = ask("m");
    e = engine_hear(0);
    assert_int_equal(load(0), 1); /* sent */
    assert_int_equal(load(1), 0);
    say(e, "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nab");
    hear_until(client, "ab");
    assert_int_equal(load(0), 1); /* replying */
    say(e, "cd");
    hear_all(client);
    assert_int_equal(load(0), 0);
    assert_int_equal(picks(0), 1);
    close(e);
}

static void facts_name_the_canonical_model_the_worker_and_the_attempts(void **state)
{
    char want[256];

    OPEN({ .kind = ENGINE_CLOSED, .model = "m", .alias = "short" }, UP);
    end_well(1, ask("short"));
    stage_do(nothing, NULL);
    snprintf(want, sizeof want, "model=m worker=http://127.0.0.1:%u attempts=2", stage.engines[1].port);
    assert_string_equal(rec.facts, want);
    assert_string_equal(rec.bound_model, "m");
}

static void a_workers_error_status_is_a_reply_not_a_failure(void **state)
{
    int client, e;

    OPEN(UP, UP);
    client = ask("m");
    e = engine_hear(0);
    say(e, "HTTP/1.1 501 Oops\r\ncontent-length: 4\r\n\r\noops");
    hear_all(client);
    assert_status(501);
    assert_heard("oops");
    close(e);
    assert_sink("head 501, part oops, end");
    engine_is_left_alone(1, 0);
    assert_counted("smg_worker_errors_total{worker_type=\"regular\",connection_mode=\"http\",error_type=\"backend_error\"} 1");
}

static void a_reply_that_is_no_http_goes_to_another_worker(void **state)
{
    int client, e;

    OPEN(UP, UP);
    client = ask("m");
    e = engine_hear(0);
    say(e, "I am no HTTP server\r\n\r\n");
    end_well(1, client);
    close(e);
    assert_sink("head 200, part hello, end");
}

static void a_reply_that_is_no_http_is_502_without_another_attempt(void **state)
{
    int client, e;

    open_with((const struct engine[]){ UP, { 0 } }, ONCE);
    client = ask("m");
    e = engine_hear(0);
    say(e, "I am no HTTP server\r\n\r\n");
    hear_all(client);
    assert_status(502);
    assert_heard("x-smg-error-code: call_upstream_decode_error\r\n");
    close(e);
    assert_sink("error");
}

/* ---- another worker ---- */

static void a_refused_connection_goes_to_another_worker(void **state)
{
    OPEN(DOWN, UP);
    end_well(1, ask("m"));
    assert_sink("head 200, part hello, end");
    assert_int_equal(load(0), 0);
    assert_int_equal(picks(0), 1);
    assert_int_equal(atomic_load(&stage.engines[0].worker->live->failures), 1);
}

static void a_name_that_does_not_resolve_goes_to_another_worker(void **state)
{
    OPEN({ .kind = ENGINE_CLOSED, .model = "m", .host = NO_HOST }, UP);
    end_well(1, ask("m"));
    assert_sink("head 200, part hello, end");
}

static void when_all_refuse_it_is_502_connection_failed(void **state)
{
    OPEN(DOWN, DOWN);
    hear_all(ask("m"));
    assert_status(502);
    assert_heard("x-smg-error-code: call_upstream_connection_failed\r\n");
    assert_not_heard("127.0.0.1"); /* no worker's address in an error of the data plane */
    assert_sink("error");
    assert_false(rec.after_head);
    assert_int_equal(rec.failure.cause, ERR_REFUSED);
    assert_int_equal(picks(0), 3); /* five attempts, in turn */
    assert_int_equal(picks(1), 2);
}

static void a_reset_before_the_head_goes_to_another_worker(void **state)
{
    int client;

    OPEN(UP, UP);
    client = ask("m");
    slam(engine_hear(0));
    end_well(1, client);
    assert_sink("head 200, part hello, end");
}

static void a_close_before_the_head_goes_to_another_worker(void **state)
{
    int client;

    OPEN(UP, UP);
    client = ask("m");
    close(engine_hear(0));
    end_well(1, client);
    assert_sink("head 200, part hello, end");
}

static void half_a_head_is_no_head(void **state)
{
    int client, e;

    OPEN(UP, UP);
    client = ask("m");
    e = engine_hear(0);
    say(e, "HTTP/1.1 200 OK\r\ncontent-le");
    close(e);
    end_well(1, client);
    assert_sink("head 200, part hello, end");
}

static void when_all_reset_it_is_502_request_failed(void **state)
{
    int client;

    open_with((const struct engine[]){ UP, UP, { 0 } }, TWICE);
    client = ask("m");
    slam(engine_hear(0));
    slam(engine_hear(1));
    hear_all(client);
    assert_status(502);
    assert_heard("x-smg-error-code: call_upstream_request_failed\r\n");
    assert_sink("error");
}

static void a_worker_is_tried_again_only_when_nobody_else_is_left(void **state)
{
    int client;

    OPEN(UP, UP);
    client = ask("m");
    slam(engine_hear(0));
    slam(engine_hear(1));
    end_well(0, client);
    assert_int_equal(picks(0), 2);
    assert_int_equal(picks(1), 1);
    assert_sink("head 200, part hello, end");
}

static void at_most_five_workers_are_tried(void **state)
{
    OPEN(DOWN, DOWN, DOWN, DOWN, DOWN, DOWN, UP);
    hear_all(ask("m"));
    assert_status(502);
    assert_sink("error");
    assert_int_equal(picks(4), 1);
    assert_int_equal(picks(5), 0);
    assert_counted("smg_worker_retries_total{worker_type=\"regular\",endpoint=\"chat\"} 4");
    assert_counted("smg_worker_retries_exhausted_total{worker_type=\"regular\",endpoint=\"chat\"} 1");
}

static void a_connection_that_takes_too_long_goes_to_another_worker(void **state)
{
    open_with((const struct engine[]){ { .kind = ENGINE_DEAF, .model = "m" }, UP, { 0 } },
              (struct dispatcher_conf){ .connect_ms = 50 });
    end_well(1, ask("m"));
    assert_sink("head 200, part hello, end");
}

static void the_body_is_prepared_once_however_many_are_tried(void **state)
{
    int client, e;

    OPEN(DOWN, UP, UP);
    client = ask("m");
    slam(engine_hear(1));
    e = engine_hear(2);
    assert_heard("\r\n\r\nm");
    say(e, REPLY_OK);
    hear_all(client);
    close(e);
    assert_sink("head 200, part hello, end");
    assert_int_equal(rec.prepared, 1);
}

static void a_dead_kept_connection_is_not_a_failed_worker(void **state)
{
    int client, e;

    OPEN(UP, UP);
    client = ask("m");
    e = engine_hear(0);
    say(e, REPLY_OK);
    hear_all(client);
    close(e); /* the gateway may have kept it */
    rec.terminals = 0;
    buf_clear(&rec.text);
    end_well(0, ask("m"));
    assert_sink("head 200, part hello, end");
    assert_int_equal(picks(1), 0);
}

/* ---- no other worker ---- */

static void a_reset_after_the_head_breaks_the_reply(void **state)
{
    int client, e;

    OPEN(UP, UP);
    client = ask("m");
    e = engine_hear(0);
    say(e, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n");
    hear_until(client, "abc");
    slam(e);
    hear_all(client);
    assert_not_heard("0\r\n\r\n"); /* the client can tell that this is not the end */
    assert_sink("head 200, part abc, error");
    assert_true(rec.after_head);
    assert_int_equal(rec.outcome, EX_FAILED);
    engine_is_left_alone(1, 50);
}

static void a_body_that_ends_early_breaks_the_reply(void **state)
{
    int client, e;

    OPEN(UP, UP);
    client = ask("m");
    e = engine_hear(0);
    say(e, "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc");
    hear_until(client, "abc");
    close(e);
    hear_all(client);
    assert_sink("head 200, part abc, error");
    assert_true(rec.after_head);
    assert_int_equal(rec.outcome, EX_FAILED);
}

static void no_head_in_time_is_504_and_nobody_else_is_tried(void **state)
{
    int client, e;

    open_with((const struct engine[]){ UP, UP, { 0 } }, (struct dispatcher_conf){ .head_ms = 60 });
    client = ask("m");
    e = engine_hear(0);
    hear_all(client);
    assert_status(504);
    assert_heard("x-smg-error-code: call_upstream_timeout\r\n");
    assert_sink("error");
    engine_is_left_alone(1, 0);
    hear_all(e); /* the attempt was closed */
    assert_int_equal(heard_n, 0);
}

static void silence_in_the_body_breaks_the_reply(void **state)
{
    int client, e;

    open_with((const struct engine[]){ UP, UP, { 0 } }, (struct dispatcher_conf){ .idle_ms = 60 });
    client = ask("m");
    e = engine_hear(0);
    say(e, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n");
    hear_all(client);
    assert_heard("abc");
    assert_sink("head 200, part abc, error");
    assert_int_equal(rec.failure.cause, ERR_TIMEOUT);
    close(e);
}

/* ---- nothing is started ---- */

static void an_unknown_model_is_404(void **state)
{
    OPEN(UP);
    hear_all(ask("other"));
    assert_status(404);
    assert_heard("x-smg-error-code: model_not_found\r\n");
    assert_heard("No worker available for model 'other'");
    assert_sink("");
    assert_int_equal(picks(0), 0);
    assert_counted("smg_router_request_errors_total{router_type=\"http\",backend_type=\"regular\",connection_mode=\"http\",model="
                   "\"other\",endpoint=\"chat\","
                   "error_type=\"no_workers\"} 1");
}

static void a_known_model_without_a_ready_worker_is_503_with_retry_after(void **state)
{
    OPEN({ .kind = ENGINE_OPEN, .model = "m", .status = WORKER_NOT_READY });
    hear_all(ask("m"));
    assert_status(503);
    assert_heard("retry-after: 1\r\n");
    assert_heard("x-smg-error-code: no_available_workers\r\n");
    assert_sink("");
}

static void when_the_body_cannot_be_prepared_it_is_503_and_no_load_stays(void **state)
{
    OPEN(UP);
    rec.prepare_result = ERR_NOMEM;
    hear_all(ask("m"));
    assert_status(503);
    assert_heard("x-smg-error-code: out_of_memory\r\n");
    assert_sink("");
    assert_int_equal(load(0), 0);
    engine_is_left_alone(0, 0);
}

/* ---- counting ---- */

static void a_stream_is_counted_with_its_duration_and_first_byte(void **state)
{
    OPEN(UP);
    end_well(0, ask("m"));
    stage_do(nothing, NULL);
    assert_counted("smg_router_requests_total{" MINE ",streaming=\"true\"} 1");
    assert_counted("smg_router_request_duration_seconds_count{" MINE "} 1");
    assert_counted("smg_router_ttft_seconds_count{router_type=\"http\",backend_type=\"regular\",model=\"m\",endpoint=\"chat\"} 1");
    assert_counted("smg_router_upstream_responses_total{router_type=\"http\",status_code=\"200\",error_code=\"\"} 1");
    assert_counted("smg_worker_selection_total{worker_type=\"regular\",connection_mode=\"http\",model=\"m\",policy=\"first\"} 1");
    assert_not_counted("smg_router_request_errors_total");
}

static void attempts_retries_and_the_failure_are_counted_apart(void **state)
{
    open_with((const struct engine[]){ DOWN, DOWN, { 0 } }, TWICE);
    hear_all(ask("m"));
    stage_do(nothing, NULL);
    assert_counted("smg_router_requests_total{" MINE ",streaming=\"true\"} 1");
    assert_counted("smg_router_request_errors_total{" MINE ",error_type=\"backend_error\"} 1");
    assert_counted("smg_router_upstream_responses_total{router_type=\"http\",status_code=\"502\",error_code=\"call_upstream_"
                   "connection_failed\"} 2");
    assert_counted("smg_worker_retries_total{worker_type=\"regular\",endpoint=\"chat\"} 1");
    assert_counted("smg_router_request_duration_seconds_count{" MINE "} 0");
}

static void a_request_that_no_worker_takes_is_counted_as_an_attempt_that_failed(void **state)
{
    OPEN(UP);
    hear_all(ask("nobodys"));
    stage_do(nothing, NULL);
    assert_counted(
        "smg_router_upstream_responses_total{router_type=\"http\",status_code=\"404\",error_code=\"model_not_found\"} 1");
    assert_counted(
        "smg_router_requests_total{router_type=\"http\",backend_type=\"regular\",connection_mode=\"http\",model=\"nobodys\","
        "endpoint=\"chat\",streaming=\"true\"} 1");
}

static void an_abort_is_neither_success_nor_error(void **state)
{
    int client, e;

    OPEN(UP);
    client = ask("m");
    e = engine_hear(0);
    close(client);
    hear_all(e);
    wait_for_load(0, 0);
    stage_do(nothing, NULL);
    assert_not_counted("smg_router_request_errors_total");
    assert_counted("smg_router_request_duration_seconds_count{" MINE "} 0");
    assert_counted("smg_router_requests_aborted_total{" MINE "} 1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(a_reply_comes_as_head_then_parts_then_one_end),
        RULE(a_whole_reply_in_one_read_ends_once),
        RULE(the_load_counts_from_the_pick_to_the_end_of_the_body),
        RULE(facts_name_the_canonical_model_the_worker_and_the_attempts),
        RULE(a_workers_error_status_is_a_reply_not_a_failure),
        RULE(a_reply_that_is_no_http_goes_to_another_worker),
        RULE(a_reply_that_is_no_http_is_502_without_another_attempt),
        RULE(a_refused_connection_goes_to_another_worker),
        RULE(a_name_that_does_not_resolve_goes_to_another_worker),
        RULE(when_all_refuse_it_is_502_connection_failed),
        RULE(a_reset_before_the_head_goes_to_another_worker),
        RULE(a_close_before_the_head_goes_to_another_worker),
        RULE(half_a_head_is_no_head),
        RULE(when_all_reset_it_is_502_request_failed),
        RULE(a_worker_is_tried_again_only_when_nobody_else_is_left),
        RULE(at_most_five_workers_are_tried),
        RULE(a_connection_that_takes_too_long_goes_to_another_worker),
        RULE(the_body_is_prepared_once_however_many_are_tried),
        RULE(a_dead_kept_connection_is_not_a_failed_worker),
        RULE(a_reset_after_the_head_breaks_the_reply),
        RULE(a_body_that_ends_early_breaks_the_reply),
        RULE(no_head_in_time_is_504_and_nobody_else_is_tried),
        RULE(silence_in_the_body_breaks_the_reply),
        RULE(an_unknown_model_is_404),
        RULE(a_known_model_without_a_ready_worker_is_503_with_retry_after),
        RULE(when_the_body_cannot_be_prepared_it_is_503_and_no_load_stays),
        RULE(a_stream_is_counted_with_its_duration_and_first_byte),
        RULE(attempts_retries_and_the_failure_are_counted_apart),
        RULE(a_request_that_no_worker_takes_is_counted_as_an_attempt_that_failed),
        RULE(an_abort_is_neither_success_nor_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
