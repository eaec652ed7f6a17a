/* Formats beyond SMG's that are no JSON (gemma.c, minicpm.c, keyed.c, elements.c, and the rows of qwen_xml.c, dsml.c and glm.c): replies as the engines' guides and tests show them, each cut
 * in every way. Where another engine reads something else the line says so; docs/tool-formats.md has the table. */
#include "cuts.h"

static const char WT[] = "[{\"type\":\"function\",\"function\":{\"name\":\"w\",\"parameters\":{\"properties\":{"
                         "\"city\":{\"type\":\"string\"},\"days\":{\"type\":\"integer\"},\"on\":{\"type\":\"boolean\"},\"tags\":{"
                         "\"type\":\"array\"}}}}}]";

static struct arena arena;
static struct toolcall_tools wt;

static int tools_up(void **state)
{
    static struct json_doc doc;
    arena_init(&arena, NULL, 0);
    assert_int_equal(json_parse(str_of(WT), &arena, &doc, NULL), 0);
    return toolcall_tools_read(json_root(&doc), &arena, &wt);
}

static int tools_down(void **state)
{
    arena_fini(&arena);
    return 0;
}

static void parses(const struct toolcall_format *f, const char *text, const char *content, const char *calls)
{
    assert_parses(f, &wt, text, content, calls);
}

/* ---- Gemma ---- */

#define Q "<|\"|>"

static void gemma4(const char *arguments, const char *json)
{
    char text[1024], want[1024];
    snprintf(text, sizeof(text), "Hi <|tool_call>call:f{%s}<tool_call|>", arguments);
    snprintf(want, sizeof(want), "f\t%s\n", json ? json : "");
    parses(&TOOLCALL_GEMMA4, text, json ? "Hi " : text, json ? want : "");
}

static void gemma_values(void **state)
{
    gemma4("", "{}");
    gemma4("   ", "{}");
    gemma4("l:" Q "Paris, France" Q, "{\"l\":\"Paris, France\"}");
    gemma4("l:" Q "San Francisco" Q ",unit:" Q "celsius" Q, "{\"l\":\"San Francisco\",\"unit\":\"celsius\"}");
    gemma4("n:" Q "test" Q ",c:42,a:true,s:3.14,z:null,m:-1",
           "{\"n\":\"test\",\"c\":42,\"a\":true,\"s\":3.14,\"z\":null,\"m\":-1}");
    gemma4("o:{i:" Q "v" Q ",l:[" Q "a" Q "," Q "b]}" Q ",[1]]}", "{\"o\":{\"i\":\"v\",\"l\":[\"a\",\"b]}\",[1]]}}");
    gemma4("m:{" Q "3" Q ":" Q "new" Q "}", "{\"m\":{\"3\":\"new\"}}");
    gemma4("k:,j:1", "{\"k\":\"\",\"j\":1}");
    gemma4("l:108.,r:22.8", "{\"l\":108.0,\"r\":22.8}");
    gemma4("w:bare words,v:1", "{\"w\":\"bare words\",\"v\":1}");
    gemma4("h:" Q "<div class=\"m\">{x}</div>\n\\" Q, "{\"h\":\"<div class=\\\"m\\\">{x}</div>\\n\\\\\"}");
    gemma4("t:" Q "<tool_call|><|tool_call>" Q, "{\"t\":\"<tool_call|><|tool_call>\"}");
    gemma4("u:" Q "北京 \xf0\x9f\x8e\x89" Q, "{\"u\":\"北京 🎉\"}");
    gemma4("a:1,b:2,a:3", "{\"a\":3,\"b\":2}");
    gemma4("a:" Q "x" Q "b:" Q "y" Q, "{\"a\":\"x\",\"b\":\"y\"}"); /* commas are not needed */
    gemma4("nothing", NULL);
    gemma4("a:[1", NULL);
    gemma4("a:{b:1", NULL);
}

