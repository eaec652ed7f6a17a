/* http_server.c -- one connection of the server, fed with anything: however the bytes are cut, the replies are the same
 *
 * The streams and listeners of net/ are fakes of this file (link-time), so there is no socket: a piece of input is a call of on_read on the loop's thread, and
 * what the server writes is collected. Oracles: the output does not depend on the cuts nor on whether writes stay pending for a turn; each exchange ends once;
 * no connection and no exchange is left.
 * The first byte of the input chooses the cuts, the second which writes pend.
 */
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>

#include "http/server.h"

#define FUZZ_ASSERT(x) ((x) ? (void)0 : abort())

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- the fake net/ ---- */

static struct {
    struct stream stream;
    struct listener listener;
    struct buf out;
    unsigned writes, pend_mask;
    bool open, shut, pending;
} fake;

int listener_new(struct loop *l, const struct net_address *address, enum listener_share share, const struct listener_ops *ops,
                 void *owner, struct listener **ret, struct err *err)
{
    fake.listener = (struct listener){ .ops = ops, .owner = owner };
    *ret = &fake.listener;
    return 0;
}

uint16_t listener_port(const struct listener *l)
{
    return 1;
}

void listener_drain(struct listener *l)
{
}

void listener_close(struct listener *l)
{
}

size_t net_address_text(const struct net_address *a, char out[64])
{
    return (size_t)snprintf(out, 64, "127.0.0.1:1");
}

void stream_peer_address(struct stream *s, struct net_address *ret)
{
    memset(ret, 0, sizeof(*ret));
}

int stream_tls_accept(struct stream *s, struct tls_context *c, struct str plain_reply)
{
    return 0;
}

void stream_read_start(struct stream *s)
{
}

void stream_read_stop(struct stream *s)
{
}

enum stream_write stream_write(struct stream *s, const struct str *parts, unsigned n, enum stream_leftover leftover)
{
    FUZZ_ASSERT(fake.open && !fake.shut && n >= 1 && n <= STREAM_VEC_MAX);
    for (unsigned i = 0; i < n; i++)
        buf_put(&fake.out, parts[i]);
    fake.pending |= (fake.pend_mask >> (fake.writes++ % 8)) & 1;
    return fake.pending ? STREAM_PENDING : STREAM_SENT;
}

bool stream_has_pending(const struct stream *s)
{
    return fake.pending;
}

size_t stream_pending_bytes(const struct stream *s)
{
    return fake.pending;
}

void stream_shutdown(struct stream *s)
{
    fake.shut = true;
}

void stream_close(struct stream *s)
{
    FUZZ_ASSERT(fake.open);
    fake.open = false;
}

void stream_reset(struct stream *s)
{
    stream_close(s);
}

bool stream_peer_gone(struct stream *s)
{
    return false;
}

/* ---- the application ---- */

static struct loop *loop;
static struct http_server *server;
static unsigned ends;
static struct exchange *held;

static void hello(struct exchange *ex, void *context)
{
    exchange_reply(ex, 200, TYPE_JSON, STR("{}"));
}

static void echo(struct exchange *ex, void *context)
{
    exchange_reply_head(ex, 200, HTTP_LENGTH_UNKNOWN);
    (void)exchange_send(ex, ex->body);
    exchange_end(ex);
}

static void forget(struct exchange *ex, void *arg)
{
    FUZZ_ASSERT(ex == held);
    held = NULL;
}

static void later(struct exchange *ex, void *context)
{
    static const struct exchange_owner owner = { .on_abort = forget };

    FUZZ_ASSERT(!held);
    held = ex;
    exchange_own(ex, &owner, NULL);
}

static bool proceed(struct exchange *ex, struct buf *out, void *arg)
{
    buf_puts(out, "generated");
    return true;
}

static void generated(struct exchange *ex, void *context)
{
    static const struct exchange_generator generator = { .proceed = proceed };

    exchange_generate(ex, 200, TYPE_TEXT, &generator, NULL);
}

static void on_end(struct exchange *ex, void *context)
{
    ends++;
}

static const struct route ROUTES[] = {
    { .method = HTTP_GET, .path = "/h", .handler = hello },
    { .method = HTTP_POST, .path = "/e", .body = ROUTE_BODY_BUFFER, .handler = echo },
    { .method = HTTP_POST, .path = "/d", .handler = hello },
    { .method = HTTP_GET, .path = "/l", .handler = later },
    { .method = HTTP_GET, .path = "/g", .handler = generated },
    { .method = HTTP_GET, .path = "/p/{id}", .handler = hello },
};

static const struct filter FILTERS[] = { { .name = "end", .on_end = on_end } };

/* ---- driving: each step is a message, so that a turn ends behind it ---- */

static sem_t done;

struct step {
    struct message message;
    void (*run)(struct str piece);
    struct str piece;
};

