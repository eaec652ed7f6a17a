/* worker/register.c -- from a URL to a worker that takes requests (spec control-plane 9, for HTTP engines and providers)
 *
 *              +-----------------------------(2xx)--------------------------+
 *              |                                                            v
 *   DELAY --> HEALTH --(no)--> PAUSE --(time left)--> HEALTH             MODELS --> INFO --> (registered)
 *              ^                 |                                        ^  |
 *              |             (time is up)                                 |  | no good answer, and nothing else tells the model
 *              |                 v                                        |  v
 *              +--(slow timer)-- GIVEN_UP                              MODELS_PAUSE
 *                                 ^
 *   DELAY --> DISCOVER --(2xx)----|----> (registered)
 *              ^   |              |
 *              |   +--(no)--> DISCOVER_PAUSE, DISCOVER_TRIES times
 *              +------------------+
 *
 *   STOPPED: nothing will happen by itself: a kind of worker that this version does not have (job pending, with the reason), or a description that
 *            cannot work (job failed).
 *
 *   from           to             by             when
 *   (new)          DELAY          begin          --worker-startup-delay is set
 *   (new), DELAY   HEALTH         begin_work     GET <health endpoint>; first in line for one of REGISTRATIONS_MAX places. An engine without that endpoint (404,
 *                                                405) is asked for /v1/models instead, here and by its health checks
 *   HEALTH         PAUSE          on_health      no 2xx: 0.25 s, doubling to 1.5 s
 *   PAUSE          HEALTH         begin_work     the pause is over
 *   PAUSE          GIVEN_UP       give_up        --worker-startup-timeout-secs is over: the job fails, the entry stays
 *   GIVEN_UP       HEALTH         begin_work     every RETRY_MS, as long as the entry stands (decision 9)
 *   HEALTH         MODELS         ask_models     2xx: GET /v1/models
 *   MODELS         MODELS_PAUSE   on_models      5xx or no answer, and it has not been asked for long (may_come)
 *   MODELS         PAUSE          on_models      nobody listens there any more
 *   MODELS         INFO           ask_info       what is left to ask depends on the engine; asked at once
 *   INFO           (gone)         finish         all have answered, well or not, or INFO_MS is over
 *   HEALTH         DISCOVER       discover       a provider whose models nobody named, and there is a key: GET /v1/models
 *   DISCOVER       DISCOVER_PAUSE on_discovered  no 2xx, and no answer that will be the same next time
 *   DISCOVER       GIVEN_UP       give_up        the last try, or no models: the job fails
 *   HEALTH         (gone)         finish         a provider with models, or without a key: there is nothing to ask
 *   (gone)         GIVEN_UP       registration_again  it answers, but its data-parallel ranks cannot be told
 *   any            (gone)         registration_free   DELETE, shutdown
 *   PAUSE, INFO    (gone)         drop_again     a replacement that nobody asked for (registry_ask_again) learned nothing
 *
 * An engine that is up takes three round trips; whatever its information endpoints do (hang, answer pages, fail), HEALTH to the end takes less than
 * MODELS_MS + 2 INFO_MS. Invariant: `placed` (a place of registry.registrations is ours) from HEALTH to PAUSE, GIVEN_UP or finish, MODELS_PAUSE included.
 */
#include "worker/registry_internal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"

#define PAUSE_MIN_MS 250
#define PAUSE_MAX_MS 1500
#define RETRY_MS     30000 /* after the job failed */
#define CONNECT_MS   1500  /* one retransmission of the SYN: a host that comes up is seen within two seconds */
#define INFO_MS      1500  /* what is missing then is left out: an engine that is slow to describe itself still serves */
#define MODELS_MS    500   /* how long a list of models that fails is asked for again */
#define STARTING_MS \
    10000 /* the same where the engine says that it is starting (502 to 504): as a wildcard it would be registered for good */

#define DISCOVER_MS    30000 /* a provider's answer (spec control-plane 9.8) */
#define DISCOVER_TRIES 3

#define MODELS_PATH "/v1/models"

enum step { DELAY, HEALTH, PAUSE, GIVEN_UP, MODELS, MODELS_PAUSE, INFO, DISCOVER, DISCOVER_PAUSE, STOPPED };

struct registration;

/* One question to the engine and its answer. */
struct ask {
    struct registration *of;
    struct probe *probe;  /* while it runs */
    const char *fallback; /* asked when the path answers 404 (SGLang's older names) */
    struct buf body;      /* owned: the answer */
    int status;           /* as detect_answer */
};

enum { ASK_MODELS, ASK_VERSION, ASK_SERVER_INFO, ASK_MODEL_INFO, ASKS };