static void gemma_blocks(void **state)
{
    const struct toolcall_format *f = &TOOLCALL_GEMMA4;
    parses(f, "<|tool_call>call:a{x:1}<tool_call|><|tool_call>call:weather.get-it{}<tool_call|>", "",
           "a\t{\"x\":1}\nweather.get-it\t{}\n");
    parses(f, "<|tool_call>call:a{x:1}<tool_call|> mid <|tool_call>call:b{}<tool_call|>end", " mid end", "a\t{\"x\":1}\nb\t{}\n");
    parses(f, "<|tool_call>call:w{city:42,days:3,tags:[1,2]}<tool_call|>", "",
           "w\t{\"city\":\"42\",\"days\":3,\"tags\":[1,2]}\n"); /* as declared */
    parses(f, "<|tool_call>call:a{x:1}", "", "a\t{\"x\":1}\n");
    parses(f, "<|tool_call>call:a{x:1}<|tool_call>call:b{}<tool_call|>", "", "a\t{\"x\":1}\nb\t{}\n");
    parses(f, "<|tool_call>call:a{l:" Q "London", "<|tool_call>call:a{l:" Q "London", "");
    parses(f, "<|tool_call>call:{}<tool_call|>", "<|tool_call>call:{}<tool_call|>", "");
    parses(f, "<|tool_call>a{}<tool_call|>", "<|tool_call>a{}<tool_call|>", "");
    parses(f, "call:a{} <|tool_c", "call:a{} <|tool_c", "");
}

#define FB "<start_function_call>"
#define FE "<end_function_call>"
#define X  "<escape>"

static void function_gemma(void **state)
{
    const struct toolcall_format *f = &TOOLCALL_FUNCTIONGEMMA;
    parses(f, "Let me. " FB "call:g{location:" X "London" X ",unit:" X "celsius" X "}" FE, "Let me. ",
           "g\t{\"location\":\"London\",\"unit\":\"celsius\"}\n");
    parses(f, FB "call:g{a:" X "x" X "}" FE FB "call:t{tz:" X "UTC" X "}" FE, "", "g\t{\"a\":\"x\"}\nt\t{\"tz\":\"UTC\"}\n");
    parses(f, FB "call:g{city:" X "NYC" X "unit:" X "celsius" X "}" FE, "", "g\t{\"city\":\"NYC\",\"unit\":\"celsius\"}\n");
    parses(f, FB "call:g{n:" X "42" X ",on:" X "true" X ",bare:7}" FE, "", "g\t{\"n\":42,\"on\":true,\"bare\":7}\n");
    parses(f, FB "call:w{city:" X "42" X ",days:" X "3" X "}" FE, "", "w\t{\"city\":\"42\",\"days\":3}\n"); /* as declared */
    parses(f, FB "call:g{t:" X "}" FE X "}" FE, "", "g\t{\"t\":\"}" FE "\"}\n");
    parses(f, FB "call:g{o:{k:" X "42" X "}}" FE, "", "g\t{\"o\":{\"k\":\"42\"}}\n");
    parses(f, FB "call:g{}" FE "ok", "ok", "g\t{}\n");
    parses(f, FB "call:g{a:" X "x", FB "call:g{a:" X "x", ""); /* vLLM tells what is there */
}

/* ---- MiniCPM ---- */

#define MP(k, v) "<param name=\"" k "\">" v "</param>"
#define MF(n, p) "<function name=\"" n "\">" p "</function>"

