/* api/check.c -- refusals and their texts, and the checks of members that several kinds share
 *
 * Texts are SMG's, which are serde's and the validator crate's; request.h has their forms. The first half runs for refused requests only.
 * What a message repeats of the client's value is cut, so that a huge value gives a short message.
 */
#include "api/check.h"

#include <stdio.h>

#define SHOWN_MAX      48  /* bytes of a client's value that a message repeats */
#define NAME_MAX_SHOWN 128 /* ... of the name of a tool */
#define PLACE_MAX      256 /* bytes of a path; the checks look at most six levels deep, so theirs are shorter */

/* --- where --- */

struct place {
    char text[PLACE_MAX];
    size_t n;
};

static void place_put(struct place *place, struct str s)
{
    s = str_first(s, sizeof place->text - place->n);
    if (s.n)
        memcpy(place->text + place->n, s.p, s.n);
    place->n += s.n;
}

static void place_put_member(struct place *place, struct str name)
{
    if (place->n)
        place_put(place, STR("."));
    place_put(place, name);
}

static void place_put_index(struct place *place, size_t index)
{
    char text[24];
    int n = snprintf(text, sizeof text, "[%zu]", index);

    place_put(place, (struct str){ text, (size_t)n });
}

static struct str place_str(const struct place *place)
{
    return (struct str){ place->text, place->n };
}

/* The path of node I, from the root down: at each level the child whose subtree holds I. */
static void place_find(const struct json_doc *doc, uint32_t i, struct place *ret)
{
    const struct json_node *nodes = doc->nodes;
    uint32_t at = 0;

    ret->n = 0;
    while (at != i) {
        bool object = nodes[at].type == JSON_OBJECT;
        uint32_t child = at + 1 + object;
        size_t index = 0;

        while (nodes[child].next <= i) {
            child = nodes[child].next + object;
            index++;
        }
        if (object)
            place_put_member(ret, json_raw_str((struct json){ doc, child - 1 }));
        else
            place_put_index(ret, index);
        at = child;
    }
}

/* The value as it stands in the body, cut; *RET_MORE: what to write behind it. */
static struct str shown(const struct check *c, uint32_t i, const char **ret_more)
{
    struct str raw = json_raw((struct json){ c->doc, i });

    *ret_more = raw.n > SHOWN_MAX ? "..." : "";
    return api_cut(raw, SHOWN_MAX);
}

struct str api_text(const struct check *c, uint32_t i)
{
    return api_cut(json_str((struct json){ c->doc, i }, c->arena), NAME_MAX_SHOWN);
}

/* --- wrong shape --- */

/* "<path>: <message> at line L column C". Overrides bad fields noted so far, as serde fails before anything is validated. AT: the byte pointed at. */
static int refuse_shape(struct check *c, struct str path, struct str param, size_t at, struct str message)
{
    unsigned line, column;

    json_position(c->doc, at, &line, &column);
    *c->error = (struct api_error){
        .status = 400,
        .code = STR("json_parse_error"),
        .param = arena_str(c->arena, param),
        .message = arena_printf(c->arena,
                                "Invalid JSON data: Failed to deserialize the JSON body into the target type: "
                                "%.*s%s%.*s at line %u column %u",
                                STR_FMT(path), path.n ? ": " : "", STR_FMT(message), line, column),
    };
    return c->arena->failed ? ERR_NOMEM : ERR_INVALID;
}

/* Where serde stands when it refuses a value: behind a scalar, at the bracket of a container. */
static int refuse_value(struct check *c, uint32_t i, struct str message)
{
    const struct json_node *node = &c->doc->nodes[i];
    size_t at = node->at;
    struct place place;

    if (node->type == JSON_STRING)
        at += node->len; /* the closing quote */
    else if (node->type < JSON_ARRAY)
        at += node->len - 1;
    place_find(c->doc, i, &place);
    return refuse_shape(c, place_str(&place), place_str(&place), at, message);
}

static int refuse_found(struct check *c, uint32_t i, const char *what, const char *expected)
{
    const struct json_node *node = &c->doc->nodes[i];
    const char *more;
    struct str value = shown(c, i, &more);
    struct str message;

    switch (node->type) {
    case JSON_NULL:
        message = arena_printf(c->arena, "%s: null, expected %s", what, expected);
        break;
    case JSON_ARRAY:
        message = arena_printf(c->arena, "%s: sequence, expected %s", what, expected);
        break;
    case JSON_OBJECT:
        message = arena_printf(c->arena, "%s: map, expected %s", what, expected);
        break;
    case JSON_STRING:
        message = arena_printf(c->arena, "%s: string %.*s%s, expected %s", what, STR_FMT(value), more, expected);
        break;
    case JSON_NUMBER:
        message = arena_printf(c->arena, "%s: %s `%.*s%s`, expected %s", what, node->integer ? "integer" : "floating point",
                               STR_FMT(value), more, expected);
        break;
    default:
        message = arena_printf(c->arena, "%s: boolean `%.*s`, expected %s", what, STR_FMT(value), expected);
    }
    return refuse_value(c, i, message);
}

