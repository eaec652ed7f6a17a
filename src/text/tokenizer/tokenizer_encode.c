/* text/tokenizer/tokenizer_encode.c -- text to ids
 *
 *   tokenizer_encode
 *     valid_text        bytes that are not UTF-8 become U+FFFD; valid text (nearly all) is not copied
 *     encode_text       cuts at added tokens of the raw text           gap -> encode_gap
 *     encode_gap        normalizer; cuts at added tokens of the normal text   gap -> encode_segment
 *     encode_segment    pieces, by the way that was chosen at load -> model
 *     truncate, specials
 *
 * The fast way copies nothing: the scanner writes the ends of up to BATCH pieces, the model reads them from the caller's text.
 */
#include "text/tokenizer/tokenizer_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/attr.h"
#include "text/tokenizer/unicode.h"
#include "text/tokenizer/valid_text.h"

#define BATCH    256
#define MARKS    64
#define TEXT_MAX (UINT32_MAX - 64u) /* of a segment: ends are 32 bits */

struct tokenizer_encoder {
    const struct tokenizer *t;      /* borrowed */
    struct model_state *state;      /* owned */
    struct pretokenizer_work *work; /* owned; NULL when no pre-tokenizer runs */
    struct pieces pieces;
    struct buf normal[2], repaired;
    uint32_t ends[BATCH];
};

enum way tokenizer_choose_way(struct tokenizer *t)
{
    struct normalizer_spm spm;

    if (!t->pretokenizer && t->model->ops->take_blanks && normalizer_is_spm(t->normalizer, &spm) && spm.prepend.n == 0 &&
        str_eq(spm.space, STR("\xe2\x96\x81")) && !added_tokens_has(t->added, /* normalized= */ true) &&
        t->model->ops->take_blanks(t->model))
        return WAY_BLANKS;
    if (!t->pretokenizer)
        return WAY_WHOLE;
    return t->scanner ? WAY_SCANNER : WAY_GENERIC;
}

int tokenizer_encoder_new(const struct tokenizer *t, size_t cache_bytes, struct tokenizer_encoder **ret)
{
    struct tokenizer_encoder *e = calloc(1, sizeof(*e));
    int r = ERR_NOMEM;

    if (!e)
        return r;
    e->t = t;
    r = t->model->ops->state_new(t->model, cache_bytes, &e->state);
    if (r >= 0 && t->way == WAY_GENERIC)
        r = pretokenizer_work_new(&e->work);
    if (r < 0) {
        tokenizer_encoder_free(e);
        return r;
    }
    *ret = e;
    return 0;
}

void tokenizer_encoder_free(struct tokenizer_encoder *e)
{
    if (!e)
        return;
    if (e->state)
        e->t->model->ops->state_free(e->state);
    pretokenizer_work_free(e->work);
    pieces_fini(&e->pieces);
    buf_fini(&e->normal[0]);
    buf_fini(&e->normal[1]);
    buf_fini(&e->repaired);
    free(e);
}

/* The pieces of normal text, to the model. AT_START: where the whole text begins. */
static int encode_segment(struct tokenizer_encoder *e, struct str segment, bool at_start, struct ids *ids, struct err *err)
{
    const struct tokenizer *t = e->t;

    if (segment.n == 0)
        return 0;
    switch (t->way) {
    case WAY_SCANNER:
        for (size_t begin = 0; begin < segment.n; begin = e->ends[0]) {
            size_t n = t->scanner->scan(segment.p, segment.n, begin, e->ends, BATCH);
            int r = model_encode(t->model, e->state, segment.p, begin, e->ends, n, ids, err);
            if (r < 0)
                return r;
            e->ends[0] = e->ends[n - 1];
        }
        return 0;
    case WAY_WHOLE:
        return model_encode(t->model, e->state, segment.p, 0, &(uint32_t){ (uint32_t)segment.n }, 1, ids, err);
    case WAY_BLANKS: /* encode_marked */
    case WAY_GENERIC:
        break;
    }
    int r = pretokenizer_run(t->pretokenizer, e->work, segment, at_start, &e->pieces, err);
    if (r < 0 || e->pieces.n == 0)
        return r;
    return model_encode(t->model, e->state, e->pieces.text.p, 0, e->pieces.ends, e->pieces.n, ids, err);
}

