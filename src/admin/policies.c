/* admin/policies.c -- GET /policies; PATCH /policies; PATCH and DELETE /policies/{model}
 *
 *   handler --struct policy_command--> control thread: change() --> the handler's loop: on_answered(): reply, if the client is still there
 *
 * A PATCH is merged on the control thread, so that two of them at a time do not undo each other: what it does not name stays as it is for the model, or as the default has
 * it if the model had no policy of its own. A change lives as long as the process; what is to survive a restart belongs into flags or --config.
 */
#include "admin/policies.h"

#include <stddef.h>
#include <stdlib.h>

#include "admin/body.h"
#include "http/error.h"

/* ---- parameters: the names of SMG's configuration (spec data-plane 6.1), and who reads them ---- */

#define PARAMETERS(X)                                                                             \
    X("cache_threshold", cache_threshold, SHAPE_F64, "cache_aware")                               \
    X("balance_abs_threshold", balance_abs_threshold, SHAPE_U64, "cache_aware bucket")            \
    X("balance_rel_threshold", balance_rel_threshold, SHAPE_F64, "cache_aware bucket")            \
    X("balance_token_usage_threshold", balance_token_usage_threshold, SHAPE_F64, "cache_aware")   \
    X("overload_token_usage_threshold", overload_token_usage_threshold, SHAPE_F64, "cache_aware") \
    X("eviction_interval_secs", eviction_interval_s, SHAPE_U64, "cache_aware manual")             \
    X("max_tree_size", max_tree_size, SHAPE_U64, "cache_aware")                                   \
    X("block_size", block_size, SHAPE_U64, "cache_aware")                                         \
    X("kv_pressure_weight", kv_pressure_weight, SHAPE_F64, "least_load")                          \
    X("default_throughput", default_throughput, SHAPE_F64, "least_load")                          \
    X("mean_prefill_tokens", mean_prefill_tokens, SHAPE_U32, "least_load")                        \
    X("prefix_token_count", prefix_token_count, SHAPE_U64, "prefix_hash")                         \
    X("load_factor", load_factor, SHAPE_F64, "prefix_hash")                                       \
    X("max_idle_secs", max_idle_s, SHAPE_U64, "manual")                                           \
    X("assignment_mode", assignment, SHAPE_ENUM, "manual")                                        \
    X("bucket_adjust_interval_secs", bucket_adjust_interval_s, SHAPE_U64, "bucket")

struct policy_patch {
    struct str policy; /* empty: the kind stays */
    struct policy_conf conf;
    struct {
#define GIVEN(text, member, type, used_by) bool member;
        PARAMETERS(GIVEN)
#undef GIVEN
    } given;
};

/* In the order of enum policy_assignment. */
static const char *const ASSIGNMENTS[] = { "random", "min_load", "min_group", NULL };

static const struct json_shape_field FIELDS[] = { { .name = "policy",
                                                    .alias = "type",
                                                    .type = SHAPE_STR,
                                                    .at = offsetof(struct policy_patch, policy),
                                                    .at_given = SHAPE_NO_GIVEN },
#define FIELD(n, member, t, used_by)                           \
    { .name = n,                                               \
      .type = t,                                               \
      .at = offsetof(struct policy_patch, conf.member),        \
      .at_given = offsetof(struct policy_patch, given.member), \
      .names = (t) == SHAPE_ENUM ? ASSIGNMENTS : NULL },
                                                  PARAMETERS(FIELD)
#undef FIELD
};
const struct json_shape POLICY_PATCH_SHAPE = {
    .name = "PolicyPatch", .size = sizeof(struct policy_patch), .fields = FIELDS, .fields_n = ARRAY_LEN(FIELDS)
};

static void apply(const struct policy_patch *patch, struct policy_conf *conf)
{
#define APPLY(text, m, type, used_by) \
    if (patch->given.m)               \
        conf->m = patch->conf.m;
    PARAMETERS(APPLY)
#undef APPLY
}

static void write_value(struct json_writer *w, enum json_shape_type type, const void *value)
{
    switch (type) {
    case SHAPE_F64:
        json_value_f64(w, *(const double *)value);
        break;
    case SHAPE_U32:
        json_value_u64(w, *(const uint32_t *)value);
        break;
    case SHAPE_ENUM:
        json_value_str(w, str_of(ASSIGNMENTS[*(const enum policy_assignment *)value]));
        break;
    default:
        json_value_u64(w, *(const uint64_t *)value);
    }
}

/* Is NAME one of the words of LIST? */
static bool is_word_of(struct str name, const char *list)
{
    struct str rest = str_of(list), word;

    while (rest.n) {
        if (!str_split(rest, ' ', &word, &rest))
            rest = STR_NONE;
        if (str_eq(word, name))
            return true;
    }
    return false;
}

/* "policy":NAME,"parameters":{what this policy reads} */
static void write_policy(struct json_writer *w, const struct policy *p)
{
    json_put_str(w, "policy", str_of(p->ops->name));
    json_put_object(w, "parameters");
#define WRITE(text, member, type, used_by)           \
    if (is_word_of(str_of(p->ops->name), used_by)) { \
        json_key(w, STR(text));                      \
        write_value(w, type, &p->conf.member);       \
    }
    PARAMETERS(WRITE)
#undef WRITE
    json_end(w);
}

