/* journal_file.c -- what is acknowledged survives a crash at every call to the disk, with every fate of what was not synced */
#include "journal/journal_file.h"

#include "base/random.h"
#include "fail_alloc.h"
#include "sim_disk.h"

/* ---- batches and what they should lead to ---- */

#define STEPS_MAX 4
#define REWRITE   "rewrite"

struct step { /* op 0 ends; key REWRITE rewrites the file instead of appending */
    enum record_op op;
    const char *key, *value;
};

static const char LONG_VALUE[] =
    "a value that is longer than the others: 0123456789012345678901234567890123456789012345678901234567890123456789"
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789";

static const struct step SCRIPT[][STEPS_MAX] = {
    { { RECORD_PUT, "a", "1" }, { RECORD_PUT, "b", "1" } },
    { { RECORD_PUT, "c", LONG_VALUE } },
    { { RECORD_PUT, "a", "2" }, { RECORD_DELETE, "b", "" } },
    { { RECORD_PUT, REWRITE, "" } },
    { { RECORD_PUT, "d", "" }, { RECORD_DELETE, "c", "" } },
    { { RECORD_PUT, "b", "3" } },
    { { RECORD_DELETE, "a", "" }, { RECORD_PUT, "a", "4" }, { RECORD_DELETE, "nobody", "" } },
};

#define STATE_MAX 2048

struct state { /* "a=1\nb=1\n", keys in the order in which they came */
    char text[STATE_MAX];
};

struct store {
    struct sim_disk *disk;
    struct live live;
    struct journal_file file;
    bool open;
    struct journal_report report;

    struct state acknowledged;
    struct state may_be[16]; /* with a batch that was refused since the last success */
    size_t may_be_n;
};

static struct state state_of(const struct live *live)
{
    struct state s = { 0 };
    size_t n = 0;
    const struct live_entry *e;

    LIST_EACH(e, &live->entries, link)
    n += (size_t)snprintf(s.text + n, sizeof s.text - n, "%.*s=%.*s\n", STR_FMT(e->key), STR_FMT(e->value));
    assert_true(n < sizeof s.text);
    return s;
}

static void frame_of(const struct step *steps, struct buf *frame)
{
    static const char ROOM[FRAME_HEAD_BYTES];

    buf_clear(frame);
    buf_put(frame, (struct str){ ROOM, sizeof ROOM });
    for (unsigned i = 0; i < STEPS_MAX && steps[i].op; i++)
        record_write(frame, &(struct record){ steps[i].op, STR("test"), str_of(steps[i].key), str_of(steps[i].value) });
}

static void change(struct live *live, const struct step *steps)
{
    struct list changes;

    list_init(&changes);
    for (unsigned i = 0; i < STEPS_MAX && steps[i].op; i++)
        assert_int_equal(live_prepare(live,
                                      &(struct record){ steps[i].op, STR("test"), str_of(steps[i].key), str_of(steps[i].value) },
                                      &changes),
                         0);
    live_settle(live, &changes);
}

/* What the live set would be with these steps, without touching it: by reading a copy of it back. */
static struct state state_with(const struct live *live, const struct step *steps)
{
    struct live copy;
    struct state s;
    const struct live_entry *e;
    struct list changes;

    live_init(&copy);
    list_init(&changes);
    LIST_EACH(e, &live->entries, link)
    assert_int_equal(live_prepare(&copy, &(struct record){ RECORD_PUT, e->kind, e->key, e->value }, &changes), 0);
    live_settle(&copy, &changes);
    change(&copy, steps);
    s = state_of(&copy);
    live_fini(&copy);
    return s;
}

/* ---- a store on a disk ---- */

static int store_open(struct store *s)
{
    int r;

    live_init(&s->live);
    r = journal_file_open(&s->file, &s->disk->disk, &s->live, &s->report, NULL);
    s->open = r == 0;
    return r;
}

