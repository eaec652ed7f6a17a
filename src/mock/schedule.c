/* schedule.c -- a binary heap by due time; entries know their place, so that they can be taken out */
#include "mock/schedule.h"

#include <stdlib.h>

#define FIRE_MAX 256 /* of one turn: an engine that is behind its tokens must still read requests and notice clients that leave */

static void on_timer(uv_timer_t *timer);

void schedule_init(struct schedule *s, struct loop *loop)
{
    *s = (struct schedule){ .loop = loop };
    (void)uv_timer_init(&loop->uv, &s->timer); /* cannot fail */
    s->timer.data = s;
}

void schedule_close(struct schedule *s, uv_close_cb on_closed)
{
    for (size_t i = 0; i < s->n; i++)
        s->heap[i]->place = 0;
    free(s->heap);
    s->heap = NULL;
    s->n = s->cap = 0;
    uv_close((uv_handle_t *)&s->timer, on_closed);
}

static void put(struct schedule *s, size_t i, struct due *d)
{
    s->heap[i] = d;
    d->place = i + 1;
}

static void sift_up(struct schedule *s, size_t i, struct due *d)
{
    while (i > 0 && s->heap[(i - 1) / 2]->at_us > d->at_us) {
        put(s, i, s->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    put(s, i, d);
}

static void sift_down(struct schedule *s, size_t i, struct due *d)
{
    for (;;) {
        size_t child = 2 * i + 1;

        if (child >= s->n)
            break;
        if (child + 1 < s->n && s->heap[child + 1]->at_us < s->heap[child]->at_us)
            child++;
        if (s->heap[child]->at_us >= d->at_us)
            break;
        put(s, i, s->heap[child]);
        i = child;
    }
    put(s, i, d);
}

static void arm(struct schedule *s)
{
    uint64_t now, at;

    if (s->n == 0) {
        (void)uv_timer_stop(&s->timer);
        return;
    }
    now = loop_now_exact_us(s->loop);
    at = s->heap[0]->at_us;
    uv_update_time(&s->loop->uv); /* libuv counts from its cached time */
    (void)uv_timer_start(&s->timer, on_timer, at > now ? (at - now + 999) / 1000 : 0, /* repeat= */ 0);
}

int schedule_add(struct schedule *s, struct due *d, uint64_t at_us, void (*fire)(struct due *d))
{
    if (s->n == s->cap) {
        size_t cap = s->cap ? 2 * s->cap : 64;
        struct due **grown = reallocarray(s->heap, cap, sizeof(struct due *));

        if (!grown)
            return ERR_NOMEM;
        s->heap = grown;
        s->cap = cap;
    }
    d->at_us = at_us;
    d->fire = fire;
    s->n++;
    sift_up(s, s->n - 1, d);
    if (d->place == 1)
        arm(s);
    return 0;
}

static void take_out(struct schedule *s, struct due *d)
{
    size_t i = d->place - 1;
    struct due *last = s->heap[--s->n];

    d->place = 0;
    if (last == d)
        return;
    if (i > 0 && s->heap[(i - 1) / 2]->at_us > last->at_us)
        sift_up(s, i, last);
    else
        sift_down(s, i, last);
}

void schedule_remove(struct schedule *s, struct due *d)
{
    if (d->place == 0)
        return;
    take_out(s, d); /* the timer may fire once for nothing: cheaper than arming it again */
}

static void on_timer(uv_timer_t *timer)
{
    struct schedule *s = timer->data;
    uint64_t now;

    loop_enter(s->loop);
    now = loop_now_exact_us(s->loop);
    for (unsigned i = 0; i < FIRE_MAX && s->n > 0 && s->heap[0]->at_us <= now; i++) {
        struct due *d = s->heap[0];

        take_out(s, d);
        d->fire(d);
    }
    arm(s);
}
