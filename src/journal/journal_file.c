/* journal/journal_file.c -- opening, appending, rewriting */
#include "journal/journal_file.h"

#include <errno.h>
#include <stdio.h>

#include "base/random.h"

#define PART_BYTES (256u << 10) /* of a snapshot's frames, and of a read */

static int failed(const char *what, const char *name, int number, struct err *err)
{
    return err_set(err, err_from_errno(number), "cannot %s the state file \"%s\": %s", what, name, strerrordesc_np(-number));
}

static int write_all(struct disk *d, int file, struct str bytes, uint64_t at)
{
    while (bytes.n) {
        ssize_t n = d->ops->write(d, file, bytes.p, bytes.n, at);

        if (n < 0)
            return (int)n;
        bytes = str_skip(bytes, (size_t)n);
        at += (uint64_t)n;
    }
    return 0;
}

void journal_file_close(struct journal_file *f)
{
    if (f->disk && f->file >= 0)
        f->disk->ops->close(f->disk, f->file);
    f->file = -1;
}

/* ---- a whole new file ---- */

struct snapshot {
    struct disk *disk;
    int file;
    struct buf frame; /* owned */
    uint64_t bytes, salt;
    uint32_t frames;
};

static void frame_begin(struct buf *frame)
{
    static const char ROOM[FRAME_HEAD_BYTES];

    buf_clear(frame);
    buf_put(frame, (struct str){ ROOM, sizeof ROOM });
}

static int put_frame(struct snapshot *s)
{
    int r;

    if (s->frame.failed)
        return -ENOMEM;
    frame_seal(buf_str(&s->frame), s->frame.p, s->salt, ++s->frames);
    r = write_all(s->disk, s->file, buf_str(&s->frame), s->bytes);
    s->bytes += s->frame.n;
    frame_begin(&s->frame);
    return r;
}

/* The header goes last, before the sync: only then the number of frames is known, and an unfinished file has no valid one. */
static int put_snapshot(struct snapshot *s, const struct live *live)
{
    struct file_header h = { .version = JOURNAL_VERSION, .salt = s->salt };
    char head[FILE_HEAD_BYTES];
    const struct live_entry *e;
    int r = 0;

    s->bytes = sizeof head;
    frame_begin(&s->frame);
    LIST_EACH(e, &live->entries, link)
    {
        record_write(&s->frame, &(struct record){ .op = RECORD_PUT, .kind = e->kind, .key = e->key, .value = e->value });
        if (s->frame.n >= PART_BYTES || s->frame.failed)
            r = put_frame(s);
        if (r < 0)
            return r;
    }
    if (s->frame.n > FRAME_HEAD_BYTES || s->frame.failed)
        r = put_frame(s);
    if (r < 0)
        return r;
    h.snapshot_frames = s->frames;
    header_write(&h, head);
    r = write_all(s->disk, s->file, (struct str){ head, sizeof head }, 0);
    return r < 0 ? r : s->disk->ops->sync(s->disk, s->file);
}

static void adopt(struct journal_file *f, const struct snapshot *s)
{
    journal_file_close(f);
    f->file = s->file;
    f->bytes = s->bytes;
    f->salt = s->salt;
    f->sequence = s->frames;
}

int journal_file_rewrite(struct journal_file *f, const struct live *live, struct err *err)
{
    struct disk *d = f->disk;
    struct snapshot s = { .disk = d, .file = d->ops->open(d, JOURNAL_NEW_NAME, DISK_NEW) };
    int r = s.file;

    if (r >= 0) {
        random_bytes(&s.salt, sizeof s.salt);
        r = put_snapshot(&s, live);
        if (r == 0)
            r = d->ops->rename(d, JOURNAL_NEW_NAME, JOURNAL_NAME);
        buf_fini(&s.frame);
        if (r < 0) {
            d->ops->close(d, s.file);
            (void)d->ops->remove(d, JOURNAL_NEW_NAME); /* gives a full disk its room back; the next try empties what stays */
        }
    }
    if (r < 0) {
        f->rewrite_at = f->bytes + JOURNAL_SLACK + live->bytes;
        return failed("rewrite", JOURNAL_NAME, r, err);
    }
    adopt(f, &s);
    f->rewrite_at = 0;
    f->stale = true; /* until the new name is durable: what is appended now could vanish with it */
    r = d->ops->sync_folder(d);
    if (r < 0)
        return failed("sync the folder of", JOURNAL_NAME, r, err);
    f->stale = false;
    return 0;
}

bool journal_file_outgrown(const struct journal_file *f, const struct live *live)
{
    return f->bytes > 2 * live->bytes + JOURNAL_SLACK && f->bytes >= f->rewrite_at;
}

/* ---- appending ---- */

int journal_file_append(struct journal_file *f, const struct live *live, struct buf *frame, struct err *err)
{
    struct disk *d = f->disk;
    int r;

    if (f->stale || f->bytes + frame->n > JOURNAL_FILE_MAX) {
        r = journal_file_rewrite(f, live, err);
        if (r < 0)
            return r;
    }
    frame_seal(buf_str(frame), frame->p, f->salt, f->sequence + 1);
    r = write_all(d, f->file, buf_str(frame), f->bytes);
    if (r < 0) {
        f->stale = d->ops->cut(d, f->file, f->bytes) < 0;
        return failed("write", JOURNAL_NAME, r, err);
    }
    r = d->ops->sync(d, f->file);
    if (r < 0) {
        f->stale = true;
        return failed("sync", JOURNAL_NAME, r, err);
    }
    f->bytes += frame->n;
    f->sequence++;
    return 0;
}

/* ---- opening ---- */

