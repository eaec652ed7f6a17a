/* cli/worker_wait.c -- until a worker's job is done: the gateway is asked again and again, a terminal sees how it goes
 *
 *   asked --judge--> DONE, FAILED, or WAITING: a pause (POLL_FIRST_MS, growing to POLL_LAST_MS), then asked again
 */
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/text_table.h"
#include "cli/worker_client.h"

#define POLL_FIRST_MS 50 /* an engine that is up is ready in well under a second */
#define POLL_LAST_MS  500

enum verdict { WAITING, DONE, FAILED };

struct wait {
    struct gateway_client *g;
    enum worker_wait_for what;
    uint64_t began_us;
    bool terminal;  /* of stderr: the progress line */
    size_t shown;   /* columns of the line that stands there */
    struct buf how; /* owned; "draining, 3 requests in flight" */
};

static void show_progress(struct wait *w)
{
    _cleanup_(buf_fini) struct buf line = { 0 };

    if (!w->terminal)
        return;
    buf_put(&line, buf_str(&w->how));
    buf_puts(&line, ", ");
    text_put_duration((clock_now_us() - w->began_us) / 1000, &line);
    if (line.failed)
        return;
    line.n = MIN(line.n, (size_t)79);
    fprintf(stderr, "\r%.*s%*s", (int)line.n, line.p, (int)(w->shown > line.n ? w->shown - line.n : 0), "");
    fflush(stderr);
    w->shown = line.n;
}

static void clear_progress(struct wait *w)
{
    if (w->shown)
        fprintf(stderr, "\r%*s\r", (int)w->shown, "");
    w->shown = 0;
}

static void describe(struct wait *w, struct gateway_reply *r, struct json job)
{
    struct json root = json_root(&r->doc);
    struct str status = gateway_text(r, root, STR("status"));
    struct str message = gateway_text(r, job, STR("message"));
    uint64_t load = 0;

    buf_clear(&w->how);
    buf_put(&w->how, status);
    if (json_to_u64(json_get(root, STR("load")), &load) == 0 && (load || w->what == WAIT_GONE))
        buf_printf(&w->how, ", %llu request%s in flight", (unsigned long long)load, load == 1 ? "" : "s");
    if (message.n)
        buf_printf(&w->how, " (%.*s)", STR_FMT(str_first(message, 300)));
}

static enum verdict judge(const struct wait *w, const struct gateway_reply *r)
{
    struct json root = json_root(&r->doc), job = json_get(root, STR("job_status")), state = json_get(job, STR("status"));
    bool own = json_exists(job) && !json_str_eq(json_get(job, STR("job_type")), STR("HealthCheck"));

    if (r->status == 404)
        return w->what == WAIT_GONE ? DONE : FAILED;
    if (own && json_str_eq(state, STR("failed")))
        return FAILED;
    if (own || w->what == WAIT_GONE)
        return WAITING;
    return w->what == WAIT_CHANGE || json_str_eq(json_get(root, STR("status")), STR("ready")) ? DONE : WAITING;
}

static int say_failed(struct wait *w, struct gateway_reply *r)
{
    struct json job = json_get(json_root(&r->doc), STR("job_status"));
    struct str message = gateway_text(r, job, STR("message"));

    clear_progress(w);
    if (r->status == 404)
        message = STR("the worker is gone: it was removed meanwhile");
    fprintf(stderr, "smg: error: %.*s\n",
            STR_FMT(message.n ? message : STR("the job failed, for no reason that the gateway tells")));
    return CLI_FAILED;
}

static int say_timeout(struct wait *w, double timeout_s)
{
    clear_progress(w);
    fprintf(stderr, "smg: error: not done after %g s (%.*s); it goes on in the gateway\n", timeout_s, (int)w->how.n,
            w->how.p ? w->how.p : "");
    return CLI_TIMEOUT;
}

/* Asks once. CLI_OK with *VERDICT. */
static int look(struct wait *w, struct str path, struct gateway_reply *last, enum verdict *verdict)
{
    int status;

    gateway_reply_fini(last);
    status = gateway_do(w->g, HTTP_GET, path, STR_NONE, /* accept= */ 404, last);
    if (status != CLI_OK)
        return status;
    describe(w, last, json_get(json_root(&last->doc), STR("job_status")));
    *verdict = judge(w, last);
    return CLI_OK;
}

static int wait_loop(struct wait *w, struct str path, double timeout_s, struct gateway_reply *last)
{
    uint64_t pause_ms = POLL_FIRST_MS, left_ms;

    for (;;) {
        double passed_s = (double)(clock_now_us() - w->began_us) / 1e6;
        enum verdict verdict = WAITING;
        int status = look(w, path, last, &verdict);

        if (status != CLI_OK || verdict == DONE)
            return status;
        if (verdict == FAILED)
            return say_failed(w, last);
        if (passed_s >= timeout_s)
            return say_timeout(w, timeout_s);
        show_progress(w);
        left_ms = (uint64_t)((timeout_s - passed_s) * 1000) + 1;
        status = gateway_pause(w->g, MIN(pause_ms, left_ms));
        if (status != CLI_OK)
            return status;
        pause_ms = MIN(pause_ms * 2, (uint64_t)POLL_LAST_MS);
    }
}

int worker_wait(struct gateway_client *g, struct str id, enum worker_wait_for what, double timeout_s, struct gateway_reply *last)
{
    struct wait w = { .g = g, .what = what, .began_us = clock_now_us(), .terminal = isatty(STDERR_FILENO) };
    struct arena arena;
    struct str path;
    int status;

    *last = (struct gateway_reply){ 0 };
    arena_init(&arena, /* cache= */ NULL, /* max_bytes= */ 0);
    path = worker_path(id, &arena);
    status = path.p ? wait_loop(&w, path, timeout_s, last) : cli_fail(&(struct err){ .code = ERR_NOMEM });
    clear_progress(&w);
    buf_fini(&w.how);
    arena_fini(&arena);
    return status;
}
