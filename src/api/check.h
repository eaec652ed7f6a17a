/* api/check.h -- private to api/: what the checks of all kinds share
 *
 *   api_request_read --> json_parse --> members_read(root) --> api_check_<kind> --> 0, or the error
 *
 * Three sorts of refusal, in this order of precedence:
 *   wrong shape    at once: api_wrong_type, api_missing ... fill the error and return ERR_INVALID, which the check returns
 *   a bad field    collected: api_bad_field and its kin add a line and go on
 *   a bad pair     the first one only, and only when no field was bad: api_bad_pair
 * A check names a value by its node index; the path that the client reads ("messages[2].content") is found from it only when it is needed.
 */
#pragma once

#include "api/keys.h"
#include "api/request.h"

struct check {
    const struct json_doc *doc;
    struct arena *arena;
    struct api_error *error; /* error->message.n > 0: something was refused */
    struct members root;     /* the request's members */
};

/* One kind each, of the members in c->root. */
int api_check_chat(struct check *c) _must_check_;
int api_check_completions(struct check *c) _must_check_;
int api_check_generate(struct check *c) _must_check_;
int api_check_embeddings(struct check *c) _must_check_; /* and classify */
int api_check_rerank(struct check *c) _must_check_;
int api_check_v1_rerank(struct check *c) _must_check_;
int api_check_messages(struct check *c) _must_check_;
int api_check_responses(struct check *c) _must_check_;

/* check_tools.c: the tools that a chat request offers, its tool_choice, and the calls in an assistant's message. */
int api_check_tools(struct check *c) _must_check_;                           /* shapes of tools and functions */
int api_check_tool_calls(struct check *c, uint32_t tool_calls) _must_check_; /* shape of messages[i].tool_calls */
int api_check_tool_choice(struct check *c) _must_check_;                     /* the pair rules */
int api_check_messages_tool_choice(struct check *c) _must_check_;            /* the same for /v1/messages */

/* Wrong shape. I: the value at fault; they return ERR_INVALID. EXPECTED as serde names types: "a string", "u32". */
int api_wrong_type(struct check *c, uint32_t i, const char *expected) _must_check_;
int api_wrong_value(struct check *c, uint32_t i, const char *expected) _must_check_;   /* right type, impossible value */
int api_wrong_variant(struct check *c, uint32_t i, const char *expected) _must_check_; /* EXPECTED: "`a`, `b`" */
int api_missing(struct check *c, uint32_t object, enum api_key key) _must_check_;

/* A bad field: the line "<field>: ...", I the value at fault. */
void api_bad_field(struct check *c, enum api_key field, uint32_t i, const char *message);    /* a message of its own */
void api_bad_rule(struct check *c, enum api_key field, uint32_t i, const char *rule);        /* Validation error: <rule> [{..}] */
void api_bad_range(struct check *c, enum api_key field, uint32_t i, double min, double max); /* +-NUMBER_ANY = no such bound */

#define API_ONE_CONSTRAINT "only one structured output constraint (regex, ebnf, or json_schema) can be active at a time"

/* A bad pair: "__all__: ...", I the member at fault. Returns ERR_INVALID. */
int api_bad_pair(struct check *c, uint32_t i, const char *fmt, ...) _printf_(3, 4) _must_check_;

/* The string at I as a message shows it: escapes undone, cut when it is long. */
struct str api_text(const struct check *c, uint32_t i);

/* Were fields refused? */
static inline bool check_failed(const struct check *c)
{
    return c->error->message.n > 0;
}

/* The checks of members that several kinds share; all accept absent and null. */
int api_check_string(struct check *c, enum api_key key) _must_check_;
int api_check_bool(struct check *c, enum api_key key) _must_check_;
int api_check_object(struct check *c, enum api_key key) _must_check_;
int api_check_stop(struct check *c) _must_check_;
int api_check_stream_options(struct check *c) _must_check_; /* the pair rule */

/* What is required. */
int api_need(struct check *c, enum api_key key) _must_check_;        /* absent or null: missing field */
int api_need_string(struct check *c, enum api_key key) _must_check_; /* absent: missing field; null: wrong type */
int api_need_array(struct check *c, enum api_key key, uint32_t *ret) _must_check_;
/* The same as api_need_string for a member of OBJECT, whose members are M. */
int api_need_string_in(struct check *c, const struct members *m, uint32_t object, enum api_key key) _must_check_;

/* Has the member the value true? */
static inline bool member_true(const struct check *c, enum api_key key)
{
    uint32_t i = member(&c->root, key);

    return i && node_type(c->doc, i) == JSON_TRUE;
}

/* The member's value, which was found to be an integer that fits. */
static inline uint64_t member_u64(const struct check *c, enum api_key key)
{
    uint64_t v = 0;

    return json_to_u64((struct json){ c->doc, c->root.at[key] }, &v) < 0 ? 0 : v;
}

/* Ranges of numbers are rows. */
enum number_type { NUMBER_F32, NUMBER_U32, NUMBER_I32, NUMBER_U64 };

struct number_rule {
    enum api_key key;
    enum number_type type;
    bool no_zero;     /* 0 is refused though it lies between min and max */
    double min, max;  /* inclusive */
    const char *rule; /* the rule's words; NULL = "range" with the bounds that the client should know */
};

#define NUMBER_ANY 1e300 /* "no bound of this side", beyond every type */

int api_check_numbers(struct check *c, const struct number_rule *rules, size_t n) _must_check_;
int api_check_sampling(struct check *c) _must_check_; /* the rows that chat, completions and responses have in common */
