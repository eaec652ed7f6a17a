/* text/tokenizer/decoder.c -- reading a decoder, and decoding whole texts with it
 *
 *   ids --source--> list of tokens --step--> list --step--> ... --> the list's texts, one behind the other
 *
 * A list is one buffer and the place where each text ends. A step reads one list and writes another; two lists take turns. Steps are those of tokenizer.json, in its order, nested
 * sequences laid flat. Byte-level vocabularies hold raw bytes; a decoder that is ByteLevel and nothing else takes them as they are, any other gets them spelled in the byte-level
 * alphabet, as the file has them.
 */
#include "text/tokenizer/decoder.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/utf8.h"

#define STEPS_MAX 64
#define DEPTH_MAX 16

enum step_type {
    STEP_BYTE_LEVEL,
    STEP_BYTE_FALLBACK,
    STEP_METASPACE,
    STEP_REPLACE,
    STEP_FUSE,
    STEP_STRIP,
    STEP_WORD_PIECE,
    STEP_BPE,
    STEP_CTC,
    STEP_BYTES, /* tiktoken: the texts are bytes */
};

struct step {
    enum step_type type;
    bool flag;          /* metaspace: the first token loses its replacements; word piece, CTC: clean up */
    struct str from;    /* arena; what is looked for: replacement, pattern, prefix, suffix, content, pad token */
    struct str to;      /* arena; content; CTC: the word delimiter */
    size_t start, stop; /* strip */
};

struct decoder {
    struct arena arena; /* owned: the texts of the steps */
    size_t steps_n;
    bool joined; /* no decoder: tokens with one space between */
    struct step steps[STEPS_MAX];
};

struct texts {
    struct buf bytes;
    size_t *ends; /* owned; into bytes */
    size_t n, cap;
};

void decoder_free(struct decoder *d)
{
    if (!d)
        return;
    arena_fini(&d->arena);
    free(d);
}

/* ---- reading ---- */

static struct step *new_step(struct decoder *d, enum step_type type)
{
    struct step *s = &d->steps[d->steps_n++];
    *s = (struct step){ .type = type };
    return s;
}

/* A string member; FALLBACK (p not NULL) when it is absent. */
static int read_string(struct decoder *d, struct json v, const char *name, const char *fallback, struct str *ret, struct err *err)
{
    struct json m = json_get(v, str_of(name));
    if (json_is_null(m) && fallback) {
        *ret = str_of(fallback);
        return 0;
    }
    if (!json_is(m, JSON_STRING))
        return err_set(err, ERR_INVALID, "decoder: `%s` must be a string", name);
    struct str s = json_str(m, &d->arena);
    *ret = s.p ? arena_str(&d->arena, s) : STR_NONE;
    return ret->p ? 0 : ERR_NOMEM;
}

static int read_char(struct decoder *d, struct json v, const char *name, const char *fallback, struct str *ret, struct err *err)
{
    int rc = read_string(d, v, name, fallback, ret, err);
    if (!rc && (!ret->n || utf8_length(*ret) != ret->n))
        return err_set(err, ERR_INVALID, "decoder: `%s` must be one character, not \"%.*s\"", name, STR_FMT(*ret));
    return rc;
}

static int read_bool(struct json v, const char *name, bool fallback, bool *ret, struct err *err)
{
    struct json m = json_get(v, str_of(name));
    if (!json_is_null(m) && !json_is_bool(m))
        return err_set(err, ERR_INVALID, "decoder: `%s` must be true or false", name);
    *ret = json_is_null(m) ? fallback : json_is(m, JSON_TRUE);
    return 0;
}

static int read_count(struct json v, const char *name, size_t *ret, struct err *err)
{
    uint64_t n = 0;
    struct json m = json_get(v, str_of(name));
    if (!json_exists(m) || json_to_u64(m, &n) || n > UINT32_MAX)
        return err_set(err, ERR_INVALID, "decoder: `%s` must be a count", name);
    *ret = (size_t)n;
    return 0;
}

