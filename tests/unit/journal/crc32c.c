/* crc32c.c -- the checksum is the standard one, and both ways of computing it agree */
#include "journal/crc32c.h"

#include "base/random.h"
#include "test.h"

static void known_texts_have_their_known_sums(void **state)
{
    char zeros[32] = { 0 }, ones[32];

    memset(ones, 0xFF, sizeof ones);
    assert_int_equal(crc32c(0, "123456789", 9), 0xE3069283);      /* the check value of the catalogue of CRCs */
    assert_int_equal(crc32c(0, zeros, sizeof zeros), 0x8A9136AA); /* RFC 3720 B.4 */
    assert_int_equal(crc32c(0, ones, sizeof ones), 0x62A8AB43);
    assert_int_equal(crc32c(0, NULL, 0), 0);
}

static void both_ways_agree_at_every_length_and_alignment(void **state)
{
    char bytes[300];
    struct random random;

    random_init(&random, 1);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)random_u64(&random);
    for (size_t from = 0; from < 16; from++) {
        for (size_t n = 0; from + n <= sizeof bytes; n++)
            assert_int_equal(crc32c(7, bytes + from, n), crc32c_portable(7, bytes + from, n));
    }
}

static void a_text_may_come_in_two_pieces(void **state)
{
    static const char TEXT[] = "The quick brown fox jumps over the lazy dog";
    uint32_t whole = crc32c(0, TEXT, sizeof TEXT);

    for (size_t cut = 0; cut <= sizeof TEXT; cut++)
        assert_int_equal(crc32c(crc32c(0, TEXT, cut), TEXT + cut, sizeof TEXT - cut), whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_texts_have_their_known_sums),
        cmocka_unit_test(both_ways_agree_at_every_length_and_alignment),
        cmocka_unit_test(a_text_may_come_in_two_pieces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
