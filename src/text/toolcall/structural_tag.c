/* text/toolcall/structural_tag.c -- the writer: one row and the tools make one tag */
#include "text/toolcall/structural_tag.h"

#include "base/map.h"

struct tag {
    struct json_writer w;
    const struct tag_row *row;
    struct arena *arena;
    struct buf text; /* of a string in the making */
    size_t attached; /* bytes of definitions that went with properties */
};

/* Definitions are repeated for each property that refers to any: beyond these bytes in all they are left out, as SMG leaves them out always. */
#define ATTACHED_MAX (1u << 20)

/* ---- pieces ---- */

void structural_tag_schema(struct json_writer *w, struct json schema, struct arena *arena)
{
    json_value_raw(w, STR_NONE); /* the comma that is due */
    if (json_exists(schema))
        arguments_compact(schema, arena, w->out);
    else
        buf_puts(w->out, "{}");
}

static void begin_type(struct tag *t, struct str type)
{
    json_object(&t->w);
    json_put_str(&t->w, "type", type);
}

/* Up to its last element; two ends close it. */
static void begin_sequence(struct tag *t)
{
    begin_type(t, STR("sequence"));
    json_put_array(&t->w, "elements");
}

static void end_two(struct tag *t)
{
    json_end(&t->w);
    json_end(&t->w);
}

static void constant(struct tag *t, struct str value)
{
    begin_type(t, STR("const_string"));
    json_put_str(&t->w, "value", value);
    json_end(&t->w);
}

static void any_text(struct tag *t, const struct str *excluded, size_t max)
{
    begin_type(t, STR("any_text"));
    json_put_array(&t->w, "excludes");
    for (size_t i = 0; i < max && excluded[i].n; i++)
        json_value_str(&t->w, excluded[i]);
    end_two(t);
}

static void begin_schema(struct tag *t)
{
    begin_type(t, STR("json_schema"));
    json_key(&t->w, STR("json_schema"));
}

/* `text` went out; a new one begins. */
static void clear(struct tag *t)
{
    t->w.out->failed = t->w.out->failed || t->text.failed;
    buf_clear(&t->text);
}

/* The constant that `text` holds. */
static void flush(struct tag *t)
{
    constant(t, buf_str(&t->text));
    clear(t);
}

static void name_text(struct tag *t, struct str name, bool json, bool escaped)
{
    if (json)
        json_escape(&t->text, name);
    for (size_t i = 0; i < name.n && !json; i++)
        if (escaped && name.p[i] == '&')
            buf_puts(&t->text, "&amp;");
        else if (escaped && name.p[i] == '"')
            buf_puts(&t->text, "&quot;");
        else
            buf_put_char(&t->text, name.p[i]);
}

/* ---- elements ---- */

static bool all_strings(struct json list)
{
    struct json_iter it = json_iter(list);
    while (json_next(&it))
        if (!json_is(it.value, JSON_STRING))
            return false;
    return json_is(list, JSON_ARRAY) && json_count(list);
}

enum kind { ANYTHING, STRING, ENUM, NUMBER, BOOLEAN, NULL_, STRUCTURE };

static enum kind kind_of(struct json property, struct str *ret_name)
{
    static const struct {
        struct str name;
        enum kind kind;
    } TYPES[] = {
        { STR_INIT("string"), STRING },   { STR_INIT("integer"), NUMBER },   { STR_INIT("number"), NUMBER },
        { STR_INIT("boolean"), BOOLEAN }, { STR_INIT("object"), STRUCTURE }, { STR_INIT("array"), STRUCTURE },
        { STR_INIT("null"), NULL_ },
    };
    struct json type = json_get(property, STR("type"));
    *ret_name = STR("string");
    if (all_strings(json_get(property, STR("enum"))))
        return ENUM;
    for (size_t i = 0; i < ARRAY_LEN(TYPES); i++)
        if (json_str_eq(type, TYPES[i].name)) {
            *ret_name = TYPES[i].kind == NUMBER ? STR("number") : TYPES[i].name;
            return TYPES[i].kind;
        }
    return ANYTHING;
}

/* Schemas that PROPERTY refers to stand beside it, not where it came from: they go with it. */
static void property_schema(struct tag *t, struct json property, struct json parameters)
{
    static const char *const DEFS[] = { "$defs", "definitions" };
    structural_tag_schema(&t->w, property, t->arena);
    if (!json_is(property, JSON_OBJECT) || str_find(json_raw(property), STR("\"$ref\"")) == STR_NPOS)
        return;
    for (size_t i = 0; i < ARRAY_LEN(DEFS); i++) {
        struct json defs = json_get(parameters, str_of(DEFS[i]));
        if (!json_is(defs, JSON_OBJECT) || json_exists(json_get(property, str_of(DEFS[i]))) || t->w.out->failed)
            continue;
        t->attached += json_raw(defs).n;
        if (t->attached > ATTACHED_MAX)
            return;
        t->w.out->n--; /* the brace, which is there: the object has a member */
        buf_printf(t->w.out, ",\"%s\":", DEFS[i]);
        arguments_compact(defs, t->arena, t->w.out);
        buf_put_char(t->w.out, '}');
    }
}

