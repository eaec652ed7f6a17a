/* text/toolcall/tagged_rows.c -- formats beyond SMG's that are JSON between two tags: rows of tagged.h
 *
 * What they look like is known from the engines that serve them, their tests and their guide pages (vLLM 2026: docs/features/tool_calling.md, vllm/tool_parsers/NAME_tool_parser.py and
 * tests/tool_parsers/test_NAME_tool_parser.py; SGLang 2026: python/sglang/srt/function_call/NAME_detector.py) and from the chat templates of the models:
 *
 *   apertus         vLLM apertus, SGLang apertus2509: one object per call, the function's name is its key
 *   ernie45         vLLM ernie45: like Qwen's, with <response> and </response> around text
 *   gigachat3       vLLM and SGLang gigachat3: version 3 writes the header of a message, 3.1 a token of its own; </s> and <|message_sep|> may follow
 *   granite         vLLM granite: 3.0 writes <|tool_call|>, 3.1 and later <tool_call>, some nothing; a list, no end tag
 *   granite4        vLLM granite4: like Qwen's; arguments may be a string of JSON
 *   granite_20b_fc  vLLM granite-20b-fc: one object behind each tag, no end tag
 *   hunyuan_a13b    vLLM hunyuan_a13b: as jamba; the end of the answer (</answer>) follows, so text behind is left out
 *   internlm        vLLM internlm, SGLang interns1: with a blank between the two opening tags or without; parameters or arguments
 *   jamba           vLLM jamba
 *   longcat         vLLM and SGLang longcat
 *   nemotron_json   vLLM nemotron_json_tool_parser.py and the model card of Nemotron Nano 2
 *   phi4_mini_json  vLLM phi4_mini_json: a word that is also a Python module; what is no list of calls behind it is text
 *   trinity         SGLang trinity: like Qwen's, also inside thoughts, whose tags are left out
 *   xlam            vLLM xlam: a bare list, or in one of four wrappings; <think> blocks stay content
 */
#include "text/toolcall/tagged.h"

static void start(struct toolcall_parser *p)
{
    tagged_start(p, p->format->row);
}

static size_t step(struct toolcall_parser *p, struct str text, bool ended)
{
    return tagged_step(p, p->format->row, text, ended);
}

#define TAGGED(name_, summary_, row_, aliases_)                                                                                    \
    {                                                                                                                              \
        .name = (name_), .summary = (summary_), .aliases = (aliases_), .row = &(row_), .state_bytes = sizeof(struct tagged_state), \
        .start = start, .step = step                                                                                               \
    }
#define NAME_ARGUMENTS                                                 \
    {                                                                  \
        .name = { "name" }, .arguments = { "arguments", "parameters" } \
    }

static const struct tagged APERTUS = {
    .openers = { STR_INIT("<|tools_prefix|>") },
    .openers_n = 1,
    .closer = STR_INIT("<|tools_suffix|>"),
    .keys = { .name_is_key = true },
};
static const char *const APERTUS_ALIASES[] = { "apertus2509", NULL };
const struct toolcall_format TOOLCALL_APERTUS =
    TAGGED("apertus", "<|tools_prefix|>[{\"F\": {...}}, ...]<|tools_suffix|>", APERTUS, APERTUS_ALIASES);

static const struct tagged ERNIE45 = {
    .openers = { STR_INIT("<tool_call>") },
    .openers_n = 1,
    .closer = STR_INIT("</tool_call>"),
    .ignored = { STR_INIT("<response>"), STR_INIT("</response>") },
    .ignored_n = 2,
    .keys = NAME_ARGUMENTS,
};
static const char *const ERNIE45_ALIASES[] = { "ernie4_5", "ernie", NULL };
const struct toolcall_format TOOLCALL_ERNIE45 = TAGGED("ernie45",
                                                       "<tool_call>{\"name\": F, \"arguments\": {...}}</tool_call>, text in "
                                                       "<response>...</response>",
                                                       ERNIE45, ERNIE45_ALIASES);

