/* sim_disk.h -- a disk that forgets, tears and fails on demand
 *
 * Each file has what programs read (`now`) and what the platters hold (`durable`); writes and cuts stand in between, in order, until a sync. Names likewise, until sync_folder.
 * Every call of the table counts as one step. At step `die_at` the machine dies inside the call: a write may have taken its first bytes, nothing else happens, and all later
 * calls fail. sim_reboot then decides what of the unsynced was kept. At step `fail_at` the call fails once and the machine goes on; a sync that fails loses what it should have
 * written, and later syncs do not bring it back: so does Linux.
 */
#pragma once

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "journal/disk.h"
#include "test.h"

#define SIM_FILES 64 /* ever made */
#define SIM_NAMES 16
#define SIM_NEVER (~0u)

struct sim_bytes {
    char *p;
    size_t n;
};

struct sim_op { /* a write of bytes at `at`, or (bytes.p == NULL) a cut to `at` */
    size_t at;
    struct sim_bytes bytes;
};

struct sim_file {
    struct sim_bytes now, durable;
    struct sim_op *ops; /* since the last sync */
    size_t ops_n;
};

struct sim_name {
    char name[40]; /* empty = free */
    int file;
};

enum sim_data { SIM_DROPPED, SIM_KEPT, SIM_TORN_SHORT, SIM_TORN_ZEROS, SIM_TORN_GARBAGE, SIM_LAST_ONLY, SIM_DATA_KINDS };
enum sim_names { SIM_NAMES_DROPPED, SIM_NAMES_KEPT, SIM_NAMES_KINDS };

struct sim_disk {
    struct disk disk;
    struct sim_file files[SIM_FILES];
    int files_n;
    struct sim_name now[SIM_NAMES], durable[SIM_NAMES];

    unsigned step;            /* calls so far */
    unsigned die_at, fail_at; /* SIM_NEVER */
    int fail_with;            /* -errno */
    size_t die_after_bytes;   /* a write that dies takes this many first */
    size_t fail_after_bytes;  /* a write that fails is short first: this many bytes are taken, the next call fails */
    size_t write_max;         /* bytes per write; 0 = all */
    bool dead;
    unsigned open_n; /* files open: to see leaks */
};

/* ---- bytes ---- */

static inline void sim_write_at(struct sim_bytes *b, size_t at, const char *p, size_t n)
{
    if (at + n > b->n) {
        b->p = realloc(b->p, at + n);
        assert_non_null(b->p);
        memset(b->p + b->n, 0, at + n - b->n);
        b->n = at + n;
    }
    memcpy(b->p + at, p, n);
}

static inline void sim_cut_at(struct sim_bytes *b, size_t n)
{
    if (n > b->n) {
        char zero = 0;
        sim_write_at(b, n - 1, &zero, 1);
    }
    b->n = n;
}

static inline void sim_apply(struct sim_bytes *b, const struct sim_op *op)
{
    if (op->bytes.p)
        sim_write_at(b, op->at, op->bytes.p, op->bytes.n);
    else
        sim_cut_at(b, op->at);
}

static inline void sim_set(struct sim_bytes *b, struct sim_bytes from)
{
    b->n = 0;
    if (from.n)
        sim_write_at(b, 0, from.p, from.n);
}

static inline void sim_forget_ops(struct sim_file *f)
{
    for (size_t i = 0; i < f->ops_n; i++)
        free(f->ops[i].bytes.p);
    free(f->ops);
    f->ops = NULL;
    f->ops_n = 0;
}

static inline void sim_note(struct sim_file *f, size_t at, const char *p, size_t n)
{
    struct sim_op op = { .at = at };

    if (p)
        sim_write_at(&op.bytes, 0, p, n);
    f->ops = realloc(f->ops, (f->ops_n + 1) * sizeof *f->ops);
    assert_non_null(f->ops);
    f->ops[f->ops_n++] = op;
    sim_apply(&f->now, &op);
}

/* ---- the table ---- */

