/* catalog/catalog_internal.h -- what catalog.c, commands.c and jobs.c share; control thread */
#pragma once

#include "base/list.h"
#include "catalog/catalog.h"
#include "catalog/source.h"
#include "loop/pool.h"

#define CATALOG_TARGET  "smg::catalog"
#define KIND_TOKENIZER  STR("tokenizer")
#define LOADS_AT_A_TIME 2 /* of each at most a file of 256 MiB and what becomes of it is in memory */

enum job_state { JOB_NEW, JOB_QUEUED, JOB_LOADING, JOB_PAUSING, JOB_FAILED };
enum job_origin { JOB_OF_API, JOB_RESTORED, JOB_WANTED };

/* One load: drawn in jobs.c. */
struct job {
    struct catalog *catalog;
    struct list link; // catalog.queued, .loading, .pausing or .failed: which one is the state
    enum job_state state;
    enum job_origin origin;
    enum catalog_reach reach;
    bool stored; /* the journal has a record of it */
    char id[UUID_TEXT_LEN + 1];
    char *name, *source, *chat_template; /* owned; the last one NULL = none */
    unsigned attempts;                   /* begun */
    uint64_t began_us;                   /* loop clock: the first one */
    struct timer timer; /* LOADING: the attempt's deadline; PAUSING: the next attempt; FAILED: the end of its memory */
    char *message;      /* owned; FAILED: why */

    /* LOADING: the pool thread's, until on_loaded; but for the atomics, which anybody reads */
    struct pool_job work;
    _Atomic bool cancel;
    bool timed_out; /* control thread: why it was cancelled */
    struct hub_progress progress;
    struct tokenizer *tokenizer; /* owned: the result, until it becomes an entry */
    int status;
    struct err err;
};

struct catalog {
    struct catalog_conf conf;
    struct loop *loop;                            /* the control loop */
    struct pool *pool;                            /* owned: LOADS_AT_A_TIME threads */
    struct hub_config hub_offline;                /* conf.hub for what may not be fetched; a shallow copy */
    struct snapshot_cell table;                   /* struct tokenizer_table */
    const struct tokenizer_table *now;            /* the same, for the one writer, who needs no turn of a loop */
    struct list queued, loading, pausing, failed; // job.link
    size_t jobs_n;                                /* in the first three */
    bool stopped;

    /* commands.c: those that change something, in line; the first one is being made durable while `committing` */
    struct catalog_command *waiting, **waiting_tail; /* owned */
    unsigned waiting_n;
    struct catalog_command *committing; /* owned */
    struct journal_batch batch;
};

static inline const struct tokenizer_table *catalog_now(struct catalog *c)
{
    return c->now;
}

/* catalog.c: a table with WITH (may be NULL) and without WITHOUT (likewise). */
int catalog_publish(struct catalog *c, struct tokenizer_entry *with, const struct tokenizer_entry *without) _must_check_;

/* jobs.c */
struct job *catalog_job_new(struct catalog *c, const char id[UUID_TEXT_LEN + 1], struct str name, struct str source,
                            struct str chat_template, enum job_origin origin) _must_check_;
void catalog_job_free(struct job *j); /* in no list, not in the pool; NULL is fine */
void catalog_job_begin(struct job *j);
void catalog_job_forget(struct job *j);                              /* a failed one; frees it */
struct job *catalog_job_by_name(struct catalog *c, struct str name); /* one that runs, or NULL */
struct job *catalog_job_failed(struct catalog *c,
                               struct str key); /* a failed one, by id, or of a stored tokenizer by name; or NULL */
struct job *catalog_job_by_id(struct catalog *c, struct str id); /* in any state, or NULL */
void catalog_job_describe(const struct job *j, struct arena *arena, struct str *ret_state, struct str *ret_text);
void catalog_jobs_stop(struct catalog *c);
void catalog_jobs_free(struct catalog *c); /* the pool is gone */

/* commands.c */
void catalog_commands_init(struct catalog *c);
void catalog_commands_forget(struct catalog *c, const char *id); /* takes the record of ID out of the journal, when it can */
void catalog_commands_stop(struct catalog *c);
void catalog_commands_free(struct catalog *c);
