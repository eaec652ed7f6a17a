/* hold.c -- the rules of replies that are held back and changed before they go out (struct exchange_hold), through GET /probe and served_do */
#include "served.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

static struct {
    bool wanted, at_once;
    unsigned asked, wholes, cuts;
    int status;
    size_t body_n;
    struct exchange *ex;
} held;

static bool wants(struct exchange *ex, void *arg)
{
    held.asked++;
    return held.wanted;
}

static void answer_changed(void *arg)
{
    struct exchange *ex = held.ex;

    exchange_unhold(ex);
    exchange_add_name(ex, STR("x-changed"), STR("yes"));
    exchange_reply_kept(ex, 203, arg ? STR("another body") : buf_str(&ex->held_body));
}

static void whole(struct exchange *ex, struct str body, void *arg)
{
    held.wholes++;
    held.body_n = body.n;
    held.ex = ex;
    exchange_own(ex, &APP_OWNER, &app);
    if (held.at_once)
        answer_changed(&held);
}

static void cut(struct exchange *ex, int status, void *arg)
{
    held.cuts++;
    held.status = status;
    ex->reply.n = 0;
    exchange_unhold(ex);
    http_error(ex, 500, STR("cut"), STR("cut"));
}

static const struct exchange_hold HOLD = { .wants = wants, .whole = whole, .cut = cut, .max_bytes = 1000 };
static const struct exchange_hold LARGE = { .wants = wants, .whole = whole, .cut = cut, .max_bytes = 16 << 20 };

static void probe(int fd, void (*fn)(struct exchange *ex))
{
    SET(probe, fn);
    say(fd, GET("/probe"));
}

static bool one_whole(void)
{
    return held.wholes == 1;
}

static int setup(void **state)
{
    memset(&held, 0, sizeof held);
    held.wanted = held.at_once = true;
    return default_server(state);
}

/* ---- what is asked ---- */

static void in_three_parts(struct exchange *ex)
{
    exchange_add(ex, HF_CONTENT_TYPE, TYPE_JSON);
    exchange_add(ex, HF_DATE, STR("now"));
    exchange_reply_head(ex, 200, HTTP_LENGTH_UNKNOWN);
    (void)exchange_send(ex, STR("one"));
    (void)exchange_send(ex, STR(", two"));
    exchange_end(ex);
}

static void in_three_parts_with_a_hold(struct exchange *ex)
{
    exchange_hold_reply(ex, &HOLD, NULL);
    in_three_parts(ex);
}

static void a_reply_that_is_not_wanted_goes_out_as_without_a_hold_byte_for_byte(void **state)
{
    int fd = client();
    char plain[1024];

    held.wanted = false;
    probe(fd, in_three_parts);
    hear_until(fd, "0\r\n\r\n");
    strcpy(plain, heard.text);
    probe(fd, in_three_parts_with_a_hold);
    hear_until(fd, "0\r\n\r\n");
    assert_int_equal(held.asked, 1);
    /* but for the request's id */
    assert_int_equal(strlen(plain), strlen(heard.text));
    assert_string_equal(strstr(plain, "\r\n\r\n"), strstr(heard.text, "\r\n\r\n"));
    assert_int_equal(held.wholes + held.cuts, 0);
    close(fd);
}

static void a_whole_reply_is_changed_before_any_of_it_goes_out(void **state)
{
    int fd = client();

    probe(fd, in_three_parts_with_a_hold);
    hear_reply(fd);
    assert_int_equal(heard.status, 203);
    assert_true(heard_field("content-length: 12") && heard_field("x-changed: yes") &&
                heard_field("content-type: application/json"));
    assert_true(heard_field("x-filter: seen")); /* the filters' on_reply run behind it */
    assert_string_equal(heard.body, "another body");
    assert_int_equal(held.body_n, 8);
    assert_true(SEEN(ends) == 1 && SEEN(status) == 203 && SEEN(outcome) == EX_FINISHED);
    say(fd, GET("/hello")); /* the connection goes on */
    hear_reply(fd);
    assert_int_equal(heard.status, 200);
    close(fd);
}

static void an_error_and_a_small_whole_reply_are_held_too(struct exchange *ex)
{
    exchange_hold_reply(ex, &HOLD, NULL);
    http_error(ex, 502, STR("no_worker"), STR("none"));
}

static void an_error_of_the_gateway_is_held(void **state)
{
    int fd = client();

    probe(fd, an_error_and_a_small_whole_reply_are_held_too);
    hear_reply(fd);
    assert_int_equal(heard.status, 203);
    assert_true(heard_field("x-smg-error-code: no_worker"));
    close(fd);
}

static void generated(struct exchange *ex)
{
    exchange_hold_reply(ex, &LARGE, NULL);
    exchange_generate(ex, 200, TYPE_TEXT, &APP_GENERATOR, NULL);
}

static void a_generated_reply_is_gathered(void **state)
{
    int fd = client();

    SET(generate_bytes, 300000);
    SET(generate_step, 60000);
    probe(fd, generated);
    hear_reply(fd);
    assert_string_equal(heard.body, "another body");
    assert_int_equal(held.body_n, 300000);
    assert_int_equal(SEEN(stops), 1);
    close(fd);
}

/* ---- what cannot be whole ---- */

