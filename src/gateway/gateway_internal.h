/* gateway/gateway_internal.h -- what the files of gateway/ share */
#pragma once

#include "admin/admin.h"
#include "admin/parse.h"
#include "admin/policies.h"
#include "admin/tokenizers.h"
#include "admin/wasm.h"
#include "admission/admission.h"
#include "auth/auth.h"
#include "gateway/gateway.h"
#include "gateway/openapi.h"
#include "gateway/state.h"
#include "http/cors.h"
#include "http/request_id.h"
#include "http/server.h"
#include "inference/inference.h"
#include "net/listener.h"
#include "observe/prometheus.h"
#include "observe/requests.h"
#include "plugin/component_engine.h"
#include "plugin/filter.h"
#include "plugin/storage_hook.h"
#include "routing/dp_rank.h"
#include "worker/load_monitor.h"
#include "worker/registry.h"

/* What handlers and filters get: indices into struct gateway_thread.contexts. */
enum gateway_context {
    CONTEXT_GATEWAY,
    CONTEXT_INFERENCE,
    CONTEXT_ADMIN,
    CONTEXT_POLICIES,
    CONTEXT_TOKENIZERS,
    CONTEXT_PARSE,
    CONTEXT_CORS,
    CONTEXT_REQUEST_ID,
    CONTEXT_OBSERVE,
    CONTEXT_AUTH,
    CONTEXT_ADMISSION,
    CONTEXT_PLUGINS,
    CONTEXT_WASM,
    CONTEXT_COUNT
};

enum gateway_phase { GATEWAY_SERVING, GATEWAY_SETTLING, GATEWAY_DRAINING };

/* One loop thread and what runs on it. Fields but `start` and `idle` belong to that thread once it runs. */
struct gateway_thread {
    struct gateway *gateway;
    char name[16];
    struct loop *loop;
    struct http_client *client;
    struct http_server *server;
    struct dispatcher *dispatcher;
    struct fanouts fanouts;
    struct inference inference;
    struct admin admin;
    struct admin_tokenizers tokenizers;
    struct admin_parse parse;
    struct observe_requests observe;
    struct auth_thread auth;
    struct admission_thread admission;
    struct plugin_filter plugins;
    void *contexts[CONTEXT_COUNT];
    struct message drain, close; /* control -> thread */
    struct message idle, closed; /* thread -> control */
    struct timer flush_log;
};

struct gateway {
    const struct launch_config *config; /* as it was started */
    const struct gateway_source *source;
    struct launch_config running; /* with what was reloaded since; control thread */
    struct arena running_arena;   /* owned: the strings of the last reload */
    bool reading, read_again;     /* reload.c */
    _Atomic int phase;            /* enum gateway_phase: written by the control thread, read by probes on any loop */

    struct loop *control;
    struct http_client *client;  /* the control loop's */
    struct gateway_state *state; /* owned; NULL without --state-dir */
    struct registry *registry;
    struct load_monitor *load_monitor; /* owned; idle unless somebody wants loads */
    struct dp_ranks *dp_ranks;         /* owned; NULL without --dp-minimum-tokens-scheduler */
    struct policy_set *policies;       /* owned */
    struct admin_policies admin_policies;
    struct catalog *catalog; /* owned */
    struct hub_config hub;   /* owned: HF_... of the environment */
    struct pool *encoders;   /* owned: what is too long to be tokenized or parsed in a loop's turn */
    unsigned encoders_n;     /* threads of it: one per CPU */
    struct reply_parsing parsing;
    unsigned cpus; /* that the quota leaves us */

    /* Without --enable-wasm and --storage-hook-wasm-path: NULL */
    struct wasm_runtime *wasm; /* owned */
    struct hook *hook;         /* owned; on `wasm`: for the history backends, when they come */

    /* Without --enable-wasm: NULL */
    struct component_engine component;     /* on `wasm` */
    struct plugin_registry *plugins;       /* owned */
    struct plugin_threads *plugin_threads; /* owned */
    struct admin_wasm admin_wasm;

    struct router *router;
    struct http_server *metrics_server; /* control loop */
    struct http_server *probe_server;   /* control loop; NULL without --health-check-port */
    struct router *metrics_router, *probe_router;
    void *control_contexts[CONTEXT_COUNT];

    struct cors cors;
    struct request_id_conf request_id;
    struct auth *auth;           /* owned */
    struct admission *admission; /* owned */
    struct buf openapi;          /* owned: the document, made at the start */

    struct gateway_thread *threads; /* owned */
    unsigned threads_n, idle_n, closed_n;

