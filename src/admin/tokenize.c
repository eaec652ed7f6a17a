/* admin/tokenize.c -- POST /v1/tokenize and /v1/detokenize
 *
 *   short (INLINE_BYTES of text, INLINE_IDS ids): read, done and answered in this turn of the loop
 *   longer: struct tokenize_job --pool thread: work--> done on the loop --> reply, if the client is still there
 *
 * The bound keeps a turn well under a millisecond even with a tokenizer whose regex has no fast way (about 10 MB/s). A job owns all that it needs, its tokenizer by a reference: the client
 * may leave and the tokenizer be deleted meanwhile.
 */
#include "admin/tokenizers.h"

#include <stddef.h>
#include <stdlib.h>

#include "admin/body.h"
#include "base/metric.h"
#include "http/error.h"
#include "json/json_write.h"

#define INLINE_BYTES    4096
#define INLINE_IDS      2048
#define TEXT_BYTES_MAX  (64u << 20) /* of all prompts of a request: a book has one */
#define NAMES_SHOWN_MAX 4096        /* bytes of the list of names in an error */

enum operation { TOKENIZE, DETOKENIZE };

/* What is to be done and what comes of it. On the stack for a short one, in a job for a long one. */
struct task {
    enum operation operation;
    bool flag;         /* add_special_tokens, skip_special_tokens */
    bool many;         /* an array of texts, or of arrays */
    size_t n;          /* items */
    struct str *texts; /* arena; TOKENIZE */
    struct ids *ids;   /* arena, each owned: the input of DETOKENIZE, the output of TOKENIZE */
    uint64_t size;     /* bytes of text or ids, in all */
    uint64_t tokens;   /* out */
    int status;
    struct err err;
    struct buf reply; /* owned: the JSON */
};

struct tokenize_job {
    struct pool_job work;
    struct list link; // admin_tokenizers.jobs
    struct exchange_ref exchange;
    struct tokenizer_entry *entry; /* reference */
    struct arena arena;            /* owned, no cache */
    struct task task;
};

static void on_worked(struct pool_job *work);

/* ---- shapes ---- */

struct tokenize_request {
    struct str model;
    struct json input; /* prompt, tokens */
    bool flag;
};

static void skip_by_default(void *object)
{
    ((struct tokenize_request *)object)->flag = true;
}

#define ROW(n, t, more, member)                                                                                          \
    {                                                                                                                    \
        .name = n, .type = t, .flags = more, .at = offsetof(struct tokenize_request, member), .at_given = SHAPE_NO_GIVEN \
    }
static const struct json_shape_field TOKENIZE_FIELDS[] = {
    ROW("model", SHAPE_STR, SHAPE_REQUIRED, model),
    ROW("prompt", SHAPE_JSON, SHAPE_REQUIRED, input),
    ROW("add_special_tokens", SHAPE_BOOL, SHAPE_NULLABLE, flag),
};
const struct json_shape TOKENIZE_SHAPE = { .name = "TokenizeRequest",
                                           .size = sizeof(struct tokenize_request),
                                           .fields = TOKENIZE_FIELDS,
                                           .fields_n = ARRAY_LEN(TOKENIZE_FIELDS) };
static const struct json_shape_field DETOKENIZE_FIELDS[] = {
    ROW("model", SHAPE_STR, SHAPE_REQUIRED, model),
    ROW("tokens", SHAPE_JSON, SHAPE_REQUIRED, input),
    ROW("skip_special_tokens", SHAPE_BOOL, 0, flag),
};
#undef ROW
const struct json_shape DETOKENIZE_SHAPE = { .name = "DetokenizeRequest",
                                             .size = sizeof(struct tokenize_request),
                                             .defaults = skip_by_default,
                                             .fields = DETOKENIZE_FIELDS,
                                             .fields_n = ARRAY_LEN(DETOKENIZE_FIELDS) };

/* ---- reading the input ---- */

