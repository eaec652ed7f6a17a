/* gateway/tokenizers.c -- the catalog of a gateway: what it loads by itself, and what readiness asks of it (spec tokenizers 1.1, operations 13)
 *
 *   at the start             what the state directory kept; then --tokenizer-path, else --model-path, under that very name
 *   when a worker registers  under the id of its first model; the source is the first of: label tokenizer_path, label model_path, --tokenizer-path, --model-path
 *
 * Workers over gRPC get token ids and cannot be served without a tokenizer: theirs is fetched from wherever it is, and readiness waits for it. Workers over HTTP tokenize for
 * themselves; their labels come from the engine's own description, and nobody asked for a download: for them a label's source counts only when it is on this machine already (an
 * absolute path, or the cache of the hub that the engine filled). The flags are the operator's word and count for all.
 */
#include "gateway/gateway_internal.h"

#include "base/log.h"

#define TARGET "smg::gateway"

static bool is_wanted(const struct gateway *g)
{
    return !g->config->disable_tokenizer_autoload;
}

static struct str startup_source(const struct launch_config *c)
{
    return c->tokenizer_path.n ? c->tokenizer_path : c->model_path;
}

int gateway_make_tokenizers(struct gateway *g, struct err *err)
{
    struct catalog_conf conf = { .control = g->control, .journal = gateway_state_journal(g->state), .hub = &g->hub };
    struct err trouble = { 0 };
    int r;

    if (hub_config_from_env(&g->hub, &trouble) < 0) { /* most gateways never ask the hub: no reason not to start */
        log_warn(TARGET, "no models from the Hugging Face hub: its settings in the environment are wrong",
                 LF_CSTR("error", trouble.message));
        conf.hub = NULL;
    }
    r = pool_new(g->encoders_n, &g->encoders, err);
    return r < 0 ? r : catalog_new(&conf, &g->catalog, err);
}

void gateway_load_tokenizers(struct gateway *g)
{
    struct str source = startup_source(g->config);

    catalog_restore(g->catalog);
    if (is_wanted(g) && source.n)
        catalog_want(g->catalog, source, source, g->config->chat_template, CATALOG_FETCH);
}

void gateway_stop_tokenizers(struct gateway *g)
{
    catalog_stop(g->catalog);
}

/* The loops have ended and are not freed yet: what the pools still give back finds them. */
void gateway_free_tokenizers(struct gateway *g)
{
    pool_free(STEAL(g->encoders));
    for (unsigned i = 0; i < g->threads_n; i++) {
        admin_tokenizers_fini(&g->threads[i].tokenizers);
        admin_parse_fini(&g->threads[i].parse);
    }
    catalog_free(STEAL(g->catalog));
    hub_config_fini(&g->hub);
}

/* ---- workers ---- */

static struct str label_of(const struct worker *w, struct str key)
{
    for (size_t i = 0; i < w->spec.labels_n; i++)
        if (str_eq(w->spec.labels[i].key, key))
            return w->spec.labels[i].value;
    return STR_NONE;
}

/* A relative path of an engine's is relative to the engine's folder, and a bare name is no hub id that anybody shares. */
static bool may_be_here(struct str source)
{
    return source.n && (source.p[0] == '/' || str_find_char(source, '/') != STR_NPOS);
}

struct wanted {
    struct str source; /* empty: none */
    enum catalog_reach reach;
};

static struct wanted source_for(const struct gateway *g, const struct worker *w)
{
    static const struct str LABELS[] = { STR_INIT("tokenizer_path"), STR_INIT("model_path") };
    struct str flags = startup_source(g->config);

    for (size_t i = 0; i < ARRAY_LEN(LABELS); i++) {
        struct str source = label_of(w, LABELS[i]);

        if (source.n && (w->spec.mode != WORKER_HTTP || str_eq(source, flags)))
            return (struct wanted){ source, CATALOG_FETCH };
        if (may_be_here(source))
            return (struct wanted){ source, CATALOG_LOCAL_ONLY };
    }
    return (struct wanted){ flags, CATALOG_FETCH };
}

void gateway_tokenizer_of_worker(struct gateway *g, const struct worker *w)
{
    const struct model_card *model = w->spec.models_n ? &w->spec.models[0] : NULL;
    struct wanted wanted;

    if (!is_wanted(g) || g->closing || !model || model->id.n > CATALOG_NAME_MAX || w->spec.runtime == RUNTIME_EXTERNAL)
        return;
    wanted = source_for(g, w);
    if (wanted.source.n && wanted.source.n <= CATALOG_SOURCE_MAX)
        catalog_want(g->catalog, model->id, wanted.source, model->chat_template.n ? model->chat_template : g->config->chat_template,
                     wanted.reach);
    else if (w->spec.mode != WORKER_HTTP)
        log_warn(TARGET, "no tokenizer for a worker's model: neither its labels nor --tokenizer-path or --model-path name one",
                 LF_STR("worker", w->spec.url), LF_STR("model", model->id));
}

bool gateway_tokenizers_ready(struct gateway *g, struct loop *loop)
{
    const struct worker_table *t;
    const struct tokenizer_table *tokenizers;

    if (!is_wanted(g))
        return true;
    t = registry_table(g->registry, loop);
    tokenizers = catalog_table(g->catalog, loop);
    for (size_t i = 0; i < t->n; i++) {
        const struct worker *w = t->workers[i];

        if (w->spec.mode == WORKER_GRPC && worker_is_ready(w) && w->spec.models_n &&
            !map_get(&tokenizers->by_name, w->spec.models[0].id))
            return false;
    }
    return true;
}
