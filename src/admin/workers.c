/* admin/workers.c -- the resource /workers (spec control-plane 7; BETTERs: canonical ids and URLs, joined jobs, a stable order, filters, 503 for a full queue)
 *
 *   POST, DELETE, GET {id}:   handler --registry_command_post--> control thread --answered--> reply, if the client is still there
 *   GET (list):               handler --exchange_generate--> proceed(), a turn each of at most PIECE_BYTES
 *
 * The list is written in several turns, and a snapshot is good for one. So the generator keeps the `order` of the worker that comes next and finds its place in
 * the table of each turn: a worker that leaves meanwhile is left out, one that comes is listed at the end, nobody is listed twice, and nothing is pinned or
 * referenced while a slow client reads. The counts at the end are of what was written.
 */
#include "admin/admin.h"
#include "admin/body.h"
#include "base/log.h"
#include "base/url.h"
#include "http/error.h"

#include <stdlib.h>

#define TARGET        "smg::workers"
#define PIECE_BYTES   (60u << 10) /* of the 64 KiB that a turn may yield */
#define SPEC_TEXT_MAX (1u << 20)  /* a description has at most 256 KiB; its parsed form may take twenty times its text */

/* ---- ids and errors ---- */

static void bad_request(struct exchange *ex, struct str message)
{
    http_error_workers(ex, 400, STR("BAD_REQUEST"), message);
}

/* The id in the path, in the one form in which the registry knows it. False: answered. */
static bool read_id(struct exchange *ex, char id[UUID_TEXT_LEN + 1])
{
    struct str raw = str_first(ex->params[0], 256);
    struct uuid uuid;
    struct err err = { 0 };

    if (uuid_parse(ex->params[0], &uuid, &err) == 0) {
        uuid_text(uuid, id);
        return true;
    }
    bad_request(ex, arena_printf(&ex->arena, "Invalid worker_id '%.*s' (expected UUID). Error: %s", STR_FMT(raw), err.message));
    return false;
}

static void not_found(struct exchange *ex)
{
    http_error_workers(ex, 404, STR("WORKER_NOT_FOUND"),
                       arena_printf(&ex->arena, "Worker %.*s not found", STR_FMT(str_first(ex->params[0], 256))));
}

static void refuse(struct exchange *ex, int result)
{
    http_error_retry_after(ex, 1);
    if (result == ERR_BUSY)
        http_error_workers(ex, 503, STR("JOB_QUEUE_FULL"),
                           STR("Job queue full: too many jobs are waiting or running; try again later"));
    else if (result == ERR_LIMIT)
        http_error_workers(
            ex, 503, STR("WORKER_LIMIT"),
            arena_printf(&ex->arena, "The gateway knows %d workers and takes no more; remove some first", WORKERS_MAX));
    else
        http_error_workers(ex, 503, STR("OUT_OF_MEMORY"), STR("The gateway is out of memory for this request"));
}

/* ---- commands ---- */

/* The client may leave: the command comes back all the same and finds nobody. */
static const struct exchange_owner WAITING = { 0 };

static struct registry_command *command_new(struct exchange *ex, const struct admin *admin, enum registry_command_kind kind,
                                            void (*answered)(struct registry_command *c))
{
    struct registry_command *c = registry_command_new(admin->registry, ex->loop, kind);

    if (!c) {
        refuse(ex, ERR_NOMEM);
        return NULL;
    }
    c->answered = answered;
    return c;
}

static void send_command(struct exchange *ex, struct registry_command *c)
{
    exchange_own(ex, &WAITING, /* arg= */ NULL);
    c->exchange = exchange_refer(ex);
    registry_command_post(c);
}

/* A reply built by the writer W in OUT. */
static void reply_json(struct exchange *ex, unsigned status, struct buf *out)
{
    if (out->failed)
        refuse(ex, ERR_NOMEM);
    else
        exchange_reply(ex, status, TYPE_JSON, buf_str(out));
    buf_fini(out);
}

/* ---- POST /workers ---- */

static void reply_accepted(struct exchange *ex, const struct registry_command *c)
{
    struct str id = { c->id, UUID_TEXT_LEN }, location = arena_printf(&ex->arena, "/workers/%s", c->id);
    struct buf out = { 0 };
    struct json_writer w;

    exchange_add(ex, HF_LOCATION, location);
    json_begin(&w, &out);
    json_object(&w);
    json_put_str(&w, "status", STR("accepted"));
    json_put_str(&w, "worker_id", id);
    json_put_str(&w, "url", c->spec.url);
    json_put_str(&w, "location", location);
    json_put_str(&w, "message", STR("Worker addition queued for background processing"));
    json_end(&w);
    reply_json(ex, 202, &out);
}

static void on_added(struct registry_command *c)
{
    struct exchange *ex = exchange_from_ref(c->exchange);

    if (!ex) {
        registry_command_free(c);
        return;
    }
    ex->facts.resource = arena_str(&ex->arena, str_of(c->id)); /* for the audit: the path of a POST does not say it */
    if (c->result == 0)
        reply_accepted(ex, c);
    else if (c->result == ERR_EXISTS)
        http_error_workers(
            ex, 409, STR("WORKER_ALREADY_EXISTS"),
            arena_printf(
                &ex->arena,
                "Worker already exists at URL '%.*s' with ID %s. Use PUT /workers/%s to replace or PATCH /workers/%s to update.",
                STR_FMT(c->spec.url), c->id, c->id, c->id));
    else
        refuse(ex, c->result);
    registry_command_free(c);
}

