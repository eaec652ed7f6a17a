/* The stop matcher: which string counts, what is held back, and the same for every way of cutting the text */
#include "test.h"

#include <stdlib.h>

#include "fail_alloc.h"

#include "text/scan/stop_matcher.h"

static struct stop_matcher *matcher(const struct str *strings, size_t n)
{
    struct stop_matcher *m = NULL;
    assert_int_equal(stop_matcher_new(strings, n, &m), 0);
    return m;
}

static void the_match_that_ends_first_wins(void **state)
{
    struct str strings[] = { STR("abcd"), STR("bc") };
    struct stop_matcher *m = matcher(strings, 2);
    uint32_t at = 0;
    size_t end = 0;
    assert_int_equal(stop_matcher_feed(m, &at, STR("xabcd"), &end), 1);
    assert_int_equal(end, 4);
    assert_int_equal(at, 0);
    assert_true(str_eq(stop_matcher_string(m, 1), STR("bc")));
    stop_matcher_free(m);
}

static void of_matches_that_end_together_the_longest_wins(void **state)
{
    struct str strings[] = { STR("c"), STR("bc"), STR("abc") };
    struct stop_matcher *m = matcher(strings, 3);
    uint32_t at = 0;
    size_t end = 0;
    assert_int_equal(stop_matcher_feed(m, &at, STR("abc"), &end), 2);
    assert_int_equal(end, 3);
    at = 0;
    assert_int_equal(stop_matcher_feed(m, &at, STR("xbc"), &end), 1);
    at = 0;
    assert_int_equal(stop_matcher_feed(m, &at, STR("xxc"), &end), 0);
    stop_matcher_free(m);
}

static void only_the_beginning_of_a_string_is_pending(void **state)
{
    struct str strings[] = { STR("<|im_end|>"), STR("aab") };
    struct stop_matcher *m = matcher(strings, 2);
    uint32_t at = 0;
    size_t end = 77;
    assert_int_equal(stop_matcher_feed(m, &at, STR("Hello world"), &end), -1);
    assert_int_equal(stop_matcher_pending(m, at), 0);
    assert_int_equal(stop_matcher_feed(m, &at, STR(" <|im_"), &end), -1);
    assert_int_equal(stop_matcher_pending(m, at), 5);
    assert_int_equal(stop_matcher_feed(m, &at, STR("aa"), &end), -1);
    assert_int_equal(stop_matcher_pending(m, at), 2);
    assert_int_equal(stop_matcher_feed(m, &at, STR("a"), &end), -1);
    assert_int_equal(stop_matcher_pending(m, at), 2);
    assert_int_equal(end, 77);
    assert_int_equal(stop_matcher_feed(m, &at, STR("b"), &end), 1);
    assert_int_equal(end, 1);
    stop_matcher_free(m);
}

static void without_strings_nothing_matches_and_nothing_is_pending(void **state)
{
    struct str strings[] = { STR(""), STR_NONE };
    struct stop_matcher *m = matcher(strings, 2);
    uint32_t at = 0;
    size_t end = 0;
    assert_int_equal(stop_matcher_feed(m, &at, STR("any text \xff\x00 at all"), &end), -1);
    assert_int_equal(stop_matcher_pending(m, at), 0);
    stop_matcher_free(m);
    m = matcher(NULL, 0);
    at = 0;
    assert_int_equal(stop_matcher_feed(m, &at, STR("x"), &end), -1);
    stop_matcher_free(m);
    stop_matcher_free(NULL);
}

static void of_two_equal_strings_the_first_is_named(void **state)
{
    struct str strings[] = { STR(""), STR("ab"), STR("ab") };
    struct stop_matcher *m = matcher(strings, 3);
    uint32_t at = 0;
    size_t end = 0;
    assert_int_equal(stop_matcher_feed(m, &at, STR("ab"), &end), 1);
    stop_matcher_free(m);
}

static void every_byte_may_be_part_of_a_string(void **state)
{
    char bytes[256];
    for (size_t i = 0; i < 256; i++)
        bytes[i] = (char)i;
    struct str strings[] = { { bytes, 256 } };
    struct stop_matcher *m = matcher(strings, 1);
    uint32_t at = 0;
    size_t end = 0;
    assert_int_equal(stop_matcher_feed(m, &at, (struct str){ bytes, 255 }, &end), -1);
    assert_int_equal(stop_matcher_pending(m, at), 255);
    assert_int_equal(stop_matcher_feed(m, &at, (struct str){ bytes + 255, 1 }, &end), 0);
    stop_matcher_free(m);
}

