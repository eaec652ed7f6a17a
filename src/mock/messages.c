/* messages.c -- /v1/messages as Anthropic's API answers it (spec agentic-apis 4.6, 4.7) */
#include "mock/generation.h"

static struct str stop_reason(const struct choice *c)
{
    return c->cut_short ? STR("max_tokens") : STR("end_turn");
}

static void put_message_head(const struct generation *g, struct buf *out)
{
    buf_puts(out, "{\"id\":\"");
    buf_put(out, str_of(g->id));
    buf_puts(out, "\",\"type\":\"message\",\"role\":\"assistant\",\"model\":");
    buf_put(out, g->model_json);
}

static void put_usage(const struct generation *g, uint64_t output, struct buf *out)
{
    buf_puts(out, "\"usage\":{\"input_tokens\":");
    buf_put_u64(out, g->prompt_tokens);
    buf_puts(out, ",\"cache_read_input_tokens\":");
    buf_put_u64(out, generation_cached_tokens(g));
    buf_puts(out, ",\"output_tokens\":");
    buf_put_u64(out, output);
    buf_puts(out, "}");
}

static void messages_open(struct generation *g, struct buf *out)
{
    buf_puts(out, "event: message_start\ndata: {\"type\":\"message_start\",\"message\":");
    put_message_head(g, out);
    buf_puts(out, ",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,");
    put_usage(g, 0, out);
    buf_puts(out, "}}\n\nevent: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,"
                  "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n");
}

static void messages_piece(struct generation *g, const struct choice *c, struct str text, struct buf *out)
{
    buf_puts(out, "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,"
                  "\"delta\":{\"type\":\"text_delta\",\"text\":\"");
    buf_put(out, text);
    buf_puts(out, "\"}}\n\n");
}

static void messages_close(struct generation *g, struct buf *out)
{
    buf_puts(out, "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
                  "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"");
    buf_put(out, stop_reason(&g->choices[0]));
    buf_puts(out, "\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":");
    buf_put_u64(out, g->choices[0].tokens);
    buf_puts(out, "}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
}

static void messages_whole(struct generation *g, struct buf *out)
{
    put_message_head(g, out);
    buf_puts(out, ",\"content\":[{\"type\":\"text\",\"text\":\"");
    buf_put(out, g->choices[0].text);
    buf_puts(out, "\"}],\"stop_reason\":\"");
    buf_put(out, stop_reason(&g->choices[0]));
    buf_puts(out, "\",\"stop_sequence\":null,");
    put_usage(g, g->choices[0].tokens, out);
    buf_puts(out, "}");
}

static const struct dialect MESSAGES = {
    .kind = ASK_MESSAGES,
    .id_prefix = "msg_",
    .open = messages_open,
    .piece = messages_piece,
    .close = messages_close,
    .whole = messages_whole,
};

void mock_messages(struct exchange *ex, void *context)
{
    generation_begin(ex, context, &MESSAGES);
}
