/* loop/loop.c -- turns, deferred work, the mailbox, threads
 *
 * libuv's round, and where the house's turn lies in it:
 *
 *        +-> timers -> pending -> idle -> PREPARE -> poll ... I/O callbacks -> CHECK -> close callbacks -+
 *        |                                  |                 |                  |                       |
 *        |                             before_poll       loop_enter          after_poll                  |
 *        |                        deferred; turn ends   turn begins           deferred                   |
 *        +-----------------------------------------------------------------------------------------------+
 *
 * A turn begins with the first callback behind a poll (at the latest in CHECK) and ends in PREPARE: the clock is read once at each end. Work deferred by I/O
 * callbacks runs in CHECK. What close callbacks, timers and idle handles deferred runs in PREPARE: all of it before the loop can sleep.
 * Deferred work may defer more: DEFER_ROUNDS rounds run in one place; what is left makes the next poll return at once, so that I/O gets its
 * share. At the end of the turn the loop's snapshot pin goes (snapshot.h) and the watchdog counts.
 *
 * The mailbox is a stack that any thread pushes on by compare-and-swap; whoever finds it empty rings the bell, the others know that it
 * rang. The receiver takes the whole stack by one exchange and turns it round, which restores each sender's order.
 * The bell is an eventfd of ours. libuv's own (uv_async_send) is a handshake in 1.44: the receiver spins until the sender has returned from its write. Where both
 * share a core, the write wakes the receiver, which takes the core from the sender and spins on it for as long as the scheduler lets it: up to milliseconds for
 * every message of the control thread (bench/README.md, "A storm of registrations").
 *
 *   state      to         by
 *   new        running    loop_run
 *   running    stopping   on_wake, after loop_stop: the bell no longer keeps the loop alive
 *   stopping   new        loop_run returns: no handle is open, no message and no deferred work is left
 */
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "loop/loop_internal.h"
#include "loop/priority.h"

#define TARGET       "smg::loop"
#define DEFER_ROUNDS 4
#define SECOND_US    1000000u

static _Thread_local struct loop *current;

static void on_wake(uv_poll_t *handle, int status, int events);
static void before_poll(uv_prepare_t *handle);
static void after_poll(uv_check_t *handle);

struct loop *loop_current(void)
{
    return current;
}

bool loop_is_mine(const struct loop *l)
{
    return current == l || !atomic_load_explicit(&l->running, memory_order_relaxed);
}

/* ---- the turn ---- */

void loop_begin_turn(struct loop *l)
{
    l->now_us = clock_now_us();
    l->turn_began_us = l->now_us;
    l->turn_number++;
}

uint64_t loop_now_exact_us(struct loop *l)
{
    (void)l;
    return clock_now_us();
}

static void publish_stats(struct loop *l)
{
    l->published_us = l->now_us;
    atomic_store_explicit(&l->p50_us, histogram_quantile(&l->turn_us, 0.5), memory_order_relaxed);
    atomic_store_explicit(&l->p99_us, histogram_quantile(&l->turn_us, 0.99), memory_order_relaxed);
}

static void note_stall(struct loop *l, uint64_t us)
{
    atomic_fetch_add_explicit(&l->stalls, 1, memory_order_relaxed);
    if (l->stall_logged_us && l->now_us - l->stall_logged_us < SECOND_US)
        return;
    l->stall_logged_us = l->now_us;
    log_warn(TARGET, "event loop stalled", LF_CSTR("loop", l->name), LF_UINT("turn_ms", us / 1000));
}

static void end_turn(struct loop *l)
{
    uint64_t us;

    if (l->turn_began_us) {
        us = clock_now_us() - l->turn_began_us;
        histogram_add(&l->turn_us, us);
        /* The only writer: a load and a store are cheaper than an atomic addition. */
        atomic_store_explicit(&l->turns, atomic_load_explicit(&l->turns, memory_order_relaxed) + 1, memory_order_relaxed);
        if (us > atomic_load_explicit(&l->max_us, memory_order_relaxed))
            atomic_store_explicit(&l->max_us, us, memory_order_relaxed);
        if (us > LOOP_STALL_MS * 1000u)
            note_stall(l, us);
        if (l->now_us - l->published_us > SECOND_US)
            publish_stats(l);
        l->turn_began_us = 0;
    }
    if (atomic_load_explicit(l->epoch, memory_order_relaxed))
        atomic_store_explicit(l->epoch, 0, memory_order_release); /* pairs with the acquire of snapshot_reclaim */
}

void loop_turn_stats(const struct loop *l, struct loop_turn_stats *ret)
{
    *ret = (struct loop_turn_stats){
        .turns = atomic_load_explicit(&l->turns, memory_order_relaxed),
        .stalls = atomic_load_explicit(&l->stalls, memory_order_relaxed),
        .p50_us = atomic_load_explicit(&l->p50_us, memory_order_relaxed),
        .p99_us = atomic_load_explicit(&l->p99_us, memory_order_relaxed),
        .max_us = atomic_load_explicit(&l->max_us, memory_order_relaxed),
    };
}

