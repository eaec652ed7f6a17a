/* request_id.c -- spec operations 10.5, with its BETTER: empty and overlong values are passed over */
#include "http/request_id.h"

#define ID_MAX     256
#define RANDOM_N   24
#define PREFIX_MAX 16

static const struct {
    struct str suffix, prefix;
} PREFIXES[] = {
    { STR_INIT("/chat/completions"), STR_INIT("chatcmpl-") },
    { STR_INIT("/completions"), STR_INIT("cmpl-") },
    { STR_INIT("/generate"), STR_INIT("gnt-") },
    { STR_INIT("/responses"), STR_INIT("resp-") },
    { STR_INIT("/messages"), STR_INIT("msg_") },
};

static const enum http_field_id DEFAULT_HEADERS[] = { HF_X_REQUEST_ID, HF_X_CORRELATION_ID, HF_X_TRACE_ID, HF_REQUEST_ID };

static bool usable(const struct http_field *f)
{
    if (!f || f->value.n == 0 || f->value.n > ID_MAX)
        return false;
    for (size_t i = 0; i < f->value.n; i++)
        if (f->value.p[i] < '!' || f->value.p[i] > '~')
            return false;
    return true;
}

static struct str received(const struct exchange *ex, const struct request_id_conf *conf)
{
    const struct http_field *f;

    for (size_t i = 0; i < conf->n; i++)
        if (usable(f = http_find_name(&ex->req.fields, conf->headers[i])))
            return f->value;
    for (size_t i = 0; conf->n == 0 && i < ARRAY_LEN(DEFAULT_HEADERS); i++)
        if (usable(f = http_find(&ex->req.fields, DEFAULT_HEADERS[i])))
            return f->value;
    return STR_NONE;
}

static struct str prefix_of(struct str path)
{
    for (size_t i = 0; i < ARRAY_LEN(PREFIXES); i++)
        if (str_has_suffix(path, PREFIXES[i].suffix))
            return PREFIXES[i].prefix;
    return STR("req-");
}

static struct str made(struct exchange *ex)
{
    struct str prefix = prefix_of(ex->req.path);
    char *id = arena_alloc(&ex->arena, PREFIX_MAX + RANDOM_N);

    if (!id)
        return STR_NONE;
    memcpy(id, prefix.p, prefix.n);
    random_alnum(&ex->loop->random, id + prefix.n, RANDOM_N);
    return (struct str){ id, prefix.n + RANDOM_N };
}

enum filter_verdict request_id_on_head(struct exchange *ex, void *context)
{
    ex->request_id = received(ex, context);
    if (ex->request_id.n == 0)
        ex->request_id = made(ex);
    return FILTER_GO_ON;
}

/* Ours replaces a worker's. A malformed request comes here without on_head and gets its id now. */
void request_id_on_reply(struct exchange *ex, void *context)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < ex->reply.n; i++)
        if (ex->reply.v[i].id != HF_X_REQUEST_ID)
            ex->reply.v[kept++] = ex->reply.v[i];
    ex->reply.n = kept;
    if (ex->request_id.n == 0)
        ex->request_id = made(ex);
    if (ex->request_id.n > 0)
        exchange_add(ex, HF_X_REQUEST_ID, ex->request_id);
}
