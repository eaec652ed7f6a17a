/* dispatch/splice.c -- one walk over the outermost members: the text between two replaced values is copied in one piece */
#include "dispatch/splice.h"

#include <assert.h>

static const struct splice *wanted(const struct splice *set, size_t n, struct json key, size_t *ret_at)
{
    for (size_t i = 0; i < n; i++) {
        if (json_str_eq(key, set[i].name)) {
            *ret_at = i;
            return &set[i];
        }
    }
    return NULL;
}

static void put_member(struct buf *out, const struct splice *s)
{
    buf_put_char(out, '"');
    buf_put(out, s->name);
    buf_puts(out, "\":");
    buf_put(out, s->value);
}

int splice_members(struct str text, const struct splice *set, size_t n, struct arena *scratch, struct buf *out)
{
    bool there[SPLICES_MAX] = { false };
    struct json_doc doc;
    struct json_iter it;
    struct json root;
    const char *copied = text.p, *close;
    bool empty;
    size_t at;
    int r;

    assert(n <= SPLICES_MAX);
    r = json_parse(text, scratch, &doc, NULL);
    if (r < 0)
        return r == ERR_NOMEM ? r : ERR_INVALID;
    root = json_root(&doc);
    if (!json_is(root, JSON_OBJECT))
        return ERR_INVALID;
    it = json_iter(root);
    while (json_next(&it)) {
        const struct splice *s = wanted(set, n, it.key, &at);
        struct str old;

        if (!s)
            continue;
        there[at] = true;
        old = json_raw(it.value);
        buf_put(out, str_range(copied, old.p));
        buf_put(out, s->value);
        copied = old.p + old.n;
    }
    close = json_raw(root).p + json_raw(root).n - 1;
    buf_put(out, str_range(copied, close));
    empty = json_count(root) == 0;
    for (size_t i = 0; i < n; i++) {
        if (there[i] || set[i].when == SPLICE_IF_THERE)
            continue;
        if (!empty)
            buf_put_char(out, ',');
        put_member(out, &set[i]);
        empty = false;
    }
    buf_put(out, str_range(close, text.p + text.n));
    return out->failed ? ERR_NOMEM : 0;
}
