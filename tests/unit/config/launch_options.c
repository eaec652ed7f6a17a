/* launch_options.c -- the launch table is complete and sane */
#include "parsed.h"

#include "config/option_internal.h"

/* Spec operations 3: the native command line. */
static const char NATIVE[] =
    "--host --port --health-check-port --worker-urls --api-key --tenant-api-key --backend --runtime --enable-igw --policy "
    "--cache-threshold "
    "--balance-abs-threshold --balance-rel-threshold --balance-token-usage-threshold --overload-token-usage-threshold "
    "--eviction-interval "
    "--max-tree-size --block-size --max-idle-secs --assignment-mode --prefix-token-count --prefix-hash-load-factor "
    "--least-load-kv-pressure-weight --least-load-default-throughput --least-load-mean-prefill-tokens --dp-aware "
    "--dp-minimum-tokens-scheduler --routing-key-override --load-monitor-interval --engine-metrics --pd-disaggregation "
    "--epd-disaggregation --prefill --encode --decode --prefill-policy --decode-policy --encode-policy "
    "--worker-startup-timeout-secs "
    "--worker-startup-delay --worker-startup-check-interval --service-discovery --selector --service-discovery-port "
    "--service-discovery-namespace --encode-selector --prefill-selector --decode-selector --router-selector --model-id-from "
    "--model-alias "
    "--log-level --log-json --log-dir --prometheus-port --prometheus-host --prometheus-duration-buckets --enable-trace "
    "--otlp-traces-endpoint --request-id-headers --request-timeout-secs --shutdown-grace-period-secs --max-payload-size "
    "--cors-allowed-origins --storage-context-headers --trust-tenant-header --tenant-header-name --runtime-worker-threads "
    "--max-concurrent-requests --queue-size --queue-timeout-secs --rate-limit-tokens-per-second --priority-scheduler-enabled "
    "--priority-scheduler-default-max-class --priority-scheduler-config --priority-scheduler-tenant-metric-top-n "
    "--tenant-rate-limit-enabled --tenant-rate-limit-config --retry-max-retries --retry-initial-backoff-ms --retry-max-backoff-ms "
    "--retry-backoff-multiplier --retry-jitter-factor --disable-retries --cb-failure-threshold --cb-success-threshold "
    "--cb-timeout-duration-secs --cb-window-duration-secs --disable-circuit-breaker --health-failure-threshold "
    "--health-success-threshold --health-check-timeout-secs --health-check-interval-secs --health-check-endpoint "
    "--disable-health-check "
    "--remove-unhealthy-workers --drain-settle-secs --model-path --model --tokenizer-path --chat-template "
    "--disable-tokenizer-autoload "
    "--tokenizer-cache-enable-l0 --tokenizer-cache-enable-l1 --tokenizer-cache-l0-max-entries --tokenizer-cache-l1-max-memory "
    "--reasoning-parser --tool-call-parser --mcp-config-path --multimodal-tensor-transport --multimodal-shm-min-bytes "
    "--enable-wasm "
    "--storage-hook-wasm-path --webrtc-bind-addr --webrtc-stun-server --history-backend --schema-config --postgres-db-url "
    "--postgres-pool-max-size --redis-url --redis-pool-max-size --redis-retention-days --oracle-wallet-path --oracle-tns-alias "
    "--oracle-dsn "
    "--oracle-user --oracle-password --oracle-external-auth --oracle-pool-min --oracle-pool-max --oracle-pool-timeout-secs "
    "--tls-cert-path "
    "--tls-key-path --control-plane-api-keys --jwt-issuer --jwt-audience --jwt-jwks-uri --jwt-role-claim --jwt-role-mapping "
    "--disable-audit-logging --enable-mesh --mesh-server-name --mesh-host --mesh-advertise-host --mesh-port --mesh-peer-urls";

/* Spec operations 6.2: what only the Python command line spells so. */
static const char PYTHON[] =
    "--eviction-interval-secs --postgres-pool-max --redis-pool-max --oracle-connect-descriptor --oracle-username "
    "--control-plane-audit-enabled --client-cert-path --client-key-path --ca-cert-paths --bucket-adjust-interval-secs";

