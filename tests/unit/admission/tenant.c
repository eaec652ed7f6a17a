/* tenant.c -- whose request it is (spec data-plane 11.4). Rules about keys of files: tenant_limits.c. */
#include "test.h"

#include "admission/tenant.h"

static struct exchange ex;

static struct http_field field;

static int begin(void **state)
{
    (void)state;
    ex = (struct exchange){ .peer = STR("10.1.2.3:4567") };
    arena_init(&ex.arena, NULL, 0);
    field = (struct http_field){ .name = STR("X-SMG-Tenant-Id"), .value = STR("  red ") };
    ex.req.fields = (struct http_fields){ .v = &field, .n = 1 };
    return 0;
}

static int end(void **state)
{
    (void)state;
    arena_fini(&ex.arena);
    return 0;
}

static const struct tenant_conf TRUSTING = { .trust_header = true, .header = { "x-smg-tenant-id", 15 } };

static void who_authenticated_is_the_tenant(void **state)
{
    (void)state;
    ex.principal.id = STR("auth:blue");
    assert_str(tenant_of(&TRUSTING, &ex), "auth:blue");
}

static void then_a_trusted_header_then_the_address(void **state)
{
    (void)state;
    assert_str(tenant_of(&TRUSTING, &ex), "header:red");
    assert_str(tenant_of(&(struct tenant_conf){ .header = TRUSTING.header }, &ex), "ip:10.1.2.3");
    field.value = STR(" \t");
    assert_str(tenant_of(&TRUSTING, &ex), "ip:10.1.2.3");
}

static void addresses_lose_port_and_brackets(void **state)
{
    (void)state;
    ex.req.fields.n = 0;
    ex.peer = STR("[2001:db8::7]:80");
    assert_str(tenant_of(&TRUSTING, &ex), "ip:2001:db8::7");
    ex.peer = STR("[::ffff:10.0.0.1]:80"); /* an IPv4 client of a dual-stack listener */
    assert_str(tenant_of(&TRUSTING, &ex), "ip:10.0.0.1");
    ex.peer = STR_NONE;
    assert_str(tenant_of(&TRUSTING, &ex), "anonymous");
}

static void a_long_name_is_cut(void **state)
{
    char name[1000];

    (void)state;
    memset(name, 'a', sizeof name);
    field.value = (struct str){ name, sizeof name };
    assert_int_equal(tenant_of(&TRUSTING, &ex).n, TENANT_KEY_MAX);
    ex.arena.max = 1; /* no memory */
    assert_str(tenant_of(&TRUSTING, &ex), "anonymous");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(who_authenticated_is_the_tenant, begin, end),
        cmocka_unit_test_setup_teardown(then_a_trusted_header_then_the_address, begin, end),
        cmocka_unit_test_setup_teardown(addresses_lose_port_and_brackets, begin, end),
        cmocka_unit_test_setup_teardown(a_long_name_is_cut, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
