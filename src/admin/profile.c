/* admin/profile.c -- POST /start_profile, /stop_profile: the engines' own profilers (spec control-plane 3.2, 15.3)
 *
 * The body is optional: without a Content-Type there is none, whatever was sent. Providers have no profiler: they are asked only when named by `url`.
 */
#include "admin/body.h"
#include "admin/fan.h"
#include "json/json_shape.h"

#define EACH_MS 630000 /* SMG's: an engine writes its trace before it answers */
#define ALL_MS  1260000

struct options {
    struct str url, output_dir;
    int32_t start_step, num_steps;
    struct json_shape_array activities; /* struct str */
    bool with_stack, record_shapes, profile_by_stage;
    bool given[7]; /* present and not null */
};
enum { URL, OUTPUT_DIR, START_STEP, NUM_STEPS, ACTIVITIES, WITH_STACK, RECORD_SHAPES };

#define OPTIONAL(i, member, shape, ...)                                                                  \
    {                                                                                                    \
        .name = #member, .type = shape, .flags = SHAPE_NULLABLE, .at = offsetof(struct options, member), \
        .at_given = offsetof(struct options, given) + (i), __VA_ARGS__                                   \
    }
static const struct json_shape_field START_FIELDS[] = {
    OPTIONAL(URL, url, SHAPE_STR, ),
    OPTIONAL(OUTPUT_DIR, output_dir, SHAPE_STR, ),
    OPTIONAL(START_STEP, start_step, SHAPE_I32, ),
    OPTIONAL(NUM_STEPS, num_steps, SHAPE_I32, ),
    OPTIONAL(ACTIVITIES, activities, SHAPE_ARRAY, .element = SHAPE_STR),
    OPTIONAL(WITH_STACK, with_stack, SHAPE_BOOL, ),
    OPTIONAL(RECORD_SHAPES, record_shapes, SHAPE_BOOL, ),
    { .name = "profile_by_stage",
      .type = SHAPE_BOOL,
      .at = offsetof(struct options, profile_by_stage),
      .at_given = SHAPE_NO_GIVEN },
};
const struct json_shape ADMIN_START_PROFILE_SHAPE = {
    .name = "StartProfileRequest", .size = sizeof(struct options), .fields = START_FIELDS, .fields_n = ARRAY_LEN(START_FIELDS)
};
const struct json_shape ADMIN_STOP_PROFILE_SHAPE = {
    .name = "StopProfileRequest", .size = sizeof(struct options), .fields = START_FIELDS, .fields_n = 1
};

/* One of the two operations, in the words that the replies use. */
struct operation {
    const char *name, *path, *title, *done;
    const struct json_shape *body;
};
static const struct operation START = { "start_profile", "/start_profile", "Profile start", "started", &ADMIN_START_PROFILE_SHAPE };
static const struct operation STOP = { "stop_profile", "/stop_profile", "Profile stop", "stopped", &ADMIN_STOP_PROFILE_SHAPE };

struct profile {
    struct fan fan;
    const struct operation *operation;
    struct options options;
    struct str body; /* for the workers; arena */
};

static bool wants(const struct worker *w, void *owner)
{
    const struct profile *p = CONTAINER_OF((struct fan *)owner, struct profile, fan);

    return p->options.given[URL] ? str_eq(w->spec.url, p->options.url) : w->spec.runtime != RUNTIME_EXTERNAL;
}

static bool question_for(struct fanout *f, struct fanout_target *t, struct probe_ask *ask)
{
    const struct profile *p = CONTAINER_OF((struct fan *)f->owner, struct profile, fan);

    if (t->worker->spec.mode != WORKER_HTTP)
        t->result = ERR_UNSUPPORTED;
    if (t->worker->spec.mode != WORKER_HTTP || t->asked)
        return false;
    *ask = (struct probe_ask){ .method = HTTP_POST, .path = str_of(p->operation->path), .body = p->body, .total_ms = EACH_MS };
    return true;
}

