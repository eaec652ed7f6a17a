/* text/tokenizer/tokenizer.h -- text to token ids and back, id for id as Hugging Face's `tokenizers` does it
 *
 *   files' bytes --tokenizer_load--> struct tokenizer (immutable) <--read by any number of encoders and decoders
 *
 *   text -> added tokens (not normalised) -> normalizer -> added tokens (normalised) -> pre-tokenizer -> model -> truncation -> post-processor -> ids
 *           added_tokens.h                   normalizer.h                               pretokenizer.h   model.h                post_processor.h
 *   the fast way: where the pre-tokenizer is a regex that the model families use, scanner.h cuts the raw text and the model is asked at once.
 *   ids -> decoder.h -> text; one id at a time: detokenizer.h; with stop strings: stop_decoder.h
 *
 * A library of its own: no input or output, no threads, no globals. Reading directories and choosing among files is catalog/'s.
 * Threads: a struct tokenizer never changes after tokenizer_load: any thread. A struct tokenizer_encoder belongs to one thread at a time.
 * Text: any bytes. What is not UTF-8 counts as U+FFFD, one per maximal invalid prefix (Unicode 15, section 3.9, table 3-8).
 * Bounds: struct tokenizer_limits; what goes past them, a component that is not known, a regex that does not compile or merges that name no tokens make tokenizer_load fail with a text that
 * names the place in the file. Time and memory of loading are linear in the file. Encoding is linear in the text, whatever it is, but for regexes without a scanner, whose work per
 * character is bounded (ERR_LIMIT).
 * Source of behaviour: spec tokenizers 2 to 6.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

struct tokenizer;
struct tokenizer_encoder;

/* The bytes of the files; empty = not there. They may go when tokenizer_load returns. Exactly one of tokenizer_json, (vocab_json and merges_txt), tiktoken is set. */
struct tokenizer_files {
    struct str tokenizer_json;
    struct str vocab_json, merges_txt; /* the Qwen2 class: spec 1.4.1 */
    struct str tiktoken;               /* ranks: spec 4 */
    struct str tokenizer_config;       /* tokenizer_config.json */
    struct str config;                 /* config.json */
    struct str generation_config;      /* generation_config.json */
};

struct tokenizer_limits {
    uint64_t file_bytes; /* of one file */
    uint32_t tokens;     /* vocabulary and added tokens; ids stay below 2^24 */
    uint32_t added_tokens;
    uint32_t token_bytes; /* of one token */
};
#define TOKENIZER_LIMITS_DEFAULT ((struct tokenizer_limits){ 256u << 20, 4u << 20, 1u << 20, 64u << 10 })

/* ERR_INVALID or ERR_SYNTAX (the file), ERR_LIMIT, ERR_UNSUPPORTED (a component), ERR_NOMEM. */
int tokenizer_load(const struct tokenizer_files *files, const struct tokenizer_limits *limits, struct tokenizer **ret,
                   struct err *err) _must_check_;
void tokenizer_free(struct tokenizer *t);           /* NULL is fine */
size_t tokenizer_memory(const struct tokenizer *t); /* bytes that it keeps */

/* ---- ids ---- */

/* Grows like struct buf: `failed` is sticky. */
struct ids {
    uint32_t *v; /* owned, malloc */
    size_t n, cap;
    bool failed;
};
void ids_fini(struct ids *ids);
static inline void ids_clear(struct ids *ids)
{
    ids->n = 0;
    ids->failed = false;
}
uint32_t *ids_reserve(struct ids *ids, size_t n) _must_check_; /* room for N more behind v + n, or NULL (failed) */
static inline void ids_put(struct ids *ids, uint32_t id)
{
    if (ids->n < ids->cap)
        ids->v[ids->n++] = id;
    else {
        uint32_t *p = ids_reserve(ids, 1);
        if (p)
            ids->v[ids->n++] = id;
    }
}

/* ---- encoding ---- */

/* CACHE_BYTES bounds the cache of pieces that the encoder remembers (0 = none). */
int tokenizer_encoder_new(const struct tokenizer *t, size_t cache_bytes, struct tokenizer_encoder **ret) _must_check_;
void tokenizer_encoder_free(struct tokenizer_encoder *e); /* before its tokenizer; NULL is fine */

#define ENCODE_SPECIALS 1u /* add what the post-processor adds: BOS, [CLS] ... */

/* Appends the ids of TEXT to *IDS. 0, ERR_INVALID (a character has no token, and the model no unknown token or one that is not in the vocabulary), ERR_LIMIT (a regex gave up, or a stretch
 * without any place to cut, that a BPE model merges as one, has more than 4 Mi (4,194,304) characters, those included that the normalizer puts in front of or between the text's own), ERR_NOMEM. */
int tokenizer_encode(struct tokenizer_encoder *e, struct str text, unsigned flags, struct ids *ids, struct err *err) _must_check_;

/* ---- decoding (detokenizer.h streams) ---- */

/* Appends the text of IDS[0..N). Unknown ids are skipped, but for tiktoken files: ERR_INVALID, as SMG. */
int tokenizer_decode(const struct tokenizer *t, const uint32_t *ids, size_t n, bool skip_specials, struct buf *out,
                     struct err *err) _must_check_;

/* ---- what is known of the vocabulary ---- */

uint32_t tokenizer_vocab_size(
    const struct tokenizer *t); /* as SMG counts: without added tokens; tiktoken: the highest id and one */
bool tokenizer_token_id(const struct tokenizer *t, struct str token, uint32_t *ret); /* added tokens first */
bool tokenizer_token(const struct tokenizer *t, uint32_t id, struct buf *out);       /* the token as the file spells it */

enum tokenizer_special { SPECIAL_BOS, SPECIAL_EOS, SPECIAL_UNK, SPECIAL_SEP, SPECIAL_PAD, SPECIAL_CLS, SPECIAL_MASK, SPECIALS };
struct str tokenizer_special_token(const struct tokenizer *t, enum tokenizer_special which); /* empty = none: spec 2 */

/* The stop set: eos_token_id of config.json and generation_config.json, sorted, each once. */
const uint32_t *tokenizer_eos_ids(const struct tokenizer *t, size_t *ret_n);

/* tokenizer_config.json's chat_template where it is a string; empty = none. */
struct str tokenizer_chat_template(const struct tokenizer *t);

/* One line for people: "BPE, byte-level, 128256 tokens, scanner L3". Static or owned by T. */
struct str tokenizer_describe(const struct tokenizer *t);
