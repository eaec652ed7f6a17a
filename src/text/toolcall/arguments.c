/* text/toolcall/arguments.c */
#include "text/toolcall/arguments.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "json/json_write.h"

/* ---- compact printing ---- */

static void put_number(struct json v, struct buf *out)
{
    int64_t i;
    uint64_t u;
    double d;
    struct json_writer w;

    json_begin(&w, out);
    if (json_node(v)->integer && json_to_i64(v, &i) == 0 && !(i == 0 && json_node(v)->negative))
        buf_put_i64(out, i);
    else if (json_node(v)->integer && json_to_u64(v, &u) == 0 && !json_node(v)->negative)
        buf_put_u64(out, u);
    else if (json_to_double(v, &d) == 0)
        json_value_f64(&w, d);
    else
        buf_put(out, json_raw(v)); /* beyond a double: as it stands */
}

/* Is KEY also the name of a member in front of NODE? Then this one's value was printed there. */
static bool key_stood_before(struct json object, uint32_t key, struct str text)
{
    struct json_iter it = json_iter(object);
    while (json_next(&it) && it.key.i < key)
        if (json_str_eq(it.key, text))
            return true;
    return false;
}

/* Objects of more members are not searched for repeated keys: their members are printed as they come (searching is quadratic). */
#define UNIQUE_MEMBERS_MAX 256

static void put_value(struct json v, struct arena *arena, struct buf *out);

static void put_string(struct json v, struct arena *arena, struct buf *out)
{
    arguments_string(json_node(v)->escaped ? json_str(v, arena) : json_raw_str(v), out);
}

static void put_object(struct json v, struct arena *arena, struct buf *out)
{
    bool unique = json_count(v) > UNIQUE_MEMBERS_MAX;
    struct json_iter it = json_iter(v);
    bool first = true;

    buf_put_char(out, '{');
    while (json_next(&it)) {
        struct json value = it.value;
        if (!unique) {
            struct str key = json_str(it.key, arena);
            if (key_stood_before(v, it.key.i, key))
                continue;
            value = json_get(v, key);
        }
        if (!first)
            buf_put_char(out, ',');
        first = false;
        put_string(it.key, arena, out);
        buf_put_char(out, ':');
        put_value(value, arena, out);
    }
    buf_put_char(out, '}');
}

static void put_array(struct json v, struct arena *arena, struct buf *out)
{
    struct json_iter it = json_iter(v);
    bool first = true;

    buf_put_char(out, '[');
    while (json_next(&it)) {
        if (!first)
            buf_put_char(out, ',');
        first = false;
        put_value(it.value, arena, out);
    }
    buf_put_char(out, ']');
}

static void put_value(struct json v, struct arena *arena, struct buf *out)
{
    if (json_is_null(v)) {
        buf_puts(out, "null");
        return;
    }
    switch ((enum json_type)json_node(v)->type) {
    case JSON_OBJECT:
        put_object(v, arena, out);
        break;
    case JSON_ARRAY:
        put_array(v, arena, out);
        break;
    case JSON_STRING:
        put_string(v, arena, out);
        break;
    case JSON_NUMBER:
        put_number(v, out);
        break;
    default:
        buf_put(out, json_raw(v)); /* true, false */
        break;
    }
}

void arguments_compact(struct json v, struct arena *arena, struct buf *out)
{
    put_value(v, arena, out);
}

bool arguments_compact_text(struct str json, struct arena *arena, struct buf *out)
{
    struct json_doc doc;
    if (json_parse(json, arena, &doc, NULL) < 0)
        return false;
    put_value(json_root(&doc), arena, out);
    return true;
}

void arguments_string(struct str s, struct buf *out)
{
    buf_put_char(out, '"');
    json_escape(out, s);
    buf_put_char(out, '"');
}

/* ---- white space and numbers ---- */

/* Bytes of the white-space character at the front of S (Unicode's White_Space), or 0. */
static size_t space_at_front(struct str s)
{
    const uint8_t *p = (const uint8_t *)s.p;
    if (s.n && (p[0] == ' ' || (p[0] >= '\t' && p[0] <= '\r')))
        return 1;
    if (s.n >= 2 && p[0] == 0xC2 && (p[1] == 0x85 || p[1] == 0xA0))
        return 2;
    if (s.n < 3)
        return 0;
    uint32_t c = p[0] << 16 | p[1] << 8 | p[2];
    bool space = c == 0xE19A80 || (c >= 0xE28080 && c <= 0xE2808A) || c == 0xE280A8 || c == 0xE280A9 || c == 0xE280AF ||
                 c == 0xE2819F || c == 0xE38080;
    return space ? 3 : 0;
}

struct str arguments_trim_front(struct str s)
{
    size_t n;
    while ((n = space_at_front(s)) > 0)
        s = str_skip(s, n);
    return s;
}

struct str arguments_trim(struct str s)
{
    s = arguments_trim_front(s);
    for (;;) {
        size_t was = s.n;
        for (size_t n = 1; n <= 3 && n <= s.n; n++)
            if (space_at_front(str_skip(s, s.n - n)) == n) {
                s.n -= n;
                break;
            }
        if (s.n == was)
            return s;
    }
}

size_t arguments_whole_characters(struct str text)
{
    size_t n = text.n, back = 0;
    while (back < 3 && back < n && ((uint8_t)text.p[n - 1 - back] & 0xC0) == 0x80)
        back++;
    if (back == n)
        return n;
    uint8_t lead = (uint8_t)text.p[n - 1 - back];
    size_t length = lead < 0xC0 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    return length > back + 1 ? n - 1 - back : n;
}

