/* text/tokenizer/scanner_rows.h -- private: how the rows of spec 5 differ, as data; and the classes of characters that all of them look at
 *
 *   text --classes--> scanner_next.c (one piece, any text: the meaning)  <-- falls back on it -- scanner_masks.h (64 bytes of ASCII at once)
 *
 * Every function of the machines takes its row as a constant and is inlined once for each: what a row does not have costs it nothing.
 */
#pragma once

#include "text/tokenizer/scanner.h"

#define SCAN_INLINE __attribute__((always_inline)) /* a row is a constant only where everything is one function */

/* As tools/unicode-tables writes them. Categories are those of Unicode 16, as the regex engine knows them. */
enum scan_class {
    SCAN_NL,  /* CR, LF */
    SCAN_SP,  /* U+0020 */
    SCAN_WS,  /* other White_Space */
    SCAN_LU,  /* Lu, Lt */
    SCAN_LL,  /* Ll */
    SCAN_LO,  /* Lm, Lo */
    SCAN_M,   /* Mn, Mc, Me */
    SCAN_N,   /* Nd, Nl, No */
    SCAN_P,   /* P*, S* */
    SCAN_X,   /* everything else */
    SCAN_XN,  /* the same, but a number for Digits, whose Unicode is newer */
    SCAN_HLO, /* LO, M, N, P that are Script=Han */
    SCAN_HM,
    SCAN_HN,
    SCAN_HP,
    SCAN_BORDER, /* in no set: what belongs to another region (row D) */
};

#define SCAN_SET(x)    (1u << SCAN_##x)
#define SCAN_SET_SPACE (SCAN_SET(NL) | SCAN_SET(SP) | SCAN_SET(WS))
#define SCAN_SET_L     (SCAN_SET(LU) | SCAN_SET(LL) | SCAN_SET(LO) | SCAN_SET(HLO)) /* \p{L} */
#define SCAN_SET_M     (SCAN_SET(M) | SCAN_SET(HM))
#define SCAN_SET_N     (SCAN_SET(N) | SCAN_SET(HN))
#define SCAN_SET_P     (SCAN_SET(P) | SCAN_SET(HP))
#define SCAN_SET_X     (SCAN_SET(X) | SCAN_SET(XN))
#define SCAN_SET_HAN   (SCAN_SET(HLO) | SCAN_SET(HM) | SCAN_SET(HN) | SCAN_SET(HP))

enum scan_contraction {
    CONTRACTION_NONE,
    CONTRACTION_LOWER,  /* 's|'t|'re|'ve|'m|'ll|'d first of all */
    CONTRACTION_ANY,    /* the same in any case, and with U+017F for s */
    CONTRACTION_SUFFIX, /* the same, behind a word and part of it */
};
enum scan_digits { DIGITS_ONE, DIGITS_THREE, DIGITS_ALL };

struct scan_row {
    unsigned letter; /* what words are made of; with `camel`, letter & upper, then letter & lower */
    unsigned upper, lower;
    unsigned number;
    unsigned punct;  /* what runs of "punctuation" are made of */
    unsigned prefix; /* what a word may start with */
    unsigned han;    /* a run of these is a piece, before all else */
    enum scan_contraction contraction;
    enum scan_digits digits;
    bool space_joins;   /* an optional space before words, numbers and punctuation, and no rule for line ends: row G */
    bool slash;         /* "/" goes on with the line ends behind punctuation */
    bool camel;         /* upper* lower+ | upper+ lower* */
    bool end_takes_all; /* \s++$ comes before the rule for line ends */
    bool borders;       /* numbers are regions of their own: white space before them sees the end of the text */
    bool deepseek;      /* the second and third split of row D */
};

#define SCAN_L3_SETS                                                                           \
    .letter = SCAN_SET_L, .number = SCAN_SET_N, .punct = SCAN_SET_M | SCAN_SET_P | SCAN_SET_X, \
    .prefix = SCAN_SET(SP) | SCAN_SET(WS) | SCAN_SET_M | SCAN_SET_P | SCAN_SET_X
#define SCAN_O_SETS                                                                                                              \
    .letter = SCAN_SET_L | SCAN_SET_M, .upper = SCAN_SET(LU) | SCAN_SET(LO) | SCAN_SET(HLO) | SCAN_SET_M,                        \
    .lower = SCAN_SET(LL) | SCAN_SET(LO) | SCAN_SET(HLO) | SCAN_SET_M, .number = SCAN_SET_N,                                     \
    .punct = SCAN_SET_M | SCAN_SET_P | SCAN_SET_X, .prefix = SCAN_SET(SP) | SCAN_SET(WS) | SCAN_SET_M | SCAN_SET_P | SCAN_SET_X, \
    .camel = true

#define SCAN_ROW_G                                                                                                     \
    .letter = SCAN_SET_L, .number = SCAN_SET_N, .punct = SCAN_SET_M | SCAN_SET_P | SCAN_SET_X, .prefix = SCAN_SET(SP), \
    .contraction = CONTRACTION_LOWER, .digits = DIGITS_ALL, .space_joins = true
