/* worker/registry.h -- the table of workers, its jobs, and the commands that change it
 *
 *   any loop: registry_command --message--> control thread: FIFO --plan--> (record --> the store, if there is one) --apply--> registration, drain, table
 *                        \--> answer --message--> the loop that asked
 *
 * A changing command has two steps (change.c). `plan` checks it against what is known: it is refused, or the change is prepared and written down as a record. `apply`
 * makes the change and cannot be refused. Without a store the one follows the other; with one the record is durable in between (commands.c).
 *
 * A job is what the API calls "queued for background processing" (202): its id is the worker's id, its state is `job_status`.
 * Decisions 9 and 10: a second POST for a URL that is registering joins its job (same id); a second DELETE joins the running drain; failed workers stay listed with the
 * reason and are probed again; job_status lives as long as its job and for an hour after a failure.
 * A PUT runs the registration again beside the worker, whose old description serves until the new one is complete; a change that comes in between wins, and the PUT's
 * job fails. A PATCH is applied when it is answered.
 */
#pragma once

#include "http/client.h"
#include "http/exchange.h"
#include "json/json_shape.h"
#include "worker/worker.h"

/* ---- the store: what makes changes survive a restart ---- */

/* One change, durable before it is made. */
struct registry_record {
    struct registry_record *next; /* of the same batch, in order */
    struct str id;                /* the worker's: UUID text, lower case */
    struct str
        spec; /* the whole description as it was submitted, as JSON, secrets included (worker_spec_write); empty: the worker is deleted */
};

/* Whoever keeps records embeds this. On the control thread. */
struct registry_store {
    /* Makes the records durable, all or none; they stay as they are until DONE. One batch at a time. DONE runs on the control thread, exactly once, never from inside
     * commit: 0, or a negative code: then nothing was kept and the registry changes nothing. A DONE after registry_stop is fine, one after registry_free is not. */
    void (*commit)(struct registry_store *s, const struct registry_record *first, void (*done)(void *owner, int status),
                   void *owner);
};

struct registry_conf {
    struct worker_health_conf health; /* the gateway's flags */
    struct breaker_conf breaker;      /* the gateway's flags */
    struct str health_endpoint;       /* "/health"; borrowed for the registry's life, as the aliases */
    bool remove_unhealthy;
    uint32_t startup_timeout_s; /* 1800: how long a worker may take to answer first */
    uint32_t
        startup_check_interval_s; /* 30: the longest pause between probes of a starting worker; ours begin at 0.25 s and end at 1.5 s */
    uint32_t startup_delay_s;     /* 0 */
    unsigned jobs_max;            /* 0 = 1000: jobs of the API waiting or running; past that ERR_BUSY (503 with Retry-After) */
    uint32_t job_keep_s;          /* 0 = 3600: how long a failed job stays visible */
    bool dp_aware;                /* an engine's data-parallel ranks are workers of their own */
    const struct str *aliases;    /* pairs: alias, canonical ... (--model-alias) */
    size_t aliases_n;             /* pairs */
    struct registry_store *store; /* borrowed for the registry's life; NULL: memory only */
};

struct registry;

/* On the control thread (or before it runs). CLIENT: the control loop's HTTP client. */
int registry_new(struct loop *control, struct http_client *client, const struct registry_conf *conf,
                 struct registry **ret) _must_check_;
void registry_stop(struct registry *r); /* cancels jobs and probes, silently; the table stays readable */
void registry_free(struct registry *r); /* when no loop runs any more */

/* A worker of the command line; a URL that is known already is left as it is. ERR_INVALID (the reason in *ERR), ERR_LIMIT, ERR_NOMEM. Control thread, or before it runs. */
struct registry_startup {
    struct str url, api_key; /* key: the worker's, may be empty */
    enum worker_type type;
    int32_t bootstrap_port; /* -1 = none */
};
int registry_add_startup(struct registry *r, const struct registry_startup *w, struct err *err) _must_check_;

/* A worker that the store kept, under its old id: it registers like any other. Before registry_add_startup: a URL of the command line that is known already keeps the
 * kept description and its id, and is from then on a worker of the command line. ERR_INVALID (the reason in *ERR), ERR_EXISTS, ERR_LIMIT, ERR_NOMEM. */
int registry_restore(struct registry *r, struct str id, struct str spec, struct err *err) _must_check_;

/* The table as of now, good until the end of LOOP's turn. Any loop. */
const struct worker_table *registry_table(struct registry *r, struct loop *loop);

/* How many are ready; any thread, lock-free (for /readiness). Those that are told of stand in a table that is asked for afterwards, unless they went away again. */
struct registry_counts {
    unsigned total, ready;
};
struct registry_counts registry_counts(struct registry *r);

/* Moves on after every change of a worker's status or admission; any thread, lock-free. Whoever keeps a list of available workers makes it anew when this has moved (or the
 * table's serial). */
uint64_t registry_status_changes(struct registry *r);

/* A worker's breaker answers otherwise than before, or it cools down: the lists are to be made anew. Any thread. */
void registry_admissions_changed(struct registry *r);

/* Events, on the control loop, after the table was published. */
enum registry_event { REGISTRY_ADDED, REGISTRY_REPLACED, REGISTRY_STATUS, REGISTRY_REMOVED };
void registry_subscribe(struct registry *r, void (*fn)(enum registry_event e, const struct worker *w, void *arg), void *arg);

