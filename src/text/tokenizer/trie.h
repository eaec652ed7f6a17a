/* text/tokenizer/trie.h -- the byte strings of a vocabulary as a tree: which of them begin a text?
 *
 * Children of a node lie side by side in breadth-first order, so that a node is 13 bytes and its children's labels are one short run of bytes. Immutable after building: any thread.
 * Building is linear in the bytes of all keys but for sorting them.
 */
#pragma once

#include <stdbool.h>

#include "base/str.h"

#define TRIE_NONE UINT32_MAX

struct trie_key {
    struct str key; /* not empty */
    uint32_t value; /* below TRIE_NONE */
};

struct trie {
    uint32_t *first;    /* owned; the first child of a node; its children are first[i] .. first[i + 1] */
    uint32_t *value;    /* owned; TRIE_NONE: the node is no key */
    uint8_t *label;     /* owned; the byte that leads to the node */
    uint32_t nodes;     /* node 0 is the root */
    uint32_t root[256]; /* children of the root by byte; 0 = none */
};

/* Sorts KEYS in place; of equal keys the last one given counts. ERR_NOMEM, ERR_LIMIT (2^31 nodes). */
int trie_build(struct trie *t, struct trie_key *keys, size_t n);
void trie_fini(struct trie *t);
size_t trie_memory(const struct trie *t);

/* The child of NODE by BYTE; 0 = none. */
static inline uint32_t trie_child(const struct trie *t, uint32_t node, uint8_t byte)
{
    if (!node)
        return t->root[byte];
    for (uint32_t i = t->first[node], end = t->first[node + 1]; i < end; i++)
        if (t->label[i] == byte)
            return i;
    return 0;
}
