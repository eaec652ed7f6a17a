/* http/exchange.h -- one request and its reply: the one thing that flows through the gateway
 *
 *    HEAD ----> BODY ----> HANDLING ----> REPLYING ----> DONE           state        written by
 *      |          |            |              ^            ^            all: exchange_set_state() in pipeline.c
 *      +----------+------------+--(a reply)---+            |
 *      +----------+------------+--------------+--(client left, error)
 *
 *    HEAD      the route is looked up and the filters' on_head run: CORS, request id, metrics, access log, 404/405, body limit, auth, admission
 *    BODY      the body is being read (only when the route wants one), then the filters' on_body run
 *    HANDLING  route->handler was called; it answers now, or keeps the exchange and answers later
 *    REPLYING  exchange_reply_head was called
 *    DONE      finished, failed or aborted: exactly once; the filters' on_end run; the arena goes at the end of the turn
 *
 * Who owns what: the server owns the exchange. Whoever works on it (a handler, a dispatch) is its *worker side*: it registers exchange_owner callbacks and
 * must not touch the exchange after exchange_end, exchange_break or its own on_abort: that call is the last statement.
 * Abort: the client closed, reset or broke the protocol. owner->on_abort runs within the loop turn that saw it; it cancels all upstream work and returns.
 * Held replies: a filter may ask to see a whole reply before it goes out (exchange_hold_reply); it then stands between REPLYING and the wire.
 * Replies: exchange_send never fails loudly; after an abort was delivered nobody may call it. Output is corked: bytes of one turn leave in one writev, at
 * exchange_flush, exchange_end or the end of the turn.
 * Never moves to another thread. Another thread refers to it by struct exchange_ref.
 */
#pragma once

#include "http/message.h"
#include "loop/loop.h"

struct exchange;
struct http_server;
struct http_connection;

/* ---- routes and filters: the arrays are gateway/'s (and mock/'s), the types live here ---- */

enum route_auth { ROUTE_PUBLIC, ROUTE_DATA, ROUTE_ADMIN };
enum route_body {
    ROUTE_BODY_NONE,   /* a body is drained and dropped */
    ROUTE_BODY_BUFFER, /* the whole body stands in ex->body when the handler runs */
};
/* May plugins see the requests of this route (spec wasm-plugins 5.1)? */
enum route_plugins {
    ROUTE_PLUGINS_DATA, /* those of the data plane */
    ROUTE_PLUGINS_NEVER,
};
/* Which row of the error table of decisions.md speaks for this route's handler (http/error.h). */
enum route_errors { ROUTE_ERRORS_OPENAI, ROUTE_ERRORS_ANTHROPIC, ROUTE_ERRORS_WORKERS, ROUTE_ERRORS_TYPED };

struct route {
    enum http_method method; /* GET serves HEAD too */
    /* "/workers/{worker_id}": a segment in braces matches one non-empty segment; the template is the metric label */
    const char *path;
    enum route_auth auth;
    enum route_body body;
    enum route_errors errors;
    void (*handler)(struct exchange *ex, void *context);
    unsigned context;     /* index into http_server_conf.contexts, handed to the handler */
    const char *endpoint; /* SMG's metric label `endpoint` ("chat"), or NULL */
    enum route_plugins plugins;
};

#define ROUTE_PARAMS_MAX 2

enum filter_verdict {
    FILTER_GO_ON,
    FILTER_ANSWERED, /* the filter replied; no later filter's on_head/on_body and no handler runs (on_reply and on_end of all filters do) */
    FILTER_WAITING, /* the filter calls exchange_resume(ex) later; an abort meanwhile reaches the filter's owner callbacks */
};

/* All members optional. on_reply runs in reverse order before the head goes out: it may add or change reply fields. on_end runs in reverse order, once.
 * A request whose head is malformed or late has no on_head: it is answered at once, as method OTHER and label "other"; on_reply and on_end do run. */
struct filter {
    const char *name;
    enum filter_verdict (*on_head)(struct exchange *ex, void *context);
    enum filter_verdict (*on_body)(struct exchange *ex, void *context);
    void (*on_reply)(struct exchange *ex, void *context);
    void (*on_end)(struct exchange *ex, void *context);
    unsigned context;
};

/* ---- the exchange ---- */

enum exchange_state { EX_HEAD, EX_BODY, EX_HANDLING, EX_REPLYING, EX_DONE };
enum exchange_outcome { EX_RUNNING, EX_FINISHED, EX_FAILED, EX_ABORTED }; /* failed: the reply was cut; aborted: the client left */

/* Plain values that higher rooms fill and logs, metrics and audit read. Strings: arena or static. */
struct exchange_facts {
    struct str model;      /* canonical id */
    struct str worker;     /* URL of the worker that answered or was tried last */
    struct str pair;       /* ids of the engines that shared the request: "prefill=<id>, decode=<id>" */
    struct str error_code; /* of our own error replies: the x-smg-error-code */
    struct str policy;
    struct str resource;    /* what a control-plane request was about, where its path does not say: the id of a new worker */
    unsigned attempts;      /* upstream calls started */
    bool streaming;         /* the request asked for a stream */
    uint64_t first_byte_us; /* loop clock: first byte of the reply's body handed to the kernel; 0 = none */
};

