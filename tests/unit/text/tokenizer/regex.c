/* regex_translate, regex_class, regex.c: what the translation says, what it refuses, and that every search ends (agreement with Oniguruma: tests/integration/test_tokenizer_components.py) */
#include "test.h"

#include <stdlib.h>
#include <time.h>

#include "../../fail_alloc.h"

#include "text/tokenizer/regex.h"

/* The matches of PATTERN in TEXT, joined with |; "!" = gave up. */
static struct buf found;
static const char *matches(const char *pattern, struct str text)
{
    struct regex *r;
    struct regex_work *w;
    struct err err = { 0 };
    if (regex_new(str_of(pattern), &r, &err) < 0)
        return strcpy(found.p, err.message);
    assert_int_equal(regex_work_new(&w), 0);
    regex_work_begin(w, text.n);
    struct regex_scan s = regex_scan(r, w, text);
    size_t from, to;
    int n;
    buf_clear(&found);
    while ((n = regex_next(&s, &from, &to, &err)) == 1)
        buf_printf(&found, "%.*s|", (int)(to - from), text.p + from);
    if (n < 0) {
        assert_int_equal(n, ERR_LIMIT);
        buf_puts(&found, "!");
    }
    buf_put_char(&found, 0);
    regex_work_free(w);
    regex_free(r);
    return found.p;
}

static void assert_translation(const char *in, const char *out)
{
    struct buf b = { 0 };
    struct err err = { 0 };
    if (regex_translate(str_of(in), &b, &err) < 0)
        fail_msg("%s: %s", in, err.message);
    assert_str(buf_str(&b), out);
    buf_fini(&b);
}

static void an_interval_with_a_plus_repeats_and_is_not_possessive(void **state)
{
    assert_translation("a{1,3}+", "(?:a{1,3})+");
    assert_translation("a{2}?", "(?:a{2,2})?");
    assert_translation("a{,3}", "a{0,3}");
    assert_translation("a{3,1}", "a{1,3}+");
    assert_translation("a++b*+c?+", "a++b*+c?+");
    assert_translation("a**", "(?:a*)*");
    assert_translation("a{x", "a\\x{7b}x");
    assert_string_equal(matches("[0-9]{1,3}+", STR("1234567 12")), "1234567|12|");
}

static void options_in_the_middle_hold_for_the_alternatives_behind_them(void **state)
{
    assert_translation("a(?i)b|c", "a(?i:b|c)");
    assert_translation("(?m:.).", "(?-i:(?s:.))[^\\x{a}]");
    assert_string_equal(matches("a(?i)b|c", STR("aB C aC")), "aB|aC|");
}

static void white_space_is_what_unicode_says(void **state)
{
    assert_string_equal(matches("\\s", STR("a\xc2\x85"
                                           "b\xc2\xa0"
                                           "c\xe2\x80\x8b"
                                           "d")),
                        "\xc2\x85|\xc2\xa0|");
}

static void a_long_s_is_an_s_without_case(void **state)
{
    assert_string_equal(matches("(?i:'s|'t)", STR("'\xc5\xbf 'T 'x")), "'\xc5\xbf|'T|");
}

static void sets_intersect_nest_and_negate(void **state)
{
    assert_string_equal(matches("[\\p{L}&&[^\\p{Han}]]+", STR("ab\xe4\xb8\xad"
                                                              "cd1")),
                        "ab|cd|");
    assert_string_equal(matches("[a-z&&[^aeiou]&&[^x]]+", STR("abcxyz")), "bc|yz|");
    assert_string_equal(matches("[^a-z&&[^e]]+", STR("abe12")), "e12|");
    assert_string_equal(matches("[]a]+", STR("x]a]")), "]a]|");
    assert_string_equal(matches("[a[0-9]]+", STR("a1b2")), "a1|2|");
}

static void code_points_newer_than_pcre2_have_their_properties(void **state)
{
    assert_string_equal(matches("\\p{L}+", STR("a\xe1\xb2\x8a"
                                               "b")),
                        "a\xe1\xb2\x8a"
                        "b|"); /* U+1C8A, Unicode 16 */
    assert_string_equal(matches("\\p{Cn}", STR("\xe1\xb2\x8a\xcd\xb8")), "\xcd\xb8|");
}

static void an_empty_match_does_not_follow_a_match(void **state)
{
    assert_string_equal(matches("b*", STR("abca")), "|b|||");
    assert_string_equal(matches("", STR("\xc3\xa9")), "||");
}

static void what_cannot_be_said_is_refused_by_name(void **state)
{
    static const struct {
        const char *pattern;
        int code;
        const char *word;
    } ROWS[] = {
        { "(?~a)", ERR_UNSUPPORTED, "absent" },
        { "\\g<a>", ERR_UNSUPPORTED, "\\g" },
        { "\\X", ERR_UNSUPPORTED, "\\X" },
        { "(?(a)b)", ERR_UNSUPPORTED, "(?(" },
        { "(*FAIL)", ERR_UNSUPPORTED, "(*" },
        { "(?W:a)", ERR_UNSUPPORTED, "options" },
        { "\\p{Nope}", ERR_UNSUPPORTED, "\\p" },
        { "(?i:ss)", ERR_UNSUPPORTED, "(?i)" },
        { "(?i:\xc3\x9f)", ERR_UNSUPPORTED, "(?i)" },
        { "(?<=a+)b", ERR_UNSUPPORTED, "lookbehind" },
        { "(", ERR_SYNTAX, "( without" },
        { ")", ERR_SYNTAX, ") without" },
        { "[a", ERR_SYNTAX, "[ without" },
        { "[^]", ERR_SYNTAX, "empty" },
        { "[b-a]", ERR_SYNTAX, "empty range" },
        { "[a-\\d]", ERR_SYNTAX, "end of a range" },
        { "[\\w-a]", ERR_SYNTAX, "start of a range" },
        { "*a", ERR_SYNTAX, "nothing before" },
        { "a\\", ERR_SYNTAX, "backslash" },
        { "\\1", ERR_SYNTAX, "no group" },
        { "a{70000}", ERR_LIMIT, "65535" },
        { "(?<=a)*", ERR_UNSUPPORTED, "without width" },
        { "\\u12", ERR_SYNTAX, "four" },
        { "\\x{110000}", ERR_SYNTAX, "no Unicode" },
    };
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(*ROWS); i++) {
        struct regex *r = NULL;
        struct err err = { 0 };
        int code = regex_new(str_of(ROWS[i].pattern), &r, &err);
        if (code != ROWS[i].code || !strstr(err.message, ROWS[i].word))
            fail_msg("%s: %d %s", ROWS[i].pattern, code, err.message);
    }
}