struct registration {
    struct entry *entry;
    enum step step; /* written by enter() */
    struct timer timer;
    struct gate_wait turn;
    bool placed;
    struct probe *health; /* in HEALTH and DISCOVER */
    struct ask asks[ASKS];
    unsigned running; /* asks without an answer */
    unsigned tries;   /* of DISCOVER */
    uint32_t pause_ms;
    uint64_t until_us;  /* loop clock: the job's time */
    uint64_t models_us; /* loop clock: when the models were asked for first */
    int reason;         /* why the last health probe failed */
    bool no_health;     /* the health endpoint is not there; `reason` is of /v1/models */
};

static void begin_work(struct timer *t);
static void discover(struct timer *t);
static void on_discovered(struct probe *p, int result);
static void discover_failed(struct registration *g, int result);
_printf_(2, 3) static void fail_discovery(struct registration *g, const char *fmt, ...);
static void on_place(struct gate_wait *w);
static void probe_health(struct registration *g);
static void on_health(struct probe *p, int result);
static void pause_or_give_up(struct registration *g);
static void ask_models(struct timer *t);
static void on_models(struct registration *g);
static void ask_info(struct registration *g);
static void finish(struct registration *g);
static void give_up(struct registration *g);

static struct loop *loop_of(const struct registration *g)
{
    return g->entry->registry->loop;
}

static void enter(struct registration *g, enum step step)
{
    g->step = step;
    timer_stop(&g->timer);
}

static void leave_place(struct registration *g)
{
    if (g->placed)
        gate_leave(&g->entry->registry->registrations);
    g->placed = false;
}

int registration_new(struct entry *e)
{
    struct registration *g = calloc(1, sizeof(*g));

    if (!g)
        return ERR_NOMEM;
    g->entry = e;
    for (unsigned i = 0; i < ASKS; i++)
        g->asks[i].of = g;
    gate_wait_init(&g->turn, on_place);
    e->registration = g;
    return 0;
}

static void clear_answers(struct registration *g)
{
    for (unsigned i = 0; i < ASKS; i++) {
        probe_cancel(STEAL(g->asks[i].probe));
        buf_fini(&g->asks[i].body);
        g->asks[i].status = 0;
    }
    g->running = 0;
}

void registration_free(struct registration *g)
{
    if (!g)
        return;
    timer_stop(&g->timer);
    gate_forget(&g->turn);
    probe_cancel(g->health);
    clear_answers(g);
    leave_place(g);
    free(g);
}

/* ---- what cannot be started ---- */

static const char *unavailable(const struct worker_spec *s)
{
    if (s->mode == WORKER_GRPC)
        return "gRPC workers are not available in this version";
    if (s->mode == WORKER_ZMQ)
        return "ZMQ (ipc://) workers are not available in this version";
    return NULL;
}

static bool is_stopped(struct registration *g)
{
    const struct worker_spec *s = &g->entry->worker->spec;
    const char *reason = unavailable(s);

    if (reason) {
        job_wait(g->entry, reason);
        log_warn(WORKER_LOG, "worker waits", LF_STR("worker", s->url), LF_STR("reason", str_of(reason)));
    } else if (s->zmq_handshake_address.n) {
        job_fail(g->entry,
                 "Workflow failed at step create_local_worker: Step failed: create_worker - worker %.*s sets zmq_handshake_address "
                 "but its connection "
                 "mode is Http: the field is only meaningful for ZMQ workers",
                 STR_FMT(s->url));
    } else {
        return false;
    }
    enter(g, STOPPED);
    return true;
}

void registration_begin(struct entry *e)
{
    struct registration *g = e->registration;
    const struct registry_conf *conf = &e->registry->conf;

    if (is_stopped(g))
        return;
    g->pause_ms = PAUSE_MIN_MS;
    g->until_us = loop_now_us(loop_of(g)) + ((uint64_t)conf->startup_delay_s + conf->startup_timeout_s) * 1000000;
    if (conf->startup_delay_s && !e->asks_again) {
        enter(g, DELAY);
        timer_start(loop_of(g), &g->timer, (uint64_t)conf->startup_delay_s * 1000, begin_work);
    } else {
        begin_work(&g->timer);
    }
}

/* ---- is it up? ---- */

static void begin_work(struct timer *t)
{
    struct registration *g = CONTAINER_OF(t, struct registration, timer);

    enter(g, HEALTH);
    if (gate_enter(&g->entry->registry->registrations, &g->turn))
        on_place(&g->turn);
}

