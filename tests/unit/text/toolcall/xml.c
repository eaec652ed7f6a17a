/* qwen_xml, glm, step3, minimax, DSML, kimi_k3, inkling: the vectors of spec parsers 6.6, 6.10 to 6.12 and 6.15 to 6.17 by number, each cut in every way. A streaming vector is its chunks
 * put together. Where a BETTER of the spec or decision 19 overrules a vector the line says so: (complete) means that the complete vector of the same input counts. */
#include "cuts.h"

/* "WT": the tools of the spec's vectors. */
static const char WT[] =
    "[{\"type\":\"function\",\"function\":{\"name\":\"get_weather\",\"parameters\":{\"properties\":{"
    "\"city\":{\"type\":\"string\"},\"days\":{\"type\":\"integer\"},\"ratio\":{\"type\":\"number\"},\"on\":{\"type\":\"boolean\"},"
    "\"tags\":{\"type\":\"array\"},\"cfg\":{\"type\":\"object\"},\"u\":{\"type\":[\"string\",\"null\"]}}}}},"
    "{\"type\":\"function\",\"function\":{\"name\":\"search\"}},{\"type\":\"function\",\"function\":{\"name\":\"get_time\"}}]";

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

/* ---- qwen_xml ---- */

static void qwen(const struct toolcall_tools *tools, const char *text, const char *content, const char *calls)
{
    assert_parses(&TOOLCALL_QWEN_XML, tools, text, content, calls);
    assert_parses(&TOOLCALL_QWEN_CODER, tools, text, content, calls);
}

#define P(k, v)             "<parameter=" k ">\n" v "\n</parameter>\n"
#define F(name, parameters) "<tool_call>\n<function=" name ">\n" parameters "</function>\n</tool_call>"

static void qwen_xml_vectors(void **state)
{
    qwen(&wt, "Hi\n" F("get_weather", P("city", "Paris") P("days", "3")), "Hi\n",
         "get_weather\t{\"city\":\"Paris\",\"days\":3}\n");                                                                 /* X1 */
    qwen(NULL, F("get_weather", P("city", "42") P("days", "3")), "", "get_weather\t{\"city\":42,\"days\":3}\n");            /* X2 */
    qwen(&wt, F("get_weather", P("city", "42") P("days", "abc")), "", "get_weather\t{\"city\":\"42\",\"days\":\"abc\"}\n"); /* X3 */
    qwen(NULL, F("f", P("city", "True") P("days", "\"7\"")), "", "f\t{\"city\":true,\"days\":\"7\"}\n");                    /* X4 */
    qwen(NULL, "<tool_call><function=get_weather></function></tool_call>", "", "get_weather\t{}\n");                        /* X5 */
    qwen(NULL, "<tool_call>\n{\"name\":\"a\",\"arguments\":{}}\n</tool_call>",
         "<tool_call>\n{\"name\":\"a\",\"arguments\":{}}\n</tool_call>", ""); /* X6 */
    qwen(&wt, "<function=get_weather><parameter=city>Rome</parameter></function>", "",
         "get_weather\t{\"city\":\"Rome\"}\n"); /* X7, BETTER: the wrapper may be missing */
    qwen(&wt, F("get_weather", P("tags", "[1, 2]") P("cfg", "{\"a\": 1}") P("ratio", "1.0") P("on", "False") P("u", "5")), "",
         "get_weather\t{\"tags\":[1,2],\"cfg\":{\"a\":1},\"ratio\":1.0,\"on\":false,\"u\":5}\n"); /* X8 */
    qwen(NULL, F("f", P("v", "<a>Tom &amp; Jerry</a> &lt;x&gt; it&#39;s")), "",
         "f\t{\"v\":\"<a>Tom &amp; Jerry</a> &lt;x&gt; it&#39;s\"}\n"); /* X10 */
    qwen(&wt, "Hi " F("get_weather", P("city", "Paris") P("days", "3")) "\n bye", "Hi \n bye",
         "get_weather\t{\"city\":\"Paris\",\"days\":3}\n"); /* XS1, compact */
    qwen(&wt, F("get_time", ""), "", "get_time\t{}\n");     /* XS2 */
    qwen(&wt, "<tool_call><function=nope><parameter=a>1</parameter></function></tool_call>tail", "tail",
         "nope\t{\"a\":1}\n"); /* XS3, BETTER: unknown names are told */
    qwen(&wt, F("get_weather", P("city", "A") P("days", "1")) "\n" F("get_weather", P("city", "B")), "",
         "get_weather\t{\"city\":\"A\",\"days\":1}\nget_weather\t{\"city\":\"B\"}\n"); /* XS6, BETTER: each its own */
    qwen(&wt, "<tool_call><function=get_weather><parameter=city>}</parameter></function></tool_call>", "",
         "get_weather\t{\"city\":\"}\"}\n"); /* XH, BETTER: closed */
}

