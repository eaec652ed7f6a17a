/* text/tokenizer/scanner_masks.h -- private: 64 bytes of ASCII at once, included by scanner_sse2.c and scanner_avx2.c
 *
 * The including file defines SCANNERS (its table's name), SCAN_SUFFIX (of its functions) and
 *
 *     classify(p, &masks, camel)    the bytes at p[0..64) as masks, bit i for byte i
 *
 * A window begins at the start of a piece and ends before the first byte that is not ASCII, at the end of the text, or after 64 bytes. The starts of pieces in it are found by arithmetic on
 * masks; a shift to the left asks "is the byte before ...?". What the bytes behind the window could still change is not decided: starts from `limit` on are dropped, and the next window begins
 * at the last start that is certain. Where none is, or where the text is not ASCII, scanner_next.c cuts one piece. So the rules below need no state between windows, and may leave alone what is rare.
 *
 *   window     by                          goes to
 *   masks      a start beyond the first    masks, at the last start
 *              none                        one piece -> text
 *   text       8 bytes of ASCII            masks
 *              other                       one piece -> text
 */
#include "base/attr.h"
#include "text/tokenizer/scanner_rows.h"

#define WINDOW 64u

/* P is everything ASCII that is no letter, digit or white space: control characters too. */
struct masks {
    uint64_t high; /* not ASCII */
    uint64_t letter, upper, digit, white, space, line;
    uint64_t quote, slash, control; /* control: and no white space */
};

static inline uint64_t below(unsigned n) /* the lowest N bits, N <= 64 */
{
    return n >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << n) - 1;
}

static inline unsigned lowest(uint64_t bits)
{
    return (unsigned)__builtin_ctzll(bits);
}

static inline unsigned at_most(unsigned limit, unsigned n)
{
    return n < limit ? n : limit;
}

/* The bits of RUNS from a bit of FROM to the end of its run. */
static inline uint64_t flood(uint64_t runs, uint64_t from)
{
    return ((runs + from) ^ runs) & runs;
}

/* Every third digit of a run starts a piece. */
static inline uint64_t digit_groups(uint64_t digit)
{
    uint64_t starts = digit & ~(digit << 1), fourth = digit & digit << 1 & digit << 2 & digit << 3;

    for (uint64_t next = starts; fourth && (next = next << 3 & fourth) != 0;)
        starts |= next;
    return starts;
}

/* A piece starts behind the last line end of a run of white space, when other white space follows up to the run's end. */
static inline uint64_t behind_lines(uint64_t white, uint64_t line)
{
    uint64_t blank = white & ~line, starts = blank & ~(blank << 1) & line << 1;

    for (uint64_t ends = blank & line >> 1; starts && ends; ends &= ends - 1) { /* blanks between line ends start nothing */
        uint64_t before = ~blank & below(lowest(ends));
        starts &= ~(before ? UINT64_C(2) << (63 - (unsigned)__builtin_clzll(before)) : 1);
    }
    return starts;
}

struct window {
    const char *text; /* of the window */
    unsigned n;       /* bytes of it, all ASCII */
    unsigned limit;   /* starts from here on are not certain */
};

/* Contractions that stand alone: behind one of them a word starts that would otherwise go on. */
static inline SCAN_INLINE uint64_t contractions(const struct scan_row r, struct window *w, uint64_t starts, uint64_t quotes,
                                                uint64_t letter)
{
    bool any_case = r.contraction != CONTRACTION_LOWER;
    uint64_t late = quotes & ~below(w->n < 3 ? 0 : w->n - 3); /* what stands behind it is not all here */

    if (late)
        w->limit = at_most(w->limit, lowest(late) + 1);
    for (quotes &= letter >> 1 & ~late; quotes; quotes &= quotes - 1) {
        unsigned at = lowest(quotes);
        size_t length = scan_contraction(w->text, w->n, at, any_case);
        if (length == 0)
            continue;
        if (r.space_joins) /* where the quote is no part of a word */
            starts &= ~(UINT64_C(2) << at);
        starts |= UINT64_C(1) << (at + length) & letter;
    }
    return starts;
}

/* Contractions that belong to the word before: once for each word. */
static inline SCAN_INLINE uint64_t suffixes(struct window *w, uint64_t starts, uint64_t quotes, uint64_t letter)
{
    uint64_t late = quotes & ~below(w->n < 3 ? 0 : w->n - 3);
    size_t before = WINDOW; /* where the last one ended */

    if (late)
        w->limit = at_most(w->limit, lowest(late));
    for (quotes &= ~late; quotes; quotes &= quotes - 1) {
        unsigned at = lowest(quotes);
        size_t length = at == before ? 0 : scan_contraction(w->text, w->n, at, true);
        if (length == 0)
            continue;
        starts &= ~(below((unsigned)length) << at);
        before = at + length;
        starts |= UINT64_C(1) << before & letter;
    }
    return starts;
}

