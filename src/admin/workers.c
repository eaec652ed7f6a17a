/* admin/workers.c -- POST /workers and what is asked of one worker (spec control-plane 7; BETTERs: canonical ids and URLs, joined jobs, kept keys, 503 for a full queue)
 *
 *   handler --registry_command_post--> control thread --answered--> reply, if the client is still there
 *
 * The list is workers_list.c's.
 */
#include "admin/workers_internal.h"
#include "admin/body.h"
#include "base/log.h"
#include "base/url.h"
#include "http/error.h"

#define TARGET        "smg::workers"
#define SPEC_TEXT_MAX (1u << 20) /* a description has at most 256 KiB; its parsed form may take twenty times its text */

/* ---- ids and errors ---- */

void workers_bad_request(struct exchange *ex, struct str message)
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
    workers_bad_request(ex,
                        arena_printf(&ex->arena, "Invalid worker_id '%.*s' (expected UUID). Error: %s", STR_FMT(raw), err.message));
    return false;
}

static void not_found(struct exchange *ex)
{
    http_error_workers(ex, 404, STR("WORKER_NOT_FOUND"),
                       arena_printf(&ex->arena, "Worker %.*s not found", STR_FMT(str_first(ex->params[0], 256))));
}

void workers_refuse(struct exchange *ex, int result)
{
    http_error_retry_after(ex, 1);
    if (result == ERR_BUSY)
        http_error_workers(ex, 503, STR("JOB_QUEUE_FULL"),
                           STR("Job queue full: too many jobs are waiting or running; try again later"));
    else if (result == ERR_LIMIT)
        http_error_workers(
            ex, 503, STR("WORKER_LIMIT"),
            arena_printf(&ex->arena, "The gateway knows %d workers and takes no more; remove some first", WORKERS_MAX));
    else if (result == ERR_STORE)
        http_error_workers(ex, 503, STR("STATE_NOT_STORED"),
                           STR("The change could not be written to the state directory and was not made; try again later"));
    else
        http_error_workers(ex, 503, STR("OUT_OF_MEMORY"), STR("The gateway is out of memory for this request"));
}

/* ---- commands ---- */

struct registry_command *workers_command_new(struct exchange *ex, const struct admin *admin, enum registry_command_kind kind,
                                             void (*answered)(struct registry_command *c))
{
    struct registry_command *c = registry_command_new(admin->registry, ex->loop, kind);

    if (!c) {
        workers_refuse(ex, ERR_NOMEM);
        return NULL;
    }
    c->answered = answered;
    return c;
}

void workers_command_send(struct exchange *ex, struct registry_command *c)
{
    c->exchange = admin_await(ex);
    registry_command_post(c);
}

/* A reply built by the writer W in OUT. */
static void reply_json(struct exchange *ex, unsigned status, struct buf *out)
{
    if (out->failed)
        workers_refuse(ex, ERR_NOMEM);
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
        workers_refuse(ex, c->result);
    registry_command_free(c);
}

/* False: answered. */
static bool read_body(struct exchange *ex, struct json_doc *ret)
{
    if (ex->body.n <= SPEC_TEXT_MAX)
        return admin_read_json(ex, ret);
    http_error_too_large(ex, SPEC_TEXT_MAX);
    return false;
}

/* The body into C->spec, checked. False: answered. */
static bool read_spec(struct exchange *ex, struct registry_command *c)
{
    struct json_doc doc;
    struct err err = { 0 };
    int status;

    if (!read_body(ex, &doc))
        return false;
    status = worker_spec_read(&doc, &c->arena, &c->spec, &err);
    if (status < 0) {
        admin_refuse_shape(ex, status, &err);
        return false;
    }
    c->keep_api_key = !json_exists(json_get(json_root(&doc), STR("api_key")));
    if (url_check_worker(c->spec.url, &err) < 0) {
        workers_bad_request(ex, arena_printf(&ex->arena, "Invalid value for field 'worker_url': %.*s - %s",
                                             STR_FMT(str_first(c->spec.url, 1024)), err.message));
        return false;
    }
    if (worker_spec_check(&c->spec, &err) < 0) {
        workers_bad_request(ex, str_of(err.message));
        return false;
    }
    c->spec.url = worker_url_canonical(c->spec.url, &c->arena);
    if (!c->spec.url.p)
        workers_refuse(ex, ERR_NOMEM);
    return c->spec.url.p != NULL;
}

