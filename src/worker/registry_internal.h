/* worker/registry_internal.h -- what the files of the control thread's half of worker/ share
 *
 *                       +-- register.c: registration ---finish--> registry_list_entry ---> listed, in the table
 *   command -- commands.c: in line -- change.c: plan, apply
 *                       +-- drain.c:    removal -------finish--> registry_forget_entry
 *                       +-- health.c:   probes --------step----> registry_set_status
 *
 * An entry is one URL that the control thread knows: being registered (unlisted) or registered (listed). It owns whatever runs on its behalf; registry_forget_entry
 * ends all of that, and the memory goes at the end of the turn. Everything here runs on the control thread.
 *
 * A PUT makes a second entry for the URL, the replacement: unknown to the maps, owned by the first, registering like any other. Where a registration would be
 * listed, a replacement becomes the first entry's new description instead. The same asks for models again that did not come (registry_ask_again).
 */
#pragma once

#include "worker/detect.h"
#include "worker/external.h"
#include "worker/probe.h"
#include "worker/registry.h"

#define WORKER_LOG             "smg::worker"
#define REGISTRATIONS_MAX      512 /* registrations that talk to their engine at one time; the others wait in line */
#define HEALTH_PROBES_MAX      128 /* spec control-plane 11.2 */
#define REGISTRY_LISTENERS_MAX 4
#define BATCH_MAX              256 /* records that are made durable at one time */

/* ---- gate: so many at a time, the others in line ---- */

struct gate {
    struct loop *loop;
    unsigned running, max;
    struct list waiting; // gate_wait.link
    struct deferred pump;
};
struct gate_wait {
    struct list link; /* gate.waiting; alone while not in line */
    void (*go)(struct gate_wait *w);
};

void gate_init(struct gate *g, struct loop *loop, unsigned max);
void gate_fini(struct gate *g);
void gate_wait_init(struct gate_wait *w, void (*go)(struct gate_wait *w));
bool gate_enter(struct gate *g, struct gate_wait *w); /* true: entered; false: in line, w->go follows, entered by then */
void gate_leave(struct gate *g);
void gate_forget(struct gate_wait *w); /* out of the line */

/* ---- jobs ---- */

enum job_type { JOB_ADD, JOB_REMOVE };
enum job_status { JOB_NONE, JOB_PENDING, JOB_PROCESSING, JOB_FAILED };

struct job {
    enum job_type type;
    enum job_status status; /* written by jobs.c */
    bool counted;           /* against jobs_max */
    char *message;          /* owned; NULL = none */
    uint64_t timestamp_s;   /* wall clock, of the last change */
    uint64_t expires_us;    /* loop clock; JOB_FAILED */
};

enum job_count { JOB_COUNTED, JOB_FREE }; /* JOB_FREE: the gateway's own jobs have no bound but WORKERS_MAX */

/* ---- the entry ---- */

struct health_counters {
    uint32_t successes, failures, pending_probes;
};

struct health {
    enum health_state { HEALTH_OFF, HEALTH_WAITING, HEALTH_QUEUED, HEALTH_PROBING } state; /* written by health.c */
    struct health_counters counters;
    struct timer timer;
    struct gate_wait turn;
    struct probe *probe;
    bool by_models; /* this one has no health endpoint: /v1/models is asked instead; written by register.c */
};

enum entry_origin { ORIGIN_API, ORIGIN_STARTUP };

struct entry {
    struct registry *registry;
    struct list link; /* registry.listed, registry.unlisted or registry.planned; alone in a replacement */
    enum entry_origin origin;
    bool listed;
    char id[UUID_TEXT_LEN + 1];
    struct str url;                 /* behind the struct */
    const struct worker *submitted; /* reference: the description as it was submitted */
    const struct worker *worker;    /* reference; unlisted: the submitted one */
    const struct worker *
        *ranks; /* owned, references: what is in the table in place of `worker` (ranks.c); NULL = `worker` itself */
    unsigned ranks_n;
    struct registration *registration; /* owned; NULL when registered */
    struct entry *replacement; /* owned: a PUT's registration, running or failed, or one of ours (asks_again); NULL = none */
    struct entry *replaces;    /* in a replacement: whose it is */
    bool asks_again;           /* in a replacement: nobody asked for it; it is dropped when it learns nothing */
    bool models_due;           /* a wildcard only because its engine's list of models failed; written by register.c */
    const struct worker *done; /* reference, in a replacement: it is complete, but its entry is held */
    bool held;                 /* a command's record is being written: nobody may forget it */
    struct job job;
    struct health health;
    struct timer drain;
    uint64_t drain_until_us; /* 0 = not draining */
    struct deferred free_later;
};

struct registry_happening {
    enum registry_event event;
    const struct worker *worker; /* reference */
};

struct registry {
    struct loop *loop;
    struct http_client *client; /* borrowed */
    struct registry_conf conf;
    struct snapshot_cell table; /* struct worker_table */
    _Atomic uint64_t counts;    /* total << 32 | ready */
    _Atomic uint64_t status_changes;

    struct map by_url, by_id;     /* struct entry */
    struct list listed, unlisted; // entry.link; listed in order of registration
    struct list planned;          // entry.link; new ones whose record is being written
    unsigned listed_n, ready_n;
    uint64_t next_order;
    unsigned jobs_n; /* counted ones that wait or run */
    struct gate registrations, probes;

