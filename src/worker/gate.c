/* worker/gate.c -- at most so many at a time
 *
 * Who leaves makes room; those in line enter at the end of the turn, so that nobody's callback runs inside another's gate_leave.
 */
#include "worker/registry_internal.h"

static void pump(struct deferred *d)
{
    struct gate *g = CONTAINER_OF(d, struct gate, pump);
    unsigned most = g->max; /* one that fails at once leaves at once: it must not keep us here */

    while (most-- > 0 && g->running < g->max && !list_empty(&g->waiting)) {
        struct gate_wait *w = list_first(&g->waiting, struct gate_wait, link);

        list_remove(&w->link);
        g->running++;
        w->go(w);
    }
}

void gate_init(struct gate *g, struct loop *loop, unsigned max)
{
    *g = (struct gate){ .loop = loop, .max = max, .pump.run = pump };
    list_init(&g->waiting);
}

void gate_fini(struct gate *g)
{
    loop_defer_cancel(g->loop, &g->pump);
}

void gate_wait_init(struct gate_wait *w, void (*go)(struct gate_wait *w))
{
    list_init(&w->link);
    w->go = go;
}

bool gate_enter(struct gate *g, struct gate_wait *w)
{
    if (g->running < g->max && list_empty(&g->waiting)) {
        g->running++;
        return true;
    }
    list_append(&g->waiting, &w->link);
    loop_defer(g->loop, &g->pump);
    return false;
}

void gate_leave(struct gate *g)
{
    g->running--;
    if (!list_empty(&g->waiting))
        loop_defer(g->loop, &g->pump);
}

void gate_forget(struct gate_wait *w)
{
    list_remove(&w->link);
}
