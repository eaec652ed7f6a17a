/* fetch/fetch.c -- documents by libcurl's multi interface on a loop of ours
 *
 *   (new) --fetch_start--> RUNNING --on_poll, on_timer: libcurl says done--> DONE (finish: done(), freed at the end of the turn)
 *                             \-----fetch_cancel, fetcher_free--> DONE (silent)
 *
 * libcurl asks for sockets to be watched (on_socket) and for one timer (on_timeout); what happens to them goes back by multi_socket_action. All deadlines are libcurl's own.
 * It never runs inside its own callbacks: on_timeout only arms our timer, so fetch_start never calls back.
 * Invariants: (1) an easy handle is in the multi handle exactly while its fetch is in f->running. (2) a uv_poll_t is closed before libcurl closes its socket: on_socket hears
 * CURL_POLL_REMOVE first.
 */
#include "fetch/fetch.h"

#include <assert.h>
#include <stdlib.h>

#include "base/url.h"
#include "fetch/curl.h"

#define URL_SHOWN 200 /* bytes of a URL in a message */

/* One transfer as libcurl needs it: shared by both ways of running it. */
struct transfer {
    const struct curl_library *curl;
    CURL *easy;                /* owned */
    struct curl_slist *fields; /* owned */
    char *url, *ca_file;       /* owned */
    uint64_t max_bytes;
    uint64_t refused_bytes; /* what the body came to when it was refused; 0 = it was not */
    struct buf body;        /* owned */
    char reason[CURL_ERROR_SIZE];
};

struct fetch {
    struct transfer t;
    struct fetcher *fetcher;
    fetch_done *done;
    void *owner;
    struct list link; /* fetcher.running */
    struct deferred free_later;
};

struct fetcher {
    struct loop *loop;
    const struct curl_library *curl; /* NULL until the first fetch */
    CURLM *multi;                    /* owned; NULL until the first fetch */
    struct list running;             // fetch.link
    unsigned running_n;
    struct timer timer;
    bool closing;
    struct deferred free_later;
};

/* The watch over one of libcurl's sockets. */
struct watch {
    uv_poll_t poll;
    struct fetcher *fetcher;
    curl_socket_t socket;
};

static int on_socket(CURL *easy, curl_socket_t socket, int what, void *arg, void *of_socket);
static int on_timeout(CURLM *multi, long ms, void *arg);
static void on_poll(uv_poll_t *poll, int status, int events);
static void on_timer(struct timer *t);
static void finish(struct fetch *x, CURLcode code);

/* ---- a transfer ---- */

static void transfer_fini(struct transfer *t)
{
    if (t->easy)
        t->curl->easy_cleanup(t->easy);
    if (t->fields)
        t->curl->slist_free_all(t->fields);
    free(t->url);
    free(t->ca_file);
    buf_fini(&t->body);
}

/* Returning fewer bytes than given ends the transfer. */
static size_t on_bytes(char *p, size_t one, size_t n, void *arg)
{
    struct transfer *t = arg;

    (void)one;
    if (n > t->max_bytes - t->body.n) {
        t->refused_bytes = t->body.n + n;
        return 0;
    }
    buf_put(&t->body, (struct str){ p, n });
    return t->body.failed ? 0 : n;
}

/* The same for a header line: a body that announces too much is not begun. */
static size_t on_header(char *p, size_t one, size_t n, void *arg)
{
    struct transfer *t = arg;
    struct str name, value;
    uint64_t length;

    (void)one;
    if (!str_split((struct str){ p, n }, ':', &name, &value) || !str_eq_nocase(name, STR("content-length")) ||
        str_to_u64(str_trim(value), &length) < 0 || length <= t->max_bytes)
        return n;
    t->refused_bytes = length;
    return 0;
}

static int add_fields(struct transfer *t, const struct fetch_request *r)
{
    struct buf line = { 0 };
    struct curl_slist *list;

    if (r->accept.n == 0)
        return 0;
    buf_puts(&line, "Accept: ");
    buf_put(&line, r->accept);
    buf_put_char(&line, 0);
    list = line.failed ? NULL : t->curl->slist_append(t->fields, line.p);
    buf_fini(&line);
    if (!list)
        return ERR_NOMEM;
    t->fields = list;
    return 0;
}

static int set_options(struct transfer *t, const struct fetch_request *r, const struct url *u)
{
    const struct curl_library *c = t->curl;
    CURL *e = t->easy;
    const char *proxy = curl_shouted_proxy(u);
    bool failed = false;

#define SET(option, value) failed |= c->easy_setopt(e, (option), (value)) != CURLE_OK
    SET(CURLOPT_URL, t->url);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
    SET(CURLOPT_REDIR_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
    SET(CURLOPT_FOLLOWLOCATION, r->redirects_max ? 1L : 0L);
    SET(CURLOPT_MAXREDIRS, (long)r->redirects_max);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_USERAGENT, "smg");
    SET(CURLOPT_HTTPHEADER, t->fields);
    SET(CURLOPT_TIMEOUT_MS, (long)r->total_ms);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)(r->connect_ms ? r->connect_ms : r->total_ms));
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, t);
    SET(CURLOPT_FORBID_REUSE, 1L);
    SET(CURLOPT_WRITEFUNCTION, on_bytes);
    SET(CURLOPT_WRITEDATA, t);
    SET(CURLOPT_ERRORBUFFER, t->reason);
    if (t->ca_file)
        SET(CURLOPT_CAINFO, t->ca_file);
    if (proxy)
        SET(CURLOPT_PROXY, proxy);
