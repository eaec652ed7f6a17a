/* pick.c -- which workers may get a request, and what it means when none may */
#include "stage.h"

static struct pick {
    struct exchange ex;
    struct dispatcher *dispatcher;
    struct dispatch_failure failure;
    struct str model;
} t;

static size_t offered; /* candidates that the policy saw last */

static int pick_last(struct policy *p, const struct worker *const *cand, size_t n, const struct policy_hint *hint,
                     struct policy_choice *choice)
{
    offered = n;
    return (int)n - 1;
}

static int pick_none(struct policy *p, const struct worker *const *cand, size_t n, const struct policy_hint *hint,
                     struct policy_choice *choice)
{
    return -1;
}

static const struct policy_ops LAST = { .name = "last", .size = sizeof(struct policy), .pick = pick_last };
static const struct policy_ops NOBODY = { .name = "nobody", .size = sizeof(struct policy), .pick = pick_none };

static void open_with(const struct engine *engines, const struct policy_ops *policy)
{
    struct dispatcher_conf conf = { 0 };

    memset(&stage, 0, sizeof stage);
    memset(&t, 0, sizeof t);
    stage_engines(engines);
    assert_int_equal(loop_new("test", 0, &stage.loop, NULL), 0);
    stage_policies(policy);
    assert_int_equal(dispatcher_new(stage.loop, NULL, &stage.registry, stage.policies, &conf, &t.dispatcher), 0);
    arena_init(&t.ex.arena, NULL, 0);
    assert_int_equal(loop_start_thread(stage.loop, NULL), 0);
}

#define OPEN(...) open_with((const struct engine[]){ __VA_ARGS__, { 0 } }, &LAST)
#define A_WORKER  .kind = ENGINE_CLOSED, .model = "m"

static int close_all(void **state)
{
    loop_stop(stage.loop);
    loop_join(stage.loop);
    arena_fini(&t.ex.arena);
    dispatcher_free(t.dispatcher);
    policy_set_free(stage.policies);
    loop_free(stage.loop);
    snapshot_fini(&stage.registry.table);
    for (unsigned i = 0; i < stage.engines_n; i++) {
        assert_int_equal(atomic_load(&stage.engines[i].worker->refs), 1);
        engine_unbind(&stage.engines[i]);
    }
    return 0;
}

struct question {
    const char *model;
    const struct worker *const *tried;
    unsigned tried_n;
    int answer;
};

/* On the loop. The pick is counted and given back. */
static void answer(void *arg)
{
    struct question *q = arg;
    struct dispatch_request r = { .ex = &t.ex, .model = str_of(q->model) };
    const struct worker *w = dispatch_pick(t.dispatcher, &r, POLICY_REGULAR, q->tried, q->tried_n, &t.model, &t.failure).worker;

    q->answer = -1;
    for (unsigned i = 0; i < stage.engines_n; i++)
        if (w && stage.engines[i].worker->live == w->live)
            q->answer = (int)i;
    if (w) {
        assert_int_equal(worker_load(w), 1); /* counted by the pick */
        worker_load_end(w);
        worker_unref(w);
    }
}

/* The engine's index, or -1. */
static int pick_untried(const char *model, const struct worker *const *tried, unsigned tried_n)
{
    struct question q = { model, tried, tried_n, -1 };

    stage_do(answer, &q);
    return q.answer;
}

static int pick(const char *model)
{
    return pick_untried(model, NULL, 0);
}

static void only_ready_workers_are_candidates(void **state)
{
    OPEN({ A_WORKER, .status = WORKER_FAILED }, { A_WORKER }, { A_WORKER, .status = WORKER_NOT_READY },
         { A_WORKER, .status = WORKER_DRAINING });
    assert_int_equal(pick("m"), 1);
    assert_int_equal(offered, 1);
}

static void prefill_decode_and_encode_workers_serve_nobody_by_themselves(void **state)
{
    OPEN({ A_WORKER }, { A_WORKER, .type = WORKER_PREFILL }, { A_WORKER, .type = WORKER_DECODE },
         { A_WORKER, .type = WORKER_ENCODE });
    assert_int_equal(pick("m"), 0);
}

static void workers_of_other_protocols_are_no_candidates(void **state)
{
    OPEN({ A_WORKER }, { A_WORKER, .mode = WORKER_GRPC }, { A_WORKER, .mode = WORKER_ZMQ });
    assert_int_equal(pick("m"), 0);
}

static void tried_workers_are_no_candidates(void **state)
{
    const struct worker *tried[2];

    OPEN({ A_WORKER }, { A_WORKER }, { A_WORKER });
    tried[0] = stage.engines[2].worker;
    tried[1] = stage.engines[0].worker;
    assert_int_equal(pick_untried("m", tried, 2), 1);
    assert_int_equal(offered, 1);
}

