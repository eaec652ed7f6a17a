/* text/tokenizer/model.h -- what turns one piece of text into ids: BPE, Unigram, WordPiece, WordLevel behind one small vtable
 *
 * A piece is what the pre-tokenizer cut (for SentencePiece-style models the whole segment). Pieces come in batches that lie one behind the other, so that a model may look ahead and fetch
 * memory early: piece k is text[k ? ends[k-1] : begin, ends[k]).
 * For byte-level vocabularies (vocab_is_byte_level) the text is raw bytes, else UTF-8. Pieces are never empty.
 * The model is immutable after loading; what changes while encoding (caches, work arrays) is in `state`, one per encoder.
 */
#pragma once

#include "text/tokenizer/tokenizer.h"
#include "text/tokenizer/vocab.h"

struct model;
struct model_state; /* each model defines its own; opaque outside */

/* text[start, end) is that id, whatever the model would say. */
struct model_mark {
    uint32_t start, end, id;
};

struct model_ops {
    const char *name; /* "BPE" ... as tokenizer.json writes it */
    int (*state_new)(const struct model *m, size_t cache_bytes, struct model_state **ret);
    void (*state_free)(struct model_state *s);
    int (*encode)(const struct model *m, struct model_state *s, const char *text, size_t begin, const uint32_t *ends, size_t n,
                  struct ids *ids, struct err *err);
    /* At load: from now on ' ' in a text is U+2581, so that a text need not be rewritten; false: this model cannot do that. NULL: no model of this kind can. */
    bool (*take_blanks)(struct model *m);
    /* When it has taken blanks: text[begin, end), cut at the marks. Each begins where the text does or behind the one before (with lstrip and rstrip it may reach back). */
    int (*encode_marked)(const struct model *m, struct model_state *s, struct str text, size_t begin, size_t end,
                         const struct model_mark *marks, size_t n, struct ids *ids, struct err *err);
    size_t (*memory)(const struct model *m);
    void (*free)(struct model *m);
};

struct model {
    const struct model_ops *ops;
    struct vocab *vocab; /* owned */
};

static inline int model_encode(const struct model *m, struct model_state *s, const char *text, size_t begin, const uint32_t *ends,
                               size_t n, struct ids *ids, struct err *err)
{
    return m->ops->encode(m, s, text, begin, ends, n, ids, err);
}

/* ---- BPE (bpe.h: owner `bpe`) ---- */

struct bpe_merge {
    uint32_t a, b, merged; /* ids */
};
struct bpe_config {
    struct vocab *vocab;            /* taken, in any case */
    const struct bpe_merge *merges; /* by rank; a pair listed twice keeps the last */
    size_t merges_n;
    bool ranks_are_ids; /* tiktoken: no merges; the adjacent pair whose bytes together have the lowest id goes first */
    bool fuse_unk, byte_fallback, ignore_merges;
    bool has_unk;
    bool
        unk_missing; /* an unknown token is named that is not in the vocabulary: a character that needs it is an error, as `tokenizers` has it */
    uint32_t unk_id;
    struct str continuing_subword_prefix, end_of_word_suffix; /* copied */
};
int bpe_model_new(const struct bpe_config *c, struct model **ret, struct err *err) _must_check_;

/* ---- the others (owner `decode`) ---- */

struct unigram_config {
    struct vocab *vocab;  /* taken, in any case */
    const double *scores; /* by id; copied */
    size_t scores_n;
    bool has_unk, byte_fallback;
    uint32_t unk_id;
};
int unigram_model_new(const struct unigram_config *c, struct model **ret, struct err *err) _must_check_;

struct wordpiece_config {
    struct vocab *vocab;                             /* taken, in any case */
    struct str unk_token, continuing_subword_prefix; /* copied */
    uint32_t max_input_chars_per_word;
};
int wordpiece_model_new(const struct wordpiece_config *c, struct model **ret, struct err *err) _must_check_;

struct wordlevel_config {
    struct vocab *vocab;  /* taken, in any case */
    struct str unk_token; /* copied */
};
int wordlevel_model_new(const struct wordlevel_config *c, struct model **ret, struct err *err) _must_check_;
