/* admin/body.c -- reading a JSON request body */
#include "admin/body.h"

#include "http/error.h"

/* application/json, application/anything+json; parameters do not matter. */
static bool is_json_type(struct str type)
{
    struct str parameters, subtype;

    (void)str_split(type, ';', &type, &parameters);
    type = str_trim(type);
    if (!str_has_prefix_nocase(type, STR("application/")))
        return false;
    subtype = str_skip(type, strlen("application/"));
    if (str_eq_nocase(subtype, STR("json")))
        return true;
    return subtype.n > 5 && str_eq_nocase(str_skip(subtype, subtype.n - 5), STR("+json"));
}

void admin_refuse_memory(struct exchange *ex)
{
    http_error_retry_after(ex, 1);
    http_error(ex, 503, STR("out_of_memory"), STR("The gateway is out of memory for this request"));
}

void admin_refuse_shape(struct exchange *ex, int status, const struct err *err)
{
    if (status == ERR_NOMEM) {
        admin_refuse_memory(ex);
        return;
    }
    http_error(ex, 422, STR("json_data_error"),
               arena_printf(&ex->arena, "Failed to deserialize the JSON body into the target type: %s", err->message));
}

bool admin_read_json(struct exchange *ex, struct json_doc *ret)
{
    struct json_error error;
    int status;

    if (!is_json_type(http_value(&ex->req.fields, HF_CONTENT_TYPE))) {
        http_error_media_type(ex);
        return false;
    }
    status = json_parse(ex->body, &ex->arena, ret, &error);
    if (status == ERR_SYNTAX)
        http_error(ex, 400, STR("json_parse_error"),
                   arena_printf(&ex->arena, "Failed to parse the request body as JSON: %s at line %u column %u", error.message,
                                error.line, error.column));
    else if (status < 0)
        admin_refuse_memory(ex);
    return status == 0;
}

void admin_reply_json(struct exchange *ex, unsigned status, struct buf *out)
{
    if (out->failed)
        admin_refuse_memory(ex);
    else
        exchange_reply(ex, status, TYPE_JSON, buf_str(out));
    buf_fini(out);
}

struct exchange_ref admin_await(struct exchange *ex)
{
    static const struct exchange_owner WAITING = { 0 };

    exchange_own(ex, &WAITING, /* arg= */ NULL);
    return exchange_refer(ex);
}