int api_wrong_type(struct check *c, uint32_t i, const char *expected)
{
    return refuse_found(c, i, "invalid type", expected);
}

int api_wrong_value(struct check *c, uint32_t i, const char *expected)
{
    return refuse_found(c, i, "invalid value", expected);
}

int api_wrong_variant(struct check *c, uint32_t i, const char *expected)
{
    const char *more;
    struct str value = shown(c, i, &more);

    if (value.n >= 2) /* without its quotes; the second is cut off already when there is more */
        value = (struct str){ value.p + 1, value.n - (*more ? 1 : 2) };
    return refuse_value(c, i,
                        arena_printf(c->arena, "unknown variant `%.*s%s`, expected one of %s", STR_FMT(value), more, expected));
}

int api_missing(struct check *c, uint32_t object, enum api_key key)
{
    const struct json_node *node = &c->doc->nodes[object];
    struct str name = api_key_name(key), message = arena_printf(c->arena, "missing field `%.*s`", STR_FMT(name));
    struct place path, param;

    place_find(c->doc, object, &path);
    param = path;
    place_put_member(&param, name);
    return refuse_shape(c, place_str(&path), place_str(&param), (size_t)node->at + node->len - 1, message);
}

/* --- bad fields and pairs --- */

static void add_line(struct check *c, uint32_t i, struct str line)
{
    struct api_error *error = c->error;

    if (error->message.n) { /* a further field: its line below, the first one's path stays */
        error->message = arena_printf(c->arena, "%.*s\n%.*s", STR_FMT(error->message), STR_FMT(line));
        return;
    }
    struct place place;
    place_find(c->doc, i, &place);
    *error = (struct api_error){ .status = 400, .param = arena_str(c->arena, place_str(&place)), .message = line };
}

void api_bad_field(struct check *c, enum api_key field, uint32_t i, const char *message)
{
    add_line(c, i, arena_printf(c->arena, "%.*s: %s", STR_FMT(api_key_name(field)), message));
}

void api_bad_rule(struct check *c, enum api_key field, uint32_t i, const char *rule)
{
    const char *more;
    struct str value = shown(c, i, &more);

    add_line(c, i,
             arena_printf(c->arena, "%.*s: Validation error: %s [{\"value\": %.*s%s}]", STR_FMT(api_key_name(field)), rule,
                          STR_FMT(value), more));
}

void api_bad_range(struct check *c, enum api_key field, uint32_t i, double min, double max)
{
    char bounds[64];
    const char *more;
    struct str value = shown(c, i, &more);
    int n = 0;

    if (min > -NUMBER_ANY)
        n = snprintf(bounds, sizeof bounds, "\"min\": %g, ", min);
    if (max < NUMBER_ANY)
        n += snprintf(bounds + n, sizeof bounds - (size_t)n, "\"max\": %g, ", max);
    add_line(c, i,
             arena_printf(c->arena, "%.*s: Validation error: range [{%.*s\"value\": %.*s%s}]", STR_FMT(api_key_name(field)), n,
                          bounds, STR_FMT(value), more));
}

int api_bad_pair(struct check *c, uint32_t i, const char *fmt, ...)
{
    _cleanup_(buf_fini) struct buf text = { 0 };
    va_list ap;

    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    if (text.failed)
        return ERR_NOMEM;
    add_line(c, i, arena_printf(c->arena, "__all__: %.*s", STR_FMT(buf_str(&text))));
    return ERR_INVALID;
}

/* --- shared checks --- */

int api_need(struct check *c, enum api_key key)
{
    return member(&c->root, key) ? 0 : api_missing(c, 0, key);
}

int api_need_string_in(struct check *c, const struct members *m, uint32_t object, enum api_key key)
{
    if (!(m->present & KEY_BIT(key)))
        return api_missing(c, object, key);
    return node_type(c->doc, m->at[key]) == JSON_STRING ? 0 : api_wrong_type(c, m->at[key], "a string");
}

int api_need_string(struct check *c, enum api_key key)
{
    return api_need_string_in(c, &c->root, 0, key);
}

int api_need_array(struct check *c, enum api_key key, uint32_t *ret)
{
    if (!(c->root.present & KEY_BIT(key)))
        return api_missing(c, 0, key);
    if (node_type(c->doc, c->root.at[key]) != JSON_ARRAY)
        return api_wrong_type(c, c->root.at[key], "a sequence");
    *ret = c->root.at[key];
    return 0;
}

int api_check_string(struct check *c, enum api_key key)
{
    uint32_t i = member(&c->root, key);

    return !i || node_type(c->doc, i) == JSON_STRING ? 0 : api_wrong_type(c, i, "a string");
}

