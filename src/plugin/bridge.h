/* plugin/bridge.h -- what stands beside a user's component, so that bytes go in and out of it as bytes
 *
 * Every component is checked with it when it is registered; those whose guests are not plain (plain.h) are called over it.
 *
 *   gateway --- put-text, put-bytes: the image, in pieces ---> memory of the bridge --- canonical ABI, inside the library ---> memory of the guest
 *           --- on-request, on-response, before, after ------> calls the guest's function with the words at the image's front
 *           <-- the answer's image: what it returned, get --- (further pieces)
 *
 * Through wasmtime's C API a list<u8> is an array of 32-byte values, a header a record of allocated names: a body of 10 MB would need 320 MB, twice. So the library gets an outer component that holds the user's, as it is,
 * and a small one of our own beside it, the bridge. It imports the guest's functions with exactly the types of the worlds (so the library's validator refuses a component with other types), and exports functions that take and
 * give nothing but strings. Its memory holds the arguments as the canonical ABI lays them out; the gateway writes that image (values.c) and reads the answer's.
 *
 * Encodings: put-text takes UTF-8 and is a plain copy. put-bytes is the same function lifted with latin1+utf16: the character U+00xx arrives as the byte xx, so any byte can be told in a string. The
 * image's words are written as four groups of 7 bits, one per byte, because a string of UTF-8 cannot hold every byte; the bridge turns them back. Answers are always given as Latin-1.
 *
 * Layout of the bridge's memory (bytes):
 *   0..59     its own
 *   60        u32: end of the answer; written when the guest has answered
 *   64..127   what the guest's function returned: action (44), before-result (12), list (8)
 *   128..     the image: word 0 = number of words (itself included), then the arguments' words, then what they point to. The arguments have been copied to the guest when its answer comes: that overlays them
 *
 * The text of the bridge is written in WebAssembly's text format and assembled by the library; only the few sections of the outer component are encoded here.
 */
#pragma once

#include "base/buf.h"
#include "plugin/component.h"

#define BRIDGE_ANSWER    60u /* the answer's image begins here */
#define BRIDGE_RETURNED  64u
#define BRIDGE_IMAGE     128u
#define BRIDGE_PIECE     (32u << 10) /* bytes of an answer that one call gives */
#define BRIDGE_WORD_BITS 28
#define BRIDGE_INSTANCE  "smg-gateway-bridge" /* the name that the bridge is exported under */

/* The text of two components: one that exports the worlds' types, and the bridge for the interfaces of the MASK (1 << enum component_interface). OUT fails stickily. */
void bridge_write_types(unsigned mask, struct buf *out);
void bridge_write_text(unsigned mask, struct buf *out);

/* The outer component: imports what USER does (C is its outline), holds USER as it is, TYPES and BRIDGE (assembled) for C->interfaces, and ties them together. */
void bridge_wrap(struct str user, const struct component *c, struct str types, struct str bridge, struct buf *out);
