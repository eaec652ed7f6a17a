/* inference/audio.c -- POST /v1/audio/transcriptions: a form with a file (spec data-plane 5.8)
 *
 * The form goes on byte for byte under the client's own boundary; only an alias in its part `model` is replaced by the canonical name (decision 4). An engine's error is the answer:
 * nothing is sent twice that may be many megabytes, but a worker that cannot be reached is replaced by another.
 */
#include <math.h>
#include <stdlib.h>

#include "api/multipart.h"
#include "http/error.h"
#include "inference/carry.h"

#define SHOWN_MAX 64 /* bytes of a wrong value that a message repeats */

/* What the callbacks of the dispatch need. In the exchange's arena. */
struct transcription {
    struct multipart form;
    struct str model; /* as the client wrote it, without blanks around it */
    struct str prompt;
    bool stream;
};

static void refuse(struct exchange *ex, const char *field, struct str message)
{
    http_error_invalid(ex, 400, STR("invalid_form"), str_of(field), message);
}

static struct str field(const struct multipart *form, const char *name)
{
    const struct multipart_part *part = multipart_find(form, str_of(name));

    return part ? part->data : STR_NONE;
}

static bool is_temperature(struct str text)
{
    char copy[64], *end;
    double v;

    text = str_trim(text);
    if (text.n == 0 || text.n >= sizeof copy)
        return false;
    memcpy(copy, text.p, text.n);
    copy[text.n] = 0;
    v = strtod(copy, &end);
    return *end == 0 && isfinite(v) && v >= 0 && v <= 1;
}

static bool read_flag(struct str text, bool *ret)
{
    static const struct str WORDS[] = { STR_INIT("false"), STR_INIT("False"), STR_INIT("FALSE"), STR_INIT("0"),
                                        STR_INIT("true"),  STR_INIT("True"),  STR_INIT("TRUE"),  STR_INIT("1") };

    for (size_t i = 0; i < ARRAY_LEN(WORDS); i++)
        if (str_eq(text, WORDS[i])) {
            *ret = i >= ARRAY_LEN(WORDS) / 2;
            return true;
        }
    return false;
}

/* False: EX is answered. */
static bool check_form(struct exchange *ex, struct transcription *t)
{
    const struct multipart_part *file = multipart_find(&t->form, STR("file")),
                                *temperature = multipart_find(&t->form, STR("temperature")),
                                *stream = multipart_find(&t->form, STR("stream"));

    t->model = str_trim(field(&t->form, "model"));
    t->prompt = field(&t->form, "prompt");
    if (!file)
        refuse(ex, "file", STR("Missing required 'file' part"));
    else if (file->data.n == 0)
        refuse(ex, "file", STR("Uploaded 'file' part is empty"));
    else if (t->model.n == 0)
        refuse(ex, "model", STR("Missing required 'model' field"));
    else if (temperature && !is_temperature(temperature->data))
        refuse(ex, "temperature",
               arena_printf(&ex->arena, "Invalid 'temperature' value: %.*s (must be a finite number in [0.0, 1.0])",
                            STR_FMT(str_first(temperature->data, SHOWN_MAX))));
    else if (stream && !read_flag(stream->data, &t->stream))
        refuse(ex, "stream",
               arena_printf(&ex->arena, "Invalid 'stream' value: '%.*s' (expected true/false/1/0)",
                            STR_FMT(str_first(stream->data, SHOWN_MAX))));
    else
        return true;
    return false;
}

/* The form of EX. NULL: EX is answered. */
static struct transcription *read_form(struct exchange *ex)
{
    struct transcription *t = arena_new(&ex->arena, struct transcription);
    struct str boundary = multipart_boundary(http_value(&ex->req.fields, HF_CONTENT_TYPE));
    struct err err = { 0 };

    if (!t) {
        http_error_retry_after(ex, 1);
        http_error(ex, 503, STR("out_of_memory"), STR("The gateway is out of memory for this request"));
    } else if (!boundary.n) {
        http_error(ex, 415, STR("unsupported_media_type"),
                   STR("Expected request with `Content-Type: multipart/form-data` and its boundary"));
    } else if (multipart_read(ex->body, boundary, &t->form, &err) < 0) {
        refuse(ex, "", arena_printf(&ex->arena, "Failed to read multipart field: %s", err.message));
    } else if (check_form(ex, t)) {
        return t;
    }
    return NULL;
}

static struct str routing_text(const struct dispatch_request *r)
{
    return ((const struct transcription *)r->arg)->prompt;
}

static int prepare_body(struct dispatch_request *r, enum upstream_dialect dialect, struct str canonical_model, struct str *ret_body)
{
    const struct transcription *t = r->arg;
    struct str body = r->ex->body, old = field(&t->form, "model");
    size_t before = (size_t)(old.p - body.p);
    char *text;

    (void)dialect;
    *ret_body = body;
    if (!canonical_model.n || str_eq(t->model, canonical_model) || str_eq(canonical_model, STR("unknown")) ||
        str_eq(t->model, STR("unknown")))
        return 0;
    text = arena_alloc(&r->ex->arena, body.n - old.n + canonical_model.n);
    if (!text)
        return ERR_NOMEM;
    memcpy(text, body.p, before);
    memcpy(text + before, canonical_model.p, canonical_model.n);
    memcpy(text + before + canonical_model.n, old.p + old.n, body.n - before - old.n);
    *ret_body = (struct str){ text, body.n - old.n + canonical_model.n };
    return 0;
}

/* A rank is told in a JSON body: a form has no place for it. */
static bool suits(const struct worker *w)
{
    return w->spec.dp_base_url.n == 0;
}

static bool only_ranks_serve(const struct worker_table *table, struct str model)
{
    const struct worker_model *m = worker_table_find(table, model);
    size_t n = 0;

    for (size_t i = 0; m && i < m->n; i++) {
        if (m->workers[i]->spec.type != WORKER_REGULAR || m->workers[i]->spec.mode != WORKER_HTTP)
            continue;
        if (suits(m->workers[i]))
            return false;
        n++;
    }
    return n > 0;
}

void inference_transcriptions(struct exchange *ex, void *context)
{
    struct inference *inf = context;
    struct transcription *t = read_form(ex);

    if (!t)
        return;
    if (!dispatcher_goes_by_model(inf->dispatcher) && dispatcher_wants_pair(inf->dispatcher, t->model)) {
        http_error(ex, 501, STR("not_implemented"), STR("Audio transcriptions not implemented"));
        return;
    }
    if (only_ranks_serve(dispatcher_table(inf->dispatcher), t->model)) {
        http_error(ex, 400, STR("dp_aware_not_supported"), STR("/v1/audio/transcriptions does not yet support DP-aware workers"));
        return;
    }
    ex->facts.streaming = t->stream;
    carry_start(ex, inf,
                &(struct dispatch_request){
                    .ex = ex,
                    .model = t->model,
                    .method = HTTP_POST,
                    .path = STR("/v1/audio/transcriptions"),
                    .endpoint = "audio",
                    .stream = t->stream,
                    .no_retries = true,
                    .content_type = http_value(&ex->req.fields, HF_CONTENT_TYPE),
                    .suits = suits,
                    .routing_text = routing_text,
                    .prepare = prepare_body,
                    .arg = t,
                },
                sink_relay(ex, inf, NULL));
}
