/* gateway/start.c -- putting a gateway together, bottom up, and taking it apart
 *
 * Order: everything that can be wrong with the configuration or the machine is found before the first byte is served: addresses and ports first, then what
 * serves on the control loop, then one loop thread after another; the workers of the command line register last, in the background.
 */
#include <netdb.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/budget.h"
#include "base/file.h"
#include "base/log.h"
#include "gateway/gateway_internal.h"
#include "loop/priority.h"

#define TARGET        "smg::gateway"
#define RECLAIM_MS    100 /* retired snapshots are looked at this often; they are small */
#define LOG_FLUSH_MS  50
#define CONNECT_MS    10000
#define JOBS_MAX      1000
#define CONTROL_INDEX 0

/* Names resolve once at start, blocking: before any loop runs. */
static int listen_address(struct str host, uint16_t port, const char *what, struct net_address *ret, struct err *err)
{
    struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE }, *found = NULL;
    char name[256];

    if (net_address_parse(host, port, ret) == 0)
        return 0;
    if (host.n >= sizeof name)
        return err_set(err, ERR_INVALID, "%s: the host name is too long", what);
    memcpy(name, host.p, host.n);
    name[host.n] = 0;
    if (getaddrinfo(name, NULL, &hints, &found) != 0 || !found)
        return err_set(err, ERR_INVALID,
                       "%s: \"%s\" is not an IP address and no name that resolves; write an address such as 0.0.0.0 or ::", what,
                       name);
    memcpy(&ret->ss, found->ai_addr, found->ai_addrlen);
    if (found->ai_family == AF_INET6)
        ((struct sockaddr_in6 *)&ret->ss)->sin6_port = htons(port);
    else
        ((struct sockaddr_in *)&ret->ss)->sin_port = htons(port);
    freeaddrinfo(found);
    return 0;
}

/* Cores that the affinity mask and the cgroup's quota leave us, rounded up. */
static unsigned cpu_quota(void)
{
    cpu_set_t set;
    unsigned n = 1;
    struct buf text = { 0 };
    unsigned long long quota, period;

    if (sched_getaffinity(0, sizeof set, &set) == 0)
        n = (unsigned)CPU_COUNT(&set);
    if (file_read("/sys/fs/cgroup/cpu.max", 128, &text, NULL) == 0) {
        buf_put_char(&text, 0);
        if (!text.failed && sscanf(text.p, "%llu %llu", &quota, &period) == 2 && period > 0)
            n = MIN(n, (unsigned)((quota + period - 1) / period));
    }
    buf_fini(&text);
    return MAX(1u, MIN(n, LOOP_MAX - 1u));
}

/* The cgroup's limit, of which a fifth stays free for what the budget does not count; none when there is no limit. */
static size_t memory_limit(const struct launch_config *c)
{
    uint64_t limit;

    if (c->memory_limit_bytes)
        return c->memory_limit_bytes;
    if (file_read_u64("/sys/fs/cgroup/memory.max", &limit) == 0 ||
        file_read_u64("/sys/fs/cgroup/memory/memory.limit_in_bytes", &limit) == 0)
        return limit > (1ull << 50) ? 0 : (size_t)(limit / 5 * 4);
    return 0;
}

static void raise_file_limit(void)
{
    struct rlimit l;

    if (getrlimit(RLIMIT_NOFILE, &l) != 0 || l.rlim_cur == l.rlim_max)
        return;
    l.rlim_cur = l.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &l) == 0)
        log_info(TARGET, "raised the limit of open files", LF_UINT("limit", l.rlim_cur));
}

static void reclaim_snapshots(struct timer *t)
{
    struct gateway *g = CONTAINER_OF(t, struct gateway, reclaim);

    snapshot_reclaim();
    timer_start(g->control, t, RECLAIM_MS, reclaim_snapshots);
}

static void flush_control_log(struct timer *t)
{
    log_flush();
    timer_start(CONTAINER_OF(t, struct gateway, flush_log)->control, t, LOG_FLUSH_MS, flush_control_log);
}

static void flush_thread_log(struct timer *t)
{
    log_flush();
    timer_start(CONTAINER_OF(t, struct gateway_thread, flush_log)->loop, t, LOG_FLUSH_MS, flush_thread_log);
}

/* ---- the control loop ---- */

