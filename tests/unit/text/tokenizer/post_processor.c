/* Post-processors: every type, one around the other, and what is refused */
#include "test.h"

#include "fail_alloc.h"
#include "text/tokenizer/post_processor.h"

#include <stdio.h>

static int parse(const char *json, struct post_processor *p, struct err *err)
{
    struct arena arena;
    struct json_doc doc;

    arena_init(&arena, NULL, 0);
    assert_int_equal(json_parse(str_of(json), &arena, &doc, NULL), 0);
    int r = post_processor_parse(json_root(&doc), p, err);
    arena_fini(&arena);
    return r;
}

/* WANT: "1 2 A 3" */
static void means(const char *json, const char *want)
{
    struct post_processor p = { 0 };
    struct err err = { 0 };
    struct buf got = { 0 };

    if (parse(json, &p, &err) < 0)
        fail_msg("%s", err.message);
    for (size_t i = 0; i < p.before_n; i++)
        buf_printf(&got, "%u ", p.before[i]);
    buf_puts(&got, "A");
    for (size_t i = 0; i < p.after_n; i++)
        buf_printf(&got, " %u", p.after[i]);
    assert_str(buf_str(&got), want);
    buf_fini(&got);
    post_processor_fini(&p);
}

static void refuses(const char *json, int code, const char *part)
{
    struct post_processor p = { 0 };
    struct err err = { 0 };

    assert_int_equal(parse(json, &p, &err), code);
    assert_non_null(strstr(err.message, part));
    assert_null(p.before);
}

#define A             "{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}"
#define SPECIAL(name) "{\"SpecialToken\":{\"id\":\"" name "\",\"type_id\":0}}"
#define SPECIALS                                                                                                               \
    "\"special_tokens\":{\"[C]\":{\"id\":\"[C]\",\"ids\":[1,2],\"tokens\":[\"x\",\"y\"]},\"[S]\":{\"id\":\"[S]\",\"ids\":[3]," \
    "\"tokens\":[\"z\"]}}"
#define TEMPLATE(single) "{\"type\":\"TemplateProcessing\",\"single\":[" single "],\"pair\":[]," SPECIALS "}"

static void each_type_puts_its_ids_around_the_text(void **state)
{
    means("null", "A");
    means("{\"type\":\"ByteLevel\",\"trim_offsets\":false}", "A");
    means(TEMPLATE(SPECIAL("[C]") "," A "," SPECIAL("[S]")), "1 2 A 3");
    means(TEMPLATE(A), "A");
    means(TEMPLATE(SPECIAL("[S]") "," A), "3 A");
    means("{\"type\":\"BertProcessing\",\"sep\":[\"[SEP]\",102],\"cls\":[\"[CLS]\",101]}", "101 A 102");
    means("{\"type\":\"RobertaProcessing\",\"sep\":[\"</s>\",2],\"cls\":[\"<s>\",0],\"trim_offsets\":true}", "0 A 2");
    means("{\"sep\":[\"</s>\",2],\"cls\":[\"<s>\",0]}", "0 A 2");
}

static void a_sequence_puts_the_later_ones_outside(void **state)
{
    means("{\"type\":\"Sequence\",\"processors\":[{\"type\":\"ByteLevel\"}," TEMPLATE(SPECIAL("[C]") "," A) "]}", "1 2 A");
    means("{\"type\":\"Sequence\",\"processors\":[" TEMPLATE(
              SPECIAL("[C]") "," A "," SPECIAL("[S]")) ",{\"type\":\"BertProcessing\",\"sep\":[\"s\",9],\"cls\":[\"c\",8]}]}",
          "8 1 2 A 3 9");
}

static void what_is_wrong_is_named(void **state)
{
    refuses("{\"type\":\"Magic\"}", ERR_UNSUPPORTED, "Magic");
    refuses(TEMPLATE(SPECIAL("[X]") "," A), ERR_INVALID, "[X]");
    refuses(TEMPLATE(A "," A), ERR_UNSUPPORTED, "twice");
    refuses(TEMPLATE(SPECIAL("[C]")), ERR_UNSUPPORTED, "does not stand");
    refuses(TEMPLATE("{\"Sequence\":{\"id\":\"B\"}}"), ERR_INVALID, "Sequence A");
    refuses("{\"type\":\"BertProcessing\",\"sep\":[\"[SEP]\"],\"cls\":[\"[CLS]\",101]}", ERR_INVALID, "post_processor.sep");
    refuses("{\"type\":\"BertProcessing\",\"sep\":[\"[SEP]\",-1],\"cls\":[\"[CLS]\",101]}", ERR_INVALID, "post_processor.sep");
    refuses("{\"type\":\"Sequence\",\"processors\":3}", ERR_INVALID, "processors");
}

static void depth_has_a_bound(void **state)
{
    struct buf text = { 0 };

    for (int i = 0; i < 40; i++)
        buf_puts(&text, "{\"type\":\"Sequence\",\"processors\":[");
    for (int i = 0; i < 40; i++)
        buf_puts(&text, "]}");
    buf_put_char(&text, 0);
    refuses(text.p, ERR_LIMIT, "nested");
    buf_fini(&text);
}

static void memory_may_run_out_anywhere(void **state)
{
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct post_processor p = { 0 };
        struct arena arena;
        struct json_doc doc;
        int r;

        arena_init(&arena, NULL, 0);
        r = json_parse(STR(TEMPLATE(SPECIAL("[C]") "," A "," SPECIAL("[S]"))), &arena, &doc, NULL);
        if (r >= 0)
            r = post_processor_parse(json_root(&doc), &p, NULL);
        assert_true(r == 0 || r == ERR_NOMEM);
        post_processor_fini(&p);
        arena_fini(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_type_puts_its_ids_around_the_text),
        cmocka_unit_test(a_sequence_puts_the_later_ones_outside),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(depth_has_a_bound),
        cmocka_unit_test(memory_may_run_out_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
