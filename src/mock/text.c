/* text.c -- the vocabulary, and cutting text into tokens */
#include "mock/text.h"

#include <endian.h>

#include "base/random.h"

/* Our own list: everyday words of three letters. The number need not be a power of two. */
static const char WORDS[][MOCK_TOKEN_BYTES] = {
    "act", "add", "age", "aim", "air", "all", "and", "any", "apt", "arc", "arm", "art", "ash", "ask", "bag", "bay", "bed", "bee",
    "bid", "big", "bit", "box", "boy", "bud", "bus", "but", "buy", "cab", "can", "cap", "car", "cat", "cod", "cow", "cry", "cup",
    "cut", "day", "dew", "dig", "dim", "dot", "dry", "due", "ear", "eat", "egg", "elm", "end", "era", "eye", "fan", "far", "fat",
    "few", "fig", "fin", "fir", "fit", "fix", "fly", "fog", "for", "fox", "fun", "gap", "gas", "gem", "get", "gum", "hat", "hay",
    "hen", "her", "hid", "him", "hip", "his", "hot", "how", "hum", "ice", "ill", "ink", "its", "jam", "jar", "jet", "job", "jog",
    "joy", "key", "kit", "lab", "lap", "law", "lay", "leg", "let", "lid", "lip", "log", "lot", "low", "map", "may", "men", "met",
    "mix", "mud", "net", "new", "nod", "not", "now", "nut", "oak", "oar", "off", "oil", "old", "one", "our", "out", "owl", "own",
    "pan", "pay", "pea", "pen", "pet", "pie", "pin", "pit", "pot", "put", "ram", "raw", "ray", "red", "rib", "rim", "row", "rug",
    "run", "rye", "sap", "saw", "say", "sea", "see", "set", "she", "shy", "six", "ski", "sky", "son", "sum", "sun", "tap", "tar",
    "tea", "ten", "the", "tie", "tin", "tip", "toe", "top", "toy", "try", "tub", "two", "use", "van", "vet", "wax", "way", "web",
    "wet", "who", "why", "win", "yak", "yes", "yet", "you", "zoo",
};

void text_init(struct mock_text *t, uint64_t seed)
{
    struct random random;
    size_t half = sizeof(t->ring) / 2;

    random_init(&random, seed);
    for (size_t i = 0; i < TEXT_RING; i++) {
        char *token = t->ring + i * MOCK_TOKEN_BYTES;

        memcpy(token, WORDS[random_below(&random, ARRAY_LEN(WORDS))], MOCK_TOKEN_BYTES - 1);
        token[MOCK_TOKEN_BYTES - 1] = ' ';
    }
    memcpy(t->ring + half, t->ring, half);
}

uint64_t text_mix(uint64_t seed, uint64_t n)
{
    uint64_t z = seed + (n + 1) * 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint64_t text_hash(struct str s)
{
    uint64_t h = s.n, word;
    size_t i = 0;

    for (; s.n - i >= sizeof word; i += sizeof word) {
        memcpy(&word, s.p + i, sizeof word);
        h = text_mix(h, le64toh(word));
    }
    for (; i < s.n; i++)
        h = text_mix(h, (unsigned char)s.p[i]);
    return h;
}

struct str text_reply(const struct mock_text *t, uint64_t key, size_t tokens, struct arena *arena)
{
    const char *from = t->ring + (text_mix(key, 0) % TEXT_RING) * MOCK_TOKEN_BYTES;
    size_t n = tokens * MOCK_TOKEN_BYTES;
    char *copy;

    if (tokens <= TEXT_RING)
        return (struct str){ from, n };
    copy = arena_alloc(arena, n);
    if (!copy)
        return STR_NONE;
    for (size_t at = 0; at < n; at += TEXT_RING * MOCK_TOKEN_BYTES)
        memcpy(copy + at, from, MIN(n - at, (size_t)TEXT_RING * MOCK_TOKEN_BYTES));
    return (struct str){ copy, n };
}

/* The length of the character or escape at P (N >= 1 bytes from there to the end). */
static size_t unit_length(const char *p, size_t n)
{
    unsigned char c = (unsigned char)*p;
    bool high;

    if (c < 0x80 && c != '\\')
        return 1;
    if (c >= 0xf0)
        return 4;
    if (c >= 0xe0)
        return 3;
    if (c != '\\')
        return 2;
    if (n < 6 || p[1] != 'u')
        return 2;
    high = (p[2] | 0x20) == 'd' && (p[3] == '8' || p[3] == '9' || (p[3] | 0x20) == 'a' || (p[3] | 0x20) == 'b');
    return high && n >= 12 && p[6] == '\\' && p[7] == 'u' ? 12 : 6;
}

size_t text_token_end(struct str text, size_t from)
{
    size_t at = from;

    while (at < text.n && at < from + MOCK_TOKEN_BYTES)
        at += unit_length(text.p + at, text.n - at);
    return MIN(at, text.n);
}

size_t text_count(struct str text, size_t max, size_t *ret_bytes)
{
    size_t tokens = 0, at = 0;

    while (at < text.n && tokens < max) {
        at = text_token_end(text, at);
        tokens++;
    }
    if (ret_bytes)
        *ret_bytes = at;
    return tokens;
}
