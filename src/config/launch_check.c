/* config/launch_check.c -- rules that look at more than one option of `smg launch`
 *
 * Order and words: spec operations 5.3, then 5.4 (its files are read by those who need them, not here). Every broken rule is reported, not only the first one. A rule looks
 * at members only: those of missing features hold their defaults, which break none.
 */
#include "config/launch_internal.h"

#include "base/url.h"

struct check {
    const struct launch_config *c;
    struct option_report *report;
};

static void invalid(struct check *k, const char *field, struct str value, const char *reason)
{
    option_report_add(k->report, OPTION_INVALID, "Invalid value for field '%s': %.*s - %s", field, STR_FMT(str_first(value, 120)),
                      reason);
}

static void invalid_number(struct check *k, const char *field, uint64_t value, const char *reason)
{
    option_report_add(k->report, OPTION_INVALID, "Invalid value for field '%s': %llu - %s", field, (unsigned long long)value,
                      reason);
}

static void failed(struct check *k, const char *reason)
{
    option_report_add(k->report, OPTION_INVALID, "Validation failed: %s", reason);
}

static void incompatible(struct check *k, const char *reason)
{
    option_report_add(k->report, OPTION_INVALID, "Incompatible configuration: %s", reason);
}

static void missing(struct check *k, const char *field)
{
    option_report_add(k->report, OPTION_INVALID, "Missing required field: %s", field);
}

/* ---- mode ---- */

static void check_bootstrap_ports(struct check *k, const struct option_endpoints *list)
{
    for (size_t i = 0; i < list->n; i++) {
        if (list->items[i].port == 0)
            invalid_number(k, "bootstrap_port", 0, "Port must be between 1 and 65535");
    }
}

static bool is_provider(enum launch_backend b)
{
    return b == LAUNCH_OPENAI || b == LAUNCH_ANTHROPIC || b == LAUNCH_GEMINI;
}

static void check_mode(struct check *k)
{
    check_bootstrap_ports(k, &k->c->prefill);
    check_bootstrap_ports(k, &k->c->encode);
    if (is_provider(k->c->backend) && (k->c->pd_disaggregation || k->c->epd_disaggregation))
        incompatible(k, "--pd-disaggregation and --epd-disaggregation need engines, not --backend openai, anthropic or gemini");
    else if (k->c->epd_disaggregation && !k->c->enable_igw) /* spec data-plane 2.1; there are no gRPC workers yet */
        option_report_add(k->report, OPTION_INVALID, "EPD mode requires gRPC connection_mode and TokenSpeed");
}

/* ---- server settings ---- */

static void check_equal_ports(struct check *k)
{
    const struct {
        const char *flag;
        uint16_t port;
    } listeners[] = {
        { "--port", k->c->port },
        { "--health-check-port", k->c->health_check_port },
        { "--prometheus-port", k->c->prometheus_port },
        { "--mesh-port", k->c->enable_mesh ? k->c->mesh_port : 0 },
    };

    for (size_t i = 0; i < ARRAY_LEN(listeners); i++) {
        for (size_t j = 0; j < i; j++) {
            if (listeners[i].port && listeners[i].port == listeners[j].port)
                option_report_add(k->report, OPTION_INVALID,
                                  "Incompatible configuration: %s and %s are both %u; each listener needs a port of its own",
                                  listeners[j].flag, listeners[i].flag, (unsigned)listeners[i].port);
        }
    }
}

static void check_server(struct check *k)
{
    check_equal_ports(k);
    if (k->c->queue_size > 0 && k->c->queue_timeout_s == 0)
        invalid_number(k, "queue_timeout_secs", 0, "Must be > 0 when queue_size > 0");
    if (k->c->tenant_rate_limit_enabled && !k->c->tenant_rate_limit_config.n)
        missing(k, "tenant_rate_limit_config");
}

static void check_storage_headers(struct check *k)
{
    const struct option_list *list = &k->c->storage_context_headers;
    struct str header, key, other_header, other_key;

    for (size_t i = 0; i < list->n; i++) {
        (void)str_split(list->items[i], '=', &header, &key); /* launch_syntax_header_pair saw the "=" */
        key = str_trim(key);
        if (str_trim(header).n == 0)
            failed(k, "storage_context_headers must not contain empty header names");
        if (key.n == 0)
            failed(k, "storage_context_headers must not contain empty context keys");
        for (size_t j = 0; j < i; j++) {
            (void)str_split(list->items[j], '=', &other_header, &other_key);
            if (key.n && str_eq(key, str_trim(other_key)) && !str_eq_nocase(str_trim(header), str_trim(other_header)))
                option_report_add(
                    k->report, OPTION_INVALID,
                    "Validation failed: storage_context_headers must not map multiple headers to the same context key: '%.*s'",
                    STR_FMT(key));
        }
    }
}

