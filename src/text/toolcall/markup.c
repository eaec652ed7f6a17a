/* text/toolcall/markup.c */
#include "text/toolcall/markup.h"

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

bool markup_tag(struct str text, struct str *ret_attributes, struct str *ret_rest)
{
    size_t at = 0;
    while (at < text.n && text.p[at] != '>' && text.p[at] != '<') {
        bool value = at > 0 && text.p[at - 1] == '=' && (text.p[at] == '"' || text.p[at] == '\'');
        if (!value) {
            at++;
            continue;
        }
        size_t end = str_find_char(str_skip(text, at + 1), text.p[at]);
        if (end == STR_NPOS)
            return false;
        at += end + 2;
        if (at < text.n && !is_blank(text.p[at]) && text.p[at] != '/' && text.p[at] != '>')
            return false;
    }
    if (at == text.n || text.p[at] == '<')
        return false;
    *ret_attributes = str_first(text, at);
    *ret_rest = str_skip(text, at + 1);
    return true;
}

/* Of the first tag in TEXT that is not damaged: what it holds, and what stands behind it. */
static bool first_tag(struct str text, const struct markup *m, struct str *ret_attributes, struct str *ret_body)
{
    size_t at, sep;
    while ((at = str_find(text, m->open)) != STR_NPOS) {
        text = str_skip(text, at + m->open.n);
        if (str_eq(m->sep, STR(">"))) {
            struct str name;
            if (markup_tag(text, ret_attributes, ret_body) &&
                (!m->named || (markup_attribute(*ret_attributes, STR("name"), &name) && name.n)))
                return true;
            continue;
        }
        if ((sep = str_find(text, m->sep)) == STR_NPOS)
            return false;
        *ret_attributes = str_first(text, sep);
        *ret_body = str_skip(text, sep + m->sep.n);
        return true;
    }
    return false;
}

bool markup_next(struct str *rest, const struct markup *m, struct markup_element *ret)
{
    struct str attributes, body;
    if (!first_tag(*rest, m, &attributes, &body))
        return false;
    size_t end = str_find(body, m->close);
    if (end == STR_NPOS)
        return false;
    *ret = (struct markup_element){ attributes, str_first(body, end) };
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
