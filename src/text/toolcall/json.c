/* text/toolcall/json.c -- a call that is JSON somewhere in the text: an object with a name, or an array of such objects (spec 6.2)
 *
 * The first JSON value that holds a call is taken out; values that hold none, and everything behind, are text. An object's "name" counts, in its absence "function"; its "arguments", in
 * their absence "parameters". Arguments that are a string of JSON are that JSON.
 * A bracket that begins no JSON is text, and the search goes on behind it: a place is scanned again once per bracket that encloses it, of which there are at most JSON_SCAN_DEPTH.
 */
#include <string.h>

#include "text/toolcall/json_calls.h"

enum { SEARCH, VALUE, REST };

struct state {
    struct json_scan scan;
    uint8_t phase;
};

static const struct json_call_keys KEYS = { .name = { "name", "function" },
                                            .arguments = { "arguments", "parameters" },
                                            .unwrap_strings = true };

static size_t leave(struct toolcall_parser *p, size_t used, uint8_t phase)
{
    struct state *s = p->state;
    s->phase = phase;
    p->in_call = false;
    return used;
}

static size_t value(struct toolcall_parser *p, struct str text, bool ended)
{
    struct state *s = p->state;
    size_t used;
    enum json_scan_result r = json_scan_feed(&s->scan, str_skip(text, p->seen), &used);
    p->seen += used;
    if (r == JSON_SCAN_MORE && !ended)
        return 0;
    if (r != JSON_SCAN_DONE) {
        parser_text(p, str_first(text, 1));
        return leave(p, 1, SEARCH);
    }
    if (json_calls_tell(p, &KEYS, str_first(text, p->seen)))
        return leave(p, p->seen, REST);
    parser_text(p, str_first(text, p->seen));
    return leave(p, p->seen, SEARCH);
}

static size_t step(struct toolcall_parser *p, struct str text, bool ended)
{
    struct state *s = p->state;
    size_t at = 0;
    if (s->phase == VALUE)
        return value(p, text, ended);
    if (s->phase == SEARCH)
        while (at < text.n && text.p[at] != '{' && text.p[at] != '[')
            at++;
    else
        at = text.n;
    if (at) {
        parser_text(p, str_first(text, at));
        return at;
    }
    s->phase = VALUE;
    p->seen = 0;
    p->in_call = true;
    json_scan_init(&s->scan);
    return value(p, text, ended);
}

static const char *const ALIASES[] = { "openai_json", "generic", NULL };
const struct toolcall_format TOOLCALL_JSON = {
    .name = "json",
    .summary = "{\"name\": F, \"arguments\": {...}} or an array of such objects, anywhere in the text",
    .aliases = ALIASES,
    .json_block = true,
    .state_bytes = sizeof(struct state),
    .step = step,
};
