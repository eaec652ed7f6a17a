/* abort.c -- a client that leaves ends its upstream call at once, wherever it is; one that is slow stops it for a while */
#include "recorder.h"

static void a_client_that_leaves_before_the_reply_closes_the_upstream_call(void **state)
{
    int client, e;

    OPEN(UP);
    client = ask("m");
    e = engine_hear(0);
    assert_int_equal(load(0), 1);
    close(client);
    hear_all(e);
    assert_int_equal(heard_n, 0);
    wait_for_load(0, 0);
    assert_sink("");
    assert_int_equal(rec.outcome, EX_ABORTED);
}

static void a_client_that_leaves_while_connecting_ends_the_attempt(void **state)
{
    int client;

    OPEN({ .kind = ENGINE_DEAF, .model = "m" });
    client = ask("m");
    wait_for_load(0, 1);
    slam(client);
    wait_for_load(0, 0);
    assert_sink("");
}

static void a_client_that_leaves_in_the_middle_of_a_reply_closes_the_upstream_call(void **state)
{
    int client, e;

    OPEN(UP);
    client = ask("m");
    e = engine_hear(0);
    say(e, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n");
    hear_until(client, "abc");
    assert_int_equal(load(0), 1);
    slam(client);
    hear_all(e);
    wait_for_load(0, 0);
    assert_sink("head 200, part abc");
    assert_int_equal(rec.outcome, EX_ABORTED);
}

/* Sends until the gateway takes no more. */
static size_t fill(int fd)
{
    static char block[64 * 1024];
    size_t total = 0;

    for (unsigned idle = 0; idle < 100;) {
        ssize_t w = send(fd, block, sizeof block, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (w > 0) {
            total += (size_t)w;
            idle = 0;
        } else {
            nap_ms(2);
            idle++;
        }
        assert_true(total < 64u << 20); /* somebody is to say stop */
    }
    return total;
}

static int a_slow_client(void)
{
    int fd = dial(stage.port, 4096);

    say(fd, CHAT " HTTP/1.1\r\nhost: g\r\nconnection: close\r\ncontent-length: 1\r\n\r\nm");
    return fd;
}

static void a_client_that_leaves_while_its_upstream_is_paused_ends_both(void **state)
{
    int client, e;

    OPEN(UP);
    client = a_slow_client();
    e = engine_hear(0);
    say(e, "HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n");
    fill(e);
    assert_int_equal(load(0), 1);
    slam(client);
    wait_for_load(0, 0);
    close(e);
    assert_sink("head 200");
}

static void a_slow_client_pauses_its_upstream_and_gets_every_byte(void **state)
{
    size_t sent, got = 0;
    int client, e;

    OPEN(UP);
    client = a_slow_client();
    e = engine_hear(0);
    say(e, "HTTP/1.1 200 OK\r\n\r\n"); /* until close */
    sent = fill(e);
    close(e);
    hear_until(client, "\r\n\r\n");
    for (;;) { /* chunked: count the block's NULs, which no framing has */
        for (size_t i = 0; i < heard_n; i++)
            got += heard[i] == 0;
        heard_n = 0;
        if (!hear_some(client))
            break;
    }
    close(client);
    assert_int_equal(got, sent);
    assert_sink("head 200, end");
}

static void a_client_that_leaves_between_two_attempts_leaves_no_load(void **state)
{
    int client;

    open_with((const struct engine[]){ DOWN, { .kind = ENGINE_DEAF, .model = "m" }, UP, { 0 } }, (struct dispatcher_conf){ 0 });
    client = ask("m");
    wait_for_load(1, 1);
    assert_int_equal(load(0), 0);
    slam(client);
    wait_for_load(1, 0);
    engine_is_left_alone(2, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(a_client_that_leaves_before_the_reply_closes_the_upstream_call),
        RULE(a_client_that_leaves_while_connecting_ends_the_attempt),
        RULE(a_client_that_leaves_in_the_middle_of_a_reply_closes_the_upstream_call),
        RULE(a_client_that_leaves_while_its_upstream_is_paused_ends_both),
        RULE(a_slow_client_pauses_its_upstream_and_gets_every_byte),
        RULE(a_client_that_leaves_between_two_attempts_leaves_no_load),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
