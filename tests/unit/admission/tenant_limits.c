/* tenant_limits.c -- budgets per minute: reserve, settle, refund, bounds (spec data-plane 11.5, test case 43). Time is a number that the test advances. */
#include "test.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "admission/tenant_limits.h"
#include "fail_alloc.h"

#define SECOND 1000000ull

static struct tenant_limits limits;
static struct tenant_limits_conf *conf;
static uint64_t now, retry_s;

static const char FILE_TEXT[] =
    "default_policy: {tokens_per_minute: 600, requests_per_minute: 60}\n"
    "tenants:\n"
    "  - tenant_key: auth:red\n"
    "    tokens_per_minute: 6000\n"
    "    requests_per_minute: 2\n"
    "  - tenant_key: auth:rules\n"
    "    tokens_per_minute: 1000\n"
    "    requests_per_minute: 100\n"
    "    model_rules:\n"
    "      - {rule_id: l, matcher: {type: prefix, value: llama}, tokens_per_minute: 100, requests_per_minute: 100}\n"
    "      - {rule_id: l70, matcher: {type: prefix, value: llama-70}, tokens_per_minute: 200, requests_per_minute: 100}\n"
    "      - {rule_id: x, matcher: {type: exact, value: llama-70b}, tokens_per_minute: 300, requests_per_minute: 100}\n";

/* A file with TEXT, read. */
static int read_text(const char *text, bool trust, struct tenant_limits_conf **ret, struct err *err)
{
    char path[] = "/tmp/smg-limits-XXXXXX";
    int fd = mkstemp(path), r;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    r = tenant_limits_conf_read(str_of(path), trust, ret, err);
    unlink(path);
    return r;
}

static int begin(void **state)
{
    now = 5000 * SECOND;
    tenant_limits_init(&limits);
    assert_int_equal(read_text(FILE_TEXT, false, &conf, NULL), 0);
    return 0;
}

static int end(void **state)
{
    tenant_limits_conf_free(conf);
    tenant_limits_fini(&limits);
    return 0;
}

static struct tenant_charge a_charge(const char *tenant, const char *model)
{
    return (struct tenant_charge){ .tenant = str_of(tenant), .model = str_of(model) };
}

static int reserve(struct tenant_charge *c, uint64_t tokens)
{
    return tenant_limits_reserve(&limits, conf, c, tokens, now, &retry_s);
}

/* A charge of its own that is kept. */
static int ask(const char *tenant, const char *model, uint64_t tokens)
{
    struct tenant_charge c = a_charge(tenant, model);

    return reserve(&c, tokens);
}

static void dp_43_a_budget_then_denied_then_refilled(void **state)
{
    assert_int_equal(ask("ip:1.2.3.4", "m", 500), 0);
    assert_int_equal(ask("ip:1.2.3.4", "m", 200), ERR_LIMIT);
    assert_int_equal(retry_s, 10);                    /* 100 tokens at 10 a second */
    assert_int_equal(ask("ip:1.2.3.5", "m", 200), 0); /* a budget of its own */
    now += 10 * SECOND - 1000;
    assert_int_equal(ask("ip:1.2.3.4", "m", 200), ERR_LIMIT);
    assert_int_equal(retry_s, 1);
    now += 1000;
    assert_int_equal(ask("ip:1.2.3.4", "m", 200), 0);
}

static void dp_43_requests_are_a_budget_too(void **state)
{
    assert_int_equal(ask("auth:red", "m", 1), 0);
    assert_int_equal(ask("auth:red", "m", 1), 0);
    assert_int_equal(ask("auth:red", "m", 1), ERR_LIMIT);
    assert_int_equal(retry_s, 30);
}

static void dp_43_a_charge_is_made_once(void **state)
{
    struct tenant_charge c = a_charge("auth:red", "m");

    for (int i = 0; i < 5; i++)
        assert_int_equal(reserve(&c, 1), 0);
    assert_int_equal(ask("auth:red", "m", 1), 0);
    assert_int_equal(ask("auth:red", "m", 1), ERR_LIMIT);
}

