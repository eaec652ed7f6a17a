/* text/tokenizer/regex_translate.c -- Oniguruma's syntax to PCRE2's: groups, quantifiers, escapes (sets of characters: regex_class.c)
 *
 * A recursive descent over the pattern that writes as it reads. Every atom is written so that PCRE2 sees one item, so a quantifier can be written behind it. Where the two differ:
 *   {n,m}+      is no possessive but a repetition of a repetition: (?:x{n,m})+        {n}? is (?:x{n})?        {,m} is {0,m}        {m,n} with m > n is possessive
 *   a**  a{2}{3} repeat repetitions                                            (?i) in the middle holds to the end of its group, alternatives included
 *   (?m:.)      matches newlines; ^ and $ always look at lines                 with named groups plain ones do not capture
 *   \b \w       go by Oniguruma's word characters                              \h is a hex digit; \Z \O \N \R are spelled out
 * Refused, by name: calls \g, absent (?~), conditions, callouts (*), \X \y \Y \K \G, \M- \C-, options other than i m x, and characters under (?i) whose folding is longer than one
 * character ("ss" is the same as one U+00DF to Oniguruma).
 */
#include <stdio.h>
#include <string.h>
#include <utf8proc.h>

#include "text/tokenizer/regex_internal.h"

#include "base/utf8.h"

#define REPEAT_MAX 65535u /* PCRE2's */
#define INFINITE   UINT32_MAX

static int alternatives(struct regex_translator *t);
static int repeated_atom(struct regex_translator *t);
static int group(struct regex_translator *t, bool *ret_repeatable);
static int escape(struct regex_translator *t, bool *ret_repeatable);
static int literal(struct regex_translator *t, uint32_t code, const char *at);

int regex_fail(struct regex_translator *t, int code, const char *at, const char *what)
{
    struct str shown = utf8_first(t->pattern, 160);
    return err_set(t->err, code, "regex `%.*s%s`: %s (at byte %zu)", STR_FMT(shown), shown.n < t->pattern.n ? "..." : "", what,
                   (size_t)(at - t->pattern.p));
}

int regex_read_code(struct regex_translator *t, uint32_t *ret)
{
    struct str left = str_range(t->p, t->end);
    size_t n = utf8_length(left);
    utf8proc_int32_t code;
    if (!n || utf8proc_iterate((const utf8proc_uint8_t *)left.p, (utf8proc_ssize_t)n, &code) != (utf8proc_ssize_t)n)
        return regex_fail(t, ERR_SYNTAX, t->p, "not UTF-8");
    t->p += n;
    *ret = (uint32_t)code;
    return 0;
}

void regex_put_code(struct buf *out, uint32_t code)
{
    if ((code >= '0' && code <= '9') || (code >= 'A' && code <= 'Z') || (code >= 'a' && code <= 'z'))
        buf_put_char(out, (char)code);
    else
        buf_printf(out, "\\x{%x}", code);
}

/* ---- escapes that are one character ---- */

static int digit_of(char c, unsigned base)
{
    int v = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : 99;
    return v < (int)base ? v : -1;
}

/* Up to MAX digits at t->p. */
static unsigned read_digits(struct regex_translator *t, unsigned base, unsigned max, uint32_t *ret)
{
    unsigned n = 0;
    uint32_t v = 0;
    for (int d; n < max && t->p < t->end && (d = digit_of(*t->p, base)) >= 0; n++, t->p++)
        v = v * base + (uint32_t)d;
    *ret = v;
    return n;
}

static int scalar(struct regex_translator *t, const char *at, uint32_t code, uint32_t *ret)
{
    if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
        return regex_fail(t, ERR_SYNTAX, at, "no Unicode character");
    *ret = code;
    return 0;
}

/* \x{...} and \o{...}, at "{". */
static int braced(struct regex_translator *t, unsigned base, const char *at, uint32_t *ret)
{
    uint32_t code;
    t->p++;
    unsigned n = read_digits(t, base, base == 16 ? 8 : 11, &code);
    if (!n || t->p == t->end || *t->p != '}')
        return regex_fail(t, ERR_UNSUPPORTED, at, "one number belongs between the braces");
    t->p++;
    return scalar(t, at, code, ret);
}

