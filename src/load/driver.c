/* load/driver.c -- one thread of load: when requests start, what becomes of them, when it is over
 *
 *      NEW ---------> RUNNING ---------> DRAINING ---------> DONE
 *           on_begin     |    stop_starting    end_run          ^
 *                        +----------- end_run ------------------+
 *
 *   from       to         by              when
 *   NEW        RUNNING    on_begin        the thread runs
 *   RUNNING    DRAINING   stop_starting   the duration is over, or the last request was started
 *   any        DONE       end_run         nothing is in flight any more, the drain is over, or on_interrupt
 *
 * A slot is idle (in d->idle), busy (its call runs) or pausing (its timer runs: after a failure in the closed loop, so that a target that refuses is not hammered).
 *
 * Pace. The loop's wheel has a grain of 16 ms, so starts have a timerfd, armed for the next due time and never for less than PACE_GRAIN_US ahead: what falls
 * due meanwhile starts in one batch, and the lag says so. The closed loop uses it for its first requests only: RAMP_PER_S new connections a second do
 * not overrun a listener's backlog. Times of events are read from the clock exactly, not from the turn's start.
 *
 * Invariants: (1) in_flight = number of busy slots. (2) in DRAINING and DONE no request starts. (3) next_us is UINT64_MAX or due in the future, unless starved.
 */
#include "load/driver.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"

#define PACE_GRAIN_US 50
#define RAMP_PER_S    20000 /* of all drivers; a listener's backlog of 4096 is filled in 0.2 s by a target that accepts nothing */
#define FAIL_PAUSE_MS 100
#define NEVER         UINT64_MAX

struct load_slot {
    struct http_call call;
    struct driver *driver; /* borrowed for life */
    struct list link;      /* driver.idle, or in no list */
    struct timer pause;
    char *tail; /* of driver.tails */

    /* of the request in flight */
    uint64_t due_us, last_us; /* last: of the newest event with content; 0 = none yet */
    unsigned status;          /* 0 = no head yet */
    bool measured;
    bool wrong_type; /* a stream was asked for and something else came */
    struct load_reply reply;
};

/* In order of time ... */
static void on_begin(struct loop *l, struct message *m);
static void on_pace(uv_poll_t *handle, int status, int events);
static void start_due(struct driver *d);
static void start(struct driver *d, struct load_slot *s, uint64_t due_us);
static void on_head(struct http_call *c, const struct http_head *head);
static void on_body(struct http_call *c, struct str part);
static void on_end(struct http_call *c, int status);
static void go_on(struct driver *d, struct load_slot *s, bool failed);
static void on_pause_over(struct timer *t);
static void on_phase_timer(struct timer *t);
/* ... and the ways out. */
static void stop_starting(struct driver *d);
static void on_interrupt(struct loop *l, struct message *m);
static void end_run(struct driver *d);
static void on_closing(struct deferred *w);

static const struct http_call_ops CALL_OPS = { .on_head = on_head, .on_body = on_body, .on_end = on_end };

/* ---- small things ---- */

static void enter(struct driver *d, enum driver_phase phase)
{
    assert(phase > d->phase);
    d->phase = phase;
}

static bool is_open_loop(const struct driver *d)
{
    return d->conf->rate > 0;
}

static bool in_window(const struct driver *d, uint64_t now)
{
    return now >= d->measure_us && now < d->end_us;
}

static void publish(_Atomic uint64_t *to, uint64_t value)
{
    atomic_store_explicit(to, value, memory_order_relaxed);
}

static void publish_more(_Atomic uint64_t *to, uint64_t n)
{
    publish(to, atomic_load_explicit(to, memory_order_relaxed) + n); /* the only writer */
}

/* Part INDEX of TOTAL cut into OF nearly equal ones. */
static uint64_t share_of(uint64_t total, unsigned index, unsigned of)
{
    return total / of + (index < total % of);
}

/* ---- life ---- */

static int make_slots(struct driver *d)
{
    const struct load_conf *c = d->conf;
    size_t tail = d->request->tail.n;

    d->slots_n = (uint32_t)share_of(c->concurrency, d->index, d->of);
    d->slots = calloc(d->slots_n, sizeof *d->slots);
    d->tails = tail ? malloc(tail * d->slots_n) : NULL; /* bounded by LOAD_MEMORY_MAX */
    return !d->slots || (tail && !d->tails) ? ERR_NOMEM : 0;
}

