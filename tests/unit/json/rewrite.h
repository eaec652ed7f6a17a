/* rewrite.h -- a document written again, compact: the canonical form that oracles compare
 *
 * Strings and keys go through json_str and the writer, numbers stay as they are in the text, duplicate keys are kept.
 */
#pragma once

#include "json/json.h"
#include "json/json_write.h"

/* The writer takes 63 levels, a document may have 128: brackets are put by hand, values by the writer. */
static void rewrite_value(struct buf *out, struct json v, struct arena *arena)
{
    struct json_writer w;

    json_begin(&w, out);
    if (json_is(v, JSON_STRING)) {
        json_value_str(&w, json_str(v, arena));
        return;
    }
    if (!json_is(v, JSON_ARRAY) && !json_is(v, JSON_OBJECT)) {
        json_value_raw(&w, json_raw(v));
        return;
    }
    bool object = json_is(v, JSON_OBJECT), first = true;
    struct json_iter it = json_iter(v);
    buf_put_char(out, object ? '{' : '[');
    while (json_next(&it)) {
        if (!first)
            buf_put_char(out, ',');
        first = false;
        if (object) {
            rewrite_value(out, it.key, arena);
            buf_put_char(out, ':');
        }
        rewrite_value(out, it.value, arena);
    }
    buf_put_char(out, object ? '}' : ']');
}