static void value(struct tag *t, enum kind kind, struct json property, struct json parameters)
{
    const struct elements *e = t->row->elements;
    struct json_iter it;
    switch (kind) {
    case ENUM:
        begin_type(t, STR("or"));
        json_put_array(&t->w, "elements");
        it = json_iter(json_get(property, STR("enum")));
        while (json_next(&it))
            constant(t, json_str(it.value, t->arena));
        end_two(t);
        break;
    case STRING:
    case ANYTHING:
        if (kind == STRING || e->type != TYPE_IS_STRING) {
            any_text(t, e->excluded, ARRAY_LEN(e->excluded));
            break;
        }
        __attribute__((fallthrough));
    case NUMBER:
    case STRUCTURE:
        begin_schema(t);
        property_schema(t, property, parameters);
        json_end(&t->w);
        break;
    case BOOLEAN:
        begin_schema(t);
        json_value_raw(&t->w, STR("{\"type\":\"boolean\"}"));
        json_end(&t->w);
        break;
    case NULL_:
        constant(t, STR("null"));
        break;
    }
}

/* Between key and value. A type that is not told by the schema is any text where the markup names it. */
static void middle(struct tag *t, enum kind kind, struct str type)
{
    const struct elements *e = t->row->elements;
    buf_put(&t->text, e->mid);
    if (e->type == TYPE_NAME && kind == ANYTHING) {
        flush(t);
        any_text(t, e->key_excluded, ARRAY_LEN(e->key_excluded));
    } else if (e->type == TYPE_NAME)
        buf_put(&t->text, type);
    else if (e->type == TYPE_IS_STRING)
        buf_put(&t->text, kind == STRING || kind == ENUM ? STR("true") : STR("false"));
    buf_put(&t->text, e->mid_end);
    flush(t);
}

static void element(struct tag *t, struct str key, struct json property, struct json parameters)
{
    struct str type;
    enum kind kind = kind_of(property, &type);
    begin_sequence(t);
    buf_put(&t->text, t->row->elements->open);
    name_text(t, key, false, t->row->elements->escaped);
    middle(t, kind, type);
    value(t, kind, property, parameters);
    constant(t, t->row->elements->close);
    end_two(t);
}

/* As many elements as one likes, of any key and any value. */
static void any_elements(struct tag *t)
{
    const struct elements *e = t->row->elements;
    begin_type(t, STR("star"));
    json_key(&t->w, STR("content"));
    begin_sequence(t);
    constant(t, e->open);
    any_text(t, e->key_excluded, ARRAY_LEN(e->key_excluded));
    middle(t, ANYTHING, STR_NONE);
    value(t, e->type == TYPE_IS_STRING ? STRUCTURE : ANYTHING, JSON_NONE, JSON_NONE);
    constant(t, e->close);
    end_two(t);
    json_end(&t->w);
}

/* The names in the schema's "required". */
static void read_required(struct tag *t, struct json parameters, struct map *ret)
{
    static char present;
    struct json_iter it = json_iter(json_get(parameters, STR("required")));
    while (!it.object && json_next(&it)) {
        struct str name = json_str(it.value, t->arena);
        if (name.n && map_put(ret, name, &present, NULL) < 0)
            t->w.out->failed = true;
    }
}

static void elements(struct tag *t, const struct tag_tool *tool)
{
    struct json properties = json_get(tool->parameters, STR("properties"));
    struct map required = { 0 };
    if (tool->loose || !json_is(properties, JSON_OBJECT) || !json_count(properties)) {
        any_elements(t);
        return;
    }
    read_required(t, tool->parameters, &required);
    begin_sequence(t);
    struct json_iter it = json_iter(properties);
    while (json_next(&it)) {
        struct str key = json_str(it.key, t->arena);
        bool optional = !map_get(&required, key);
        if (optional) {
            begin_type(t, STR("optional"));
            json_key(&t->w, STR("content"));
        }
        element(t, key, it.value, tool->parameters);
        if (optional)
            json_end(&t->w);
    }
    end_two(t);
    map_fini(&required);
}

/* ---- calls ---- */

