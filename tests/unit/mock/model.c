/* model.c -- the simulated engine against small models that can be computed by hand: latency of a lone request, throughput of a full batch, the waiting time of
 * an M/D/1 queue, Little's law; and what prefix reuse saves. Time is a number that the test advances. */
#include "test.h"

#include <math.h>
#include <stdlib.h>

#include "base/random.h"
#include "mock/model.h"

static const struct model_conf USUAL = {
    .prefill_tps = 8000,
    .decode_base_ms = 6,
    .decode_per_req_ms = 0.5,
    .prefill_chunk = 2048,
    .max_running = 256,
    .kv_tokens = 65536,
    .block_size = 16,
    .prefix_cache = true,
};

/* A model and its clock. */
struct sim {
    struct model m;
    uint64_t now_us, step_ends_us; /* 0 = no step runs */
    unsigned tokens, done;
};

static void on_token(struct model *m, struct model_request *r, void *arg)
{
    struct sim *s = arg;

    s->tokens++;
    if (r->state == MODEL_DONE)
        s->done++;
}

static void sim_init(struct sim *s, struct model_conf conf)
{
    *s = (struct sim){ 0 };
    assert_int_equal(model_init(&s->m, &conf), 0);
    s->m.on_token = on_token;
    s->m.arg = s;
}

static void begin_step(struct sim *s)
{
    uint64_t us = model_begin_step(&s->m, s->now_us);

    s->step_ends_us = us ? s->now_us + us : 0;
}

/* Runs the steps that end before UNTIL_US. */
static void run_until(struct sim *s, uint64_t until_us)
{
    while (s->step_ends_us && s->step_ends_us <= until_us) {
        s->now_us = s->step_ends_us;
        model_end_step(&s->m, s->now_us);
        begin_step(s);
    }
    s->now_us = until_us;
}

static void run_dry(struct sim *s)
{
    while (s->step_ends_us)
        run_until(s, s->step_ends_us);
}

static void submit(struct sim *s, struct model_request *r)
{
    model_submit(&s->m, r, s->now_us);
    if (!s->step_ends_us)
        begin_step(s);
}

static struct model_request a_request(uint64_t prompt, uint64_t output)
{
    return (struct model_request){ .prompt_tokens = prompt, .output_tokens = output, .choices = 1 };
}

static void assert_empty(struct sim *s)
{
    assert_int_equal(s->m.running_n, 0);
    assert_int_equal(s->m.waiting_n, 0);
    assert_int_equal(s->m.waiting_uncached_tokens, 0);
    assert_int_equal(s->m.cache.held, 0);
    assert_int_equal(s->m.cache.unnamed, 0);
    assert_int_equal(model_used_tokens(&s->m), 0);
}

/* ---- latency ---- */

/* ceil(P / chunk) prefill steps, the last of which decodes the first token, and N - 1 decode steps. */
static uint64_t expected_us(const struct model_conf *c, uint64_t prompt, uint64_t output)
{
    double decode_us = (c->decode_base_ms + c->decode_per_req_ms) * 1e3, total = 0;
    uint64_t left = prompt;

    while (left > c->prefill_chunk) {
        total += (double)llround(fmax(c->prefill_chunk / c->prefill_tps * 1e6, MODEL_STEP_MIN_US));
        left -= c->prefill_chunk;
    }
    total += (double)llround(fmax((double)left / c->prefill_tps * 1e6, decode_us));
    return (uint64_t)(total + (double)(output - 1) * (double)llround(decode_us));
}

static void a_lone_request_takes_exactly_what_the_formula_says(void **state)
{
    static const uint64_t prompts[] = { 1, 16, 17, 51, 52, 53, 2047, 2048, 2049, 4096, 10000 }, outputs[] = { 1, 2, 64 };

    for (size_t i = 0; i < ARRAY_LEN(prompts); i++) {
        for (size_t k = 0; k < ARRAY_LEN(outputs); k++) {
            struct model_request r = a_request(prompts[i], outputs[k]);
            struct sim s;

            sim_init(&s, USUAL);
            submit(&s, &r);
            run_dry(&s);
            assert_int_equal(r.state, MODEL_DONE);
            assert_int_equal(r.done_us - r.submitted_us, expected_us(&USUAL, prompts[i], outputs[k]));
            assert_int_equal(r.first_token_us - r.submitted_us, expected_us(&USUAL, prompts[i], 1));
            assert_int_equal(s.tokens, outputs[k]);
            assert_empty(&s);
            model_fini(&s.m);
        }
    }
}