/* ---- GET /policies ---- */

struct listing {
    struct json_writer w;
    bool models; /* inside "models":[ */
};

static void write_row(struct str model, struct policy *p, bool by_operator, void *arg)
{
    struct listing *l = arg;

    if (model.n == 0) {
        json_put_object(&l->w, "default");
        write_policy(&l->w, p);
        json_end(&l->w);
        json_put_array(&l->w, "models");
        return;
    }
    json_object(&l->w);
    json_put_str(&l->w, "model", model);
    json_put_str(&l->w, "set_by", by_operator ? STR("operator") : STR("worker label"));
    write_policy(&l->w, p);
    json_end(&l->w);
}

static uint64_t count_of(const _Atomic uint64_t *c)
{
    return atomic_load_explicit(c, memory_order_relaxed);
}

static void write_leg(struct json_writer *w, struct str key, const struct policy *p)
{
    json_key(w, key);
    if (!p) {
        json_value_null(w);
        return;
    }
    json_object(w);
    write_policy(w, p);
    json_end(w);
}

static double share(uint64_t part, uint64_t whole)
{
    return whole ? (double)part / (double)whole : 0;
}

static void write_shadow(struct json_writer *w, const struct policy *p, const struct shadow_counts *c, const struct worker_table *t)
{
    uint64_t decisions = count_of(&c->decisions);

    json_key(w, STR("shadow"));
    if (!p) {
        json_value_null(w);
        return;
    }
    json_object(w);
    write_policy(w, p);
    json_put_u64(w, "decisions", decisions);
    json_put_u64(w, "agreed", count_of(&c->agreed));
    json_put_f64(w, "agreement", share(count_of(&c->agreed), decisions));
    json_put_f64(w, "predicted_hit_share", share(count_of(&c->matched), count_of(&c->prompt)));
    json_put_f64(w, "served_hit_share", share(count_of(&c->served_matched), count_of(&c->prompt)));
    json_put_f64(w, "predicted_load_met", share(count_of(&c->load_met), decisions));
    json_put_f64(w, "served_load_met", share(count_of(&c->served_load_met), decisions));
    json_put_u64(w, "predicted_load_spread", policy_load_spread(t, /* shadow= */ true));
    json_put_u64(w, "served_load_spread", policy_load_spread(t, /* shadow= */ false));
    json_end(w);
}

static void refuse_memory(struct exchange *ex, struct buf *out)
{
    admin_refuse_memory(ex);
    buf_fini(out);
}

void admin_list_policies(struct exchange *ex, void *context)
{
    const struct admin_policies *a = context;
    struct buf out = { 0 };
    struct listing l = { 0 };

    json_begin(&l.w, &out);
    json_object(&l.w);
    policy_set_each(a->set, ex->loop, write_row, &l);
    json_end(&l.w);
    write_leg(&l.w, STR("prefill"), policy_set_leg(a->set, ex->loop, POLICY_PREFILL));
    write_leg(&l.w, STR("decode"), policy_set_leg(a->set, ex->loop, POLICY_DECODE));
    write_shadow(&l.w, policy_set_shadow(a->set, ex->loop), policy_set_shadow_counts(a->set),
                 registry_table(a->registry, ex->loop));
    json_end(&l.w);
    if (out.failed) {
        refuse_memory(ex, &out);
        return;
    }
    exchange_reply(ex, 200, TYPE_JSON, buf_str(&out));
    buf_fini(&out);
}

/* ---- changes ---- */

/* On the heap; the handler makes it, its own loop frees it. */
struct policy_command {
    struct message message;
    const struct admin_policies *admin;
    struct loop *asker;
    struct exchange_ref exchange;
    struct arena arena; /* owned, no cache: what the members point to */
    struct str model;   /* empty: the default */
    bool reset;
    const struct policy_ops *ops; /* NULL: the kind stays */
    struct policy_patch patch;
    int result;
    struct err err;
};

static void command_free(struct policy_command *c)
{
    arena_fini(&c->arena);
    free(c);
}

static void reply_policy(struct exchange *ex, const struct policy_command *c)
{
    struct policy *p = policy_set_find(c->admin->set, ex->loop, c->model, POLICY_REGULAR);
    struct buf out = { 0 };
    struct json_writer w;

    json_begin(&w, &out);
    json_object(&w);
    if (c->model.n)
        json_put_str(&w, "model", c->model);
    write_policy(&w, p);
    json_end(&w);
    if (out.failed) {
        refuse_memory(ex, &out);
        return;
    }
    exchange_reply(ex, 200, TYPE_JSON, buf_str(&out));
    buf_fini(&out);
}