static void too_long(struct exchange *ex)
{
    static char kb[600];

    exchange_hold_reply(ex, &HOLD, NULL);
    hold(ex);
    exchange_reply_head(ex, 200, HTTP_LENGTH_UNKNOWN);
    (void)exchange_send(ex, (struct str){ kb, sizeof kb });
    assert_int_equal(exchange_send(ex, (struct str){ kb, sizeof kb }), SEND_FULL);
}

static void what_is_too_long_is_cut_and_its_source_let_go(void **state)
{
    int fd = client();

    probe(fd, too_long);
    hear_reply(fd);
    assert_int_equal(heard.status, 500);
    assert_true(held.cuts == 1 && held.status == ERR_LIMIT && held.wholes == 0);
    assert_true(SEEN(aborts) == 1 && SEEN(ends) == 1 && SEEN(outcome) == EX_FINISHED);
    close(fd);
}

static void breaks_off(struct exchange *ex)
{
    exchange_hold_reply(ex, &HOLD, NULL);
    exchange_reply_head(ex, 200, 10);
    (void)exchange_send(ex, STR("half"));
    exchange_break(ex);
}

static void is_too_short(struct exchange *ex)
{
    exchange_hold_reply(ex, &HOLD, NULL);
    exchange_reply_head(ex, 200, 10);
    (void)exchange_send(ex, STR("half"));
    exchange_end(ex);
}

static void says_too_much(struct exchange *ex)
{
    exchange_hold_reply(ex, &HOLD, NULL);
    exchange_reply_head(ex, 200, 2);
    (void)exchange_send(ex, STR("half"));
    exchange_end(ex);
}

static void a_source_that_breaks_off_is_an_error_that_the_client_can_read(void **state)
{
    void (*const sources[])(struct exchange * ex) = { breaks_off, is_too_short, says_too_much };

    for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
        int fd = client();

        probe(fd, sources[i]);
        hear_reply(fd);
        assert_int_equal(heard.status, 500);
        assert_int_equal(held.status, ERR_RESET);
        close(fd);
    }
    assert_int_equal(held.cuts, 3);
}

static void generated_too_much(struct exchange *ex)
{
    exchange_hold_reply(ex, &HOLD, NULL);
    exchange_generate(ex, 200, TYPE_TEXT, &APP_GENERATOR, NULL);
}

static void a_generator_that_says_too_much_is_stopped(void **state)
{
    int fd = client();

    SET(generate_bytes, 300000);
    SET(generate_step, 60000);
    probe(fd, generated_too_much);
    hear_reply(fd);
    assert_true(heard.status == 500 && held.status == ERR_LIMIT);
    assert_int_equal(SEEN(stops), 1);
    close(fd);
}

/* ---- while it waits ---- */

static void a_reply_that_waits_may_be_answered_later(void **state)
{
    int fd = client();

    held.at_once = false;
    probe(fd, in_three_parts_with_a_hold);
    wait_for(one_whole);
    served_do(answer_changed, NULL);
    hear_reply(fd);
    assert_true(heard.status == 203);
    assert_string_equal(heard.body, "one, two");
    close(fd);
}

static void a_client_that_leaves_meanwhile_ends_it_once(void **state)
{
    int fd = client();

    held.at_once = false;
    probe(fd, in_three_parts_with_a_hold);
    wait_for(one_whole);
    close(fd);
    wait_for(one_ended);
    assert_true(SEEN(aborts) == 1 && SEEN(ends) == 1 && SEEN(outcome) == EX_ABORTED);
}

static void of_4_mb(struct exchange *ex)
{
    size_t n = 4 << 20;
    char *big = malloc(n);

    exchange_hold_reply(ex, &LARGE, NULL);
    assert_non_null(big);
    memset(big, 'w', n);
    exchange_reply(ex, 200, TYPE_TEXT, (struct str){ big, n });
    free(big);
}

static void a_huge_reply_goes_out_in_turns_and_is_not_copied(void **state)
{
    int fd = client_small(4096);
    size_t left = 4 << 20, used;
    static char part[65536];

    held.at_once = false;
    probe(fd, of_4_mb);
    wait_for(one_whole);
    used = budget_used();
    served_do(answer_changed, NULL);
    assert_true(budget_used() < used + (1 << 20));
    hear_until(fd, "\r\n\r\n");
    assert_true(heard_field("content-length: 4194304"));
    for (left -= heard.n - (size_t)(strstr(heard.text, "\r\n\r\n") + 4 - heard.text); left > 0;) {
        ssize_t n = recv(fd, part, MIN(left, sizeof part), 0);

        assert_true(n > 0);
        left -= (size_t)n;
    }
    close(fd);
}

#define RULE(name) cmocka_unit_test_setup_teardown(name, setup, stop_server)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(a_reply_that_is_not_wanted_goes_out_as_without_a_hold_byte_for_byte),
        RULE(a_whole_reply_is_changed_before_any_of_it_goes_out),
        RULE(an_error_of_the_gateway_is_held),
        RULE(a_generated_reply_is_gathered),
        RULE(what_is_too_long_is_cut_and_its_source_let_go),
        RULE(a_source_that_breaks_off_is_an_error_that_the_client_can_read),
        RULE(a_generator_that_says_too_much_is_stopped),
        RULE(a_reply_that_waits_may_be_answered_later),
        RULE(a_client_that_leaves_meanwhile_ends_it_once),
        RULE(a_huge_reply_goes_out_in_turns_and_is_not_copied),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
