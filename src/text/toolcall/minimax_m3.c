/* text/toolcall/minimax_m3.c -- calls of nested elements, a mark in front of each tag: MiniMax M3
 *
 *   N<tool_call>N<invoke name="F">N<city>ParisN</city>N<stops>N<item>N<id>3N</id>N</item>N</stops>N</invoke>N</tool_call>      N is ]<]minimax[>[
 *
 * An element of elements is an object, a list where the schema says so or all of them are called item; elements of one name are a list under that name. What holds no elements is a value of
 * the type that the schema gives for its place, else JSON when it is JSON, else text. An invoke whose elements do not close is no call.
 * Known from vLLM (tests/tool_parsers/test_minimax_m3_tool_parser.py) and SGLang (python/sglang/srt/function_call/minimax_m3.py), 2026.
 */
#include "text/toolcall/blocks.h"
#include "text/toolcall/markup.h"

#define N         "]<]minimax[>["
#define DEPTH_MAX 100 /* of elements */
#define NAMES_MAX 256 /* elements of one object whose names are compared; beyond it they are told as they come */

static const struct str MARK = STR_INIT(N), OPEN = STR_INIT(N "<"), CLOSE = STR_INIT(N "</");

struct element {
    struct str name, value; /* value: JSON, arena */
};
struct elements {
    struct element *at; /* arena */
    size_t n, cap;
};
struct reader {
    struct toolcall_parser *p;
    struct str rest;
    unsigned depth;
};

static struct json child_schema(struct json schema, struct str name)
{
    struct json child = json_get(json_get(schema, STR("properties")), name);
    if (json_exists(child))
        return child;
    if (str_eq(name, STR("item")) && toolcall_schema_type(schema) == PARAM_ARRAY)
        return json_get(schema, STR("items"));
    return json_get(schema, STR("additionalProperties"));
}

static void skip_blanks(struct reader *r)
{
    while (r->rest.n && (r->rest.p[0] == ' ' || (r->rest.p[0] >= '\t' && r->rest.p[0] <= '\r')))
        r->rest = str_skip(r->rest, 1);
}

static bool opens(struct str text)
{
    return str_has_prefix(text, OPEN) && !str_has_prefix(text, CLOSE);
}

static bool add(struct arena *arena, struct elements *list, struct element e)
{
    if (list->n == list->cap) {
        size_t cap = list->cap ? 2 * list->cap : 8;
        struct element *at = arena_array(arena, cap, sizeof(*at));
        if (!at)
            return false; /* the arena's failure is sticky */
        if (list->n)
            memcpy(at, list->at, list->n * sizeof(*at));
        list->at = at;
        list->cap = cap;
    }
    list->at[list->n++] = e;
    return true;
}

/* ---- written as JSON ---- */

static bool all_items(const struct elements *list)
{
    for (size_t i = 0; i < list->n; i++)
        if (!str_eq(list->at[i].name, STR("item")))
            return false;
    return list->n > 0;
}

static bool stood_before(const struct elements *list, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (str_eq(list->at[k].name, list->at[i].name))
            return true;
    return false;
}

/* The value of element I and of all behind it that have its name. */
static void put_values(const struct elements *list, size_t i, bool compare, struct buf *out)
{
    size_t mark = out->n, values = 1;
    buf_put(out, list->at[i].value);
    for (size_t k = i + 1; compare && k < list->n; k++)
        if (str_eq(list->at[k].name, list->at[i].name)) {
            buf_put_char(out, ',');
            buf_put(out, list->at[k].value);
            values++;
        }
    if (values == 1)
        return;
    buf_put_char(out, ']');
    buf_put_char(out, ' '); /* room for the bracket in front */
    if (!out->failed) {
        memmove(out->p + mark + 1, out->p + mark, out->n - 1 - mark);
        out->p[mark] = '[';
    }
}

static void put_object(const struct elements *list, struct buf *out)
{
    bool compare = list->n <= NAMES_MAX, first = true;
    buf_put_char(out, '{');
    for (size_t i = 0; i < list->n; i++) {
        if (compare && stood_before(list, i))
            continue;
        if (!first)
            buf_put_char(out, ',');
        first = false;
        arguments_string(list->at[i].name, out);
        buf_put_char(out, ':');
        put_values(list, i, compare, out);
    }
    buf_put_char(out, '}');
}

