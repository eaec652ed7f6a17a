/* Decoders: what tokenizers 0.23 gives for the same tokens, ids that are unknown or special, and definitions that are refused */
#include "test.h"

#include "fail_alloc.h"

#include "base/arena.h"
#include "text/tokenizer/decoder.h"

/* The tokens of a test: id = index. */
struct words {
    const char *const *v;
    uint32_t n;
    uint32_t special; /* this id is special; n = none */
};

static bool word(const void *owner, uint32_t id, struct decoder_token *ret)
{
    const struct words *w = owner;
    if (id >= w->n)
        return false;
    *ret = (struct decoder_token){ .text = str_of(w->v[id]), .added = id == w->special, .special = id == w->special };
    return true;
}

static int parse(const char *text, struct decoder **ret, struct err *err)
{
    struct arena arena;
    struct json_doc doc;
    arena_init(&arena, NULL, 0);
    int rc = json_parse(str_of(text), &arena, &doc, NULL);
    if (!rc)
        rc = decoder_parse(json_root(&doc), false, ret, err);
    arena_fini(&arena);
    return rc;
}

static void assert_decodes(const char *definition, struct words w, bool skip_specials, const uint32_t *ids, size_t n,
                           struct str want)
{
    struct decoder *d = NULL;
    struct err err = { 0 };
    struct buf out = { 0 };
    struct decoder_source source = { .owner = &w, .token = word };
    assert_int_equal(parse(definition, &d, &err), 0);
    assert_int_equal(decoder_decode(d, &source, ids, n, skip_specials, &out, &err), 0);
    if (!str_eq(buf_str(&out), want))
        fail_msg("%s gives \"%.*s\", not \"%.*s\"", definition, STR_FMT(buf_str(&out)), STR_FMT(want));
    buf_fini(&out);
    decoder_free(d);
}