static void qwen_xml_reads_what_models_get_wrong(void **state)
{
    qwen(NULL, "<function=a></function>\n</tool_call>", "", "a\t{}\n"); /* only the wrapper's end */
    qwen(NULL, "<tool_call><function=a></function>", "", "a\t{}\n");    /* only its beginning */
    qwen(NULL, "<tool_call><function=a><parameter=x>1</parameter></tool_call>", "", "a\t{\"x\":1}\n");
    qwen(NULL, "<tool_call><function=a><parameter=x>1</parameter>", "<tool_call><function=a><parameter=x>1</parameter>", "");
    qwen(NULL, "<tool_call><function=a></function><function=b></function></tool_call>", "", "a\t{}\nb\t{}\n");
    qwen(NULL, F("a", P("x", "1") P("y", "2") P("x", "3")), "", "a\t{\"x\":3,\"y\":2}\n");
    qwen(NULL, F("a", P("code", "print('</function>')")), "", "a\t{\"code\":\"print('</function>')\"}\n");
    qwen(NULL, "<function=a><parameter=c></function></parameter></function>", "", "a\t{\"c\":\"</function>\"}\n");
    qwen(NULL, "<tool_call><function=></function></tool_call>", "<tool_call><function=></function></tool_call>", "");
    qwen(NULL, "<tool_call><function=a><parameter=x>1</function></tool_call>", "", "a\t{}\n");
    qwen(NULL, "say <function=name> to call", "say <function=name> to call", "");
    qwen(NULL, "say <function=\nname", "say <function=\nname", "");
    qwen(NULL, "say <function=a> <para", "say <function=a> <para", "");
    qwen(NULL, "say <function=a><parameter=x>1</param", "say <function=a><parameter=x>1</param", "");
    qwen(NULL, "an end </tool_call> alone", "an end </tool_call> alone", "");
    qwen(NULL, "<function=a></function> mid <function=b></function> end", " mid  end", "a\t{}\nb\t{}\n");
}

/* ---- glm ---- */

static void glm(const struct toolcall_tools *tools, const char *text, const char *content, const char *calls)
{
    assert_parses(&TOOLCALL_GLM45_MOE, tools, text, content, calls);
    assert_parses(&TOOLCALL_GLM47_MOE, tools, text, content, calls);
}

#define A45(k, v) "<arg_key>" k "</arg_key>\n<arg_value>" v "</arg_value>\n"
#define A47(k, v) "<arg_key>" k "</arg_key><arg_value>" v "</arg_value>"

static void glm_vectors(void **state)
{
    glm(&wt, "Hi.\n<tool_call>get_weather\n" A45("city", "Beijing") A45("days", "3") "</tool_call>\nx", "Hi.\n",
        "get_weather\t{\"city\":\"Beijing\",\"days\":3}\n"); /* G1, G6: both names read both forms */
    glm(&wt,
        "<tool_call>get_weather\n" A45("city", "42") A45("n", "42") A45("b", "True") A45("z", "None") A45("f", "1.5")
            A45("o", "{\"a\": 1}") A45("q", "\"4\"") "</tool_call>",
        "", "get_weather\t{\"city\":\"42\",\"n\":42,\"b\":true,\"z\":null,\"f\":1.5,\"o\":{\"a\":1},\"q\":\"4\"}\n"); /* G2 */
    glm(NULL, "<tool_call>a\n</tool_call>\n<tool_call>b\n</tool_call>", "", "a\t{}\nb\t{}\n");                        /* G3 */
    glm(NULL, "<tool_call>get_time</tool_call>", "", "get_time\t{}\n"); /* G4, BETTER: glm45 reads the form of 4.7 */
    glm(&wt, "Hi <tool_call>get_weather" A47("city", "B") "</tool_call><tool_call>get_time</tool_call>", "Hi ",
        "get_weather\t{\"city\":\"B\"}\nget_time\t{}\n"); /* G5; G8, BETTER as G4 */
    glm(&wt, "Hi <tool_call>get_weather\n" A45("city", "B") "</tool_call> bye", "Hi ", "get_weather\t{\"city\":\"B\"}\n"); /* GS1 */
    glm(&wt, "<tool_call>get_weather\n" A45("city", "A") "</tool_call><tool_call>get_weather\n" A45("city", "B") "</tool_call>", "",
        "get_weather\t{\"city\":\"A\"}\nget_weather\t{\"city\":\"B\"}\n");         /* GS2 */
    glm(&wt, "abc <tool_call>get_time</tool_call>", "abc ", "get_time\t{}\n");     /* GS4, BETTER: held back */
    glm(&wt, " lead <tool_call>get_time</tool_call>", " lead ", "get_time\t{}\n"); /* GS5, BETTER: text verbatim */
    glm(NULL, "<tool_call>f<arg_key>a</arg_key><arg_value>+5</arg_value><arg_key>b</arg_key><arg_value>inf</arg_value></tool_call>",
        "", "f\t{\"a\":5,\"b\":\"inf\"}\n");
    glm(NULL, "<tool_call>\nf\n<arg_key> k </arg_key> \n<arg_value>\n v w \n</arg_value></tool_call>", "", "f\t{\"k\":\"v w\"}\n");
}

