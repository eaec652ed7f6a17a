/* sse.c -- server-sent events: the rules of WHATWG HTML 9.2.6, at every cut of the input */
#include "test.h"

#include <stdlib.h>

#include "http/sse.h"

/* Writes what came as "[name|data]" so that a row reads as text. */
static void on_event(void *arg, struct str event, struct str data)
{
    struct buf *out = arg;

    buf_puts(out, "[");
    buf_put(out, event);
    buf_puts(out, "|");
    buf_put(out, data);
    buf_puts(out, "]");
}

/* From a heap copy that is overwritten afterwards: what the reader keeps must be its own. */
static int feed(struct sse_reader *r, const char *p, size_t n, struct buf *out)
{
    char *copy = malloc(n ? n : 1);
    int status;

    memcpy(copy, p, n);
    status = sse_feed(r, (struct str){ copy, n }, on_event, out);
    memset(copy, '#', n);
    free(copy);
    return status;
}

static const struct {
    const char *in, *out;
} ROWS[] = {
    { "", "" },
    { "data: hello\n\n", "[|hello]" },
    { "data:hello\n\n", "[|hello]" },
    { "data:  hello \n\n", "[| hello ]" },
    { "data: a\ndata: b\n\n", "[|a\nb]" },
    { "data: a\n\ndata: b\n\n", "[|a][|b]" },
    { "data: a\r\n\r\ndata: b\r\n\r\n", "[|a][|b]" },
    { "data: a\r\rdata: b\r\r", "[|a][|b]" },
    { "data: a\r\n\n\rdata: b\n\r", "[|a][|b]" },
    { "event: delta\ndata: {}\n\n", "[delta|{}]" },
    { "data: {}\nevent: delta\n\n", "[delta|{}]" },
    { "event: a\nevent: b\ndata\n\n", "[b|]" },
    { "event: lost\n\ndata: x\n\n", "[|x]" },
    { "data\n\n", "[|]" },
    { "data:\n\n", "[|]" },
    { "data\ndata\n\n", "[|\n]" },
    { "data:\ndata: x\n\n", "[|\nx]" },
    { "data: x\ndata:\n\n", "[|x\n]" },
    { ": comment\n\n", "" },
    { ": comment\ndata: x\n: more\n\n", "[|x]" },
    { "id: 7\nretry: 10\nunknown: y\ndata: x\n\n", "[|x]" },
    { "Data: x\n\n", "" },
    { " data: x\n\n", "" },
    { "data : x\n\n", "" },
    { "\xEF\xBB\xBF"
      "data: x\n\n",
      "[|x]" },
    { "\xEF\xBB\xBF\n\ndata: x\n\n", "[|x]" },
    { "data: a\n\n\xEF\xBB\xBF"
      "data: x\n\n",
      "[|a]" },
    { "data: unfinished\n", "" },
    { "data: unfinished", "" },
    { "\n\n\ndata: x\n\n\n\n", "[|x]" },
    { "data: a:b: c\n\n", "[|a:b: c]" },
    { "data: [DONE]\n\n", "[|[DONE]]" },
    { "event: content_block_delta\r\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"a fairly long part of a "
      "text\"}}\r\n\r\n",
      "[content_block_delta|{\"type\":\"content_block_delta\",\"delta\":{\"text\":\"a fairly long part of a text\"}}]" },
};

static void events_are_the_same_at_every_cut(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        size_t n = strlen(ROWS[i].in);

        for (size_t cut = 0; cut <= n; cut++) {
            struct sse_reader r;
            struct buf out = { 0 };

            sse_init(&r, 1000);
            assert_int_equal(feed(&r, ROWS[i].in, cut, &out), 0);
            assert_int_equal(feed(&r, ROWS[i].in + cut, n - cut, &out), 0);
            assert_str(buf_str(&out), ROWS[i].out);
            sse_fini(&r);
            buf_fini(&out);
        }
    }
}

static void events_are_the_same_byte_by_byte(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        struct sse_reader r;
        struct buf out = { 0 };

        sse_init(&r, 1000);
        for (size_t at = 0; at < strlen(ROWS[i].in); at++)
            assert_int_equal(feed(&r, ROWS[i].in + at, 1, &out), 0);
        assert_str(buf_str(&out), ROWS[i].out);
        sse_fini(&r);
        buf_fini(&out);
    }
}

static void an_event_over_the_bound_is_refused_at_every_cut(void **state)
{
    static const char *const BAD[] = { "data: 0123456789\n\n", "data: 01\ndata: 2345\n\n", ": a long comment\n\n",
                                       "event: 01234\ndata: 56\n\n" };

    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        size_t n = strlen(BAD[i]);

        for (size_t cut = 0; cut <= n; cut++) {
            struct sse_reader r;
            struct buf out = { 0 };
            int status;

            sse_init(&r, 11);
            status = feed(&r, BAD[i], cut, &out);
            if (status == 0)
                status = feed(&r, BAD[i] + cut, n - cut, &out);
            assert_int_equal(status, ERR_LIMIT);
            assert_int_equal(out.n, 0);
            sse_fini(&r);
            buf_fini(&out);
        }
    }
}

static void the_bound_is_per_event(void **state)
{
    struct sse_reader r;
    struct buf out = { 0 };

    sse_init(&r, 12);
    for (int i = 0; i < 100; i++)
        assert_int_equal(feed(&r, "data: 123456\n\n", 14, &out), 0);
    assert_int_equal(out.n, 900);
    sse_fini(&r);
    buf_fini(&out);
}

static void writing_is_reading_backwards(void **state)
{
    static const struct {
        struct str event, data;
        const char *wire, *read;
    } OUT[] = {
        { STR_INIT(""), STR_INIT("x"), "data: x\n\n", "[|x]" },
        { STR_INIT("delta"), STR_INIT("{}"), "event: delta\ndata: {}\n\n", "[delta|{}]" },
        { STR_INIT(""), STR_INIT(""), "data: \n\n", "[|]" },
        { STR_INIT(""), STR_INIT("a\nb\r\nc\rd"), "data: a\ndata: b\ndata: c\ndata: d\n\n", "[|a\nb\nc\nd]" },
        { STR_INIT(""), STR_INIT("a\n"), "data: a\ndata: \n\n", "[|a\n]" },
    };

    for (size_t i = 0; i < ARRAY_LEN(OUT); i++) {
        struct sse_reader r;
        struct buf wire = { 0 }, out = { 0 };

        sse_put(&wire, OUT[i].event, OUT[i].data);
        assert_str(buf_str(&wire), OUT[i].wire);
        sse_init(&r, 100);
        assert_int_equal(feed(&r, wire.p, wire.n, &out), 0);
        assert_str(buf_str(&out), OUT[i].read);
        sse_fini(&r);
        buf_fini(&wire);
        buf_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_are_the_same_at_every_cut),
        cmocka_unit_test(events_are_the_same_byte_by_byte),
        cmocka_unit_test(an_event_over_the_bound_is_refused_at_every_cut),
        cmocka_unit_test(the_bound_is_per_event),
        cmocka_unit_test(writing_is_reading_backwards),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
