/* text/tokenizer/regex_class.c -- sets of characters: [...] with ranges, nested sets and &&, POSIX brackets, \p{...}, \s \d \w \h
 *
 * A set becomes one of
 *   [items]                      a PCRE2 class, when it is a union of ranges and properties
 *   (?:[items]|[^...]|...)       with negated parts, which a class cannot hold once code points are added to a property
 *   (?:(?=A)(?=B)C)              an intersection A && B && C
 *   (?:(?!set)(?s:.))            a negated set that is no plain class
 * each of which matches exactly one character and so may be repeated and looked behind at. Properties are spelled with PCRE2's names and the code points that its version of
 * Unicode lacks (regex_unicode.h): the answers are Oniguruma's for every code point, whatever PCRE2 is linked.
 */
#include <string.h>

#include "text/tokenizer/regex_internal.h"
#include "text/tokenizer/regex_unicode.h"

#include "text/tokenizer/unicode.h"

#define BIT(c)    (1u << UNICODE_##c)
#define LETTER    (BIT(LU) | BIT(LL) | BIT(LT) | BIT(LM) | BIT(LO))
#define MARK      (BIT(MN) | BIT(MC) | BIT(ME))
#define NUMBER    (BIT(ND) | BIT(NL) | BIT(NO))
#define PUNCT     (BIT(PC) | BIT(PD) | BIT(PS) | BIT(PE) | BIT(PI) | BIT(PF) | BIT(PO))
#define SYMBOL    (BIT(SM) | BIT(SC) | BIT(SK) | BIT(SO))
#define SEPARATOR (BIT(ZS) | BIT(ZL) | BIT(ZP))
#define OTHER     (BIT(CC) | BIT(CF) | BIT(CN) | BIT(CO) | BIT(CS))

static const struct {
    const char *name;
    uint32_t mask;
} CATEGORY_GROUPS[] = {
    { "L", LETTER },   { "M", MARK },     { "N", NUMBER },   { "P", PUNCT },    { "S", SYMBOL },   { "Z", SEPARATOR },
    { "C", OTHER },    { "Lu", BIT(LU) }, { "Ll", BIT(LL) }, { "Lt", BIT(LT) }, { "Lm", BIT(LM) }, { "Lo", BIT(LO) },
    { "Mn", BIT(MN) }, { "Mc", BIT(MC) }, { "Me", BIT(ME) }, { "Nd", BIT(ND) }, { "Nl", BIT(NL) }, { "No", BIT(NO) },
    { "Pc", BIT(PC) }, { "Pd", BIT(PD) }, { "Ps", BIT(PS) }, { "Pe", BIT(PE) }, { "Pi", BIT(PI) }, { "Pf", BIT(PF) },
    { "Po", BIT(PO) }, { "Sm", BIT(SM) }, { "Sc", BIT(SC) }, { "Sk", BIT(SK) }, { "So", BIT(SO) }, { "Zs", BIT(ZS) },
    { "Zl", BIT(ZL) }, { "Zp", BIT(ZP) }, { "Cc", BIT(CC) }, { "Cf", BIT(CF) }, { "Cn", BIT(CN) }, { "Co", BIT(CO) },
    { "Cs", BIT(CS) },
};

/* A property by name: a union of categories, of a property that PCRE2 has, of code points. */
struct property {
    const char *name; /* lower case, without space, '-' and '_': how Oniguruma compares */
    uint32_t categories;
    const char *pcre; /* text inside brackets, or NULL */
    const struct range *add;
    size_t add_n;
};
#define ADD(a) a, ARRAY_LEN(a)

#define SPACE_TEXT "\\x{9}-\\x{d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"
#define HEX_TEXT   "0-9A-Fa-f"
/* No joiners; and outside of brackets Oniguruma counts some of Latin-1's numbers as word characters. */
#define WORD_TEXT "\\p{Alphabetic}\\x{b2}\\x{b3}\\x{b9}\\x{bc}-\\x{be}"

static const struct property SPACE = { "space", 0, SPACE_TEXT, NULL, 0 };
static const struct property DIGIT = { "digit", BIT(ND), NULL, NULL, 0 };
static const struct property XDIGIT = { "xdigit", 0, HEX_TEXT, NULL, 0 };
static const struct property WORD = { "word", MARK | BIT(ND) | BIT(PC), WORD_TEXT, ADD(ADD_ALPHABETIC) };
static const struct property CLASS_WORD = { "word", MARK | BIT(ND) | BIT(PC), "\\p{Alphabetic}", ADD(ADD_ALPHABETIC) };