static void a_step_takes_a_millisecond_at_least(void **state)
{
    struct model_conf conf = USUAL;
    struct model_request r = a_request(1, 10);
    struct sim s;

    conf.decode_base_ms = conf.decode_per_req_ms = 0;
    conf.prefill_tps = 1e9;
    sim_init(&s, conf);
    submit(&s, &r);
    run_dry(&s);
    assert_int_equal(r.done_us, 10 * MODEL_STEP_MIN_US);
    model_fini(&s.m);
}

static void prefill_slows_down_who_decodes_at_the_same_time(void **state)
{
    struct model_request decoding = a_request(16, 100), prefilling = a_request(2048, 1);
    struct sim s;

    sim_init(&s, USUAL);
    submit(&s, &decoding);
    run_until(&s, 6500); /* its first token is there; the next step has begun */
    assert_int_equal(decoding.produced, 1);
    submit(&s, &prefilling);
    run_until(&s, 13000);
    assert_int_equal(decoding.produced, 2);
    run_until(&s, 13000 + 256000 - 1); /* 2048 tokens at 8000 per second */
    assert_int_equal(decoding.produced, 2);
    run_until(&s, 13000 + 256000);
    assert_int_equal(decoding.produced, 3);
    assert_int_equal(prefilling.state, MODEL_DONE);
    run_dry(&s);
    model_fini(&s.m);
}

static void the_chunk_is_shared_in_order_of_admission(void **state)
{
    struct model_conf conf = USUAL;
    struct model_request a = a_request(150, 5), b = a_request(100, 5);
    struct sim s;

    conf.prefill_chunk = 100;
    sim_init(&s, conf);
    model_submit(&s.m, &a, 0);
    model_submit(&s.m, &b, 0);
    begin_step(&s);
    assert_int_equal(a.step_prefill, 100);
    assert_int_equal(b.step_prefill, 0);
    run_until(&s, s.step_ends_us);
    assert_int_equal(a.step_prefill, 50);
    assert_true(a.step_decode);
    assert_int_equal(b.step_prefill, 50);
    assert_false(b.step_decode);
    run_dry(&s);
    assert_empty(&s);
    model_fini(&s.m);
}

/* ---- throughput ---- */

static void a_full_batch_makes_its_size_in_tokens_per_step(void **state)
{
    static const unsigned sizes[] = { 1, 8, 64 };

    for (size_t k = 0; k < ARRAY_LEN(sizes); k++) {
        struct model_request r[64];
        struct model_conf conf = USUAL;
        double step_s = (USUAL.decode_base_ms + USUAL.decode_per_req_ms * sizes[k]) / 1e3, expected = sizes[k] / step_s;
        struct sim s;

        conf.max_running = sizes[k];
        sim_init(&s, conf);
        for (unsigned i = 0; i < sizes[k]; i++) {
            r[i] = a_request(1, 1000);
            model_submit(&s.m, &r[i], 0);
        }
        begin_step(&s);
        run_until(&s, 900 * (uint64_t)(step_s * 1e6));
        assert_true(fabs((double)s.tokens / ((double)s.now_us / 1e6) / expected - 1) < 0.01);
        assert_true(fabs(s.m.throughput / expected - 1) < 0.01);
        run_dry(&s);
        model_fini(&s.m);
    }
}

static void choices_decode_side_by_side(void **state)
{
    struct model_request r = a_request(16, 10);
    struct sim s;

    r.choices = 4;
    sim_init(&s, USUAL);
    submit(&s, &r);
    run_dry(&s);
    assert_int_equal(r.done_us, 10 * (6000 + 4 * 500));
    assert_int_equal(s.m.output_tokens, 40);
    assert_empty(&s);
    model_fini(&s.m);
}

/* ---- queueing ---- */

#define ARRIVALS 60000

struct arrivals {
    double mean_wait_us;    /* in the queue */
    double mean_sojourn_us; /* from submission to the end */
    double mean_present;    /* requests there, averaged over time */
    double rate;            /* arrivals per microsecond */
};

/* Poisson arrivals of equal requests. */
static struct arrivals simulate(struct model_conf conf, uint64_t output, double mean_gap_us)
{
    struct model_request *r = calloc(ARRIVALS, sizeof(*r));
    struct arrivals result = { 0 };
    struct random random;
    double at = 0, present_us = 0, wait = 0, sojourn = 0;
    uint64_t last_us = 0, service_us = expected_us(&conf, 1, output);
    struct sim s;

