/* The stream of text out of ids: all pieces and the flush together are what decoding all ids at once gives, for each way of decoding (spec tokenizers 7) */
#include "loaded.h"

#include <stdlib.h>

#include "fail_alloc.h"
#include "base/utf8.h"
#include "text/tokenizer/detokenizer.h"

#define VOCAB                                                                                                                         \
    "\"vocab\":{\"<unk>\":0,\"▁He\":1,\"llo\":2,\"▁\":3,\"world\":4,\"<0xE4>\":5,\"<0xBD>\":6,\"<0xA0>\":7,\"##ing\":8,\"é\":9," \
    "\"x\":10,\"don\":11,\"n't\":12,\".\":13,\"'\":14}"
#define TOKENIZER(decoder)                                                                                                         \
    "{\"version\":\"1.0\",\"added_tokens\":[{\"id\":15,\"content\":\"<s>\",\"single_word\":false,\"lstrip\":false,\"rstrip\":"     \
    "false,"                                                                                                                       \
    "\"normalized\":false,\"special\":true},{\"id\":16,\"content\":\"<think>\",\"single_word\":false,\"lstrip\":false,\"rstrip\":" \
    "false,"                                                                                                                       \
    "\"normalized\":false,\"special\":false}],\"decoder\":" decoder                                                                \
    ",\"model\":{\"type\":\"BPE\",\"unk_token\":\"<unk>\",\"merges\":[]," VOCAB "}}"

#define LLAMA                                                                                                         \
    "{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":{\"String\":\"▁\"},\"content\":\" \"}," \
    "{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"},{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}]}"

/* Bytes: "Ġ" is a space, "ä½ł" the bytes E4 BD A0. */
#define BYTES                                                                                                                            \
    "{\"version\":\"1.0\",\"decoder\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true,\"use_regex\":true}"       \
    ","                                                                                                                                  \
    "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":true},"                    \
    "\"model\":{\"type\":\"BPE\",\"merges\":[],\"vocab\":{\"H\":0,\"Ġ\":1,\"ä\":2,\"½\":3,\"ł\":4,\"ä½\":5,\"Ģ\":6,\"ï¿½\":7," \
    "\"ð\":8,\"Ł\":9}}}"

/* The pieces of the ids, with '|' between what came of each id; the flush is behind "||". */
static void streams(const char *json, const uint32_t *ids, size_t n, const char *want)
{
    struct tokenizer *t = loaded_json(json);
    struct detokenizer d;
    struct buf out = { 0 };
    detokenizer_init(&d, t, true);
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_put_char(&out, '|');
        assert_int_equal(detokenizer_put(&d, ids[i], &out), 0);
    }
    buf_puts(&out, "||");
    assert_int_equal(detokenizer_flush(&d, &out), 0);
    buf_put_char(&out, '\0');
    assert_string_equal(out.p, want);
    buf_fini(&out);
    detokenizer_fini(&d);
    tokenizer_free(t);
}
#define STREAMS(json, want, ...) \
    streams(json, (const uint32_t[]){ __VA_ARGS__ }, sizeof((const uint32_t[]){ __VA_ARGS__ }) / 4, want)

static void incomplete_characters_wait(void **state)
{
    STREAMS(BYTES, "H| ||你|H||", 0, 1, 5, 4, 0);
    STREAMS(BYTES, "H||||\uFFFD", 0, 2, 3);  /* what never becomes a character is one U+FFFD */
    STREAMS(BYTES, "||\uFFFDH||", 2, 3, 0);  /* a broken one goes out with what follows */
    STREAMS(BYTES, "||\uFFFDH||", 7, 99, 0); /* U+FFFD of the model's own waits too; unknown ids add nothing */
    STREAMS(BYTES, "||||||\uFFFD\uFFFD\uFFFD", 2, 8, 9, 6, 2);
}

static void sentencepiece_text_loses_its_first_space_and_byte_tokens_gather(void **state)
{
    STREAMS(TOKENIZER(LLAMA), "He|llo| |world||", 1, 2, 3, 4);
    STREAMS(TOKENIZER(LLAMA), "|||你|x||", 15, 5, 6, 7, 10); /* a special token is skipped */
    STREAMS(TOKENIZER(LLAMA), "||\uFFFD\uFFFDx||", 5, 6, 10);
    STREAMS(TOKENIZER(LLAMA), "<think>|x||", 16, 10);
}

static void word_pieces_join(void **state)
{
    STREAMS(TOKENIZER("{\"type\":\"WordPiece\",\"prefix\":\"##\",\"cleanup\":true}"), "x|ing| world|.||", 10, 8, 4, 13);
}

static const char *const KINDS[] = {
    TOKENIZER(LLAMA),
    TOKENIZER("null"),
    TOKENIZER("{\"type\":\"WordPiece\",\"prefix\":\"##\",\"cleanup\":true}"),
    TOKENIZER("{\"type\":\"Metaspace\",\"replacement\":\"▁\",\"prepend_scheme\":\"always\",\"split\":true}"),
    TOKENIZER("{\"type\":\"Fuse\"}"),
    TOKENIZER("{\"type\":\"ByteFallback\"}"),
    TOKENIZER("{\"type\":\"CTC\",\"pad_token\":\"x\",\"word_delimiter_token\":\"|\",\"cleanup\":true}"),
    TOKENIZER(
        "{\"type\":\"CTC\",\"pad_token\":\"llo\",\"word_delimiter_token\":\"▁\",\"cleanup\":true}"), /* a delimiter that is a token, and part of another */
    TOKENIZER("{\"type\":\"CTC\",\"pad_token\":\"x\",\"word_delimiter_token\":\"'\",\"cleanup\":false}"),
    BYTES,
};

