/* table.c -- the index of models and aliases (spec control-plane 11.1, data-plane 3, cases 4 and 5) */
#include "test.h"

#include "worker/worker.h"

static struct worker *made[16];
static unsigned made_n;

/* A worker with the model cards MODELS: "x" or "x=alias=alias", separated by blanks; "" = a wildcard. */
static struct worker *a_worker(const char *models)
{
    struct model_card cards[4] = { 0 };
    struct str aliases[4][4];
    struct worker_spec spec = { .url = STR("http://a:1"), .models = cards };
    struct str rest = str_of(models);
    char id[UUID_TEXT_LEN + 1];
    struct worker *w;

    while (rest.n) {
        struct str names, id_of_card;
        struct model_card *c = &cards[spec.models_n];

        (void)str_split(rest, ' ', &names, &rest);
        (void)str_split(names, '=', &id_of_card, &names);
        c->id = id_of_card;
        c->aliases = aliases[spec.models_n++];
        while (names.n)
            (void)str_split(names, '=', &c->aliases[c->aliases_n++], &names);
    }
    snprintf(id, sizeof id, "00000000-0000-7000-8000-%012u", made_n);
    w = worker_new(&spec, id, 0, made_n * 10, NULL);
    assert_non_null(w);
    made[made_n++] = w;
    return w;
}

static struct worker_table *a_table(void)
{
    struct worker_table *t = worker_table_new((const struct worker *const *)made, made_n);

    assert_non_null(t);
    return t;
}

static int forget(void **state)
{
    while (made_n)
        worker_unref(made[--made_n]);
    return 0;
}

static void models_list_their_workers_in_order_of_registration(void **state)
{
    struct worker *a = a_worker("x"), *b = a_worker("y x"), *c = a_worker("x");
    struct worker_table *t = a_table();
    const struct worker_model *x = worker_table_find(t, STR("x")), *y = worker_table_find(t, STR("y"));

    assert_int_equal(x->n, 3);
    assert_ptr_equal(x->workers[0], a);
    assert_ptr_equal(x->workers[1], b);
    assert_ptr_equal(x->workers[2], c);
    assert_int_equal(y->n, 1);
    assert_int_equal(t->models_n, 2);
    assert_str(t->models[0].id, "x");
    assert_str(t->models[1].id, "y");
    worker_table_free(t);
}

static void a_name_that_nobody_has_is_unknown_unless_a_wildcard_serves(void **state)
{
    struct worker_table *t;

    a_worker("x");
    t = a_table();
    assert_null(worker_table_find(t, STR("nope")));
    assert_null(worker_table_find(t, STR("X")));
    worker_table_free(t);
    struct worker *wild = a_worker("");
    t = a_table();
    assert_int_equal(worker_table_find(t, STR("nope"))->n, 1);
    assert_ptr_equal(worker_table_find(t, STR("nope"))->workers[0], wild);
    assert_int_equal(worker_table_find(t, STR("x"))->n, 1);
    worker_table_free(t);
}

static void unknown_and_no_name_mean_any_worker(void **state)
{
    struct worker_table *t;

    a_worker("x");
    a_worker("");
    t = a_table();
    assert_int_equal(worker_table_find(t, STR("unknown"))->n, 2);
    assert_int_equal(worker_table_find(t, STR(""))->n, 2);
    worker_table_free(t);
}

static void an_alias_leads_to_its_model(void **state)
{
    struct worker_table *t;

    a_worker("x=gpt=chat");
    t = a_table();
    assert_str(worker_table_find(t, STR("gpt"))->id, "x");
    assert_str(worker_table_find(t, STR("chat"))->id, "x");
    assert_int_equal(t->models_n, 1);
    worker_table_free(t);
}

static void a_canonical_id_beats_an_alias_in_both_orders(void **state)
{
    struct worker_table *t;

    a_worker("x=y");
    a_worker("y");
    a_worker("z=x");
    t = a_table();
    assert_str(worker_table_find(t, STR("y"))->id, "y");
    assert_str(worker_table_find(t, STR("x"))->id, "x");
    worker_table_free(t);
}

static void the_first_to_claim_an_alias_keeps_it_and_hands_it_on(void **state)
{
    struct worker_table *t;

    a_worker("x=a");
    a_worker("y=a");
    t = a_table();
    assert_str(worker_table_find(t, STR("a"))->id, "x");
    worker_table_free(t);
    t = worker_table_new((const struct worker *const *)made + 1, 1);
    assert_str(worker_table_find(t, STR("a"))->id, "y");
    worker_table_free(t);
}

static void unknown_is_no_alias(void **state)
{
    struct worker_table *t;

    a_worker("x=unknown=x");
    t = a_table();
    assert_ptr_equal(worker_table_find(t, STR("unknown")), &t->all);
    worker_table_free(t);
}

static void a_model_named_twice_by_one_worker_has_it_once(void **state)
{
    struct worker_table *t;

    a_worker("x x");
    t = a_table();
    assert_int_equal(worker_table_find(t, STR("x"))->n, 1);
    worker_table_free(t);
}

static void workers_are_found_by_order(void **state)
{
    struct worker *a = a_worker("x"), *b = a_worker("x");
    struct worker_table *t = a_table();

    assert_ptr_equal(t->workers[worker_table_from(t, 0)], a);
    assert_ptr_equal(t->workers[worker_table_from(t, 1)], b);
    assert_ptr_equal(t->workers[worker_table_from(t, 10)], b);
    assert_int_equal(worker_table_from(t, 11), 2);
    worker_table_free(t);
}

static void a_table_keeps_its_workers(void **state)
{
    struct worker *a = a_worker("x");
    struct worker_table *t = a_table();

    assert_int_equal(atomic_load(&a->refs), 2);
    worker_table_free(t);
    assert_int_equal(atomic_load(&a->refs), 1);
    t = worker_table_new(NULL, 0);
    assert_null(worker_table_find(t, STR("x")));
    worker_table_free(t);
    worker_table_free(NULL);
}

#define RULE(f) cmocka_unit_test_teardown(f, forget)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(models_list_their_workers_in_order_of_registration),
        RULE(a_name_that_nobody_has_is_unknown_unless_a_wildcard_serves),
        RULE(unknown_and_no_name_mean_any_worker),
        RULE(an_alias_leads_to_its_model),
        RULE(a_canonical_id_beats_an_alias_in_both_orders),
        RULE(the_first_to_claim_an_alias_keeps_it_and_hands_it_on),
        RULE(unknown_is_no_alias),
        RULE(a_model_named_twice_by_one_worker_has_it_once),
        RULE(workers_are_found_by_order),
        RULE(a_table_keeps_its_workers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
