/* text/tokenizer/scanner_next.c -- one piece at a time, from any text: what the regexes mean, without a regex engine
 *
 * A regex here is a list of alternatives, tried in order at the start of a piece; each is a run of one set or two, so that backtracking can be foreseen. The order:
 *
 *   start of a piece        alternative                                             goes on with
 *   Han (row K)             [\p{Han}]+                                              end
 *   '                       contraction (G, L3 ...)                                 end
 *   ASCII punctuation (D)   punctuation and ASCII letters                           end
 *   prefix, letter          [^\r\n\p{L}\p{N}]? and a word                           contraction (O, K) -> end
 *   number                  one, up to three, or all                                end
 *   space, punctuation      a run of it                                             [\r\n]* or [\r\n/]* -> end
 *   white space             up to the last line end; or all but the last character
 *                           when something follows; or all                          end
 *   (D) anything else       the run of what no alternative takes                    end
 *
 * Text is valid UTF-8: a lead byte says how far the character goes.
 */
#include "base/attr.h"
#include "text/tokenizer/scanner_rows.h"
#include "text/tokenizer/unicode_tables.h"

typedef const unsigned char *bytes;

struct scan_text {
    bytes end;
    bool cjk; /* row D: inside a region of its second split */
};

/* [一-龥぀-ゟ゠-ヿ]: U+4E00-9FA5, U+3040-30FF */
static inline bool is_cjk(bytes p)
{
    if (*p < 0xE3 || *p > 0xE9)
        return false;
    unsigned v = (unsigned)p[0] << 16 | (unsigned)p[1] << 8 | p[2];
    return (v >= 0xE4B880 && v <= 0xE9BEA5) || (v >= 0xE38180 && v <= 0xE383BF);
}

static inline unsigned class_of(unsigned block, unsigned char last)
{
    return UNICODE_CLASS[UNICODE_CLASS_BLOCK[block] * 64u + (last & 0x3F)];
}

/* The class of the character at P and its length; at the end: BORDER. */
static inline SCAN_INLINE unsigned look(const struct scan_row r, struct scan_text t, bytes p, unsigned *ret_n)
{
    if (p == t.end) {
        *ret_n = 0;
        return SCAN_BORDER;
    }
    if (*p < 0x80) {
        *ret_n = 1;
        return r.deepseek && t.cjk ? SCAN_BORDER : UNICODE_CLASS[*p]; /* the tool puts the first two blocks first */
    }
    if (*p < 0xE0) {
        *ret_n = 2;
        return r.deepseek && t.cjk ? SCAN_BORDER : class_of(p[0] & 0x1F, p[1]);
    }
    if (*p < 0xF0) {
        *ret_n = 3;
        if (r.deepseek && is_cjk(p) != t.cjk)
            return SCAN_BORDER;
        return class_of((unsigned)(p[0] & 0x0F) << 6 | (p[1] & 0x3F), p[2]);
    }
    *ret_n = 4;
    return r.deepseek && t.cjk ? SCAN_BORDER
                               : class_of((unsigned)(p[0] & 0x07) << 12 | (unsigned)(p[1] & 0x3F) << 6 | (p[2] & 0x3F), p[3]);
}

#define IN(set, c) ((set) >> (c)&1)

static inline SCAN_INLINE bytes run(const struct scan_row r, struct scan_text t, unsigned set, bytes p)
{
    unsigned n;

    while (IN(set, look(r, t, p, &n)))
        p += n;
    return p;
}

static inline SCAN_INLINE bytes suffix(const struct scan_row r, struct scan_text t, bytes p)
{
    return r.contraction == CONTRACTION_SUFFIX ? p + scan_contraction((const char *)p, (size_t)(t.end - p), 0, true) : p;
}

/* upper* lower+ | upper+ lower*, at a letter. *ret_first: it was the first alternative. */
static inline SCAN_INLINE bytes camel(const struct scan_row r, struct scan_text t, bytes p, bool *ret_first)
{
    bytes last = NULL; /* behind the last character that both sets have: where the first alternative falls back to */
    unsigned c, n;

    while (IN(r.upper, c = look(r, t, p, &n))) {
        p += n;
        if (IN(r.lower, c))
            last = p;
    }
    *ret_first = true;
    if (c == SCAN_LL)
        return run(r, t, r.lower, p);
    if (last)
        return last;
    *ret_first = false;
    return p;
}

/* At a letter, or at a character that may stand before a letter and does. N: the length of the first character; C: its class. NULL: neither. */
static inline SCAN_INLINE bytes word(const struct scan_row r, struct scan_text t, bytes p, unsigned c, unsigned n)
{
    unsigned next_n;
    bool first;

    if (!r.camel) {
        if (IN(r.letter, c))
            return run(r, t, r.letter, p + n);
        return IN(r.prefix, c) && IN(r.letter, look(r, t, p + n, &next_n)) ? run(r, t, r.letter, p + n + next_n) : NULL;
    }
    if (!IN(r.prefix, c))
        return IN(r.letter, c) ? suffix(r, t, camel(r, t, p, &first)) : NULL;
    if (IN(r.letter, look(r, t, p + n, &next_n))) {
        bytes end = camel(r, t, p + n, &first);
        if (first || !IN(r.letter, c))
            return suffix(r, t, end);
    }
    /* A mark is tried as prefix, and as the word itself before a word of capitals only. */
    return IN(r.letter, c) ? suffix(r, t, p + n) : NULL;
}