/* Names of \p{...} and of [[:...:]]; the first column of CATEGORY_GROUPS are names too. */
static const struct property PROPERTIES[] = {
    { "alnum", BIT(ND), "\\p{Alphabetic}", ADD(ADD_ALPHABETIC) },
    { "alpha", 0, "\\p{Alphabetic}", ADD(ADD_ALPHABETIC) },
    { "alphabetic", 0, "\\p{Alphabetic}", ADD(ADD_ALPHABETIC) },
    { "ascii", 0, "\\x{0}-\\x{7f}", NULL, 0 },
    { "any", 0, "\\x{0}-\\x{10ffff}", NULL, 0 },
    { "blank", BIT(ZS), "\\x{9}", NULL, 0 },
    { "cntrl", BIT(CC), NULL, NULL, 0 },
    { "graph", LETTER | MARK | NUMBER | PUNCT | SYMBOL | BIT(CF) | BIT(CO), NULL, NULL, 0 },
    { "print", LETTER | MARK | NUMBER | PUNCT | SYMBOL | BIT(CF) | BIT(CO) | BIT(ZS), NULL, NULL, 0 },
    { "lower", 0, "\\p{Lowercase}", ADD(ADD_LOWERCASE) },
    { "lowercase", 0, "\\p{Lowercase}", ADD(ADD_LOWERCASE) },
    { "upper", 0, "\\p{Uppercase}", ADD(ADD_UPPERCASE) },
    { "uppercase", 0, "\\p{Uppercase}", ADD(ADD_UPPERCASE) },
    { "whitespace", 0, SPACE_TEXT, NULL, 0 },
    { "punct", PUNCT, NULL, NULL, 0 },
    { "letter", LETTER, NULL, NULL, 0 },
    { "uppercaseletter", BIT(LU), NULL, NULL, 0 },
    { "lowercaseletter", BIT(LL), NULL, NULL, 0 },
    { "titlecaseletter", BIT(LT), NULL, NULL, 0 },
    { "casedletter", BIT(LU) | BIT(LL) | BIT(LT), NULL, NULL, 0 },
    { "lc", BIT(LU) | BIT(LL) | BIT(LT), NULL, NULL, 0 },
    { "modifierletter", BIT(LM), NULL, NULL, 0 },
    { "otherletter", BIT(LO), NULL, NULL, 0 },
    { "mark", MARK, NULL, NULL, 0 },
    { "combiningmark", MARK, NULL, NULL, 0 },
    { "nonspacingmark", BIT(MN), NULL, NULL, 0 },
    { "spacingmark", BIT(MC), NULL, NULL, 0 },
    { "enclosingmark", BIT(ME), NULL, NULL, 0 },
    { "number", NUMBER, NULL, NULL, 0 },
    { "decimalnumber", BIT(ND), NULL, NULL, 0 },
    { "letternumber", BIT(NL), NULL, NULL, 0 },
    { "othernumber", BIT(NO), NULL, NULL, 0 },
    { "punctuation", PUNCT, NULL, NULL, 0 },
    { "connectorpunctuation", BIT(PC), NULL, NULL, 0 },
    { "dashpunctuation", BIT(PD), NULL, NULL, 0 },
    { "openpunctuation", BIT(PS), NULL, NULL, 0 },
    { "closepunctuation", BIT(PE), NULL, NULL, 0 },
    { "initialpunctuation", BIT(PI), NULL, NULL, 0 },
    { "finalpunctuation", BIT(PF), NULL, NULL, 0 },
    { "otherpunctuation", BIT(PO), NULL, NULL, 0 },
    { "symbol", SYMBOL, NULL, NULL, 0 },
    { "mathsymbol", BIT(SM), NULL, NULL, 0 },
    { "currencysymbol", BIT(SC), NULL, NULL, 0 },
    { "modifiersymbol", BIT(SK), NULL, NULL, 0 },
    { "othersymbol", BIT(SO), NULL, NULL, 0 },
    { "separator", SEPARATOR, NULL, NULL, 0 },
    { "spaceseparator", BIT(ZS), NULL, NULL, 0 },
    { "lineseparator", BIT(ZL), NULL, NULL, 0 },
    { "paragraphseparator", BIT(ZP), NULL, NULL, 0 },
    { "other", OTHER, NULL, NULL, 0 },
    { "control", BIT(CC), NULL, NULL, 0 },
    { "format", BIT(CF), NULL, NULL, 0 },
    { "unassigned", BIT(CN), NULL, NULL, 0 },
    { "privateuse", BIT(CO), NULL, NULL, 0 },
    { "surrogate", BIT(CS), NULL, NULL, 0 },
    { "common", 0, "\\p{sc:Common}", ADD(ADD_COMMON) },
    { "inherited", 0, "\\p{sc:Inherited}", NULL, 0 },
    { "han", 0, "\\p{sc:Han}", ADD(ADD_HAN) },
    { "hiragana", 0, "\\p{sc:Hiragana}", ADD(ADD_HIRAGANA) },
    { "katakana", 0, "\\p{sc:Katakana}", ADD(ADD_KATAKANA) },
    { "hangul", 0, "\\p{sc:Hangul}", NULL, 0 },
    { "bopomofo", 0, "\\p{sc:Bopomofo}", NULL, 0 },
    { "latin", 0, "\\p{sc:Latin}", ADD(ADD_LATIN) },
    { "greek", 0, "\\p{sc:Greek}", NULL, 0 },
    { "cyrillic", 0, "\\p{sc:Cyrillic}", ADD(ADD_CYRILLIC) },
    { "armenian", 0, "\\p{sc:Armenian}", NULL, 0 },
    { "georgian", 0, "\\p{sc:Georgian}", NULL, 0 },
    { "hebrew", 0, "\\p{sc:Hebrew}", NULL, 0 },
    { "arabic", 0, "\\p{sc:Arabic}", ADD(ADD_ARABIC) },
    { "thai", 0, "\\p{sc:Thai}", NULL, 0 },
    { "lao", 0, "\\p{sc:Lao}", ADD(ADD_LAO) },
    { "khmer", 0, "\\p{sc:Khmer}", NULL, 0 },
    { "myanmar", 0, "\\p{sc:Myanmar}", ADD(ADD_MYANMAR) },
    { "tibetan", 0, "\\p{sc:Tibetan}", NULL, 0 },
    { "mongolian", 0, "\\p{sc:Mongolian}", NULL, 0 },
    { "ethiopic", 0, "\\p{sc:Ethiopic}", NULL, 0 },
    { "devanagari", 0, "\\p{sc:Devanagari}", ADD(ADD_DEVANAGARI) },
    { "bengali", 0, "\\p{sc:Bengali}", NULL, 0 },
    { "tamil", 0, "\\p{sc:Tamil}", NULL, 0 },
    { "telugu", 0, "\\p{sc:Telugu}", NULL, 0 },
    { "kannada", 0, "\\p{sc:Kannada}", ADD(ADD_KANNADA) },
    { "malayalam", 0, "\\p{sc:Malayalam}", NULL, 0 },
    { "gujarati", 0, "\\p{sc:Gujarati}", NULL, 0 },
    { "gurmukhi", 0, "\\p{sc:Gurmukhi}", NULL, 0 },
    { "oriya", 0, "\\p{sc:Oriya}", NULL, 0 },
    { "sinhala", 0, "\\p{sc:Sinhala}", NULL, 0 },
};

