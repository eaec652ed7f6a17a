/* text/tokenizer/model_json.c -- the member "model" of tokenizer.json (spec 3.5), straight from the nodes of the reader to the tables of the models
 *
 * A model without a type is the first of BPE, WordPiece, WordLevel and Unigram whose members it has.
 * Messages begin with the member below "model".
 */
#include "text/tokenizer/tokenizer_internal.h"

#include <math.h>
#include <stdlib.h>

#include "base/attr.h"
#include "text/tokenizer/score.h"

struct place {
    struct arena *arena; /* borrowed; for strings with escapes */
    const struct tokenizer_limits *limits;
    bool byte_level;
};

/* ---- members ---- */

/* null or absent: empty. */
static int read_str(struct json model, const char *name, struct arena *arena, struct str *ret, struct err *err)
{
    struct json v = json_get(model, str_of(name));

    *ret = (struct str){ 0 };
    if (json_is_null(v))
        return 0;
    if (!json_is(v, JSON_STRING))
        return err_set(err, ERR_INVALID, "%s: expected a string or null", name);
    *ret = json_str(v, arena);
    return ret->p ? 0 : err_set(err, ERR_NOMEM, "%s: out of memory", name);
}

static int read_bool(struct json model, const char *name, bool *ret, struct err *err)
{
    struct json v = json_get(model, str_of(name));

    if (!json_is_null(v) && !json_is_bool(v))
        return err_set(err, ERR_INVALID, "%s: expected true or false", name);
    *ret = json_is(v, JSON_TRUE);
    return 0;
}

static int read_limited(struct json v, uint64_t max, const char *what, uint32_t *ret, struct err *err)
{
    uint64_t n;

    if (json_to_u64(v, &n) < 0)
        return err_set(err, ERR_INVALID, "%s: expected a number that counts, not %.*s", what, STR_FMT(str_first(json_raw(v), 40)));
    if (n >= max)
        return err_set(err, ERR_LIMIT, "%s: %llu is too large: ids stay below %llu", what, (unsigned long long)n,
                       (unsigned long long)max);
    *ret = (uint32_t)n;
    return 0;
}

static int too_many(struct err *err, const char *where, size_t max)
{
    return err_set(err, ERR_LIMIT, "%s: more than %zu tokens", where, max);
}

static int add_token(struct vocab_builder *b, struct json key, uint32_t id, const char *where, const struct place *at,
                     struct err *err)
{
    struct str text = json_str(key, at->arena);

    if (!text.p)
        return err_set(err, ERR_NOMEM, "%s: out of memory", where);
    if (text.n > at->limits->token_bytes)
        return err_set(err, ERR_LIMIT, "%s: the token with the id %u has %zu bytes, more than %u", where, id, text.n,
                       at->limits->token_bytes);
    int r = vocab_builder_add(b, text, id);
    return r < 0 ? err_set(err, r, "%s: no room for the token with the id %u", where, id) : 0;
}

static int finish_vocab(struct vocab_builder *b, const char *where, struct vocab **ret, struct err *err)
{
    int r = vocab_builder_finish(b, ret);

    if (r < 0)
        return err_set(err, r, r == ERR_LIMIT ? "%s: tokens made to collide" : "%s: out of memory", where);
    return 0;
}

int vocab_parse(struct json v, bool byte_level, const char *where, struct arena *arena, const struct tokenizer_limits *limits,
                struct vocab **ret, struct err *err)
{
    const struct place at = { arena, limits, byte_level };
    struct vocab_builder *b;
    size_t n = 0;

    if (!json_is(v, JSON_OBJECT))
        return err_set(err, ERR_INVALID, "%s: expected an object {token: id}", where);
    if (vocab_builder_new(byte_level, json_count(v), json_raw(v).n / 2, &b) < 0)
        return err_set(err, ERR_NOMEM, "%s: out of memory", where);
    for (struct json_iter it = json_iter(v); json_next(&it);) {
        uint32_t id = 0;
        int r =
            ++n > limits->tokens ? too_many(err, where, limits->tokens) : read_limited(it.value, VOCAB_IDS_MAX, where, &id, err);
        if (r >= 0)
            r = add_token(b, it.key, id, where, &at, err);
        if (r < 0) {
            vocab_builder_free(b);
            return r;
        }
    }
    return finish_vocab(b, where, ret, err);
}

/* ---- BPE ---- */

static int put_line(struct merges_reader *m, struct str line, struct err *err)
{
    struct str a, b;

    if (str_has_prefix(line, STR("#version")))
        return 0;
    if (!str_split(line, ' ', &a, &b) || str_find_char(b, ' ') != STR_NPOS)
        return err_set(err, ERR_INVALID,
                       "merges[%zu]: Merges text file invalid at line %zu: expected two tokens with one space between",
                       m->n + m->waiting, m->n + m->waiting + 1);
    return merges_put(m, a, b, err);
}

