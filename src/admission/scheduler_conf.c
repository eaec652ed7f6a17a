/* scheduler_conf.c -- the scheduler's file */
#include "admission/scheduler_conf.h"

#include <math.h>
#include <stdlib.h>

#include "config/yaml.h"
#include "json/json_shape.h"

/* ---- shapes ---- */

struct raw_class {
    uint16_t reserved_floor;
    uint32_t queue_size;
    double reserved_per_slot;
    uint64_t queue_timeout_secs, starvation_threshold_secs;
    bool can_preempt;
};

#define CLASS_FIELD(member, shape, flags_)                                                                                    \
    {                                                                                                                         \
        .name = #member, .type = shape, .flags = flags_, .at = offsetof(struct raw_class, member), .at_given = SHAPE_NO_GIVEN \
    }
static const struct json_shape_field CLASS_FIELDS[] = {
    CLASS_FIELD(reserved_floor, SHAPE_U16, SHAPE_REQUIRED),
    CLASS_FIELD(reserved_per_slot, SHAPE_F64, 0),
    CLASS_FIELD(queue_size, SHAPE_U32, SHAPE_REQUIRED),
    CLASS_FIELD(queue_timeout_secs, SHAPE_U64, SHAPE_REQUIRED),
    CLASS_FIELD(starvation_threshold_secs, SHAPE_U64, SHAPE_REQUIRED),
    CLASS_FIELD(can_preempt, SHAPE_BOOL, SHAPE_REQUIRED),
};

#define SECONDS_MAX 4294967 /* as everywhere: milliseconds fit into 32 bits */

static int check_class(void *object, struct json value, struct err *err)
{
    const struct raw_class *c = object;

    (void)value;
    if (c->queue_timeout_secs == 0 || c->queue_timeout_secs > SECONDS_MAX)
        return err_set(err, ERR_INVALID, "queue_timeout_secs must be within 1..=%d", SECONDS_MAX);
    if (c->starvation_threshold_secs == 0 || c->starvation_threshold_secs > SECONDS_MAX)
        return err_set(err, ERR_INVALID, "starvation_threshold_secs must be within 1..=%d", SECONDS_MAX);
    if (!isfinite(c->reserved_per_slot) || c->reserved_per_slot < 0)
        return err_set(err, ERR_INVALID, "reserved_per_slot must be a finite number, not negative");
    return 0;
}

static const struct json_shape CLASS_SHAPE = { .name = "ClassConfig",
                                               .size = sizeof(struct raw_class),
                                               .check = check_class,
                                               .fields = CLASS_FIELDS,
                                               .fields_n = ARRAY_LEN(CLASS_FIELDS),
                                               .strict = true };

struct raw_classes {
    struct raw_class classes[CLASSES];
    bool given[CLASSES];
};

#define CLASSES_FIELD(text, c)                                                                                       \
    {                                                                                                                \
        .name = text, .type = SHAPE_OBJECT, .flags = SHAPE_NULLABLE, .at = offsetof(struct raw_classes, classes[c]), \
        .at_given = offsetof(struct raw_classes, given[c]), .sub = &CLASS_SHAPE                                      \
    }
static const struct json_shape_field CLASSES_FIELDS[] = {
    CLASSES_FIELD("system", CLASS_SYSTEM),
    CLASSES_FIELD("interactive", CLASS_INTERACTIVE),
    CLASSES_FIELD("default", CLASS_DEFAULT),
    CLASSES_FIELD("bulk", CLASS_BULK),
};
static const struct json_shape CLASSES_SHAPE = { .name = "Classes",
                                                 .size = sizeof(struct raw_classes),
                                                 .fields = CLASSES_FIELDS,
                                                 .fields_n = ARRAY_LEN(CLASSES_FIELDS),
                                                 .strict = true };

struct raw_file {
    struct raw_classes classes;
    struct json tenant_policies;
    bool has_classes, has_policies;
};

static const struct json_shape_field FILE_FIELDS[] = {
    { .name = "classes",
      .type = SHAPE_OBJECT,
      .flags = SHAPE_NULLABLE,
      .at = offsetof(struct raw_file, classes),
      .at_given = offsetof(struct raw_file, has_classes),
      .sub = &CLASSES_SHAPE },
    { .name = "tenant_policies",
      .type = SHAPE_JSON,
      .flags = SHAPE_NULLABLE,
      .at = offsetof(struct raw_file, tenant_policies),
      .at_given = offsetof(struct raw_file, has_policies) },
};
static const struct json_shape FILE_SHAPE = { .name = "SchedulerConfig",
                                              .size = sizeof(struct raw_file),
                                              .fields = FILE_FIELDS,
                                              .fields_n = ARRAY_LEN(FILE_FIELDS),
                                              .strict = true };

