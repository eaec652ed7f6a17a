/* exchange.c -- the rules of replies: lengths, chunks, corks, breaks, generators, references. The steps run on the server's thread through GET /probe
 * (inside the handler) or served_do (later turns). */
#include "served.h"

#include <malloc.h>
#include <poll.h>

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

static void get_probe(int fd, void (*probe)(struct exchange *ex))
{
    SET(probe, probe);
    say(fd, GET("/probe"));
}

/* ---- framing ---- */

static void three_parts(struct exchange *ex)
{
    exchange_reply_head(ex, 200, HTTP_LENGTH_UNKNOWN);
    assert_int_equal(exchange_send(ex, STR("one")), SEND_OK);
    assert_int_equal(exchange_send(ex, STR("")), SEND_OK);
    assert_int_equal(exchange_send(ex, STR("two, and a bit more")), SEND_OK);
    exchange_end(ex);
}

static void a_body_of_unknown_length_is_chunked(void **state)
{
    int fd = client();

    get_probe(fd, three_parts);
    hear_until(fd, "0\r\n\r\n");
    assert_true(heard_field("transfer-encoding: chunked"));
    assert_null(strstr(heard.text, "content-length"));
    assert_non_null(strstr(heard.text, "\r\n\r\n3\r\none\r\n13\r\ntwo, and a bit more\r\n0\r\n\r\n"));
    expect_still_open(fd);
    close(fd);
}