static void store_close(struct store *s)
{
    if (s->open)
        journal_file_close(&s->file);
    live_fini(&s->live);
    s->open = false;
    assert_int_equal(s->disk->open_n, 0);
}

/* One batch, and what the contract says about it. */
static int store_commit(struct store *s, const struct step *steps)
{
    struct buf frame = { 0 };
    int r;

    if (!strcmp(steps[0].key, REWRITE))
        return journal_file_rewrite(&s->file, &s->live, NULL);
    frame_of(steps, &frame);
    r = journal_file_append(&s->file, &s->live, &frame, NULL);
    buf_fini(&frame);
    if (r < 0) {
        assert_true(s->may_be_n < ARRAY_LEN(s->may_be));
        s->may_be[s->may_be_n++] = state_with(&s->live, steps);
        return r;
    }
    change(&s->live, steps);
    s->acknowledged = state_of(&s->live);
    s->may_be_n = 0;
    return 0;
}

static void run_script(struct store *s)
{
    for (size_t i = 0; i < ARRAY_LEN(SCRIPT); i++)
        (void)store_commit(s, SCRIPT[i]); /* whether it worked is in the model */
}

static bool is_allowed(const struct store *s, const struct state *found)
{
    bool allowed = !strcmp(found->text, s->acknowledged.text);

    for (size_t i = 0; i < s->may_be_n; i++)
        allowed |= !strcmp(found->text, s->may_be[i].text);
    if (!allowed)
        print_error("found:\n%s--\nacknowledged:\n%s--\n", found->text, s->acknowledged.text);
    return allowed;
}

/* Opens what a crash left; takes DISK over. What is found must be allowed, and what is written next must be found again. */
static void check_recovery(const struct store *before, struct sim_disk *disk)
{
    static const struct step MORE[STEPS_MAX] = { { RECORD_PUT, "after", "crash" }, { RECORD_DELETE, "d", "" } };
    struct store s = { .disk = disk };
    struct state found;

    assert_int_equal(store_open(&s), 0);
    found = state_of(&s.live);
    assert_true(is_allowed(before, &found));
    assert_int_equal(s.report.repair.code, 0);
    assert_int_equal(store_commit(&s, MORE), 0);
    store_close(&s);

    s.disk = sim_reboot(disk, SIM_DROPPED, 0, SIM_NAMES_DROPPED);
    sim_free(disk);
    assert_int_equal(store_open(&s), 0);
    found = state_of(&s.live);
    assert_string_equal(found.text, s.acknowledged.text);
    assert_int_equal(s.report.damage.places, 0);
    store_close(&s);
    sim_free(s.disk);
}

/* Byte classes of a torn write: nothing, inside the magic, inside the head, the head, into a record, all but the last byte. */
static const size_t TEARS[] = { 0, 1, 3, 12, FRAME_HEAD_BYTES, FRAME_HEAD_BYTES + 5, 70, 180 };

static void for_every_fate(const struct store *dead, void (*check)(const struct store *before, struct sim_disk *after))
{
    for (int names = 0; names < SIM_NAMES_KINDS; names++) {
        for (int data = 0; data < SIM_DATA_KINDS; data++) {
            bool torn = data == SIM_TORN_SHORT || data == SIM_TORN_ZEROS || data == SIM_TORN_GARBAGE;

            for (size_t t = 0; t < (torn ? ARRAY_LEN(TEARS) : 1); t++)
                check(dead, sim_reboot(dead->disk, (enum sim_data)data, TEARS[t], (enum sim_names)names));
        }
    }
}

