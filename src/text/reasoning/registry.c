/* text/reasoning/registry.c -- which formats there are, under which names, and which model writes which (spec parsers 8.2, 8.3, 3.3 and 10)
 *
 * SMG's sixteen, and eleven that engines serve beside them: as vLLM and SGLang read them (their parsers and tests, 2026) where that holds for every way of cutting a text.
 */
#include "text/reasoning/format.h"

#define TAG_FORMAT(tags_) .tags = (tags_), .start = reasoning_tags_start, .step = reasoning_tags_step
#define NAMED(name_)      .name = STR_INIT(name_)
#define ALIASED(aliases_) .aliases = (aliases_), .aliases_n = ARRAY_LEN(aliases_)

/* ---- SMG's ---- */

#define THINK_STARTS    .starts = { STR_INIT("<think>") }, .ends = { STR_INIT("</think>") }
#define THINK_SUMMARY   .summary = STR_INIT("<think>THOUGHT</think>TEXT; the start tag is needed")
#define STARTED_SUMMARY .summary = STR_INIT("THOUGHT</think>TEXT; starts in a thought, <think> or not")

static const struct reasoning_tags THINK = { THINK_STARTS };
static const struct reasoning_tags STARTED = { THINK_STARTS, .starts_in_thought = true };

static const struct reasoning_format BASE = { NAMED("base"), THINK_SUMMARY, TAG_FORMAT(&THINK) };

static const struct str DEEPSEEK_R1_ALIASES[] = { STR_INIT("r1"), STR_INIT("olmo3"), STR_INIT("gigachat35"), STR_INIT("step5") };
static const struct reasoning_format DEEPSEEK_R1 = { NAMED("deepseek_r1"), STARTED_SUMMARY, ALIASED(DEEPSEEK_R1_ALIASES),
                                                     TAG_FORMAT(&STARTED) };

static const struct str DEEPSEEK_V31_ALIASES[] = { STR_INIT("deepseek_v3"), STR_INIT("deepseek_v32"), STR_INIT("deepseek_v4"),
                                                   STR_INIT("deepseek_v41"), STR_INIT("holo2") };
static const struct reasoning_format DEEPSEEK_V31 = { NAMED("deepseek_v31"), THINK_SUMMARY, ALIASED(DEEPSEEK_V31_ALIASES),
                                                      TAG_FORMAT(&THINK) };

static const struct str QWEN3_ALIASES[] = { STR_INIT("qwen"),      STR_INIT("mimo"), STR_INIT("interns1"), STR_INIT("poolside_v1"),
                                            STR_INIT("telechat4"), STR_INIT("dots"), STR_INIT("nanbeige") };
static const struct reasoning_format QWEN3 = { NAMED("qwen3"), THINK_SUMMARY, ALIASED(QWEN3_ALIASES), TAG_FORMAT(&THINK) };

static const struct str QWEN3_THINKING_ALIASES[] = { STR_INIT("qwen_thinking") };
static const struct reasoning_format QWEN3_THINKING = { NAMED("qwen3_thinking"), STARTED_SUMMARY, ALIASED(QWEN3_THINKING_ALIASES),
                                                        TAG_FORMAT(&STARTED) };

static const struct str GLM45_ALIASES[] = { STR_INIT("glm47"), STR_INIT("glm5"), STR_INIT("ling3") };
static const struct reasoning_format GLM45 = { NAMED("glm45"), THINK_SUMMARY, ALIASED(GLM45_ALIASES), TAG_FORMAT(&THINK) };

static const struct reasoning_tags KIMI_TAGS = { .starts = { STR_INIT("◁think▷") }, .ends = { STR_INIT("◁/think▷") } };
static const struct reasoning_format KIMI = { NAMED("kimi"), .summary = STR_INIT("◁think▷THOUGHT◁/think▷TEXT"),
                                              TAG_FORMAT(&KIMI_TAGS) };

static const struct str KIMI_THINKING_ALIASES[] = { STR_INIT("kimi_k2"), STR_INIT("kimi_k2_thinking") };
static const struct reasoning_format KIMI_THINKING = { NAMED("kimi_thinking"), STARTED_SUMMARY, ALIASED(KIMI_THINKING_ALIASES),
                                                       TAG_FORMAT(&STARTED) };

