/* The whole tokenizer on small files of its own: order of the steps, ids of added tokens, truncation, specials, what the vocabulary answers, what is refused */
#include "loaded.h"

#include "fail_alloc.h"

#include <stdlib.h>

#define TOKEN(id, text, flags) "{\"id\":" id ",\"content\":\"" text "\"," flags "}"
#define PLAIN                  "\"single_word\":false,\"lstrip\":false,\"rstrip\":false,\"normalized\":false,\"special\":true"
#define NORMALIZED             "\"single_word\":false,\"lstrip\":false,\"rstrip\":false,\"normalized\":true,\"special\":false"
#define LSTRIP                 "\"single_word\":false,\"lstrip\":true,\"rstrip\":false,\"normalized\":false,\"special\":true"
#define SPM                                                                                                                       \
    "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\",\"prepend\":\"\u2581\"},{\"type\":\"Replace\"," \
    "\"pattern\":{\"String\":\" \"},\"content\":\"\u2581\"}]},"
#define GEMMA "\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"\u2581\"},"
#define LOWER "\"normalizer\":{\"type\":\"Lowercase\"},"
#define METASPACE_FIRST \
    "\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"\u2581\",\"prepend_scheme\":\"first\",\"split\":true},"
#define BERT "\"post_processor\":{\"type\":\"BertProcessing\",\"sep\":[\"y\",8],\"cls\":[\"x\",7]},"
#define TRUNCATE(n, direction, strategy) \
    "\"truncation\":{\"direction\":\"" direction "\",\"max_length\":" n ",\"strategy\":\"" strategy "\",\"stride\":0},"

static void each_plain_segment_is_normalized_by_itself(void **state)
{
    struct tokenizer *t = loaded_json(CHARACTERS(SPM "\"added_tokens\":[" TOKEN("10", "<s>", PLAIN) "],"));

    encodes(t, "a b", "5 0 5 1");
    encodes(t, "<s>a<s>b", "10 5 0 10 5 1"); /* the prefix again behind each special token */
    encodes(t, "", "");
    encodes(t, "<s>", "10");
    tokenizer_free(t);
}

static void metaspace_first_knows_where_the_text_begins(void **state)
{
    struct tokenizer *t = loaded_json(CHARACTERS(METASPACE_FIRST "\"added_tokens\":[" TOKEN("10", "<s>", PLAIN) "],"));

    encodes(t, "a b", "5 0 5 1");
    encodes(t, "<s>a b", "10 0 5 1");
    encodes(t, "c<s>a", "5 2 10 0");
    tokenizer_free(t);
}

static void added_tokens_are_found_before_and_after_normalizing(void **state)
{
    struct tokenizer *t =
        loaded_json(CHARACTERS(LOWER "\"added_tokens\":[" TOKEN("10", "AB", PLAIN) "," TOKEN("11", "CD", NORMALIZED) "],"));

    encodes(t, "aABb", "0 10 1");
    encodes(t, "aab", "0 0 1"); /* the raw text has no AB */
    encodes(t, "acdCDb", "0 11 11 1");
    encodes(t, "Acd", "0 11");
    tokenizer_free(t);
}

static void ids_of_added_tokens_are_those_that_tokenizers_counts_out(void **state)
{
    struct tokenizer *t = loaded_json(CHARACTERS("\"added_tokens\":[" TOKEN("500", "<s>", PLAIN) "," TOKEN(
        "501", "x", PLAIN) "," TOKEN("502", "<t>", PLAIN) "," TOKEN("503", "", PLAIN) "],"));

    encodes(t, "<s>x<t>", "10 7 11"); /* behind the 10 tokens of the model; x is one of them */
    tokenizer_free(t);
}

static void stripped_space_belongs_to_the_token(void **state)
{
    struct tokenizer *t = loaded_json(CHARACTERS("\"added_tokens\":[" TOKEN("10", "<mask>", LSTRIP) "],"));

    encodes(t, "a <mask> b", "0 10 4 1");
    tokenizer_free(t);
}

