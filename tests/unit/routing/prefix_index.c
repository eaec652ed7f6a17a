/* prefix_index.c -- who has seen the beginning of a prompt (spec data-plane 6.12, 16.29; what those vectors say about the inside of SMG's trees is void) */
#include "test.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/budget.h"
#include "base/random.h"
#include "routing/prefix_table.h"

static struct prefix_index *ix;
static struct prefix_path path;
static struct prefix_match match;

static void an_index(struct prefix_index_conf conf)
{
    conf.units_max = conf.units_max ? conf.units_max : 1 << 20;
    conf.interval_s = conf.interval_s ? conf.interval_s : 10;
    assert_int_equal(prefix_index_new(&conf, &ix), 0);
}

#define INDEX(...) an_index((struct prefix_index_conf){ __VA_ARGS__ })

static int tear_down(void **state)
{
    (void)state;
    prefix_index_free(ix);
    ix = NULL;
    budget_set_limit(0);
    assert_int_equal(budget_used(), 0);
    return 0;
}

static struct prefix_prompt text_of(const char *text)
{
    return (struct prefix_prompt){ .units = text, .n = strlen(text), .unit = 1 };
}

static void look(struct prefix_prompt prompt, uint64_t now_s)
{
    prefix_index_match(ix, &prompt, now_s, &path, &match);
}

static void insert(struct prefix_prompt prompt, uint16_t worker, uint64_t now_s)
{
    look(prompt, now_s);
    prefix_index_hold(ix, &path, worker, now_s);
}

/* MATCHED units of PROMPT are WORKER's, nobody else's. */
static void assert_matches(struct prefix_prompt prompt, size_t matched, uint16_t worker)
{
    look(prompt, 0);
    assert_int_equal(match.matched, matched);
    assert_int_equal(match.total, prompt.n);
    assert_int_equal(match.holders.n, matched ? 1 : 0);
    if (matched)
        assert_int_equal(match.holders.numbers[0], worker);
}

static void assert_counts_are_exact(void)
{
    struct prefix_index_stats s;
    int64_t entries, holders;

    prefix_index_stats(ix, &s);
    prefix_index_recount(ix, &entries, &holders);
    assert_int_equal(s.entries, entries);
    assert_int_equal(s.holders, holders);
}

static void dp_29_an_empty_index_knows_nothing(void **state)
{
    INDEX();
    assert_matches(text_of("hello"), 0, 0);
    assert_matches(text_of(""), 0, 0);
    insert(text_of(""), 1, 0);
    assert_matches(text_of(""), 0, 0);
}

static void dp_29_short_prompts_match_to_the_letter(void **state)
{
    INDEX();
    insert(text_of("hello world"), 1, 0);
    assert_matches(text_of("hello world"), 11, 1);
    assert_matches(text_of("hello"), 5, 1);
    assert_matches(text_of("hello world!!!"), 11, 1);
    assert_matches(text_of("goodbye"), 0, 0);
    insert(text_of("apple"), 2, 0);
    insert(text_of("banana"), 3, 0);
    assert_matches(text_of("apple"), 5, 2);
    assert_matches(text_of("banana"), 6, 3);
    assert_counts_are_exact();
}

static void dp_29_characters_of_several_bytes_match(void **state)
{
    INDEX();
    insert(text_of("\xe4\xbd\xa0\xe5\xa5\xbd\xe4\xb8\x96\xe7\x95\x8c\xe5\x95\x8a"), 1, 0); /* five */
    assert_matches(text_of("\xe4\xbd\xa0\xe5\xa5\xbd"), 6, 1);                             /* the first two */
    assert_matches(text_of("\xe4\xbd\xa0\xe5\xa5\xbe"), 5, 1);                             /* parted inside a character */
}

static void fill_text(char *to, size_t n, uint64_t seed)
{
    struct random r;

    random_init(&r, seed);
    random_alnum(&r, to, n);
}

static void a_conversation_finds_where_its_last_turn_ended(void **state)
{
    static char turn[20000];

    INDEX();
    fill_text(turn, sizeof turn, 1);
    for (size_t n = 1000; n < 19000; n += 1777) {
        struct prefix_prompt one = { turn, n, 1, 0 }, next = { turn, n + 900, 1, 0 };

        insert(one, 1, 0);
        look(one, 0);
        assert_int_equal(match.matched, n);
        look(next, 0);
        assert_in_range(match.matched, n - PREFIX_TAIL_UNITS + 1, n);
        assert_int_equal(match.holders.numbers[0], 1);
    }
}

