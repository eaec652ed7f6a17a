/* text/tokenizer/bpe_words.c -- SentencePiece-style text, which comes as one long piece, cut into words where no merge can cross
 *
 *   at load    every merge is looked at: which bytes it holds together with a U+2581 behind them, which ASCII characters with each other; what runs of U+2581 become
 *   cuts       for each two bytes side by side: may there be a cut between them? Behind the first byte of U+2581 the other two are looked at
 *   encoding   64 places at a time: their answers to one word, its ones to ends of words
 *
 *   "the▁▁▁▁cat(s);"  ->  the  ▁▁▁▁  cat  (  s  );        what holds together depends on the merges: here ");" is a token
 *
 * A run of U+2581 begins a word. It is a word of its own (`runs`) where its own merges all come before those that join a U+2581 with what is behind it, and where what they leave last takes no part in the latter:
 * until the first crossing merge has its turn neither side knows of the other, and by then there is nothing left that could cross. Gemma's indentation then is one word, and not another one in front of every name.
 */
#include <stdlib.h>
#include <string.h>

#include "text/tokenizer/bpe_internal.h"

#define SPACE       "\xe2\x96\x81" /* U+2581 */
#define SPACE_N     3
#define PAIRS       65536
#define ASCII_PAIRS ((size_t)128 * 128)

static bool is_space(const char *p)
{
    return memcmp(p, SPACE, SPACE_N) == 0;
}

/* ---- what the merges hold together ---- */

enum kind {
    KIND_THERE = 1,  /* there is such a token */
    KIND_NOTED = 2,  /* it was looked at as what a merge makes */
    KIND_RUN = 4,    /* U+2581, once or more, and nothing else */
    KIND_BEGINS = 8, /* with U+2581 */
    KIND_ENDS = 16,
    KIND_CROSSES = 32, /* a merge joins it with something behind it that does not begin with U+2581 */
};

struct joins {
    uint8_t *kinds;         /* owned; by id: enum kind */
    bool space[256];        /* this byte, with a U+2581 behind it */
    uint64_t ascii[128][2]; /* bit c of row p: c behind p */
    uint32_t
        crossing; /* the lowest rank of a merge of something that ends in U+2581 with something that does not begin so; BPE_NONE = none */
    uint32_t last_run;       /* the highest rank of a merge of runs of U+2581 alone; 0 = none */
    bool ascii_known, known; /* the tables say it all */
};

/* Marks the bytes that stand before a U+2581 inside TEXT, but for those of another one. False: what stands there may not be what it looks like (the token of a byte). */
static bool note_joins(struct joins *j, struct str text)
{
    for (size_t at = 3; text.n >= 3 && at <= text.n - 3; at++)
        if (is_space(text.p + at) && !is_space(text.p + at - 3)) {
            j->space[(uint8_t)text.p[at - 1]] = true;
            if (str_find(text, STR("<0x")) != STR_NPOS)
                return false;
        }
    for (size_t at = 1; at < 3 && at + 3 <= text.n; at++) /* fewer than three bytes in front: no U+2581 */
        if (is_space(text.p + at))
            j->space[(uint8_t)text.p[at - 1]] = true;
    return true;
}

/* The same for ASCII characters side by side. False: a token of a byte is part of TEXT, whose name is not what it stands for. */
static bool note_ascii(struct joins *j, struct str text)
{
    for (size_t at = 1; at < text.n; at++) {
        uint8_t p = (uint8_t)text.p[at - 1], c = (uint8_t)text.p[at];
        if (p < 0x80 && c < 0x80)
            j->ascii[p][c / 64] |= 1ull << (c % 64);
    }
    return str_find(text, STR("<0x")) == STR_NPOS;
}

static size_t spaces(struct str text)
{
    size_t n = 0;

    while (text.n - n >= SPACE_N && is_space(text.p + n))
        n += SPACE_N;
    return n;
}

static int find_kinds(struct joins *j, const struct vocab *v)
{
    uint32_t n = vocab_id_end(v);
    struct str text;

    j->kinds = calloc(MAX(n, 1), 1);
    if (!j->kinds)
        return ERR_NOMEM;
    for (uint32_t id = 0; id < n; id++) {
        if (!vocab_bytes(v, id, &text))
            continue;
        j->kinds[id] = KIND_THERE;
        if (text.n < SPACE_N)
            continue;
        if (is_space(text.p))
            j->kinds[id] |= KIND_BEGINS | (spaces(text) == text.n ? KIND_RUN : 0);
        if (is_space(text.p + text.n - SPACE_N))
            j->kinds[id] |= KIND_ENDS;
    }
    return 0;
}

