/* journal/journal_file.h -- one file that begins with a snapshot and grows by appended frames; blocking
 *
 *   open ----> [ header | snapshot frames | appended frames ... | (cut at open: a torn tail) ]
 *                              ^ rewrite: the live set into NEW_NAME, sync, rename over NAME, sync the folder
 *
 * Snapshot and log are one file because then one rename switches both: there is no moment at which one fits the other's past. A rewrite happens when the log outgrows the live
 * set, and whenever the file cannot be trusted any more (`stale`): after a failed sync, a failed cut, or damage found at open.
 *
 * What holds after each call, whatever failed: the file on disk contains every frame that was acknowledged; a frame that was refused is gone, or is gone with the next
 * success (a refused frame can come back only when the process dies before that: its sync failed, and nobody can know what the disk did).
 * Threads: one at a time; the owner hands it over (the journal's loop and its one job).
 */
#pragma once

#include "journal/disk.h"
#include "journal/frame.h"
#include "journal/live.h"

#define JOURNAL_NAME     "journal"
#define JOURNAL_NEW_NAME "journal.new"
#define JOURNAL_KEPT_MAX 9               /* damaged pieces are kept as journal.corrupt.1 ... .9; the ninth is replaced */
#define JOURNAL_FILE_MAX (1024ull << 20) /* read whole at open */
#define JOURNAL_SLACK    (1u << 20)      /* a log this small is never worth a rewrite */

struct journal_file {
    struct disk *disk;       /* borrowed */
    int file;                /* -1 = none */
    uint64_t bytes;          /* good ones */
    uint64_t salt, sequence; /* of the last good frame */
    uint64_t rewrite_at;     /* do not rewrite for size before the file is this long: the last try failed */
    bool stale;              /* see above: the next append rewrites first */
};

/* What was found at open. */
struct journal_report {
    bool fresh;     /* there was no file */
    size_t entries; /* live */
    uint64_t bytes; /* of the file */
    struct journal_damage damage;
    char kept_as[40];  /* where the damaged bytes are (a torn tail: the tail; otherwise the whole file); empty = not kept */
    struct err repair; /* code != 0: the file could not be rewritten after damage; commits will try again */
};

/* Reads the file into LIVE (empty) and makes it ready for appending. Damage is no failure. ERR_UNSUPPORTED: another version's file; ERR_LIMIT: too long; ERR_IO ..., ERR_NOMEM. */
int journal_file_open(struct journal_file *f, struct disk *disk, struct live *live, struct journal_report *ret,
                      struct err *err) _must_check_;

/* FRAME: FRAME_HEAD_BYTES of room, then records. Durable when 0; else refused (above). LIVE: what stands without this frame. */
int journal_file_append(struct journal_file *f, const struct live *live, struct buf *frame, struct err *err) _must_check_;

int journal_file_rewrite(struct journal_file *f, const struct live *live, struct err *err) _must_check_;

/* Is more than half of the file the past? */
bool journal_file_outgrown(const struct journal_file *f, const struct live *live);

void journal_file_close(struct journal_file *f);
