/* net/tls_watch.c -- certificates that change on disk come into force without a restart
 *
 *   WAITING --(timer)--> LOOKING (libuv's thread pool: stat, and SSL_CTX when there is something new) --(on_looked: publish, or say what is wrong)--> WAITING
 *      |                    |
 *      +--tls_watch_free----+--> freed (when a look runs: in on_looked)
 *
 * Files are replaced one after another: the certificate first, the key a moment later. So what has changed is loaded only when it is the same in two looks
 * running. Marks are taken with stat(2), which follows links: Kubernetes replaces mounted secrets by changing a link.
 */
#include "net/tls_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define TARGET "smg::net"

static const struct metric_family RELOADS = { .name = "smg_tls_reloads_total",
                                              .help = "Times that changed TLS files were loaded, or could not be",
                                              .type = METRIC_COUNTER,
                                              .labels = { "side", "result" } };

struct tls_watch {
    uv_work_t look; /* first: libuv's request */
    struct loop *loop;
    struct tls_context *context; /* borrowed; outlives the watch */
    struct timer timer;
    uint32_t period_ms;
    struct tls_marks before; /* of the last look */
    bool looking, freed;

    /* of a look: written by the pool's thread, read in on_looked */
    struct tls_marks now;
    SSL_CTX *fresh; /* owned; NULL = nothing new, or it did not load */
    int64_t expires_s;
    int status; /* of loading */
    bool changed;
    struct err err;
};

static void begin_look(struct timer *t);
static void look(uv_work_t *work);
static void on_looked(uv_work_t *work, int status);

static void wait_for_next(struct tls_watch *w)
{
    timer_start(w->loop, &w->timer, w->period_ms, begin_look);
}

static void begin_look(struct timer *t)
{
    struct tls_watch *w = CONTAINER_OF(t, struct tls_watch, timer);

    w->changed = false;
    w->fresh = NULL;
    if (uv_queue_work(&w->loop->uv, &w->look, look, on_looked) < 0) { /* never, for a work that is given */
        wait_for_next(w);
        return;
    }
    w->looking = true;
}

/* On a thread of the pool: reads the context's paths, which never change, and `loaded`, which the control loop writes only while no look runs. */
static void look(uv_work_t *work)
{
    struct tls_watch *w = (struct tls_watch *)work;

    tls_context_look(w->context, &w->now);
    w->changed = memcmp(&w->now, &w->context->loaded, sizeof w->now) != 0 && memcmp(&w->now, &w->before, sizeof w->now) == 0;
    if (w->changed)
        w->status = tls_context_load(w->context, &w->fresh, &w->expires_s, &w->err);
}

static void take_over(struct tls_watch *w)
{
    struct tls_context *c = w->context;
    struct str values[] = { c->side == TLS_SERVER ? STR("server") : STR("client"), w->status < 0 ? STR("failed") : STR("ok") };

    c->loaded = w->now; /* also what did not load: it is told once */
    metric_add(metric_cell(w->loop->metrics, &RELOADS, values), 1);
    if (w->status < 0) {
        log_error(TARGET, "changed TLS files do not load, the former ones stay in use", LF_STR("side", values[0]),
                  LF_CSTR("reason", w->err.message));
        return;
    }
    tls_context_use(c, STEAL(w->fresh), w->expires_s);
    log_info(TARGET, "changed TLS files are in use for new connections", LF_STR("side", values[0]),
             LF_STR("certificate", c->cert ? str_of(c->cert) : STR("none")));
}

static void on_looked(uv_work_t *work, int status)
{
    struct tls_watch *w = (struct tls_watch *)work;

    (void)status; /* is not cancelled */
    loop_enter(w->loop);
    w->looking = false;
    if (w->freed) {
        if (w->changed && w->status == 0)
            SSL_CTX_free(w->fresh);
        free(w);
        return;
    }
    w->before = w->now;
    if (w->changed)
        take_over(w);
    wait_for_next(w);
}

int tls_watch_new(struct loop *loop, struct tls_context *c, uint32_t period_ms, struct tls_watch **ret)
{
    struct tls_watch *w = calloc(1, sizeof *w);

    if (!w)
        return ERR_NOMEM;
    w->loop = loop;
    w->context = c;
    w->period_ms = period_ms ? period_ms : TLS_WATCH_MS;
    w->before = c->loaded;
    wait_for_next(w);
    *ret = w;
    return 0;
}

void tls_watch_free(struct tls_watch *w)
{
    if (!w)
        return;
    timer_stop(&w->timer);
    if (w->looking)
        w->freed = true;
    else
        free(w);
}
