/* shutdown.c -- from the signal to the end: half the grace for load balancers to notice, the other half for requests to finish (spec operations 14) */
#include "running.h"

static void an_idle_gateway_ends_when_settling_is_over(void **state)
{
    gateway_begin("2");
    kill(getpid(), SIGTERM);
    assert_in_range(gateway_ends(), 950, 1900);
}

static void without_grace_it_ends_at_once(void **state)
{
    gateway_begin("0");
    kill(getpid(), SIGINT);
    assert_in_range(gateway_ends(), 0, 900);
}

static void case_79_while_settling_it_is_not_ready_but_still_serves(void **state)
{
    int client, e;

    gateway_begin("4");
    kill(getpid(), SIGTERM);
    wait_for_status("/readiness", "503");
    assert_heard("{\"status\":\"not ready\",\"reason\":\"draining\"}");
    assert_true(is_status(run.port, "/liveness", "200"));
    assert_true(is_status(run.probe_port, "/readiness", "503"));
    client = chat();
    e = engine_hears();
    say(e, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
    hear_all(client);
    assert_status(200);
    close(e);
    gateway_ends();
}

static void a_request_in_flight_finishes_during_the_drain(void **state)
{
    int client, e;

    gateway_begin("4");
    client = chat();
    e = engine_hears();
    kill(getpid(), SIGTERM);
    nap_ms(2300); /* settling is over, the port closed */
    assert_false(get_on(run.port, "/liveness"));
    say(e, "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nlate");
    hear_all(client);
    assert_status(200);
    assert_heard("\r\n\r\nlate");
    close(e);
    assert_in_range(gateway_ends(), 0, 1500); /* idle: nothing to wait for */
}

static void a_request_that_outlives_the_grace_is_cut(void **state)
{
    int client, e;

    gateway_begin("1");
    client = chat();
    e = engine_hears();
    kill(getpid(), SIGTERM);
    assert_in_range(gateway_ends(), 900, 3000);
    hear_all(client);
    assert_int_equal(heard_n, 0);
    hear_all(e); /* closed as well */
}

static void an_idle_kept_connection_does_not_hold_the_drain(void **state)
{
    int client;

    gateway_begin("2");
    client = dial(stage.port, 0);
    say(client, "GET /liveness HTTP/1.1\r\nhost: g\r\n\r\n");
    hear_until(client, "OK");
    kill(getpid(), SIGTERM);
    assert_in_range(gateway_ends(), 900, 1900);
    hear_all(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_idle_gateway_ends_when_settling_is_over),
        cmocka_unit_test(without_grace_it_ends_at_once),
        cmocka_unit_test(case_79_while_settling_it_is_not_ready_but_still_serves),
        cmocka_unit_test(a_request_in_flight_finishes_during_the_drain),
        cmocka_unit_test(a_request_that_outlives_the_grace_is_cut),
        cmocka_unit_test(an_idle_kept_connection_does_not_hold_the_drain),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
