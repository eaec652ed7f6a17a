/* text/tokenizer/tokenizer.c -- the whole: loading by the files that there are, and what is known of a vocabulary */
#include "text/tokenizer/tokenizer_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/attr.h"
#include "base/utf8.h"
#include "text/tokenizer/detokenizer.h"

static bool source_token(const void *owner, uint32_t id, struct decoder_token *ret)
{
    const struct tokenizer *t = owner;
    const struct added_token *a = added_tokens_by_id(t->added, id);
    struct str bytes;

    if (a) {
        /* The original decodes to what it matched, and knows as special only what is spelt so. */
        *ret = (struct decoder_token){ .text = a->matched, .added = true, .special = a->special && str_eq(a->matched, a->content) };
        return true;
    }
    if (!vocab_bytes(t->model->vocab, id, &bytes))
        return false;
    *ret = (struct decoder_token){ .text = bytes, .literal = vocab_is_literal(t->model->vocab, id) };
    if (vocab_has_repeats(t->model->vocab)) { /* another id of a special token's text: what is special is the text */
        a = added_tokens_by_content(t->added, bytes);
        ret->special = a && a->special;
    }
    return true;
}

static void describe(struct tokenizer *t)
{
    size_t added;

    (void)added_tokens_all(t->added, &added);
    snprintf(t->describe, sizeof(t->describe), "%s%s, %u tokens, %zu added, %s%s", t->tiktoken ? "tiktoken " : "",
             t->model->ops->name, vocab_count(t->model->vocab), added,
             t->way == WAY_SCANNER ? "scanner "
             : t->way == WAY_WHOLE ? "whole segments"
                                   : "generic pre-tokenizer",
             t->way == WAY_SCANNER ? t->scanner->name : "");
}

static int check_files(const struct tokenizer_files *f, const struct tokenizer_limits *limits, struct err *err)
{
    const struct {
        const char *name;
        struct str text;
    } all[] = {
        { "tokenizer.json", f->tokenizer_json },
        { "vocab.json", f->vocab_json },
        { "merges.txt", f->merges_txt },
        { "the tiktoken file", f->tiktoken },
        { "tokenizer_config.json", f->tokenizer_config },
        { "config.json", f->config },
        { "generation_config.json", f->generation_config },
    };
    int kinds = (f->tokenizer_json.n > 0) + (f->vocab_json.n > 0) + (f->tiktoken.n > 0);

    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        if (all[i].text.n > limits->file_bytes)
            return err_set(err, ERR_LIMIT, "%s: %zu bytes, more than %llu", all[i].name, all[i].text.n,
                           (unsigned long long)limits->file_bytes);
    }
    if (kinds != 1)
        return err_set(err, ERR_INVALID, kinds ? "more than one tokenizer at once" : "the tokenizer's file is empty");
    return 0;
}

int tokenizer_load(const struct tokenizer_files *files, const struct tokenizer_limits *limits, struct tokenizer **ret,
                   struct err *err)
{
    int r = check_files(files, limits, err);

    if (r < 0)
        return r;
    struct tokenizer *t = calloc(1, sizeof(*t));
    if (!t)
        return err_set(err, ERR_NOMEM, "out of memory");
    if (files->tokenizer_json.n)
        r = tokenizer_load_json(t, files->tokenizer_json, limits, err);
    else if (files->tiktoken.n)
        r = tokenizer_load_tiktoken(t, files, limits, err);
    else
        r = tokenizer_load_vocab_files(t, files, limits, err);
    if (r >= 0)
        r = tokenizer_read_config(t, files, err);
    if (r < 0) {
        tokenizer_free(t);
        return r;
    }
    t->scanner = t->pretokenizer ? pretokenizer_scanner(t->pretokenizer) : NULL;
    t->way = tokenizer_choose_way(t);
    t->source = (struct decoder_source){ t, vocab_is_byte_level(t->model->vocab), t->tiktoken, source_token };
    describe(t);
    *ret = t;
    return 0;
}

void tokenizer_free(struct tokenizer *t)
{
    if (!t)
        return;
    for (int i = 0; i < SPECIALS; i++)
        free(t->special_texts[i]);
    free(t->chat_template);
    free(t->eos_ids);
    post_processor_fini(&t->post);
    added_tokens_free(t->added);
    if (t->decoder)
        decoder_free(t->decoder);
    if (t->model)
        t->model->ops->free(t->model);
    pretokenizer_free(t->pretokenizer);
    normalizer_free(t->normalizer);
    free(t);
}

size_t tokenizer_memory(const struct tokenizer *t)
{
    return sizeof(*t) + t->model->ops->memory(t->model) + added_tokens_memory(t->added) + t->chat_template_n +
           (t->normalizer ? normalizer_memory(t->normalizer) : 0) + (t->pretokenizer ? pretokenizer_memory(t->pretokenizer) : 0);
}

/* ---- decoding ---- */

const struct decoder *tokenizer_decoder(const struct tokenizer *t)
{
    return t->decoder;
}

const struct decoder_source *tokenizer_decoder_source(const struct tokenizer *t)
{
    return &t->source;
}

int tokenizer_decode(const struct tokenizer *t, const uint32_t *ids, size_t n, bool skip_specials, struct buf *out, struct err *err)
{
    return decoder_decode(t->decoder, &t->source, ids, n, skip_specials, out, err);
}

/* ---- the vocabulary ---- */

uint32_t tokenizer_vocab_size(const struct tokenizer *t)
{
    const struct added_token *added;
    size_t n;
    uint32_t end = vocab_id_end(t->model->vocab);

    if (!t->tiktoken)
        return vocab_count(t->model->vocab);
    added = added_tokens_all(t->added, &n);
    for (size_t i = 0; i < n; i++)
        end = MAX(end, added[i].id + 1);
    return end;
}

bool tokenizer_token_id(const struct tokenizer *t, struct str token, uint32_t *ret)
{
    const struct added_token *a = added_tokens_by_content(t->added, token);

    if (a)
        *ret = a->id;
    return a || (t->tiktoken ? vocab_find(t->model->vocab, token, ret) : vocab_find_text(t->model->vocab, token, ret));
}

bool tokenizer_token(const struct tokenizer *t, uint32_t id, struct buf *out)
{
    const struct added_token *a = added_tokens_by_id(t->added, id);
    struct str bytes;

    if (a) {
        buf_put(out, a->content);
        return true;
    }
    if (!t->tiktoken)
        return vocab_spell(t->model->vocab, id, out);
    if (!vocab_bytes(t->model->vocab, id, &bytes) || !utf8_valid(bytes)) /* ranks are bytes; only text has a spelling */
        return false;
    buf_put(out, bytes);
    return true;
}

struct str tokenizer_special_token(const struct tokenizer *t, enum tokenizer_special which)
{
    return str_of(t->special_texts[which]);
}

const uint32_t *tokenizer_eos_ids(const struct tokenizer *t, size_t *ret_n)
{
    *ret_n = t->eos_ids_n;
    return t->eos_ids;
}

struct str tokenizer_chat_template(const struct tokenizer *t)
{
    return (struct str){ t->chat_template, t->chat_template_n };
}

struct str tokenizer_describe(const struct tokenizer *t)
{
    return str_of(t->describe);
}
