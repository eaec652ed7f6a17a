/* registry.c -- the life of a worker: registered, watched, drained (spec control-plane 7 to 11; cases of its section 20 by number)
 *
 * Real sockets on loopback, real time: the shortest settings that an operator can make.
 */
#include "house.h"

static struct engine *engine;

static int open_house(void **state)
{
    struct registry_conf conf = house_conf();

    house_open(&conf);
    engine = an_engine(0);
    engine_start(engine);
    return 0;
}

static int close_house(void **state)
{
    house_close();
    return 0;
}

static struct registry_counts counts(void)
{
    return registry_counts(house.registry);
}

/* Runs on the front loop: load of the first worker of the table. */
static void begin_request(void *arg)
{
    const struct worker_table *t = registry_table(house.registry, house.front);

    worker_load_begin(t->workers[0]);
    *(const struct worker **)arg = worker_ref(t->workers[0]);
}

static void end_request(const struct worker *w)
{
    worker_load_end(w);
    worker_unref(w);
}

static bool is_not_ready(void *id)
{
    return strstr(ask_get(id), "\"status\":\"not_ready\"") != NULL;
}

/* ---- registration ---- */

static void an_engine_that_is_up_is_ready_in_under_a_second(void **state)
{
    char id[UUID_TEXT_LEN + 1];
    const char *json;

    assert_int_equal(ask_add(spec_for(engine, ""), id), 0);
    assert_true(wait_until(is_ready, id, 1000) < 1000);
    json = ask_get(id);
    assert_non_null(strstr(json, "\"model_id\":\"m1\""));
    assert_non_null(strstr(json, "\"runtime_type\":\"sglang\""));
    assert_non_null(strstr(json, "\"tp_size\":\"2\""));
    assert_non_null(strstr(json, "\"is_healthy\":true,\"status\":\"ready\",\"load\":0}"));
    assert_int_equal(counts().total, 1);
    assert_int_equal(counts().ready, 1);
}

static void case_25_a_second_post_joins_the_first_and_later_meets_a_worker(void **state)
{
    char first[UUID_TEXT_LEN + 1], second[UUID_TEXT_LEN + 1];

    engine->status[E_HEALTH] = 503;
    assert_int_equal(ask_add(spec_for(engine, ""), first), 0);
    assert_int_equal(ask_add(spec_for(engine, ",\"priority\":1"), second), 0);
    assert_string_equal(first, second);
    engine->status[E_HEALTH] = 200;
    wait_until(is_ready, first, 2500);
    assert_int_equal(ask_add(spec_for(engine, ""), second), ERR_EXISTS);
    assert_string_equal(first, second);
}

/* BETTER: the submitted description is shown. */
static void case_26_a_worker_that_is_registering_shows_its_description_and_its_job(void **state)
{
    char id[UUID_TEXT_LEN + 1], expected[1024];
    const char *json;

    engine->status[E_HEALTH] = 503;
    assert_int_equal(ask_add(spec_for(engine, ",\"models\":[{\"id\":\"m\",\"model_type\":1}]"), id), 0);
    json = ask_get(id);
    snprintf(expected, sizeof expected,
             "{\"id\":\"%s\",\"model_id\":\"m\",\"url\":\"http://"
             "127.0.0.1:%u\",\"models\":[{\"id\":\"m\",\"model_type\":[\"chat\"]}],\"worker_type\":"
             "\"regular\",\"connection_mode\":\"http\",\"runtime_type\":\"unspecified\",\"priority\":50,\"cost\":1.0,\"max_"
             "connection_attempts\":20,"
             "\"is_healthy\":false,\"status\":\"pending\",\"load\":0,\"job_status\":{\"job_type\":\"AddWorker\",\"worker_url\":"
             "\"http://127.0.0.1:%u\","
             "\"status\":\"processing\",\"message\":null,\"timestamp\":",
             id, engine->port, engine->port);
    assert_int_equal(strncmp(json, expected, strlen(expected)), 0);
    assert_int_equal(counts().total, 0);
}

static void an_engine_that_starts_later_is_picked_up_within_two_seconds(void **state)
{
    char id[UUID_TEXT_LEN + 1];

    engine_stop(engine);
    assert_int_equal(ask_add(spec_for(engine, ""), id), 0);
    nap(3200); /* the pauses have reached their longest */
    assert_non_null(strstr(ask_get(id), "\"processing\""));
    engine_start(engine);
    assert_true(wait_until(is_ready, id, 2500) < 2000);
}