/* ---- the bell ---- */

/* Any thread. The write cannot fail: nobody but the loop's end closes the descriptor, and a counter that is full is a bell that rings. */
static void ring(struct loop *l)
{
    uint64_t one = 1;
    ssize_t n = write(l->bell, &one, sizeof one);

    (void)n;
}

/* It is level-triggered: silent again before the mailbox is taken, so that who pushes after that rings anew. */
static void silence(struct loop *l)
{
    uint64_t rung;
    ssize_t n = read(l->bell, &rung, sizeof rung);

    (void)n; /* nothing to read: the work is looked for all the same */
}

/* ---- deferred work ---- */

void loop_defer(struct loop *l, struct deferred *d)
{
    assert(loop_is_mine(l));
    assert(d->run);
    if (d->queued)
        return;
    d->queued = true;
    list_append(&l->deferred, &d->link);
}

void loop_defer_cancel(struct loop *l, struct deferred *d)
{
    assert(loop_is_mine(l));
    if (!d->queued)
        return;
    d->queued = false;
    list_remove(&d->link);
}

static void run_deferred(struct loop *l)
{
    struct list due;
    struct deferred *d;

    if (list_empty(&l->deferred))
        return;
    loop_enter(l);
    for (unsigned round = 0; round < DEFER_ROUNDS && !list_empty(&l->deferred); round++) {
        list_init(&due);
        list_move(&due, &l->deferred);
        while ((d = list_first(&due, struct deferred, link)) != NULL) {
            list_remove(&d->link);
            d->queued = false;
            d->run(d);
        }
    }
}

static void after_poll(uv_check_t *handle)
{
    struct loop *l = handle->data;

    loop_enter(l);
    run_deferred(l);
}

static void before_poll(uv_prepare_t *handle)
{
    struct loop *l = handle->data;

    run_deferred(l);
    if (!list_empty(&l->deferred))
        ring(l); /* the poll returns at once */
    end_turn(l);
}

/* ---- the mailbox ---- */

void loop_post(struct loop *l, struct message *m)
{
    struct message *newest = atomic_load_explicit(&l->mailbox, memory_order_relaxed);

    assert(m->run);
    do
        atomic_store_explicit(&m->next, newest, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&l->mailbox, &newest, m, memory_order_release, memory_order_relaxed));
    if (!newest)
        ring(l);
}

static void run_mailbox(struct loop *l)
{
    struct message *m = atomic_exchange_explicit(&l->mailbox, NULL, memory_order_acquire), *oldest = NULL, *next;

    for (; m; m = next) {
        next = atomic_load_explicit(&m->next, memory_order_relaxed);
        atomic_store_explicit(&m->next, oldest, memory_order_relaxed);
        oldest = m;
    }
    for (m = oldest; m; m = next) {
        next = atomic_load_explicit(&m->next, memory_order_relaxed); /* run() may free the message */
        m->run(l, m);
    }
}

static void on_wake(uv_poll_t *handle, int status, int events)
{
    struct loop *l = handle->data;

    (void)status; /* an eventfd has no errors, and is watched for reading only */
    (void)events;
    loop_enter(l);
    silence(l);
    run_mailbox(l);
    if (atomic_load_explicit(&l->stopping, memory_order_acquire))
        uv_unref((uv_handle_t *)&l->wake);
}

/* ---- life ---- */

static int open_handles(struct loop *l, struct err *err)
{
    int r = uv_loop_init(&l->uv);

    if (r < 0)
        return err_set(err, err_from_errno(r), "event loop \"%s\": %s", l->name, uv_strerror(r));
    l->bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    r = l->bell < 0 ? -errno : uv_poll_init(&l->uv, &l->wake, l->bell);
    if (r < 0) {
        (void)uv_loop_close(&l->uv); /* has no handles: cannot be busy */
        return err_set(err, err_from_errno(r), "event loop \"%s\": %s", l->name, uv_strerror(r));
    }
    (void)uv_poll_start(&l->wake, UV_READABLE, on_wake); /* cannot fail on a new handle */
    /* None of these can fail: they only set fields. */
    (void)uv_prepare_init(&l->uv, &l->before_poll);
    (void)uv_prepare_start(&l->before_poll, before_poll);
    (void)uv_check_init(&l->uv, &l->after_poll);
    (void)uv_check_start(&l->after_poll, after_poll);
    (void)uv_timer_init(&l->uv, &l->tick);
    l->wake.data = l->before_poll.data = l->after_poll.data = l->tick.data = l;
    uv_unref((uv_handle_t *)&l->before_poll);
    uv_unref((uv_handle_t *)&l->after_poll);
    uv_unref((uv_handle_t *)&l->tick);
    return 0;
}

static void free_parts(struct loop *l)
{
    timer_wheel_fini(l);
    metrics_shard_free(l->metrics);
    arena_cache_fini(&l->arena_cache);
    loop_spares_fini(&l->streams);
    loop_spares_fini(&l->tls);
    if (l->bell >= 0)
        (void)close(l->bell);
    free(l->read_buffer);
    if (l->epoch)
        snapshot_slot_give(l->epoch);
    free(l);
}