static const char OURS[] = "--api-key-file --memory-limit --log-filter --log-timestamps --control-plane-api-keys-file "
                           "--jwt-allow-private-issuer --jwt-ca-cert --wasm-module --wasm-modules --wasm-runtime-lib "
                           "--wasm-max-memory-pages --wasm-max-execution-time-ms --wasm-max-stack-size --wasm-thread-pool-size "
                           "--wasm-module-cache-size --wasm-max-body-size";

static const char VARIABLES[] =
    "SMG_API_KEY RUST_LOG ATP_WALLET_PATH ATP_TNS_ALIAS ATP_DSN ATP_USER ATP_PASSWORD ATP_EXTERNAL_AUTH ATP_POOL_MIN ATP_POOL_MAX "
    "ATP_POOL_TIMEOUT_SECS JWT_ISSUER JWT_AUDIENCE JWT_JWKS_URI CONTROL_PLANE_API_KEYS POSTGRES_DB_URL POSTGRES_POOL_MAX REDIS_URL "
    "REDIS_POOL_MAX REDIS_RETENTION_DAYS";

static unsigned count_spelling(struct str spelling)
{
    unsigned n = 0;

    for (size_t i = 0; i < LAUNCH_TABLE.options_n; i++) {
        const struct option *o = &LAUNCH_TABLE.options[i];

        n += str_eq(str_of(o->name), spelling) + (o->file && str_eq(str_of(o->file), spelling));
        for (size_t k = 0; k < ARRAY_LEN(o->aliases); k++)
            n += o->aliases[k] && str_eq(str_of(o->aliases[k]), spelling);
    }
    return n;
}

static void every_flag_of_smg_is_in_the_table_once(void **state)
{
    const char *const lists[] = { NATIVE, PYTHON, OURS };

    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        struct str list = str_of(lists[i]), word;

        while (option_next_word(&list, &word)) {
            if (count_spelling(word) != 1)
                fail_msg("%.*s is in the table %u times", STR_FMT(word), count_spelling(word));
        }
    }
}

static void every_variable_of_smg_is_read(void **state)
{
    struct str list = str_of(VARIABLES), word;

    while (option_next_word(&list, &word)) {
        bool found = false;

        for (size_t i = 0; i < LAUNCH_TABLE.options_n; i++) {
            for (size_t k = 0; k < ARRAY_LEN(LAUNCH_TABLE.options[i].env); k++)
                found |= str_eq(str_of(LAUNCH_TABLE.options[i].env[k]), word);
        }
        if (!found)
            fail_msg("%.*s", STR_FMT(word));
    }
}

static size_t size_of_member(const struct option *o)
{
    switch (o->type) {
    case OPT_FLAG:
        return sizeof(bool);
    case OPT_U16:
        return sizeof(uint16_t);
    case OPT_U32:
    case OPT_I32:
        return sizeof(uint32_t);
    case OPT_ENUM:
        return sizeof(int);
    case OPT_U64:
    case OPT_I64:
    case OPT_BYTES:
    case OPT_F64:
        return sizeof(uint64_t);
    default:
        return sizeof(struct str); /* texts and lists: pointer and count */
    }
}

static void every_row_has_help_and_a_member_of_its_own(void **state)
{
    static unsigned char taken[sizeof(struct launch_config)];

    assert_non_null(LAUNCH_TABLE.options[0].group);
    for (size_t i = 0; i < LAUNCH_TABLE.options_n; i++) {
        const struct option *o = &LAUNCH_TABLE.options[i];

        if (!o->help || !*o->help || o->help[strlen(o->help) - 1] == '.')
            fail_msg("%s has no help, or a sentence", o->name);
        assert_int_equal(o->type == OPT_ENUM, o->names != NULL);
        assert_true(o->at + size_of_member(o) <= sizeof taken);
        for (size_t k = o->at; k < o->at + size_of_member(o); k++) {
            if (taken[k]++)
                fail_msg("%s shares its member with another option", o->name);
        }
        if (o->inert)
            assert_int_equal(o->state, OPT_NOT_YET);
        if (o->file)
            assert_int_equal(o->type, OPT_STR);
    }
}