static void probes_carry_the_key_and_the_configured_path(void **state)
{
    char id[UUID_TEXT_LEN + 1];

    assert_int_equal(ask_add(spec_for(engine, ",\"api_key\":\"engine-key\""), id), 0);
    wait_until(is_ready, id, 1000);
    assert_true(atomic_load(&engine->saw_key));
    assert_null(strstr(ask_get(id), "engine-key"));
    assert_non_null(strstr(ask_get(id), "\"has_api_key\":true"));
}

static void case_39_40_older_names_of_the_information_are_asked_when_the_new_ones_are_missing(void **state)
{
    char id[UUID_TEXT_LEN + 1];

    engine->status[E_SERVER_INFO] = engine->status[E_MODEL_INFO] = 0;
    engine->status[E_GET_SERVER_INFO] = engine->status[E_GET_MODEL_INFO] = 200;
    engine->body[E_GET_SERVER_INFO] = "{\"max_running_requests\":256}";
    engine->body[E_GET_MODEL_INFO] = "{\"tokenizer_path\":\"tok\"}";
    assert_int_equal(ask_add(spec_for(engine, ""), id), 0);
    wait_until(is_ready, id, 1000);
    assert_non_null(strstr(ask_get(id), "\"max_running_requests\":\"256\""));
    assert_non_null(strstr(ask_get(id), "\"tokenizer_path\":\"tok\""));
}

static void a_vllm_engine_is_not_asked_for_sglangs_paths(void **state)
{
    char id[UUID_TEXT_LEN + 1];

    engine->body[E_MODELS] = "{\"data\":[{\"id\":\"v\",\"owned_by\":\"vllm\",\"max_model_len\":4096}]}";
    engine->status[E_VERSION] = 200;
    engine->body[E_VERSION] = "{\"version\":\"0.9.1\"}";
    assert_int_equal(ask_add(spec_for(engine, ""), id), 0);
    wait_until(is_ready, id, 1000);
    assert_non_null(strstr(ask_get(id), "\"runtime_type\":\"vllm\""));
    assert_non_null(strstr(ask_get(id), "\"version\":\"0.9.1\""));
    assert_int_equal(atomic_load(&engine->asked[E_SERVER_INFO]), 0);
}

static void an_engine_without_information_is_registered_all_the_same(void **state)
{
    char id[UUID_TEXT_LEN + 1];

    for (unsigned i = E_MODELS; i < E_PATHS; i++)
        engine->status[i] = 0;
    assert_int_equal(ask_add(spec_for(engine, ""), id), 0);
    wait_until(is_ready, id, 1000);
    assert_null(strstr(ask_get(id), "model_id"));
}

static void an_engine_without_a_health_endpoint_is_watched_by_its_models(void **state)
{
    char id[UUID_TEXT_LEN + 1];
    unsigned asked;

    engine->status[E_HEALTH] = 0;
    assert_int_equal(
        ask_add(spec_for(engine, ",\"health\":{\"check_interval_secs\":1,\"failure_threshold\":1,\"timeout_secs\":1}"), id), 0);
    wait_until(is_ready, id, 2000);
    asked = atomic_load(&engine->asked[E_HEALTH]);
    engine->status[E_MODELS] = 500;
    wait_until(is_not_ready, id, 4000);
    assert_non_null(strstr(ask_get(id), "\"model_id\":\"m1\""));
    assert_int_equal(atomic_load(&engine->asked[E_HEALTH]), asked);
}

static void a_model_list_that_fails_for_good_holds_nobody_up(void **state)
{
    char id[UUID_TEXT_LEN + 1];

    engine->status[E_MODELS] = 500;
    assert_int_equal(ask_add(spec_for(engine, ""), id), 0);
    wait_until(is_ready, id, 4000);
    assert_non_null(strstr(ask_get(id), "\"model_id\":\"m1\"")); /* of /server_info */
}

static void a_model_list_that_comes_late_is_asked_again(void **state)
{
    char id[UUID_TEXT_LEN + 1];

    engine->status[E_MODELS] = engine->status[E_SERVER_INFO] = engine->status[E_MODEL_INFO] = 503;
    assert_int_equal(ask_add(spec_for(engine, ""), id), 0);
    nap(1500);
    assert_non_null(strstr(ask_get(id), "\"processing\""));
    engine->status[E_MODELS] = 200;
    wait_until(is_ready, id, 2000);
    assert_non_null(strstr(ask_get(id), "\"model_id\":\"m1\""));
    assert_true(atomic_load(&engine->asked[E_MODELS]) >= 2);
}

