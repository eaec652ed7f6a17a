/* threads.c -- two loops read the table and count load while the control thread adds and removes workers: for ThreadSanitizer. And what the counts tell of is in the table. */
#include "house.h"

#define WORKERS 24
#define ROUNDS  6

static _Atomic unsigned phase; /* odd: workers are added, none is removed */

struct reader {
    struct loop *loop;
    struct message again;
    const struct worker *kept[8]; /* requests in flight: they outlive tables and removals */
    unsigned n, at;
    uint64_t seen, picks;
    _Atomic bool stop;
    sem_t stopped;
};

static void read_once(struct loop *l, struct message *m)
{
    struct reader *r = CONTAINER_OF(m, struct reader, again);
    unsigned began = atomic_load(&phase);
    unsigned told = registry_counts(house.registry).ready;
    const struct worker_table *t = registry_table(house.registry, l);
    const struct worker_model *model = worker_table_find(t, STR("m"));

    for (size_t i = 0; i < t->n; i++)
        r->seen += t->workers[i]->spec.url.n;
    if (model && model->n) {
        const struct worker **slot = &r->kept[r->at++ % ARRAY_LEN(r->kept)];

        if (*slot)
            worker_load_end(*slot);
        worker_unref(*slot);
        *slot = worker_ref(model->workers[r->picks++ % model->n]);
        worker_load_begin(*slot);
    }
    assert_true(registry_counts(house.registry).total <= WORKERS);
    if (began % 2 && atomic_load(&phase) == began)
        assert_true(told == 0 || (model && model->n >= told));
    if (!atomic_load(&r->stop)) {
        loop_post(l, m);
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(r->kept); i++) {
        if (r->kept[i])
            worker_load_end(r->kept[i]);
        worker_unref(r->kept[i]);
    }
    sem_post(&r->stopped);
}

static void start_reader(struct reader *r, unsigned index)
{
    *r = (struct reader){ .loop = house_loop("reader", 10 + index), .again.run = read_once };
    sem_init(&r->stopped, 0, 0);
    assert_int_equal(loop_start_thread(r->loop, NULL), 0);
    loop_post(r->loop, &r->again);
}

static void stop_reader(struct reader *r)
{
    atomic_store(&r->stop, true);
    while (sem_wait(&r->stopped) != 0)
        ;
    loop_stop(r->loop);
    loop_join(r->loop);
    loop_free(r->loop);
}

static bool has_all(void *arg)
{
    return registry_counts(house.registry).ready == WORKERS;
}

static bool has_none(void *arg)
{
    return registry_counts(house.registry).total == 0;
}

static void reclaim(void *arg)
{
    (void)arg;
    snapshot_reclaim();
}

static void readers_never_meet_a_torn_or_freed_table(void **state)
{
    struct registry_conf conf = house_conf();
    struct reader readers[2];
    struct engine *engine;
    char ids[WORKERS][UUID_TEXT_LEN + 1], spec[160];

    house_open(&conf);
    engine = an_engine(0);
    engine_start(engine);
    start_reader(&readers[0], 0);
    start_reader(&readers[1], 1);
    for (unsigned round = 0; round < ROUNDS; round++) {
        atomic_fetch_add(&phase, 1);
        for (unsigned i = 0; i < WORKERS; i++) {
            snprintf(spec, sizeof spec,
                     "{\"url\":\"http://127.0.0.1:%u/"
                     "w%u\",\"models\":[{\"id\":\"m\",\"aliases\":[\"a%u\"]}],\"health\":{\"drain_settle_secs\":0}}",
                     engine->port, i, i);
            assert_int_equal(ask_add(spec, ids[i]), 0);
        }
        wait_until(has_all, NULL, 20000);
        atomic_fetch_add(&phase, 1);
        for (unsigned i = 0; i < WORKERS; i++)
            assert_int_equal(ask_remove(ids[i]), 0);
        wait_until(has_none, NULL, 5000);
        house_do(house.control, reclaim, NULL);
    }
    stop_reader(&readers[0]);
    stop_reader(&readers[1]);
    assert_true(readers[0].picks > 0 && readers[1].picks > 0);
    house_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_never_meet_a_torn_or_freed_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
