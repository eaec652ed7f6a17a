/* text/toolcall/python_literal.c -- a recursive reader over a cursor; JSON is written as it is read, and cut back where a reading fails */
#include "text/toolcall/python_literal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "json/json_write.h"
#include "text/toolcall/arguments.h"

struct reader {
    struct str text;
    size_t at;
    unsigned depth;
    bool loose; /* python_call_loose */
};

static char peek(const struct reader *r)
{
    return r->at < r->text.n ? r->text.p[r->at] : '\0';
}

/* Blanks, line ends and comments: inside brackets Python ignores them all. */
static void skip_blanks(struct reader *r)
{
    for (; r->at < r->text.n; r->at++) {
        char c = r->text.p[r->at];
        if (c == '#')
            while (r->at < r->text.n && r->text.p[r->at] != '\n')
                r->at++;
        else if (c != ' ' && c != '\t' && c != '\n' && c != '\r' && c != '\f')
            return;
    }
}

static bool take(struct reader *r, char c)
{
    skip_blanks(r);
    if (r->at >= r->text.n || r->text.p[r->at] != c)
        return false;
    r->at++;
    return true;
}

static bool is_name_start(char c)
{
    return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (uint8_t)c >= 0x80;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static struct str name(struct reader *r)
{
    size_t from = r->at;
    if (is_name_start(peek(r)))
        while (r->at < r->text.n && (is_name_start(r->text.p[r->at]) || is_digit(r->text.p[r->at])))
            r->at++;
    return (struct str){ r->text.p + from, r->at - from };
}

/* ---- strings ---- */

static void put_code_point(struct buf *b, uint32_t c)
{
    if (c > 0x10FFFF || (c >= 0xD800 && c < 0xE000))
        c = 0xFFFD;
    if (c < 0x80)
        buf_put_char(b, (char)c);
    else if (c < 0x800) {
        buf_put_char(b, (char)(0xC0 | c >> 6));
        buf_put_char(b, (char)(0x80 | (c & 0x3F)));
    } else if (c < 0x10000) {
        buf_put_char(b, (char)(0xE0 | c >> 12));
        buf_put_char(b, (char)(0x80 | (c >> 6 & 0x3F)));
        buf_put_char(b, (char)(0x80 | (c & 0x3F)));
    } else {
        buf_put_char(b, (char)(0xF0 | c >> 18));
        buf_put_char(b, (char)(0x80 | (c >> 12 & 0x3F)));
        buf_put_char(b, (char)(0x80 | (c >> 6 & 0x3F)));
        buf_put_char(b, (char)(0x80 | (c & 0x3F)));
    }
}

static int digit_value(char c)
{
    if (is_digit(c))
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'z' ? c - 'a' + 10 : 99;
}

/* MIN to MAX digits of BASE. */
static bool digits(struct reader *r, int base, size_t min, size_t max, uint32_t *ret)
{
    uint32_t v = 0;
    size_t n = 0;
    for (; n < max && r->at < r->text.n && digit_value(r->text.p[r->at]) < base; n++)
        v = v * (uint32_t)base + (uint32_t)digit_value(r->text.p[r->at++]);
    *ret = v;
    return n >= min;
}

/* Behind a backslash. BYTES: the string is b'': no \u, and what is above 0x7F is a byte. */
static bool escape(struct reader *r, bool bytes, struct buf *b)
{
    static const char FROM[] = "\\'\"abfnrtv", TO[] = "\\'\"\a\b\f\n\r\t\v";
    uint32_t v;
    if (r->at >= r->text.n)
        return false;
    char c = r->text.p[r->at++];
    const char *simple = strchr(FROM, c);
    if (c != '\0' && simple) {
        buf_put_char(b, TO[simple - FROM]);
        return true;
    }
    bool ok = true;
    if (c == '\n')
        return true;
    if (c == 'x')
        ok = digits(r, 16, 2, 2, &v);
    else if (c >= '0' && c <= '7') {
        r->at--;
        ok = digits(r, 8, 1, 3, &v);
    } else if ((c == 'u' || c == 'U') && !bytes) {
        size_t n = c == 'u' ? 4 : 8;
        ok = digits(r, 16, n, n, &v);
        uint32_t low;
        struct reader next = *r;
        if (ok && v >= 0xD800 && v < 0xDC00 && next.at + 1 < next.text.n && next.text.p[next.at] == '\\' &&
            next.text.p[next.at + 1] == 'u') {
            next.at += 2;
            if (digits(&next, 16, 4, 4, &low) && low >= 0xDC00 && low < 0xE000) {
                v = 0x10000 + ((v - 0xD800) << 10) + (low - 0xDC00);
                *r = next;
            }
        }
    } else { /* an unknown escape stands for itself */
        buf_put_char(b, '\\');
        buf_put_char(b, c);
        return true;
    }
    if (ok && bytes)
        buf_put_char(b, (char)v);
    else if (ok)
        put_code_point(b, v);
    return ok;
}

static bool quoted(struct reader *r, bool raw, bool bytes, struct buf *b)
{
    char q = r->text.p[r->at];
    size_t quotes = r->text.n - r->at >= 3 && r->text.p[r->at + 1] == q && r->text.p[r->at + 2] == q ? 3 : 1;
    r->at += quotes;
    while (r->at < r->text.n) {
        char c = r->text.p[r->at];
        if (c == q && (quotes == 1 || (r->text.n - r->at >= 3 && r->text.p[r->at + 1] == q && r->text.p[r->at + 2] == q))) {
            r->at += quotes;
            return true;
        }
        if (c == '\n' && quotes == 1 && !r->loose)
            return false;
        r->at++;
        if (c == '\\' && raw && r->at < r->text.n) {
            buf_put_char(b, c);
            buf_put_char(b, r->text.p[r->at++]);
        } else if (c == '\\') {
            if (!escape(r, bytes, b))
                return false;
        } else
            buf_put_char(b, c);
    }
    return false;
}

/* The prefix of a string literal at the cursor (r, b, u, rb, br): its length; -1 when no string begins here. f-strings are no literals. */
static int string_prefix(const struct reader *r, bool *ret_raw, bool *ret_bytes)
{
    *ret_raw = *ret_bytes = false;
    for (int i = 0; i < 3 && r->at + (size_t)i < r->text.n; i++) {
        char c = r->text.p[r->at + (size_t)i];
        if (c == '"' || c == '\'')
            return i;
        c |= 0x20;
        if (c == 'r' && !*ret_raw)
            *ret_raw = true;
        else if (c == 'b' && !*ret_bytes)
            *ret_bytes = true;
        else if (c != 'u' || i > 0)
            return -1;
    }
    return -1;
}

/* One string or several side by side. */
static bool string(struct reader *r, struct buf *out)
{
    struct buf value = { 0 };
    bool raw, bytes, ok = true;
    int prefix;
    while (ok && (prefix = string_prefix(r, &raw, &bytes)) >= 0) {
        r->at += (size_t)prefix;
        ok = quoted(r, raw, bytes, &value);
        struct reader next = *r;
        skip_blanks(&next);
        if (string_prefix(&next, &raw, &bytes) >= 0)
            *r = next;
    }
    if (ok)
        arguments_string(buf_str(&value), out); /* bytes that are no UTF-8 become U+FFFD there */
    if (value.failed)
        out->failed = true;
    buf_fini(&value);
    return ok;
}

/* ---- numbers ---- */

#define NUMBER_MAX 512

/* Decimal digits beyond 64 bits: as a string, as spec 6.7 has it. */
static void put_big(struct buf *out, bool negative, const char *text)
{
    while (text[0] == '0' && text[1])
        text++;
    buf_printf(out, "\"%s%s\"", negative ? "-" : "", text);
}

static bool put_integer(struct buf *out, bool negative, const char *text, int base)
{
    uint64_t v = 0;
    for (const char *p = text; *p; p++)
        if (__builtin_mul_overflow(v, (uint64_t)base, &v) || __builtin_add_overflow(v, (uint64_t)digit_value(*p), &v)) {
            if (base != 10)
                return false;
            put_big(out, negative, text);
            return true;
        }
    if (!negative)
        buf_put_u64(out, v);
    else if (v <= (uint64_t)INT64_MAX + 1)
        buf_put_i64(out, (int64_t)(0 - v));
    else
        put_big(out, true, text);
    return true;
}

/* The characters of a number, underscores between digits left out; 0: too long or misplaced underscores. */
static size_t number_characters(struct reader *r, char text[NUMBER_MAX])
{
    size_t n = 0;
    for (; r->at < r->text.n && n < NUMBER_MAX - 1; r->at++) {
        char c = r->text.p[r->at], before = n ? text[n - 1] : '\0';
        bool sign = (c == '+' || c == '-') && (before | 0x20) == 'e' && !(n > 1 && (text[1] | 0x20) == 'x');
        if (c == '_') {
            if (digit_value(before) > 35 || r->at + 1 >= r->text.n || digit_value(r->text.p[r->at + 1]) > 35)
                return 0;
        } else if (digit_value(c) > 35 && c != '.' && !sign)
            break;
        else
            text[n++] = c;
    }
    text[n] = '\0';
    return n < NUMBER_MAX - 1 ? n : 0;
}

static bool number(struct reader *r, bool negative, struct buf *out)
{
    char text[NUMBER_MAX], *end;
    size_t n = number_characters(r, text);
    if (!n)
        return false;
    char kind = n > 1 && text[0] == '0' ? (char)(text[1] | 0x20) : '\0';
    int base = kind == 'x' ? 16 : kind == 'o' ? 8 : kind == 'b' ? 2 : 10;
    if (base != 10) {
        for (size_t i = 2; i < n; i++)
            if (digit_value(text[i]) >= base)
                return false;
        return n > 2 && put_integer(out, negative, text + 2, base);
    }
    if (strspn(text, "0123456789") == n)
        return (text[0] != '0' || r->loose || strspn(text, "0") == n) && put_integer(out, negative, text, 10);
    if (strspn(text, "0123456789.eE+-") != n || !strpbrk(text, "0123456789"))
        return false;
    double v = strtod(text, &end);
    if (*end || !isfinite(v))
        return false;
    struct json_writer w;
    json_begin(&w, out);
    json_value_f64(&w, negative ? -v : v);
    return true;
}

/* ---- containers ---- */

static bool value(struct reader *r, struct buf *out);

/* C at the place AT of what was written. */
static bool insert(struct buf *out, size_t at, char c)
{
    if (!buf_reserve(out, 1))
        return false;
    memmove(out->p + at + 1, out->p + at, out->n - at);
    out->p[at] = c;
    out->n++;
    return true;
}

/* Elements up to CLOSE; N are written already, and a comma was read behind them. */
static bool elements(struct reader *r, char close, unsigned n, struct buf *out)
{
    bool comma = true;
    while (!take(r, close)) {
        if (!comma)
            return false;
        if (n++)
            buf_put_char(out, ',');
        if (!value(r, out))
            return false;
        comma = take(r, ',');
    }
    buf_put_char(out, ']');
    return true;
}

static bool list(struct reader *r, struct buf *out)
{
    buf_put_char(out, '[');
    return elements(r, ']', 0, out);
}

/* What stands in parentheses: one value, or with a comma behind it a tuple. */
static bool parenthesis(struct reader *r, struct buf *out)
{
    size_t mark = out->n;
    if (take(r, ')')) {
        buf_puts(out, "[]");
        return true;
    }
    if (!value(r, out))
        return false;
    if (take(r, ')'))
        return true;
    return take(r, ',') && insert(out, mark, '[') && elements(r, ')', 1, out);
}

/* A key that is no string is printed as its JSON text. */
static bool key(struct reader *r, struct buf *out)
{
    size_t mark = out->n;
    if (!value(r, out) || out->failed)
        return false;
    if (out->p[mark] == '"')
        return true;
    if (out->p[mark] == '{' || out->p[mark] == '[')
        return false;
    buf_put_char(out, '"');
    return insert(out, mark, '"');
}

static bool dictionary(struct reader *r, struct buf *out)
{
    unsigned n = 0;
    bool comma = true;
    buf_put_char(out, '{');
    while (!take(r, '}')) {
        if (!comma)
            return false;
        if (n++)
            buf_put_char(out, ',');
        skip_blanks(r);
        if (!key(r, out) || !take(r, ':'))
            return false;
        buf_put_char(out, ':');
        if (!value(r, out))
            return false;
        comma = take(r, ',');
    }
    buf_put_char(out, '}');
    return true;
}

static bool bare_name(struct reader *r, struct buf *out)
{
    struct str s = name(r);
    if (!s.n)
        return false;
    struct reader next = *r;
    skip_blanks(&next);
    if (peek(&next) == '(' || peek(&next) == '.' || peek(&next) == '[' || peek(&next) == '"' || peek(&next) == '\'')
        return false; /* a call, an attribute, an f-string */
    if (r->loose && (str_eq(s, STR("true")) || str_eq(s, STR("false")) || str_eq(s, STR("null"))))
        buf_put(out, s);
    else if (str_eq(s, STR("None")))
        buf_puts(out, "null");
    else if (str_eq(s, STR("True")))
        buf_puts(out, "true");
    else if (str_eq(s, STR("False")))
        buf_puts(out, "false");
    else
        arguments_string(s, out);
    return true;
}

static bool signed_number(struct reader *r, struct buf *out)
{
    bool negative = false;
    while (peek(r) == '-' || peek(r) == '+') {
        negative ^= peek(r) == '-';
        r->at++;
        skip_blanks(r);
    }
    return (is_digit(peek(r)) || peek(r) == '.') && number(r, negative, out);
}

static bool bare_value(struct reader *r, struct buf *out)
{
    bool raw, bytes;
    char c = peek(r);
    switch (c) {
    case '[':
        r->at++;
        return list(r, out);
    case '(':
        r->at++;
        return parenthesis(r, out);
    case '{':
        r->at++;
        return dictionary(r, out);
    case '-':
    case '+':
        return signed_number(r, out);
    default:
        break;
    }
    if (string_prefix(r, &raw, &bytes) >= 0)
        return string(r, out);
    if (is_digit(c) || c == '.')
        return number(r, false, out);
    return bare_name(r, out);
}

static bool value(struct reader *r, struct buf *out)
{
    if (r->depth >= PYTHON_DEPTH)
        return false;
    r->depth++;
    skip_blanks(r);
    bool ok = bare_value(r, out);
    r->depth--;
    return ok;
}

size_t python_literal(struct str text, struct buf *out)
{
    struct reader r = { .text = text };
    size_t mark = out->n;
    if (value(&r, out))
        return r.at;
    if (!out->failed)
        out->n = mark;
    return 0;
}

/* Did KEYWORD stand in front of FROM already? Names are short and few. */
static bool stood_before(const struct str *names, size_t n, struct str keyword)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(names[i], keyword))
            return true;
    return false;
}

