/* mock/handover.c -- rooms: opened by prefill engines, asked for by decode engines */
#include "mock/handover.h"

#include <stdio.h>
#include <stdlib.h>

#include "http/error.h"
#include "mock/text.h"

/* ---- the bootstrap server ---- */

/* A decode engine that came before the blocks were there. In its exchange's arena. */
struct room_wait {
    struct list link; // bootstrap.waiting
    struct exchange *ex;
    uint64_t room;
};

static void on_abort(struct exchange *ex, void *arg)
{
    struct room_wait *w = arg;

    (void)ex;
    list_remove(&w->link);
}

static const struct exchange_owner OWNER = { .on_abort = on_abort };

static uint64_t *find_room(struct bootstrap *b, uint64_t room)
{
    for (size_t i = 0; i < ROOMS_MAX; i++)
        if (b->rooms[i] == room + 1)
            return &b->rooms[i];
    return NULL;
}

static void reply_found(struct exchange *ex)
{
    exchange_reply(ex, 200, TYPE_JSON, STR("{\"blocks\":\"transferred\"}"));
}

static void ask_for_room(struct exchange *ex, void *context)
{
    struct bootstrap *b = context;
    struct room_wait *w;
    uint64_t room, *found;

    if (str_to_u64(ex->params[0], &room) < 0) {
        http_error_malformed(ex, 400, STR("a room is a whole number"));
        return;
    }
    found = find_room(b, room);
    if (found) {
        *found = 0;
        reply_found(ex);
        return;
    }
    w = arena_new(&ex->arena, struct room_wait);
    if (!w) {
        exchange_reply(ex, 503, TYPE_TEXT, STR("out of memory"));
        return;
    }
    w->ex = ex;
    w->room = room;
    list_append(&b->waiting, &w->link);
    exchange_own(ex, &OWNER, w);
}

void bootstrap_open(struct bootstrap *b, uint64_t room)
{
    struct room_wait *w;

    LIST_EACH(w, &b->waiting, link)
    {
        if (w->room != room)
            continue;
        list_remove(&w->link);
        reply_found(w->ex);
        return;
    }
    b->rooms[b->at] = room + 1;
    b->at = (b->at + 1) % ROOMS_MAX;
}

static const struct route ROUTES[] = { { HTTP_GET, "/kv/{room}", .handler = ask_for_room } };

int bootstrap_new(struct loop *l, struct bootstrap **ret, struct err *err)
{
    struct bootstrap *b = calloc(1, sizeof(*b));
    struct http_server_conf conf = { 0 };
    int r;

    if (!b)
        return err_set(err, ERR_NOMEM, "out of memory");
    b->loop = l;
    list_init(&b->waiting);
    r = router_new(ROUTES, ARRAY_LEN(ROUTES), &b->router, err);
    if (r == 0) {
        b->contexts[0] = b;
        conf.router = b->router;
        conf.contexts = b->contexts;
        r = http_server_new(l, &conf, &b->server);
    }
    if (r < 0) {
        bootstrap_free(b);
        return err_set(err, r, "%s", err_text(r));
    }
    *ret = b;
    return 0;
}

int bootstrap_listen(struct bootstrap *b, struct str address, uint16_t port, struct err *err)
{
    struct net_address at;
    int r;

    if (net_address_parse(address, port, &at) < 0)
        return err_set(err, ERR_INVALID, "\"%.*s\" is not an IP address; write 127.0.0.1 or 0.0.0.0", STR_FMT(address));
    r = http_server_listen(b->server, &at, LISTENER_ALONE, &b->port, err);
    return r < 0 ? err_wrap(err, r, "bootstrap port") : 0;
}

void bootstrap_close(struct bootstrap *b)
{
    http_server_close(b->server);
    http_server_free(b->server);
    b->server = NULL;
}

void bootstrap_free(struct bootstrap *b)
{
    if (!b)
        return;
    router_free(b->router);
    free(b);
}

/* ---- what a request says ---- */

/* The I-th of a list, or the one value. */
static struct json one_of(struct json v, size_t i)
{
    return json_is(v, JSON_ARRAY) ? json_at(v, i) : v;
}

static int read_bootstrap(struct json root, uint16_t default_port, struct handover_order *ret, struct err *err)
{
    struct json hosts = json_get(root, STR("bootstrap_host")), ports = json_get(root, STR("bootstrap_port")),
                rooms = json_get(root, STR("bootstrap_room"));
    size_t n = json_is(rooms, JSON_ARRAY) ? json_count(rooms) : 1;

    if (json_is_null(rooms))
        return err_set(err, ERR_INVALID, "Disaggregated request received without bootstrap room id");
    if (n == 0 || n > HANDOVER_ROOMS_MAX)
        return err_set(err, ERR_INVALID, "bootstrap_room: expected 1 to %d rooms", HANDOVER_ROOMS_MAX);
    for (size_t i = 0; i < n; i++) {
        struct json host = one_of(hosts, i), port = one_of(ports, i);
        uint64_t number = default_port;
        struct handover_room *r = &ret->rooms[i];

        if (json_to_u64(one_of(rooms, i), &r->room) < 0 || r->room > INT64_MAX)
            return err_set(err, ERR_INVALID, "bootstrap_room: expected a whole number of 0 to 2^63-1");
        if (!json_is(host, JSON_STRING))
            return err_set(err, ERR_INVALID, "bootstrap_host: expected a host for each room");
        if (!json_is_null(port) && (json_to_u64(port, &number) < 0 || number == 0 || number > UINT16_MAX))
            return err_set(err, ERR_INVALID, "bootstrap_port: expected a port or null for each room");
        r->host = str_first(json_raw_str(host), HANDOVER_HOST_MAX);
        r->port = (uint16_t)number;
    }
    ret->any = true;
    ret->n = (unsigned)n;
    return 0;
}

