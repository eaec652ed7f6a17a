/* text/tokenizer/decoder_direct.c -- the ways that need no lists of texts: one token after the other into one buffer
 *
 *   KIND_BYTES   token -> bytes -> whole characters go out, at most three bytes wait in stream.pending
 *   KIND_DIRECT  token -> steps before -> is it <0xHH>? -> steps on the joined text -> out
 *                                            |
 *                                            v
 *                                      the run of bytes
 * Steps change the end of the buffer in place, from where the token's text begins.
 *
 * Runs of byte tokens. Hugging Face looks at a run when it is over: valid UTF-8 is text, else every byte of it is one U+FFFD. That is what whole texts get (the run waits in the buffer). A
 * stream gives a character out as soon as it is whole and takes what follows as a new run: it cannot take back what it said when the run turns invalid later. That is the only difference
 * between the two: E4 BD A0 FF is four U+FFFD as a whole, and the character and one U+FFFD in a stream.
 */
#include "text/tokenizer/decoder_internal.h"

#include "base/utf8.h"
#include "text/tokenizer/unicode.h"
#include "text/tokenizer/valid_text.h"
#include "text/tokenizer/vocab.h"

/* ---- bytes ---- */

/* Is S, which is no character, the beginning of one? */
static bool is_beginning(struct str s)
{
    uint8_t b = (uint8_t)s.p[0];
    size_t want = b >= 0xf0 && b <= 0xf4 ? 4 : b >= 0xe0 && b < 0xf0 ? 3 : b >= 0xc2 && b < 0xe0 ? 2 : 1, n;
    (void)unicode_read(s.p, s.n, &n);
    return n == s.n && n < want;
}

/* One more byte behind those that wait. */
static void put_pending(struct decoder_stream *st, struct buf *out, char byte)
{
    st->pending[st->pending_n] = byte;
    struct str s = { st->pending, st->pending_n + 1u };
    if (utf8_length(s)) {
        buf_put(out, s);
        st->pending_n = 0;
    } else if (is_beginning(s)) {
        st->pending_n++;
    } else {
        buf_put(out, BROKEN_CHAR);
        bool again = st->pending_n > 0; /* it broke what waited, but may be or begin a character itself */
        st->pending_n = 0;
        if (again)
            put_pending(st, out, byte);
    }
}

static void put_bytes(struct decoder_stream *st, struct buf *out, struct str s)
{
    while (s.n && st->pending_n) {
        put_pending(st, out, *s.p);
        s = str_skip(s, 1);
    }
    while (s.n) {
        size_t n = valid_prefix(s);
        buf_put(out, str_first(s, n));
        s = str_skip(s, n);
        if (!s.n)
            break;
        if (is_beginning(s)) {
            memcpy(st->pending, s.p, s.n);
            st->pending_n = (uint8_t)s.n;
            break;
        }
        (void)unicode_read(s.p, s.n, &n);
        buf_put(out, BROKEN_CHAR);
        s = str_skip(s, n);
    }
}

/* ByteLevel reads every token's text as its alphabet where that is possible, added tokens too. ASCII alone means itself either way. */
static void put_byte_level(struct decoder_stream *st, const struct decoder_token *t, struct buf *out, struct buf *work)
{
    size_t i = 0;
    while (i < t->text.n && (uint8_t)t->text.p[i] < 0x80)
        i++;
    if (i == t->text.n) {
        put_bytes(st, out, t->text);
        return;
    }
    buf_clear(work);
    char *to = buf_reserve(work, t->text.n);
    if (!to) {
        out->failed = true;
        return;
    }
    size_t n = byte_level_undo(t->text, to);
    put_bytes(st, out, n == SIZE_MAX ? t->text : (struct str){ to, n });
}

/* ---- steps in place: all on out[from, end) ---- */

static void replace_longer(struct buf *out, size_t from, struct str what, struct str with, struct buf *work)
{
    buf_clear(work);
    struct str s = { out->p + from, out->n - from };
    for (const char *hit; (hit = memmem(s.p, s.n, what.p, what.n)); s = str_range(hit + what.n, s.p + s.n)) {
        buf_put(work, str_range(s.p, hit));
        buf_put(work, with);
    }
    buf_put(work, s);
    out->n = from;
    buf_put(out, buf_str(work));
    out->failed |= work->failed;
}