static void minicpm(void **state)
{
    const struct toolcall_format *f = &TOOLCALL_MINICPM5;
    parses(f, "In.\n" MF("w", MP("city", "上海") MP("days", "3")) "\nOut.\n", "In.\n\nOut.\n",
           "w\t{\"city\":\"上海\",\"days\":3}\n");
    parses(f, MF("w", MP("city", "<![CDATA[北\n京 </function></param>]]>") MP("on", "true")), "",
           "w\t{\"city\":\"北\\n京 </function></param>\",\"on\":true}\n");
    parses(f, MF("s", MP("nums", "[1, 2, 3]") MP("d", "{'a': None}") MP("t", " a &lt; b &amp;lt; ") MP("day", "2024-06-27")), "",
           "s\t{\"nums\":[1,2,3],\"d\":{\"a\":null},\"t\":\"a < b &lt;\",\"day\":\"2024-06-27\"}\n");
    parses(f, "Head\n" MF("a", MP("k", "v")) "\nTXT\n" MF("b", "") "\nTail\n", "Head\n\nTXT\n\nTail\n",
           "a\t{\"k\":\"v\"}\nb\t{}\n");
    parses(f, "<function name='a'><param name='k'>\"q\"</param></function>", "", "a\t{\"k\":\"q\"}\n");
    parses(f, MF("a", "<param>x</param>" MP("k", "1") MP("k", "2")), "", "a\t{\"k\":2}\n"); /* SGLang: no call */
    parses(f, MF("a", MP("k", "<![CDATA[open")), MF("a", MP("k", "<![CDATA[open")), "");
    parses(f, "<function name=\"a\"><param name=\"k\">v</param>", "<function name=\"a\"><param name=\"k\">v</param>", "");
    parses(f, MF("", ""), MF("", ""), "");
    parses(f, "<function name=a></function>", "<function name=a></function>", "");
    parses(f, "a <function nam", "a <function nam", "");
}

/* ---- keys and values ---- */

#define HK(k, v) "<arg_key>" k "</arg_key>\n<arg_value>" v "</arg_value>\n"
#define HC(n, a) "<tool_call>" n "<tool_sep>\n" a "</tool_call>\n"
#define HS(c)    "<tool_calls>\n" c "</tool_calls>"

static void hunyuan3(void **state)
{
    const struct toolcall_format *f = &TOOLCALL_HY_V3;
    parses(f, "<tool_calls><tool_call>g<tool_sep></tool_call></tool_calls>", "", "g\t{}\n");
    parses(f, "Checking." HS(HC("g", "")), "Checking.", "g\t{}\n");
    parses(f, HS(HC("w", HK("city", "42") HK("days", "3") HK("date", "2026-03-30")) HC("w", HK("city", " Hang zhou "))), "",
           "w\t{\"city\":\"42\",\"days\":3,\"date\":\"2026-03-30\"}\nw\t{\"city\":\" Hang zhou \"}\n");
    parses(f, "<tool_calls><tool_call>w<tool_sep><arg_key>city</arg_key><arg_value>B</arg_value></tool_call></tool_calls> x", "",
           "w\t{\"city\":\"B\"}\n");
    parses(f,
           "<tool_calls:opensource>\n<tool_call:opensource>w<tool_sep:opensource>\n<arg_key:opensource>city</arg_key:opensource>\n"
           "<arg_value:opensource>B</arg_value:opensource>\n</tool_call:opensource>\n</tool_calls:opensource>",
           "", "w\t{\"city\":\"B\"}\n");
    parses(f, HS(HC("a", HK("x", "{\"k\": [1]}") HK("y", "True"))) HS(HC("b", "")), "",
           "a\t{\"x\":{\"k\":[1]},\"y\":true}\nb\t{}\n");
    parses(f, HS(HC("a", "<arg_key>x</arg_key>" HK("y", "<b>1</b>"))), "", "a\t{\"y\":\"<b>1</b>\"}\n");
    parses(f, HS("<tool_call>g</tool_call>"), "", "g\t{}\n");
    parses(f, "t " HS(""), "t " HS(""), "");
    parses(f, "t <tool_calls><tool_call>a b<tool_sep></tool_call></tool_calls>",
           "t <tool_calls><tool_call>a b<tool_sep></tool_call></tool_calls>", "");
    parses(f, "t <tool_calls><tool_call>a<tool_sep>", "t <tool_calls><tool_call>a<tool_sep>", "");
    parses(f, "<tool_calls:", "<tool_calls:", "");
}