#define NUMBER_MAX 400 /* characters of a number that is not simply text */

/* S as a NUL-terminated string for libc; false when it is none of a number's length. */
static bool number_text(struct str s, char out[NUMBER_MAX])
{
    if (!s.n || s.n >= NUMBER_MAX || memchr(s.p, '\0', s.n))
        return false;
    memcpy(out, s.p, s.n);
    out[s.n] = '\0';
    return true;
}

static bool put_i64(struct str s, struct buf *out)
{
    char text[NUMBER_MAX], *end;
    if (!number_text(s, text) || (text[0] != '-' && text[0] != '+' && (text[0] < '0' || text[0] > '9')))
        return false;
    if ((text[0] == '-' || text[0] == '+') && (text[1] < '0' || text[1] > '9'))
        return false;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (*end || errno)
        return false;
    buf_put_i64(out, v);
    return true;
}

static bool put_double(struct str s, struct buf *out)
{
    char text[NUMBER_MAX], *end;
    /* Decimal digits only: strtod also knows hexadecimal, inf and nan. */
    if (!number_text(s, text) || strspn(text, "+-0123456789.eE") != s.n)
        return false;
    double v = strtod(text, &end);
    if (*end || !isfinite(v))
        return false;
    struct json_writer w;
    json_begin(&w, out);
    json_value_f64(&w, v);
    return true;
}

/* ---- by schema ---- */

static bool coerce_json(struct str text, struct arena *arena, bool number, struct buf *out)
{
    struct json_doc doc;
    text = arguments_trim(text);
    if (json_parse(text, arena, &doc, NULL) < 0 || (number && !json_is(json_root(&doc), JSON_NUMBER)))
        return false;
    put_value(json_root(&doc), arena, out);
    return true;
}

static bool coerce_string(struct str text, struct arena *arena, struct buf *out)
{
    struct json_doc doc;
    struct str value = text;
    if (text.n >= 2 && text.p[0] == '"' && json_parse(text, arena, &doc, NULL) == 0 && json_is(json_root(&doc), JSON_STRING))
        value = json_str(json_root(&doc), arena);
    arguments_string(value, out);
    return true;
}

bool arguments_coerce(enum param_type type, struct str text, struct arena *arena, struct buf *out)
{
    struct str trimmed = arguments_trim(text);
    switch (type) {
    case PARAM_STRING:
        return coerce_string(text, arena, out);
    case PARAM_INTEGER:
        return put_i64(trimmed, out);
    case PARAM_NUMBER:
        return coerce_json(text, arena, true, out);
    case PARAM_BOOLEAN:
        if (str_eq(trimmed, STR("true")) || str_eq(trimmed, STR("True")))
            buf_puts(out, "true");
        else if (str_eq(trimmed, STR("false")) || str_eq(trimmed, STR("False")))
            buf_puts(out, "false");
        else
            return false;
        return true;
    case PARAM_OBJECT:
    case PARAM_ARRAY:
        return coerce_json(text, arena, false, out);
    default:
        return false;
    }
}

/* ---- guesses ---- */

bool arguments_guess_json(struct str text, struct arena *arena, struct buf *out)
{
    return coerce_json(text, arena, false, out);
}

bool arguments_guess_python_word(struct str text, struct buf *out)
{
    static const struct {
        struct str word, json;
    } WORDS[] = {
        { STR_INIT("True"), STR_INIT("true") },   { STR_INIT("true"), STR_INIT("true") }, { STR_INIT("False"), STR_INIT("false") },
        { STR_INIT("false"), STR_INIT("false") }, { STR_INIT("None"), STR_INIT("null") }, { STR_INIT("null"), STR_INIT("null") },
    };
    for (size_t i = 0; i < ARRAY_LEN(WORDS); i++)
        if (str_eq(text, WORDS[i].word)) {
            buf_put(out, WORDS[i].json);
            return true;
        }
    return false;
}

bool arguments_guess_number(struct str text, struct buf *out)
{
    return put_i64(text, out) || put_double(text, out);
}

/* ---- an object in the making ---- */

struct arguments_member {
    struct str key, value;
};

void arguments_put(struct arguments_object *o, struct str key, struct str value_json)
{
    struct str value = arena_str(o->arena, value_json);
    for (size_t i = 0; i < o->n && o->n <= UNIQUE_MEMBERS_MAX; i++)
        if (str_eq(o->members[i].key, key)) {
            o->members[i].value = value;
            return;
        }
    if (o->n == o->cap) {
        size_t cap = o->cap ? 2 * o->cap : 8;
        struct arguments_member *members = arena_array(o->arena, cap, sizeof(*members));
        if (!members)
            return; /* the arena's failure is sticky */
        if (o->n)
            memcpy(members, o->members, o->n * sizeof(*members));
        o->members = members;
        o->cap = cap;
    }
    o->members[o->n++] = (struct arguments_member){ arena_str(o->arena, key), value };
}

void arguments_object_write(const struct arguments_object *o, struct buf *out)
{
    buf_put_char(out, '{');
    for (size_t i = 0; i < o->n; i++) {
        if (i)
            buf_put_char(out, ',');
        arguments_string(o->members[i].key, out);
        buf_put_char(out, ':');
        buf_put(out, o->members[i].value);
    }
    buf_put_char(out, '}');
}
