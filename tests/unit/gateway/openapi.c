/* openapi.c -- the route array and the table of operations describe the same gateway */
#include "../test.h"

#include "gateway/gateway_internal.h"
#include "json/json.h"

static void every_route_has_an_operation(void **state)
{
    for (size_t i = 0; i < GATEWAY_ROUTES_N; i++)
        if (!openapi_find(&GATEWAY_ROUTES[i]))
            fail_msg("%s has no operation", GATEWAY_ROUTES[i].path);
}

static void every_operation_has_a_route(void **state)
{
    for (size_t i = 0; i < OPENAPI_OPERATIONS_N; i++) {
        size_t found = 0;

        for (size_t k = 0; k < GATEWAY_ROUTES_N; k++)
            found += openapi_find(&GATEWAY_ROUTES[k]) == &OPENAPI_OPERATIONS[i];
        assert_int_equal(found, 1);
    }
}

static void names_of_operations_are_unique(void **state)
{
    for (size_t i = 0; i < OPENAPI_OPERATIONS_N; i++)
        for (size_t k = i + 1; k < OPENAPI_OPERATIONS_N; k++)
            assert_string_not_equal(OPENAPI_OPERATIONS[i].id, OPENAPI_OPERATIONS[k].id);
}

static void what_reads_a_body_describes_it(void **state)
{
    for (size_t i = 0; i < GATEWAY_ROUTES_N; i++)
        if (GATEWAY_ROUTES[i].body == ROUTE_BODY_BUFFER)
            assert_non_null(openapi_find(&GATEWAY_ROUTES[i])->request);
}

static void the_document_is_json_with_every_path(void **state)
{
    struct buf out = { 0 };
    struct arena arena;
    struct json_doc doc;

    arena_init(&arena, /* cache= */ NULL, /* max_bytes= */ 0);
    openapi_write(&out, GATEWAY_ROUTES, GATEWAY_ROUTES_N);
    assert_false(out.failed);
    assert_int_equal(json_parse(buf_str(&out), &arena, &doc, /* ret_error= */ NULL), 0);
    for (size_t i = 0; i < GATEWAY_ROUTES_N; i++)
        assert_true(json_exists(json_get(json_get(json_root(&doc), STR("paths")), str_of(GATEWAY_ROUTES[i].path))));
    arena_fini(&arena);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_route_has_an_operation),         cmocka_unit_test(every_operation_has_a_route),
        cmocka_unit_test(names_of_operations_are_unique),       cmocka_unit_test(what_reads_a_body_describes_it),
        cmocka_unit_test(the_document_is_json_with_every_path),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
