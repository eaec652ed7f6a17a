/* gateway/collect.c -- gauges that are read from live state when somebody scrapes, so that a removed worker's series ends with it
 *
 * Runs on the control thread: the registry's table may be read like on any loop; a thread's server and client counters are plain words that their own thread writes:
 * only the loop's atomics are read here.
 */
#include <stdio.h>

#include "base/budget.h"
#include "base/file.h"
#include "base/log.h"
#include "gateway/gateway_internal.h"
#include "routing/cache_aware.h"

static void collect_workers(struct prometheus_writer *w, const struct worker_table *t)
{
    prometheus_family(w, "smg_worker_health", METRIC_GAUGE, "Worker health status (1=healthy, 0=unhealthy)");
    for (size_t i = 0; i < t->n; i++)
        prometheus_sample(w, &(struct prometheus_label){ "worker", t->workers[i]->spec.url }, 1, worker_is_ready(t->workers[i]));
    prometheus_family(w, "smg_worker_requests_active", METRIC_GAUGE, "Requests in flight per worker");
    for (size_t i = 0; i < t->n; i++)
        prometheus_sample(w, &(struct prometheus_label){ "worker", t->workers[i]->spec.url }, 1,
                          (double)worker_load(t->workers[i]));
    prometheus_family(w, "smg_worker_routing_keys_active", METRIC_GAUGE, "Distinct routing keys in flight per worker");
    for (size_t i = 0; i < t->n; i++)
        prometheus_sample(w, &(struct prometheus_label){ "worker", t->workers[i]->spec.url }, 1,
                          (double)atomic_load_explicit(&t->workers[i]->live->routing_keys, memory_order_relaxed));
}

static void collect_sticky(struct prometheus_writer *w, const struct policy_set *s)
{
    prometheus_family(w, "smg_manual_policy_cache_entries", METRIC_GAUGE, "Sessions that sticky policies remember");
    prometheus_sample(w, NULL, 0, (double)policy_set_sticky_entries(s));
}

/* Ours; `smg top` makes its rates of them. Time over requests that ended is their mean duration. */
static void collect_traffic(struct prometheus_writer *w, const struct worker_table *t)
{
    prometheus_family(w, "smg_worker_requests_total", METRIC_COUNTER, "Requests given to each worker, those in flight included");
    for (size_t i = 0; i < t->n; i++)
        prometheus_sample(w, &(struct prometheus_label){ "worker", t->workers[i]->spec.url }, 1,
                          (double)atomic_load_explicit(&t->workers[i]->live->processed, memory_order_relaxed));
    prometheus_family(w, "smg_worker_failures_total", METRIC_COUNTER, "Attempts that broke off or were answered with a 5xx status");
    for (size_t i = 0; i < t->n; i++)
        prometheus_sample(w, &(struct prometheus_label){ "worker", t->workers[i]->spec.url }, 1,
                          (double)atomic_load_explicit(&t->workers[i]->live->failures, memory_order_relaxed));
    prometheus_family(w, "smg_worker_request_seconds_total", METRIC_COUNTER, "Time that ended requests spent with each worker");
    for (size_t i = 0; i < t->n; i++)
        prometheus_sample(w, &(struct prometheus_label){ "worker", t->workers[i]->spec.url }, 1,
                          (double)atomic_load_explicit(&t->workers[i]->live->busy_us, memory_order_relaxed) / 1e6);
}

/* ---- circuit breakers ---- */

static void sample_view(struct prometheus_writer *w, const struct worker_table *t, const char *name, const char *help,
                        double (*value)(const struct breaker_view *v))
{
    prometheus_family(w, name, METRIC_GAUGE, help);
    for (size_t i = 0; i < t->n; i++) {
        struct breaker_view v = breaker_view(&t->workers[i]->live->breaker);

        prometheus_sample(w, &(struct prometheus_label){ "worker", t->workers[i]->spec.url }, 1, value(&v));
    }
}

static double state_of(const struct breaker_view *v)
{
    return v->state;
}

static double failures_of(const struct breaker_view *v)
{
    return v->failures;
}

static double successes_of(const struct breaker_view *v)
{
    return v->successes;
}

