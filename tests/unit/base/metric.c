/* metric.c -- the rules of counting, alone and from several threads */
#include "test.h"

#include "base/err.h"
#include "base/metric.h"
#include "fail_alloc.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>

static const struct metric_family requests = { "requests_total", "Requests", METRIC_COUNTER, { "method", "path" }, NULL, 0 };
static const struct metric_family up = { "up", "Up", METRIC_GAUGE, { NULL }, NULL, 0 };
static const struct metric_family duration = { "duration_seconds", "Duration", METRIC_HISTOGRAM, { "path" }, NULL, 0 };
static const double SMALL[] = { 0, 1, 2 };
static const struct metric_family sizes = { "sizes", "Sizes", METRIC_HISTOGRAM, { NULL }, SMALL, ARRAY_LEN(SMALL) };

static struct metric_cell *request(struct metrics_shard *s, struct str method, struct str path)
{
    return metric_cell(s, &requests, (const struct str[]){ method, path });
}

struct sum {
    const struct metric_family *family;
    int64_t value;
    unsigned cells, others;
};

static void add_up(const struct metric_cell *c, void *arg)
{
    struct sum *sum = arg;

    if (c->family != sum->family)
        return;
    sum->value += atomic_load_explicit(&c->value, memory_order_relaxed);
    sum->cells++;
    sum->others += str_eq(c->values[0], STR("other")) && str_eq(c->values[1], STR("other"));
}

static struct sum sum_of(const struct metric_family *f)
{
    struct sum sum = { .family = f };

    metrics_each(add_up, &sum);
    return sum;
}

static void the_same_labels_are_the_same_cell(void **state)
{
    struct metrics_shard *s = metrics_shard_new();
    char path[] = "/a";
    struct metric_cell *a = request(s, STR("GET"), str_of(path)), *b = request(s, STR("GET"), STR("/b"));

    path[1] = 'x'; /* the cell has a copy */
    assert_ptr_equal(request(s, STR("GET"), STR("/a")), a);
    assert_ptr_not_equal(a, b);
    assert_ptr_not_equal(request(s, STR("GE"), STR("T/a")), a);
    assert_str(a->values[1], "/a");
    metric_add(a, 2);
    metric_add(b, 3);
    assert_int_equal(sum_of(&requests).value, 5);
    metric_set(metric_cell(s, &up, NULL), -1);
    assert_int_equal(sum_of(&up).value, -1);
    metrics_shard_free(s);
    assert_int_equal(sum_of(&requests).cells, 0);
}

static void observations_fall_into_the_first_bucket_that_holds_them(void **state)
{
    struct metrics_shard *s = metrics_shard_new();
    struct metric_cell *d = metric_cell(s, &duration, &STR("/")), *z = metric_cell(s, &sizes, NULL);

    assert_int_equal(d->bounds_n, 29);
    metric_observe_us(d, 0);
    metric_observe_us(d, 1000); /* 0.001 s: the bound belongs to its bucket */
    metric_observe_us(d, 1001);
    metric_observe_us(d, UINT64_C(7201) * 1000000);
    assert_int_equal(d->buckets[0], 2);
    assert_int_equal(d->buckets[1], 1);
    assert_int_equal(d->buckets[29], 1);
    assert_true(d->sum_ns == UINT64_C(7201002001000));
    metric_observe(z, 0);
    metric_observe(z, 1.5);
    metric_observe(z, 1e300);
    metric_observe(z, -1);
    metric_observe(z, NAN);
    assert_int_equal(z->buckets[0], 1);
    assert_int_equal(z->buckets[1], 0);
    assert_int_equal(z->buckets[2], 1);
    assert_int_equal(z->buckets[3], 1);
    metrics_shard_free(s);
}

static void past_the_bound_series_share_one(void **state)
{
    struct metrics_shard *s = metrics_shard_new();
    struct sum sum;

    for (unsigned i = 0; i < METRIC_SERIES_MAX + 500; i++) {
        char path[32];

        metric_add(request(s, STR("GET"), (struct str){ path, (size_t)snprintf(path, sizeof path, "/%u", i) }), 1);
    }
    sum = sum_of(&requests);
    assert_int_equal(sum.cells, METRIC_SERIES_MAX);
    assert_int_equal(sum.value, METRIC_SERIES_MAX + 500);
    assert_int_equal(sum.others, 1);
    assert_non_null(metric_cell(s, &up, NULL)); /* another family has its own bound */
    metrics_shard_free(s);
}

