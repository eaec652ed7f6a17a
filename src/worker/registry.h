/* worker/registry.h -- the table of workers, its jobs, and the commands that change it
 *
 *   any loop: registry_command() --message--> control thread: job queue --> registration workflow / drain --> registry --> snapshot
 *                                        \--> answer --message--> the loop that asked
 *
 * A job is what the API calls "queued for background processing" (202): its id is the worker's id, its state is `job_status`.
 * Decisions 9 and 10: a second POST for a URL that is registering joins its job (same id); a second DELETE joins the running drain; failed workers stay listed with the
 * reason and are probed again; job_status lives as long as its job and for an hour after a failure.
 */
#pragma once

#include "http/client.h"
#include "http/exchange.h"
#include "json/json_shape.h"
#include "worker/worker.h"

struct registry_conf {
    struct worker_health_conf health; /* the gateway's flags */
    struct str health_endpoint;       /* "/health"; borrowed for the registry's life, as the aliases */
    bool remove_unhealthy;
    uint32_t startup_timeout_s; /* 1800: how long a worker may take to answer first */
    uint32_t
        startup_check_interval_s; /* 30: the longest pause between probes of a starting worker; ours begin at 0.25 s and end at 1.5 s */
    uint32_t startup_delay_s;     /* 0 */
    unsigned jobs_max;            /* 0 = 1000: jobs of the API waiting or running; past that ERR_BUSY (503 with Retry-After) */
    uint32_t job_keep_s;          /* 0 = 3600: how long a failed job stays visible */
    const struct str *aliases; /* pairs: alias, canonical ... (--model-alias) */
    size_t aliases_n;          /* pairs */
};

struct registry;

/* On the control thread (or before it runs). CLIENT: the control loop's HTTP client. */
int registry_new(struct loop *control, struct http_client *client, const struct registry_conf *conf,
                 struct registry **ret) _must_check_;
void registry_stop(struct registry *r); /* cancels jobs and probes, silently; the table stays readable */
void registry_free(struct registry *r); /* when no loop runs any more */

/* A worker of the command line; a URL that is known already is left as it is. API_KEY: the worker's, may be empty. ERR_INVALID (the reason in *ERR), ERR_LIMIT,
 * ERR_NOMEM. Control thread, or before it runs. */
int registry_add_startup(struct registry *r, struct str url, struct str api_key, struct err *err) _must_check_;

/* The table as of now, good until the end of LOOP's turn. Any loop. */
const struct worker_table *registry_table(struct registry *r, struct loop *loop);

/* How many are ready; any thread, lock-free (for /readiness). */
struct registry_counts {
    unsigned total, ready;
};
struct registry_counts registry_counts(struct registry *r);

/* Moves on after every change of a worker's status; any thread, lock-free. Whoever keeps a list of ready workers makes it anew when this has moved (or the table's serial). */
uint64_t registry_status_changes(struct registry *r);

/* Events, on the control loop, after the table was published. */
enum registry_event { REGISTRY_ADDED, REGISTRY_REPLACED, REGISTRY_STATUS, REGISTRY_REMOVED };
void registry_subscribe(struct registry *r, void (*fn)(enum registry_event e, const struct worker *w, void *arg), void *arg);

/* ---- commands from any loop ---- */

enum registry_command_kind { REGISTRY_ADD, REGISTRY_REMOVE, REGISTRY_GET };

/* On the heap; the asker makes it, the answer comes back to its loop, where `answered` runs and owns it again (registry_command_free). */
struct registry_command {
    struct message message; /* internal */
    struct registry *registry;
    struct loop *asker;
    enum registry_command_kind kind;
    struct arena arena;         /* owned; no cache; everything below points into it */
    struct worker_spec spec;    /* REGISTRY_ADD: url is checked and canonical */
    char id[UUID_TEXT_LEN + 1]; /* REMOVE, GET: in, lowercase and hyphenated. ADD: out, the (reserved) id */
    void (*answered)(struct registry_command *c);
    void *owner;
    struct exchange_ref exchange; /* for the asker's use */

    struct registry_command *next; /* internal */

    /* out */
    int result; /* 0 accepted or found; ERR_EXISTS (ADD: already registered), ERR_NOT_FOUND, ERR_BUSY (queue full), ERR_LIMIT (WORKERS_MAX), ERR_NOMEM */
    struct str json; /* GET: the WorkerInfo (placeholders and job_status included) */
};

struct registry_command *registry_command_new(struct registry *r, struct loop *asker, enum registry_command_kind kind) _must_check_;
void registry_command_post(struct registry_command *c); /* any loop; `answered` follows, always, unless the process ends */
void registry_command_free(struct registry_command *c);

/* The shape of a POST /workers body, for documents about it. */
extern const struct json_shape WORKER_SPEC_SHAPE;

/* Reads a POST /workers body (spec control-plane 6.1): 0; ERR_INVALID (wrong shape) with serde's text in *ERR; ERR_NOMEM. Strings in ARENA, none in the text. */
int worker_spec_read(const struct json_doc *doc, struct arena *arena, struct worker_spec *ret, struct err *err) _must_check_;

/* A spec with nothing but its defaults; no strings. */
void worker_spec_defaults(struct worker_spec *spec);

/* Values that no worker can have (BETTER of spec control-plane 19, 22): ERR_INVALID with "Invalid value for field 'cost': -1 - must not be negative". */
int worker_spec_check(const struct worker_spec *spec, struct err *err) _must_check_;

/* What the scheme says: http and https, grpc and grpcs, ipc. */
enum worker_mode worker_mode_of(struct str url);

/* Lowercases the host and drops a trailing '/' (BETTER of spec control-plane 6.4). */
struct str worker_url_canonical(struct str url, struct arena *arena);