#define CHECKED_EVERY_SECOND ",\"health\":{\"check_interval_secs\":1}"

static void an_engine_that_has_no_list_of_models_is_not_asked_for_ever(void **state)
{
    char id[UUID_TEXT_LEN + 1];
    unsigned asked;

    engine->status[E_MODELS] = engine->status[E_SERVER_INFO] = engine->status[E_MODEL_INFO] = 404;
    assert_int_equal(ask_add(spec_for(engine, CHECKED_EVERY_SECOND), id), 0);
    wait_until(is_ready, id, 4000);
    asked = atomic_load(&engine->asked[E_MODELS]);
    nap(1500);
    assert_int_equal(atomic_load(&engine->asked[E_MODELS]), asked);
}

static void a_worker_leaves_while_its_models_are_asked_for(void **state)
{
    char id[UUID_TEXT_LEN + 1];
    unsigned asked;

    engine->status[E_MODELS] = engine->status[E_SERVER_INFO] = engine->status[E_MODEL_INFO] = 503;
    assert_int_equal(ask_add(spec_for(engine, CHECKED_EVERY_SECOND), id), 0);
    wait_until(is_ready, id, 13000);
    asked = atomic_load(&engine->asked[E_MODELS]);
    for (unsigned i = 0; i < 300 && atomic_load(&engine->asked[E_MODELS]) == asked; i++)
        nap(10);
    assert_true(atomic_load(&engine->asked[E_MODELS]) > asked);
    assert_int_equal(ask_remove(id), 0);
    wait_until(is_gone, id, 8000);
}

static void kinds_of_workers_to_come_wait_with_a_reason(void **state)
{
    static const struct {
        const char *spec, *message;
    } CASES[] = {
        { "{\"url\":\"grpc://127.0.0.1:1\"}", "gRPC workers are not available in this version" },
        { "{\"url\":\"grpcs://127.0.0.1:1\"}", "gRPC workers are not available in this version" },
        { "{\"url\":\"ipc:///tmp/none\"}", "ZMQ (ipc://) workers are not available in this version" },
    };

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        char id[UUID_TEXT_LEN + 1], expected[256];

        assert_int_equal(ask_add(CASES[i].spec, id), 0);
        snprintf(expected, sizeof expected, "\"status\":\"pending\",\"message\":\"%s\"", CASES[i].message);
        assert_non_null(strstr(ask_get(id), expected));
        assert_int_equal(ask_remove(id), 0);
        assert_string_equal(ask_get(id), "");
    }
}

static void case_45_a_handshake_address_needs_a_zmq_worker(void **state)
{
    char id[UUID_TEXT_LEN + 1];

    assert_int_equal(ask_add(spec_for(engine, ",\"zmq_handshake_address\":\"tcp://x\""), id), 0);
    assert_non_null(
        strstr(ask_get(id),
               "\"status\":\"failed\",\"message\":\"Workflow failed at step create_local_worker: Step failed: create_worker - "
               "worker http://127.0.0.1:"));
    assert_non_null(strstr(
        ask_get(id), "sets zmq_handshake_address but its connection mode is Http: the field is only meaningful for ZMQ workers\""));
    assert_int_equal(ask_add(spec_for(engine, ""), id), 0); /* corrected: starts afresh */
    wait_until(is_ready, id, 1000);
}

static void workers_of_one_engine_differ_by_base_path(void **state)
{
    char id[UUID_TEXT_LEN + 1], other[UUID_TEXT_LEN + 1], spec[128];
    int status;

    snprintf(spec, sizeof spec, "{\"url\":\"http://127.0.0.1:%u/a/\"}", engine->port);
    assert_int_equal(ask_add(spec, id), 0);
    snprintf(spec, sizeof spec, "{\"url\":\"http://127.0.0.1:%u/a\"}", engine->port);
    status = ask_add(spec, other);
    assert_true(status == 0 || status == ERR_EXISTS); /* joined, or the first one was through already: known either way */
    assert_string_equal(id, other);
    wait_until(is_ready, id, 1000);
}

static void all_are_listed(void *arg)
{
    *(size_t *)arg = registry_table(house.registry, house.front)->n;
}

