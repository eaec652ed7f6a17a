/* fetch/hub_cache.c -- paths, refs, locks and links */
#include "fetch/hub_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/random.h"

#define DEPTH_MAX   8     /* folders in a snapshot that are looked into */
#define ENTRIES_MAX 20000 /* entries of a snapshot that are looked at */
#define COPY_PART   65536 /* bytes */
#define LOCK_LOOK   50000 /* microseconds between two looks at a lock: flock has no wait that *cancel could end */

/* ---- paths ---- */

_printf_(3, 4) static int path_to(char out[PATH_MAX], struct err *err, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(out, PATH_MAX, fmt, ap);
    va_end(ap);
    if (n < 0 || n >= PATH_MAX)
        return err_set(err, ERR_LIMIT, "%.100s...: the path is longer than %d bytes", out, PATH_MAX - 1);
    return 0;
}

static int failed(const char *path, struct err *err)
{
    int number = errno;

    return err_set(err, ERR_IO, "%s: %s (HF_HUB_CACHE names another folder for the cache)", path, strerrordesc_np(number));
}

int hub_cache_init(struct hub_cache *c, const struct hub_config *config, struct str id, struct err *err)
{
    struct str org, name;
    bool has_org = str_split(id, '/', &org, &name);
    char folder[2 * 128];

    (void)snprintf(folder, sizeof folder, "models--%.*s%s%.*s", STR_FMT(org), has_org ? "--" : "",
                   STR_FMT(name)); /* an id has at most 96 bytes */
    c->copies = config->copies;
    if (path_to(c->folder, err, "%s/%s", config->cache, folder) < 0 ||
        path_to(c->locks, err, "%s/.locks/%s", config->cache, folder) < 0)
        return ERR_LIMIT;
    return 0;
}

int hub_cache_path(const struct hub_cache *c, const char *commit, struct str name, char ret[PATH_MAX], struct err *err)
{
    return path_to(ret, err, "%s/snapshots/%s/%.*s", c->folder, commit, STR_FMT(name));
}

int hub_cache_blob(const struct hub_cache *c, struct str etag, const char *end, char ret[PATH_MAX], struct err *err)
{
    return path_to(ret, err, "%s/blobs/%.*s%s", c->folder, STR_FMT(etag), end);
}

/* For temporary names: two machines may write to one cache at a time. */
static uint32_t chance(void)
{
    uint32_t v;

    random_bytes(&v, sizeof v);
    return v;
}

