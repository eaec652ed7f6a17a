/* worker/commands.c -- the commands of the API: in line, made durable in batches, answered
 *
 *                                      +-- refused, or nothing to do ---------------------------+
 *                                      |                                                        v
 *   on_command --> waiting (FIFO) --> plan --(no store)--> apply ----------------------------> answers --turn's end--> the asker's loop
 *        |                             |                                                        ^
 *        |                             +--> batch --commit--> the store --on_committed--> apply / abandon
 *        +-- REGISTRY_GET: at once ------------------------------------------------------------+
 *
 * One batch is being written at a time; what comes meanwhile waits, and goes into the next one together (group commit). A batch ends before a command for a URL that
 * is in it: a plan looks at what is known, and must see what was decided before. Entries of a batch are held: nobody forgets them.
 */
#include "worker/registry_internal.h"

#include <assert.h>
#include <stdlib.h>

static void on_committed(void *owner, int status);

static void append(struct registry_command ***tail, struct registry_command *c)
{
    c->next = NULL;
    **tail = c;
    *tail = &c->next;
}

static void on_answer(struct loop *loop, struct message *m)
{
    struct registry_command *c = CONTAINER_OF(m, struct registry_command, message);

    (void)loop;
    c->answered(c);
}

static void answer(struct registry *r, struct registry_command *c, int result)
{
    c->result = result;
    c->message.run = on_answer;
    append(&r->answers_tail, c);
    registry_changed(r);
}

/* ---- in line ---- */

static int get(struct registry *r, struct registry_command *c)
{
    struct entry *e = map_get(&r->by_id, (struct str){ c->id, UUID_TEXT_LEN });
    struct worker_job_view view;
    struct buf out = { 0 };
    struct json_writer w;

    if (!e)
        return ERR_NOT_FOUND;
    json_begin(&w, &out);
    worker_write_json(&w, entry_row(e, c->id), job_view(e, &view));
    c->json = out.failed ? STR_NONE : arena_str(&c->arena, buf_str(&out));
    buf_fini(&out);
    return c->json.p ? 0 : ERR_NOMEM;
}

static int list_jobs(struct registry *r, struct registry_command *c)
{
    struct worker_job_view view;
    struct entry_rows rows;
    struct entry *e;
    size_t n = 0;

    LIST_EACH(e, &r->listed, link)
    n += job_view(e, &view) ? entry_rows(e).n : 0;
    c->jobs = arena_array(&c->arena, n, sizeof(*c->jobs));
    if (!c->jobs)
        return ERR_NOMEM;
    LIST_EACH(e, &r->listed, link)
    {
        if (!job_view(e, &view))
            continue;
        view.url = arena_str(&c->arena, view.url);
        view.message = arena_str(&c->arena, view.message);
        rows = entry_rows(e);
        for (unsigned i = 0; i < rows.n; i++)
            c->jobs[c->jobs_n++] = (struct registry_job){ rows.workers[i]->order, view };
    }
    return c->arena.failed ? ERR_NOMEM : 0;
}

static void on_command(struct loop *loop, struct message *m)
{
    struct registry_command *c = CONTAINER_OF(m, struct registry_command, message);
    struct registry *r = c->registry;

    (void)loop;
    if (r->stopped) { /* the process ends: nobody waits any more */
        registry_command_free(c);
    } else if (c->kind == REGISTRY_GET) {
        answer(r, c, get(r, c));
    } else if (c->kind == REGISTRY_JOBS) {
        answer(r, c, list_jobs(r, c));
    } else if (r->batch && r->waiting_n >= r->conf.jobs_max) { /* without a batch all of them run at the end of this turn */
        answer(r, c, ERR_BUSY);
    } else {
        append(&r->waiting_tail, c);
        r->waiting_n++;
        registry_changed(r);
    }
}

/* The URL that C is about; empty: nobody's. */
static struct str url_of(const struct registry *r, const struct registry_command *c)
{
    const struct entry *e;

    if (c->kind == REGISTRY_ADD)
        return c->spec.url;
    e = map_get(&r->by_id, (struct str){ c->id, UUID_TEXT_LEN });
    return e ? e->url : STR_NONE;
}