    assert_non_null(r);
    random_init(&random, 4711);
    conf.prefix_cache = false;
    sim_init(&s, conf);
    for (size_t i = 0; i < ARRIVALS; i++) {
        at += random_exponential(&random, mean_gap_us);
        while (s.step_ends_us && s.step_ends_us <= (uint64_t)at) {
            uint64_t end = s.step_ends_us;

            present_us += (double)(end - last_us) * (s.m.running_n + s.m.waiting_n);
            last_us = end;
            run_until(&s, end);
        }
        present_us += (double)((uint64_t)at - last_us) * (s.m.running_n + s.m.waiting_n);
        last_us = s.now_us = (uint64_t)at;
        r[i] = a_request(1, output);
        submit(&s, &r[i]);
    }
    result.rate = ARRIVALS / at;
    result.mean_present = present_us / at;
    run_dry(&s);
    for (size_t i = 0; i < ARRIVALS; i++) {
        assert_int_equal(r[i].state, MODEL_DONE);
        sojourn += (double)(r[i].done_us - r[i].submitted_us);
        wait += (double)(r[i].done_us - r[i].submitted_us) - (double)service_us;
    }
    result.mean_wait_us = wait / ARRIVALS;
    result.mean_sojourn_us = sojourn / ARRIVALS;
    assert_empty(&s);
    model_fini(&s.m);
    free(r);
    return result;
}

static void one_at_a_time_it_waits_like_an_m_d_1_queue(void **state)
{
    static const double loads[] = { 0.3, 0.5, 0.8 };
    struct model_conf conf = USUAL;
    double service_us = (double)expected_us(&USUAL, 1, 4);

    conf.max_running = 1;
    for (size_t i = 0; i < ARRAY_LEN(loads); i++) {
        double rho = loads[i], expected = rho * service_us / (2 * (1 - rho)); /* Pollaczek and Khinchine, no variance */
        struct arrivals a = simulate(conf, 4, service_us / rho);

        assert_true(fabs(a.mean_wait_us / expected - 1) < 0.05);
    }
}

static void what_is_there_is_arrivals_times_sojourn(void **state)
{
    static const double gaps_us[] = { 200000, 50000, 25000 }; /* a full batch of 8 ends one request every 20 ms */
    struct model_conf conf = USUAL;

    conf.max_running = 8;
    for (size_t i = 0; i < ARRAY_LEN(gaps_us); i++) {
        struct arrivals a = simulate(conf, 16, gaps_us[i]);

        assert_true(fabs(a.mean_present / (a.rate * a.mean_sojourn_us) - 1) < 0.02); /* Little */
    }
}

static void a_larger_batch_waits_less(void **state)
{
    struct model_conf conf = USUAL;
    double before = INFINITY;

    for (conf.max_running = 1; conf.max_running <= 16; conf.max_running *= 4) {
        double wait = simulate(conf, 4, 33000).mean_wait_us;

        assert_true(wait < before);
        before = wait;
    }
}

static void nobody_overtakes_in_the_queue(void **state)
{
    struct model_conf conf = USUAL;
    struct model_request large, small;
    struct model_request first = a_request(1000, 50);
    struct sim s;

    conf.kv_tokens = 2048;
    sim_init(&s, conf);
    submit(&s, &first);
    large = a_request(1500, 1);
    small = a_request(16, 1);
    model_submit(&s.m, &large, 0); /* does not fit while the first runs */
    model_submit(&s.m, &small, 0); /* would fit */
    run_until(&s, s.step_ends_us);
    run_until(&s, s.step_ends_us);
    assert_int_equal(large.state, MODEL_WAITING);
    assert_int_equal(small.state, MODEL_WAITING);
    assert_int_equal(s.m.waiting_uncached_tokens, 1516);
    run_dry(&s);
    assert_true(large.done_us <= small.done_us);
    assert_empty(&s);
    model_fini(&s.m);
}

static void a_prompt_larger_than_the_cache_runs_alone(void **state)
{
    struct model_conf conf = USUAL;
    struct model_request r = a_request(5000, 3);
    struct sim s;

    conf.kv_tokens = 1024;
    sim_init(&s, conf);
    submit(&s, &r);
    assert_true(model_usage(&s.m) == 1.0);
    run_dry(&s);
    assert_int_equal(r.state, MODEL_DONE);
    assert_empty(&s);
    model_fini(&s.m);
}

