/* journal/frame.c -- writing and reading the journal's bytes */
#include "journal/frame.h"

#include "journal/crc32c.h"

static const char HEADER_MAGIC[8] = "smgstate";
static const char FRAME_MAGIC[4] = "SMGF";

/* ---- numbers ---- */

static void put_u16(char *p, uint16_t v)
{
    p[0] = (char)v;
    p[1] = (char)(v >> 8);
}

static void put_u32(char *p, uint32_t v)
{
    put_u16(p, (uint16_t)v);
    put_u16(p + 2, (uint16_t)(v >> 16));
}

static void put_u64(char *p, uint64_t v)
{
    put_u32(p, (uint32_t)v);
    put_u32(p + 4, (uint32_t)(v >> 32));
}

static uint16_t get_u16(const char *p)
{
    return (uint16_t)((uint8_t)p[0] | (uint8_t)p[1] << 8);
}

static uint32_t get_u32(const char *p)
{
    return get_u16(p) | (uint32_t)get_u16(p + 2) << 16;
}

static uint64_t get_u64(const char *p)
{
    return get_u32(p) | (uint64_t)get_u32(p + 4) << 32;
}

/* ---- the header ---- */

void header_write(const struct file_header *h, char out[FILE_HEAD_BYTES])
{
    memset(out, 0, HEADER_BYTES);
    memcpy(out, HEADER_MAGIC, sizeof HEADER_MAGIC);
    put_u32(out + 8, h->version);
    put_u32(out + 12, h->snapshot_frames);
    put_u64(out + 16, h->salt);
    put_u32(out + 28, crc32c(0, out, 28));
    memcpy(out + HEADER_BYTES, out, HEADER_BYTES);
}

static bool header_is_whole(const char *p)
{
    return !memcmp(p, HEADER_MAGIC, sizeof HEADER_MAGIC) && get_u32(p + 28) == crc32c(0, p, 28);
}

int header_read(struct str file, struct file_header *ret, struct err *err)
{
    const char *p = NULL;

    for (size_t at = 0; !p && at + HEADER_BYTES <= MIN(file.n, (size_t)FILE_HEAD_BYTES); at += HEADER_BYTES)
        p = header_is_whole(file.p + at) ? file.p + at : NULL;
    if (!p)
        return err_set(err, ERR_SYNTAX, "the header is damaged");
    if (get_u32(p + 8) != JOURNAL_VERSION)
        return err_set(
            err, ERR_UNSUPPORTED,
            "written in format %u by another version of smg; this one reads format %d: start that version, or another directory",
            get_u32(p + 8), JOURNAL_VERSION);
    *ret = (struct file_header){ .version = get_u32(p + 8), .snapshot_frames = get_u32(p + 12), .salt = get_u64(p + 16) };
    return 0;
}

/* ---- records ---- */

size_t record_bytes(const struct record *r)
{
    return RECORD_HEAD_BYTES + r->kind.n + r->key.n + r->value.n;
}

void record_write(struct buf *out, const struct record *r)
{
    char head[RECORD_HEAD_BYTES] = { (char)r->op, (char)r->kind.n };

    put_u16(head + 2, (uint16_t)r->key.n);
    put_u32(head + 4, (uint32_t)r->value.n);
    buf_put(out, (struct str){ head, sizeof head });
    buf_put(out, r->kind);
    buf_put(out, r->key);
    buf_put(out, r->value);
}

static struct str take(struct str *rest, size_t n)
{
    struct str s = str_first(*rest, n);

    *rest = str_skip(*rest, n);
    return s;
}

int record_next(struct str *rest, struct record *ret)
{
    struct record r;
    size_t kind_n, key_n, value_n;

    if (rest->n == 0)
        return 0;
    if (rest->n < RECORD_HEAD_BYTES)
        return ERR_SYNTAX;
    r.op = (enum record_op)(uint8_t)rest->p[0];
    kind_n = (uint8_t)rest->p[1];
    key_n = get_u16(rest->p + 2);
    value_n = get_u32(rest->p + 4);
    if ((r.op != RECORD_PUT && r.op != RECORD_DELETE) || kind_n < 1 || kind_n > KIND_BYTES_MAX || key_n < 1 ||
        key_n > KEY_BYTES_MAX || (r.op == RECORD_DELETE && value_n) || value_n > FRAME_BYTES_MAX ||
        rest->n - RECORD_HEAD_BYTES < kind_n + key_n + value_n)
        return ERR_SYNTAX;
    if (memchr(rest->p + RECORD_HEAD_BYTES, 0, kind_n))
        return ERR_SYNTAX;
    *rest = str_skip(*rest, RECORD_HEAD_BYTES);
    r.kind = take(rest, kind_n);
    r.key = take(rest, key_n);
    r.value = take(rest, value_n);
    *ret = r;
    return 1;
}