struct exchange_principal {
    struct str id; /* "auth:<hash>" ... of spec control-plane 4.2, a key's id, a token's subject; empty = nobody */
    bool admin;
    bool credential_is_ours; /* Authorization and x-api-key are, or may be, meant for the gateway itself: no worker is sent them */
    bool
        sent_secret; /* one of them is a secret of ours: nobody is sent it, not even a provider that the client has an account with */
    /* auth/'s own, from its decision about the control plane to the audit record */
    uint64_t decided_us; /* wall clock; 0 = there was none */
    const char *method;  /* static: "jwt", "api_key", "none" */
    struct str denied;   /* why; empty = let in. Static or arena */
};

/* Who looks at a whole reply and may change it before any of it goes out; set by exchange_hold_reply.
 *
 *   exchange_reply_head --wants: no--> the reply goes out as if nobody had asked (nothing is copied)
 *                       --wants: yes--> GATHERED, part by part --exchange_end, at the end of the turn--> whole()
 *                                                              --too long, no memory, source broke off--> cut(); the worker side was told with on_abort, if it was still there
 *
 * After whole() or cut() the exchange is the hold's: it calls exchange_unhold and answers, at once or later, once. An abort meanwhile reaches its owner callbacks. */
struct exchange_hold {
    bool (*wants)(struct exchange *ex, void *arg); /* ex->status, ex->reply and ex->reply_length are as they would go out */
    void (*whole)(struct exchange *ex, struct str body, void *arg); /* BODY is good until the end of the exchange */
    void (*cut)(struct exchange *ex, int status, void *arg);        /* ERR_LIMIT, ERR_NOMEM, ERR_RESET */
    size_t max_bytes;                                               /* of a body */
};

/* The worker side: set by exchange_own, called at most once each per cause. */
struct exchange_owner {
    void (*on_ready)(struct exchange *ex, void *arg); /* after SEND_FULL: the client can take more. Optional. */
    void (*on_abort)(struct exchange *ex, void *arg); /* the client left: cancel and forget the exchange. Optional. */
};

struct exchange {
    struct http_server *server;         /* borrowed for life */
    struct http_connection *connection; /* borrowed until DONE */
    struct loop *loop;
    struct arena arena; /* every struct str below points into it */
    enum exchange_state state;
    enum exchange_outcome outcome; /* set with DONE */

    struct http_head req;      /* from HEAD on */
    struct str peer;           /* client's "ip:port"; the connection's memory, which lasts as long as the arena */
    const struct route *route; /* NULL = no such path, or a wrong method (then route_allow says which would do) */
    enum route_auth
        route_group; /* of the path, whatever the method; ROUTE_PUBLIC when there is no such path; auth raises it for requests that want more */
    const char *route_label;             /* path template for metrics and logs, "other" when none */
    struct str route_allow;              /* "GET,HEAD" when the path exists under other methods */
    struct str params[ROUTE_PARAMS_MAX]; /* percent-decoded */
    struct str request_id;
    struct str body; /* from HANDLING on */

    struct exchange_facts facts;
    struct exchange_principal principal;
    uint64_t began_us; /* loop clock: head complete */
    uint64_t head_us;  /* loop clock: reply head handed over */
    uint64_t bytes_in, bytes_out;
    struct list observed; /* observe_requests.in_flight: observe/'s own, from its on_head to its on_end */
    void *ticket;         /* admission/'s own, from its on_body to its on_end */
    void *plugins;        /* plugin/'s own, from its on_head to its on_end */

    /* Sees each part of the reply's body as it is handed over, gateway's own errors too; good until return, and it may not touch the reply. NULL = nobody looks. */
    void (*tap)(struct exchange *ex, struct str part, void *arg);
    void *tap_arg;

    /* the reply, from REPLYING on */
    unsigned status;
    struct http_fields reply; /* what on_reply may edit */
    uint64_t reply_length;    /* HTTP_LENGTH_UNKNOWN = chunked (or until close for HTTP/1.0) */