/* A gap between added tokens of the raw text. */
static int encode_gap(struct tokenizer_encoder *e, struct str gap, bool at_start, struct ids *ids, struct err *err)
{
    const struct tokenizer *t = e->t;
    struct str text;
    size_t from = 0, done = 0, start, end;
    int r = normalizer_run(t->normalizer, gap, e->normal, &text, err);

    if (r < 0)
        return r;
    if (text.n > TEXT_MAX)
        return err_set(err, ERR_LIMIT, "the text is too long: at most 4 GiB");
    if (!added_tokens_has(t->added, /* normalized= */ true))
        return encode_segment(e, text, at_start, ids, err);

    const struct added_token *token;
    while ((token = added_tokens_next(t->added, /* normalized= */ true, text, from, done, &start, &end, &from))) {
        if (start > done) {
            r = encode_segment(e, str_range(text.p + done, text.p + start), at_start && done == 0, ids, err);
            if (r < 0)
                return r;
        }
        ids_put(ids, token->id);
        done = end;
    }
    return encode_segment(e, str_skip(text, done), at_start && done == 0, ids, err);
}

static int encode_text(struct tokenizer_encoder *e, struct str text, struct ids *ids, struct err *err)
{
    const struct added_token *token;
    size_t from = 0, done = 0, start, end;

    while ((token = added_tokens_next(e->t->added, /* normalized= */ false, text, from, done, &start, &end, &from))) {
        if (start > done) {
            int r = encode_gap(e, str_range(text.p + done, text.p + start), done == 0, ids, err);
            if (r < 0)
                return r;
        }
        ids_put(ids, token->id);
        done = end;
    }
    return done < text.n ? encode_gap(e, str_skip(text, done), done == 0, ids, err) : 0;
}

/* The same at once, for a model that takes the text as it is. */
static int encode_marked(struct tokenizer_encoder *e, struct str text, struct ids *ids, struct err *err)
{
    const struct tokenizer *t = e->t;
    const struct model_ops *ops = t->model->ops;
    const struct added_token *token;
    struct model_mark marks[MARKS];
    size_t n = 0, begin = 0, from = 0, done = 0, start, end;

    while ((token = added_tokens_next(t->added, /* normalized= */ false, text, from, done, &start, &end, &from))) {
        marks[n++] = (struct model_mark){ (uint32_t)start, (uint32_t)end, token->id };
        done = end;
        if (n < MARKS)
            continue;
        int r = ops->encode_marked(t->model, e->state, text, begin, done, marks, n, ids, err);
        if (r < 0)
            return r;
        begin = done;
        n = 0;
    }
    return ops->encode_marked(t->model, e->state, text, begin, text.n, marks, n, ids, err);
}

/* The ids from BASE on are cut to what tokenizer.json allows, with room for ADDED ids of specials. */
static int truncate(const struct truncation *c, struct ids *ids, size_t base, size_t added, struct err *err)
{
    size_t n = ids->n - base;
    uint64_t max = c->max_length - added; /* no room for the specials alone: `tokenizers` wraps around here and cuts nothing */

    if (!c->on || n <= max)
        return 0;
    if (c->strategy == TRUNCATE_ONLY_SECOND)
        return err_set(err, ERR_INVALID, "truncation: the strategy OnlySecond needs a pair of texts");
    if (c->strategy == TRUNCATE_ONLY_FIRST && max == 0)
        return err_set(err, ERR_INVALID, "truncation: the text is too short to be cut to max_length");
    if (max > 0 && c->stride >= max)
        return err_set(err, ERR_INVALID, "truncation: the stride is not less than max_length");
    if (c->left && max)
        memmove(ids->v + base, ids->v + ids->n - max, max * sizeof(*ids->v));
    ids->n = base + max;
    return 0;
}

static void put_all(struct ids *ids, const uint32_t *v, size_t n)
{
    uint32_t *p = n ? ids_reserve(ids, n) : NULL;

    if (p) {
        memcpy(p, v, n * sizeof(*v));
        ids->n += n;
    }
}

int tokenizer_encode(struct tokenizer_encoder *e, struct str text, unsigned flags, struct ids *ids, struct err *err)
{
    const struct tokenizer *t = e->t;
    bool specials = flags & ENCODE_SPECIALS;
    size_t before = ids->n;

    if (text.n > TEXT_MAX)
        return err_set(err, ERR_LIMIT, "the text is too long: at most 4 GiB");
    int r = valid_text(text, &e->repaired, &text);
    if (r < 0)
        return err_set(err, r, "no memory for a text of %zu bytes", text.n);
    if (specials)
        put_all(ids, t->post.before, t->post.before_n);
    size_t base = ids->n;
    r = t->way == WAY_BLANKS ? encode_marked(e, text, ids, err) : encode_text(e, text, ids, err);
    if (r >= 0)
        r = truncate(&t->truncation, ids, base, specials ? t->post.before_n + t->post.after_n : 0, err);
    if (r >= 0 && specials)
        put_all(ids, t->post.after, t->post.after_n);
    if (r >= 0 && ids->failed)
        r = err_set(err, ERR_NOMEM, "no memory for the ids of a text of %zu bytes", text.n);
    if (r < 0)
        ids->n = before;
    return r;
}
