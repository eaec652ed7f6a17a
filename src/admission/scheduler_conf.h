/* admission/scheduler_conf.h -- --priority-scheduler-config: classes and the tenants' highest ones (spec operations 19, data-plane 12.2)
 *
 *   classes: {interactive: {reserved_floor: 8, reserved_per_slot: 0.25, queue_size: 256, queue_timeout_secs: 30, starvation_threshold_secs: 5, can_preempt: true}}
 *   tenant_policies: {"auth:team-red": {max_class: interactive}}
 *
 * A class that is listed gives all its members but reserved_per_slot (0); one that is not has SMG's numbers. An empty file, or none, is all of them. Unknown names are mistakes.
 * Immutable once read; freed with its arena.
 */
#pragma once

#include "admission/scheduler.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/map.h"

struct scheduler_conf {
    struct sched_class_conf classes[CLASSES];
    enum sched_class default_max_class;
    struct map tenants; /* tenant key -> &CLASS_VALUES[class] (see scheduler_conf_max_class) */
    struct arena arena;
};

/* Blocking. PATH empty: the defaults. ERR_INVALID and what yaml_read_file says; the message names the file. */
int scheduler_conf_read(struct str path, enum sched_class default_max_class, struct scheduler_conf **ret,
                        struct err *err) _must_check_;
void scheduler_conf_free(struct scheduler_conf *c); /* NULL is fine */

enum sched_class scheduler_conf_max_class(const struct scheduler_conf *c, struct str tenant);
