/* kv_cache.c -- the rules of the simulated KV cache: found by whole prefix, held while used, evicted oldest first */
#include "test.h"

#include "mock/kv_cache.h"

static void add(struct kv_cache *c, uint64_t hash)
{
    c->unnamed++;
    assert_true(kv_cache_insert(c, hash));
}

/* A chain of N blocks that nobody uses. */
static void add_idle(struct kv_cache *c, const uint64_t *hashes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        add(c, hashes[i]);
    kv_cache_unpin(c, hashes, n);
}

static const uint64_t A[] = { 11, 12, 13, 14 }, B[] = { 21, 22, 23 };

static void a_prefix_is_found_as_far_as_it_is_cached(void **state)
{
    const uint64_t fork[] = { 11, 12, 99, 14 };
    struct kv_cache c;

    assert_int_equal(kv_cache_init(&c, 8), 0);
    assert_int_equal(kv_cache_match(&c, A, 4), 0);
    add_idle(&c, A, 3);
    assert_int_equal(kv_cache_match(&c, A, 4), 3);
    assert_int_equal(kv_cache_match(&c, A, 2), 2);
    assert_int_equal(kv_cache_match(&c, fork, 4), 2);
    assert_int_equal(kv_cache_match(&c, B, 3), 0);
    assert_int_equal(c.named, 3);
    assert_int_equal(c.held, 0);
    kv_cache_fini(&c);
}

static void the_oldest_idle_prefix_loses_its_end_first(void **state)
{
    struct kv_cache c;

    assert_int_equal(kv_cache_init(&c, 8), 0);
    add_idle(&c, A, 4);
    add_idle(&c, B, 3);
    kv_cache_shrink(&c, 5);
    assert_int_equal(kv_cache_match(&c, A, 4), 2);
    assert_int_equal(kv_cache_match(&c, B, 3), 3);
    kv_cache_pin(&c, A, 2); /* used again: newer than B */
    kv_cache_unpin(&c, A, 2);
    kv_cache_shrink(&c, 2);
    assert_int_equal(kv_cache_match(&c, A, 4), 2);
    assert_int_equal(kv_cache_match(&c, B, 3), 0);
    assert_int_equal(c.evicted, 5);
    kv_cache_fini(&c);
}

static void a_held_block_is_never_evicted(void **state)
{
    struct kv_cache c;

    assert_int_equal(kv_cache_init(&c, 8), 0);
    add_idle(&c, A, 4);
    kv_cache_pin(&c, A, 2);
    kv_cache_shrink(&c, 0);
    assert_int_equal(kv_cache_match(&c, A, 4), 2);
    assert_int_equal(c.held, 2);
    kv_cache_pin(&c, A, 2); /* two users */
    kv_cache_unpin(&c, A, 2);
    kv_cache_shrink(&c, 0);
    assert_int_equal(c.held, 2);
    kv_cache_unpin(&c, A, 2);
    kv_cache_shrink(&c, 0);
    assert_int_equal(c.named, 0);
    kv_cache_fini(&c);
}

static void a_block_that_is_there_already_is_shared(void **state)
{
    struct kv_cache c;

    assert_int_equal(kv_cache_init(&c, 8), 0);
    add(&c, 11);
    add(&c, 11);
    assert_int_equal(c.named, 1);
    assert_int_equal(c.held, 1);
    assert_int_equal(c.unnamed, 0);
    kv_cache_unpin(&c, A, 1);
    assert_int_equal(c.held, 1);
    kv_cache_unpin(&c, A, 1);
    assert_int_equal(c.held, 0);
    kv_cache_fini(&c);
}

static void a_full_cache_makes_room_or_says_no(void **state)
{
    struct kv_cache c;

    assert_int_equal(kv_cache_init(&c, 3), 0);
    add_idle(&c, A, 3);
    add(&c, 21); /* evicts the end of A */
    assert_int_equal(kv_cache_match(&c, A, 3), 2);
    add(&c, 22);
    add(&c, 23);
    c.unnamed++;
    assert_false(kv_cache_insert(&c, 14)); /* everything is held */
    assert_int_equal(c.unnamed, 1);
    assert_int_equal(kv_cache_match(&c, B, 3), 3);
    kv_cache_fini(&c);
}

static void hashes_do_not_depend_on_how_the_text_is_cut(void **state)
{
    struct str text = STR("The quick brown fox jumps over the lazy dog, twice a day.");
    struct kv_hasher whole, cut;
    struct arena arena;

    arena_init(&arena, NULL, 0);
    kv_hasher_init(&whole, &arena, 8);
    kv_hasher_feed(&whole, text);
    assert_int_equal(whole.n, text.n / 8);
    assert_int_equal(whole.bytes, text.n);
    for (size_t at = 0; at <= text.n; at++) {
        kv_hasher_init(&cut, &arena, 8);
        kv_hasher_feed(&cut, str_first(text, at));
        kv_hasher_feed(&cut, str_skip(text, at));
        assert_int_equal(cut.n, whole.n);
        assert_memory_equal(cut.hashes, whole.hashes, whole.n * sizeof(*whole.hashes));
    }
    arena_fini(&arena);
}

static void the_hash_is_fnv_1a_of_the_whole_prefix(void **state)
{
    struct kv_hasher h;
    struct arena arena;

    arena_init(&arena, NULL, 0);
    kv_hasher_init(&h, &arena, 6);
    kv_hasher_feed(&h, STR("foobar")); /* a published test vector of FNV-1a 64 */
    assert_int_equal(h.n, 1);
    assert_true(h.hashes[0] == 0x85944171f73967e8u);
    arena_fini(&arena);
}

static void memory_that_is_out_leaves_a_shorter_chain(void **state)
{
    static char text[64 * 1024];
    struct kv_hasher h;
    struct arena arena;

    memset(text, 'x', sizeof(text));
    arena_init(&arena, NULL, 2048);
    kv_hasher_init(&h, &arena, 4);
    kv_hasher_feed(&h, (struct str){ text, sizeof(text) });
    assert_true(h.failed);
    assert_true(h.n > 0 && h.n < sizeof(text) / 4);
    assert_int_equal(h.bytes, sizeof(text));
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_prefix_is_found_as_far_as_it_is_cached),
        cmocka_unit_test(the_oldest_idle_prefix_loses_its_end_first),
        cmocka_unit_test(a_held_block_is_never_evicted),
        cmocka_unit_test(a_block_that_is_there_already_is_shared),
        cmocka_unit_test(a_full_cache_makes_room_or_says_no),
        cmocka_unit_test(hashes_do_not_depend_on_how_the_text_is_cut),
        cmocka_unit_test(the_hash_is_fnv_1a_of_the_whole_prefix),
        cmocka_unit_test(memory_that_is_out_leaves_a_shorter_chain),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
