/* plugin/filter.c -- an exchange's requests and replies as runs of the chain, and what becomes of them
 *
 * ex->plugins is the list of the exchange's runs (struct held_run): they end with it, for what they made (fields, body) is the exchange's from then on.
 */
#include "plugin/filter.h"

#include "base/clock.h"
#include "base/log.h"
#include "http/error.h"

#define TARGET     "smg::plugin"
#define COPY_BYTES (16 * 1024) /* up to here a body is copied; a larger buffer is taken as it is */

static const struct metric_family EXECUTIONS = { .name = "smg_wasm_executions_total",
                                                 .help = "Invocations of plugins, by how they ended",
                                                 .type = METRIC_COUNTER,
                                                 .labels = { "module", "attach_point", "result" } };
static const struct metric_family DURATIONS = { .name = "smg_wasm_execution_duration_seconds",
                                                .help = "How long plugins took, the wait for a thread included",
                                                .type = METRIC_HISTOGRAM,
                                                .labels = { "module", "attach_point" },
                                                .bounds = (const double[]){ 0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005,
                                                                            0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5 },
                                                .bounds_n = 15 };
static const struct metric_family BYPASSES = { .name = "smg_wasm_streaming_bypass_total",
                                               .help = "Replies that OnResponse did not see because they are streams",
                                               .type = METRIC_COUNTER };

/* One run of an exchange; in the exchange's arena. */
struct held_run {
    struct held_run *older;
    struct plugin_run *run;
    struct exchange *ex;
};

static void on_request_done(struct plugin_run *run);
static void on_reply_done(struct plugin_run *run);

/* ---- beginning a run ---- */

/* The client left: plugin_on_end, which follows, lets the run go. */
static const struct exchange_owner WAITING = { 0 };

static bool covers(const struct exchange *ex)
{
    return ex->route && ex->route->auth == ROUTE_DATA && ex->route->plugins == ROUTE_PLUGINS_DATA;
}

/* BODY into the run: TAKEN, when it is large, is the buffer that it stands in. */
static void give_body(struct plugin_run *run, struct str body, struct buf taken)
{
    run->kept = taken;
    run->message.body = taken.p ? body : arena_str(&run->arena, body);
}

/* NULL: no memory. */
static struct held_run *begin(struct plugin_filter *f, struct exchange *ex, struct plugin_table *table, unsigned points,
                              enum plugin_side side)
{
    struct held_run *h = arena_new(&ex->arena, struct held_run);

    if (!h)
        return NULL;
    h->run = plugin_run_new(&f->chain, table, points, side);
    if (!h->run)
        return NULL;
    h->ex = ex;
    h->older = ex->plugins;
    ex->plugins = h;
    h->run->request_id = arena_str(&h->run->arena, ex->request_id);
    return h;
}

static void start(struct held_run *h, void (*done)(struct plugin_run *run))
{
    exchange_own(h->ex, &WAITING, /* arg= */ NULL);
    plugin_run_start(h->run, done, h);
}

/* ---- what is counted ---- */

static struct str result_of(const struct plugin_step *s)
{
    switch (s->status) {
    case 0:
        return STR("success");
    case ERR_TIMEOUT:
        return STR("timeout");
    case ERR_LIMIT:
        return STR("limit");
    case ERR_BUSY:
        return STR("busy");
    default:
        return STR("error");
    }
}

static void count_steps(const struct plugin_run *run, void *arg)
{
    struct plugin_filter *f = arg;

    for (size_t i = 0; i < run->steps_n && run->steps[i].ran; i++) {
        const struct plugin_step *s = &run->steps[i];
        struct str labels[] = { s->module->d.name, str_of(plugin_point_name(s->point)), result_of(s) };

        metric_add(metric_cell(f->loop->metrics, &EXECUTIONS, labels), 1);
        metric_observe_us(metric_cell(f->loop->metrics, &DURATIONS, labels), s->us);
    }
}

static void refuse(struct exchange *ex)
{
    exchange_unhold(ex);
    http_error_retry_after(ex, 1);
    http_error(ex, 503, STR("plugin_failed"), STR("A plugin that must not be skipped failed; try again later"));
}

/* ---- requests ---- */

static bool is_too_long(const struct plugin_filter *f, const struct plugin_table *t, uint64_t bytes)
{
    return t->bodied & 1u << PLUGIN_ON_REQUEST && bytes > f->chain.conf.max_body_bytes;
}

