/* bench/plugin.c -- what a call of a plugin costs: instance, arguments, guest, answer, and everything thrown away again
 *
 * The components are the tests' (tests/wasm): readheader looks one header up, bodyecho replaces the body by a copy of itself. Requests have 12 headers. The library is found as the gateway finds it, or by SMG_WASMTIME_LIB.
 *
 * Both are plain and called directly; with "bridge" they are called as components that are not.
 *
 *     build/bench/plugin tests/wasm [calls of the small ones [bridge]]
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/clock.h"
#include "base/file.h"
#include "plugin/wasm.h"

static const struct wasm_header HEADERS[] = {
    { STR_INIT("host"), STR_INIT("gateway.example:30000") },
    { STR_INIT("user-agent"), STR_INIT("OpenAI/Python 2.8.1") },
    { STR_INIT("accept"), STR_INIT("application/json") },
    { STR_INIT("accept-encoding"), STR_INIT("gzip, deflate, br, zstd") },
    { STR_INIT("content-type"), STR_INIT("application/json") },
    { STR_INIT("content-length"), STR_INIT("2048") },
    { STR_INIT("authorization"), STR_INIT("Bearer sk-0123456789abcdef0123456789abcdef") },
    { STR_INIT("x-stainless-lang"), STR_INIT("python") },
    { STR_INIT("x-stainless-os"), STR_INIT("Linux") },
    { STR_INIT("x-stainless-runtime"), STR_INIT("CPython") },
    { STR_INIT("x-stainless-retry-count"), STR_INIT("0") },
    { STR_INIT("connection"), STR_INIT("keep-alive") },
};

static double cpu_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

static void die(const char *what, const struct err *err)
{
    fprintf(stderr, "%s: %s\n", what, err->message);
    exit(1);
}

static struct wasm_module *load(struct wasm_runtime *r, const char *dir, const char *name)
{
    _cleanup_(buf_fini) struct buf bytes = { 0 };
    struct wasm_module *m = NULL;
    struct err err = { 0 };
    char path[1024];
    uint64_t began;

    snprintf(path, sizeof path, "%s/%s.wasm", dir, name);
    if (file_read(path, (size_t)64 << 20, &bytes, &err) < 0)
        die(name, &err);
    began = clock_now_us();
    if (wasm_module_compile(r, str_of(name), buf_str(&bytes), &m, &err) < 0)
        die(name, &err);
    printf("%s: %zu bytes, compiled and linked in %.1f ms\n", name, bytes.n, (double)(clock_now_us() - began) / 1e3);
    return m;
}

/* CALLS calls with a body of BODY bytes; one line. */
static void measure(struct wasm_module *m, const char *name, size_t body, size_t calls)
{
    static const struct wasm_limits LIMITS = { 60000, 1024 };
    uint32_t *ns = malloc(calls * sizeof *ns);
    char *bytes = malloc(body + 1);
    struct wasm_request q = { STR("POST"),     STR("/v1/chat/completions"),
                              STR(""),         { HEADERS, ARRAY_LEN(HEADERS) },
                              { bytes, body }, STR("chatcmpl-0123456789abcdefghijklmn"),
                              1764373152123 };
    struct arena_cache cache = { 0 };
    size_t used = 0;
    double cpu = 0;

    memset(bytes, 'a', body);
    for (size_t i = 0, warm = calls / 10 + 1; i < calls + warm; i++) {
        struct wasm_action action;
        struct err err = { 0 };
        struct arena arena;
        uint64_t began;

        if (i == warm) {
            used = mallinfo2().uordblks;
            cpu = cpu_us();
        }
        arena_init(&arena, &cache, 0);
        began = clock_now_ns();
        if (wasm_call_on_request(m, &LIMITS, &q, &arena, &action, &err) < 0)
            die(name, &err);
        if (i >= warm)
            ns[i - warm] = (uint32_t)(clock_now_ns() - began);
        arena_fini(&arena);
    }
    cpu = cpu_us() - cpu;
    qsort(ns, calls, sizeof *ns, by_size);
    printf("%-10s %9zu %9zu %10.1f %10.1f %10.1f %12ld\n", name, body, calls, ns[calls / 2] / 1e3, ns[calls * 99 / 100] / 1e3,
           cpu / (double)calls, (long)(mallinfo2().uordblks - used));
    arena_cache_fini(&cache);
    free(bytes);
    free(ns);
}

int main(int argc, char **argv)
{
    const struct wasm_runtime_config config = { .threads = 1,
                                                .max_stack_bytes = (size_t)1 << 20,
                                                .bridge_only = argc > 3 && strcmp(argv[3], "bridge") == 0 };
    const char *dir = argc > 1 ? argv[1] : "tests/wasm";
    size_t calls = argc > 2 ? (size_t)strtoull(argv[2], NULL, 10) : 20000;
    struct wasm_module *reader, *writer;
    struct wasm_runtime *r;
    struct err err = { 0 };

    if (wasm_runtime_open(&config, &r, &err) < 0)
        die("bench/plugin", &err);
    reader = load(r, dir, "readheader");
    writer = load(r, dir, "bodyecho");
    printf("\n%-10s %9s %9s %10s %10s %10s %12s\n", "plugin", "body", "calls", "median us", "p99 us", "CPU us", "bytes kept");
    measure(reader, "readheader", 0, calls);
    measure(reader, "readheader", 2048, calls);
    measure(reader, "readheader", 65536, calls / 50 + 1);
    measure(reader, "readheader", 1 << 20, calls / 500 + 1);
    measure(writer, "bodyecho", 2048, calls);
    measure(writer, "bodyecho", 65536, calls / 50 + 1);
    measure(writer, "bodyecho", 1 << 20, calls / 500 + 1);
    measure(writer, "bodyecho", 10 << 20, 5);
    wasm_module_unref(reader);
    wasm_module_unref(writer);
    wasm_runtime_close(r);
    return 0;
}
