/* gateway/forget.c -- what follows a change of the workers: policies hear of it, and a removed worker's kept connections are closed, on every loop
 *
 *   control thread: REGISTRY_REMOVED --message to each loop--> http_client_forget
 *
 * Without it they would stay open until they are idle for too long, and an operator who takes an engine down would still see the gateway on its ports.
 */
#include <stdlib.h>

#include "gateway/gateway_internal.h"

struct forget {
    struct message message;
    struct gateway_thread *thread; /* borrowed: outlives its loop's messages */
    uint16_t port;
    size_t host_n;
    char host[];
};

static void on_forget(struct loop *loop, struct message *m)
{
    struct forget *f = CONTAINER_OF(m, struct forget, message);

    (void)loop;
    if (f->thread->client) /* NULL: the thread is closing */
        http_client_forget(f->thread->client, (struct str){ f->host, f->host_n }, f->port);
    free(f);
}

static void tell(struct gateway_thread *t, const struct worker *w)
{
    struct forget *f = malloc(sizeof(*f) + w->host.n);

    if (!f)
        return; /* the connections go when they are idle for long enough */
    f->message.run = on_forget;
    f->thread = t;
    f->port = w->port;
    f->host_n = w->host.n;
    memcpy(f->host, w->host.p, w->host.n);
    loop_post(t->loop, &f->message);
}

void gateway_on_registry(enum registry_event e, const struct worker *w, void *arg)
{
    struct gateway *g = arg;

    policy_set_on_registry(g->policies, e, w, registry_table(g->registry, g->control));
    admission_workers_changed(g->admission, registry_table(g->registry, g->control));
    gateway_loads_wanted(g); /* a label may have brought a policy that goes by them */
    load_monitor_on_registry(g->load_monitor, e, w);
    if (e == REGISTRY_ADDED || e == REGISTRY_REPLACED)
        gateway_tokenizer_of_worker(g, w);
    if (e != REGISTRY_REMOVED || g->closing)
        return;
    for (unsigned i = 0; i < g->threads_n; i++)
        tell(&g->threads[i], w);
}
