/* plugin/threads.h -- the small pool of threads on which plugins run
 *
 * Its own, so that a plugin that takes its whole time delays other plugins' work at most, never a loop and never the loading of a tokenizer. Oldest first; at most QUEUE_MAX jobs wait.
 * A job that waits can be taken back; one that runs cannot. What a job has to say when it is through it says itself (loop_post), as its last act.
 * Threads: submit and cancel: any.
 */
#pragma once

#include "base/err.h"
#include "base/list.h"

#include <stdbool.h>

struct plugin_job {
    struct list link; // plugin_threads.queue
    bool waits;       /* under the lock */
    void (*work)(struct plugin_job *job);
};

struct plugin_threads;

int plugin_threads_new(unsigned threads, unsigned queue_max, struct plugin_threads **ret, struct err *err) _must_check_;
void plugin_threads_free(struct plugin_threads *t); /* jobs that wait are dropped, those that run are waited for. NULL is fine */

int plugin_threads_submit(struct plugin_threads *t, struct plugin_job *job) _must_check_; /* ERR_BUSY */
bool plugin_threads_cancel(struct plugin_threads *t, struct plugin_job *job);             /* true: it waited, and will not run */
unsigned plugin_threads_waiting(struct plugin_threads *t);
