/* json/json_shape.c -- reading an object by its table
 *
 * Members are taken in the order of the text, so that the first mistake in the text is the one that is reported, as serde does; missing
 * fields come last. The path of a mistake is a chain of `struct place` on the C stack, written out only when there is something to report.
 *
 * Positions are serde_json's: behind a scalar of the wrong kind, before a container of the wrong kind, behind a repeated key, behind the
 * brace of the object that lacks a field.
 */
#include "json/json_shape.h"

#include "base/map.h"
#include "json/json_write.h"
#include "json/number.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#define FIELDS_MAX     64  /* bits of the set of fields seen */
#define PATH_MAX_BYTES 200 /* of a path in a message: its end is what is cut */
#define VALUE_MAX      120 /* bytes of a client's text quoted in a message */

/* Where in the document a value stands: below its parent, by key or by index. */
struct place {
    const struct place *parent; /* NULL at the root, which has no name */
    struct str key;             /* p = NULL: an element of an array */
    size_t index;
};

struct reader {
    struct arena *arena;
    struct err *err;
};

static int read_value(struct reader *r, struct json value, const struct json_shape_field *field, enum json_shape_type type,
                      void *out, const struct place *place);
static int read_object(struct reader *r, struct json value, const struct json_shape *shape, void *out, const struct place *place);

/* ---- messages ---- */

static void put_path(struct buf *out, const struct place *place)
{
    if (!place || !place->parent)
        return;
    put_path(out, place->parent);
    if (place->key.p) {
        if (out->n)
            buf_put_char(out, '.');
        json_escape(out, str_first(place->key, VALUE_MAX));
    } else {
        buf_printf(out, "[%zu]", place->index);
    }
}

/* The message with path and position; CONSUMED is how many bytes of the text were read when it went wrong. */
_printf_(5, 6) static int mistake(struct reader *r, const struct place *place, const struct json_doc *doc, size_t consumed,
                                  const char *fmt, ...)
{
    struct buf path = { .max = PATH_MAX_BYTES };
    unsigned line = 1, column = 0;
    char message[ERR_MESSAGE_MAX];
    va_list ap;

    if (!r->err)
        return ERR_INVALID;
    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    put_path(&path, place);
    if (consumed)
        json_position(doc, consumed - 1, &line, &column);
    err_set(r->err, ERR_INVALID, "%.*s%s%s at line %u column %u", STR_FMT(buf_str(&path)), path.n ? ": " : "", message, line,
            column);
    buf_fini(&path);
    return ERR_INVALID;
}

/* How far serde has read when it dislikes VALUE. */
static size_t consumed_at(struct json value)
{
    const struct json_node *node = json_node(value);

    switch (node->type) {
    case JSON_ARRAY:
    case JSON_OBJECT:
        return node->at;
    case JSON_STRING:
        return (size_t)node->at + node->len + 1;
    default:
        return (size_t)node->at + node->len;
    }
}

static size_t end_of(struct json value)
{
    return (size_t)json_node(value)->at + json_node(value)->len;
}

/* Numbers that fit neither i64 nor u64 count as floating point. */
static bool fits_integer(struct json value)
{
    uint64_t u;
    int64_t i;

    return json_to_u64(value, &u) == 0 || json_to_i64(value, &i) == 0;
}

static void put_number(struct buf *out, struct json value)
{
    double d;
    char text[JSON_NUMBER_MAX];

    if (fits_integer(value)) {
        buf_puts(out, "integer `");
        buf_put(out, json_raw(value));
    } else {
        buf_puts(out, "floating point `");
        if (json_to_double(value, &d) == 0)
            buf_put(out, (struct str){ text, json_format_f64(text, d) });
        else
            buf_put(out, str_first(json_raw(value), VALUE_MAX));
    }
    buf_put_char(out, '`');
}

/* What was found, in serde's words. */
static void put_found(struct buf *out, struct json value)
{
    switch ((enum json_type)json_node(value)->type) {
    case JSON_NULL:
        buf_puts(out, "null");
        return;
    case JSON_FALSE:
        buf_puts(out, "boolean `false`");
        return;
    case JSON_TRUE:
        buf_puts(out, "boolean `true`");
        return;
    case JSON_NUMBER:
        put_number(out, value);
        return;
    case JSON_STRING:
        buf_puts(out, "string \"");
        buf_put(out, str_first(json_raw_str(value), VALUE_MAX));
        buf_put(out, json_raw_str(value).n > VALUE_MAX ? STR("...\"") : STR("\""));
        return;
    case JSON_ARRAY:
        buf_puts(out, "sequence");
        return;
    case JSON_OBJECT:
        buf_puts(out, "map");
        return;
    }
}

