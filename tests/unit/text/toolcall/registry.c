/* Which format a name or a model's id means: spec parsers 2.3, 3.2, 3.3 and 10. */
#include "test.h"

#include "text/toolcall/toolcall.h"

static void find(const char *name, const char *want)
{
    const struct toolcall_format *f = toolcall_find(str_of(name));
    if ((f != NULL) != (want != NULL) || (f && !str_eq(toolcall_name(f), str_of(want))))
        fail_msg("%s is %.*s, not %s", name, f ? (int)toolcall_name(f).n : 0, f ? toolcall_name(f).p : "", want ? want : "unknown");
}

static void formats_are_listed_by_name(void **state)
{
    size_t n;
    const struct toolcall_format *const *formats = toolcall_formats(&n);
    for (size_t i = 0; i < n; i++) {
        find(toolcall_name(formats[i]).p, toolcall_name(formats[i]).p);
        assert_true(toolcall_summary(formats[i]).n > 0);
        if (i)
            assert_true(str_cmp(toolcall_name(formats[i - 1]), toolcall_name(formats[i])) < 0);
        for (const char *const *a = toolcall_aliases(formats[i]); *a; a++)
            find(*a, toolcall_name(formats[i]).p);
    }
}

static void all_names_of_smg_are_known(void **state)
{
    static const char *const NAMES[] = { "passthrough", "json",       "mistral",  "qwen",       "qwen_xml",   "qwen_coder",
                                         "pythonic",    "llama",      "deepseek", "deepseek31", "deepseek32", "deepseek_v4",
                                         "glm45_moe",   "glm47_moe",  "step3",    "sarashina",  "kimik2",     "kimi_k3",
                                         "inkling",     "minimax_m2", "cohere" };
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++)
        find(NAMES[i], NAMES[i]);
}

static void other_engines_names_are_aliases(void **state)
{
    static const char *const ROWS[][2] = {
        { "hermes", "qwen" },
        { "qwen25", "qwen" },
        { "qwen2_5", "qwen" },
        { "qwen3", "qwen" },
        { "qwen3_coder", "qwen_xml" },
        { "qwen3_xml", "qwen_xml" },
        { "qwen35", "qwen_xml" },
        { "mimo", "qwen_xml" },
        { "step3p5", "qwen_xml" },
        { "nemotron_v3", "qwen_xml" },
        { "nemotron_3", "qwen_xml" },
        { "llama3", "llama" },
        { "llama3_json", "llama" },
        { "llama3_1", "llama" },
        { "llama3_2", "llama" },
        { "llama4_json", "llama" },
        { "llama4_pythonic", "pythonic" },
        { "llama4", "pythonic" },
        { "olmo3", "olmo3" },
        { "mixtral", "mistral" },
        { "magistral", "mistral" },
        { "devstral", "mistral" },
        { "openai_json", "json" },
        { "generic", "json" },
        { "deepseek_v3", "deepseek" },
        { "deepseekv3", "deepseek" },
        { "deepseek_r1_0528", "deepseek" },
        { "deepseek_v31", "deepseek31" },
        { "deepseekv31", "deepseek31" },
        { "deepseek_v3_1", "deepseek31" },
        { "deepseek_v32_exp", "deepseek31" },
        { "deepseek_v32", "deepseek32" },
        { "deepseekv32", "deepseek32" },
        { "deepseek_v3_2", "deepseek32" },
        { "deepseekv4", "deepseek_v4" },
        { "deepseek4", "deepseek_v4" },
        { "glm45", "glm45_moe" },
        { "glm", "glm45_moe" },
        { "glm46", "glm45_moe" },
        { "glm4_5", "glm45_moe" },
        { "glm4_moe", "glm45_moe" },
        { "glm47", "glm47_moe" },
        { "glm4_7", "glm47_moe" },
        { "glm5", "glm47_moe" },
        { "kimi_k2", "kimik2" },
        { "kimi", "kimik2" },
        { "kimi_k25", "kimik2" },
        { "kimik3", "kimi_k3" },
        { "minimax-m2", "minimax_m2" },
        { "minimax", "minimax_m2" },
        { "step_3", "step3" },
        { "cohere_command3", "cohere" },
        { "cohere_command4", "cohere" },
        { "cohere_cmd", "cohere" },
        { "command_r", "cohere" },
        { "command_a", "cohere" },
        { "none", "passthrough" },
        { "off", "passthrough" },
        { " JSON\n", "json" },
        { "DeepSeek-V3.1", "deepseek31" },
        { "", NULL },
        { " ", NULL },
        { "nope", NULL },
        { "json5", NULL },
        { "a name that is longer than any name of a format could ever be, by far", NULL },
    };
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++)
        find(ROWS[i][0], ROWS[i][1]);
    assert_null(toolcall_find((struct str){ "json\0x", 6 }));
}

