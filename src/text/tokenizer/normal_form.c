/* text/tokenizer/normal_form.c -- normal forms: only the stretches that are not plain go through utf8proc
 *
 *   plain plain [plain other other] plain plain [plain other] ...
 *               `-- a stretch: from the last plain character before it (which may join) to the next plain one
 *
 * A stretch is decomposed character by character, its marks are put in order (stably, by counting: a text of a million marks takes no longer than any other), and composed again.
 * The tables are Unicode 9's because the oracle's are; utf8proc only ever sees characters that both agree on.
 */
#include "text/tokenizer/normal_form.h"

#include <stdlib.h>
#include <utf8proc.h>

#include "base/err.h"
#include "text/tokenizer/normal_form_tables.h"

#define HERE   192 /* code points of a stretch that need no memory from the heap */
#define GROWTH 6   /* code points per byte at most: U+FDFA, three bytes, gives 18 */

static inline bool is_plain(enum normal_form f, uint32_t c)
{
    if (c < 0xa0)
        return true;
    if (c >= PLAIN_END)
        return true;
    return PLAIN_BLOCKS[PLAIN_INDEX[c >> 6]][(c & 63) >> 1] >> ((c & 1) * 4 + f) & 1;
}

static bool is_inert(uint32_t c)
{
    size_t low = 0, high = ARRAY_LEN(INERT);
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (c > INERT[mid].to)
            low = mid + 1;
        else
            high = mid;
    }
    return low < ARRAY_LEN(INERT) && c >= INERT[low].from;
}

/* The character at P of valid UTF-8. */
static inline uint32_t read_char(const char *p, size_t *ret_n)
{
    const unsigned char *u = (const unsigned char *)p;
    if (u[0] < 0x80) {
        *ret_n = 1;
        return u[0];
    }
    if (u[0] < 0xe0) {
        *ret_n = 2;
        return (u[0] & 0x1fu) << 6 | (u[1] & 0x3fu);
    }
    if (u[0] < 0xf0) {
        *ret_n = 3;
        return (u[0] & 0x0fu) << 12 | (u[1] & 0x3fu) << 6 | (u[2] & 0x3fu);
    }
    *ret_n = 4;
    return (u[0] & 0x07u) << 18 | (u[1] & 0x3fu) << 12 | (u[2] & 0x3fu) << 6 | (u[3] & 0x3fu);
}

static size_t skip_ascii(struct str s, size_t i)
{
    for (; i + 16 <= s.n; i += 16) {
        uint64_t a, b;
        memcpy(&a, s.p + i, 8);
        memcpy(&b, s.p + i + 8, 8);
        if ((a | b) & 0x8080808080808080u)
            break;
    }
    while (i < s.n && (unsigned char)s.p[i] < 0x80)
        i++;
    return i;
}

/* From I on: the first character that is not plain (s.n: none). *RET_BEFORE = where the character before it begins. */
static size_t skip_plain(enum normal_form f, struct str s, size_t i, size_t *ret_before)
{
    while (i < s.n) {
        if ((unsigned char)s.p[i] < 0x80) {
            i = skip_ascii(s, i);
            *ret_before = i - 1;
            continue;
        }
        size_t n;
        if (!is_plain(f, read_char(s.p + i, &n)))
            break;
        *ret_before = i;
        i += n;
    }
    return i;
}

/* The end of the characters from I on that are not plain. */
static size_t skip_others(enum normal_form f, struct str s, size_t i)
{
    size_t n;
    while (i < s.n && !is_plain(f, read_char(s.p + i, &n)))
        i += n;
    return i;
}

/* ---- one stretch ---- */

static unsigned class_of(int32_t c)
{
    return (unsigned)utf8proc_get_property(c)->combining_class;
}

