/* text/tokenizer/pretokenizer_run.c -- the steps of a pre-tokenizer, each over all pieces of the step before
 *
 *   segment --step--> pieces --step--> pieces ... --unmap--> pieces of raw bytes
 *
 * Each step reads one array of pieces and writes another; three of them take turns, all kept from run to run, so that a warm encoder allocates nothing.
 */
#include <stdlib.h>

#include "text/tokenizer/pretokenizer_internal.h"
#include "text/tokenizer/unicode.h"
#include "text/tokenizer/vocab.h"

#define BATCH 256 /* ends that a scanner writes at a time */

struct pretokenizer_work {
    struct pieces between[2];
    struct buf prefixed; /* a piece with what was put in front of it */
    struct regex_work *regex;
    uint32_t ends[BATCH];
};

int pretokenizer_work_new(struct pretokenizer_work **ret)
{
    struct pretokenizer_work *w = calloc(1, sizeof(*w));
    if (!w)
        return ERR_NOMEM;
    if (regex_work_new(&w->regex) < 0) {
        free(w);
        return ERR_NOMEM;
    }
    *ret = w;
    return 0;
}

void pretokenizer_work_free(struct pretokenizer_work *w)
{
    if (!w)
        return;
    pieces_fini(&w->between[0]);
    pieces_fini(&w->between[1]);
    buf_fini(&w->prefixed);
    regex_work_free(w->regex);
    free(w);
}

/* ---- ranges by characters ---- */

static uint32_t read_char(struct str s, size_t i, size_t *ret_n)
{
    if ((unsigned char)s.p[i] < 0x80) {
        *ret_n = 1;
        return (unsigned char)s.p[i];
    }
    return unicode_read(s.p + i, s.n - i, ret_n);
}

/* A kind of character: bit c of `ascii` says it of ASCII, `is` of all. */
struct chars {
    uint64_t ascii[2];
    bool (*is)(uint32_t c);
};
static const struct chars NUMERIC = { { 0x03ff000000000000, 0 }, unicode_is_numeric },
                          PUNCTUATIONS = { { 0xfc00fffe00000000, 0x78000001f8000001 }, unicode_is_punctuation },
                          WHITE_SPACE = { { 0x0000000100003e00, 0 }, unicode_is_white_space };

/* The next character of this kind at or behind I, and its bytes; S.n: none. */
static size_t next_of(const struct chars *chars, struct str s, size_t i, size_t *ret_n)
{
    for (; i < s.n; i += *ret_n) {
        unsigned char c = (unsigned char)s.p[i];
        *ret_n = 1;
        if (c < 0x80 ? chars->ascii[c / 64] >> (c % 64) & 1 : chars->is(read_char(s, i, ret_n)))
            return i;
    }
    return s.n;
}

/* Every character of this kind is a match of its own. */
static void cut_by_chars(struct cutter *c, struct str s, const struct chars *chars)
{
    size_t done = 0;
    for (size_t n, i = next_of(chars, s, 0, &n); i < s.n; i = next_of(chars, s, i + n, &n)) {
        if (done < i)
            cut_range(c, done, i, false);
        cut_range(c, i, i + n, true);
        done = i + n;
    }
    if (done < s.n)
        cut_range(c, done, s.n, false);
    cut_end(c);
}

static void cut_by_delimiter(struct cutter *c, struct str s, struct str mark)
{
    size_t done = 0, at;
    while ((at = str_find(str_skip(s, done), mark)) != STR_NPOS) {
        cut_range(c, done, done + at, false);
        cut_range(c, done + at, done + at + mark.n, true);
        done += at + mark.n;
    }
    cut_range(c, done, s.n, false);
    cut_end(c);
}

/* \w+|[^\w\s]+ , the rest removed. */
static void cut_words(struct cutter *c, struct str s)
{
    enum { SPACE, WORD, OTHER } kind = SPACE, next;
    size_t from = 0;
    for (size_t i = 0, n; i < s.n; i += n) {
        uint32_t ch = read_char(s, i, &n);
        next = unicode_is_white_space(ch) ? SPACE : unicode_is_word(ch) ? WORD : OTHER;
        if (next == kind)
            continue;
        if (kind != SPACE)
            cut_piece(c, from, i);
        from = i;
        kind = next;
    }
    if (kind != SPACE)
        cut_piece(c, from, s.n);
}