static void glm_leaves_what_is_no_call(void **state)
{
    glm(NULL, "<tool_call>{\"name\":\"a\"}</tool_call>", "<tool_call>{\"name\":\"a\"}</tool_call>", "");
    glm(NULL, "<tool_call>one two</tool_call>", "<tool_call>one two</tool_call>", "");
    glm(NULL, "<tool_call></tool_call>", "<tool_call></tool_call>", "");
    glm(NULL, "t <tool_call>a<arg_key>k</arg_key><arg_value>v</arg_value>",
        "t <tool_call>a<arg_key>k</arg_key><arg_value>v</arg_value>", "");
    glm(NULL,
        "<tool_call>a<arg_key>x</arg_key><arg_key>k</arg_key><arg_value>v</arg_value><arg_key>y</arg_key><arg_value></tool_call>",
        "", "a\t{\"k\":\"v\"}\n");
    glm(NULL, "<tool_call> </tool_call> mid <tool_call>a</tool_call>", " mid ", "a\t{}\n");
}

static void glm_saves_calls_behind_broken_ones(void **state)
{
    static const char A[] = "<tool_call>a\n" A45("k", "v");
    glm(NULL, "<tool_call><tool_call>a</tool_call>", "", "a\t{}\n"); /* doubled */
    glm(NULL, "Say <tool_call> first. <tool_call>a</tool_call>", "Say <tool_call> first. ", "a\t{}\n");
    glm(NULL, "Say <tool_call> first. <tool_call>or this", "Say <tool_call> first. <tool_call>or this", "");
    char text[400];
    snprintf(text, sizeof(text), "%s</tool_cal>\n<tool_call>b</tool_call>", A); /* the end is damaged */
    glm(NULL, text, "", "a\t{\"k\":\"v\"}\nb\t{}\n");
    snprintf(text, sizeof(text), "%s<tool_call>b c d</tool_call>", A);
    glm(NULL, text, "", "a\t{\"k\":\"v\"}\n");
    glm(NULL, "<tool_call>a" A47("k", "see <tool_call>") "</tool_call>", "", "a\t{\"k\":\"see <tool_call>\"}\n"); /* in a value */
    glm(NULL, "<tool_call>a\n<arg_kkey>k</arg_key>\n<arg_value>v</arg_value>\n</tool_call>", "", "a\t{}\n");
    glm(NULL, "<tool_call>a\nrg_key>j</arg_key>\n<arg_value>u</arg_value>\n" A45("k", "v") "</tool_call>", "",
        "a\t{\"k\":\"v\"}\n");
    glm(NULL, "<tool_call>a<arg_key>j</rg_key><arg_value>u</arg_value>" A47("k", "v") "</tool_call>", "", "a\t{\"k\":\"v\"}\n");
}

static void glm_keeps_white_space_in_declared_strings(void **state)
{
    glm(&wt, "<tool_call>get_weather" A47("city", "\n A \n") A47("days", " 3\n") "</tool_call>", "",
        "get_weather\t{\"city\":\"\\n A \\n\",\"days\":3}\n");
    glm(&wt, "<tool_call>get_weather" A47("n", "\n A \n") "</tool_call>", "", "get_weather\t{\"n\":\"A\"}\n"); /* not declared */
}

/* ---- step3 ---- */

static void step3(const char *text, const char *content, const char *calls)
{
    assert_parses(&TOOLCALL_STEP3, &wt, text, content, calls);
}

#define SB                   "<｜tool_calls_begin｜>"
#define SE                   "<｜tool_calls_end｜>"
#define SCB                  "<｜tool_call_begin｜>"
#define SCE                  "<｜tool_call_end｜>"
#define SI(name, parameters) "function<｜tool_sep｜><steptml:invoke name=\"" name "\">" parameters "</steptml:invoke>"
#define SC(name, parameters) SCB SI(name, parameters) SCE
#define SP(k, v)             "<steptml:parameter name=\"" k "\">" v "</steptml:parameter>"

static void step3_vectors(void **state)
{
    step3("Hi.\n" SB SC("get_weather", SP("city", "Paris") SP("days", "3") SP("s", "\"4\"")) SC("search", SP("q", "x")) SE "after",
          "Hi.\n", "get_weather\t{\"city\":\"Paris\",\"days\":3,\"s\":\"4\"}\nsearch\t{\"q\":\"x\"}\n");                    /* T1 */
    step3(SB SC("get_time", "") SE, SB SC("get_time", "") SE, "");                                                          /* T2 */
    step3(SB SE, SB SE, "");                                                                                                /* T3 */
    step3(SB SC("f", SP("a", "True") SP("b", "False") SP("c", "None")) SE, "", "f\t{\"a\":true,\"b\":false,\"c\":null}\n"); /* T4 */
    step3("Hi " SB SC("get_weather", SP("city", "Paris") SP("days", "3")) SE "bye", "Hi ",
          "get_weather\t{\"city\":\"Paris\",\"days\":3}\n"); /* TS1 (complete): text behind the calls is left out */
    step3(SB SC("get_weather", SP("city", "A")) SC("search", SP("q", "x")) SE, "",
          "get_weather\t{\"city\":\"A\"}\nsearch\t{\"q\":\"x\"}\n");                            /* TS2 */
    step3(SB SC("get_weather", SP("city", "A")) SE "z", "", "get_weather\t{\"city\":\"A\"}\n"); /* TS3, BETTER; (complete) */
    step3(SB SC("f", SP("h", "a < b > c <i>")) SE, "", "f\t{\"h\":\"a < b > c <i>\"}\n");       /* 12, 24 */
    step3(SB SCB SI("f", SP("a", " 1 ")), "", "f\t{\"a\":1}\n");
    step3(SB SCB SI("f", SP("a", "1")) SE, "", "f\t{\"a\":1}\n");
    step3("t" SB SCB "function<｜tool_sep｜><steptml:invoke name=\"f\">" SP("a", "1"),
          "t" SB SCB "function<｜tool_sep｜><steptml:invoke name=\"f\">" SP("a", "1"), "");
    step3(SB SCB "other<｜tool_sep｜>x" SCE SC("g", SP("a", "1")) SE, "", "g\t{\"a\":1}\n");
    step3(SB SCB "function<｜tool_sep｜><｜tool_sep｜>" SCE SE, SB SCB "function<｜tool_sep｜><｜tool_sep｜>" SCE SE, "");
    step3("a <｜tool_call x", "a <｜tool_call x", "");
}

