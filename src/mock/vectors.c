/* vectors.c -- embeddings, rerank and classification: numbers by seed and text, answered at once
 *
 * An embedding is VECTOR_DIMENSIONS (or `dimensions`) numbers on the unit sphere; equal texts have equal vectors. A rerank score is in 0..1, the best first, as
 * engines sort. The faults that apply are the failure status and the engine's fail rate; a header that asks for another is refused.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "mock/engine.h"

#define VECTOR_DIMENSIONS 16
#define DIMENSIONS_MAX    4096
#define INPUTS_MAX        2048

struct input {
    uint64_t hash;
    uint64_t tokens;
};

static void refuse(struct mock_engine *e, struct exchange *ex, unsigned status, const char *message)
{
    ENGINE_COUNT(e, failed, 1);
    engine_error(e, ex, status, message);
}

static void finish(struct mock_engine *e, struct exchange *ex)
{
    ENGINE_COUNT(e, finished, 1);
    engine_reply_out(e, ex, TYPE_JSON);
}

static int read_faults(struct str header, struct mock_request_faults *f, struct err *err)
{
    int r = faults_read_header(header, f, err);

    if (r == 0 && (f->delay_ms || f->stall_after >= 0 || f->cut_after >= 0 || f->wrong_length))
        return err_set(err, ERR_INVALID, "x-mock-fault: this endpoint knows status and retry-after only");
    return r;
}

/* Begins such a request: its body parsed, its faults applied. False: answered already. */
static bool begin(struct mock_engine *e, struct exchange *ex, struct json_doc *doc)
{
    const struct mock_faults *f = engine_faults(e);
    struct mock_request_faults faults = { .retry_after_s = f->retry_after_s, .stall_after = -1, .cut_after = -1 };
    const struct http_field *header = http_find_name(&ex->req.fields, STR("x-mock-fault"));
    struct err err = { 0 };

    ENGINE_COUNT(e, requests, 1);
    if (f->fail_rate > 0 && random_unit(&e->random) < f->fail_rate)
        faults.status = f->fail_status;
    if (json_parse(ex->body, &ex->arena, doc, /* ret_error= */ NULL) < 0 || !json_is(json_root(doc), JSON_OBJECT)) {
        refuse(e, ex, 400, "the body is not a JSON object");
    } else if (header && read_faults(header->value, &faults, &err) < 0) {
        refuse(e, ex, 400, err.message);
    } else if (faults.status) {
        engine_fail(e, ex, &faults);
    } else {
        return true;
    }
    return false;
}

static struct input input_of(struct mock_engine *e, struct json v)
{
    struct str raw = json_raw(v);
    uint64_t tokens = json_is(v, JSON_ARRAY) ? json_count(v) : (json_raw_str(v).n + MOCK_TOKEN_BYTES - 1) / MOCK_TOKEN_BYTES;

    return (struct input){ .hash = text_mix(e->shared->conf.seed, text_hash(raw)), .tokens = MAX(tokens, 1) };
}

/* "text", ["text", ...], [1, 2], [[1, 2], ...]: the array of inputs in the arena; 0 = answered with an error. */
static size_t read_inputs(struct mock_engine *e, struct exchange *ex, struct json v, struct input **ret)
{
    bool several = json_is(v, JSON_ARRAY) && !json_is(json_at(v, 0), JSON_NUMBER);
    size_t n = several ? json_count(v) : 1;
    struct json_iter it = json_iter(v);
    struct input *inputs;

    if ((!json_is(v, JSON_STRING) && !json_is(v, JSON_ARRAY)) || n == 0 || n > INPUTS_MAX) {
        refuse(e, ex, 400, "input: expected a text, 1 to 2048 texts, or token ids");
        return 0;
    }
    inputs = arena_array(&ex->arena, n, sizeof(*inputs));
    if (!inputs) {
        refuse(e, ex, 503, "out of memory");
        return 0;
    }
    if (!several)
        inputs[0] = input_of(e, v);
    for (size_t i = 0; several && i < n && json_next(&it); i++)
        inputs[i] = input_of(e, it.value);
    *ret = inputs;
    return n;
}

