/* router.c -- from method and path to a route
 *
 * Routes with one path are one resource. Paths without parameters are found by hash; the few with parameters are tried in the order of the array, a segment
 * in braces standing for any one non-empty segment. A path without parameters wins over a template. Nothing is normalised: /workers/ is not /workers.
 * The Allow text of each resource is made when the router is (spec control-plane 1.2: "POST,GET,HEAD", in the order of the array, HEAD behind GET).
 */
#include "http/server_internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/map.h"
#include "base/url.h"
#include "http/error.h"

#define ALLOW_MAX 64
#define METHODS   (HTTP_OPTIONS + 1)

struct resource {
    struct str path; /* static: the route table's */
    unsigned params;
    enum route_auth group; /* of its first route */
    const struct route *by_method[METHODS];
    char allow[ALLOW_MAX];
    size_t allow_n;
};

struct router {
    struct resource *resources; /* owned */
    size_t n;
    struct map exact;            /* path -> resource; borrowed values */
    struct resource **templates; /* owned array */
    size_t templates_n;
};

/* The next segment of *PATH ("/a/b" -> "a", rest "/b"); false at the end. */
static bool next_segment(struct str *path, struct str *ret)
{
    size_t end;

    if (path->n == 0 || path->p[0] != '/')
        return false;
    *path = str_skip(*path, 1);
    end = str_find_char(*path, '/');
    *ret = str_first(*path, end == STR_NPOS ? path->n : end);
    *path = str_skip(*path, ret->n);
    return true;
}

static bool is_param(struct str segment)
{
    return segment.n > 2 && segment.p[0] == '{' && segment.p[segment.n - 1] == '}';
}

static unsigned count_params(struct str path)
{
    struct str segment;
    unsigned n = 0;

    while (next_segment(&path, &segment))
        n += is_param(segment);
    return n;
}

unsigned route_params(const struct route *route)
{
    return count_params(str_of(route->path));
}

/* ---- making one ---- */

static struct resource *find_resource(struct router *r, struct str path)
{
    for (size_t i = 0; i < r->n; i++)
        if (str_eq(r->resources[i].path, path))
            return &r->resources[i];
    return NULL;
}

static void allow_add(struct resource *res, enum http_method method)
{
    struct str name = http_method_text(method);

    res->allow_n +=
        (size_t)snprintf(res->allow + res->allow_n, ALLOW_MAX - res->allow_n, "%s%.*s", res->allow_n ? "," : "", STR_FMT(name));
}

static int add_route(struct router *r, const struct route *route, struct err *err)
{
    struct str path = str_of(route->path);
    struct resource *res;
    const char *name = http_method_text(route->method).p;

    if (path.n == 0 || path.p[0] != '/' || route->method >= METHODS || !route->handler)
        return err_set(err, ERR_INVALID, "route %s \"%s\": a route has a known method, a path that begins with \"/\" and a handler",
                       name, route->path);
    if (count_params(path) > ROUTE_PARAMS_MAX)
        return err_set(err, ERR_INVALID, "route %s %s: at most %d parameters", name, route->path, ROUTE_PARAMS_MAX);
    res = find_resource(r, path);
    if (!res) {
        res = &r->resources[r->n++];
        res->path = path;
        res->params = count_params(path);
        res->group = route->auth;
    }
    if (res->by_method[route->method])
        return err_set(err, ERR_EXISTS, "route %s %s stands twice in the table", name, route->path);
    res->by_method[route->method] = route;
    allow_add(res, route->method);
    if (route->method == HTTP_GET)
        allow_add(res, HTTP_HEAD);
    return 0;
}

static int index_resources(struct router *r)
{
    for (size_t i = 0; i < r->n; i++) {
        struct resource *res = &r->resources[i];

        if (res->params > 0)
            r->templates[r->templates_n++] = res;
        else if (map_put(&r->exact, res->path, res, NULL) < 0)
            return ERR_NOMEM;
    }
    return 0;
}

int router_new(const struct route *routes, size_t n, struct router **ret, struct err *err)
{
    struct router *r = calloc(1, sizeof(*r));
    int st = ERR_NOMEM;

    if (r) {
        r->resources = calloc(n ? n : 1, sizeof(*r->resources));
        r->templates = calloc(n ? n : 1, sizeof(*r->templates));
    }
    if (!r || !r->resources || !r->templates)
        goto failed;
    for (size_t i = 0; i < n; i++) {
        st = add_route(r, &routes[i], err);
        if (st < 0)
            goto failed;
    }
    st = index_resources(r);
    if (st < 0)
        goto failed;
    *ret = r;
    return 0;

failed:
    router_free(r);
    return st == ERR_NOMEM ? err_set(err, st, "no memory for the route table") : st;
}

