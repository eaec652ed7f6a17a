/* text/tokenizer/added_tokens.c -- finding added tokens in text
 *
 * Both searches (raw and normalised text) are of the same make:
 *   rows      the tokens, sorted by what is searched for; all that begin with the same bytes stand together, so that a longest match is a narrowing of a range, byte by byte
 *   pairs     one bit for each two bytes that a token begins with: what stops nearly every candidate after one look
 *   firsts    the bytes that tokens begin with, usually one or two of them ('<', '['); text without them is passed 64 bytes at a time
 * Text without added tokens costs the reading of it. A candidate costs at most the length of the longest token that begins so.
 */
#include "text/tokenizer/added_tokens.h"

#include <stdlib.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/attr.h"
#include "base/map.h"
#include "text/tokenizer/unicode.h"

#define FIRSTS_MAX 8 /* with more of them, comparing each is slower than a table */

struct search {
    uint32_t *rows; /* owned; numbers of tokens, sorted by `matched`; each text once */
    size_t n;
    uint32_t starts[257]; /* rows with first byte b: [starts[b], starts[b + 1]) */
    uint8_t *pairs;       /* owned; 65536 bits; NULL when n == 0 */
    uint8_t firsts[FIRSTS_MAX];
    unsigned firsts_n; /* FIRSTS_MAX + 1 = too many */
};

struct added_tokens {
    struct added_token *tokens; /* owned */
    size_t n;
    char *bytes; /* owned; all contents and matched texts */
    size_t bytes_n;
    struct map by_content;
    uint32_t *by_id; /* owned; numbers of tokens, sorted by id */
    size_t by_id_n;
    struct search raw, normal;
};

/* ---- building ---- */

struct order {
    const struct added_token *tokens;
    bool by_id;
};

static int compare_rows(const void *a, const void *b, void *arg)
{
    const struct order *o = arg;
    const struct added_token *x = &o->tokens[*(const uint32_t *)a], *y = &o->tokens[*(const uint32_t *)b];
    int c = o->by_id ? (x->id > y->id) - (x->id < y->id) : str_cmp(x->matched, y->matched);

    if (c == 0 && !o->by_id)
        c = y->special - x->special; /* of equal ones, specials come first, as the automaton of `tokenizers` gets them */
    return c ? c : (x > y) - (x < y);
}

static int build_search(struct search *q, const struct added_tokens *s, bool normalized)
{
    struct order o = { s->tokens, .by_id = false };
    size_t n = 0;

    q->rows = reallocarray(NULL, MAX(s->n, 1), sizeof(*q->rows));
    q->pairs = calloc(1, 8192);
    if (!q->rows || !q->pairs)
        return ERR_NOMEM;
    for (size_t i = 0; i < s->n; i++) {
        if (s->tokens[i].normalized == normalized && s->tokens[i].matched.n)
            q->rows[n++] = (uint32_t)i;
    }
    qsort_r(q->rows, n, sizeof(*q->rows), compare_rows, &o);
    for (size_t i = 0; i < n; i++) {
        struct str text = s->tokens[q->rows[i]].matched;
        if (q->n && str_eq(text, s->tokens[q->rows[q->n - 1]].matched))
            continue;
        q->rows[q->n++] = q->rows[i];

        unsigned first = (uint8_t)text.p[0];
        if (q->starts[first + 1]++ == 0 && q->firsts_n <= FIRSTS_MAX) {
            if (q->firsts_n < FIRSTS_MAX)
                q->firsts[q->firsts_n] = (uint8_t)first;
            q->firsts_n++;
        }
        if (text.n == 1)
            memset(q->pairs + first * 32, 0xff, 32);
        else
            q->pairs[first * 32 + (uint8_t)text.p[1] / 8] |= (uint8_t)(1u << ((uint8_t)text.p[1] % 8));
    }
    for (unsigned b = 0; b < 256; b++)
        q->starts[b + 1] += q->starts[b];
    return 0;
}

