/* text/tokenizer/vocab.c -- the tokens of a model: how they lie in memory
 *
 *   bytes   all texts, one behind the other, in the order of the file
 *   places  by id: where its text begins, how long it is, whether it is literal; 8 bytes each
 *   slots   by hash: tag, id, and the place once more, so that a look-up costs one line of the table and one of the bytes; 16 bytes each, linear probing, at most 0.7 full
 *
 * Literal texts share the table; their hash is turned by LITERAL, and the mark is compared like a byte.
 * Time is bounded whatever the texts are: a text that lies further than PROBES_MAX from its place makes the whole vocabulary invalid. With an honest file the longest way is below a hundred.
 */
#include "text/tokenizer/vocab.h"

#include <stdlib.h>
#include <string.h>

#include "base/attr.h"

#define PROBES_MAX 4096
#define LITERAL    0x9e3779b97f4a7c15u

struct place {
    uint32_t at;
    uint32_t mark; /* (length + 1) * 2 + literal; 0 = no token */
};
struct slot {
    uint32_t tag; /* the upper half of the hash */
    uint32_t id;
    struct place place;
};

struct vocab {
    bool byte_level, keeps_repeats, has_repeats;
    uint32_t count, id_end;
    char *bytes; /* owned */
    size_t bytes_n;
    struct place *places; /* owned; id_end of them */
    struct slot *slots;   /* owned */
    size_t mask;          /* slots - 1 */
};

struct entry {
    struct place place;
    uint32_t id;
};
struct vocab_builder {
    bool byte_level, keeps_repeats;
    char *bytes; /* owned */
    size_t bytes_n, bytes_cap;
    struct entry *entries; /* owned */
    size_t n, cap;
    uint32_t id_end;
};

/* ---- the byte-level alphabet: bytes that print stand for themselves, the other 68, in order, for U+0100 and on ---- */

#define ALPHABET_END 0x144 /* one past the highest code point */

static bool prints(unsigned c)
{
    return (c >= 0x21 && c <= 0x7e) || (c >= 0xa1 && c <= 0xac) || (c >= 0xae && c <= 0xff);
}

/* 0x00-0x20 become 0x100-0x120, 0x7f-0xa0 become 0x121-0x142, 0xad becomes 0x143. */
uint32_t byte_level_char(uint8_t byte)
{
    if (prints(byte))
        return byte;
    return byte <= 0x20 ? 0x100u + byte : byte <= 0xa0 ? 0x121u + (byte - 0x7fu) : 0x143u;
}

bool byte_level_byte(uint32_t c, uint8_t *ret)
{
    if (c >= ALPHABET_END || (c < 0x100 && !prints(c)))
        return false;
    if (c >= 0x100) {
        c -= 0x100;
        c = c < 0x21 ? c : c < 0x43 ? c - 0x21 + 0x7f : 0xad;
    }
    *ret = (uint8_t)c;
    return true;
}

size_t byte_level_undo(struct str text, char *out)
{
    const unsigned char *p = (const unsigned char *)text.p, *end = p + text.n;
    size_t n = 0;

    while (p < end) {
        uint8_t byte;
        if (*p >= 0x21 && *p <= 0x7e) {
            out[n++] = (char)*p++;
            continue;
        }
        if ((*p & 0xe0) != 0xc0 || end - p < 2 || (p[1] & 0xc0) != 0x80 ||
            !byte_level_byte((uint32_t)(*p & 0x1f) << 6 | (p[1] & 0x3f), &byte))
            return SIZE_MAX;
        out[n++] = (char)byte;
        p += 2;
    }
    return n;
}

/* ---- building ---- */

void vocab_builder_free(struct vocab_builder *b)
{
    if (!b)
        return;
    free(b->bytes);
    free(b->entries);
    free(b);
}

int vocab_builder_new(bool byte_level, size_t tokens_hint, size_t bytes_hint, struct vocab_builder **ret)
{
    struct vocab_builder *b = calloc(1, sizeof(*b));

    if (!b)
        return ERR_NOMEM;
    b->byte_level = byte_level;
    b->cap = MIN(MAX(tokens_hint, 16), VOCAB_IDS_MAX);
    b->bytes_cap = MIN(MAX(bytes_hint, 64), UINT32_MAX);
    b->entries = reallocarray(NULL, b->cap, sizeof(*b->entries));
    b->bytes = malloc(b->bytes_cap);
    if (!b->entries || !b->bytes) {
        vocab_builder_free(b);
        return ERR_NOMEM;
    }
    *ret = b;
    return 0;
}

void vocab_builder_keep_repeats(struct vocab_builder *b)
{
    b->keeps_repeats = true;
}

