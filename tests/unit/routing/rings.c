/* rings.c -- rings are made for models that are asked for, follow the table, and go with their models */
#include "herd.h"

#include "routing/rings.h"
#include "worker/registry_internal.h"

static struct registry registry; /* only its table */
static struct loop *loop;
static struct rings *rings;
static struct timer step;
static const struct worker *made[300];
static size_t made_n;
static unsigned looks;

static void free_table(void *object)
{
    worker_table_free(object);
}

/* The first N workers from now on; those from number 5 on have the model "m". */
static struct worker_table *table_of(size_t n)
{
    while (made_n < n) {
        struct worker_spec spec;
        struct model_card card = { .id = STR("m") };
        char url[40], id[UUID_TEXT_LEN + 1];

        worker_spec_defaults(&spec);
        spec.url = (struct str){ url, (size_t)snprintf(url, sizeof url, "http://w%zu:8000", made_n) };
        spec.models = &card;
        spec.models_n = made_n >= 5;
        snprintf(id, sizeof id, "%036zu", made_n);
        made[made_n] = worker_new(&spec, id, 0, made_n, NULL);
        assert_non_null(made[made_n]);
        made_n++;
    }
    return worker_table_new(made, n);
}

static void publish(size_t n)
{
    snapshot_publish(&registry.table, table_of(n));
    rings_on_registry(rings);
}

static const struct hash_ring *ring_of(struct str model)
{
    const struct worker_table *t = registry_table(&registry, loop);
    const struct worker_model *m = worker_table_find(t, model);

    return m ? rings_find(rings, loop, t, m) : NULL;
}

static void look_again(struct timer *t, void (*next)(struct timer *t))
{
    assert_true(++looks < 1000);
    timer_start(loop, t, 1, next);
}

static void when_gone(struct timer *t)
{
    snapshot_reclaim();
    if (rings_find(rings, loop, registry_table(&registry, loop), &(struct worker_model){ .id = STR("m"), .n = 1 })) {
        look_again(t, when_gone);
        return;
    }
    assert_int_equal(ring_of(STR_NONE)->workers_n, 5); /* other models keep theirs */
    rings_stop(rings);
    rings_on_registry(rings);
    loop_stop(loop);
}

static void when_grown(struct timer *t)
{
    const struct hash_ring *r = ring_of(STR("m"));

    assert_non_null(r);
    assert_true(r->workers_n == 95 || r->workers_n == 295); /* never a half-made one */
    if (r->workers_n == 95 || ring_of(STR_NONE)->workers_n != 300) {
        look_again(t, when_grown);
        return;
    }
    assert_int_equal(ring_of(STR("other"))->workers_n, 5); /* the wildcard's, whatever the name */
    publish(5);
    look_again(t, when_gone);
}

static void when_made(struct timer *t)
{
    const struct hash_ring *m = ring_of(STR("m")), *all = ring_of(STR_NONE), *wildcard = ring_of(STR("other"));

    if (!m || !all || !wildcard) {
        look_again(t, when_made);
        return;
    }
    assert_int_equal(m->workers_n, 95);
    assert_int_equal(m->orders[0], 5);
    assert_int_equal(all->workers_n, 100);
    assert_int_equal(wildcard->workers_n, 5);
    publish(300);
    look_again(t, when_grown);
}

static void begin(struct timer *t)
{
    publish(100);
    assert_null(ring_of(STR("m"))); /* the first one to ask has none */
    look_again(t, when_made);
}

static void rings_follow_their_models(void **state)
{
    assert_int_equal(loop_new("control", 0, &loop, NULL), 0);
    snapshot_init(&registry.table, table_of(0), free_table);
    assert_int_equal(rings_new(loop, &registry, &rings), 0);
    timer_start(loop, &step, 0, begin);
    loop_run(loop);
    rings_free(rings);
    snapshot_fini(&registry.table);
    for (size_t i = 0; i < made_n; i++)
        worker_unref(made[i]);
    loop_free(loop);
}

static void nothing_is_fine_rings(void **state)
{
    struct worker_table *t = worker_table_new(NULL, 0);

    assert_null(rings_find(NULL, NULL, t, &t->all));
    rings_on_registry(NULL);
    rings_stop(NULL);
    rings_free(NULL);
    worker_table_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rings_follow_their_models),
        cmocka_unit_test(nothing_is_fine_rings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