/* \xHH: below 80 a character, else one byte of a character of which all bytes are written so. */
static int hex_bytes(struct regex_translator *t, const char *at, uint32_t *ret)
{
    char bytes[4];
    for (unsigned n = 0; n < 4;) {
        uint32_t v;
        if (!read_digits(t, 16, 2, &v))
            return regex_fail(t, ERR_UNSUPPORTED, at, "\\x without digits");
        if (!n && v < 0x80) {
            *ret = v;
            return 0;
        }
        bytes[n++] = (char)v;
        if (utf8_length((struct str){ bytes, n }) == n) {
            utf8proc_int32_t code;
            (void)utf8proc_iterate((const utf8proc_uint8_t *)bytes, n, &code); /* it is valid: just checked */
            *ret = (uint32_t)code;
            return 0;
        }
        if (t->end - t->p < 2 || t->p[0] != '\\' || t->p[1] != 'x')
            break;
        t->p += 2;
    }
    return regex_fail(t, ERR_UNSUPPORTED, at, "\\x bytes that make no character");
}

int regex_read_escape(struct regex_translator *t, uint32_t *ret)
{
    static const char OTHERS[] = "cCMkgKXyYGRNOAzZbB89"; /* not characters, or not done */
    static const char NAMES[] = "tnrfaev", CODES[] = "\t\n\r\f\a\033\v";
    const char *at = t->p;
    char c = *t->p;
    const char *named = memchr(NAMES, c, sizeof(NAMES) - 1);
    if (named) {
        t->p++;
        *ret = (uint32_t)CODES[named - NAMES];
        return 0;
    }
    if (c == 'x' || c == 'o') {
        if (t->end - t->p > 1 && t->p[1] == '{') {
            t->p++;
            return braced(t, c == 'x' ? 16 : 8, at, ret);
        }
        t->p++;
        if (c == 'x')
            return hex_bytes(t, at, ret);
        *ret = 'o';
        return 0;
    }
    if (c == 'u') {
        t->p++;
        uint32_t code;
        if (read_digits(t, 16, 4, &code) != 4)
            return regex_fail(t, ERR_SYNTAX, at, "\\u takes four hex digits");
        return scalar(t, at, code, ret);
    }
    if (c >= '0' && c <= '7') {
        uint32_t code;
        read_digits(t, 8, 3, &code);
        return code < 0x80 ? scalar(t, at, code, ret) : regex_fail(t, ERR_UNSUPPORTED, at, "an octal byte past 177");
    }
    if (memchr(OTHERS, c, sizeof(OTHERS) - 1))
        return 1;
    return regex_read_code(t, ret); /* anything else stands for itself */
}

/* ---- literals, and folding under (?i) ---- */

/* Is A (and B, when not 0) at the front of a folding that is longer than one character? */
static bool folds_long(uint32_t a, uint32_t b)
{
    static const struct {
        uint32_t from, to;
    } AREAS[] = { { 0xdf, 0x587 }, { 0x1e96, 0x1ffc }, { 0xfb00, 0xfb17 } };
    utf8proc_int32_t fold_a[4], fold_b[4], fold[8];
    int state = 0;
    if (utf8proc_decompose_char((utf8proc_int32_t)a, fold_a, 4, UTF8PROC_CASEFOLD, &state) != 1)
        return true;
    if (!b || utf8proc_decompose_char((utf8proc_int32_t)b, fold_b, 4, UTF8PROC_CASEFOLD, &state) != 1)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(AREAS); i++)
        for (uint32_t c = AREAS[i].from; c <= AREAS[i].to; c++)
            if (utf8proc_decompose_char((utf8proc_int32_t)c, fold, 8, UTF8PROC_CASEFOLD, &state) > 1 && fold[0] == fold_a[0] &&
                fold[1] == fold_b[0])
                return true;
    return false;
}

static int literal(struct regex_translator *t, uint32_t code, const char *at)
{
    if (t->ignore_case && (folds_long(code, 0) || (t->last_literal && folds_long(t->last_literal, code))))
        return regex_fail(t, ERR_UNSUPPORTED, at, "under (?i), text that folds to or from several characters is not supported");
    regex_put_code(t->out, code);
    t->last_literal = code;
    return 0;
}

