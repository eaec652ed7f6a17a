/* catalog/catalog.h -- what the gateway knows per model: today its tokenizer; templates and parsers come beside it
 *
 *   any loop: catalog_command --message--> control thread: FIFO --(record --> the journal, if there is one)--> a job
 *                        \--> answer --message--> the loop that asked
 *   a job --blocking pool: tokenizer_source_load--> struct tokenizer_entry --publish--> struct tokenizer_table, read by any loop without locks
 *
 * A job turns a source (directory, file, hub id: source.h) into a tokenizer under a name; jobs.c draws it. The entry that comes of it keeps the job's id. Loads of one name
 * never run beside each other; different names do, LOADS_AT_A_TIME of them.
 * Names: one entry per name. A second request for a name that is being loaded from the same source joins its job (decision 9); from another source it is refused.
 * Deleting takes an entry out of the table; who still uses it keeps a reference.
 * With a journal, what was asked for over the API is durable before it is answered, and is loaded again under its id after a restart (decision 11). A load that fails for good is
 * forgotten; one that had succeeded before (it was restored) stays, fails visibly, and is tried again with the next start.
 * Bounds: CATALOG_NAMES_MAX tokenizers and jobs; a failed job is told for an hour; texts as below. At the bound: ERR_BUSY (503).
 * Threads: as each declaration says.
 * Read next: tokenizer_entry.h (what handlers use), source.h (where tokenizers come from), jobs.c (the machine).
 */
#pragma once

#include "catalog/tokenizer_entry.h"
#include "fetch/hub.h"
#include "journal/journal.h"

#define CATALOG_NAMES_MAX  1000
#define CATALOG_NAME_MAX   256  /* bytes of a name */
#define CATALOG_SOURCE_MAX 4096 /* bytes of a source or of a template's path */

struct catalog_conf {
    struct loop *control;
    struct journal *journal;      /* borrowed for the catalog's life; NULL: memory only */
    const struct hub_config *hub; /* borrowed, likewise; NULL: only what is on this machine */

    /* 0 = as SMG: 2 s between attempts, 300 s for one, 600 s for a job, 3600 s for the memory of a failure */
    uint32_t pause_ms, attempt_ms, job_ms, keep_ms;
};

struct catalog;

/* Before the loops run. */
int catalog_new(const struct catalog_conf *conf, struct catalog **ret, struct err *err) _must_check_;
void catalog_restore(struct catalog *c); /* starts the loads of what the journal kept; before catalog_want */
void catalog_stop(struct catalog *c);    /* control thread: cancels loads, silently; the table stays readable. NULL is fine */
void catalog_free(
    struct catalog *c); /* no loop runs any more, none is freed yet; behind journal_stop. Waits for the loads. NULL is fine */

/* A load that nobody waits for: of the command line or for a worker that registered. A name that is loaded, or being loaded, is left as it is. LOCAL_ONLY: when the source
 * would have to be fetched, nothing happens, silently. Control thread, or before it runs. */
enum catalog_reach { CATALOG_FETCH, CATALOG_LOCAL_ONLY };
void catalog_want(struct catalog *c, struct str name, struct str source, struct str chat_template, enum catalog_reach reach);

/* The table as of now, good until the end of LOOP's turn. Any loop. */
const struct tokenizer_table *catalog_table(struct catalog *c, struct loop *loop);

/* ---- commands from any loop ---- */

enum catalog_command_kind { CATALOG_ADD, CATALOG_STATUS, CATALOG_REMOVE };

/* The first member of a malloc'ed struct of the asker's. */
struct catalog_command {
    struct message message; /* internal */
    struct catalog *catalog;
    struct loop *asker;
    enum catalog_command_kind kind;
    struct arena arena; /* owned; no cache; the strings below are in it */

    struct str name, source,
        chat_template; /* ADD; the template's path may be empty. Not empty and within the bounds above: the asker's duty */
    struct str key;    /* STATUS: the id of a job, or the id or name of a tokenizer. REMOVE: an id or a name */
    void (*answered)(struct catalog_command *c); /* on the asker's loop, which owns the command again */

    /* out */
    int result; /* 0; ERR_EXISTS (ADD: `id` has the name already; with `loading`, from another source), ERR_NOT_FOUND, ERR_BUSY, ERR_NOMEM,
                   ERR_STORE (could not be made durable: nothing changed) */
    bool loading;
    char id[UUID_TEXT_LEN + 1];
    struct str state, text; /* STATUS: "pending", "processing", "failed" or "completed" (static), and why or how far */
    uint32_t vocab_size;    /* STATUS: of a completed one */

    struct catalog_command *next; /* internal, as the two below */
    struct job *job;
    struct tokenizer_entry *entry;
};

/* SIZE: of the whole struct, zeroed. NULL: memory is out. */
struct catalog_command *catalog_command_new(struct catalog *c, struct loop *asker, enum catalog_command_kind kind,
                                            size_t size) _must_check_;
void catalog_command_post(struct catalog_command *c); /* any loop; `answered` follows, always, unless the process ends */
void catalog_command_free(struct catalog_command *c);
