/* worker/probe.c -- one GET to a worker
 *
 * Used by registration and health checks. The whole exchange has one deadline (name, connect, head, body): an engine that answers byte by byte must not hold a
 * slot. Connections are not kept: probes of one worker are far apart, and thousands of idle sockets would help nobody.
 */
#include "worker/registry_internal.h"

#include <stdlib.h>

#define BODY_MAX (256u << 10) /* SGLang's /server_info has some ten KiB */

static void free_now(struct deferred *d)
{
    struct probe *p = CONTAINER_OF(d, struct probe, free_later);

    http_fetch_fini(&p->fetch);
    buf_fini(&p->head);
    worker_unref(p->worker);
    free(p);
}

static void release(struct probe *p)
{
    timer_stop(&p->deadline);
    p->free_later.run = free_now;
    loop_defer(p->loop, &p->free_later);
}

static void end(struct probe *p, int result)
{
    release(p);
    p->done(p, result);
}

static void on_done(struct http_fetch *f, int status)
{
    struct probe *p = CONTAINER_OF(f, struct probe, fetch);

    end(p, status == 0 || (status == ERR_LIMIT && f->status) ? (int)f->status : status);
}

static void on_deadline(struct timer *t)
{
    struct probe *p = CONTAINER_OF(t, struct probe, deadline);

    http_fetch_cancel(&p->fetch);
    end(p, ERR_TIMEOUT);
}

static void write_head(struct buf *out, const struct worker *w, struct str path)
{
    struct buf target = { 0 };

    buf_put(&target, w->base_path);
    buf_put(&target, path);
    h1_put_request_line(out, STR("GET"), buf_str(&target));
    (void)h1_put_field(out, STR("host"), w->authority);
    (void)h1_put_field(out, STR("accept"), STR("*/*"));
    if (w->spec.api_key.n) {
        buf_clear(&target);
        buf_puts(&target, "Bearer ");
        buf_put(&target, w->spec.api_key);
        (void)h1_put_field(out, STR("authorization"), buf_str(&target)); /* the key was checked: worker_spec_check */
    }
    (void)h1_put_field(out, STR("connection"), STR("close"));
    h1_put_end(out);
    out->failed |= target.failed;
    buf_fini(&target);
}

int probe_start(struct registry *r, const struct worker *w, struct str path, uint32_t connect_ms, uint32_t total_ms,
                void (*done)(struct probe *p, int result), void *owner, struct probe **ret)
{
    struct probe *p = calloc(1, sizeof(*p));

    if (!p)
        return ERR_NOMEM;
    p->loop = r->loop;
    p->worker = worker_ref(w);
    p->done = done;
    p->owner = owner;
    write_head(&p->head, w, path);
    p->fetch.call.host = w->host;
    p->fetch.call.port = w->port;
    p->fetch.call.method = HTTP_GET;
    p->fetch.call.head = buf_str(&p->head);
    p->fetch.call.connect_ms = MIN(connect_ms, total_ms);
    p->fetch.max = BODY_MAX;
    p->fetch.done = on_done;
    p->fetch.owner = p;
    if (p->head.failed || http_fetch_start(r->client, &p->fetch) < 0) {
        release(p);
        return ERR_NOMEM;
    }
    timer_start(p->loop, &p->deadline, total_ms, on_deadline);
    *ret = p;
    return 0;
}

void probe_cancel(struct probe *p)
{
    if (!p)
        return;
    http_fetch_cancel(&p->fetch);
    release(p);
}

struct buf probe_take_body(struct probe *p)
{
    struct buf body = p->fetch.body;

    p->fetch.body = (struct buf){ 0 };
    return body;
}