/* ---- groups ---- */

static void skip_extended(struct regex_translator *t)
{
    while (t->extended && t->p < t->end) {
        if (strchr(" \t\n\r\f\v", *t->p) && *t->p)
            t->p++;
        else if (*t->p == '#')
            while (t->p < t->end && *t->p != '\n')
                t->p++;
        else
            return;
    }
}

/* The rest of the group, to its ")". */
static int group_body(struct regex_translator *t, const char *at)
{
    if (++t->depth > REGEX_DEPTH_MAX)
        return regex_fail(t, ERR_LIMIT, at, "too deeply nested");
    bool i = t->ignore_case, m = t->dot_all, x = t->extended;
    t->last_literal = 0;
    int r = alternatives(t);
    if (r < 0)
        return r;
    if (t->p == t->end)
        return regex_fail(t, ERR_SYNTAX, at, "( without )");
    t->p++;
    buf_put_char(t->out, ')');
    t->ignore_case = i;
    t->dot_all = m;
    t->extended = x;
    t->last_literal = 0;
    t->depth--;
    return 0;
}

/* At the first letter of (?imx-imx) or (?imx-imx:...). */
static int options(struct regex_translator *t, const char *at, bool *ret_repeatable)
{
    bool i = t->ignore_case, m = t->dot_all, x = t->extended, on = true;
    bool new_i = i, new_m = m, new_x = x;
    for (; t->p < t->end && *t->p != ':' && *t->p != ')'; t->p++)
        switch (*t->p) {
        case '-':
            on = false;
            break;
        case 'i':
            new_i = on;
            break;
        case 'm':
            new_m = on;
            break;
        case 'x':
            new_x = on;
            break;
        default:
            return regex_fail(t, ERR_UNSUPPORTED, at, "options other than i, m, x are not supported");
        }
    if (t->p == t->end)
        return regex_fail(t, ERR_SYNTAX, at, "( without )");
    bool whole = *t->p++ == ':';
    t->ignore_case = new_i;
    t->dot_all = new_m;
    t->extended = new_x;
    buf_put(t->out, new_i ? STR("(?i:") : STR("(?-i:"));
    if (whole) {
        int r = group_body(t, at);
        t->ignore_case = i;
        t->dot_all = m;
        t->extended = x;
        return r;
    }
    if (++t->depth > REGEX_DEPTH_MAX)
        return regex_fail(t, ERR_LIMIT, at, "too deeply nested");
    *ret_repeatable = false;
    t->last_literal = 0;
    int r = alternatives(t); /* the rest of the group around it, whose end restores the options */
    buf_put_char(t->out, ')');
    t->depth--;
    return r;
}

/* Behind "(?<" or "(?'": a name and its end. */
static int named_group(struct regex_translator *t, const char *at, char close)
{
    const char *end = memchr(t->p, close, (size_t)(t->end - t->p));
    if (!end || end == t->p)
        return regex_fail(t, ERR_SYNTAX, at, "a group name without an end");
    for (const char *q = t->p; q < end; q++)
        if (!((*q >= 'a' && *q <= 'z') || (*q >= 'A' && *q <= 'Z') || *q == '_' || (q > t->p && *q >= '0' && *q <= '9')))
            return regex_fail(t, ERR_UNSUPPORTED, at, "a group name of other than ASCII letters, digits and _");
    buf_printf(t->out, "(?<%.*s>", STR_FMT(str_range(t->p, end)));
    t->p = end + 1;
    t->groups++;
    return group_body(t, at);
}

