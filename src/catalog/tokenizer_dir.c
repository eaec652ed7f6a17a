/* catalog/tokenizer_dir.c -- which files make the tokenizer */
#include "catalog/tokenizer_dir.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/file.h"
#include "json/json.h"

#define SNIFF_BYTES 512

/* What was read, and the view of it that tokenizer_load takes. */
struct reading {
    struct buf vocabulary, merges, tokenizer_config, config, generation_config; /* owned */
    struct tokenizer_files files;
};

static void reading_fini(struct reading *r)
{
    buf_fini(&r->vocabulary);
    buf_fini(&r->merges);
    buf_fini(&r->tokenizer_config);
    buf_fini(&r->config);
    buf_fini(&r->generation_config);
}

/* ---- paths and files ---- */

static int join(const char *directory, const char *name, char out[PATH_MAX], struct err *err)
{
    int n = snprintf(out, PATH_MAX, "%s/%s", directory, name);

    return n < 0 || n >= PATH_MAX ? err_set(err, ERR_INVALID, "%s/%s: the path is too long", directory, name) : 0;
}

static bool is_regular(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static bool has_file(const char *directory, const char *name)
{
    char path[PATH_MAX];

    return join(directory, name, path, NULL) == 0 && is_regular(path);
}

/* A pipe or a device would block or never end. */
static int read_regular(const char *path, size_t max_bytes, struct buf *out, struct err *err)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return errno == ENOENT ? err_set(err, ERR_NOT_FOUND, "File not found: %s", path)
                               : err_set(err, err_from_errno(-errno), "%s: %s", path, strerrordesc_np(errno));
    if (!S_ISREG(st.st_mode))
        return err_set(err, ERR_INVALID, "%s: not a regular file", path);
    return file_read(path, max_bytes, out, err);
}

static int read_in(const char *directory, const char *name, size_t max_bytes, struct buf *out, struct err *err)
{
    char path[PATH_MAX];
    int r = join(directory, name, path, err);

    return r < 0 ? r : read_regular(path, max_bytes, out, err);
}

/* One that need not be there. */
static int read_beside(const char *directory, const char *name, struct buf *out, struct str *ret, struct err *err)
{
    int r = has_file(directory, name) ? read_in(directory, name, CONFIG_BYTES_MAX, out, err) : 0;

    *ret = buf_str(out);
    return r;
}

static int read_configs(const char *directory, struct reading *r, struct err *err)
{
    int status = read_beside(directory, "tokenizer_config.json", &r->tokenizer_config, &r->files.tokenizer_config, err);

    if (status == 0)
        status = read_beside(directory, "config.json", &r->config, &r->files.config, err);
    if (status == 0)
        status = read_beside(directory, "generation_config.json", &r->generation_config, &r->files.generation_config, err);
    return status;
}

static int read_vocabulary(const char *path, struct reading *r, struct str *ret, struct err *err)
{
    int status = read_regular(path, TOKENIZER_LIMITS_DEFAULT.file_bytes, &r->vocabulary, err);

    *ret = buf_str(&r->vocabulary);
    return status;
}

static int load(struct reading *r, const char *path, struct tokenizer **ret, struct err *err)
{
    struct tokenizer_limits limits = TOKENIZER_LIMITS_DEFAULT;
    int status = tokenizer_load(&r->files, &limits, ret, err);

    return status < 0 ? err_wrap(err, status, "Failed to load tokenizer: %s", path) : 0;
}

/* ---- a directory ---- */

/* tiktoken.model, else the first *.tiktoken by name. False: none. */
static bool find_ranks(const char *directory, char out[NAME_MAX + 1])
{
    DIR *d;
    struct dirent *entry;

    snprintf(out, NAME_MAX + 1, "tiktoken.model");
    if (has_file(directory, out))
        return true;
    out[0] = 0;
    d = file_open_dir(directory);
    while (d && (entry = readdir(d)) != NULL)
        if (str_has_suffix(str_of(entry->d_name), STR(".tiktoken")) && (!out[0] || strcmp(entry->d_name, out) < 0) &&
            has_file(directory, entry->d_name))
            snprintf(out, NAME_MAX + 1, "%s", entry->d_name);
    if (d)
        closedir(d);
    return out[0] != 0;
}

