/* text/tokenizer/wordpiece.c -- the model of BERT's family: the longest token from the left, again and again (spec 3.5)
 *
 * Two trees: tokens that begin a word, and tokens that go on one (stored without their prefix "##"). A word that cannot be covered is the unknown token, whole.
 */
#include <stdlib.h>
#include <string.h>

#include "text/tokenizer/model.h"
#include "text/tokenizer/trie.h"
#include "text/tokenizer/word_cache.h"

struct wordpiece {
    struct model model;
    struct trie first, more;
    bool has_unk;
    uint32_t unk_id;
    uint32_t max_chars;
    char unk_text[64]; /* for the message when it is missing */
};

struct model_state {
    struct word_cache cache;
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
    free(s);
}

/* The longest key of T at the front of S: its length; 0 = none. */
static size_t longest(const struct trie *t, struct str s, uint32_t *ret_id)
{
    size_t best = 0;
    uint32_t node = 0;
    for (size_t i = 0; i < s.n; i++) {
        node = trie_child(t, node, (uint8_t)s.p[i]);
        if (!node)
            break;
        if (t->value[node] != TRIE_NONE) {
            best = i + 1;
            *ret_id = t->value[node];
        }
    }
    return best;
}

static bool has_more_chars(struct str word, uint32_t max)
{
    size_t chars = 0;
    for (size_t i = 0; i < word.n && chars <= max; i++)
        chars += ((uint8_t)word.p[i] & 0xC0) != 0x80;
    return chars > max;
}

/* Appends the tokens of WORD; false: it cannot be covered (ids is as before). */
static bool cover(const struct wordpiece *w, struct str word, struct ids *ids)
{
    size_t before = ids->n;
    if (word.n > w->max_chars && has_more_chars(word, w->max_chars))
        return false;
    for (size_t at = 0; at < word.n;) {
        uint32_t id = 0;
        size_t n = longest(at ? &w->more : &w->first, str_skip(word, at), &id);
        if (!n) {
            ids->n = before;
            return false;
        }
        ids_put(ids, id);
        at += n;
    }
    return true;
}

static int encode(const struct model *m, struct model_state *s, const char *text, size_t begin, const uint32_t *ends, size_t n,
                  struct ids *ids, struct err *err)
{
    const struct wordpiece *w = (const struct wordpiece *)m;
    for (size_t i = 0; i < n && !ids->failed; begin = ends[i++]) {
        struct str word = { text + begin, ends[i] - begin };
        struct word_cache_entry *e = word_cache_at(&s->cache, word);
        if (word_cache_put(e, word, ids))
            continue;
        size_t before = ids->n;
        if (!cover(w, word, ids)) {
            if (!w->has_unk)
                return err_set(err, ERR_INVALID, "WordPiece error: Missing %s token from the vocabulary", w->unk_text);
            ids_put(ids, w->unk_id);
        }
        if (!ids->failed)
            word_cache_keep(e, word, ids->v + before, ids->n - before);
    }
    return ids->failed ? err_set(err, ERR_NOMEM, "out of memory while text was encoded") : 0;
}

static size_t memory(const struct model *m)
{
    const struct wordpiece *w = (const struct wordpiece *)m;
    return sizeof(*w) + vocab_memory(m->vocab) + trie_memory(&w->first) + trie_memory(&w->more);
}

static void wordpiece_free(struct model *m)
{
    struct wordpiece *w = (struct wordpiece *)m;
    trie_fini(&w->first);
    trie_fini(&w->more);
    vocab_free(m->vocab);
    free(w);
}

static const struct model_ops WORDPIECE = {
    .name = "WordPiece",
    .state_new = state_new,
    .state_free = state_free,
    .encode = encode,
    .memory = memory,
    .free = wordpiece_free,
};

/* One tree of the tokens that begin with PREFIX, without it (an empty prefix: all tokens). A token that is nothing but the prefix goes on no word. */
static int build(const struct vocab *v, struct str prefix, struct trie_key *keys, struct trie *t)
{
    size_t n = 0;
    struct str token;
    uint32_t id;
    for (uint32_t i = 0; i < vocab_id_end(v); i++)
        if (vocab_bytes(v, i, &token) && token.n > prefix.n && str_has_prefix(token, prefix) && vocab_find(v, token, &id) &&
            id == i)
            keys[n++] = (struct trie_key){ str_skip(token, prefix.n), i };
    return trie_build(t, keys, n);
}

int wordpiece_model_new(const struct wordpiece_config *c, struct model **ret, struct err *err)
{
    struct wordpiece *w = calloc(1, sizeof(*w));
    struct trie_key *keys = reallocarray(NULL, vocab_id_end(c->vocab) + 1u, sizeof(*keys));
    int r = w && keys ? 0 : ERR_NOMEM;
    if (r == 0)
        r = build(c->vocab, STR_NONE, keys, &w->first);
    if (r == 0)
        r = build(c->vocab, c->continuing_subword_prefix, keys, &w->more);
    free(keys);
    if (r < 0) {
        if (w) {
            trie_fini(&w->first);
            trie_fini(&w->more);
        }
        free(w);
        vocab_free(c->vocab);
        return err_set(err, r,
                       r == ERR_LIMIT ? "the WordPiece vocabulary is too large" : "out of memory while a tokenizer was loaded");
    }
    w->model = (struct model){ .ops = &WORDPIECE, .vocab = c->vocab };
    w->max_chars = c->max_input_chars_per_word;
    w->has_unk = vocab_find_text(c->vocab, c->unk_token, &w->unk_id);
    struct str unk = str_first(c->unk_token, sizeof(w->unk_text) - 1);
    memcpy(w->unk_text, unk.p, unk.n);
    *ret = &w->model;
    return 0;
}