/* Behind "(". */
static int group(struct regex_translator *t, bool *ret_repeatable)
{
    const char *at = t->p - 1;
    size_t left = (size_t)(t->end - t->p);
    if (left && *t->p == '*')
        return regex_fail(t, ERR_UNSUPPORTED, at, "callouts (*...) are not supported");
    if (!left || *t->p != '?') {
        t->groups += !t->named;
        buf_put(t->out, t->named ? STR("(?:") : STR("("));
        return group_body(t, at);
    }
    static const struct {
        struct str in;
        bool assertion;
    } PLAIN[] = { { STR_INIT("?:"), false }, { STR_INIT("?>"), false }, { STR_INIT("?="), true },
                  { STR_INIT("?!"), true },  { STR_INIT("?<="), true }, { STR_INIT("?<!"), true } };
    for (size_t i = 0; i < ARRAY_LEN(PLAIN); i++)
        if (str_has_prefix((struct str){ t->p, left }, PLAIN[i].in)) {
            buf_printf(t->out, "(%.*s", STR_FMT(PLAIN[i].in));
            t->p += PLAIN[i].in.n;
            *ret_repeatable = !PLAIN[i].assertion;
            return group_body(t, at);
        }
    t->p++;
    char c = left > 1 ? *t->p : 0;
    if (c == '#') {
        const char *end = memchr(t->p, ')', (size_t)(t->end - t->p));
        if (!end)
            return regex_fail(t, ERR_SYNTAX, at, "(?# without )");
        t->p = end + 1;
        *ret_repeatable = false;
        return 0;
    }
    if (c == '<' || c == '\'') {
        t->p++;
        return named_group(t, at, c == '<' ? '>' : '\'');
    }
    if (c == '~')
        return regex_fail(t, ERR_UNSUPPORTED, at, "absent groups (?~...) are not supported");
    if (c == '(')
        return regex_fail(t, ERR_UNSUPPORTED, at, "conditions (?(...)...) are not supported");
    if (c == '{')
        return regex_fail(t, ERR_UNSUPPORTED, at, "callouts (?{...}) are not supported");
    return options(t, at, ret_repeatable);
}

/* ---- escapes ---- */

static int backreference(struct regex_translator *t, const char *at)
{
    uint32_t n;
    read_digits(t, 10, 3, &n);
    if (t->named || n > t->groups)
        return regex_fail(t, ERR_SYNTAX, at, "no group of this number before it");
    buf_printf(t->out, "\\g{%u}", n);
    return 0;
}

static int named_reference(struct regex_translator *t, const char *at)
{
    t->p++;
    const char *end = t->p < t->end && *t->p == '<' ? memchr(t->p, '>', (size_t)(t->end - t->p)) : NULL;
    if (!end)
        return regex_fail(t, ERR_SYNTAX, at, "\\k takes <name>");
    for (const char *q = t->p + 1; q < end; q++)
        if (!((*q >= 'a' && *q <= 'z') || (*q >= 'A' && *q <= 'Z') || *q == '_' || (*q >= '0' && *q <= '9' && q > t->p + 1)))
            return regex_fail(t, ERR_UNSUPPORTED, at, "\\k with other than a plain name");
    buf_printf(t->out, "\\k%.*s", STR_FMT(str_range(t->p, end + 1)));
    t->p = end + 1;
    return 0;
}

static void word_border(struct buf *out, bool negated)
{
    struct buf word = { 0 };
    regex_put_word(&word, false);
    struct str w = buf_str(&word);
    if (negated)
        buf_printf(out, "(?:(?<=%.*s)(?=%.*s)|(?<!%.*s)(?!%.*s))", STR_FMT(w), STR_FMT(w), STR_FMT(w), STR_FMT(w));
    else
        buf_printf(out, "(?:(?<=%.*s)(?!%.*s)|(?<!%.*s)(?=%.*s))", STR_FMT(w), STR_FMT(w), STR_FMT(w), STR_FMT(w));
    out->failed |= word.failed;
    buf_fini(&word);
}

