/* json/json_write.c -- the writer: commas, quotes, escapes
 *
 * A value begins with separate(), which writes the comma that is due. A string that needs no escape, the usual case, costs one look at its
 * bytes, eight at a time, one reservation and one copy; others are written in runs between the bytes that need something else.
 */
#include "json/json_write.h"

#include "json/number.h"
#include "json/utf8.h"

#include <assert.h>
#include <math.h>

#define DEPTH_MAX 63 /* bits of json_writer.objects, less the root */

void json_begin(struct json_writer *w, struct buf *out)
{
    *w = (struct json_writer){ .out = out };
}

static void separate(struct json_writer *w)
{
    if (w->comma)
        buf_put_char(w->out, ',');
    w->comma = true;
}

static void open_level(struct json_writer *w, char bracket, uint64_t is_object)
{
    separate(w);
    buf_put_char(w->out, bracket);
    assert(w->depth < DEPTH_MAX);
    w->depth++;
    w->objects = (w->objects & ~(UINT64_C(1) << w->depth)) | is_object << w->depth;
    w->comma = false;
}

static bool in_object(const struct json_writer *w)
{
    return w->objects >> w->depth & 1;
}

void json_object(struct json_writer *w)
{
    open_level(w, '{', 1);
}

void json_array(struct json_writer *w)
{
    open_level(w, '[', 0);
}

void json_end(struct json_writer *w)
{
    assert(w->depth > 0);
    buf_put_char(w->out, in_object(w) ? '}' : ']');
    w->depth--;
    w->comma = true;
}

/* How many bytes at P stand for themselves: ASCII without quote, backslash, control characters. Eight bytes a step: in each byte the high
 * bit shows "has its high bit", "is below 0x20" or "equals"; borrows from a lower byte only give false alarms above a true one. */
static size_t plain_prefix(const char *p, size_t n)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), highs = UINT64_C(0x8080808080808080);
    size_t i = 0;

    for (; n - i >= 8; i += 8) {
        uint64_t v;
        memcpy(&v, p + i, 8);
        uint64_t quote = v ^ (ones * '"'), backslash = v ^ (ones * '\\');
        if ((v | (v - ones * 0x20) | (quote - ones) | (backslash - ones)) & highs)
            break;
    }
    while (i < n && (unsigned char)p[i] >= 0x20 && (unsigned char)p[i] < 0x80 && p[i] != '"' && p[i] != '\\')
        i++;
    return i;
}

static void put_escaped_byte(struct buf *out, char c)
{
    static const char HEX[] = "0123456789abcdef";
    static const char SHORT[0x20] = { ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't' };
    unsigned char byte = (unsigned char)c;

    if (c == '"' || c == '\\') {
        buf_put(out, (struct str){ (char[]){ '\\', c }, 2 });
    } else if (SHORT[byte]) {
        buf_put(out, (struct str){ (char[]){ '\\', SHORT[byte] }, 2 });
    } else {
        buf_put(out, (struct str){ (char[]){ '\\', 'u', '0', '0', HEX[byte >> 4], HEX[byte & 15] }, 6 });
    }
}

/* Valid UTF-8 joins the run that is copied as it is; the run ends at what must be written differently. */
void json_escape(struct buf *out, struct str s)
{
    if (s.n == 0)
        return;
    const char *p = s.p, *end = s.p + s.n, *run = p;

    while (p < end) {
        p += plain_prefix(p, (size_t)(end - p));
        if (p == end)
            break;
        bool ascii = (unsigned char)*p < 0x80;
        int n = utf8_sequence(p, end);
        if (!ascii && n > 0) {
            p += n;
            continue;
        }
        buf_put(out, str_range(run, p));
        if (ascii)
            put_escaped_byte(out, *p);
        else
            buf_put(out, STR(UTF8_REPLACEMENT));
        p += n > 0 ? n : -n;
        run = p;
    }
    if (p > run)
        buf_put(out, str_range(run, p));
}

/* Writes [,] " S " and the byte BEHIND, if any. */
static void put_string(struct json_writer *w, struct str s, char behind)
{
    if (s.n == plain_prefix(s.p, s.n)) {
        char *at = buf_reserve(w->out, s.n + 4);
        if (!at)
            return;
        char *p = at;
        if (w->comma)
            *p++ = ',';
        *p++ = '"';
        if (s.n)
            memcpy(p, s.p, s.n);
        p += s.n;
        *p++ = '"';
        if (behind)
            *p++ = behind;
        w->out->n += (size_t)(p - at);
        return;
    }
    if (w->comma)
        buf_put_char(w->out, ',');
    buf_put_char(w->out, '"');
    json_escape(w->out, s);
    buf_put_char(w->out, '"');
    if (behind)
        buf_put_char(w->out, behind);
}

void json_key(struct json_writer *w, struct str key)
{
    assert(in_object(w));
    put_string(w, key, ':');
    w->comma = false;
}

void json_value_str(struct json_writer *w, struct str s)
{
    put_string(w, s, /* behind= */ 0);
    w->comma = true;
}

void json_value_u64(struct json_writer *w, uint64_t v)
{
    separate(w);
    buf_put_u64(w->out, v);
}

void json_value_i64(struct json_writer *w, int64_t v)
{
    separate(w);
    buf_put_i64(w->out, v);
}

void json_value_f64(struct json_writer *w, double v)
{
    if (!isfinite(v)) {
        json_value_null(w);
        return;
    }
    char text[JSON_NUMBER_MAX];
    json_value_raw(w, (struct str){ text, json_format_f64(text, v) });
}

void json_value_f32(struct json_writer *w, float v)
{
    if (!isfinite(v)) {
        json_value_null(w);
        return;
    }
    char text[JSON_NUMBER_MAX];
    json_value_raw(w, (struct str){ text, json_format_f32(text, v) });
}

void json_value_bool(struct json_writer *w, bool v)
{
    json_value_raw(w, v ? STR("true") : STR("false"));
}

void json_value_null(struct json_writer *w)
{
    json_value_raw(w, STR("null"));
}

void json_value_raw(struct json_writer *w, struct str json)
{
    separate(w);
    buf_put(w->out, json);
}
