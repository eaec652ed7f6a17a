/* pipeline.c -- an exchange from its head to its handler, and its end
 *
 *   exchange_new -> exchange_begin -> on_head of each filter -> the body -> on_body of each filter -> the route's handler
 *                                          |  FILTER_WAITING: until exchange_resume
 *
 *   from         to         by                   when
 *   (new)        HEAD       exchange_new         a head is complete
 *   HEAD         BODY       begin_body           all on_head said go on
 *   BODY         HANDLING   call_handler         the body is here (or not wanted) and all on_body said go on
 *   HEAD..HAND.  REPLYING   exchange_reply_head  somebody answers
 *   any          DONE       exchange_finish      the reply is complete, cut, or the client left
 *
 * Every step ends in exactly one of: the next step, a wait (a filter's, the body's, the handler's), a reply.
 */
#include "http/server_internal.h"

#include <stdlib.h>

#include "http/error.h"

static void run_on_head(struct exchange *ex);
static void begin_body(struct exchange *ex);
static void run_on_body(struct exchange *ex);
static void call_handler(struct exchange *ex);
static void go_on(struct deferred *d);
static void release(struct deferred *d);

void exchange_set_state(struct exchange *ex, enum exchange_state to)
{
    assert(to > ex->state);
    ex->state = to;
}

/* ---- birth ---- */

static struct exchange *make_slot(struct http_server *s)
{
    struct exchange *ex;

    if (s->slots_n == s->slots_cap) {
        uint32_t cap = s->slots_cap ? s->slots_cap * 2 : 64;
        struct exchange **slots = realloc(s->slots, cap * sizeof(*slots));

        if (!slots)
            return NULL;
        s->slots = slots;
        s->slots_cap = cap;
    }
    ex = calloc(1, sizeof(*ex));
    if (!ex)
        return NULL;
    ex->slot = s->slots_n;
    list_init(&ex->link);
    s->slots[s->slots_n++] = ex;
    return ex;
}

struct exchange *exchange_new(struct http_connection *c)
{
    struct http_server *s = c->server;
    struct exchange *ex = list_first(&s->free_exchanges, struct exchange, link);

    if (ex)
        list_remove(&ex->link);
    else if (!(ex = make_slot(s)))
        return NULL;
    *ex = (struct exchange){
        .server = s,
        .connection = c,
        .loop = s->loop,
        .req = { .method = HTTP_OTHER, .minor = 1 },
        .peer = { c->peer, c->peer_n },
        .route_label = "other",
        .began_us = loop_now_us(s->loop),
        .slot = ex->slot,
        .generation = ex->generation,
        .go_on.run = go_on,
        .free_later.run = release,
    };
    list_init(&ex->link);
    /* Eight times the body is what the JSON tape of the densest text costs; the rest is for everything else. */
    arena_init(&ex->arena, &s->loop->arena_cache, (size_t)s->conf.max_body_bytes * 8 + ((size_t)16 << 20));
    ex->arena.budgeted = true;
    c->ex = ex;
    c->served = true;
    s->stats.exchanges++;
    return ex;
}

/* ---- the way to the handler ---- */

void exchange_begin(struct exchange *ex)
{
    router_find(ex->server->conf.router, ex);
    run_on_head(ex);
}

static void *context_of(const struct exchange *ex, unsigned index)
{
    return ex->server->conf.contexts ? ex->server->conf.contexts[index] : NULL;
}

void exchange_no_memory(struct exchange *ex)
{
    exchange_add(ex, HF_RETRY_AFTER, STR("1")); /* not http_error_retry_after: the arena may be what is full */
    http_error(ex, 503, STR("out_of_memory"), STR("The gateway is out of memory; try again later"));
}

static void run_on_head(struct exchange *ex)
{
    const struct http_server_conf *conf = &ex->server->conf;

    while (ex->state == EX_HEAD && ex->filter_at < conf->filters_n) {
        const struct filter *f = &conf->filters[ex->filter_at++];

        if (!f->on_head)
            continue;
        switch (f->on_head(ex, context_of(ex, f->context))) {
        case FILTER_GO_ON:
            break;
        case FILTER_ANSWERED:
            return;
        case FILTER_WAITING:
            ex->waiting = ex->state == EX_HEAD;
            return;
        }
    }
    if (ex->state == EX_HEAD)
        begin_body(ex);
}

/* What the ready filters refuse is refused here too, for a filter array without them. */
static bool refused(struct exchange *ex)
{
    if (ex->arena.failed) {
        exchange_no_memory(ex);
        return true;
    }
    return route_check_on_head(ex, NULL) == FILTER_ANSWERED || expect_check_on_head(ex, NULL) == FILTER_ANSWERED ||
           body_limit_on_head(ex, NULL) == FILTER_ANSWERED;
}

static void make_room_for_body(struct exchange *ex)
{
    char *p;

    if (ex->req.body != HTTP_BODY_LENGTH || ex->req.length > BODY_IN_ARENA)
        return;
    p = arena_alloc(&ex->arena, (size_t)ex->req.length);
    if (!p)
        return;
    ex->body_bytes = (struct buf){ .p = p, .cap = (size_t)ex->req.length };
    ex->body_in_arena = true;
}