static const struct str KIMI_K25_ALIASES[] = { STR_INIT("kimi_k2_5") };
static const struct reasoning_format KIMI_K25 = { NAMED("kimi_k25"), THINK_SUMMARY, ALIASED(KIMI_K25_ALIASES), TAG_FORMAT(&THINK) };

static const struct str STEP3_ALIASES[] = { STR_INIT("step3p5") };
static const struct reasoning_format STEP3 = { NAMED("step3"), STARTED_SUMMARY, ALIASED(STEP3_ALIASES), TAG_FORMAT(&STARTED) };

static const struct str MINIMAX_ALIASES[] = { STR_INIT("minimax_m2") };
static const struct reasoning_format MINIMAX = { NAMED("minimax"), STARTED_SUMMARY, ALIASED(MINIMAX_ALIASES),
                                                 TAG_FORMAT(&STARTED) };

static const struct str NANO_V3_ALIASES[] = { STR_INIT("nemotron_v3"), STR_INIT("nemotron_3") };
static const struct reasoning_format NANO_V3 = { NAMED("nano_v3"), THINK_SUMMARY, ALIASED(NANO_V3_ALIASES), TAG_FORMAT(&THINK) };

static const struct reasoning_tags COHERE_TAGS = { .starts = { STR_INIT("<|START_THINKING|>") },
                                                   .ends = { STR_INIT("<|END_THINKING|>") } };
static const struct str COHERE_ALIASES[] = { STR_INIT("cohere"), STR_INIT("cohere_command3"), STR_INIT("cohere_command4") };
static const struct reasoning_format COHERE_CMD = { NAMED("cohere_cmd"),
                                                    .summary = STR_INIT("<|START_THINKING|>THOUGHT<|END_THINKING|>TEXT"),
                                                    ALIASED(COHERE_ALIASES), TAG_FORMAT(&COHERE_TAGS) };

static const struct reasoning_tags NO_TAGS = { .starts_in_thought = false };
static const struct str PASSTHROUGH_ALIASES[] = { STR_INIT("none"), STR_INIT("off") };
static const struct reasoning_format PASSTHROUGH = { NAMED("passthrough"), .summary = STR_INIT("no thoughts: all is text"),
                                                     ALIASED(PASSTHROUGH_ALIASES), TAG_FORMAT(&NO_TAGS), .unbounded = true };

/* ---- beside them ---- */

/* For clients that cut thoughts out themselves and want to see where they begin. */
static const struct reasoning_tags APPEND_THINK_TAGS = { .prefix = STR_INIT("<think>") };
static const struct str APPEND_THINK_ALIASES[] = { STR_INIT("minimax_m2_append_think") };
static const struct reasoning_format MINIMAX_APPEND_THINK = { NAMED("minimax_append_think"),
                                                              .summary = STR_INIT("<think> is put in front; all is text"),
                                                              ALIASED(APPEND_THINK_ALIASES), TAG_FORMAT(&APPEND_THINK_TAGS) };

static const struct reasoning_tags MISTRAL_TAGS = { .starts = { STR_INIT("[THINK]") }, .ends = { STR_INIT("[/THINK]") } };
static const struct str MISTRAL_ALIASES[] = { STR_INIT("magistral") };
static const struct reasoning_format MISTRAL = { NAMED("mistral"), .summary = STR_INIT("[THINK]THOUGHT[/THINK]TEXT"),
                                                 ALIASED(MISTRAL_ALIASES), TAG_FORMAT(&MISTRAL_TAGS), .needs_specials = true };

static const struct reasoning_tags SEED_TAGS = { .starts = { STR_INIT("<seed:think>") },
                                                 .ends = { STR_INIT("</seed:think>") },
                                                 .starts_in_thought = true };
static const struct reasoning_format SEED_OSS = {
    NAMED("seed_oss"), .summary = STR_INIT("THOUGHT</seed:think>TEXT; starts in a thought, <seed:think> or not"),
    TAG_FORMAT(&SEED_TAGS)
};

/* Quantised models say "Here's" now and then. */
static const struct reasoning_tags GRANITE_TAGS = {
    .starts = { STR_INIT("Here is my thought process:"), STR_INIT("Here's my thought process:") },
    .ends = { STR_INIT("Here is my response:"), STR_INIT("Here's my response:") },
    .starts_once = true,
};
static const struct reasoning_format GRANITE = { NAMED("granite"),
                                                 .summary =
                                                     STR_INIT("Here is my thought process: THOUGHT Here is my response: TEXT"),
                                                 TAG_FORMAT(&GRANITE_TAGS) };

