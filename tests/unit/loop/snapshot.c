/* snapshot.c -- tables that are replaced under the eyes of their readers */
#include <semaphore.h>
#include <stdlib.h>
#include <unistd.h>

#include "fail_alloc.h"
#include "loop/snapshot.h"
#include "test.h"

#define ALIVE 0x600d600d600d600dull

struct table {
    uint64_t mark, version;
};

static atomic_uint freed;

static struct table *a_table(uint64_t version)
{
    struct table *t = malloc(sizeof *t);

    *t = (struct table){ .mark = ALIVE, .version = version };
    return t;
}

static void free_table(void *object)
{
    struct table *t = object;

    assert_true(t->mark == ALIVE);
    t->mark = 0;
    freed++;
    free(t);
}

static int setup(void **state)
{
    (void)state;
    freed = 0;
    return 0;
}

static struct snapshot_cell cell;

/* ---- readers on loops ---- */

struct reader {
    struct loop *loop;
    struct message m;
    atomic_bool end;
    uint64_t reads, last;
    bool bad;
};

static void read_again(struct loop *l, struct message *m)
{
    struct reader *r = CONTAINER_OF(m, struct reader, m);

    for (int i = 0; i < 50; i++) {
        struct table *t = snapshot_get(l, &cell);

        r->bad |= t->mark != ALIVE || t->version < r->last;
        r->last = t->version;
        r->reads++;
    }
    if (r->end)
        loop_stop(l);
    else
        loop_post(l, m);
}

static void start_reader(struct reader *r, unsigned index)
{
    assert_int_equal(loop_new("reader", index, &r->loop, NULL), 0);
    assert_int_equal(loop_start_thread(r->loop, NULL), 0);
    r->m.run = read_again;
    loop_post(r->loop, &r->m);
}

static void three_loops_read_while_tables_are_replaced_and_freed(void **state)
{
    enum { READERS = 3, VERSIONS = 5000 };
    struct reader readers[READERS] = { 0 };

    snapshot_init(&cell, a_table(0), free_table);
    for (unsigned i = 0; i < READERS; i++)
        start_reader(&readers[i], i);
    for (uint64_t v = 1; v <= VERSIONS; v++) {
        snapshot_publish(&cell, a_table(v));
        (void)snapshot_reclaim();
    }
    for (unsigned i = 0; i < READERS; i++)
        readers[i].end = true;
    for (unsigned i = 0; i < READERS; i++) {
        loop_join(readers[i].loop);
        loop_free(readers[i].loop);
        assert_false(readers[i].bad);
        assert_true(readers[i].reads > 0);
    }
    assert_int_equal(snapshot_reclaim(), 0);
    assert_int_equal(freed, VERSIONS);
    snapshot_fini(&cell);
    assert_int_equal(freed, VERSIONS + 1);
}

/* ---- one turn in slow motion ---- */

struct slow {
    struct loop *loop;
    struct message m;
    sem_t got, go_on;
    uint64_t before, after;
};

static void read_slowly(struct loop *l, struct message *m)
{
    struct slow *s = CONTAINER_OF(m, struct slow, m);
    struct table *t = snapshot_get(l, &cell);

    s->before = t->version;
    sem_post(&s->got);
    sem_wait(&s->go_on);
    s->after = t->version; /* still there: the turn has not ended */
    assert_true(t->mark == ALIVE);
}

static void a_table_lives_as_long_as_the_turn_that_got_it(void **state)
{
    struct slow s = { .m.run = read_slowly };

    snapshot_init(&cell, a_table(1), free_table);
    sem_init(&s.got, 0, 0);
    sem_init(&s.go_on, 0, 0);
    assert_int_equal(loop_new("slow", 0, &s.loop, NULL), 0);
    assert_int_equal(loop_start_thread(s.loop, NULL), 0);
    loop_post(s.loop, &s.m);
    sem_wait(&s.got);
    snapshot_publish(&cell, a_table(2));
    snapshot_publish(&cell, a_table(3));
    assert_int_equal(snapshot_reclaim(), 2); /* the second was never seen, but the pin is older than it */
    assert_int_equal(freed, 0);
    sem_post(&s.go_on);
    for (int i = 0; i < 5000 && snapshot_reclaim() > 0; i++)
        usleep(1000);
    assert_int_equal(snapshot_retired(), 0);
    assert_int_equal(freed, 2);
    loop_stop(s.loop);
    loop_join(s.loop);
    loop_free(s.loop);
    assert_int_equal(s.before, 1);
    assert_int_equal(s.after, 1);
    snapshot_fini(&cell);
}

static void loops_that_poll_cost_nothing(void **state)
{
    struct loop *idle = NULL;

    snapshot_init(&cell, a_table(1), free_table);
    assert_int_equal(loop_new("idle", 0, &idle, NULL), 0);
    assert_int_equal(loop_start_thread(idle, NULL), 0);
    snapshot_publish(&cell, a_table(2));
    assert_int_equal(snapshot_reclaim(), 0);
    assert_int_equal(freed, 1);
    loop_stop(idle);
    loop_join(idle);
    loop_free(idle);
    snapshot_fini(&cell);
}

static void the_end_of_one_cell_leaves_the_retired_of_others(void **state)
{
    struct snapshot_cell other;

    snapshot_init(&cell, NULL, free_table);
    snapshot_init(&other, a_table(1), free_table);
    snapshot_publish(&cell, a_table(1)); /* there was nothing to retire */
    assert_int_equal(snapshot_retired(), 0);
    snapshot_publish(&cell, a_table(2));
    snapshot_publish(&other, a_table(2));
    assert_int_equal(snapshot_retired(), 2);
    snapshot_fini(&cell);
    assert_int_equal(snapshot_retired(), 1);
    assert_int_equal(freed, 2);
    snapshot_fini(&other);
    assert_int_equal(freed, 4);
}

static void a_table_whose_retirement_cannot_be_noted_is_left_alone(void **state)
{
    struct table *tables[8];
    unsigned used = 1;

    tables[0] = a_table(0);
    snapshot_init(&cell, tables[0], free_table);
    for (unsigned i = 1; i < ARRAY_LEN(tables); i++)
        tables[i] = a_table(i);
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct table *old = tables[used - 1];

        snapshot_publish(&cell, tables[used++]);
        assert_ptr_equal(atomic_load(&cell.current), tables[used - 1]); /* readers get the new one all the same */
        if (fail_alloc_failed())
            free_table(old); /* the leak: nobody reads here, so the test may */
    }
    (void)snapshot_reclaim();
    snapshot_fini(&cell);
    assert_int_equal(freed, used);
    for (unsigned i = used; i < ARRAY_LEN(tables); i++)
        free(tables[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(three_loops_read_while_tables_are_replaced_and_freed, setup),
        cmocka_unit_test_setup(a_table_lives_as_long_as_the_turn_that_got_it, setup),
        cmocka_unit_test_setup(loops_that_poll_cost_nothing, setup),
        cmocka_unit_test_setup(a_table_whose_retirement_cannot_be_noted_is_left_alone, setup),
        cmocka_unit_test_setup(the_end_of_one_cell_leaves_the_retired_of_others, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
