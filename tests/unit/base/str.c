/* str.c -- the rules of views of bytes */
#include "test.h"

#include "base/err.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void ascii_case_is_folded_and_nothing_else(void **state)
{
    assert_true(str_eq_nocase(STR("Content-Type"), STR("content-tYPE")));
    assert_false(str_eq_nocase(STR("@"), STR("`"))); /* 0x40 and 0x60 */
    assert_false(str_eq_nocase(STR("\xc3\x84"), STR("\xc3\xa4")));
    assert_true(str_has_prefix_nocase(STR("Bearer x"), STR("bearer ")));
    assert_false(str_has_prefix_nocase(STR("Bea"), STR("bearer ")));
    assert_true(str_eq_nocase(STR_NONE, STR("")));
}

static void a_prefix_sorts_before_what_it_begins(void **state)
{
    assert_true(str_cmp(STR("a"), STR("ab")) < 0);
    assert_true(str_cmp(STR("b"), STR("ab")) > 0);
    assert_true(str_cmp(STR_NONE, STR("")) == 0);
    assert_true(str_cmp(STR("\xff"), STR("a")) > 0);
}

static void finding_gives_the_index_or_npos(void **state)
{
    assert_int_equal(str_find_char(STR("a=b=c"), '='), 1);
    assert_int_equal(str_rfind_char(STR("a=b=c"), '='), 3);
    assert_int_equal(str_find(STR("a=b=c"), STR("=c")), 3);
    assert_int_equal(str_find(STR("abc"), STR("")), 0);
    assert_int_equal(str_find(STR_NONE, STR("x")), STR_NPOS);
    assert_int_equal(str_find_char(STR_NONE, 'x'), STR_NPOS);
    assert_int_equal(str_rfind_char(STR("abc"), 'x'), STR_NPOS);
}

static void trimming_takes_blanks_at_both_ends(void **state)
{
    assert_str(str_trim(STR(" \t a b\r\n")), "a b");
    assert_str(str_trim(STR(" \r\n ")), "");
    assert_str(str_trim(STR_NONE), "");
}

static void splitting_without_a_separator_gives_all_as_head(void **state)
{
    struct str head, tail;

    assert_true(str_split(STR("k=v=w"), '=', &head, &tail));
    assert_str(head, "k");
    assert_str(tail, "v=w");
    assert_false(str_split(STR("kv"), '=', &head, &tail));
    assert_str(head, "kv");
    assert_str(tail, "");
    assert_false(str_split(STR_NONE, '=', &head, &tail));
    assert_true(str_split(STR("="), '=', &head, &tail));
    assert_str(head, "");
    assert_str(tail, "");
}

static void whole_numbers_are_digits_only(void **state)
{
    static const struct {
        struct str in;
        int r;
        uint64_t out;
    } TABLE[] = {
        { STR_INIT("0"), 0, 0 },
        { STR_INIT("0012"), 0, 12 },
        { STR_INIT("18446744073709551615"), 0, UINT64_MAX },
        { STR_INIT("18446744073709551616"), ERR_LIMIT, 0 },
        { STR_INIT("99999999999999999999999"), ERR_LIMIT, 0 },
        { STR_INIT("99999999999999999999999x"), ERR_SYNTAX, 0 },
        { STR_INIT(""), ERR_SYNTAX, 0 },
        { STR_INIT("-1"), ERR_SYNTAX, 0 },
        { STR_INIT("+1"), ERR_SYNTAX, 0 },
        { STR_INIT(" 1"), ERR_SYNTAX, 0 },
        { STR_INIT("1\0"), ERR_SYNTAX, 0 },
    };

    for (size_t i = 0; i < ARRAY_LEN(TABLE); i++) {
        uint64_t v = 77;

        assert_int_equal(str_to_u64(TABLE[i].in, &v), TABLE[i].r);
        assert_int_equal(v, TABLE[i].r ? 77 : TABLE[i].out);
    }
}

static void doubles_are_read_as_the_c_library_reads_them(void **state)
{
    static const char *const TABLE[] = {
        "0",
        "-0",
        "1",
        "0.1",
        "3.14159265358979323846",
        "1e22",
        "1e23",
        "123456789012345678",
        "9007199254740993",
        "2.2250738585072011e-308",
        "4.9e-324",
        "2.4703282292062327e-324",
        "1.7976931348623157e308",
        "+1",
        ".5",
        "5.",
        "1.e3",
        "-1E-5",
        "000000000000000000000000001",
        "0.000000000000000000000000000000000000000000000000123",
        "1e-400",
        "100000000000000000000000000000000e-30",
        "0e999999999999999999999999",
    };

    for (size_t i = 0; i < ARRAY_LEN(TABLE); i++) {
        double v = 77;

        assert_int_equal(str_to_double(str_of(TABLE[i]), &v), 0);
        assert_true(v == strtod(TABLE[i], NULL));
        assert_int_equal(signbit(v) != 0, TABLE[i][0] == '-');
    }
}