#define SCAN_ROW_R                                                                                             \
    .letter = SCAN_SET_L, .number = SCAN_SET_N | SCAN_SET(XN), .punct = SCAN_SET_M | SCAN_SET_P | SCAN_SET(X), \
    .prefix = SCAN_SET(SP), .contraction = CONTRACTION_LOWER, .digits = DIGITS_ONE, .space_joins = true, .borders = true
#define SCAN_ROW_L3 SCAN_L3_SETS, .contraction = CONTRACTION_ANY, .digits = DIGITS_THREE
#define SCAN_ROW_C1 SCAN_L3_SETS, .contraction = CONTRACTION_ANY, .digits = DIGITS_ALL, .end_takes_all = true
#define SCAN_ROW_Q2 SCAN_L3_SETS, .contraction = CONTRACTION_ANY, .digits = DIGITS_ONE
#define SCAN_ROW_Q35                                                                           \
    .letter = SCAN_SET_L | SCAN_SET_M, .number = SCAN_SET_N, .punct = SCAN_SET_P | SCAN_SET_X, \
    .prefix = SCAN_SET(SP) | SCAN_SET(WS) | SCAN_SET_P | SCAN_SET_X, .contraction = CONTRACTION_ANY, .digits = DIGITS_ONE
#define SCAN_ROW_O SCAN_O_SETS, .contraction = CONTRACTION_SUFFIX, .digits = DIGITS_THREE, .slash = true
#define SCAN_ROW_T SCAN_O_SETS, .contraction = CONTRACTION_NONE, .digits = DIGITS_ONE, .slash = true
#define SCAN_ROW_K                                                                                                           \
    .letter = SCAN_SET(LU) | SCAN_SET(LL) | SCAN_SET(LO) | SCAN_SET(M), .upper = SCAN_SET(LU) | SCAN_SET(LO) | SCAN_SET(M),  \
    .lower = SCAN_SET(LL) | SCAN_SET(LO) | SCAN_SET(M), .number = SCAN_SET_N, .punct = SCAN_SET_M | SCAN_SET_P | SCAN_SET_X, \
    .prefix = SCAN_SET(SP) | SCAN_SET(WS) | SCAN_SET(M) | SCAN_SET(P) | SCAN_SET_X, .han = SCAN_SET_HAN, .camel = true,      \
    .contraction = CONTRACTION_SUFFIX, .digits = DIGITS_THREE
#define SCAN_ROW_D                                                                                                                \
    .letter = SCAN_SET_L | SCAN_SET_M, .number = SCAN_SET_N, .punct = SCAN_SET_P,                                                 \
    .prefix = SCAN_SET(SP) | SCAN_SET(WS) | SCAN_SET_X, .contraction = CONTRACTION_NONE, .digits = DIGITS_THREE, .borders = true, \
    .deepseek = true

/* V(number, name): all rows. C1 is the spec's C'. */
#define SCAN_ROWS(V) V(G) V(R) V(L3) V(C1) V(Q2) V(Q35) V(O) V(T) V(K) V(D)
enum scan_row_number {
#define V(name) SCAN_NUMBER_##name,
    SCAN_ROWS(V)
#undef V
        SCAN_ROW_COUNT
};

/* The end of the piece that begins at AT < N. */
typedef size_t scan_next_fn(const char *text, size_t n, size_t at);
#define V(name) scan_next_fn scan_next_##name;
SCAN_ROWS(V)
#undef V

/* "'s", "'T", "'ll" ... at text[at]: its length, or 0. */
static inline size_t scan_contraction(const char *text, size_t n, size_t at, bool any_case)
{
    const unsigned char *p = (const unsigned char *)text + at;
    unsigned fold = any_case ? 0x20 : 0;

    if (n - at < 2 || p[0] != '\'')
        return 0;
    unsigned char a = p[1] | fold;
    if (a == 's' || a == 't' || a == 'm' || a == 'd')
        return 2;
    if (n - at < 3)
        return 0;
    if (any_case && p[1] == 0xC5 && p[2] == 0xBF) /* U+017F folds to s */
        return 3;
    unsigned char b = p[2] | fold;
    return ((a == 'r' || a == 'v') && b == 'e') || (a == 'l' && b == 'l') ? 3 : 0;
}

/* One machine, all rows: what scanner_find chooses from. */
typedef size_t scan_fn(const char *text, size_t n, size_t begin, uint32_t *ends, size_t max);
extern const struct scanner SCANNERS_PORTABLE[SCAN_ROW_COUNT];
#ifdef __x86_64__
extern const struct scanner SCANNERS_SSE2[SCAN_ROW_COUNT];
extern const struct scanner SCANNERS_AVX2[SCAN_ROW_COUNT]; /* only when scanner_has_avx2() */
bool scanner_has_avx2(void);
#endif
enum scan_row_number scanner_row(const struct str *regexes, size_t n, bool digits_first); /* SCAN_ROW_COUNT = none */
