/* text/tokenizer/vocab.h -- tokens by id and ids by token: one arena of bytes, one array of places, one hash table
 *
 * Byte-level vocabularies are turned into raw bytes once, at load (spec 3.4.1); a token that is no text of the byte-level alphabet keeps its own bytes, is marked `literal`, and is
 * found by vocab_find_text only, so that "Ġ" (the byte 20) and a literal " " do not collide.
 * Owner: the model. Immutable after building: any thread.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

struct vocab;

#define VOCAB_IDS_MAX (1u << 24) /* ids stay below */

struct vocab_builder;
int vocab_builder_new(bool byte_level, size_t tokens_hint, size_t bytes_hint, struct vocab_builder **ret) _must_check_;
void vocab_builder_free(struct vocab_builder *b); /* NULL is fine */
/* TEXT as the file spells it (byte-level alphabet not undone). The same text twice: the last id counts; the same id twice: the last text is what it means. ERR_LIMIT (ids from 2^24 on, 4 GiB of texts), ERR_NOMEM. */
int vocab_builder_add(struct vocab_builder *b, struct str text, uint32_t id) _must_check_;
/* For a vocabulary that is a list (Unigram): where a text stands twice its last id is found, as always, but each of the ids means it, and counts. */
void vocab_builder_keep_repeats(struct vocab_builder *b);
/* Raw bytes (tiktoken). */
int vocab_builder_add_bytes(struct vocab_builder *b, struct str bytes, uint32_t id) _must_check_;
/* Takes the builder in any case. ERR_LIMIT: texts made so that their hashes collide. */
int vocab_builder_finish(struct vocab_builder *b, struct vocab **ret) _must_check_;

void vocab_free(struct vocab *v);
size_t vocab_memory(const struct vocab *v);
uint32_t vocab_count(const struct vocab *v);  /* tokens */
uint32_t vocab_id_end(const struct vocab *v); /* one past the highest id */
bool vocab_is_byte_level(const struct vocab *v);
bool vocab_has_repeats(const struct vocab *v); /* several ids mean one text */

/* The id of raw bytes (byte-level) or of text (else). What an encoder asks. */
bool vocab_find(const struct vocab *v, struct str bytes, uint32_t *ret);
/* N of these at once, memory asked for early: IDS[k] = VOCAB_NONE where there is none. For loading, where most of the time goes into such questions. */
#define VOCAB_NONE UINT32_MAX
void vocab_find_many(const struct vocab *v, const struct str *bytes, size_t n, uint32_t *ids);
/* The id of a token as the file spells it. */
bool vocab_find_text(const struct vocab *v, struct str text, uint32_t *ret);
/* Raw bytes (byte-level) or text. False: no such id. */
bool vocab_bytes(const struct vocab *v, uint32_t id, struct str *ret);
bool vocab_is_literal(const struct vocab *v, uint32_t id);

/* Appends the token as the file spells it (the byte-level alphabet again). False: no such id. */
bool vocab_spell(const struct vocab *v, uint32_t id, struct buf *out);

/* The byte-level alphabet. */
uint32_t byte_level_char(uint8_t byte);                  /* code point */
bool byte_level_byte(uint32_t code_point, uint8_t *ret); /* false: not of the alphabet */
/* Text of the alphabet to raw bytes, at most text.n of them, in OUT (may be text.p itself). Returns how many, or SIZE_MAX: some character is not of the alphabet. */
size_t byte_level_undo(struct str text, char *out);