#define KK(k, v)    "<ifm|arg_key>" k "</ifm|arg_key><ifm|arg_value>" v "</ifm|arg_value>"
#define KT(k, t, v) "<ifm|arg_key>" k "</ifm|arg_key><ifm|arg_type>" t "</ifm|arg_type><ifm|arg_value>" v "</ifm|arg_value>"
#define KC(c)       "<ifm|tool_call>" c "</ifm|tool_call>"
#define KS(c)       "<ifm|tool_calls>\n" c "\n</ifm|tool_calls>"

static void k2_horizon(void **state)
{
    const struct toolcall_format *f = &TOOLCALL_K2_HORIZON;
    parses(f, "Hi\n" KS(KC("w\n" KK("city", "42") KK("days", "3")) "\n" KC("g")) " end", "Hi\n end",
           "w\t{\"city\":\"42\",\"days\":3}\ng\t{}\n");
    parses(f, KS(KC("a" KT("x", "string", "5") KT("y", "integer", "5") KK("z", "5"))), "", "a\t{\"x\":\"5\",\"y\":5,\"z\":5}\n");
    parses(f, KS(KC("{\"name\": \"a\", \"arguments\": {\"t\": 1}}") KC("[{\"name\": \"b\", \"arguments\": \"{}\"}]")), "",
           "a\t{\"t\":1}\nb\t{}\n");
    parses(f, "x" KC("g") "y", "xy", "g\t{}\n");
    parses(f, KS(""), KS(""), "");
    parses(f, KC("{bad"), KC("{bad"), "");
    parses(f, "<ifm|tool_call>g", "<ifm|tool_call>g", "");
}

static void glm_under_other_names(void **state)
{
    assert_ptr_equal(toolcall_find(STR("poolside-v1")), &TOOLCALL_GLM45_MOE);
    assert_ptr_equal(toolcall_find(STR("ling3")), &TOOLCALL_GLM45_MOE);
    assert_ptr_equal(toolcall_find(STR("spark25")), &TOOLCALL_GLM45_MOE);
    parses(&TOOLCALL_GLM45_MOE,
           "<tool_call>w\n<arg_key>city</arg_key>\n<arg_value>42</arg_value>\n</tool_call><tool_call>g</tool_call>", "",
           "w\t{\"city\":\"42\"}\ng\t{}\n");
}

/* ---- elements ---- */

#define DP(k, v) "<parameter name=\"" k "\">" v "</parameter>\n"
#define DI(n, p) "<invoke name=\"" n "\">\n" p "</invoke>\n"
#define DS(b)    "<dots_function_call>\n" b "</dots_function_call>"

static void dots(void **state)
{
    const struct toolcall_format *f = &TOOLCALL_DOTS;
    parses(f, "Hi " DS(DI("s", DP("query", "weather in Shanghai") DP("n", "3"))) " bye", "Hi  bye",
           "s\t{\"query\":\"weather in Shanghai\",\"n\":\"3\"}\n");
    parses(f, DS(DI("w", DP("city", " 42 ") DP("days", "3") DP("tags", "[1]") DP("on", "null")) DI("g", "")), "",
           "w\t{\"city\":\"42\",\"days\":3,\"tags\":[1],\"on\":null}\ng\t{}\n");
    parses(f, DS("<invoke name = s><parameter name=q>1 < 2</parameter></invoke>"), "", "s\t{\"q\":\"1 < 2\"}\n");
    parses(f, DS("{\"name\": \"s\", \"arguments\": {\"q\": 1}}"), "", "s\t{\"q\":1}\n");
    parses(f, DS(DI("a", "")) DS(DI("b", "")), "", "a\t{}\nb\t{}\n");
    parses(f, "<dots_function_call>" DI("a", ""), "", "a\t{}\n");
    parses(f, DS("hm"), DS("hm"), "");
    parses(f, DS("<invoke>x</invoke>"), DS("<invoke>x</invoke>"), "");
}

