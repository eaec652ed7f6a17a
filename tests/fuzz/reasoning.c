/* tests/fuzz/reasoning.c -- any reply to any format of thoughts: thoughts and text are the same however the reply is cut, and no byte of them is made up
 *
 * Input: a byte that chooses the format, a byte that seeds the cuts, a byte that makes the configuration, the reply.
 */
#include <stdlib.h>
#include <string.h>

#include "text/reasoning/reasoning.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REPLY_MAX 16384

static void expect(bool holds)
{
    if (!holds)
        abort();
}

struct seen {
    struct buf text, thoughts;
};

static void see(void *owner, bool thought, struct str text)
{
    struct seen *s = owner;
    expect(text.n > 0);
    buf_put(thought ? &s->thoughts : &s->text, text);
}

static const struct str INTERRUPTS[] = { STR_INIT("<tool_call>"), STR_INIT("[TOOL_CALLS]") };

/* SEED 0: in one piece; else cut at places that it makes. */
static void read_reply(const struct reasoning_format *f, uint8_t bits, struct str reply, unsigned seed, struct seen *s)
{
    struct reasoning_config c = {
        .started = bits & 1,
        .tag_was_given = bits & 2,
        .content_only = bits & 4,
        .interrupts = INTERRUPTS,
        .interrupts_n = bits & 8 ? ARRAY_LEN(INTERRUPTS) : 0,
        .sink = see,
        .owner = s,
    };
    struct reasoning_parser *p;
    unsigned random = seed;
    if (reasoning_parser_new(f, &c, &p) < 0)
        return;
    for (size_t n; reply.n; reply = str_skip(reply, n)) {
        random = random * 1103515245 + 12345;
        n = seed ? 1 + (random >> 16) % (1 + seed % 13) : reply.n;
        n = n < reply.n ? n : reply.n;
        char *piece = malloc(n); /* of its own, for the sanitizer */
        if (!piece)
            break;
        memcpy(piece, reply.p, n);
        expect(reasoning_feed(p, (struct str){ piece, n }) == 0);
        free(piece);
    }
    expect(reasoning_finish(p) == 0);
    reasoning_parser_free(p);
}

static void expect_same(const struct seen *a, const struct seen *b)
{
    expect(str_eq(buf_str(&a->text), buf_str(&b->text)) && str_eq(buf_str(&a->thoughts), buf_str(&b->thoughts)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t formats_n;
    const struct reasoning_format *const *formats = reasoning_formats(&formats_n);
    if (size < 3 || size > REPLY_MAX)
        return 0;
    const struct reasoning_format *f = formats[data[0] % formats_n];
    struct str reply = { (const char *)data + 3, size - 3 };
    struct seen whole = { 0 }, cut = { 0 }, bytes = { 0 };
    read_reply(f, data[2], reply, 0, &whole);
    read_reply(f, data[2], reply, 1 + data[1], &cut);
    read_reply(f, data[2], reply, 13, &bytes); /* one byte at a time */
    expect_same(&whole, &cut);
    expect_same(&whole, &bytes);
    expect(whole.text.n + whole.thoughts.n <= reply.n + sizeof("<think>") - 1);
    buf_fini(&whole.text);
    buf_fini(&whole.thoughts);
    buf_fini(&cut.text);
    buf_fini(&cut.thoughts);
    buf_fini(&bytes.text);
    buf_fini(&bytes.thoughts);
    return 0;
}
