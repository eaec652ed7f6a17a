/* routing/prefix_table.c -- changes of single entries */
#include "routing/prefix_table.h"

static _Thread_local unsigned shard_of_thread; /* + 1; 0 = not chosen yet */
static _Atomic unsigned shards_given;

void prefix_count(struct prefix_index *ix, const struct prefix_delta *delta)
{
    struct prefix_shard *s;

    if (!shard_of_thread)
        shard_of_thread = atomic_fetch_add_explicit(&shards_given, 1, memory_order_relaxed) % PREFIX_SHARDS + 1;
    s = &ix->shards[shard_of_thread - 1];
    if (delta->entries)
        atomic_fetch_add_explicit(&s->entries, delta->entries, memory_order_relaxed);
    if (delta->holders)
        atomic_fetch_add_explicit(&s->holders, delta->holders, memory_order_relaxed);
    if (delta->inserted)
        atomic_fetch_add_explicit(&s->inserted, delta->inserted, memory_order_relaxed);
    if (delta->evicted)
        atomic_fetch_add_explicit(&s->evicted, delta->evicted, memory_order_relaxed);
    if (delta->lookups)
        atomic_fetch_add_explicit(&s->lookups, delta->lookups, memory_order_relaxed);
    if (delta->hits)
        atomic_fetch_add_explicit(&s->hits, delta->hits, memory_order_relaxed);
}

static bool swap(_Atomic uint64_t *word, uint64_t *seen, uint64_t next)
{
    return atomic_compare_exchange_strong_explicit(word, seen, next, memory_order_relaxed, memory_order_relaxed);
}

/* The three places of an entry's holders. */
struct place {
    _Atomic uint64_t *word;
    unsigned shift;
};
static struct place place_of(struct prefix_entry *e, unsigned i)
{
    return i == 0 ? (struct place){ &e->head, 0 } : (struct place){ &e->more, i == 1 ? 0 : 32 };
}

static uint64_t put(uint64_t word, unsigned shift, uint64_t holder)
{
    return (word & ~(HOLDER_MASK << shift)) | holder << shift;
}

bool prefix_entry_hold(struct prefix_entry *e, uint64_t tag, uint16_t worker, uint64_t now_s, bool may_widen,
                       struct prefix_delta *delta)
{
    uint64_t mine = prefix_holder(worker, now_s);

    for (;;) {
        uint64_t head = atomic_load_explicit(&e->head, memory_order_relaxed);
        uint64_t more = atomic_load_explicit(&e->more, memory_order_relaxed);
        uint64_t holders[PREFIX_HOLDERS] = { head & HOLDER_MASK, more & HOLDER_MASK, more >> 32 };
        unsigned at = PREFIX_HOLDERS, oldest = 0;
        struct place place;
        uint64_t seen;

        if ((head ^ tag) >> TAG_SHIFT)
            return false;
        for (unsigned i = 0; i < PREFIX_HOLDERS; i++) {
            if (holders[i] == mine)
                return true;
            if (prefix_number(holders[i]) == worker) {
                at = i;
                break;
            }
            if (!holders[i] && at == PREFIX_HOLDERS)
                at = i;
            if (prefix_age(holders[i], now_s) > prefix_age(holders[oldest], now_s))
                oldest = i;
        }
        if (at == PREFIX_HOLDERS) { /* all places are others' */
            if (!may_widen)
                return false;
            if (prefix_age(holders[oldest], now_s) < PREFIX_HOT_S) {
                if (head & WIDE || swap(&e->head, &head, head | WIDE))
                    return true;
                continue;
            }
            at = oldest;
        }
        place = place_of(e, at);
        seen = at == 0 ? head : more;
        if (swap(place.word, &seen, put(seen, place.shift, mine))) {
            delta->holders += holders[at] == 0;
            return true;
        }
    }
}

bool prefix_entry_clear(struct prefix_entry *e, uint64_t head, struct prefix_delta *delta)
{
    uint64_t more = atomic_exchange_explicit(&e->more, 0, memory_order_relaxed);

    delta->holders -= prefix_holders_in(0, more);
    if (!swap(&e->head, &head, 0))
        return false;
    delta->holders -= prefix_holders_in(head, 0);
    delta->entries--;
    return true;
}

bool prefix_entry_drop(struct prefix_entry *e, uint16_t worker, bool keep, struct prefix_delta *delta)
{
    for (unsigned i = 0; i < PREFIX_HOLDERS; i++) {
        struct place place = place_of(e, i);
        uint64_t word = atomic_load_explicit(place.word, memory_order_relaxed);

        while (prefix_number(word >> place.shift & HOLDER_MASK) == worker) {
            if (!swap(place.word, &word, put(word, place.shift, 0)))
                continue;
            delta->holders--;
            word = atomic_load_explicit(&e->head, memory_order_relaxed);
            if (!keep && !prefix_holders_in(word, atomic_load_explicit(&e->more, memory_order_relaxed)) && word >> TAG_SHIFT)
                (void)prefix_entry_clear(e, word, delta); /* somebody may have come to hold it: then it stays */
            return true;
        }
    }
    return false;
}

/* The age of the holder that was chosen last. */
static uint32_t youngest(uint64_t head, uint64_t more, uint64_t now_s)
{
    uint32_t age = PREFIX_AGE_MAX_S;

    if (head & HOLDER_MASK)
        age = MIN(age, prefix_age(head, now_s));
    if (more & HOLDER_MASK)
        age = MIN(age, prefix_age(more, now_s));
    if (more >> 32)
        age = MIN(age, prefix_age(more >> 32, now_s));
    return age;
}

static struct prefix_entry *place_for(struct prefix_bucket *b, uint64_t now_s)
{
    struct prefix_entry *oldest = &b->entries[0];
    uint32_t oldest_age = 0;

    for (unsigned i = 0; i < PREFIX_WAYS; i++) {
        struct prefix_entry *e = &b->entries[i];
        uint64_t head = atomic_load_explicit(&e->head, memory_order_relaxed);
        uint32_t age;

        if (!head)
            return e;
        age = youngest(head, atomic_load_explicit(&e->more, memory_order_relaxed), now_s);
        if (age > oldest_age) {
            oldest = e;
            oldest_age = age;
        }
    }
    if (oldest_age == 0) /* all of this second: any will do, but not always the same one */
        oldest = &b->entries[atomic_load_explicit(&b->entries[0].head, memory_order_relaxed) >> TAG_SHIFT & (PREFIX_WAYS - 1)];
    return oldest;
}

void prefix_entry_insert(struct prefix_index *ix, uint32_t shape, uint64_t key, unsigned class, uint16_t worker, uint64_t now_s,
                         struct prefix_delta *delta)
{
    uint64_t next = prefix_tag(ix, key) | (uint64_t) class << CLASS_SHIFT | prefix_holder(worker, now_s);

    for (unsigned tries = 0; tries < 4;
         tries++) { /* others take places at the same moment; whoever loses four times does without */
        struct prefix_entry *e = place_for(prefix_bucket(ix, key, shape_log2(shape)), now_s);
        uint64_t head = atomic_load_explicit(&e->head, memory_order_relaxed);

        if (head)
            delta->holders -= prefix_holders_in(0, atomic_exchange_explicit(&e->more, 0, memory_order_relaxed));
        if (!swap(&e->head, &head, next))
            continue;
        delta->holders += 1 - (int64_t)prefix_holders_in(head, 0);
        delta->entries += head == 0;
        delta->evicted += head != 0;
        delta->inserted++;
        return;
    }
}
