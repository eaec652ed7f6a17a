/* config/launch.h -- what `smg launch` was told: one plain member per option, checked, ready to be handed to gateway/
 *
 *   launch_options.c  LAUNCH_TABLE: every flag of SMG's native and Python command lines, and ours
 *   launch_check.c    rules that look at more than one option (spec operations 5.3, 5.4)
 *   launch.c          launch_parse: table, then rules, then notes
 *
 * Units are last in a name: _s seconds, _ms milliseconds, _bytes. "Unset" is p == NULL for strings, 0 for numbers unless said otherwise.
 * Seconds are at most LAUNCH_SECONDS_MAX, so that milliseconds fit into 32 bits.
 * Members below the line "not available yet" are never set by a start that succeeds; they stand here because their rows do, and each becomes real by changing its row's state.
 * Strings are borrowed from argv, the environment and the arena given to launch_parse; the struct is read-only afterwards and may be read by any thread.
 */
#pragma once

#include "base/log.h"
#include "config/option.h"

#define LAUNCH_SECONDS_MAX 4294967 /* 49 days */

enum launch_policy {
    LAUNCH_POLICY_UNSET, /* of --prefill-policy and its like: as --policy */
    LAUNCH_RANDOM,
    LAUNCH_ROUND_ROBIN,
    LAUNCH_PASSTHROUGH,
    LAUNCH_CACHE_AWARE,
    LAUNCH_POWER_OF_TWO,
    LAUNCH_LEAST_LOAD,
    LAUNCH_PREFIX_HASH,
    LAUNCH_CONSISTENT_HASHING,
    LAUNCH_MANUAL,
    LAUNCH_BUCKET,
};

enum launch_backend {
    LAUNCH_BACKEND_UNSET,
    LAUNCH_SGLANG,
    LAUNCH_VLLM,
    LAUNCH_TRTLLM,
    LAUNCH_TOKENSPEED,
    LAUNCH_OPENAI,
    LAUNCH_ANTHROPIC,
    LAUNCH_GEMINI,
};

enum launch_assignment { LAUNCH_ASSIGN_RANDOM, LAUNCH_ASSIGN_MIN_LOAD, LAUNCH_ASSIGN_MIN_GROUP };

enum launch_history {
    LAUNCH_HISTORY_MEMORY,
    LAUNCH_HISTORY_NONE,
    LAUNCH_HISTORY_ORACLE,
    LAUNCH_HISTORY_POSTGRES,
    LAUNCH_HISTORY_REDIS
};

enum launch_tensor_transport {
    LAUNCH_TENSOR_UNSET,
    LAUNCH_TENSOR_INLINE,
    LAUNCH_TENSOR_SHM,
    LAUNCH_TENSOR_AUTO,
    LAUNCH_TENSOR_RDMA
};

enum launch_tls_version { LAUNCH_TLS_1_2, LAUNCH_TLS_1_3 };

enum launch_timestamps { LAUNCH_TIMESTAMPS_SMG, LAUNCH_TIMESTAMPS_RFC3339 };

struct launch_config {
    struct str config_file; /* path; empty = none */

    /* Listener and workers */
    struct str host;                    /* IPv4, IPv6 without brackets, or a name; not resolved here */
    uint16_t port;                      /* 1..65535 */
    uint16_t health_check_port;         /* 0 = no probe listener */
    struct option_list worker_urls;     /* each passed url_check_worker; http and https only */
    struct str api_key;                 /* secret; empty = open */
    struct option_list tenant_api_keys; /* "tenant:key", well-formed, no key twice; secrets */
    enum launch_backend backend;
    bool enable_igw;
    struct option_list model_aliases; /* "alias=canonical", well-formed, an alias names one canonical model */
    uint32_t runtime_worker_threads;  /* 0 = from the CPU quota */
    uint64_t memory_limit_bytes;      /* 0 = from the cgroup */

    /* Routing */
    enum launch_policy policy;        /* never UNSET */
    enum launch_policy shadow_policy; /* UNSET = none */
    double cache_threshold, balance_rel_threshold, balance_token_usage_threshold, overload_token_usage_threshold;
    uint64_t balance_abs_threshold, eviction_interval_s, max_tree_size, block_size;

    /* Prefill, decode and encode workers */
    bool pd_disaggregation, epd_disaggregation;
    struct option_endpoints prefill, encode; /* port: never 0 */
    struct option_list decode;
    enum launch_policy prefill_policy, decode_policy, encode_policy;

    /* Requests */
    uint32_t request_timeout_s;
    uint64_t shutdown_grace_period_s;
    uint64_t max_payload_size_bytes;
    struct option_list cors_allowed_origins; /* empty, or an item "*" = any */
    struct option_list request_id_headers;   /* lowercase field names; empty = SMG's four */

    /* Admission */
    bool trust_tenant_header;
    struct str tenant_header_name;   /* a field name */
    int32_t max_concurrent_requests; /* <= 0: no limit */
    uint64_t queue_size, queue_timeout_s;
    int32_t rate_limit_tokens_per_second; /* <= 0: no limit */
    bool priority_scheduler_enabled;
    struct str priority_scheduler_default_max_class; /* one of four names, in any case */
    struct str priority_scheduler_config;            /* path; empty = the default classes */
    uint32_t priority_scheduler_tenant_metric_top_n;
    bool tenant_rate_limit_enabled;
    struct str tenant_rate_limit_config; /* path; given when enabled */