static void run_step(struct loop *l, struct message *m)
{
    struct step *s = CONTAINER_OF(m, struct step, message);

    s->run(s->piece);
    sem_post(&done);
}

static void do_step(void (*run)(struct str piece), struct str piece)
{
    struct step s = { .message.run = run_step, .run = run, .piece = piece };

    loop_post(loop, &s.message);
    while (sem_wait(&done) < 0)
        ;
}

static void start(struct str piece)
{
    static struct router *router;
    struct http_server_conf conf = { .filters = FILTERS, .filters_n = ARRAY_LEN(FILTERS), .max_body_bytes = 1000 };
    struct net_address address = { 0 };
    uint16_t port;

    FUZZ_ASSERT(router_new(ROUTES, ARRAY_LEN(ROUTES), &router, NULL) == 0);
    conf.router = router;
    FUZZ_ASSERT(http_server_new(loop, &conf, &server) == 0);
    FUZZ_ASSERT(http_server_listen(server, &address, LISTENER_ALONE, &port, NULL) == 0);
}

static void connect_client(struct str piece)
{
    memset(&fake.stream, 0, sizeof(fake.stream));
    fake.open = true;
    fake.shut = fake.pending = false;
    fake.writes = 0;
    fake.out.n = 0;
    fake.listener.ops->on_accept(&fake.listener, &fake.stream);
}

static void feed(struct str piece)
{
    if (fake.open && piece.n > 0) {
        memcpy(loop->read_buffer, piece.p, piece.n);
        fake.stream.ops->on_read(&fake.stream, loop->read_buffer, piece.n);
    }
}

/* What would come by itself: the drain of a pending write, the late reply of /l. */
static void let_time_pass(struct str piece)
{
    if (fake.open && fake.pending) {
        fake.pending = false;
        fake.stream.ops->on_drain(&fake.stream);
    }
    if (held) {
        struct exchange *ex = held;

        held = NULL;
        exchange_reply(ex, 200, TYPE_TEXT, STR("late"));
    }
}

static bool busy(void)
{
    return held || (fake.open && fake.pending);
}

static bool more_to_come;

static void look(struct str piece)
{
    more_to_come = busy();
}

static void hang_up(struct str piece)
{
    struct http_server_stats st;

    if (fake.open)
        fake.stream.ops->on_end(&fake.stream, 0);
    if (fake.open && fake.pending) {
        fake.pending = false;
        fake.stream.ops->on_drain(&fake.stream);
    }
    http_server_stats(server, &st);
    FUZZ_ASSERT(!fake.open && !held);
    FUZZ_ASSERT(st.connections == 0 && st.exchanges == ends && st.exchanges == st.finished + st.failed + st.aborted);
}

/* Everything that the server says to INPUT cut at the places of CUTS; with the date's digits made equal. */
static void converse(struct str input, unsigned cuts, unsigned pend_mask, struct buf *ret)
{
    static const size_t sizes[] = { SIZE_MAX, 1, 2, 3, 5, 7, 16, 64 };
    size_t size = sizes[cuts % ARRAY_LEN(sizes)];

    fake.pend_mask = pend_mask;
    do_step(connect_client, STR_NONE);
    while (input.n > 0) {
        struct str piece = str_first(input, size);

        do_step(feed, piece);
        input = str_skip(input, piece.n);
    }
    do {
        do_step(let_time_pass, STR_NONE);
        do_step(look, STR_NONE);
    } while (more_to_come);
    do_step(look, STR_NONE);
    do_step(hang_up, STR_NONE);
    buf_clear(ret);
    buf_put(ret, buf_str(&fake.out));
    for (size_t at = 0, n; (n = str_find(str_skip(buf_str(ret), at), STR("\r\ndate: "))) != STR_NPOS; at += n + 8)
        memset(ret->p + at + n + 8, 'x', MIN((size_t)29, ret->n - at - n - 8));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct buf whole, cut;
    struct str input;

    if (!loop) {
        sem_init(&done, 0, 0);
        FUZZ_ASSERT(loop_new("fuzz", 0, &loop, NULL) == 0 && loop_start_thread(loop, NULL) == 0);
        do_step(start, STR_NONE);
    }
    if (size < 2 || size > 4096)
        return 0;
    input = (struct str){ (const char *)data + 2, size - 2 };
    converse(input, 0, 0, &whole);
    /* "100 Continue" depends on what came already (RFC 9110 10.1.1), and an early reply on it in turn. */
    if (str_find(input, STR("xpect")) != STR_NPOS || str_find(input, STR("XPECT")) != STR_NPOS) {
        converse(input, data[0], data[1], &cut);
        return 0;
    }
    converse(input, data[0], data[1], &cut);
    FUZZ_ASSERT(str_eq(buf_str(&whole), buf_str(&cut)));
    return 0;
}
