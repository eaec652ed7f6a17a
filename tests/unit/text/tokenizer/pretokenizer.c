/* pre-tokenizers: the vectors of the spec (sections 3.4 and 16.4), and memory (agreement with the oracle: tests/integration/test_tokenizer_components.py) */
#include "test.h"

#include <stdlib.h>

#include "../../fail_alloc.h"

#include "text/tokenizer/pretokenizer.h"

#define BYTE_LEVEL   "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":false}"
#define SPLIT(regex) "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"" regex "\"},\"behavior\":\"Isolated\",\"invert\":false}"
#define L3                                                                                                                         \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}{1,3}| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|" \
    "\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+"

static struct arena arena;

static int parse(const char *text, struct pretokenizer **ret, struct err *err)
{
    static struct json_doc doc;
    arena_fini(&arena);
    if (json_parse(str_of(text), &arena, &doc, NULL) < 0)
        return ERR_NOMEM;
    return pretokenizer_parse(json_root(&doc), ret, err);
}

/* OUT: the pieces, each with a | behind it. */
static void assert_pieces_at(const char *json, const char *in, bool at_start, const char *out)
{
    struct pretokenizer *p;
    struct pretokenizer_work *w;
    struct pieces pieces = { 0 };
    struct buf b = { 0 };
    struct err err = { 0 };
    if (parse(json, &p, &err) < 0)
        fail_msg("%s: %s", json, err.message);
    assert_int_equal(pretokenizer_work_new(&w), 0);
    assert_int_equal(pretokenizer_run(p, w, str_of(in), at_start, &pieces, &err), 0);
    for (size_t k = 0, from = 0; k < pieces.n; from = pieces.ends[k++])
        buf_printf(&b, "%.*s|", (int)(pieces.ends[k] - from), pieces.text.p + from);
    assert_str(buf_str(&b), out);
    buf_fini(&b);
    pieces_fini(&pieces);
    pretokenizer_work_free(w);
    pretokenizer_free(p);
}

static void assert_pieces(const char *json, const char *in, const char *out)
{
    assert_pieces_at(json, in, true, out);
}

static void the_five_behaviours_cut_as_the_table_says(void **state)
{
#define DASH(behavior) "{\"type\":\"Split\",\"pattern\":{\"String\":\"-\"},\"behavior\":\"" behavior "\",\"invert\":false}"
    assert_pieces(DASH("Removed"), "the-final--countdown", "the|final|countdown|");
    assert_pieces(DASH("Isolated"), "the-final--countdown", "the|-|final|-|-|countdown|");
    assert_pieces(DASH("MergedWithPrevious"), "the-final--countdown", "the-|final-|-|countdown|");
    assert_pieces(DASH("MergedWithNext"), "the-final--countdown", "the|-final|-|-countdown|");
    assert_pieces(DASH("Contiguous"), "the-final--countdown", "the|-|final|--|countdown|");
}

static void gpt2_cuts_contractions_and_spaces(void **state)
{
    assert_pieces("{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true}", "I'll see  you",
                  "I|'ll| see| | you|");
    assert_pieces("{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true}", "I'm", " I|'m|");
}

static void llama3_cuts_as_the_spec_says(void **state)
{
    assert_pieces(SPLIT(L3), "abc   def\n\n  x1234!", "abc|  | def|\n\n| | x|123|4|!|");
    assert_pieces(SPLIT(L3), "foo.bar", "foo|.bar|");
    assert_pieces(SPLIT(L3), "HELLO'S", "HELLO|'S|");
    assert_pieces(SPLIT(L3), "a\t\tb", "a|\t|\tb|");
    assert_pieces(SPLIT(L3), "!!!\n\nx", "!!!\n\n|x|");
    assert_pieces(SPLIT(L3), "x  ", "x|  |");
    assert_pieces(SPLIT(L3), "'\xc5\xbf x", "'\xc5\xbf| x|");
    assert_pieces(SPLIT(L3), "x  123", "x| | |123|");
}

static void deepseek_regions_are_borders(void **state)
{
    static const char D
        [] = "{\"type\":\"Sequence\",\"pretokenizers\":[" SPLIT("\\\\p{N}{1,3}") "," SPLIT("[\xe4\xb8\x80-\xe9\xbe\xa5\xe3\x81\x80-"
                                                                                           "\xe3\x82\x9f\xe3\x82\xa0-\xe3\x83\xbf]"
                                                                                           "+") "," SPLIT(
            "[!\\\"#$%&'()*+,\\\\-./"
            ":;<=>?@\\\\[\\\\\\\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\\\p{L}\\\\p{P}\\\\p{S}]?[\\\\p{L}\\\\p{M}]+| "
            "?[\\\\p{P}\\\\p{S}]+[\\r\\n]*|\\\\s*[\\r\\n]+|\\\\s+(?!\\\\S)|\\\\s+") "," BYTE_LEVEL "]}";
    assert_pieces(D,
                  "abc123\xe4\xb8\xad\xe6\x96\x87"
                  "def",
                  "abc|123|\xe4\xb8\xad\xe6\x96\x87|def|");
    assert_pieces(D, "1234", "123|4|");
    assert_pieces(D, "x  123", "x|  |123|");
}

static void kimi_keeps_han_apart(void **state)
{
    assert_pieces(SPLIT("[\\\\p{Han}]+|[\\\\p{Ll}\\\\p{Lo}&&[^\\\\p{Han}]]+"),
                  "\xe4\xbd\xa0\xe5\xa5\xbd"
                  "abc",
                  "\xe4\xbd\xa0\xe5\xa5\xbd|abc|");
}

