/* echo_headers.wasm -- a response's body becomes JSON of its status and headers, a request's JSON of everything received */
#include "smg_plugin.h"

struct text {
    char *p;
    uint32_t n;
};

static void put(struct text *t, struct smg_str s)
{
    smg_copy(t->p + t->n, s.p, s.n);
    t->n += s.n;
}

/* S as a JSON string; at most six times as long. */
static void put_json(struct text *t, struct smg_str s)
{
    put(t, SMG_STR("\""));
    for (uint32_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '"' || c == '\\') {
            t->p[t->n++] = '\\';
            t->p[t->n++] = (char)c;
        } else if (c < 0x20) {
            put(t, SMG_STR("\\u00"));
            t->p[t->n++] = "0123456789abcdef"[c >> 4];
            t->p[t->n++] = "0123456789abcdef"[c & 15];
        } else {
            t->p[t->n++] = (char)c;
        }
    }
    put(t, SMG_STR("\""));
}

static struct text text(struct smg_headers h, uint32_t more)
{
    uint32_t n = 256 + 6 * more;
    for (uint32_t i = 0; i < h.n; i++)
        n += 6 * (h.v[i].name.n + h.v[i].value.n) + 16;
    return (struct text){ smg_alloc(n), 0 };
}

static void put_headers(struct text *t, struct smg_headers h)
{
    put(t, SMG_STR("\"headers\":["));
    for (uint32_t i = 0; i < h.n; i++) {
        put(t, i ? SMG_STR(",[") : SMG_STR("["));
        put_json(t, h.v[i].name);
        put(t, SMG_STR(","));
        put_json(t, h.v[i].value);
        put(t, SMG_STR("]"));
    }
    put(t, SMG_STR("]}"));
}

static struct smg_action body(struct text t)
{
    struct smg_action a = smg_modify();
    smg_set_body(&a, (struct smg_str){ t.p, t.n });
    return a;
}

static struct smg_action on_request(const struct smg_request *r)
{
    struct text t = text(r->headers, r->method.n + r->path.n + r->query.n + r->body.n + r->request_id.n);
    put(&t, SMG_STR("{\"method\":"));
    put_json(&t, r->method);
    put(&t, SMG_STR(",\"path\":"));
    put_json(&t, r->path);
    put(&t, SMG_STR(",\"query\":"));
    put_json(&t, r->query);
    put(&t, SMG_STR(",\"request_id\":"));
    put_json(&t, r->request_id);
    put(&t, SMG_STR(",\"now_ms\":"));
    put(&t, smg_from_u64(r->now_ms));
    put(&t, SMG_STR(",\"body\":"));
    put_json(&t, r->body);
    put(&t, SMG_STR(","));
    put_headers(&t, r->headers);
    return body(t);
}

static struct smg_action on_response(const struct smg_response *r)
{
    struct text t = text(r->headers, 0);
    put(&t, SMG_STR("{\"status\":"));
    put(&t, smg_from_u64(r->status));
    put(&t, SMG_STR(",\"body_bytes\":"));
    put(&t, smg_from_u64(r->body.n));
    put(&t, SMG_STR(","));
    put_headers(&t, r->headers);
    return body(t);
}

SMG_ON_REQUEST(on_request)
SMG_ON_RESPONSE(on_response)
