/* pythonic, sarashina: the vectors of spec parsers 6.7 and 6.13 by number, each cut in every way. A streaming vector is its chunks put together. Where a BETTER of the spec or decision 19
 * overrules a vector the line says so. */
#include "cuts.h"

static void pythonic(const char *text, const char *content, const char *calls)
{
    assert_parses(&TOOLCALL_PYTHONIC, NULL, text, content, calls);
}

static void text_only(const char *text)
{
    pythonic(text, text, "");
}

static void pythonic_vectors(void **state)
{
    pythonic("[get_weather(city=\"London\", n=5, ok=True, z=None)]", "",
             "get_weather\t{\"city\":\"London\",\"n\":5,\"ok\":true,\"z\":null}\n"); /* P1 */
    pythonic("Hi\n\n[a(x=1),\n b(y=[1,(2,3)], d={\"k\": -1.5, 2: \"v\"})]\n\nBye", "Hi\n\n\n\nBye",
             "a\t{\"x\":1}\nb\t{\"y\":[1,[2,3]],\"d\":{\"k\":-1.5,\"2\":\"v\"}}\n");                                   /* P2 */
    text_only("[f(1)]");                                                                                               /* P3 */
    pythonic("<|python_start|>[calculate(x=10, y=20)]<|python_end|>", "", "calculate\t{\"x\":10,\"y\":20}\n");         /* P4 */
    text_only("[1, 2, 3]");                                                                                            /* P5 */
    pythonic("[f(x=foo)]", "", "f\t{\"x\":\"foo\"}\n");                                                                /* P6 */
    pythonic("[ping()]", "", "ping\t{}\n");                                                                            /* P7 */
    pythonic("[m(expression=\"(2 + 3) * (4 - 1)\", r=2)]", "", "m\t{\"expression\":\"(2 + 3) * (4 - 1)\",\"r\":2}\n"); /* P8 */
    pythonic("[format_text(single='Hello', mixed=\"It's \\\"quoted\\\"\")]", "",
             "format_text\t{\"single\":\"Hello\",\"mixed\":\"It's \\\"quoted\\\"\"}\n"); /* P9 */
    pythonic("Let me check: [get_weather(location='Paris')]",
             "Let me check: ", "get_weather\t{\"location\":\"Paris\"}\n"); /* PS1 */
    text_only("see arr[0] nowx");                                          /* PS2, BETTER: brackets that are no call stay */
    pythonic("[nope(x=1), get_weather(city='B')]", "",
             "nope\t{\"x\":1}\nget_weather\t{\"city\":\"B\"}\n"); /* PS3, decision 19: unknown names are told */
    pythonic("价格[1] 是 [f(城市='北京')]", "价格[1] 是 ", "f\t{\"城市\":\"北京\"}\n"); /* 12, 26; BETTER: exact bytes */
}

static void what_is_no_list_of_calls_is_text(void **state)
{
    static const char *const TEXTS[] = {
        "[f(**k)]",
        "[a.b(x=1)]",
        "[f(x=1, x=2)]",
        "[f(x=g(1))]",
        "[f(x=f'{y}')]",
        "[f(x=1) g(y=2)]",
        "[f(x=1),]",
        "[f(x=1), 2]",
        "[f(x=1))",
        "[f(x=1)",
        "[f(x='1)]",
        "[]",
        "[ ]",
        "[",
        "[f",
        "[f (",
        "[f ( x",
        "a [link](https://host/) and [f(see below)]",
        "<|python_start|>[f(1)]<|python_end|>",
        "<|python_start|>",
        "<|python_sta",
        "<function_calls>",
        "<function_calls></function_calls>",
        "<function_calls>f(x=1) g(y=2)</function_calls>",
        "<function_calls>f(x=1)\ntext</function_calls>",
        "f(x=1)",
    };
    for (size_t i = 0; i < ARRAY_LEN(TEXTS); i++)
        text_only(TEXTS[i]);
}

