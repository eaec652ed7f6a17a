/* catalog.c -- jobs and commands of the catalog: joined, tried again, given up, remembered (spec control-plane 8, 12; decisions 9 and 11)
 *
 * One loop is control thread and asker; each question runs it until the answer is there.
 */
#include "test.h"
#include "fail_alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "catalog/catalog.h"
#include "journal/disk.h"

static struct machine {
    char folder[64];
    struct loop *loop;
    struct pool *journal_pool;
    struct disk *disk;
    struct journal *journal;
    struct hub_config hub;
    struct catalog *catalog;
    struct catalog_command *answer;
} m;

/* ---- running ---- */

static void on_answered(struct catalog_command *c)
{
    m.answer = c;
    loop_stop(m.loop);
}

static void spin(void)
{
    loop_run(m.loop);
}

/* The answer to one question; freed by `forget`. */
static const struct catalog_command *ask(enum catalog_command_kind kind, const char *name, const char *source)
{
    struct catalog_command *c = catalog_command_new(m.catalog, m.loop, kind, sizeof(*c));

    c->answered = on_answered;
    c->name = arena_str(&c->arena, str_of(name));
    c->source = arena_str(&c->arena, str_of(source));
    c->key = arena_str(&c->arena, str_of(name));
    m.answer = NULL;
    catalog_command_post(c);
    while (!m.answer)
        spin();
    return m.answer;
}

static void forget(void)
{
    catalog_command_free(STEAL(m.answer));
}

static int result(enum catalog_command_kind kind, const char *name, const char *source, char id[UUID_TEXT_LEN + 1])
{
    const struct catalog_command *c = ask(kind, name, source);
    int r = c->result;

    if (id)
        memcpy(id, c->id, UUID_TEXT_LEN + 1);
    forget();
    return r;
}

static bool is_in_state(const char *key, const char *state)
{
    const struct catalog_command *c = ask(CATALOG_STATUS, key, "");
    bool is = c->result == 0 && str_eq(c->state, str_of(state));

    forget();
    return is;
}

static void wait_for_state(const char *key, const char *state)
{
    uint64_t began_us = clock_now_us();

    while (!is_in_state(key, state)) {
        if (clock_now_us() - began_us > 60000000)
            fail_msg("%s is not %s", key, state);
        usleep(1000);
    }
}

static void message_of(const char *key, char text[600])
{
    const struct catalog_command *c = ask(CATALOG_STATUS, key, "");

    assert_int_equal(c->result, 0);
    snprintf(text, 600, "%.*s", STR_FMT(c->text));
    forget();
}

/* ---- a machine ---- */

static void open_catalog(bool with_journal)
{
    struct catalog_conf conf = { .control = NULL, .hub = &m.hub, .pause_ms = 1, .keep_ms = 60000 };
    struct journal_report report;

    assert_int_equal(loop_new("control", 0, &m.loop, NULL), 0);
    if (with_journal) {
        struct journal_conf j = { .loop = m.loop };

        assert_int_equal(disk_open(m.folder, &m.disk, NULL), 0);
        assert_int_equal(pool_new(1, &m.journal_pool, NULL), 0);
        j.disk = m.disk;
        j.pool = m.journal_pool;
        assert_int_equal(journal_open(&j, &m.journal, &report, NULL), 0);
    }
    conf.control = m.loop;
    conf.journal = m.journal;
    assert_int_equal(catalog_new(&conf, &m.catalog, NULL), 0);
    catalog_restore(m.catalog);
}

/* As a gateway ends. */
static void close_catalog(void)
{
    catalog_stop(m.catalog);
    if (m.journal)
        journal_stop(m.journal);
    loop_stop(m.loop);
    loop_run(m.loop);
    catalog_free(STEAL(m.catalog));
    pool_free(STEAL(m.journal_pool));
    journal_free(STEAL(m.journal));
    disk_free(STEAL(m.disk));
    loop_free(STEAL(m.loop));
}