/* ---- minimax ---- */

static void minimax(const char *text, const char *content, const char *calls)
{
    assert_parses(&TOOLCALL_MINIMAX_M2, &wt, text, content, calls);
}

#define MB                   "<minimax:tool_call>"
#define ME                   "</minimax:tool_call>"
#define MI(name, parameters) "\n<invoke name=\"" name "\">" parameters "</invoke>\n"
#define MP(k, v)             "<parameter name=\"" k "\">" v "</parameter>"

static void minimax_vectors(void **state)
{
    minimax("Hi.\n" MB MI("get_weather", MP("city", "B") MP("days", "3")) MI("search", MP("q", "&lt;a&gt; &amp;amp; 5")) ME "tail",
            "Hi.\n", "get_weather\t{\"city\":\"B\",\"days\":3}\nsearch\t{\"q\":\"<a> &amp; 5\"}\n"); /* N1 */
    minimax(MB MI("get_weather", MP("city", "42") MP("n", "42") MP("j", "{\"a\":1}") MP("tags", "[1,2]") MP("w", " 5 ")) ME, "",
            "get_weather\t{\"city\":\"42\",\"n\":42,\"j\":\"{\\\"a\\\":1}\",\"tags\":[1,2],\"w\":\" 5 \"}\n"); /* N2 */
    minimax(MB MI("nope", "") ME, "", "nope\t{}\n");                                                           /* N3 */
    minimax("t" MB "<invoke name=\"x\">", "t" MB "<invoke name=\"x\">", "");                                   /* N4 */
    minimax("a" MB ME "b" MB MI("x", "") ME "c", "a" MB ME "b", "x\t{}\n");                                    /* N5 */
    minimax("Hi " MB MI("get_weather", MP("city", "Paris") MP("days", "3")) ME " bye", "Hi ",
            "get_weather\t{\"city\":\"Paris\",\"days\":3}\n"); /* NS1 (complete) */
    minimax(MB MI("get_weather", MP("city", "A")), "",
            "get_weather\t{\"city\":\"A\"}\n"); /* NZ: an invoke that is whole counts without its wrapper's end */
    minimax(MB MI("get_weather", MP("city", "A")) MI("search", MP("q", "x")) ME, "",
            "get_weather\t{\"city\":\"A\"}\nsearch\t{\"q\":\"x\"}\n");                        /* NS2, BETTER: each its own */
    minimax(MB MI("nope", MP("j", "{\"a\":1}")) ME, "", "nope\t{\"j\":\"{\\\"a\\\":1}\"}\n"); /* NS3 (complete: a string), closed */
    minimax(MB MI("get_time", "") ME, "", "get_time\t{}\n");                                  /* NS4, BETTER: {} */
    minimax(MB MI("f", MP("a", "True") MP("b", "null") MP("c", "1.5") MP("d", "&quot;&apos;&amp;lt;")) ME, "",
            "f\t{\"a\":true,\"b\":null,\"c\":1.5,\"d\":\"\\\"'&lt;\"}\n");
    minimax(MB MI("f", MP("a", "1")) "<invoke name='g'></invoke>" ME MB "x" ME, "", "f\t{\"a\":1}\ng\t{}\n");
    minimax(MB "<invoke>" MP("a", "1") "</invoke>" ME "x", MB "<invoke>" MP("a", "1") "</invoke>" ME "x", "");
    minimax(MB MI("f", "<parameter>1</parameter>" MP("b", "2")) ME, "", "f\t{\"b\":2}\n");
}

/* ---- DSML ---- */

#define DB               "<｜DSML｜function_calls>\n"
#define DE               "</｜DSML｜function_calls>"
#define DI(name, body)   "<｜DSML｜invoke name=\"" name "\">\n" body "</｜DSML｜invoke>\n"
#define DP(k, string, v) "<｜DSML｜parameter name=\"" k "\" string=\"" string "\">" v "</｜DSML｜parameter>\n"

static void deepseek(const char *text, const char *content, const char *calls)
{
    assert_parses(&TOOLCALL_DEEPSEEK32, &wt, text, content, calls);
}

