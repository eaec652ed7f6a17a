/* worker/worker_spec.c -- from the JSON of a worker to struct worker_spec (spec control-plane 6.1, 6.2, 6.4)
 *
 *   JSON --json_shape_read--> struct raw_spec (views of the text) --convert--> struct worker_spec --worker_spec_copy--> the caller's arena
 *
 * Read next: worker_parts.h (the objects inside a spec), worker_patch.c (what changes one).
 */
#include "worker/worker_parts.h"

#include <float.h>
#include <inttypes.h>

#include "base/url.h"

#define SPEC_BYTES_MAX (256u << 10) /* of one worker's description: thousands of them stand in memory, and lists print them */

/* ---- ModelCard ---- */

struct raw_card {
    struct str id, display_name, hf_model_type, provider, tokenizer_path, chat_template, reasoning_parser, tool_parser;
    struct json_shape_array aliases, architectures; /* struct str */
    struct json_shape_array id2label;               /* struct json_shape_pair */
    struct json model_type, metadata;
    uint32_t context_length, num_labels;
    uint16_t bits; /* what model_type says; set by check_card */
    bool given[9];
};

static const struct json_shape_field CARD_FIELDS[] = {
    { .name = "id", .type = SHAPE_STR, .flags = SHAPE_REQUIRED, .at = offsetof(struct raw_card, id), .at_given = SHAPE_NO_GIVEN },
    OPTIONAL(struct raw_card, 0, display_name, SHAPE_STR),
    { .name = "aliases",
      .type = SHAPE_ARRAY,
      .element = SHAPE_STR,
      .at = offsetof(struct raw_card, aliases),
      .at_given = SHAPE_NO_GIVEN },
    DEFAULTED(struct raw_card, model_type, SHAPE_JSON),
    OPTIONAL(struct raw_card, 1, hf_model_type, SHAPE_STR),
    { .name = "architectures",
      .type = SHAPE_ARRAY,
      .element = SHAPE_STR,
      .at = offsetof(struct raw_card, architectures),
      .at_given = SHAPE_NO_GIVEN },
    OPTIONAL(struct raw_card, 2, provider, SHAPE_STR),
    OPTIONAL(struct raw_card, 3, context_length, SHAPE_U32),
    OPTIONAL(struct raw_card, 4, tokenizer_path, SHAPE_STR),
    OPTIONAL(struct raw_card, 5, chat_template, SHAPE_STR),
    OPTIONAL(struct raw_card, 6, reasoning_parser, SHAPE_STR),
    OPTIONAL(struct raw_card, 7, tool_parser, SHAPE_STR),
    OPTIONAL(struct raw_card, 8, metadata, SHAPE_JSON),
    DEFAULTED(struct raw_card, id2label, SHAPE_STR_MAP),
    DEFAULTED(struct raw_card, num_labels, SHAPE_U32),
};

static int check_capabilities(struct json names, uint16_t *ret, struct err *err)
{
    struct json_iter it = json_iter(names);

    *ret = 0;
    while (json_next(&it)) {
        size_t i = 0;

        while (i < WORKER_CAPABILITIES_N && !json_str_eq(it.value, WORKER_CAPABILITIES[i]))
            i++;
        if (i == WORKER_CAPABILITIES_N)
            return err_set(err, ERR_INVALID, "unknown ModelType capability: %.*s",
                           STR_FMT(str_first(json_is(it.value, JSON_STRING) ? json_raw_str(it.value) : json_raw(it.value), 64)));
        *ret |= (uint16_t)(1u << i);
    }
    return 0;
}

static int check_bits(struct json number, uint16_t *ret, struct err *err)
{
    struct str raw = str_first(json_raw(number), 32);
    uint64_t bits;

    if (json_to_u64(number, &bits) < 0 || bits > UINT16_MAX)
        return err_set(err, ERR_INVALID, "ModelType bits out of u16 range: %.*s", STR_FMT(raw));
    if (bits >> WORKER_CAPABILITIES_N)
        return err_set(err, ERR_INVALID, "invalid ModelType bits: %.*s", STR_FMT(raw));
    *ret = (uint16_t)bits;
    return 0;
}