static void a_new_description_of_a_tried_worker_is_still_that_worker(void **state)
{
    struct worker *before;
    const struct worker *tried[1];

    OPEN({ A_WORKER }, { A_WORKER });
    before = worker_new(&stage.engines[1].worker->spec, stage.engines[1].worker->id, 0, 1, stage.engines[1].worker->live);
    tried[0] = before;
    assert_int_equal(pick_untried("m", tried, 1), 0);
    worker_unref(before);
}

static void when_all_were_tried_it_is_503(void **state)
{
    const struct worker *tried[1];

    OPEN({ A_WORKER });
    tried[0] = stage.engines[0].worker;
    assert_int_equal(pick_untried("m", tried, 1), -1);
    assert_int_equal(t.failure.status, 503);
    assert_int_equal(worker_load(tried[0]), 0);
}

static void a_workers_model_is_not_served_by_another(void **state)
{
    OPEN({ A_WORKER }, { .kind = ENGINE_CLOSED, .model = "n" });
    assert_int_equal(pick("m"), 0);
    assert_int_equal(pick("n"), 1);
    assert_int_equal(pick("o"), -1);
    assert_int_equal(t.failure.status, 404);
    assert_str(t.failure.code, "model_not_found");
    assert_int_equal(t.failure.retry_after_s, 0);
}

static void an_alias_becomes_the_canonical_name(void **state)
{
    OPEN({ A_WORKER, .alias = "short" });
    assert_int_equal(pick("short"), 0);
    assert_str(t.model, "m");
}

static void the_canonical_name_stays_that_of_the_first_pick(void **state)
{
    OPEN({ A_WORKER, .alias = "short" });
    t.model = STR("before");
    assert_int_equal(pick("short"), 0);
    assert_str(t.model, "before");
}

static void a_worker_without_a_model_serves_every_name_as_the_client_wrote_it(void **state)
{
    OPEN({ .kind = ENGINE_CLOSED });
    assert_int_equal(pick("anything"), 0);
    assert_str(t.model, "anything");
}

static void no_name_and_unknown_mean_any_worker(void **state)
{
    OPEN({ A_WORKER }, { .kind = ENGINE_CLOSED, .model = "n" });
    assert_int_equal(pick(""), 1);
    assert_int_equal(offered, 2);
    assert_str(t.model, "unknown");
    assert_int_equal(pick("unknown"), 1);
}

static void no_workers_at_all_is_404(void **state)
{
    open_with(NULL, &LAST);
    assert_int_equal(pick("m"), -1);
    assert_int_equal(t.failure.status, 404);
    assert_int_equal(pick(""), -1);
    assert_int_equal(t.failure.status, 404);
}

static void set_status(unsigned i, enum worker_status status)
{
    atomic_store(&stage.engines[i].worker->live->status, status);
    atomic_fetch_add(&stage.registry.status_changes, 1);
}

static void a_change_of_status_is_seen_by_the_next_pick(void **state)
{
    OPEN({ A_WORKER }, { A_WORKER });
    assert_int_equal(pick("m"), 1);
    set_status(1, WORKER_NOT_READY);
    assert_int_equal(pick("m"), 0);
    set_status(1, WORKER_READY);
    assert_int_equal(pick("m"), 1);
    assert_int_equal(offered, 2);
}

static void give_breaker(unsigned i)
{
    stage.engines[i].worker->spec.judge.breaker =
        (struct breaker_conf){ .failure_threshold = 1, .success_threshold = 1, .timeout_ms = 50, .window_ms = 1000 };
}

static bool fail_on(unsigned i)
{
    struct worker *w = stage.engines[i].worker;

    return breaker_report(&w->live->breaker, &w->spec.judge.breaker, BREAKER_FAILURE, /* probe= */ false, clock_now_us());
}

static void an_open_breaker_is_left_out_until_its_time_is_over(void **state)
{
    OPEN({ A_WORKER }, { A_WORKER });
    give_breaker(1);
    assert_int_equal(pick("m"), 1);
    assert_true(fail_on(1));
    registry_admissions_changed(&stage.registry);
    assert_int_equal(pick("m"), 0);
    assert_int_equal(offered, 1);
    nap_ms(100); /* nobody changes anything: the list is made anew by itself */
    assert_int_equal(pick("m"), 1);
    assert_int_equal(pick("m"), 0); /* its probe is on the way */
    assert_int_equal(breaker_view(&stage.engines[1].worker->live->breaker).state, BREAKER_HALF_OPEN);
}