static int read_merges(struct json v, struct arena *arena, struct merges_reader *m, struct err *err)
{
    bool pairs = false, first = true;

    if (!json_is(v, JSON_ARRAY))
        return err_set(err, ERR_INVALID, "merges: expected a list of \"a b\" or of [\"a\", \"b\"]");
    for (struct json_iter it = json_iter(v); json_next(&it); first = false) {
        bool pair = json_is(it.value, JSON_ARRAY) && json_count(it.value) == 2;
        int r;
        if (first)
            pairs = pair;
        if (pair != pairs || (!pair && !json_is(it.value, JSON_STRING)))
            return err_set(err, ERR_INVALID, "merges[%zu]: expected \"a b\" or [\"a\", \"b\"], the same way in all of the list",
                           m->n + m->waiting);
        if (pair) {
            struct json_iter part = json_iter(it.value);
            struct str text[2];
            for (int k = 0; k < 2 && json_next(&part); k++) {
                text[k] = json_str(part.value, arena);
                if (!text[k].p)
                    return err_set(err, arena->failed ? ERR_NOMEM : ERR_INVALID, "merges[%zu]: expected two strings",
                                   m->n + m->waiting);
            }
            r = merges_put(m, text[0], text[1], err);
        } else {
            struct str line = json_str(it.value, arena);
            if (!line.p)
                return err_set(err, ERR_NOMEM, "merges: out of memory");
            r = put_line(m, line, err);
        }
        if (r < 0)
            return r;
    }
    return merges_finish(m, err);
}

static int build_bpe(struct json v, struct bpe_config *c, const struct place *at, struct model **ret, struct err *err)
{
    struct merges_reader *m = malloc(sizeof(*m));
    int r = ERR_NOMEM;

    if (!m) {
        vocab_free(c->vocab);
        return err_set(err, r, "merges: out of memory");
    }
    merges_begin(m, c->vocab, c->continuing_subword_prefix.n);
    r = read_merges(json_get(v, STR("merges")), at->arena, m, err);
    if (r >= 0) {
        c->merges = m->merges;
        c->merges_n = m->n;
        r = bpe_model_new(c, ret, err);
    } else {
        vocab_free(c->vocab);
    }
    merges_fini(m);
    free(m);
    return r;
}

static int parse_bpe(struct json v, const struct place *at, struct model **ret, struct err *err)
{
    struct bpe_config c = { 0 };
    struct json dropout = json_get(v, STR("dropout"));
    struct str unk;
    double chance = 0;
    int r;

    if (!json_is_null(dropout) && (json_to_double(dropout, &chance) < 0 || chance > 0 || chance < 0))
        return err_set(err, ERR_UNSUPPORTED, "dropout: only null and 0 are supported: with dropout a text has no one encoding");
    if ((r = read_bool(v, "fuse_unk", &c.fuse_unk, err)) < 0 || (r = read_bool(v, "byte_fallback", &c.byte_fallback, err)) < 0 ||
        (r = read_bool(v, "ignore_merges", &c.ignore_merges, err)) < 0 ||
        (r = read_str(v, "unk_token", at->arena, &unk, err)) < 0 ||
        (r = read_str(v, "continuing_subword_prefix", at->arena, &c.continuing_subword_prefix, err)) < 0 ||
        (r = read_str(v, "end_of_word_suffix", at->arena, &c.end_of_word_suffix, err)) < 0)
        return r;
    if (!json_exists(json_get(v, STR("merges"))))
        return err_set(err, ERR_INVALID, "merges: missing");
    r = vocab_parse(json_get(v, STR("vocab")), at->byte_level, "vocab", at->arena, at->limits, &c.vocab, err);
    if (r < 0)
        return r;
    c.has_unk = unk.n && vocab_find_text(c.vocab, unk, &c.unk_id);
    c.unk_missing = !c.has_unk && !json_is_null(json_get(v, STR("unk_token")));
    return build_bpe(v, &c, at, ret, err);
}

/* ---- the others ---- */

