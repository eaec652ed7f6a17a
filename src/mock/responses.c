/* responses.c -- /v1/responses in a minimal OpenAI shape (spec agentic-apis 2.5, 2.7): one message with one text; nothing is stored */
#include "mock/generation.h"

enum response_status { IN_PROGRESS, COMPLETED };

static void put_event(struct generation *g, const char *type, struct buf *out)
{
    buf_puts(out, "event: ");
    buf_put(out, str_of(type));
    buf_puts(out, "\ndata: {\"type\":\"");
    buf_put(out, str_of(type));
    buf_puts(out, "\",\"sequence_number\":");
    buf_put_u64(out, g->sequence++);
}

static void put_part(struct str text, struct buf *out)
{
    buf_puts(out, "{\"type\":\"output_text\",\"text\":\"");
    buf_put(out, text);
    buf_puts(out, "\",\"annotations\":[]}");
}

static void put_item(const struct generation *g, enum response_status status, struct buf *out)
{
    buf_puts(out, "{\"type\":\"message\",\"id\":\"msg_");
    buf_put(out, str_of(g->id));
    buf_puts(out, "\",\"role\":\"assistant\",\"status\":\"");
    if (status == COMPLETED) {
        buf_puts(out, "completed\",\"content\":[");
        put_part(g->choices[0].text, out);
    } else {
        buf_puts(out, "in_progress\",\"content\":[");
    }
    buf_puts(out, "]}");
}

static void put_response(const struct generation *g, enum response_status status, struct buf *out)
{
    const struct choice *c = &g->choices[0];

    buf_puts(out, "{\"id\":\"");
    buf_put(out, str_of(g->id));
    buf_puts(out, "\",\"object\":\"response\",\"created_at\":");
    buf_put_u64(out, g->created_s);
    buf_puts(out, ",\"status\":\"");
    buf_put(out, status == IN_PROGRESS ? STR("in_progress") : c->cut_short ? STR("incomplete") : STR("completed"));
    buf_puts(out, "\",\"error\":null,\"incomplete_details\":");
    buf_put(out, status == COMPLETED && c->cut_short ? STR("{\"reason\":\"max_output_tokens\"}") : STR("null"));
    buf_puts(out, ",\"model\":");
    buf_put(out, g->model_json);
    buf_puts(out, ",\"output\":[");
    if (status == COMPLETED)
        put_item(g, COMPLETED, out);
    buf_puts(
        out,
        "],\"parallel_tool_calls\":true,\"store\":false,\"temperature\":1.0,\"tool_choice\":\"auto\",\"tools\":[],\"top_p\":1.0,"
        "\"metadata\":{},\"usage\":");
    if (status == COMPLETED)
        buf_printf(out,
                   "{\"input_tokens\":%llu,\"input_tokens_details\":{\"cached_tokens\":%llu},\"output_tokens\":%llu,"
                   "\"output_tokens_details\":{\"reasoning_tokens\":0},\"total_tokens\":%llu}",
                   (unsigned long long)g->prompt_tokens, (unsigned long long)generation_cached_tokens(g),
                   (unsigned long long)c->tokens, (unsigned long long)(g->prompt_tokens + c->tokens));
    else
        buf_puts(out, "null");
    buf_puts(out, "}");
}

static void put_place(const struct generation *g, struct buf *out)
{
    buf_puts(out, ",\"item_id\":\"msg_");
    buf_put(out, str_of(g->id));
    buf_puts(out, "\",\"output_index\":0,\"content_index\":0");
}

static void responses_open(struct generation *g, struct buf *out)
{
    put_event(g, "response.created", out);
    buf_puts(out, ",\"response\":");
    put_response(g, IN_PROGRESS, out);
    buf_puts(out, "}\n\n");
    put_event(g, "response.in_progress", out);
    buf_puts(out, ",\"response\":");
    put_response(g, IN_PROGRESS, out);
    buf_puts(out, "}\n\n");
    put_event(g, "response.output_item.added", out);
    buf_puts(out, ",\"output_index\":0,\"item\":");
    put_item(g, IN_PROGRESS, out);
    buf_puts(out, "}\n\n");
    put_event(g, "response.content_part.added", out);
    put_place(g, out);
    buf_puts(out, ",\"part\":");
    put_part(STR(""), out);
    buf_puts(out, "}\n\n");
}

static void responses_piece(struct generation *g, const struct choice *c, struct str text, struct buf *out)
{
    put_event(g, "response.output_text.delta", out);
    put_place(g, out);
    buf_puts(out, ",\"delta\":\"");
    buf_put(out, text);
    buf_puts(out, "\",\"logprobs\":[]}\n\n");
}

static void responses_close(struct generation *g, struct buf *out)
{
    struct str text = g->choices[0].text;

    put_event(g, "response.output_text.done", out);
    put_place(g, out);
    buf_puts(out, ",\"text\":\"");
    buf_put(out, text);
    buf_puts(out, "\",\"logprobs\":[]}\n\n");
    put_event(g, "response.content_part.done", out);
    put_place(g, out);
    buf_puts(out, ",\"part\":");
    put_part(text, out);
    buf_puts(out, "}\n\n");
    put_event(g, "response.output_item.done", out);
    buf_puts(out, ",\"output_index\":0,\"item\":");
    put_item(g, COMPLETED, out);
    buf_puts(out, "}\n\n");
    put_event(g, g->choices[0].cut_short ? "response.incomplete" : "response.completed", out);
    buf_puts(out, ",\"response\":");
    put_response(g, COMPLETED, out);
    buf_puts(out, "}\n\n");
}

static void responses_whole(struct generation *g, struct buf *out)
{
    put_response(g, COMPLETED, out);
}

static const struct dialect RESPONSES = {
    .kind = ASK_RESPONSES,
    .id_prefix = "resp_",
    .open = responses_open,
    .piece = responses_piece,
    .close = responses_close,
    .whole = responses_whole,
};

void mock_responses(struct exchange *ex, void *context)
{
    generation_begin(ex, context, &RESPONSES);
}