/* Marks c[0..n), all with a class: stably by class. SPARE has room for n. */
static void order_marks(int32_t *c, size_t n, int32_t *spare)
{
    if (n <= 16) {
        for (size_t i = 1; i < n; i++)
            for (size_t k = i; k && class_of(c[k - 1]) > class_of(c[k]); k--) {
                int32_t one = c[k];
                c[k] = c[k - 1];
                c[k - 1] = one;
            }
        return;
    }
    size_t at[257] = { 0 };
    for (size_t i = 0; i < n; i++)
        at[class_of(c[i]) + 1]++;
    for (unsigned k = 1; k < 257; k++)
        at[k] += at[k - 1];
    for (size_t i = 0; i < n; i++)
        spare[at[class_of(c[i])]++] = c[i];
    memcpy(c, spare, n * sizeof(*c));
}

static void order_all(int32_t *c, size_t n, int32_t *spare)
{
    for (size_t i = 0; i < n;) {
        size_t from = i;
        while (i < n && class_of(c[i]))
            i++;
        if (i - from > 1)
            order_marks(c + from, i - from, spare);
        i += i == from;
    }
}

/* Code points that S decomposes to, at least 1. */
static size_t count(struct str s, utf8proc_option_t options)
{
    int32_t one[GROWTH * 3];
    size_t n = 1;
    for (size_t i = 0, step; i < s.n; i += step) {
        int state = 0;
        utf8proc_ssize_t more = utf8proc_decompose_char((int32_t)read_char(s.p + i, &step), one, ARRAY_LEN(one), options, &state);
        n += more > 0 ? (size_t)more : 0;
    }
    return n;
}

static int put_stretch(enum normal_form f, struct str s, struct buf *out)
{
    int32_t here[2 * HERE], *c = here;
    size_t cap = HERE, n = 0;
    utf8proc_option_t options =
        (utf8proc_option_t)(UTF8PROC_STABLE | (f == NORMAL_NFC || f == NORMAL_NFKC ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE) |
                            (f == NORMAL_NFKC || f == NORMAL_NFKD ? UTF8PROC_COMPAT : 0));
    if (GROWTH * s.n > HERE) {
        cap = count(s, options);
        c = reallocarray(NULL, cap, 2 * sizeof(*c));
        if (!c)
            return ERR_NOMEM;
    }
    for (size_t i = 0, step; i < s.n; i += step) {
        int state = 0;
        utf8proc_ssize_t more =
            utf8proc_decompose_char((int32_t)read_char(s.p + i, &step), c + n, (utf8proc_ssize_t)(cap - n), options, &state);
        if (more < 0 || (size_t)more > cap - n)
            break; /* cannot be: it was counted */
        n += (size_t)more;
    }
    order_all(c, n, c + cap);
    utf8proc_ssize_t left = utf8proc_normalize_utf32(c, (utf8proc_ssize_t)n, options);
    char *p = left < 0 ? NULL : buf_reserve(out, 4 * (size_t)left);
    if (p) {
        for (utf8proc_ssize_t i = 0; i < left; i++)
            p += utf8proc_encode_char(c[i], (utf8proc_uint8_t *)p);
        out->n = (size_t)(p - out->p);
    }
    if (c != here)
        free(c);
    return p || left == 0 ? 0 : ERR_NOMEM;
}

int normal_form(enum normal_form f, struct str in, struct buf *out, struct str *ret)
{
    size_t before = 0, done = 0;
    size_t i = skip_plain(f, in, 0, &before);
    if (i == in.n) {
        *ret = in;
        return 0;
    }
    buf_clear(out);
    while (i < in.n) {
        size_t n, from = i;
        if (i > done && !is_inert(read_char(in.p + before, &n)))
            from = before;
        size_t end = skip_others(f, in, i);
        buf_put(out, str_range(in.p + done, in.p + from));
        int r = put_stretch(f, str_range(in.p + from, in.p + end), out);
        if (r < 0)
            return r;
        done = end;
        i = skip_plain(f, in, end, &before);
    }
    buf_put(out, str_skip(in, done));
    if (out->failed)
        return ERR_NOMEM;
    *ret = buf_str(out);
    return 0;
}