/* ---- writing sets ---- */

void regex_set_fini(struct regex_set *s)
{
    buf_fini(&s->items);
    buf_fini(&s->others);
}

static void begin_other(struct regex_set *s)
{
    if (s->others_n++)
        buf_put_char(&s->others, '|');
}

void regex_put_set(struct buf *out, const struct regex_set *s, bool negated)
{
    struct str items = buf_str(&s->items);
    if (!s->others_n && items.n) {
        buf_printf(out, negated ? "[^%.*s]" : "[%.*s]", STR_FMT(items));
        return;
    }
    if (!s->others_n) {
        buf_put(out, negated ? STR("(?s:.)") : STR("(?!)"));
        return;
    }
    buf_put(out, negated ? STR("(?:(?!") : STR("(?:"));
    if (items.n)
        buf_printf(out, "[%.*s]|", STR_FMT(items));
    buf_put(out, buf_str(&s->others));
    buf_put(out, negated ? STR(")(?s:.))") : STR(")"));
}

static void put_range(struct buf *out, uint32_t from, uint32_t to)
{
    regex_put_code(out, from);
    if (to != from) {
        buf_put_char(out, '-');
        regex_put_code(out, to);
    }
}

static void put_categories(struct buf *out, uint32_t mask)
{
    uint32_t left = mask;
    for (size_t i = 0; i < ARRAY_LEN(CATEGORY_GROUPS); i++)
        if ((left & CATEGORY_GROUPS[i].mask) == CATEGORY_GROUPS[i].mask) {
            buf_printf(out, "\\p{%s}", CATEGORY_GROUPS[i].name);
            left &= ~CATEGORY_GROUPS[i].mask;
        }
    for (size_t i = 0; i < ARRAY_LEN(SINCE_14); i++)
        if (mask >> SINCE_14[i].category & 1)
            put_range(out, SINCE_14[i].from, SINCE_14[i].to);
    if (mask & BIT(MC) && !(mask & BIT(MN)))
        put_range(out, 0x1171e, 0x1171e);
}