static void sample_outcomes(struct prometheus_writer *w, const struct worker *worker)
{
    const struct breaker *b = &worker->live->breaker;
    struct prometheus_label labels[] = { { "worker", worker->spec.url }, { "outcome", STR("success") } };

    prometheus_sample(w, labels, ARRAY_LEN(labels), (double)atomic_load_explicit(&b->successes, memory_order_relaxed));
    labels[1].value = STR("failure");
    prometheus_sample(w, labels, ARRAY_LEN(labels), (double)atomic_load_explicit(&b->failures, memory_order_relaxed));
}

static void sample_transitions(struct prometheus_writer *w, const struct worker *worker)
{
    for (enum breaker_state from = 0; from < BREAKER_STATES; from++)
        for (enum breaker_state to = 0; to < BREAKER_STATES; to++) {
            uint32_t n = atomic_load_explicit(&worker->live->breaker.transitions[from][to], memory_order_relaxed);
            struct prometheus_label labels[] = { { "worker", worker->spec.url },
                                                 { "from", breaker_state_text(from) },
                                                 { "to", breaker_state_text(to) } };

            if (n)
                prometheus_sample(w, labels, ARRAY_LEN(labels), n);
        }
}

static void collect_breakers(struct prometheus_writer *w, const struct worker_table *t)
{
    sample_view(w, t, "smg_worker_cb_state", "Circuit breaker: 0 closed, 1 open, 2 half-open", state_of);
    sample_view(w, t, "smg_worker_cb_consecutive_failures", "Failures in a row", failures_of);
    sample_view(w, t, "smg_worker_cb_consecutive_successes", "Successes in a row", successes_of);
    prometheus_family(w, "smg_worker_cb_outcomes_total", METRIC_COUNTER, "Attempts that counted for or against a worker");
    for (size_t i = 0; i < t->n; i++)
        sample_outcomes(w, t->workers[i]);
    prometheus_family(w, "smg_worker_cb_transitions_total", METRIC_COUNTER, "Changes of a circuit breaker's state");
    for (size_t i = 0; i < t->n; i++)
        sample_transitions(w, t->workers[i]);
}

#define TYPES (WORKER_ENCODE + 1)
#define MODES (WORKER_ZMQ + 1)

static void collect_pool(struct prometheus_writer *w, const struct worker_model *m, struct str name)
{
    unsigned counts[TYPES][MODES] = { 0 };

    for (size_t i = 0; i < m->n; i++)
        counts[m->workers[i]->spec.type][m->workers[i]->spec.mode]++;
    for (unsigned type = 0; type < TYPES; type++)
        for (unsigned mode = 0; mode < MODES; mode++) {
            struct prometheus_label labels[] = { { "worker_type", worker_type_text((enum worker_type)type) },
                                                 { "connection_mode", worker_mode_text((enum worker_mode)mode) },
                                                 { "model", name } };

            if (counts[type][mode]) /* series end with their last worker */
                prometheus_sample(w, labels, ARRAY_LEN(labels), counts[type][mode]);
        }
}

static void collect_pools(struct prometheus_writer *w, const struct worker_table *t)
{
    prometheus_family(w, "smg_worker_pool_size", METRIC_GAUGE, "Registered workers per type, connection and model");
    for (size_t i = 0; i < t->models_n; i++)
        collect_pool(w, &t->models[i], t->models[i].id);
    collect_pool(w, &t->wildcard, STR("unknown")); /* those that serve any name */
}

/* ---- --engine-metrics: what the engines said last (spec operations 8.6) ---- */

struct engine_gauge {
    const char *name, *help;
    double (*value)(const struct engine_load *l);
    unsigned has; /* enum engine_load_has; 0 = every engine tells it */
};

#define ENGINE_GAUGE(fn, member)                  \
    static double fn(const struct engine_load *l) \
    {                                             \
        return (double)l->member;                 \
    }
