/* gateway/openapi.c -- the document from the route array and the table of operations
 *
 * Routes with one path become one path item; the order is the route array's. The document is made once and kept: it does not change while a gateway runs.
 */
#include "gateway/openapi.h"

#include "config/option.h"
#include "gateway/gateway_internal.h"
#include "json/json_schema.h"

static const char *const METHOD_NAMES[] = {
    [HTTP_GET] = "get", [HTTP_POST] = "post", [HTTP_PUT] = "put", [HTTP_DELETE] = "delete", [HTTP_PATCH] = "patch",
};

/* What a request may be answered before its handler sees it: a broken or late head, an Expect that is not 100-continue, a limit. */
#define ALWAYS    "400 408 414 417 431 503"
#define WITH_BODY "413 415 422"
#define WITH_KEY  "401"
#define WITH_ROLE "403"
/* Behind what a worker answers, which passes as it is. */
#define OF_WORKERS "404 429 502 504"

const struct openapi_operation *openapi_find(const struct route *route)
{
    for (size_t i = 0; i < OPENAPI_OPERATIONS_N; i++) {
        const struct openapi_operation *o = &OPENAPI_OPERATIONS[i];

        if (o->method == route->method && strcmp(o->path, route->path) == 0)
            return o;
    }
    return NULL;
}

/* ---- the error forms (decisions.md 2; http/error.h) ---- */

#define ROW(member_name, member_type, more)                                                 \
    {                                                                                       \
        .name = member_name, .type = member_type, .flags = more, .at_given = SHAPE_NO_GIVEN \
    }

static const struct json_shape_field DETAIL_FIELDS[] = {
    ROW("message", SHAPE_STR, SHAPE_REQUIRED),
    ROW("type", SHAPE_STR, SHAPE_REQUIRED),
    ROW("param", SHAPE_JSON, SHAPE_REQUIRED),
    ROW("code", SHAPE_JSON, SHAPE_REQUIRED),
};
static const struct json_shape DETAIL = { .name = "ErrorDetail", .fields = DETAIL_FIELDS, .fields_n = ARRAY_LEN(DETAIL_FIELDS) };
static const struct json_shape_field OPENAI_FIELDS[] = {
    { .name = "error", .type = SHAPE_OBJECT, .sub = &DETAIL, .flags = SHAPE_REQUIRED, .at_given = SHAPE_NO_GIVEN },
};
/* On routes with a form of their own, what stands in front of the handler (auth, limits) speaks the first form all the same. */
static const struct json_shape_field OTHER_FIELDS[] = { ROW("error", SHAPE_JSON, SHAPE_REQUIRED) };

/* Of the tokenizers' routes: three forms of their own (spec control-plane 12), and the first in front of the handler. */
static const struct json_shape_field TYPED_FIELDS[] = { ROW("error", SHAPE_JSON, 0), ROW("message", SHAPE_STR, 0) };

/* Of the parse routes (spec control-plane 14). */
static const struct json_shape_field PARSE_FIELDS[] = {
    ROW("error", SHAPE_JSON, SHAPE_REQUIRED),
    ROW("success", SHAPE_BOOL, 0),
    { .name = "available", .type = SHAPE_ARRAY, .element = SHAPE_STR, .at_given = SHAPE_NO_GIVEN },
};

static const struct json_shape ERRORS[] = {
    { .name = "Error", .fields = OPENAI_FIELDS, .fields_n = ARRAY_LEN(OPENAI_FIELDS) },
    { .name = "OtherError", .fields = OTHER_FIELDS, .fields_n = ARRAY_LEN(OTHER_FIELDS) },
    { .name = "TokenizerError", .fields = TYPED_FIELDS, .fields_n = ARRAY_LEN(TYPED_FIELDS) },
    { .name = "ParseError", .fields = PARSE_FIELDS, .fields_n = ARRAY_LEN(PARSE_FIELDS) },
};

static void put_error_schemas(struct json_writer *w)
{
    json_put_object(w, "schemas");
    for (size_t i = 0; i < ARRAY_LEN(ERRORS); i++) {
        json_key(w, str_of(ERRORS[i].name));
        json_schema_write(w, &ERRORS[i]);
    }
    json_end(w);
}