static inline SCAN_INLINE uint64_t starts_of(const struct scan_row r, struct window *w, const struct masks *m)
{
    uint64_t all = below(w->n);
    uint64_t letter = m->letter & all, digit = m->digit & all, white = m->white & all, space = m->space & all;
    uint64_t punct = all & ~(letter | digit | white);

    w->limit = w->n;
    if (r.deepseek && m->control & all) {
        w->limit = lowest(m->control & all);
        punct &= ~m->control;
    }
    uint64_t line = r.space_joins ? 0 : m->line & all;
    if (!r.space_joins) { /* line ends behind punctuation belong to it */
        uint64_t from = punct << 1 & line;
        uint64_t swallowed = from ? flood(r.slash ? line | (m->slash & all) : line, from) : 0;
        if (r.slash && swallowed & m->slash)
            w->limit = at_most(w->limit, lowest(swallowed & m->slash));
        white &= ~swallowed;
        line &= ~swallowed;
    }
    /* A run of white space that touches the window's end: only its start is certain. */
    if (w->n && white >> (w->n - 1) & 1) {
        uint64_t before = ~white & below(w->n);
        w->limit = at_most(w->limit, before ? 65 - (unsigned)__builtin_clzll(before) : 1);
    }

    uint64_t alone = punct & ~(punct << 1) & ~(space << 1); /* punctuation that starts a piece */
    uint64_t last = white & ~(white >> 1) & ~line;
    if (r.borders)
        last &= ~(digit >> 1);
    uint64_t starts = alone | (white & ~(white << 1)) | last;
    if (!r.space_joins && line)
        starts |= behind_lines(white, line);

    uint64_t word = letter & ~(letter << 1);
    starts |= word & ~(r.space_joins ? space << 1 : (m->white & ~m->line) << 1 | alone << 1);
    if (r.camel)
        starts |= m->upper & (letter & ~m->upper) << 1 & all;

    uint64_t first_digit = digit & ~(digit << 1);
    if (r.digits == DIGITS_ONE)
        starts |= digit;
    else if (r.digits == DIGITS_THREE)
        starts |= digit_groups(digit);
    else
        starts |= r.space_joins ? first_digit & ~(space << 1) : first_digit;

    uint64_t quote = m->quote & all;
    if (quote && (r.contraction == CONTRACTION_LOWER || r.contraction == CONTRACTION_ANY))
        starts = contractions(r, w, starts, quote & alone, letter);
    if (quote && r.contraction == CONTRACTION_SUFFIX)
        starts = suffixes(w, starts, quote & letter << 1, letter);
    return starts & below(w->limit) & ~UINT64_C(1);
}

static inline bool is_ascii_8(const char *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof(v));
    return (v & UINT64_C(0x8080808080808080)) == 0;
}

static inline SCAN_INLINE size_t scan(const struct scan_row r, scan_next_fn *next, const char *text, size_t n, size_t begin,
                                      uint32_t *ends, size_t max)
{
    size_t count = 0;

    while (begin < n && count < max) {
        size_t left = n - begin;
        uint64_t starts = 0;
        if (left >= 8 && is_ascii_8(text + begin)) {
            struct masks m;
            struct window w = { .text = text + begin };
            if (_likely_(left >= WINDOW)) {
                classify(text + begin, &m, r.camel);
                w.n = m.high ? lowest(m.high) : WINDOW;
            } else {
                char rest[WINDOW] = { 0 };
                memcpy(rest, text + begin, left);
                classify(rest, &m, r.camel);
                w.n = at_most((unsigned)left, m.high ? lowest(m.high) : WINDOW);
            }
            starts = starts_of(r, &w, &m);
        }
        if (_unlikely_(!starts)) {
            begin = next(text, n, begin);
            ends[count++] = (uint32_t)begin;
            continue;
        }
        size_t found = (size_t)__builtin_popcountll(starts), from = begin;
        if (_unlikely_(found > max - count))
            found = max - count;
        for (size_t i = 0; i < found; i++, starts &= starts - 1)
            ends[count++] = (uint32_t)(begin = from + lowest(starts));
    }
    return count;
}

#define SCAN_JOIN_(a, b) a##b
#define SCAN_JOIN(a, b)  SCAN_JOIN_(a, b)
#define V(name)                                                                                                             \
    static size_t SCAN_JOIN(scan_##name, SCAN_SUFFIX)(const char *text, size_t n, size_t begin, uint32_t *ends, size_t max) \
    {                                                                                                                       \
        return scan((struct scan_row){ SCAN_ROW_##name }, scan_next_##name, text, n, begin, ends, max);                     \
    }
SCAN_ROWS(V)
#undef V

const struct scanner SCANNERS[SCAN_ROW_COUNT] = {
#define V(name) [SCAN_NUMBER_##name] = { #name, SCAN_JOIN(scan_##name, SCAN_SUFFIX) },
    SCAN_ROWS(V)
#undef V
};
