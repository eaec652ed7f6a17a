/* admission/admission_internal.h -- what admission.c, ticket.c and metrics.c share */
#pragma once

#include "admission/admission.h"
#include "admission/usage.h"

struct admission {
    struct admission_limits limits; /* control thread; what other threads need of them is in the atomics below */
    struct tenant_conf tenant;
    _Atomic uint32_t queue_timeout_s;
    bool has_scheduler, has_tenant_limits;
    struct permits permits;
    struct rate rate;
    struct scheduler scheduler;
    struct snapshot_cell scheduler_conf; /* struct scheduler_conf; NULL without a scheduler */
    struct tenant_limits tenants;
    struct snapshot_cell tenant_limits_conf; /* struct tenant_limits_conf; NULL without */
    uint32_t workers_capacity;               /* control thread: what the workers give; 0 = no ready worker */

    struct loop *control; /* borrowed; NULL before admission_start */
    struct timer tick;

    /* Tenants that have metric series of their own: the first ones that needed one. */
    pthread_mutex_t names_lock;
    char **names; /* owned */
    uint32_t names_n, names_max;
};

/* The label for TENANT: itself, or "other" past the bound. Good for as long as the admission. Rare: clamped and unknown classes only. */
struct str admission_tenant_label(struct admission *a, struct str tenant);

/* ---- metrics.c: names and labels of spec operations 8.4, 8.8, and ours ---- */

enum admission_outcome {
    OUTCOME_ADMITTED,
    OUTCOME_QUEUE_FULL,
    OUTCOME_QUEUE_TIMEOUT,
    OUTCOME_PREEMPTED, /* was counted as admitted before */
    OUTCOME_CLIENT_LEFT,
    OUTCOME_RATE_LIMITED,
    OUTCOME_TENANT_LIMITED,
    OUTCOMES
};

int admission_cells_new(struct admission_thread *t) _must_check_;

/* Every request: what became of it here. CLASS -1 without a scheduler. */
void admission_count(struct admission_thread *t, enum admission_outcome outcome, int class);
void admission_count_ended(struct admission_thread *t);
void admission_count_wait(struct admission_thread *t, int class, uint64_t us);
void admission_count_preemption(struct admission_thread *t, enum sched_class victim, enum sched_class by);
void admission_count_promotion(struct admission_thread *t, enum sched_class class);
void admission_count_clamp(struct admission_thread *t, struct str tenant, enum sched_class requested, enum sched_class effective);
void admission_count_unknown(struct admission_thread *t, struct str tenant);
void admission_count_settled(struct admission_thread *t, uint64_t input, uint64_t output);
