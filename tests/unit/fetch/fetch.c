/* fetch.c -- documents of a well-behaved and a badly behaved server, both ways of asking */
#include <stdlib.h>

#include "fail_alloc.h"
#include "fetch/document_server.h"
#include "fetch/fetch.h"

static char url[128];

static struct fetch_request ask(const char *path)
{
    snprintf(url, sizeof url, "http://127.0.0.1:%u%s", docs.port, path);
    return (struct fetch_request){ .url = str_of(url), .max_bytes = 1000, .total_ms = 10000 };
}

/* One answer on a loop that runs on this thread until it has come. */
static struct answer {
    struct loop *loop;
    struct fetcher *fetcher;
    unsigned times;
    int status;
    unsigned http_status;
    char body[4096], type[64], text[ERR_MESSAGE_MAX];
} got;

static void on_done(void *owner, int status, const struct fetch_reply *reply, const struct err *err)
{
    assert_ptr_equal(owner, &got);
    assert_true((status == 0) == (reply != NULL) && (status == 0) == (err == NULL));
    got.times++;
    got.status = status;
    if (reply) {
        got.http_status = reply->status;
        snprintf(got.body, sizeof got.body, "%.*s", STR_FMT(reply->body));
        snprintf(got.type, sizeof got.type, "%.*s", STR_FMT(reply->content_type));
    } else {
        snprintf(got.text, sizeof got.text, "%s", err->message);
    }
    fetcher_free(STEAL(got.fetcher));
    loop_stop(got.loop);
}

static void open_loop(void)
{
    memset(&got, 0, sizeof got);
    assert_int_equal(loop_new("fetch", 0, &got.loop, NULL), 0);
    assert_int_equal(fetcher_new(got.loop, &got.fetcher), 0);
}

static void close_loop(void)
{
    fetcher_free(STEAL(got.fetcher));
    loop_stop(got.loop);
    loop_run(got.loop);
    loop_free(got.loop);
}

static void fetch(struct fetch_request r)
{
    struct fetch *x = NULL;

    open_loop();
    assert_int_equal(fetch_start(got.fetcher, &r, on_done, &got, &x, NULL), 0);
    assert_int_equal(got.times, 0); /* never from inside the starting call */
    loop_run(got.loop);
    assert_int_equal(got.times, 1);
    loop_free(got.loop);
}

static void brings_status_type_and_body(void **state)
{
    fetch(ask("/ok"));
    assert_int_equal(got.status, 0);
    assert_int_equal(got.http_status, 200);
    assert_string_equal(got.body, "{\"ok\":true}");
    assert_string_equal(got.type, "application/json");
}

static void an_error_status_is_an_answer(void **state)
{
    fetch(ask("/missing"));
    assert_int_equal(got.status, 0);
    assert_int_equal(got.http_status, 404);
}

static void a_redirect_is_followed_only_when_asked(void **state)
{
    struct fetch_request r;

    fetch(ask("/redirect"));
    assert_int_equal(got.http_status, 302);
    r = ask("/redirect");
    r.redirects_max = 1;
    fetch(r);
    assert_int_equal(got.http_status, 200);
    assert_string_equal(got.body, "{\"ok\":true}");
}

static void says_what_it_accepts_and_nothing_about_us(void **state)
{
    struct fetch_request r = ask("/echo");

    r.accept = STR("application/json");
    r.max_bytes = 4000;
    fetch(r);
    assert_non_null(strstr(got.body, "\r\nAccept: application/json\r\n"));
    assert_null(strstr(got.body, "uthorization"));
}

static void a_body_that_announces_too_much_is_not_read(void **state)
{
    fetch(ask("/big"));
    assert_int_equal(got.status, ERR_LIMIT);
    assert_non_null(strstr(got.text, "Response too large: 1000000 bytes (max: 1000)"));
    assert_non_null(strstr(got.text, url));
}

static void a_body_that_grows_too_large_is_cut_off(void **state)
{
    fetch(ask("/stream"));
    assert_int_equal(got.status, ERR_LIMIT);
    assert_non_null(strstr(got.text, "Response too large: "));
}

static void the_deadline_holds_for_the_whole_fetch(void **state)
{
    struct fetch_request r = ask("/slow");

    r.total_ms = 50;
    fetch(r);
    assert_int_equal(got.status, ERR_TIMEOUT);
}

static void a_reset_and_a_refusal_are_told_apart(void **state)
{
    struct fetch_request r;

    fetch(ask("/reset"));
    assert_int_equal(got.status, ERR_RESET);
    r = ask("/ok");
    r.url = STR("http://127.0.0.1:1/ok");
    fetch(r);
    assert_int_equal(got.status, ERR_REFUSED);
    assert_non_null(strstr(got.text, "GET http://127.0.0.1:1/ok: "));
}

static struct fetch *running;

