/* models.c -- GET /v1/models */
#include "scene.h"

#define MODEL(id) "{\"id\":\"" id "\",\"object\":\"model\",\"created\":0,\"owned_by\":\"self_hosted\"}"

static void models_are_listed_once_and_by_name(void **state)
{
    OPEN({ .kind = ENGINE_CLOSED, .model = "zeta" }, { .kind = ENGINE_CLOSED, .model = "alpha", .alias = "a" },
         { .kind = ENGINE_CLOSED, .model = "zeta" });
    hear_all(ask_with("GET /v1/models", "", ""));
    assert_status(200);
    assert_heard("content-type: application/json\r\n");
    assert_heard("\r\n\r\n{\"object\":\"list\",\"data\":[" MODEL("alpha") "," MODEL("zeta") "]}");
}

static void a_name_is_escaped(void **state)
{
    OPEN({ .kind = ENGINE_CLOSED, .model = "a\"b\\" });
    hear_all(ask_with("GET /v1/models", "", ""));
    assert_heard(MODEL("a\\\"b\\\\"));
}

static void without_models_it_is_503(void **state)
{
    open_scene(NULL);
    hear_all(ask_with("GET /v1/models", "", ""));
    assert_status(503);
    assert_heard("retry-after: 1\r\n");
    assert_heard("x-smg-error-code: no_models\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = { RULE(models_are_listed_once_and_by_name), RULE(a_name_is_escaped),
                                        RULE(without_models_it_is_503) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
