/* text/tokenizer/merges_read.c -- merges, as files list them, to ids
 *
 * A vocabulary of 128k tokens comes with 280k merges, and each asks for three ids: most of the time of loading. So pairs are collected until a batch is full, their raw texts side by side
 * (the merged text is both together and needs no copy), and their ids are asked for together. The merged id is guessed first: files mostly list tokens in the order of their merges.
 * A pair with a part that is no text of the byte-level alphabet, and any pair where the second part loses a prefix, goes the slow way, by its spelling.
 */
#include "text/tokenizer/tokenizer_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/attr.h"

#define MERGES_MAX (1u << 25)

void merges_begin(struct merges_reader *r, const struct vocab *vocab, size_t prefix_n)
{
    r->vocab = vocab;
    r->prefix_n = prefix_n;
    r->merges = NULL;
    r->n = r->cap = r->waiting = r->used = 0;
    r->last = 0;
}

void merges_fini(struct merges_reader *r)
{
    free(r->merges);
    r->merges = NULL;
}

static int unknown(struct err *err, size_t rank, struct str token)
{
    return err_set(err, ERR_INVALID, "merges[%zu]: Token `%.*s` out of vocabulary", rank, STR_FMT(str_first(token, 120)));
}

static int append(struct merges_reader *r, struct bpe_merge merge, struct err *err)
{
    if (r->n == r->cap) {
        size_t cap = r->cap ? r->cap * 2 : 1024;
        struct bpe_merge *p = r->cap >= MERGES_MAX ? NULL : reallocarray(r->merges, cap, sizeof(*p));
        if (!p)
            return err_set(err, r->cap >= MERGES_MAX ? ERR_LIMIT : ERR_NOMEM, "merges: no room for more than %zu", r->n);
        r->merges = p;
        r->cap = cap;
    }
    r->merges[r->n++] = merge;
    r->last = merge.merged;
    return 0;
}

/* By their spelling, one at a time. */
static int put_spelled(struct merges_reader *r, struct str a, struct str b, struct err *err)
{
    struct bpe_merge m;
    _cleanup_(buf_fini) struct buf whole = { 0 };

    if (!vocab_find_text(r->vocab, a, &m.a))
        return unknown(err, r->n, a);
    if (!vocab_find_text(r->vocab, b, &m.b))
        return unknown(err, r->n, b);
    buf_put(&whole, a);
    buf_put(&whole, str_skip(b, MIN(r->prefix_n, b.n)));
    if (whole.failed)
        return err_set(err, ERR_NOMEM, "merges: out of memory");
    if (!vocab_find_text(r->vocab, buf_str(&whole), &m.merged))
        return unknown(err, r->n, buf_str(&whole));
    return append(r, m, err);
}

static int unknown_raw(struct err *err, const struct vocab *v, size_t rank, struct str raw)
{
    _cleanup_(buf_fini) struct buf spelled = { 0 };

    for (size_t i = 0; i < raw.n; i++) {
        uint32_t c = vocab_is_byte_level(v) ? byte_level_char((uint8_t)raw.p[i]) : 0;
        if (c >= 0x80)
            buf_put_char(&spelled, (char)(0xc0 | c >> 6));
        buf_put_char(&spelled, c >= 0x80 ? (char)(0x80 | (c & 0x3f)) : raw.p[i]);
    }
    return unknown(err, rank, buf_str(&spelled));
}

static int flush(struct merges_reader *r, struct err *err)
{
    struct str asked[3 * ARRAY_LEN(r->pairs)];
    uint32_t ids[3 * ARRAY_LEN(r->pairs)];
    size_t n = 0, unsure = 2 * r->waiting; /* where the questions for merged texts begin */

    for (size_t i = 0; i < r->waiting; i++) {
        const char *p = r->bytes + r->pairs[i].at;
        asked[2 * i] = (struct str){ p, r->pairs[i].a };
        asked[2 * i + 1] = (struct str){ p + r->pairs[i].a, r->pairs[i].b };
    }
    uint32_t last = r->last, merged[ARRAY_LEN(r->pairs)];
    for (size_t i = 0; i < r->waiting; i++) {
        struct str whole = { r->bytes + r->pairs[i].at, r->pairs[i].a + r->pairs[i].b }, guess;
        merged[i] = VOCAB_NONE;
        if (vocab_bytes(r->vocab, last + 1, &guess) && str_eq(guess, whole) && !vocab_is_literal(r->vocab, last + 1)) {
            merged[i] = ++last;
        } else {
            asked[unsure + n++] = whole;
        }
    }
    vocab_find_many(r->vocab, asked, unsure + n, ids);
    for (size_t i = 0, k = unsure; i < r->waiting; i++) {
        if (merged[i] == VOCAB_NONE)
            merged[i] = ids[k++];
        for (int part = 0; part < 2; part++) {
            if (ids[2 * i + (size_t)part] == VOCAB_NONE)
                return unknown_raw(err, r->vocab, r->n, asked[2 * i + (size_t)part]);
        }
        if (merged[i] == VOCAB_NONE)
            return unknown_raw(err, r->vocab, r->n, (struct str){ r->bytes + r->pairs[i].at, r->pairs[i].a + r->pairs[i].b });
        int st = append(r, (struct bpe_merge){ ids[2 * i], ids[2 * i + 1], merged[i] }, err);
        if (st < 0)
            return st;
    }
    r->waiting = r->used = 0;
    return 0;
}

/* The raw bytes of one part, behind what is there. SIZE_MAX: not of the alphabet. */
static size_t take(struct merges_reader *r, struct str part)
{
    if (vocab_is_byte_level(r->vocab))
        return byte_level_undo(part, r->bytes + r->used);
    if (part.n)
        memcpy(r->bytes + r->used, part.p, part.n);
    return part.n;
}

int merges_put(struct merges_reader *r, struct str a, struct str b, struct err *err)
{
    bool slow = r->prefix_n || a.n > sizeof(r->bytes) / 2 || b.n > sizeof(r->bytes) / 2;

    if (r->waiting && (slow || r->waiting == ARRAY_LEN(r->pairs) || a.n + b.n > sizeof(r->bytes) - r->used)) {
        int st = flush(r, err);
        if (st < 0)
            return st;
    }
    if (!slow) {
        size_t at = r->used, an = take(r, a), bn = SIZE_MAX;
        if (an != SIZE_MAX) {
            r->used += an;
            bn = take(r, b);
        }
        if (bn != SIZE_MAX) {
            r->used += bn;
            r->pairs[r->waiting].at = (uint32_t)at;
            r->pairs[r->waiting].a = (uint32_t)an;
            r->pairs[r->waiting++].b = (uint32_t)bn;
            return 0;
        }
        r->used = at;
    }
    int st = r->waiting ? flush(r, err) : 0;
    return st < 0 ? st : put_spelled(r, a, b, err);
}

int merges_finish(struct merges_reader *r, struct err *err)
{
    return r->waiting ? flush(r, err) : 0;
}
