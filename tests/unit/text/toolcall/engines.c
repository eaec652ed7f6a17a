/* What every format of the registry keeps, SMG's and the others: plain text, any markup however it is cut, linear time, bounds, memory that runs out, and that docs/tool-formats.md (the
 * program's argument) tells the truth about it. */
#include "cuts.h"
#include "fail_alloc.h"

static const struct toolcall_format *const *formats;
static size_t formats_n;
static struct buf page; /* NUL at its end */

/* Pieces of the markup that formats beyond SMG's write. Of one family at a time: all together hardly ever make a call. */
#define PIECES_MAX 24
static const struct {
    const char *names; /* whose, with a blank behind each */
    const char *pieces[PIECES_MAX];
} FAMILIES[] = {
    { "apertus ernie45 gigachat3 granite granite4 granite_20b_fc internlm longcat nemotron_json phi4_mini_json qwen trinity ",
      { "<|tools_prefix|>",
        "<|tools_suffix|>",
        "<tool_call>",
        "</tool_call>",
        "<response>",
        "<|function_call|>",
        "</s>",
        "function call<|role_sep|>\n",
        "<|tool_call|>",
        "<function_call>",
        "<|action_start|>",
        "<|plugin|>",
        "<|action_end|>",
        "<longcat_tool_call>",
        "</longcat_tool_call>",
        "<TOOLCALL>",
        "</TOOLCALL>",
        "functools",
        "[",
        "]",
        "<think>",
        "{\"name\":\"f\",\"arguments\":{}}",
        "{\"f\":{}}" } },
    { "xlam granite ",
      { "```json", "```", "\n", "[TOOL_CALLS]", "<tool_call>", "</tool_call>", "</think>", "[", "]",
        "{\"name\":\"f\",\"arguments\":{}}", "[{\"name\":\"f\",\"arguments\":{}}]", "x" } },
    { "jamba hunyuan_a13b minimax_m1 hy_v3 ",
      { "<tool_calls>", "</tool_calls>", "<tool_calls:opensource>", "</tool_calls:opensource>", "<tool_call>", "</tool_call>", "f",
        "<tool_sep>", "<tool_call:opensource>", "</tool_call:opensource>", "<arg_key>k</arg_key>", "<arg_value>1</arg_value>", "\n",
        "{\"name\":\"f\",\"arguments\":{}}", "[", "]", "{", "\"", "," } },
    { "gemma4 functiongemma minicpm5 ",
      { "<|tool_call>",
        "<tool_call|>",
        "call:f{",
        "}",
        "k:",
        "1",
        ",",
        "<|\"|>",
        "<escape>",
        "<start_function_call>",
        "<end_function_call>",
        "<function name=",
        "\"f\">",
        "</function>",
        "<param name=\"k\">",
        "</param>",
        "<![CDATA[",
        "]]>",
        "[",
        "]",
        "{" } },
    { "lfm2 olmo3 ",
      { "<|tool_call_start|>", "<|tool_call_end|>", "<function_calls>", "</function_calls>", "f(", "a=1", ")", "'", "\"", ",", "\n",
        "[", "]", "{\"name\":\"f\",\"arguments\":{}}", "f.g", "\\" } },
    { "k2_horizon dots solar_open2 seed_oss gigachat35 ",
      { "<ifm|tool_calls>",
        "</ifm|tool_calls>",
        "<ifm|tool_call>",
        "</ifm|tool_call>",
        "<ifm|arg_key>k</ifm|arg_key>",
        "<ifm|arg_value>1</ifm|arg_value>",
        "<dots_function_call>",
        "</dots_function_call>",
        "<invoke name=\"f\">",
        "</invoke>",
        "<|tool_call:start|>f\n",
        "<|tool_call:end|>",
        "<seed:tool_call>",
        "</seed:tool_call>",
        "<function=f>",
        "</function>",
        "<｜GCML｜tool_calls>",
        "</｜GCML｜tool_calls>",
        "<｜GCML｜invoke name=\"f\">",
        "</｜GCML｜invoke>" } },
    { "minimax_m3 ",
      { "]<]minimax[>[", "<tool_call>", "</tool_call>", "<invoke name=\"f\">", "</invoke>", "]<]minimax[>[<k>", "]<]minimax[>[</k>",
        "]<]minimax[>[<item>", "]<]minimax[>[</item>", "1", "]<]minimax[>[<tool_call>", "]<]minimax[>[<invoke name=\"f\">",
        "]<]minimax[>[</invoke>" } },
};
static const char *const EVERYWHERE[] = { " ", "x", "<", "\n", "\xe3", "北", "<|" };

