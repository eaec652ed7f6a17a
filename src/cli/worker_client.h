/* cli/worker_client.h -- what the `smg worker` commands share: which worker is meant, the description that is sent, and waiting until a job is done
 *
 *   worker_resolve  "ID", a part of one, or a URL  -> the full id
 *   worker_body     options or a file              -> JSON for POST, PUT, PATCH
 *   worker_wait     an id                          -> the job's end, with a progress line on a terminal
 *
 * All return an enum cli_status and have printed what went wrong when it is not CLI_OK.
 */
#pragma once

#include "cli/gateway_client.h"

/* ---- worker_resolve.c ---- */

#define WORKER_PART_MIN 4 /* characters of an id that name a worker */

/* The worker that TARGET means: a UUID in any spelling (not asked for), the beginning or end of one that only one listed worker has, or the URL of a listed worker. */
int worker_resolve(struct gateway_client *g, struct str target, struct arena *arena, struct str *ret_id) _must_check_;

/* ---- worker_body.c ---- */

enum worker_output { OUTPUT_TABLE, OUTPUT_WIDE, OUTPUT_JSON };
extern const struct option_name WORKER_OUTPUTS[]; /* table, json */

/* What of a worker's description the command line can say; negative numbers = not said. */
struct worker_description {
    struct str url;
    struct option_list models, labels, remove_labels, health;
    struct str type, runtime, provider, api_key_file, file;
    int64_t priority;
    double cost;
    uint16_t bootstrap_port;
};

/* The JSON into OUT. With D->file: that file's bytes ("-" = stdin), checked to be JSON. Empty braces when nothing was said. CLI_USAGE when file and other options meet. */
int worker_body(const struct worker_description *d, struct arena *arena, struct buf *out) _must_check_;

/* ---- worker_wait.c ---- */

enum worker_wait_for {
    WAIT_READY,  /* registered and ready */
    WAIT_CHANGE, /* no job of its own is left */
    WAIT_GONE,   /* the gateway no longer knows it */
};

/* CLI_OK: it is so; *LAST (fini'd by the caller in any case) is the worker as last seen. CLI_FAILED: the job failed, its message was printed. CLI_TIMEOUT after TIMEOUT_S. */
int worker_wait(struct gateway_client *g, struct str id, enum worker_wait_for what, double timeout_s,
                struct gateway_reply *last) _must_check_;

/* "/workers/<id>" */
struct str worker_path(struct str id, struct arena *arena);