static void begin_body(struct exchange *ex)
{
    struct http_connection *c = ex->connection;

    if (refused(ex))
        return;
    exchange_set_state(ex, EX_BODY);
    ex->filter_at = 0;
    h1_body_init(&c->body, &ex->req);
    if (ex->req.body == HTTP_BODY_NONE || c->body.done) {
        run_on_body(ex);
        return;
    }
    if (ex->route->body == ROUTE_BODY_NONE) {
        conn_enter(c, READ_DRAIN);
        conn_kick(c);
        run_on_body(ex);
        return;
    }
    make_room_for_body(ex);
    if (ex->req.expect_continue && conn_waiting(c).n == 0)
        buf_puts(cork_open(c, 32), "HTTP/1.1 100 Continue\r\n\r\n");
    conn_enter(c, READ_BODY);
    conn_kick(c);
}

void exchange_body_done(struct exchange *ex)
{
    ex->body = buf_str(&ex->body_bytes);
    run_on_body(ex);
}

static void run_on_body(struct exchange *ex)
{
    const struct http_server_conf *conf = &ex->server->conf;

    while (ex->state == EX_BODY && ex->filter_at < conf->filters_n) {
        const struct filter *f = &conf->filters[ex->filter_at++];

        if (!f->on_body)
            continue;
        switch (f->on_body(ex, context_of(ex, f->context))) {
        case FILTER_GO_ON:
            break;
        case FILTER_ANSWERED:
            return;
        case FILTER_WAITING:
            ex->waiting = ex->state == EX_BODY;
            return;
        }
    }
    if (ex->state == EX_BODY)
        call_handler(ex);
}

static void call_handler(struct exchange *ex)
{
    if (ex->arena.failed) {
        exchange_no_memory(ex);
        return;
    }
    exchange_set_state(ex, EX_HANDLING);
    ex->route->handler(ex, context_of(ex, ex->route->context));
}

void exchange_resume(struct exchange *ex)
{
    assert(loop_is_current(ex->loop));
    if (!ex->waiting)
        return;
    ex->waiting = false;
    ex->owner = NULL;
    loop_defer(ex->loop, &ex->go_on);
}

/* Runs at the end of a turn: after exchange_resume, for the first step of a generator, or for a reply that was held. */
static void go_on(struct deferred *d)
{
    struct exchange *ex = CONTAINER_OF(d, struct exchange, go_on);

    if (ex->held != HOLD_NONE)
        exchange_held_step(ex);
    else if (ex->generator)
        exchange_generate_step(ex);
    else if (ex->state == EX_HEAD)
        run_on_head(ex);
    else if (ex->state == EX_BODY)
        run_on_body(ex);
}

/* ---- the way back, and the end ---- */

void exchange_run_on_reply(struct exchange *ex)
{
    const struct http_server_conf *conf = &ex->server->conf;

    for (size_t i = conf->filters_n; i-- > 0;)
        if (conf->filters[i].on_reply)
            conf->filters[i].on_reply(ex, context_of(ex, conf->filters[i].context));
}

static void count_outcome(struct http_server_stats *stats, enum exchange_outcome outcome)
{
    if (outcome == EX_FINISHED)
        stats->finished++;
    else if (outcome == EX_FAILED)
        stats->failed++;
    else
        stats->aborted++;
}

void exchange_finish(struct exchange *ex, enum exchange_outcome outcome, enum exchange_notice notice)
{
    const struct http_server_conf *conf = &ex->server->conf;
    const struct exchange_owner *owner = ex->owner;
    const struct exchange_generator *generator = ex->generator;

    exchange_set_state(ex, EX_DONE);
    ex->outcome = outcome;
    ex->generation++;
    ex->waiting = false;
    ex->owner = NULL;
    ex->generator = NULL;
    ex->hold = NULL;
    list_remove(&ex->link);
    loop_defer_cancel(ex->loop, &ex->go_on);
    count_outcome(&ex->server->stats, outcome);

    if (notice == OWNER_ABORT && owner && owner->on_abort)
        owner->on_abort(ex, ex->owner_arg);
    if (generator && generator->stop)
        generator->stop(ex, ex->generator_arg);
    for (size_t i = conf->filters_n; i-- > 0;)
        if (conf->filters[i].on_end)
            conf->filters[i].on_end(ex, context_of(ex, conf->filters[i].context));

    ex->server->dying++;
    loop_defer(ex->loop, &ex->free_later);
}

static void release(struct deferred *d)
{
    struct exchange *ex = CONTAINER_OF(d, struct exchange, free_later);
    struct http_server *s = ex->server;

    if (ex->body_in_arena)
        ex->body_bytes = (struct buf){ 0 };
    server_bytes_release(s, &ex->body_bytes);
    server_bytes_release(s, &ex->held_body);
    arena_fini(&ex->arena);
    list_prepend(&s->free_exchanges, &ex->link);
    s->dying--;
    server_released(s);
}

void exchange_free(struct exchange *ex)
{
    free(ex);
}
