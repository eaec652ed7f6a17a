/* inference/models.c -- GET /v1/models: what the registered workers serve (spec control-plane 16.2)
 *
 *   no token, or one of the gateway's own ------------------------------------> the registry's models, sorted by id, providers' included (BETTERs)
 *   somebody else's token --fan-out--> every ready external worker, once each --> the first list with a model in it; without one, the registry's models
 *
 * Decision 3: the gateway's own secrets never leave. Whether a credential is one of them is for auth/ to say (principal.sent_secret); here it only counts.
 */
#include "base/map.h"
#include "http/error.h"
#include "inference/inference.h"
#include "json/json_write.h"
#include "worker/external.h"

#define EACH_MS  10000
#define ALL_MS   15000
#define LIST_MAX (1u << 20) /* bytes of a provider's list; OpenAI's has 20 KiB */

/* ---- the registry's models ---- */

static void put_model(struct json_writer *w, struct str id, struct str owner)
{
    json_object(w);
    json_put_str(w, "id", id);
    json_put_str(w, "object", STR("model"));
    json_put_u64(w, "created", 0);
    json_put_str(w, "owned_by", owner.n ? owner : STR("self_hosted"));
    json_end(w);
}

static struct str owner_of(const struct worker_model *m)
{
    const struct worker_spec *s = &m->workers[0]->spec;

    for (size_t i = 0; i < s->models_n; i++)
        if (str_eq(s->models[i].id, m->id) && s->models[i].provider.n)
            return s->models[i].provider;
    return s->provider;
}

static void begin_list(struct json_writer *w, struct buf *out)
{
    json_begin(w, out);
    json_object(w);
    json_put_str(w, "object", STR("list"));
    json_put_array(w, "data");
}

static void reply_list(struct exchange *ex, struct json_writer *w)
{
    json_end(w);
    json_end(w);
    if (w->out->failed)
        http_error(ex, 503, STR("out_of_memory"), STR("The gateway is out of memory for this request"));
    else
        exchange_reply(ex, 200, TYPE_JSON, buf_str(w->out));
}

static void reply_registered(struct exchange *ex, struct inference *inf)
{
    const struct worker_table *t = dispatcher_table(inf->dispatcher);
    struct buf out = { 0 };
    struct json_writer w;

    if (t->models_n == 0) {
        http_error_retry_after(ex, 1);
        http_error(ex, 503, STR("no_models"), STR("No models available"));
        return;
    }
    begin_list(&w, &out);
    for (size_t i = 0; i < t->models_n; i++)
        put_model(&w, t->models[i].id, owner_of(&t->models[i]));
    reply_list(ex, &w);
    buf_fini(&out);
}

/* ---- the models of a client's own account ---- */

struct byok {
    struct exchange *ex;
    struct inference *inf;
    struct fanout *fanout;
    struct str *ids; /* arena; of the first list that has any; at most EXTERNAL_MODELS_MAX */
    size_t ids_n;
    struct str owner;
};

static bool is_external(const struct worker *w, void *owner)
{
    (void)owner;
    return w->spec.runtime == RUNTIME_EXTERNAL && w->spec.mode == WORKER_HTTP && worker_is_ready(w);
}

/* Puts ID behind the others, unless it is there already. 0 or ERR_NOMEM. */
static int add_id(struct byok *b, struct map *known, struct str id)
{
    if (map_get(known, id))
        return 0;
    b->ids[b->ids_n] = id;
    return map_put(known, id, &b->ids[b->ids_n++], /* ret_old= */ NULL);
}

/* The ids of the list TEXT in its order, each once. A list may be a megabyte of names: this runs on a loop that serves others, so it takes its time per name once. */
static void read_ids(struct byok *b, struct str text)
{
    struct arena *arena = &b->ex->arena;
    struct json_doc doc;
    struct json_iter it;
    struct json list;
    struct map known = { 0 };
    int r = 0;

    text = arena_str(arena, text);
    if (!text.p || json_parse(text, arena, &doc, /* ret_error= */ NULL) < 0)
        return;
    list = json_get(json_root(&doc), STR("data"));
    b->ids = arena_array(arena, MIN(json_count(list), (size_t)EXTERNAL_MODELS_MAX), sizeof(*b->ids));
    it = json_iter(list);
    while (b->ids && json_is(list, JSON_ARRAY) && r == 0 && b->ids_n < EXTERNAL_MODELS_MAX && json_next(&it)) {
        struct str id = json_str(json_get(it.value, STR("id")), arena);

        if (id.n)
            r = add_id(b, &known, id);
    }
    map_fini(&known);
}

static bool on_list(struct fanout *f, struct fanout_target *t, struct buf *body)
{
    struct byok *b = f->owner;

    if (fanout_succeeded(t->result) && !t->cut)
        read_ids(b, buf_str(body));
    if (b->ids_n)
        b->owner = arena_str(&b->ex->arena, t->worker->spec.provider);
    return b->ids_n == 0;
}

static void on_done(struct fanout *f)
{
    struct byok *b = f->owner;
    struct buf out = { 0 };
    struct json_writer w;

    fanout_free(STEAL(b->fanout));
    if (!b->ids_n) {
        reply_registered(b->ex, b->inf);
        return;
    }
    begin_list(&w, &out);
    for (size_t i = 0; i < b->ids_n; i++)
        put_model(&w, b->ids[i], b->owner);
    reply_list(b->ex, &w);
    buf_fini(&out);
}

static void on_abort(struct exchange *ex, void *arg)
{
    struct byok *b = arg;

    (void)ex;
    fanout_free(STEAL(b->fanout));
}

/* "Bearer TOKEN" with the word in any case, else x-api-key. */
static struct str token_of(const struct exchange *ex)
{
    struct str given = http_value(&ex->req.fields, HF_AUTHORIZATION);

    if (str_has_prefix_nocase(given, STR("bearer ")))
        return str_trim(str_skip(given, strlen("bearer ")));
    return http_value(&ex->req.fields, HF_X_API_KEY);
}

static bool has_external(const struct worker_table *t)
{
    for (size_t i = 0; i < t->n; i++)
        if (is_external(t->workers[i], NULL))
            return true;
    return false;
}

/* False: nobody was asked, the registry answers. */
static bool ask_providers(struct exchange *ex, struct inference *inf, struct str token)
{
    static const struct exchange_owner OWNER = { .on_abort = on_abort };
    struct byok *b = arena_new(&ex->arena, struct byok);
    struct fanout_ask ask = {
        .kind = FANOUT_PUBLIC,
        .all_ms = ALL_MS,
        .wants = is_external,
        .question = { .method = HTTP_GET, .path = STR("/v1/models"), .bearer = token, .total_ms = EACH_MS, .body_max = LIST_MAX },
        .answered = on_list,
        .done = on_done,
        .owner = b,
    };

    if (!b)
        return false;
    b->ex = ex;
    b->inf = inf;
    if (fanout_start(inf->fanouts, &ask, &b->fanout) < 0)
        return false;
    exchange_own(ex, &OWNER, b);
    return true;
}

void inference_models(struct exchange *ex, void *context)
{
    struct inference *inf = context;
    struct str token = token_of(ex);

    if (token.n && !ex->principal.sent_secret && has_external(dispatcher_table(inf->dispatcher)) && ask_providers(ex, inf, token))
        return;
    reply_registered(ex, inf);
}
