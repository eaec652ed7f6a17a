/* dispatch/pair_body.h -- what the prefill and the decode engine of one request are sent; no I/O
 *
 *   at once (SGLang and its like)         both bodies: bootstrap_host, bootstrap_port, bootstrap_room; a list of each for a batch (spec data-plane 13.2)
 *   one after the other (vLLM)            prefill: one token, no stream, kv_transfer_params {"do_remote_decode":true,...}; decode: the params that prefill's reply brought
 *
 * vLLM's KV connector decides about kv_transfer_params (spec grpc-workers 15.3, which HTTP follows): MooncakeConnector with a known engine id: both sides' params are made here.
 * Otherwise, NixlConnector and none: what prefill answers is passed on.
 */
#pragma once

#include "base/random.h"
#include "dispatch/splice.h"
#include "worker/worker.h"

#define PAIR_BATCH_MAX      16384 /* prompts of one request: each costs a host, a port and a room in two bodies */
#define PAIR_BOOTSTRAP_PORT 8998  /* the engines' own default, where a URL must name one (Mooncake) */

/* How two engines hand over a prompt's KV blocks: both must agree. */
enum handover { HANDOVER_AT_ONCE, HANDOVER_IN_SEQUENCE };

/* By runtime: vLLM, or any worker that names a KV connector, in sequence; everybody else at once. */
enum handover pair_handover(const struct worker *w);

/* The data-parallel rank that each leg goes to; -1 = the engine chooses. */
struct pair_ranks {
    int64_t prefill, decode;
};

struct pair_bodies {
    struct str prefill, decode; /* arena; the same bytes where both legs are sent the same */
};

/* BATCH: prompts of the request, 0 = not a batch. 0; ERR_INVALID: BODY is not a JSON object; ERR_NOMEM. */
int pair_bodies_at_once(struct str body, const struct worker *prefill, const struct pair_ranks *ranks, unsigned batch,
                        struct random *random, struct arena *arena, struct pair_bodies *ret) _must_check_;

/* What the prefill engine is to do with its blocks, and what the decode engine needs to know besides. Strings: arena or static. */
struct kv_params {
    const char *mode;     /* "mooncake", "nixl", "passthrough": SMG's metric label */
    struct str prefill;   /* raw JSON */
    struct str decode;    /* raw JSON; empty = what prefill answers */
    struct str when_none; /* raw JSON; for decode when prefill answers nothing; empty = none: decode computes the prompt itself */
};

void pair_kv_params(const struct worker *prefill, const struct pair_ranks *ranks, struct arena *arena, struct kv_params *ret);

int pair_body_first(struct str body, struct str params, int64_t rank, struct arena *arena, struct str *ret) _must_check_;
/* PARAMS may be empty. */
int pair_body_second(struct str body, struct str params, int64_t rank, struct arena *arena, struct str *ret) _must_check_;

/* kv_transfer_params of a vLLM reply, raw; empty when there are none (or null). A view of REPLY. */
struct str pair_kv_answer(struct str reply, struct arena *scratch);
