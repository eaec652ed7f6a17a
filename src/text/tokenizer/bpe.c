/* text/tokenizer/bpe.c -- the BPE model: tables from vocabulary and merges
 *
 * What is made at load, in this order: merges by pair (bpe_pairs.c); the id that each merge makes; tokens by byte (byte-level) or by character; the fallback tokens <0x00> to <0xFF>; where
 * text may be cut (bpe_words.c).
 * Rank vocabularies (tiktoken) list no merges: any two neighbours whose bytes together are a token may merge, with the token's id as rank. All such pairs are made here, so that encoding has one way only.
 * Half a million pairs in one word each, at most half full: 8 MiB.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/tokenizer/bpe_internal.h"

#define AFFIXES_MAX    200 /* bytes of prefix and suffix together; known models have two to four */
#define RANK_TOKEN_MAX 512 /* bytes of a token in a file of ranks: its splits are looked at one by one */
#define BYTE_PAIRS     ((size_t)65536)
#define PAGE_CHARS     ((size_t)1 << BPE_PAGE_BITS)

static size_t memory(const struct model *m)
{
    const struct bpe *b = CONTAINER_OF(m, struct bpe, model);

    return sizeof(*b) + vocab_memory(m->vocab) + bpe_pairs_memory(&b->pairs) + (b->merged ? b->ranks_end * sizeof(uint32_t) : 0) +
           (b->byte_pair ? BYTE_PAIRS * sizeof(uint32_t) : 0) + (b->page_of ? BPE_PAGES * sizeof(uint16_t) : 0) +
           b->pages_n * PAGE_CHARS * sizeof(uint32_t) + bpe_words_memory(b);
}

static void free_model(struct model *m)
{
    if (!m)
        return;
    struct bpe *b = CONTAINER_OF(m, struct bpe, model);
    vocab_free(m->vocab);
    bpe_pairs_fini(&b->pairs);
    free(b->merged);
    free(b->byte_pair);
    free(b->affixes);
    free(b->cuts);
    free(b->ascii_pair);
    free(b->page_of);
    free(b->pages);
    free(b);
}

static const struct model_ops OPS = {
    .name = "BPE",
    .state_new = bpe_state_new,
    .state_free = bpe_state_free,
    .encode = bpe_encode,
    .take_blanks = bpe_take_blanks,
    .encode_marked = bpe_encode_marked,
    .memory = memory,
    .free = free_model,
};

/* ---- merges ---- */

static int too_alike(struct err *err)
{
    return err_set(err, ERR_LIMIT, "merges: too many pairs of tokens with the same hash; the file was made to be slow");
}

static int take_merges(struct bpe *b, const struct bpe_config *c, struct err *err)
{
    uint32_t ids_end = vocab_id_end(c->vocab);

    if (c->merges_n >= UINT32_MAX)
        return err_set(err, ERR_LIMIT, "merges: %zu of them; at most 4294967294 are taken", c->merges_n);
    b->ranks_end = (uint32_t)c->merges_n;
    b->merged = reallocarray(NULL, MAX(c->merges_n, 1), sizeof(*b->merged));
    if (!b->merged || bpe_pairs_init(&b->pairs, c->merges_n, ids_end, b->ranks_end) < 0)
        return ERR_NOMEM;
    for (uint32_t rank = 0; rank < b->ranks_end; rank++) {
        const struct bpe_merge *m = &c->merges[rank];
        if (m->a >= ids_end || m->b >= ids_end || m->merged >= ids_end)
            return err_set(err, ERR_INVALID, "merges[%u]: an id that is not in the vocabulary, whose ids end at %u", rank, ids_end);
        b->merged[rank] = m->merged;
        if (bpe_pairs_put(&b->pairs, m->a, m->b, rank) < 0)
            return too_alike(err);
    }
    return 0;
}

struct pair_list {
    struct bpe_merge *v; /* owned */
    size_t n, cap;
};

