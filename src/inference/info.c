/* inference/info.c -- what the fleet says about itself: GET /health_generate, /get_server_info, /get_model_info (spec control-plane 16.3)
 *
 *   an engine is registered (or nobody) ---> the question goes to a ready engine as it is, with the engine's own key; its answer comes back as it is
 *   only providers are registered ---------> they have no such routes: the gateway answers from its table
 *   prefill and decode run apart ----------> health: both engines of a pair (pair_health.c); the others: a prefill engine
 *   by model (--enable-igw) ---------------> one of these ways is drawn as for requests; the model's: an engine that does everything, if there is one
 *
 * In a mixed fleet only the engines are asked. A provider's URL is not in an error: it tells models (decision 6).
 */
#include "http/error.h"
#include "inference/carry.h"
#include "json/json_write.h"

struct providers {
    size_t n, ready;
};

/* False: there is an engine, or nobody. */
static bool providers_only(const struct worker_table *t, struct providers *ret)
{
    *ret = (struct providers){ .n = t->n };
    for (size_t i = 0; i < t->n; i++) {
        if (t->workers[i]->spec.runtime != RUNTIME_EXTERNAL)
            return false;
        ret->ready += worker_is_ready(t->workers[i]);
    }
    return t->n > 0;
}

static bool has_whole_engine(const struct worker_table *t)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->workers[i]->spec.runtime != RUNTIME_EXTERNAL && t->workers[i]->spec.type == WORKER_REGULAR)
            return true;
    return false;
}

/* Of a fleet that is not of providers only. MAY_DRAW: pairs share the question with the engines that do everything. */
static bool is_for_pair(struct inference *inf, const struct worker_table *t, bool may_draw)
{
    if (!dispatcher_goes_by_model(inf->dispatcher))
        return dispatcher_wants_pair(inf->dispatcher, STR_NONE);
    if (!has_whole_engine(t))
        return t->n > 0;
    return may_draw && dispatcher_wants_pair(inf->dispatcher, STR_NONE);
}

static void reply_written(struct exchange *ex, struct str type, struct buf *out)
{
    if (out->failed)
        http_error(ex, 503, STR("out_of_memory"), STR("The gateway is out of memory for this request"));
    else
        exchange_reply(ex, 200, type, buf_str(out));
    buf_fini(out);
}

/* ---- /health_generate ---- */

#define NAMED_MAX 16 /* unhealthy providers named in an error */

static void reply_unhealthy(struct exchange *ex, const struct worker_table *t, struct providers p)
{
    struct buf text = { 0 };
    size_t named = 0;

    buf_printf(&text, "%zu/%zu workers unhealthy: ", p.n - p.ready, p.n);
    for (size_t i = 0; i < t->n && named < NAMED_MAX; i++) {
        const struct worker_spec *s = &t->workers[i]->spec;

        if (worker_is_ready(t->workers[i]))
            continue;
        buf_printf(&text, "%s%.*s", named++ ? ", " : "", STR_FMT(s->models_n ? s->models[0].id : STR("any model")));
    }
    if (named < p.n - p.ready)
        buf_puts(&text, ", ...");
    http_error_retry_after(ex, 1);
    http_error(ex, 503, STR("service_unavailable"), text.failed ? STR("Workers are unhealthy") : buf_str(&text));
    buf_fini(&text);
}

void inference_health(struct exchange *ex, void *context)
{
    struct inference *inf = context;
    const struct worker_table *t = dispatcher_table(inf->dispatcher);
    struct providers p;
    struct buf out = { 0 };

    if (!providers_only(t, &p)) {
        if (is_for_pair(inf, t, /* may_draw= */ true))
            carry_pair_health(ex, inf, ex->req.path);
        else
            carry_get(ex, inf, ex->req.path, /* of_pair= */ false);
        return;
    }
    if (p.ready < p.n) {
        reply_unhealthy(ex, t, p);
        return;
    }
    buf_printf(&out, "OK - %zu workers healthy", p.n);
    reply_written(ex, TYPE_TEXT, &out);
}

/* ---- /get_server_info, /get_model_info ---- */

void inference_server_info(struct exchange *ex, void *context)
{
    struct inference *inf = context;
    const struct worker_table *t = dispatcher_table(inf->dispatcher);
    struct providers p;
    struct buf out = { 0 };
    struct json_writer w;

    if (!providers_only(t, &p)) {
        carry_get(ex, inf, ex->req.path, is_for_pair(inf, t, /* may_draw= */ true));
        return;
    }
    json_begin(&w, &out);
    json_object(&w);
    json_put_str(&w, "router_type", STR("openai"));
    json_put_u64(&w, "total_workers", p.n);
    json_put_u64(&w, "external_workers", p.n);
    json_put_u64(&w, "healthy_workers", p.ready);
    json_put_u64(&w, "total_models", t->models_n);
    json_put_array(&w, "worker_urls");
    for (size_t i = 0; i < t->n; i++)
        json_value_str(&w, t->workers[i]->spec.url);
    json_end(&w);
    json_end(&w);
    reply_written(ex, TYPE_JSON, &out);
}

void inference_model_info(struct exchange *ex, void *context)
{
    struct inference *inf = context;
    const struct worker_table *t = dispatcher_table(inf->dispatcher);
    struct providers p;

    if (providers_only(t, &p))
        http_error(ex, 501, STR("not_implemented"),
                   STR("Get model info is not implemented for external providers; GET /v1/models lists what they serve"));
    else
        carry_get(ex, inf, ex->req.path, is_for_pair(inf, t, /* may_draw= */ false));
}
