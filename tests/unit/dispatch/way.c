/* way.c -- who carries a request where models are told apart: pairs or single engines by weight, providers before both */
#include "stage.h"

#include "fail_alloc.h"

static struct {
    struct exchange ex;
    struct dispatcher *dispatcher;
} t;

static void open_with(const struct engine *engines, struct dispatcher_conf conf)
{
    memset(&stage, 0, sizeof stage);
    memset(&t, 0, sizeof t);
    stage_engines(engines);
    assert_int_equal(loop_new("test", 0, &stage.loop, NULL), 0);
    stage_policies(&FIRST);
    assert_int_equal(dispatcher_new(stage.loop, NULL, &stage.registry, stage.policies, &conf, &t.dispatcher), 0);
    arena_init(&t.ex.arena, NULL, 0);
    assert_int_equal(loop_start_thread(stage.loop, NULL), 0);
}

static int close_all(void **state)
{
    loop_stop(stage.loop);
    loop_join(stage.loop);
    arena_fini(&t.ex.arena);
    dispatcher_free(t.dispatcher);
    policy_set_free(stage.policies);
    loop_free(stage.loop);
    snapshot_fini(&stage.registry.table);
    for (unsigned i = 0; i < stage.engines_n; i++)
        engine_unbind(&stage.engines[i]);
    return 0;
}

#define BY_MODEL  ((struct dispatcher_conf){ .by_model = true })
#define OPEN(...) open_with((const struct engine[]){ __VA_ARGS__, { 0 } }, BY_MODEL)
#define IS        .kind = ENGINE_CLOSED, .model = "m"
#define R         IS
#define P         IS, .type = WORKER_PREFILL
#define D         IS, .type = WORKER_DECODE
#define EXTERNAL  IS, .runtime = RUNTIME_EXTERNAL
#define DOWN      .status = WORKER_NOT_READY

#define DRAWS 10000

struct draws {
    const char *model;
    unsigned n, pairs;
};

static void draw_all(void *arg)
{
    struct draws *d = arg;

    for (unsigned i = 0; i < d->n; i++)
        d->pairs += dispatcher_wants_pair(t.dispatcher, str_of(d->model));
}

static unsigned pairs_of(const char *model, unsigned draws)
{
    struct draws d = { .model = model, .n = draws };

    stage_do(draw_all, &d);
    return d.pairs;
}

static bool always(const char *model)
{
    return pairs_of(model, 200) == 200;
}

static bool never(const char *model)
{
    return pairs_of(model, 200) == 0;
}

static void set_status(unsigned engine, enum worker_status status)
{
    atomic_store(&stage.engines[engine].worker->live->status, (int)status);
    atomic_fetch_add(&stage.registry.status_changes, 1);
}

static void dp_7_the_share_of_pairs_is_that_of_their_workers(void **state)
{
    unsigned pairs;

    OPEN({ P }, { P }, { D }, { D }, { R }, { R }, { R }, { R }, { R }, { R });
    pairs = pairs_of("m", DRAWS);
    assert_in_range(pairs, DRAWS * 35 / 100, DRAWS * 45 / 100);
    assert_in_range(pairs_of("", DRAWS), DRAWS * 35 / 100, DRAWS * 45 / 100);
    assert_in_range(pairs_of("unknown", DRAWS), DRAWS * 35 / 100, DRAWS * 45 / 100);
}

static void dp_7_prefill_workers_alone_make_no_pair(void **state)
{
    OPEN({ P }, { P });
    assert_true(never("m"));
}

static void a_side_alone_leaves_all_to_the_others(void **state)
{
    OPEN({ P }, { P }, { R });
    assert_true(never("m"));
}

static void without_others_all_go_to_pairs(void **state)
{
    OPEN({ P }, { D });
    assert_true(always("m"));
}

static void an_unknown_model_is_for_one_worker_which_is_not_found(void **state)
{
    OPEN({ P }, { D });
    assert_true(never("n"));
}