static inline struct sim_disk *sim_of(struct disk *d)
{
    return CONTAINER_OF(d, struct sim_disk, disk);
}

/* 0 = do it. */
static inline int sim_step(struct sim_disk *d)
{
    unsigned step = d->step++;

    if (d->dead || step == d->die_at) {
        d->dead = true;
        return -EIO;
    }
    return step == d->fail_at ? d->fail_with : 0;
}

static inline struct sim_name *sim_find(struct sim_name *names, const char *name)
{
    for (int i = 0; i < SIM_NAMES; i++) {
        if (!strcmp(names[i].name, name))
            return &names[i];
    }
    return NULL;
}

static inline struct sim_name *sim_make_name(struct sim_name *names, const char *name)
{
    struct sim_name *n = sim_find(names, name);

    n = n ? n : sim_find(names, "");
    if (!n || strlen(name) >= sizeof n->name)
        abort();
    memcpy(n->name, name, strlen(name) + 1);
    return n;
}

static inline int sim_open(struct disk *disk, const char *name, enum disk_open how)
{
    struct sim_disk *d = sim_of(disk);
    struct sim_name *n = sim_find(d->now, name);
    int r = sim_step(d);

    if (r < 0)
        return r;
    if (!n && how == DISK_OLD)
        return -ENOENT;
    if (!n) {
        n = sim_make_name(d->now, name);
        assert_true(d->files_n < SIM_FILES);
        n->file = d->files_n++;
    } else if (how == DISK_NEW) {
        sim_note(&d->files[n->file], 0, NULL, 0);
    }
    d->open_n++;
    return n->file;
}

static inline ssize_t sim_read(struct disk *disk, int file, void *to, size_t n, uint64_t at)
{
    struct sim_disk *d = sim_of(disk);
    const struct sim_bytes *b = &d->files[file].now;
    int r = sim_step(d);

    if (r < 0)
        return r;
    n = at >= b->n ? 0 : MIN(n, b->n - (size_t)at);
    n = MIN(n, 100u); /* short, as reads may be */
    if (n)
        memcpy(to, b->p + at, n);
    return (ssize_t)n;
}

static inline ssize_t sim_write(struct disk *disk, int file, const void *from, size_t n, uint64_t at)
{
    struct sim_disk *d = sim_of(disk);
    bool was_dead = d->dead;
    int r = sim_step(d);
    size_t take = d->write_max ? MIN(n, d->write_max) : n;

    if (r < 0 && d->dead && !was_dead)
        take = MIN(take, d->die_after_bytes);
    else if (r < 0 && !d->dead && d->fail_after_bytes) {
        take = MIN(take, d->fail_after_bytes); /* short now, refused at the next call */
        d->fail_after_bytes = 0;
        d->fail_at = d->step;
        r = 0;
    } else if (r < 0)
        take = 0;
    if (take)
        sim_note(&d->files[file], (size_t)at, from, take);
    return r < 0 ? r : (ssize_t)take;
}

static inline int sim_cut(struct disk *disk, int file, uint64_t bytes)
{
    struct sim_disk *d = sim_of(disk);
    int r = sim_step(d);

    if (r == 0)
        sim_note(&d->files[file], (size_t)bytes, NULL, 0);
    return r;
}

static inline int sim_sync(struct disk *disk, int file)
{
    struct sim_disk *d = sim_of(disk);
    struct sim_file *f = &d->files[file];
    int r = sim_step(d);

    if (d->dead)
        return r;
    for (size_t i = 0; r == 0 && i < f->ops_n; i++)
        sim_apply(&f->durable, &f->ops[i]);
    sim_forget_ops(f);
    return r;
}

static inline void sim_close(struct disk *disk, int file)
{
    sim_of(disk)->open_n--;
}

static inline int sim_rename(struct disk *disk, const char *from, const char *to)
{
    struct sim_disk *d = sim_of(disk);
    struct sim_name *old = sim_find(d->now, from);
    int r = sim_step(d);

    if (r < 0)
        return r;
    assert_non_null(old);
    sim_make_name(d->now, to)->file = old->file;
    old->name[0] = 0;
    return 0;
}

