/* journal/disk.h -- the few calls of a file system that the journal needs, behind a table, so that tests can put a disk that lies and breaks behind it
 *
 * All calls block: pool threads, or before the loops run. Names are of files directly in the state directory. Failures are negative errno numbers.
 * Nothing is durable before its own call says so: bytes by `sync`, a created or renamed name by `sync_folder`. After a failed `sync` the kernel may have dropped the bytes and
 * forgotten that it did (so it is on Linux): what was written since the last good one is unknown, and a second `sync` proves nothing.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

struct disk;

enum disk_open { DISK_OLD, DISK_NEW }; /* it must be there; or it is made, or emptied, mode 0600 */

struct disk_ops {
    int (*open)(struct disk *d, const char *name, enum disk_open how);                   /* a file number >= 0; -ENOENT */
    ssize_t (*read)(struct disk *d, int file, void *to, size_t n, uint64_t at);          /* 0 = the end; may be short */
    ssize_t (*write)(struct disk *d, int file, const void *from, size_t n, uint64_t at); /* may be short, never 0 */
    int (*cut)(struct disk *d, int file, uint64_t bytes);                                /* to that length */
    int (*sync)(struct disk *d, int file);
    void (*close)(struct disk *d, int file);
    int (*rename)(struct disk *d, const char *from, const char *to);
    int (*remove)(struct disk *d, const char *name);
    int (*sync_folder)(struct disk *d);
};

struct disk {
    const struct disk_ops *ops;
};

/* The real one. Makes the folder PATH (0700) when it is missing; its parent must be there. Takes the folder's lock: ERR_BUSY when another process has it (*ERR names its
 * number); ERR_IO and its like when the folder cannot be made or written; *ERR says what to do. */
int disk_open(const char *path, struct disk **ret, struct err *err) _must_check_;
void disk_free(struct disk *d); /* of disk_open; gives the lock back. NULL is fine */