void admin_add_worker(struct exchange *ex, void *context)
{
    const struct admin *admin = context;
    struct registry_command *c = workers_command_new(ex, admin, REGISTRY_ADD, on_added);

    if (!c)
        return;
    if (!read_spec(ex, c)) {
        registry_command_free(c);
        return;
    }
    if (admin->gateway_has_key && c->spec.api_key.n == 0)
        log_warn(TARGET, "worker added without an api_key although the gateway has one: requests to it carry no key",
                 LF_STR("worker", c->spec.url));
    workers_command_send(ex, c);
}

/* ---- GET, PUT, PATCH, DELETE /workers/{worker_id} ---- */

static void on_found(struct registry_command *c);

static void ask_about_id(struct exchange *ex, const struct admin *admin, enum registry_command_kind kind)
{
    struct registry_command *c = workers_command_new(ex, admin, kind, on_found);

    if (!c)
        return;
    if (read_id(ex, c->id))
        workers_command_send(ex, c);
    else
        registry_command_free(c);
}

static void reply_accepted_id(struct exchange *ex, const struct registry_command *c, struct str message)
{
    struct buf out = { 0 };
    struct json_writer w;

    json_begin(&w, &out);
    json_object(&w);
    json_put_str(&w, "status", STR("accepted"));
    json_put_str(&w, "worker_id", ((struct str){ c->id, UUID_TEXT_LEN }));
    json_put_str(&w, "message", message);
    json_end(&w);
    reply_json(ex, 202, &out);
}

static void reply_found(struct exchange *ex, const struct registry_command *c)
{
    switch (c->result) {
    case 0:
        if (c->kind == REGISTRY_GET)
            exchange_reply(ex, 200, TYPE_JSON, c->json);
        else if (c->kind == REGISTRY_REMOVE)
            reply_accepted_id(ex, c, STR("Worker removal queued for background processing"));
        else
            reply_accepted_id(ex, c, STR("Worker update queued for background processing"));
        break;
    case ERR_NOT_FOUND:
        not_found(ex);
        break;
    case ERR_CANCELLED:
        http_error_workers(ex, 409, STR("WORKER_DRAINING"),
                           arena_printf(&ex->arena, "Worker %s is being removed and cannot be changed any more", c->id));
        break;
    case ERR_INVALID:
        workers_bad_request(ex, arena_str(&ex->arena, c->reason));
        break;
    default:
        workers_refuse(ex, c->result);
        break;
    }
}

static void on_found(struct registry_command *c)
{
    struct exchange *ex = exchange_from_ref(c->exchange);

    if (ex)
        reply_found(ex, c);
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

static void change(struct exchange *ex, const struct admin *admin, enum registry_command_kind kind,
                   bool (*read)(struct exchange *ex, struct registry_command *c))
{
    struct registry_command *c = workers_command_new(ex, admin, kind, on_found);

    if (!c)
        return;
    if (read_id(ex, c->id) && read(ex, c))
        workers_command_send(ex, c);
    else
        registry_command_free(c);
}

void admin_replace_worker(struct exchange *ex, void *context)
{
    change(ex, context, REGISTRY_REPLACE, read_spec);
}

/* The body into C->patch. False: answered. */
static bool read_patch(struct exchange *ex, struct registry_command *c)
{
    struct json_doc doc;
    struct err err = { 0 };
    int status;

    if (!read_body(ex, &doc))
        return false;
    status = worker_patch_read(&doc, &c->arena, &c->patch, &err);
    if (status < 0) {
        admin_refuse_shape(ex, status, &err);
        return false;
    }
    status = worker_patch_check(&c->patch, &err);
    if (status < 0)
        workers_bad_request(ex, str_of(err.message));
    return status == 0;
}

void admin_update_worker(struct exchange *ex, void *context)
{
    change(ex, context, REGISTRY_UPDATE, read_patch);
}
