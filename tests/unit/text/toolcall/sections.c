/* deepseek, deepseek31, kimik2: the vectors of spec parsers 6.8, 6.9 and 6.14 by number, each cut in every way. A streaming vector is its chunks put together. Where a BETTER of the spec or
 * decision 19 overrules a vector the line says so: (complete) means that the complete vector of the same input counts. */
#include "cuts.h"

/* ---- deepseek ---- */

static void v3(const char *text, const char *content, const char *calls)
{
    assert_parses(&TOOLCALL_DEEPSEEK, NULL, text, content, calls);
}

static void v31(const char *text, const char *content, const char *calls)
{
    assert_parses(&TOOLCALL_DEEPSEEK31, NULL, text, content, calls);
}

#define DB  "<｜tool▁calls▁begin｜>"
#define DE  "<｜tool▁calls▁end｜>"
#define CB  "<｜tool▁call▁begin｜>"
#define CE  "<｜tool▁call▁end｜>"
#define SEP "<｜tool▁sep｜>"

#define V3(name, arguments)  CB "function" SEP name "\n```json\n" arguments "\n```" CE
#define V31(name, arguments) CB name SEP arguments CE

static void deepseek_vectors(void **state)
{
    v3("Hi." DB V3("get_weather", "{\"city\": \"Tokyo\"}") "\n" V3("search", "{\"q\":1}") DE "x", "Hi.",
       "get_weather\t{\"city\":\"Tokyo\"}\nsearch\t{\"q\":1}\n");                                       /* D1 */
    v3(DB V3("a", "[1,2]") DE, "", "a\t{\"value\":[1,2]}\n");                                           /* D2 */
    v3(DB V3("a", "{bad}") DE, DB V3("a", "{bad}") DE, "");                                             /* D3 */
    v3(V3("a", "{}"), V3("a", "{}"), "");                                                               /* D4 */
    v3(DB CB "tool" SEP "a\n```json\n{}\n```" CE DE, DB CB "tool" SEP "a\n```json\n{}\n```" CE DE, ""); /* D5 */
    v3("Hi " DB V3("get_weather", "{\"city\": \"Tokyo\"}") DE, "Hi ",
       "get_weather\t{\"city\":\"Tokyo\"}\n"); /* DS1, DS2 (complete) */
    v3(DB V3("get_weather", "{\"city\": \"A\"}") "\n" V3("search", "{\"q\": 1}") DE, "",
       "get_weather\t{\"city\":\"A\"}\nsearch\t{\"q\":1}\n");     /* DS3 (complete) */
    v3(DB V3("nope", "{\"a\":1}") DE, "", "nope\t{\"a\":1}\n");   /* DS5, decision 19: unknown names are told */
    v3("<｜tool▁ca is no marker", "<｜tool▁ca is no marker", ""); /* DS4, BETTER: held back, then text */
    v3("```json\n{}\n```\n" DE, "```json\n{}\n```\n" DE, "");     /* BETTER: fences of ordinary text stay */
    v3(DB CB "function" SEP "a\n```json\n{\"x\": 1}" CE DE, "",
       "a\t{\"x\":1}\n"); /* BETTER: the end marker ends the arguments too (DS2b) */
    v3(DB V3("a", "{\"k\":\"<｜tool▁call▁end｜><｜tool▁calls▁end｜>\"}") V3("b", "{}") DE, "",
       "a\t{\"k\":\"<｜tool▁call▁end｜><｜tool▁calls▁end｜>\"}\nb\t{}\n"); /* markers in strings are data */
    v3(DB V3("a", "{\"k\":\"``` \\n```json\"}") DE, "", "a\t{\"k\":\"``` \\n```json\"}\n");
    v3(DB V3("a", "{\"k\":<｜tool▁call▁end｜>}") V3("b", "{}") DE, "", "b\t{}\n"); /* outside of them they end a call */
}

