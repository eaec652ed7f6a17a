/* the tables of characters: the same answers as the engine's, code point by code point; UTF-8 */
#include "test.h"

#include "text/tokenizer/unicode.h"
#include "unicode_digests.h"

#define FNV_START  UINT64_C(0xcbf29ce484222325)
#define FNV_PRIME  UINT64_C(0x100000001b3)
#define CHARACTERS 0x110000u

static uint64_t digest(bool (*is)(uint32_t c))
{
    uint64_t h = FNV_START;

    for (uint32_t c = 0; c < CHARACTERS; c++)
        h = (h ^ is(c)) * FNV_PRIME;
    return h;
}

static void flags_are_those_of_the_engine(void **state)
{
    assert_int_equal(digest(unicode_is_white_space), DIGEST_WHITE_SPACE);
    assert_int_equal(digest(unicode_is_word), DIGEST_WORD);
    assert_int_equal(digest(unicode_is_han), DIGEST_HAN);
    assert_int_equal(digest(unicode_is_numeric), DIGEST_NUMERIC);
    assert_int_equal(digest(unicode_is_punctuation), DIGEST_PUNCTUATION);
    assert_int_equal(digest(unicode_is_mark), DIGEST_MARK);
    assert_int_equal(digest(unicode_is_mark_nonspacing), DIGEST_MARK_NONSPACING);
    assert_int_equal(digest(unicode_is_other), DIGEST_OTHER);
}

static void categories_scripts_and_lower_case_are_those_of_the_engine(void **state)
{
    uint64_t category = FNV_START, script = FNV_START, lower = FNV_START;

    for (uint32_t c = 0; c < CHARACTERS; c++) {
        uint32_t to[3];
        category = (category ^ unicode_category(c)) * FNV_PRIME;
        script = (script ^ unicode_script(c)) * FNV_PRIME;
        size_t n = unicode_lower(c, to);
        for (size_t i = 0; i < n; i++)
            lower = (lower ^ to[i]) * FNV_PRIME;
    }
    assert_int_equal(category, DIGEST_CATEGORY);
    assert_int_equal(script, DIGEST_SCRIPT);
    assert_int_equal(lower, DIGEST_LOWER);
}

static void known_characters(void **state)
{
    uint32_t to[3];

    assert_int_equal(unicode_category('A'), UNICODE_LU);
    assert_int_equal(unicode_category(0x1C89), UNICODE_LU); /* since 16.0 */
    assert_int_equal(unicode_category(0xD800), UNICODE_CS);
    assert_int_equal(unicode_category(0x110000), UNICODE_CN);
    assert_true(unicode_is_white_space(0x85));
    assert_false(unicode_is_white_space(0x180E));
    assert_true(unicode_is_word(0x200D));
    assert_true(unicode_is_numeric(0x11DE0)); /* since 17.0 */
    assert_int_equal(unicode_category(0x11DE0), UNICODE_CN);
    assert_int_equal(unicode_script(0x3042), unicode_script(0x4E2D));
    assert_int_equal(unicode_script(' '), 0);
    assert_int_equal(unicode_lower(0x130, to), 2);
    assert_int_equal(to[0], 'i');
    assert_int_equal(to[1], 0x307);
}

static void every_character_is_written_and_read(void **state)
{
    for (uint32_t c = 0; c < CHARACTERS; c++) {
        char text[4];
        size_t read, n;
        if (c >= 0xD800 && c < 0xE000)
            continue;
        n = unicode_write(text, c);
        assert_int_equal(unicode_read(text, n, &read), c);
        assert_int_equal(read, n);
        for (size_t cut = 1; cut < n; cut++) { /* a prefix is one mistake */
            assert_int_equal(unicode_read(text, cut, &read), 0xFFFD);
            assert_int_equal(read, cut);
        }
    }
}

static void each_maximal_invalid_prefix_is_one_replacement(void **state)
{
    static const struct {
        const char *text;
        size_t n, length;
    } BAD[] = {
        { "\x80", 1, 1 },
        { "\xC0\x80", 2, 1 },
        { "\xC1\xBF", 2, 1 },
        { "\xE0\x9F\xBF", 3, 1 },
        { "\xED\xA0\x80", 3, 1 },
        { "\xF0\x8F\xBF\xBF", 4, 1 },
        { "\xF4\x90\x80\x80", 4, 1 },
        { "\xF5\x80\x80\x80", 4, 1 },
        { "\xE2\x82"
          "a",
          3, 2 },
        { "\xF0\x9F\x99"
          "a",
          4, 3 },
        { "\xF0\x9F"
          "\xFF",
          3, 2 },
        { "\xC3"
          "a",
          2, 1 },
    };

    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        size_t n;
        assert_int_equal(unicode_read(BAD[i].text, BAD[i].n, &n), 0xFFFD);
        assert_int_equal(n, BAD[i].length);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flags_are_those_of_the_engine),
        cmocka_unit_test(categories_scripts_and_lower_case_are_those_of_the_engine),
        cmocka_unit_test(known_characters),
        cmocka_unit_test(every_character_is_written_and_read),
        cmocka_unit_test(each_maximal_invalid_prefix_is_one_replacement),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
