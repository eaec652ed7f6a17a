/* text/tokenizer/tokenizer_internal.h -- the tokenizer as its own files see it; nobody else includes this
 *
 *   tokenizer.c         the public functions that only look things up; the life of the object
 *   tokenizer_encode.c  text to ids
 *   tokenizer_json.c    tokenizer.json; model_json.c its models, merges_read.c their merges
 *   tokenizer_config.c  what the files beside it say
 *   vocab_files.c       vocab.json and merges.txt; tiktoken.c ranks
 */
#pragma once

#include "text/tokenizer/added_tokens.h"
#include "text/tokenizer/decoder.h"
#include "text/tokenizer/model.h"
#include "text/tokenizer/normalizer.h"
#include "text/tokenizer/post_processor.h"
#include "text/tokenizer/pretokenizer.h"
#include "text/tokenizer/tokenizer.h"

/* How segments of text become pieces for the model. */
enum way {
    WAY_SCANNER, /* normalizer none or NFC; a scanner cuts the normal text, which is nearly always the text itself */
    WAY_BLANKS, /* WAY_WHOLE, and the normalizer would make U+2581 of each ' ' and no more: the model reads ' ' so, and takes the text as it is, added tokens and all */
    WAY_WHOLE,  /* no pre-tokenizer (SentencePiece style): the normal text is one piece */
    WAY_GENERIC, /* the pre-tokenizer cuts the normal text into pieces of its own */
};

enum truncation_strategy { TRUNCATE_LONGEST_FIRST, TRUNCATE_ONLY_FIRST, TRUNCATE_ONLY_SECOND };

struct truncation {
    bool on, left; /* left: what stands at the front is cut off */
    enum truncation_strategy strategy;
    uint64_t max_length, stride;
};

struct tokenizer {
    struct normalizer *normalizer;     /* owned; NULL = none */
    struct pretokenizer *pretokenizer; /* owned; NULL = none */
    struct model *model;               /* owned */
    struct decoder *decoder;           /* owned */
    struct added_tokens *added;        /* owned */
    struct post_processor post;
    struct truncation truncation;
    struct decoder_source source; /* how the decoder sees this tokenizer */
    const struct scanner *scanner;
    enum way way;
    bool tiktoken;                 /* ranks, not tokenizer.json: SMG counts and refuses differently */
    char *special_texts[SPECIALS]; /* owned; NULL = none */
    uint32_t *eos_ids;             /* owned; sorted, each once */
    size_t eos_ids_n;
    char *chat_template; /* owned; NULL = none */
    size_t chat_template_n;
    char describe[160];
};

/* Parts of loading. Each fills T; what was filled when a step fails goes with tokenizer_free. */
int tokenizer_load_json(struct tokenizer *t, struct str text, const struct tokenizer_limits *limits, struct err *err) _must_check_;
int tokenizer_load_vocab_files(struct tokenizer *t, const struct tokenizer_files *files, const struct tokenizer_limits *limits,
                               struct err *err) _must_check_;
int tokenizer_load_tiktoken(struct tokenizer *t, const struct tokenizer_files *files, const struct tokenizer_limits *limits,
                            struct err *err) _must_check_;
/* The last step: what tokenizer_config.json, config.json and generation_config.json say about a tokenizer that is otherwise whole. */
int tokenizer_read_config(struct tokenizer *t, const struct tokenizer_files *files, struct err *err) _must_check_;

/* Added tokens, while loading. COUNTED: a content that the model knows has the model's id, others get the next free one, as `tokenizers` does it (what the file declares is not asked).
 * DECLARED: each has the id that it says. TOKENS is overwritten. */
enum added_ids { ADDED_IDS_COUNTED, ADDED_IDS_DECLARED };
int tokenizer_set_added(struct tokenizer *t, struct added_token *tokens, size_t n, enum added_ids how,
                        struct err *err) _must_check_;

/* tokenizer_config.json's added_tokens_decoder, sorted by id, in the arena, with room for SPARE more. */
int tokenizer_read_added_decoder(struct json config, struct arena *arena, const struct tokenizer_limits *limits, size_t spare,
                                 struct added_token **ret, size_t *ret_n, struct err *err) _must_check_;

/* model_json.c: the member "model". */
int model_parse(struct json v, bool byte_level, struct arena *arena, const struct tokenizer_limits *limits, struct model **ret,
                struct err *err) _must_check_;
/* vocab.json's object {token: id}; WHERE names it in messages. */
int vocab_parse(struct json v, bool byte_level, const char *where, struct arena *arena, const struct tokenizer_limits *limits,
                struct vocab **ret, struct err *err) _must_check_;

/* merges_read.c: pairs of tokens to ids, as many at a time as memory likes. */
struct merges_reader {
    const struct vocab *vocab; /* borrowed */
    size_t prefix_n;           /* bytes of the continuing subword prefix, which the second part loses */
    struct bpe_merge *merges;  /* owned; taken by the caller at the end */
    size_t n, cap;
    uint32_t last; /* the newest merged id: most files list tokens in the order of merges */
    /* the batch: pairs that wait for their ids; raw texts side by side in `bytes` */
    size_t waiting;
    struct {
        uint32_t at, a, b;
    } pairs[64];
    char bytes[8192];
    size_t used;
};
void merges_begin(struct merges_reader *r, const struct vocab *vocab, size_t prefix_n);
int merges_put(struct merges_reader *r, struct str a, struct str b, struct err *err) _must_check_;
int merges_finish(struct merges_reader *r, struct err *err) _must_check_; /* what still waits */
void merges_fini(struct merges_reader *r);

/* tokenizer_encode.c: the ids around a text, and the way that the parts allow. */
enum way tokenizer_choose_way(struct tokenizer *t); /* once, at the end of loading: the model may be told to read text otherwise */
