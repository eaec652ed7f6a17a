/* Bytes that are not UTF-8 become U+FFFD, one per maximal invalid prefix, as Python's bytes.decode(errors="replace") does */
#include "test.h"

#include "base/utf8.h"
#include "text/tokenizer/valid_text.h"

#include <stdlib.h>

#define R "\xef\xbf\xbd"

static void becomes(struct str in, const char *want)
{
    struct buf work = { 0 };
    struct str got;

    assert_int_equal(valid_text(in, &work, &got), 0);
    assert_str(got, want);
    buf_fini(&work);
}

static void valid_text_is_not_copied(void **state)
{
    struct str in = STR("abc \u00e9 \u4f60 \U0001f642");
    struct buf work = { 0 };
    struct str got;

    assert_int_equal(valid_text(in, &work, &got), 0);
    assert_ptr_equal(got.p, in.p);
    assert_null(work.p);
    assert_int_equal(valid_text(STR(""), &work, &got), 0);
    assert_int_equal(got.n, 0);
}

static void each_maximal_invalid_prefix_is_one_replacement(void **state)
{
    becomes(STR("\x80"), R);
    becomes(STR("a\xffz"), "a" R "z");
    becomes(STR("\xe4\xbd"), R);
    becomes(STR("\xe4\xbd!"), R "!");
    becomes(STR("\xf0\x9f\x99"), R);
    becomes(STR("\xed\xa0\x80"), R R R); /* a surrogate */
    becomes(STR("\xc0\xaf"), R R);       /* overlong */
    becomes(STR("\xe0\x80\x80"), R R R);
    becomes(STR("\xf0\x80\x80\x80"), R R R R);
    becomes(STR("\xf4\x90\x80\x80"), R R R R);
    becomes(STR("\xf1\x80\x80\xe1\x80\xc2\x62\x80\x63\x80\xbf\x64"), R R R "b" R "c" R R "d"); /* table 3-8 of Unicode */
}

static void agrees_with_the_slow_check(void **state)
{
    static const uint8_t BYTES[] = { 'a',  0x80, 0xa0, 0xbf, 0x9f, 0x8f, 0x90, 0xc2, 0xdf,
                                     0xe0, 0xe4, 0xed, 0xef, 0xf0, 0xf4, 0xf5, 0xc1 };
    unsigned seed = 3;

    for (int round = 0; round < 200000; round++) {
        char text[90];
        size_t n = (size_t)rand_r(&seed) % 10, ascii = (size_t)rand_r(&seed) % 80;
        memset(text, 'x', ascii);
        for (size_t i = 0; i < n; i++)
            text[ascii + i] = (char)BYTES[(size_t)rand_r(&seed) % sizeof(BYTES)];
        struct str s = { text, ascii + n };
        assert_int_equal(valid_prefix(s) == s.n, utf8_valid(s));
        assert_true(utf8_valid(str_first(s, valid_prefix(s))));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid_text_is_not_copied),
        cmocka_unit_test(each_maximal_invalid_prefix_is_one_replacement),
        cmocka_unit_test(agrees_with_the_slow_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
