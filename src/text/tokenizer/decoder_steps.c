/* text/tokenizer/decoder_steps.c -- decoding whole texts with any chain of decoders
 *
 *   ids --source--> list of tokens --step--> list --step--> ... --> the list's texts, one behind the other
 *
 * A list is one buffer and the place where each text ends. A step reads one list and writes another; two lists take turns. Byte-level vocabularies hold raw bytes; tiktoken's decoder
 * takes them as they are, any other gets them spelled in the byte-level alphabet, as the file has them.
 */
#include "text/tokenizer/decoder_internal.h"

#include <stdlib.h>

#include "base/utf8.h"
#include "text/tokenizer/valid_text.h"
#include "text/tokenizer/vocab.h"

struct texts {
    struct buf bytes;
    size_t *ends; /* owned; into bytes */
    size_t n, cap;
};

/* ---- lists of texts ---- */

static void texts_fini(struct texts *t)
{
    buf_fini(&t->bytes);
    free(t->ends);
}

static void end_text(struct texts *t)
{
    if (t->n == t->cap) {
        size_t cap = t->cap ? t->cap * 2 : 256;
        size_t *ends = reallocarray(t->ends, cap, sizeof(*ends));
        if (!ends) {
            t->bytes.failed = true;
            return;
        }
        t->ends = ends;
        t->cap = cap;
    }
    t->ends[t->n++] = t->bytes.n;
}

static struct str text_at(const struct texts *t, size_t i)
{
    size_t from = i ? t->ends[i - 1] : 0;
    return (struct str){ t->bytes.p ? t->bytes.p + from : NULL, t->ends[i] - from };
}

static void put_replaced(struct buf *out, struct str s, struct str from, struct str to)
{
    while (s.n >= from.n) {
        const char *hit = memmem(s.p, s.n, from.p, from.n);
        if (!hit)
            break;
        buf_put(out, str_range(s.p, hit));
        buf_put(out, to);
        s = str_range(hit + from.n, s.p + s.n);
    }
    buf_put(out, s);
}

/* ---- bytes ---- */

static void put_lossy(struct buf *out, struct str s)
{
    struct buf work = { 0 };
    if (valid_text(s, &work, &s) < 0)
        out->failed = true;
    else
        buf_put(out, s);
    buf_fini(&work);
}

void decoder_put_spelled(struct buf *out, struct str bytes)
{
    for (size_t i = 0; i < bytes.n; i++) {
        uint32_t c = byte_level_char((uint8_t)bytes.p[i]); /* below U+0800 */
        if (c >= 0x80)
            buf_put_char(out, (char)(0xc0 | c >> 6));
        buf_put_char(out, (char)(c >= 0x80 ? 0x80 | (c & 0x3f) : c));
    }
}

/* ---- steps ---- */

