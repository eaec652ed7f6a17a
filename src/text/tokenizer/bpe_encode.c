/* text/tokenizer/bpe_encode.c -- batches of pieces to ids: what was met before is remembered
 *
 *   piece --> up to 15 bytes: in the cache? -----------> its ids
 *        |--> up to 62 bytes: in that of longer ones? ---^
 *        |                       | no
 *        +---> longer            v
 *              the piece itself is a token (ranks, ignore_merges)? --> one id
 *              symbols --> merge --> ids, and into the cache
 *
 * The cache is a table of lines of 64 bytes, two entries each; a new entry pushes the older of its line out. Longer pieces have a table of their own with one entry of 128 bytes in each place. The sizes are fixed
 * when the state is made; keys are compared byte by byte, so that a collision costs time only. A block of pieces is hashed and its lines are asked for before the first is looked at.
 * SentencePiece-style text comes as one long piece; it is cut into words (bpe_words.c), which take the way of pieces.
 */
#include <stdlib.h>
#include <string.h>

#include "text/tokenizer/bpe_internal.h"

#define KEY_BYTES   15
#define ENTRY_IDS   4
#define BLOCK       64
#define CACHE_LEAST 256   /* bytes; one line and one longer entry */
#define SYM_KEPT    65536 /* symbols; a longer piece gives its room back */
#define COUNT_BITS  24    /* ids are below 2^24; the number of ids lies above the first */
#define ID_MASK     ((1u << COUNT_BITS) - 1)

struct key {
    uint64_t lo, hi; /* the bytes, zeros behind; the length in the last byte: never 0 */
};
struct entry {
    struct key key; /* hi = 0: empty */
    uint32_t ids[ENTRY_IDS];
};
struct line {
    struct entry e[2]; /* the newer first */
};

#define LONG_BYTES 62
#define LONG_IDS   16
struct long_entry {
    uint8_t len, count; /* len 0: empty */
    char bytes[LONG_BYTES];
    uint32_t ids[LONG_IDS];
};

struct model_state {
    struct line *lines; /* owned; NULL = no cache */
    size_t mask;
    struct long_entry *longs; /* owned; NULL = no cache */
    size_t longs_mask;
    uint32_t *sym; /* owned; symbols of a long piece */
    size_t sym_cap;
    struct bpe_work work;
};

/* The largest power of two of UNITs in BYTES, at least one. */
static void *table(size_t unit, size_t bytes, size_t *ret_mask)
{
    size_t n = 1;

    while (n <= bytes / unit / 2)
        n *= 2;
    void *p = bpe_table(n * unit);
    if (!p)
        return NULL;
    memset(p, 0, n * unit);
    *ret_mask = n - 1;
    return p;
}

int bpe_state_new(const struct model *m, size_t cache_bytes, struct model_state **ret)
{
    struct model_state *s = calloc(1, sizeof(*s));

    if (!s)
        return ERR_NOMEM;
    if (cache_bytes >= CACHE_LEAST && vocab_id_end(m->vocab) <= 1u << COUNT_BITS) {
        s->lines = table(sizeof(struct line), cache_bytes / 2, &s->mask);
        s->longs = table(sizeof(struct long_entry), cache_bytes / 2, &s->longs_mask);
        if (!s->lines || !s->longs) {
            bpe_state_free(s);
            return ERR_NOMEM;
        }
    }
    *ret = s;
    return 0;
}

void bpe_state_free(struct model_state *s)
{
    if (!s)
        return;
    free(s->lines);
    free(s->longs);
    free(s->sym);
    bpe_work_fini(&s->work);
    free(s);
}

/* ---- one piece that is not in the cache ---- */

static int append(struct ids *ids, const uint32_t *sym, size_t n)
{
    if (n == 0)
        return 0;
    uint32_t *out = ids_reserve(ids, n);
    if (!out)
        return ERR_NOMEM;
    memcpy(out, sym, n * sizeof(*sym));
    ids->n += n;
    return 0;
}

static int no_token(const struct bpe *b, struct str piece, struct err *err)
{
    if (b->unk_missing)
        return err_set(
            err, ERR_INVALID,
            "the vocabulary has no token for a character of the text, and not the unk_token either that the model names");
    for (size_t i = 0; i < piece.n; i++)
        if (b->byte_ids[(uint8_t)piece.p[i]] == BPE_NONE)
            return err_set(err, ERR_INVALID, "the vocabulary has no token for the byte 0x%02X; a file of ranks must have all 256",
                           (uint8_t)piece.p[i]);
    return err_set(err, ERR_INVALID, "the vocabulary has no token for a byte of the text");
}

