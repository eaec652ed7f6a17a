/* openai.c -- /v1/chat/completions and /v1/completions as engines answer them */
#include "mock/generation.h"

static void put_usage(const struct generation *g, struct buf *out)
{
    uint64_t completion = generation_output_tokens(g);

    buf_puts(out, "{\"prompt_tokens\":");
    buf_put_u64(out, g->prompt_tokens);
    buf_puts(out, ",\"completion_tokens\":");
    buf_put_u64(out, completion);
    buf_puts(out, ",\"total_tokens\":");
    buf_put_u64(out, g->prompt_tokens + completion);
    buf_puts(out, ",\"prompt_tokens_details\":{\"cached_tokens\":");
    buf_put_u64(out, generation_cached_tokens(g));
    buf_puts(out, "}}");
}

static void put_head(const struct generation *g, const char *object, struct buf *out)
{
    buf_puts(out, "{\"id\":\"");
    buf_put(out, str_of(g->id));
    buf_puts(out, "\",\"object\":\"");
    buf_put(out, str_of(object));
    buf_puts(out, "\",\"created\":");
    buf_put_u64(out, g->created_s);
    buf_puts(out, ",\"model\":");
    buf_put(out, g->model_json);
    buf_puts(out, ",\"choices\":[");
}

/* All events of a stream begin alike: made once. OUT, empty or not, is used as scratch. */
static void make_prefix(struct generation *g, const char *object, struct buf *out)
{
    size_t before = out->n;

    buf_puts(out, "data: ");
    put_head(g, object, out);
    if (out->failed)
        return;
    g->prefix = arena_str(&g->ex->arena, str_skip(buf_str(out), before));
    out->n = before;
}

static void put_last_events(const struct generation *g, struct buf *out)
{
    if (g->ask.include_usage) {
        buf_put(out, g->prefix);
        buf_puts(out, "],\"usage\":");
        put_usage(g, out);
        buf_puts(out, "}\n\n");
    }
    buf_puts(out, "data: [DONE]\n\n");
}

/* ---- chat ---- */

static void chat_open(struct generation *g, struct buf *out)
{
    make_prefix(g, "chat.completion.chunk", out);
    for (unsigned i = 0; i < g->choices_n; i++) {
        buf_put(out, g->prefix);
        buf_puts(out, "{\"index\":");
        buf_put_u64(out, i);
        buf_puts(out, ",\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"logprobs\":null,\"finish_reason\":null}]}\n\n");
    }
}

/* Every token of every stream passes here: one reservation, then copies. */
static void chat_piece(struct generation *g, const struct choice *c, struct str text, struct buf *out)
{
    const char digits[] = { (char)('0' + c->index / 10), (char)('0' + c->index % 10) };
    const struct str parts[] = {
        g->prefix,
        STR("{\"index\":"),
        c->index < 10 ? (struct str){ digits + 1, 1 } : (struct str){ digits, 2 },
        STR(",\"delta\":{\"content\":\""),
        text,
        STR("\"},\"logprobs\":null,\"finish_reason\":null}]}\n\n"),
    };
    char *to = buf_reserve(out, g->prefix.n + text.n + 128);

    if (!to)
        return;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        memcpy(to, parts[i].p, parts[i].n);
        to += parts[i].n;
    }
    out->n = (size_t)(to - out->p);
}

_Static_assert(ASK_CHOICES_MAX <= 100, "chat_piece writes two digits");

static void chat_close(struct generation *g, struct buf *out)
{
    for (unsigned i = 0; i < g->choices_n; i++) {
        buf_put(out, g->prefix);
        buf_puts(out, "{\"index\":");
        buf_put_u64(out, i);
        buf_puts(out, ",\"delta\":{},\"logprobs\":null,\"finish_reason\":\"");
        buf_put(out, generation_reason(&g->choices[i]));
        buf_puts(out, "\"}]}\n\n");
    }
    put_last_events(g, out);
}

static void chat_whole(struct generation *g, struct buf *out)
{
    put_head(g, "chat.completion", out);
    for (unsigned i = 0; i < g->choices_n; i++) {
        const struct choice *c = &g->choices[i];

        buf_puts(out, "{\"index\":");
        buf_put_u64(out, i);
        buf_puts(out, ",\"message\":{\"role\":\"assistant\",\"content\":\"");
        buf_put(out, c->text);
        buf_puts(out, "\"},\"logprobs\":null,\"finish_reason\":\"");
        buf_put(out, generation_reason(c));
        buf_put(out, i + 1 < g->choices_n ? STR("\"},") : STR("\"}"));
    }
    buf_puts(out, "],\"usage\":");
    put_usage(g, out);
    generation_put_kv_params(g, out);
    buf_puts(out, "}");
}

static const struct dialect CHAT = {
    .kind = ASK_CHAT,
    .id_prefix = "chatcmpl-",
    .open = chat_open,
    .piece = chat_piece,
    .close = chat_close,
    .whole = chat_whole,
};

void mock_chat(struct exchange *ex, void *context)
{
    generation_begin(ex, context, &CHAT);
}

/* ---- completions ---- */

static void completions_open(struct generation *g, struct buf *out)
{
    make_prefix(g, "text_completion", out);
}

static void put_text_choice(const struct choice *c, struct str text, struct str reason_json, struct buf *out)
{
    buf_puts(out, "{\"index\":");
    buf_put_u64(out, c->index);
    buf_puts(out, ",\"text\":\"");
    buf_put(out, text);
    buf_puts(out, "\",\"logprobs\":null,\"finish_reason\":");
    buf_put(out, reason_json);
    buf_puts(out, "}");
}

static struct str reason_json(const struct choice *c)
{
    return c->cut_short ? STR("\"length\"") : STR("\"stop\"");
}

static void completions_piece(struct generation *g, const struct choice *c, struct str text, struct buf *out)
{
    buf_put(out, g->prefix);
    put_text_choice(c, text, STR("null"), out);
    buf_puts(out, "]}\n\n");
}

static void completions_close(struct generation *g, struct buf *out)
{
    for (unsigned i = 0; i < g->choices_n; i++) {
        buf_put(out, g->prefix);
        put_text_choice(&g->choices[i], STR(""), reason_json(&g->choices[i]), out);
        buf_puts(out, "]}\n\n");
    }
    put_last_events(g, out);
}

static void completions_whole(struct generation *g, struct buf *out)
{
    put_head(g, "text_completion", out);
    for (unsigned i = 0; i < g->choices_n; i++) {
        if (i > 0)
            buf_puts(out, ",");
        put_text_choice(&g->choices[i], g->choices[i].text, reason_json(&g->choices[i]), out);
    }
    buf_puts(out, "],\"usage\":");
    put_usage(g, out);
    generation_put_kv_params(g, out);
    buf_puts(out, "}");
}

static const struct dialect COMPLETIONS = {
    .kind = ASK_COMPLETIONS,
    .id_prefix = "cmpl-",
    .open = completions_open,
    .piece = completions_piece,
    .close = completions_close,
    .whole = completions_whole,
};

void mock_completions(struct exchange *ex, void *context)
{
    generation_begin(ex, context, &COMPLETIONS);
}
