/* launch_check.c -- the rules between options (spec operations 5.3, 5.4; cases 4 to 13 of section 24), also of features that are missing: for them the table is
 * copied with every row available, as the issue that brings a feature will make it */
#include "parsed.h"

static struct option *open_rows;
static struct option_table open_table;

static const struct option_name *open_names(const struct option_name *names)
{
    struct option_name *copy;
    size_t n = 0;

    while (names[n].name)
        n++;
    copy = calloc(n + 1, sizeof *copy);
    assert_non_null(copy);
    for (size_t i = 0; i < n; i++)
        copy[i] = (struct option_name){ names[i].name, names[i].value, OPT_AVAILABLE };
    return copy;
}

static int open_the_table(void **state)
{
    open_table = LAUNCH_TABLE;
    open_rows = calloc(LAUNCH_TABLE.options_n, sizeof *open_rows);
    assert_non_null(open_rows);
    for (size_t i = 0; i < LAUNCH_TABLE.options_n; i++) {
        open_rows[i] = LAUNCH_TABLE.options[i];
        open_rows[i].state = OPT_AVAILABLE;
        open_rows[i].inert = NULL;
        if (open_rows[i].names)
            open_rows[i].names = open_names(open_rows[i].names);
    }
    open_table.options = open_rows;
    return 0;
}

static int close_the_table(void **state)
{
    for (size_t i = 0; i < open_table.options_n; i++)
        free((void *)(uintptr_t)open_rows[i].names);
    free(open_rows);
    return 0;
}

static void parse_open(struct parsed *p, struct launch_config *c, int argc, const char *const *argv)
{
    parse_with(p, &open_table, c, sizeof *c, NULL, argc, argv);
    if (p->report.worst == OPTION_USAGE)
        return;
    launch_check(c, &p->report);
    p->result = p->report.worst > OPTION_NOTE ? ERR_INVALID : 0;
}

struct line {
    const char *argv[12];
    int status;
    const char *says;
};

static void check_lines(const struct line *lines, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        _cleanup_(parsed_fini) struct parsed p;
        struct launch_config c;
        int argc = 0;

        while (argc < 12 && lines[i].argv[argc])
            argc++;
        parse_open(&p, &c, argc, lines[i].argv);
        if (option_report_status(&p.report) != lines[i].status || (lines[i].says && !has_problem(&p, lines[i].says))) {
            print_problems(&p);
            fail_msg("line %zu (%s): expected status %d and \"%s\"", i, lines[i].argv[0], lines[i].status,
                     lines[i].says ? lines[i].says : "");
        }
    }
}

static void case_4_prefill_and_decode_workers(void **state)
{
    static const char *const argv[] = { "--pd-disaggregation", "--prefill",  "http://p:1", "9001",
                                        "--prefill",           "http://q:1", "none",       "--prefill",
                                        "http://r:1",          "--decode",   "http://d:1" };
    static const struct line LINES[] = {
        { { "--prefill", "http://p:1", "0" }, 1, "Invalid value for field 'bootstrap_port': 0 - Port must be between 1 and 65535" },
        { { "--prefill", "http://p:1", "70000" }, 2, "bootstrap port" },
        { { "--prefill", "http://p:1", "seven" }, 2, "unexpected argument 'seven'" },
        { { "--prefill=p:1" }, 1, "URL must start with a lowercase" },
        { { "--decode", "p:1" }, 1, "URL must start with a lowercase" },
        { { "--pd-disaggregation", "--backend", "openai" }, 1, "need engines" },
        { { "--epd-disaggregation" }, 1, "EPD mode requires gRPC connection_mode and TokenSpeed" },
    };
    _cleanup_(parsed_fini) struct parsed p;
    struct launch_config c;

    parse_open(&p, &c, (int)ARRAY_LEN(argv), argv);
    assert_accepted(&p);
    assert_int_equal(c.prefill.n, 3);
    assert_int_equal(c.prefill.items[0].port, 9001);
    assert_int_equal(c.prefill.items[1].port, -1);
    assert_str(c.prefill.items[2].url, "http://r:1");
    assert_int_equal(c.decode.n, 1);
    check_lines(LINES, ARRAY_LEN(LINES));
}

