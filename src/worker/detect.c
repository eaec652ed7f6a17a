/* worker/detect.c -- reading engines' answers
 *
 * Two steps: labels (a flat list of texts, discovered ones first, the operator's own on top), then the model card from the labels. Everything that an
 * engine says goes through label_text(), so the rules for values stand in one place.
 */
#include "worker/detect.h"

#include <stdio.h>

#include "json/json_write.h"

#define NUM_LABELS_MAX 4096 /* LABEL_0.. are made up to here */

struct labels {
    struct worker_label *v; /* arena */
    size_t n, cap;
    struct arena *arena;
};

static struct json parse(const struct detect_answer *a, struct arena *arena, struct json_doc *doc)
{
    if (a->status < 200 || a->status > 299 || json_parse(a->body, arena, doc, /* ret_error= */ NULL) < 0)
        return JSON_NONE;
    return json_root(doc);
}

static struct json first_model(struct json models)
{
    return json_at(json_get(models, STR("data")), 0);
}

/* ---- which engine ---- */

enum worker_runtime detect_owner(const struct detect_answer *models)
{
    static const struct {
        struct str owner;
        enum worker_runtime runtime;
    } OWNERS[] = {
        { STR_INIT("sglang"), RUNTIME_SGLANG }, { STR_INIT("nvidia"), RUNTIME_SGLANG },
        { STR_INIT("vllm"), RUNTIME_VLLM },     { STR_INIT("trtllm"), RUNTIME_TRTLLM },
        { STR_INIT("mlx"), RUNTIME_MLX },       { STR_INIT("tokenspeed"), RUNTIME_TOKENSPEED },
    };
    enum worker_runtime found = RUNTIME_UNSPECIFIED;
    struct json_doc doc;
    struct arena scratch;
    struct str owner;

    arena_init(&scratch, /* cache= */ NULL, /* max_bytes= */ 0);
    owner = json_str(json_get(first_model(parse(models, &scratch, &doc)), STR("owned_by")), &scratch);
    for (size_t i = 0; i < ARRAY_LEN(OWNERS); i++)
        if (str_eq_nocase(owner, OWNERS[i].owner))
            found = OWNERS[i].runtime;
    arena_fini(&scratch);
    return found;
}

/* Some servers answer 200 to every path, with a page or with an error in JSON: an object without "error" it must be. */
static struct json description(const struct detect_answer *a, struct arena *arena, struct json_doc *doc)
{
    struct json object = parse(a, arena, doc);

    return json_is(object, JSON_OBJECT) && !json_exists(json_get(object, STR("error"))) ? object : JSON_NONE;
}

static bool describes_itself(const struct detect_answer *a, struct str member)
{
    struct arena scratch;
    struct json_doc doc;
    struct json object;
    bool yes;

    arena_init(&scratch, /* cache= */ NULL, /* max_bytes= */ 0);
    object = description(a, &scratch, &doc);
    yes = json_exists(member.n ? json_get(object, member) : object);
    arena_fini(&scratch);
    return yes;
}

enum worker_runtime detect_runtime(const struct detect_answers *a)
{
    enum worker_runtime owner = detect_owner(&a->models);

    if (owner != RUNTIME_UNSPECIFIED)
        return owner;
    if (describes_itself(&a->version, STR("version")))
        return RUNTIME_VLLM;
    return describes_itself(&a->server_info, STR_NONE) ? RUNTIME_SGLANG : RUNTIME_UNSPECIFIED;
}

/* ---- labels ---- */

static struct worker_label *find_label(const struct labels *l, struct str key)
{
    for (size_t i = 0; i < l->n; i++)
        if (str_eq(l->v[i].key, key))
            return &l->v[i];
    return NULL;
}

static struct str label(const struct labels *l, const char *key)
{
    const struct worker_label *found = find_label(l, str_of(key));

    return found ? found->value : STR_NONE;
}

static void set_label(struct labels *l, struct str key, struct str value)
{
    struct worker_label *old = find_label(l, key);

    if (old)
        old->value = value;
    else if (l->n < l->cap)
        l->v[l->n++] = (struct worker_label){ key, value };
}

/* Takes it out of the list. */
static struct str take_label(struct labels *l, const char *key)
{
    struct worker_label *found = find_label(l, str_of(key));
    struct str value;

    if (!found)
        return STR_NONE;
    value = found->value;
    l->n--;
    memmove(found, found + 1, (size_t)(&l->v[l->n] - found) * sizeof(*found));
    return value;
}

static struct str number_text(struct json v, struct arena *arena)
{
    double d;

