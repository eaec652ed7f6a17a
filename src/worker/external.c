/* worker/external.c -- who a provider is, and what its list of models means
 *
 * Releases of one model ("gpt-4o", "gpt-4o-2024-05-13", "gpt-4o-2024-08-06") become one card: ids are sorted by family, then length, then alphabet, so that
 * the first of each run is the card's id and the others are its aliases.
 */
#include "worker/external.h"

#include <stdlib.h>

#include "base/url.h"

struct provider {
    struct str name, host, key; /* host: the domain; key: of the environment */
};

static const struct provider PROVIDERS[] = {
    { STR_INIT("openai"), STR_INIT("openai.com"), STR_INIT("OPENAI_ADMIN_KEY") },
    { STR_INIT("xai"), STR_INIT("x.ai"), STR_INIT("XAI_ADMIN_KEY") },
    { STR_INIT("anthropic"), STR_INIT("anthropic.com"), STR_INIT("ANTHROPIC_ADMIN_KEY") },
    { STR_INIT("gemini"), STR_INIT("googleapis.com"), STR_INIT("GEMINI_ADMIN_KEY") },
};

/* The domain itself or a name below it: "notopenai.com" is somebody else. */
static bool is_below(struct str host, struct str domain)
{
    struct str end;

    if (host.n < domain.n)
        return false;
    end = str_skip(host, host.n - domain.n);
    return str_eq_nocase(end, domain) && (end.p == host.p || end.p[-1] == '.');
}

static const struct provider *provider_of(struct str url)
{
    struct url parts;

    if (url_parse(url, &parts, /* err= */ NULL) < 0)
        return NULL;
    for (size_t i = 0; i < ARRAY_LEN(PROVIDERS); i++)
        if (is_below(parts.host, PROVIDERS[i].host))
            return &PROVIDERS[i];
    return NULL;
}

struct str external_provider_of(struct str url)
{
    const struct provider *p = provider_of(url);

    return p ? p->name : STR_NONE;
}

void external_classify(struct worker_spec *spec)
{
    struct str provider;

    if (spec->mode != WORKER_HTTP || (spec->runtime != RUNTIME_UNSPECIFIED && spec->runtime != RUNTIME_EXTERNAL))
        return;
    provider = external_provider_of(spec->url);
    if (provider.n)
        spec->runtime = RUNTIME_EXTERNAL;
    if (spec->runtime == RUNTIME_EXTERNAL) {
        spec->type = WORKER_REGULAR;
        if (!spec->provider.n)
            spec->provider = provider;
    }
}

struct str external_key(const struct worker_spec *spec)
{
    const struct provider *p = provider_of(spec->url);
    struct str key = p ? str_of(getenv(p->key.p)) : STR_NONE;

    return key.n ? key : spec->api_key;
}

/* ---- names of models ---- */

static bool is_digits(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return s.n > 0;
}

/* Without the last N bytes, if these are '-' and digits. */
static bool cut_number(struct str *s, size_t n)
{
    if (s->n <= n || s->p[s->n - n] != '-' || !is_digits(str_skip(*s, s->n - n + 1)))
        return false;
    s->n -= n;
    return true;
}

/* The id without its date: a trailing -YYYY-MM-DD or -YYYY-MM. */
static struct str family_of(struct str id)
{
    struct str day = id, month = id;

    if (cut_number(&day, 3) && cut_number(&day, 3) && cut_number(&day, 5))
        return day;
    return cut_number(&month, 3) && cut_number(&month, 5) ? month : id;
}

static bool has(struct str s, const char *part)
{
    struct str p = str_of(part);

    for (size_t i = 0; i + p.n <= s.n; i++)
        if (str_eq_nocase((struct str){ s.p + i, p.n }, p))
            return true;
    return false;
}

/* The name behind an organisation's prefix: "models/gemini-2.5-pro". */
static struct str short_name(struct str id)
{
    size_t at = str_rfind_char(id, '/');

    return at < id.n ? str_skip(id, at + 1) : id;
}

static bool begins(struct str s, const char *prefix)
{
    return str_has_prefix_nocase(short_name(s), str_of(prefix));
}