static void a_fleet_without_workers_is_for_one_worker_too(void **state)
{
    open_with(NULL, BY_MODEL);
    assert_true(never("m"));
    assert_true(never(""));
}

static void each_model_is_weighed_by_its_own_workers(void **state)
{
    OPEN({ P }, { D }, { .kind = ENGINE_CLOSED, .model = "other" });
    assert_true(always("m"));
    assert_true(never("other"));
}

static void workers_that_are_down_have_no_weight(void **state)
{
    OPEN({ P }, { D }, { R });
    assert_in_range(pairs_of("m", DRAWS), DRAWS / 2, DRAWS * 9 / 10); /* 2 of 3 */
    set_status(0, WORKER_NOT_READY);
    assert_true(never("m"));
    set_status(0, WORKER_READY);
    set_status(2, WORKER_FAILED);
    assert_true(always("m"));
}

static void where_all_are_down_the_way_that_has_workers_says_so(void **state)
{
    OPEN({ P, DOWN }, { D, DOWN });
    assert_true(always("m"));
}

static void where_all_are_down_single_workers_come_first(void **state)
{
    OPEN({ P, DOWN }, { D, DOWN }, { R, DOWN });
    assert_true(never("m"));
}

static void the_reserve_has_weight_where_nobody_else_is_left(void **state)
{
    OPEN({ P }, { D }, { R, DOWN });
    for (unsigned i = 0; i < 2; i++)
        atomic_store(&stage.engines[i].worker->live->cooling_until_us, clock_now_us() + 60000000);
    assert_true(always("m"));
    set_status(2, WORKER_READY);
    assert_true(never("m"));
}

static void sides_that_do_not_understand_each_other_make_no_pair(void **state)
{
    OPEN({ P, .runtime = RUNTIME_VLLM }, { D, .runtime = RUNTIME_SGLANG }, { R });
    assert_true(never("m"));
}

static void a_way_for_all_models_is_not_drawn(void **state)
{
    open_with((const struct engine[]){ { P }, { D }, { 0 } }, (struct dispatcher_conf){ 0 });
    assert_true(never("m"));
}

static void pairs_for_all_models_are_not_drawn(void **state)
{
    open_with((const struct engine[]){ { R }, { 0 } }, (struct dispatcher_conf){ .pairs = true });
    assert_true(always("m"));
}

/* ---- providers ---- */

struct question {
    const char *model;
    bool tried[ENGINES_MAX];
    int answer;
};

static void answer(void *arg)
{
    struct question *q = arg;
    struct dispatch_request r = { .ex = &t.ex, .model = str_of(q->model) };
    const struct worker *tried[ENGINES_MAX];
    struct dispatch_failure failure;
    struct str model = { 0 };
    unsigned tried_n = 0;
    const struct worker *w;

    for (unsigned i = 0; i < stage.engines_n; i++)
        if (q->tried[i])
            tried[tried_n++] = stage.engines[i].worker;
    w = dispatch_pick(t.dispatcher, &r, POLICY_REGULAR, tried, tried_n, &model, &failure).worker;
    q->answer = -1;
    for (unsigned i = 0; w && i < stage.engines_n; i++)
        if (stage.engines[i].worker->live == w->live)
            q->answer = (int)i;
    if (w) {
        worker_load_end(w);
        worker_unref(w);
    }
}

/* The engine that is picked for MODEL, or the status of the failure, negative. */
static int picked(const char *model)
{
    struct question q = { .model = model };

    stage_do(answer, &q);
    return q.answer;
}

static int picked_next(const char *model, unsigned tried)
{
    struct question q = { .model = model };

    q.tried[tried] = true;
    stage_do(answer, &q);
    return q.answer;
}

static void dp_8_a_provider_serves_its_model_although_engines_do_too(void **state)
{
    OPEN({ R }, { P }, { D }, { EXTERNAL });
    assert_true(never("m"));
    assert_int_equal(picked("m"), 3);
}

static void a_retry_does_not_leave_the_provider(void **state)
{
    OPEN({ R }, { EXTERNAL }, { EXTERNAL });
    assert_int_equal(picked_next("m", 1), 2);
}

