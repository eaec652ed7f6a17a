/* tests/fuzz/json.c -- the JSON reader and writer, judged by a reader that is too simple to be wrong
 *
 * For any bytes: a text is accepted exactly when the recursive reader below accepts it; all scanners give the same nodes and the same
 * errors; what was accepted and is written again reads the same; and any bytes, escaped, are a valid string that escapes to itself.
 */
#include "../unit/json/rewrite.h"
#include "../unit/json/scanners.h"
#include "json/utf8.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_ASSERT(x) ((x) ? (void)0 : abort())

/* ---- the slow, obvious reader: RFC 8259, grammar rule by grammar rule ---- */

struct slow {
    const char *p, *end;
    unsigned depth;
};

static bool slow_value(struct slow *s);

static bool is_next(const struct slow *s, char c)
{
    return s->p < s->end && *s->p == c;
}

static bool take(struct slow *s, char c)
{
    if (!is_next(s, c))
        return false;
    s->p++;
    return true;
}

static void blanks(struct slow *s)
{
    while (take(s, ' ') || take(s, '\t') || take(s, '\n') || take(s, '\r'))
        ;
}

static bool word(struct slow *s, const char *text)
{
    for (; *text; text++) {
        if (!take(s, *text))
            return false;
    }
    return true;
}

static bool digit(struct slow *s)
{
    if (s->p == s->end || *s->p < '0' || *s->p > '9')
        return false;
    s->p++;
    return true;
}

static bool digits(struct slow *s)
{
    if (!digit(s))
        return false;
    while (digit(s))
        ;
    return true;
}

static bool number(struct slow *s)
{
    take(s, '-');
    if (!take(s, '0') && !digits(s))
        return false;
    if (take(s, '.') && !digits(s))
        return false;
    if (take(s, 'e') || take(s, 'E')) {
        if (!take(s, '+'))
            take(s, '-');
        return digits(s);
    }
    return true;
}

static bool hex(struct slow *s)
{
    if (s->p == s->end || !memchr("0123456789abcdefABCDEF", *s->p, 22))
        return false;
    s->p++;
    return true;
}

static bool character(struct slow *s)
{
    if (s->p == s->end || (unsigned char)*s->p < 0x20)
        return false;
    if (take(s, '\\')) {
        if (take(s, 'u'))
            return hex(s) && hex(s) && hex(s) && hex(s);
        if (s->p == s->end || !memchr("\"\\/bfnrt", *s->p, 8))
            return false;
        s->p++;
        return true;
    }
    int n = utf8_sequence(s->p, s->end);
    s->p += n > 0 ? n : 0;
    return n > 0;
}

static bool string(struct slow *s)
{
    if (!take(s, '"'))
        return false;
    while (!take(s, '"')) {
        if (!character(s))
            return false;
    }
    return true;
}

static bool members(struct slow *s, char close, bool keys)
{
    blanks(s);
    if (take(s, close))
        return true;
    for (;;) {
        blanks(s);
        if (keys) {
            if (!string(s))
                return false;
            blanks(s);
            if (!take(s, ':'))
                return false;
        }
        if (!slow_value(s))
            return false;
        blanks(s);
        if (take(s, close))
            return true;
        if (!take(s, ','))
            return false;
    }
}

static bool container(struct slow *s, char open)
{
    if (++s->depth > JSON_DEPTH_MAX)
        return false;
    bool good = take(s, open) && members(s, open == '{' ? '}' : ']', open == '{');
    s->depth--;
    return good;
}

static bool slow_value(struct slow *s)
{
    blanks(s);
    if (is_next(s, '{') || is_next(s, '['))
        return container(s, *s->p);
    if (is_next(s, '"'))
        return string(s);
    if (is_next(s, 't'))
        return word(s, "true");
    if (is_next(s, 'f'))
        return word(s, "false");
    if (is_next(s, 'n'))
        return word(s, "null");
    return number(s);
}

