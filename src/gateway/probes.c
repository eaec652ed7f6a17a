/* gateway/probes.c -- health, readiness and the metrics page (spec operations 13, 8.1) */
#include <stdio.h>

#include "gateway/gateway_internal.h"
#include "http/error.h"

void gateway_alive(struct exchange *ex, void *context)
{
    (void)context;
    exchange_reply(ex, 200, TYPE_TEXT, STR("OK"));
}

/* One ready worker, whatever it serves; with prefill and decode apart one of each, and an encoder where there are some (spec operations 13). */
static bool has_enough(struct gateway *g, struct loop *loop, struct registry_counts counts)
{
    const struct launch_config *c = g->config;
    const struct worker_table *t;
    bool ready[WORKER_ENCODE + 1] = { false };

    if (c->enable_igw || !(c->pd_disaggregation || c->epd_disaggregation))
        return counts.ready > 0;
    t = registry_table(g->registry, loop);
    for (size_t i = 0; i < t->n; i++)
        ready[t->workers[i]->spec.type] |= worker_is_ready(t->workers[i]);
    return ready[WORKER_PREFILL] && ready[WORKER_DECODE] && (!c->epd_disaggregation || ready[WORKER_ENCODE]);
}

void gateway_readiness(struct exchange *ex, void *context)
{
    struct gateway *g = context;
    struct registry_counts counts = registry_counts(g->registry);
    char text[96];
    int n;

    if (atomic_load_explicit(&g->phase, memory_order_relaxed) != GATEWAY_SERVING) {
        exchange_reply(ex, 503, TYPE_JSON, STR("{\"status\":\"not ready\",\"reason\":\"draining\"}"));
        return;
    }
    if (!has_enough(g, ex->loop, counts)) {
        exchange_reply(ex, 503, TYPE_JSON, STR("{\"status\":\"not ready\",\"reason\":\"insufficient healthy workers\"}"));
        return;
    }
    if (!gateway_tokenizers_ready(g, ex->loop)) {
        exchange_reply(ex, 503, TYPE_JSON, STR("{\"status\":\"not ready\",\"reason\":\"tokenizer not yet registered\"}"));
        return;
    }
    n = snprintf(text, sizeof text, "{\"status\":\"ready\",\"healthy_workers\":%u,\"total_workers\":%u}", counts.ready,
                 counts.total);
    exchange_reply(ex, 200, TYPE_JSON, (struct str){ text, (size_t)n });
}

void gateway_metrics(struct exchange *ex, void *context)
{
    struct gateway *g = context;
    struct prometheus_collector collectors[] = { { gateway_collect, g } };
    struct buf out = { 0 };

    prometheus_render(&out, collectors, ARRAY_LEN(collectors));
    if (out.failed)
        http_error(ex, 503, STR("out_of_memory"), STR("The gateway is out of memory for this request"));
    else
        exchange_reply(ex, 200, STR("text/plain; version=0.0.4; charset=utf-8"), buf_str(&out));
    buf_fini(&out);
}