/* All folders above the last '/' of PATH. */
static int make_folders_of(const char *path, struct err *err)
{
    char folder[PATH_MAX];

    (void)snprintf(folder, sizeof folder, "%s", path);
    for (char *slash = strchr(folder + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        if (mkdir(folder, 0777) < 0 && errno != EEXIST)
            return failed(folder, err);
        *slash = '/';
    }
    return 0;
}

static bool is_file(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* ---- what is there ---- */

bool hub_cache_commit(const struct hub_cache *c, struct str revision, char ret[HUB_COMMIT_MAX])
{
    struct buf text = { 0 };
    struct str commit = revision;
    char path[PATH_MAX];

    if (!hub_is_commit(revision)) {
        if (path_to(path, NULL, "%s/refs/%.*s", c->folder, STR_FMT(revision)) < 0 ||
            file_read(path, HUB_COMMIT_MAX + 1, &text, NULL) < 0)
            return false;
        commit = str_trim(buf_str(&text));
    }
    if (hub_is_commit(commit)) {
        memcpy(ret, commit.p, commit.n);
        ret[commit.n] = 0;
    } else {
        ret[0] = 0;
    }
    buf_fini(&text);
    return ret[0] != 0;
}

bool hub_cache_has(const struct hub_cache *c, const char *commit, struct str name)
{
    char path[PATH_MAX];

    return hub_cache_path(c, commit, name, path, NULL) == 0 && is_file(path);
}

bool hub_cache_lacks(const struct hub_cache *c, const char *commit, struct str name)
{
    char path[PATH_MAX];

    return path_to(path, NULL, "%s/.no_exist/%s/%.*s", c->folder, commit, STR_FMT(name)) == 0 && is_file(path);
}

void hub_cache_note_lack(const struct hub_cache *c, const char *commit, struct str name)
{
    char path[PATH_MAX];
    int fd;

    if (path_to(path, NULL, "%s/.no_exist/%s/%.*s", c->folder, commit, STR_FMT(name)) < 0 || is_file(path) ||
        make_folders_of(path, NULL) < 0)
        return;
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (fd >= 0)
        close(fd);
}

/* A walk over a snapshot. */
struct walk {
    const struct hub_cache *cache;
    const char *commit;
    struct arena *arena;
    struct hub_list *list;
    unsigned entries;
};

static int walk_folder(struct walk *w, struct str below, unsigned depth, struct err *err);

static int walk_entry(struct walk *w, struct str name, unsigned depth, struct err *err)
{
    char path[PATH_MAX];
    struct stat st;

    if (++w->entries > ENTRIES_MAX)
        return err_set(err, ERR_LIMIT, "the snapshot %s has more than %d entries", w->commit, ENTRIES_MAX);
    if (!hub_name_is_safe(name) || hub_cache_path(w->cache, w->commit, name, path, NULL) < 0 || stat(path, &st) < 0)
        return 0;
    if (S_ISDIR(st.st_mode))
        return depth < DEPTH_MAX ? walk_folder(w, name, depth + 1, err) : 0;
    if (!S_ISREG(st.st_mode) || hub_want_of(name) == HUB_UNWANTED)
        return 0;
    if (w->list->n == HUB_FILES_MAX)
        return err_set(err, ERR_LIMIT, "the snapshot %s has more than %u tokenizer files", w->commit, HUB_FILES_MAX);
    w->list->names[w->list->n++] = name;
    return 0;
}

static int walk_folder(struct walk *w, struct str below, unsigned depth, struct err *err)
{
    char path[PATH_MAX];
    struct dirent *e;
    DIR *d;
    int st = 0;

    if (hub_cache_path(w->cache, w->commit, below, path, NULL) < 0 || (d = file_open_dir(path)) == NULL)
        return 0; /* no snapshot, or one that we may not see */
    while (st == 0 && (e = readdir(d)) != NULL) {
        struct str name;

        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        name = arena_printf(w->arena, "%.*s%s%s", STR_FMT(below), below.n ? "/" : "", e->d_name);
        st = name.p ? walk_entry(w, name, depth, err) : err_set(err, ERR_NOMEM, "out of memory");
    }
    closedir(d);
    return st;
}

int hub_cache_list(const struct hub_cache *c, const char *commit, struct arena *arena, struct hub_list *ret, struct err *err)
{
    struct hub_list l = { .names = arena_array(arena, HUB_FILES_MAX, sizeof(struct str)) };
    struct walk w = { c, commit, arena, &l, 0 };
    int st;

    if (!l.names)
        return err_set(err, ERR_NOMEM, "out of memory");
    (void)snprintf(l.commit, sizeof l.commit, "%s", commit);
    st = walk_folder(&w, STR(""), 0, err);
    if (st == 0)
        *ret = l;
    return st;
}

/* ---- locks ---- */

/* filelock of some versions removes the file when it lets go: then a lock on the removed one is worth nothing. */
static bool is_still_there(int fd, const char *path)
{
    struct stat ours, named;

    return fstat(fd, &ours) == 0 && stat(path, &named) == 0 && ours.st_dev == named.st_dev && ours.st_ino == named.st_ino;
}

/* 1 = got it (*FD), 0 = somebody has it, or ERR_IO. A file system without locks gives 1 and *FD = -1. */
static int try_lock(const char *path, int *fd, struct err *err)
{
    int f = open(path, O_RDWR | O_CREAT | O_CLOEXEC,
                 0664); /* 0664: whoever shares the cache by its group can wait, as in huggingface_hub */

    if (f < 0)
        return failed(path, err);
    if (flock(f, LOCK_EX | LOCK_NB) == 0) {
        if (is_still_there(f, path)) {
            *fd = f;
            return 1;
        }
    } else if (errno != EWOULDBLOCK && errno != EINTR) {
        close(f);
        *fd = -1;
        return 1;
    }
    close(f);
    return 0;
}

int hub_cache_lock(const struct hub_cache *c, const struct hub_config *config, struct str etag, const _Atomic bool *cancel,
                   struct hub_progress *progress, struct hub_lock *ret, struct err *err)
{
    uint64_t until = clock_now_us() + (uint64_t)config->lock_s * 1000000;
    char path[PATH_MAX], blob[PATH_MAX];
    int st, fd = -1;

    if (path_to(path, err, "%s/%.*s.lock", c->locks, STR_FMT(etag)) < 0 || hub_cache_blob(c, etag, "", blob, err) < 0)
        return ERR_LIMIT;
    if (make_folders_of(path, err) < 0 || make_folders_of(blob, err) < 0)
        return ERR_IO;
    while ((st = try_lock(path, &fd, err)) == 0) {
        if (cancel && atomic_load_explicit(cancel, memory_order_relaxed))
            return err_set(err, ERR_CANCELLED, "cancelled");
        if (clock_now_us() >= until)
            return err_set(err, ERR_BUSY, "%s: another process has held the lock for %u seconds; end it, or wait for its download",
                           path, config->lock_s);
        atomic_store_explicit(&progress->phase, HUB_WAITING, memory_order_relaxed);
        usleep(LOCK_LOOK);
    }
    if (st < 0)
        return st;
    ret->fd = fd;
    return 0;
}

void hub_cache_unlock(struct hub_lock *l)
{
    if (l->fd >= 0)
        close(l->fd); /* the last descriptor of its open file: that ends the flock */
    l->fd = -1;
}

/* ---- links and refs ---- */

static int copy_bytes(int from, int to)
{
    char part[COPY_PART];
    ssize_t got;

    while ((got = read(from, part, sizeof part)) != 0) {
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        for (ssize_t at = 0, n; at < got; at += n) {
            n = write(to, part + at, (size_t)(got - at));
            if (n < 0 && errno != EINTR)
                return -1;
            n = MAX(n, 0);
        }
    }
    return 0;
}

static int copy_file(const char *from, const char *to, struct err *err)
{
    char temporary[PATH_MAX];
    int in, out, st = path_to(temporary, err, "%s.%08x.tmp", to, chance());

    if (st < 0)
        return st;
    in = open(from, O_RDONLY | O_CLOEXEC);
    out = in < 0 ? -1 : open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (in < 0 || out < 0 || copy_bytes(in, out) < 0 || fdatasync(out) < 0 || rename(temporary, to) < 0)
        st = failed(in < 0 ? from : to, err);
    if (out >= 0)
        close(out);
    if (in >= 0)
        close(in);
    if (st < 0 && out >= 0)
        (void)unlink(temporary); /* the first failure is the one to tell */
    return st;
}

/* "../../blobs/ETAG", with one "../" more for each folder in the file's name. */
static int link_target(char out[PATH_MAX], struct str name, struct str etag, struct err *err)
{
    char up[3 * 16 + 1] = ""; /* hub_name_is_safe allows 16 parts */
    size_t n = 0;

    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] == '/' && n + 3 < sizeof up) {
            memcpy(up + n, "../", 4);
            n += 3;
        }
    }
    return path_to(out, err, "../../%sblobs/%.*s", up, STR_FMT(etag));
}

