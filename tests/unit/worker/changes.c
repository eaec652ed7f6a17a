/* changes.c -- commands with a store: what is durable when, in which batches, and what a failure leaves behind
 *
 * The store of these tests holds its batch until the test lets it go, well or not, and keeps what went well in a little table, as a journal would.
 */
#include "house.h"

#define KEPT_MAX 16

static struct keeper {
    struct registry_store store;
    const struct registry_record *first; /* the batch being written */
    void (*done)(void *owner, int status);
    void *owner;
    _Atomic unsigned batches, records; /* begun; in the running batch */
    int status;                        /* what let_go says */
    struct {
        char id[UUID_TEXT_LEN + 1];
        char spec[2048]; /* empty: free */
    } kept[KEPT_MAX];
} keeper;

static struct engine *engine;

static void commit(struct registry_store *s, const struct registry_record *first, void (*done)(void *owner, int status),
                   void *owner)
{
    unsigned n = 0;

    assert_ptr_equal(s, &keeper.store);
    assert_null(keeper.first); /* one batch at a time */
    for (const struct registry_record *r = first; r; r = r->next)
        n++;
    keeper.first = first;
    keeper.done = done;
    keeper.owner = owner;
    atomic_store(&keeper.records, n);
    atomic_fetch_add(&keeper.batches, 1);
}

static void keep(const struct registry_record *r)
{
    size_t at = KEPT_MAX;

    for (size_t i = 0; i < KEPT_MAX; i++)
        if (str_eq(str_of(keeper.kept[i].id), r->id) || (at == KEPT_MAX && !keeper.kept[i].id[0]))
            at = i;
    assert_true(at < KEPT_MAX && r->spec.n < sizeof keeper.kept[at].spec);
    memcpy(keeper.kept[at].id, r->id.p, UUID_TEXT_LEN);
    if (r->spec.n)
        memcpy(keeper.kept[at].spec, r->spec.p, r->spec.n);
    keeper.kept[at].spec[r->spec.n] = 0;
}

/* On the control loop: the running batch is durable, or is not. */
static void let_go(void *arg)
{
    const struct registry_record *first = keeper.first;

    assert_non_null(first);
    keeper.first = NULL;
    for (const struct registry_record *r = first; r && keeper.status == 0; r = r->next)
        keep(r);
    keeper.done(keeper.owner, keeper.status);
}

static void end_batch(int status)
{
    keeper.status = status;
    house_do(house.control, let_go, NULL);
}

static const char *kept(const char *id)
{
    for (size_t i = 0; i < KEPT_MAX; i++)
        if (strcmp(keeper.kept[i].id, id) == 0)
            return keeper.kept[i].spec;
    return "";
}

static bool is_written(void *batch)
{
    return atomic_load(&keeper.batches) == (unsigned)(uintptr_t)batch;
}

/* Waits for the Nth batch to be begun. */
static void wait_batch(unsigned n)
{
    wait_until(is_written, (void *)(uintptr_t)n, 5000);
}

static int set_up(void **state)
{
    struct registry_conf conf = house_conf();

    keeper = (struct keeper){ .store.commit = commit };
    conf.store = &keeper.store;
    house_open(&conf);
    engine = an_engine(0);
    engine_start(engine);
    return 0;
}

static int tear_down(void **state)
{
    house_close();
    return 0;
}

/* A worker that is ready; the batches so far in *N. */
static void add_ready(char id[UUID_TEXT_LEN + 1], const char *rest, unsigned *n)
{
    struct asked a = { .kind = REGISTRY_ADD, .spec = spec_for(engine, rest) };

    ask_begin(&a);
    wait_batch(++*n);
    end_batch(0);
    ask_wait(&a);
    assert_int_equal(a.result, 0);
    memcpy(id, a.id, sizeof a.id);
    wait_until(is_ready, id, 5000);
}

static void nothing_is_answered_or_begun_before_it_is_durable(void **state)
{
    struct asked a = { .kind = REGISTRY_ADD, .spec = spec_for(engine, ",\"api_key\":\"engine-key\",\"priority\":7") };
    char expected[256];

    ask_begin(&a);
    wait_batch(1);
    assert_int_equal(atomic_load(&engine->asked[E_HEALTH]), 0);
    assert_int_equal(sem_trywait(&a.done), -1);
    end_batch(0);
    ask_wait(&a);
    assert_int_equal(a.result, 0);
    wait_until(is_ready, a.id, 5000);
    snprintf(
        expected, sizeof expected,
        "{\"url\":\"http://"
        "127.0.0.1:%u\",\"worker_type\":\"regular\",\"connection_mode\":\"http\",\"runtime_type\":\"unspecified\",\"priority\":7,"
        "\"cost\":1.0,\"api_key\":\"engine-key\",\"max_connection_attempts\":20}",
        engine->port);
    assert_string_equal(kept(a.id), expected);
}