ENGINE_GAUGE(running_of, running)
ENGINE_GAUGE(waiting_of, waiting)
ENGINE_GAUGE(usage_of, token_usage)
ENGINE_GAUGE(throughput_of, gen_throughput)
ENGINE_GAUGE(hit_rate_of, cache_hit_rate)
ENGINE_GAUGE(latency_of, kv_transfer_latency_ms)
ENGINE_GAUGE(speed_of, kv_transfer_speed_gb_s)
ENGINE_GAUGE(prefill_queue_of, prefill_queue_reqs)
ENGINE_GAUGE(decode_queue_of, decode_queue_reqs)

static const struct engine_gauge ENGINE_GAUGES[] = {
    { "smg_engine_running_requests", "Requests that the engine runs", running_of, 0 },
    { "smg_engine_waiting_requests", "Requests that wait in the engine", waiting_of, 0 },
    { "smg_engine_token_usage", "Share of the engine's KV cache that is in use", usage_of, 0 },
    { "smg_engine_gen_throughput", "Tokens that the engine generates per second", throughput_of, 0 },
    { "smg_engine_cache_hit_rate", "Share of prompt tokens found in the engine's prefix cache", hit_rate_of, 0 },
    { "smg_engine_pd_kv_transfer_latency_ms", "KV transfer between prefill and decode", latency_of, LOAD_LATENCY },
    { "smg_engine_pd_kv_transfer_speed_gb_s", "KV transfer between prefill and decode", speed_of, LOAD_SPEED },
    { "smg_engine_pd_prefill_queue_reqs", "Requests that wait for prefill", prefill_queue_of, LOAD_PREFILL_QUEUE },
    { "smg_engine_pd_decode_queue_reqs", "Requests that wait for decode", decode_queue_of, LOAD_DECODE_QUEUE },
};

struct engine_samples {
    struct prometheus_writer *w;
    const struct engine_gauge *gauge;
    bool any; /* the family's head is written */
};

static void sample_rank(struct engine_samples *s, const struct worker *w, const struct engine_load *l)
{
    char rank[24];
    int n = snprintf(rank, sizeof rank, "%lld", (long long)l->dp_rank);
    struct str model = w->spec.models_n ? w->spec.models[0].id : STR("unknown");
    struct prometheus_label labels[] = { { "worker", w->spec.url },
                                         s->gauge->has ? (struct prometheus_label){ "role", str_of(l->disagg_mode) }
                                                       : (struct prometheus_label){ "model", model },
                                         { "dp_rank", { rank, (size_t)n } } };

    if (s->gauge->has && (!(l->has & s->gauge->has) || !(l->has & LOAD_DISAGG_MODE)))
        return;
    if (!s->any)
        prometheus_family(s->w, s->gauge->name, METRIC_GAUGE, s->gauge->help);
    s->any = true;
    prometheus_sample(s->w, labels, ARRAY_LEN(labels), s->gauge->value(l));
}

static void sample_worker(const struct worker *w, const struct worker_loads *l, int rank, void *arg)
{
    for (size_t i = 0; i < l->n; i++)
        if (rank < 0 || l->loads[i].dp_rank == rank)
            sample_rank(arg, w, &l->loads[i]);
}

static void collect_engines(struct prometheus_writer *w, const struct load_monitor *m)
{
    for (size_t i = 0; i < ARRAY_LEN(ENGINE_GAUGES); i++) {
        struct engine_samples s = { .w = w, .gauge = &ENGINE_GAUGES[i] };

        load_monitor_each(m, sample_worker, &s);
    }
}

/* ---- --shadow-policy ---- */

static void sample_count(struct prometheus_writer *w, const char *name, const char *help, const struct policy *p,
                         const _Atomic uint64_t *n)
{
    prometheus_family(w, name, METRIC_COUNTER, help);
    prometheus_sample(w, &(struct prometheus_label){ "policy", str_of(p->ops->name) }, 1,
                      (double)atomic_load_explicit(n, memory_order_relaxed));
}

