/* worker/worker_patch.c -- PATCH /workers/{id}: reading one and putting it over a description (spec control-plane 7.5, decision 9)
 *
 * What a PATCH does not name stays. Labels are merged one by one; a label of null goes. The objects health, http_pool and resilience are merged member by member.
 * `"api_key":""` takes the key away (null counts as absent here, as in SMG; PUT clears with null). Whatever else a body says is ignored.
 */
#include "worker/worker_parts.h"

struct raw_patch {
    struct str api_key;
    struct json labels;
    uint32_t priority;
    float cost;
    struct raw_health health;
    struct raw_pool http_pool;
    struct raw_resilience resilience;
    bool given[7];
};

enum { PATCH_PRIORITY, PATCH_COST, PATCH_LABELS, PATCH_API_KEY, PATCH_HEALTH, PATCH_POOL, PATCH_RESILIENCE };

#define PART(i, member, shape)                                                                                                  \
    {                                                                                                                           \
        .name = #member, .type = SHAPE_OBJECT, .sub = shape, .flags = SHAPE_NULLABLE, .at = offsetof(struct raw_patch, member), \
        .at_given = offsetof(struct raw_patch, given) + (i)                                                                     \
    }

static int check_patch(void *object, struct json value, struct err *err);

static const struct json_shape_field PATCH_FIELDS[] = {
    OPTIONAL(struct raw_patch, PATCH_PRIORITY, priority, SHAPE_U32),
    OPTIONAL(struct raw_patch, PATCH_COST, cost, SHAPE_F32),
    OPTIONAL(struct raw_patch, PATCH_LABELS, labels, SHAPE_JSON),
    OPTIONAL(struct raw_patch, PATCH_API_KEY, api_key, SHAPE_STR),
    PART(PATCH_HEALTH, health, &WORKER_HEALTH_SHAPE),
    PART(PATCH_POOL, http_pool, &WORKER_POOL_SHAPE),
    PART(PATCH_RESILIENCE, resilience, &WORKER_RESILIENCE_SHAPE),
};
const struct json_shape WORKER_PATCH_SHAPE = {
    .name = "WorkerUpdateRequest",
    .size = sizeof(struct raw_patch),
    .check = check_patch,
    .fields = PATCH_FIELDS,
    .fields_n = ARRAY_LEN(PATCH_FIELDS),
};

/* The shape of a map whose values may be null is nobody else's: checked here, in serde's words. */
static int check_patch(void *object, struct json value, struct err *err)
{
    struct raw_patch *p = object;
    struct json_iter it;

    (void)value;
    if (!p->given[PATCH_LABELS])
        return 0;
    if (!json_is(p->labels, JSON_OBJECT))
        return err_set(err, ERR_INVALID, "labels: invalid type: %.*s, expected a map", STR_FMT(str_first(json_raw(p->labels), 64)));
    it = json_iter(p->labels);
    while (json_next(&it))
        if (!json_is(it.value, JSON_STRING) && !json_is_null(it.value))
            return err_set(err, ERR_INVALID, "labels: invalid type: %.*s, expected a string",
                           STR_FMT(str_first(json_raw(it.value), 64)));
    return 0;
}

static void read_labels(struct json labels, struct arena *arena, struct worker_patch *p)
{
    struct json_iter it = json_iter(labels);
    size_t n = 0;

    while (json_next(&it))
        n++;
    p->labels = arena_array(arena, n, sizeof(*p->labels));
    if (!p->labels)
        return;
    it = json_iter(labels);
    while (json_next(&it)) {
        struct str value = json_is_null(it.value) ? STR_NONE : arena_str(arena, json_str(it.value, arena));

        p->labels[p->labels_n++] = (struct worker_label){ arena_str(arena, json_str(it.key, arena)), value };
    }
}