static struct str many(const char *unit, size_t n, struct buf *b)
{
    for (size_t i = 0; i < n; i++)
        buf_put(b, str_of(unit));
    return buf_str(b);
}

static void too_long_and_too_deep_patterns_are_refused(void **state)
{
    struct buf b = { 0 };
    struct regex *r;
    struct err err;
    many("a", REGEX_PATTERN_MAX + 1, &b);
    assert_int_equal(regex_new(buf_str(&b), &r, &err), ERR_LIMIT);
    buf_clear(&b);
    many("(", 5000, &b);
    assert_int_equal(regex_new(buf_str(&b), &r, &err), ERR_LIMIT);
    buf_clear(&b);
    many("[", 5000, &b);
    assert_int_equal(regex_new(buf_str(&b), &r, &err), ERR_LIMIT);
    buf_clear(&b);
    buf_puts(&b, "a");
    many("{60000}", 8, &b);
    assert_true(regex_new(buf_str(&b), &r, &err) < 0);
    buf_fini(&b);
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void catastrophic_regexes_end_with_a_limit(void **state)
{
    static const char *const PATTERNS[] = { "(a+)+[bc]", "(?:a|a)*[bc]", "(?:a*)*[bc]", "(.*)*\\1[xy]", "a*a*a*a*a*[bc]", "(?=(a+)+[bc])" };
    struct buf b = { 0 };
    struct str text = many("a", 200000, &b);
    for (size_t i = 0; i < sizeof(PATTERNS) / sizeof(*PATTERNS); i++) {
        double begin = seconds();
        const char *got = matches(PATTERNS[i], text);
        if (!strchr(got, '!'))
            fail_msg("%s: %.60s", PATTERNS[i], got);
        assert_true(seconds() - begin < 30); /* one or two, but for sanitizers */
    }
    buf_fini(&b);
}

static void a_long_run_of_an_ordinary_group_is_no_catastrophe(void **state)
{
    struct buf b = { 0 };
    struct str text = many("a\xcc\x81", 100000, &b);
    const char *got = matches("(?:\\p{L}\\p{M}*)+", text);
    assert_int_equal(strlen(got), text.n + 1);
    buf_fini(&b);
}

static void a_literal_is_found_wherever_it_is(void **state)
{
    struct regex *r;
    size_t from, to;
    assert_int_equal(regex_new_literal(STR(".*"), &r), 0);
    struct regex_scan s = regex_scan(r, NULL, STR("a.*b.*"));
    assert_int_equal(regex_next(&s, &from, &to, NULL), 1);
    assert_int_equal(from, 1);
    assert_int_equal(to, 3);
    assert_int_equal(regex_next(&s, &from, &to, NULL), 1);
    assert_int_equal(regex_next(&s, &from, &to, NULL), 0);
    assert_true(regex_memory(r) > 0);
    regex_free(r);
}

static void memory_may_run_out_anywhere(void **state)
{
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct regex *r = NULL;
        struct regex_work *w = NULL;
        struct err err = { 0 };
        int code = regex_new(STR("[\\p{L}&&[^\\P{Lu}x]]+|(a)\\b"), &r, &err);
        assert_true(code == 0 || code == ERR_NOMEM);
        if (code == 0 && regex_work_new(&w) == 0) {
            size_t from, to;
            regex_work_begin(w, 3);
            struct regex_scan s = regex_scan(r, w, STR("ABa"));
            code = regex_next(&s, &from, &to, &err);
            assert_true(code == 1 || code == ERR_NOMEM);
        }
        regex_work_free(w);
        regex_free(r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_interval_with_a_plus_repeats_and_is_not_possessive),
        cmocka_unit_test(options_in_the_middle_hold_for_the_alternatives_behind_them),
        cmocka_unit_test(white_space_is_what_unicode_says),
        cmocka_unit_test(a_long_s_is_an_s_without_case),
        cmocka_unit_test(sets_intersect_nest_and_negate),
        cmocka_unit_test(code_points_newer_than_pcre2_have_their_properties),
        cmocka_unit_test(an_empty_match_does_not_follow_a_match),
        cmocka_unit_test(what_cannot_be_said_is_refused_by_name),
        cmocka_unit_test(too_long_and_too_deep_patterns_are_refused),
        cmocka_unit_test(catastrophic_regexes_end_with_a_limit),
        cmocka_unit_test(a_long_run_of_an_ordinary_group_is_no_catastrophe),
        cmocka_unit_test(a_literal_is_found_wherever_it_is),
        cmocka_unit_test(memory_may_run_out_anywhere),
    };
    if (!buf_reserve(&found, ERR_MESSAGE_MAX))
        return 1;
    int r = cmocka_run_group_tests(tests, NULL, NULL);
    buf_fini(&found);
    return r;
}