    /* Worker start and health */
    uint32_t worker_startup_timeout_s;
    uint32_t worker_startup_delay_s;
    uint32_t worker_startup_check_interval_s;
    uint32_t health_failure_threshold, health_success_threshold; /* 1.. */
    uint32_t health_check_timeout_s, health_check_interval_s;    /* 1.. */
    struct str health_check_endpoint;                            /* begins with "/" */
    bool disable_health_check;
    bool remove_unhealthy_workers;
    uint32_t drain_settle_s;
    struct str state_dir; /* empty = workers of the API live in memory */
    bool disable_retries; /* a worker that cannot be reached is replaced by another regardless */
    bool disable_circuit_breaker;

    /* Logs and metrics */
    enum log_level log_level;
    struct str log_filter;
    bool log_json;
    struct str log_dir;
    enum launch_timestamps log_timestamps;
    uint16_t prometheus_port;
    struct str prometheus_host;                        /* IP literal without brackets */
    struct option_numbers prometheus_duration_buckets; /* seconds, positive, rising; empty = the default 29 */

    /* Control-plane auth */
    struct option_list control_plane_api_keys; /* "id:name:role:key", well-formed; secrets */
    struct str control_plane_api_keys_file;    /* path; empty = none */
    struct str jwt_issuer, jwt_audience;       /* both or neither */
    struct str jwt_jwks_uri;                   /* empty = by discovery */
    struct str jwt_role_claim, jwt_ca_cert;
    struct option_list jwt_role_mapping; /* "theirs=ours", well-formed */
    bool jwt_allow_private_issuer;
    bool disable_audit_logging, control_plane_audit_enabled; /* not both */

    /* Tokenizers */
    struct str model_path, tokenizer_path; /* a path or a hub id; at most 256 bytes, for it is a name too */
    struct str chat_template;              /* path; can be read */
    bool disable_tokenizer_autoload;
    bool tokenizer_cache_enable_l0, tokenizer_cache_enable_l1; /* checked and not used */
    uint64_t tokenizer_cache_l0_max_entries, tokenizer_cache_l1_max_memory_bytes;

    /* Plugins */
    bool enable_wasm;
    struct option_list wasm_modules; /* paths */
    struct str wasm_modules_file;    /* path; empty = none */
    uint64_t wasm_max_execution_time_ms, wasm_max_memory_pages, wasm_max_stack_bytes, wasm_max_body_bytes;
    uint64_t wasm_threads;                      /* 0 = by the CPUs */
    uint64_t wasm_module_cache_size;            /* checked and not used */
    struct str wasm_runtime_lib;                /* path; empty = found by itself */
    struct str storage_hook_wasm_path;          /* path; empty = none */
    struct option_list storage_context_headers; /* "header=key", no key twice */

    /* ---- not available yet ---- */

    uint64_t max_idle_s;
    enum launch_assignment assignment_mode;
    uint64_t prefix_token_count;
    double prefix_hash_load_factor, least_load_kv_pressure_weight, least_load_default_throughput;
    uint32_t least_load_mean_prefill_tokens;
    bool dp_aware, dp_minimum_tokens_scheduler, routing_key_override, engine_metrics;
    uint64_t load_monitor_interval_s, bucket_adjust_interval_s;

    bool service_discovery;
    struct option_list selector, encode_selector, prefill_selector, decode_selector, router_selector;
    uint16_t service_discovery_port;
    struct str service_discovery_namespace, model_id_from;

    bool enable_trace;
    struct str otlp_traces_endpoint;

    uint32_t retry_max_retries;
    uint32_t retry_initial_backoff_ms, retry_max_backoff_ms;
    double retry_backoff_multiplier, retry_jitter_factor;
    uint32_t cb_failure_threshold, cb_success_threshold;
    uint32_t cb_timeout_duration_s, cb_window_duration_s;

    struct str reasoning_parser, tool_call_parser, mcp_config_path;
    enum launch_tensor_transport multimodal_tensor_transport;
    uint64_t multimodal_shm_min_bytes;
    struct str webrtc_bind_addr, webrtc_stun_server;

    enum launch_history history_backend;
    struct str schema_config, postgres_db_url, redis_url;
    uint64_t postgres_pool_max_size, redis_pool_max_size;
    int64_t redis_retention_days;
    struct str oracle_wallet_path, oracle_tns_alias, oracle_dsn, oracle_user, oracle_password;
    bool oracle_external_auth;
    uint64_t oracle_pool_min, oracle_pool_max, oracle_pool_timeout_s;

    struct str tls_cert_path, tls_key_path, tls_client_ca_path, client_cert_path, client_key_path;
    enum launch_tls_version tls_min_version;
    struct option_list ca_cert_paths;

    bool enable_mesh;
    struct str mesh_server_name, mesh_host, mesh_advertise_host;
    uint16_t mesh_port;
    struct option_list mesh_peer_urls;
};

extern const struct option_table LAUNCH_TABLE;

/* Reads the arguments behind `smg` or `smg launch`. As options_parse; in addition the rules of launch_check are in REPORT. */
int launch_parse(const struct option_input *in, struct arena *arena, struct launch_config *ret,
                 struct option_report *report) _must_check_;

/* The rules that look at more than one option, in the order of spec operations 5.3; all that are broken are reported. Looks at members only: a table whose rows are
 * all available can be checked the same way. */
void launch_check(const struct launch_config *c, struct option_report *report);

/* "round_robin"; "" for LAUNCH_POLICY_UNSET. */
const char *launch_policy_name(enum launch_policy p);
/* "sglang"; "" for LAUNCH_BACKEND_UNSET. */
const char *launch_backend_name(enum launch_backend b);
