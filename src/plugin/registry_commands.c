/* plugin/registry_commands.c -- commands of the API: registrations and removals, one change of the table at a time
 *
 *   from      to         by             when
 *   (posted)  LOADING    next_module    the next descriptor passed the checks that need no file
 *   LOADING   LOADING    on_read        the bytes are new: they are compiled
 *   LOADING   WAITING    on_compiled    it is a component and fits its attach points
 *   WAITING   COMMITTING run_waiting    nobody else changes the table; its record is written, if there is a journal
 *   COMMITTING LOADING   on_committed   published; the next descriptor
 *   any       (answered) next_module    there is no further descriptor
 *
 *   A failure is the module's result, and the next one begins. A removal is WAITING at once. LOADING = in registry.loading, WAITING = in registry.waiting.
 */
#include "plugin/registry_internal.h"

#include <assert.h>
#include <stdlib.h>

#include "base/log.h"

static void next_module(struct plugin_command *c);
static void on_read(struct pool_job *job);
static void on_compiled(struct pool_job *job);
static void run_waiting(struct plugin_registry *r);
static void on_committed(struct journal_batch *batch);

/* ---- answers ---- */

static void on_answer(struct loop *loop, struct message *m)
{
    struct plugin_command *c = CONTAINER_OF(m, struct plugin_command, message);

    (void)loop;
    c->answered(c);
}

static void answer(struct plugin_command *c, int result)
{
    c->result = c->arena.failed ? ERR_NOMEM : result;
    c->registry->commands_n--;
    c->message.run = on_answer;
    loop_post(c->asker, &c->message);
}

/* What was loaded for the descriptor at hand is let go; the next one may begin. */
static void clean(struct plugin_command *c)
{
    plugin_file_fini(&c->file);
    plugin_module_unref(STEAL(c->module));
}

static void fail(struct plugin_command *c)
{
    struct plugin_result *result = &c->results[c->at];

    result->ok = false;
    result->text = plugin_failure_text(&c->arena, c->step, &c->err);
    log_warn(PLUGIN_TARGET, "plugin refused", LF_STR("name", c->list.v[c->at].name), LF_CSTR("step", c->step),
             LF_CSTR("error", c->err.message));
    clean(c);
    c->at++;
}

/* ---- loading ---- */

static void read_file(struct pool_job *job)
{
    struct plugin_command *c = CONTAINER_OF(job, struct plugin_command, job);

    c->status = plugin_file_read(c->list.v[c->at].path, PLUGIN_OF_API, &c->file, &c->step, &c->err);
}

static void compile(struct pool_job *job)
{
    struct plugin_command *c = CONTAINER_OF(job, struct plugin_command, job);

    c->status = plugin_load(c->registry, &c->list.v[c->at], &c->file, &c->module, &c->err);
    plugin_file_fini(&c->file);
}

static bool submit(struct plugin_command *c, void (*work)(struct pool_job *job), void (*done)(struct pool_job *job))
{
    struct plugin_registry *r = c->registry;
    int status;

    c->job.work = work;
    c->job.done = done;
    status = pool_submit(r->pool, r->conf.control, &c->job);
    if (status == 0) { /* a thread has it already */
        list_append(&r->loading, &c->link);
        return true;
    }
    (void)err_set(&c->err, status, "Failed to submit job: Job queue full");
    fail(c);
    return false;
}

/* Ends by handing C to the pool, or with the answer. */
static void next_module(struct plugin_command *c)
{
    while (c->at < c->list.n) {
        c->err = (struct err){ 0 };
        c->step = "validate_descriptor";
        if (plugin_descriptor_check(&c->list.v[c->at], &c->err) < 0)
            fail(c);
        else if (submit(c, read_file, on_read))
            return;
    }
    answer(c, 0);
}

static int refuse_duplicate(struct plugin_command *c, const char *sha256)
{
    if (!plugin_table_by_hash(c->registry->now, sha256))
        return 0;
    c->step = "check_duplicate";
    return err_set(&c->err, ERR_EXISTS, "Duplicate SHA256 hash detected: module with same sha256 already exists: %s", sha256);
}