static int add_splits(const struct vocab *v, uint32_t id, struct str text, struct pair_list *list)
{
    for (size_t at = 1; at < text.n; at++) {
        struct bpe_merge m = { .merged = id };
        if (!vocab_find(v, (struct str){ text.p, at }, &m.a) || !vocab_find(v, str_skip(text, at), &m.b))
            continue;
        if (list->n == list->cap) {
            size_t cap = list->cap ? list->cap * 2 : 4096;
            struct bpe_merge *grown = reallocarray(list->v, cap, sizeof(*grown));
            if (!grown)
                return ERR_NOMEM;
            list->v = grown;
            list->cap = cap;
        }
        list->v[list->n++] = m;
    }
    return 0;
}

static int pairs_of_ranks(struct bpe *b, struct pair_list *list, struct err *err)
{
    const struct vocab *v = b->model.vocab;

    b->ranks_end = vocab_id_end(v);
    for (uint32_t id = 0; id < b->ranks_end; id++) {
        struct str text;
        if (!vocab_bytes(v, id, &text))
            continue;
        if (text.n > RANK_TOKEN_MAX)
            return err_set(err, ERR_LIMIT, "token %u: %zu bytes; tokens of a file of ranks have at most %d", id, text.n,
                           RANK_TOKEN_MAX);
        int r = add_splits(v, id, text, list);
        if (r < 0)
            return r;
    }
    if (bpe_pairs_init(&b->pairs, list->n, b->ranks_end, b->ranks_end) < 0)
        return ERR_NOMEM;
    for (size_t i = 0; i < list->n; i++)
        if (bpe_pairs_put(&b->pairs, list->v[i].a, list->v[i].b, list->v[i].merged) < 0)
            return too_alike(err);
    return 0;
}

static int take_ranks(struct bpe *b, struct err *err)
{
    struct pair_list list = { 0 };
    int r = pairs_of_ranks(b, &list, err);

    free(list.v);
    return r;
}

/* ---- first symbols ---- */

static void find_bytes(struct bpe *b)
{
    b->all_bytes = b->plain;
    for (unsigned i = 0; i < 256; i++) {
        char byte = (char)i;
        if (!vocab_find(b->model.vocab, (struct str){ &byte, 1 }, &b->byte_ids[i])) {
            b->byte_ids[i] = BPE_NONE;
            b->all_bytes = false;
        }
    }
}

static void find_fallbacks(struct bpe *b)
{
    for (unsigned i = 0; i < 256; i++) {
        char text[8];
        int n = snprintf(text, sizeof(text), "<0x%02X>", i);
        if (!b->byte_fallback || !vocab_find_text(b->model.vocab, (struct str){ text, (size_t)n }, &b->fallback_ids[i]))
            b->fallback_ids[i] = BPE_NONE;
    }
}

static int find_byte_pairs(struct bpe *b)
{
    if (!b->all_bytes)
        return 0;
    b->byte_pair = reallocarray(NULL, BYTE_PAIRS, sizeof(*b->byte_pair));
    if (!b->byte_pair)
        return ERR_NOMEM;
    for (unsigned i = 0; i < BYTE_PAIRS; i++)
        b->byte_pair[i] = bpe_pairs_rank(&b->pairs, b->byte_ids[i >> 8], b->byte_ids[i & 255]);
    return 0;
}

/* The character that TEXT is, or BPE_NONE: none, or several. TEXT is UTF-8, or the token never matches. */
static uint32_t only_char(struct str text)
{
    const unsigned char *p = (const unsigned char *)text.p;
    size_t n = text.n;

    if (n == 0 || n > 4 || n != (*p < 0x80 ? 1u : *p < 0xc0 ? 5u : *p < 0xe0 ? 2u : *p < 0xf0 ? 3u : 4u))
        return BPE_NONE;
    uint32_t c = n == 1 ? *p : *p & (0xffu >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return BPE_NONE;
        c = c << 6 | (p[i] & 0x3f);
    }
    return c < 0x110000 ? c : BPE_NONE;
}