static void on_place(struct gate_wait *w)
{
    struct registration *g = CONTAINER_OF(w, struct registration, turn);

    assert(g->step == HEALTH);
    g->placed = true;
    job_processing(g->entry);
    g->no_health = false;
    g->tries = 0;
    if (g->entry->worker->spec.runtime != RUNTIME_EXTERNAL)
        probe_health(g);
    else if (g->entry->worker->spec.models_n == 0 && external_key(&g->entry->worker->spec).n)
        discover(&g->timer);
    else
        finish(g);
}

static void probe_health(struct registration *g)
{
    struct entry *e = g->entry;
    struct registry *r = e->registry;
    struct probe_ask ask = { .path = g->no_health ? STR(MODELS_PATH) : r->conf.health_endpoint,
                             .connect_ms = CONNECT_MS,
                             .total_ms = e->worker->spec.health.timeout_s * 1000,
                             .done = on_health,
                             .owner = g };
    int status = probe_start(r->client, r->loop, e->worker, &ask, &g->health);

    if (status < 0) {
        g->reason = status;
        pause_or_give_up(g);
    }
}

static bool is_good(int status)
{
    return status >= 200 && status <= 299;
}

static void on_health(struct probe *p, int result)
{
    struct registration *g = p->owner;

    assert(g->step == HEALTH);
    g->health = NULL;
    if (is_good(result)) {
        g->entry->health.by_models = g->no_health;
        g->models_us = loop_now_us(loop_of(g));
        ask_models(&g->timer);
        return;
    }
    if (!g->no_health && (result == 404 || result == 405)) {
        g->no_health = true;
        probe_health(g);
        return;
    }
    if (err_is_tls(result) && g->reason != result) { /* it is up: waiting for the end of the start-up time would hide a mistake */
        char reason[WORKER_REASON_MAX];

        log_warn(WORKER_LOG, "worker cannot be trusted yet", LF_STR("worker", g->entry->url),
                 LF_CSTR("reason", worker_reason_text(result, reason)));
    }
    g->reason = result;
    pause_or_give_up(g);
}

/* Not now: the next good health check begins another. The last statement of its caller. */
static void drop_again(struct registration *g)
{
    struct entry *of = g->entry->replaces;

    registry_replacement_drop(STEAL(of->replacement));
}

static void pause_or_give_up(struct registration *g)
{
    uint32_t longest = MIN((uint32_t)PAUSE_MAX_MS, MAX(g->entry->registry->conf.startup_check_interval_s, 1u) * 1000);

    leave_place(g);
    if (g->entry->asks_again) {
        drop_again(g);
        return;
    }
    if (g->entry->job.status == JOB_FAILED || loop_now_us(loop_of(g)) >= g->until_us) {
        give_up(g);
        return;
    }
    enter(g, PAUSE);
    timer_start(loop_of(g), &g->timer, MIN(g->pause_ms, longest), begin_work);
    g->pause_ms = MIN(g->pause_ms * 2, (uint32_t)PAUSE_MAX_MS);
}

static void fail_job(struct registration *g)
{
    struct str url = g->entry->url;
    char reason[WORKER_REASON_MAX];

    job_fail(g->entry,
             "Workflow failed at step detect_connection_mode: Step failed: detect_connection_mode - http health check failed for "
             "explicitly configured "
             "worker URL %.*s: Health check failed: %s%s",
             STR_FMT(url), g->no_health ? "there is no health endpoint, and GET " MODELS_PATH " failed: " : "",
             worker_reason_text(g->reason, reason));
    log_warn(WORKER_LOG, "worker did not come up in time; it is tried again now and then", LF_STR("worker", url),
             LF_CSTR("reason", reason));
}

static void rest(struct registration *g)
{
    enter(g, GIVEN_UP);
    timer_start(loop_of(g), &g->timer, RETRY_MS, begin_work);
}

/* What answers may lack something that comes later, as the ranks of an engine that is slow to describe itself. */
void registration_again(struct entry *e)
{
    if (registration_new(e) == 0) /* without memory it takes a POST */
        rest(e->registration);
}

static void give_up(struct registration *g)
{
    if (g->entry->job.status != JOB_FAILED)
        fail_job(g);
    rest(g);
}

/* ---- what is it? ---- */

static void on_answer(struct probe *p, int result);

static void ask(struct registration *g, unsigned which, const char *path, const char *fallback)
{
    struct entry *e = g->entry;
    struct ask *a = &g->asks[which];
    struct probe_ask question = {
        .path = str_of(path), .connect_ms = CONNECT_MS, .total_ms = INFO_MS, .done = on_answer, .owner = a
    };

    a->fallback = fallback;
    a->status = probe_start(e->registry->client, e->registry->loop, e->worker, &question, &a->probe);
    if (a->status == 0)
        g->running++;
}

