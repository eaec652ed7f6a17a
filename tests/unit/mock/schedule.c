/* schedule.c -- what falls due fires once, in order, never early, and not at all when it was taken out */
#include "test.h"

#include "base/clock.h"
#include "mock/schedule.h"

enum { N = 200 };

static struct schedule schedule;
static struct entry {
    struct due due;
    unsigned fired;
} entries[N];
static unsigned fired;
static uint64_t last_at_us;
static bool closed;

static void on_closed(uv_handle_t *handle)
{
    closed = true;
}

static void fire(struct due *d)
{
    struct entry *e = CONTAINER_OF(d, struct entry, due);

    assert_true(clock_now_us() >= d->at_us);
    assert_true(d->at_us >= last_at_us);
    assert_int_equal(d->place, 0);
    last_at_us = d->at_us;
    e->fired++;
    fired++;
}

static void fire_last(struct due *d)
{
    fire(d);
    schedule_close(&schedule, on_closed);
    loop_stop(schedule.loop);
}

static void entries_fire_in_order_and_removed_ones_do_not(void **state)
{
    struct loop *loop;
    struct random random;
    uint64_t now = clock_now_us();

    assert_int_equal(loop_new("test", 0, &loop, NULL), 0);
    random_init(&random, 3);
    schedule_init(&schedule, loop);
    for (size_t i = 0; i + 1 < N; i++)
        assert_int_equal(schedule_add(&schedule, &entries[i].due, now + 1000 + random_below(&random, 50000), fire), 0);
    assert_int_equal(schedule_add(&schedule, &entries[N - 1].due, now + 60000, fire_last), 0);
    for (size_t i = 0; i + 1 < N; i += 3) {
        schedule_remove(&schedule, &entries[i].due);
        schedule_remove(&schedule, &entries[i].due); /* twice is fine */
    }
    loop_run(loop);
    for (size_t i = 0; i + 1 < N; i++)
        assert_int_equal(entries[i].fired, i % 3 != 0);
    assert_int_equal(entries[N - 1].fired, 1);
    assert_true(closed);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_fire_in_order_and_removed_ones_do_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