#undef SET
    return failed ? ERR_NOMEM : 0;
}

/* On failure *T is to be finished all the same. */
static int transfer_init(struct transfer *t, const struct curl_library *curl, const struct fetch_request *r, struct err *err)
{
    struct url u;
    int st = url_parse(r->url, &u, err);

    *t = (struct transfer){ .curl = curl, .max_bytes = r->max_bytes };
    if (st < 0)
        return err_wrap(err, ERR_INVALID, "\"%.*s\" is no URL", STR_FMT(str_first(r->url, URL_SHOWN)));
    if (!str_eq(u.scheme, STR("http")) && !str_eq(u.scheme, STR("https")))
        return err_set(err, ERR_INVALID, "%.*s: only http:// and https:// can be fetched", STR_FMT(str_first(r->url, URL_SHOWN)));
    t->url = str_dup(r->url);
    t->ca_file = r->ca_file.n ? str_dup(r->ca_file) : NULL;
    t->easy = t->url && (t->ca_file || !r->ca_file.n) ? curl->easy_init() : NULL;
    if (!t->easy || add_fields(t, r) < 0 || set_options(t, r, &u) < 0)
        return err_set(err, ERR_NOMEM, "out of memory");
    return 0;
}

/* 0, or what went wrong in words. */
static int transfer_result(struct transfer *t, CURLcode code, struct err *err)
{
    int st;

    if (code == CURLE_OK)
        return 0;
    if (t->body.failed)
        return err_set(err, ERR_NOMEM, "out of memory");
    if (t->refused_bytes)
        st = err_set(err, ERR_LIMIT, "Response too large: %llu bytes (max: %llu)", (unsigned long long)t->refused_bytes,
                     (unsigned long long)t->max_bytes);
    else
        st = err_set(err, curl_status(code), "%s", t->reason[0] ? t->reason : t->curl->easy_strerror(code));
    return err_wrap(err, st, "GET %.*s", STR_FMT(str_first(str_of(t->url), URL_SHOWN)));
}

static unsigned transfer_status(struct transfer *t)
{
    long status = 0;

    (void)t->curl->easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status); /* stays 0 where there was none */
    return status > 0 ? (unsigned)status : 0;
}

/* ---- blocking ---- */

int fetch_now(const struct fetch_request *r, struct buf *ret_body, unsigned *ret_status, struct err *err)
{
    const struct curl_library *curl = curl_library(err);
    struct transfer t;
    int st;

    if (!curl)
        return ERR_UNSUPPORTED;
    st = transfer_init(&t, curl, r, err);
    if (st == 0)
        st = transfer_result(&t, curl->easy_perform(t.easy), err);
    if (st == 0) {
        buf_put(ret_body, buf_str(&t.body));
        st = ret_body->failed ? err_set(err, ERR_NOMEM, "out of memory") : 0;
    }
    if (st == 0)
        *ret_status = transfer_status(&t);
    transfer_fini(&t);
    return st;
}

/* ---- sockets and the timer ---- */

static void on_watch_closed(uv_handle_t *h)
{
    free(h->data);
}

static int on_socket(CURL *easy, curl_socket_t socket, int what, void *arg, void *of_socket)
{
    struct fetcher *f = arg;
    struct watch *w = of_socket;
    int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (w) {
            (void)f->curl->multi_assign(f->multi, socket, NULL); /* it knows the socket: it just named it */
            uv_close((uv_handle_t *)&w->poll, on_watch_closed);
        }
        return 0;
    }
    if (!w) {
        w = calloc(1, sizeof(*w));
        if (!w)
            return -1;
        if (uv_poll_init_socket(&f->loop->uv, &w->poll, socket) != 0) {
            free(w);
            return -1;
        }
        w->fetcher = f;
        w->socket = socket;
        w->poll.data = w;
        (void)f->curl->multi_assign(f->multi, socket, w);
    }
    return uv_poll_start(&w->poll, events, on_poll) == 0 ? 0 : -1;
}

static int on_timeout(CURLM *multi, long ms, void *arg)
{
    struct fetcher *f = arg;

    (void)multi;
    if (ms < 0)
        timer_stop(&f->timer);
    else
        timer_start(f->loop, &f->timer, (uint64_t)ms, on_timer);
    return 0;
}

/* What libcurl has finished since the last look. */
static void collect(struct fetcher *f)
{
    CURLMsg *m;
    int left;

    while (!f->closing && (m = f->curl->multi_info_read(f->multi, &left)) != NULL) {
        struct fetch *x;

        if (m->msg != CURLMSG_DONE)
            continue;
        LIST_EACH(x, &f->running, link)
        {
            if (x->t.easy == m->easy_handle) {
                finish(x, m->data.result);
                break;
            }
        }
    }
}