static void byte_level(struct texts *out, const struct texts *in)
{
    struct buf bytes = { 0 };
    for (size_t i = 0; i < in->n; i++) {
        struct str s = text_at(in, i);
        char *to = buf_reserve(&bytes, s.n);
        size_t n = to ? byte_level_undo(s, to) : 0;
        if (n == SIZE_MAX)
            buf_put(&bytes, s);
        else
            bytes.n += n;
    }
    put_lossy(&out->bytes, buf_str(&bytes));
    out->bytes.failed |= bytes.failed;
    buf_fini(&bytes);
    end_text(out);
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* <0xHH>; a plus sign may stand for the first digit, as Rust's reader of numbers has it. */
bool decoder_is_byte_token(struct str s, char *ret)
{
    if (s.n != 6 || !str_has_prefix(s, STR("<0x")) || s.p[5] != '>')
        return false;
    int high = s.p[3] == '+' ? 0 : hex_digit(s.p[3]), low = hex_digit(s.p[4]);
    *ret = (char)(high * 16 + low);
    return high >= 0 && low >= 0;
}

static void end_run(struct texts *out, struct buf *run)
{
    if (!run->n)
        return;
    if (utf8_valid(buf_str(run))) {
        buf_put(&out->bytes, buf_str(run));
        end_text(out);
    } else {
        for (size_t i = 0; i < run->n; i++) {
            buf_puts(&out->bytes, "\xef\xbf\xbd");
            end_text(out);
        }
    }
    run->n = 0;
}

static void byte_fallback(struct texts *out, const struct texts *in)
{
    struct buf run = { 0 };
    for (size_t i = 0; i < in->n; i++) {
        char byte = 0;
        if (decoder_is_byte_token(text_at(in, i), &byte)) {
            buf_put_char(&run, byte);
            continue;
        }
        end_run(out, &run);
        buf_put(&out->bytes, text_at(in, i));
        end_text(out);
    }
    end_run(out, &run);
    out->bytes.failed |= run.failed;
    buf_fini(&run);
}

static void strip(struct buf *out, const struct step *step, struct str s)
{
    for (size_t i = 0; i < step->start && str_has_prefix(s, step->from); i++)
        s = str_skip(s, step->from.n);
    for (size_t i = 0; i < step->stop && str_has_suffix(s, step->from); i++)
        s.n -= step->from.n;
    buf_put(out, s);
}

const struct cleanup decoder_cleanups[CLEANUPS] = {
    { STR_INIT(" ."), STR_INIT(".") },     { STR_INIT(" ?"), STR_INIT("?") },           { STR_INIT(" !"), STR_INIT("!") },
    { STR_INIT(" ,"), STR_INIT(",") },     { STR_INIT(" ' "), STR_INIT("'") },          { STR_INIT(" n't"), STR_INIT("n't") },
    { STR_INIT(" 'm"), STR_INIT("'m") },   { STR_INIT(" do not"), STR_INIT(" don't") }, { STR_INIT(" 's"), STR_INIT("'s") },
    { STR_INIT(" 've"), STR_INIT("'ve") }, { STR_INIT(" 're"), STR_INIT("'re") },
};

/* Cleans what stands in OUT from FROM on. */
static void clean_up(struct buf *out, size_t from)
{
    struct buf other = { 0 };
    for (size_t i = 0; i < CLEANUPS && !out->failed; i++) {
        struct str s = { out->p + from, out->n - from };
        if (!s.n || !memmem(s.p, s.n, decoder_cleanups[i].from.p, decoder_cleanups[i].from.n))
            continue;
        buf_clear(&other);
        put_replaced(&other, s, decoder_cleanups[i].from, decoder_cleanups[i].to);
        out->n = from;
        buf_put(out, buf_str(&other));
        out->failed |= other.failed;
    }
    buf_fini(&other);
}

static void word_piece(struct buf *out, const struct step *step, struct str s, bool first)
{
    size_t from = out->n;
    if (!first && str_has_prefix(s, step->from))
        s = str_skip(s, step->from.n);
    else if (!first)
        buf_put_char(out, ' ');
    buf_put(out, s);
    if (step->flag)
        clean_up(out, from);
}

static void ctc(struct texts *out, const struct step *step, const struct texts *in)
{
    struct buf text = { 0 };
    for (size_t i = 0; i < in->n; i++) {
        if (i && str_eq(text_at(in, i - 1), text_at(in, i)))
            continue;
        size_t from = out->bytes.n;
        buf_clear(&text);
        put_replaced(&text, text_at(in, i), step->from, STR_NONE);
        if (step->flag) {
            clean_up(&text, 0);
            put_replaced(&out->bytes, buf_str(&text), step->to, STR(" "));
        } else {
            buf_put(&out->bytes, buf_str(&text));
        }
        out->bytes.failed |= text.failed;
        if (out->bytes.n > from)
            end_text(out);
    }
    buf_fini(&text);
}

/* Steps that turn one text into one. */
static void one_by_one(struct texts *out, const struct step *step, const struct texts *in)
{
    for (size_t i = 0; i < in->n; i++) {
        struct str s = text_at(in, i);
        switch (step->type) {
        case STEP_JOINED:
            buf_put(&out->bytes, i ? STR(" ") : STR_NONE);
            buf_put(&out->bytes, s);
            break;
        case STEP_METASPACE:
            put_replaced(&out->bytes, s, step->from, step->flag && !i ? STR_NONE : STR(" "));
            break;
        case STEP_REPLACE:
            put_replaced(&out->bytes, s, step->from, step->to);
            break;
        case STEP_STRIP:
            strip(&out->bytes, step, s);
            break;
        case STEP_WORD_PIECE:
            word_piece(&out->bytes, step, s, !i);
            break;
        case STEP_BPE:
            put_replaced(&out->bytes, s, step->from, i + 1 == in->n ? STR_NONE : STR(" "));
            break;
        default:
            break;
        }
        end_text(out);
    }
}

/* ERR_LIMIT: the regex gave up; ERR_NOMEM. */
static int replace_matches(struct texts *out, const struct step *step, const struct texts *in, struct regex_work *work,
                           struct err *err)
{
    for (size_t i = 0; i < in->n; i++) {
        struct str s = text_at(in, i);
        struct regex_scan scan = regex_scan(step->regex, work, s);
        size_t start, end, done = 0;
        int rc;
        while ((rc = regex_next(&scan, &start, &end, err)) > 0) {
            buf_put(&out->bytes, str_range(s.p + done, s.p + start));
            buf_put(&out->bytes, step->to);
            done = end;
        }
        if (rc < 0)
            return rc;
        buf_put(&out->bytes, str_skip(s, done));
        end_text(out);
    }
    return 0;
}

static int run_step(struct texts *out, const struct step *step, const struct texts *in, struct regex_work *work, struct err *err)
{
    switch (step->type) {
    case STEP_BYTE_LEVEL:
        byte_level(out, in);
        break;
    case STEP_BYTE_FALLBACK:
        byte_fallback(out, in);
        break;
    case STEP_FUSE:
        buf_put(&out->bytes, buf_str(&in->bytes));
        end_text(out);
        break;
    case STEP_BYTES:
        put_lossy(&out->bytes, buf_str(&in->bytes));
        end_text(out);
        break;
    case STEP_CTC:
        ctc(out, step, in);
        break;
    case STEP_REPLACE:
        if (step->regex)
            return replace_matches(out, step, in, work, err);
        one_by_one(out, step, in);
        break;
    default:
        one_by_one(out, step, in);
    }
    return 0;
}

/* ---- decoding ---- */

/* Is the text of a byte-level vocabulary wanted as bytes? Else as the file spells it. */
static bool takes_bytes(const struct decoder *d)
{
    return d->steps_n && d->steps[0].type == STEP_BYTES;
}

static int gather(const struct decoder *d, const struct decoder_source *source, const uint32_t *ids, size_t n, bool skip_specials,
                  struct texts *ret, struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        struct decoder_token t;
        if (!source->token(source->owner, ids[i], &t)) {
            if (source->strict)
                return err_set(err, ERR_INVALID, "token id %u is not in the vocabulary", ids[i]);
            continue;
        }
        if (skip_specials && t.special)
            continue;
        if (source->byte_level && !t.added && !t.literal && !takes_bytes(d))
            decoder_put_spelled(&ret->bytes, t.text);
        else
            buf_put(&ret->bytes, t.text);
        end_text(ret);
    }
    return 0;
}

