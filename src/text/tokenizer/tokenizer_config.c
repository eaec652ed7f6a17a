/* text/tokenizer/tokenizer_config.c -- what the files beside a tokenizer say about it (spec 2)
 *
 *   tokenizer_config.json                  names of special tokens, add_bos_token, add_eos_token, chat_template
 *   config.json, generation_config.json    eos_token_id, here and in text_config: the stop set
 * A file that is no JSON is passed over, as it is by SMG; beside a tiktoken file a broken tokenizer_config.json is an error, for there it holds the added tokens.
 */
#include "text/tokenizer/tokenizer_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/attr.h"

#define EOS_MAX 1024

/* What a model calls its special tokens when its config does not say, in order. */
static const struct {
    const char *member;
    struct str usual[5];
} NAMES[SPECIALS] = {
    [SPECIAL_BOS] = { "bos_token", { STR("<s>"), STR("<|startoftext|>"), STR("<BOS>"), STR("[CLS]") } },
    [SPECIAL_EOS] = { "eos_token", { STR("</s>"), STR("<|endoftext|>"), STR("<EOS>"), STR("[SEP]") } },
    [SPECIAL_UNK] = { "unk_token", { STR("<unk>"), STR("<UNK>"), STR("[UNK]") } },
    [SPECIAL_SEP] = { "sep_token", { STR("[SEP]"), STR("<sep>"), STR("<SEP>") } },
    [SPECIAL_PAD] = { "pad_token", { STR("<pad>"), STR("<PAD>"), STR("[PAD]") } },
    [SPECIAL_CLS] = { "cls_token", { STR("[CLS]"), STR("<cls>"), STR("<CLS>") } },
    [SPECIAL_MASK] = { "mask_token", { STR("[MASK]"), STR("<mask>"), STR("<MASK>") } },
};

static int set_special(struct tokenizer *t, int which, struct str name, struct err *err)
{
    t->special_texts[which] = str_dup(name);
    return t->special_texts[which] ? 0 : err_set(err, ERR_NOMEM, "out of memory");
}

static int read_names(struct tokenizer *t, struct json config, struct arena *arena, struct err *err)
{
    for (int which = 0; which < SPECIALS; which++) {
        struct json v = json_get(config, str_of(NAMES[which].member));
        struct str name = json_str(json_is(v, JSON_OBJECT) ? json_get(v, STR("content")) : v, arena);
        uint32_t id;
        int r = 0;

        if (name.n && !memchr(name.p, 0, name.n)) {
            r = set_special(t, which, name, err);
        } else if (!json_exists(v) && !t->tiktoken) { /* null says that there is none */
            for (int k = 0; NAMES[which].usual[k].n; k++) {
                if (tokenizer_token_id(t, NAMES[which].usual[k], &id)) {
                    r = set_special(t, which, NAMES[which].usual[k], err);
                    break;
                }
            }
        }
        if (r < 0)
            return r;
    }
    return 0;
}

/* [bos] $A [eos] in place of the file's post-processor. A token that the vocabulary does not know: all stays as it is. */
static int override_post_processor(struct tokenizer *t, struct json config, struct err *err)
{
    struct json add_bos = json_get(config, STR("add_bos_token"));
    bool eos = json_is(json_get(config, STR("add_eos_token")), JSON_TRUE);
    bool bos = json_is_bool(add_bos) ? json_is(add_bos, JSON_TRUE) : eos && t->post.before_n + t->post.after_n > 0;
    struct post_processor p = { 0 };
    uint32_t ids[2];

    if (t->tiktoken || (!bos && !eos) || (bos && !tokenizer_token_id(t, tokenizer_special_token(t, SPECIAL_BOS), &ids[0])) ||
        (eos && !tokenizer_token_id(t, tokenizer_special_token(t, SPECIAL_EOS), &ids[1])))
        return 0;
    p.before = malloc(sizeof(*p.before));
    p.after = malloc(sizeof(*p.after));
    if (!p.before || !p.after) {
        post_processor_fini(&p);
        return err_set(err, ERR_NOMEM, "out of memory");
    }
    if (bos)
        p.before[p.before_n++] = ids[0];
    if (eos)
        p.after[p.after_n++] = ids[1];
    post_processor_fini(&t->post);
    t->post = p;
    return 0;
}

