/* json/json_shape.h -- from a JSON object to a C struct by a table, with errors that name the member
 *
 * One row per member: name, type, where it goes. Messages are SMG's (serde's): "missing field `url`", "url: invalid type: integer `5`, expected a
 * string", "priority: invalid value: integer `-1`, expected u32", "runtime: unknown variant `x`, expected one of `a`, `b`", "duplicate field `x`";
 * the path is dotted with [i]; " at line L column C" follows. Spec control-plane 3.1 has the vectors. Unknown members are ignored, unless the shape is strict.
 * Quoted text of the client's is cut at 120 bytes, a path at 200. In a SHAPE_STR_MAP the last of several equal keys wins.
 */
#pragma once

#include "json/json.h"

enum json_shape_type {
    SHAPE_STR,     /* struct str, escapes undone in the arena */
    SHAPE_BOOL,    /* bool */
    SHAPE_U16,     /* uint16_t */
    SHAPE_U32,     /* uint32_t */
    SHAPE_U64,     /* uint64_t */
    SHAPE_USIZE,   /* size_t; "usize" in messages */
    SHAPE_I32,     /* int32_t */
    SHAPE_I64,     /* int64_t */
    SHAPE_F32,     /* float; integers accepted */
    SHAPE_F64,     /* double; integers accepted */
    SHAPE_ENUM,    /* int: index into `names` (exact, case-sensitive) */
    SHAPE_OBJECT,  /* the struct of `sub`, in place */
    SHAPE_ARRAY,   /* struct json_shape_array of the elements described by `sub` (objects) or `element` (scalars) */
    SHAPE_STR_MAP, /* struct json_shape_array of struct json_shape_pair: object whose values are strings */
    SHAPE_JSON,    /* struct json: any value, as it is */
};

struct json_shape_array {
    void *items; /* arena */
    size_t n;
};

struct json_shape_pair {
    struct str key, value;
};

enum json_shape_flags {
    SHAPE_REQUIRED = 1, /* absent -> "missing field" */
    SHAPE_NULLABLE = 2, /* null counts as absent; without it null is a type error */
};

struct json_shape;

struct json_shape_field {
    const char *name;
    const char *alias; /* a second name for the same member (both given -> duplicate field `name`), or NULL */
    enum json_shape_type type;
    unsigned flags;
    size_t at;                    /* offsetof the member */
    size_t at_given;              /* offsetof a bool that says "present and not null"; SHAPE_NO_GIVEN = none */
    const char *const *names;     /* SHAPE_ENUM: NULL-terminated */
    const struct json_shape *sub; /* SHAPE_OBJECT, SHAPE_ARRAY of objects */
    enum json_shape_type element; /* SHAPE_ARRAY when sub is NULL: SHAPE_STR, SHAPE_U16, SHAPE_ENUM ...; no arrays */
};

#define SHAPE_NO_GIVEN SIZE_MAX

struct json_shape {
    const char *name;               /* serde's: "struct WorkerSpec" -> "WorkerSpec" */
    size_t size;                    /* sizeof the C struct */
    void (*defaults)(void *object); /* optional; the struct is zeroed before */
    /* Optional: a further check or a custom form of the whole object; returns 0 or ERR_INVALID with a message (path and position are added). */
    int (*check)(void *object, struct json value, struct err *err);
    const struct json_shape_field *fields;
    size_t fields_n; /* at most 64 */
    bool
        strict; /* an unknown member is a mistake: for files, where it is a slip of the pen ("unknown field `x`, expected one of `a`, `b`") */
};

/* Reads VALUE into *OUT (shape->size bytes). 0; ERR_INVALID with the message; ERR_NOMEM. *OUT is meaningless on failure. */
int json_shape_read(struct json value, const struct json_shape *shape, struct arena *arena, void *out,
                    struct err *err) _must_check_;
