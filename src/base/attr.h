/* base/attr.h -- the few compiler attributes that the house style uses */
#pragma once

#include <stddef.h>

/* The result is a status or the only reference to something: ignoring it is a compile error; write (void) and a reason to do so. */
#define _must_check_ __attribute__((warn_unused_result))

/* printf-like: argument FMT is the format, FIRST the first value. */
#define _printf_(fmt, first) __attribute__((format(printf, fmt, first)))

#define _likely_(x)   __builtin_expect(!!(x), 1)
#define _unlikely_(x) __builtin_expect(!!(x), 0)

/* Calls FN with the variable's address when it goes out of scope; FN accepts a NULL or zeroed object. */
#define _cleanup_(fn) __attribute__((cleanup(fn)))

/* Gives the pointer away: returns it and leaves NULL behind, so that a _cleanup_ frees nothing. */
#define STEAL(ptr)                       \
    ({                                   \
        __typeof__(ptr) stolen_ = (ptr); \
        (ptr) = NULL;                    \
        stolen_;                         \
    })

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* The object of TYPE whose MEMBER is at PTR. */
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