int worker_patch_read(const struct json_doc *doc, struct arena *arena, struct worker_patch *ret, struct err *err)
{
    struct raw_patch raw = { 0 };
    struct worker_patch p = { 0 };
    int r = json_shape_read(json_root(doc), &WORKER_PATCH_SHAPE, arena, &raw, err);

    if (r < 0)
        return r;
    p.has_priority = raw.given[PATCH_PRIORITY];
    p.priority = raw.priority;
    p.has_cost = raw.given[PATCH_COST];
    p.cost = raw.cost;
    p.has_api_key = raw.given[PATCH_API_KEY];
    p.api_key = arena_str(arena, raw.api_key);
    if (raw.given[PATCH_LABELS])
        read_labels(raw.labels, arena, &p);
    p.health_json = worker_part_write(&WORKER_HEALTH_SHAPE, &raw.health, arena);
    p.http_pool_json = worker_part_write(&WORKER_POOL_SHAPE, &raw.http_pool, arena);
    p.resilience_json = worker_part_write(&WORKER_RESILIENCE_SHAPE, &raw.resilience, arena);
    p.health_update = worker_health_given(&raw.health);
    p.resilience = worker_resilience_given(&raw.resilience);
    p.pool = worker_pool_given(&raw.http_pool);
    if (arena->failed)
        return ERR_NOMEM;
    *ret = p;
    return 0;
}

int worker_patch_check(const struct worker_patch *p, struct err *err)
{
    if (p->labels_n > SPEC_ITEMS_MAX)
        return err_set(err, ERR_INVALID, "Invalid value for field 'labels': more than %d of them", SPEC_ITEMS_MAX);
    return 0;
}

/* ---- over a description ---- */

static int64_t newer(int64_t patch, int64_t old)
{
    return patch >= 0 ? patch : old;
}

static void merge_health(const struct worker_health_update *p, struct worker_health_update *u)
{
    *u = (struct worker_health_update){
        .timeout_s = newer(p->timeout_s, u->timeout_s),
        .interval_s = newer(p->interval_s, u->interval_s),
        .success_threshold = newer(p->success_threshold, u->success_threshold),
        .failure_threshold = newer(p->failure_threshold, u->failure_threshold),
        .drain_settle_s = newer(p->drain_settle_s, u->drain_settle_s),
        .disabled = p->disabled >= 0 ? p->disabled : u->disabled,
    };
}

static struct worker_label *find_label(struct worker_label *labels, size_t n, struct str key)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(labels[i].key, key))
            return &labels[i];
    return NULL;
}

static void merge_labels(const struct worker_patch *p, struct arena *arena, struct worker_spec *s)
{
    struct worker_label *merged = arena_array(arena, s->labels_n + p->labels_n, sizeof(*merged));
    size_t n = s->labels_n;

    if (!merged)
        return;
    for (size_t i = 0; i < n; i++)
        merged[i] = s->labels[i];
    for (size_t i = 0; i < p->labels_n; i++) {
        struct worker_label *old = find_label(merged, n, p->labels[i].key);

        if (old && p->labels[i].value.p)
            old->value = p->labels[i].value;
        else if (old)
            *old = merged[--n]; /* the order of labels means nothing */
        else if (p->labels[i].value.p)
            merged[n++] = p->labels[i];
    }
    s->labels = merged;
    s->labels_n = n;
}

int worker_patch_apply(const struct worker_patch *p, const struct worker_spec *spec, struct arena *arena, struct worker_spec *ret)
{
    struct worker_spec s = *spec;

    if (p->has_priority)
        s.priority = p->priority;
    if (p->has_cost)
        s.cost = p->cost;
    if (p->has_api_key)
        s.api_key = p->api_key;
    if (p->labels_n)
        merge_labels(p, arena, &s);
    merge_health(&p->health_update, &s.health_update);
    s.resilience = worker_resilience_over(&p->resilience, &s.resilience);
    s.pool = worker_pool_over(&p->pool, &s.pool);
    s.health_json = worker_part_merge(&WORKER_HEALTH_SHAPE, s.health_json, p->health_json, arena);
    s.http_pool_json = worker_part_merge(&WORKER_POOL_SHAPE, s.http_pool_json, p->http_pool_json, arena);
    s.resilience_json = worker_part_merge(&WORKER_RESILIENCE_SHAPE, s.resilience_json, p->resilience_json, arena);
    if (arena->failed)
        return ERR_NOMEM;
    *ret = s;
    return 0;
}
