/* admission/usage.h -- how many tokens a request is: guessed from its body before, read from its reply after
 *
 * Before: a quarter of the bytes of its text, rounded up. Text is what stands in messages, prompt, input, text, query, documents, system, instructions and tools: every string in them,
 * whatever its name, but for those called "url" or "data" and those that begin with "data:" (images, sound); a number in an array is a token id and counts as one. No tokenizer is asked: the guess
 * decides only whether the request may begin, and is corrected by its reply.
 * After: the reply's own counts, wherever they stand in it: prompt_tokens and completion_tokens (OpenAI's shape, SGLang's meta_info), input_tokens and output_tokens (Anthropic, Responses).
 * Each name's last number counts: streams repeat them. The bytes are looked through as they pass, whatever their cuts; a JSON string cannot pretend, for its quotes are escaped.
 */
#pragma once

#include "base/arena.h"
#include "base/str.h"

/* MODEL: a view of BODY or ARENA; empty when there is none. Not JSON (a form with sound, a mistake): 0. */
uint64_t usage_guess(struct str body, struct arena *arena, struct str *ret_model);

#define USAGE_CARRY 64 /* longest piece of interest: a quoted name, a colon, blanks, a number */

struct usage_reader {
    uint64_t input, output;
    bool has_input, has_output;
    char carry[USAGE_CARRY]; /* the end of what was seen */
    size_t carry_n;
};

void usage_read(struct usage_reader *u, struct str part);
