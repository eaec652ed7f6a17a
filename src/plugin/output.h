/* plugin/output.h -- what a guest writes to stdout and stderr, gathered during a call and told as lines behind it
 *
 * The library writes from threads of its own, and may still hold the streams when the call has ended: so the gathering place is counted by references, has a lock, and lines are told by output_tell on the
 * caller's thread, in the order in which they were completed.
 * Bounds: a line of more than OUTPUT_LINE bytes is told in pieces; of what one call writes beyond OUTPUT_BYTES the rest is dropped, and a last line says so.
 */
#pragma once

#include "plugin/wasm.h"
#include "plugin/wasmtime.h"

#define OUTPUT_LINE  4096u
#define OUTPUT_BYTES (64u << 10)

struct output;

struct output *output_new(void);   /* NULL: no memory */
void output_ref(struct output *o); /* NULL is fine, below too */
void output_unref(struct output *o);

/* WASI's stdout and stderr go to O from now on; each holds a reference. */
void output_attach(struct output *o, const struct wasmtime_api *api, wasmtime_wasi *wasi);

/* Tells every line, a last one without its newline too, and lets what comes later fall. */
void output_tell(struct output *o, wasm_output *tell, void *owner, struct str module, struct str request_id);
