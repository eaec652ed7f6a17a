/* gateway/openapi_operations.c -- the words, bodies and statuses of each operation, in the order of the route array
 *
 * Shapes of replies stand here: rows of names and types, without places in a struct, since nothing is read into them. Inference bodies name what every endpoint
 * needs; the engines' further parameters pass through and are theirs to describe.
 */
#include "admin/admin.h"
#include "admin/parse.h"
#include "admin/policies.h"
#include "admin/tokenizers.h"
#include "admin/wasm.h"
#include "gateway/openapi.h"
#include "worker/registry.h"

#define REQ(n, t)                                                                 \
    {                                                                             \
        .name = n, .type = t, .flags = SHAPE_REQUIRED, .at_given = SHAPE_NO_GIVEN \
    }
#define OPT(n, t)                                        \
    {                                                    \
        .name = n, .type = t, .at_given = SHAPE_NO_GIVEN \
    }
#define REQ_OF(n, t, of)                                                                     \
    {                                                                                        \
        .name = n, .type = t, .sub = of, .flags = SHAPE_REQUIRED, .at_given = SHAPE_NO_GIVEN \
    }
#define OPT_OF(n, t, of)                                            \
    {                                                               \
        .name = n, .type = t, .sub = of, .at_given = SHAPE_NO_GIVEN \
    }
#define ANY_ARRAY(n, f)                                                                               \
    {                                                                                                 \
        .name = n, .type = SHAPE_ARRAY, .element = SHAPE_JSON, .flags = f, .at_given = SHAPE_NO_GIVEN \
    }
#define ONE_OF(n, v)                                                                                   \
    {                                                                                                  \
        .name = n, .type = SHAPE_ENUM, .names = v, .flags = SHAPE_REQUIRED, .at_given = SHAPE_NO_GIVEN \
    }

