/* json/json_write.h -- the one JSON writer: compact, valid by construction, checked once
 *
 * Commas and quotes are the writer's business; nesting is asserted in debug builds. Failure is the buf's (sticky `failed`).
 * Output: spec control-plane 1.6: no spaces, UTF-8 as it is, short escapes \b \f \n \r \t \" \\ and \u00xx for other control characters;
 * invalid UTF-8 is replaced by U+FFFD; floats in shortest round-trip form, always with ".0" when integral, with an
 * exponent where ryu puts one (1e16, 1e-6; number.h says how they are found); NaN and infinities as null.
 */
#pragma once

#include "base/buf.h"

struct json_writer {
    struct buf *out;  /* borrowed */
    uint64_t objects; /* bit per depth: is this level an object? */
    unsigned depth;   /* 0..63 */
    bool comma;       /* the next value of this level needs a comma */
};

void json_begin(struct json_writer *w, struct buf *out);

/* Containers. The _key forms stand inside an object, the plain ones at the root or in an array. */
void json_object(struct json_writer *w);
void json_array(struct json_writer *w);
void json_key(struct json_writer *w, struct str key); /* the next plain call writes its value */
void json_end(struct json_writer *w);                 /* closes the innermost object or array */

void json_value_str(struct json_writer *w, struct str s);
void json_value_u64(struct json_writer *w, uint64_t v);
void json_value_i64(struct json_writer *w, int64_t v);
void json_value_f64(struct json_writer *w, double v);
void json_value_f32(struct json_writer *w, float v); /* shortest form that reads back as the same float */
void json_value_bool(struct json_writer *w, bool v);
void json_value_null(struct json_writer *w);
void json_value_raw(struct json_writer *w, struct str json); /* the caller vouches that it is one valid value */

/* json_put_x(w, "key", value): a member of an object; KEY is a literal that needs no escaping. */
#define json_put_str(w, key, v)  (json_key((w), STR(key)), json_value_str((w), (v)))
#define json_put_u64(w, key, v)  (json_key((w), STR(key)), json_value_u64((w), (v)))
#define json_put_i64(w, key, v)  (json_key((w), STR(key)), json_value_i64((w), (v)))
#define json_put_f64(w, key, v)  (json_key((w), STR(key)), json_value_f64((w), (v)))
#define json_put_f32(w, key, v)  (json_key((w), STR(key)), json_value_f32((w), (v)))
#define json_put_bool(w, key, v) (json_key((w), STR(key)), json_value_bool((w), (v)))
#define json_put_null(w, key)    (json_key((w), STR(key)), json_value_null(w))
#define json_put_raw(w, key, v)  (json_key((w), STR(key)), json_value_raw((w), (v)))
#define json_put_object(w, key)  (json_key((w), STR(key)), json_object(w))
#define json_put_array(w, key)   (json_key((w), STR(key)), json_array(w))

/* The escaped form of S, without quotes, appended to OUT (for code that splices text into JSON). */
void json_escape(struct buf *out, struct str s);
