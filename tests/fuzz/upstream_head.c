/* tests/fuzz/upstream_head.c -- whatever a client sends, the worker gets one well-formed head with the allow-list's fields and ours, nothing else
 *
 * The first byte chooses the method, whether the worker has a key of its own, and whether the client's credential may go along.
 */
#include <stdlib.h>

#include "http/h1.h"
#include "upstream/upstream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool holds)
{
    if (!holds)
        abort();
}

static unsigned count(const struct http_fields *f, enum http_field_id id)
{
    unsigned n = 0;

    for (unsigned i = 0; i < f->n; i++)
        n += f->v[i].id == id;
    return n;
}

static unsigned forwarded(const struct http_fields *f)
{
    unsigned n = 0;

    for (unsigned i = 0; i < f->n; i++)
        n += upstream_forwards(&f->v[i]);
    return n;
}

static void check(const struct http_head *sent, const struct upstream_target *to, const struct upstream_request *r)
{
    bool post = r->method == HTTP_POST, key = to->api_key.n > 0;
    unsigned credentials = key ? 1 : r->forward_authorization ? count(r->client, HF_AUTHORIZATION) : 0;

    expect(sent->method == r->method && str_eq(sent->path, STR("/base/v1/x")) && str_eq(sent->host, to->authority));
    expect(sent->body == (post ? HTTP_BODY_LENGTH : HTTP_BODY_NONE) && (!post || sent->length == r->body_bytes));
    expect(count(&sent->fields, HF_AUTHORIZATION) == credentials);
    expect(!key || str_eq(http_value(&sent->fields, HF_AUTHORIZATION), STR("Bearer worker-key")));
    expect(count(&sent->fields, HF_COOKIE) == 0 && count(&sent->fields, HF_CONNECTION) == 0 &&
           count(&sent->fields, HF_TRANSFER_ENCODING) == 0);
    /* host, accept, x-request-id; content-type and content-length */
    expect(sent->fields.n == 3 + 2 * post + credentials + forwarded(r->client));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_field fields[H1_FIELDS_MAX], again[H1_FIELDS_MAX];
    struct http_head client, sent;
    struct h1_error error;
    struct arena arena;
    size_t scanned = 0, end;

    if (size < 2 || size > 32768)
        return 0;
    end = h1_head_end((const char *)data + 1, size - 1, &scanned);
    if (end == 0 || h1_parse_request((const char *)data + 1, end, fields, &client, &error) < 0 ||
        client.fields.n > H1_FIELDS_MAX - 8)
        return 0;
    arena_init(&arena, NULL, 0);
    {
        struct upstream_target to = { .authority = STR("w:1"),
                                      .base_path = STR("/base"),
                                      .api_key = data[0] & 2 ? STR("worker-key") : STR_NONE };
        struct upstream_request r = {
            .method = data[0] & 1 ? HTTP_POST : HTTP_GET,
            .path = STR("/v1/x"),
            .client = &client.fields,
            .request_id = STR("id"),
            .forward_authorization = data[0] & 4,
            .body_bytes = data[0] * 1000u,
        };
        struct str head = upstream_http_head(&arena, &to, &r);

        expect(head.p && h1_parse_request(head.p, head.n, again, &sent, &error) == 0);
        check(&sent, &to, &r);
    }
    arena_fini(&arena);
    return 0;
}