static int check_model_type(struct json v, uint16_t *ret, struct err *err)
{
    if (!json_exists(v)) {
        *ret = CAPABILITIES_DEFAULT;
        return 0;
    }
    if (json_is(v, JSON_ARRAY))
        return check_capabilities(v, ret, err);
    if (json_is(v, JSON_NUMBER) && json_node(v)->integer)
        return check_bits(v, ret, err);
    return err_set(err, ERR_INVALID, "model_type: invalid type: %.*s, expected an array of capability names or a u16 bitfield",
                   STR_FMT(str_first(json_raw(v), 64)));
}

static int check_card(void *object, struct json value, struct err *err)
{
    struct raw_card *c = object;
    const struct json_shape_pair *labels = c->id2label.items;
    uint64_t number;

    (void)value;
    for (size_t i = 0; i < c->id2label.n; i++)
        if (str_to_u64(labels[i].key, &number) < 0 || number > UINT32_MAX)
            return err_set(err, ERR_INVALID, "id2label: invalid type: string \"%.*s\", expected u32",
                           STR_FMT(str_first(labels[i].key, 64)));
    return check_model_type(c->model_type, &c->bits, err);
}

static const struct json_shape CARD = {
    .name = "ModelCard",
    .size = sizeof(struct raw_card),
    .check = check_card,
    .fields = CARD_FIELDS,
    .fields_n = ARRAY_LEN(CARD_FIELDS),
};

/* ---- WorkerSpec ---- */

static const char *const TYPE_NAMES[] = { "regular", "prefill", "decode", "encode", NULL };
static const char *const MODE_NAMES[] = { "http", "grpc", "zmq", NULL };
static const char *const RUNTIME_NAMES[] = { "unspecified", "sglang", "vllm", "trtllm", "mlx", "tokenspeed", "external", NULL };
static const char *const TRANSPORT_NAMES[] = { "inline", "shm", "auto", "rdma", NULL };

struct raw_spec {
    struct str url, provider, api_key, zmq_handshake_address;
    struct json_shape_array models; /* struct raw_card */
    struct json_shape_array labels; /* struct json_shape_pair */
    int worker_type, connection_mode, runtime_type, multimodal_tensor_transport;
    uint32_t priority, max_connection_attempts;
    float cost;
    uint16_t bootstrap_port;
    uint64_t kv_block_size, load_monitor_interval_secs, multimodal_shm_min_bytes;
    struct raw_health health;
    struct raw_pool http_pool;
    struct raw_resilience resilience;
    bool given[8];
};

enum {
    SPEC_PROVIDER,
    SPEC_API_KEY,
    SPEC_BOOTSTRAP,
    SPEC_KV_BLOCK,
    SPEC_LOAD_MONITOR,
    SPEC_TRANSPORT,
    SPEC_SHM_MIN,
    SPEC_HANDSHAKE
};

static void raw_defaults(void *object)
{
    struct raw_spec *s = object;

    s->priority = 50;
    s->cost = 1.0f;
    s->max_connection_attempts = 20;
}

#define ENUM(member, values)                                                                                                      \
    {                                                                                                                             \
        .name = #member, .type = SHAPE_ENUM, .names = values, .at = offsetof(struct raw_spec, member), .at_given = SHAPE_NO_GIVEN \
    }
#define OBJECT(member, shape)                                                                                                    \
    {                                                                                                                            \
        .name = #member, .type = SHAPE_OBJECT, .sub = shape, .at = offsetof(struct raw_spec, member), .at_given = SHAPE_NO_GIVEN \
    }