/* A run of byte tokens that turns invalid behind a whole character: the one case in which a stream may say something else. */
static bool run_turns_invalid(const uint32_t *ids, size_t n)
{
    uint32_t last = 0, before_last = 0;
    for (size_t i = 0; i < n; i++) {
        if (ids[i] == 15 || ids[i] > 16) /* special or unknown: nothing */
            continue;
        if (before_last == 5 && (last == 6 || last == 7) && (ids[i] == 6 || ids[i] == 7))
            return true;
        before_last = last;
        last = ids[i];
    }
    return false;
}

static void pieces_and_flush_are_the_whole_text(void **state)
{
    srand(5);
    for (size_t kind = 0; kind < ARRAY_LEN(KINDS); kind++) {
        struct tokenizer *t = loaded_json(KINDS[kind]);
        struct detokenizer d;
        detokenizer_init(&d, t, true);
        for (int round = 0; round < 3000; round++) {
            uint32_t ids[24];
            size_t n = (size_t)(rand() % 24);
            struct buf whole = { 0 }, pieces = { 0 };
            for (size_t i = 0; i < n; i++)
                ids[i] = (uint32_t)(rand() % 23);
            if (kind + 1 < ARRAY_LEN(KINDS) && run_turns_invalid(ids, n))
                continue;
            assert_int_equal(tokenizer_decode(t, ids, n, true, &whole, NULL), 0);
            for (size_t i = 0; i < n; i++) {
                assert_int_equal(detokenizer_put(&d, ids[i], &pieces), 0);
                assert_true(utf8_valid(buf_str(&pieces)));
                assert_false(str_has_suffix(buf_str(&pieces), STR("\uFFFD")));
            }
            assert_int_equal(detokenizer_flush(&d, &pieces), 0);
            if (pieces.n != whole.n || (whole.n && memcmp(pieces.p, whole.p, whole.n) != 0))
                fail_msg("kind %zu: whole \"%.*s\", streamed \"%.*s\"", kind, STR_FMT(buf_str(&whole)), STR_FMT(buf_str(&pieces)));
            buf_fini(&whole);
            buf_fini(&pieces);
        }
        detokenizer_fini(&d);
        tokenizer_free(t);
    }
}

static void what_is_held_is_bounded(void **state)
{
    struct tokenizer *t = loaded_json(BYTES),
                     *windows = loaded_json(
                         TOKENIZER("{\"type\":\"CTC\",\"pad_token\":\"x\",\"word_delimiter_token\":\"|\",\"cleanup\":true}"));
    struct detokenizer d;
    struct buf out = { 0 };
    detokenizer_init(&d, t, true);
    for (int i = 0; i < 5000; i++)
        assert_int_equal(detokenizer_put(&d, 7, &out), 0);
    assert_true(d.held.n < DETOKENIZER_HELD_MAX + 16);
    assert_int_equal(detokenizer_flush(&d, &out), 0);
    assert_int_equal(out.n, 15000);
    detokenizer_fini(&d);
    detokenizer_init(&d, windows, true);
    for (int i = 0; i < 5000; i++) /* tokens without text */
        assert_int_equal(detokenizer_put(&d, 10, &out), 0);
    assert_true(d.window.n <= DETOKENIZER_WINDOW_MAX);
    detokenizer_fini(&d);
    buf_fini(&out);
    tokenizer_free(t);
    tokenizer_free(windows);
}

static void memory_may_run_out(void **state)
{
    static const uint32_t IDS[] = { 1, 2, 5, 6, 7, 10, 16, 8 };
    struct tokenizer *kinds[] = { loaded_json(TOKENIZER(LLAMA)), loaded_json(BYTES),
                                  loaded_json(TOKENIZER(
                                      "{\"type\":\"CTC\",\"pad_token\":\"x\",\"word_delimiter_token\":\"|\",\"cleanup\":true}")) };
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
        FOR_EACH_FAILING_ALLOCATION(nth)
        {
            struct detokenizer d;
            struct buf out = { 0 };
            detokenizer_init(&d, kinds[k], true);
            int r = 0;
            for (size_t i = 0; i < ARRAY_LEN(IDS) && r == 0; i++)
                r = detokenizer_put(&d, IDS[i], &out);
            if (r == 0)
                r = detokenizer_flush(&d, &out);
            assert_true(r == 0 || r == ERR_NOMEM);
            buf_fini(&out);
            detokenizer_fini(&d);
        }
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
        tokenizer_free(kinds[k]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(incomplete_characters_wait),
        cmocka_unit_test(sentencepiece_text_loses_its_first_space_and_byte_tokens_gather),
        cmocka_unit_test(word_pieces_join),
        cmocka_unit_test(pieces_and_flush_are_the_whole_text),
        cmocka_unit_test(what_is_held_is_bounded),
        cmocka_unit_test(memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