static void on_read(struct pool_job *job)
{
    struct plugin_command *c = CONTAINER_OF(job, struct plugin_command, job);

    if (c->registry->stopped)
        return;
    list_remove(&c->link);
    if (c->status == 0)
        c->status = refuse_duplicate(c, c->file.sha256);
    if (c->status == 0) {
        c->step = "validate_wasm_component";
        if (submit(c, compile, on_compiled))
            return;
    } else {
        fail(c);
    }
    next_module(c);
}

static void on_compiled(struct pool_job *job)
{
    struct plugin_command *c = CONTAINER_OF(job, struct plugin_command, job);

    if (c->registry->stopped)
        return;
    list_remove(&c->link);
    if (c->status < 0) {
        fail(c);
        next_module(c);
        return;
    }
    list_append(&c->registry->waiting, &c->link);
    run_waiting(c->registry);
}

/* ---- the table, one change at a time ---- */

static void write_down(struct plugin_command *c)
{
    _cleanup_(buf_fini) struct buf value = { 0 };
    struct json_writer w;

    journal_batch_init(&c->batch);
    if (c->kind == PLUGIN_REMOVE) {
        journal_delete(&c->batch, KIND_PLUGIN, str_of(c->id));
        return;
    }
    json_begin(&w, &value);
    json_object(&w);
    json_put_array(&w, "modules");
    json_object(&w);
    plugin_write_descriptor(&w, &c->module->d);
    json_end(&w);
    json_end(&w);
    json_put_str(&w, "sha256", str_of(c->module->sha256));
    json_put_u64(&w, "created_us", c->module->created_us);
    json_end(&w);
    c->batch.records.failed |= value.failed;
    journal_put(&c->batch, KIND_PLUGIN, str_of(c->module->id), buf_str(&value));
}

/* 0: registry.next is the table as it will be. */
static int plan(struct plugin_registry *r, struct plugin_command *c)
{
    struct plugin_module *gone = NULL;
    int status;

    c->step = "register_module";
    if (c->kind == PLUGIN_REMOVE) {
        gone = plugin_table_by_id(r->now, c->id);
        if (!gone)
            return ERR_NOT_FOUND;
        c->module = plugin_module_ref(gone);
    } else {
        status = refuse_duplicate(c, c->module->sha256);
        if (status < 0)
            return status;
        if (r->now->n >= PLUGIN_MODULES_MAX)
            return err_set(&c->err, ERR_LIMIT, "Failed to register module: there are %d already; remove some", PLUGIN_MODULES_MAX);
        plugin_module_born(c->module);
    }
    r->next = plugin_table_next(r->now, gone ? NULL : c->module, gone);
    return r->next ? 0 : err_set(&c->err, ERR_NOMEM, "Failed to register module: %s", err_text(ERR_NOMEM));
}

/* The change is in force; C goes on. */
static void apply(struct plugin_registry *r, struct plugin_command *c)
{
    struct plugin_result *result = c->results ? &c->results[c->at] : NULL;

    plugin_registry_publish(r, STEAL(r->next));
    log_info(PLUGIN_TARGET, c->kind == PLUGIN_ADD ? "plugin registered" : "plugin removed", LF_STR("name", c->module->d.name),
             LF_CSTR("id", c->module->id), LF_CSTR("sha256", c->module->sha256), LF_UINT("plugins", r->now->n));
    if (c->kind == PLUGIN_REMOVE) {
        answer(c, 0);
        return;
    }
    result->ok = true;
    memcpy(result->id, c->module->id, sizeof result->id);
    clean(c);
    c->at++;
    next_module(c);
}

static void give_up(struct plugin_registry *r, struct plugin_command *c, int status)
{
    plugin_table_unref(STEAL(r->next));
    if (c->kind == PLUGIN_REMOVE) {
        answer(c, status);
        return;
    }
    fail(c);
    next_module(c);
}