static bool is_of(size_t family, const char *name)
{
    char word[80];
    snprintf(word, sizeof(word), " %s ", name);
    const char *names = FAMILIES[family].names;
    return strncmp(names, word + 1, strlen(word) - 1) == 0 || strstr(names, word) != NULL;
}

static size_t pieces_n(size_t family)
{
    size_t n = 0;
    while (n < PIECES_MAX && FAMILIES[family].pieces[n])
        n++;
    return n;
}

static void plain_text_stays_as_it_is(void **state)
{
    for (size_t i = 0; i < formats_n; i++) {
        assert_parses(formats[i], NULL, "", "", "");
        assert_parses(formats[i], NULL, "a < b, (x) 价格\n\nand more", "a < b, (x) 价格\n\nand more", "");
    }
}

static void any_markup_is_read_alike_however_it_is_cut(void **state)
{
    srand(7);
    for (size_t family = 0; family < ARRAY_LEN(FAMILIES); family++)
        for (size_t i = 0; i < formats_n; i++)
            for (int round = is_of(family, formats[i]->name) ? 16 : 0; round > 0; round--) {
                struct buf text = { 0 };
                for (int n = 2 + rand() % 10; n > 0; n--) {
                    size_t k = (size_t)rand() % (pieces_n(family) + ARRAY_LEN(EVERYWHERE) / 2);
                    size_t other = (size_t)rand() % ARRAY_LEN(EVERYWHERE);
                    buf_put(&text, str_of(k < pieces_n(family) ? FAMILIES[family].pieces[k] : EVERYWHERE[other]));
                }
                assert_cuts_agree(formats[i], NULL, buf_str(&text));
                buf_fini(&text);
            }
}

/* Much of the same, byte by byte, behind what opens a call or between its pieces. Linear reading takes some milliseconds; reading everything again for each byte takes many seconds. */
static void long_replies_take_linear_time(void **state)
{
    static const struct {
        const struct toolcall_format *format;
        const char *opener, *repeated;
    } ROWS[] = {
        { &TOOLCALL_LONGCAT, "<longcat_tool_call>{\"name\":\"f\",\"arguments\":{}}", " " },
        { &TOOLCALL_LONGCAT, "<longcat_tool_call>{\"name\":\"f\",\"arguments\":{\"k\":\"", "</" },
        { &TOOLCALL_GRANITE, "[\"", "<tool_call>" },
        { &TOOLCALL_PHI4_MINI_JSON, "", "functools[[[[" },
        { &TOOLCALL_XLAM, "", "```" },
        { &TOOLCALL_GEMMA4, "<|tool_call>call:f{k:<|\"|>", "<|" },
        { &TOOLCALL_GEMMA4, "", "<|tool_call>call:f{a:[" },
        { &TOOLCALL_GEMMA4, "<|tool_call>", "call:f{" },
        { &TOOLCALL_MINICPM5, "<function name=\"f\">", "<param name=\"k\">" },
        { &TOOLCALL_LFM2, "<|tool_call_start|>", "f(a=" },
        { &TOOLCALL_OLMO3, "<function_calls>", "words and\n" },
        { &TOOLCALL_MINIMAX_M1, "<tool_calls>", "[\n" },
        { &TOOLCALL_HY_V3, "<tool_calls><tool_call>f<tool_sep>", "<arg_key>k</arg_key>" },
        { &TOOLCALL_K2_HORIZON, "<ifm|tool_call>f", "<ifm|arg_key>k</ifm|arg_key><ifm|arg_type>" },
        { &TOOLCALL_DOTS, "<dots_function_call>", "<invoke name=\"f\">" },
        { &TOOLCALL_SOLAR_OPEN2, "<|tool_call:start|>f\n", "<|tool_arg:start|>" },
        { &TOOLCALL_MINIMAX_M3, "]<]minimax[>[<tool_call>]<]minimax[>[<invoke name=\"f\">", "]<]minimax[>[<k>1]<]minimax[>[</k>" },
    };
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++)
        assert_linear(ROWS[i].format, ROWS[i].opener, ROWS[i].repeated);
}