/* Made by asking tokenizers 0.23: Tokenizer.from_str(...).decoder.decode(tokens). */
static const struct {
    struct str definition;
    const char *tokens[13];
    struct str want;
} vectors[] = {
    { STR_INIT("{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true,\"use_regex\":true}"),
      { "Hello", "\304\240world", NULL },
      STR_INIT("Hello world") },
    { STR_INIT("{\"type\":\"ByteLevel\"}"), { "\303\203", "\302\251", NULL }, STR_INIT("\303\251") },
    { STR_INIT("{\"type\":\"ByteLevel\"}"), { "\303\203", NULL }, STR_INIT("\357\277\275") },
    { STR_INIT("{\"type\":\"ByteLevel\"}"), { "\303\260", "\305\201", NULL }, STR_INIT("\357\277\275") },
    { STR_INIT("{\"type\":\"ByteLevel\"}"), { "<\303\251>", "a b", "\303\251", NULL }, STR_INIT("<\357\277\275>a b\357\277\275") },
    { STR_INIT("{\"type\":\"ByteLevel\"}"),
      { "\303\255\305\202", "\304\242", NULL },
      STR_INIT("\357\277\275\357\277\275\357\277\275") },
    { STR_INIT("{\"type\":\"ByteLevel\"}"), { "\303\277", "\303\276", "a", NULL }, STR_INIT("\357\277\275\357\277\275a") },
    { STR_INIT("{\"type\":\"ByteLevel\"}"), { NULL }, STR_INIT("") },
    { STR_INIT(
          "{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":{\"String\":\"\342\226\201\"},\"content\":\" "
          "\"},{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"},{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}]}"),
      { "\342\226\201Hello", "\342\226\201world", NULL },
      STR_INIT("Hello world") },
    { STR_INIT(
          "{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":{\"String\":\"\342\226\201\"},\"content\":\" "
          "\"},{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"},{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}]}"),
      { "\342\226\201", "\342\226\201a", NULL },
      STR_INIT(" a") },
    { STR_INIT(
          "{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":{\"String\":\"\342\226\201\"},\"content\":\" "
          "\"},{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"},{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}]}"),
      { "<0xF0>", "<0x9F>", "<0x9A>", "<0x80>", NULL },
      STR_INIT("\360\237\232\200") },
    { STR_INIT(
          "{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":{\"String\":\"\342\226\201\"},\"content\":\" "
          "\"},{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"},{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}]}"),
      { "<0xF0>", "<0x9F>", "a", NULL },
      STR_INIT("\357\277\275\357\277\275a") },
    { STR_INIT(
          "{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":{\"String\":\"\342\226\201\"},\"content\":\" "
          "\"},{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"},{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}]}"),
      { "\342\226\201a", "<0xE2>", "<0x82>", NULL },
      STR_INIT("a\357\277\275\357\277\275") },
    { STR_INIT(
          "{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":{\"String\":\"\342\226\201\"},\"content\":\" "
          "\"},{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"},{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}]}"),
      { "<0x+A>", "x", "<0xg0>", NULL },
      STR_INIT("\012x<0xg0>") },
    { STR_INIT("{\"type\":\"ByteFallback\"}"), { "hey", "you", NULL }, STR_INIT("heyyou") },
    { STR_INIT("{\"type\":\"ByteFallback\"}"), { "<0xe5>", "<0x8f>", "<0xab>", "a", NULL }, STR_INIT("\345\217\253a") },
    { STR_INIT("{\"type\":\"Metaspace\",\"replacement\":\"\342\226\201\",\"prepend_scheme\":\"always\",\"split\":true}"),
      { "\342\226\201Hey", "\342\226\201my", "\342\226\201fr\342\226\201iend", NULL },
      STR_INIT("Hey my fr iend") },
    { STR_INIT("{\"type\":\"Metaspace\",\"replacement\":\"\342\226\201\",\"prepend_scheme\":\"never\",\"split\":true}"),
      { "\342\226\201Hey", "\342\226\201my", NULL },
      STR_INIT(" Hey my") },
    { STR_INIT("{\"type\":\"WordPiece\",\"prefix\":\"##\",\"cleanup\":true}"),
      { "##uelo", "Ara", "##\303\272j", "##o", "No", "##guera", NULL },
      STR_INIT("##uelo Ara\303\272jo Noguera") },
    { STR_INIT("{\"type\":\"WordPiece\",\"prefix\":\"##\",\"cleanup\":true}"),
      { "i", "do not", " 've", "##n't", ".", "you", NULL },
      STR_INIT("i don't 'ven't. you") },
    { STR_INIT("{\"type\":\"WordPiece\",\"prefix\":\"##\",\"cleanup\":false}"), { "a", ".", "##b", NULL }, STR_INIT("a .b") },
    { STR_INIT("{\"type\":\"BPEDecoder\",\"suffix\":\"</w>\"}"), { "he", "llo</w>", "you</w>", NULL }, STR_INIT("hello you") },
    { STR_INIT("{\"type\":\"CTC\",\"pad_token\":\"<pad>\",\"word_delimiter_token\":\"|\",\"cleanup\":true}"),
      { "<pad>", "h", "e", "e", "l", "l", "<pad>", "l", "o", "o", "o", "<pad>", NULL },
      STR_INIT("hello") },
    { STR_INIT("{\"type\":\"CTC\",\"pad_token\":\"<pad>\",\"word_delimiter_token\":\"|\",\"cleanup\":true}"),
      { "a", "|", "b", "b", "|", "<pad>", "|", NULL },
      STR_INIT("a b  ") },
    { STR_INIT("{\"type\":\"Strip\",\"content\":\"H\",\"start\":1,\"stop\":0}"),
      { "Hey", " friend!", "HHH", NULL },
      STR_INIT("ey friend!HH") },
    { STR_INIT("{\"type\":\"Strip\",\"content\":\"y\",\"start\":0,\"stop\":1}"),
      { "Hey", " friend!", "yy", NULL },
      STR_INIT("He friend!y") },
    { STR_INIT("{\"type\":\"Replace\",\"pattern\":{\"String\":\"aa\"},\"content\":\"b\"}"),
      { "aaa", "xaay", "", NULL },
      STR_INIT("baxby") },
    { STR_INIT("{\"type\":\"Fuse\"}"), { "a", "b", NULL }, STR_INIT("ab") },
    { STR_INIT("{\"type\":\"Sequence\",\"decoders\":[]}"), { "a", "b", NULL }, STR_INIT("ab") },
};

static void every_decoder_gives_what_tokenizers_gives(void **state)
{
    for (size_t i = 0; i < sizeof(vectors) / sizeof(*vectors); i++) {
        uint32_t ids[13], n = 0;
        for (; n < 13 && vectors[i].tokens[n]; n++)
            ids[n] = n;
        assert_decodes(vectors[i].definition.p, (struct words){ vectors[i].tokens, n, n }, false, ids, n, vectors[i].want);
    }
}

static const char *const hello[] = { "Hello", "world", "<eos>" };

static void without_a_decoder_tokens_are_joined_with_a_space(void **state)
{
    struct words w = { hello, 3, 2 };
    assert_decodes("null", w, false, (uint32_t[]){ 0, 1 }, 2, STR("Hello world"));
    assert_decodes("null", w, false, NULL, 0, STR(""));
}

static void unknown_ids_and_skipped_specials_leave_no_trace(void **state)
{
    struct words w = { hello, 3, 2 };
    assert_decodes("null", w, true, (uint32_t[]){ 0, 99, 2, 1 }, 4, STR("Hello world"));
    assert_decodes("null", w, false, (uint32_t[]){ 0, 2, 1 }, 3, STR("Hello <eos> world"));
}