#define SA(k, v) "<|tool_arg:start|>" k "<|tool_arg:value|>" v "<|tool_arg:end|>\n"
#define SC(n, a) "<|tool_call:start|>" n "\n" a "<|tool_call:end|>"

static void solar(void **state)
{
    const struct toolcall_format *f = &TOOLCALL_SOLAR_OPEN2;
    parses(f, "I'll check." SC("w", SA("city", "Seoul") SA("days", "5")) "\n" SC("w", SA("city", "Tokyo")) "post", "I'll check.",
           "w\t{\"city\":\"Seoul\",\"days\":5}\nw\t{\"city\":\"Tokyo\"}\n");
    parses(f, SC("s", SA("q", "vLLM") SA("n", "5") SA("d", "{\"k\": \"v\"}")), "",
           "s\t{\"q\":\"vLLM\",\"n\":\"5\",\"d\":\"{\\\"k\\\": \\\"v\\\"}\"}\n");
    parses(f, SC("g", ""), "", "g\t{}\n");
    parses(f, SC("g", SA("a", "1") SA("a", "2")), "", "g\t{\"a\":\"2\"}\n"); /* vLLM: the first */
    parses(f, SC("", SA("city", "x")), SC("", SA("city", "x")), "");
    parses(f, "Let me.<|tool_call:start|>s\n<|tool_arg:start|>q<|tool_arg:value|>Seo",
           "Let me.<|tool_call:start|>s\n<|tool_arg:start|>q<|tool_arg:value|>Seo", "");
    parses(f, SC("s", SA("t", "a <|tool_call: b")), "", "s\t{\"t\":\"a <|tool_call: b\"}\n");
}

/* ---- nested elements: MiniMax M3 ---- */

#define N        "]<]minimax[>["
#define NE(k, v) N "<" k ">" v N "</" k ">"
#define NI(n, b) N "<invoke name=\"" n "\">" b N "</invoke>"
#define NS(b)    N "<tool_call>\n" b "\n" N "</tool_call>"

static const char ORDER[] =
    "[{\"type\":\"function\",\"function\":{\"name\":\"o\",\"parameters\":{\"properties\":{\"id\":{\"type\":\"integer\"},"
    "\"urgent\":{\"type\":\"boolean\"},\"note\":{\"type\":\"string\"},\"ship\":{\"type\":\"object\",\"properties\":{\"zip\":{"
    "\"type\":"
    "\"integer\"},\"code\":{\"type\":\"string\"}}},\"items\":{\"type\":\"array\",\"items\":{\"properties\":{\"sku\":{\"type\":"
    "\"string\"}}}},"
    "\"meta\":{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"}}}}}}]";

static void minimax_m3(void **state)
{
    const struct toolcall_format *f = &TOOLCALL_MINIMAX_M3;
    struct arena own;
    struct json_doc doc;
    struct toolcall_tools order;
    arena_init(&own, NULL, 0);
    assert_int_equal(json_parse(str_of(ORDER), &own, &doc, NULL), 0);
    assert_int_equal(toolcall_tools_read(json_root(&doc), &own, &order), 0);
    assert_parses(
        f, &order,
        "I will.\n" NS(NI("o", NE("id", "42") NE("urgent", "true") NE("note", " 5 & <b>\n")
                                   NE("ship", NE("zip", "018956") NE("code", "007"))
                                       NE("items", NE("item", NE("sku", "1") NE("n", "2")) NE("item", NE("sku", "x")))
                                           NE("meta", NE("source", "7")) NE("twice", NE("tag", "a") NE("tag", "b") NE("c", "d")))),
        "I will.\n",
        "o\t{\"id\":42,\"urgent\":true,\"note\":\" 5 & "
        "<b>\\n\",\"ship\":{\"zip\":18956,\"code\":\"007\"},\"items\":[{\"sku\":\"1\",\"n\":2},"
        "{\"sku\":\"x\"}],\"meta\":{\"source\":\"7\"},\"twice\":{\"tag\":[\"a\",\"b\"],\"c\":\"d\"}}\n");
    arena_fini(&own);
    parses(f, NS(NI("a", NE("l", NE("item", "1") NE("item", "x"))) "\n" NI("b", "")) " end", " end",
           "a\t{\"l\":[1,\"x\"]}\nb\t{}\n");
    parses(f, NS(NI("a", NE("k", "[1, 2]") NE("e", ""))), "", "a\t{\"k\":[1,2],\"e\":\"\"}\n");
    parses(f, NS(NI("w", NE("tags", "") NE("city", ""))), "", "w\t{\"tags\":[],\"city\":\"\"}\n");
    parses(f, NS(NI("a", NE("k", "1")) "\n" N "<invoke name=\"b\">" N "<k>2"), "", "a\t{\"k\":1}\n");
    parses(f, NS(NI("a", N "<k>1" N "</j>")) "t", NS(NI("a", N "<k>1" N "</j>")) "t", "");
    parses(f, NS(NI("a", "text")) "t", NS(NI("a", "text")) "t", "");
    parses(f, "plain " N "<tool_ca", "plain " N "<tool_ca", "");
}

