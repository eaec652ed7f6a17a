/* plugin/core_contents.h -- what a core module has in it, as far as plain.h wants to know: what it imports, and whether it does something when it is instantiated
 *
 * The bytes come from outside; nothing points behind them.
 * Binary format: WebAssembly core specification 5.5 (imports: 5.5.5).
 */
#pragma once

#include "plugin/wasm_reader.h"

#define CORE_INITIALIZE \
    "_initialize" /* the function that a module without a main wants to be called first (tool-conventions, BasicModuleABI) */

struct core_contents {
    struct str bytes;           /* all of the module */
    bool imports;               /* something */
    bool more, more_of_many;    /* something else than functions; from more than one */
    struct str more_from;       /* from whom, when it is one */
    struct str initialize_from; /* whose _initialize it imports */
    bool start, code, data;     /* has such a section */
};

/* False: BYTES are no core module, or use something that is not known here. */
bool core_contents_read(struct str bytes, struct core_contents *ret);
