/* inference/parsed.h -- chat replies of engines that do not parse what their model writes (--parse-http-replies); inside inference/ only
 *
 *   request --parse_order_read--> what is wanted --parse_order_choose(model)--> which formats
 *   content, in pieces --reply_chain_feed--> reasoning parser --text--> tool-call parser --> THOUGHT, TEXT, CALL, ARGUMENTS pieces
 *                      (where the request binds the model to call: bare JSON is held in front of both, json_mode.c)
 *   a whole reply   --parse_whole-->  the same bytes with message.content split       (parse_whole.c)
 *   an event stream --parse_stream--> the same events with delta.content split        (parse_stream.c)
 *   a worker's reply -- sink_parsed --> one of the two, or untouched as sink_relay would pass it on (sink_parsed.c)
 *
 * The law: what a client gathers from the stream is what the whole reply says, however the engine cut it; a reply in which nothing is found keeps every byte (decision 4), and so does every
 * event that says what came out of the parsers already.
 * Nothing here knows of sockets but sink_parsed.c: bytes in, bytes out, any thread.
 * Bounds: PARSE_WHOLE_MAX bytes of a whole reply (a longer one goes through untouched), PARSE_EVENT_MAX of an event, PARSE_CHOICES_MAX choices, the parsers' own (text/toolcall/toolcall.h).
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "inference/inference.h"
#include "text/reasoning/reasoning.h"
#include "text/scan/json_scan.h"
#include "text/toolcall/toolcall.h"
#include "text/toolcall/tools.h"

#define PARSE_WHOLE_MAX   (2u << 20) /* half a million tokens; less than what a slow client's connection holds (net/stream.h) */
#define PARSE_REPLY_MAX   (3u << 20) /* bytes that a whole reply may grow to; more: it stays as it was */
#define PARSE_EVENT_MAX   (1u << 20)
#define PARSE_CHOICES_MAX 128
#define PARSE_INLINE_MAX  (32u << 10) /* bytes of a whole reply that is parsed in a loop's turn; a longer one goes to the pool */

/* ---- parse_order.c: what a request wants and which formats its model writes ---- */

struct parse_order {
    bool wants_calls, wants_thoughts;
    const struct toolcall_format *calls;      /* NULL = not looked for */
    const struct reasoning_format *reasoning; /* NULL = thoughts stay where they are */
    struct str model;                         /* as the worker knows it: ids depend on it */
    struct str tools;                         /* the request's, JSON; good as long as the request */
    unsigned history;                         /* calls in the messages so far */
    bool started, content_only;               /* reasoning_config's */
    bool must_call;                           /* tool_choice: a function, required, allowed_tools(required) */
    struct str function;                      /* must_call: the function's name, a JSON string, as `tools`; empty = any */
    bool thoughts_at_once;                    /* stream_reasoning is false: a thought is told when it is over */
};

/* False: whatever the model, its reply goes through as it is. ROOT: the request. */
bool parse_order_read(struct json root, struct parse_order *ret);
/* The formats of MODEL, by PARSING's settings. False: there is none to apply. */
bool parse_order_choose(struct parse_order *o, const struct reply_parsing *parsing, struct str model);

/* ---- json_mode.c: what an engine writes that binds the model to call by a JSON schema ---- */

enum json_hold_state { HOLD_BLANK, HOLD_VALUE, HOLD_BEHIND };

/* Text from its beginning, as long as it may be such JSON. All zero at first. */
struct json_hold {
    enum json_hold_state state; /* written only by enter() in json_mode.c */
    struct json_scan scan;      /* in VALUE */
    struct buf text;            /* owned */
};
/* True: TEXT was taken. False: there is no such JSON; what is held is the caller's to take back, TEXT was not taken. A failure is sticky in h->text. */
bool json_hold_feed(struct json_hold *h, const struct parse_order *order, struct str text);
void json_hold_clear(struct json_hold *h); /* frees and begins anew */
/* The calls that TEXT, a whole reply or all of it that is no thought, says in ORDER's JSON; none: it is to be read as any text. What *RET points to is TEXT's or ARENA's. ERR_NOMEM. */
int json_mode_read(const struct parse_order *order, const struct toolcall_tools *tools, struct str text, struct arena *arena,
                   struct toolcall_result *ret) _must_check_;

/* ---- reply_chain.c: one choice's text through both parsers ---- */