static void lists_are_found_in_any_text(void **state)
{
    pythonic("[[f(x=1)]]", "[]", "f\t{\"x\":1}\n");
    pythonic("[0] [f(x=']')] [1]", "[0]  [1]", "f\t{\"x\":\"]\"}\n");
    pythonic("[f()]\n[g()]\n", "", "f\t{}\ng\t{}\n"); /* BETTER: a running index */
    pythonic("[f()]\n[g]", "\n[g]", "f\t{}\n");
    pythonic("[f()]<|python_end|>\n<|python_start|>[g()]", "", "f\t{}\ng\t{}\n");
    pythonic("[f(1)] <|python_start|>[ g ( x = 1 , ) , h( ) ]", "[f(1)] ", "g\t{\"x\":1}\nh\t{}\n");
    pythonic("[f(x=\"\"\"a \"]\" b\"\"\", y={'k': (']',)})]", "", "f\t{\"x\":\"a \\\"]\\\" b\",\"y\":{\"k\":[\"]\"]}}\n");
    pythonic("[f(x='<|python_end|>')]", "", "f\t{\"x\":\"<|python_end|>\"}\n");
}

static void olmo_writes_a_call_a_line(void **state)
{
    pythonic("Sure.<function_calls>f(x=1)\nget_time()\n</function_calls> done", "Sure. done", "f\t{\"x\":1}\nget_time\t{}\n");
    pythonic("<function_calls>\nf(x='a\\nb',\n y=2), g()\n\nh()</function_calls>", "",
             "f\t{\"x\":\"a\\nb\",\"y\":2}\ng\t{}\nh\t{}\n");
    pythonic("<function_calls>f(x=1)", "", "f\t{\"x\":1}\n"); /* the end tag may be missing */
    pythonic("<function_calls>f()</function_calls>\n<function_calls>g()</function_calls>", "", "f\t{}\ng\t{}\n");
}

static void sarashina(const char *text, const char *content, const char *calls)
{
    assert_parses(&TOOLCALL_SARASHINA, NULL, text, content, calls);
}

#define M "<|tool_calls|>"

static void sarashina_vectors(void **state)
{
    sarashina(M "[{'name': 'get_weather', 'arguments': {'city': 'Tokyo'}}]", "", "get_weather\t{\"city\":\"Tokyo\"}\n"); /* S1 */
    sarashina("Let me check." M "[{'name': 'ping', 'arguments': {}}]", "Let me check.", "ping\t{}\n");                   /* S2 */
    sarashina("[{'name': 'flags', 'arguments': {'a': True, 'b': None, 't': 'it\\'s [x]'}}] tail", "tail",
              "flags\t{\"a\":true,\"b\":null,\"t\":\"it's [x]\"}\n");                                                  /* S3 */
    sarashina("[1, 2, 3]", "[1, 2, 3]", "");                                                                           /* S4 */
    sarashina("before " M "[{'name': 'x'", "before [{'name': 'x'", "");                                                /* S5 */
    sarashina("see [{'name':'x','arguments':{}}]", "see [{'name':'x','arguments':{}}]", "");                           /* S6 */
    sarashina("[{'name': 'get_weather', 'arguments': {'city': 'Tokyo'}}]", "", "get_weather\t{\"city\":\"Tokyo\"}\n"); /* SS1 */
    sarashina("Sure." M "[{'name': 'ping', 'arguments': {}}]", "Sure.", "ping\t{}\n");                                 /* SS2 */
    sarashina("[   {'name': 'ping', 'arguments': {}}]", "", "ping\t{}\n");                                             /* SS3 */
    sarashina("[{\"name\": \"f\", \"arguments\": {\"a\": true, \"b\": null}}]", "",
              "f\t{\"a\":true,\"b\":null}\n");                                           /* BETTER: JSON too */
    sarashina("[{'name': 'f', 'arguments': {'a': true}}]", "", "f\t{\"a\":\"true\"}\n"); /* in Python a bare name is its name */
}

static void sarashina_reads_odd_replies(void **state)
{
    sarashina("{'name': 'f'} and more", "and more", "f\t{}\n");
    sarashina(" \u3000\n[\n{'name': 'f'}, {'other': 1}, {'name': 2}]", "", "f\t{}\n");
    sarashina("[{\"name\": true}]", "[{\"name\": true}]", "");
    sarashina("a " M " : [{'name': 'f'}] b " M "{'name': 'g'}\n", "a  :  b", "f\t{}\ng\t{}\n");
    sarashina("a " M "[1] b " M, "a [1] b", "");
    sarashina("{not a dict} but " M "[{'name': 'f'}]", "{not a dict} but", "f\t{}\n");
    sarashina("{'name': 'f'", "{'name': 'f'", "");
    sarashina(M, "", "");
    sarashina("<|tool_call", "<|tool_call", "");
    sarashina("[ ", "[", "");
    sarashina("  plain \u3000 ", "plain", "");
    sarashina("\u3000", "", "");
}