/* ---- plugins (spec wasm-plugins 1) ---- */

struct wasm_bound {
    uint64_t value, min, max;
    const char *zero, *low, *high;
};

static void check_wasm_bound(struct check *k, const struct wasm_bound *b)
{
    if (b->value == 0)
        failed(k, b->zero);
    else if (b->value < b->min)
        failed(k, b->low);
    else if (b->value > b->max)
        failed(k, b->high);
}

static void check_wasm(struct check *k)
{
    const struct launch_config *c = k->c;
    const struct wasm_bound bounds[] = {
        { c->wasm_max_memory_pages, 1, 65536, "max_memory_pages cannot be 0", NULL, "max_memory_pages cannot exceed 65536 (4GB)" },
        { c->wasm_max_execution_time_ms, 1, 300000, "max_execution_time_ms cannot be 0", NULL,
          "max_execution_time_ms cannot exceed 300000ms (5 minutes)" },
        { c->wasm_max_stack_bytes, 65536, 16777216, "max_stack_size cannot be 0", "max_stack_size must be at least 64KB",
          "max_stack_size cannot exceed 16MB" },
        { c->wasm_module_cache_size, 1, 1000, "module_cache_size cannot be 0", NULL, "module_cache_size cannot exceed 1000" },
        { c->wasm_max_body_bytes, 1, 104857600, "max_body_size cannot be 0", NULL, "max_body_size cannot exceed 100MB" },
    };

    for (size_t i = 0; i < ARRAY_LEN(bounds); i++)
        check_wasm_bound(k, &bounds[i]);
    if (!c->enable_wasm && (c->wasm_modules.n || c->wasm_modules_file.n))
        incompatible(k, "--wasm-module and --wasm-modules need --enable-wasm");
}

/* ---- tenants and aliases ---- */

static void check_tenant_header(struct check *k)
{
    struct str name = k->c->tenant_header_name;

    if (name.p && str_trim(name).n == 0)
        failed(k, "tenant_resolution.tenant_header_name must not be empty");
    else if (name.p && !launch_is_header_name(name))
        option_report_add(k->report, OPTION_INVALID,
                          "Validation failed: tenant_resolution.tenant_header_name must be a valid HTTP header name: %.*s",
                          STR_FMT(str_first(name, 120)));
}

/* Messages name tenants, never their keys. */
static void check_tenant_keys(struct check *k)
{
    static const char UNIQUE[] = "Each credential must be unique, or a request could not be told apart";
    const struct option_list *list = &k->c->tenant_api_keys;
    struct str id, key, other_id, other_key;

    for (size_t i = 0; i < list->n; i++) {
        if (!str_split(list->items[i], ':', &id, &key))
            continue; /* reported by the row's own check */
        id = str_trim(id);
        key = str_trim(key);
        if (id.n == 0)
            failed(k, "tenant-api-key: the tenant_id must not be empty");
        if (key.n == 0)
            option_report_add(k->report, OPTION_INVALID,
                              "Validation failed: tenant-api-key: the key of tenant_id '%.*s' must not be empty", STR_FMT(id));
        if (key.n && str_eq(key, k->c->api_key))
            option_report_add(
                k->report, OPTION_INVALID,
                "Validation failed: duplicate API key value: tenant_id '%.*s' uses the same credential as the shared api_key. %s",
                STR_FMT(id), UNIQUE);
        for (size_t j = 0; j < i && key.n; j++) {
            if (str_split(list->items[j], ':', &other_id, &other_key) && str_eq(str_trim(other_key), key))
                option_report_add(
                    k->report, OPTION_INVALID,
                    "Validation failed: duplicate API key value: tenant_id '%.*s' uses the same credential as tenant_id '%.*s'. %s",
                    STR_FMT(id), STR_FMT(str_trim(other_id)), UNIQUE);
        }
    }
}