int driver_init(struct driver *d, const struct driver_conf *conf, struct err *err)
{
    const struct load_conf *c = conf->load;
    struct http_client_conf client;
    int r;

    *d = (struct driver){ .conf = c,
                          .request = conf->request,
                          .index = conf->index,
                          .of = conf->of,
                          .control = conf->control,
                          .on_done = conf->on_done };
    d->pace_fd = -1;
    d->next_us = NEVER;
    list_init(&d->idle);
    load_tally_init(&d->tally);
    random_init(&d->random, c->seed + conf->index);
    d->requests = c->requests ? share_of(c->requests, d->index, d->of) : NEVER;
    if (make_slots(d) < 0)
        return err_set(err, ERR_NOMEM, "%u requests in flight: %s", c->concurrency, err_text(ERR_NOMEM));
    client = (struct http_client_conf){ .idle_per_origin_max = d->slots_n, .idle_max = d->slots_n, .tls = c->tls };
    r = loop_new("bench", c->loop_index + 1 + d->index, &d->loop, err);
    if (r < 0)
        return r;
    r = http_client_new(d->loop, &client, &d->client);
    if (r < 0)
        return err_set(err, r, "bench: %s", err_text(r));
    d->pace_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (d->pace_fd < 0)
        return err_set(err, err_from_errno(-errno), "bench: timer: %s", strerror(errno));
    r = uv_poll_init(&d->loop->uv, &d->pace, d->pace_fd);
    if (r < 0)
        return err_set(err, err_from_errno(r), "bench: timer: %s", uv_strerror(r));
    d->pace_open = true;
    d->pace.data = d;
    return 0;
}

int driver_start(struct driver *d, uint64_t begin_us, struct err *err)
{
    d->begin_us = begin_us;
    d->begin.run = on_begin;
    d->interrupt.run = on_interrupt;
    loop_post(d->loop, &d->begin);
    return loop_start_thread(d->loop, err);
}

void driver_interrupt(struct driver *d)
{
    loop_post(d->loop, &d->interrupt);
}

/* Gives back what lives on the loop. On its thread, or when it never ran. */
static void close_all(struct driver *d)
{
    struct http_client_stats stats;

    if (d->client) {
        http_client_stats(d->client, &stats);
        d->tally.connections = stats.opened;
        http_client_free(STEAL(d->client));
    }
    if (d->pace_open)
        uv_close((uv_handle_t *)&d->pace, NULL);
    d->pace_open = false;
}

void driver_fini(struct driver *d)
{
    if (!d->conf)
        return;
    close_all(d);
    loop_free(STEAL(d->loop));
    if (d->pace_fd >= 0)
        close(d->pace_fd);
    for (uint32_t i = 0; i < d->fresh_n; i++)
        load_reply_fini(&d->slots[i].reply);
    free(STEAL(d->slots));
    free(STEAL(d->tails));
}

/* ---- pace ---- */

static void on_begin(struct loop *l, struct message *m)
{
    struct driver *d = CONTAINER_OF(m, struct driver, begin);
    const struct load_conf *c = d->conf;
    uint64_t now = clock_now_us(), until;

    if (d->phase == DRIVER_DONE) /* interrupted before */
        return;
    enter(d, DRIVER_RUNNING);
    d->measure_us = d->begin_us + (uint64_t)(c->warmup_s * 1e6);
    d->end_us = c->duration_s > 0 ? d->measure_us + (uint64_t)(c->duration_s * 1e6) : NEVER;
    if (d->slots_n == 0 || d->requests == 0) { /* more threads than work */
        end_run(d);
        return;
    }
    if (is_open_loop(d)) {
        arrivals_init(&d->arrivals, c->rate / d->of, c->seed * LOAD_THREADS_MAX + d->index + 1);
        d->next_us = d->begin_us + arrivals_next(&d->arrivals);
    } else {
        d->next_us = d->begin_us;
    }
    if (d->end_us != NEVER) {
        until = d->end_us > now ? d->end_us - now : 0;
        timer_start(l, &d->phase_timer, until / 1000 + 1, on_phase_timer);
    }
    (void)uv_poll_start(&d->pace, UV_READABLE, on_pace); /* of an open handle with a good descriptor: cannot fail */
    start_due(d);
}

