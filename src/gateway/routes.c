/* gateway/routes.c -- THE route array: every path of the gateway, who may call it, what it may send, who answers */
#include "gateway/gateway_internal.h"

/* clang-format off */
const struct route GATEWAY_ROUTES[] = {
    /* method      path                     who           body                errors                  handler                context            endpoint */
    { HTTP_GET,    "/liveness",             ROUTE_PUBLIC, ROUTE_BODY_NONE,   ROUTE_ERRORS_OPENAI,    gateway_alive,         CONTEXT_GATEWAY,   NULL },
    { HTTP_GET,    "/health",               ROUTE_PUBLIC, ROUTE_BODY_NONE,   ROUTE_ERRORS_OPENAI,    gateway_alive,         CONTEXT_GATEWAY,   NULL },
    { HTTP_GET,    "/readiness",            ROUTE_PUBLIC, ROUTE_BODY_NONE,   ROUTE_ERRORS_OPENAI,    gateway_readiness,     CONTEXT_GATEWAY,   NULL },
    { HTTP_GET,    "/health_generate",      ROUTE_PUBLIC, ROUTE_BODY_NONE,   ROUTE_ERRORS_OPENAI,    inference_health,      CONTEXT_INFERENCE, NULL },
    { HTTP_GET,    "/get_server_info",      ROUTE_PUBLIC, ROUTE_BODY_NONE,   ROUTE_ERRORS_OPENAI,    inference_server_info, CONTEXT_INFERENCE, NULL },
    { HTTP_GET,    "/get_model_info",       ROUTE_PUBLIC, ROUTE_BODY_NONE,   ROUTE_ERRORS_OPENAI,    inference_model_info,  CONTEXT_INFERENCE, NULL },
    { HTTP_GET,    "/v1/models",            ROUTE_PUBLIC, ROUTE_BODY_NONE,   ROUTE_ERRORS_OPENAI,    inference_models,      CONTEXT_INFERENCE, NULL },
    { HTTP_GET,    "/openapi.json",         ROUTE_PUBLIC, ROUTE_BODY_NONE,   ROUTE_ERRORS_OPENAI,    gateway_openapi,       CONTEXT_GATEWAY,   NULL },
    { HTTP_GET,    "/engine_metrics",       ROUTE_PUBLIC, ROUTE_BODY_NONE,   ROUTE_ERRORS_OPENAI,    admin_engine_metrics,  CONTEXT_ADMIN,     NULL },

    { HTTP_POST,   "/v1/chat/completions",  ROUTE_DATA,   ROUTE_BODY_BUFFER, ROUTE_ERRORS_OPENAI,    inference_chat,        CONTEXT_INFERENCE, "chat" },
    { HTTP_POST,   "/v1/completions",       ROUTE_DATA,   ROUTE_BODY_BUFFER, ROUTE_ERRORS_OPENAI,    inference_completions, CONTEXT_INFERENCE, "completions" },
    { HTTP_POST,   "/generate",             ROUTE_DATA,   ROUTE_BODY_BUFFER, ROUTE_ERRORS_OPENAI,    inference_generate,    CONTEXT_INFERENCE, "generate" },
    { HTTP_POST,   "/v1/embeddings",        ROUTE_DATA,   ROUTE_BODY_BUFFER, ROUTE_ERRORS_OPENAI,    inference_embeddings,  CONTEXT_INFERENCE, "embeddings" },
    { HTTP_POST,   "/v1/classify",          ROUTE_DATA,   ROUTE_BODY_BUFFER, ROUTE_ERRORS_OPENAI,    inference_classify,    CONTEXT_INFERENCE, "classify" },
    { HTTP_POST,   "/v1/rerank",            ROUTE_DATA,   ROUTE_BODY_BUFFER, ROUTE_ERRORS_OPENAI,    inference_v1_rerank,   CONTEXT_INFERENCE, "rerank" },
    { HTTP_POST,   "/rerank",               ROUTE_DATA,   ROUTE_BODY_BUFFER, ROUTE_ERRORS_OPENAI,    inference_rerank,      CONTEXT_INFERENCE, "rerank" },
    { HTTP_POST,   "/v1/messages",          ROUTE_DATA,   ROUTE_BODY_BUFFER, ROUTE_ERRORS_ANTHROPIC, inference_messages,    CONTEXT_INFERENCE, "messages" },
    { HTTP_POST,   "/v1/responses",         ROUTE_DATA,   ROUTE_BODY_BUFFER, ROUTE_ERRORS_OPENAI,    inference_responses,   CONTEXT_INFERENCE, "responses" },
    { HTTP_POST,   "/v1/audio/transcriptions", ROUTE_DATA, ROUTE_BODY_BUFFER, ROUTE_ERRORS_OPENAI,   inference_transcriptions, CONTEXT_INFERENCE, "audio", ROUTE_PLUGINS_NEVER },
    { HTTP_POST,   "/v1/responses/{response_id}/cancel", ROUTE_DATA, ROUTE_BODY_NONE, ROUTE_ERRORS_OPENAI, inference_cancel, CONTEXT_INFERENCE, "responses" },

    { HTTP_POST,   "/workers",              ROUTE_ADMIN,  ROUTE_BODY_BUFFER, ROUTE_ERRORS_WORKERS,   admin_add_worker,      CONTEXT_ADMIN,     NULL },
    { HTTP_GET,    "/workers",              ROUTE_ADMIN,  ROUTE_BODY_NONE,   ROUTE_ERRORS_WORKERS,   admin_list_workers,    CONTEXT_ADMIN,     NULL },
    { HTTP_GET,    "/workers/{worker_id}",  ROUTE_ADMIN,  ROUTE_BODY_NONE,   ROUTE_ERRORS_WORKERS,   admin_get_worker,      CONTEXT_ADMIN,     NULL },
    { HTTP_PUT,    "/workers/{worker_id}",  ROUTE_ADMIN,  ROUTE_BODY_BUFFER, ROUTE_ERRORS_WORKERS,   admin_replace_worker,  CONTEXT_ADMIN,     NULL },
    { HTTP_PATCH,  "/workers/{worker_id}",  ROUTE_ADMIN,  ROUTE_BODY_BUFFER, ROUTE_ERRORS_WORKERS,   admin_update_worker,   CONTEXT_ADMIN,     NULL },
    { HTTP_DELETE, "/workers/{worker_id}",  ROUTE_ADMIN,  ROUTE_BODY_NONE,   ROUTE_ERRORS_WORKERS,   admin_remove_worker,   CONTEXT_ADMIN,     NULL },
    { HTTP_GET,    "/policies",             ROUTE_ADMIN,  ROUTE_BODY_NONE,   ROUTE_ERRORS_OPENAI,    admin_list_policies,   CONTEXT_POLICIES,  NULL },
    { HTTP_PATCH,  "/policies",             ROUTE_ADMIN,  ROUTE_BODY_BUFFER, ROUTE_ERRORS_OPENAI,    admin_patch_default_policy, CONTEXT_POLICIES, NULL },
    { HTTP_PATCH,  "/policies/{model}",     ROUTE_ADMIN,  ROUTE_BODY_BUFFER, ROUTE_ERRORS_OPENAI,    admin_patch_policy,    CONTEXT_POLICIES,  NULL },
    { HTTP_DELETE, "/policies/{model}",     ROUTE_ADMIN,  ROUTE_BODY_NONE,   ROUTE_ERRORS_OPENAI,    admin_reset_policy,    CONTEXT_POLICIES,  NULL },
    { HTTP_POST,   "/v1/tokenizers",        ROUTE_ADMIN,  ROUTE_BODY_BUFFER, ROUTE_ERRORS_TYPED,     admin_add_tokenizer,   CONTEXT_TOKENIZERS, NULL },
    { HTTP_GET,    "/v1/tokenizers",        ROUTE_ADMIN,  ROUTE_BODY_NONE,   ROUTE_ERRORS_TYPED,     admin_list_tokenizers, CONTEXT_TOKENIZERS, NULL },
    { HTTP_GET,    "/v1/tokenizers/{tokenizer_id}", ROUTE_ADMIN, ROUTE_BODY_NONE, ROUTE_ERRORS_TYPED, admin_get_tokenizer,  CONTEXT_TOKENIZERS, NULL },
    { HTTP_DELETE, "/v1/tokenizers/{tokenizer_id}", ROUTE_ADMIN, ROUTE_BODY_NONE, ROUTE_ERRORS_TYPED, admin_remove_tokenizer, CONTEXT_TOKENIZERS, NULL },
    { HTTP_GET,    "/v1/tokenizers/{tokenizer_id}/status", ROUTE_ADMIN, ROUTE_BODY_NONE, ROUTE_ERRORS_TYPED, admin_get_tokenizer_status, CONTEXT_TOKENIZERS, NULL },
    { HTTP_POST,   "/v1/tokenize",          ROUTE_DATA,   ROUTE_BODY_BUFFER, ROUTE_ERRORS_TYPED,     admin_tokenize,        CONTEXT_TOKENIZERS, "tokenize" },
    { HTTP_POST,   "/v1/detokenize",        ROUTE_DATA,   ROUTE_BODY_BUFFER, ROUTE_ERRORS_TYPED,     admin_detokenize,      CONTEXT_TOKENIZERS, "detokenize" },
    { HTTP_POST,   "/tokenize",             ROUTE_DATA,   ROUTE_BODY_BUFFER, ROUTE_ERRORS_TYPED,     admin_tokenize,        CONTEXT_TOKENIZERS, "tokenize" },
    { HTTP_POST,   "/detokenize",           ROUTE_DATA,   ROUTE_BODY_BUFFER, ROUTE_ERRORS_TYPED,     admin_detokenize,      CONTEXT_TOKENIZERS, "detokenize" },
    { HTTP_POST,   "/wasm",                 ROUTE_ADMIN,  ROUTE_BODY_BUFFER, ROUTE_ERRORS_TYPED,     admin_add_wasm,        CONTEXT_WASM,      NULL },
    { HTTP_GET,    "/wasm",                 ROUTE_ADMIN,  ROUTE_BODY_NONE,   ROUTE_ERRORS_OPENAI,    admin_list_wasm,       CONTEXT_WASM,      NULL },
    { HTTP_DELETE, "/wasm/{module_uuid}",   ROUTE_ADMIN,  ROUTE_BODY_NONE,   ROUTE_ERRORS_OPENAI,    admin_remove_wasm,     CONTEXT_WASM,      NULL },
    { HTTP_POST,   "/flush_cache",          ROUTE_ADMIN,  ROUTE_BODY_NONE,   ROUTE_ERRORS_OPENAI,    admin_flush_cache,     CONTEXT_ADMIN,     NULL },
    { HTTP_GET,    "/get_loads",            ROUTE_ADMIN,  ROUTE_BODY_NONE,   ROUTE_ERRORS_OPENAI,    admin_get_loads,       CONTEXT_ADMIN,     NULL },
    { HTTP_POST,   "/start_profile",        ROUTE_ADMIN,  ROUTE_BODY_BUFFER, ROUTE_ERRORS_OPENAI,    admin_start_profile,   CONTEXT_ADMIN,     NULL },
    { HTTP_POST,   "/stop_profile",         ROUTE_ADMIN,  ROUTE_BODY_BUFFER, ROUTE_ERRORS_OPENAI,    admin_stop_profile,    CONTEXT_ADMIN,     NULL },
};
const size_t GATEWAY_ROUTES_N = ARRAY_LEN(GATEWAY_ROUTES);

