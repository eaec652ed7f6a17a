/* text/tokenizer/bpe_symbols.c -- a piece to the symbols that merging begins with: one per byte or character, unknown ones as the model wants them
 *
 * Two ways: text without anything unknown and without prefix and suffix is a table look-up per byte or character; all else goes the way of the definition (spec 3.5), whose order matters: what is unknown
 * is pending until the next known character or the end, and the bytes of a fallback do not end it.
 */
#include <string.h>

#include "text/tokenizer/bpe_internal.h"

/* Reads the character at p; text is valid UTF-8, but nothing is read behind END whatever it is. */
static uint32_t read_char(const unsigned char *p, const unsigned char *end, size_t *ret_n)
{
    size_t n = *p < 0x80 ? 1 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : 4;
    uint32_t c = n == 1 ? *p : *p & (0xffu >> (n + 1));

    n = MIN(n, (size_t)(end - p));
    for (size_t i = 1; i < n; i++)
        c = c << 6 | (p[i] & 0x3f);
    *ret_n = n;
    return c;
}

static uint32_t id_of_char(const struct bpe *b, uint32_t c)
{
    size_t page = c < 0x110000 ? b->page_of[c >> BPE_PAGE_BITS] : 0;

    return page ? b->pages[(page - 1) << BPE_PAGE_BITS | (c & ((1u << BPE_PAGE_BITS) - 1))] : BPE_NONE;
}

struct putter {
    const struct bpe *b;
    uint32_t *out;
    size_t n;
    bool pending; /* an unknown character that is not put yet */
    bool failed;  /* it has no token at all */
};

static void flush(struct putter *p)
{
    if (p->pending)
        p->out[p->n++] = p->b->unk_id;
    p->pending = false;
}

static void put(struct putter *p, uint32_t id)
{
    flush(p);
    p->out[p->n++] = id;
}

/* A character that is no token; TEXT as the vocabulary spells it. */
static void put_unknown(struct putter *p, struct str text)
{
    const struct bpe *b = p->b;
    bool whole = b->byte_fallback;

    for (size_t i = 0; whole && i < text.n; i++)
        whole = b->fallback_ids[(uint8_t)text.p[i]] != BPE_NONE;
    if (whole) {
        for (size_t i = 0; i < text.n; i++)
            p->out[p->n++] = b->fallback_ids[(uint8_t)text.p[i]];
    } else if (b->has_unk) {
        if (!b->fuse_unk)
            flush(p);
        p->pending = true;
    } else if (b->unk_missing)
        p->failed = true;
}

/* A character with prefix and suffix: in a vocabulary it may stand for more than itself. */
static void put_spelled(struct putter *p, struct str c, bool first, bool last)
{
    const struct bpe *b = p->b;
    char near[256], *text = near;
    size_t n = 0;
    uint32_t id;

    if (!first) {
        memcpy(text, b->affixes, b->prefix_n);
        n += b->prefix_n;
    }
    memcpy(text + n, c.p, c.n);
    n += c.n;
    if (last) {
        memcpy(text + n, b->affixes + b->prefix_n, b->suffix_n);
        n += b->suffix_n;
    }
    if (vocab_find_text(b->model.vocab, (struct str){ text, n }, &id))
        put(p, id);
    else
        put_unknown(p, (struct str){ text, n });
}

static struct str spell_byte(uint8_t byte, char text[2])
{
    uint32_t c = byte_level_char(byte);

    if (c < 0x80) {
        text[0] = (char)c;
        return (struct str){ text, 1 };
    }
    text[0] = (char)(0xc0 | c >> 6);
    text[1] = (char)(0x80 | (c & 0x3f));
    return (struct str){ text, 2 };
}

static size_t of_bytes(const struct bpe *b, struct str piece, uint32_t *out)
{
    const unsigned char *s = (const unsigned char *)piece.p;
    struct putter p = { .b = b, .out = out };

    for (size_t i = 0; i < piece.n; i++) {
        char text[2];
        uint32_t id = b->byte_ids[s[i]];
        if (!b->plain)
            put_spelled(&p, spell_byte(s[i], text), i == 0, i + 1 == piece.n);
        else if (id != BPE_NONE)
            put(&p, id);
        else if (b->ranks_are_ids)
            return SIZE_MAX;
        else
            put_unknown(&p, spell_byte(s[i], text));
    }
    flush(&p);
    return p.failed ? SIZE_MAX : p.n;
}

static size_t of_chars(const struct bpe *b, struct str piece, uint32_t *out)
{
    const unsigned char *s = (const unsigned char *)piece.p, *end = s + piece.n;
    struct putter p = { .b = b, .out = out };

    for (size_t n; s < end; s += n) {
        uint32_t id = id_of_char(b, read_char(s, end, &n));
        struct str text = { (const char *)s, n };
        if (!b->plain)
            put_spelled(&p, text, (const char *)s == piece.p, s + n == end);
        else if (id != BPE_NONE)
            put(&p, id);
        else
            put_unknown(&p, text);
    }
    flush(&p);
    return p.failed ? SIZE_MAX : p.n;
}

size_t bpe_symbols(const struct bpe *b, struct str piece, uint32_t *out)
{
    if (!b->byte_level)
        return of_chars(b, piece, out);
    if (!b->all_bytes)
        return of_bytes(b, piece, out);
    for (size_t i = 0; i < piece.n; i++)
        out[i] = b->byte_ids[(uint8_t)piece.p[i]];
    return piece.n;
}
