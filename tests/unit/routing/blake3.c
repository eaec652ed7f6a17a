/* blake3.c -- the hash of the ring, against the official test vectors (input byte i is i % 251) and the spec's positions */
#include <stdio.h>
#include <stdlib.h>

#include "test.h"

#include "routing/blake3.h"

static void expect(size_t n, const char *hex)
{
    char *input = malloc(n + 1), got[2 * BLAKE3_BYTES + 1];
    uint8_t hash[BLAKE3_BYTES];

    for (size_t i = 0; i < n; i++)
        input[i] = (char)(i % 251);
    blake3((struct str){ input, n }, hash);
    for (size_t i = 0; i < sizeof hash; i++)
        snprintf(got + 2 * i, 3, "%02x", hash[i]);
    assert_string_equal(got, hex);
    free(input);
}

static void the_official_vectors_hold(void **state)
{
    expect(0, "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262");
    expect(1, "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213");
    expect(2, "7b7015bb92cf0b318037702a6cdd81dee41224f734684c2c122cd6359cb1ee63");
    expect(63, "e9bc37a594daad83be9470df7f7b3798297c3d834ce80ba85d6e207627b7db7b");
    expect(64, "4eed7141ea4a5cd4b788606bd23f46e212af9cacebacdc7d1f4c6dc7f2511b98");
    expect(65, "de1e5fa0be70df6d2be8fffd0e99ceaa8eb6e8c93a63f2d8d1c30ecb6b263dee");
    expect(1023, "10108970eeda3eb932baac1428c7a2163b0e924c9a9e25b35bba72b28f70bd11");
    expect(1024, "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7");
    expect(1025, "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444");
    expect(2048, "e776b6028c7cd22a4d0ba182a8bf62205d2ef576467e838ed6f2529b85fba24a");
    expect(2049, "5f4d72f40d7a5f82b15ca2b2e44b1de3c2ef86c426c95c1af0b6879522563030");
    expect(3072, "b98cb0ff3623be03326b373de6b9095218513e64f1ee2edd2525c7ad1e5cffd2");
    expect(3073, "7124b49501012f81cc7f11ca069ec9226cecb8a2c850cfe644e327d22d3e1cd3");
    expect(4096, "015094013f57a5277b59d8475c0501042c0b642e531b0a1c8f58d2163229e969");
    expect(4097, "9b4052b38f1c5fc8b1f9ff7ac7b27cd242487b3d890d15c96a1c25b8aa0fb995");
    expect(8192, "aae792484c8efe4f19e2ca7d371d8c467ffb10748d8a5a1ae579948f718a2a63");
    expect(8193, "bab6c09cb8ce8cf459261398d2e7aef35700bf488116ceb94a36d0f5f1b7bc3b");
    expect(31744, "62b6960e1a44bcc1eb1a611a8d6235b6b4b78f32e7abc4fb4c6cdcce94895c47");
    expect(102400, "bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085");
}

static void the_positions_of_the_spec_hold(void **state)
{
    assert_int_equal(blake3_u64(STR("")), 0xa6a1f9f5b94913af);
    assert_int_equal(blake3_u64(STR("abc")), 0x33514638acb33764);
    assert_int_equal(blake3_u64(STR("http://w1:8000#0")), 0x05893f24461a2751);
    assert_int_equal(blake3_u64(STR("http://w2:8000#0")), 0x26d5789247a2f0f3);
    assert_int_equal(blake3_u64(STR("user-123")), 0x54b3e313138adb57);
    assert_int_equal(blake3_u64(STR("hello world")), 0x880c0aa7ef8149d7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_official_vectors_hold),
        cmocka_unit_test(the_positions_of_the_spec_hold),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
