/* text/toolcall/registry.c -- which formats there are, under which names, and which model writes which (spec 3.2, 3.3 and 10) */
#include <string.h>

#include "text/toolcall/format.h"

#define NAME_MAX 64

/* By name, one a line. */
/* clang-format off */
static const struct toolcall_format *const FORMATS[] = {
    &TOOLCALL_APERTUS,
    &TOOLCALL_COHERE,
    &TOOLCALL_DEEPSEEK,
    &TOOLCALL_DEEPSEEK31,
    &TOOLCALL_DEEPSEEK32,
    &TOOLCALL_DEEPSEEK_V4,
    &TOOLCALL_DOTS,
    &TOOLCALL_ERNIE45,
    &TOOLCALL_FUNCTIONGEMMA,
    &TOOLCALL_GEMMA4,
    &TOOLCALL_GIGACHAT3,
    &TOOLCALL_GIGACHAT35,
    &TOOLCALL_GLM45_MOE,
    &TOOLCALL_GLM47_MOE,
    &TOOLCALL_GRANITE,
    &TOOLCALL_GRANITE4,
    &TOOLCALL_GRANITE_20B_FC,
    &TOOLCALL_HUNYUAN_A13B,
    &TOOLCALL_HY_V3,
    &TOOLCALL_INKLING,
    &TOOLCALL_INTERNLM,
    &TOOLCALL_JAMBA,
    &TOOLCALL_JSON,
    &TOOLCALL_K2_HORIZON,
    &TOOLCALL_KIMI_K3,
    &TOOLCALL_KIMIK2,
    &TOOLCALL_LFM2,
    &TOOLCALL_LLAMA,
    &TOOLCALL_LONGCAT,
    &TOOLCALL_MINICPM5,
    &TOOLCALL_MINIMAX_M1,
    &TOOLCALL_MINIMAX_M2,
    &TOOLCALL_MINIMAX_M3,
    &TOOLCALL_MISTRAL,
    &TOOLCALL_NEMOTRON_JSON,
    &TOOLCALL_OLMO3,
    &TOOLCALL_PASSTHROUGH,
    &TOOLCALL_PHI4_MINI_JSON,
    &TOOLCALL_PYTHONIC,
    &TOOLCALL_QWEN,
    &TOOLCALL_QWEN_CODER,
    &TOOLCALL_QWEN_XML,
    &TOOLCALL_SARASHINA,
    &TOOLCALL_SEED_OSS,
    &TOOLCALL_SOLAR_OPEN2,
    &TOOLCALL_STEP3,
    &TOOLCALL_TRINITY,
    &TOOLCALL_XLAM,
};
/* clang-format on */

const struct toolcall_format *const *toolcall_formats(size_t *ret_n)
{
    *ret_n = ARRAY_LEN(FORMATS);
    return FORMATS;
}

struct str toolcall_name(const struct toolcall_format *f)
{
    return str_of(f->name);
}

struct str toolcall_summary(const struct toolcall_format *f)
{
    return str_of(f->summary);
}

const char *const *toolcall_aliases(const struct toolcall_format *f)
{
    static const char *const NONE[] = { NULL };
    return f->aliases ? f->aliases : NONE;
}

/* Lower case, '-' and '.' as '_', blanks around it gone. False: longer than any name. */
static bool normalise(struct str name, char out[NAME_MAX])
{
    name = arguments_trim(name);
    if (name.n >= NAME_MAX)
        return false;
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        out[i] = (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c == '-' || c == '.' ? '_' : c);
    }
    out[name.n] = '\0';
    return memchr(name.p, '\0', name.n) == NULL;
}

static bool has_alias(const struct toolcall_format *f, const char *name)
{
    for (const char *const *a = toolcall_aliases(f); *a; a++)
        if (strcmp(*a, name) == 0)
            return true;
    return false;
}

const struct toolcall_format *toolcall_find(struct str name)
{
    char normal[NAME_MAX];
    if (!name.n || !normalise(name, normal))
        return NULL;
    for (size_t i = 0; i < ARRAY_LEN(FORMATS); i++)
        if (strcmp(FORMATS[i]->name, normal) == 0)
            return FORMATS[i];
    for (size_t i = 0; i < ARRAY_LEN(FORMATS); i++)
        if (has_alias(FORMATS[i], normal))
            return FORMATS[i];
    return NULL;
}

