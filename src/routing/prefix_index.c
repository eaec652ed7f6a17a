/* routing/prefix_index.c -- from a prompt to keys, and along them through the table */
#include "routing/prefix_index.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "routing/prefix_table.h"

#define AHEAD        8   /* keys made before they are looked up, so that their buckets are on the way from memory */
#define HASH_BYTES   128 /* XXH3 is at its fastest up to here: longer blocks are hashed in parts that do not wait for each other */
#define CLASS_OF_ONE 0u  /* of single blocks: the sweep's bound counts them */
#define PIECE_MARK   0x9fb21c651e98df25ull /* keys of pieces are no keys of blocks */
#define MIX_A        0xa0761d6478bd642full /* odd, half of the bits set */
#define MIX_B        0xe7037ed1a0b428dbull

/* The high and the low half of a product: each bit of both factors reaches every bit of the result. */
static inline uint64_t mix(uint64_t a, uint64_t b)
{
    __uint128_t product = (__uint128_t)(a ^ MIX_A) * (b ^ MIX_B);

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* 2 << class is UNITS, rounded up to a power of two. */
static inline unsigned class_of(size_t units)
{
    return units <= 2 ? 0 : MIN(63u - (unsigned)__builtin_clzll(units - 1), (unsigned)CLASS_MASK);
}

/* A prompt on its way through the index. */
struct walk {
    struct prefix_index *ix;
    uint32_t shape;
    const char *units;
    size_t unit, n, block; /* bytes; units of the prompt, and of a block */
    uint64_t first;        /* what the chain of keys begins with */
};

static inline uint64_t hash_units(const struct walk *w, size_t from, size_t to)
{
    const char *p = w->units + from * w->unit, *end = w->units + to * w->unit;
    uint64_t h;

    if (end - p <= HASH_BYTES)
        return XXH3_64bits_withSeed(p, (size_t)(end - p), w->ix->conf.seed);
    h = XXH3_64bits_withSeed(p, HASH_BYTES, w->ix->conf.seed);
    return mix(h, XXH3_64bits_withSeed(p + HASH_BYTES, (size_t)(end - p) - HASH_BYTES, w->ix->conf.seed));
}

static void read_holders(const struct prefix_entry *e, uint64_t now_s, struct prefix_holders *ret)
{
    uint64_t head = atomic_load_explicit(&e->head, memory_order_relaxed);
    uint64_t more = atomic_load_explicit(&e->more, memory_order_relaxed);
    uint64_t holders[PREFIX_HOLDERS] = { head & HOLDER_MASK, more & HOLDER_MASK, more >> 32 };

    ret->n = 0;
    ret->wide = head & WIDE;
    for (unsigned i = 0; i < PREFIX_HOLDERS; i++) {
        uint32_t age = prefix_age(holders[i], now_s);
        unsigned at = ret->n;

        if (!holders[i])
            continue;
        for (; at > 0 && ret->ages_s[at - 1] > age; at--) {
            ret->ages_s[at] = ret->ages_s[at - 1];
            ret->numbers[at] = ret->numbers[at - 1];
        }
        ret->ages_s[at] = age;
        ret->numbers[at] = prefix_number(holders[i]);
        ret->n++;
    }
}

static inline void fetch(const struct prefix_index *ix, uint32_t shape, uint64_t key)
{
    __builtin_prefetch(prefix_bucket(ix, key, shape_log2(shape)));
}

static inline void look_up_block(const struct walk *w, struct prefix_path *path, size_t at)
{
    path->entries[at] = prefix_find(w->ix, w->shape, path->keys[at]);
    if (path->entries[at])
        path->known = at + 1;
}

/* Makes the keys of all whole blocks, and looks each up when its bucket has had time to come. A gap does not end the search: a later key stands for all before it. */
static void walk_blocks(const struct walk *w, struct prefix_path *path)
{
    size_t n = w->n / w->block, looked = 0;
    uint64_t key = w->first;

    for (size_t at = 0; at < n; at++) {
        key = mix(key, hash_units(w, at * w->block, (at + 1) * w->block));
        path->keys[at] = key;
        fetch(w->ix, w->shape, key);
        if (at >= AHEAD)
            look_up_block(w, path, looked++);
    }
    while (looked < n)
        look_up_block(w, path, looked++);
    path->n = n;
}

/* Where the piece ends that begins at unit AT. The first block's are finer at its beginning: short prompts have no other. */
static inline size_t piece_end(size_t at)
{
    return at < PREFIX_TAIL_UNITS ? at + 1 : at < 4 * PREFIX_TAIL_UNITS ? at + PREFIX_TAIL_UNITS / 4 : at + PREFIX_TAIL_UNITS;
}

/* The chain before block AT. */
static uint64_t chain_at(const struct walk *w, const struct prefix_path *path, size_t at)
{
    return (at ? path->keys[at - 1] : w->first) ^ PIECE_MARK;
}

/* Makes the keys of the pieces of FROM .. TO, a block or the rest behind the last one, and fetches their buckets. */
static void cut_pieces(const struct walk *w, struct prefix_path *path, size_t from, size_t to)
{
    uint64_t chain = chain_at(w, path, from / w->block);

    for (size_t end; from < to; from = end) {
        struct prefix_piece *p = &path->pieces[path->pieces_n++];

        end = from < w->block ? piece_end(from) : from + PREFIX_TAIL_UNITS;
        end = MIN(end, to);
        chain = mix(chain, hash_units(w, from, end));
        *p = (struct prefix_piece){ .key = chain, .end = (uint32_t)end, .units = (uint8_t)(end - from) };
        fetch(w->ix, w->shape, chain);
    }
}

static void look_up_pieces(const struct walk *w, struct prefix_path *path)
{
    for (unsigned i = 0; i < path->pieces_n; i++) {
        struct prefix_piece *p = &path->pieces[i];

        p->entry = prefix_find(w->ix, w->shape, p->key);
        if (p->entry)
            path->pieces_known = i + 1;
    }
}

/* The first block that is not known is FROM .. : an earlier prompt may have ended inside it. Its pieces, as far as they are known. */
static void follow_pieces(const struct walk *w, struct prefix_path *path, size_t from)
{
    uint64_t chain = chain_at(w, path, from / w->block);

    for (size_t end = from + PREFIX_TAIL_UNITS; end < from + w->block; end += PREFIX_TAIL_UNITS) {
        struct prefix_entry *e;

        chain = mix(chain, hash_units(w, end - PREFIX_TAIL_UNITS, end));
        e = prefix_find(w->ix, w->shape, chain);
        if (!e)
            return;
        path->pieces[path->pieces_n++] = (struct prefix_piece){ .key = chain, .entry = e, .end = (uint32_t)end };
        path->pieces_known = path->pieces_own = path->pieces_n;
    }
}

void prefix_index_match(struct prefix_index *ix, const struct prefix_prompt *prompt, uint64_t now_s, struct prefix_path *path,
                        struct prefix_match *ret)
{
    struct walk w = {
        .ix = ix,
        .shape = atomic_load_explicit(&ix->shape, memory_order_acquire), /* grow() makes the buckets before it says so */
        .units = prompt->units,
        .unit = prompt->unit,
        .n = MIN(prompt->n, (size_t)PREFIX_UNITS_MAX / prompt->unit),
        .block = PREFIX_BLOCK_BYTES / prompt->unit,
        .first = mix(prompt->seed, prompt->unit),
    };
    size_t rest;

    path->n = path->known = 0;
    path->pieces_n = path->pieces_known = path->pieces_own = 0;
    path->block = w.block;
    path->is_hit = false;
    *ret = (struct prefix_match){ .total = w.n };
    walk_blocks(&w, path);
    rest = path->n * w.block;
    if (path->known == path->n) {
        cut_pieces(&w, path, rest, w.n);
        look_up_pieces(&w, path);
    } else if (path->known == 0) { /* nobody has begun like this, or not for so long */
        cut_pieces(&w, path, 0, w.block - 1);
        look_up_pieces(&w, path);
        cut_pieces(&w, path, rest, w.n);
    } else {
        follow_pieces(&w, path, path->known * w.block);
        cut_pieces(&w, path, rest, w.n);
    }
    if (prefix_index_steps(path) == 0)
        return;
    ret->matched = prefix_index_step(path, prefix_index_steps(path) - 1, now_s, &ret->holders);
}

size_t prefix_index_step(const struct prefix_path *path, size_t at, uint64_t now_s, struct prefix_holders *ret)
{
    const struct prefix_piece *piece = at < path->known ? NULL : &path->pieces[at - path->known];
    const struct prefix_entry *e = piece ? piece->entry : path->entries[at];

    if (e)
        read_holders(e, now_s, ret);
    else
        *ret = (struct prefix_holders){ 0 };
    return piece ? piece->end : (at + 1) * path->block;
}

/* Was WORKER chosen in this second for the deepest block that is known and the prompt's own? Then it holds all before it, too. A wide block with three young holders takes
 * no more, nor do those before it: they have at least as many. */
static bool is_settled(const struct prefix_path *path, uint16_t worker, uint64_t now_s)
{
    const struct prefix_entry *e = path->known ? path->entries[path->known - 1] : NULL;
    struct prefix_holders h;

    if (path->pieces_known > path->pieces_own)
        e = path->pieces[path->pieces_known - 1].entry;
    if (!e)
        return true;
    read_holders(e, now_s, &h);
    for (unsigned i = 0; i < h.n; i++)
        if (h.numbers[i] == worker)
            return h.ages_s[i] == 0;
    return h.wide && h.n == PREFIX_HOLDERS && h.ages_s[h.n - 1] < PREFIX_HOT_S;
}

/* WORKER holds the block of KEY, known or not. */
static void hold_key(struct prefix_index *ix, uint32_t shape, uint64_t key, unsigned class, uint16_t worker, uint64_t now_s,
                     struct prefix_delta *delta)
{
    struct prefix_entry *e = prefix_find(ix, shape, key);

    if (!e || !prefix_entry_hold(e, prefix_tag(ix, key), worker, now_s, /* may_widen= */ true, delta))
        prefix_entry_insert(ix, shape, key, class, worker, now_s, delta);
}

/* An entry that has moved since the match stays as it is: a second older than it might be. */
void prefix_index_hold(struct prefix_index *ix, const struct prefix_path *path, uint16_t worker, uint64_t now_s)
{
    uint32_t shape = atomic_load_explicit(&ix->shape, memory_order_acquire);
    struct prefix_delta delta = { .lookups = 1, .hits = path->is_hit };
    bool settled = is_settled(path, worker, now_s);

    for (size_t i = settled ? path->known : 0; i < path->known; i++)
        if (path->entries[i])
            (void)prefix_entry_hold(path->entries[i], prefix_tag(ix, path->keys[i]), worker, now_s, /* may_widen= */ true, &delta);
    for (size_t i = 0; i < path->n; i++)
        if (!path->entries[i])
            prefix_entry_insert(ix, shape, path->keys[i], class_of(path->block), worker, now_s, &delta);
    for (unsigned i = path->pieces_own; i < path->pieces_n; i++) {
        const struct prefix_piece *p = &path->pieces[i];

        if (!p->entry || !settled)
            hold_key(ix, shape, p->key, class_of(p->units), worker, now_s, &delta);
    }
    prefix_count(ix, &delta);
}

/* ---- single blocks ----
 *
 * With every_holder, holders that find no place in a block's entry go into entries of further keys, up to EXTRA_MAX of them, without gaps: the first key that is not
 * there ends the list. An entry may be empty as long as one follows.
 */
#define EXTRA_MAX (PREFIX_EVERY_MAX / PREFIX_HOLDERS)

static uint64_t extra_key(uint64_t key, unsigned i)
{
    return i == 0 ? key : mix(key, i);
}

void prefix_index_add(struct prefix_index *ix, uint64_t key, uint16_t worker, uint64_t now_s)
{
    uint32_t shape = atomic_load_explicit(&ix->shape, memory_order_acquire);
    struct prefix_delta delta = { 0 };

    if (!ix->conf.every_holder) {
        hold_key(ix, shape, key, CLASS_OF_ONE, worker, now_s, &delta);
        prefix_count(ix, &delta);
        return;
    }
    for (unsigned i = 0; i < EXTRA_MAX; i++) { /* is it there? then only its age changes */
        struct prefix_entry *e = prefix_find(ix, shape, extra_key(key, i));
        struct prefix_holders h;

        if (!e)
            break;
        read_holders(e, now_s, &h);
        for (unsigned k = 0; k < h.n; k++)
            if (h.numbers[k] == worker)
                return;
    }
    for (unsigned i = 0; i < EXTRA_MAX; i++) {
        uint64_t k = extra_key(key, i);
        struct prefix_entry *e = prefix_find(ix, shape, k);

        if (!e)
            prefix_entry_insert(ix, shape, k, CLASS_OF_ONE, worker, now_s, &delta);
        else if (!prefix_entry_hold(e, prefix_tag(ix, k), worker, now_s, /* may_widen= */ false, &delta))
            continue;
        break;
    }
    prefix_count(ix, &delta);
}

void prefix_index_take(struct prefix_index *ix, uint64_t key, uint16_t worker)
{
    uint32_t shape = atomic_load_explicit(&ix->shape, memory_order_acquire);
    struct prefix_delta delta = { 0 };
    struct prefix_entry *e;
    bool dropped = false;
    unsigned n = 0;

    while (n < EXTRA_MAX && (e = prefix_find(ix, shape, extra_key(key, n))) != NULL) {
        dropped |= !dropped && prefix_entry_drop(e, worker, /* keep= */ true, &delta);
        n++;
    }
    while (n > 0) { /* empty ones at the end */
        uint64_t head;

        e = prefix_find(ix, shape, extra_key(key, n - 1));
        head = e ? atomic_load_explicit(&e->head, memory_order_relaxed) : 0;
        if (!head || prefix_holders_in(head, atomic_load_explicit(&e->more, memory_order_relaxed)) ||
            !prefix_entry_clear(e, head, &delta))
            break;
        n--;
    }
    prefix_count(ix, &delta);
}

unsigned prefix_index_every_holder(const struct prefix_index *ix, uint64_t key, uint16_t ret[PREFIX_EVERY_MAX])
{
    uint32_t shape = atomic_load_explicit(&ix->shape, memory_order_acquire);
    struct prefix_entry *e;
    unsigned n = 0;

    for (unsigned i = 0; i < EXTRA_MAX && (e = prefix_find(ix, shape, extra_key(key, i))) != NULL; i++) {
        struct prefix_holders h;

        read_holders(e, 0, &h);
        for (unsigned k = 0; k < h.n; k++)
            ret[n++] = h.numbers[k];
        if (!ix->conf.every_holder)
            break;
    }
    return n;
}
