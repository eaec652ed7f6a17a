/* timer.c -- the timer wheel: against a plain list in invented time, and on a running loop in real time */
#include "loop/timer.c"

#include "test.h"

static struct loop *a_loop(void)
{
    struct loop *l = NULL;

    assert_int_equal(loop_new("test", 0, &l, NULL), 0);
    return l;
}

/* ---- invented time ---- */

enum { MANY = 2000 };

struct counted {
    struct timer t;
    unsigned fired;
    uint64_t due_tick;
};

static uint64_t a_distance(struct random *r)
{
    static const uint64_t UP_TO[] = { 3, 300, 20000, 1500000, 90000000 }; /* each ring, and beyond the last */

    return 1 + random_below(r, UP_TO[random_below(r, ARRAY_LEN(UP_TO))]);
}

static void put(struct loop_wheel *w, struct counted *c, uint64_t due_tick)
{
    c->due_tick = due_tick;
    c->t.due_ms = due_tick * LOOP_TICK_MS;
    c->t.running = true;
    (void)place(w, &c->t);
}

/* Fires what is due at TO; everything that fires must have been due, and be younger than what fired before it. */
static unsigned fire_all(struct loop_wheel *w, uint64_t to)
{
    struct list due;
    struct timer *t;
    unsigned n = 0;
    uint64_t last = 0;

    list_init(&due);
    advance(w, to, &due);
    while ((t = list_first(&due, struct timer, link)) != NULL) {
        struct counted *c = CONTAINER_OF(t, struct counted, t);

        timer_stop(t);
        assert_true(c->due_tick <= to);
        assert_true(c->due_tick >= last);
        last = c->due_tick;
        c->fired++;
        n++;
    }
    return n;
}

static void every_timer_fires_once_in_the_step_in_which_it_is_due(void **state)
{
    static struct counted timers[MANY];
    struct loop *l = a_loop();
    struct loop_wheel *w = l->wheel;
    struct random r;
    uint64_t now = w->tick;
    unsigned left = 0;

    random_init(&r, 7);
    for (unsigned i = 0; i < MANY; i++) {
        timers[i] = (struct counted){ 0 };
        put(w, &timers[i], now + a_distance(&r));
        left++;
    }
    for (unsigned i = 0; i < MANY; i += 5) { /* some are stopped, some of these started again */
        timer_stop(&timers[i].t);
        timers[i].fired = 1;
        left--;
        if (i % 2 == 0) {
            put(w, &timers[i], now + a_distance(&r));
            timers[i].fired = 0;
            left++;
        }
    }
    for (unsigned step = 0; left; step++) {
        assert_true(step < 10000000);
        now += a_distance(&r) / 4 + 1;
        left -= fire_all(w, now);
        for (unsigned i = 0; step % 16 == 0 && i < MANY; i++)
            assert_int_equal(timers[i].fired, timers[i].due_tick <= now || !timers[i].t.running ? 1 : 0);
    }
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(timers[i].fired, 1);
    assert_true(next_event(w) == NEVER || next_event(w) > now); /* stopped timers leave bits behind, no more */
    loop_free(l);
}

static void each_distance_around_a_rings_border_fires_at_its_tick(void **state)
{
    static const uint64_t BORDERS[] = { 1, 64, 256, 1 << 14, 1 << 20, FARTHEST };
    struct loop *l = a_loop();
    struct loop_wheel *w = l->wheel;
    struct counted c = { 0 };

    for (unsigned start = 0; start < 300; start += 37) {
        for (unsigned i = 0; i < ARRAY_LEN(BORDERS); i++) {
            for (int off = -1; off <= 1; off++) {
                uint64_t distance = BORDERS[i] + (uint64_t)(int64_t)off;

                if (distance == 0)
                    continue;
                c.fired = 0;
                put(w, &c, w->tick + distance);
                assert_int_equal(fire_all(w, c.due_tick - 1), 0);
                assert_int_equal(fire_all(w, c.due_tick), 1);
            }
        }
        (void)fire_all(w, w->tick + start);
    }
    loop_free(l);
}

