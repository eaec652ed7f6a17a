/* parsers.c -- what finding tool calls, and telling thoughts from text, costs: parsers PAGE (docs/tool-formats.md)
 *
 * Tool calls: a megabyte without calls ("plain", prose as below), and one of prose and calls in turns ("calls": the page's example of the format, and 16 words). Thoughts: a thought and an answer
 * of the same length, a megabyte together, in three kinds of text: "words" has no byte that a marker begins with but for one in a hundred, "markup" one in eight, "chinese" characters of
 * three bytes with full-width punctuation. MB/s is the reply in one piece, ns the time of a token of four bytes when it is streamed. The best of RUNS counts.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "text/reasoning/reasoning.h"
#include "text/toolcall/toolcall.h"

#define HALF  (512u << 10)
#define TOKEN 4
#define RUNS  7

static const char *const WORDS[] = { "so ",    "the ", "answer ", "follows ", "from ", "x < y, ",
                                     "which ", "we ",  "know.\n", "Here ",    "it ",   "ends: " };
static const char *const MARKUP[] = { "<div>", "</div>", "text ", "<p>", "a ", "</p>\n", "<|", "[1]" };
static const char *const CHINESE[] = { "答", "案", "是", "，", "因", "为", "。", "“", "”", "—" };

static uint64_t seed = 1;

static unsigned dice(unsigned sides)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(seed >> 33) % sides;
}

static void fill(struct buf *b, const char *const *parts, unsigned n, size_t bytes)
{
    for (size_t end = b->n + bytes; b->n < end;)
        buf_put(b, str_of(parts[dice(n)]));
}

/* ---- thoughts ---- */

static void count_thought(void *owner, bool thought, struct str text)
{
    ((size_t *)owner)[thought] += text.n;
}

/* One pass over REPLY in pieces of PIECE bytes, in ns. */
typedef uint64_t pass(const void *format, struct str reply, size_t piece);

static uint64_t thoughts_ns(const void *f, struct str reply, size_t piece)
{
    size_t said[2] = { 0 };
    struct reasoning_config c = { .started = true, .tag_was_given = true, .sink = count_thought, .owner = said };
    struct reasoning_parser *p;
    if (reasoning_parser_new(f, &c, &p) < 0)
        exit(1);
    uint64_t start = clock_now_ns();
    for (size_t at = 0; at < reply.n; at += piece)
        if (reasoning_feed(p, str_first(str_skip(reply, at), piece)) < 0)
            exit(1);
    if (reasoning_finish(p) < 0)
        exit(1);
    uint64_t took = clock_now_ns() - start;
    reasoning_parser_free(p);
    return took;
}

/* ---- calls ---- */

static void count_call(void *owner, const struct toolcall_event *e)
{
    ((size_t *)owner)[e->type == TOOLCALL_BEGIN] += e->type == TOOLCALL_BEGIN ? 1 : e->text.n;
}

static uint64_t calls_ns(const void *f, struct str reply, size_t piece)
{
    size_t said[2] = { 0 };
    struct toolcall_config c = { .sink = count_call, .owner = said };
    struct toolcall_parser *p;
    struct err err;
    if (toolcall_parser_new(f, &c, &p) < 0)
        exit(1);
    uint64_t start = clock_now_ns();
    for (size_t at = 0; at < reply.n; at += piece)
        if (toolcall_feed(p, str_first(str_skip(reply, at), piece), &err) < 0)
            exit(1);
    if (toolcall_finish(p, &err) < 0)
        exit(1);
    uint64_t took = clock_now_ns() - start;
    toolcall_parser_free(p);
    return took;
}

static double best_ns(pass *p, const void *format, struct str reply, size_t piece)
{
    uint64_t best = UINT64_MAX;
    for (int run = 0; run < RUNS; run++) {
        uint64_t took = p(format, reply, piece);
        best = MIN(best, took);
    }
    return (double)best;
}