static bool records_are_whole(struct str payload)
{
    struct record r;
    int status;

    while ((status = record_next(&payload, &r)) > 0)
        ;
    return status == 0;
}

/* ---- frames ---- */

static uint32_t salted(uint64_t salt, const void *p, size_t n)
{
    char seed[8];

    put_u64(seed, salt);
    return crc32c(crc32c(0, seed, sizeof seed), p, n);
}

void frame_seal(struct str frame, char *head, uint64_t salt, uint64_t sequence)
{
    struct str payload = str_skip(frame, FRAME_HEAD_BYTES);

    memcpy(head, FRAME_MAGIC, sizeof FRAME_MAGIC);
    put_u32(head + 4, (uint32_t)payload.n);
    put_u64(head + 8, sequence);
    put_u32(head + 16, salted(salt, payload.p, payload.n));
    put_u32(head + 20, salted(salt, head, 20));
}

void frame_reader_init(struct frame_reader *r, struct str file, const struct file_header *h)
{
    *r = (struct frame_reader){
        .file = file, .at = MIN(file.n, (size_t)FILE_HEAD_BYTES), .salt = h->salt, .snapshot_frames = h->snapshot_frames
    };
}

/* Is there a whole frame at AT, later than the last one? NULL and *RET filled in, or what is wrong with it. */
static const char *frame_at(const struct frame_reader *r, size_t at, struct str *ret_payload, uint64_t *ret_sequence)
{
    struct str rest = str_skip(r->file, at), payload;
    const char *head = rest.p;

    if (rest.n < FRAME_HEAD_BYTES)
        return "the file ends inside a frame's head";
    if (memcmp(head, FRAME_MAGIC, sizeof FRAME_MAGIC) != 0)
        return "no frame begins here";
    if (get_u32(head + 20) != salted(r->salt, head, 20))
        return "the checksum of a frame's head is wrong";
    payload = str_first(str_skip(rest, FRAME_HEAD_BYTES), get_u32(head + 4));
    if (payload.n < get_u32(head + 4))
        return "the file ends inside a frame";
    if (get_u32(head + 16) != salted(r->salt, payload.p, payload.n))
        return "the checksum of a frame is wrong";
    if (get_u64(head + 8) <= r->sequence)
        return "a frame stands behind a later one";
    if (!records_are_whole(payload))
        return "a frame's records are malformed";
    *ret_payload = payload;
    *ret_sequence = get_u64(head + 8);
    return NULL;
}

static void note_damage(struct frame_reader *r, uint64_t bytes, const char *reason)
{
    struct journal_damage *d = &r->damage;

    if (d->places++ == 0) {
        d->at = r->at;
        d->reason = reason;
    }
    d->bytes += bytes;
    d->tail_only = d->places == 1 && r->at + bytes == r->file.n && bytes > 0;
}

/* The next place behind AT where a frame may begin, or the end. */
static size_t next_magic(struct str file, size_t at)
{
    const char *p = memmem(file.p + at, file.n - at, FRAME_MAGIC, sizeof FRAME_MAGIC);

    return p ? (size_t)(p - file.p) : file.n;
}

bool frame_reader_next(struct frame_reader *r, struct str *ret_payload)
{
    size_t at = r->at;
    uint64_t sequence = r->sequence;
    const char *reason = NULL;

    while (at < r->file.n) {
        const char *wrong = frame_at(r, at, ret_payload, &sequence);

        if (!wrong)
            break;
        reason = reason ? reason : wrong;
        at = next_magic(r->file, at + 1);
    }
    if (at > r->at)
        note_damage(r, at - r->at, reason);
    if (at == r->file.n) {
        if (r->sequence < r->snapshot_frames) { /* cut off exactly between two frames: only the header knows */
            if (r->damage.places == 0)
                note_damage(r, 0, "frames of the snapshot are missing");
            r->damage.frames_lost += r->snapshot_frames - r->sequence;
            r->sequence = r->snapshot_frames;
        }
        r->at = at;
        return false;
    }
    if (sequence != r->sequence + 1) {
        if (at == r->at)
            note_damage(r, 0, "frames are missing");
        r->damage.frames_lost += sequence - r->sequence - 1;
    }
    r->sequence = sequence;
    r->at = at + FRAME_HEAD_BYTES + ret_payload->n;
    return true;
}
