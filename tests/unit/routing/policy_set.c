/* policy_set.c -- which policy serves which model (spec data-plane 6.2) */
#include <stdio.h>
#include <stdlib.h>

#include "on_loop.h"

#include "base/err.h"
#include "routing/policies.h"
#include "routing/policy_set.h"

static struct policy_set *set;

/* ---- a policy that tells what it hears ---- */

static struct heard {
    unsigned made, freed, forgotten;
} heard;

static int init_heard(struct policy *p, struct err *err)
{
    heard.made++;
    return 0;
}

static int pick_heard(struct policy *p, const struct worker *const *cand, size_t n, const struct policy_hint *hint,
                      struct policy_choice *choice)
{
    return 0;
}

static void forget_heard(struct policy *p, const struct worker *w)
{
    heard.forgotten++;
}

static void fini_heard(struct policy *p)
{
    heard.freed++;
}

static const struct policy_ops HEARD = { .name = "heard",
                                         .size = sizeof(struct policy),
                                         .wants_loads = true,
                                         .init = init_heard,
                                         .pick = pick_heard,
                                         .forget = forget_heard,
                                         .fini = fini_heard };

/* ---- the stage ---- */

static void stop_set(void)
{
    policy_set_stop(set);
}

static int open_set(void **state)
{
    after_scene = stop_set;
    assert_int_equal(loop_new("test", 0, &loop, NULL), 0);
    heard = (struct heard){ 0 };
    set = NULL;
    return 0;
}

static int close_set(void **state)
{
    policy_set_free(set);
    loop_free(loop);
    assert_int_equal(heard.made, heard.freed);
    return 0;
}

static void make(struct policy_set_conf conf)
{
    conf.params = POLICY_CONF_DEFAULTS;
    assert_int_equal(policy_set_new(loop, &conf, &set, NULL), 0);
}

static struct worker *a_worker(const char *url, const char *model, const char *policy)
{
    struct model_card card = { .id = str_of(model) };
    struct worker_label label = { STR("policy"), str_of(policy) };
    struct worker_spec spec;
    struct worker *w;

    worker_spec_defaults(&spec);
    spec.url = str_of(url);
    spec.models = &card;
    spec.models_n = 1;
    spec.labels = &label;
    spec.labels_n = policy[0] ? 1 : 0;
    w = worker_new(&spec, "00000000-0000-4000-8000-000000000000", 0, 0, NULL);
    assert_non_null(w);
    return w;
}

/* E happened to W, and WORKERS are those of the table then. */
static void happen(enum registry_event e, const struct worker *w, const struct worker *const *workers, size_t n)
{
    struct worker_table *table = worker_table_new(workers, n);

    assert_non_null(table);
    policy_set_on_registry(set, e, w, table);
    worker_table_free(table);
}

static const char *policy_of(const char *model)
{
    return policy_set_find(set, loop, str_of(model), POLICY_REGULAR)->ops->name;
}

/* ---- rules ---- */

static void models_share_the_default(void)
{
    make((struct policy_set_conf){ .policy = &policy_random });
    assert_string_equal(policy_of("a"), "random");
    assert_ptr_equal(policy_set_find(set, loop, STR("a"), POLICY_REGULAR), policy_set_find(set, loop, STR("b"), POLICY_DECODE));
    assert_false(policy_set_wants_loads(set));
}

static void prefill_and_decode_have_policies_of_their_own(void)
{
    make((struct policy_set_conf){ .policy = &policy_random, .prefill = &policy_round_robin });
    assert_string_equal(policy_set_find(set, loop, STR("a"), POLICY_PREFILL)->ops->name, "round_robin");
    assert_string_equal(policy_set_find(set, loop, STR("a"), POLICY_DECODE)->ops->name, "random");
}

