/* fetch/hub_list.h -- names: of models and revisions as people write them, of files as the hub lists them, and which files a tokenizer needs
 *
 * Pure text, no I/O. What passes hub_name_is_safe can be put behind a folder's path and stays below it. */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "fetch/hub.h"

struct hub_source {
    struct str id;       /* view: "org/name" or "name" */
    struct str revision; /* view; "main" when none was written */
};

/* "org/name", "name", either with "@revision". ERR_INVALID says what a name looks like. huggingface_hub's rules: letters, digits, '-', '_', '.', at most one '/', at most 96 bytes,
 * no "--", no "..", no '-' or '.' at either end, no ".git" at the end. A revision: printable, at most 200 bytes, a path that stays where it is ("refs/pr/1"). */
int hub_source_parse(struct str text, struct hub_source *ret, struct err *err) _must_check_;

bool hub_is_commit(struct str text); /* 40 (or 64) lowercase hexadecimal digits: names one tree for ever */

/* A relative path: no empty part, no "." or "..", no backslash, no control byte, parts of at most 255 bytes, at most 1024 in all and 16 parts. */
bool hub_name_is_safe(struct str name);

enum hub_want {
    HUB_UNWANTED,
    HUB_WANTED,      /* a tokenizer file: without it the model is not loaded */
    HUB_BEST_EFFORT, /* config.json, generation_config.json, preprocessor_config.json: failures to fetch them are ignored */
};

/* Spec tokenizers 1.5.3, with vocab.txt, added_tokens.json and preprocessor_config.json added. */
enum hub_want hub_want_of(struct str name);

struct hub_list {
    struct str *names; /* arena; wanted and safe names in the order of the list, no name twice */
    size_t n;
    size_t files;                /* all that were listed */
    char commit[HUB_COMMIT_MAX]; /* "" = not told */
};

/* The answer of GET api/models/ID/revision/REV. ERR_SYNTAX (no JSON object), ERR_INVALID (a wanted name that is not safe, a commit that is none), ERR_LIMIT (HUB_FILES_MAX), ERR_NOMEM. */
int hub_list_parse(struct str json, struct arena *arena, struct hub_list *ret, struct err *err) _must_check_;

bool hub_list_has(const struct hub_list *l, struct str name);

/* Is there something to make a tokenizer of: tokenizer.json, vocab.json with merges.txt, vocab.txt, *.tiktoken or *.model, in any folder? */
bool hub_list_has_tokenizer(const struct hub_list *l);

/* The folder to load from, "" = the top: the top when it has a tokenizer, else that of the first tokenizer file. A view into a name. */
struct str hub_list_folder(const struct hub_list *l);
