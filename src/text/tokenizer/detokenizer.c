/* text/tokenizer/detokenizer.c
 *
 * The direct way: the token's text goes behind `held`; what is not U+FFFD at the end goes out.
 * The other way (spec 7): the window's text is decoded with and without the new token; what came behind the old text goes out, unless it ends in U+FFFD.
 */
#include "text/tokenizer/detokenizer.h"

#include <string.h>

static const struct str BROKEN = STR_INIT("\xEF\xBF\xBD");

void detokenizer_init(struct detokenizer *d, const struct tokenizer *t, bool skip_specials)
{
    *d = (struct detokenizer){ .t = t, .skip_specials = skip_specials };
}

void detokenizer_fini(struct detokenizer *d)
{
    buf_fini(&d->held);
    buf_fini(&d->work);
    buf_fini(&d->old);
    buf_fini(&d->fresh);
    ids_fini(&d->window);
}

void detokenizer_reset(struct detokenizer *d)
{
    buf_clear(&d->held);
    buf_clear(&d->old);
    ids_clear(&d->window);
    d->old_n = 0;
    d->stream = (struct decoder_stream){ 0 };
}

static int outcome(const struct detokenizer *d, const struct buf *out)
{
    return out->failed || d->held.failed || d->work.failed || d->old.failed || d->fresh.failed || d->window.failed ? ERR_NOMEM : 0;
}

/* Bytes of S in front of the U+FFFD at its end. */
static size_t sound(struct str s)
{
    while (str_has_suffix(s, BROKEN))
        s.n -= BROKEN.n;
    return s.n;
}

/* What was appended to OUT behind FROM, and what is held in front of it: gives out what may go. */
static void give_out(struct detokenizer *d, struct buf *out, size_t from)
{
    if (out->failed || out->n == from)
        return;
    size_t n = sound((struct str){ out->p + from, out->n - from });
    if (n && d->held.n) { /* other text came: what is held goes out in front of it */
        struct str held = buf_str(&d->held);
        if (!buf_reserve(out, held.n))
            return;
        memmove(out->p + from + held.n, out->p + from, out->n - from);
        memcpy(out->p + from, held.p, held.n);
        out->n += held.n;
        from += held.n;
        buf_clear(&d->held);
    }
    if (d->held.n > DETOKENIZER_HELD_MAX)
        return;
    buf_put(&d->held, (struct str){ out->p + from + n, out->n - from - n });
    out->n = from + n;
}

/* The text of the window into d->fresh. An id that is not known is no reason to end a stream. */
static void decode_window(struct detokenizer *d, size_t n)
{
    struct decoder_source lenient = *tokenizer_decoder_source(d->t);
    lenient.strict = false;
    buf_clear(&d->fresh);
    if (decoder_decode(tokenizer_decoder(d->t), &lenient, d->window.v, n, d->skip_specials, &d->fresh, NULL) == ERR_NOMEM)
        d->fresh.failed = true;
}

static void put_window(struct detokenizer *d, uint32_t id, struct buf *out)
{
    ids_put(&d->window, id);
    if (d->window.failed)
        return;
    decode_window(d, d->window.n);
    struct str fresh = buf_str(&d->fresh);
    bool full = d->window.n >= DETOKENIZER_WINDOW_MAX;
    if (!full && (fresh.n <= d->old.n || str_has_suffix(fresh, BROKEN)))
        return;
    if (fresh.n > d->old.n)
        buf_put(out, str_skip(fresh, d->old.n));
    if (full) /* the one token that is kept is the context of the next */
        d->old_n = d->window.n - 1;
    /* The tokens before the new ones leave; what is left becomes the old text. */
    size_t left = d->window.n - d->old_n;
    memmove(d->window.v, d->window.v + d->old_n, left * sizeof(*d->window.v));
    d->window.n = d->old_n = left;
    decode_window(d, left);
    buf_clear(&d->old);
    buf_put(&d->old, buf_str(&d->fresh));
}

int detokenizer_put(struct detokenizer *d, uint32_t id, struct buf *out)
{
    const struct decoder *decoder = tokenizer_decoder(d->t);
    const struct decoder_source *source = tokenizer_decoder_source(d->t);
    struct decoder_token token;
    size_t from = out->n;

    if (!source->token(source->owner, id, &token) || (d->skip_specials && token.special))
        return outcome(d, out);
    if (decoder_is_direct(decoder)) {
        decoder_stream_put(decoder, source, &d->stream, &token, out, &d->work);
        give_out(d, out, from);
    } else
        put_window(d, id, out);
    return outcome(d, out);
}

int detokenizer_flush(struct detokenizer *d, struct buf *out)
{
    const struct decoder *decoder = tokenizer_decoder(d->t);
    if (decoder_is_direct(decoder)) {
        size_t from = out->n;
        decoder_stream_end(decoder, &d->stream, out, &d->work);
        give_out(d, out, from);
        buf_put(out, buf_str(&d->held));
    } else if (d->window.n) {
        decode_window(d, d->window.n);
        if (d->fresh.n > d->old.n)
            buf_put(out, str_skip(buf_str(&d->fresh), d->old.n));
    }
    int r = outcome(d, out);
    detokenizer_reset(d);
    return r;
}
