/* dispatch/pair_body.c -- the members that tie two legs together */
#include "dispatch/pair_body.h"

#include <stdio.h>

#include "base/ids.h"
#include "json/json_write.h"

enum handover pair_handover(const struct worker *w)
{
    return w->spec.runtime == RUNTIME_VLLM || w->spec.kv_connector.n ? HANDOVER_IN_SEQUENCE : HANDOVER_AT_ONCE;
}

/* TEXT with SET in it, in ARENA. */
static int spliced(struct str text, const struct splice *set, size_t n, struct arena *arena, struct str *ret)
{
    struct buf out = { 0 };
    int r = splice_members(text, set, n, arena, &out);

    if (r == 0) {
        *ret = arena_str(arena, buf_str(&out));
        r = ret->p ? 0 : ERR_NOMEM;
    }
    buf_fini(&out);
    return r;
}

static struct str number(int64_t v, struct arena *arena)
{
    return arena_printf(arena, "%lld", (long long)v);
}

/* ---- at once ---- */

enum bootstrap_member { BOOTSTRAP_HOST, BOOTSTRAP_PORT, BOOTSTRAP_ROOM };

/* Rooms are 0..2^63-1: engines keep them in signed numbers. */
static void put_value(struct json_writer *w, enum bootstrap_member m, const struct worker *prefill, struct random *random)
{
    if (m == BOOTSTRAP_HOST)
        json_value_str(w, prefill->host);
    else if (m == BOOTSTRAP_ROOM)
        json_value_u64(w, random_u64(random) >> 1);
    else if (prefill->spec.bootstrap_port >= 0)
        json_value_i64(w, prefill->spec.bootstrap_port);
    else
        json_value_null(w);
}

/* One value, or a list with one for each prompt of a batch. */
static struct str bootstrap(enum bootstrap_member m, const struct worker *prefill, unsigned batch, struct random *random,
                            struct arena *arena)
{
    struct buf out = { 0 };
    struct json_writer w;
    struct str text;

    json_begin(&w, &out);
    if (batch)
        json_array(&w);
    for (unsigned i = 0; i < MAX(batch, 1u); i++)
        put_value(&w, m, prefill, random);
    if (batch)
        json_end(&w);
    text = out.failed ? STR_NONE : arena_str(arena, buf_str(&out));
    buf_fini(&out);
    return text;
}

int pair_bodies_at_once(struct str body, const struct worker *prefill, const struct pair_ranks *ranks, unsigned batch,
                        struct random *random, struct arena *arena, struct pair_bodies *ret)
{
    struct splice set[5] = {
        { STR("bootstrap_host"), bootstrap(BOOTSTRAP_HOST, prefill, batch, random, arena), SPLICE_ALWAYS },
        { STR("bootstrap_port"), bootstrap(BOOTSTRAP_PORT, prefill, batch, random, arena), SPLICE_ALWAYS },
        { STR("bootstrap_room"), bootstrap(BOOTSTRAP_ROOM, prefill, batch, random, arena), SPLICE_ALWAYS },
    };
    size_t n = 3;
    int r;

    if (!set[0].value.p || !set[1].value.p || !set[2].value.p)
        return ERR_NOMEM;
    if (ranks->prefill >= 0)
        set[n++] = (struct splice){ STR("routed_dp_rank"), number(ranks->prefill, arena), SPLICE_ALWAYS };
    r = spliced(body, set, n, arena, &ret->prefill);
    if (r < 0)
        return r;
    if (ranks->prefill < 0 && ranks->decode < 0) {
        ret->decode = ret->prefill;
        return 0;
    }
    n = 3;
    if (ranks->prefill >= 0)
        set[n++] = (struct splice){ STR("disagg_prefill_dp_rank"), number(ranks->prefill, arena), SPLICE_ALWAYS };
    if (ranks->decode >= 0)
        set[n++] = (struct splice){ STR("routed_dp_rank"), number(ranks->decode, arena), SPLICE_ALWAYS };
    return spliced(body, set, n, arena, &ret->decode);
}

/* ---- one after the other ---- */

/* An engine with several data-parallel ranks is known to its peers by rank: without one, nobody knows whom to ask. */
static struct str engine_id(const struct worker *w, int64_t rank, struct arena *arena)
{
    if (w->spec.kv_engine_id.n == 0 || w->spec.dp_size <= 1)
        return w->spec.kv_engine_id;
    return rank >= 0 ? arena_printf(arena, "%.*s_dp%lld", STR_FMT(w->spec.kv_engine_id), (long long)rank) : STR_NONE;
}

static struct str as_json(struct arena *arena, void (*write)(struct json_writer *w, const void *arg), const void *arg)
{
    struct buf out = { 0 };
    struct json_writer w;
    struct str text;

    json_begin(&w, &out);
    json_object(&w);
    write(&w, arg);
    json_end(&w);
    text = out.failed ? STR_NONE : arena_str(arena, buf_str(&out));
    buf_fini(&out);
    return text;
}