static void put_error_content(struct json_writer *w, const struct route *r)
{
    json_put_object(w, "content");
    json_put_object(w, "application/json");
    json_put_object(w, "schema");
    json_put_str(w, "$ref",
                 r->errors == ROUTE_ERRORS_OPENAI  ? STR("#/components/schemas/Error")
                 : r->errors == ROUTE_ERRORS_TYPED ? STR("#/components/schemas/TokenizerError")
                 : r->errors == ROUTE_ERRORS_PARSE ? STR("#/components/schemas/ParseError")
                                                   : STR("#/components/schemas/OtherError"));
    json_end(w);
    json_end(w);
    json_end(w);
}

/* ---- parameters ---- */

static void put_parameter(struct json_writer *w, struct str name, const char *in, const char *help, const char *const *names)
{
    json_object(w);
    json_put_str(w, "name", name);
    json_put_str(w, "in", str_of(in));
    if (help)
        json_put_str(w, "description", str_of(help));
    json_put_bool(w, "required", strcmp(in, "path") == 0);
    json_put_object(w, "schema");
    json_put_str(w, "type", STR("string"));
    if (names) {
        json_put_array(w, "enum");
        for (; *names; names++)
            json_value_str(w, str_of(*names));
        json_end(w);
    }
    json_end(w);
    json_end(w);
}

static void put_parameters(struct json_writer *w, const struct openapi_operation *o)
{
    struct str path = str_of(o->path);
    size_t open, close;

    json_put_array(w, "parameters");
    while ((open = str_find_char(path, '{')) != STR_NPOS && (close = str_find_char(path, '}')) != STR_NPOS) {
        put_parameter(w, (struct str){ path.p + open + 1, close - open - 1 }, "path", NULL, NULL);
        path = str_skip(path, close + 1);
    }
    for (const struct openapi_parameter *p = o->parameters; p && p->name; p++)
        put_parameter(w, str_of(p->name), "query", p->help, p->names);
    json_end(w);
}

/* ---- bodies and answers ---- */

static void put_json_content(struct json_writer *w, const struct json_shape *shape)
{
    json_put_object(w, "content");
    json_put_object(w, "application/json");
    json_key(w, STR("schema"));
    json_schema_write(w, shape);
    json_end(w);
    json_end(w);
}

static void put_text_content(struct json_writer *w)
{
    json_put_object(w, "content");
    json_put_object(w, "text/plain");
    json_put_object(w, "schema");
    json_put_str(w, "type", STR("string"));
    json_end(w);
    json_end(w);
    json_end(w);
}

static const char *describe(struct str status)
{
    static const struct {
        const char *status, *text;
    } WORDS[] = {
        { "200", "Done" },
        { "202", "Accepted: the work goes on in the background" },
        { "206", "Some workers failed" },
        { "400", "The request is malformed or says something that cannot be" },
        { "401", "The credential is missing or wrong" },
        { "403", "The credential lacks the admin role" },
        { "404", "There is no such thing" },
        { "408", "The request came too slowly" },
        { "409", "It exists already" },
        { "413", "The body is too large" },
        { "414", "The request target is too long" },
        { "415", "The body is not declared as JSON" },
        { "417", "The expectation cannot be met" },
        { "422", "The body is JSON of the wrong shape" },
        { "429", "Too many requests; Retry-After says when to come back" },
        { "431", "The head is too large" },
        { "500", "No worker could be asked" },
        { "502", "A worker could not be reached" },
        { "503", "Not now: nothing is ready, a queue is full or memory is short" },
        { "504", "A worker did not answer in time" },
    };

    for (size_t i = 0; i < ARRAY_LEN(WORDS); i++)
        if (str_eq(status, str_of(WORDS[i].status)))
            return WORDS[i].text;
    return "See the guide";
}

static void put_answer(struct json_writer *w, const struct openapi_operation *o)
{
    if (o->reply)
        put_json_content(w, o->reply);
    else
        put_text_content(w);
}

enum answer_form { FORM_REPLY, FORM_ERROR };

/* Those of STATUSES that are not in SEEN yet. */
static void put_responses_of(struct json_writer *w, const struct route *r, const struct openapi_operation *o, enum answer_form form,
                             const char *statuses, struct buf *seen)
{
    struct str list = str_of(statuses), status;

    while (option_next_word(&list, &status)) {
        if (str_find(buf_str(seen), status) != STR_NPOS)
            continue;
        buf_put(seen, status);
        buf_put_char(seen, ' ');
        json_key(w, status);
        json_object(w);
        json_put_str(w, "description", str_of(describe(status)));
        if (form == FORM_REPLY)
            put_answer(w, o);
        else
            put_error_content(w, r);
        json_end(w);
    }
}

