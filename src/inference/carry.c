/* inference/carry.c -- from a read body to a running dispatch */
#include "inference/carry.h"

#include "http/error.h"
#include "inference/parsed.h"

/* Plain-JSON endpoints of SMG answer 415, validated ones 400 (spec data-plane 5.3). */
static bool is_validated(enum api_kind kind)
{
    switch (kind) {
    case API_CHAT:
    case API_COMPLETIONS:
    case API_RERANK:
    case API_RESPONSES:
    case API_MESSAGES:
        return true;
    default:
        return false;
    }
}

static bool check_content_type(struct exchange *ex, enum api_kind kind)
{
    if (api_is_json_type(http_value(&ex->req.fields, HF_CONTENT_TYPE)))
        return true;
    if (is_validated(kind))
        http_error_invalid(ex, 400, STR("json_parse_error"), STR_NONE, STR("Missing Content-Type: application/json header"));
    else
        http_error_media_type(ex);
    return false;
}

static void reply_no_memory(struct exchange *ex)
{
    http_error_retry_after(ex, 1);
    http_error(ex, 503, STR("out_of_memory"), STR("The gateway is out of memory for this request"));
}

/* What the callbacks of a dispatch need. In the exchange's arena. */
struct carried {
    struct inference *inf;
    const struct api_request *request;
};

void inference_init(struct inference *inf, struct loop *loop, struct dispatcher *dispatcher, struct fanouts *fanouts)
{
    *inf = (struct inference){ .loop = loop, .dispatcher = dispatcher, .fanouts = fanouts };
    list_init(&inf->parse_jobs);
}

void inference_fini(struct inference *inf)
{
    if (!inf->loop)
        return; /* never made */
    parsed_free_jobs(inf);
    buf_fini(&inf->routing_text);
}

static struct str routing_text(const struct dispatch_request *r)
{
    struct carried *c = r->arg;
    struct buf *text = &c->inf->routing_text;

    buf_clear(text);
    api_routing_text(c->request, &r->ex->arena, text, ROUTING_TEXT_MAX);
    return text->failed ? STR_NONE : buf_str(text);
}

/* The body for a worker: the client's bytes; only an alias's name is replaced (decision 4). */
static int prepare_body(struct dispatch_request *r, enum upstream_dialect dialect, struct str canonical_model, struct str *ret_body)
{
    const struct api_request *request = ((const struct carried *)r->arg)->request;
    struct buf spliced = { 0 };

    (void)dialect; /* one dialect so far */
    if (!request->model.n || !canonical_model.n || str_eq(request->model, canonical_model) ||
        str_eq(canonical_model, STR("unknown")) || str_eq(request->model, STR("unknown"))) {
        *ret_body = r->ex->body;
        return 0;
    }
    api_splice_model(request, r->ex->body, canonical_model, &spliced);
    *ret_body = spliced.failed ? STR_NONE : arena_str(&r->ex->arena, buf_str(&spliced));
    buf_fini(&spliced);
    return ret_body->p ? 0 : ERR_NOMEM;
}

/* A request that names no model asks for any worker: without one, that is the answer, not an unknown model. */
static void reply_no_workers(struct exchange *ex, enum policy_leg leg)
{
    http_error_retry_after(ex, 1);
    if (leg == POLICY_PREFILL)
        http_error(ex, 503, STR("no_prefill_servers"), STR("No prefill servers available"));
    else
        http_error(ex, 503, STR("no_workers"), STR("No workers are available"));
}

void carry_start(struct exchange *ex, struct inference *inf, const struct dispatch_request *request, struct reply_sink *sink)
{
    struct dispatch *dispatch;
    struct dispatch_failure failure;

    if (!sink) {
        reply_no_memory(ex);
        return;
    }
    if (dispatch_start(inf->dispatcher, request, sink, &dispatch, &failure) < 0) {
        if (request->method == HTTP_GET && failure.cause == 0)
            reply_no_workers(ex, request->leg);
        else
            sink_reply_failure(ex, &failure);
        return;
    }
    sink_attach(sink, dispatch);
}

static bool names_no_model(const struct api_request *request)
{
    struct str model = str_trim(request->model);

    return model.n == 0 || str_eq(model, STR("unknown"));
}

void carry(struct exchange *ex, struct inference *inf, const struct carry_plan *plan)
{
    struct api_request *request = arena_new(&ex->arena, struct api_request);
    struct carried *carried = arena_new(&ex->arena, struct carried);
    struct api_error error = { 0 };
    struct api_shares shares = { 0 };
    bool pair, by_model = dispatcher_goes_by_model(inf->dispatcher);
    int r;

    if (!request || !carried) {
        reply_no_memory(ex);
        return;
    }
    if (!check_content_type(ex, plan->kind))
        return;
    r = api_request_read(plan->kind, ex->body, &ex->arena, request, &error);
    if (r == ERR_INVALID) {
        http_error_invalid(ex, error.status, error.code, error.param, error.message);
        return;
    }
    if (r < 0) {
        reply_no_memory(ex);
        return;
    }
    if (plan->needs_model && by_model && names_no_model(request)) {
        http_error(ex, 400, STR("missing_model"), STR("/generate requests must include a model when IGW routing is enabled"));
        return;
    }
    pair = !(plan->not_by_pairs && by_model) && dispatcher_wants_pair(inf->dispatcher, request->model);
    if (pair && plan->not_by_pairs) {
        http_error(ex, 501, STR("not_implemented"), str_of(plan->not_by_pairs));
        return;
    }
    if (pair)
        shares = api_shares(request);
    ex->facts.streaming = request->stream;
    *carried = (struct carried){ .inf = inf, .request = request };
    carry_start(ex, inf,
                &(struct dispatch_request){
                    .ex = ex,
                    .model = request->model,
                    .method = HTTP_POST,
                    .path = plan->path,
                    .endpoint = plan->endpoint,
                    .stream = request->stream,
                    .pair = pair,
                    .merge_logprobs = shares.logprobs,
                    .batch = shares.batch,
                    .answers = shares.answers,
                    .routing_text = routing_text,
                    .prepare = prepare_body,
                    .arg = carried,
                },
                plan->sink(ex, inf, request));
}

void carry_get(struct exchange *ex, struct inference *inf, struct str path, bool of_pair)
{
    carry_start(ex, inf,
                &(struct dispatch_request){
                    .ex = ex,
                    .method = HTTP_GET,
                    .path = path,
                    .endpoint = "info",
                    .leg = of_pair ? POLICY_PREFILL : POLICY_REGULAR,
                    .engines_only = true,
                },
                sink_relay(ex, inf, NULL));
}