static enum filter_verdict answer_too_long(struct exchange *ex)
{
    exchange_unhold(ex);
    http_error(ex, 400, STR("request_body_too_large"), STR("Failed to read request body: length limit exceeded"));
    return FILTER_ANSWERED;
}

enum filter_verdict plugin_on_head(struct exchange *ex, void *context)
{
    struct plugin_filter *f = context;

    if (!f->registry || !covers(ex))
        return FILTER_GO_ON;
    if (ex->req.body == HTTP_BODY_LENGTH && is_too_long(f, plugin_registry_table(f->registry, f->loop), ex->req.length))
        return answer_too_long(ex);
    exchange_hold_reply(ex, &f->hold, f);
    return FILTER_GO_ON;
}

enum filter_verdict plugin_on_body(struct exchange *ex, void *context)
{
    struct plugin_filter *f = context;
    struct plugin_table *t;
    struct plugin_run *run;
    struct held_run *h;

    if (!f->registry || !covers(ex))
        return FILTER_GO_ON;
    t = plugin_registry_table(f->registry, f->loop);
    if (!(t->attached & 1u << PLUGIN_ON_REQUEST))
        return FILTER_GO_ON;
    if (is_too_long(f, t, ex->body.n))
        return answer_too_long(ex);
    h = begin(f, ex, t, 1u << PLUGIN_ON_REQUEST, PLUGIN_REQUEST);
    if (!h) {
        exchange_unhold(ex);
        http_error_retry_after(ex, 1);
        http_error(ex, 503, STR("out_of_memory"), STR("The gateway is out of memory; try again later"));
        return FILTER_ANSWERED;
    }
    run = h->run;
    run->method = arena_str(&run->arena, ex->req.method_text.n ? ex->req.method_text : http_method_text(ex->req.method));
    run->path = arena_str(&run->arena, ex->req.path);
    run->query = arena_str(&run->arena, ex->req.query);
    plugin_message_take_fields(&run->message, &ex->req.fields);
    give_body(run, ex->body, ex->body.n > COPY_BYTES ? exchange_take_body(ex) : (struct buf){ 0 });
    start(h, on_request_done);
    return FILTER_WAITING;
}

static bool has_value(const struct http_fields *f, enum http_field_id id, struct str value)
{
    for (unsigned i = 0; i < f->n; i++)
        if (f->v[i].id == id && str_eq(f->v[i].value, value))
            return true;
    return false;
}

/* Credentials that a plugin put in the place of the client's are the worker's to see (decision 3 is about the client's). */
static void note_credentials(struct exchange *ex, const struct http_fields *now)
{
    static const enum http_field_id IDS[] = { HF_AUTHORIZATION, HF_X_API_KEY };

    for (size_t i = 0; i < ARRAY_LEN(IDS); i++)
        for (unsigned k = 0; k < ex->req.fields.n; k++)
            if ((ex->req.fields.v[k].id == HF_AUTHORIZATION || ex->req.fields.v[k].id == HF_X_API_KEY) &&
                has_value(now, IDS[i], ex->req.fields.v[k].value))
                return;
    ex->principal.credential_is_ours = false;
    ex->principal.sent_secret = false;
}

static void take_request(struct exchange *ex, struct plugin_run *run)
{
    if (run->message.fields_changed) {
        note_credentials(ex, &run->message.fields);
        ex->req.fields = run->message.fields;
    }
    if (run->message.body_changed)
        ex->body = run->message.body;
}

static void on_request_done(struct plugin_run *run)
{
    struct held_run *h = run->owner;
    struct exchange *ex = h->ex;

    switch (run->verdict) {
    case PLUGIN_PASS:
        take_request(ex, run);
        exchange_resume(ex);
        break;
    case PLUGIN_REJECTED:
        exchange_unhold(ex);
        exchange_reply(ex, run->status, STR_NONE, STR_NONE);
        break;
    case PLUGIN_REFUSED:
        refuse(ex);
        break;
    }
}

/* ---- replies ---- */

static unsigned points_of(const struct plugin_table *t, const struct exchange *ex)
{
    unsigned points = t->attached & 1u << PLUGIN_ON_RESPONSE;

    if (ex->status >= 500 && ex->facts.error_code.n)
        points |= t->attached & 1u << PLUGIN_ON_ERROR;
    return points;
}