/* The same, with the machine dying once more at each call of the recovery. */
static void check_recovery_that_dies_too(const struct store *before, struct sim_disk *disk)
{
    for (unsigned die_at = 0;; die_at++) {
        struct store s = { .disk = sim_reboot(disk, SIM_KEPT, 0, SIM_NAMES_KEPT) };
        bool dead;

        s.disk->die_at = die_at;
        s.disk->die_after_bytes = 30;
        (void)store_open(&s);
        dead = s.disk->dead;
        s.acknowledged = before->acknowledged;
        if (dead) {
            check_recovery(before, sim_reboot(s.disk, SIM_DROPPED, 0, SIM_NAMES_DROPPED));
            check_recovery(before, sim_reboot(s.disk, SIM_KEPT, 0, SIM_NAMES_KEPT));
            check_recovery(before, sim_reboot(s.disk, SIM_TORN_ZEROS, 12, SIM_NAMES_KEPT));
        }
        store_close(&s);
        sim_free(s.disk);
        if (!dead)
            break;
    }
    check_recovery(before, disk);
}

/* Runs the script on a machine with these faults; the caller frees s->disk. */
static void run(struct store *s, unsigned die_at, size_t die_after_bytes, unsigned fail_at, int fail_with, size_t fail_after_bytes)
{
    *s = (struct store){ .disk = sim_new() };
    s->disk->die_at = die_at;
    s->disk->die_after_bytes = die_after_bytes;
    s->disk->fail_at = fail_at;
    s->disk->fail_with = fail_with;
    s->disk->fail_after_bytes = fail_after_bytes;
    if (store_open(s) == 0)
        run_script(s);
    store_close(s);
}

static unsigned steps_of_a_quiet_run(void)
{
    struct store s;
    unsigned n;

    run(&s, SIM_NEVER, 0, SIM_NEVER, 0, 0);
    n = s.disk->step;
    assert_int_equal(s.may_be_n, 0);
    assert_string_equal(s.acknowledged.text, "d=\nb=3\na=4\n");
    check_recovery(&s, sim_reboot(s.disk, SIM_DROPPED, 0, SIM_NAMES_DROPPED));
    sim_free(s.disk);
    return n;
}

static void a_crash_at_every_call_loses_nothing_acknowledged_and_leaves_no_halves(void **state)
{
    static const size_t TAKEN[] = { 0, 1, 20, 40, SIZE_MAX };
    unsigned steps = steps_of_a_quiet_run();
    struct store s;

    assert_true(steps > 20);
    for (unsigned die_at = 0; die_at < steps; die_at++) {
        for (size_t t = 0; t < ARRAY_LEN(TAKEN); t++) {
            run(&s, die_at, TAKEN[t], SIM_NEVER, 0, 0);
            for_every_fate(&s, check_recovery);
            sim_free(s.disk);
        }
    }
}

static void a_crash_while_recovering_from_a_crash_changes_nothing(void **state)
{
    unsigned steps = steps_of_a_quiet_run();
    struct store s;

    for (unsigned die_at = 0; die_at < steps; die_at++) {
        run(&s, die_at, 40, SIM_NEVER, 0, 0);
        check_recovery_that_dies_too(&s, sim_reboot(s.disk, SIM_DROPPED, 0, SIM_NAMES_KEPT));
        check_recovery_that_dies_too(&s, sim_reboot(s.disk, SIM_TORN_SHORT, 30, SIM_NAMES_DROPPED));
        check_recovery_that_dies_too(&s, sim_reboot(s.disk, SIM_TORN_GARBAGE, 3, SIM_NAMES_KEPT));
        sim_free(s.disk);
    }
}

/* kill -9 leaves the machine running: what the next process reads, and shows, may still be on its way to the disk when the power goes. */
static void what_a_restarted_process_shows_outlives_a_power_cut(void **state)
{
    unsigned steps = steps_of_a_quiet_run();
    struct store s;

    for (unsigned die_at = 0; die_at < steps; die_at++) {
        struct state shown, found;

        run(&s, die_at, SIZE_MAX, SIM_NEVER, 0, 0);
        s.disk->dead = false;
        s.disk->die_at = SIM_NEVER;
        assert_int_equal(store_open(&s), 0);
        shown = state_of(&s.live);
        assert_true(is_allowed(&s, &shown));
        store_close(&s);

        struct store later = { .disk = sim_reboot(s.disk, SIM_DROPPED, 0, SIM_NAMES_DROPPED) };
        assert_int_equal(store_open(&later), 0);
        found = state_of(&later.live);
        assert_string_equal(found.text, shown.text);
        store_close(&later);
        sim_free(later.disk);
        sim_free(s.disk);
    }
}

