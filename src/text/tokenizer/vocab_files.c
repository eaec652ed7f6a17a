/* text/tokenizer/vocab_files.c -- vocab.json and merges.txt without a tokenizer.json: what the Qwen2 classes mean by them (spec 1.4.1)
 *
 * NFC, Qwen2's regex, byte-level BPE without an unknown token. Added tokens come from tokenizer_config.json's added_tokens_decoder, with the ids that it declares.
 */
#include "text/tokenizer/tokenizer_internal.h"

#include <stdlib.h>

#include "base/attr.h"

static const struct str QWEN2 = STR("(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| "
                                    "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+");
static const struct str PARTS = STR("{\"normalizer\":{\"type\":\"NFC\"},\"decoder\":{\"type\":\"ByteLevel\"}}");

/* The lines of merges.txt. Unlike in tokenizer.json, the number in a message is that of the line. */
static int read_merges(struct str text, struct merges_reader *m, struct err *err)
{
    for (size_t line_n = 1; text.n; line_n++) {
        struct str line, rest, a, b;
        (void)str_split(text, '\n', &line, &rest); /* no newline: the last line */
        text = rest;
        if (line.n && line.p[line.n - 1] == '\r')
            line.n--;
        if (str_has_prefix(line, STR("#version")))
            continue;
        if (!str_split(line, ' ', &a, &b) || str_find_char(b, ' ') != STR_NPOS)
            return err_set(err, ERR_INVALID, "merges.txt: Merges text file invalid at line %zu", line_n);
        int r = merges_put(m, a, b, err);
        if (r < 0)
            return err_wrap(err, r, "merges.txt");
    }
    int r = merges_finish(m, err);
    return r < 0 ? err_wrap(err, r, "merges.txt") : 0;
}

static int load_model(struct tokenizer *t, const struct tokenizer_files *files, const struct tokenizer_limits *limits,
                      struct err *err)
{
    struct bpe_config c = { 0 };
    struct json_doc doc;
    struct json_error at;
    struct arena arena;
    int r;

    arena_init(&arena, NULL, (4u << 20) + files->vocab_json.n * 24);
    r = json_parse(files->vocab_json, &arena, &doc, &at);
    if (r == ERR_SYNTAX)
        err_set(err, r, "vocab.json: %s at line %u column %u", at.message, at.line, at.column);
    else if (r < 0)
        err_set(err, r, "vocab.json: %s", err_text(r));
    else
        r = vocab_parse(json_root(&doc), /* byte_level= */ true, "vocab.json", &arena, limits, &c.vocab, err);
    arena_fini(&arena);
    if (r < 0)
        return r;

    struct merges_reader *m = malloc(sizeof(*m));
    if (!m) {
        vocab_free(c.vocab);
        return err_set(err, ERR_NOMEM, "merges.txt: out of memory");
    }
    merges_begin(m, c.vocab, 0);
    r = read_merges(files->merges_txt, m, err);
    if (r >= 0) {
        c.merges = m->merges;
        c.merges_n = m->n;
        r = bpe_model_new(&c, &t->model, err);
    } else {
        vocab_free(c.vocab);
    }
    merges_fini(m);
    free(m);
    return r;
}

static int by_id(const void *a, const void *b)
{
    const struct added_token *x = a, *y = b;

    return (x->id > y->id) - (x->id < y->id);
}

static bool flag(struct json v, const char *name, bool otherwise)
{
    struct json f = json_get(v, str_of(name));

    return json_is_bool(f) ? json_is(f, JSON_TRUE) : otherwise;
}

int tokenizer_read_added_decoder(struct json config, struct arena *arena, const struct tokenizer_limits *limits, size_t spare,
                                 struct added_token **ret, size_t *ret_n, struct err *err)
{
    struct json list = json_get(config, STR("added_tokens_decoder"));
    size_t n = 0;

    for (struct json_iter it = json_iter(list); json_next(&it);)
        n++;
    if (n > limits->added_tokens)
        return err_set(err, ERR_LIMIT, "added_tokens_decoder: %zu tokens, more than %u", n, limits->added_tokens);
    struct added_token *tokens = arena_array(arena, n + spare, sizeof(*tokens));
    if (!tokens)
        return err_set(err, ERR_NOMEM, "added_tokens_decoder: out of memory");
    n = 0;
    for (struct json_iter it = json_iter(json_is(list, JSON_OBJECT) ? list : JSON_NONE); json_next(&it);) {
        struct str key = json_raw_str(it.key), content = json_str(json_get(it.value, STR("content")), arena);
        uint64_t id;
        if (str_to_u64(key, &id) < 0 || id >= VOCAB_IDS_MAX)
            return err_set(err, ERR_INVALID, "added_tokens_decoder: `%.*s` is not an id below %u", STR_FMT(str_first(key, 40)),
                           VOCAB_IDS_MAX);
        if (!content.p)
            return err_set(err, ERR_INVALID, "added_tokens_decoder.%llu.content: expected a string", (unsigned long long)id);
        if (content.n > limits->token_bytes)
            return err_set(err, ERR_LIMIT, "added_tokens_decoder.%llu.content: %zu bytes, more than %u", (unsigned long long)id,
                           content.n, limits->token_bytes);
        bool special = flag(it.value, "special", false);
        tokens[n++] = (struct added_token){ .content = content,
                                            .id = (uint32_t)id,
                                            .single_word = flag(it.value, "single_word", false),
                                            .lstrip = flag(it.value, "lstrip", false),
                                            .rstrip = flag(it.value, "rstrip", false),
                                            .special = special,
                                            .normalized = flag(it.value, "normalized", !special) };
    }
    if (n)
        qsort(tokens, n, sizeof(*tokens), by_id);
    *ret = tokens;
    *ret_n = n;
    return 0;
}

static int load_added(struct tokenizer *t, struct json config, struct arena *arena, const struct tokenizer_limits *limits,
                      struct err *err)
{
    struct added_token *tokens;
    size_t n;
    int r = tokenizer_read_added_decoder(config, arena, limits, 0, &tokens, &n, err);

    return r < 0 ? r : tokenizer_set_added(t, tokens, n, ADDED_IDS_DECLARED, err);
}

int tokenizer_load_vocab_files(struct tokenizer *t, const struct tokenizer_files *files, const struct tokenizer_limits *limits,
                               struct err *err)
{
    struct json_doc parts, doc;
    struct json config = JSON_NONE;
    struct arena arena;
    int r;

    arena_init(&arena, NULL, (4u << 20) + files->tokenizer_config.n * 24);
    r = json_parse(PARTS, &arena, &parts, NULL);
    if (r >= 0 && files->tokenizer_config.n && json_parse(files->tokenizer_config, &arena, &doc, NULL) >= 0)
        config = json_root(&doc);
    if (r >= 0)
        r = normalizer_parse(json_get(json_root(&parts), STR("normalizer")), &t->normalizer, err);
    if (r >= 0)
        r = decoder_parse(json_get(json_root(&parts), STR("decoder")), /* byte_level= */ true, &t->decoder, err);
    if (r >= 0)
        r = pretokenizer_from_regex(QWEN2, flag(config, "add_prefix_space", false), &t->pretokenizer, err);
    if (r >= 0)
        r = load_model(t, files, limits, err);
    if (r >= 0)
        r = load_added(t, config, &arena, limits, err);
    arena_fini(&arena);
    return r;
}