static void deepseek31_vectors(void **state)
{
    v31("Hi." DB V31("get_weather", "{\"city\": \"Tokyo\"}") V31("search", "{\"q\":1}") DE, "Hi.",
        "get_weather\t{\"city\":\"Tokyo\"}\nsearch\t{\"q\":1}\n");             /* E1 */
    v31(DB V31("a", "{bad}") V31("b", "{\"x\": 1}") DE, "", "b\t{\"x\":1}\n"); /* E2 */
    v31(DB V31("a", "{\"k\":\"<｜tool▁call▁end｜><｜tool▁calls▁end｜>\"}") DE, "",
        "a\t{\"k\":\"<｜tool▁call▁end｜><｜tool▁calls▁end｜>\"}\n");
    v31(DB V31("a", "5") DE, "", "a\t{\"value\":5}\n");                                                         /* E3 */
    v31("Hi " DB V31("get_weather", "{\"city\": \"Tokyo\"}") DE, "Hi ", "get_weather\t{\"city\":\"Tokyo\"}\n"); /* ES1 */
    v31(DB V31("search", "{\"q\": \"r\"}") DE "<｜end▁of▁sentence｜>", "", "search\t{\"q\":\"r\"}\n");          /* ES2 */
    v31(DB V31("get_weather", "{\"city\":\"A\"}") V31("search", "{}") DE, "",
        "get_weather\t{\"city\":\"A\"}\nsearch\t{}\n");                                                 /* ES3, BETTER */
    v31(DB V31("get_weather", "{}") V31("search", "{}") DE " ok", "", "get_weather\t{}\nsearch\t{}\n"); /* ES4 (complete) */
}

static void deepseek_leaves_what_is_no_call(void **state)
{
    static const char *const TEXTS[] = {
        DB DE,
        DB V31(" ", "{}") DE,
        DB V31("a", "") DE,
        DB CB "a" SEP "{}",
        DB CB "a" SEP "{}" DE,
        DB CB "a {}" CE DE,
        DB,
        "x " CB "a" SEP "{}" CE,
        "x " DB " only tokens " DE " y",
    };
    for (size_t i = 0; i < ARRAY_LEN(TEXTS); i++)
        v31(TEXTS[i], TEXTS[i], "");
    v3(DB V3(" ", "{}") DE, DB V3(" ", "{}") DE, "");
    v3(DB CB "function" SEP "a {}" CE DE, DB CB "function" SEP "a {}" CE DE, "");
    v3("a " DB V3("f", "{}") DE " b " DB V3("g", "{}") DE " c", "a ", "f\t{}\ng\t{}\n"); /* a section may follow another */
    v31(DB V31(" a ", " {\"x\":{\"x\":[]}, \"x\":2}\n") DE, "", "a\t{\"x\":2}\n");
}

/* ---- kimik2 ---- */

static void kimi(const char *text, const char *content, const char *calls)
{
    assert_parses(&TOOLCALL_KIMIK2, NULL, text, content, calls);
}

#define KB                "<|tool_calls_section_begin|>"
#define KE                "<|tool_calls_section_end|>"
#define KCB               "<|tool_call_begin|>"
#define KCE               "<|tool_call_end|>"
#define KA                "<|tool_call_argument_begin|>"
#define KC(id, arguments) KCB id KA arguments KCE

static void kimik2_vectors(void **state)
{
    kimi("Hi." KB KC("functions.get_weather:0", "{\"city\": \"T\"}") KC("functions.search:1", "{\"q\":1}") KE "x", "Hi.",
         "get_weather\t{\"city\": \"T\"}\nsearch\t{\"q\":1}\n");                      /* K1 */
    kimi(KB KC("get_weather:0", "{}") KE, "", "get_weather\t{}\n");                   /* K2 */
    kimi(KB KC("functions.a:0", "{bad}") KE, KB KC("functions.a:0", "{bad}") KE, ""); /* K3 */
    kimi(KB KC("functions.get-weather:0", "{}") KE, "", "get-weather\t{}\n");         /* K4, BETTER */
    kimi(KB KC("api.tools.search:0", "{}") KE, "", "api.tools.search\t{}\n");         /* K5 */
    kimi(KB KC("functions.a:0", "") KE, KB KC("functions.a:0", "") KE, "");           /* K6 */
    kimi("Hi " KB KC("functions.get_weather:0", "{\"city\": \"T\"}") KE, "Hi ", "get_weather\t{\"city\": \"T\"}\n"); /* KS1 */
    kimi(KB KC("functions.get_weather:0", "{\"city\":\"A\"}") KC("functions.search:1", "{\"q\":1}") KE, "",
         "get_weather\t{\"city\":\"A\"}\nsearch\t{\"q\":1}\n");                 /* KS2 */
    kimi(KB KC("functions.nope:0", "{\"a\":1}") KE, "", "nope\t{\"a\":1}\n");   /* KS4, decision 19: unknown names are told */
    kimi("<|tool_calls_sec", "<|tool_calls_sec", "");                           /* KS5, BETTER: held back, then text */
    kimi("a " KC("functions.f:0", "{\"x\": 1}") " b", "a ", "f\t{\"x\": 1}\n"); /* KX, BETTER: no section needed */
}

