/* chain.c -- the rules of a run: order, failures, rejects, waits, pauses, owners that leave; with a fake engine, on a loop of its own */
#include "fake_engine.h"

#include "plugin/chain.h"

static const int REQUEST_POINT[] = { PLUGIN_ON_REQUEST }, REPLY_POINTS[] = { PLUGIN_ON_RESPONSE, PLUGIN_ON_ERROR };

static struct scene {
    struct loop *loop;
    struct plugin_chain chain;
    struct plugin_threads *threads;
    struct plugin_totals totals;
    struct plugin_table *table;
    sem_t done;

    struct plugin_run *run;
    _Atomic unsigned dones, told;
    enum plugin_verdict verdict;
    unsigned status;
    char x_o[64], body[64];
    bool inside, was_inside;
    unsigned suspended_n; /* as the loop last saw it */
} scene;

struct act {
    struct message message;
    void (*fn)(void);
};

static void run_act(struct loop *loop, struct message *m)
{
    struct act *a = CONTAINER_OF(m, struct act, message);

    (void)loop;
    a->fn();
    sem_post(&scene.done);
}

/* FN on the loop, before this returns. */
static void on_loop(void (*fn)(void))
{
    struct act a = { .message.run = run_act, .fn = fn };

    loop_post(scene.loop, &a.message);
    while (sem_wait(&scene.done) < 0)
        ;
}

static void nothing(void)
{
}

static struct {
    bool (*true_now)(void);
    bool answer;
} question;

static void ask(void)
{
    question.answer = question.true_now();
}

/* TRUE_NOW is asked on the loop. */
static bool eventually(bool (*true_now)(void))
{
    question.true_now = true_now;
    for (int i = 0; i < 2000; i++) {
        on_loop(ask);
        if (question.answer)
            return true;
        usleep(2000);
    }
    return false;
}

static bool is_done(void)
{
    return atomic_load(&scene.dones) > 0;
}

static bool is_told(void)
{
    return atomic_load(&scene.told) > 0;
}

static bool is_paused(void)
{
    return atomic_load(&fake.paused) != NULL && scene.run->state == RUN_PAUSED;
}

static bool is_at_gate(void)
{
    return atomic_load(&fake.at_gate) > 0;
}

static void told(const struct plugin_run *run, void *arg)
{
    (void)run;
    (void)arg;
    atomic_fetch_add(&scene.told, 1);
}

static int setup_with(unsigned threads, unsigned queue, uint32_t queue_ms)
{
    struct plugin_chain_conf conf = { .totals = &scene.totals, .timeout_ms = 1000, .max_memory_pages = 16, .max_body_bytes = 1000 };

    memset(&scene, 0, sizeof scene);
    fake_init();
    sem_init(&scene.done, 0, 0);
    assert_int_equal(loop_new("test", 0, &scene.loop, NULL), 0);
    assert_int_equal(plugin_threads_new(threads, queue, &scene.threads, NULL), 0);
    scene.table = plugin_table_next(NULL, NULL, NULL);
    conf.threads = scene.threads;
    conf.queue_ms = queue_ms;
    conf.ended = told;
    plugin_chain_init(&scene.chain, &conf, scene.loop);
    assert_int_equal(loop_start_thread(scene.loop, NULL), 0);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    return setup_with(2, 8, 0);
}

static int teardown(void **state)
{
    (void)state;
    for (int i = 0; i < 16; i++)
        sem_post(&fake.gate);
    plugin_threads_free(scene.threads);
    loop_stop(scene.loop);
    loop_join(scene.loop);
    plugin_chain_fini(&scene.chain);
    plugin_table_unref(scene.table);
    loop_free(scene.loop);
    sem_destroy(&scene.done);
    fake_fini();
    return 0;
}

static struct plugin_module *add(const char *behaviour, const int *attach, size_t attach_n, enum plugin_failure on_failure)
{
    struct plugin_descriptor d = fake_descriptor(behaviour, attach, attach_n);
    struct plugin_module *m;
    struct plugin_table *next;
    char bytes[64];
    int n = snprintf(bytes, sizeof bytes, "%.8sfake:%s", "12345678", behaviour);
    unsigned points;