/* 3.3 row by row; + marks what a BETTER of the spec changed. */
static void models_have_their_formats(void **state)
{
    static const char *const ROWS[][2] = {
        { "gpt-4", "json" },
        { "gpt-4o-mini", "json" },
        { "gpt-3.5-turbo", "json" },
        { "claude-3-opus", "json" },
        { "gemini-2.5-pro", "json" },
        { "google/gemma-3-27b-it", "json" },
        { "gpt-5", NULL },
        { "openai/gpt-oss-20b", NULL },
        { "microsoft/phi-4", NULL },
        { "unknown-model", NULL },
        { "llama3.1:8b", NULL },
        { "mistralai/Mistral-7B-Instruct-v0.3", "mistral" },
        { "mistralai/Mixtral-8x7B-Instruct-v0.1", "mistral" },
        { "mistralai/Ministral-8B-Instruct", "mistral" },
        { "mistralai/Magistral-Small", "mistral" }, /* + */
        { "Qwen/Qwen2.5-7B-Instruct", "qwen" },
        { "Qwen/Qwen3-8B", "qwen" },
        { "Qwen/Qwen3-Next-80B-A3B-Thinking", "qwen" },
        { "Qwen/Qwen3-235B-A22B-Thinking-2507", "qwen" },
        { "Qwen/QwQ-32B", "qwen" },
        { "Qwen/Qwen3.6-27B", "qwen_xml" }, /* + */
        { "Qwen/Qwen3-Coder-480B-A35B-Instruct", "qwen_xml" },
        { "Qwen/Qwen3.5-32B", "qwen_xml" },
        { "qwen3-thinking", "qwen" },
        { "qwen-thinking", "qwen" },
        { "meta-llama/Llama-3.1-8B-Instruct", "llama" },
        { "meta-llama/Llama-3.3-70B-Instruct", "llama" }, /* + */
        { "NousResearch/Hermes-3-Llama-3.1-8B", "qwen" },
        { "NousResearch/Hermes-2-Pro-Llama-3-8B", "qwen" }, /* + */
        { "meta-llama/Llama-3.2-1B-Instruct", "llama" },
        { "meta-llama/Llama-4-Scout-17B-16E-Instruct", "pythonic" },
        { "deepseek-ai/DeepSeek-V3-0324", "deepseek" },
        { "deepseek-ai/DeepSeek-V3.1-Terminus", "deepseek31" },
        { "deepseek-ai/DeepSeek-V3.2-Exp", "deepseek31" },
        { "deepseek-ai/DeepSeek-V3.2", "deepseek32" },
        { "deepseek-ai/DeepSeek-V4-Flash", "deepseek_v4" },
        { "deepseek-ai/DeepSeek-R1", "deepseek" },
        { "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", "deepseek" }, /* + */
        { "deepseek-ai/deepseek-coder-6.7b", "pythonic" },
        { "zai-org/GLM-4.5", "glm45_moe" },
        { "zai-org/GLM-4.6", "glm45_moe" },
        { "zai-org/GLM-4.7", "glm47_moe" },
        { "zai-org/GLM-5", "glm47_moe" },
        { "zai-org/GLM-4-9B", "json" },
        { "glm45-air", NULL },
        { "moonshotai/Kimi-K2-Instruct", "kimik2" },
        { "moonshotai/Kimi-K2-Thinking", "kimik2" },
        { "moonshotai/Kimi-K2.5", "kimik2" },
        { "moonshotai/Kimi-K3", "kimi_k3" },
        { "Kimi_K3", "kimi_k3" },
        { "moonshotai/Kimi-VL-A3B", NULL },
        { "stepfun-ai/step3", "step3" },
        { "stepfun-ai/Step-3", "step3" },
        { "stepfun-ai/Step-3.5-Flash", "qwen_xml" },
        { "step3p5-flash", "qwen_xml" }, /* + */
        { "MiniMaxAI/MiniMax-M2", "minimax_m2" },
        { "MiniMaxAI/MiniMax-M2.5", "minimax_m2" },
        { "MiniMaxAI/MiniMax-Text-01", "minimax_m2" },
        { "CohereForAI/c4ai-command-r-plus", "cohere" },
        { "CohereLabs/command-a-03-2025", "cohere" },
        { "cohere-embed", "cohere" },
        { "nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-FP8", "qwen_xml" }, /* + */
        { "nvidia/NVIDIA-Nemotron-Nano-12B-v2", NULL },
        { "nvidia/Llama-3_3-Nemotron-Super-49B", "json" },
        { "thinkingmachines/Inkling-1", "inkling" },
        { "sbintuitions/sarashina2.2-3b", "sarashina" },
        { "mistralai/Devstral-Small", "mistral" },
        { "mistralai/Codestral-22B", "mistral" }, /* + */
        { "palm-2", "json" },
        { "", NULL },
    };
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        const struct toolcall_format *f = toolcall_for_model(str_of(ROWS[i][0]));
        const char *want = ROWS[i][1];
        if ((f != NULL) != (want != NULL) || (f && !str_eq(toolcall_name(f), str_of(want))))
            fail_msg("%s writes %.*s, not %s", ROWS[i][0], f ? (int)toolcall_name(f).n : 0, f ? toolcall_name(f).p : "",
                     want ? want : "nothing known");
    }
}