static const struct reasoning_tags ERNIE_TAGS = {
    .starts = { STR_INIT("<think>") },
    .ends = { STR_INIT("</think>\n\n\n<response>\n"), STR_INIT("</think>\n\n\n<response>"), STR_INIT("</think>\n\n<response>\n"),
              STR_INIT("</think>\n\n<response>"), STR_INIT("</think>\n<response>\n"), STR_INIT("</think>\n<response>"),
              STR_INIT("</think><response>"), STR_INIT("</think>\n\n"), STR_INIT("</think>\n"), STR_INIT("</think>") },
    .answer_ends = 7,
    .closes = { STR_INIT("\n</response>\n"), STR_INIT("\n</response>"), STR_INIT("</response>\n"), STR_INIT("</response>") },
    .starts_in_thought = true,
};
static const struct str ERNIE_ALIASES[] = { STR_INIT("ernie4_5") };
static const struct reasoning_format ERNIE45 = {
    NAMED("ernie45"), .summary = STR_INIT("THOUGHT</think>TEXT or THOUGHT</think><response>TEXT</response>; starts in a thought"),
    ALIASED(ERNIE_ALIASES), TAG_FORMAT(&ERNIE_TAGS)
};

static const struct reasoning_tags HUNYUAN_TAGS = {
    .starts = { STR_INIT("<think>\n"), STR_INIT("<think>") },
    .ends = { STR_INIT("\n</think>\n<answer>\n"), STR_INIT("\n</think>\n<answer>"), STR_INIT("</think>\n<answer>\n"),
              STR_INIT("</think>\n<answer>"), STR_INIT("</think><answer>"), STR_INIT("\n</think>\n"), STR_INIT("\n</think>"),
              STR_INIT("</think>") },
    .answer_ends = 5,
    .closes = { STR_INIT("\n</answer>"), STR_INIT("</answer>") },
};
static const struct reasoning_format HUNYUAN_A13B = {
    NAMED("hunyuan_a13b"), .summary = STR_INIT("<think>THOUGHT</think><answer>TEXT</answer>, each on lines of its own"),
    TAG_FORMAT(&HUNYUAN_TAGS)
};

static const struct reasoning_tags GEMMA4_TAGS = { .starts = { STR_INIT("<|channel>thought\n"), STR_INIT("<|channel>") },
                                                   .ends = { STR_INIT("<channel|>") } };
static const struct reasoning_format GEMMA4 = { NAMED("gemma4"), .summary = STR_INIT("<|channel>thought\\nTHOUGHT<channel|>TEXT"),
                                                TAG_FORMAT(&GEMMA4_TAGS), .needs_specials = true };

static const struct reasoning_tags APERTUS_TAGS = { .starts = { STR_INIT("<|inner_prefix|>") },
                                                    .ends = { STR_INIT("<|inner_suffix|>") } };
static const struct str APERTUS_ALIASES[] = { STR_INIT("apertus2509") };
static const struct reasoning_format APERTUS = { NAMED("apertus"),
                                                 .summary = STR_INIT("<|inner_prefix|>THOUGHT<|inner_suffix|>TEXT"),
                                                 ALIASED(APERTUS_ALIASES), TAG_FORMAT(&APERTUS_TAGS), .needs_specials = true };

static const struct reasoning_tags HY_TAGS = { .starts = { STR_INIT("<think>"), STR_INIT("<think:opensource>") },
                                               .ends = { STR_INIT("</think>"), STR_INIT("</think:opensource>") } };
static const struct str HY_ALIASES[] = { STR_INIT("hy3"), STR_INIT("hunyuan") }; /* the name in SGLang, of calls as well */
static const struct reasoning_format HY_V3 = { NAMED("hy_v3"),
                                               .summary =
                                                   STR_INIT("<think>THOUGHT</think>TEXT, with or without :opensource in the tags"),
                                               ALIASED(HY_ALIASES), TAG_FORMAT(&HY_TAGS) };

static const struct reasoning_tags MINIMAX_M3_TAGS = { .starts = { STR_INIT("<mm:think>") }, .ends = { STR_INIT("</mm:think>") } };
static const struct reasoning_format MINIMAX_M3 = { NAMED("minimax_m3"), .summary = STR_INIT("<mm:think>THOUGHT</mm:think>TEXT"),
                                                    TAG_FORMAT(&MINIMAX_M3_TAGS) };

