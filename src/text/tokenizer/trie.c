/* text/tokenizer/trie.c */
#include "text/tokenizer/trie.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"

static int by_key(const void *a, const void *b)
{
    const struct trie_key *x = a, *y = b;
    size_t n = x->key.n < y->key.n ? x->key.n : y->key.n;
    int order = memcmp(x->key.p, y->key.p, n);
    if (order)
        return order;
    if (x->key.n != y->key.n)
        return x->key.n < y->key.n ? -1 : 1;
    return x->value < y->value ? -1 : x->value > y->value; /* equal keys: the one that counts stands last */
}

/* The keys below a node: those of keys[from, to) share `depth` bytes. */
struct range {
    uint32_t from, to;
};

/* Nodes that KEYS make, the root included. */
static size_t count_nodes(const struct trie_key *keys, size_t n)
{
    size_t nodes = 1;
    for (size_t i = 0; i < n; i++) {
        size_t same = 0;
        if (i > 0)
            while (same < keys[i].key.n && same < keys[i - 1].key.n && keys[i].key.p[same] == keys[i - 1].key.p[same])
                same++;
        nodes += keys[i].key.n - same;
    }
    return nodes;
}

/* Gives NODE its value and its children: RANGES[child] is filled. Returns the next free node. */
static uint32_t spread(struct trie *t, const struct trie_key *keys, struct range *ranges, uint32_t node, size_t depth,
                       uint32_t next)
{
    struct range r = ranges[node];
    t->first[node] = next;
    t->value[node] = TRIE_NONE;
    for (; r.from < r.to && keys[r.from].key.n == depth; r.from++)
        t->value[node] = keys[r.from].value;
    while (r.from < r.to) {
        uint32_t end = r.from;
        uint8_t byte = (uint8_t)keys[r.from].key.p[depth];
        while (end < r.to && (uint8_t)keys[end].key.p[depth] == byte)
            end++;
        ranges[next] = (struct range){ r.from, end };
        t->label[next++] = byte;
        r.from = end;
    }
    return next;
}

int trie_build(struct trie *t, struct trie_key *keys, size_t n)
{
    if (n)
        qsort(keys, n, sizeof(*keys), by_key);
    size_t nodes = count_nodes(keys, n);
    *t = (struct trie){ .nodes = (uint32_t)nodes };
    if (n >= INT32_MAX || nodes >= INT32_MAX)
        return ERR_LIMIT;
    struct range *ranges = reallocarray(NULL, nodes + 1, sizeof(*ranges));
    t->first = reallocarray(NULL, nodes + 1, sizeof(*t->first));
    t->value = reallocarray(NULL, nodes + 1, sizeof(*t->value));
    t->label = malloc(nodes + 1);
    if (!ranges || !t->first || !t->value || !t->label) {
        free(ranges);
        trie_fini(t);
        return ERR_NOMEM;
    }
    ranges[0] = (struct range){ 0, (uint32_t)n };
    uint32_t next = 1, level_end = 1;
    size_t depth = 0;
    for (uint32_t node = 0; node < nodes; node++) {
        if (node == level_end) {
            level_end = next;
            depth++;
        }
        next = spread(t, keys, ranges, node, depth, next);
    }
    t->first[nodes] = (uint32_t)nodes;
    for (uint32_t i = t->first[0]; i < (nodes > 1 ? t->first[1] : 1); i++)
        t->root[t->label[i]] = i;
    free(ranges);
    return 0;
}

void trie_fini(struct trie *t)
{
    free(t->first);
    free(t->value);
    free(t->label);
    *t = (struct trie){ 0 };
}

size_t trie_memory(const struct trie *t)
{
    return ((size_t)t->nodes + 1) * (2 * sizeof(uint32_t) + 1);
}