static void deepseek_v4(const char *text, const char *content, const char *calls)
{
    assert_parses(&TOOLCALL_DEEPSEEK_V4, &wt, text, content, calls);
}

static void dsml_vectors(void **state)
{
    deepseek("Check.\n\n" DB DI("get_weather", DP("city", "true", "Tokyo") DP("days", "false", "3"))
                 DI("search", DP("q", "false", "{\"a\": [1]}")) DE,
             "Check.", "get_weather\t{\"city\":\"Tokyo\",\"days\":3}\nsearch\t{\"q\":{\"a\":[1]}}\n");                  /* F1 */
    deepseek(DB DI("get_weather", "{\"city\": \"B\",  \"n\":1}") DE, "", "get_weather\t{\"city\": \"B\",  \"n\":1}\n"); /* F2 */
    deepseek("pre " DB "<｜DSML｜invoke name=\"x\">", "pre", "");                                                       /* F3 */
    deepseek_v4(" " DB DI("x", "") DE " ", " " DB DI("x", "") DE " ", "");                                              /* F4 */
    deepseek_v4("<｜DSML｜tool_calls>" DI("x", DP("a", "false", "bad json")) "</｜DSML｜tool_calls>", "",
                "x\t{\"a\":\"bad json\"}\n");                                                               /* F5 */
    deepseek(DB DI(" search ", DP("q", "true", " a\n")) DE " trailing", "", "search\t{\"q\":\" a\\n\"}\n"); /* FQ */
    deepseek("Hi\n\n" DB DI("get_weather", DP("city", "true", "Beijing") DP("days", "false", "3")) DE, "Hi",
             "get_weather\t{\"city\":\"Beijing\",\"days\":3}\n"); /* FS1 (complete): trimmed; BETTER: no line feed behind */
    deepseek(DB DI("get_weather", DP("city", "true", "A")) DI("search", DP("q", "true", "x")), "",
             "get_weather\t{\"city\":\"A\"}\nsearch\t{\"q\":\"x\"}\n"); /* FS2 */
    deepseek(DB DI("nope", "") DI("search", DP("q", "true", "x")) DE, "",
             "nope\t{}\nsearch\t{\"q\":\"x\"}\n");                                                     /* FS3, decision 19: told */
    deepseek(DB DI("get_weather", "{\"city\": \"A B\"}\n"), "", "get_weather\t{\"city\": \"A B\"}\n"); /* FS4 */
    deepseek_v4("Hi <b> you", "Hi <b> you", "");                                                       /* FS5 */
    deepseek(DB DI("get_time", ""), "", "get_time\t{}\n");                                             /* FS6 */
    deepseek(DB DI("get_weather", DP("city", "true", "Beijing")), "", "get_weather\t{\"city\":\"Beijing\"}\n"); /* FE, BETTER */
    deepseek("Hi " DB DI("get_weather", DP("days", "false", "1234")), "Hi", "get_weather\t{\"days\":1234}\n");  /* FS7, BETTER */
    deepseek(DB DI("search", DP("q", "true", "a<｜end▁of▁sentence｜>b<｜end▁of▁sentence｜>")) DE, "",
             "search\t{\"q\":\"ab\"}\n"); /* 12, 23 */
    deepseek(DB DI("search", DP("q", "true", "open<｜end▁of▁sentence｜>")) "<｜DSML｜invoke name=\"x\">" DE, "",
             "search\t{\"q\":\"open\"}\n");
    deepseek(DB DI("", "") DE, "", "");
    deepseek("a \u3000\n b \u3000\n", "a \u3000\n b \u3000\n", "");
    deepseek("a \u3000\n b \u3000\n" DB DI("x", "") DE, "a \u3000\n b", "x\t{}\n");
    deepseek(" \n", " \n", "");
}

#define DO(name, body) "<｜DSML｜invoke name=\"" name "\">" body
#define DOE            "</｜DSML｜invoke>"

static void sections_save_calls_behind_broken_ones(void **state)
{
    /* DSML: the end of an invoke is damaged, an opener stands in prose or in a value, tags are damaged */
    deepseek(DB DO("a", DP("k", "true", "v")) "</｜DS>" DO("b", "") DOE DE, "", "a\t{\"k\":\"v\"}\nb\t{}\n");
    deepseek(DB DO(" so <b>\n", "") DB DO("b", DP("k", "true", "v")) DOE DE, "", "b\t{\"k\":\"v\"}\n");
    deepseek(DB "<｜DSML｜invoke name=\" so\n" DB DO("b", DP("k", "true", "v")) DOE DE, "", "b\t{\"k\":\"v\"}\n");
    deepseek(DB DO("a", DP("k", "true", "<｜DSML｜invoke")) DOE DE, "", "a\t{\"k\":\"<｜DSML｜invoke\"}\n");
    deepseek(DB DO("a", "{\"k\":\"<｜DSML｜invoke\"}") DOE DE, "", "a\t{\"k\":\"<｜DSML｜invoke\"}\n");
    deepseek(DB DO("a <b>", "") DOE DE, "", "a <b>\t{}\n");
    deepseek(DB DO("a", "<｜DSML｜parameter name=\"j\" string=\"truev</｜DSML｜parameter>" DP("k", "true", "v")) DOE DE, "",
             "a\t{\"k\":\"v\"}\n");
    deepseek(DB DO("a", DP("k", "true", "v")) "</｜DS>" DO("b", ""), "", "a\t{\"k\":\"v\"}\n"); /* and cut off */
    minimax(MB "<invoke name=\"a\"><parameter name=\"k\">v</parameter></inv><invoke name=\"b\"></invoke>" ME, "",
            "a\t{\"k\":\"v\"}\nb\t{}\n");
    minimax(MB "<invoke name=\"a b: " MB "<invoke name=\"b\"></invoke>" ME, "", "b\t{}\n");
    minimax(MB "<invoke name=\"a\"><parameter name=\"j\"x\">u</parameter><parameter name=\"k\">v</parameter></invoke>" ME, "",
            "a\t{\"k\":\"v\"}\n");
    step3(SB SCB "function and " SB SC("b", SP("k", "v")) SE, "", "b\t{\"k\":\"v\"}\n");
}

