/* fetch/hub_file.c -- from a name to a blob
 *
 *   hub_file_fetch: lock --the blob is there--> done
 *                     \--not--> download --whole--> check --fits--> rename --> done
 *                                  ^  |                |
 *                                  |  +- broken off ---+-- damaged, the first time: the part is removed
 *                                  +--- continued -----+
 *
 * The part is called ETAG.incomplete, so a part never belongs to another version of its file; where the answer comes from the hub itself, If-Range says the same to the server.
 * Without a lock (some file systems have none) the part has a name of its own and is not continued.
 */
#include "fetch/hub_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fetch/hub_digest.h"

#define ASK_MS      60000      /* the whole of a question about a file */
#define HEADWAY     (1u << 20) /* bytes after which a connection that broke counts as one that worked */
#define EXPIRED_MAX 2u         /* how often an address may have expired */

static void say(struct hub_http *h, enum hub_phase phase)
{
    atomic_store_explicit(&h->progress->phase, phase, memory_order_relaxed);
}

/* ---- what is it? ---- */

static int set_url(struct hub_http *h, struct str id, struct str revision, struct str name, struct buf *url)
{
    buf_printf(url, "%s/", h->config->endpoint);
    hub_http_escape(url, id, true);
    buf_puts(url, "/resolve/");
    hub_http_escape(url, revision, false);
    buf_put_char(url, '/');
    hub_http_escape(url, name, true);
    buf_put_char(url, 0);
    return url->failed || url->n > HUB_URL_MAX ? ERR_NOMEM : 0;
}

static bool is_answer(const struct hub_head *head)
{
    return head->elsewhere || head->status == 200 || head->status == 206 ||
           head->status == 416; /* 416: a file of no bytes has no first one */
}

static void take_size(const struct hub_head *head, struct hub_file *f)
{
    if (head->has_linked_size) {
        f->has_size = true;
        f->size = head->linked_size;
    } else if (!head->elsewhere && (head->status == 206 || head->status == 416)) {
        f->has_size = head->has_total;
        f->size = head->total;
    } else if (!head->elsewhere && head->status == 200) {
        f->has_size = head->has_length;
        f->size = head->length;
    }
}

static int check_answer(struct hub_http *h, const struct hub_head *head, struct str id, struct err *err)
{
    if (!is_answer(head))
        return hub_http_refusal(h, head, id, err);
    if (!head->etag[0] && !head->linked_etag[0])
        return err_set(
            err, ERR_PROTOCOL,
            "the answer has no ETag that could name a file: HF_ENDPOINT (%.160s) is no hub, or a proxy changed its answer",
            h->config->endpoint);
    return 0;
}

int hub_file_ask(struct hub_http *h, struct str id, struct str revision, struct str name, struct arena *arena, struct hub_file *ret,
                 struct err *err)
{
    struct hub_file f = { .name = name };
    struct buf url = { 0 };
    struct hub_head head, there;
    int st = set_url(h, id, revision, name, &url);
    struct hub_request r = { .url = url.p, .range = HUB_FIRST_BYTE, .hub_only = true, .total_ms = ASK_MS };

    st = st < 0 ? err_set(err, ERR_NOMEM, "out of memory") : hub_http_get_patiently(h, &r, h->config->attempts, &head, err);
    if (st == 0)
        st = check_answer(h, &head, id, err);
    if (st == 0)
        take_size(&head, &f);
    if (st == 0 && !f.has_size && head.elsewhere) {
        r.url = head.url;
        r.hub_only = false;
        st = hub_http_get_patiently(h, &r, h->config->attempts, &there, err);
        if (st == 0 && !is_answer(&there))
            st = hub_http_refusal(h, &there, id, err);
        if (st == 0)
            take_size(&there, &f);
    }
    buf_fini(&url);
    if (st < 0)
        return st;
    if (f.has_size && f.size > h->config->file_bytes_max)
        return err_set(err, ERR_LIMIT, "it has %llu bytes; at most %llu are fetched", (unsigned long long)f.size,
                       (unsigned long long)h->config->file_bytes_max);
    (void)snprintf(f.etag, sizeof f.etag, "%s", head.linked_etag[0] ? head.linked_etag : head.etag);
    (void)snprintf(f.commit, sizeof f.commit, "%s", head.commit);
    f.url = arena_str(arena, str_of(head.url));
    if (!f.url.p)
        return err_set(err, ERR_NOMEM, "out of memory");
    *ret = f;
    return 0;
}

