/* cors.c -- spec operations 18.1. Preflights are answered before auth and for every path: a browser sends them without credentials. */
#include "http/cors.h"

#define ALLOW_METHODS STR("GET,POST,PUT,PATCH,DELETE,OPTIONS")
#define ALLOW_HEADERS STR("content-type,authorization,x-api-key,anthropic-version,x-request-id,x-smg-routing-key,x-smg-tenant-id")
#define MAX_AGE       STR("3600")
#define VARY          STR("origin, access-control-request-method, access-control-request-headers")

static bool any_origin(const struct cors *cors)
{
    return cors->n == 0 || (cors->n == 1 && str_eq(cors->origins[0], STR("*")));
}

static bool is_listed(const struct cors *cors, struct str origin)
{
    for (size_t i = 0; i < cors->n; i++)
        if (str_eq(cors->origins[i], origin) || str_eq(cors->origins[i], STR("*")))
            return true;
    return false;
}

enum filter_verdict cors_on_head(struct exchange *ex, void *context)
{
    if (ex->req.method != HTTP_OPTIONS)
        return FILTER_GO_ON;
    exchange_reply(ex, 200, STR_NONE, STR_NONE);
    return FILTER_ANSWERED;
}

/* What a worker says about origins is about the gateway as its client; two such fields make a browser refuse both. */
static void drop_foreign(struct http_fields *f)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < f->n; i++)
        if (!str_has_prefix_nocase(f->v[i].name, STR("access-control-")))
            f->v[kept++] = f->v[i];
    f->n = kept;
}

void cors_on_reply(struct exchange *ex, void *context)
{
    const struct cors *cors = context;
    bool any = any_origin(cors), preflight = ex->req.method == HTTP_OPTIONS;
    struct str origin = http_value(&ex->req.fields, HF_ORIGIN);

    drop_foreign(&ex->reply);
    if (any)
        exchange_add_name(ex, STR("access-control-allow-origin"), STR("*"));
    else if (origin.n > 0 && is_listed(cors, origin))
        exchange_add_name(ex, STR("access-control-allow-origin"), origin);
    exchange_add_name(ex, STR("access-control-expose-headers"), any ? STR("*") : STR("x-request-id"));
    if (preflight) {
        exchange_add_name(ex, STR("access-control-allow-methods"), any ? STR("*") : ALLOW_METHODS);
        exchange_add_name(ex, STR("access-control-allow-headers"), any ? STR("*") : ALLOW_HEADERS);
        exchange_add_name(ex, STR("access-control-max-age"), MAX_AGE);
    }
    exchange_add(ex, HF_VARY, VARY);
}