/* The copies of contents and matched texts, one behind the other. */
static int copy_texts(struct added_tokens *s, const struct added_token *tokens, size_t n)
{
    for (size_t i = 0; i < n; i++)
        s->bytes_n += tokens[i].content.n + tokens[i].matched.n;
    s->bytes = malloc(MAX(s->bytes_n, 1));
    s->tokens = calloc(MAX(n, 1), sizeof(*s->tokens));
    if (!s->bytes || !s->tokens)
        return ERR_NOMEM;

    char *at = s->bytes;
    for (size_t i = 0; i < n; i++) {
        const struct str *in[] = { &tokens[i].content, &tokens[i].matched };
        struct added_token t = tokens[i];
        struct str *out[] = { &t.content, &t.matched };
        for (int k = 0; k < 2; k++) {
            if (in[k]->n)
                memcpy(at, in[k]->p, in[k]->n);
            *out[k] = (struct str){ at, in[k]->n };
            at += in[k]->n;
        }
        struct added_token *old = map_get(&s->by_content, t.content);
        struct added_token *place = old ? old : &s->tokens[s->n++];
        *place = t;
        if (map_put(&s->by_content, place->content, place, NULL) < 0) /* put again: the key is a view of the new content */
            return ERR_NOMEM;
    }
    return 0;
}

static int build_ids(struct added_tokens *s)
{
    struct order o = { s->tokens, .by_id = true };

    s->by_id = reallocarray(NULL, MAX(s->n, 1), sizeof(*s->by_id));
    if (!s->by_id)
        return ERR_NOMEM;
    for (size_t i = 0; i < s->n; i++)
        s->by_id[i] = (uint32_t)i;
    qsort_r(s->by_id, s->n, sizeof(*s->by_id), compare_rows, &o);
    for (size_t i = 0; i < s->n; i++) { /* of equal ids the last counts */
        if (s->by_id_n && s->tokens[s->by_id[s->by_id_n - 1]].id == s->tokens[s->by_id[i]].id)
            s->by_id_n--;
        s->by_id[s->by_id_n++] = s->by_id[i];
    }
    return 0;
}

int added_tokens_new(const struct added_token *tokens, size_t n, struct added_tokens **ret, struct err *err)
{
    struct added_tokens *s = calloc(1, sizeof(*s));

    if (!s || copy_texts(s, tokens, n) < 0 || build_ids(s) < 0 || build_search(&s->raw, s, false) < 0 ||
        build_search(&s->normal, s, true) < 0) {
        added_tokens_free(s);
        return err_set(err, ERR_NOMEM, "no memory for %zu added tokens", n);
    }
    *ret = s;
    return 0;
}

void added_tokens_free(struct added_tokens *s)
{
    if (!s)
        return;
    struct search *both[] = { &s->raw, &s->normal };
    for (int i = 0; i < 2; i++) {
        free(both[i]->rows);
        free(both[i]->pairs);
    }
    map_fini(&s->by_content);
    free(s->by_id);
    free(s->tokens);
    free(s->bytes);
    free(s);
}

/* ---- asking ---- */

size_t added_tokens_memory(const struct added_tokens *s)
{
    return sizeof(*s) + s->bytes_n + s->n * (sizeof(*s->tokens) + sizeof(*s->by_id)) + (s->raw.n + s->normal.n) * sizeof(uint32_t) +
           2 * (size_t)8192 + s->by_content.cap * sizeof(struct map_entry);
}

const struct added_token *added_tokens_by_id(const struct added_tokens *s, uint32_t id)
{
    size_t low = 0, high = s->by_id_n;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (s->tokens[s->by_id[mid]].id < id)
            low = mid + 1;
        else
            high = mid;
    }
    return low < s->by_id_n && s->tokens[s->by_id[low]].id == id ? &s->tokens[s->by_id[low]] : NULL;
}

const struct added_token *added_tokens_by_content(const struct added_tokens *s, struct str text)
{
    return map_get(&s->by_content, text);
}

const struct added_token *added_tokens_all(const struct added_tokens *s, size_t *ret_n)
{
    *ret_n = s->n;
    return s->tokens;
}

bool added_tokens_has(const struct added_tokens *s, bool normalized)
{
    return (normalized ? &s->normal : &s->raw)->n > 0;
}

/* ---- searching ---- */

/* May a token begin at p[at]? One bit to ask; the last byte of the text pairs with nothing, so it is asked by itself. */
static bool may_begin(const struct search *q, const uint8_t *p, size_t n, size_t at)
{
    if (at + 1 < n)
        return q->pairs[p[at] * 32u + p[at + 1] / 8u] >> (p[at + 1] % 8) & 1;
    return q->starts[p[at] + 1] > q->starts[p[at]];
}