/* ---- kimi_k3 ---- */

static void kimi(const char *text, const char *content, const char *calls)
{
    assert_parses(&TOOLCALL_KIMI_K3, &wt, text, content, calls);
}

#define O(channel)                 "<|open|>" channel "<|sep|>"
#define C(channel)                 "<|close|>" channel "<|sep|>"
#define KC(name, index, arguments) O("call tool=\"" name "\" index=\"" index "\"") arguments C("call")
#define KA(k, type, v)             O("argument key=\"" k "\" type=\"" type "\"") v C("argument")

static void kimi_k3_vectors(void **state)
{
    kimi(O("response") "ans" C("response") O("tools")
             KC("calc", "1", KA("x", "number", "1") KA("flag", "boolean", "true") KA("s", "string", " \"raw\" ")) C("tools")
                 C("message"),
         "ans", "calc\t{\"x\":1,\"flag\":true,\"s\":\" \\\"raw\\\" \"}\n");                                               /* 3A */
    kimi("answer" C("response"), "answer", "");                                                                           /* 3B */
    kimi(O("tools") KC("c", "1", KA("x", "number", "bad")) C("tools"), "", "c\t{\"x\":\"bad\"}\n");                       /* 3C */
    kimi(O("tools") KC("a", "1", "") KC("b", "2", ""), "", "a\t{}\nb\t{}\n");                                             /* 3D */
    kimi(O("tools") KC("a&amp;b&quot;c", "1", KA("k&amp;q", "string", "v")) C("tools"), "", "a&b\"c\t{\"k&q\":\"v\"}\n"); /* 3E */
    kimi(O("response") "Hi" O("tools") KC("calc", "1", KA("x", "number", "1")) C("tools"), "Hi", "calc\t{\"x\":1}\n");    /* 3S1 */
    kimi(O("tools") KC("a", "7", "") KC("b", "7", "") C("tools"), "", "a\t{}\nb\t{}\n");                                  /* 3S2 */
    kimi("OK" C("response"), "OK", "");                                                                                   /* 3S3 */
    kimi("<|open|> response <|sep|>Hi<|close|>\nresponse\n<|sep|>x<|open|> tools <|sep|><|open|> call tool=\"f\"<|sep|><|close|> "
         "call <|sep|>",
         "Hi", "f\t{}\n");
    kimi(O("tools") O("call index=\"1\"") C("call") C("tools") "x", "", "");
    kimi(O("tools") "junk" O("call tool=\"f\"") O("argument key=\"a\"") "1" C("argument") C("tools") "y", "", "");
    kimi(O("tools") KC("f", "1", O("argument key=\"a\"") "1<|close|> " C("argument") O("other") KA("b", "object", "{\"x\": 1}"))
             C("tools"),
         "", "f\t{\"a\":\"1<|close|> \",\"b\":{\"x\":1}}\n");
}

static void kimi_k3_channels(void **state)
{
    kimi("a <|open|> b <|close|> c <|open", "a <|open|> b <|close|> c <|open", "");
    kimi(O("other") "x" C("think"), O("other") "x" C("think"), "");
    kimi(O("think") "hm" C("think") O("response") "ans" C("response") C("message"), "ans", "");
    kimi(O("think") "hm" C("think") "\n" O("response") "ans" C("response"), "ans", "");
    kimi(O("think") "hm" C("think") " ans", O("think") "hm" C("think") " ans", "");
    kimi(O("think") "hm" C("think") O("tools") KC("f", "1", "") C("tools"), O("think") "hm" C("think"), "f\t{}\n");
    kimi(O("think") "hm", O("think") "hm", "");
    kimi(O("think") "hm" C("think") "<|op", O("think") "hm" C("think") "<|op", "");
    kimi(O("message") O("response") "a" O("message") "b" C("message") "c", "ab", "");
    kimi(O("tools") C("tools") O("response") "ans" C("response") O("response") "more", "ans", "");
    kimi("<|open|>                                                                              response<|sep|>x",
         "<|open|>                                                                              response<|sep|>x", "");
}

/* ---- inkling ---- */

