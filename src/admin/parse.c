/* admin/parse.c -- POST /parse/function_call and /parse/reasoning
 *
 *   short (INLINE_BYTES of text): read, parsed and answered in this turn of the loop
 *   longer: struct parse_job --pool thread: work--> on_worked on the loop --> reply, if the client is still there
 *
 * The bound keeps a turn under a millisecond with the slowest format. A job owns all that it needs: the client may leave meanwhile. Formats are constants and parsing keeps nothing.
 */
#include "admin/parse.h"

#include <stdlib.h>

#include "admin/body.h"
#include "base/clock.h"
#include "base/metric.h"
#include "http/error.h"
#include "json/json_write.h"
#include "text/reasoning/reasoning.h"
#include "text/toolcall/toolcall.h"
#include "text/toolcall/tools.h"

#define INLINE_BYTES   (16u << 10)
#define TEXT_BYTES_MAX (64u << 20)
#define NAMES_MAX      256 /* of one kind, in a list */
#define NAME_SHOWN_MAX 120 /* bytes of an unknown name that the answer repeats */

/* What is to be done and what comes of it. On the stack for a short text, in a job for a long one. */
struct task {
    const struct toolcall_format *calls; /* one of these two */
    const struct reasoning_format *reasoning;
    struct str text;
    struct str tools;      /* JSON of an array; empty = none */
    struct str model;      /* what ids look like depends on it */
    bool ids;              /* calls are told with `id` and `type` */
    struct random *random; /* the loop's, or the job's own */
    int status;
    struct err err;
    struct buf reply; /* owned: the JSON */
};

struct parse_job {
    struct pool_job work;
    struct list link; // admin_parse.jobs
    struct exchange_ref exchange;
    struct arena arena; /* owned, no cache */
    struct random random;
    struct task task;
};

/* ---- shapes ---- */

struct tool_function {
    struct str name, description;
    struct json parameters;
    bool strict;
};

struct tool {
    struct str type;
    struct tool_function function;
};

struct parse_request {
    struct str text, parser, model;
    struct json_shape_array tools;
    bool include_ids;
};

#define ROW(of, n, t, more, member)                                                                 \
    {                                                                                               \
        .name = n, .type = t, .flags = more, .at = offsetof(of, member), .at_given = SHAPE_NO_GIVEN \
    }

static const struct json_shape_field FUNCTION_FIELDS[] = {
    ROW(struct tool_function, "name", SHAPE_STR, SHAPE_REQUIRED, name),
    ROW(struct tool_function, "description", SHAPE_STR, SHAPE_NULLABLE, description),
    ROW(struct tool_function, "parameters", SHAPE_JSON, 0, parameters),
    ROW(struct tool_function, "strict", SHAPE_BOOL, SHAPE_NULLABLE, strict),
};
static const struct json_shape FUNCTION = {
    .name = "Function", .size = sizeof(struct tool_function), .fields = FUNCTION_FIELDS, .fields_n = ARRAY_LEN(FUNCTION_FIELDS)
};
static const struct json_shape_field TOOL_FIELDS[] = {
    ROW(struct tool, "type", SHAPE_STR, SHAPE_REQUIRED, type),
    { .name = "function",
      .type = SHAPE_OBJECT,
      .sub = &FUNCTION,
      .flags = SHAPE_REQUIRED,
      .at = offsetof(struct tool, function),
      .at_given = SHAPE_NO_GIVEN },
};
static const struct json_shape TOOL = {
    .name = "Tool", .size = sizeof(struct tool), .fields = TOOL_FIELDS, .fields_n = ARRAY_LEN(TOOL_FIELDS)
};
static const struct json_shape_field CALLS_FIELDS[] = {
    ROW(struct parse_request, "text", SHAPE_STR, SHAPE_REQUIRED, text),
    ROW(struct parse_request, "tool_call_parser", SHAPE_STR, SHAPE_REQUIRED, parser),
    { .name = "tools",
      .type = SHAPE_ARRAY,
      .sub = &TOOL,
      .flags = SHAPE_NULLABLE,
      .at = offsetof(struct parse_request, tools),
      .at_given = SHAPE_NO_GIVEN },
    ROW(struct parse_request, "include_ids", SHAPE_BOOL, SHAPE_NULLABLE, include_ids),
    ROW(struct parse_request, "model", SHAPE_STR, SHAPE_NULLABLE, model),
};
const struct json_shape PARSE_CALLS_SHAPE = { .name = "ParseFunctionCallRequest",
                                              .size = sizeof(struct parse_request),
                                              .fields = CALLS_FIELDS,
                                              .fields_n = ARRAY_LEN(CALLS_FIELDS) };