    if (json_to_double(v, &d) < 0 || d == 0)
        return STR_NONE;
    if (!json_node(v)->integer && d > -1e15 && d < 1e15 && d == (double)(int64_t)d)
        return arena_printf(arena, "%lld", (long long)d);
    return arena_str(arena, json_raw(v));
}

/* JSON text of an array, without blanks outside strings. */
static struct str array_text(struct json v, struct arena *arena)
{
    struct json_iter it = json_iter(v);
    struct buf out = { .max = DETECT_VALUE_MAX };
    struct str text;

    buf_put_char(&out, '[');
    for (bool first = true; json_next(&it); first = false) {
        if (!first)
            buf_put_char(&out, ',');
        buf_put(&out, json_raw(it.value));
    }
    buf_put_char(&out, ']');
    text = out.failed ? STR_NONE : arena_str(arena, buf_str(&out));
    buf_fini(&out);
    return text;
}

/* Spec control-plane 9.5, value rules: {NULL, 0} for what is dropped. */
static struct str label_text(struct json v, struct arena *arena)
{
    struct str s;

    if (!json_exists(v))
        return STR_NONE;
    switch ((enum json_type)json_node(v)->type) {
    case JSON_STRING:
        if (json_node(v)->len > DETECT_VALUE_MAX)
            return STR_NONE;
        s = json_str(v, arena);
        return s.n == 0 || str_eq(s, STR("null")) ? STR_NONE : arena_str(arena, s);
    case JSON_NUMBER:
        return json_node(v)->len > 64 ? STR_NONE : number_text(v, arena);
    case JSON_FALSE:
        return STR("false");
    case JSON_TRUE:
        return STR("true");
    case JSON_ARRAY:
        return json_count(v) ? array_text(v, arena) : STR_NONE;
    case JSON_NULL:
    case JSON_OBJECT:
        break;
    }
    return STR_NONE;
}

enum whether { REPLACE, IF_ABSENT };

static void take_member(struct labels *l, struct json object, const char *key, const char *as, enum whether whether)
{
    struct str value = label_text(json_get(object, str_of(key)), l->arena);

    if (value.n && (whether == REPLACE || !find_label(l, str_of(as))))
        set_label(l, str_of(as), value);
}

static void read_server_info(struct labels *l, struct json info)
{
    static const char *const KEYS[] = {
        "model_id",       "model_path",          "served_model_name",    "tp_size",       "dp_size",
        "pp_size",        "load_balance_method", "disaggregation_mode",  "version",       "is_embedding",
        "context_length", "max_total_tokens",    "max_running_requests", "weight_version"
    };

    for (size_t i = 0; i < ARRAY_LEN(KEYS); i++)
        take_member(l, info, KEYS[i], KEYS[i], REPLACE);
    take_member(l, info, "model", "model_id", IF_ABSENT);
}

static void read_model_info(struct labels *l, struct json info)
{
    static const char *const KEYS[] = {
        "model_path", "tokenizer_path", "is_generation", "has_image_understanding", "has_audio_understanding",
        "model_type", "architectures"
    };

    for (size_t i = 0; i < ARRAY_LEN(KEYS); i++)
        take_member(l, info, KEYS[i], KEYS[i], REPLACE);
}

static void read_models(struct labels *l, struct json models)
{
    struct json first = first_model(models);

    take_member(l, first, "id", "served_model_name", IF_ABSENT);
    take_member(l, first, "root", "model_path", IF_ABSENT);
    take_member(l, first, "max_model_len", "max_model_len", IF_ABSENT);
}

static void read_answers(struct labels *l, const struct detect_answers *a, enum worker_runtime runtime, struct json models)
{
    struct json_doc doc;

    if (runtime != RUNTIME_VLLM) {
        read_server_info(l, description(&a->server_info, l->arena, &doc));
        read_model_info(l, description(&a->model_info, l->arena, &doc));
        read_models(l, models);
        return;
    }
    read_models(l, models);
    take_member(l, description(&a->version, l->arena, &doc), "version", "version", REPLACE);
}

/* ---- the model card ---- */

static struct json parse_label(struct str text, struct arena *arena, struct json_doc *doc)
{
    return text.n && json_parse(text, arena, doc, /* ret_error= */ NULL) == 0 ? json_root(doc) : JSON_NONE;
}

static void enrich_architectures(struct model_card *c, const struct labels *l)
{
    struct json_doc doc;
    struct json list = parse_label(label(l, "architectures"), l->arena, &doc);
    struct json_iter it = json_iter(list);
    size_t n = 0;
    struct str *v;

    if (!json_is(list, JSON_ARRAY))
        return;
    v = arena_array(l->arena, json_count(list), sizeof(*v));
    while (v && json_next(&it))
        if (json_is(it.value, JSON_STRING))
            v[n++] = json_str(it.value, l->arena);
    c->architectures = v;
    c->architectures_n = v ? n : 0;
}

