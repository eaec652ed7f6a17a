/* text/tokenizer/unigram.c -- the model of SentencePiece's unigrams: the most probable row of tokens (spec 3.5)
 *
 * Viterbi from left to right: best[i] is the best way to cover the first i bytes. Ties keep the way that was found first, that is the one whose last token begins earliest, as the original
 * does; sums are doubles added in the original's order. A character that is no token by itself may be the unknown token, at the price of the worst token and ten.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/tokenizer/model.h"
#include "text/tokenizer/trie.h"
#include "text/tokenizer/word_cache.h"

#define UNKNOWN_PENALTY 10.0
#define KEPT_PLACES     65536 /* of the work array between texts */

struct unigram {
    struct model model;
    struct trie trie;
    double *scores; /* owned; by id */
    double unknown_score;
    bool has_unk;
    uint32_t unk_id;
    bool byte_fallback; /* asked for */
    bool byte_known[256];
    uint32_t byte_id[256];
};

struct place {
    double score;
    uint32_t from; /* where the last token begins; == the place itself: not reached */
    uint32_t id;
};

struct model_state {
    struct word_cache cache;
    struct place *best; /* owned */
    uint32_t *ends;     /* owned; of the tokens of the best way, the last first */
    size_t cap;         /* of both */
};

static int state_new(const struct model *m, size_t cache_bytes, struct model_state **ret)
{
    struct model_state *s = calloc(1, sizeof(*s));
    if (!s)
        return ERR_NOMEM;
    if (word_cache_init(&s->cache, cache_bytes) < 0) {
        free(s);
        return ERR_NOMEM;
    }
    *ret = s;
    return 0;
}

static void state_free(struct model_state *s)
{
    if (!s)
        return;
    word_cache_fini(&s->cache);
    free(s->best);
    free(s->ends);
    free(s);
}

/* A text without spaces needed much; the next one will not. */
static void forget(struct model_state *s)
{
    free(s->best);
    free(s->ends);
    s->best = NULL;
    s->ends = NULL;
    s->cap = 0;
}

static bool room(struct model_state *s, size_t places)
{
    if (places <= s->cap)
        return true;
    size_t cap = places < 256 ? 256 : places + places / 2;
    forget(s);
    s->best = reallocarray(NULL, cap, sizeof(*s->best));
    s->ends = reallocarray(NULL, cap, sizeof(*s->ends));
    s->cap = s->best && s->ends ? cap : 0;
    return s->cap > 0;
}

static size_t char_bytes(uint8_t lead)
{
    return lead < 0xC0 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
}

static void offer(struct place *best, size_t from, size_t to, double score, uint32_t id)
{
    if (best[to].from == to || score > best[to].score)
        best[to] = (struct place){ score, (uint32_t)from, id };
}

/* False: a character is no token, and there is no unknown token (whether or not the best way would have met it, as the original). */
static bool cover(const struct unigram *u, struct str word, struct place *best)
{
    for (size_t i = 0; i <= word.n; i++)
        best[i].from = (uint32_t)i;
    best[0].score = 0;
    for (size_t at = 0; at < word.n;) {
        size_t chars = char_bytes((uint8_t)word.p[at]);
        if (chars > word.n - at)
            chars = word.n - at;
        bool single = false;
        uint32_t node = 0;
        for (size_t end = at; end < word.n && (node = trie_child(&u->trie, node, (uint8_t)word.p[end])) != 0;) {
            end++;
            uint32_t id = u->trie.value[node];
            if (id == TRIE_NONE)
                continue;
            offer(best, at, end, best[at].score + u->scores[id], id);
            single = single || end - at == chars;
        }
        if (!single && !u->has_unk)
            return false;
        if (!single)
            offer(best, at, at + chars, best[at].score + u->unknown_score, u->unk_id);
        at += chars;
    }
    return true;
}

/* A run of unknown characters. */
static void put_unknown(const struct unigram *u, struct str piece, struct ids *ids)
{
    uint32_t id = u->unk_id;
    bool bytes = !vocab_find(u->model.vocab, piece, &id) && u->byte_fallback;
    for (size_t i = 0; bytes && i < piece.n; i++)
        bytes = u->byte_known[(uint8_t)piece.p[i]];
    if (!bytes)
        ids_put(ids, id);
    for (size_t i = 0; bytes && i < piece.n; i++)
        ids_put(ids, u->byte_id[(uint8_t)piece.p[i]]);
}

