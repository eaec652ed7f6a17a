/* house.h -- what tests of the registry live in: a control loop with a registry, scripted engines on loopback, and a loop that asks
 *
 *     test (main thread) --house_do--> front loop --command--> control loop (registry) --probes--> engine loop (engines)
 *
 * house_do runs a function on a loop and waits for it; ask_* send a command and wait for its answer. Nothing here sleeps but wait_until, which polls.
 */
#pragma once

#include <semaphore.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "test.h"

#include "base/clock.h"
#include "http/server.h"
#include "worker/registry.h"

#define ENGINES 4

enum engine_path { E_HEALTH, E_MODELS, E_VERSION, E_SERVER_INFO, E_GET_SERVER_INFO, E_MODEL_INFO, E_GET_MODEL_INFO, E_PATHS };

struct engine {
    struct http_server *server;
    uint16_t port;
    _Atomic int status[E_PATHS]; /* 0 = 404 */
    const char *body[E_PATHS];
    _Atomic unsigned asked[E_PATHS];
    _Atomic bool saw_key; /* "Bearer engine-key" with every request so far */
};

static struct house {
    struct loop *control, *engines_loop, *front;
    struct http_client *client;
    struct registry *registry;
    struct router *engine_router;
    struct engine engines[ENGINES];
    void *contexts[ENGINES][1];
} house;

/* ---- running things on loops ---- */

struct house_task {
    struct message message;
    void (*fn)(void *arg);
    void *arg;
    sem_t done;
};

static inline void house_run_task(struct loop *l, struct message *m)
{
    struct house_task *t = CONTAINER_OF(m, struct house_task, message);

    (void)l;
    t->fn(t->arg);
    sem_post(&t->done);
}

static inline void house_do(struct loop *l, void (*fn)(void *arg), void *arg)
{
    struct house_task t = { .message.run = house_run_task, .fn = fn, .arg = arg };

    sem_init(&t.done, 0, 0);
    loop_post(l, &t.message);
    while (sem_wait(&t.done) != 0)
        ;
    sem_destroy(&t.done);
}

static inline void nap(unsigned ms)
{
    nanosleep(&(struct timespec){ ms / 1000, (long)(ms % 1000) * 1000000 }, NULL);
}

/* How long it took, in ms; fails the test after MS_MAX. */
static inline unsigned wait_until(bool (*holds)(void *arg), void *arg, unsigned ms_max)
{
    uint64_t began = clock_now_us();

    while (!holds(arg)) {
        assert_true(clock_now_us() - began < (uint64_t)ms_max * 1000);
        nap(5);
    }
    return (unsigned)((clock_now_us() - began) / 1000);
}

/* ---- engines ---- */

static inline void engine_answer(struct exchange *ex, struct engine *e, enum engine_path path)
{
    struct str key = http_value(&ex->req.fields, HF_AUTHORIZATION);

    atomic_fetch_add(&e->asked[path], 1);
    if (!str_eq(key, STR("Bearer engine-key")))
        atomic_store(&e->saw_key, false);
    if (!e->status[path])
        exchange_reply(ex, 404, TYPE_TEXT, STR("no"));
    else
        exchange_reply(ex, (unsigned)e->status[path], TYPE_JSON, str_of(e->body[path] ? e->body[path] : "{}"));
}

#define ENGINE_HANDLER(name, path)                              \
    static inline void name(struct exchange *ex, void *context) \
    {                                                           \
        engine_answer(ex, context, path);                       \
    }
ENGINE_HANDLER(engine_health, E_HEALTH)
ENGINE_HANDLER(engine_models, E_MODELS)
ENGINE_HANDLER(engine_version, E_VERSION)
ENGINE_HANDLER(engine_server_info, E_SERVER_INFO)
ENGINE_HANDLER(engine_get_server_info, E_GET_SERVER_INFO)
ENGINE_HANDLER(engine_model_info, E_MODEL_INFO)
ENGINE_HANDLER(engine_get_model_info, E_GET_MODEL_INFO)

#define ENGINE_ROUTE(at, fn)                                                          \
    {                                                                                 \
        HTTP_GET, at, ROUTE_PUBLIC, ROUTE_BODY_NONE, ROUTE_ERRORS_OPENAI, fn, 0, NULL \
    }
