/* cli/gateway_client.h -- a command as a client of a running gateway: one question at a time, answered before the call returns
 *
 *   gateway_open --> gateway_do (blocks) ... gateway_pause (blocks) ... --> gateway_close
 *                      \--> struct gateway_ask underneath: the same question without blocking, for commands that run a loop of their own (`smg top`)
 *
 * The client has a private event loop that runs while a call waits, so that SIGINT and SIGTERM end the wait at once (the status is then CLI_INTERRUPTED, and the
 * command returns through its own clean-up). Connections are not kept: questions are far apart.
 * The token comes from SMG_TOKEN or from a file, never from the command line, where every user of the machine could read it; it goes to the gateway only.
 * What goes wrong is printed once, here, with what to do about it; callers return the status.
 * Threads: the main thread only.
 */
#pragma once

#include "cli/cli.h"
#include "http/client.h"
#include "json/json.h"

#define GATEWAY_REPLY_MAX \
    (256u << 20) /* bytes of an answer; 16,384 workers of the largest description that is usual have a tenth of it */

/* Where questions go. */
struct gateway_target {
    struct str text;      /* as a person wrote it, for messages */
    struct str host;      /* the views live in the arena given to gateway_target_parse */
    struct str authority; /* the Host field */
    bool tls;             /* https:// */
    struct str base;      /* path in front of every question's path; "" for most */
    uint16_t port;
};

/* "http://host:port[/base]", or https. ERR_INVALID with a message that says what to write. */
int gateway_target_parse(struct str text, struct arena *arena, struct gateway_target *ret, struct err *err) _must_check_;

/* The options that every command of this kind has; the first member of its config struct. */
struct gateway_options {
    struct str gateway, token_file;
    struct option_list ca_certs;
    struct str client_cert, client_key;
    double timeout_s;
};

/* clang-format off */
/* Rows of a table whose struct begins with `struct gateway_options`. TIMEOUT is text: seconds for one answer. */
#define GATEWAY_OPTIONS(timeout)                                                                                                  \
    { .name = "--gateway", .aliases = { "-g" }, .env = { "SMG_GATEWAY" }, .type = OPT_STR,                                        \
      .at = offsetof(struct gateway_options, gateway), .def = "http://127.0.0.1:30000", .value = "URL", .group = "Gateway",       \
      .help = "the gateway that is asked" },                                                                                      \
    { .name = "--token-file", .type = OPT_PATH, .at = offsetof(struct gateway_options, token_file), .value = "PATH",              \
      .def_help = "the variable SMG_TOKEN",                                                                                       \
      .help = "file with the bearer token (an admin key or a JWT); there is no option for the token itself, for `ps` would show it" }, \
    { .name = "--ca-cert", .type = OPT_APPEND, .at = offsetof(struct gateway_options, ca_certs), .value = "PATH", .help = "an https gateway's authority, PEM, beside the system's; repeatable" }, { .name = "--client-cert", .type = OPT_PATH, .at = offsetof(struct gateway_options, client_cert), .value = "PATH", .help = "certificate that an https gateway may ask for, PEM" }, { .name = "--client-key", .type = OPT_PATH, .at = offsetof(struct gateway_options, client_key), .value = "PATH", .help = "its private key, PEM" }, { .name = "--timeout", .type = OPT_F64, .at = offsetof(struct gateway_options, timeout_s), .def = (timeout), .min = 0.1,      \
      .max = 86400, .unit = "s", .value = "S", .help = "for each answer of the gateway" }
/* clang-format on */

#define GATEWAY_EXITS                                                                                                           \
    "Exit status: 0 done; 1 the gateway refused or the job failed; 2 wrong usage; 3 the gateway cannot be reached; 4 the time " \
    "of a wait was over; 130 interrupted."

struct gateway_ask;

