/* load/request.c -- heads, bodies, prompts */
#include "load/request.h"

#include <stdio.h>

#include "base/random.h"
#include "http/h1.h"
#include "json/json_write.h"

#define USER_AGENT "smg-bench"

struct endpoint {
    enum http_method method;
    const char *path;
};

static const struct endpoint ENDPOINTS[] = {
    [LOAD_CHAT] = { HTTP_POST, "/v1/chat/completions" },
    [LOAD_COMPLETIONS] = { HTTP_POST, "/v1/completions" },
    [LOAD_GENERATE] = { HTTP_POST, "/generate" },
    [LOAD_GET] = { HTTP_GET, "/" },
};

/* ---- texts ---- */

/* N bytes of words of three letters and a blank: about one token each. */
static void put_words(struct buf *out, size_t n, uint64_t seed)
{
    struct random random;
    char *p = buf_reserve(out, n);

    if (!p)
        return;
    random_init(&random, seed);
    for (size_t i = 0; i < n; i++)
        p[i] = i % 4 == 3 ? ' ' : (char)('a' + random_below(&random, 26));
    out->n += n;
}

void load_put_prefix(struct buf *out, uint64_t seed, uint32_t prefix, size_t bytes)
{
    put_words(out, bytes, seed ^ ((uint64_t)prefix + 1) << 32);
}

/* ---- the body, in two halves around the place where the shared part ends ---- */

static void put_common_members(struct buf *out, const struct load_conf *conf)
{
    if (conf->endpoint != LOAD_GENERATE) {
        buf_puts(out, "\"model\":\"");
        json_escape(out, conf->model);
        buf_puts(out, "\",");
        if (conf->max_tokens)
            buf_printf(out, "\"max_tokens\":%u,", conf->max_tokens);
        if (conf->ignore_eos)
            buf_puts(out, "\"ignore_eos\":true,");
    } else {
        buf_puts(out, "\"sampling_params\":{");
        if (conf->max_tokens)
            buf_printf(out, "\"max_new_tokens\":%u,", conf->max_tokens);
        buf_printf(out, "\"ignore_eos\":%s},", conf->ignore_eos ? "true" : "false");
    }
    if (conf->stream)
        buf_puts(out, "\"stream\":true,");
}

static void put_beginning(struct buf *out, const struct load_conf *conf, size_t shared, uint32_t prefix)
{
    buf_put_char(out, '{');
    put_common_members(out, conf);
    switch (conf->endpoint) {
    case LOAD_CHAT:
        buf_puts(out, "\"messages\":[");
        if (shared) {
            buf_puts(out, "{\"role\":\"system\",\"content\":\"");
            load_put_prefix(out, conf->seed, prefix, shared);
            buf_puts(out, "\"},");
        }
        buf_puts(out, "{\"role\":\"user\",\"content\":\"");
        break;
    case LOAD_COMPLETIONS:
        buf_puts(out, "\"prompt\":\"");
        load_put_prefix(out, conf->seed, prefix, shared);
        break;
    case LOAD_GENERATE:
        buf_puts(out, "\"text\":\"");
        load_put_prefix(out, conf->seed, prefix, shared);
        break;
    case LOAD_GET:
        break;
    }
}

static void put_tail(struct buf *out, const struct load_conf *conf, size_t unshared)
{
    buf_puts(out, "0000000000000000 ");
    put_words(out, unshared, conf->seed);
    buf_put(out, conf->endpoint == LOAD_CHAT ? STR("\"}]}") : STR("\"}"));
}

/* ---- the head ---- */

/* Does the user send this field himself? Then ours stays away. */
static bool is_given(const struct load_conf *conf, struct str name)
{
    for (size_t i = 0; i < conf->headers_n; i++)
        if (str_eq_nocase(conf->headers[i].name, name))
            return true;
    return false;
}

/* False: the value cannot stand in a header. */
static bool put_default(struct buf *out, const struct load_conf *conf, struct str name, struct str value)
{
    return is_given(conf, name) || h1_put_field(out, name, value);
}

/* The header by which a request says which prefix it has. */
static int put_prefix_header(struct buf *out, const struct load_conf *conf, uint32_t prefix, struct err *err)
{
    char value[24];
    int n = snprintf(value, sizeof value, "prefix-%u", prefix);

    if (!http_is_token(conf->prefix_header) || !h1_put_field(out, conf->prefix_header, (struct str){ value, (size_t)n }))
        return err_set(err, ERR_INVALID, "\"%.*s\" cannot be the name of a header", STR_FMT(conf->prefix_header));
    return 0;
}