static int decode_steps(const struct decoder *d, struct texts lists[2], struct regex_work *work, struct buf *out, struct err *err)
{
    struct texts *in = &lists[0], *other = &lists[1];
    for (size_t i = 0; i < d->steps_n && !in->bytes.failed; i++) {
        buf_clear(&other->bytes);
        other->n = 0;
        int rc = run_step(other, &d->steps[i], in, work, err);
        if (rc)
            return rc;
        struct texts *swap = in;
        in = other;
        other = swap;
    }
    for (size_t i = 0; i < in->n && !in->bytes.failed; i++)
        buf_put(out, text_at(in, i));
    return in->bytes.failed || out->failed ? err_set(err, ERR_NOMEM, "out of memory") : 0;
}

int decoder_decode_steps(const struct decoder *d, const struct decoder_source *s, const uint32_t *ids, size_t n, bool skip_specials,
                         struct buf *out, struct err *err)
{
    struct texts lists[2] = { 0 };
    struct regex_work *work = NULL;
    int rc = gather(d, s, ids, n, skip_specials, &lists[0], err);
    if (!rc && d->has_regex) {
        rc = regex_work_new(&work);
        if (rc)
            err_set(err, rc, "out of memory");
        else
            regex_work_begin(work, lists[0].bytes.n);
    }
    if (!rc)
        rc = decode_steps(d, lists, work, out, err);
    regex_work_free(work);
    texts_fini(&lists[0]);
    texts_fini(&lists[1]);
    return rc;
}
