/* plugin/registry_internal.h -- what registry.c and registry_commands.c share; control thread */
#pragma once

#include "json/json_write.h"
#include "loop/pool.h"
#include "loop/snapshot.h"
#include "plugin/registry.h"

#define PLUGIN_TARGET "smg::plugin"
#define KIND_PLUGIN   STR("plugin")

struct plugin_registry {
    struct plugin_registry_conf conf;
    struct snapshot_cell table; /* struct plugin_table; one reference */
    struct plugin_table *now;   /* what `table` publishes */
    struct plugin_totals totals;
    struct pool *pool; /* owned: reads, hashes, compiles */

    unsigned commands_n;               /* that were taken and are not answered */
    struct list loading;               // plugin_command.link: with the pool
    struct list waiting;               // plugin_command.link: for their turn to change the table
    struct plugin_command *committing; /* its record is being written */
    struct plugin_table *next;         /* owned: published when it is; NULL exactly when nothing is committing */
    bool stopped;
};

/* The bytes of F as a module of D: compiled, and its exports fit its attach points. Blocking. */
int plugin_load(struct plugin_registry *r, const struct plugin_descriptor *d, const struct plugin_file *f,
                struct plugin_module **ret, struct err *err) _must_check_;
/* The text in SMG's wrapping, into ARENA. */
struct str plugin_failure_text(struct arena *arena, const char *step, const struct err *err);
/* An id and a time of birth. */
void plugin_module_born(struct plugin_module *m);
void plugin_registry_publish(struct plugin_registry *r, struct plugin_table *next); /* takes the reference */

/* Name, file_path, module_type, attach_points and what is not its default, inside an object. */
void plugin_write_descriptor(struct json_writer *w, const struct plugin_descriptor *d);

void plugin_commands_init(struct plugin_registry *r);
void plugin_commands_stop(struct plugin_registry *r);
void plugin_commands_free(struct plugin_registry *r);
