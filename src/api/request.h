/* api/request.h -- reading and checking inference requests: views into the client's bytes, never a typed copy (decision 4)
 *
 *   body --api_request_read--> struct api_request --> api_routing_text    what the policies look at
 *                         \                      \-> api_splice_model    the bytes that a worker gets
 *                          \-> struct api_error  --> http/error           api_rerank_reply: the way back of /rerank
 *
 * What is checked: spec data-plane 5.3; agentic-apis 2.1 and 4.1 for responses and messages, lightly. A member that no rule names is not looked at;
 * the body is forwarded as it came, whatever names the checks read it by. A member given twice counts as its last one, as engines take it.
 *
 * Forms of a refusal, all of status 400:
 *   syntax       code json_parse_error    JSON syntax error: Failed to parse the request body as JSON: <serde's words> at line L column C
 *   wrong shape  code json_parse_error    Invalid JSON data: Failed to deserialize the JSON body into the target type:
 *                                         [<path>: ]<serde's words> at line L column C (all on one line)
 *   fields       code empty (number 400)  a line for each bad field, in an order that depends on the endpoint only:
 *                                         <field>: Validation error: range [{"min": 0, "max": 2, "value": 2.1}]
 *                                         <field>: Validation error: <rule's words> [{"value": <the value, cut to 48 bytes>}]
 *                                         <field>: <message>    where SMG has a message of its own
 *   pairs        code empty               __all__: <message>; only when no field is bad, and only the first
 * `param` is the path of the (first) value that is wrong, which for `messages` and `stop` is more exact than the field in the text.
 *
 * Thread: any. Memory: nodes of the document and, when needed, unescaped names and texts come from the caller's arena.
 */
#pragma once

#include "base/buf.h"
#include "json/json.h"

/* Which rules apply: spec data-plane 5.3. */
enum api_kind {
    API_CHAT,        /* /v1/chat/completions */
    API_COMPLETIONS, /* /v1/completions */
    API_GENERATE,    /* /generate */
    API_EMBEDDINGS,  /* /v1/embeddings */
    API_CLASSIFY,    /* /v1/classify */
    API_RERANK,      /* /rerank */
    API_V1_RERANK,   /* /v1/rerank */
    API_MESSAGES,    /* /v1/messages */
    API_RESPONSES,   /* /v1/responses */
};

/* What the gateway needs to know of a request; everything else stays in the body as it is. Not to be copied or moved: root and model_node point to
 * doc. */
struct api_request {
    enum api_kind kind;
    struct json_doc doc;
    struct json root;
    struct str model;       /* arena, escapes undone; empty = absent or null (routes to any worker) */
    struct json model_node; /* where it stands in the body, for splicing an alias's canonical name; absent when not given */
    bool stream;
    /* rerank only */
    struct str rid;        /* raw JSON of the member, empty = absent */
    uint64_t top_k;        /* 0 = all; top_n is read where there is no top_k */
    bool return_documents; /* default true */
};

/* Why a request was refused, in the terms of http/error.h. */
struct api_error {
    unsigned status;    /* 400 */
    struct str code;    /* "json_parse_error", or empty: the number 400 */
    struct str param;   /* path of the member: "messages[0].content"; empty = none */
    struct str message; /* arena */
};

/* Parses BODY and checks it by the rules of KIND (validation table and cross-field rules of spec data-plane 5.3 with their BETTERs: unknown
 * content part types pass, best_of == n passes, /v1/rerank takes model, top_k, top_n, return_documents). Everything of *RET points into BODY or
 * ARENA. 0; ERR_INVALID with *ERROR filled; ERR_NOMEM. */
int api_request_read(enum api_kind kind, struct str body, struct arena *arena, struct api_request *ret,
                     struct api_error *error) _must_check_;

/* Is the Content-Type application/json or application/x+json (parameters allowed)? */
bool api_is_json_type(struct str content_type);

/* Appends the routing text (spec data-plane 5.11), at most MAX bytes of it, whole UTF-8 characters. */
void api_routing_text(const struct api_request *r, struct arena *arena, struct buf *out, size_t max);

/* What matters where a prefill and a decode engine share a request (spec data-plane 13.2, 13.5). */
struct api_shares {
    unsigned batch;   /* prompts that came as a list, n of a chat above 1; 0 = neither */
    unsigned answers; /* to all prompts together */
    bool logprobs;    /* /generate: the prompt's log-probabilities are asked for; no other form of reply has them in parts */
};
struct api_shares api_shares(const struct api_request *r);

/* Appends BODY, the text that R was read from, with the model's name replaced by CANONICAL (the last one where a body has several: the one that
 * engines take), every other byte as it was. Without a name: BODY as it is. */
void api_splice_model(const struct api_request *r, struct str body, struct str canonical, struct buf *out);

/* Appends the gateway's answer to /rerank (spec data-plane 5.7), made from the worker's array. CREATED_S: Unix time. 0; ERR_INVALID when WORKER_BODY
 * is not the expected array (then OUT is as before); ERR_NOMEM. */
int api_rerank_reply(const struct api_request *r, struct str model, uint64_t created_s, struct str worker_body, struct arena *arena,
                     struct buf *out) _must_check_;
