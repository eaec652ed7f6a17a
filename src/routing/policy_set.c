/* routing/policy_set.c -- which policy serves which model
 *
 * The rows are one immutable struct, replaced as a whole: changes are rare (a model appears with a hint, disappears, an operator decides), look-ups are one hash, or
 * none as long as no model has a policy of its own.
 */
#include "routing/policy_set.h"

#include <stdlib.h>

#include "base/log.h"
#include "routing/policies.h"

#define TARGET  "smg::routing"
#define TICK_MS 1000

struct row {
    struct str model;      /* owned */
    struct policy *policy; /* reference */
    bool by_operator;      /* stays when the model's last worker goes */
};

struct rows {
    struct policy *general;           /* reference: of models without a row */
    struct policy *legs[POLICY_LEGS]; /* references; NULL: the model's. legs[POLICY_REGULAR] is always NULL */
    struct policy *shadow;            /* reference; NULL: none */
    struct row *rows;                 /* owned, sorted by model */
    size_t n;
    struct map by_model; /* model -> struct row */
};

struct policy_set {
    struct loop *control;
    struct policy_conf params;
    struct snapshot_cell cell; /* struct rows */
    const struct rows *rows;   /* the control thread's view of the current ones */
    struct timer tick;
    struct shadow_counts shadow; /* written by all loops; only while there is a shadow */
    struct policy *sticky;       /* reference: of --routing-key-override; NULL = off */
    struct rings *rings;         /* owned; NULL before policy_set_make_rings */
    struct key_loads *keys;      /* owned */
};

static void rows_free(void *object)
{
    struct rows *r = object;

    policy_unref(r->general);
    for (unsigned i = 0; i < POLICY_LEGS; i++)
        policy_unref(r->legs[i]);
    policy_unref(r->shadow);
    for (size_t i = 0; i < r->n; i++) {
        free((char *)r->rows[i].model.p);
        policy_unref(r->rows[i].policy);
    }
    free(r->rows);
    map_fini(&r->by_model);
    free(r);
}

static bool row_set(struct row *to, struct str model, struct policy *p, bool by_operator)
{
    char *text = malloc(model.n + 1);

    if (!text)
        return false;
    memcpy(text, model.p, model.n);
    *to = (struct row){ .model = { text, model.n }, .policy = policy_ref(p), .by_operator = by_operator };
    return true;
}

static int by_model(const void *a, const void *b)
{
    return str_cmp(((const struct row *)a)->model, ((const struct row *)b)->model);
}

/* A copy of FROM without the row of LESS (empty: all stay), with room for one more row. NULL: memory is out. */
static struct rows *rows_copy(const struct rows *from, struct str less)
{
    struct rows *r = calloc(1, sizeof(*r));

    if (!r)
        return NULL;
    r->rows = calloc(from->n + 1, sizeof(*r->rows));
    r->general = policy_ref(from->general);
    for (unsigned i = 0; i < POLICY_LEGS; i++)
        r->legs[i] = from->legs[i] ? policy_ref(from->legs[i]) : NULL;
    r->shadow = from->shadow ? policy_ref(from->shadow) : NULL;
    for (size_t i = 0; r->rows && i < from->n; i++) {
        const struct row *row = &from->rows[i];

        if (less.n && str_eq(row->model, less))
            continue;
        if (!row_set(&r->rows[r->n], row->model, row->policy, row->by_operator))
            goto fail;
        r->n++;
    }
    if (r->rows)
        return r;
fail:
    rows_free(r);
    return NULL;
}

/* NEXT takes the place of the rows; it is freed on failure. */
static int publish(struct policy_set *s, struct rows *next)
{
    if (next->n) /* without rows there may be no array */
        qsort(next->rows, next->n, sizeof(*next->rows), by_model);
    for (size_t i = 0; i < next->n; i++) {
        if (map_put(&next->by_model, next->rows[i].model, &next->rows[i], NULL) < 0) {
            rows_free(next);
            return ERR_NOMEM;
        }
    }
    s->rows = next;
    snapshot_publish(&s->cell, next);
    return 0;
}