/* ---- prefix reuse ---- */

static void make_chain(uint64_t *chain, size_t n, uint64_t seed)
{
    for (size_t i = 0; i < n; i++)
        chain[i] = seed * 1000000 + i + 1;
}

static void the_same_prompt_again_is_cached_but_for_its_last_token(void **state)
{
    static const struct {
        uint64_t prompt, cached;
    } rows[] = { { 15, 0 }, { 16, 0 }, { 17, 16 }, { 1000, 992 }, { 1008, 992 }, { 1009, 1008 } };
    uint64_t chain[80];

    make_chain(chain, ARRAY_LEN(chain), 1);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct model_request first = a_request(rows[i].prompt, 1), again = first;
        struct sim s;

        first.blocks = again.blocks = chain;
        first.blocks_n = again.blocks_n = rows[i].prompt / 16;
        sim_init(&s, USUAL);
        submit(&s, &first);
        run_dry(&s);
        submit(&s, &again);
        run_dry(&s);
        assert_int_equal(first.cached_tokens, 0);
        assert_int_equal(again.cached_tokens, rows[i].cached);
        assert_int_equal(again.done_us - again.submitted_us, expected_us(&USUAL, rows[i].prompt - rows[i].cached, 1));
        assert_int_equal(s.m.cached_tokens, rows[i].cached);
        assert_int_equal(s.m.prompt_tokens, 2 * rows[i].prompt);
        assert_empty(&s);
        model_fini(&s.m);
    }
}

static void the_next_turn_finds_prompt_and_answer(void **state)
{
    uint64_t chain[64];
    struct model_request first = a_request(320, 160), next = a_request(700, 1);
    struct sim s;

    make_chain(chain, ARRAY_LEN(chain), 1);
    first.blocks = next.blocks = chain;
    first.blocks_n = (320 + 160) / 16;
    next.blocks_n = 700 / 16;
    sim_init(&s, USUAL);
    submit(&s, &first);
    run_dry(&s);
    submit(&s, &next);
    run_dry(&s);
    assert_int_equal(next.cached_tokens, 480);
    model_fini(&s.m);
}

static void twins_in_one_batch_share_their_blocks_in_the_end(void **state)
{
    uint64_t chain[10];
    struct model_request a = a_request(160, 5), b;
    struct sim s;

    make_chain(chain, ARRAY_LEN(chain), 1);
    a.blocks = chain;
    a.blocks_n = 10;
    b = a;
    sim_init(&s, USUAL);
    model_submit(&s.m, &a, 0);
    model_submit(&s.m, &b, 0);
    begin_step(&s);
    assert_int_equal(model_used_tokens(&s.m), 320);
    run_until(&s, s.step_ends_us);
    assert_int_equal(model_used_tokens(&s.m), 160 + 16 + 16); /* one prompt, and a block for the words of each */
    run_dry(&s);
    assert_int_equal(s.m.cache.named, 10);
    assert_empty(&s);
    model_fini(&s.m);
}

static void without_the_prefix_cache_nothing_is_kept(void **state)
{
    uint64_t chain[10];
    struct model_conf conf = USUAL;
    struct model_request a = a_request(160, 5), b;
    struct sim s;

    conf.prefix_cache = false;
    make_chain(chain, ARRAY_LEN(chain), 1);
    a.blocks = chain;
    a.blocks_n = 10;
    b = a;
    sim_init(&s, conf);
    submit(&s, &a);
    run_dry(&s);
    submit(&s, &b);
    run_dry(&s);
    assert_int_equal(b.cached_tokens, 0);
    assert_int_equal(s.m.cache.named, 0);
    assert_true(s.m.cache_hit_rate == 0);
    model_fini(&s.m);
}

static void cached_blocks_are_evicted_from_the_high_to_the_low_mark(void **state)
{
    struct model_conf conf = USUAL;
    uint64_t chain[10][10];
    struct sim s;

    conf.kv_tokens = 100 * 16;
    sim_init(&s, conf);
    for (size_t i = 0; i < 10; i++) {
        struct model_request r = a_request(161, 1);

        make_chain(chain[i], 10, i + 1);
        r.blocks = chain[i];
        r.blocks_n = 10;
        submit(&s, &r);
        run_dry(&s);
        assert_true(s.m.cache.named <= 92);
    }
    assert_int_equal(s.m.cache.named, 85);
    assert_int_equal(kv_cache_match(&s.m.cache, chain[0], 10), 0);
    assert_int_equal(kv_cache_match(&s.m.cache, chain[9], 10), 10);
    model_flush_cache(&s.m);
    assert_int_equal(s.m.cache.named, 0);
    model_fini(&s.m);
}

