/* sink_parsed.c -- a chat reply on its way through the parsers: whole in this turn or on the pool, streamed, cut, left (tests/integration/test_parse.py has the one that is given up for its length) */
#include "scene.h"

#include "inference/parsed.h"

static struct pool *pool;

static void parse_replies(void *arg)
{
    stage.inference.parsing =
        (struct reply_parsing){ .on = true, .calls = toolcall_find(STR("qwen")), .reasoning = reasoning_find(STR("qwen3")) };
    stage.inference.pool = pool;
    list_init(&stage.inference.parse_jobs);
}

#define OPEN_PARSING()                                 \
    do {                                               \
        OPEN(UP);                                      \
        assert_int_equal(pool_new(1, &pool, NULL), 0); \
        stage_do(parse_replies, NULL);                 \
    } while (0)

static void nothing(void *arg)
{
}

/* What the pool gave back has found its loop by then. */
static int close_parsing(void **state)
{
    pool_free(pool);
    pool = NULL;
    stage_do(nothing, NULL);
    return close_scene(state);
}

#define TYPED(content) "{\"choices\":[{\"message\":{\"content\":\"" content "\"}}]}"
#define JSON           "content-type: application/json\r\n"

static int chat(void)
{
    return post("/v1/chat/completions", CHAT_BODY);
}

static void a_whole_reply_is_split_and_has_its_length(void **state)
{
    int client, e;

    OPEN_PARSING();
    client = chat();
    e = engine_hear(0);
    reply_with_length(e, "200 OK", JSON "x-engine: one\r\n", TYPED("<think>r</think>a"));
    hear_all(client);
    assert_status(200);
    assert_heard("x-engine: one\r\n");
    assert_heard("\r\n\r\n{\"choices\":[{\"message\":{\"content\":\"a\",\"reasoning_content\":\"r\"}}]}");
    assert_heard("content-length: 65\r\n");
    close(e);
}

static void what_is_not_ours_to_parse_is_relayed(void **state)
{
    static const struct {
        const char *status, *fields;
    } REPLIES[] = { { "422 Unprocessable Entity", JSON },
                    { "200 OK", "content-type: text/plain\r\n" },
                    { "200 OK", JSON "content-encoding: gzip\r\n" },
                    { "200 OK", "" } };

    for (size_t i = 0; i < ARRAY_LEN(REPLIES); i++) {
        int client, e;

        OPEN_PARSING();
        client = chat();
        e = engine_hear(0);
        reply_with_length(e, REPLIES[i].status, REPLIES[i].fields, TYPED("<think>r</think>a"));
        hear_all(client);
        assert_heard(TYPED("<think>r</think>a"));
        close(e);
        if (i + 1 < ARRAY_LEN(REPLIES))
            close_parsing(state);
    }
}

static void a_worker_that_dies_before_its_reply_is_whole_is_an_error(void **state)
{
    int client, e;

    OPEN_PARSING();
    client = chat();
    e = engine_hear(0);
    say(e, "HTTP/1.1 200 OK\r\n" JSON "content-length: 100\r\n\r\n{\"choices\"");
    nap_ms(20);
    slam(e);
    hear_all(client);
    assert_status(502);
    assert_heard("\"error\"");
    assert_not_heard("choices");
}

static void a_client_that_leaves_meanwhile_cancels(void **state)
{
    int client, e;

    OPEN_PARSING();
    client = chat();
    e = engine_hear(0);
    say(e, "HTTP/1.1 200 OK\r\n" JSON "content-length: 100\r\n\r\n{\"choices\"");
    nap_ms(20);
    slam(client);
    assert_int_equal(recv(e, heard, 1, 0), 0);
    close(e);
}

static char *long_reply(size_t n, const char *end)
{
    char *body = malloc(n + 200);
    int at = sprintf(body, "{\"choices\":[{\"message\":{\"content\":\"<think>");

    memset(body + at, 'x', n);
    strcpy(body + at + n, end);
    return body;
}

static void a_long_reply_is_parsed_on_the_pool(void **state)
{
    char *body = long_reply(3 * PARSE_INLINE_MAX, "</think>a\"}}]}");
    int client, e;

    OPEN_PARSING();
    client = chat();
    e = engine_hear(0);
    reply_with_length(e, "200 OK", JSON, body);
    hear_all(client);
    assert_status(200);
    assert_heard("{\"message\":{\"content\":\"a\",\"reasoning_content\":\"xxx");
    close(e);
    free(body);
}

struct blocker {
    struct pool_job job;
    sem_t go, done;
};