int hub_cache_link(const struct hub_cache *c, const char *commit, struct str name, struct str etag, struct err *err)
{
    char path[PATH_MAX], blob[PATH_MAX], target[PATH_MAX];

    if (hub_cache_path(c, commit, name, path, err) < 0 || hub_cache_blob(c, etag, "", blob, err) < 0 ||
        link_target(target, name, etag, err) < 0)
        return ERR_LIMIT;
    if (is_file(path))
        return 0;
    if (make_folders_of(path, err) < 0)
        return ERR_IO;
    (void)unlink(path); /* a link whose blob is gone */
    if (!c->copies && (symlink(target, path) == 0 || (errno == EEXIST && is_file(path))))
        return 0;
    return copy_file(blob, path, err);
}

int hub_cache_write_ref(const struct hub_cache *c, struct str revision, const char *commit, struct err *err)
{
    char known[HUB_COMMIT_MAX], path[PATH_MAX], temporary[PATH_MAX];
    int st;

    if (hub_is_commit(revision) || (hub_cache_commit(c, revision, known) && strcmp(known, commit) == 0))
        return 0;
    st = path_to(path, err, "%s/refs/%.*s", c->folder, STR_FMT(revision));
    if (st == 0)
        st = path_to(temporary, err, "%s.%08x", path, chance());
    if (st == 0)
        st = make_folders_of(path, err);
    if (st == 0)
        st = file_write_atomic(temporary, str_of(commit), 0644, err);
    if (st == 0 && rename(temporary, path) < 0) {
        st = failed(path, err);
        (void)unlink(temporary);
    }
    return st;
}