/* ---- rows of SMG's machines ---- */

static void seed_oss(void **state)
{
    const struct toolcall_format *f = &TOOLCALL_SEED_OSS;
    parses(f,
           "ok\n<seed:tool_call>\n<function=w>\n<parameter=city>Barcelona, "
           "Spain</parameter>\n<parameter=days>3</parameter>\n</function>\n"
           "</seed:tool_call>",
           "ok\n", "w\t{\"city\":\"Barcelona, Spain\",\"days\":3}\n");
    parses(f, "<seed:tool_call><function=a></function></seed:tool_call>\n<seed:tool_call><function=b></function></seed:tool_call>x",
           "x", "a\t{}\nb\t{}\n");
    parses(f, "<function=a><parameter=t><tool_call></parameter></function>", "", "a\t{\"t\":\"<tool_call>\"}\n");
    parses(f, "<tool_call>x</tool_call>", "<tool_call>x</tool_call>", "");
    parses(f, "<seed:tool_call><function=a>", "<seed:tool_call><function=a>", "");
}

#define GI(n, p)    "<｜GCML｜invoke name=\"" n "\">\n" p "</｜GCML｜invoke>\n"
#define GP(k, s, v) "<｜GCML｜parameter name=\"" k "\" string=\"" s "\">" v "</｜GCML｜parameter>\n"
#define GS(b)       "<｜GCML｜tool_calls>\n" b "</｜GCML｜tool_calls>"

static void gigachat35(void **state)
{
    const struct toolcall_format *f = &TOOLCALL_GIGACHAT35;
    parses(f, "Check.\n\n" GS(GI("w", GP("city", "true", "42") GP("days", "false", "3")) GI("g", "")) "<|message_sep|></s>",
           "Check.", "w\t{\"city\":\"42\",\"days\":3}\ng\t{}\n");
    parses(f, GS(GI("a", GP("x", "false", "{\"k\": [1]}") GP("y", "false", "no json"))), "",
           "a\t{\"x\":{\"k\":[1]},\"y\":\"no json\"}\n");
    parses(f, "t " GS(""), "t " GS(""), "");
    parses(f, GS(GI("", "")), GS(GI("", "")), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gemma_values),
        cmocka_unit_test(gemma_blocks),
        cmocka_unit_test(function_gemma),
        cmocka_unit_test(minicpm),
        cmocka_unit_test(hunyuan3),
        cmocka_unit_test(k2_horizon),
        cmocka_unit_test(dots),
        cmocka_unit_test(solar),
        cmocka_unit_test(minimax_m3),
        cmocka_unit_test(seed_oss),
        cmocka_unit_test(glm_under_other_names),
        cmocka_unit_test(gigachat35),
    };
    return cmocka_run_group_tests(tests, tools_up, tools_down);
}
