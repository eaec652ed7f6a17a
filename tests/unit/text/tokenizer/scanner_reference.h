/* scanner_reference.h -- the rows of spec 5 as regexes, run by the regex engine: what the scanners are held to, in scanner.c and in the fuzz target
 *
 * The texts are written out here as the files of the model families have them, not taken from scanner.c: a slip in a key shows as a row without a scanner.
 */
#pragma once

#include <stdlib.h>

#include "text/tokenizer/regex.h"
#include "text/tokenizer/scanner_rows.h"
#include "text/tokenizer/unicode.h"

struct row_regexes {
    struct str regexes[3];
    unsigned n;
    bool digits_first;
};

#define REGEX_G "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

static const struct row_regexes ROW_REGEXES[SCAN_ROW_COUNT] = {
    [SCAN_NUMBER_G] = { { STR_INIT(REGEX_G) }, 1, false },
    [SCAN_NUMBER_R] = { { STR_INIT(REGEX_G) }, 1, true },
    [SCAN_NUMBER_L3] = { { STR_INIT("(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| "
                                    "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+") },
                         1,
                         false },
    [SCAN_NUMBER_C1] = { { STR_INIT("'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}++|\\p{N}{1,3}+| "
                                    "?[^\\s\\p{L}\\p{N}]++[\\r\\n]*+|\\s++$|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+") },
                         1,
                         false },
    [SCAN_NUMBER_Q2] = { { STR_INIT("(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| "
                                    "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+") },
                         1,
                         false },
    [SCAN_NUMBER_Q35] = { { STR_INIT("(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| "
                                     "?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+") },
                          1,
                          false },
    [SCAN_NUMBER_O] = { { STR_INIT("[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'"
                                   "s|'t|'re|'ve|'m|'ll|'d)?|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}"
                                   "\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\\p{N}{1,3}| "
                                   "?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+") },
                        1,
                        false },
    [SCAN_NUMBER_T] = { { STR_INIT("[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|[^"
                                   "\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|\\p{N}|"
                                   " ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+") },
                        1,
                        false },
    [SCAN_NUMBER_K] = { { STR_INIT(
                            "[\\p{Han}]+|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]*[\\p{Ll}\\p{Lm}"
                            "\\p{Lo}\\p{M}&&[^\\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}"
                            "\\p{Lo}\\p{M}&&[^\\p{Han}]]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
                            "\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+") },
                        1,
                        false },
    [SCAN_NUMBER_D] = { { STR_INIT("\\p{N}{1,3}"), STR_INIT("[\u4E00-\u9FA5\u3040-\u309F\u30A0-\u30FF]+"),
                          STR_INIT(
                              "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| "
                              "?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+") },
                        3,
                        false },
};

/* One of each class that a row tells from another, at the borders of ranges too. */
static const char *const REPRESENTATIVES[] = {
    "a",          "s",          "Z",          "'",          "!",          "/",        " ",      "\t",     "\n",     "\r",
    "7",          "_",          "\x01",       "\u017F",     "\u00E9",     "\u00C9",   "\u01C5", "\u02B0", "\u05D0", "\u0301",
    "\u0663",     "\u00B2",     "\u201C",     "\u20AC",     "\u00A0",     "\xC2\x85", "\u3000", "\u200D", "\u0378", "\u4E2D",
    "\u9FA6",     "\u3007",     "\u3005",     "\u2E80",     "\U00016FF0", "\u3042",   "\u3099", "\u3040", "\u30FB", "\uD55C",
    "\U0001F642", "\U00020000", "\U00011DE0", "\U00016FE2", "\u1C89",     "\x7F",     "S",      "t",      "l",      "L",
    "r",          "e",          "v",          "0",          "\u212A",     "\v",       "\u0903", "\u180E",
};
#define REPRESENTATIVES_N (sizeof(REPRESENTATIVES) / sizeof(REPRESENTATIVES[0]))

struct row_reference {
    struct regex *splits[3];
    struct regex_work *work;
};

static inline void reference_abort(bool failed)
{
    if (failed)
        abort();
}

static inline struct row_reference reference_new(enum scan_row_number row)
{
    struct row_reference r = { 0 };
    struct err err = { 0 };

    for (unsigned i = 0; i < ROW_REGEXES[row].n; i++)
        reference_abort(regex_new(ROW_REGEXES[row].regexes[i], &r.splits[i], &err) < 0);
    reference_abort(regex_work_new(&r.work) < 0);
    return r;
}

static inline void reference_free(struct row_reference *r)
{
    for (unsigned i = 0; i < 3; i++)
        regex_free(r->splits[i]);
    regex_work_free(r->work);
}

/* Split I and those behind it on text[from, to): each match and each range between matches is a piece. */
static inline size_t reference_split(const struct row_reference *r, unsigned i, const char *text, size_t from, size_t to,
                                     uint32_t *ends, size_t count)
{
    struct err err = { 0 };
    size_t at = 0, start, end;

    if (from == to)
        return count;
    if (i == 3 || !r->splits[i]) {
        ends[count] = (uint32_t)to;
        return count + 1;
    }
    struct regex_scan s = regex_scan(r->splits[i], r->work, (struct str){ text + from, to - from });
    int found;
    while ((found = regex_next(&s, &start, &end, &err)) == 1) {
        count = reference_split(r, i + 1, text, from + at, from + start, ends, count);
        count = reference_split(r, i + 1, text, from + start, from + end, ends, count);
        at = end;
    }
    reference_abort(found < 0);
    return reference_split(r, i + 1, text, from + at, to, ends, count);
}

/* ENDS has room for N. */
static inline size_t reference_cut(const struct row_reference *r, enum scan_row_number row, const char *text, size_t n,
                                   uint32_t *ends)
{
    size_t count = 0, from = 0, length;

    regex_work_begin(r->work, n);
    for (size_t i = 0; ROW_REGEXES[row].digits_first && i < n; i += length) {
        if (!unicode_is_numeric(unicode_read(text + i, n - i, &length)))
            continue;
        count = reference_split(r, 0, text, from, i, ends, count);
        count = reference_split(r, 0, text, i, i + length, ends, count);
        from = i + length;
    }
    return reference_split(r, 0, text, from, n, ends, count);
}

/* V(scanners): every machine that runs here. */
static inline unsigned machines(const struct scanner *ret[3])
{
    unsigned n = 0;

    ret[n++] = SCANNERS_PORTABLE;
#ifdef __x86_64__
    ret[n++] = SCANNERS_SSE2;
    if (scanner_has_avx2())
        ret[n++] = SCANNERS_AVX2;
#endif
    return n;
}

/* Scans in batches of MAX. ENDS has room for N. */
static inline size_t scan_all(const struct scanner *s, const char *text, size_t n, size_t max, uint32_t *ends)
{
    size_t count = 0, begin = 0;

    while (begin < n) {
        size_t room = n - count, found = s->scan(text, n, begin, ends + count, max < room ? max : room);
        reference_abort(found == 0);
        count += found;
        begin = ends[count - 1];
    }
    return count;
}
