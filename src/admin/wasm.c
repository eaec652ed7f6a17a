/* admin/wasm.c -- /wasm: the list from the loop's snapshot, everything else a command to the control thread
 *
 *   handler --struct wasm_ask--> control thread --answered--> reply, if the client is still there
 */
#include "admin/wasm.h"

#include "admin/body.h"
#include "base/clock.h"
#include "http/error.h"
#include "json/json_write.h"

struct wasm_ask {
    struct plugin_command command; /* first: the registry frees it */
    struct exchange_ref exchange;
};

/* The keys of decision 2's first row; the code says what an operator's script may ask for. */
static void answer_off(struct exchange *ex)
{
    http_error(ex, 500, STR("wasm_disabled"), STR("WASM support is disabled; start the gateway with --enable-wasm"));
}

static struct wasm_ask *ask_new(struct exchange *ex, const struct admin_wasm *a, enum plugin_command_kind kind,
                                void (*answered)(struct plugin_command *c))
{
    struct plugin_command *c = plugin_command_new(a->registry, ex->loop, kind, sizeof(struct wasm_ask));

    if (!c) {
        admin_refuse_memory(ex);
        return NULL;
    }
    c->answered = answered;
    return CONTAINER_OF(c, struct wasm_ask, command);
}

static void ask_send(struct exchange *ex, struct wasm_ask *a)
{
    if (a->command.arena.failed) {
        plugin_command_free(&a->command);
        admin_refuse_memory(ex);
        return;
    }
    a->exchange = admin_await(ex);
    plugin_command_post(&a->command);
}

static void answer_busy(struct exchange *ex)
{
    http_error_retry_after(ex, 1);
    http_error(ex, 500, STR("job_queue_full"), STR("Failed to submit job: Job queue full: too many changes wait; try again later"));
}

static void write_points(struct json_writer *w, const struct plugin_descriptor *d)
{
    json_put_array(w, "attach_points");
    for (size_t i = 0; i < d->attach_n; i++) {
        json_object(w);
        json_put_str(w, "Middleware", str_of(plugin_point_name((enum plugin_point)d->attach[i])));
        json_end(w);
    }
    json_end(w);
}

/* ---- POST /wasm ---- */

/* The members of the request that SMG knows, in its order, and what became of the module. */
static void write_added(struct json_writer *w, const struct plugin_descriptor *d, const struct plugin_result *result)
{
    json_object(w);
    json_put_str(w, "name", d->name);
    json_put_str(w, "file_path", d->path);
    json_put_str(w, "module_type", STR("Middleware"));
    write_points(w, d);
    json_put_object(w, "add_result");
    if (result->ok)
        json_put_str(w, "Success", str_of(result->id));
    else
        json_put_str(w, "Error", result->text);
    json_end(w);
    json_end(w);
}

static void reply_added(struct exchange *ex, const struct plugin_command *c)
{
    struct buf out = { 0 };
    struct json_writer w;
    bool all = true;

    if (c->result == ERR_BUSY) {
        answer_busy(ex);
        return;
    }
    if (c->result < 0) {
        admin_refuse_memory(ex);
        return;
    }
    json_begin(&w, &out);
    json_object(&w);
    json_put_array(&w, "modules");
    for (size_t i = 0; i < c->list.n; i++) {
        write_added(&w, &c->list.v[i], &c->results[i]);
        all &= c->results[i].ok;
        if (c->results[i].ok && !ex->facts.resource.n)
            ex->facts.resource = arena_str(&ex->arena, str_of(c->results[i].id)); /* for the audit: the path does not say it */
    }
    json_end(&w);
    json_end(&w);
    admin_reply_json(ex, all ? 200 : 400, &out);
}

static void on_added(struct plugin_command *c)
{
    struct exchange *ex = exchange_from_ref(CONTAINER_OF(c, struct wasm_ask, command)->exchange);

    if (ex)
        reply_added(ex, c);
    plugin_command_free(c);
}

/* Into the command's own arena: the exchange may be gone before the work is done. */
static void keep_list(struct plugin_command *c, const struct plugin_list *list)
{
    c->list = (struct plugin_list){ arena_array(&c->arena, list->n + 1, sizeof(*list->v)), list->n };
    for (size_t i = 0; c->list.v && i < list->n; i++) {
        const struct plugin_descriptor *from = &list->v[i];
        struct plugin_descriptor *d = &c->list.v[i];
        int *attach = arena_array(&c->arena, from->attach_n + 1, sizeof(*attach));

        *d = *from;
        d->name = arena_str(&c->arena, from->name);
        d->path = arena_str(&c->arena, from->path);
        if (attach && from->attach_n)
            memcpy(attach, from->attach, from->attach_n * sizeof(*attach));
        d->attach = attach;
    }
}

void admin_add_wasm(struct exchange *ex, void *context)
{
    const struct admin_wasm *w = context;
    struct plugin_list list;
    struct json_doc doc;
    struct wasm_ask *a;
    struct err err = { 0 };
    int status;

    if (!admin_read_json(ex, &doc))
        return;
    status = plugin_list_read(json_root(&doc), &ex->arena, &list, &err);
    if (status < 0) {
        admin_refuse_shape(ex, status == ERR_LIMIT ? ERR_INVALID : status, &err);
        return;
    }
    if (!w->registry) {
        answer_off(ex);
        return;
    }
    a = ask_new(ex, w, PLUGIN_ADD, on_added);
    if (!a)
        return;
    keep_list(&a->command, &list);
    ask_send(ex, a);
}

/* ---- GET /wasm ---- */

