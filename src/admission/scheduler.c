/* scheduler.c -- classes, slots and lines
 *
 * Inside the lock: enter, admit, dispatch. Whoever is to be called is gathered in a list first and called when the lock is open again (ring).
 * Invariant: when the lock opens, no line has a head that its class's headroom would admit. So a newcomer with headroom overtakes nobody of its own class.
 */
#include "admission/scheduler.h"

#include <math.h>

const struct sched_class_conf SCHED_DEFAULTS[CLASSES] = {
    [CLASS_SYSTEM] = { 32, 0, 64, 30, 5, true },
    [CLASS_INTERACTIVE] = { 128, 0.25, 256, 30, 5, true },
    [CLASS_DEFAULT] = { 0, 0.10, 512, 60, 30, false },
    [CLASS_BULK] = { 0, 0, 1024, 300, 120, false },
};

static const struct str NAMES[CLASSES] = {
    [CLASS_BULK] = STR_INIT("bulk"),
    [CLASS_DEFAULT] = STR_INIT("default"),
    [CLASS_INTERACTIVE] = STR_INIT("interactive"),
    [CLASS_SYSTEM] = STR_INIT("system"),
};

struct str sched_class_name(enum sched_class c)
{
    return NAMES[c];
}

int sched_class_of(struct str text)
{
    text = str_trim(text);
    for (int c = 0; c < CLASSES; c++)
        if (str_eq_nocase(text, NAMES[c]))
            return c;
    return -1;
}

/* ---- arithmetic ---- */

bool sched_reservations(const struct sched_class_conf conf[CLASSES], uint32_t capacity, uint32_t ret[CLASSES])
{
    uint32_t left = capacity;
    bool fits = true;

    for (int c = CLASS_SYSTEM; c >= CLASS_BULK; c--) {
        double share = ceil(conf[c].reserved_per_slot * capacity);
        uint32_t wanted = share >= capacity ? capacity : (uint32_t)share;

        wanted = MIN(MAX(wanted, conf[c].reserved_floor), capacity);
        fits &= wanted <= left;
        ret[c] = MIN(wanted, left);
        left -= ret[c];
    }
    return fits;
}

uint32_t sched_headroom(uint32_t capacity, const uint32_t inflight[CLASSES], const uint32_t reserved[CLASSES], enum sched_class c)
{
    uint64_t taken = 0;

    for (int i = 0; i < CLASSES; i++) {
        taken += inflight[i];
        if (i > (int)c && reserved[i] > inflight[i])
            taken += reserved[i] - inflight[i];
    }
    return taken < capacity ? (uint32_t)(capacity - taken) : 0;
}

static uint32_t headroom(const struct scheduler *s, enum sched_class c)
{
    uint32_t inflight[CLASSES], reserved[CLASSES];

    for (int i = 0; i < CLASSES; i++) {
        inflight[i] = s->classes[i].inflight;
        reserved[i] = s->classes[i].reserved;
    }
    return sched_headroom(s->capacity, inflight, reserved, c);
}

static bool has_free_slot(const struct scheduler *s)
{
    uint64_t n = 0;

    for (int i = 0; i < CLASSES; i++)
        n += s->classes[i].inflight;
    return n < s->capacity;
}

/* ---- inside the lock ---- */

static void admit(struct scheduler *s, struct waiter *w)
{
    struct class_state *c = &s->classes[w->class];

    w->step = WAITER_ADMITTED;
    w->preempted_by = -1;
    w->started = false;
    c->inflight++;
    list_append(&c->preemptible, &w->link);
}

static void dequeue(struct scheduler *s, struct waiter *w)
{
    s->classes[w->class].queued--;
    list_remove(&w->link);
}

/* The head of a line gets a slot; it is told when the lock is open (RING: waiter.wake). */
static void admit_head(struct scheduler *s, enum sched_class c, bool promoted, struct list *ring)
{
    struct waiter *w = list_first(&s->classes[c].queue, struct waiter, link);

    dequeue(s, w);
    w->promoted = promoted;
    atomic_fetch_add_explicit(&w->pending, 1, memory_order_relaxed);
    admit(s, w);
    list_append(ring, &w->wake);
}

