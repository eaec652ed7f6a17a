/* registry.c -- registrations and removals by commands, one writer; what the state directory keeps; with a fake engine */
#include "fake_engine.h"

#include <sys/stat.h>

#include "journal/disk.h"
#include "loop/pool.h"
#include "plugin/registry.h"

static struct scene {
    char folder[64], state[96];
    struct loop *loop;
    struct disk *disk;
    struct pool *journal_pool;
    struct journal *journal;
    struct plugin_registry *registry;
    sem_t done;
    struct plugin_command *answered;
} scene;

/* ---- files and modules ---- */

static struct str write_module(const char *name, const char *behaviour)
{
    static char path[8][128];
    static unsigned at;
    char *p = path[at++ % 8];
    FILE *f;

    snprintf(p, sizeof path[0], "%s/%s", scene.folder, name);
    f = fopen(p, "w");
    assert_non_null(f);
    fwrite(FAKE_MAGIC, 1, 8, f);
    fprintf(f, "fake:%s", behaviour);
    fclose(f);
    return str_of(p);
}

static const int ON_REQUEST[] = { PLUGIN_ON_REQUEST }, ON_RESPONSE[] = { PLUGIN_ON_RESPONSE };

static struct plugin_descriptor module_at(const char *name, struct str path)
{
    return (struct plugin_descriptor){ .name = str_of(name), .path = path, .attach = ON_REQUEST, .attach_n = 1 };
}

/* ---- life ---- */

static void open_registry(void)
{
    struct plugin_registry_conf conf = { .engine = &fake.engine };
    struct journal_conf j = { 0 };
    struct journal_report report;

    assert_int_equal(loop_new("control", 0, &scene.loop, NULL), 0);
    assert_int_equal(disk_open(scene.state, &scene.disk, NULL), 0);
    assert_int_equal(pool_new(1, &scene.journal_pool, NULL), 0);
    j.disk = scene.disk;
    j.pool = scene.journal_pool;
    j.loop = scene.loop;
    assert_int_equal(journal_open(&j, &scene.journal, &report, NULL), 0);
    conf.control = scene.loop;
    conf.journal = scene.journal;
    assert_int_equal(plugin_registry_new(&conf, &scene.registry, NULL), 0);
}

static void run_loop(void)
{
    assert_int_equal(loop_start_thread(scene.loop, NULL), 0);
}

static void stop_all(struct loop *loop, struct message *m)
{
    (void)m;
    plugin_registry_stop(scene.registry);
    journal_stop(scene.journal);
    loop_stop(loop);
}

static void close_registry(void)
{
    struct message m = { .run = stop_all };

    loop_post(scene.loop, &m);
    if (scene.loop->thread_started)
        loop_join(scene.loop);
    else
        loop_run(scene.loop);
    plugin_registry_free(STEAL(scene.registry));
    pool_free(STEAL(scene.journal_pool));
    journal_free(STEAL(scene.journal));
    disk_free(STEAL(scene.disk));
    loop_free(STEAL(scene.loop));
}

static int setup(void **state)
{
    (void)state;
    memset(&scene, 0, sizeof scene);
    fake_init();
    sem_init(&scene.done, 0, 0);
    strcpy(scene.folder, "/tmp/smg-registry-XXXXXX");
    assert_non_null(mkdtemp(scene.folder));
    snprintf(scene.state, sizeof scene.state, "%s/state", scene.folder);
    open_registry();
    return 0;
}

static int teardown(void **state)
{
    char command[128];

    (void)state;
    close_registry();
    fake_fini();
    sem_destroy(&scene.done);
    snprintf(command, sizeof command, "rm -rf %s", scene.folder);
    return system(command);
}

/* ---- commands ---- */

static void on_answered(struct plugin_command *c)
{
    scene.answered = c;
    sem_post(&scene.done);
}

static struct plugin_command *ask(struct plugin_command *c)
{
    c->answered = on_answered;
    plugin_command_post(c);
    while (sem_wait(&scene.done) < 0)
        ;
    return scene.answered;
}

static struct plugin_command *a_registration(const struct plugin_descriptor *d, size_t n)
{
    struct plugin_command *c = plugin_command_new(scene.registry, scene.loop, PLUGIN_ADD, sizeof(*c));

    assert_non_null(c);
    c->list = (struct plugin_list){ arena_array(&c->arena, n + 1, sizeof(*d)), n };
    assert_non_null(c->list.v);
    if (n)
        memcpy(c->list.v, d, n * sizeof(*d));
    return c;
}

/* "" and ID filled in, or the error's text. */
static const char *add(struct plugin_descriptor d, char id[UUID_TEXT_LEN + 1])
{
    static char text[1024];
    struct plugin_command *c = ask(a_registration(&d, 1));

    assert_int_equal(c->result, 0);
    snprintf(text, sizeof text, "%.*s", STR_FMT(c->results[0].ok ? STR("") : c->results[0].text));
    if (c->results[0].ok && id)
        memcpy(id, c->results[0].id, UUID_TEXT_LEN + 1);
    plugin_command_free(c);
    return text;
}

