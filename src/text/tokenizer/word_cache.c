/* text/tokenizer/word_cache.c */
#include "text/tokenizer/word_cache.h"

#include <stdlib.h>

#define ENTRIES_MIN 64

int word_cache_init(struct word_cache *c, size_t bytes)
{
    size_t n = ENTRIES_MIN;
    *c = (struct word_cache){ 0 };
    if (bytes < n * sizeof(*c->entries))
        return 0;
    while (n * 2 * sizeof(*c->entries) <= bytes)
        n *= 2;
    c->entries = calloc(n, sizeof(*c->entries));
    if (!c->entries)
        return ERR_NOMEM;
    c->mask = n - 1;
    return 0;
}

void word_cache_fini(struct word_cache *c)
{
    free(c->entries);
    *c = (struct word_cache){ 0 };
}

static uint64_t mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * 0x9E3779B97F4A7C15u;
    return h ^ h >> 32;
}

static uint64_t hash(struct str s)
{
    uint64_t h = s.n, v;
    size_t i = 0;
    for (; i + 8 <= s.n; i += 8) {
        memcpy(&v, s.p + i, 8);
        h = mix(h, v);
    }
    v = 0;
    memcpy(&v, s.p + i, s.n - i);
    return mix(h, v);
}

struct word_cache_entry *word_cache_at(const struct word_cache *c, struct str word)
{
    return c->entries && word.n <= WORD_CACHE_KEY ? &c->entries[hash(word) & c->mask] : NULL;
}

void word_cache_keep(struct word_cache_entry *e, struct str word, const uint32_t *ids, size_t n)
{
    if (!e || n > WORD_CACHE_IDS)
        return;
    memcpy(e->ids, ids, n * sizeof(*ids));
    memcpy(e->key, word.p, word.n);
    e->ids_n = (uint8_t)n;
    e->key_n = (uint8_t)word.n;
}