static void what_never_ends_is_bounded(void **state)
{
    static const struct {
        const struct toolcall_format *format;
        const char *opener;
    } ROWS[] = {
        { &TOOLCALL_LONGCAT, "<longcat_tool_call>" },
        { &TOOLCALL_PHI4_MINI_JSON, "functools[\"" },
        { &TOOLCALL_XLAM, "[\"" },
        { &TOOLCALL_GEMMA4, "<|tool_call>" },
        { &TOOLCALL_MINICPM5, "<function name=" },
        { &TOOLCALL_LFM2, "<|tool_call_start|>[f('" },
        { &TOOLCALL_MINIMAX_M1, "<tool_calls>" },
        { &TOOLCALL_HY_V3, "<tool_calls:opensource>" },
        { &TOOLCALL_K2_HORIZON, "<ifm|tool_call>" },
        { &TOOLCALL_DOTS, "<dots_function_call>" },
        { &TOOLCALL_SEED_OSS, "<seed:tool_call>" },
    };
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++)
        assert_bounded(ROWS[i].format, ROWS[i].opener);
}

/* Ids as the hubs have them: a longer word of SMG's mapping must not win. */
static void models_beyond_smg_have_their_formats(void **state)
{
    static const struct {
        const char *model;
        const struct toolcall_format *format;
    } ROWS[] = {
        { "swiss-ai/Apertus-8B-Instruct-2509", &TOOLCALL_APERTUS },
        { "baidu/ERNIE-4.5-21B-A3B-Thinking", &TOOLCALL_ERNIE45 },
        { "google/functiongemma-270m-it", &TOOLCALL_FUNCTIONGEMMA },
        { "google/gemma-4-E2B-it", &TOOLCALL_GEMMA4 },
        { "google/gemma-3-27b-it", &TOOLCALL_JSON },
        { "ai-sage/GigaChat3-10B-A1.8B", &TOOLCALL_GIGACHAT3 },
        { "ai-sage/GigaChat3.5-10B", &TOOLCALL_GIGACHAT35 },
        { "ibm-granite/granite-3.1-8b-instruct", &TOOLCALL_GRANITE },
        { "ibm-granite/granite-4.0-h-small", &TOOLCALL_GRANITE4 },
        { "ibm-granite/granite-20b-functioncalling", &TOOLCALL_GRANITE_20B_FC },
        { "tencent/Hunyuan-A13B-Instruct", &TOOLCALL_HUNYUAN_A13B },
        { "tencent/Hy3-preview", &TOOLCALL_HY_V3 },
        { "internlm/internlm2_5-7b-chat", &TOOLCALL_INTERNLM },
        { "internlm/Intern-S1", &TOOLCALL_INTERNLM },
        { "ai21labs/AI21-Jamba-1.5-Mini", &TOOLCALL_JAMBA },
        { "LiquidAI/LFM2.5-1.2B-Instruct", &TOOLCALL_LFM2 },
        { "meituan-longcat/LongCat-Flash-Chat", &TOOLCALL_LONGCAT },
        { "MiniMaxAI/MiniMax-M1-40k", &TOOLCALL_MINIMAX_M1 },
        { "MiniMaxAI/MiniMax-M2.5", &TOOLCALL_MINIMAX_M2 },
        { "MiniMaxAI/MiniMax-M3", &TOOLCALL_MINIMAX_M3 },
        { "allenai/Olmo-3-7B-Instruct", &TOOLCALL_OLMO3 },
        { "microsoft/Phi-4-mini-instruct", &TOOLCALL_PHI4_MINI_JSON },
        { "ByteDance-Seed/Seed-OSS-36B-Instruct", &TOOLCALL_SEED_OSS },
        { "upstage/Solar-Open2-250B", &TOOLCALL_SOLAR_OPEN2 },
        { "arcee-ai/Trinity-Mini", &TOOLCALL_TRINITY },
        { "Salesforce/Llama-xLAM-2-8b-fc-r", &TOOLCALL_XLAM },
        { "Salesforce/Qwen-xLAM-32B-fc-r", &TOOLCALL_XLAM },
        { "Salesforce/xLAM-1B-fc-r", &TOOLCALL_XLAM },
        { "poolside/Laguna-XS.2", &TOOLCALL_GLM45_MOE },
        { "Team-ACE/ToolACE-8B", &TOOLCALL_PYTHONIC },
        { "XiaomiMiMo/MiMo-V2-Flash", &TOOLCALL_QWEN_XML },
    };
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++)
        if (toolcall_for_model(str_of(ROWS[i].model)) != ROWS[i].format)
            fail_msg("%s has not the parser %s", ROWS[i].model, ROWS[i].format->name);
}

/* ---- docs/tool-formats.md ---- */