static void on_answer(struct probe *p, int result)
{
    struct ask *a = p->owner;
    struct registration *g = a->of;

    a->probe = NULL;
    a->status = result;
    g->running--;
    if (result == 404 && a->fallback)
        ask(g, (unsigned)(a - g->asks), a->fallback, /* fallback= */ NULL);
    else
        a->body = probe_take_body(p);
    if (g->running > 0)
        return;
    if (g->step == MODELS)
        on_models(g);
    else
        finish(g);
}

static void ask_models(struct timer *t)
{
    struct registration *g = CONTAINER_OF(t, struct registration, timer);

    enter(g, MODELS);
    clear_answers(g);
    ask(g, ASK_MODELS, MODELS_PATH, /* fallback= */ NULL);
    if (g->running == 0)
        on_models(g);
}

/* May the list of models still come? */
static bool may_come(const struct registration *g, int status)
{
    uint64_t asked_ms = (loop_now_us(loop_of(g)) - g->models_us) / 1000;

    if (g->entry->asks_again || g->entry->worker->spec.models_n > 0 || (status >= 200 && status < 500))
        return false; /* asks_again: with the next good health check */
    return asked_ms < (status >= 502 && status <= 504 ? STARTING_MS : MODELS_MS);
}

static void on_models(struct registration *g)
{
    int status = g->asks[ASK_MODELS].status;

    if (status == ERR_REFUSED || status == ERR_UNREACHABLE || status == ERR_RESOLVE) {
        g->reason = status; /* it went away between two questions */
        clear_answers(g);
        pause_or_give_up(g);
        return;
    }
    if (may_come(g, status)) {
        enter(g, MODELS_PAUSE);
        timer_start(loop_of(g), &g->timer, PAUSE_MIN_MS, ask_models);
        return;
    }
    ask_info(g);
}

static struct detect_answer answer(const struct ask *a)
{
    return (struct detect_answer){ .status = a->status, .body = buf_str(&a->body) };
}

static void on_info_time(struct timer *t)
{
    struct registration *g = CONTAINER_OF(t, struct registration, timer);

    for (unsigned i = 0; i < ASKS; i++)
        if (g->asks[i].probe) {
            probe_cancel(STEAL(g->asks[i].probe));
            g->asks[i].status = ERR_TIMEOUT;
        }
    g->running = 0;
    finish(g);
}

static void ask_info(struct registration *g)
{
    struct detect_answer models = answer(&g->asks[ASK_MODELS]);
    enum worker_runtime runtime = g->entry->worker->spec.runtime;

    if (runtime == RUNTIME_UNSPECIFIED)
        runtime = detect_owner(&models);
    enter(g, INFO);
    if (runtime == RUNTIME_VLLM || runtime == RUNTIME_UNSPECIFIED)
        ask(g, ASK_VERSION, "/version", /* fallback= */ NULL);
    if (runtime != RUNTIME_VLLM) {
        ask(g, ASK_SERVER_INFO, "/server_info", "/get_server_info");
        ask(g, ASK_MODEL_INFO, "/model_info", "/get_model_info");
    }
    if (g->running == 0)
        finish(g);
    else
        timer_start(loop_of(g), &g->timer, INFO_MS, on_info_time);
}

/* ---- what does a provider have? ---- */

static void discover(struct timer *t)
{
    struct registration *g = CONTAINER_OF(t, struct registration, timer);
    struct entry *e = g->entry;
    struct probe_ask question = { .path = STR(MODELS_PATH),
                                  .bearer = external_key(&e->worker->spec),
                                  .total_ms = DISCOVER_MS,
                                  .body_max = EXTERNAL_BODY_MAX,
                                  .done = on_discovered,
                                  .owner = g };

    enter(g, DISCOVER);
    g->tries++;
    if (probe_start(e->registry->client, e->registry->loop, e->worker, &question, &g->health) < 0)
        discover_failed(g, ERR_NOMEM);
}

static void on_discovered(struct probe *p, int result)
{
    struct registration *g = p->owner;

    assert(g->step == DISCOVER);
    g->health = NULL;
    if (is_good(result)) {
        g->asks[ASK_MODELS].body = probe_take_body(p);
        g->asks[ASK_MODELS].status = result;
        finish(g);
        return;
    }
    discover_failed(g, result);
}

