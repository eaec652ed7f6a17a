/* text/tokenizer/tokenizer_json.c -- tokenizer.json to a tokenizer (spec 3)
 *
 * The nodes of the JSON reader stand in an arena of this call and go when it returns. Strict: a component that is not known fails the load, with the place in the file.
 */
#include "text/tokenizer/tokenizer_internal.h"

#include <stdlib.h>

#include "base/attr.h"
#include "base/map.h"

/* The nodes: the densest honest file, merges as pairs of letters, needs 5 bytes of them for a byte of text; the arena's doubling four times that. */
#define ARENA_PER_BYTE 24
#define ARENA_LEAST    (4u << 20)

/* ---- added tokens ---- */

static int read_flag(struct json token, const char *name, size_t index, bool *ret, struct err *err)
{
    struct json v = json_get(token, str_of(name));

    if (!json_is_bool(v))
        return err_set(err, ERR_INVALID, "added_tokens[%zu].%s: expected true or false", index, name);
    *ret = json_is(v, JSON_TRUE);
    return 0;
}

static int read_added_token(struct json v, size_t i, struct arena *arena, const struct tokenizer_limits *limits,
                            struct added_token *t, struct err *err)
{
    struct json content = json_get(v, STR("content"));
    uint64_t id;
    int r;

    if (!json_is(v, JSON_OBJECT) || !json_is(content, JSON_STRING))
        return err_set(err, ERR_INVALID, "added_tokens[%zu].content: expected a string", i);
    if (json_to_u64(json_get(v, STR("id")), &id) < 0)
        return err_set(err, ERR_INVALID, "added_tokens[%zu].id: expected a number that counts", i);
    if (id >= VOCAB_IDS_MAX)
        return err_set(err, ERR_LIMIT, "added_tokens[%zu].id: %llu is too large: ids stay below %u", i, (unsigned long long)id,
                       VOCAB_IDS_MAX);
    t->id = (uint32_t)id;
    t->content = json_str(content, arena);
    if (!t->content.p)
        return err_set(err, ERR_NOMEM, "added_tokens[%zu]: out of memory", i);
    if (t->content.n > limits->token_bytes)
        return err_set(err, ERR_LIMIT, "added_tokens[%zu].content: %zu bytes, more than %u", i, t->content.n, limits->token_bytes);
    if ((r = read_flag(v, "single_word", i, &t->single_word, err)) < 0 || (r = read_flag(v, "lstrip", i, &t->lstrip, err)) < 0 ||
        (r = read_flag(v, "rstrip", i, &t->rstrip, err)) < 0 || (r = read_flag(v, "normalized", i, &t->normalized, err)) < 0)
        return r;
    return read_flag(v, "special", i, &t->special, err);
}

static int load_added(struct tokenizer *t, struct json list, struct arena *arena, const struct tokenizer_limits *limits,
                      struct err *err)
{
    size_t n = 0;

    if (!json_is_null(list) && !json_is(list, JSON_ARRAY))
        return err_set(err, ERR_INVALID, "added_tokens: expected a list");
    for (struct json_iter it = json_iter(list); json_next(&it);)
        n++;
    if (n > limits->added_tokens)
        return err_set(err, ERR_LIMIT, "added_tokens: %zu of them, more than %u", n, limits->added_tokens);
    struct added_token *tokens = arena_array(arena, n, sizeof(*tokens));
    if (!tokens)
        return err_set(err, ERR_NOMEM, "added_tokens: out of memory");

    size_t i = 0;
    for (struct json_iter it = json_iter(list); json_next(&it); i++) {
        int r = read_added_token(it.value, i, arena, limits, &tokens[i], err);
        if (r < 0)
            return r;
    }
    return tokenizer_set_added(t, tokens, n, ADDED_IDS_COUNTED, err);
}

/* The id that `tokenizers` would count out: behind the model's tokens and behind the added ones before. */
static uint32_t next_id(uint32_t model_n, uint64_t highest_and_one)
{
    return (uint32_t)MAX(model_n, highest_and_one);
}

int tokenizer_set_added(struct tokenizer *t, struct added_token *tokens, size_t n, enum added_ids how, struct err *err)
{
    const struct vocab *vocab = t->model->vocab;
    _cleanup_(map_fini) struct map seen = { 0 };
    _cleanup_(buf_fini) struct buf texts = { 0 };
    struct buf work[2] = { 0 };
    size_t *ends = calloc(MAX(n, 1), sizeof(*ends)), kept = 0;
    uint64_t highest_and_one = 0;
    int r = ends ? 0 : ERR_NOMEM;

    for (size_t i = 0; i < n && r >= 0; i++) {
        struct added_token *a = &tokens[i], *same = map_get(&seen, a->content);
        struct str matched = a->content;
        if (a->content.n == 0)
            continue;
        if (same)
            a->id = same->id;
        else if (how == ADDED_IDS_COUNTED && !vocab_find_text(vocab, a->content, &a->id))
            a->id = next_id(vocab_count(vocab), highest_and_one);
        if (a->id >= VOCAB_IDS_MAX) {
            r = ERR_LIMIT;
            break;
        }
        highest_and_one = MAX(highest_and_one, (uint64_t)a->id + 1);
        if (a->normalized && (r = normalizer_run(t->normalizer, a->content, work, &matched, err)) < 0)
            break;
        buf_put(&texts, matched);
        tokens[kept] = *a;
        ends[kept] = texts.n;
        if (texts.failed || map_put(&seen, tokens[kept].content, &tokens[kept], NULL) < 0)
            r = ERR_NOMEM;
        kept++;
    }
    for (size_t i = 0; i < kept && r >= 0; i++)
        tokens[i].matched = str_skip(str_first(buf_str(&texts), ends[i]), i ? ends[i - 1] : 0);
    free(ends);
    buf_fini(&work[0]);
    buf_fini(&work[1]);
    if (r < 0)
        return err_set(err, r, r == ERR_LIMIT ? "added_tokens: ids past 2^24" : "added_tokens: out of memory");
    return added_tokens_new(tokens, kept, &t->added, err);
}