/* "alias=canonical" strings into the registry's pairs, without the blanks that the option's check allows. */
static int split_aliases(const struct launch_config *c, struct arena *arena, struct str **ret)
{
    struct str *pairs = arena_array(arena, c->model_aliases.n * 2 + 1, sizeof(*pairs));

    if (!pairs)
        return ERR_NOMEM;
    for (size_t i = 0; i < c->model_aliases.n; i++)
        (void)str_split(c->model_aliases.items[i], '=', &pairs[2 * i], &pairs[2 * i + 1]); /* the option's check saw the "=" */
    for (size_t i = 0; i < 2 * c->model_aliases.n; i++)
        pairs[i] = str_trim(pairs[i]);
    *ret = pairs;
    return 0;
}

static void on_loads(void *arg)
{
    struct gateway *g = arg;

    if (g->dp_ranks)
        dp_ranks_follow(g->dp_ranks, g->load_monitor);
}

void gateway_loads_wanted(struct gateway *g)
{
    const struct launch_config *c = g->config;

    load_monitor_want(g->load_monitor, policy_set_wants_loads(g->policies) || c->engine_metrics || c->dp_minimum_tokens_scheduler);
}

static int make_load_monitor(struct gateway *g, struct err *err)
{
    const struct launch_config *c = g->config;

    g->load_monitor = load_monitor_new(g->control, g->client, g->registry, c->load_monitor_interval_s);
    if (!g->load_monitor || (c->dp_minimum_tokens_scheduler && dp_ranks_new(&g->dp_ranks) < 0))
        return err_set(err, ERR_NOMEM, "out of memory");
    load_monitor_on_told(g->load_monitor, on_loads, g);
    gateway_loads_wanted(g);
    return 0;
}

static int make_registry(struct gateway *g, struct err *err)
{
    const struct launch_config *c = g->config;
    struct registry_conf conf = {
        .health = { .timeout_s = c->health_check_timeout_s,
                    .interval_s = c->health_check_interval_s,
                    .success_threshold = c->health_success_threshold,
                    .failure_threshold = c->health_failure_threshold,
                    .drain_settle_s = c->drain_settle_s,
                    .disabled = c->disable_health_check },
        .breaker = { .failure_threshold = c->cb_failure_threshold,
                     .success_threshold = c->cb_success_threshold,
                     .timeout_ms = c->cb_timeout_duration_s * 1000ull,
                     .window_ms = c->cb_window_duration_s * 1000ull,
                     .disabled = c->disable_circuit_breaker },
        .health_endpoint = c->health_check_endpoint,
        .remove_unhealthy = c->remove_unhealthy_workers,
        .startup_timeout_s = c->worker_startup_timeout_s,
        .startup_check_interval_s = c->worker_startup_check_interval_s,
        .startup_delay_s = c->worker_startup_delay_s,
        .jobs_max = JOBS_MAX,
        .dp_aware = c->dp_aware,
        .aliases_n = c->model_aliases.n,
    };
    struct str *pairs;

    if (split_aliases(c, &g->arena, &pairs) < 0 ||
        http_client_new(g->control, &(struct http_client_conf){ .tls = g->tls_client }, &g->client) < 0)
        return err_set(err, ERR_NOMEM, "out of memory");
    conf.aliases = pairs;
    conf.store = gateway_state_store(g->state);
    if (registry_new(g->control, g->client, &conf, &g->registry) < 0)
        return err_set(err, ERR_NOMEM, "out of memory");
    g->admin_policies.registry = g->registry;
    registry_subscribe(g->registry, gateway_on_registry, g);
    if (policy_set_make_rings(g->policies, g->registry) < 0)
        return err_set(err, ERR_NOMEM, "out of memory");
    return make_load_monitor(g, err);
}

/* A server of the control loop: metrics or probes. They have no filters (spec operations 13: no request id, CORS, metrics or log). */
static int serve_on_control(struct gateway *g, const struct route *routes, size_t routes_n, const struct net_address *address,
                            struct router **ret_router, struct http_server **ret, struct err *err)
{
    struct http_server_conf conf = { .contexts = g->control_contexts, .max_body_bytes = 64 * 1024 };
    int r = router_new(routes, routes_n, ret_router, err);

    if (r < 0)
        return r;
    conf.router = *ret_router;
    r = http_server_new(g->control, &conf, ret);
    if (r < 0)
        return err_set(err, r, "out of memory");
    return http_server_listen(*ret, address, LISTENER_ALONE, /* ret_port= */ NULL, err);
}

