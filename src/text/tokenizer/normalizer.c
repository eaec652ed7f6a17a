/* text/tokenizer/normalizer.c -- a chain of steps, each text to text; most find nothing to do and say so
 *
 * Sequences are flattened at load. Steps hand a text on through two buffers in turn: a step reads the one and writes the other, or answers with its input.
 * As Hugging Face's: a component without "type" is taken for the kind whose members it has (BertNormalizer, Strip, Sequence, Replace, Prepend).
 */
#include "text/tokenizer/normalizer.h"

#include <stdlib.h>

#include "text/tokenizer/normal_form.h"
#include "text/tokenizer/precompiled.h"
#include "text/tokenizer/regex.h"
#include "text/tokenizer/unicode.h"
#include "text/tokenizer/vocab.h"

#define DEPTH_MAX 16 /* sequences inside each other */
#define STEPS_MAX 64 /* the longest chain seen has 9 */

enum step_kind { FORM, LOWERCASE, REPLACE, PREPEND, STRIP, STRIP_ACCENTS, BERT, PRECOMPILED, BYTE_LEVEL, NMT };

struct step {
    enum step_kind kind;
    enum normal_form form;               /* FORM */
    struct regex *regex;                 /* REPLACE; owned */
    bool literal;                        /* REPLACE: the pattern is the String `pattern` */
    struct str pattern;                  /* REPLACE literal; owned */
    struct str text;                     /* REPLACE: content; PREPEND: prefix; owned */
    bool left, right;                    /* STRIP */
    bool clean, chinese, accents, lower; /* BERT */
    struct precompiled *map;             /* PRECOMPILED; owned */
};

struct normalizer {
    struct step *steps; /* owned */
    size_t n;
};

/* ---- parsing ---- */

struct parser {
    struct normalizer *n;
    struct arena arena;
    struct err *err;
};

static int parse_one(struct parser *p, struct json v, unsigned depth);

static int want_bool(struct parser *p, struct json v, const char *type, const char *member, bool *ret)
{
    struct json m = json_get(v, str_of(member));
    if (!json_is_bool(m))
        return err_set(p->err, ERR_INVALID, "normalizer %s: \"%s\" must be true or false", type, member);
    *ret = json_is(m, JSON_TRUE);
    return 0;
}

static int want_str(struct parser *p, struct json v, const char *type, const char *member, struct str *ret)
{
    struct json m = json_get(v, str_of(member));
    if (!json_is(m, JSON_STRING))
        return err_set(p->err, ERR_INVALID, "normalizer %s: \"%s\" must be a string", type, member);
    *ret = json_str(m, &p->arena);
    return p->arena.failed ? err_set(p->err, ERR_NOMEM, "out of memory") : 0;
}

static int keep(struct parser *p, struct str s, struct str *ret)
{
    char *copy = str_dup(s.p ? s : STR(""));
    if (!copy)
        return err_set(p->err, ERR_NOMEM, "out of memory");
    *ret = (struct str){ copy, s.n };
    return 0;
}

static int parse_sequence(struct parser *p, struct json v, unsigned depth)
{
    struct json list = json_get(v, STR("normalizers"));
    if (!json_is(list, JSON_ARRAY))
        return err_set(p->err, ERR_INVALID, "normalizer Sequence: \"normalizers\" must be an array");
    if (depth >= DEPTH_MAX)
        return err_set(p->err, ERR_LIMIT, "normalizer Sequence: more than %d inside each other", DEPTH_MAX);
    struct json_iter it = json_iter(list);
    while (json_next(&it)) {
        int r = parse_one(p, it.value, depth + 1);
        if (r < 0)
            return r;
    }
    return 0;
}

static int parse_replace(struct parser *p, struct json v, struct step *s)
{
    struct json pattern = json_get(v, STR("pattern"));
    struct json string = json_get(pattern, STR("String")), regex = json_get(pattern, STR("Regex"));
    struct str text, content;
    if (!json_is(pattern, JSON_OBJECT) || json_count(pattern) != 1 ||
        (!json_is(string, JSON_STRING) && !json_is(regex, JSON_STRING)))
        return err_set(p->err, ERR_INVALID,
                       "normalizer Replace: \"pattern\" must be {\"String\": \"...\"} or {\"Regex\": \"...\"}");
    int r = want_str(p, v, "Replace", "content", &content);
    if (r < 0)
        return r;
    s->literal = json_is(string, JSON_STRING);
    text = json_str(s->literal ? string : regex, &p->arena);
    if (p->arena.failed)
        return err_set(p->err, ERR_NOMEM, "out of memory");
    r = keep(p, content, &s->text);
    if (r == 0 && s->literal)
        r = keep(p, text, &s->pattern);
    if (r < 0)
        return r;
    if (s->literal) {
        r = regex_new_literal(text.p ? text : STR(""), &s->regex);
        return r < 0 ? err_set(p->err, r, "out of memory") : 0;
    }
    r = regex_new(text.p ? text : STR(""), &s->regex, p->err);
    return r < 0 ? err_wrap(p->err, r, "normalizer Replace: \"pattern\"") : 0;
}