static int set_row(struct policy_set *s, struct str model, struct policy *p, bool by_operator)
{
    struct rows *next = rows_copy(s->rows, model);

    if (!next)
        return ERR_NOMEM;
    if (model.n == 0) {
        policy_unref(next->general);
        next->general = policy_ref(p);
    } else if (row_set(&next->rows[next->n], model, p, by_operator)) {
        next->n++;
    } else {
        rows_free(next);
        return ERR_NOMEM;
    }
    return publish(s, next);
}

/* ---- once for each policy in force ---- */

static void each_policy(const struct rows *r, void (*fn)(struct policy *p, void *arg), void *arg)
{
    fn(r->general, arg);
    for (unsigned i = 0; i < POLICY_LEGS; i++)
        if (r->legs[i])
            fn(r->legs[i], arg);
    if (r->shadow)
        fn(r->shadow, arg);
    for (size_t i = 0; i < r->n; i++)
        fn(r->rows[i].policy, arg);
}

static void tick_policy(struct policy *p, void *arg)
{
    if (p->ops->tick)
        p->ops->tick(p, *(const uint64_t *)arg);
}

static void on_tick(struct timer *t)
{
    struct policy_set *s = CONTAINER_OF(t, struct policy_set, tick);
    uint64_t now = loop_now_us(s->control);

    each_policy(s->rows, tick_policy, &now);
    if (s->sticky)
        tick_policy(s->sticky, &now);
    timer_start(s->control, t, TICK_MS, on_tick);
}

static void forget_worker(struct policy *p, void *arg)
{
    if (p->ops->forget)
        p->ops->forget(p, arg);
}

static void ask_for_loads(struct policy *p, void *arg)
{
    bool watches = p->conf.balance_token_usage_threshold < 1 || p->conf.overload_token_usage_threshold < 1;

    *(bool *)arg |= p->ops->wants_loads || (p->ops->wants_usage && watches);
}

bool policy_set_wants_loads(const struct policy_set *s)
{
    bool wants = false;

    each_policy(s->rows, ask_for_loads, &wants);
    return wants;
}

/* ---- life ---- */

int policy_set_new(struct loop *control, const struct policy_set_conf *conf, struct policy_set **ret, struct err *err)
{
    const struct policy_ops *legs[POLICY_LEGS] = { [POLICY_PREFILL] = conf->prefill, [POLICY_DECODE] = conf->decode };
    struct policy_set *s = calloc(1, sizeof(*s));
    struct rows *first = calloc(1, sizeof(*first));
    int r = s && first ? 0 : err_set(err, ERR_NOMEM, "out of memory");

    if (r == 0)
        r = policy_new(conf->policy, &conf->params, &first->general, err);
    for (unsigned i = 0; r == 0 && i < POLICY_LEGS; i++)
        if (legs[i])
            r = policy_new(legs[i], &conf->params, &first->legs[i], err);
    if (r == 0 && conf->shadow)
        r = policy_new(conf->shadow, &conf->params, &first->shadow, err);
    if (r == 0 && conf->routing_key_override)
        r = policy_new(&policy_manual, &conf->params, &s->sticky, err);
    if (r == 0 && key_loads_new(&s->keys) < 0)
        r = err_set(err, ERR_NOMEM, "out of memory");
    if (r < 0) {
        if (first)
            rows_free(first);
        policy_unref(s ? s->sticky : NULL);
        free(s);
        return r;
    }
    s->control = control;
    s->params = conf->params;
    s->rows = first;
    snapshot_init(&s->cell, first, rows_free);
    timer_start(control, &s->tick, TICK_MS, on_tick);
    *ret = s;
    return 0;
}

void policy_set_stop(struct policy_set *s)
{
    if (!s)
        return;
    timer_stop(&s->tick);
    rings_stop(s->rings);
}

void policy_set_free(struct policy_set *s)
{
    if (!s)
        return;
    snapshot_fini(&s->cell);
    rings_free(s->rings);
    key_loads_free(s->keys);
    policy_unref(s->sticky);
    free(s);
}

/* ---- look-ups ---- */

