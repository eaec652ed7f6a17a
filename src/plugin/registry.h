/* plugin/registry.h -- the plugins of a gateway: registered, listed, removed, kept
 *
 *   any loop: plugin_command --message--> control thread: each module of the request, one after another
 *                                           check -> blocking pool: read and hash -> is it there already? -> blocking pool: compile -> (record --> the journal) -> struct plugin_table
 *                   <--answered, message--
 *   loops read the table without locks (loop/snapshot); the chain (chain.h) keeps a reference on the one that it began with
 *
 * Order of registration is order of execution. The same bytes are registered once: whether they are there is looked at by the one writer, again behind the compilation and in front of
 * the record. The id that is answered is the one that was made for that module, never another one's.
 * With a journal a registration is durable before it is answered (decision 11). At the start the modules of the command line come first, then what the journal kept, so that the
 * order is the same after every restart. A kept module whose file is gone stays in the table: it fails as its on_failure says, visibly, and is tried again with the next start.
 * Bounds: PLUGIN_MODULES_MAX modules, PLUGIN_COMMANDS_MAX commands at a time (ERR_BUSY).
 * Threads: as each declaration says.
 * Read next: table.h, descriptor.h, chain.h.
 */
#pragma once

#include "journal/journal.h"
#include "plugin/table.h"

#define PLUGIN_MODULES_MAX  256
#define PLUGIN_COMMANDS_MAX 64

struct plugin_registry_conf {
    struct loop *control;
    struct plugin_engine *engine; /* borrowed */
    struct journal *journal;      /* borrowed; NULL: memory only */
};

struct plugin_registry;

int plugin_registry_new(const struct plugin_registry_conf *conf, struct plugin_registry **ret, struct err *err) _must_check_;
void plugin_registry_stop(struct plugin_registry *r); /* control thread; commands that wait are dropped. NULL is fine */
void plugin_registry_free(struct plugin_registry *r); /* no loop runs any more, none is freed yet. NULL is fine */

/* ---- at the start: blocking, before the loops run ---- */

/* A module of the operator's, attached where its exports allow. The start fails when it cannot be loaded. */
int plugin_registry_load_file(struct plugin_registry *r, struct str path, struct err *err) _must_check_;
/* The file of --wasm-modules: the body of POST /wasm. */
int plugin_registry_load_list(struct plugin_registry *r, struct str path, struct err *err) _must_check_;
void plugin_registry_restore(struct plugin_registry *r);

/* Any loop: good until the end of its turn. */
struct plugin_table *plugin_registry_table(struct plugin_registry *r, struct loop *loop);

/* What all modules did since the start, those that are gone too; any thread counts and reads. */
struct plugin_totals {
    struct plugin_counts counts;
    _Atomic uint64_t bypassed; /* replies that OnResponse did not see because they are streams */
    _Atomic uint64_t refused;  /* requests for which no thread was free in time */
};
struct plugin_totals *plugin_registry_totals(struct plugin_registry *r);

/* ---- commands from any loop ---- */

enum plugin_command_kind { PLUGIN_ADD, PLUGIN_REMOVE };

struct plugin_result {
    bool ok;
    char id[UUID_TEXT_LEN + 1]; /* when ok */
    struct str text;            /* otherwise, SMG's: "Workflow failed at step ..." */
};

/* The first member of a malloc'ed struct of the asker's. */
struct plugin_command {
    struct message message; /* internal */
    struct plugin_registry *registry;
    struct loop *asker;
    enum plugin_command_kind kind;
    struct arena arena; /* owned; no cache */

    struct plugin_list list;                    /* ADD; in `arena` */
    char id[UUID_TEXT_LEN + 1];                 /* REMOVE */
    void (*answered)(struct plugin_command *c); /* on the asker's loop, which owns the command again */

    /* out */
    int result;                    /* 0: look at `results`; ERR_BUSY, ERR_NOMEM; REMOVE also ERR_NOT_FOUND, ERR_STORE */
    struct plugin_result *results; /* ADD: one per descriptor; in `arena` */

    /* internal */
    struct pool_job job;
    struct list link; // plugin_registry.running or .waiting
    size_t at;        /* of `list` */
    const char *step; /* static: SMG's name */
    struct plugin_file file;
    struct plugin_module *module; /* ref */
    int status;
    struct err err;
    struct journal_batch batch;
};

struct plugin_command *plugin_command_new(struct plugin_registry *r, struct loop *asker, enum plugin_command_kind kind,
                                          size_t size) _must_check_;
void plugin_command_post(struct plugin_command *c); /* `answered` follows, always, unless the process ends */
void plugin_command_free(struct plugin_command *c);