    bool dirty;                 /* the table is older than the lists */
    struct deferred turn_end;   /* publishes, then tells, then answers */
    const struct worker **rows; /* owned scratch of publish */
    size_t rows_cap;
    struct registry_happening *happenings; /* owned */
    size_t happenings_n, happenings_cap;
    struct registry_command *answers, **answers_tail;
    struct registry_command *waiting, **waiting_tail; /* changing commands in line */
    unsigned waiting_n;
    struct registry_command *batch, **batch_tail; /* planned, being made durable */
    unsigned batch_n, batch_jobs_n;
    struct map batch_urls; /* struct registry_command */
    struct {
        void (*fn)(enum registry_event e, const struct worker *w, void *arg);
        void *arg;
    } listeners[REGISTRY_LISTENERS_MAX];
    unsigned listeners_n;

    struct message start; /* the first timer starts on the loop's own thread */
    struct message begin; /* starts the registrations of registry_add_startup */
    bool begin_posted, stopped;
    struct timer sweep, publish_again;
};

/* commands.c */
void commands_init(struct registry *r);
void commands_run(struct registry *r);  /* plans and applies what is in line, as far as that goes now; in the turn's end */
void commands_send(struct registry *r); /* the answers */
void commands_stop(struct registry *r);
void commands_fini(struct registry *r);
void registry_remove_failed(struct entry *e); /* by --remove-unhealthy-workers; later, like any command */

/* change.c */
int change_plan(struct registry *r, struct registry_command *c) _must_check_;  /* C->result; c->plan says what apply will do */
int change_apply(struct registry *r, struct registry_command *c) _must_check_; /* 0, or ERR_NOMEM in rare races */
void change_abandon(struct registry_command *c);                               /* as if it had never been planned */
void change_free_plan(struct registry_plan *p);                                /* what it still owns */

/* ranks.c */
struct entry_rows {
    const struct worker *const *workers;
    unsigned n;
};
struct entry_rows entry_rows(const struct entry *e); /* what a listed entry is in the table */
int64_t entry_load(const struct entry *e);
const struct worker *entry_row(const struct entry *e,
                               const char *id); /* the rank of that id, else the entry's worker, its load up to date */
int ranks_size(const struct worker_spec *s, unsigned *ret,
               struct err *err) _must_check_; /* how many ranks it has; ERR_INVALID: nobody says */
/* The ranks of BASE; those that E has keep their ids, orders and live parts. Takes nothing of E away. */
int ranks_make(const struct entry *e, const struct worker *base, unsigned n, const struct worker ***ret) _must_check_;
void ranks_free(const struct worker **ranks, unsigned n);
int ranks_index(struct entry *e) _must_check_; /* their ids lead to E; all or none */
void ranks_unindex(struct entry *e);

/* registry.c */
void registry_changed(struct registry *r); /* publishes, tells and answers at the end of the turn */
int registry_entry_new(struct registry *r, const struct worker_spec *submitted, const char *id, enum entry_origin origin,
                       struct entry **ret) _must_check_; /* known, in r->planned; ID NULL: a new one. ERR_LIMIT, ERR_NOMEM */
int registry_replacement_new(struct entry *of, const struct worker_spec *submitted, struct entry **ret) _must_check_;
void registry_replacement_drop(struct entry *replacement); /* silently; NULL is fine */
void registry_ask_again(
    struct entry *e); /* E is ready and well: if its models are due they are asked for, unless something else is going on */
void registry_replacement_discard(struct entry *replacement); /* one that never began: at once, on any thread */
struct worker_spec registry_in_force(const struct registry *r, const struct worker_spec *submitted);
int registry_redescribe(struct entry *e, const struct worker *w)
    _must_check_;                             /* a listed entry's next description; takes the reference; ERR_NOMEM of groups */
void registry_entry_release(struct entry *e); /* no longer held */
void registry_list_entry(
    struct entry *e,
    struct worker *w); /* takes W's reference: it is registered, ready, its job is done; REGISTRY_ADDED follows. Or its job fails */
void registry_forget_entry(struct entry *e); /* the last statement of its caller */
void registry_set_status(struct entry *e, enum worker_status status);
struct worker *registry_describe(struct entry *e, const struct worker_spec *spec,
                                 uint64_t order) _must_check_; /* with the entry's id and live part; NULL: memory */

/* restore.c: registry_restore, registry_add_startup */

/* jobs.c */
int job_begin(struct entry *e, enum job_type type, enum job_count count) _must_check_; /* pending; ERR_BUSY */
void job_processing(struct entry *e);
void job_wait(struct entry *e, const char *message); /* pending, for a reason */
void job_done(struct entry *e);
void job_fail(struct entry *e, const char *fmt, ...) _printf_(2, 3);
bool job_is_over(const struct entry *e, uint64_t now_us); /* failed, and its time of being shown has passed */
const struct worker_job_view *job_view(const struct entry *e, struct worker_job_view *ret); /* NULL: none */

/* register.c */
int registration_new(struct entry *e) _must_check_;
void registration_begin(struct entry *e);
void registration_again(struct entry *e);       /* the job has failed, and E has no registration: it is tried again now and then */
void registration_free(struct registration *g); /* cancels; NULL is fine */

/* health.c */
enum health_first { HEALTH_AT_ONCE, HEALTH_AFTER_INTERVAL };
void health_begin(struct entry *e, enum health_first first);
void health_stop(struct entry *e);
void health_settings_changed(struct entry *e); /* e->worker was replaced by one with other settings: they take effect at once */
struct str health_path(const struct entry *e);
/* The state machine of spec control-plane 11.2, pure: the status after a probe that went well (OK) or not. */
enum worker_status health_step(struct health_counters *c, enum worker_status from, bool ok, uint32_t successes_wanted,
                               uint32_t failures_allowed);

/* drain.c */
int drain_begin(struct entry *e, enum job_count count) _must_check_; /* ERR_BUSY; a draining entry joins */
void drain_stop(struct entry *e);