static void a_call_that_fails_refuses_its_batch_and_the_next_ones_are_kept(void **state)
{
    static const int NUMBERS[] = { -EIO, -ENOSPC };
    static const size_t SHORT[] = { 0, 1, 30 };
    unsigned steps = steps_of_a_quiet_run();
    struct store s;

    for (unsigned fail_at = 0; fail_at < steps; fail_at++) {
        for (size_t i = 0; i < ARRAY_LEN(NUMBERS) * ARRAY_LEN(SHORT); i++) {
            run(&s, SIM_NEVER, 0, fail_at, NUMBERS[i % 2], SHORT[i / 2]);
            for_every_fate(&s, check_recovery);
            sim_free(s.disk);
        }
    }
}

static void a_crash_behind_a_call_that_failed_loses_nothing_either(void **state)
{
    unsigned steps = steps_of_a_quiet_run();
    struct store s;

    for (unsigned fail_at = 0; fail_at < steps; fail_at++) {
        for (unsigned die_at = fail_at + 1; die_at < steps + 12; die_at++) {
            run(&s, die_at, 40, fail_at, -EIO, fail_at % 2 ? 30 : 0);
            check_recovery(&s, sim_reboot(s.disk, SIM_DROPPED, 0, SIM_NAMES_DROPPED));
            check_recovery(&s, sim_reboot(s.disk, SIM_KEPT, 0, SIM_NAMES_KEPT));
            check_recovery(&s, sim_reboot(s.disk, SIM_DROPPED, 0, SIM_NAMES_KEPT));
            check_recovery(&s, sim_reboot(s.disk, SIM_LAST_ONLY, 0, SIM_NAMES_KEPT));
            check_recovery(&s, sim_reboot(s.disk, SIM_TORN_GARBAGE, FRAME_HEAD_BYTES + 5, SIM_NAMES_DROPPED));
            sim_free(s.disk);
        }
    }
}

static void short_writes_are_continued(void **state)
{
    struct store s = { .disk = sim_new() };

    s.disk->write_max = 7;
    assert_int_equal(store_open(&s), 0);
    run_script(&s);
    store_close(&s);
    assert_int_equal(s.may_be_n, 0);
    check_recovery(&s, sim_reboot(s.disk, SIM_DROPPED, 0, SIM_NAMES_DROPPED));
    sim_free(s.disk);
}

static void after_a_failed_sync_the_next_batch_goes_to_a_fresh_file(void **state)
{
    struct store s = { .disk = sim_new() };
    uint64_t salt;

    assert_int_equal(store_open(&s), 0);
    assert_int_equal(store_commit(&s, SCRIPT[0]), 0);
    salt = s.file.salt;
    s.disk->fail_at = s.disk->step + 1; /* the write, then the sync */
    assert_int_equal(store_commit(&s, SCRIPT[1]), ERR_IO);
    assert_true(s.file.stale);
    assert_int_equal(store_commit(&s, SCRIPT[2]), 0);
    assert_false(s.file.stale);
    assert_true(s.file.salt != salt);
    store_close(&s);
    check_recovery(&s, sim_reboot(s.disk, SIM_DROPPED, 0, SIM_NAMES_DROPPED));
    sim_free(s.disk);
}

