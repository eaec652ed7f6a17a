/* admin/cache.c -- POST /flush_cache: every engine forgets its prefix cache (spec control-plane 15.1, 18.11)
 *
 * BETTERs: providers are left alone, an engine with several data-parallel workers is asked once, and when nothing succeeded the status is "error" (still 206).
 */
#include "admin/fan.h"

#define EACH_MS 45000  /* SMG's: a busy engine finishes its batch first */
#define ALL_MS  120000 /* a fleet with hundreds of dead engines must not hold the request for an hour */

struct flush {
    struct fan fan;
    size_t http, grpc, zmq; /* workers */
};

static bool wants(const struct worker *w, void *owner)
{
    struct flush *f = CONTAINER_OF((struct fan *)owner, struct flush, fan);

    if (w->spec.runtime == RUNTIME_EXTERNAL)
        return false;
    switch (w->spec.mode) {
    case WORKER_HTTP:
        f->http++;
        return true;
    case WORKER_GRPC:
        f->grpc++;
        return true;
    case WORKER_ZMQ:
        f->zmq++;
        return false; /* it has no such call */
    }
    return false;
}

static bool question_for(struct fanout *f, struct fanout_target *t, struct probe_ask *ask)
{
    (void)f;
    if (t->worker->spec.mode != WORKER_HTTP)
        t->result = ERR_UNSUPPORTED;
    if (t->worker->spec.mode != WORKER_HTTP || t->asked)
        return false;
    *ask = (struct probe_ask){ .method = HTTP_POST, .path = STR("/flush_cache"), .total_ms = EACH_MS };
    return true;
}

static void write_message(struct buf *out, const struct flush *f, struct fan_counts c)
{
    bool nobody = f->http + f->grpc == 0;

    if (nobody && f->zmq) {
        buf_printf(out, "No cache-flush-capable workers available (%zu ZMQ workers skipped: no cache-flush RPC)", f->zmq);
        return;
    }
    if (nobody)
        buf_puts(out, "No workers available for cache flush");
    else if (c.failed)
        buf_printf(out, "Cache flush: %zu succeeded, %zu failed", c.succeeded, c.failed);
    else
        buf_printf(out, "Successfully flushed cache on all %zu workers", c.succeeded);
    if (f->zmq)
        buf_printf(out, " (%zu ZMQ workers skipped: no cache-flush RPC)", f->zmq);
}

static void reply(struct fan *fan)
{
    struct flush *f = CONTAINER_OF(fan, struct flush, fan);
    struct fan_counts c = fan_count(fan->fanout);
    struct buf out = { 0 }, message = { 0 };
    struct json_writer w;

    write_message(&message, f, c);
    json_begin(&w, &out);
    json_object(&w);
    json_put_str(&w, "status", fan_status(c));
    json_put_str(&w, "message", buf_str(&message));
    json_put_u64(&w, "workers_flushed", c.succeeded);
    json_put_u64(&w, "total_http_workers", f->http);
    json_put_u64(&w, "total_grpc_workers", f->grpc);
    json_put_u64(&w, "total_zmq_workers_skipped", f->zmq);
    json_put_u64(&w, "total_workers", f->http + f->grpc + f->zmq);
    if (c.failed)
        fan_write_lists(&w, fan->fanout, "flush_cache", "/flush_cache");
    json_end(&w);
    out.failed |= message.failed;
    buf_fini(&message);
    fan_reply(fan->ex, c.failed ? 206 : 200, TYPE_JSON, &out);
}

void admin_flush_cache(struct exchange *ex, void *context)
{
    struct flush *f = arena_new(&ex->arena, struct flush);
    struct fanout_ask ask = { .kind = FANOUT_ADMIN, .all_ms = ALL_MS, .wants = wants, .question_for = question_for };

    if (!f) {
        admin_refuse_memory(ex);
        return;
    }
    f->fan.done = reply;
    fan_start(ex, context, &f->fan, &ask);
}
