/* admin/workers_list.c -- GET /workers (spec control-plane 7.2; BETTERs: a stable order, filters, job_status)
 *
 *   handler --REGISTRY_JOBS--> control thread --on_jobs--> exchange_generate --> proceed(), a turn each of at most PIECE_BYTES
 *
 * The list is written in several turns, and a snapshot is good for one. So the generator keeps the `order` of the worker that comes next and finds its place in
 * the table of each turn: a worker that leaves meanwhile is left out, one that comes is listed at the end, nobody is listed twice, and nothing is pinned or
 * referenced while a slow client reads. The counts at the end are of what was written. Jobs are few, and known to the control thread only: they are asked for first.
 */
#include "admin/workers_internal.h"

#include "base/url.h"

#define PIECE_BYTES (60u << 10) /* of the 64 KiB that a turn may yield */

#define ANY (-1)

/* A list being written; in the exchange's arena but for `piece`. */
struct list_state {
    struct registry *registry;
    struct registry_command *jobs; /* owned: the jobs of listed workers, by order */
    size_t jobs_at;                /* of the next one */
    bool by_model;                 /* ?model= was given, be it empty */
    struct str model;
    int type, status; /* enum worker_type, worker_status; or ANY */
    uint64_t next_order;
    bool begun;
    unsigned total, counts[4]; /* of what was written; by enum worker_type */
    struct buf piece;          /* owned: a worker that did not fit into its turn */
    size_t piece_at;
};

static bool serves(const struct worker *w, struct str model)
{
    const struct worker_spec *s = &w->spec;

    for (size_t i = 0; i < s->models_n; i++) {
        if (str_eq(s->models[i].id, model))
            return true;
        for (size_t k = 0; k < s->models[i].aliases_n; k++)
            if (str_eq(s->models[i].aliases[k], model))
                return true;
    }
    return s->models_n == 0;
}

static bool is_listed(const struct list_state *l, const struct worker *w)
{
    return (!l->by_model || serves(w, l->model)) && (l->type == ANY || l->type == (int)w->spec.type) &&
           (l->status == ANY || l->status == (int)worker_status(w));
}

/* The job of W, if it had one when the list was begun. */
static const struct worker_job_view *job_of(struct list_state *l, const struct worker *w)
{
    const struct registry_command *c = l->jobs;

    while (l->jobs_at < c->jobs_n && c->jobs[l->jobs_at].order < w->order)
        l->jobs_at++;
    return l->jobs_at < c->jobs_n && c->jobs[l->jobs_at].order == w->order ? &c->jobs[l->jobs_at].view : NULL;
}

/* Writes the next worker of the list into l->piece; false when there is none. */
static bool next_piece(struct list_state *l, const struct worker_table *t)
{
    struct json_writer w;

    buf_clear(&l->piece);
    l->piece_at = 0;
    for (size_t i = worker_table_from(t, l->next_order); i < t->n; i++) {
        const struct worker *worker = t->workers[i];

        l->next_order = worker->order + 1;
        if (!is_listed(l, worker))
            continue;
        if (l->total++)
            buf_put_char(&l->piece, ',');
        l->counts[worker->spec.type]++;
        json_begin(&w, &l->piece);
        worker_write_json(&w, worker, job_of(l, worker));
        return true;
    }
    return false;
}

static void put_counts(struct buf *out, const struct list_state *l)
{
    buf_printf(out, "],\"total\":%u,\"stats\":{\"prefill_count\":%u,\"decode_count\":%u,\"regular_count\":%u", l->total,
               l->counts[WORKER_PREFILL], l->counts[WORKER_DECODE], l->counts[WORKER_REGULAR]);
    if (l->counts[WORKER_ENCODE]) /* SMG has no such member: only those who have such workers see it */
        buf_printf(out, ",\"encode_count\":%u", l->counts[WORKER_ENCODE]);
    buf_puts(out, "}}");
}

