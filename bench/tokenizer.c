/* bench/tokenizer.c -- how fast the tokenizer library is; bench/tokenizer.py runs it and its rivals: tokenizer FOLDER TEXTS [CACHE-BYTES]
 *
 * TEXTS: documents in frames of a 4-byte length and the bytes. Prints one line of names and numbers:
 *   load_ms           reading and building it, the best of five (the files are in memory)
 *   resident_mb       what the process grew by; keeps_mb what the tokenizer says that it keeps
 *   cold_mbs          a new encoder for every document
 *   first_mbs         one encoder, every document for the first time
 *   warm_mbs          the same encoder, the documents once more
 *   decode_ns, stream_ns   per id: all at once; one at a time
 *   tokens            of all documents, so that rivals can be compared
 */
#include "text/tokenizer/detokenizer.h"

#include "tests/tokenizer/load_folder.h"

#include "base/clock.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#define CACHE_BYTES (1u << 20) /* as catalog/tokenizer_entry.h */
#define LOADS       5
#define LEAST_US    400000 /* a measurement lasts at least this long */

struct bench {
    struct tokenizer *t;
    struct str *docs;
    size_t docs_n, bytes, cache_bytes;
    struct ids ids;
};

static void fail(const char *what)
{
    fprintf(stderr, "tokenizer: %s\n", what);
    exit(1);
}

static double resident_mb(void)
{
    long pages = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");

    if (!f || fscanf(f, "%ld %ld", &pages, &resident) != 2)
        fail("cannot read /proc/self/statm");
    fclose(f);
    return (double)resident * 4096 / 1e6;
}

static void read_docs(struct bench *b, struct str all)
{
    uint32_t n;

    for (; all.n >= 4; all = str_skip(all, 4 + n), b->docs_n++) {
        memcpy(&n, all.p, 4);
        b->docs = reallocarray(b->docs, b->docs_n + 1, sizeof(*b->docs));
        if (!b->docs || n > all.n - 4)
            fail("the texts are not in frames");
        b->docs[b->docs_n] = (struct str){ all.p + 4, n };
        b->bytes += n;
    }
}

static struct tokenizer_encoder *new_encoder(const struct bench *b)
{
    struct tokenizer_encoder *e;

    if (tokenizer_encoder_new(b->t, b->cache_bytes, &e) < 0)
        fail("out of memory");
    return e;
}

static void encode(struct bench *b, struct tokenizer_encoder *e, struct str doc)
{
    struct err err;

    if (tokenizer_encode(e, doc, 0, &b->ids, &err) < 0)
        fail(err.message);
}

/* One pass over all documents by E, or by a new encoder for each when E is NULL. MB/s. */
static double pass(struct bench *b, struct tokenizer_encoder *e)
{
    uint64_t start = clock_now_us();

    ids_clear(&b->ids);
    for (size_t i = 0; i < b->docs_n; i++) {
        struct tokenizer_encoder *mine = e ? e : new_encoder(b);
        encode(b, mine, b->docs[i]);
        if (!e)
            tokenizer_encoder_free(mine);
    }
    return (double)b->bytes / (double)(clock_now_us() - start + 1);
}

/* The best of passes that take LEAST_US together. */
static double best_pass(struct bench *b, struct tokenizer_encoder *e)
{
    double best = 0;
    uint64_t until = clock_now_us() + LEAST_US;

    do {
        double mbs = pass(b, e);
        best = mbs > best ? mbs : best;
    } while (clock_now_us() < until);
    return best;
}

/* Every document for the first time; the best of several encoders. */
static double first_pass(struct bench *b)
{
    double best = 0;
    uint64_t until = clock_now_us() + LEAST_US;

    do {
        struct tokenizer_encoder *e = new_encoder(b);
        double mbs = pass(b, e);
        best = mbs > best ? mbs : best;
        tokenizer_encoder_free(e);
    } while (clock_now_us() < until);
    return best;
}

static double decode_ns(struct bench *b, bool stream)
{
    struct buf out = { 0 };
    struct detokenizer d;
    struct err err;
    double best = 1e9;
    uint64_t until = clock_now_us() + LEAST_US;

    do {
        uint64_t start = clock_now_us();
        buf_clear(&out);
        if (stream) {
            detokenizer_init(&d, b->t, true);
            for (size_t i = 0; i < b->ids.n; i++) {
                if ((i & 1023) == 0)
                    buf_clear(&out);
                if (detokenizer_put(&d, b->ids.v[i], &out) < 0)
                    fail("out of memory");
            }
            if (detokenizer_flush(&d, &out) < 0)
                fail("out of memory");
            detokenizer_fini(&d);
        } else if (tokenizer_decode(b->t, b->ids.v, b->ids.n, true, &out, &err) < 0)
            fail(err.message);
        double ns = (double)(clock_now_us() - start) * 1000 / (double)(b->ids.n + 1);
        best = ns < best ? ns : best;
    } while (clock_now_us() < until);
    buf_fini(&out);
    return best;
}

int main(int argc, char **argv)
{
    struct load_folder folder = { 0 };
    struct bench b = { 0 };
    struct buf texts = { 0 };
    struct err err = { 0 };
    double load_ms = 1e9;

    if (argc < 3)
        fail("usage: tokenizer FOLDER TEXTS [CACHE-BYTES]");
    b.cache_bytes = argc > 3 ? strtoul(argv[3], NULL, 10) : CACHE_BYTES;
    if (file_read(argv[2], 1u << 30, &texts, &err) < 0)
        fail(err.message);
    read_docs(&b, buf_str(&texts));
    load_folder_read(&folder, argv[1], false);
    double before = resident_mb();
    for (int i = 0; i < LOADS; i++) {
        uint64_t start = clock_now_us();
        tokenizer_free(b.t);
        if (tokenizer_load(&folder.files, &TOKENIZER_LIMITS_DEFAULT, &b.t, &err) < 0)
            fail(err.message);
        double ms = (double)(clock_now_us() - start) / 1000;
        load_ms = ms < load_ms ? ms : load_ms;
    }
    malloc_trim(0);
    printf("load_ms %.1f resident_mb %.1f keeps_mb %.1f", load_ms, resident_mb() - before, (double)tokenizer_memory(b.t) / 1e6);
    load_folder_fini(&folder);

    struct tokenizer_encoder *warm = new_encoder(&b);
    pass(&b, warm);
    size_t tokens = b.ids.n;
    printf(" cold_mbs %.1f first_mbs %.1f", best_pass(&b, NULL), first_pass(&b));
    printf(" warm_mbs %.1f", best_pass(&b, warm));
    printf(" decode_ns %.1f", decode_ns(&b, false));
    printf(" stream_ns %.1f tokens %zu\n", decode_ns(&b, true), tokens);

    tokenizer_encoder_free(warm);
    tokenizer_free(b.t);
    ids_fini(&b.ids);
    free(b.docs);
    buf_fini(&texts);
    return 0;
}
