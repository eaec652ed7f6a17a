/* text/reasoning/inkling.c -- typed blocks between control tokens: Inkling (spec parsers 8.6)
 *
 *   OUTSIDE, HEADER, THOUGHT, CONTENT --message_model--> HEADER    left out
 *                                     --content_thinking--> THOUGHT
 *                                     --content_text--> CONTENT    text, and so is what stands OUTSIDE of any block
 *                                     --content_invoke_tool_json--> TOOL    text with its tokens and all, for the parser of tool calls
 *                                     --content_invoke_tool_text--> IGNORED    left out
 *   any --end_message, content_model_end_sampling--> OUTSIDE
 *
 * Tokens are taken out, but for those of TOOL. Other tokens of the model change nothing.
 */
#include "text/reasoning/format.h"

enum { OUTSIDE, HEADER, THOUGHT, CONTENT, TOOL, IGNORED };
enum { END_MESSAGE, END_SAMPLING, MESSAGE_MODEL, THINKING, TEXT, TOOL_JSON, TOOL_TEXT };

static const struct str TOKENS[] = {
    STR_INIT("<|end_message|>"),
    STR_INIT("<|content_model_end_sampling|>"),
    STR_INIT("<|message_model|>"),
    STR_INIT("<|content_thinking|>"),
    STR_INIT("<|content_text|>"),
    STR_INIT("<|content_invoke_tool_json|>"),
    STR_INIT("<|content_invoke_tool_text|>"),
    STR_INIT("<|endoftext|>"),
    STR_INIT("<|message_user|>"),
    STR_INIT("<|message_system|>"),
    STR_INIT("<|message_tool|>"),
    STR_INIT("<|content_image|>"),
    STR_INIT("<|content_audio_input|>"),
    STR_INIT("<|content_tool_error|>"),
    STR_INIT("<|content_xml|>"),
    STR_INIT("<|audio_end|>"),
};
_Static_assert(ARRAY_LEN(TOKENS) <= MARKERS_MAX, "all are looked for at once");

static void enter(struct reasoning_parser *p, uint8_t phase)
{
    p->phase = phase;
    p->in_thought = phase == THOUGHT;
}

static void start(struct reasoning_parser *p)
{
    markers_init(&p->markers, TOKENS, ARRAY_LEN(TOKENS));
    enter(p, p->config.started ? THOUGHT : OUTSIDE);
}

static void say(struct reasoning_parser *p, struct str text)
{
    if (p->phase != HEADER && p->phase != IGNORED)
        reasoning_say(p, p->in_thought, text);
}

static void on_token(struct reasoning_parser *p, int token)
{
    bool ends = token == END_MESSAGE || token == END_SAMPLING;
    if (p->phase == TOOL)
        say(p, TOKENS[token]);
    if (ends)
        enter(p, OUTSIDE);
    if (ends || p->phase == TOOL || p->phase == IGNORED)
        return;
    switch (token) {
    case MESSAGE_MODEL:
        enter(p, HEADER);
        break;
    case THINKING:
        enter(p, THOUGHT);
        break;
    case TEXT:
        enter(p, CONTENT);
        break;
    case TOOL_JSON:
        enter(p, TOOL);
        say(p, TOKENS[token]);
        break;
    case TOOL_TEXT:
        enter(p, IGNORED);
        break;
    default:
        break;
    }
}

static size_t step(struct reasoning_parser *p, struct str text, bool ended)
{
    size_t used = 0, at;
    while (used < text.n) {
        int token = markers_find(&p->markers, text, used, ended, &at);
        say(p, (struct str){ text.p + used, at - used });
        if (token < 0)
            return at;
        on_token(p, token);
        used = at + TOKENS[token].n;
    }
    return used;
}

const struct reasoning_format REASONING_INKLING = {
    .name = STR_INIT("inkling"),
    .summary =
        STR_INIT("<|message_model|><|content_thinking|>THOUGHT<|end_message|><|message_model|><|content_text|>TEXT<|end_message|>"),
    .needs_specials = true,
    .start = start,
    .step = step,
};