/* Arms the timer for next_us. */
static void arm(struct driver *d, uint64_t now)
{
    uint64_t at = MAX(d->next_us, now + PACE_GRAIN_US);
    struct itimerspec when = { .it_value = { .tv_sec = (time_t)(at / 1000000), .tv_nsec = (long)(at % 1000000 * 1000) } };

    if (d->next_us == NEVER)
        when.it_value = (struct timespec){ 0 }; /* disarmed */
    (void)timerfd_settime(d->pace_fd, TFD_TIMER_ABSTIME, &when,
                          NULL); /* only a bad pointer or descriptor can fail; resets what made it readable */
}

static void on_pace(uv_poll_t *handle, int status, int events)
{
    struct driver *d = handle->data;

    (void)status;
    (void)events;
    loop_enter(d->loop);
    start_due(d);
}

static struct load_slot *take_slot(struct driver *d)
{
    struct load_slot *s = list_first(&d->idle, struct load_slot, link);

    if (s) {
        list_remove(&s->link);
        return s;
    }
    if (d->fresh_n == d->slots_n)
        return NULL;
    s = &d->slots[d->fresh_n];
    s->driver = d;
    list_init(&s->link);
    load_reply_init(&s->reply);
    if (d->tails) {
        s->tail = d->tails + (size_t)d->fresh_n * d->request->tail.n;
        memcpy(s->tail, d->request->tail.p, d->request->tail.n);
    }
    d->fresh_n++;
    return s;
}

/* The due time behind the one that was just used. */
static void next_due(struct driver *d)
{
    if (is_open_loop(d))
        d->next_us = d->begin_us + arrivals_next(&d->arrivals);
    else if (d->fresh_n < d->slots_n)
        d->next_us += 1000000u * d->of / RAMP_PER_S;
    else
        d->next_us = NEVER; /* from here on the end of one request starts the next */
    if (d->next_us >= d->end_us)
        d->next_us = NEVER;
}

/* Starts all that is due and finds a slot. */
static void start_due(struct driver *d)
{
    uint64_t now = clock_now_us();

    while (d->phase == DRIVER_RUNNING && d->next_us <= now) {
        struct load_slot *s = take_slot(d);
        uint64_t due = d->next_us;

        if (!s) {
            if (!d->starved && due >= d->measure_us)
                d->tally.queued++;
            d->starved = true; /* go_on starts it */
            return;
        }
        next_due(d);
        start(d, s, is_open_loop(d) ? due : now);
    }
    d->starved = false;
    if (d->phase == DRIVER_RUNNING)
        arm(d, now);
}

/* ---- a request ---- */

static void start(struct driver *d, struct load_slot *s, uint64_t due_us)
{
    const struct load_conf *c = d->conf;
    const struct load_request *r = d->request;
    uint64_t n = d->started++;

    s->due_us = due_us;
    s->measured = due_us >= d->measure_us;
    s->last_us = 0;
    s->status = 0;
    s->wrong_type = false;
    load_reply_begin(&s->reply, r->stream);
    if (s->tail)
        load_request_mark(s->tail, c->seed, n * d->of + d->index);
    s->call = (struct http_call){
        .ops = &CALL_OPS,
        .owner = s,
        .host = c->host,
        .port = c->port,
        .tls = c->tls != NULL,
        .method = c->endpoint == LOAD_GET ? HTTP_GET : HTTP_POST,
        .head = r->prefixes[popularity_draw(&r->popularity, &d->random)],
        .body = { s->tail, r->tail.n },
        .connect_ms = c->connect_ms,
        .head_ms = c->head_ms,
        .idle_ms = c->idle_ms,
    };
    if (s->measured && is_open_loop(d))
        histogram_add(&d->tally.lag, clock_now_us() - due_us);
    publish(&d->live.in_flight, ++d->in_flight);
    d->tally.peak_in_flight = MAX(d->tally.peak_in_flight, d->in_flight);
    if (d->started == d->requests)
        stop_starting(d);
    if (http_call_start(d->client, &s->call) < 0)
        on_end(&s->call, ERR_NOMEM);
}

