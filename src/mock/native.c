/* native.c -- /generate as SGLang answers it: text with meta_info; streams repeat the text from its beginning
 *
 * One prompt with n = 1 gives an object, anything else an array (decisions 15). Events of a stream carry the index when there are several answers.
 */
#include "mock/generation.h"

/* PRODUCED tokens of C so far; REASON_JSON is null until the end. */
static void put_answer(const struct generation *g, const struct choice *c, struct str text, uint64_t produced, bool last,
                       struct buf *out)
{
    buf_puts(out, "{\"text\":\"");
    buf_put(out, text);
    buf_puts(out, "\",\"meta_info\":{\"id\":\"");
    buf_put(out, str_of(g->id));
    if (g->choices_n > 1) {
        buf_puts(out, "-");
        buf_put_u64(out, c->index);
    }
    if (!last)
        buf_puts(out, "\",\"finish_reason\":null");
    else if (c->cut_short)
        buf_printf(out, "\",\"finish_reason\":{\"type\":\"length\",\"length\":%llu}", (unsigned long long)c->tokens);
    else
        buf_puts(out, "\",\"finish_reason\":{\"type\":\"stop\",\"matched\":2}");
    buf_puts(out, ",\"prompt_tokens\":");
    buf_put_u64(out, MAX((c->prompt->bytes + MOCK_TOKEN_BYTES - 1) / MOCK_TOKEN_BYTES, 1));
    buf_puts(out, ",\"completion_tokens\":");
    buf_put_u64(out, produced);
    buf_puts(out, ",\"cached_tokens\":");
    buf_put_u64(out, generation_cached_tokens(g));
    buf_puts(out, ",\"weight_version\":\"mock\"}");
    if (g->choices_n > 1) {
        buf_puts(out, ",\"index\":");
        buf_put_u64(out, c->index);
    }
    buf_puts(out, "}");
}

static void generate_open(struct generation *g, struct buf *out)
{
}

static void generate_piece(struct generation *g, const struct choice *c, struct str text, struct buf *out)
{
    buf_puts(out, "data: ");
    put_answer(g, c, str_first(c->text, c->at), c->sent, c->at == c->text.n, out);
    buf_puts(out, "\n\n");
}

static void generate_close(struct generation *g, struct buf *out)
{
    for (unsigned i = 0; i < g->choices_n; i++) {
        if (g->choices[i].text.n > 0)
            continue; /* its last piece had the finish reason */
        buf_puts(out, "data: ");
        put_answer(g, &g->choices[i], STR(""), 0, /* last= */ true, out);
        buf_puts(out, "\n\n");
    }
    buf_puts(out, "data: [DONE]\n\n");
}

static void generate_whole(struct generation *g, struct buf *out)
{
    bool array = g->ask.batch || g->choices_n > 1;

    if (array)
        buf_puts(out, "[");
    for (unsigned i = 0; i < g->choices_n; i++) {
        if (i > 0)
            buf_puts(out, ",");
        put_answer(g, &g->choices[i], g->choices[i].text, g->choices[i].tokens, /* last= */ true, out);
    }
    if (array)
        buf_puts(out, "]");
}

static const struct dialect GENERATE = {
    .kind = ASK_GENERATE,
    .id_prefix = "",
    .open = generate_open,
    .piece = generate_piece,
    .close = generate_close,
    .whole = generate_whole,
};

void mock_generate(struct exchange *ex, void *context)
{
    generation_begin(ex, context, &GENERATE);
}