static void dp_43_denied_takes_nothing(void **state)
{
    assert_int_equal(ask("auth:rules", "llama", 90), 0);
    assert_int_equal(ask("auth:rules", "llama", 20), ERR_LIMIT); /* the rule's bucket; the tenant's must not be touched */
    assert_int_equal(ask("auth:rules", "other", 910), 0);
    assert_int_equal(ask("auth:rules", "other", 1), ERR_LIMIT);
}

static void dp_43_settling_makes_a_debt(void **state)
{
    struct tenant_charge c = a_charge("ip:::1", "m");

    assert_int_equal(reserve(&c, 100), 0);
    tenant_limits_settle(&limits, conf, &c, 1200, now); /* 600 below zero */
    tenant_limits_settle(&limits, conf, &c, 1200, now); /* once */
    assert_int_equal(ask("ip:::1", "m", 0), ERR_LIMIT);
    assert_int_equal(retry_s, 60);
    assert_int_equal(ask("ip:::1", "m", 10), ERR_LIMIT);
    assert_int_equal(retry_s, 61);
}

static void settling_gives_back_but_never_above_the_capacity(void **state)
{
    struct tenant_charge c = a_charge("ip:::1", "m");

    assert_int_equal(reserve(&c, 600), 0);
    now += 30 * SECOND;
    tenant_limits_settle(&limits, conf, &c, 10, now); /* 300 refilled, 590 back: 600 at most */
    assert_int_equal(ask("ip:::1", "m", 600), 0);
    assert_int_equal(ask("ip:::1", "m", 1), ERR_LIMIT);
}

static void a_refund_gives_request_and_tokens_back(void **state)
{
    struct tenant_charge c = a_charge("auth:red", "m");

    assert_int_equal(reserve(&c, 6000), 0);
    tenant_limits_refund(&limits, conf, &c, now);
    tenant_limits_refund(&limits, conf, &c, now);
    tenant_limits_settle(&limits, conf, &c, 50, now);
    assert_int_equal(ask("auth:red", "m", 6000), 0);
    assert_int_equal(ask("auth:red", "m", 0), 0);
    assert_int_equal(ask("auth:red", "m", 0), ERR_LIMIT);
}

static void what_never_fits_is_never_promised(void **state)
{
    assert_int_equal(ask("ip:::1", "m", 601), ERR_LIMIT);
    assert_true(retry_s == LIMITS_NEVER);
}

static void dp_43_exact_beats_prefix_and_the_longest_prefix_wins(void **state)
{
    const struct limits_policy *p = tenant_limits_policy(conf, STR("auth:rules"));

    assert_str(limits_policy_rule(p, STR("llama-70b"))->id, "x");
    assert_str(limits_policy_rule(p, STR("llama-70b-chat"))->id, "l70");
    assert_str(limits_policy_rule(p, STR("llama-8"))->id, "l");
    assert_null(limits_policy_rule(p, STR("qwen")));
    assert_null(limits_policy_rule(p, STR_NONE));
    assert_null(limits_policy_rule(tenant_limits_policy(conf, STR("nobody")), STR("llama-70b")));
    assert_int_equal(ask("auth:rules", "llama-70b", 300), 0);
    assert_int_equal(ask("auth:rules", "llama-70b", 1), ERR_LIMIT);
    assert_int_equal(ask("auth:rules", "llama-70x", 200), 0);
    assert_int_equal(ask("auth:rules", "llama-70y", 1), ERR_LIMIT); /* one bucket per rule */
}

static void new_limits_keep_the_levels(void **state)
{
    struct tenant_limits_conf *old = conf;

    assert_int_equal(ask("ip:::1", "m", 600), 0);
    assert_int_equal(read_text("default_policy: {tokens_per_minute: 1200, requests_per_minute: 60}", false, &conf, NULL), 0);
    tenant_limits_conf_free(old);
    assert_int_equal(ask("ip:::1", "m", 100), ERR_LIMIT);
    now += 5 * SECOND;
    assert_int_equal(ask("ip:::1", "m", 100), 0);
}

