/* admission.c -- the process's one admission: made, reconfigured, looked at */
#include <assert.h>
#include <stdlib.h>

#include "admission/admission_internal.h"
#include "base/clock.h"
#include "base/log.h"

#define TARGET  "smg::admission"
#define TICK_MS 1000 /* how late a starved request may be promoted; thresholds are whole seconds */

/* ---- limits ---- */

void admission_set_limits(struct admission *a, const struct admission_limits *limits)
{
    uint32_t n = limits->max_concurrent > 0 ? (uint32_t)limits->max_concurrent : 0;

    a->limits = *limits;
    atomic_store_explicit(&a->queue_timeout_s, limits->queue_timeout_s, memory_order_relaxed);
    rate_configure(&a->rate, limits->requests_per_second > 0 ? (uint32_t)limits->requests_per_second : 0);
    permits_configure(&a->permits, a->has_scheduler ? 0 : n, (uint32_t)MIN(limits->queue_size, ADMISSION_QUEUE_MAX));
    if (a->has_scheduler && a->workers_capacity == 0)
        (void)scheduler_set_capacity(&a->scheduler, admission_capacity(NULL, limits->max_concurrent), clock_now_us());
}

static void free_scheduler_conf(void *object)
{
    scheduler_conf_free(object);
}

static void free_tenant_limits_conf(void *object)
{
    tenant_limits_conf_free(object);
}

static int read_files(struct admission *a, const struct admission_conf *conf, struct err *err)
{
    struct scheduler_conf *scheduler = NULL;
    struct tenant_limits_conf *tenants = NULL;
    int r = 0;

    if (conf->scheduler)
        r = scheduler_conf_read(conf->scheduler_file, conf->default_max_class, &scheduler, err);
    if (r == 0 && conf->tenant_limits)
        r = tenant_limits_conf_read(conf->tenant_limits_file, conf->tenant.trust_header, &tenants, err);
    if (r < 0) {
        scheduler_conf_free(scheduler);
        return r;
    }
    snapshot_init(&a->scheduler_conf, scheduler, free_scheduler_conf);
    snapshot_init(&a->tenant_limits_conf, tenants, free_tenant_limits_conf);
    scheduler_init(&a->scheduler, scheduler ? scheduler->classes : SCHED_DEFAULTS,
                   admission_capacity(NULL, conf->limits.max_concurrent));
    return 0;
}

int admission_new(const struct admission_conf *conf, struct admission **ret, struct err *err)
{
    struct admission *a = calloc(1, sizeof(*a));
    uint32_t names_max = MIN(conf->tenant_names, ADMISSION_TENANT_NAMES);
    char **names = calloc(names_max + 1, sizeof(*names));
    int r = a && names ? read_files(a, conf, err) : err_set(err, ERR_NOMEM, "%s", err_text(ERR_NOMEM));

    if (r < 0) {
        free(names);
        free(a);
        return r;
    }
    a->tenant = conf->tenant;
    a->has_scheduler = conf->scheduler;
    a->has_tenant_limits = conf->tenant_limits;
    a->names = names;
    a->names_max = names_max;
    pthread_mutex_init(&a->names_lock, NULL);
    permits_init(&a->permits, 0, 0);
    tenant_limits_init(&a->tenants);
    admission_set_limits(a, &conf->limits);
    *ret = a;
    return 0;
}

void admission_free(struct admission *a)
{
    if (!a)
        return;
    snapshot_fini(&a->scheduler_conf);
    snapshot_fini(&a->tenant_limits_conf);
    scheduler_fini(&a->scheduler);
    tenant_limits_fini(&a->tenants);
    permits_fini(&a->permits);
    for (uint32_t i = 0; i < a->names_n; i++)
        free(a->names[i]);
    free(a->names);
    pthread_mutex_destroy(&a->names_lock);
    free(a);
}

/* ---- on the control thread ---- */

static void on_tick(struct timer *t)
{
    struct admission *a = CONTAINER_OF(t, struct admission, tick);

    scheduler_tick(&a->scheduler, loop_now_us(a->control));
    timer_start(a->control, t, TICK_MS, on_tick);
}