/* The section under the heading of NAME, up to the next heading. */
static struct str section_of(const char *name)
{
    struct buf heading = { 0 };
    buf_printf(&heading, "\n## `%s`\n", name);
    struct str text = { page.p, page.n - 1 };
    size_t at = str_find(text, buf_str(&heading));
    if (at == STR_NPOS)
        fail_msg("docs/tool-formats.md has no section on %s", name);
    text = str_skip(text, at + heading.n);
    buf_fini(&heading);
    return str_first(text, str_find(text, STR("\n## ")));
}

/* What stands between fences; false: nothing. */
static bool example_of(struct str section, struct str *ret)
{
    size_t at = str_find(section, STR("```text\n"));
    if (at == STR_NPOS)
        return false;
    bool four = at > 0 && section.p[at - 1] == '`';
    section = str_skip(section, at + sizeof("```text\n") - 1);
    size_t end = str_find(section, four ? STR("\n````\n") : STR("\n```\n"));
    assert_true(end != STR_NPOS);
    *ret = str_first(section, end);
    return true;
}

static void every_format_has_its_section(void **state)
{
    for (size_t i = 0; i < formats_n; i++) {
        struct str section = section_of(formats[i]->name), rest = section, line, name;
        for (const char *const *alias = toolcall_aliases(formats[i]); *alias; alias++) {
            char word[80];
            snprintf(word, sizeof(word), "`%s`", *alias);
            if (str_find(section, str_of(word)) == STR_NPOS)
                fail_msg("docs/tool-formats.md: %s is also called %s", formats[i]->name, *alias);
        }
        size_t models = str_find(section, STR("Models: "));
        if (models == STR_NPOS)
            continue;
        assert_true(str_split(str_skip(section, models), '\n', &line, &rest));
        while (str_split(line, '`', &name, &line) && str_split(line, '`', &name, &line))
            if (toolcall_for_model(name) != formats[i])
                fail_msg("docs/tool-formats.md: a model %.*s has not the parser %s", STR_FMT(name), formats[i]->name);
    }
}

static void every_example_is_read(void **state)
{
    for (size_t i = 0; i < formats_n; i++) {
        struct str section = section_of(formats[i]->name), example;
        struct seen s = { 0 };
        if (!example_of(section, &example)) {
            assert_ptr_equal(formats[i], &TOOLCALL_PASSTHROUGH);
            continue;
        }
        see_cut(formats[i], NULL, example, NULL, 0, &s);
        if (!str_eq(buf_str(&s.calls), STR("get_weather\t{\"city\":\"Paris\"}\n")))
            fail_msg("docs/tool-formats.md: %s reads its example as %.*s", formats[i]->name, STR_FMT(buf_str(&s.calls)));
        seen_fini(&s);
        assert_cuts_agree(formats[i], NULL, example);
    }
}

static void formats_say_when_memory_is_out(void **state)
{
    for (size_t i = 0; i < formats_n; i++) {
        struct str example;
        if (!example_of(section_of(formats[i]->name), &example))
            continue;
        FOR_EACH_FAILING_ALLOCATION(n)
        {
            struct arena arena;
            struct toolcall_result result = { 0 };
            struct err err;
            arena_init(&arena, NULL, 0);
            int r = toolcall_parse(formats[i], NULL, example, &arena, &result, &err);
            if (r == 0)
                assert_int_equal(result.calls_n, 1);
            else {
                assert_true(fail_alloc_failed());
                assert_int_equal(r, ERR_NOMEM);
            }
            arena_fini(&arena);
        }
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_text_stays_as_it_is),
        cmocka_unit_test(any_markup_is_read_alike_however_it_is_cut),
        cmocka_unit_test(long_replies_take_linear_time),
        cmocka_unit_test(what_never_ends_is_bounded),
        cmocka_unit_test(models_beyond_smg_have_their_formats),
        cmocka_unit_test(every_format_has_its_section),
        cmocka_unit_test(every_example_is_read),
        cmocka_unit_test(formats_say_when_memory_is_out),
    };
    FILE *f = argc > 1 ? fopen(argv[1], "r") : NULL;
    char piece[4096];
    if (!f)
        return 2;
    for (size_t n; (n = fread(piece, 1, sizeof(piece), f)) > 0;)
        buf_put(&page, (struct str){ piece, n });
    fclose(f);
    buf_put_char(&page, '\0');
    formats = toolcall_formats(&formats_n);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_fini(&page);
    return failed;
}
