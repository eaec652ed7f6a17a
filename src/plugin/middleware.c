/* The world smg:gateway (spec wasm-plugins 3). */
#include "plugin/call.h"

/* R is of a call whose result is R_RESULT. */
static int action_of(int r, const union wasm_result *result, struct wasm_action *ret)
{
    if (r == 0)
        *ret = result->action;
    return r;
}

int wasm_call_on_request(struct wasm_module *m, const struct wasm_limits *l, const struct wasm_request *req, struct arena *arena,
                         struct wasm_action *ret, struct err *err)
{
    union wasm_result result = { 0 };
    struct wasm_values values;
    int r = values_of_request(req, arena, &values, err);

    if (r == 0)
        r = call_run(m, COMPONENT_ON_REQUEST, l, &values, req->request_id, arena, &result, err);
    return action_of(r, &result, ret);
}

int wasm_call_on_response(struct wasm_module *m, const struct wasm_limits *l, const struct wasm_response *resp,
                          struct str request_id, struct arena *arena, struct wasm_action *ret, struct err *err)
{
    union wasm_result result = { 0 };
    struct wasm_values values;
    int r = values_of_response(resp, arena, &values, err);

    if (r == 0)
        r = call_run(m, COMPONENT_ON_RESPONSE, l, &values, request_id, arena, &result, err);
    return action_of(r, &result, ret);
}

int wasm_begin_on_request(struct wasm_module *m, const struct wasm_limits *l, const struct wasm_request *req, struct arena *arena,
                          struct wasm_call **ret_rest, struct wasm_action *ret, struct err *err)
{
    union wasm_result result = { 0 };
    struct wasm_values values;
    int r = values_of_request(req, arena, &values, err);

    *ret_rest = NULL;
    if (r == 0)
        r = call_begun(m, COMPONENT_ON_REQUEST, l, &values, req->request_id, arena, ret_rest, &result, err);
    return *ret_rest ? r : action_of(r, &result, ret);
}

int wasm_begin_on_response(struct wasm_module *m, const struct wasm_limits *l, const struct wasm_response *resp,
                           struct str request_id, struct arena *arena, struct wasm_call **ret_rest, struct wasm_action *ret,
                           struct err *err)
{
    union wasm_result result = { 0 };
    struct wasm_values values;
    int r = values_of_response(resp, arena, &values, err);

    *ret_rest = NULL;
    if (r == 0)
        r = call_begun(m, COMPONENT_ON_RESPONSE, l, &values, request_id, arena, ret_rest, &result, err);
    return *ret_rest ? r : action_of(r, &result, ret);
}

int wasm_call_finish(struct wasm_call *c, struct wasm_action *ret, struct err *err)
{
    union wasm_result result = { 0 };

    return action_of(call_finished(c, &result, err), &result, ret);
}
