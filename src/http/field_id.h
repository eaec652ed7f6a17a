/* http/field_id.h -- recognising a field name by its first eight letters and its length (internal to the codec)
 *
 * A probe costs one load, one multiplication and, for a name that is in HTTP_FIELD_LIST, at most three further comparisons of eight letters at a time.
 * The tables are made from the list before main() runs and are constant from then on: a new row in the list is all that a new field needs.
 */
#pragma once

#include "http/message.h"

#define FIELD_SLOTS    256 /* a power of two, about six times the list: most unknown names meet an empty slot */
#define FIELD_NAME_MIN 2
#define FIELD_NAME_MAX 32

/* A known name as words of lowercase letters: its first eight and its last eight, and what is between in names longer than 16 and 24. */
struct field_words {
    uint64_t first, last, second, third;
    size_t n;
};

extern uint8_t http_field_slots[FIELD_SLOTS]; /* enum http_field_id; open addressing */
extern struct field_words http_field_words[HF_COUNT];

static inline uint64_t field_load(const char *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof v);
    return v;
}

/* Eight bytes with bit 5 set: letters lose their case, and of what may stand in a name nothing else becomes a letter or a hyphen. */
static inline uint64_t field_lower(uint64_t v)
{
    return v | 0x2020202020202020u;
}

/* With this multiplier no two names of the list share a slot; the table would do with another one, only slower. */
static inline unsigned field_slot(uint64_t first, size_t n)
{
    return (unsigned)(((first ^ (uint64_t)n << 56) * 0x9b08923d10c67fd9u) >> 56) % FIELD_SLOTS;
}

static inline bool field_rest_is(const struct field_words *w, const char *p, size_t n)
{
    if (n <= 8)
        return true;
    if (field_lower(field_load(p + n - 8)) != w->last)
        return false;
    if (n <= 16)
        return true;
    if (field_lower(field_load(p + 8)) != w->second)
        return false;
    return n <= 24 || field_lower(field_load(p + 16)) == w->third;
}

/* The name P..P+N, FIELD_NAME_MIN <= N <= FIELD_NAME_MAX, without CR and other control bytes. FIRST is its first eight letters in lowercase; a shorter one has
 * zeros behind. */
static inline enum http_field_id field_find(uint64_t first, const char *p, size_t n)
{
    for (unsigned at = field_slot(first, n);; at = (at + 1) % FIELD_SLOTS) {
        enum http_field_id id = http_field_slots[at];
        const struct field_words *w = &http_field_words[id];

        if (id == HF_UNKNOWN || (w->n == n && w->first == first && field_rest_is(w, p, n)))
            return id;
    }
}

/* For a name in a buffer of which at least eight bytes from P on may be read. */
static inline enum http_field_id field_find_within(const char *p, size_t n)
{
    uint64_t first;

    if (n < FIELD_NAME_MIN || n > FIELD_NAME_MAX)
        return HF_UNKNOWN;
    first = field_lower(field_load(p));
    if (n < 8)
        first &= ((uint64_t)1 << 8 * n) - 1; /* the first byte is the lowest: x86-64 and arm64 */
    return field_find(first, p, n);
}
