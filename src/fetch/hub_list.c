/* fetch/hub_list.c -- what may be named, and what is wanted */
#include "fetch/hub_list.h"

#include <stdio.h>

#include "json/json.h"

#define ID_MAX       96 /* huggingface_hub's bound */
#define REVISION_MAX 200
#define NAME_MAX_    1024
#define PART_MAX     255 /* what file systems take */
#define PARTS_MAX    16
#define SHOWN        120 /* bytes of a name in a message */

/* ---- what people write ---- */

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool part_is_plain(struct str part)
{
    if (part.n == 0 || !(is_alnum(part.p[0]) || part.p[0] == '_') || !(is_alnum(part.p[part.n - 1]) || part.p[part.n - 1] == '_'))
        return false;
    for (size_t i = 0; i < part.n; i++) {
        if (!is_alnum(part.p[i]) && part.p[i] != '-' && part.p[i] != '_' && part.p[i] != '.')
            return false;
    }
    return true;
}

static bool id_is_plain(struct str id)
{
    struct str org, name;

    if (id.n > ID_MAX || str_find(id, STR("--")) != STR_NPOS || str_find(id, STR("..")) != STR_NPOS ||
        str_has_suffix(id, STR(".git")))
        return false;
    if (!str_split(id, '/', &org, &name))
        return part_is_plain(id);
    return part_is_plain(org) && part_is_plain(name); /* a second '/' is not plain */
}

bool hub_name_is_safe(struct str name)
{
    struct str rest = name, part;
    unsigned parts = 0;
    bool more = true;

    if (name.n > NAME_MAX_)
        return false;
    for (size_t i = 0; i < name.n; i++) {
        if ((unsigned char)name.p[i] < 0x20 || name.p[i] == 0x7f || name.p[i] == '\\')
            return false;
    }
    while (more) {
        more = str_split(rest, '/', &part, &rest);
        if (part.n == 0 || part.n > PART_MAX || str_eq(part, STR(".")) || str_eq(part, STR("..")) || ++parts > PARTS_MAX)
            return false;
    }
    return true;
}

static bool revision_is_plain(struct str revision)
{
    if (revision.n > REVISION_MAX || !hub_name_is_safe(revision))
        return false;
    for (size_t i = 0; i < revision.n; i++) {
        if (revision.p[i] <= 0x20 || (unsigned char)revision.p[i] >= 0x7f)
            return false;
    }
    return true;
}

int hub_source_parse(struct str text, struct hub_source *ret, struct err *err)
{
    struct hub_source s;

    if (!str_split(text, '@', &s.id, &s.revision))
        s.revision = STR("main");
    if (!id_is_plain(s.id))
        return err_set(err, ERR_INVALID,
                       "'%.*s' is no name of a model: it is org/name, of letters, digits, '-', '_' and '.', at most %d bytes, "
                       "without \"--\" and \"..\"",
                       STR_FMT(str_first(s.id, SHOWN)), ID_MAX);
    if (!revision_is_plain(s.revision))
        return err_set(err, ERR_INVALID, "'%.*s' is no revision of a model: behind the '@' stands a branch, a tag or a commit",
                       STR_FMT(str_first(s.revision, SHOWN)));
    *ret = s;
    return 0;
}

bool hub_is_commit(struct str text)
{
    for (size_t i = 0; i < text.n; i++) {
        if (!(text.p[i] >= '0' && text.p[i] <= '9') && !(text.p[i] >= 'a' && text.p[i] <= 'f'))
            return false;
    }
    return text.n == 40 || text.n == 64;
}

/* ---- what is wanted ---- */

static bool is_one_of(struct str name, const struct str *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (str_eq(name, names[i]))
            return true;
    }
    return false;
}

static bool ends_in_one_of(struct str name, const struct str *ends, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (str_has_suffix(name, ends[i]))
            return true;
    }
    return false;
}

static bool is_image(struct str name)
{
    static const struct str ENDS[] = { STR_INIT(".png"), STR_INIT(".jpg"), STR_INIT(".jpeg") };

    for (size_t i = 0; i < ARRAY_LEN(ENDS); i++) {
        if (name.n >= ENDS[i].n && str_eq_nocase(str_skip(name, name.n - ENDS[i].n), ENDS[i]))
            return true;
    }
    return false;
}

enum hub_want hub_want_of(struct str name)
{
    static const struct str IGNORED[] = { STR_INIT(".gitattributes"), STR_INIT("LICENSE"), STR_INIT("LICENSE.txt"),
                                          STR_INIT("README.md"), STR_INIT("USE_POLICY.md") };
    static const struct str WEIGHTS[] = { STR_INIT(".bin"), STR_INIT(".safetensors"), STR_INIT(".h5"), STR_INIT(".msgpack"),
                                          STR_INIT(".ckpt.index") };
    static const struct str TOKENIZER[] = { STR_INIT("tokenizer.json"),
                                            STR_INIT("tokenizer_config.json"),
                                            STR_INIT("special_tokens_map.json"),
                                            STR_INIT("added_tokens.json"),
                                            STR_INIT("vocab.json"),
                                            STR_INIT("merges.txt"),
                                            STR_INIT("vocab.txt"),
                                            STR_INIT(".model"),
                                            STR_INIT(".tiktoken"),
                                            STR_INIT(".jinja") };
    static const struct str BEST_EFFORT[] = { STR_INIT("config.json"), STR_INIT("generation_config.json"),
                                              STR_INIT("preprocessor_config.json") };