    memcpy(bytes, FAKE_MAGIC, 8);
    d.on_failure = on_failure;
    if (strcmp(behaviour, "async-never") == 0)
        d.timeout_ms = 20;
    m = plugin_module_new(&fake.engine, &d);
    assert_non_null(m);
    assert_int_equal(fake_compile(&fake.engine, d.name, (struct str){ bytes, (size_t)n }, &m->code, &points, NULL), 0);
    next = plugin_table_next(scene.table, m, NULL);
    assert_non_null(next);
    plugin_table_unref(scene.table);
    scene.table = next;
    plugin_module_unref(m);
    return m; /* the table has it */
}

static struct plugin_module *on_request(const char *behaviour)
{
    return add(behaviour, REQUEST_POINT, 1, PLUGIN_FAILURE_ALLOW);
}

static void on_done(struct plugin_run *run)
{
    const struct http_field *x_o = http_find_name(&run->message.fields, STR("x-o"));

    scene.was_inside = scene.inside;
    scene.verdict = run->verdict;
    scene.status = run->verdict == PLUGIN_REJECTED ? run->status : run->message.status;
    snprintf(scene.x_o, sizeof scene.x_o, "%.*s", STR_FMT(x_o ? x_o->value : STR_NONE));
    snprintf(scene.body, sizeof scene.body, "%.*s", STR_FMT(run->message.body));
    atomic_fetch_add(&scene.dones, 1);
}

static void begin_at(unsigned points, enum plugin_side side, unsigned status)
{
    struct plugin_run *run = plugin_run_new(&scene.chain, scene.table, points, side);

    assert_non_null(run);
    run->message.body = STR("original");
    run->message.status = status;
    run->request_id = STR("req-1");
    scene.run = run;
    scene.inside = true;
    plugin_run_start(run, on_done, NULL);
    scene.inside = false;
}

static void begin_request(void)
{
    begin_at(1u << PLUGIN_ON_REQUEST, PLUGIN_REQUEST, 0);
}

static void begin_reply(void)
{
    begin_at(1u << PLUGIN_ON_RESPONSE, PLUGIN_REPLY, 500);
}

static void drop(void)
{
    plugin_run_drop(scene.run);
}

static void run_it(void (*begin)(void))
{
    on_loop(begin);
    assert_true(eventually(is_done));
    assert_false(scene.was_inside); /* never from inside the starting call */
    on_loop(drop);
    assert_int_equal(atomic_load(&scene.told), atomic_load(&scene.dones));
}

/* ---- outcomes ---- */

static void plugins_run_in_the_order_of_their_registration_and_see_what_those_before_them_did(void **state)
{
    on_request("body");
    on_request("stamp");
    run_it(begin_request);
    assert_int_equal(scene.verdict, PLUGIN_PASS);
    assert_string_equal(fake.seen, "replaced");
    assert_string_equal(scene.body, "replaced");
    assert_string_equal(scene.x_o, "stamped");
}

static void a_reject_ends_the_phase(void **state)
{
    struct plugin_module *second;

    on_request("reject");
    second = on_request("stamp");
    run_it(begin_request);
    assert_int_equal(scene.verdict, PLUGIN_REJECTED);
    assert_int_equal(scene.status, 429);
    assert_int_equal(atomic_load(&second->accesses), 0);
    assert_int_equal(atomic_load(&scene.totals.counts.done), 1); /* a reject is a success */
}

static void one_that_fails_is_skipped_and_counted(void **state)
{
    struct plugin_module *m = on_request("trap");

    on_request("stamp");
    run_it(begin_request);
    assert_int_equal(scene.verdict, PLUGIN_PASS);
    assert_string_equal(scene.x_o, "stamped");
    assert_int_equal(atomic_load(&m->counts.failed), 1);
    assert_int_equal(atomic_load(&m->accesses), 1);
    assert_int_equal(atomic_load(&scene.totals.counts.failed), 1);
    assert_int_equal(atomic_load(&scene.totals.counts.done), 1);
}

static void one_that_must_not_be_skipped_refuses_the_request_when_it_fails(void **state)
{
    add("trap", REQUEST_POINT, 1, PLUGIN_FAILURE_REJECT);
    on_request("stamp");
    run_it(begin_request);
    assert_int_equal(scene.verdict, PLUGIN_REFUSED);
    assert_int_equal(atomic_load(&fake.called), 1);
}

