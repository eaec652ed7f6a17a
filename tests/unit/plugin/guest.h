/* guest.h -- for tests that run guests: one runtime for all tests of a program, the tests' components by name, and the library's signal handlers
 *
 * cmocka puts handlers of its own in front of every test, for the very signals that a guest's traps are. So main opens the runtime, which installs the library's, and every test that runs a guest begins with
 * use_library_signals().
 */
#pragma once

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/file.h"
#include "plugin/wasm.h"
#include "test.h"

static struct wasm_runtime *runtime;
static const int SIGNALS[] = { SIGSEGV, SIGILL, SIGFPE, SIGBUS };
static struct sigaction library_actions[ARRAY_LEN(SIGNALS)];

/* The programs run twice, the second time with the bridge for every component: what a guest sees and answers is the same. */
static inline bool over_the_bridge(void)
{
    return getenv("SMG_TEST_BRIDGE") != NULL;
}

static inline void open_runtime(wasm_output *output, void *owner)
{
    struct wasm_runtime_config c = { .threads = 4,
                                     .loops = 2,
                                     .max_stack_bytes = (size_t)1 << 20,
                                     .bridge_only = over_the_bridge(),
                                     .output = output,
                                     .owner = owner };
    struct err err = { 0 };

    if (wasm_runtime_open(&c, &runtime, &err) < 0) {
        fprintf(stderr, "%s\n", err.message);
        exit(1);
    }
    for (size_t i = 0; i < ARRAY_LEN(SIGNALS); i++)
        sigaction(SIGNALS[i], NULL, &library_actions[i]);
}

static inline void use_library_signals(void)
{
    for (size_t i = 0; i < ARRAY_LEN(SIGNALS); i++)
        sigaction(SIGNALS[i], &library_actions[i], NULL);
}

/* Where the tests' component is; static memory, good until the next call. */
static inline const char *component_path(const char *name)
{
    static char path[1024];

    snprintf(path, sizeof path, "%s/%s.wasm", getenv("SMG_TEST_WASM"), name);
    return path;
}

static inline void read_component(const char *name, struct buf *out)
{
    struct err err = { 0 };

    if (file_read(component_path(name), (size_t)64 << 20, out, &err) < 0)
        fail_msg("%s", err.message);
}

static inline struct wasm_module *compile_in(struct wasm_runtime *r, const char *name)
{
    _cleanup_(buf_fini) struct buf bytes = { 0 };
    struct wasm_module *m = NULL;
    struct err err = { 0 };

    read_component(name, &bytes);
    if (wasm_module_compile(r, str_of(name), buf_str(&bytes), &m, &err) < 0)
        fail_msg("%s: %s", name, err.message);
    return m;
}

static inline struct wasm_module *compile(const char *name)
{
    return compile_in(runtime, name);
}