/* SHAPE_OF(ACCEPTED, "Accepted", rows...) */
#define SHAPE_OF(shape, title, ...)                                          \
    static const struct json_shape_field shape##_FIELDS[] = { __VA_ARGS__ }; \
    static const struct json_shape shape = { .name = title, .fields = shape##_FIELDS, .fields_n = ARRAY_LEN(shape##_FIELDS) }

/* ---- probes and information ---- */

SHAPE_OF(READINESS, "Readiness", REQ("status", SHAPE_STR), OPT("reason", SHAPE_STR), OPT("healthy_workers", SHAPE_U32),
         OPT("total_workers", SHAPE_U32));
SHAPE_OF(MODEL_LIST, "ModelList", REQ("object", SHAPE_STR), ANY_ARRAY("data", SHAPE_REQUIRED));
SHAPE_OF(ANY_OBJECT, "Object", OPT("model", SHAPE_JSON));
SHAPE_OF(DOCUMENT, "OpenApi", REQ("openapi", SHAPE_STR), REQ("info", SHAPE_JSON), REQ("paths", SHAPE_JSON));

/* ---- inference ---- */

SHAPE_OF(CHAT, "ChatCompletionRequest", REQ("model", SHAPE_STR), ANY_ARRAY("messages", SHAPE_REQUIRED), OPT("stream", SHAPE_JSON),
         OPT("max_tokens", SHAPE_JSON), OPT("temperature", SHAPE_JSON), OPT("top_p", SHAPE_JSON), OPT("n", SHAPE_JSON),
         OPT("stop", SHAPE_JSON), OPT("tools", SHAPE_JSON), OPT("tool_choice", SHAPE_JSON), OPT("response_format", SHAPE_JSON));
SHAPE_OF(COMPLETION, "CompletionRequest", REQ("model", SHAPE_STR), REQ("prompt", SHAPE_JSON), OPT("stream", SHAPE_JSON),
         OPT("max_tokens", SHAPE_JSON), OPT("n", SHAPE_JSON), OPT("stop", SHAPE_JSON));
SHAPE_OF(GENERATE, "GenerateRequest", OPT("text", SHAPE_JSON), OPT("input_ids", SHAPE_JSON), OPT("sampling_params", SHAPE_JSON),
         OPT("stream", SHAPE_JSON), OPT("rid", SHAPE_JSON));
SHAPE_OF(EMBEDDING, "EmbeddingRequest", REQ("model", SHAPE_STR), REQ("input", SHAPE_JSON), OPT("encoding_format", SHAPE_JSON));
SHAPE_OF(CLASSIFY, "ClassifyRequest", REQ("model", SHAPE_STR), REQ("input", SHAPE_JSON));
SHAPE_OF(RERANK, "RerankRequest", OPT("model", SHAPE_JSON), REQ("query", SHAPE_STR), ANY_ARRAY("documents", SHAPE_REQUIRED),
         OPT("top_k", SHAPE_JSON), OPT("return_documents", SHAPE_JSON));
SHAPE_OF(MESSAGES, "MessagesRequest", REQ("model", SHAPE_STR), REQ("max_tokens", SHAPE_JSON), ANY_ARRAY("messages", SHAPE_REQUIRED),
         OPT("system", SHAPE_JSON), OPT("stream", SHAPE_JSON), OPT("tools", SHAPE_JSON));
SHAPE_OF(RESPONSES, "ResponsesRequest", REQ("model", SHAPE_STR), REQ("input", SHAPE_JSON), OPT("stream", SHAPE_JSON),
         OPT("previous_response_id", SHAPE_JSON));

/* ---- workers (spec control-plane 6.3, 7) ---- */

static const char *const TYPES[] = { "regular", "prefill", "decode", "encode", NULL };
static const char *const STATUSES[] = { "pending", "ready", "not_ready", "failed", "draining", NULL };

SHAPE_OF(JOB_STATUS, "JobStatus", REQ("job_type", SHAPE_STR), REQ("worker_url", SHAPE_STR), REQ("status", SHAPE_STR),
         REQ("message", SHAPE_JSON), REQ("timestamp", SHAPE_U64));
SHAPE_OF(WORKER_INFO, "WorkerInfo", REQ("id", SHAPE_STR), OPT("model_id", SHAPE_STR), REQ("url", SHAPE_STR), ANY_ARRAY("models", 0),
         ONE_OF("worker_type", TYPES), REQ("connection_mode", SHAPE_STR), REQ("runtime_type", SHAPE_STR),
         OPT("provider", SHAPE_STR), OPT("labels", SHAPE_STR_MAP), REQ("priority", SHAPE_U32), REQ("cost", SHAPE_F32),
         OPT("has_api_key", SHAPE_BOOL), OPT("bootstrap_port", SHAPE_U16), OPT("dp_base_url", SHAPE_STR),
         OPT("dp_rank", SHAPE_USIZE), OPT("dp_size", SHAPE_USIZE), REQ("max_connection_attempts", SHAPE_U32),
         REQ("is_healthy", SHAPE_BOOL), ONE_OF("status", STATUSES), REQ("load", SHAPE_U64),
         OPT_OF("job_status", SHAPE_OBJECT, &JOB_STATUS));
SHAPE_OF(POLICY, "Policy", OPT("model", SHAPE_STR), REQ("policy", SHAPE_STR), REQ("parameters", SHAPE_JSON));
SHAPE_OF(POLICY_LIST, "PolicyList", REQ("default", SHAPE_JSON), ANY_ARRAY("models", SHAPE_REQUIRED), REQ("prefill", SHAPE_JSON),
         REQ("decode", SHAPE_JSON), REQ("shadow", SHAPE_JSON));
SHAPE_OF(WORKER_STATS, "WorkerStats", REQ("prefill_count", SHAPE_U32), REQ("decode_count", SHAPE_U32),
         REQ("regular_count", SHAPE_U32), OPT("encode_count", SHAPE_U32));
SHAPE_OF(WORKER_LIST, "WorkerList", REQ_OF("workers", SHAPE_ARRAY, &WORKER_INFO), REQ("total", SHAPE_U32),
         REQ_OF("stats", SHAPE_OBJECT, &WORKER_STATS));
SHAPE_OF(ACCEPTED, "Accepted", REQ("status", SHAPE_STR), REQ("worker_id", SHAPE_STR), OPT("url", SHAPE_STR),
         OPT("location", SHAPE_STR), REQ("message", SHAPE_STR));

/* ---- tokenizers (spec control-plane 12, 13) ---- */

SHAPE_OF(TOKENIZER, "Tokenizer", REQ("id", SHAPE_STR), REQ("name", SHAPE_STR), REQ("source", SHAPE_STR),
         REQ("vocab_size", SHAPE_U32));
SHAPE_OF(TOKENIZER_LIST, "TokenizerList", REQ_OF("tokenizers", SHAPE_ARRAY, &TOKENIZER));
SHAPE_OF(TOKENIZER_STATE, "TokenizerState", REQ("id", SHAPE_STR), REQ("status", SHAPE_STR), REQ("message", SHAPE_STR),
         OPT("vocab_size", SHAPE_U32));
SHAPE_OF(TOKENIZER_REMOVED, "TokenizerRemoved", REQ("success", SHAPE_BOOL), REQ("message", SHAPE_STR));
SHAPE_OF(TOKENIZED, "TokenizeResult", REQ("tokens", SHAPE_JSON), REQ("count", SHAPE_JSON), REQ("char_count", SHAPE_JSON));
SHAPE_OF(DETOKENIZED, "DetokenizeResult", REQ("text", SHAPE_JSON));

/* ---- parsers (spec control-plane 14) ---- */

SHAPE_OF(CALLED, "CalledFunction", REQ("name", SHAPE_STR), REQ("arguments", SHAPE_STR));
SHAPE_OF(PARSED_CALL, "ParsedCall", OPT("id", SHAPE_STR), OPT("type", SHAPE_STR), REQ_OF("function", SHAPE_OBJECT, &CALLED));
SHAPE_OF(PARSED_CALLS, "ParsedFunctionCalls", REQ("remaining_text", SHAPE_STR), REQ_OF("tool_calls", SHAPE_ARRAY, &PARSED_CALL),
         REQ("success", SHAPE_BOOL));
SHAPE_OF(PARSED_REASONING, "ParsedReasoning", REQ("normal_text", SHAPE_STR), REQ("reasoning_text", SHAPE_STR),
         REQ("success", SHAPE_BOOL));
SHAPE_OF(PARSER, "Parser", REQ("name", SHAPE_STR), REQ("kind", SHAPE_STR), ANY_ARRAY("aliases", SHAPE_REQUIRED),
         REQ("format", SHAPE_STR), OPT("structural_tag", SHAPE_BOOL));
SHAPE_OF(PARSER_LIST, "ParserList", REQ_OF("parsers", SHAPE_ARRAY, &PARSER));
/* ---- plugins (spec wasm-plugins 2) ---- */

SHAPE_OF(WASM_ADDED, "WasmModulesAdded", ANY_ARRAY("modules", SHAPE_REQUIRED));
SHAPE_OF(WASM_LIST, "WasmModules", ANY_ARRAY("modules", SHAPE_REQUIRED), REQ("metrics", SHAPE_JSON));

/* ---- fan-outs (spec control-plane 15) ---- */

SHAPE_OF(FLUSHED, "FlushResult", REQ("status", SHAPE_STR), REQ("message", SHAPE_STR), REQ("workers_flushed", SHAPE_USIZE),
         REQ("total_http_workers", SHAPE_USIZE), REQ("total_grpc_workers", SHAPE_USIZE),
         REQ("total_zmq_workers_skipped", SHAPE_USIZE), REQ("total_workers", SHAPE_USIZE), ANY_ARRAY("successful", 0),
         ANY_ARRAY("failed", 0));
SHAPE_OF(WORKER_LOAD, "WorkerLoad", REQ("worker", SHAPE_STR), REQ("load", SHAPE_I64), OPT("details", SHAPE_JSON));
SHAPE_OF(LOADS, "Loads", REQ_OF("workers", SHAPE_ARRAY, &WORKER_LOAD));
SHAPE_OF(PROFILED, "ProfileResult", REQ("status", SHAPE_STR), REQ("message", SHAPE_STR), REQ("workers_profiled", SHAPE_USIZE),
         REQ("total_workers", SHAPE_USIZE), ANY_ARRAY("successful", 0), ANY_ARRAY("failed", 0));

static const struct openapi_parameter WORKER_FILTERS[] = {
    { "model", "only workers that serve this model: its id or an alias, and those that serve any", NULL },
    { "worker_type", "only workers of this type", TYPES },
    { "status", "only workers in this state", STATUSES },
    { 0 },
};

/* clang-format off */
const struct openapi_operation OPENAPI_OPERATIONS[] = {
    /* method     path                     operationId          summary                                               request                optional  answers    reply         errors      query */
    { HTTP_GET,   "/liveness",             "liveness",          "The process is alive",                               NULL,                  false,    "200",     NULL,         "",         NULL },
    { HTTP_GET,   "/health",               "health",            "The process is alive",                               NULL,                  false,    "200",     NULL,         "",         NULL },
    { HTTP_GET,   "/readiness",            "readiness",         "The gateway can serve requests",                     NULL,                  false,    "200 503", &READINESS,   "",         NULL },
    { HTTP_GET,   "/health_generate",      "healthGenerate",    "A worker generates a token",                         NULL,                  false,    "200",     NULL,         "",         NULL },
    { HTTP_GET,   "/get_server_info",      "getServerInfo",     "What a worker says of itself",                       NULL,                  false,    "200",     &ANY_OBJECT,  "",         NULL },
    { HTTP_GET,   "/get_model_info",       "getModelInfo",      "What a worker says of its model",                    NULL,                  false,    "200",     &ANY_OBJECT,  "",         NULL },
    { HTTP_GET,   "/v1/models",            "listModels",        "The models of all workers",                          NULL,                  false,    "200",     &MODEL_LIST,  "",         NULL },
    { HTTP_GET,   "/openapi.json",         "openapi",           "This document",                                      NULL,                  false,    "200",     &DOCUMENT,    "",         NULL },
    { HTTP_GET,   "/engine_metrics",       "engineMetrics",     "The engines' own metrics on one page",               NULL,                  false,    "200",     NULL,         "500",      NULL },

    { HTTP_POST,  "/v1/chat/completions",  "chatCompletions",   "Chat; streamed when asked for",                      &CHAT,                  false,    "200",     &ANY_OBJECT,  "",         NULL },
    { HTTP_POST,  "/v1/completions",       "completions",       "Text completion; streamed when asked for",           &COMPLETION,            false,    "200",     &ANY_OBJECT,  "",         NULL },
    { HTTP_POST,  "/generate",             "generate",          "SGLang's own completion; streamed when asked for",   &GENERATE,              false,    "200",     &ANY_OBJECT,  "",         NULL },
    { HTTP_POST,  "/v1/embeddings",        "embeddings",        "Embeddings",                                         &EMBEDDING,             false,    "200",     &ANY_OBJECT,  "",         NULL },
    { HTTP_POST,  "/v1/classify",          "classify",          "Classification",                                     &CLASSIFY,              false,    "200",     &ANY_OBJECT,  "",         NULL },
    { HTTP_POST,  "/v1/rerank",            "v1Rerank",          "Documents in order of relevance",                    &RERANK,                false,    "200",     &ANY_OBJECT,  "",         NULL },
    { HTTP_POST,  "/rerank",               "rerank",            "Documents in order of relevance",                    &RERANK,                false,    "200",     &ANY_OBJECT,  "",         NULL },
    { HTTP_POST,  "/v1/messages",          "messages",          "Anthropic's messages; streamed when asked for",      &MESSAGES,              false,    "200",     &ANY_OBJECT,  "",         NULL },
    { HTTP_POST,  "/v1/responses",         "responses",         "OpenAI's responses; streamed when asked for",        &RESPONSES,             false,    "200",     &ANY_OBJECT,  "",         NULL },
    { HTTP_POST,  "/v1/audio/transcriptions", "transcribe",     "Speech to text: a form with the parts file and model",  &ANY_OBJECT,           false,    "200",     &ANY_OBJECT,  "501",      NULL },
    { HTTP_POST,  "/v1/responses/{response_id}/cancel", "cancelResponse", "Cancel a response, wherever it runs",   NULL,                   false,    "200",     &ANY_OBJECT,  "502 503",  NULL },

    { HTTP_POST,  "/workers",              "addWorker",         "Add a worker; it is registered in the background",   &WORKER_SPEC_SHAPE,     false,    "202",     &ACCEPTED,    "409 503",  NULL },
    { HTTP_GET,   "/workers",              "listWorkers",       "All registered workers",                             NULL,                  false,    "200",     &WORKER_LIST, "",         WORKER_FILTERS },
    { HTTP_GET,   "/workers/{worker_id}",  "getWorker",         "One worker and its running job",                     NULL,                  false,    "200",     &WORKER_INFO, "404 503",  NULL },
    { HTTP_PUT,   "/workers/{worker_id}",  "replaceWorker",     "Describe a worker anew; it is detected again",       &WORKER_SPEC_SHAPE,     false,    "202",     &ACCEPTED,    "404 409 503", NULL },
    { HTTP_PATCH, "/workers/{worker_id}",  "updateWorker",      "Change what is given of a worker",                   &WORKER_PATCH_SHAPE,    false,    "202",     &ACCEPTED,    "404 409 503", NULL },
    { HTTP_DELETE, "/workers/{worker_id}", "removeWorker",      "Drain a worker and remove it",                       NULL,                  false,    "202",     &ACCEPTED,    "404 503",  NULL },
    { HTTP_GET,   "/policies",             "listPolicies",      "Which policy serves which model",                    NULL,                  false,    "200",     &POLICY_LIST, "",         NULL },
    { HTTP_PATCH, "/policies",             "changeDefaultPolicy", "Change the policy of all models without their own", &POLICY_PATCH_SHAPE,  false,    "200",     &POLICY,      "503",      NULL },
    { HTTP_PATCH, "/policies/{model}",     "changePolicy",      "Give a model a policy of its own, or change it",     &POLICY_PATCH_SHAPE,   false,    "200",     &POLICY,      "503",      NULL },
    { HTTP_DELETE, "/policies/{model}",    "resetPolicy",       "The model goes back to the default policy",          NULL,                  false,    "200",     &POLICY,      "404 503",  NULL },
    { HTTP_POST,  "/v1/tokenizers",        "addTokenizer",      "Load a tokenizer in the background",                 &TOKENIZER_ADD_SHAPE,   false,    "202",     &TOKENIZER_STATE, "409 503", NULL },
    { HTTP_GET,   "/v1/tokenizers",        "listTokenizers",    "The tokenizers that are loaded",                     NULL,                   false,    "200",     &TOKENIZER_LIST, "",       NULL },
    { HTTP_GET,   "/v1/tokenizers/{tokenizer_id}", "getTokenizer", "One tokenizer, by id or name",                    NULL,                   false,    "200",     &TOKENIZER,   "404",      NULL },
    { HTTP_DELETE, "/v1/tokenizers/{tokenizer_id}", "removeTokenizer", "Remove a tokenizer",                          NULL,                   false,    "200",     &TOKENIZER_REMOVED, "404 503", NULL },
    { HTTP_GET,   "/v1/tokenizers/{tokenizer_id}/status", "getTokenizerStatus", "How the loading of a tokenizer goes", NULL,                 false,    "200",     &TOKENIZER_STATE, "404 503", NULL },
    { HTTP_POST,  "/v1/tokenize",          "v1Tokenize",        "Text to token ids",                                  &TOKENIZE_SHAPE,        false,    "200",     &TOKENIZED,   "500 503",  NULL },
    { HTTP_POST,  "/v1/detokenize",        "v1Detokenize",      "Token ids to text",                                  &DETOKENIZE_SHAPE,      false,    "200",     &DETOKENIZED, "500 503",  NULL },
    { HTTP_POST,  "/tokenize",             "tokenize",          "Text to token ids",                                  &TOKENIZE_SHAPE,        false,    "200",     &TOKENIZED,   "500 503",  NULL },
    { HTTP_POST,  "/detokenize",           "detokenize",        "Token ids to text",                                  &DETOKENIZE_SHAPE,      false,    "200",     &DETOKENIZED, "500 503",  NULL },
    { HTTP_POST,  "/parse/function_call",  "parseFunctionCall", "Tool calls out of a model's text",                   &PARSE_CALLS_SHAPE,     false,    "200",     &PARSED_CALLS, "503",    NULL },
    { HTTP_POST,  "/parse/reasoning",      "parseReasoning",    "A model's thoughts apart from its answer",           &PARSE_REASONING_SHAPE, false,    "200",     &PARSED_REASONING, "503", NULL },
    { HTTP_GET,   "/parse/parsers",        "listParsers",       "The parsers that there are",                         NULL,                   false,    "200",     &PARSER_LIST, "",        NULL },
    { HTTP_POST,  "/wasm",                 "addWasmModules",    "Register plugins, one after another",                &PLUGIN_LIST_SHAPE,     false,    "200",     &WASM_ADDED,  "500",      NULL },
    { HTTP_GET,   "/wasm",                 "listWasmModules",   "The plugins, in the order in which they run",        NULL,                   false,    "200",     &WASM_LIST,   "500",      NULL },
    { HTTP_DELETE, "/wasm/{module_uuid}",  "removeWasmModule",  "Remove a plugin",                                    NULL,                   false,    "200",     NULL,         "400 500 503", NULL },
    { HTTP_POST,  "/flush_cache",          "flushCache",        "Every engine forgets its prefix cache",              NULL,                  false,    "200 206", &FLUSHED,     "",         NULL },
    { HTTP_GET,   "/get_loads",            "getLoads",          "How busy the engines say they are",                  NULL,                  false,    "200",     &LOADS,       "",         NULL },
    { HTTP_POST,  "/start_profile",        "startProfile",      "Profile all workers, or one",                        &ADMIN_START_PROFILE_SHAPE, true, "200 206 404", &PROFILED, "",      NULL },
    { HTTP_POST,  "/stop_profile",         "stopProfile",       "End the profiles",                                   &ADMIN_STOP_PROFILE_SHAPE, true, "200 206 404", &PROFILED, "",       NULL },
};
/* clang-format on */
const size_t OPENAPI_OPERATIONS_N = ARRAY_LEN(OPENAPI_OPERATIONS);