static void engines_do_not_stand_in_for_a_provider_that_is_down(void **state)
{
    OPEN({ R }, { EXTERNAL, DOWN });
    assert_int_equal(picked("m"), -1);
}

static void the_first_provider_decides_which_kind_serves(void **state)
{
    OPEN({ EXTERNAL, .provider = "anthropic" }, { EXTERNAL, .provider = "openai" }, { EXTERNAL, .provider = "anthropic" });
    assert_int_equal(picked_next("m", 0), 2);
    set_status(0, WORKER_NOT_READY);
    set_status(2, WORKER_NOT_READY);
    assert_int_equal(picked("m"), -1);
}

static void providers_without_a_kind_of_their_own_are_openai_s(void **state)
{
    OPEN({ EXTERNAL, .provider = "xai" }, { EXTERNAL }, { EXTERNAL, .provider = "gemini" });
    assert_int_equal(picked_next("m", 0), 1);
}

static void a_provider_of_any_model_serves_names_that_nobody_claims(void **state)
{
    OPEN({ .kind = ENGINE_CLOSED }, { R }, { .kind = ENGINE_CLOSED, .runtime = RUNTIME_EXTERNAL });
    assert_int_equal(picked("x"), 2);
    assert_int_equal(picked("m"), 1);
}

static void a_request_without_a_model_may_go_to_anybody(void **state)
{
    OPEN({ R }, { EXTERNAL });
    assert_int_equal(picked(""), 0);
}

static void where_models_are_not_told_apart_a_provider_is_one_of_many(void **state)
{
    open_with((const struct engine[]){ { R }, { EXTERNAL }, { 0 } }, (struct dispatcher_conf){ 0 });
    assert_int_equal(picked("m"), 0);
}

static void draw_without_memory(void *arg)
{
    (void)arg;
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        for (unsigned i = 0; i < CANDIDATE_LISTS; i++) {
            free(t.dispatcher->lists[i].rows);
            t.dispatcher->lists[i] = (struct candidates){ 0 };
        }
        (void)dispatcher_wants_pair(t.dispatcher, STR("m"));
    }
    assert_true(dispatcher_wants_pair(t.dispatcher, STR("m")));
}

static void a_draw_without_memory_is_for_one_worker(void **state)
{
    OPEN({ P }, { D });
    stage_do(draw_without_memory, NULL);
}

#define RULE(f) cmocka_unit_test_teardown(f, close_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(dp_7_the_share_of_pairs_is_that_of_their_workers),
        RULE(dp_7_prefill_workers_alone_make_no_pair),
        RULE(a_side_alone_leaves_all_to_the_others),
        RULE(without_others_all_go_to_pairs),
        RULE(an_unknown_model_is_for_one_worker_which_is_not_found),
        RULE(a_fleet_without_workers_is_for_one_worker_too),
        RULE(each_model_is_weighed_by_its_own_workers),
        RULE(workers_that_are_down_have_no_weight),
        RULE(where_all_are_down_the_way_that_has_workers_says_so),
        RULE(where_all_are_down_single_workers_come_first),
        RULE(the_reserve_has_weight_where_nobody_else_is_left),
        RULE(sides_that_do_not_understand_each_other_make_no_pair),
        RULE(a_way_for_all_models_is_not_drawn),
        RULE(pairs_for_all_models_are_not_drawn),
        RULE(dp_8_a_provider_serves_its_model_although_engines_do_too),
        RULE(a_retry_does_not_leave_the_provider),
        RULE(engines_do_not_stand_in_for_a_provider_that_is_down),
        RULE(the_first_provider_decides_which_kind_serves),
        RULE(providers_without_a_kind_of_their_own_are_openai_s),
        RULE(a_provider_of_any_model_serves_names_that_nobody_claims),
        RULE(a_request_without_a_model_may_go_to_anybody),
        RULE(where_models_are_not_told_apart_a_provider_is_one_of_many),
        RULE(a_draw_without_memory_is_for_one_worker),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
