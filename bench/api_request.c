/* api_request.c -- what reading and checking a chat request costs beyond parsing its JSON, and what the way to a worker adds
 *
 * Columns: json_parse alone; api_request_read (parse and every check); what the routing text and the body with another model name add. Each
 * keeps what it can keep between requests (arena cache, buffers), as a loop thread does. Runs alternate; the median of RUNS counts, the spread
 * is (slowest - fastest) / median of api_request_read.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "api/request.h"

#define RUNS     7
#define RUN_NS   8000000u /* of one run of one column */
#define TEXT_MAX 4096     /* bytes of routing text */

enum work { WORK_PARSE, WORK_READ, WORK_TEXT, WORK_SPLICE, WORK_COUNT };

/* Counts what reaches the allocator. */
static uint64_t mallocs;
void *__libc_malloc(size_t n);
void *__libc_realloc(void *p, size_t n);
void *malloc(size_t n);
void *realloc(void *p, size_t n);

void *malloc(size_t n)
{
    mallocs++;
    return __libc_malloc(n);
}

void *realloc(void *p, size_t n)
{
    mallocs++;
    return __libc_realloc(p, n);
}

static struct arena_cache cache;
static struct buf out;

/* One request; false when it is refused. */
static bool once(enum work work, struct str body)
{
    struct api_request request;
    struct api_error error;
    struct json_doc doc;
    struct arena arena;
    int r;

    arena_init(&arena, &cache, 0);
    buf_clear(&out);
    r = work == WORK_PARSE ? json_parse(body, &arena, &doc, NULL) : api_request_read(API_CHAT, body, &arena, &request, &error);
    if (r == 0 && work == WORK_TEXT)
        api_routing_text(&request, &arena, &out, TEXT_MAX);
    if (r == 0 && work == WORK_SPLICE)
        api_splice_model(&request, body, STR("meta-llama/Llama-3.3-70B-Instruct"), &out);
    arena_fini(&arena);
    return r == 0;
}

/* CPU time of this thread: neighbours on the machine count only by what they do to the caches. */
static uint64_t cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Nanoseconds per request. */
static double run(enum work work, struct str body)
{
    uint64_t from = cpu_ns(), to, done = 0;

    do {
        for (unsigned i = 0; i < 16; i++)
            if (!once(work, body)) {
                fprintf(stderr, "the body was refused\n");
                exit(1);
            }
        done += 16;
        to = cpu_ns();
    } while (to - from < RUN_NS);
    return (double)(to - from) / (double)done;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void row(const char *name, struct str body)
{
    double ns[WORK_COUNT][RUNS], median[WORK_COUNT];
    uint64_t before;

    for (enum work work = 0; work < WORK_COUNT; work++)
        (void)run(work, body); /* warm */
    for (unsigned i = 0; i < RUNS; i++)
        for (enum work work = 0; work < WORK_COUNT; work++)
            ns[work][i] = run(work, body);
    for (enum work work = 0; work < WORK_COUNT; work++) {
        qsort(ns[work], RUNS, sizeof ns[work][0], by_size);
        median[work] = ns[work][RUNS / 2];
    }
    before = mallocs;
    for (unsigned i = 0; i < 100; i++)
        (void)once(WORK_READ, body);
    printf("%-22s %7zu %9.0f %9.0f %9.0f %11.0f %11.0f %12.1f %6.0f%%\n", name, body.n, median[WORK_PARSE], median[WORK_READ],
           median[WORK_READ] - median[WORK_PARSE], median[WORK_TEXT] - median[WORK_READ], median[WORK_SPLICE] - median[WORK_READ],
           (double)(mallocs - before) / 100, (ns[WORK_READ][RUNS - 1] - ns[WORK_READ][0]) / median[WORK_READ] * 100);
}

static const char PROSE[] =
    "The gateway keeps the client's bytes as they are; what has to change is spliced in. Requests that no engine would take are "
    "answered at once, with the path of the member that is wrong. ";

static void put_prose(struct buf *body, size_t n)
{
    const struct str prose = { PROSE, sizeof PROSE - 1 };

    for (; n > prose.n; n -= prose.n)
        buf_put(body, prose);
    buf_put(body, str_first(prose, n));
}

/* A conversation of TURNS messages with N bytes each, the members that clients usually send around it. */
static void conversation(struct buf *body, unsigned turns, size_t n, bool newlines)
{
    buf_clear(body);
    buf_puts(body, "{\"model\":\"llama-3.3-70b\",\"messages\":[{\"role\":\"system\",\"content\":\"You are a helpful assistant.\"}");
    for (unsigned i = 0; i < turns; i++) {
        buf_printf(body, ",{\"role\":\"%s\",\"content\":\"", i % 2 ? "assistant" : "user");
        put_prose(body, n);
        if (newlines)
            buf_puts(body, "\\n\\n- one\\n- two");
        buf_puts(body, "\"}");
    }
    buf_puts(
        body,
        "],\"temperature\":0.7,\"top_p\":0.95,\"max_tokens\":512,\"n\":1,\"presence_penalty\":0,\"frequency_penalty\":0,"
        "\"stream\":true,\"stream_options\":{\"include_usage\":true},\"stop\":[\"</s>\",\"User:\"],\"user\":\"u-1\",\"seed\":7}");
}

static void tools(struct buf *body, unsigned n)
{
    buf_clear(body);
    buf_puts(body, "{\"model\":\"llama-3.3-70b\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"What "
                   "is the weather?\"}]},"
                   "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"call_1\",\"type\":\"function\",\"function\":"
                   "{\"name\":\"tool_0\","
                   "\"arguments\":\"{}\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"call_1\",\"content\":\"sunny\"}],\"tools\":[");
    for (unsigned i = 0; i < n; i++)
        buf_printf(
            body,
            "%s{\"type\":\"function\",\"function\":{\"name\":\"tool_%u\",\"description\":\"Looks something "
            "up\",\"parameters\":{\"type\":"
            "\"object\",\"properties\":{\"city\":{\"type\":\"string\"},\"days\":{\"type\":\"integer\"}},\"required\":[\"city\"]}}}",
            i ? "," : "", i);
    buf_puts(body, "],\"tool_choice\":\"auto\",\"stream\":true}");
}

int main(void)
{
    struct buf body = { 0 };

    printf("api_request, compiler %s, median of %d alternating runs, ns of CPU per request\n", __VERSION__, RUNS);
    printf("%-22s %7s %9s %9s %9s %11s %11s %12s %7s\n", "chat body", "bytes", "parse", "read", "checks", "+ text", "+ splice",
           "mallocs/read", "spread");
    conversation(&body, 1, 64, false);
    row("1 message", buf_str(&body));
    conversation(&body, 5, 310, false);
    row("2 KB, 6 messages", buf_str(&body));
    conversation(&body, 5, 290, true);
    row("2 KB with escapes", buf_str(&body));
    tools(&body, 8);
    row("2 KB with 8 tools", buf_str(&body));
    conversation(&body, 61, 1020, false);
    row("64 KB, 62 messages", buf_str(&body));
    conversation(&body, 1, 65000, false);
    row("64 KB, 2 messages", buf_str(&body));
    buf_fini(&body);
    buf_fini(&out);
    arena_cache_fini(&cache);
    return 0;
}