static void a_full_disk_refuses_and_takes_again_when_there_is_room(void **state)
{
    struct store s = { .disk = sim_new() };
    uint64_t bytes;

    assert_int_equal(store_open(&s), 0);
    assert_int_equal(store_commit(&s, SCRIPT[0]), 0);
    bytes = sim_bytes_of(s.disk, JOURNAL_NAME)->n;
    s.disk->fail_at = s.disk->step;
    s.disk->fail_with = -ENOSPC;
    s.disk->fail_after_bytes = 30;
    assert_true(store_commit(&s, SCRIPT[1]) < 0);
    assert_int_equal(sim_bytes_of(s.disk, JOURNAL_NAME)->n, bytes); /* cut back */
    assert_false(s.file.stale);
    assert_int_equal(store_commit(&s, SCRIPT[2]), 0);
    store_close(&s);
    sim_free(s.disk);
}

/* ---- damage ---- */

/* A file with one frame per batch, no rewrite between. Offsets of the frames in AT. */
static void a_file_of_frames(struct store *s, size_t at[8])
{
    static const size_t BATCHES[] = { 0, 1, 2, 4, 5 };

    *s = (struct store){ .disk = sim_new() };
    assert_int_equal(store_open(s), 0);
    for (size_t i = 0; i < ARRAY_LEN(BATCHES); i++) {
        at[i] = (size_t)s->file.bytes;
        assert_int_equal(store_commit(s, SCRIPT[BATCHES[i]]), 0);
    }
    at[ARRAY_LEN(BATCHES)] = (size_t)s->file.bytes;
    store_close(s);
}

static void a_flipped_bit_in_the_middle_costs_one_frame_and_is_reported(void **state)
{
    struct store s;
    size_t at[8];
    struct sim_bytes *file;
    struct state found;

    a_file_of_frames(&s, at);
    file = sim_bytes_of(s.disk, JOURNAL_NAME);
    file->p[at[2] + FRAME_HEAD_BYTES + 3] ^= 0x10; /* a=2, delete b */
    assert_int_equal(store_open(&s), 0);
    found = state_of(&s.live);
    assert_string_equal(found.text, "a=1\nb=3\nd=\n");
    assert_int_equal(s.report.damage.places, 1);
    assert_int_equal(s.report.damage.at, at[2]);
    assert_int_equal(s.report.damage.bytes, at[3] - at[2]);
    assert_int_equal(s.report.damage.frames_lost, 1);
    assert_false(s.report.damage.tail_only);
    assert_string_equal(s.report.damage.reason, "the checksum of a frame is wrong");
    assert_string_equal(s.report.kept_as, "journal.corrupt.1");
    assert_int_equal(sim_bytes_of(s.disk, "journal.corrupt.1")->n, at[5]); /* the whole file */
    store_close(&s);
    assert_int_equal(store_open(&s), 0); /* the damage is gone, and what was saved is still there */
    found = state_of(&s.live);
    assert_string_equal(found.text, "a=1\nb=3\nd=\n");
    assert_int_equal(s.report.damage.places, 0);
    store_close(&s);
    sim_free(s.disk);
}

static void a_torn_tail_is_cut_kept_and_reported(void **state)
{
    struct store s;
    size_t at[8];

    a_file_of_frames(&s, at);
    sim_bytes_of(s.disk, JOURNAL_NAME)->n -= 2;
    assert_int_equal(store_open(&s), 0);
    assert_int_equal(s.report.damage.places, 1);
    assert_true(s.report.damage.tail_only);
    assert_int_equal(s.report.damage.at, at[4]);
    assert_string_equal(s.report.damage.reason, "the file ends inside a frame");
    assert_int_equal(sim_bytes_of(s.disk, "journal.corrupt.1")->n, at[5] - 2 - at[4]);
    store_close(&s);
    sim_free(s.disk);
}