static int set_up(void **state)
{
    char home[80];

    m = (struct machine){ 0 };
    snprintf(m.folder, sizeof m.folder, "/tmp/smg-catalog-XXXXXX");
    assert_non_null(mkdtemp(m.folder));
    snprintf(home, sizeof home, "%s/hf", m.folder);
    setenv("HF_HOME", home, 1);
    setenv("HF_ENDPOINT", "http://127.0.0.1:1", 1); /* nobody listens there */
    unsetenv("HF_HUB_OFFLINE");
    assert_int_equal(hub_config_from_env(&m.hub, NULL), 0);
    m.hub.attempts = 1;
    m.hub.backoff_ms = 1;
    return 0;
}

static int tear_down(void **state)
{
    char command[128];

    if (m.catalog)
        close_catalog();
    hub_config_fini(&m.hub);
    snprintf(command, sizeof command, "rm -rf '%s'", m.folder);
    return system(command);
}

/* ---- rules ---- */

static void a_source_becomes_a_tokenizer_under_its_name_and_its_jobs_id(void **state)
{
    char id[UUID_TEXT_LEN + 1];
    const struct catalog_command *c;

    open_catalog(false);
    assert_int_equal(result(CATALOG_ADD, "a", "mock", id), 0);
    wait_for_state(id, "completed");
    c = ask(CATALOG_STATUS, "a", "");
    assert_string_equal(c->id, id);
    assert_str(c->text, "Tokenizer 'a' is loaded and ready");
    assert_int_equal(c->vocab_size, 14);
    forget();
    assert_int_equal(result(CATALOG_ADD, "a", "elsewhere", id), ERR_EXISTS);
    assert_int_equal(result(CATALOG_REMOVE, "a", "", NULL), 0);
    assert_int_equal(result(CATALOG_REMOVE, "a", "", NULL), ERR_NOT_FOUND);
    assert_int_equal(result(CATALOG_STATUS, "a", "", NULL), ERR_NOT_FOUND);
}

static void what_cannot_get_better_is_tried_once(void **state)
{
    char id[UUID_TEXT_LEN + 1], text[600];

    open_catalog(false);
    assert_int_equal(result(CATALOG_ADD, "a", "/no/such/thing", id), 0);
    wait_for_state(id, "failed");
    message_of(id, text);
    assert_string_equal(text, "File not found: /no/such/thing");
    assert_int_equal(result(CATALOG_STATUS, "a", "", NULL), ERR_NOT_FOUND); /* by its id only, as in SMG */
    assert_int_equal(result(CATALOG_REMOVE, id, "", NULL), ERR_NOT_FOUND);
    assert_int_equal(result(CATALOG_ADD, "a", "mock", id), 0);
    wait_for_state("a", "completed");
}

static void what_may_get_better_is_tried_three_times(void **state)
{
    char id[UUID_TEXT_LEN + 1], text[600];

    open_catalog(false);
    assert_int_equal(result(CATALOG_ADD, "a", "org/name", id), 0);
    wait_for_state(id, "failed");
    message_of(id, text);
    assert_non_null(strstr(text, "org/name"));
}

static void a_second_request_joins_the_job_if_it_says_the_same(void **state)
{
    char first[UUID_TEXT_LEN + 1], second[UUID_TEXT_LEN + 1];
    const struct catalog_command *c;

    open_catalog(false);
    m.hub.backoff_ms = 1;
    assert_int_equal(result(CATALOG_ADD, "a", "org/name", first), 0);
    assert_int_equal(result(CATALOG_ADD, "a", "org/name", second), 0);
    if (!is_in_state(first, "failed")) { /* a fast machine may have tried three times by now */
        assert_string_equal(first, second);
        c = ask(CATALOG_ADD, "a", "org/other");
        if (c->result != 0) {
            assert_int_equal(c->result, ERR_EXISTS);
            assert_true(c->loading);
        }
        forget();
    }
}

static void what_nobody_asked_to_fetch_is_not_fetched_and_leaves_no_trace(void **state)
{
    open_catalog(false);
    catalog_want(m.catalog, STR("a"), STR("org/name"), STR_NONE, CATALOG_LOCAL_ONLY);
    catalog_want(m.catalog, STR("b"), STR("/no/such/thing"), STR_NONE, CATALOG_LOCAL_ONLY);
    catalog_want(m.catalog, STR("c"), STR("mock"), STR_NONE, CATALOG_LOCAL_ONLY);
    wait_for_state("c", "completed");
    assert_int_equal(result(CATALOG_STATUS, "a", "", NULL), ERR_NOT_FOUND);
    catalog_want(m.catalog, STR("c"), STR("elsewhere"), STR_NONE, CATALOG_FETCH); /* it is there: nothing happens */
    assert_true(is_in_state("c", "completed"));
}