static int read_metaspace(struct decoder *d, struct json v, struct err *err)
{
    struct step *s = new_step(d, STEP_METASPACE);
    struct json scheme = json_get(v, STR("prepend_scheme"));
    bool prefixed = true;
    int rc = read_char(d, v, "replacement", NULL, &s->from, err);
    if (!rc)
        rc = read_bool(v, "add_prefix_space", true, &prefixed, err);
    if (rc)
        return rc;
    if (json_is_null(scheme))
        s->flag = prefixed;
    else if (json_str_eq(scheme, STR("never")))
        s->flag = false;
    else if (!json_str_eq(scheme, STR("first")) && !json_str_eq(scheme, STR("always")))
        return err_set(err, ERR_INVALID, "decoder Metaspace: `prepend_scheme` must be always, first or never");
    else if (!prefixed)
        return err_set(err, ERR_INVALID, "decoder Metaspace: add_prefix_space does not match declared prepend_scheme");
    else
        s->flag = true;
    return 0;
}

static int read_replace(struct decoder *d, struct json v, struct err *err)
{
    struct step *s = new_step(d, STEP_REPLACE);
    struct json pattern = json_get(v, STR("pattern"));
    if (json_exists(json_get(pattern, STR("Regex"))))
        return err_set(err, ERR_UNSUPPORTED, "decoder Replace: the pattern must be a String, a Regex is not supported");
    int rc = read_string(d, pattern, "String", NULL, &s->from, err);
    if (!rc && !s->from.n)
        return err_set(err, ERR_INVALID, "decoder Replace: the pattern must not be empty");
    return rc ? rc : read_string(d, v, "content", NULL, &s->to, err);
}

static int read_strip(struct decoder *d, struct json v, struct err *err)
{
    struct step *s = new_step(d, STEP_STRIP);
    int rc = read_char(d, v, "content", NULL, &s->from, err);
    if (!rc)
        rc = read_count(v, "start", &s->start, err);
    return rc ? rc : read_count(v, "stop", &s->stop, err);
}

static int read_word_piece(struct decoder *d, struct json v, struct err *err)
{
    struct step *s = new_step(d, STEP_WORD_PIECE);
    int rc = read_string(d, v, "prefix", "##", &s->from, err);
    return rc ? rc : read_bool(v, "cleanup", true, &s->flag, err);
}

static int read_bpe(struct decoder *d, struct json v, struct err *err)
{
    struct step *s = new_step(d, STEP_BPE);
    int rc = read_string(d, v, "suffix", "</w>", &s->from, err);
    if (!rc && !s->from.n)
        return err_set(err, ERR_INVALID, "decoder BPEDecoder: `suffix` must not be empty");
    return rc;
}

static int read_ctc(struct decoder *d, struct json v, struct err *err)
{
    struct step *s = new_step(d, STEP_CTC);
    int rc = read_string(d, v, "pad_token", "<pad>", &s->from, err);
    if (!rc)
        rc = read_string(d, v, "word_delimiter_token", "|", &s->to, err);
    if (!rc && (!s->from.n || !s->to.n))
        return err_set(err, ERR_INVALID, "decoder CTC: `pad_token` and `word_delimiter_token` must not be empty");
    return rc ? rc : read_bool(v, "cleanup", true, &s->flag, err);
}

static int read_step(struct decoder *d, struct json v, unsigned depth, struct err *err)
{
    struct json type = json_get(v, STR("type"));
    if (d->steps_n == STEPS_MAX || depth > DEPTH_MAX)
        return err_set(err, ERR_LIMIT, "decoder: at most %d steps, nested at most %d deep, are supported", STEPS_MAX, DEPTH_MAX);
    if (json_str_eq(type, STR("Sequence"))) {
        struct json list = json_get(v, STR("decoders"));
        if (!json_is(list, JSON_ARRAY))
            return err_set(err, ERR_INVALID, "decoder Sequence: `decoders` must be an array");
        int rc = 0;
        struct json_iter it = json_iter(list);
        while (!rc && json_next(&it))
            rc = read_step(d, it.value, depth + 1, err);
        return rc;
    }
    if (json_str_eq(type, STR("ByteLevel")))
        return new_step(d, STEP_BYTE_LEVEL), 0;
    if (json_str_eq(type, STR("ByteFallback")))
        return new_step(d, STEP_BYTE_FALLBACK), 0;
    if (json_str_eq(type, STR("Fuse")))
        return new_step(d, STEP_FUSE), 0;
    if (json_str_eq(type, STR("Metaspace")))
        return read_metaspace(d, v, err);
    if (json_str_eq(type, STR("Replace")))
        return read_replace(d, v, err);
    if (json_str_eq(type, STR("Strip")))
        return read_strip(d, v, err);
    if (json_str_eq(type, STR("WordPiece")))
        return read_word_piece(d, v, err);
    if (json_str_eq(type, STR("BPEDecoder")))
        return read_bpe(d, v, err);
    if (json_str_eq(type, STR("CTC")))
        return read_ctc(d, v, err);
    struct str name = json_raw_str(type);
    return err_set(err, ERR_INVALID, "decoder: unknown type \"%.*s\"", (int)(name.n < 64 ? name.n : 64), name.p ? name.p : "");
}

