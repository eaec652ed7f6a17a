/* tests/fuzz/h1_request.c -- a head is framed the same however it arrives, and what was parsed, written again, parses to the same
 *
 * The first byte of the input chooses the cut.
 */
#include <stdlib.h>

#include "http/h1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool holds)
{
    if (!holds)
        abort();
}

static bool same(struct str a, struct str b)
{
    return str_eq(a, b);
}

/* The end that is found at once is found after any cut, and in an exact copy: nothing behind it matters. */
static size_t find_end(const char *p, size_t n, size_t cut)
{
    size_t scanned = 0, end = h1_head_end(p, n, &scanned), again = 0, at_cut;

    at_cut = h1_head_end(p, cut, &again);
    if (at_cut)
        expect(at_cut == end);
    else
        expect(h1_head_end(p, n, &again) == end);
    return end;
}

static bool inside(struct str s, const char *p, size_t n)
{
    return s.n == 0 || (s.p >= p && s.p + s.n <= p + n);
}

static void check_views(const struct http_head *h, const char *p, size_t n)
{
    expect(inside(h->target, p, n) && inside(h->query, p, n) && inside(h->host, p, n));
    expect(h->path.n > 0 && http_is_token(h->method_text));
    expect(h->body == HTTP_BODY_NONE || h->body == HTTP_BODY_LENGTH || h->body == HTTP_BODY_CHUNKED);
    for (unsigned i = 0; i < h->fields.n; i++) {
        const struct http_field *f = &h->fields.v[i];

        expect(inside(f->name, p, n) && inside(f->value, p, n));
        expect(http_is_token(f->name) && http_is_field_value(f->value) && f->id == http_field_id(f->name));
        expect(f->id == HF_UNKNOWN || str_eq_nocase(f->name, http_field_name(f->id)));
    }
}

static void check_rewritten(const struct http_head *h)
{
    struct http_field fields[H1_FIELDS_MAX];
    struct http_head again;
    struct h1_error error;
    struct buf out = { 0 };
    size_t scanned = 0;

    h1_put_request_line(&out, h->method_text, h->target);
    for (unsigned i = 0; i < h->fields.n; i++)
        expect(h1_put_field(&out, h->fields.v[i].name, h->fields.v[i].value));
    h1_put_end(&out);
    expect(h1_head_end(out.p, out.n, &scanned) == out.n);
    if (h->minor == 1 && out.n <= H1_HEAD_MAX) {
        expect(h1_parse_request(out.p, out.n, fields, &again, &error) == 0);
        expect(again.method == h->method && same(again.target, h->target) && same(again.path, h->path) &&
               same(again.query, h->query));
        expect(same(again.host, h->host) && again.body == h->body && again.length == h->length &&
               again.keep_alive == h->keep_alive);
        expect(again.fields.n == h->fields.n);
        for (unsigned i = 0; i < h->fields.n; i++)
            expect(same(again.fields.v[i].name, h->fields.v[i].name) && same(again.fields.v[i].value, h->fields.v[i].value));
    }
    buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_field fields[H1_FIELDS_MAX];
    struct http_head head;
    struct h1_error error = { 0 };
    const char *p = (const char *)data + 1;
    size_t skip, end;
    char *exact;

    if (size < 2)
        return 0;
    skip = h1_skip_empty_lines(p, size - 1);
    p += skip;
    size -= skip + 1;
    end = find_end(p, size, size ? data[0] % size : 0);
    if (end == 0)
        return 0;
    exact = malloc(end);
    if (!exact)
        return 0;
    memcpy(exact, p, end);
    if (h1_parse_request(exact, end, fields, &head, &error) == 0) {
        check_views(&head, exact, end);
        check_rewritten(&head);
    } else {
        expect(error.message &&
               (error.status == 400 || error.status == 414 || error.status == 431 || error.status == 501 || error.status == 505));
    }
    free(exact);
    return 0;
}
