/* bench/http_parse.c -- taking apart heads and chunked bodies: ours, Node's former http_parser and picohttpparser (as in h2o), in one process
 *
 * Each parser leaves the same behind: method, target, status, views of all names and values, and the fields that decide about host, body and connection
 * (picohttpparser leaves these to its user, so six comparisons per field are added to it). Ours also finds the end of the head first, recognises all names of
 * HTTP_FIELD_LIST and judges the framing. Rounds of the parsers alternate; the table shows the median of RUNS rounds and the distance of the slowest from it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "http/h1.h"
#include "http_rivals.h"

#define RUNS   7
#define REPEAT 100000

static const char REQUEST[] =
    "POST /v1/chat/completions HTTP/1.1\r\n"
    "Host: gateway.internal:30000\r\n"
    "Accept-Encoding: gzip, deflate\r\n"
    "Connection: keep-alive\r\n"
    "Accept: application/json\r\n"
    "Content-Type: application/json\r\n"
    "User-Agent: OpenAI/Python 1.99.9\r\n"
    "X-Stainless-Package-Version: 1.99.9\r\n"
    "Authorization: Bearer sk-proj-0123456789abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ\r\n"
    "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n"
    "Content-Length: 612\r\n\r\n";

static const char REPLY[] = "HTTP/1.1 200 OK\r\n"
                            "date: Sun, 06 Nov 2025 08:49:37 GMT\r\n"
                            "server: uvicorn\r\n"
                            "content-length: 412\r\n"
                            "content-type: application/json\r\n"
                            "x-request-id: chatcmpl-0123456789abcdef01234567\r\n\r\n";

static const char SMALL[] = "GET /health HTTP/1.1\r\nHost: localhost:30000\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n";

/* Twenty small events, as an engine streams them. */
static char chunked[CHUNKED_MAX];
static size_t chunked_n;

size_t sink;

/* ---- ours ---- */

static void our_request(const char *p, size_t n)
{
    struct http_field fields[H1_FIELDS_MAX];
    struct http_head head;
    struct h1_error error;
    size_t scanned = 0, end = h1_head_end(p, n, &scanned);

    if (end != n || h1_parse_request(p, end, fields, &head, &error) < 0)
        abort();
    sink += head.fields.n + head.target.n;
}

static void our_reply(const char *p, size_t n)
{
    struct http_field fields[H1_FIELDS_MAX];
    struct http_head head;
    struct h1_error error;
    size_t scanned = 0, end = h1_head_end(p, n, &scanned);

    if (end != n || h1_parse_reply(p, end, HTTP_POST, fields, &head, &error) < 0)
        abort();
    sink += head.fields.n + head.status;
}

static void our_chunked(const char *p, size_t n)
{
    struct http_head head = { .body = HTTP_BODY_CHUNKED };
    struct h1_body body;

    h1_body_init(&body, &head);
    while (!body.done) {
        struct str part;
        size_t used;

        if (h1_body_feed(&body, p, n, &used, &part, NULL) < 0)
            abort();
        p += used;
        n -= used;
        sink += part.n;
    }
}

/* ---- the table ---- */

typedef void parse_fn(const char *p, size_t n);

static const struct row {
    const char *name;
    const char *text;
    size_t n;
    parse_fn *parse[3]; /* ours, http_parser, picohttpparser */
} ROWS[] = {
    { "request, 10 fields", REQUEST, sizeof REQUEST - 1, { our_request, node_request, pico_request } },
    { "request, 3 fields", SMALL, sizeof SMALL - 1, { our_request, node_request, pico_request } },
    { "reply, 5 fields", REPLY, sizeof REPLY - 1, { our_reply, node_reply, pico_reply } },
    { "chunked, 20 events", chunked, 0, { our_chunked, node_chunked, pico_chunked } },
};

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double round_ns(parse_fn *parse, const char *p, size_t n)
{
    uint64_t began = clock_now_ns();

    for (int i = 0; i < REPEAT; i++)
        parse(p, n);
    return (double)(clock_now_ns() - began) / REPEAT;
}

static void print_row(const struct row *row)
{
    size_t n = row->n ? row->n : chunked_n;
    double ns[3][RUNS];

    for (int run = 0; run < RUNS; run++)
        for (int who = 0; who < 3; who++)
            ns[who][run] = round_ns(row->parse[who], row->text, n);
    for (int who = 0; who < 3; who++)
        qsort(ns[who], RUNS, sizeof ns[who][0], compare);
    printf("%-20s %6zu %8.0f %7.0f %7.0f%% %12.0f %15.0f %10.2fx\n", row->name, n, (double)n * 1000 / ns[0][RUNS / 2],
           ns[0][RUNS / 2], (ns[0][RUNS - 1] / ns[0][RUNS / 2] - 1) * 100, ns[1][RUNS / 2], ns[2][RUNS / 2],
           (ns[1][RUNS / 2] < ns[2][RUNS / 2] ? ns[1][RUNS / 2] : ns[2][RUNS / 2]) / ns[0][RUNS / 2]);
}

static void make_chunked(void)
{
    static const char EVENT[] =
        "data: {\"id\":\"chatcmpl-01\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" "
        "word\"}}]}\n\n";

    for (int i = 0; i < 20; i++)
        chunked_n += (size_t)sprintf(chunked + chunked_n, "%zx\r\n%s\r\n", sizeof EVENT - 1, EVENT);
    chunked_n += (size_t)sprintf(chunked + chunked_n, "0\r\n\r\n");
}

int main(void)
{
    make_chunked();
    printf("http_parser %s, picohttpparser of libh2o; compiler %s; median of %d rounds of %d\n\n", node_version(), __VERSION__,
           RUNS, REPEAT);
    printf("%-20s %6s %8s %7s %8s %12s %15s %11s\n", "input", "bytes", "MB/s", "ns/op", "spread", "http_parser", "picohttpparser",
           "vs the best");
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++)
        print_row(&ROWS[i]);
    return sink == 0;
}
