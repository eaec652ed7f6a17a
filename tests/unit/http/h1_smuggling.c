/* h1_smuggling.c -- what is refused, with the section that says so
 *
 * Each row is a message that two implementations could read differently: one could hide a request in it from the other (RFC 9112 11.2). The verdict column is the
 * status that the server answers with before it closes the connection; replies are refused with 502. 0 = the row is good, and stands here for contrast.
 * Unmarked sections are those of RFC 9112.
 */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "http/h1.h"

#define CHUNKED "Transfer-Encoding: chunked\r\n"
#define POST    "POST / HTTP/1.1\r\nHost: a\r\n"

struct row {
    const char *section;
    unsigned status;
    struct str text;
};
#define ROW(section, status, text)      \
    {                                   \
        section, status, STR_INIT(text) \
    }

static const struct row REQUESTS[] = {
    /* 6.1, 6.3: two ways of framing */
    ROW("6.3 (3)", 400, POST "Content-Length: 5\r\n" CHUNKED "\r\n"),
    ROW("6.3 (3)", 400, POST CHUNKED "Content-Length: 5\r\n\r\n"),
    ROW("6.3 (3)", 400, POST CHUNKED "Content-Length: 0\r\n\r\n"),
    ROW("6.3 (5)", 400, POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\n"),
    ROW("6.3 (5)", 400, POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n"),
    ROW("6.3 (5)", 400, POST "Content-Length: 5, 5\r\n\r\n"),
    ROW("6.3 (5)", 400, POST "Content-Length: 5,6\r\n\r\n"),
    ROW("6.3 (5)", 400, POST "Content-Length: +5\r\n\r\n"),
    ROW("6.3 (5)", 400, POST "Content-Length: -5\r\n\r\n"),
    ROW("6.3 (5)", 400, POST "Content-Length: 5 5\r\n\r\n"),
    ROW("6.3 (5)", 400, POST "Content-Length: 0x5\r\n\r\n"),
    ROW("6.3 (5)", 400, POST "Content-Length: 5.0\r\n\r\n"),
    ROW("6.3 (5)", 400, POST "Content-Length: 5;\r\n\r\n"),
    ROW("6.3 (5)", 400, POST "Content-Length: \"5\"\r\n\r\n"),
    ROW("6.3 (5)", 400, POST "Content-Length:\r\n\r\n"),
    ROW("6.3 (5)", 400, POST "Content-Length: 18446744073709551616\r\n\r\n"),
    ROW("6.3 (5)", 400, POST "Content-Length: 99999999999999999999\r\n\r\n"),
    ROW("6.2", 0, POST "Content-Length: 9999999999999999999\r\n\r\n"),
    ROW("6.2", 0, POST "Content-Length: 0005\r\n\r\n"),
    ROW("6.2", 0, POST "Content-Length: \t 5 \t\r\n\r\n"),
    ROW("6.3 (4)", 400, POST CHUNKED CHUNKED "\r\n"),
    ROW("6.3 (4)", 400, POST "Transfer-Encoding: chunked, chunked\r\n\r\n"),
    ROW("6.3 (4)", 400, POST "Transfer-Encoding: chunked, gzip\r\n\r\n"),
    ROW("6.3 (4)", 400, POST "Transfer-Encoding: gzip, chunked\r\n\r\n"),
    ROW("6.3 (4)", 400, POST "Transfer-Encoding: gzip\r\n" CHUNKED "\r\n"),
    ROW("6.3 (4)", 400, POST "Transfer-Encoding: , chunked\r\n\r\n"),
    ROW("6.3 (4)", 400, POST "Transfer-Encoding:\r\n\r\n"),
    ROW("6.1", 501, POST "Transfer-Encoding: identity\r\n\r\n"),
    ROW("6.1", 501, POST "Transfer-Encoding: xchunked\r\n\r\n"),
    ROW("6.1", 501, POST "Transfer-Encoding: chunked;q=1\r\n\r\n"),
    ROW("6.1", 501, POST "Transfer-Encoding: \"chunked\"\r\n\r\n"),
    ROW("6.1", 400, "POST / HTTP/1.0\r\nHost: a\r\n" CHUNKED "\r\n"),
    ROW("5.5 of 9110", 400,
        POST "Transfer-Encoding: \x0b"
             "chunked\r\n\r\n"),
    ROW("7", 0, POST "tRANSFER-eNCODING: CHUNKED\r\n\r\n"),
    ROW("5.1", 0, POST "Transfer-Encoding-X: gzip\r\n\r\n"),

    /* 5.1, 5.2: lines and names */
    ROW("5.1", 400, POST "Content-Length : 5\r\n\r\n"),
    ROW("5.1", 400, POST "Transfer-Encoding\t: chunked\r\n\r\n"),
    ROW("5.2", 400, POST "X: a\r\n b\r\n\r\n"),
    ROW("5.2", 400, POST "X: a\r\n\tTransfer-Encoding: chunked\r\n\r\n"),
    ROW("2.2", 400, "GET / HTTP/1.1\r\n Host: a\r\nHost: a\r\n\r\n"),
    ROW("5", 400, POST ": x\r\n\r\n"),
    ROW("5", 400, POST "no colon\r\n\r\n"),
    ROW("5", 400, POST "nocolon\r\n\r\n"),
    ROW("5.1 of 9110", 400, POST "X(Y): x\r\n\r\n"),
    ROW("5.1 of 9110", 400, POST "X\x80: x\r\n\r\n"),
    ROW("5.1 of 9110", 400, POST "X\0Y: x\r\n\r\n"),
    ROW("5.1 of 9110", 400, POST "X\x7fY: x\r\n\r\n"),
    ROW("5.1 of 9110", 400, POST "Transfer-Encoding\0: chunked\r\n\r\n"),
    ROW("5.1 of 9110", 400, POST "Content\rLength: 5\r\n\r\n"),
    ROW("2.2", 400, POST "X: a\nTransfer-Encoding: chunked\r\n\r\n"),
    ROW("2.2", 400, POST "X: a\rTransfer-Encoding: chunked\r\n\r\n"),
    ROW("2.2", 400, POST "X: a\r\r\n\r\n"),
    ROW("2.2", 400, POST "X: a\n\n"),
    ROW("2.2", 400, POST "X: a\r\n\n"),
    ROW("2.2", 400, POST "X: a\n\r\n"),
    ROW("2.2", 400, "GET / HTTP/1.1\nHost: a\r\n\r\n"),
    ROW("2.2", 400, "GET / HTTP/1.1\nHost: a\n\n"),
    ROW("5.5 of 9110", 400, POST "X: a\0b\r\n\r\n"),
    ROW("5.5 of 9110", 400,
        POST "X: a\x01"
             "b\r\n\r\n"),
    ROW("5.5 of 9110", 400, POST "X: a\x7f\r\n\r\n"),
    ROW("5.5 of 9110", 0, POST "X: a\tb\x80\xff\r\n\r\n"),

    /* 3.2: Host and target */
    ROW("3.2", 400, "GET / HTTP/1.1\r\n\r\n"),
    ROW("3.2", 400, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
    ROW("3.2", 400, "GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n"),
    ROW("3.2", 400, "GET / HTTP/1.1\r\nHost:\r\n\r\n"),
    ROW("3.2", 400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
    ROW("3.2", 400, "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"),
    ROW("3.2", 400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    ROW("3.2", 400, "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"),
    ROW("3.2", 400, "GET / HTTP/1.1\r\nHost: :80\r\n\r\n"),
    ROW("3.2", 0, "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"),
    ROW("3.2", 0, "GET / HTTP/1.0\r\n\r\n"),
    ROW("3.2", 400, "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"),
    ROW("3.2.2, 7.2 of 9110", 400, "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    ROW("3.2.2, 7.2 of 9110", 400, "GET http://a:81/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    ROW("3.2.2", 400, "GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n"),
    ROW("3.2.2", 400, "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    ROW("4.2.4 of 9110", 400, "GET http://u:p@a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    ROW("3.2.2", 0, "GET http://A/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    ROW("3.2.3, 15.6.2 of 9110", 501, "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"),
    ROW("3.2.4", 400, "GET * HTTP/1.1\r\nHost: a\r\n\r\n"),
    ROW("3.2", 400, "GET x HTTP/1.1\r\nHost: a\r\n\r\n"),
    ROW("3.2", 400, "GET  HTTP/1.1\r\nHost: a\r\n\r\n"),
    ROW("3.2", 400, "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"),
    ROW("3.2", 400, "GET /a\tb HTTP/1.1\r\nHost: a\r\n\r\n"),
    ROW("3.2", 400, "GET /a\0 HTTP/1.1\r\nHost: a\r\n\r\n"),
    ROW("3.2", 400, "GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n"),
    ROW("3.2", 400, "GET /caf\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n"),
    ROW("3.2", 400, "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n"),
    ROW("3.2", 400, "GET /a\rb HTTP/1.1\r\nHost: a\r\n\r\n"),

    /* 3, 2.3: method and version */
    ROW("3", 400, "G(T / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ROW("3", 400, " GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ROW("3", 400, "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    ROW("3", 400, "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ROW("3", 400, "GET /  HTTP/1.1\r\nHost: a\r\n\r\n"),
    ROW("3", 400, "GET / HTTP/1.1 \r\nHost: a\r\n\r\n"),
    ROW("3", 400, "GET / HTTP/1.1x\r\nHost: a\r\n\r\n"),
    ROW("3", 400, "\0GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ROW("3", 400, "\r\nHost: a\r\n\r\n"),
    ROW("3", 400, "GET /\r\nHost: aaaaaaaaaaaaaa\r\n\r\n"),
    ROW("2.3", 400, "GET / http/1.1\r\nHost: a\r\n\r\n"),
    ROW("2.3", 400, "GET / HTTP/1\r\nHost: a\r\n\r\n"),
    ROW("2.3", 400, "GET / HTTP/1.10\r\nHost: a\r\n\r\n"),
    ROW("2.3", 400, "GET / HTTP/11.1\r\nHost: a\r\n\r\n"),
    ROW("2.3", 400, "GET / HTTP/+1.1\r\nHost: a\r\n\r\n"),
    ROW("2.3", 505, "GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
    ROW("2.3", 505, "GET / HTTP/0.9\r\nHost: a\r\n\r\n"),
    ROW("2.3", 505, "PRI * HTTP/2.0\r\n\r\n"),
    ROW("2.3", 0, "GET / HTTP/1.0\r\nHost: a\r\n\r\n"),
};

static const struct row REPLIES[] = {
    ROW("6.3 (3)", 502, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n" CHUNKED "\r\n"),
    ROW("6.3 (5)", 502, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n"),
    ROW("6.3 (5)", 502, "HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\n"),
    ROW("6.3 (5)", 502, "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"),
    ROW("6.3 (4)", 502, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n"),
    ROW("6.3 (4)", 502, "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"),
    ROW("6.1", 502, "HTTP/1.0 200 OK\r\n" CHUNKED "\r\n"),
    ROW("5.2", 502, "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n"),
    ROW("5.1", 502, "HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\n"),
    ROW("2.2", 502, "HTTP/1.1 200 OK\nContent-Length: 5\n\n"),
    ROW("5.5 of 9110", 502, "HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n"),
    ROW("4", 502, "HTTP/1.1 2000 OK\r\n\r\n"),
    ROW("4", 502, "HTTP/1.1 099 OK\r\n\r\n"),
    ROW("4", 502, "HTTP/1.1 20 OK\r\n\r\n"),
    ROW("4", 502, "HTTP/1.1  200 OK\r\n\r\n"),
    ROW("4", 502, "HTTP/1.1 200 O\x01K\r\n\r\n"),
    ROW("4", 502, "HTTP/1.1\r\n\r\n"),
    ROW("2.3", 502, "HTTP/2.0 200 OK\r\n\r\n"),
    ROW("2.3", 502, "ICY 200 OK\r\nX: a\r\n\r\n"),
    ROW("4", 0, "HTTP/1.1 200\r\n\r\n"),
};

/* What comes behind "chunked" heads. GOOD names the body, NULL = refused. */
static const struct {
    const char *section;
    const char *good;
    struct str text;
} BODIES[] = {
#define BODY(section, good, text)     \
    {                                 \
        section, good, STR_INIT(text) \
    }
    BODY("7.1", "hello", "5\r\nhello\r\n0\r\n\r\n"),
    BODY("7.1", "hello world", "5\r\nhello\r\n6\r\n world\r\n000\r\n\r\n"),
    BODY("7.1", "0123456789abcdef", "0010\r\n0123456789abcdef\r\n0\r\n\r\n"),
    BODY("7.1", "0123456789", "a\r\n0123456789\r\n0\r\n\r\n"),
    BODY("7.1", "0123456789", "A\r\n0123456789\r\n0\r\n\r\n"),
    BODY("7.1", "\r\n0\r\n\r\n", "7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n"),
    BODY("7.1.1", "hello", "5;a\r\nhello\r\n0;b=c;d=\"e\\\"\\\\;f\"\r\n\r\n"),
    BODY("7.1.1", "hello", "5 ; a = b\r\nhello\r\n0\r\n\r\n"),
    BODY("7.1.2", "hello", "5\r\nhello\r\n0\r\nX: y\r\nContent-Length: 100\r\nTransfer-Encoding: gzip\r\nHost: b\r\n\r\n"),
    BODY("7.1", NULL, "10000000000000000\r\nhello"),
    BODY("7.1", NULL, "ffffffffffffffff5\r\nhello"),
    BODY("7.1", NULL, "0x5\r\nhello\r\n0\r\n\r\n"),
    BODY("7.1", NULL, "-5\r\nhello\r\n0\r\n\r\n"),
    BODY("7.1", NULL, "+5\r\nhello\r\n0\r\n\r\n"),
    BODY("7.1", NULL, " 5\r\nhello\r\n0\r\n\r\n"),
    BODY("7.1", NULL, "\t5\r\nhello\r\n0\r\n\r\n"),
    BODY("7.1", NULL, "5 \r\nhello\r\n0\r\n\r\n"),
    BODY("7.1", NULL, "5 5\r\nhello\r\n0\r\n\r\n"),
    BODY("7.1", NULL, "5g\r\nhello\r\n0\r\n\r\n"),
    BODY("7.1", NULL, "\r\nhello\r\n0\r\n\r\n"),
    BODY("7.1", NULL, ";a\r\nhello\r\n0\r\n\r\n"),
    BODY("7.1", NULL, "5\nhello\r\n0\r\n\r\n"),
    BODY("7.1", NULL, "5\rhello\r\n0\r\n\r\n"),
    BODY("7.1", NULL, "5\r\nhello0\r\n\r\n"),
    BODY("7.1", NULL, "5\r\nhello\n0\r\n\r\n"),
    BODY("7.1", NULL, "5\r\nhello\r0\r\n\r\n"),
    BODY("7.1", NULL, "5\r\nhelloworld\r\n0\r\n\r\n"),
    BODY("7.1", NULL, "5\r\nhello\r\n0\r\n\n"),
    BODY("7.1", NULL, "5\r\nhello\r\n0\n\n"),
    BODY("7.1", NULL, "5\r\nhello\r\n0\r\n\rX"),
    BODY("7.1.1", NULL, "5;a\nhello\r\n0\r\n\r\n"),
    BODY("7.1.1", NULL, "5;a\0\r\nhello\r\n0\r\n\r\n"),
    BODY("7.1.1", NULL, "5;a=\"b\nc\"\r\nhello\r\n0\r\n\r\n"),
    BODY("7.1.1", NULL, "5;a=\"b\r\nhello\r\n0\r\n\r\n"),
    BODY("7.1.1", NULL, "5;a=\"b\\\r\nhello\r\n0\r\n\r\n"),
    BODY("7.1.1", NULL, "5;a=(b)\r\nhello\r\n0\r\n\r\n"),
    BODY("7.1.1", NULL, "5;a\x80\r\nhello\r\n0\r\n\r\n"),
    BODY("7.1.2", NULL, "0\r\nX\0: y\r\n\r\n"),
    BODY("7.1.2", NULL, "0\r\nX: y\0\r\n\r\n"),
    BODY("7.1.2", NULL, "0\r\nX : y\r\n\r\n"),
    BODY("7.1.2", NULL, "0\r\nX: y\r\n z\r\n\r\n"),
    BODY("7.1.2", NULL, "0\r\nX: y\n\r\n"),
    BODY("7.1.2", NULL, "0\r\nX: y\rz\r\n\r\n"),
    BODY("7.1.2", NULL, "0\r\n: y\r\n\r\n"),
    BODY("7.1.2", NULL, "0\r\nno colon\r\n\r\n"),
#undef BODY
};

static struct http_field fields[H1_FIELDS_MAX];

static void check_rows(const struct row *rows, size_t n, bool replies)
{
    for (size_t i = 0; i < n; i++) {
        struct http_head h;
        struct h1_error e = { 0 };
        char *copy = malloc(rows[i].text.n);
        size_t scanned = 0, end;
        int r;

        memcpy(copy, rows[i].text.p, rows[i].text.n);
        end = h1_head_end(copy, rows[i].text.n, &scanned);
        if (end == 0)
            fail_msg("row %zu (%s): no end found", i, rows[i].section);
        r = replies ? h1_parse_reply(copy, end, HTTP_GET, fields, &h, &e) : h1_parse_request(copy, end, fields, &h, &e);
        if (r != (rows[i].status ? ERR_PROTOCOL : 0) || e.status != rows[i].status)
            fail_msg("row %zu (%s): got %u (%s), want %u", i, rows[i].section, e.status, e.message ? e.message : "good",
                     rows[i].status);
        free(copy);
    }
}

static void ambiguous_requests_are_refused(void **state)
{
    check_rows(REQUESTS, ARRAY_LEN(REQUESTS), false);
}

static void ambiguous_replies_are_refused(void **state)
{
    check_rows(REPLIES, ARRAY_LEN(REPLIES), true);
}

static void a_bad_request_is_refused_with_a_sentence_and_never_with_half_a_result(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(REQUESTS); i++) {
        struct http_head h = { .status = 4711 };
        struct h1_error e = { 0 };

        if (REQUESTS[i].status == 0)
            continue;
        assert_int_equal(h1_parse_request(REQUESTS[i].text.p, REQUESTS[i].text.n, fields, &h, &e), ERR_PROTOCOL);
        assert_non_null(e.message);
        assert_int_equal(h.status, 4711);
    }
}

/* Feeds P..P+N in pieces that end at CUT; appends the body to OUT. */
static int feed(struct h1_body *b, const char *p, size_t n, struct buf *out)
{
    char *copy = malloc(n ? n : 1);
    size_t at = 0;
    int r = 0;

    memcpy(copy, p, n);
    while (at < n && !b->done && r == 0) {
        struct h1_error e;
        struct str part;
        size_t used;

        r = h1_body_feed(b, copy + at, n - at, &used, &part, &e);
        if (r < 0)
            break;
        assert_true(used > 0 && used <= n - at);
        buf_put(out, part);
        at += used;
    }
    free(copy);
    return r;
}

static void chunked_bodies_mean_the_same_at_every_cut_or_are_refused(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(BODIES); i++)
        for (size_t cut = 0; cut <= BODIES[i].text.n; cut++) {
            struct http_head h = { .body = HTTP_BODY_CHUNKED };
            struct h1_body b;
            struct buf out = { 0 };
            int r;

            h1_body_init(&b, &h);
            r = feed(&b, BODIES[i].text.p, cut, &out);
            if (r == 0)
                r = feed(&b, BODIES[i].text.p + cut, BODIES[i].text.n - cut, &out);
            if (BODIES[i].good) {
                if (r < 0 || !b.done)
                    fail_msg("body %zu (%s) cut at %zu is good", i, BODIES[i].section, cut);
                assert_str(buf_str(&out), BODIES[i].good);
            } else if (r == 0)
                fail_msg("body %zu (%s) cut at %zu must be refused", i, BODIES[i].section, cut);
            buf_fini(&out);
        }
}

static int feed_repeated(const char *begin, const char *again, size_t times)
{
    struct http_head h = { .body = HTTP_BODY_CHUNKED };
    struct h1_body b;
    struct buf out = { 0 };
    int r;

    h1_body_init(&b, &h);
    r = feed(&b, begin, strlen(begin), &out);
    while (r == 0 && times--)
        r = feed(&b, again, strlen(again), &out);
    buf_fini(&out);
    return r;
}

static void endless_framing_is_refused_at_its_bound(void **state)
{
    assert_int_equal(feed_repeated("5;", "a", H1_CHUNK_LINE_MAX - 3), 0);
    assert_int_equal(feed_repeated("5;", "a", H1_CHUNK_LINE_MAX), ERR_PROTOCOL);
    assert_int_equal(feed_repeated("", "0", H1_CHUNK_LINE_MAX + 1), ERR_PROTOCOL);
    assert_int_equal(feed_repeated("5;x=\"", "\\a", H1_CHUNK_LINE_MAX), ERR_PROTOCOL);
    assert_int_equal(feed_repeated("0\r\n", "X: yyyyyyyyyyyy\r\n", H1_HEAD_MAX / 17), 0);
    assert_int_equal(feed_repeated("0\r\n", "X: yyyyyyyyyyyy\r\n", H1_HEAD_MAX / 17 + 1), ERR_PROTOCOL);
    assert_int_equal(feed_repeated("0\r\nX: ", "y", H1_HEAD_MAX), ERR_PROTOCOL);
}

static void too_many_fields_are_431(void **state)
{
    struct buf text = { 0 };
    struct http_head h;
    struct h1_error e = { 0 };

    buf_puts(&text, "GET / HTTP/1.1\r\nHost: a\r\n");
    for (int i = 1; i < H1_FIELDS_MAX; i++)
        buf_puts(&text, "X: y\r\n");
    buf_puts(&text, "\r\n");
    assert_int_equal(h1_parse_request(text.p, text.n, fields, &h, &e), 0);
    assert_int_equal(h.fields.n, H1_FIELDS_MAX);
    text.n -= 2;
    buf_puts(&text, "X: y\r\n\r\n");
    assert_int_equal(h1_parse_request(text.p, text.n, fields, &h, &e), ERR_PROTOCOL);
    assert_int_equal(e.status, 431);
    buf_fini(&text);
}

static void an_endless_head_is_414_within_its_first_line_and_431_behind_it(void **state)
{
    static char text[H1_HEAD_MAX];
    struct h1_error e = { 0 };

    memset(text, 'a', sizeof text);
    h1_head_overflow(text, sizeof text, &e);
    assert_int_equal(e.status, 414);
    memcpy(text, "GET / HTTP/1.1\r\n", 16);
    h1_head_overflow(text, sizeof text, &e);
    assert_int_equal(e.status, 431);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ambiguous_requests_are_refused),
        cmocka_unit_test(ambiguous_replies_are_refused),
        cmocka_unit_test(a_bad_request_is_refused_with_a_sentence_and_never_with_half_a_result),
        cmocka_unit_test(chunked_bodies_mean_the_same_at_every_cut_or_are_refused),
        cmocka_unit_test(endless_framing_is_refused_at_its_bound),
        cmocka_unit_test(too_many_fields_are_431),
        cmocka_unit_test(an_endless_head_is_414_within_its_first_line_and_431_behind_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