static int wrong_input(struct json v, const char *member, const char *type, struct err *err)
{
    unsigned line, column;

    json_position(v.doc, json_node(v)->at + json_node(v)->len, &line, &column);
    return err_set(err, ERR_INVALID, "%s: data did not match any variant of untagged enum %s at line %u column %u", member, type,
                   line, column);
}

/* TASK's items out of V, strings copied into ARENA. 0, ERR_INVALID with serde's words, ERR_NOMEM. */
static int read_texts(struct json v, struct arena *arena, struct task *task, struct err *err)
{
    struct json_iter it = json_iter(v);

    task->many = json_is(v, JSON_ARRAY);
    if (!task->many && !json_is(v, JSON_STRING))
        return wrong_input(v, "prompt", "StringOrArray", err);
    while (task->many && json_next(&it)) {
        if (!json_is(it.value, JSON_STRING))
            return wrong_input(v, "prompt", "StringOrArray", err);
        task->n++;
    }
    task->n += !task->many;
    task->texts = arena_array(arena, task->n, sizeof(*task->texts));
    task->ids = arena_array(arena, task->n, sizeof(*task->ids));
    if (!task->texts || !task->ids)
        return ERR_NOMEM;
    if (!task->many)
        task->texts[0] = json_str(v, arena);
    it = json_iter(v);
    for (size_t i = 0; task->many && json_next(&it); i++)
        task->texts[i] = json_str(it.value, arena);
    for (size_t i = 0; i < task->n; i++)
        task->size += task->texts[i].n;
    return arena->failed ? ERR_NOMEM : 0;
}

static int read_ids(struct json array, struct ids *ids)
{
    struct json_iter it = json_iter(array);

    while (json_next(&it)) {
        uint64_t id;

        if (!json_is(it.value, JSON_NUMBER) || !json_node(it.value)->integer || json_to_u64(it.value, &id) < 0 || id > UINT32_MAX)
            return ERR_INVALID;
        ids_put(ids, (uint32_t)id);
    }
    return ids->failed ? ERR_NOMEM : 0;
}

static size_t count_of(struct json array)
{
    struct json_iter it = json_iter(array);
    size_t n = 0;

    while (json_next(&it))
        n++;
    return n;
}

static int read_tokens(struct json v, struct arena *arena, struct task *task, struct err *err)
{
    struct json_iter it = json_iter(v);
    int r = 0;

    if (!json_is(v, JSON_ARRAY))
        return wrong_input(v, "tokens", "TokensInput", err);
    task->many = json_next(&it) && json_is(it.value, JSON_ARRAY);
    task->n = task->many ? count_of(v) : 1;
    task->ids = arena_array(arena, task->n, sizeof(*task->ids));
    if (!task->ids)
        return ERR_NOMEM;
    it = json_iter(v);
    if (!task->many)
        r = read_ids(v, &task->ids[0]);
    for (size_t i = 0; r == 0 && task->many && json_next(&it); i++)
        r = json_is(it.value, JSON_ARRAY) ? read_ids(it.value, &task->ids[i]) : ERR_INVALID;
    for (size_t i = 0; i < task->n; i++)
        task->size += task->ids[i].n;
    return r == ERR_INVALID ? wrong_input(v, "tokens", "TokensInput", err) : r;
}

static void task_fini(struct task *task)
{
    for (size_t i = 0; task->ids && i < task->n; i++)
        ids_fini(&task->ids[i]);
    buf_fini(&task->reply);
}

/* ---- the work: on a loop or on a pool thread ---- */

static uint64_t characters(struct str text)
{
    uint64_t n = 0;

    for (size_t i = 0; i < text.n; i++)
        n += ((unsigned char)text.p[i] & 0xC0) != 0x80;
    return n;
}

static void put_ids(struct json_writer *w, const struct ids *ids)
{
    json_array(w);
    for (size_t i = 0; i < ids->n; i++)
        json_value_u64(w, ids->v[i]);
    json_end(w);
}

/* The member KEY: an array of what PUT writes for each item, or the one item's alone. */
static void put_member(struct json_writer *w, const struct task *task, struct str key,
                       void (*put)(struct json_writer *w, const struct task *task, size_t i))
{
    json_key(w, key);
    if (task->many)
        json_array(w);
    for (size_t i = 0; i < task->n; i++)
        put(w, task, i);
    if (task->many)
        json_end(w);
}