static void the_first_workers_label_decides_until_the_last_is_gone(void)
{
    struct worker *w[] = { a_worker("http://a:1", "m", "RoundRobin"), a_worker("http://b:1", "m", "power_of_two") };
    const struct worker *const *rows = (const struct worker *const *)w;

    make((struct policy_set_conf){ .policy = &policy_random });
    happen(REGISTRY_ADDED, w[0], rows, 1);
    happen(REGISTRY_ADDED, w[1], rows, 2);
    assert_string_equal(policy_of("m"), "round_robin");
    assert_string_equal(policy_of("n"), "random");
    happen(REGISTRY_REMOVED, w[0], rows + 1, 1);
    assert_string_equal(policy_of("m"), "round_robin");
    happen(REGISTRY_REMOVED, w[1], rows, 0);
    assert_string_equal(policy_of("m"), "random");
    worker_unref(w[0]);
    worker_unref(w[1]);
}

static void an_unknown_label_means_the_default(void)
{
    struct worker *w = a_worker("http://a:1", "m", "best");
    const struct worker *rows[] = { w };

    make((struct policy_set_conf){ .policy = &policy_random });
    happen(REGISTRY_ADDED, w, rows, 1);
    assert_string_equal(policy_of("m"), "random");
    worker_unref(w);
}

static void operators_decide_for_one_model_or_all(void)
{
    struct worker *w = a_worker("http://a:1", "m", "round_robin");
    const struct worker *rows[] = { w };
    struct err err;

    make((struct policy_set_conf){ .policy = &policy_random });
    assert_int_equal(policy_set_change(set, STR("m"), &HEARD, &POLICY_CONF_DEFAULTS, &err), 0);
    assert_int_equal(policy_set_change(set, STR_NONE, &policy_power_of_two, &POLICY_CONF_DEFAULTS, &err), 0);
    assert_string_equal(policy_of("m"), "heard");
    assert_string_equal(policy_of("n"), "power_of_two");
    assert_true(policy_set_wants_loads(set));
    happen(REGISTRY_ADDED, w, rows, 1); /* its label comes too late */
    assert_string_equal(policy_of("m"), "heard");
    happen(REGISTRY_REMOVED, w, rows, 0); /* what an operator decided stays */
    assert_string_equal(policy_of("m"), "heard");
    assert_int_equal(heard.forgotten, 1);
    worker_unref(w);
}

static void bad_parameters_change_nothing(void)
{
    struct policy_conf conf = POLICY_CONF_DEFAULTS;
    struct err err;

    make((struct policy_set_conf){ .policy = &policy_random });
    conf.cache_threshold = 1.5;
    assert_int_equal(policy_set_change(set, STR("m"), &HEARD, &conf, &err), ERR_INVALID);
    assert_string_equal(err.message, "Invalid value for field 'cache_threshold': 1.5 - Must be between 0.0 and 1.0");
    assert_string_equal(policy_of("m"), "random");
    assert_int_equal(heard.made, 0);
}

static void note_row(struct str model, struct policy *p, bool by_operator, void *arg)
{
    buf_printf(arg, "%.*s=%s ", STR_FMT(model), p->ops->name);
}

static void rows_are_listed_by_model(void)
{
    struct buf text = { 0 };

    make((struct policy_set_conf){ .policy = &policy_random });
    assert_int_equal(policy_set_change(set, STR("z"), &HEARD, &POLICY_CONF_DEFAULTS, NULL), 0);
    assert_int_equal(policy_set_change(set, STR("a"), &policy_passthrough, &POLICY_CONF_DEFAULTS, NULL), 0);
    policy_set_each(set, loop, note_row, &text);
    assert_int_equal(text.n, strlen("=random a=passthrough z=heard "));
    assert_memory_equal(text.p, "=random a=passthrough z=heard ", text.n);
    buf_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE(models_share_the_default, open_set, close_set),
        SCENE(prefill_and_decode_have_policies_of_their_own, open_set, close_set),
        SCENE(the_first_workers_label_decides_until_the_last_is_gone, open_set, close_set),
        SCENE(an_unknown_label_means_the_default, open_set, close_set),
        SCENE(operators_decide_for_one_model_or_all, open_set, close_set),
        SCENE(bad_parameters_change_nothing, open_set, close_set),
        SCENE(rows_are_listed_by_model, open_set, close_set),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