/* The stems of 3.2, each alone. */
static void stems_have_their_formats(void **state)
{
    static const char *const ROWS[][2] = {
        { "json", "gpt-4 gpt-4o gpt-3.5 claude- gemini- palm- gemma- llama- meta-llama- glm-" },
        { "mistral", "mistral- mixtral-" },
        { "qwen_xml", "qwen3.5 qwen/qwen3.5 qwen3-coder qwen/qwen3-coder" },
        { "qwen", "qwen" },
        { "pythonic", "llama-4 meta-llama-4 deepseek-" },
        { "llama", "llama-3.2 meta-llama-3.2" },
        { "deepseek", "deepseek-v3 deepseek-ai/deepseek-v3" },
        { "deepseek31", "deepseek-v3.1 deepseek-ai/deepseek-v3.1 deepseek-v3.2-exp deepseek-ai/deepseek-v3.2-exp" },
        { "deepseek32", "deepseek-v3.2 deepseek-ai/deepseek-v3.2" },
        { "deepseek_v4", "deepseek-v4 deepseek-ai/deepseek-v4" },
        { "glm45_moe", "glm-4.5 glm-4.6" },
        { "glm47_moe", "glm-4.7 glm-5" },
        { "sarashina", "sarashina" },
        { "step3", "step3 step-3" },
        { "kimik2", "kimi-k2" },
        { "kimi_k3", "kimi-k3 kimi_k3" },
        { "inkling", "inkling" },
        { "minimax_m2", "minimax" },
        { "cohere", "command-r command-r-plus command-a c4ai-command cohere cohereforai" },
    };
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        struct str rest = str_of(ROWS[i][1]), stem;
        while (rest.n) {
            str_split(rest, ' ', &stem, &rest);
            const struct toolcall_format *f = toolcall_for_model(stem);
            assert_non_null(f);
            assert_str(toolcall_name(f), ROWS[i][0]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats_are_listed_by_name),      cmocka_unit_test(all_names_of_smg_are_known),
        cmocka_unit_test(other_engines_names_are_aliases), cmocka_unit_test(models_have_their_formats),
        cmocka_unit_test(stems_have_their_formats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