static int make_room(struct vocab_builder *b, size_t bytes)
{
    if (b->n == b->cap) {
        struct entry *entries = reallocarray(b->entries, b->cap * 2, sizeof(*entries));
        if (!entries)
            return ERR_NOMEM;
        b->entries = entries;
        b->cap *= 2;
    }
    if (bytes > UINT32_MAX / 2 || b->bytes_n + bytes > UINT32_MAX)
        return ERR_LIMIT;
    if (bytes > b->bytes_cap - b->bytes_n) {
        size_t cap = MAX(b->bytes_cap * 2, b->bytes_n + bytes);
        char *p = realloc(b->bytes, cap);
        if (!p)
            return ERR_NOMEM;
        b->bytes = p;
        b->bytes_cap = cap;
    }
    return 0;
}

static int add(struct vocab_builder *b, struct str text, uint32_t id, bool spelled)
{
    if (id >= VOCAB_IDS_MAX || b->n >= 2 * (size_t)VOCAB_IDS_MAX)
        return ERR_LIMIT;
    int r = make_room(b, text.n);
    if (r < 0)
        return r;

    char *out = b->bytes + b->bytes_n;
    size_t n = spelled ? byte_level_undo(text, out) : SIZE_MAX;
    bool literal = spelled && n == SIZE_MAX;
    if (n == SIZE_MAX) {
        n = text.n;
        if (n)
            memcpy(out, text.p, n);
    }
    b->entries[b->n++] = (struct entry){ { (uint32_t)b->bytes_n, ((uint32_t)n + 1) << 1 | literal }, id };
    b->bytes_n += n;
    b->id_end = MAX(b->id_end, id + 1);
    return 0;
}

int vocab_builder_add(struct vocab_builder *b, struct str text, uint32_t id)
{
    return add(b, text, id, b->byte_level);
}

int vocab_builder_add_bytes(struct vocab_builder *b, struct str bytes, uint32_t id)
{
    return add(b, bytes, id, /* spelled= */ false);
}

static struct str text_of(const struct vocab *v, struct place p)
{
    return (struct str){ v->bytes + p.at, (p.mark >> 1) - 1 };
}

static uint64_t hash_of(struct str text, bool literal)
{
    return str_hash(text) ^ (literal ? LITERAL : 0);
}

static bool holds(const struct vocab *v, const struct slot *s, struct str text, uint32_t tag, uint32_t mark)
{
    return s->tag == tag && s->place.mark == mark && (text.n == 0 || memcmp(v->bytes + s->place.at, text.p, text.n) == 0);
}

static int insert(struct vocab *v, const struct entry *e)
{
    struct str text = text_of(v, e->place);
    uint64_t hash = hash_of(text, e->place.mark & 1);
    uint32_t tag = (uint32_t)(hash >> 32);

    for (size_t i = hash & v->mask, probes = 0; probes < PROBES_MAX; i = (i + 1) & v->mask, probes++) {
        struct slot *s = &v->slots[i];
        bool taken = s->place.mark != 0;
        if (taken && !holds(v, s, text, tag, e->place.mark))
            continue;
        if (taken && s->id != e->id && v->keeps_repeats)
            v->has_repeats = true;
        else if (taken && s->id != e->id && v->places[s->id].at == s->place.at)
            v->places[s->id].mark = 0; /* the text has another id now; the old one means nothing */
        v->count += !taken || v->keeps_repeats;
        *s = (struct slot){ tag, e->id, e->place };
        return 0;
    }
    return ERR_LIMIT;
}

#define AHEAD 16 /* entries whose lines are asked for before they are used */

static int insert_all(struct vocab *v, const struct entry *entries, size_t n)
{
    uint64_t hashes[AHEAD];

    for (size_t from = 0; from < n; from += AHEAD) {
        size_t k = MIN(n - from, AHEAD);
        for (size_t j = 0; j < k; j++) {
            struct place p = entries[from + j].place;
            hashes[j] = hash_of(text_of(v, p), p.mark & 1);
            __builtin_prefetch(&v->slots[hashes[j] & v->mask], 1);
        }
        for (size_t j = 0; j < k; j++) {
            int r = insert(v, &entries[from + j]);
            if (r < 0)
                return r;
            v->places[entries[from + j].id] = entries[from + j].place;
        }
    }
    return 0;
}

static size_t slots_for(size_t n)
{
    size_t slots = 16;

    while (slots * 7 / 10 < n)
        slots *= 2;
    return slots;
}