static void on_head(struct http_call *c, const struct http_head *head)
{
    struct load_slot *s = c->owner;
    struct driver *d = s->driver;

    s->status = head->status;
    if (!s->reply.stream)
        return;
    if (head->status < 200 || head->status > 299) {
        s->reply.stream = false; /* an error body */
        return;
    }
    s->wrong_type = !str_has_prefix_nocase(http_value(&head->fields, HF_CONTENT_TYPE), STR("text/event-stream"));
    d->streams++;
    d->tally.peak_streams = MAX(d->tally.peak_streams, d->streams);
}

static void note_content(struct load_slot *s, unsigned events, uint64_t now)
{
    struct driver *d = s->driver;

    if (s->measured) {
        if (s->last_us == 0)
            histogram_add(&d->tally.ttft, now - s->due_us);
        else
            histogram_add(&d->tally.itl, now - s->last_us);
        for (unsigned i = 1; i < events; i++)
            histogram_add(&d->tally.itl, 0); /* they came in one piece */
    }
    s->last_us = now;
    if (in_window(d, now))
        d->tally.window_tokens += events;
    publish_more(&d->live.tokens, events);
}

static void on_body(struct http_call *c, struct str part)
{
    struct load_slot *s = c->owner;
    struct driver *d = s->driver;
    uint64_t now = clock_now_us();
    unsigned events = load_reply_feed(&s->reply, part);

    if (in_window(d, now))
        d->tally.window_bytes += part.n;
    if (events) {
        note_content(s, events, now);
    } else if (!s->reply.stream && s->last_us == 0) {
        s->last_us = now;
        if (s->measured && s->status >= 200 && s->status <= 299)
            histogram_add(&d->tally.ttft, now - s->due_us);
    }
}

/* ---- its end ---- */

/* What went wrong, or LOAD_FAILURE_N when nothing did. */
static enum load_failure judge(const struct load_slot *s, int status)
{
    bool headless = s->status == 0;

    switch (status) {
    case 0:
        break;
    case ERR_REFUSED:
        return LOAD_REFUSED;
    case ERR_UNREACHABLE:
        return LOAD_UNREACHABLE;
    case ERR_RESOLVE:
        return LOAD_RESOLVE;
    case ERR_RESET:
        return LOAD_RESET;
    case ERR_TIMEOUT:
        return LOAD_TIMEOUT;
    case ERR_PROTOCOL:
        return LOAD_PROTOCOL;
    case ERR_CLOSED:
        return headless ? LOAD_CLOSED : LOAD_CUT;
    default:
        return LOAD_OTHER;
    }
    if (s->status < 200 || s->status > 299)
        return LOAD_STATUS;
    if (!s->reply.stream)
        return LOAD_FAILURE_N;
    if (s->wrong_type || s->reply.bad)
        return LOAD_BAD_SSE;
    if (s->reply.error)
        return LOAD_STREAM_ERROR;
    return s->reply.done || s->driver->conf->done_optional ? LOAD_FAILURE_N : LOAD_CUT;
}

static void count_success(struct load_slot *s, uint64_t now)
{
    struct driver *d = s->driver;
    struct load_tally *t = &d->tally;
    uint64_t tokens = MAX(s->reply.usage_tokens, s->reply.content_events), more = tokens - s->reply.content_events;

    /* Tokens that no event of their own showed: they count now. */
    if (more && in_window(d, now))
        t->window_tokens += more;
    if (more)
        publish_more(&d->live.tokens, more);
    if (!s->measured)
        return;
    t->ok++;
    t->output_tokens += tokens;
    histogram_add(&t->latency, now - s->due_us);
    if (in_window(d, now))
        t->window_ok++;
}

static void count_failure(struct load_slot *s, enum load_failure why)
{
    struct load_tally *t = &s->driver->tally;

    publish_more(&s->driver->live.failed, 1);
    if (!s->measured)
        return;
    t->failed++;
    t->failures[why]++;
}

static void leave_flight(struct load_slot *s)
{
    struct driver *d = s->driver;

    publish(&d->live.in_flight, --d->in_flight);
    if (s->reply.stream && s->status)
        d->streams--;
}