    struct tls_context *tls_server, *tls_client; /* owned; server: NULL = plain HTTP */
    struct tls_watch *watch_server, *watch_client;

    struct arena arena;     /* owned: what the rooms' configurations point to */
    uv_signal_t signals[3]; /* SIGTERM, SIGINT, SIGHUP */
    unsigned watching;      /* of signals[] */
    unsigned signals_n;     /* received */
    struct timer settle, grace, reclaim, flush_log;
    bool closing;
};

/* routes.c */
extern const struct route GATEWAY_ROUTES[];
extern const size_t GATEWAY_ROUTES_N;
extern const struct route METRICS_ROUTES[];
extern const size_t METRICS_ROUTES_N;
extern const struct route PROBE_ROUTES[];
extern const size_t PROBE_ROUTES_N;

/* filters.c */
extern const struct filter GATEWAY_FILTERS[];
extern const size_t GATEWAY_FILTERS_N;

/* probes.c; CONTEXT: struct gateway */
void gateway_alive(struct exchange *ex, void *context);     /* GET /health, /liveness */
void gateway_readiness(struct exchange *ex, void *context); /* GET /readiness */
void gateway_metrics(struct exchange *ex, void *context);   /* GET /metrics, control loop only */

/* collect.c: gauges from live state, for /metrics; ARG: struct gateway */
void gateway_collect(struct prometheus_writer *w, void *arg);

/* tls.c: the contexts are made first and freed last; the watches live on the control loop */
int gateway_make_tls(struct gateway *g, struct err *err) _must_check_;
int gateway_watch_tls(struct gateway *g, struct err *err) _must_check_;
void gateway_unwatch_tls(struct gateway *g);
void gateway_free_tls(struct gateway *g);

/* start.c: polls the engines' loads if any policy in force or flag wants it; again after every change of policies. Control thread. */
void gateway_loads_wanted(struct gateway *g);

/* forget.c; for registry_subscribe; ARG: struct gateway */
void gateway_on_registry(enum registry_event e, const struct worker *w, void *arg);

/* tokenizers.c; on the control thread unless said otherwise */
int gateway_make_tokenizers(struct gateway *g, struct err *err) _must_check_;
void gateway_load_tokenizers(struct gateway *g); /* before any worker registers */
void gateway_tokenizer_of_worker(struct gateway *g, const struct worker *w);
bool gateway_tokenizers_ready(struct gateway *g, struct loop *loop); /* any loop */
void gateway_stop_tokenizers(struct gateway *g);
void gateway_free_tokenizers(struct gateway *g);

/* parsing.c: the parsers that the flags name */
int gateway_make_parsing(struct gateway *g, struct err *err) _must_check_;
/* plugins.c; on the control thread, before the loops run or after they have ended */
unsigned gateway_loops(const struct gateway *g); /* how many loop threads there will be */
int gateway_make_plugins(struct gateway *g, struct err *err) _must_check_;
void gateway_init_plugin_filter(struct gateway_thread *t);
void gateway_stop_plugins(struct gateway *g);
void gateway_free_plugins(struct gateway *g);

/* policies.c */
int gateway_make_policies(struct gateway *g, struct err *err) _must_check_;
/* Control thread: from the settings BEFORE to NOW. */
int gateway_reload_policies(struct gateway *g, const struct launch_config *before, const struct launch_config *now,
                            struct err *err) _must_check_;

/* limits.c */
int gateway_make_limits(struct gateway *g, struct err *err) _must_check_;
void gateway_retry_conf(const struct launch_config *c, struct retry_conf *ret);
struct gateway_limit_files {
    struct scheduler_conf *scheduler; /* owned; NULL: the feature is off */
    struct tenant_limits_conf *tenants;
};
int gateway_limit_files_read(const struct launch_config *c, struct gateway_limit_files *ret, struct err *err) _must_check_;
void gateway_limit_files_free(struct gateway_limit_files *f);
/* Control thread: from the settings BEFORE to NOW. */
int gateway_reload_limits(struct gateway *g, const struct launch_config *before, const struct launch_config *now,
                          struct gateway_limit_files *files, struct err *err) _must_check_;

/* reload.c; control thread */
void gateway_reload(struct gateway *g);

/* shutdown.c */
int gateway_watch_signals(struct gateway *g, struct err *err) _must_check_;
void gateway_thread_on_drain(struct loop *loop, struct message *m);
void gateway_thread_on_close(struct loop *loop, struct message *m);
void gateway_close_control(struct gateway *g); /* closes all that lives on the control loop, which then ends */
