/* scene.h -- the inference handlers under a server of their own, in front of scripted engines (dispatch/stage.h) */
#pragma once

#include "dispatch/stage.h"

#define AT(verb, where, how, fn)                                                                                       \
    {                                                                                                                  \
        .method = verb, .path = where, .body = verb == HTTP_POST ? ROUTE_BODY_BUFFER : ROUTE_BODY_NONE, .errors = how, \
        .handler = fn, .context = CTX_INFERENCE                                                                        \
    }

static const struct route INFERENCE_ROUTES[] = {
    AT(HTTP_POST, "/v1/chat/completions", ROUTE_ERRORS_OPENAI, inference_chat),
    AT(HTTP_POST, "/v1/completions", ROUTE_ERRORS_OPENAI, inference_completions),
    AT(HTTP_POST, "/generate", ROUTE_ERRORS_OPENAI, inference_generate),
    AT(HTTP_POST, "/v1/embeddings", ROUTE_ERRORS_OPENAI, inference_embeddings),
    AT(HTTP_POST, "/v1/classify", ROUTE_ERRORS_OPENAI, inference_classify),
    AT(HTTP_POST, "/v1/messages", ROUTE_ERRORS_ANTHROPIC, inference_messages),
    AT(HTTP_POST, "/v1/responses", ROUTE_ERRORS_OPENAI, inference_responses),
    AT(HTTP_POST, "/rerank", ROUTE_ERRORS_OPENAI, inference_rerank),
    AT(HTTP_POST, "/v1/rerank", ROUTE_ERRORS_OPENAI, inference_v1_rerank),
    AT(HTTP_GET, "/v1/models", ROUTE_ERRORS_OPENAI, inference_models),
    AT(HTTP_GET, "/health_generate", ROUTE_ERRORS_OPENAI, inference_health),
    AT(HTTP_GET, "/get_server_info", ROUTE_ERRORS_OPENAI, inference_server_info),
    AT(HTTP_GET, "/get_model_info", ROUTE_ERRORS_OPENAI, inference_model_info),
};

static inline void open_scene(const struct engine *engines)
{
    stage_open(engines, (struct stage_conf){ .routes = INFERENCE_ROUTES, .routes_n = ARRAY_LEN(INFERENCE_ROUTES) });
}

#define OPEN(...) open_scene((const struct engine[]){ __VA_ARGS__, { 0 } })
#define UP                                \
    {                                     \
        .kind = ENGINE_OPEN, .model = "m" \
    }

static inline int close_scene(void **state)
{
    stage_close();
    return 0;
}

static inline int post(const char *path, const char *body)
{
    char line[128];

    snprintf(line, sizeof line, "POST %s", path);
    return ask_with(line, "content-type: application/json\r\n", body);
}

#define CHAT_BODY "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"

static inline void reply_with_length(int engine, const char *status, const char *fields, const char *body)
{
    char head[4096];

    snprintf(head, sizeof head, "HTTP/1.1 %s\r\ncontent-length: %zu\r\n%s\r\n", status, strlen(body), fields);
    say(engine, head);
    say(engine, body);
}

#define RULE(f) cmocka_unit_test_teardown(f, close_scene)