static void write_message(struct buf *out, const struct profile *p, struct fan_counts c)
{
    if (c.failed)
        buf_printf(out, "%s: %zu succeeded, %zu failed", p->operation->title, c.succeeded, c.failed);
    else if (c.succeeded)
        buf_printf(out, "Successfully %s profiling on all %zu workers", p->operation->done, c.succeeded);
    else if (p->options.given[URL])
        buf_printf(out, "No worker matching url '%.*s'", STR_FMT(str_first(p->options.url, 1024)));
    else
        buf_puts(out, "No workers available for profiling");
}

static void reply(struct fan *fan)
{
    const struct profile *p = CONTAINER_OF(fan, struct profile, fan);
    struct fan_counts c = fan_count(fan->fanout);
    bool nobody = c.succeeded + c.failed == 0;
    struct buf out = { 0 }, message = { 0 };
    struct json_writer w;

    write_message(&message, p, c);
    json_begin(&w, &out);
    json_object(&w);
    json_put_str(&w, "status", nobody ? STR("error") : fan_status(c));
    json_put_str(&w, "message", buf_str(&message));
    json_put_u64(&w, "workers_profiled", c.succeeded);
    json_put_u64(&w, "total_workers", c.succeeded + c.failed);
    if (c.failed)
        fan_write_lists(&w, fan->fanout, p->operation->name, p->operation->path);
    json_end(&w);
    out.failed |= message.failed;
    buf_fini(&message);
    fan_reply(fan->ex, nobody ? 404 : c.failed ? 206 : 200, TYPE_JSON, &out);
}

/* ---- the request ---- */

/* False: answered. */
static bool read_options(struct exchange *ex, struct profile *p)
{
    struct json_doc doc;
    struct err err = { 0 };
    int r;

    if (!http_value(&ex->req.fields, HF_CONTENT_TYPE).p)
        return true;
    if (!admin_read_json(ex, &doc))
        return false;
    r = json_shape_read(json_root(&doc), p->operation->body, &ex->arena, &p->options, &err);
    if (r < 0)
        admin_refuse_shape(ex, r, &err);
    return r == 0;
}

/* The options as the engines read them: SMG's order, absent ones left out. */
static int write_body(struct exchange *ex, struct profile *p)
{
    const struct options *o = &p->options;
    const struct str *activities = o->activities.items;
    struct buf out = { 0 };
    struct json_writer w;

    json_begin(&w, &out);
    json_object(&w);
    if (o->given[OUTPUT_DIR])
        json_put_str(&w, "output_dir", o->output_dir);
    if (o->given[START_STEP])
        json_put_i64(&w, "start_step", o->start_step);
    if (o->given[NUM_STEPS])
        json_put_i64(&w, "num_steps", o->num_steps);
    if (o->given[ACTIVITIES]) {
        json_put_array(&w, "activities");
        for (size_t i = 0; i < o->activities.n; i++)
            json_value_str(&w, activities[i]);
        json_end(&w);
    }
    if (o->given[WITH_STACK])
        json_put_bool(&w, "with_stack", o->with_stack);
    if (o->given[RECORD_SHAPES])
        json_put_bool(&w, "record_shapes", o->record_shapes);
    json_put_bool(&w, "profile_by_stage", o->profile_by_stage);
    json_end(&w);
    p->body = out.failed ? STR_NONE : arena_str(&ex->arena, buf_str(&out));
    buf_fini(&out);
    return p->body.p ? 0 : ERR_NOMEM;
}

static void run(struct exchange *ex, void *context, const struct operation *operation)
{
    struct profile *p = arena_new(&ex->arena, struct profile);
    struct fanout_ask ask = { .kind = FANOUT_ADMIN, .all_ms = ALL_MS, .wants = wants, .question_for = question_for };

    if (!p) {
        admin_refuse_memory(ex);
        return;
    }
    p->operation = operation;
    p->fan.done = reply;
    if (!read_options(ex, p))
        return;
    if (operation == &START && write_body(ex, p) < 0)
        admin_refuse_memory(ex);
    else
        fan_start(ex, context, &p->fan, &ask);
}

void admin_start_profile(struct exchange *ex, void *context)
{
    run(ex, context, &START);
}

void admin_stop_profile(struct exchange *ex, void *context)
{
    run(ex, context, &STOP);
}
