/* role.c -- spec control-plane 4.7 and case 56 */
#include "auth/role.h"
#include "test.h"

#include <stdio.h>

static const struct role_mapping MAPPING[] = { { STR_INIT("viewer"), false }, { STR_INIT("Gateway.Admin"), true } };

static bool admin(const char *claims, const char *claim, size_t mapped)
{
    struct role_rules rules = { .claim = str_of(claim), .mapping = MAPPING, .n = mapped };
    struct json_doc doc;
    struct arena a;
    bool yes;

    arena_init(&a, NULL, 0);
    assert_int_equal(json_parse(str_of(claims), &a, &doc, NULL), 0);
    yes = role_is_admin(&rules, json_root(&doc), &a);
    arena_fini(&a);
    return yes;
}

static void case_56_role_mapping(void **state)
{
    assert_true(admin("{\"roles\":[\"viewer\",\"Gateway.Admin\"]}", "roles", 2)); /* the highest wins */
    assert_true(admin("{\"groups\":[\"admin\"]}", "roles", 0));
    assert_false(admin("{\"roles\":[\"admin\"]}", "roles", 2)); /* a mapping, and this is not in it */
    assert_false(admin("{\"roles\":[\"gateway.admin\"]}", "roles", 2));
}

static void without_a_mapping_admin_in_any_case_is_admin(void **state)
{
    assert_true(admin("{\"roles\":\"ADMIN\"}", "roles", 0));
    assert_true(admin("{\"roles\":[1,null,\"user\",\"Admin\"]}", "roles", 0));
    assert_false(admin("{\"roles\":[\"administrator\",\"user\"]}", "roles", 0));
    assert_false(admin("{\"roles\":\"admin user\"}", "roles", 0));
    assert_false(admin("{}", "roles", 0));
}

static void a_claim_of_another_type_has_no_values_and_hides_the_usual_ones(void **state)
{
    static const char *const TYPES[] = { "null", "1", "true", "{\"admin\":true}", "[]" };
    char text[128];

    for (size_t i = 0; i < ARRAY_LEN(TYPES); i++) {
        snprintf(text, sizeof text, "{\"scopes\":%s,\"groups\":[\"admin\"]}", TYPES[i]);
        assert_false(admin(text, "scopes", 0));
    }
    assert_true(admin("{\"groups\":[\"admin\"]}", "scopes", 0));
    assert_true(admin("{\"role\":\"x\",\"group\":\"admin\"}", "scopes", 0));
}

static void a_dotted_claim_leads_into_objects(void **state)
{
    assert_true(admin("{\"realm_access\":{\"roles\":[\"admin\"]}}", "realm_access.roles", 0));
    assert_true(admin("{\"a\":{\"b\":{\"c\":\"admin\"}}}", "a.b.c", 0));
    assert_false(admin("{\"a\":{\"b\":\"admin\"}}", "a.b.c", 0));
    assert_true(admin("{\"https://x.example/roles\":[\"admin\"]}", "https://x.example/roles", 0));
}

static void registered_claims_are_no_roles(void **state)
{
    assert_false(admin("{\"sub\":\"admin\"}", "sub", 0));
    assert_false(admin("{\"aud\":\"admin\",\"name\":\"admin\"}", "name", 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(case_56_role_mapping),
        cmocka_unit_test(without_a_mapping_admin_in_any_case_is_admin),
        cmocka_unit_test(a_claim_of_another_type_has_no_values_and_hides_the_usual_ones),
        cmocka_unit_test(a_dotted_claim_leads_into_objects),
        cmocka_unit_test(registered_claims_are_no_roles),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