int vocab_builder_finish(struct vocab_builder *b, struct vocab **ret)
{
    struct vocab *v = calloc(1, sizeof(*v));
    int r = ERR_NOMEM;

    if (!v)
        goto out;
    v->byte_level = b->byte_level;
    v->keeps_repeats = b->keeps_repeats;
    v->id_end = b->id_end;
    v->bytes_n = b->bytes_n;
    char *fit = realloc(b->bytes, MAX(b->bytes_n, 1));
    v->bytes = fit ? fit : b->bytes;
    b->bytes = NULL;
    v->mask = slots_for(b->n) - 1;
    v->slots = calloc(v->mask + 1, sizeof(*v->slots));
    v->places = calloc(MAX(v->id_end, 1), sizeof(*v->places));
    if (!v->slots || !v->places)
        goto out;
    r = insert_all(v, b->entries, b->n);
    if (r < 0)
        goto out;
    *ret = STEAL(v);
out:
    vocab_free(v);
    vocab_builder_free(b);
    return r;
}

void vocab_free(struct vocab *v)
{
    if (!v)
        return;
    free(v->bytes);
    free(v->places);
    free(v->slots);
    free(v);
}

/* ---- asking ---- */

size_t vocab_memory(const struct vocab *v)
{
    return sizeof(*v) + v->bytes_n + v->id_end * sizeof(*v->places) + (v->mask + 1) * sizeof(*v->slots);
}

bool vocab_has_repeats(const struct vocab *v)
{
    return v->has_repeats;
}

uint32_t vocab_count(const struct vocab *v)
{
    return v->count;
}

uint32_t vocab_id_end(const struct vocab *v)
{
    return v->id_end;
}

bool vocab_is_byte_level(const struct vocab *v)
{
    return v->byte_level;
}

static uint32_t find_hashed(const struct vocab *v, struct str text, bool literal, uint64_t hash)
{
    if (text.n > UINT32_MAX / 2 - 1)
        return VOCAB_NONE;
    uint32_t tag = (uint32_t)(hash >> 32), mark = ((uint32_t)text.n + 1) << 1 | literal;

    for (size_t i = hash & v->mask;; i = (i + 1) & v->mask) { /* ends: the table is never full */
        const struct slot *s = &v->slots[i];
        if (holds(v, s, text, tag, mark))
            return s->id;
        if (s->place.mark == 0)
            return VOCAB_NONE;
    }
}

static bool find(const struct vocab *v, struct str text, bool literal, uint32_t *ret)
{
    uint32_t id = find_hashed(v, text, literal, hash_of(text, literal));

    if (id == VOCAB_NONE)
        return false;
    *ret = id;
    return true;
}

bool vocab_find(const struct vocab *v, struct str bytes, uint32_t *ret)
{
    return find(v, bytes, /* literal= */ false, ret);
}

void vocab_find_many(const struct vocab *v, const struct str *bytes, size_t n, uint32_t *ids)
{
    uint64_t hashes[AHEAD];

    for (size_t from = 0; from < n; from += AHEAD) {
        size_t k = MIN(n - from, AHEAD);
        for (size_t j = 0; j < k; j++) {
            hashes[j] = hash_of(bytes[from + j], /* literal= */ false);
            __builtin_prefetch(&v->slots[hashes[j] & v->mask]);
        }
        for (size_t j = 0; j < k; j++)
            ids[from + j] = find_hashed(v, bytes[from + j], /* literal= */ false, hashes[j]);
    }
}

bool vocab_find_text(const struct vocab *v, struct str text, uint32_t *ret)
{
    char near[256], *bytes = near;

    if (!v->byte_level)
        return find(v, text, /* literal= */ false, ret);
    if (text.n > v->bytes_n * 2) /* longer than any token can be spelled */
        return false;
    if (text.n > sizeof(near)) {
        bytes = malloc(text.n);
        if (!bytes)
            return false;
    }
    size_t n = byte_level_undo(text, bytes);
    bool found =
        n == SIZE_MAX ? find(v, text, /* literal= */ true, ret) : find(v, (struct str){ bytes, n }, /* literal= */ false, ret);
    if (bytes != near)
        free(bytes);
    return found;
}

bool vocab_bytes(const struct vocab *v, uint32_t id, struct str *ret)
{
    if (id >= v->id_end || v->places[id].mark == 0)
        return false;
    *ret = text_of(v, v->places[id]);
    return true;
}

bool vocab_is_literal(const struct vocab *v, uint32_t id)
{
    return id < v->id_end && (v->places[id].mark & 1);
}

bool vocab_spell(const struct vocab *v, uint32_t id, struct buf *out)
{
    struct str bytes;

    if (!vocab_bytes(v, id, &bytes))
        return false;
    if (!v->byte_level || vocab_is_literal(v, id)) {
        buf_put(out, bytes);
        return true;
    }
    for (size_t i = 0; i < bytes.n; i++) {
        uint32_t c = byte_level_char((uint8_t)bytes.p[i]);
        if (c >= 0x80)
            buf_put_char(out, (char)(0xc0 | c >> 6));
        buf_put_char(out, (char)(c >= 0x80 ? 0x80 | (c & 0x3f) : c));
    }
    return true;
}