static void long_label_values_are_cut(void **state)
{
    struct metrics_shard *s = metrics_shard_new();
    char x[1000];
    struct metric_cell *c;

    memset(x, 'x', sizeof x);
    c = request(s, STR("GET"), (struct str){ x, sizeof x });
    assert_int_equal(c->values[1].n, METRIC_VALUE_MAX);
    assert_ptr_equal(request(s, STR("GET"), (struct str){ x, sizeof x - 1 }), c);
    metrics_shard_free(s);
}

static void duration_bounds_can_be_replaced(void **state)
{
    static const double OWN[] = { 0.5, 1 }, FALLING[] = { 1, 0.5 }, ENDLESS[] = { 1, INFINITY };
    double many[METRIC_BUCKETS_MAX + 1];
    struct metrics_shard *s;

    for (unsigned i = 0; i < ARRAY_LEN(many); i++)
        many[i] = i;
    assert_int_equal(metrics_set_duration_bounds(OWN, 0), ERR_LIMIT);
    assert_int_equal(metrics_set_duration_bounds(many, ARRAY_LEN(many)), ERR_LIMIT);
    assert_int_equal(metrics_set_duration_bounds(FALLING, 2), ERR_INVALID);
    assert_int_equal(metrics_set_duration_bounds(ENDLESS, 2), ERR_INVALID);
    assert_int_equal(metrics_set_duration_bounds(OWN, 2), 0);
    s = metrics_shard_new();
    assert_int_equal(metric_cell(s, &duration, &STR("/"))->bounds_n, 2);
    assert_int_equal(metric_cell(s, &sizes, NULL)->bounds_n, 3);
    metrics_shard_free(s);
    assert_int_equal(metrics_set_duration_bounds(METRIC_DURATION_BOUNDS, 29), 0);
}

#define THREADS 3
#define ROUNDS  20000

static void *count(void *arg)
{
    struct metrics_shard *s = arg;

    for (unsigned i = 0; i < ROUNDS; i++) {
        char path[32];

        metric_add(request(s, STR("GET"), (struct str){ path, (size_t)snprintf(path, sizeof path, "/%u", i % 300) }), 1);
        metric_observe_us(metric_cell(s, &duration, &STR("/")), i);
    }
    return NULL;
}

static void shards_add_up_while_their_threads_count(void **state)
{
    struct metrics_shard *shards[THREADS];
    pthread_t threads[THREADS];
    int64_t before = 0;

    for (unsigned i = 0; i < THREADS; i++) {
        shards[i] = metrics_shard_new();
        assert_int_equal(pthread_create(&threads[i], NULL, count, shards[i]), 0);
    }
    for (unsigned i = 0; i < 100; i++) {
        int64_t now = sum_of(&requests).value;

        assert_true(now >= before && now <= THREADS * ROUNDS);
        before = now;
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(sum_of(&requests).value, THREADS * ROUNDS);
    assert_int_equal(sum_of(&requests).cells, THREADS * 300);
    for (unsigned i = 0; i < THREADS; i++)
        metrics_shard_free(shards[i]);
}

static void without_memory_nothing_is_counted_and_nothing_breaks(void **state)
{
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct metrics_shard *s = metrics_shard_new();

        for (unsigned i = 0; s && i < 60; i++) {
            char path[32];
            struct metric_cell *c = request(s, STR("GET"), (struct str){ path, (size_t)snprintf(path, sizeof path, "/%u", i) });

            metric_add(c, 1);
            metric_set(c, 1);
            metric_observe_us(NULL, 1);
            metric_observe(NULL, 1);
        }
        assert_true(sum_of(&requests).cells <= 60);
        metrics_shard_free(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_labels_are_the_same_cell),
        cmocka_unit_test(observations_fall_into_the_first_bucket_that_holds_them),
        cmocka_unit_test(past_the_bound_series_share_one),
        cmocka_unit_test(long_label_values_are_cut),
        cmocka_unit_test(duration_bounds_can_be_replaced),
        cmocka_unit_test(shards_add_up_while_their_threads_count),
        cmocka_unit_test(without_memory_nothing_is_counted_and_nothing_breaks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
