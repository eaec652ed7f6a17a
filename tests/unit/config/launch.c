/* launch.c -- command lines of `smg launch` as operators write them; the numbers are those of spec operations 24 */
#include "parsed.h"

#define LAUNCH(p, c, ...) PARSE((p), &LAUNCH_TABLE, (c), NULL, ##__VA_ARGS__)

/* One command line of up to eight words, and what it is answered. */
struct line {
    const char *argv[8];
    int status; /* 0, 1 or 2 */
    const char *says;
};

static void check_lines(const struct line *lines, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        _cleanup_(parsed_fini) struct parsed p;
        struct launch_config c;
        int argc = 0;

        while (argc < 8 && lines[i].argv[argc])
            argc++;
        parse_with(&p, &LAUNCH_TABLE, &c, sizeof c, NULL, argc, lines[i].argv);
        if (option_report_status(&p.report) != lines[i].status || (p.result != 0) != (lines[i].status != 0) ||
            (lines[i].says && !has_problem(&p, lines[i].says))) {
            print_problems(&p);
            fail_msg("line %zu: %s %s: expected status %d and \"%s\"", i, argc ? lines[i].argv[0] : "",
                     argc > 1 ? lines[i].argv[1] : "", lines[i].status, lines[i].says ? lines[i].says : "");
        }
    }
}

static void case_1_the_version_is_asked_for_before_anything_else(void **state)
{
    const char *const argv[] = { "launch", "--port", "bogus", "-V" };

    assert_int_equal(option_version_asked(4, argv), VERSION_SHORT);
}

static void case_2_ports_and_unknown_flags(void **state)
{
    static const struct line LINES[] = {
        { { "--port", "0" }, 1, "Invalid value for field 'port': 0 - Port must be > 0" },
        { { "--port", "70000" }, 2, "invalid value '70000' for '--port <PORT>': not in 0..=65535" },
        { { "--nope" }, 2, "unexpected argument '--nope'" },
        { { "--prot", "1" }, 2, "unexpected argument '--prot'; did you mean '--port'?" },
        { { "--health-check-port", "70000" }, 2, "not in 0..=65535" },
        { { "--health-check-port", "0" }, 1, "unstable OS-ephemeral port" },
        { { "--prometheus-port", "0" }, 1, "Invalid value for field 'metrics.port': 0 - Port must be > 0 (--prometheus-port)" },
        { { "--port", "1", "--health-check-port", "2", "--prometheus-port", "3" }, 0, NULL },
        { { "--port", "29000" }, 1, "--port and --prometheus-port are both 29000" },
        { { "--health-check-port", "30000" }, 1, "--port and --health-check-port are both 30000" },
        { { "--health-check-port=5", "--prometheus-port=5" }, 1, "--health-check-port and --prometheus-port are both 5" },
        { { "launch" }, 2, "unexpected argument 'launch'" },
    };

    check_lines(LINES, ARRAY_LEN(LINES));
}

static void case_3_worker_urls(void **state)
{
    static const struct line LINES[] = {
        { { "--worker-urls", "10.0.0.5:8000" },
          1,
          "URL must start with a lowercase http://, https://, grpc://, grpcs://, or ipc:// scheme" },
        { { "--worker-urls", "HTTP://x:1" },
          1,
          "Invalid value for field 'worker_url': HTTP://x:1 - URL must start with a lowercase" },
        { { "--worker-urls", "ftp://x:1" }, 1, "URL must start with a lowercase" },
        { { "--worker-urls", "http://" }, 1, "worker_url" },
        { { "--worker-urls", "ipc://" }, 1, "ipc:// worker URL must include a socket path" },
        { { "--worker-urls", "" }, 1, "URL cannot be empty" },
        { { "--worker-urls", "grpcs://w.example:443" }, 1, "gRPC workers are not available in this version" },
        { { "--worker-urls", "grpc://a:1" },
          1,
          "Invalid value for field 'worker_url': grpc://a:1 - gRPC workers are not available in this version" },
        { { "--worker-urls", "ipc:///run/e0" }, 1, "ZMQ workers (ipc://) are not available in this version" },
        { { "--worker-urls", "https://w.example", "http://[::1]:8000" }, 0, NULL },
    };
    _cleanup_(parsed_fini) struct parsed p, q, r;
    struct launch_config c;

    LAUNCH(&p, &c, "--worker-urls", "http://a:1", "http://b:2", "--policy", "random");
    assert_accepted(&p);
    assert_int_equal(c.worker_urls.n, 2);
    assert_str(c.worker_urls.items[1], "http://b:2");
    assert_int_equal(c.policy, LAUNCH_RANDOM);
    LAUNCH(&q, &c, "--worker-urls", "http://a:1", "--worker-urls", "http://b:2");
    assert_accepted(&q);
    assert_int_equal(c.worker_urls.n, 2);
    LAUNCH(&r, &c, "--worker-urls");
    assert_accepted(&r);
    assert_int_equal(c.worker_urls.n, 0);
    check_lines(LINES, ARRAY_LEN(LINES));
}

