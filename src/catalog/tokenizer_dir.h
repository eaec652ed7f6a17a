/* catalog/tokenizer_dir.h -- a directory or a file becomes a tokenizer (spec tokenizers 1.4, with its BETTERs; blocking)
 *
 *   a directory, the first that fits:
 *     tokenizer.json                                    Hugging Face
 *     vocab.json and merges.txt, class Qwen2Tokenizer   Hugging Face, put together from them
 *     tiktoken.model, or the first *.tiktoken by name   ranks
 *     vocab.json and merges.txt of another class        the error that names the class
 *   a file, by its ending: .json, .tiktoken or tiktoken.model; .model and .gguf are refused; anything else is looked into
 *
 * Beside the vocabulary tokenizer_config.json, config.json and generation_config.json are read where they are. Only regular files are opened, each with a bound: what lies
 * there may be hostile.
 */
#pragma once

#include "text/tokenizer/tokenizer.h"

#define CONFIG_BYTES_MAX (16u << 20) /* of each of the three */

/* ERR_NOT_FOUND ("File not found: PATH"), ERR_UNSUPPORTED, ERR_INVALID, ERR_LIMIT, ERR_IO, ERR_NOMEM, and those of tokenizer_load. */
int tokenizer_dir_load(struct str path, struct tokenizer **ret, struct err *err) _must_check_;