static void specials_and_truncation_make_room_for_each_other(void **state)
{
    struct tokenizer *t = loaded_json(CHARACTERS(BERT));
    encodes_bytes(t, STR("abcd"), ENCODE_SPECIALS, "7 0 1 2 3 8");
    encodes_bytes(t, STR("abcd"), 0, "0 1 2 3");
    encodes_bytes(t, STR(""), ENCODE_SPECIALS, "7 8");
    tokenizer_free(t);

    t = loaded_json(CHARACTERS(BERT TRUNCATE("4", "Right", "LongestFirst")));
    encodes_bytes(t, STR("abcd"), ENCODE_SPECIALS, "7 0 1 8");
    encodes_bytes(t, STR("abcdab"), 0, "0 1 2 3");
    tokenizer_free(t);

    t = loaded_json(CHARACTERS(BERT TRUNCATE("3", "Left", "OnlyFirst")));
    encodes_bytes(t, STR("abcd"), ENCODE_SPECIALS, "7 3 8");
    encodes_bytes(t, STR("ab"), 0, "0 1");
    tokenizer_free(t);

    t = loaded_json(CHARACTERS(BERT TRUNCATE("2", "Right", "LongestFirst"))); /* room for the specials and nothing else */
    encodes_bytes(t, STR("abcd"), ENCODE_SPECIALS, "7 8");
    tokenizer_free(t);

    t = loaded_json(CHARACTERS(BERT TRUNCATE("1", "Right", "LongestFirst"))); /* not even that: as the original, nothing is cut */
    encodes_bytes(t, STR("abcd"), ENCODE_SPECIALS, "7 0 1 2 3 8");
    encodes_bytes(t, STR("abcd"), 0, "0");
    tokenizer_free(t);
}

static void a_unigram_model_without_pieces_loads(void **state)
{
    struct tokenizer *t = loaded_json("{\"model\":{\"type\":\"Unigram\",\"vocab\":[]}}");

    assert_int_equal(tokenizer_vocab_size(t), 0);
    tokenizer_free(t);
}

/* As the original has it: the last of equal pieces is what text becomes, each of their ids decodes to it, and is special when the text is. */
static void a_piece_that_stands_twice_keeps_both_ids(void **state)
{
    struct tokenizer *t = loaded_json("{\"added_tokens\":[" TOKEN("2", "<unk>", PLAIN) "," TOKEN(
        "4", "<x>", NORMALIZED) "],"
                                "\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"<unk>\",0.0],[\"a\",-1.0],[\"<unk>\",-"
                                "2.0],[\"a\",-3.0]]}}");
    static const uint32_t IDS[] = { 0, 1, 2, 3, 4 };
    struct buf out = { 0 };

    encodes(t, "a<x>z<unk>", "3 4 0 2");
    assert_int_equal(tokenizer_decode(t, IDS, 5, false, &out, NULL), 0);
    assert_true(str_eq(buf_str(&out), STR("<unk> a <unk> a <x>")));
    buf_clear(&out);
    assert_int_equal(tokenizer_decode(t, IDS, 5, true, &out, NULL), 0);
    assert_true(str_eq(buf_str(&out), STR("a a <x>")));
    assert_int_equal(tokenizer_vocab_size(t), 4);
    buf_fini(&out);
    tokenizer_free(t);
}

static void bytes_that_are_no_text_count_as_replacements(void **state)
{
    struct tokenizer *t = loaded_json(CHARACTERS(""));

    encodes_bytes(t, STR("a\xff\xe4\xbd"), 0, "0 9 9"); /* two characters that are not in the vocabulary */
    tokenizer_free(t);
}

static void ids_are_appended_and_taken_back_when_encoding_fails(void **state)
{
    struct tokenizer *t = loaded_json(CHARACTERS(TRUNCATE("1", "Right", "OnlySecond")));
    struct tokenizer_encoder *e;
    struct ids ids = { 0 };
    struct err err = { 0 };

    assert_int_equal(tokenizer_encoder_new(t, 0, &e), 0);
    ids_put(&ids, 99);
    assert_int_equal(tokenizer_encode(e, STR("a"), 0, &ids, &err), 0);
    assert_int_equal(ids.n, 2);
    assert_int_equal(tokenizer_encode(e, STR("ab"), 0, &ids, &err), ERR_INVALID);
    assert_non_null(strstr(err.message, "OnlySecond"));
    assert_int_equal(ids.n, 2);
    assert_int_equal(ids.v[0], 99);
    ids_fini(&ids);
    tokenizer_encoder_free(e);
    tokenizer_encoder_free(NULL);
    tokenizer_free(t);
    tokenizer_free(NULL);
}