#define KEYWORDS_MAX 256

static bool keywords(struct reader *r, struct buf *out)
{
    struct str names[KEYWORDS_MAX];
    size_t n = 0;
    bool comma = true;
    buf_put_char(out, '{');
    while (!take(r, ')')) {
        skip_blanks(r);
        struct str keyword = name(r);
        if (!comma || !keyword.n || n == KEYWORDS_MAX || stood_before(names, n, keyword) || !take(r, '='))
            return false;
        if (n)
            buf_put_char(out, ',');
        names[n++] = keyword;
        arguments_string(keyword, out);
        buf_put_char(out, ':');
        if (!value(r, out))
            return false;
        comma = take(r, ',');
    }
    buf_put_char(out, '}');
    return true;
}

/* a.b.c, without blanks. */
static struct str dotted_name(struct reader *r)
{
    size_t from = r->at;
    while (name(r).n && peek(r) == '.')
        r->at++;
    return (struct str){ r->text.p + from, r->at - from };
}

static size_t call(struct str text, bool loose, struct str *ret_name, struct buf *arguments)
{
    struct reader r = { .text = text, .depth = 1, .loose = loose };
    size_t mark = arguments->n;
    skip_blanks(&r);
    struct str function = loose ? dotted_name(&r) : name(&r);
    if (function.n && take(&r, '(') && keywords(&r, arguments)) {
        *ret_name = function;
        return r.at;
    }
    if (!arguments->failed)
        arguments->n = mark;
    return 0;
}