static void one_without_code_fails_as_its_policy_says(void **state)
{
    struct plugin_module *m = add("stamp", REQUEST_POINT, 1, PLUGIN_FAILURE_REJECT);

    fake_release(&fake.engine, STEAL(m->code));
    m->trouble = STR("the file is gone");
    run_it(begin_request);
    assert_int_equal(scene.verdict, PLUGIN_REFUSED);
    assert_int_equal(atomic_load(&m->counts.failed), 1);
}

static void a_body_over_the_bound_is_a_failure(void **state)
{
    on_request("large");
    run_it(begin_request);
    assert_int_equal(scene.verdict, PLUGIN_PASS);
    assert_string_equal(scene.body, "original");
    assert_int_equal(atomic_load(&scene.totals.counts.failed), 1);
}

static void a_module_that_wants_no_body_gets_none(void **state)
{
    struct plugin_module *m = on_request("continue");

    m->d.without_body = true;
    run_it(begin_request);
    assert_string_equal(fake.seen, "");
    assert_string_equal(scene.body, "original");
}

static void only_the_modules_of_the_point_run(void **state)
{
    on_request("reject");
    add("stamp", REPLY_POINTS, 2, PLUGIN_FAILURE_ALLOW);
    run_it(begin_reply);
    assert_int_equal(scene.verdict, PLUGIN_PASS);
    assert_string_equal(scene.x_o, "stamped");
    assert_int_equal(atomic_load(&fake.called), 1);
}

/* ---- pause and resume ---- */

static void a_plugin_may_answer_later_and_takes_no_thread_meanwhile(void **state)
{
    on_request("async-stamp");
    on_request("body");
    on_loop(begin_request);
    assert_true(eventually(is_paused));
    assert_int_equal(plugin_threads_waiting(scene.threads), 0);
    assert_false(is_done());
    fake_answer();
    assert_true(eventually(is_done));
    assert_string_equal(scene.x_o, "stamped");
    assert_string_equal(scene.body, "replaced"); /* those behind it go on */
    assert_int_equal(atomic_load(&scene.totals.counts.done), 2);
    on_loop(drop);
}

static void an_answer_that_comes_before_the_thread_is_back_counts(void **state)
{
    on_request("async-early");
    on_request("stamp");
    run_it(begin_request);
    assert_string_equal(scene.x_o, "stamped");
}

static void a_later_reject_counts_too(void **state)
{
    on_request("async-reject");
    on_loop(begin_request);
    assert_true(eventually(is_paused));
    fake_answer();
    assert_true(eventually(is_done));
    assert_int_equal(scene.verdict, PLUGIN_REJECTED);
    on_loop(drop);
}

static void an_answer_that_does_not_come_in_time_is_a_failure(void **state)
{
    struct plugin_module *m = on_request("async-never");

    on_request("stamp");
    run_it(begin_request);
    assert_int_equal(scene.verdict, PLUGIN_PASS);
    assert_string_equal(scene.x_o, "stamped");
    assert_int_equal(atomic_load(&m->counts.failed), 1);
    assert_int_equal(atomic_load(&fake.cancelled), 1);
}

static void an_owner_that_leaves_while_a_plugin_pauses_cancels_it(void **state)
{
    on_request("async-stamp");
    on_loop(begin_request);
    assert_true(eventually(is_paused));
    on_loop(drop);
    assert_true(eventually(is_told));
    assert_int_equal(atomic_load(&scene.dones), 0);
    assert_null(atomic_load(&fake.paused));
}

static void what_cannot_be_cancelled_is_waited_for(void **state)
{
    on_request("async-stamp");
    on_loop(begin_request);
    assert_true(eventually(is_paused));
    fake.refuse_cancel = true;
    on_loop(drop);
    on_loop(nothing);
    assert_false(is_told());
    fake_answer();
    assert_true(eventually(is_told));
    assert_int_equal(atomic_load(&scene.dones), 0);
}

/* ---- threads ---- */