static int parse_prepend(struct parser *p, struct json v, struct step *s)
{
    struct str text;
    int r = want_str(p, v, "Prepend", "prepend", &text);
    return r < 0 ? r : keep(p, text, &s->text);
}

static int parse_strip(struct parser *p, struct json v, struct step *s)
{
    int r = want_bool(p, v, "Strip", "strip_left", &s->left);
    return r < 0 ? r : want_bool(p, v, "Strip", "strip_right", &s->right);
}

static int parse_bert(struct parser *p, struct json v, struct step *s)
{
    int r = want_bool(p, v, "BertNormalizer", "clean_text", &s->clean);
    if (r == 0)
        r = want_bool(p, v, "BertNormalizer", "handle_chinese_chars", &s->chinese);
    if (r == 0)
        r = want_bool(p, v, "BertNormalizer", "lowercase", &s->lower);
    if (r < 0)
        return r;
    s->accents = s->lower;
    return json_is_null(json_get(v, STR("strip_accents"))) ? 0 : want_bool(p, v, "BertNormalizer", "strip_accents", &s->accents);
}

static int parse_precompiled(struct parser *p, struct json v, struct step *s)
{
    struct str text;
    int r = want_str(p, v, "Precompiled", "precompiled_charsmap", &text);
    if (r < 0)
        return r;
    r = precompiled_new(text, &s->map, p->err);
    return r < 0 ? err_wrap(p->err, r, "normalizer Precompiled") : 0;
}

static const struct type {
    const char *name;
    enum step_kind kind;
    enum normal_form form;
    int (*parse)(struct parser *p, struct json v, struct step *s); /* NULL: no members */
    const char *told_by;                                           /* the member that tells the kind where "type" is missing */
} TYPES[] = {
    { "NFC", FORM, NORMAL_NFC, NULL, NULL },
    { "NFD", FORM, NORMAL_NFD, NULL, NULL },
    { "NFKC", FORM, NORMAL_NFKC, NULL, NULL },
    { "NFKD", FORM, NORMAL_NFKD, NULL, NULL },
    { "BertNormalizer", BERT, NORMAL_NFD, parse_bert, "clean_text" },
    { "Strip", STRIP, NORMAL_NFC, parse_strip, "strip_left" },
    { "StripNormalizer", STRIP, NORMAL_NFC, parse_strip, NULL }, /* as the oracle: an old name */
    { "StripAccents", STRIP_ACCENTS, NORMAL_NFC, NULL, NULL },
    { "Lowercase", LOWERCASE, NORMAL_NFC, NULL, NULL },
    { "Nmt", NMT, NORMAL_NFC, NULL, NULL },
    { "Precompiled", PRECOMPILED, NORMAL_NFC, parse_precompiled, NULL },
    { "Replace", REPLACE, NORMAL_NFC, parse_replace, "pattern" },
    { "Prepend", PREPEND, NORMAL_NFC, parse_prepend, "prepend" },
    { "ByteLevel", BYTE_LEVEL, NORMAL_NFC, NULL, NULL },
};

static int parse_one(struct parser *p, struct json v, unsigned depth)
{
    if (!json_is(v, JSON_OBJECT))
        return err_set(p->err, ERR_INVALID, "normalizer: must be an object");
    struct json type = json_get(v, STR("type"));
    bool named = json_is(type, JSON_STRING);
    if (named ? json_str_eq(type, STR("Sequence")) : json_exists(json_get(v, STR("normalizers"))))
        return parse_sequence(p, v, depth);
    for (size_t i = 0; i < ARRAY_LEN(TYPES); i++) {
        const struct type *t = &TYPES[i];
        if (named ? !json_str_eq(type, str_of(t->name)) : !t->told_by || !json_exists(json_get(v, str_of(t->told_by))))
            continue;
        if (p->n->n == STEPS_MAX)
            return err_set(p->err, ERR_LIMIT, "normalizer: more than %d steps", STEPS_MAX);
        struct step *s = &p->n->steps[p->n->n++];
        *s = (struct step){ .kind = t->kind, .form = t->form };
        return t->parse ? t->parse(p, v, s) : 0;
    }
    if (!named)
        return err_set(p->err, ERR_INVALID, "normalizer: \"type\" must be a string");
    struct str name = str_first(json_raw_str(type), 64);
    return err_set(p->err, ERR_UNSUPPORTED, "normalizer: the type \"%.*s\" is not known", STR_FMT(name));
}