/* The longest stem that stands anywhere in the model's id counts, whatever the case. Rows marked + are not SMG's: its mapping corrected (3.3 BETTER). */
static const struct {
    const char *stem, *format;
} MODELS[] = {
    { "gpt-4", "json" },
    { "gpt-4o", "json" },
    { "gpt-3.5", "json" },
    { "claude-", "json" },
    { "gemini-", "json" },
    { "palm-", "json" },
    { "gemma-", "json" },
    { "llama-", "json" },
    { "meta-llama-", "json" },
    { "glm-", "json" },
    { "llama-3.1", "llama" },      /* + */
    { "meta-llama-3.1", "llama" }, /* + */
    { "llama-3.2", "llama" },
    { "meta-llama-3.2", "llama" },
    { "llama-3.3", "llama" },         /* + */
    { "meta-llama-3.3", "llama" },    /* + */
    { "hermes-", "qwen" },            /* + */
    { "hermes-3-llama-3.1", "qwen" }, /* + */
    { "llama-4", "pythonic" },
    { "meta-llama-4", "pythonic" },
    { "mistral-", "mistral" },
    { "mixtral-", "mistral" },
    { "ministral", "mistral" }, /* + */
    { "magistral", "mistral" }, /* + */
    { "devstral", "mistral" },  /* + */
    { "codestral", "mistral" }, /* + */
    { "qwen", "qwen" },
    { "qwen3.5", "qwen_xml" },
    { "qwen/qwen3.5", "qwen_xml" },
    { "qwen3.6", "qwen_xml" },      /* + */
    { "qwen/qwen3.6", "qwen_xml" }, /* + */
    { "qwen3-coder", "qwen_xml" },
    { "qwen/qwen3-coder", "qwen_xml" },
    { "nemotron-3", "qwen_xml" }, /* + */
    { "step-3.5", "qwen_xml" },   /* + */
    { "step3p5", "qwen_xml" },    /* + */
    { "deepseek-", "pythonic" },
    { "deepseek-r1", "deepseek" }, /* + */
    { "deepseek-v3", "deepseek" },
    { "deepseek-ai/deepseek-v3", "deepseek" },
    { "deepseek-v3.1", "deepseek31" },
    { "deepseek-ai/deepseek-v3.1", "deepseek31" },
    { "deepseek-v3.2-exp", "deepseek31" },
    { "deepseek-ai/deepseek-v3.2-exp", "deepseek31" },
    { "deepseek-v3.2", "deepseek32" },
    { "deepseek-ai/deepseek-v3.2", "deepseek32" },
    { "deepseek-v4", "deepseek_v4" },
    { "deepseek-ai/deepseek-v4", "deepseek_v4" },
    { "glm-4.5", "glm45_moe" },
    { "glm-4.6", "glm45_moe" },
    { "glm-4.7", "glm47_moe" },
    { "glm-5", "glm47_moe" },
    { "sarashina", "sarashina" },
    { "step3", "step3" },
    { "step-3", "step3" },
    { "kimi-k2", "kimik2" },
    { "kimi-k3", "kimi_k3" },
    { "kimi_k3", "kimi_k3" },
    { "inkling", "inkling" },
    { "minimax", "minimax_m2" },
    { "command-r", "cohere" },
    { "command-r-plus", "cohere" },
    { "command-a", "cohere" },
    { "c4ai-command", "cohere" },
    { "cohere", "cohere" },
    { "cohereforai", "cohere" },

    /* Formats that SMG lacks: + all of them. */
    { "apertus", "apertus" },
    { "ernie-4.5", "ernie45" },
    { "functiongemma", "functiongemma" },
    { "gemma-4", "gemma4" },
    { "gigachat3", "gigachat3" },
    { "gigachat3.5", "gigachat35" },
    { "granite-20b-functioncalling", "granite_20b_fc" },
    { "granite-3.", "granite" },
    { "granite-4", "granite4" },
    { "hunyuan-a13b", "hunyuan_a13b" },
    { "inclusionai/ling-3", "glm45_moe" },
    { "intern-s1", "internlm" },
    { "internlm2", "internlm" },
    { "jamba", "jamba" },
    { "k2-horizon", "k2_horizon" },
    { "laguna", "glm45_moe" },
    { "lfm2", "lfm2" },
    { "llama-xlam", "xlam" },
    { "longcat", "longcat" },
    { "mimo-", "qwen_xml" },
    { "minicpm5", "minicpm5" },
    { "minimax-m1", "minimax_m1" },
    { "minimax-m3", "minimax_m3" },
    { "olmo-3", "olmo3" },
    { "phi-4-mini", "phi4_mini_json" },
    { "qwen-xlam", "xlam" },
    { "seed-oss", "seed_oss" },
    { "solar-open2", "solar_open2" },
    { "tencent/hy3", "hy_v3" },
    { "toolace", "pythonic" },
    { "trinity", "trinity" },
    { "xlam-", "xlam" },
};

static bool contains(struct str text, struct str stem)
{
    for (size_t i = 0; i + stem.n <= text.n; i++)
        if (str_eq_nocase((struct str){ text.p + i, stem.n }, stem))
            return true;
    return false;
}

const struct toolcall_format *toolcall_for_model(struct str model)
{
    size_t best = 0;
    const char *format = NULL;
    for (size_t i = 0; i < ARRAY_LEN(MODELS); i++) {
        struct str stem = str_of(MODELS[i].stem);
        if (stem.n > best && contains(model, stem)) {
            best = stem.n;
            format = MODELS[i].format;
        }
    }
    return format ? toolcall_find(str_of(format)) : NULL;
}
