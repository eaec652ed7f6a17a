/* blake3.c -- vectors of spec data-plane 6.7 and 6.16; lengths around blocks and chunks are checked against the reference package by test_blake3_oracle.py */
#include "test.h"

#include "routing/blake3.h"

static void positions_are_those_of_the_specification(void **state)
{
    static const struct {
        const char *text;
        uint64_t position;
    } rows[] = {
        { "", 0xa6a1f9f5b94913af },
        { "abc", 0x33514638acb33764 },
        { "http://w1:8000#0", 0x05893f24461a2751 },
        { "http://w2:8000#0", 0x26d5789247a2f0f3 },
        { "user-123", 0x54b3e313138adb57 },
        { "hello world", 0x880c0aa7ef8149d7 },
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_true(blake3_u64(str_of(rows[i].text)) == rows[i].position);
}

static void token_paths_are_hashed_as_little_endian_words(void **state)
{
    static const uint32_t TOKENS[] = { 1, 2, 3 };

    assert_true(blake3_u64((struct str){ (const char *)TOKENS, sizeof TOKENS }) == 0x20cb7c4a90f407df);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(positions_are_those_of_the_specification),
        cmocka_unit_test(token_paths_are_hashed_as_little_endian_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
