/* plugin/table.h -- one registered plugin, and the table of all of them in the order of their registration
 *
 * What a plugin is does not change once it is in a table; what it did is counted in atomics (relaxed: numbers for people). A table is immutable. Both are counted references: who
 * runs a plugin keeps the table that it began with, whatever is registered or removed meanwhile.
 * Threads: any.
 */
#pragma once

#include <stdatomic.h>

#include "base/ids.h"
#include "plugin/descriptor.h"

struct plugin_counts {
    _Atomic uint64_t done, failed;     /* invocations that answered, and that did not */
    _Atomic uint64_t total_us, max_us; /* from the moment that somebody wanted it to run, waiting for a thread included */
};

struct plugin_module {
    _Atomic unsigned refs;
    struct plugin_engine *engine; /* borrowed */
    void *code;                   /* owned; NULL: it could not be loaded again, and every invocation fails with `trouble` */

    char id[UUID_TEXT_LEN + 1];
    char sha256[65];
    uint64_t size_bytes, created_us; /* wall clock */
    bool stored;                     /* the journal has it */
    unsigned points;                 /* where it is attached: a bit (1 << enum plugin_point) each */
    struct plugin_descriptor d;      /* in `arena` */
    struct str trouble;              /* likewise; empty: there is none */
    struct arena arena;

    _Atomic uint64_t accesses, accessed_us;
    _Atomic unsigned held_back; /* calls that go to the plugin threads before one is tried on a loop again (plugin_module_pace) */
    struct plugin_counts counts;
};

/* Copies D. NULL: no memory. The caller fills in the rest, `code` last. */
struct plugin_module *plugin_module_new(struct plugin_engine *engine, const struct plugin_descriptor *d) _must_check_;
struct plugin_module *plugin_module_ref(struct plugin_module *m);
void plugin_module_unref(struct plugin_module *m); /* NULL is fine */
void plugin_module_accessed(struct plugin_module *m);
void plugin_count(struct plugin_counts *c, bool ok, uint64_t us);

/* Which calls of a module a loop makes itself. A new one goes to the plugin threads, and is tried on a loop when it has answered PACE_FIRST times within PACE_QUICK_US; each slower answer keeps it
 * from the loops for some calls more, one that had to be suspended for many. Races between threads lose a count, which does not matter. */
#define PACE_FIRST     8u
#define PACE_QUICK_US  250u
#define PACE_SLOW      16u   /* calls, per slow answer */
#define PACE_SUSPENDED 1024u /* calls, and the most */
void plugin_module_pace(struct plugin_module *m, uint64_t call_us, bool suspended);
bool plugin_module_is_quick(const struct plugin_module *m);

struct plugin_table {
    _Atomic unsigned refs;
    unsigned attached; /* the points of all modules, or-ed */
    unsigned bodied;   /* points where at least one of them wants the body */
    size_t n;
    struct plugin_module *modules[]; /* ref each */
};

/* A table of what NOW has without WITHOUT (may be NULL), and WITH (may be NULL) behind it. NULL: no memory. */
struct plugin_table *plugin_table_next(const struct plugin_table *now, struct plugin_module *with,
                                       const struct plugin_module *without) _must_check_;
struct plugin_table *plugin_table_ref(struct plugin_table *t);
void plugin_table_unref(struct plugin_table *t); /* NULL is fine */

/* A module that has these bytes, or this id; NULL: none. */
struct plugin_module *plugin_table_by_hash(const struct plugin_table *t, const char *sha256);
struct plugin_module *plugin_table_by_id(const struct plugin_table *t, const char *id);