static void collect_shadow(struct prometheus_writer *w, struct gateway *g, const struct worker_table *t)
{
    const struct policy *p = policy_set_shadow(g->policies, g->control);
    const struct shadow_counts *c = policy_set_shadow_counts(g->policies);

    if (!p)
        return;
    sample_count(w, "smg_shadow_decisions_total", "Choices of the shadow policy", p, &c->decisions);
    sample_count(w, "smg_shadow_agreed_total", "Choices of the shadow policy that were those of the serving one", p, &c->agreed);
    sample_count(w, "smg_shadow_prompt_bytes_total", "Bytes of prompts that the shadow policy looked at", p, &c->prompt);
    sample_count(w, "smg_shadow_matched_bytes_total", "Of them those that it expected in the cache of its worker", p, &c->matched);
    sample_count(w, "smg_shadow_served_matched_bytes_total",
                 "Of them those that the serving policy expected in the cache of its own", p, &c->served_matched);
    sample_count(w, "smg_shadow_load_met_total", "Sum of the loads that requests would have met on the shadow's workers", p,
                 &c->load_met);
    sample_count(w, "smg_shadow_served_load_met_total", "Sum of the loads that they met where they were served", p,
                 &c->served_load_met);
    prometheus_family(w, "smg_shadow_load_spread", METRIC_GAUGE,
                      "Largest less smallest load of the workers, had the shadow served");
    prometheus_sample(w, &(struct prometheus_label){ "policy", str_of(p->ops->name) }, 1,
                      (double)policy_load_spread(t, /* shadow= */ true));
    prometheus_family(w, "smg_shadow_served_load_spread", METRIC_GAUGE, "Largest less smallest load of the workers, as served");
    prometheus_sample(w, &(struct prometheus_label){ "policy", str_of(p->ops->name) }, 1,
                      (double)policy_load_spread(t, /* shadow= */ false));
}

static void collect_loops(struct prometheus_writer *w, struct gateway *g)
{
    char index[16];
    struct loop_turn_stats s;

    prometheus_family(w, "smg_tokio_workers", METRIC_GAUGE, "Event loop threads");
    prometheus_sample(w, NULL, 0, g->threads_n);
    prometheus_family(w, "smg_tokio_event_loop_stalls_total", METRIC_COUNTER, "Turns of an event loop that took longer than 50 ms");
    for (unsigned i = 0; i < g->threads_n; i++) {
        int n = snprintf(index, sizeof index, "%u", i);

        loop_turn_stats(g->threads[i].loop, &s);
        prometheus_sample(w, &(struct prometheus_label){ "worker", { index, (size_t)n } }, 1, (double)s.stalls);
    }
}

static void collect_process(struct prometheus_writer *w)
{
    struct buf statm = { 0 };
    unsigned long long pages = 0, resident = 0;

    if (file_read("/proc/self/statm", 256, &statm, NULL) == 0) {
        buf_put_char(&statm, 0);
        if (!statm.failed && sscanf(statm.p, "%llu %llu", &pages, &resident) == 2) {
            prometheus_family(w, "process_resident_memory_bytes", METRIC_GAUGE, "Resident memory size in bytes");
            prometheus_sample(w, NULL, 0, (double)resident * 4096);
        }
    }
    buf_fini(&statm);
    prometheus_family(w, "smg_memory_budget_used_bytes", METRIC_GAUGE, "Bytes of the memory budget in use");
    prometheus_sample(w, NULL, 0, (double)budget_used());
    prometheus_family(w, "smg_memory_budget_refusals_total", METRIC_COUNTER, "Requests for memory that the budget refused");
    prometheus_sample(w, NULL, 0, (double)budget_refusals());
    prometheus_family(w, "smg_log_lines_dropped_total", METRIC_COUNTER, "Log lines lost because the output was too slow");
    prometheus_sample(w, NULL, 0, (double)log_dropped());
}

/* ---- admission (spec operations 8.8, and ours) ---- */

static void sample_classes(struct prometheus_writer *w, const double values[CLASSES])
{
    for (int c = CLASS_SYSTEM; c >= CLASS_BULK; c--)
        prometheus_sample(w, &(struct prometheus_label){ "class", sched_class_name((enum sched_class)c) }, 1, values[c]);
}