/* ---- leaving ---- */

static void who_leaves_gives_everything_back(void **state)
{
    enum { N = 40, MOVES = 20000 };
    struct model_conf conf = USUAL;
    struct model_request r[N] = { { 0 } };
    uint64_t chain[3][64];
    struct random random;
    struct sim s;

    conf.kv_tokens = 150 * 16;
    conf.max_running = 7;
    conf.prefill_chunk = 100;
    random_init(&random, 1);
    for (size_t i = 0; i < ARRAY_LEN(chain); i++)
        make_chain(chain[i], 64, i + 1);
    sim_init(&s, conf);
    for (unsigned i = 0; i < MOVES; i++) {
        struct model_request *one = &r[random_below(&random, N)];

        if (one->state == MODEL_IDLE || one->state == MODEL_DONE) {
            *one = a_request(1 + random_below(&random, 600), 1 + random_below(&random, 60));
            one->choices = 1 + (uint32_t)random_below(&random, 3);
            one->blocks = chain[random_below(&random, ARRAY_LEN(chain))];
            one->blocks_n = MIN((one->prompt_tokens + one->output_tokens) / 16, 64);
            submit(&s, one);
        } else if (random_below(&random, 4) == 0) {
            model_cancel(&s.m, one);
        }
        if (s.step_ends_us)
            run_until(&s, s.step_ends_us);
        assert_true(s.m.running_n <= conf.max_running);
        assert_true(s.m.cache.named <= s.m.cache.capacity);
        assert_true(s.m.cache.held <= s.m.cache.named);
        assert_true(model_usage(&s.m) <= 1.0);
    }
    for (unsigned i = 0; i < N; i++)
        model_cancel(&s.m, &r[i]);
    run_dry(&s);
    assert_true(s.done > 100);
    assert_empty(&s);
    model_flush_cache(&s.m);
    assert_int_equal(s.m.cache.named, 0);
    model_fini(&s.m);
}

static void cancel_on_token(struct model *m, struct model_request *r, void *arg)
{
    model_cancel(m, r);
}

static void a_request_may_leave_at_its_own_token(void **state)
{
    struct model_request r[3];
    struct sim s;

    sim_init(&s, USUAL);
    s.m.on_token = cancel_on_token;
    for (size_t i = 0; i < 3; i++) {
        r[i] = a_request(20, 1 + i);
        model_submit(&s.m, &r[i], 0);
    }
    begin_step(&s);
    run_dry(&s);
    assert_int_equal(r[2].produced, 1);
    assert_empty(&s);
    model_fini(&s.m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lone_request_takes_exactly_what_the_formula_says),
        cmocka_unit_test(a_step_takes_a_millisecond_at_least),
        cmocka_unit_test(prefill_slows_down_who_decodes_at_the_same_time),
        cmocka_unit_test(the_chunk_is_shared_in_order_of_admission),
        cmocka_unit_test(a_full_batch_makes_its_size_in_tokens_per_step),
        cmocka_unit_test(choices_decode_side_by_side),
        cmocka_unit_test(one_at_a_time_it_waits_like_an_m_d_1_queue),
        cmocka_unit_test(what_is_there_is_arrivals_times_sojourn),
        cmocka_unit_test(a_larger_batch_waits_less),
        cmocka_unit_test(nobody_overtakes_in_the_queue),
        cmocka_unit_test(a_prompt_larger_than_the_cache_runs_alone),
        cmocka_unit_test(the_same_prompt_again_is_cached_but_for_its_last_token),
        cmocka_unit_test(the_next_turn_finds_prompt_and_answer),
        cmocka_unit_test(twins_in_one_batch_share_their_blocks_in_the_end),
        cmocka_unit_test(without_the_prefix_cache_nothing_is_kept),
        cmocka_unit_test(cached_blocks_are_evicted_from_the_high_to_the_low_mark),
        cmocka_unit_test(who_leaves_gives_everything_back),
        cmocka_unit_test(a_request_may_leave_at_its_own_token),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
