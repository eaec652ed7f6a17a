/* utf8.c -- what is UTF-8 and what is not */
#include "test.h"

#include "base/utf8.h"

/* The slow, obvious decoder: a code point, or -1. */
static long decode(const unsigned char *p, size_t n)
{
    static const long LEAST[] = { 0, 0, 0x80, 0x800, 0x10000 };
    size_t want = p[0] < 0x80 ? 1 : p[0] >> 5 == 6 ? 2 : p[0] >> 4 == 14 ? 3 : p[0] >> 3 == 30 ? 4 : 0;
    long c = want == 1 ? p[0] : want ? p[0] & (0x7f >> want) : -1;

    if (want == 0 || want > n)
        return -1;
    for (size_t i = 1; i < want; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return -1;
        c = c << 6 | (p[i] & 0x3f);
    }
    return c < LEAST[want] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff) ? -1 : c;
}

static void every_beginning_of_three_bytes_is_judged_as_by_decoding(void **state)
{
    for (unsigned v = 0; v < 1u << 24; v++) {
        unsigned char p[4] = { (unsigned char)(v >> 16), (unsigned char)(v >> 8), (unsigned char)v, 0xbf };

        if (p[0] < 0xc0 && (v & 0xffff))
            continue; /* the rest does not matter */
        if ((utf8_length((struct str){ (char *)p, 4 }) != 0) != (decode(p, 4) >= 0))
            fail_msg("%06x", v);
    }
}

static void a_character_that_is_cut_off_is_none(void **state)
{
    assert_int_equal(utf8_length(STR("\xf0\x9f\x98\x80x")), 4);
    assert_int_equal(utf8_length(STR("\xf0\x9f\x98")), 0);
    assert_int_equal(utf8_length(STR("\xc3")), 0);
    assert_int_equal(utf8_length(STR_NONE), 0);
    assert_true(utf8_valid(STR("a\xc3\xa4\xf0\x9f\x98\x80")));
    assert_true(utf8_valid(STR_NONE));
    assert_false(utf8_valid(STR("a\xc3")));
}

/* Words of ASCII are skipped whole: what stands in front of one, behind it and across its end is looked at all the same. */
static void a_wrong_byte_is_found_at_every_place(void **state)
{
    char text[40];

    (void)state;
    for (size_t at = 0; at + 1 < sizeof text; at++) {
        memset(text, 'a', sizeof text);
        text[at] = (char)0xc3;
        assert_false(utf8_valid((struct str){ text, sizeof text }));
        text[at + 1] = (char)0xa4;
        assert_true(utf8_valid((struct str){ text, sizeof text }));
        assert_false(utf8_valid((struct str){ text, at + 1 }));
    }
}

static void cutting_leaves_characters_whole(void **state)
{
    assert_str(utf8_first(STR("ab"), 5), "ab");
    assert_str(utf8_first(STR("abc"), 2), "ab");
    assert_str(utf8_first(STR("a\xf0\x9f\x98\x80"), 4), "a");
    assert_str(utf8_first(STR("a\xf0\x9f\x98\x80"), 5), "a\xf0\x9f\x98\x80");
    assert_str(utf8_first(STR("\xc3\xa4\xc3\xa4"), 3), "\xc3\xa4");
    assert_int_equal(utf8_first(STR("\x80\x80\x80\x80\x80\x80\x80\x80"), 6).n, 6); /* nothing to keep whole */
    assert_str(utf8_first(STR("\xc3\xa4"), 0), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_beginning_of_three_bytes_is_judged_as_by_decoding),
        cmocka_unit_test(a_character_that_is_cut_off_is_none),
        cmocka_unit_test(a_wrong_byte_is_found_at_every_place),
        cmocka_unit_test(cutting_leaves_characters_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
