/* base/file.c -- files as wholes */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define PART 65536 /* bytes per read */

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

/* "PATH: reason", with the code that fits errno. */
static int failed(const char *path, struct err *err)
{
    int number = errno;

    return err_set(err, err_from_errno(-number), "%s: %s", path, strerrordesc_np(number));
}

static int read_all(int fd, const char *path, size_t max_bytes, struct buf *out, struct err *err)
{
    size_t start = out->n;

    for (;;) {
        size_t left = max_bytes - (out->n - start),
               want = left < PART ? left + 1 : PART; /* one more byte than allowed shows the excess */
        char *to = buf_reserve(out, want);
        ssize_t got;

        if (!to)
            return err_set(err, ERR_NOMEM, "%s: out of memory", path);
        got = read(fd, to, want);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return failed(path, err);
        if (got == 0)
            return 0;
        if ((size_t)got > left)
            return err_set(err, ERR_LIMIT, "%s: larger than %zu bytes", path, max_bytes);
        out->n += (size_t)got;
    }
}

int file_read(const char *path, size_t max_bytes, struct buf *out, struct err *err)
{
    _cleanup_(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t start = out->n;
    bool failed_before = out->failed;
    int r;

    if (fd < 0)
        return failed(path, err);
    r = read_all(fd, path, max_bytes, out, err);
    if (r < 0) {
        out->n = start;
        out->failed = failed_before;
    }
    return r;
}

static int write_all(int fd, struct str bytes)
{
    while (bytes.n) {
        ssize_t n = write(fd, bytes.p, bytes.n);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        bytes = str_skip(bytes, (size_t)n);
    }
    return 0;
}

/* fchmod because the umask, or an older PATH.tmp, would otherwise decide who may read it; before the bytes, which may be secret. */
static int write_new(const char *path, struct str bytes, unsigned mode, struct err *err)
{
    _cleanup_(close_fd) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode & 0600);

    if (fd < 0 || fchmod(fd, mode) < 0 || write_all(fd, bytes) < 0 || fsync(fd) < 0)
        return failed(path, err);
    return 0;
}

/* A rename lasts only when its folder was synced. */
static int sync_folder_of(const char *path, struct err *err)
{
    size_t slash = str_rfind_char(str_of(path), '/');
    char folder[PATH_MAX] = ".";
    _cleanup_(close_fd) int fd = -1;

    if (slash != STR_NPOS)
        (void)snprintf(folder, sizeof folder, "%.*s", (int)MAX(slash, 1), path); /* shorter than PATH.tmp, which fitted */
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) < 0)
        return failed(folder, err);
    return 0;
}

int file_write_atomic(const char *path, struct str bytes, unsigned mode, struct err *err)
{
    char temporary[PATH_MAX];
    int r;

    if ((size_t)snprintf(temporary, sizeof temporary, "%s.tmp", path) >= sizeof temporary)
        return err_set(err, ERR_INVALID, "%.64s...: the path is longer than %zu bytes", path, sizeof temporary - 5);
    r = write_new(temporary, bytes, mode, err);
    if (r == 0 && rename(temporary, path) < 0)
        r = failed(path, err);
    if (r < 0) {
        (void)unlink(temporary); /* nothing better to do with it; the first failure is the one to tell */
        return r;
    }
    return sync_folder_of(path, err);
}

int file_read_u64(const char *path, uint64_t *ret)
{
    _cleanup_(buf_fini) struct buf text = { 0 };
    int r = file_read(path, 64, &text, /* err= */ NULL);

    return r < 0 ? r : str_to_u64(str_trim(buf_str(&text)), ret);
}

DIR *file_open_dir(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);

    if (!d && fd >= 0)
        close(fd);
    return d;
}