static void strings_that_make_too_large_a_table_are_refused(void **state)
{
    size_t n = (size_t)1 << 20;
    char *long_text = malloc(n);
    assert_non_null(long_text);
    memset(long_text, 'a', n);
    struct str strings[] = { { long_text, n }, { long_text, n } };
    struct stop_matcher *m = NULL;
    assert_int_equal(stop_matcher_new(strings, 1, &m), ERR_LIMIT);
    assert_int_equal(stop_matcher_new(strings, 2, &m), ERR_LIMIT);
    assert_null(m);
    free(long_text);
}

/* What is right by looking at the whole text: of all places where a string ends the first, of those the longest string. */
static int naive(const struct str *strings, size_t n, struct str text, size_t *ret_end)
{
    for (size_t end = 1; end <= text.n; end++) {
        int best = -1;
        for (size_t i = 0; i < n; i++)
            if (strings[i].n && strings[i].n <= end && !memcmp(text.p + end - strings[i].n, strings[i].p, strings[i].n) &&
                (best < 0 || strings[i].n > strings[best].n))
                best = (int)i;
        if (best >= 0) {
            *ret_end = end;
            return best;
        }
    }
    return -1;
}

static size_t naive_pending(const struct str *strings, size_t n, struct str text)
{
    size_t best = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 1; k < strings[i].n && k <= text.n; k++)
            if (k > best && !memcmp(text.p + text.n - k, strings[i].p, k))
                best = k;
    return best;
}

static unsigned random_below(uint64_t *seed, unsigned n)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(*seed >> 33) % n;
}

static void every_chunking_finds_what_a_search_of_the_whole_text_finds(void **state)
{
    uint64_t seed = 5;
    for (int round = 0; round < 4000; round++) {
        char bytes[5][8], text[40];
        struct str strings[5];
        size_t n = 1 + random_below(&seed, 5);
        for (size_t i = 0; i < n; i++) {
            strings[i] = (struct str){ bytes[i], random_below(&seed, 7) };
            for (size_t j = 0; j < strings[i].n; j++)
                bytes[i][j] = (char)('a' + random_below(&seed, 3));
        }
        size_t text_n = random_below(&seed, sizeof(text));
        for (size_t j = 0; j < text_n; j++)
            text[j] = (char)('a' + random_below(&seed, 4));
        struct stop_matcher *m = matcher(strings, n);
        size_t want_end = 0, fed = 0, end = 0;
        int want = naive(strings, n, (struct str){ text, text_n }, &want_end), got = -1;
        uint32_t at = 0;
        while (got < 0 && fed < text_n) {
            size_t piece = random_below(&seed, (unsigned)(text_n - fed) + 1);
            got = stop_matcher_feed(m, &at, (struct str){ text + fed, piece }, &end);
            if (got >= 0) {
                assert_int_equal(fed + end, want_end);
                break;
            }
            fed += piece;
            assert_int_equal(stop_matcher_pending(m, at), naive_pending(strings, n, (struct str){ text, fed }));
        }
        assert_int_equal(got, want);
        stop_matcher_free(m);
    }
}

static void it_fails_cleanly_without_memory(void **state)
{
    struct str strings[] = { STR("stop"), STR("top") };
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct stop_matcher *m = NULL;
        int rc = stop_matcher_new(strings, 2, &m);
        assert_int_equal(rc, fail_alloc_failed() ? ERR_NOMEM : 0);
        assert_true((rc == 0) == (m != NULL));
        stop_matcher_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_match_that_ends_first_wins),
        cmocka_unit_test(of_matches_that_end_together_the_longest_wins),
        cmocka_unit_test(only_the_beginning_of_a_string_is_pending),
        cmocka_unit_test(without_strings_nothing_matches_and_nothing_is_pending),
        cmocka_unit_test(of_two_equal_strings_the_first_is_named),
        cmocka_unit_test(every_byte_may_be_part_of_a_string),
        cmocka_unit_test(strings_that_make_too_large_a_table_are_refused),
        cmocka_unit_test(every_chunking_finds_what_a_search_of_the_whole_text_finds),
        cmocka_unit_test(it_fails_cleanly_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