static void check_aliases(struct check *k)
{
    const struct option_list *list = &k->c->model_aliases;
    struct str alias, canonical, other_alias, other;

    for (size_t i = 0; i < list->n; i++) {
        (void)str_split(list->items[i], '=', &alias, &canonical); /* launch_syntax_alias saw the "=" */
        for (size_t j = 0; j < i; j++) {
            (void)str_split(list->items[j], '=', &other_alias, &other);
            if (!str_eq(str_trim(alias), str_trim(other_alias)) || str_eq(str_trim(canonical), str_trim(other)))
                continue;
            option_report_add(k->report, OPTION_INVALID,
                              "Invalid value for field 'model_alias': %.*s - Alias maps to both '%.*s' and '%.*s'",
                              STR_FMT(str_trim(alias)), STR_FMT(str_trim(other)), STR_FMT(str_trim(canonical)));
            break;
        }
    }
}

/* ---- discovery ---- */

static void check_discovery(struct check *k)
{
    const struct launch_config *c = k->c;

    if (!c->service_discovery)
        return;
    if (c->backend == LAUNCH_OPENAI)
        failed(k, "OpenAI mode does not support service discovery");
    else if (c->backend == LAUNCH_ANTHROPIC)
        failed(k, "Anthropic mode does not support service discovery");
    else if (c->backend == LAUNCH_GEMINI)
        failed(k, "Gemini mode does not support service discovery");
    else if (c->epd_disaggregation) {
        if (!c->encode_selector.n || !c->prefill_selector.n || !c->decode_selector.n)
            failed(k, "EPD mode with service discovery requires non-empty encode_selector, prefill_selector, and decode_selector");
    } else if (c->pd_disaggregation) {
        if (!c->prefill_selector.n && !c->decode_selector.n)
            failed(k, "PD mode with service discovery requires at least one non-empty selector (prefill or decode)");
    } else if (!c->selector.n) {
        failed(k, "Regular mode with service discovery requires a non-empty selector");
    }
}

/* ---- metrics and traces ---- */

static void check_buckets(struct check *k)
{
    const struct option_numbers *list = &k->c->prometheus_duration_buckets;

    for (size_t i = 1; i < list->n; i++) {
        if (list->items[i] <= list->items[i - 1]) {
            option_report_add(k->report, OPTION_INVALID,
                              "Invalid value for field 'prometheus_duration_buckets': %g - Must be above the bound before it, %g",
                              list->items[i], list->items[i - 1]);
            return;
        }
    }
}

static void check_trace(struct check *k)
{
    static const char FIELD[] = "trace_config.otlp_traces_endpoint";
    struct str text = k->c->otlp_traces_endpoint;
    size_t colon = str_rfind_char(text, ':');
    uint64_t port;

    if (!k->c->enable_trace)
        return;
    if (colon == STR_NPOS)
        invalid(k, FIELD, text, "expected format <host>:<port>, e.g., otel-collector:4317 or 127.0.0.1:4317");
    else if (colon == 0)
        invalid(k, FIELD, text, "host part cannot be empty");
    else if (str_to_u64(str_skip(text, colon + 1), &port) < 0 || port < 1 || port > UINT16_MAX)
        invalid(k, FIELD, text, "port must be a number between 1 and 65535");
}

/* ---- compatibility: skipped when models are told apart ---- */

static enum launch_policy effective(enum launch_policy own, enum launch_policy common)
{
    return own == LAUNCH_POLICY_UNSET ? common : own;
}

static void check_compatibility(struct check *k)
{
    const struct launch_config *c = k->c;
    enum launch_policy prefill = effective(c->prefill_policy, c->policy), decode = effective(c->decode_policy, c->policy);
    bool epd = c->epd_disaggregation, pd = c->pd_disaggregation && !epd;

    if (c->enable_igw || is_provider(c->backend))
        return;
    if ((pd && c->decode_policy == LAUNCH_BUCKET) || (epd && decode == LAUNCH_BUCKET))
        incompatible(k, "Decode policy should not be allowed to be bucket");
    if (c->service_discovery)
        return;
    if (!pd && !epd) {
        if (c->policy == LAUNCH_POWER_OF_TWO && c->worker_urls.n < 2)
            incompatible(k, "Power-of-two policy requires at least 2 workers");
        return;
    }
    if (c->policy == LAUNCH_POWER_OF_TWO && c->prefill.n + c->decode.n < 2)
        incompatible(k, "Power-of-two policy requires at least 2 workers");
    if ((epd ? prefill : c->prefill_policy) == LAUNCH_POWER_OF_TWO && c->prefill.n < 2)
        incompatible(k, "Power-of-two policy for prefill requires at least 2 prefill workers");
    if ((epd ? decode : c->decode_policy) == LAUNCH_POWER_OF_TWO && c->decode.n < 2)
        incompatible(k, "Power-of-two policy for decode requires at least 2 decode workers");
}

