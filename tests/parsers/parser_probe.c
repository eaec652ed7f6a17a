/* tests/parsers/parser_probe.c -- the parsers of tool calls and of thoughts for a program that is not C
 *
 *   stdin:   frames: kind (1 byte), then three times length (4 bytes) and bytes: the parser's name, the request's tools (JSON, may be empty), the reply
 *   stdout:  answers in the same order
 *
 *   'T'  -> code; the text; how many calls; name and arguments of each
 *   'R'  -> code; the text; the thoughts
 *   'F'  (nothing behind it) -> nothing: everything answered so far goes out
 *
 * All numbers are 4 bytes, little-endian; a string is its length and its bytes. The reply is parsed whole and byte by byte: CODE_DIFFERS when the results are not the same. Other codes below
 * zero are an enum err_code, CODE_UNKNOWN is a name that nobody has. Behind a code that is not 0 stands nothing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/reasoning/reasoning.h"
#include "text/toolcall/toolcall.h"
#include "text/toolcall/tools.h"

#define CODE_DIFFERS (-1000)
#define CODE_UNKNOWN (-1001)

static void put_u32(uint32_t v)
{
    fwrite(&v, sizeof(v), 1, stdout);
}

static void put_str(struct str s)
{
    put_u32((uint32_t)s.n);
    if (s.n)
        fwrite(s.p, 1, s.n, stdout);
}

static bool get_bytes(struct buf *b, size_t n)
{
    char *room = buf_reserve(b, n + 1);
    if (!room)
        abort();
    if (n && fread(room, 1, n, stdin) != n)
        return false;
    b->n += n;
    return true;
}

static bool get_str(struct buf *b)
{
    uint32_t n;
    buf_clear(b);
    return fread(&n, sizeof(n), 1, stdin) == 1 && get_bytes(b, n);
}

/* What a parser said: the calls as they go out, but for their number. */
struct said {
    struct buf text, more, arguments;
    uint32_t calls;
};

static void said_clear(struct said *s)
{
    buf_clear(&s->text);
    buf_clear(&s->more);
    buf_clear(&s->arguments);
    s->calls = 0;
}

static void add_str(struct buf *b, struct str s)
{
    uint32_t n = (uint32_t)s.n;
    buf_put(b, (struct str){ (const char *)&n, sizeof(n) });
    buf_put(b, s);
}

static bool same(const struct said *a, const struct said *b)
{
    return a->calls == b->calls && str_eq(buf_str(&a->text), buf_str(&b->text)) && str_eq(buf_str(&a->more), buf_str(&b->more));
}

static void hear_call(void *owner, const struct toolcall_event *e)
{
    struct said *s = owner;
    switch (e->type) {
    case TOOLCALL_TEXT:
        buf_put(&s->text, e->text);
        break;
    case TOOLCALL_BEGIN:
        s->calls++;
        add_str(&s->more, e->text);
        buf_clear(&s->arguments);
        break;
    case TOOLCALL_ARGUMENTS:
        buf_put(&s->arguments, e->text);
        break;
    case TOOLCALL_END:
        add_str(&s->more, buf_str(&s->arguments));
        break;
    }
}

static int read_calls(const struct toolcall_format *f, const struct toolcall_tools *tools, struct str reply, size_t piece,
                      struct said *s)
{
    struct toolcall_config c = { .tools = tools, .sink = hear_call, .owner = s };
    struct toolcall_parser *p;
    struct err err;
    said_clear(s);
    int r = toolcall_parser_new(f, &c, &p);
    if (r < 0)
        return r;
    for (size_t at = 0; at < reply.n && r == 0; at += piece)
        r = toolcall_feed(p, str_first(str_skip(reply, at), piece), &err);
    if (r == 0)
        r = toolcall_finish(p, &err);
    toolcall_parser_free(p);
    return r;
}

static void hear_thought(void *owner, bool thought, struct str text)
{
    struct said *s = owner;
    buf_put(thought ? &s->more : &s->text, text);
}

static int read_thoughts(const struct reasoning_format *f, struct str reply, size_t piece, struct said *s)
{
    struct reasoning_config c = { .sink = hear_thought, .owner = s };
    struct reasoning_parser *p;
    said_clear(s);
    int r = reasoning_parser_new(f, &c, &p);
    if (r < 0)
        return r;
    for (size_t at = 0; at < reply.n && r == 0; at += piece)
        r = reasoning_feed(p, str_first(str_skip(reply, at), piece));
    if (r == 0)
        r = reasoning_finish(p);
    reasoning_parser_free(p);
    return r;
}

/* Returns the code; WHOLE holds the answer. */
static int answer(char kind, struct str name, struct str tools_json, struct str reply, struct said *whole, struct said *cut)
{
    const struct toolcall_format *calls = toolcall_find(name);
    const struct reasoning_format *thoughts = reasoning_find(name);
    struct toolcall_tools tools = { 0 };
    struct arena arena;
    int r;
    if (kind == 'T' ? !calls : !thoughts)
        return CODE_UNKNOWN;
    arena_init(&arena, NULL, 0);
    if (kind == 'T') {
        struct json_doc doc;
        r = tools_json.n ? json_parse(tools_json, &arena, &doc, NULL) : 0;
        if (r == 0 && tools_json.n)
            r = toolcall_tools_read(json_root(&doc), &arena, &tools);
        if (r == 0)
            r = read_calls(calls, &tools, reply, MAX(reply.n, 1), whole);
        if (r == 0)
            r = read_calls(calls, &tools, reply, 1, cut);
    } else {
        r = read_thoughts(thoughts, reply, MAX(reply.n, 1), whole);
        if (r == 0)
            r = read_thoughts(thoughts, reply, 1, cut);
    }
    arena_fini(&arena);
    return r < 0 ? r : same(whole, cut) ? 0 : CODE_DIFFERS;
}

int main(void)
{
    struct buf name = { 0 }, tools = { 0 }, reply = { 0 };
    struct said whole = { 0 }, cut = { 0 };
    int kind;
    while ((kind = getchar()) != EOF) {
        if (kind == 'F') {
            fflush(stdout);
            continue;
        }
        if (!get_str(&name) || !get_str(&tools) || !get_str(&reply))
            break;
        int r = answer((char)kind, buf_str(&name), buf_str(&tools), buf_str(&reply), &whole, &cut);
        put_u32((uint32_t)r);
        if (r < 0)
            continue;
        put_str(buf_str(&whole.text));
        if (kind == 'T') {
            put_u32(whole.calls);
            fwrite(whole.more.p, 1, whole.more.n, stdout);
        } else {
            put_str(buf_str(&whole.more));
        }
    }
    fflush(stdout);
    return 0;
}
