/* client.c -- calls against a server that does what its script says: replies cut at every byte, stalls, lies, surprises
 *
 * See client_scene.h for how a test is set. Which connections are kept: client_pool.c.
 */
#include "client_scene.h"

#include <stdio.h>
#include <unistd.h>

/* ---- replies of all framings, cut in all ways ---- */

static void every_framing_arrives_whole_in_pieces_of_any_size(void **state)
{
    for (size_t piece = 0; piece < 30; piece += piece < 5 ? 1 : 7) {
        const struct script scripts[] = {
            { .reply = STR(LENGTH_REPLY), .piece = piece },
            { .reply = STR(CHUNKED_REPLY), .piece = piece },
            { .reply = STR(EMPTY_REPLY), .piece = piece },
            { .reply = STR(CLOSE_REPLY), .piece = piece, .after = SCRIPT_FIN },
        };

        SCENE(SCRIPTS(scripts), .calls_n = 4);
        assert_seen(0, "200 hello world=0");
        assert_seen(1, "200 hello world=0");
        assert_seen(2, "204 =0");
        assert_seen(3, "200 hello world=0");
        assert_int_equal(scene.stats.opened, 1);
        assert_int_equal(scene.stats.reused, 3);
        assert_int_equal(scene.stats.idle, 0);
        end_test(state);
    }
}

/* The text that a caller must have seen of a reply that ended at byte CUT. RST may also take away what was on its way. */
static void check_cut(unsigned i, struct str reply, size_t cut, size_t head, bool until_close, enum script_after how)
{
    struct str text = buf_str(&scene.seen[i].text);
    bool whole = cut == reply.n || (until_close && cut >= head);

    assert_int_equal(scene.seen[i].ends, 1);
    if (how == SCRIPT_RST && (until_close || cut < reply.n)) {
        assert_true(str_has_suffix(text, STR("=-11")) || str_has_suffix(text, STR("=-12")));
    } else if (how == SCRIPT_FIN) {
        assert_true(str_has_suffix(text, whole ? STR("=0") : STR("=-12")));
        assert_int_equal(scene.seen[i].heads, cut >= head);
        assert_int_equal(scene.seen[i].ended_in, whole ? CALL_DONE : cut >= head ? CALL_BODY : CALL_WAIT_HEAD);
    }
    assert_false(scene.seen[i].fresh_retry);
}

static void cut_everywhere(struct str reply, bool until_close, enum script_after how)
{
    struct script scripts[CALLS_MAX] = { 0 };
    size_t head = str_find(reply, STR("\r\n\r\n")) + 4;

    assert_true(reply.n + 1 < CALLS_MAX);
    for (size_t cut = 0; cut <= reply.n; cut++)
        scripts[cut] = (struct script){ .reply = str_first(reply, cut), .after = how };
    SCENE(.scripts = scripts, .scripts_n = reply.n + 1, .calls_n = (unsigned)reply.n + 1);
    for (size_t cut = 0; cut <= reply.n; cut++)
        check_cut((unsigned)cut, reply, cut, head, until_close, how);
    end_test(NULL);
}

static void a_reply_that_ends_at_any_byte_is_cut_short_or_whole(void **state)
{
    cut_everywhere(STR(LENGTH_REPLY), false, SCRIPT_FIN);
    cut_everywhere(STR(CHUNKED_REPLY), false, SCRIPT_FIN);
    cut_everywhere(STR(CLOSE_REPLY), true, SCRIPT_FIN);
}

static void a_reply_that_is_reset_at_any_byte_is_an_error(void **state)
{
    cut_everywhere(str_first(STR(LENGTH_REPLY), sizeof LENGTH_REPLY - 2), false, SCRIPT_RST);
    cut_everywhere(str_first(STR(CHUNKED_REPLY), sizeof CHUNKED_REPLY - 2), false, SCRIPT_RST);
    cut_everywhere(STR(CLOSE_REPLY), true, SCRIPT_RST);
}

