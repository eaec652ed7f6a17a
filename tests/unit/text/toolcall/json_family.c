/* json, llama, mistral, qwen, cohere: the vectors of spec parsers 6.2 to 6.5 and 6.18 by number, each cut in every way. Where a BETTER of the spec overrules a vector the line says so. */
#include "cuts.h"

static void json(const char *text, const char *content, const char *calls)
{
    assert_parses(&TOOLCALL_JSON, NULL, text, content, calls);
}

static void json_vectors(void **state)
{
    json("{\"name\":\"get_weather\",\"arguments\":{\"city\":\"SF\"}}", "", "get_weather\t{\"city\":\"SF\"}\n"); /* J1 */
    json("Sure: [{\"name\":\"a\",\"parameters\":{\"x\":1}},{\"function\":\"b\"},{\"k\":1}] done", "Sure:  done",
         "a\t{\"x\":1}\nb\t{}\n");                                                                      /* J2 */
    json("{\"name\":\"t\",\"arguments\":{\"x\":1,}}", "{\"name\":\"t\",\"arguments\":{\"x\":1,}}", ""); /* J3 */
    json("{\"name\":\"t\",\"arguments\":\"str\"}", "", "t\t\"str\"\n");                                 /* J4 */
    json("{\"name\": \"t\", \"arguments\": {\"f\": 1.50, \"e\": 1e3, \"u\":\"\\u4e16\\/\", \"n\": null}}", "",
         "t\t{\"f\":1.5,\"e\":1000.0,\"u\":\"世/\",\"n\":null}\n");                                              /* J5 */
    json("see {x} then {\"name\":\"t\"} end {\"name\":\"u\"}", "see {x} then  end {\"name\":\"u\"}", "t\t{}\n"); /* J6 */
    json("{\"a\":1}", "{\"a\":1}", ""); /* J7, BETTER: JSON that is no call stays */
    json("{\"name\":\"x\",\"arguments\":{}}{\"name\":\"y\",\"arguments\":{}}", "{\"name\":\"y\",\"arguments\":{}}",
         "x\t{}\n");                                                                        /* J9 */
    json("[]", "[]", "");                                                                   /* J10, BETTER */
    json("text {\"name\":\"get_weather\",\"arguments\":{}}", "text ", "get_weather\t{}\n"); /* JS8 */
    json("{\"a\":1} then {\"name\":\"t\",\"arguments\":\"{\\\"x\\\": [1, 2]}\"}", "{\"a\":1} then ",
         "t\t{\"x\":[1,2]}\n"); /* BETTER: the first that is a call; a string of JSON */
    json("{\"name\":\"first\",\"name\":\"second\",\"arguments\":{\"x\":1,\"x\":2}}", "", "second\t{\"x\":2}\n");      /* 12, 6 */
    json("{\"name\":\"获取天气\",\"arguments\":{\"location\":\"北京\"}}", "", "获取天气\t{\"location\":\"北京\"}\n"); /* 12, 7 */
    json("{\"name\":\"get_weather\",\"arguments\":{\"t\":\"\\ud83d\\ude00\"}}", "", "get_weather\t{\"t\":\"😀\"}\n");  /* JE */
    json("", "", "");
}

static void json_nests_as_deep_as_smg(void **state)
{
    char text[400];
    for (int depth = 126; depth <= 127; depth++) { /* 12, 9 */
        struct buf want = { 0 };
        int n = snprintf(text, sizeof(text), "{\"name\":\"t\",\"arguments\":");
        memset(text + n, '[', (size_t)depth);
        memset(text + n + depth, ']', (size_t)depth);
        snprintf(text + n + 2 * depth, 2, "}");
        buf_puts(&want, "t\t");
        buf_put(&want, (struct str){ text + n, 2 * (size_t)depth });
        buf_put(&want, (struct str){ "\n", 2 });
        json(text, depth == 126 ? "" : text, depth == 126 ? want.p : "");
        buf_fini(&want);
    }
}

static void llama(const char *text, const char *content, const char *calls)
{
    assert_parses(&TOOLCALL_LLAMA, NULL, text, content, calls);
}

