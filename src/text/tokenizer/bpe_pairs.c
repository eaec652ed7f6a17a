/* text/tokenizer/bpe_pairs.c -- two neighbouring symbols to the rank of their merge
 *
 * One multiplication and, nearly always, one line of memory per question. A file whose pairs were made to lie in one place is refused: PROBES_MAX. Half a million honest pairs need a few dozen probes at most.
 */
#include "text/tokenizer/bpe_internal.h"

#include <stdlib.h>
#include <string.h>

#define PROBES_MAX 1024

int bpe_pairs_init(struct bpe_pairs *p, size_t pairs, uint32_t ids_end, uint32_t ranks_end)
{
    unsigned bits = 4;
    bool packed = ids_end <= 1u << BPE_PACKED_ID_BITS && ranks_end < 1u << BPE_PACKED_RANK_BITS;

    while ((size_t)1 << bits < pairs * 2)
        bits++;
    p->shift = 64 - bits;
    p->mask = ((size_t)1 << bits) - 1;
    p->slots = reallocarray(NULL, p->mask + 1, sizeof(*p->slots));
    p->ranks = packed ? NULL : reallocarray(NULL, p->mask + 1, sizeof(*p->ranks));
    if (!p->slots || (!packed && !p->ranks))
        return ERR_NOMEM;
    memset(p->slots, 0xff, (p->mask + 1) * sizeof(*p->slots));
    return 0;
}

void bpe_pairs_fini(struct bpe_pairs *p)
{
    free(p->slots);
    free(p->ranks);
}

size_t bpe_pairs_memory(const struct bpe_pairs *p)
{
    return (p->mask + 1) * (sizeof(*p->slots) + (p->ranks ? sizeof(*p->ranks) : 0));
}

int bpe_pairs_put(struct bpe_pairs *p, uint32_t a, uint32_t b, uint32_t rank)
{
    bool packed = !p->ranks;
    uint64_t key = packed ? (uint64_t)a << BPE_PACKED_ID_BITS | b : (uint64_t)a << 32 | b;
    size_t i = (key * BPE_HASH) >> p->shift;

    for (unsigned probes = 0; probes < PROBES_MAX; probes++, i = (i + 1) & p->mask) {
        uint64_t slot = p->slots[i];
        if (slot != BPE_EMPTY && (packed ? slot >> BPE_PACKED_RANK_BITS : slot) != key)
            continue;
        p->slots[i] = packed ? key << BPE_PACKED_RANK_BITS | rank : key;
        if (!packed)
            p->ranks[i] = rank;
        return 0;
    }
    return ERR_LIMIT;
}