static void case_5_policies_that_need_two_workers(void **state)
{
    static const struct line LINES[] = {
        { { "--pd-disaggregation", "--policy", "power_of_two", "--prefill", "http://p:1", "--decode", "http://d:1" }, 0, NULL },
        { { "--pd-disaggregation", "--policy", "power_of_two", "--prefill", "http://p:1" },
          1,
          "Power-of-two policy requires at least 2 workers" },
        { { "--pd-disaggregation", "--prefill-policy", "power_of_two", "--prefill", "http://p:1" },
          1,
          "requires at least 2 prefill workers" },
        { { "--pd-disaggregation", "--decode-policy", "power_of_two", "--decode", "http://p:1" },
          1,
          "requires at least 2 decode workers" },
        { { "--epd-disaggregation", "--policy", "power_of_two", "--prefill", "http://p:1", "--decode", "http://d:1" },
          1,
          "requires at least 2 prefill workers" },
        { { "--pd-disaggregation", "--decode-policy", "bucket" }, 1, "Decode policy should not be allowed to be bucket" },
        { { "--epd-disaggregation", "--policy", "bucket" }, 1, "Decode policy should not be allowed to be bucket" },
        { { "--epd-disaggregation", "--policy", "bucket", "--enable-igw" }, 0, NULL },
        { { "--encode-policy", "bucket" }, 2, "possible values: random, round_robin, consistent_hashing" },
    };

    check_lines(LINES, ARRAY_LEN(LINES));
}

static void case_7_tenant_keys_are_unique_and_never_shown(void **state)
{
    static const struct line LINES[] = {
        { { "--tenant-api-key", "nocolon" },
          1,
          "Invalid value for field 'tenant-api-key': <redacted> - expected 'tenant_id:key' (missing ':' separator)" },
        { { "--tenant-api-key", "a:k3y", "--tenant-api-key", "b:k3y" },
          1,
          "tenant_id 'b' uses the same credential as tenant_id 'a'" },
        { { "--tenant-api-key", "a:k3y", "--api-key", "k3y" }, 1, "tenant_id 'a' uses the same credential as the shared api_key" },
        { { "--tenant-api-key", ":k3y" }, 1, "tenant_id must not be empty" },
        { { "--tenant-api-key", "a: " }, 1, "the key of tenant_id 'a' must not be empty" },
        { { "--tenant-api-key", "a:k1", "--tenant-api-key", "b:k2:x" }, 0, NULL },
        { { "--tenant-header-name", "" }, 1, "tenant_header_name must not be empty" },
        { { "--tenant-header-name", "a b" }, 1, "must be a valid HTTP header name: a b" },
    };

    for (size_t i = 0; i < ARRAY_LEN(LINES); i++) {
        _cleanup_(parsed_fini) struct parsed p;
        struct launch_config c;
        int argc = 0;

        while (argc < 12 && LINES[i].argv[argc])
            argc++;
        parse_open(&p, &c, argc, LINES[i].argv);
        assert_false(has_problem(&p, "nocolon"));
        assert_false(has_problem(&p, "k3y"));
    }
    check_lines(LINES, ARRAY_LEN(LINES));
}

