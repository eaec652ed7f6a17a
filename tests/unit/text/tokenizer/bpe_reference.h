/* bpe_reference.h -- BPE as its definition reads: strings, a list of symbols, and a search through all merges for each step
 *
 * The oracle of the unit test and of the fuzz target. Shares nothing with the product but the vocabulary.
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>

#include "text/tokenizer/model.h"

#define REFERENCE_SYMBOLS 65536 /* of a piece */

static inline struct str reference_char(const struct bpe_config *c, const char *p, const char *end, char spelled[4], size_t *ret_n)
{
    unsigned char first = (unsigned char)*p;

    if (vocab_is_byte_level(c->vocab)) {
        uint32_t code = byte_level_char(first);
        *ret_n = 1;
        if (code < 0x80) {
            spelled[0] = (char)code;
            return (struct str){ spelled, 1 };
        }
        spelled[0] = (char)(0xc0 | code >> 6);
        spelled[1] = (char)(0x80 | (code & 0x3f));
        return (struct str){ spelled, 2 };
    }
    size_t n = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    *ret_n = n < (size_t)(end - p) ? n : (size_t)(end - p);
    return (struct str){ p, *ret_n };
}

static inline bool reference_fallback(const struct bpe_config *c, struct str s, uint32_t *sym, size_t *n)
{
    size_t to = *n;

    for (size_t i = 0; i < s.n; i++) {
        char name[8];
        snprintf(name, sizeof(name), "<0x%02X>", (unsigned char)s.p[i]);
        if (!vocab_find_text(c->vocab, (struct str){ name, 6 }, &sym[to]))
            return false;
        to++;
    }
    *n = to;
    return true;
}

/* The first symbols of a piece; -1: a rank vocabulary without that byte, or an unknown token that is not there. */
static inline int reference_symbols(const struct bpe_config *c, struct str piece, uint32_t *sym, size_t *ret_n)
{
    const char *p = piece.p, *end = piece.p + piece.n;
    bool pending = false;
    size_t n = 0, step;

    for (; p < end; p += step) {
        char spelled[4], text[512];
        struct str ch = reference_char(c, p, end, spelled, &step), s = { text, 0 };
        uint32_t id;
        struct str parts[3] = { p > piece.p ? c->continuing_subword_prefix : STR_NONE, ch,
                                p + step == end ? c->end_of_word_suffix : STR_NONE };
        for (int i = 0; i < 3; i++) {
            if (parts[i].n)
                memcpy(text + s.n, parts[i].p, parts[i].n);
            s.n += parts[i].n;
        }
        if (c->ranks_are_ids) {
            if (!vocab_find(c->vocab, (struct str){ p, 1 }, &sym[n++]))
                return -1;
        } else if (vocab_find_text(c->vocab, s, &id)) {
            if (pending)
                sym[n++] = c->unk_id;
            pending = false;
            sym[n++] = id;
        } else if (c->byte_fallback && reference_fallback(c, s, sym, &n)) {
            continue;
        } else if (c->has_unk) {
            if (pending && !c->fuse_unk)
                sym[n++] = c->unk_id;
            pending = true;
        } else if (c->unk_missing)
            return -1;
    }
    if (pending)
        sym[n++] = c->unk_id;
    *ret_n = n;
    return 0;
}

/* The rank of a merge (the last of equal pairs counts) and what it makes. */
static inline uint32_t reference_rank(const struct bpe_config *c, uint32_t a, uint32_t b, uint32_t *ret_merged)
{
    if (!c->ranks_are_ids) {
        for (size_t i = c->merges_n; i-- > 0;)
            if (c->merges[i].a == a && c->merges[i].b == b) {
                *ret_merged = c->merges[i].merged;
                return (uint32_t)i;
            }
        return UINT32_MAX;
    }
    struct str x, y;
    char both[2048];
    if (!vocab_bytes(c->vocab, a, &x) || !vocab_bytes(c->vocab, b, &y) || x.n + y.n > sizeof(both))
        return UINT32_MAX;
    memcpy(both, x.p, x.n);
    memcpy(both + x.n, y.p, y.n);
    return vocab_find(c->vocab, (struct str){ both, x.n + y.n }, ret_merged) ? *ret_merged : UINT32_MAX;
}

