/* hash_ring.c -- the ring of spec data-plane 6.7, and that it stays itself however it is made */
#include "crew.h"

#include "routing/blake3.h"

static struct hash_ring *ring_of(size_t n)
{
    struct hash_ring *r = hash_ring_new(NULL, everybody, n);

    assert_non_null(r);
    return r;
}

static int find(const struct hash_ring *ring, const char *key)
{
    int at = hash_ring_find(ring, blake3_u64(str_of(key)), cand, cand_n);

    assert_int_equal(at, hash_ring_find_slowly(blake3_u64(str_of(key)), cand, cand_n));
    return at < 0 ? 0 : (int)(cand[at] - crew) + 1;
}

static void the_lowest_entries_are_those_of_the_specification(void **state)
{
    struct hash_ring *r;

    gather(3);
    r = ring_of(3);
    assert_int_equal(r->n, 450);
    assert_true(r->positions[0] == 0x0002bdb9befa97e1 && r->owners[0] == 0);
    assert_true(r->positions[1] == 0x00da26ee1f7621aa && r->owners[1] == 2);
    assert_true(r->positions[2] == 0x012ec21a3ea07e96 && r->owners[2] == 2);
    free(r);
}

static const struct {
    const char *key;
    int worker, without_w1, without_w2;
} KEYS[] = {
    { "user-1", 3, 3, 3 },   { "user-2", 2, 2, 3 },      { "user-3", 3, 3, 3 },    { "user-4", 3, 3, 3 },
    { "user-123", 3, 3, 3 }, { "session-abc", 1, 3, 1 }, { "tenant-42", 1, 2, 1 }, { "Bearer sk-test", 3, 3, 3 },
};

/* 10 */
static void dp_10_keys_belong_to_the_workers_of_the_specification(void **state)
{
    struct hash_ring *r;

    gather(3);
    r = ring_of(3);
    for (size_t i = 0; i < ARRAY_LEN(KEYS); i++)
        assert_int_equal(find(r, KEYS[i].key), KEYS[i].worker);
    leave_out(0);
    for (size_t i = 0; i < ARRAY_LEN(KEYS); i++)
        assert_int_equal(find(r, KEYS[i].key), KEYS[i].without_w1);
    come_back(0);
    leave_out(1);
    for (size_t i = 0; i < ARRAY_LEN(KEYS); i++)
        assert_int_equal(find(r, KEYS[i].key), KEYS[i].without_w2);
    free(r);
}

static void keys_spread_as_in_the_specification(void **state)
{
    unsigned counts[4] = { 0 };
    struct hash_ring *r;
    char key[16];

    gather(3);
    r = ring_of(3);
    for (unsigned i = 0; i < 3000; i++) {
        snprintf(key, sizeof key, "key-%u", i);
        counts[hash_ring_find(r, blake3_u64(str_of(key)), cand, cand_n) + 1]++;
    }
    assert_int_equal(counts[1], 1031);
    assert_int_equal(counts[2], 895);
    assert_int_equal(counts[3], 1074);
    free(r);
}

static void assert_same_ring(const struct hash_ring *a, const struct hash_ring *b)
{
    assert_int_equal(a->n, b->n);
    assert_int_equal(a->workers_n, b->workers_n);
    assert_memory_equal(a->orders, b->orders, a->workers_n * sizeof(*a->orders));
    assert_memory_equal(a->positions, b->positions, a->n * sizeof(*a->positions));
    assert_memory_equal(a->owners, b->owners, a->n * sizeof(*a->owners));
}

static void a_ring_made_from_another_is_the_same(void **state)
{
    const struct worker *left[CREW_MAX];
    struct hash_ring *three, *grown, *all, *shrunk, *fresh;

    gather(9);
    three = ring_of(3);
    grown = hash_ring_new(three, everybody, 9);
    all = ring_of(9);
    assert_same_ring(grown, all);
    left[0] = &crew[1]; /* some gone, some new */
    left[1] = &crew[8];
    shrunk = hash_ring_new(grown, left, 2);
    fresh = hash_ring_new(NULL, left, 2);
    assert_same_ring(shrunk, fresh);
    free(three);
    free(grown);
    free(all);
    free(shrunk);
    free(fresh);
}

static void nobody_is_on_an_empty_ring(void **state)
{
    struct hash_ring *r;

    gather(2);
    r = hash_ring_new(NULL, NULL, 0);
    assert_non_null(r);
    assert_int_equal(hash_ring_find(r, 5, cand, cand_n), -1);
    free(r);
}

static void workers_that_are_not_on_the_ring_are_never_found(void **state)
{
    struct hash_ring *r;

    gather(4);
    r = ring_of(2);
    leave_out(0);
    leave_out(1);
    assert_int_equal(hash_ring_find(r, 5, cand, cand_n), -1);
    free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_lowest_entries_are_those_of_the_specification),
        cmocka_unit_test(dp_10_keys_belong_to_the_workers_of_the_specification),
        cmocka_unit_test(keys_spread_as_in_the_specification),
        cmocka_unit_test(a_ring_made_from_another_is_the_same),
        cmocka_unit_test(nobody_is_on_an_empty_ring),
        cmocka_unit_test(workers_that_are_not_on_the_ring_are_never_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