static void cases_8_to_11_tls_mesh_discovery_traces(void **state)
{
    static const struct line LINES[] = {
        { { "--tls-cert-path", "x" }, 1, "Both --tls-cert-path and --tls-key-path must be specified together" },
        { { "--client-key-path", "x" }, 1, "Both --client-cert-path and --client-key-path must be specified together" },
        { { "--tls-cert-path", "x", "--tls-key-path", "y" }, 0, NULL },
        { { "--jwt-jwks-uri", "https://x" }, 1, "--jwt-jwks-uri needs --jwt-issuer and --jwt-audience" },
        { { "--disable-audit-logging", "--control-plane-audit-enabled" }, 1, "contradict each other" },
        { { "--jwt-issuer", "x" }, 1, "Both --jwt-issuer and --jwt-audience must be specified together" },
        { { "--enable-mesh" }, 1, "mesh advertise address cannot be unspecified; set --mesh-advertise-host" },
        { { "--enable-mesh", "--mesh-host", "127.0.0.1" }, 0, NULL },
        { { "--enable-mesh", "--mesh-host", "gw.example" }, 1, "invalid mesh socket address 'gw.example:39527'" },
        { { "--enable-mesh", "--mesh-advertise-host", "10.0.0.1" }, 0, NULL },
        { { "--enable-mesh", "--mesh-host", "127.0.0.1", "--mesh-server-name", "a:b" },
          1,
          "must be non-empty and must not contain ':'" },
        { { "--enable-mesh", "--mesh-host", "127.0.0.1", "--mesh-server-name", "" },
          1,
          "must be non-empty and must not contain ':'" },
        { { "--enable-mesh", "--mesh-host", "127.0.0.1", "--mesh-port", "30000" }, 1, "--port and --mesh-port are both 30000" },
        { { "--service-discovery" }, 1, "Regular mode with service discovery requires a non-empty selector" },
        { { "--service-discovery", "--selector", "a=1 b=2", "c=3" }, 0, NULL },
        { { "--service-discovery", "--selector", "a" }, 2, "Expected: key=value" },
        { { "--service-discovery", "--selector", "a=1 b" }, 2, "Expected: key=value" },
        { { "--service-discovery", "--backend", "openai" }, 1, "OpenAI mode does not support service discovery" },
        { { "--service-discovery", "--backend", "anthropic" }, 1, "Anthropic mode does not support service discovery" },
        { { "--service-discovery", "--backend", "gemini" }, 1, "Gemini mode does not support service discovery" },
        { { "--service-discovery", "--pd-disaggregation" },
          1,
          "PD mode with service discovery requires at least one non-empty selector" },
        { { "--service-discovery", "--pd-disaggregation", "--prefill-selector", "a=b" }, 0, NULL },
        { { "--service-discovery", "--epd-disaggregation", "--prefill-selector", "a=b" },
          1,
          "EPD mode with service discovery requires non-empty" },
        { { "--service-discovery-port", "0" }, 1, "Invalid value for field 'discovery.port': 0 - Port must be > 0" },
        { { "--model-id-from", "Namespace" }, 0, NULL },
        { { "--model-id-from", "label:x" }, 0, NULL },
        { { "--model-id-from", "label:" }, 2, "label: requires a key name" },
        { { "--model-id-from", "annotation:" }, 2, "annotation: requires a key name" },
        { { "--model-id-from", "pod" }, 2, "Expected: namespace, label:<key>, or annotation:<key>" },
        { { "--enable-trace", "--otlp-traces-endpoint", "collector" }, 1, "expected format <host>:<port>" },
        { { "--enable-trace", "--otlp-traces-endpoint", ":4317" }, 1, "host part cannot be empty" },
        { { "--enable-trace", "--otlp-traces-endpoint", "h:0" }, 1, "port must be a number between 1 and 65535" },
        { { "--enable-trace", "--otlp-traces-endpoint", "::1:4317" }, 0, NULL },
        { { "--otlp-traces-endpoint", "collector" }, 0, NULL },
    };

    check_lines(LINES, ARRAY_LEN(LINES));
}

static void case_12_history_backends(void **state)
{
    static const struct line LINES[] = {
        { { "--history-backend", "postgres" }, 1, "Validation failed: db_url should not be empty" },
        { { "--history-backend", "postgres", "--postgres-db-url", "postgres://u@h" }, 1, "db_url must include a database name" },
        { { "--history-backend", "postgres", "--postgres-db-url", "postgres://u@h/" }, 1, "db_url must include a database name" },
        { { "--history-backend", "postgres", "--postgres-db-url", "mysql://u@h/d" }, 1, "unsupported URL scheme: mysql" },
        { { "--history-backend", "postgres", "--postgres-db-url", "postgres:///db" }, 1, "db_url must have a host" },
        { { "--history-backend", "postgres", "--postgres-db-url", "postgres://u:p@:5432/db" }, 1, "db_url must have a host" },
        { { "--history-backend", "postgres", "--postgres-db-url", "db" }, 1, "invalid db_url" },
        { { "--history-backend", "postgres", "--postgres-db-url", "postgresql://u:p@h:5432/db?sslmode=disable" }, 0, NULL },
        { { "--history-backend", "postgres", "--postgres-db-url", "postgres://h/d", "--postgres-pool-max", "0" },
          1,
          "pool_max must be greater than 0" },
        { { "--history-backend", "redis" }, 1, "redis url should not be empty" },
        { { "--history-backend", "redis", "--redis-url", "http://h" }, 1, "unsupported URL scheme: http" },
        { { "--history-backend", "redis", "--redis-url", "redis://:6379" }, 1, "redis url must have a host" },
        { { "--history-backend", "redis", "--redis-url", "host" }, 1, "invalid redis url" },
        { { "--history-backend", "redis", "--redis-url", "rediss://:p@[::1]:6379/0", "--redis-retention-days", "-1" }, 0, NULL },
        { { "--history-backend", "oracle" }, 1, "Missing required field: oracle_wallet_path or ATP_WALLET_PATH" },
        { { "--history-backend", "oracle", "--oracle-dsn", "d" }, 1, "Missing required field: oracle_user or ATP_USER" },
        { { "--history-backend", "oracle", "--oracle-connect-descriptor", "d", "--oracle-username", "u", "--oracle-password", "p" },
          0,
          NULL },
        { { "--history-backend", "oracle", "--oracle-dsn", "d", "--oracle-external-auth", "--oracle-user", "u" },
          1,
          "must be empty when oracle.external_auth is true" },
        { { "--history-backend", "oracle", "--oracle-dsn", "d", "--oracle-external-auth", "--oracle-pool-min", "0" },
          1,
          "pool minimum must be at least 1" },
        { { "--history-backend", "oracle", "--oracle-dsn", "d", "--oracle-external-auth", "--oracle-pool-min", "3",
            "--oracle-pool-max", "2" },
          1,
          "pool maximum must be greater than or equal to minimum" },
        { { "--history-backend", "oracle", "--oracle-dsn", "d", "--oracle-external-auth" }, 0, NULL },
        { { "--history-backend", "none" }, 0, NULL },
        { { "--history-backend", "sqlite" }, 2, "possible values: memory, none, oracle, postgres, redis" },
    };

    check_lines(LINES, ARRAY_LEN(LINES));
}