static void row(const char *name, const char *kind, pass *p, const void *format, struct str reply)
{
    double whole = best_ns(p, format, reply, reply.n), tokens = best_ns(p, format, reply, TOKEN);
    printf("%-16s %-8s %8.0f %10.1f\n", name, kind, (double)reply.n * 1e3 / whole, tokens * TOKEN / (double)reply.n);
}

/* The format's example on the page; empty: it has none. */
static struct str example_of(struct str page, struct str name)
{
    struct buf heading = { 0 };
    buf_printf(&heading, "\n## `%.*s`\n", STR_FMT(name));
    struct str section = str_skip(page, MIN(str_find(page, buf_str(&heading)), page.n) + 1);
    buf_fini(&heading);
    section = str_first(section, str_find(section, STR("\n## ")));
    size_t at = str_find(section, STR("```text\n"));
    if (at == STR_NPOS)
        return (struct str){ 0 };
    section = str_skip(section, at + sizeof("```text\n") - 1);
    return str_first(section, MIN(str_find(section, STR("\n````\n")), str_find(section, STR("\n```\n\n"))));
}

static void calls_table(struct str page)
{
    struct buf plain = { 0 };
    size_t n;
    const struct toolcall_format *const *formats = toolcall_formats(&n);
    fill(&plain, WORDS, ARRAY_LEN(WORDS), 2 * HALF);
    printf("%-16s %-8s %8s %10s\n", "tool calls", "text", "MB/s", "ns/token");
    for (size_t i = 0; i < n; i++) {
        struct str name = toolcall_name(formats[i]), example = example_of(page, name);
        struct buf busy = { 0 };
        row(name.p, "plain", calls_ns, formats[i], buf_str(&plain));
        while (example.n && busy.n < 2 * HALF) {
            fill(&busy, WORDS, ARRAY_LEN(WORDS), 80);
            buf_put(&busy, example);
        }
        if (busy.n)
            row(name.p, "calls", calls_ns, formats[i], buf_str(&busy));
        buf_fini(&busy);
    }
    buf_fini(&plain);
}

static void thoughts_table(void)
{
    static const struct {
        const char *format, *end;
    } FORMATS[] = { { "passthrough", "" },           { "qwen3", "</think>" },
                    { "kimi", "◁/think▷" },          { "granite", "Here is my response:" },
                    { "hunyuan_a13b", "</think>" },  { "kimi_k3", "<|close|>think<|sep|>" },
                    { "inkling", "<|end_message|>" } };
    static const struct {
        const char *name;
        const char *const *parts;
        unsigned n;
    } TEXTS[] = { { "words", WORDS, ARRAY_LEN(WORDS) },
                  { "markup", MARKUP, ARRAY_LEN(MARKUP) },
                  { "chinese", CHINESE, ARRAY_LEN(CHINESE) } };
    printf("\n%-16s %-8s %8s %10s\n", "thoughts", "text", "MB/s", "ns/token");
    for (size_t i = 0; i < ARRAY_LEN(FORMATS); i++)
        for (size_t k = 0; k < ARRAY_LEN(TEXTS); k++) {
            struct buf reply = { 0 };
            fill(&reply, TEXTS[k].parts, TEXTS[k].n, HALF);
            buf_put(&reply, str_of(FORMATS[i].end));
            fill(&reply, TEXTS[k].parts, TEXTS[k].n, HALF);
            if (reply.failed)
                exit(1);
            row(FORMATS[i].format, TEXTS[k].name, thoughts_ns, reasoning_find(str_of(FORMATS[i].format)), buf_str(&reply));
            buf_fini(&reply);
        }
}

int main(int argc, char **argv)
{
    struct buf page = { 0 };
    FILE *f = argc > 1 ? fopen(argv[1], "re") : NULL;
    char part[4096];
    if (!f) {
        fprintf(stderr, "usage: parsers docs/tool-formats.md\n");
        return 2;
    }
    for (size_t n; (n = fread(part, 1, sizeof(part), f)) > 0;)
        buf_put(&page, (struct str){ part, n });
    fclose(f);
    calls_table(buf_str(&page));
    thoughts_table();
    buf_fini(&page);
    return 0;
}
