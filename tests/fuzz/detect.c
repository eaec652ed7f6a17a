/* tests/fuzz/detect.c -- whatever an engine or a provider says about itself: bounds hold, and the worker that comes of it is valid JSON
 *
 * The input is four answers, cut at NUL bytes (models, version, server_info, model_info); the first byte chooses what the operator had said.
 */
#include <stdlib.h>

#include "json/json.h"
#include "worker/detect.h"
#include "worker/external.h"
#include "worker/registry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool holds)
{
    if (!holds)
        abort();
}

static void check_json(const struct worker_spec *spec, struct arena *arena)
{
    static const char ID[UUID_TEXT_LEN + 1] = "01234567-89ab-7def-8123-456789abcdef";
    struct worker *w = worker_new(spec, ID, 0, 0, NULL);
    struct json_writer out;
    struct json_doc doc;
    struct buf text = { 0 };

    expect(w != NULL);
    json_begin(&out, &text);
    worker_write_json(&out, w, /* job= */ NULL);
    expect(json_parse(buf_str(&text), arena, &doc, NULL) == 0);
    expect(json_count(json_get(json_root(&doc), STR("models"))) == spec->models_n);
    buf_fini(&text);
    worker_unref(w);
}

static void check_detected(const struct worker_spec *submitted, const struct detect_answers *a, struct arena *arena)
{
    const struct str aliases[] = { STR("alias"), STR("m"), STR("m"), STR("m") };
    struct worker_spec spec;
    struct err err;

    expect(detect_spec(submitted, a, aliases, 2, arena, &spec) == 0);
    expect(spec.runtime != RUNTIME_UNSPECIFIED && spec.labels_n <= DETECT_LABELS_MAX + submitted->labels_n);
    expect(spec.models_n <= MAX((size_t)DETECT_MODELS_MAX, submitted->models_n));
    for (size_t i = 0; i < spec.labels_n; i++)
        expect(spec.labels[i].value.n > 0 && spec.labels[i].value.n <= DETECT_VALUE_MAX);
    expect(spec.dp_size == -1 || (spec.dp_size > 0 && spec.dp_size <= DETECT_DP_MAX));
    expect((detect_check_dp(&spec, &err) == 0) == (spec.dp_size > 0));
    check_json(&spec, arena);
}

static void check_provider(const struct worker_spec *submitted, struct str body, struct arena *arena)
{
    struct worker_spec spec = *submitted;
    size_t names = 0;

    if (external_models(body, arena, &spec.models, &spec.models_n) < 0)
        return;
    for (size_t i = 0; i < spec.models_n; i++) {
        names += 1 + spec.models[i].aliases_n;
        expect(spec.models[i].id.n > 0);
        for (size_t k = 0; k < spec.models[i].aliases_n; k++)
            expect(spec.models[i].aliases[k].n >= spec.models[i].id.n);
    }
    expect(spec.models_n > 0 && names <= EXTERNAL_MODELS_MAX);
    check_json(&spec, arena);
}

static struct detect_answer next_answer(struct str *rest)
{
    struct detect_answer a = { .status = 200 };

    str_split(*rest, '\0', &a.body, rest);
    return a;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct model_card card = { .id = STR("m"), .model_type = CAPABILITIES_DEFAULT };
    struct worker_label label = { STR("id2label_json"), STR("{\"0\":\"a\"}") };
    struct worker_spec submitted;
    struct detect_answers a;
    struct arena arena;
    struct str rest;

    if (size < 1 || size > 16384)
        return 0;
    rest = (struct str){ (const char *)data + 1, size - 1 };
    worker_spec_defaults(&submitted);
    submitted.url = STR("http://h:1");
    if (data[0] & 1) {
        submitted.models = &card;
        submitted.models_n = 1;
    }
    if (data[0] & 2) {
        submitted.labels = &label;
        submitted.labels_n = 1;
    }
    if (data[0] & 4)
        submitted.runtime = RUNTIME_VLLM;
    a.models = next_answer(&rest);
    a.version = next_answer(&rest);
    a.server_info = next_answer(&rest);
    a.model_info = next_answer(&rest);
    arena_init(&arena, NULL, 0);
    check_detected(&submitted, &a, &arena);
    check_provider(&submitted, a.models.body, &arena);
    arena_fini(&arena);
    return 0;
}
