/* cli/top_command.c -- `smg top`: three questions again and again, keys, frames
 *
 *   source (workers, loads, metrics):  RESTING --timer--> ASKING --on_answer--> RESTING
 *   action (drain, flush):             idle --begin_action--> running --on_action--> idle
 *
 * A source rests for the interval, and for REST_FACTOR times as long as its answer took: a gateway with thousands of workers is not kept busy by those who watch it.
 * Everything ends in quit(): asks are cancelled, handles closed, the loop stops; the terminal is given back by whoever leaves first (terminal.h).
 * --once runs the same machine without a terminal until there is enough for one frame.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/gateway_client.h"
#include "cli/terminal.h"
#include "cli/text_table.h"
#include "cli/top_screen.h"

#define REST_FACTOR  9 /* a question takes at most a tenth of the time */
#define METRICS_PORT 29000

struct top_config {
    struct gateway_options gateway;
    struct str metrics;
    double interval_s;
    int sort;
    bool once;
};

static const struct option_name SORTS[] = {
    { "order", SORT_ORDER },     { "load", SORT_LOAD },     { "rate", SORT_RATE },
    { "latency", SORT_LATENCY }, { "errors", SORT_ERRORS }, { "kv", SORT_KV },
    { "state", SORT_STATE },     { "worker", SORT_URL },    { 0 },
};

static const struct option OPTIONS[] = {
    { .name = "--interval",
      .aliases = { "-i" },
      .type = OPT_F64,
      .at = offsetof(struct top_config, interval_s),
      .def = "1",
      .min = 0.1,
      .max = 3600,
      .unit = "s",
      .value = "S",
      .group = "Display",
      .help = "between two questions of a kind; more when the gateway takes long to answer" },
    { .name = "--sort",
      .aliases = { "-s" },
      .type = OPT_ENUM,
      .names = SORTS,
      .at = offsetof(struct top_config, sort),
      .def = "order",
      .help = "what the workers are sorted by at first; order is that of their registration" },
    { .name = "--once",
      .type = OPT_FLAG,
      .at = offsetof(struct top_config, once),
      .help = "print one frame with all workers, without keys, and end; takes one interval, for the rates" },
    { .name = "--metrics",
      .type = OPT_STR,
      .at = offsetof(struct top_config, metrics),
      .value = "URL",
      .def_help = "port 29000 of the gateway's host",
      .help =
          "the gateway's metrics listener (its --prometheus-port), where rates, latencies and errors come from; it gets no token" },
    GATEWAY_OPTIONS("5"),
};

const struct option_table TOP_TABLE = {
    .command = "top",
    .summary = "Shows the workers of a running gateway, live: state, requests in flight, rate, latency, errors, KV use.",
    .notes = "Keys: arrows or j and k select a worker, d drains it, f flushes the caches (both ask first), s sorts, ? explains the "
             "columns, q "
             "quits. A gateway that goes away is asked again until it is back. " GATEWAY_EXITS,
    .options = OPTIONS,
    .options_n = ARRAY_LEN(OPTIONS),
};

/* ---- state ---- */

enum source_kind { SOURCE_WORKERS, SOURCE_LOADS, SOURCE_METRICS, SOURCE_N };

struct source {
    struct top *top;
    struct gateway_ask ask;
    struct timer rest;
    bool asking;
    uint64_t began_us;
    unsigned answers, failures; /* in all; for --once */
};

struct top {
    struct gateway_client *g;
    const struct top_config *config;
    struct gateway_target metrics; /* arena of the command */
    struct arena *arena;           /* the command's */
    struct top_state state;
    struct top_view view;
    struct source sources[SOURCE_N];

    struct gateway_ask action;
    bool acting;
    struct str action_path; /* arena */

    struct deferred begin, redraw;
    uv_poll_t keys;
    uv_signal_t resized;
    bool keys_open, resized_open, quitting;
    int status; /* of the command */
    struct err err;
};

static void ask(struct source *s);
static void on_answer(struct gateway_ask *a, int status);
static void quit(struct top *t, int status);

/* ---- frames ---- */

static void on_redraw(struct deferred *d)
{
    struct top *t = CONTAINER_OF(d, struct top, redraw);
    _cleanup_(buf_fini) struct buf out = { 0 };

    if (t->quitting || t->config->once)
        return;
    terminal_size(&t->view.columns, &t->view.lines);
    top_render(&t->view, &t->state, &out);
    if (!out.failed) /* else the old frame stays: the next one may fit into memory */
        terminal_put(buf_str(&out));
}

static void redraw(struct top *t)
{
    loop_defer(t->g->loop, &t->redraw);
}