static void a_restart_brings_back_what_was_asked_for_and_had_worked(void **state)
{
    char a[UUID_TEXT_LEN + 1], b[UUID_TEXT_LEN + 1], c[UUID_TEXT_LEN + 1];

    open_catalog(true);
    assert_int_equal(result(CATALOG_ADD, "a", "mock", a), 0);
    assert_int_equal(result(CATALOG_ADD, "b", "/no/such/thing", b), 0);
    assert_int_equal(result(CATALOG_ADD, "c", "mock", c), 0);
    wait_for_state(a, "completed");
    wait_for_state(b, "failed");
    wait_for_state(c, "completed");
    assert_int_equal(result(CATALOG_REMOVE, "c", "", NULL), 0); /* behind b's forgetting: in line */
    close_catalog();
    open_catalog(true);
    wait_for_state(a, "completed");
    assert_int_equal(result(CATALOG_STATUS, b, "", NULL), ERR_NOT_FOUND);
    assert_int_equal(result(CATALOG_STATUS, c, "", NULL), ERR_NOT_FOUND);
}

static void a_load_that_was_cut_short_begins_again(void **state)
{
    char a[UUID_TEXT_LEN + 1];

    open_catalog(true);
    m.hub.attempts = 5;
    m.hub.backoff_ms = 60000; /* it waits for the hub when the process ends */
    assert_int_equal(result(CATALOG_ADD, "a", "org/name", a), 0);
    close_catalog();
    m.hub.attempts = 1;
    open_catalog(true);
    wait_for_state(a, "failed");
    assert_int_equal(result(CATALOG_REMOVE, "a", "", NULL), 0); /* it is still known, and can be forgotten */
    assert_int_equal(result(CATALOG_STATUS, a, "", NULL), ERR_NOT_FOUND);
    close_catalog();
    open_catalog(true);
    assert_int_equal(result(CATALOG_STATUS, a, "", NULL), ERR_NOT_FOUND);
}

static void nothing_is_lost_when_the_catalog_ends_in_the_middle(void **state)
{
    open_catalog(true);
    for (int i = 0; i < 50; i++) {
        struct catalog_command *c = catalog_command_new(m.catalog, m.loop, i % 3 == 2 ? CATALOG_STATUS : CATALOG_ADD, sizeof(*c));
        char name[8];

        snprintf(name, sizeof name, "n%d", i);
        c->answered = catalog_command_free;
        c->name = c->key = arena_str(&c->arena, str_of(name));
        c->source = STR("mock");
        catalog_command_post(c);
    }
    close_catalog();
}

static void the_catalog_is_made_whole_or_not_at_all(void **state)
{
    struct loop *loop;

    assert_int_equal(loop_new("control", 0, &loop, NULL), 0);
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct catalog_conf conf = { .control = loop };
        struct catalog *c = NULL;
        int r = catalog_new(&conf, &c, NULL);

        assert_true(r == 0 ? c != NULL : r < 0 && c == NULL && fail_alloc_failed());
        catalog_free(c);
    }
    loop_free(loop);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_source_becomes_a_tokenizer_under_its_name_and_its_jobs_id),
        TEST(what_cannot_get_better_is_tried_once),
        TEST(what_may_get_better_is_tried_three_times),
        TEST(a_second_request_joins_the_job_if_it_says_the_same),
        TEST(what_nobody_asked_to_fetch_is_not_fetched_and_leaves_no_trace),
        TEST(a_restart_brings_back_what_was_asked_for_and_had_worked),
        TEST(a_load_that_was_cut_short_begins_again),
        TEST(nothing_is_lost_when_the_catalog_ends_in_the_middle),
        TEST(the_catalog_is_made_whole_or_not_at_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