static void warn_of_cut(const struct admission *a, uint32_t capacity)
{
    if (!a->scheduler.fits)
        log_warn(TARGET, "the classes' reservations do not fit into the capacity: the lower ones were cut",
                 LF_UINT("capacity", capacity));
}

void admission_start(struct admission *a, struct loop *control)
{
    a->control = control;
    if (!a->has_scheduler)
        return;
    warn_of_cut(a, a->scheduler.capacity);
    timer_start(control, &a->tick, TICK_MS, on_tick);
}

void admission_stop(struct admission *a)
{
    if (a)
        timer_stop(&a->tick);
}

int admission_set_scheduler(struct admission *a, struct scheduler_conf *conf)
{
    if (!a->has_scheduler)
        return ERR_UNSUPPORTED;
    (void)scheduler_configure(&a->scheduler, conf->classes, clock_now_us());
    snapshot_publish(&a->scheduler_conf, conf);
    return 0;
}

int admission_set_tenant_limits(struct admission *a, struct tenant_limits_conf *conf)
{
    if (!a->has_tenant_limits)
        return ERR_UNSUPPORTED;
    snapshot_publish(&a->tenant_limits_conf, conf);
    return 0;
}

/* ---- capacity (spec data-plane 12.3) ---- */

static uint32_t reported(const struct worker *w)
{
    uint64_t n = 0;

    for (size_t i = 0; i < w->spec.labels_n; i++)
        if (str_eq(w->spec.labels[i].key, STR("max_running_requests")) && str_to_u64(w->spec.labels[i].value, &n) < 0)
            n = 0;
    return (uint32_t)MIN(n, SCHED_CAPACITY_MAX);
}

uint32_t admission_capacity(const struct worker_table *table, int32_t max_concurrent)
{
    uint64_t sum = 0;
    size_t ready = 0;

    for (size_t i = 0; table && i < table->n; i++) {
        uint32_t n;

        if (!worker_is_ready(table->workers[i]))
            continue;
        ready++;
        n = reported(table->workers[i]);
        sum += n ? n : ADMISSION_CAPACITY_SILENT;
    }
    if (ready == 0)
        sum = max_concurrent > 0 && max_concurrent <= SCHED_CAPACITY_MAX ? (uint32_t)max_concurrent : ADMISSION_CAPACITY_UNKNOWN;
    return (uint32_t)MIN(sum, SCHED_CAPACITY_MAX);
}

void admission_workers_changed(struct admission *a, const struct worker_table *table)
{
    uint32_t capacity = admission_capacity(table, a->limits.max_concurrent);
    bool any = false;

    if (!a->has_scheduler)
        return;
    for (size_t i = 0; i < table->n && !any; i++)
        any = worker_is_ready(table->workers[i]);
    a->workers_capacity = any ? capacity : 0;
    if (capacity == a->scheduler.capacity) /* this thread is the only one that changes it */
        return;
    if (!scheduler_set_capacity(&a->scheduler, capacity, clock_now_us()))
        warn_of_cut(a, capacity);
}

/* ---- looked at ---- */

void admission_stats(struct admission *a, struct admission_stats *ret)
{
    *ret = (struct admission_stats){ .has_scheduler = a->has_scheduler, .has_tenant_limits = a->has_tenant_limits };
    ret->permits = permits_state(&a->permits);
    if (a->has_scheduler)
        scheduler_state(&a->scheduler, &ret->scheduler);
    if (a->has_tenant_limits) {
        ret->tenants = tenant_limits_count(&a->tenants);
        ret->tenants_forgotten = atomic_load_explicit(&a->tenants.forgotten, memory_order_relaxed);
    }
}

/* Inside names_lock. */
static const char *find_name(const struct admission *a, struct str tenant)
{
    for (uint32_t i = 0; i < a->names_n; i++)
        if (str_eq(str_of(a->names[i]), tenant))
            return a->names[i];
    return NULL;
}

struct str admission_tenant_label(struct admission *a, struct str tenant)
{
    const char *name;

    pthread_mutex_lock(&a->names_lock);
    name = find_name(a, tenant);
    if (!name && a->names_n < a->names_max && (a->names[a->names_n] = str_dup(tenant)) != NULL)
        name = a->names[a->names_n++];
    pthread_mutex_unlock(&a->names_lock);
    return name ? str_of(name) : STR("other");
}