int decoder_parse(struct json v, bool byte_level, struct decoder **ret, struct err *err)
{
    (void)byte_level; /* what the texts are is known when they are asked for: decoder_source.byte_level */
    struct decoder *d = calloc(1, sizeof(*d));
    if (!d)
        return err_set(err, ERR_NOMEM, "out of memory");
    arena_init(&d->arena, NULL, 0);
    d->joined = json_is_null(v);
    int rc = d->joined ? 0 : read_step(d, v, 0, err);
    if (rc) {
        decoder_free(d);
        return rc == ERR_NOMEM ? err_set(err, rc, "out of memory") : rc;
    }
    *ret = d;
    return 0;
}

int decoder_new_bytes(struct decoder **ret)
{
    struct decoder *d = calloc(1, sizeof(*d));
    if (!d)
        return ERR_NOMEM;
    arena_init(&d->arena, NULL, 0);
    new_step(d, STEP_BYTES);
    *ret = d;
    return 0;
}

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

/* Unlike the well-formed length: how many bytes of a broken character one U+FFFD stands for (the longest beginning of a character, at least one byte). */
static size_t broken_length(struct str s)
{
    uint8_t b = (uint8_t)s.p[0];
    size_t want = b >= 0xf0 && b <= 0xf4 ? 4 : b >= 0xe0 && b < 0xf0 ? 3 : b >= 0xc2 && b < 0xe0 ? 2 : 1;
    uint8_t low = b == 0xe0 ? 0xa0 : b == 0xf0 ? 0x90 : 0x80, high = b == 0xed ? 0x9f : b == 0xf4 ? 0x8f : 0xbf;
    size_t n = 1;
    for (; n < want && n < s.n; n++) {
        uint8_t c = (uint8_t)s.p[n];
        if (c < low || c > high)
            break;
        low = 0x80;
        high = 0xbf;
    }
    return n;
}

static void put_lossy(struct buf *out, struct str s)
{
    const char *good = s.p;
    while (s.n) {
        size_t n = utf8_length(s);
        if (!n) {
            buf_put(out, str_range(good, s.p));
            buf_puts(out, "\xef\xbf\xbd");
            n = broken_length(s);
            good = s.p + n;
        }
        s = str_skip(s, n);
    }
    buf_put(out, str_range(good, s.p));
}

static bool shown_as_itself(uint32_t c)
{
    return (c >= '!' && c <= '~') || (c >= 0xa1 && c <= 0xac) || (c >= 0xae && c <= 0xff);
}

/* The byte-level alphabet: bytes that show are themselves, the others follow one another from U+0100 on: 0-20, 7f-a0, ad. */
static bool alphabet_byte(uint32_t c, uint8_t *ret)
{
    if (c < 0x100) {
        *ret = (uint8_t)c;
        return shown_as_itself(c);
    }
    uint32_t i = c - 0x100;
    *ret = (uint8_t)(i <= 0x20 ? i : i <= 0x42 ? i - 0x21 + 0x7f : 0xad);
    return i <= 0x43;
}

static uint32_t alphabet_char(uint8_t b)
{
    if (shown_as_itself(b))
        return b;
    return b <= 0x20 ? 0x100u + b : b == 0xad ? 0x143u : 0x121u + (b - 0x7fu);
}

