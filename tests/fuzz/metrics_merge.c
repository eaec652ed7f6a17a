/* tests/fuzz/metrics_merge.c -- a page that was merged reads as a whole, loses no sample, and merging it again changes nothing
 *
 * Order apart: _count and _sum change places once per pair.
 */
#include <stdlib.h>

#include "observe/metrics_merge.h"
#include "observe/metrics_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool holds)
{
    if (!holds)
        abort();
}

/* What a text says, whatever the order of its lines. */
struct gist {
    size_t samples;
    uint64_t lines; /* sum of the lines' hashes */
};

static struct gist gist_of(struct str text)
{
    struct gist g = { 0 };
    struct metrics_line line;

    while (metrics_next(&text, &line) != METRICS_END) {
        expect(line.kind != METRICS_BAD);
        g.samples += line.kind == METRICS_SAMPLE;
        g.lines += str_hash(line.whole);
    }
    return g;
}

/* The page of TEXT alone, without a label; in pieces of ROOM bytes. False: it was refused. */
static bool merge(struct str text, size_t room, struct str label, struct buf *page)
{
    struct metrics_merge *m = metrics_merge_new(label, 1 << 20);
    struct buf bytes = { 0 };
    bool taken;

    expect(m != NULL);
    buf_put(&bytes, text);
    taken = metrics_merge_add(m, &bytes, STR("http://a\"\\:1"), NULL) == 0;
    while (taken && !metrics_merge_next(m, page, room))
        ;
    buf_fini(&bytes);
    metrics_merge_free(m);
    return taken;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = { (const char *)data, size };
    struct buf first = { 0 }, second = { 0 }, labelled = { 0 };

    if (merge(text, 1 << 16, STR_NONE, &first)) {
        struct gist a = gist_of(buf_str(&first)), b, whole = gist_of(text);

        expect(a.samples == whole.samples);
        expect(merge(buf_str(&first), 1, STR_NONE, &second));
        b = gist_of(buf_str(&second));
        expect(a.samples == b.samples && a.lines == b.lines);
    }
    if (merge(text, 100, STR("worker_addr"), &labelled))
        (void)gist_of(buf_str(&labelled));
    buf_fini(&first);
    buf_fini(&second);
    buf_fini(&labelled);
    return 0;
}