static bool proceed_list(struct exchange *ex, struct buf *out, void *arg)
{
    struct list_state *l = arg;
    const struct worker_table *t = registry_table(l->registry, ex->loop);

    if (!l->begun)
        buf_puts(out, "{\"workers\":[");
    l->begun = true;
    for (;;) {
        size_t room = PIECE_BYTES - out->n, left = l->piece.n - l->piece_at;

        buf_put(out, str_first(str_skip(buf_str(&l->piece), l->piece_at), room));
        l->piece_at += MIN(left, room);
        if (left >= room || out->failed)
            return false; /* the turn is full */
        if (!next_piece(l, t))
            break;
        if (l->piece.failed) { /* out of memory: the client must not take half a list for the whole */
            out->failed = true;
            return false;
        }
    }
    put_counts(out, l);
    return true;
}

static void stop_list(struct exchange *ex, void *arg)
{
    struct list_state *l = arg;

    (void)ex;
    buf_fini(&l->piece);
    registry_command_free(l->jobs);
}

static const struct exchange_generator LIST = { .proceed = proceed_list, .stop = stop_list };

/* KEY of the query, decoded ('+' is a blank). *RET untouched and false when absent; *REFUSED: answered. */
static bool read_query(struct exchange *ex, const char *key, struct str *ret, bool *refused)
{
    struct str value;
    bool repeated;
    char *text;
    long n;

    if (*refused || !url_query_get(ex->req.query, str_of(key), &value, &repeated))
        return false;
    text = arena_alloc(&ex->arena, value.n + 1);
    if (repeated) {
        workers_bad_request(ex, arena_printf(&ex->arena, "Failed to deserialize query string: duplicate field `%s`", key));
    } else if (!text) {
        workers_refuse(ex, ERR_NOMEM);
    } else {
        for (size_t i = 0; i < value.n; i++)
            text[i] = value.p[i] == '+' ? ' ' : value.p[i];
        n = url_decode((struct str){ text, value.n }, text);
        if (n >= 0) {
            *ret = (struct str){ text, (size_t)n };
            return true;
        }
        workers_bad_request(ex, arena_printf(&ex->arena, "Failed to deserialize query string: invalid value for `%s`", key));
    }
    *refused = true;
    return false;
}

/* The number of the name that KEY has in the query, or ANY. */
static int read_choice(struct exchange *ex, const char *key, struct str (*name)(int), int n, bool *refused)
{
    struct str value;

    if (!read_query(ex, key, &value, refused))
        return ANY;
    for (int i = 0; i < n; i++)
        if (str_eq(value, name(i)))
            return i;
    workers_bad_request(ex, arena_printf(&ex->arena, "Failed to deserialize query string: unknown value `%.*s` for `%s`",
                                         STR_FMT(str_first(value, 64)), key));
    *refused = true;
    return ANY;
}

static struct str type_name(int i)
{
    return worker_type_text((enum worker_type)i);
}

static struct str status_name(int i)
{
    return worker_status_text((enum worker_status)i);
}

static void on_jobs(struct registry_command *c)
{
    struct exchange *ex = exchange_from_ref(c->exchange);
    struct list_state *l = c->owner;

    if (!ex || c->result < 0) {
        if (ex)
            workers_refuse(ex, c->result);
        registry_command_free(c);
        return;
    }
    l->jobs = c;
    exchange_generate(ex, 200, TYPE_JSON, &LIST, l);
}

void admin_list_workers(struct exchange *ex, void *context)
{
    const struct admin *admin = context;
    struct list_state *l = arena_new(&ex->arena, struct list_state);
    struct registry_command *c;
    bool refused = false;

    if (!l) {
        workers_refuse(ex, ERR_NOMEM);
        return;
    }
    l->registry = admin->registry;
    l->by_model = read_query(ex, "model", &l->model, &refused);
    l->type = read_choice(ex, "worker_type", type_name, WORKER_ENCODE + 1, &refused);
    l->status = read_choice(ex, "status", status_name, WORKER_DRAINING + 1, &refused);
    if (refused)
        return;
    c = workers_command_new(ex, admin, REGISTRY_JOBS, on_jobs);
    if (!c)
        return;
    c->owner = l;
    workers_command_send(ex, c);
}