static uint64_t get(const _Atomic uint64_t *v)
{
    return atomic_load_explicit(v, memory_order_relaxed);
}

static void put_time(struct json_writer *w, struct str key, uint64_t wall_us)
{
    char text[CLOCK_TEXT_MAX];
    size_t n = clock_rfc3339(text, wall_us, /* fraction= */ 9);

    json_key(w, key);
    json_value_str(w, (struct str){ text, n });
}

static void write_module(struct json_writer *w, const struct admin_wasm *a, const struct plugin_module *m)
{
    json_object(w);
    json_put_str(w, "module_uuid", str_of(m->id));
    json_put_object(w, "module_meta");
    json_put_str(w, "name", m->d.name);
    json_put_str(w, "file_path", m->d.path);
    json_put_str(w, "sha256_hash", str_of(m->sha256));
    json_put_u64(w, "size_bytes", m->size_bytes);
    put_time(w, STR("created_at"), m->created_us);
    put_time(w, STR("last_accessed_at"), get(&m->accessed_us));
    json_put_u64(w, "access_count", get(&m->accesses));
    write_points(w, &m->d);
    /* ours, behind SMG's */
    json_put_str(w, "on_failure", m->d.on_failure == PLUGIN_FAILURE_REJECT ? STR("reject") : STR("allow"));
    json_put_u64(w, "timeout_ms", m->d.timeout_ms ? m->d.timeout_ms : a->timeout_ms);
    json_put_u64(w, "max_memory_pages", m->d.max_memory_pages ? m->d.max_memory_pages : a->max_memory_pages);
    json_put_bool(w, "body", !m->d.without_body);
    json_put_u64(w, "successful_executions", get(&m->counts.done));
    json_put_u64(w, "failed_executions", get(&m->counts.failed));
    json_put_u64(w, "total_execution_time_us", get(&m->counts.total_us));
    json_put_u64(w, "max_execution_time_us", get(&m->counts.max_us));
    if (m->trouble.n)
        json_put_str(w, "error", m->trouble);
    json_end(w);
    json_end(w);
}

static void write_totals(struct json_writer *w, struct plugin_totals *t)
{
    uint64_t done = get(&t->counts.done), failed = get(&t->counts.failed), us = get(&t->counts.total_us);

    json_put_object(w, "metrics");
    json_put_u64(w, "total_executions", done + failed);
    json_put_u64(w, "successful_executions", done);
    json_put_u64(w, "failed_executions", failed);
    json_put_u64(w, "total_execution_time_ms", us / 1000);
    json_put_u64(w, "max_execution_time_ms", get(&t->counts.max_us) / 1000);
    if (done + failed)
        json_put_f64(w, "average_execution_time_ms", (double)us / 1000 / (double)(done + failed));
    json_put_u64(w, "streaming_bypasses", get(&t->bypassed));
    json_put_u64(w, "refused_runs", get(&t->refused));
    json_end(w);
}

void admin_list_wasm(struct exchange *ex, void *context)
{
    const struct admin_wasm *a = context;
    const struct plugin_table *t;
    struct buf out = { 0 };
    struct json_writer w;

    if (!a->registry) {
        answer_off(ex);
        return;
    }
    t = plugin_registry_table(a->registry, ex->loop);
    json_begin(&w, &out);
    json_object(&w);
    json_put_array(&w, "modules");
    for (size_t i = 0; i < t->n; i++)
        write_module(&w, a, t->modules[i]);
    json_end(&w);
    write_totals(&w, plugin_registry_totals(a->registry));
    json_end(&w);
    admin_reply_json(ex, 200, &out);
}

/* ---- DELETE /wasm/{module_uuid} ---- */

static void reply_removed(struct exchange *ex, const struct plugin_command *c)
{
    switch (c->result) {
    case 0:
        exchange_reply(ex, 200, TYPE_TEXT, STR("Module removed successfully"));
        break;
    case ERR_NOT_FOUND:
        http_error(ex, 400, STR("module_not_found"),
                   arena_printf(&ex->arena,
                                "Workflow failed at step find_module_to_remove: Step failed: find_module_to_remove - Module with "
                                "UUID %s not found",
                                c->id));
        break;
    case ERR_BUSY:
        answer_busy(ex);
        break;
    case ERR_STORE:
        http_error_retry_after(ex, 1);
        http_error(ex, 503, STR("state_not_stored"),
                   STR("The change could not be written to the state directory and was not made; try again later"));
        break;
    default:
        admin_refuse_memory(ex);
    }
}

static void on_removed(struct plugin_command *c)
{
    struct exchange *ex = exchange_from_ref(CONTAINER_OF(c, struct wasm_ask, command)->exchange);

    if (ex)
        reply_removed(ex, c);
    plugin_command_free(c);
}

void admin_remove_wasm(struct exchange *ex, void *context)
{
    const struct admin_wasm *w = context;
    struct wasm_ask *a;
    struct uuid id;
    struct err err = { 0 };

    if (uuid_parse(ex->params[0], &id, &err) < 0) {
        http_error(ex, 400, STR("invalid_module_uuid"),
                   arena_printf(&ex->arena, "Invalid module UUID '%.*s' (expected UUID). Error: %s",
                                STR_FMT(str_first(ex->params[0], 120)), err.message));
        return;
    }
    if (!w->registry) {
        answer_off(ex);
        return;
    }
    a = ask_new(ex, w, PLUGIN_REMOVE, on_removed);
    if (!a)
        return;
    uuid_text(id, a->command.id);
    ask_send(ex, a);
}