static void replace(struct buf *out, size_t from, struct str what, struct str with, struct buf *work)
{
    if (out->n - from < what.n)
        return;
    char *end = out->p + out->n, *hit = memmem(out->p + from, out->n - from, what.p, what.n), *to = hit;
    if (!hit)
        return;
    if (with.n > what.n) {
        replace_longer(out, from, what, with, work);
        return;
    }
    while (hit) {
        if (with.n)
            memcpy(to, with.p, with.n);
        to += with.n;
        char *rest = hit + what.n;
        hit = memmem(rest, (size_t)(end - rest), what.p, what.n);
        size_t n = (size_t)((hit ? hit : end) - rest);
        memmove(to, rest, n);
        to += n;
    }
    out->n = (size_t)(to - out->p);
}

static void erase(struct buf *out, size_t at, size_t n)
{
    if (!n)
        return;
    memmove(out->p + at, out->p + at + n, out->n - at - n);
    out->n -= n;
}

static void insert_space(struct buf *out, size_t at)
{
    if (!buf_reserve(out, 1))
        return;
    memmove(out->p + at + 1, out->p + at, out->n - at);
    out->p[at] = ' ';
    out->n++;
}

/* Most words have nothing to clean: a space before one of a few characters must be there. */
static bool may_need_cleaning(struct str s)
{
    for (size_t i = 0; i + 1 < s.n; i++)
        if (s.p[i] == ' ' && memchr(".?!,'nd", s.p[i + 1], 7))
            return true;
    return false;
}

static void word_piece(const struct step *step, struct buf *out, size_t from, bool first, struct buf *work)
{
    if (!first) {
        if (str_has_prefix((struct str){ out->p + from, out->n - from }, step->from))
            erase(out, from, step->from.n);
        else
            insert_space(out, from);
    }
    if (!step->flag || !may_need_cleaning((struct str){ out->p + from, out->n - from }))
        return;
    for (size_t i = 0; i < CLEANUPS; i++)
        replace(out, from, decoder_cleanups[i].from, decoder_cleanups[i].to, work);
}

static size_t count_leading(struct buf *out, size_t from, struct str c, size_t max)
{
    struct str s = { out->p + from, out->n - from };
    size_t n = 0;
    for (; n < max && str_has_prefix(s, c); n++)
        s = str_skip(s, c.n);
    return n;
}

static void strip(const struct step *step, struct buf *out, size_t from)
{
    erase(out, from, count_leading(out, from, step->from, step->start) * step->from.n);
    for (size_t i = 0; i < step->stop && str_has_suffix((struct str){ out->p + from, out->n - from }, step->from); i++)
        out->n -= step->from.n;
}

/* The front of the joined text, which may come in pieces. */
static void strip_gradually(const struct step *step, struct decoder_stream *st, struct buf *out, size_t from)
{
    if (st->text_begun || out->n == from)
        return;
    size_t n = count_leading(out, from, step->from, step->start - st->stripped);
    erase(out, from, n * step->from.n);
    st->stripped += n;
    st->text_begun = out->n > from || st->stripped == step->start;
}

static void steps_before(const struct decoder *d, struct buf *out, size_t from, bool first, struct buf *work)
{
    for (size_t i = 0; i < d->before_n && !out->failed; i++) {
        const struct step *step = &d->steps[i];
        if (step->type == STEP_JOINED) {
            if (!first)
                insert_space(out, from);
        } else if (step->type == STEP_METASPACE) {
            replace(out, from, step->from, step->flag && first ? STR_NONE : STR(" "), work);
        } else if (step->type == STEP_REPLACE) {
            replace(out, from, step->from, step->to, work);
        } else if (step->type == STEP_WORD_PIECE) {
            word_piece(step, out, from, first, work);
        } else {
            strip(step, out, from);
        }
    }
}

static void steps_joined(const struct decoder *d, struct decoder_stream *st, struct buf *out, size_t from, struct buf *work)
{
    for (size_t i = d->joined_at; i < d->steps_n && !out->failed; i++) {
        const struct step *step = &d->steps[i];
        if (step->type == STEP_REPLACE)
            replace(out, from, step->from, step->to, work);
        else if (step->type == STEP_STRIP)
            strip_gradually(step, st, out, from);
    }
}

/* ---- runs of byte tokens ---- */

