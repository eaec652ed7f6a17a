/* normalizers, normal forms and the charsmap (agreement with the oracle: tests/integration/test_tokenizer_components.py) */
#include "test.h"

#include <stdlib.h>

#include "../../fail_alloc.h"

#include "text/tokenizer/normal_form.h"
#include "text/tokenizer/normalizer.h"

static struct arena arena;

static int parse(const char *text, struct normalizer **ret, struct err *err)
{
    static struct json_doc doc;
    arena_fini(&arena);
    if (json_parse(str_of(text), &arena, &doc, NULL) < 0)
        return ERR_NOMEM;
    return normalizer_parse(json_root(&doc), ret, err);
}

static void assert_normal(const char *json, const char *in, const char *out)
{
    struct normalizer *n;
    struct err err = { 0 };
    struct buf work[2] = { { 0 }, { 0 } };
    struct str to;
    if (parse(json, &n, &err) < 0)
        fail_msg("%s: %s", json, err.message);
    assert_int_equal(normalizer_run(n, str_of(in), work, &to, &err), 0);
    assert_str(to, out);
    buf_fini(&work[0]);
    buf_fini(&work[1]);
    normalizer_free(n);
}

static void null_is_the_identity(void **state)
{
    struct normalizer *n;
    struct str to;
    struct buf work[2] = { { 0 }, { 0 } };
    assert_int_equal(parse("null", &n, NULL), 0);
    assert_null(n);
    assert_int_equal(normalizer_run(n, STR("x y"), work, &to, NULL), 0);
    assert_str(to, "x y");
}

static void each_type_does_its_work(void **state)
{
    assert_normal("{\"type\":\"NFC\"}", "e\xcc\x81 abc", "\xc3\xa9 abc");
    assert_normal("{\"type\":\"NFD\"}", "\xea\xb0\x81", "\xe1\x84\x80\xe1\x85\xa1\xe1\x86\xa8");
    assert_normal("{\"type\":\"NFKC\"}", "\xef\xac\x81", "fi");
    assert_normal("{\"type\":\"Lowercase\"}", "AB\xce\xa3", "ab\xcf\x83");
    assert_normal("{\"type\":\"Strip\",\"strip_left\":true,\"strip_right\":true}", " \xe3\x80\x80 a b\t", "a b");
    assert_normal("{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"a+\"},\"content\":\"\\\\1\"}", "baab", "b\\1b");
    assert_normal("{\"type\":\"Prepend\",\"prepend\":\"_\"}", "a", "_a");
    assert_normal("{\"type\":\"Prepend\",\"prepend\":\"_\"}", "", "");
    assert_normal("{\"type\":\"ByteLevel\"}", "a \xc3\xa9", "a\xc4\xa0\xc3\x83\xc2\xa9");
    assert_normal("{\"type\":\"Nmt\"}",
                  "a\x01"
                  "b\xe2\x80\x8b"
                  "c",
                  "ab c");
    assert_normal(
        "{\"type\":\"BertNormalizer\",\"clean_text\":true,\"handle_chinese_chars\":true,\"strip_accents\":null,\"lowercase\":true}",
        "H\xc3\xa9\t\xe4\xb8\xad\x01", "he  \xe4\xb8\xad ");
    assert_normal(
        "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFD\"}]},{\"type\":\"NFC\"}]}",
        "\xc3\xa9", "\xc3\xa9");
}

static void normal_text_is_answered_with_itself(void **state)
{
    static const char *const TEXTS[] = { "plain text of more than sixteen bytes",
                                         "Latin-1 \xc3\xa9\xc3\xbc",
                                         "\xe4\xb8\xad\xe6\x96\x87",
                                         "\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82",
                                         "\xed\x95\x9c\xea\xb8\x80",
                                         "\xf0\x9f\x98\x80" };
    struct buf out = { 0 };
    for (size_t i = 0; i < sizeof(TEXTS) / sizeof(*TEXTS); i++) {
        struct str in = str_of(TEXTS[i]), to;
        assert_int_equal(normal_form(NORMAL_NFC, in, &out, &to), 0);
        assert_ptr_equal(to.p, in.p);
    }
    assert_null(out.p);
}

static void a_million_marks_are_put_in_order_in_no_time(void **state)
{
    struct buf in = { 0 }, out = { 0 };
    struct str to;
    for (unsigned i = 0; i < 250000; i++)
        buf_puts(&in, "\xcd\x85\xcc\xa7"); /* U+0345 (240), U+0327 (202): the worst order */
    assert_int_equal(normal_form(NORMAL_NFD, buf_str(&in), &out, &to), 0);
    assert_int_equal(to.n, in.n);
    assert_memory_equal(to.p, "\xcc\xa7\xcc\xa7", 4);
    assert_memory_equal(to.p + to.n - 4, "\xcd\x85\xcd\x85", 4);
    buf_fini(&in);
    buf_fini(&out);
}