static const struct tagged GIGACHAT3 = {
    .openers = { STR_INIT("<|function_call|>"), STR_INIT("<|message_sep|>\n\nfunction call<|role_sep|>\n"),
                 STR_INIT("function call<|role_sep|>\n") },
    .openers_n = 3,
    .ignored = { STR_INIT("<|message_sep|>"), STR_INIT("</s>") },
    .ignored_n = 2,
    .keys = NAME_ARGUMENTS,
};
static const char *const GIGACHAT3_ALIASES[] = { "gigachat", "gigachat31", NULL };
const struct toolcall_format TOOLCALL_GIGACHAT3 = TAGGED("gigachat3",
                                                         "<|function_call|>{\"name\": F, \"arguments\": {...}}, or behind "
                                                         "<|message_sep|>\\n\\nfunction call<|role_sep|>\\n",
                                                         GIGACHAT3, GIGACHAT3_ALIASES);

static const struct tagged GRANITE = {
    .openers = { STR_INIT("<|tool_call|>"), STR_INIT("<tool_call>") },
    .openers_n = 2,
    .keys = { .name = { "name" }, .arguments = { "arguments" }, .arguments_needed = true },
    .bare = true,
};
static const char *const GRANITE_ALIASES[] = { "granite3", NULL };
const struct toolcall_format TOOLCALL_GRANITE =
    TAGGED("granite", "<|tool_call|>[{\"name\": F, \"arguments\": {...}}, ...]", GRANITE, GRANITE_ALIASES);

static const struct tagged GRANITE4 = {
    .openers = { STR_INIT("<tool_call>") },
    .openers_n = 1,
    .closer = STR_INIT("</tool_call>"),
    .keys = { .name = { "name" }, .arguments = { "arguments", "parameters" }, .unwrap_strings = true },
};
const struct toolcall_format TOOLCALL_GRANITE4 =
    TAGGED("granite4", "<tool_call>{\"name\": F, \"arguments\": {...}}</tool_call>", GRANITE4, NULL);

static const struct tagged GRANITE_20B_FC = {
    .openers = { STR_INIT("<function_call>") },
    .openers_n = 1,
    .keys = NAME_ARGUMENTS,
};
const struct toolcall_format TOOLCALL_GRANITE_20B_FC =
    TAGGED("granite_20b_fc", "<function_call>{\"name\": F, \"arguments\": {...}}", GRANITE_20B_FC, NULL);

static const struct tagged HUNYUAN_A13B = {
    .openers = { STR_INIT("<tool_calls>") },
    .openers_n = 1,
    .closer = STR_INIT("</tool_calls>"),
    .keys = NAME_ARGUMENTS,
    .drop_after = true,
};
const struct toolcall_format TOOLCALL_HUNYUAN_A13B =
    TAGGED("hunyuan_a13b", "<tool_calls>[{\"name\": F, \"arguments\": {...}}, ...]</tool_calls>", HUNYUAN_A13B, NULL);

static const struct tagged INTERNLM = {
    .openers = { STR_INIT("<|action_start|><|plugin|>"), STR_INIT("<|action_start|> <|plugin|>") },
    .openers_n = 2,
    .closer = STR_INIT("<|action_end|>"),
    .keys = { .name = { "name" }, .arguments = { "parameters", "arguments" } },
};
static const char *const INTERNLM_ALIASES[] = { "interns1", "intern_s1", "internlm2", NULL };
const struct toolcall_format TOOLCALL_INTERNLM = TAGGED("internlm",
                                                        "<|action_start|><|plugin|>{\"name\": F, \"parameters\": {...}}"
                                                        "<|action_end|>",
                                                        INTERNLM, INTERNLM_ALIASES);

static const struct tagged JAMBA = {
    .openers = { STR_INIT("<tool_calls>") },
    .openers_n = 1,
    .closer = STR_INIT("</tool_calls>"),
    .keys = NAME_ARGUMENTS,
};
const struct toolcall_format TOOLCALL_JAMBA =
    TAGGED("jamba", "<tool_calls>[{\"name\": F, \"arguments\": {...}}, ...]</tool_calls>", JAMBA, NULL);

