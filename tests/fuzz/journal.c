/* tests/fuzz/journal.c -- the reader of the state file: any bytes are read to the end, and what was read is the same when it is written and read again
 *
 * Byte 0 chooses. Even: the rest is the file. Odd: the rest is a list of frames (a byte of flags, a byte of length, a payload), put into a file with right checksums, so that the
 * records are reached; frames whose flags say so are then damaged, and the others must all be found.
 */
#include "journal/live.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_ASSERT(x) ((x) ? (void)0 : abort())

static void begin_file(struct buf *file, uint64_t salt)
{
    char head[FILE_HEAD_BYTES];

    header_write(&(struct file_header){ .version = JOURNAL_VERSION, .salt = salt }, head);
    buf_put(file, (struct str){ head, sizeof head });
}

static void put_frame(struct buf *file, struct str payload, uint64_t salt, uint64_t sequence)
{
    static const char ROOM[FRAME_HEAD_BYTES];
    struct buf frame = { 0 };

    buf_put(&frame, (struct str){ ROOM, sizeof ROOM });
    buf_put(&frame, payload);
    frame_seal(buf_str(&frame), frame.p, salt, sequence);
    buf_put(file, buf_str(&frame));
    buf_fini(&frame);
}

/* Reads FILE into LIVE; the number of frames, or -1 for no header. */
static long read_file(struct str file, struct live *live, struct journal_damage *ret)
{
    struct frame_reader reader;
    struct file_header h;
    struct str payload;
    struct record r;
    struct list changes;
    uint64_t found = 0, last = 0;
    long frames = 0;

    list_init(&changes);
    if (header_read(file, &h, NULL) < 0)
        return -1;
    frame_reader_init(&reader, file, &h);
    for (; frame_reader_next(&reader, &payload); frames++) {
        FUZZ_ASSERT(reader.sequence > last);
        last = reader.sequence;
        found += FRAME_HEAD_BYTES + payload.n;
        while (record_next(&payload, &r) > 0)
            FUZZ_ASSERT(live_prepare(live, &r, &changes) == 0);
        live_settle(live, &changes);
    }
    *ret = reader.damage;
    FUZZ_ASSERT(found + reader.damage.bytes + MIN(file.n, (size_t)FILE_HEAD_BYTES) ==
                file.n); /* every byte is a frame's or reported */
    return frames;
}

static void same(const struct live *a, const struct live *b)
{
    const struct list *at = b->entries.next;
    const struct live_entry *e;

    FUZZ_ASSERT(a->n == b->n && a->bytes == b->bytes);
    LIST_EACH(e, &a->entries, link)
    {
        const struct live_entry *other = CONTAINER_OF(at, struct live_entry, link);

        FUZZ_ASSERT(str_eq(e->name, other->name) && str_eq(e->value, other->value));
        at = at->next;
    }
}

static void writes_again_what_it_read(const struct live *live)
{
    struct buf file = { 0 }, payload = { 0 };
    const struct live_entry *e;
    struct journal_damage damage;
    struct live again;

    begin_file(&file, 7);
    LIST_EACH(e, &live->entries, link)
    record_write(&payload, &(struct record){ RECORD_PUT, e->kind, e->key, e->value });
    put_frame(&file, buf_str(&payload), 7, 1);
    live_init(&again);
    FUZZ_ASSERT(read_file(buf_str(&file), &again, &damage) == 1 && damage.places == 0);
    same(live, &again);
    live_fini(&again);
    buf_fini(&file);
    buf_fini(&payload);
}

static bool records_are_whole(struct str payload)
{
    struct record r;
    int status;

    while ((status = record_next(&payload, &r)) > 0)
        ;
    return status == 0;
}

/* Builds the file that the input describes; returns how many of its frames must be found. */
static long build(struct buf *file, struct str input)
{
    uint64_t salt = str_hash(input); /* a fuzzer solves checksums that it can see: no payload may hold a frame that is right */
    uint64_t sequence = 0;
    long whole = 0;

    begin_file(file, salt);
    while (input.n >= 2) {
        uint8_t flags = (uint8_t)input.p[0], n = (uint8_t)input.p[1];
        struct str payload = str_first(str_skip(input, 2), n);
        size_t at = file->n;

        sequence += 1 + (flags >> 6);
        put_frame(file, payload, salt, sequence);
        if ((flags & 1) && !file->failed)
            file->p[at + (flags >> 1) % (file->n - at)] ^= 0x20;
        else
            whole += records_are_whole(payload);
        input = str_skip(input, 2 + payload.n);
    }
    FUZZ_ASSERT(!file->failed);
    return whole;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str input = { (const char *)data, size };
    struct buf file = { 0 };
    struct journal_damage damage;
    struct live live;
    long frames, wanted = -2;

    if (size == 0)
        return 0;
    if (data[0] & 1)
        wanted = build(&file, str_skip(input, 1));
    else
        buf_put(&file, str_skip(input, 1));
    live_init(&live);
    frames = read_file(buf_str(&file), &live, &damage);
    FUZZ_ASSERT(wanted == -2 || frames == wanted);
    if (frames >= 0)
        writes_again_what_it_read(&live);
    live_fini(&live);
    buf_fini(&file);
    return 0;
}
