/* plugin/values.h -- what the functions of the worlds take and return, as values of C
 *
 *   request, response, hook's call --values_of_...--> struct wasm_values --image.h--> the bridge's memory --> guest
 *                                                            \--direct.h--------------------------------> guest's memory
 *   struct answer, somebody's memory --values_to_result--> union wasm_result
 *
 * The layouts in memory are those of the canonical ABI for 32-bit memories (spec wasm-plugins 3.3, 4.1). Every pointer in an answer came from a guest: nothing is read outside of the memory that it was found in.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "plugin/component.h"
#include "plugin/storage_hook.h"
#include "plugin/wasm.h"

#define VALUES_HEADERS_MAX 1000                /* entries of one list of an answer */
#define VALUES_BYTES_MAX   ((size_t)255 << 20) /* of all arguments of a call */
#define VALUES_MAX         7                   /* arguments of the function that has the most */
#define VALUES_PAIR_BYTES  16                  /* of a pair of texts in a list: pointer, length, pointer, length */
#define VALUES_ALIGNMENT   4u                  /* of lists of pairs and texts, and of what a function returns */

enum wasm_value_kind {
    VALUE_WORD,  /* number: 32 bits */
    VALUE_LONG,  /* number: 64 bits */
    VALUE_TEXT,  /* bytes, which are UTF-8 */
    VALUE_BYTES, /* bytes; a call has one of these at most, its body */
    VALUE_PAIRS, /* a list of texts by twos */
};
struct wasm_value {
    enum wasm_value_kind kind;
    uint64_t number;
    struct str bytes;
    struct wasm_headers pairs;
};
struct wasm_values {
    struct wasm_value v[VALUES_MAX];
    size_t n;
};

/* What a function returned, and the memory that it points into. */
struct answer {
    const uint8_t *p; /* the bytes of the memory at FROM and on */
    size_t n;
    uint32_t from;
    uint32_t returned; /* address */
    bool passing;      /* the memory goes away: texts and bytes are to be copied */
    size_t room;       /* of one that passes: bytes that may be copied; a small memory can name a large text a thousand times */
};

union wasm_result {
    struct wasm_action action;   /* of on-request and on-response */
    struct hook_verdict verdict; /* before */
    struct hook_pairs columns;   /* after */
};

/* ERR_NOMEM; ERR_LIMIT past VALUES_BYTES_MAX. RET points to the caller's and into ARENA. */
int values_of_request(const struct wasm_request *req, struct arena *arena, struct wasm_values *ret, struct err *err) _must_check_;
int values_of_response(const struct wasm_response *resp, struct arena *arena, struct wasm_values *ret,
                       struct err *err) _must_check_;
int values_of_before(const struct hook_call *c, struct arena *arena, struct wasm_values *ret, struct err *err) _must_check_;
int values_of_after(const struct hook_call *c, struct str result_json, struct hook_pairs extra, struct arena *arena,
                    struct wasm_values *ret, struct err *err) _must_check_;

/* ERR_INVALID; ERR_LIMIT past VALUES_HEADERS_MAX or the answer's room; ERR_NOMEM. Lists are in ARENA; texts and bytes there, too, or in the answer when it stays. */
int values_to_result(enum component_interface f, struct answer a, struct arena *arena, union wasm_result *ret,
                     struct err *err) _must_check_;
