/* catalog/source.h -- from a source, as a person writes it, to a tokenizer (spec tokenizers 1.3 to 1.5; blocking: on the pool, or in a command)
 *
 *   "mock", "test"                   the built-in tokenizer (mock_tokenizer.c)
 *   a path that exists               a directory or a file: tokenizer_dir.h
 *   "gpt-4o", "o3-mini" ...          OpenAI's names: their encodings are not part of this binary; a clear error says what to do
 *   "org/name", "org/name@revision"  the Hugging Face hub: fetch/hub.h finds or fetches the files, then as a directory
 *   "/...", "./...", "~/...",
 *   "x.json", "x.tiktoken" ...       a path, whether it exists or not: a mistyped path is never asked for on the network
 *
 * A chat template's path is read and checked, for it is part of what was asked for; rendering it is not built yet.
 */
#pragma once

#include <stdatomic.h>

#include "fetch/hub.h"
#include "text/tokenizer/tokenizer.h"

#define TEMPLATE_BYTES_MAX (4u << 20)

enum source_kind { SOURCE_BUILT_IN, SOURCE_PATH, SOURCE_OPENAI, SOURCE_HUB, SOURCE_NOTHING };

/* Looks at the text and at the file system. Blocking. */
enum source_kind source_kind_of(struct str source);

/* "gpt-4o", "openai/o1", "davinci": spec 1.3. */
bool source_is_openai(struct str name);
/* "o200k_base" (spec 4.3); empty: no model of theirs. */
struct str source_openai_encoding(struct str name);

struct source_request {
    struct str source;
    struct str chat_template;      /* a path; empty = none */
    const struct hub_config *hub;  /* borrowed; NULL: nothing is fetched */
    struct hub_progress *progress; /* borrowed; NULL: nobody looks */
    const _Atomic bool *cancel;    /* borrowed; NULL: nobody does */
};

/* ERR_NOT_FOUND, ERR_INVALID, ERR_SYNTAX, ERR_UNSUPPORTED, ERR_LIMIT: it will not get better by itself (source_is_final); others may. */
int tokenizer_source_load(const struct source_request *r, struct tokenizer **ret, struct err *err) _must_check_;
bool source_is_final(int code);

/* The built-in tokenizer of spec 16.1. */
int mock_tokenizer_load(struct tokenizer **ret, struct err *err) _must_check_;