static void put_list(const struct elements *list, struct buf *out)
{
    buf_put_char(out, '[');
    for (size_t i = 0; i < list->n; i++) {
        if (i)
            buf_put_char(out, ',');
        buf_put(out, list->at[i].value);
    }
    buf_put_char(out, ']');
}

/* A list or an object without elements has nothing between its tags. */
static void put_leaf(struct reader *r, enum param_type type, struct str text, struct buf *out)
{
    if ((type == PARAM_ARRAY || type == PARAM_OBJECT) && !arguments_trim(text).n)
        buf_put(out, type == PARAM_ARRAY ? STR("[]") : STR("{}"));
    else if (!arguments_coerce(type, text, &r->p->scratch, out) && !arguments_guess_json(text, &r->p->scratch, out))
        arguments_string(text, out);
}

/* ---- read ---- */

static bool children(struct reader *r, struct json schema, struct elements *ret);

/* Behind an opening tag: what the element holds, as JSON. */
static bool content(struct reader *r, struct json schema, struct str *ret)
{
    struct reader ahead = *r;
    struct buf *out = &r->p->work;
    skip_blanks(&ahead);
    if (!opens(ahead.rest)) {
        size_t end = str_find(r->rest, MARK);
        if (end == STR_NPOS)
            return false;
        buf_clear(out);
        put_leaf(r, toolcall_schema_type(schema), str_first(r->rest, end), out);
        r->rest = str_skip(r->rest, end);
    } else {
        struct elements list = { 0 };
        if (!children(r, schema, &list))
            return false;
        buf_clear(out);
        if (toolcall_schema_type(schema) == PARAM_ARRAY || all_items(&list))
            put_list(&list, out);
        else
            put_object(&list, out);
    }
    *ret = arena_str(&r->p->scratch, buf_str(out));
    return true;
}

static bool element(struct reader *r, struct json schema, struct element *ret)
{
    struct str name, closing;
    if (!str_split(str_skip(r->rest, OPEN.n), '>', &name, &r->rest))
        return false;
    ret->name = arguments_trim(name);
    if (!ret->name.n || str_find_char(ret->name, '<') != STR_NPOS || !content(r, child_schema(schema, ret->name), &ret->value))
        return false;
    skip_blanks(r);
    return str_has_prefix(r->rest, CLOSE) && str_split(str_skip(r->rest, CLOSE.n), '>', &closing, &r->rest) &&
           str_eq(arguments_trim(closing), ret->name);
}

/* All elements up to a closing tag, or the end. */
static bool children(struct reader *r, struct json schema, struct elements *ret)
{
    bool ok = ++r->depth <= DEPTH_MAX;
    for (skip_blanks(r); ok && opens(r->rest); skip_blanks(r)) {
        struct element e;
        ok = element(r, schema, &e) && add(&r->p->scratch, ret, e);
    }
    r->depth--;
    return ok;
}

static bool unit(struct toolcall_parser *p, struct str invoke, bool closed)
{
    struct str head, name;
    struct reader r = { .p = p };
    struct elements list = { 0 };
    if (!closed || !str_split(invoke, '>', &head, &r.rest) || !markup_attribute(head, STR("name"), &name) || !name.n)
        return false;
    const struct toolcall_tool *tool = toolcall_tool_find(p->config.tools, name);
    if (!children(&r, tool ? tool->parameters : JSON_NONE, &list) || r.rest.n)
        return false;
    buf_clear(&p->work);
    put_object(&list, &p->work);
    parser_call(p, name, buf_str(&p->work));
    return true;
}

static const struct blocks MINIMAX_M3 = {
    .opener = STR_INIT(N "<tool_call>"),
    .closer = STR_INIT(N "</tool_call>"),
    .unit_opener = STR_INIT(N "<invoke"),
    .unit_closer = STR_INIT(N "</invoke>"),
    .keep_after = true,
    .unit = unit,
};

static void start(struct toolcall_parser *p)
{
    blocks_start(p, &MINIMAX_M3);
}

static size_t step(struct toolcall_parser *p, struct str text, bool ended)
{
    return blocks_step(p, &MINIMAX_M3, text, ended);
}

const struct toolcall_format TOOLCALL_MINIMAX_M3 = {
    .name = "minimax_m3",
    .summary = "N<tool_call>N<invoke name=\"F\">N<K>VN</K>N</invoke>N</tool_call>, N is " N,
    .state_bytes = sizeof(struct blocks_state),
    .start = start,
    .step = step,
};