    /* internal to http/ */
    const struct exchange_owner *owner;
    void *owner_arg;
    const struct exchange_hold *hold; /* NULL: nobody asks */
    void *hold_arg;
    enum { HOLD_NONE, HOLD_GATHERS, HOLD_WHOLE, HOLD_CUT } held;
    int cut_status;
    struct buf held_body;                       /* owned (server_bytes_*) */
    const struct exchange_generator *generator; /* until its last proceed or the end */
    void *generator_arg;
    struct str generator_type;
    unsigned filter_at; /* where exchange_resume goes on */
    bool waiting;       /* a filter said FILTER_WAITING */
    bool full;          /* SEND_FULL was answered: on_ready is due */
    bool close_after;   /* the connection ends with this reply */
    bool swallow;       /* HEAD, 204, 304: the body stays here */
    bool chunked;
    bool broken;         /* found inside a call of the worker side: on_abort follows at the end of the turn */
    uint64_t reply_left; /* bytes announced and not sent yet */
    uint32_t slot, generation;
    bool body_in_arena;    /* a small body of known length needs no buffer of its own */
    struct buf body_bytes; /* the body; owned (server_bytes_*) unless body_in_arena */
    struct list link;      /* server.generating; server.free_exchanges */
    struct deferred go_on; /* after exchange_resume; the first step of a generator */
    struct deferred free_later;
};

#define HTTP_LENGTH_UNKNOWN UINT64_MAX

void exchange_own(struct exchange *ex, const struct exchange_owner *owner, void *arg);
/* After FILTER_WAITING; never from inside the filter's own call. The filter's owner callbacks end here; the next step runs at the end of this turn, never inside
 * this call. A filter that waits may reply instead. */
void exchange_resume(struct exchange *ex);

/* Takes EX from its worker side or from a filter that waits: the owner's on_abort runs (it cancels what it started upstream and forgets EX), and the caller answers in its
 * place, at once. False, and nothing has happened: a reply has begun, or EX is over. Never from inside a call of the worker side or of a filter. */
bool exchange_take_back(struct exchange *ex) _must_check_;

/* HOLD sees the reply to come, if it wants it. Before the reply; not inside one of the hold's calls. */
void exchange_hold_reply(struct exchange *ex, const struct exchange_hold *hold, void *arg);
/* From the hold, once: there is no reply yet, and none will be held any more; ex->reply has the fields as they were given. Answer now. */
void exchange_unhold(struct exchange *ex);

/* The bytes of ex->body, or of a held reply's body, as a buffer of the caller's, who frees it and gives its `cap` bytes back to the memory budget; ex->body stays a view into it.
 * Empty: the body is a small one of the arena's, or there is none: copy it. */
struct buf exchange_take_body(struct exchange *ex);
struct buf exchange_take_held(struct exchange *ex);

/* Adds a field to the reply to come (before exchange_reply_head). Views are kept: arena or static. */
void exchange_add(struct exchange *ex, enum http_field_id id, struct str value);
void exchange_add_name(struct exchange *ex, struct str lowercase_name, struct str value);

/* Begins the reply with the fields added so far. LENGTH bytes of body will follow, or HTTP_LENGTH_UNKNOWN. For HEAD, 204 and 304 the body is swallowed. */
void exchange_reply_head(struct exchange *ex, unsigned status, uint64_t length);

enum exchange_send { SEND_OK, SEND_FULL };
/* A part of the body. SEND_FULL: the part was taken, but the client is slow: stop the source until on_ready. Parts over the announced length are dropped and
 * the exchange breaks. */
enum exchange_send exchange_send(struct exchange *ex, struct str part);
enum exchange_send exchange_flush(struct exchange *ex); /* what was corked leaves now */
void exchange_end(struct exchange *ex);                 /* the reply is complete (short of its length: breaks) */
void exchange_break(struct exchange *ex); /* the reply cannot be completed: the client sees the connection cut; outcome EX_FAILED */

/* The whole reply at once; BODY may be any memory that lives until the call returns. */
void exchange_reply(struct exchange *ex, unsigned status, struct str content_type, struct str body);

/* The same for a body that stands until the end of the exchange: it is not copied, however long it is. Fields: those added so far. */
void exchange_reply_kept(struct exchange *ex, unsigned status, struct str body);

#define TYPE_JSON STR("application/json")
#define TYPE_TEXT STR("text/plain; charset=utf-8")

/* A reply made in turns (h2o's generator): PROCEED is called with room for at most 64 KiB; it appends to OUT and returns true when that was the last.
 * The first call comes at the end of this turn, each further one in a turn of its own, none while the client is slow. OUT without a byte although it was not
 * the last: called again in the next turn. More than 64 KiB: the reply breaks. A reply that fits into the first call goes out with its length. */
struct exchange_generator {
    bool (*proceed)(struct exchange *ex, struct buf *out, void *arg);
    void (*stop)(struct exchange *ex,
                 void *arg); /* optional: the client left or the reply broke; also called after the last proceed */
};
void exchange_generate(struct exchange *ex, unsigned status, struct str content_type, const struct exchange_generator *g,
                       void *arg);

/* A name for an exchange that another thread may keep. The owner loop turns it back; NULL when that exchange is over. */
struct exchange_ref {
    struct http_server *server;
    uint32_t slot, generation;
};
struct exchange_ref exchange_refer(struct exchange *ex);
struct exchange *exchange_from_ref(struct exchange_ref ref); /* on the loop of ref.server */

/* The loop of the server behind REF; any thread. */
struct loop *exchange_ref_loop(struct exchange_ref ref);
