/* routing/prefix_sweep.c -- the life of the table: it grows, and is swept, in slices on the control thread
 *
 *   from    to      by            when
 *   (new)   IDLE    new
 *   IDLE    COUNT   begin_sweep   interval_s since the last sweep began
 *   COUNT   IDLE    end_pass      every worker holds at most units_max
 *   COUNT   AGES    end_pass      some hold more: how old are their blocks?
 *   AGES    EVICT   end_pass      the ages of what must go are known
 *   EVICT   IDLE    end_pass      it is gone
 *
 * COUNT also drops what removed workers held, what nobody was chosen for in hours, and the mark of wide blocks that are wide no longer.
 * Growing makes more of the reserved address space touchable, says so in `shape`, and moves each entry whose bucket is another one now; until that has ended a look-up
 * that finds nothing in the new bucket looks into the old one. What a slow reader of the old shape still puts into old buckets, the sweep moves.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/budget.h"
#include "routing/prefix_table.h"

#define FIRST_LOG2    14    /* 1 MiB; pages are touched as entries come */
#define SLICE_BUCKETS 65536 /* of one tick: 4 MiB, a few milliseconds */
#define HUGE_PAGE     ((size_t)2 << 20)
#define GROW_LOG2     4 /* at most 16 times as large at once */

static size_t buckets_of(unsigned log2)
{
    return (size_t)1 << log2;
}
static size_t bytes_of(unsigned log2)
{
    return buckets_of(log2) * sizeof(struct prefix_bucket);
}

static unsigned log2_of(size_t n)
{
    return 63u - (unsigned)__builtin_clzll(n);
}

static unsigned in_use_log2(const struct prefix_index *ix)
{
    return shape_log2(atomic_load_explicit(&ix->shape, memory_order_relaxed));
}

/* A quarter of the process's memory is for indexes, whatever they would like. */
static bool take_bytes(struct prefix_index *ix, size_t bytes)
{
    if (budget_limit() && ix->taken + bytes > budget_limit() / 4)
        return false;
    if (!budget_take(bytes))
        return false;
    ix->taken += bytes;
    return true;
}

