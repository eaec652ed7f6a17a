/* plugin/image.h -- the arguments of a call as one piece of bytes, as the bridge wants them (bridge.h draws it) */
#pragma once

#include "plugin/bridge.h"
#include "plugin/values.h"

#define IMAGE_JOIN_MAX ((size_t)64 << 10) /* a body up to this size is copied behind the head: one call less */

_Static_assert(VALUES_BYTES_MAX + ((size_t)1 << 20) <= (size_t)1 << BRIDGE_WORD_BITS, "an address is a word");

/* The bytes of HEAD, then those of BODY. */
struct image {
    struct str head, body;
    bool text; /* both are UTF-8 */
};

/* ERR_NOMEM. RET points into ARENA and, for a large body, to the values' own. */
int image_write(const struct wasm_values *values, struct arena *arena, struct image *ret, struct err *err) _must_check_;