static void for_http_1_0_it_lasts_until_the_close(void **state)
{
    int fd = client();

    SET(probe, three_parts);
    say(fd, "GET /probe HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    hear_all(fd);
    assert_null(strstr(heard.text, "chunked"));
    assert_true(heard_field("connection: close"));
    assert_non_null(strstr(heard.text, "\r\n\r\nonetwo, and a bit more"));
    assert_true(heard.closed);
    close(fd);
}

static void for_head_it_stays_here(void **state)
{
    int fd = client();

    SET(probe, three_parts);
    say(fd, "HEAD /probe HTTP/1.1\r\nHost: a\r\n\r\n");
    hear_reply_to(fd, true);
    assert_int_equal(heard.n, (size_t)(heard.body - heard.text));
    expect_still_open(fd);
    close(fd);
}

static void no_content(struct exchange *ex)
{
    exchange_reply(ex, 204, STR_NONE, STR(""));
}

static void a_204_has_neither_length_nor_body(void **state)
{
    int fd = client();

    get_probe(fd, no_content);
    hear_reply(fd);
    assert_int_equal(heard.status, 204);
    assert_null(strstr(heard.text, "content-length"));
    assert_null(strstr(heard.text, "transfer-encoding"));
    expect_still_open(fd);
    close(fd);
}

static void fields_of_all_kinds(struct exchange *ex)
{
    exchange_add_name(ex, STR("x-bad"), STR("a\r\nset-cookie: stolen"));
    exchange_add_name(ex, STR("x-good"), STR("yes"));
    exchange_add(ex, HF_CONNECTION, STR("upgrade"));
    exchange_add(ex, HF_CONTENT_LENGTH, STR("99"));
    exchange_add(ex, HF_TRANSFER_ENCODING, STR("gzip"));
    exchange_add(ex, HF_DATE, STR("Sun, 06 Nov 1994 08:49:37 GMT"));
    exchange_reply(ex, 200, TYPE_TEXT, STR("ok"));
}

static void fields_that_break_the_framing_are_left_out(void **state)
{
    int fd = client();

    get_probe(fd, fields_of_all_kinds);
    hear_reply(fd);
    assert_null(strstr(heard.text, "stolen"));
    assert_null(strstr(heard.text, "x-bad"));
    assert_null(strstr(heard.text, "upgrade"));
    assert_null(strstr(heard.text, "gzip"));
    assert_true(heard_field("x-good: yes"));
    assert_true(heard_field("content-length: 2"));
    assert_true(heard_field("date: Sun, 06 Nov 1994 08:49:37 GMT"));
    expect_still_open(fd);
    close(fd);
}

static void a_large_head(struct exchange *ex)
{
    for (int i = 0; i < 30; i++)
        exchange_add_name(ex, STR("x-large"), arena_printf(&ex->arena, "%04000d", i));
    exchange_reply(ex, 200, TYPE_TEXT, STR("behind"));
}

static void a_head_larger_than_the_cork_goes_out_too(void **state)
{
    int fd = client();

    get_probe(fd, a_large_head);
    hear_reply(fd);
    assert_true(heard.n > 30 * 4000);
    assert_string_equal(heard.body, "behind");
    close(fd);
}

/* ---- lengths that do not fit ---- */

static void too_much(struct exchange *ex)
{
    exchange_reply_head(ex, 200, 5);
    assert_int_equal(exchange_send(ex, STR("123")), SEND_OK);
    assert_int_equal(exchange_send(ex, STR("456")), SEND_FULL);
    hold(ex);
}

static void more_than_announced_is_cut_and_breaks(void **state)
{
    int fd = client();

    get_probe(fd, too_much);
    hear_all(fd);
    assert_null(strstr(heard.text, "456"));
    assert_true(heard.reset);
    assert_int_equal(SEEN(outcome), EX_FAILED);
    assert_int_equal(SEEN(aborts), 1);
    close(fd);
}

static void too_little(struct exchange *ex)
{
    exchange_reply_head(ex, 200, 5);
    assert_int_equal(exchange_send(ex, STR("123")), SEND_OK);
    exchange_end(ex);
}

static void less_than_announced_is_reset(void **state)
{
    int fd = client();

    get_probe(fd, too_little);
    hear_all(fd);
    assert_true(heard.reset);
    assert_int_equal(SEEN(outcome), EX_FAILED);
    assert_int_equal(SEEN(aborts), 0);
    close(fd);
}

static void broken_chunks(struct exchange *ex)
{
    exchange_reply_head(ex, 200, HTTP_LENGTH_UNKNOWN);
    assert_int_equal(exchange_send(ex, STR("some")), SEND_OK);
    exchange_break(ex);
}

static void a_broken_chunked_reply_ends_without_its_last_chunk(void **state)
{
    int fd = client();

    get_probe(fd, broken_chunks);
    hear_all(fd);
    assert_non_null(strstr(heard.text, "4\r\nsome\r\n"));
    assert_null(strstr(heard.text, "0\r\n\r\n"));
    assert_int_equal(SEEN(outcome), EX_FAILED);
    close(fd);
}

static void break_at_once(struct exchange *ex)
{
    exchange_break(ex);
}

static void a_break_before_the_head_cuts_the_connection(void **state)
{
    int fd = client();

    get_probe(fd, break_at_once);
    hear_all(fd);
    assert_int_equal(heard.n, 0);
    assert_int_equal(SEEN(outcome), EX_FAILED);
    assert_int_equal(SEEN(ends), 1);
    close(fd);
}

/* ---- corks ---- */

static void begin_stream(void *arg)
{
    struct exchange *ex = *(struct exchange **)arg;

    exchange_reply_head(ex, 200, HTTP_LENGTH_UNKNOWN);
    (void)exchange_send(ex, STR("first"));
}

static void part_of(void *arg)
{
    struct exchange **two = arg;

    for (int i = 0; i < 3; i++) {
        assert_int_equal(exchange_send(two[0], STR("a")), SEND_OK);
        assert_int_equal(exchange_send(two[1], STR("b")), SEND_OK);
    }
    assert_int_equal(exchange_flush(two[1]), SEND_OK);
    exchange_end(two[0]);
    exchange_end(two[1]);
}

static void take_held(void *arg)
{
    *(struct exchange **)arg = app.held;
    app.held = NULL;
}

static void streams_that_take_turns_do_not_mix(void **state)
{
    struct exchange *two[2];
    int fds[2];

    for (int i = 0; i < 2; i++) {
        fds[i] = client();
        say(fds[i], GET("/hold"));
        wait_for(one_held);
        served_do(take_held, &two[i]);
        served_do(begin_stream, &two[i]);
        hear_until(fds[i], "first");
    }
    served_do(part_of, two);
    for (int i = 0; i < 2; i++) {
        hear_until(fds[i], "0\r\n\r\n");
        assert_string_equal(heard.text, i ? "1\r\nb\r\n1\r\nb\r\n1\r\nb\r\n0\r\n\r\n" : "1\r\na\r\n1\r\na\r\n1\r\na\r\n0\r\n\r\n");
        close(fds[i]);
    }
}

static char large_part[100 * 1024];

static void small_and_large_parts(struct exchange *ex)
{
    memset(large_part, 'L', sizeof(large_part));
    exchange_reply_head(ex, 200, 3 + sizeof(large_part) + 3);
    (void)exchange_send(ex, STR("abc"));
    (void)exchange_send(ex, (struct str){ large_part, sizeof(large_part) });
    (void)exchange_send(ex, STR("xyz"));
    exchange_end(ex);
}

static void small_and_large_parts_keep_their_order(void **state)
{
    int fd = client();

    get_probe(fd, small_and_large_parts);
    hear_reply(fd);
    assert_int_equal(heard.body_n, sizeof(large_part) + 6);
    assert_memory_equal(heard.body, "abcLLL", 6);
    assert_string_equal(heard.body + 3 + sizeof(large_part), "xyz");
    expect_still_open(fd);
    close(fd);
}

static void more_small_parts_than_the_cork_holds(struct exchange *ex)
{
    exchange_reply_head(ex, 200, 70 * 2000);
    for (int i = 0; i < 70; i++) {
        memset(large_part, 'a' + i % 26, 2000);
        (void)exchange_send(ex, (struct str){ large_part, 2000 });
    }
    exchange_end(ex);
}

static void a_full_cork_is_emptied(void **state)
{
    int fd = client();

    get_probe(fd, more_small_parts_than_the_cork_holds);
    hear_reply(fd);
    assert_int_equal(heard.body_n, 140000);
    for (int i = 0; i < 140000; i++)
        assert_int_equal(heard.body[i], 'a' + i / 2000 % 26);
    close(fd);
}

static void a_whole_reply_of_4_mb(struct exchange *ex)
{
    size_t n = 4 << 20;
    char *big = malloc(n);

    assert_non_null(big);
    memset(big, 'w', n);
    big[n - 1] = '!';
    exchange_reply(ex, 200, TYPE_TEXT, (struct str){ big, n });
    free(big);
}

static void read_body(int fd, uint64_t n, char last)
{
    static char part[256 * 1024];
    char c = 0;
    ssize_t r;

    for (; n > 0; n -= (uint64_t)r) {
        r = recv(fd, part, MIN(sizeof(part), n), 0);
        assert_true(r > 0);
        c = part[r - 1];
    }
    assert_int_equal(c, last);
}

/* The head byte by byte, so that the body stays in the socket. */
static void hear_head_only(int fd)
{
    hear_nothing_yet();
    while (!strstr(heard.text, "\r\n\r\n")) {
        assert_int_equal(recv(fd, heard.text + heard.n, 1, 0), 1);
        heard.text[++heard.n] = 0;
    }
}

static void a_huge_whole_reply_goes_out_in_turns(void **state)
{
    int fd = client_small(4096);

    get_probe(fd, a_whole_reply_of_4_mb);
    hear_head_only(fd);
    assert_true(heard_field("content-length: 4194304"));
    read_body(fd, 4 << 20, '!');
    expect_still_open(fd);
    close(fd);
}

/* ---- slow clients ---- */

static void stuff(void *arg)
{
    struct exchange *ex = app.held;

    exchange_reply_head(ex, 200, HTTP_LENGTH_UNKNOWN);
    while (exchange_send(ex, (struct str){ large_part, 64 * 1024 }) == SEND_OK)
        ;
    app.full = true;
    assert_int_equal(app.readies, 0);
    assert_int_equal(exchange_send(ex, STR("taken although full")), SEND_FULL);
}

static bool is_ready(void)
{
    return app.readies == 1;
}

static void end_held(void *arg)
{
    exchange_end(app.held);
}

static void a_slow_client_fills_up_and_is_ready_after_it_read(void **state)
{
    int fd = client_small(4096);
    char part[65536];
    ssize_t r;

    say(fd, GET("/hold"));
    wait_for(one_held);
    served_do(stuff, NULL);
    let_it_read();
    assert_int_equal(SEEN(readies), 0);
    for (int i = 0; i < 100000 && SEEN(readies) == 0; i++)
        assert_true(recv(fd, part, sizeof(part), 0) > 0);
    wait_for(is_ready);
    served_do(end_held, NULL);
    say(fd, GET("/items/end"));
    while ((r = recv(fd, part, sizeof(part) - 1, 0)) > 0) {
        part[r] = 0;
        if (r > 3 && memcmp(part + r - 3, "end", 3) == 0)
            break;
    }
    assert_true(r > 0);
    close(fd);
}

#define STREAMS 100

/* What the loop's thread and the server took; 0 under the sanitizers, whose malloc does not say. */
static size_t memory_in_use(void)
{
    served_do(nothing, NULL);
    return mallinfo2().uordblks;
}

static void an_open_stream_costs_at_most_16_kb(void **state)
{
    static const char request[] = "POST /hold HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n";
    struct exchange *streams[STREAMS];
    int fds[STREAMS];
    char body[2000];
    size_t before, after;

    memset(body, 'p', sizeof(body));
    before = memory_in_use();
    for (int i = 0; i < STREAMS; i++) {
        fds[i] = client();
        say(fds[i], request);
        say_n(fds[i], body, sizeof(body));
        wait_for(one_held);
        served_do(take_held, &streams[i]);
        served_do(begin_stream, &streams[i]);
        hear_until(fds[i], "first");
    }
    after = memory_in_use();
    assert_true(after - before <= STREAMS * 16 * 1024);
    print_message("%zu bytes per open stream\n", (after - before) / STREAMS);
    for (int i = 0; i < STREAMS; i++)
        close(fds[i]);
    wait_for(no_connections);
}

/* ---- generators ---- */

static void a_small_generated_reply_has_its_length(void **state)
{
    int fd = client();

    SET(generate_bytes, 30);
    SET(generate_step, 1000);
    say(fd, GET("/generate"));
    hear_reply(fd);
    assert_true(heard_field("content-length: 30"));
    assert_memory_equal(heard.body, "abcdefghijklmnopqrstuvwxyzabcd", 30);
    assert_int_equal(SEEN(stops), 1);
    expect_still_open(fd);
    close(fd);
}

static void a_generated_reply_in_steps_is_chunked(void **state)
{
    int fd = client();

    SET(generate_bytes, 26 * 4);
    SET(generate_step, 26);
    say(fd, GET("/generate"));
    hear_until(fd, "0\r\n\r\n");
    assert_non_null(strstr(heard.text, "\r\n\r\n1a\r\nabcdefghijklmnopqrstuvwxyz\r\n1a\r\nabc"));
    assert_int_equal(SEEN(stops), 1);
    expect_still_open(fd);
    close(fd);
}

static void a_slow_reader_of_64_mb_costs_one_step_of_memory(void **state)
{
    int fd = client_small(64 * 1024);
    uint64_t n = 64 << 20, framed;

    SET(generate_bytes, n);
    SET(generate_step, 64 * 1024);
    say(fd, GET("/generate"));
    hear_head_only(fd);
    usleep(100000);
    let_it_read();
    assert_true(SEEN(generated) < n / 4); /* what the kernel's buffers hold, and one step */
    assert_in_range(budget_used(), 0, 1 << 20);
    framed = n + (n / (64 * 1024)) * (5 + 2 + 2) + 5;
    read_body(fd, framed, '\n');
    assert_int_equal(SEEN(generated), n);
    expect_still_open(fd);
    assert_int_equal(SEEN(stops), 1);
    close(fd);
}

static void other_clients_are_served_while_a_generator_runs(void **state)
{
    int slow = client(), fd = client();

    SET(generate_bytes, 512 << 20);
    SET(generate_step, 64 * 1024);
    say(slow, GET("/generate"));
    hear_head_only(slow);
    for (int i = 0; i < 20; i++)
        expect_still_open(fd);
    slam(slow);
    close(fd);
    wait_for(no_connections);
    assert_int_equal(SEEN(stops), 1);
}

static void a_generator_is_stopped_when_its_client_leaves(void **state)
{
    int fd = client_small(4096);

    SET(generate_bytes, 512 << 20);
    SET(generate_step, 64 * 1024);
    say(fd, GET("/generate"));
    hear_head_only(fd);
    slam(fd);
    wait_for(no_connections);
    assert_int_equal(SEEN(stops), 1);
    assert_int_equal(SEEN(outcome), EX_ABORTED);
}

static void a_generator_that_says_too_much_breaks(void **state)
{
    int fd = client();

    SET(generate_bytes, 1 << 20);
    SET(generate_step, 65 * 1024);
    say(fd, GET("/generate"));
    hear_all(fd);
    assert_int_equal(SEEN(stops), 1);
    assert_int_equal(SEEN(outcome), EX_FAILED);
    close(fd);
}

/* ---- references ---- */

static void find_by_ref(void *arg)
{
    *(struct exchange **)arg = exchange_from_ref(app.ref);
}

static void a_reference_ends_with_its_exchange(void **state)
{
    struct exchange *found = NULL, *held = NULL;
    int fd = client();

    say(fd, GET("/hold"));
    wait_for(one_held);
    served_do(find_by_ref, &found);
    served_do(take_held, &held);
    assert_ptr_equal(found, held);
    assert_ptr_equal(exchange_ref_loop(app.ref), served.loop);
    close(fd);
    wait_for(no_connections);
    served_do(find_by_ref, &found);
    assert_null(found);
    fd = client();
    expect_still_open(fd); /* the slot is used again */
    served_do(find_by_ref, &found);
    assert_null(found);
    close(fd);
}

/* ---- facts ---- */

static struct exchange_facts facts;
static uint64_t times[3];

static void look_at_facts(struct exchange *ex)
{
    times[0] = ex->began_us;
    assert_true(ex->peer.n > strlen("127.0.0.1:"));
    assert_memory_equal(ex->peer.p, "127.0.0.1:", 10);
    exchange_reply_head(ex, 200, 2);
    times[1] = ex->head_us;
    (void)exchange_send(ex, STR("ok"));
    times[2] = ex->facts.first_byte_us;
    facts = ex->facts;
    assert_true(ex->bytes_out > 100);
    assert_int_equal(ex->bytes_in, strlen(GET("/probe")));
    exchange_end(ex);
}

static void times_and_bytes_are_noted(void **state)
{
    int fd = client();

    get_probe(fd, look_at_facts);
    hear_reply(fd);
    served_do(nothing, NULL);
    assert_true(times[0] > 0 && times[0] <= times[1] && times[1] <= times[2]);
    close(fd);
}

/* ---- when it goes out ---- */

static int watched;        /* the client's socket, which nobody reads meanwhile */
static int patience_ms;    /* how long on_end waits for bytes there */
static bool went_first[2]; /* per end: some were there */

static void look_at_the_wire(void)
{
    struct pollfd p = { .fd = watched, .events = POLLIN };

    if (app.ends < 2)
        went_first[app.ends] = poll(&p, 1, patience_ms) == 1;
}

static void hold_and_answer(int fd, const char *requests, int patience)
{
    watched = fd;
    patience_ms = patience;
    SET(at_end, look_at_the_wire);
    say(fd, requests);
    wait_for(one_held);
    served_do(reply_to_held, NULL);
}

static void a_reply_goes_out_before_log_and_metrics_hear_of_it(void **state)
{
    int fd = client();

    hold_and_answer(fd, GET("/hold"), 5000);
    assert_int_equal(SEEN(ends), 1);
    assert_true(went_first[0]);
    hear_reply(fd);
    close(fd);
}

static bool two_ended(void)
{
    return app.ends == 2;
}

static void with_the_next_request_at_hand_it_waits_for_that_reply(void **state)
{
    int fd = client();

    hold_and_answer(fd, GET("/hold") "GET /items/2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 0);
    wait_for(two_ended);
    assert_false(went_first[0]);
    hear_all(fd);
    assert_non_null(strstr(heard.text, "\r\n\r\nheldHTTP"));
    close(fd);
}

/* ---- taken back, and looked at ---- */

static struct {
    bool taken;
    char seen[64];
} back;

static void take_held_back(void *arg)
{
    struct exchange *ex = exchange_from_ref(app.ref);

    (void)arg;
    back.taken = exchange_take_back(ex);
    if (back.taken)
        http_error(ex, 503, STR("taken"), STR("for another one"));
}

static void who_holds_it_is_told_and_another_one_answers(void **state)
{
    int fd = client();

    say(fd, GET("/hold"));
    wait_for(one_held);
    served_do(take_held_back, NULL);
    hear_reply(fd);
    assert_true(back.taken && heard.status == 503);
    assert_true(SEEN(aborts) == 1 && SEEN(ends) == 1);
    assert_int_equal(SEEN(outcome), EX_FINISHED);
    say(fd, GET("/hello")); /* the connection goes on */
    hear_reply(fd);
    assert_int_equal(heard.status, 200);
    close(fd);
}

static void resume_and_take_back(void *arg)
{
    exchange_resume(exchange_from_ref(app.ref));
    take_held_back(arg);
}

static void a_filter_that_waits_and_one_that_was_resumed_are_taken_from(void **state)
{
    int fd = client();

    SET(script, WAIT_BODY);
    say(fd, GET("/hello"));
    wait_for(one_held);
    served_do(take_held_back, NULL);
    hear_reply(fd);
    assert_true(back.taken && heard.status == 503 && SEEN(aborts) == 1);
    say(fd, GET("/hello"));
    wait_for(one_held);
    served_do(resume_and_take_back, NULL);
    hear_reply(fd);
    assert_true(back.taken && heard.status == 503 && SEEN(handled) == 0);
    close(fd);
}

static void begin_held(void *arg)
{
    struct exchange *ex = exchange_from_ref(app.ref);

    (void)arg;
    exchange_reply_head(ex, 200, 4);
    back.taken = exchange_take_back(ex);
    (void)exchange_send(ex, STR("mine"));
    exchange_end(ex);
}

static void begin_generated(struct exchange *ex)
{
    exchange_generate(ex, 200, TYPE_TEXT, &APP_GENERATOR, NULL);
    back.taken = exchange_take_back(ex);
}

static void a_reply_that_has_begun_is_not_taken_back(void **state)
{
    int fd = client();

    say(fd, GET("/hold"));
    wait_for(one_held);
    served_do(begin_held, NULL);
    hear_reply(fd);
    assert_true(!back.taken && heard.status == 200 && SEEN(aborts) == 0);
    app.generate_bytes = app.generate_step = 10;
    back.taken = true;
    get_probe(fd, begin_generated);
    hear_reply(fd);
    assert_true(!back.taken && heard.status == 200);
    close(fd);
}

static void look_at_part(struct exchange *ex, struct str part, void *arg)
{
    size_t n = strlen(arg);

    snprintf((char *)arg + n, sizeof back.seen - n, "[%.*s]", STR_FMT(part));
}

static void three_parts_with_a_tap(struct exchange *ex)
{
    ex->tap = look_at_part;
    ex->tap_arg = back.seen;
    three_parts(ex);
}

static void a_tap_sees_the_parts_without_their_frames(void **state)
{
    int fd = client();

    back.seen[0] = 0;
    get_probe(fd, three_parts_with_a_tap);
    hear_until(fd, "0\r\n\r\n");
    served_do(nothing, NULL);
    assert_string_equal(back.seen, "[one][two, and a bit more]");
    get_probe(fd, three_parts); /* the next request has none */
    hear_until(fd, "0\r\n\r\n");
    served_do(nothing, NULL);
    assert_string_equal(back.seen, "[one][two, and a bit more]");
    close(fd);
}

#define RULE(name) cmocka_unit_test_setup_teardown(name, default_server, stop_server)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(a_body_of_unknown_length_is_chunked),
        RULE(for_http_1_0_it_lasts_until_the_close),
        RULE(for_head_it_stays_here),
        RULE(a_204_has_neither_length_nor_body),
        RULE(fields_that_break_the_framing_are_left_out),
        RULE(a_head_larger_than_the_cork_goes_out_too),
        RULE(more_than_announced_is_cut_and_breaks),
        RULE(less_than_announced_is_reset),
        RULE(a_broken_chunked_reply_ends_without_its_last_chunk),
        RULE(a_break_before_the_head_cuts_the_connection),
        RULE(streams_that_take_turns_do_not_mix),
        RULE(small_and_large_parts_keep_their_order),
        RULE(a_full_cork_is_emptied),
        RULE(a_huge_whole_reply_goes_out_in_turns),
        RULE(a_slow_client_fills_up_and_is_ready_after_it_read),
        RULE(an_open_stream_costs_at_most_16_kb),
        RULE(a_small_generated_reply_has_its_length),
        RULE(a_generated_reply_in_steps_is_chunked),
        RULE(a_slow_reader_of_64_mb_costs_one_step_of_memory),
        RULE(other_clients_are_served_while_a_generator_runs),
        RULE(a_generator_is_stopped_when_its_client_leaves),
        RULE(a_generator_that_says_too_much_breaks),
        RULE(a_reference_ends_with_its_exchange),
        RULE(times_and_bytes_are_noted),
        RULE(a_reply_goes_out_before_log_and_metrics_hear_of_it),
        RULE(with_the_next_request_at_hand_it_waits_for_that_reply),
        RULE(who_holds_it_is_told_and_another_one_answers),
        RULE(a_filter_that_waits_and_one_that_was_resumed_are_taken_from),
        RULE(a_reply_that_has_begun_is_not_taken_back),
        RULE(a_tap_sees_the_parts_without_their_frames),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