static const struct json_shape_field SPEC_FIELDS[] = {
    { .name = "url", .type = SHAPE_STR, .flags = SHAPE_REQUIRED, .at = offsetof(struct raw_spec, url), .at_given = SHAPE_NO_GIVEN },
    { .name = "models", .type = SHAPE_ARRAY, .sub = &CARD, .at = offsetof(struct raw_spec, models), .at_given = SHAPE_NO_GIVEN },
    ENUM(worker_type, TYPE_NAMES),
    ENUM(connection_mode, MODE_NAMES),
    { .name = "runtime_type",
      .alias = "runtime",
      .type = SHAPE_ENUM,
      .names = RUNTIME_NAMES,
      .at = offsetof(struct raw_spec, runtime_type),
      .at_given = SHAPE_NO_GIVEN },
    OPTIONAL(struct raw_spec, SPEC_PROVIDER, provider, SHAPE_STR),
    DEFAULTED(struct raw_spec, labels, SHAPE_STR_MAP),
    DEFAULTED(struct raw_spec, priority, SHAPE_U32),
    DEFAULTED(struct raw_spec, cost, SHAPE_F32),
    OPTIONAL(struct raw_spec, SPEC_API_KEY, api_key, SHAPE_STR),
    OPTIONAL(struct raw_spec, SPEC_BOOTSTRAP, bootstrap_port, SHAPE_U16),
    OPTIONAL(struct raw_spec, SPEC_KV_BLOCK, kv_block_size, SHAPE_U64),
    OBJECT(health, &WORKER_HEALTH_SHAPE),
    OBJECT(http_pool, &WORKER_POOL_SHAPE),
    OBJECT(resilience, &WORKER_RESILIENCE_SHAPE),
    DEFAULTED(struct raw_spec, max_connection_attempts, SHAPE_U32),
    OPTIONAL(struct raw_spec, SPEC_LOAD_MONITOR, load_monitor_interval_secs, SHAPE_U64),
    { .name = "multimodal_tensor_transport",
      .type = SHAPE_ENUM,
      .names = TRANSPORT_NAMES,
      .flags = SHAPE_NULLABLE,
      .at = offsetof(struct raw_spec, multimodal_tensor_transport),
      .at_given = offsetof(struct raw_spec, given) + SPEC_TRANSPORT },
    OPTIONAL(struct raw_spec, SPEC_SHM_MIN, multimodal_shm_min_bytes, SHAPE_U64),
    OPTIONAL(struct raw_spec, SPEC_HANDSHAKE, zmq_handshake_address, SHAPE_STR),
};
const struct json_shape WORKER_SPEC_SHAPE = {
    .name = "WorkerSpec",
    .size = sizeof(struct raw_spec),
    .defaults = raw_defaults,
    .fields = SPEC_FIELDS,
    .fields_n = ARRAY_LEN(SPEC_FIELDS),
};

/* ---- from raw to spec: views, arena for what is made here ---- */

/* Synonyms of provider names (spec control-plane 6.1, row 6); any other name stands for itself. */
static struct str canonical_provider(struct str p)
{
    static const struct {
        struct str alias, name;
    } SYNONYMS[] = {
        { STR_INIT("grok"), STR_INIT("xai") },
        { STR_INIT("claude"), STR_INIT("anthropic") },
        { STR_INIT("google"), STR_INIT("gemini") },
    };

    for (size_t i = 0; i < ARRAY_LEN(SYNONYMS); i++)
        if (str_eq(p, SYNONYMS[i].alias))
            return SYNONYMS[i].name;
    return p;
}

/* A valid JSON text without the blanks between its tokens. */
static struct str compact(struct str json, struct arena *arena)
{
    char *out = arena_alloc(arena, json.n);
    bool in_string = false;
    size_t n = 0;

    if (!out)
        return STR_NONE;
    for (size_t i = 0; i < json.n; i++) {
        char c = json.p[i];

        if (!in_string && (c == ' ' || c == '\t' || c == '\r' || c == '\n'))
            continue;
        out[n++] = c;
        if (c == '"')
            in_string = !in_string;
        else if (in_string && c == '\\' && i + 1 < json.n)
            out[n++] = json.p[++i];
    }
    return (struct str){ out, n };
}

static struct str write_id2label(const struct json_shape_array *pairs, struct arena *arena)
{
    const struct json_shape_pair *p = pairs->items;
    struct buf out = { 0 };
    struct json_writer w;
    struct str text;

    if (pairs->n == 0)
        return STR_NONE;
    json_begin(&w, &out);
    json_object(&w);
    for (size_t i = 0; i < pairs->n; i++) {
        json_key(&w, p[i].key);
        json_value_str(&w, p[i].value);
    }
    json_end(&w);
    arena->failed |= out.failed;
    text = arena_str(arena, buf_str(&out));
    buf_fini(&out);
    return text;
}