static void arguments(struct tag *t, const struct tag_tool *tool)
{
    if (t->row->elements) {
        elements(t, tool);
        return;
    }
    begin_schema(t);
    if (tool->loose)
        json_value_raw(&t->w, STR("{\"type\":\"object\"}"));
    else
        structural_tag_schema(&t->w, tool->parameters, t->arena);
    json_end(&t->w);
}

static void call_tag(struct tag *t, struct str begin, const struct tag_tool *tool)
{
    buf_put(&t->text, begin);
    name_text(t, tool->name, t->row->json_name, false);
    if (t->row->numbered) {
        buf_put_char(&t->text, ':');
        buf_put_u64(&t->text, tool->position);
    }
    buf_put(&t->text, t->row->behind_name);
    json_object(&t->w);
    json_put_str(&t->w, "begin", buf_str(&t->text));
    clear(t);
    json_key(&t->w, STR("content"));
    arguments(t, tool);
    json_put_str(&t->w, "end", t->row->end);
    json_end(&t->w);
}

static void call_tags(struct tag *t, const struct tag_tool *tools, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t b = 0; b < ARRAY_LEN(t->row->begin) && t->row->begin[b].n; b++)
            call_tag(t, t->row->begin[b], &tools[i]);
}

/* One tag around all calls. */
static void outer_tag(struct tag *t, const struct tag_tool *tools, size_t n)
{
    json_object(&t->w);
    json_put_str(&t->w, "begin", t->row->outer_begin);
    json_key(&t->w, STR("content"));
    begin_type(t, STR("tags_with_separator"));
    json_put_array(&t->w, "tags");
    call_tags(t, tools, n);
    json_end(&t->w);
    json_put_str(&t->w, "separator", t->row->separator);
    json_end(&t->w);
    json_put_str(&t->w, "end", t->row->outer_end);
    json_end(&t->w);
}

/* ---- kimi_k3 ---- */

/* TOOL NULL: of any name. */
static void kimi_k3_call(struct tag *t, const struct tag_tool *tool)
{
    begin_sequence(t);
    buf_put(&t->text, t->row->begin[0]);
    if (tool)
        name_text(t, tool->name, false, true);
    else {
        flush(t);
        any_text(t, t->row->elements->key_excluded, ARRAY_LEN(t->row->elements->key_excluded));
    }
    buf_puts(&t->text, "\" index=\"");
    flush(t);
    begin_type(t, STR("regex"));
    json_put_str(&t->w, "pattern", STR("[1-9][0-9]*"));
    json_end(&t->w);
    constant(t, STR("\"<|sep|>"));
    if (tool)
        elements(t, tool);
    else
        any_elements(t);
    constant(t, t->row->end);
    end_two(t);
}

static void kimi_k3_tags(struct tag *t, const struct tag_tool *tools, size_t n)
{
    static const struct str BEHIND[] = { STR_INIT(""), STR_INIT("<|close|>think<|sep|>"), STR_INIT("<|close|>response<|sep|>") };
    for (size_t i = 0; i < ARRAY_LEN(BEHIND); i++) {
        buf_put(&t->text, BEHIND[i]);
        buf_puts(&t->text, "<|open|>tools<|sep|>");
        json_object(&t->w);
        json_put_str(&t->w, "begin", buf_str(&t->text));
        clear(t);
        json_key(&t->w, STR("content"));
        begin_type(t, STR("plus"));
        json_key(&t->w, STR("content"));
        begin_type(t, STR("or"));
        json_put_array(&t->w, "elements");
        for (size_t k = 0; k < n; k++)
            kimi_k3_call(t, &tools[k]);
        if (!n)
            kimi_k3_call(t, NULL);
        end_two(t);
        json_end(&t->w);
        json_put_str(&t->w, "end", STR("<|close|>tools<|sep|>"));
        json_end(&t->w);
    }
}

void structural_tag_write(const struct tag_row *row, const struct tag_tool *tools, size_t n, bool at_least_one, struct arena *arena,
                          struct buf *out)
{
    struct tag t = { .row = row, .arena = arena };
    json_begin(&t.w, out);
    json_object(&t.w);
    json_put_object(&t.w, "format");
    json_put_str(&t.w, "type", STR("triggered_tags"));
    json_put_array(&t.w, "triggers");
    for (size_t i = 0; i < ARRAY_LEN(row->triggers) && row->triggers[i].n; i++)
        json_value_str(&t.w, row->triggers[i]);
    json_end(&t.w);
    json_put_array(&t.w, "tags");
    if (row->format == &TOOLCALL_KIMI_K3)
        kimi_k3_tags(&t, tools, n);
    else if (row->outer_begin.n)
        outer_tag(&t, tools, n);
    else
        call_tags(&t, tools, n);
    json_end(&t.w);
    json_put_bool(&t.w, "at_least_one", at_least_one);
    end_two(&t);
    buf_fini(&t.text);
}