static void put_tokens(struct json_writer *w, const struct task *task, size_t i)
{
    put_ids(w, &task->ids[i]);
}

static void put_count(struct json_writer *w, const struct task *task, size_t i)
{
    json_value_u64(w, task->ids[i].n);
}

static void put_char_count(struct json_writer *w, const struct task *task, size_t i)
{
    json_value_u64(w, characters(task->texts[i]));
}

static int encode(struct task *task, struct tokenizer_encoder *encoder)
{
    struct json_writer w;
    int r = 0;

    for (size_t i = 0; i < task->n && r == 0; i++) {
        r = tokenizer_encode(encoder, task->texts[i], task->flag ? ENCODE_SPECIALS : 0, &task->ids[i], &task->err);
        task->tokens += task->ids[i].n;
    }
    if (r < 0)
        return r;
    json_begin(&w, &task->reply);
    json_object(&w);
    put_member(&w, task, STR("tokens"), put_tokens);
    put_member(&w, task, STR("count"), put_count);
    put_member(&w, task, STR("char_count"), put_char_count);
    json_end(&w);
    return task->reply.failed ? ERR_NOMEM : 0;
}

static int decode(struct task *task, const struct tokenizer *t)
{
    _cleanup_(buf_fini) struct buf text = { 0 };
    struct json_writer w;
    int r = 0;

    task->tokens = task->size;
    json_begin(&w, &task->reply);
    json_object(&w);
    json_key(&w, STR("text"));
    if (task->many)
        json_array(&w);
    for (size_t i = 0; i < task->n && r == 0; i++) {
        buf_clear(&text);
        r = tokenizer_decode(t, task->ids[i].v, task->ids[i].n, task->flag, &text, &task->err);
        if (r == 0)
            json_value_str(&w, buf_str(&text));
    }
    if (r < 0)
        return r;
    if (task->many)
        json_end(&w);
    json_end(&w);
    return task->reply.failed || text.failed ? ERR_NOMEM : 0;
}

/* ENCODER: NULL when memory is out; not looked at for DETOKENIZE. */
static void work_on(struct task *task, const struct tokenizer *t, struct tokenizer_encoder *encoder)
{
    if (task->operation == DETOKENIZE)
        task->status = decode(task, t);
    else
        task->status = encoder ? encode(task, encoder) : ERR_NOMEM;
}

/* ---- the reply ---- */

static const struct metric_family REQUESTS = { .name = "smg_tokenize_requests_total",
                                               .help = "Requests to /v1/tokenize and /v1/detokenize that a tokenizer worked on",
                                               .type = METRIC_COUNTER,
                                               .labels = { "operation", "result" } };
static const struct metric_family TOKENS = { .name = "smg_tokenize_tokens_total",
                                             .help = "Tokens that /v1/tokenize gave and /v1/detokenize took",
                                             .type = METRIC_COUNTER,
                                             .labels = { "operation" } };

static void count(struct loop *loop, const struct task *task)
{
    struct str labels[] = { task->operation == TOKENIZE ? STR("tokenize") : STR("detokenize"),
                            task->status == 0 ? STR("success") : STR("error") };

    metric_add(metric_cell(loop->metrics, &REQUESTS, labels), 1);
    if (task->status == 0)
        metric_add(metric_cell(loop->metrics, &TOKENS, labels), (int64_t)task->tokens);
}

static void reply(struct exchange *ex, const struct task *task)
{
    bool tokenize = task->operation == TOKENIZE;
    const char *why = task->err.message[0] ? task->err.message : err_text(task->status);

    if (task->status == 0)
        exchange_reply(ex, 200, TYPE_JSON, buf_str(&task->reply));
    else if (task->status == ERR_NOMEM)
        admin_refuse_memory(ex);
    else
        http_error_typed(ex, 500, tokenize ? STR("tokenization_error") : STR("detokenization_error"),
                         arena_printf(&ex->arena, "%s failed: %s", tokenize ? "Tokenization" : "Detokenization", why));
}

