/* loop_thread.h -- a loop on a thread of its own, and calls into it that wait for their end
 *
 * The test's thread plays the peer with plain blocking sockets; what touches streams runs on the loop's thread by on_loop().
 */
#pragma once

#include <semaphore.h>
#include <unistd.h>

#include "loop/loop.h"
#include "test.h"

struct loop_call {
    struct message m;
    void (*fn)(void *arg);
    void *arg;
    sem_t done;
};

static inline void loop_call_run(struct loop *l, struct message *m)
{
    struct loop_call *c = CONTAINER_OF(m, struct loop_call, m);

    (void)l;
    c->fn(c->arg);
    sem_post(&c->done);
}

/* Runs FN(ARG) on L's thread and waits for it. */
static inline void on_loop(struct loop *l, void (*fn)(void *arg), void *arg)
{
    struct loop_call c = { .m.run = loop_call_run, .fn = fn, .arg = arg };

    sem_init(&c.done, 0, 0);
    loop_post(l, &c.m);
    while (sem_wait(&c.done) != 0)
        ;
    sem_destroy(&c.done);
}

static inline void loop_nothing(void *arg)
{
    (void)arg;
}

/* Waits until L has begun a turn after this one: what was deferred and closed before has happened. */
static inline void loop_settle(struct loop *l)
{
    for (int i = 0; i < 3; i++)
        on_loop(l, loop_nothing, NULL);
}

static inline struct loop *loop_thread_start(unsigned index)
{
    struct loop *l = NULL;

    assert_int_equal(loop_new("test", index, &l, NULL), 0);
    assert_int_equal(loop_start_thread(l, NULL), 0);
    return l;
}

static inline void loop_thread_end(struct loop *l)
{
    loop_stop(l);
    loop_join(l);
    loop_free(l);
}

/* Waits up to thirty seconds for CONDITION (of atomics). */
#define EVENTUALLY(condition)                                          \
    do {                                                               \
        for (int tries_ = 0; !(condition) && tries_ < 30000; tries_++) \
            usleep(1000);                                              \
        assert_true(condition);                                        \
    } while (0)
