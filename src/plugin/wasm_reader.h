/* plugin/wasm_reader.h -- reads the pieces that WebAssembly's binary formats are made of
 *
 * The bytes come from outside. Failure is sticky: reads past it give zeros and empty names, and the first reason is kept.
 * Core modules and components have the same frame: a header of eight bytes, then sections of an id, a size and contents (WebAssembly core specification 5; component-model, design/mvp/Binary.md).
 */
#pragma once

#include "base/str.h"

#define WASM_HEADER_BYTES 8

/* Of a component. */
enum wasm_section {
    WASM_SECTION_CUSTOM,
    WASM_SECTION_CORE_MODULE,
    WASM_SECTION_CORE_INSTANCE,
    WASM_SECTION_CORE_TYPE,
    WASM_SECTION_COMPONENT,
    WASM_SECTION_INSTANCE,
    WASM_SECTION_ALIAS,
    WASM_SECTION_TYPE,
    WASM_SECTION_CANON,
    WASM_SECTION_START,
    WASM_SECTION_IMPORT,
    WASM_SECTION_EXPORT,
    WASM_SECTION_VALUE,
    WASM_SECTIONS
};

/* The sorts of entities, as the binary format numbers them; COMPONENT_CORE_MODULE is our number for the one core sort that can be imported. */
enum component_sort {
    COMPONENT_CORE,
    COMPONENT_FUNC,
    COMPONENT_VALUE,
    COMPONENT_TYPE,
    COMPONENT_COMPONENT,
    COMPONENT_INSTANCE,
    COMPONENT_CORE_MODULE,
    COMPONENT_SORTS
};

enum { WASM_CORE_FUNC = 0, WASM_CORE_MEMORY = 2, WASM_CORE_MODULE = 0x11 }; /* sorts of core entities */

struct wasm_reader {
    const uint8_t *start, *at, *end;
    const char *wrong; /* static; NULL = all is well */
};

struct wasm_reader wasm_reader_of(struct str bytes);
void wasm_read_wrong(struct wasm_reader *r, const char *what);
uint8_t wasm_read_byte(struct wasm_reader *r);
uint32_t wasm_read_number(struct wasm_reader *r); /* LEB128, at most 32 bits */
/* What has its length in front: a name, the contents of a section. Points into the bytes. */
struct str wasm_read_bytes(struct wasm_reader *r);
/* The name of an import or export: a kind byte that does not matter to us stands before it. */
struct str wasm_read_extern_name(struct wasm_reader *r);
/* *RET_CORE: which one, when it is a core entity; NULL is fine. */
enum component_sort wasm_read_sort(struct wasm_reader *r, uint8_t *ret_core);
/* The type of an import, or one that an export is given. */
enum component_sort wasm_read_extern_type(struct wasm_reader *r);