/* What PCRE2's categories hold and Oniguruma's do not. */
static void put_surplus(struct buf *out, uint32_t mask)
{
    if (mask & BIT(CN))
        for (size_t i = 0; i < ARRAY_LEN(SINCE_14); i++)
            if (!(mask >> SINCE_14[i].category & 1))
                put_range(out, SINCE_14[i].from, SINCE_14[i].to);
    if (mask & BIT(MN) && !(mask & BIT(MC)))
        put_range(out, 0x1171e, 0x1171e);
}

static void add_property(struct regex_set *s, const struct property *p, bool negated)
{
    struct buf text = { 0 }, surplus = { 0 };
    if (p->pcre)
        buf_put(&text, str_of(p->pcre));
    put_categories(&text, p->categories);
    for (size_t i = 0; i < p->add_n; i++)
        put_range(&text, p->add[i].from, p->add[i].to);
    put_surplus(&surplus, p->categories);
    if (!negated && !surplus.n)
        buf_put(&s->items, buf_str(&text));
    else if (!negated) {
        begin_other(s);
        buf_printf(&s->others, "(?![%.*s])[%.*s]", STR_FMT(buf_str(&surplus)), STR_FMT(buf_str(&text)));
    } else {
        begin_other(s);
        buf_printf(&s->others, "[^%.*s]", STR_FMT(buf_str(&text)));
        buf_put(&s->items, buf_str(&surplus));
    }
    if (text.failed || surplus.failed)
        s->items.failed = true;
    buf_fini(&text);
    buf_fini(&surplus);
}

void regex_put_word(struct buf *out, bool negated)
{
    struct regex_set s = { 0 };
    add_property(&s, &WORD, false);
    regex_put_set(out, &s, negated);
    out->failed |= s.items.failed;
    regex_set_fini(&s);
}

/* ---- properties by name ---- */

#define NAME_MAX_BYTES 64

static bool find_property(struct str name, bool in_class, struct property *ret)
{
    char text[NAME_MAX_BYTES];
    size_t n = 0;
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        if (c == ' ' || c == '-' || c == '_')
            continue;
        if (n == sizeof(text))
            return false;
        text[n++] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
    }
    struct str key = { text, n };
    for (size_t i = 0; i < ARRAY_LEN(CATEGORY_GROUPS); i++)
        if (str_eq_nocase(key, str_of(CATEGORY_GROUPS[i].name))) {
            *ret = (struct property){ .categories = CATEGORY_GROUPS[i].mask };
            return true;
        }
    const struct property *const shared[] = { &SPACE, &DIGIT, &XDIGIT, in_class ? &CLASS_WORD : &WORD };
    for (size_t i = 0; i < ARRAY_LEN(shared); i++)
        if (str_eq(key, str_of(shared[i]->name))) {
            *ret = *shared[i];
            return true;
        }
    for (size_t i = 0; i < ARRAY_LEN(PROPERTIES); i++)
        if (str_eq(key, str_of(PROPERTIES[i].name))) {
            *ret = PROPERTIES[i];
            return true;
        }
    return false;
}

