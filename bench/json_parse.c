/* json_parse.c -- how fast the JSON reader takes apart what clients send, beside simdjson's DOM parser and jansson
 *
 * All three validate everything and give a document that can be walked; simdjson also converts numbers and undoes escapes, which ours does
 * when asked, so the table has inputs that are nothing but those. Each parser keeps what it can keep between calls (arena cache, parser
 * object). Runs of the three alternate; the median of RUNS counts, the spread is (slowest - fastest) / median of ours.
 */
#include "base/clock.h"
#include "json/json_write.h"
#include "json/scan.h"
#include "json_rivals.h"

#include <stdio.h>
#include <stdlib.h>

#define RUNS   7
#define RUN_NS 8000000u /* of one run of one parser */

/* Counts what reaches the allocator. */
static uint64_t mallocs;
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *malloc(size_t n);
void *calloc(size_t n, size_t size);
void *realloc(void *p, size_t n);

void *malloc(size_t n)
{
    mallocs++;
    return __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    mallocs++;
    return __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
    mallocs++;
    return __libc_realloc(p, n);
}

static struct arena_cache cache;
static json_scan_fn *scan_override; /* NULL = the one that the product would choose */

static int ours(const char *text, size_t n)
{
    struct arena arena;
    struct json_doc doc;

    arena_init(&arena, &cache, 0);
    int r = scan_override ? json_parse_with(scan_override, (struct str){ text, n }, &arena, &doc, NULL)
                          : json_parse((struct str){ text, n }, &arena, &doc, NULL);
    arena_fini(&arena);
    return r == 0;
}

typedef int parse_fn(const char *text, size_t n);