static void cancel_now(struct timer *t)
{
    (void)t;
    fetch_cancel(STEAL(running));
}

static void stop_later(struct timer *t)
{
    (void)t;
    fetcher_free(STEAL(got.fetcher));
    loop_stop(got.loop);
}

static void cancelling_is_silent_and_closes_the_connection(void **state)
{
    struct fetch_request r = ask("/slow");
    struct timer cancel = { 0 }, stop = { 0 };
    unsigned before = atomic_load(&docs.hung_up);

    open_loop();
    assert_int_equal(fetch_start(got.fetcher, &r, on_done, &got, &running, NULL), 0);
    timer_start(got.loop, &cancel, 100, cancel_now);
    timer_start(got.loop, &stop, 200, stop_later);
    loop_run(got.loop);
    loop_free(got.loop);
    assert_int_equal(got.times, 0);
    for (unsigned i = 0; i < 1000 && atomic_load(&docs.hung_up) == before; i++)
        usleep(5000);
    assert_int_not_equal(atomic_load(&docs.hung_up), before);
}

static void ending_the_fetcher_cancels_what_runs(void **state)
{
    struct fetch_request r = ask("/slow");
    struct fetch *x;

    open_loop();
    assert_int_equal(fetch_start(got.fetcher, &r, on_done, &got, &x, NULL), 0);
    close_loop();
    assert_int_equal(got.times, 0);
}

static void what_is_no_http_url_is_refused_at_once(void **state)
{
    static const char *const WRONG[] = { "", "nowhere", "file:///etc/passwd", "ftp://example.com/x", "http://a b/" };
    struct fetch *x;
    struct err err;

    open_loop();
    for (size_t i = 0; i < ARRAY_LEN(WRONG); i++) {
        struct fetch_request r = { .url = str_of(WRONG[i]), .max_bytes = 1, .total_ms = 1 };

        assert_int_equal(fetch_start(got.fetcher, &r, on_done, &got, &x, &err), ERR_INVALID);
        assert_true(err.message[0] != 0);
    }
    close_loop();
    assert_int_equal(got.times, 0);
}

static void only_so_many_run_at_a_time(void **state)
{
    struct fetch_request r = ask("/slow");
    struct fetch *x;

    open_loop();
    for (unsigned i = 0; i < FETCHES_MAX; i++)
        assert_int_equal(fetch_start(got.fetcher, &r, on_done, &got, &x, NULL), 0);
    assert_int_equal(fetch_start(got.fetcher, &r, on_done, &got, &x, NULL), ERR_BUSY);
    close_loop();
}

static void the_blocking_form_says_the_same(void **state)
{
    struct fetch_request r = ask("/ok");
    struct buf body = { 0 };
    unsigned status = 0;
    struct err err = { 0 };

    assert_int_equal(fetch_now(&r, &body, &status, &err), 0);
    assert_int_equal(status, 200);
    assert_str(buf_str(&body), "{\"ok\":true}");
    buf_clear(&body);
    r = ask("/big");
    assert_int_equal(fetch_now(&r, &body, &status, &err), ERR_LIMIT);
    assert_non_null(strstr(err.message, "Response too large"));
    assert_int_equal(body.n, 0);
    buf_fini(&body);
}

static void keeps_its_promises_when_memory_runs_out(void **state)
{
    struct buf warm = { 0 };
    struct fetch_request r = ask("/ok");
    unsigned ignored;

    assert_int_equal(fetch_now(&r, &warm, &ignored, NULL), 0); /* the library is open: only our own allocations are left */
    buf_fini(&warm);
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct buf body = { 0 };
        unsigned status = 0;
        int st = fetch_now(&r, &body, &status, NULL);

        assert_true(fail_alloc_failed() ? st == ERR_NOMEM : st == 0 && status == 200);
        buf_fini(&body);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(brings_status_type_and_body),
        cmocka_unit_test(an_error_status_is_an_answer),
        cmocka_unit_test(a_redirect_is_followed_only_when_asked),
        cmocka_unit_test(says_what_it_accepts_and_nothing_about_us),
        cmocka_unit_test(a_body_that_announces_too_much_is_not_read),
        cmocka_unit_test(a_body_that_grows_too_large_is_cut_off),
        cmocka_unit_test(the_deadline_holds_for_the_whole_fetch),
        cmocka_unit_test(a_reset_and_a_refusal_are_told_apart),
        cmocka_unit_test(cancelling_is_silent_and_closes_the_connection),
        cmocka_unit_test(ending_the_fetcher_cancels_what_runs),
        cmocka_unit_test(what_is_no_http_url_is_refused_at_once),
        cmocka_unit_test(only_so_many_run_at_a_time),
        cmocka_unit_test(the_blocking_form_says_the_same),
        cmocka_unit_test(keeps_its_promises_when_memory_runs_out),
    };

    return cmocka_run_group_tests(tests, docs_open, docs_close);
}
