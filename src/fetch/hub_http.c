/* fetch/hub_http.c -- requests by libcurl's easy interface
 *
 *   hub_http_get: ask --3xx, Location on an origin that may be asked--> ask again (at most REDIRECTS_MAX times) --any other status--> done
 *
 * libcurl's callbacks run inside easy_perform, on this thread: on_head fills the head line by line, on_body hands on what belongs to a good answer, on_tick looks at *cancel.
 */
#include "fetch/hub_http.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define REDIRECTS_MAX 10
#define UNREAD_MAX    65536 /* bytes of a body of no interest that are read, to keep the connection */
#define PAUSE_LOOK    50000 /* microseconds between two looks at *cancel */
#define DOUBLINGS_MAX 4
#define URL_SHOWN     160

/* One reply under way. */
struct reply {
    struct hub_http *h;
    const struct hub_request *r;
    struct hub_head *head;
    struct err *err;
    bool from_hub; /* this reply is the endpoint's own */
    bool has_location;
    uint64_t read; /* bytes of the body */
    int failure;   /* why a callback ended it; 0 = it did not, or had enough (`enough`) */
    bool enough;
    char reason[CURL_ERROR_SIZE];
};

/* Without the query: it may be a signature that opens the file. */
static struct str shown(const char *url)
{
    struct str head, tail;

    (void)str_split(str_of(url), '?', &head, &tail);
    return str_first(head, URL_SHOWN);
}

static bool is_cancelled(const struct hub_http *h)
{
    return h->cancel && atomic_load_explicit(h->cancel, memory_order_relaxed);
}

/* ---- the head ---- */

/* An etag as a file's name: without W/ and quotes. Anything that is no plain name becomes "". */
static void take_etag(char out[HUB_ETAG_MAX], struct str v)
{
    if (str_has_prefix(v, STR("W/")))
        v = str_skip(v, 2);
    if (v.n >= 2 && v.p[0] == '"' && v.p[v.n - 1] == '"')
        v = (struct str){ v.p + 1, v.n - 2 };
    out[0] = 0;
    if (v.n == 0 || v.n >= HUB_ETAG_MAX || v.p[0] == '.')
        return;
    for (size_t i = 0; i < v.n; i++) {
        char c = v.p[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("-_.:+=~", c)) || c == 0)
            return;
    }
    memcpy(out, v.p, v.n);
    out[v.n] = 0;
}

static void take_word(char *out, size_t cap, struct str v)
{
    (void)snprintf(out, cap, "%.*s", v.n < cap ? (int)v.n : 0, v.p ? v.p : "");
}

/* "bytes 0-0/1234", "bytes 5-9/ *" (a total that is not known), "bytes * /1234" (with status 416; both without the blanks). */
static void take_range(struct hub_head *head, struct str v)
{
    struct str range, total, from, to;

    if (!str_has_prefix_nocase(v, STR("bytes ")) || !str_split(str_skip(v, 6), '/', &range, &total))
        return;
    head->has_total = str_to_u64(str_trim(total), &head->total) == 0;
    head->has_range = str_split(range, '-', &from, &to) && str_to_u64(str_trim(from), &head->range_from) == 0;
}

static void take_field(struct reply *x, struct str name, struct str v)
{
    struct hub_head *head = x->head;
    uint64_t n;

    if (str_eq_nocase(name, STR("etag")))
        take_etag(head->etag, v);
    else if (str_eq_nocase(name, STR("content-length")))
        head->has_length = str_to_u64(v, &head->length) == 0;
    else if (str_eq_nocase(name, STR("content-range")))
        take_range(head, v);
    else if (str_eq_nocase(name, STR("location")))
        x->has_location = true;
    else if (str_eq_nocase(name, STR("retry-after")) && str_to_u64(v, &n) == 0)
        head->retry_after_s = (uint32_t)MIN(n, UINT32_MAX);
    else if (str_eq_nocase(name, STR("x-error-code")))
        take_word(head->error_code, sizeof head->error_code, v);
    else if (!x->from_hub)
        return;
    else if (str_eq_nocase(name, STR("x-linked-etag")))
        take_etag(head->linked_etag, v);
    else if (str_eq_nocase(name, STR("x-linked-size")))
        head->has_linked_size = str_to_u64(v, &head->linked_size) == 0;
    else if (str_eq_nocase(name, STR("x-repo-commit")) && hub_is_commit(v))
        take_word(head->commit, sizeof head->commit, v);
}