static bool slow_accepts(struct str text)
{
    struct slow s = { text.p, text.p + text.n, 0 };

    if (!slow_value(&s))
        return false;
    blanks(&s);
    return s.p == s.end;
}

/* ---- the rules ---- */

static int scanners_agree(struct str text, struct arena *arena, struct json_doc *doc)
{
    struct scanner scanners[3];
    size_t n = scanners_list(scanners);
    struct json_error error = { 0 };
    int status = json_parse_with(scanners[0].scan, text, arena, doc, &error);

    for (size_t i = 1; i < n; i++) {
        struct json_doc other;
        struct json_error other_error;
        FUZZ_ASSERT(json_parse_with(scanners[i].scan, text, arena, &other, &other_error) == status);
        if (status == 0)
            FUZZ_ASSERT(other.n == doc->n && !memcmp(other.nodes, doc->nodes, doc->n * sizeof *doc->nodes));
        else
            FUZZ_ASSERT(other_error.at == error.at && other_error.line == error.line && other_error.column == error.column &&
                        !strcmp(other_error.message, error.message));
    }
    return status;
}

static void writes_again_what_it_read(const struct json_doc *doc, struct arena *arena)
{
    struct buf once = { 0 }, twice = { 0 };
    struct json_doc again;

    rewrite_value(&once, json_root(doc), arena);
    FUZZ_ASSERT(json_parse(buf_str(&once), arena, &again, NULL) == 0);
    FUZZ_ASSERT(again.n == doc->n);
    for (size_t i = 0; i < doc->n; i++)
        FUZZ_ASSERT(again.nodes[i].type == doc->nodes[i].type && again.nodes[i].next == doc->nodes[i].next);
    rewrite_value(&twice, json_root(&again), arena);
    FUZZ_ASSERT(str_eq(buf_str(&once), buf_str(&twice)));
    buf_fini(&once);
    buf_fini(&twice);
}

static void converts_without_surprise(const struct json_doc *doc)
{
    for (uint32_t i = 0; i < doc->n; i++) {
        struct json v = { doc, i };
        int64_t signed_value;
        uint64_t value;
        double d;
        if (json_to_u64(v, &value) == 0 && json_to_i64(v, &signed_value) == 0)
            FUZZ_ASSERT((uint64_t)signed_value == value);
        if (json_to_double(v, &d) == 0)
            FUZZ_ASSERT(json_is(v, JSON_NUMBER));
    }
}

static void escapes_any_bytes(struct str bytes, struct arena *arena)
{
    struct buf out = { 0 }, again = { 0 };
    struct json_writer w;
    struct json_doc doc;

    json_begin(&w, &out);
    json_value_str(&w, bytes);
    FUZZ_ASSERT(json_parse(buf_str(&out), arena, &doc, NULL) == 0);
    struct str text = json_str(json_root(&doc), arena);
    FUZZ_ASSERT(json_str_eq(json_root(&doc), text));
    json_begin(&w, &again);
    json_value_str(&w, text);
    FUZZ_ASSERT(str_eq(buf_str(&out), buf_str(&again)));
    if (json_scan_utf8(bytes.p, bytes.p + bytes.n) == bytes.p + bytes.n)
        FUZZ_ASSERT(str_eq(text, bytes));
    buf_fini(&out);
    buf_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct arena_cache cache;
    char *copy = malloc(size ? size : 1); /* of exactly the size: reading past it is seen */
    struct str text = { copy, size };
    struct arena arena;
    struct json_doc doc;

    FUZZ_ASSERT(copy);
    if (size)
        memcpy(copy, data, size);
    arena_init(&arena, &cache, 0);
    int status = scanners_agree(text, &arena, &doc);
    FUZZ_ASSERT(status == 0 || status == ERR_SYNTAX);
    FUZZ_ASSERT((status == 0) == slow_accepts(text));
    if (status == 0) {
        writes_again_what_it_read(&doc, &arena);
        converts_without_surprise(&doc);
    }
    escapes_any_bytes(text, &arena);
    arena_fini(&arena);
    free(copy);
    return 0;
}
