/* text/toolcall/inkling.c -- <|message_model|>F<|content_invoke_tool_json|>{"name": ..., "args": {...}}<|end_message|>: Inkling (spec 6.16)
 *
 *   TEXT --message_model--> HEADER --any token--> TEXT        the header is left out, and so are the tokens
 *     |---invoke_tool_json--> JSON --a call--> JSON_END --its end token, or anything else--> TEXT
 *     |                        +-----no call--+
 *     +---invoke_tool_text------------------> DISCARD --end token--> TEXT
 *
 * A frame that is no call is left out up to the first end token behind its opener. White space is content like all other text.
 */
#include "text/toolcall/format.h"

enum { TEXT, HEADER, JSON, JSON_END, DISCARD };
enum { END_MESSAGE, END_SAMPLING, MESSAGE_MODEL, TOOL_JSON, TOOL_TEXT };

struct state {
    struct markers tokens;
    struct json_scan scan;
    uint8_t phase;
};

static const struct str TOKENS[] = {
    STR_INIT("<|end_message|>"),
    STR_INIT("<|content_model_end_sampling|>"),
    STR_INIT("<|message_model|>"),
    STR_INIT("<|content_invoke_tool_json|>"),
    STR_INIT("<|content_invoke_tool_text|>"),
    STR_INIT("<|content_text|>"),
    STR_INIT("<|content_thinking|>"),
};

static void start(struct toolcall_parser *p)
{
    struct state *s = p->state;
    markers_init(&s->tokens, TOKENS, ARRAY_LEN(TOKENS));
}

static size_t enter(struct toolcall_parser *p, uint8_t phase, size_t used)
{
    struct state *s = p->state;
    s->phase = phase;
    p->in_call = phase == JSON || phase == DISCARD;
    return used;
}

/* JSON is a whole value: tells it when it is a call. */
static bool tell(struct toolcall_parser *p, struct str json)
{
    struct json_doc doc;
    if (json_parse(json, &p->scratch, &doc, NULL) < 0)
        return false;
    struct json name = json_get(json_root(&doc), STR("name")), args = json_get(json_root(&doc), STR("args"));
    if (!json_is(name, JSON_STRING) || !json_is(args, JSON_OBJECT))
        return false;
    buf_clear(&p->work);
    arguments_compact(args, &p->scratch, &p->work);
    parser_call(p, json_str(name, &p->scratch), buf_str(&p->work));
    return true;
}

static size_t json(struct toolcall_parser *p, struct str text, bool ended)
{
    struct state *s = p->state;
    size_t used, opener = TOKENS[TOOL_JSON].n;
    enum json_scan_result r = json_scan_feed(&s->scan, str_skip(text, p->seen), &used);
    p->seen += used;
    if (r == JSON_SCAN_MORE && !ended)
        return 0;
    if (r == JSON_SCAN_DONE && tell(p, (struct str){ text.p + opener, p->seen - opener }))
        return enter(p, JSON_END, p->seen);
    return enter(p, DISCARD, opener);
}

/* Behind a call: its end token, with white space in front of it, goes; everything else is text again. */
static size_t json_end(struct toolcall_parser *p, struct str text, bool ended)
{
    struct state *s = p->state;
    size_t at = p->seen, marker_at;
    while (at < text.n && (text.p[at] == ' ' || text.p[at] == '\n' || text.p[at] == '\r' || text.p[at] == '\t'))
        at++;
    p->seen = at;
    /* No further than the longest token: a place behind this one does not matter. */
    int marker = markers_find(&s->tokens, str_first(text, at + MARKER_MAX), at, ended, &marker_at);
    if (marker_at == at && (marker == END_MESSAGE || marker == END_SAMPLING))
        return enter(p, TEXT, at + TOKENS[marker].n);
    if (marker_at == at && marker < 0 && !ended)
        return 0;
    parser_text(p, str_first(text, at));
    p->seen = 0;
    return enter(p, TEXT, at);
}

static size_t discarded(struct toolcall_parser *p, struct str text, bool ended)
{
    struct state *s = p->state;
    size_t at;
    int marker = markers_find(&s->tokens, text, 0, ended, &at);
    if (marker == END_MESSAGE || marker == END_SAMPLING)
        return enter(p, TEXT, at + TOKENS[marker].n);
    return marker < 0 ? at : at + TOKENS[marker].n;
}

static size_t text_or_header(struct toolcall_parser *p, struct str text, bool ended)
{
    struct state *s = p->state;
    size_t at;
    int marker = markers_find(&s->tokens, text, 0, ended, &at);
    if (at) {
        if (s->phase == TEXT)
            parser_text(p, str_first(text, at));
        return at;
    }
    switch (marker) {
    case -1:
        return 0;
    case MESSAGE_MODEL:
        return enter(p, HEADER, TOKENS[marker].n);
    case TOOL_TEXT:
        return enter(p, DISCARD, TOKENS[marker].n);
    case TOOL_JSON:
        json_scan_init(&s->scan);
        p->seen = TOKENS[marker].n;
        (void)enter(p, JSON, 0);
        return json(p, text, ended);
    default:
        return enter(p, TEXT, TOKENS[marker].n);
    }
}

static size_t step(struct toolcall_parser *p, struct str text, bool ended)
{
    struct state *s = p->state;
    switch (s->phase) {
    case JSON:
        return json(p, text, ended);
    case DISCARD:
        return discarded(p, text, ended);
    case JSON_END: {
        size_t used = json_end(p, text, ended);
        return used || s->phase == JSON_END ? used : text_or_header(p, text, ended);
    }
    default:
        return text_or_header(p, text, ended);
    }
}

const struct toolcall_format TOOLCALL_INKLING = {
    .name = "inkling",
    .summary = "<|message_model|>F<|content_invoke_tool_json|>{\"name\": F, \"args\": {...}}<|end_message|>",
    .json_block = true,
    .state_bytes = sizeof(struct state),
    .start = start,
    .step = step,
};
