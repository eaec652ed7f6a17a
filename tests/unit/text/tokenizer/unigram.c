/* Unigram: spec 3.5 and 16.4, and every word against a search of all ways */
#include "words.h"

#include <math.h>
#include <stdlib.h>

#include "fail_alloc.h"

static const char *const TOKENS[] = { "<unk>", "a", "b", "c", "d", "cd", "ab", "abc", "abcd" };
static const double SCORES[] = { 0, 0, 0, 0, 0, 1, 2, 5, 10 };

static struct model *unigram(const char *const *tokens, const double *scores, size_t n, bool has_unk, bool byte_fallback)
{
    struct unigram_config c = {
        .vocab = words_vocab(tokens, n), .scores = scores, .scores_n = n, .has_unk = has_unk, .byte_fallback = byte_fallback
    };
    struct model *m;
    assert_int_equal(unigram_model_new(&c, &m, NULL), 0);
    return m;
}

static void the_most_probable_row_wins(void **state)
{
    struct model *m = unigram(TOKENS, SCORES, ARRAY_LEN(TOKENS), true, false);
    assert_string_equal(words_encode(m, STR("abcdacdxx")),
                        "8 1 5 0"); /* vector of 16.4: unknown characters side by side are one token */
    assert_string_equal(words_encode(m, STR("xaé€b")), "0 1 0 2");
    m->ops->free(m);
}

static void bytes_stand_in_for_unknown_text(void **state)
{
    static const char *const tokens[] = { "<unk>", "a", "<0xC3>", "<0xA9>" };
    static const double scores[] = { 0, -1, -2, -2 };
    struct model *m = unigram(tokens, scores, 4, true, true);
    assert_string_equal(words_encode(m, STR("aé")), "1 2 3");
    assert_string_equal(words_encode(m, STR("aéx")), "1 0"); /* not all bytes of the run are known */
    m->ops->free(m);
}

static void an_unknown_character_without_an_unknown_token_is_an_error(void **state)
{
    struct model *m = unigram(TOKENS + 1, SCORES + 1, ARRAY_LEN(TOKENS) - 1, false, false);
    assert_string_equal(words_encode(m, STR("ax")), "Encountered an unknown token but `unk_id` is missing");
    assert_string_equal(words_encode(m, STR("ab")), "5");
    m->ops->free(m);
}

/* The best score of all ways to cover S[at..]; every character is a token of its own here, so nothing is unknown. */
static double best_score(const char *const *tokens, const double *scores, size_t n, const char *s)
{
    double best = -INFINITY;
    if (!*s)
        return 0;
    for (size_t i = 1; i < n; i++)
        if (strncmp(tokens[i], s, strlen(tokens[i])) == 0)
            best = fmax(best, scores[i] + best_score(tokens, scores, n, s + strlen(tokens[i])));
    return best;
}

static void every_word_gets_a_row_of_the_best_score(void **state)
{
    static const char *const tokens[] = { "<unk>", "a", "b", "c", "aa", "ab", "bca", "abca", "cab", "aaa", "bb" };
    srand(11);
    for (int round = 0; round < 50; round++) {
        double scores[ARRAY_LEN(tokens)];
        for (size_t i = 0; i < ARRAY_LEN(tokens); i++)
            scores[i] = -(rand() % 64) / 8.0; /* exact sums */
        struct model *m = unigram(tokens, scores, ARRAY_LEN(tokens), true, false);
        for (int k = 0; k < 40; k++) {
            char word[13] = "", joined[13] = "";
            for (int i = 0, n = 1 + rand() % 12; i < n; i++)
                word[i] = "abc"[rand() % 3];
            double sum = 0;
            const char *ids = words_encode(m, str_of(word));
            for (char *end; *ids; ids = end) {
                unsigned long id = strtoul(ids, &end, 10);
                sum += scores[id];
                strcat(joined, tokens[id]);
            }
            assert_string_equal(joined, word);
            assert_true(sum == best_score(tokens, scores, ARRAY_LEN(tokens), word));
        }
        m->ops->free(m);
    }
}

static void loading_survives_every_failed_allocation(void **state)
{
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct vocab *v = words_vocab(TOKENS, ARRAY_LEN(TOKENS));
        struct model *m = NULL;
        if (v) {
            struct unigram_config c = { .vocab = v, .scores = SCORES, .scores_n = ARRAY_LEN(SCORES), .has_unk = true };
            int r = unigram_model_new(&c, &m, NULL);
            assert_true(r == 0 || r == ERR_NOMEM);
            if (r == 0)
                m->ops->free(m);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_most_probable_row_wins),
        cmocka_unit_test(bytes_stand_in_for_unknown_text),
        cmocka_unit_test(an_unknown_character_without_an_unknown_token_is_an_error),
        cmocka_unit_test(every_word_gets_a_row_of_the_best_score),
        cmocka_unit_test(loading_survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
