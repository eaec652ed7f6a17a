/* edits.c -- header edits and body replacement (spec wasm-plugins 5.5; test 18 of its section 10) */
#include "test.h"

#include <stdio.h>

#include "plugin/edits.h"

static struct arena arena;
static struct plugin_message message;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, NULL, 0);
    message = (struct plugin_message){ .arena = &arena, .body = STR("before"), .status = 200 };
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_fini(&arena);
    return 0;
}

static void has(const char *name, const char *value)
{
    struct http_fields f = { 0 };

    http_add_name(&f, &arena, str_of(name), str_of(value));
    plugin_message_take_fields(&message, &f);
}

/* "a: 1|b: 2|" */
static const char *fields(void)
{
    static char out[1024];
    size_t n = 0;

    out[0] = 0;
    for (unsigned i = 0; i < message.fields.n; i++)
        n += (size_t)snprintf(out + n, sizeof out - n, "%.*s: %.*s|", STR_FMT(message.fields.v[i].name),
                              STR_FMT(message.fields.v[i].value));
    return out;
}

#define H(n, v) ((struct wasm_header){ STR(n), STR(v) })
#define LIST(...)                                                                                                               \
    {                                                                                                                           \
        (const struct wasm_header[]){ __VA_ARGS__ }, sizeof((struct wasm_header[]){ __VA_ARGS__ }) / sizeof(struct wasm_header) \
    }

static int modify(struct wasm_action a)
{
    a.type = WASM_MODIFY;
    return plugin_message_modify(&message, &a, 100, NULL);
}

static void set_replaces_every_value_and_add_appends_one(void **state)
{
    has("x-a", "1");
    has("x-a", "2");
    has("x-b", "3");
    assert_int_equal(modify((struct wasm_action){ .set = LIST(H("X-A", "new")), .add = LIST(H("x-b", "4")) }), 0);
    assert_string_equal(fields(), "x-b: 3|x-a: new|x-b: 4|");
    assert_true(message.fields_changed && !message.body_changed);
}

static void a_name_that_is_set_added_and_removed_is_gone(void **state)
{
    const struct str gone[] = { STR_INIT("X-A") };

    has("x-a", "1");
    assert_int_equal(
        modify((struct wasm_action){ .set = LIST(H("x-a", "2")), .add = LIST(H("x-a", "3")), .remove = gone, .remove_n = 1 }), 0);
    assert_string_equal(fields(), "");
}

static void what_cannot_be_a_field_is_skipped_alone(void **state)
{
    assert_int_equal(modify((struct wasm_action){
                         .set = LIST(H("bad name", "1"), H("", "2"), H("x-nl", "a\nb"), H("x-utf", "\xc3\xa9"), H("x-ok", " yes ")),
                         .add = LIST(H("x:y", "3"), H("x-fine", "4")) }),
                     0);
    assert_string_equal(fields(), "x-ok: yes|x-fine: 4|");
}

static void framing_connection_and_host_are_not_for_plugins(void **state)
{
    const struct str gone[] = { STR_INIT("content-length"), STR_INIT("host"), STR_INIT("Connection") };

    has("host", "a");
    has("content-length", "6");
    has("connection", "close");
    assert_int_equal(
        modify((struct wasm_action){ .set = LIST(H("Transfer-Encoding", "chunked"), H("content-length", "9"), H("host", "b"),
                                                 H("te", "x"), H("upgrade", "h2c"), H("expect", "100-continue")),
                                     .remove = gone,
                                     .remove_n = 3 }),
        0);
    assert_string_equal(fields(), "host: a|content-length: 6|connection: close|");
    assert_false(message.fields_changed);
}

static void a_replys_request_id_is_the_gateways(void **state)
{
    message.side = PLUGIN_REPLY;
    assert_int_equal(modify((struct wasm_action){ .set = LIST(H("x-request-id", "mine"), H("x-other", "1")) }), 0);
    assert_string_equal(fields(), "x-other: 1|");
    message.side = PLUGIN_REQUEST;
    assert_int_equal(modify((struct wasm_action){ .set = LIST(H("x-request-id", "mine")) }), 0);
    assert_string_equal(fields(), "x-other: 1|x-request-id: mine|");
}

