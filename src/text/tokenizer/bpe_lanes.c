/* text/tokenizer/bpe_lanes.c -- several short pieces merged side by side
 *
 * Each merge asks memory twice, and each answer is the next question: by rank, which token is made; by two pairs, with what it may merge next. Tables of half a million merges lie beyond the second cache, so one piece
 * alone mostly waits. Here all pieces take a step, which ends in asking for memory, before the first takes its next:
 *
 *     ranks of the new pairs; the lowest; ask for what it makes  ->  put it in place of two; ask for the new pairs  ->  ...
 *
 * The order within a piece is that of bpe_merge_short.
 */
#include "text/tokenizer/bpe_internal.h"

/* The lowest rank of a lane, the leftmost on ties. False: nothing is left to merge. */
static inline bool choose(const struct bpe *b, struct bpe_lane *l)
{
    uint32_t best = BPE_NONE, at = 0;

    for (uint32_t i = 0; i + 1 < l->n; i++) {
        at = l->ranks[i] < best ? i : at;
        best = MIN(l->ranks[i], best);
    }
    l->best = best;
    l->at = at;
    if (best == BPE_NONE)
        return false;
    if (b->merged)
        __builtin_prefetch(&b->merged[best]);
    return true;
}

static inline void merge(const struct bpe *b, struct bpe_lane *l)
{
    uint32_t at = l->at, n = l->n - 1;

    l->sym[at] = bpe_merged(b, l->best);
    if (at + 1 < n)
        bpe_pairs_fetch(&b->pairs, l->sym[at], l->sym[at + 2]);
    if (at > 0)
        bpe_pairs_fetch(&b->pairs, l->sym[at - 1], l->sym[at]);
    for (uint32_t i = at + 1; i < n; i++) {
        l->sym[i] = l->sym[i + 1];
        l->ranks[i - 1] = l->ranks[i];
    }
    l->n = n;
}

static inline void rank_around(const struct bpe *b, struct bpe_lane *l)
{
    uint32_t at = l->at;

    if (at + 1 < l->n)
        l->ranks[at] = bpe_pairs_rank(&b->pairs, l->sym[at], l->sym[at + 1]);
    if (at > 0)
        l->ranks[at - 1] = bpe_pairs_rank(&b->pairs, l->sym[at - 1], l->sym[at]);
}

bool bpe_lane_begin(const struct bpe *b, struct bpe_lane *l, struct str piece)
{
    const uint8_t *p = (const uint8_t *)piece.p;
    size_t n = piece.n;

    if (b->byte_pair) {
        l->sym[0] = b->byte_ids[p[0]];
        for (size_t i = 1; i < n; i++) {
            l->sym[i] = b->byte_ids[p[i]];
            l->ranks[i - 1] = b->byte_pair[(size_t)p[i - 1] << 8 | p[i]];
        }
    } else {
        n = bpe_symbols(b, piece, l->sym);
        if (n == SIZE_MAX)
            return false;
        for (size_t i = 0; i + 1 < n; i++)
            bpe_pairs_fetch(&b->pairs, l->sym[i], l->sym[i + 1]);
    }
    l->n = (uint32_t)n;
    return true;
}

void bpe_lanes_merge(const struct bpe *b, struct bpe_lane *lanes, size_t n)
{
    struct bpe_lane *active[BPE_LANES];
    size_t active_n = 0;

    for (size_t k = 0; k < n; k++) {
        struct bpe_lane *l = &lanes[k];
        for (uint32_t i = 0; !b->byte_pair && i + 1 < l->n; i++)
            l->ranks[i] = bpe_pairs_rank(&b->pairs, l->sym[i], l->sym[i + 1]);
        if (choose(b, l))
            active[active_n++] = l;
    }
    while (active_n) {
        size_t left = 0;
        for (size_t k = 0; k < active_n; k++)
            merge(b, active[k]);
        for (size_t k = 0; k < active_n; k++) {
            rank_around(b, active[k]);
            if (choose(b, active[k]))
                active[left++] = active[k];
        }
        active_n = left;
    }
}