static void print_once(struct top *t)
{
    _cleanup_(buf_fini) struct buf out = { 0 };
    unsigned width = text_terminal_width();

    t->view.columns = width ? width : 80;
    t->view.lines = 0;
    top_render(&t->view, &t->state, &out);
    if (out.failed || fwrite(out.p ? out.p : "", 1, out.n, stdout) != out.n || fflush(stdout))
        t->status = CLI_FAILED;
}

/* ---- sources ---- */

static void on_rested(struct timer *timer)
{
    ask(CONTAINER_OF(timer, struct source, rest));
}

static void rest(struct source *s, uint64_t took_us)
{
    uint64_t ms = (uint64_t)(s->top->config->interval_s * 1000);

    timer_start(s->top->g->loop, &s->rest, MAX(ms, took_us / 1000 * REST_FACTOR), on_rested);
}

static void ask(struct source *s)
{
    int r;

    if (s->asking || s->top->quitting)
        return;
    s->began_us = clock_now_us();
    s->asking = true;
    r = gateway_ask_start(&s->ask);
    if (r < 0)
        on_answer(&s->ask, r);
}

/* Enough for a frame that stands alone: a list, what the engines say, and two pages for the rates, or the news that there is no more to come. */
static void end_if_complete(struct top *t)
{
    const struct source *w = &t->sources[SOURCE_WORKERS], *l = &t->sources[SOURCE_LOADS], *m = &t->sources[SOURCE_METRICS];

    if (!t->config->once || t->quitting)
        return;
    if (w->failures)
        quit(t, t->status);
    else if (w->answers && l->answers + l->failures && (m->answers >= 2 || m->failures))
        quit(t, CLI_OK);
}

static void note_trouble(struct top *t, int code, unsigned status, struct str body)
{
    _cleanup_(buf_fini) struct buf why = { 0 };
    struct arena arena;

    arena_init(&arena, /* cache= */ NULL, /* max_bytes= */ 0);
    if (code < 0)
        gateway_explain_failure(t->g, &t->g->target, code, &why);
    else
        gateway_explain(t->g, status, body, &why);
    buf_clear(&t->view.trouble);
    buf_put(&t->view.trouble, text_clean(buf_str(&why), &arena));
    t->status = code < 0 ? CLI_UNREACHABLE : CLI_FAILED;
    arena_fini(&arena);
}

static void take_workers(struct top *t, struct source *s, int status)
{
    struct http_fetch *f = &s->ask.fetch;
    bool good = status == 0 && f->status == 200 && top_set_workers(&t->state, buf_str(&f->body)) == 0;

    if (good)
        buf_clear(&t->view.trouble);
    else
        note_trouble(t, status, f->status, buf_str(&f->body));
    s->answers += good;
    s->failures += !good;
}

static void take_loads(struct top *t, struct source *s, int status)
{
    struct http_fetch *f = &s->ask.fetch;
    bool good = status == 0 && f->status == 200 && top_set_loads(&t->state, buf_str(&f->body)) == 0;

    s->answers += good;
    s->failures += !good;
}

static void take_metrics(struct top *t, struct source *s, int status)
{
    struct http_fetch *f = &s->ask.fetch;

    t->view.metrics = status == 0 && f->status == 200;
    if (t->view.metrics)
        top_set_metrics(&t->state, buf_str(&f->body), clock_now_us());
    /* A page that came before the list told nothing: it is not counted. */
    s->answers += t->view.metrics && t->state.listed;
    s->failures += !t->view.metrics;
}

static void on_answer(struct gateway_ask *a, int status)
{
    static void (*const TAKE[SOURCE_N])(struct top * t, struct source * s, int status) = { take_workers, take_loads, take_metrics };
    struct source *s = a->owner;
    struct top *t = s->top;

    assert(s->asking);
    s->asking = false;
    TAKE[s - t->sources](t, s, status);
    rest(s, clock_now_us() - s->began_us);
    redraw(t);
    end_if_complete(t);
}

/* ---- actions ---- */

static void on_action(struct gateway_ask *a, int status)
{
    struct top *t = a->owner;
    struct buf *news = &t->view.news;
    struct http_fetch *f = &a->fetch;

    t->acting = false;
    buf_clear(news);
    if (status < 0) {
        gateway_explain_failure(t->g, &t->g->target, status, news);
    } else if (a->method == HTTP_POST && f->status / 100 == 2) {
        struct arena arena;
        struct json_doc doc;

        arena_init(&arena, /* cache= */ NULL, /* max_bytes= */ 0);
        if (json_parse(buf_str(&f->body), &arena, &doc, NULL) == 0)
            buf_put(news, text_clean(json_str(json_get(json_root(&doc), STR("message")), &arena), &arena));
        arena_fini(&arena);
    } else if (f->status / 100 == 2) {
        buf_puts(news, "Draining: the worker is removed when its requests are done");
    } else {
        gateway_explain(t->g, f->status, buf_str(&f->body), news);
    }
    ask(&t->sources[SOURCE_WORKERS]);
    redraw(t);
}

