/* catalog/commands.c -- what is asked over the API: in line, made durable, answered
 *
 *   on_command --> waiting (FIFO) --> plan --(no journal)--------------------> apply --> the asker's loop
 *        |                             |  \--refused, or nothing to do --------------->
 *        |                             +--> one batch --journal_commit--> on_committed --> apply / abandon
 *        +-- CATALOG_STATUS: at once ------------------------------------------------->
 *
 * One change is made durable at a time: tokenizers come and go rarely. A record's key is the id, its value {"name":..,"source":..,"chat_template_path":..}.
 */
#include "catalog/catalog_internal.h"

#include <assert.h>
#include <stdlib.h>

#include "base/log.h"
#include "json/json_write.h"

static void run_waiting(struct catalog *c);
static void on_committed(struct journal_batch *batch);

/* ---- answers ---- */

static void on_answer(struct loop *loop, struct message *m)
{
    struct catalog_command *k = CONTAINER_OF(m, struct catalog_command, message);

    (void)loop;
    k->answered(k);
}

static void answer(struct catalog_command *k, int result)
{
    k->result = result;
    if (!k->answered) { /* the catalog's own */
        catalog_command_free(k);
        return;
    }
    k->message.run = on_answer;
    loop_post(k->asker, &k->message);
}

static void set_id(struct catalog_command *k, const char id[UUID_TEXT_LEN + 1])
{
    memcpy(k->id, id, sizeof k->id);
}

/* ---- status ---- */

static int tell(struct catalog *c, struct catalog_command *k)
{
    struct tokenizer_entry *e = tokenizer_table_find_id(catalog_now(c), k->key);
    struct job *j = e ? NULL : catalog_job_by_id(c, k->key);

    if (!e && !j)
        j = catalog_job_failed(c, k->key);
    if (!e && !j)
        return ERR_NOT_FOUND;
    set_id(k, e ? e->id : j->id);
    if (e) {
        k->state = STR("completed");
        k->text = arena_printf(&k->arena, "Tokenizer '%.*s' is loaded and ready", STR_FMT(e->name));
        k->vocab_size = e->vocab_size;
    } else {
        catalog_job_describe(j, &k->arena, &k->state, &k->text);
    }
    return k->text.p ? 0 : ERR_NOMEM;
}

/* ---- plan: is it to be done, and what is to be written down? ---- */

static bool same_text(const char *a, struct str b)
{
    return str_eq(str_of(a), b);
}

static int plan_add(struct catalog *c, struct catalog_command *k)
{
    struct tokenizer_entry *e = map_get(&catalog_now(c)->by_name, k->name);
    struct job *j = catalog_job_by_name(c, k->name);
    char id[UUID_TEXT_LEN + 1];

    if (e || j)
        set_id(k, e ? e->id : j->id);
    if (!e && j) {
        k->loading = true;
        return same_text(j->source, k->source) && same_text(j->chat_template, k->chat_template) ? 0 : ERR_EXISTS;
    }
    if (e)
        return ERR_EXISTS;
    if (c->jobs_n + catalog_now(c)->n >= CATALOG_NAMES_MAX)
        return ERR_BUSY;
    uuid_text(uuid_v7(), id);
    k->job = catalog_job_new(c, id, k->name, k->source, k->chat_template, JOB_OF_API);
    if (!k->job)
        return ERR_NOMEM;
    set_id(k, id);
    return 0;
}

static int plan_remove(struct catalog *c, struct catalog_command *k)
{
    struct tokenizer_entry *e = tokenizer_table_find_id(catalog_now(c), k->key);
    struct job *j = e ? NULL : catalog_job_failed(c, k->key);

    if (!k->answered) {
        set_id(k, k->id);
        return 0; /* the record alone */
    }
    if (!e && !(j && j->stored))
        return ERR_NOT_FOUND;
    if (e)
        k->entry = tokenizer_entry_ref(e);
    set_id(k, e ? e->id : j->id);
    k->name = arena_str(&k->arena, e ? e->name : str_of(j->name));
    return k->name.p ? 0 : ERR_NOMEM;
}

/* The failed jobs of a name that is asked for again make room. */
static void put_failed_of(struct catalog *c, struct str name, struct journal_batch *b)
{
    struct job *j;

    LIST_EACH(j, &c->failed, link)
    if (j->stored && str_eq(str_of(j->name), name))
        journal_delete(b, KIND_TOKENIZER, str_of(j->id));
}

static void write_down(struct catalog *c, struct catalog_command *k)
{
    _cleanup_(buf_fini) struct buf value = { 0 };
    struct json_writer w;

    journal_batch_init(&c->batch);
    if (k->kind == CATALOG_REMOVE) {
        journal_delete(&c->batch, KIND_TOKENIZER, str_of(k->id));
        return;
    }
    json_begin(&w, &value);
    json_object(&w);
    json_put_str(&w, "name", k->name);
    json_put_str(&w, "source", k->source);
    if (k->chat_template.n)
        json_put_str(&w, "chat_template_path", k->chat_template);
    json_end(&w);
    c->batch.records.failed |= value.failed;
    put_failed_of(c, k->name, &c->batch);
    journal_put(&c->batch, KIND_TOKENIZER, str_of(k->id), buf_str(&value));
}

/* ---- apply: cannot be refused, but for want of memory ---- */

