/* WordPiece and WordLevel: spec 3.5 and 16.4 */
#include "words.h"

#include "fail_alloc.h"

static const char *const TOKENS[] = { "[UNK]", "un", "##aff", "##able", "a", "##a", "able", "##", "é", "##é" };

static struct model *wordpiece(const char *const *tokens, size_t n, const char *unk, uint32_t max)
{
    struct wordpiece_config c = { words_vocab(tokens, n), str_of(unk), STR("##"), max };
    struct model *m;
    assert_int_equal(wordpiece_model_new(&c, &m, NULL), 0);
    return m;
}

static void the_longest_token_goes_first(void **state)
{
    struct model *m = wordpiece(TOKENS, ARRAY_LEN(TOKENS), "[UNK]", 100);
    assert_string_equal(words_encode(m, STR("unaffable")), "1 2 3");
    assert_string_equal(words_encode(m, STR("able")), "6");
    assert_string_equal(words_encode(m, STR("aaé")), "4 5 9");
    m->ops->free(m);
}

static void a_word_that_cannot_be_covered_is_unknown_as_a_whole(void **state)
{
    struct model *m = wordpiece(TOKENS, ARRAY_LEN(TOKENS), "[UNK]", 100);
    assert_string_equal(words_encode(m, STR("unx")), "0");
    assert_string_equal(words_encode(m, STR("xun")), "0");
    m->ops->free(m);
}

static void a_word_of_too_many_characters_is_unknown(void **state)
{
    char word[400];
    struct model *m = wordpiece(TOKENS, ARRAY_LEN(TOKENS), "[UNK]", 100);
    memset(word, 'a', sizeof(word));
    assert_string_equal(words_encode(m, (struct str){ word, 101 }), "0");
    assert_int_equal(strlen(words_encode(m, (struct str){ word, 100 })), 2 * 100 - 1);
    for (size_t i = 0; i < 200; i += 2)
        memcpy(word + i, "é", 2);
    assert_int_equal(strlen(words_encode(m, (struct str){ word, 200 })), 2 * 100 - 1); /* characters count, not bytes */
    m->ops->free(m);
}

static void without_an_unknown_token_an_unknown_word_is_an_error(void **state)
{
    struct model *m = wordpiece(TOKENS + 1, ARRAY_LEN(TOKENS) - 1, "[UNK]", 100);
    assert_string_equal(words_encode(m, STR("zzz")), "WordPiece error: Missing [UNK] token from the vocabulary");
    m->ops->free(m);
}

static void whole_words_are_looked_up(void **state)
{
    struct wordlevel_config c = { words_vocab(TOKENS, ARRAY_LEN(TOKENS)), STR("[UNK]") };
    struct model *m;
    assert_int_equal(wordlevel_model_new(&c, &m, NULL), 0);
    assert_string_equal(words_encode(m, STR("able")), "6");
    assert_string_equal(words_encode(m, STR("unable")), "0");
    m->ops->free(m);
    c = (struct wordlevel_config){ words_vocab(TOKENS + 1, 3), STR("[UNK]") };
    assert_int_equal(wordlevel_model_new(&c, &m, NULL), 0);
    assert_string_equal(words_encode(m, STR("x")), "WordLevel error: Missing [UNK] token from the vocabulary");
    m->ops->free(m);
}

static void loading_survives_every_failed_allocation(void **state)
{
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct vocab *v = words_vocab(TOKENS, ARRAY_LEN(TOKENS));
        struct model *m = NULL;
        if (v) {
            struct wordpiece_config c = { v, STR("[UNK]"), STR("##"), 100 };
            int r = wordpiece_model_new(&c, &m, NULL);
            assert_true(r == 0 || r == ERR_NOMEM);
            if (r == 0)
                m->ops->free(m);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_longest_token_goes_first),
        cmocka_unit_test(a_word_that_cannot_be_covered_is_unknown_as_a_whole),
        cmocka_unit_test(a_word_of_too_many_characters_is_unknown),
        cmocka_unit_test(without_an_unknown_token_an_unknown_word_is_an_error),
        cmocka_unit_test(whole_words_are_looked_up),
        cmocka_unit_test(loading_survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