static void llama_vectors(void **state)
{
    llama("Hi <|python_tag|>{\"name\":\"search\",\"parameters\":{\"q\":\"w\"}}", "Hi ", "search\t{\"q\":\"w\"}\n"); /* L1 */
    llama("<|python_tag|>{\"name\":\"a\",\"parameters\":{}};{\"name\":\"b\",\"parameters\":{\"y\":2}}", "",
          "a\t{}\nb\t{\"y\":2}\n");                                                        /* L2 */
    llama("{\"name\":\"a\",\"parameters\":{}} tail", " tail", "a\t{}\n");                  /* L3, BETTER: text behind the object */
    llama("<|python_tag|>{\"name\":\"a\",\"arguments\":{\"x\":1}}", "", "a\t{\"x\":1}\n"); /* L4, BETTER: arguments too */
    llama("<|python_tag|>{\"name\":\"a\",\"parameters\":{\"s\":\"x;y\"}}", "",
          "a\t{\"s\":\"x;y\"}\n"); /* L5, BETTER: a string may hold ';' */
    llama("<|python_tag|>brave_search.call(query=\"x\")", "", "brave_search\t{\"query\":\"x\"}\n"); /* L6, BETTER: built-in tools */
    llama("<|python_tag|>{\"name\":\"a\"}; <|python_tag|>{\"name\":\"b\"}", "", "a\t{}\nb\t{}\n");  /* BETTER: the tag again */
    llama("{\"a\":1}", "{\"a\":1}", "");
    llama("{\"name\":\"a\"", "{\"name\":\"a\"", "");
    llama("x <|python_tag|>print(1)", "x <|python_tag|>print(1)", "");
    llama("x <|python_tag|>", "x <|python_tag|>", "");
    llama(" {x} <|python_tag|>{\"name\":\"b\"}", " {x} ", "b\t{}\n");
}

#define TAG "<|python_tag|>"
#define B   "{\"name\":\"b\",\"parameters\":{\"y\":2}}"

static void llama_goes_on_behind_a_broken_object(void **state)
{
    llama(TAG "{\"name\": a\"}; " B, "", "b\t{\"y\":2}\n");                  /* a quote is lost */
    llama(TAG "{\"name\":\"a\",\"parameters {}}; " B, "", "b\t{\"y\":2}\n"); /* so that a string holds the separator */
    llama(TAG "{\"nam\":\"a\"}; " B, "", "b\t{\"y\":2}\n");                  /* an object, but no call */
    llama(TAG "{\"name\":\"a\"}}; " B, "", "a\t{}\nb\t{\"y\":2}\n");         /* a brace too many */
    llama("x " TAG "{bad " TAG B " y", "x  y", "b\t{\"y\":2}\n");
    llama(TAG "{bad} ;;; ;\n{bad};" B, "", "b\t{\"y\":2}\n");
    llama(TAG B "; {bad; {\"name\":\"a\"}", "", "b\t{\"y\":2}\na\t{}\n");
    llama(TAG "{bad; {\"name\":\"; {\"}", "", "; {\t{}\n"); /* a separator in a string is data */
    llama(TAG "{bad; x {", TAG "{bad; x {", "");
    llama(TAG "{bad}; {bad", TAG "{bad}; {bad", "");
    llama(TAG "{bad}; ", TAG "{bad}; ", "");
    llama("{bad}; " B, "{bad}; " B, ""); /* without a tag it is text that begins with a brace */
}

/* Broken objects, separators and tags in any order. */
static void any_llama_markup_is_read_alike_however_it_is_cut(void **state)
{
    static const char *const PIECES[] = { TAG,   B,   ";",  "; ",   "{",           "}", "\"", "{\"name\":\"a",
                                          "\",", ":", "\\", "<|py", "f.call(a=1)", " ", "x" };
    srand(21);
    for (int round = 0; round < 60; round++) {
        struct buf text = { 0 };
        buf_put(&text, str_of(round % 4 ? TAG : ""));
        for (int n = 2 + rand() % 12; n > 0; n--)
            buf_put(&text, str_of(PIECES[(size_t)rand() % ARRAY_LEN(PIECES)]));
        assert_cuts_agree(&TOOLCALL_LLAMA, NULL, buf_str(&text));
        buf_fini(&text);
    }
}

