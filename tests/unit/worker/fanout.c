/* fanout.c -- one question to many workers: order, so many at a time, deadlines, cancelling in each state, the bound, memory that runs out */
#include "fleet.h"

#include "fail_alloc.h"

#include "worker/fanout.h"

#define WORKERS 100

static struct scene {
    struct fanouts fanouts;
    struct fanout_ask ask;
    struct timer step;

    /* the engines */
    bool holds;        /* questions are kept, not answered */
    size_t release_at; /* so many are kept: look, answer them all and the next ones at once; 0 = never */
    struct exchange *held[WORKERS];
    size_t held_n, held_peak;
    unsigned left; /* clients that went away from a kept question */
    unsigned asked[WORKERS];
    unsigned first[WORKERS], first_n; /* the workers in the order in which they were asked */

    /* the fan-out */
    struct fanout *fanout;
    unsigned done, answered;
    size_t rows_n;
    int results[WORKERS];
    bool cut[WORKERS];
} s;

/* ---- the engines ---- */

static void forget(struct exchange *ex, void *arg)
{
    (void)arg;
    s.left++;
    for (size_t i = 0; i < s.held_n; i++)
        if (s.held[i] == ex) {
            s.held[i] = s.held[--s.held_n];
            return;
        }
    fail_msg("a question that nobody kept");
}

static void release(struct timer *t)
{
    (void)t;
    s.holds = false;
    while (s.held_n)
        exchange_reply(s.held[--s.held_n], 200, TYPE_JSON, STR("{}"));
}

static void on_question(struct exchange *ex, void *context)
{
    static const struct exchange_owner KEPT = { .on_abort = forget };
    uint64_t n = WORKERS;

    (void)context;
    assert_true(str_to_u64(ex->params[0], &n) == 0 && n < WORKERS);
    if (!s.asked[n]++)
        s.first[s.first_n++] = (unsigned)n;
    if (!s.holds) {
        exchange_reply(ex, 200, TYPE_JSON, STR("{}"));
        return;
    }
    exchange_own(ex, &KEPT, NULL);
    s.held[s.held_n++] = ex;
    s.held_peak = MAX(s.held_peak, s.held_n);
    if (s.held_n == s.release_at)
        timer_start(fleet.loop, &s.step, 50, release); /* time enough for one more to come, if one does */
}

static const struct route ROUTES[] = { { .method = HTTP_GET, .path = "/{n}/ask", .auth = ROUTE_PUBLIC, .handler = on_question } };

/* ---- the scene ---- */

static void end_scene(void)
{
    timer_stop(&s.step);
    fleet_end();
}

static void run_scene(void (*begin)(void))
{
    fleet_run(begin);
    assert_int_equal(s.fanouts.running[FANOUT_PUBLIC] + s.fanouts.running[FANOUT_ADMIN], 0);
}

/* ---- the fan-out ---- */

static bool on_answer(struct fanout *f, struct fanout_target *t, struct buf *body)
{
    (void)f;
    (void)body;
    assert_true(t->result != 0);
    s.answered++;
    return true;
}

static void on_done(struct fanout *f)
{
    s.done++;
    s.rows_n = f->rows_n;
    for (size_t i = 0; i < f->targets_n; i++) {
        s.results[i] = f->targets[i].result;
        s.cut[i] = f->targets[i].cut;
    }
    fanout_free(STEAL(s.fanout));
    end_scene();
}

static struct fanout_ask an_ask(void)
{
    return (struct fanout_ask){ .kind = FANOUT_PUBLIC,
                                .all_ms = 15000,
                                .question = { .method = HTTP_GET, .path = STR("/ask"), .total_ms = 10000 },
                                .answered = on_answer,
                                .done = on_done };
}

static void open_server(void)
{
    memset(&s, 0, sizeof s);
    fleet_open(ROUTES, ARRAY_LEN(ROUTES));
}

static void open_table(void)
{
    fleet_publish();
    s.ask = an_ask();
    fanouts_init(&s.fanouts, fleet.loop, fleet.client, &fleet.registry);
}

static void open_scene(size_t workers)
{
    open_server();
    for (size_t i = 0; i < workers; i++)
        add_worker(NULL, -1);
    open_table();
}