/* ---- whatever comes ---- */

static const struct toolcall_format *const ALL[] = { &TOOLCALL_PYTHONIC, &TOOLCALL_SARASHINA };

static void any_markup_is_read_alike_however_it_is_cut(void **state)
{
    static const char *const PIECES[] = { "[",
                                          "]",
                                          "(",
                                          ")",
                                          "{",
                                          "}",
                                          ",",
                                          "=",
                                          ":",
                                          "'",
                                          "\"",
                                          "'''",
                                          "\\",
                                          "f",
                                          "g1",
                                          "x=",
                                          "1",
                                          "'a'",
                                          "[f(x=1)]",
                                          "[{'name': 'f'}]",
                                          "<|python_start|>",
                                          "<|python_end|>",
                                          "<function_calls>",
                                          "</function_calls>",
                                          M,
                                          " ",
                                          "\n",
                                          "\u3000",
                                          "'name'",
                                          "'arguments'",
                                          "f(x=1)",
                                          "{",
                                          "\xc2",
                                          "<",
                                          "<|",
                                          "#",
                                          "text" };
    srand(7);
    for (size_t i = 0; i < 2 * 600; i++) {
        struct buf text = { 0 };
        for (int n = rand() % 14; n >= 0; n--)
            buf_put(&text, str_of(PIECES[(size_t)rand() % ARRAY_LEN(PIECES)]));
        assert_cuts_agree(ALL[i % ARRAY_LEN(ALL)], NULL, buf_str(&text));
        buf_fini(&text);
    }
}

static void long_replies_take_linear_time(void **state)
{
    static const struct {
        const struct toolcall_format *format;
        const char *opener, *repeated;
    } ROWS[] = {
        { &TOOLCALL_PYTHONIC, "", "[" },
        { &TOOLCALL_PYTHONIC, "", "[f(" },
        { &TOOLCALL_PYTHONIC, "", "[f(a='" },
        { &TOOLCALL_PYTHONIC, "[f(a='", "[f(a=''''x" },
        { &TOOLCALL_PYTHONIC, "", "[f(a=1" },
        { &TOOLCALL_PYTHONIC, "[f(a=1)]", " " },
        { &TOOLCALL_PYTHONIC, "[", " " },
        { &TOOLCALL_PYTHONIC, "[f(a=", "[" },
        { &TOOLCALL_PYTHONIC, "[f(a=[", "1," },
        { &TOOLCALL_PYTHONIC, "", "[f(a=1)]" },
        { &TOOLCALL_PYTHONIC, "[f(a=1)]", "\n[0]" },
        { &TOOLCALL_PYTHONIC, "<function_calls>", "<" },
        { &TOOLCALL_PYTHONIC, "<function_calls>", "f()\n" },
        { &TOOLCALL_SARASHINA, "", "\xe3\x80\x80" },
        { &TOOLCALL_SARASHINA, "x", " " },
        { &TOOLCALL_SARASHINA, "[", " " },
        { &TOOLCALL_SARASHINA, M, " " },
        { &TOOLCALL_SARASHINA, "", M "[{}]" },
        { &TOOLCALL_SARASHINA, "[{'name':'f','arguments':", "[" },
    };
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++)
        assert_linear(ROWS[i].format, ROWS[i].opener, ROWS[i].repeated);
}

static void what_never_ends_is_bounded(void **state)
{
    static const char *const OPEN[] = { "[f(x='", M "[" };
    for (size_t i = 0; i < ARRAY_LEN(ALL); i++)
        assert_bounded(ALL[i], OPEN[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pythonic_vectors),
        cmocka_unit_test(what_is_no_list_of_calls_is_text),
        cmocka_unit_test(lists_are_found_in_any_text),
        cmocka_unit_test(olmo_writes_a_call_a_line),
        cmocka_unit_test(sarashina_vectors),
        cmocka_unit_test(sarashina_reads_odd_replies),
        cmocka_unit_test(any_markup_is_read_alike_however_it_is_cut),
        cmocka_unit_test(long_replies_take_linear_time),
        cmocka_unit_test(what_never_ends_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
