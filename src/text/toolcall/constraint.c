/* text/toolcall/constraint.c -- what the choice asks for, the tools it leaves, the schema of an array of calls */
#include "text/toolcall/constraint.h"

#include "base/map.h"
#include "json/json_write.h"
#include "text/toolcall/structural_tag.h"

/* ---- the choice ---- */

enum wanted { NOTHING, STRICT_ONLY, AT_LEAST_ONE, THE_FUNCTION };

struct choice {
    enum wanted wanted;
    struct json function; /* THE_FUNCTION: its name */
    struct json allowed;  /* the list of allowed tools; absent: all */
};

/* allowed_tools in OpenAI's form (nested) or SMG's (flat): {"mode", "tools": [{"type": "function", "name" or "function": {"name"}}]}. */
static struct choice read_allowed(struct json object)
{
    struct json nested = json_get(object, STR("allowed_tools")), list = json_exists(nested) ? nested : object;
    bool required = json_str_eq(json_get(list, STR("mode")), STR("required"));
    return (struct choice){ required ? AT_LEAST_ONE : STRICT_ONLY, .allowed = json_get(list, STR("tools")) };
}

static struct choice read_choice(struct json v)
{
    struct json type = json_get(v, STR("type")), function = json_get(json_get(v, STR("function")), STR("name"));
    if (json_is_null(v) || json_str_eq(v, STR("auto")))
        return (struct choice){ STRICT_ONLY };
    if (json_str_eq(v, STR("required")))
        return (struct choice){ AT_LEAST_ONE };
    if (json_str_eq(type, STR("function")) && json_is(function, JSON_STRING))
        return (struct choice){ THE_FUNCTION, .function = function };
    if (json_str_eq(type, STR("allowed_tools")))
        return read_allowed(v);
    return (struct choice){ NOTHING };
}

bool constraint_must_call(struct json choice, struct json *ret_function)
{
    struct choice c = read_choice(choice);
    *ret_function = c.function;
    return c.wanted == AT_LEAST_ONE || c.wanted == THE_FUNCTION;
}

/* The names of allowed tools, to be looked up. ERR_NOMEM. */
static int read_names(struct json allowed, struct arena *arena, struct map *ret)
{
    static char present;
    struct json_iter it = json_iter(allowed);
    while (json_next(&it)) {
        struct json flat = json_get(it.value, STR("name")), nested = json_get(json_get(it.value, STR("function")), STR("name"));
        struct str name = json_str(json_exists(flat) ? flat : nested, arena);
        if (name.n && map_put(ret, name, &present, NULL) < 0)
            return ERR_NOMEM;
    }
    return 0;
}

/* ---- the tools that are left ---- */

struct offer {
    struct tag_tool *tools; /* arena */
    size_t n;
    size_t left; /* and those without a name */
    bool strict; /* one of them is */
};

static bool is_left(const struct choice *choice, const struct map *names, struct str name)
{
    if (choice->wanted == THE_FUNCTION)
        return json_str_eq(choice->function, name);
    return !json_exists(choice->allowed) || map_get(names, name);
}

static int read_offer(struct json tools, const struct choice *choice, struct arena *arena, struct offer *ret)
{
    struct map names = { 0 };
    int r = read_names(choice->allowed, arena, &names);
    struct offer o = { .tools = arena_array(arena, json_count(tools) + 1, sizeof(*o.tools)) };
    struct json_iter it = json_iter(tools);
    while (r == 0 && o.tools && json_is(tools, JSON_ARRAY) && json_next(&it)) {
        struct json function = json_get(it.value, STR("function"));
        struct str name = json_str(json_get(function, STR("name")), arena);
        bool strict = json_is(json_get(function, STR("strict")), JSON_TRUE);
        if (!is_left(choice, &names, name))
            continue;
        if (name.n) {
            o.tools[o.n++] =
                (struct tag_tool){ name, json_get(function, STR("parameters")), o.left, choice->wanted == STRICT_ONLY && !strict };
            o.strict = o.strict || strict;
        }
        o.left++;
    }
    map_fini(&names);
    if (r < 0 || arena->failed)
        return ERR_NOMEM;
    *ret = o;
    return 0;
}

/* ---- JSON schemas ---- */

#define SAME_MEMBERS_MAX 256 /* objects of more members are the same only when their texts are */

static bool same(struct json a, struct json b, struct arena *arena);

static bool same_members(struct json a, struct json b, struct arena *arena)
{
    struct json_iter it = json_iter(a);
    if (json_count(a) != json_count(b) || json_count(a) > SAME_MEMBERS_MAX)
        return false;
    while (json_next(&it)) {
        struct json other = json_get(b, json_str(it.key, arena));
        if (!json_exists(other) || !same(it.value, other, arena))
            return false;
    }
    return true;
}

static bool same_elements(struct json a, struct json b, struct arena *arena)
{
    struct json_iter ia = json_iter(a), ib = json_iter(b);
    while (json_next(&ia) && json_next(&ib))
        if (!same(ia.value, ib.value, arena))
            return false;
    return json_count(a) == json_count(b);
}

/* Do A and B say the same, whatever the order of members? */
static bool same(struct json a, struct json b, struct arena *arena)
{
    if (json_node(a)->type != json_node(b)->type)
        return false;
    if (str_eq(json_raw(a), json_raw(b)))
        return true;
    if (json_is(a, JSON_OBJECT))
        return same_members(a, b, arena);
    if (json_is(a, JSON_ARRAY))
        return same_elements(a, b, arena);
    if (json_is(a, JSON_STRING))
        return json_str_eq(a, json_str(b, arena));
    double x, y;
    return json_to_double(a, &x) == 0 && json_to_double(b, &y) == 0 && x == y;
}