static double run_ns(parse_fn *parse, struct str text)
{
    uint64_t from = clock_now_ns(), to, done = 0;

    do {
        for (int i = 0; i < 16; i++) {
            if (!parse(text.p, text.n)) {
                fprintf(stderr, "a parser refused the input\n");
                exit(1);
            }
        }
        done += 16;
        to = clock_now_ns();
    } while (to - from < RUN_NS);
    return (double)(to - from) / (double)done;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void measure(const char *name, struct str text)
{
    static parse_fn *const PARSERS[] = { ours, rival_simdjson, rival_jansson };
    double ns[ARRAY_LEN(PARSERS)][RUNS];

    for (size_t i = 0; i < ARRAY_LEN(PARSERS); i++)
        run_ns(PARSERS[i], text); /* warms up */
    for (int run = 0; run < RUNS; run++) {
        for (size_t i = 0; i < ARRAY_LEN(PARSERS); i++)
            ns[i][run] = run_ns(PARSERS[i], text);
    }
    uint64_t before = mallocs;
    for (int i = 0; i < 100; i++)
        ours(text.p, text.n);
    double mallocs_per_op = (double)(mallocs - before) / 100;
    for (size_t i = 0; i < ARRAY_LEN(PARSERS); i++)
        qsort(ns[i], RUNS, sizeof ns[i][0], by_value);

    double median = ns[0][RUNS / 2];
    printf("%-26s %7zu %9.0f %8.0f %11.1f %11.2fx %9.2fx %7.0f%%\n", name, text.n, (double)text.n / median * 1e3, median,
           mallocs_per_op, ns[1][RUNS / 2] / median, ns[2][RUNS / 2] / median, (ns[0][RUNS - 1] - ns[0][0]) / median * 100);
}

/* What the messages talk about; every text is repeated and cut as the size asks for. */
static const char ENGLISH[] =
    "Sure. The scheduler keeps one queue per priority and moves a request to the running batch as soon as enough blocks of the "
    "cache are "
    "free; a request that has to wait longer than the bound is answered with 503 and a hint when to come back. ";
static const char CHINESE[] =
    "当然可以。调度器为每个优先级维护一个队列，只要缓存中有足够的空闲块，就会把请求移入正在运行的批次；等待时间超过上限的请求会收到"
    "五百零三和重试提示。";
static const char GERMAN[] =
    "Natürlich. Für jede Priorität gibt es eine Warteschlange; sobald genügend Blöcke im Zwischenspeicher frei sind, rückt die "
    "nächste "
    "Anfrage nach, und wer länger wartet als erlaubt, erhält eine Absage mit dem Hinweis, wann es sich wieder lohnt. ";
static const char CODE[] =
    "```c\nstatic int add(const char *name, size_t n)\n{\n\tif (strcmp(name, \"x\\n\") == 0)\n\t\treturn -1;\n\t"
    "printf(\"%s: %zu\\n\", name, n);\n\treturn 0;\n}\n```\n";

static void put_text(struct json_writer *w, const char *key, const char *piece, size_t n)
{
    struct buf text = { 0 };

    while (text.n < n)
        buf_put(&text, str_of(piece));
    json_key(w, str_of(key));
    json_value_str(w, buf_str(&text));
    buf_fini(&text);
}

static void put_message(struct json_writer *w, const char *role, const char *piece, size_t n)
{
    json_object(w);
    json_put_str(w, "role", str_of(role));
    put_text(w, "content", piece, n);
    json_end(w);
}

static void put_tool(struct json_writer *w, const char *name)
{
    static const char *const ARGUMENTS[] = { "city", "unit", "days" };

    json_object(w);
    json_put_str(w, "type", STR("function"));
    json_put_object(w, "function");
    json_put_str(w, "name", str_of(name));
    json_put_str(w, "description", STR("Looks the answer up in the service of the same name"));
    json_put_object(w, "parameters");
    json_put_str(w, "type", STR("object"));
    json_put_object(w, "properties");
    for (size_t i = 0; i < ARRAY_LEN(ARGUMENTS); i++) {
        json_key(w, str_of(ARGUMENTS[i]));
        json_object(w);
        json_put_str(w, "type", STR("string"));
        json_put_str(w, "description", STR("as people write it, for example \"Paris\""));
        json_end(w);
    }
    json_end(w);
    json_put_array(w, "required");
    json_value_str(w, STR("city"));
    json_end(w);
    json_end(w);
    json_end(w);
    json_end(w);
}

static void put_parameters(struct json_writer *w)
{
    json_put_str(w, "model", STR("meta-llama/Llama-3.1-8B-Instruct"));
    json_put_f64(w, "temperature", 0.7);
    json_put_f64(w, "top_p", 0.95);
    json_put_u64(w, "max_tokens", 1024);
    json_put_bool(w, "stream", true);
}

/* A chat of about TOTAL bytes: a system text, then turns of EACH bytes that go round through the pieces. */
static void chat(struct buf *out, size_t total, size_t each, const char *const *pieces, unsigned tools)
{
    struct json_writer w;

    json_begin(&w, out);
    json_object(&w);
    put_parameters(&w);
    json_put_array(&w, "messages");
    put_message(&w, "system", "You are a helpful assistant. ", 200);
    size_t n_pieces = 0;
    while (pieces[n_pieces])
        n_pieces++;
    size_t tools_bytes = tools * (size_t)600;
    for (size_t i = 0; out->n + tools_bytes < total; i++)
        put_message(&w, i % 2 ? "assistant" : "user", pieces[i % n_pieces], i % 2 ? each : each / 4);
    json_end(&w);
    if (tools) {
        json_put_array(&w, "tools");
        for (unsigned i = 0; i < tools; i++)
            put_tool(&w, i % 2 ? "get_forecast" : "get_current_weather");
        json_end(&w);
    }
    json_end(&w);
}

static void numbers(struct buf *out, size_t total)
{
    struct json_writer w;
    uint64_t seed = 1;

    json_begin(&w, out);
    json_object(&w);
    json_put_array(&w, "input_ids");
    while (out->n < total / 2) {
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
        json_value_u64(&w, (seed >> 33) % 128256);
    }
    json_end(&w);
    json_put_array(&w, "embedding");
    while (out->n < total) {
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
        json_value_f32(&w, (float)(int32_t)(seed >> 32) * 1e-10f);
    }
    json_end(&w);
    json_end(&w);
}

/* The same values with a line break and four blanks per level between them, and blanks behind colons. */
static void indent(struct buf *out, struct str compact)
{
    unsigned depth = 0;
    bool in_string = false;

    for (size_t i = 0; i < compact.n; i++) {
        char c = compact.p[i];

        if (in_string && c == '\\') {
            buf_put(out, (struct str){ compact.p + i++, 2 });
            continue;
        }
        if (c == '"')
            in_string = !in_string;
        bool opens = !in_string && (c == '{' || c == '['), closes = !in_string && (c == '}' || c == ']');
        if (closes)
            buf_printf(out, "\n%*s", (int)(--depth * 4), "");
        buf_put_char(out, c);
        if (opens)
            buf_printf(out, "\n%*s", (int)(++depth * 4), "");
        if (!in_string && c == ',')
            buf_printf(out, "\n%*s", (int)(depth * 4), "");
        if (!in_string && c == ':')
            buf_put_char(out, ' ');
    }
}

static void row(const char *name, struct buf *text)
{
    /* simdjson wants to read behind the text */
    size_t n = text->n;
    char *room = buf_reserve(text, rival_simdjson_padding());

    if (!room) {
        fprintf(stderr, "out of memory\n");
        exit(1);
    }
    memset(room, 0, rival_simdjson_padding());
    measure(name, (struct str){ text->p, n });
    buf_fini(text);
}

int main(int argc, char **argv)
{
    static const char *const PLAIN[] = { ENGLISH, NULL }, *const MIXED[] = { ENGLISH, ENGLISH, CODE, ENGLISH, GERMAN, NULL };
    static const char *const ASIAN[] = { CHINESE, NULL }, *const WESTERN[] = { GERMAN, NULL }, *const SOURCE[] = { CODE, NULL };
    struct buf text = { 0 }, compact = { 0 };

    if (argc > 1)
        scan_override = !strcmp(argv[1], "sse2") ? json_scan_sse2 : json_scan_portable;
    printf("json_parse, compiler %s, simdjson %s, median of %d alternating runs\n", __VERSION__, rival_simdjson_name(), RUNS);
    printf("%-26s %7s %9s %8s %11s %12s %10s %8s\n", "input", "bytes", "MB/s", "ns/op", "mallocs/op", "vs simdjson", "vs jansson",
           "spread");
    chat(&text, 2048, 600, PLAIN, 0);
    row("chat, 2 KB", &text);
    chat(&text, 2048, 200, MIXED, 2);
    row("chat with tools, 2 KB", &text);
    chat(&text, 65536, 2000, PLAIN, 0);
    row("chat history, 64 KB", &text);
    chat(&text, 65536, 1000, MIXED, 4);
    row("mixed history, 64 KB", &text);
    chat(&text, 65536, 1000, WESTERN, 0);
    row("German history, 64 KB", &text);
    chat(&text, 65536, 1000, ASIAN, 0);
    row("Chinese history, 64 KB", &text);
    chat(&compact, 8192, 200, MIXED, 8);
    indent(&text, buf_str(&compact));
    buf_fini(&compact);
    row("chat with tools, indented", &text);
    chat(&text, 65536, 1000, SOURCE, 0);
    row("source code, escapes", &text);
    numbers(&text, 65536);
    row("token ids and floats", &text);
    arena_cache_fini(&cache);
    return 0;
}