/* One head past its patience takes any free slot; the lowest class first (12.4). */
static bool promote_one(struct scheduler *s, uint64_t now_us, struct list *ring)
{
    if (!has_free_slot(s))
        return false;
    for (int c = CLASS_BULK; c < CLASS_SYSTEM; c++) {
        const struct waiter *w = list_first(&s->classes[c].queue, struct waiter, link);

        if (w && now_us > w->since_us && now_us - w->since_us > s->classes[c].conf.starvation_s * 1000000) {
            admit_head(s, (enum sched_class)c, /* promoted= */ true, ring);
            return true;
        }
    }
    return false;
}

static bool admit_one(struct scheduler *s, struct list *ring)
{
    for (int c = CLASS_SYSTEM; c >= CLASS_BULK; c--)
        if (!list_empty(&s->classes[c].queue) && headroom(s, (enum sched_class)c) > 0) {
            admit_head(s, (enum sched_class)c, /* promoted= */ false, ring);
            return true;
        }
    return false;
}

static void dispatch(struct scheduler *s, uint64_t now_us, struct list *ring)
{
    while (promote_one(s, now_us, ring) || admit_one(s, ring))
        ;
}

/* Of the lowest class below C that has one, the request that was admitted last; marked. NULL: none. */
static struct waiter *choose_victim(struct scheduler *s, enum sched_class c)
{
    for (int low = CLASS_BULK; low < (int)c; low++) {
        struct list *running = &s->classes[low].preemptible;
        struct waiter *w;

        if (list_empty(running))
            continue;
        w = CONTAINER_OF(running->prev, struct waiter, link);
        list_remove(&w->link);
        w->preempted_by = (int8_t)c;
        atomic_fetch_add_explicit(&w->pending, 1, memory_order_relaxed);
        return w;
    }
    return NULL;
}

/* ---- outside ---- */

static void ring_all(struct list *ring)
{
    struct waiter *w;

    while ((w = list_first(ring, struct waiter, wake)) != NULL) {
        list_remove(&w->wake);
        w->ops->granted(w);
    }
}

void scheduler_init(struct scheduler *s, const struct sched_class_conf conf[CLASSES], uint32_t capacity)
{
    uint32_t reserved[CLASSES];

    *s = (struct scheduler){ .capacity = MIN(capacity, SCHED_CAPACITY_MAX) };
    pthread_mutex_init(&s->lock, NULL);
    s->fits = sched_reservations(conf, s->capacity, reserved);
    for (int c = 0; c < CLASSES; c++) {
        s->classes[c].conf = conf[c];
        s->classes[c].reserved = reserved[c];
        list_init(&s->classes[c].queue);
        list_init(&s->classes[c].preemptible);
    }
}

void scheduler_fini(struct scheduler *s)
{
    pthread_mutex_destroy(&s->lock);
}

enum sched_answer scheduler_enter(struct scheduler *s, struct waiter *w, uint64_t now_us)
{
    struct class_state *c = &s->classes[w->class];
    struct waiter *victim = NULL;
    enum sched_answer answer = SCHED_ADMITTED;
    bool full;

    list_init(&w->link);
    list_init(&w->wake);
    w->promoted = w->over_bound = false;
    pthread_mutex_lock(&s->lock);
    if (headroom(s, w->class) > 0) {
        admit(s, w);
    } else {
        full = c->queued >= c->conf.queue_size;
        if (c->conf.can_preempt)
            victim = choose_victim(s, w->class);
        answer = full && !victim ? SCHED_FULL : SCHED_QUEUED;
        w->over_bound = full;
    }
    if (answer == SCHED_QUEUED) {
        w->step = WAITER_QUEUED;
        w->since_us = now_us;
        c->queued++;
        list_append(&c->queue, &w->link);
    }
    pthread_mutex_unlock(&s->lock);
    if (victim)
        victim->ops->preempted(victim);
    return answer;
}