_printf_(2, 3) static void fail_discovery(struct registration *g, const char *fmt, ...)
{
    char text[ERR_MESSAGE_MAX];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (g->entry->job.status != JOB_FAILED) {
        job_fail(g->entry, "Workflow failed at step discover_models: Step failed: discover_models - %s", text);
        log_warn(WORKER_LOG, "the models of a provider are not known; it is asked again now and then",
                 LF_STR("worker", g->entry->url), LF_CSTR("reason", text));
    }
    clear_answers(g);
    leave_place(g);
    rest(g);
}

static void discover_failed(struct registration *g, int result)
{
    struct str url = g->entry->url;
    char reason[WORKER_REASON_MAX];
    bool final = result >= 400 && result <= 499 && result != 408 && result != 429;

    if (!final && g->tries < DISCOVER_TRIES) {
        enter(g, DISCOVER_PAUSE);
        timer_start(loop_of(g), &g->timer, (uint64_t)g->tries * 1000, discover);
        return;
    }
    if (result > 0)
        fail_discovery(g, "Failed to discover models from %.*s: Server returned status %d %s from %.*s" MODELS_PATH, STR_FMT(url),
                       result, http_reason((unsigned)result), STR_FMT(url));
    else
        fail_discovery(g, "Failed to discover models from %.*s: %s", STR_FMT(url), worker_reason_text(result, reason));
}

/* ---- it is a worker ---- */

/* A clash is no failure, but somebody will wonder why the alias does not work. */
static void warn_of_aliases(const struct entry *e, const struct worker_spec *s)
{
    const struct worker_table *t = registry_table(e->registry, e->registry->loop);

    for (size_t i = 0; i < s->models_n; i++)
        for (size_t k = 0; k < s->models[i].aliases_n; k++) {
            struct str alias = s->models[i].aliases[k];
            const struct worker_model *m = map_get(&t->by_model, alias);

            if (str_eq(alias, STR("unknown")) || (m && !str_eq(m->id, s->models[i].id)))
                log_warn(WORKER_LOG, "alias is taken and does not count", LF_STR("worker", e->url), LF_STR("alias", alias),
                         LF_STR("model", s->models[i].id));
        }
}

static int describe(struct registration *g, struct arena *arena, struct worker_spec *ret)
{
    const struct worker_spec *submitted = &g->entry->worker->spec;
    const struct registry_conf *conf = &g->entry->registry->conf;
    struct detect_answers a = {
        .models = answer(&g->asks[ASK_MODELS]),
        .version = answer(&g->asks[ASK_VERSION]),
        .server_info = answer(&g->asks[ASK_SERVER_INFO]),
        .model_info = answer(&g->asks[ASK_MODEL_INFO]),
    };

    struct worker_spec named = *submitted;
    int status = 0;

    if (submitted->runtime == RUNTIME_EXTERNAL) {
        if (a.models.status)
            status = external_models(a.models.body, arena, &named.models, &named.models_n);
        a = (struct detect_answers){ 0 };
    }
    return status < 0 ? status : detect_spec(&named, &a, conf->aliases, conf->aliases_n, arena, ret);
}

/* Nobody named models and the engine's list failed in a way that passes (slow, 5xx): SPEC is a wildcard until it is asked again. */
static bool models_are_due(const struct registration *g, const struct worker_spec *spec)
{
    int status = g->asks[ASK_MODELS].status;

    return spec->models_n == 0 && spec->runtime != RUNTIME_EXTERNAL && (status < 0 || status >= 500);
}

static void finish(struct registration *g)
{
    struct entry *e = g->entry;
    struct worker_spec spec;
    struct worker *w = NULL;
    struct arena arena;
    int status;

    arena_init(&arena, /* cache= */ NULL, /* max_bytes= */ 0);
    status = describe(g, &arena, &spec);
    e->models_due = status == 0 && models_are_due(g, &spec);
    if (e->models_due && e->asks_again) {
        arena_fini(&arena);
        drop_again(g);
        return;
    }
    if (status == 0)
        w = registry_describe(e, &spec, e->registry->next_order);
    if (w) {
        warn_of_aliases(e, &spec);
        if (e->models_due)
            log_warn(WORKER_LOG,
                     "a worker's list of models did not come: until a health check finds it, the worker serves any model that no "
                     "other has",
                     LF_STR("worker", e->url));
        e->registration = NULL;
        registration_free(g);
        e->health.by_models |= spec.runtime == RUNTIME_EXTERNAL; /* providers have no /health */
        registry_list_entry(e, w);
    } else if (status == ERR_NOT_FOUND) {
        fail_discovery(g, "No models discovered from %.*s", STR_FMT(e->url));
    } else {
        g->reason = ERR_NOMEM;
        clear_answers(g);
        pause_or_give_up(g);
    }
    arena_fini(&arena);
}