static int find_chars(struct bpe *b)
{
    uint32_t end = vocab_id_end(b->model.vocab);
    struct str text;

    b->page_of = calloc(BPE_PAGES, sizeof(*b->page_of));
    if (!b->page_of)
        return ERR_NOMEM;
    for (uint32_t id = 0; id < end; id++) {
        uint32_t c = vocab_bytes(b->model.vocab, id, &text) ? only_char(text) : BPE_NONE;
        if (c != BPE_NONE && !b->page_of[c >> BPE_PAGE_BITS])
            b->page_of[c >> BPE_PAGE_BITS] = (uint16_t)++b->pages_n;
    }
    b->pages = reallocarray(NULL, MAX(b->pages_n, 1) * PAGE_CHARS, sizeof(*b->pages));
    if (!b->pages)
        return ERR_NOMEM;
    memset(b->pages, 0xff, MAX(b->pages_n, 1) * PAGE_CHARS * sizeof(*b->pages));
    for (uint32_t id = 0; id < end; id++) {
        uint32_t c = vocab_bytes(b->model.vocab, id, &text) ? only_char(text) : BPE_NONE;
        if (c != BPE_NONE)
            b->pages[(size_t)(b->page_of[c >> BPE_PAGE_BITS] - 1) << BPE_PAGE_BITS | (c & (PAGE_CHARS - 1))] = id;
    }
    return 0;
}

/* ---- the model ---- */

static int take_affixes(struct bpe *b, const struct bpe_config *c, struct err *err)
{
    struct str prefix = c->continuing_subword_prefix, suffix = c->end_of_word_suffix;

    b->plain = prefix.n == 0 && suffix.n == 0;
    if (prefix.n > AFFIXES_MAX || suffix.n > AFFIXES_MAX || prefix.n + suffix.n > AFFIXES_MAX)
        return err_set(err, ERR_LIMIT, "continuing_subword_prefix and end_of_word_suffix: %zu bytes; at most %d are taken",
                       prefix.n + suffix.n, AFFIXES_MAX);
    b->affixes = malloc(AFFIXES_MAX);
    if (!b->affixes)
        return ERR_NOMEM;
    if (prefix.n)
        memcpy(b->affixes, prefix.p, prefix.n);
    if (suffix.n)
        memcpy(b->affixes + prefix.n, suffix.p, suffix.n);
    b->prefix_n = prefix.n;
    b->suffix_n = suffix.n;
    b->spread = b->plain && !(b->byte_level && b->byte_fallback) ? 1 : (uint32_t)(prefix.n + suffix.n) + 4;
    return 0;
}

static int build(struct bpe *b, const struct bpe_config *c, struct err *err)
{
    int r = take_affixes(b, c, err);

    if (r < 0)
        return r;
    if (b->has_unk && b->unk_id >= vocab_id_end(c->vocab))
        return err_set(err, ERR_INVALID, "unk_token: id %u is not in the vocabulary", b->unk_id);
    r = b->ranks_are_ids ? take_ranks(b, err) : take_merges(b, c, err);
    if (r < 0)
        return r;
    find_fallbacks(b);
    if (b->byte_level)
        find_bytes(b);
    r = b->byte_level ? find_byte_pairs(b) : find_chars(b);
    if (r < 0)
        return r;
    return bpe_words_init(b, c);
}

int bpe_model_new(const struct bpe_config *c, struct model **ret, struct err *err)
{
    struct bpe *b = calloc(1, sizeof(*b));

    if (!b) {
        vocab_free(c->vocab);
        return err_set(err, ERR_NOMEM, "no memory for the model");
    }
    b->model = (struct model){ &OPS, c->vocab };
    b->byte_level = vocab_is_byte_level(c->vocab);
    b->ranks_are_ids = c->ranks_are_ids;
    b->whole_first = c->ranks_are_ids || c->ignore_merges;
    b->has_unk = c->has_unk;
    b->unk_missing = c->unk_missing;
    b->unk_id = c->unk_id;
    b->fuse_unk = c->fuse_unk;
    b->byte_fallback = c->byte_fallback;
    int r = build(b, c, err);
    if (r < 0) {
        free_model(&b->model);
        return r == ERR_NOMEM ? err_set(err, r, "no memory for the tables of the model") : r;
    }
    *ret = &b->model;
    return 0;
}