/* tokenizer_config.json's tokenizer_class; empty when there is none. */
static struct str class_of(struct str tokenizer_config, struct arena *arena)
{
    struct json_doc doc;

    return json_parse(tokenizer_config, arena, &doc, /* ret_error= */ NULL) == 0
               ? json_str(json_get(json_root(&doc), STR("tokenizer_class")), arena)
               : STR_NONE;
}

static int load_vocab_and_merges(const char *directory, struct reading *r, struct tokenizer **ret, struct err *err)
{
    int status = read_in(directory, "vocab.json", TOKENIZER_LIMITS_DEFAULT.file_bytes, &r->vocabulary, err);

    if (status == 0)
        status = read_in(directory, "merges.txt", TOKENIZER_LIMITS_DEFAULT.file_bytes, &r->merges, err);
    if (status < 0)
        return status;
    r->files.vocab_json = buf_str(&r->vocabulary);
    r->files.merges_txt = buf_str(&r->merges);
    return load(r, directory, ret, err);
}

static int load_file_in(const char *directory, const char *name, struct reading *r, struct str *which, struct tokenizer **ret,
                        struct err *err)
{
    char path[PATH_MAX];
    int status = join(directory, name, path, err);

    if (status == 0)
        status = read_vocabulary(path, r, which, err);
    return status < 0 ? status : load(r, path, ret, err);
}

static int load_directory(const char *directory, struct reading *r, struct tokenizer **ret, struct err *err)
{
    bool pair = has_file(directory, "vocab.json") && has_file(directory, "merges.txt");
    char ranks[NAME_MAX + 1];
    struct arena arena;
    struct str class;
    int status = read_configs(directory, r, err);

    if (status < 0)
        return status;
    if (has_file(directory, "tokenizer.json"))
        return load_file_in(directory, "tokenizer.json", r, &r->files.tokenizer_json, ret, err);
    arena_init(&arena, /* cache= */ NULL, /* max_bytes= */ 0);
    class = class_of(r->files.tokenizer_config, &arena);
    if (pair && (str_eq(class, STR("Qwen2Tokenizer")) || str_eq(class, STR("Qwen2TokenizerFast"))))
        status = load_vocab_and_merges(directory, r, ret, err);
    else if (find_ranks(directory, ranks))
        status = load_file_in(directory, ranks, r, &r->files.tiktoken, ret, err);
    else if (pair)
        status = err_set(
            err, ERR_UNSUPPORTED,
            "Unsupported vocab.json + merges.txt tokenizer_class '%.*s' in %s: only Qwen2Tokenizer can be put together from "
            "them; a tokenizer.json is needed",
            STR_FMT(str_first(class, 100)), directory);
    else
        status = err_set(err, ERR_NOT_FOUND,
                         "Directory '%s' does not contain a valid tokenizer file (tokenizer.json, tiktoken.model, *.tiktoken, or "
                         "vocab.json)",
                         directory);
    arena_fini(&arena);
    return status;
}

/* ---- a file ---- */

/* PATH's directory, for what lies beside it. */
static void directory_of(const char *path, char out[PATH_MAX])
{
    const char *slash = strrchr(path, '/');

    snprintf(out, PATH_MAX, "%.*s", slash == path ? 1 : slash ? (int)(slash - path) : 1, slash ? path : ".");
}

static bool looks_like_json(struct str s)
{
    if (str_has_prefix(s, STR("\xEF\xBB\xBF")))
        s = str_skip(s, 3);
    s = str_trim(s);
    return s.n && (s.p[0] == '{' || s.p[0] == '[');
}