static void on_answered(struct loop *loop, struct message *m)
{
    struct policy_command *c = CONTAINER_OF(m, struct policy_command, message);
    struct exchange *ex = exchange_from_ref(c->exchange);

    (void)loop;
    if (!ex) {
        command_free(c);
        return;
    }
    if (c->result == 0)
        reply_policy(ex, c);
    else if (c->result == ERR_NOT_FOUND)
        http_error(ex, 404, STR("policy_not_found"),
                   arena_printf(&ex->arena, "Model '%.*s' has no policy of its own", STR_FMT(str_first(c->model, 256))));
    else if (c->result == ERR_INVALID)
        http_error(ex, 400, STR("invalid_policy"), arena_str(&ex->arena, str_of(c->err.message)));
    else
        admin_refuse_memory(ex);
    command_free(c);
}

/* A side of prefill/decode pairs whose policy was like the default follows it. */
static int change_sides(struct policy_command *c, struct loop *control, const struct policy_ops *was,
                        const struct policy_conf *was_conf, const struct policy_ops *ops, const struct policy_conf *conf)
{
    int r = 0;

    for (enum policy_leg leg = POLICY_PREFILL; r == 0 && leg <= POLICY_DECODE; leg++) {
        const struct policy *side = policy_set_leg(c->admin->set, control, leg);

        if (side && side->ops == was && memcmp(&side->conf, was_conf, sizeof *was_conf) == 0)
            r = policy_set_leg_change(c->admin->set, leg, ops, conf, &c->err);
    }
    return r;
}

static int change(struct policy_command *c, struct loop *control)
{
    const struct policy *now = policy_set_find(c->admin->set, control, c->model, POLICY_REGULAR);
    const struct policy_ops *was = now->ops, *ops = c->ops ? c->ops : was;
    struct policy_conf was_conf = now->conf, conf = now->conf;
    int r;

    if (c->reset)
        return policy_set_reset(c->admin->set, c->model);
    apply(&c->patch, &conf);
    r = policy_set_change(c->admin->set, c->model, ops, &conf, &c->err);
    return r == 0 && c->model.n == 0 ? change_sides(c, control, was, &was_conf, ops, &conf) : r;
}

static void on_command(struct loop *control, struct message *m)
{
    struct policy_command *c = CONTAINER_OF(m, struct policy_command, message);

    c->result = change(c, control);
    if (c->result == 0 && c->admin->changed)
        c->admin->changed(c->admin->arg);
    c->message.run = on_answered;
    loop_post(c->asker, &c->message);
}

static struct policy_command *command_new(struct exchange *ex, const struct admin_policies *admin, struct str model)
{
    struct policy_command *c = calloc(1, sizeof(*c));

    if (!c) {
        admin_refuse_memory(ex);
        return NULL;
    }
    arena_init(&c->arena, /* cache= */ NULL, /* max_bytes= */ 0);
    c->message.run = on_command;
    c->admin = admin;
    c->asker = ex->loop;
    c->model = arena_str(&c->arena, model);
    return c;
}

static void command_send(struct exchange *ex, struct policy_command *c)
{
    if (c->arena.failed) {
        admin_refuse_memory(ex);
        command_free(c);
        return;
    }
    c->exchange = admin_await(ex);
    loop_post(c->admin->control, &c->message);
}

static void refuse_policy(struct exchange *ex, struct str name)
{
    struct buf names = { 0 };

    for (size_t i = 0; POLICIES[i]; i++)
        buf_printf(&names, "%s%s", i ? ", " : "", POLICIES[i]->name);
    http_error(ex, 400, STR("invalid_policy"),
               arena_printf(&ex->arena, "Invalid value for field 'policy': %.*s - Must be one of: %.*s",
                            STR_FMT(str_first(name, 120)), STR_FMT(buf_str(&names))));
    buf_fini(&names);
}

/* The body into C. False: answered. */
static bool read_patch(struct exchange *ex, struct policy_command *c)
{
    struct json_doc doc;
    struct err err = { 0 };
    int status;

    if (!admin_read_json(ex, &doc))
        return false;
    status = json_shape_read(json_root(&doc), &POLICY_PATCH_SHAPE, &ex->arena, &c->patch, &err);
    if (status < 0) {
        admin_refuse_shape(ex, status, &err);
        return false;
    }
    c->ops = c->patch.policy.n ? policy_find(c->patch.policy) : NULL;
    if (c->patch.policy.n && !c->ops) {
        refuse_policy(ex, c->patch.policy);
        return false;
    }
    c->patch.policy = STR_NONE; /* of the exchange's memory */
    return true;
}

static void patch(struct exchange *ex, const struct admin_policies *admin, struct str model)
{
    struct policy_command *c = command_new(ex, admin, model);

    if (!c)
        return;
    if (read_patch(ex, c))
        command_send(ex, c);
    else
        command_free(c);
}

void admin_patch_default_policy(struct exchange *ex, void *context)
{
    patch(ex, context, STR_NONE);
}

void admin_patch_policy(struct exchange *ex, void *context)
{
    patch(ex, context, ex->params[0]);
}

void admin_reset_policy(struct exchange *ex, void *context)
{
    struct policy_command *c = command_new(ex, context, ex->params[0]);

    if (!c)
        return;
    c->reset = true;
    command_send(ex, c);
}