/* False: of tokens that are not there nothing can be said. */
static bool note_run(struct joins *j, const struct bpe_merge *m, uint32_t rank)
{
    unsigned first = j->kinds[m->a], second = j->kinds[m->b];

    if ((first & KIND_RUN) && (second & KIND_RUN))
        j->last_run = rank;
    if (!(second & KIND_BEGINS)) {
        j->kinds[m->a] |= KIND_CROSSES;
        if (first & KIND_ENDS)
            j->crossing = MIN(j->crossing, rank);
    }
    return first & second & KIND_THERE;
}

/* Has each byte that a character without token may consist of its fallback? An ASCII character that is a token needs none (Gemma has no <0x09>). */
static bool never_unknown(const struct bpe *b)
{
    bool never = b->byte_fallback;

    for (unsigned i = 0; never && i < 256; i++) {
        char byte = (char)i;
        uint32_t id;
        never = b->fallback_ids[i] != BPE_NONE || (i < 0x80 && vocab_find(b->model.vocab, (struct str){ &byte, 1 }, &id));
    }
    return never;
}

/* May text be cut before each U+2581 that follows something else, unless a token holds it together with the byte before? Symbols then must not depend on what lies beyond: no fused unknowns, and U+2581 is a token,
 * so that it never becomes another symbol. What a merge makes with such a place inside says which bytes hold it together (gemma3: ">▁</"). A token's name is the text of its symbols, but for the unknown token, which may
 * stand for anything that is not U+2581: it must not look like a run of these. */
static bool may_cut(const struct bpe *b, const struct bpe_config *c, struct joins *j)
{
    struct str text;
    uint32_t id;

    j->known = never_unknown(b);
    if (!vocab_find(b->model.vocab, STR(SPACE), &id))
        return false;
    if (!j->known && (b->byte_fallback || (b->has_unk && b->fuse_unk)))
        return false;
    if (!j->known && b->has_unk && vocab_bytes(b->model.vocab, b->unk_id, &text) &&
        (text.n == 0 || str_has_prefix(text, STR(SPACE))))
        return false;
    j->ascii_known = j->known;
    for (uint32_t rank = 0; rank < c->merges_n; rank++) {
        const struct bpe_merge *m = &c->merges[rank];
        j->ascii_known = note_run(j, m, rank) && j->ascii_known;
        if (j->kinds[m->merged] & KIND_NOTED)
            continue;
        j->kinds[m->merged] |= KIND_NOTED;
        if (!vocab_bytes(b->model.vocab, m->merged, &text) || !note_joins(j, text))
            return false;
        j->ascii_known = note_ascii(j, text) && j->ascii_known;
    }
    return j->known || !memchr(j->space, true, sizeof(j->space));
}

/* ---- runs ---- */

static void find_runs(struct bpe *b, const struct joins *j)
{
    uint32_t sym[BPE_SHORT], space;

    if (!j->ascii_known || j->crossing <= j->last_run || !vocab_find(b->model.vocab, STR(SPACE), &space))
        return;
    for (size_t n = 2; n <= BPE_SHORT; n++) {
        for (size_t i = 0; i < n; i++)
            sym[i] = space;
        size_t left = bpe_merge_short(b, sym, n);
        if (!(j->kinds[sym[left - 1]] & KIND_CROSSES))
            b->runs |= 1ull << n;
    }
}

/* ---- the table ---- */

static bool cut_at(const struct joins *j, unsigned p, unsigned c)
{
    if (c == (uint8_t)SPACE[0])
        return !j->space[p];
    return j->ascii_known && p < 0x80 && c < 0x80 && !(j->ascii[p][c / 64] >> (c % 64) & 1);
}

/* Two bytes, as this machine reads them at once. */
static inline unsigned pair_at(const uint8_t *p)
{
    uint16_t pair;

    memcpy(&pair, p, sizeof(pair));
    return pair;
}

static int make_cuts(struct bpe *b, const struct joins *j)
{
    b->cuts = malloc(PAIRS);
    if (!b->cuts)
        return ERR_NOMEM;
    for (unsigned pair = 0; pair < PAIRS; pair++) {
        uint8_t bytes[2] = { (uint8_t)pair, (uint8_t)(pair >> 8) };
        b->cuts[pair_at(bytes)] = cut_at(j, bytes[0], bytes[1]);
    }
    find_runs(b, j);
    return 0;
}

int bpe_words_init(struct bpe *b, const struct bpe_config *c)
{
    if (b->byte_level || !b->plain || b->ranks_are_ids)
        return 0;
    struct joins *j = calloc(1, sizeof(*j));
    if (!j)
        return ERR_NOMEM;
    j->crossing = BPE_NONE;
    int r = find_kinds(j, c->vocab);
    if (r == 0)
        b->words = may_cut(b, c, j);
    if (r == 0 && b->words)
        r = make_cuts(b, j);
    free(j->kinds);
    free(j);
    return r;
}