struct policy *policy_set_find(struct policy_set *s, struct loop *loop, struct str model, enum policy_leg leg)
{
    const struct rows *r = snapshot_get(loop, &s->cell);
    const struct row *row;

    if (r->legs[leg])
        return r->legs[leg];
    row = r->n ? map_get(&r->by_model, model) : NULL;
    return row ? row->policy : r->general;
}

struct policy *policy_set_leg(struct policy_set *s, struct loop *loop, enum policy_leg leg)
{
    return ((const struct rows *)snapshot_get(loop, &s->cell))->legs[leg];
}

uint64_t policy_load_spread(const struct worker_table *t, bool shadow)
{
    int64_t min = INT64_MAX, max = 0;

    for (size_t i = 0; i < t->n; i++) {
        const struct worker_live *l = t->workers[i]->live;
        int64_t load = atomic_load_explicit(shadow ? &l->shadow_load : &l->load, memory_order_relaxed);

        if (worker_is_ready(t->workers[i])) {
            min = MIN(min, load);
            max = MAX(max, load);
        }
    }
    return (uint64_t)(max - MIN(min, max));
}

struct policy *policy_set_shadow(struct policy_set *s, struct loop *loop)
{
    return ((const struct rows *)snapshot_get(loop, &s->cell))->shadow;
}

struct shadow_counts *policy_set_shadow_counts(struct policy_set *s)
{
    return &s->shadow;
}

void policy_set_each(struct policy_set *s, struct loop *loop,
                     void (*fn)(struct str model, struct policy *p, bool by_operator, void *arg), void *arg)
{
    const struct rows *r = snapshot_get(loop, &s->cell);

    fn(STR_NONE, r->general, /* by_operator= */ true, arg);
    for (size_t i = 0; i < r->n; i++)
        fn(r->rows[i].model, r->rows[i].policy, r->rows[i].by_operator, arg);
}

struct policy *policy_set_override(const struct policy_set *s, struct policy *chosen, struct str key)
{
    bool knows_keys = chosen->ops == &policy_manual || chosen->ops == &policy_consistent_hashing;

    return s->sticky && key.n && !knows_keys ? s->sticky : chosen;
}

int policy_set_make_rings(struct policy_set *s, struct registry *registry)
{
    return rings_new(s->control, registry, &s->rings);
}

struct rings *policy_set_rings(const struct policy_set *s)
{
    return s->rings;
}

struct key_loads *policy_set_key_loads(const struct policy_set *s)
{
    return s->keys;
}

static void add_entries(struct policy *p, void *arg)
{
    *(size_t *)arg += policy_manual_entries(p);
}

size_t policy_set_sticky_entries(const struct policy_set *s)
{
    size_t n = s->sticky ? policy_manual_entries(s->sticky) : 0;

    each_policy(s->rows, add_entries, &n);
    return n;
}

/* ---- changes ---- */

int policy_set_change(struct policy_set *s, struct str model, const struct policy_ops *ops, const struct policy_conf *conf,
                      struct err *err)
{
    struct policy *p;
    int r = policy_conf_check(conf, err);

    if (r == 0)
        r = policy_new(ops, conf, &p, err);
    if (r < 0)
        return r;
    r = set_row(s, model, p, /* by_operator= */ true);
    policy_unref(p);
    return r < 0 ? err_set(err, r, "out of memory") : 0;
}

int policy_set_reset(struct policy_set *s, struct str model)
{
    struct rows *next;

    if (!map_get(&s->rows->by_model, model))
        return ERR_NOT_FOUND;
    next = rows_copy(s->rows, model);
    return next ? publish(s, next) : ERR_NOMEM;
}

/* *PLACE of NEXT, a copy of the rows that is published then, becomes P (taken). */
static int replace(struct policy_set *s, struct rows *next, struct policy **place, struct policy *p, struct err *err)
{
    int r;

    policy_unref(*place);
    *place = p;
    r = publish(s, next);
    return r < 0 ? err_set(err, r, "out of memory") : 0;
}

