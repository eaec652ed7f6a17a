/* json/json.h -- the one JSON reader (RFC 8259)
 *
 *   bytes --json_parse--> tape of 16-byte nodes in the caller's arena --json_get, JSON_EACH, json_str ...--> values
 *
 * The text is scanned once, 64 bytes at a look (AVX2, SSE2 or plain C: scan.h); strings and numbers stay where they are in the text and are
 * unescaped or converted only when asked for. The text must outlive the document. Parsing checks everything: syntax, UTF-8, depth.
 * Bounds: depth JSON_DEPTH_MAX (also SMG's), text at most 2^32-2 bytes, memory 16 bytes per value from the arena.
 * Duplicate keys are kept; json_get finds the last one, as Python and JavaScript do. Where RFC 8259 leaves a choice: tests/vectors/json/README.md.
 * Documents are read only: after json_parse any number of threads may read one, each with an arena of its own for json_str.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"

#define JSON_DEPTH_MAX 128
#define JSON_COUNT_MAX ((1u << 21) - 1) /* where json_node.count stops counting */

enum json_type { JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

/* One value. Containers are followed by their members: key, value, key, value ... or element, element ... */
struct json_node {
    uint32_t at;           /* offset of the first byte in the text (a string: behind the quote) */
    uint32_t len;          /* bytes in the text (a string: without quotes, escapes not undone; a container: with its brackets) */
    uint32_t next;         /* index of the node behind this one and all that it contains */
    uint32_t type : 8;     /* enum json_type */
    uint32_t escaped : 1;  /* string: has backslashes */
    uint32_t integer : 1;  /* number: no fraction and no exponent */
    uint32_t negative : 1; /* number: begins with '-' */
    uint32_t count : 21;   /* container: members or elements, capped at 2^21-1 */
};

struct json_doc {
    struct str text;               /* borrowed */
    const struct json_node *nodes; /* arena; node 0 is the root */
    size_t n;
};

/* A place in a document; {NULL, 0} = absent: every function below accepts that and answers "no". */
struct json {
    const struct json_doc *doc;
    uint32_t i;
};

#define JSON_NONE ((struct json){ NULL, 0 })

/* Where and why a text is not JSON; messages as serde_json's, which SMG's clients see ("EOF while parsing a value", "key must be a string",
 * "trailing characters", "expected `,` or `}`", "recursion limit exceeded", "invalid unicode code point", ...). Columns are serde_json's but for invalid UTF-8, where it points behind
 * the string and we at the byte. */
struct json_error {
    const char *message; /* static */
    size_t at;           /* offset in the text */
    unsigned line;       /* from 1 */
    unsigned column;     /* bytes of that line consumed up to and including the offending byte, as serde_json counts */
};

/* Parses TEXT. *DOC points into ARENA and TEXT. ERR_SYNTAX (then *RET_ERROR, may be NULL, is filled), ERR_LIMIT (text too long), ERR_NOMEM. */
int json_parse(struct str text, struct arena *arena, struct json_doc *doc, struct json_error *ret_error) _must_check_;

/* Line and column of the byte at AT, for messages about a value. */
void json_position(const struct json_doc *doc, size_t at, unsigned *ret_line, unsigned *ret_column);

static inline struct json json_root(const struct json_doc *doc)
{
    return (struct json){ doc, 0 };
}

static inline bool json_exists(struct json v)
{
    return v.doc != NULL;
}

static inline const struct json_node *json_node(struct json v) /* v exists */
{
    return &v.doc->nodes[v.i];
}

static inline bool json_is(struct json v, enum json_type type)
{
    return v.doc && json_node(v)->type == type;
}

static inline bool json_is_null(struct json v) /* absent counts as null: what an optional member means by both */
{
    return !v.doc || json_node(v)->type == JSON_NULL;
}

static inline bool json_is_bool(struct json v)
{
    return json_is(v, JSON_TRUE) || json_is(v, JSON_FALSE);
}

/* The bytes of the value as they stand in the text (strings with their quotes). */
struct str json_raw(struct json v);

/* A string's bytes as they stand in the text, without quotes, escapes not undone; empty for anything else. */
struct str json_raw_str(struct json v);

/* A string with its escapes undone: a view of the text when there are none, else arena memory. {NULL, 0} when not a string or out of memory
 * (arena->failed tells). A lone surrogate escape becomes U+FFFD. */
struct str json_str(struct json v, struct arena *arena);

/* Is V a string that says exactly TEXT (escapes undone)? No memory needed. */
bool json_str_eq(struct json v, struct str text);

/* 0, or ERR_INVALID (not a number / not an integer in range). */
int json_to_i64(struct json v, int64_t *ret) _must_check_;
int json_to_u64(struct json v, uint64_t *ret) _must_check_;
int json_to_double(struct json v, double *ret) _must_check_; /* correctly rounded; overflow gives ERR_INVALID */

/* The member KEY of an object (the last of that name), or absent. Linear in the number of members. */
struct json json_get(struct json object, struct str key);

size_t json_count(struct json container);             /* members or elements; 0 for anything else */
struct json json_at(struct json array, size_t index); /* linear */

/* Walks. struct json_iter it = json_iter(object); while (json_next(&it)) use it.key (objects), it.value. */
struct json_iter {
    struct json key, value;
    uint32_t i, end;
    bool object;
    const struct json_doc *doc;
};

struct json_iter json_iter(struct json container);
bool json_next(struct json_iter *it);