static int wrong(struct reader *r, struct json value, const struct place *place, const char *what, const char *expected,
                 const char *expected_name)
{
    struct buf found = { 0 };

    put_found(&found, value);
    int e = mistake(r, place, value.doc, consumed_at(value), "invalid %s: %.*s, expected %s%s", what, STR_FMT(buf_str(&found)),
                    expected, expected_name);
    buf_fini(&found);
    return e;
}

static int wrong_type(struct reader *r, struct json value, const struct place *place, const char *expected)
{
    return wrong(r, value, place, "type", expected, "");
}

static int unknown_variant(struct reader *r, struct json value, const char *const *names, const struct place *place)
{
    struct buf known = { 0 };
    size_t n = 0;

    while (names[n])
        n++;
    buf_put(&known, n > 2 ? STR("expected one of ") : STR("expected "));
    for (size_t i = 0; i < n; i++)
        buf_printf(&known, "%s`%s`", i == 0 ? "" : n == 2 ? " or " : ", ", names[i]);
    int e = mistake(r, place, value.doc, consumed_at(value), "unknown variant `%.*s`, %.*s",
                    STR_FMT(str_first(json_raw_str(value), VALUE_MAX)), STR_FMT(buf_str(&known)));
    buf_fini(&known);
    return e;
}

/* ---- scalars ---- */

/* Sizes of what the types are stored as; 0 = depends on the table. */
static const struct {
    size_t size;
    const char *expected;
    int64_t min; /* integers: the range of the type */
    uint64_t max;
} TYPES[] = {
    [SHAPE_STR] = { sizeof(struct str), "a string", 0, 0 },
    [SHAPE_BOOL] = { sizeof(bool), "a boolean", 0, 0 },
    [SHAPE_U16] = { sizeof(uint16_t), "u16", 0, UINT16_MAX },
    [SHAPE_U32] = { sizeof(uint32_t), "u32", 0, UINT32_MAX },
    [SHAPE_U64] = { sizeof(uint64_t), "u64", 0, UINT64_MAX },
    [SHAPE_USIZE] = { sizeof(size_t), "usize", 0, SIZE_MAX },
    [SHAPE_I32] = { sizeof(int32_t), "i32", INT32_MIN, INT32_MAX },
    [SHAPE_I64] = { sizeof(int64_t), "i64", INT64_MIN, INT64_MAX },
    [SHAPE_F32] = { sizeof(float), "f32", 0, 0 },
    [SHAPE_F64] = { sizeof(double), "f64", 0, 0 },
    [SHAPE_ENUM] = { sizeof(int), "a string", 0, 0 },
    [SHAPE_OBJECT] = { 0, "struct ", 0, 0 },
    [SHAPE_ARRAY] = { sizeof(struct json_shape_array), "a sequence", 0, 0 },
    [SHAPE_STR_MAP] = { sizeof(struct json_shape_array), "a map", 0, 0 },
    [SHAPE_JSON] = { sizeof(struct json), "any value", 0, 0 },
};

static int read_str(struct reader *r, struct json value, struct str *ret, const struct place *place)
{
    if (!json_is(value, JSON_STRING))
        return wrong_type(r, value, place, TYPES[SHAPE_STR].expected);
    struct str text = json_str(value, r->arena);
    if (!text.p)
        return ERR_NOMEM;
    *ret = text;
    return 0;
}

static int read_integer(struct reader *r, struct json value, enum json_shape_type type, void *out, const struct place *place)
{
    const char *expected = TYPES[type].expected;
    uint64_t u = 0;
    int64_t i = 0;

    if (!json_is(value, JSON_NUMBER) || !fits_integer(value))
        return wrong_type(r, value, place, expected);
    bool is_u = json_to_u64(value, &u) == 0, is_i = json_to_i64(value, &i) == 0;
    if (is_u ? u > TYPES[type].max : !is_i || i < TYPES[type].min)
        return wrong(r, value, place, "value", expected, "");
    if (!is_u)
        u = (uint64_t)i;
    switch (TYPES[type].size) {
    case 2:
        *(uint16_t *)out = (uint16_t)u;
        return 0;
    case 4:
        *(uint32_t *)out = (uint32_t)u;
        return 0;
    default:
        *(uint64_t *)out = u;
        return 0;
    }
}