static void find_ascii_pairs(struct bpe *b)
{
    const uint32_t *ids = b->pages + ((size_t)(b->page_of[0] - 1) << BPE_PAGE_BITS);

    b->ascii_pair = reallocarray(NULL, ASCII_PAIRS, sizeof(*b->ascii_pair));
    for (unsigned pair = 0; b->ascii_pair && pair < ASCII_PAIRS; pair++)
        b->ascii_pair[pair] = bpe_pairs_rank(&b->pairs, ids[pair >> 7], ids[pair & 127]); /* no merge has BPE_NONE */
}

/* In the tables ' ' gets what U+2581 has. Behind a blank there is no cut: what follows is in the same run or in the same word. */
bool bpe_take_blanks(struct model *m)
{
    struct bpe *b = CONTAINER_OF(m, struct bpe, model);
    uint32_t space;

    if (b->blanks)
        return true;
    if (!b->words || b->whole_first || !b->page_of[0] || !vocab_find(m->vocab, STR(SPACE), &space))
        return false;
    b->pages[(size_t)(b->page_of[0] - 1) << BPE_PAGE_BITS | ' '] = space;
    for (unsigned i = 0; i < 256; i++) {
        uint8_t before[2] = { (uint8_t)i, ' ' }, same[2] = { (uint8_t)i, (uint8_t)SPACE[0] }, behind[2] = { ' ', (uint8_t)i };
        b->cuts[pair_at(before)] = b->cuts[pair_at(same)];
        b->cuts[pair_at(behind)] = 0;
    }
    b->blanks = true;
    find_ascii_pairs(b); /* without memory for it, the table of merges is asked */
    return true;
}

size_t bpe_words_memory(const struct bpe *b)
{
    return (b->cuts ? PAIRS : 0) + (b->ascii_pair ? ASCII_PAIRS * sizeof(*b->ascii_pair) : 0);
}

/* ---- cutting ---- */

/* Bit i: there may be a cut before text[i], i < n <= 64. Eight at a time, so that the shifts are constants. */
static inline uint64_t cuts_before(const uint8_t *cuts, const uint8_t *text, size_t n)
{
    uint64_t bits = 0;
    size_t i = 0;

    for (text--; n - i >= 8; i += 8) {
        unsigned eight = 0;
        for (unsigned k = 0; k < 8; k++)
            eight |= (unsigned)cuts[pair_at(text + i + k)] << k;
        bits |= (uint64_t)eight << i;
    }
    for (; i < n; i++)
        bits |= (uint64_t)cuts[pair_at(text + i)] << i;
    return bits;
}

/* Bytes of the U+2581 at AT, 0 = there is none. */
static inline size_t space_at(const struct bpe *b, const char *text, size_t at, size_t end)
{
    if (at < end && text[at] == ' ')
        return b->blanks;
    return end - at >= SPACE_N && is_space(text + at) ? SPACE_N : 0;
}

/* The run of U+2581 that begins at AT with one of N bytes: where it ends, if it is a word of its own and not the last; 0 = it is not. */
static size_t run_end(const struct bpe *b, const char *text, size_t at, size_t n, size_t end)
{
    size_t spaces_n = 0;

    for (; n; n = space_at(b, text, at, end)) {
        at += n;
        spaces_n++;
    }
    return spaces_n <= BPE_SHORT && b->runs >> spaces_n & 1 && at < end ? at : 0;
}

void bpe_cutter_init(struct bpe_cutter *c, const struct bpe *b, const char *text, size_t begin, size_t end)
{
    *c = (struct bpe_cutter){ .b = b, .text = text, .begin = begin, .end = end, .next = begin + 1 };
    if (b->runs)
        c->run_end = run_end(b, text, begin, space_at(b, text, begin, end), end);
}

size_t bpe_cutter_fill(struct bpe_cutter *c, uint32_t *ends, size_t max)
{
    const char *text = c->text;
    size_t n = 0;

    while (n < max) {
        if (c->run_end) {
            ends[n++] = (uint32_t)c->run_end;
            c->run_end = 0;
            continue;
        }
        if (!c->bits) {
            if (c->next >= c->end) {
                ends[n++] = (uint32_t)c->end;
                break;
            }
            const uint8_t *from = (const uint8_t *)text + c->next;
            size_t here = MIN(c->end - c->next, 64);
            c->bits = here == 64 ? cuts_before(c->b->cuts, from, 64) : cuts_before(c->b->cuts, from, here);
            c->base = c->next;
            c->next += here;
            continue;
        }
        size_t at = c->base + (size_t)__builtin_ctzll(c->bits);
        c->bits &= c->bits - 1;
        if (text[at] == SPACE[0] || text[at] == ' ') {
            size_t one = space_at(c->b, text, at, c->end);
            if (text[at] == SPACE[0] && !one)
                continue; /* another character */
            if (at - c->begin >= SPACE_N && is_space(text + at - SPACE_N))
                continue; /* inside a run */
            if (one && c->b->runs && space_at(c->b, text, at + one, c->end))
                c->run_end = run_end(c->b, text, at, one, c->end);
        }
        ends[n++] = (uint32_t)at;
    }
    return n;
}
