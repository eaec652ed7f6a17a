/* text/tokenizer/bpe_merge.c -- merging symbols by (rank, position)
 *
 * Short pieces: two arrays, the lowest rank by looking at all of them. Quadratic, and the fastest up to a few dozen symbols.
 *
 * Long pieces: symbols are a list linked by position; each neighbourhood with a merge is an entry in the bucket of its rank.
 *
 *     bits    which buckets are not empty, four levels of 64: the lowest rank in four steps
 *     heads   by rank, the newest entry of the bucket
 *     entry   {position, the entry before}; never taken out: it is stale when the symbol at its position has another rank by then
 *
 *   The bucket of the lowest rank is emptied into a list, sorted by position (it mostly is) and gone through. A merge makes two new neighbourhoods. Their ranks are higher in every vocabulary that was
 *   trained; should one be lower or equal, it goes into `late`, a heap that is asked before each step, so that the order is exact whatever the merges are.
 *   Each merge takes a symbol away, so there are below 3n entries. The time is that of n look-ups in the table of merges.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "text/tokenizer/bpe_internal.h"

/* ---- short ---- */

/* RANKS of neighbours are there; n >= 2. */
static size_t merge_ranked(const struct bpe *b, uint32_t *sym, uint32_t *ranks, size_t n)
{
    for (;;) {
        uint32_t best = BPE_NONE;
        size_t at = 0;
        for (size_t i = 0; i + 1 < n; i++) {
            at = ranks[i] < best ? i : at;
            best = MIN(ranks[i], best);
        }
        if (best == BPE_NONE)
            return n;
        sym[at] = bpe_merged(b, best);
        if (at + 2 < n)
            bpe_pairs_fetch(&b->pairs, sym[at], sym[at + 2]);
        if (at > 0)
            bpe_pairs_fetch(&b->pairs, sym[at - 1], sym[at]);
        n--;
        for (size_t i = at + 1; i < n; i++) {
            sym[i] = sym[i + 1];
            ranks[i - 1] = ranks[i];
        }
        if (at + 1 < n)
            ranks[at] = bpe_pairs_rank(&b->pairs, sym[at], sym[at + 1]);
        if (at > 0)
            ranks[at - 1] = bpe_pairs_rank(&b->pairs, sym[at - 1], sym[at]);
    }
}

size_t bpe_merge_short(const struct bpe *b, uint32_t *sym, size_t n)
{
    uint32_t ranks[BPE_SHORT];

    if (n < 2)
        return n;
    for (size_t i = 0; i + 1 < n; i++)
        ranks[i] = bpe_pairs_rank(&b->pairs, sym[i], sym[i + 1]);
    return merge_ranked(b, sym, ranks, n);
}

size_t bpe_merge_bytes(const struct bpe *b, struct str piece, uint32_t *sym)
{
    const uint8_t *p = (const uint8_t *)piece.p;
    uint32_t ranks[BPE_SHORT];

    sym[0] = b->byte_ids[p[0]];
    for (size_t i = 1; i < piece.n; i++) {
        sym[i] = b->byte_ids[p[i]];
        ranks[i - 1] = b->byte_pair[(size_t)p[i - 1] << 8 | p[i]];
    }
    return piece.n < 2 ? piece.n : merge_ranked(b, sym, ranks, piece.n);
}

size_t bpe_merge_ascii(const struct bpe *b, struct str piece, uint32_t *sym)
{
    const uint32_t *ids = b->pages + ((size_t)(b->page_of[0] - 1) << BPE_PAGE_BITS);
    const uint8_t *p = (const uint8_t *)piece.p;
    uint32_t ranks[BPE_SHORT];
    bool known = true;

    for (size_t i = 0; i < piece.n; i++) {
        if (p[i] >= 0x80)
            return 0;
        sym[i] = ids[p[i]];
        known &= sym[i] != BPE_NONE;
        ranks[i] = b->ascii_pair[(size_t)(i ? p[i - 1] : 0) << 7 | p[i]];
    }
    return !known ? 0 : piece.n < 2 ? piece.n : merge_ranked(b, sym, ranks + 1, piece.n);
}

/* ---- long ---- */

struct entry {
    uint32_t at, before;
};

struct run {
    const struct bpe *b;
    struct bpe_work *w;
    uint32_t *sym;         /* by position */
    uint32_t *rank;        /* of a symbol with the next one; BPE_NONE = no merge, or the symbol is gone */
    uint32_t *next, *prev; /* BPE_NONE = none */
    struct entry *entries;
    uint32_t entries_n;
    uint32_t *list, *spare; /* the bucket at hand; room to sort it */
    uint32_t list_n, list_i;
    uint32_t open; /* the rank of the bucket at hand */
    bool opened;   /* there has been one */
    bool failed;   /* no memory */
};

