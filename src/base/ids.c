/* base/ids.c -- making, printing and reading UUIDs
 *
 * Order within a millisecond: the 12 bits behind the version hold the fraction of it (RFC 9562 6.2, method 3). Time and fraction are one
 * number that only grows, whatever the wall clock does; ids made faster than it ticks run ahead of it.
 */
#include "base/ids.h"

#include "base/clock.h"
#include "base/utf8.h"

#include <stdatomic.h>

/* The next value of milliseconds * 4096 + fraction, larger than all before it. */
static uint64_t next_stamp(void)
{
    static _Atomic uint64_t last;
    uint64_t us = clock_wall_us(), now = us / 1000 << 12 | us % 1000 * 4096 / 1000;
    uint64_t before = atomic_load_explicit(&last, memory_order_relaxed), stamp;

    do
        stamp = MAX(now, before + 1);
    while (!atomic_compare_exchange_weak_explicit(&last, &before, stamp, memory_order_relaxed, memory_order_relaxed));
    return stamp;
}

struct uuid uuid_v7(void)
{
    uint64_t stamp = next_stamp(), ms = stamp >> 12;
    struct uuid id;

    random_bytes(id.b + 8, 8);
    for (unsigned i = 0; i < 6; i++)
        id.b[i] = (uint8_t)(ms >> (40 - 8 * i));
    id.b[6] = (uint8_t)(0x70 | (stamp >> 8 & 0x0f)); /* version 7 */
    id.b[7] = (uint8_t)stamp;
    id.b[8] = (uint8_t)(0x80 | (id.b[8] & 0x3f)); /* variant of RFC 9562 */
    return id;
}

void uuid_text(struct uuid id, char out[UUID_TEXT_LEN + 1])
{
    static const char HEX[] = "0123456789abcdef";
    char *p = out;

    for (unsigned i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *p++ = '-';
        *p++ = HEX[id.b[i] >> 4];
        *p++ = HEX[id.b[i] & 15];
    }
    *p = 0;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_hyphen_place(size_t i)
{
    return i == 8 || i == 13 || i == 18 || i == 23;
}

static bool read_digits(struct str s, struct uuid *ret)
{
    struct uuid id = { { 0 } };
    unsigned digits = 0;

    if (s.n != 32 && s.n != UUID_TEXT_LEN)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        int v;

        if (s.n == UUID_TEXT_LEN && is_hyphen_place(i)) {
            if (s.p[i] != '-')
                return false;
            continue;
        }
        v = hex_value(s.p[i]);
        if (v < 0)
            return false;
        id.b[digits / 2] = (uint8_t)(id.b[digits / 2] << 4 | v);
        digits++;
    }
    *ret = id;
    return true;
}

/* Why S, which stands OFFSET bytes behind the start of the text, is no UUID: the first that applies of spec control-plane 7. */
static int explain(struct str s, size_t offset, struct err *err)
{
    static const size_t GROUPS[] = { 8, 4, 4, 4, 12 };
    size_t hyphens = 0, group = 0;

    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '-')
            hyphens++;
        else if (hex_value(s.p[i]) < 0)
            return err_set(
                err, ERR_SYNTAX,
                "invalid character: expected an optional prefix of `urn:uuid:` followed by [0-9a-fA-F-], found `%.*s` at %zu",
                (int)MAX(utf8_length(str_skip(s, i)), 1), s.p + i, offset + i + 1);
    }
    if (hyphens == 0 && offset == 0)
        return err_set(err, ERR_SYNTAX, "invalid length: expected length 32 for simple format, found %zu", s.n);
    if (hyphens != 4)
        return err_set(err, ERR_SYNTAX, "invalid group count: expected 5, found %zu", hyphens + 1);
    for (struct str head; group < 4; group++) {
        (void)str_split(s, '-', &head, &s); /* there are four */
        if (head.n != GROUPS[group])
            return err_set(err, ERR_SYNTAX, "invalid group length in group %zu: expected %zu, found %zu", group, GROUPS[group],
                           head.n);
    }
    return err_set(err, ERR_SYNTAX, "invalid group length in group 4: expected 12, found %zu", s.n);
}

int uuid_parse(struct str text, struct uuid *ret, struct err *err)
{
    const struct str urn = STR("urn:uuid:");
    struct str s = text;

    if (s.n >= 2 && s.p[0] == '{' && s.p[s.n - 1] == '}')
        s = (struct str){ s.p + 1, s.n - 2 };
    else if (str_has_prefix_nocase(s, urn))
        s = str_skip(s, urn.n);
    if ((s.n == UUID_TEXT_LEN || s.n == text.n) && read_digits(s, ret))
        return 0;
    return explain(s, (size_t)(s.n == text.n ? 0 : s.p - text.p), err);
}
