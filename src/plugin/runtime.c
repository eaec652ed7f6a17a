#include "plugin/runtime_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#define RESERVED_PER_MEMORY ((size_t)4 << 30) /* of address space, which the library puts by so that no access needs a check */
#define KEEP_RESIDENT       ((size_t)128 << 10)

/* ---- errors ---- */

/* A line of the library's backtrace: "   0:     0x1234 - <unknown>!..." or the file and line below it. */
static bool is_backtrace(struct str line)
{
    return str_find(line, STR("0x")) != STR_NPOS && str_find(line, STR(" - ")) != STR_NPOS;
}

/* "0: text" of a numbered list of causes. */
static struct str without_number(struct str line)
{
    size_t i = 0;

    while (i < line.n && line.p[i] >= '0' && line.p[i] <= '9')
        i++;
    return i > 0 && i + 1 < line.n && line.p[i] == ':' && line.p[i + 1] == ' ' ? str_skip(line, i + 2) : line;
}

static void write_reason(struct str text, struct buf *out)
{
    struct str line, rest = text;
    bool more = true;

    while (more) {
        more = str_split(rest, '\n', &line, &rest);
        line = str_trim(line);
        if (str_eq(line, STR("Stack backtrace:")))
            return; /* the library's own frames, up to version 41 */
        if (line.n == 0 || str_eq(line, STR("Caused by:")) || is_backtrace(line) ||
            str_has_prefix(line, STR("error while executing at wasm backtrace")) || str_has_prefix(line, STR("note: ")) ||
            str_has_prefix(line, STR("at ")))
            continue;
        if (out->n > 0)
            buf_puts(out, ": ");
        buf_put(out, without_number(line));
    }
}

/* TEXT (consumed) as runtime_error tells it. */
static int tell(struct wasm_runtime *r, struct wasmtime_bytes *text, struct err *err, int code, const char *what)
{
    _cleanup_(buf_fini) struct buf reason = { 0 };

    write_reason((struct str){ text->p, text->n }, &reason);
    r->api->wasm_byte_vec_delete(text);
    return err_set(err, code, "%s: %.*s", what, (int)MIN(reason.n, (size_t)400), reason.n ? reason.p : "");
}

int runtime_error(struct wasm_runtime *r, wasmtime_error *e, struct err *err, int code, const char *what)
{
    struct wasmtime_bytes text = { 0 };

    r->api->wasmtime_error_message(e, &text);
    r->api->wasmtime_error_delete(e);
    return tell(r, &text, err, code, what);
}

int runtime_trap(struct wasm_runtime *r, wasmtime_trap *t, struct err *err, int code, const char *what)
{
    struct wasmtime_bytes text = { 0 };

    r->api->wasm_trap_message(t, &text);
    r->api->wasm_trap_delete(t);
    if (text.n > 0 && text.p[text.n - 1] == 0)
        text.n--; /* the message of a trap has a NUL at its end */
    return tell(r, &text, err, code, what);
}

/* ---- the ticker ----
 *
 *   asleep --a call begins (runtime_call_begins)--> ticking --TICKER_LINGERS ticks without a call (may_sleep)--> asleep
 */

static uint64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void wait_tick(struct wasm_runtime *r)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += TICK_MS * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    while (!r->stop && pthread_cond_timedwait(&r->wake, &r->lock, &until) != ETIMEDOUT)
        continue;
}

/* Says that it will sleep first and looks for calls behind that, a call counts itself first and looks for the ticker behind that: one of them sees the other. */
static bool may_sleep(struct wasm_runtime *r)
{
    atomic_store(&r->ticking, false);
    if (atomic_load(&r->calls) == 0)
        return true;
    atomic_store(&r->ticking, true);
    return false;
}

/* A tick that comes late counts for as many as it should have been. */
static void advance(struct wasm_runtime *r, uint64_t *last)
{
    uint64_t now = now_ms(), ticks = (now - *last) / TICK_MS;

    for (uint64_t i = 0; i < ticks && i < 6000; i++)
        r->api->wasmtime_engine_increment_epoch(r->engine);
    *last += ticks * TICK_MS;
}