static void a_name_that_sounds_like_a_secret_is_one(void **state)
{
    static const char *const WORDS[] = { "api-key", "password", "db-url", "redis-url" };

    for (size_t i = 0; i < LAUNCH_TABLE.options_n; i++) {
        for (size_t k = 0; k < ARRAY_LEN(WORDS); k++) {
            if (str_has_suffix(str_of(LAUNCH_TABLE.options[i].name), STR("-file")))
                continue; /* a path may be shown */
            if (strstr(LAUNCH_TABLE.options[i].name, WORDS[k]) && !(LAUNCH_TABLE.options[i].flags & OPT_SECRET))
                fail_msg("%s", LAUNCH_TABLE.options[i].name);
        }
    }
}

static void without_arguments_everything_has_smgs_default(void **state)
{
    _cleanup_(parsed_fini) struct parsed p;
    struct launch_config c;

    PARSE(&p, &LAUNCH_TABLE, &c, NULL);
    assert_accepted(&p);
    assert_str(c.host, "0.0.0.0");
    assert_int_equal(c.port, 30000);
    assert_int_equal(c.health_check_port, 0);
    assert_int_equal(c.worker_urls.n, 0);
    assert_null(c.api_key.p);
    assert_int_equal(c.backend, LAUNCH_BACKEND_UNSET);
    assert_int_equal(c.policy, LAUNCH_CACHE_AWARE);
    assert_int_equal(c.request_timeout_s, 1800);
    assert_int_equal(c.shutdown_grace_period_s, 180);
    assert_int_equal(c.max_payload_size_bytes, 536870912);
    assert_int_equal(c.worker_startup_timeout_s, 1800);
    assert_int_equal(c.worker_startup_delay_s, 0);
    assert_int_equal(c.worker_startup_check_interval_s, 30);
    assert_int_equal(c.health_failure_threshold, 3);
    assert_int_equal(c.health_success_threshold, 2);
    assert_int_equal(c.health_check_timeout_s, 5);
    assert_int_equal(c.health_check_interval_s, 60);
    assert_str(c.health_check_endpoint, "/health");
    assert_int_equal(c.drain_settle_s, 5);
    assert_int_equal(c.log_level, LOG_INFO);
    assert_int_equal(c.log_timestamps, LAUNCH_TIMESTAMPS_SMG);
    assert_int_equal(c.prometheus_port, 29000);
    assert_str(c.prometheus_host, "0.0.0.0");
    assert_int_equal(c.memory_limit_bytes, 0);
    assert_int_equal(c.max_concurrent_requests, -1);
    assert_int_equal(c.rate_limit_tokens_per_second, -1);
    assert_int_equal(c.redis_retention_days, 30);
    assert_int_equal(c.retry_max_retries, 5);
    assert_true(c.cache_threshold == 0.3);
    assert_int_equal(c.eviction_interval_s, 120);
    assert_int_equal(c.mesh_port, 39527);
    assert_int_equal(c.encode_policy, LAUNCH_CONSISTENT_HASHING);
}

static void names_of_values_are_those_of_the_command_line(void **state)
{
    assert_string_equal(launch_policy_name(LAUNCH_POWER_OF_TWO), "power_of_two");
    assert_string_equal(launch_policy_name(LAUNCH_POLICY_UNSET), "");
    assert_string_equal(launch_backend_name(LAUNCH_VLLM), "vllm");
    assert_string_equal(launch_backend_name(LAUNCH_BACKEND_UNSET), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_flag_of_smg_is_in_the_table_once),
        cmocka_unit_test(every_variable_of_smg_is_read),
        cmocka_unit_test(every_row_has_help_and_a_member_of_its_own),
        cmocka_unit_test(a_name_that_sounds_like_a_secret_is_one),
        cmocka_unit_test(without_arguments_everything_has_smgs_default),
        cmocka_unit_test(names_of_values_are_those_of_the_command_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
