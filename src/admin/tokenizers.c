/* admin/tokenizers.c -- /v1/tokenizers: lists from the loop's snapshot, everything else a command to the control thread
 *
 *   handler --struct tokenizer_ask--> control thread --answered--> reply, if the client is still there
 */
#include "admin/tokenizers.h"

#include <stddef.h>

#include "admin/body.h"
#include "http/error.h"
#include "json/json_write.h"

struct tokenizer_ask {
    struct catalog_command command; /* first: the catalog frees it */
    struct exchange_ref exchange;
};

/* NULL: answered. */
static struct tokenizer_ask *ask_new(struct exchange *ex, const struct admin_tokenizers *t, enum catalog_command_kind kind,
                                     void (*answered)(struct catalog_command *c))
{
    struct catalog_command *c = catalog_command_new(t->catalog, ex->loop, kind, sizeof(struct tokenizer_ask));

    if (!c) {
        admin_refuse_memory(ex);
        return NULL;
    }
    c->answered = answered;
    return CONTAINER_OF(c, struct tokenizer_ask, command);
}

static void ask_send(struct exchange *ex, struct tokenizer_ask *a)
{
    if (a->command.arena.failed) {
        catalog_command_free(&a->command);
        admin_refuse_memory(ex);
        return;
    }
    a->exchange = admin_await(ex);
    catalog_command_post(&a->command);
}

/* ---- POST /v1/tokenizers ---- */

struct add_request {
    struct str name, source, chat_template;
};

#define ROW(n, member, more)                                                                                                \
    {                                                                                                                       \
        .name = n, .type = SHAPE_STR, .flags = more, .at = offsetof(struct add_request, member), .at_given = SHAPE_NO_GIVEN \
    }
static const struct json_shape_field ADD_FIELDS[] = {
    ROW("name", name, SHAPE_REQUIRED),
    ROW("source", source, SHAPE_REQUIRED),
    ROW("chat_template_path", chat_template, SHAPE_NULLABLE),
};
#undef ROW
const struct json_shape TOKENIZER_ADD_SHAPE = {
    .name = "AddTokenizerRequest", .size = sizeof(struct add_request), .fields = ADD_FIELDS, .fields_n = ARRAY_LEN(ADD_FIELDS)
};

/* {"id":ID,"status":STATUS,"message":M}, and the size of the vocabulary where it is known. */
static void reply_state(struct exchange *ex, unsigned http_status, const char *id, struct str status, struct str message,
                        const uint32_t *vocab_size)
{
    struct buf out = { 0 };
    struct json_writer w;

    json_begin(&w, &out);
    json_object(&w);
    json_put_str(&w, "id", str_of(id));
    json_put_str(&w, "status", status);
    json_put_str(&w, "message", message);
    if (vocab_size)
        json_put_u64(&w, "vocab_size", *vocab_size);
    json_end(&w);
    admin_reply_json(ex, http_status, &out);
}

static void refuse(struct exchange *ex, unsigned http_status, struct str message)
{
    if (http_status == 503)
        http_error_retry_after(ex, 1);
    reply_state(ex, http_status, "", STR("failed"), message, /* vocab_size= */ NULL);
}

static void reply_added(struct exchange *ex, const struct catalog_command *c)
{
    int name_n = (int)c->name.n, source_n = (int)c->source.n;

    ex->facts.resource = arena_str(&ex->arena, str_of(c->id)); /* for the audit: the path of a POST does not say it */
    switch (c->result) {
    case 0:
        reply_state(ex, 202, c->id, STR("pending"),
                    arena_printf(&ex->arena, "Tokenizer '%.*s' registration job submitted. Loading from: %.*s", name_n, c->name.p,
                                 source_n, c->source.p),
                    /* vocab_size= */ NULL);
        break;
    case ERR_EXISTS:
        reply_state(ex, 409, c->id, STR("failed"),
                    c->loading ? arena_printf(&ex->arena, "Tokenizer '%.*s' is being loaded from another source", name_n, c->name.p)
                               : arena_printf(&ex->arena, "Tokenizer '%.*s' already exists", name_n, c->name.p),
                    /* vocab_size= */ NULL);
        break;
    case ERR_BUSY:
        refuse(ex, 503,
               arena_printf(&ex->arena, "Job queue full: the gateway takes %d tokenizers and jobs; remove some, or try again later",
                            CATALOG_NAMES_MAX));
        break;
    case ERR_STORE:
        refuse(ex, 503, STR("The change could not be written to the state directory and was not made; try again later"));
        break;
    default:
        refuse(ex, 503, STR("The gateway is out of memory for this request"));
    }
}

static void on_added(struct catalog_command *c)
{
    struct exchange *ex = exchange_from_ref(CONTAINER_OF(c, struct tokenizer_ask, command)->exchange);

    if (ex)
        reply_added(ex, c);
    catalog_command_free(c);
}

static bool is_printable(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
            return false;
    return true;
}

/* What cannot be, in words; empty: it can. */
static struct str objection(const struct add_request *r)
{
    if (r->name.n == 0)
        return STR("tokenizer name cannot be empty");
    if (r->source.n == 0)
        return STR("tokenizer source cannot be empty");
    if (r->name.n > CATALOG_NAME_MAX)
        return STR("tokenizer name is too long: at most 256 bytes");
    if (r->source.n > CATALOG_SOURCE_MAX)
        return STR("tokenizer source is too long: at most 4096 bytes");
    if (r->chat_template.n > CATALOG_SOURCE_MAX)
        return STR("chat_template_path is too long: at most 4096 bytes");
    if (!is_printable(r->name) || !is_printable(r->source) || !is_printable(r->chat_template))
        return STR("tokenizer name, source and chat_template_path cannot have control characters");
    return STR_NONE;
}

