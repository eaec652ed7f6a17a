/* text/tokenizer/tiktoken.c -- files of ranks: `base64(bytes) SP rank` per line (spec 4)
 *
 * The file says nothing of the regex and of added tokens:
 *   regex          Kimi's (a directory that names tokenization_kimi, or a config of model_type kimi_k2, kimi_k25, kimi_k3); Qwen-1's (tokenizer_class QWenTokenizer); o200k's when there are
 *                  about 200k ranks; else cl100k's
 *   added tokens   tokenizer_config.json's added_tokens_decoder; Kimi besides reserves the 256 ids behind the ranks; Qwen-1 has its own, fixed list
 */
#include "text/tokenizer/tokenizer_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/attr.h"
#include "base/map.h"

#define O200K_FROM    190000 /* ranks; o200k has 199998, Llama 4 200000, the next smaller vocabulary 163584 */
#define KIMI_RESERVED 256
#define QWEN_EXTRAS   205
#define TAIL          "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define CONTRACTIONS  "(?i:'s|'t|'re|'ve|'m|'ll|'d)"

static const struct str CL100K = STR(CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*" TAIL);
static const struct str QWEN1 = STR(CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*" TAIL);
static const struct str O200K =
    STR("[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+" CONTRACTIONS "?|"
        "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*" CONTRACTIONS "?|"
        "\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*" TAIL);
static const struct str KIMI = STR("[\\p{Han}]+|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]*[\\p{Ll}"
                                   "\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]+" CONTRACTIONS "?|"
                                   "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]+[\\p{Ll}\\p{Lm}\\p{Lo}"
                                   "\\p{M}&&[^\\p{Han}]]*" CONTRACTIONS "?|"
                                   "\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*" TAIL);

/* ---- the ranks ---- */

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Standard alphabet, padded. Bytes in OUT (3/4 of the text), their number, or -1. */
static long base64_decode(struct str text, char *out)
{
    long n = 0;

    if (text.n % 4)
        return -1;
    for (size_t i = 0; i < text.n; i += 4) {
        unsigned pads = i + 4 < text.n ? 0 : (text.p[i + 3] == '=') + (unsigned)(text.p[i + 3] == '=' && text.p[i + 2] == '=');
        uint32_t bits = 0;
        for (unsigned k = 0; k < 4; k++) {
            int v = k >= 4 - pads ? 0 : base64_value(text.p[i + k]);
            if (v < 0)
                return -1;
            bits = bits << 6 | (uint32_t)v;
        }
        if (bits & ((1u << 8 * pads) - 1))
            return -1;
        for (unsigned k = 0; k < 3 - pads; k++)
            out[n++] = (char)(bits >> (16 - 8 * k));
    }
    return n;
}

/* The next field of a line: what stands between blanks. */
static struct str next_field(struct str *line)
{
    size_t from = 0, to;

    while (from < line->n && (line->p[from] == ' ' || line->p[from] == '\t' || line->p[from] == '\r'))
        from++;
    for (to = from; to < line->n && line->p[to] != ' ' && line->p[to] != '\t' && line->p[to] != '\r';)
        to++;
    struct str field = str_skip(str_first(*line, to), from);
    *line = str_skip(*line, to);
    return field;
}

static int read_line(struct vocab_builder *b, struct str line, size_t line_n, const struct tokenizer_limits *limits, char *bytes,
                     struct err *err)
{
    struct str token = next_field(&line), rank = next_field(&line);
    uint64_t id;

    if (token.n == 0)
        return err_set(err, ERR_INVALID, "line %zu: missing token in tiktoken file", line_n);
    if (rank.n == 0)
        return err_set(err, ERR_INVALID, "line %zu: missing rank in tiktoken file", line_n);
    if (token.n > limits->token_bytes / 3 * 4)
        return err_set(err, ERR_LIMIT, "line %zu: a token of more than %u bytes", line_n, limits->token_bytes);
    long n = base64_decode(token, bytes);
    if (n <= 0)
        return err_set(err, ERR_INVALID, "line %zu: the token is not base64", line_n);
    if (str_to_u64(rank, &id) < 0)
        return err_set(err, ERR_INVALID, "line %zu: the rank `%.*s` is not a number", line_n, STR_FMT(str_first(rank, 40)));
    if (id >= VOCAB_IDS_MAX)
        return err_set(err, ERR_LIMIT, "line %zu: the rank %llu is too large: ranks stay below %u", line_n, (unsigned long long)id,
                       VOCAB_IDS_MAX);
    int r = vocab_builder_add_bytes(b, (struct str){ bytes, (size_t)n }, (uint32_t)id);
    return r < 0 ? err_set(err, r, "line %zu: no room for the token", line_n) : 0;
}

static int read_ranks(struct str text, const struct tokenizer_limits *limits, struct vocab **ret, struct err *err)
{
    char *bytes = malloc(limits->token_bytes + 4u);
    struct vocab_builder *b = NULL;
    size_t n = 0;
    int r = bytes ? vocab_builder_new(/* byte_level= */ true, text.n / 16, text.n / 2, &b) : ERR_NOMEM;

    if (r < 0)
        err_set(err, r, "out of memory");
    for (size_t line_n = 1; r >= 0 && text.n; line_n++) {
        struct str line, rest;
        (void)str_split(text, '\n', &line, &rest); /* no newline: the last line */
        text = rest;
        if (str_trim(line).n == 0)
            continue;
        r = ++n > limits->tokens ? err_set(err, ERR_LIMIT, "more than %u tokens", limits->tokens)
                                 : read_line(b, line, line_n, limits, bytes, err);
    }
    free(bytes);
    if (r < 0) {
        vocab_builder_free(b);
        return r;
    }
    r = vocab_builder_finish(b, ret);
    return r < 0 ? err_set(err, r, r == ERR_LIMIT ? "tokens made to collide" : "out of memory") : 0;
}

/* ---- whose file is it? ---- */

static bool has_segment(struct str text, struct str wanted)
{
    for (;;) {
        struct str head, tail;
        bool more = str_split(text, '.', &head, &tail);
        if (str_eq(head, wanted))
            return true;
        if (!more)
            return false;
        text = tail;
    }
}

/* Some string anywhere in the document has "tokenization_kimi" between dots. The nodes are one flat list: no recursion. Keys of objects count too; none is written so. */
static bool names_kimi(const struct json_doc *doc)
{
    for (size_t i = 0; i < doc->n; i++) {
        if (doc->nodes[i].type == JSON_STRING &&
            has_segment(json_raw_str((struct json){ doc, (uint32_t)i }), STR("tokenization_kimi")))
            return true;
    }
    return false;
}

static bool is_kimi(const struct json_doc *config, struct json model_config)
{
    struct json type = json_get(model_config, STR("model_type"));

    return (config && names_kimi(config)) || json_str_eq(type, STR("kimi_k2")) || json_str_eq(type, STR("kimi_k25")) ||
           json_str_eq(type, STR("kimi_k3"));
}

/* ---- added tokens ---- */

static int name_token(struct added_token *t, struct str content, uint32_t id)
{
    *t = (struct added_token){ .content = content, .id = id, .special = true };
    return content.p ? 0 : ERR_NOMEM;
}

/* The 256 ids behind the ranks: those that are not used yet get names, unless a name is taken. */
static int reserve_kimi(struct arena *arena, uint32_t ranks, struct added_token *tokens, size_t *n)
{
    _cleanup_(map_fini) struct map taken = { 0 };
    bool used[KIMI_RESERVED] = { false };

    for (size_t i = 0; i < *n; i++) {
        if (tokens[i].id >= ranks && tokens[i].id - ranks < KIMI_RESERVED)
            used[tokens[i].id - ranks] = true;
        if (map_put(&taken, tokens[i].content, &tokens[i], NULL) < 0)
            return ERR_NOMEM;
    }
    for (uint32_t k = 0; k < KIMI_RESERVED; k++) {
        struct str name = arena_printf(arena, "<|reserved_token_%u|>", ranks + k);
        if (used[k] || (name.p && map_get(&taken, name)))
            continue;
        int r = name_token(&tokens[(*n)++], name, ranks + k);
        if (r < 0)
            return r;
    }
    return 0;
}

static int add_qwen(struct arena *arena, uint32_t ranks, struct added_token *tokens, size_t *n)
{
    static const struct str FIRST[] = { STR("<|endoftext|>"), STR("<|im_start|>"), STR("<|im_end|>") };

    for (uint32_t k = 0; k < ARRAY_LEN(FIRST) + QWEN_EXTRAS; k++) {
        struct str name = k < ARRAY_LEN(FIRST) ? FIRST[k] : arena_printf(arena, "<|extra_%u|>", k - (uint32_t)ARRAY_LEN(FIRST));
        int r = name_token(&tokens[(*n)++], name, ranks + k);
        if (r < 0)
            return r;
    }
    return 0;
}

struct beside {
    struct json_doc config_doc; /* of tokenizer_config.json */
    struct json config, model_config;
};

static int read_beside(const struct tokenizer_files *files, struct arena *arena, struct beside *b, struct err *err)
{
    struct json_doc *model = arena_new(arena, struct json_doc);
    struct json_error at;
    int r = 0;

    if (!model)
        return err_set(err, ERR_NOMEM, "out of memory");
    if (files->tokenizer_config.n) {
        r = json_parse(files->tokenizer_config, arena, &b->config_doc, &at);
        if (r == ERR_SYNTAX)
            return err_set(err, r, "tokenizer_config.json: %s at line %u column %u", at.message, at.line, at.column);
        if (r < 0)
            return err_set(err, r, "tokenizer_config.json: %s", err_text(r));
        b->config = json_root(&b->config_doc);
    }
    if (files->config.n && json_parse(files->config, arena, model, NULL) >= 0)
        b->model_config = json_root(model);
    return 0;
}

static int load_parts(struct tokenizer *t, const struct tokenizer_files *files, const struct tokenizer_limits *limits,
                      struct arena *arena, struct err *err)
{
    struct beside b = { .config = JSON_NONE, .model_config = JSON_NONE };
    struct bpe_config c = { .ranks_are_ids = true };
    struct added_token *tokens;
    size_t n;
    int r = read_beside(files, arena, &b, err);

    if (r >= 0)
        r = read_ranks(files->tiktoken, limits, &c.vocab, err);
    if (r < 0)
        return r;
    uint32_t ranks = vocab_count(c.vocab);
    bool kimi = is_kimi(json_exists(b.config) ? &b.config_doc : NULL, b.model_config);
    bool qwen = !kimi && json_str_eq(json_get(b.config, STR("tokenizer_class")), STR("QWenTokenizer"));
    r = bpe_model_new(&c, &t->model, err);
    if (r >= 0)
        r = pretokenizer_from_regex(kimi                  ? KIMI
                                    : qwen                ? QWEN1
                                    : ranks >= O200K_FROM ? O200K
                                                          : CL100K,
                                    /* add_prefix_space= */ false, &t->pretokenizer, err);
    if (r >= 0)
        r = decoder_new_bytes(&t->decoder);
    if (r >= 0)
        r = tokenizer_read_added_decoder(b.config, arena, limits, KIMI_RESERVED, &tokens, &n, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < n; i++) /* SMG passes over the flags; all are found as they stand */
        tokens[i].normalized = tokens[i].single_word = tokens[i].lstrip = tokens[i].rstrip = false;
    if (kimi)
        r = reserve_kimi(arena, ranks, tokens, &n);
    else if (qwen && n == 0)
        r = add_qwen(arena, ranks, tokens, &n);
    if (r < 0)
        return err_set(err, r, "added tokens: %s", err_text(r));
    return tokenizer_set_added(t, tokens, n, ADDED_IDS_DECLARED, err);
}

int tokenizer_load_tiktoken(struct tokenizer *t, const struct tokenizer_files *files, const struct tokenizer_limits *limits,
                            struct err *err)
{
    struct arena arena;

    t->tiktoken = true;
    arena_init(&arena, NULL, (4u << 20) + (files->tokenizer_config.n + files->config.n) * 24);
    int r = load_parts(t, files, limits, &arena, err);
    arena_fini(&arena);
    return r < 0 ? err_wrap(err, r, "tiktoken file") : 0;
}