static void every_single_flipped_bit_is_survived(void **state)
{
    struct store s;
    size_t at[8];

    a_file_of_frames(&s, at);
    for (size_t byte = 0; byte < at[5]; byte++) {
        for (int bit = 0; bit < 8; bit += 3) {
            struct store damaged = { .disk = sim_reboot(s.disk, SIM_KEPT, 0, SIM_NAMES_KEPT) };
            size_t hit = 5; /* the frame that the bit is in; 5 = none, the header */

            sim_bytes_of(damaged.disk, JOURNAL_NAME)->p[byte] ^= (char)(1 << bit);
            assert_int_equal(store_open(&damaged), 0);
            assert_int_equal(damaged.report.damage.places, 1);
            for (size_t i = 0; i < 5; i++)
                hit = byte >= at[i] && byte < at[i + 1] ? i : hit;
            assert_int_equal(damaged.report.damage.bytes, hit < 5 ? at[hit + 1] - at[hit] : 0);
            assert_int_equal(damaged.report.damage.at, hit < 5 ? at[hit] : 0);
            store_close(&damaged);
            sim_free(damaged.disk);
        }
    }
    sim_free(s.disk);
}

static void a_file_cut_at_every_length_gives_a_prefix(void **state)
{
    struct store s;
    size_t at[8];

    a_file_of_frames(&s, at);
    for (size_t n = 0; n <= at[5]; n++) {
        struct store cut = { .disk = sim_reboot(s.disk, SIM_KEPT, 0, SIM_NAMES_KEPT) };
        size_t frames = 0;

        sim_bytes_of(cut.disk, JOURNAL_NAME)->n = n;
        assert_int_equal(store_open(&cut), 0);
        while (frames < 5 && at[frames + 1] <= n)
            frames++;
        static const size_t ENTRIES[] = { 0, 2, 3, 2, 2, 3 };
        assert_int_equal(cut.report.entries, ENTRIES[frames]);
        assert_int_equal(cut.report.damage.places > 0, n < at[0] || n != at[frames]);
        store_close(&cut);
        sim_free(cut.disk);
    }
    sim_free(s.disk);
}

static void a_destroyed_header_is_survived_and_the_file_is_kept(void **state)
{
    struct store s;
    size_t at[8];
    struct sim_bytes *file;

    a_file_of_frames(&s, at);
    file = sim_bytes_of(s.disk, JOURNAL_NAME);
    memset(file->p, 'x', FILE_HEAD_BYTES);
    assert_int_equal(store_open(&s), 0);
    assert_int_equal(s.report.entries, 0);
    assert_int_equal(s.report.damage.bytes, at[5]);
    assert_int_equal(sim_bytes_of(s.disk, s.report.kept_as)->n, at[5]);
    assert_int_equal(store_commit(&s, SCRIPT[0]), 0);
    store_close(&s);
    sim_free(s.disk);
}

static void a_snapshot_that_lost_its_end_is_told_from_a_short_one(void **state)
{
    struct store s;
    size_t at[8];

    a_file_of_frames(&s, at);
    assert_int_equal(store_open(&s), 0);
    assert_int_equal(journal_file_rewrite(&s.file, &s.live, NULL), 0);
    store_close(&s);
    sim_bytes_of(s.disk, JOURNAL_NAME)->n = FILE_HEAD_BYTES;
    assert_int_equal(store_open(&s), 0);
    assert_int_equal(s.report.damage.places, 1);
    assert_int_equal(s.report.damage.frames_lost, 1);
    store_close(&s);
    sim_free(s.disk);
}

static void damage_on_a_disk_that_cannot_be_written_does_not_stop_the_start(void **state)
{
    struct store s;
    size_t at[8];
    struct state found;

    a_file_of_frames(&s, at);
    sim_bytes_of(s.disk, JOURNAL_NAME)->n -= 2;
    for (unsigned later = 0; later < 4; later++) { /* the first calls that write: the corrupt file's, then those of the rewrite */
        struct store full = { .disk = sim_reboot(s.disk, SIM_KEPT, 0, SIM_NAMES_KEPT) };
        unsigned reads = 3 + (unsigned)(at[5] / 100) + 2; /* open, remove, the reads, the name of the corrupt file */

        full.disk->fail_at = reads + 2 * later;
        full.disk->fail_with = -ENOSPC;
        assert_int_equal(store_open(&full), 0);
        found = state_of(&full.live);
        assert_string_equal(found.text, "a=2\nd=\n");
        full.disk->fail_at = SIM_NEVER;
        assert_int_equal(store_commit(&full, SCRIPT[0]), 0);
        store_close(&full);
        check_recovery(&full, sim_reboot(full.disk, SIM_DROPPED, 0, SIM_NAMES_DROPPED));
        sim_free(full.disk);
    }
    sim_free(s.disk);
}

