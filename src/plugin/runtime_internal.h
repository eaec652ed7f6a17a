/* plugin/runtime_internal.h -- what the files of the runtime share; not for other rooms */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "plugin/bridge.h"
#include "plugin/counters.h"
#include "plugin/library.h"
#include "plugin/wasm.h"

#define TICK_MS        2u    /* finer than the 10 ms that deadlines need: it bounds how long a call may hold a loop */
#define TICKER_LINGERS 500u  /* ticks without a call before the ticker goes to sleep: waking it up costs a system call */
#define TABLE_ELEMENTS 65536 /* of one table */
#define TABLES_MAX     64    /* of one call; as the next two */
#define INSTANCES_MAX  256
#define MEMORIES_MAX   32
#define TRIAL_MS       5000u /* instantiating a module once, when it is compiled */
#define SLEEPERS_MAX   16    /* threads that may hang in a guest's sleep at a time (sleeper.c) */

struct wasm_runtime {
    struct library library;
    const struct wasmtime_api *api; /* = &library.api */
    wasmtime_engine *engine;        /* owned */
    wasmtime_linker *linker;        /* owned; WASI 0.2 and the counters */
    struct counters *counters;      /* owned; what guests count in beyond their calls */
    wasm_output *output;
    void *output_owner;
    bool pooled;
    bool bridge_only; /* wasm_runtime_config */
    bool suspends;    /* the library can stop a guest halfway and go on with it later (suspended.c) */

    /* The ticker: moves the engine's epoch while calls run. */
    pthread_t ticker;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    atomic_uint calls;    /* in flight */
    atomic_bool ticking;  /* false: the ticker sleeps until somebody wakes it; read by every call */
    bool stop;            /* under the lock */
    atomic_bool stopping; /* calls end at the next tick; never false again */
    atomic_uint sleepers; /* calls whose thread was left to a guest's sleep */
};

struct wasm_module {
    atomic_uint refs;
    struct wasm_runtime *runtime; /* borrowed; outlives the module */
    char *name;                   /* owned */
    unsigned exports;             /* enum wasm_export */
    bool uses_wasi;               /* imports something of it: the store needs a context for it */
    bool can_sleep;               /* imports wasi:io/poll: its thread may hang where no deadline reaches it */
    /* The two ways to call it. What is not needed is NULL: direct, when the guest is not plain, and all of the rest, when it is and imports nothing. All of it is owned. */
    struct direct *direct;
    wasmtime_component *component;
    wasmtime_export *put_text, *put_bytes, *get;
    wasmtime_export *functions[COMPONENT_INTERFACES]; /* NULL: not exported */
};

/* Consumes E (not NULL): sets *ERR to "what: the library's words", in one line, without its backtrace, and returns CODE. */
int runtime_error(struct wasm_runtime *r, wasmtime_error *e, struct err *err, int code, const char *what);

/* The same of a trap. */
int runtime_trap(struct wasm_runtime *r, wasmtime_trap *t, struct err *err, int code, const char *what);

/* Offers smg:gateway/shared-counter to the guests of R's linker; a store's data is its module then. */
int counter_import_add(struct wasm_runtime *r, struct err *err) _must_check_;

/* Around everything that runs a guest: the epoch moves in between. */
void runtime_call_begins(struct wasm_runtime *r);
void runtime_call_ends(struct wasm_runtime *r);
