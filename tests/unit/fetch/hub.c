/* hub.c -- the whole of a fetch from a small hub, and what holds when memory runs out; tests/integration/test_hub.py has the rest */
#include "fetch/hub.h"

#include "fail_alloc.h"
#include "fetch/canned_server.h"
#include "fetch/temporary_folder.h"

#define COMMIT "0123456789abcdef0123456789abcdef01234567"
#define HEAD   "HTTP/1.1 200 OK\r\nConnection: close\r\nX-Repo-Commit: " COMMIT "\r\n"
#define JSON   "{\"sha\":\"" COMMIT "\",\"siblings\":[{\"rfilename\":\"tokenizer.json\"},{\"rfilename\":\"tokenizer_config.json\"}]}"

static const struct canned SMALL_HUB[] = {
    { "/api/models/org/name/revision/main", HEAD "\r\n" JSON },
    { "/org/name/resolve/" COMMIT "/tokenizer.json",
      HEAD "ETag: \"9e26dfeeb6e641a33dae4961196235bdb965b21b\"\r\nContent-Length: 2\r\n\r\n{}" }, /* git's name of "{}" */
    { "/org/name/resolve/" COMMIT "/tokenizer_config.json",
      HEAD "ETag: \"9e26dfeeb6e641a33dae4961196235bdb965b21b\"\r\nContent-Length: 2\r\n\r\n{}" },
};

static struct hub_config config = {
    .connect_ms = 10000, .stall_s = 10, .lock_s = 10, .backoff_ms = 1, .retry_after_max_s = 1, .attempts = 2, .file_bytes_max = 1000
};
static struct err err;

static int make(void **state)
{
    int st = folder_make(state);

    CAN(SMALL_HUB);
    config.endpoint = can.url;
    config.cache = folder;
    config.offline = false;
    atomic_store(&can.requests, 0);
    return st;
}

static void a_model_is_fetched_once(void **state)
{
    struct hub_progress p = { 0 };
    struct hub_snapshot s;
    unsigned requests;
    char dir[PATH_MAX];

    assert_int_equal(hub_fetch(&config, STR("org/name"), &p, NULL, &s, &err), 0);
    snprintf(dir, sizeof dir, "%s/models--org--name/snapshots/" COMMIT, folder);
    assert_string_equal(s.dir, dir);
    assert_string_equal(s.commit, COMMIT);
    assert_int_equal(s.origin, HUB_FETCHED);
    assert_true(p.phase == HUB_DONE && p.files_done == 2 && p.files_total == 2 && p.bytes_done == 4 && p.bytes_total == 4);
    free(s.dir);
    requests = can.requests;
    assert_int_equal(hub_fetch(&config, STR("org/name"), NULL, NULL, &s, &err), 0);
    assert_int_equal(s.origin, HUB_CACHED);
    assert_int_equal(can.requests, requests);
    free(s.dir);
}

static void a_failure_leaves_the_result_alone(void **state)
{
    struct hub_progress p = { 0 };
    struct hub_snapshot s = { .dir = (char[]){ "mine" } };

    assert_int_equal(hub_fetch(&config, STR("org/other"), &p, NULL, &s, &err), ERR_NOT_FOUND);
    assert_string_equal(s.dir, "mine");
    assert_int_equal(p.phase, HUB_FAILED);
    assert_string_equal(
        err.message,
        "Failed to download tokenizer from HuggingFace: Failed to fetch model 'org/other' from HuggingFace: 404: not found "
        "(a private model is not found either without HF_TOKEN). Is this a valid HuggingFace ID?");
}

static void cancelled_before_it_began_it_asks_nobody(void **state)
{
    const _Atomic bool cancel = true;
    struct hub_snapshot s;

    assert_int_equal(hub_fetch(&config, STR("org/name"), NULL, &cancel, &s, &err), ERR_CANCELLED);
    assert_int_equal(can.requests, 0);
}

static void it_is_whole_or_out_of_memory(void **state)
{
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct hub_snapshot s = { 0 };
        int st = hub_fetch(&config, STR("org/name"), NULL, NULL, &s, &err);

        assert_true(st == 0 || (st == ERR_NOMEM && fail_alloc_failed()));
        free(s.dir);
        folder_remove(NULL);
        mkdir(folder, 0700);
    }
}

static void phases_have_names(void **state)
{
    assert_string_equal(hub_phase_text(HUB_IDLE), "idle");
    assert_string_equal(hub_phase_text(HUB_FAILED), "failed");
    assert_string_equal(hub_phase_text((enum hub_phase)99), "unknown");
}

#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, make, folder_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_FOLDER(a_model_is_fetched_once),
        IN_A_FOLDER(a_failure_leaves_the_result_alone),
        IN_A_FOLDER(cancelled_before_it_began_it_asks_nobody),
        IN_A_FOLDER(it_is_whole_or_out_of_memory),
        cmocka_unit_test(phases_have_names),
    };

    return cmocka_run_group_tests(tests, can_open, can_close);
}