static const char *const CLASS_NAMES[] = { "bulk", "default", "interactive", "system", NULL }; /* enum sched_class */
struct raw_policy {
    int max_class;
};
static const struct json_shape_field POLICY_FIELDS[] = { { .name = "max_class",
                                                           .type = SHAPE_ENUM,
                                                           .flags = SHAPE_REQUIRED,
                                                           .at = offsetof(struct raw_policy, max_class),
                                                           .at_given = SHAPE_NO_GIVEN,
                                                           .names = CLASS_NAMES } };
static const struct json_shape POLICY_SHAPE = {
    .name = "TenantPolicy", .size = sizeof(struct raw_policy), .fields = POLICY_FIELDS, .fields_n = 1, .strict = true
};

/* ---- reading ---- */

/* What the map points to: a class as an address. */
static const enum sched_class CLASS_VALUES[CLASSES] = { CLASS_BULK, CLASS_DEFAULT, CLASS_INTERACTIVE, CLASS_SYSTEM };

static int read_tenants(struct scheduler_conf *c, struct json policies, struct err *err)
{
    struct json_iter it = json_iter(policies);
    struct raw_policy p;
    struct str key;
    int r;

    if (!json_is(policies, JSON_OBJECT))
        return err_set(err, ERR_INVALID, "tenant_policies: a map of tenant keys is expected");
    while (json_next(&it)) {
        key = arena_str(&c->arena, json_str(it.key, &c->arena));
        if (!key.p)
            return ERR_NOMEM;
        r = json_shape_read(it.value, &POLICY_SHAPE, &c->arena, &p, err);
        if (r < 0)
            return err_wrap(err, r, "tenant_policies.%.*s", STR_FMT(str_first(key, 120)));
        r = map_put(&c->tenants, key, (void *)&CLASS_VALUES[p.max_class], /* ret_old= */ NULL);
        if (r < 0)
            return r;
    }
    return 0;
}

static int read_file(struct scheduler_conf *c, struct json root, struct err *err)
{
    struct raw_file file;
    int r;

    if (json_is_null(root))
        return 0;
    r = json_shape_read(root, &FILE_SHAPE, &c->arena, &file, err);
    if (r < 0)
        return r;
    for (int i = 0; i < CLASSES; i++) {
        const struct raw_class *raw = &file.classes.classes[i];

        if (file.classes.given[i])
            c->classes[i] = (struct sched_class_conf){ .reserved_floor = raw->reserved_floor,
                                                       .reserved_per_slot = raw->reserved_per_slot,
                                                       .queue_size = raw->queue_size,
                                                       .queue_timeout_s = raw->queue_timeout_secs,
                                                       .starvation_s = raw->starvation_threshold_secs,
                                                       .can_preempt = raw->can_preempt };
    }
    return file.has_policies ? read_tenants(c, file.tenant_policies, err) : 0;
}

int scheduler_conf_read(struct str path, enum sched_class default_max_class, struct scheduler_conf **ret, struct err *err)
{
    struct scheduler_conf *c = calloc(1, sizeof(*c));
    struct json_doc doc;
    struct str name;
    int r = 0;

    if (!c)
        return err_set(err, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
    arena_init(&c->arena, /* cache= */ NULL, /* max_bytes= */ 0);
    memcpy(c->classes, SCHED_DEFAULTS, sizeof c->classes);
    c->default_max_class = default_max_class;
    if (path.n) {
        name = arena_str(&c->arena, path);
        r = name.p ? yaml_read_file(name.p, &c->arena, &doc, err) : ERR_NOMEM;
        if (r == 0) {
            r = read_file(c, json_root(&doc), err);
            if (r < 0 && r != ERR_NOMEM)
                r = err_wrap(err, r, "%.*s", STR_FMT(path));
        }
    }
    if (r < 0) {
        scheduler_conf_free(c);
        return r == ERR_NOMEM ? err_set(err, r, "%s", err_text(r)) : r;
    }
    *ret = c;
    return 0;
}

void scheduler_conf_free(struct scheduler_conf *c)
{
    if (!c)
        return;
    map_fini(&c->tenants);
    arena_fini(&c->arena);
    free(c);
}

enum sched_class scheduler_conf_max_class(const struct scheduler_conf *c, struct str tenant)
{
    const enum sched_class *of = map_get(&c->tenants, tenant);

    return of ? *of : c->default_max_class;
}