static int encode_long(const struct bpe *b, struct model_state *s, struct str piece, struct ids *ids, struct err *err)
{
    if (piece.n > 4 * (size_t)BPE_SYMBOLS_MAX) /* a character has at most four bytes */
        return ERR_LIMIT;
    if (s->sym_cap < piece.n * b->spread) {
        free(s->sym);
        s->sym_cap = 0;
        s->sym = reallocarray(NULL, piece.n * b->spread, sizeof(*s->sym));
        if (!s->sym)
            return ERR_NOMEM;
        s->sym_cap = piece.n * b->spread;
    }
    size_t n = bpe_symbols(b, piece, s->sym);
    if (n == SIZE_MAX)
        return no_token(b, piece, err);
    int r = 0;
    if (n <= BPE_SHORT)
        n = bpe_merge_short(b, s->sym, n);
    else
        r = bpe_merge_long(b, &s->work, s->sym, n, &n);
    if (r == 0)
        r = append(ids, s->sym, n);
    if (s->sym_cap > SYM_KEPT) {
        free(s->sym);
        s->sym = NULL;
        s->sym_cap = 0;
    }
    return r;
}

/* WHOLE: the piece is all that the pre-tokenizer cut, so it may be a token by itself. */
static int encode_piece(const struct bpe *b, struct model_state *s, struct str piece, bool whole, struct ids *ids, struct err *err)
{
    uint32_t sym[BPE_SHORT];

    if (whole && b->whole_first && vocab_find(b->model.vocab, piece, sym))
        return append(ids, sym, 1);
    if (piece.n > BPE_SHORT / b->spread)
        return encode_long(b, s, piece, ids, err);
    if (b->byte_pair)
        return append(ids, sym, bpe_merge_bytes(b, piece, sym));
    size_t n = b->ascii_pair ? bpe_merge_ascii(b, piece, sym) : 0;
    if (n)
        return append(ids, sym, n);
    n = bpe_symbols(b, piece, sym);
    if (n == SIZE_MAX)
        return no_token(b, piece, err);
    return append(ids, sym, bpe_merge_short(b, sym, n));
}

/* ---- the cache ---- */

/* N is 1 to KEY_BYTES. END: where readable bytes end; up to there more than N may be read. */
static inline struct key key_of(const char *p, size_t n, const char *end)
{
    struct key k = { 0, 0 };

    if (_likely_(end - p >= 16)) {
        memcpy(&k, p, 16);
        uint64_t below = ~0ull >> ((8 - (n & 7)) * 8 & 63); /* n & 7 low bytes; all for 0 */
        k.lo &= n < 8 ? below : ~0ull;
        k.hi &= n <= 8 ? 0 : below;
    } else
        memcpy(&k, p, n);
    k.hi |= (uint64_t)n << 56;
    return k;
}

static inline size_t hash_of(struct key k)
{
    __uint128_t m = (__uint128_t)(k.lo ^ 0x9e3779b97f4a7c15u) * (k.hi ^ 0xd6e8feb86659fd93u);

    return (size_t)((uint64_t)m ^ (uint64_t)(m >> 64));
}

static inline bool same(struct key a, struct key b)
{
    return ((a.lo ^ b.lo) | (a.hi ^ b.hi)) == 0;
}

static void remember(struct line *line, struct key key, const uint32_t *ids, size_t n)
{
    if (n == 0 || n > ENTRY_IDS)
        return;
    line->e[1] = line->e[0];
    line->e[0] = (struct entry){ .key = key };
    memcpy(line->e[0].ids, ids, n * sizeof(*ids));
    line->e[0].ids[0] |= (uint32_t)n << COUNT_BITS;
}

static inline size_t hash_of_long(const char *p, size_t n) /* n >= 16 */
{
    struct key k = { n, 0 };
    uint64_t word;

    for (size_t i = 0; i + 8 < n; i += 8) {
        memcpy(&word, p + i, 8);
        k.lo = (k.lo ^ word) * 0x9e3779b97f4a7c15u;
        k.lo ^= k.lo >> 32;
    }
    memcpy(&k.hi, p + n - 8, 8);
    return hash_of(k);
}

static void remember_long(struct long_entry *e, struct str piece, const uint32_t *ids, size_t n)
{
    if (n == 0 || n > LONG_IDS)
        return;
    e->len = (uint8_t)piece.n;
    e->count = (uint8_t)n;
    memcpy(e->bytes, piece.p, piece.n);
    memcpy(e->ids, ids, n * sizeof(*ids));
}

