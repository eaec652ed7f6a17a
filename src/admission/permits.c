/* permits.c -- the semaphore with a line
 *
 * Why no wake-up is lost: whoever finds no permit raises `waiting` by a compare-and-swap of the whole word. A permit that comes back in between changes the word, so
 * the swap fails and the permit is seen. After it, leavers find somebody waiting and take the lock.
 */
#include "admission/permits.h"

#define IN_USE(word)  ((uint32_t)(word))
#define WAITING(word) ((uint32_t)((word) >> 32))
#define ONE_WAITER    ((uint64_t)1 << 32)

void permits_init(struct permits *g, uint32_t limit, uint32_t queue_max)
{
    *g = (struct permits){ .limit = limit ? limit : PERMITS_UNLIMITED, .queue_max = queue_max };
    pthread_mutex_init(&g->lock, NULL);
    list_init(&g->queue);
}

void permits_fini(struct permits *g)
{
    pthread_mutex_destroy(&g->lock);
}

/* Takes a permit if one is free and nobody waits for it. *WORD: as it was last seen. */
static bool try_enter(struct permits *g, uint64_t *word)
{
    uint32_t limit = atomic_load_explicit(&g->limit, memory_order_relaxed);

    while (WAITING(*word) == 0 && IN_USE(*word) < limit)
        if (atomic_compare_exchange_weak_explicit(&g->word, word, *word + 1, memory_order_acq_rel, memory_order_acquire))
            return true;
    return false;
}

enum permits_answer permits_enter(struct permits *g, struct waiter *w)
{
    uint64_t word = atomic_load_explicit(&g->word, memory_order_acquire);
    enum permits_answer answer = PERMITS_ADMITTED;

    if (try_enter(g, &word)) {
        w->step = WAITER_ADMITTED;
        return PERMITS_ADMITTED;
    }
    pthread_mutex_lock(&g->lock);
    w->step = WAITER_ADMITTED;
    while (!try_enter(g, &word)) {
        if (WAITING(word) >= atomic_load_explicit(&g->queue_max, memory_order_relaxed)) {
            w->step = WAITER_OUT;
            answer = PERMITS_FULL;
            break;
        }
        if (atomic_compare_exchange_weak_explicit(&g->word, &word, word + ONE_WAITER, memory_order_acq_rel, memory_order_acquire)) {
            w->step = WAITER_QUEUED;
            list_append(&g->queue, &w->link);
            answer = PERMITS_QUEUED;
            break;
        }
    }
    pthread_mutex_unlock(&g->lock);
    return answer;
}

bool permits_leave_queue(struct permits *g, struct waiter *w)
{
    bool waited;

    pthread_mutex_lock(&g->lock);
    waited = w->step == WAITER_QUEUED;
    if (waited) {
        list_remove(&w->link);
        w->step = WAITER_OUT;
        atomic_fetch_sub_explicit(&g->word, ONE_WAITER, memory_order_acq_rel);
    }
    pthread_mutex_unlock(&g->lock);
    return waited;
}

/* The first in the line, taken out of it and ADMITTED; CHANGE is what becomes of the word. Under the lock. */
static struct waiter *admit_first(struct permits *g, uint64_t change)
{
    struct waiter *w = list_first(&g->queue, struct waiter, link);

    list_remove(&w->link);
    w->step = WAITER_ADMITTED;
    atomic_fetch_add_explicit(&w->pending, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&g->word, change, memory_order_acq_rel);
    return w;
}

void permits_leave(struct permits *g, struct waiter *w)
{
    uint64_t word = atomic_load_explicit(&g->word, memory_order_acquire);
    struct waiter *next = NULL;

    w->step = WAITER_OUT; /* nobody else looks at an admitted one */
    while (WAITING(word) == 0)
        if (atomic_compare_exchange_weak_explicit(&g->word, &word, word - 1, memory_order_acq_rel, memory_order_acquire))
            return;
    pthread_mutex_lock(&g->lock);
    word = atomic_load_explicit(&g->word, memory_order_acquire);
    if (WAITING(word) > 0 && IN_USE(word) <= atomic_load_explicit(&g->limit, memory_order_relaxed))
        next = admit_first(g, -ONE_WAITER); /* the permit changes hands */
    else
        atomic_fetch_sub_explicit(&g->word, 1, memory_order_acq_rel);
    pthread_mutex_unlock(&g->lock);
    if (next)
        next->ops->granted(next);
}

void permits_configure(struct permits *g, uint32_t limit, uint32_t queue_max)
{
    struct list admitted; // waiter.wake
    struct waiter *w;

    list_init(&admitted);
    pthread_mutex_lock(&g->lock);
    atomic_store_explicit(&g->limit, limit ? limit : PERMITS_UNLIMITED, memory_order_relaxed);
    atomic_store_explicit(&g->queue_max, queue_max, memory_order_relaxed);
    limit = limit ? limit : PERMITS_UNLIMITED;
    while (!list_empty(&g->queue) && IN_USE(atomic_load_explicit(&g->word, memory_order_acquire)) < limit) {
        w = admit_first(g, 1 - ONE_WAITER);
        list_append(&admitted, &w->wake);
    }
    pthread_mutex_unlock(&g->lock);
    while ((w = list_first(&admitted, struct waiter, wake)) != NULL) {
        list_remove(&w->wake);
        w->ops->granted(w);
    }
}

struct permits_state permits_state(struct permits *g)
{
    uint64_t word = atomic_load_explicit(&g->word, memory_order_acquire);

    return (struct permits_state){ .in_use = IN_USE(word),
                                   .waiting = WAITING(word),
                                   .limit = atomic_load_explicit(&g->limit, memory_order_relaxed),
                                   .queue_max = atomic_load_explicit(&g->queue_max, memory_order_relaxed) };
}