static void no_digit_is_lost_however_long_a_double_is(void **state)
{
    char text[2000];
    double v;

    /* just above the middle between 1 and the next double: only the last digit tells */
    int n = snprintf(text, sizeof text, "1.00000000000000011102230246251565404236316680908203125");
    memset(text + n, '0', 1500);
    text[n + 1500] = '1';
    assert_int_equal(str_to_double((struct str){ text, (size_t)n + 1500 }, &v), 0);
    assert_true(v == 1.0);
    assert_int_equal(str_to_double((struct str){ text, (size_t)n + 1501 }, &v), 0);
    assert_true(v == 1.0000000000000002);
}

static void what_is_no_decimal_number_is_refused(void **state)
{
    static const struct str BAD[] = {
        STR_INIT(""),    STR_INIT("-"),   STR_INIT("."),   STR_INIT("e5"),  STR_INIT("1e"),
        STR_INIT("1e+"), STR_INIT("nan"), STR_INIT("inf"), STR_INIT("0x1"), STR_INIT("1 "),
        STR_INIT(" 1"),  STR_INIT("1,5"), STR_INIT("1\0"), STR_INIT("--1"), STR_INIT("1.2.3"),
    };
    double v = 77;

    for (size_t i = 0; i < ARRAY_LEN(BAD); i++)
        assert_int_equal(str_to_double(BAD[i], &v), ERR_SYNTAX);
    assert_int_equal(str_to_double(STR("1e309"), &v), ERR_LIMIT);
    assert_int_equal(str_to_double(STR("-1e99999999999999999999"), &v), ERR_LIMIT);
    assert_true(v == 77);
}

static void random_doubles_survive_printing_and_reading(void **state)
{
    uint64_t bits = 1;

    for (unsigned i = 0; i < 20000; i++) {
        char text[64];
        double v, back;

        bits = bits * 6364136223846793005 + 1442695040888963407;
        memcpy(&v, &bits, sizeof v);
        if (!isfinite(v))
            continue;
        (void)snprintf(text, sizeof text, "%.*g", 1 + (int)(i % 17), v);
        if (!isfinite(strtod(text, NULL)))
            continue;
        assert_int_equal(str_to_double(str_of(text), &back), 0);
        assert_true(back == strtod(text, NULL));
    }
}

static void equal_bytes_hash_equally_and_every_byte_counts(void **state)
{
    char a[70], b[70];

    for (size_t n = 1; n < sizeof a; n++) {
        memset(a, 'x', n);
        memset(b, 'x', n);
        assert_true(str_hash((struct str){ a, n }) == str_hash((struct str){ b, n }));
        assert_true(str_hash((struct str){ a, n }) != str_hash((struct str){ a, n - 1 }));
        for (size_t i = 0; i < n; i++) {
            b[i] ^= 1;
            assert_true(str_hash((struct str){ a, n }) != str_hash((struct str){ b, n }));
            b[i] ^= 1;
        }
    }
    assert_true(str_hash(STR_NONE) == str_hash(STR("")));
}

static void hashes_of_counted_names_spread_over_the_low_bits(void **state)
{
    unsigned seen[1024] = { 0 }, most = 0;

    for (unsigned i = 0; i < 8192; i++) {
        char text[32];
        int n = snprintf(text, sizeof text, "worker-%u", i);
        unsigned *at = &seen[str_hash((struct str){ text, (size_t)n }) % 1024];

        most = MAX(most, ++*at);
    }
    assert_in_range(most, 8, 64); /* 8 on average; the seed differs in every run, and a bad one draws crowds of hundreds */
}

static void a_copy_ends_in_nul(void **state)
{
    char *copy = str_dup(STR("ab")), *empty = str_dup(STR_NONE);

    assert_string_equal(copy, "ab");
    assert_string_equal(empty, "");
    free(copy);
    free(empty);
}

static void secrets_are_equal_only_when_all_bytes_and_the_length_are(void **state)
{
    assert_true(str_eq_secret(STR("s3cret"), STR("s3cret")));
    assert_false(str_eq_secret(STR("s3creT"), STR("s3cret")));
    assert_false(str_eq_secret(STR("s3cre"), STR("s3cret")));
    assert_false(str_eq_secret(STR("s3cret1"), STR("s3cret")));
    assert_false(str_eq_secret(STR("s3cre\0"), STR("s3cre")));
    assert_false(str_eq_secret(STR_NONE, STR("s")));
    assert_true(str_eq_secret(STR_NONE, STR("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ascii_case_is_folded_and_nothing_else),
        cmocka_unit_test(a_prefix_sorts_before_what_it_begins),
        cmocka_unit_test(finding_gives_the_index_or_npos),
        cmocka_unit_test(trimming_takes_blanks_at_both_ends),
        cmocka_unit_test(splitting_without_a_separator_gives_all_as_head),
        cmocka_unit_test(whole_numbers_are_digits_only),
        cmocka_unit_test(doubles_are_read_as_the_c_library_reads_them),
        cmocka_unit_test(no_digit_is_lost_however_long_a_double_is),
        cmocka_unit_test(what_is_no_decimal_number_is_refused),
        cmocka_unit_test(random_doubles_survive_printing_and_reading),
        cmocka_unit_test(equal_bytes_hash_equally_and_every_byte_counts),
        cmocka_unit_test(hashes_of_counted_names_spread_over_the_low_bits),
        cmocka_unit_test(a_copy_ends_in_nul),
        cmocka_unit_test(secrets_are_equal_only_when_all_bytes_and_the_length_are),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