static int remove_module(const char *id)
{
    struct plugin_command *c = plugin_command_new(scene.registry, scene.loop, PLUGIN_REMOVE, sizeof(*c));
    int result;

    assert_non_null(c);
    snprintf(c->id, sizeof c->id, "%s", id);
    result = ask(c)->result;
    plugin_command_free(c);
    return result;
}

struct look {
    struct message message;
    char names[256];
};

static void on_look(struct loop *loop, struct message *m)
{
    struct look *l = CONTAINER_OF(m, struct look, message);
    const struct plugin_table *t = plugin_registry_table(scene.registry, loop);

    for (size_t i = 0; i < t->n; i++)
        snprintf(l->names + strlen(l->names), sizeof l->names - strlen(l->names), "%.*s%s ", STR_FMT(t->modules[i]->d.name),
                 t->modules[i]->code ? "" : "(broken)");
    sem_post(&scene.done);
}

static const char *names(void)
{
    static struct look l;

    l = (struct look){ .message.run = on_look };
    loop_post(scene.loop, &l.message);
    while (sem_wait(&scene.done) < 0)
        ;
    return l.names;
}

/* ---- the rules ---- */

static void modules_stand_in_the_order_of_their_registration_under_ids_of_their_own(void **state)
{
    char a[UUID_TEXT_LEN + 1], b[UUID_TEXT_LEN + 1];

    run_loop();
    assert_string_equal(add(module_at("same", write_module("b.wasm", "stamp")), a), "");
    assert_string_equal(add(module_at("same", write_module("a.wasm", "body")), b), "");
    assert_string_equal(names(), "same same ");
    assert_true(strcmp(a, b) < 0 && a[14] == '7'); /* uuid v7, in order */
    assert_int_equal(remove_module(b), 0);
    assert_string_equal(names(), "same ");
    assert_int_equal(remove_module(b), ERR_NOT_FOUND);
    assert_int_equal(remove_module(a), 0);
    assert_string_equal(names(), "");
}

static void the_same_bytes_are_registered_once(void **state)
{
    char a[UUID_TEXT_LEN + 1];
    struct str first = write_module("a.wasm", "stamp"), second = write_module("b.wasm", "stamp");

    run_loop();
    assert_string_equal(add(module_at("one", first), a), "");
    assert_non_null(
        strstr(add(module_at("two", second), NULL),
               "Workflow failed at step check_duplicate: Step failed: check_duplicate - Duplicate SHA256 hash detected: "
               "module with same sha256 already exists: "));
    assert_int_equal(atomic_load(&fake.compiled), 1); /* it was not compiled again to find that out */
    assert_int_equal(remove_module(a), 0);
    assert_string_equal(add(module_at("two", second), a), "");
}

static void two_registrations_of_one_file_at_a_time_make_one_module(void **state)
{
    struct plugin_descriptor d = module_at("twin", write_module("a.wasm", "stamp"));
    struct plugin_command *one = a_registration(&d, 1), *two = a_registration(&d, 1);
    bool first, second;

    run_loop();
    one->answered = two->answered = on_answered;
    plugin_command_post(one);
    plugin_command_post(two);
    sem_wait(&scene.done);
    sem_wait(&scene.done);
    names(); /* both answers have been looked at */
    first = one->results[0].ok;
    second = two->results[0].ok;
    assert_true(first != second);
    plugin_command_free(one);
    plugin_command_free(two);
    assert_string_equal(names(), "twin ");
}

static void those_of_one_request_are_registered_one_after_another_and_a_failure_stops_nobody(void **state)
{
    struct plugin_descriptor d[] = { module_at("a", write_module("a.wasm", "stamp")), module_at("", STR("x")),
                                     module_at("garbage", write_module("g.wasm", "x")),
                                     module_at("b", write_module("b.wasm", "body")) };
    struct plugin_command *c;
    FILE *f = fopen(d[2].path.p, "w");

    fputs("not a valid wasm file", f);
    fclose(f);
    run_loop();
    c = ask(a_registration(d, 4));
    assert_true(c->results[0].ok && !c->results[1].ok && !c->results[2].ok && c->results[3].ok);
    assert_true(
        str_eq(c->results[1].text, STR("Workflow failed at step validate_descriptor: Step failed: validate_descriptor - Module "
                                       "name cannot be empty")));
    assert_true(str_has_prefix(c->results[2].text, STR("Workflow failed at step validate_wasm_component: Step failed: "
                                                       "validate_wasm_component - Invalid WASM component: ")));
    assert_true(
        str_has_suffix(c->results[2].text, STR("use 'wasm-tools component new' to wrap the WASM module into a component.")));
    plugin_command_free(c);
    assert_string_equal(names(), "a b ");
    plugin_command_free(ask(a_registration(NULL, 0)));
}

static void a_module_that_cannot_serve_its_attach_point_is_refused(void **state)
{
    struct plugin_descriptor d = module_at("half", write_module("a.wasm", "onlyreq"));

    run_loop();
    d.attach = ON_RESPONSE;
    assert_non_null(strstr(add(d, NULL), "it is attached to OnResponse and does not export smg:gateway/middleware-on-response"));
    d.attach = ON_REQUEST;
    assert_string_equal(add(d, NULL), "");
}