/* What a name in "$defs" stands for; the first of equal ones is printed. */
struct definition {
    struct json schema;
};

static int definition(struct map *seen, struct str name, struct json schema, struct json_writer *w, struct arena *arena,
                      struct err *err)
{
    const struct definition *d = map_get(seen, name);
    if (d && !same(d->schema, schema, arena))
        return err_set(err, ERR_INVALID, "Tool definition '%.*s' has multiple conflicting schemas", STR_FMT(name));
    if (d)
        return 0;
    struct definition *entry = arena_new(arena, struct definition);
    if (!entry || map_put(seen, name, entry, NULL) < 0)
        return ERR_NOMEM;
    entry->schema = schema;
    if (seen->n == 1) {
        json_key(w, STR("$defs"));
        json_object(w);
    }
    json_key(w, name);
    structural_tag_schema(w, schema, arena);
    return 0;
}

/* The "$defs" of all tools, one member for each name. */
static int definitions(struct json_writer *w, const struct offer *o, struct arena *arena, struct err *err)
{
    struct map seen = { 0 };
    int r = 0;
    for (size_t i = 0; i < o->n && r == 0; i++) {
        struct json_iter it = json_iter(json_get(o->tools[i].parameters, STR("$defs")));
        while (r == 0 && it.object && json_next(&it))
            r = definition(&seen, json_str(it.key, arena), it.value, w, arena, err);
    }
    if (seen.n)
        json_end(w);
    map_fini(&seen);
    return r;
}

/* [{"name": one of the tools, "parameters": as its schema has it}, ...] */
static int array_schema(const struct offer *o, struct arena *arena, struct buf *out, struct err *err)
{
    struct json_writer w;
    json_begin(&w, out);
    json_object(&w);
    json_put_str(&w, "type", STR("array"));
    json_put_u64(&w, "minItems", 1);
    json_put_object(&w, "items");
    json_put_str(&w, "type", STR("object"));
    json_put_array(&w, "anyOf");
    for (size_t i = 0; i < o->n; i++) {
        json_object(&w);
        json_put_object(&w, "properties");
        json_put_object(&w, "name");
        json_put_str(&w, "type", STR("string"));
        json_put_array(&w, "enum");
        json_value_str(&w, o->tools[i].name);
        json_end(&w);
        json_end(&w);
        json_key(&w, STR("parameters"));
        structural_tag_schema(&w, o->tools[i].parameters, arena);
        json_end(&w);
        json_put_array(&w, "required");
        json_value_str(&w, STR("name"));
        json_value_str(&w, STR("parameters"));
        json_end(&w);
        json_end(&w);
    }
    json_end(&w);
    json_end(&w);
    int r = definitions(&w, o, arena, err);
    json_end(&w);
    return r;
}

/* ---- the constraint ---- */

static int write_constraint(const struct toolcall_format *f, const struct choice *choice, const struct offer *o,
                            struct arena *arena, struct buf *out, enum constraint_type *ret_type, struct err *err)
{
    struct json_writer w;
    const struct tag_row *tag = structural_tag_row(f);
    if (!o->n && f != &TOOLCALL_KIMI_K3)
        tag = NULL;
    if (choice->wanted == NOTHING || !o->left || (!o->n && !tag) || (choice->wanted == STRICT_ONLY && !(o->strict && tag)))
        return 0;
    *ret_type = tag ? CONSTRAINT_STRUCTURAL_TAG : CONSTRAINT_JSON_SCHEMA;
    if (tag)
        structural_tag_write(tag, o->tools, o->n, choice->wanted != STRICT_ONLY, arena, out);
    else if (choice->wanted == AT_LEAST_ONE)
        return array_schema(o, arena, out, err);
    else {
        json_begin(&w, out);
        structural_tag_schema(&w, o->tools[0].parameters, arena);
    }
    return 0;
}

int constraint_make(const struct toolcall_format *f, struct json tools, struct json choice, struct arena *arena,
                    struct constraint *ret, struct err *err)
{
    struct choice c = read_choice(choice);
    struct constraint made = { CONSTRAINT_NONE };
    struct offer o = { 0 };
    struct buf out = { 0 };
    int r = json_is(tools, JSON_ARRAY) && json_count(tools) ? read_offer(tools, &c, arena, &o) : (c.wanted = NOTHING, 0);
    if (r == 0)
        r = write_constraint(f, &c, &o, arena, &out, &made.type, err);
    if (r == 0 && made.type != CONSTRAINT_NONE)
        made.value = arena_str(arena, buf_str(&out));
    if (r == 0 && (out.failed || arena->failed))
        r = ERR_NOMEM;
    buf_fini(&out);
    if (r == ERR_NOMEM)
        return err_set(err, r, "out of memory while a constraint was made");
    if (r == 0)
        *ret = made;
    return r;
}

struct str constraint_type_name(enum constraint_type type)
{
    static const struct str NAMES[] = { STR_INIT("none"), STR_INIT("structural_tag"), STR_INIT("json_schema") };
    return NAMES[type];
}

bool constraint_has_tag(const struct toolcall_format *f)
{
    return structural_tag_row(f) != NULL;
}
