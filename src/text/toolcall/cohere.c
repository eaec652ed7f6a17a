/* text/toolcall/cohere.c -- <|START_ACTION|> an object or an array <|END_ACTION|>: Command R and A (spec 6.18)
 *
 * The tags around plain text are taken out, and white space around all of the text. A block that is no JSON is left out; one without its end is text.
 */
#include <string.h>

#include "text/toolcall/json_calls.h"

enum { TEXT, ACTION };
enum { START_ACTION, WRAPPERS };

struct state {
    struct markers markers;
    uint8_t phase;
    bool in_string, escaped;
};

static const struct str MARKERS[] = { STR_INIT("<|START_ACTION|>"), STR_INIT("<|START_RESPONSE|>"), STR_INIT("<|END_RESPONSE|>"),
                                      STR_INIT("<|START_TEXT|>"), STR_INIT("<|END_TEXT|>") };
static const struct str END_ACTION = STR_INIT("<|END_ACTION|>");
static const struct json_call_keys KEYS = { .name = { "tool_name", "name" }, .arguments = { "parameters", "arguments" } };

static void start(struct toolcall_parser *p)
{
    struct state *s = p->state;
    markers_init(&s->markers, MARKERS, ARRAY_LEN(MARKERS));
}

static size_t leave(struct toolcall_parser *p, size_t used)
{
    struct state *s = p->state;
    s->phase = TEXT;
    p->in_call = false;
    return used;
}

static size_t action(struct toolcall_parser *p, struct str text, bool ended)
{
    struct state *s = p->state;
    for (; p->seen < text.n; p->seen++) {
        char c = text.p[p->seen];
        if (s->in_string) {
            s->in_string = s->escaped || c != '"';
            s->escaped = c == '\\' && !s->escaped;
            continue;
        }
        struct str rest = str_skip(text, p->seen);
        if (str_has_prefix(rest, END_ACTION)) {
            json_calls_tell(p, &KEYS, (struct str){ text.p + MARKERS[START_ACTION].n, p->seen - MARKERS[START_ACTION].n });
            return leave(p, p->seen + END_ACTION.n);
        }
        if (c == '<' && rest.n < END_ACTION.n && memcmp(rest.p, END_ACTION.p, rest.n) == 0 && !ended)
            return 0;
        s->in_string = c == '"';
    }
    if (!ended)
        return 0;
    parser_text_trimmed(p, text);
    return leave(p, text.n);
}

static size_t step(struct toolcall_parser *p, struct str text, bool ended)
{
    struct state *s = p->state;
    size_t at;
    if (s->phase == ACTION)
        return action(p, text, ended);
    int marker = markers_find(&s->markers, text, 0, ended, &at);
    if (marker < 0 && !ended)
        at = arguments_whole_characters(str_first(text, at));
    if (at) {
        parser_text_trimmed(p, str_first(text, at));
        return at;
    }
    if (marker < 0)
        return 0;
    if (marker >= WRAPPERS)
        return MARKERS[marker].n;
    s->phase = ACTION;
    s->in_string = s->escaped = false;
    p->in_call = true;
    p->seen = MARKERS[START_ACTION].n;
    return action(p, text, ended);
}

static const char *const ALIASES[] = { "cohere_command3", "cohere_command4", "cohere_cmd", "command_r", "command_a", NULL };
const struct toolcall_format TOOLCALL_COHERE = {
    .name = "cohere",
    .summary = "<|START_ACTION|>[{\"tool_name\": F, \"parameters\": {...}}]<|END_ACTION|>",
    .aliases = ALIASES,
    .state_bytes = sizeof(struct state),
    .start = start,
    .step = step,
};