/* The next place at or behind FROM where a token may begin, or N. */
static size_t next_candidate(const struct search *q, const uint8_t *p, size_t n, size_t from)
{
#ifdef __SSE2__
    if (q->firsts_n <= FIRSTS_MAX) {
        __m128i firsts[FIRSTS_MAX];
        for (unsigned k = 0; k < q->firsts_n; k++)
            firsts[k] = _mm_set1_epi8((char)q->firsts[k]);
        for (; n - from >= 64; from += 64) {
            uint64_t hits = 0;
            for (unsigned part = 0; part < 64; part += 16) {
                __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(p + from + part));
                __m128i equal = _mm_setzero_si128();
                for (unsigned k = 0; k < q->firsts_n; k++)
                    equal = _mm_or_si128(equal, _mm_cmpeq_epi8(bytes, firsts[k]));
                hits |= (uint64_t)(unsigned)_mm_movemask_epi8(equal) << part;
            }
            for (; hits; hits &= hits - 1) {
                size_t at = from + (size_t)__builtin_ctzll(hits);
                if (may_begin(q, p, n, at))
                    return at;
            }
        }
    }
#endif
    while (from < n && !may_begin(q, p, n, from))
        from++;
    return from;
}

/* The longest token that begins at text[at]; NULL = none. */
static const struct added_token *longest_at(const struct search *q, const struct added_token *tokens, struct str text, size_t at)
{
    uint8_t c = (uint8_t)text.p[at];
    size_t low = q->starts[c], high = q->starts[c + 1];
    const struct added_token *best = NULL;

    for (size_t depth = 1; low < high; depth++) { /* rows [low, high) agree with the text in the first `depth` bytes */
        struct str first = tokens[q->rows[low]].matched;
        if (first.n == depth) {
            best = &tokens[q->rows[low]];
            low++;
        }
        if (at + depth >= text.n)
            break;
        if (high - low == 1) { /* one left: no narrowing any more */
            struct str only = tokens[q->rows[low]].matched;
            if (only.n <= text.n - at && memcmp(only.p + depth, text.p + at + depth, only.n - depth) == 0)
                best = &tokens[q->rows[low]];
            break;
        }
        c = (uint8_t)text.p[at + depth];
        for (size_t end = high; low < end;) { /* the first row whose next byte is not below c */
            size_t mid = low + (end - low) / 2;
            if ((uint8_t)tokens[q->rows[mid]].matched.p[depth] < c)
                low = mid + 1;
            else
                end = mid;
        }
        for (size_t begin = low; begin < high;) { /* ... and the first whose next byte is above it */
            size_t mid = begin + (high - begin) / 2;
            if ((uint8_t)tokens[q->rows[mid]].matched.p[depth] > c)
                high = mid;
            else
                begin = mid + 1;
        }
    }
    return best;
}

/* Start of the character that ends before `end` (> 0). */
static size_t previous_character(struct str text, size_t end, uint32_t *ret_c)
{
    size_t at = end - 1, n;

    while (at > 0 && end - at < 4 && ((uint8_t)text.p[at] & 0xc0) == 0x80)
        at--;
    *ret_c = unicode_read(text.p + at, end - at, &n);
    return at;
}

static bool is_single_word(struct str text, size_t start, size_t end)
{
    uint32_t c;
    size_t n;

    if (start > 0) {
        previous_character(text, start, &c);
        if (unicode_is_word(c))
            return false;
    }
    return end >= text.n || !unicode_is_word(unicode_read(text.p + end, text.n - end, &n));
}

static size_t space_before(struct str text, size_t start)
{
    while (start > 0) {
        uint32_t c;
        size_t at = previous_character(text, start, &c);
        if (!unicode_is_white_space(c))
            break;
        start = at;
    }
    return start;
}

static size_t space_behind(struct str text, size_t end)
{
    while (end < text.n) {
        size_t n;
        if (!unicode_is_white_space(unicode_read(text.p + end, text.n - end, &n)))
            break;
        end += n;
    }
    return end;
}

const struct added_token *added_tokens_next(const struct added_tokens *s, bool normalized, struct str text, size_t from,
                                            size_t previous, size_t *ret_start, size_t *ret_end, size_t *ret_resume)
{
    const struct search *q = normalized ? &s->normal : &s->raw;

    if (q->n == 0)
        return NULL;
    for (;;) {
        const struct added_token *t = NULL;
        while ((from = next_candidate(q, (const uint8_t *)text.p, text.n, from)) < text.n &&
               !(t = longest_at(q, s->tokens, text, from)))
            from++;
        if (!t)
            return NULL;

        size_t start = from, end = from + t->matched.n;
        from = end;
        if (t->single_word && !is_single_word(text, start, end))
            continue; /* not tried again with a shorter one */
        *ret_resume = end;
        *ret_start = t->lstrip ? MAX(space_before(text, start), previous) : start;
        *ret_end = t->rstrip ? space_behind(text, end) : end;
        return t;
    }
}