/* At "p{" or "P{". */
static int named_property(struct regex_translator *t, bool in_class, struct regex_set *s)
{
    const char *at = t->p - 1;
    bool negated = *t->p == 'P';
    t->p += 2;
    const char *close = memchr(t->p, '}', (size_t)(t->end - t->p));
    if (!close)
        return regex_fail(t, ERR_SYNTAX, at, "\\p{ without }");
    struct str name = str_range(t->p, close);
    if (name.n && name.p[0] == '^') {
        negated = !negated;
        name = str_skip(name, 1);
    }
    struct property p;
    if (!find_property(name, in_class, &p))
        return regex_fail(t, ERR_UNSUPPORTED, at, "\\p{...} with this name is not supported");
    if (t->ignore_case)
        return regex_fail(t, ERR_UNSUPPORTED, at, "\\p{...} under (?i) is not supported");
    t->p = close + 1;
    add_property(s, &p, negated);
    return 0;
}

int regex_class_escape(struct regex_translator *t, bool in_class, struct regex_set *s)
{
    char c = *t->p;
    if ((c == 'p' || c == 'P') && t->end - t->p > 1 && t->p[1] == '{')
        return named_property(t, in_class, s);
    const struct property *p = c == 's' || c == 'S'   ? &SPACE
                               : c == 'd' || c == 'D' ? &DIGIT
                               : c == 'w' || c == 'W' ? (in_class ? &CLASS_WORD : &WORD)
                               : c == 'h' || c == 'H' ? &XDIGIT
                                                      : NULL;
    if (!p)
        return 1;
    t->p++;
    add_property(s, p, c < 'a');
    return 0;
}

/* ---- [...] ---- */

static int class_operands(struct regex_translator *t, struct regex_set *ret);

/* At "[:" ... ":]"; 1 when it is none. */
static int posix_bracket(struct regex_translator *t, struct regex_set *s)
{
    const char *at = t->p;
    const char *q = t->p + 2;
    bool negated = q < t->end && *q == '^';
    q += negated;
    const char *name = q;
    while (q < t->end && *q >= 'a' && *q <= 'z')
        q++;
    if (t->end - q < 2 || q[0] != ':' || q[1] != ']')
        return 1;
    struct property p;
    if (str_eq(str_range(name, q), STR("punct")))
        p = (struct property){ .categories = PUNCT | SYMBOL }; /* unlike \p{Punct} */
    else if (!find_property(str_range(name, q), true, &p))
        return regex_fail(t, ERR_UNSUPPORTED, at, "a POSIX bracket with this name is not supported");
    if (t->ignore_case)
        return regex_fail(t, ERR_UNSUPPORTED, at, "a POSIX bracket under (?i) is not supported");
    t->p = q + 2;
    add_property(s, &p, negated);
    return 0;
}

/* Takes SUB, which is one member of S. */
static void add_set(struct regex_set *s, struct regex_set *sub, bool negated)
{
    if (!negated && !sub->others_n)
        buf_put(&s->items, buf_str(&sub->items));
    else {
        begin_other(s);
        regex_put_set(&s->others, sub, negated);
    }
    s->items.failed |= sub->items.failed || sub->others.failed;
}

/* Behind "[" of a set inside a set. */
static int nested(struct regex_translator *t, struct regex_set *s)
{
    if (++t->depth > REGEX_DEPTH_MAX)
        return regex_fail(t, ERR_LIMIT, t->p, "too deeply nested");
    struct regex_set sub = { 0 };
    bool negated = t->p < t->end && *t->p == '^';
    t->p += negated;
    int r = class_operands(t, &sub);
    if (r == 0)
        add_set(s, &sub, negated);
    regex_set_fini(&sub);
    t->depth--;
    return r;
}

static bool at_text(const struct regex_translator *t, const char *q, const char *text)
{
    size_t n = strlen(text);
    return (size_t)(t->end - q) >= n && memcmp(q, text, n) == 0;
}

/* One character: literal or escape. 1: it is a set (\s ...), which went into S. */
static int class_code(struct regex_translator *t, struct regex_set *s, uint32_t *ret)
{
    if (*t->p != '\\')
        return regex_read_code(t, ret);
    const char *at = t->p++;
    if (t->p == t->end)
        return regex_fail(t, ERR_SYNTAX, at, "a backslash at the end");
    int r = regex_class_escape(t, true, s);
    if (r <= 0)
        return r < 0 ? r : 1;
    if (*t->p == 'b') {
        t->p++;
        *ret = 8;
        return 0;
    }
    r = regex_read_escape(t, ret);
    return r == 1 ? regex_fail(t, ERR_UNSUPPORTED, at, "this escape in [...] is not supported") : r;
}