static int start_control(struct gateway *g, struct err *err)
{
    const struct launch_config *c = g->config;
    struct net_address metrics, probes;
    int r = loop_new("control", CONTROL_INDEX, &g->control, err);

    if (r < 0)
        return r;
    for (unsigned i = 0; i < CONTEXT_COUNT; i++)
        g->control_contexts[i] = g;
    r = listen_address(c->prometheus_host, c->prometheus_port, "--prometheus-host", &metrics, err);
    if (r == 0)
        r = serve_on_control(g, METRICS_ROUTES, METRICS_ROUTES_N, &metrics, &g->metrics_router, &g->metrics_server, err);
    if (r < 0)
        return err_wrap(err, r, "metrics listener");
    if (c->health_check_port) {
        r = listen_address(c->host, c->health_check_port, "--host", &probes, err);
        if (r == 0)
            r = serve_on_control(g, PROBE_ROUTES, PROBE_ROUTES_N, &probes, &g->probe_router, &g->probe_server, err);
        if (r < 0)
            return err_wrap(err, r, "probe listener");
    }
    if (c->state_dir.n) {
        r = gateway_state_open(c->state_dir, g->control, &g->state, err);
        if (r < 0)
            return r;
    }
    r = gateway_make_tokenizers(g, err);
    if (r == 0)
        r = gateway_make_plugins(g, err);
    if (r == 0)
        r = gateway_make_policies(g, err);
    if (r == 0)
        r = make_registry(g, err);
    if (r < 0)
        return r;
    r = gateway_watch_tls(g, err);
    if (r < 0)
        return r;
    admission_start(g->admission, g->control);
    timer_start(g->control, &g->reclaim, RECLAIM_MS, reclaim_snapshots);
    timer_start(g->control, &g->flush_log, LOG_FLUSH_MS, flush_control_log);
    return gateway_watch_signals(g, err);
}

/* ---- the loop threads ---- */

static int make_thread(struct gateway *g, unsigned index, const struct net_address *address, struct err *err)
{
    struct gateway_thread *t = &g->threads[index];
    const struct launch_config *c = g->config;
    struct dispatcher_conf dispatch = { .connect_ms = CONNECT_MS,
                                        .head_ms = c->request_timeout_s * 1000,
                                        .idle_ms = c->request_timeout_s * 1000,
                                        .pairs = c->pd_disaggregation,
                                        .by_model = c->enable_igw,
                                        .dp_ranks = g->dp_ranks };
    struct http_server_conf server = { .router = g->router,
                                       .filters = GATEWAY_FILTERS,
                                       .filters_n = GATEWAY_FILTERS_N,
                                       .contexts = t->contexts,
                                       .max_body_bytes = c->max_payload_size_bytes,
                                       .tls = g->tls_server };
    int r;

    t->gateway = g;
    gateway_retry_conf(c, &dispatch.retry);
    snprintf(t->name, sizeof t->name, "loop %u", index);
    r = loop_new(t->name, CONTROL_INDEX + 1 + index, &t->loop, err);
    if (r < 0)
        return r;
    if (http_client_new(t->loop, &(struct http_client_conf){ .tls = g->tls_client }, &t->client) < 0 ||
        dispatcher_new(t->loop, t->client, g->registry, g->policies, &dispatch, &t->dispatcher) < 0)
        return err_set(err, ERR_NOMEM, "out of memory");
    fanouts_init(&t->fanouts, t->loop, t->client, g->registry);
    inference_init(&t->inference, t->loop, t->dispatcher, &t->fanouts);
    t->inference.parsing = g->parsing;
    t->inference.pool = g->encoders;
    t->admin = (struct admin){ .registry = g->registry, .fanouts = &t->fanouts, .gateway_has_key = c->api_key.n > 0 };
    admin_tokenizers_init(&t->tokenizers, g->catalog, g->registry, g->encoders);
    admin_parse_init(&t->parse, g->encoders);
    gateway_init_plugin_filter(t);
    observe_requests_init(&t->observe, t->loop);
    if (auth_thread_init(&t->auth, g->auth, t->loop) < 0 || admission_thread_init(&t->admission, g->admission, t->loop) < 0)
        return err_set(err, ERR_NOMEM, "out of memory");
    t->contexts[CONTEXT_GATEWAY] = g;
    t->contexts[CONTEXT_INFERENCE] = &t->inference;
    t->contexts[CONTEXT_ADMIN] = &t->admin;
    t->contexts[CONTEXT_POLICIES] = &g->admin_policies;
    t->contexts[CONTEXT_TOKENIZERS] = &t->tokenizers;
    t->contexts[CONTEXT_PARSE] = &t->parse;
    t->contexts[CONTEXT_CORS] = &g->cors;
    t->contexts[CONTEXT_REQUEST_ID] = &g->request_id;
    t->contexts[CONTEXT_OBSERVE] = &t->observe;
    t->contexts[CONTEXT_AUTH] = &t->auth;
    t->contexts[CONTEXT_ADMISSION] = &t->admission;
    t->contexts[CONTEXT_PLUGINS] = &t->plugins;
    t->contexts[CONTEXT_WASM] = &g->admin_wasm;
    r = http_server_new(t->loop, &server, &t->server);
    if (r < 0)
        return err_set(err, r, "out of memory");
    timer_start(t->loop, &t->flush_log, LOG_FLUSH_MS, flush_thread_log);
    return http_server_listen(t->server, address, LISTENER_SHARED, /* ret_port= */ NULL, err);
}