static void every_bad_worker_url_is_named(void **state)
{
    _cleanup_(parsed_fini) struct parsed p;
    struct launch_config c;

    LAUNCH(&p, &c, "--worker-urls", "a:1", "http://ok:1", "grpc://b:1", "--port", "0", "--health-check-endpoint", "health");
    assert_refused(&p, 1, "a:1 - URL must start");
    assert_true(has_problem(&p, "grpc://b:1 - gRPC"));
    assert_true(has_problem(&p, "Port must be > 0"));
    assert_true(has_problem(&p, "Must begin with '/'"));
    assert_int_equal(p.report.n, 4);
}

static void case_4_prefill_and_encode_are_noted_where_their_mode_is_off(void **state)
{
    _cleanup_(parsed_fini) struct parsed p, q;
    struct launch_config c;

    LAUNCH(&p, &c, "--prefill", "http://p:1", "9001", "--prefill", "http://q:1", "none", "--encode=http://e:1", "--decode",
           "http://d:1");
    assert_accepted(&p);
    assert_true(has_problem(&p, "--prefill and --decode are ignored without --pd-disaggregation"));
    assert_true(has_problem(&p, "--encode is ignored without --epd-disaggregation"));
    assert_int_equal(c.prefill.n, 2);
    LAUNCH(&q, &c, "--pd-disaggregation", "--worker-urls", "http://w:1", "--prefill", "http://p:1", "--decode", "http://d:1");
    assert_accepted(&q);
    assert_true(has_problem(&q, "--worker-urls is ignored with --pd-disaggregation: write --prefill and --decode"));
    assert_false(has_problem(&q, "--prefill and --decode are ignored"));
}

static void policies_of_the_sides_are_noted_where_models_are_told_apart(void **state)
{
    static const char NOTE[] =
        "--prefill-policy and --decode-policy are ignored with --enable-igw: --policy holds for both sides of a pair";
    _cleanup_(parsed_fini) struct parsed p, q;
    struct launch_config c;

    LAUNCH(&p, &c, "--enable-igw", "--pd-disaggregation", "--prefill", "http://p:1", "--decode", "http://d:1", "--decode-policy",
           "random");
    assert_accepted(&p);
    assert_true(has_problem(&p, NOTE));
    LAUNCH(&q, &c, "--enable-igw", "--pd-disaggregation", "--prefill", "http://p:1", "--decode", "http://d:1");
    assert_accepted(&q);
    assert_false(has_problem(&q, NOTE));
}

static void case_5_power_of_two_needs_two_workers(void **state)
{
    static const struct line LINES[] = {
        { { "--policy", "power_of_two", "--worker-urls", "http://a:1" }, 1, "Power-of-two policy requires at least 2 workers" },
        { { "--policy", "power_of_two" }, 1, "Power-of-two policy requires at least 2 workers" },
        { { "--policy", "power_of_two", "--worker-urls", "http://a:1", "--enable-igw" }, 0, NULL },
        { { "--policy", "power_of_two", "--worker-urls", "http://a:1", "http://b:1" }, 0, NULL },
    };

    check_lines(LINES, ARRAY_LEN(LINES));
}