/* ---- long ones ---- */

static void work(struct pool_job *work)
{
    struct tokenize_job *j = CONTAINER_OF(work, struct tokenize_job, work);
    struct tokenizer_encoder *encoder = j->task.operation == TOKENIZE ? tokenizer_entry_borrow(j->entry) : NULL;

    work_on(&j->task, j->entry->tokenizer, encoder);
    if (encoder)
        tokenizer_entry_give_back(j->entry, encoder);
}

static void job_free(struct tokenize_job *j)
{
    list_remove(&j->link);
    tokenizer_entry_unref(j->entry);
    task_fini(&j->task);
    arena_fini(&j->arena);
    free(j);
}

static void on_worked(struct pool_job *work)
{
    struct tokenize_job *j = CONTAINER_OF(work, struct tokenize_job, work);
    struct exchange *ex = exchange_from_ref(j->exchange);

    count(work->loop, &j->task);
    if (ex)
        reply(ex, &j->task);
    job_free(j);
}

/* TASK's texts point into the exchange's memory, which may go: they are copied. Its ids move. */
static struct tokenize_job *job_new(const struct task *task, struct tokenizer_entry *e)
{
    struct tokenize_job *j = calloc(1, sizeof(*j));

    if (!j)
        return NULL;
    list_init(&j->link);
    arena_init(&j->arena, /* cache= */ NULL, /* max_bytes= */ 0);
    j->entry = tokenizer_entry_ref(e);
    j->task = *task;
    j->task.texts = task->texts ? arena_array(&j->arena, task->n, sizeof(*task->texts)) : NULL;
    j->task.ids = arena_array(&j->arena, task->n, sizeof(*task->ids));
    for (size_t i = 0; j->task.texts && i < task->n; i++)
        j->task.texts[i] = arena_str(&j->arena, task->texts[i]);
    if (j->task.ids && !j->arena.failed) {
        memcpy(j->task.ids, task->ids, task->n * sizeof(*task->ids));
        return j;
    }
    j->task.ids = NULL; /* they stay the caller's */
    job_free(j);
    return NULL;
}

static void refuse_busy(struct exchange *ex)
{
    http_error_retry_after(ex, 1);
    http_error(ex, 503, STR("tokenizer_busy"), STR("Too many texts wait to be tokenized; try again later"));
}

static void work_later(struct exchange *ex, struct admin_tokenizers *t, struct tokenizer_entry *e, struct task *task)
{
    struct tokenize_job *j = job_new(task, e);

    if (!j) {
        admin_refuse_memory(ex);
        return;
    }
    task->ids = NULL; /* moved */
    j->work.work = work;
    j->work.done = on_worked;
    if (pool_submit(t->pool, ex->loop, &j->work) < 0) {
        job_free(j);
        refuse_busy(ex);
        return;
    }
    list_append(&t->jobs, &j->link);
    j->exchange = admin_await(ex);
}

/* ---- the handlers ---- */

static struct tokenizer_entry *find_model(const struct tokenizer_table *table, const struct worker_model *m)
{
    struct tokenizer_entry *e = map_get(&table->by_name, m->id);

    for (size_t i = 0; !e && i < m->n; i++) {
        const struct worker_spec *s = &m->workers[i]->spec;

        for (size_t k = 0; !e && k < s->models_n; k++)
            for (size_t a = 0; !e && str_eq(s->models[k].id, m->id) && a < s->models[k].aliases_n; a++)
                e = map_get(&table->by_name, s->models[k].aliases[a]);
    }
    return e;
}

/* By name, by id, by the aliases of the workers' models; "unknown" and the empty name mean the first by name. */
static struct tokenizer_entry *find(const struct admin_tokenizers *t, struct loop *loop, struct str model)
{
    const struct tokenizer_table *table = catalog_table(t->catalog, loop);
    struct tokenizer_entry *e = tokenizer_table_find(table, model);
    const struct worker_table *workers;
    const struct worker_model *m;