static int fill_loop(struct loop *l, struct err *err)
{
    l->epoch = snapshot_slot_take(l->index);
    if (!l->epoch)
        return err_set(err, ERR_EXISTS, "event loop \"%s\": a loop with index %u is alive", l->name, l->index);
    l->read_buffer = malloc(LOOP_READ_BYTES);
    l->metrics = metrics_shard_new();
    if (!l->read_buffer || !l->metrics || timer_wheel_init(l) < 0)
        return err_set(err, ERR_NOMEM, "event loop \"%s\": %s", l->name, err_text(ERR_NOMEM));
    list_init(&l->deferred);
    random_init_os(&l->random);
    histogram_init(&l->turn_us);
    l->now_us = clock_now_us();
    return open_handles(l, err);
}

int loop_new(const char *name, unsigned index, struct loop **ret, struct err *err)
{
    struct loop *l;
    int r;

    if (index >= LOOP_MAX)
        return err_set(err, ERR_LIMIT, "event loop \"%s\": at most %d loops in a process", name, LOOP_MAX);
    l = calloc(1, sizeof *l);
    if (!l)
        return err_set(err, ERR_NOMEM, "event loop \"%s\": %s", name, err_text(ERR_NOMEM));
    signal(SIGPIPE, SIG_IGN);
    l->name = name;
    l->index = index;
    l->bell = -1;
    r = fill_loop(l, err);
    if (r < 0) {
        free_parts(l);
        return r;
    }
    *ret = l;
    return 0;
}

static bool has_work(const struct loop *l)
{
    return uv_loop_alive(&l->uv) || !list_empty(&l->deferred) || atomic_load_explicit(&l->mailbox, memory_order_relaxed);
}

void loop_run(struct loop *l)
{
    assert(!current);
    current = l;
    l->turn_began_us = 0;
    atomic_store_explicit(&l->running, true, memory_order_relaxed);
    do {
        (void)uv_run(&l->uv, UV_RUN_DEFAULT); /* says whether handles are left: has_work asks again */
        loop_enter(l);
        run_mailbox(l);
        run_deferred(l);
    } while (has_work(l));
    end_turn(l);
    publish_stats(l);
    atomic_store_explicit(&l->stopping, false, memory_order_relaxed);
    uv_ref((uv_handle_t *)&l->wake);
    atomic_store_explicit(&l->running, false, memory_order_relaxed);
    current = NULL;
}

static void thread_main(void *arg)
{
    struct loop *l = arg;

    pthread_setname_np(pthread_self(), l->name); /* for top and gdb; a name past 15 bytes is refused, which does no harm */
    priority_answers();
    loop_run(l);
    log_flush();
}

int loop_start_thread(struct loop *l, struct err *err)
{
    int r;

    assert(!l->thread_started);
    r = uv_thread_create(&l->thread, thread_main, l);
    if (r < 0)
        return err_set(err, err_from_errno(r), "thread of event loop \"%s\": %s", l->name, uv_strerror(r));
    l->thread_started = true;
    return 0;
}

void loop_join(struct loop *l)
{
    if (!l->thread_started)
        return;
    (void)uv_thread_join(&l->thread); /* fails only for a thread that is no thread */
    l->thread_started = false;
}

void loop_stop(struct loop *l)
{
    atomic_store_explicit(&l->stopping, true, memory_order_release); /* pairs with on_wake */
    ring(l);
}

void loop_free(struct loop *l)
{
    struct loop *outer = current;
    int r;

    if (!l)
        return;
    assert(!atomic_load_explicit(&l->running, memory_order_relaxed) && !l->thread_started);
    current = l;
    uv_close((uv_handle_t *)&l->wake, NULL);
    uv_close((uv_handle_t *)&l->before_poll, NULL);
    uv_close((uv_handle_t *)&l->after_poll, NULL);
    uv_close((uv_handle_t *)&l->tick, NULL);
    do {
        (void)uv_run(&l->uv, UV_RUN_DEFAULT);
        run_deferred(l);
    } while (uv_loop_alive(&l->uv) || !list_empty(&l->deferred));
    end_turn(l);
    current = outer;
    r = uv_loop_close(&l->uv);
    assert(r == 0); /* an unreferenced handle of somebody is still open */
    (void)r;
    free_parts(l);
}

/* ---- spare blocks ---- */

void *loop_spare_get(struct loop_spares *s, size_t size)
{
    void *block = s->first;

    assert(size >= sizeof(void *));
    if (!block)
        return malloc(size);
    s->first = *(void **)block;
    s->n--;
    return block;
}

void loop_spare_put(struct loop_spares *s, void *block)
{
    if (s->n >= LOOP_SPARES_MAX) {
        free(block);
        return;
    }
    *(void **)block = s->first;
    s->first = block;
    s->n++;
}

void loop_spares_fini(struct loop_spares *s)
{
    while (s->n) {
        void *block = s->first;

        s->first = *(void **)block;
        s->n--;
        free(block);
    }
}