static void a_probes_place_that_was_taken_meanwhile_leads_to_another(void **state)
{
    struct worker *w;

    OPEN({ A_WORKER }, { A_WORKER });
    give_breaker(1);
    w = stage.engines[1].worker;
    fail_on(1);
    nap_ms(100);
    registry_admissions_changed(&stage.registry);
    assert_int_equal(pick("m"), 1); /* the list has it, and this is the probe */
    breaker_report(&w->live->breaker, &w->spec.judge.breaker, BREAKER_NOTHING, /* probe= */ true, clock_now_us());
    assert_int_equal(breaker_enter(&w->live->breaker, &w->spec.judge.breaker, clock_now_us()), BREAKER_PROBE);
    /* another loop's: the list does not know */
    assert_int_equal(pick("m"), 0);
}

static void the_reserve_serves_when_nobody_else_does(void **state)
{
    const struct worker *tried[1];

    OPEN({ A_WORKER }, { A_WORKER }, { A_WORKER });
    atomic_store(&stage.engines[1].worker->live->cooling_until_us, clock_now_us() + 60000000);
    atomic_store(&stage.engines[2].worker->live->cooling_until_us, clock_now_us() + 60000000);
    assert_int_equal(pick("m"), 0);
    assert_int_equal(offered, 1);
    tried[0] = stage.engines[0].worker;
    assert_int_equal(pick_untried("m", tried, 1), 2);
    assert_int_equal(offered, 2);
    set_status(0, WORKER_NOT_READY);
    assert_int_equal(pick("m"), 2);
    set_status(0, WORKER_READY);
    atomic_store(&stage.engines[1].worker->live->cooling_until_us, clock_now_us() + 50000);
    registry_admissions_changed(&stage.registry);
    assert_int_equal(pick("m"), 0);
    nap_ms(100);
    assert_int_equal(pick("m"), 1);
    assert_int_equal(offered, 2);
}

static void a_new_table_is_seen_by_the_next_pick(void **state)
{
    const struct worker *rows[1];

    OPEN({ A_WORKER }, { A_WORKER });
    assert_int_equal(pick("m"), 1);
    rows[0] = stage.engines[0].worker;
    snapshot_publish(&stage.registry.table, worker_table_new(rows, 1));
    assert_int_equal(pick("m"), 0);
    assert_int_equal(offered, 1);
}

static void more_models_than_lists_are_all_served(void **state)
{
    OPEN({ A_WORKER }, { .kind = ENGINE_CLOSED, .model = "n" }, { .kind = ENGINE_CLOSED, .model = "o" });
    for (unsigned round = 0; round < 3; round++) {
        assert_int_equal(pick("m"), 0);
        assert_int_equal(pick("n"), 1);
        assert_int_equal(pick("o"), 2);
        assert_int_equal(pick(""), 2);
        assert_int_equal(offered, 3);
    }
}

static void a_policy_may_want_none_of_them(void **state)
{
    open_with((const struct engine[]){ { A_WORKER }, { 0 } }, &NOBODY);
    assert_int_equal(pick("m"), -1);
    assert_int_equal(t.failure.status, 503);
    assert_str(t.failure.code, "no_available_workers");
    assert_int_equal(t.failure.retry_after_s, 1);
    assert_int_equal(worker_load(stage.engines[0].worker), 0);
}

#define RULE(f) cmocka_unit_test_teardown(f, close_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(only_ready_workers_are_candidates),
        RULE(prefill_decode_and_encode_workers_serve_nobody_by_themselves),
        RULE(workers_of_other_protocols_are_no_candidates),
        RULE(tried_workers_are_no_candidates),
        RULE(a_new_description_of_a_tried_worker_is_still_that_worker),
        RULE(when_all_were_tried_it_is_503),
        RULE(a_workers_model_is_not_served_by_another),
        RULE(an_alias_becomes_the_canonical_name),
        RULE(the_canonical_name_stays_that_of_the_first_pick),
        RULE(a_worker_without_a_model_serves_every_name_as_the_client_wrote_it),
        RULE(no_name_and_unknown_mean_any_worker),
        RULE(no_workers_at_all_is_404),
        RULE(a_change_of_status_is_seen_by_the_next_pick),
        RULE(an_open_breaker_is_left_out_until_its_time_is_over),
        RULE(a_probes_place_that_was_taken_meanwhile_leads_to_another),
        RULE(the_reserve_serves_when_nobody_else_does),
        RULE(a_new_table_is_seen_by_the_next_pick),
        RULE(more_models_than_lists_are_all_served),
        RULE(a_policy_may_want_none_of_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
