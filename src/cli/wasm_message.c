#include "cli/wasm_message.h"

#include "json/json.h"

#define HEADERS_MAX 1000

/* ---- headers ---- */

struct headers {
    struct arena *arena;
    struct wasm_header *v; /* arena; HEADERS_MAX */
    size_t n;
};

static int headers_init(struct headers *h, struct arena *arena, struct err *err)
{
    *h = (struct headers){ .arena = arena, .v = arena_array(arena, HEADERS_MAX, sizeof *h->v) };
    return h->v ? 0 : err_set(err, ERR_NOMEM, "no memory for the message");
}

static int add_header(struct headers *h, struct str name, struct str value, struct err *err)
{
    char *lower = arena_alloc(h->arena, name.n);

    if (h->n == HEADERS_MAX)
        return err_set(err, ERR_LIMIT, "the message has more than %d headers", HEADERS_MAX);
    if (!lower || h->arena->failed)
        return err_set(err, ERR_NOMEM, "no memory for the message");
    for (size_t i = 0; i < name.n; i++)
        lower[i] = (char)(name.p[i] >= 'A' && name.p[i] <= 'Z' ? name.p[i] + 32 : name.p[i]);
    h->v[h->n++] = (struct wasm_header){ { lower, name.n }, value };
    return 0;
}

/* ---- a message as HTTP writes it ---- */

/* The first line, without its end; what is behind it stays in *TEXT. */
static struct str take_line(struct str *text)
{
    struct str line;

    (void)str_split(*text, '\n', &line, text);
    if (line.n > 0 && line.p[line.n - 1] == '\r')
        line.n--;
    return line;
}

/* Headers up to the empty line; the body is the rest. */
static int read_fields(struct str *text, struct headers *h, struct err *err)
{
    unsigned number = 2;

    for (; text->n > 0; number++) {
        struct str line = take_line(text), name, value;
        int r;

        if (line.n == 0)
            return 0;
        if (!str_split(line, ':', &name, &value) || name.n == 0)
            return err_set(err, ERR_SYNTAX, "line %u is no header (name: value); an empty line goes before the body", number);
        r = add_header(h, name, str_trim(value), err);
        if (r < 0)
            return r;
    }
    return 0;
}

static void set_target(struct wasm_request *r, struct str target)
{
    if (!str_split(target, '?', &r->path, &r->query))
        r->query = STR_NONE;
}

static int read_http_request(struct str text, struct headers *h, struct wasm_request *ret, struct err *err)
{
    struct str line = take_line(&text), rest, version;
    int r;

    if (!str_split(line, ' ', &ret->method, &rest) || rest.n == 0 || rest.p[0] != '/')
        return err_set(err, ERR_SYNTAX, "line 1 is no request line: METHOD /path HTTP/1.1");
    (void)str_split(rest, ' ', &rest, &version);
    set_target(ret, rest);
    r = read_fields(&text, h, err);
    ret->body = text;
    return r;
}

static int read_http_response(struct str text, struct headers *h, struct wasm_response *ret, struct err *err)
{
    struct str line = take_line(&text), version, rest, status, reason;
    uint64_t n;
    int r;

    if (!str_has_prefix(line, STR("HTTP/")) || !str_split(line, ' ', &version, &rest))
        return err_set(err, ERR_SYNTAX, "line 1 is no status line: HTTP/1.1 200 OK");
    (void)str_split(rest, ' ', &status, &reason);
    if (str_to_u64(status, &n) < 0 || n < 100 || n > 999)
        return err_set(err, ERR_SYNTAX, "line 1 has no status of three digits: HTTP/1.1 200 OK");
    ret->status = (uint16_t)n;
    r = read_fields(&text, h, err);
    ret->body = text;
    return r;
}

/* ---- a message as JSON ---- */

static int wrong_member(struct err *err, const char *name, const char *wanted)
{
    return err_set(err, ERR_INVALID, "the member '%s' must be %s", name, wanted);
}

static int read_document(struct str text, struct arena *arena, struct json_doc *doc, struct err *err)
{
    struct json_error e = { 0 };
    int r = json_parse(text, arena, doc, &e);

    if (r == ERR_SYNTAX)
        return err_set(err, r, "%s at line %u column %u", e.message, e.line, e.column);
    return r < 0 ? err_set(err, r, "the message: %s", err_text(r)) : 0;
}