static void block(struct pool_job *job)
{
    struct blocker *b = CONTAINER_OF(job, struct blocker, job);

    while (sem_wait(&b->go) < 0)
        ;
}

static void unblocked(struct pool_job *job)
{
    sem_post(&CONTAINER_OF(job, struct blocker, job)->done);
}

static void submit(void *arg)
{
    struct blocker *b = arg;

    assert_int_equal(pool_submit(pool, stage.loop, &b->job), 0);
}

static void a_client_that_leaves_while_its_reply_is_parsed_is_missed_by_nobody(void **state)
{
    struct blocker b = { .job = { .work = block, .done = unblocked } };
    char *body = long_reply(3 * PARSE_INLINE_MAX, "</think>a\"}}]}");
    int client, e;

    OPEN_PARSING();
    sem_init(&b.go, 0, 0);
    sem_init(&b.done, 0, 0);
    stage_do(submit, &b);
    client = chat();
    e = engine_hear(0);
    reply_with_length(e, "200 OK", JSON, body);
    wait_for_load(0, 0); /* it is on its way to the pool */
    slam(client);
    nap_ms(20);
    sem_post(&b.go);
    while (sem_wait(&b.done) < 0)
        ;
    close(e);
    free(body);
}

#define STREAM        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n\r\n"
#define SAYS(content) "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" content "\"}}]}\n\n"

static void a_stream_is_split_as_it_comes(void **state)
{
    int client, e;

    OPEN_PARSING();
    client = chat();
    e = engine_hear(0);
    say(e, STREAM);
    hear_until(client, "\r\n\r\n");
    assert_heard("content-type: text/event-stream; charset=utf-8\r\n");
    say(e, SAYS("<think>r"));
    hear_until(client, "\"reasoning_content\":\"r\"}}]}\n\n");
    say(e, SAYS("</thi"));
    say(e, SAYS("nk>a<"));
    hear_until(client, "\"content\":\"a\"}}]}\n\n");
    close(e); /* without [DONE]: what was held comes all the same */
    hear_all(client);
    assert_heard("\"content\":\"<\"},\"finish_reason\":null}]}\n\n");
}

static void a_stream_that_breaks_off_is_cut_for_the_client_too(void **state)
{
    int client, e;

    OPEN_PARSING();
    client = chat();
    e = engine_hear(0);
    say(e, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n5\r\n: x\n\n\r\n");
    hear_until(client, ": x\n\n");
    slam(e);
    hear_all(client);
    assert_not_heard("0\r\n\r\n");
}

static void too_long_an_event_ends_the_stream_with_an_error(void **state)
{
    char *body = long_reply(PARSE_EVENT_MAX, "");
    int client, e;

    OPEN_PARSING();
    client = chat();
    e = engine_hear(0);
    say(e, STREAM "data: ");
    say(e, body);
    hear_all(client);
    assert_heard("data: {\"error\":{\"message\":\"Event too long: more than 1048576 bytes\",\"type\":\"Bad "
                 "Gateway\",\"param\":null,\"code\":\"reply_parse_failed\"}}\n\n");
    assert_true(str_has_suffix((struct str){ heard, heard_n }, STR("0\r\n\r\n")));
    close(e);
    free(body);
}

static void replies_are_counted(void **state)
{
    int client, e;

    OPEN_PARSING();
    client = chat();
    e = engine_hear(0);
    reply_with_length(e, "200 OK", JSON, TYPED("<think>r</think>a"));
    hear_all(client);
    expect_on_page("smg_parsed_replies_total{streaming=\"false\",result=\"changed\"} 1", true);
    expect_on_page("smg_parsed_thoughts_total{parser=\"qwen3\"} 1", true);
    close(e);
}

#undef RULE
#define RULE(f) cmocka_unit_test_teardown(f, close_parsing)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(a_whole_reply_is_split_and_has_its_length),
        RULE(what_is_not_ours_to_parse_is_relayed),
        RULE(a_worker_that_dies_before_its_reply_is_whole_is_an_error),
        RULE(a_client_that_leaves_meanwhile_cancels),
        RULE(a_long_reply_is_parsed_on_the_pool),
        RULE(a_client_that_leaves_while_its_reply_is_parsed_is_missed_by_nobody),
        RULE(a_stream_is_split_as_it_comes),
        RULE(a_stream_that_breaks_off_is_cut_for_the_client_too),
        RULE(too_long_an_event_ends_the_stream_with_an_error),
        RULE(replies_are_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