/* The same again below a prefix: workers behind one engine that differ by base path. */
static const struct route ENGINE_ROUTES[] = {
    ENGINE_ROUTE("/health", engine_health),
    ENGINE_ROUTE("/ready", engine_health),
    ENGINE_ROUTE("/v1/models", engine_models),
    ENGINE_ROUTE("/version", engine_version),
    ENGINE_ROUTE("/server_info", engine_server_info),
    ENGINE_ROUTE("/get_server_info", engine_get_server_info),
    ENGINE_ROUTE("/model_info", engine_model_info),
    ENGINE_ROUTE("/get_model_info", engine_get_model_info),
    ENGINE_ROUTE("/{n}/health", engine_health),
    ENGINE_ROUTE("/{n}/v1/models", engine_models),
    ENGINE_ROUTE("/{n}/version", engine_version),
    ENGINE_ROUTE("/{n}/server_info", engine_server_info),
    ENGINE_ROUTE("/{n}/model_info", engine_model_info),
};

static inline void engine_open(void *arg)
{
    struct engine *e = arg;
    size_t i = (size_t)(e - house.engines);
    struct http_server_conf conf = { .router = house.engine_router, .contexts = house.contexts[i] };
    struct net_address address;

    house.contexts[i][0] = e;
    assert_int_equal(http_server_new(house.engines_loop, &conf, &e->server), 0);
    assert_int_equal(net_address_parse(STR("127.0.0.1"), e->port, &address), 0);
    assert_int_equal(http_server_listen(e->server, &address, LISTENER_ALONE, &e->port, NULL), 0);
}

static inline void engine_close(void *arg)
{
    struct engine *e = arg;

    if (!e->server)
        return;
    http_server_close(e->server);
    http_server_free(STEAL(e->server));
}

static inline void engine_start(struct engine *e)
{
    house_do(house.engines_loop, engine_open, e);
}

static inline void engine_stop(struct engine *e)
{
    house_do(house.engines_loop, engine_close, e);
}

/* SGLang's answers by default; nobody listens yet, but the port is known. */
static inline struct engine *an_engine(size_t i)
{
    struct engine *e = &house.engines[i];

    *e = (struct engine){ 0 };
    atomic_store(&e->saw_key, true);
    e->status[E_HEALTH] = e->status[E_MODELS] = e->status[E_SERVER_INFO] = e->status[E_MODEL_INFO] = 200;
    e->body[E_MODELS] =
        "{\"object\":\"list\",\"data\":[{\"id\":\"m1\",\"object\":\"model\",\"owned_by\":\"sglang\",\"root\":\"org/m1\"}]}";
    e->body[E_SERVER_INFO] = "{\"model_path\":\"org/m1\",\"served_model_name\":\"m1\",\"tp_size\":2,\"version\":\"0.5\"}";
    e->body[E_MODEL_INFO] = "{\"model_path\":\"org/m1\",\"is_generation\":true}";
    return e;
}

/* ---- the house ---- */

static inline struct registry_conf house_conf(void)
{
    return (struct registry_conf){
        .health = { .timeout_s = 2, .interval_s = 60, .success_threshold = 2, .failure_threshold = 3, .drain_settle_s = 5 },
        .health_endpoint = STR("/health"),
        .startup_timeout_s = 1800,
        .startup_check_interval_s = 30,
    };
}

static inline struct loop *house_loop(const char *name, unsigned index)
{
    struct loop *l;

    assert_int_equal(loop_new(name, index, &l, NULL), 0);
    return l;
}

static inline void house_open(const struct registry_conf *conf)
{
    house = (struct house){ 0 };
    house.control = house_loop("control", 0);
    house.engines_loop = house_loop("engines", 1);
    house.front = house_loop("front", 2);
    assert_int_equal(router_new(ENGINE_ROUTES, ARRAY_LEN(ENGINE_ROUTES), &house.engine_router, NULL), 0);
    assert_int_equal(http_client_new(house.control, &(struct http_client_conf){ 0 }, &house.client), 0);
    assert_int_equal(registry_new(house.control, house.client, conf, &house.registry), 0);
    assert_int_equal(loop_start_thread(house.control, NULL), 0);
    assert_int_equal(loop_start_thread(house.engines_loop, NULL), 0);
    assert_int_equal(loop_start_thread(house.front, NULL), 0);
}

static inline void house_stop_control(void *arg)
{
    (void)arg;
    registry_stop(house.registry);
    http_client_free(house.client);
    loop_stop(house.control);
}