static void put_responses(struct json_writer *w, const struct route *r, const struct openapi_operation *o)
{
    struct buf seen = { 0 };

    json_put_object(w, "responses");
    put_responses_of(w, r, o, FORM_REPLY, o->answers, &seen);
    put_responses_of(w, r, o, FORM_ERROR, o->errors, &seen);
    put_responses_of(w, r, o, FORM_ERROR, ALWAYS, &seen);
    if (r->auth != ROUTE_PUBLIC)
        put_responses_of(w, r, o, FORM_ERROR, WITH_KEY, &seen);
    if (r->auth == ROUTE_ADMIN)
        put_responses_of(w, r, o, FORM_ERROR, WITH_ROLE, &seen);
    if (o->request)
        put_responses_of(w, r, o, FORM_ERROR, WITH_BODY, &seen);
    if (r->context == CONTEXT_INFERENCE) {
        put_responses_of(w, r, o, FORM_ERROR, OF_WORKERS, &seen);
        json_put_object(w, "default");
        json_put_str(w, "description", STR("What the worker answered"));
        json_end(w);
    }
    json_end(w);
    w->out->failed |= seen.failed;
    buf_fini(&seen);
}

/* ---- the document ---- */

static void put_operation(struct json_writer *w, const struct route *r, const struct openapi_operation *o)
{
    json_key(w, str_of(METHOD_NAMES[o->method]));
    json_object(w);
    json_put_str(w, "operationId", str_of(o->id));
    json_put_str(w, "summary", str_of(o->summary));
    json_put_array(w, "tags");
    json_value_str(w, r->auth == ROUTE_ADMIN ? STR("control plane") : r->auth == ROUTE_DATA ? STR("inference") : STR("public"));
    json_end(w);
    put_parameters(w, o);
    if (o->request) {
        json_put_object(w, "requestBody");
        json_put_bool(w, "required", !o->request_optional);
        put_json_content(w, o->request);
        json_end(w);
    }
    put_responses(w, r, o);
    if (r->auth != ROUTE_PUBLIC) {
        json_put_array(w, "security");
        json_object(w);
        json_put_array(w, "bearer");
        json_end(w);
        json_end(w);
        json_end(w);
    }
    json_end(w);
}

static bool came_before(const struct route *routes, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (strcmp(routes[k].path, routes[i].path) == 0)
            return true;
    return false;
}

static void put_path(struct json_writer *w, const struct route *routes, size_t n, size_t first)
{
    json_key(w, str_of(routes[first].path));
    json_object(w);
    for (size_t i = first; i < n; i++) {
        const struct openapi_operation *o = openapi_find(&routes[i]);

        if (o && strcmp(routes[i].path, routes[first].path) == 0)
            put_operation(w, &routes[i], o);
    }
    json_end(w);
}

static void put_info(struct json_writer *w)
{
    json_put_str(w, "openapi", STR("3.1.0"));
    json_put_object(w, "info");
    json_put_str(w, "title", STR("smg"));
    json_put_str(w, "summary", STR("A model gateway between applications and inference engines"));
    json_put_str(w, "version", STR(SMG_VERSION));
    json_end(w);
}

static void put_components(struct json_writer *w)
{
    json_put_object(w, "components");
    put_error_schemas(w);
    json_put_object(w, "securitySchemes");
    json_put_object(w, "bearer");
    json_put_str(w, "type", STR("http"));
    json_put_str(w, "scheme", STR("bearer"));
    json_end(w);
    json_end(w);
    json_end(w);
}

void openapi_write(struct buf *out, const struct route *routes, size_t n)
{
    struct json_writer w;

    json_begin(&w, out);
    json_object(&w);
    put_info(&w);
    put_components(&w);
    json_put_object(&w, "paths");
    for (size_t i = 0; i < n; i++)
        if (!came_before(routes, i))
            put_path(&w, routes, n, i);
    json_end(&w);
    json_end(&w);
}

void gateway_openapi(struct exchange *ex, void *context)
{
    const struct gateway *g = context;

    exchange_reply(ex, 200, TYPE_JSON, buf_str(&g->openapi));
}
