/* worker/probe.c -- one question to a worker
 *
 * The whole exchange has one deadline (name, connect, head, body): an engine that answers byte by byte must not hold a
 * slot. Connections are not kept: probes of one worker are far apart, and thousands of idle sockets would help nobody.
 */
#include "worker/probe.h"

#include <stdlib.h>

static void free_now(struct deferred *d)
{
    struct probe *p = CONTAINER_OF(d, struct probe, free_later);

    http_fetch_fini(&p->fetch);
    buf_fini(&p->head);
    buf_fini(&p->body);
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

static void write_key(struct probe *p, struct str key, struct buf *text)
{
    if (!key.n)
        return;
    if (worker_is_anthropic(p->worker)) {
        (void)h1_put_field(&p->head, STR("x-api-key"), key);
        (void)h1_put_field(&p->head, STR("anthropic-version"), STR("2023-06-01"));
        return;
    }
    buf_clear(text);
    buf_puts(text, "Bearer ");
    buf_put(text, key);
    p->head.failed |= text->failed;
    (void)h1_put_field(&p->head, STR("authorization"),
                       buf_str(text)); /* a worker's key was checked by worker_spec_check, a client's came out of a field value */
}

static void write_head(struct probe *p, const struct probe_ask *ask)
{
    static const struct str METHODS[] = { [HTTP_GET] = STR_INIT("GET"), [HTTP_POST] = STR_INIT("POST") };
    const struct worker *w = p->worker;
    struct str key = ask->bearer.n ? ask->bearer : w->spec.api_key;
    struct buf text = { 0 };

    buf_put(&text, w->base_path);
    buf_put(&text, ask->path);
    p->head.failed |= text.failed; /* here and in write_key: clearing the text forgets it */
    if (!text.failed)
        h1_put_request_line(&p->head, METHODS[ask->method], buf_str(&text));
    (void)h1_put_field(&p->head, STR("host"), w->authority);
    (void)h1_put_field(&p->head, STR("accept"), STR("*/*"));
    write_key(p, key, &text);
    if (ask->method == HTTP_POST) {
        buf_clear(&text);
        buf_printf(&text, "%zu", ask->body.n);
        (void)h1_put_field(&p->head, STR("content-length"), buf_str(&text));
        if (ask->body.n)
            (void)h1_put_field(&p->head, STR("content-type"), STR("application/json"));
    }
    (void)h1_put_field(&p->head, STR("connection"), STR("close"));
    h1_put_end(&p->head);
    buf_put(&p->body, ask->body);
    p->head.failed |= text.failed || p->body.failed;
    buf_fini(&text);
}

int probe_start(struct http_client *client, struct loop *loop, const struct worker *w, const struct probe_ask *ask,
                struct probe **ret)
{
    struct probe *p = calloc(1, sizeof(*p));

    if (!p)
        return ERR_NOMEM;
    p->loop = loop;
    p->worker = worker_ref(w);
    p->done = ask->done;
    p->owner = ask->owner;
    write_head(p, ask);
    p->fetch.call.host = w->host;
    p->fetch.call.port = w->port;
    p->fetch.call.tls = w->tls;
    p->fetch.call.method = ask->method;
    p->fetch.call.head = buf_str(&p->head);
    p->fetch.call.body = buf_str(&p->body);
    p->fetch.call.connect_ms = ask->connect_ms ? MIN(ask->connect_ms, ask->total_ms) : ask->total_ms;
    p->fetch.max = ask->body_max ? ask->body_max : PROBE_BODY_MAX;
    p->fetch.done = on_done;
    p->fetch.owner = p;
    if (p->head.failed || http_fetch_start(client, &p->fetch) < 0) {
        release(p);
        return ERR_NOMEM;
    }
    timer_start(p->loop, &p->deadline, ask->total_ms, on_deadline);
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
