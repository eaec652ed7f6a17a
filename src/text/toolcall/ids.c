/* text/toolcall/ids.c -- what a call is known by in the conversation that goes on (spec 4.2) */
#include <string.h>

#include "text/toolcall/format.h"

#define MISTRAL_ID 9 /* alphanumerics: Mistral's templates refuse anything else on the way back */

static bool contains(struct str text, const char *word)
{
    size_t n = strlen(word);
    for (size_t i = 0; i + n <= text.n; i++)
        if (str_eq_nocase((struct str){ text.p + i, n }, (struct str){ word, n }))
            return true;
    return false;
}

static void mistral_id(const uint8_t random[16], struct buf *out)
{
    static const char LETTERS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    uint64_t v;
    memcpy(&v, random, sizeof(v));
    for (int i = 0; i < MISTRAL_ID; i++, v /= 62)
        buf_put_char(out, LETTERS[v % 62]);
}

/* The first 24 hex digits of a UUIDv7: they sort by time. */
static void call_id(uint64_t millis, const uint8_t random[16], struct buf *out)
{
    uint64_t tail;
    memcpy(&tail, random, sizeof(tail));
    buf_printf(out, "call_%012llx7%011llx", (unsigned long long)(millis & 0xFFFFFFFFFFFF),
               (unsigned long long)(tail & 0xFFFFFFFFFFF));
}

void toolcall_id(struct str model, const struct toolcall_format *f, struct str name, unsigned index, unsigned history,
                 uint64_t millis, const uint8_t random[16], struct buf *out)
{
    bool kimi = contains(model, "kimi"), k3 = kimi && contains(model, "k3");
    if (kimi && !k3)
        buf_puts(out, "functions.");
    if (kimi) {
        buf_put(out, name);
        buf_put_char(out, ':');
        buf_put_u64(out, k3 ? index : (uint64_t)history + index);
    } else if (f == &TOOLCALL_MISTRAL)
        mistral_id(random, out);
    else
        call_id(millis, random, out);
}