unsigned gateway_loops(const struct gateway *g)
{
    return g->config->runtime_worker_threads ? MIN(g->config->runtime_worker_threads, LOOP_MAX - 1u) : g->cpus;
}

static int make_threads(struct gateway *g, struct err *err)
{
    const struct launch_config *c = g->config;
    unsigned n = gateway_loops(g);
    struct net_address address;
    int r = listen_address(c->host, c->port, "--host", &address, err);

    if (r < 0)
        return r;
    r = net_port_probe(&address, err);
    if (r < 0)
        return r;
    g->threads = calloc(n, sizeof(*g->threads));
    if (!g->threads)
        return err_set(err, ERR_NOMEM, "out of memory");
    for (g->threads_n = 0; g->threads_n < n; g->threads_n++) {
        r = make_thread(g, g->threads_n, &address, err);
        if (r < 0) {
            g->threads_n++; /* the half-made one is taken apart with the others */
            return r;
        }
    }
    return 0;
}

static int start_threads(struct gateway *g, struct err *err)
{
    for (unsigned i = 0; i < g->threads_n; i++) {
        int r = loop_start_thread(g->threads[i].loop, err);

        if (r < 0)
            return r;
    }
    return 0;
}

static int add_urls(struct gateway *g, const struct option_list *urls, enum worker_type type, struct err *err)
{
    for (size_t i = 0; i < urls->n; i++) {
        int r = registry_add_startup(g->registry,
                                     &(struct registry_startup){ .url = urls->items[i], .type = type, .bootstrap_port = -1 }, err);

        if (r < 0)
            return r;
    }
    return 0;
}

static int add_endpoints(struct gateway *g, const struct option_endpoints *list, enum worker_type type, struct err *err)
{
    for (size_t i = 0; i < list->n; i++) {
        int r = registry_add_startup(
            g->registry,
            &(struct registry_startup){ .url = list->items[i].url, .type = type, .bootstrap_port = list->items[i].port }, err);

        if (r < 0)
            return r;
    }
    return 0;
}

static int add_startup_workers(struct gateway *g, struct err *err)
{
    const struct launch_config *c = g->config;
    int r = 0;

    gateway_load_tokenizers(g);
    gateway_state_restore(g->state, g->registry);
    if (!c->pd_disaggregation && !c->epd_disaggregation)
        return add_urls(g, &c->worker_urls, WORKER_REGULAR, err);
    if (c->epd_disaggregation)
        r = add_endpoints(g, &c->encode, WORKER_ENCODE, err);
    if (r == 0)
        r = add_endpoints(g, &c->prefill, WORKER_PREFILL, err);
    return r < 0 ? r : add_urls(g, &c->decode, WORKER_DECODE, err);
}

/* ---- the whole ---- */

static int make_auth(struct gateway *g, struct err *err)
{
    const struct launch_config *c = g->config;
    struct auth_conf conf = { .api_key = c->api_key,
                              .tenant_keys = c->tenant_api_keys.items,
                              .tenant_keys_n = c->tenant_api_keys.n,
                              .control_keys = c->control_plane_api_keys.items,
                              .control_keys_n = c->control_plane_api_keys.n,
                              .control_keys_file = c->control_plane_api_keys_file,
                              .jwt_issuer = c->jwt_issuer,
                              .jwt_audience = c->jwt_audience,
                              .jwt_jwks_uri = c->jwt_jwks_uri,
                              .jwt_role_claim = c->jwt_role_claim,
                              .role_mapping = c->jwt_role_mapping.items,
                              .role_mapping_n = c->jwt_role_mapping.n,
                              .jwt_ca_file = c->jwt_ca_cert,
                              .jwt_allow_private = c->jwt_allow_private_issuer,
                              .audit = !c->disable_audit_logging };

    return auth_new(&conf, &g->auth, err);
}