/* Behind "\". */
static int escape(struct regex_translator *t, bool *ret_repeatable)
{
    const char *at = t->p - 1;
    if (t->p == t->end)
        return regex_fail(t, ERR_SYNTAX, at, "a backslash at the end");
    struct regex_set s = { 0 };
    int r = regex_class_escape(t, false, &s);
    if (r == 0) {
        regex_put_set(t->out, &s, false);
        t->out->failed |= s.items.failed || s.others.failed;
        t->last_literal = 0;
    }
    regex_set_fini(&s);
    if (r <= 0)
        return r;
    char c = *t->p;
    uint32_t number = 0;
    const char *digits = t->p;
    read_digits(t, 10, 3, &number);
    t->p = digits;
    if (c >= '1' && c <= '9' && (number <= 9 || number <= t->groups)) {
        t->last_literal = 0;
        return backreference(t, at);
    }
    uint32_t code;
    r = regex_read_escape(t, &code);
    if (r <= 0)
        return r < 0 ? r : literal(t, code, at);
    t->last_literal = 0;
    if (c == 'k')
        return named_reference(t, at);
    t->p++;
    switch (c) {
    case 'b':
    case 'B':
        word_border(t->out, c == 'B');
        *ret_repeatable = false;
        return 0;
    case 'A':
    case 'z':
        buf_printf(t->out, "\\%c", c);
        *ret_repeatable = false;
        return 0;
    case 'Z':
        buf_puts(t->out, "(?=\\x{a}?\\z)");
        *ret_repeatable = false;
        return 0;
    case 'R':
        buf_puts(t->out, "(?>\\x{d}\\x{a}|[\\x{a}-\\x{d}\\x{85}\\x{2028}\\x{2029}])");
        return 0;
    case 'N':
        buf_puts(t->out, "[^\\x{a}]");
        return 0;
    case 'O':
        buf_puts(t->out, "(?s:.)");
        return 0;
    default: {
        char what[64];
        snprintf(what, sizeof(what), "the escape \\%c is not supported", c);
        return regex_fail(t, ERR_UNSUPPORTED, at, what);
    }
    }
}

/* ---- quantifiers ---- */

struct repeat {
    uint32_t low, high; /* INFINITE = none */
    char suffix;        /* 0, '?' or '+' */
};

/* At a quantifier: 1 and consumed; 0 when there is none ("{" that is no interval is a literal). */
static int read_repeat(struct regex_translator *t, struct repeat *ret)
{
    const char *at = t->p;
    bool interval = *t->p == '{', fixed = false;
    *ret = (struct repeat){ .high = INFINITE };
    if (*t->p == '*' || *t->p == '+' || *t->p == '?') {
        ret->low = *t->p == '+';
        ret->high = *t->p == '?' ? 1 : INFINITE;
        t->p++;
    } else if (interval) {
        t->p++;
        unsigned low_n = read_digits(t, 10, 6, &ret->low), high_n = 0;
        fixed = t->p < t->end && *t->p == '}';
        if (fixed)
            ret->high = ret->low;
        else if (t->p < t->end && *t->p == ',') {
            t->p++;
            uint32_t high;
            high_n = read_digits(t, 10, 6, &high);
            if (high_n)
                ret->high = high;
        }
        if ((!low_n && !high_n) || t->p == t->end || *t->p != '}') {
            t->p = at;
            return 0;
        }
        t->p++;
        if (ret->low > REPEAT_MAX || (ret->high != INFINITE && ret->high > REPEAT_MAX))
            return regex_fail(t, ERR_LIMIT, at, "more than 65535 repetitions");
        if (ret->low > ret->high) {
            uint32_t high = ret->low;
            ret->low = ret->high;
            ret->high = high;
            ret->suffix = '+';
            return 1;
        }
    } else
        return 0;
    if (t->p < t->end && ((*t->p == '?' && !fixed) || (*t->p == '+' && !interval)))
        ret->suffix = *t->p++;
    return 1;
}

static void put_repeat(struct buf *out, const struct repeat *q)
{
    if (q->high == INFINITE && q->low <= 1)
        buf_put_char(out, q->low ? '+' : '*');
    else if (q->low == 0 && q->high == 1)
        buf_put_char(out, '?');
    else if (q->high == INFINITE)
        buf_printf(out, "{%u,}", q->low);
    else
        buf_printf(out, "{%u,%u}", q->low, q->high);
    if (q->suffix)
        buf_put_char(out, q->suffix);
}

/* Puts "(?:" ... ")" around what was written behind FROM. */
static int wrap(struct regex_translator *t, size_t from)
{
    if (!buf_reserve(t->out, 4))
        return ERR_NOMEM;
    char *p = t->out->p + from;
    memmove(p + 3, p, t->out->n - from);
    memcpy(p, "(?:", 3);
    t->out->n += 3;
    buf_put_char(t->out, ')');
    return 0;
}