static void metaspace_follows_its_scheme(void **state)
{
#define META(scheme) "{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"" scheme "\"}"
    assert_pieces(META("always"), "Hey friend", "_Hey|_friend|");
    assert_pieces(META("first"), "Hey friend", "_Hey|_friend|");
    assert_pieces_at(META("first"), "Hey friend", false, "Hey|_friend|");
    assert_pieces(META("never"), "Hey friend", "Hey|_friend|");
    assert_pieces(META("always"), "  a _b", "_|_a|_|_b|");
    assert_pieces("{\"type\":\"Metaspace\",\"replacement\":\"_\",\"split\":false}", "a b", "_a_b|");
    assert_pieces("{\"type\":\"Metaspace\",\"replacement\":\"_\",\"add_prefix_space\":false}", "a b", "a|_b|");
}

static void the_other_types_do_their_work(void **state)
{
    assert_pieces("{\"type\":\"BertPreTokenizer\"}", "Hey, you!", "Hey|,|you|!|");
    assert_pieces("{\"type\":\"Whitespace\"}", "a_1 -+ b", "a_1|-+|b|");
    assert_pieces("{\"type\":\"Digits\",\"individual_digits\":true}", "a12b", "a|1|2|b|");
    assert_pieces("{\"type\":\"Digits\",\"individual_digits\":false}", "a12b", "a|12|b|");
    assert_pieces("{\"type\":\"CharDelimiterSplit\",\"delimiter\":\"x\"}", "axxb", "a|b|");
    assert_pieces("{\"type\":\"FixedLength\",\"length\":2}", "abc", "ab|c|");
    assert_pieces("{\"type\":\"Sequence\",\"pretokenizers\":[]}", "a b", "a b|");
    assert_pieces("null", "a b", "a b|");
}

static void a_byte_level_in_the_middle_ends_in_raw_bytes(void **state)
{
    struct pretokenizer *p;
    static const char FALCON[] =
        "{\"type\":\"Sequence\",\"pretokenizers\":[" BYTE_LEVEL ",{\"type\":\"Digits\",\"individual_digits\":true}]}";
    assert_pieces(FALCON, "\xc2\xb2", "\xc2|\xb2|"); /* as mapped characters the second byte is a number */
    assert_int_equal(parse(FALCON, &p, NULL), 0);
    assert_true(pretokenizer_is_byte_level(p));
    assert_null(pretokenizer_scanner(p));
    pretokenizer_free(p);
    assert_int_equal(parse("{\"type\":\"Sequence\",\"pretokenizers\":[" BYTE_LEVEL "," META("always") "]}", &p, NULL), 0);
    assert_false(pretokenizer_is_byte_level(p));
    pretokenizer_free(p);
}

static void a_regex_alone_makes_a_byte_level_one(void **state)
{
    struct pretokenizer *p;
    assert_int_equal(pretokenizer_from_regex(STR("\\p{L}+|."), true, &p, NULL), 0);
    assert_true(pretokenizer_is_byte_level(p));
    assert_true(pretokenizer_memory(p) > 0);
    pretokenizer_free(p);
    assert_true(pretokenizer_from_regex(STR("("), false, &p, NULL) < 0);
}

static void a_catastrophic_split_is_a_limit_and_not_a_wait(void **state)
{
    struct pretokenizer *p;
    struct pretokenizer_work *w;
    struct pieces pieces = { 0 };
    struct buf b = { 0 };
    struct err err = { 0 };
    for (unsigned i = 0; i < 10000; i++)
        buf_puts(&b, "a");
    assert_int_equal(parse(SPLIT("(a+)+[bc]"), &p, &err), 0);
    assert_int_equal(pretokenizer_work_new(&w), 0);
    assert_int_equal(pretokenizer_run(p, w, buf_str(&b), true, &pieces, &err), ERR_LIMIT);
    assert_non_null(strstr(err.message, "regex"));
    buf_fini(&b);
    pieces_fini(&pieces);
    pretokenizer_work_free(w);
    pretokenizer_free(p);
}

static void memory_may_run_out_anywhere(void **state)
{
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct pretokenizer *p = NULL;
        struct pretokenizer_work *w = NULL;
        struct pieces pieces = { 0 };
        struct err err = { 0 };
        int r = parse("{\"type\":\"Sequence\",\"pretokenizers\":[" META("always") "," SPLIT("a|b") "," BYTE_LEVEL
                                                                                                   ",{\"type\":\"Punctuation\"}]}",
                      &p, &err);
        assert_true(r == 0 || r == ERR_NOMEM);
        if (r == 0 && pretokenizer_work_new(&w) == 0) {
            r = pretokenizer_run(p, w, STR("a b, c"), true, &pieces, &err);
            assert_true(r == 0 || r == ERR_NOMEM);
        }
        pieces_fini(&pieces);
        pretokenizer_work_free(w);
        pretokenizer_free(p);
        arena_fini(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_five_behaviours_cut_as_the_table_says),
        cmocka_unit_test(gpt2_cuts_contractions_and_spaces),
        cmocka_unit_test(llama3_cuts_as_the_spec_says),
        cmocka_unit_test(deepseek_regions_are_borders),
        cmocka_unit_test(kimi_keeps_han_apart),
        cmocka_unit_test(metaspace_follows_its_scheme),
        cmocka_unit_test(the_other_types_do_their_work),
        cmocka_unit_test(a_byte_level_in_the_middle_ends_in_raw_bytes),
        cmocka_unit_test(a_regex_alone_makes_a_byte_level_one),
        cmocka_unit_test(a_catastrophic_split_is_a_limit_and_not_a_wait),
        cmocka_unit_test(memory_may_run_out_anywhere),
    };
    arena_init(&arena, NULL, 0);
    int r = cmocka_run_group_tests(tests, NULL, NULL);
    arena_fini(&arena);
    return r;
}
