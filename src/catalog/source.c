/* catalog/source.c -- which kind of source it is, and what loads it */
#include "catalog/source.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/log.h"
#include "catalog/tokenizer_dir.h"
#include "json/json.h"

/* ---- OpenAI's names ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static struct str last_part(struct str name)
{
    size_t slash = str_rfind_char(name, '/');

    return slash == STR_NPOS ? name : str_skip(name, slash + 1);
}

bool source_is_openai(struct str name)
{
    static const struct str EXACT[] = { STR_INIT("davinci"), STR_INIT("curie"), STR_INIT("babbage"), STR_INIT("ada") };
    static const struct str PREFIXES[] = {
        STR_INIT("text-davinci"), STR_INIT("code-davinci"),       STR_INIT("text-curie"),   STR_INIT("text-babbage"),
        STR_INIT("text-ada"),     STR_INIT("text-embedding-ada"), STR_INIT("code-cushman"),
    };

    name = last_part(name);
    if (str_has_prefix(name, STR("gpt-")))
        return name.n > 4 && is_digit(name.p[4]);
    if (str_has_prefix(name, STR("chatgpt-")))
        return true;
    if (name.n >= 2 && name.p[0] == 'o' && is_digit(name.p[1]))
        return name.n == 2 || name.p[2] == '-';
    for (size_t i = 0; i < ARRAY_LEN(EXACT); i++)
        if (str_eq(name, EXACT[i]))
            return true;
    for (size_t i = 0; i < ARRAY_LEN(PREFIXES); i++)
        if (str_has_prefix(name, PREFIXES[i]))
            return true;
    return false;
}

struct str source_openai_encoding(struct str name)
{
    static const struct {
        const char *prefix, *encoding;
    } ENCODINGS[] = {
        /* the first that fits */
        { "gpt-4o", "o200k_base" },
        { "gpt-4.1", "o200k_base" },
        { "gpt-4.5", "o200k_base" },
        { "gpt-5", "o200k_base" },
        { "chatgpt-4o", "o200k_base" },
        { "o1", "o200k_base" },
        { "o3", "o200k_base" },
        { "o4", "o200k_base" },
        { "gpt-4", "cl100k_base" },
        { "gpt-3.5", "cl100k_base" },
        { "text-embedding-ada-002", "cl100k_base" },
        { "text-davinci-edit-001", "p50k_edit" },
        { "code-davinci-edit-001", "p50k_edit" },
        { "text-davinci-002", "p50k_base" },
        { "text-davinci-003", "p50k_base" },
        { "code-", "p50k_base" },
        { "davinci", "r50k_base" },
        { "curie", "r50k_base" },
        { "babbage", "r50k_base" },
        { "ada", "r50k_base" },
        { "text-", "r50k_base" },
    };

    name = last_part(name);
    for (size_t i = 0; i < ARRAY_LEN(ENCODINGS); i++)
        if (str_has_prefix(name, str_of(ENCODINGS[i].prefix)))
            return str_of(ENCODINGS[i].encoding);
    return STR_NONE;
}

static int refuse_openai(struct str name, struct err *err)
{
    struct str encoding = source_openai_encoding(name);

    if (!encoding.n)
        return err_set(err, ERR_UNSUPPORTED,
                       "Unrecognized OpenAI model name: '%.*s'. Expected GPT-3, GPT-3.5, GPT-4, GPT-5 or an o-series name",
                       STR_FMT(name));
    return err_set(err, ERR_UNSUPPORTED,
                   "'%.*s' is encoded with OpenAI's %.*s, whose ranks are not part of smg; give the path of a file %.*s.tiktoken "
                   "as the source",
                   STR_FMT(name), STR_FMT(encoding), STR_FMT(encoding));
}

/* ---- which kind ---- */

static bool exists(struct str path)
{
    char *name = str_dup(path);
    struct stat st;
    bool found = name && memchr(path.p, 0, path.n) == NULL && stat(name, &st) == 0;

    free(name);
    return found;
}

static bool means_a_path(struct str s)
{
    static const struct str BEGINS[] = { STR_INIT("/"), STR_INIT("./"), STR_INIT("../"), STR_INIT("~") };
    static const struct str ENDS[] = { STR_INIT(".json"), STR_INIT(".model"), STR_INIT(".tiktoken"), STR_INIT(".gguf"),
                                       STR_INIT("/") };

    for (size_t i = 0; i < ARRAY_LEN(BEGINS); i++)
        if (str_has_prefix(s, BEGINS[i]))
            return true;
    for (size_t i = 0; i < ARRAY_LEN(ENDS); i++)
        if (str_has_suffix(s, ENDS[i]))
            return true;
    return str_eq(s, STR(".")) || str_eq(s, STR(".."));
}

