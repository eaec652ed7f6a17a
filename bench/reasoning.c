/* reasoning.c -- what telling thoughts from text costs: GB/s of text in one piece, ns per token of a stream, per format and kind of text
 *
 * A reply is a thought and an answer of the same length, 1 MB together. "words" has no byte that a marker begins with but for one in a hundred, "markup" one in eight, "chinese" characters of
 * three bytes with full-width punctuation. Tokens are four bytes. The best of RUNS counts.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "text/reasoning/reasoning.h"

#define HALF  (512u << 10)
#define TOKEN 4
#define RUNS  15

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

static void fill(struct buf *b, const char *const *parts, unsigned n)
{
    for (size_t end = b->n + HALF; b->n < end;)
        buf_put(b, str_of(parts[dice(n)]));
}

static void count(void *owner, bool thought, struct str text)
{
    ((size_t *)owner)[thought] += text.n;
}

/* The best time of RUNS for REPLY in pieces of PIECE bytes, in ns. */
static uint64_t best_ns(const struct reasoning_format *f, struct str reply, size_t piece)
{
    uint64_t best = UINT64_MAX;
    for (int run = 0; run < RUNS; run++) {
        size_t said[2] = { 0 };
        struct reasoning_config c = { .started = true, .tag_was_given = true, .sink = count, .owner = said };
        struct reasoning_parser *p;
        if (reasoning_parser_new(f, &c, &p) < 0)
            exit(1);
        uint64_t start = clock_now_ns();
        for (size_t at = 0; at < reply.n; at += piece)
            if (reasoning_feed(p, str_first(str_skip(reply, at), piece)) < 0)
                exit(1);
        uint64_t took = reasoning_finish(p) < 0 ? best : clock_now_ns() - start;
        best = MIN(best, took);
        reasoning_parser_free(p);
    }
    return best;
}

int main(void)
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
    printf("%-14s %-8s %8s %12s\n", "format", "text", "GB/s", "ns/token");
    for (size_t i = 0; i < ARRAY_LEN(FORMATS); i++)
        for (size_t k = 0; k < ARRAY_LEN(TEXTS); k++) {
            struct buf reply = { 0 };
            fill(&reply, TEXTS[k].parts, TEXTS[k].n);
            buf_put(&reply, str_of(FORMATS[i].end));
            fill(&reply, TEXTS[k].parts, TEXTS[k].n);
            if (reply.failed)
                return 1;
            const struct reasoning_format *f = reasoning_find(str_of(FORMATS[i].format));
            double whole = (double)best_ns(f, buf_str(&reply), reply.n), tokens = (double)best_ns(f, buf_str(&reply), TOKEN);
            printf("%-14s %-8s %8.2f %12.1f\n", FORMATS[i].format, TEXTS[k].name, (double)reply.n / whole,
                   tokens * TOKEN / (double)reply.n);
            buf_fini(&reply);
        }
    return 0;
}
