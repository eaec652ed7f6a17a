/* reply.c -- what replies say is counted the same under every cut */
#include "test.h"

#include "load/reply.h"

#define CHUNK(delta) "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":" delta "}]}\n\n"

struct row {
    const char *what;
    bool stream;
    const char *text;
    uint32_t content_events;
    uint64_t usage;
    bool done, error, bad;
};

static const struct row ROWS[] = {
    { "a chat stream", true,
      CHUNK("{\"role\":\"assistant\",\"content\":\"\"}") CHUNK("{\"content\":\"Hel\"}") CHUNK("{\"content\":\"lo\"}")
          CHUNK("{}") "data: [DONE]\n\n",
      2, 0, true, false, false },
    { "blanks as Python writes them", true,
      "data: {\"choices\": [{\"delta\": {\"content\": \"x\"}}]}\n\ndata: {\"content\": \"\"}\n\ndata: [DONE]\n\n", 1, 0, true,
      false, false },
    { "CRLF, comments and an event name", true, ": ping\r\n\r\nevent: x\r\ndata: {\"text\":\"a\"}\r\n\r\ndata: [DONE]\r\n\r\n", 1,
      0, true, false, false },
    { "content null is none", true, "data: {\"delta\":{\"content\":null}}\n\n", 0, 0, false, false, false },
    { "reasoning is content", true, "data: {\"delta\":{\"content\":null,\"reasoning_content\":\"hm\"}}\n\n", 1, 0, false, false,
      false },
    { "arguments are content", true, "data: {\"delta\":{\"tool_calls\":[{\"function\":{\"arguments\":\"{\\\"a\"}}]}}\n\n", 1, 0,
      false, false, false },
    { "a key inside a string is none", true, "data: {\"x\":\"\\\"content\\\":\\\"y\\\"\"}\n\n", 0, 0, false, false, false },
    { "usage of the last chunk", true,
      CHUNK("{\"content\":\"a\"}") "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":17}}\n\ndata: "
                                   "[DONE]\n\n",
      1, 17, true, false, false },
    { "no end mark", true, CHUNK("{\"content\":\"a\"}"), 1, 0, false, false, false },
    { "an end mark without its empty line", true, CHUNK("{\"content\":\"a\"}") "data: [DONE]\n", 1, 0, false, false, false },
    { "an error event", true, "data: {\"error\":{\"message\":\"no\"}}\n\n", 0, 0, false, true, false },
    { "a named error event", true, "event: error\ndata: {\"type\":\"error\"}\n\n", 0, 0, false, true, false },
    { "no JSON", true, "data: hello\n\n", 0, 0, false, false, true },
    { "something behind the end", true, "data: [DONE]\n\n" CHUNK("{\"content\":\"a\"}"), 0, 0, true, false, true },
    { "a whole reply", false,
      "{\"choices\":[{\"message\":{\"content\":\"hello\"}}],\"usage\":{\"completion_tokens\":12,\"total_tokens\":99}}", 0, 12,
      false, false, false },
    { "a number of twelve digits at the very end", false, "{\"completion_tokens\": 123456789012", 0, 123456789012, false, false,
      false },
    { "details are not the number", false, "{\"completion_tokens_details\":{\"x\":5},\"completion_tokens\":7}", 0, 7, false, false,
      false },
    { "not an event stream", false, "data: {\"content\":\"x\"}\n\n", 0, 0, false, false, false },
};

static void check(const struct row *row, const struct load_reply *r, unsigned counted)
{
    if (r->content_events != row->content_events || counted != row->content_events || r->usage_tokens != row->usage ||
        r->done != row->done || r->error != row->error || r->bad != row->bad)
        fail_msg("%s: %u events (%u counted), usage %llu, done %d, error %d, bad %d", row->what, r->content_events, counted,
                 (unsigned long long)r->usage_tokens, r->done, r->error, r->bad);
}

static void every_cut_in_two_counts_the_same(void **state)
{
    struct load_reply r;

    load_reply_init(&r);
    for (unsigned i = 0; i < ARRAY_LEN(ROWS); i++) {
        struct str text = str_of(ROWS[i].text);

        for (size_t at = 0; at <= text.n; at++) {
            unsigned n;

            load_reply_begin(&r, ROWS[i].stream);
            n = load_reply_feed(&r, str_first(text, at));
            n += load_reply_feed(&r, str_skip(text, at));
            check(&ROWS[i], &r, n);
        }
    }
    load_reply_fini(&r);
}

static void pieces_of_any_size_count_the_same(void **state)
{
    struct load_reply r;

    load_reply_init(&r);
    for (unsigned i = 0; i < ARRAY_LEN(ROWS); i++) {
        for (size_t piece = 1; piece < 100; piece++) {
            struct str rest = str_of(ROWS[i].text);
            unsigned n = 0;

            load_reply_begin(&r, ROWS[i].stream);
            for (; rest.n; rest = str_skip(rest, str_first(rest, piece).n))
                n += load_reply_feed(&r, str_first(rest, piece));
            check(&ROWS[i], &r, n);
        }
    }
    load_reply_fini(&r);
}

static void a_reply_forgets_the_one_before(void **state)
{
    struct load_reply r;

    load_reply_init(&r);
    load_reply_begin(&r, true);
    (void)load_reply_feed(&r, STR("data: nonsense\n\ndata: [DONE]\n\ndata: {\"half"));
    load_reply_begin(&r, true);
    assert_int_equal(load_reply_feed(&r, STR(CHUNK("{\"content\":\"a\"}"))), 1);
    assert_false(r.bad || r.done || r.error);
    load_reply_begin(&r, false);
    (void)load_reply_feed(&r, STR("{\"completion_tokens\":4"));
    load_reply_begin(&r, false);
    (void)load_reply_feed(&r, STR("2}"));
    assert_int_equal(r.usage_tokens, 0);
    load_reply_fini(&r);
}

static void an_event_without_end_is_bad_at_the_bound(void **state)
{
    static char x[64 * 1024];
    struct load_reply r;

    memset(x, 'x', sizeof x);
    load_reply_init(&r);
    load_reply_begin(&r, true);
    (void)load_reply_feed(&r, STR("data: {"));
    for (unsigned i = 0; i < 2 * REPLY_EVENT_MAX / sizeof x; i++)
        (void)load_reply_feed(&r, (struct str){ x, sizeof x });
    assert_true(r.bad);
    load_reply_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cut_in_two_counts_the_same),
        cmocka_unit_test(pieces_of_any_size_count_the_same),
        cmocka_unit_test(a_reply_forgets_the_one_before),
        cmocka_unit_test(an_event_without_end_is_bad_at_the_bound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
