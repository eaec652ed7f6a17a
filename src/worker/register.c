/* worker/register.c -- from a URL to a worker that takes requests (spec control-plane 9, for HTTP engines)
 *
 *              +-----------------------------(2xx)--------------------------+
 *              |                                                            v
 *   DELAY --> HEALTH --(no)--> PAUSE --(time left)--> HEALTH             MODELS --> INFO --> (registered)
 *              ^                 |                                        ^  |
 *              |             (time is up)                                 |  | no good answer, and nothing else tells the model
 *              |                 v                                        |  v
 *              +--(slow timer)-- GIVEN_UP                              MODELS_PAUSE
 *
 *   STOPPED: nothing will happen by itself: a kind of worker that this version does not have (job pending, with the reason), or a description that
 *            cannot work (job failed).
 *
 *   from           to             by             when
 *   (new)          DELAY          begin          --worker-startup-delay is set
 *   (new), DELAY   HEALTH         ask_health     GET <health endpoint>; first in line for one of REGISTRATIONS_MAX places
 *   HEALTH         PAUSE          on_health      no 2xx: 0.25 s, doubling to 1.5 s
 *   PAUSE          HEALTH         ask_health     the pause is over
 *   PAUSE          GIVEN_UP       give_up        --worker-startup-timeout-secs is over: the job fails, the entry stays
 *   GIVEN_UP       HEALTH         ask_health     every RETRY_MS, as long as the entry stands (decision 9)
 *   HEALTH         MODELS         ask_models     2xx: GET /v1/models
 *   MODELS         MODELS_PAUSE   on_models      5xx or no answer, fewer than MODELS_TRIES
 *   MODELS         INFO           ask_info       what is left to ask depends on the engine; asked at once
 *   INFO           (gone)         finish         all have answered, well or not
 *   any            (gone)         registration_free   DELETE, shutdown
 *
 * An engine that is up takes three round trips. Invariant: `placed` (a place of registry.registrations is ours) from HEALTH to PAUSE, GIVEN_UP or finish,
 * MODELS_PAUSE included.
 */
#include "worker/registry_internal.h"

#include <assert.h>
#include <stdlib.h>

#include "base/log.h"

#define PAUSE_MIN_MS 250
#define PAUSE_MAX_MS 1500
#define RETRY_MS     30000 /* after the job failed */
#define CONNECT_MS   1500  /* one retransmission of the SYN: a host that comes up is seen within two seconds */
#define MODELS_TRIES 40    /* some ten seconds: without a model's name it would be registered as a wildcard, and stay one */
#define INFO_MS_MAX  3000  /* what is missing then is left out: an engine that is slow to describe itself still serves */

enum step { DELAY, HEALTH, PAUSE, GIVEN_UP, MODELS, MODELS_PAUSE, INFO, STOPPED };

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
    struct probe *health; /* in HEALTH */
    struct ask asks[ASKS];
    unsigned running; /* asks without an answer */
    unsigned tries;   /* of MODELS */
    uint32_t pause_ms;
    uint64_t until_us; /* loop clock: the job's time */
    int reason;        /* why the last health probe failed */
};

static void ask_health(struct timer *t);
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
    if (conf->startup_delay_s) {
        enter(g, DELAY);
        timer_start(loop_of(g), &g->timer, (uint64_t)conf->startup_delay_s * 1000, ask_health);
    } else {
        ask_health(&g->timer);
    }
}

/* ---- is it up? ---- */

static void ask_health(struct timer *t)
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
    if (g->entry->worker->spec.runtime == RUNTIME_EXTERNAL)
        finish(g); /* a provider: nothing to detect (spec control-plane 9.2, 9.8) */
    else
        probe_health(g);
}

static void probe_health(struct registration *g)
{
    struct entry *e = g->entry;
    struct registry *r = e->registry;
    struct probe_ask ask = { .path = r->conf.health_endpoint,
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

static void on_health(struct probe *p, int result)
{
    struct registration *g = p->owner;

    assert(g->step == HEALTH);
    g->health = NULL;
    if (result >= 200 && result <= 299) {
        g->tries = 0;
        ask_models(&g->timer);
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

static void pause_or_give_up(struct registration *g)
{
    uint32_t longest = MIN((uint32_t)PAUSE_MAX_MS, MAX(g->entry->registry->conf.startup_check_interval_s, 1u) * 1000);

    leave_place(g);
    if (g->entry->job.status == JOB_FAILED || loop_now_us(loop_of(g)) >= g->until_us) {
        give_up(g);
        return;
    }
    enter(g, PAUSE);
    timer_start(loop_of(g), &g->timer, MIN(g->pause_ms, longest), ask_health);
    g->pause_ms = MIN(g->pause_ms * 2, (uint32_t)PAUSE_MAX_MS);
}

static void fail_job(struct registration *g)
{
    struct str url = g->entry->url;
    char reason[WORKER_REASON_MAX];

    job_fail(g->entry,
             "Workflow failed at step detect_connection_mode: Step failed: detect_connection_mode - http health check failed for "
             "explicitly configured "
             "worker URL %.*s: Health check failed: %s",
             STR_FMT(url), worker_reason_text(g->reason, reason));
    log_warn(WORKER_LOG, "worker did not come up in time; it is tried again now and then", LF_STR("worker", url),
             LF_CSTR("reason", reason));
}

static void give_up(struct registration *g)
{
    if (g->entry->job.status != JOB_FAILED)
        fail_job(g);
    enter(g, GIVEN_UP);
    timer_start(loop_of(g), &g->timer, RETRY_MS, ask_health);
}

/* ---- what is it? ---- */

static void on_answer(struct probe *p, int result);

static void ask(struct registration *g, unsigned which, const char *path, const char *fallback)
{
    struct entry *e = g->entry;
    struct ask *a = &g->asks[which];
    struct probe_ask question = { .path = str_of(path),
                                  .connect_ms = CONNECT_MS,
                                  .total_ms = MIN(e->worker->spec.health.timeout_s * 1000, (uint32_t)INFO_MS_MAX),
                                  .done = on_answer,
                                  .owner = a };

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
    g->tries++;
    ask(g, ASK_MODELS, "/v1/models", /* fallback= */ NULL);
    if (g->running == 0)
        on_models(g);
}

static void on_models(struct registration *g)
{
    int status = g->asks[ASK_MODELS].status;
    bool answered = status >= 200 && status < 500;

    if (!answered && g->entry->worker->spec.models_n == 0 && g->tries < MODELS_TRIES) {
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

    return detect_spec(submitted, &a, conf->aliases, conf->aliases_n, arena, ret);
}

static void finish(struct registration *g)
{
    struct entry *e = g->entry;
    struct worker_spec spec;
    struct worker *w = NULL;
    struct arena arena;

    arena_init(&arena, /* cache= */ NULL, /* max_bytes= */ 0);
    if (describe(g, &arena, &spec) == 0)
        w = registry_describe(e, &spec, e->registry->next_order);
    if (w) {
        warn_of_aliases(e, &spec);
        e->registration = NULL;
        registration_free(g);
        job_done(e);
        registry_list_entry(e, w);
    } else {
        g->reason = ERR_NOMEM;
        clear_answers(g);
        pause_or_give_up(g);
    }
    arena_fini(&arena);
}