static void join_batch(struct registry *r, struct registry_command *c)
{
    struct entry *e = c->plan.entry;

    if (map_put(&r->batch_urls, e->url, c, /* ret_old= */ NULL) < 0) {
        change_abandon(c);
        answer(r, c, ERR_NOMEM);
        return;
    }
    e->held = true;
    r->batch_jobs_n += c->kind == REGISTRY_ADD || c->kind == REGISTRY_REPLACE;
    r->batch_n++;
    append(&r->batch_tail, c);
}

static void run_one(struct registry *r, struct registry_command *c)
{
    int result = change_plan(r, c);

    if (result < 0 || !c->plan.entry)
        answer(r, c, result);
    else if (!r->conf.store)
        answer(r, c, change_apply(r, c));
    else
        join_batch(r, c);
}

static void commit_batch(struct registry *r)
{
    for (struct registry_command *c = r->batch; c; c = c->next)
        c->plan.record.next = c->next ? &c->next->plan.record : NULL;
    r->conf.store->commit(r->conf.store, &r->batch->plan.record, on_committed, r);
}

void commands_run(struct registry *r)
{
    if (r->batch)
        return;
    while (r->waiting && r->batch_n < BATCH_MAX) {
        struct registry_command *c = r->waiting;
        struct str url = url_of(r, c);

        if (url.n && map_get(&r->batch_urls, url))
            break;
        r->waiting = c->next;
        if (!r->waiting)
            r->waiting_tail = &r->waiting;
        r->waiting_n--;
        run_one(r, c);
    }
    if (r->batch)
        commit_batch(r);
}

static struct registry_command *take_batch(struct registry *r)
{
    struct registry_command *batch = STEAL(r->batch);

    r->batch_tail = &r->batch;
    r->batch_n = r->batch_jobs_n = 0;
    map_fini(&r->batch_urls);
    r->batch_urls = (struct map){ 0 };
    return batch;
}

static void free_all(struct registry_command *c)
{
    while (c) {
        struct registry_command *next = c->next;

        registry_command_free(c);
        c = next;
    }
}

static void on_committed(void *owner, int status)
{
    struct registry *r = owner;
    struct registry_command *c = take_batch(r);

    assert(c);
    if (r->stopped) {
        free_all(c);
        return;
    }
    while (c) {
        struct registry_command *next = c->next;

        if (status == 0) {
            answer(r, c, change_apply(r, c));
        } else {
            change_abandon(c);
            answer(r, c, ERR_STORE);
        }
        c = next;
    }
    registry_changed(r);
}

void commands_send(struct registry *r)
{
    struct registry_command *c = STEAL(r->answers);

    r->answers_tail = &r->answers;
    while (c) {
        struct registry_command *next = c->next;

        loop_post(c->asker, &c->message);
        c = next;
    }
}

/* ---- life ---- */

void commands_init(struct registry *r)
{
    r->answers_tail = &r->answers;
    r->waiting_tail = &r->waiting;
    r->batch_tail = &r->batch;
}

void commands_stop(struct registry *r)
{
    free_all(STEAL(r->answers));
    free_all(STEAL(r->waiting));
    r->waiting_n = 0;
}

void commands_fini(struct registry *r)
{
    if (r->batch)
        free_all(take_batch(r));
}

struct registry_command *registry_command_new(struct registry *r, struct loop *asker, enum registry_command_kind kind)
{
    struct registry_command *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    c->registry = r;
    c->asker = asker;
    c->kind = kind;
    arena_init(&c->arena, /* cache= */ NULL, /* max_bytes= */ 0);
    return c;
}

void registry_command_post(struct registry_command *c)
{
    c->message.run = on_command;
    loop_post(c->registry->loop, &c->message);
}

void registry_command_free(struct registry_command *c)
{
    if (!c)
        return;
    change_free_plan(&c->plan);
    arena_fini(&c->arena);
    free(c);
}

void registry_remove_failed(struct entry *e)
{
    struct registry *r = e->registry;
    struct registry_command *c = registry_command_new(r, r->loop, REGISTRY_REMOVE);

    if (!c)
        return; /* the next probe asks again */
    memcpy(c->id, e->id, sizeof c->id);
    c->only_if_failed = true;
    c->answered = registry_command_free;
    registry_command_post(c);
}
