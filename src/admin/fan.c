/* admin/fan.c -- what the handlers that ask many workers share */
#include "admin/fan.h"

#include "http/error.h"

#define PIECE_BYTES (60u << 10) /* of the 64 KiB that a turn may yield */

/* ---- waiting ---- */

static void on_abort(struct exchange *ex, void *arg)
{
    struct fan *fan = arg;

    (void)ex;
    fan->ex = NULL;
    fanout_free(STEAL(fan->fanout));
    if (fan->dropped)
        fan->dropped(fan);
}

static const struct exchange_owner WAITING = { .on_abort = on_abort };
static const struct exchange_owner NOBODY = { 0 };

/* The reply may end the exchange; its arena, and FAN in it, stands until the end of the turn. */
static void on_done(struct fanout *f)
{
    struct fan *fan = f->owner;

    exchange_own(fan->ex, &NOBODY, NULL);
    fan->done(fan);
    fanout_free(STEAL(fan->fanout));
    if (fan->dropped)
        fan->dropped(fan);
}

void fan_start(struct exchange *ex, const struct admin *admin, struct fan *fan, struct fanout_ask *ask)
{
    int r;

    ask->done = on_done;
    ask->owner = fan;
    fan->ex = ex;
    r = fanout_start(admin->fanouts, ask, &fan->fanout);
    if (r == 0) {
        exchange_own(ex, &WAITING, fan);
        return;
    }
    if (fan->dropped)
        fan->dropped(fan);
    if (r == ERR_BUSY) {
        http_error_retry_after(ex, 1);
        http_error(ex, 503, STR("too_many_fanouts"),
                   STR("Too many requests of this kind are asking the workers already; try again in a moment"));
    } else {
        admin_refuse_memory(ex);
    }
}

/* ---- long replies ---- */

struct long_reply {
    struct buf body; /* owned */
    size_t at;
};

static bool proceed(struct exchange *ex, struct buf *out, void *arg)
{
    struct long_reply *r = arg;
    struct str piece = str_first(str_skip(buf_str(&r->body), r->at), PIECE_BYTES);

    (void)ex;
    buf_put(out, piece);
    r->at += piece.n;
    return r->at == r->body.n;
}

static void stop(struct exchange *ex, void *arg)
{
    struct long_reply *r = arg;

    (void)ex;
    buf_fini(&r->body);
}

void fan_reply(struct exchange *ex, unsigned status, struct str type, struct buf *body)
{
    static const struct exchange_generator LONG = { .proceed = proceed, .stop = stop };
    struct long_reply *r = arena_new(&ex->arena, struct long_reply);

    if (body->failed || !r) {
        buf_fini(body);
        admin_refuse_memory(ex);
        return;
    }
    r->body = *body;
    *body = (struct buf){ 0 };
    exchange_generate(ex, status, type, &LONG, r);
}

/* ---- who did well ---- */

static int result_of(const struct fanout *f, const struct fanout_row *row)
{
    return f->targets[row->target].result;
}

struct fan_counts fan_count(const struct fanout *f)
{
    struct fan_counts c = { 0 };

    for (size_t i = 0; i < f->rows_n; i++)
        if (fanout_succeeded(result_of(f, &f->rows[i])))
            c.succeeded++;
        else
            c.failed++;
    return c;
}

struct str fan_status(struct fan_counts c)
{
    return c.failed == 0 ? STR("success") : c.succeeded ? STR("partial_success") : STR("error");
}

/* gRPC engines: their status text, with the worker's URL; others: with the endpoint that was asked. */
static void write_failure(struct json_writer *w, const struct fanout_row *row, const struct fanout_target *t, const char *operation,
                          const char *path)
{
    bool http = row->worker->spec.mode == WORKER_HTTP;
    char why[FANOUT_WHY_MAX];
    struct buf text = { 0 };

    buf_printf(&text, "%s failed for worker %.*s%s: ", operation, STR_FMT(http ? t->base_url : row->worker->spec.url),
               http ? path : "");
    if (http)
        buf_put(&text, fanout_why(t->result, why));
    else if (row->worker->spec.mode == WORKER_ZMQ)
        buf_printf(&text, "%s is not supported over ZMQ", operation);
    else
        buf_puts(&text, "operation is not implemented or not supported");
    json_object(w);
    json_put_str(w, "worker", row->worker->spec.url);
    json_put_str(w, "error", buf_str(&text));
    json_end(w);
    w->out->failed |= text.failed;
    buf_fini(&text);
}

void fan_write_lists(struct json_writer *w, const struct fanout *f, const char *operation, const char *path)
{
    json_put_array(w, "successful");
    for (size_t i = 0; i < f->rows_n; i++)
        if (fanout_succeeded(result_of(f, &f->rows[i])))
            json_value_str(w, f->rows[i].worker->spec.url);
    json_end(w);
    json_put_array(w, "failed");
    for (size_t i = 0; i < f->rows_n; i++)
        if (!fanout_succeeded(result_of(f, &f->rows[i])))
            write_failure(w, &f->rows[i], &f->targets[f->rows[i].target], operation, path);
    json_end(w);
}