static void late_push(struct run *r, uint32_t rank, uint32_t at)
{
    struct bpe_work *w = r->w;
    uint64_t key = (uint64_t)rank << 32 | at;

    if (w->late_n == w->late_cap) {
        size_t cap = w->late_cap ? w->late_cap * 2 : 64;
        uint64_t *late = reallocarray(w->late, cap, sizeof(*late));
        if (!late) {
            r->failed = true;
            return;
        }
        w->late = late;
        w->late_cap = cap;
    }
    size_t i = w->late_n++;
    for (; i > 0 && w->late[(i - 1) / 2] > key; i = (i - 1) / 2)
        w->late[i] = w->late[(i - 1) / 2];
    w->late[i] = key;
}

static uint64_t late_pop(struct bpe_work *w)
{
    uint64_t top = w->late[0], key = w->late[--w->late_n];
    size_t i = 0;

    for (size_t child; (child = 2 * i + 1) < w->late_n; i = child) {
        if (child + 1 < w->late_n && w->late[child + 1] < w->late[child])
            child++;
        if (w->late[child] >= key)
            break;
        w->late[i] = w->late[child];
    }
    w->late[i] = key;
    return top;
}

static void push(struct run *r, uint32_t rank, uint32_t at)
{
    struct bpe_work *w = r->w;

    if (r->opened && rank <= r->open) {
        late_push(r, rank, at);
        return;
    }
    uint32_t before = w->heads[rank];
    if (before == BPE_NONE)
        for (unsigned level = 0, i = rank; level < ARRAY_LEN(w->bits); level++, i >>= 6) {
            uint64_t old = w->bits[level][i >> 6];
            w->bits[level][i >> 6] = old | 1ull << (i & 63);
            if (old)
                break;
        }
    r->entries[r->entries_n] = (struct entry){ at, before };
    w->heads[rank] = r->entries_n++;
}

static uint32_t lowest_bucket(const struct bpe_work *w)
{
    uint32_t i = 0;

    if (!w->bits[3][0])
        return BPE_NONE;
    for (int level = 3; level >= 0; level--)
        i = i << 6 | (uint32_t)__builtin_ctzll(w->bits[level][i]);
    return i;
}

static void clear_bucket(struct bpe_work *w, uint32_t rank)
{
    w->heads[rank] = BPE_NONE;
    for (unsigned level = 0, i = rank; level < ARRAY_LEN(w->bits); level++, i >>= 6)
        if (w->bits[level][i >> 6] &= ~(1ull << (i & 63)))
            break;
}

/* Ascending; lists are mostly sorted already, or are a few sorted runs. */
static void sort_list(struct run *r)
{
    uint32_t n = r->list_n, most = 0;
    bool sorted = true;

    for (uint32_t i = 0; i < n; i++) {
        sorted = sorted && most <= r->list[i];
        most = MAX(most, r->list[i]);
    }
    if (sorted)
        return;
    if (n <= 32) {
        for (uint32_t i = 1; i < n; i++) {
            uint32_t v = r->list[i], j = i;
            for (; j > 0 && r->list[j - 1] > v; j--)
                r->list[j] = r->list[j - 1];
            r->list[j] = v;
        }
        return;
    }
    for (unsigned shift = 0; shift < 32 && most >> shift; shift += 8) {
        uint32_t count[257] = { 0 };
        for (uint32_t i = 0; i < n; i++)
            count[(r->list[i] >> shift & 255) + 1]++;
        for (unsigned i = 0; i < 256; i++)
            count[i + 1] += count[i];
        for (uint32_t i = 0; i < n; i++)
            r->spare[count[r->list[i] >> shift & 255]++] = r->list[i];
        uint32_t *swap = r->list;
        r->list = r->spare;
        r->spare = swap;
    }
}

/* The bucket's entries that are not stale, by position. A symbol may be entered twice; the second is stale when its turn comes. */
static void open_bucket(struct run *r, uint32_t rank)
{
    uint32_t n = 0;

    for (uint32_t e = r->w->heads[rank]; e != BPE_NONE; e = r->entries[e].before)
        if (r->rank[r->entries[e].at] == rank)
            n++;
    r->list_n = n;
    for (uint32_t e = r->w->heads[rank]; e != BPE_NONE; e = r->entries[e].before)
        if (r->rank[r->entries[e].at] == rank)
            r->list[--n] = r->entries[e].at;
    clear_bucket(r->w, rank);
    r->list_i = 0;
    r->open = rank;
    r->opened = true;
    sort_list(r);
}

static void rank_anew(struct run *r, uint32_t at)
{
    uint32_t next = r->next[at];

    r->rank[at] = next == BPE_NONE ? BPE_NONE : bpe_pairs_rank(&r->b->pairs, r->sym[at], r->sym[next]);
    if (r->rank[at] != BPE_NONE)
        push(r, r->rank[at], at);
}