static void broken_llama_objects_take_linear_time(void **state)
{
    static const char *const REPEATED[] = { "; {",           "; {\"",  "{\"a",  "; {\"\":[", "\";{\":", "{\"k\":\";{\",\"",
                                            ",\"k\":\";{\"", "\\\";{", TAG "{", ";" };
    for (size_t i = 0; i < ARRAY_LEN(REPEATED); i++)
        assert_linear(&TOOLCALL_LLAMA, TAG "{\"k\":\"\"", REPEATED[i]);
}

static void llama_drops_a_call_that_is_cut_off_behind_another(void **state)
{
    llama(TAG B "; {\"name\":\"c\",\"parame", "", "b\t{\"y\":2}\n");
    llama(B "; {\"name\":\"c\",\"parame", "", "b\t{\"y\":2}\n");
    llama(TAG "{\"name\":\"c\",\"parame", TAG "{\"name\":\"c\",\"parame", "");
}

static void mistral(const char *text, const char *content, const char *calls)
{
    assert_parses(&TOOLCALL_MISTRAL, NULL, text, content, calls);
}

static void mistral_vectors(void **state)
{
    mistral("Let me.\n[TOOL_CALLS] [{\"name\":\"a\",\"arguments\":{\"q\":\"n\"}}, {\"name\":\"b\",\"arguments\":{}}] after",
            "Let me.\n", "a\t{\"q\":\"n\"}\nb\t{}\n");                         /* M1 */
    mistral("[TOOL_CALLS][{\"name\":\"a\",\"arguments\":{}}]", "", "a\t{}\n"); /* M2, BETTER */
    mistral("[TOOL_CALLS]a{\"x\":1}", "", "a\t{\"x\":1}\n");                   /* M3, BETTER */
    mistral("[TOOL_CALLS] [{\"name\":\"a\",\"arguments\":{}", "[TOOL_CALLS] [{\"name\":\"a\",\"arguments\":{}", ""); /* M4 */
    mistral("[TOOL_CALLS] [{\"name\":\"e\",\"arguments\":{\"t\":\"a[0] = \\\"]\\\"\"}}]", "",
            "e\t{\"t\":\"a[0] = \\\"]\\\"\"}\n");                                              /* M5; 12, 27 */
    mistral("[TOOL_CALLS] [{\"name\":\"a\",\"parameters\":{\"x\":1}}]", "", "a\t{\"x\":1}\n"); /* M6, BETTER */
    mistral("[TOOL_CALLS]a[ARGS]{\"x\": 1}[TOOL_CALLS]b[CALL_ID]abc123def[ARGS]{}", "",
            "a\t{\"x\":1}\nb\t{}\n");  /* BETTER: version 11 */
    mistral("end [ x", "end [ x", ""); /* MG */
    mistral("Hi [TOOL_CALLS] [] more", "Hi ",
            ""); /* an array without calls goes all the same; what is behind it too: see mistral.c */
    mistral("[TOOL_CALLS] what", "[TOOL_CALLS] what", "");
}

static void qwen(const char *text, const char *content, const char *calls)
{
    assert_parses(&TOOLCALL_QWEN, NULL, text, content, calls);
}

static void qwen_vectors(void **state)
{
    qwen("Ok.\n<tool_call>\n{\"name\":\"a\",\"arguments\":{\"x\":1}}\n</"
         "tool_call>\n<tool_call>\n{\"name\":\"b\",\"arguments\":{}}\n</tool_call>\nbye",
         "Ok.\n\nbye", "a\t{\"x\":1}\nb\t{}\n"); /* Q1, BETTER: text behind calls stays; blanks between them go */
    qwen("<tool_call>{\"name\":\"a\",\"arguments\":{}}</tool_call>", "", "a\t{}\n"); /* Q2, BETTER: no line feeds needed */
    qwen("<tool_call>\n{\"name\":\"a\",\"arguments\":{}}", "", "a\t{}\n");           /* Q3, BETTER: the end tag may be missing */
    qwen("<tool_call>\n{\"name\":\"a\",\"arguments\":{\"t\":\"\\n</tool_call>\"}}\n</tool_call>", "",
         "a\t{\"t\":\"\\n</tool_call>\"}\n");                                                                            /* Q4 */
    qwen("t<tool_call>\nbad\n</tool_call><tool_call>\n{\"name\":\"b\",\"arguments\":{}}\n</tool_call>", "t", "b\t{}\n"); /* Q5 */
    qwen("a < b and <tool x", "a < b and <tool x", "");                                                                  /* QS5 */
    qwen("t<tool_call>\nbad\n</tool_call> end", "t<tool_call>\nbad\n</tool_call> end", "");
    qwen("<tool_call>\n{\"name\":\"a\"}\n</tool_call>\n\n", "", "a\t{}\n");
    qwen("<tool_call>{\"name\":\"a\"", "<tool_call>{\"name\":\"a\"", "");
}

