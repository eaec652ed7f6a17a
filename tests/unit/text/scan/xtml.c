/* xtml.c -- the tags of XTML, and what is none */
#include <stdlib.h>

#include "test.h"

#include "text/scan/markers.h"
#include "text/scan/xtml.h"

static enum xtml_found read_all(const char *text, int kind, struct xtml_tag *t)
{
    return xtml_read(str_of(text), 0, kind, false, t);
}

static void reads_a_tag_with_blanks_around_its_name(void **state)
{
    struct xtml_tag t;
    assert_int_equal(read_all("<|open|>think<|sep|>x", XTML_OPEN, &t), XTML_YES);
    assert_true(xtml_is(&t, XTML_OPEN, "think") && !xtml_is(&t, XTML_CLOSE, "think") && !xtml_is(&t, XTML_OPEN, "thin"));
    assert_int_equal(t.end, 20);
    assert_int_equal(read_all("<|close|> \t\r\n\v\fthink \n<|sep|>", XTML_CLOSE, &t), XTML_YES);
    assert_true(xtml_is(&t, XTML_CLOSE, "think"));
    assert_int_equal(t.end, 29);
}

static void reads_up_to_the_attributes(void **state)
{
    struct xtml_tag t;
    assert_int_equal(xtml_read(STR("a<|open|>call tool=\"f\"<|sep|>"), 1, XTML_OPEN, true, &t), XTML_YES);
    assert_true(xtml_is(&t, XTML_OPEN, "call"));
    assert_int_equal(t.end, 13);
    assert_int_equal(xtml_read(STR("<|open|>call tool"), 0, XTML_OPEN, false, &t), XTML_NO);
}

static void tells_what_is_no_tag(void **state)
{
    static const char *const NONE[] = { "<|open|>Think<|sep|>", "<|open|><|sep|>", "<|open|>a b<|sep|>", "<|open|>a<|sip|>",
                                        "<|open|>7" };
    struct xtml_tag t;
    for (size_t i = 0; i < ARRAY_LEN(NONE); i++)
        assert_int_equal(read_all(NONE[i], XTML_OPEN, &t), XTML_NO);
}

/* A parser that waits for the rest holds less than a marker's bytes. */
static void waits_for_the_rest_of_a_tag_but_not_for_ever(void **state)
{
    char text[200];
    struct xtml_tag t;
    static const char TAG[] = "<|open|> think <|sep|>";
    for (size_t n = XTML_MARKERS[XTML_OPEN].n; n < sizeof(TAG) - 1; n++)
        assert_int_equal(xtml_read((struct str){ TAG, n }, 0, XTML_OPEN, false, &t), XTML_CUT);
    for (int blanks = 0; blanks < 2; blanks++) {
        memcpy(text, "<|close|>a", 10);
        memset(text + 10, blanks ? ' ' : 'a', sizeof(text) - 10);
        size_t longest = 0;
        for (size_t n = 10; n <= sizeof(text); n++)
            if (xtml_read((struct str){ text, n }, 0, XTML_CLOSE, false, &t) == XTML_CUT)
                longest = n;
        assert_true(longest + XTML_SEP.n < MARKER_MAX);
        assert_int_equal(xtml_read((struct str){ text, sizeof(text) }, 0, XTML_CLOSE, false, &t), XTML_NO);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_tag_with_blanks_around_its_name),
        cmocka_unit_test(reads_up_to_the_attributes),
        cmocka_unit_test(tells_what_is_no_tag),
        cmocka_unit_test(waits_for_the_rest_of_a_tag_but_not_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
