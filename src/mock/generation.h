/* mock/generation.h -- one answer being generated, whatever its dialect (internal to mock/) */
#pragma once

#include "mock/ask.h"
#include "mock/engine.h"

/* One of the answers of a request. */
struct choice {
    struct str text; /* the whole answer, JSON-escaped where it must be; ring, body or arena */
    size_t at;       /* bytes sent so far */
    uint64_t sent;   /* tokens sent so far */
    uint64_t tokens; /* of the whole answer */
    bool cut_short;  /* by max_tokens: finish reason "length" */
    unsigned index;
    const struct ask_prompt *prompt;
    const struct say *say; /* its pieces are the request's; NULL = tokens as text.h cuts them */
};

enum generation_state { GEN_DELAYED, GEN_FETCHING, GEN_RUNNING, GEN_STALLED, GEN_DONE };

struct generation {
    struct mock_engine *engine;
    struct exchange *ex; /* its arena holds this struct and all that it points to */
    const struct dialect *dialect;
    enum generation_state state; /* written by generation.c's enter() */
    struct ask ask;
    struct mock_request_faults faults;

    char id[48]; /* NUL-terminated */
    uint64_t created_s;
    struct str model_json;
    struct choice *choices;
    unsigned choices_n;
    uint64_t prompt_tokens;
    uint64_t tokens; /* of the longest choice */

    uint64_t available; /* tokens of each choice that the engine has produced */
    uint64_t emitted;   /* of those: sent (streams) */
    bool opened;        /* the stream's head went out */
    bool full;          /* the client is slow */
    bool broken;        /* memory was out for an event: the stream cannot go on */
    unsigned sequence;  /* number of the next event (responses) */
    struct str prefix;  /* of each event, made by open; arena */

    struct handover_order *order; /* the half of a pair that this is; NULL = the whole */
    struct handover handover;     /* GEN_FETCHING */
    bool transferred;             /* the prompt's blocks came from another engine */
    bool handed;                  /* ... went to another engine */

    struct due due; /* GEN_DELAYED: the start; GEN_RUNNING: the next token of a paced answer */
    uint64_t started_us;
    struct model_request model; /* realistic */
};

/* How an API words an answer. All members append to OUT. */
struct dialect {
    enum ask_kind kind;
    const char *id_prefix;
    void (*open)(struct generation *g, struct buf *out); /* a stream's first events */
    void (*piece)(struct generation *g, const struct choice *c, struct str text,
                  struct buf *out);                       /* one event with TEXT, the next words of C */
    void (*close)(struct generation *g, struct buf *out); /* its last events */
    void (*whole)(struct generation *g, struct buf *out); /* the reply that is no stream */
};

void generation_begin(struct exchange *ex, struct mock_engine *e, const struct dialect *dialect);

/* vLLM's prefill: where the blocks are, as a member with a comma before it; nothing otherwise. */
void generation_put_kv_params(const struct generation *g, struct buf *out);

/* "stop" or "length". */
struct str generation_reason(const struct choice *c);

uint64_t generation_output_tokens(const struct generation *g); /* of all choices */
uint64_t generation_cached_tokens(const struct generation *g);

/* model.on_token of a realistic engine. */
void generation_on_token(struct model *m, struct model_request *r, void *arg);
