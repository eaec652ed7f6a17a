/* worker/fanout.h -- one question to many workers: flush, loads, profile, metrics, models
 *
 *   handler --fanout_start--> rows (workers, in order of registration) --> targets (one per distinct base URL) --probes, FANOUT_PARALLEL at a time--> replies
 *                                                                                                 \--> done: every target has its result
 *
 * In:       the loop's snapshot of the workers and a struct fanout_ask.   Out: a result per target; `done` once, when all have one.
 * Owner:    the fan-out holds a reference on each of its workers, so that they outlive the snapshot; its starter frees it (fanout_free), also to cancel: a client that
 *           leaves closes the questions that are running, in the same turn. It is never freed by itself.
 * Threads:  all on the loop of `struct fanouts`. Nothing waits: targets that stand in line cost their row and nothing else.
 * Bounds:   FANOUT_PARALLEL questions at a time; total_ms for each, all_ms for all of them together (what is left then has ERR_TIMEOUT or, when it was not
 *           asked, ERR_CANCELLED); FANOUTS_MAX fan-outs of a kind per loop, past that ERR_BUSY: the public ones cannot keep an operator's from running.
 */
#pragma once

#include "worker/probe.h"
#include "worker/registry.h"

#define FANOUT_PARALLEL 32 /* SMG's (spec control-plane 15.1) */
#define FANOUTS_MAX     8

enum fanout_kind { FANOUT_PUBLIC, FANOUT_ADMIN, FANOUT_KINDS };

/* What one loop's fan-outs share. */
struct fanouts {
    struct loop *loop;
    struct http_client *client; /* borrowed */
    struct registry *registry;  /* borrowed */
    unsigned running[FANOUT_KINDS];
};

struct fanout;

/* One base URL. */
struct fanout_target {
    const struct worker *worker; /* the first of its workers; the row's reference */
    struct str base_url;         /* into the worker's spec */
    int result;                  /* HTTP status or a negative err_code; 0 = none yet */
    unsigned asked;              /* questions so far */
    bool cut;   /* the last reply's body was longer than body_max: what there is of it is its beginning, or nothing */
    void *data; /* the starter's, see fanout_ask.drop */
    /* internal */
    struct fanout *fanout;
    struct probe *probe; /* while it runs */
};

struct fanout_row {
    const struct worker *worker; /* reference */
    int rank;                    /* of a data-parallel worker ("http://h:1@3"), or -1 */
    uint32_t target;             /* index into targets */
};

struct fanout_ask {
    enum fanout_kind kind;
    uint32_t all_ms;
    /* Is W asked? NULL = every worker. */
    bool (*wants)(const struct worker *w, void *owner);
    /* The next question to T (path, body, deadlines ... of ASK; `done` and `owner` are not its business), or false: T's result stands. Called before the first
     * question with t->asked = 0 and after each reply. NULL = `question` for each, once. */
    bool (*question_for)(struct fanout *f, struct fanout_target *t, struct probe_ask *ask);
    struct probe_ask question;
    /* A reply: t->result is set; BODY may be emptied to keep it. Optional. False: the fan-out needs no further ones, `done` follows. */
    bool (*answered)(struct fanout *f, struct fanout_target *t, struct buf *body);
    /* Terminal: once, never from inside fanout_start. May free the fan-out. */
    void (*done)(struct fanout *f);
    /* Frees t->data; optional. */
    void (*drop)(void *data);
    void *owner;
};

struct fanout {
    struct fanout_ask ask;
    struct fanouts *fanouts;
    struct fanout_row *rows; /* owned */
    size_t rows_n;
    struct fanout_target *targets; /* owned */
    size_t targets_n;
    void *owner;

    /* internal */
    size_t next;      /* the first target that was not asked yet */
    unsigned running; /* probes */
    bool over;        /* done was called */
    struct timer deadline;
    struct deferred pump, free_later;
};

void fanouts_init(struct fanouts *all, struct loop *loop, struct http_client *client, struct registry *registry);

/* 0: `done` follows, at the earliest at the end of this turn, also when there is nobody to ask. ERR_BUSY, ERR_NOMEM: nothing was started. ASK is copied; the texts
 * in ask->question must live until `done`. */
int fanout_start(struct fanouts *all, const struct fanout_ask *ask, struct fanout **ret) _must_check_;
void fanout_free(struct fanout *f); /* cancels what runs, silently; any time but from `answered` and `question_for`; NULL is fine */

/* "http://h:1@3" -> "http://h:1" and 3; -1 when URL has no rank. */
struct str fanout_base_url(struct str url, int *ret_rank);

static inline bool fanout_succeeded(int result)
{
    return result >= 200 && result <= 299;
}

#define FANOUT_WHY_MAX 128
/* A result in words: "HTTP 500 Internal Server Error", "connection refused", "not asked: the deadline for all workers passed". */
struct str fanout_why(int result, char out[FANOUT_WHY_MAX]);
