/* source.c -- what a source means (spec tokenizers 1.3, 4.3, 16.3) */
#include "test.h"

#include <stdlib.h>
#include <unistd.h>

#include "catalog/source.h"

static void openais_names_are_told_from_others(void **state)
{
    static const char *const THEIRS[] = { "gpt-4o",
                                          "gpt-3.5-turbo",
                                          "openai/gpt-4",
                                          "chatgpt-4o-latest",
                                          "o1",
                                          "o3-mini",
                                          "davinci",
                                          "curie",
                                          "babbage",
                                          "ada",
                                          "text-davinci-003",
                                          "code-davinci-002",
                                          "text-embedding-ada-002",
                                          "code-cushman-001" };
    static const char *const OTHERS[] = {
        "gpt-oss-20b", "openai/gpt-oss-120b", "gpt-", "gpt2", "oracle-7b", "o", "o1x", "davinci2", "llama", "adaptive", ""
    };

    for (size_t i = 0; i < ARRAY_LEN(THEIRS); i++)
        if (!source_is_openai(str_of(THEIRS[i])))
            fail_msg("%s is theirs", THEIRS[i]);
    for (size_t i = 0; i < ARRAY_LEN(OTHERS); i++)
        if (source_is_openai(str_of(OTHERS[i])))
            fail_msg("%s is not theirs", OTHERS[i]);
}

static void each_of_them_has_its_encoding(void **state)
{
    static const struct {
        const char *name, *encoding;
    } ROWS[] = {
        { "gpt-4o-mini", "o200k_base" },
        { "gpt-4.1", "o200k_base" },
        { "gpt-5", "o200k_base" },
        { "o4-mini", "o200k_base" },
        { "gpt-4-turbo", "cl100k_base" },
        { "gpt-3.5-turbo", "cl100k_base" },
        { "text-embedding-ada-002", "cl100k_base" },
        { "text-davinci-003", "p50k_base" },
        { "code-davinci-002", "p50k_base" },
        { "text-davinci-edit-001", "p50k_edit" },
        { "davinci", "r50k_base" },
        { "text-curie-001", "r50k_base" },
    };

    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++)
        assert_str(source_openai_encoding(str_of(ROWS[i].name)), ROWS[i].encoding);
    assert_int_equal(source_openai_encoding(STR("gpt-9")).n, 0);
}

static void kinds_of_sources(void **state)
{
    static const struct {
        const char *source;
        enum source_kind kind;
    } ROWS[] = {
        { "mock", SOURCE_BUILT_IN },
        { "test", SOURCE_BUILT_IN },
        { "/", SOURCE_PATH },
        { "/no/such/thing", SOURCE_PATH },
        { "./model", SOURCE_PATH },
        { "../model", SOURCE_PATH },
        { "~/model", SOURCE_PATH },
        { "model/", SOURCE_PATH },
        { "x.json", SOURCE_PATH },
        { "org/x.tiktoken", SOURCE_PATH },
        { ".", SOURCE_PATH },
        { "gpt-4o", SOURCE_OPENAI },
        { "org/name", SOURCE_HUB },
        { "bert-base-uncased", SOURCE_HUB },
        { "org/name@revision", SOURCE_HUB },
        { "org/name@refs/pr/1", SOURCE_HUB },
        { "openai/gpt-oss-20b", SOURCE_HUB },
        { "org/name@", SOURCE_NOTHING },
        { "a/b/c", SOURCE_NOTHING },
        { "https://example.com/x", SOURCE_NOTHING },
        { "two words", SOURCE_NOTHING },
        { "", SOURCE_NOTHING },
    };

    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++)
        if (source_kind_of(str_of(ROWS[i].source)) != ROWS[i].kind)
            fail_msg("'%s' has kind %d", ROWS[i].source, source_kind_of(str_of(ROWS[i].source)));
}

static void errors_that_cannot_get_better_are_told_from_those_that_can(void **state)
{
    assert_true(source_is_final(ERR_NOT_FOUND) && source_is_final(ERR_INVALID) && source_is_final(ERR_SYNTAX) &&
                source_is_final(ERR_UNSUPPORTED) && source_is_final(ERR_LIMIT));
    assert_false(source_is_final(ERR_TIMEOUT) || source_is_final(ERR_REFUSED) || source_is_final(ERR_RESET) ||
                 source_is_final(ERR_BUSY) || source_is_final(ERR_NOMEM) || source_is_final(ERR_IO) ||
                 source_is_final(ERR_CANCELLED));
}

static void nothing_is_fetched_without_a_hub(void **state)
{
    struct source_request r = { .source = STR("org/name") };
    struct tokenizer *t = NULL;
    struct err err = { 0 };

    assert_int_equal(tokenizer_source_load(&r, &t, &err), ERR_NOT_FOUND);
    assert_null(t);
}

static void encode(const struct tokenizer *t, const char *text, const char *expected)
{
    _cleanup_(buf_fini) struct buf seen = { 0 };
    struct tokenizer_encoder *e;
    struct ids ids = { 0 };

    assert_int_equal(tokenizer_encoder_new(t, 0, &e), 0);
    assert_int_equal(tokenizer_encode(e, str_of(text), 0, &ids, NULL), 0);
    for (size_t i = 0; i < ids.n; i++)
        buf_printf(&seen, "%u ", ids.v[i]);
    assert_str(buf_str(&seen), expected);
    ids_fini(&ids);
    tokenizer_encoder_free(e);
}

static void the_built_in_tokenizer_is_smgs_mock(void **state)
{
    static const uint32_t IDS[] = { 1000, 1, 2, 999 };
    _cleanup_(buf_fini) struct buf text = { 0 };
    struct tokenizer *t;

    assert_int_equal(mock_tokenizer_load(&t, NULL), 0);
    assert_int_equal(tokenizer_vocab_size(t), 14);
    encode(t, "Hello world", "1 2 ");
    encode(t, " Hello\n\tunknown Hello. . world ", "1 6 2 ");
    encode(t, "system user assistant test token <|im_start|> <|im_end|> <|eot_id|> <bos> <eos>",
           "7 8 9 3 4 1001 1002 1003 1000 999 ");
    assert_int_equal(tokenizer_decode(t, IDS, 4, /* skip_specials= */ true, &text, NULL), 0);
    assert_str(buf_str(&text), "Hello world");
    buf_clear(&text);
    assert_int_equal(tokenizer_decode(t, IDS, 4, /* skip_specials= */ false, &text, NULL), 0);
    assert_str(buf_str(&text), "<bos> Hello world <eos>");
    tokenizer_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(openais_names_are_told_from_others),
        cmocka_unit_test(each_of_them_has_its_encoding),
        cmocka_unit_test(kinds_of_sources),
        cmocka_unit_test(errors_that_cannot_get_better_are_told_from_those_that_can),
        cmocka_unit_test(nothing_is_fetched_without_a_hub),
        cmocka_unit_test(the_built_in_tokenizer_is_smgs_mock),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
