/* text/tokenizer/bpe_internal.h -- the BPE model as its own files see it; nobody else includes this
 *
 *   bpe.c          the model's life: tables from the configuration, checks, sizes
 *   bpe_pairs.c    the table of merges: two neighbours to the rank of their merge
 *   bpe_symbols.c  a piece to the symbols that merging begins with
 *   bpe_merge.c    merging: short pieces in an array, long ones with buckets by rank
 *   bpe_words.c    words of SentencePiece-style text: where it may be cut
 *   bpe_encode.c   batches of pieces: the cache of pieces
 *
 * Priority is (rank, position) everywhere: of all neighbours with a merge the lowest rank goes first, the leftmost on ties.
 */
#pragma once

#include "base/attr.h"
#include "text/tokenizer/model.h"

#define BPE_NONE UINT32_MAX /* no rank, no id, no symbol */

/* ---- merges by pair ---- */

#define BPE_SYMBOLS_MAX (4u << 20) /* of one piece: 185 MB of work memory */

/* Open addressing, at most five eighths full. PACKED: a pair and its rank in one word, 21 + 21 + 22 bits, so that a look-up touches one line; else the rank lies beside. */
struct bpe_pairs {
    uint64_t *slots; /* owned; all ones = empty */
    uint32_t *ranks; /* owned; NULL when packed */
    unsigned shift;  /* 64 - log2 of the slots */
    size_t mask;
};
#define BPE_PACKED_ID_BITS   21
#define BPE_PACKED_RANK_BITS 22
#define BPE_EMPTY            UINT64_MAX
#define BPE_HASH             0x9e3779b97f4a7c15u

void *bpe_table(size_t bytes) _must_check_; /* not cleared; free() */
int bpe_pairs_init(struct bpe_pairs *p, size_t pairs, uint32_t ids_end, uint32_t ranks_end) _must_check_;
void bpe_pairs_fini(struct bpe_pairs *p);
int bpe_pairs_put(struct bpe_pairs *p, uint32_t a, uint32_t b,
                  uint32_t rank) _must_check_; /* ERR_LIMIT: pairs made to collide. The last of equal pairs counts. */
size_t bpe_pairs_memory(const struct bpe_pairs *p);

/* The rank of the merge of A and B; BPE_NONE = none. */
static inline uint32_t bpe_pairs_rank(const struct bpe_pairs *p, uint32_t a, uint32_t b)
{
    uint64_t key = p->ranks ? (uint64_t)a << 32 | b : (uint64_t)a << BPE_PACKED_ID_BITS | b;

    for (size_t i = (key * BPE_HASH) >> p->shift;; i = (i + 1) & p->mask) { /* ends: many slots are empty */
        uint64_t slot = p->slots[i];
        if (slot == BPE_EMPTY)
            return BPE_NONE;
        if (p->ranks ? slot == key : slot >> BPE_PACKED_RANK_BITS == key)
            return p->ranks ? p->ranks[i] : (uint32_t)slot & ((1u << BPE_PACKED_RANK_BITS) - 1);
    }
}

/* Asks for the memory that bpe_pairs_rank will look at. */
static inline void bpe_pairs_fetch(const struct bpe_pairs *p, uint32_t a, uint32_t b)
{
    uint64_t key = p->ranks ? (uint64_t)a << 32 | b : (uint64_t)a << BPE_PACKED_ID_BITS | b;

    __builtin_prefetch(&p->slots[(key * BPE_HASH) >> p->shift]);
}

/* ---- the model ---- */

#define BPE_PAGE_BITS 8
#define BPE_PAGES     (0x110000 >> BPE_PAGE_BITS)