int api_check_bool(struct check *c, enum api_key key)
{
    uint32_t i = member(&c->root, key);

    return !i || json_is_bool((struct json){ c->doc, i }) ? 0 : api_wrong_type(c, i, "a boolean");
}

int api_check_object(struct check *c, enum api_key key)
{
    uint32_t i = member(&c->root, key);

    return !i || node_type(c->doc, i) == JSON_OBJECT ? 0 : api_wrong_type(c, i, "a map");
}

int api_check_stop(struct check *c)
{
    const struct json_doc *doc = c->doc;
    uint32_t stop = member(&c->root, KEY_STOP), empty = 0;

    if (!stop)
        return 0;
    switch (node_type(doc, stop)) {
    case JSON_STRING:
        empty = doc->nodes[stop].len == 0 ? stop : 0;
        break;
    case JSON_ARRAY:
        for (uint32_t i = element_first(stop); i < element_end(doc, stop); i = element_next(doc, i)) {
            if (node_type(doc, i) != JSON_STRING)
                return api_wrong_type(c, i, "a string");
            if (doc->nodes[i].len == 0 && !empty)
                empty = i;
        }
        if (doc->nodes[stop].count > 4) {
            api_bad_rule(c, KEY_STOP, stop, "maximum 4 stop sequences allowed");
            return 0;
        }
        break;
    default:
        return api_wrong_type(c, stop, "a string or a sequence of strings");
    }
    if (empty)
        api_bad_rule(c, KEY_STOP, empty, "stop sequences cannot be empty");
    return 0;
}

int api_check_stream_options(struct check *c)
{
    uint32_t options = member(&c->root, KEY_STREAM_OPTIONS);

    if (!options || member_true(c, KEY_STREAM))
        return 0;
    return api_bad_pair(c, options, "The 'stream_options' parameter is only allowed when 'stream' is enabled");
}

/* --- numbers --- */

static const char *const TYPE_NAMES[] = {
    [NUMBER_F32] = "f32", [NUMBER_U32] = "u32", [NUMBER_I32] = "i32", [NUMBER_U64] = "usize"
};

/* The number at I as a double, exact for the integer types but where 64 bits do not fit, which no range cares about. */
static int read_number(struct check *c, uint32_t i, enum number_type type, double *ret)
{
    const struct json_node *node = &c->doc->nodes[i];
    struct json value = { c->doc, i };
    bool fits = true;
    int64_t v = 0;
    uint64_t u = 0;

    if (node->type != JSON_NUMBER || (type != NUMBER_F32 && !node->integer))
        return api_wrong_type(c, i, TYPE_NAMES[type]);
    switch (type) {
    case NUMBER_F32:
        if (json_to_double(value, ret) < 0)
            return api_wrong_value(c, i, TYPE_NAMES[type]);
        return 0;
    case NUMBER_U32:
        fits = json_to_i64(value, &v) == 0 && v >= 0 && v <= UINT32_MAX;
        break;
    case NUMBER_I32:
        fits = json_to_i64(value, &v) == 0 && v >= INT32_MIN && v <= INT32_MAX;
        break;
    case NUMBER_U64:
        fits = json_to_u64(value, &u) == 0;
        break;
    }
    if (!fits)
        return api_wrong_value(c, i, TYPE_NAMES[type]);
    *ret = type == NUMBER_U64 ? (double)u : (double)v;
    return 0;
}

int api_check_numbers(struct check *c, const struct number_rule *rules, size_t n)
{
    for (const struct number_rule *rule = rules; rule < rules + n; rule++) {
        uint32_t i = member(&c->root, rule->key);
        double v;
        int r;

        if (!i)
            continue;
        r = read_number(c, i, rule->type, &v);
        if (r < 0)
            return r;
        if (v >= rule->min && v <= rule->max && !(rule->no_zero && v == 0))
            continue;
        if (rule->rule)
            api_bad_rule(c, rule->key, i, rule->rule);
        else
            api_bad_range(c, rule->key, i, rule->min, rule->max);
    }
    return 0;
}

int api_check_sampling(struct check *c)
{
    static const struct number_rule RULES[] = {
        { KEY_TEMPERATURE, NUMBER_F32, false, 0, 2, NULL },
        { KEY_TOP_P, NUMBER_F32, true, 0, 1, "top_p must be in (0, 1] - greater than 0.0 and at most 1.0" },
        { KEY_TOP_K, NUMBER_I32, true, -1, NUMBER_ANY, "top_k must be -1 (disabled) or at least 1" },
        { KEY_MIN_P, NUMBER_F32, false, 0, 1, NULL },
        { KEY_FREQUENCY_PENALTY, NUMBER_F32, false, -2, 2, NULL },
        { KEY_PRESENCE_PENALTY, NUMBER_F32, false, -2, 2, NULL },
        { KEY_REPETITION_PENALTY, NUMBER_F32, false, 0, 2, NULL },
    };

    return api_check_numbers(c, RULES, ARRAY_LEN(RULES));
}
