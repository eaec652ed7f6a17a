/* base/log_format.c -- how a line looks
 *
 * Texts come from clients and engines: control bytes are escaped in both formats, so that nobody can forge a line or drive a terminal,
 * and bytes that are no UTF-8 become U+FFFD.
 */
#include "base/log_internal.h"

#include "base/clock.h"
#include "base/utf8.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum escape {
    ESCAPE_CONTROL, /* unquoted text */
    ESCAPE_QUOTED,  /* text between double quotes */
    ESCAPE_JSON,
};

static const struct {
    const char *name, *padded, *colour;
} LEVELS[] = {
    [LOG_OFF] = { "OFF", "  OFF", "" },
    [LOG_ERROR] = { "ERROR", "ERROR", "\x1b[31m" },
    [LOG_WARN] = { "WARN", " WARN", "\x1b[33m" },
    [LOG_INFO] = { "INFO", " INFO", "\x1b[32m" },
    [LOG_DEBUG] = { "DEBUG", "DEBUG", "\x1b[34m" },
};

#define DIM   "\x1b[2m"
#define PLAIN "\x1b[0m"

static void put_control(struct buf *out, unsigned char c, enum escape how)
{
    static const char HEX[] = "0123456789abcdef";

    if (c == '\n')
        buf_puts(out, "\\n");
    else if (c == '\r')
        buf_puts(out, "\\r");
    else if (c == '\t')
        buf_puts(out, "\\t");
    else {
        char text[6] = { '\\', 'u', '0', '0', HEX[c >> 4], HEX[c & 15] };
        char braced[6] = { '\\', 'u', '{', HEX[c >> 4], HEX[c & 15], '}' };

        buf_put(out, (struct str){ how == ESCAPE_JSON ? text : braced, 6 });
    }
}

static bool is_plain(unsigned char c, enum escape how)
{
    return c >= ' ' && c < 0x7f && (how == ESCAPE_CONTROL || (c != '"' && c != '\\'));
}

static void put_escaped(struct buf *out, struct str s, enum escape how)
{
    bool cut = s.n > LOG_TEXT_MAX;

    s = utf8_first(s, LOG_TEXT_MAX);
    while (s.n) {
        unsigned char c = (unsigned char)s.p[0];
        size_t n = 0;

        while (n < s.n && is_plain((unsigned char)s.p[n], how))
            n++;
        if (n)
            buf_put(out, str_first(s, n));
        else if (c < 0x80) {
            n = 1;
            if (c == '"' || c == '\\') {
                buf_put_char(out, '\\');
                buf_put_char(out, (char)c);
            } else
                put_control(out, c, how);
        } else {
            n = utf8_length(s);
            /* U+0080..U+009F are control characters too: some terminals act on them */
            if (n == 2 && c == 0xc2 && (unsigned char)s.p[1] < 0xa0)
                put_control(out, (unsigned char)s.p[1], how);
            else if (n)
                buf_put(out, str_first(s, n));
            else {
                n = 1;
                buf_puts(out, "\xef\xbf\xbd");
            }
        }
        s = str_skip(s, n);
    }
    if (cut)
        buf_puts(out, "...");
}

