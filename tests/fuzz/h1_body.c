/* tests/fuzz/h1_body.c -- a body is the same however its bytes are cut, and what was read, written again in chunks, reads the same
 *
 * The first byte of the input chooses the framing and, for a length, how long; the second the cut.
 */
#include <stdlib.h>

#include "http/h1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool holds)
{
    if (!holds)
        abort();
}

struct result {
    struct buf body;
    size_t used;
    bool done, refused;
};

static void feed(struct h1_body *b, const char *p, size_t n, struct result *r)
{
    while (n > 0 && !b->done && !r->refused) {
        struct h1_error error = { 0 };
        struct str part;
        size_t used;

        if (h1_body_feed(b, p, n, &used, &part, &error) < 0) {
            expect(error.message != NULL);
            r->refused = true;
            break;
        }
        expect(used > 0 && used <= n && part.n <= used);
        buf_put(&r->body, part);
        r->used += used;
        p += used;
        n -= used;
    }
    r->done = b->done;
}

static struct result read_body(const struct http_head *head, const char *p, size_t n, size_t cut)
{
    struct result r = { 0 };
    struct h1_body b;

    h1_body_init(&b, head);
    feed(&b, p, cut, &r);
    feed(&b, p + cut, n - cut, &r);
    expect((h1_body_eof(&b) == 0) == (r.done || head->body == HTTP_BODY_UNTIL_CLOSE));
    return r;
}

static void write_again(const struct buf *body)
{
    struct http_head head = { .body = HTTP_BODY_CHUNKED };
    struct buf wire = { 0 };
    struct result again;
    size_t step = body->n / 3 + 1;

    for (size_t at = 0; at < body->n; at += step) {
        char prefix[H1_CHUNK_PREFIX_MAX];
        struct str part = str_first(str_skip(buf_str(body), at), step);

        buf_put(&wire, (struct str){ prefix, h1_chunk_prefix(prefix, part.n) });
        buf_put(&wire, part);
        buf_puts(&wire, "\r\n");
    }
    buf_puts(&wire, "0\r\n\r\n");
    again = read_body(&head, wire.p, wire.n, wire.n / 2);
    expect(again.done && again.used == wire.n && str_eq(buf_str(&again.body), buf_str(body)));
    buf_fini(&again.body);
    buf_fini(&wire);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum http_body_kind KINDS[] = { HTTP_BODY_CHUNKED, HTTP_BODY_CHUNKED, HTTP_BODY_LENGTH, HTTP_BODY_UNTIL_CLOSE };
    struct http_head head;
    struct result whole, cut;
    const char *p = (const char *)data + 2;

    if (size < 3)
        return 0;
    head = (struct http_head){ .body = KINDS[data[0] % 4], .length = data[0] / 4 };
    size -= 2;
    whole = read_body(&head, p, size, size);
    cut = read_body(&head, p, size, data[1] % size);
    expect(whole.refused == cut.refused);
    if (!whole.refused) {
        expect(whole.done == cut.done && whole.used == cut.used && str_eq(buf_str(&whole.body), buf_str(&cut.body)));
        write_again(&whole.body);
    }
    buf_fini(&whole.body);
    buf_fini(&cut.body);
    return 0;
}