static void an_owner_that_leaves_while_a_plugin_runs_is_forgotten_when_it_is_through(void **state)
{
    on_request("wait");
    on_request("stamp");
    on_loop(begin_request);
    assert_true(eventually(is_at_gate));
    on_loop(drop);
    assert_false(is_told());
    sem_post(&fake.gate);
    assert_true(eventually(is_told));
    assert_int_equal(atomic_load(&scene.dones), 0);
    assert_int_equal(atomic_load(&fake.called), 1); /* the second one did not begin */
}

static int one_thread_short_wait(void **state)
{
    (void)state;
    return setup_with(1, 1, 30);
}

static void begin_three(void)
{
    begin_request();
    begin_request();
}

static bool three_are_done(void)
{
    return atomic_load(&scene.dones) == 2;
}

/* One runs, one waits and is not served in time, the third finds the queue full. */
static void runs_that_no_thread_takes_in_time_fail_as_their_plugins_policies_say(void **state)
{
    struct plugin_module *m = on_request("wait");

    on_loop(begin_request);
    assert_true(eventually(is_at_gate));
    on_loop(begin_three);
    assert_true(eventually(three_are_done));
    assert_int_equal(scene.verdict, PLUGIN_PASS);
    assert_int_equal(atomic_load(&scene.totals.refused), 2);
    assert_int_equal(atomic_load(&m->counts.failed), 2);
    assert_int_equal(atomic_load(&fake.called), 1);
}

static void nobody_is_skipped_who_must_not_be_when_no_thread_is_free(void **state)
{
    on_request("wait");
    add("stamp", REQUEST_POINT, 1, PLUGIN_FAILURE_REJECT);
    on_loop(begin_request);
    assert_true(eventually(is_at_gate));
    on_loop(begin_request);
    assert_true(eventually(is_done));
    assert_int_equal(scene.verdict, PLUGIN_REFUSED);
}

static void a_run_that_is_dropped_while_it_waits_never_begins(void **state)
{
    on_request("wait");
    on_loop(begin_request);
    assert_true(eventually(is_at_gate));
    on_loop(begin_request);
    on_loop(drop);
    assert_true(eventually(is_told));
    assert_int_equal(atomic_load(&fake.called), 1);
    assert_int_equal(plugin_threads_waiting(scene.threads), 0);
}

#define RULE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
static int one_thread(void **state)
{
    (void)state;
    return setup_with(1, 8, 0);
}

#define ONE(name)   cmocka_unit_test_setup_teardown(name, one_thread, teardown)
#define SHORT(name) cmocka_unit_test_setup_teardown(name, one_thread_short_wait, teardown)

/* ---- on the loop ---- */

static void count_suspended(void)
{
    scene.suspended_n = scene.chain.suspended_n;
}

/* One that has shown itself quick. */
static struct plugin_module *quick(const char *behaviour)
{
    struct plugin_module *m = on_request(behaviour);

    atomic_store(&m->held_back, 0);
    return m;
}

static bool is_suspended(void)
{
    return atomic_load(&fake.paused) != NULL && scene.chain.suspended_n > 0;
}

static void a_quick_plugin_runs_on_the_loop_once_it_has_shown_that_it_is(void **state)
{
    on_request("quick-stamp");
    for (unsigned i = 0; i <= PACE_FIRST; i++) {
        assert_int_equal(atomic_load(&fake.on_loop), 0);
        atomic_store(&scene.dones, 0);
        atomic_store(&scene.told, 0);
        run_it(begin_request);
        assert_string_equal(scene.x_o, "stamped");
    }
    assert_int_equal(atomic_load(&fake.on_loop), 1);
    assert_int_equal(atomic_load(&scene.totals.counts.done), PACE_FIRST + 1);
}

static void slow_answers_keep_a_plugin_from_the_loop(void **state)
{
    struct plugin_module *m = quick("quick-stamp");

    plugin_module_pace(m, PACE_QUICK_US, false);
    assert_true(plugin_module_is_quick(m));
    plugin_module_pace(m, PACE_QUICK_US + 1, false);
    for (unsigned i = 0; i < PACE_SLOW; i++, plugin_module_pace(m, 1, false))
        assert_false(plugin_module_is_quick(m));
    assert_true(plugin_module_is_quick(m));
    for (unsigned i = 0; i < 1000; i++)
        plugin_module_pace(m, 1000000, false);
    for (unsigned i = 0; i < PACE_SUSPENDED; i++, plugin_module_pace(m, 1, false))
        assert_false(plugin_module_is_quick(m)); /* not for ever */
    assert_true(plugin_module_is_quick(m));
}

