/* The other files: tokenizer_config.json, config.json, vocab.json with merges.txt, ranks */
#include "loaded.h"

#define BERT "\"post_processor\":{\"type\":\"BertProcessing\",\"sep\":[\"y\",8],\"cls\":[\"x\",7]},"

/* ---- tokenizer_config.json ---- */

static struct tokenizer *with_config(const char *more, const char *config)
{
    return loaded((struct tokenizer_files){ .tokenizer_json = str_of(more), .tokenizer_config = str_of(config) });
}

static void names_come_from_the_config_and_else_from_the_vocabulary(void **state)
{
#define WITH_S                                                                                                             \
    CHARACTERS("\"added_tokens\":[{\"id\":10,\"content\":\"<s>\",\"single_word\":false,\"lstrip\":false,\"rstrip\":false," \
               "\"normalized\":false,\"special\":true}],")
    struct tokenizer *t = with_config(WITH_S, "{\"eos_token\":{\"content\":\"x\"},\"pad_token\":\"y\"}");
    assert_str(tokenizer_special_token(t, SPECIAL_BOS), "<s>");
    assert_str(tokenizer_special_token(t, SPECIAL_EOS), "x");
    assert_str(tokenizer_special_token(t, SPECIAL_PAD), "y");
    assert_int_equal(tokenizer_special_token(t, SPECIAL_UNK).n, 0);
    tokenizer_free(t);

    t = with_config(WITH_S, "{\"bos_token\":null}"); /* null: there is none */
    assert_int_equal(tokenizer_special_token(t, SPECIAL_BOS).n, 0);
    tokenizer_free(t);

    t = with_config(WITH_S, "{ broken"); /* passed over */
    assert_str(tokenizer_special_token(t, SPECIAL_BOS), "<s>");
    tokenizer_free(t);
}

static void add_bos_and_add_eos_replace_the_post_processor(void **state)
{
    static const struct {
        const char *file, *config, *want;
    } ROWS[] = {
        { CHARACTERS(""), "{\"add_bos_token\":true,\"bos_token\":\"c\",\"eos_token\":\"d\"}", "2 0" },
        { CHARACTERS(""), "{\"add_bos_token\":true,\"add_eos_token\":true,\"bos_token\":\"c\",\"eos_token\":\"d\"}", "2 0 3" },
        { CHARACTERS(BERT), "{\"add_eos_token\":true,\"bos_token\":\"c\",\"eos_token\":\"d\"}",
          "2 0 3" }, /* the file adds ids: so BOS is wanted */
        { CHARACTERS(""), "{\"add_eos_token\":true,\"bos_token\":\"c\",\"eos_token\":\"d\"}", "0 3" },
        { CHARACTERS(BERT), "{\"add_bos_token\":false,\"bos_token\":\"c\"}", "7 0 8" }, /* does not take away */
        { CHARACTERS(BERT), "{\"add_bos_token\":true,\"bos_token\":\"nowhere\"}", "7 0 8" },
        { CHARACTERS(BERT), "{\"add_bos_token\":true,\"bos_token\":null}", "7 0 8" },
    };
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(*ROWS); i++) {
        struct tokenizer *t = with_config(ROWS[i].file, ROWS[i].config);
        encodes_bytes(t, STR("a"), ENCODE_SPECIALS, ROWS[i].want);
        tokenizer_free(t);
    }
}

static void the_chat_template_is_kept_when_it_is_a_string(void **state)
{
    struct tokenizer *t = with_config(CHARACTERS(""), "{\"chat_template\":\"{{ \\\"x\\\" }}\\n\"}");
    assert_str(tokenizer_chat_template(t), "{{ \"x\" }}\n");
    tokenizer_free(t);
    t = with_config(CHARACTERS(""), "{\"chat_template\":[{\"name\":\"default\",\"template\":\"x\"}]}");
    assert_int_equal(tokenizer_chat_template(t).n, 0);
    tokenizer_free(t);
}

static void the_stop_set_is_gathered_sorted_and_each_once(void **state)
{
    static const struct {
        const char *config, *generation;
        size_t n;
        uint32_t want[3];
    } ROWS[] = {
        { "{\"eos_token_id\": 5}", "{\"eos_token_id\":[7,5]}", 2, { 5, 7 } },
        { "{\"text_config\":{\"eos_token_id\":[106,1]},\"eos_token_id\":null}", "", 2, { 1, 106 } },
        { "", "{\"eos_token_id\":[3,2,\"x\",-1,1]}", 3, { 1, 2, 3 } },
        { "{ broken", "", 0, { 0 } },
        { "", "", 0, { 0 } },
    };
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(*ROWS); i++) {
        struct tokenizer *t = loaded((struct tokenizer_files){ .tokenizer_json = STR(CHARACTERS("")),
                                                               .config = str_of(ROWS[i].config),
                                                               .generation_config = str_of(ROWS[i].generation) });
        size_t n;
        const uint32_t *ids = tokenizer_eos_ids(t, &n);
        assert_int_equal(n, ROWS[i].n);
        for (size_t k = 0; k < n; k++)
            assert_int_equal(ids[k], ROWS[i].want[k]);
        tokenizer_free(t);
    }
}