/* Letters, digits, '-', '_' and '.', in one part or two. */
static bool is_hub_id(struct str s)
{
    struct str id, revision;
    unsigned slashes = 0;

    if (str_split(s, '@', &id, &revision) && revision.n == 0)
        return false;
    for (size_t i = 0; i < id.n; i++) {
        char c = id.p[i];

        if (c == '/' && slashes++ == 0 && i > 0 && i + 1 < id.n)
            continue;
        if (!is_digit(c) && !((c | 0x20) >= 'a' && (c | 0x20) <= 'z') && c != '-' && c != '_' && c != '.')
            return false;
    }
    return id.n > 0;
}

enum source_kind source_kind_of(struct str source)
{
    if (str_eq(source, STR("mock")) || str_eq(source, STR("test")))
        return SOURCE_BUILT_IN;
    if (exists(source) || means_a_path(source))
        return SOURCE_PATH;
    if (source_is_openai(source))
        return SOURCE_OPENAI;
    return is_hub_id(source) ? SOURCE_HUB : SOURCE_NOTHING;
}

bool source_is_final(int code)
{
    return code == ERR_NOT_FOUND || code == ERR_INVALID || code == ERR_SYNTAX || code == ERR_UNSUPPORTED || code == ERR_LIMIT;
}

/* ---- the template ---- */

static int check_template_json(struct str path, struct str text, struct err *err)
{
    struct json_error where;
    struct json_doc doc;
    struct arena arena;
    int r;

    arena_init(&arena, /* cache= */ NULL, /* max_bytes= */ 0);
    r = json_parse(text, &arena, &doc, &where);
    if (r == ERR_SYNTAX)
        r = err_set(err, ERR_SYNTAX, "Failed to parse chat_template.json: %.*s: %s at line %u column %u", STR_FMT(path),
                    where.message, where.line, where.column);
    else if (r < 0)
        r = err_set(err, r, "Failed to parse chat_template.json: %s", err_text(r));
    else if (!json_is(json_root(&doc), JSON_STRING) && !json_is(json_get(json_root(&doc), STR("chat_template")), JSON_STRING))
        r = err_set(err, ERR_INVALID,
                    "chat_template.json does not contain a valid template: %.*s must be a string, or have one as its "
                    "member \"chat_template\"",
                    STR_FMT(path));
    arena_fini(&arena);
    return r;
}

static int check_template(struct str path, struct err *err)
{
    _cleanup_(buf_fini) struct buf text = { 0 };
    char *name = str_dup(path);
    int r = name ? file_read(name, TEMPLATE_BYTES_MAX, &text, err) : err_set(err, ERR_NOMEM, "%s", err_text(ERR_NOMEM));

    free(name);
    if (r < 0)
        return err_wrap(err, r, "Failed to read chat template file");
    return str_has_suffix(path, STR(".json")) ? check_template_json(path, buf_str(&text), err) : 0;
}

/* ---- loading ---- */

static int load_from_hub(const struct source_request *r, struct tokenizer **ret, struct err *err)
{
    struct hub_snapshot found = { 0 };
    int status;

    if (!r->hub)
        return err_set(err, ERR_NOT_FOUND,
                       "'%.*s' is no path on this machine, and nothing can be fetched: the log of the start says why",
                       STR_FMT(r->source));
    status = hub_fetch(r->hub, r->source, r->progress, r->cancel, &found, err);
    if (status < 0)
        return status;
    if (found.origin == HUB_FALLBACK)
        log_warn("smg::catalog", "the hub could not be asked; the files of the cache are used", LF_STR("source", r->source),
                 LF_CSTR("commit", found.commit), LF_CSTR("reason", found.why.message));
    status = tokenizer_dir_load(str_of(found.dir), ret, err);
    free(found.dir);
    return status;
}

int tokenizer_source_load(const struct source_request *r, struct tokenizer **ret, struct err *err)
{
    int status = r->chat_template.n ? check_template(r->chat_template, err) : 0;

    if (status < 0)
        return status;
    switch (source_kind_of(r->source)) {
    case SOURCE_BUILT_IN:
        return mock_tokenizer_load(ret, err);
    case SOURCE_PATH:
        return tokenizer_dir_load(r->source, ret, err);
    case SOURCE_OPENAI:
        return refuse_openai(r->source, err);
    case SOURCE_HUB:
        return load_from_hub(r, ret, err);
    case SOURCE_NOTHING:
    default:
        return err_set(err, ERR_INVALID,
                       "'%.*s' is neither a path that exists nor a Hugging Face id (org/name, or org/name@revision)",
                       STR_FMT(str_first(r->source, 256)));
    }
}
