/* upstream/http_head.c -- the request head for OpenAI-compatible HTTP engines
 *
 * Written into one arena piece whose size is counted first: the hot path makes no second pass over a growing buffer and no malloc.
 */
#include "upstream/upstream.h"

#include <assert.h>
#include <stdio.h>

bool upstream_forwards(const struct http_field *f)
{
    switch (f->id) {
    case HF_X_CORRELATION_ID:
    case HF_TRACEPARENT:
    case HF_TRACESTATE:
    case HF_X_SMG_ROUTING_KEY:
        return true;
    case HF_UNKNOWN:
        return str_has_prefix_nocase(f->name, STR("x-request-id-"));
    default:
        return false;
    }
}

/* A cursor over the piece that holds the head; the room was counted by head_bytes(). */
struct out {
    char *at;
};

static void put(struct out *o, struct str s)
{
    if (s.n) {
        memcpy(o->at, s.p, s.n);
        o->at += s.n;
    }
}

static void put_field(struct out *o, struct str name, struct str value)
{
    put(o, name);
    put(o, STR(": "));
    put(o, value);
    put(o, STR("\r\n"));
}

#define FIXED_BYTES 320 /* request line's and our own fields' names, separators and numbers; the asserts below hold us to it */

static size_t head_bytes(const struct upstream_target *to, const struct upstream_request *r)
{
    size_t n = FIXED_BYTES + to->authority.n + to->base_path.n + to->api_key.n + r->path.n + r->request_id.n + r->content_type.n;

    for (unsigned i = 0; i < r->client->n; i++)
        n += r->client->v[i].name.n + r->client->v[i].value.n + 4;
    return n;
}

static void put_authorization(struct out *o, const struct upstream_target *to, const struct upstream_request *r)
{
    if (to->api_key.n) {
        put(o, STR("authorization: Bearer "));
        put(o, to->api_key);
        put(o, STR("\r\n"));
        return;
    }
    if (!r->forward_authorization)
        return;
    for (unsigned i = 0; i < r->client->n; i++)
        if (r->client->v[i].id == HF_AUTHORIZATION)
            put_field(o, STR("authorization"), r->client->v[i].value);
}

static bool is_named(const struct http_field *f, struct str name)
{
    return f->id == HF_UNKNOWN && str_eq_nocase(f->name, name);
}

/* Anthropic's own way to say who asks, and which of its versions. */
static void put_anthropic(struct out *o, const struct upstream_target *to, const struct upstream_request *r)
{
    bool versioned = false;

    if (to->api_key.n)
        put_field(o, STR("x-api-key"), to->api_key);
    else
        put_authorization(o, to, r);
    for (unsigned i = 0; i < r->client->n; i++) {
        const struct http_field *f = &r->client->v[i];
        bool version = is_named(f, STR("anthropic-version"));

        if ((version && !versioned) || is_named(f, STR("anthropic-beta")) ||
            (f->id == HF_X_API_KEY && r->forward_authorization && !to->api_key.n))
            put_field(o, f->name, f->value);
        versioned |= version;
    }
    if (!versioned)
        put_field(o, STR("anthropic-version"), STR("2023-06-01"));
}

struct str upstream_http_head(struct arena *arena, const struct upstream_target *to, const struct upstream_request *r)
{
    size_t room = head_bytes(to, r);
    char *start = arena_alloc(arena, room), number[24];
    struct out o = { start };

    if (!start)
        return STR_NONE;
    put(&o, http_method_text(r->method));
    put(&o, STR(" "));
    put(&o, to->base_path);
    put(&o, r->path);
    put(&o, STR(" HTTP/1.1\r\n"));
    put_field(&o, STR("host"), to->authority);
    put(&o, STR("accept: */*\r\n"));
    if (r->method != HTTP_GET) {
        int n = snprintf(number, sizeof number, "%llu", (unsigned long long)r->body_bytes);

        put_field(&o, STR("content-type"), r->content_type.n ? r->content_type : STR("application/json"));
        put_field(&o, STR("content-length"), (struct str){ number, (size_t)n });
    }
    if (to->anthropic && str_has_prefix(r->path, STR("/v1/messages")))
        put_anthropic(&o, to, r);
    else
        put_authorization(&o, to, r);
    if (r->request_id.n)
        put_field(&o, STR("x-request-id"), r->request_id);
    for (unsigned i = 0; i < r->client->n; i++)
        if (upstream_forwards(&r->client->v[i]))
            put_field(&o, r->client->v[i].name, r->client->v[i].value);
    put(&o, STR("\r\n"));
    assert((size_t)(o.at - start) <= room);
    arena_trim(arena, start, (size_t)(o.at - start));
    return str_range(start, o.at);
}
