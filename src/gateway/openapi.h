/* gateway/openapi.h -- GET /openapi.json: the OpenAPI 3.1 document of this gateway
 *
 *   GATEWAY_ROUTES (path, who, body, error form) --+
 *   OPENAPI_OPERATIONS (words, shapes, statuses) --+--openapi_write--> one JSON text, made once at the start, served to anybody
 *
 * Paths, auth and error forms come from the route array, bodies from the tables that read them; only summaries and the statuses that an operation has of its
 * own are written by hand. tests/unit/gateway/openapi.c: every route has its operation and the reverse. tests/integration/test_openapi.py: the document is valid,
 * and answers to generated requests have documented statuses and shapes.
 */
#pragma once

#include "base/buf.h"
#include "http/exchange.h"
#include "json/json_shape.h"

/* A member of the query. */
struct openapi_parameter {
    const char *name, *help;
    const char *const *names; /* NULL-terminated: what it may be; NULL = any text */
};

struct openapi_operation {
    enum http_method method;
    const char *path;                 /* both as in the route array */
    const char *id;                   /* operationId: stable, for generated clients */
    const char *summary;              /* a phrase */
    const struct json_shape *request; /* NULL = no body */
    bool request_optional;
    const char *answers;            /* statuses with the shape of `reply`, split at white space: "200 206" */
    const struct json_shape *reply; /* NULL: text */
    const char *
        errors; /* further statuses of its own, in the route's error form: "404 409"; what its auth group and its body bring is added */
    const struct openapi_parameter *parameters; /* of the query; its end has no name; NULL = none */
};

extern const struct openapi_operation OPENAPI_OPERATIONS[];
extern const size_t OPENAPI_OPERATIONS_N;

/* The operation of ROUTE, or NULL. */
const struct openapi_operation *openapi_find(const struct route *route);

/* The whole document into OUT, which fails stickily. ROUTES without an operation are left out. */
void openapi_write(struct buf *out, const struct route *routes, size_t n);

/* GET /openapi.json; CONTEXT: struct gateway */
void gateway_openapi(struct exchange *ex, void *context);