static int read_float(struct reader *r, struct json value, enum json_shape_type type, void *out, const struct place *place)
{
    double d;

    if (!json_is(value, JSON_NUMBER))
        return wrong_type(r, value, place, TYPES[type].expected);
    if (json_to_double(value, &d) < 0 || (type == SHAPE_F32 && !isfinite((float)d)))
        return mistake(r, place, value.doc, consumed_at(value), "number out of range");
    if (type == SHAPE_F32)
        *(float *)out = (float)d;
    else
        *(double *)out = d;
    return 0;
}

static int read_enum(struct reader *r, struct json value, const char *const *names, int *ret, const struct place *place)
{
    if (!json_is(value, JSON_STRING))
        return wrong_type(r, value, place, TYPES[SHAPE_ENUM].expected);
    for (int i = 0; names[i]; i++) {
        if (json_str_eq(value, str_of(names[i]))) {
            *ret = i;
            return 0;
        }
    }
    return unknown_variant(r, value, names, place);
}

/* ---- containers ---- */

static int read_array(struct reader *r, struct json value, const struct json_shape_field *field, struct json_shape_array *ret,
                      const struct place *place)
{
    if (!json_is(value, JSON_ARRAY))
        return wrong_type(r, value, place, TYPES[SHAPE_ARRAY].expected);
    enum json_shape_type type = field->sub ? SHAPE_OBJECT : field->element;
    size_t size = field->sub ? field->sub->size : TYPES[type].size, n = json_count(value);
    assert(type != SHAPE_ARRAY); /* the table has no room for the elements' elements */
    char *items = arena_array(r->arena, n, size);
    if (!items)
        return ERR_NOMEM;
    struct json_iter it = json_iter(value);
    for (size_t i = 0; json_next(&it); i++) {
        struct place here = { .parent = place, .index = i };
        int e = read_value(r, it.value, field, type, items + i * size, &here);
        if (e < 0)
            return e;
    }
    *ret = (struct json_shape_array){ items, n };
    return 0;
}

/* The last of several equal keys wins and keeps the place of the first. */
static int read_str_map(struct reader *r, struct json value, struct json_shape_array *ret, const struct place *place)
{
    _cleanup_(map_fini) struct map known = { 0 };

    if (!json_is(value, JSON_OBJECT))
        return wrong_type(r, value, place, TYPES[SHAPE_STR_MAP].expected);
    struct json_shape_pair *pairs = arena_array(r->arena, json_count(value), sizeof *pairs);
    if (!pairs)
        return ERR_NOMEM;
    size_t n = 0;
    struct json_iter it = json_iter(value);
    while (json_next(&it)) {
        struct json_shape_pair pair;
        pair.key = json_str(it.key, r->arena);
        if (!pair.key.p)
            return ERR_NOMEM;
        struct place here = { .parent = place, .key = pair.key };
        int e = read_str(r, it.value, &pair.value, &here);
        if (e < 0)
            return e;
        struct json_shape_pair *old = map_get(&known, pair.key);
        if (old) {
            old->value = pair.value;
            continue;
        }
        pairs[n] = pair;
        e = map_put(&known, pair.key, &pairs[n], /* ret_old= */ NULL);
        if (e < 0)
            return e;
        n++;
    }
    *ret = (struct json_shape_array){ pairs, n };
    return 0;
}

static int read_value(struct reader *r, struct json value, const struct json_shape_field *field, enum json_shape_type type,
                      void *out, const struct place *place)
{
    switch (type) {
    case SHAPE_STR:
        return read_str(r, value, out, place);
    case SHAPE_BOOL:
        if (!json_is_bool(value))
            return wrong_type(r, value, place, TYPES[SHAPE_BOOL].expected);
        *(bool *)out = json_is(value, JSON_TRUE);
        return 0;
    case SHAPE_U16:
    case SHAPE_U32:
    case SHAPE_U64:
    case SHAPE_USIZE:
    case SHAPE_I32:
    case SHAPE_I64:
        return read_integer(r, value, type, out, place);
    case SHAPE_F32:
    case SHAPE_F64:
        return read_float(r, value, type, out, place);
    case SHAPE_ENUM:
        return read_enum(r, value, field->names, out, place);
    case SHAPE_OBJECT:
        return read_object(r, value, field->sub, out, place);
    case SHAPE_ARRAY:
        return read_array(r, value, field, out, place);
    case SHAPE_STR_MAP:
        return read_str_map(r, value, out, place);
    case SHAPE_JSON:
        *(struct json *)out = value;
        return 0;
    }
    return ERR_UNSUPPORTED;
}