static void collect_scheduler(struct prometheus_writer *w, const struct scheduler_state *s)
{
    double inflight[CLASSES], queued[CLASSES], limit[CLASSES], pressure[CLASSES], all = 0;

    for (int c = 0; c < CLASSES; c++) {
        uint32_t usable = s->classes[c].inflight + s->classes[c].headroom;

        inflight[c] = s->classes[c].inflight;
        queued[c] = s->classes[c].queued;
        limit[c] = s->classes[c].queue_size;
        pressure[c] = usable ? inflight[c] / usable : 1;
        all += inflight[c];
    }
    prometheus_family(w, "smg_scheduler_inflight", METRIC_GAUGE, "Requests that hold a slot");
    sample_classes(w, inflight);
    prometheus_family(w, "smg_scheduler_queue_depth", METRIC_GAUGE, "Requests that wait for a slot");
    sample_classes(w, queued);
    prometheus_family(w, "smg_scheduler_queue_size_limit", METRIC_GAUGE, "Requests that may wait for a slot");
    sample_classes(w, limit);
    prometheus_family(w, "smg_scheduler_class_capacity_pressure", METRIC_GAUGE,
                      "Share of the slots that the class has or could have now which it has");
    sample_classes(w, pressure);
    prometheus_family(w, "smg_scheduler_utilization", METRIC_GAUGE, "Share of all slots in use");
    prometheus_sample(w, NULL, 0, s->capacity ? all / s->capacity : 1);
    prometheus_family(w, "smg_scheduler_capacity", METRIC_GAUGE, "Slots");
    prometheus_sample(w, NULL, 0, s->capacity);
}

static void collect_admission(struct prometheus_writer *w, struct admission *a)
{
    struct admission_stats s;

    admission_stats(a, &s);
    if (s.has_scheduler) {
        collect_scheduler(w, &s.scheduler);
    } else {
        prometheus_family(w, "smg_admission_inflight", METRIC_GAUGE, "Inference requests that were admitted and run");
        prometheus_sample(w, NULL, 0, s.permits.in_use);
        prometheus_family(w, "smg_admission_queue_depth", METRIC_GAUGE, "Inference requests that wait to be admitted");
        prometheus_sample(w, NULL, 0, s.permits.waiting);
    }
    if (s.has_tenant_limits) {
        prometheus_family(w, "smg_tenant_limit_tenants", METRIC_GAUGE, "Tenants whose use is kept");
        prometheus_sample(w, NULL, 0, (double)s.tenants);
        prometheus_family(w, "smg_tenant_limit_forgotten_total", METRIC_COUNTER, "Tenants that were forgotten for want of room");
        prometheus_sample(w, NULL, 0, (double)s.tenants_forgotten);
    }
}

/* Only with --state-dir. */
static void collect_state(struct prometheus_writer *w, const struct gateway_state *state)
{
    struct journal_stats s;

    if (!gateway_state_stats(state, &s))
        return;
    prometheus_family(w, "smg_state_entries", METRIC_GAUGE, "Entries of the state directory");
    prometheus_sample(w, NULL, 0, (double)s.entries);
    prometheus_family(w, "smg_state_file_bytes", METRIC_GAUGE, "Length of the state file");
    prometheus_sample(w, NULL, 0, (double)s.file_bytes);
    prometheus_family(w, "smg_state_syncs_total", METRIC_COUNTER, "Commits of the state file that are on the disk");
    prometheus_sample(w, NULL, 0, (double)s.frames);
    prometheus_family(w, "smg_state_failures_total", METRIC_COUNTER, "Commits and rewrites of the state file that failed");
    prometheus_sample(w, NULL, 0, (double)s.failures);
    prometheus_family(w, "smg_state_commit_us", METRIC_GAUGE, "How long commits took since the start, in microseconds");
    prometheus_sample(w, &(struct prometheus_label){ "quantile", STR("0.5") }, 1, (double)s.p50_us);
    prometheus_sample(w, &(struct prometheus_label){ "quantile", STR("0.99") }, 1, (double)s.p99_us);
    prometheus_sample(w, &(struct prometheus_label){ "quantile", STR("1") }, 1, (double)s.max_us);
}

static void collect_tokenizers(struct prometheus_writer *w, const struct tokenizer_table *t)
{
    prometheus_family(w, "smg_tokenizers_loaded", METRIC_GAUGE, "Tokenizers that are loaded");
    prometheus_sample(w, NULL, 0, (double)t->n);
    if (!t->n)
        return;
    prometheus_family(w, "smg_tokenizer_memory_bytes", METRIC_GAUGE,
                      "Memory of each tokenizer, without the caches of its encoders");
    for (size_t i = 0; i < t->n; i++)
        prometheus_sample(w, &(struct prometheus_label){ "tokenizer", t->entries[i]->name }, 1,
                          (double)tokenizer_memory(t->entries[i]->tokenizer));
}

