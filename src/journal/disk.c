/* journal/disk.c -- a folder of the machine, locked for one gateway */
#include "journal/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_NAME "lock"

struct real_disk {
    struct disk disk;
    int folder; /* owned */
    int lock;   /* owned; its flock is the claim to the folder, and ends with the process whatever happens to it */
};

static int folder_of(struct disk *d)
{
    return CONTAINER_OF(d, struct real_disk, disk)->folder;
}

static int number(int status)
{
    return status < 0 ? -errno : status;
}

static int real_open(struct disk *d, const char *name, enum disk_open how)
{
    int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | (how == DISK_NEW ? O_CREAT | O_TRUNC : 0);

    return number(openat(folder_of(d), name, flags, 0600));
}

static ssize_t real_read(struct disk *d, int file, void *to, size_t n, uint64_t at)
{
    ssize_t got;

    do
        got = pread(file, to, n, (off_t)at);
    while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : got;
}

static ssize_t real_write(struct disk *d, int file, const void *from, size_t n, uint64_t at)
{
    ssize_t done;

    do
        done = pwrite(file, from, n, (off_t)at);
    while (done < 0 && errno == EINTR);
    return done < 0 ? -errno : done == 0 ? -EIO : done;
}

static int real_cut(struct disk *d, int file, uint64_t bytes)
{
    return number(ftruncate(file, (off_t)bytes));
}

static int real_sync(struct disk *d, int file)
{
    return number(fdatasync(file));
}

static void real_close(struct disk *d, int file)
{
    close(file);
}

static int real_rename(struct disk *d, const char *from, const char *to)
{
    return number(renameat(folder_of(d), from, folder_of(d), to));
}

static int real_remove(struct disk *d, const char *name)
{
    return number(unlinkat(folder_of(d), name, 0));
}

static int real_sync_folder(struct disk *d)
{
    return number(fsync(folder_of(d)));
}

static const struct disk_ops REAL = {
    .open = real_open,
    .read = real_read,
    .write = real_write,
    .cut = real_cut,
    .sync = real_sync,
    .close = real_close,
    .rename = real_rename,
    .remove = real_remove,
    .sync_folder = real_sync_folder,
};

static int failed(const char *path, const char *what, const char *remedy, struct err *err)
{
    int e = errno;

    return err_set(err, err_from_errno(-e), "state directory \"%s\": %s: %s; %s", path, what, strerrordesc_np(e), remedy);
}

/* A new folder is durable when its parent was synced. */
static int make_folder(const char *path, struct err *err)
{
    int made, r = 0;

    if (mkdir(path, 0700) < 0)
        return errno == EEXIST ? 0
                               : failed(path, "cannot make it", "make it, or name one in a place that this user may write", err);
    made = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (made >= 0) {
        int parent = openat(made, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (parent >= 0 && fsync(parent) < 0)
            r = failed(path, "cannot sync its parent", "check the disk", err);
        if (parent >= 0) /* a parent that cannot be read cannot be synced by us */
            close(parent);
        close(made);
    }
    return r;
}

/* Who holds the lock: it wrote its process number there. */
static int busy(const char *path, int lock, struct err *err)
{
    char holder[24] = "";
    ssize_t n = pread(lock, holder, sizeof holder - 1, 0);

    holder[n > 0 ? strcspn(holder, "\n") : 0] = 0;
    return err_set(err, ERR_BUSY,
                   "state directory \"%s\" is in use by another gateway (process %s); give each gateway a --state-dir of its own",
                   path, holder[0] ? holder : "unknown");
}

static int take_lock(struct real_disk *d, const char *path, struct err *err)
{
    char mine[24];
    int n = snprintf(mine, sizeof mine, "%ld\n", (long)getpid());

    d->lock = openat(d->folder, LOCK_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (d->lock < 0)
        return failed(path, "cannot write in it", "give this user the right to, or name another directory", err);
    if (flock(d->lock, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK ? busy(path, d->lock, err) : failed(path, "cannot lock it", "name one on a local disk", err);
    if (ftruncate(d->lock, 0) < 0 || pwrite(d->lock, mine, (size_t)n, 0) != n)
        (void)0; /* on a full disk: the number is only for the message of a second gateway */
    return 0;
}

int disk_open(const char *path, struct disk **ret, struct err *err)
{
    struct real_disk *d = calloc(1, sizeof *d);
    int r;

    if (!d)
        return err_set(err, ERR_NOMEM, "state directory \"%s\": %s", path, err_text(ERR_NOMEM));
    d->disk.ops = &REAL;
    d->folder = d->lock = -1;
    r = make_folder(path, err);
    if (r == 0) {
        d->folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (d->folder < 0)
            r = failed(path, "cannot open it", "name a directory that this user may read and write", err);
    }
    if (r == 0)
        r = take_lock(d, path, err);
    if (r < 0) {
        disk_free(&d->disk);
        return r;
    }
    *ret = &d->disk;
    return 0;
}

void disk_free(struct disk *disk)
{
    struct real_disk *d = disk ? CONTAINER_OF(disk, struct real_disk, disk) : NULL;

    if (!d)
        return;
    if (d->lock >= 0)
        close(d->lock);
    if (d->folder >= 0)
        close(d->folder);
    free(d);
}