/* s.ask was set by open_table; tests change it. */
static void start(void)
{
    assert_int_equal(fanout_start(&s.fanouts, &s.ask, &s.fanout), 0);
    assert_int_equal(s.done, 0);
    assert_int_equal(s.first_n, 0);
}

/* ---- asking ---- */

static void everybody_is_asked_once_thirty_two_at_a_time_in_order(void **state)
{
    open_scene(WORKERS);
    s.holds = true;
    s.release_at = FANOUT_PARALLEL;
    run_scene(start);
    assert_int_equal(s.done, 1);
    assert_int_equal(s.answered, WORKERS);
    assert_int_equal(s.held_peak, FANOUT_PARALLEL);
    for (unsigned i = 0; i < FANOUT_PARALLEL; i++)
        assert_true(s.first[i] < FANOUT_PARALLEL); /* the first of the line were asked first */
    for (unsigned i = 0; i < WORKERS; i++) {
        assert_int_equal(s.asked[i], 1);
        assert_int_equal(s.results[i], 200);
    }
}

static void with_nobody_to_ask_the_end_still_comes_later(void **state)
{
    open_scene(0);
    run_scene(start);
    assert_int_equal(s.done, 1);
}

static bool is_even(const struct worker *w, void *owner)
{
    assert_ptr_equal(owner, &s);
    return w->order % 2 == 0;
}

static void only_who_is_wanted_is_asked(void **state)
{
    open_scene(5);
    s.ask.wants = is_even;
    s.ask.owner = &s;
    run_scene(start);
    assert_int_equal(s.rows_n, 3);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(s.asked[i], i % 2 == 0);
}

static void look_at_rows(struct fanout *f)
{
    assert_int_equal(f->rows_n, 3);
    assert_int_equal(f->targets_n, 2);
    assert_int_equal(f->rows[0].rank, 0);
    assert_int_equal(f->rows[1].rank, -1);
    assert_int_equal(f->rows[2].rank, 1);
    assert_int_equal(f->rows[0].target, f->rows[2].target);
    on_done(f);
}

static void ranks_of_one_engine_are_one_question(void **state)
{
    open_server();
    add_worker("http://127.0.0.1:%u/0", 0);
    add_worker(NULL, -1);
    add_worker("http://127.0.0.1:%u/0", 1);
    open_table();
    s.ask.done = look_at_rows;
    run_scene(start);
    assert_int_equal(s.done, 1);
    assert_int_equal(s.asked[0], 1);
    assert_int_equal(s.asked[1], 1);
}

static bool twice(struct fanout *f, struct fanout_target *t, struct probe_ask *ask)
{
    (void)f;
    assert_true(t->asked == 0 ? t->result == 0 : t->result == 200);
    *ask = an_ask().question;
    return t->asked < 2;
}

static void a_target_may_be_asked_again(void **state)
{
    open_scene(40);
    s.ask.question_for = twice;
    run_scene(start);
    assert_int_equal(s.answered, 80);
    for (unsigned i = 0; i < 40; i++)
        assert_int_equal(s.asked[i], 2);
}

static bool enough(struct fanout *f, struct fanout_target *t, struct buf *body)
{
    (void)f;
    (void)t;
    (void)body;
    return ++s.answered < 3;
}

static void an_answer_can_be_the_last_that_is_wanted(void **state)
{
    open_scene(WORKERS);
    s.ask.answered = enough;
    run_scene(start);
    assert_int_equal(s.done, 1);
    assert_int_equal(s.answered, 3);
    assert_int_equal(s.results[WORKERS - 1], ERR_CANCELLED);
}

static void who_refuses_has_the_reason_for_a_result(void **state)
{
    open_server();
    add_worker("http://127.0.0.1:1", -1);
    add_worker(NULL, -1);
    open_table();
    run_scene(start);
    assert_int_equal(s.results[0], ERR_REFUSED);
    assert_int_equal(s.results[1], 200);
}

static void a_long_answer_is_told_to_be_cut(void **state)
{
    open_scene(1);
    s.ask.question.body_max = 1;
    run_scene(start);
    assert_int_equal(s.results[0], 200);
    assert_true(s.cut[0]);
}

/* ---- deadlines ---- */

static void each_has_a_deadline_of_its_own(void **state)
{
    open_scene(40);
    s.holds = true;
    s.ask.question.total_ms = 60;
    run_scene(start);
    assert_int_equal(s.done, 1);
    assert_int_equal(s.first_n, 40); /* those in line have their turn after the first */
    for (unsigned i = 0; i < 40; i++)
        assert_int_equal(s.results[i], ERR_TIMEOUT);
}