static void cohere(const char *text, const char *content, const char *calls)
{
    assert_parses(&TOOLCALL_COHERE, NULL, text, content, calls);
}

#define A "<|START_ACTION|>"
#define Z "<|END_ACTION|>"

static void cohere_vectors(void **state)
{
    cohere("<|START_RESPONSE|>Hi.<|END_RESPONSE|>\n" A
           "\n[{\"tool_call_id\":\"0\",\"tool_name\":\"a\",\"parameters\":{\"x\":1}},{\"name\":\"b\",\"arguments\":{}}]\n" Z,
           "Hi.", "a\t{\"x\":1}\nb\t{}\n");                                                                 /* C1 */
    cohere(A "{\"tool_name\":\"ping\"}" Z, "", "ping\t{}\n");                                               /* C2 */
    cohere(A "{\"tool_name\": bad}" Z " t", "t", "");                                                       /* C3 */
    cohere(A "{\"tool_name\":\"a\",\"parameters\":{\"t\":\"x" Z "y\"}}" Z, "", "a\t{\"t\":\"x" Z "y\"}\n"); /* C4; 12, 25 */
    cohere("  plain  ", "plain", "");                                                                       /* C5 */
    cohere(A "{\"name\":\"a\"}" Z " mid " A "{\"tool_name\":\"b\",\"parameters\":{}}",
           "mid " A "{\"tool_name\":\"b\",\"parameters\":{}}", "a\t{}\n"); /* C6 */
    cohere("\u3000 a \u2003b \u2003", "a \u2003b", "");
}

/* Blanks wherever a format waits for more of them. */
static void blanks_take_linear_time(void **state)
{
    assert_linear(&TOOLCALL_LLAMA, "", " ");
    assert_linear(&TOOLCALL_LLAMA, "<|python_tag|>", " ");
    assert_linear(&TOOLCALL_LLAMA, "{\"name\":\"a\"}", "\n");
    assert_linear(&TOOLCALL_LLAMA, "{\"name\":\"a\"};", " ");
    char blanks[500], text[600];
    for (int n = 195; n < 405; n += 3) {
        memset(blanks, ' ', sizeof(blanks));
        blanks[n] = '\0';
        blanks[190] = n & 1 ? ';' : ' ';
        snprintf(text, sizeof(text), "{\"name\":\"a\"}%s%s", blanks, n & 2 ? "x" : "{\"name\":\"b\"}");
        assert_cuts_agree(&TOOLCALL_LLAMA, NULL, str_of(text));
    }
}

static void passthrough_vectors(void **state)
{
    assert_parses(&TOOLCALL_PASSTHROUGH, NULL, "<tool_call>x", "<tool_call>x", "");
    assert_parses(&TOOLCALL_PASSTHROUGH, NULL, "", "", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_vectors),
        cmocka_unit_test(json_nests_as_deep_as_smg),
        cmocka_unit_test(llama_vectors),
        cmocka_unit_test(llama_goes_on_behind_a_broken_object),
        cmocka_unit_test(any_llama_markup_is_read_alike_however_it_is_cut),
        cmocka_unit_test(broken_llama_objects_take_linear_time),
        cmocka_unit_test(llama_drops_a_call_that_is_cut_off_behind_another),
        cmocka_unit_test(mistral_vectors),
        cmocka_unit_test(qwen_vectors),
        cmocka_unit_test(cohere_vectors),
        cmocka_unit_test(passthrough_vectors),
        cmocka_unit_test(blanks_take_linear_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