/* As the oracle's: what stands before the first character that has a script is lost. */
static void cut_scripts(struct cutter *c, struct str s)
{
    unsigned last = 0;
    size_t from = 0;
    for (size_t i = 0, n; i < s.n; i += n) {
        unsigned script = unicode_script(read_char(s, i, &n));
        if (!script || script == last)
            continue;
        if (last)
            cut_piece(c, from, i);
        from = i;
        last = script;
    }
    if (last)
        cut_piece(c, from, s.n);
}

static void cut_fixed(struct cutter *c, struct str s, uint32_t length)
{
    size_t from = 0;
    uint32_t k = 0;
    for (size_t i = 0, n; i < s.n; i += n) {
        (void)read_char(s, i, &n); /* for its length */
        if (k == length) {
            cut_piece(c, from, i);
            from = i;
            k = 0;
        }
        k++;
    }
    cut_piece(c, from, s.n);
}

/* ---- ranges by regexes and scanners ---- */

static int cut_by_regex(struct cutter *c, struct str s, const struct regex *regex, struct regex_work *w, struct err *err)
{
    struct regex_scan scan = regex_scan(regex, w, s);
    size_t done = 0, from, to;
    int r;
    while ((r = regex_next(&scan, &from, &to, err)) == 1) {
        if (done != from)
            cut_range(c, done, from, false);
        cut_range(c, from, to, true);
        done = to;
    }
    if (done != s.n)
        cut_range(c, done, s.n, false);
    cut_end(c);
    return r;
}

static void cut_by_scanner(struct cutter *c, struct str s, const struct scanner *scanner, uint32_t *ends)
{
    size_t done = 0, n;
    while ((n = scanner->scan(s.p, s.n, done, ends, BATCH)) != 0)
        for (size_t i = 0; i < n; i++) {
            cut_piece(c, done, ends[i]);
            done = ends[i];
        }
}

static int cut_by_step(struct cutter *c, struct str s, const struct step *step, struct pretokenizer_work *w, struct err *err)
{
    if (step->scanner) {
        cut_by_scanner(c, s, step->scanner, w->ends);
        return 0;
    }
    return cut_by_regex(c, s, step->regex, w->regex, err);
}

/* ---- steps that change the text ---- */

/* Every byte becomes its mapped character. SPARE is free to be used. */
static void map_bytes(struct pieces *out, struct buf *spare)
{
    char text[4];
    size_t at = 0;
    buf_clear(spare);
    for (size_t k = 0; k < out->n; k++) {
        for (; at < out->ends[k]; at++)
            buf_put(spare, (struct str){ text, unicode_write(text, byte_level_char((uint8_t)out->text.p[at])) });
        out->ends[k] = (uint32_t)spare->n;
    }
    buf_clear(&out->text);
    buf_put(&out->text, buf_str(spare));
    out->text.failed |= spare->failed;
}

static int byte_level(struct cutter *c, struct str s, const struct step *step, struct pretokenizer_work *w, struct err *err)
{
    if (step->prefix && s.p[0] != ' ') {
        buf_clear(&w->prefixed);
        buf_put_char(&w->prefixed, ' ');
        buf_put(&w->prefixed, s);
        if (w->prefixed.failed)
            return err_set(err, ERR_NOMEM, "out of memory");
        s = buf_str(&w->prefixed);
        c->text = s.p;
    }
    if (step->split)
        return cut_by_step(c, s, step, w, err);
    cut_piece(c, 0, s.n);
    return 0;
}

/* Spaces become the mark, and a piece begins at each mark. */
static void metaspace(struct cutter *c, struct str s, const struct step *step)
{
    struct str mark = { step->mark, step->mark_n };
    struct buf *text = &c->out->text;
    bool begins_marked = s.p[0] == ' ' || str_has_prefix(s, mark);
    if (c->out->n == 0)
        *c->at_start = c->in_at_start;
    if (!begins_marked && (step->prepend == PREPEND_ALWAYS || (step->prepend == PREPEND_FIRST && c->in_at_start)))
        buf_put(text, mark);
    size_t done = 0;
    for (size_t i = 0; i < s.n;) {
        size_t n = s.p[i] == ' ' ? 1 : s.p[i] == mark.p[0] && str_has_prefix(str_skip(s, i), mark) ? mark.n : 0;
        if (!n) {
            i++;
            continue;
        }
        buf_put(text, str_range(s.p + done, s.p + i));
        if (step->split && i)
            (void)pieces_end(c->out); /* failure is sticky in the text */
        buf_put(text, mark);
        i += n;
        done = i;
    }
    buf_put(text, str_skip(s, done));
    (void)pieces_end(c->out); /* failure is sticky in the text */
}

