/* text/tokenizer/precompiled.c -- the charsmap: a Darts double-array trie from texts to their replacements
 *
 *   bytes: u32 size of the trie | trie, u32 units | replacements, each ended by NUL           (little-endian)
 *   unit:  bits 0-7 and 31 label, 8 has a leaf, 9-30 offset to the children (bit 9: times 256); a leaf: bits 0-30 the value, a place in the replacements
 *
 * Text goes by extended grapheme clusters, as in Hugging Face's tokenizers: a cluster below six bytes is looked up as a whole, and the FIRST hit counts, which is that of its shortest prefix, so that
 * a mark behind a letter that maps is lost; otherwise each character is looked up alone.
 */
#include "text/tokenizer/precompiled.h"

#include <stdlib.h>
#include <utf8proc.h>

#include "base/utf8.h"
#include "text/tokenizer/unicode.h"

#define WHOLE_MAX 6 /* bytes: clusters from here on go character by character */

struct precompiled {
    uint32_t *units; /* owned */
    size_t units_n;
    char *blob; /* owned; UTF-8 */
    size_t blob_n;
    bool ascii_maps[128]; /* does the character alone map? */
};

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Standard alphabet, padded. */
static int base64_decode(struct str s, struct buf *out)
{
    if (s.n % 4)
        return ERR_INVALID;
    size_t pad = s.n && s.p[s.n - 1] == '=' ? (s.p[s.n - 2] == '=' ? 2 : 1) : 0;
    char *p = buf_reserve(out, s.n / 4 * 3 + 1);
    if (!p)
        return ERR_NOMEM;
    for (size_t i = 0; i < s.n; i += 4) {
        uint32_t v = 0;
        for (size_t k = 0; k < 4; k++) {
            int d = i + k >= s.n - pad ? 0 : base64_value(s.p[i + k]);
            if (d < 0)
                return ERR_INVALID;
            v = v << 6 | (uint32_t)d;
        }
        *p++ = (char)(v >> 16);
        *p++ = (char)(v >> 8);
        *p++ = (char)v;
    }
    out->n += s.n / 4 * 3 - pad;
    return 0;
}

static uint32_t read_u32(const char *p)
{
    const unsigned char *u = (const unsigned char *)p;
    return u[0] | (uint32_t)u[1] << 8 | (uint32_t)u[2] << 16 | (uint32_t)u[3] << 24;
}

static inline size_t children(uint32_t unit)
{
    return (size_t)(unit >> 10) << ((unit & 0x200) >> 6);
}

/* The replacement of the shortest prefix of KEY that maps. */
static bool find(const struct precompiled *p, struct str key, struct str *ret)
{
    if (!p->units_n)
        return false;
    size_t at = children(p->units[0]);
    for (size_t i = 0; i < key.n; i++) {
        unsigned char c = (unsigned char)key.p[i];
        if (!c)
            return false;
        at ^= c;
        if (at >= p->units_n)
            return false;
        uint32_t unit = p->units[at];
        if ((unit & 0x800000ffu) != c)
            return false;
        at ^= children(unit);
        if (!(unit & 0x100))
            continue;
        if (at >= p->units_n)
            return false;
        size_t from = p->units[at] & 0x7fffffffu;
        if (from > p->blob_n || (from < p->blob_n && ((unsigned char)p->blob[from] & 0xc0) == 0x80))
            return false;
        *ret = (struct str){ p->blob + from, strnlen(p->blob + from, p->blob_n - from) };
        return true;
    }
    return false;
}

/* BYTES is the decoded map. */
static int take(struct precompiled *p, struct str bytes, struct err *err)
{
    size_t trie = bytes.n < 4 ? 0 : read_u32(bytes.p);
    if (bytes.n < 4 || trie % 4 || trie > bytes.n - 4)
        return err_set(err, ERR_INVALID, "precompiled_charsmap: the size of its trie (%zu) does not fit into its %zu bytes", trie,
                       bytes.n);
    struct str blob = str_skip(bytes, 4 + trie);
    if (!utf8_valid(blob))
        return err_set(err, ERR_INVALID, "precompiled_charsmap: its replacements are not UTF-8");
    p->units_n = trie / 4;
    p->blob_n = blob.n;
    p->units = malloc(trie + 1);
    p->blob = malloc(blob.n + 1);
    if (!p->units || !p->blob)
        return err_set(err, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < p->units_n; i++)
        p->units[i] = read_u32(bytes.p + 4 + 4 * i);
    if (blob.n)
        memcpy(p->blob, blob.p, blob.n);
    for (int c = 0; c < 128; c++) {
        char one = (char)c;
        struct str to;
        p->ascii_maps[c] = find(p, (struct str){ &one, 1 }, &to);
    }
    return 0;
}

