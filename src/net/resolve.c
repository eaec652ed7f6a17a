/* net/resolve.c -- the cache of names in front of getaddrinfo
 *
 *   an entry:   (new) --ask--> ASKING --on_answer--> KNOWN --ask, RESOLVE_EARLY_S before its end or after it--> ASKING (still answers until its end)
 *
 *   request with a literal or a known name --> resolver.soon --(end of the turn)--> done
 *   request with another name              --> entry.waiting --(on_answer)--------> done
 *
 * libuv's threads do the lookups. An entry whose lookup is running when the resolver goes is left behind (entry.resolver == NULL) and freed by its answer.
 */
#include <assert.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "net/resolve.h"
#include "net/stream_internal.h"

#define SECOND_US 1000000ull

struct entry {
    struct resolver *resolver; /* borrowed; NULL = the resolver is gone */
    struct list by_age;        /* resolver.entries */
    struct list waiting;       // resolve_request.link
    uv_getaddrinfo_t query;
    bool asking;
    int status; /* of the last answer; ERR_BUSY = none yet */
    uint64_t good_until_us;
    struct net_address address; /* port 0; when status is 0 */
    struct str name;            /* the bytes below */
    char bytes[];               /* with a NUL */
};

struct resolver {
    struct loop *loop;
    struct map names;    /* name -> struct entry */
    struct list entries; // entry.by_age, the oldest answer first
    struct list soon;    // resolve_request.link: deferred
};

static int ask(struct entry *e);
static void on_answer(uv_getaddrinfo_t *query, int status, struct addrinfo *list);

int resolver_new(struct loop *l, struct resolver **ret)
{
    struct resolver *r = calloc(1, sizeof *r);

    if (!r)
        return ERR_NOMEM;
    r->loop = l;
    list_init(&r->entries);
    list_init(&r->soon);
    *ret = r;
    return 0;
}

/* ---- entries ---- */

static void forget(struct entry *e)
{
    struct resolve_request *req;

    LIST_EACH(req, &e->waiting, link)
    {
        list_remove(&req->link);
        req->active = false;
    }
    list_remove(&e->by_age);
    (void)map_remove(&e->resolver->names, e->name); /* it is this one */
    e->resolver = NULL;
    if (!e->asking)
        free(e);
    else
        (void)uv_cancel((uv_req_t *)&e->query); /* fails when it is running: its answer then frees the entry */
}

static int make_room(struct resolver *r)
{
    struct entry *e;

    if (r->names.n < RESOLVE_CACHE_MAX)
        return 0;
    LIST_EACH(e, &r->entries, by_age)
    {
        if (!e->asking) {
            forget(e);
            return 0;
        }
    }
    return ERR_LIMIT;
}

static int add_entry(struct resolver *r, struct str host, struct entry **ret)
{
    struct entry *e;
    int status = make_room(r);

    if (status < 0)
        return status;
    e = calloc(1, sizeof *e + host.n + 1);
    if (!e)
        return ERR_NOMEM;
    e->resolver = r;
    e->status = ERR_BUSY;
    list_init(&e->waiting);
    list_init(&e->by_age);
    memcpy(e->bytes, host.p, host.n);
    e->name = (struct str){ e->bytes, host.n };
    if (map_put(&r->names, e->name, e, NULL) < 0) {
        free(e);
        return ERR_NOMEM;
    }
    list_append(&r->entries, &e->by_age);
    *ret = e;
    return 0;
}

static bool is_good(const struct entry *e, uint64_t now_us)
{
    return e->status != ERR_BUSY && now_us < e->good_until_us;
}

static int ask(struct entry *e)
{
    static const struct addrinfo HINTS = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG };
    int r;

    if (e->asking)
        return 0;
    r = uv_getaddrinfo(&e->resolver->loop->uv, &e->query, on_answer, e->bytes, NULL, &HINTS);
    if (r < 0)
        return r == UV_ENOMEM ? ERR_NOMEM : ERR_RESOLVE;
    e->asking = true;
    return 0;
}

/* ---- answers ---- */

static bool choose(const struct addrinfo *list, struct net_address *ret)
{
    const struct addrinfo *best = NULL;

    for (const struct addrinfo *a = list; a; a = a->ai_next) {
        if (a->ai_family != AF_INET && a->ai_family != AF_INET6)
            continue;
        if (!best || (a->ai_family == AF_INET && best->ai_family != AF_INET))
            best = a;
    }
    if (!best)
        return false;
    memset(ret, 0, sizeof *ret);
    memcpy(&ret->ss, best->ai_addr, best->ai_addrlen);
    return true;
}

static struct net_address with_port(const struct net_address *a, uint16_t port)
{
    struct net_address to = *a;