static bool has_400(void *arg)
{
    size_t n;

    house_do(house.front, all_are_listed, &n);
    return n == 400;
}

static void many_register_at_once(void **state)
{
    char spec[128];

    for (unsigned i = 0; i < 400; i++) {
        snprintf(spec, sizeof spec, "{\"url\":\"http://127.0.0.1:%u/w%u\",\"models\":[{\"id\":\"m\"}]}", engine->port, i);
        assert_int_equal(ask_add(spec, NULL), 0);
    }
    wait_until(has_400, NULL, 20000);
    assert_int_equal(counts().ready, 400);
}

static void the_job_queue_has_a_bound(void **state)
{
    char spec[128], id[UUID_TEXT_LEN + 1];

    engine->status[E_HEALTH] = 503;
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(spec, sizeof spec, "{\"url\":\"http://127.0.0.1:%u/w%u\"}", engine->port, i);
        assert_int_equal(ask_add(spec, i ? NULL : id), 0);
    }
    assert_int_equal(ask_add(spec_for(engine, ""), NULL), ERR_BUSY);
    assert_int_equal(ask_add(spec, NULL), 0); /* joining needs no room */
    assert_int_equal(ask_remove(id), 0);
    assert_int_equal(ask_add(spec_for(engine, ""), NULL), 0);
}

/* ---- a registration that fails ---- */

static int open_impatient(void **state)
{
    struct registry_conf conf = house_conf();

    conf.startup_timeout_s = 1;
    conf.job_keep_s = 2;
    house_open(&conf);
    engine = an_engine(0);
    engine_start(engine);
    engine->status[E_HEALTH] = 503;
    return 0;
}

static bool has_failed(void *id)
{
    return strstr(ask_get(id), "\"status\":\"failed\"") != NULL;
}

static void a_failed_registration_says_why_and_is_forgotten_in_time(void **state)
{
    char id[UUID_TEXT_LEN + 1], expected[512];

    assert_int_equal(ask_add(spec_for(engine, ""), id), 0);
    wait_until(has_failed, id, 4000);
    snprintf(expected, sizeof expected,
             "\"status\":\"pending\",\"load\":0,\"job_status\":{\"job_type\":\"AddWorker\",\"worker_url\":\"http://"
             "127.0.0.1:%u\",\"status\":\"failed\","
             "\"message\":\"Workflow failed at step detect_connection_mode: Step failed: detect_connection_mode - http health "
             "check failed for explicitly "
             "configured worker URL http://127.0.0.1:%u: Health check failed: status 503\"",
             engine->port, engine->port);
    assert_non_null(strstr(ask_get(id), expected));
    wait_until(is_gone, id, 6000);
}

static void a_failed_registration_can_be_posted_again_under_its_id(void **state)
{
    char id[UUID_TEXT_LEN + 1], again[UUID_TEXT_LEN + 1];

    assert_int_equal(ask_add(spec_for(engine, ""), id), 0);
    wait_until(has_failed, id, 4000);
    engine->status[E_HEALTH] = 200;
    assert_int_equal(ask_add(spec_for(engine, ",\"priority\":7"), again), 0);
    assert_string_equal(id, again);
    wait_until(is_ready, id, 1000);
    assert_non_null(strstr(ask_get(id), "\"priority\":7"));
}

/* ---- workers of the command line ---- */

static void add_startup(void *arg)
{
    char url[64], upper[64];

    snprintf(url, sizeof url, "http://127.0.0.1:%u", engine->port);
    snprintf(upper, sizeof upper, "http://127.0.0.1:%u/", engine->port);
    *(int *)arg = registry_add_startup(
        house.registry, &(struct registry_startup){ .url = str_of(url), .api_key = STR("engine-key"), .bootstrap_port = -1 }, NULL);
    *(int *)arg |= registry_add_startup(
        house.registry, &(struct registry_startup){ .url = str_of(upper), .api_key = STR("engine-key"), .bootstrap_port = -1 },
        NULL);
}

static bool has_one_ready(void *arg)
{
    return counts().ready == 1;
}

static void workers_of_the_command_line_carry_their_key(void **state)
{
    struct err err;
    int r;

    house_do(house.control, add_startup, &r);
    assert_int_equal(r, 0);
    wait_until(has_one_ready, NULL, 1000);
    assert_true(atomic_load(&engine->saw_key));
    assert_int_equal(
        registry_add_startup(house.registry,
                             &(struct registry_startup){ .url = STR("nonsense"), .api_key = STR(""), .bootstrap_port = -1 }, &err),
        ERR_INVALID);
}

