/* loop.c -- the rules of turns, deferred work, mailboxes and the end of a loop */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "fail_alloc.h"
#include "loop/loop.h"
#include "test.h"

static struct loop *a_loop(void)
{
    struct loop *l = NULL;

    assert_int_equal(loop_new("test", 0, &l, NULL), 0);
    return l;
}

/* ---- deferred work ---- */

static char trace[64];
static unsigned trace_n;

static void note(char c)
{
    assert_true(trace_n < sizeof trace - 1);
    trace[trace_n++] = c;
    trace[trace_n] = 0;
}

static int setup(void **state)
{
    (void)state;
    trace_n = 0;
    trace[0] = 0;
    return 0;
}

struct letter {
    struct deferred d;
    struct loop *loop;
    char c;
    struct letter *then;
};

static void run_letter(struct deferred *d)
{
    struct letter *x = CONTAINER_OF(d, struct letter, d);

    note(x->c);
    if (x->then)
        loop_defer(x->loop, &x->then->d);
}

static struct letter letter(struct loop *l, char c, struct letter *then)
{
    return (struct letter){ .d.run = run_letter, .loop = l, .c = c, .then = then };
}

static void deferred_work_runs_in_order_and_once(void **state)
{
    struct loop *l = a_loop();
    struct letter c = letter(l, 'c', NULL), a = letter(l, 'a', &c), b = letter(l, 'b', NULL), gone = letter(l, 'x', NULL);

    loop_defer(l, &a.d);
    loop_defer(l, &gone.d);
    loop_defer(l, &b.d);
    loop_defer(l, &a.d);
    loop_defer_cancel(l, &gone.d);
    loop_defer_cancel(l, &gone.d);
    assert_string_equal(trace, "");
    loop_stop(l);
    loop_run(l);
    assert_string_equal(trace, "abc");
    loop_free(l);
}

static struct letter victim;

static void run_canceller(struct deferred *d)
{
    struct letter *x = CONTAINER_OF(d, struct letter, d);

    note('k');
    loop_defer_cancel(x->loop, &victim.d);
}

static void deferred_work_can_cancel_what_is_due_in_the_same_round(void **state)
{
    struct loop *l = a_loop();
    struct letter killer = { .d.run = run_canceller, .loop = l };

    victim = letter(l, 'v', NULL);
    loop_defer(l, &killer.d);
    loop_defer(l, &victim.d);
    loop_stop(l);
    loop_run(l);
    assert_string_equal(trace, "k");
    loop_free(l);
}

struct sources {
    struct loop *loop;
    struct timer timer;
    struct message message;
    uv_timer_t handle;
    struct letter after_timer, after_message, after_close;
};

static void on_handle_closed(uv_handle_t *h)
{
    struct sources *s = CONTAINER_OF(h, struct sources, handle);

    loop_defer(s->loop, &s->after_close.d);
}

static void on_message(struct loop *l, struct message *m)
{
    struct sources *s = CONTAINER_OF(m, struct sources, message);

    loop_defer(l, &s->after_message.d);
    uv_close((uv_handle_t *)&s->handle, on_handle_closed);
}

static void on_timer(struct timer *t)
{
    struct sources *s = CONTAINER_OF(t, struct sources, timer);

    loop_defer(s->loop, &s->after_timer.d);
    loop_post(s->loop, &s->message);
}

static void stop_after(struct deferred *d)
{
    struct letter *x = CONTAINER_OF(d, struct letter, d);

    run_letter(d);
    loop_stop(x->loop);
}

static void deferred_work_of_timers_messages_and_close_callbacks_runs_before_the_loop_sleeps(void **state)
{
    struct loop *l = a_loop();
    struct sources s = { .loop = l, .message.run = on_message };

    s.after_timer = letter(l, 't', NULL);
    s.after_message = letter(l, 'm', NULL);
    s.after_close = letter(l, 'c', NULL);
    s.after_close.d.run = stop_after;
    assert_int_equal(uv_timer_init(&l->uv, &s.handle), 0);
    timer_start(l, &s.timer, 16, on_timer);
    loop_run(l); /* would sleep for ever if one of the three waited for a wake-up */
    assert_string_equal(trace, "tmc");
    loop_free(l);
}

