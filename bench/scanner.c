/* scanner.c -- how fast text is cut into pieces, without encoding them: MB/s per row, machine and kind of text
 *
 * English and code are the project's own (docs/, src/), the others are made from the same seed each time: Chinese has the punctuation and lengths of sentences, not their sense; cutting
 * looks at classes of characters only. Pieces come in batches of 512, as the encoder asks for them. The best of RUNS counts; spread is (slowest - fastest) / fastest of the fastest machine.
 */
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/attr.h"
#include "text/tokenizer/scanner_rows.h"
#include "text/tokenizer/unicode.h"

#define TEXT_BYTES 2000000u
#define RUNS       9
#define BATCH      512

struct text {
    const char *name;
    char *p;
    size_t n;
};

static uint64_t seed = 1;

static unsigned dice(unsigned sides)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(seed >> 33) % sides;
}

static void put(struct text *t, uint32_t c)
{
    if (t->n + 4 <= TEXT_BYTES)
        t->n += unicode_write(t->p + t->n, c);
}

/* Files one behind the other, over and over until the text is full. */
static struct text of_files(const char *name, const char *pattern)
{
    struct text t = { name, malloc(TEXT_BYTES), 0 };
    glob_t found;

    if (!t.p || glob(pattern, 0, NULL, &found) != 0) {
        fprintf(stderr, "scanner: no %s: run it at the top of the source tree\n", pattern);
        exit(1);
    }
    for (size_t i = 0; t.n < TEXT_BYTES; i = (i + 1) % found.gl_pathc) {
        FILE *f = fopen(found.gl_pathv[i], "rb");
        size_t got = f ? fread(t.p + t.n, 1, TEXT_BYTES - t.n, f) : 0;
        if (f)
            (void)fclose(f);
        if (!got && i == 0 && t.n == 0)
            exit(1);
        t.n += got;
    }
    globfree(&found);
    while (t.n && (t.p[t.n - 1] & 0x80)) /* no character is cut */
        t.n--;
    return t;
}

static void chinese(struct text *t, unsigned sentences)
{
    static const uint32_t STOPS[] = { 0xFF0C, 0xFF0C, 0x3002, 0x3001 };

    for (; sentences; sentences--) {
        for (unsigned n = 4 + dice(11); n; n--)
            put(t, 0x4E00 + dice(0x4200));
        put(t, STOPS[dice(4)]);
    }
}

static void russian(struct text *t, unsigned words)
{
    for (; words; words--) {
        for (unsigned n = 2 + dice(9); n; n--)
            put(t, 0x430 + dice(32));
        if (dice(8) == 0)
            put(t, ',');
        put(t, ' ');
    }
}

static struct text made(const char *name, const struct text *english, bool has_chinese, bool has_russian)
{
    struct text t = { name, malloc(TEXT_BYTES), 0 };

    if (!t.p)
        exit(1);
    for (size_t at = 0; t.n + 4 <= TEXT_BYTES;) {
        if (english) {
            size_t n = MIN((size_t)300, TEXT_BYTES - t.n);
            memcpy(t.p + t.n, english->p + at, n);
            t.n += n;
            at += n;
        }
        if (has_chinese)
            chinese(&t, 8);
        if (has_russian)
            russian(&t, 20);
    }
    return t;
}

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static size_t cut(const struct scanner *s, const struct text *t)
{
    uint32_t ends[BATCH];
    size_t pieces = 0, begin = 0;

    while (begin < t->n) {
        size_t n = s->scan(t->p, t->n, begin, ends, BATCH);
        begin = ends[n - 1];
        pieces += n;
    }
    return pieces;
}

/* MB/s */
static double speed(const struct scanner *s, const struct text *t, double *ret_spread)
{
    double best = 1e9, worst = 0;

    for (unsigned i = 0; i < RUNS; i++) {
        double start = seconds();
        (void)cut(s, t);
        double took = seconds() - start;
        best = MIN(best, took);
        worst = MAX(worst, took);
    }
    *ret_spread = (worst - best) / best;
    return (double)t->n / best / 1e6;
}

int main(void)
{
    struct text english = of_files("English", "docs/*.md"), code = of_files("code", "src/*/*.c");
    const struct text texts[] = { english, code, made("Chinese", NULL, true, false), made("Russian", NULL, false, true),
                                  made("mixed", &english, true, true) };

    printf("%-8s %-5s %9s %9s %9s %9s %12s\n", "text", "row", "portable", "SSE2", "AVX2", "spread", "bytes/piece");
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        for (unsigned row = 0; row < SCAN_ROW_COUNT; row++) {
            double spread, portable = speed(&SCANNERS_PORTABLE[row], &texts[i], &spread), sse2 = 0, avx2 = 0;
#ifdef __x86_64__
            sse2 = speed(&SCANNERS_SSE2[row], &texts[i], &spread);
            avx2 = scanner_has_avx2() ? speed(&SCANNERS_AVX2[row], &texts[i], &spread) : 0;
#endif
            printf("%-8s %-5s %9.0f %9.0f %9.0f %8.0f%% %12.2f\n", texts[i].name, SCANNERS_PORTABLE[row].name, portable, sse2, avx2,
                   spread * 100, (double)texts[i].n / (double)cut(&SCANNERS_PORTABLE[row], &texts[i]));
        }
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        free(texts[i].p);
    return 0;
}