static void characters_after_unicode_9_are_left_alone(void **state)
{
    assert_normal("{\"type\":\"NFKC\"}", "\xe3\x8b\xbf", "\xe3\x8b\xbf"); /* U+32FF */
    assert_normal("{\"type\":\"NFC\"}", "\xf0\x91\xa4\xb5\xf0\x91\xa4\xb0",
                  "\xf0\x91\xa4\xb5\xf0\x91\xa4\xb0"); /* U+11935 U+11930 */
    assert_normal("{\"type\":\"NFC\"}", "e\xcd\x85\xdf\xbd\xcc\x81",
                  "e\xcd\x85\xdf\xbd\xcc\x81"); /* U+07FD keeps the marks apart */
}

static void sentencepiece_and_nfc_are_recognised(void **state)
{
    struct normalizer *n;
    struct normalizer_spm spm;
    assert_int_equal(parse("{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\",\"prepend\":\"_\"},"
                           "{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"_\"}]}",
                           &n, NULL),
                     0);
    assert_true(normalizer_is_spm(n, &spm));
    assert_str(spm.prepend, "_");
    assert_str(spm.space, "_");
    assert_false(normalizer_is_nfc(n));
    assert_true(normalizer_memory(n) > 0);
    normalizer_free(n);
    assert_int_equal(parse("{\"type\":\"Replace\",\"pattern\":{\"Regex\":\" \"},\"content\":\"_\"}", &n, NULL), 0);
    assert_false(normalizer_is_spm(n, &spm));
    normalizer_free(n);
    assert_int_equal(parse("{\"type\":\"NFC\"}", &n, NULL), 0);
    assert_true(normalizer_is_nfc(n));
    normalizer_free(n);
}

static void a_hostile_charsmap_finds_nothing_outside_itself(void **state)
{
    /* trie of 8 bytes whose units point far away; and no trie at all */
    assert_normal("{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"CAAAAP//////////YQA=\"}", "ab\xc3\xa9", "ab\xc3\xa9");
    assert_normal("{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"AAAAAA==\"}", "ab", "ab");
}

static void too_many_and_too_deep_sequences_are_refused(void **state)
{
    struct buf b = { 0 };
    struct normalizer *n;
    struct err err;
    for (unsigned i = 0; i < 20; i++)
        buf_puts(&b, "{\"type\":\"Sequence\",\"normalizers\":[");
    buf_puts(&b, "{\"type\":\"NFC\"}");
    for (unsigned i = 0; i < 20; i++)
        buf_puts(&b, "]}");
    buf_put_char(&b, 0);
    assert_int_equal(parse(b.p, &n, &err), ERR_LIMIT);
    buf_clear(&b);
    buf_puts(&b, "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"}");
    for (unsigned i = 0; i < 64; i++)
        buf_puts(&b, ",{\"type\":\"NFC\"}");
    buf_puts(&b, "]}");
    buf_put_char(&b, 0);
    assert_int_equal(parse(b.p, &n, &err), ERR_LIMIT);
    buf_fini(&b);
}

static void memory_may_run_out_anywhere(void **state)
{
    FOR_EACH_FAILING_ALLOCATION(i)
    {
        struct normalizer *n = NULL;
        struct err err = { 0 };
        struct buf work[2] = { { 0 }, { 0 } };
        struct str to;
        int r = parse("{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFD\"},{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"a|"
                      "b\"},\"content\":\"x\"},"
                      "{\"type\":\"Prepend\",\"prepend\":\"y\"},{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"AAAAAA==\"},{"
                      "\"type\":\"Lowercase\"}]}",
                      &n, &err);
        assert_true(r == 0 || r == ERR_NOMEM);
        if (r == 0) {
            r = normalizer_run(n, STR("\xc3\xa9 A b"), work, &to, &err);
            assert_true(r == 0 || r == ERR_NOMEM);
        }
        normalizer_free(n);
        buf_fini(&work[0]);
        buf_fini(&work[1]);
        arena_fini(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(null_is_the_identity),
        cmocka_unit_test(each_type_does_its_work),
        cmocka_unit_test(normal_text_is_answered_with_itself),
        cmocka_unit_test(a_million_marks_are_put_in_order_in_no_time),
        cmocka_unit_test(characters_after_unicode_9_are_left_alone),
        cmocka_unit_test(sentencepiece_and_nfc_are_recognised),
        cmocka_unit_test(a_hostile_charsmap_finds_nothing_outside_itself),
        cmocka_unit_test(too_many_and_too_deep_sequences_are_refused),
        cmocka_unit_test(memory_may_run_out_anywhere),
    };
    arena_init(&arena, NULL, 0);
    int r = cmocka_run_group_tests(tests, NULL, NULL);
    arena_fini(&arena);
    return r;
}
