/* load_monitor.c -- polling engines for their load: what is shown, how it ends, and that it goes on when memory is out */
#include "fleet.h"

#include "fail_alloc.h"

#include "worker/load_monitor.h"

#define LOADS(tokens) "{\"loads\":[{\"dp_rank\":0,\"num_used_tokens\":" #tokens ",\"max_total_num_tokens\":100}]}"

static struct scene {
    struct load_monitor *monitor;
    struct timer step;
    unsigned asked;        /* GET /v1/loads, of worker 0 */
    bool holds;            /* a question is kept */
    unsigned kept, left;   /* questions that were kept; whose asker went away */
    unsigned ticks_wanted; /* the scene ends behind so many */
    unsigned shown;        /* rows of the last look */
    int64_t tokens[4];     /* by order of the worker; -1 = not shown */
} s;

static void on_left(struct exchange *ex, void *arg)
{
    (void)ex;
    (void)arg;
    s.left++;
}

/* Worker 0 tells more with every question; worker 1 never tells. */
static void on_loads(struct exchange *ex, void *context)
{
    static const struct exchange_owner KEPT = { .on_abort = on_left };
    static const struct str TOLD[] = { STR_INIT(LOADS(10)), STR_INIT(LOADS(20)), STR_INIT(LOADS(30)) };

    (void)context;
    if (s.holds) {
        s.kept++;
        exchange_own(ex, &KEPT, NULL);
    } else if (str_eq(ex->params[0], STR("0"))) {
        exchange_reply(ex, 200, TYPE_JSON, TOLD[MIN(s.asked, ARRAY_LEN(TOLD) - 1)]);
        s.asked++;
    } else {
        exchange_reply(ex, 500, TYPE_TEXT, STR("no"));
    }
}

static const struct route ROUTES[] = { { .method = HTTP_GET, .path = "/{n}/v1/loads", .auth = ROUTE_PUBLIC, .handler = on_loads } };

static void look_at(const struct worker *w, const struct worker_loads *l, int rank, void *arg)
{
    (void)arg;
    assert_int_equal(rank, -1);
    s.shown++;
    s.tokens[w->order] = loads_tokens(l, rank);
}

static void look(void)
{
    s.shown = 0;
    for (size_t i = 0; i < ARRAY_LEN(s.tokens); i++)
        s.tokens[i] = -1;
    load_monitor_each(s.monitor, look_at, NULL);
}

static void open_scene(void)
{
    memset(&s, 0, sizeof s);
    fleet_open(ROUTES, ARRAY_LEN(ROUTES));
    add_worker_of(RUNTIME_SGLANG, NULL, -1);
    add_worker_of(RUNTIME_SGLANG, NULL, -1);
    add_worker_of(RUNTIME_EXTERNAL, NULL, -1);
    atomic_store(&add_worker_of(RUNTIME_SGLANG, NULL, -1)->live->status, WORKER_NOT_READY);
    fleet_publish();
}

static void monitor(void (*step)(struct timer *t))
{
    s.monitor = load_monitor_new(fleet.loop, fleet.client, &fleet.registry, 1);
    assert_non_null(s.monitor);
    look();
    assert_int_equal(s.shown, 0);
    load_monitor_want(s.monitor, true);
    timer_start(fleet.loop, &s.step, 5, step);
}

static void stop_and_end(void)
{
    load_monitor_stop(s.monitor);
    look();
    assert_int_equal(s.shown, 0); /* what was known is forgotten */
    fleet_end();
}

static void nothing_more(void)
{
}

static void run_scene(void)
{
    fleet_run(nothing_more);
    load_monitor_free(s.monitor);
}

static void when_known(struct timer *t)
{
    look();
    if (s.tokens[0] != 10 * (int64_t)s.ticks_wanted) {
        timer_start(fleet.loop, t, 5, when_known);
        return;
    }
    assert_int_equal(s.shown, 1); /* neither who does not tell, nor providers, nor who is not ready */
    if (s.ticks_wanted == 1) {    /* who is not ready any more is not shown, without a new tick */
        atomic_store(&fleet.workers[0]->live->status, WORKER_DRAINING);
        look();
        assert_int_equal(s.shown, 0);
    }
    stop_and_end();
}

static void what_ready_engines_tell_is_shown(void **state)
{
    open_scene();
    s.ticks_wanted = 1;
    monitor(when_known);
    run_scene();
    assert_int_equal(s.asked, 1);
}

static void the_next_tick_takes_its_place(void **state)
{
    open_scene();
    s.ticks_wanted = 2;
    monitor(when_known);
    run_scene();
    assert_int_equal(s.asked, 2);
}

static void end_when_they_left(struct timer *t)
{
    if (s.left < s.kept)
        timer_start(fleet.loop, t, 5, end_when_they_left);
    else
        fleet_end();
}

static void stop_while_asking(struct timer *t)
{
    if (s.kept < 2) {
        timer_start(fleet.loop, t, 5, stop_while_asking);
        return;
    }
    load_monitor_stop(s.monitor);
    timer_start(fleet.loop, t, 5, end_when_they_left);
}

static void stopping_closes_the_questions(void **state)
{
    open_scene();
    s.holds = true;
    monitor(stop_while_asking);
    run_scene();
    assert_int_equal(s.left, 2);
}

static void one_that_is_stopped_before_its_first_tick_asks_nobody(void **state)
{
    open_scene();
    s.monitor = load_monitor_new(fleet.loop, fleet.client, &fleet.registry, 1);
    stop_and_end();
    run_scene();
    assert_int_equal(s.asked, 0);
}

static void without_memory_there_is_no_monitor(void **state)
{
    open_scene();
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct load_monitor *m = load_monitor_new(fleet.loop, fleet.client, &fleet.registry, 1);

        assert_true((m == NULL) == fail_alloc_failed());
        if (m) {
            load_monitor_stop(m);
            s.monitor = m;
        }
    }
    fleet_end();
    run_scene();
}

static void nothing_is_a_fine_monitor(void **state)
{
    load_monitor_stop(NULL);
    load_monitor_free(NULL);
    load_monitor_each(NULL, look_at, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_ready_engines_tell_is_shown),
        cmocka_unit_test(the_next_tick_takes_its_place),
        cmocka_unit_test(stopping_closes_the_questions),
        cmocka_unit_test(one_that_is_stopped_before_its_first_tick_asks_nobody),
        cmocka_unit_test(without_memory_there_is_no_monitor),
        cmocka_unit_test(nothing_is_a_fine_monitor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
