/* option_value.c -- what each type of option accepts */
#include "parsed.h"

union member {
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;
    int32_t i32;
    int64_t i64;
    double f64;
};

struct row {
    enum option_type type;
    const char *in;
    double out;          /* when problem is NULL */
    const char *problem; /* part of the message */
    double min, max;
};

static const char WHOLE[] = "a whole number is expected", BYTES[] = "K, M, G or T behind it";

static const struct row ROWS[] = {
    { OPT_U16, "0", 0 },
    { OPT_U16, "65535", 65535 },
    { OPT_U16, "007", 7 },
    { OPT_U16, "65536", 0, "not in 0..=65535" },
    { OPT_U16, "70000", 0, "invalid value '70000' for '--x <N>': not in 0..=65535" },
    { OPT_U16, "-1", 0, WHOLE },
    { OPT_U16, "+1", 0, WHOLE },
    { OPT_U16, "", 0, WHOLE },
    { OPT_U16, "1 ", 0, WHOLE },
    { OPT_U16, "0x10", 0, WHOLE },
    { OPT_U16, "99999999999999999999999", 0, "not in 0..=65535" },
    { OPT_U32, "4294967295", 4294967295.0 },
    { OPT_U32, "4294967296", 0, "not in 0..=4294967295" },
    { OPT_U32, "5", 5, NULL, 5, 6 },
    { OPT_U32, "4", 0, "not in 5..=6", 5, 6 },
    { OPT_U32, "7", 0, "not in 5..=6", 5, 6 },
    { OPT_U64, "18446744073709551615", 18446744073709551615.0 },
    { OPT_U64, "18446744073709551616", 0, "not in 0..=18446744073709551615" },
    { OPT_I32, "-2147483648", -2147483648.0 },
    { OPT_I32, "2147483647", 2147483647 },
    { OPT_I32, "-2147483649", 0, "not in -2147483648..=2147483647" },
    { OPT_I32, "2147483648", 0, "not in -2147483648..=2147483647" },
    { OPT_I32, "-0", 0 },
    { OPT_I32, "-", 0, WHOLE },
    { OPT_I32, "--1", 0, WHOLE },
    { OPT_I32, "-3", 0, "not in -2..=2", -2, 2 },
    { OPT_I32, "-2", -2, NULL, -2, 2 },
    { OPT_I64, "-9223372036854775808", -9223372036854775808.0 },
    { OPT_I64, "-9223372036854775809", 0, "not in -9223372036854775808..=9223372036854775807" },
    { OPT_I64, "9223372036854775808", 0, "not in" },
    { OPT_F64, "0.3", 0.3 },
    { OPT_F64, "-1.5e3", -1500 },
    { OPT_F64, "nan", 0, "a number is expected" },
    { OPT_F64, "inf", 0, "a number is expected" },
    { OPT_F64, "1,5", 0, "a number is expected" },
    { OPT_F64, "1e999", 0, "a number is expected" },
    { OPT_F64, "1.1", 0, "not in 0..=1", 0, 1 },
    { OPT_BYTES, "536870912", 536870912 },
    { OPT_BYTES, "512M", 536870912 },
    { OPT_BYTES, "512m", 536870912 },
    { OPT_BYTES, "512MiB", 536870912 },
    { OPT_BYTES, "512MB", 536870912 },
    { OPT_BYTES, "1K", 1024 },
    { OPT_BYTES, "2G", 2147483648.0 },
    { OPT_BYTES, "1T", 1099511627776.0 },
    { OPT_BYTES, "7B", 7 },
    { OPT_BYTES, "16777215T", 16777215.0 * 1099511627776.0 },
    { OPT_BYTES, "16777216T", 0, "not in 0..=18446744073709551615" },
    { OPT_BYTES, "1.5G", 0, BYTES },
    { OPT_BYTES, "M", 0, BYTES },
    { OPT_BYTES, "1iB", 0, BYTES },
    { OPT_BYTES, "1MM", 0, BYTES },
    { OPT_BYTES, "-1M", 0, BYTES },
    { OPT_BYTES, "", 0, BYTES },
};

static double number_of(enum option_type type, const union member *m)
{
    switch (type) {
    case OPT_U16:
        return m->u16;
    case OPT_U32:
        return m->u32;
    case OPT_I32:
        return m->i32;
    case OPT_I64:
        return (double)m->i64;
    case OPT_F64:
        return m->f64;
    default:
        return (double)m->u64;
    }
}

static void numbers_are_read_whole_and_within_their_bounds(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        const struct row *row = &ROWS[i];
        const struct option option = {
            .name = "--x", .type = row->type, .min = row->min, .max = row->max, .value = "N", .help = "h"
        };
        const struct option_table table = { .command = "x", .summary = "X.", .options = &option, .options_n = 1 };
        _cleanup_(parsed_fini) struct parsed p;
        char text[64];
        union member m;

        (void)snprintf(text, sizeof text, "--x=%s", row->in);
        PARSE(&p, &table, &m, NULL, text);
        if (row->problem) {
            assert_refused(&p, 2, row->problem);
            continue;
        }
        if (p.result != 0 || number_of(row->type, &m) != row->out)
            fail_msg("row %zu: \"%s\"", i, row->in);
    }
}

static void an_empty_path_is_refused_an_empty_text_is_a_text(void **state)
{
    const struct option rows[] = { { .name = "--path", .type = OPT_PATH, .at = 0, .help = "h" },
                                   { .name = "--text", .type = OPT_STR, .at = sizeof(struct str), .help = "h" } };
    const struct option_table table = { .command = "x", .summary = "X.", .options = rows, .options_n = 2 };
    _cleanup_(parsed_fini) struct parsed p, q;
    struct str out[2];

    PARSE(&p, &table, &out, NULL, "--path=");
    assert_refused(&p, 2, "a path is expected");
    PARSE(&q, &table, &out, NULL, "--text", "");
    assert_accepted(&q);
    assert_non_null(out[1].p);
    assert_int_equal(out[1].n, 0);
}

static void words_are_separated_by_any_white_space(void **state)
{
    struct str list = STR("  a\tbc \n d"), word;

    assert_true(option_next_word(&list, &word));
    assert_str(word, "a");
    assert_true(option_next_word(&list, &word));
    assert_str(word, "bc");
    assert_true(option_next_word(&list, &word));
    assert_str(word, "d");
    assert_false(option_next_word(&list, &word));
    assert_str(word, "d");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_read_whole_and_within_their_bounds),
        cmocka_unit_test(an_empty_path_is_refused_an_empty_text_is_a_text),
        cmocka_unit_test(words_are_separated_by_any_white_space),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