static bool is_true(struct json object, struct str name)
{
    return json_is(json_get(object, name), JSON_TRUE);
}

/* "http://host:port" of a Mooncake engine. */
static bool read_address(struct str url, struct handover_room *r)
{
    size_t colon = str_rfind_char(url, ':');
    uint64_t port;

    if (!str_has_prefix(url, STR("http://")) || colon < 7 || str_to_u64(str_skip(url, colon + 1), &port) < 0 || port > UINT16_MAX)
        return false;
    r->host = str_range(url.p + 7, url.p + colon);
    if (r->host.n > 1 && r->host.p[0] == '[')
        r->host = str_range(r->host.p + 1, r->host.p + r->host.n - 1);
    r->port = (uint16_t)port;
    return r->host.n > 0 && r->host.n <= HANDOVER_HOST_MAX;
}

static uint64_t room_of_transfer(struct json id)
{
    return text_hash(json_raw_str(id)) >> 1; /* the same in every process */
}

/* vLLM's prefill: told to keep the blocks for another engine. Without that it is a plain request. */
static void read_remote_decode(struct json params, uint64_t serial, struct handover_order *ret)
{
    struct json transfer = json_get(params, STR("transfer_id"));

    if (!is_true(params, STR("do_remote_decode")))
        return;
    ret->any = true;
    ret->n = 1;
    ret->answer = !json_is(transfer, JSON_STRING);
    ret->rooms[0].room = ret->answer ? serial : room_of_transfer(transfer);
}

/* vLLM's decode: told where the blocks are. Without that it computes the prompt itself. */
static int read_remote_prefill(struct json params, struct handover_order *ret, struct err *err)
{
    struct json transfer = json_get(params, STR("transfer_id")), host = json_get(params, STR("remote_host"));
    struct handover_room *r = &ret->rooms[0];
    uint64_t port;

    if (!is_true(params, STR("do_remote_prefill")))
        return 0;
    ret->any = true;
    ret->n = 1;
    if (json_is(transfer, JSON_STRING)) {
        r->room = room_of_transfer(transfer);
        if (!read_address(json_raw_str(json_get(params, STR("remote_bootstrap_addr"))), r))
            return err_set(err, ERR_INVALID, "kv_transfer_params.remote_bootstrap_addr: expected http://host:port");
        return 0;
    }
    if (!json_is(host, JSON_STRING) || json_to_u64(json_get(params, STR("remote_port")), &port) < 0 || port > UINT16_MAX ||
        json_to_u64(json_at(json_get(params, STR("remote_block_ids")), 0), &r->room) < 0)
        return err_set(err, ERR_INVALID, "kv_transfer_params: expected remote_host, remote_port and remote_block_ids");
    r->host = str_first(json_raw_str(host), HANDOVER_HOST_MAX);
    r->port = (uint16_t)port;
    return 0;
}

int handover_read(enum mock_role role, enum mock_runtime runtime, struct json root, uint16_t default_port, uint64_t serial,
                  struct handover_order *ret, struct err *err)
{
    struct json params = json_get(root, STR("kv_transfer_params"));

    *ret = (struct handover_order){ 0 };
    if (role == MOCK_ROLE_BOTH)
        return 0;
    if (runtime != MOCK_VLLM)
        return read_bootstrap(root, default_port, ret, err);
    if (role == MOCK_ROLE_DECODE)
        return read_remote_prefill(params, ret, err);
    read_remote_decode(params, serial, ret);
    return 0;
}

/* ---- the decode engine ---- */

static void on_fetched(struct http_fetch *f, int status);

static int ask_next(struct handover *h)
{
    const struct handover_room *r = &h->order->rooms[h->at];
    int n;

    n = snprintf(h->head, sizeof h->head, "GET /kv/%llu HTTP/1.1\r\nhost: %.*s:%u\r\naccept: */*\r\n\r\n",
                 (unsigned long long)r->room, STR_FMT(r->host), r->port);
    h->fetch = (struct http_fetch){ .done = on_fetched, .owner = h, .max = 4096 };
    h->fetch.call = (struct http_call){
        .host = r->host, .port = r->port, .method = HTTP_GET, .head = { h->head, (size_t)n }, .head_ms = HANDOVER_WAIT_MS
    };
    return http_fetch_start(h->client, &h->fetch);
}

static void on_fetched(struct http_fetch *f, int status)
{
    struct handover *h = f->owner;

    if (status == 0 && f->status != 200)
        status = ERR_PROTOCOL;
    http_fetch_fini(f);
    if (status == 0 && ++h->at < h->order->n)
        status = ask_next(h);
    else if (status == 0)
        h->order = NULL;
    if (status < 0 || !h->order) {
        h->order = NULL;
        h->done(h, status);
    }
}

int handover_start(struct handover *h, struct http_client *client, const struct handover_order *order,
                   void (*done)(struct handover *h, int status))
{
    int r;

    *h = (struct handover){ .client = client, .order = order, .done = done };
    r = ask_next(h);
    if (r < 0)
        h->order = NULL;
    return r;
}

void handover_cancel(struct handover *h)
{
    if (!h->order)
        return;
    h->order = NULL;
    http_fetch_cancel(&h->fetch);
    http_fetch_fini(&h->fetch);
}