static bool has_numeric_keys(struct json object)
{
    struct json_iter it = json_iter(object);
    uint64_t number;

    while (json_next(&it))
        if (str_to_u64(json_raw_str(it.key), &number) < 0 || number > UINT32_MAX || !json_is(it.value, JSON_STRING))
            return false;
    return json_count(object) > 0;
}

static void enrich_id2label(struct model_card *c, const struct labels *l)
{
    struct str given = label(l, "id2label_json");
    struct json_doc doc;
    struct json object = parse_label(given, l->arena, &doc);
    struct buf out = { 0 };
    uint64_t n;

    if (json_is(object, JSON_OBJECT) && has_numeric_keys(object)) {
        c->id2label_json = given;
        c->num_labels = (uint32_t)json_count(object);
        return;
    }
    if (str_to_u64(label(l, "num_labels"), &n) < 0 || n == 0 || n > NUM_LABELS_MAX)
        return;
    for (uint64_t i = 0; i < n; i++)
        buf_printf(&out, "%c\"%llu\":\"LABEL_%llu\"", i ? ',' : '{', (unsigned long long)i, (unsigned long long)i);
    buf_put_char(&out, '}');
    l->arena->failed |= out.failed;
    c->id2label_json = arena_str(l->arena, buf_str(&out));
    c->num_labels = (uint32_t)n;
    buf_fini(&out);
}

static void enrich_context(struct model_card *c, const struct labels *l)
{
    static const char *const KEYS[] = { "context_length", "max_context_length", "max_model_len", "max_total_tokens",
                                        "max_seq_len" };
    struct str value = STR_NONE;
    uint64_t n;

    for (size_t i = 0; i < ARRAY_LEN(KEYS) && !value.n; i++)
        value = label(l, KEYS[i]);
    if (c->context_length == 0 && str_to_u64(value, &n) == 0 && n <= UINT32_MAX)
        c->context_length = (uint32_t)n;
}

static bool contains_nocase(struct str s, struct str part)
{
    for (size_t i = 0; i + part.n <= s.n; i++)
        if (str_eq_nocase((struct str){ s.p + i, part.n }, part))
            return true;
    return false;
}

static void enrich_capabilities(struct model_card *c, const struct labels *l, bool given)
{
    struct str vision = label(l, "supports_vision"), architectures = label(l, "architectures");

    if (str_eq(vision.p ? vision : label(l, "has_image_understanding"), STR("true")))
        c->model_type |= CAPABILITY_VISION;
    if (given || (!str_eq(label(l, "is_embedding"), STR("true")) && !str_eq(label(l, "is_generation"), STR("false"))))
        return;
    if (contains_nocase(architectures, STR("rerank")) || contains_nocase(architectures, STR("crossencoder")) ||
        contains_nocase(label(l, "model_type"), STR("rerank")))
        c->model_type = CAPABILITY_RERANK;
    else
        c->model_type = CAPABILITY_EMBEDDINGS;
}

static void enrich(struct model_card *c, const struct labels *l, bool given)
{
    struct str hf = label(l, "model_type");

    if (hf.n)
        c->hf_model_type = hf;
    enrich_architectures(c, l);
    enrich_id2label(c, l);
    enrich_context(c, l);
    if (!c->tokenizer_path.n)
        c->tokenizer_path = label(l, "tokenizer_path");
    enrich_capabilities(c, l, given);
}

static struct str identity(const struct labels *l)
{
    static const char *const KEYS[] = { "served_model_name", "model_id", "model_path" };
    struct str id = STR_NONE;

    for (size_t i = 0; i < ARRAY_LEN(KEYS) && !id.n; i++)
        id = label(l, KEYS[i]);
    return id;
}

static bool is_among(const struct model_card *cards, size_t n, struct str id)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(cards[i].id, id))
            return true;
    return false;
}

/* An entry behind the first: an adapter ("parent" names its base) has the base's card; any other is a model by itself, of which only the list speaks. */
static struct model_card further_card(const struct model_card *base, struct json entry, struct str id)
{
    struct model_card card = { .id = id, .model_type = base->model_type };
    uint64_t length;

    if (json_is(json_get(entry, STR("parent")), JSON_STRING)) {
        card = *base;
        card.id = id;
    }
    if (json_to_u64(json_get(entry, STR("max_model_len")), &length) == 0 && length > 0 && length <= UINT32_MAX)
        card.context_length = (uint32_t)length;
    return card;
}

