/* routing/sticky.c -- which worker a session was given: a bounded table from keys to workers */
#include "routing/sticky.h"

#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <xxhash.h>

#include "base/budget.h"

#define SHARDS        64
#define WAYS          8
#define ENTRIES_FIRST 64 /* of a shard */
#define SWEEP_STEP    512

struct entry {
    uint64_t hash; /* 0 = free */
    struct sticky_pair workers;
    uint32_t used_s;
};

struct shard {
    alignas(64) pthread_mutex_t lock;
    struct entry *entries; /* owned; NULL until the first key comes */
    size_t cap, n;         /* cap: a power of two, or 0 */
};

struct sticky {
    struct shard shards[SHARDS];
    _Atomic size_t n;
};

int sticky_new(struct sticky **ret)
{
    struct sticky *s = aligned_alloc(alignof(struct sticky), sizeof(*s));

    if (!s)
        return ERR_NOMEM;
    memset(s, 0, sizeof(*s));
    for (size_t i = 0; i < SHARDS; i++)
        pthread_mutex_init(&s->shards[i].lock, NULL);
    *ret = s;
    return 0;
}

void sticky_free(struct sticky *s)
{
    for (size_t i = 0; s && i < SHARDS; i++) {
        budget_give(s->shards[i].cap * sizeof(struct entry));
        free(s->shards[i].entries);
        pthread_mutex_destroy(&s->shards[i].lock);
    }
    free(s);
}

uint64_t sticky_hash(struct str key, struct str model, unsigned leg)
{
    uint64_t hash = XXH3_64bits_withSeed(key.p, key.n, XXH3_64bits_withSeed(model.p, model.n, leg));

    return hash ? hash : 1;
}

static struct shard *shard_of(struct sticky *s, uint64_t hash)
{
    return &s->shards[hash % SHARDS];
}

/* The WAYS entries among which HASH is. The shard has some. */
static struct entry *bucket_of(struct entry *entries, size_t cap, uint64_t hash)
{
    return entries + ((hash / SHARDS) & (cap / WAYS - 1)) * WAYS;
}

static struct entry *find(const struct shard *sh, uint64_t hash)
{
    struct entry *bucket;

    if (!sh->cap)
        return NULL;
    bucket = bucket_of(sh->entries, sh->cap, hash);
    for (size_t i = 0; i < WAYS; i++)
        if (bucket[i].hash == hash)
            return &bucket[i];
    return NULL;
}

/* A free entry of HASH's bucket, or the one used longest ago. */
static struct entry *victim(struct entry *entries, size_t cap, uint64_t hash)
{
    struct entry *bucket = bucket_of(entries, cap, hash), *oldest = bucket;

    for (size_t i = 0; i < WAYS; i++) {
        if (!bucket[i].hash)
            return &bucket[i];
        if (bucket[i].used_s < oldest->used_s)
            oldest = &bucket[i];
    }
    return oldest;
}

/* Twice the entries, or the first ones; false: it stays as it is. A bucket becomes two, so that each entry finds a free place. */
static bool grow(struct shard *sh)
{
    size_t cap = sh->cap ? sh->cap * 2 : ENTRIES_FIRST;
    struct entry *grown;

    if (cap > STICKY_ENTRIES_MAX / SHARDS || !budget_take(cap * sizeof(*grown)))
        return false;
    grown = calloc(cap, sizeof(*grown));
    if (!grown) {
        budget_give(cap * sizeof(*grown));
        return false;
    }
    for (size_t i = 0; i < sh->cap; i++)
        if (sh->entries[i].hash)
            *victim(grown, cap, sh->entries[i].hash) = sh->entries[i];
    budget_give(sh->cap * sizeof(*grown));
    free(sh->entries);
    sh->entries = grown;
    sh->cap = cap;
    return true;
}

/* Before an entry must give way there are twice as many, unless nearly all are free: then somebody makes keys collide. */
static bool is_tight(const struct shard *sh, uint64_t hash)
{
    return sh->n >= sh->cap / 2 || (sh->n >= sh->cap / 8 && victim(sh->entries, sh->cap, hash)->hash);
}

static void add(struct sticky *s, struct shard *sh, const struct entry *e)
{
    struct entry *to;

    if (is_tight(sh, e->hash) && !grow(sh) && !sh->cap)
        return;
    to = victim(sh->entries, sh->cap, e->hash);
    if (!to->hash) {
        sh->n++;
        atomic_fetch_add_explicit(&s->n, 1, memory_order_relaxed);
    }
    *to = *e;
}

bool sticky_get(struct sticky *s, uint64_t hash, uint32_t now_s, struct sticky_pair *ret)
{
    struct shard *sh = shard_of(s, hash);
    struct entry *e;

    pthread_mutex_lock(&sh->lock);
    e = find(sh, hash);
    if (e) {
        e->used_s = now_s;
        *ret = e->workers;
    }
    pthread_mutex_unlock(&sh->lock);
    return e != NULL;
}

struct sticky_pair sticky_settle(struct sticky *s, uint64_t hash, struct sticky_pair from, struct sticky_pair to, uint32_t now_s)
{
    struct shard *sh = shard_of(s, hash);
    struct entry *e;

    pthread_mutex_lock(&sh->lock);
    e = find(sh, hash);
    if (!e)
        add(s, sh, &(struct entry){ hash, to, now_s });
    else if (e->workers.first == from.first && e->workers.second == from.second)
        e->workers = to;
    else
        to = e->workers;
    pthread_mutex_unlock(&sh->lock);
    return to;
}

static void sweep_shard(struct sticky *s, struct shard *sh, uint32_t before_s)
{
    size_t at = 0;
    bool more;

    do { /* the shard may grow between two steps: what is missed then waits for the next sweep */
        pthread_mutex_lock(&sh->lock);
        for (size_t end = MIN(sh->cap, at + SWEEP_STEP); at < end; at++) {
            struct entry *e = &sh->entries[at];

            if (!e->hash || e->used_s > before_s)
                continue;
            *e = (struct entry){ 0 };
            sh->n--;
            atomic_fetch_sub_explicit(&s->n, 1, memory_order_relaxed);
        }
        more = at < sh->cap;
        pthread_mutex_unlock(&sh->lock);
    } while (more);
}

void sticky_sweep(struct sticky *s, uint32_t before_s)
{
    for (size_t i = 0; i < SHARDS; i++)
        sweep_shard(s, &s->shards[i], before_s);
}

size_t sticky_count(const struct sticky *s)
{
    return atomic_load_explicit(&s->n, memory_order_relaxed);
}