static void case_6_model_aliases(void **state)
{
    static const struct line LINES[] = {
        { { "--model-alias", "x=a", "--model-alias", "x=b" },
          1,
          "Invalid value for field 'model_alias': x - Alias maps to both 'a' and 'b'" },
        { { "--model-alias", "x=" }, 2, "Alias and canonical model ID must be non-empty" },
        { { "--model-alias", "=a" }, 2, "Alias and canonical model ID must be non-empty" },
        { { "--model-alias", "a=a" }, 2, "Alias must differ from the canonical model ID" },
        { { "--model-alias", "x" }, 2, "Expected: <alias>=<canonical>" },
        { { "--model-alias", "x=a", "--model-alias", "x=a" }, 0, NULL },
        { { "--model-alias", "x=a", "--model-alias=y=a" }, 0, NULL },
    };

    check_lines(LINES, ARRAY_LEN(LINES));
}

static void case_7_to_12_options_of_missing_features_stop_the_start(void **state)
{
    static const struct line LINES[] = {
        { { "--tls-cert-path", "x" }, 1, "Both --tls-cert-path and --tls-key-path must be specified together" },
        { { "--client-key-path", "x" }, 1, "Both --client-cert-path and --client-key-path must be specified together" },
        { { "--tls-client-ca-path", "x" }, 1, "--tls-client-ca-path needs --tls-cert-path and --tls-key-path" },
        { { "--enable-mesh" }, 2, "--enable-mesh is not available in this version" },
        { { "--service-discovery" }, 2, "--service-discovery is not available in this version" },
        { { "--enable-trace", "--otlp-traces-endpoint", "collector" },
          2,
          "--otlp-traces-endpoint is not available in this version" },
        { { "--history-backend", "postgres" }, 2, "--history-backend is not available in this version" },
        { { "--history-backend", "memory" }, 2, "--history-backend is not available in this version" },
        { { "--history-backend", "none" }, 0, NULL },
        { { "--backend", "openai" }, 2, "--backend openai is not available in this version" },
        { { "--runtime", "gemini" }, 2, "--runtime gemini is not available in this version" },
        { { "--runtime", "vllm" }, 0, NULL },
        { { "--backend", "tgi" }, 2, "possible values: sglang, vllm, trtllm, tokenspeed" },
        { { "--policy", "fastest" },
          2,
          "invalid value 'fastest' for '--policy <POLICY>': possible values: round_robin, random, power_of_two, cache_aware" },
        { { "--selector" }, 2, "--selector is not available in this version" },
    };

    check_lines(LINES, ARRAY_LEN(LINES));
}

static void case_13_values_that_switch_a_missing_feature_off_are_fine(void **state)
{
    static const struct line LINES[] = {
        { { "--max-concurrent-requests=-1" }, 0, NULL },
        { { "--max-concurrent-requests", "-1" }, 0, NULL },
        { { "--max-concurrent-requests", "0" }, 0, NULL },
        { { "--disable-retries", "--disable-circuit-breaker" }, 0, NULL },
        { { "--disable-tokenizer-autoload", "--disable-audit-logging" }, 0, NULL },
    };

    check_lines(LINES, ARRAY_LEN(LINES));
}

/* The chart passes tuning of features that are missing: each is named, nothing else is wrong, and without them the rest starts. */
static void case_14_the_helm_argument_list(void **state)
{
    _cleanup_(parsed_fini) struct parsed p, q;
    struct launch_config c;

    LAUNCH(&p, &c, "--host", "0.0.0.0", "--port", "30000", "--policy", "cache_aware", "--cache-threshold", "0.3",
           "--balance-abs-threshold", "64", "--balance-rel-threshold", "1.5", "--eviction-interval", "120", "--max-tree-size",
           "67108864", "--block-size", "16", "--max-payload-size", "536870912", "--request-timeout-secs", "1800",
           "--max-concurrent-requests", "-1", "--queue-size", "100", "--queue-timeout-secs", "60", "--disable-retries",
           "--disable-circuit-breaker", "--disable-health-check", "--prometheus-port", "29000", "--log-level", "info",
           "--worker-urls", "http://w-0:8000", "http://w-1:8000");
    assert_accepted(&p);
    assert_int_equal(c.policy, LAUNCH_CACHE_AWARE);
    LAUNCH(&q, &c, "--host", "0.0.0.0", "--port", "30000", "--policy", "round_robin", "--max-payload-size", "536870912",
           "--request-timeout-secs", "1800", "--max-concurrent-requests", "-1", "--disable-retries", "--disable-circuit-breaker",
           "--health-failure-threshold", "3", "--health-success-threshold", "2", "--health-check-timeout-secs", "5",
           "--health-check-interval-secs", "60", "--health-check-endpoint", "/health", "--prometheus-port", "29000", "--log-level",
           "info", "--worker-urls", "http://w-0:8000", "http://w-1:8000");
    assert_accepted(&q);
    assert_int_equal(c.max_concurrent_requests, -1);
}

