/* text/toolcall/qwen.c -- <tool_call>{"name": ..., "arguments": ...}</tool_call>: Qwen 2.5 and 3, Hermes (spec 6.5) */
#include "text/toolcall/tagged.h"

static const struct tagged QWEN = {
    .openers = { STR_INIT("<tool_call>") },
    .openers_n = 1,
    .closer = STR_INIT("</tool_call>"),
    .keys = { .name = { "name" }, .arguments = { "arguments", "parameters" } },
};

static void start(struct toolcall_parser *p)
{
    tagged_start(p, &QWEN);
}

static size_t step(struct toolcall_parser *p, struct str text, bool ended)
{
    return tagged_step(p, &QWEN, text, ended);
}

static const char *const ALIASES[] = { "hermes", "qwen25", "qwen2_5", "qwen3", "qwen3_json", NULL };
const struct toolcall_format TOOLCALL_QWEN = {
    .name = "qwen",
    .summary = "<tool_call>{\"name\": F, \"arguments\": {...}}</tool_call>",
    .aliases = ALIASES,
    .json_block = true,
    .state_bytes = sizeof(struct tagged_state),
    .start = start,
    .step = step,
};
