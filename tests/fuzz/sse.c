/* tests/fuzz/sse.c -- however the bytes are cut, the events are the same; an event that was read, written again, reads the same
 *
 * The first byte of the input chooses the cut.
 */
#include <stdlib.h>

#include "http/sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define EVENT_MAX 200

static void expect(bool holds)
{
    if (!holds)
        abort();
}

static void on_event(void *arg, struct str event, struct str data)
{
    struct buf *log = arg;

    buf_put_u64(log, event.n);
    buf_put_char(log, '|');
    buf_put(log, event);
    buf_put_u64(log, data.n);
    buf_put_char(log, '|');
    buf_put(log, data);
}

static void on_event_again(void *arg, struct str event, struct str data)
{
    struct sse_reader r;
    struct buf wire = { 0 }, want = { 0 }, got = { 0 };

    sse_put(&wire, event, data);
    sse_init(&r, wire.n);
    expect(sse_feed(&r, buf_str(&wire), on_event, &got) == 0);
    on_event(&want, event, data);
    expect(str_eq(buf_str(&want), buf_str(&got)));
    sse_fini(&r);
    buf_fini(&wire);
    buf_fini(&want);
    buf_fini(&got);
}

/* From exact heap copies, so that a view that outlives its piece is seen. */
static int feed(struct sse_reader *r, const uint8_t *p, size_t n, struct buf *log)
{
    char *copy = malloc(n ? n : 1);
    int status;

    expect(copy != NULL);
    memcpy(copy, p, n);
    status = sse_feed(r, (struct str){ copy, n }, on_event, log);
    free(copy);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sse_reader whole, cut, writer;
    struct buf one = { 0 }, two = { 0 };
    size_t at;
    int whole_status, cut_status;

    if (size < 2)
        return 0;
    at = data[0] % size;
    data++;
    size--;
    sse_init(&whole, EVENT_MAX);
    sse_init(&cut, EVENT_MAX);
    whole_status = feed(&whole, data, size, &one);
    cut_status = feed(&cut, data, at, &two);
    if (cut_status == 0)
        cut_status = feed(&cut, data + at, size - at, &two);
    expect(whole_status == cut_status);
    expect(str_eq(buf_str(&one), buf_str(&two)));
    sse_fini(&whole);
    sse_fini(&cut);

    sse_init(&writer, EVENT_MAX);
    expect(sse_feed(&writer, (struct str){ (const char *)data, size }, on_event_again, NULL) == whole_status);
    sse_fini(&writer);
    buf_fini(&one);
    buf_fini(&two);
    return 0;
}
