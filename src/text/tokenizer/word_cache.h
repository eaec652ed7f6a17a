/* text/tokenizer/word_cache.h -- the ids of words that were encoded before: a table without chains, where a newer word takes an older one's place
 *
 * One owner, one thread: an encoder's.
 */
#pragma once

#include <string.h>

#include "text/tokenizer/tokenizer.h"

#define WORD_CACHE_KEY 38 /* bytes of the longest word that is kept */
#define WORD_CACHE_IDS 6

struct word_cache_entry { /* 64 bytes: a cache line */
    uint32_t ids[WORD_CACHE_IDS];
    uint8_t ids_n;
    uint8_t key_n; /* 0 = the place is free */
    char key[WORD_CACHE_KEY];
};
_Static_assert(sizeof(struct word_cache_entry) == 64, "one cache line");

struct word_cache {
    struct word_cache_entry *entries; /* owned; NULL = no cache */
    size_t mask;
};

int word_cache_init(struct word_cache *c, size_t bytes); /* at most so many; ERR_NOMEM */
void word_cache_fini(struct word_cache *c);

/* The place where WORD is, or would be kept; NULL: it is not for keeping (too long, no cache). */
struct word_cache_entry *word_cache_at(const struct word_cache *c, struct str word);

static inline bool word_cache_hit(const struct word_cache_entry *e, struct str word)
{
    return e && e->key_n == word.n && memcmp(e->key, word.p, word.n) == 0;
}

/* Appends what E keeps of WORD; false: nothing (E is another word's, or NULL). */
static inline bool word_cache_put(const struct word_cache_entry *e, struct str word, struct ids *ids)
{
    if (!word_cache_hit(e, word))
        return false;
    for (unsigned i = 0; i < e->ids_n; i++)
        ids_put(ids, e->ids[i]);
    return true;
}

/* Keeps the N ids, when they are few enough. */
void word_cache_keep(struct word_cache_entry *e, struct str word, const uint32_t *ids, size_t n);