static void prompts_part_within_a_block(void **state)
{
    static char a[5000], b[5000];

    INDEX();
    fill_text(a, sizeof a, 1);
    fill_text(b, sizeof b, 2);
    memcpy(b, a, 3000);
    insert((struct prefix_prompt){ a, sizeof a, 1, 0 }, 1, 0);
    look((struct prefix_prompt){ b, sizeof b, 1, 0 }, 0);
    assert_in_range(match.matched, 3000 - PREFIX_BLOCK_BYTES + 1, 3000);
    insert((struct prefix_prompt){ b, sizeof b, 1, 0 }, 2, 0);
    assert_matches((struct prefix_prompt){ a, sizeof a, 1, 0 }, sizeof a, 1);
    assert_matches((struct prefix_prompt){ b, sizeof b, 1, 0 }, sizeof b, 2);
    look((struct prefix_prompt){ a, 2600, 1, 0 }, 0); /* what both have seen */
    assert_int_equal(match.holders.n, 2);
    assert_counts_are_exact();
}

static void token_ids_have_the_same_rules(void **state)
{
    static uint32_t ids[4000];

    INDEX();
    for (size_t i = 0; i < ARRAY_LEN(ids); i++)
        ids[i] = (uint32_t)(i * 2654435761u);
    insert((struct prefix_prompt){ ids, 3000, sizeof *ids, 0 }, 7, 0);
    assert_matches((struct prefix_prompt){ ids, 3000, sizeof *ids, 0 }, 3000, 7);
    assert_matches((struct prefix_prompt){ ids, 5, sizeof *ids, 0 }, 5, 7);
    look((struct prefix_prompt){ ids, 4000, sizeof *ids, 0 }, 0);
    assert_in_range(match.matched, 3000 - PREFIX_TAIL_UNITS + 1, 3000);
    look((struct prefix_prompt){ ids, 12000, 1, 0 }, 0); /* the same bytes as text */
    assert_int_equal(match.matched, 0);
}

static void models_do_not_see_each_others_prompts(void **state)
{
    struct prefix_prompt a = text_of("hello world"), b = a;

    INDEX();
    b.seed = 1;
    insert(a, 1, 0);
    assert_matches(b, 0, 0);
    insert(b, 2, 0);
    assert_matches(a, 11, 1);
}

static void a_very_long_prompt_is_cut(void **state)
{
    size_t n = PREFIX_UNITS_MAX + 5000;
    char *text = malloc(n);

    assert_non_null(text);
    INDEX();
    fill_text(text, n, 3);
    insert((struct prefix_prompt){ text, n, 1, 0 }, 1, 0);
    look((struct prefix_prompt){ text, n, 1, 0 }, 0);
    assert_int_equal(match.total, PREFIX_UNITS_MAX);
    assert_true(match.matched > PREFIX_UNITS_MAX / 10 * 9);
    free(text);
}

static void who_was_chosen_last_comes_first(void **state)
{
    struct prefix_prompt p = text_of("shared by three");

    INDEX();
    insert(p, 1, 100);
    insert(p, 2, 101);
    insert(p, 3, 102);
    insert(p, 1, 103);
    look(p, 103);
    assert_int_equal(match.holders.n, 3);
    assert_int_equal(match.holders.numbers[0], 1);
    assert_int_equal(match.holders.numbers[1], 3);
    assert_int_equal(match.holders.numbers[2], 2);
    assert_int_equal(match.holders.ages_s[2], 2);
    assert_false(match.holders.wide);
}

static void a_prompt_of_many_workers_is_wide(void **state)
{
    struct prefix_prompt p = text_of("You are a helpful assistant.");
    struct prefix_index_stats before, after;

    INDEX();
    for (uint16_t w = 1; w <= 4; w++)
        insert(p, w, 100);
    look(p, 100);
    assert_true(match.holders.wide);
    assert_int_equal(match.holders.n, 3);
    prefix_index_stats(ix, &before);
    for (uint16_t w = 5; w <= 64; w++)
        insert(p, w, 101);
    look(p, 101);
    prefix_index_stats(ix, &after);
    assert_int_equal(before.inserted, after.inserted); /* nothing churns */
    assert_int_equal(match.holders.numbers[0] <= 3, 1);
    insert(p, 64, 120); /* the others are old by now: he takes a place */
    look(p, 120);
    assert_int_equal(match.holders.numbers[0], 64);
    assert_counts_are_exact();
}