static void merge_at(struct run *r, uint32_t at)
{
    uint32_t gone = r->next[at], behind = r->next[gone];

    r->sym[at] = bpe_merged(r->b, r->rank[at]);
    r->rank[gone] = BPE_NONE;
    r->next[at] = behind;
    if (behind != BPE_NONE)
        r->prev[behind] = at;
    if (behind != BPE_NONE)
        bpe_pairs_fetch(&r->b->pairs, r->sym[at], r->sym[behind]);
    if (r->prev[at] != BPE_NONE)
        bpe_pairs_fetch(&r->b->pairs, r->sym[r->prev[at]], r->sym[at]);
    rank_anew(r, at);
    if (r->prev[at] != BPE_NONE)
        rank_anew(r, r->prev[at]);
}

static void merge_all(struct run *r)
{
    while (!r->failed) {
        uint64_t late = r->w->late_n ? r->w->late[0] : UINT64_MAX;
        uint32_t at, rank;
        if (r->list_i == r->list_n) {
            uint32_t lowest = lowest_bucket(r->w);
            if (lowest != BPE_NONE && (uint64_t)lowest << 32 <= (late | UINT32_MAX)) {
                open_bucket(r, lowest);
                continue;
            }
            if (late == UINT64_MAX)
                return;
        }
        if (r->list_i < r->list_n && ((uint64_t)r->open << 32 | r->list[r->list_i]) <= late) {
            rank = r->open;
            at = r->list[r->list_i++];
        } else {
            late_pop(r->w);
            rank = (uint32_t)(late >> 32);
            at = (uint32_t)late;
        }
        if (r->rank[at] == rank)
            merge_at(r, at);
    }
}

static int make_buckets(const struct bpe *b, struct bpe_work *w)
{
    size_t n = b->ranks_end;

    if (w->heads)
        return 0;
    for (unsigned level = 0; level < ARRAY_LEN(w->bits); level++) {
        n = n / 64 + 1;
        if (!w->bits[level])
            w->bits[level] = calloc(n, sizeof(uint64_t));
        if (!w->bits[level])
            return ERR_NOMEM;
    }
    w->heads = reallocarray(NULL, b->ranks_end + (size_t)1, sizeof(uint32_t));
    if (!w->heads)
        return ERR_NOMEM;
    memset(w->heads, 0xff, (b->ranks_end + (size_t)1) * sizeof(uint32_t));
    return 0;
}

static void empty_buckets(struct bpe_work *w)
{
    for (uint32_t rank; (rank = lowest_bucket(w)) != BPE_NONE;)
        clear_bucket(w, rank);
    w->late_n = 0;
}

#define ROOM_PER_SYMBOL 11         /* words: rank, next, prev, three entries of two, list, spare */
#define HUGE_ROOM       (4u << 20) /* bytes from which huge pages are asked for */
#define PAGE            4096u
#define ROOM_KEPT       262144 /* words; a longer piece gives its room back */

int bpe_merge_long(const struct bpe *b, struct bpe_work *w, uint32_t *sym, size_t n, size_t *ret_n)
{
    int err = make_buckets(b, w);

    if (err < 0)
        return err;
    if (n > BPE_SYMBOLS_MAX)
        return ERR_LIMIT;
    if (w->room_n < n * ROOM_PER_SYMBOL) {
        free(w->room);
        w->room_n = 0;
        w->room = reallocarray(NULL, MAX(n, 512), ROOM_PER_SYMBOL * sizeof(uint32_t));
        if (!w->room)
            return ERR_NOMEM;
        w->room_n = MAX(n, 512) * ROOM_PER_SYMBOL;
        if (w->room_n * sizeof(uint32_t) >=
            HUGE_ROOM) { /* a tenth of the time of a megabyte without a break would go into page faults; a refusal costs no more than that */
            uintptr_t page = ((uintptr_t)w->room + PAGE - 1) & ~(uintptr_t)(PAGE - 1);
            (void)madvise((void *)page, w->room_n * sizeof(uint32_t) - (page - (uintptr_t)w->room), MADV_HUGEPAGE);
        }
    }
    struct run r = { .b = b, .w = w, .sym = sym, .rank = w->room, .next = w->room + n, .prev = w->room + 2 * n };
    r.entries = (struct entry *)(w->room + 3 * n);
    r.list = w->room + 9 * n;
    r.spare = w->room + 10 * n;
    for (uint32_t i = 0; i < n; i++) {
        r.next[i] = i + 1 < n ? i + 1 : BPE_NONE;
        r.prev[i] = i ? i - 1 : BPE_NONE;
    }
    for (uint32_t i = 0; i < n; i++)
        rank_anew(&r, i);
    merge_all(&r);

    size_t left = 0;
    for (uint32_t i = 0; i != BPE_NONE; i = r.next[i])
        sym[left++] = sym[i];
    empty_buckets(w);
    if (w->room_n > ROOM_KEPT) {
        free(w->room);
        w->room = NULL;
        w->room_n = 0;
    }
    if (r.failed)
        return ERR_NOMEM;
    *ret_n = left;
    return 0;
}

void bpe_work_fini(struct bpe_work *w)
{
    free(w->room);
    free(w->heads);
    free(w->late);
    for (unsigned level = 0; level < ARRAY_LEN(w->bits); level++)
        free(w->bits[level]);
}