static int make_shared(struct gateway *g, struct err *err)
{
    const struct launch_config *c = g->config;
    int r;

    g->cors = (struct cors){ .origins = c->cors_allowed_origins.items, .n = c->cors_allowed_origins.n };
    g->request_id = (struct request_id_conf){ .headers = c->request_id_headers.items, .n = c->request_id_headers.n };
    r = gateway_make_parsing(g, err);
    if (r < 0)
        return r;
    r = make_auth(g, err);
    if (r < 0)
        return r;
    r = gateway_make_limits(g, err);
    if (r < 0)
        return r;
    if (c->prometheus_duration_buckets.n &&
        metrics_set_duration_bounds(c->prometheus_duration_buckets.items, c->prometheus_duration_buckets.n) < 0)
        return err_set(err, ERR_INVALID, "--prometheus-duration-buckets: at most %d buckets", METRIC_BUCKETS_MAX);
    openapi_write(&g->openapi, GATEWAY_ROUTES, GATEWAY_ROUTES_N);
    if (g->openapi.failed)
        return err_set(err, ERR_NOMEM, "out of memory");
    return router_new(GATEWAY_ROUTES, GATEWAY_ROUTES_N, &g->router, err);
}

/* Frees what a failed or finished gateway holds; no thread runs any more. */
static void take_apart(struct gateway *g)
{
    gateway_free_tokenizers(g);
    gateway_free_plugins(g);
    for (unsigned i = 0; i < g->threads_n; i++) {
        dispatcher_free(g->threads[i].dispatcher);
        inference_fini(&g->threads[i].inference);
        auth_thread_fini(&g->threads[i].auth);
        admission_thread_fini(&g->threads[i].admission);
        loop_free(g->threads[i].loop);
    }
    free(g->threads);
    gateway_state_free(g->state);
    load_monitor_free(g->load_monitor);
    dp_ranks_free(g->dp_ranks);
    registry_free(g->registry);
    policy_set_free(g->policies);
    router_free(g->router);
    router_free(g->metrics_router);
    router_free(g->probe_router);
    auth_free(g->auth);
    admission_free(g->admission);
    loop_free(g->control);
    buf_fini(&g->openapi);
    gateway_free_tls(g);
    arena_fini(&g->arena);
    arena_fini(&g->running_arena);
}

/* After a failed start: what was opened on the loops is closed by letting each run to its end once. */
static void give_up(struct gateway *g)
{
    for (unsigned i = 0; i < g->threads_n; i++) {
        if (!g->threads[i].loop)
            continue;
        g->threads[i].close.run = gateway_thread_on_close;
        loop_post(g->threads[i].loop, &g->threads[i].close);
        if (g->threads[i].loop->thread_started) /* another thread could not be: this one ends by itself */
            loop_join(g->threads[i].loop);
        else
            loop_run(g->threads[i].loop);
    }
    if (g->control) {
        gateway_close_control(g);
        loop_run(g->control);
    }
    take_apart(g);
}

int gateway_run(const struct launch_config *config, const struct gateway_source *source, struct err *err)
{
    struct gateway g = { .config = config, .source = source, .running = *config, .encoders_n = cpu_quota() };
    int r;

    g.cpus = g.encoders_n;
    arena_init(&g.arena, /* cache= */ NULL, /* max_bytes= */ 0);
    arena_init(&g.running_arena, /* cache= */ NULL, /* max_bytes= */ 0);
    budget_set_limit(memory_limit(config));
    raise_file_limit();
    r = make_shared(&g, err);
    if (r == 0)
        r = gateway_make_tls(&g, err);
    if (r == 0)
        r = start_control(&g, err);
    if (r == 0)
        r = make_threads(&g, err);
    if (r == 0)
        r = auth_start(g.auth, g.control,
                       err); /* may ask the identity provider and wait for it: everything else that can fail has been tried */
    if (r == 0)
        r = add_startup_workers(&g, err);
    if (r == 0)
        r = start_threads(&g, err);
    if (r < 0) {
        give_up(&g);
        return r;
    }
    log_info(TARGET, "listening", LF_STR("host", config->host), LF_UINT("port", config->port), LF_BOOL("tls", g.tls_server != NULL),
             LF_UINT("loops", g.threads_n), LF_CSTR("policy", launch_policy_name(config->policy)),
             LF_UINT("workers", config->worker_urls.n + config->prefill.n + config->decode.n));
    /* This thread alone, since the others have begun: where cores are scarce, registrations and health checks stand back behind requests. */
    priority_stands_back();
    loop_run(g.control);
    for (unsigned i = 0; i < g.threads_n; i++)
        loop_join(g.threads[i].loop);
    log_info(TARGET, "Cleanup complete. Process exiting.");
    take_apart(&g);
    return 0;
}