    if (to.ss.ss_family == AF_INET6)
        ((struct sockaddr_in6 *)&to.ss)->sin6_port = htons(port);
    else
        ((struct sockaddr_in *)&to.ss)->sin_port = htons(port);
    return to;
}

static void keep_answer(struct entry *e, int status, const struct net_address *address)
{
    uint64_t now_us = loop_now_us(e->resolver->loop);

    if (status < 0 && e->status == 0 && now_us < e->good_until_us)
        return; /* asked early: the old answer is good until its end */
    e->status = status;
    e->good_until_us = now_us + (status < 0 ? 1 : RESOLVE_TTL_S) * SECOND_US;
    if (status == 0)
        e->address = *address;
    list_remove(&e->by_age);
    list_append(&e->resolver->entries, &e->by_age);
}

static void on_answer(uv_getaddrinfo_t *query, int status, struct addrinfo *list)
{
    struct entry *e = CONTAINER_OF(query, struct entry, query);
    struct net_address address;
    struct resolve_request *req;
    bool found = status == 0 && choose(list, &address);

    uv_freeaddrinfo(list);
    if (!e->resolver) {
        free(e);
        return;
    }
    loop_enter(e->resolver->loop);
    keep_answer(e, found ? 0 : ERR_RESOLVE, &address);
    /* `asking` stays set meanwhile: neither a full cache nor resolver_free, called from a callback, frees the entry. */
    while ((req = list_first(&e->waiting, struct resolve_request, link)) != NULL) {
        list_remove(&req->link);
        req->active = false;
        address = with_port(&e->address, req->port);
        req->done(req, e->status, e->status == 0 ? &address : NULL);
    }
    e->asking = false;
    if (!e->resolver)
        free(e);
}

static void on_soon(struct deferred *d)
{
    struct resolve_request *req = CONTAINER_OF(d, struct resolve_request, deferred);

    list_remove(&req->link);
    req->active = false;
    req->done(req, req->status, req->status == 0 ? &req->answer : NULL);
}

static void answer_soon(struct resolver *r, struct resolve_request *req, int status, const struct net_address *address)
{
    req->status = status;
    if (status == 0)
        req->answer = with_port(address, req->port);
    req->deferred = (struct deferred){ .run = on_soon };
    list_append(&r->soon, &req->link);
    loop_defer(r->loop, &req->deferred);
}

/* ---- public ---- */

bool resolver_lookup(struct resolver *r, struct str host, uint16_t port, struct net_address *ret)
{
    uint64_t now_us = loop_now_us(r->loop);
    struct entry *e;

    assert(loop_is_mine(r->loop));
    if (net_address_parse(host, port, ret) == 0)
        return true;
    e = map_get(&r->names, host);
    if (!e || e->status < 0 || !is_good(e, now_us))
        return false;
    if (e->good_until_us - now_us < RESOLVE_EARLY_S * SECOND_US)
        (void)ask(e); /* on failure the answer grows too old, and the next request asks */
    *ret = with_port(&e->address, port);
    return true;
}

int resolver_start(struct resolver *r, struct str host, uint16_t port, struct resolve_request *req)
{
    struct net_address literal;
    struct entry *e;
    int status;

    assert(loop_is_mine(r->loop) && !req->active);
    loop_enter(r->loop);
    req->port = port;
    if (net_address_parse(host, port, &literal) == 0) {
        answer_soon(r, req, 0, &literal);
    } else if (host.n == 0 || host.n > RESOLVE_NAME_MAX || memchr(host.p, 0, host.n)) {
        answer_soon(r, req, ERR_RESOLVE, NULL);
    } else if ((e = map_get(&r->names, host)) != NULL && is_good(e, loop_now_us(r->loop))) {
        answer_soon(r, req, e->status, &e->address);
    } else {
        status = e ? 0 : add_entry(r, host, &e);
        if (status == 0)
            status = ask(e);
        if (status == ERR_RESOLVE)
            answer_soon(r, req, ERR_RESOLVE, NULL); /* libuv found that it can be no name */
        else if (status < 0)
            return status;
        else
            list_append(&e->waiting, &req->link);
    }
    req->active = true;
    return 0;
}

void resolver_cancel(struct resolver *r, struct resolve_request *req)
{
    if (!req->active)
        return;
    req->active = false;
    list_remove(&req->link);
    if (req->deferred.queued)
        loop_defer_cancel(r->loop, &req->deferred);
}

void resolver_free(struct resolver *r)
{
    struct resolve_request *req;
    struct entry *e;

    if (!r)
        return;
    LIST_EACH(req, &r->soon, link)
    resolver_cancel(r, req);
    LIST_EACH(e, &r->entries, by_age)
    forget(e);
    map_fini(&r->names);
    free(r);
}