struct gateway_client {
    struct loop *loop;       /* owned */
    struct tls_context *tls; /* owned; NULL when neither the gateway nor another target speaks TLS */
    struct gateway_target target;
    struct str token;      /* arena; empty = none. Never printed */
    struct str token_from; /* "the variable SMG_TOKEN", for messages */
    uint32_t timeout_ms;
    bool interrupted; /* SIGINT or SIGTERM came */

    /* Called in place of ending the blocking call, when set: for a command that runs the loop itself. */
    void (*on_interrupt)(void *arg);
    void *arg;

    /* internal */
    uv_signal_t signals[2];
    bool blocked;               /* a blocking call runs the loop */
    struct gateway_ask *asking; /* its ask; NULL = a pause */
    struct timer pause;
};

/* TOKEN_ENV is the value of SMG_TOKEN or NULL. What the client points to lives in ARENA. */
int gateway_open(struct gateway_client *g, const struct gateway_options *o, const char *token_env, struct arena *arena,
                 struct err *err) _must_check_;
void gateway_close(struct gateway_client *g); /* no ask may be running; a client that was not opened, or is zeroed, is fine */

/* ---- one question, without blocking ---- */

struct gateway_ask {
    /* set by the caller; borrowed until done */
    struct gateway_client *client;
    const struct gateway_target *target; /* NULL = the gateway; another one gets no token */
    enum http_method method;
    struct str path; /* with its query */
    struct str body; /* JSON; empty = none */
    /* The terminal callback, never from inside gateway_ask_start. STATUS 0: an answer with any HTTP status is in fetch.status, fetch.body; else negative. */
    void (*done)(struct gateway_ask *a, int status);
    void *owner;

    struct http_fetch fetch; /* the result */
    /* internal */
    struct http_client *http; /* owned while it runs; NULL otherwise */
    struct buf head;
    struct timer deadline;
};

int gateway_ask_start(struct gateway_ask *a) _must_check_;
void gateway_ask_cancel(struct gateway_ask *a); /* silent; fine when it does not run */
void gateway_ask_fini(struct gateway_ask *a);   /* frees the result; not while it runs */

/* ---- blocking, with messages ---- */

struct gateway_reply {
    unsigned status;
    struct buf body;     /* owned: the API's own bytes */
    struct arena arena;  /* of doc, and of whatever the caller makes of it */
    struct json_doc doc; /* the body, parsed */
};

/* Asks and reads the JSON of the answer (a DELETE may be answered with plain text; there is no document then). CLI_OK for 2xx and for the status ACCEPT (0 = none besides); everything else is printed and its enum cli_status returned. Zeroes
 * *REPLY first; the caller frees it with gateway_reply_fini in any case. */
int gateway_do(struct gateway_client *g, enum http_method method, struct str path, struct str body, unsigned accept,
               struct gateway_reply *reply) _must_check_;
void gateway_reply_fini(struct gateway_reply *r);

/* Waits. CLI_OK or CLI_INTERRUPTED. */
int gateway_pause(struct gateway_client *g, uint64_t ms) _must_check_;

/* Prints REPLY's body as it came, with a newline behind it. A cli_status. */
int gateway_print(const struct gateway_reply *r) _must_check_;
/* The string KEY of OBJECT, a part of the answer, fit for a terminal; empty when there is none. */
struct str gateway_text(struct gateway_reply *r, struct json object, struct str key);

/* ---- for messages and for `smg top` ---- */

/* Why an answer that came is no good, as one line: what the gateway said, and the remedy for 401, 403 and 404. STATUS as in the answer, BODY its bytes. */
void gateway_explain(const struct gateway_client *g, unsigned status, struct str body, struct buf *out);
/* Why no answer came: CODE is negative. */
void gateway_explain_failure(const struct gateway_client *g, const struct gateway_target *t, int code, struct buf *out);

/* Runs a command of this kind: options into CONFIG (whose first member is a struct gateway_options), client, RUN, clean-up. Returns the exit status. */
int cli_run_with_gateway(const struct option_table *table, int argc, const char *const *argv, void *config, size_t config_size,
                         int (*run)(struct gateway_client *g, void *config, struct arena *arena));