static void the_quietest_are_forgotten_at_the_bound(void **state)
{
    char key[32];

    for (int i = 0; i < 2 * LIMITS_TENANTS_MAX; i++) {
        snprintf(key, sizeof key, "header:%d", i);
        assert_int_equal(ask(key, "m", 600), 0);
    }
    assert_true(tenant_limits_count(&limits) <= LIMITS_TENANTS_MAX);
    assert_int_equal(limits.forgotten + tenant_limits_count(&limits), 2 * LIMITS_TENANTS_MAX);
    assert_int_equal(ask(key, "m", 600), ERR_LIMIT); /* the last one is known */
    assert_int_equal(ask("header:0", "m", 600), 0);  /* the first one is new */
}

static void mistakes_of_the_file_are_named(void **state)
{
#define HEAD "default_policy: {tokens_per_minute: 1, requests_per_minute: 1}\n"
#define RULE(id, type, value) \
    "{rule_id: " id ", matcher: {type: " type ", value: " value "}, tokens_per_minute: 1, requests_per_minute: 1}"
#define TENANT(key, rules) "{tenant_key: \"" key "\", tokens_per_minute: 1, requests_per_minute: 1, model_rules: [" rules "]}"
    static const struct {
        const char *text, *message;
    } ROWS[] = {
        { "", "invalid type: null, expected struct TenantRateLimitConfig" },
        { "tenants: []", "missing field `default_policy`" },
        { HEAD "extra: 1", "unknown field `extra`, expected one of `default_policy`, `tenants` at line 2" },
        { "default_policy: {tokens_per_minute: 0, requests_per_minute: 1}", "default_policy: tokens_per_minute must be > 0" },
        { "default_policy: {tokens_per_minute: 1, requests_per_minute: 0}", "requests_per_minute must be > 0" },
        { "default_policy: {tokens_per_minute: -1, requests_per_minute: 1}", "invalid value: integer `-1`, expected u32" },
        { "default_policy: {tenant_key: anonymous, tokens_per_minute: 1, requests_per_minute: 1}", "takes no tenant_key" },
        { HEAD "tenants: [{tokens_per_minute: 1, requests_per_minute: 1}]", "tenants[0]: missing field `tenant_key`" },
        { HEAD "tenants: [" TENANT("auth:a", "") ", " TENANT("auth:a", "") "]", "tenants[1]: the tenant_key \"auth:a\"" },
        { HEAD "tenants: [" TENANT("header:a", "") "]", "tenants[0].tenant_key: \"header:\" keys need --trust-tenant-header" },
        { HEAD "tenants: [" TENANT("team", "") "]", "must be auth:<tenant>, header:<tenant>" },
        { HEAD "tenants: [" TENANT("ip:1.2.3", "") "]", "an IP address is expected" },
        { HEAD "tenants: [" TENANT("ip:::0001", "") "]", "canonical form: \"ip:::1\"" },
        { HEAD "tenants: [" TENANT(" auth:a", "") "]", "without white space" },
        { HEAD "tenants: [" TENANT("auth: a", "") "]", "without white space" },
        { HEAD "tenants: [" TENANT("auth:a", RULE("\"a b\"", "exact", "m")) "]", "rule_id must be made of" },
        { HEAD "tenants: [" TENANT("auth:a", RULE("r", "regex", "m")) "]",
          "unknown variant `regex`, expected `exact` or `prefix`" },
        { HEAD "tenants: [" TENANT("auth:a", RULE("r", "exact", "\" m\"")) "]", "value must not be empty" },
        { HEAD "tenants: [" TENANT("auth:a", RULE("r", "exact", "m") ", " RULE("r", "prefix", "m")) "]",
          "the rule_id \"r\" stands here twice" },
        { HEAD "tenants: [" TENANT("auth:a", RULE("r", "exact", "m") ", " RULE("s", "exact", "m")) "]", "have the same matcher" },
    };
    struct tenant_limits_conf *c;

    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        struct err err = { 0 };

        assert_int_equal(read_text(ROWS[i].text, false, &c, &err), ERR_INVALID);
        if (!strstr(err.message, ROWS[i].message) || !strstr(err.message, "/tmp/smg-limits-"))
            fail_msg("%s: got \"%s\"", ROWS[i].text, err.message);
    }
    assert_int_equal(read_text(HEAD "tenants: [" TENANT("header:a", RULE("a.b_C-1", "exact", "m")) ", " TENANT("anonymous", "") "]",
                               true, &c, NULL),
                     0);
    assert_str(tenant_limits_policy(c, STR("anonymous"))->tenant, "anonymous");
    tenant_limits_conf_free(c);
}