/* ---- vocab.json and merges.txt ---- */

#define QWEN_VOCAB "{\"H\":0,\"e\":1,\"l\":2,\"o\":3,\"\u0120\":4,\"w\":5,\"r\":6,\"d\":7,\"!\":8}"
#define QWEN_CONFIG                                                                                                         \
    "\"added_tokens_decoder\":{\"10\":{\"content\":\"<tool_call>\",\"special\":false},\"9\":{\"content\":\"<|im_start|>\"," \
    "\"special\":true}}"

static struct tokenizer *qwen(const char *merges, const char *config)
{
    return loaded((struct tokenizer_files){
        .vocab_json = STR(QWEN_VOCAB), .merges_txt = str_of(merges), .tokenizer_config = str_of(config) });
}

static void a_qwen2_directory_is_read_as_its_class_would(void **state)
{
    struct tokenizer *t = qwen("#version: 0.2\n", "{" QWEN_CONFIG "}");
    struct buf out = { 0 };

    encodes(t, "Hello world!", "0 1 2 2 3 4 5 3 6 2 7 8");
    encodes(t, "<|im_start|><tool_call>", "9 10");
    assert_int_equal(tokenizer_decode(t, (const uint32_t[]){ 9, 10 }, 2, true, &out, NULL), 0);
    assert_str(buf_str(&out), "<tool_call>");
    tokenizer_free(t);

    t = qwen("", "{\"add_prefix_space\":true," QWEN_CONFIG "}");
    encodes(t, "Hello", "4 0 1 2 2 3");
    out.n = 0;
    assert_int_equal(tokenizer_decode(t, (const uint32_t[]){ 4, 0, 1, 2, 2, 3 }, 6, true, &out, NULL), 0);
    assert_str(buf_str(&out), " Hello");
    buf_fini(&out);
    tokenizer_free(t);
}

static void declared_ids_of_added_tokens_are_honoured(void **state)
{
    struct tokenizer *t = qwen("", "{\"added_tokens_decoder\":{\"20\":{\"content\":\"<a>\"}}}");

    encodes(t, "<a>H", "20 0");
    tokenizer_free(t);
}

static void wrong_lines_of_merges_are_named(void **state)
{
    struct tokenizer_files f = { .vocab_json = STR(QWEN_VOCAB), .merges_txt = STR("#version: 0.2\nH e l\n") };

    refuses_files(f, ERR_INVALID, "Merges text file invalid at line 2");
    f.merges_txt = STR("H z\n");
    refuses_files(f, ERR_INVALID, "merges.txt: merges[0]: Token `z` out of vocabulary");
    f.merges_txt = STR("H e\r\n");
    refuses_files(f, ERR_INVALID, "Token `He` out of vocabulary");
    f.vocab_json = STR("[");
    refuses_files(f, ERR_SYNTAX, "vocab.json: ");
    f.vocab_json = STR(QWEN_VOCAB);
    f.merges_txt = STR("");
    f.tokenizer_config = STR("{\"added_tokens_decoder\":{\"x\":{\"content\":\"<a>\"}}}");
    refuses_files(f, ERR_INVALID, "added_tokens_decoder: `x`");
}

/* ---- ranks ---- */

#define RANKS_AB "YQ== 0\nYg== 1\n"

static void a_file_of_ranks_is_read(void **state)
{
    struct tokenizer *t = loaded((struct tokenizer_files){
        .tiktoken = STR("YQ== 0\n\nYg== 1 more\r\nYWI= 2\nIA== 3\n/w== 4"),
        .tokenizer_config = STR("{\"added_tokens_decoder\":{\"7\":{\"content\":\"<e>\",\"special\":true}}}") });
    struct buf out = { 0 };
    struct err err = { 0 };
    uint32_t id;

    encodes(t, "ab<e>b a", "2 7 1 3 0");
    assert_int_equal(tokenizer_vocab_size(t), 8); /* the highest id and one */
    assert_int_equal(tokenizer_decode(t, (const uint32_t[]){ 2, 7, 4 }, 3, false, &out, &err), 0);
    assert_str(buf_str(&out), "ab<e>\xef\xbf\xbd");
    out.n = 0;
    assert_int_equal(tokenizer_decode(t, (const uint32_t[]){ 2, 7 }, 2, true, &out, &err), 0);
    assert_str(buf_str(&out), "ab");
    assert_int_equal(tokenizer_decode(t, (const uint32_t[]){ 6 }, 1, false, &out, &err), ERR_INVALID);
    out.n = 0;
    assert_true(tokenizer_token(t, 2, &out));
    assert_str(buf_str(&out), "ab");
    assert_false(tokenizer_token(t, 4, &out)); /* a byte that is no text has no name */
    assert_true(tokenizer_token_id(t, STR("ab"), &id) && id == 2);
    buf_fini(&out);
    tokenizer_free(t);
}

