#include "auth/base64url.h"

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

int base64url_decode(struct str text, struct arena *arena, struct str *ret)
{
    size_t n = 0;
    unsigned bits = 0, held = 0;
    char *out;

    if (text.n % 4 == 1)
        return ERR_SYNTAX;
    out = arena_alloc(arena, text.n / 4 * 3 + 2);
    if (!out)
        return ERR_NOMEM;
    for (size_t i = 0; i < text.n; i++) {
        int v = value_of(text.p[i]);

        if (v < 0)
            return ERR_SYNTAX;
        bits = bits << 6 | (unsigned)v;
        held += 6;
        if (held >= 8) {
            held -= 8;
            out[n++] = (char)(bits >> held);
            bits &= (1u << held) - 1;
        }
    }
    if (bits != 0)
        return ERR_SYNTAX;
    *ret = (struct str){ out, n };
    return 0;
}