static void without_timers_there_is_no_next_event(void **state)
{
    struct loop *l = a_loop();
    struct counted c = { 0 };

    assert_true(next_event(l->wheel) == NEVER);
    put(l->wheel, &c, l->wheel->tick + 5000);
    assert_true(next_event(l->wheel) <= l->wheel->tick + 5000);
    assert_int_equal(fire_all(l->wheel, l->wheel->tick + 5000), 1);
    assert_true(next_event(l->wheel) == NEVER);
    loop_free(l);
}

/* ---- real time ---- */

struct probe {
    struct timer t;
    struct loop *loop;
    char name;
    uint64_t started_us, after_us;
    struct timer *stops;
    unsigned again;
};

static char order[32];
static unsigned order_n;

static void on_probe(struct timer *t)
{
    struct probe *p = CONTAINER_OF(t, struct probe, t);

    assert_false(t->running);
    order[order_n++] = p->name;
    order[order_n] = 0;
    p->after_us = clock_now_us() - p->started_us;
    if (p->stops)
        timer_stop(p->stops);
    if (p->again) {
        p->again--;
        timer_start(p->loop, t, 16, on_probe);
    } else if (p->name == 'z') {
        loop_stop(p->loop);
    }
}

static void start(struct loop *l, struct probe *p, char name, uint64_t ms)
{
    p->loop = l;
    p->name = name;
    p->started_us = clock_now_us();
    timer_start(l, &p->t, ms, on_probe);
}

static void timers_fire_in_order_and_never_early(void **state)
{
    struct loop *l = a_loop();
    struct probe a = { 0 }, b = { 0 }, c = { 0 }, z = { 0 };

    order_n = 0;
    start(l, &z, 'z', 150);
    start(l, &b, 'b', 70);
    start(l, &a, 'a', 0);
    start(l, &c, 'c', 110);
    usleep(5000); /* the loop's clock of before must not matter */
    loop_run(l);
    assert_string_equal(order, "abcz");
    assert_in_range(a.after_us, 0, 1000000);
    assert_in_range(b.after_us, 70000, 1070000);
    assert_in_range(c.after_us, 110000, 1110000);
    assert_in_range(z.after_us, 150000, 1150000);
    loop_free(l);
}

static void a_callback_may_stop_others_that_are_due_and_start_itself_again(void **state)
{
    struct loop *l = a_loop();
    struct probe first = { .again = 3 }, victim = { 0 }, z = { 0 };

    order_n = 0;
    first.stops = &victim.t;
    start(l, &first, 'f', 20);
    start(l, &victim, 'v', 20); /* the same tick */
    start(l, &z, 'z', 300);
    loop_run(l);
    assert_string_equal(order, "ffffz");
    assert_false(victim.t.running);
    timer_stop(&victim.t);
    loop_free(l);
}

static void a_restarted_timer_fires_at_its_new_time_only(void **state)
{
    struct loop *l = a_loop();
    struct probe moved = { 0 }, z = { 0 };

    order_n = 0;
    start(l, &moved, 'm', 30);
    start(l, &z, 'z', 80);
    start(l, &moved, 'm', 5000);
    loop_run(l);
    assert_string_equal(order, "z");
    timer_stop(&moved.t);
    loop_free(l);
}

static void an_absurdly_long_time_is_cut_and_does_not_fire(void **state)
{
    struct loop *l = a_loop();
    struct probe far = { 0 }, z = { 0 };

    order_n = 0;
    start(l, &far, 'f', UINT64_MAX);
    start(l, &z, 'z', 20);
    loop_run(l);
    assert_string_equal(order, "z");
    timer_stop(&far.t);
    loop_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_timer_fires_once_in_the_step_in_which_it_is_due),
        cmocka_unit_test(each_distance_around_a_rings_border_fires_at_its_tick),
        cmocka_unit_test(without_timers_there_is_no_next_event),
        cmocka_unit_test(timers_fire_in_order_and_never_early),
        cmocka_unit_test(a_callback_may_stop_others_that_are_due_and_start_itself_again),
        cmocka_unit_test(a_restarted_timer_fires_at_its_new_time_only),
        cmocka_unit_test(an_absurdly_long_time_is_cut_and_does_not_fire),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