static void inkling(const char *text, const char *content, const char *calls)
{
    assert_parses(&TOOLCALL_INKLING, &wt, text, content, calls);
}

#define IM "<|message_model|>"
#define IJ "<|content_invoke_tool_json|>"
#define IE "<|end_message|>"

static void inkling_vectors(void **state)
{
    inkling(IM "<|content_text|>Hi." IE IM "search" IJ "{\"name\":\"search\",\"args\":{\"q\":\"x\"}}" IE
               "<|content_model_end_sampling|>",
            "Hi.", "search\t{\"q\":\"x\"}\n");                                    /* I1 */
    inkling("B" IJ "{\"name\":\"nope\",\"args\":{}}" IE "T", "BT", "nope\t{}\n"); /* I2, decision 19: told */
    inkling("B<|content_invoke_tool_text|>foo" IE "T", "BT", "");                 /* I3 */
    inkling(IJ "{\"name\":\"search\",\"args\":{}}tail", "tail", "search\t{}\n");  /* I4 */
    inkling(IJ "{\"name\":\"search\",\"args\":[]}" IE "tail", "tail", "");        /* I5 */
    inkling(IM "<|content_text|>Before" IE IM "search" IJ "{\"name\":\"search\",\"args\":{\"q\":\"x\"}}" IE "After", "BeforeAfter",
            "search\t{\"q\":\"x\"}\n"); /* IS1 */
    inkling(IJ "{\"name\":\"nope\",\"args\":{}}" IE IJ "{\"name\":\"search\",\"args\":{}}" IE, "",
            "nope\t{}\nsearch\t{}\n"); /* IS2, decision 19: told */
    inkling(IJ "{\"name\":\"search\",\"args\":{}} \n" IE " x", " x", "search\t{}\n");
    inkling(IJ "{\"name\":\"search\",\"args\":{}} \n", " \n", "search\t{}\n");
    inkling(IJ "{\"name\":\"search\",\"args\":{}} <|en", " <|en", "search\t{}\n");
    inkling(IJ "{\"name\":\"a\",\"args\":{\"q\":\"x" IE "more", "more", "");
    inkling(IJ "not json <|content_text|> at all<|content_model_end_sampling|>more", "more", "");
    inkling(IJ "{\"name\":\"a\"", "", "");
    inkling("<|content_invoke_tool_text|>never ends", "", "");
    inkling("a" IM "header without an end", "a", "");
    inkling("<|content_thinking|>t" IE " a < b <|x", "t a < b <|x", "");
}

/* ---- all of them ---- */

static const struct toolcall_format *const ALL[] = {
    &TOOLCALL_DEEPSEEK32, &TOOLCALL_DEEPSEEK_V4, &TOOLCALL_GLM45_MOE,  &TOOLCALL_GLM47_MOE, &TOOLCALL_INKLING,
    &TOOLCALL_KIMI_K3,    &TOOLCALL_MINIMAX_M2,  &TOOLCALL_QWEN_CODER, &TOOLCALL_QWEN_XML,  &TOOLCALL_STEP3,
};

static void plain_text_stays_as_it_is(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(ALL); i++) {
        assert_parses(ALL[i], NULL, "", "", "");
        assert_parses(ALL[i], NULL, " a < b, [x] {\"y\": 1} 价格\n\n", " a < b, [x] {\"y\": 1} 价格\n\n", "");
    }
}

/* Pieces of markup in any order: whatever comes out, it does not depend on the cuts. */
static void any_markup_is_read_alike_however_it_is_cut(void **state)
{
    static const char *const PIECES[] = {
        "<tool_call>",
        "</tool_call>",
        "<function=f>",
        "</function>",
        "<parameter=k>",
        "</parameter>",
        "<arg_key>k</arg_key>",
        "<arg_value>1</arg_value>",
        "f",
        SB,
        SE,
        SCB,
        SCE,
        "function<｜tool_sep｜>",
        "<steptml:invoke name=\"f\">",
        "</steptml:invoke>",
        SP("k", "v"),
        MB,
        ME,
        "<invoke name=\"f\">",
        "</invoke>",
        MP("k", "1"),
        DB,
        DE,
        "<｜DSML｜tool_calls>",
        "</｜DSML｜tool_calls>",
        "<｜DSML｜invoke name=\"f\">",
        "</｜DSML｜invoke>",
        DP("k", "true", "v"),
        O("tools"),
        C("tools"),
        O("response"),
        C("response"),
        O("think"),
        C("think"),
        C("message"),
        O("call tool=\"f\""),
        C("call"),
        KA("k", "number", "1"),
        IM,
        IJ,
        IE,
        "{\"name\":\"f\",\"args\":{}}",
        " ",
        "\n",
        "x",
        "<",
        "<|",
        "<｜",
        "\xe3\x80",
        "\xe3",
    };
    srand(6);
    for (int round = 0; round < 60; round++)
        for (size_t i = 0; i < ARRAY_LEN(ALL); i++) {
            struct buf text = { 0 };
            for (int n = 2 + rand() % 12; n > 0; n--)
                buf_put(&text, str_of(PIECES[(size_t)rand() % ARRAY_LEN(PIECES)]));
            assert_cuts_agree(ALL[i], &wt, buf_str(&text));
            buf_fini(&text);
        }
}