static const struct reasoning_tags SOLAR_TAGS = { .starts = { STR_INIT("<|think:start|>") },
                                                  .ends = { STR_INIT("<|think:end|>") },
                                                  .starts_in_thought = true };
static const struct str SOLAR_ALIASES[] = { STR_INIT("solar") };
static const struct reasoning_format SOLAR_OPEN2 = {
    NAMED("solar_open2"), .summary = STR_INIT("THOUGHT<|think:end|>TEXT; starts in a thought, <|think:start|> or not"),
    ALIASED(SOLAR_ALIASES), TAG_FORMAT(&SOLAR_TAGS), .needs_specials = true
};

/* ---- by name ---- */

static const struct reasoning_format *const FORMATS[] = {
    &APERTUS,       &BASE,         &COHERE_CMD,
    &DEEPSEEK_R1,   &DEEPSEEK_V31, &ERNIE45,
    &GEMMA4,        &GLM45,        &GRANITE,
    &HUNYUAN_A13B,  &HY_V3,        &REASONING_INKLING,
    &KIMI,          &KIMI_K25,     &REASONING_KIMI_K3,
    &KIMI_THINKING, &MINIMAX,      &MINIMAX_APPEND_THINK,
    &MINIMAX_M3,    &MISTRAL,      &NANO_V3,
    &PASSTHROUGH,   &QWEN3,        &QWEN3_THINKING,
    &SEED_OSS,      &SOLAR_OPEN2,  &STEP3,
};

const struct reasoning_format *const *reasoning_formats(size_t *ret_n)
{
    *ret_n = ARRAY_LEN(FORMATS);
    return FORMATS;
}

struct str reasoning_name(const struct reasoning_format *f)
{
    return f->name;
}

struct str reasoning_summary(const struct reasoning_format *f)
{
    return f->summary;
}

const struct str *reasoning_aliases(const struct reasoning_format *f, size_t *ret_n)
{
    *ret_n = f->aliases_n;
    return f->aliases;
}

bool reasoning_needs_specials(const struct reasoning_format *f)
{
    return f->needs_specials;
}

/* As names are compared: NAME's letters as small ones, '-' and '.' as '_'. NORMAL is so written. */
static bool is_called(struct str name, struct str normal)
{
    if (name.n != normal.n)
        return false;
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        if ((c >= 'A' && c <= 'Z' ? c | 0x20 : c == '-' || c == '.' ? '_' : c) != normal.p[i])
            return false;
    }
    return true;
}

const struct reasoning_format *reasoning_find(struct str name)
{
    name = str_trim(name);
    for (size_t i = 0; i < ARRAY_LEN(FORMATS); i++)
        if (is_called(name, FORMATS[i]->name))
            return FORMATS[i];
    for (size_t i = 0; i < ARRAY_LEN(FORMATS); i++)
        for (size_t k = 0; k < FORMATS[i]->aliases_n; k++)
            if (is_called(name, FORMATS[i]->aliases[k]))
                return FORMATS[i];
    return NULL;
}

/* ---- by model ---- */

/* The first row counts whose stem stands anywhere in the model's id, whatever the case, and whose second one does, if it has one. Rows marked + are not SMG's: its mapping corrected (3.3
 * BETTER) or a format that it lacks. */
