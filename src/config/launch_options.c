/* config/launch_options.c -- THE table of `smg launch`
 *
 * Every flag of SMG 1.9's native and Python command lines is here under its own name (spec operations 3 and 6.2), the Python spellings as aliases; so are our own flags.
 * A row whose feature is missing says OPT_NOT_YET and is refused; the issue that brings the feature changes the state, and nothing else here.
 * Where SMG's name of a field differs from the flag, .field has it: scripts look for it in messages.
 */
#include "config/launch_internal.h"

#include <float.h>
#include <math.h>

#define AT(member) .at = offsetof(struct launch_config, member)
#define SECONDS    .unit = "s", .value = "SECONDS", .min = 0, .max = LAUNCH_SECONDS_MAX

/* Rules that many rows share; the words are SMG's. */
#define ABOVE_ZERO      .rule = { DBL_TRUE_MIN, INFINITY, "Must be > 0" }
#define ABOVE_ZERO_PORT .rule = { 1, UINT16_MAX, "Port must be > 0" }
#define AT_LEAST_ONE    .rule = { 1, INFINITY, "Must be >= 1" }
#define ONE_OR_MORE     .rule = { 1, INFINITY, "Must be >= 1.0" }
#define ZERO_TO_ONE     .rule = { 0, 1, "Must be between 0.0 and 1.0" }
#define USAGE_THRESHOLD .rule = { DBL_TRUE_MIN, INFINITY, "Must be > 0.0 (use >= 1.0 to disable)" }

static const struct option_name POLICY_NAMES[] = {
    { "round_robin", LAUNCH_ROUND_ROBIN, OPT_AVAILABLE },
    { "random", LAUNCH_RANDOM, OPT_AVAILABLE },
    { "power_of_two", LAUNCH_POWER_OF_TWO, OPT_AVAILABLE },
    { "cache_aware", LAUNCH_CACHE_AWARE, OPT_AVAILABLE },
    { "passthrough", LAUNCH_PASSTHROUGH, OPT_AVAILABLE },
    { "least_load", LAUNCH_LEAST_LOAD, OPT_AVAILABLE },
    { "prefix_hash", LAUNCH_PREFIX_HASH, OPT_AVAILABLE },
    { "consistent_hashing", LAUNCH_CONSISTENT_HASHING, OPT_AVAILABLE },
    { "manual", LAUNCH_MANUAL, OPT_AVAILABLE },
    { "bucket", LAUNCH_BUCKET, OPT_AVAILABLE },
    { 0 },
};

static const struct option_name ENCODE_POLICY_NAMES[] = {
    { "random", LAUNCH_RANDOM, OPT_AVAILABLE },
    { "round_robin", LAUNCH_ROUND_ROBIN, OPT_AVAILABLE },
    { "consistent_hashing", LAUNCH_CONSISTENT_HASHING, OPT_AVAILABLE },
    { 0 },
};

static const struct option_name BACKEND_NAMES[] = {
    { "sglang", LAUNCH_SGLANG, OPT_AVAILABLE }, { "vllm", LAUNCH_VLLM, OPT_AVAILABLE },
    { "trtllm", LAUNCH_TRTLLM, OPT_AVAILABLE }, { "tokenspeed", LAUNCH_TOKENSPEED, OPT_AVAILABLE },
    { "openai", LAUNCH_OPENAI, OPT_NOT_YET },   { "anthropic", LAUNCH_ANTHROPIC, OPT_NOT_YET },
    { "gemini", LAUNCH_GEMINI, OPT_NOT_YET },   { 0 },
};

static const struct option_name ASSIGNMENT_NAMES[] = {
    { "random", LAUNCH_ASSIGN_RANDOM, OPT_AVAILABLE },
    { "min_load", LAUNCH_ASSIGN_MIN_LOAD, OPT_AVAILABLE },
    { "min_group", LAUNCH_ASSIGN_MIN_GROUP, OPT_AVAILABLE },
    { 0 },
};

static const struct option_name HISTORY_NAMES[] = {
    { "memory", LAUNCH_HISTORY_MEMORY, OPT_AVAILABLE }, { "none", LAUNCH_HISTORY_NONE, OPT_AVAILABLE },
    { "oracle", LAUNCH_HISTORY_ORACLE, OPT_AVAILABLE }, { "postgres", LAUNCH_HISTORY_POSTGRES, OPT_AVAILABLE },
    { "redis", LAUNCH_HISTORY_REDIS, OPT_AVAILABLE },   { 0 },
};

static const struct option_name TENSOR_NAMES[] = {
    { "inline", LAUNCH_TENSOR_INLINE, OPT_AVAILABLE },
    { "shm", LAUNCH_TENSOR_SHM, OPT_AVAILABLE },
    { "auto", LAUNCH_TENSOR_AUTO, OPT_AVAILABLE },
    { "rdma", LAUNCH_TENSOR_RDMA, OPT_AVAILABLE },
    { 0 },
};

static const struct option_name LOG_LEVEL_NAMES[] = {
    { "debug", LOG_DEBUG, OPT_AVAILABLE },
    { "info", LOG_INFO, OPT_AVAILABLE },
    { "warn", LOG_WARN, OPT_AVAILABLE },
    { "error", LOG_ERROR, OPT_AVAILABLE },
    { 0 },
};

static const struct option_name TLS_VERSIONS[] = {
    { "1.2", LAUNCH_TLS_1_2, OPT_AVAILABLE },
    { "1.3", LAUNCH_TLS_1_3, OPT_AVAILABLE },
    { 0 },
};

static const struct option_name TIMESTAMP_NAMES[] = {
    { "smg", LAUNCH_TIMESTAMPS_SMG, OPT_AVAILABLE },
    { "rfc3339", LAUNCH_TIMESTAMPS_RFC3339, OPT_AVAILABLE },
    { 0 },
};

