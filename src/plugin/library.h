/* plugin/library.h -- finds wasmtime's shared library, opens it and looks up its functions
 *
 * Search order (spec wasm-plugins 9.3); the first that opens is taken:
 *   --wasm-runtime-lib --> SMG_WASMTIME_LIB --> $ORIGIN/../lib/libwasmtime.so --> what the loader finds as libwasmtime.so --> site-packages of Python (VIRTUAL_ENV, the system's, the user's)
 * A path that was named (option, environment) and cannot be opened is an error; the search does not go on behind it.
 * The library stays in memory once it is open: it has threads and signal handlers of its own.
 */
#pragma once

#include "base/err.h"
#include "plugin/wasmtime.h"

struct library {
    struct wasmtime_api api;
    char path[512]; /* where it was found, as the loader says */
};

/* NAMED may be NULL. ERR_NOT_FOUND: nowhere (the message names the package to install), or the named file does not open; ERR_UNSUPPORTED: it is too old, or no wasmtime at all. */
int library_open(const char *named, struct library *ret, struct err *err) _must_check_;