/* SYM has room for REFERENCE_SYMBOLS. */
static inline int reference_encode(const struct bpe_config *c, struct str piece, uint32_t *sym, size_t *ret_n)
{
    size_t n;

    if ((c->ignore_merges || c->ranks_are_ids) && vocab_find(c->vocab, piece, sym)) {
        *ret_n = 1;
        return 0;
    }
    if (reference_symbols(c, piece, sym, &n) < 0)
        return -1;
    for (;;) {
        uint32_t best = UINT32_MAX, becomes = 0, merged = 0;
        size_t at = 0;
        for (size_t i = 0; i + 1 < n; i++) {
            uint32_t rank = reference_rank(c, sym[i], sym[i + 1], &merged);
            if (rank < best) {
                best = rank;
                becomes = merged;
                at = i;
            }
        }
        if (best == UINT32_MAX)
            break;
        sym[at] = becomes;
        memmove(&sym[at + 1], &sym[at + 2], (n - at - 2) * sizeof(*sym));
        n--;
    }
    *ret_n = n;
    return 0;
}

/* A model and texts from bytes: what the property test and the fuzz target have in common. */
struct reference_case {
    struct bpe_config config;
    struct bpe_merge merges[64];
    char prefix[4], suffix[4];
};

struct reference_bytes {
    const uint8_t *p;
    size_t n;
};
static inline unsigned reference_take(struct reference_bytes *b)
{
    if (b->n == 0)
        return 0;
    b->n--;
    return *b->p++;
}

/* Characters of one to four bytes, U+2581 among them. */
static const struct str REFERENCE_CHARS[] = { STR_INIT("a"),
                                              STR_INIT("b"),
                                              STR_INIT("c"),
                                              STR_INIT("#"),
                                              STR_INIT("\xc3\xa9"),
                                              STR_INIT("\xe2\x96\x81"),
                                              STR_INIT("\xe4\xb8\xad"),
                                              STR_INIT("\xf0\x9f\x99\x82") };

/* A vocabulary of random tokens over a small alphabet, closed under its merges; NULL: no memory. */
static inline struct vocab *reference_vocab(struct reference_case *k, struct reference_bytes *in, bool byte_level)
{
    struct vocab_builder *b;
    struct vocab *v;
    char texts[128][64];
    size_t lens[128], n = 0;
    unsigned have = reference_take(in);

    if (vocab_builder_new(byte_level, 64, 1024, &b) < 0)
        return NULL;
    for (unsigned i = 0; i < 8; i++)
        if (!(have >> i & 1) || i < 2) {
            memcpy(texts[n], REFERENCE_CHARS[i].p, REFERENCE_CHARS[i].n);
            lens[n++] = REFERENCE_CHARS[i].n;
        }
    if (byte_level)
        for (unsigned i = 0; i < 4; i++)
            lens[n] = (size_t)snprintf(texts[n], 64, "\xc3%c", "\xa2\xa4\xa9\xb0"[i]), n++;
    unsigned flags = reference_take(in);
    if (flags & 1) {
        static const unsigned char bytes[] = { 'a', '#', 0xc3, 0xa9, 0xe2, 0x96, 0x81, 0xe4, 0xb8 };
        for (unsigned i = 0; i < sizeof(bytes); i++)
            lens[n] = (size_t)snprintf(texts[n], 64, "<0x%02X>", bytes[i]), n++;
    }
    memcpy(texts[n], (flags & 2) ? "<unk>" : "\xe2\x96\x81u", 5);
    lens[n++] = 5 - ((flags & 2) ? 0 : 1);
    k->config.unk_id = (uint32_t)n - 1;
    k->config.has_unk = flags & 4;
    size_t prefix = k->config.continuing_subword_prefix.n;
    for (unsigned round = 0; round < 2 && (prefix || k->config.end_of_word_suffix.n); round++)
        for (unsigned i = 0, end = (unsigned)n; i < end && i < 6 && n < 60; i++) { /* with prefix, then with suffix */
            struct str affix = round ? k->config.end_of_word_suffix : k->config.continuing_subword_prefix;
            char text[64];
            size_t len = 0;
            if (!round && affix.n)
                memcpy(text, affix.p, affix.n), len = affix.n;
            memcpy(text + len, texts[i], lens[i]), len += lens[i];
            if (round && affix.n)
                memcpy(text + len, affix.p, affix.n), len += affix.n;
            memcpy(texts[n], text, len);
            lens[n++] = len;
        }
    for (size_t i = 0; i < n; i++)
        if (vocab_builder_add(b, (struct str){ texts[i], lens[i] }, (uint32_t)i) < 0)
            goto fail;
    for (unsigned m = reference_take(in) % 64; m > 0 && in->n > 0 && n < 120; m--) {
        uint32_t x = reference_take(in) % n, y = reference_take(in) % n;
        size_t skip = prefix <= lens[y] ? prefix : lens[y], len = lens[x] + lens[y] - skip, at = 0;
        if (len > 40)
            continue;
        memcpy(texts[n], texts[x], lens[x]);
        memcpy(texts[n] + lens[x], texts[y] + skip, lens[y] - skip);
        while (at < n && (lens[at] != len || memcmp(texts[at], texts[n], len) != 0))
            at++;
        if (at == n) {
            lens[n] = len;
            if (vocab_builder_add(b, (struct str){ texts[n], len }, (uint32_t)n) < 0)
                goto fail;
            n++;
        }
        k->merges[k->config.merges_n++] = (struct bpe_merge){ x, y, (uint32_t)at };
    }
    if ((flags & 16) && k->config.byte_fallback) /* no character is unknown: text is cut more finely */
        for (unsigned i = 0; i < 256; i++) {
            char name[8];
            size_t at = 0;
            snprintf(name, sizeof(name), "<0x%02X>", i);
            while (at < n && (lens[at] != 6 || memcmp(texts[at], name, 6) != 0))
                at++;
            if (at == n && vocab_builder_add(b, (struct str){ name, 6 }, 600 + i) < 0)
                goto fail;
        }
    if (k->config.ranks_are_ids && !(flags & 8))
        for (unsigned i = 0; i < 256; i++) {
            char byte = (char)i;
            if (vocab_builder_add_bytes(b, (struct str){ &byte, 1 }, 1000 + i) < 0)
                goto fail;
        }
    return vocab_builder_finish(b, &v) < 0 ? NULL : v;
fail:
    vocab_builder_free(b);
    return NULL;
}