static void a_worker_of_the_command_line_is_never_forgotten(void **state)
{
    char id[UUID_TEXT_LEN + 1];
    int r;

    house_do(house.control, add_startup, &r);
    assert_int_equal(r, 0);
    assert_int_equal(ask_add(spec_for(engine, ""), id), 0); /* joins */
    wait_until(has_failed, id, 4000);
    assert_int_equal(ask_add(spec_for(engine, ""), id), 0); /* starts again */
    nap(6500);                                              /* it failed again, and the time of being shown has passed */
    assert_true(has_failed(id));
}

/* ---- removal ---- */

static void case_32_33_an_idle_worker_leaves_at_once(void **state)
{
    char id[UUID_TEXT_LEN + 1], again[UUID_TEXT_LEN + 1];

    assert_int_equal(ask_add(spec_for(engine, ""), id), 0);
    wait_until(is_ready, id, 1000);
    assert_int_equal(ask_remove(id), 0);
    assert_true(wait_until(is_gone, id, 1000) < 1000);
    assert_int_equal(ask_remove(id), ERR_NOT_FOUND);
    assert_int_equal(counts().total, 0);
    assert_int_equal(ask_add(spec_for(engine, ""), again), 0);
    assert_string_not_equal(id, again);
}

/* Decisions 9 and 10. */
static void case_32_a_busy_worker_drains_until_it_is_idle(void **state)
{
    char id[UUID_TEXT_LEN + 1];
    const struct worker *w;

    assert_int_equal(ask_add(spec_for(engine, ",\"health\":{\"drain_settle_secs\":600}"), id), 0);
    wait_until(is_ready, id, 1000);
    house_do(house.front, begin_request, &w);
    assert_int_equal(ask_remove(id), 0);
    assert_false(worker_is_ready(w));
    assert_non_null(strstr(
        ask_get(id), "\"is_healthy\":false,\"status\":\"draining\",\"load\":1,\"job_status\":{\"job_type\":\"RemoveWorker\""));
    assert_int_equal(counts().ready, 0);
    assert_int_equal(ask_remove(id), 0); /* joins */
    assert_int_equal(ask_add(spec_for(engine, ""), NULL), ERR_EXISTS);
    end_request(w);
    assert_true(wait_until(is_gone, id, 1000) < 500);
}

static void case_32_a_drain_ends_after_its_time_and_cuts_nothing(void **state)
{
    char id[UUID_TEXT_LEN + 1];
    const struct worker *w;
    unsigned took;

    assert_int_equal(ask_add(spec_for(engine, ",\"health\":{\"drain_settle_secs\":1}"), id), 0);
    wait_until(is_ready, id, 1000);
    house_do(house.front, begin_request, &w);
    assert_int_equal(ask_remove(id), 0);
    took = wait_until(is_gone, id, 5000);
    assert_true(took > 700 && took < 4000);
    assert_int_equal(worker_load(w), 1); /* the request goes on */
    end_request(w);
}

static void case_32_no_settle_time_means_at_once_even_when_busy(void **state)
{
    char id[UUID_TEXT_LEN + 1];
    const struct worker *w;

    assert_int_equal(ask_add(spec_for(engine, ",\"health\":{\"drain_settle_secs\":0}"), id), 0);
    wait_until(is_ready, id, 1000);
    house_do(house.front, begin_request, &w);
    assert_int_equal(ask_remove(id), 0);
    assert_string_equal(ask_get(id), "");
    assert_int_equal(worker_load(w), 1); /* the request goes on */
    end_request(w);
}

static void removing_a_registering_worker_cancels_it(void **state)
{
    char id[UUID_TEXT_LEN + 1], again[UUID_TEXT_LEN + 1];

    engine->status[E_HEALTH] = 503;
    assert_int_equal(ask_add(spec_for(engine, ""), id), 0);
    assert_int_equal(ask_remove(id), 0);
    assert_string_equal(ask_get(id), "");
    engine->status[E_HEALTH] = 200;
    nap(600);
    assert_int_equal(counts().total, 0);
    assert_int_equal(ask_add(spec_for(engine, ""), again), 0);
    assert_string_not_equal(id, again);
}

