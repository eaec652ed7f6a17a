/* mock/text.h -- what a simulated engine says: words by seed, counted as the prompts are
 *
 * A token is MOCK_TOKEN_BYTES bytes: a word of three letters and a blank. Prompts are counted by the same yardstick (one token per four bytes of text), so an
 * answer that comes back in the next turn's prompt counts the same there, and a simulated KV cache finds it again.
 * The engine's whole speech is one ring of TEXT_RING words, drawn once from the seed; an answer is the part of it that begins at a place chosen by its key (a
 * hash of the prompt and the choice's index). So the same seed and prompt give the same answer on every engine, and a short answer costs no copy.
 * The words need no JSON escapes. Constant after text_init: any thread.
 */
#pragma once

#include "base/arena.h"

#define MOCK_TOKEN_BYTES 4
#define TEXT_RING        8192 /* words; a power of two. Answers up to this length are views */

struct mock_text {
    char ring[2 * TEXT_RING * MOCK_TOKEN_BYTES]; /* twice the same, so that every view is in one piece */
};

void text_init(struct mock_text *t, uint64_t seed);

/* TOKENS words for KEY: a view of the ring, or, past TEXT_RING, a copy in ARENA ({NULL, 0} when memory is out). */
struct str text_reply(const struct mock_text *t, uint64_t key, size_t tokens, struct arena *arena);

/* A well-mixed 64-bit number from SEED and N (splitmix64): ids, scores, vectors. */
uint64_t text_mix(uint64_t seed, uint64_t n);

/* The same number for the same bytes in every process and on every machine: answers must not depend on who gives them (str_hash differs per process). */
uint64_t text_hash(struct str s);

/* Where the token that begins at FROM ends: MOCK_TOKEN_BYTES on, or a little later, so that no UTF-8 character and no JSON escape is cut in two. TEXT is the inside
 * of a valid JSON string (escapes not undone); FROM < text.n. */
size_t text_token_end(struct str text, size_t from);

/* How many tokens TEXT has by text_token_end, and the length in bytes of its first MAX. */
size_t text_count(struct str text, size_t max, size_t *ret_bytes);