/* A place in one of the caches, or none. */
struct place {
    struct key key;
    struct line *line;
    struct long_entry *longer;
    uint32_t given; /* BPE_NONE = a piece; else the id that stands here whatever the text is */
};

/* The ids of a piece to OUT, which has room for LONG_IDS; how many, 0 = not in the cache. Of two entries the one to look at is chosen without a branch: which it is cannot be foretold. */
static inline size_t find_short(const struct line *line, struct key key, uint32_t *out)
{
    const struct entry *e = &line->e[!same(line->e[0].key, key)];
    uint32_t first = e->ids[0];

    if (_unlikely_(!same(e->key, key)))
        return 0;
    memcpy(out, e->ids, sizeof(e->ids));
    out[0] = first & ID_MASK;
    return first >> COUNT_BITS;
}

static inline size_t find_long(const struct long_entry *e, struct str piece, uint32_t *out)
{
    if (!e || e->len != piece.n || memcmp(e->bytes, piece.p, piece.n) != 0)
        return 0;
    memcpy(out, e->ids, sizeof(e->ids));
    return e->count;
}

/* A piece that no cache has, and into the cache with it. */
static int encode_new(const struct bpe *b, struct model_state *s, const struct place *place, struct str piece, bool whole,
                      struct ids *ids, struct err *err)
{
    size_t before = ids->n;
    int r = encode_piece(b, s, piece, whole, ids, err);

    if (r < 0)
        return r;
    if (place->line)
        remember(place->line, place->key, ids->v + before, ids->n - before);
    else if (place->longer)
        remember_long(place->longer, piece, ids->v + before, ids->n - before);
    return ids_reserve(ids, BLOCK * LONG_IDS) ? 0 : ERR_NOMEM;
}

/* The places of up to BLOCK pieces, on their way from memory. */
static inline void find_places(const struct model_state *s, const char *text, size_t at, const uint32_t *ends,
                               const uint32_t *given, size_t n, const char *readable, struct place *places)
{
    struct line *lines = s->lines;
    size_t mask = s->mask;

    for (size_t k = 0; k < n; at = ends[k], k++) {
        struct place *p = &places[k];
        size_t len = ends[k] - at;
        *p = (struct place){ .given = given ? given[k] : BPE_NONE };
        if (given && given[k] != BPE_NONE)
            continue;
        if (_likely_(len <= KEY_BYTES)) {
            p->key = key_of(text + at, len, readable);
            p->line = &lines[hash_of(p->key) & mask];
            __builtin_prefetch(p->line);
        } else if (len <= LONG_BYTES) {
            p->longer = &s->longs[hash_of_long(text + at, len) & s->longs_mask];
            __builtin_prefetch(p->longer);
            __builtin_prefetch(p->longer->ids);
        }
    }
}

/* Up to BLOCK pieces with the cache; GIVEN: ids that stand between them, or NULL. There is always room for what the rest of the block can find in it. */
static inline int encode_block(const struct bpe *b, struct model_state *s, const char *text, size_t begin, const uint32_t *ends,
                               const uint32_t *given, size_t n, const char *readable, bool whole, struct ids *ids, struct err *err)
{
    struct place places[BLOCK];
    size_t at = begin;

    find_places(s, text, begin, ends, given, n, readable, places);
    if (!ids_reserve(ids, BLOCK * LONG_IDS))
        return ERR_NOMEM;
    uint32_t *out = ids->v + ids->n; /* beside ids->n, so that it stays in a register */
    for (size_t k = 0; k < n; at = ends[k], k++) {
        const struct place *p = &places[k];
        struct str piece = { text + at, ends[k] - at };
        if (given && p->given != BPE_NONE) {
            *out++ = p->given;
            continue;
        }
        size_t got = _likely_(p->line != NULL) ? find_short(p->line, p->key, out) : find_long(p->longer, piece, out);
        if (_likely_(got > 0)) {
            out += got;
            continue;
        }
        ids->n = (size_t)(out - ids->v);
        int r = encode_new(b, s, p, piece, whole, ids, err);
        if (r < 0)
            return r;
        out = ids->v + ids->n;
    }
    ids->n = (size_t)(out - ids->v);
    return 0;
}

