/* text/toolcall/json_calls.c */
#include "text/toolcall/json_calls.h"

const struct json_call_keys JSON_CALL_KEYS = { .name = { "name" }, .arguments = { "arguments", "parameters" } };

static struct json first_of(struct json object, const char *const *keys)
{
    for (; *keys; keys++) {
        struct json v = json_get(object, str_of(*keys));
        if (json_exists(v))
            return v;
    }
    return JSON_NONE;
}

/* "{\"a\": 1}": the object that the string spells. */
static bool unwrap(struct toolcall_parser *p, struct json arguments)
{
    struct str text = arguments_trim(json_str(arguments, &p->scratch));
    return text.n && text.p[0] == '{' && arguments_compact_text(text, &p->scratch, &p->work);
}

/* {"F": {...}} */
static bool tell_first_member(struct toolcall_parser *p, struct json v)
{
    if (!json_is(v, JSON_OBJECT))
        return false;
    struct json_iter it = json_iter(v);
    if (!json_next(&it))
        return false;
    buf_clear(&p->work);
    if (json_is(it.value, JSON_NULL))
        buf_puts(&p->work, "{}");
    else
        arguments_compact(it.value, &p->scratch, &p->work);
    parser_call(p, json_str(it.key, &p->scratch), buf_str(&p->work));
    return true;
}

bool json_call_tell(struct toolcall_parser *p, const struct json_call_keys *keys, struct json v)
{
    if (keys->name_is_key)
        return tell_first_member(p, v);
    struct json name = first_of(v, keys->name), arguments = first_of(v, keys->arguments);
    if (!json_is(name, JSON_STRING) || (keys->arguments_needed && !json_exists(arguments)))
        return false;
    buf_clear(&p->work);
    if (!json_exists(arguments))
        buf_puts(&p->work, "{}");
    else if (!keys->unwrap_strings || !unwrap(p, arguments))
        arguments_compact(arguments, &p->scratch, &p->work);
    parser_call(p, json_str(name, &p->scratch), buf_str(&p->work));
    return true;
}

size_t json_calls_tell(struct toolcall_parser *p, const struct json_call_keys *keys, struct str text)
{
    struct json_doc doc;
    size_t n = 0;
    if (json_parse(text, &p->scratch, &doc, NULL) < 0)
        return 0;
    if (!json_is(json_root(&doc), JSON_ARRAY))
        return json_call_tell(p, keys, json_root(&doc));
    struct json_iter it = json_iter(json_root(&doc));
    while (json_next(&it))
        n += json_call_tell(p, keys, it.value);
    return n;
}