static void interim_replies_are_swallowed(void **state)
{
    for (size_t piece = 0; piece < 12; piece += 1 + piece) {
        const struct script scripts[] = {
            { .reply = STR("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" LENGTH_REPLY),
              .piece = piece }
        };

        SCENE(SCRIPTS(scripts));
        assert_seen(0, "200 hello world=0");
        assert_int_equal(scene.stats.idle, 1);
        end_test(state);
    }
}

static void too_many_interim_replies_are_refused(void **state)
{
    struct buf text = { 0 };
    struct script script;

    for (int i = 0; i < 17; i++)
        buf_puts(&text, "HTTP/1.1 100 Continue\r\n\r\n");
    buf_puts(&text, LENGTH_REPLY);
    script = (struct script){ .reply = buf_str(&text) };
    SCENE(.scripts = &script, .scripts_n = 1);
    assert_seen(0, "=-15");
    script.reply = str_skip(script.reply, strlen("HTTP/1.1 100 Continue\r\n\r\n"));
    end_test(state);
    SCENE(.scripts = &script, .scripts_n = 1);
    assert_seen(0, "200 hello world=0");
    buf_fini(&text);
}

static void lies_and_nonsense_are_protocol_errors(void **state)
{
    static const struct {
        const char *reply, *seen;
    } ROWS[] = {
        { "SSH-2.0-OpenSSH_9.2\r\n\r\n", "=-15" },
        { "HTTP/1.1 101 Switching Protocols\r\n\r\n", "=-15" },
        { "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "=-15" },
        { "HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nhello", "=-15" },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "=-15" },
        { "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", "=-15" },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhello\r\n", "200 =-15" },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello world", "200 =-15" },
    };

    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        const struct script script = { .reply = str_of(ROWS[i].reply) };

        SCENE(.scripts = &script, .scripts_n = 1);
        assert_seen(0, ROWS[i].seen);
        assert_int_equal(scene.stats.idle, 0);
        end_test(state);
    }
}

static void an_endless_head_is_refused_at_its_bound(void **state)
{
    static char text[3 * H1_HEAD_MAX];
    struct script script = { .reply = { text, sizeof text } };

    memset(text, 'a', sizeof text);
    memcpy(text, "HTTP/1.1 200 OK\r\nX: ", 20);
    SCENE(.scripts = &script, .scripts_n = 1);
    assert_seen(0, "=-15");
    assert_int_equal(scene.seen[0].ended_in, CALL_WAIT_HEAD);
    end_test(state);
    script.piece = 5000;
    SCENE(.scripts = &script, .scripts_n = 1);
    assert_seen(0, "=-15");
}

static void head_requests_have_no_body_and_keep_the_connection(void **state)
{
    static const struct script SCRIPT[] = { { .reply = STR_INIT("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n") },
                                            { .reply = STR_INIT("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n") } };

    SCENE(SCRIPTS(SCRIPT), .calls_n = 2, .method = HTTP_HEAD);
    assert_seen(0, "200 =0");
    assert_seen(1, "200 =0");
    assert_int_equal(scene.stats.opened, 1);
}

/* ---- what keeps a call from its reply ---- */

static void cancel(struct seen *s)
{
    http_call_cancel(&s->call);
    assert_int_equal(s->call.step, CALL_DONE);
    http_call_cancel(&s->call);
    memset(&s->call, 0xa5, sizeof s->call); /* the memory is the caller's again */
    call_is_over(s);
}

static void cancel_first(struct scene *t)
{
    cancel(&t->seen[0]);
}

/* A port that was free a moment ago. */
static uint16_t port_of_nobody(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&address, length), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    close(fd);
    return ntohs(address.sin_port);
}

static void a_refused_connection_says_so(void **state)
{
    SCENE(.port = port_of_nobody());
    assert_seen(0, "=-10");
    assert_int_equal(scene.seen[0].ended_in, CALL_CONNECTING);
}