int normalizer_parse(struct json v, struct normalizer **ret, struct err *err)
{
    if (json_is_null(v)) {
        *ret = NULL;
        return 0;
    }
    struct parser p = { .n = calloc(1, sizeof(*p.n)), .err = err };
    if (p.n)
        p.n->steps = calloc(STEPS_MAX, sizeof(*p.n->steps));
    arena_init(&p.arena, NULL, 0);
    int r = p.n && p.n->steps ? parse_one(&p, v, 0) : err_set(err, ERR_NOMEM, "out of memory");
    arena_fini(&p.arena);
    if (r < 0) {
        normalizer_free(p.n);
        return r;
    }
    struct step *fit = realloc(p.n->steps, (p.n->n ? p.n->n : 1) * sizeof(*fit));
    p.n->steps = fit ? fit : p.n->steps;
    *ret = p.n;
    return 0;
}

void normalizer_free(struct normalizer *n)
{
    if (!n)
        return;
    for (size_t i = 0; i < n->n; i++) {
        struct step *s = &n->steps[i];
        regex_free(s->regex);
        precompiled_free(s->map);
        free((char *)s->pattern.p);
        free((char *)s->text.p);
    }
    free(n->steps);
    free(n);
}

size_t normalizer_memory(const struct normalizer *n)
{
    if (!n)
        return 0;
    size_t sum = sizeof(*n) + n->n * sizeof(*n->steps);
    for (size_t i = 0; i < n->n; i++)
        sum += regex_memory(n->steps[i].regex) + precompiled_memory(n->steps[i].map) + n->steps[i].pattern.n + n->steps[i].text.n;
    return sum;
}

/* ---- the steps: from IN to OUT (empty); true: something changed. What is not yet known to differ is not copied. ---- */

/* Copies IN before I once, at the first change. */
static void begin_change(struct str in, size_t i, struct buf *out, bool *changed)
{
    if (!*changed)
        buf_put(out, str_first(in, i));
    *changed = true;
}

static void put_char(struct buf *out, uint32_t c)
{
    char text[4];
    buf_put(out, (struct str){ text, unicode_write(text, c) });
}

/* The bytes from I on that are ASCII; lower-cased, where there is room for them in OUT. */
static size_t lower_ascii(struct str in, size_t i, struct buf *out, bool *changed)
{
    size_t from = i, capitals = 0;
    for (; i < in.n && (signed char)in.p[i] >= 0; i++)
        capitals += in.p[i] >= 'A' && in.p[i] <= 'Z';
    if (capitals)
        begin_change(in, from, out, changed);
    char *to = *changed ? buf_reserve(out, i - from) : NULL;
    if (!to)
        return i - from;
    for (size_t k = from; k < i; k++)
        *to++ = (char)(in.p[k] + (in.p[k] >= 'A' && in.p[k] <= 'Z' ? 32 : 0));
    out->n += i - from;
    return i - from;
}

static bool lowercase(struct str in, struct buf *out)
{
    bool changed = false;
    for (size_t i = 0, n; i < in.n; i += n) {
        uint32_t c = (unsigned char)in.p[i], to[3];
        if (c < 0x80) {
            n = lower_ascii(in, i, out, &changed);
            continue;
        }
        c = unicode_read(in.p + i, in.n - i, &n);
        size_t to_n = unicode_lower(c, to);
        if (to_n != 1 || to[0] != c)
            begin_change(in, i, out, &changed);
        if (changed)
            for (size_t k = 0; k < to_n; k++)
                put_char(out, to[k]);
    }
    return changed;
}

/* Keeps the characters for which DROP is false. */
static bool filter(struct str in, bool (*drop)(uint32_t c), struct buf *out)
{
    bool changed = false;
    for (size_t i = 0, n; i < in.n; i += n) {
        for (n = 0; i + n < in.n && (signed char)in.p[i + n] >= 0;)
            n++;
        if (n) {
            if (changed)
                buf_put(out, (struct str){ in.p + i, n });
        } else if (drop(unicode_read(in.p + i, in.n - i, &n)))
            begin_change(in, i, out, &changed);
        else if (changed)
            buf_put(out, (struct str){ in.p + i, n });
    }
    return changed;
}