static void kimik2_reads_odd_calls(void **state)
{
    kimi(KB KC(" functions.f:12 ", "\n {\"a\": \"<|tool_call_end|>}\"} \n") KE, "", "f\t{\"a\": \"<|tool_call_end|>}\"}\n");
    kimi(KB " \n" KC("functions.f:0", "{}") " \n" KC("g:1", "{}") "\n", "", "f\t{}\ng\t{}\n");
    kimi(KB KCB "functions.f:0" KA "{}" KCB "functions.g:1" KA "{}" KE, "", "f\t{}\ng\t{}\n"); /* ends are missing */
    kimi(KB KCB "functions.f:0" KA "{}", "", "f\t{}\n");
    kimi(KB KC("functions.f", "{}") KC("functions.g:1", "{}") KE, "", "g\t{}\n");
    kimi(KB KC("functions.f:0", "{} x") KC("functions.g:1", "[1]") KC("functions.h:2", "{}") KE, "", "h\t{}\n");
    kimi(KB KCB "f g:0" KA "{" KCB "h:0" KA "{}" KCE, "", "h\t{}\n");
    kimi("say " KCB " first, then " KC("f:0", "{}"), "say  first, then ", "f\t{}\n");
    kimi("a" KB "b" KE "c" KB KC("f:0", "{}") KE "d", "ac", "f\t{}\n");
    kimi(KC("名.前:0", "{\"k\":\"値\"}"), "", "名.前\t{\"k\":\"値\"}\n");
}

static void kimik2_leaves_what_is_no_call(void **state)
{
    static const char *const TEXTS[] = {
        KB,
        KB KE,
        "a" KB " " KE "b",
        KCB,
        KCB "f:0",
        KCB "f:0" KA,
        KCB "f:0" KA "{\"x\"",
        KCB "f:" KA "{}" KCE,
        KCB ":0" KA "{}" KCE,
        KCB "f:0x" KA "{}" KCE,
        KB KCB "f" KE,
        "end " KCE " and " KE,
        KB KCB "<|tool_call_arg",
        KB KCB "f:0" KA "{}<|tool",
    };
    for (size_t i = 0; i < ARRAY_LEN(TEXTS); i++)
        kimi(TEXTS[i], TEXTS[i], "");
    char id[700];
    memset(id, 'x', sizeof(id) - 1);
    id[sizeof(id) - 1] = '\0';
    struct buf text = { 0 };
    buf_printf(&text, "%s%s:0%s{}%s tail%c", KCB, id, KA, KCE, '\0');
    kimi(text.p, text.p, "");
    buf_fini(&text);
}

/* ---- calls that have not ended ---- */

static void so_far(const struct toolcall_format *f, const char *text, const char *want)
{
    struct seen s = { 0 };
    struct toolcall_config c = { .sink = see, .owner = &s };
    struct toolcall_parser *p;
    struct err err;
    struct buf out = { 0 };
    assert_int_equal(toolcall_parser_new(f, &c, &p), 0);
    assert_int_equal(toolcall_feed(p, str_of(text), &err), 0);
    toolcall_so_far(p, &out);
    assert_str(buf_str(&out), want);
    toolcall_parser_free(p);
    buf_fini(&out);
    seen_fini(&s);
}

static void what_an_open_call_holds_can_be_shown(void **state)
{
    so_far(&TOOLCALL_QWEN, "a <tool_call>\n{\"name\": \"f\", \"arguments\": {\"city\": \"Par",
           "{\"name\":\"f\",\"arguments\":{\"city\":\"Par\"}}");
    so_far(&TOOLCALL_MISTRAL, "[TOOL_CALLS] [ {\"name\": \"f\"}, {\"na", "[{\"name\":\"f\"},{\"na\":null}]");
    so_far(&TOOLCALL_DEEPSEEK31, DB CB "f" SEP "{\"x\": 1", "{\"x\":1}");
    so_far(&TOOLCALL_KIMIK2, KB KCB "f:0" KA "{\"x\": [tr", "{\"x\":[true]}");
    so_far(&TOOLCALL_KIMIK2, KB KCB "f:0" KA, "");
    so_far(&TOOLCALL_QWEN, "no {block", "");
    so_far(&TOOLCALL_QWEN, "<tool_call>{\"name\": \"f\"}</tool_call>", "");
    so_far(&TOOLCALL_PYTHONIC, "[f(x={1: 2", "");
}