static struct model_card convert_card(const struct raw_card *c, struct arena *arena)
{
    return (struct model_card){
        .id = c->id,
        .display_name = c->display_name,
        .hf_model_type = c->hf_model_type,
        .provider = canonical_provider(c->provider),
        .tokenizer_path = c->tokenizer_path,
        .chat_template = c->chat_template,
        .reasoning_parser = c->reasoning_parser,
        .tool_parser = c->tool_parser,
        .aliases = c->aliases.items,
        .aliases_n = c->aliases.n,
        .architectures = c->architectures.items,
        .architectures_n = c->architectures.n,
        .model_type = c->bits,
        .context_length = c->context_length,
        .num_labels = c->num_labels,
        .metadata_json = json_exists(c->metadata) ? compact(json_raw(c->metadata), arena) : STR_NONE,
        .id2label_json = write_id2label(&c->id2label, arena),
    };
}

static void convert_models(const struct json_shape_array *raw, struct arena *arena, struct worker_spec *s)
{
    s->models = arena_array(arena, raw->n, sizeof(*s->models));
    s->models_n = s->models ? raw->n : 0;
    for (size_t i = 0; i < s->models_n; i++)
        s->models[i] = convert_card(&((const struct raw_card *)raw->items)[i], arena);
}

static void convert_labels(const struct json_shape_array *raw, struct arena *arena, struct worker_spec *s)
{
    const struct json_shape_pair *p = raw->items;

    s->labels = arena_array(arena, raw->n, sizeof(*s->labels));
    s->labels_n = s->labels ? raw->n : 0;
    for (size_t i = 0; i < s->labels_n; i++)
        s->labels[i] = (struct worker_label){ p[i].key, p[i].value };
}

static int64_t number(bool given, uint64_t v)
{
    return given ? (int64_t)MIN(v, (uint64_t)INT64_MAX) : -1;
}

/* `connection_mode` is accepted and ignored, as in SMG: the scheme decides. */
enum worker_mode worker_mode_of(struct str url)
{
    if (str_has_prefix(url, STR("grpc")))
        return WORKER_GRPC;
    return str_has_prefix(url, STR("ipc:")) ? WORKER_ZMQ : WORKER_HTTP;
}

static struct worker_spec convert(const struct raw_spec *raw, struct arena *arena)
{
    struct worker_spec s;

    worker_spec_defaults(&s);
    s.url = raw->url;
    convert_models(&raw->models, arena, &s);
    s.type = (enum worker_type)raw->worker_type;
    s.mode = worker_mode_of(raw->url);
    s.runtime = (enum worker_runtime)raw->runtime_type;
    s.provider = canonical_provider(raw->provider);
    convert_labels(&raw->labels, arena, &s);
    s.priority = raw->priority;
    s.cost = raw->cost;
    s.api_key = raw->api_key;
    s.bootstrap_port = raw->given[SPEC_BOOTSTRAP] ? raw->bootstrap_port : -1;
    s.dp_size = -1; /* ignored on input: the engine says it (spec control-plane 6.1) */
    s.zmq_handshake_address = raw->zmq_handshake_address;
    s.health_json = worker_part_write(&WORKER_HEALTH_SHAPE, &raw->health, arena);
    s.http_pool_json = worker_part_write(&WORKER_POOL_SHAPE, &raw->http_pool, arena);
    s.resilience_json = worker_part_write(&WORKER_RESILIENCE_SHAPE, &raw->resilience, arena);
    s.max_connection_attempts = raw->max_connection_attempts;
    s.kv_block_size = number(raw->given[SPEC_KV_BLOCK], raw->kv_block_size);
    s.load_monitor_interval_s = number(raw->given[SPEC_LOAD_MONITOR], raw->load_monitor_interval_secs);
    s.multimodal_shm_min_bytes = number(raw->given[SPEC_SHM_MIN], raw->multimodal_shm_min_bytes);
    if (raw->given[SPEC_TRANSPORT])
        s.multimodal_tensor_transport = str_of(TRANSPORT_NAMES[raw->multimodal_tensor_transport]);
    s.health_update = worker_health_given(&raw->health);
    s.resilience = worker_resilience_given(&raw->resilience);
    s.pool = worker_pool_given(&raw->http_pool);
    return s;
}