struct bpe {
    struct model model;
    struct bpe_pairs pairs;
    uint32_t *merged;    /* owned; by rank: the id that a merge makes; NULL: the rank is the id */
    uint32_t ranks_end;  /* one past the highest rank */
    uint32_t *byte_pair; /* owned; where each byte is a token: rank by two bytes, for the first round; NULL = ask the table */
    bool ranks_are_ids, whole_first /* a piece that is a token is that token */, has_unk, unk_missing, fuse_unk, byte_fallback;
    bool plain; /* symbols are single bytes or characters: neither prefix nor suffix */
    bool byte_level;
    bool all_bytes; /* byte-level: each byte is a token, so that a piece of n bytes has n symbols */
    bool words;     /* text may be cut where `cuts` says */
    uint8_t *
        cuts; /* owned; NULL without words; by two bytes: 1 = a cut may be between them; where the second begins a U+2581: in front of a run of these */
    bool blanks;          /* ' ' is read as U+2581 */
    uint32_t *ascii_pair; /* owned; where blanks are taken: rank by two ASCII characters, 128 * 128; NULL = none */
    uint64_t runs;        /* bit n: n of U+2581 are a word of their own */
    uint32_t unk_id;
    uint32_t spread; /* symbols that one byte of text may become at most */
    char *affixes;   /* owned; prefix, then suffix */
    size_t prefix_n, suffix_n;
    uint32_t byte_ids[256];     /* byte-level: the token of a byte; BPE_NONE = none */
    uint32_t fallback_ids[256]; /* the token <0xXX>; BPE_NONE = none */
    uint16_t *page_of;          /* owned; not byte-level: 1 + the page of a block of characters; 0 = no token in it */
    uint32_t *pages;            /* owned; ids by character */
    size_t pages_n;
};

static inline uint32_t bpe_merged(const struct bpe *b, uint32_t rank)
{
    return b->merged ? b->merged[rank] : rank;
}

/* ---- words ---- */

int bpe_words_init(struct bpe *b,
                   const struct bpe_config *c) _must_check_; /* at load, when all else is there: words, cuts, runs. ERR_NOMEM */
bool bpe_take_blanks(struct model *m);
size_t bpe_words_memory(const struct bpe *b);

/* Cuts text[begin, end) into words, some at a time. */
struct bpe_cutter {
    const struct bpe *b; /* borrowed */
    const char *text;    /* borrowed */
    size_t begin, end;
    size_t base, next; /* `bits` are of base and what is behind it; next: places not looked at yet */
    uint64_t bits;
    size_t run_end; /* the next end, if not 0: of a run of U+2581 */
};
void bpe_cutter_init(struct bpe_cutter *c, const struct bpe *b, const char *text, size_t begin, size_t end);
/* The ends of up to MAX (> 0) more words; the last end of all is the text's. */
size_t bpe_cutter_fill(struct bpe_cutter *c, uint32_t *ends, size_t max);

/* ---- encoding ---- */

#define BPE_SHORT 48 /* symbols up to which an array with a linear search is the fastest */

/* What merging a long piece needs, kept from piece to piece. */
struct bpe_work {
    uint32_t *room; /* owned */
    size_t room_n;
    uint32_t *heads;   /* owned; by rank: the first entry of its bucket; BPE_NONE = empty */
    uint64_t *bits[4]; /* owned; which buckets have entries, and which words of the level below are not 0 */
    uint64_t *late;    /* owned; a heap of rank and position: merges that must go before the bucket at hand is through */
    size_t late_n, late_cap;
};
void bpe_work_fini(struct bpe_work *w);

/* The symbols of a piece into OUT (room for spread * piece.n); returns how many, or SIZE_MAX: a byte of a rank vocabulary has no token, or a character needs an unknown token that is not there. */
size_t bpe_symbols(const struct bpe *b, struct str piece, uint32_t *out);
/* Merges sym[0..n) in place, n <= BPE_SHORT; returns how many are left. */
size_t bpe_merge_short(const struct bpe *b, uint32_t *sym, size_t n);
/* The same from bytes, for a model with byte_pair: symbols and first ranks are looked up here. */
size_t bpe_merge_bytes(const struct bpe *b, struct str piece, uint32_t *sym);
/* The same from ASCII that are all tokens, for a model with ascii_pair; 0 = the piece has something else. */
size_t bpe_merge_ascii(const struct bpe *b, struct str piece, uint32_t *sym);
/* The same for any n. ERR_NOMEM, ERR_LIMIT. */
int bpe_merge_long(const struct bpe *b, struct bpe_work *w, uint32_t *sym, size_t n, size_t *ret_n) _must_check_;

int bpe_state_new(const struct model *m, size_t cache_bytes, struct model_state **ret) _must_check_;
void bpe_state_free(struct model_state *s);
int bpe_encode(const struct model *m, struct model_state *s, const char *text, size_t begin, const uint32_t *ends, size_t n,
               struct ids *ids, struct err *err) _must_check_;
int bpe_encode_marked(const struct model *m, struct model_state *s, struct str text, size_t begin, size_t end,
                      const struct model_mark *marks, size_t n, struct ids *ids, struct err *err) _must_check_;