static void the_loop_hands_the_rest_to_a_thread_at_the_first_plugin_that_is_not_for_it(void **state)
{
    quick("quick-body");
    on_request("stamp");
    quick("quick-continue");
    run_it(begin_request);
    assert_int_equal(atomic_load(&fake.on_loop), 1);
    assert_int_equal(atomic_load(&fake.called), 3);
    assert_string_equal(scene.x_o, "stamped");
    assert_string_equal(scene.body, "replaced");
}

static void a_reject_on_the_loop_ends_the_phase(void **state)
{
    quick("quick-reject");
    on_request("stamp");
    run_it(begin_request);
    assert_int_equal(scene.verdict, PLUGIN_REJECTED);
    assert_int_equal(scene.status, 429);
    assert_int_equal(atomic_load(&fake.called), 1);
}

static void one_that_fails_on_the_loop_is_skipped(void **state)
{
    quick("quick-trap");
    quick("quick-stamp");
    run_it(begin_request);
    assert_int_equal(atomic_load(&fake.on_loop), 2);
    assert_string_equal(scene.x_o, "stamped");
    assert_int_equal(atomic_load(&scene.totals.counts.failed), 1);
}

static void one_that_takes_too_long_goes_on_on_a_thread_and_stays_from_the_loop(void **state)
{
    struct plugin_module *m = quick("quick-long-stamp");

    run_it(begin_request);
    assert_string_equal(scene.x_o, "stamped");
    assert_int_equal(atomic_load(&fake.called), 2);
    assert_int_equal(atomic_load(&m->accesses), 1);
    assert_int_equal(atomic_load(&m->counts.done), 1);
    assert_int_equal(atomic_load(&m->held_back), PACE_SUSPENDED - 1);
    on_loop(count_suspended);
    assert_int_equal(scene.suspended_n, 0);
    assert_int_equal(atomic_load(&fake.cancelled), 0);
}

static void begin_large(void)
{
    static char body[CHAIN_LOOP_BODY + 1];
    struct plugin_run *run = plugin_run_new(&scene.chain, scene.table, 1u << PLUGIN_ON_REQUEST, PLUGIN_REQUEST);

    assert_non_null(run);
    run->message.body = (struct str){ memset(body, 'x', sizeof body), sizeof body };
    scene.run = run;
    plugin_run_start(run, on_done, NULL);
}

static void a_large_body_goes_to_a_thread_unless_the_plugin_wants_none(void **state)
{
    struct plugin_module *m = quick("quick-continue");

    run_it(begin_large);
    assert_int_equal(atomic_load(&fake.on_loop), 0);
    m->d.without_body = true;
    atomic_store(&m->held_back, 0); /* on a busy machine the thread may have been slow */
    atomic_store(&scene.dones, 0);
    atomic_store(&scene.told, 0);
    run_it(begin_large);
    assert_int_equal(atomic_load(&fake.on_loop), 1);
}

/* The only thread is at the gate. */
static void occupy_the_thread(void)
{
    struct plugin_table *quick_ones = scene.table;

    scene.table = plugin_table_next(NULL, NULL, NULL);
    on_request("wait");
    on_loop(begin_request);
    assert_true(eventually(is_at_gate));
    on_loop(drop);
    plugin_table_unref(scene.table);
    scene.table = quick_ones;
}

static void an_owner_that_leaves_while_its_plugin_is_suspended_cancels_it(void **state)
{
    quick("quick-long-stamp");
    occupy_the_thread();
    on_loop(begin_request);
    assert_true(eventually(is_suspended));
    on_loop(drop);
    on_loop(count_suspended);
    assert_int_equal(atomic_load(&fake.cancelled), 1);
    assert_int_equal(scene.suspended_n, 0);
    assert_int_equal(atomic_load(&scene.dones), 0);
}

