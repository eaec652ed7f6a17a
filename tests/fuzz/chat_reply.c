/* tests/fuzz/chat_reply.c -- chat replies through the parsers (inference/parsed.h): any stream is survived, and the text of a reply becomes the same whole and streamed
 *
 * Input: a byte that chooses the way and what the request wants, two that choose the formats, a byte that seeds the cuts, then the stream's bytes (an odd first byte) or the text that a model writes.
 */
#include <stdlib.h>
#include <string.h>

#include "../unit/inference/gathered.h"
#include "json/json_write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_MAX_BYTES 4096

static void expect(bool holds)
{
    if (!holds)
        abort();
}

static void stream(const struct parse_order *order, struct str bytes, unsigned seed, struct buf *out)
{
    struct parse_stream *s;
    struct err err = { 0 };

    expect(parse_stream_new(order, NULL, &s) == 0);
    for (size_t n; bytes.n; bytes = str_skip(bytes, n)) {
        char *piece;

        seed = seed * 1103515245 + 12345;
        n = MIN(bytes.n, 1 + (seed >> 16) % 64);
        piece = malloc(n); /* of its own, for the sanitizer */
        if (!piece)
            break;
        memcpy(piece, bytes.p, n);
        expect(parse_stream_feed(s, (struct str){ piece, n }, out, &err) == 0);
        free(piece);
    }
    expect(parse_stream_end(s, out, &err) == 0);
    parse_stream_free(s);
}

static void put_string(struct buf *out, struct str s)
{
    buf_puts(out, "\"");
    json_escape(out, s);
    buf_puts(out, "\"");
}

/* Pieces of whole characters. */
static void put_events(struct str text, unsigned seed, struct buf *out)
{
    for (size_t n; text.n; text = str_skip(text, n)) {
        seed = seed * 1103515245 + 12345;
        n = MIN(text.n, 1 + (seed >> 16) % 24);
        while (n < text.n && ((unsigned char)text.p[n] & 0xC0) == 0x80)
            n++;
        buf_puts(out, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":");
        put_string(out, str_first(text, n));
        buf_puts(out, "},\"finish_reason\":null}]}\n\n");
    }
    buf_puts(out, "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n");
}

static void compare(const struct parse_order *order, struct str text, unsigned seed)
{
    struct buf body = { 0 }, out = { 0 }, expected = { 0 }, got = { 0 };
    struct parse_outcome outcome;
    struct gathered g;

    buf_puts(&body, "{\"choices\":[{\"index\":0,\"message\":{\"content\":");
    put_string(&body, text);
    buf_puts(&body, "},\"finish_reason\":\"stop\"}]}");
    expect(parse_whole(order, buf_str(&body), &out, &outcome, NULL) == 0);
    gathered_init(&g);
    expect(gather(&g, outcome.changed ? buf_str(&out) : buf_str(&body)));
    gathered_put(&g, &expected);
    gathered_fini(&g);

    buf_clear(&body);
    buf_clear(&out);
    put_events(text, seed, &body);
    stream(order, buf_str(&body), seed, &out);
    gathered_init(&g);
    expect(gather_events(&g, buf_str(&out)));
    gathered_put(&g, &got);
    gathered_fini(&g);
    expect(str_eq(buf_str(&expected), buf_str(&got)));
    buf_fini(&body);
    buf_fini(&out);
    buf_fini(&expected);
    buf_fini(&got);
}

/* As a JSON string would give it: valid UTF-8. */
static struct str made_valid(struct str text, struct buf *out, struct arena *arena)
{
    struct json_doc doc;

    put_string(out, text);
    expect(json_parse(buf_str(out), arena, &doc, NULL) == 0);
    return json_str(json_root(&doc), arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct parse_order order = { .model = STR("kimi-k2"), .tools = STR("[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]") };
    const struct toolcall_format *const *calls;
    const struct reasoning_format *const *thoughts;
    struct buf out = { 0 };
    struct arena arena;
    struct str rest;
    size_t calls_n, thoughts_n;

    if (size < 4 || size > INPUT_MAX_BYTES)
        return 0;
    calls = toolcall_formats(&calls_n);
    thoughts = reasoning_formats(&thoughts_n);
    order.calls = data[1] % (calls_n + 1) ? calls[data[1] % (calls_n + 1) - 1] : NULL;
    order.reasoning = data[2] % (thoughts_n + 1) ? thoughts[data[2] % (thoughts_n + 1) - 1] : NULL;
    order.started = data[0] & 2;
    order.content_only = data[0] & 4;
    order.thoughts_at_once = data[0] & 8;
    order.must_call = data[0] & 16;
    order.function = data[0] & 32 ? STR("\"f\"") : STR_NONE;
    rest = (struct str){ (const char *)data + 4, size - 4 };
    arena_init(&arena, NULL, 0);
    if (data[0] & 1)
        stream(&order, rest, data[3], &out);
    else
        compare(&order, made_valid(rest, &out, &arena), data[3]);
    buf_fini(&out);
    arena_fini(&arena);
    return 0;
}