/* Spec control-plane 9.8: the first line that fits. */
static uint16_t type_of(struct str id)
{
    if (has(id, "embed") || has(id, "ada-002"))
        return CAPABILITY_EMBEDDINGS;
    if (has(id, "rerank"))
        return CAPABILITY_RERANK;
    if (begins(id, "dall-e") || begins(id, "sora") || (has(id, "image") && !has(id, "vision")))
        return CAPABILITY_IMAGE_GEN;
    if (begins(id, "tts") || begins(id, "whisper") || has(id, "audio") || has(id, "realtime") || has(id, "transcribe"))
        return CAPABILITY_AUDIO;
    if (has(id, "moderation"))
        return CAPABILITY_MODERATION;
    if (has(id, "vision") || has(id, "4o"))
        return CAPABILITIES_DEFAULT | CAPABILITY_VISION;
    if (begins(id, "o1") || begins(id, "o3"))
        return CAPABILITIES_DEFAULT | CAPABILITY_REASONING;
    return CAPABILITIES_DEFAULT;
}

static struct str maker_of(struct str id)
{
    static const struct {
        const char *prefix;
        struct str maker;
    } MAKERS[] = {
        { "gpt", STR_INIT("openai") },
        { "o1", STR_INIT("openai") },
        { "o3", STR_INIT("openai") },
        { "dall-e", STR_INIT("openai") },
        { "whisper", STR_INIT("openai") },
        { "tts", STR_INIT("openai") },
        { "text-embedding", STR_INIT("openai") },
        { "babbage", STR_INIT("openai") },
        { "davinci", STR_INIT("openai") },
        { "grok", STR_INIT("xai") },
        { "claude", STR_INIT("anthropic") },
        { "gemini", STR_INIT("gemini") },
    };

    for (size_t i = 0; i < ARRAY_LEN(MAKERS); i++)
        if (begins(id, MAKERS[i].prefix))
            return MAKERS[i].maker;
    return has(id, "omni") ? STR("openai") : STR_NONE;
}

/* ---- the list ---- */

struct release {
    struct str id, family; /* arena */
};

static int order_of(const void *left, const void *right)
{
    const struct release *a = left, *b = right;
    int order = str_cmp(a->family, b->family);

    if (order == 0)
        order = (a->id.n > b->id.n) - (a->id.n < b->id.n);
    return order ? order : str_cmp(a->id, b->id);
}

/* Sorted, each id once. */
static size_t read_releases(struct json list, struct arena *arena, struct release *out)
{
    struct json_iter it = json_iter(list);
    size_t n = 0, kept = 0;

    while (json_next(&it) && n < EXTERNAL_MODELS_MAX) {
        struct json id = json_get(it.value, STR("id"));
        struct str text;

        if (!json_is(id, JSON_STRING) || json_node(id)->len == 0 || json_node(id)->len > EXTERNAL_ID_MAX)
            continue;
        text = arena_str(arena, json_str(id, arena));
        if (text.n)
            out[n++] = (struct release){ text, family_of(text) };
    }
    qsort(out, n, sizeof(*out), order_of);
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || !str_eq(out[i].id, out[kept - 1].id))
            out[kept++] = out[i];
    return kept;
}

/* One card per family. NULL: memory is out. */
static struct model_card *cards_of(const struct release *releases, size_t n, struct arena *arena, size_t *ret_n)
{
    struct model_card *cards = arena_array(arena, n, sizeof(*cards));
    struct str *ids = arena_array(arena, n, sizeof(*ids));
    size_t cards_n = 0;

    if (!cards || !ids)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        struct str id = releases[i].id;

        ids[i] = id;
        if (i > 0 && str_eq(releases[i].family, releases[i - 1].family)) {
            cards[cards_n - 1].aliases_n++;
            continue;
        }
        cards[cards_n++] =
            (struct model_card){ .id = id, .aliases = &ids[i + 1], .model_type = type_of(id), .provider = maker_of(id) };
    }
    *ret_n = cards_n;
    return cards;
}

int external_models(struct str body, struct arena *arena, struct model_card **ret, size_t *ret_n)
{
    struct release *releases;
    struct model_card *cards;
    struct json_doc doc;
    struct json list;
    size_t n, room;
    int status = json_parse(body, arena, &doc, /* ret_error= */ NULL);

    if (status < 0)
        return status == ERR_NOMEM ? ERR_NOMEM : ERR_NOT_FOUND;
    list = json_get(json_root(&doc), STR("data"));
    room = MIN(json_count(list), (size_t)EXTERNAL_MODELS_MAX);
    if (!json_is(list, JSON_ARRAY) || room == 0)
        return ERR_NOT_FOUND;
    releases = arena_array(arena, room, sizeof(*releases));
    if (!releases)
        return ERR_NOMEM;
    n = read_releases(list, arena, releases);
    if (n == 0)
        return arena->failed ? ERR_NOMEM : ERR_NOT_FOUND;
    cards = cards_of(releases, n, arena, &n);
    if (!cards || arena->failed)
        return ERR_NOMEM;
    *ret = cards;
    *ret_n = n;
    return 0;
}