static void begin_and_drop(void)
{
    begin_request();
    drop();
}

static void an_owner_that_leaves_before_the_loop_has_told_it_hears_nothing(void **state)
{
    struct plugin_module *m = quick("quick-stamp");

    on_loop(begin_request); /* through in that turn */
    on_loop(drop);
    atomic_store(&scene.dones, 0);
    on_loop(begin_and_drop);
    on_loop(nothing);
    assert_int_equal(atomic_load(&scene.dones), 0);
    assert_int_equal(atomic_load(&scene.told), 2);
    assert_int_equal(atomic_load(&m->counts.done), 2);
}

static void a_suspended_plugin_that_no_thread_takes_in_time_has_failed(void **state)
{
    struct plugin_module *m = quick("quick-long-stamp");

    occupy_the_thread();
    atomic_store(&scene.dones, 0);
    atomic_store(&scene.told, 0);
    run_it(begin_request);
    assert_int_equal(scene.verdict, PLUGIN_PASS);
    assert_string_equal(scene.x_o, "");
    assert_int_equal(atomic_load(&fake.cancelled), 1);
    assert_int_equal(atomic_load(&m->counts.failed), 1);
    on_loop(count_suspended);
    assert_int_equal(scene.suspended_n, 0);
}

static void a_loop_has_a_bounded_number_of_suspended_plugins(void **state)
{
    struct plugin_module *m = quick("quick-long-stamp");

    occupy_the_thread();
    for (unsigned i = 0; i < WASM_SUSPENDED_MAX + 2; i++) {
        atomic_store(&m->held_back, 0);
        on_loop(begin_request);
    }
    on_loop(count_suspended);
    assert_int_equal(scene.suspended_n, WASM_SUSPENDED_MAX);
    assert_int_equal(atomic_load(&fake.on_loop), WASM_SUSPENDED_MAX);
    /* What is left at the end is given up. */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(plugins_run_in_the_order_of_their_registration_and_see_what_those_before_them_did),
        RULE(a_reject_ends_the_phase),
        RULE(one_that_fails_is_skipped_and_counted),
        RULE(one_that_must_not_be_skipped_refuses_the_request_when_it_fails),
        RULE(one_without_code_fails_as_its_policy_says),
        RULE(a_body_over_the_bound_is_a_failure),
        RULE(a_module_that_wants_no_body_gets_none),
        RULE(only_the_modules_of_the_point_run),
        RULE(a_plugin_may_answer_later_and_takes_no_thread_meanwhile),
        RULE(an_answer_that_comes_before_the_thread_is_back_counts),
        RULE(a_later_reject_counts_too),
        RULE(an_answer_that_does_not_come_in_time_is_a_failure),
        RULE(an_owner_that_leaves_while_a_plugin_pauses_cancels_it),
        RULE(what_cannot_be_cancelled_is_waited_for),
        RULE(an_owner_that_leaves_while_a_plugin_runs_is_forgotten_when_it_is_through),
        SHORT(runs_that_no_thread_takes_in_time_fail_as_their_plugins_policies_say),
        SHORT(nobody_is_skipped_who_must_not_be_when_no_thread_is_free),
        SHORT(a_run_that_is_dropped_while_it_waits_never_begins),
        RULE(a_quick_plugin_runs_on_the_loop_once_it_has_shown_that_it_is),
        RULE(slow_answers_keep_a_plugin_from_the_loop),
        RULE(the_loop_hands_the_rest_to_a_thread_at_the_first_plugin_that_is_not_for_it),
        RULE(a_reject_on_the_loop_ends_the_phase),
        RULE(one_that_fails_on_the_loop_is_skipped),
        RULE(one_that_takes_too_long_goes_on_on_a_thread_and_stays_from_the_loop),
        RULE(a_large_body_goes_to_a_thread_unless_the_plugin_wants_none),
        ONE(an_owner_that_leaves_while_its_plugin_is_suspended_cancels_it),
        RULE(an_owner_that_leaves_before_the_loop_has_told_it_hears_nothing),
        SHORT(a_suspended_plugin_that_no_thread_takes_in_time_has_failed),
        ONE(a_loop_has_a_bounded_number_of_suspended_plugins),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