static void hosts_are_addresses_or_names(void **state)
{
    static const struct {
        const char *in, *out; /* NULL: refused */
    } rows[] = {
        { "0.0.0.0", "0.0.0.0" },
        { "::", "::" },
        { "[::]", "::" },
        { "[::1]", "::1" },
        { "localhost", "localhost" },
        { "gw-1.internal", "gw-1.internal" },
        { "fe80::1%eth0", "fe80::1%eth0" },
        { "my_host", "my_host" },
        { "", NULL },
        { "a b", NULL },
        { "a:80", NULL },
        { "127.0.0.1:80", NULL },
        { "10.0.0.256", NULL },
        { "[10.0.0.1]", NULL },
        { "http://a", NULL },
        { "a..b", NULL },
        { ".", NULL },
        { "[::1]:80", NULL },
        { "1.2.3", NULL },
        { "fe80::1%", NULL },
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        _cleanup_(parsed_fini) struct parsed p;
        struct launch_config c;

        LAUNCH(&p, &c, "--host", rows[i].in);
        if (rows[i].out) {
            assert_accepted(&p);
            assert_str(c.host, rows[i].out);
        } else {
            assert_refused(&p, 1, "Must be an IPv4 or IPv6 address or a host name, without a port");
        }
    }
}

static void single_values_are_checked(void **state)
{
    static const struct line LINES[] = {
        { { "--prometheus-host", "localhost" },
          1,
          "Invalid value for field 'metrics.host': localhost - Must be an IP address such as 0.0.0.0 or ::" },
        { { "--prometheus-host", "" }, 1, "Host cannot be empty" },
        { { "--prometheus-host", "::1" }, 0, NULL },
        { { "--health-failure-threshold", "0" }, 1, "Invalid value for field 'health_failure_threshold': 0 - Must be >= 1" },
        { { "--health-success-threshold", "0" }, 1, "Must be >= 1" },
        { { "--health-check-interval-secs", "0" }, 1, "Must be > 0" },
        { { "--health-check-timeout-secs", "0" }, 1, "Must be > 0" },
        { { "--health-check-endpoint", "health" },
          1,
          "Invalid value for field 'health_check_endpoint': health - Must begin with '/'" },
        { { "--health-check-endpoint", "/a b" }, 1, "visible ASCII" },
        { { "--health-check-endpoint", "/healthz?full=1" }, 0, NULL },
        { { "--request-timeout-secs", "0" }, 1, "Must be > 0" },
        { { "--request-timeout-secs", "4294968" }, 2, "not in 0..=4294967" },
        { { "--worker-startup-timeout-secs", "0" }, 1, "Must be > 0" },
        { { "--worker-startup-check-interval", "0" },
          1,
          "Invalid value for field 'worker_startup_check_interval_secs': 0 - Must be > 0 (--worker-startup-check-interval)" },
        { { "--worker-startup-delay", "0" }, 0, NULL },
        { { "--shutdown-grace-period-secs", "0" }, 0, NULL },
        { { "--max-payload-size", "0" }, 1, "Must be > 0" },
        { { "--max-payload-size", "64M" }, 0, NULL },
        { { "--memory-limit", "2GiB" }, 0, NULL },
        { { "--memory-limit", "0" }, 1, "Must be > 0" },
        { { "--memory-limit", "lots" }, 2, "a whole number is expected, optionally with K, M, G or T behind it" },
        { { "--runtime-worker-threads", "0" }, 1, "Must be > 0" },
        { { "--runtime-worker-threads", "1025" }, 2, "not in 0..=1024" },
        { { "--api-key", "" }, 1, "Invalid value for field 'api_key': <redacted> - Must not be empty" },
        { { "--api-key", "two\nlines" }, 1, "Must not contain line breaks or other control characters" },
        { { "--cors-allowed-origins", "*" }, 0, NULL },
        { { "--cors-allowed-origins", "https://a.example", "http://localhost:3000" }, 0, NULL },
        { { "--cors-allowed-origins", "a.example" }, 1, "Must be \"*\" or an origin" },
        { { "--cors-allowed-origins", "https://a.example/" }, 1, "Must be \"*\" or an origin" },
        { { "--request-id-headers", "x-id", "bad header" }, 1, "bad header - Must be a valid HTTP header name" },
        { { "--prometheus-duration-buckets", "0.1", "1", "10" }, 0, NULL },
        { { "--prometheus-duration-buckets", "1", "0.1" }, 1, "Must be above the bound before it, 1" },
        { { "--prometheus-duration-buckets", "0", "1" }, 1, "0 - Must be > 0" },
        { { "--prometheus-duration-buckets", "-1", "1" }, 1, "-1 - Must be > 0" },
        { { "--prometheus-duration-buckets", "x" }, 2, "a number is expected" },
        { { "--log-level", "trace" }, 2, "possible values: debug, info, warn, error" },
        { { "--log-level", "debug", "--log-json", "--log-dir", "/tmp" }, 0, NULL },
        { { "--log-timestamps", "rfc3339" }, 0, NULL },
        { { "--log-json=true" }, 2, "it takes none" },
        { { "--shutdown-grace", "1" }, 2, "did you mean '--shutdown-grace-period-secs'?" },
    };

    check_lines(LINES, ARRAY_LEN(LINES));
}