/* ---- its bytes ---- */

struct download {
    struct hub_http *h;
    struct hub_file *f;
    const char *path; /* of the part */
    int fd;           /* owned by download() */
    uint64_t at;      /* bytes in the part */
    uint64_t before;  /* progress.bytes_done without this file */
    bool begun;       /* the body of the running request has begun */
    bool damaged;     /* what came cannot be the file: worth one more look from the start */
};

static void tell(const struct download *d)
{
    atomic_store_explicit(&d->h->progress->bytes_done, d->before + d->at, memory_order_relaxed);
}

static int disk_failed(const struct download *d, struct err *err)
{
    int number = errno;

    return err_set(err, ERR_IO, "%s: %s", d->path, strerrordesc_np(number));
}

_printf_(3, 4) static int damaged(struct download *d, struct err *err, const char *fmt, ...)
{
    char text[256];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    d->damaged = true;
    return err_set(err, ERR_PROTOCOL, "%s", text);
}

static int cut(struct download *d, struct err *err)
{
    if (ftruncate(d->fd, 0) < 0)
        return disk_failed(d, err);
    d->at = 0;
    tell(d);
    return 0;
}

/* The head of a body: does it continue the part, or begin anew? */
static int begin(struct download *d, const struct hub_head *head, struct err *err)
{
    const char *etag = head->linked_etag[0] ? head->linked_etag : head->etag;

    d->begun = true;
    if (strcmp(head->url, d->f->url.p) == 0 && hub_http_is_ours(d->h, head->url) && etag[0] && strcmp(etag, d->f->etag) != 0)
        return damaged(d, err, "it changed while it was fetched (%.64s became %.64s)", d->f->etag, etag);
    if (head->status == 206 && (!head->has_range || head->range_from != d->at))
        return damaged(d, err, "the answer is another range than the one asked for");
    return head->status == 206 ? 0 : cut(d, err);
}