static int put_head(struct buf *out, const struct load_conf *conf, uint32_t prefix, size_t body_bytes, struct err *err)
{
    const struct endpoint *e = &ENDPOINTS[conf->endpoint];

    h1_put_request_line(out, http_method_text(e->method), conf->path.n ? conf->path : str_of(e->path));
    if (!put_default(out, conf, STR("host"), conf->authority))
        return err_set(err, ERR_INVALID, "the URL's host cannot stand in a header");
    (void)put_default(out, conf, STR("user-agent"), STR(USER_AGENT)); /* refuses no value of ours */
    if (e->method == HTTP_POST) {
        (void)put_default(out, conf, STR("content-type"), STR("application/json")); /* as above */
        h1_put_length(out, body_bytes);
    }
    if (conf->api_key.n && !is_given(conf, STR("authorization"))) {
        _cleanup_(buf_fini) struct buf value = { 0 };

        buf_puts(&value, "Bearer ");
        buf_put(&value, conf->api_key);
        if (value.failed)
            return err_set(err, ERR_NOMEM, "requests: %s", err_text(ERR_NOMEM));
        if (!h1_put_field(out, STR("authorization"), buf_str(&value)))
            return err_set(err, ERR_INVALID, "the API key has characters that cannot stand in a header");
    }
    for (size_t i = 0; i < conf->headers_n; i++)
        if (!http_is_token(conf->headers[i].name) || !h1_put_field(out, conf->headers[i].name, conf->headers[i].value))
            return err_set(err, ERR_INVALID, "header \"%.*s\": name or value has characters that cannot stand in a header",
                           STR_FMT(conf->headers[i].name));
    if (conf->prefix_header.n) {
        int r = put_prefix_header(out, conf, prefix, err);

        if (r < 0)
            return r;
    }
    h1_put_end(out);
    return 0;
}

/* ---- all of it ---- */

/* Prefix number I, whole, into the arena: BODY is what of it lies before the tail. */
static int add_prefix(struct load_request *r, const struct load_conf *conf, uint32_t i, struct str body, struct err *err)
{
    _cleanup_(buf_fini) struct buf out = { 0 };
    int status = put_head(&out, conf, i, body.n + r->tail.n, err);

    if (status < 0)
        return status;
    buf_put(&out, body);
    r->prefixes[i] = out.failed ? STR_NONE : arena_str(&r->arena, buf_str(&out));
    return r->prefixes[i].p ? 0 : err_set(err, ERR_NOMEM, "requests: %s", err_text(ERR_NOMEM));
}

static int build_generated(struct load_request *r, const struct load_conf *conf, struct err *err)
{
    size_t shared = (size_t)((double)conf->prompt_bytes * conf->shared_prefix);
    size_t unshared = conf->prompt_bytes - shared;
    _cleanup_(buf_fini) struct buf tail = { 0 };

    put_tail(&tail, conf, unshared > LOAD_ID_DIGITS + 1 ? unshared - LOAD_ID_DIGITS - 1 : 0);
    r->tail = tail.failed ? STR_NONE : arena_str(&r->arena, buf_str(&tail));
    if (!r->tail.p)
        return err_set(err, ERR_NOMEM, "requests: %s", err_text(ERR_NOMEM));
    for (uint32_t i = 0; i < r->prefixes_n; i++) {
        _cleanup_(buf_fini) struct buf body = { 0 };
        int status;

        put_beginning(&body, conf, shared, i);
        if (body.failed)
            return err_set(err, ERR_NOMEM, "requests: %s", err_text(ERR_NOMEM));
        status = add_prefix(r, conf, i, buf_str(&body), err);
        if (status < 0)
            return status;
    }
    return 0;
}

int load_request_init(struct load_request *r, const struct load_conf *conf, struct err *err)
{
    bool generated = !conf->body.p && conf->endpoint != LOAD_GET;
    double shared = (double)conf->prompt_bytes * conf->shared_prefix;
    uint32_t prefixes = generated && conf->prefixes ? conf->prefixes : 1;
    double bytes = shared * prefixes + ((double)conf->prompt_bytes - shared) * conf->concurrency;
    int status;

    if (generated && bytes > (double)LOAD_MEMORY_MAX)
        return err_set(err, ERR_LIMIT,
                       "the prompts would take %.0f MiB, at most %llu are allowed: lower the concurrency, the prompt's size or the "
                       "number of prefixes",
                       bytes / (1 << 20), LOAD_MEMORY_MAX >> 20);
    *r = (struct load_request){ .prefixes_n = prefixes, .stream = conf->stream };
    arena_init(&r->arena, /* cache= */ NULL, /* max_bytes= */ 0);
    r->prefixes = arena_array(&r->arena, prefixes, sizeof *r->prefixes);
    if (!r->prefixes || popularity_init(&r->popularity, prefixes, conf->popularity) < 0)
        status = err_set(err, ERR_NOMEM, "requests: %s", err_text(ERR_NOMEM));
    else if (generated)
        status = build_generated(r, conf, err);
    else
        status = add_prefix(r, conf, 0, conf->endpoint == LOAD_GET ? STR_NONE : conf->body, err);
    if (status < 0)
        load_request_fini(r);
    return status;
}

void load_request_fini(struct load_request *r)
{
    popularity_fini(&r->popularity);
    arena_fini(&r->arena);
}

/* A bijection of 64-bit numbers (an odd factor and shifts): distinct N stay distinct, and neighbours share no digits that a radix tree would find. */
void load_request_mark(char *tail, uint64_t seed, uint64_t n)
{
    uint64_t id = n + seed * UINT64_C(0x9e3779b97f4a7c15);

    id = (id ^ id >> 31) * UINT64_C(0xbf58476d1ce4e5b9);
    id ^= id >> 29;
    for (unsigned i = 0; i < LOAD_ID_DIGITS; i++, id >>= 4)
        tail[i] = "0123456789abcdef"[id & 15];
}
