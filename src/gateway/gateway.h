/* gateway/gateway.h -- one running gateway: assembled, started, drained, ended
 *
 *   main thread = control loop: registry, health checks, metrics and probe listeners, signals
 *   N loop threads: each a server on the main port (SO_REUSEPORT), an HTTP client, a dispatcher
 *
 *                 gateway_start                first signal                settle over              all idle, or grace over
 *      (nothing) --------------> SERVING -----------------> SETTLING -----------------> DRAINING -----------------> (exit 0)
 *                                                           readiness 503,              accept stops; in-flight
 *                                                           still serving               requests finish
 *      A second signal ends the process at once (128 + signal).
 *
 * Here are THE route array and THE filter array (routes.c, filters.c): what a reviewer reads first.
 * In: a checked struct launch_config.   Owner: gateway_run owns everything; a process may run one gateway after another (tests do), not two at a time.
 * Read next: routes.c, filters.c, start.c, reload.c, shutdown.c.
 */
#pragma once

#include "base/err.h"
#include "config/launch.h"

/* How the configuration is read again on SIGHUP: as launch_parse; on a thread of its own. */
struct gateway_source {
    int (*read)(void *arg, struct arena *arena, struct launch_config *ret, struct option_report *report);
    void *arg;
};

/* Runs a gateway until it was told to end. 0, or negative with *ERR: it could not start. Call on the main thread; the log is running. SOURCE is borrowed until it returns. */
int gateway_run(const struct launch_config *config, const struct gateway_source *source, struct err *err) _must_check_;