static const struct json_shape_field REASONING_FIELDS[] = {
    ROW(struct parse_request, "text", SHAPE_STR, SHAPE_REQUIRED, text),
    ROW(struct parse_request, "reasoning_parser", SHAPE_STR, SHAPE_REQUIRED, parser),
};
#undef ROW
const struct json_shape PARSE_REASONING_SHAPE = { .name = "SeparateReasoningRequest",
                                                  .size = sizeof(struct parse_request),
                                                  .fields = REASONING_FIELDS,
                                                  .fields_n = ARRAY_LEN(REASONING_FIELDS) };

/* ---- the work: on a loop or on a pool thread ---- */

static void put_id(struct json_writer *w, const struct task *task, struct str name, unsigned index)
{
    _cleanup_(buf_fini) struct buf id = { 0 };
    uint64_t random[2] = { random_u64(task->random), random_u64(task->random) };

    toolcall_id(task->model, task->calls, name, index, /* history= */ 0, clock_wall_us() / 1000, (const uint8_t *)random, &id);
    json_put_str(w, "id", buf_str(&id));
    json_put_str(w, "type", STR("function"));
}

static void put_calls(struct json_writer *w, const struct task *task, const struct toolcall_result *result)
{
    json_object(w);
    json_put_str(w, "remaining_text", result->text);
    json_put_array(w, "tool_calls");
    for (size_t i = 0; i < result->calls_n; i++) {
        json_object(w);
        if (task->ids)
            put_id(w, task, result->calls[i].name, (unsigned)i);
        json_put_object(w, "function");
        json_put_str(w, "name", result->calls[i].name);
        json_put_str(w, "arguments", result->calls[i].arguments);
        json_end(w);
        json_end(w);
    }
    json_end(w);
    json_put_bool(w, "success", true);
    json_end(w);
}

static int parse_calls(struct task *task, struct arena *arena)
{
    struct toolcall_tools tools = { 0 };
    struct toolcall_result result;
    struct json_doc doc;
    struct json_writer w;
    int r = 0;

    if (task->tools.n) {
        r = json_parse(task->tools, arena, &doc, NULL);
        if (r == 0)
            r = toolcall_tools_read(json_root(&doc), arena, &tools);
    }
    if (r == 0)
        r = toolcall_parse(task->calls, &tools, task->text, arena, &result, &task->err);
    if (r < 0)
        return r;
    json_begin(&w, &task->reply);
    put_calls(&w, task, &result);
    return 0;
}

static int separate(struct task *task, struct arena *arena)
{
    struct str text, thoughts;
    struct json_writer w;
    int r = reasoning_parse(task->reasoning, task->text, arena, &text, &thoughts, &task->err);

    if (r < 0)
        return r;
    json_begin(&w, &task->reply);
    json_object(&w);
    json_put_str(&w, "normal_text", text);
    json_put_str(&w, "reasoning_text", thoughts);
    json_put_bool(&w, "success", true);
    json_end(&w);
    return 0;
}

static void work_on(struct task *task, struct arena *arena)
{
    task->status = task->calls ? parse_calls(task, arena) : separate(task, arena);
    if (task->status == 0 && task->reply.failed)
        task->status = ERR_NOMEM;
}

/* ---- the reply ---- */

static const struct metric_family REQUESTS = { .name = "smg_parse_requests_total",
                                               .help = "Texts that /parse/function_call and /parse/reasoning were given",
                                               .type = METRIC_COUNTER,
                                               .labels = { "kind", "parser", "result" } };

static void count(struct loop *loop, const struct task *task)
{
    struct str labels[] = { task->calls ? STR("tool_call") : STR("reasoning"),
                            task->calls ? toolcall_name(task->calls) : reasoning_name(task->reasoning),
                            task->status == 0 ? STR("success") : STR("error") };

    metric_add(metric_cell(loop->metrics, &REQUESTS, labels), 1);
}

static void reply(struct exchange *ex, const struct task *task)
{
    const char *why = task->err.message[0] ? task->err.message : err_text(task->status);

    if (task->status == 0)
        exchange_reply(ex, 200, TYPE_JSON, buf_str(&task->reply));
    else if (task->status == ERR_NOMEM)
        admin_refuse_memory(ex);
    else
        http_error_parse(
            ex, 400, arena_printf(&ex->arena, "Failed to %s: %s", task->calls ? "parse function calls" : "separate reasoning", why),
            /* available= */ NULL, 0);
}

/* ---- long ones ---- */

static void work(struct pool_job *work)
{
    struct parse_job *j = CONTAINER_OF(work, struct parse_job, work);

    work_on(&j->task, &j->arena);
}

static void job_free(struct parse_job *j)
{
    list_remove(&j->link);
    buf_fini(&j->task.reply);
    arena_fini(&j->arena);
    free(j);
}

static void on_worked(struct pool_job *work)
{
    struct parse_job *j = CONTAINER_OF(work, struct parse_job, work);
    struct exchange *ex = exchange_from_ref(j->exchange);

    count(work->loop, &j->task);
    if (ex)
        reply(ex, &j->task);
    job_free(j);
}