static int encode_pieces(const struct bpe *b, struct model_state *s, const char *text, size_t begin, const uint32_t *ends, size_t n,
                         const char *readable, struct ids *ids, struct err *err)
{
    int r = 0;

    for (size_t k = 0; r == 0 && s->lines && k < n; k += BLOCK)
        r = encode_block(b, s, text, k ? ends[k - 1] : begin, ends + k, NULL, MIN(n - k, BLOCK), readable, /* whole= */ true, ids,
                         err);
    for (size_t k = 0; r == 0 && !s->lines && k < n; k++) {
        size_t at = k ? ends[k - 1] : begin;
        r = encode_piece(b, s, (struct str){ text + at, ends[k] - at }, /* whole= */ true, ids, err);
    }
    return r;
}

/* ---- words ---- */

/* Words of one or several segments, with ids given between them. */
struct batch {
    const struct bpe *b; /* borrowed, as all here */
    struct model_state *s;
    const char *text, *readable;
    struct ids *ids;
    struct err *err;
    size_t begin; /* of the first word */
    size_t n;
    uint32_t ends[BLOCK], given[BLOCK];
};

static int flush_batch(struct batch *q)
{
    size_t at = q->begin;
    int r = 0;

    if (q->s->lines && q->n)
        r = encode_block(q->b, q->s, q->text, at, q->ends, q->given, q->n, q->readable, /* whole= */ false, q->ids, q->err);
    for (size_t k = 0; r == 0 && !q->s->lines && k < q->n; at = q->ends[k], k++) {
        if (q->given[k] == BPE_NONE)
            r = encode_piece(q->b, q->s, (struct str){ q->text + at, q->ends[k] - at }, /* whole= */ false, q->ids, q->err);
        else
            r = append(q->ids, &q->given[k], 1);
    }
    q->begin = q->n ? q->ends[q->n - 1] : q->begin;
    q->n = 0;
    return r;
}

static int put_words(struct batch *q, size_t begin, size_t end)
{
    struct bpe_cutter c;
    uint32_t id;
    int r = 0;

    if (q->b->whole_first && vocab_find(q->b->model.vocab, (struct str){ q->text + begin, end - begin }, &id)) {
        q->ends[q->n] = (uint32_t)end;
        q->given[q->n++] = id;
        return q->n == BLOCK ? flush_batch(q) : 0;
    }
    bpe_cutter_init(&c, q->b, q->text, begin, end);
    for (bool more = true; more && r == 0;) {
        size_t n = bpe_cutter_fill(&c, q->ends + q->n, BLOCK - q->n);
        memset(q->given + q->n, 0xff, n * sizeof(*q->given)); /* BPE_NONE */
        q->n += n;
        more = q->ends[q->n - 1] != end;
        if (q->n == BLOCK)
            r = flush_batch(q);
    }
    return r;
}

static int explain(int r, struct err *err)
{
    if (r == ERR_NOMEM)
        return err_set(err, r, "no memory for the ids of the text");
    if (r == ERR_LIMIT)
        return err_set(err, r, "a stretch of the text that cannot be cut is too long to be merged: more than 4,194,304 characters");
    return r;
}

int bpe_encode(const struct model *m, struct model_state *s, const char *text, size_t begin, const uint32_t *ends, size_t n,
               struct ids *ids, struct err *err)
{
    const struct bpe *b = CONTAINER_OF(m, struct bpe, model);
    const char *readable = n ? text + ends[n - 1] : text;
    int r = 0;

    if (!b->words)
        return explain(encode_pieces(b, s, text, begin, ends, n, readable, ids, err), err);
    struct batch q = { .b = b, .s = s, .text = text, .readable = readable, .ids = ids, .err = err, .begin = begin };
    for (size_t k = 0; r == 0 && k < n; k++)
        r = put_words(&q, k ? ends[k - 1] : begin, ends[k]);
    return explain(r == 0 ? flush_batch(&q) : r, err);
}

int bpe_encode_marked(const struct model *m, struct model_state *s, struct str text, size_t begin, size_t end,
                      const struct model_mark *marks, size_t n, struct ids *ids, struct err *err)
{
    struct batch q = { .b = CONTAINER_OF(m, struct bpe, model),
                       .s = s,
                       .text = text.p,
                       .readable = text.p + text.n,
                       .ids = ids,
                       .err = err,
                       .begin = begin };
    size_t at = begin;
    int r = 0;

    for (size_t k = 0; r == 0 && k < n; at = marks[k].end, k++) {
        if (marks[k].start > at)
            r = put_words(&q, at, marks[k].start);
        if (r < 0)
            break;
        q.ends[q.n] = marks[k].end;
        q.given[q.n++] = marks[k].id;
        r = q.n == BLOCK ? flush_batch(&q) : 0;
    }
    if (r == 0 && at < end)
        r = put_words(&q, at, end);
    return explain(r == 0 ? flush_batch(&q) : r, err);
}
