/* error.c -- the table of error bodies as code
 *
 * Bodies are built in the server's scratch buffer, so an error needs neither arena nor malloc: it is what is sent when memory is out, and what a gateway under
 * overload sends most.
 */
#include "http/error.h"

#include "http/server_internal.h"

#include "json/json_write.h"

#define PATH_SHOWN 200 /* bytes of a path that a message repeats */

static void reply(struct exchange *ex, unsigned status)
{
    struct buf *body = &ex->server->scratch;

    if (body->failed) /* a message over the bound: the status must do */
        buf_clear(body);
    exchange_reply(ex, status, TYPE_JSON, buf_str(body));
}

static void begin(struct exchange *ex, struct json_writer *w)
{
    buf_clear(&ex->server->scratch);
    json_begin(w, &ex->server->scratch);
    json_object(w);
}

/* The code as a header and a fact; the header only where it can be one. */
static void note_code(struct exchange *ex, struct str code)
{
    ex->facts.error_code = arena_str(&ex->arena, code);
    if (code.n > 0 && http_is_field_value(code))
        exchange_add(ex, HF_X_SMG_ERROR_CODE, ex->facts.error_code);
}

/* https://docs.anthropic.com/en/api/errors */
static struct str anthropic_type(unsigned status)
{
    switch (status) {
    case 401:
        return STR("authentication_error");
    case 403:
        return STR("permission_error");
    case 404:
        return STR("not_found_error");
    case 413:
        return STR("request_too_large");
    case 429:
        return STR("rate_limit_error");
    case 503:
    case 529:
        return STR("overloaded_error");
    default:
        return status < 500 ? STR("invalid_request_error") : STR("api_error");
    }
}

static void reply_anthropic(struct exchange *ex, unsigned status, struct str message)
{
    struct json_writer w;

    begin(ex, &w);
    json_put_str(&w, "type", STR("error"));
    json_put_object(&w, "error");
    json_put_str(&w, "type", anthropic_type(status));
    json_put_str(&w, "message", message);
    json_end(&w);
    json_end(&w);
    reply(ex, status);
}

static bool is_anthropic(const struct exchange *ex)
{
    return ex->route && ex->route->errors == ROUTE_ERRORS_ANTHROPIC;
}

void http_error(struct exchange *ex, unsigned status, struct str code, struct str message)
{
    struct json_writer w;

    note_code(ex, code);
    if (is_anthropic(ex)) {
        reply_anthropic(ex, status, message);
        return;
    }
    begin(ex, &w);
    json_put_object(&w, "error");
    json_put_str(&w, "message", message);
    json_put_str(&w, "type", str_of(http_reason(status)));
    json_put_null(&w, "param");
    json_put_str(&w, "code", code);
    json_end(&w);
    json_end(&w);
    reply(ex, status);
}

void http_error_invalid(struct exchange *ex, unsigned status, struct str code, struct str param, struct str message)
{
    struct json_writer w;

    ex->facts.error_code = arena_str(&ex->arena, code);
    if (is_anthropic(ex)) {
        reply_anthropic(ex, status, message);
        return;
    }
    begin(ex, &w);
    json_put_object(&w, "error");
    json_put_str(&w, "message", message);
    json_put_str(&w, "type", STR("invalid_request_error"));
    if (param.n > 0)
        json_put_str(&w, "param", param);
    else
        json_put_null(&w, "param");
    if (code.n > 0)
        json_put_str(&w, "code", code);
    else
        json_put_u64(&w, "code", status);
    json_end(&w);
    json_end(&w);
    reply(ex, status);
}

void http_error_workers(struct exchange *ex, unsigned status, struct str code, struct str message)
{
    struct json_writer w;

    ex->facts.error_code = arena_str(&ex->arena, code);
    begin(ex, &w);
    json_put_str(&w, "error", message);
    json_put_str(&w, "code", code);
    json_end(&w);
    reply(ex, status);
}

void http_error_typed(struct exchange *ex, unsigned status, struct str type, struct str message)
{
    struct json_writer w;

    ex->facts.error_code = arena_str(&ex->arena, type);
    begin(ex, &w);
    json_put_object(&w, "error");
    json_put_str(&w, "message", message);
    json_put_str(&w, "type", type);
    json_end(&w);
    json_end(&w);
    reply(ex, status);
}

void http_error_parse(struct exchange *ex, unsigned status, struct str message, const struct str *available, size_t n)
{
    struct json_writer w;

    begin(ex, &w);
    json_put_str(&w, "error", message);
    json_put_bool(&w, "success", false);
    if (n) {
        json_put_array(&w, "available");
        for (size_t i = 0; i < n; i++)
            json_value_str(&w, available[i]);
        json_end(&w);
    }
    json_end(&w);
    reply(ex, status);
}

/* ---- row 6 ---- */

void http_error_unauthorized(struct exchange *ex, struct str challenge, struct str message)
{
    if (challenge.n > 0)
        exchange_add(ex, HF_WWW_AUTHENTICATE, arena_str(&ex->arena, challenge));
    http_error(ex, 401, STR("unauthorized"), message);
}

void http_error_not_found(struct exchange *ex)
{
    struct str path = str_first(ex->req.path, PATH_SHOWN);

    http_error(ex, 404, STR("not_found"), arena_printf(&ex->arena, "There is no resource at %.*s", STR_FMT(path)));
}

void http_error_method(struct exchange *ex)
{
    struct str path = str_first(ex->req.path, PATH_SHOWN), method = str_first(ex->req.method_text, 32);

    exchange_add(ex, HF_ALLOW, ex->route_allow);
    http_error(ex, 405, STR("method_not_allowed"),
               arena_printf(&ex->arena, "%.*s does not allow %.*s; allowed: %.*s", STR_FMT(path), STR_FMT(method),
                            STR_FMT(ex->route_allow)));
}

void http_error_too_large(struct exchange *ex, uint64_t limit_bytes)
{
    http_error(
        ex, 413, STR("payload_too_large"),
        arena_printf(&ex->arena, "The request body is larger than the limit of %llu bytes", (unsigned long long)limit_bytes));
}

void http_error_media_type(struct exchange *ex)
{
    http_error(ex, 415, STR("unsupported_media_type"), STR("Expected request with `Content-Type: application/json`"));
}

void http_error_malformed(struct exchange *ex, unsigned status, struct str message)
{
    http_error(ex, status, status == 408 ? STR("request_timeout") : STR("malformed_request"), message);
}

void http_error_retry_after(struct exchange *ex, unsigned seconds)
{
    exchange_add(ex, HF_RETRY_AFTER, arena_printf(&ex->arena, "%u", seconds));
}