static void case_28_an_id_that_nobody_has_is_not_found(void **state)
{
    assert_string_equal(ask_get("01234567-89ab-7def-8123-456789abcdef"), "");
    assert_int_equal(ask_remove("01234567-89ab-7def-8123-456789abcdef"), ERR_NOT_FOUND);
}

/* ---- health ---- */

#define QUICK ",\"health\":{\"check_interval_secs\":1,\"success_threshold\":1,\"failure_threshold\":1,\"timeout_secs\":1}"

static bool is_failed(void *id)
{
    return strstr(ask_get(id), "\"status\":\"failed\",\"load\"") != NULL;
}

static void a_worker_goes_down_fails_and_comes_back(void **state)
{
    char id[UUID_TEXT_LEN + 1];

    assert_int_equal(ask_add(spec_for(engine, QUICK), id), 0);
    wait_until(is_ready, id, 1000);
    engine->status[E_HEALTH] = 500;
    wait_until(is_not_ready, id, 2500);
    assert_int_equal(counts().ready, 0);
    assert_int_equal(counts().total, 1);
    wait_until(is_failed, id, 5000);
    assert_non_null(strstr(ask_get(id), "\"job_status\":{\"job_type\":\"HealthCheck\""));
    assert_non_null(strstr(ask_get(id), "\"message\":\"Health check failed: status 500\""));
    engine->status[E_HEALTH] = 200;
    wait_until(is_ready, id, 7000); /* probed at the slow rate */
    assert_null(strstr(ask_get(id), "job_status"));
}

static void a_worker_without_checks_is_ready_and_never_probed(void **state)
{
    char id[UUID_TEXT_LEN + 1];
    unsigned asked;

    assert_int_equal(ask_add(spec_for(engine, ",\"health\":{\"check_interval_secs\":1,\"disable_health_check\":true}"), id), 0);
    wait_until(is_ready, id, 1000);
    asked = atomic_load(&engine->asked[E_HEALTH]);
    engine->status[E_HEALTH] = 500;
    nap(1500);
    assert_int_equal(atomic_load(&engine->asked[E_HEALTH]), asked);
    assert_true(is_ready(id));
}

static int open_strict(void **state)
{
    struct registry_conf conf = house_conf();

    conf.remove_unhealthy = true;
    house_open(&conf);
    engine = an_engine(0);
    engine_start(engine);
    return 0;
}

static void failed_workers_are_removed_when_asked_for(void **state)
{
    char id[UUID_TEXT_LEN + 1];

    assert_int_equal(ask_add(spec_for(engine, QUICK), id), 0);
    wait_until(is_ready, id, 1000);
    engine_stop(engine);
    wait_until(is_gone, id, 8000);
    assert_int_equal(counts().total, 0);
}

static bool was_probed_twice(void *e)
{
    return atomic_load(&((struct engine *)e)->asked[E_HEALTH]) >= 3; /* the first is the registration's */
}

static void others_are_watched_on_after_one_was_removed(void **state)
{
    struct engine *other = an_engine(1);
    char id[UUID_TEXT_LEN + 1];

    assert_int_equal(ask_add(spec_for(engine, QUICK), id), 0);
    wait_until(is_ready, id, 1000);
    engine_stop(engine);
    wait_until(is_gone, id, 8000);
    engine_start(other);
    assert_int_equal(ask_add(spec_for(other, QUICK), id), 0);
    wait_until(is_ready, id, 1000);
    wait_until(was_probed_twice, other, 4000);
}

/* ---- events ---- */

static struct {
    enum registry_event events[16];
    size_t table_n[16];
    unsigned n;
} heard;

static void on_event(enum registry_event e, const struct worker *w, void *arg)
{
    heard.events[heard.n] = e;
    heard.table_n[heard.n++] = registry_table(house.registry, house.control)->n;
}

static void subscribe(void *arg)
{
    heard.n = 0;
    registry_subscribe(house.registry, on_event, NULL);
}

static void events_come_after_the_table(void **state)
{
    char id[UUID_TEXT_LEN + 1];

    house_do(house.control, subscribe, NULL);
    assert_int_equal(ask_add(spec_for(engine, ""), id), 0);
    wait_until(is_ready, id, 1000);
    assert_int_equal(ask_remove(id), 0);
    wait_until(is_gone, id, 1000);
    assert_int_equal(heard.n, 3);
    assert_int_equal(heard.events[0], REGISTRY_ADDED);
    assert_int_equal(heard.table_n[0], 1);
    assert_int_equal(heard.events[1], REGISTRY_STATUS);
    assert_int_equal(heard.events[2], REGISTRY_REMOVED);
    assert_int_equal(heard.table_n[2], 0);
}