/* TASK's texts point into the exchange's memory, which may go: they are copied. */
static struct parse_job *job_new(const struct task *task)
{
    struct parse_job *j = calloc(1, sizeof(*j));

    if (!j)
        return NULL;
    list_init(&j->link);
    arena_init(&j->arena, /* cache= */ NULL, /* max_bytes= */ 0);
    random_init(&j->random, random_u64(task->random));
    j->task = *task;
    j->task.random = &j->random;
    j->task.text = arena_str(&j->arena, task->text);
    j->task.tools = arena_str(&j->arena, task->tools);
    j->task.model = arena_str(&j->arena, task->model);
    if (!j->arena.failed)
        return j;
    job_free(j);
    return NULL;
}

static void work_later(struct exchange *ex, struct admin_parse *p, const struct task *task)
{
    struct parse_job *j = job_new(task);

    if (!j) {
        admin_refuse_memory(ex);
        return;
    }
    j->work.work = work;
    j->work.done = on_worked;
    if (pool_submit(p->pool, ex->loop, &j->work) < 0) {
        job_free(j);
        http_error_retry_after(ex, 1);
        http_error_parse(ex, 503, STR("Too many texts wait to be parsed; try again later"), /* available= */ NULL, 0);
        return;
    }
    list_append(&p->jobs, &j->link);
    j->exchange = admin_await(ex);
}

/* ---- the handlers ---- */

static void refuse_tool_parser(struct exchange *ex, struct str name)
{
    struct str names[NAMES_MAX];
    size_t n;
    const struct toolcall_format *const *formats = toolcall_formats(&n);

    n = MIN(n, (size_t)NAMES_MAX);
    for (size_t i = 0; i < n; i++)
        names[i] = toolcall_name(formats[i]);
    http_error_parse(ex, 400, arena_printf(&ex->arena, "Unknown tool parser: %.*s", STR_FMT(str_first(name, NAME_SHOWN_MAX))),
                     names, n);
}

static void refuse_reasoning_parser(struct exchange *ex, struct str name)
{
    struct str names[NAMES_MAX];
    size_t n;
    const struct reasoning_format *const *formats = reasoning_formats(&n);

    n = MIN(n, (size_t)NAMES_MAX);
    for (size_t i = 0; i < n; i++)
        names[i] = reasoning_name(formats[i]);
    http_error_parse(ex, 400, arena_printf(&ex->arena, "Unknown reasoning parser: %.*s", STR_FMT(str_first(name, NAME_SHOWN_MAX))),
                     names, n);
}

static void serve(struct exchange *ex, struct admin_parse *p, struct task *task)
{
    if (task->text.n > TEXT_BYTES_MAX) {
        http_error_too_large(ex, TEXT_BYTES_MAX);
        return;
    }
    task->random = &ex->loop->random;
    if (task->text.n + task->tools.n > INLINE_BYTES) {
        work_later(ex, p, task);
        return;
    }
    work_on(task, &ex->arena);
    count(ex->loop, task);
    reply(ex, task);
    buf_fini(&task->reply);
}

/* False: the exchange is answered. */
static bool read_request(struct exchange *ex, const struct json_shape *shape, struct json_doc *doc, struct parse_request *ret)
{
    struct err err = { 0 };
    int r;

    if (!admin_read_json(ex, doc))
        return false;
    r = json_shape_read(json_root(doc), shape, &ex->arena, ret, &err);
    if (r < 0)
        admin_refuse_shape(ex, r, &err);
    return r == 0;
}

void admin_parse_function_call(struct exchange *ex, void *context)
{
    struct parse_request r;
    struct json_doc doc;
    struct task task = { 0 };

    if (!read_request(ex, &PARSE_CALLS_SHAPE, &doc, &r))
        return;
    task = (struct task){ .calls = toolcall_find(r.parser), .text = r.text, .model = r.model, .ids = r.include_ids };
    if (r.tools.n)
        task.tools = json_raw(json_get(json_root(&doc), STR("tools")));
    if (task.calls)
        serve(ex, context, &task);
    else
        refuse_tool_parser(ex, r.parser);
}

void admin_parse_reasoning(struct exchange *ex, void *context)
{
    struct parse_request r;
    struct json_doc doc;
    struct task task = { 0 };

    if (!read_request(ex, &PARSE_REASONING_SHAPE, &doc, &r))
        return;
    task = (struct task){ .reasoning = reasoning_find(r.parser), .text = r.text };
    if (task.reasoning)
        serve(ex, context, &task);
    else
        refuse_reasoning_parser(ex, r.parser);
}

/* ---- life ---- */

void admin_parse_init(struct admin_parse *p, struct pool *pool)
{
    *p = (struct admin_parse){ .pool = pool };
    list_init(&p->jobs);
}

void admin_parse_fini(struct admin_parse *p)
{
    struct parse_job *j;

    if (!p->pool)
        return; /* never made */
    LIST_EACH(j, &p->jobs, link)
    job_free(j);
}