static void kimi_is_known_by_its_files_and_reserves_ids(void **state)
{
    static const struct {
        const char *config, *model;
        bool kimi;
    } ROWS[] = {
        { "{\"auto_map\":{\"AutoTokenizer\":[\"tokenization_kimi.TikTokenTokenizer\",null]}", "", true },
        { "{\"auto_map\":{\"AutoTokenizer\":[\"tokenization_kimi_v2.TikTokenTokenizer\",null]}", "", false },
        { "{\"x\":1", "{\"model_type\":\"kimi_k2\"}", true },
        { "{\"x\":1", "{\"model_type\":\"kimi_k25\"}", true },
        { "{\"x\":1", "{\"model_type\":\"qwen\"}", false },
    };
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(*ROWS); i++) {
        struct buf config = { 0 }, out = { 0 };
        buf_printf(&config, "%s,\"added_tokens_decoder\":{\"2\":{\"content\":\"[BOS]\"},\"5\":{\"content\":\"<|im_assistant|>\"}}}",
                   ROWS[i].config);
        struct tokenizer *t = loaded((struct tokenizer_files){
            .tiktoken = STR(RANKS_AB), .tokenizer_config = buf_str(&config), .config = str_of(ROWS[i].model) });
        assert_int_equal(tokenizer_vocab_size(t), ROWS[i].kimi ? 258 : 6);
        if (ROWS[i].kimi) {
            assert_int_equal(tokenizer_decode(t, (const uint32_t[]){ 4, 5 }, 2, false, &out, NULL), 0);
            assert_str(buf_str(&out), "<|reserved_token_4|><|im_assistant|>");
            encodes(t, "[BOS]a<|reserved_token_257|>", "2 0 257");
        }
        buf_fini(&config);
        buf_fini(&out);
        tokenizer_free(t);
    }
}

static void kimi_keeps_contractions_with_their_word_and_cl100k_does_not(void **state)
{
#define RANKS_HELLO "aGVsbG8ncw== 0\naGVsbG8= 1\nJ3M= 2\n" /* hello's, hello, 's */
    struct tokenizer *t =
        loaded((struct tokenizer_files){ .tiktoken = STR(RANKS_HELLO), .config = STR("{\"model_type\":\"kimi_k2\"}") });
    encodes(t, "hello's", "0");
    tokenizer_free(t);
    t = loaded((struct tokenizer_files){ .tiktoken = STR(RANKS_HELLO) });
    encodes(t, "hello's", "1 2");
    tokenizer_free(t);
}

static void qwen1_brings_its_own_special_tokens(void **state)
{
    struct tokenizer *t = loaded(
        (struct tokenizer_files){ .tiktoken = STR(RANKS_AB), .tokenizer_config = STR("{\"tokenizer_class\":\"QWenTokenizer\"}") });

    encodes(t, "<|im_start|>a<|endoftext|><|extra_204|>", "3 0 2 209");
    tokenizer_free(t);
}

static void wrong_ranks_are_named_with_their_line(void **state)
{
    static const struct {
        const char *text;
        int code;
        const char *part;
    } ROWS[] = {
        { "YQ== 0\nYg==\n", ERR_INVALID, "line 2: missing rank in tiktoken file" },
        { "YQ= 0\n", ERR_INVALID, "line 1: the token is not base64" },
        { "Y*== 0\n", ERR_INVALID, "not base64" },
        { "YR== 0\n", ERR_INVALID, "not base64" },
        { "Y=Q= 0\n", ERR_INVALID, "not base64" },
        { "YQ== x\n", ERR_INVALID, "the rank `x`" },
        { "YQ== 16777216\n", ERR_LIMIT, "too large" },
    };
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(*ROWS); i++)
        refuses_files((struct tokenizer_files){ .tiktoken = str_of(ROWS[i].text) }, ROWS[i].code, ROWS[i].part);
    refuses_files((struct tokenizer_files){ .tiktoken = STR(RANKS_AB), .tokenizer_config = STR("{") }, ERR_SYNTAX,
                  "tokenizer_config.json: ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_come_from_the_config_and_else_from_the_vocabulary),
        cmocka_unit_test(add_bos_and_add_eos_replace_the_post_processor),
        cmocka_unit_test(the_chat_template_is_kept_when_it_is_a_string),
        cmocka_unit_test(the_stop_set_is_gathered_sorted_and_each_once),
        cmocka_unit_test(a_qwen2_directory_is_read_as_its_class_would),
        cmocka_unit_test(declared_ids_of_added_tokens_are_honoured),
        cmocka_unit_test(wrong_lines_of_merges_are_named),
        cmocka_unit_test(a_file_of_ranks_is_read),
        cmocka_unit_test(kimi_is_known_by_its_files_and_reserves_ids),
        cmocka_unit_test(kimi_keeps_contractions_with_their_word_and_cl100k_does_not),
        cmocka_unit_test(qwen1_brings_its_own_special_tokens),
        cmocka_unit_test(wrong_ranks_are_named_with_their_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