/* ---- the chain ---- */

static int run_on_piece(const struct step *step, struct cutter *c, struct str s, struct pretokenizer_work *w, struct err *err)
{
    switch (step->kind) {
    case SPLIT:
        return cut_by_step(c, s, step, w, err);
    case DIGITS:
        cut_by_chars(c, s, &NUMERIC);
        return 0;
    case PUNCTUATION:
        cut_by_chars(c, s, &PUNCTUATIONS);
        return 0;
    case WHITESPACE:
        cut_words(c, s);
        return 0;
    case WHITESPACE_SPLIT:
        cut_by_chars(c, s, &WHITE_SPACE);
        return 0;
    case DELIMITER:
        cut_by_delimiter(c, s, (struct str){ step->mark, step->mark_n });
        return 0;
    case SCRIPTS:
        cut_scripts(c, s);
        return 0;
    case FIXED_LENGTH:
        cut_fixed(c, s, step->length);
        return 0;
    case METASPACE:
        metaspace(c, s, step);
        return 0;
    case BYTE_LEVEL:
        return byte_level(c, s, step, w, err);
    }
    return 0;
}

/* IN (n pieces) to OUT. *AT_START: the first piece begins where the original text does. */
static int run_step(const struct step *step, struct str text, const uint32_t *ends, size_t n, struct pieces *out, bool *at_start,
                    struct pretokenizer_work *w, struct err *err)
{
    bool in_at_start = *at_start;
    size_t from = 0;
    buf_clear(&out->text);
    out->n = 0;
    *at_start = false;
    for (size_t k = 0; k < n; k++) {
        struct cutter c = { .out = out,
                            .text = text.p + from,
                            .behavior = step->behavior,
                            .invert = step->invert,
                            .in_at_start = in_at_start && k == 0,
                            .at_start = at_start };
        int r = run_on_piece(step, &c, str_range(text.p + from, text.p + ends[k]), w, err);
        if (r < 0)
            return r;
        from = ends[k];
    }
    if (step->map)
        map_bytes(out, &w->prefixed);
    return out->text.failed || out->text.n > UINT32_MAX ? err_set(err, ERR_NOMEM, "out of memory") : 0;
}

/* Mapped characters back to bytes, in place. */
static void unmap_bytes(struct pieces *p)
{
    size_t to = 0, at = 0, n;
    for (size_t k = 0; k < p->n; k++) {
        for (; at < p->ends[k]; at += n) {
            uint8_t byte = 0;
            (void)byte_level_byte(unicode_read(p->text.p + at, p->text.n - at, &n), &byte); /* nothing else is there */
            p->text.p[to++] = (char)byte;
        }
        p->ends[k] = (uint32_t)to;
    }
    p->text.n = to;
}

int pretokenizer_run(const struct pretokenizer *p, struct pretokenizer_work *w, struct str segment, bool at_start,
                     struct pieces *out, struct err *err)
{
    uint32_t one = (uint32_t)segment.n;
    const uint32_t *ends = &one;
    struct str text = segment;
    size_t n = 1;
    if (segment.n > UINT32_MAX)
        return err_set(err, ERR_LIMIT, "a text of 4 GiB or more");
    regex_work_begin(w->regex, segment.n);
    size_t steps = p ? p->n : 0;
    for (size_t i = 0; i < steps && n; i++) {
        struct pieces *to = i + 1 == steps ? out : &w->between[i & 1];
        int r = run_step(&p->steps[i], text, ends, n, to, &at_start, w, err);
        if (r < 0)
            return r;
        text = buf_str(&to->text);
        ends = to->ends;
        n = to->n;
    }
    if (!n || !steps) {
        buf_clear(&out->text);
        out->n = 0;
    }
    if (!steps) {
        buf_put(&out->text, segment);
        if (!pieces_end(out))
            return err_set(err, ERR_NOMEM, "out of memory");
    }
    if (p && p->unmap)
        unmap_bytes(out);
    return 0;
}