static int read_text(struct json v, const char *name, struct str otherwise, struct arena *arena, struct str *ret, struct err *err)
{
    *ret = otherwise;
    if (json_is_null(v))
        return 0;
    if (!json_is(v, JSON_STRING))
        return wrong_member(err, name, "a string");
    *ret = json_str(v, arena);
    return arena->failed ? err_set(err, ERR_NOMEM, "no memory for the message") : 0;
}

static int read_values(struct json name, struct json values, struct headers *h, struct err *err)
{
    struct json_iter it = json_iter(values);
    int r = 0;

    if (json_is(values, JSON_STRING))
        return add_header(h, json_str(name, h->arena), json_str(values, h->arena), err);
    if (!json_is(values, JSON_ARRAY))
        return wrong_member(err, "headers", "an object of strings or of arrays of strings");
    while (r == 0 && json_next(&it))
        r = json_is(it.value, JSON_STRING) ? add_header(h, json_str(name, h->arena), json_str(it.value, h->arena), err)
                                           : wrong_member(err, "headers", "an object of strings or of arrays of strings");
    return r;
}

static int read_headers(struct json v, struct headers *h, struct err *err)
{
    struct json_iter it = json_iter(v);
    int r = 0;

    if (!json_is_null(v) && !json_is(v, JSON_OBJECT))
        return wrong_member(err, "headers", "an object of strings or of arrays of strings");
    while (r == 0 && json_next(&it))
        r = read_values(it.key, it.value, h, err);
    return r;
}

static struct str body_of(struct json v, struct arena *arena)
{
    return json_is(v, JSON_STRING) ? json_str(v, arena) : json_is_null(v) ? STR_NONE : json_raw(v);
}

static int read_json_request(struct str text, struct headers *h, struct wasm_request *ret, struct err *err)
{
    struct json_doc doc;
    struct json root;
    struct str target, query;
    int r = read_document(text, h->arena, &doc, err);

    if (r < 0)
        return r;
    root = json_root(&doc);
    r = read_text(json_get(root, STR("method")), "method", STR("POST"), h->arena, &ret->method, err);
    if (r == 0)
        r = read_text(json_get(root, STR("path")), "path", STR("/v1/chat/completions"), h->arena, &target, err);
    if (r == 0)
        r = read_text(json_get(root, STR("query")), "query", STR_NONE, h->arena, &query, err);
    if (r == 0)
        r = read_text(json_get(root, STR("request_id")), "request_id", STR_NONE, h->arena, &ret->request_id, err);
    if (r == 0)
        r = read_headers(json_get(root, STR("headers")), h, err);
    if (r < 0)
        return r;
    set_target(ret, target);
    if (query.n > 0)
        ret->query = query;
    ret->body = body_of(json_get(root, STR("body")), h->arena);
    return 0;
}

static int read_json_response(struct str text, struct headers *h, struct wasm_response *ret, struct err *err)
{
    struct json_doc doc;
    struct json root, status;
    uint64_t n = 200;
    int r = read_document(text, h->arena, &doc, err);

    if (r < 0)
        return r;
    root = json_root(&doc);
    status = json_get(root, STR("status"));
    if (!json_is_null(status) && (json_to_u64(status, &n) < 0 || n < 100 || n > 999))
        return wrong_member(err, "status", "a number from 100 to 999");
    r = read_headers(json_get(root, STR("headers")), h, err);
    if (r < 0)
        return r;
    ret->status = (uint16_t)n;
    ret->body = body_of(json_get(root, STR("body")), h->arena);
    return 0;
}

/* ---- entries ---- */

static bool is_json(struct str text)
{
    text = str_trim(text);
    return text.n > 0 && text.p[0] == '{';
}

int wasm_message_request(struct str text, struct arena *arena, struct wasm_request *ret, struct err *err)
{
    struct headers h;
    int r = headers_init(&h, arena, err);

    *ret = (struct wasm_request){ 0 };
    if (r == 0)
        r = (is_json(text) ? read_json_request : read_http_request)(text, &h, ret, err);
    ret->headers = (struct wasm_headers){ h.v, h.n };
    return r == 0 && arena->failed ? err_set(err, ERR_NOMEM, "no memory for the message") : r;
}

int wasm_message_response(struct str text, struct arena *arena, struct wasm_response *ret, struct err *err)
{
    struct headers h;
    int r = headers_init(&h, arena, err);

    *ret = (struct wasm_response){ 0 };
    if (r == 0)
        r = (is_json(text) ? read_json_response : read_http_response)(text, &h, ret, err);
    ret->headers = (struct wasm_headers){ h.v, h.n };
    return r == 0 && arena->failed ? err_set(err, ERR_NOMEM, "no memory for the message") : r;
}