static void a_removed_worker_is_forgotten_by_the_next_sweep(void **state)
{
    INDEX();
    insert(text_of("hello world"), 1, 0);
    insert(text_of("hello world"), 2, 0);
    insert(text_of("only he knows"), 1, 0);
    prefix_index_forget(ix, 1);
    prefix_index_sweep(ix, 1);
    assert_matches(text_of("hello world"), 11, 2);
    look(text_of("only he knows"), 0);
    assert_int_equal(match.holders.n, 0);
    assert_counts_are_exact();
    insert(text_of("he is back"), 1, 2); /* the number's next owner is not forgotten */
    prefix_index_sweep(ix, 3);
    assert_matches(text_of("he is back"), 10, 1);
}

static void what_nobody_asks_for_goes_after_nine_hours(void **state)
{
    INDEX();
    insert(text_of("old"), 1, 1000);
    insert(text_of("young"), 1, 30000);
    prefix_index_sweep(ix, 1000 + PREFIX_AGE_MAX_S);
    look(text_of("old"), 1000 + PREFIX_AGE_MAX_S);
    assert_int_equal(match.matched, 0);
    look(text_of("young"), 1000 + PREFIX_AGE_MAX_S);
    assert_int_equal(match.matched, 5);
}

static void a_worker_over_its_bound_loses_its_oldest_blocks(void **state)
{
    static char text[64][4096];
    size_t kept_old = 0, kept_new = 0;

    INDEX(.units_max = 32 * 4096);
    for (size_t i = 0; i < ARRAY_LEN(text); i++) {
        fill_text(text[i], sizeof text[i], i + 1);
        insert((struct prefix_prompt){ text[i], sizeof text[i], 1, 0 }, 1, i < 32 ? 1000 : 2000);
    }
    insert(text_of("another worker's"), 2, 1000);
    prefix_index_sweep(ix, 2001);
    assert_true(prefix_index_units(ix, 1) >= 64 * 4096); /* before it evicted */
    prefix_index_sweep(ix, 2002);
    assert_true(prefix_index_units(ix, 1) <= 32 * 4096);
    for (size_t i = 0; i < ARRAY_LEN(text); i++) {
        look((struct prefix_prompt){ text[i], sizeof text[i], 1, 0 }, 2002);
        *(i < 32 ? &kept_old : &kept_new) += match.matched;
    }
    assert_true(kept_old < 100); /* first letters that younger prompts share */
    assert_true(kept_new > 28 * 4096u);
    assert_matches(text_of("another worker's"), 16, 2);
    assert_counts_are_exact();
}

static void it_grows_and_keeps_what_it_knows(void **state)
{
    static char text[512][1024];
    struct prefix_index_stats s;
    size_t found = 0;

    INDEX(.first_log2 = 6);
    for (size_t i = 0; i < ARRAY_LEN(text); i++) {
        fill_text(text[i], sizeof text[i], i + 1);
        insert((struct prefix_prompt){ text[i], sizeof text[i], 1, 0 }, (uint16_t)(i % 8 + 1), i / 8);
        prefix_index_tick(ix, i / 8);
    }
    prefix_index_stats(ix, &s);
    assert_true(s.bytes >= (64u << 6) * 4);
    assert_true(s.sweeps > 0);
    for (size_t i = 0; i < ARRAY_LEN(text); i++) {
        look((struct prefix_prompt){ text[i], sizeof text[i], 1, 0 }, 64);
        if (match.matched == sizeof text[i] && match.holders.numbers[0] == i % 8 + 1)
            found++;
    }
    assert_true(found > ARRAY_LEN(text) * 9 / 10);
    assert_counts_are_exact();
}

static void memory_has_a_bound_at_which_old_blocks_make_room(void **state)
{
    static char text[1024];
    struct prefix_index_stats s;

    INDEX(.first_log2 = 6, .bytes_max = 16384);
    for (size_t i = 0; i < 2000; i++) {
        fill_text(text, sizeof text, i + 1);
        insert((struct prefix_prompt){ text, sizeof text, 1, 0 }, 1, i);
        if (i % 10 == 0)
            prefix_index_tick(ix, i);
    }
    prefix_index_stats(ix, &s);
    assert_int_equal(s.bytes, 16384);
    assert_int_equal(budget_used(), 16384);
    assert_true(s.evicted > 1000);
    look((struct prefix_prompt){ text, sizeof text, 1, 0 }, 2000);
    assert_int_equal(match.matched, sizeof text);
    assert_counts_are_exact();
}