static int read_whole(struct journal_file *f, struct buf *out, struct err *err)
{
    for (;;) {
        char *to = buf_reserve(out, PART_BYTES);
        ssize_t n;

        if (!to)
            return err_set(err, ERR_NOMEM, "state file \"%s\": %s", JOURNAL_NAME, err_text(ERR_NOMEM));
        n = f->disk->ops->read(f->disk, f->file, to, PART_BYTES, out->n);
        if (n < 0)
            return failed("read", JOURNAL_NAME, (int)n, err);
        if (n == 0)
            return 0;
        out->n += (size_t)n;
        if (out->n > JOURNAL_FILE_MAX)
            return err_set(err, ERR_LIMIT, "the state file \"%s\" is longer than %llu bytes", JOURNAL_NAME, JOURNAL_FILE_MAX);
    }
}

/* One frame's records, all or none. */
static int replay(struct live *live, struct str payload)
{
    struct list changes;
    struct record r;
    int status = 0;

    list_init(&changes);
    while (status == 0 && record_next(&payload, &r) > 0) /* the reader saw that they are well-formed */
        status = live_prepare(live, &r, &changes);
    if (status == 0)
        live_settle(live, &changes);
    else
        live_drop(live, &changes);
    return status;
}

static int replay_all(struct journal_file *f, struct str file, struct live *live, struct journal_damage *ret, struct err *err)
{
    struct frame_reader reader;
    struct file_header h;
    struct str payload;
    int r = header_read(file, &h, err);

    if (r == ERR_SYNTAX) {
        *ret = (struct journal_damage){ .places = 1, .reason = "the header is damaged", .bytes = file.n };
        return 0;
    }
    if (r < 0)
        return err_wrap(err, r, "state file \"%s\"", JOURNAL_NAME);
    frame_reader_init(&reader, file, &h);
    while (frame_reader_next(&reader, &payload)) {
        if (replay(live, payload) < 0)
            return err_set(err, ERR_NOMEM, "state file \"%s\": %s", JOURNAL_NAME, err_text(ERR_NOMEM));
    }
    if (file.n < FILE_HEAD_BYTES || memcmp(file.p, file.p + HEADER_BYTES, HEADER_BYTES) != 0) {
        reader.damage.reason = reader.damage.places ? reader.damage.reason : "one copy of the header is damaged";
        reader.damage.places++;
        reader.damage.tail_only = false;
    }
    f->salt = h.salt;
    f->sequence = reader.sequence;
    f->bytes = file.n;
    *ret = reader.damage;
    return 0;
}

/* The first free name, or the last one. */
static void kept_name(struct journal_file *f, char out[40])
{
    for (unsigned i = 1; i <= JOURNAL_KEPT_MAX; i++) {
        int file;

        snprintf(out, 40, JOURNAL_NAME ".corrupt.%u", i);
        file = f->disk->ops->open(f->disk, out, DISK_OLD);
        if (file < 0)
            return;
        f->disk->ops->close(f->disk, file);
    }
}

/* Puts the damaged bytes aside for whoever wants to know what happened; a repair that fails for it would help nobody. */
static void keep(struct journal_file *f, struct str whole, struct journal_report *report)
{
    struct disk *d = f->disk;
    struct str piece = report->damage.tail_only ? str_skip(whole, (size_t)report->damage.at) : whole;
    int file, r;

    kept_name(f, report->kept_as);
    file = d->ops->open(d, report->kept_as, DISK_NEW);
    r = file < 0 ? file : write_all(d, file, piece, 0);
    if (r == 0)
        r = d->ops->sync(d, file);
    if (file >= 0)
        d->ops->close(d, file);
    if (r == 0)
        return;
    if (file >= 0)
        (void)d->ops->remove(d, report->kept_as); /* half a piece says nothing */
    report->kept_as[0] = 0;
}

/* What an earlier process wrote without a sync is shown from now on, so it has to last from now on. */
static int make_durable(struct journal_file *f, struct err *err)
{
    int r = f->disk->ops->sync(f->disk, f->file);

    if (r == 0)
        r = f->disk->ops->sync_folder(f->disk);
    return r < 0 ? failed("sync", JOURNAL_NAME, r, err) : 0;
}

static int open_old(struct journal_file *f, struct live *live, struct journal_report *report, struct err *err)
{
    _cleanup_(buf_fini) struct buf whole = { 0 };
    int r = read_whole(f, &whole, err);

    if (r == 0)
        r = replay_all(f, buf_str(&whole), live, &report->damage, err);
    if (r < 0)
        return r;
    report->bytes = whole.n;
    if (report->damage.places == 0)
        return make_durable(f, err);
    f->stale = true;
    f->bytes = whole.n;
    keep(f, buf_str(&whole), report);
    if (journal_file_rewrite(f, live, &report->repair) == 0)
        report->repair.code = 0;
    return 0;
}

int journal_file_open(struct journal_file *f, struct disk *disk, struct live *live, struct journal_report *ret, struct err *err)
{
    int r;

    *ret = (struct journal_report){ 0 };
    *f = (struct journal_file){ .disk = disk, .file = disk->ops->open(disk, JOURNAL_NAME, DISK_OLD) };
    (void)disk->ops->remove(disk, JOURNAL_NEW_NAME); /* of a process that died before its rename: nothing but room is lost */
    if (f->file >= 0) {
        r = open_old(f, live, ret, err);
    } else if (f->file == -ENOENT) {
        ret->fresh = true;
        r = journal_file_rewrite(f, live, err);
        ret->bytes = f->bytes;
    } else {
        r = failed("open", JOURNAL_NAME, f->file, err);
    }
    if (r < 0)
        journal_file_close(f);
    ret->entries = live->n;
    return r;
}