/* --prometheus-port */
const struct route METRICS_ROUTES[] = {
    { HTTP_GET,    "/metrics",              ROUTE_PUBLIC, ROUTE_BODY_NONE,   ROUTE_ERRORS_OPENAI,    gateway_metrics,       CONTEXT_GATEWAY,   NULL },
};
const size_t METRICS_ROUTES_N = ARRAY_LEN(METRICS_ROUTES);

/* --health-check-port */
const struct route PROBE_ROUTES[] = {
    { HTTP_GET,    "/liveness",             ROUTE_PUBLIC, ROUTE_BODY_NONE,   ROUTE_ERRORS_OPENAI,    gateway_alive,         CONTEXT_GATEWAY,   NULL },
    { HTTP_GET,    "/health",               ROUTE_PUBLIC, ROUTE_BODY_NONE,   ROUTE_ERRORS_OPENAI,    gateway_alive,         CONTEXT_GATEWAY,   NULL },
    { HTTP_GET,    "/readiness",            ROUTE_PUBLIC, ROUTE_BODY_NONE,   ROUTE_ERRORS_OPENAI,    gateway_readiness,     CONTEXT_GATEWAY,   NULL },
};
const size_t PROBE_ROUTES_N = ARRAY_LEN(PROBE_ROUTES);
/* clang-format on */