static int unknown_field(struct reader *r, struct json key, const struct json_shape *shape, const struct place *place)
{
    struct buf known = { 0 };

    for (size_t i = 0; i < shape->fields_n; i++)
        buf_printf(&known, "%s`%s`", i == 0 ? "" : ", ", shape->fields[i].name);
    int e =
        mistake(r, place, key.doc, consumed_at(key), "unknown field `%.*s`, expected %s%.*s",
                STR_FMT(str_first(json_raw_str(key), VALUE_MAX)), shape->fields_n > 1 ? "one of " : "", STR_FMT(buf_str(&known)));
    buf_fini(&known);
    return e;
}

/* The field that KEY names, or NULL. */
static const struct json_shape_field *find_field(const struct json_shape *shape, struct json key)
{
    for (size_t i = 0; i < shape->fields_n; i++) {
        const struct json_shape_field *field = &shape->fields[i];
        if (json_str_eq(key, str_of(field->name)) || (field->alias && json_str_eq(key, str_of(field->alias))))
            return field;
    }
    return NULL;
}

static int read_member(struct reader *r, struct json_iter member, const struct json_shape_field *field, void *out,
                       const struct place *place)
{
    struct json value = member.value;
    struct place here = { .parent = place, .key = json_raw_str(member.key) }; /* as the client calls it, be it the alias */

    if (json_is_null(value) && field->flags & SHAPE_NULLABLE)
        return 0;
    int e = read_value(r, value, field, field->type, (char *)out + field->at, &here);
    if (e < 0)
        return e;
    if (field->at_given != SHAPE_NO_GIVEN)
        *(bool *)((char *)out + field->at_given) = true;
    return 0;
}

static int check_missing(struct reader *r, struct json value, const struct json_shape *shape, uint64_t seen,
                         const struct place *place)
{
    for (size_t i = 0; i < shape->fields_n; i++) {
        const struct json_shape_field *field = &shape->fields[i];
        if (field->flags & SHAPE_REQUIRED && !(seen >> i & 1))
            return mistake(r, place, value.doc, end_of(value), "missing field `%s`", field->name);
    }
    return 0;
}

static int read_object(struct reader *r, struct json value, const struct json_shape *shape, void *out, const struct place *place)
{
    uint64_t seen = 0;
    int e;

    assert(shape->fields_n <= FIELDS_MAX);
    if (!json_is(value, JSON_OBJECT))
        return wrong(r, value, place, "type", TYPES[SHAPE_OBJECT].expected, shape->name);
    memset(out, 0, shape->size);
    if (shape->defaults)
        shape->defaults(out);
    struct json_iter it = json_iter(value);
    while (json_next(&it)) {
        const struct json_shape_field *field = find_field(shape, it.key);
        if (!field && shape->strict)
            return unknown_field(r, it.key, shape, place);
        if (!field)
            continue;
        uint64_t bit = UINT64_C(1) << (field - shape->fields);
        if (seen & bit)
            return mistake(r, place, value.doc, consumed_at(it.key), "duplicate field `%s`", field->name);
        seen |= bit;
        e = read_member(r, it, field, out, place);
        if (e < 0)
            return e;
    }
    e = check_missing(r, value, shape, seen, place);
    if (e < 0 || !shape->check)
        return e;

    struct err reason = { 0 };
    e = shape->check(out, value, &reason);
    if (e == ERR_INVALID)
        return mistake(r, place, value.doc, end_of(value), "%s", reason.message);
    return e;
}

int json_shape_read(struct json value, const struct json_shape *shape, struct arena *arena, void *out, struct err *err)
{
    static const struct place ROOT = { 0 };
    struct reader r = { arena, err };

    assert(json_exists(value));
    int e = read_object(&r, value, shape, out, &ROOT);
    if (e == ERR_NOMEM)
        return err_set(err, e, "%s", err_text(e));
    return e;
}
