/* The world smg:gateway (spec wasm-plugins 3). */
#include "plugin/call.h"

int wasm_call_on_request(struct wasm_module *m, const struct wasm_limits *l, const struct wasm_request *req, struct arena *arena,
                         struct wasm_action *ret, struct err *err)
{
    struct image in;
    struct answer answer;
    int r = values_of_request(req, arena, &in, err);

    if (r == 0)
        r = call_run(m, COMPONENT_ON_REQUEST, l, &in, req->request_id, arena, &answer, err);
    return r == 0 ? values_to_action(answer, arena, ret, err) : r;
}

int wasm_call_on_response(struct wasm_module *m, const struct wasm_limits *l, const struct wasm_response *resp,
                          struct str request_id, struct arena *arena, struct wasm_action *ret, struct err *err)
{
    struct image in;
    struct answer answer;
    int r = values_of_response(resp, arena, &in, err);

    if (r == 0)
        r = call_run(m, COMPONENT_ON_RESPONSE, l, &in, request_id, arena, &answer, err);
    return r == 0 ? values_to_action(answer, arena, ret, err) : r;
}

int wasm_begin_on_request(struct wasm_module *m, const struct wasm_limits *l, const struct wasm_request *req, struct arena *arena,
                          struct wasm_call **ret_rest, struct wasm_action *ret, struct err *err)
{
    struct image in;
    struct answer answer;
    int r = values_of_request(req, arena, &in, err);

    *ret_rest = NULL;
    if (r == 0)
        r = call_begun(m, COMPONENT_ON_REQUEST, l, &in, arena, ret_rest, &answer, err);
    return r == 0 && !*ret_rest ? values_to_action(answer, arena, ret, err) : r;
}

int wasm_begin_on_response(struct wasm_module *m, const struct wasm_limits *l, const struct wasm_response *resp,
                           struct arena *arena, struct wasm_call **ret_rest, struct wasm_action *ret, struct err *err)
{
    struct image in;
    struct answer answer;
    int r = values_of_response(resp, arena, &in, err);

    *ret_rest = NULL;
    if (r == 0)
        r = call_begun(m, COMPONENT_ON_RESPONSE, l, &in, arena, ret_rest, &answer, err);
    return r == 0 && !*ret_rest ? values_to_action(answer, arena, ret, err) : r;
}

int wasm_call_finish(struct wasm_call *c, struct wasm_action *ret, struct err *err)
{
    struct arena *arena = NULL;
    struct answer answer;
    int r = call_finished(c, &arena, &answer, err);

    return r == 0 ? values_to_action(answer, arena, ret, err) : r;
}