static void all_of_them_have_one_together(void **state)
{
    open_scene(40);
    s.holds = true;
    s.ask.all_ms = 100;
    run_scene(start);
    assert_int_equal(s.done, 1);
    for (unsigned i = 0; i < 40; i++) {
        assert_int_equal(s.results[i], i < FANOUT_PARALLEL ? ERR_TIMEOUT : ERR_CANCELLED);
        assert_true(i < FANOUT_PARALLEL || s.asked[i] == 0);
    }
}

/* ---- cancelling ---- */

static void start_and_cancel(void)
{
    start();
    fanout_free(STEAL(s.fanout));
    assert_int_equal(s.fanouts.running[FANOUT_PUBLIC], 0);
    end_scene();
}

static void a_cancelled_one_that_did_not_begin_asks_nobody(void **state)
{
    open_scene(3);
    run_scene(start_and_cancel);
    assert_int_equal(s.done, 0);
    assert_int_equal(s.first_n, 0);
}

static void end_when_all_left(struct timer *t)
{
    if (s.left < FANOUT_PARALLEL)
        timer_start(fleet.loop, t, 5, end_when_all_left);
    else
        end_scene();
}

static void cancel_when_kept(struct timer *t)
{
    if (s.held_n < FANOUT_PARALLEL) {
        timer_start(fleet.loop, t, 5, cancel_when_kept);
        return;
    }
    fanout_free(STEAL(s.fanout));
    assert_int_equal(s.fanouts.running[FANOUT_PUBLIC], 0);
    timer_start(fleet.loop, t, 5, end_when_all_left);
}

static void start_and_watch(void)
{
    start();
    timer_start(fleet.loop, &s.step, 5, cancel_when_kept);
}

static void a_cancelled_one_that_is_asking_closes_its_questions(void **state)
{
    open_scene(40);
    s.holds = true;
    run_scene(start_and_watch);
    assert_int_equal(s.done, 0);
    assert_int_equal(s.left, FANOUT_PARALLEL);
    assert_int_equal(s.first_n, FANOUT_PARALLEL); /* nobody of the line was asked afterwards */
}

static void free_and_end(struct timer *t)
{
    (void)t;
    fanout_free(STEAL(s.fanout));
    end_scene();
}

static void keep(struct fanout *f)
{
    assert_true(f == s.fanout);
    s.done++;
    timer_start(fleet.loop, &s.step, 5, free_and_end);
}

static void drop(void *data)
{
    free(data);
}

static bool keep_a_copy(struct fanout *f, struct fanout_target *t, struct buf *body)
{
    (void)f;
    assert_str(buf_str(body), "{}");
    t->data = malloc(1);
    return true;
}

/* What the starter hung on its targets goes with it (the leak checker looks). */
static void one_that_is_over_may_be_kept_and_freed_later(void **state)
{
    open_scene(3);
    s.ask.done = keep;
    s.ask.answered = keep_a_copy;
    s.ask.drop = drop;
    run_scene(start);
    assert_int_equal(s.done, 1);
}

static void freeing_nothing_is_fine(void **state)
{
    fanout_free(NULL);
}

/* ---- bounds ---- */

static void fill(void)
{
    struct fanout *all[FANOUTS_MAX], *more;

    for (unsigned i = 0; i < FANOUTS_MAX; i++)
        assert_int_equal(fanout_start(&s.fanouts, &s.ask, &all[i]), 0);
    assert_int_equal(fanout_start(&s.fanouts, &s.ask, &more), ERR_BUSY);
    s.ask.kind = FANOUT_ADMIN; /* the public ones do not keep an operator's from running */
    assert_int_equal(fanout_start(&s.fanouts, &s.ask, &more), 0);
    fanout_free(more);
    s.ask.kind = FANOUT_PUBLIC;
    fanout_free(all[0]);
    assert_int_equal(fanout_start(&s.fanouts, &s.ask, &all[0]), 0);
    for (unsigned i = 0; i < FANOUTS_MAX; i++)
        fanout_free(all[i]);
    end_scene();
}

static void there_are_so_many_of_a_kind(void **state)
{
    open_scene(3);
    run_scene(fill);
    assert_int_equal(s.first_n, 0);
}

