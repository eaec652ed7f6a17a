/* frame.c -- the format: what is written is read, what is damaged is skipped and named */
#include "journal/frame.h"

#include "journal/crc32c.h"
#include "test.h"

#define SALT 0x0123456789ABCDEFull

/* Appends a frame with one record key=value to FILE. */
static void add_frame(struct buf *file, uint64_t sequence, const char *key, const char *value)
{
    static const char ROOM[FRAME_HEAD_BYTES];
    struct buf frame = { 0 };

    buf_put(&frame, (struct str){ ROOM, sizeof ROOM });
    record_write(&frame, &(struct record){ RECORD_PUT, STR("test"), str_of(key), str_of(value) });
    frame_seal(buf_str(&frame), frame.p, SALT, sequence);
    buf_put(file, buf_str(&frame));
    buf_fini(&frame);
}

static void begin_file(struct buf *file, uint32_t snapshot_frames)
{
    char head[FILE_HEAD_BYTES];

    header_write(&(struct file_header){ .version = JOURNAL_VERSION, .salt = SALT, .snapshot_frames = snapshot_frames }, head);
    buf_put(file, (struct str){ head, sizeof head });
}

/* The keys of all whole frames, one letter each. */
static const char *read_keys(const struct buf *file, struct frame_reader *r)
{
    static char keys[64];
    struct file_header h;
    struct record record;
    struct str payload;
    size_t n = 0;

    assert_int_equal(header_read(buf_str(file), &h, NULL), 0);
    frame_reader_init(r, buf_str(file), &h);
    while (frame_reader_next(r, &payload)) {
        while (record_next(&payload, &record) > 0)
            keys[n++] = record.key.p[0];
    }
    keys[n] = 0;
    assert_false(frame_reader_next(r, &payload)); /* the end stays the end */
    return keys;
}

static void the_bytes_of_version_1_are_these(void **state)
{
    static const unsigned char HEAD[] = { 's', 'm', 'g',  's',  't',  'a',  't',  'e',  1,    0,    0, 0, 2, 0,
                                          0,   0,   0xEF, 0xCD, 0xAB, 0x89, 0x67, 0x45, 0x23, 0x01, 0, 0, 0, 0 };
    static const unsigned char FRAME[] = { 'S', 'M', 'G', 'F', 16, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0 };
    static const unsigned char RECORD[] = { 1, 4, 1, 0, 3, 0, 0, 0, 't', 'e', 's', 't', 'k', 'v', 'a', 'l' };
    struct buf file = { 0 };

    begin_file(&file, 2);
    add_frame(&file, 5, "k", "val");
    assert_memory_equal(file.p, HEAD, sizeof HEAD);
    assert_memory_equal(file.p, file.p + HEADER_BYTES, HEADER_BYTES);
    assert_memory_equal(file.p + FILE_HEAD_BYTES, FRAME, sizeof FRAME);
    assert_memory_equal(file.p + FILE_HEAD_BYTES + FRAME_HEAD_BYTES, RECORD, sizeof RECORD);
    assert_int_equal(file.n, FILE_HEAD_BYTES + FRAME_HEAD_BYTES + sizeof RECORD);
    buf_fini(&file);
}

static void frames_are_read_in_their_order(void **state)
{
    struct buf file = { 0 };
    struct frame_reader r;

    begin_file(&file, 0);
    add_frame(&file, 1, "a", "1");
    add_frame(&file, 2, "b", "SMGF"); /* the magic inside a value is no frame */
    add_frame(&file, 3, "c", "");
    assert_string_equal(read_keys(&file, &r), "abc");
    assert_int_equal(r.damage.places, 0);
    assert_int_equal(r.sequence, 3);
    buf_fini(&file);
}

static void either_copy_of_the_header_is_enough(void **state)
{
    struct buf file = { 0 };
    struct file_header h;

    begin_file(&file, 0);
    for (size_t byte = 0; byte < FILE_HEAD_BYTES; byte++) {
        file.p[byte] ^= 4;
        assert_int_equal(header_read(buf_str(&file), &h, NULL), 0);
        assert_int_equal(h.salt, SALT);
        file.p[byte] ^= 4;
    }
    file.p[20] ^= 1;
    file.p[52] ^= 1;
    assert_int_equal(header_read(buf_str(&file), &h, NULL), ERR_SYNTAX);
    for (size_t n = 0; n < HEADER_BYTES; n++)
        assert_int_equal(header_read(str_first(buf_str(&file), n), &h, NULL), ERR_SYNTAX);
    buf_fini(&file);
}

static void another_version_is_refused_by_name(void **state)
{
    char head[FILE_HEAD_BYTES];
    struct file_header h;
    struct err err = { 0 };

    header_write(&(struct file_header){ .version = 2, .salt = SALT }, head);
    assert_int_equal(header_read((struct str){ head, sizeof head }, &h, &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "format 2"));
}