static int repeats(struct regex_translator *t, size_t from, bool repeatable)
{
    for (unsigned n = 0;; n++) {
        skip_extended(t);
        const char *at = t->p;
        struct repeat q;
        int r = t->p < t->end ? read_repeat(t, &q) : 0;
        if (r <= 0)
            return r;
        if (!repeatable)
            return regex_fail(t, ERR_UNSUPPORTED, at, "a quantifier behind something without width is not supported");
        if (n >= 8)
            return regex_fail(t, ERR_LIMIT, at, "too many quantifiers in a row");
        if (n) {
            r = wrap(t, from);
            if (r < 0)
                return r;
        }
        put_repeat(t->out, &q);
        t->last_literal = 0;
    }
}

static int repeated_atom(struct regex_translator *t)
{
    size_t from = t->out->n;
    const char *at = t->p;
    bool repeatable = true;
    int r = 0;
    char c = *t->p;
    struct repeat q;
    switch (c) {
    case '(':
        t->p++;
        r = group(t, &repeatable);
        break;
    case '[':
        t->p++;
        t->last_literal = 0;
        if (++t->depth > REGEX_DEPTH_MAX)
            return regex_fail(t, ERR_LIMIT, at, "too deeply nested");
        r = regex_class(t);
        t->depth--;
        break;
    case '\\':
        t->p++;
        r = escape(t, &repeatable);
        break;
    case '.':
        t->p++;
        t->last_literal = 0;
        buf_put(t->out, t->dot_all ? STR("(?s:.)") : STR("[^\\x{a}]"));
        break;
    case '^':
    case '$':
        t->p++;
        t->last_literal = 0;
        buf_put_char(t->out, c);
        repeatable = false;
        break;
    default:
        r = read_repeat(t, &q);
        if (r)
            return r < 0 ? r : regex_fail(t, ERR_SYNTAX, at, "a quantifier with nothing before it");
        uint32_t code;
        r = regex_read_code(t, &code);
        if (r == 0)
            r = literal(t, code, at);
    }
    return r < 0 ? r : repeats(t, from, repeatable);
}

/* To the end of the pattern or to ")", which is not consumed. */
static int alternatives(struct regex_translator *t)
{
    for (;;) {
        skip_extended(t);
        if (t->p == t->end || *t->p == ')')
            return 0;
        if (*t->p == '|') {
            t->p++;
            t->last_literal = 0;
            buf_put_char(t->out, '|');
            continue;
        }
        int r = repeated_atom(t);
        if (r < 0)
            return r;
    }
}

/* Has it a named group? (Escapes and sets skipped; a "[" in a comment at worst makes plain groups capture.) */
static bool has_named_group(struct str s)
{
    unsigned set = 0;
    for (size_t i = 0; i + 3 < s.n; i++) {
        if (s.p[i] == '\\')
            i++;
        else if (s.p[i] == '[')
            set++;
        else if (s.p[i] == ']' && set)
            set--;
        else if (!set && s.p[i] == '(' && s.p[i + 1] == '?' &&
                 ((s.p[i + 2] == '<' && s.p[i + 3] != '=' && s.p[i + 3] != '!') || s.p[i + 2] == '\''))
            return true;
    }
    return false;
}

int regex_translate(struct str pattern, struct buf *out, struct err *err)
{
    struct regex_translator t = {
        .pattern = pattern, .p = pattern.p, .end = pattern.n ? pattern.p + pattern.n : pattern.p, .out = out, .err = err
    };
    if (pattern.n > REGEX_PATTERN_MAX)
        return regex_fail(&t, ERR_LIMIT, t.p, "longer than 16384 bytes");
    t.named = has_named_group(pattern);
    int r = alternatives(&t);
    if (r == 0 && t.p < t.end)
        r = regex_fail(&t, ERR_SYNTAX, t.p, ") without (");
    if (r == 0 && out->failed)
        r = err_set(err, ERR_NOMEM, "out of memory");
    return r;
}