/* 0 = as it is, 1 = dropped, 2 = a space. */
static int bert_clean(uint32_t c)
{
    if (c == '\t' || c == '\n' || c == '\r')
        return 2;
    if (c < 0x80)
        return c < 0x20 || c == 0x7f;
    if (c == 0xfffd || unicode_is_other(c))
        return 1;
    return unicode_is_white_space(c) ? 2 : 0;
}

static int nmt_clean(uint32_t c)
{
    if ((c >= 1 && c <= 8) || c == 0xb || (c >= 0xe && c <= 0x1f) || c == 0x7f || c == 0x8f || c == 0x9f)
        return 1;
    return c == 9 || c == 0xa || c == 0xc || c == 0xd || c == 0x1680 || (c >= 0x200b && c <= 0x200f) || c == 0x2028 ||
                   c == 0x2029 || c == 0x2581 || c == 0xfeff || c == 0xfffd
               ? 2
               : 0;
}

/* How many bytes from I on are printable ASCII, which nobody cleans. */
static size_t printable(struct str in, size_t i)
{
    size_t from = i;
    while (i < in.n && in.p[i] >= ' ' && in.p[i] < 0x7f)
        i++;
    return i - from;
}

static bool clean(struct str in, int (*what)(uint32_t c), struct buf *out)
{
    bool changed = false;
    for (size_t i = 0, n; i < in.n; i += n) {
        uint32_t c = (unsigned char)in.p[i];
        if ((n = printable(in, i)) > 0) {
            if (changed)
                buf_put(out, (struct str){ in.p + i, n });
            continue;
        }
        n = 1;
        if (c >= 0x80)
            c = unicode_read(in.p + i, in.n - i, &n);
        int r = what(c);
        if (r)
            begin_change(in, i, out, &changed);
        if (r == 2)
            buf_put_char(out, ' ');
        else if (!r && changed)
            buf_put(out, (struct str){ in.p + i, n });
    }
    return changed;
}

static bool is_chinese(uint32_t c)
{
    return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) || (c >= 0x20000 && c <= 0x2a6df) ||
           (c >= 0x2a700 && c <= 0x2b73f) || (c >= 0x2b740 && c <= 0x2b81f) || (c >= 0x2b920 && c <= 0x2ceaf) ||
           (c >= 0xf900 && c <= 0xfaff) || (c >= 0x2f800 && c <= 0x2fa1f);
}

static bool space_chinese(struct str in, struct buf *out)
{
    bool changed = false;
    for (size_t i = 0, n; i < in.n; i += n) {
        n = 1;
        if ((unsigned char)in.p[i] >= 0x80 && is_chinese(unicode_read(in.p + i, in.n - i, &n))) {
            begin_change(in, i, out, &changed);
            buf_put_char(out, ' ');
            buf_put(out, (struct str){ in.p + i, n });
            buf_put_char(out, ' ');
        } else if (changed)
            buf_put(out, (struct str){ in.p + i, n });
    }
    return changed;
}

static bool byte_level(struct str in, struct buf *out)
{
    for (size_t i = 0; i < in.n; i++)
        put_char(out, byte_level_char((uint8_t)in.p[i]));
    return in.n != 0;
}

static struct str strip(struct str s, bool left, bool right)
{
    size_t n;
    while (left && s.n && unicode_is_white_space(unicode_read(s.p, s.n, &n)))
        s = str_skip(s, n);
    while (right && s.n) {
        size_t at = s.n - 1;
        while (at && ((unsigned char)s.p[at] & 0xc0) == 0x80)
            at--;
        if (!unicode_is_white_space(unicode_read(s.p + at, s.n - at, &n)))
            break;
        s.n = at;
    }
    return s;
}

#define SHORT_TEXT 4

/* One byte for a few, as SentencePiece's ' ' for U+2581: all of IN goes by once, without a branch for each word and without reading what was just written. */
static bool replace_byte(char what, struct str with, struct str in, struct buf *out)
{
    size_t n = 0;
    char word[SHORT_TEXT] = { 0 };
    for (size_t i = 0; i < in.n; i++)
        n += in.p[i] == what;
    if (!n)
        return false;
    char *to = buf_reserve(out, in.n + n * with.n + SHORT_TEXT); /* what is written last may reach behind its end */
    if (!to)
        return true;
    memcpy(word, with.p, with.n);
    for (size_t i = 0; i < in.n; i++) {
        bool hit = in.p[i] == what;
        memcpy(to, word, SHORT_TEXT);
        *to = hit ? word[0] : in.p[i];
        to += hit ? with.n : 1;
    }
    out->n = (size_t)(to - out->p);
    return true;
}

