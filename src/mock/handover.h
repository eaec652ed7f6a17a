/* mock/handover.h -- prefill and decode on engines of their own: how a simulated decode engine finds the KV blocks of its prompt (internal to mock/)
 *
 *   prefill engine: a prompt is computed --> its room is open --+
 *                   bootstrap port: GET /kv/{room} <------------+-- waits until the room is open --- decode engine: answers only then
 *
 * The rendezvous is real: the decode engine asks the bootstrap port that the request names, and does not answer before the prefill engine had its half of the request. Nothing is
 * transferred. What the request says (both forms of gateways and engines):
 *   SGLang and its like   bootstrap_host, bootstrap_port, bootstrap_room; lists for several prompts
 *   vLLM                  kv_transfer_params: prefill is told do_remote_decode and answers where its blocks are, decode is told that; or both are told a transfer_id (Mooncake)
 * One loop. Bounds: ROOMS_MAX rooms that nobody fetched, the oldest goes; HANDOVER_ROOMS_MAX rooms of one request; a decode engine waits HANDOVER_WAIT_MS.
 */
#pragma once

#include "base/list.h"
#include "http/client.h"
#include "http/server.h"
#include "json/json.h"
#include "mock/mock.h"

#define ROOMS_MAX          4096
#define HANDOVER_ROOMS_MAX 64
#define HANDOVER_WAIT_MS   30000
#define HANDOVER_HOST_MAX  256

/* ---- the prefill engine's side ---- */

struct bootstrap {
    struct loop *loop;
    struct http_server *server; /* owned */
    struct router *router;      /* owned */
    void *contexts[1];
    uint64_t rooms[ROOMS_MAX]; /* a ring of open rooms + 1; 0 = free */
    size_t at;
    struct list waiting; // room_wait.link
    uint16_t port;       /* where it listens */
};

int bootstrap_new(struct loop *l, struct bootstrap **ret, struct err *err) _must_check_;
int bootstrap_listen(struct bootstrap *b, struct str address, uint16_t port, struct err *err) _must_check_;
void bootstrap_open(struct bootstrap *b, uint64_t room); /* the blocks are there */
void bootstrap_close(struct bootstrap *b);
void bootstrap_free(struct bootstrap *b); /* after close; NULL is fine */

/* ---- what a request says ---- */

struct handover_room {
    struct str host; /* not NUL-terminated; of the request's text, escapes not undone */
    uint16_t port;
    uint64_t room;
};

struct handover_order {
    bool any;    /* the request is one half of a pair */
    bool answer; /* vLLM's prefill: the reply says where the blocks are */
    struct handover_room rooms[HANDOVER_ROOMS_MAX];
    unsigned n;
};

/* ROOT: the request. ERR_INVALID with what an engine of this role would refuse. SERIAL: makes the room of vLLM's prefill. */
int handover_read(enum mock_role role, enum mock_runtime runtime, struct json root, uint16_t default_port, uint64_t serial,
                  struct handover_order *ret, struct err *err) _must_check_;

/* ---- the decode engine's side ---- */

/* Asks for the rooms of ORDER, one after the other. Zeroed before. */
struct handover {
    struct http_client *client; /* borrowed */
    const struct handover_order *order;
    unsigned at;
    struct http_fetch fetch;
    char head[512];
    void (*done)(struct handover *h, int status); /* once, never from inside start; 0 = all blocks are there */
};

int handover_start(struct handover *h, struct http_client *client, const struct handover_order *order,
                   void (*done)(struct handover *h, int status)) _must_check_;
void handover_cancel(struct handover *h); /* silent; fine when it is not running */