static void the_vocabulary_answers(void **state)
{
    struct tokenizer *t = loaded_json(CHARACTERS("\"added_tokens\":[" TOKEN("10", "<s>", PLAIN) "],"));
    struct buf out = { 0 };
    uint32_t id;

    assert_int_equal(tokenizer_vocab_size(t), 10); /* without the added one */
    assert_true(tokenizer_token_id(t, STR("<s>"), &id) && id == 10);
    assert_true(tokenizer_token_id(t, STR("c"), &id) && id == 2);
    assert_false(tokenizer_token_id(t, STR("zz"), &id));
    assert_true(tokenizer_token(t, 5, &out) && tokenizer_token(t, 10, &out));
    assert_str(buf_str(&out), "\u2581<s>");
    assert_false(tokenizer_token(t, 11, &out));
    assert_true(tokenizer_memory(t) > 500);
    assert_true(str_has_prefix(tokenizer_describe(t), STR("BPE, 10 tokens, 1 added")));
    buf_fini(&out);
    tokenizer_free(t);
}

static void a_byte_level_file_works_on_bytes(void **state)
{
    struct tokenizer *t = loaded_json(
        "{\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":true},"
        "\"decoder\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true,\"use_regex\":true},"
        "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"\u0120\":2,\"\u0120a\":3,\"\u0120ab\":4},\"merges\":[[\"\u0120\","
        "\"a\"],[\"\u0120a\",\"b\"]]}}");
    struct buf out = { 0 };

    encodes(t, "a ab b", "0 4 2 1");
    assert_int_equal(tokenizer_decode(t, (const uint32_t[]){ 0, 4, 2, 1, 77 }, 5, false, &out, NULL), 0); /* 77: skipped */
    assert_str(buf_str(&out), "a ab b");
    out.n = 0;
    assert_true(tokenizer_token(t, 4, &out));
    assert_str(buf_str(&out), "\u0120ab");
    buf_fini(&out);
    tokenizer_free(t);
}

static void merges_are_strings_or_pairs(void **state)
{
#define MERGES(list) \
    "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2,\" \":3,\"a \":4,\"a b\":5},\"merges\":[" list "]}}"
    struct tokenizer *t = loaded_json(MERGES("\"#version: 0.2\",\"a b\""));
    encodes(t, "aba", "2 0");
    tokenizer_free(t);
    t = loaded_json(MERGES("[\"a\",\"b\"],[\"a\",\" \"],[\"a \",\"b\"]")); /* tokens with spaces: only as pairs */
    encodes(t, "aba b", "2 5");
    tokenizer_free(t);
    refuses(MERGES("\"a b c\""), ERR_INVALID, "tokenizer.json: model: merges[0]: Merges text file invalid at line 1");
    refuses(MERGES("\"ab\""), ERR_INVALID, "invalid at line 1");
    refuses(MERGES("\"a b\",[\"a\",\"b\"]"), ERR_INVALID, "merges[1]");
    refuses(MERGES("[\"a\",\"b\"],[\"b\",\"a\"]"), ERR_INVALID, "merges[1]: Token `ba` out of vocabulary");
    refuses(MERGES("[\"a\",\"\u00e9\"]"), ERR_INVALID, "Token `\u00e9` out of vocabulary");
    refuses(MERGES("[\"a\",1]"), ERR_INVALID, "merges[0]");
    refuses(MERGES("[\"a\"]"), ERR_INVALID, "merges[0]");
}