/* ---- whatever comes ---- */

static const struct toolcall_format *const ALL[] = { &TOOLCALL_DEEPSEEK, &TOOLCALL_DEEPSEEK31, &TOOLCALL_KIMIK2 };

static void any_markup_is_read_alike_however_it_is_cut(void **state)
{
    static const char *const DEEPSEEK[] = { DB,
                                            DE,
                                            CB,
                                            CE,
                                            SEP,
                                            V3("f", "{}"),
                                            V31("g", "{\"a\": 1}"),
                                            "function",
                                            "\n```json\n",
                                            "\n```",
                                            "{}",
                                            "[1, ",
                                            "]",
                                            " ",
                                            "\n",
                                            "<",
                                            "<｜tool",
                                            "\xef\xbd",
                                            "text",
                                            "a" };
    static const char *const KIMI[] = { KB,
                                        KE,
                                        KCB,
                                        KCE,
                                        KA,
                                        KC("functions.f:0", "{}"),
                                        "f:0",
                                        "functions.g:1",
                                        "{}",
                                        "{\"a\":",
                                        "}",
                                        " ",
                                        "\n",
                                        "<",
                                        "<|tool_call",
                                        "\xe5\x80",
                                        "text",
                                        "1" };
    srand(11);
    for (size_t i = 0; i < 3 * 400; i++) {
        struct buf text = { 0 };
        bool is_kimi = ALL[i % 3] == &TOOLCALL_KIMIK2;
        for (int n = rand() % 12; n >= 0; n--)
            buf_put(&text,
                    str_of(is_kimi ? KIMI[(size_t)rand() % ARRAY_LEN(KIMI)] : DEEPSEEK[(size_t)rand() % ARRAY_LEN(DEEPSEEK)]));
        assert_cuts_agree(ALL[i % 3], NULL, buf_str(&text));
        buf_fini(&text);
    }
}

static void long_replies_take_linear_time(void **state)
{
    static const struct {
        const struct toolcall_format *format;
        const char *opener, *repeated;
    } ROWS[] = {
        { &TOOLCALL_DEEPSEEK, DB, "<" },
        { &TOOLCALL_DEEPSEEK, DB CB "function" SEP "f\n```json\n", "\n" },
        { &TOOLCALL_DEEPSEEK, DB, CB },
        { &TOOLCALL_DEEPSEEK31, DB, V31("f", "{}") },
        { &TOOLCALL_DEEPSEEK31, DB CB "f" SEP "{\"a\":\"", "<｜tool" },
        { &TOOLCALL_KIMIK2, KB, " " },
        { &TOOLCALL_KIMIK2, "", KCB },
        { &TOOLCALL_KIMIK2, "", KCB "x" },
        { &TOOLCALL_KIMIK2, KB KCB "f:0" KA, " " },
        { &TOOLCALL_KIMIK2, KB KCB "f:0" KA "{}", " " },
        { &TOOLCALL_KIMIK2, KB KCB "f:0" KA "{\"a\":\"", "<" },
        { &TOOLCALL_KIMIK2, KB, KCB "f:0" KA "{\"a\":" },
        { &TOOLCALL_KIMIK2, "", KB KE },
    };
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++)
        assert_linear(ROWS[i].format, ROWS[i].opener, ROWS[i].repeated);
}

static void what_never_ends_is_bounded(void **state)
{
    static const char *const OPEN[] = { DB CB, DB, KCB "f:0" KA "{\"a\":\"" };
    for (size_t i = 0; i < ARRAY_LEN(ALL); i++)
        assert_bounded(ALL[i], OPEN[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deepseek_vectors),
        cmocka_unit_test(deepseek31_vectors),
        cmocka_unit_test(deepseek_leaves_what_is_no_call),
        cmocka_unit_test(kimik2_vectors),
        cmocka_unit_test(kimik2_reads_odd_calls),
        cmocka_unit_test(kimik2_leaves_what_is_no_call),
        cmocka_unit_test(what_an_open_call_holds_can_be_shown),
        cmocka_unit_test(any_markup_is_read_alike_however_it_is_cut),
        cmocka_unit_test(long_replies_take_linear_time),
        cmocka_unit_test(what_never_ends_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