static void keeps_its_promises_when_memory_runs_out(void **state)
{
    FOR_EACH_FAILING_ALLOCATION(k)
    {
        struct tenant_charge c = a_charge("auth:rules", "llama");
        struct tenant_limits few;
        int r;

        tenant_limits_init(&few);
        r = tenant_limits_reserve(&few, conf, &c, 10, now, &retry_s);
        assert_int_equal(r, fail_alloc_failed() ? ERR_NOMEM : 0);
        assert_int_equal(c.step, r == 0 ? CHARGE_RESERVED : CHARGE_NONE);
        tenant_limits_fini(&few);
    }
    FOR_EACH_FAILING_ALLOCATION(k)
    {
        struct tenant_limits_conf *c = NULL;
        int r = read_text(FILE_TEXT, false, &c, NULL);

        assert_int_equal(r, fail_alloc_failed() ? ERR_NOMEM : 0);
        tenant_limits_conf_free(c);
    }
}

#define THREADS 4

static _Atomic unsigned passed;

static void *ask_often(void *arg)
{
    uint64_t wait;

    for (int i = 0; i < 5000; i++) {
        struct tenant_charge c = a_charge("auth:red", "m");
        int r = tenant_limits_reserve(&limits, conf, &c, 1, now, &wait);

        if (r == 0 && i % 2)
            tenant_limits_refund(&limits, conf, &c, now);
        else
            atomic_fetch_add(&passed, r == 0);
    }
    return NULL;
}

static void threads_share_one_budget(void **state)
{
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_often, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(passed, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(dp_43_a_budget_then_denied_then_refilled, begin, end),
        cmocka_unit_test_setup_teardown(dp_43_requests_are_a_budget_too, begin, end),
        cmocka_unit_test_setup_teardown(dp_43_a_charge_is_made_once, begin, end),
        cmocka_unit_test_setup_teardown(dp_43_denied_takes_nothing, begin, end),
        cmocka_unit_test_setup_teardown(dp_43_settling_makes_a_debt, begin, end),
        cmocka_unit_test_setup_teardown(settling_gives_back_but_never_above_the_capacity, begin, end),
        cmocka_unit_test_setup_teardown(a_refund_gives_request_and_tokens_back, begin, end),
        cmocka_unit_test_setup_teardown(what_never_fits_is_never_promised, begin, end),
        cmocka_unit_test_setup_teardown(dp_43_exact_beats_prefix_and_the_longest_prefix_wins, begin, end),
        cmocka_unit_test_setup_teardown(new_limits_keep_the_levels, begin, end),
        cmocka_unit_test_setup_teardown(the_quietest_are_forgotten_at_the_bound, begin, end),
        cmocka_unit_test_setup_teardown(mistakes_of_the_file_are_named, begin, end),
        cmocka_unit_test_setup_teardown(keeps_its_promises_when_memory_runs_out, begin, end),
        cmocka_unit_test_setup_teardown(threads_share_one_budget, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
