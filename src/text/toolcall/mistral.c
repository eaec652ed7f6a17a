/* text/toolcall/mistral.c -- [TOOL_CALLS] and what follows it (spec 6.4)
 *
 *   [TOOL_CALLS] [{"name": F, "arguments": {...}}, ...]          up to tokenizer version 7
 *   [TOOL_CALLS]F[CALL_ID]ID[ARGS]{...}  [TOOL_CALLS]F{...}      from version 11 on, again for each call
 *
 * What stands behind the first block is left out, as SMG does.
 */
#include <string.h>

#include "text/toolcall/json_calls.h"

enum { TEXT, KIND, VALUE, LEFT_OUT };

struct state {
    struct markers markers;
    struct json_scan scan;
    uint8_t phase;
    size_t name_at, name_n; /* of a call in the newer form; name_n 0: the older one */
    size_t value_at;
};

static const struct str OPENER[] = { STR_INIT("[TOOL_CALLS]") };

static void start(struct toolcall_parser *p)
{
    struct state *s = p->state;
    markers_init(&s->markers, OPENER, 1);
    p->drop_after = true;
}

static size_t leave(struct toolcall_parser *p, size_t used)
{
    struct state *s = p->state;
    s->phase = TEXT;
    s->name_n = 0;
    p->in_call = false;
    return used;
}

/* The marker began nothing: it is dropped, and what follows is text like any other. */
static size_t no_call(struct toolcall_parser *p, struct str text)
{
    parser_drop(p, str_first(text, OPENER[0].n));
    return leave(p, OPENER[0].n);
}

static size_t tell(struct toolcall_parser *p, struct str text, size_t end)
{
    struct state *s = p->state;
    struct str value = { text.p + s->value_at, end - s->value_at };
    if (!s->name_n) {
        bool calls = json_calls_tell(p, &JSON_CALL_KEYS, value) > 0;
        leave(p, end);
        if (!calls) /* an array without calls, and what is behind it, is left out all the same */
            s->phase = LEFT_OUT;
        return end;
    }
    buf_clear(&p->work);
    if (!arguments_compact_text(value, &p->scratch, &p->work))
        return no_call(p, text);
    parser_call(p, (struct str){ text.p + s->name_at, s->name_n }, buf_str(&p->work));
    return leave(p, end);
}

static size_t value(struct toolcall_parser *p, struct str text, bool ended)
{
    struct state *s = p->state;
    size_t used;
    enum json_scan_result r = json_scan_feed(&s->scan, str_skip(text, p->seen), &used);
    p->seen += used;
    if (r == JSON_SCAN_DONE)
        return tell(p, text, p->seen);
    if (r == JSON_SCAN_BAD || ended)
        return no_call(p, text);
    return 0;
}

static size_t enter_value(struct toolcall_parser *p, struct str text, size_t at, bool ended)
{
    struct state *s = p->state;
    s->phase = VALUE;
    s->value_at = p->seen = at;
    json_scan_init(&s->scan);
    return value(p, text, ended);
}

static size_t blanks(struct str text, size_t at)
{
    while (at < text.n && text.p[at] && strchr(" \t\r\n", text.p[at]))
        at++;
    return at;
}

/* Behind the name: [CALL_ID]..., [ARGS] or the arguments themselves. Returns where the value begins; 0: more is needed, or (*BAD) this is no call. */
static size_t behind_name(struct str text, size_t at, bool *bad)
{
    static const struct str ID = STR_INIT("[CALL_ID]"), ARGS = STR_INIT("[ARGS]");
    if (str_has_prefix(str_skip(text, at), ID)) {
        at += ID.n;
        while (at < text.n && text.p[at] != '[' && text.p[at] != '{')
            at++;
    }
    struct str rest = str_skip(text, at);
    if (str_has_prefix(rest, ARGS))
        return blanks(text, at + ARGS.n);
    if (rest.n && rest.p[0] == '{')
        return at;
    bool cut = (rest.n < ARGS.n && memcmp(rest.p, ARGS.p, rest.n) == 0) || (rest.n < ID.n && memcmp(rest.p, ID.p, rest.n) == 0);
    *bad = !cut;
    return 0;
}

/* What does the marker open? */
static size_t kind(struct toolcall_parser *p, struct str text, bool ended)
{
    struct state *s = p->state;
    size_t at = blanks(text, OPENER[0].n), end = at;
    bool bad = false;
    if (at < text.n && text.p[at] == '[')
        return enter_value(p, text, at, ended);
    while (end < text.n && text.p[end] && !strchr("[{ \t\r\n\"'(),:;<>", text.p[end]))
        end++;
    size_t value_at = end == text.n ? 0 : end == at ? (bad = true, 0) : behind_name(text, blanks(text, end), &bad);
    if (value_at && value_at < text.n) {
        s->name_at = at;
        s->name_n = end - at;
        return enter_value(p, text, value_at, ended);
    }
    return bad || ended ? no_call(p, text) : 0;
}

static size_t step(struct toolcall_parser *p, struct str text, bool ended)
{
    struct state *s = p->state;
    int marker;
    if (s->phase == LEFT_OUT)
        return text.n;
    if (s->phase == VALUE)
        return value(p, text, ended);
    if (s->phase == TEXT) {
        size_t used = parser_text_until(p, &s->markers, text, ended, &marker);
        if (used || marker < 0)
            return used;
        s->phase = KIND;
        p->in_call = true;
    }
    return kind(p, text, ended);
}

static const char *const ALIASES[] = { "mixtral", "magistral", "devstral", "codestral", "ministral", NULL };
const struct toolcall_format TOOLCALL_MISTRAL = {
    .name = "mistral",
    .summary = "[TOOL_CALLS] [{\"name\": F, \"arguments\": {...}}, ...] or [TOOL_CALLS]F[ARGS]{...}",
    .aliases = ALIASES,
    .json_block = true,
    .state_bytes = sizeof(struct state),
    .start = start,
    .step = step,
};
