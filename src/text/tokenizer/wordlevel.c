/* text/tokenizer/wordlevel.c -- the model of whole words (spec 3.5) */
#include <stdlib.h>

#include "text/tokenizer/model.h"

struct wordlevel {
    struct model model;
    bool has_unk;
    uint32_t unk_id;
};

static int state_new(const struct model *m, size_t cache_bytes, struct model_state **ret)
{
    *ret = NULL; /* nothing to remember: a word is one lookup */
    return 0;
}

static void state_free(struct model_state *s)
{
}

static int encode(const struct model *m, struct model_state *s, const char *text, size_t begin, const uint32_t *ends, size_t n,
                  struct ids *ids, struct err *err)
{
    const struct wordlevel *w = (const struct wordlevel *)m;
    for (size_t i = 0; i < n; begin = ends[i++]) {
        uint32_t id = w->unk_id;
        if (!vocab_find(m->vocab, (struct str){ text + begin, ends[i] - begin }, &id) && !w->has_unk)
            return err_set(err, ERR_INVALID, "WordLevel error: Missing [UNK] token from the vocabulary");
        ids_put(ids, id);
    }
    return ids->failed ? err_set(err, ERR_NOMEM, "out of memory while text was encoded") : 0;
}

static size_t memory(const struct model *m)
{
    return sizeof(struct wordlevel) + vocab_memory(m->vocab);
}

static void wordlevel_free(struct model *m)
{
    vocab_free(m->vocab);
    free(m);
}

static const struct model_ops WORDLEVEL = {
    .name = "WordLevel",
    .state_new = state_new,
    .state_free = state_free,
    .encode = encode,
    .memory = memory,
    .free = wordlevel_free,
};

int wordlevel_model_new(const struct wordlevel_config *c, struct model **ret, struct err *err)
{
    struct wordlevel *w = calloc(1, sizeof(*w));
    if (!w) {
        vocab_free(c->vocab);
        return err_set(err, ERR_NOMEM, "out of memory while a tokenizer was loaded");
    }
    w->model = (struct model){ .ops = &WORDLEVEL, .vocab = c->vocab };
    w->has_unk = vocab_find_text(c->vocab, c->unk_token, &w->unk_id);
    *ret = &w->model;
    return 0;
}