/* out[from, to) becomes N times U+FFFD. */
static void put_broken(struct buf *out, size_t from, size_t to, size_t n)
{
    size_t bytes = n * BROKEN_CHAR.n; /* at least to - from */
    if (!buf_reserve(out, bytes))
        return;
    memmove(out->p + from + bytes, out->p + to, out->n - to);
    for (size_t i = 0; i < n; i++)
        memcpy(out->p + from + i * BROKEN_CHAR.n, BROKEN_CHAR.p, BROKEN_CHAR.n);
    out->n += bytes - (to - from);
}

static void put_run_byte(const struct decoder *d, struct decoder_stream *st, struct buf *out, char byte, struct buf *work)
{
    size_t from = out->n;
    if (st->whole) {
        if (!st->in_run)
            st->run_at = from;
        st->in_run = true;
        buf_put_char(out, byte);
        return;
    }
    st->pending[st->pending_n++] = byte;
    struct str s = { st->pending, st->pending_n };
    if (!st->broken && utf8_length(s)) {
        buf_put(out, s);
    } else if (!st->broken && is_beginning(s)) {
        return;
    } else {
        st->broken = true;
        put_broken(out, from, from, s.n);
    }
    st->pending_n = 0;
    steps_joined(d, st, out, from, work);
}

/* A run is over; behind it out[end, ...) is already there. Returns where the text begins that the joined steps have not seen. */
static size_t end_run(struct decoder_stream *st, struct buf *out, size_t end)
{
    size_t from = end;
    if (st->in_run) {
        from = st->run_at;
        if (!out->failed && !utf8_valid((struct str){ out->p + from, end - from }))
            put_broken(out, from, end, end - from);
    } else if (st->pending_n) {
        put_broken(out, end, end, st->pending_n);
    }
    st->in_run = st->broken = false;
    st->pending_n = 0;
    return from;
}

/* ---- tokens ---- */

static void put_text(const struct decoder *d, const struct decoder_source *source, struct decoder_stream *st,
                     const struct decoder_token *t, struct buf *out, struct buf *work)
{
    size_t from = out->n;
    char byte;
    if (source->byte_level && !t->added && !t->literal)
        decoder_put_spelled(out, t->text);
    else
        buf_put(out, t->text);
    steps_before(d, out, from, !st->any, work);
    if (out->failed)
        return;
    if (d->fallback && decoder_is_byte_token((struct str){ out->p + from, out->n - from }, &byte)) {
        out->n = from;
        put_run_byte(d, st, out, byte, work);
        return;
    }
    if (st->in_run || st->broken || st->pending_n)
        from = end_run(st, out, from);
    steps_joined(d, st, out, from, work);
}

void decoder_stream_put(const struct decoder *d, const struct decoder_source *source, struct decoder_stream *st,
                        const struct decoder_token *t, struct buf *out, struct buf *work)
{
    if (d->kind == KIND_DIRECT)
        put_text(d, source, st, t, out, work);
    else if (d->steps[0].type == STEP_BYTES || (source->byte_level && !t->added))
        put_bytes(st, out, t->text);
    else
        put_byte_level(st, t, out, work);
    st->any = true;
}

void decoder_stream_end(const struct decoder *d, struct decoder_stream *st, struct buf *out, struct buf *work)
{
    if (d->kind == KIND_DIRECT) {
        size_t from = end_run(st, out, out->n);
        if (!out->failed)
            steps_joined(d, st, out, from, work);
    } else if (st->pending_n) {
        buf_put(out, BROKEN_CHAR);
        st->pending_n = 0;
    }
}

int decoder_decode_direct(const struct decoder *d, const struct decoder_source *s, const uint32_t *ids, size_t n,
                          bool skip_specials, struct buf *out, struct err *err)
{
    struct decoder_stream st = { .whole = true };
    struct buf work = { 0 }; /* most chains never need it */
    int rc = 0;
    for (size_t i = 0; i < n && !out->failed; i++) {
        struct decoder_token t;
        if (!s->token(s->owner, ids[i], &t)) {
            if (s->strict) {
                rc = err_set(err, ERR_INVALID, "token id %u is not in the vocabulary", ids[i]);
                break;
            }
        } else if (!skip_specials || !t.special) {
            decoder_stream_put(d, s, &st, &t, out, &work);
        }
    }
    if (!rc)
        decoder_stream_end(d, &st, out, &work);
    buf_fini(&work);
    return !rc && out->failed ? err_set(err, ERR_NOMEM, "out of memory") : rc;
}