static double unit(uint64_t hash, uint64_t k)
{
    return (double)(text_mix(hash, k) >> 11) / (double)(1ull << 53);
}

static void make_vector(uint64_t hash, float *v, size_t n)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++) {
        v[i] = (float)(2 * unit(hash, i) - 1);
        sum += (double)v[i] * (double)v[i];
    }
    for (size_t i = 0; i < n; i++)
        v[i] = (float)((double)v[i] / sqrt(sum));
}

/* The floats' bytes (little-endian, as every machine that we run on has them) in base64: what OpenAI's SDK asks for by default. */
static void put_base64(struct json_writer *w, const float *v, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *p = (const unsigned char *)v;
    size_t bytes = n * sizeof(*v);
    char text[4];

    json_value_raw(w, STR("\""));
    for (size_t i = 0; i < bytes; i += 3) {
        size_t left = bytes - i;
        unsigned three = (unsigned)p[i] << 16 | (left > 1 ? (unsigned)p[i + 1] << 8 : 0) | (left > 2 ? p[i + 2] : 0u);

        text[0] = digits[three >> 18];
        text[1] = digits[three >> 12 & 63];
        text[2] = left > 1 ? digits[three >> 6 & 63] : '=';
        text[3] = left > 2 ? digits[three & 63] : '=';
        buf_put(w->out, (struct str){ text, sizeof(text) });
    }
    buf_put_char(w->out, '"');
}

static void put_floats(struct json_writer *w, const float *v, size_t n)
{
    json_array(w);
    for (size_t i = 0; i < n; i++)
        json_value_f32(w, v[i]);
    json_end(w);
}

static void put_model(struct mock_engine *e, struct json root, struct json_writer *w)
{
    struct json model = json_get(root, STR("model"));

    json_put_raw(w, "model", json_is(model, JSON_STRING) ? json_raw(model) : buf_str(&e->shared->model_json));
}

static void put_usage(struct json_writer *w, const struct input *inputs, size_t n)
{
    uint64_t tokens = 0;

    for (size_t i = 0; i < n; i++)
        tokens += inputs[i].tokens;
    json_put_object(w, "usage");
    json_put_u64(w, "prompt_tokens", tokens);
    json_put_u64(w, "total_tokens", tokens);
    json_put_u64(w, "completion_tokens", 0);
    json_end(w);
}

void mock_embeddings(struct exchange *ex, void *context)
{
    struct mock_engine *e = context;
    uint64_t dimensions = VECTOR_DIMENSIONS;
    struct json_doc doc;
    struct json_writer w;
    struct input *inputs;
    struct json root;
    size_t n;
    float *v;
    bool base64;

    if (!begin(e, ex, &doc))
        return;
    root = json_root(&doc);
    if (!json_is_null(json_get(root, STR("dimensions"))) &&
        (json_to_u64(json_get(root, STR("dimensions")), &dimensions) < 0 || dimensions == 0 || dimensions > DIMENSIONS_MAX)) {
        refuse(e, ex, 400, "dimensions: expected 1 to 4096");
        return;
    }
    n = read_inputs(e, ex, json_get(root, STR("input")), &inputs);
    if (n == 0)
        return;
    v = arena_array(&ex->arena, dimensions, sizeof(*v));
    if (!v) {
        refuse(e, ex, 503, "out of memory");
        return;
    }
    base64 = json_str_eq(json_get(root, STR("encoding_format")), STR("base64"));
    buf_clear(&e->out);
    json_begin(&w, &e->out);
    json_object(&w);
    json_put_str(&w, "object", STR("list"));
    json_put_array(&w, "data");
    for (size_t i = 0; i < n; i++) {
        make_vector(inputs[i].hash, v, dimensions);
        json_object(&w);
        json_put_str(&w, "object", STR("embedding"));
        json_put_u64(&w, "index", i);
        json_key(&w, STR("embedding"));
        if (base64)
            put_base64(&w, v, dimensions);
        else
            put_floats(&w, v, dimensions);
        json_end(&w);
    }
    json_end(&w);
    put_model(e, root, &w);
    put_usage(&w, inputs, n);
    json_end(&w);
    finish(e, ex);
}