size_t python_call(struct str text, struct str *ret_name, struct buf *arguments)
{
    return call(text, false, ret_name, arguments);
}

size_t python_call_loose(struct str text, struct str *ret_name, struct buf *arguments)
{
    return call(text, true, ret_name, arguments);
}

/* ---- where does a bracket close? ---- */

void python_scan_init(struct python_scan *s)
{
    *s = (struct python_scan){ 0 };
}

/* A character behind the first quote of a string. quotes_n is 0 until it is known how many quotes began it: then `run` counts them. True: C belongs to the string. */
static bool scan_string(struct python_scan *s, char c)
{
    bool is_quote = c == (char)s->quote && !s->escaped;
    if (!s->quotes_n && is_quote && s->run < 2) {
        s->run++;
        return true;
    }
    if (!s->quotes_n && s->run == 2) {
        s->run = 0;
        s->quotes_n = is_quote ? 3 : 0;
        s->quote = is_quote ? s->quote : 0; /* two quotes and something else: an empty string */
        return is_quote;
    }
    if (!s->quotes_n) {
        s->quotes_n = 1;
        s->run = 0;
    }
    s->run = is_quote ? (uint8_t)(s->run + 1) : 0;
    if (s->run == s->quotes_n)
        s->quote = 0;
    s->escaped = c == '\\' && !s->escaped;
    return true;
}

bool python_scan_feed(struct python_scan *s, struct str text, size_t *ret_used)
{
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (s->quote && scan_string(s, c))
            continue;
        if (c == '"' || c == '\'')
            *s = (struct python_scan){ .quote = (uint8_t)c, .run = 1, .depth = s->depth };
        else if (c == '[' || c == '(' || c == '{')
            s->depth++;
        else if ((c == ']' || c == ')' || c == '}') && s->depth && --s->depth == 0) {
            *ret_used = i + 1;
            return true;
        }
    }
    *ret_used = text.n;
    return false;
}