struct forever {
    struct deferred d;
    struct loop *loop;
    atomic_bool end;
    unsigned rounds;
};

static void run_forever(struct deferred *d)
{
    struct forever *f = CONTAINER_OF(d, struct forever, d);

    f->rounds++;
    if (!f->end)
        loop_defer(f->loop, d);
}

struct ender {
    struct message m;
    struct forever *f;
};

static void on_end(struct loop *l, struct message *m)
{
    CONTAINER_OF(m, struct ender, m)->f->end = true;
    loop_stop(l);
}

static void *post_end(void *arg)
{
    struct ender *e = arg;

    usleep(20000);
    loop_post(e->f->loop, &e->m);
    return NULL;
}

static void deferred_work_that_defers_itself_for_ever_does_not_starve_messages(void **state)
{
    struct loop *l = a_loop();
    struct forever f = { .d.run = run_forever, .loop = l };
    struct ender e = { .m.run = on_end, .f = &f };
    pthread_t thread;

    loop_defer(l, &f.d);
    assert_int_equal(pthread_create(&thread, NULL, post_end, &e), 0);
    loop_run(l);
    pthread_join(thread, NULL);
    assert_true(f.rounds > 10);
    loop_free(l);
}

/* ---- the mailbox ---- */

enum { SENDERS = 4, EACH = 25000 };

struct numbered {
    struct message m;
    unsigned sender, number;
};

struct inbox {
    struct loop *loop;
    unsigned next[SENDERS], total, out_of_order;
};

static struct inbox inbox;

static void on_numbered(struct loop *l, struct message *m)
{
    struct numbered *n = CONTAINER_OF(m, struct numbered, m);

    assert_ptr_equal(l, inbox.loop);
    if (inbox.next[n->sender] != n->number)
        inbox.out_of_order++;
    inbox.next[n->sender] = n->number + 1;
    free(n);
    if (++inbox.total == SENDERS * EACH)
        loop_stop(l);
}

static void *send_all(void *arg)
{
    for (unsigned i = 0; i < EACH; i++) {
        struct numbered *n = malloc(sizeof *n);

        *n = (struct numbered){ .m.run = on_numbered, .sender = *(unsigned *)arg, .number = i };
        loop_post(inbox.loop, &n->m);
    }
    return NULL;
}

static void messages_of_four_threads_arrive_all_and_in_each_senders_order(void **state)
{
    pthread_t threads[SENDERS];
    unsigned ids[SENDERS];

    inbox = (struct inbox){ .loop = a_loop() };
    for (unsigned i = 0; i < SENDERS; i++) {
        ids[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, send_all, &ids[i]), 0);
    }
    loop_run(inbox.loop);
    for (unsigned i = 0; i < SENDERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(inbox.total, SENDERS * EACH);
    assert_int_equal(inbox.out_of_order, 0);
    loop_free(inbox.loop);
}

struct chain {
    struct message m;
    unsigned left;
};

static void on_chain(struct loop *l, struct message *m)
{
    struct chain *c = CONTAINER_OF(m, struct chain, m);

    if (c->left-- > 0)
        loop_post(l, m);
}

static void a_stopping_loop_runs_the_messages_that_it_still_has(void **state)
{
    struct loop *l = a_loop();
    struct chain c = { .m.run = on_chain, .left = 5 };

    loop_stop(l);
    loop_post(l, &c.m);
    loop_run(l);
    assert_int_equal(c.left, (unsigned)-1);
    loop_free(l);
}

/* ---- life ---- */

static void two_living_loops_cannot_have_one_index(void **state)
{
    struct loop *a = a_loop(), *b = NULL;
    struct err err = { 0 };

    assert_int_equal(loop_new("second", 0, &b, &err), ERR_EXISTS);
    assert_string_equal(err.message, "event loop \"second\": a loop with index 0 is alive");
    assert_int_equal(loop_new("far", LOOP_MAX, &b, &err), ERR_LIMIT);
    assert_null(b);
    loop_free(a);
    assert_int_equal(loop_new("second", 0, &b, NULL), 0);
    loop_free(b);
    loop_free(NULL);
}