/* What the operator named, or else what the engine serves: its identity first, then further entries of its list. */
static void set_models(struct worker_spec *s, const struct worker_spec *submitted, const struct labels *l, struct json models)
{
    struct json_iter it = json_iter(json_get(models, STR("data")));
    bool given = submitted->models_n > 0;
    struct str id = identity(l);

    s->models = arena_array(l->arena, given ? submitted->models_n : DETECT_MODELS_MAX, sizeof(*s->models));
    s->models_n = 0;
    if (!s->models || (!given && !id.n))
        return; /* no identity at all: a wildcard */
    for (; s->models_n < submitted->models_n; s->models_n++)
        s->models[s->models_n] = submitted->models[s->models_n];
    if (!given)
        s->models[s->models_n++] = (struct model_card){ .id = id, .model_type = CAPABILITIES_DEFAULT };
    enrich(&s->models[0], l, given);
    while (!given && json_next(&it) && s->models_n < DETECT_MODELS_MAX) {
        struct str other = label_text(json_get(it.value, STR("id")), l->arena);

        if (!other.n || is_among(s->models, s->models_n, other) || str_eq(other, label(l, "model_path")))
            continue;
        s->models[s->models_n++] = further_card(&s->models[0], it.value, other);
    }
}

static bool has_alias(const struct model_card *c, struct str alias)
{
    if (str_eq(c->id, alias))
        return true;
    for (size_t i = 0; i < c->aliases_n; i++)
        if (str_eq(c->aliases[i], alias))
            return true;
    return false;
}

static void add_aliases(struct model_card *c, const struct str *aliases, size_t aliases_n, struct arena *arena)
{
    for (size_t i = 0; i < aliases_n; i++) {
        struct str alias = aliases[2 * i];
        struct str *grown;

        if (!str_eq(aliases[2 * i + 1], c->id) || has_alias(c, alias))
            continue;
        grown = arena_array(arena, c->aliases_n + 1, sizeof(*grown));
        if (!grown)
            return;
        for (size_t k = 0; k < c->aliases_n; k++)
            grown[k] = c->aliases[k];
        grown[c->aliases_n++] = alias;
        c->aliases = grown;
    }
}

/* Of the engine, or of the operator's labels; what is no number from 1 to DETECT_DP_MAX is none. */
static int64_t dp_size_of(const struct labels *l)
{
    uint64_t n;

    return str_to_u64(label(l, "dp_size"), &n) == 0 && n > 0 && n <= DETECT_DP_MAX ? (int64_t)n : -1;
}

int detect_check_dp(const struct worker_spec *s, struct err *err)
{
    if (s->mode == WORKER_ZMQ && s->dp_size > 1)
        return err_set(err, ERR_INVALID,
                       "ZMQ worker %.*s cannot run data-parallel (dp_size=%lld); DP>1 over ZMQ is not yet supported",
                       STR_FMT(s->url), (long long)s->dp_size);
    if (s->mode == WORKER_ZMQ || s->dp_size > 0)
        return 0;
    if (s->mode == WORKER_GRPC)
        return err_set(err, ERR_INVALID, "Failed to get DP info for %.*s: no positive dp_size in discovered metadata",
                       STR_FMT(s->url));
    return err_set(err, ERR_INVALID, "Failed to get DP info: No dp_size in response from %.*s", STR_FMT(s->url));
}

int detect_spec(const struct worker_spec *submitted, const struct detect_answers *a, const struct str *aliases, size_t aliases_n,
                struct arena *arena, struct worker_spec *ret)
{
    struct labels l = { .cap = DETECT_LABELS_MAX + submitted->labels_n, .arena = arena };
    enum worker_runtime runtime = submitted->runtime ? submitted->runtime : detect_runtime(a);
    struct worker_spec s = *submitted;
    struct json_doc doc;
    struct json models = parse(&a->models, arena, &doc);

    l.v = arena_array(arena, l.cap, sizeof(*l.v));
    if (!l.v)
        return ERR_NOMEM;
    s.runtime = runtime ? runtime : RUNTIME_SGLANG;
    read_answers(&l, a, s.runtime, models);
    for (size_t i = 0; i < submitted->labels_n; i++)
        set_label(&l, submitted->labels[i].key, submitted->labels[i].value);
    set_models(&s, submitted, &l, models);
    for (size_t i = 0; i < s.models_n; i++)
        add_aliases(&s.models[i], aliases, aliases_n, arena);
    s.dp_size = dp_size_of(&l);
    s.kv_connector = take_label(&l, "kv_connector");
    s.kv_role = take_label(&l, "kv_role");
    s.kv_engine_id = take_label(&l, "kv_engine_id");
    s.labels = l.v;
    s.labels_n = l.n;
    if (arena->failed)
        return ERR_NOMEM;
    *ret = s;
    return 0;
}