static inline int sim_remove(struct disk *disk, const char *name)
{
    struct sim_disk *d = sim_of(disk);
    struct sim_name *n = sim_find(d->now, name);
    int r = sim_step(d);

    if (r < 0)
        return r;
    if (!n)
        return -ENOENT;
    n->name[0] = 0;
    return 0;
}

static inline int sim_sync_folder(struct disk *disk)
{
    struct sim_disk *d = sim_of(disk);
    int r = sim_step(d);

    if (r == 0)
        memcpy(d->durable, d->now, sizeof d->now);
    return r;
}

static const struct disk_ops SIM_OPS = {
    .open = sim_open,
    .read = sim_read,
    .write = sim_write,
    .cut = sim_cut,
    .sync = sim_sync,
    .close = sim_close,
    .rename = sim_rename,
    .remove = sim_remove,
    .sync_folder = sim_sync_folder,
};

/* ---- the life of a disk ---- */

static inline struct sim_disk *sim_new(void)
{
    struct sim_disk *d = calloc(1, sizeof *d);

    assert_non_null(d);
    d->disk.ops = &SIM_OPS;
    d->die_at = d->fail_at = SIM_NEVER;
    d->fail_with = -EIO;
    return d;
}

static inline void sim_free(struct sim_disk *d)
{
    for (int i = 0; i < d->files_n; i++) {
        sim_forget_ops(&d->files[i]);
        free(d->files[i].now.p);
        free(d->files[i].durable.p);
    }
    free(d);
}

/* What the platters hold when the power is gone: KIND says what became of the unsynced; TORN_AT cuts the last write of each file. */
static inline void sim_settle_file(const struct sim_file *f, enum sim_data kind, size_t torn_at, struct sim_bytes *out)
{
    size_t last = f->ops_n;

    while (last > 0 && !f->ops[last - 1].bytes.p)
        last--;
    sim_set(out, f->durable);
    if (kind == SIM_KEPT)
        sim_set(out, f->now);
    if (kind == SIM_DROPPED || kind == SIM_KEPT || last == 0)
        return;

    struct sim_op op = f->ops[last - 1];
    size_t n = MIN(torn_at, op.bytes.n);

    for (size_t i = 0; kind != SIM_LAST_ONLY && i + 1 < last; i++)
        sim_apply(out, &f->ops[i]);
    if (kind == SIM_LAST_ONLY)
        n = op.bytes.n;
    if (n)
        sim_write_at(out, op.at, op.bytes.p, n);
    if (kind == SIM_TORN_ZEROS || kind == SIM_TORN_GARBAGE) {
        for (size_t i = n; i < op.bytes.n; i++) {
            char c = kind == SIM_TORN_ZEROS ? 0 : (char)(i * 37 + 11);
            sim_write_at(out, op.at + i, &c, 1);
        }
    }
}

/* The machine as it comes up again: a new disk. */
static inline struct sim_disk *sim_reboot(const struct sim_disk *d, enum sim_data kind, size_t torn_at, enum sim_names names)
{
    struct sim_disk *again = sim_new();
    const struct sim_name *from = names == SIM_NAMES_KEPT ? d->now : d->durable;

    for (int i = 0; i < SIM_NAMES; i++) {
        if (!from[i].name[0])
            continue;
        struct sim_file *f = &again->files[again->files_n];
        again->now[i] = from[i];
        again->now[i].file = again->files_n++;
        sim_settle_file(&d->files[from[i].file], kind, torn_at, &f->durable);
        sim_set(&f->now, f->durable);
    }
    memcpy(again->durable, again->now, sizeof again->now);
    return again;
}

static inline struct sim_bytes *sim_bytes_of(struct sim_disk *d, const char *name)
{
    struct sim_name *n = sim_find(d->now, name);

    return n ? &d->files[n->file].now : NULL;
}