static void without_memory_no_loop_is_made_and_nothing_is_left(void **state)
{
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct loop *l = NULL;
        int r = loop_new("poor", 0, &l, NULL);

        assert_true(r == 0 || r == ERR_NOMEM);
        assert_true((r == 0) == (l != NULL));
        assert_true((r == 0) == !fail_alloc_failed());
        loop_free(l);
    }
}

static void a_loop_can_run_again_after_it_was_stopped(void **state)
{
    struct loop *l = a_loop();
    struct letter a = letter(l, 'a', NULL);

    for (int i = 0; i < 3; i++) {
        a.d.run = stop_after;
        loop_defer(l, &a.d);
        loop_run(l);
    }
    assert_string_equal(trace, "aaa");
    assert_null(loop_current());
    loop_free(l);
}

static void on_slow(struct timer *t)
{
    (void)t;
    usleep((LOOP_STALL_MS + 10) * 1000);
    loop_stop(loop_current());
}

static void a_turn_that_takes_too_long_is_counted(void **state)
{
    struct loop *l = a_loop();
    struct timer t = { 0 };
    struct loop_turn_stats stats;

    timer_start(l, &t, 16, on_slow);
    loop_run(l);
    loop_turn_stats(l, &stats);
    assert_int_equal(stats.stalls, 1);
    assert_true(stats.turns >= 1);
    assert_true(stats.max_us >= LOOP_STALL_MS * 1000);
    assert_true(stats.p99_us >= LOOP_STALL_MS * 1000);
    loop_free(l);
}

static void an_idle_loop_sleeps(void **state)
{
    struct loop *l = a_loop();
    struct loop_turn_stats before, after;
    struct timer t = { 0 };

    timer_start(l, &t, 3600 * 1000, on_slow); /* a timer far away must not make it tick */
    assert_int_equal(loop_start_thread(l, NULL), 0);
    usleep(50000);
    loop_turn_stats(l, &before);
    usleep(200000);
    loop_turn_stats(l, &after);
    assert_int_equal(before.turns, after.turns);
    loop_stop(l);
    loop_join(l);
    loop_free(l);
}

static void spare_blocks_are_reused_up_to_their_bound(void **state)
{
    struct loop_spares s = { 0 };
    void *a = loop_spare_get(&s, 64), *b, *many[LOOP_SPARES_MAX + 1];

    loop_spare_put(&s, a);
    b = loop_spare_get(&s, 64);
    assert_ptr_equal(a, b);
    loop_spare_put(&s, b);
    for (unsigned i = 0; i < ARRAY_LEN(many); i++)
        many[i] = loop_spare_get(&s, 64);
    for (unsigned i = 0; i < ARRAY_LEN(many); i++)
        loop_spare_put(&s, many[i]);
    assert_int_equal(s.n, LOOP_SPARES_MAX);
    loop_spares_fini(&s);
    assert_null(s.first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(deferred_work_runs_in_order_and_once, setup),
        cmocka_unit_test_setup(deferred_work_can_cancel_what_is_due_in_the_same_round, setup),
        cmocka_unit_test_setup(deferred_work_of_timers_messages_and_close_callbacks_runs_before_the_loop_sleeps, setup),
        cmocka_unit_test_setup(deferred_work_that_defers_itself_for_ever_does_not_starve_messages, setup),
        cmocka_unit_test(messages_of_four_threads_arrive_all_and_in_each_senders_order),
        cmocka_unit_test(a_stopping_loop_runs_the_messages_that_it_still_has),
        cmocka_unit_test(two_living_loops_cannot_have_one_index),
        cmocka_unit_test(without_memory_no_loop_is_made_and_nothing_is_left),
        cmocka_unit_test_setup(a_loop_can_run_again_after_it_was_stopped, setup),
        cmocka_unit_test(a_turn_that_takes_too_long_is_counted),
        cmocka_unit_test(an_idle_loop_sleeps),
        cmocka_unit_test(spare_blocks_are_reused_up_to_their_bound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