static void *tick(void *arg)
{
    struct wasm_runtime *r = arg;
    unsigned idle = 0;
    uint64_t last = 0;

    pthread_mutex_lock(&r->lock);
    while (!r->stop) {
        if (!atomic_load(&r->ticking)) {
            pthread_cond_wait(&r->wake, &r->lock);
            idle = 0;
            last = now_ms();
            continue;
        }
        wait_tick(r);
        advance(r, &last);
        idle = atomic_load(&r->calls) ? 0 : idle + 1;
        if (idle >= TICKER_LINGERS && may_sleep(r))
            idle = 0;
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

void runtime_call_begins(struct wasm_runtime *r)
{
    atomic_fetch_add(&r->calls, 1);
    if (_likely_(atomic_load(&r->ticking)))
        return;
    pthread_mutex_lock(&r->lock);
    atomic_store(&r->ticking, true);
    pthread_cond_signal(&r->wake);
    pthread_mutex_unlock(&r->lock);
}

void runtime_call_ends(struct wasm_runtime *r)
{
    atomic_fetch_sub(&r->calls, 1);
}

static int start_ticker(struct wasm_runtime *r, struct err *err)
{
    pthread_condattr_t attr;
    int e;

    pthread_mutex_init(&r->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&r->wake, &attr);
    pthread_condattr_destroy(&attr);
    e = pthread_create(&r->ticker, NULL, tick, r);
    if (e != 0)
        return err_set(err, ERR_NOMEM, "the WASM runtime has no thread for its clock: %s", strerror(e));
    return 0;
}

static void stop_ticker(struct wasm_runtime *r)
{
    pthread_mutex_lock(&r->lock);
    r->stop = true;
    pthread_cond_signal(&r->wake);
    pthread_mutex_unlock(&r->lock);
    pthread_join(r->ticker, NULL);
    pthread_cond_destroy(&r->wake);
    pthread_mutex_destroy(&r->lock);
}

/* ---- the engine ---- */

/* The library ends the process when its pool of memories cannot be reserved (a bound of address space: ulimit -v, a sanitizer): ask for as much first. */
static bool can_reserve(uint32_t memories)
{
    size_t n = (size_t)(memories + 1) * (RESERVED_PER_MEMORY + ((size_t)64 << 20));
    void *p = mmap(NULL, n, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (p == MAP_FAILED)
        return false;
    munmap(p, n);
    return true;
}

/* Room for CALLS at a time. A call takes two memories at least, its guest's and the bridge's. */
static bool set_pool(struct wasm_runtime *r, wasmtime_config *config, uint32_t calls)
{
    const struct wasmtime_api *a = r->api;
    uint32_t memories = calls * 8;
    wasmtime_pooling *pool;

    if (!can_reserve(memories))
        return false;
    pool = a->wasmtime_pooling_allocation_config_new();
    a->wasmtime_pooling_allocation_config_total_core_instances_set(pool, calls * 64);
    a->wasmtime_pooling_allocation_config_total_component_instances_set(pool, calls * 4);
    a->wasmtime_pooling_allocation_config_total_memories_set(pool, memories);
    a->wasmtime_pooling_allocation_config_total_tables_set(pool, calls * 16);
    if (r->suspends)
        a->wasmtime_pooling_allocation_config_total_stacks_set(pool, calls);
    a->wasmtime_pooling_allocation_config_max_memory_size_set(pool, RESERVED_PER_MEMORY);
    a->wasmtime_pooling_allocation_config_max_component_instance_size_set(pool, (size_t)64 << 20);
    a->wasmtime_pooling_allocation_config_max_core_instance_size_set(pool, (size_t)1 << 20);
    a->wasmtime_pooling_allocation_config_table_elements_set(pool, TABLE_ELEMENTS);
    a->wasmtime_pooling_allocation_config_linear_memory_keep_resident_set(pool, KEEP_RESIDENT);
    a->wasmtime_pooling_allocation_config_table_keep_resident_set(pool, (size_t)16 << 10);
    a->wasmtime_pooling_allocation_strategy_set(config, pool);
    a->wasmtime_pooling_allocation_config_delete(pool);
    return true;
}

/* Guests run on the calling thread's own stack, so a thread of the usual size must carry what they may use, and what the library needs beside it. */
static size_t stack_bytes(size_t wanted)
{
    const size_t BESIDE = (size_t)1 << 20;
    struct rlimit limit;
    size_t thread = (size_t)8 << 20;

    if (getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        thread = MAX((size_t)limit.rlim_cur, BESIDE * 2);
    else
        thread = (size_t)2 << 20; /* what glibc takes then */
    wanted = wanted ? wanted : (size_t)512 << 10;
    return MIN(wanted, thread - BESIDE);
}

/* Versions that want to be asked for futures when the engine is made, or cannot leave out what concurrent components need, run every call in one go. */
static bool can_suspend(const struct wasmtime_api *a)
{
    return a->wasmtime_config_concurrency_support_set && !a->wasmtime_config_async_support_set &&
           a->wasmtime_config_async_stack_size_set && a->wasmtime_pooling_allocation_config_total_stacks_set &&
           a->wasmtime_component_linker_instantiate_async && a->wasmtime_component_func_call_async &&
           a->wasmtime_call_future_poll && a->wasmtime_call_future_delete;
}

static void make_engine(struct wasm_runtime *r, const struct wasm_runtime_config *c)
{
    const struct wasmtime_api *a = r->api;
    wasmtime_config *config = a->wasm_config_new();
    size_t stack = stack_bytes(c->max_stack_bytes);

    a->wasmtime_config_wasm_component_model_set(config, true);
    a->wasmtime_config_epoch_interruption_set(config, true);
    if (a->wasmtime_config_async_stack_size_set)
        a->wasmtime_config_async_stack_size_set(config, stack + ((size_t)512 << 10)); /* what the library uses beside the guest */
    a->wasmtime_config_max_wasm_stack_set(config, stack);
    if (a->wasmtime_config_concurrency_support_set)
        a->wasmtime_config_concurrency_support_set(config, false); /* bookkeeping for asynchronous components, per call */
    r->suspends = can_suspend(a);
    /* Guests that were left keep theirs; some for compiling and hooks. */
    r->pooled = set_pool(r, config, c->threads + c->loops * (1 + WASM_SUSPENDED_MAX) + SLEEPERS_MAX + 4);
    r->engine = a->wasm_engine_new_with_config(config);
}

static int make_linker(struct wasm_runtime *r, struct err *err)
{
    wasmtime_error *e;

    r->linker = r->api->wasmtime_component_linker_new(r->engine);
    e = r->api->wasmtime_component_linker_add_wasip2(r->linker);
    if (e)
        return runtime_error(r, e, err, ERR_UNSUPPORTED, "the WASM runtime offers no WASI 0.2");
    r->counters = counters_new(COUNTERS_MAX);
    if (!r->counters)
        return err_set(err, ERR_NOMEM, "no memory for the plugins' counters");
    return counter_import_add(r, err);
}

int wasm_runtime_open(const struct wasm_runtime_config *c, struct wasm_runtime **ret, struct err *err)
{
    struct wasm_runtime *r = calloc(1, sizeof *r);
    int e;

    if (!r)
        return err_set(err, ERR_NOMEM, "no memory for the WASM runtime");
    e = library_open(c->library, &r->library, err);
    if (e < 0) {
        free(r);
        return e;
    }
    r->api = &r->library.api;
    r->output = c->output;
    r->output_owner = c->owner;
    r->bridge_only = c->bridge_only;
    make_engine(r, c);
    e = make_linker(r, err);
    if (e == 0)
        e = start_ticker(r, err);
    if (e < 0) {
        r->api->wasmtime_component_linker_delete(r->linker);
        r->api->wasm_engine_delete(r->engine);
        counters_free(r->counters);
        free(r);
        return e;
    }
    *ret = r;
    return 0;
}

void wasm_runtime_stop(struct wasm_runtime *r)
{
    if (r)
        atomic_store(&r->stopping, true);
}

void wasm_runtime_close(struct wasm_runtime *r)
{
    if (!r || atomic_load(&r->sleepers) > 0)
        return; /* threads that a guest's sleep holds are still in it, for as long as the process lives */
    stop_ticker(r);
    r->api->wasmtime_component_linker_delete(r->linker);
    r->api->wasm_engine_delete(r->engine);
    counters_free(r->counters);
    free(r);
}

struct str wasm_runtime_library(const struct wasm_runtime *r)
{
    return str_of(r->library.path);
}
