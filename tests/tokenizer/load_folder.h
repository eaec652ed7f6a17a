/* tests/tokenizer/load_folder.h -- a tokenizer from a folder of .tokenizers/, for the probe and the benchmark (the gateway's own rules for folders: catalog/) */
#pragma once

#include "base/file.h"
#include "text/tokenizer/tokenizer.h"

#include <glob.h>
#include <stdio.h>

#define LOAD_FILES 6

struct load_folder {
    struct buf bytes[LOAD_FILES]; /* owned; in the order of struct tokenizer_files */
    struct tokenizer_files files;
};

static inline void load_folder_fini(struct load_folder *l)
{
    for (size_t i = 0; i < LOAD_FILES; i++)
        buf_fini(&l->bytes[i]);
}

/* Reads the first file of FOLDER that the pattern names; its absence is fine. */
static inline struct str load_file(const char *folder, const char *pattern, struct buf *into)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", folder, pattern);
    glob_t found = { 0 };
    struct err err;
    if (glob(path, 0, NULL, &found) == 0 && file_read(found.gl_pathv[0], 256u << 20, into, &err) < 0)
        buf_clear(into);
    globfree(&found);
    return buf_str(into);
}

/* tokenizer.json, else vocab.json and merges.txt, else ranks. What transformers reads beside them counts only WITH_CONFIG: the oracle of tokenizer.json does not know it. */
static inline void load_folder_read(struct load_folder *l, const char *folder, bool with_config)
{
    struct tokenizer_files *f = &l->files;
    f->tokenizer_json = load_file(folder, "tokenizer.json", &l->bytes[0]);
    if (f->tokenizer_json.n == 0) {
        f->vocab_json = load_file(folder, "vocab.json", &l->bytes[1]);
        f->merges_txt = load_file(folder, "merges.txt", &l->bytes[2]);
    }
    if (f->tokenizer_json.n == 0 && f->vocab_json.n == 0) {
        f->tiktoken = load_file(folder, "tiktoken.model", &l->bytes[3]);
        if (f->tiktoken.n == 0)
            f->tiktoken = load_file(folder, "*.tiktoken", &l->bytes[3]);
        with_config = true;
    }
    if (with_config) {
        f->tokenizer_config = load_file(folder, "tokenizer_config.json", &l->bytes[4]);
        f->config = load_file(folder, "config.json", &l->bytes[5]);
    }
}