static void what_is_wrong_is_named_with_its_place(void **state)
{
    refuses("", ERR_INVALID, "empty");
    refuses("{", ERR_SYNTAX, "tokenizer.json: EOF while parsing");
    refuses("[]", ERR_INVALID, "tokenizer.json: expected an object");
    refuses("{}", ERR_INVALID, "model: missing");
    refuses("{\"version\":\"2.0\",\"model\":{}}", ERR_UNSUPPORTED, "version: \"2.0\"");
    refuses("{\"model\":{\"type\":\"Magic\"}}", ERR_UNSUPPORTED, "model: type: \"Magic\"");
    refuses("{\"model\":{\"type\":\"BPE\",\"vocab\":{}}}", ERR_INVALID, "model: merges: missing");
    refuses("{\"model\":{\"type\":\"BPE\",\"merges\":[]}}", ERR_INVALID, "model: vocab: expected an object");
    refuses("{\"model\":{\"type\":\"BPE\",\"merges\":[],\"vocab\":{\"a\":-1}}}", ERR_INVALID, "model: vocab: expected a number");
    refuses("{\"model\":{\"type\":\"BPE\",\"merges\":[],\"vocab\":{\"a\":16777216}}}", ERR_LIMIT, "16777216 is too large");
    refuses("{\"model\":{\"type\":\"BPE\",\"merges\":[],\"vocab\":{\"a\":1e3}}}", ERR_INVALID, "1e3");
    refuses("{\"model\":{\"type\":\"BPE\",\"merges\":[],\"vocab\":{},\"dropout\":0.1}}", ERR_UNSUPPORTED, "model: dropout");
    refuses("{\"model\":{\"type\":\"BPE\",\"merges\":[],\"vocab\":{},\"fuse_unk\":1}}", ERR_INVALID, "model: fuse_unk");
    refuses("{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\"]]}}", ERR_INVALID, "model: vocab[0]");
    refuses("{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\",0.0]],\"unk_id\":1}}", ERR_INVALID, "model: unk_id");
    refuses(CHARACTERS("\"normalizer\":{\"type\":\"Magic\"},"), ERR_UNSUPPORTED, "Magic");
    refuses(CHARACTERS("\"added_tokens\":{},"), ERR_INVALID, "added_tokens: expected a list");
    refuses(CHARACTERS("\"added_tokens\":[{\"content\":\"a\"}],"), ERR_INVALID, "added_tokens[0].id");
    refuses(CHARACTERS("\"added_tokens\":[" TOKEN("99999999", "a", PLAIN) "],"), ERR_LIMIT, "added_tokens[0].id");
    refuses(CHARACTERS("\"added_tokens\":[{\"id\":1,\"content\":\"a\"}],"), ERR_INVALID, "added_tokens[0].single_word");
    refuses(CHARACTERS(TRUNCATE("-4", "Right", "LongestFirst")), ERR_INVALID, "truncation.max_length");
    refuses(CHARACTERS(TRUNCATE("4", "Up", "LongestFirst")), ERR_INVALID, "truncation.direction");
    refuses(CHARACTERS(TRUNCATE("4", "Left", "Shortest")), ERR_INVALID, "truncation.strategy");
    refuses_files((struct tokenizer_files){ .tokenizer_json = STR("{}"), .tiktoken = STR("a") }, ERR_INVALID, "more than one");
}

static void limits_hold(void **state)
{
    struct buf text = { 0 };

    buf_puts(&text, "{\"model\":{\"type\":\"BPE\",\"merges\":[],\"vocab\":{");
    for (int i = 0; i < 1001; i++)
        buf_printf(&text, "%s\"t%d\":%d", i ? "," : "", i, i);
    buf_puts(&text, "}}}");
    buf_put_char(&text, 0);
    refuses(text.p, ERR_LIMIT, "vocab: more than 1000 tokens");

    buf_clear(&text);
    buf_puts(&text, "{\"model\":{\"type\":\"BPE\",\"merges\":[],\"vocab\":{\"");
    for (int i = 0; i < 101; i++)
        buf_put_char(&text, 'a');
    buf_puts(&text, "\":0}}}");
    buf_put_char(&text, 0);
    refuses(text.p, ERR_LIMIT, "101 bytes");

    buf_clear(&text);
    for (int i = 0; i < 1000; i++)
        buf_puts(&text, "[");
    buf_put_char(&text, 0);
    refuses(text.p, ERR_SYNTAX, "recursion limit");

    buf_clear(&text);
    while (text.n <= 1 << 20)
        buf_puts(&text, "                                                                ");
    buf_put_char(&text, 0);
    refuses(text.p, ERR_LIMIT, "more than 1048576");
    buf_fini(&text);
}

static void many_segments_and_long_texts_pass_through_the_batches(void **state)
{
    struct tokenizer *t = loaded_json(
        "{\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":true},"
        "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"\u0120\":1},\"merges\":[]}}");
    struct tokenizer_encoder *e;
    struct ids ids = { 0 };
    struct buf text = { 0 };

    for (int i = 0; i < 5000; i++)
        buf_puts(&text, " a");
    assert_int_equal(tokenizer_encoder_new(t, 1 << 16, &e), 0);
    for (int again = 0; again < 2; again++) {
        ids_clear(&ids);
        assert_int_equal(tokenizer_encode(e, buf_str(&text), 0, &ids, NULL), 0);
        assert_int_equal(ids.n, 10000);
        for (size_t i = 0; i < ids.n; i++)
            assert_int_equal(ids.v[i], i % 2 == 0);
    }
    buf_fini(&text);
    ids_fini(&ids);
    tokenizer_encoder_free(e);
    tokenizer_free(t);
}

