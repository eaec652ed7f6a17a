/* json/number.h -- private to json/: floating-point numbers as text
 *
 * Shortest decimal digits that read back as the same number, laid out as Rust's ryu crate does (what SMG's clients see): 1.0, 0.1, 123456.5,
 * 1e16, 1.5e-7; a double switches to an exponent at 1e16 and below 1e-5, a float at 1e13 and below 1e-6.
 * The digits are found by asking libc for more and more of them until they read back (integers take a shortcut). That costs about a
 * microsecond, and for a handful of powers of two gives one digit more than the shortest; it cannot be wrong. Any locale.
 */
#pragma once

#include <stddef.h>

#define JSON_NUMBER_MAX 32 /* bytes of the longest text below; none ends in a NUL */

/* V must be finite. They return the length. */
size_t json_format_f64(char out[JSON_NUMBER_MAX], double v);
size_t json_format_f32(char out[JSON_NUMBER_MAX], float v);