    if (is_one_of(name, IGNORED, ARRAY_LEN(IGNORED)) || is_image(name) || ends_in_one_of(name, WEIGHTS, ARRAY_LEN(WEIGHTS)))
        return HUB_UNWANTED;
    if (str_eq(name, STR("chat_template.json")) || ends_in_one_of(name, TOKENIZER, ARRAY_LEN(TOKENIZER)))
        return HUB_WANTED;
    return is_one_of(name, BEST_EFFORT, ARRAY_LEN(BEST_EFFORT)) ? HUB_BEST_EFFORT : HUB_UNWANTED;
}

/* ---- the list ---- */

bool hub_list_has(const struct hub_list *l, struct str name)
{
    return is_one_of(name, l->names, l->n);
}

static int add(struct hub_list *l, struct str name, struct err *err)
{
    if (hub_want_of(name) == HUB_UNWANTED || hub_list_has(l, name))
        return 0;
    if (!hub_name_is_safe(name))
        return err_set(err, ERR_INVALID, "the file name '%.*s' would leave its folder", STR_FMT(str_first(name, SHOWN)));
    if (l->n == HUB_FILES_MAX)
        return err_set(err, ERR_LIMIT, "more than %u tokenizer files", HUB_FILES_MAX);
    l->names[l->n++] = name;
    return 0;
}

static int read_commit(struct json sha, struct arena *arena, struct hub_list *l, struct err *err)
{
    struct str commit = json_str(sha, arena);

    if (json_is_null(sha))
        return 0;
    if (!hub_is_commit(commit))
        return arena->failed ? ERR_NOMEM : err_set(err, ERR_INVALID, "the member \"sha\" of the answer is no commit");
    memcpy(l->commit, commit.p, commit.n);
    l->commit[commit.n] = 0;
    return 0;
}

int hub_list_parse(struct str text, struct arena *arena, struct hub_list *ret, struct err *err)
{
    struct hub_list l = { .names = arena_array(arena, HUB_FILES_MAX, sizeof(struct str)) };
    struct json_error where = { 0 };
    struct json_doc doc;
    int st;

    if (!l.names)
        return err_set(err, ERR_NOMEM, "out of memory");
    st = json_parse(text, arena, &doc, &where);
    if (st == ERR_SYNTAX)
        return err_set(err, st, "the answer is no JSON: %s at line %u column %u", where.message, where.line, where.column);
    if (st < 0)
        return err_set(err, st, "%s", err_text(st));
    if (!json_is(json_root(&doc), JSON_OBJECT))
        return err_set(err, ERR_SYNTAX, "the answer is no description of a model");
    st = read_commit(json_get(json_root(&doc), STR("sha")), arena, &l, err);
    if (st == 0) {
        struct json_iter it = json_iter(json_get(json_root(&doc), STR("siblings")));

        while (st == 0 && !it.object && json_next(&it)) {
            struct json name = json_get(it.value, STR("rfilename"));

            l.files += json_is(name, JSON_STRING);
            if (json_is(name, JSON_STRING))
                st = add(&l, json_str(name, arena), err);
        }
    }
    if (st == 0 && arena->failed)
        st = ERR_NOMEM;
    if (st == ERR_NOMEM)
        return err_set(err, ERR_NOMEM, "out of memory");
    if (st == 0)
        *ret = l;
    return st;
}

/* ---- where the tokenizer is ---- */

static struct str folder_of(struct str name)
{
    size_t slash = str_rfind_char(name, '/');

    return str_first(name, slash == STR_NPOS ? 0 : slash);
}

static struct str base_of(struct str name)
{
    size_t slash = str_rfind_char(name, '/');

    return slash == STR_NPOS ? name : str_skip(name, slash + 1);
}

static bool has_in(const struct hub_list *l, struct str folder, struct str base)
{
    for (size_t i = 0; i < l->n; i++) {
        if (str_eq(folder_of(l->names[i]), folder) && str_eq(base_of(l->names[i]), base))
            return true;
    }
    return false;
}

/* Can a tokenizer be made of NAME, with its neighbours? */
static bool is_tokenizer(const struct hub_list *l, struct str name)
{
    struct str base = base_of(name);

    if (str_eq(base, STR("tokenizer.json")) || str_eq(base, STR("vocab.txt")) || str_has_suffix(base, STR(".tiktoken")) ||
        str_has_suffix(base, STR(".model")))
        return true;
    return str_eq(base, STR("vocab.json")) && has_in(l, folder_of(name), STR("merges.txt"));
}

static const struct str *first_tokenizer(const struct hub_list *l)
{
    const struct str *found = NULL;

    for (size_t i = 0; i < l->n; i++) {
        if (!is_tokenizer(l, l->names[i]))
            continue;
        if (folder_of(l->names[i]).n == 0)
            return &l->names[i];
        if (!found)
            found = &l->names[i];
    }
    return found;
}

bool hub_list_has_tokenizer(const struct hub_list *l)
{
    return first_tokenizer(l) != NULL;
}

struct str hub_list_folder(const struct hub_list *l)
{
    const struct str *name = first_tokenizer(l);

    return name ? folder_of(*name) : STR("");
}