/* Names are unique by construction, so each config means one thing. False: no memory. */
static inline bool reference_make(struct reference_case *k, struct reference_bytes *in)
{
    unsigned flags = reference_take(in), more = reference_take(in);

    *k = (struct reference_case){ 0 };
    k->config.merges = k->merges;
    k->config.ranks_are_ids = (flags & 7) == 7;
    k->config.fuse_unk = flags & 8;
    k->config.byte_fallback = flags & 16;
    k->config.ignore_merges = (flags & 96) == 96;
    if (!k->config.ranks_are_ids && (more & 6) == 6) {
        k->config.continuing_subword_prefix = more & 8 ? STR("#") : STR_NONE;
        k->config.end_of_word_suffix = more & 16 ? STR("c") : STR_NONE;
    }
    k->config.vocab = reference_vocab(k, in, k->config.ranks_are_ids || (more & 1));
    if (k->config.ranks_are_ids)
        k->config.merges_n = 0;
    k->config.unk_missing = !k->config.has_unk && (more & 32);
    return k->config.vocab != NULL;
}

/* The rest of the bytes as text of the small alphabet; returns its length. */
static inline size_t reference_text(struct reference_bytes *in, char *out, size_t max)
{
    size_t n = 0;

    while (in->n > 0 && n + 16 * 4 < max) {
        unsigned c = reference_take(in), times = c >= 0xf0 ? 16 : 1;
        struct str s = c >= 0xe0 ? STR("x") : REFERENCE_CHARS[c % 8];
        if (c >= 0xf0)
            s = REFERENCE_CHARS[c % 8];
        for (unsigned i = 0; i < times; i++, n += s.n)
            memcpy(out + n, s.p, s.n);
    }
    return n;
}

/* TEXT with some of its U+2581 written as ' ', as a model reads it that has taken blanks; returns its length. */
static inline size_t reference_blanks(struct str text, unsigned which, char *out)
{
    size_t n = 0, spaces = 0;

    for (size_t i = 0; i < text.n;) {
        bool space = text.n - i >= 3 && memcmp(text.p + i, "\xe2\x96\x81", 3) == 0;
        bool blank = space && which >> (spaces++ % 8) & 1;
        out[n++] = blank ? ' ' : text.p[i];
        i += blank ? 3 : 1;
    }
    return n;
}

/* What a text is with a mark: the ids of FRONT, ID, the ids of BACK, to WANT. False: the model has no ids for it. */
static inline bool reference_marked(const struct bpe_config *c, struct str front, uint32_t id, struct str back, uint32_t *want,
                                    size_t *ret_n)
{
    size_t n = 0, more = 0;

    if (front.n && reference_encode(c, front, want, &n) < 0)
        return false;
    want[n++] = id;
    if (back.n && reference_encode(c, back, want + n, &more) < 0)
        return false;
    *ret_n = n + more;
    return true;
}