enum piece_kind {
    PIECE_THOUGHT,
    PIECE_TEXT,
    PIECE_CALL,     /* text: the function's name */
    PIECE_ARGUMENTS /* text: a piece of its arguments; never empty */
};
typedef void reply_piece(void *owner, enum piece_kind kind, unsigned index, struct str text); /* TEXT good until return */

/* Where bare JSON is looked for. In the whole reply first: what binds the model leaves it no room for a thought, and a parser that begins in one would take the JSON for it. */
enum json_stage { JSON_NOWHERE, JSON_IN_REPLY, JSON_IN_TEXT };

struct reply_chain {
    const struct parse_order *order;    /* borrowed */
    const struct toolcall_tools *tools; /* borrowed; may be NULL */
    struct reasoning_parser *thoughts;  /* owned; NULL = not in use (any more) */
    struct toolcall_parser *calls;      /* owned; the same */
    reply_piece *piece;
    void *owner;
    enum json_stage stage; /* reply_chain.c: enter() */
    struct json_hold json; /* owned */
    struct buf thought;    /* owned: the thought so far, when it is told at once */
    struct buf blank;      /* owned: white space before the first text: told only if more follows, or if nothing else was found */
    size_t charged;        /* bytes of the memory budget for what is held */
    unsigned calls_n;
    bool thought_told, text_told;
    int status;
    struct err err;
};

/* TOOLS (may be NULL) and ORDER outlive the chain. ERR_NOMEM; then fini is due all the same. */
int reply_chain_init(struct reply_chain *c, const struct parse_order *order, const struct toolcall_tools *tools, reply_piece *piece,
                     void *owner) _must_check_;
void reply_chain_fini(struct reply_chain *c);
/* ERR_LIMIT, ERR_NOMEM; C->err says more. Afterwards only fini. */
int reply_chain_feed(struct reply_chain *c, struct str text) _must_check_;
int reply_chain_finish(struct reply_chain *c) _must_check_;
/* The engine tells thoughts, or calls, by itself: what is held is told, and no more is looked for. */
int reply_chain_leave_thoughts(struct reply_chain *c) _must_check_;
int reply_chain_leave_calls(struct reply_chain *c) _must_check_;

/* Appends a call's head as JSON members, with its id: "id":..,"type":"function","function":{"name":..,"arguments":  */
void reply_put_call(struct buf *out, const struct parse_order *order, struct str name, unsigned index);

/* ---- patches.c: places of a text that become others ---- */

struct patches {
    struct buf list;  /* owned; struct patch each, by place */
    struct buf texts; /* owned: what stands there afterwards */
};
void patches_fini(struct patches *p);
void patches_clear(struct patches *p);
/* OLD, a part of the text, which no other patch touches, becomes what is appended to p->texts from AT on. OLD may be empty: an insertion. */
void patches_add(struct patches *p, struct str old, size_t at);
void patches_apply(const struct patches *p, struct str text, struct buf *out); /* out->failed when memory is out */

/* ---- the two ways ---- */

struct parse_outcome {
    unsigned calls, thoughts; /* told; choices with a thought */
    bool changed;             /* the bytes are not the engine's */
};

/* BODY, a chat completion, into OUT with what was found. Nothing found, or no chat completion: 0, outcome.changed false and OUT as it was. ERR_LIMIT, ERR_NOMEM: nothing was done. */
int parse_whole(const struct parse_order *order, struct str body, struct buf *out, struct parse_outcome *ret,
                struct err *err) _must_check_;

struct parse_stream;
/* ORDER is borrowed. CACHE: of the loop, for the memory of an event; may be NULL. */
int parse_stream_new(const struct parse_order *order, struct arena_cache *cache, struct parse_stream **ret) _must_check_;
void parse_stream_free(struct parse_stream *s); /* NULL is fine */
/* Appends to OUT what is to be sent. After a failure only free. */
int parse_stream_feed(struct parse_stream *s, struct str bytes, struct buf *out, struct err *err) _must_check_;
int parse_stream_end(struct parse_stream *s, struct buf *out, struct err *err) _must_check_;
const struct parse_outcome *parse_stream_outcome(const struct parse_stream *s);

/* ---- sink_parsed.c ---- */

/* For /v1/chat/completions: sink_relay unless the gateway parses replies and REQUEST gives it something to look for. */
struct reply_sink *sink_chat(struct exchange *ex, struct inference *inf, const struct api_request *request);
/* What the pool has of this loop, which does not run any more. */
void parsed_free_jobs(struct inference *inf);