/* ---- commands from any loop ---- */

enum registry_command_kind { REGISTRY_ADD, REGISTRY_REPLACE, REGISTRY_UPDATE, REGISTRY_REMOVE, REGISTRY_GET, REGISTRY_JOBS };

/* The job of a listed worker. */
struct registry_job {
    uint64_t order; /* the worker's */
    struct worker_job_view view;
};

/* A PATCH: what is given replaces, labels one by one. */
struct worker_patch {
    bool has_priority, has_cost, has_api_key;
    uint32_t priority;
    float cost;
    struct str api_key;          /* empty: none any more */
    struct worker_label *labels; /* a value without bytes of its own (p NULL) takes the label away */
    size_t labels_n;
    struct str health_json, http_pool_json, resilience_json; /* as in struct worker_spec */
    struct worker_health_update health_update;
    struct worker_resilience resilience;
    struct worker_pool pool;
};

struct entry;

/* What a command will do; made by plan, used up by apply or given back. Internal. */
struct registry_plan {
    struct entry *entry;            /* borrowed, held; NULL: nothing to do */
    const struct worker *submitted; /* reference: the description to be */
    const struct worker *described; /* reference: a listed worker's next form (PATCH) */
    const struct worker *base;      /* not a reference: what `described` was made of */
    struct entry *replacement;      /* owned: the registration of a PUT */
    struct registry_record record;
};

/* On the heap; the asker makes it, the answer comes back to its loop, where `answered` runs and owns it again (registry_command_free). */
struct registry_command {
    struct message message; /* internal */
    struct registry *registry;
    struct loop *asker;
    enum registry_command_kind kind;
    struct arena arena;         /* owned; no cache; everything below points into it */
    struct worker_spec spec;    /* ADD, REPLACE: url is checked and canonical */
    bool keep_api_key;          /* REPLACE: the worker keeps its key */
    struct worker_patch patch;  /* UPDATE */
    bool only_if_failed;        /* REMOVE: by --remove-unhealthy-workers; a worker that has recovered stays */
    char id[UUID_TEXT_LEN + 1]; /* all but ADD: in, lowercase and hyphenated. ADD: out, the (reserved) id */
    void (*answered)(struct registry_command *c);
    void *owner;
    struct exchange_ref exchange; /* for the asker's use */

    struct registry_command *next; /* internal, as `plan` */
    struct registry_plan plan;

    /* out */
    int result; /* 0 accepted or found; ERR_EXISTS (ADD: already registered), ERR_NOT_FOUND, ERR_BUSY (queue full), ERR_LIMIT (WORKERS_MAX), ERR_NOMEM,
                   ERR_STORE (could not be made durable: nothing changed), ERR_CANCELLED (REPLACE, UPDATE: it is being removed), ERR_INVALID (the reason in `reason`) */
    struct str reason;
    struct str json;           /* GET: the WorkerInfo (placeholders and job_status included) */
    struct registry_job *jobs; /* JOBS: by order */
    size_t jobs_n;
};

struct registry_command *registry_command_new(struct registry *r, struct loop *asker, enum registry_command_kind kind) _must_check_;
void registry_command_post(struct registry_command *c); /* any loop; `answered` follows, always, unless the process ends */
void registry_command_free(struct registry_command *c);

/* The shape of a POST /workers body, for documents about it. */
extern const struct json_shape WORKER_SPEC_SHAPE, WORKER_PATCH_SHAPE;

/* Reads a POST /workers body (spec control-plane 6.1): 0; ERR_INVALID (wrong shape) with serde's text in *ERR; ERR_NOMEM. Strings in ARENA, none in the text. */
int worker_spec_read(const struct json_doc *doc, struct arena *arena, struct worker_spec *ret, struct err *err) _must_check_;

/* Reads a PATCH body: as worker_spec_read. `null` members count as absent, but for those of `labels`: a label of null is taken away. */
int worker_patch_read(const struct json_doc *doc, struct arena *arena, struct worker_patch *ret, struct err *err) _must_check_;

/* What no PATCH may have, whatever it is applied to: ERR_INVALID with "Invalid value for field 'labels': more than 1024 of them". Merging takes time with the square
 * of it, on the control thread. */
int worker_patch_check(const struct worker_patch *patch, struct err *err) _must_check_;

/* SPEC with PATCH, which was checked, over it. Strings in ARENA or of the two. 0 or ERR_NOMEM. */
int worker_patch_apply(const struct worker_patch *patch, const struct worker_spec *spec, struct arena *arena,
                       struct worker_spec *ret) _must_check_;

/* The whole description, its key included: what worker_spec_read makes the same spec of. For the store only. */
void worker_spec_write(struct json_writer *w, const struct worker_spec *spec);

/* A spec with nothing but its defaults; no strings. */
void worker_spec_defaults(struct worker_spec *spec);

/* Values that no worker can have (BETTER of spec control-plane 19, 22): ERR_INVALID with "Invalid value for field 'cost': -1 - must not be negative". */
int worker_spec_check(const struct worker_spec *spec, struct err *err) _must_check_;

/* What the scheme says: http and https, grpc and grpcs, ipc. */
enum worker_mode worker_mode_of(struct str url);

/* Lowercases the host and drops a trailing '/' (BETTER of spec control-plane 6.4). */
struct str worker_url_canonical(struct str url, struct arena *arena);