/* A new policy, or none, and a copy of the rows to put it into. */
static int prepare(const struct policy_set *s, const struct policy_ops *ops, const struct policy_conf *conf, struct policy **ret,
                   struct rows **ret_next, struct err *err)
{
    int r = ops ? policy_conf_check(conf, err) : 0;

    *ret = NULL;
    if (r == 0 && ops)
        r = policy_new(ops, conf, ret, err);
    if (r < 0)
        return r;
    *ret_next = rows_copy(s->rows, STR_NONE);
    if (*ret_next)
        return 0;
    policy_unref(*ret);
    return err_set(err, ERR_NOMEM, "out of memory");
}

int policy_set_leg_change(struct policy_set *s, enum policy_leg leg, const struct policy_ops *ops, const struct policy_conf *conf,
                          struct err *err)
{
    struct policy *p;
    struct rows *next;
    int r = prepare(s, ops, conf, &p, &next, err);

    return r < 0 ? r : replace(s, next, &next->legs[leg], p, err);
}

static void forget_counts(struct shadow_counts *c)
{
    _Atomic uint64_t *const all[] = { &c->decisions, &c->agreed,         &c->prompt,         &c->matched,
                                      &c->load_met,  &c->served_matched, &c->served_load_met };

    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        atomic_store_explicit(all[i], 0, memory_order_relaxed);
}

int policy_set_shadow_change(struct policy_set *s, const struct policy_ops *ops, const struct policy_conf *conf, struct err *err)
{
    struct policy *p;
    struct rows *next;
    int r = prepare(s, ops, conf, &p, &next, err);

    if (r < 0)
        return r;
    forget_counts(&s->shadow);
    return replace(s, next, &next->shadow, p, err);
}

static struct str primary_model(const struct worker *w)
{
    return w->spec.models_n ? w->spec.models[0].id : STR("unknown");
}

static struct str policy_label(const struct worker *w)
{
    for (size_t i = 0; i < w->spec.labels_n; i++)
        if (str_eq(w->spec.labels[i].key, STR("policy")))
            return w->spec.labels[i].value;
    return STR_NONE;
}

/* A model's only worker decides, unless somebody has decided before. */
static void follow_hint(struct policy_set *s, const struct worker *w, const struct worker_table *table)
{
    struct str model = primary_model(w), name = policy_label(w);
    const struct worker_model *m = worker_table_find(table, model);
    const struct policy_ops *ops = policy_find(name);
    struct policy *p;

    if (!name.n || !m || m->n != 1 || map_get(&s->rows->by_model, model))
        return;
    if (!ops) {
        log_warn(TARGET, "unknown policy in a worker's label, the default is used", LF_STR("worker", w->spec.url),
                 LF_STR("policy", name));
        return;
    }
    if (policy_new(ops, &s->params, &p, NULL) < 0)
        return; /* memory is out: the default serves */
    if (set_row(s, model, p, /* by_operator= */ false) == 0)
        log_info(TARGET, "a worker's label names its model's policy", LF_STR("model", model), LF_CSTR("policy", ops->name));
    policy_unref(p);
}

static void drop_orphans(struct policy_set *s, const struct worker_table *table)
{
    for (size_t i = 0; i < s->rows->n; i++) {
        const struct row *row = &s->rows->rows[i];
        const struct worker_model *m = worker_table_find(table, row->model);
        struct rows *next;

        if (row->by_operator || (m && m->n > 0 && str_eq(m->id, row->model)))
            continue;
        next = rows_copy(s->rows, row->model);
        if (!next || publish(s, next) < 0)
            return;     /* memory is out: the row waits for the next event */
        i = (size_t)-1; /* the rows are others now */
    }
}

void policy_set_on_registry(struct policy_set *s, enum registry_event e, const struct worker *w, const struct worker_table *table)
{
    if (e != REGISTRY_STATUS)
        rings_on_registry(s->rings);
    if (e == REGISTRY_REMOVED)
        each_policy(s->rows, forget_worker, (void *)w);
    if (e == REGISTRY_ADDED || e == REGISTRY_REPLACED)
        follow_hint(s, w, table);
    if (e == REGISTRY_REMOVED || e == REGISTRY_REPLACED)
        drop_orphans(s, table);
}
