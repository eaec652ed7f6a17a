/* mock/ask.h -- what a request asks for, in all dialects: how much text, for which prompts, as a stream or not
 *
 * Reads what matters to a simulation and ignores the rest, as engines of different versions do. Texts are counted and echoed as they stand in the JSON, escapes
 * not undone: no copy. Everything points into the body or the arena. Pure.
 */
#pragma once

#include "json/json.h"
#include "mock/kv_cache.h"
#include "mock/say.h"

enum ask_kind { ASK_CHAT, ASK_COMPLETIONS, ASK_GENERATE, ASK_MESSAGES, ASK_RESPONSES };

#define ASK_CHOICES_MAX 64     /* prompts times n */
#define ASK_OUTPUT_MAX  131072 /* tokens of all answers to one request; more is cut to it */

struct ask_prompt {
    uint64_t hash;
    uint64_t bytes;  /* of all texts */
    struct str echo; /* the text that an echo gives back: the prompt, or a chat's last message of the user */
};

struct ask {
    struct json_doc doc;
    struct json root;
    struct str model_json; /* the name as it stands, with its quotes; empty = not given */
    bool stream;
    bool include_usage;  /* stream_options.include_usage */
    bool ignore_eos;     /* the answer has exactly max_tokens tokens */
    bool batch;          /* prompts came as an array: the answer is one too (/generate) */
    uint64_t max_tokens; /* 0 = not given */
    uint64_t min_tokens;
    uint32_t n; /* answers per prompt */
    struct ask_prompt *prompts;
    uint32_t prompts_n; /* 1.. */
    struct say *says;   /* what the answers are to be, in turn; arena */
    size_t says_n;      /* 0 = what the engine likes */
};

/* HASHER (may be NULL) is fed with all texts in order. 0; ERR_INVALID with the reason; ERR_NOMEM. *RET must not move afterwards. */
int ask_read(enum ask_kind kind, struct str body, struct arena *arena, struct kv_hasher *hasher, struct ask *ret,
             struct err *err) _must_check_;