void router_free(struct router *r)
{
    if (!r)
        return;
    map_fini(&r->exact);
    free(r->templates);
    free(r->resources);
    free(r);
}

/* ---- finding ---- */

static bool matches(const struct resource *res, struct str path, struct str params[ROUTE_PARAMS_MAX])
{
    struct str pattern = res->path, want, got;
    unsigned n = 0;

    while (next_segment(&pattern, &want)) {
        if (!next_segment(&path, &got))
            return false;
        if (is_param(want)) {
            if (got.n == 0)
                return false;
            params[n++] = got;
        } else if (!str_eq(want, got)) {
            return false;
        }
    }
    return path.n == 0;
}

static const struct resource *find(const struct router *r, struct str path, struct str params[ROUTE_PARAMS_MAX])
{
    const struct resource *res = map_get(&r->exact, path);

    if (res)
        return res;
    for (size_t i = 0; i < r->templates_n; i++)
        if (matches(r->templates[i], path, params))
            return r->templates[i];
    return NULL;
}

/* {NULL, 0} when the escapes are wrong: route_check_on_head answers that. */
static struct str decoded(struct exchange *ex, struct str raw)
{
    char *out;
    long n;

    if (str_find_char(raw, '%') == STR_NPOS)
        return raw;
    out = arena_alloc(&ex->arena, raw.n);
    if (!out)
        return STR_NONE;
    n = url_decode(raw, out);
    return n < 0 ? STR_NONE : (struct str){ out, (size_t)n };
}

void router_find(const struct router *r, struct exchange *ex)
{
    struct str params[ROUTE_PARAMS_MAX] = { { NULL, 0 } };
    const struct resource *res = find(r, ex->req.path, params);
    enum http_method method = ex->req.method;

    if (!res)
        return;
    ex->route_label = res->path.p;
    ex->route_group = res->group;
    if (method == HTTP_HEAD && !res->by_method[HTTP_HEAD])
        method = HTTP_GET;
    ex->route = method < METHODS ? res->by_method[method] : NULL;
    if (!ex->route)
        ex->route_allow = (struct str){ res->allow, res->allow_n };
    for (unsigned i = 0; i < res->params; i++)
        ex->params[i] = decoded(ex, params[i]);
}

/* ---- the ready filters ---- */

static struct str param_name(const struct route *route, unsigned index)
{
    struct str path = str_of(route->path), segment = STR_NONE;

    while (next_segment(&path, &segment))
        if (is_param(segment) && index-- == 0)
            return (struct str){ segment.p + 1, segment.n - 2 };
    return STR_NONE;
}

enum filter_verdict route_check_on_head(struct exchange *ex, void *context)
{
    if (!ex->route) {
        if (ex->route_allow.n > 0)
            http_error_method(ex);
        else
            http_error_not_found(ex);
        return FILTER_ANSWERED;
    }
    if (ex->params[0].p == NULL && str_find_char(str_of(ex->route->path), '{') == STR_NPOS)
        return FILTER_GO_ON;
    for (unsigned i = 0, n = route_params(ex->route); i < n; i++) {
        if (ex->params[i].p || ex->arena.failed)
            continue;
        struct str name = param_name(ex->route, i);

        http_error_invalid(ex, 400, STR("invalid_path"), name,
                           arena_printf(&ex->arena, "Invalid URL: bad escape or invalid UTF-8 in `%.*s`", STR_FMT(name)));
        return FILTER_ANSWERED;
    }
    return FILTER_GO_ON;
}

enum filter_verdict body_limit_on_head(struct exchange *ex, void *context)
{
    uint64_t max = ex->server->conf.max_body_bytes;

    if (ex->req.body != HTTP_BODY_LENGTH || ex->req.length <= max || (!ex->route && ex->route_allow.n == 0))
        return FILTER_GO_ON; /* an unknown path is that first */
    http_error_too_large(ex, max);
    return FILTER_ANSWERED;
}

/* RFC 9110 10.1.1: HTTP/1.0 clients do not know the field. */
enum filter_verdict expect_check_on_head(struct exchange *ex, void *context)
{
    const struct http_field *expect;

    if (ex->req.expect_continue || ex->req.minor == 0)
        return FILTER_GO_ON;
    expect = http_find(&ex->req.fields, HF_EXPECT);
    if (!expect || str_eq_nocase(expect->value, STR("100-continue")))
        return FILTER_GO_ON; /* without a body there is nothing to continue with */
    http_error(ex, 417, STR("expectation_failed"), STR("The only expectation that can be met is \"Expect: 100-continue\""));
    return FILTER_ANSWERED;
}
