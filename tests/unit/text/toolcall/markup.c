/* Elements, attributes and entities (markup.h), and what the formats made of them do when memory runs out. */
#include <stdio.h>

#include "test.h"

#include "fail_alloc.h"

#include "text/toolcall/format.h"
#include "text/toolcall/markup.h"

static const struct markup ITEM = { STR_INIT("<item"), STR_INIT(">"), STR_INIT("</item>") };

static void an_element_ends_at_its_first_closing_tag(void **state)
{
    struct str rest = STR("a<item k=\"1\">x<item>y</item>z</item><item></item> <item>open");
    struct markup_element e;
    assert_true(markup_next(&rest, &ITEM, &e));
    assert_str(e.attributes, " k=\"1\"");
    assert_str(e.body, "x<item>y");
    assert_true(markup_next(&rest, &ITEM, &e));
    assert_str(e.attributes, "");
    assert_str(e.body, "");
    assert_false(markup_next(&rest, &ITEM, &e));
    assert_str(rest, " <item>open");
}

static void what_is_not_whole_is_no_element(void **state)
{
    static const char *const TEXTS[] = { "", "plain", "<ite", "<item", "<item k=\"1\"", "<item>", "<item>x</item" };
    struct markup_element e;
    for (size_t i = 0; i < ARRAY_LEN(TEXTS); i++) {
        struct str rest = str_of(TEXTS[i]);
        assert_false(markup_next(&rest, &ITEM, &e));
        assert_str(rest, TEXTS[i]);
    }
}

static void a_damaged_tag_is_none(void **state)
{
    static const char *const TAGS[] = { " k=\"1", " k=\"1\"x\"", " k='1'x", " k<", " k=\"1\" <b", " k=\"1", "\"" };
    char text[100];
    for (size_t i = 0; i < ARRAY_LEN(TAGS); i++) {
        snprintf(text, sizeof(text), "<item%s</item><item k='2'>y</item>", TAGS[i]);
        struct str rest = str_of(text);
        struct markup_element e;
        assert_true(markup_next(&rest, &ITEM, &e));
        assert_str(e.attributes, " k='2'");
        assert_str(e.body, "y");
    }
}

static void quoted_values_may_hold_angle_brackets(void **state)
{
    struct str attributes, rest;
    assert_true(markup_tag(STR(" a=\"<b> c\" d='>'/>x"), &attributes, &rest));
    assert_str(attributes, " a=\"<b> c\" d='>'/");
    assert_str(rest, "x");
    assert_true(markup_tag(STR(">"), &attributes, &rest));
    assert_str(attributes, "");
    assert_str(rest, "");
    assert_false(markup_tag(STR(""), &attributes, &rest));
    assert_false(markup_tag(STR(" a=\"1\""), &attributes, &rest));
}

static void attributes_have_names_of_their_own(void **state)
{
    struct str a = STR(" name=\"one\" other='two \"2\"' empty=\"\" bare=3 last=\"name=\"");
    struct str v;
    assert_true(markup_attribute(a, STR("name"), &v));
    assert_str(v, "one");
    assert_true(markup_attribute(a, STR("other"), &v));
    assert_str(v, "two \"2\"");
    assert_true(markup_attribute(a, STR("empty"), &v));
    assert_str(v, "");
    assert_true(markup_attribute(a, STR("last"), &v));
    assert_str(v, "name=");
    assert_false(markup_attribute(a, STR("bare"), &v));
    assert_false(markup_attribute(a, STR("nam"), &v));
    assert_false(markup_attribute(STR("name=\"open"), STR("name"), &v));
    assert_false(markup_attribute(STR("name="), STR("name"), &v));
    assert_false(markup_attribute(STR(""), STR("name"), &v));
}

static void entities_are_read_in_the_order_of_their_rows(void **state)
{
    static const struct markup_entity E[] = { { STR_INIT("&lt;"), STR_INIT("<") },
                                              { STR_INIT("&amp;"), STR_INIT("&") },
                                              { STR_INIT("&none;"), STR_INIT("") } };
    struct arena arena;
    arena_init(&arena, NULL, 0);
    assert_str(markup_unescape(STR("plain &gt;"), E, ARRAY_LEN(E), &arena), "plain &gt;");
    assert_str(markup_unescape(STR("&lt;a&lt;&amp;lt;&none;"), E, ARRAY_LEN(E), &arena), "<a<&lt;");
    assert_str(markup_unescape(STR("&amp;none;x"), E, ARRAY_LEN(E), &arena), "x"); /* made by the row before */
    assert_str(markup_unescape(STR(""), E, ARRAY_LEN(E), &arena), "");
    arena_fini(&arena);
}