/* ---- truncation ---- */

static int load_truncation(struct tokenizer *t, struct json v, struct err *err)
{
    static const struct str STRATEGIES[] = { STR("LongestFirst"), STR("OnlyFirst"), STR("OnlySecond") };
    struct truncation c = { .on = true };
    struct json direction = json_get(v, STR("direction")), strategy = json_get(v, STR("strategy"));

    if (json_is_null(v))
        return 0;
    if (json_to_u64(json_get(v, STR("max_length")), &c.max_length) < 0)
        return err_set(err, ERR_INVALID, "truncation.max_length: expected a number that counts");
    if (json_to_u64(json_get(v, STR("stride")), &c.stride) < 0)
        return err_set(err, ERR_INVALID, "truncation.stride: expected a number that counts");
    c.left = json_str_eq(direction, STR("Left"));
    if (json_exists(direction) && !c.left && !json_str_eq(direction, STR("Right")))
        return err_set(err, ERR_INVALID, "truncation.direction: expected \"Left\" or \"Right\"");
    for (int i = 0; i < (int)ARRAY_LEN(STRATEGIES); i++) {
        if (json_str_eq(strategy, STRATEGIES[i])) {
            c.strategy = (enum truncation_strategy)i;
            t->truncation = c;
            return 0;
        }
    }
    return err_set(err, ERR_INVALID, "truncation.strategy: expected \"LongestFirst\", \"OnlyFirst\" or \"OnlySecond\"");
}

/* ---- the whole ---- */

/* Gemma's Split(" ", MergedWithPrevious) behind a normalizer that leaves no space: it cuts nothing, and the text stays whole. */
static bool cuts_nothing(const struct tokenizer *t, struct json pre)
{
    struct normalizer_spm spm;

    return json_str_eq(json_get(pre, STR("type")), STR("Split")) &&
           json_str_eq(json_get(json_get(pre, STR("pattern")), STR("String")), STR(" ")) &&
           json_is(json_get(pre, STR("invert")), JSON_FALSE) && normalizer_is_spm(t->normalizer, &spm) &&
           str_find_char(spm.space, ' ') == STR_NPOS && str_find_char(spm.prepend, ' ') == STR_NPOS;
}

static int load_parts(struct tokenizer *t, struct json root, struct arena *arena, const struct tokenizer_limits *limits,
                      struct err *err)
{
    struct json version = json_get(root, STR("version")), pre = json_get(root, STR("pre_tokenizer"));
    bool byte_level;
    int r;

    if (!json_is(root, JSON_OBJECT))
        return err_set(err, ERR_INVALID, "expected an object");
    if (json_exists(version) && !json_str_eq(version, STR("1.0")))
        return err_set(err, ERR_UNSUPPORTED, "version: %.*s is not known; known is \"1.0\"",
                       STR_FMT(str_first(json_raw(version), 40)));
    if ((r = load_truncation(t, json_get(root, STR("truncation")), err)) < 0 ||
        (r = normalizer_parse(json_get(root, STR("normalizer")), &t->normalizer, err)) < 0)
        return r;
    if (!cuts_nothing(t, pre) && (r = pretokenizer_parse(pre, &t->pretokenizer, err)) < 0)
        return r;
    byte_level = t->pretokenizer && pretokenizer_is_byte_level(t->pretokenizer);
    r = model_parse(json_get(root, STR("model")), byte_level, arena, limits, &t->model, err);
    if (r < 0)
        return err_wrap(err, r, "model");
    if ((r = load_added(t, json_get(root, STR("added_tokens")), arena, limits, err)) < 0 ||
        (r = post_processor_parse(json_get(root, STR("post_processor")), &t->post, err)) < 0)
        return r;
    return decoder_parse(json_get(root, STR("decoder")), byte_level, &t->decoder, err);
}

int tokenizer_load_json(struct tokenizer *t, struct str text, const struct tokenizer_limits *limits, struct err *err)
{
    struct json_error at;
    struct json_doc doc;
    struct arena arena;

    arena_init(&arena, NULL, ARENA_LEAST + text.n * ARENA_PER_BYTE);
    int r = json_parse(text, &arena, &doc, &at);
    if (r == ERR_SYNTAX)
        err_set(err, r, "%s at line %u column %u", at.message, at.line, at.column);
    else if (r < 0)
        err_set(err, r, "%s", err_text(r));
    else
        r = load_parts(t, json_root(&doc), &arena, limits, err);
    arena_fini(&arena);
    return r < 0 ? err_wrap(err, r, "tokenizer.json") : 0;
}