/* Is t->p at a "-" that makes a range with what comes behind it? */
static bool at_range(const struct regex_translator *t)
{
    return t->end - t->p >= 2 && t->p[0] == '-' && t->p[1] != ']' && !at_text(t, t->p + 1, "&&");
}

/* FROM was read. */
static int class_range(struct regex_translator *t, struct regex_set *s, const char *at, uint32_t from)
{
    uint32_t to = from;
    if (at_range(t)) {
        t->p++;
        if (*t->p == '[')
            return regex_fail(t, ERR_UNSUPPORTED, at, "a set at the end of a range");
        struct regex_set ignored = { 0 };
        int r = class_code(t, &ignored, &to);
        regex_set_fini(&ignored);
        if (r)
            return r < 0 ? r : regex_fail(t, ERR_SYNTAX, at, "a class at the end of a range");
        if (to < from)
            return regex_fail(t, ERR_SYNTAX, at, "an empty range in [...]");
        if (t->p < t->end && *t->p == '-') { /* [a-c-e]: a literal one */
            t->p++;
            regex_put_code(&s->items, '-');
        }
    }
    if (t->ignore_case && from != to && (to > 0x7f))
        return regex_fail(t, ERR_UNSUPPORTED, at, "a range past ASCII under (?i) is not supported");
    put_range(&s->items, from, to);
    return 0;
}

/* Everything up to "&&" or "]" (not consumed). */
static int class_union(struct regex_translator *t, struct regex_set *s, bool first)
{
    while (t->p < t->end && !at_text(t, t->p, "&&")) {
        const char *at = t->p;
        if (*t->p == ']' && !(first && memchr(t->p + 1, ']', (size_t)(t->end - t->p - 1))))
            return 0;
        first = false;
        int r = 1;
        if (at_text(t, t->p, "[:"))
            r = posix_bracket(t, s);
        if (r == 1 && *t->p == '[') {
            t->p++;
            r = nested(t, s);
        }
        if (r < 0)
            return r;
        if (r == 0)
            continue;
        uint32_t code = 0;
        r = class_code(t, s, &code);
        if (r < 0)
            return r;
        if (r == 1) {
            if (at_range(t))
                return regex_fail(t, ERR_SYNTAX, at, "a class at the start of a range");
            continue;
        }
        if (t->ignore_case && code > 0x7f)
            return regex_fail(t, ERR_UNSUPPORTED, at, "a character past ASCII in [...] under (?i) is not supported");
        r = class_range(t, s, at, code);
        if (r < 0)
            return r;
    }
    return t->p < t->end ? 0 : regex_fail(t, ERR_SYNTAX, t->end, "[ without ]");
}

/* Behind "[" and "^": to behind "]". */
static int class_operands(struct regex_translator *t, struct regex_set *ret)
{
    if (t->p < t->end && *t->p == ']' && !memchr(t->p + 1, ']', (size_t)(t->end - t->p - 1)))
        return regex_fail(t, ERR_SYNTAX, t->p, "an empty [...]");
    struct regex_set whole = { 0 }, one = { 0 };
    bool intersected = false;
    int r;
    for (;;) {
        r = class_union(t, &one, !intersected);
        if (r < 0)
            break;
        bool more = *t->p == '&';
        t->p += more ? 2 : 1;
        if (!more && !intersected) {
            *ret = one;
            return 0;
        }
        if (!intersected)
            begin_other(&whole);
        intersected = true;
        whole.items.failed |= one.items.failed || one.others.failed;
        if (more)
            buf_puts(&whole.others, "(?=");
        regex_put_set(&whole.others, &one, false);
        if (more)
            buf_puts(&whole.others, ")");
        regex_set_fini(&one);
        one = (struct regex_set){ 0 };
        if (!more)
            break;
    }
    regex_set_fini(&one);
    if (r < 0)
        regex_set_fini(&whole);
    else
        *ret = whole;
    return r;
}

int regex_class(struct regex_translator *t)
{
    struct regex_set s = { 0 };
    bool negated = t->p < t->end && *t->p == '^';
    t->p += negated;
    int r = class_operands(t, &s);
    if (r == 0) {
        regex_put_set(t->out, &s, negated);
        t->out->failed |= s.items.failed || s.others.failed;
    }
    regex_set_fini(&s);
    return r;
}