/* The body into C->spec, checked. False: answered. */
static bool read_spec(struct exchange *ex, struct registry_command *c)
{
    struct json_doc doc;
    struct err err = { 0 };
    int status;

    if (ex->body.n > SPEC_TEXT_MAX) {
        http_error_too_large(ex, SPEC_TEXT_MAX);
        return false;
    }
    if (!admin_read_json(ex, &doc))
        return false;
    status = worker_spec_read(&doc, &c->arena, &c->spec, &err);
    if (status < 0) {
        admin_refuse_shape(ex, status, &err);
        return false;
    }
    if (url_check_worker(c->spec.url, &err) < 0) {
        bad_request(ex, arena_printf(&ex->arena, "Invalid value for field 'worker_url': %.*s - %s",
                                     STR_FMT(str_first(c->spec.url, 1024)), err.message));
        return false;
    }
    if (worker_spec_check(&c->spec, &err) < 0) {
        bad_request(ex, str_of(err.message));
        return false;
    }
    c->spec.url = worker_url_canonical(c->spec.url, &c->arena);
    if (!c->spec.url.p)
        refuse(ex, ERR_NOMEM);
    return c->spec.url.p != NULL;
}

void admin_add_worker(struct exchange *ex, void *context)
{
    const struct admin *admin = context;
    struct registry_command *c = command_new(ex, admin, REGISTRY_ADD, on_added);

    if (!c)
        return;
    if (!read_spec(ex, c)) {
        registry_command_free(c);
        return;
    }
    if (admin->gateway_has_key && c->spec.api_key.n == 0)
        log_warn(TARGET, "worker added without an api_key although the gateway has one: requests to it carry no key",
                 LF_STR("worker", c->spec.url));
    send_command(ex, c);
}

/* ---- GET, DELETE /workers/{worker_id} ---- */

static void on_found(struct registry_command *c);

static void ask_about_id(struct exchange *ex, const struct admin *admin, enum registry_command_kind kind)
{
    struct registry_command *c = command_new(ex, admin, kind, on_found);

    if (!c)
        return;
    if (read_id(ex, c->id))
        send_command(ex, c);
    else
        registry_command_free(c);
}

static void reply_removing(struct exchange *ex, const struct registry_command *c)
{
    struct buf out = { 0 };
    struct json_writer w;

    json_begin(&w, &out);
    json_object(&w);
    json_put_str(&w, "status", STR("accepted"));
    json_put_str(&w, "worker_id", ((struct str){ c->id, UUID_TEXT_LEN }));
    json_put_str(&w, "message", STR("Worker removal queued for background processing"));
    json_end(&w);
    reply_json(ex, 202, &out);
}

static void on_found(struct registry_command *c)
{
    struct exchange *ex = exchange_from_ref(c->exchange);

    if (ex && c->result == 0 && c->kind == REGISTRY_GET)
        exchange_reply(ex, 200, TYPE_JSON, c->json);
    else if (ex && c->result == 0)
        reply_removing(ex, c);
    else if (ex && c->result == ERR_NOT_FOUND)
        not_found(ex);
    else if (ex)
        refuse(ex, c->result);
    registry_command_free(c);
}

void admin_get_worker(struct exchange *ex, void *context)
{
    ask_about_id(ex, context, REGISTRY_GET);
}

void admin_remove_worker(struct exchange *ex, void *context)
{
    ask_about_id(ex, context, REGISTRY_REMOVE);
}

/* ---- GET /workers ---- */

#define ANY (-1)

/* A list being written; in the exchange's arena but for `piece`. */
struct list_state {
    struct registry *registry;
    bool by_model; /* ?model= was given, be it empty */
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
        worker_write_json(&w, worker, /* job= */ NULL);
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
        bad_request(ex, arena_printf(&ex->arena, "Failed to deserialize query string: duplicate field `%s`", key));
    } else if (!text) {
        refuse(ex, ERR_NOMEM);
    } else {
        for (size_t i = 0; i < value.n; i++)
            text[i] = value.p[i] == '+' ? ' ' : value.p[i];
        n = url_decode((struct str){ text, value.n }, text);
        if (n >= 0) {
            *ret = (struct str){ text, (size_t)n };
            return true;
        }
        bad_request(ex, arena_printf(&ex->arena, "Failed to deserialize query string: invalid value for `%s`", key));
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
    bad_request(ex, arena_printf(&ex->arena, "Failed to deserialize query string: unknown value `%.*s` for `%s`",
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

void admin_list_workers(struct exchange *ex, void *context)
{
    const struct admin *admin = context;
    struct list_state *l = arena_new(&ex->arena, struct list_state);
    bool refused = false;

    if (!l) {
        refuse(ex, ERR_NOMEM);
        return;
    }
    l->registry = admin->registry;
    l->by_model = read_query(ex, "model", &l->model, &refused);
    l->type = read_choice(ex, "worker_type", type_name, WORKER_ENCODE + 1, &refused);
    l->status = read_choice(ex, "status", status_name, WORKER_DRAINING + 1, &refused);
    if (!refused)
        exchange_generate(ex, 200, TYPE_JSON, &LIST, l);
}
