/* text/toolcall/arguments.h -- arguments as JSON text: re-serialised, converted by schema, or guessed
 *
 * All functions append to OUT, whose failure is sticky. ARENA is scratch.
 */
#pragma once

#include "text/toolcall/tools.h"

/* V as SMG prints it (spec 5.1): no spaces, members in their order, of a key that stands twice the last value in the first place, escapes and numbers in one form. */
void arguments_compact(struct json v, struct arena *arena, struct buf *out);
/* The same for a text that was found to be JSON (json_scan): false when the reader refuses it (then nothing is appended). */
bool arguments_compact_text(struct str json, struct arena *arena, struct buf *out);

void arguments_string(struct str s, struct buf *out); /* with quotes */

/* TEXT as a value of the declared type (spec 5.4): true when appended, false when it does not fit or the type says nothing: then the format guesses. */
bool arguments_coerce(enum param_type type, struct str text, struct arena *arena, struct buf *out);

/* The guesses that formats share, each appends and says so, or does nothing and says false. */
bool arguments_guess_json(struct str text, struct arena *arena, struct buf *out); /* the trimmed text is one JSON value */
bool arguments_guess_python_word(struct str text, struct buf *out);               /* True False None (and true false null) */
bool arguments_guess_number(struct str text, struct buf *out); /* i64 with an optional sign, else a finite double */

struct str arguments_trim(struct str s); /* Unicode white space at both ends */
struct str arguments_trim_front(struct str s);

/* How much of TEXT is whole characters (UTF-8): one that is not all there yet may be white space. */
size_t arguments_whole_characters(struct str text);

/* An object in the making, members in order, a repeated key takes the new value in the old place. */
struct arguments_object {
    struct arguments_member *members; /* arena */
    size_t n, cap;
    struct arena *arena;
};
void arguments_put(struct arguments_object *o, struct str key, struct str value_json); /* both copied into the arena */
void arguments_object_write(const struct arguments_object *o, struct buf *out);