static void request_id_headers_are_kept_in_lowercase(void **state)
{
    _cleanup_(parsed_fini) struct parsed p;
    struct launch_config c;

    LAUNCH(&p, &c, "--request-id-headers", "X-My-Id", "traceparent");
    assert_accepted(&p);
    assert_str(c.request_id_headers.items[0], "x-my-id");
    assert_str(c.request_id_headers.items[1], "traceparent");
}

static void the_environment_gives_the_key_and_the_log_filter(void **state)
{
    const struct variable env[] = { { "SMG_API_KEY", "k1" }, { "RUST_LOG", "smg=debug" }, { 0 } };
    const struct variable both[] = { { "RUST_LOG", "smg=debug" }, { "SMG_LOG", "smg=error" }, { 0 } };
    _cleanup_(parsed_fini) struct parsed p, q, preferred;
    struct launch_config c;

    PARSE(&p, &LAUNCH_TABLE, &c, env);
    assert_accepted(&p);
    assert_str(c.api_key, "k1");
    assert_str(c.log_filter, "smg=debug");
    PARSE(&q, &LAUNCH_TABLE, &c, env, "--api-key", "k2");
    assert_str(c.api_key, "k2");
    PARSE(&preferred, &LAUNCH_TABLE, &c, both);
    assert_str(c.log_filter, "smg=error");
}

/* Decision 3: auth that was asked for fails closed. A database URL alone asks for nothing. */
static void the_environment_cannot_ask_for_half_an_auth_unnoticed(void **state)
{
    const struct variable keys[] = { { "CONTROL_PLANE_API_KEYS", "a:b:admin:k3y, c:d:k3y" }, { 0 } },
                          jwt[] = { { "JWT_ISSUER", "https://i" }, { 0 } };
    const struct variable stores[] = {
        { "REDIS_URL", "redis://h" }, { "POSTGRES_DB_URL", "postgres://h/d" }, { "ATP_PASSWORD", "x" }, { 0 }
    };
    _cleanup_(parsed_fini) struct parsed p, q, r;
    struct launch_config c;

    PARSE(&p, &LAUNCH_TABLE, &c, keys);
    assert_refused(
        &p, 1,
        "Invalid value in the environment variable CONTROL_PLANE_API_KEYS, entry 2: <redacted> - Expected 'id:name:role:key'");
    assert_false(has_problem(&p, "k3y"));
    PARSE(&q, &LAUNCH_TABLE, &c, jwt);
    assert_refused(&q, 1, "Both --jwt-issuer and --jwt-audience must be specified together");
    PARSE(&r, &LAUNCH_TABLE, &c, stores);
    assert_accepted(&r);
}