/* ---- retries, breaker, caches ---- */

static void check_retries(struct check *k)
{
    const struct launch_config *c = k->c;

    if (!c->disable_retries && c->retry_max_retries == 0)
        invalid_number(k, "retry.max_retries", 0, "Must be >= 1 (set to 1 to effectively disable retries)");
    if (c->retry_max_backoff_ms < c->retry_initial_backoff_ms)
        invalid_number(k, "retry.max_backoff_ms", c->retry_max_backoff_ms, "Must be >= initial_backoff_ms");
    if (!c->disable_circuit_breaker && c->cb_failure_threshold == 0)
        invalid_number(k, "circuit_breaker.failure_threshold", 0, "Must be >= 1 (set to u32::MAX to effectively disable CB)");
}

static void check_tokenizer_cache(struct check *k)
{
    const struct launch_config *c = k->c;

    if (c->tokenizer_cache_enable_l0 && c->tokenizer_cache_l0_max_entries == 0)
        invalid_number(k, "tokenizer_cache.l0_max_entries", 0, "Must be > 0 when L0 cache is enabled");
    if (c->tokenizer_cache_enable_l1 && c->tokenizer_cache_l1_max_memory_bytes == 0)
        invalid_number(k, "tokenizer_cache.l1_max_memory", 0, "Must be > 0 when L1 cache is enabled");
}

/* ---- history ---- */

/* What the rules ask of a database URL. base/url is stricter (it refuses user information, which is normal here). */
struct database_url {
    struct str scheme, host, name;
    bool is_url;
};

static struct database_url split_database_url(struct str text)
{
    size_t mark = str_find(text, STR("://")), slash, at;
    struct database_url u = { .is_url = mark != STR_NPOS && mark > 0 };
    struct str authority, rest, port;

    if (!u.is_url)
        return u;
    u.scheme = str_first(text, mark);
    rest = str_skip(text, mark + 3);
    slash = str_find_char(rest, '/');
    authority = slash == STR_NPOS ? rest : str_first(rest, slash);
    if (slash != STR_NPOS)
        (void)str_split(str_skip(rest, slash + 1), '?', &u.name, &port);
    at = str_rfind_char(authority, '@');
    u.host = at == STR_NPOS ? authority : str_skip(authority, at + 1);
    if (u.host.n == 0 || u.host.p[0] != '[')
        (void)str_split(u.host, ':', &u.host, &port);
    return u;
}

static void check_postgres(struct check *k)
{
    struct database_url u = split_database_url(k->c->postgres_db_url);

    if (str_trim(k->c->postgres_db_url).n == 0)
        failed(k, "db_url should not be empty");
    else if (!u.is_url)
        failed(k, "invalid db_url: postgres://user@host/database is expected");
    else if (!str_eq(u.scheme, STR("postgres")) && !str_eq(u.scheme, STR("postgresql")))
        option_report_add(k->report, OPTION_INVALID, "Validation failed: unsupported URL scheme: %.*s", STR_FMT(u.scheme));
    else if (u.host.n == 0)
        failed(k, "db_url must have a host");
    else if (u.name.n == 0)
        failed(k, "db_url must include a database name");
}

static void check_redis(struct check *k)
{
    struct database_url u = split_database_url(k->c->redis_url);

    if (str_trim(k->c->redis_url).n == 0)
        failed(k, "redis url should not be empty");
    else if (!u.is_url)
        failed(k, "invalid redis url: redis://host:6379 is expected");
    else if (!str_eq(u.scheme, STR("redis")) && !str_eq(u.scheme, STR("rediss")))
        option_report_add(k->report, OPTION_INVALID, "Validation failed: unsupported URL scheme: %.*s", STR_FMT(u.scheme));
    else if (u.host.n == 0)
        failed(k, "redis url must have a host");
}

