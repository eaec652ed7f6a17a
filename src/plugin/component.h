/* plugin/component.h -- reads the outline of a binary WebAssembly component, as far as it can be put inside of another one
 *
 * A component is a list of sections, and an entity is named by its number among all of its sort that came before. To put a user's component beside our bridge (bridge.h), an outer component must import
 * whatever the user's does, and hand it in. Encoders write imports, and the types that they need, in front of everything else: those sections can be copied as they are, and the numbers in them stay
 * right. So the scan walks the sections at the top (never into nested modules and components), counts the entities of the front part, and notes every import's sort and number, and the exports' names.
 * The bytes come from outside: every length is checked, an encoding that is not known is refused by name and offset. Whether the contents make sense is the library's to say.
 * Binary format: WebAssembly/component-model, design/mvp/Binary.md.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "plugin/wasm_reader.h"

/* The interfaces of the worlds smg:gateway and smg:storage; the order of enum wasm_export's bits. */
enum component_interface { COMPONENT_ON_REQUEST, COMPONENT_ON_RESPONSE, COMPONENT_BEFORE, COMPONENT_AFTER, COMPONENT_INTERFACES };

#define COMPONENT_NAMES_MAX 1024 /* imports, exports, sections of the front part; past that the component is refused */

struct component_import {
    struct str name; /* as written, with its version */
    enum component_sort sort;
    uint32_t number; /* among the entities of its sort */
};

/* Names and sections point into the scanned bytes; lists are in the arena. */
struct component {
    struct component_import *imports;
    struct str *exports;
    size_t imports_n, exports_n;
    unsigned interfaces; /* those that are exported: 1 << enum component_interface */

    struct str *front; /* the sections up to the last import, each with its id and size; custom ones are left out */
    size_t front_n;
    uint32_t counts[COMPONENT_SORTS]; /* entities in the front part: the number of the next one */
};

struct str component_interface_name(enum component_interface i); /* "smg:gateway/middleware-on-request" and its like; static */
struct str component_function_name(enum component_interface i);  /* of its one function: "on-request" and its like; static */

/* ERR_INVALID: no component, or one that is cut short or uses an unknown encoding; ERR_LIMIT; ERR_NOMEM. */
int component_scan(struct str bytes, struct arena *arena, struct component *ret, struct err *err) _must_check_;
