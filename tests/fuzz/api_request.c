/* tests/fuzz/api_request.c -- whatever a client sends is refused with a text that can be sent back, or splicing changes the name and nothing else
 *
 * The first byte chooses the kind of request, the second the bound of the routing text, the rest is the body. For any body: the answer is the
 * same twice; a refusal has a message and a path that survive being written as JSON; an accepted body, with its model replaced, is accepted too
 * and has the same values but for that one; a shorter routing text is the beginning of a longer one; the body as a worker's rerank reply gives
 * JSON or nothing.
 */
#include "api/keys.h"
#include "api/request.h"
#include "json/json_write.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_ASSERT(x) ((x) ? (void)0 : abort())
#define CANONICAL      STR("org/the \"real\" one")

/* Text that a client is shown: valid UTF-8, so that escaping it loses nothing. */
static void check_text(struct str text, struct arena *arena)
{
    struct buf out = { 0 };
    struct json_writer w;
    struct json_doc doc;

    json_begin(&w, &out);
    json_value_str(&w, text);
    FUZZ_ASSERT(json_parse(buf_str(&out), arena, &doc, NULL) == 0);
    FUZZ_ASSERT(str_eq(json_str(json_root(&doc), arena), text));
    buf_fini(&out);
}

static void check_refusal(const struct api_error *error, const struct api_error *again, struct arena *arena)
{
    FUZZ_ASSERT(error->status == 400 && error->message.n > 0 && error->message.n < 8192);
    FUZZ_ASSERT(error->code.n == 0 || str_eq(error->code, STR("json_parse_error")));
    FUZZ_ASSERT(str_eq(error->message, again->message) && str_eq(error->param, again->param));
    check_text(error->message, arena);
    check_text(error->param, arena);
}

/* The same values at the same places, but for scalar number EXCEPT. */
static void check_same(const struct json_doc *a, const struct json_doc *b, uint32_t except)
{
    FUZZ_ASSERT(a->n == b->n);
    for (uint32_t i = 0; i < a->n; i++) {
        FUZZ_ASSERT(a->nodes[i].type == b->nodes[i].type && a->nodes[i].next == b->nodes[i].next);
        if (i != except && a->nodes[i].type < JSON_ARRAY)
            FUZZ_ASSERT(str_eq(json_raw((struct json){ a, i }), json_raw((struct json){ b, i })));
    }
}

static void check_splice(const struct api_request *r, struct str body, struct arena *arena)
{
    struct api_request spliced;
    struct api_error error;
    struct buf out = { 0 };

    api_splice_model(r, body, CANONICAL, &out);
    FUZZ_ASSERT(api_request_read(r->kind, buf_str(&out), arena, &spliced, &error) == 0);
    if (json_exists(r->model_node)) {
        FUZZ_ASSERT(str_eq(spliced.model, CANONICAL));
        check_same(&r->doc, &spliced.doc, r->model_node.i);
    } else {
        FUZZ_ASSERT(str_eq(buf_str(&out), body));
    }
    FUZZ_ASSERT(spliced.stream == r->stream && spliced.top_k == r->top_k && spliced.return_documents == r->return_documents);
    buf_fini(&out);
}

static void check_routing_text(const struct api_request *r, size_t max, struct arena *arena)
{
    struct buf some = { 0 }, all = { 0 };

    api_routing_text(r, arena, &some, max);
    api_routing_text(r, arena, &all, SIZE_MAX);
    FUZZ_ASSERT(some.n <= max && str_has_prefix(buf_str(&all), buf_str(&some)));
    FUZZ_ASSERT(all.n <= max ? some.n == all.n
                             : some.n + 4 > max || max < 4); /* it ends at the bound, a character or a space before it */
    check_text(buf_str(&some), arena);
    buf_fini(&some);
    buf_fini(&all);
}

static void check_rerank(const struct api_request *r, struct str body, struct arena *arena)
{
    struct buf out = { 0 };
    struct json_doc doc;

    if (api_rerank_reply(r, STR("m"), 1, body, arena, &out) == 0)
        FUZZ_ASSERT(json_parse(buf_str(&out), arena, &doc, NULL) == 0);
    else
        FUZZ_ASSERT(out.n == 0);
    buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct api_request ANY = { .kind = API_RERANK, .top_k = 2, .return_documents = true };
    struct api_request first, second;
    struct api_error error, again;
    struct arena arena;
    int r;

    if (size < 2)
        return 0;
    enum api_kind kind = (enum api_kind)(data[0] % (API_RESPONSES + 1));
    struct str body = { (const char *)data + 2, size - 2 };

    arena_init(&arena, NULL, 0);
    r = api_request_read(kind, body, &arena, &first, &error);
    FUZZ_ASSERT(api_request_read(kind, body, &arena, &second, &again) == r);
    if (r == 0) {
        FUZZ_ASSERT(error.message.n == 0 && str_eq(first.model, second.model));
        check_splice(&first, body, &arena);
        check_routing_text(&first, data[1], &arena);
    } else {
        FUZZ_ASSERT(r == ERR_INVALID);
        check_refusal(&error, &again, &arena);
    }
    check_rerank(&ANY, body, &arena);
    arena_fini(&arena);
    return 0;
}