#define CROWD 8

/* A listener whose backlog is full: the kernel drops what knocks. */
static int crowded_port(int crowd[CROWD], uint16_t *ret_port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(fd, 0), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    for (int i = 0; i < CROWD; i++) {
        crowd[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(crowd[i], (struct sockaddr *)&address, length); /* the first one or two get in, the others wait */
    }
    *ret_port = ntohs(address.sin_port);
    return fd;
}

static void a_connection_that_does_not_come_times_out(void **state)
{
    int crowd[CROWD];
    uint16_t port;
    int fd = crowded_port(crowd, &port);

    SCENE(.port = port, .connect_ms = 60, .head_ms = 10000);
    assert_seen(0, "=-8");
    assert_int_equal(scene.seen[0].ended_in, CALL_CONNECTING);
    SCENE(.port = port, .on_time = cancel_first, .time_ms = 50, .late_ms = 50);
    assert_int_equal(scene.seen[0].ends, 0);
    for (int i = 0; i < CROWD; i++)
        close(crowd[i]);
    close(fd);
}

static void a_name_that_cannot_be_is_not_resolved(void **state)
{
    char name[300];

    memset(name, 'a', sizeof name);
    SCENE(.host = { name, sizeof name });
    assert_seen(0, "=-14");
    assert_int_equal(scene.seen[0].ended_in, CALL_CONNECTING);
}

static void a_head_that_does_not_come_times_out(void **state)
{
    static const struct script SCRIPT[] = { { .reply = STR_INIT("HTTP/1.1 200") } };

    SCENE(.head_ms = 60);
    assert_seen(0, "=-8");
    assert_int_equal(scene.seen[0].ended_in, CALL_WAIT_HEAD);
    SCENE(SCRIPTS(SCRIPT), .head_ms = 60);
    assert_seen(0, "=-8");
}

static void a_body_that_stalls_times_out(void **state)
{
    static const struct script SCRIPT[] = { { .reply = STR_INIT("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello") } };

    SCENE(SCRIPTS(SCRIPT), .head_ms = 1000, .idle_ms = 60);
    assert_seen(0, "200 hello=-8");
    assert_int_equal(scene.seen[0].ended_in, CALL_BODY);
}

static char large[32u << 20];

static void a_server_that_does_not_read_times_out_too(void **state)
{
    static const struct script SCRIPT[] = { { .deaf = true } };

    SCENE(SCRIPTS(SCRIPT), .body = { large, sizeof large }, .head_ms = 100);
    assert_seen(0, "=-8");
    assert_int_equal(scene.seen[0].ended_in, CALL_SENDING);
}

static void a_large_request_arrives_whole(void **state)
{
    static const struct script SCRIPT[] = { { .reply = STR_INIT(LENGTH_REPLY), .after_bytes = sizeof large } };

    SCENE(SCRIPTS(SCRIPT), .body = { large, sizeof large });
    assert_seen(0, "200 hello world=0");
    assert_int_equal(scene.stats.idle, 1);
    assert_true(scene.seen[0].call.sent_us > 0);
}

static void a_reply_before_the_request_is_out_is_delivered_and_ends_the_connection(void **state)
{
    static const struct script SCRIPT[] = { { .reply = STR_INIT("HTTP/1.1 413 Payload Too Large\r\nContent-Length: 3\r\n\r\nbig"),
                                              .deaf = true } };

    SCENE(SCRIPTS(SCRIPT), .body = { large, sizeof large });
    assert_seen(0, "413 big=0");
    assert_int_equal(scene.stats.idle, 0);
}

/* ---- pausing ---- */

static char big_reply[8u << 20];

static void make_big_reply(struct script *script)
{
    int n = snprintf(big_reply, sizeof big_reply, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", sizeof big_reply - 100);

    memset(big_reply + n, 'x', sizeof big_reply - 100);
    *script = (struct script){ .reply = { big_reply, (size_t)n + sizeof big_reply - 100 } };
}

static void pause_call(struct seen *s)
{
    http_call_pause(&s->call);
}

static void pause_first(struct seen *s)
{
    if (s->scene->bytes_at_time == 0)
        http_call_pause(&s->call);
}

static void resume_first(struct scene *t)
{
    t->bytes_at_time = t->bytes;
    http_call_resume(&t->seen[0].call);
}

static void a_paused_call_reads_no_further_and_is_not_timed(void **state)
{
    struct script script;

    make_big_reply(&script);
    SCENE(.scripts = &script, .scripts_n = 1, .quiet = true, .on_body = pause_first, .on_time = resume_first, .time_ms = 250,
          .idle_ms = 100);
    assert_seen(0, "200 =0");
    assert_true(scene.bytes_at_time > 0 && scene.bytes_at_time <= LOOP_READ_BYTES);
    assert_int_equal(scene.bytes, sizeof big_reply - 100);
    assert_int_equal(scene.stats.idle, 1);
}

static void a_call_paused_at_its_head_gets_the_rest_of_the_read_only(void **state)
{
    struct script script;

    make_big_reply(&script);
    SCENE(.scripts = &script, .scripts_n = 1, .quiet = true, .on_head = pause_call, .on_time = resume_first, .time_ms = 100);
    assert_seen(0, "200 =0");
    assert_true(scene.bytes_at_time <= LOOP_READ_BYTES);
}

static void pause_and_resume(struct seen *s)
{
    http_call_pause(&s->call);
    http_call_pause(&s->call);
    http_call_resume(&s->call);
    http_call_resume(&s->call);
}

static void pausing_and_resuming_anywhere_loses_nothing(void **state)
{
    const struct script scripts[] = { { .reply = STR(CHUNKED_REPLY), .piece = 3 }, { .reply = STR(CHUNKED_REPLY) } };

    SCENE(SCRIPTS(scripts), .calls_n = 2, .on_start = pause_and_resume, .on_head = pause_and_resume, .on_body = pause_and_resume,
          .on_batch = pause_and_resume, .on_end = pause_and_resume);
    assert_seen(0, "200 hello world=0");
    assert_seen(1, "200 hello world=0");
    assert_int_equal(scene.stats.opened, 1);
}

static void a_call_that_ends_paused_leaves_a_usable_connection(void **state)
{
    const struct script scripts[] = { { .reply = STR(LENGTH_REPLY) }, { .reply = STR(LENGTH_REPLY) } };

    SCENE(SCRIPTS(scripts), .calls_n = 2, .on_body = pause_call);
    assert_seen(0, "200 hello world=0");
    assert_seen(1, "200 hello world=0");
    assert_int_equal(scene.stats.opened, 1);
}

static void batches_are_told_after_each_read_but_the_last(void **state)
{
    const struct script scripts[] = { { .reply = STR(LENGTH_REPLY) } };

    SCENE(SCRIPTS(scripts));
    assert_int_equal(scene.seen[0].batches, 0);
    end_test(state);
    const struct script pieces[] = { { .reply = STR(LENGTH_REPLY), .piece = sizeof LENGTH_REPLY - 2 } };
    SCENE(SCRIPTS(pieces));
    assert_int_equal(scene.seen[0].batches, 1);
}

/* ---- cancelling ---- */

static void check_cancelled(const char *text)
{
    assert_seen(0, text);
    assert_int_equal(scene.seen[0].ends, 0);
    assert_int_equal(scene.late_stats.idle, 0);
    end_test(NULL);
}

static void a_call_can_be_cancelled_in_every_step(void **state)
{
    static const struct script STALLED[] = { { .reply = STR_INIT("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello") } };
    static const struct script WHOLE[] = { { .reply = STR_INIT(CHUNKED_REPLY) } };
    static const struct script DEAF[] = { { .deaf = true } };

    SCENE(SCRIPTS(WHOLE), .on_start = cancel, .late_ms = 50); /* connecting */
    check_cancelled("");
    SCENE(SCRIPTS(WHOLE), .host = STR("localhost"), .on_start = cancel, .late_ms = 50); /* resolving */
    check_cancelled("");
    SCENE(SCRIPTS(DEAF), .body = { large, sizeof large }, .on_time = cancel_first, .time_ms = 50, .late_ms = 50); /* sending */
    check_cancelled("");
    SCENE(.on_time = cancel_first, .time_ms = 50, .late_ms = 50); /* waiting for the head */
    check_cancelled("");
    SCENE(SCRIPTS(WHOLE), .on_head = cancel, .late_ms = 50);
    check_cancelled("200 ");
    SCENE(SCRIPTS(WHOLE), .on_body = cancel, .late_ms = 50);
    check_cancelled("200 hello");
    SCENE(SCRIPTS(STALLED), .on_batch = cancel, .late_ms = 50);
    check_cancelled("200 hello");
    SCENE(SCRIPTS(STALLED), .on_time = cancel_first, .time_ms = 50, .late_ms = 50); /* between two reads */
    check_cancelled("200 hello");
    SCENE(SCRIPTS(STALLED), .on_body = pause_call, .on_time = cancel_first, .time_ms = 50, .late_ms = 50); /* paused */
    check_cancelled("200 hello");
    SCENE(.host =
              STR("not an address and longer than any name may be: "
                  "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901"
                  "234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"),
          .on_start = cancel, .late_ms = 50); /* failed, not told yet */
    check_cancelled("");
}

static void a_cancelled_call_does_not_disturb_the_next_one(void **state)
{
    static const struct script SCRIPT[] = { { .reply = STR_INIT(CHUNKED_REPLY) },
                                            { .reply = STR_INIT(CHUNKED_REPLY) },
                                            { .reply = STR_INIT(CHUNKED_REPLY) } };

    SCENE(SCRIPTS(SCRIPT), .calls_n = 3, .on_body = cancel);
    for (unsigned i = 0; i < 3; i++)
        assert_seen(i, "200 hello");
    assert_int_equal(scene.stats.opened, 3);
}

#define TEST(t) cmocka_unit_test_teardown(t, end_test)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_framing_arrives_whole_in_pieces_of_any_size),
        TEST(a_reply_that_ends_at_any_byte_is_cut_short_or_whole),
        TEST(a_reply_that_is_reset_at_any_byte_is_an_error),
        TEST(interim_replies_are_swallowed),
        TEST(too_many_interim_replies_are_refused),
        TEST(lies_and_nonsense_are_protocol_errors),
        TEST(an_endless_head_is_refused_at_its_bound),
        TEST(head_requests_have_no_body_and_keep_the_connection),
        TEST(a_refused_connection_says_so),
        TEST(a_connection_that_does_not_come_times_out),
        TEST(a_name_that_cannot_be_is_not_resolved),
        TEST(a_head_that_does_not_come_times_out),
        TEST(a_body_that_stalls_times_out),
        TEST(a_server_that_does_not_read_times_out_too),
        TEST(a_large_request_arrives_whole),
        TEST(a_reply_before_the_request_is_out_is_delivered_and_ends_the_connection),
        TEST(a_paused_call_reads_no_further_and_is_not_timed),
        TEST(a_call_paused_at_its_head_gets_the_rest_of_the_read_only),
        TEST(pausing_and_resuming_anywhere_loses_nothing),
        TEST(a_call_that_ends_paused_leaves_a_usable_connection),
        TEST(batches_are_told_after_each_read_but_the_last),
        TEST(a_call_can_be_cancelled_in_every_step),
        TEST(a_cancelled_call_does_not_disturb_the_next_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