static void act(struct fetcher *f, curl_socket_t socket, int events)
{
    int running;

    (void)f->curl->multi_socket_action(f->multi, socket, events,
                                       &running); /* failures are the transfers': collect() hears of them */
    collect(f);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct watch *w = poll->data;
    int seen = status < 0 ? CURL_CSELECT_ERR
                          : (events & UV_READABLE ? CURL_CSELECT_IN : 0) | (events & UV_WRITABLE ? CURL_CSELECT_OUT : 0);

    loop_enter(w->fetcher->loop);
    act(w->fetcher, w->socket, seen);
}

static void on_timer(struct timer *t)
{
    act(CONTAINER_OF(t, struct fetcher, timer), CURL_SOCKET_TIMEOUT, 0);
}

/* ---- fetches ---- */

static void free_fetch(struct deferred *d)
{
    struct fetch *x = CONTAINER_OF(d, struct fetch, free_later);

    transfer_fini(&x->t);
    free(x);
}

/* Out of libcurl's hands; the memory goes at the end of the turn. */
static void detach(struct fetch *x)
{
    struct fetcher *f = x->fetcher;

    list_remove(&x->link);
    f->running_n--;
    (void)f->curl->multi_remove_handle(f->multi, x->t.easy);
    x->free_later.run = free_fetch;
    loop_defer(f->loop, &x->free_later);
}

static void finish(struct fetch *x, CURLcode code)
{
    struct err err = { 0 };
    int st = transfer_result(&x->t, code, &err);
    struct fetch_reply reply = { .status = transfer_status(&x->t), .body = buf_str(&x->t.body) };
    char *type = NULL;

    if (x->t.curl->easy_getinfo(x->t.easy, CURLINFO_CONTENT_TYPE, &type) == CURLE_OK && type)
        reply.content_type = str_of(type); /* lives as long as the handle */
    detach(x);
    x->done(x->owner, st, st == 0 ? &reply : NULL, st == 0 ? NULL : &err);
}

static int open_multi(struct fetcher *f, struct err *err)
{
    if (f->multi)
        return 0;
    f->curl = curl_library(err);
    if (!f->curl)
        return ERR_UNSUPPORTED;
    f->multi = f->curl->multi_init();
    if (!f->multi)
        return err_set(err, ERR_NOMEM, "out of memory");
    (void)f->curl->multi_setopt(f->multi, CURLMOPT_SOCKETFUNCTION, on_socket); /* these four cannot fail */
    (void)f->curl->multi_setopt(f->multi, CURLMOPT_SOCKETDATA, f);
    (void)f->curl->multi_setopt(f->multi, CURLMOPT_TIMERFUNCTION, on_timeout);
    (void)f->curl->multi_setopt(f->multi, CURLMOPT_TIMERDATA, f);
    return 0;
}

int fetch_start(struct fetcher *f, const struct fetch_request *r, fetch_done *done, void *owner, struct fetch **ret,
                struct err *err)
{
    struct fetch *x;
    int st;

    assert(loop_is_mine(f->loop));
    if (f->closing || f->running_n >= FETCHES_MAX)
        return err_set(err, ERR_BUSY, "%u fetches are running already", f->running_n);
    st = open_multi(f, err);
    if (st < 0)
        return st;
    x = calloc(1, sizeof(*x));
    if (!x)
        return err_set(err, ERR_NOMEM, "out of memory");
    st = transfer_init(&x->t, f->curl, r, err);
    if (st == 0 && f->curl->multi_add_handle(f->multi, x->t.easy) != CURLM_OK)
        st = err_set(err, ERR_NOMEM, "out of memory");
    if (st < 0) {
        transfer_fini(&x->t);
        free(x);
        return st;
    }
    x->fetcher = f;
    x->done = done;
    x->owner = owner;
    list_append(&f->running, &x->link);
    f->running_n++;
    *ret = x;
    return 0;
}

void fetch_cancel(struct fetch *x)
{
    assert(loop_is_mine(x->fetcher->loop));
    detach(x);
}

/* ---- the fetcher ---- */

int fetcher_new(struct loop *loop, struct fetcher **ret)
{
    struct fetcher *f = calloc(1, sizeof(*f));

    if (!f)
        return ERR_NOMEM;
    f->loop = loop;
    list_init(&f->running);
    *ret = f;
    return 0;
}

static void free_fetcher(struct deferred *d)
{
    struct fetcher *f = CONTAINER_OF(d, struct fetcher, free_later);

    if (f->multi)
        (void)f->curl->multi_cleanup(f->multi);
    timer_stop(&f->timer); /* again: cleaning up may have asked for it */
    free(f);
}

void fetcher_free(struct fetcher *f)
{
    struct fetch *x;

    if (!f)
        return;
    assert(loop_is_mine(f->loop));
    f->closing = true;
    timer_stop(&f->timer);
    LIST_EACH(x, &f->running, link)
    detach(x);
    f->free_later.run = free_fetcher;
    loop_defer(f->loop, &f->free_later);
}