/* A new reply begins (a redirect's, an interim one's): what belonged to the last one goes. */
static void begin_head(struct reply *x)
{
    struct hub_head *head = x->head;

    x->has_location = false;
    head->etag[0] = head->error_code[0] = 0;
    head->has_length = head->has_range = head->has_total = false;
    head->retry_after_s = 0;
}

static size_t on_head(char *p, size_t one, size_t n, void *arg)
{
    struct reply *x = arg;
    struct str name, value, line = { p, n };

    (void)one;
    if (str_has_prefix(line, STR("HTTP/")))
        begin_head(x);
    else if (str_split(line, ':', &name, &value))
        take_field(x, name, str_trim(value));
    return n;
}

static unsigned status_now(struct hub_http *h)
{
    long status = 0;

    (void)h->curl->easy_getinfo(h->easy, CURLINFO_RESPONSE_CODE, &status); /* stays 0 where there was none */
    return status > 0 ? (unsigned)status : 0;
}

/* Returning fewer bytes than given ends the transfer. */
static size_t on_body(char *p, size_t one, size_t n, void *arg)
{
    struct reply *x = arg;

    (void)one;
    x->head->status = status_now(x->h);
    x->read += n;
    if (!x->r->part || (x->head->status != 200 && x->head->status != 206)) {
        x->enough = x->read > UNREAD_MAX;
        return x->enough ? 0 : n;
    }
    if (x->read > x->r->max_bytes) {
        x->failure = err_set(x->err, ERR_LIMIT, "%.*s is larger than %llu bytes", STR_FMT(shown(x->head->url)),
                             (unsigned long long)x->r->max_bytes);
        return 0;
    }
    x->failure = x->r->part(x->r->arg, x->head, (struct str){ p, n }, x->err);
    return x->failure < 0 ? 0 : n;
}

/* libcurl calls it about once a second, and whenever bytes move. */
static int on_tick(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    struct reply *x = arg;

    (void)a, (void)b, (void)c, (void)d;
    if (!is_cancelled(x->h))
        return 0;
    x->failure = err_set(x->err, ERR_CANCELLED, "cancelled");
    return 1;
}

/* ---- asking ---- */

/* The endpoint's own origin: what may have the token. */
static bool is_ours(const struct hub_http *h, const struct url *u)
{
    return str_eq(u->scheme, h->origin.scheme) && str_eq_nocase(u->host, h->origin.host) && u->port == h->origin.port;
}

static bool add_field(const struct hub_http *h, struct curl_slist **fields, const char *name, const char *value, const char *end)
{
    struct buf line = { 0 };
    struct curl_slist *list;

    buf_printf(&line, "%s: %s%s", name, value, end);
    buf_put_char(&line, 0);
    list = line.failed ? NULL : h->curl->slist_append(*fields, line.p);
    if (line.p)
        explicit_bzero(line.p, line.n); /* it may have been the token */
    buf_fini(&line);
    if (list)
        *fields = list;
    return list != NULL;
}

static bool add_fields(const struct reply *x, struct curl_slist **fields)
{
    const struct hub_http *h = x->h;
    const struct hub_request *r = x->r;
    char quoted[HUB_ETAG_MAX + 2];

    (void)snprintf(quoted, sizeof quoted, "\"%s\"", r->if_range ? r->if_range : "");
    return add_field(h, fields, "Accept-Encoding", "identity", "") && /* sizes and hashes are those of the bytes themselves */
           (!r->accept || add_field(h, fields, "Accept", r->accept, "")) &&
           (!(x->from_hub && h->config->token) || add_field(h, fields, "Authorization", "Bearer ", h->config->token)) &&
           (!(x->from_hub && r->if_range && r->range == HUB_FROM) || add_field(h, fields, "If-Range", quoted, ""));
}

