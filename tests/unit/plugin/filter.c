/* filter.c -- with no module attached a request and its reply are left alone: nothing is copied, held or waited for */
#include "fake_engine.h"

#include "plugin/filter.h"

static struct scene {
    struct loop *loop;
    struct plugin_registry *registry;
    struct plugin_threads *threads;
    struct plugin_filter filter;
    struct exchange ex;
    struct route route;
} scene;

static int setup(void **state)
{
    struct plugin_registry_conf conf = { .engine = &fake.engine };
    struct plugin_chain_conf chain = { .timeout_ms = 1000, .max_memory_pages = 16, .max_body_bytes = 10 };

    (void)state;
    memset(&scene, 0, sizeof scene);
    fake_init();
    assert_int_equal(loop_new("test", 0, &scene.loop, NULL), 0);
    conf.control = scene.loop;
    assert_int_equal(plugin_registry_new(&conf, &scene.registry, NULL), 0);
    assert_int_equal(plugin_threads_new(1, 8, &scene.threads, NULL), 0);
    chain.totals = plugin_registry_totals(scene.registry);
    chain.threads = scene.threads;
    plugin_filter_init(&scene.filter, scene.registry, &chain, scene.loop);
    scene.route = (struct route){ .auth = ROUTE_DATA };
    scene.ex = (struct exchange){ .loop = scene.loop, .route = &scene.route, .body = STR("more than ten bytes of body") };
    scene.ex.req.body = HTTP_BODY_LENGTH;
    scene.ex.req.length = scene.ex.body.n;
    arena_init(&scene.ex.arena, NULL, 0);
    assert_int_equal(loop_start_thread(scene.loop, NULL), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    loop_stop(scene.loop);
    loop_join(scene.loop);
    plugin_threads_free(scene.threads);
    plugin_filter_fini(&scene.filter);
    plugin_registry_free(scene.registry);
    arena_fini(&scene.ex.arena);
    loop_free(scene.loop);
    fake_fini();
    return 0;
}

/* ---- on the loop: what happened is kept, and looked at on the test's thread ---- */

static struct {
    enum filter_verdict head, body;
    bool wants, held;
    sem_t done;
} seen;

static void pass(struct loop *loop, struct message *m)
{
    struct exchange *ex = &scene.ex;

    (void)loop;
    (void)m;
    seen.head = plugin_on_head(ex, &scene.filter);
    seen.body = plugin_on_body(ex, &scene.filter);
    seen.held = ex->hold != NULL;
    ex->status = 200;
    ex->reply_length = 5;
    seen.wants = ex->hold && ex->hold->wants(ex, ex->hold_arg);
    plugin_on_end(ex, &scene.filter);
    sem_post(&seen.done);
}

static void pass_through(void)
{
    struct message m = { .run = pass };

    memset(&seen, 0, sizeof seen);
    sem_init(&seen.done, 0, 0);
    loop_post(scene.loop, &m);
    while (sem_wait(&seen.done) < 0)
        ;
    sem_destroy(&seen.done);
}

static void with_no_module_nothing_is_buffered_copied_or_held(void **state)
{
    struct exchange *ex = &scene.ex;
    const char *body = ex->body.p;

    pass_through();
    assert_true(seen.head == FILTER_GO_ON && seen.body == FILTER_GO_ON);
    assert_true(ex->body.p == body && ex->plugins == NULL && ex->owner == NULL);
    assert_true(seen.held &&
                !seen.wants); /* somebody would look at the reply, and lets it go as it is (http/hold.c: byte for byte) */
    assert_int_equal(ex->arena.used, 0); /* not a byte of memory */
    assert_true(list_empty(&scene.filter.chain.runs));
}

static void what_is_not_covered_is_not_even_asked_about(void **state)
{
    static const struct route ROUTES[] = { { .auth = ROUTE_ADMIN },
                                           { .auth = ROUTE_PUBLIC },
                                           { .auth = ROUTE_DATA, .plugins = ROUTE_PLUGINS_NEVER } };

    for (size_t i = 0; i < ARRAY_LEN(ROUTES); i++) {
        scene.route = ROUTES[i];
        pass_through();
        assert_true(seen.head == FILTER_GO_ON && seen.body == FILTER_GO_ON && !seen.held);
    }
    scene.ex.route = NULL;
    pass_through();
    assert_false(seen.held);
}

static void while_plugins_are_off_nothing_is_looked_at(void **state)
{
    struct plugin_filter off;

    plugin_filter_init(&off, NULL, NULL, scene.loop);
    assert_int_equal(plugin_on_head(&scene.ex, &off), FILTER_GO_ON);
    assert_int_equal(plugin_on_body(&scene.ex, &off), FILTER_GO_ON);
    assert_null(scene.ex.hold);
    plugin_filter_fini(&off);
}

#define RULE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(with_no_module_nothing_is_buffered_copied_or_held),
        RULE(what_is_not_covered_is_not_even_asked_about),
        RULE(while_plugins_are_off_nothing_is_looked_at),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
