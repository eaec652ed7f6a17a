/* text/toolcall/markup.c */
#include "text/toolcall/markup.h"

bool markup_next(struct str *rest, const struct markup *m, struct markup_element *ret)
{
    size_t at = str_find(*rest, m->open);
    if (at == STR_NPOS)
        return false;
    struct str attributes = str_skip(*rest, at + m->open.n);
    size_t sep = str_find(attributes, m->sep);
    if (sep == STR_NPOS)
        return false;
    struct str body = str_skip(attributes, sep + m->sep.n);
    size_t end = str_find(body, m->close);
    if (end == STR_NPOS)
        return false;
    *ret = (struct markup_element){ str_first(attributes, sep), str_first(body, end) };
    *rest = str_skip(body, end + m->close.n);
    return true;
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

bool markup_attribute(struct str attributes, struct str name, struct str *ret)
{
    size_t at = 0;
    while (at < attributes.n) {
        if (!is_word(attributes.p[at])) {
            at++;
            continue;
        }
        size_t from = at;
        while (at < attributes.n && is_word(attributes.p[at]))
            at++;
        struct str word = { attributes.p + from, at - from };
        if (at + 1 >= attributes.n || attributes.p[at] != '=' || (attributes.p[at + 1] != '"' && attributes.p[at + 1] != '\''))
            continue;
        struct str value = str_skip(attributes, at + 2);
        size_t end = str_find_char(value, attributes.p[at + 1]);
        if (end == STR_NPOS)
            return false;
        if (str_eq(word, name)) {
            *ret = str_first(value, end);
            return true;
        }
        at += 2 + end + 1;
    }
    return false;
}

static struct str replace(struct str text, const struct markup_entity *e, struct arena *arena)
{
    if (str_find(text, e->name) == STR_NPOS)
        return text;
    char *out = arena_alloc(arena, text.n); /* a value is never longer than its name */
    size_t n = 0, at;
    if (!out)
        return text; /* the arena's failure is sticky */
    while ((at = str_find(text, e->name)) != STR_NPOS) {
        memcpy(out + n, text.p, at);
        if (e->value.n)
            memcpy(out + n + at, e->value.p, e->value.n);
        n += at + e->value.n;
        text = str_skip(text, at + e->name.n);
    }
    if (text.n)
        memcpy(out + n, text.p, text.n);
    return (struct str){ out, n + text.n };
}

struct str markup_unescape(struct str text, const struct markup_entity *entities, size_t n, struct arena *arena)
{
    for (size_t i = 0; i < n; i++)
        text = replace(text, &entities[i], arena);
    return text;
}