static const struct {
    struct str stem, also;
    const struct reasoning_format *format;
} MODELS[] = {
    { STR_INIT("deepseek-r1"), STR_NONE, &DEEPSEEK_R1 },
    { STR_INIT("deepseek-v3.1"), STR_NONE, &DEEPSEEK_V31 },
    { STR_INIT("deepseek-v3-1"), STR_NONE, &DEEPSEEK_V31 },
    { STR_INIT("deepseek-v3.2"), STR_NONE, &DEEPSEEK_V31 }, /* + */
    { STR_INIT("deepseek-v4"), STR_NONE, &DEEPSEEK_V31 },   /* + */
    { STR_INIT("qwen3-thinking"), STR_NONE, &QWEN3_THINKING },
    { STR_INIT("qwen-thinking"), STR_NONE, &QWEN3_THINKING },
    { STR_INIT("qwen3"), STR_INIT("thinking"), &QWEN3_THINKING }, /* + */
    { STR_INIT("qwen3"), STR_NONE, &QWEN3 },
    { STR_INIT("qwen"), STR_NONE, &QWEN3 },
    { STR_INIT("glm45"), STR_NONE, &GLM45 },
    { STR_INIT("glm47"), STR_NONE, &GLM45 },
    { STR_INIT("glm-4.5"), STR_NONE, &GLM45 }, /* + */
    { STR_INIT("glm-4.6"), STR_NONE, &GLM45 }, /* + */
    { STR_INIT("glm-4.7"), STR_NONE, &GLM45 }, /* + */
    { STR_INIT("glm-5"), STR_NONE, &GLM45 },
    { STR_INIT("kimi-k2-thinking"), STR_NONE, &KIMI_THINKING },
    { STR_INIT("kimi-k2.5"), STR_NONE, &KIMI_K25 },
    { STR_INIT("kimi-k3"), STR_NONE, &REASONING_KIMI_K3 },
    { STR_INIT("kimi_k3"), STR_NONE, &REASONING_KIMI_K3 },
    { STR_INIT("kimi"), STR_NONE, &KIMI },
    { STR_INIT("step-3.5"), STR_NONE, &DEEPSEEK_R1 }, /* + */
    { STR_INIT("step3p5"), STR_NONE, &DEEPSEEK_R1 },  /* + */
    { STR_INIT("step3"), STR_NONE, &STEP3 },
    { STR_INIT("step-3"), STR_NONE, &STEP3 },          /* + */
    { STR_INIT("minimax-m3"), STR_NONE, &MINIMAX_M3 }, /* + */
    { STR_INIT("minimax"), STR_NONE, &MINIMAX },
    { STR_INIT("mm-m2"), STR_NONE, &MINIMAX },
    { STR_INIT("command-r"), STR_NONE, &COHERE_CMD },
    { STR_INIT("command-a"), STR_NONE, &COHERE_CMD },
    { STR_INIT("c4ai-command"), STR_NONE, &COHERE_CMD },
    { STR_INIT("cohere"), STR_NONE, &COHERE_CMD },
    { STR_INIT("nemotron-nano"), STR_NONE, &NANO_V3 },
    { STR_INIT("nemotron-super"), STR_NONE, &NANO_V3 },
    { STR_INIT("nemotron-3"), STR_NONE, &NANO_V3 }, /* + */
    { STR_INIT("nano-v3"), STR_NONE, &NANO_V3 },
    { STR_INIT("inkling"), STR_NONE, &REASONING_INKLING },
    { STR_INIT("magistral"), STR_NONE, &MISTRAL },                /* + */
    { STR_INIT("mistral-small-4"), STR_NONE, &MISTRAL },          /* + */
    { STR_INIT("ministral-3"), STR_INIT("reasoning"), &MISTRAL }, /* + */
    { STR_INIT("seed-oss"), STR_NONE, &SEED_OSS },                /* + */
    { STR_INIT("granite-3.2"), STR_NONE, &GRANITE },              /* + */
    { STR_INIT("granite-3.3"), STR_NONE, &GRANITE },              /* + */
    { STR_INIT("ernie-4.5"), STR_INIT("thinking"), &ERNIE45 },    /* + */
    { STR_INIT("hunyuan-a13b"), STR_NONE, &HUNYUAN_A13B },        /* + */
    { STR_INIT("gemma-4"), STR_NONE, &GEMMA4 },                   /* + */
    { STR_INIT("apertus"), STR_NONE, &APERTUS },                  /* + */
    { STR_INIT("laguna"), STR_NONE, &QWEN3 },                     /* + */
    { STR_INIT("solar-open2"), STR_NONE, &SOLAR_OPEN2 },          /* + */
    { STR_INIT("tencent/hy3"), STR_NONE, &HY_V3 },                /* + */
};

static bool contains(struct str text, struct str stem)
{
    for (size_t i = 0; i + stem.n <= text.n; i++)
        if (str_eq_nocase((struct str){ text.p + i, stem.n }, stem))
            return true;
    return stem.n == 0;
}

const struct reasoning_format *reasoning_for_model(struct str model)
{
    for (size_t i = 0; i < ARRAY_LEN(MODELS); i++)
        if (contains(model, MODELS[i].stem) && contains(model, MODELS[i].also))
            return MODELS[i].format;
    return NULL;
}