static inline void house_stop_engines(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < ENGINES; i++)
        engine_close(&house.engines[i]);
    loop_stop(house.engines_loop);
}

static inline void house_close(void)
{
    loop_stop(house.front);
    loop_join(house.front);
    house_do(house.control, house_stop_control, NULL);
    loop_join(house.control);
    house_do(house.engines_loop, house_stop_engines, NULL);
    loop_join(house.engines_loop);
    registry_free(house.registry);
    router_free(house.engine_router);
    loop_free(house.front);
    loop_free(house.engines_loop);
    loop_free(house.control);
}

/* ---- asking ---- */

struct asked {
    enum registry_command_kind kind;
    const char *spec; /* REGISTRY_ADD, _REPLACE, _UPDATE: JSON */
    char id[UUID_TEXT_LEN + 1];
    int result;
    char json[8192];
    sem_t done;
};

static inline void asked_answered(struct registry_command *c)
{
    struct asked *a = c->owner;

    assert_true(loop_is_current(house.front));
    a->result = c->result;
    memcpy(a->id, c->id, sizeof a->id);
    assert_true(c->json.n < sizeof a->json);
    if (c->json.n)
        memcpy(a->json, c->json.p, c->json.n);
    a->json[c->json.n] = 0;
    registry_command_free(c);
    sem_post(&a->done);
}

static inline void asked_send(void *arg)
{
    struct asked *a = arg;
    struct registry_command *c = registry_command_new(house.registry, house.front, a->kind);
    struct json_doc doc;

    if (!c)
        abort();
    memcpy(c->id, a->id, sizeof c->id);
    c->answered = asked_answered;
    c->owner = a;
    if (a->kind == REGISTRY_UPDATE) {
        assert_int_equal(json_parse(str_of(a->spec), &c->arena, &doc, NULL), 0);
        assert_int_equal(worker_patch_read(&doc, &c->arena, &c->patch, NULL), 0);
    } else if (a->kind == REGISTRY_ADD || a->kind == REGISTRY_REPLACE) {
        assert_int_equal(json_parse(str_of(a->spec), &c->arena, &doc, NULL), 0);
        c->keep_api_key = !json_exists(json_get(json_root(&doc), STR("api_key")));
        assert_int_equal(worker_spec_read(&doc, &c->arena, &c->spec, NULL), 0);
        c->spec.url = worker_url_canonical(c->spec.url, &c->arena);
    }
    registry_command_post(c);
}

/* Sends; ask_wait waits for the answer. */
static inline void ask_begin(struct asked *a)
{
    sem_init(&a->done, 0, 0);
    house_do(house.front, asked_send, a);
}

static inline void ask_wait(struct asked *a)
{
    while (sem_wait(&a->done) != 0)
        ;
    sem_destroy(&a->done);
}

static inline void ask(struct asked *a)
{
    ask_begin(a);
    ask_wait(a);
}

/* REGISTRY_REPLACE, REGISTRY_UPDATE */
static inline int ask_change(enum registry_command_kind kind, const char *id, const char *json)
{
    struct asked a = { .kind = kind, .spec = json };

    memcpy(a.id, id, sizeof a.id);
    ask(&a);
    return a.result;
}

static inline int ask_add(const char *spec, char id[UUID_TEXT_LEN + 1])
{
    struct asked a = { .kind = REGISTRY_ADD, .spec = spec };

    ask(&a);
    if (id)
        memcpy(id, a.id, sizeof a.id);
    return a.result;
}

static inline int ask_remove(const char *id)
{
    struct asked a = { .kind = REGISTRY_REMOVE };

    memcpy(a.id, id, sizeof a.id);
    ask(&a);
    return a.result;
}

/* The JSON of the worker; "" when there is none. Good until the next call. */
static inline const char *ask_get(const char *id)
{
    static struct asked a;

    a = (struct asked){ .kind = REGISTRY_GET };
    memcpy(a.id, id, sizeof a.id);
    ask(&a);
    return a.result == 0 ? a.json : "";
}

static inline const char *spec_for(const struct engine *e, const char *rest)
{
    static char text[2048];

    snprintf(text, sizeof text, "{\"url\":\"http://127.0.0.1:%u\"%s}", e->port, rest);
    return text;
}

static inline bool is_ready(void *id)
{
    return strstr(ask_get(id), "\"status\":\"ready\"") != NULL;
}

static inline bool is_gone(void *id)
{
    return ask_get(id)[0] == 0;
}