static void forget_failed_of(struct catalog *c, struct str name)
{
    struct job *j;

    LIST_EACH(j, &c->failed, link)
    if (j->stored && str_eq(str_of(j->name), name))
        catalog_job_forget(j);
}

static int apply(struct catalog *c, struct catalog_command *k)
{
    struct job *j;

    if (k->kind == CATALOG_ADD) {
        k->job->stored = c->conf.journal != NULL;
        forget_failed_of(c, k->name);
        catalog_job_begin(STEAL(k->job));
        return 0;
    }
    if (!k->answered)
        return 0;
    if (k->entry && catalog_publish(c, /* with= */ NULL, k->entry) < 0)
        return ERR_NOMEM;
    if ((j = catalog_job_failed(c, str_of(k->id))) != NULL)
        catalog_job_forget(j);
    log_info(CATALOG_TARGET, "tokenizer removed", LF_STR("name", k->name), LF_CSTR("id", k->id));
    return 0;
}

/* ---- in line ---- */

static bool changes_nothing(const struct catalog_command *k)
{
    return k->kind == CATALOG_ADD && !k->job; /* it joins */
}

static bool is_to_be_stored(const struct catalog *c, const struct catalog_command *k)
{
    return c->conf.journal && !(k->kind == CATALOG_REMOVE && k->entry && !k->entry->stored);
}

static void run_one(struct catalog *c, struct catalog_command *k)
{
    int r = k->kind == CATALOG_ADD ? plan_add(c, k) : plan_remove(c, k);

    if (r < 0 || changes_nothing(k)) {
        answer(k, r);
        return;
    }
    if (!is_to_be_stored(c, k)) {
        answer(k, apply(c, k));
        return;
    }
    write_down(c, k);
    if (journal_commit(c->conf.journal, &c->batch, on_committed) == 0) {
        c->committing = k;
        return;
    }
    log_error(CATALOG_TARGET, "a change of the tokenizers could not be saved and was not made",
              LF_CSTR("error", c->batch.err.message));
    journal_batch_fini(&c->batch);
    answer(k, ERR_STORE);
}

static void run_waiting(struct catalog *c)
{
    while (c->waiting && !c->committing && !c->stopped) {
        struct catalog_command *k = c->waiting;

        c->waiting = k->next;
        if (!c->waiting)
            c->waiting_tail = &c->waiting;
        c->waiting_n--;
        run_one(c, k);
    }
}

static void on_committed(struct journal_batch *batch)
{
    struct catalog *c = CONTAINER_OF(batch, struct catalog, batch);
    struct catalog_command *k = STEAL(c->committing);
    int status = batch->status;

    if (status < 0)
        log_error(CATALOG_TARGET, "a change of the tokenizers could not be saved and was not made",
                  LF_CSTR("error", batch->err.message));
    journal_batch_fini(batch);
    answer(k, status < 0 ? ERR_STORE : apply(c, k));
    run_waiting(c);
}

static void wait_in_line(struct catalog *c, struct catalog_command *k)
{
    k->next = NULL;
    *c->waiting_tail = k;
    c->waiting_tail = &k->next;
    c->waiting_n++;
    run_waiting(c);
}

static void on_command(struct loop *loop, struct message *m)
{
    struct catalog_command *k = CONTAINER_OF(m, struct catalog_command, message);
    struct catalog *c = k->catalog;

    (void)loop;
    if (c->stopped) /* the process ends: nobody waits any more */
        catalog_command_free(k);
    else if (k->kind == CATALOG_STATUS)
        answer(k, tell(c, k));
    else if (c->waiting_n >= CATALOG_NAMES_MAX)
        answer(k, ERR_BUSY);
    else
        wait_in_line(c, k);
}

void catalog_commands_forget(struct catalog *c, const char *id)
{
    struct catalog_command *k = catalog_command_new(c, c->loop, CATALOG_REMOVE, sizeof(*k));

    if (!k)
        return; /* the next start tries it again, and forgets it then */
    memcpy(k->id, id, UUID_TEXT_LEN + 1);
    wait_in_line(c, k);
}

/* ---- life ---- */

void catalog_commands_init(struct catalog *c)
{
    c->waiting_tail = &c->waiting;
}

void catalog_commands_stop(struct catalog *c)
{
    struct catalog_command *k;

    while ((k = c->waiting) != NULL) {
        c->waiting = k->next;
        catalog_command_free(k);
    }
    c->waiting_tail = &c->waiting;
}

void catalog_commands_free(struct catalog *c)
{
    if (!c->committing)
        return;
    journal_batch_fini(&c->batch);
    catalog_command_free(STEAL(c->committing));
}

struct catalog_command *catalog_command_new(struct catalog *c, struct loop *asker, enum catalog_command_kind kind, size_t size)
{
    struct catalog_command *k = calloc(1, size);

    assert(size >= sizeof(*k));
    if (!k)
        return NULL;
    k->catalog = c;
    k->asker = asker;
    k->kind = kind;
    arena_init(&k->arena, /* cache= */ NULL, /* max_bytes= */ 0);
    return k;
}

void catalog_command_post(struct catalog_command *k)
{
    k->message.run = on_command;
    loop_post(k->catalog->loop, &k->message);
}

void catalog_command_free(struct catalog_command *k)
{
    if (!k)
        return;
    catalog_job_free(k->job);
    tokenizer_entry_unref(k->entry);
    arena_fini(&k->arena);
    free(k);
}