static void what_could_not_be_kept_has_not_happened(void **state)
{
    struct asked a = { .kind = REGISTRY_ADD, .spec = spec_for(engine, "") };
    char id[UUID_TEXT_LEN + 1], before[8192];
    unsigned n = 1;

    ask_begin(&a);
    wait_batch(1);
    end_batch(ERR_IO);
    ask_wait(&a);
    assert_int_equal(a.result, ERR_STORE);
    assert_string_equal(ask_get(a.id), "");
    add_ready(id, "", &n); /* the URL is free */
    snprintf(before, sizeof before, "%s", ask_get(id));
    for (unsigned i = 0; i < 3; i++) {
        struct asked b = { .kind = i == 0   ? REGISTRY_REPLACE
                                   : i == 1 ? REGISTRY_UPDATE
                                            : REGISTRY_REMOVE,
                           .spec = i == 0 ? spec_for(engine, ",\"priority\":9") : "{\"priority\":9}" };

        memcpy(b.id, id, sizeof b.id);
        ask_begin(&b);
        wait_batch(++n);
        end_batch(ERR_IO);
        ask_wait(&b);
        assert_int_equal(b.result, ERR_STORE);
        assert_string_equal(ask_get(id), before);
    }
}

static void commands_that_come_meanwhile_go_out_together_in_order(void **state)
{
    struct asked a[4];
    char url[4][128];

    for (unsigned i = 0; i < 4; i++) {
        snprintf(url[i], sizeof url[i], "{\"url\":\"http://127.0.0.1:%u/%u\"}", engine->port, i);
        a[i] = (struct asked){ .kind = REGISTRY_ADD, .spec = url[i] };
        ask_begin(&a[i]);
        if (i == 0)
            wait_batch(1);
    }
    end_batch(0);
    wait_batch(2);
    assert_int_equal(atomic_load(&keeper.records), 3);
    end_batch(0);
    for (unsigned i = 0; i < 4; i++) {
        ask_wait(&a[i]);
        assert_int_equal(a[i].result, 0);
    }
}

static void a_batch_ends_before_a_second_command_for_a_worker(void **state)
{
    struct asked a = { .kind = REGISTRY_ADD, .spec = spec_for(engine, ",\"priority\":1") }, b, c;
    unsigned n = 0;
    char id[UUID_TEXT_LEN + 1];

    ask_begin(&a);
    wait_batch(++n);
    b = (struct asked){ .kind = REGISTRY_ADD, .spec = spec_for(engine, ",\"priority\":2") };
    ask_begin(&b);
    end_batch(0);
    ask_wait(&a);
    ask_wait(&b); /* joined: nothing to keep */
    assert_int_equal(b.result, 0);
    assert_string_equal(a.id, b.id);
    wait_until(is_ready, a.id, 5000);
    memcpy(id, a.id, sizeof id);

    a = b = c = (struct asked){ .kind = REGISTRY_UPDATE, .spec = "{\"priority\":3}" };
    b.spec = "{\"cost\":2}";
    memcpy(a.id, id, sizeof id);
    memcpy(b.id, id, sizeof id);
    c.kind = REGISTRY_REMOVE;
    memcpy(c.id, id, sizeof id);
    ask_begin(&a);
    wait_batch(++n);
    ask_begin(&b);
    ask_begin(&c);
    end_batch(0);
    ask_wait(&a);
    wait_batch(++n);
    assert_int_equal(atomic_load(&keeper.records), 1);
    end_batch(0);
    ask_wait(&b);
    assert_non_null(strstr(kept(id), "\"priority\":3,\"cost\":2.0"));
    wait_batch(++n);
    end_batch(0);
    ask_wait(&c);
    assert_int_equal(c.result, 0);
    assert_string_equal(kept(id), "");
    wait_until(is_gone, id, 5000);
}

static void the_line_has_a_bound(void **state)
{
    static struct asked a[1002];
    static char url[1002][96];

    for (unsigned i = 0; i < 1002; i++) {
        snprintf(url[i], sizeof url[i], "{\"url\":\"http://127.0.0.1:%u/%u\",\"runtime\":\"external\"}", engine->port, i);
        a[i] = (struct asked){ .kind = REGISTRY_ADD, .spec = url[i] };
        ask_begin(&a[i]);
        if (i == 0)
            wait_batch(1);
    }
    ask_wait(&a[1001]);
    assert_int_equal(a[1001].result, ERR_BUSY);
    keeper.status = ERR_IO;
    for (unsigned n = 1; n <= 1 + (1000 + 255) / 256; n++) {
        wait_batch(n);
        end_batch(ERR_IO);
    }
    for (unsigned i = 0; i < 1001; i++) {
        ask_wait(&a[i]);
        assert_int_equal(a[i].result, ERR_STORE);
    }
}

static void a_registration_that_comes_through_while_it_is_patched_is_patched(void **state)
{
    struct asked a = { .kind = REGISTRY_ADD, .spec = spec_for(engine, "") };
    struct asked b = { .kind = REGISTRY_UPDATE, .spec = "{\"priority\":3}" };

    engine->status[E_HEALTH] = 503;
    ask_begin(&a);
    wait_batch(1);
    end_batch(0);
    ask_wait(&a);
    memcpy(b.id, a.id, sizeof b.id);
    ask_begin(&b);
    wait_batch(2);
    engine->status[E_HEALTH] = 200;
    wait_until(is_ready, a.id, 5000);
    end_batch(0);
    ask_wait(&b);
    assert_int_equal(b.result, 0);
    assert_non_null(strstr(ask_get(a.id), "\"tp_size\":\"2\""));
    assert_non_null(strstr(ask_get(a.id), "\"priority\":3"));
}