struct ranked {
    struct json document;
    double score;
    size_t index;
};

static int by_score(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;

    if (x->score != y->score)
        return x->score < y->score ? 1 : -1;
    return x->index < y->index ? -1 : x->index > y->index;
}

void mock_rerank(struct exchange *ex, void *context)
{
    struct mock_engine *e = context;
    struct json query, documents;
    struct ranked *ranked;
    struct json_doc doc;
    struct json_writer w;
    struct json_iter it;
    size_t n;

    if (!begin(e, ex, &doc))
        return;
    query = json_get(json_root(&doc), STR("query"));
    documents = json_get(json_root(&doc), STR("documents"));
    n = json_count(documents);
    if (!json_is(query, JSON_STRING) || !json_is(documents, JSON_ARRAY) || n == 0 || n > INPUTS_MAX) {
        refuse(e, ex, 400, "expected a query and 1 to 2048 documents");
        return;
    }
    ranked = arena_array(&ex->arena, n, sizeof(*ranked));
    if (!ranked) {
        refuse(e, ex, 503, "out of memory");
        return;
    }
    it = json_iter(documents);
    for (size_t i = 0; i < n && json_next(&it); i++)
        ranked[i] = (struct ranked){ it.value, unit(input_of(e, query).hash, text_hash(json_raw(it.value))), i };
    qsort(ranked, n, sizeof(*ranked), by_score);
    buf_clear(&e->out);
    json_begin(&w, &e->out);
    json_array(&w);
    for (size_t i = 0; i < n; i++) {
        json_object(&w);
        json_put_f32(&w, "score", (float)ranked[i].score);
        json_put_raw(&w, "document", json_raw(ranked[i].document));
        json_put_u64(&w, "index", ranked[i].index);
        json_put_object(&w, "meta_info");
        json_put_u64(&w, "prompt_tokens", input_of(e, query).tokens + input_of(e, ranked[i].document).tokens);
        json_end(&w);
        json_end(&w);
    }
    json_end(&w);
    finish(e, ex);
}

void mock_classify(struct exchange *ex, void *context)
{
    struct mock_engine *e = context;
    struct json_doc doc;
    struct json_writer w;
    struct input *inputs;
    char id[40];
    size_t n;

    if (!begin(e, ex, &doc))
        return;
    n = read_inputs(e, ex, json_get(json_root(&doc), STR("input")), &inputs);
    if (n == 0)
        return;
    (void)snprintf(id, sizeof(id), "classify-%016llx", (unsigned long long)inputs[0].hash);
    buf_clear(&e->out);
    json_begin(&w, &e->out);
    json_object(&w);
    json_put_str(&w, "id", str_of(id));
    json_put_str(&w, "object", STR("list"));
    json_put_u64(&w, "created", clock_wall_s());
    put_model(e, json_root(&doc), &w);
    json_put_array(&w, "data");
    for (size_t i = 0; i < n; i++) {
        float first = (float)unit(inputs[i].hash, 0), probabilities[] = { first, 1 - first };

        json_object(&w);
        json_put_u64(&w, "index", i);
        json_put_str(&w, "label", first >= 0.5f ? STR("LABEL_0") : STR("LABEL_1"));
        json_key(&w, STR("probs"));
        put_floats(&w, probabilities, ARRAY_LEN(probabilities));
        json_put_u64(&w, "num_classes", ARRAY_LEN(probabilities));
        json_end(&w);
    }
    json_end(&w);
    put_usage(&w, inputs, n);
    json_end(&w);
    finish(e, ex);
}