int prefix_index_new(const struct prefix_index_conf *conf, struct prefix_index **ret)
{
    size_t bytes_max = conf->bytes_max ? conf->bytes_max : PREFIX_BYTES_MAX;
    struct prefix_index *ix = aligned_alloc(alignof(struct prefix_index), sizeof(*ix));
    struct prefix_sweep *sweep = calloc(1, sizeof(*sweep)); /* a MiB, of which what nobody needs is never touched */
    void *space = MAP_FAILED;
    size_t page = 4096;

    if (ix) {
        memset(ix, 0, sizeof(*ix));
        ix->conf = *conf;
        ix->sweep = sweep;
        ix->max_log2 = log2_of(MAX(bytes_max, page) / sizeof(struct prefix_bucket));
        ix->first_log2 =
            MIN(MAX(conf->first_log2 ? conf->first_log2 : FIRST_LOG2, log2_of(page / sizeof(struct prefix_bucket))), ix->max_log2);
        space = mmap(NULL, bytes_of(ix->max_log2) + HUGE_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    }
    if (!ix || !sweep || space == MAP_FAILED) {
        if (space != MAP_FAILED)
            (void)munmap(space, bytes_of(ix->max_log2) + HUGE_PAGE); /* nothing to do about a failure */
        free(sweep);
        free(ix);
        return ERR_NOMEM;
    }
    ix->space = space;
    ix->buckets = (struct prefix_bucket *)(((uintptr_t)space + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1));
    (void)madvise(ix->buckets, bytes_of(ix->max_log2),
                  MADV_HUGEPAGE); /* fewer misses of the address cache, where the kernel likes it */
    if (!take_bytes(ix, bytes_of(ix->first_log2)) || mprotect(ix->buckets, bytes_of(ix->first_log2), PROT_READ | PROT_WRITE) != 0) {
        prefix_index_free(ix);
        return ERR_NOMEM;
    }
    atomic_init(&ix->shape, ix->first_log2 | ix->first_log2 << 8);
    *ret = ix;
    return 0;
}

void prefix_index_free(struct prefix_index *ix)
{
    if (!ix)
        return;
    (void)munmap(ix->space, bytes_of(ix->max_log2) + HUGE_PAGE); /* cannot fail: it is the whole of one mapping */
    budget_give(ix->taken);
    free(ix->sweep);
    free(ix);
}

/* ---- growing ---- */

/* Where the entry belongs that stands in bucket AT: the bits above the smallest table's are in the tag. */
static size_t home_of(const struct prefix_index *ix, size_t at, uint64_t head, unsigned log2)
{
    uint64_t above = head >> TAG_SHIFT << ix->first_log2;

    return (above | (at & (buckets_of(ix->first_log2) - 1))) & (buckets_of(log2) - 1);
}

/* Puts what HEAD and MORE say into bucket AT. Nobody finds it twice: the caller clears the old place. */
static void move_to(struct prefix_index *ix, size_t at, uint64_t head, uint64_t more, struct prefix_delta *delta)
{
    struct prefix_bucket *b = &ix->buckets[at];

    if (prefix_find_in(b, head)) /* it has come back already */
        return;
    for (unsigned i = 0; i < PREFIX_WAYS; i++) {
        uint64_t empty = 0;

        if (!atomic_compare_exchange_strong_explicit(&b->entries[i].head, &empty, head, memory_order_relaxed, memory_order_relaxed))
            continue;
        delta->holders -= prefix_holders_in(0, atomic_exchange_explicit(&b->entries[i].more, more, memory_order_relaxed));
        delta->holders += prefix_holders_in(head, more);
        delta->entries++;
        return;
    }
    delta->evicted++; /* the new bucket is full of newer ones */
}

static void move_entries(struct prefix_index *ix, size_t at, unsigned log2, struct prefix_delta *delta)
{
    for (unsigned i = 0; i < PREFIX_WAYS; i++) {
        struct prefix_entry *e = &ix->buckets[at].entries[i];
        uint64_t head = atomic_load_explicit(&e->head, memory_order_relaxed);
        size_t home;

        if (!head)
            continue;
        home = home_of(ix, at, head, log2);
        if (home == at)
            continue;
        move_to(ix, home, head, atomic_load_explicit(&e->more, memory_order_relaxed), delta);
        (void)prefix_entry_clear(e, head, delta); /* when it has changed in this moment it stays, out of the way, until the sweep */
    }
}

static void move_slice(struct prefix_index *ix, size_t buckets)
{
    uint32_t shape = atomic_load_explicit(&ix->shape, memory_order_relaxed);
    size_t end = buckets_of(shape_old_log2(shape));
    struct prefix_delta delta = { 0 };

    for (; buckets > 0 && ix->moving < end; buckets--)
        move_entries(ix, ix->moving++, shape_log2(shape), &delta);
    prefix_count(ix, &delta);
    if (ix->moving == end)
        atomic_store_explicit(&ix->shape, shape_log2(shape) | shape_log2(shape) << 8, memory_order_release);
}

static void grow(struct prefix_index *ix, unsigned log2)
{
    unsigned now = in_use_log2(ix);

    while (log2 > now && !take_bytes(ix, bytes_of(log2) - bytes_of(now)))
        log2--;
    if (log2 == now)
        return;
    if (mprotect((char *)ix->buckets + bytes_of(now), bytes_of(log2) - bytes_of(now), PROT_READ | PROT_WRITE) != 0) {
        budget_give(bytes_of(log2) - bytes_of(now));
        ix->taken -= bytes_of(log2) - bytes_of(now);
        return; /* tried again at the next tick; meanwhile old blocks make room */
    }
    ix->moving = 0;
    atomic_store_explicit(&ix->shape, log2 | now << 8, memory_order_release); /* whoever sees it may touch the new buckets */
}

/* At one half few buckets of four are full. What was put in or pushed out since the last tick is what may come until the next. */
static void grow_when_due(struct prefix_index *ix)
{
    struct prefix_index_stats s;
    unsigned log2 = in_use_log2(ix), wanted = log2;
    uint64_t pushed;

    prefix_index_stats(ix, &s);
    pushed = s.evicted - ix->evicted_before;
    ix->evicted_before = s.evicted;
    if ((uint64_t)s.entries <= buckets_of(log2) * PREFIX_WAYS / 2)
        return;
    while (wanted < log2 + GROW_LOG2 && buckets_of(wanted) * PREFIX_WAYS * 3 / 8 < (uint64_t)s.entries + pushed)
        wanted++;
    wanted = MIN(MAX(wanted, log2 + 1), ix->max_log2);
    if (wanted > log2)
        grow(ix, wanted);
}

/* ---- sweeping ---- */

static void begin_sweep(struct prefix_index *ix, uint64_t now_s)
{
    struct prefix_sweep *s = ix->sweep;

    memset(s->units, 0, (s->highest + 1) * sizeof(s->units[0]));
    s->highest = 0;
    s->at = 0;
    s->began_s = now_s;
    s->began_once = true;
    s->serial++;
    s->step = SWEEP_COUNT;
}

static bool must_forget(const struct prefix_sweep *s, uint16_t number)
{
    return s->forgotten[number] && s->forgotten[number] <= s->serial;
}

static unsigned level_of(uint32_t age)
{
    return age ? log2_of(age) + 1 : 0;
}

/* What this pass makes of one holding. True: it goes. */
static bool judge(struct prefix_index *ix, uint64_t holder, uint64_t units, uint64_t now_s)
{
    struct prefix_sweep *s = ix->sweep;
    uint16_t number = prefix_number(holder);
    uint32_t age = prefix_age(holder, now_s);
    struct prefix_over *over = s->over_of[number] ? &s->over[s->over_of[number] - 1] : NULL;
    uint64_t *left;

    switch (s->step) {
    case SWEEP_COUNT:
        if (must_forget(s, number) || (age >= PREFIX_AGE_MAX_S && !ix->conf.every_holder)) /* engines say when, themselves */
            return true;
        s->units[number] += units;
        s->highest = MAX(s->highest, number);
        return false;
    case SWEEP_AGES:
        if (over)
            over->by_age[level_of(age)] += units;
        return false;
    case SWEEP_EVICT:
        if (!over || level_of(age) < over->level)
            return false;
        left = level_of(age) == over->level ? &over->left : &over->left_old;
        if (*left == 0)
            return false;
        *left -= MIN(*left, units);
        return true;
    case SWEEP_IDLE:
        break;
    }
    return false;
}

static void sweep_entry(struct prefix_index *ix, struct prefix_entry *e, uint64_t now_s, struct prefix_delta *delta)
{
    uint64_t head = atomic_load_explicit(&e->head, memory_order_relaxed);
    uint64_t more = atomic_load_explicit(&e->more, memory_order_relaxed);
    uint64_t holders[PREFIX_HOLDERS] = { head & HOLDER_MASK, more & HOLDER_MASK, more >> 32 };
    uint64_t units = (uint64_t)2 << (head >> CLASS_SHIFT & CLASS_MASK);
    int64_t before = delta->entries;
    unsigned left = 0;

    if (!head) {
        if (more) /* somebody came to hold an entry in the moment in which it went */
            delta->holders -= prefix_holders_in(0, atomic_exchange_explicit(&e->more, 0, memory_order_relaxed));
        return;
    }
    for (unsigned i = 0; i < PREFIX_HOLDERS; i++) {
        if (!holders[i])
            continue;
        if (judge(ix, holders[i], units, now_s))
            (void)prefix_entry_drop(e, prefix_number(holders[i]), ix->conf.every_holder, delta); /* changed since: it is young */
        else
            left++;
    }
    delta->evicted += before - delta->entries;
    if (left < PREFIX_HOLDERS && head & WIDE) {
        head = atomic_load_explicit(&e->head, memory_order_relaxed);
        if (head)
            (void)atomic_compare_exchange_strong_explicit(&e->head, &head, head & ~WIDE, memory_order_relaxed,
                                                          memory_order_relaxed);
    }
}

/* Those that hold more than they may. */
static unsigned find_over(struct prefix_index *ix)
{
    struct prefix_sweep *s = ix->sweep;

    s->over_n = 0;
    for (unsigned number = 1; number <= s->highest && s->over_n < OVER_MAX; number++) {
        if (s->units[number] <= ix->conf.units_max)
            continue;
        s->over[s->over_n] = (struct prefix_over){ .number = (uint16_t)number };
        s->over_of[number] = (uint8_t)++s->over_n;
    }
    return s->over_n;
}

/* The oldest go first: the level of ages at which enough has gone. */
static void choose_levels(struct prefix_index *ix)
{
    struct prefix_sweep *s = ix->sweep;

    for (unsigned i = 0; i < s->over_n; i++) {
        struct prefix_over *o = &s->over[i];
        uint64_t excess = s->units[o->number] - ix->conf.units_max, old = 0;

        for (o->level = AGE_LEVELS - 1; o->level > 0 && old + o->by_age[o->level] < excess; o->level--)
            old += o->by_age[o->level];
        o->left_old = UINT64_MAX;
        o->left = excess - old;
    }
}

static void end_pass(struct prefix_index *ix)
{
    struct prefix_sweep *s = ix->sweep;

    s->at = 0;
    switch (s->step) {
    case SWEEP_COUNT:
        for (unsigned number = 0; number < WORKER_NUMBERS; number++)
            if (must_forget(s, (uint16_t)number))
                s->forgotten[number] = 0;
        if (find_over(ix)) {
            s->step = SWEEP_AGES;
            return;
        }
        break;
    case SWEEP_AGES:
        choose_levels(ix);
        s->step = SWEEP_EVICT;
        return;
    case SWEEP_EVICT:
        for (unsigned i = 0; i < s->over_n; i++)
            s->over_of[s->over[i].number] = 0;
        break;
    case SWEEP_IDLE:
        break;
    }
    s->step = SWEEP_IDLE;
    atomic_fetch_add_explicit(&ix->sweeps, 1, memory_order_relaxed);
}

static void sweep_slice(struct prefix_index *ix, size_t buckets, uint64_t now_s)
{
    struct prefix_sweep *s = ix->sweep;
    struct prefix_delta delta = { 0 };
    unsigned log2 = in_use_log2(ix);

    for (; buckets > 0 && s->step != SWEEP_IDLE; buckets--) {
        struct prefix_bucket *b = &ix->buckets[s->at];

        for (unsigned i = 0; i < PREFIX_WAYS; i++)
            sweep_entry(ix, &b->entries[i], now_s, &delta);
        move_entries(ix, s->at, log2, &delta);
        if (++s->at == buckets_of(log2))
            end_pass(ix);
    }
    prefix_count(ix, &delta);
}

/* ---- the control thread's entries ---- */

static bool is_moving(const struct prefix_index *ix)
{
    uint32_t shape = atomic_load_explicit(&ix->shape, memory_order_relaxed);

    return shape_log2(shape) != shape_old_log2(shape);
}

void prefix_index_tick(struct prefix_index *ix, uint64_t now_s)
{
    struct prefix_sweep *s = ix->sweep;
    size_t slice;

    if (!is_moving(ix) && s->step == SWEEP_IDLE)
        grow_when_due(ix);
    if (is_moving(ix)) {
        move_slice(ix, SLICE_BUCKETS);
        return;
    }
    if (s->step == SWEEP_IDLE && (!s->began_once || now_s >= s->began_s + ix->conf.interval_s))
        begin_sweep(ix, now_s);
    /* Three passes fit into the interval, however large the table is. */
    slice = MAX((size_t)SLICE_BUCKETS, buckets_of(in_use_log2(ix)) * 4 / MAX(ix->conf.interval_s, 4u));
    sweep_slice(ix, slice, now_s);
}

void prefix_index_sweep(struct prefix_index *ix, uint64_t now_s)
{
    while (is_moving(ix))
        move_slice(ix, SIZE_MAX);
    if (ix->sweep->step == SWEEP_IDLE)
        begin_sweep(ix, now_s);
    sweep_slice(ix, SIZE_MAX, now_s);
}

void prefix_index_forget(struct prefix_index *ix, uint16_t worker)
{
    ix->sweep->forgotten[worker] = ix->sweep->serial + 1;
}

uint64_t prefix_index_units(const struct prefix_index *ix, uint16_t worker)
{
    return ix->sweep->units[worker];
}

void prefix_index_recount(const struct prefix_index *ix, int64_t *ret_entries, int64_t *ret_holders)
{
    *ret_entries = *ret_holders = 0;
    for (size_t at = 0; at < buckets_of(in_use_log2(ix)); at++) {
        for (unsigned i = 0; i < PREFIX_WAYS; i++) {
            const struct prefix_entry *e = &ix->buckets[at].entries[i];
            uint64_t head = atomic_load_explicit(&e->head, memory_order_relaxed);

            *ret_entries += head != 0;
            *ret_holders += prefix_holders_in(head, atomic_load_explicit(&e->more, memory_order_relaxed));
        }
    }
}

void prefix_index_stats(const struct prefix_index *ix, struct prefix_index_stats *ret)
{
    *ret = (struct prefix_index_stats){
        .bytes = bytes_of(in_use_log2(ix)),
        .sweeps = atomic_load_explicit(&ix->sweeps, memory_order_relaxed),
    };
    for (unsigned i = 0; i < PREFIX_SHARDS; i++) {
        const struct prefix_shard *s = &ix->shards[i];

        ret->entries += atomic_load_explicit(&s->entries, memory_order_relaxed);
        ret->holders += atomic_load_explicit(&s->holders, memory_order_relaxed);
        ret->inserted += (uint64_t)atomic_load_explicit(&s->inserted, memory_order_relaxed);
        ret->lookups += (uint64_t)atomic_load_explicit(&s->lookups, memory_order_relaxed);
        ret->hits += (uint64_t)atomic_load_explicit(&s->hits, memory_order_relaxed);
        ret->evicted += (uint64_t)atomic_load_explicit(&s->evicted, memory_order_relaxed);
    }
}