static int read_chat_template(struct tokenizer *t, struct json config, struct arena *arena, struct err *err)
{
    struct json v = json_get(config, STR("chat_template"));

    if (!json_is(v, JSON_STRING))
        return 0;
    struct str text = json_str(v, arena);
    t->chat_template = text.p ? str_dup(text) : NULL;
    if (!t->chat_template)
        return err_set(err, ERR_NOMEM, "chat_template: out of memory");
    t->chat_template_n = text.n;
    return 0;
}

static int read_tokenizer_config(struct tokenizer *t, struct json config, struct arena *arena, struct err *err)
{
    int r = read_names(t, config, arena, err);

    if (r >= 0)
        r = override_post_processor(t, config, err);
    if (r >= 0)
        r = read_chat_template(t, config, arena, err);
    return r;
}

/* ---- the stop set ---- */

static int put_eos(struct tokenizer *t, struct json v, struct err *err)
{
    uint64_t id;

    if (json_to_u64(v, &id) < 0 || id >= UINT32_MAX) /* null, true, "text": says nothing */
        return 0;
    size_t at = 0;
    while (at < t->eos_ids_n && t->eos_ids[at] < id)
        at++;
    if (at < t->eos_ids_n && t->eos_ids[at] == id)
        return 0;
    if (t->eos_ids_n == EOS_MAX)
        return err_set(err, ERR_LIMIT, "eos_token_id: more than %d ids", EOS_MAX);
    uint32_t *p = reallocarray(t->eos_ids, t->eos_ids_n + 1, sizeof(*p));
    if (!p)
        return err_set(err, ERR_NOMEM, "eos_token_id: out of memory");
    memmove(p + at + 1, p + at, (t->eos_ids_n - at) * sizeof(*p));
    p[at] = (uint32_t)id;
    t->eos_ids = p;
    t->eos_ids_n++;
    return 0;
}

static int read_eos(struct tokenizer *t, struct json config, struct arena *arena, struct err *err)
{
    struct json at[] = { config, json_get(config, STR("text_config")) };

    for (size_t i = 0; i < ARRAY_LEN(at); i++) {
        struct json v = json_get(at[i], STR("eos_token_id"));
        int r = json_is(v, JSON_ARRAY) ? 0 : put_eos(t, v, err);
        for (struct json_iter it = json_iter(json_is(v, JSON_ARRAY) ? v : JSON_NONE); r >= 0 && json_next(&it);)
            r = put_eos(t, it.value, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- the files ---- */

static int read_file(struct tokenizer *t, struct str text, const char *name, bool strict,
                     int (*read)(struct tokenizer *t, struct json config, struct arena *arena, struct err *err), struct err *err)
{
    struct json_doc doc;
    struct json_error at;
    struct arena arena;
    int r;

    arena_init(&arena, NULL, (1u << 20) + text.n * 24);
    r = text.n ? json_parse(text, &arena, &doc, &at) : 0;
    if (r == ERR_SYNTAX && strict)
        err_set(err, r, "%s: %s at line %u column %u", name, at.message, at.line, at.column);
    else if (r == ERR_SYNTAX)
        r = read(t, JSON_NONE, &arena, err);
    else if (r < 0)
        err_set(err, r, "%s: %s", name, err_text(r));
    else if ((r = read(t, text.n ? json_root(&doc) : JSON_NONE, &arena, err)) < 0)
        err_wrap(err, r, "%s", name);
    arena_fini(&arena);
    return r;
}

int tokenizer_read_config(struct tokenizer *t, const struct tokenizer_files *files, struct err *err)
{
    int r = read_file(t, files->tokenizer_config, "tokenizer_config.json", t->tiktoken, read_tokenizer_config, err);

    if (r >= 0)
        r = read_file(t, files->config, "config.json", false, read_eos, err);
    if (r >= 0)
        r = read_file(t, files->generation_config, "generation_config.json", false, read_eos, err);
    return r;
}