/* Only with --enable-wasm. */
static void collect_plugins(struct prometheus_writer *w, struct gateway *g)
{
    if (!g->plugins)
        return;
    prometheus_family(w, "smg_wasm_modules", METRIC_GAUGE, "Registered plugins");
    prometheus_sample(w, NULL, 0, (double)plugin_registry_table(g->plugins, g->control)->n);
    prometheus_family(w, "smg_wasm_waiting_runs", METRIC_GAUGE, "Requests and replies that wait for a plugin thread");
    prometheus_sample(w, NULL, 0, plugin_threads_waiting(g->plugin_threads));
}

/* ---- the prefix indexes of cache_aware, all models' together ---- */

static void add_index(struct str model, struct policy *p, bool by_operator, void *arg)
{
    struct prefix_index_stats *sum = arg, s;

    (void)model;
    (void)by_operator;
    if (!policy_is_cache_aware(p))
        return;
    cache_aware_stats(p, &s);
    sum->entries += s.entries;
    sum->bytes += s.bytes;
    sum->inserted += s.inserted;
    sum->evicted += s.evicted;
    sum->lookups += s.lookups;
    sum->hits += s.hits;
}

static void collect_prefix_indexes(struct prometheus_writer *w, struct gateway *g)
{
    struct prefix_index_stats s = { 0 };
    struct policy *general = policy_set_find(g->policies, g->control, STR_NONE, POLICY_REGULAR);

    policy_set_each(g->policies, g->control, add_index, &s);
    for (int leg = POLICY_PREFILL; leg < POLICY_LEGS; leg++) {
        struct policy *p = policy_set_find(g->policies, g->control, STR_NONE, (enum policy_leg)leg);

        if (p != general)
            add_index(STR_NONE, p, false, &s);
    }
    if (!s.bytes)
        return;
    prometheus_family(w, "smg_prefix_index_entries", METRIC_GAUGE, "Blocks of prompts that the prefix index knows");
    prometheus_sample(w, NULL, 0, (double)s.entries);
    prometheus_family(w, "smg_prefix_index_bytes", METRIC_GAUGE, "Memory of the prefix index");
    prometheus_sample(w, NULL, 0, (double)s.bytes);
    prometheus_family(w, "smg_prefix_index_inserted_total", METRIC_COUNTER, "Blocks that were new to the prefix index");
    prometheus_sample(w, NULL, 0, (double)s.inserted);
    prometheus_family(w, "smg_prefix_index_evictions_total", METRIC_COUNTER,
                      "Blocks that left the prefix index for age or want of room");
    prometheus_sample(w, NULL, 0, (double)s.evicted);
    prometheus_family(w, "smg_prefix_index_lookups_total", METRIC_COUNTER, "Prompts that were looked up in the prefix index");
    prometheus_sample(w, NULL, 0, (double)s.lookups);
    prometheus_family(w, "smg_prefix_index_hits_total", METRIC_COUNTER,
                      "Prompts that went to a worker that had seen their beginning");
    prometheus_sample(w, NULL, 0, (double)s.hits);
}

void gateway_collect(struct prometheus_writer *w, void *arg)
{
    struct gateway *g = arg;
    const struct worker_table *t = registry_table(g->registry, g->control);

    if (t->n) {
        collect_workers(w, t);
        collect_traffic(w, t);
        collect_breakers(w, t);
        collect_pools(w, t);
    }
    collect_shadow(w, g, t);
    collect_sticky(w, g->policies);
    if (g->config->engine_metrics)
        collect_engines(w, g->load_monitor);
    collect_admission(w, g->admission);
    collect_plugins(w, g);
    collect_tokenizers(w, catalog_table(g->catalog, g->control));
    collect_loops(w, g);
    collect_process(w);
    collect_state(w, g->state);
    collect_prefix_indexes(w, g);
}