static void on_end(struct http_call *c, int status)
{
    struct load_slot *s = c->owner;
    struct driver *d = s->driver;
    uint64_t now = clock_now_us();
    enum load_failure why = judge(s, status);

    leave_flight(s);
    publish_more(&d->live.ended, 1);
    if (!s->measured)
        d->tally.warmup++;
    else if (s->status)
        d->tally.statuses[s->status]++;
    if (why == LOAD_FAILURE_N)
        count_success(s, now);
    else
        count_failure(s, why);
    go_on(d, s, why != LOAD_FAILURE_N);
}

/* What the slot does next. */
static void go_on(struct driver *d, struct load_slot *s, bool failed)
{
    if (d->phase == DRIVER_RUNNING && clock_now_us() >= d->end_us)
        stop_starting(d);
    if (d->phase != DRIVER_RUNNING) {
        list_append(&d->idle, &s->link);
        if (d->phase == DRIVER_DRAINING && d->in_flight == 0)
            end_run(d);
    } else if (is_open_loop(d)) {
        list_prepend(&d->idle, &s->link); /* the warmest first */
        if (d->starved) {
            d->starved = false;
            start_due(d);
        }
    } else if (failed) {
        timer_start(d->loop, &s->pause, FAIL_PAUSE_MS, on_pause_over);
    } else {
        start(d, s, clock_now_us());
    }
}

static void on_pause_over(struct timer *t)
{
    struct load_slot *s = CONTAINER_OF(t, struct load_slot, pause);

    go_on(s->driver, s, /* failed= */ false);
}

/* ---- the end ---- */

/* Requests that were due before the end and will not start. */
static void count_unstarted(struct driver *d)
{
    uint64_t until = MIN(d->end_us, clock_now_us());

    if (!is_open_loop(d) || !d->starved)
        return;
    while (d->next_us < until && d->started + d->tally.unstarted < d->requests) {
        d->tally.unstarted += d->next_us >= d->measure_us;
        d->next_us = d->begin_us + arrivals_next(&d->arrivals);
    }
}

static void stop_starting(struct driver *d)
{
    uint64_t now = clock_now_us();
    double drain_s = d->conf->drain_s;

    enter(d, DRIVER_DRAINING);
    count_unstarted(d);
    d->next_us = NEVER;
    if (d->pace_open)
        (void)uv_poll_stop(&d->pace); /* says nothing of use */
    timer_stop(&d->phase_timer);
    if (d->end_us != NEVER)
        timer_start(d->loop, &d->phase_timer, (uint64_t)((d->end_us > now ? (double)(d->end_us - now) * 1e-3 : 0) + drain_s * 1e3),
                    on_phase_timer);
}

static void on_phase_timer(struct timer *t)
{
    struct driver *d = CONTAINER_OF(t, struct driver, phase_timer);

    if (d->phase == DRIVER_RUNNING)
        stop_starting(d);
    else
        end_run(d);
    if (d->phase == DRIVER_DRAINING && d->in_flight == 0)
        end_run(d);
}

static void on_interrupt(struct loop *l, struct message *m)
{
    struct driver *d = CONTAINER_OF(m, struct driver, interrupt);

    (void)l;
    if (d->phase == DRIVER_DONE)
        return;
    d->end_us = MIN(d->end_us, MAX(clock_now_us(), d->measure_us));
    if (d->phase == DRIVER_RUNNING)
        count_unstarted(d);
    end_run(d);
}

/* Cancels what is in flight. The client goes at the end of the turn: this may be inside one of its callbacks. */
static void end_run(struct driver *d)
{
    enter(d, DRIVER_DONE);
    timer_stop(&d->phase_timer);
    for (uint32_t i = 0; i < d->fresh_n; i++) {
        struct load_slot *s = &d->slots[i];

        timer_stop(&s->pause);
        if (!s->call.client)
            continue;
        http_call_cancel(&s->call);
        leave_flight(s);
        if (s->measured)
            d->tally.unfinished++;
        else
            d->tally.warmup++;
    }
    assert(d->in_flight == 0);
    d->ended_us = clock_now_us();
    d->closing.run = on_closing;
    loop_defer(d->loop, &d->closing);
}

static void on_closing(struct deferred *w)
{
    struct driver *d = CONTAINER_OF(w, struct driver, closing);

    close_all(d);
    loop_stop(d->loop);
    loop_post(d->control, d->on_done);
}
