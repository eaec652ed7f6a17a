/* held.c -- a reply that is kept in case nobody does better */
#include "test.h"

#include <stdlib.h>

#include "base/budget.h"
#include "dispatch/dispatch.h"
#include "dispatch/held.h"
#include "fail_alloc.h"

static char name[] = "x-foo", value[] = "bar";

static struct http_head a_head(struct http_field *fields, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        fields[i] = (struct http_field){ .id = HF_UNKNOWN, .name = str_of(name), .value = i ? STR_NONE : str_of(value) };
    return (struct http_head){ .status = 500, .body = HTTP_BODY_CHUNKED, .fields = { .v = fields, .n = n, .cap = n } };
}

static void it_keeps_what_the_connection_does_not(void **state)
{
    struct http_field fields[2];
    struct http_head head = a_head(fields, 2);
    struct held h = { 0 };

    assert_int_equal(held_begin(&h, &head), 0);
    held_put(&h, STR("oo"));
    held_put(&h, STR("ps"));
    memset(name, '-', sizeof name - 1);
    memset(value, '-', sizeof value - 1);
    assert_int_equal(h.head.status, 500);
    assert_int_equal(h.head.fields.n, 2);
    assert_str(h.head.fields.v[0].name, "x-foo");
    assert_str(h.head.fields.v[0].value, "bar");
    assert_str(h.head.fields.v[1].value, "");
    assert_str(buf_str(&h.body), "oops");
    assert_true(h.any && !h.lost);
    memcpy(name, "x-foo", sizeof name);
    memcpy(value, "bar", sizeof value);
    assert_true(budget_used() > 4);
    held_fini(&h);
    assert_int_equal(budget_used(), 0);
}

static void a_new_one_takes_the_old_ones_place(void **state)
{
    struct http_field fields[3];
    struct http_head head = a_head(fields, 1), other = a_head(fields, 3);
    struct held h = { 0 };

    assert_int_equal(held_begin(&h, &head), 0);
    held_put(&h, STR("one"));
    assert_int_equal(held_begin(&h, &other), 0);
    assert_int_equal(h.head.fields.n, 3);
    assert_int_equal(h.body.n, 0);
    held_drop(&h);
    assert_false(h.any);
    assert_int_equal(budget_used(), 0);
    held_fini(&h);
}

static void a_body_over_the_bound_is_lost(void **state)
{
    struct http_head head = { .status = 503 };
    struct held h = { 0 };
    char *big = calloc(1, DISPATCH_HELD_MAX);

    assert_int_equal(held_begin(&h, &head), 0);
    held_put(&h, (struct str){ big, DISPATCH_HELD_MAX });
    assert_false(h.lost);
    held_put(&h, STR("x"));
    assert_true(h.lost);
    held_put(&h, STR("y"));
    assert_int_equal(h.body.n, DISPATCH_HELD_MAX);
    held_fini(&h);
    free(big);
    assert_int_equal(budget_used(), 0);
}

static void without_budget_it_is_lost_or_not_held(void **state)
{
    struct http_field fields[1];
    struct http_head head = a_head(fields, 1);
    struct held h = { 0 };

    budget_set_limit(1);
    assert_int_equal(held_begin(&h, &head), ERR_NOMEM);
    assert_false(h.any);
    budget_set_limit(100);
    assert_int_equal(held_begin(&h, &head), 0);
    held_put(&h, STR("a text of more than the few bytes that are left of the budget of a hundred bytes, whatever they are"));
    assert_true(h.lost);
    budget_set_limit(0);
    held_fini(&h);
    assert_int_equal(budget_used(), 0);
}

static void without_memory_it_is_lost_or_not_held(void **state)
{
    struct http_field fields[2];
    struct http_head head = a_head(fields, 2);

    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct held h = { 0 };
        int r = held_begin(&h, &head);

        assert_true(r == 0 || r == ERR_NOMEM);
        assert_int_equal(h.any, r == 0);
        if (r == 0)
            held_put(&h, STR("oops"));
        assert_true(h.lost || r < 0 || h.body.n == 4);
        held_fini(&h);
        assert_int_equal(budget_used(), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_keeps_what_the_connection_does_not), cmocka_unit_test(a_new_one_takes_the_old_ones_place),
        cmocka_unit_test(a_body_over_the_bound_is_lost),         cmocka_unit_test(without_budget_it_is_lost_or_not_held),
        cmocka_unit_test(without_memory_it_is_lost_or_not_held),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