static void it_takes_no_more_than_a_quarter_of_the_budget(void **state)
{
    static char text[1024];
    struct prefix_index_stats s;

    budget_set_limit(65536);
    INDEX(.first_log2 = 6);
    for (size_t i = 0; i < 2000; i++) {
        fill_text(text, sizeof text, i + 1);
        insert((struct prefix_prompt){ text, sizeof text, 1, 0 }, 1, i);
        prefix_index_tick(ix, i);
    }
    prefix_index_stats(ix, &s);
    assert_true(s.bytes <= 16384);
    prefix_index_free(ix);
    ix = NULL;
    budget_set_limit(1000);
    assert_int_equal(prefix_index_new(&(struct prefix_index_conf){ .units_max = 1, .interval_s = 1 }, &ix), ERR_NOMEM);
}

static void single_blocks_know_every_holder(void **state)
{
    uint16_t all[PREFIX_EVERY_MAX];

    INDEX(.every_holder = true);
    for (uint16_t w = 1; w <= 40; w++) {
        prefix_index_add(ix, 12345, w, 0);
        prefix_index_add(ix, 12345, w, 0);
    }
    assert_int_equal(prefix_index_every_holder(ix, 12345, all), 40);
    for (uint16_t w = 1; w <= 39; w++)
        prefix_index_take(ix, 12345, w);
    assert_int_equal(prefix_index_every_holder(ix, 12345, all), 1);
    assert_int_equal(all[0], 40);
    prefix_index_take(ix, 12345, 40);
    prefix_index_take(ix, 12345, 40);
    assert_int_equal(prefix_index_every_holder(ix, 12345, all), 0);
    assert_counts_are_exact();
    for (uint16_t w = 1; w <= 200; w++)
        prefix_index_add(ix, 1, w, 0);
    assert_int_equal(prefix_index_every_holder(ix, 1, all), PREFIX_EVERY_MAX);
}

/* ---- many threads ---- */

#define THREADS 8

struct hammer {
    unsigned index;
    _Atomic unsigned *running;
};

static void *hammer(void *arg)
{
    struct hammer *h = arg;
    struct prefix_path *mine = malloc(sizeof *mine);
    struct prefix_match m;
    struct random r;
    char text[3000];

    assert_non_null(mine);
    random_init(&r, h->index);
    for (unsigned i = 0; i < 1500; i++) {
        struct prefix_prompt p = { text, 500 + random_below(&r, 2500), 1, 0 };

        fill_text(text, sizeof text, random_below(&r, 40)); /* few families: threads meet */
        if (i % 3 == 0)
            memcpy(text + p.n - 8, &i, 4);
        prefix_index_match(ix, &p, i / 100, mine, &m);
        prefix_index_hold(ix, mine, (uint16_t)(1 + random_below(&r, 20)), i / 100);
    }
    atomic_fetch_sub(h->running, 1);
    free(mine);
    return NULL;
}

static void dp_29_eight_threads_keep_the_totals_exact(void **state)
{
    pthread_t ids[THREADS];
    struct hammer hammers[THREADS];
    _Atomic unsigned running = THREADS;

    INDEX(.first_log2 = 6, .bytes_max = 65536, .units_max = 20000, .interval_s = 1);
    for (unsigned i = 0; i < THREADS; i++) {
        hammers[i] = (struct hammer){ i, &running };
        assert_int_equal(pthread_create(&ids[i], NULL, hammer, &hammers[i]), 0);
    }
    for (uint64_t now = 0; atomic_load(&running) > 0; now++) {
        prefix_index_tick(ix, now / 8);
        if (now % 16 == 0)
            prefix_index_forget(ix, (uint16_t)(1 + now / 16 % 20));
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(ids[i], NULL);
    assert_counts_are_exact();
    prefix_index_sweep(ix, 20);
    assert_counts_are_exact();
}

#define RULE(f) cmocka_unit_test_teardown(f, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(dp_29_an_empty_index_knows_nothing),
        RULE(dp_29_short_prompts_match_to_the_letter),
        RULE(dp_29_characters_of_several_bytes_match),
        RULE(a_conversation_finds_where_its_last_turn_ended),
        RULE(prompts_part_within_a_block),
        RULE(token_ids_have_the_same_rules),
        RULE(models_do_not_see_each_others_prompts),
        RULE(a_very_long_prompt_is_cut),
        RULE(who_was_chosen_last_comes_first),
        RULE(a_prompt_of_many_workers_is_wide),
        RULE(a_removed_worker_is_forgotten_by_the_next_sweep),
        RULE(what_nobody_asks_for_goes_after_nine_hours),
        RULE(a_worker_over_its_bound_loses_its_oldest_blocks),
        RULE(it_grows_and_keeps_what_it_knows),
        RULE(memory_has_a_bound_at_which_old_blocks_make_room),
        RULE(it_takes_no_more_than_a_quarter_of_the_budget),
        RULE(single_blocks_know_every_holder),
        RULE(dp_29_eight_threads_keep_the_totals_exact),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