/* Appends the ids of the best way to cover WORD; neighbouring unknown tokens count as one. */
static void put_way(const struct unigram *u, struct model_state *s, struct str word, struct ids *ids)
{
    size_t n = 0;
    for (uint32_t end = (uint32_t)word.n; end > 0; end = s->best[end].from)
        s->ends[n++] = end;
    for (uint32_t at = 0; n > 0;) {
        uint32_t end = s->ends[--n];
        if (!u->has_unk || s->best[end].id != u->unk_id) {
            ids_put(ids, s->best[end].id);
        } else {
            while (n > 0 && s->best[s->ends[n - 1]].id == u->unk_id)
                end = s->ends[--n];
            put_unknown(u, (struct str){ word.p + at, end - at }, ids);
        }
        at = end;
    }
}

static int encode(const struct model *m, struct model_state *s, const char *text, size_t begin, const uint32_t *ends, size_t n,
                  struct ids *ids, struct err *err)
{
    const struct unigram *u = (const struct unigram *)m;
    for (size_t i = 0; i < n && !ids->failed; begin = ends[i++]) {
        struct str word = { text + begin, ends[i] - begin };
        struct word_cache_entry *e = word_cache_at(&s->cache, word);
        if (word_cache_put(e, word, ids))
            continue;
        size_t before = ids->n;
        if (!room(s, word.n + 1))
            return err_set(err, ERR_NOMEM, "out of memory while text was encoded");
        if (!cover(u, word, s->best))
            return err_set(err, ERR_INVALID, "Encountered an unknown token but `unk_id` is missing");
        put_way(u, s, word, ids);
        if (!ids->failed)
            word_cache_keep(e, word, ids->v + before, ids->n - before);
    }
    if (s->cap > KEPT_PLACES)
        forget(s);
    return ids->failed ? err_set(err, ERR_NOMEM, "out of memory while text was encoded") : 0;
}

static size_t memory(const struct model *m)
{
    const struct unigram *u = (const struct unigram *)m;
    return sizeof(*u) + vocab_memory(m->vocab) + trie_memory(&u->trie) + vocab_id_end(m->vocab) * sizeof(*u->scores);
}

static void unigram_free(struct model *m)
{
    struct unigram *u = (struct unigram *)m;
    trie_fini(&u->trie);
    free(u->scores);
    vocab_free(m->vocab);
    free(u);
}

static const struct model_ops UNIGRAM = {
    .name = "Unigram",
    .state_new = state_new,
    .state_free = state_free,
    .encode = encode,
    .memory = memory,
    .free = unigram_free,
};

static int build_trie(struct unigram *u)
{
    const struct vocab *v = u->model.vocab;
    struct trie_key *keys = reallocarray(NULL, vocab_id_end(v) + 1u, sizeof(*keys));
    struct str token;
    uint32_t id;
    size_t n = 0;
    if (!keys)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < vocab_id_end(v); i++)
        if (vocab_bytes(v, i, &token) && token.n && vocab_find(v, token, &id) && id == i)
            keys[n++] = (struct trie_key){ token, i };
    int r = trie_build(&u->trie, keys, n);
    free(keys);
    return r;
}

/* <0x00> to <0xFF>, as far as the vocabulary has them. */
static void find_bytes(struct unigram *u)
{
    for (unsigned i = 0; i < 256; i++) {
        char name[8];
        int n = snprintf(name, sizeof(name), "<0x%02X>", i);
        u->byte_known[i] = vocab_find_text(u->model.vocab, (struct str){ name, (size_t)n }, &u->byte_id[i]);
    }
}

static int build(struct unigram *u, const struct unigram_config *c)
{
    size_t n = vocab_id_end(c->vocab);
    double worst = INFINITY;
    u->scores = calloc(n + 1, sizeof(*u->scores));
    if (!u->scores)
        return ERR_NOMEM;
    for (size_t i = 0; i < c->scores_n; i++)
        worst = c->scores[i] < worst ? c->scores[i] : worst;
    if (c->scores_n) /* an empty vocabulary has no scores to point at */
        memcpy(u->scores, c->scores, (c->scores_n < n ? c->scores_n : n) * sizeof(*u->scores));
    u->unknown_score = worst - UNKNOWN_PENALTY;
    find_bytes(u);
    return build_trie(u);
}

int unigram_model_new(const struct unigram_config *c, struct model **ret, struct err *err)
{
    struct unigram *u = calloc(1, sizeof(*u));
    if (!u) {
        vocab_free(c->vocab);
        return err_set(err, ERR_NOMEM, "out of memory while a tokenizer was loaded");
    }
    u->model = (struct model){ .ops = &UNIGRAM, .vocab = c->vocab };
    u->has_unk = c->has_unk;
    u->unk_id = c->has_unk ? c->unk_id : TRIE_NONE;
    u->byte_fallback = c->byte_fallback;
    int r = build(u, c);
    if (r < 0) {
        unigram_free(&u->model);
        return err_set(err, r,
                       r == ERR_LIMIT ? "the Unigram vocabulary is too large" : "out of memory while a tokenizer was loaded");
    }
    *ret = &u->model;
    return 0;
}