static void long_replies_take_linear_time(void **state)
{
    static const struct {
        const struct toolcall_format *format;
        const char *opener, *repeated;
    } ROWS[] = {
        { &TOOLCALL_QWEN_XML, "", "<" },
        { &TOOLCALL_QWEN_XML, "<function=f></function>", " " },
        { &TOOLCALL_QWEN_XML, "", "<function=f><parameter=k>" },
        { &TOOLCALL_QWEN_XML, "", "<function=f><parameter=k></parameter>x" },
        { &TOOLCALL_QWEN_XML, "<function=f><parameter=k>", "<" },
        { &TOOLCALL_QWEN_XML, "<function=f>", " " },
        { &TOOLCALL_QWEN_XML, "<function=", "f" },
        { &TOOLCALL_QWEN_XML, "<tool_call>", "<function=f><parameter=k>" },
        { &TOOLCALL_GLM47_MOE, "<tool_call>f<arg_key>k</arg_key><arg_value>", " " },
        { &TOOLCALL_GLM47_MOE, "<tool_call>f", "<arg_key>k</arg_key>" },
        { &TOOLCALL_GLM47_MOE, "<tool_call>f", "<tool_call>" },
        { &TOOLCALL_GLM47_MOE, "<tool_call>f", "<tool_call>" A47("k", "v") },
        { &TOOLCALL_GLM47_MOE, "<tool_call>f", "<tool_call><arg_value>" },
        { &TOOLCALL_STEP3, SB, "<" },
        { &TOOLCALL_STEP3, SB, SCB SP("k", "v") },
        { &TOOLCALL_MINIMAX_M2, MB, "<invoke name=\"f\"><parameter name=\"" },
        { &TOOLCALL_MINIMAX_M2, MB, "<invoke name=\"f\">" MP("k", "v") },
        { &TOOLCALL_DEEPSEEK32, DB, DO("f", "{") },
        { &TOOLCALL_STEP3, SB SCB "function", "<｜tool_sep｜>" },
        { &TOOLCALL_MINIMAX_M2, MB, "<invoke name=\"f\">" },
        { &TOOLCALL_MINIMAX_M2, MB "<invoke name=\"f\">", "<parameter name=\"k\">" },
        { &TOOLCALL_DEEPSEEK32, "", " " },
        { &TOOLCALL_DEEPSEEK32, "x", "\xe3\x80\x80" },
        { &TOOLCALL_DEEPSEEK32, DB, "<｜" },
        { &TOOLCALL_DEEPSEEK32, DB "<｜DSML｜invoke name=\"f\">", "</｜DSML｜" },
        { &TOOLCALL_KIMI_K3, "", "<|open|> " },
        { &TOOLCALL_KIMI_K3, O("think"), "<|close|>" },
        { &TOOLCALL_KIMI_K3, O("think") C("think"), " " },
        { &TOOLCALL_KIMI_K3, O("tools") "<|open|>call tool=\"", " " },
        { &TOOLCALL_KIMI_K3, O("tools") O("call tool=\"f\""), "<|open|>argument " },
        { &TOOLCALL_INKLING, IJ "{\"name\":\"f\",\"args\":{}}", " " },
        { &TOOLCALL_INKLING, IJ "{\"name\":\"", "<" },
        { &TOOLCALL_INKLING, IJ, IJ },
    };
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++)
        assert_linear(ROWS[i].format, ROWS[i].opener, ROWS[i].repeated);
}

static void what_never_ends_is_bounded(void **state)
{
    static const char *const OPEN[] = { "<｜DSML｜function_calls>",
                                        "<｜DSML｜tool_calls>",
                                        "<tool_call>",
                                        "<tool_call>",
                                        IJ "{\"name\":\"",
                                        O("tools") O("call tool=\"f\""),
                                        MB,
                                        "<tool_call>",
                                        "<function=f><parameter=k>",
                                        SB };
    for (size_t i = 0; i < ARRAY_LEN(ALL); i++)
        assert_bounded(ALL[i], OPEN[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(qwen_xml_vectors),
        cmocka_unit_test(qwen_xml_reads_what_models_get_wrong),
        cmocka_unit_test(glm_vectors),
        cmocka_unit_test(glm_leaves_what_is_no_call),
        cmocka_unit_test(glm_saves_calls_behind_broken_ones),
        cmocka_unit_test(glm_keeps_white_space_in_declared_strings),
        cmocka_unit_test(sections_save_calls_behind_broken_ones),
        cmocka_unit_test(step3_vectors),
        cmocka_unit_test(minimax_vectors),
        cmocka_unit_test(dsml_vectors),
        cmocka_unit_test(kimi_k3_vectors),
        cmocka_unit_test(kimi_k3_channels),
        cmocka_unit_test(inkling_vectors),
        cmocka_unit_test(plain_text_stays_as_it_is),
        cmocka_unit_test(any_markup_is_read_alike_however_it_is_cut),
        cmocka_unit_test(long_replies_take_linear_time),
        cmocka_unit_test(what_never_ends_is_bounded),
    };
    return cmocka_run_group_tests(tests, tools_up, tools_down);
}
