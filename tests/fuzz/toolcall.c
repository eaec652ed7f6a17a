/* tests/fuzz/toolcall.c -- any reply to any format of tool calls: content and calls come in order and are the same however the reply is cut
 *
 * Input: a byte that chooses the format, or the format's name and a line end; a byte that seeds the cuts; the reply. Seeds of one format have its name: the numbers change with the list.
 */
#include <stdlib.h>
#include <string.h>

#include "text/toolcall/toolcall.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REPLY_MAX 16384

static void expect(bool holds)
{
    if (!holds)
        abort();
}

struct seen {
    struct buf text, calls;
    unsigned begun, ended;
};

static void see(void *owner, const struct toolcall_event *e)
{
    struct seen *s = owner;
    switch (e->type) {
    case TOOLCALL_TEXT:
        expect(e->text.n > 0);
        buf_put(&s->text, e->text);
        break;
    case TOOLCALL_BEGIN:
        expect(e->index == s->begun && s->begun == s->ended);
        s->begun++;
        buf_put(&s->calls, e->text);
        buf_put_char(&s->calls, '\n');
        break;
    case TOOLCALL_ARGUMENTS:
        expect(e->index + 1 == s->begun && s->begun == s->ended + 1);
        buf_put(&s->calls, e->text);
        break;
    case TOOLCALL_END:
        expect(s->begun == s->ended + 1);
        s->ended++;
        buf_put_char(&s->calls, '\n');
        break;
    }
}

/* SEED 0: in one piece; else cut at places that it makes. */
static void read_reply(const struct toolcall_format *f, struct str reply, unsigned seed, struct seen *s)
{
    struct toolcall_config c = { .sink = see, .owner = s };
    struct toolcall_parser *p;
    struct err err;
    unsigned random = seed;
    if (toolcall_parser_new(f, &c, &p) < 0)
        return;
    for (size_t n; reply.n; reply = str_skip(reply, n)) {
        random = random * 1103515245 + 12345;
        n = seed ? 1 + (random >> 16) % (1 + seed % 13) : reply.n;
        n = n < reply.n ? n : reply.n;
        char *piece = malloc(n); /* of its own, for the sanitizer */
        if (!piece)
            break;
        memcpy(piece, reply.p, n);
        expect(toolcall_feed(p, (struct str){ piece, n }, &err) == 0);
        free(piece);
    }
    expect(toolcall_finish(p, &err) == 0 && !toolcall_in_call(p));
    expect(s->begun == s->ended);
    toolcall_parser_free(p);
}

static bool same(const struct buf *a, const struct buf *b)
{
    return str_eq(buf_str(a), buf_str(b));
}

/* The format that the input begins with; *REST is what stands behind it. */
static const struct toolcall_format *chosen(struct str input, struct str *rest)
{
    size_t formats_n;
    const struct toolcall_format *const *formats = toolcall_formats(&formats_n), *f;
    struct str name;
    if (str_split(input, '\n', &name, rest) && (f = toolcall_find(name)) != NULL)
        return f;
    *rest = str_skip(input, 1);
    return formats[(uint8_t)input.p[0] % formats_n];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest;
    if (size < 2 || size > REPLY_MAX)
        return 0;
    const struct toolcall_format *f = chosen((struct str){ (const char *)data, size }, &rest);
    if (!rest.n)
        return 0;
    unsigned seed = (uint8_t)rest.p[0];
    struct str reply = str_skip(rest, 1);
    struct seen whole = { 0 }, cut = { 0 }, bytes = { 0 };
    read_reply(f, reply, 0, &whole);
    read_reply(f, reply, 1u + seed, &cut);
    read_reply(f, reply, 13, &bytes); /* one byte at a time */
    expect(same(&whole.text, &cut.text) && same(&whole.calls, &cut.calls));
    expect(same(&whole.text, &bytes.text) && same(&whole.calls, &bytes.calls));
    buf_fini(&whole.text);
    buf_fini(&whole.calls);
    buf_fini(&cut.text);
    buf_fini(&cut.calls);
    buf_fini(&bytes.text);
    buf_fini(&bytes.calls);
    return 0;
}
