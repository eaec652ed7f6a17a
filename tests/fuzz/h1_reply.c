/* tests/fuzz/h1_reply.c -- a reply's head, written again, parses to the same; its framing obeys RFC 9112 6.3
 *
 * The first byte of the input chooses the method of the request.
 */
#include <stdlib.h>

#include "http/h1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool holds)
{
    if (!holds)
        abort();
}

static void check_framing(const struct http_head *h, enum http_method method)
{
    bool bodiless = method == HTTP_HEAD || h->status < 200 || h->status == 204 || h->status == 304;

    expect(h->status >= 100 && h->status <= 999);
    expect(bodiless == (h->body == HTTP_BODY_NONE));
    expect(h->body != HTTP_BODY_UNTIL_CLOSE || !h->keep_alive);
    expect(h->body != HTTP_BODY_CHUNKED || (h->minor == 1 && !http_find(&h->fields, HF_CONTENT_LENGTH)));
    expect(h->body != HTTP_BODY_LENGTH || !http_find(&h->fields, HF_TRANSFER_ENCODING));
}

static void check_rewritten(const struct http_head *h, enum http_method method)
{
    struct http_field fields[H1_FIELDS_MAX];
    struct http_head again;
    struct h1_error error;
    struct buf out = { 0 };

    h1_put_status_line(&out, h->status);
    for (unsigned i = 0; i < h->fields.n; i++)
        expect(h1_put_field(&out, h->fields.v[i].name, h->fields.v[i].value));
    h1_put_end(&out);
    if (h->minor == 1 && out.n <= H1_HEAD_MAX) {
        expect(h1_parse_reply(out.p, out.n, method, fields, &again, &error) == 0);
        expect(again.status == h->status && again.body == h->body && again.length == h->length &&
               again.keep_alive == h->keep_alive);
        expect(again.fields.n == h->fields.n);
        for (unsigned i = 0; i < h->fields.n; i++)
            expect(str_eq(again.fields.v[i].value, h->fields.v[i].value) && again.fields.v[i].id == h->fields.v[i].id);
    }
    buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_field fields[H1_FIELDS_MAX];
    struct http_head head;
    struct h1_error error = { 0 };
    enum http_method method;
    size_t scanned = 0, end;
    char *exact;

    if (size < 2)
        return 0;
    method = data[0] % (HTTP_OTHER + 1);
    end = h1_head_end((const char *)data + 1, size - 1, &scanned);
    if (end == 0)
        return 0;
    exact = malloc(end);
    if (!exact)
        return 0;
    memcpy(exact, data + 1, end);
    if (h1_parse_reply(exact, end, method, fields, &head, &error) == 0) {
        check_framing(&head, method);
        check_rewritten(&head, method);
    } else {
        expect(error.message && error.status == 502);
    }
    free(exact);
    return 0;
}