static int set_options(struct reply *x, const char *url, const struct url *u, struct curl_slist *fields)
{
    struct hub_http *h = x->h;
    const struct hub_config *config = h->config;
    const char *proxy = curl_shouted_proxy(u);
    char range[32] = "0-0";
    bool failed = false;

    if (x->r->range == HUB_FROM)
        (void)snprintf(range, sizeof range, "%llu-", (unsigned long long)x->r->from);
#define SET(option, value) failed |= h->curl->easy_setopt(h->easy, (option), (value)) != CURLE_OK
    SET(CURLOPT_URL, url);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_USERAGENT, "smg");
    SET(CURLOPT_HTTPHEADER, fields);
    SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)config->connect_ms);
    SET(CURLOPT_LOW_SPEED_LIMIT, 1L);
    SET(CURLOPT_LOW_SPEED_TIME, (long)config->stall_s);
    SET(CURLOPT_TIMEOUT_MS, (long)x->r->total_ms);
    SET(CURLOPT_HEADERFUNCTION, on_head);
    SET(CURLOPT_HEADERDATA, x);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, x);
    SET(CURLOPT_NOPROGRESS, 0L);
    SET(CURLOPT_XFERINFOFUNCTION, on_tick);
    SET(CURLOPT_XFERINFODATA, x);
    SET(CURLOPT_ERRORBUFFER, x->reason);
    if (x->r->range != HUB_WHOLE)
        SET(CURLOPT_RANGE, range);
    if (config->ca_file)
        SET(CURLOPT_CAINFO, config->ca_file);
    if (proxy)
        SET(CURLOPT_PROXY, proxy);
#undef SET
    return failed ? ERR_NOMEM : 0;
}

/* The reply to one request, redirects being replies. */
static int ask(struct reply *x, const char *url)
{
    struct hub_http *h = x->h;
    struct curl_slist *fields = NULL;
    struct url u;
    CURLcode code;
    int st = url_parse(str_of(url), &u, x->err);

    if (st < 0)
        return err_wrap(x->err, ERR_PROTOCOL, "\"%.*s\" is no URL", STR_FMT(shown(url)));
    x->from_hub = is_ours(h, &u);
    x->read = 0;
    x->reason[0] = 0;
    h->curl->easy_reset(h->easy);
    if (!add_fields(x, &fields) || set_options(x, url, &u, fields) < 0) {
        h->curl->slist_free_all(fields);
        return err_set(x->err, ERR_NOMEM, "out of memory");
    }
    code = h->curl->easy_perform(h->easy);
    h->curl->slist_free_all(fields);
    x->head->status = status_now(h);
    if (x->failure < 0)
        return x->failure;
    if (code == CURLE_OK || x->enough)
        return 0;
    st = err_set(x->err, curl_status(code), "%s", x->reason[0] ? x->reason : h->curl->easy_strerror(code));
    return err_wrap(x->err, st, "GET %.*s", STR_FMT(shown(url)));
}

bool hub_http_is_ours(const struct hub_http *h, const char *url)
{
    struct url u;

    return url_parse(str_of(url), &u, NULL) == 0 && is_ours(h, &u);
}

int hub_http_get(struct hub_http *h, const struct hub_request *r, struct hub_head *ret, struct err *err)
{
    struct reply x = { .h = h, .r = r, .head = ret, .err = err };
    int st;

    memset(ret, 0, offsetof(struct hub_head, url));
    if (is_cancelled(h))
        return err_set(err, ERR_CANCELLED, "cancelled");
    (void)snprintf(ret->url, sizeof ret->url, "%s", r->url);
    for (unsigned i = 0; i <= REDIRECTS_MAX; i++) {
        char *next = NULL;

        st = ask(&x, ret->url);
        if (st < 0 || ret->status < 300 || ret->status > 399 || !x.has_location)
            return st;
        if (h->curl->easy_getinfo(h->easy, CURLINFO_REDIRECT_URL, &next) != CURLE_OK || !next || strlen(next) >= sizeof ret->url)
            return err_set(err, ERR_PROTOCOL, "GET %.*s: a redirect that leads nowhere", STR_FMT(shown(ret->url)));
        (void)snprintf(ret->url, sizeof ret->url, "%s", next);
        if (r->hub_only && !hub_http_is_ours(h, ret->url)) {
            ret->elsewhere = true;
            return 0;
        }
    }
    return err_set(err, ERR_LIMIT, "GET %.*s: more than %d redirects", STR_FMT(shown(r->url)), REDIRECTS_MAX);
}

/* ---- again ---- */

bool hub_http_is_passing(int st, unsigned status)
{
    if (st < 0)
        return st == ERR_RESET || st == ERR_REFUSED || st == ERR_RESOLVE || st == ERR_TIMEOUT;
    return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 || status == 504;
}