/* The formatter would make one line per member of this: the layout is by hand. */
/* clang-format off */
static const struct option LAUNCH_OPTIONS[] = {
    /* ---- listener and workers ---- */
    { .name = "--host", .type = OPT_STR, AT(host), .def = "0.0.0.0", .value = "ADDRESS", .validate = launch_validate_host,
      .group = "Listener and workers", .help = "address or name to listen on; IPv6 with or without brackets" },
    { .name = "--port", .type = OPT_U16, AT(port), .def = "30000", .value = "PORT", ABOVE_ZERO_PORT, .help = "port to listen on" },
    { .name = "--health-check-port", .type = OPT_U16, AT(health_check_port), .value = "PORT",
      .rule = { 1, UINT16_MAX, "Port must be > 0 (0 would request an unstable OS-ephemeral port)" },
      .help = "a second port, on the same host, that answers probes only" },
    { .name = "--config", .type = OPT_PATH, AT(config_file), .env = { "SMG_CONFIG" }, .value = "FILE", .flags = OPT_CONFIG_FILE,
      .help = "YAML or JSON with options as keys; SIGHUP reads it again" },
    { .name = "--worker-urls", .type = OPT_LIST, AT(worker_urls), .value = "URL", .field = "worker_url",
      .validate = launch_validate_worker_url,
      .help = "workers to begin with, such as http://10.0.0.7:8000; more can be added while running" },
    { .name = "--api-key", .type = OPT_STR, AT(api_key), .env = { "SMG_API_KEY" }, .file = "--api-key-file", .value = "KEY",
      .flags = OPT_SECRET, .validate = launch_validate_key,
      .help = "what clients must send as bearer token; prefer the environment or a file, the command line is visible to other users" },
    { .name = "--tenant-api-key", .type = OPT_APPEND, AT(tenant_api_keys), .value = "TENANT:KEY", .flags = OPT_SECRET,
      .field = "tenant-api-key", .validate = launch_validate_tenant_key,
      .help = "serving key of one tenant; repeatable, a tenant may have several" },
    { .name = "--backend", .aliases = { "--runtime" }, .type = OPT_ENUM, .names = BACKEND_NAMES, AT(backend),
      .help = "kind of engine behind the gateway; for engines it changes the banner only, each worker is asked what it is" },
    { .name = "--enable-igw", .type = OPT_FLAG, AT(enable_igw),
      .help = "many models behind one gateway: workers are chosen by the request's model" },
    { .name = "--model-alias", .type = OPT_APPEND, AT(model_aliases), .value = "ALIAS=MODEL", .syntax = launch_syntax_alias,
      .field = "model_alias", .help = "another name under which clients may ask for a model" },
    { .name = "--runtime-worker-threads", .type = OPT_U32, AT(runtime_worker_threads), .def_help = "the CPU quota", .min = 0,
      .max = 1024, ABOVE_ZERO, .help = "threads that serve requests" },
    { .name = "--memory-limit", .type = OPT_BYTES, AT(memory_limit_bytes), .def_help = "from the cgroup",
      .env = { "SMG_MEMORY_LIMIT" }, ABOVE_ZERO,
      .help = "memory that requests, tables and caches may take together; K, M, G and T may follow the number" },

    /* ---- routing ---- */
    { .name = "--policy", .type = OPT_ENUM, .names = POLICY_NAMES, AT(policy), .def = "cache_aware", .value = "POLICY", .flags = OPT_LIVE,
      .group = "Routing", .help = "how a worker is chosen" },
    { .name = "--shadow-policy", .type = OPT_ENUM, .names = POLICY_NAMES, AT(shadow_policy), .value = "POLICY", .flags = OPT_LIVE,
      .def_help = "none", .help = "a second policy that is asked and counted, not followed" },
    { .name = "--cache-threshold", .type = OPT_F64, AT(cache_threshold), .flags = OPT_LIVE, .def = "0.3", ZERO_TO_ONE,
      .help = "cache_aware: share of a prompt that must be cached on a worker to prefer it" },
    { .name = "--balance-abs-threshold", .type = OPT_U64, AT(balance_abs_threshold), .flags = OPT_LIVE, .def = "64",
      .help = "cache_aware, bucket: difference of loads from which balance comes first" },
    { .name = "--balance-rel-threshold", .type = OPT_F64, AT(balance_rel_threshold), .flags = OPT_LIVE, .def = "1.5",
      ONE_OR_MORE, .help = "cache_aware, bucket: ratio of loads from which balance comes first" },
    { .name = "--balance-token-usage-threshold", .type = OPT_F64, AT(balance_token_usage_threshold), .flags = OPT_LIVE, .def = "1.0",
      USAGE_THRESHOLD,
      .help = "cache_aware: share of KV memory in use from which balance comes first; 1 and more: never" },
    { .name = "--overload-token-usage-threshold", .type = OPT_F64, AT(overload_token_usage_threshold), .flags = OPT_LIVE, .def = "1.0",
      USAGE_THRESHOLD,
      .help = "cache_aware: share of KV memory in use from which a worker is avoided; 1 and more: never" },
    { .name = "--eviction-interval", .aliases = { "--eviction-interval-secs" }, .type = OPT_U64, AT(eviction_interval_s), .flags = OPT_LIVE,
      .def = "120", .unit = "s", ABOVE_ZERO, .field = "eviction_interval_secs",
      .help = "pause between evictions from the prefix index and from sticky tables" },
    { .name = "--max-tree-size", .type = OPT_U64, AT(max_tree_size), .flags = OPT_LIVE, .def = "67108864", ABOVE_ZERO,
      .help = "cache_aware: bytes (or tokens) of prompts that the prefix index keeps of each worker" },
    { .name = "--block-size", .type = OPT_U64, AT(block_size), .flags = OPT_LIVE, .def = "16", .unit = "tokens", ABOVE_ZERO,
      .help = "cache_aware: tokens per KV block when the worker does not tell" },
    { .name = "--max-idle-secs", .type = OPT_U64, AT(max_idle_s), .flags = OPT_LIVE, .def = "14400", .unit = "s",
      .help = "sticky tables: age at which an unused entry goes" },
    { .name = "--assignment-mode", .type = OPT_ENUM, .names = ASSIGNMENT_NAMES, AT(assignment_mode), .flags = OPT_LIVE, .def = "random",
      .help = "sticky tables: how a new key gets its worker" },
    { .name = "--prefix-token-count", .type = OPT_U64, AT(prefix_token_count), .flags = OPT_LIVE, .def = "256", .unit = "tokens",
      ABOVE_ZERO, .help = "prefix_hash: length of the prefix that is hashed" },
    { .name = "--prefix-hash-load-factor", .type = OPT_F64, AT(prefix_hash_load_factor), .flags = OPT_LIVE, .def = "1.25",
      ONE_OR_MORE, .field = "load_factor", .help = "prefix_hash: how far above the mean a worker's load may be" },
    { .name = "--least-load-kv-pressure-weight", .type = OPT_F64, AT(least_load_kv_pressure_weight), .flags = OPT_LIVE, .def = "0.15", .unit = "s",
      .rule = { 0, INFINITY, "Must be finite and >= 0.0" }, .field = "kv_pressure_weight",
      .help = "least_load: seconds that a full KV memory counts for" },
    { .name = "--least-load-default-throughput", .type = OPT_F64, AT(least_load_default_throughput), .flags = OPT_LIVE, .def = "2000.0",
      .unit = "tokens/s", .rule = { DBL_TRUE_MIN, INFINITY, "Must be finite and > 0.0" },
      .field = "default_throughput", .help = "least_load: throughput of a worker that does not tell" },
    { .name = "--least-load-mean-prefill-tokens", .type = OPT_U32, AT(least_load_mean_prefill_tokens), .flags = OPT_LIVE, .def = "1024",
      .unit = "tokens", ABOVE_ZERO, .field = "mean_prefill_tokens",
      .help = "least_load: assumed length of a waiting prompt" },
    { .name = "--bucket-adjust-interval-secs", .type = OPT_U64, AT(bucket_adjust_interval_s), .flags = OPT_LIVE, .def = "5", .unit = "s",
      .rule = { 1, UINT32_MAX, "Must be >= 1s and < 4294967296s" },
      .help = "bucket: pause between adjustments of the buckets" },
    { .name = "--dp-aware", .type = OPT_FLAG, AT(dp_aware), .help = "treat each data-parallel rank as a worker" },
    { .name = "--dp-minimum-tokens-scheduler", .type = OPT_FLAG, AT(dp_minimum_tokens_scheduler),
      .help = "choose the data-parallel rank with the fewest tokens" },
    { .name = "--routing-key-override", .type = OPT_FLAG, AT(routing_key_override),
      .help = "let a request's routing key decide before the policy does" },
    { .name = "--load-monitor-interval", .type = OPT_U64, AT(load_monitor_interval_s), .def = "10", .unit = "s",
      ABOVE_ZERO, .field = "load_monitor_interval_secs", .help = "pause between load polls of the workers" },
    { .name = "--engine-metrics", .type = OPT_FLAG, AT(engine_metrics),
      .help = "export the polled loads of the engines as metrics" },

    /* ---- prefill/decode ---- */
    { .name = "--pd-disaggregation", .type = OPT_FLAG, AT(pd_disaggregation),
      .group = "Prefill, decode and encode workers", .help = "prefill and decode on different workers" },
    { .name = "--epd-disaggregation", .type = OPT_FLAG, AT(epd_disaggregation),
      .help = "encode, prefill and decode on different workers; needs gRPC engines, which this version does not have" },
    { .name = "--prefill", .type = OPT_ENDPOINTS, AT(prefill), .field = "worker_url",
      .validate = launch_validate_endpoint_url, .help = "a prefill worker and its bootstrap port; repeatable" },
    { .name = "--encode", .type = OPT_ENDPOINTS, AT(encode), .field = "worker_url",
      .validate = launch_validate_endpoint_url, .help = "an encode worker and its bootstrap port; repeatable" },
    { .name = "--decode", .type = OPT_APPEND, AT(decode), .value = "URL", .field = "worker_url",
      .validate = launch_validate_worker_url, .help = "a decode worker" },
    { .name = "--prefill-policy", .type = OPT_ENUM, .names = POLICY_NAMES, AT(prefill_policy), .flags = OPT_LIVE, .value = "POLICY",
      .def_help = "as --policy", .help = "how a prefill worker is chosen" },
    { .name = "--decode-policy", .type = OPT_ENUM, .names = POLICY_NAMES, AT(decode_policy), .flags = OPT_LIVE, .value = "POLICY",
      .def_help = "as --policy", .help = "how a decode worker is chosen" },
    { .name = "--encode-policy", .type = OPT_ENUM, .names = ENCODE_POLICY_NAMES, AT(encode_policy), .value = "POLICY",
      .def = "consistent_hashing", .help = "how an encode worker is chosen" },

    /* ---- requests ---- */
    { .name = "--request-timeout-secs", .type = OPT_U32, AT(request_timeout_s), .def = "1800", SECONDS, ABOVE_ZERO,
      .group = "Requests", .help = "longest wait for the first byte of a worker's reply" },
    { .name = "--shutdown-grace-period-secs", .type = OPT_U64, AT(shutdown_grace_period_s), .def = "180", SECONDS,
      .help = "longest time from a termination signal to the end of the process; running requests may finish within it" },
    { .name = "--max-payload-size", .type = OPT_BYTES, AT(max_payload_size_bytes), .def = "536870912", .unit = "bytes", ABOVE_ZERO,
      .help = "largest request body; K, M, G and T may follow the number" },
    { .name = "--cors-allowed-origins", .type = OPT_LIST, AT(cors_allowed_origins), .value = "ORIGIN", .def_help = "any",
      .validate = launch_validate_origin, .help = "origins whose pages may call the gateway" },
    { .name = "--request-id-headers", .type = OPT_LIST, AT(request_id_headers), .value = "HEADER",
      .def_help = "x-request-id x-correlation-id x-trace-id request-id", .validate = launch_validate_header_name,
      .help = "request headers that may bring a request id, the first one found counts" },
    { .name = "--storage-context-headers", .type = OPT_LIST, AT(storage_context_headers), .value = "HEADER=KEY",
      .syntax = launch_syntax_header_pair, .help = "request headers handed to the storage hook" },
    { .name = "--trust-tenant-header", .type = OPT_FLAG, AT(trust_tenant_header),
      .help = "believe the tenant header of a trusted proxy, of requests that no serving key authenticated" },
    { .name = "--tenant-header-name", .type = OPT_STR, AT(tenant_header_name), .def = "x-smg-tenant-id", .value = "HEADER",
      .help = "name of the tenant header" },

    /* ---- admission ---- */
    { .name = "--max-concurrent-requests", .type = OPT_I32, AT(max_concurrent_requests), .flags = OPT_LIVE, .def = "-1",
      .group = "Rate limits and admission", .help = "requests carried out at the same time; 0 and less: no limit" },
    { .name = "--queue-size", .type = OPT_U64, AT(queue_size), .flags = OPT_LIVE, .def = "100",
      .help = "requests that may wait for their turn, first come first served; 0: none waits" },
    { .name = "--queue-timeout-secs", .type = OPT_U64, AT(queue_timeout_s), .flags = OPT_LIVE, .def = "60", SECONDS, .help = "longest wait for a turn" },
    { .name = "--rate-limit-tokens-per-second", .type = OPT_I32, AT(rate_limit_tokens_per_second), .flags = OPT_LIVE, .def = "-1",
      .def_help = "no limit", .rule = { 0, INFINITY, "Must be >= 0 when specified" },
      .help = "requests per second, beside and independent of --max-concurrent-requests; 0: no limit" },
    { .name = "--priority-scheduler-enabled", .type = OPT_FLAG, AT(priority_scheduler_enabled),
      .help = "admit by priority class (X-SMG-Priority) in place of the one queue" },
    { .name = "--priority-scheduler-default-max-class", .type = OPT_STR, AT(priority_scheduler_default_max_class), .def = "default",
      .value = "CLASS", .validate = launch_validate_priority_class,
      .help = "highest class of a request whose tenant has none: system, interactive, default or bulk" },
    { .name = "--priority-scheduler-config", .type = OPT_PATH, AT(priority_scheduler_config),
      .help = "YAML file with the priority classes and the tenants' highest ones" },
    { .name = "--priority-scheduler-tenant-metric-top-n", .type = OPT_U32, AT(priority_scheduler_tenant_metric_top_n), .def = "32",
      .help = "tenants that get metric series of their own" },
    { .name = "--tenant-rate-limit-enabled", .type = OPT_FLAG, AT(tenant_rate_limit_enabled),
      .help = "limit each tenant's tokens and requests per minute" },
    { .name = "--tenant-rate-limit-config", .type = OPT_PATH, AT(tenant_rate_limit_config),
      .help = "YAML file with the limits per tenant" },

    /* ---- worker start and health ---- */
    { .name = "--worker-startup-timeout-secs", .type = OPT_U32, AT(worker_startup_timeout_s), .def = "1800", SECONDS, ABOVE_ZERO,
      .group = "Worker start and health", .help = "longest time a new worker may take to answer for the first time" },
    { .name = "--worker-startup-delay", .type = OPT_U32, AT(worker_startup_delay_s), .def = "0", SECONDS,
      .help = "pause before a new worker is asked" },
    { .name = "--worker-startup-check-interval", .type = OPT_U32, AT(worker_startup_check_interval_s), .def = "30", SECONDS,
      ABOVE_ZERO, .field = "worker_startup_check_interval_secs",
      .help = "longest pause between questions to a worker that starts" },
    { .name = "--health-check-endpoint", .type = OPT_STR, AT(health_check_endpoint), .def = "/health", .value = "PATH",
      .validate = launch_validate_path, .help = "what a health check asks for" },
    { .name = "--health-check-interval-secs", .type = OPT_U32, AT(health_check_interval_s), .def = "60", SECONDS, ABOVE_ZERO,
      .help = "pause between health checks" },
    { .name = "--health-check-timeout-secs", .type = OPT_U32, AT(health_check_timeout_s), .def = "5", SECONDS, ABOVE_ZERO,
      .help = "longest time a health check may take" },
    { .name = "--health-failure-threshold", .type = OPT_U32, AT(health_failure_threshold), .def = "3", AT_LEAST_ONE,
      .help = "failed checks in a row that take a worker out" },
    { .name = "--health-success-threshold", .type = OPT_U32, AT(health_success_threshold), .def = "2", AT_LEAST_ONE,
      .help = "good checks in a row that bring a worker back" },
    { .name = "--disable-health-check", .type = OPT_FLAG, AT(disable_health_check),
      .help = "ask no worker for its health once it is registered" },
    { .name = "--remove-unhealthy-workers", .type = OPT_FLAG, AT(remove_unhealthy_workers),
      .help = "remove a worker that its health checks take out" },
    { .name = "--drain-settle-secs", .type = OPT_U32, AT(drain_settle_s), .def = "5", SECONDS,
      .help = "longest time a worker that is removed may finish its requests" },
    { .name = "--state-dir", .type = OPT_PATH, AT(state_dir),
      .help = "directory (made when missing) that keeps workers added over the API across restarts; one per gateway" },

    /* ---- retries and circuit breaker ---- */
    { .name = "--disable-retries", .type = OPT_FLAG, AT(disable_retries), .flags = OPT_LIVE, .group = "Retries and circuit breaker",
      .help = "one attempt per request; a worker that cannot be reached is replaced by another in any case" },
    { .name = "--retry-max-retries", .type = OPT_U32, AT(retry_max_retries), .flags = OPT_LIVE, .def = "5",
      .help = "attempts per request, the first one included" },
    { .name = "--retry-initial-backoff-ms", .type = OPT_U32, AT(retry_initial_backoff_ms), .flags = OPT_LIVE, .def = "50", .unit = "ms", ABOVE_ZERO,
      .field = "retry.initial_backoff_ms", .help = "pause before the second attempt" },
    { .name = "--retry-max-backoff-ms", .type = OPT_U32, AT(retry_max_backoff_ms), .flags = OPT_LIVE, .def = "30000", .unit = "ms",
      .field = "retry.max_backoff_ms", .help = "longest pause between attempts, also of one that a worker asks for (Retry-After)" },
    { .name = "--retry-backoff-multiplier", .type = OPT_F64, AT(retry_backoff_multiplier), .flags = OPT_LIVE, .def = "1.5", ONE_OR_MORE,
      .field = "retry.backoff_multiplier", .help = "growth of the pause" },
    { .name = "--retry-jitter-factor", .type = OPT_F64, AT(retry_jitter_factor), .flags = OPT_LIVE, .def = "0.2", ZERO_TO_ONE,
      .field = "retry.jitter_factor", .help = "random share of the pause" },
    { .name = "--disable-circuit-breaker", .type = OPT_FLAG, AT(disable_circuit_breaker), .help = "no circuit breaker" },
    { .name = "--cb-failure-threshold", .type = OPT_U32, AT(cb_failure_threshold), .def = "10",
      .help = "failures in a row that open a worker's breaker" },
    { .name = "--cb-success-threshold", .type = OPT_U32, AT(cb_success_threshold), .def = "3", AT_LEAST_ONE,
      .field = "circuit_breaker.success_threshold", .help = "probes in a row that have to succeed to close it" },
    { .name = "--cb-timeout-duration-secs", .type = OPT_U32, AT(cb_timeout_duration_s), .def = "60", .unit = "s", ABOVE_ZERO,
      .field = "circuit_breaker.timeout_duration_secs", .help = "how long it stays open" },
    { .name = "--cb-window-duration-secs", .type = OPT_U32, AT(cb_window_duration_s), .def = "120", .unit = "s", ABOVE_ZERO,
      .field = "circuit_breaker.window_duration_secs", .help = "how long the first failure of a row counts" },

    /* ---- logs, metrics, traces ---- */
    { .name = "--log-level", .type = OPT_ENUM, .names = LOG_LEVEL_NAMES, AT(log_level), .def = "info", .value = "LEVEL",
      .group = "Logs, metrics and traces", .help = "least important lines that are written" },
    { .name = "--log-filter", .type = OPT_STR, AT(log_filter), .env = { "SMG_LOG", "RUST_LOG" }, .value = "FILTER",
      .help = "levels per part, such as \"smg=debug,warn\"; takes the place of --log-level" },
    { .name = "--log-json", .type = OPT_FLAG, AT(log_json), .help = "one JSON object per line" },
    { .name = "--log-timestamps", .type = OPT_ENUM, .names = TIMESTAMP_NAMES, AT(log_timestamps), .def = "smg", .value = "FORM",
      .help = "smg: date and time; rfc3339: with milliseconds and zone" },
    { .name = "--log-dir", .type = OPT_PATH, AT(log_dir), .help = "directory for log files, one per day, beside standard output" },
    { .name = "--prometheus-port", .type = OPT_U16, AT(prometheus_port), .def = "29000", .value = "PORT", ABOVE_ZERO_PORT,
      .field = "metrics.port", .help = "port of the metrics listener" },
    { .name = "--prometheus-host", .type = OPT_STR, AT(prometheus_host), .def = "0.0.0.0", .value = "ADDRESS",
      .validate = launch_validate_metrics_host, .field = "metrics.host", .help = "IP address of the metrics listener" },
    { .name = "--prometheus-duration-buckets", .type = OPT_F64_LIST, AT(prometheus_duration_buckets), .value = "SECONDS",
      .def_help = "29 from 0.001 to 7200", .validate = launch_validate_bucket,
      .help = "upper bounds of the buckets of duration histograms, rising" },
    { .name = "--enable-trace", .type = OPT_FLAG, AT(enable_trace), .state = OPT_NOT_YET, .help = "export traces" },
    { .name = "--otlp-traces-endpoint", .type = OPT_STR, AT(otlp_traces_endpoint), .def = "localhost:4317", .value = "HOST:PORT",
      .state = OPT_NOT_YET, .help = "collector that receives the traces" },

    /* ---- discovery ---- */
    { .name = "--service-discovery", .type = OPT_FLAG, AT(service_discovery), .state = OPT_NOT_YET, .group = "Kubernetes discovery",
      .help = "find workers among pods" },
    { .name = "--selector", .type = OPT_LIST, AT(selector), .value = "KEY=VALUE", .syntax = launch_syntax_selector,
      .state = OPT_NOT_YET, .help = "labels of worker pods" },
    { .name = "--service-discovery-port", .type = OPT_U16, AT(service_discovery_port), .def = "80", .value = "PORT",
      .state = OPT_NOT_YET, ABOVE_ZERO_PORT, .field = "discovery.port", .help = "port of workers whose pod does not say" },
    { .name = "--service-discovery-namespace", .type = OPT_STR, AT(service_discovery_namespace), .value = "NAMESPACE",
      .def_help = "all", .state = OPT_NOT_YET, .help = "namespace to watch" },
    { .name = "--encode-selector", .type = OPT_LIST, AT(encode_selector), .value = "KEY=VALUE", .syntax = launch_syntax_selector,
      .state = OPT_NOT_YET, .help = "labels of encode pods" },
    { .name = "--prefill-selector", .type = OPT_LIST, AT(prefill_selector), .value = "KEY=VALUE", .syntax = launch_syntax_selector,
      .state = OPT_NOT_YET, .help = "labels of prefill pods" },
    { .name = "--decode-selector", .type = OPT_LIST, AT(decode_selector), .value = "KEY=VALUE", .syntax = launch_syntax_selector,
      .state = OPT_NOT_YET, .help = "labels of decode pods" },
    { .name = "--router-selector", .type = OPT_LIST, AT(router_selector), .value = "KEY=VALUE", .syntax = launch_syntax_selector,
      .state = OPT_NOT_YET, .help = "labels of the pods of other gateways" },
    { .name = "--model-id-from", .type = OPT_STR, AT(model_id_from), .value = "SOURCE", .syntax = launch_syntax_model_id_from,
      .state = OPT_NOT_YET, .help = "where a pod's model id stands: namespace, label:KEY or annotation:KEY" },

    /* ---- models ---- */
    { .name = "--model-path", .aliases = { "--model" }, .type = OPT_STR, AT(model_path), .value = "MODEL",
      .validate = launch_validate_source, .group = "Tokenizers, parsers and plugins",
      .help = "model whose tokenizer is loaded at the start: a directory, or a Hugging Face id (org/name, org/name@revision)" },
    { .name = "--tokenizer-path", .type = OPT_STR, AT(tokenizer_path), .value = "PATH", .validate = launch_validate_source,
      .help = "tokenizer to load at the start in place of the model's: a directory, a file, or a Hugging Face id" },
    { .name = "--chat-template", .type = OPT_PATH, AT(chat_template), .validate = launch_validate_readable,
      .help = "template in place of the tokenizer's own; it is kept with the tokenizer, rendering is not available in this version" },
    { .name = "--disable-tokenizer-autoload", .type = OPT_FLAG, AT(disable_tokenizer_autoload),
      .help = "load no tokenizer at the start or when a worker registers" },
    { .name = "--tokenizer-cache-enable-l0", .type = OPT_FLAG, AT(tokenizer_cache_enable_l0),
      .help = "accepted for SMG's sake: tokenizing is about as fast as a lookup would be, so there is no cache of whole texts" },
    { .name = "--tokenizer-cache-enable-l1", .type = OPT_FLAG, AT(tokenizer_cache_enable_l1),
      .help = "accepted for SMG's sake, as the option before: there is no cache of prefixes" },
    { .name = "--tokenizer-cache-l0-max-entries", .type = OPT_U64, AT(tokenizer_cache_l0_max_entries), .def = "10000",
      .help = "bound of the cache of whole texts, were there one" },
    { .name = "--tokenizer-cache-l1-max-memory", .type = OPT_BYTES, AT(tokenizer_cache_l1_max_memory_bytes), .def = "52428800",
      .unit = "bytes", .help = "bound of the cache of prefixes, were there one" },
    { .name = "--reasoning-parser", .type = OPT_STR, AT(reasoning_parser), .value = "PARSER", .state = OPT_NOT_YET,
      .help = "parser of thoughts for all models" },
    { .name = "--tool-call-parser", .type = OPT_STR, AT(tool_call_parser), .value = "PARSER", .state = OPT_NOT_YET,
      .help = "parser of tool calls for all models" },
    { .name = "--mcp-config-path", .type = OPT_PATH, AT(mcp_config_path), .state = OPT_NOT_YET, .help = "file with MCP servers" },
    { .name = "--multimodal-tensor-transport", .type = OPT_ENUM, .names = TENSOR_NAMES, AT(multimodal_tensor_transport),
      .env = { "SMG_MM_TENSOR_TRANSPORT" }, .flags = OPT_ENV_PASSIVE, .state = OPT_NOT_YET,
      .help = "how image tensors reach the engine" },
    { .name = "--multimodal-shm-min-bytes", .type = OPT_U64, AT(multimodal_shm_min_bytes), .env = { "SMG_MM_SHM_MIN_BYTES" },
      .flags = OPT_ENV_PASSIVE, .def_help = "65536", .state = OPT_NOT_YET,
      .help = "smallest tensor that goes through shared memory" },
    { .name = "--webrtc-bind-addr", .type = OPT_STR, AT(webrtc_bind_addr), .value = "ADDRESS", .def_help = "0.0.0.0",
      .state = OPT_NOT_YET, .validate = launch_validate_address, .help = "address of the realtime media relay" },
    { .name = "--webrtc-stun-server", .type = OPT_STR, AT(webrtc_stun_server), .value = "HOST:PORT|none", .state = OPT_NOT_YET,
      .inert = "none", .validate = launch_validate_host_port, .help = "STUN server of the realtime media relay" },

    /* ---- plugins ---- */
    { .name = "--enable-wasm", .type = OPT_FLAG, AT(enable_wasm), .group = "Plugins",
      .help = "run WASM plugins in front of and behind the data plane, and manage them over /wasm" },
    { .name = "--wasm-module", .type = OPT_APPEND, AT(wasm_modules), .value = "FILE",
      .help = "plugin that is there from the start, attached where its exports allow; may be repeated, the order counts" },
    { .name = "--wasm-modules", .type = OPT_PATH, AT(wasm_modules_file), .value = "FILE",
      .help = "JSON file with plugins that are there from the start: what POST /wasm takes" },
    { .name = "--wasm-max-execution-time-ms", .type = OPT_U64, AT(wasm_max_execution_time_ms), .def = "1000", .unit = "ms",
      .help = "longest time of one call of a plugin that says nothing else, 1 to 300000" },
    { .name = "--wasm-max-memory-pages", .type = OPT_U64, AT(wasm_max_memory_pages), .def = "1024",
      .help = "most memory of one call of a plugin that says nothing else, in pages of 64 KiB, 1 to 65536" },
    { .name = "--wasm-max-stack-size", .type = OPT_BYTES, AT(wasm_max_stack_bytes), .def = "1048576", .unit = "bytes",
      .help = "stack of one call of a plugin, 64 KiB to 16 MiB" },
    { .name = "--wasm-thread-pool-size", .type = OPT_U64, AT(wasm_threads), .def_help = "one per CPU, at most 4",
      .validate = launch_validate_wasm_threads,
      .help = "threads on which plugins run, 1 to 128; no more than there are CPUs are started" },
    { .name = "--wasm-module-cache-size", .type = OPT_U64, AT(wasm_module_cache_size), .def = "10",
      .help = "checked and not used: what is registered stays compiled, once for all threads; 1 to 1000" },
    { .name = "--wasm-max-body-size", .type = OPT_BYTES, AT(wasm_max_body_bytes), .def = "10485760", .unit = "bytes",
      .help = "longest body that plugins see and make, 1 to 100 MiB" },
    { .name = "--wasm-runtime-lib", .type = OPT_PATH, AT(wasm_runtime_lib), .value = "FILE", .def_help = "found by itself",
      .help = "wasmtime's library (libwasmtime.so)" },
    { .name = "--storage-hook-wasm-path", .type = OPT_PATH, AT(storage_hook_wasm_path),
      .help = "plugin that sees what history stores; loaded and checked at the start" },

    /* ---- history ---- */
    { .name = "--history-backend", .type = OPT_ENUM, .names = HISTORY_NAMES, AT(history_backend), .def = "memory",
      .state = OPT_NOT_YET, .inert = "none", .group = "History storage", .help = "where responses and conversations are kept" },
    { .name = "--schema-config", .type = OPT_PATH, AT(schema_config), .state = OPT_NOT_YET,
      .help = "file with the names of tables and columns" },
    { .name = "--postgres-db-url", .type = OPT_STR, AT(postgres_db_url), .env = { "POSTGRES_DB_URL" }, .value = "URL",
      .flags = OPT_SECRET | OPT_ENV_PASSIVE, .state = OPT_NOT_YET, .help = "PostgreSQL database" },
    { .name = "--postgres-pool-max-size", .aliases = { "--postgres-pool-max" }, .type = OPT_U64, AT(postgres_pool_max_size),
      .def = "16", .env = { "POSTGRES_POOL_MAX" }, .flags = OPT_ENV_PASSIVE, .state = OPT_NOT_YET,
      .rule = { 1, INFINITY, "pool_max must be greater than 0" }, .help = "most connections to PostgreSQL" },
    { .name = "--redis-url", .type = OPT_STR, AT(redis_url), .env = { "REDIS_URL" }, .value = "URL",
      .flags = OPT_SECRET | OPT_ENV_PASSIVE, .state = OPT_NOT_YET, .help = "Redis or Valkey server" },
    { .name = "--redis-pool-max-size", .aliases = { "--redis-pool-max" }, .type = OPT_U64, AT(redis_pool_max_size), .def = "16",
      .env = { "REDIS_POOL_MAX" }, .flags = OPT_ENV_PASSIVE, .state = OPT_NOT_YET,
      .rule = { 1, INFINITY, "pool_max must be greater than 0" }, .help = "most connections to Redis" },
    { .name = "--redis-retention-days", .type = OPT_I64, AT(redis_retention_days), .def = "30", .unit = "days",
      .env = { "REDIS_RETENTION_DAYS" }, .flags = OPT_ENV_PASSIVE, .state = OPT_NOT_YET,
      .help = "how long Redis keeps history; negative: for ever" },
    { .name = "--oracle-wallet-path", .type = OPT_PATH, AT(oracle_wallet_path), .env = { "ATP_WALLET_PATH" },
      .flags = OPT_ENV_PASSIVE, .state = OPT_NOT_YET, .help = "directory of the Oracle wallet" },
    { .name = "--oracle-tns-alias", .type = OPT_STR, AT(oracle_tns_alias), .env = { "ATP_TNS_ALIAS" }, .flags = OPT_ENV_PASSIVE,
      .state = OPT_NOT_YET, .help = "name of the database in the wallet" },
    { .name = "--oracle-dsn", .aliases = { "--oracle-connect-descriptor" }, .type = OPT_STR, AT(oracle_dsn), .env = { "ATP_DSN" },
      .flags = OPT_ENV_PASSIVE, .state = OPT_NOT_YET, .help = "Oracle connect descriptor in place of wallet and name" },
    { .name = "--oracle-user", .aliases = { "--oracle-username" }, .type = OPT_STR, AT(oracle_user), .env = { "ATP_USER" },
      .flags = OPT_ENV_PASSIVE, .state = OPT_NOT_YET, .help = "Oracle user" },
    { .name = "--oracle-password", .type = OPT_STR, AT(oracle_password), .env = { "ATP_PASSWORD" },
      .file = "--oracle-password-file", .flags = OPT_SECRET | OPT_ENV_PASSIVE, .state = OPT_NOT_YET, .help = "Oracle password" },
    { .name = "--oracle-external-auth", .type = OPT_FLAG, AT(oracle_external_auth), .env = { "ATP_EXTERNAL_AUTH" },
      .flags = OPT_ENV_PASSIVE, .state = OPT_NOT_YET, .help = "authenticate by the wallet, without user and password" },
    { .name = "--oracle-pool-min", .type = OPT_U64, AT(oracle_pool_min), .def = "1", .env = { "ATP_POOL_MIN" },
      .flags = OPT_ENV_PASSIVE, .state = OPT_NOT_YET, .rule = { 1, INFINITY, "pool minimum must be at least 1" },
      .help = "fewest connections to Oracle" },
    { .name = "--oracle-pool-max", .type = OPT_U64, AT(oracle_pool_max), .def = "16", .env = { "ATP_POOL_MAX" },
      .flags = OPT_ENV_PASSIVE, .state = OPT_NOT_YET, .help = "most connections to Oracle" },
    { .name = "--oracle-pool-timeout-secs", .type = OPT_U64, AT(oracle_pool_timeout_s), .def = "30", .unit = "s",
      .env = { "ATP_POOL_TIMEOUT_SECS" }, .flags = OPT_ENV_PASSIVE, .state = OPT_NOT_YET, ABOVE_ZERO,
      .help = "longest wait for a connection to Oracle" },

    /* ---- TLS and control-plane auth ---- */
    { .name = "--tls-cert-path", .type = OPT_PATH, AT(tls_cert_path), .group = "TLS and control-plane auth",
      .help = "certificate chain of the listener, PEM; read again when the file changes" },
    { .name = "--tls-key-path", .type = OPT_PATH, AT(tls_key_path), .help = "private key of the listener, PEM, without a passphrase" },
    { .name = "--tls-client-ca-path", .type = OPT_PATH, AT(tls_client_ca_path),
      .help = "clients must show a certificate of one of the authorities in this PEM file" },
    { .name = "--tls-min-version", .type = OPT_ENUM, .names = TLS_VERSIONS, AT(tls_min_version), .def = "1.2",
      .help = "oldest TLS version that the listener speaks" },
    { .name = "--client-cert-path", .type = OPT_PATH, AT(client_cert_path), .help = "certificate shown to workers, PEM" },
    { .name = "--client-key-path", .type = OPT_PATH, AT(client_key_path), .help = "its private key, PEM" },
    { .name = "--ca-cert-paths", .type = OPT_LIST, AT(ca_cert_paths), .value = "PATH",
      .help = "authorities for workers' certificates beside the system's, PEM" },
    { .name = "--control-plane-api-keys", .type = OPT_APPEND, AT(control_plane_api_keys), .env = { "CONTROL_PLANE_API_KEYS" },
      .value = "ID:NAME:ROLE:KEY", .flags = OPT_SECRET | OPT_GREEDY, .syntax = launch_syntax_control_key,
      .help = "key for the control plane; roles: admin, user; in the environment separated by commas" },
    { .name = "--control-plane-api-keys-file", .type = OPT_PATH, AT(control_plane_api_keys_file),
      .env = { "SMG_CONTROL_PLANE_API_KEYS_FILE" }, .help = "a file with such keys, one a line" },
    { .name = "--jwt-issuer", .type = OPT_STR, AT(jwt_issuer), .env = { "JWT_ISSUER" }, .value = "URL",
      .help = "issuer of accepted tokens, byte for byte as they name it" },
    { .name = "--jwt-audience", .type = OPT_STR, AT(jwt_audience), .env = { "JWT_AUDIENCE" },
      .help = "audience of accepted tokens" },
    { .name = "--jwt-jwks-uri", .type = OPT_STR, AT(jwt_jwks_uri), .env = { "JWT_JWKS_URI" }, .value = "URL",
      .flags = OPT_ENV_PASSIVE, .def_help = "OIDC discovery", .help = "keys of the issuer" },
    { .name = "--jwt-role-claim", .type = OPT_STR, AT(jwt_role_claim), .def = "roles", .value = "CLAIM",
      .help = "claim that holds the roles; dots lead into objects: realm_access.roles" },
    { .name = "--jwt-role-mapping", .type = OPT_APPEND, AT(jwt_role_mapping), .value = "THEIRS=OURS", .flags = OPT_GREEDY,
      .syntax = launch_syntax_role_mapping,
      .help = "role of the issuer and the gateway's role for it: admin or user" },
    { .name = "--jwt-allow-private-issuer", .type = OPT_FLAG, AT(jwt_allow_private_issuer),
      .help = "the issuer and its keys may be at private addresses and internal names (https only)" },
    { .name = "--jwt-ca-cert", .type = OPT_PATH, AT(jwt_ca_cert), .def_help = "the system's",
      .help = "authorities for the issuer's certificate, PEM" },
    { .name = "--disable-audit-logging", .type = OPT_FLAG, AT(disable_audit_logging), .help = "no audit records" },
    { .name = "--control-plane-audit-enabled", .type = OPT_FLAG, AT(control_plane_audit_enabled),
      .help = "audit records; on without being asked" },

    /* ---- mesh ---- */
    { .name = "--enable-mesh", .type = OPT_FLAG, AT(enable_mesh), .state = OPT_NOT_YET, .group = "Mesh",
      .help = "share workers with other gateways" },
    { .name = "--mesh-server-name", .type = OPT_STR, AT(mesh_server_name), .value = "NAME",
      .def_help = "Mesh_ and four random characters", .state = OPT_NOT_YET, .help = "name of this gateway in the mesh" },
    { .name = "--mesh-host", .type = OPT_STR, AT(mesh_host), .def = "0.0.0.0", .value = "ADDRESS", .state = OPT_NOT_YET,
      .help = "address of the mesh listener" },
    { .name = "--mesh-advertise-host", .type = OPT_STR, AT(mesh_advertise_host), .value = "ADDRESS", .def_help = "as --mesh-host",
      .state = OPT_NOT_YET, .help = "address under which other gateways reach this one" },
    { .name = "--mesh-port", .type = OPT_U16, AT(mesh_port), .def = "39527", .value = "PORT", .state = OPT_NOT_YET,
      .help = "port of the mesh listener" },
    { .name = "--mesh-peer-urls", .type = OPT_LIST, AT(mesh_peer_urls), .value = "ADDRESS:PORT", .state = OPT_NOT_YET,
      .help = "gateways to begin with" },
};
/* clang-format on */

const struct option_table LAUNCH_TABLE = {
    .command = "launch",
    .usage = "[launch] [OPTIONS]",
    .summary = "Start the gateway: one address in front of many inference engines.",
    .notes = "`smg`, `smg launch` and `smg start` do the same.",
    .options = LAUNCH_OPTIONS,
    .options_n = ARRAY_LEN(LAUNCH_OPTIONS),
};

static const char *name_of(const struct option_name *names, int value)
{
    for (; names->name; names++) {
        if (names->value == value)
            return names->name;
    }
    return "";
}

const char *launch_policy_name(enum launch_policy p)
{
    return name_of(POLICY_NAMES, (int)p);
}

const char *launch_backend_name(enum launch_backend b)
{
    return name_of(BACKEND_NAMES, (int)b);
}