static void a_module_may_be_attached_nowhere(void **state)
{
    struct plugin_descriptor d = module_at("idle", write_module("a.wasm", "stamp"));

    run_loop();
    d.attach_n = 0;
    assert_string_equal(add(d, NULL), "");
    assert_string_equal(names(), "idle ");
}

/* ---- restarts ---- */

static void reopen(void)
{
    close_registry();
    open_registry();
    plugin_registry_restore(scene.registry);
    run_loop();
}

static void what_was_registered_is_there_after_a_restart_in_its_order_under_its_id(void **state)
{
    char a[UUID_TEXT_LEN + 1], b[UUID_TEXT_LEN + 1];
    struct plugin_descriptor d = module_at("first", write_module("a.wasm", "stamp"));

    d.timeout_ms = 7;
    d.on_failure = PLUGIN_FAILURE_REJECT;
    run_loop();
    assert_string_equal(add(d, a), "");
    assert_string_equal(add(module_at("gone", write_module("b.wasm", "trap")), b), "");
    assert_string_equal(add(module_at("last", write_module("c.wasm", "body")), NULL), "");
    assert_int_equal(remove_module(b), 0);
    for (int i = 0; i < 3; i++) {
        reopen();
        assert_string_equal(names(), "first last ");
    }
    assert_int_equal(remove_module(a), 0);
    reopen();
    assert_string_equal(names(), "last ");
}

static void one_whose_file_is_gone_stays_in_its_place_and_is_broken(void **state)
{
    struct str path = write_module("a.wasm", "stamp");

    run_loop();
    assert_string_equal(add(module_at("lost", path), NULL), "");
    assert_string_equal(add(module_at("kept", write_module("b.wasm", "body")), NULL), "");
    assert_int_equal(unlink(path.p), 0);
    reopen();
    assert_string_equal(names(), "lost(broken) kept ");
    write_module("a.wasm", "stamp");
    reopen();
    assert_string_equal(names(), "lost kept ");
}

static void those_of_the_command_line_come_first_and_must_load(void **state)
{
    struct str flag = write_module("flag.wasm", "stamp");
    char missing[128], only[128];
    struct err err;

    run_loop();
    assert_string_equal(add(module_at("api", write_module("a.wasm", "body")), NULL), "");
    close_registry();
    open_registry();
    snprintf(missing, sizeof missing, "%s/none.wasm", scene.folder);
    assert_true(plugin_registry_load_file(scene.registry, str_of(missing), &err) < 0);
    assert_non_null(strstr(err.message, "--wasm-module /tmp/smg-registry-"));
    assert_non_null(strstr(err.message, "No such file or directory (os error 2)"));
    assert_int_equal(plugin_registry_load_file(scene.registry, flag, &err), 0);
    assert_int_equal(plugin_registry_load_file(scene.registry, flag, &err), ERR_EXISTS);
    snprintf(only, sizeof only, "%.*s", STR_FMT(write_module("only.wasm", "onlyreq")));
    assert_int_equal(plugin_registry_load_file(scene.registry, str_of(only), &err), 0);
    plugin_registry_restore(scene.registry);
    run_loop();
    assert_string_equal(names(), "flag only api ");
}

static void a_file_with_a_list_is_what_the_api_takes(void **state)
{
    char list[128];
    FILE *f;
    struct err err;

    snprintf(list, sizeof list, "%s/list.json", scene.folder);
    f = fopen(list, "w");
    fprintf(f, "{\"modules\":[{\"name\":\"listed\",\"file_path\":\"%s\",\"module_type\":\"Middleware\",\"attach_points\":[]}]}",
            write_module("a.wasm", "stamp").p);
    fclose(f);
    assert_int_equal(plugin_registry_load_list(scene.registry, str_of(list), &err), 0);
    f = fopen(list, "w");
    fputs("{\"modules\":[{\"name\":\"\",\"file_path\":\"x\",\"module_type\":\"Middleware\",\"attach_points\":[]}]}", f);
    fclose(f);
    assert_true(plugin_registry_load_list(scene.registry, str_of(list), &err) < 0);
    assert_non_null(strstr(err.message, "list.json: modules[0]: Module name cannot be empty"));
    run_loop();
    assert_string_equal(names(), "listed ");
}

#define RULE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(modules_stand_in_the_order_of_their_registration_under_ids_of_their_own),
        RULE(the_same_bytes_are_registered_once),
        RULE(two_registrations_of_one_file_at_a_time_make_one_module),
        RULE(those_of_one_request_are_registered_one_after_another_and_a_failure_stops_nobody),
        RULE(a_module_that_cannot_serve_its_attach_point_is_refused),
        RULE(a_module_may_be_attached_nowhere),
        RULE(what_was_registered_is_there_after_a_restart_in_its_order_under_its_id),
        RULE(one_whose_file_is_gone_stays_in_its_place_and_is_broken),
        RULE(those_of_the_command_line_come_first_and_must_load),
        RULE(a_file_with_a_list_is_what_the_api_takes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
