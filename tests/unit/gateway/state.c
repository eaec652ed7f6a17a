/* state.c -- what the registry commits is in the journal when it is told so, in a later turn, and only then */
#include "gateway/state.h"

#include <stdio.h>
#include <stdlib.h>

#include "fail_alloc.h"
#include "test.h"

#define ID STR("0199b1c2-7d10-7a3e-9d52-6a1f0c2b3d4e")

static char directory[64];

static int make_directory(void **state)
{
    snprintf(directory, sizeof directory, "/tmp/smg-state-XXXXXX");
    return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
    char command[128];

    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command);
}

struct asker {
    struct loop *loop;
    struct gateway_state *state;
    unsigned told;
    int status;
};

static void setup(struct asker *a)
{
    *a = (struct asker){ 0 };
    assert_int_equal(loop_new("control", 0, &a->loop, NULL), 0);
    assert_int_equal(gateway_state_open(str_of(directory), a->loop, &a->state, NULL), 0);
}

static void teardown(struct asker *a)
{
    gateway_state_stop(a->state);
    gateway_state_free(a->state);
    loop_stop(a->loop);
    loop_free(a->loop);
}

static void on_told(void *owner, int status)
{
    struct asker *a = owner;

    a->told++;
    a->status = status;
    loop_stop(a->loop);
}

static int commit(struct asker *a, struct str spec)
{
    struct registry_store *store = gateway_state_store(a->state);
    struct registry_record record = { .id = ID, .spec = spec };

    a->told = 0;
    store->commit(store, &record, on_told, a);
    assert_int_equal(a->told, 0); /* never from inside */
    loop_run(a->loop);
    assert_int_equal(a->told, 1);
    return a->status;
}

static size_t entries(const struct asker *a)
{
    struct journal_stats stats;

    assert_true(gateway_state_stats(a->state, &stats));
    return stats.entries;
}

static void a_record_is_kept_until_it_is_deleted(void **state)
{
    struct asker a;

    setup(&a);
    assert_int_equal(commit(&a, STR("{\"url\":\"http://w:1\"}")), 0);
    assert_int_equal(entries(&a), 1);
    teardown(&a);
    setup(&a);
    assert_int_equal(entries(&a), 1);
    assert_int_equal(commit(&a, STR_NONE), 0);
    teardown(&a);
    setup(&a);
    assert_int_equal(entries(&a), 0);
    teardown(&a);
}

static void what_the_journal_refuses_at_once_is_told_in_a_later_turn(void **state)
{
    struct asker a;
    struct str large = { calloc(1, FRAME_BYTES_MAX + 1), FRAME_BYTES_MAX + 1 };

    assert_non_null(large.p);
    setup(&a);
    assert_int_equal(commit(&a, large), ERR_LIMIT);
    assert_int_equal(entries(&a), 0);
    assert_int_equal(commit(&a, STR("{}")), 0); /* the next one is taken */
    assert_int_equal(commit(&a, STR_NONE), 0);
    teardown(&a);
    free((void *)large.p);
}

static void a_stop_tells_nobody(void **state)
{
    struct asker a;
    struct registry_record record = { .id = ID, .spec = STR("{}") };

    setup(&a);
    gateway_state_store(a.state)->commit(gateway_state_store(a.state), &record, on_told, &a);
    teardown(&a);
    assert_int_equal(a.told, 0);
}

static void without_a_directory_there_is_no_store(void **state)
{
    struct journal_stats stats;

    assert_null(gateway_state_store(NULL));
    assert_false(gateway_state_stats(NULL, &stats));
    gateway_state_restore(NULL, NULL);
    gateway_state_stop(NULL);
    gateway_state_free(NULL);
}

static void a_start_without_memory_fails_cleanly(void **state)
{
    struct loop *loop = NULL;

    assert_int_equal(loop_new("control", 0, &loop, NULL), 0);
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct gateway_state *s = NULL;
        int r = gateway_state_open(str_of(directory), loop, &s, NULL);

        assert_true(r == 0 || r == ERR_NOMEM);
        gateway_state_stop(s);
        gateway_state_free(s);
    }
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_is_kept_until_it_is_deleted),
        cmocka_unit_test(what_the_journal_refuses_at_once_is_told_in_a_later_turn),
        cmocka_unit_test(a_stop_tells_nobody),
        cmocka_unit_test(without_a_directory_there_is_no_store),
        cmocka_unit_test(a_start_without_memory_fails_cleanly),
    };

    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
