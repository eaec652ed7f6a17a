/* loop/snapshot.c -- epochs: who may still see a table that was replaced
 *
 *   epoch (one number for the process) counts retirements.           pins[i]: what loop i has read of it in this turn; 0 = offline
 *
 *   reader:   pin = epoch;  then load the pointer                    (both sequentially consistent)
 *   writer:   swap the pointer;  R = ++epoch;  note (old, R);  later: free old when every pin is 0 or >= R
 *
 * A reader that got the old pointer loaded it before the swap, and its pin was stored before that load: so the pin is below R and the
 * reclaimer, which looks after the swap, sees it until the reader's turn ends. A reader whose pin the reclaimer does not see loads
 * its pointer after the swap. Unpinning is a release that the reclaimer acquires, so the reads of the turn happen before the free.
 * The pins are static memory, a cache line each: a reclaimer may look at one whatever becomes of its loop.
 */
#include <assert.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdlib.h>

#include "base/log.h"
#include "loop/loop_internal.h"
#include "loop/snapshot.h"

struct slot {
    alignas(64) _Atomic uint64_t pin;
    _Atomic bool taken;
};

struct retired {
    struct list link; /* retired_list */
    const struct snapshot_cell *cell;
    void *object;
    void (*free_object)(void *object);
    uint64_t epoch;
};

static _Atomic uint64_t epoch = 1;
static struct slot slots[LOOP_MAX];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;            /* guards the two below; never held while an object is freed */
static struct list retired_list = { &retired_list, &retired_list }; // retired.link, oldest first
static size_t retired_n;

_Atomic uint64_t *snapshot_slot_take(unsigned index)
{
    assert(index < LOOP_MAX);
    return atomic_exchange(&slots[index].taken, true) ? NULL : &slots[index].pin;
}

void snapshot_slot_give(_Atomic uint64_t *pin)
{
    struct slot *s = CONTAINER_OF(pin, struct slot, pin);

    atomic_store_explicit(pin, 0, memory_order_release);
    atomic_store(&s->taken, false);
}

void snapshot_init(struct snapshot_cell *c, void *first, void (*free_object)(void *object))
{
    atomic_init(&c->current, first);
    c->free_object = free_object;
}

void *snapshot_get(struct loop *loop, struct snapshot_cell *c)
{
    assert(loop_is_current(loop));
    if (atomic_load_explicit(loop->epoch, memory_order_relaxed) == 0)
        atomic_store(loop->epoch, atomic_load(&epoch));
    return atomic_load(&c->current);
}

void snapshot_publish(struct snapshot_cell *c, void *next)
{
    void *old = atomic_exchange(&c->current, next);
    uint64_t retired_at = atomic_fetch_add(&epoch, 1) + 1;
    struct retired *r;

    if (!old)
        return;
    r = malloc(sizeof *r);
    if (!r) {
        log_error("smg::loop", "no memory to note a replaced table: it is leaked");
        return;
    }
    *r = (struct retired){ .cell = c, .object = old, .free_object = c->free_object, .epoch = retired_at };
    pthread_mutex_lock(&lock);
    list_append(&retired_list, &r->link);
    retired_n++;
    pthread_mutex_unlock(&lock);
}

/* The lowest epoch that a reader may be at; what was retired at it or before is unseen. */
static uint64_t oldest_pin(void)
{
    uint64_t oldest = UINT64_MAX;

    for (unsigned i = 0; i < LOOP_MAX; i++) {
        uint64_t pin = atomic_load(&slots[i].pin);

        if (pin)
            oldest = MIN(oldest, pin);
    }
    return oldest;
}

/* Frees what was retired at UPTO or before; CELL = NULL: of every cell. */
static size_t free_retired(uint64_t upto, const struct snapshot_cell *cell)
{
    struct list free_now;
    struct retired *r;
    size_t left;

    list_init(&free_now);
    pthread_mutex_lock(&lock);
    LIST_EACH(r, &retired_list, link)
    {
        if (r->epoch > upto || (cell && r->cell != cell))
            continue;
        list_remove(&r->link);
        list_append(&free_now, &r->link);
        retired_n--;
    }
    left = retired_n;
    pthread_mutex_unlock(&lock);
    LIST_EACH(r, &free_now, link)
    {
        if (r->free_object)
            r->free_object(r->object);
        free(r);
    }
    return left;
}

size_t snapshot_reclaim(void)
{
    if (snapshot_retired() == 0)
        return 0;
    return free_retired(oldest_pin(), NULL);
}

size_t snapshot_retired(void)
{
    size_t n;

    pthread_mutex_lock(&lock);
    n = retired_n;
    pthread_mutex_unlock(&lock);
    return n;
}

void snapshot_fini(struct snapshot_cell *c)
{
    void *last = atomic_exchange(&c->current, NULL);

    (void)free_retired(UINT64_MAX, c); /* how many other cells have left does not matter here */
    if (last && c->free_object)
        c->free_object(last);
}
