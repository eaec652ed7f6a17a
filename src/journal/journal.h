/* journal/journal.h -- the durable log behind --state-dir: small values by (kind, key) that survive kill -9 and loss of power
 *
 *   the owner's loop                                     pool thread
 *   journal_commit(batch) --> queue --(end of the turn)--> one frame: write, fdatasync --> done(batch), and the live set has it
 *                               ^      all that waits, up to FRAME_BYTES_MAX (group commit)          |
 *                               +--------------- while a frame is being written ----------------+
 *   the log outgrew the live set --> the same job rewrites the file: snapshot beside it, rename (journal_file.h)
 *
 * For: worker/ now, catalog/ and plugin/ later. A kind is its owner's ("worker"), values are its business.
 * Promises: (1) a batch whose `done` said 0 is there after any crash. (2) A batch is there wholly or not at all. (3) Batches count in the order of their commits. (4) A batch that
 *   failed left nothing behind (one exception, journal_file.h). (5) Damage of the file is reported and survived, never a reason not to start.
 * Not promised: protection against somebody who can write the folder. Values stand there as they are (mode 0600): worker keys too.
 * A rewrite takes as long as writing the live set does (4,000 workers, 4 MB: some 20 ms); batches that come meanwhile wait for it, and become the next frame together. That is simpler than
 *   two files that grow at once, and its cost is bounded: a rewrite happens once per doubling of the log.
 * Bounds: one batch FRAME_BYTES_MAX (ERR_LIMIT), the live set JOURNAL_LIVE_MAX (ERR_LIMIT), JOURNAL_QUEUE_MAX batches (ERR_BUSY), the file JOURNAL_FILE_MAX.
 * Threads: everything on the owner's loop, or before it runs; the files are touched by the job alone.
 * Read next: frame.h (the format), journal_file.h (the file), live.h, disk.h.
 */
#pragma once

#include "journal/journal_file.h"
#include "loop/pool.h"

#define JOURNAL_LIVE_MAX  (256ull << 20) /* bytes of records: a thousandth of it is usual */
#define JOURNAL_QUEUE_MAX 1024           /* batches */

struct journal;

struct journal_conf {
    struct disk *disk; /* borrowed for the journal's life */
    struct pool *pool; /* borrowed, likewise */
    struct loop *loop; /* the owner's */

    /* Optional: a rewrite failed that nobody waited for. What is acknowledged is safe in the old file; commits go on. On the loop. */
    void (*trouble)(void *arg, const struct err *err);
    void *arg;
};

/* Reads what is there; blocks; before the loop runs. *REPORT is filled in on success: what was found, what was damaged. Errors: journal_file_open(). */
int journal_open(const struct journal_conf *conf, struct journal **ret, struct journal_report *report,
                 struct err *err) _must_check_;

/* No callback from here on; batches that wait are dropped, one that is being written may or may not last. They belong to their owners again. */
void journal_stop(struct journal *j);
void journal_free(struct journal *j); /* stopped; the pool is freed. NULL is fine */

/* Walks what is live, in the order in which the keys came; *CURSOR = NULL begins. False at the end. The strings are good until the next commit is done; no commit meanwhile. */
struct journal_entry {
    struct str kind, key, value;
};
bool journal_next(const struct journal *j, const void **cursor, struct journal_entry *ret);

struct journal_stats {
    size_t entries;
    uint64_t live_bytes, file_bytes;
    uint64_t commits, frames, rewrites, failures; /* since the start; failures: of frames and rewrites */
    uint64_t p50_us, p99_us, max_us;              /* a batch's time from journal_commit to `done`; good ones */
};
void journal_stats(const struct journal *j, struct journal_stats *ret);

/* ---- batches: in the caller's memory, one commit each ---- */

struct journal_batch {
    struct buf records; /* owned */
    int failed;         /* sticky: ERR_LIMIT for a kind, key or value that is too long or empty */

    /* When `done` runs: 0, or why it is not there. */
    int status;
    struct err err;

    /* internal */
    void (*done)(struct journal_batch *b);
    struct list link;    /* journal.waiting or .writing */
    struct list changes; // live_change.link
    uint64_t began_us;
};

void journal_batch_init(struct journal_batch *b);
void journal_batch_fini(struct journal_batch *b); /* not while it is committed; also after journal_stop and `done` */
void journal_put(struct journal_batch *b, struct str kind, struct str key, struct str value);
void journal_delete(struct journal_batch *b, struct str kind, struct str key);

/* 0: DONE follows in a later turn, once (unless the journal is stopped), and the batch is its owner's again. Otherwise nothing happened: ERR_LIMIT, ERR_BUSY, ERR_NOMEM, with the
 * text in B->err. DONE may commit again and may free the batch. An empty batch is fine. */
int journal_commit(struct journal *j, struct journal_batch *b, void (*done)(struct journal_batch *b)) _must_check_;
