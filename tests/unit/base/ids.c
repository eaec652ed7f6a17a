/* ids.c -- the rules of UUIDs */
#include "test.h"

#include "base/clock.h"
#include "base/ids.h"

#include <pthread.h>

static void version_7_has_its_bits_and_the_time(void **state)
{
    uint64_t before = clock_wall_us() / 1000, ms = 0;
    struct uuid id = uuid_v7();

    for (unsigned i = 0; i < 6; i++)
        ms = ms << 8 | id.b[i];
    assert_in_range(ms, before, clock_wall_us() / 1000);
    assert_int_equal(id.b[6] >> 4, 7);
    assert_int_equal(id.b[8] >> 6, 2);
}

#define PER_THREAD 5000

static void *make_many(void *arg)
{
    struct uuid *ids = arg;

    for (unsigned i = 0; i < PER_THREAD; i++)
        ids[i] = uuid_v7();
    return NULL;
}

static void ids_order_as_they_were_made_and_differ_between_threads(void **state)
{
    static struct uuid a[PER_THREAD], b[PER_THREAD];
    pthread_t other;
    size_t i = 0, k = 0;

    assert_int_equal(pthread_create(&other, NULL, make_many, b), 0);
    make_many(a);
    pthread_join(other, NULL);
    for (unsigned n = 1; n < PER_THREAD; n++) {
        assert_true(memcmp(a[n - 1].b, a[n].b, 8) < 0);
        assert_true(memcmp(b[n - 1].b, b[n].b, 8) < 0);
    }
    while (i < PER_THREAD && k < PER_THREAD) {
        int d = memcmp(a[i].b, b[k].b, 8);

        assert_int_not_equal(d, 0);
        if (d < 0)
            i++;
        else
            k++;
    }
}

static void every_spelling_is_the_same_id(void **state)
{
    static const char *const SPELLINGS[] = {
        "0199b1c2-7d10-7a3e-9d52-6a1f0c2b3d4e",          "0199b1c27d107a3e9d526a1f0c2b3d4e",
        "urn:uuid:0199b1c2-7d10-7a3e-9d52-6a1f0c2b3d4e", "{0199b1c2-7d10-7a3e-9d52-6a1f0c2b3d4e}",
        "0199B1C2-7D10-7A3E-9D52-6A1F0C2B3D4E",
    };

    for (size_t i = 0; i < ARRAY_LEN(SPELLINGS); i++) {
        char text[UUID_TEXT_LEN + 1];
        struct uuid id;

        assert_int_equal(uuid_parse(str_of(SPELLINGS[i]), &id, NULL), 0);
        uuid_text(id, text);
        assert_string_equal(text, SPELLINGS[0]);
    }
}

static void the_first_fault_is_explained(void **state)
{
#define CHARACTER "invalid character: expected an optional prefix of `urn:uuid:` followed by [0-9a-fA-F-], found "
    static const struct {
        const char *in, *message;
    } TABLE[] = {
        { "not-a-uuid", CHARACTER "`n` at 1" },
        { "0199\xc3\xa4", CHARACTER "`\xc3\xa4` at 5" },
        { "{0199b1c2-x}", CHARACTER "`x` at 11" },
        { "urn:uuid:z", CHARACTER "`z` at 10" },
        { "", "invalid length: expected length 32 for simple format, found 0" },
        { "0199b1c27d107a3e9d526a1f0c2b3d4", "invalid length: expected length 32 for simple format, found 31" },
        { "{0199b1c27d107a3e9d526a1f0c2b3d4e}", "invalid group count: expected 5, found 1" },
        { "0199b1c2-7d10-7a3e-9d52", "invalid group count: expected 5, found 4" },
        { "0199b1c2-7d10-7a3e-9d52-6a1f-0c2b3d4e", "invalid group count: expected 5, found 6" },
        { "0199b1c-7d10-7a3e-9d52-6a1f0c2b3d4e", "invalid group length in group 0: expected 8, found 7" },
        { "0199b1c2-7d10-7a3e-9d522-6a1f0c2b3d4", "invalid group length in group 3: expected 4, found 5" },
        { "0199b1c2-7d10-7a3e-9d52-6a1f0c2b3d4", "invalid group length in group 4: expected 12, found 11" },
        { "----", "invalid group length in group 0: expected 8, found 0" },
    };

    for (size_t i = 0; i < ARRAY_LEN(TABLE); i++) {
        struct uuid id = { { 7 } };
        struct err err = { 0 };

        assert_int_equal(uuid_parse(str_of(TABLE[i].in), &id, &err), ERR_SYNTAX);
        assert_string_equal(err.message, TABLE[i].message);
        assert_int_equal(id.b[0], 7);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_7_has_its_bits_and_the_time),
        cmocka_unit_test(ids_order_as_they_were_made_and_differ_between_threads),
        cmocka_unit_test(every_spelling_is_the_same_id),
        cmocka_unit_test(the_first_fault_is_explained),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
