/* routing/blake3.c -- BLAKE3 from its specification: compression (2.2), chunks (2.4), the binary tree over them (2.5)
 *
 *   text = chunks of 1024 bytes --chunk_last--> chaining values --+
 *                                                                 v  as in a binary counter: after chunk k as many pairs are joined as k has trailing zeros
 *                                                     stack of finished subtrees, largest at the bottom --join from the top, the last one as ROOT--> hash
 */
#include "routing/blake3.h"

#define BLOCK_BYTES 64
#define CHUNK_BYTES 1024
#define STACK_MAX   54 /* 2^54 chunks are 2^64 bytes */

enum { CHUNK_START = 1, CHUNK_END = 2, PARENT = 4, ROOT = 8 };

static const uint32_t IV[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };

/* Row r is the order of the message's words in round r: each row is the one above, permuted (specification, table 2). */
static const uint8_t ORDER[7][16] = {
    { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 }, { 2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8 },
    { 3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1 }, { 10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6 },
    { 12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4 }, { 9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7 },
    { 11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13 },
};

/* What the last compression of a chunk or of a parent gets: whether it is the root is known only later. */
struct node {
    uint32_t chain[8];
    uint32_t words[16];
    uint64_t counter; /* of the chunk; 0 in parents */
    uint32_t bytes;   /* of the block */
    uint32_t flags;
};

static uint32_t load32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void store32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static inline uint32_t rotate(uint32_t v, unsigned by)
{
    return v >> by | v << (32 - by);
}

static inline void mix(uint32_t s[16], int a, int b, int c, int d, uint32_t x, uint32_t y)
{
    s[a] += s[b] + x;
    s[d] = rotate(s[d] ^ s[a], 16);
    s[c] += s[d];
    s[b] = rotate(s[b] ^ s[c], 12);
    s[a] += s[b] + y;
    s[d] = rotate(s[d] ^ s[a], 8);
    s[c] += s[d];
    s[b] = rotate(s[b] ^ s[c], 7);
}

static inline void mix_all(uint32_t s[16], const uint32_t m[16], const uint8_t o[16])
{
    mix(s, 0, 4, 8, 12, m[o[0]], m[o[1]]);
    mix(s, 1, 5, 9, 13, m[o[2]], m[o[3]]);
    mix(s, 2, 6, 10, 14, m[o[4]], m[o[5]]);
    mix(s, 3, 7, 11, 15, m[o[6]], m[o[7]]);
    mix(s, 0, 5, 10, 15, m[o[8]], m[o[9]]);
    mix(s, 1, 6, 11, 12, m[o[10]], m[o[11]]);
    mix(s, 2, 7, 8, 13, m[o[12]], m[o[13]]);
    mix(s, 3, 4, 9, 14, m[o[14]], m[o[15]]);
}

/* The first half of the compression's output: a chaining value, or the hash when ROOT is among FLAGS. */
static void compress(const struct node *n, uint32_t flags, uint32_t ret[8])
{
    uint32_t s[16] = {
        n->chain[0], n->chain[1],     n->chain[2], n->chain[3], n->chain[4], n->chain[5],          n->chain[6],
        n->chain[7], IV[0],           IV[1],       IV[2],       IV[3],       (uint32_t)n->counter, (uint32_t)(n->counter >> 32),
        n->bytes,    n->flags | flags
    };

#pragma GCC unroll 7
    for (int round = 0; round < 7; round++)
        mix_all(s, n->words, ORDER[round]);
    for (int i = 0; i < 8; i++)
        ret[i] = s[i] ^ s[i + 8];
}

static void fill_words(struct node *n, struct str block)
{
    uint8_t bytes[BLOCK_BYTES] = { 0 };

    if (block.n)
        memcpy(bytes, block.p, block.n);
    for (size_t i = 0; i < 16; i++)
        n->words[i] = load32(bytes + 4 * i);
    n->bytes = (uint32_t)block.n;
}

/* A chunk of 0..CHUNK_BYTES bytes (0 only for the empty text) up to its last block. */
static struct node chunk_last(struct str chunk, uint64_t counter)
{
    struct node n = { .counter = counter, .flags = CHUNK_START };

    memcpy(n.chain, IV, sizeof IV);
    while (chunk.n > BLOCK_BYTES) {
        fill_words(&n, str_first(chunk, BLOCK_BYTES));
        compress(&n, 0, n.chain);
        n.flags = 0;
        chunk = str_skip(chunk, BLOCK_BYTES);
    }
    fill_words(&n, chunk);
    n.flags |= CHUNK_END;
    return n;
}

static struct node parent(const uint32_t left[8], const uint32_t right[8])
{
    struct node n = { .bytes = BLOCK_BYTES, .flags = PARENT };

    memcpy(n.chain, IV, sizeof IV);
    memcpy(n.words, left, 32);
    memcpy(n.words + 8, right, 32);
    return n;
}

void blake3(struct str text, uint8_t ret[BLAKE3_BYTES])
{
    uint32_t stack[STACK_MAX][8], value[8];
    unsigned depth = 0;
    uint64_t chunks = 0;
    struct node last;

    for (; text.n > CHUNK_BYTES; text = str_skip(text, CHUNK_BYTES)) {
        last = chunk_last(str_first(text, CHUNK_BYTES), chunks++);
        compress(&last, 0, value);
        for (uint64_t done = chunks; (done & 1) == 0; done >>= 1) {
            last = parent(stack[--depth], value);
            compress(&last, 0, value);
        }
        memcpy(stack[depth++], value, sizeof value);
    }
    last = chunk_last(text, chunks);
    while (depth > 0) {
        compress(&last, 0, value);
        last = parent(stack[--depth], value);
    }
    compress(&last, ROOT, value);
    for (size_t i = 0; i < 8; i++)
        store32(ret + 4 * i, value[i]);
}

uint64_t blake3_u64(struct str text)
{
    uint8_t hash[BLAKE3_BYTES];

    blake3(text, hash);
    return (uint64_t)load32(hash) | (uint64_t)load32(hash + 4) << 32;
}