static void characters_that_are_not_all_there_wait(void **state)
{
    assert_int_equal(arguments_whole_characters(STR("")), 0);
    assert_int_equal(arguments_whole_characters(STR("abc")), 3);
    assert_int_equal(arguments_whole_characters(STR("a\xc3\xa9")), 3);
    assert_int_equal(arguments_whole_characters(STR("a\xc3")), 1);
    assert_int_equal(arguments_whole_characters(STR("a\xe3\x80")), 1);
    assert_int_equal(arguments_whole_characters(STR("a\xe3\x80\x80")), 4);
    assert_int_equal(arguments_whole_characters(STR("a\xf0\x9f\x98")), 1);
    assert_int_equal(arguments_whole_characters(STR("\x80\x80\x80\x80")), 4); /* no UTF-8: nothing to wait for */
}

static void formats_say_when_memory_is_out(void **state)
{
    static const struct {
        const struct toolcall_format *format;
        const char *text;
    } ROWS[] = {
        { &TOOLCALL_QWEN_XML,
          "t<tool_call>x</tool_call><tool_call><function=f><parameter=k>{\"a\": [1]}</parameter></function></tool_call>" },
        { &TOOLCALL_GLM45_MOE, "t<tool_call>f<arg_key>k</arg_key><arg_value>{}</arg_value></tool_call>" },
        { &TOOLCALL_STEP3, "t<｜tool_calls_begin｜><｜tool_call_begin｜>function<｜tool_sep｜><steptml:invoke "
                           "name=\"f\"><steptml:parameter name=\"k\">1"
                           "</steptml:parameter></steptml:invoke><｜tool_call_end｜>" },
        { &TOOLCALL_MINIMAX_M2,
          "t<minimax:tool_call><invoke name=\"f\"><parameter name=\"k\">&lt;</parameter></invoke></minimax:tool_call>" },
        { &TOOLCALL_DEEPSEEK32,
          "t<｜DSML｜function_calls><｜DSML｜invoke name=\"f\"><｜DSML｜parameter name=\"k\" string=\"true\">v<｜end▁of▁sentence｜>"
          "</｜DSML｜parameter></｜DSML｜invoke>" },
        { &TOOLCALL_KIMI_K3,
          "t<|open|>tools<|sep|><|open|>call tool=\"a&amp;b\"<|sep|><|open|>argument key=\"k\"<|sep|>v<|close|>argument<|sep|>"
          "<|close|>call<|sep|>" },
        { &TOOLCALL_INKLING, "t<|content_invoke_tool_json|>{\"name\":\"f\",\"args\":{\"k\":\"\\u0041\"}}<|end_message|>" },
        { &TOOLCALL_DEEPSEEK,
          "t<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n[\"\\u0041\"]\n```<｜tool▁call▁end｜>" },
        { &TOOLCALL_KIMIK2,
          "t<|tool_calls_section_begin|><|tool_call_begin|>functions.f:0<|tool_call_argument_begin|>{}<|tool_call_end|>" },
        { &TOOLCALL_PYTHONIC, "t<|python_start|>[f(k='v' 'w', l=[1])]<|python_end|>" },
        { &TOOLCALL_SARASHINA, "t<|tool_calls|>[{'name': 'f', 'arguments': {'k': 'v'}}]" },
    };
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++)
        FOR_EACH_FAILING_ALLOCATION(n)
        {
            struct arena arena;
            struct toolcall_result result = { 0 };
            struct err err;
            arena_init(&arena, NULL, 0);
            int r = toolcall_parse(ROWS[i].format, NULL, str_of(ROWS[i].text), &arena, &result, &err);
            if (r == 0) {
                assert_int_equal(result.calls_n, 1);
                assert_str(result.text, "t");
            } else {
                assert_true(fail_alloc_failed());
                assert_int_equal(r, ERR_NOMEM);
            }
            arena_fini(&arena);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_element_ends_at_its_first_closing_tag),
        cmocka_unit_test(what_is_not_whole_is_no_element),
        cmocka_unit_test(a_damaged_tag_is_none),
        cmocka_unit_test(quoted_values_may_hold_angle_brackets),
        cmocka_unit_test(attributes_have_names_of_their_own),
        cmocka_unit_test(entities_are_read_in_the_order_of_their_rows),
        cmocka_unit_test(characters_that_are_not_all_there_wait),
        cmocka_unit_test(formats_say_when_memory_is_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
