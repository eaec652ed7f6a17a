/* inference/openai.c -- the endpoints whose replies go through as they are (OpenAI's, SGLang's and Anthropic's shapes) */
#include "inference/carry.h"
#include "inference/parsed.h"

/* One row per endpoint: the rules for its body, its route on the worker, its metric label. */
static const struct carry_plan CHAT = { API_CHAT, STR_INIT("/v1/chat/completions"), "chat", sink_chat };
static const struct carry_plan COMPLETIONS = { API_COMPLETIONS, STR_INIT("/v1/completions"), "completions", sink_relay };
static const struct carry_plan GENERATE = { API_GENERATE, STR_INIT("/generate"), "generate", sink_relay, .needs_model = true };
static const struct carry_plan EMBEDDINGS = { API_EMBEDDINGS, STR_INIT("/v1/embeddings"), "embeddings", sink_relay,
                                              "Embeddings not implemented" };
static const struct carry_plan CLASSIFY = { API_CLASSIFY, STR_INIT("/v1/classify"), "classify", sink_relay,
                                            "Classify not implemented" };
static const struct carry_plan MESSAGES = { API_MESSAGES, STR_INIT("/v1/messages"), "messages", sink_relay,
                                            "Messages API not yet implemented for this router" };
static const struct carry_plan RESPONSES = { API_RESPONSES, STR_INIT("/v1/responses"), "responses", sink_relay,
                                             "Responses endpoint not implemented" };
static const struct carry_plan RERANK = { API_RERANK, STR_INIT("/v1/rerank"), "rerank", sink_rerank };
static const struct carry_plan V1_RERANK = { API_V1_RERANK, STR_INIT("/v1/rerank"), "rerank", sink_rerank };

void inference_chat(struct exchange *ex, void *context)
{
    carry(ex, context, &CHAT);
}

void inference_completions(struct exchange *ex, void *context)
{
    carry(ex, context, &COMPLETIONS);
}

void inference_generate(struct exchange *ex, void *context)
{
    carry(ex, context, &GENERATE);
}

void inference_embeddings(struct exchange *ex, void *context)
{
    carry(ex, context, &EMBEDDINGS);
}

void inference_classify(struct exchange *ex, void *context)
{
    carry(ex, context, &CLASSIFY);
}

void inference_messages(struct exchange *ex, void *context)
{
    carry(ex, context, &MESSAGES);
}

void inference_responses(struct exchange *ex, void *context)
{
    carry(ex, context, &RESPONSES);
}

void inference_rerank(struct exchange *ex, void *context)
{
    carry(ex, context, &RERANK);
}

void inference_v1_rerank(struct exchange *ex, void *context)
{
    carry(ex, context, &V1_RERANK);
}
