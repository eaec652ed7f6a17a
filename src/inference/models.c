/* inference/models.c -- GET /v1/models: what the registered workers serve (spec control-plane 16.2; BETTER: sorted by id) */
#include "http/error.h"
#include "inference/inference.h"
#include "json/json_write.h"

static void put_model(struct json_writer *w, const struct worker_model *m)
{
    json_object(w);
    json_put_str(w, "id", m->id);
    json_put_str(w, "object", STR("model"));
    json_put_u64(w, "created", 0);
    json_put_str(w, "owned_by", STR("self_hosted"));
    json_end(w);
}

void inference_models(struct exchange *ex, void *context)
{
    struct inference *inf = context;
    const struct worker_table *t = dispatcher_table(inf->dispatcher);
    struct buf out = { 0 };
    struct json_writer w;

    if (t->models_n == 0) {
        http_error_retry_after(ex, 1);
        http_error(ex, 503, STR("no_models"), STR("No models available"));
        return;
    }
    json_begin(&w, &out);
    json_object(&w);
    json_put_str(&w, "object", STR("list"));
    json_put_array(&w, "data");
    for (size_t i = 0; i < t->models_n; i++)
        put_model(&w, &t->models[i]);
    json_end(&w);
    json_end(&w);
    if (out.failed)
        http_error(ex, 503, STR("out_of_memory"), STR("The gateway is out of memory for this request"));
    else
        exchange_reply(ex, 200, TYPE_JSON, buf_str(&out));
    buf_fini(&out);
}