static int on_part(void *arg, const struct hub_head *head, struct str bytes, struct err *err)
{
    struct download *d = arg;
    uint64_t max = d->f->has_size ? d->f->size : d->h->config->file_bytes_max;
    int st = d->begun ? 0 : begin(d, head, err);

    if (st == 0 && bytes.n > max - MIN(max, d->at))
        return d->f->has_size
                   ? damaged(d, err, "more bytes came than the %llu that it has", (unsigned long long)max)
                   : err_set(err, ERR_LIMIT, "it has more than %llu bytes; no more are fetched", (unsigned long long)max);
    while (st == 0 && bytes.n) {
        ssize_t n = pwrite(d->fd, bytes.p, bytes.n, (off_t)d->at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return disk_failed(d, err);
        d->at += (uint64_t)n;
        bytes = str_skip(bytes, (size_t)n);
    }
    tell(d);
    return st;
}

/* One request for what is missing. 0 = *HEAD is an answer, maybe a refusal; ERR_RESET when it fell short. */
static int ask_for_rest(struct download *d, struct hub_head *head, struct err *err)
{
    struct hub_request r = { .url = d->f->url.p,
                             .range = d->at ? HUB_FROM : HUB_WHOLE,
                             .from = d->at,
                             .if_range = d->f->etag,
                             .max_bytes = d->h->config->file_bytes_max,
                             .part = on_part,
                             .arg = d };
    int st;

    say(d->h, HUB_DOWNLOADING);
    d->begun = false;
    st = hub_http_get(d->h, &r, head, err);
    if (st == 0 && head->status == 416)
        return cut(d, err) < 0 ? ERR_IO : err_set(err, ERR_RESET, "the part that was there is longer than the file");
    if (st == 0 && (head->status == 200 || head->status == 206) && d->f->has_size && d->at < d->f->size)
        return err_set(err, ERR_RESET, "%llu of %llu bytes came", (unsigned long long)d->at, (unsigned long long)d->f->size);
    return st;
}

/* The address was a signed one, and is no longer good. */
static int renew(struct download *d, struct str id, struct str revision, struct arena *arena, struct err *err)
{
    struct hub_file f;
    int st = hub_file_ask(d->h, id, revision, d->f->name, arena, &f, err);

    if (st == 0 && strcmp(f.etag, d->f->etag) != 0)
        return err_set(err, ERR_PROTOCOL, "it changed while it was fetched (%.64s became %.64s)", d->f->etag, f.etag);
    if (st == 0)
        d->f->url = f.url;
    return st;
}

static int transfer(struct download *d, struct str id, struct str revision, struct arena *arena, struct err *err)
{
    unsigned attempt = 1, expired = 0;

    while (!d->f->has_size || d->at < d->f->size) {
        uint64_t from = d->at;
        struct hub_head head;
        int st = ask_for_rest(d, &head, err);

        if (st == 0 && (head.status == 200 || head.status == 206))
            return d->begun || d->at == 0 ? 0 : cut(d, err); /* a whole file of no bytes: what was there is none of it */
        if (st == 0 && (head.status == 403 || head.status == 410) && !hub_http_is_ours(d->h, d->f->url.p) &&
            expired++ < EXPIRED_MAX) {
            st = renew(d, id, revision, arena, err);
            if (st < 0)
                return st;
            continue;
        }
        if (d->at > from && d->at - from >= HEADWAY)
            attempt = 1;
        if (!hub_http_is_passing(st, head.status) || attempt >= d->h->config->attempts)
            return st < 0 ? st : hub_http_refusal(d->h, &head, id, err);
        st = hub_http_pause(d->h, attempt++, st == 0 ? head.retry_after_s : 0, err);
        if (st < 0)
            return st;
    }
    return 0;
}

static int open_part(struct download *d, bool locked, struct err *err)
{
    struct stat st;

    d->fd = open(d->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | (locked ? 0 : O_EXCL), 0666);
    if (d->fd < 0 || fstat(d->fd, &st) < 0)
        return disk_failed(d, err);
    d->at = (uint64_t)st.st_size;
    tell(d);
    if (d->at > (d->f->has_size ? d->f->size : 0)) /* longer than the file, or of a file whose size nobody tells */
        return cut(d, err);
    return 0;
}

/* The part becomes whole and is checked; twice when it was damaged. On failure a damaged part is gone, a good one stays for the next attempt when it has a name that others find. */
static int download(struct download *d, struct str id, struct str revision, struct arena *arena, bool locked, const char *blob,
                    struct err *err)
{
    int st = open_part(d, locked, err);

    for (unsigned times = 1; st == 0; times++) {
        d->damaged = false;
        st = transfer(d, id, revision, arena, err);
        if (st == 0) {
            say(d->h, HUB_CHECKING);
            st = hub_digest_check(d->fd, d->at, str_of(d->f->etag), err);
            d->damaged = st == ERR_PROTOCOL;
        }
        if (!d->damaged)
            break;
        if (times == 2 || cut(d, NULL) < 0) {
            (void)err_wrap(err, st, "fetched %s", times == 2 ? "twice" : "once");
            break;
        }
        st = 0;
    }
    if (st == 0 && (fdatasync(d->fd) < 0 || rename(d->path, blob) < 0))
        st = disk_failed(d, err);
    if (d->fd >= 0)
        close(d->fd);
    if (st < 0 && d->fd >= 0 && (!locked || d->damaged || d->at == 0))
        (void)unlink(d->path); /* the first failure is the one to tell */
    return st;
}

static bool is_whole(const char *blob, const struct hub_file *f)
{
    struct stat st;

    return stat(blob, &st) == 0 && S_ISREG(st.st_mode) && (!f->has_size || (uint64_t)st.st_size == f->size);
}

int hub_file_fetch(struct hub_http *h, const struct hub_cache *cache, struct str id, struct str revision, struct arena *arena,
                   struct hub_file *f, struct err *err)
{
    struct download d = {
        .h = h, .f = f, .fd = -1, .before = atomic_load_explicit(&h->progress->bytes_done, memory_order_relaxed)
    };
    char blob[PATH_MAX], part[PATH_MAX], end[32] = ".incomplete";
    struct hub_lock lock = { -1 };
    int st = hub_cache_lock(cache, h->config, str_of(f->etag), h->cancel, h->progress, &lock, err);

    if (st == 0 && lock.fd < 0)
        (void)snprintf(end, sizeof end, ".%08x.incomplete", (unsigned)random_u64(&h->random));
    if (st == 0)
        st = hub_cache_blob(cache, str_of(f->etag), "", blob, err);
    if (st == 0)
        st = hub_cache_blob(cache, str_of(f->etag), end, part, err);
    if (st == 0 && is_whole(blob, f)) {
        d.at = f->has_size ? f->size : 0;
    } else if (st == 0) {
        d.path = part;
        st = download(&d, id, revision, arena, lock.fd >= 0, blob, err);
    }
    hub_cache_unlock(&lock);
    if (st < 0)
        d.at = 0;
    tell(&d);
    return st;
}