static bool looks_like_sentencepiece(struct str s)
{
    if (s.n < 12)
        return false;
    return str_has_prefix(s, STR("\x0a\x09")) || (s.p[0] == 0x08 && s.p[1] == 0) || str_find(s, STR("<unk")) != STR_NPOS ||
           str_find(s, STR("<s>")) != STR_NPOS || str_find(s, STR("</s")) != STR_NPOS;
}

enum form { FORM_JSON, FORM_RANKS };

static int sniff(const char *path, enum form *ret, struct err *err)
{
    char bytes[SNIFF_BYTES];
    FILE *f = fopen(path, "rbe");
    struct str head = { bytes, 0 };

    if (!f)
        return err_set(err, err_from_errno(-errno), "%s: %s", path, strerrordesc_np(errno));
    head.n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    if (looks_like_json(head)) {
        *ret = FORM_JSON;
        return 0;
    }
    if (str_has_prefix(head, STR("GGUF")))
        return err_set(err, ERR_UNSUPPORTED, "GGUF format detected but not yet supported: %s", path);
    if (looks_like_sentencepiece(head))
        return err_set(err, ERR_UNSUPPORTED, "SentencePiece model detected but not yet supported: %s", path);
    return err_set(err, ERR_UNSUPPORTED, "Unable to determine tokenizer type for file: %s", path);
}

static int form_of(const char *path, enum form *ret, struct err *err)
{
    const char *slash = strrchr(path, '/');
    struct str name = str_of(slash ? slash + 1 : path);
    size_t dot = str_rfind_char(name, '.');
    struct str ending = dot == STR_NPOS ? STR_NONE : str_skip(name, dot);

    *ret = FORM_JSON;
    if (str_eq_nocase(ending, STR(".json")))
        return 0;
    if (str_eq_nocase(ending, STR(".tiktoken")) || str_eq(name, STR("tiktoken.model"))) {
        *ret = FORM_RANKS;
        return 0;
    }
    if (str_eq_nocase(ending, STR(".model")))
        return err_set(err, ERR_UNSUPPORTED, "SentencePiece models not yet supported: %s; use the model's tokenizer.json", path);
    if (str_eq_nocase(ending, STR(".gguf")))
        return err_set(err, ERR_UNSUPPORTED, "GGUF format not yet supported: %s; use the model's tokenizer.json", path);
    return sniff(path, ret, err);
}

static int load_file(const char *path, struct reading *r, struct tokenizer **ret, struct err *err)
{
    char directory[PATH_MAX];
    enum form form;
    int status = form_of(path, &form, err);

    if (status < 0)
        return status;
    directory_of(path, directory);
    status = read_configs(directory, r, err);
    if (status == 0)
        status = read_vocabulary(path, r, form == FORM_JSON ? &r->files.tokenizer_json : &r->files.tiktoken, err);
    return status < 0 ? status : load(r, path, ret, err);
}

static int load_path(const char *path, struct tokenizer **ret, struct err *err)
{
    struct reading r = { 0 };
    struct stat st;
    int status;

    if (stat(path, &st) < 0)
        return errno == ENOENT || errno == ENOTDIR ? err_set(err, ERR_NOT_FOUND, "File not found: %s", path)
                                                   : err_set(err, err_from_errno(-errno), "%s: %s", path, strerrordesc_np(errno));
    if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
        return err_set(err, ERR_INVALID, "%s: neither a directory nor a regular file", path);
    status = S_ISDIR(st.st_mode) ? load_directory(path, &r, ret, err) : load_file(path, &r, ret, err);
    reading_fini(&r);
    return status;
}

int tokenizer_dir_load(struct str path, struct tokenizer **ret, struct err *err)
{
    char *name;
    int status;

    if (path.n >= PATH_MAX || memchr(path.p, 0, path.n))
        return err_set(err, ERR_INVALID, "%.*s: not a path", STR_FMT(str_first(path, 100)));
    name = str_dup(path);
    if (!name)
        return err_set(err, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
    status = load_path(name, ret, err);
    free(name);
    return status;
}