void admin_add_tokenizer(struct exchange *ex, void *context)
{
    struct add_request r;
    struct tokenizer_ask *a;
    struct json_doc doc;
    struct err err = { 0 };
    int status;

    if (!admin_read_json(ex, &doc))
        return;
    status = json_shape_read(json_root(&doc), &TOKENIZER_ADD_SHAPE, &ex->arena, &r, &err);
    if (status < 0) {
        admin_refuse_shape(ex, status, &err);
        return;
    }
    if (objection(&r).n) {
        refuse(ex, 400, objection(&r));
        return;
    }
    a = ask_new(ex, context, CATALOG_ADD, on_added);
    if (!a)
        return;
    a->command.name = arena_str(&a->command.arena, r.name);
    a->command.source = arena_str(&a->command.arena, r.source);
    a->command.chat_template = arena_str(&a->command.arena, r.chat_template);
    ask_send(ex, a);
}

/* ---- GET /v1/tokenizers, /v1/tokenizers/{id} ---- */

static void write_tokenizer(struct json_writer *w, const struct tokenizer_entry *e)
{
    json_object(w);
    json_put_str(w, "id", str_of(e->id));
    json_put_str(w, "name", e->name);
    json_put_str(w, "source", e->source);
    json_put_u64(w, "vocab_size", e->vocab_size);
    json_end(w);
}

void admin_list_tokenizers(struct exchange *ex, void *context)
{
    const struct admin_tokenizers *t = context;
    const struct tokenizer_table *table = catalog_table(t->catalog, ex->loop);
    struct buf out = { 0 };
    struct json_writer w;

    json_begin(&w, &out);
    json_object(&w);
    json_put_array(&w, "tokenizers");
    for (size_t i = 0; i < table->n; i++)
        write_tokenizer(&w, table->entries[i]);
    json_end(&w);
    json_end(&w);
    admin_reply_json(ex, 200, &out);
}

static struct str key_of(const struct exchange *ex)
{
    return str_first(ex->params[0], CATALOG_NAME_MAX);
}

void admin_get_tokenizer(struct exchange *ex, void *context)
{
    const struct admin_tokenizers *t = context;
    const struct tokenizer_entry *e = tokenizer_table_find_id(catalog_table(t->catalog, ex->loop), ex->params[0]);
    struct buf out = { 0 };
    struct json_writer w;

    if (!e) {
        http_error_typed(ex, 404, STR("tokenizer_not_found"),
                         arena_printf(&ex->arena, "Tokenizer '%.*s' not found", STR_FMT(key_of(ex))));
        return;
    }
    json_begin(&w, &out);
    write_tokenizer(&w, e);
    admin_reply_json(ex, 200, &out);
}

/* ---- GET /v1/tokenizers/{id}/status, DELETE /v1/tokenizers/{id} ---- */

static void ask_about_key(struct exchange *ex, const struct admin_tokenizers *t, enum catalog_command_kind kind,
                          void (*answered)(struct catalog_command *c))
{
    struct tokenizer_ask *a = ask_new(ex, t, kind, answered);

    if (!a)
        return;
    a->command.key = arena_str(&a->command.arena, ex->params[0]);
    ask_send(ex, a);
}

static void reply_status(struct exchange *ex, const struct catalog_command *c)
{
    bool loaded = str_eq(c->state, STR("completed"));

    if (c->result == 0)
        reply_state(ex, 200, c->id, c->state, c->text, loaded ? &c->vocab_size : NULL);
    else if (c->result == ERR_NOT_FOUND)
        http_error_typed(ex, 404, STR("not_found"),
                         arena_printf(&ex->arena, "Tokenizer '%.*s' not found and no pending job", STR_FMT(key_of(ex))));
    else
        admin_refuse_memory(ex);
}

static void on_status(struct catalog_command *c)
{
    struct exchange *ex = exchange_from_ref(CONTAINER_OF(c, struct tokenizer_ask, command)->exchange);

    if (ex)
        reply_status(ex, c);
    catalog_command_free(c);
}

void admin_get_tokenizer_status(struct exchange *ex, void *context)
{
    ask_about_key(ex, context, CATALOG_STATUS, on_status);
}

static void reply_removed(struct exchange *ex, const struct catalog_command *c)
{
    struct buf out = { 0 };
    struct json_writer w;
    struct str message;
    unsigned status = 200;

    if (c->result == 0) {
        message = arena_printf(&ex->arena, "Tokenizer '%.*s' removed successfully", STR_FMT(c->name));
    } else if (c->result == ERR_NOT_FOUND) {
        status = 404;
        message = arena_printf(&ex->arena, "Tokenizer '%.*s' not found", STR_FMT(key_of(ex)));
    } else {
        http_error_retry_after(ex, 1);
        status = 503;
        message = c->result == ERR_STORE
                      ? STR("The change could not be written to the state directory and was not made; try again later")
                  : c->result == ERR_BUSY ? STR("Job queue full: too many changes wait; try again later")
                                          : STR("The gateway is out of memory for this request");
    }
    json_begin(&w, &out);
    json_object(&w);
    json_put_bool(&w, "success", status == 200);
    json_put_str(&w, "message", message);
    json_end(&w);
    admin_reply_json(ex, status, &out);
}

static void on_removed(struct catalog_command *c)
{
    struct exchange *ex = exchange_from_ref(CONTAINER_OF(c, struct tokenizer_ask, command)->exchange);

    if (ex)
        reply_removed(ex, c);
    catalog_command_free(c);
}

void admin_remove_tokenizer(struct exchange *ex, void *context)
{
    ask_about_key(ex, context, CATALOG_REMOVE, on_removed);
}