static int replace(const struct step *s, struct str in, struct buf *out, bool *ret_changed, struct err *err)
{
    struct regex_work *w = NULL;
    if (s->literal && s->pattern.n == 1 && s->text.n && s->text.n <= SHORT_TEXT) {
        *ret_changed = replace_byte(s->pattern.p[0], s->text, in, out);
        return 0;
    }
    if (!s->literal) {
        if (regex_work_new(&w) < 0)
            return err_set(err, ERR_NOMEM, "out of memory");
        regex_work_begin(w, in.n);
    }
    struct regex_scan scan = regex_scan(s->regex, w, in);
    size_t done = 0, start, end;
    int r;
    while ((r = regex_next(&scan, &start, &end, err)) == 1) {
        buf_put(out, str_range(in.p + done, in.p + start));
        buf_put(out, s->text);
        done = end;
        *ret_changed = true;
    }
    regex_work_free(w);
    if (*ret_changed)
        buf_put(out, str_skip(in, done));
    return r;
}

/* ---- running ---- */

/* Where the text is: in one of the two buffers, or still the caller's. */
struct place {
    struct str text;
    struct buf *from, *to; /* the text may lie in `from`; `to` is free */
};

static void moved(struct place *p, bool changed)
{
    if (!changed)
        return;
    p->text = buf_str(p->to);
    struct buf *from = p->from;
    p->from = p->to;
    p->to = from;
    buf_clear(p->to);
}

static int run_form(struct place *p, enum normal_form f)
{
    struct str to;
    int r = normal_form(f, p->text, p->to, &to);
    if (r == 0)
        moved(p, to.p != p->text.p || to.n != p->text.n);
    return r;
}

static int run_bert(const struct step *s, struct place *p)
{
    if (s->clean)
        moved(p, clean(p->text, bert_clean, p->to));
    if (s->chinese)
        moved(p, space_chinese(p->text, p->to));
    if (s->accents) {
        int r = run_form(p, NORMAL_NFD);
        if (r < 0)
            return r;
        moved(p, filter(p->text, unicode_is_mark_nonspacing, p->to));
    }
    if (s->lower)
        moved(p, lowercase(p->text, p->to));
    return 0;
}

static int run_step(const struct step *s, struct place *p, struct err *err)
{
    bool changed = false;
    int r = 0;
    struct str to;
    switch (s->kind) {
    case FORM:
        return run_form(p, s->form);
    case LOWERCASE:
        changed = lowercase(p->text, p->to);
        break;
    case REPLACE:
        r = replace(s, p->text, p->to, &changed, err);
        break;
    case PREPEND:
        changed = p->text.n != 0 && s->text.n != 0;
        if (changed) {
            buf_put(p->to, s->text);
            buf_put(p->to, p->text);
        }
        break;
    case STRIP:
        p->text = strip(p->text, s->left, s->right);
        break;
    case STRIP_ACCENTS:
        changed = filter(p->text, unicode_is_mark, p->to);
        break;
    case BERT:
        return run_bert(s, p);
    case PRECOMPILED:
        r = precompiled_run(s->map, p->text, p->to, &to);
        changed = r == 0 && (to.p != p->text.p || to.n != p->text.n);
        break;
    case BYTE_LEVEL:
        changed = byte_level(p->text, p->to);
        break;
    case NMT:
        changed = clean(p->text, nmt_clean, p->to);
        break;
    }
    if (r == 0)
        moved(p, changed);
    return r;
}

int normalizer_run(const struct normalizer *n, struct str in, struct buf work[2], struct str *ret, struct err *err)
{
    struct place p = { in, &work[0], &work[1] };
    for (size_t i = 0; n && i < n->n; i++) {
        buf_clear(p.to);
        int r = run_step(&n->steps[i], &p, err);
        if (r == ERR_NOMEM || p.from->failed || p.to->failed)
            return err_set(err, ERR_NOMEM, "out of memory");
        if (r < 0)
            return r;
    }
    *ret = p.text;
    return 0;
}

bool normalizer_is_spm(const struct normalizer *n, struct normalizer_spm *ret)
{
    if (!n || n->n < 1 || n->n > 2)
        return false;
    const struct step *last = &n->steps[n->n - 1];
    if (last->kind != REPLACE || !last->literal || !str_eq(last->pattern, STR(" ")) || (n->n == 2 && n->steps[0].kind != PREPEND))
        return false;
    *ret = (struct normalizer_spm){ .prepend = n->n == 2 ? n->steps[0].text : STR_NONE, .space = last->text };
    return true;
}

bool normalizer_is_nfc(const struct normalizer *n)
{
    return n && n->n == 1 && n->steps[0].kind == FORM && n->steps[0].form == NORMAL_NFC;
}
