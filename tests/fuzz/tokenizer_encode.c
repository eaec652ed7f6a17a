/* tests/fuzz/tokenizer_encode.c -- the fast way to ids against the slow one: any text, every row of the scanners
 *
 * Two tokenizers of the same vocabulary: one names its regexes as the families do and gets a scanner, a cache of pieces and what else is fast; the other wraps each regex in (?:...), which no row
 * is spelt like, and goes the generic way through PCRE2 with an encoder that remembers nothing. Their ids are equal; decoding the ids gives the text again (its broken bytes as U+FFFD), at once
 * and one at a time.
 * The first byte of the input chooses the row.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/tokenizer/detokenizer.h"

#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CACHE_BYTES (64u << 10)
#define ARRAY(x)    (sizeof(x) / sizeof((x)[0]))

#define TAIL         "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define FRONT        "[^\\r\\n\\p{L}\\p{N}]?"
#define UPPER        "\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}"
#define LOWER        "\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}"

static const char *const ROWS[] = {
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
    CONTRACTIONS "|" FRONT "\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*" TAIL,
    CONTRACTIONS "|" FRONT "\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*" TAIL,
    CONTRACTIONS "|" FRONT "[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*" TAIL,
    FRONT "[" UPPER "]*[" LOWER "]+" CONTRACTIONS "?|" FRONT "[" UPPER "]+[" LOWER "]*" CONTRACTIONS
          "?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*" TAIL,
    FRONT "[" UPPER "]*[" LOWER "]+|" FRONT "[" UPPER "]+[" LOWER "]*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*" TAIL,
};

static struct tokenizer *fast[ARRAY(ROWS)], *slow[ARRAY(ROWS)];

static void expect(bool holds)
{
    if (!holds)
        abort();
}

/* The letters of the byte-level alphabet, 256 of them, each one a JSON string of its own. */
static void put_letter(struct buf *b, unsigned byte)
{
    unsigned c = byte, next = 256;

    for (unsigned i = 0; i <= byte; i++)
        if (i < 33 || (i > 126 && i < 161) || i == 173)
            c = next++;
        else
            c = i;
    if (c == '"' || c == '\\')
        buf_put_char(b, '\\');
    if (c < 128)
        buf_put_char(b, (char)c);
    else {
        buf_put_char(b, (char)(0xC0 | c >> 6));
        buf_put_char(b, (char)(0x80 | (c & 63)));
    }
}

/* Pairs that merge: what is common in any text, so that pieces are more than bytes. */
static const char *const MERGES[] = { " t",       "th",       "he",   " a",   "in", "er",  "an",       "  ",
                                      "    ",     " the",     "\n\n", "\r\n", "ll", "'s",  "\xe4\xb8", "\xe4\xb8\xad",
                                      "\xcc\x81", "\xc2\xa0", "11",   "111",  "..", "...." };

static void put_word(struct buf *b, const char *word, size_t n)
{
    for (size_t i = 0; i < n; i++)
        put_letter(b, (uint8_t)word[i]);
}

static struct tokenizer *make(const char *regex, bool wrapped)
{
    struct buf b = { 0 };
    struct tokenizer *t = NULL;
    struct err err = { 0 };

    buf_puts(&b, "{\"model\":{\"type\":\"BPE\",\"vocab\":{");
    for (unsigned i = 0; i < 256; i++) {
        buf_puts(&b, "\"");
        put_letter(&b, i);
        buf_printf(&b, "\":%u,", i);
    }
    for (size_t i = 0; i < ARRAY(MERGES); i++) {
        buf_puts(&b, "\"");
        put_word(&b, MERGES[i], strlen(MERGES[i]));
        buf_printf(&b, "\":%zu%s", 256 + i, i + 1 < ARRAY(MERGES) ? "," : "},\"merges\":[");
    }
    for (size_t i = 0; i < ARRAY(MERGES); i++) {
        size_t n = strlen(MERGES[i]), left = n == 4 ? 2 : n - 1; /* of " the" too: " t" and "he" */
        buf_puts(&b, "[\"");
        put_word(&b, MERGES[i], left);
        buf_puts(&b, "\",\"");
        put_word(&b, MERGES[i] + left, n - left);
        buf_printf(&b, "\"]%s", i + 1 < ARRAY(MERGES) ? "," : "]},");
    }
    buf_puts(&b, "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"behavior\":\"Isolated\","
                 "\"invert\":false,\"pattern\":{\"Regex\":\"");
    buf_put(&b, str_of(wrapped ? "(?:" : ""));
    for (const char *p = regex; *p; p++) {
        if (*p == '\\')
            buf_put_char(&b, '\\');
        buf_put_char(&b, *p);
    }
    buf_put(&b, str_of(wrapped ? ")" : ""));
    buf_puts(&b, "\"}},{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":false}]},"
                 "\"decoder\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true,\"use_regex\":true}}");
    struct tokenizer_files files = { .tokenizer_json = buf_str(&b) };
    if (tokenizer_load(&files, &TOKENIZER_LIMITS_DEFAULT, &t, &err) < 0) {
        fprintf(stderr, "%s\n", err.message);
        abort();
    }
    buf_fini(&b);
    return t;
}

static void encode(const struct tokenizer *t, size_t cache_bytes, struct str text, struct ids *ids)
{
    struct tokenizer_encoder *e;
    struct err err;

    expect(tokenizer_encoder_new(t, cache_bytes, &e) == 0);
    expect(tokenizer_encode(e, text, 0, ids, &err) == 0);
    if (cache_bytes) { /* once more, out of the cache */
        ids_clear(ids);
        expect(tokenizer_encode(e, text, 0, ids, &err) == 0);
    }
    tokenizer_encoder_free(e);
}

static void decode(const struct tokenizer *t, const struct ids *ids, struct str text)
{
    struct buf whole = { 0 }, streamed = { 0 };
    struct detokenizer d;
    struct err err;

    expect(tokenizer_decode(t, ids->v, ids->n, false, &whole, &err) == 0);
    expect(!utf8_valid(text) || str_eq(buf_str(&whole), text));
    detokenizer_init(&d, t, false);
    for (size_t i = 0; i < ids->n; i++)
        expect(detokenizer_put(&d, ids->v[i], &streamed) == 0);
    expect(detokenizer_flush(&d, &streamed) == 0);
    detokenizer_fini(&d);
    expect(str_eq(buf_str(&whole), buf_str(&streamed)));
    buf_fini(&whole);
    buf_fini(&streamed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ids one = { 0 }, other = { 0 };

    if (size == 0)
        return 0;
    size_t row = data[0] % ARRAY(ROWS);
    struct str text = { (const char *)data + 1, size - 1 };
    if (!fast[row]) {
        fast[row] = make(ROWS[row], false);
        slow[row] = make(ROWS[row], true);
    }
    encode(fast[row], CACHE_BYTES, text, &one);
    encode(slow[row], 0, text, &other);
    expect(one.n == other.n && (one.n == 0 || memcmp(one.v, other.v, one.n * sizeof(*one.v)) == 0));
    decode(fast[row], &one, text);
    ids_fini(&one);
    ids_fini(&other);
    return 0;
}