/* The shortest of 15 to 17 digits that reads back as V; JSON has no way to write what is not finite. */
static void put_double(struct buf *out, double v, enum log_format format)
{
    char text[32];

    if (!isfinite(v)) {
        buf_put(out, str_of(format == LOG_JSON ? "null" : isnan(v) ? "NaN" : v < 0 ? "-inf" : "inf"));
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    buf_put(out, str_of(text));
}

static void put_value(struct buf *out, const struct log_field *f, enum log_format format)
{
    bool quoted = f->type == LOG_FIELD_STR || format == LOG_JSON;

    switch (f->type) {
    case LOG_FIELD_STR:
    case LOG_FIELD_BARE:
        if (quoted)
            buf_put_char(out, '"');
        put_escaped(out, f->str, format == LOG_JSON ? ESCAPE_JSON : quoted ? ESCAPE_QUOTED : ESCAPE_CONTROL);
        if (quoted)
            buf_put_char(out, '"');
        break;
    case LOG_FIELD_INT:
        buf_put_i64(out, f->i);
        break;
    case LOG_FIELD_UINT:
        buf_put_u64(out, f->u);
        break;
    case LOG_FIELD_FLOAT:
        put_double(out, f->f, format);
        break;
    case LOG_FIELD_BOOL:
        buf_put(out, str_of(f->b ? "true" : "false"));
        break;
    }
}

static void put_time(struct buf *out, const struct log_style *style, uint64_t wall_us)
{
    char text[CLOCK_TEXT_MAX];
    size_t n = style->rfc3339_ms ? clock_rfc3339(text, wall_us, 3) : clock_text(text, wall_us);

    buf_put(out, (struct str){ text, n });
}

/* The path from src/ on: where the compiler found the tree is nobody's business. */
static struct str source_file(const char *file)
{
    struct str s = str_of(file), head = s;
    size_t at;

    while ((at = str_rfind_char(head, '/')) != STR_NPOS) {
        head = str_first(head, at);
        if (str_has_suffix(head, STR("/src")) || str_eq(head, STR("src")))
            return str_skip(s, head.n - 3);
    }
    return s;
}

static void put_text_line(struct buf *out, const struct log_style *style, const struct log_line *l)
{
    bool colour = style->colour;

    if (colour)
        buf_puts(out, DIM);
    put_time(out, style, l->wall_us);
    if (colour)
        buf_puts(out, PLAIN);
    buf_put_char(out, ' ');
    if (colour)
        buf_put(out, str_of(LEVELS[l->level].colour));
    buf_put(out, str_of(LEVELS[l->level].padded));
    if (colour)
        buf_puts(out, PLAIN DIM);
    buf_put_char(out, ' ');
    buf_put(out, str_of(l->target));
    buf_put_char(out, ':');
    if (colour)
        buf_puts(out, PLAIN);
    if (l->level == LOG_DEBUG) {
        buf_put_char(out, ' ');
        buf_put(out, source_file(l->file));
        buf_put_char(out, ':');
        buf_put_i64(out, l->line);
        buf_put_char(out, ':');
    }
    buf_put_char(out, ' ');
    put_escaped(out, str_of(l->message), ESCAPE_CONTROL);
    for (size_t i = 0; i < l->fields_n; i++) {
        buf_put_char(out, ' ');
        buf_put(out, str_of(l->fields[i].key));
        buf_put_char(out, '=');
        put_value(out, &l->fields[i], LOG_TEXT);
    }
    buf_put_char(out, '\n');
}

/* An audit record has a time of its own, under SMG's name; no key comes twice in an object. */
static bool has_timestamp(const struct log_line *l)
{
    for (size_t i = 0; i < l->fields_n; i++)
        if (strcmp(l->fields[i].key, "timestamp") == 0)
            return true;
    return false;
}

static void put_json_line(struct buf *out, const struct log_style *style, const struct log_line *l)
{
    buf_put_char(out, '{');
    if (!has_timestamp(l)) {
        buf_puts(out, "\"timestamp\":\"");
        put_time(out, style, l->wall_us);
        buf_puts(out, "\",");
    }
    buf_puts(out, "\"level\":\"");
    buf_put(out, str_of(LEVELS[l->level].name));
    buf_puts(out, "\",\"message\":\"");
    put_escaped(out, str_of(l->message), ESCAPE_JSON);
    buf_put_char(out, '"');
    for (size_t i = 0; i < l->fields_n; i++) {
        buf_puts(out, ",\"");
        buf_put(out, str_of(l->fields[i].key));
        buf_puts(out, "\":");
        put_value(out, &l->fields[i], LOG_JSON);
    }
    buf_puts(out, ",\"target\":\"");
    buf_put(out, str_of(l->target));
    buf_put_char(out, '"');
    if (l->level == LOG_DEBUG) {
        buf_puts(out, ",\"filename\":\"");
        put_escaped(out, source_file(l->file), ESCAPE_JSON);
        buf_puts(out, "\",\"line_number\":");
        buf_put_i64(out, l->line);
    }
    buf_puts(out, "}\n");
}

void log_format_line(struct buf *out, const struct log_style *style, const struct log_line *line)
{
    if (style->format == LOG_JSON)
        put_json_line(out, style, line);
    else
        put_text_line(out, style, line);
}