    if (!e && (model.n == 0 || str_eq(model, STR("unknown"))))
        return table->n ? table->entries[0] : NULL;
    if (e)
        return e;
    workers = registry_table(t->registry, loop);
    m = map_get(&workers->by_model, model);
    return m ? find_model(table, m) : NULL;
}

static void refuse_model(struct exchange *ex, const struct admin_tokenizers *t, struct str model)
{
    const struct tokenizer_table *table = catalog_table(t->catalog, ex->loop);
    _cleanup_(buf_fini) struct buf names = { 0 };

    if (table->n == 0) {
        http_error_typed(ex, 400, STR("tokenizer_not_found"), STR("No tokenizers available. Use POST /v1/tokenizers to add one."));
        return;
    }
    for (size_t i = 0; i < table->n; i++) {
        if (names.n > NAMES_SHOWN_MAX) {
            buf_puts(&names, ", ...");
            break;
        }
        buf_printf(&names, "%s%.*s", i ? ", " : "", STR_FMT(table->entries[i]->name));
    }
    http_error_typed(ex, 400, STR("tokenizer_not_found"),
                     arena_printf(&ex->arena, "Tokenizer for model '%.*s' not found. Available: %.*s",
                                  STR_FMT(str_first(model, CATALOG_NAME_MAX)), STR_FMT(buf_str(&names))));
}

static void work_now(struct exchange *ex, struct tokenizer_entry *e, struct task *task)
{
    work_on(task, e->tokenizer, task->operation == TOKENIZE ? tokenizer_entry_encoder(e, ex->loop) : NULL);
    count(ex->loop, task);
    reply(ex, task);
}

/* The input is read. TASK's ids are the caller's to free, unless they moved. */
static void serve(struct exchange *ex, struct admin_tokenizers *t, struct str model, struct task *task)
{
    struct tokenizer_entry *e = find(t, ex->loop, model);

    ex->facts.model = model;
    if (!e)
        refuse_model(ex, t, model);
    else if (task->operation == TOKENIZE && task->size > TEXT_BYTES_MAX)
        http_error_too_large(ex, TEXT_BYTES_MAX);
    else if (task->size <= (task->operation == TOKENIZE ? INLINE_BYTES : INLINE_IDS) && task->n <= INLINE_IDS)
        work_now(ex, e, task);
    else
        work_later(ex, t, e, task);
}

static void handle(struct exchange *ex, struct admin_tokenizers *t, enum operation operation, const struct json_shape *shape)
{
    struct task task = { .operation = operation };
    struct tokenize_request r;
    struct json_doc doc;
    struct err err = { 0 };
    int status;

    if (!admin_read_json(ex, &doc))
        return;
    status = json_shape_read(json_root(&doc), shape, &ex->arena, &r, &err);
    task.flag = r.flag;
    if (status == 0)
        status =
            operation == TOKENIZE ? read_texts(r.input, &ex->arena, &task, &err) : read_tokens(r.input, &ex->arena, &task, &err);
    if (status < 0)
        admin_refuse_shape(ex, status, &err);
    else
        serve(ex, t, r.model, &task);
    task_fini(&task);
}

void admin_tokenize(struct exchange *ex, void *context)
{
    handle(ex, context, TOKENIZE, &TOKENIZE_SHAPE);
}

void admin_detokenize(struct exchange *ex, void *context)
{
    handle(ex, context, DETOKENIZE, &DETOKENIZE_SHAPE);
}

/* ---- life ---- */

void admin_tokenizers_init(struct admin_tokenizers *t, struct catalog *catalog, struct registry *registry, struct pool *pool)
{
    *t = (struct admin_tokenizers){ .catalog = catalog, .registry = registry, .pool = pool };
    list_init(&t->jobs);
}

void admin_tokenizers_fini(struct admin_tokenizers *t)
{
    struct tokenize_job *j;

    if (!t->catalog)
        return; /* never made */
    LIST_EACH(j, &t->jobs, link)
    job_free(j);
}