static const struct tagged LONGCAT = {
    .openers = { STR_INIT("<longcat_tool_call>") },
    .openers_n = 1,
    .closer = STR_INIT("</longcat_tool_call>"),
    .keys = NAME_ARGUMENTS,
};
const struct toolcall_format TOOLCALL_LONGCAT = TAGGED("longcat",
                                                       "<longcat_tool_call>{\"name\": F, \"arguments\": {...}}"
                                                       "</longcat_tool_call>",
                                                       LONGCAT, NULL);

static const struct tagged NEMOTRON_JSON = {
    .openers = { STR_INIT("<TOOLCALL>") },
    .openers_n = 1,
    .closer = STR_INIT("</TOOLCALL>"),
    .keys = NAME_ARGUMENTS,
};
static const char *const NEMOTRON_JSON_ALIASES[] = { "nemotron_nano_v2", NULL };
const struct toolcall_format TOOLCALL_NEMOTRON_JSON = TAGGED(
    "nemotron_json", "<TOOLCALL>[{\"name\": F, \"arguments\": {...}}, ...]</TOOLCALL>", NEMOTRON_JSON, NEMOTRON_JSON_ALIASES);

static const struct tagged PHI4_MINI_JSON = {
    .openers = { STR_INIT("functools[") },
    .openers_n = 1,
    .shared = 1,
    .keys = { .name = { "name" }, .arguments = { "arguments", "parameters" }, .arguments_needed = true },
    .plain = true,
};
static const char *const PHI4_MINI_JSON_ALIASES[] = { "phi4_mini", "phi4mini", NULL };
const struct toolcall_format TOOLCALL_PHI4_MINI_JSON =
    TAGGED("phi4_mini_json", "functools[{\"name\": F, \"arguments\": {...}}, ...]", PHI4_MINI_JSON, PHI4_MINI_JSON_ALIASES);

static const struct tagged TRINITY = {
    .openers = { STR_INIT("<tool_call>") },
    .openers_n = 1,
    .closer = STR_INIT("</tool_call>"),
    .ignored = { STR_INIT("<think>"), STR_INIT("</think>") },
    .ignored_n = 2,
    .keys = NAME_ARGUMENTS,
};
const struct toolcall_format TOOLCALL_TRINITY = TAGGED("trinity",
                                                       "<tool_call>{\"name\": F, \"arguments\": {...}}</tool_call>, also in a "
                                                       "thought",
                                                       TRINITY, NULL);

enum { XLAM_TOOL_CALLS, XLAM_TOOL_CALL, XLAM_THINK_END, XLAM_FENCE_JSON, XLAM_FENCE };
static const struct tagged XLAM = {
    .openers = { [XLAM_TOOL_CALLS] = STR_INIT("[TOOL_CALLS]"),
                 [XLAM_TOOL_CALL] = STR_INIT("<tool_call>"),
                 [XLAM_THINK_END] = STR_INIT("</think>"),
                 [XLAM_FENCE_JSON] = STR_INIT("```json"),
                 [XLAM_FENCE] = STR_INIT("```") },
    .openers_n = 5,
    .kept = 1u << XLAM_THINK_END,
    .closers = { [XLAM_TOOL_CALL] = STR_INIT("</tool_call>"), [XLAM_FENCE_JSON] = STR_INIT("```"), [XLAM_FENCE] = STR_INIT("```") },
    .keys = { .name = { "name" }, .arguments = { "arguments", "parameters" }, .unwrap_strings = true, .arguments_needed = true },
    .plain = true,
    .bare = true,
};
const struct toolcall_format TOOLCALL_XLAM = TAGGED("xlam",
                                                    "[{\"name\": F, \"arguments\": {...}}, ...], bare or behind </think>, "
                                                    "[TOOL_CALLS], <tool_call>, ```json",
                                                    XLAM, NULL);