static void case_13_retries_breaker_queue_caches(void **state)
{
    static const struct line LINES[] = {
        { { "--retry-max-retries", "0" }, 1, "Must be >= 1 (set to 1 to effectively disable retries)" },
        { { "--retry-max-retries", "0", "--disable-retries" }, 0, NULL },
        { { "--retry-initial-backoff-ms", "0" }, 1, "Invalid value for field 'retry.initial_backoff_ms': 0 - Must be > 0" },
        { { "--retry-initial-backoff-ms", "10", "--retry-max-backoff-ms", "9" }, 1, "Must be >= initial_backoff_ms" },
        { { "--retry-backoff-multiplier", "0.9" }, 1, "Must be >= 1.0" },
        { { "--retry-jitter-factor", "1.1" }, 1, "Must be between 0.0 and 1.0" },
        { { "--cb-failure-threshold", "0" }, 1, "Must be >= 1 (set to u32::MAX to effectively disable CB)" },
        { { "--cb-failure-threshold", "0", "--disable-circuit-breaker" }, 0, NULL },
        { { "--cb-success-threshold", "0" }, 1, "Must be >= 1" },
        { { "--cb-timeout-duration-secs", "0" }, 1, "Must be > 0" },
        { { "--queue-timeout-secs", "0" }, 1, "Must be > 0 when queue_size > 0" },
        { { "--queue-timeout-secs", "0", "--queue-size", "0" }, 0, NULL },
        { { "--rate-limit-tokens-per-second", "-1" }, 1, "Must be >= 0 when specified" },
        { { "--rate-limit-tokens-per-second", "0" }, 0, NULL },
        { { "--tenant-rate-limit-enabled" }, 1, "Missing required field: tenant_rate_limit_config" },
        { { "--tenant-rate-limit-enabled", "--tenant-rate-limit-config", "limits.yaml" }, 0, NULL },
        { { "--priority-scheduler-default-max-class", "urgent" }, 1, "Must be system, interactive, default or bulk" },
        { { "--priority-scheduler-default-max-class", " Bulk" }, 0, NULL },
        { { "--tokenizer-cache-enable-l0", "--tokenizer-cache-l0-max-entries", "0" }, 1, "Must be > 0 when L0 cache is enabled" },
        { { "--tokenizer-cache-enable-l1", "--tokenizer-cache-l1-max-memory", "0" }, 1, "Must be > 0 when L1 cache is enabled" },
        { { "--tokenizer-cache-l0-max-entries", "0" }, 0, NULL },
        { { "--cache-threshold", "1.1" }, 1, "Must be between 0.0 and 1.0" },
        { { "--balance-rel-threshold", "0.5" }, 1, "Must be >= 1.0" },
        { { "--balance-token-usage-threshold", "0" }, 1, "Must be > 0.0 (use >= 1.0 to disable)" },
        { { "--eviction-interval-secs", "0" }, 1, "Must be > 0" },
        { { "--bucket-adjust-interval-secs", "4294967296" }, 1, "Must be >= 1s and < 4294967296s" },
        { { "--least-load-default-throughput", "0" }, 1, "Must be finite and > 0.0" },
        { { "--load-monitor-interval", "0" }, 1, "Must be > 0" },
    };

    check_lines(LINES, ARRAY_LEN(LINES));
}