struct mooncake {
    struct str transfer, engine, host;
    int port;
};

static void write_mooncake_prefill(struct json_writer *w, const void *arg)
{
    const struct mooncake *m = arg;

    json_put_bool(w, "do_remote_decode", true);
    json_put_bool(w, "do_remote_prefill", false);
    json_put_str(w, "transfer_id", m->transfer);
}

static void write_mooncake_decode(struct json_writer *w, const void *arg)
{
    const struct mooncake *m = arg;
    char address[300];
    bool ipv6 = str_find_char(m->host, ':') != STR_NPOS;

    (void)snprintf(address, sizeof address, "http://%s%.*s%s:%d", ipv6 ? "[" : "", STR_FMT(str_first(m->host, 256)),
                   ipv6 ? "]" : "", m->port);
    json_put_bool(w, "do_remote_decode", false);
    json_put_bool(w, "do_remote_prefill", true);
    json_put_str(w, "transfer_id", m->transfer);
    json_put_str(w, "remote_engine_id", m->engine);
    json_put_str(w, "remote_bootstrap_addr", str_of(address));
}

static void write_legacy(struct json_writer *w, const void *arg)
{
    const struct mooncake *m = arg;

    json_put_str(w, "remote_host", m->host);
    json_put_i64(w, "remote_port", m->port);
}

/* The members that vLLM's own proxy sends. */
#define NIXL_PARAMS                                                                                                               \
    "{\"do_remote_decode\":true,\"do_remote_prefill\":false,\"remote_engine_id\":null,\"remote_block_ids\":null,\"remote_host\":" \
    "null,"                                                                                                                       \
    "\"remote_port\":null}"

void pair_kv_params(const struct worker *prefill, const struct pair_ranks *ranks, struct arena *arena, struct kv_params *ret)
{
    struct str name = prefill->spec.kv_connector; /* the label kv_connector */
    struct mooncake m = { .host = prefill->host,
                          .port = prefill->spec.bootstrap_port > 0 ? prefill->spec.bootstrap_port : PAIR_BOOTSTRAP_PORT };
    char id[UUID_TEXT_LEN + 1];

    *ret = (struct kv_params){ .mode = str_eq(name, STR("NixlConnector")) ? "nixl" : "passthrough", .prefill = STR(NIXL_PARAMS) };
    if (!str_eq(name, STR("MooncakeConnector")))
        return;
    ret->mode = "mooncake";
    m.engine = engine_id(prefill, ranks->prefill, arena);
    if (m.engine.n == 0) {
        ret->when_none = as_json(arena, write_legacy, &m);
        return;
    }
    uuid_text(uuid_v7(), id);
    m.transfer = arena_printf(arena, "xfer-%s", id);
    ret->prefill = as_json(arena, write_mooncake_prefill, &m);
    ret->decode = as_json(arena, write_mooncake_decode, &m);
}

int pair_body_first(struct str body, struct str params, int64_t rank, struct arena *arena, struct str *ret)
{
    struct splice set[] = {
        { STR("max_tokens"), STR("1"), SPLICE_ALWAYS },
        { STR("max_completion_tokens"), STR("1"), SPLICE_IF_THERE },
        { STR("min_tokens"), STR("0"), SPLICE_IF_THERE },
        { STR("stream"), STR("false"), SPLICE_ALWAYS },
        { STR("stream_options"), STR("null"), SPLICE_IF_THERE }, /* refused without a stream */
        { STR("kv_transfer_params"), params, SPLICE_ALWAYS },
        { STR("data_parallel_rank"), number(rank, arena), rank >= 0 ? SPLICE_ALWAYS : SPLICE_IF_THERE },
    };

    return arena->failed ? ERR_NOMEM : spliced(body, set, ARRAY_LEN(set) - (rank < 0), arena, ret);
}

int pair_body_second(struct str body, struct str params, int64_t rank, struct arena *arena, struct str *ret)
{
    struct splice set[2];
    size_t n = 0;

    if (params.n)
        set[n++] = (struct splice){ STR("kv_transfer_params"), params, SPLICE_ALWAYS };
    if (rank >= 0)
        set[n++] = (struct splice){ STR("data_parallel_rank"), number(rank, arena), SPLICE_ALWAYS };
    if (arena->failed)
        return ERR_NOMEM;
    if (n > 0)
        return spliced(body, set, n, arena, ret);
    *ret = body;
    return 0;
}

struct str pair_kv_answer(struct str reply, struct arena *scratch)
{
    struct json_doc doc;
    struct json params;

    if (json_parse(reply, scratch, &doc, NULL) < 0)
        return STR_NONE;
    params = json_get(json_root(&doc), STR("kv_transfer_params"));
    return json_is(params, JSON_OBJECT) ? json_raw(params) : STR_NONE;
}
