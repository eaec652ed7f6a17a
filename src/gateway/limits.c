/* gateway/limits.c -- how much may run and how often is tried again, from flags and files: at the start, and when the configuration is read again */
#include <stdlib.h>

#include "base/log.h"
#include "gateway/gateway_internal.h"

static void limits_of(const struct launch_config *c, struct admission_limits *ret)
{
    *ret = (struct admission_limits){ .max_concurrent = c->max_concurrent_requests,
                                      .queue_size = c->queue_size,
                                      .queue_timeout_s = (uint32_t)c->queue_timeout_s,
                                      .requests_per_second = c->rate_limit_tokens_per_second };
}

static enum sched_class max_class_of(const struct launch_config *c)
{
    int max_class = sched_class_of(c->priority_scheduler_default_max_class);

    return max_class < 0 ? CLASS_DEFAULT : (enum sched_class)max_class;
}

int gateway_make_limits(struct gateway *g, struct err *err)
{
    const struct launch_config *c = g->config;
    struct admission_conf conf = { .tenant = { .trust_header = c->trust_tenant_header, .header = c->tenant_header_name },
                                   .scheduler = c->priority_scheduler_enabled,
                                   .default_max_class = max_class_of(c),
                                   .scheduler_file = c->priority_scheduler_config,
                                   .tenant_names = c->priority_scheduler_tenant_metric_top_n,
                                   .tenant_limits = c->tenant_rate_limit_enabled,
                                   .tenant_limits_file = c->tenant_rate_limit_config };

    limits_of(c, &conf.limits);
    return admission_new(&conf, &g->admission, err);
}

void gateway_retry_conf(const struct launch_config *c, struct retry_conf *ret)
{
    *ret = (struct retry_conf){ .attempts_max = c->disable_retries ? 1 : c->retry_max_retries,
                                .initial_ms = c->retry_initial_backoff_ms,
                                .max_ms = c->retry_max_backoff_ms,
                                .multiplier = c->retry_backoff_multiplier,
                                .jitter = c->retry_jitter_factor };
}

/* ---- again ---- */

/* The files that the configuration names; only those whose feature is on. On any thread. */
int gateway_limit_files_read(const struct launch_config *c, struct gateway_limit_files *ret, struct err *err)
{
    int r = 0;

    *ret = (struct gateway_limit_files){ 0 };
    if (c->priority_scheduler_enabled)
        r = scheduler_conf_read(c->priority_scheduler_config, max_class_of(c), &ret->scheduler, err);
    if (r == 0 && c->tenant_rate_limit_enabled)
        r = tenant_limits_conf_read(c->tenant_rate_limit_config, c->trust_tenant_header, &ret->tenants, err);
    if (r < 0)
        gateway_limit_files_free(ret);
    return r;
}

void gateway_limit_files_free(struct gateway_limit_files *f)
{
    scheduler_conf_free(STEAL(f->scheduler));
    tenant_limits_conf_free(STEAL(f->tenants));
}

/* To one loop: how often is tried again from now on. */
struct new_retries {
    struct message message;
    struct gateway_thread *thread; /* borrowed: outlives its loop's messages */
    struct retry_conf retry;
};

static void on_new_retries(struct loop *loop, struct message *m)
{
    struct new_retries *n = CONTAINER_OF(m, struct new_retries, message);

    (void)loop;
    dispatcher_set_retry(n->thread->dispatcher, &n->retry);
    free(n);
}

static int tell_retries(struct gateway *g, const struct retry_conf *retry)
{
    for (unsigned i = 0; i < g->threads_n; i++) {
        struct new_retries *n = malloc(sizeof(*n));

        if (!n)
            return ERR_NOMEM;
        n->message.run = on_new_retries;
        n->thread = &g->threads[i];
        n->retry = *retry;
        loop_post(g->threads[i].loop, &n->message);
    }
    return 0;
}

static bool same_retries(const struct retry_conf *a, const struct retry_conf *b)
{
    return a->attempts_max == b->attempts_max && a->initial_ms == b->initial_ms && a->max_ms == b->max_ms &&
           a->multiplier == b->multiplier && a->jitter == b->jitter;
}

/* FILES are taken where their feature is on. */
int gateway_reload_limits(struct gateway *g, const struct launch_config *before, const struct launch_config *now,
                          struct gateway_limit_files *files, struct err *err)
{
    struct retry_conf was, is;
    struct admission_limits limits;
    int r = 0;

    limits_of(now, &limits);
    admission_set_limits(g->admission, &limits);
    if (files->scheduler && admission_set_scheduler(g->admission, files->scheduler) == 0)
        files->scheduler = NULL;
    if (files->tenants && admission_set_tenant_limits(g->admission, files->tenants) == 0)
        files->tenants = NULL;
    gateway_retry_conf(before, &was);
    gateway_retry_conf(now, &is);
    if (!same_retries(&was, &is))
        r = tell_retries(g, &is);
    return r < 0 ? err_set(err, r, "out of memory") : 0;
}