static void storage_headers_and_credentials_have_a_form(void **state)
{
    static const struct line LINES[] = {
        { { "--storage-context-headers", "x-a=a", "x-b=b" }, 0, NULL },
        { { "--storage-context-headers", "x-a" }, 2, "Expected: header=key" },
        { { "--storage-context-headers", "=a" }, 1, "must not contain empty header names" },
        { { "--storage-context-headers", "x-a= " }, 1, "must not contain empty context keys" },
        { { "--storage-context-headers", "x-a=k", "x-b=k" }, 1, "must not map multiple headers to the same context key: 'k'" },
        { { "--control-plane-api-keys", "a:b:admin:k", "c:d:User:k2:x" }, 0, NULL },
        { { "--control-plane-api-keys", "a:b:admin" },
          2,
          "invalid value '<redacted>' for '--control-plane-api-keys <ID:NAME:ROLE:KEY>': Expected 'id:name:role:key'" },
        { { "--control-plane-api-keys", "a:b:root:k" }, 2, "Valid roles: admin, user" },
        { { "--jwt-role-mapping", "ops=admin", "dev=user" }, 0, NULL },
        { { "--jwt-role-mapping", "ops" }, 2, "Expected 'idp_role=gateway_role'" },
        { { "--jwt-role-mapping", "ops=root" }, 2, "Valid roles: admin, user" },
        { { "--webrtc-stun-server", "none" }, 0, NULL },
        { { "--webrtc-stun-server", "stun.example:3478" }, 0, NULL },
        { { "--webrtc-stun-server", "stun.example" }, 1, "Must be <host>:<port> or none" },
    };

    check_lines(LINES, ARRAY_LEN(LINES));
}

static void the_helm_argument_list_is_fine_once_its_features_are_there(void **state)
{
    static const char *const argv[] = {
        "--host",
        "0.0.0.0",
        "--port",
        "30000",
        "--policy",
        "cache_aware",
        "--cache-threshold",
        "0.3",
        "--balance-abs-threshold",
        "64",
        "--balance-rel-threshold",
        "1.5",
        "--eviction-interval",
        "120",
        "--max-tree-size",
        "67108864",
        "--block-size",
        "16",
        "--max-payload-size",
        "536870912",
        "--request-timeout-secs",
        "1800",
        "--max-concurrent-requests",
        "-1",
        "--queue-size",
        "100",
        "--queue-timeout-secs",
        "60",
        "--retry-max-retries",
        "5",
        "--retry-initial-backoff-ms",
        "50",
        "--retry-max-backoff-ms",
        "30000",
        "--retry-backoff-multiplier",
        "1.5",
        "--retry-jitter-factor",
        "0.2",
        "--cb-failure-threshold",
        "10",
        "--cb-success-threshold",
        "3",
        "--cb-timeout-duration-secs",
        "60",
        "--cb-window-duration-secs",
        "120",
        "--health-failure-threshold",
        "3",
        "--health-success-threshold",
        "2",
        "--health-check-timeout-secs",
        "5",
        "--health-check-interval-secs",
        "60",
        "--health-check-endpoint",
        "/health",
        "--prometheus-port",
        "29000",
        "--log-level",
        "info",
        "--enable-mesh",
        "--mesh-host",
        "10.1.2.3",
        "--mesh-port",
        "39527",
        "--mesh-server-name",
        "smg-0",
        "--service-discovery",
        "--selector",
        "app.kubernetes.io/instance=r",
        "app.kubernetes.io/component=worker",
        "--router-selector",
        "app.kubernetes.io/component=router",
        "--service-discovery-namespace",
        "ns",
        "--service-discovery-port",
        "8000",
    };
    _cleanup_(parsed_fini) struct parsed p;
    struct launch_config c;

    parse_open(&p, &c, (int)ARRAY_LEN(argv), argv);
    assert_accepted(&p);
    assert_int_equal(c.selector.n, 2);
    assert_int_equal(c.max_concurrent_requests, -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(case_4_prefill_and_decode_workers),
        cmocka_unit_test(case_5_policies_that_need_two_workers),
        cmocka_unit_test(case_7_tenant_keys_are_unique_and_never_shown),
        cmocka_unit_test(cases_8_to_11_tls_mesh_discovery_traces),
        cmocka_unit_test(case_12_history_backends),
        cmocka_unit_test(case_13_retries_breaker_queue_caches),
        cmocka_unit_test(storage_headers_and_credentials_have_a_form),
        cmocka_unit_test(the_helm_argument_list_is_fine_once_its_features_are_there),
    };
    return cmocka_run_group_tests(tests, open_the_table, close_the_table);
}
