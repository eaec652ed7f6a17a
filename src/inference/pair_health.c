/* inference/pair_health.c -- GET /health_generate where prefill and decode run on engines of their own: one pair is asked, both must be well
 *
 * The engines' own words are dropped. SMG's answer names their URLs; this path is public, so ours names worker ids, which GET /workers explains to those who may ask.
 */
#include "http/error.h"
#include "inference/carry.h"

static void on_head(struct reply_sink *sink, const struct http_head *head)
{
    (void)sink;
    (void)head; /* a 2xx: any other is an error of the pair */
}

static void on_part(struct reply_sink *sink, struct str part)
{
    (void)sink;
    (void)part;
}

static void on_end(struct reply_sink *sink)
{
    struct exchange_sink *s = CONTAINER_OF(sink, struct exchange_sink, sink);

    s->dispatch = NULL;
    exchange_reply(s->ex, 200, TYPE_TEXT,
                   arena_printf(&s->ex->arena, "Health generate passed on selected pair: %.*s", STR_FMT(s->ex->facts.pair)));
}

static void reply_failure(struct exchange *ex, const struct dispatch_failure *f)
{
    bool nobody = str_eq(f->code, STR("server_selection_failed")) || str_eq(f->code, STR("model_not_found"));

    http_error_retry_after(ex, 1);
    http_error(ex, 503, nobody ? STR("no_healthy_worker_pair") : STR("health_generate_failed"), f->message);
}

static void on_error(struct reply_sink *sink, const struct dispatch_failure *f, bool after_head)
{
    struct exchange_sink *s = CONTAINER_OF(sink, struct exchange_sink, sink);

    (void)after_head; /* nothing went out */
    s->dispatch = NULL;
    reply_failure(s->ex, f);
}

static const struct reply_sink_ops HEALTH = { .on_head = on_head, .on_part = on_part, .on_end = on_end, .on_error = on_error };

void carry_pair_health(struct exchange *ex, struct inference *inf, struct str path)
{
    struct exchange_sink *s = arena_new(&ex->arena, struct exchange_sink);
    struct dispatch_request request = { .ex = ex, .method = HTTP_GET, .path = path, .endpoint = "info", .pair = true };
    struct dispatch_failure failure;
    struct dispatch *dispatch;

    if (!s) {
        http_error_retry_after(ex, 1);
        http_error(ex, 503, STR("out_of_memory"), STR("The gateway is out of memory for this request"));
        return;
    }
    s->sink.ops = &HEALTH;
    s->ex = ex;
    if (dispatch_start(inf->dispatcher, &request, &s->sink, &dispatch, &failure) < 0) {
        reply_failure(ex, &failure);
        return;
    }
    sink_attach(&s->sink, dispatch);
}