static void begin_action(struct top *t, enum http_method method, struct str path, const char *what)
{
    int r;

    buf_clear(&t->view.news);
    if (t->acting) {
        buf_puts(&t->view.news, "One thing at a time: the last one is not answered yet");
        return;
    }
    t->action.client = t->g;
    t->action.method = method;
    t->action.path = path;
    t->action.done = on_action;
    t->action.owner = t;
    r = gateway_ask_start(&t->action);
    t->acting = r == 0;
    buf_put(&t->view.news, str_of(r < 0 ? err_text(r) : what));
}

/* ---- keys ---- */

static void answer_question(struct top *t, int key)
{
    const struct top_row *row = top_selected(&t->view, &t->state);

    if ((key == 'y' || key == 'Y') && t->view.mode == TOP_ASK_FLUSH) {
        begin_action(t, HTTP_POST, STR("/flush_cache"), "Flushing ...");
    } else if ((key == 'y' || key == 'Y') && t->view.mode == TOP_ASK_DRAIN && row) {
        t->action_path = arena_printf(t->arena, "/workers/%.*s", STR_FMT(row->id));
        begin_action(t, HTTP_DELETE, t->action_path, "Draining ...");
    }
    t->view.mode = TOP_WATCH;
}

static void ask_first(struct top *t, enum top_mode mode)
{
    if (t->state.n)
        t->view.mode = mode;
}

static void watch_key(struct top *t, int key)
{
    long page = (long)top_page(&t->view);

    switch (key) {
    case KEY_UP:
    case 'k':
        top_move(&t->view, &t->state, -1);
        break;
    case KEY_DOWN:
    case 'j':
        top_move(&t->view, &t->state, 1);
        break;
    case KEY_PAGE_UP:
        top_move(&t->view, &t->state, -page);
        break;
    case KEY_PAGE_DOWN:
    case ' ':
        top_move(&t->view, &t->state, page);
        break;
    case KEY_HOME:
    case 'g':
        top_move(&t->view, &t->state, -(long)t->state.n);
        break;
    case KEY_END:
    case 'G':
        top_move(&t->view, &t->state, (long)t->state.n);
        break;
    case 'd':
        ask_first(t, TOP_ASK_DRAIN);
        break;
    case 'f':
        ask_first(t, TOP_ASK_FLUSH);
        break;
    case 's':
        t->view.sort = (t->view.sort + 1) % SORT_N;
        break;
    case 'S':
        t->view.sort = (t->view.sort + SORT_N - 1) % SORT_N;
        break;
    case 'r':
        for (int i = 0; i < SOURCE_N; i++)
            ask(&t->sources[i]);
        break;
    case '?':
    case 'h':
        t->view.mode = TOP_HELP;
        break;
    case 'q':
        quit(t, CLI_OK);
        break;
    default:
        break;
    }
}

static void take_key(struct top *t, int key)
{
    if (key == 3) /* Ctrl+C: raw mode sends no signal */
        quit(t, CLI_OK);
    else if (t->view.mode == TOP_HELP)
        t->view.mode = TOP_WATCH;
    else if (t->view.mode == TOP_WATCH)
        watch_key(t, key);
    else
        answer_question(t, key);
}

static void on_keys(uv_poll_t *handle, int status, int events)
{
    struct top *t = handle->data;
    char bytes[256];
    struct str left = { bytes, 0 };
    ssize_t n;

    (void)events;
    loop_enter(t->g->loop);
    n = status < 0 ? -1 : read(STDIN_FILENO, bytes, sizeof bytes);
    if (n < 0 && errno == EINTR)
        return;
    if (n < 0) { /* the terminal is gone */
        quit(t, CLI_FAILED);
        return;
    }
    left.n = (size_t)n;
    while (left.n && !t->quitting) {
        int key = terminal_key(&left);

        if (key != KEY_NONE)
            take_key(t, key);
    }
    redraw(t);
}

static void on_resized(uv_signal_t *handle, int signum)
{
    struct top *t = handle->data;

    (void)signum;
    loop_enter(t->g->loop);
    redraw(t);
}

/* ---- life ---- */

static void quit(struct top *t, int status)
{
    if (t->quitting)
        return;
    t->quitting = true;
    t->status = status;
    for (int i = 0; i < SOURCE_N; i++) {
        timer_stop(&t->sources[i].rest);
        gateway_ask_cancel(&t->sources[i].ask);
    }
    gateway_ask_cancel(&t->action);
    if (t->keys_open)
        uv_close((uv_handle_t *)&t->keys, NULL);
    if (t->resized_open)
        uv_close((uv_handle_t *)&t->resized, NULL);
    loop_stop(t->g->loop);
}

