/* gateway/shutdown.c -- from the first signal to the last byte (spec operations 14; the drawing is in gateway.h)
 *
 *   on_signal --> begin_settling --(settle = min(grace / 2, 5 s))--> begin_draining --> thread: http_server_drain --> all idle: finish
 *                                                                        \--(grace - settle)--> cut: running requests are aborted --> finish
 */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "gateway/gateway_internal.h"

#define TARGET        "smg::gateway"
#define SETTLE_MS_MAX 5000

static void begin_draining(struct timer *t);
static void cut(struct timer *t);
static void finish(struct gateway *g);

static uint64_t settle_ms(const struct gateway *g)
{
    uint64_t half = g->config->shutdown_grace_period_s * 1000 / 2;

    return MIN(half, SETTLE_MS_MAX);
}

static void begin_settling(struct gateway *g)
{
    atomic_store_explicit(&g->phase, GATEWAY_SETTLING, memory_order_relaxed);
    log_info(TARGET, "Beginning graceful shutdown: readiness draining", LF_UINT("settle_ms", settle_ms(g)),
             LF_UINT("grace_s", g->config->shutdown_grace_period_s));
    timer_start(g->control, &g->settle, settle_ms(g), begin_draining);
}

static void on_signal(uv_signal_t *handle, int signum)
{
    struct gateway *g = handle->data;

    if (g->signals_n++ > 0) {
        log_warn(TARGET, "second signal, ending at once", LF_INT("signal", signum));
        log_stop();
        _exit(128 + signum);
    }
    log_info(TARGET, signum == SIGINT ? "Received Ctrl+C, starting graceful shutdown"
                                      : "Received terminate signal, starting graceful shutdown");
    begin_settling(g);
}

static void on_hangup(uv_signal_t *handle, int signum)
{
    (void)signum;
    gateway_reload(handle->data);
}

int gateway_watch_signals(struct gateway *g, struct err *err)
{
    static const int SIGNALS[] = { SIGTERM, SIGINT, SIGHUP };

    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ,
           SIG_IGN); /* a limit on the length of files (ulimit -f) is an error code of the state file's write, not the end */
    for (unsigned i = 0; i < ARRAY_LEN(SIGNALS); i++) {
        int r = uv_signal_init(&g->control->uv, &g->signals[i]);

        if (r == 0) {
            g->watching++;
            g->signals[i].data = g;
            r = uv_signal_start(&g->signals[i], SIGNALS[i] == SIGHUP ? on_hangup : on_signal, SIGNALS[i]);
        }
        if (r < 0)
            return err_set(err, ERR_IO, "cannot watch signal %d: %s", SIGNALS[i], uv_strerror(r));
    }
    return 0;
}

static void begin_draining(struct timer *t)
{
    struct gateway *g = CONTAINER_OF(t, struct gateway, settle);
    uint64_t grace_ms = g->config->shutdown_grace_period_s * 1000;

    atomic_store_explicit(&g->phase, GATEWAY_DRAINING, memory_order_relaxed);
    timer_start(g->control, &g->grace, grace_ms - settle_ms(g), cut);
    for (unsigned i = 0; i < g->threads_n; i++) {
        g->threads[i].drain.run = gateway_thread_on_drain;
        loop_post(g->threads[i].loop, &g->threads[i].drain);
    }
}

static void on_thread_idle(struct loop *control, struct message *m)
{
    struct gateway *g = CONTAINER_OF(m, struct gateway_thread, idle)->gateway;

    (void)control;
    if (++g->idle_n == g->threads_n && !g->closing) {
        log_info(TARGET, "All in-flight requests drained");
        finish(g);
    }
}

static void on_server_idle(struct http_server *s, void *arg)
{
    struct gateway_thread *t = arg;

    (void)s;
    t->idle.run = on_thread_idle;
    loop_post(t->gateway->control, &t->idle);
}

void gateway_thread_on_drain(struct loop *loop, struct message *m)
{
    struct gateway_thread *t = CONTAINER_OF(m, struct gateway_thread, drain);

    (void)loop;
    http_server_drain(t->server, on_server_idle, t);
}

static void cut(struct timer *timer)
{
    struct gateway *g = CONTAINER_OF(timer, struct gateway, grace);

    log_warn(TARGET, "Drain timed out, forcing shutdown with requests still in-flight");
    finish(g);
}

/* The control loop ends last: until then it answers what the threads still ask. */
static void on_thread_closed(struct loop *control, struct message *m)
{
    struct gateway *g = CONTAINER_OF(m, struct gateway_thread, closed)->gateway;

    (void)control;
    if (++g->closed_n == g->threads_n && g->closing)
        gateway_close_control(g);
}

/* On the thread: everything of its own is closed; the loop then ends. */
void gateway_thread_on_close(struct loop *loop, struct message *m)
{
    struct gateway_thread *t = CONTAINER_OF(m, struct gateway_thread, close);

    timer_stop(&t->flush_log);
    observe_requests_stop(&t->observe);
    if (t->server)
        http_server_close(t->server);
    http_server_free(STEAL(t->server));
    http_client_free(STEAL(t->client));
    log_flush();
    t->closed.run = on_thread_closed;
    loop_post(t->gateway->control, &t->closed);
    loop_stop(loop);
}

void gateway_close_control(struct gateway *g)
{
    auth_stop(g->auth);
    load_monitor_stop(g->load_monitor);
    policy_set_stop(g->policies);
    admission_stop(g->admission);
    if (g->registry)
        registry_stop(g->registry);
    gateway_stop_tokenizers(g);
    gateway_stop_plugins(g);
    gateway_state_stop(g->state);
    if (g->metrics_server)
        http_server_close(g->metrics_server);
    http_server_free(STEAL(g->metrics_server));
    if (g->probe_server)
        http_server_close(g->probe_server);
    http_server_free(STEAL(g->probe_server));
    http_client_free(STEAL(g->client));
    timer_stop(&g->grace);
    timer_stop(&g->settle);
    timer_stop(&g->reclaim);
    gateway_unwatch_tls(g);
    timer_stop(&g->flush_log);
    for (unsigned i = 0; i < g->watching; i++)
        uv_close((uv_handle_t *)&g->signals[i], NULL);
    loop_stop(g->control);
}

static void finish(struct gateway *g)
{
    if (g->closing)
        return;
    g->closing = true;
    auth_stop(g->auth); /* who waits for keys is answered while its loop still runs */
    for (unsigned i = 0; i < g->threads_n; i++) {
        g->threads[i].close.run = gateway_thread_on_close;
        loop_post(g->threads[i].loop, &g->threads[i].close);
    }
}