static void a_frame_of_another_file_is_not_believed(void **state)
{
    struct buf file = { 0 }, value = { 0 };
    struct frame_reader r;

    begin_file(&file, 0);
    add_frame(&file, 1, "a", "1");
    add_frame(&value, 9, "x", "forged");
    value.p[20] ^= 1; /* as if made with another salt */
    buf_put(&file, buf_str(&value));
    add_frame(&file, 2, "b", "2");
    assert_string_equal(read_keys(&file, &r), "ab");
    assert_int_equal(r.damage.places, 1);
    assert_int_equal(r.damage.bytes, value.n);
    assert_int_equal(r.damage.frames_lost, 0);
    buf_fini(&file);
    buf_fini(&value);
}

static void a_frame_that_comes_twice_counts_once(void **state)
{
    struct buf file = { 0 };
    struct frame_reader r;

    begin_file(&file, 0);
    add_frame(&file, 1, "a", "1");
    add_frame(&file, 1, "a", "1");
    add_frame(&file, 2, "b", "1");
    assert_string_equal(read_keys(&file, &r), "ab");
    assert_string_equal(r.damage.reason, "a frame stands behind a later one");
    buf_fini(&file);
}

static void missing_frames_are_counted(void **state)
{
    struct buf file = { 0 };
    struct frame_reader r;

    begin_file(&file, 7);
    add_frame(&file, 1, "a", "1");
    add_frame(&file, 4, "b", "1");
    assert_string_equal(read_keys(&file, &r), "ab");
    assert_int_equal(r.damage.places, 1);
    assert_int_equal(r.damage.frames_lost, 2 + 3); /* between them, and of the snapshot's seven */
    assert_int_equal(r.damage.bytes, 0);
    buf_fini(&file);
}

static void two_damaged_places_are_two(void **state)
{
    struct buf file = { 0 };
    struct frame_reader r;
    size_t at[6];

    begin_file(&file, 0);
    for (unsigned i = 0; i < 5; i++) {
        char key[2] = { (char)('a' + i) };
        at[i] = file.n;
        add_frame(&file, i + 1, key, "value");
    }
    at[5] = file.n;
    file.p[at[1] + 30]++;
    file.p[at[4] + 2]++;
    assert_string_equal(read_keys(&file, &r), "acd");
    assert_int_equal(r.damage.places, 2);
    assert_int_equal(r.damage.at, at[1]);
    assert_int_equal(r.damage.bytes, at[2] - at[1] + at[5] - at[4]);
    assert_false(r.damage.tail_only);
    buf_fini(&file);
}

static void malformed_records_are_refused(void **state)
{
    static const struct {
        size_t n;
        unsigned char bytes[20];
    } BAD[] = {
        { 1, { 1 } },
        { 7, { 1, 1, 1, 0, 0, 0, 0 } },
        { 10, { 0, 1, 1, 0, 0, 0, 0, 0, 'k', 'x' } }, /* no such op */
        { 10, { 3, 1, 1, 0, 0, 0, 0, 0, 'k', 'x' } },
        { 9, { 1, 0, 1, 0, 0, 0, 0, 0, 'x' } },             /* no kind */
        { 9, { 1, 1, 0, 0, 0, 0, 0, 0, 'k' } },             /* no key */
        { 10, { 1, 1, 1, 0, 0, 0, 0, 0, 0, 'x' } },         /* NUL in the kind */
        { 10, { 1, 1, 1, 0, 1, 0, 0, 0, 'k', 'x' } },       /* the value is missing */
        { 11, { 2, 1, 1, 0, 1, 0, 0, 0, 'k', 'x', 'v' } },  /* a deletion with a value */
        { 10, { 1, 33, 1, 0, 0, 0, 0, 0, 'k', 'x' } },      /* too long a kind */
        { 10, { 1, 1, 0xFF, 0xFF, 0, 0, 0, 0, 'k', 'x' } }, /* too long a key */
        { 10, { 1, 1, 1, 0, 0xFF, 0xFF, 0xFF, 0xFF, 'k', 'x' } },
    };

    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        struct str rest = { (const char *)BAD[i].bytes, BAD[i].n };
        struct record r;

        assert_int_equal(record_next(&rest, &r), ERR_SYNTAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bytes_of_version_1_are_these),
        cmocka_unit_test(frames_are_read_in_their_order),
        cmocka_unit_test(either_copy_of_the_header_is_enough),
        cmocka_unit_test(another_version_is_refused_by_name),
        cmocka_unit_test(a_frame_of_another_file_is_not_believed),
        cmocka_unit_test(a_frame_that_comes_twice_counts_once),
        cmocka_unit_test(missing_frames_are_counted),
        cmocka_unit_test(two_damaged_places_are_two),
        cmocka_unit_test(malformed_records_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
