/* test.h -- cmocka with the libc headers that it wants before itself, and what all unit tests share
 *
 * A test file ends in:   int main(void) { const struct CMUnitTest tests[] = { cmocka_unit_test(a_rule_as_a_sentence), ... };
 *                                         return cmocka_run_group_tests(tests, NULL, NULL); }
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/str.h"

/* Compares a struct str with a C string literal and shows both when they differ. */
#define assert_str(s, literal)                                             \
    do {                                                                   \
        struct str got_ = (s);                                             \
        char text_[4096];                                                  \
        size_t n_ = got_.n < sizeof text_ - 1 ? got_.n : sizeof text_ - 1; \
        if (n_)                                                            \
            memcpy(text_, got_.p, n_);                                     \
        text_[n_] = 0;                                                     \
        assert_string_equal(text_, (literal));                             \
        assert_int_equal(got_.n, strlen(literal));                         \
    } while (0)