bool scheduler_leave_queue(struct scheduler *s, struct waiter *w)
{
    bool waited;

    pthread_mutex_lock(&s->lock);
    waited = w->step == WAITER_QUEUED;
    if (waited) {
        dequeue(s, w);
        w->step = WAITER_OUT;
    }
    pthread_mutex_unlock(&s->lock);
    return waited;
}

void scheduler_leave(struct scheduler *s, struct waiter *w, uint64_t now_us)
{
    struct list ring; // waiter.wake

    list_init(&ring);
    pthread_mutex_lock(&s->lock);
    list_remove(&w->link);
    w->step = WAITER_OUT;
    s->classes[w->class].inflight--;
    dispatch(s, now_us, &ring);
    pthread_mutex_unlock(&s->lock);
    ring_all(&ring);
}

void scheduler_started(struct scheduler *s, struct waiter *w)
{
    pthread_mutex_lock(&s->lock);
    if (w->step == WAITER_ADMITTED) {
        list_remove(&w->link);
        w->started = true;
    }
    pthread_mutex_unlock(&s->lock);
}

void scheduler_victim_lost(struct scheduler *s, struct waiter *w)
{
    struct waiter *victim = NULL;
    int by;

    pthread_mutex_lock(&s->lock);
    by = w->preempted_by;
    w->preempted_by = -1;
    if (by >= 0 && !list_empty(&s->classes[by].queue))
        victim = choose_victim(s, (enum sched_class)by);
    pthread_mutex_unlock(&s->lock);
    if (victim)
        victim->ops->preempted(victim);
}

void scheduler_tick(struct scheduler *s, uint64_t now_us)
{
    struct list ring; // waiter.wake

    list_init(&ring);
    pthread_mutex_lock(&s->lock);
    dispatch(s, now_us, &ring);
    pthread_mutex_unlock(&s->lock);
    ring_all(&ring);
}

/* Inside one lock, so nobody sees reservations of one capacity with another one: the order of 12.3 (reservations first when it grows) is needless here. */
static bool change(struct scheduler *s, const struct sched_class_conf *conf, uint32_t capacity, uint64_t now_us)
{
    uint32_t reserved[CLASSES];
    struct list ring; // waiter.wake
    bool fits;

    list_init(&ring);
    pthread_mutex_lock(&s->lock);
    if (!conf)
        s->capacity = MIN(capacity, SCHED_CAPACITY_MAX);
    for (int c = 0; conf && c < CLASSES; c++)
        s->classes[c].conf = conf[c];
    fits = sched_reservations(
        (struct sched_class_conf[CLASSES]){ s->classes[0].conf, s->classes[1].conf, s->classes[2].conf, s->classes[3].conf },
        s->capacity, reserved);
    for (int c = 0; c < CLASSES; c++)
        s->classes[c].reserved = reserved[c];
    s->fits = fits;
    dispatch(s, now_us, &ring);
    pthread_mutex_unlock(&s->lock);
    ring_all(&ring);
    return fits;
}

bool scheduler_set_capacity(struct scheduler *s, uint32_t capacity, uint64_t now_us)
{
    return change(s, NULL, capacity, now_us);
}

bool scheduler_configure(struct scheduler *s, const struct sched_class_conf conf[CLASSES], uint64_t now_us)
{
    return change(s, conf, 0, now_us);
}

void scheduler_state(struct scheduler *s, struct scheduler_state *ret)
{
    pthread_mutex_lock(&s->lock);
    ret->capacity = s->capacity;
    for (int c = 0; c < CLASSES; c++) {
        ret->classes[c].inflight = s->classes[c].inflight;
        ret->classes[c].queued = s->classes[c].queued;
        ret->classes[c].reserved = s->classes[c].reserved;
        ret->classes[c].headroom = headroom(s, (enum sched_class)c);
        ret->classes[c].queue_size = s->classes[c].conf.queue_size;
    }
    pthread_mutex_unlock(&s->lock);
}