static void a_new_body_brings_its_length_and_loses_the_old_ones_encoding(void **state)
{
    has("content-length", "6");
    has("content-encoding", "gzip");
    assert_int_equal(modify((struct wasm_action){ .has_body = true, .body = STR("0123456789") }), 0);
    assert_string_equal(fields(), "content-length: 10|");
    assert_true(message.body_changed && message.body.n == 10);
    assert_int_equal(modify((struct wasm_action){ .has_body = true, .body = STR(""), .set = LIST(H("content-encoding", "br")) }),
                     0);
    assert_string_equal(fields(), "content-length: 0|content-encoding: br|");
}

static void a_body_over_the_bound_changes_nothing(void **state)
{
    char large[101];

    assert_int_equal(modify((struct wasm_action){ .has_body = true, .body = { large, 101 }, .set = LIST(H("x-a", "1")) }),
                     ERR_LIMIT);
    assert_string_equal(fields(), "");
    assert_true(str_eq(message.body, STR("before")) && !message.body_changed);
}

static void a_reply_gets_a_final_status_and_a_request_none(void **state)
{
    assert_int_equal(modify((struct wasm_action){ .has_status = true, .status = 503 }), 0);
    assert_int_equal(message.status, 200);
    message.side = PLUGIN_REPLY;
    assert_int_equal(modify((struct wasm_action){ .has_status = true, .status = 503 }), 0);
    assert_int_equal(message.status, 503);
    assert_int_equal(modify((struct wasm_action){ .has_status = true, .status = 1000 }), 0);
    assert_int_equal(modify((struct wasm_action){ .has_status = true, .status = 99 }), 0);
    assert_int_equal(modify((struct wasm_action){ .has_status = true, .status = 101 }), 0);
    assert_int_equal(message.status, 503);
}

static void a_reject_has_a_status_that_ends_a_request(void **state)
{
    assert_int_equal(plugin_reject_status(429), 429);
    assert_int_equal(plugin_reject_status(204), 204);
    assert_int_equal(plugin_reject_status(999), 999);
    assert_int_equal(plugin_reject_status(1000), 400);
    assert_int_equal(plugin_reject_status(42), 400);
    assert_int_equal(plugin_reject_status(100), 400);
}

static void plugins_see_lowercase_names_and_visible_values_in_order(void **state)
{
    struct wasm_headers h;

    has("X-One", "1");
    has("x-latin", "caf\xe9");
    has("x-one", "2\t3");
    h = plugin_message_headers(&message, &arena);
    assert_int_equal(h.n, 2);
    assert_true(str_eq(h.v[0].name, STR("x-one")) && str_eq(h.v[0].value, STR("1")));
    assert_true(str_eq(h.v[1].value, STR("2\t3")));
    assert_int_equal(message.fields.n, 3); /* it stays on the message */
}

static void an_action_without_anything_changes_nothing(void **state)
{
    has("x-a", "1");
    assert_int_equal(modify((struct wasm_action){ 0 }), 0);
    assert_false(message.fields_changed || message.body_changed);
}

#define RULE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(set_replaces_every_value_and_add_appends_one), RULE(a_name_that_is_set_added_and_removed_is_gone),
        RULE(what_cannot_be_a_field_is_skipped_alone),      RULE(framing_connection_and_host_are_not_for_plugins),
        RULE(a_replys_request_id_is_the_gateways),          RULE(a_new_body_brings_its_length_and_loses_the_old_ones_encoding),
        RULE(a_body_over_the_bound_changes_nothing),        RULE(a_reply_gets_a_final_status_and_a_request_none),
        RULE(a_reject_has_a_status_that_ends_a_request),    RULE(plugins_see_lowercase_names_and_visible_values_in_order),
        RULE(an_action_without_anything_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