static bool is_stream(const struct exchange *ex)
{
    struct str type = http_value(&ex->reply, HF_CONTENT_TYPE);

    return ex->reply_length == HTTP_LENGTH_UNKNOWN || str_find(type, STR("text/event-stream")) != STR_NPOS ||
           str_find(type, STR("application/x-ndjson")) != STR_NPOS;
}

static void bypass(struct plugin_filter *f, struct exchange *ex)
{
    atomic_fetch_add_explicit(&plugin_registry_totals(f->registry)->bypassed, 1, memory_order_relaxed);
    if (!f->bypassed)
        f->bypassed = metric_cell(f->loop->metrics, &BYPASSES, NULL);
    metric_add(f->bypassed, 1);
    log_debug(TARGET, "Skipping WASM OnResponse for streaming response", LF_STR("request_id", ex->request_id));
    if (http_find(&ex->req.fields, HF_X_SMG_DEBUG))
        exchange_add_name(ex, STR("x-smg-plugins"), STR("OnResponse bypassed: streaming reply"));
}

static bool wants(struct exchange *ex, void *arg)
{
    struct plugin_filter *f = arg;
    unsigned points = points_of(plugin_registry_table(f->registry, f->loop), ex);

    if (!points || ex->req.method == HTTP_HEAD)
        return false;
    if (is_stream(ex)) {
        bypass(f, ex);
        return false;
    }
    return true;
}

static void answer_as_it_was(struct exchange *ex, unsigned status, struct str body)
{
    exchange_unhold(ex);
    exchange_reply_kept(ex, status, body);
}

static void whole(struct exchange *ex, struct str body, void *arg)
{
    struct plugin_filter *f = arg;
    struct plugin_table *t = plugin_registry_table(f->registry, f->loop);
    unsigned points = points_of(t, ex);
    struct held_run *h;

    if (!points) { /* removed meanwhile */
        answer_as_it_was(ex, ex->status, body);
        return;
    }
    h = begin(f, ex, t, points, PLUGIN_REPLY);
    if (!h) {
        ex->reply.n = 0;
        exchange_unhold(ex);
        http_error_retry_after(ex, 1);
        http_error(ex, 503, STR("out_of_memory"), STR("The gateway is out of memory; try again later"));
        return;
    }
    h->run->message.status = ex->status;
    plugin_message_take_fields(&h->run->message, &ex->reply);
    give_body(h->run, body, body.n > COPY_BYTES ? exchange_take_held(ex) : (struct buf){ 0 });
    start(h, on_reply_done);
}

static void on_reply_done(struct plugin_run *run)
{
    struct held_run *h = run->owner;
    struct exchange *ex = h->ex;

    if (run->verdict == PLUGIN_REFUSED) {
        ex->reply.n = 0;
        refuse(ex);
        return;
    }
    ex->reply = run->message.fields;
    /* A reject keeps headers and body, as in SMG: what the worker said is the operator's to hide, by replacing the body first. */
    answer_as_it_was(ex, run->verdict == PLUGIN_REJECTED ? run->status : run->message.status, run->message.body);
}

static void cut(struct exchange *ex, int status, void *arg)
{
    (void)arg;
    ex->reply.n = 0;
    exchange_unhold(ex);
    http_error(ex, 500, STR("read_response_body_failed"),
               status == ERR_LIMIT   ? STR("Failed to read response body: it is longer than plugins may see")
               : status == ERR_NOMEM ? STR("Failed to read response body: the gateway is out of memory")
                                     : STR("Failed to read response body: it broke off"));
}

/* ---- the end ---- */

void plugin_on_end(struct exchange *ex, void *context)
{
    struct held_run *h = ex->plugins;

    (void)context;
    ex->plugins = NULL;
    for (; h; h = h->older)
        plugin_run_drop(h->run);
}

void plugin_filter_init(struct plugin_filter *f, struct plugin_registry *registry, const struct plugin_chain_conf *conf,
                        struct loop *loop)
{
    *f = (struct plugin_filter){ .registry = registry, .loop = loop };
    if (!registry)
        return;
    f->hold = (struct exchange_hold){ .wants = wants, .whole = whole, .cut = cut, .max_bytes = conf->max_body_bytes };
    plugin_chain_init(&f->chain, conf, loop);
    f->chain.conf.ended = count_steps;
    f->chain.conf.arg = f;
}

void plugin_filter_fini(struct plugin_filter *f)
{
    plugin_chain_fini(&f->chain);
}