void worker_spec_defaults(struct worker_spec *spec)
{
    *spec = (struct worker_spec){
        .priority = 50,
        .cost = 1.0f,
        .bootstrap_port = -1,
        .dp_size = -1,
        .max_connection_attempts = 20,
        .kv_block_size = -1,
        .load_monitor_interval_s = -1,
        .multimodal_shm_min_bytes = -1,
        .health_update = { -1, -1, -1, -1, -1, -1 },
        .resilience = WORKER_RESILIENCE_NONE,
        .pool = WORKER_POOL_NONE,
        .judge = { .breaker.disabled = true }, /* until somebody says what is in force */
    };
}

int worker_spec_read(const struct json_doc *doc, struct arena *arena, struct worker_spec *ret, struct err *err)
{
    struct arena scratch; /* raw and converted parts: views of the text and of this */
    struct raw_spec raw = { 0 };
    struct worker_spec spec;
    int r;

    arena_init(&scratch, /* cache= */ NULL, /* max_bytes= */ 0);
    r = json_shape_read(json_root(doc), &WORKER_SPEC_SHAPE, &scratch, &raw, err);
    if (r == 0) {
        spec = convert(&raw, &scratch);
        r = scratch.failed ? ERR_NOMEM : worker_spec_copy(&spec, arena, ret);
    }
    arena_fini(&scratch);
    return r;
}

/* ---- checks and forms ---- */

int worker_spec_check(const struct worker_spec *s, struct err *err)
{
    const struct worker_health_update *h = &s->health_update;
    size_t bytes = worker_spec_bytes(s);

    if (!(s->cost >= 0)) /* NaN too */
        return err_set(err, ERR_INVALID, "Invalid value for field 'cost': %g - must not be negative", (double)s->cost);
    if (s->cost > FLT_MAX)
        return err_set(err, ERR_INVALID, "Invalid value for field 'cost': %g - must be finite", (double)s->cost);
    if (h->success_threshold == 0)
        return err_set(err, ERR_INVALID, "Invalid value for field 'health.success_threshold': 0 - must be at least 1");
    if (h->failure_threshold == 0)
        return err_set(err, ERR_INVALID, "Invalid value for field 'health.failure_threshold': 0 - must be at least 1");
    if (s->resilience.cb_failure_threshold == 0)
        return err_set(err, ERR_INVALID, "Invalid value for field 'resilience.cb_failure_threshold': 0 - must be at least 1");
    if (s->resilience.cb_success_threshold == 0)
        return err_set(err, ERR_INVALID, "Invalid value for field 'resilience.cb_success_threshold': 0 - must be at least 1");
    if (!http_is_field_value(s->api_key))
        return err_set(err, ERR_INVALID,
                       "Invalid value for field 'api_key': (not shown) - must be text that fits into a header field");
    for (size_t i = 0; i < s->models_n; i++)
        if (s->models[i].id.n == 0)
            return err_set(err, ERR_INVALID, "Invalid value for field 'models[%zu].id':  - must not be empty", i);
    if (s->labels_n > SPEC_ITEMS_MAX || s->models_n > SPEC_ITEMS_MAX)
        return err_set(err, ERR_INVALID, "Invalid value for field '%s': more than %d of them",
                       s->labels_n > SPEC_ITEMS_MAX ? "labels" : "models", SPEC_ITEMS_MAX);
    if (bytes > SPEC_BYTES_MAX)
        return err_set(err, ERR_INVALID,
                       "Invalid value for field 'worker': %zu bytes - a worker's description has at most %u bytes", bytes,
                       SPEC_BYTES_MAX);
    return 0;
}

struct str worker_url_canonical(struct str url, struct arena *arena)
{
    struct str copy = arena_str(arena, url);
    char *p = (char *)copy.p;
    size_t host;

    if (!p || str_has_prefix(copy, STR("ipc:")))
        return copy; /* a path: its letters matter */
    host = str_find(copy, STR("://"));
    if (host == STR_NPOS)
        return copy;
    host += 3;
    for (size_t i = host; i < copy.n && p[i] != '/' && p[i] != '?' && p[i] != '#'; i++)
        if (p[i] >= 'A' && p[i] <= 'Z')
            p[i] |= 0x20;
    while (copy.n > host && p[copy.n - 1] == '/')
        p[--copy.n] = 0;
    return copy;
}
