/* text.c -- what a simulated engine says is words by seed, four bytes each, and cutting never breaks a character */
#include "test.h"

#include <stdlib.h>

#include "mock/text.h"

static struct mock_text one, other;

static void the_same_seed_says_the_same(void **state)
{
    text_init(&one, 7);
    text_init(&other, 7);
    assert_memory_equal(one.ring, other.ring, sizeof(one.ring));
    text_init(&other, 8);
    assert_memory_not_equal(one.ring, other.ring, sizeof(one.ring));
}

static void every_token_is_a_word_of_three_letters_and_a_blank(void **state)
{
    text_init(&one, 0);
    for (size_t i = 0; i < sizeof(one.ring); i += MOCK_TOKEN_BYTES) {
        for (size_t k = 0; k < 3; k++)
            assert_in_range(one.ring[i + k], 'a', 'z');
        assert_int_equal(one.ring[i + 3], ' ');
    }
}

static void a_short_answer_is_a_view_and_a_long_one_goes_round(void **state)
{
    struct arena arena;
    struct str answer, longer;

    text_init(&one, 1);
    arena_init(&arena, NULL, 0);
    answer = text_reply(&one, 42, TEXT_RING, &arena);
    assert_int_equal(arena.used, 0);
    assert_int_equal(answer.n, TEXT_RING * MOCK_TOKEN_BYTES);
    longer = text_reply(&one, 42, 2 * TEXT_RING + 5, &arena);
    assert_int_equal(longer.n, (2 * TEXT_RING + 5) * MOCK_TOKEN_BYTES);
    assert_memory_equal(longer.p, answer.p, answer.n);
    assert_memory_equal(longer.p + answer.n, answer.p, answer.n);
    assert_memory_equal(longer.p + 2 * answer.n, answer.p, 5 * MOCK_TOKEN_BYTES);
    arena_fini(&arena);
}

static void memory_that_is_out_gives_no_text(void **state)
{
    struct arena arena;

    arena_init(&arena, NULL, 100);
    assert_null(text_reply(&one, 42, TEXT_RING + 1, &arena).p);
    assert_true(arena.failed);
    arena_fini(&arena);
}

static void different_keys_say_different_things(void **state)
{
    text_init(&one, 1);
    assert_ptr_not_equal(text_reply(&one, 1, 4, NULL).p, text_reply(&one, 2, 4, NULL).p);
    assert_ptr_equal(text_reply(&one, 1, 4, NULL).p, text_reply(&one, 1, 8, NULL).p);
}

static void a_token_ends_behind_a_whole_character(void **state)
{
    static const struct {
        const char *text;
        size_t end;
    } rows[] = {
        { "abcd", 4 },
        { "abcdef", 4 },
        { "ab", 2 },
        { "abc\xc3\xa4z", 5 },
        { "abc\xe2\x82\xacz", 6 },
        { "abc\xf0\x9f\x98\x80z", 7 },
        { "abc\\nz", 5 },
        { "abc\\u00e4z", 9 },
        { "abc\\ud83d\\ude00z", 15 },
        { "abc\\uD83D\\uDE00z", 15 },
        { "\\u00e4\\u00e4", 6 },
        { "abc\\", 4 },
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(text_token_end(str_of(rows[i].text), 0), rows[i].end);
}

static void counting_agrees_with_cutting(void **state)
{
    struct str text = STR("abc\\u00e4defg\xc3\xa4xyz");
    size_t bytes, tokens = 0;

    for (size_t at = 0; at < text.n; at = text_token_end(text, at))
        tokens++;
    assert_int_equal(text_count(text, SIZE_MAX, &bytes), tokens);
    assert_int_equal(bytes, text.n);
    assert_int_equal(text_count(text, 1, &bytes), 1);
    assert_int_equal(bytes, 9);
    assert_int_equal(text_count(text, 0, &bytes), 0);
    assert_int_equal(text_count(STR_NONE, 5, &bytes), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_seed_says_the_same),
        cmocka_unit_test(every_token_is_a_word_of_three_letters_and_a_blank),
        cmocka_unit_test(a_short_answer_is_a_view_and_a_long_one_goes_round),
        cmocka_unit_test(memory_that_is_out_gives_no_text),
        cmocka_unit_test(different_keys_say_different_things),
        cmocka_unit_test(a_token_ends_behind_a_whole_character),
        cmocka_unit_test(counting_agrees_with_cutting),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