static bool put_is_done(void *id)
{
    return strstr(ask_get(id), "job_status") == NULL;
}

static void a_put_that_finishes_while_a_patch_is_written_waits_for_it(void **state)
{
    for (unsigned round = 0; round < 2; round++) { /* the patch is kept, and is not */
        struct asked put = { .kind = REGISTRY_REPLACE }, patch = { .kind = REGISTRY_UPDATE, .spec = "{\"cost\":3}" };
        char id[UUID_TEXT_LEN + 1];
        unsigned n = atomic_load(&keeper.batches), asked;

        add_ready(id, round ? ",\"priority\":6" : "", &n);
        put.spec = spec_for(engine, ",\"priority\":9");
        memcpy(put.id, id, sizeof id);
        memcpy(patch.id, id, sizeof id);
        engine->status[E_HEALTH] = 503;
        ask_begin(&put);
        wait_batch(++n);
        end_batch(0);
        ask_wait(&put);
        ask_begin(&patch);
        wait_batch(++n);
        asked = atomic_load(&engine->asked[E_MODEL_INFO]);
        engine->status[E_HEALTH] = 200;
        for (unsigned i = 0; i < 400 && atomic_load(&engine->asked[E_MODEL_INFO]) == asked; i++)
            nap(10);
        nap(50);
        assert_null(strstr(ask_get(id), "\"priority\":9"));
        end_batch(round ? ERR_IO : 0);
        ask_wait(&patch);
        if (round == 0) {
            assert_non_null(strstr(ask_get(id), "is no longer at revision 0, so the replacement was dropped"));
            assert_non_null(strstr(ask_get(id), "\"priority\":50,\"cost\":3.0"));
        } else {
            wait_until(put_is_done, id, 5000);
            assert_non_null(strstr(ask_get(id), "\"priority\":9,\"cost\":1.0"));
        }
        patch = (struct asked){ .kind = REGISTRY_REMOVE };
        memcpy(patch.id, id, sizeof id);
        ask_begin(&patch);
        wait_batch(++n);
        end_batch(0);
        ask_wait(&patch);
        wait_until(is_gone, id, 5000);
    }
}

/* ---- the start ---- */

#define ID "01234567-89ab-7def-8123-456789abcdef"

static void restore(void *arg)
{
    char spec[256];
    struct err err;

    snprintf(spec, sizeof spec, "{\"url\":\"http://127.0.0.1:%u\",\"priority\":7,\"api_key\":\"engine-key\"}", engine->port);
    assert_int_equal(registry_restore(house.registry, STR(ID), str_of(spec), &err), 0);
    assert_int_equal(registry_restore(house.registry, STR(ID), str_of(spec), &err), ERR_EXISTS);
    assert_int_equal(registry_restore(house.registry, STR("x"), str_of(spec), &err), ERR_INVALID);
    assert_int_equal(registry_restore(house.registry, STR(ID), STR("{"), &err), ERR_INVALID);
    assert_int_equal(registry_restore(house.registry, STR(ID), STR("{\"url\":\"nonsense\"}"), &err), ERR_INVALID);
    snprintf(spec, sizeof spec, "http://127.0.0.1:%u/", engine->port);
    assert_int_equal(
        registry_add_startup(house.registry, &(struct registry_startup){ .url = str_of(spec), .bootstrap_port = -1 }, &err),
        0); /* the kept description wins */
}

static void a_kept_worker_comes_back_under_its_id(void **state)
{
    char id[] = ID;

    house_do(house.control, restore, NULL);
    wait_until(is_ready, id, 5000);
    assert_non_null(strstr(ask_get(id), "\"priority\":7"));
    assert_true(atomic_load(&engine->saw_key));
}

static void a_stop_while_a_batch_is_written_leaks_nothing(void **state)
{
    static struct asked a, b;

    a = (struct asked){ .kind = REGISTRY_ADD, .spec = spec_for(engine, "") };
    ask_begin(&a);
    wait_batch(1);
    b = (struct asked){ .kind = REGISTRY_ADD, .spec = spec_for(engine, "") };
    ask_begin(&b); /* both are never answered: the house closes */
}

#define RULE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(nothing_is_answered_or_begun_before_it_is_durable),
        RULE(what_could_not_be_kept_has_not_happened),
        RULE(commands_that_come_meanwhile_go_out_together_in_order),
        RULE(a_batch_ends_before_a_second_command_for_a_worker),
        RULE(the_line_has_a_bound),
        RULE(a_registration_that_comes_through_while_it_is_patched_is_patched),
        RULE(a_put_that_finishes_while_a_patch_is_written_waits_for_it),
        RULE(a_kept_worker_comes_back_under_its_id),
        RULE(a_stop_while_a_batch_is_written_leaks_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