static void give_up_unstored(struct plugin_registry *r, struct plugin_command *c)
{
    log_error(PLUGIN_TARGET, "a change of the plugins could not be saved and was not made", LF_CSTR("error", c->batch.err.message));
    (void)err_set(
        &c->err, ERR_STORE,
        "Failed to register module: the change could not be written to the state directory and was not made; try again later");
    journal_batch_fini(&c->batch);
    give_up(r, c, ERR_STORE);
}

static bool is_to_be_stored(const struct plugin_registry *r, const struct plugin_command *c)
{
    return r->conf.journal && (c->kind == PLUGIN_ADD || c->module->stored);
}

static void run_one(struct plugin_registry *r, struct plugin_command *c)
{
    int status = plan(r, c);

    if (status < 0) {
        give_up(r, c, status);
        return;
    }
    if (!is_to_be_stored(r, c)) {
        apply(r, c);
        return;
    }
    write_down(c);
    if (journal_commit(r->conf.journal, &c->batch, on_committed) < 0)
        give_up_unstored(r, c);
    else
        r->committing = c;
}

static void run_waiting(struct plugin_registry *r)
{
    struct plugin_command *c;

    while (!r->committing && !r->stopped && (c = list_first(&r->waiting, struct plugin_command, link)) != NULL) {
        list_remove(&c->link);
        run_one(r, c);
    }
}

static void on_committed(struct journal_batch *batch)
{
    struct plugin_command *c = CONTAINER_OF(batch, struct plugin_command, batch);
    struct plugin_registry *r = c->registry;

    r->committing = NULL;
    if (batch->status < 0) {
        give_up_unstored(r, c);
    } else {
        journal_batch_fini(batch);
        c->module->stored = c->kind == PLUGIN_ADD;
        apply(r, c);
    }
    run_waiting(r);
}

/* ---- in ---- */

static void on_command(struct loop *loop, struct message *m)
{
    struct plugin_command *c = CONTAINER_OF(m, struct plugin_command, message);
    struct plugin_registry *r = c->registry;

    (void)loop;
    if (r->stopped) { /* the process ends: nobody waits any more */
        plugin_command_free(c);
        return;
    }
    if (r->commands_n++ >= PLUGIN_COMMANDS_MAX) {
        answer(c, ERR_BUSY);
        return;
    }
    if (c->kind == PLUGIN_ADD) {
        c->results = arena_array(&c->arena, c->list.n + 1, sizeof(*c->results));
        if (c->results)
            next_module(c);
        else
            answer(c, ERR_NOMEM);
        return;
    }
    list_append(&r->waiting, &c->link);
    run_waiting(r);
}

struct plugin_command *plugin_command_new(struct plugin_registry *r, struct loop *asker, enum plugin_command_kind kind, size_t size)
{
    struct plugin_command *c = calloc(1, size);

    assert(size >= sizeof(*c));
    if (!c)
        return NULL;
    c->registry = r;
    c->asker = asker;
    c->kind = kind;
    list_init(&c->link);
    arena_init(&c->arena, /* cache= */ NULL, /* max_bytes= */ 0);
    return c;
}

void plugin_command_post(struct plugin_command *c)
{
    c->message.run = on_command;
    loop_post(c->registry->conf.control, &c->message);
}

void plugin_command_free(struct plugin_command *c)
{
    if (!c)
        return;
    clean(c);
    arena_fini(&c->arena);
    free(c);
}

/* ---- life ---- */

void plugin_commands_init(struct plugin_registry *r)
{
    list_init(&r->loading);
    list_init(&r->waiting);
}

static void drop_all(struct list *l)
{
    struct plugin_command *c;

    while ((c = list_first(l, struct plugin_command, link)) != NULL) {
        list_remove(&c->link);
        plugin_command_free(c);
    }
}

void plugin_commands_stop(struct plugin_registry *r)
{
    drop_all(&r->waiting);
}

/* The pool has ended: nobody works on what was loading. */
void plugin_commands_free(struct plugin_registry *r)
{
    drop_all(&r->waiting);
    drop_all(&r->loading);
    plugin_table_unref(STEAL(r->next));
    if (r->committing) {
        journal_batch_fini(&r->committing->batch);
        plugin_command_free(STEAL(r->committing));
    }
}