static void start_without_memory(void)
{
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct fanout *f = NULL;
        int r = fanout_start(&s.fanouts, &s.ask, &f);

        assert_int_equal(r, fail_alloc_failed() ? ERR_NOMEM : 0);
        assert_int_equal(s.fanouts.running[FANOUT_PUBLIC], r == 0);
        fanout_free(f);
        assert_int_equal(s.fanouts.running[FANOUT_PUBLIC], 0);
    }
    end_scene();
}

static void when_memory_is_out_nothing_was_started(void **state)
{
    open_scene(20);
    run_scene(start_without_memory);
}

static void count_done(struct fanout *f)
{
    (void)f;
    s.done++;
}

/* A question that runs has all of its bytes. */
static bool lost_bytes(const struct fanout *f)
{
    for (size_t i = 0; i < f->targets_n; i++) {
        const struct probe *p = f->targets[i].probe;

        if (p && (!str_has_prefix(buf_str(&p->head), STR("POST /")) || !str_has_suffix(buf_str(&p->head), STR("\r\n\r\n")) ||
                  str_find(buf_str(&p->head), STR("Bearer engine-key\r\n")) == STR_NPOS || p->body.n != 2))
            return true;
    }
    return false;
}

/* The first round of questions, as the end of the turn runs it. */
static void ask_without_memory(void)
{
    unsigned failures = 0;

    s.ask.done = count_done;
    s.ask.question.method = HTTP_POST;
    s.ask.question.body = STR("{}");
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct fanout *f = NULL;

        if (fanout_start(&s.fanouts, &s.ask, &f) == 0) {
            unsigned out = 0;

            loop_defer_cancel(fleet.loop, &f->pump);
            f->pump.run(&f->pump);
            for (size_t i = 0; i < f->targets_n; i++)
                out += f->targets[i].result == ERR_NOMEM;
            assert_true(out <= 1);
            assert_int_equal(f->running, 2 - out);
            assert_false(lost_bytes(f));
            failures += out;
        }
        fanout_free(f);
    }
    assert_true(failures > 0);
    assert_int_equal(s.done, 0);
    end_scene();
}

static void a_question_that_cannot_be_made_is_a_result_and_the_others_are_asked(void **state)
{
    open_scene(2);
    run_scene(ask_without_memory);
}

/* ---- words ---- */

static void results_are_told_in_words(void **state)
{
    char why[FANOUT_WHY_MAX];

    assert_str(fanout_why(500, why), "HTTP 500 Internal Server Error");
    assert_str(fanout_why(ERR_CANCELLED, why), "not asked: the deadline for all workers passed");
    assert_str(fanout_why(ERR_REFUSED, why), err_text(ERR_REFUSED));
    assert_true(fanout_succeeded(200) && fanout_succeeded(299));
    assert_false(fanout_succeeded(199) || fanout_succeeded(300) || fanout_succeeded(ERR_TIMEOUT) || fanout_succeeded(0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everybody_is_asked_once_thirty_two_at_a_time_in_order),
        cmocka_unit_test(with_nobody_to_ask_the_end_still_comes_later),
        cmocka_unit_test(only_who_is_wanted_is_asked),
        cmocka_unit_test(ranks_of_one_engine_are_one_question),
        cmocka_unit_test(a_target_may_be_asked_again),
        cmocka_unit_test(an_answer_can_be_the_last_that_is_wanted),
        cmocka_unit_test(who_refuses_has_the_reason_for_a_result),
        cmocka_unit_test(a_long_answer_is_told_to_be_cut),
        cmocka_unit_test(each_has_a_deadline_of_its_own),
        cmocka_unit_test(all_of_them_have_one_together),
        cmocka_unit_test(a_cancelled_one_that_did_not_begin_asks_nobody),
        cmocka_unit_test(a_cancelled_one_that_is_asking_closes_its_questions),
        cmocka_unit_test(one_that_is_over_may_be_kept_and_freed_later),
        cmocka_unit_test(freeing_nothing_is_fine),
        cmocka_unit_test(there_are_so_many_of_a_kind),
        cmocka_unit_test(when_memory_is_out_nothing_was_started),
        cmocka_unit_test(a_question_that_cannot_be_made_is_a_result_and_the_others_are_asked),
        cmocka_unit_test(results_are_told_in_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
