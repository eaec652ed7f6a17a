/* http/fetch.c -- a call whose whole reply is wanted at once: status, type and up to `max` bytes of body
 *
 * A body over the bound ends the fetch early: the call is cancelled inside its own callback, and `done` comes at the end of the turn.
 */
#include "http/client_internal.h"

static void on_done(struct deferred *d)
{
    struct http_fetch *f = CONTAINER_OF(d, struct http_fetch, deferred_done);

    f->done(f, f->done_status);
}

static void give_up(struct http_fetch *f, int status)
{
    struct loop *loop = f->call.client->loop;

    http_call_cancel(&f->call);
    f->done_status = status;
    f->deferred_done.run = on_done;
    loop_defer(loop, &f->deferred_done);
}

static void on_head(struct http_call *c, const struct http_head *head)
{
    struct http_fetch *f = c->owner;
    struct str type = str_first(http_value(&head->fields, HF_CONTENT_TYPE), sizeof f->content_type - 1);

    f->status = head->status;
    if (type.n)
        memcpy(f->content_type, type.p, type.n);
    f->content_type[type.n] = 0;
    if (head->body == HTTP_BODY_LENGTH && head->length > f->max)
        give_up(f, ERR_LIMIT);
}

static void on_body(struct http_call *c, struct str part)
{
    struct http_fetch *f = c->owner;

    if (part.n > f->max - f->body.n) {
        give_up(f, ERR_LIMIT);
        return;
    }
    buf_put(&f->body, part);
    if (f->body.failed)
        give_up(f, ERR_NOMEM);
}

static void on_end(struct http_call *c, int status)
{
    struct http_fetch *f = c->owner;

    f->done(f, status);
}

static const struct http_call_ops FETCH_OPS = { .on_head = on_head, .on_body = on_body, .on_end = on_end };

int http_fetch_start(struct http_client *client, struct http_fetch *f)
{
    f->call.ops = &FETCH_OPS;
    f->call.owner = f;
    f->status = 0;
    f->content_type[0] = 0;
    buf_clear(&f->body);
    return http_call_start(client, &f->call);
}

void http_fetch_cancel(struct http_fetch *f)
{
    http_call_cancel(&f->call);
    loop_defer_cancel(loop_current(), &f->deferred_done);
}

void http_fetch_fini(struct http_fetch *f)
{
    buf_fini(&f->body);
}
