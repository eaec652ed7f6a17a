/* hash_ring.c -- which worker a key belongs to (spec data-plane 6.7 and its vectors) */
#include "herd.h"

#include "fail_alloc.h"

#include "routing/blake3.h"
#include "routing/hash_ring.h"

static struct hash_ring *ring_of(size_t n, const struct hash_ring *old)
{
    struct hash_ring *r = hash_ring_new(old, herd.all, n);

    assert_non_null(r);
    assert_int_equal(r->n, n * HASH_RING_NODES);
    return r;
}

static size_t owner(const struct hash_ring *r, const char *key, uint64_t mask)
{
    const struct worker *cand[3];
    size_t n = 0;
    int at, slow;

    for (size_t i = 0; i < 3; i++)
        if (mask >> i & 1)
            cand[n++] = herd.all[i];
    at = hash_ring_find(r, blake3_u64(str_of(key)), cand, n);
    slow = hash_ring_find_slowly(blake3_u64(str_of(key)), cand, n);
    assert_int_equal(at, slow);
    return at < 0 ? 0 : (size_t)(cand[at] - herd.workers) + 1;
}

static void the_lowest_entries_are_those_of_the_spec(void **state)
{
    struct hash_ring *r;

    herd_make(3);
    r = ring_of(3, NULL);
    assert_int_equal(r->positions[0], 0x0002bdb9befa97e1);
    assert_int_equal(r->positions[1], 0x00da26ee1f7621aa);
    assert_int_equal(r->positions[2], 0x012ec21a3ea07e96);
    assert_int_equal(r->owners[0], 0);
    assert_int_equal(r->owners[1], 2);
    assert_int_equal(r->owners[2], 2);
    free(r);
}

static void dp_10_ring_table_with_failures(void **state)
{
    static const struct {
        const char *key;
        size_t all, without_1, without_2;
    } TABLE[] = {
        { "user-1", 3, 3, 3 },   { "user-2", 2, 2, 3 },      { "user-3", 3, 3, 3 },    { "user-4", 3, 3, 3 },
        { "user-123", 3, 3, 3 }, { "session-abc", 1, 3, 1 }, { "tenant-42", 1, 2, 1 }, { "Bearer sk-test", 3, 3, 3 },
    };
    struct hash_ring *r;

    herd_make(3);
    r = ring_of(3, NULL);
    for (size_t i = 0; i < ARRAY_LEN(TABLE); i++) {
        assert_int_equal(owner(r, TABLE[i].key, 7), TABLE[i].all);
        assert_int_equal(owner(r, TABLE[i].key, 6), TABLE[i].without_1);
        assert_int_equal(owner(r, TABLE[i].key, 5), TABLE[i].without_2);
    }
    free(r);
}

static void dp_10_keys_spread_as_in_the_spec(void **state)
{
    size_t hits[4] = { 0 };
    struct hash_ring *r;
    char key[16];

    herd_make(3);
    r = ring_of(3, NULL);
    for (int i = 0; i < 3000; i++) {
        snprintf(key, sizeof key, "key-%d", i);
        hits[hash_ring_find(r, blake3_u64(str_of(key)), herd.all, 3)]++;
    }
    assert_int_equal(hits[0], 1031);
    assert_int_equal(hits[1], 895);
    assert_int_equal(hits[2], 1074);
    free(r);
}

static void expect_same(const struct hash_ring *a, const struct hash_ring *b)
{
    assert_int_equal(a->n, b->n);
    assert_memory_equal(a->orders, b->orders, a->workers_n * sizeof(*a->orders));
    assert_memory_equal(a->positions, b->positions, a->n * sizeof(*a->positions));
    assert_memory_equal(a->owners, b->owners, a->n * sizeof(*a->owners));
}

static void a_ring_made_of_another_is_as_if_made_of_nothing(void **state)
{
    struct hash_ring *one, *grown, *fresh;
    const struct worker *some[HERD_MAX];
    size_t n = 0;

    herd_make(40);
    one = ring_of(17, NULL);
    grown = ring_of(40, one);
    fresh = ring_of(40, NULL);
    expect_same(grown, fresh);
    for (size_t i = 0; i < 40; i++) /* others go, one comes in the middle */
        if (i % 3 != 0)
            some[n++] = herd.all[i];
    free(one);
    free(fresh);
    one = hash_ring_new(grown, some, n);
    fresh = hash_ring_new(NULL, some, n);
    expect_same(one, fresh);
    free(grown);
    grown = ring_of(40, one);
    free(fresh);
    fresh = ring_of(40, NULL);
    expect_same(grown, fresh);
    free(one);
    free(grown);
    free(fresh);
}

static void candidates_are_found_whoever_is_missing(void **state)
{
    const struct worker *cand[HERD_MAX];
    struct hash_ring *r;

    herd_make(200);
    r = ring_of(180, NULL); /* the last 20 are not on the ring yet */
    for (unsigned seed = 1; seed < 40; seed++) {
        size_t n = 0;

        for (size_t i = 0; i < 200; i++)
            if (seed < 3 || (i * 7 + seed) % 11 < 1 + seed % 10)
                cand[n++] = herd.all[i];
        for (uint64_t k = 0; k < 200; k++) {
            uint64_t position = k * 0x9e3779b97f4a7c15u * seed;
            int at = hash_ring_find(r, position, cand, n);
            const struct worker *known[HERD_MAX];
            size_t known_n = 0;

            for (size_t i = 0; i < n; i++)
                if (cand[i]->order <= herd.all[179]->order)
                    known[known_n++] = cand[i];
            assert_true(at >= 0);
            if (k % 40 == 0)
                assert_ptr_equal(cand[at], known[hash_ring_find_slowly(position, known, known_n)]);
        }
    }
    free(r);
}

static void nobody_is_found_who_is_not_on_it(void **state)
{
    struct hash_ring *r;

    herd_make(3);
    r = ring_of(2, NULL);
    assert_int_equal(hash_ring_find(r, 1, herd.all + 2, 1), -1);
    free(r);
    r = hash_ring_new(NULL, NULL, 0);
    assert_non_null(r);
    assert_int_equal(hash_ring_find(r, 1, herd.all, 3), -1);
    free(r);
}

static void without_memory_there_is_none(void **state)
{
    herd_make(3);
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct hash_ring *r = hash_ring_new(NULL, herd.all, 3);

        assert_true((r == NULL) == fail_alloc_failed());
        free(r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_lowest_entries_are_those_of_the_spec),
        cmocka_unit_test(dp_10_ring_table_with_failures),
        cmocka_unit_test(dp_10_keys_spread_as_in_the_spec),
        cmocka_unit_test(a_ring_made_of_another_is_as_if_made_of_nothing),
        cmocka_unit_test(candidates_are_found_whoever_is_missing),
        cmocka_unit_test(nobody_is_found_who_is_not_on_it),
        cmocka_unit_test(without_memory_there_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