static void on_interrupt(void *arg)
{
    quit(arg, CLI_INTERRUPTED);
}

static int watch_terminal(struct top *t, struct err *err)
{
    int r = uv_poll_init(&t->g->loop->uv, &t->keys, STDIN_FILENO);

    t->keys.data = t->resized.data = t;
    t->keys_open = r == 0;
    if (r == 0)
        r = uv_poll_start(&t->keys, UV_READABLE, on_keys);
    if (r == 0)
        r = uv_signal_init(&t->g->loop->uv, &t->resized);
    if (r == 0) {
        t->resized_open = true;
        r = uv_signal_start(&t->resized, on_resized, SIGWINCH);
    }
    return r < 0 ? err_set(err, err_from_errno(r), "the terminal cannot be watched: %s", uv_strerror(r)) : 0;
}

static void begin(struct deferred *d)
{
    struct top *t = CONTAINER_OF(d, struct top, begin);

    if (!t->config->once && (terminal_enter(&t->err) < 0 || watch_terminal(t, &t->err) < 0)) {
        quit(t, t->err.code == ERR_UNSUPPORTED ? CLI_USAGE : CLI_FAILED);
        return;
    }
    redraw(t);
    for (int i = 0; i < SOURCE_N; i++)
        ask(&t->sources[i]);
}

static int find_metrics(struct top *t, struct err *err)
{
    const struct gateway_target *g = &t->g->target;
    bool v6 = str_find_char(g->host, ':') != STR_NPOS;
    struct str text = t->config->metrics;
    int r;

    if (!text.n)
        text = arena_printf(t->arena, v6 ? "http://[%.*s]:%d" : "http://%.*s:%d", STR_FMT(g->host), METRICS_PORT);
    r = gateway_target_parse(text, t->arena, &t->metrics, err);
    if (r == 0 && str_has_suffix(t->metrics.base, STR("/metrics")))
        t->metrics.base.n -= 8;
    return r < 0 ? err_wrap(err, r, "--metrics") : 0;
}

static void set_up(struct top *t)
{
    static const struct str PATHS[SOURCE_N] = { STR_INIT("/workers"), STR_INIT("/get_loads"), STR_INIT("/metrics") };

    for (int i = 0; i < SOURCE_N; i++) {
        struct source *s = &t->sources[i];

        s->top = t;
        s->ask = (struct gateway_ask){
            .client = t->g,
            .target = i == SOURCE_METRICS ? &t->metrics : NULL,
            .method = HTTP_GET,
            .path = PATHS[i],
            .done = on_answer,
            .owner = s,
        };
    }
    t->view = (struct top_view){
        .columns = 80,
        .lines = 24,
        .escapes = !t->config->once,
        .colours = !t->config->once && !option_getenv(NULL, "NO_COLOR"),
        .gateway = text_clean(t->g->target.text, t->arena),
        .interval_s = t->config->interval_s,
        .sort = (enum top_sort)t->config->sort,
        .metrics = true,
    };
    t->begin.run = begin;
    t->redraw.run = on_redraw;
    t->g->on_interrupt = on_interrupt;
    t->g->arg = t;
}

static void end_run(struct top *t)
{
    terminal_leave();
    if (t->err.code)
        (void)cli_fail(&t->err); /* the status says which kind it is */
    else if (t->config->once && t->status == CLI_OK)
        print_once(t);
    else if (t->config->once && t->view.trouble.n)
        fprintf(stderr, "smg: error: %.*s\n", (int)t->view.trouble.n, t->view.trouble.p);
    for (int i = 0; i < SOURCE_N; i++)
        gateway_ask_fini(&t->sources[i].ask);
    gateway_ask_fini(&t->action);
    top_view_fini(&t->view);
    top_state_fini(&t->state);
}

static int run(struct gateway_client *g, void *config, struct arena *arena)
{
    struct top *t = calloc(1, sizeof *t);
    struct err err = { 0 };
    int status;

    if (!t)
        return cli_fail(&(struct err){ .code = ERR_NOMEM });
    t->g = g;
    t->config = config;
    t->arena = arena;
    if (find_metrics(t, &err) < 0) {
        free(t);
        (void)cli_fail(&err);
        return CLI_USAGE;
    }
    top_state_init(&t->state);
    set_up(t);
    loop_defer(g->loop, &t->begin);
    loop_run(g->loop);
    end_run(t);
    status = t->status;
    free(t);
    return status;
}

int cli_top(int argc, const char *const *argv)
{
    struct top_config config;

    return cli_run_with_gateway(&TOP_TABLE, argc, argv, &config, sizeof config, run);
}