static int parse_unigram(struct json v, const struct place *at, struct model **ret, struct err *err)
{
    struct json list = json_get(v, STR("vocab")), unk = json_get(v, STR("unk_id"));
    struct unigram_config c = { .has_unk = !json_is_null(unk) };
    struct vocab_builder *b = NULL;
    double *scores = NULL;
    size_t n = 0, cap = 0;
    int r = read_bool(v, "byte_fallback", &c.byte_fallback, err);

    if (r < 0)
        return r;
    if (!json_is(list, JSON_ARRAY))
        return err_set(err, ERR_INVALID, "vocab: expected a list of [piece, score]");
    if (vocab_builder_new(at->byte_level, json_count(list), json_raw(list).n / 2, &b) < 0)
        return err_set(err, ERR_NOMEM, "vocab: out of memory");
    vocab_builder_keep_repeats(b);
    for (struct json_iter it = json_iter(list); json_next(&it); n++) {
        struct json piece = json_at(it.value, 0);
        double score;
        if (n == MIN(at->limits->tokens, VOCAB_IDS_MAX)) {
            r = too_many(err, "vocab", n);
            goto out;
        }
        if (json_count(it.value) != 2 || !json_is(piece, JSON_STRING) || !json_is(json_at(it.value, 1), JSON_NUMBER) ||
            !score_read(json_raw(json_at(it.value, 1)), &score)) {
            r = err_set(err, ERR_INVALID, "vocab[%zu]: expected [piece, score]", n);
            goto out;
        }
        if (n == cap) {
            cap = cap ? cap * 2 : MAX(json_count(list), 16);
            double *more = reallocarray(scores, cap, sizeof(*more));
            if (!more) {
                r = err_set(err, ERR_NOMEM, "vocab: out of memory");
                goto out;
            }
            scores = more;
        }
        scores[n] = score;
        r = add_token(b, piece, (uint32_t)n, "vocab", at, err);
        if (r < 0)
            goto out;
    }
    if (c.has_unk && (r = read_limited(unk, VOCAB_IDS_MAX, "unk_id", &c.unk_id, err)) < 0)
        goto out;
    if (c.has_unk && c.unk_id >= n) {
        r = err_set(err, ERR_INVALID, "unk_id: %u is not below %zu, the number of pieces", c.unk_id, n);
        goto out;
    }
    r = finish_vocab(STEAL(b), "vocab", &c.vocab, err);
    if (r < 0)
        goto out;
    c.scores = scores;
    c.scores_n = n;
    r = unigram_model_new(&c, ret, err);
out:
    vocab_builder_free(b);
    free(scores);
    return r;
}

static int parse_wordpiece(struct json v, const struct place *at, struct model **ret, struct err *err)
{
    struct wordpiece_config c = { .max_input_chars_per_word = 100 };
    struct json max = json_get(v, STR("max_input_chars_per_word"));
    int r;

    if ((r = read_str(v, "unk_token", at->arena, &c.unk_token, err)) < 0 ||
        (r = read_str(v, "continuing_subword_prefix", at->arena, &c.continuing_subword_prefix, err)) < 0)
        return r;
    if (!json_exists(json_get(v, STR("unk_token"))))
        c.unk_token = STR("[UNK]");
    if (!json_exists(json_get(v, STR("continuing_subword_prefix"))))
        c.continuing_subword_prefix = STR("##");
    if (!json_is_null(max) && (r = read_limited(max, UINT32_MAX, "max_input_chars_per_word", &c.max_input_chars_per_word, err)) < 0)
        return r;
    r = vocab_parse(json_get(v, STR("vocab")), at->byte_level, "vocab", at->arena, at->limits, &c.vocab, err);
    return r < 0 ? r : wordpiece_model_new(&c, ret, err);
}

static int parse_wordlevel(struct json v, const struct place *at, struct model **ret, struct err *err)
{
    struct wordlevel_config c = { 0 };
    int r = read_str(v, "unk_token", at->arena, &c.unk_token, err);

    if (r < 0)
        return r;
    r = vocab_parse(json_get(v, STR("vocab")), at->byte_level, "vocab", at->arena, at->limits, &c.vocab, err);
    return r < 0 ? r : wordlevel_model_new(&c, ret, err);
}

static const struct {
    struct str type;
    const char *members[3]; /* what a model without a type must have to be taken for this one */
    int (*parse)(struct json v, const struct place *at, struct model **ret, struct err *err);
} MODELS[] = {
    { STR("BPE"), { "vocab", "merges" }, parse_bpe },
    { STR("WordPiece"), { "vocab", "unk_token", "continuing_subword_prefix" }, parse_wordpiece },
    { STR("WordLevel"), { "vocab", "unk_token" }, parse_wordlevel },
    { STR("Unigram"), { "vocab" }, parse_unigram },
};

static bool has_members(struct json v, const char *const members[3])
{
    for (int i = 0; i < 3 && members[i]; i++) {
        if (!json_exists(json_get(v, str_of(members[i]))))
            return false;
    }
    return true;
}

int model_parse(struct json v, bool byte_level, struct arena *arena, const struct tokenizer_limits *limits, struct model **ret,
                struct err *err)
{
    const struct place at = { arena, limits, byte_level };
    struct json type = json_get(v, STR("type"));

    if (!json_is(v, JSON_OBJECT))
        return err_set(err, ERR_INVALID, "missing, or no object");
    for (size_t i = 0; i < ARRAY_LEN(MODELS); i++) {
        if (json_exists(type) ? json_str_eq(type, MODELS[i].type) : has_members(v, MODELS[i].members))
            return MODELS[i].parse(v, &at, ret, err);
    }
    if (!json_exists(type))
        return err_set(err, ERR_INVALID, "no type, and the members of no model");
    return err_set(err, ERR_UNSUPPORTED, "type: %.*s is not known; known are BPE, WordPiece, WordLevel and Unigram",
                   STR_FMT(str_first(json_raw(type), 80)));
}
