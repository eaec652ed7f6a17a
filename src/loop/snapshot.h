/* loop/snapshot.h -- tables that one thread replaces and all loops read without locks
 *
 *     control thread                                     loop thread
 *     snapshot_publish(cell, new)                        t = snapshot_get(loop, cell)     pins the loop's epoch on the first get of a turn
 *        swaps the pointer, retires the old one ...      ... uses t until the end of its turn ...
 *        with the epoch after the swap                   before it polls: unpinned (offline)
 *     snapshot_reclaim(): frees the retired ones whose epoch every loop has passed; from a timer, never waiting
 *
 * Why it holds: a reader stores its pin (sequentially consistent) before it loads the pointer; a retired object may be freed only when each loop is
 * offline or pinned at an epoch later than the retirement: such a loop loaded its pointers after the swap. A loop that is polling costs the reclaimer nothing.
 * Whatever must live past a turn is copied or referenced (struct worker has a reference count).
 * Threads: publish: the one writer of a cell (control thread). reclaim: any. get: an owner loop, inside a turn. Bound: what is retired is freed within about two turns
 * of the slowest loop; snapshot_retired() counts it.
 */
#pragma once

#include "loop/loop.h"

struct snapshot_cell {
    void *_Atomic current;
    void (*free_object)(void *object); /* runs on the thread that reclaims: the writer's */
};

void snapshot_init(struct snapshot_cell *c, void *first, void (*free_object)(void *object));

/* The table as of now, good until the end of this turn of LOOP. */
void *snapshot_get(struct loop *loop, struct snapshot_cell *c);

/* NEXT takes over; the old one is freed when nobody can see it. On failure to note the retirement (no memory) the old one is leaked and logged. */
void snapshot_publish(struct snapshot_cell *c, void *next);

size_t snapshot_reclaim(void); /* frees what it can; returns how many are still retired */
size_t snapshot_retired(void);

/* At the end, when no loop runs any more (or uses this cell): frees the retired ones and the current one. */
void snapshot_fini(struct snapshot_cell *c);