static void at_most_nine_damaged_pieces_are_kept(void **state)
{
    struct store s;
    size_t at[8];

    a_file_of_frames(&s, at);
    for (unsigned i = 1; i <= 12; i++) {
        char name[40];

        sim_bytes_of(s.disk, JOURNAL_NAME)->p[3] ^= 1;
        assert_int_equal(store_open(&s), 0);
        snprintf(name, sizeof name, "journal.corrupt.%u", MIN(i, 9u));
        assert_string_equal(s.report.kept_as, name);
        store_close(&s);
    }
    sim_free(s.disk);
}

static void another_version_is_refused_and_left_alone(void **state)
{
    struct store s = { .disk = sim_new() };
    char head[FILE_HEAD_BYTES];
    struct err err = { 0 };

    header_write(&(struct file_header){ .version = 7, .salt = 1 }, head);
    s.disk->files_n = 1;
    sim_make_name(s.disk->now, JOURNAL_NAME)->file = 0;
    sim_write_at(&s.disk->files[0].now, 0, head, sizeof head);
    live_init(&s.live);
    assert_int_equal(journal_file_open(&s.file, &s.disk->disk, &s.live, &s.report, &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "format 7"));
    assert_int_equal(sim_bytes_of(s.disk, JOURNAL_NAME)->n, FILE_HEAD_BYTES);
    live_fini(&s.live);
    assert_int_equal(s.disk->open_n, 0);
    sim_free(s.disk);
}

/* ---- growth ---- */

static void a_log_that_outgrew_its_live_set_is_rewritten_small(void **state)
{
    struct store s = { .disk = sim_new() };
    unsigned n = 0;

    assert_int_equal(store_open(&s), 0);
    while (!journal_file_outgrown(&s.file, &s.live)) {
        assert_int_equal(store_commit(&s, SCRIPT[1]), 0);
        n++;
    }
    assert_true(s.file.bytes > JOURNAL_SLACK && n > 1000);
    assert_int_equal(journal_file_rewrite(&s.file, &s.live, NULL), 0);
    assert_true(s.file.bytes < 1000);
    assert_false(journal_file_outgrown(&s.file, &s.live));
    store_close(&s);
    check_recovery(&s, sim_reboot(s.disk, SIM_DROPPED, 0, SIM_NAMES_DROPPED));
    sim_free(s.disk);
}

static void a_rewrite_that_failed_is_not_tried_again_at_once(void **state)
{
    struct store s = { .disk = sim_new() };

    assert_int_equal(store_open(&s), 0);
    while (!journal_file_outgrown(&s.file, &s.live))
        assert_int_equal(store_commit(&s, SCRIPT[1]), 0);
    s.disk->fail_at = s.disk->step + 1;
    assert_true(journal_file_rewrite(&s.file, &s.live, NULL) < 0);
    assert_false(journal_file_outgrown(&s.file, &s.live));
    assert_int_equal(store_commit(&s, SCRIPT[1]), 0);
    store_close(&s);
    sim_free(s.disk);
}

/* ---- many scripts, many faults ---- */