static void bytes_are_joined_before_they_are_made_text(void **state)
{
    static const char *const bytes[] = { "\xe2\x82", "\xac", "\xff", "\xf0\x9f" };
    struct words w = { bytes, 4, 4 };
    struct decoder_source source = { .owner = &w, .byte_level = true, .strict = true, .token = word };
    struct decoder *d = NULL;
    struct err err = { 0 };
    struct buf out = { 0 };
    assert_int_equal(decoder_new_bytes(&d), 0);
    assert_int_equal(decoder_decode(d, &source, (uint32_t[]){ 0, 1, 2, 3 }, 4, false, &out, &err), 0);
    assert_true(str_eq(buf_str(&out), STR("\xe2\x82\xac\xef\xbf\xbd\xef\xbf\xbd")));
    assert_int_equal(decoder_decode(d, &source, (uint32_t[]){ 7 }, 1, false, &out, &err), ERR_INVALID);
    assert_string_equal(err.message, "token id 7 is not in the vocabulary");
    buf_fini(&out);
    decoder_free(d);
}

static void a_byte_level_vocabulary_is_read_through_the_alphabet_and_back(void **state)
{
    char bytes[256][2];
    const char *v[256];
    uint32_t ids[256];
    char want[256];
    for (size_t i = 0; i < 256; i++) {
        bytes[i][0] = (char)(i < 128 ? i : 'x');
        bytes[i][1] = 0;
        v[i] = bytes[i];
        ids[i] = (uint32_t)i;
        want[i] = bytes[i][0];
    }
    struct words w = { v, 256, 256 };
    struct decoder_source source = { .owner = &w, .byte_level = true, .token = word };
    struct decoder *d = NULL;
    struct err err = { 0 };
    struct buf out = { 0 };
    assert_int_equal(parse("{\"type\":\"ByteLevel\"}", &d, &err), 0);
    assert_int_equal(decoder_decode(d, &source, ids + 1, 255, false, &out, &err), 0);
    assert_true(str_eq(buf_str(&out), (struct str){ want + 1, 255 }));
    buf_fini(&out);
    decoder_free(d);
}

static void definitions_that_make_no_sense_are_refused(void **state)
{
    static const struct {
        const char *definition;
        int code;
    } bad[] = {
        { "{\"type\":\"Nonsense\"}", ERR_INVALID },
        { "{}", ERR_INVALID },
        { "{\"type\":\"Sequence\"}", ERR_INVALID },
        { "{\"type\":\"Strip\",\"content\":\"ab\",\"start\":1,\"stop\":0}", ERR_INVALID },
        { "{\"type\":\"Strip\",\"content\":\"a\",\"start\":-1,\"stop\":0}", ERR_INVALID },
        { "{\"type\":\"Replace\",\"pattern\":{\"String\":\"\"},\"content\":\"\"}", ERR_INVALID },
        { "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"a\"},\"content\":\"\"}", ERR_UNSUPPORTED },
        { "{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"always\",\"add_prefix_space\":false}", ERR_INVALID },
        { "{\"type\":\"WordPiece\",\"prefix\":1}", ERR_INVALID },
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct decoder *d = NULL;
        struct err err = { 0 };
        assert_int_equal(parse(bad[i].definition, &d, &err), bad[i].code);
        assert_null(d);
        assert_true(err.message[0]);
    }
}

static void it_fails_cleanly_without_memory(void **state)
{
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct words w = { hello, 3, 3 };
        struct decoder_source source = { .owner = &w, .token = word };
        struct decoder *d = NULL;
        struct err err = { 0 };
        struct buf out = { 0 };
        int rc = parse("{\"type\":\"WordPiece\",\"prefix\":\"##\",\"cleanup\":true}", &d, &err);
        if (!rc)
            rc = decoder_decode(d, &source, (uint32_t[]){ 0, 1, 2 }, 3, false, &out, &err);
        assert_int_equal(rc, fail_alloc_failed() ? ERR_NOMEM : 0);
        buf_fini(&out);
        decoder_free(d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_decoder_gives_what_tokenizers_gives),
        cmocka_unit_test(without_a_decoder_tokens_are_joined_with_a_space),
        cmocka_unit_test(unknown_ids_and_skipped_specials_leave_no_trace),
        cmocka_unit_test(bytes_are_joined_before_they_are_made_text),
        cmocka_unit_test(a_byte_level_vocabulary_is_read_through_the_alphabet_and_back),
        cmocka_unit_test(definitions_that_make_no_sense_are_refused),
        cmocka_unit_test(it_fails_cleanly_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