/* All characters of the alphabet are below U+0800. False: S has others, nothing was written. */
static bool put_alphabet_bytes(struct buf *out, struct str s)
{
    size_t before = out->n;
    for (size_t i = 0; i < s.n;) {
        uint8_t b = (uint8_t)s.p[i], byte = 0;
        bool two = b >= 0xc2 && b < 0xe0 && i + 1 < s.n;
        uint32_t c = two ? (b & 0x1fu) << 6 | ((uint8_t)s.p[i + 1] & 0x3fu) : b;
        if ((b >= 0x80 && !two) || !alphabet_byte(c, &byte)) {
            if (!out->failed)
                out->n = before;
            return false;
        }
        buf_put_char(out, (char)byte);
        i += two ? 2 : 1;
    }
    return true;
}

static void put_spelled(struct buf *out, struct str bytes)
{
    for (size_t i = 0; i < bytes.n; i++) {
        uint32_t c = alphabet_char((uint8_t)bytes.p[i]);
        if (c >= 0x80)
            buf_put_char(out, (char)(0xc0 | c >> 6));
        buf_put_char(out, (char)(c >= 0x80 ? 0x80 | (c & 0x3f) : c));
    }
}

/* ---- steps ---- */

static void byte_level(struct texts *out, const struct texts *in)
{
    struct buf bytes = { 0 };
    for (size_t i = 0; i < in->n; i++)
        if (!put_alphabet_bytes(&bytes, text_at(in, i)))
            buf_put(&bytes, text_at(in, i));
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
static bool is_byte_token(struct str s, char *ret)
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
        if (is_byte_token(text_at(in, i), &byte)) {
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

static const struct {
    struct str from, to;
} cleanups[] = {
    { STR_INIT(" ."), STR_INIT(".") },     { STR_INIT(" ?"), STR_INIT("?") },           { STR_INIT(" !"), STR_INIT("!") },
    { STR_INIT(" ,"), STR_INIT(",") },     { STR_INIT(" ' "), STR_INIT("'") },          { STR_INIT(" n't"), STR_INIT("n't") },
    { STR_INIT(" 'm"), STR_INIT("'m") },   { STR_INIT(" do not"), STR_INIT(" don't") }, { STR_INIT(" 's"), STR_INIT("'s") },
    { STR_INIT(" 've"), STR_INIT("'ve") }, { STR_INIT(" 're"), STR_INIT("'re") },
};

/* Cleans what stands in OUT from FROM on. */
static void clean_up(struct buf *out, size_t from)
{
    struct buf other = { 0 };
    for (size_t i = 0; i < sizeof(cleanups) / sizeof(*cleanups) && !out->failed; i++) {
        struct str s = { out->p + from, out->n - from };
        if (!s.n || !memmem(s.p, s.n, cleanups[i].from.p, cleanups[i].from.n))
            continue;
        buf_clear(&other);
        put_replaced(&other, s, cleanups[i].from, cleanups[i].to);
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

static void run_step(struct texts *out, const struct step *step, const struct texts *in)
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
    default:
        one_by_one(out, step, in);
    }
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
            put_spelled(&ret->bytes, t.text);
        else
            buf_put(&ret->bytes, t.text);
        end_text(ret);
    }
    return 0;
}

static int decode_steps(const struct decoder *d, struct texts lists[2], struct buf *out)
{
    struct texts *in = &lists[0], *other = &lists[1];
    for (size_t i = 0; i < d->steps_n && !in->bytes.failed; i++) {
        buf_clear(&other->bytes);
        other->n = 0;
        run_step(other, &d->steps[i], in);
        struct texts *swap = in;
        in = other;
        other = swap;
    }
    if (in->bytes.failed)
        return ERR_NOMEM;
    for (size_t i = 0; i < in->n; i++) {
        if (i && d->joined)
            buf_put_char(out, ' ');
        buf_put(out, text_at(in, i));
    }
    return out->failed ? ERR_NOMEM : 0;
}

int decoder_decode(const struct decoder *d, const struct decoder_source *s, const uint32_t *ids, size_t n, bool skip_specials,
                   struct buf *out, struct err *err)
{
    struct texts lists[2] = { 0 };
    int rc = gather(d, s, ids, n, skip_specials, &lists[0], err);
    if (!rc) {
        rc = decode_steps(d, lists, out);
        if (rc)
            err_set(err, rc, "out of memory");
    }
    texts_fini(&lists[0]);
    texts_fini(&lists[1]);
    return rc;
}
