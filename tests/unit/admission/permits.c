/* permits.c -- N at a time, a line behind them, and nothing lost between threads */
#include "waiters.h"

#include <stdlib.h>

#include "admission/permits.h"

static struct permits p;
static struct noted n[16];

static int begin(void **state)
{
    permits_init(&p, 2, 3);
    atomic_store(&grants, 0);
    for (size_t i = 0; i < ARRAY_LEN(n); i++)
        a_waiter(&n[i]);
    return 0;
}

static int end(void **state)
{
    permits_fini(&p);
    return 0;
}

static void expect(uint32_t in_use, uint32_t waiting)
{
    struct permits_state s = permits_state(&p);

    assert_int_equal(s.in_use, in_use);
    assert_int_equal(s.waiting, waiting);
}

/* The first TO of n[] knock: two run, three wait. */
static void knock(unsigned to)
{
    for (unsigned i = 0; i < to; i++)
        assert_int_equal(permits_enter(&p, &n[i].w), i < 2 ? PERMITS_ADMITTED : i < 5 ? PERMITS_QUEUED : PERMITS_FULL);
}

static void admits_then_queues_then_refuses(void **state)
{
    knock(7);
    expect(2, 3);
    assert_int_equal(n[6].w.step, WAITER_OUT);
}

static void a_permit_goes_to_the_first_in_the_line(void **state)
{
    knock(5);
    permits_leave(&p, &n[0].w);
    assert_int_equal(n[2].granted, 1);
    assert_int_equal(n[3].granted, 0);
    expect(2, 2);
    permits_leave(&p, &n[2].w);
    permits_leave(&p, &n[1].w);
    assert_true(n[3].order == 2 && n[4].order == 3);
    permits_leave(&p, &n[3].w);
    permits_leave(&p, &n[4].w);
    expect(0, 0);
}

static void who_leaves_the_line_is_not_admitted(void **state)
{
    knock(5);
    assert_true(permits_leave_queue(&p, &n[3].w));
    expect(2, 2);
    permits_leave(&p, &n[0].w);
    permits_leave(&p, &n[1].w);
    assert_true(n[2].granted == 1 && n[3].granted == 0 && n[4].granted == 1);
}

static void who_was_admitted_meanwhile_owes_the_permit(void **state)
{
    knock(3);
    permits_leave(&p, &n[0].w);
    assert_false(permits_leave_queue(&p, &n[2].w));
    expect(2, 0);
    permits_leave(&p, &n[2].w);
    expect(1, 0);
}

static void a_newcomer_does_not_overtake_the_line(void **state)
{
    knock(3);
    permits_configure(&p, 1, 3);
    permits_leave(&p, &n[0].w); /* one runs, one waits: the permit is gone */
    expect(1, 1);
    assert_int_equal(permits_enter(&p, &n[3].w), PERMITS_QUEUED);
    permits_leave(&p, &n[1].w);
    assert_true(n[2].granted == 1 && n[3].granted == 0);
}

static void a_larger_limit_admits_at_once(void **state)
{
    knock(5);
    permits_configure(&p, 4, 3);
    expect(4, 1);
    assert_true(n[2].order == 1 && n[3].order == 2 && n[4].granted == 0);
    permits_configure(&p, 0, 3); /* no limit */
    expect(5, 0);
    for (int i = 5; i < 16; i++)
        assert_int_equal(permits_enter(&p, &n[i].w), PERMITS_ADMITTED);
}

static void a_smaller_limit_is_reached_as_requests_end(void **state)
{
    permits_configure(&p, 0, 3);
    for (int i = 0; i < 5; i++)
        assert_int_equal(permits_enter(&p, &n[i].w), PERMITS_ADMITTED);
    permits_configure(&p, 2, 3);
    assert_int_equal(permits_enter(&p, &n[5].w), PERMITS_QUEUED);
    for (int i = 0; i < 3; i++)
        permits_leave(&p, &n[i].w);
    assert_int_equal(n[5].granted, 0);
    expect(2, 1);
    permits_leave(&p, &n[3].w);
    assert_int_equal(n[5].granted, 1);
    expect(2, 0);
}

/* ---- threads ---- */

#define THREADS 4
#define ROUNDS  20000

static _Atomic int inside, most, refused, gave_up;

static void *come_and_go(void *arg)
{
    unsigned seed = (unsigned)(uintptr_t)arg;
    struct noted me;

    for (int i = 0; i < ROUNDS; i++) {
        enum permits_answer a;
        int now;

        a_waiter(&me);
        a = permits_enter(&p, &me.w);
        if (a == PERMITS_FULL) {
            atomic_fetch_add(&refused, 1);
            continue;
        }
        if (a == PERMITS_QUEUED) {
            if (rand_r(&seed) % 8 == 0 && permits_leave_queue(&p, &me.w)) {
                atomic_fetch_add(&gave_up, 1);
                continue;
            }
            while (atomic_load(&me.granted) == 0)
                sched_yield();
        }
        now = atomic_fetch_add(&inside, 1) + 1;
        for (int seen = atomic_load(&most); now > seen && !atomic_compare_exchange_weak(&most, &seen, now);)
            ;
        if (rand_r(&seed) % 16 == 0)
            sched_yield();
        atomic_fetch_sub(&inside, 1);
        permits_leave(&p, &me.w);
    }
    return NULL;
}

static void threads_never_pass_the_limit_and_lose_no_permit(void **state)
{
    pthread_t threads[THREADS];

    permits_configure(&p, 2, 1);
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, (void *)(i + 1)), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_true(most <= 2);
    expect(0, 0);
    assert_int_equal(permits_enter(&p, &n[0].w), PERMITS_ADMITTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(admits_then_queues_then_refuses, begin, end),
        cmocka_unit_test_setup_teardown(a_permit_goes_to_the_first_in_the_line, begin, end),
        cmocka_unit_test_setup_teardown(who_leaves_the_line_is_not_admitted, begin, end),
        cmocka_unit_test_setup_teardown(who_was_admitted_meanwhile_owes_the_permit, begin, end),
        cmocka_unit_test_setup_teardown(a_newcomer_does_not_overtake_the_line, begin, end),
        cmocka_unit_test_setup_teardown(a_larger_limit_admits_at_once, begin, end),
        cmocka_unit_test_setup_teardown(a_smaller_limit_is_reached_as_requests_end, begin, end),
        cmocka_unit_test_setup_teardown(threads_never_pass_the_limit_and_lose_no_permit, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