static inline SCAN_INLINE bytes numbers(const struct scan_row r, struct scan_text t, bytes p, unsigned n)
{
    p += n;
    if (r.digits == DIGITS_ALL)
        return run(r, t, r.number, p);
    for (unsigned i = 1; r.digits == DIGITS_THREE && i < 3 && IN(r.number, look(r, t, p, &n)); i++)
        p += n;
    return p;
}

/* P: behind the first of them. */
static inline SCAN_INLINE bytes punctuation(const struct scan_row r, struct scan_text t, bytes p)
{
    p = run(r, t, r.punct, p);
    if (!r.space_joins && !(r.deepseek && t.cjk)) /* such a region has no line ends */
        while (p < t.end && (*p == '\r' || *p == '\n' || (r.slash && *p == '/')))
            p++;
    return p;
}

static inline SCAN_INLINE bytes white_space(const struct scan_row r, struct scan_text t, bytes p)
{
    bytes begin = p, last = p, line = NULL; /* `last`: the last character's place; `line`: behind the last line end */
    unsigned c, n;

    while (IN(SCAN_SET_SPACE, c = look(r, t, p, &n))) {
        last = p;
        p += n;
        if (c == SCAN_NL)
            line = p;
    }
    if (r.end_takes_all && p == t.end)
        return p;
    if (line && !r.space_joins)
        return line;
    bool at_end = c == SCAN_BORDER || (r.borders && IN(r.number, c));
    return at_end || last == begin ? p : last;
}

/* Row D: no alternative takes the character before P. The next piece begins where one takes something. */
static inline SCAN_INLINE bytes unmatched(const struct scan_row r, struct scan_text t, bytes p)
{
    unsigned n, next_n;

    while (IN(SCAN_SET_X, look(r, t, p, &n)) && !IN(r.letter, look(r, t, p + n, &next_n)))
        p += n;
    return p;
}

static inline bool is_ascii_letter(unsigned char c)
{
    return (unsigned char)((c | 0x20) - 'a') < 26;
}

static inline SCAN_INLINE bytes next(const struct scan_row r, struct scan_text t, bytes p)
{
    unsigned n, next_n;

    if (r.deepseek)
        t.cjk = is_cjk(p);
    unsigned c = look(r, t, p, &n);
    if (IN(r.han, c))
        return run(r, t, r.han, p + n);
    if (*p == '\'' && (r.contraction == CONTRACTION_LOWER || r.contraction == CONTRACTION_ANY)) {
        size_t length = scan_contraction((const char *)p, (size_t)(t.end - p), 0, r.contraction == CONTRACTION_ANY);
        if (length)
            return p + length;
    }
    if (r.deepseek && *p < 0x80 && c == SCAN_P && p + 1 < t.end && is_ascii_letter(p[1])) {
        for (p += 2; p < t.end && is_ascii_letter(*p);)
            p++;
        return p;
    }
    bytes end = word(r, t, p, c, n);
    if (end)
        return end;
    if (IN(r.number, c))
        return numbers(r, t, p, n);
    if (IN(r.punct, c))
        return punctuation(r, t, p + n);
    if (c == SCAN_SP) {
        unsigned after = look(r, t, p + n, &next_n);
        if (IN(r.punct, after))
            return punctuation(r, t, p + n + next_n);
        if (r.space_joins && !r.borders && IN(r.number, after))
            return numbers(r, t, p + n, next_n);
    }
    if (IN(SCAN_SET_SPACE, c))
        return white_space(r, t, p);
    return unmatched(r, t, p + n);
}

#define V(name)                                                                                                      \
    size_t scan_next_##name(const char *text, size_t n, size_t at)                                                   \
    {                                                                                                                \
        bytes p = (bytes)text;                                                                                       \
        return (size_t)(next((struct scan_row){ SCAN_ROW_##name }, (struct scan_text){ .end = p + n }, p + at) - p); \
    }                                                                                                                \
    static size_t scan_##name(const char *text, size_t n, size_t begin, uint32_t *ends, size_t max)                  \
    {                                                                                                                \
        size_t count = 0;                                                                                            \
        for (; begin < n && count < max; count++) {                                                                  \
            begin = scan_next_##name(text, n, begin);                                                                \
            ends[count] = (uint32_t)begin;                                                                           \
        }                                                                                                            \
        return count;                                                                                                \
    }
SCAN_ROWS(V)
#undef V

const struct scanner SCANNERS_PORTABLE[SCAN_ROW_COUNT] = {
#define V(name) [SCAN_NUMBER_##name] = { #name, scan_##name },
    SCAN_ROWS(V)
#undef V
};
