/* plugin/chain.h -- runs the plugins of one phase over one message, in the order of their registration, without blocking a loop
 *
 *                 start                 a plugin paused               it was resumed, or its time is over
 *     (new) --------------> WORKING -----------------------> PAUSED -----------------------------------+
 *                           ^     \                                                                   |
 *                           |      \--the last plugin answered, or one ended the phase--> OVER        |
 *                           +-------------------------------------------------------------------------+
 *
 *   WORKING  quick plugins (table.h: pace) run on the loop, back to back, for they take less than going to a thread and back does. From the first one on that is not, or that was suspended because it took too
 *            long after all, the rest is with the plugin threads: waits for one at most `queue_ms`, then runs on it, back to back
 *   PAUSED   no thread has it; a plugin said that it will answer later (plugin/engine.h)
 *   OVER     `done` was called, on the loop; the run's memory, and the message in it, stay until plugin_run_drop
 *
 * A plugin that fails (trap, time, memory, nonsense, no thread in time) is skipped, or ends the phase, as its on_failure says.
 * Threads: everything on the loop of its struct plugin_chain; a thread of the pool works on a run only while it is WORKING.
 * Bounds: CHAIN_QUEUE_MAX runs wait for a thread, WASM_SUSPENDED_MAX of a loop's with a suspended plugin; a run lasts at most its wait and the times of its plugins.
 */
#pragma once

#include "loop/loop.h"
#include "plugin/edits.h"
#include "plugin/registry.h"
#include "plugin/threads.h"

#define CHAIN_QUEUE_MAX 1024
#define CHAIN_QUEUE_MS  5000 /* five times the usual limit of one plugin: past it a client would rather hear something */
#define CHAIN_LOOP_BODY \
    ((size_t)64 << 10) /* bytes of a body up to which a loop runs plugins itself: copying more in and out takes too long */

struct plugin_run;
struct plugin_chain_conf {
    struct plugin_totals *totals;
    struct plugin_threads *threads;
    uint32_t timeout_ms, max_memory_pages; /* of a module that says nothing */
    size_t max_body_bytes;
    uint32_t queue_ms; /* 0 = CHAIN_QUEUE_MS */
    /* Optional: hears of each run once, when no thread works on it any more, dropped ones too; on the loop. */
    void (*ended)(const struct plugin_run *run, void *arg);
    void *arg;
};

/* One per loop. */
struct plugin_chain {
    struct plugin_chain_conf conf;
    struct loop *loop;
    struct list runs;     // plugin_run.link: all that are not freed
    unsigned suspended_n; /* runs whose call at hand is */
};

void plugin_chain_init(struct plugin_chain *c, const struct plugin_chain_conf *conf, struct loop *loop);
void plugin_chain_fini(struct plugin_chain *c); /* the loop does not run any more, the threads have ended */

enum plugin_verdict {
    PLUGIN_PASS,     /* all had their say; the message is as they left it */
    PLUGIN_REJECTED, /* one rejected: `status` */
    PLUGIN_REFUSED,  /* one failed that must not be skipped */
};

struct plugin_step {
    struct plugin_module *module; /* the table holds it */
    enum plugin_point point;
    bool ran;
    int status;
    uint64_t us;
};

struct plugin_run {
    struct arena arena; /* owned */
    struct plugin_message message;
    struct str method, path, query, request_id; /* arena */

    /* when `done` runs */
    enum plugin_verdict verdict;
    unsigned status; /* PLUGIN_REJECTED: the plugin's, as it is to be answered */
    struct plugin_step *steps;
    size_t steps_n;

    void (*done)(struct plugin_run *run); /* on the loop, once, unless the run was dropped before */
    void *owner;

    /* internal */
    struct plugin_chain *chain;
    struct plugin_table *table; /* ref */
    struct list link;
    enum { RUN_NEW, RUN_WORKING, RUN_PAUSED, RUN_OVER } state; /* written by enter() */
    bool dropped;                                              /* nobody waits: freed as soon as nobody works on it */
    _Atomic bool stop;                                         /* dropped, for the thread that works on it */
    bool told;                                                 /* `ended` was */
    bool pausing;                                              /* the thread's: its last call paused */
    bool suspended;                                            /* the call at hand is; whoever works on the run writes it */
    bool counted;                                              /* in chain->suspended_n */
    bool resumed;                                              /* the loop has heard of it */
    bool answered;                                             /* the call at hand has its answer, nobody acted on it yet */
    size_t at;                                                 /* the step at hand */
    uint64_t step_began_us;                                    /* clock */
    struct plugin_call call;                                   /* of the step at hand */
    struct plugin_job job;
    struct message left, resume;                  /* to the loop: the thread is through; the paused call was answered */
    struct timer deadline;                        /* WORKING: of the wait for a thread; PAUSED: of the answer */
    struct deferred through, refused, free_later; /* through: the loop itself went through the rest */
    struct buf kept; /* owned, with its bytes of the memory budget: what message.body pointed to at first */
};

/* A run of the modules of TABLE at POINTS (bits): those of OnError before those of OnResponse. NULL: no memory. The caller fills in the message and the strings (in run->arena) and
 * then starts it. */
struct plugin_run *plugin_run_new(struct plugin_chain *c, struct plugin_table *table, unsigned points,
                                  enum plugin_side side) _must_check_;
/* `done` follows, never from inside. Nothing of the run may be touched until then. */
void plugin_run_start(struct plugin_run *run, void (*done)(struct plugin_run *run), void *owner);
/* The owner's last word, before or after `done`, which is not called any more. The memory goes at the end of a turn. */
void plugin_run_drop(struct plugin_run *run);