static void random_scripts_with_random_faults_keep_the_promises(void **state)
{
    static const char *const KEYS[] = { "a", "b", "c", "d", "e" };
    static const char *const VALUES[] = { "", "x", "yy", "SMGF", LONG_VALUE };
    struct random random;

    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct store s = { .disk = sim_new() };

        random_init(&random, seed);
        s.disk->die_at = (unsigned)random_below(&random, 120);
        s.disk->die_after_bytes = random_below(&random, 90);
        s.disk->fail_at = random_below(&random, 2) ? (unsigned)random_below(&random, 100) : SIM_NEVER;
        s.disk->fail_with = random_below(&random, 2) ? -ENOSPC : -EIO;
        s.disk->fail_after_bytes = random_below(&random, 60);
        s.disk->write_max = random_below(&random, 3) ? 0 : 40;
        if (store_open(&s) == 0) {
            for (unsigned i = 0; i < 14 && !s.disk->dead; i++) {
                struct step steps[STEPS_MAX] = { 0 };
                unsigned n = 1 + (unsigned)random_below(&random, STEPS_MAX);

                for (unsigned k = 0; k < n; k++)
                    steps[k] =
                        (struct step){ random_below(&random, 3) ? RECORD_PUT : RECORD_DELETE, KEYS[random_below(&random, 5)], "" };
                for (unsigned k = 0; k < n; k++)
                    steps[k].value = steps[k].op == RECORD_PUT ? VALUES[random_below(&random, 5)] : "";
                if (random_below(&random, 6) == 0)
                    (void)store_commit(&s, SCRIPT[3]);
                (void)store_commit(&s, steps);
            }
        }
        store_close(&s);
        for_every_fate(&s, check_recovery);
        sim_free(s.disk);
    }
}

static void memory_that_runs_out_at_open_changes_nothing_on_the_disk(void **state)
{
    struct store s;
    size_t at[8];
    struct sim_bytes before;

    a_file_of_frames(&s, at);
    before = (struct sim_bytes){ 0 };
    sim_set(&before, *sim_bytes_of(s.disk, JOURNAL_NAME));
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        int r = store_open(&s);

        assert_true(r == 0 || r == ERR_NOMEM);
        store_close(&s);
    }
    assert_int_equal(sim_bytes_of(s.disk, JOURNAL_NAME)->n, before.n);
    assert_memory_equal(sim_bytes_of(s.disk, JOURNAL_NAME)->p, before.p, before.n);
    free(before.p);
    sim_free(s.disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_crash_at_every_call_loses_nothing_acknowledged_and_leaves_no_halves),
        cmocka_unit_test(a_crash_while_recovering_from_a_crash_changes_nothing),
        cmocka_unit_test(what_a_restarted_process_shows_outlives_a_power_cut),
        cmocka_unit_test(a_call_that_fails_refuses_its_batch_and_the_next_ones_are_kept),
        cmocka_unit_test(a_crash_behind_a_call_that_failed_loses_nothing_either),
        cmocka_unit_test(short_writes_are_continued),
        cmocka_unit_test(after_a_failed_sync_the_next_batch_goes_to_a_fresh_file),
        cmocka_unit_test(a_full_disk_refuses_and_takes_again_when_there_is_room),
        cmocka_unit_test(a_flipped_bit_in_the_middle_costs_one_frame_and_is_reported),
        cmocka_unit_test(a_torn_tail_is_cut_kept_and_reported),
        cmocka_unit_test(every_single_flipped_bit_is_survived),
        cmocka_unit_test(a_file_cut_at_every_length_gives_a_prefix),
        cmocka_unit_test(a_destroyed_header_is_survived_and_the_file_is_kept),
        cmocka_unit_test(a_snapshot_that_lost_its_end_is_told_from_a_short_one),
        cmocka_unit_test(damage_on_a_disk_that_cannot_be_written_does_not_stop_the_start),
        cmocka_unit_test(at_most_nine_damaged_pieces_are_kept),
        cmocka_unit_test(another_version_is_refused_and_left_alone),
        cmocka_unit_test(a_log_that_outgrew_its_live_set_is_rewritten_small),
        cmocka_unit_test(a_rewrite_that_failed_is_not_tried_again_at_once),
        cmocka_unit_test(random_scripts_with_random_faults_keep_the_promises),
        cmocka_unit_test(memory_that_runs_out_at_open_changes_nothing_on_the_disk),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