int hub_http_pause(struct hub_http *h, unsigned attempt, uint32_t retry_after_s, struct err *err)
{
    uint64_t us = (uint64_t)h->config->backoff_ms * 1000 << MIN(attempt - 1, DOUBLINGS_MAX);

    us += random_below(&h->random, us / 4 + 1); /* so that a rack of gateways does not come back as one */
    if (retry_after_s > h->config->retry_after_max_s)
        return err_set(err, ERR_BUSY, "the hub says to come back in %u seconds", retry_after_s);
    us = MAX(us, (uint64_t)retry_after_s * 1000000);
    atomic_store_explicit(&h->progress->phase, HUB_WAITING, memory_order_relaxed);
    while (us && !is_cancelled(h)) {
        uint64_t some = MIN(us, PAUSE_LOOK);

        usleep((useconds_t)some);
        us -= some;
    }
    return is_cancelled(h) ? err_set(err, ERR_CANCELLED, "cancelled") : 0;
}

int hub_http_get_patiently(struct hub_http *h, const struct hub_request *r, unsigned attempts, struct hub_head *ret,
                           struct err *err)
{
    int phase = atomic_load_explicit(&h->progress->phase, memory_order_relaxed);

    for (unsigned attempt = 1;; attempt++) {
        int st = hub_http_get(h, r, ret, err);

        if (attempt >= attempts || !hub_http_is_passing(st, ret->status))
            return st;
        st = hub_http_pause(h, attempt, ret->retry_after_s, err);
        if (st < 0)
            return st;
        atomic_store_explicit(&h->progress->phase, phase, memory_order_relaxed);
    }
}

int hub_http_refusal(const struct hub_http *h, const struct hub_head *head, struct str id, struct err *err)
{
    struct str code = str_of(head->error_code);
    bool token = h->config->token != NULL;

    if (str_eq(code, STR("GatedRepo")) || head->status == 403)
        return err_set(err, ERR_NOT_FOUND, "%u: the model is gated or not for everybody: %s, and its terms accepted at %.*s/%.*s",
                       head->status,
                       token ? "the token of HF_TOKEN must be allowed to read it" : "set HF_TOKEN to a token that may read it",
                       STR_FMT(str_first(str_of(h->config->endpoint), URL_SHOWN)), STR_FMT(id));
    if (head->status == 401)
        return err_set(err, ERR_NOT_FOUND, "401: there is no such model, or it is private: %s",
                       token ? "the token of HF_TOKEN is wrong, or may not read it" : "set HF_TOKEN to a token that may read it");
    if (str_eq(code, STR("RevisionNotFound")))
        return err_set(err, ERR_NOT_FOUND, "404: the model has no such revision");
    if (head->status == 404)
        return err_set(err, ERR_NOT_FOUND, "404: not found%s",
                       token ? "" : " (a private model is not found either without HF_TOKEN)");
    if (head->status == 429)
        return err_set(err, ERR_BUSY, "429: the hub has had too many requests%s", token ? "" : "; with HF_TOKEN it allows more");
    return err_set(err, ERR_PROTOCOL, "the hub answered with status %u", head->status);
}

void hub_http_escape(struct buf *out, struct str s, bool keep_slash)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' ||
            c == '~' || (c == '/' && keep_slash))
            buf_put_char(out, c);
        else
            buf_printf(out, "%%%02X", (unsigned char)c);
    }
}

/* ---- the session ---- */

int hub_http_init(struct hub_http *h, const struct hub_config *config, struct hub_progress *progress, const _Atomic bool *cancel,
                  struct err *err)
{
    *h = (struct hub_http){ .config = config, .curl = curl_library(err), .progress = progress, .cancel = cancel };
    if (!h->curl)
        return ERR_UNSUPPORTED;
    if (url_parse(str_of(config->endpoint), &h->origin, err) < 0)
        return err_wrap(err, ERR_INVALID, "HF_ENDPOINT is no URL");
    h->easy = h->curl->easy_init();
    if (!h->easy)
        return err_set(err, ERR_NOMEM, "out of memory");
    random_init_os(&h->random);
    return 0;
}

void hub_http_fini(struct hub_http *h)
{
    if (h->easy)
        h->curl->easy_cleanup(h->easy);
    *h = (struct hub_http){ 0 };
}
