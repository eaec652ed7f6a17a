/* probes.c -- when a gateway is ready (spec control-plane 16.1; cases of its section 20 by number) */
#include "running.h"

#define NOT_ENOUGH "{\"status\":\"not ready\",\"reason\":\"insufficient healthy workers\"}"

/* A gateway without workers, up; the flags that would say it are refused until traffic can follow them, so CONFIGURE_ROLES says it. */
static void begin(void (*configure_roles)(struct launch_config *c))
{
    choose_ports();
    engine_begin();
    configure((const char *const[]){ "--port", run.port, "--prometheus-port", run.metrics_port, "--shutdown-grace-period-secs", "0",
                                     NULL });
    configure_roles(&run.config);
    stage.port = (uint16_t)atoi(run.port);
    assert_int_equal(pthread_create(&run.gateway, NULL, be_a_gateway, NULL), 0);
    wait_for_status("/readiness", "503");
    assert_heard(NOT_ENOUGH);
}

static void end(void)
{
    kill(getpid(), SIGTERM);
    gateway_ends();
}

/* Adds a worker of TYPE and waits until TOTAL are ready. */
static void add(const char *type, unsigned total)
{
    char body[256], all_ready[64];

    snprintf(body, sizeof body, "{\"url\":\"%s/%s\",\"worker_type\":\"%s\"}", run.engine_url, type, type);
    hear_all(ask_with("POST /workers", "content-type: application/json\r\n", body));
    assert_status(202);
    snprintf(all_ready, sizeof all_ready, "\"total\":%u,", total);
    for (unsigned waited = 0; !get_on(run.port, "/workers?status=ready") || !strstr(heard, all_ready); waited += 10) {
        if (waited > PATIENCE_MS)
            fail_msg("the %s worker never became ready; last: %s", type, heard);
        nap_ms(10);
    }
}

static void expect_not_enough(void)
{
    assert_true(is_status(run.port, "/readiness", "503"));
    assert_heard(NOT_ENOUGH);
    assert_true(is_status(run.port, "/health", "200"));
}

static void expect_ready(unsigned n)
{
    char text[96];

    snprintf(text, sizeof text, "{\"status\":\"ready\",\"healthy_workers\":%u,\"total_workers\":%u}", n, n);
    assert_true(is_status(run.port, "/readiness", "200"));
    assert_heard(text);
}

static void nothing_apart(struct launch_config *c)
{
    (void)c;
}

static void prefill_and_decode_apart(struct launch_config *c)
{
    c->pd_disaggregation = true;
}

static void encode_apart_too(struct launch_config *c)
{
    c->epd_disaggregation = true;
}

static void many_models(struct launch_config *c)
{
    c->pd_disaggregation = c->enable_igw = true;
}

static void case_79_any_ready_worker_is_enough(void **state)
{
    begin(nothing_apart);
    add("prefill", 1);
    expect_ready(1);
    end();
}

static void case_79_prefill_alone_is_not_enough_when_decode_is_apart(void **state)
{
    begin(prefill_and_decode_apart);
    add("prefill", 1);
    expect_not_enough();
    add("regular", 2);
    expect_not_enough();
    add("decode", 3);
    expect_ready(3);
    end();
}

static void case_79_with_encode_apart_it_takes_one_of_each(void **state)
{
    begin(encode_apart_too);
    add("prefill", 1);
    add("decode", 2);
    expect_not_enough();
    add("encode", 3);
    expect_ready(3);
    end();
}

static void case_79_with_many_models_any_worker_is_enough_again(void **state)
{
    begin(many_models);
    add("prefill", 1);
    expect_ready(1);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(case_79_any_ready_worker_is_enough),
        cmocka_unit_test(case_79_prefill_alone_is_not_enough_when_decode_is_apart),
        cmocka_unit_test(case_79_with_encode_apart_it_takes_one_of_each),
        cmocka_unit_test(case_79_with_many_models_any_worker_is_enough_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