static void check_oracle(struct check *k)
{
    const struct launch_config *c = k->c;

    if (!c->oracle_dsn.n && !c->oracle_wallet_path.n)
        missing(k, "oracle_wallet_path or ATP_WALLET_PATH");
    if (!c->oracle_dsn.n && !c->oracle_tns_alias.n)
        missing(k, "oracle_tns_alias or ATP_TNS_ALIAS");
    if (c->oracle_external_auth && (c->oracle_user.n || c->oracle_password.n))
        failed(k, "oracle.username and oracle.password must be empty when oracle.external_auth is true");
    if (!c->oracle_external_auth && !c->oracle_user.n)
        missing(k, "oracle_user or ATP_USER");
    if (!c->oracle_external_auth && !c->oracle_password.n)
        missing(k, "oracle_password or ATP_PASSWORD");
    if (c->oracle_pool_max < c->oracle_pool_min)
        failed(k, "pool maximum must be greater than or equal to minimum");
}

static void check_history(struct check *k)
{
    switch (k->c->history_backend) {
    case LAUNCH_HISTORY_POSTGRES:
        check_postgres(k);
        break;
    case LAUNCH_HISTORY_REDIS:
        check_redis(k);
        break;
    case LAUNCH_HISTORY_ORACLE:
        check_oracle(k);
        break;
    case LAUNCH_HISTORY_MEMORY:
    case LAUNCH_HISTORY_NONE:
        break;
    }
}

/* ---- TLS, control-plane auth, mesh ---- */

static void check_tls_and_auth(struct check *k)
{
    const struct launch_config *c = k->c;

    if (!c->tls_cert_path.p != !c->tls_key_path.p)
        failed(k, "Both --tls-cert-path and --tls-key-path must be specified together");
    if (c->tls_client_ca_path.p && !c->tls_cert_path.p)
        failed(k, "--tls-client-ca-path needs --tls-cert-path and --tls-key-path");
    if (!c->client_cert_path.p != !c->client_key_path.p)
        failed(k, "Both --client-cert-path and --client-key-path must be specified together");
    if (!c->jwt_issuer.n != !c->jwt_audience.n)
        failed(k, "Both --jwt-issuer and --jwt-audience must be specified together");
    if (c->jwt_jwks_uri.n && !c->jwt_issuer.n)
        failed(k, "--jwt-jwks-uri needs --jwt-issuer and --jwt-audience");
    if (c->disable_audit_logging && c->control_plane_audit_enabled)
        failed(k, "--disable-audit-logging and --control-plane-audit-enabled contradict each other");
}

static void check_mesh_address(struct check *k, const char *field, struct str address)
{
    if (!launch_is_address(address))
        option_report_add(k->report, OPTION_INVALID,
                          "Invalid value for field '%s': %.*s - invalid mesh socket address '%.*s:%u': an IP address is expected",
                          field, STR_FMT(str_first(address, 120)), STR_FMT(str_first(address, 120)), (unsigned)k->c->mesh_port);
}

static void check_mesh(struct check *k)
{
    const struct launch_config *c = k->c;
    struct str advertised = c->mesh_advertise_host.p ? c->mesh_advertise_host : c->mesh_host,
               bare = launch_without_brackets(advertised);

    if (!c->enable_mesh)
        return;
    if (c->mesh_server_name.p && (c->mesh_server_name.n == 0 || str_find_char(c->mesh_server_name, ':') != STR_NPOS))
        invalid(k, "mesh_server_name", c->mesh_server_name, "must be non-empty and must not contain ':'");
    check_mesh_address(k, "mesh_host", c->mesh_host);
    if (c->mesh_advertise_host.p)
        check_mesh_address(k, "mesh_advertise_host", c->mesh_advertise_host);
    if (str_eq(bare, STR("0.0.0.0")) || str_eq(bare, STR("::")))
        failed(k, "mesh advertise address cannot be unspecified; set --mesh-advertise-host to a routable node IP");
}

void launch_check(const struct launch_config *c, struct option_report *report)
{
    struct check k = { c, report };

    check_mode(&k);
    check_server(&k);
    check_storage_headers(&k);
    check_wasm(&k);
    check_tenant_header(&k);
    check_tenant_keys(&k);
    check_aliases(&k);
    check_discovery(&k);
    check_buckets(&k);
    check_trace(&k);
    check_compatibility(&k);
    check_retries(&k);
    check_history(&k);
    check_tokenizer_cache(&k);
    check_tls_and_auth(&k);
    check_mesh(&k);
}