static bool has_its_model(void *arg)
{
    return strstr(ask_get(arg), "\"model_id\":\"m1\"") != NULL;
}

static void a_model_list_that_came_too_late_is_asked_for_with_the_health_checks(void **state)
{
    char id[UUID_TEXT_LEN + 1];
    unsigned asked;

    engine->status[E_MODELS] = engine->status[E_SERVER_INFO] = engine->status[E_MODEL_INFO] = 500;
    house_do(house.control, subscribe, NULL);
    assert_int_equal(ask_add(spec_for(engine, CHECKED_EVERY_SECOND), id), 0);
    wait_until(is_ready, id, 4000);
    assert_null(strstr(ask_get(id), "model_id"));
    asked = atomic_load(&engine->asked[E_MODELS]);
    nap(2500); /* it learns nothing, again and again: nobody hears of that */
    assert_true(atomic_load(&engine->asked[E_MODELS]) > asked);
    assert_null(strstr(ask_get(id), "job_status"));
    assert_int_equal(heard.n, 1); /* added */
    engine->status[E_MODELS] = 200;
    wait_until(has_its_model, id, 4000);
    assert_int_equal(heard.n, 2);
    assert_int_equal(heard.events[1], REGISTRY_REPLACED);
    asked = atomic_load(&engine->asked[E_MODELS]);
    nap(1500);
    assert_int_equal(atomic_load(&engine->asked[E_MODELS]), asked);
}

#define RULE(f)           cmocka_unit_test_setup_teardown(f, open_house, close_house)
#define RULE_OPENED(f, o) cmocka_unit_test_setup_teardown(f, o, close_house)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(an_engine_that_is_up_is_ready_in_under_a_second),
        RULE(case_25_a_second_post_joins_the_first_and_later_meets_a_worker),
        RULE(case_26_a_worker_that_is_registering_shows_its_description_and_its_job),
        RULE(an_engine_that_starts_later_is_picked_up_within_two_seconds),
        RULE(probes_carry_the_key_and_the_configured_path),
        RULE(case_39_40_older_names_of_the_information_are_asked_when_the_new_ones_are_missing),
        RULE(a_vllm_engine_is_not_asked_for_sglangs_paths),
        RULE(an_engine_without_information_is_registered_all_the_same),
        RULE(an_engine_without_a_health_endpoint_is_watched_by_its_models),
        RULE(a_model_list_that_fails_for_good_holds_nobody_up),
        RULE(a_model_list_that_comes_late_is_asked_again),
        RULE(a_model_list_that_came_too_late_is_asked_for_with_the_health_checks),
        RULE(an_engine_that_has_no_list_of_models_is_not_asked_for_ever),
        RULE(a_worker_leaves_while_its_models_are_asked_for),
        RULE(kinds_of_workers_to_come_wait_with_a_reason),
        RULE(case_45_a_handshake_address_needs_a_zmq_worker),
        RULE(workers_of_one_engine_differ_by_base_path),
        RULE(many_register_at_once),
        RULE(the_job_queue_has_a_bound),
        RULE_OPENED(a_failed_registration_says_why_and_is_forgotten_in_time, open_impatient),
        RULE_OPENED(a_failed_registration_can_be_posted_again_under_its_id, open_impatient),
        RULE(workers_of_the_command_line_carry_their_key),
        RULE_OPENED(a_worker_of_the_command_line_is_never_forgotten, open_impatient),
        RULE(case_32_33_an_idle_worker_leaves_at_once),
        RULE(case_32_a_busy_worker_drains_until_it_is_idle),
        RULE(case_32_a_drain_ends_after_its_time_and_cuts_nothing),
        RULE(case_32_no_settle_time_means_at_once_even_when_busy),
        RULE(removing_a_registering_worker_cancels_it),
        RULE(case_28_an_id_that_nobody_has_is_not_found),
        RULE(a_worker_goes_down_fails_and_comes_back),
        RULE(a_worker_without_checks_is_ready_and_never_probed),
        RULE_OPENED(failed_workers_are_removed_when_asked_for, open_strict),
        RULE_OPENED(others_are_watched_on_after_one_was_removed, open_strict),
        RULE(events_come_after_the_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