/* Gemma's way: the model reads ' ' as U+2581, added tokens are marks in the text. */
static void text_whose_blanks_the_model_reads_is_taken_as_it_is(void **state)
{
    struct tokenizer *t =
        loaded_json(CHARACTERS(GEMMA "\"added_tokens\":[" TOKEN("10", "<s>", PLAIN) "," TOKEN("11", "<m>", LSTRIP) "],"));
    struct buf text = { 0 }, want = { 0 };

    encodes(t, "a b\u2581 c", "0 5 1 5 5 2");
    encodes(t, "<s> a<s><s>b ", "10 5 0 10 10 1 5");
    encodes(t, "a  <m> \u00e9", "0 11 5 9");
    encodes(t, "", "");
    for (int i = 0; i < 200; i++) { /* more than fit into one batch */
        buf_puts(&text, "a b<s>");
        buf_put(&want, i ? STR(" 0 5 1 10") : STR("0 5 1 10"));
    }
    buf_put_char(&want, 0);
    encodes_bytes(t, buf_str(&text), 0, want.p);
    buf_fini(&text);
    buf_fini(&want);
    tokenizer_free(t);
}

static void an_unknown_token_that_is_not_in_the_vocabulary_is_missed_when_it_is_needed(void **state)
{
    static const char *const FILES[] = {
        "{\"model\":{\"type\":\"BPE\",\"unk_token\":\"<unk>\",\"vocab\":{\"a\":0,\"b\":1},\"merges\":[]}}",
        "{\"model\":{\"type\":\"BPE\",\"unk_token\":\"\",\"vocab\":{\"a\":0,\"b\":1},\"merges\":[]}}"
    };

    for (size_t i = 0; i < ARRAY_LEN(FILES); i++) {
        struct tokenizer *t = loaded_json(FILES[i]);
        struct tokenizer_encoder *e;
        struct ids ids = { 0 };
        struct err err = { 0 };

        encodes(t, "ab", "0 1");
        assert_int_equal(tokenizer_encoder_new(t, 1 << 16, &e), 0);
        assert_int_equal(tokenizer_encode(e, STR("axb"), 0, &ids, &err), ERR_INVALID);
        assert_non_null(strstr(err.message, "unk_token"));
        assert_int_equal(ids.n, 0);
        ids_fini(&ids);
        tokenizer_encoder_free(e);
        tokenizer_free(t);
    }
}

static void memory_may_run_out_anywhere(void **state)
{
    static const struct tokenizer_files FILES = {
        .tokenizer_json =
            STR_INIT(CHARACTERS(SPM BERT "\"added_tokens\":[" TOKEN("10", "<s>", PLAIN) "," TOKEN("11", "ab", NORMALIZED) "],")),
        .tokenizer_config = STR_INIT("{\"add_bos_token\":true,\"bos_token\":\"<s>\",\"chat_template\":\"x\"}"),
        .config = STR_INIT("{\"eos_token_id\":[1,2]}"),
    };
    struct tokenizer_limits limits = TOKENIZER_LIMITS_DEFAULT;

    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct tokenizer *t = NULL;
        struct tokenizer_encoder *e = NULL;
        struct ids ids = { 0 };
        int r = tokenizer_load(&FILES, &limits, &t, NULL);
        if (r >= 0)
            r = tokenizer_encoder_new(t, 4096, &e);
        if (r >= 0)
            r = tokenizer_encode(e, STR("a ab\xff<s>c"), ENCODE_SPECIALS, &ids, NULL);
        if (r < 0)
            assert_int_equal(r, ERR_NOMEM);
        ids_fini(&ids);
        tokenizer_encoder_free(e);
        tokenizer_free(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_plain_segment_is_normalized_by_itself),
        cmocka_unit_test(metaspace_first_knows_where_the_text_begins),
        cmocka_unit_test(added_tokens_are_found_before_and_after_normalizing),
        cmocka_unit_test(ids_of_added_tokens_are_those_that_tokenizers_counts_out),
        cmocka_unit_test(stripped_space_belongs_to_the_token),
        cmocka_unit_test(specials_and_truncation_make_room_for_each_other),
        cmocka_unit_test(a_unigram_model_without_pieces_loads),
        cmocka_unit_test(a_piece_that_stands_twice_keeps_both_ids),
        cmocka_unit_test(bytes_that_are_no_text_count_as_replacements),
        cmocka_unit_test(ids_are_appended_and_taken_back_when_encoding_fails),
        cmocka_unit_test(the_vocabulary_answers),
        cmocka_unit_test(a_byte_level_file_works_on_bytes),
        cmocka_unit_test(merges_are_strings_or_pairs),
        cmocka_unit_test(what_is_wrong_is_named_with_its_place),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(many_segments_and_long_texts_pass_through_the_batches),
        cmocka_unit_test(text_whose_blanks_the_model_reads_is_taken_as_it_is),
        cmocka_unit_test(an_unknown_token_that_is_not_in_the_vocabulary_is_missed_when_it_is_needed),
        cmocka_unit_test(memory_may_run_out_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