int precompiled_new(struct str base64, struct precompiled **ret, struct err *err)
{
    if (base64.n > PRECOMPILED_MAX)
        return err_set(err, ERR_LIMIT, "precompiled_charsmap: %zu bytes are more than %u", base64.n, PRECOMPILED_MAX);
    struct buf bytes = { 0 };
    struct precompiled *p = calloc(1, sizeof(*p));
    int r = base64_decode(base64, &bytes);
    if (!p || r == ERR_NOMEM)
        r = err_set(err, ERR_NOMEM, "out of memory");
    else if (r < 0)
        r = err_set(err, r, "precompiled_charsmap: not base64");
    else
        r = take(p, buf_str(&bytes), err);
    buf_fini(&bytes);
    if (r < 0) {
        precompiled_free(p);
        return r;
    }
    *ret = p;
    return 0;
}

void precompiled_free(struct precompiled *p)
{
    if (!p)
        return;
    free(p->units);
    free(p->blob);
    free(p);
}

size_t precompiled_memory(const struct precompiled *p)
{
    return p ? sizeof(*p) + p->units_n * sizeof(*p->units) + p->blob_n : 0;
}

/* utf8proc's tables may be older than the oracle's (Unicode 16): what it does not know and is a mark extends, as all marks do. */
static int32_t for_breaking(uint32_t c)
{
    if (c < 0x300 || utf8proc_category((int32_t)c) != UTF8PROC_CATEGORY_CN)
        return (int32_t)c;
    enum unicode_category known = unicode_category(c);
    return known == UNICODE_MC ? 0x903 : known == UNICODE_MN || known == UNICODE_ME ? 0x300 : (int32_t)c;
}

/* The end of the cluster that begins at I. */
static size_t cluster_end(struct str s, size_t i)
{
    size_t n;
    if ((unsigned char)s.p[i] < 0x80 && s.p[i] != '\r' && (i + 1 == s.n || (unsigned char)s.p[i + 1] < 0x80))
        return i + 1;
    int32_t state = 0;
    int32_t c = for_breaking(unicode_read(s.p + i, s.n - i, &n));
    for (i += n; i < s.n; i += n) {
        int32_t next = for_breaking(unicode_read(s.p + i, s.n - i, &n));
        if (utf8proc_grapheme_break_stateful(c, next, &state))
            break;
        c = next;
    }
    return i;
}

static void put_cluster(const struct precompiled *p, struct str s, struct buf *out, bool *changed)
{
    struct str to;
    if (s.n < WHOLE_MAX && find(p, s, &to)) {
        *changed = true;
        buf_put(out, to);
        return;
    }
    for (size_t i = 0, n; i < s.n; i += n) {
        (void)unicode_read(s.p + i, s.n - i, &n); /* for its length */
        struct str one = { s.p + i, n };
        bool hit = find(p, one, &to);
        *changed |= hit;
        buf_put(out, hit ? to : one);
    }
}

int precompiled_run(const struct precompiled *p, struct str in, struct buf *out, struct str *ret)
{
    buf_clear(out);
    bool changed = false;
    for (size_t i = 0; i < in.n;) {
        size_t end = i;
        /* ASCII that does not map and has ASCII behind it stays as it is. */
        while (end < in.n && (unsigned char)in.p[end] < 0x80 && !p->ascii_maps[(unsigned char)in.p[end]] && in.p[end] != '\r' &&
               (end + 1 == in.n || (unsigned char)in.p[end + 1] < 0x80))
            end++;
        buf_put(out, str_range(in.p + i, in.p + end));
        i = end;
        if (i == in.n)
            break;
        end = cluster_end(in, i);
        put_cluster(p, str_range(in.p + i, in.p + end), out, &changed);
        i = end;
    }
    if (out->failed)
        return ERR_NOMEM;
    *ret = changed ? buf_str(out) : in;
    return 0;
}
