/* observe/metrics_text.c -- reading the Prometheus exposition format 0.0.4
 *
 *     sample = name [ "{" [ label { "," label } [","] ] "}" ] value [ timestamp ]          label = name "=" quoted
 *     Blanks (space, tab) may stand between any two of these.
 */
#include "observe/metrics_text.h"

#include <math.h>

#include "base/utf8.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_name_byte(char c, bool colon, bool first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (colon && c == ':') || (!first && c >= '0' && c <= '9');
}

static bool is_name(struct str s, bool colon)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_name_byte(s.p[i], colon, i == 0))
            return false;
    return s.n > 0;
}

bool metrics_is_name(struct str s)
{
    return is_name(s, /* colon= */ true);
}

bool metrics_is_label_name(struct str s)
{
    return is_name(s, /* colon= */ false);
}

static void skip_blanks(struct str *s)
{
    while (s->n && is_blank(s->p[0]))
        *s = str_skip(*s, 1);
}

/* The name at the front of *S, taken off; empty when there is none. */
static struct str take_name(struct str *s, bool colon)
{
    size_t n = 0;
    struct str name;

    while (n < s->n && is_name_byte(s->p[n], colon, n == 0))
        n++;
    name = str_first(*s, n);
    *s = str_skip(*s, n);
    return name;
}

/* The bytes up to the next blank, taken off. */
static struct str take_word(struct str *s)
{
    size_t n = 0;
    struct str word;

    while (n < s->n && !is_blank(s->p[n]))
        n++;
    word = str_first(*s, n);
    *s = str_skip(*s, n);
    return word;
}

static bool take_byte(struct str *s, char c)
{
    if (!s->n || s->p[0] != c)
        return false;
    *s = str_skip(*s, 1);
    return true;
}

/* "..." with \\, \" and \n as its only escapes. */
static bool take_quoted(struct str *s, struct str *ret)
{
    size_t i;

    if (!take_byte(s, '"'))
        return false;
    for (i = 0; i < s->n && s->p[i] != '"'; i++)
        if (s->p[i] == '\\' && (++i == s->n || (s->p[i] != '\\' && s->p[i] != '"' && s->p[i] != 'n')))
            return false;
    if (i >= s->n)
        return false;
    *ret = str_first(*s, i);
    *s = str_skip(*s, i + 1);
    return true;
}

static bool take_labels(struct str *s, struct metrics_line *l)
{
    for (;;) {
        struct metrics_label *at = &l->labels[l->labels_n];

        skip_blanks(s);
        if (take_byte(s, '}'))
            return true;
        if (l->labels_n == METRICS_LINE_LABELS_MAX)
            return false;
        at->name = take_name(s, /* colon= */ false);
        skip_blanks(s);
        if (!at->name.n || !take_byte(s, '='))
            return false;
        skip_blanks(s);
        if (!take_quoted(s, &at->value))
            return false;
        for (unsigned i = 0; i < l->labels_n; i++)
            if (str_eq(l->labels[i].name, at->name))
                return false;
        l->labels_n++;
        skip_blanks(s);
        if (!take_byte(s, ',')) {
            if (!take_byte(s, '}'))
                return false;
            return true;
        }
    }
}

static bool read_value(struct str s, double *ret)
{
    if (str_to_double(s, ret) == 0)
        return true;
    if (str_eq_nocase(s, STR("nan"))) {
        *ret = NAN;
        return true;
    }
    if (str_eq_nocase(s, STR("inf")) || str_eq_nocase(s, STR("+inf")) || str_eq_nocase(s, STR("-inf"))) {
        *ret = s.p[0] == '-' ? -INFINITY : INFINITY;
        return true;
    }
    return false;
}

static bool is_timestamp(struct str s)
{
    uint64_t ms;

    if (s.n && s.p[0] == '-')
        s = str_skip(s, 1);
    return str_to_u64(s, &ms) == 0 && ms <= INT64_MAX;
}

static enum metrics_line_kind read_sample(struct str s, struct metrics_line *l)
{
    l->name = take_name(&s, /* colon= */ true);
    if (!l->name.n)
        return METRICS_BAD;
    skip_blanks(&s);
    if (take_byte(&s, '{') && !take_labels(&s, l))
        return METRICS_BAD;
    skip_blanks(&s);
    if (!read_value(take_word(&s), &l->value))
        return METRICS_BAD;
    skip_blanks(&s);
    if (s.n && s.p[0] != '#') {
        l->timestamp = take_word(&s);
        if (!is_timestamp(l->timestamp))
            return METRICS_BAD;
        skip_blanks(&s);
    }
    return s.n == 0 || s.p[0] == '#' ? METRICS_SAMPLE : METRICS_BAD;
}

static bool is_type(struct str s)
{
    return str_eq(s, STR("counter")) || str_eq(s, STR("gauge")) || str_eq(s, STR("histogram")) || str_eq(s, STR("summary")) ||
           str_eq(s, STR("untyped"));
}

/* S is behind the '#'. */
static enum metrics_line_kind read_comment(struct str s, struct metrics_line *l)
{
    struct str word;

    skip_blanks(&s);
    word = take_word(&s);
    if (!str_eq(word, STR("HELP")) && !str_eq(word, STR("TYPE")))
        return METRICS_OTHER;
    skip_blanks(&s);
    l->name = take_word(&s);
    skip_blanks(&s);
    l->text = s;
    if (!metrics_is_name(l->name))
        return METRICS_BAD;
    if (str_eq(word, STR("HELP")))
        return METRICS_HELP;
    l->text = str_trim(l->text);
    return is_type(l->text) ? METRICS_TYPE : METRICS_BAD;
}

/* The next line that is not blank, without its end. False: there is none. */
static bool take_line(struct str *rest, struct str *ret)
{
    while (rest->n) {
        size_t n = str_find_char(*rest, '\n');
        struct str line = str_first(*rest, n == STR_NPOS ? rest->n : n);

        *rest = str_skip(*rest, n == STR_NPOS ? rest->n : n + 1);
        while (str_has_suffix(line, STR("\r")))
            line.n--;
        skip_blanks(&line);
        if (!line.n)
            continue;
        *ret = line;
        return true;
    }
    return false;
}

enum metrics_line_kind metrics_next(struct str *rest, struct metrics_line *ret)
{
    struct str line;

    ret->labels_n = 0;
    ret->name = ret->text = ret->timestamp = STR_NONE;
    if (!take_line(rest, &line))
        return ret->kind = METRICS_END;
    ret->whole = line;
    if (!utf8_valid(line) || memchr(line.p, 0, line.n))
        ret->kind = METRICS_BAD;
    else if (line.p[0] == '#')
        ret->kind = read_comment(str_skip(line, 1), ret);
    else
        ret->kind = read_sample(line, ret);
    return ret->kind;
}