static void control_keys_in_the_environment_are_separated_by_commas(void **state)
{
    const struct variable keys[] = { { "CONTROL_PLANE_API_KEYS", "a:b:admin:k:1, c:d:user:k2," }, { 0 } };
    _cleanup_(parsed_fini) struct parsed p, q;
    struct launch_config c;

    PARSE(&p, &LAUNCH_TABLE, &c, keys);
    assert_accepted(&p);
    assert_int_equal(c.control_plane_api_keys.n, 2);
    assert_str(c.control_plane_api_keys.items[0], "a:b:admin:k:1");
    assert_str(c.control_plane_api_keys.items[1], "c:d:user:k2");
    PARSE(&q, &LAUNCH_TABLE, &c, keys, "--control-plane-api-keys", "x:y:admin:k,1"); /* here a comma is a part of the key */
    assert_accepted(&q);
    assert_int_equal(c.control_plane_api_keys.n, 1);
    assert_str(c.control_plane_api_keys.items[0], "x:y:admin:k,1");
}

static void the_default_policy_is_cache_aware(void **state)
{
    _cleanup_(parsed_fini) struct parsed p;
    struct launch_config c;

    LAUNCH(&p, &c);
    assert_accepted(&p);
    assert_int_equal(p.report.n, 0);
    assert_int_equal(c.policy, LAUNCH_CACHE_AWARE);
    assert_true(c.cache_threshold > 0.29 && c.cache_threshold < 0.31);
    assert_int_equal(c.max_tree_size, 67108864);
}

static void what_is_said_of_tokenizers(void **state)
{
    static const struct line LINES[] = {
        { { "--model-path", "org/name", "--tokenizer-path", "/models/a", "--disable-tokenizer-autoload" }, 0, NULL },
        { { "--model", "org/name@revision" }, 0, NULL },
        { { "--model-path", "" }, 1, "Invalid value for field 'model_path':  - Must not be empty" },
        { { "--tokenizer-path", "a\nb" }, 1, "Must not contain line breaks or other control characters" },
        { { "--chat-template", "/proc/version" }, 0, NULL },
        { { "--chat-template", "/no/such/file" }, 1, "Must be a file that can be read: No such file or directory" },
        { { "--chat-template", "/proc" }, 1, "Must be a file that can be read: not a regular file" },
        { { "--tokenizer-cache-enable-l0", "--tokenizer-cache-l0-max-entries", "0" }, 1, "Must be > 0 when L0 cache is enabled" },
        { { "--tokenizer-cache-enable-l1", "--tokenizer-cache-l1-max-memory", "0" }, 1, "Must be > 0 when L1 cache is enabled" },
        { { "--tokenizer-cache-l0-max-entries", "0" }, 0, NULL },
        { { "--tokenizer-cache-enable-l0", "--tokenizer-cache-enable-l1" }, 0, NULL },
    };

    check_lines(LINES, ARRAY_LEN(LINES));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_said_of_tokenizers),
        cmocka_unit_test(case_1_the_version_is_asked_for_before_anything_else),
        cmocka_unit_test(case_2_ports_and_unknown_flags),
        cmocka_unit_test(case_3_worker_urls),
        cmocka_unit_test(every_bad_worker_url_is_named),
        cmocka_unit_test(case_4_prefill_and_encode_are_noted_where_their_mode_is_off),
        cmocka_unit_test(policies_of_the_sides_are_noted_where_models_are_told_apart),
        cmocka_unit_test(case_5_power_of_two_needs_two_workers),
        cmocka_unit_test(case_6_model_aliases),
        cmocka_unit_test(case_7_to_12_options_of_missing_features_stop_the_start),
        cmocka_unit_test(case_13_values_that_switch_a_missing_feature_off_are_fine),
        cmocka_unit_test(case_14_the_helm_argument_list),
        cmocka_unit_test(hosts_are_addresses_or_names),
        cmocka_unit_test(single_values_are_checked),
        cmocka_unit_test(request_id_headers_are_kept_in_lowercase),
        cmocka_unit_test(the_environment_gives_the_key_and_the_log_filter),
        cmocka_unit_test(the_environment_cannot_ask_for_half_an_auth_unnoticed),
        cmocka_unit_test(control_keys_in_the_environment_are_separated_by_commas),
        cmocka_unit_test(the_default_policy_is_cache_aware),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
