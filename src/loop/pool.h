/* loop/pool.h -- the blocking pool: work that blocks or computes for long, off the loops
 *
 * A job's `work` runs on a pool thread; then its `done` runs on the loop that submitted it, by a mailbox message.
 * Bound: POOL_QUEUE_MAX jobs wait; past that pool_submit answers ERR_BUSY. A job that has begun cannot be cancelled: the owner keeps it until `done`.
 */
#pragma once

#include "loop/loop.h"

#define POOL_QUEUE_MAX 1024

struct pool_job {
    struct message back; /* internal */
    struct list link;    /* pool.queue */
    struct loop *loop;   /* the submitter */
    void (*work)(struct pool_job *job);
    void (*done)(struct pool_job *job);
};

struct pool;

int pool_new(unsigned threads, struct pool **ret, struct err *err) _must_check_;

/* Runs what is queued, joins the threads; `done` messages must still find their loops. NULL is fine. */
void pool_free(struct pool *p);

/* On the loop that gets `done`. 0, or ERR_BUSY (no callback). */
int pool_submit(struct pool *p, struct loop *l, struct pool_job *job) _must_check_;
