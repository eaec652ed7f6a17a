/* cli/gateway_client.c -- one question to a running gateway, and what its answer means for a person
 *
 *   gateway_ask:   idle --gateway_ask_start--> running --on_fetched, on_deadline--> idle, done called
 *                                              running --gateway_ask_cancel------> idle, silent
 *
 * A blocking call is an ask, or a timer, with the loop running around it: end_blocking() stops the loop. A signal that comes meanwhile ends it the same way.
 */
#include "cli/gateway_client.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/url.h"
#include "cli/text_table.h"

#define TOKEN_MAX   (64u << 10)
#define MESSAGE_MAX 400 /* bytes of the gateway's own words in a message */

static const int SIGNALS[] = { SIGINT, SIGTERM };

/* ---- the target ---- */

int gateway_target_parse(struct str text, struct arena *arena, struct gateway_target *ret, struct err *err)
{
    struct str copy = arena_str(arena, text);
    struct gateway_target t = { .text = copy };
    struct url url;

    if (!copy.p)
        return err_set(err, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
    if (url_parse(copy, &url, err) < 0)
        return err_wrap(err, ERR_INVALID, "'%.*s' is no URL of a gateway (write http://host:port)", STR_FMT(str_first(copy, 200)));
    t.tls = str_eq(url.scheme, STR("https"));
    if (!t.tls && !str_eq(url.scheme, STR("http")))
        return err_set(err, ERR_INVALID, "'%.*s': only http:// and https:// can be asked, not %.*s://",
                       STR_FMT(str_first(copy, 200)), STR_FMT(url.scheme));
    if (url.host.n == 0 || url.query.n)
        return err_set(err, ERR_INVALID, "'%.*s' is no URL of a gateway: write http://host:port", STR_FMT(str_first(copy, 200)));
    t.host = url.host;
    t.port = url.port;
    t.authority = arena_printf(arena, url.host_is_ipv6 ? "[%.*s]:%u" : "%.*s:%u", STR_FMT(url.host), url.port);
    t.base = url.path;
    while (t.base.n && t.base.p[t.base.n - 1] == '/')
        t.base.n--;
    if (!t.authority.p)
        return err_set(err, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
    *ret = t;
    return 0;
}

/* ---- life ---- */

static int read_token(struct gateway_client *g, const struct gateway_options *o, const char *env, struct arena *arena,
                      struct err *err)
{
    _cleanup_(buf_fini) struct buf text = { 0 };
    int r;

    if (o->token_file.n) {
        struct str path = arena_str(arena, o->token_file);

        r = path.p ? file_read(path.p, TOKEN_MAX, &text, err) : err_set(err, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
        if (r < 0)
            return err_wrap(err, r, "--token-file");
        g->token = arena_str(arena, str_trim(buf_str(&text)));
        g->token_from = arena_printf(arena, "the file %.*s", STR_FMT(path));
    } else if (env && env[0]) {
        g->token = arena_str(arena, str_trim(str_of(env)));
        g->token_from = STR("the variable SMG_TOKEN");
    } else {
        return 0;
    }
    if (arena->failed)
        return err_set(err, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
    if (g->token.n == 0 || !http_is_field_value(g->token))
        return err_set(err, ERR_INVALID, "the token in %.*s %s", STR_FMT(g->token_from),
                       g->token.n ? "has characters that no token has" : "is empty");
    return 0;
}

/* Also when the gateway itself is plain: another target may not be. Reading the system's authorities costs some milliseconds, so only when somebody may need them. */
static int make_tls(struct gateway_client *g, const struct gateway_options *o, struct err *err)
{
    struct tls_client_conf conf = {
        .ca_paths = o->ca_certs.items, .ca_paths_n = o->ca_certs.n, .cert_path = o->client_cert, .key_path = o->client_key
    };

    if (!o->client_cert.n != !o->client_key.n)
        return err_set(err, ERR_INVALID, "--client-cert and --client-key belong together: give both or none");
    if (!g->target.tls && o->ca_certs.n == 0)
        return 0;
    return tls_client_new(&conf, &g->tls, err);
}

static void end_blocking(struct gateway_client *g)
{
    g->blocked = false;
    loop_stop(g->loop);
}

static void on_signal(uv_signal_t *handle, int signum)
{
    struct gateway_client *g = handle->data;

    loop_enter(g->loop);
    g->interrupted = true;
    if (g->on_interrupt) {
        g->on_interrupt(g->arg);
    } else if (g->blocked) {
        if (g->asking)
            gateway_ask_cancel(g->asking);
        timer_stop(&g->pause);
        end_blocking(g);
    }
}

/* Unreferenced handles: they do not keep the loop alive when it is told to stop. */
static int watch_signals(struct gateway_client *g, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(SIGNALS); i++) {
        int r = uv_signal_init(&g->loop->uv, &g->signals[i]);

        if (r == 0)
            g->signals[i].data = g;
        if (r == 0)
            r = uv_signal_start(&g->signals[i], on_signal, SIGNALS[i]);
        if (r < 0)
            return err_set(err, err_from_errno(r), "signals: %s", uv_strerror(r));
        uv_unref((uv_handle_t *)&g->signals[i]);
    }
    return 0;
}

int gateway_open(struct gateway_client *g, const struct gateway_options *o, const char *token_env, struct arena *arena,
                 struct err *err)
{
    int r;

    *g = (struct gateway_client){ .timeout_ms = (uint32_t)(o->timeout_s * 1000) };
    r = gateway_target_parse(o->gateway, arena, &g->target, err);
    if (r < 0)
        return err_wrap(err, r, "--gateway");
    r = read_token(g, o, token_env, arena, err);
    if (r == 0)
        r = make_tls(g, o, err);
    if (r == 0)
        r = loop_new("client", /* index= */ 0, &g->loop, err);
    if (r == 0)
        r = watch_signals(g, err);
    return r;
}

void gateway_close(struct gateway_client *g)
{
    if (g->loop) {
        for (size_t i = 0; i < ARRAY_LEN(g->signals); i++)
            if (g->signals[i].data)
                uv_close((uv_handle_t *)&g->signals[i], NULL);
        timer_stop(&g->pause);
        loop_free(g->loop);
    }
    tls_context_free(g->tls);
    g->loop = NULL;
    g->tls = NULL;
}

/* ---- one question ---- */

static void write_head(struct gateway_ask *a, const struct gateway_target *t)
{
    const struct str *token = t == &a->client->target ? &a->client->token : NULL;
    _cleanup_(buf_fini) struct buf text = { 0 };

    buf_put(&text, t->base);
    buf_put(&text, a->path);
    h1_put_request_line(&a->head, http_method_text(a->method), buf_str(&text));
    (void)h1_put_field(&a->head, STR("host"), t->authority); /* url_parse refuses what would break the framing; so for the others */
    (void)h1_put_field(&a->head, STR("accept"), STR("application/json, */*"));
    (void)h1_put_field(&a->head, STR("user-agent"), STR("smg"));
    if (token && token->n) {
        buf_clear(&text);
        buf_puts(&text, "Bearer ");
        buf_put(&text, *token);
        (void)h1_put_field(&a->head, STR("authorization"), buf_str(&text));
    }
    if (a->body.n)
        (void)h1_put_field(&a->head, STR("content-type"), STR("application/json"));
    if (a->method != HTTP_GET)
        h1_put_length(&a->head, a->body.n);
    (void)h1_put_field(&a->head, STR("connection"), STR("close"));
    h1_put_end(&a->head);
    a->head.failed |= text.failed;
}

/* The connection, kept or not, goes with its client: what is left of the ask is its result. */
static void release(struct gateway_ask *a)
{
    timer_stop(&a->deadline);
    http_client_free(a->http);
    a->http = NULL;
}

static void on_fetched(struct http_fetch *f, int status)
{
    struct gateway_ask *a = CONTAINER_OF(f, struct gateway_ask, fetch);

    release(a);
    a->done(a, status);
}

static void on_deadline(struct timer *t)
{
    struct gateway_ask *a = CONTAINER_OF(t, struct gateway_ask, deadline);

    http_fetch_cancel(&a->fetch);
    release(a);
    a->done(a, ERR_TIMEOUT);
}

int gateway_ask_start(struct gateway_ask *a)
{
    const struct gateway_target *t = a->target ? a->target : &a->client->target;
    struct loop *loop = a->client->loop;
    int r;

    buf_clear(&a->head);
    write_head(a, t);
    if (a->head.failed)
        return ERR_NOMEM;
    r = http_client_new(loop, &(struct http_client_conf){ .tls = a->client->tls }, &a->http);
    if (r < 0)
        return r;
    a->fetch.call = (struct http_call){
        .host = t->host,
        .port = t->port,
        .tls = t->tls,
        .method = a->method,
        .head = buf_str(&a->head),
        .body = a->body,
        .connect_ms = a->client->timeout_ms,
    };
    a->fetch.max = GATEWAY_REPLY_MAX;
    a->fetch.done = on_fetched;
    r = http_fetch_start(a->http, &a->fetch);
    if (r < 0) {
        release(a);
        return r;
    }
    timer_start(loop, &a->deadline, a->client->timeout_ms, on_deadline);
    return 0;
}

void gateway_ask_cancel(struct gateway_ask *a)
{
    if (!a->http)
        return;
    http_fetch_cancel(&a->fetch);
    release(a);
}

void gateway_ask_fini(struct gateway_ask *a)
{
    http_fetch_fini(&a->fetch);
    buf_fini(&a->head);
}

/* ---- blocking ---- */

struct blocking_call {
    struct gateway_client *g;
    struct deferred begin;
    struct gateway_ask ask;
    uint64_t pause_ms;
    int status;
};

static void on_answered(struct gateway_ask *a, int status)
{
    struct blocking_call *b = a->owner;

    b->status = status;
    end_blocking(a->client);
}

static void begin_ask(struct deferred *d)
{
    struct blocking_call *b = CONTAINER_OF(d, struct blocking_call, begin);
    int r = gateway_ask_start(&b->ask);

    if (r < 0)
        on_answered(&b->ask, r);
}

static void on_pause_over(struct timer *t)
{
    end_blocking(CONTAINER_OF(t, struct gateway_client, pause));
}

static void begin_pause(struct deferred *d)
{
    struct blocking_call *b = CONTAINER_OF(d, struct blocking_call, begin);

    timer_start(b->g->loop, &b->g->pause, b->pause_ms, on_pause_over);
}

/* What BEGIN starts ends with end_blocking(). */
static void run_blocking(struct gateway_client *g, struct blocking_call *b, void (*begin)(struct deferred *d))
{
    b->g = g;
    b->status = ERR_CANCELLED;
    b->begin.run = begin;
    g->blocked = true;
    loop_defer(g->loop, &b->begin);
    loop_run(g->loop);
}

int gateway_pause(struct gateway_client *g, uint64_t ms)
{
    struct blocking_call b = { .pause_ms = ms };

    if (!g->interrupted)
        run_blocking(g, &b, begin_pause);
    return g->interrupted ? CLI_INTERRUPTED : CLI_OK;
}

/* ---- what went wrong, in words ---- */

/* The sentence inside an error body: {"error":M}, {"error":{"message":M}}, {"message":M}; else a short text as it is. */
static struct str message_of(struct str body, struct arena *arena)
{
    struct json_doc doc;
    struct json error;
    struct str text = STR_NONE;

    if (json_parse(body, arena, &doc, NULL) == 0) {
        error = json_get(json_root(&doc), STR("error"));
        text = json_str(error, arena);
        if (!text.n)
            text = json_str(json_get(error, STR("message")), arena);
        if (!text.n)
            text = json_str(json_get(json_root(&doc), STR("message")), arena);
    } else if (body.n && body.p[0] != '<') {
        text = str_trim(body);
    }
    return text_clean(str_first(text, MESSAGE_MAX), arena);
}

static void put_remedy(const struct gateway_client *g, unsigned status, struct buf *out)
{
    if (status == 401 && g->token.n)
        buf_printf(out, "; the token in %.*s is not one that it knows", STR_FMT(g->token_from));
    else if (status == 401)
        buf_puts(out, "; put an admin key into the variable SMG_TOKEN, or into a file for --token-file");
    else if (status == 403)
        buf_printf(out, "; this needs the role admin, which the token in %.*s does not give",
                   STR_FMT(g->token.n ? g->token_from : STR("the request")));
    else if (status == 404)
        buf_printf(out, "; is %.*s a gateway that can do this?", STR_FMT(g->target.text));
}

void gateway_explain(const struct gateway_client *g, unsigned status, struct str body, struct buf *out)
{
    struct arena arena;
    struct str message;

    arena_init(&arena, /* cache= */ NULL, /* max_bytes= */ 0);
    message = message_of(body, &arena);
    if (message.n)
        buf_printf(out, "the gateway says: %.*s (status %u)", STR_FMT(message), status);
    else
        buf_printf(out, "the gateway answered with status %u %s", status, http_reason(status));
    /* A 404 with a code is about a thing that is not there, not about a path that is not. */
    if (status != 404 || str_find(body, STR("_NOT_FOUND")) == STR_NPOS)
        put_remedy(g, status, out);
    arena_fini(&arena);
}

void gateway_explain_failure(const struct gateway_client *g, const struct gateway_target *t, int code, struct buf *out)
{
    buf_printf(out, "%.*s ", STR_FMT(t->text));
    if (err_is_tls(code)) {
        buf_printf(out,
                   "cannot be asked: %s; its authority is named with --ca-cert PATH, our own certificate with --client-cert and "
                   "--client-key",
                   err_text(code));
        return;
    }
    switch (code) {
    case ERR_TIMEOUT:
        buf_printf(out, "did not answer within %g s (--timeout)", g->timeout_ms / 1000.0);
        break;
    case ERR_RESET:
    case ERR_CLOSED:
        buf_puts(out, "closed the connection before its answer was complete");
        break;
    case ERR_PROTOCOL:
        buf_puts(out, "did not answer in HTTP; the gateway listens on another port, or wants https://");
        break;
    case ERR_LIMIT:
        buf_printf(out, "sent an answer of more than %u MiB", GATEWAY_REPLY_MAX >> 20);
        break;
    case ERR_NOMEM:
        buf_puts(out, "could not be asked: out of memory");
        break;
    default:
        buf_printf(
            out, "cannot be reached: %s; start a gateway there, or name another one with --gateway URL or the variable SMG_GATEWAY",
            err_text(code));
    }
}

static int say(const struct buf *text)
{
    fprintf(stderr, "smg: error: %.*s\n", (int)text->n, text->p ? text->p : "");
    return CLI_FAILED;
}

/* ---- an answer in JSON ---- */

static int read_reply(struct gateway_client *g, struct gateway_ask *a, unsigned accept, struct gateway_reply *reply)
{
    _cleanup_(buf_fini) struct buf text = { 0 };
    bool good = a->fetch.status / 100 == 2 || (accept && a->fetch.status == accept);

    reply->status = a->fetch.status;
    reply->body = a->fetch.body;
    a->fetch.body = (struct buf){ 0 };
    if (!good) {
        gateway_explain(g, reply->status, buf_str(&reply->body), &text);
        return say(&text);
    }
    if (a->method == HTTP_DELETE && str_has_prefix(str_of(a->fetch.content_type), STR("text/plain")))
        return CLI_OK; /* of plugins: a sentence, as SMG's */
    if (json_parse(buf_str(&reply->body), &reply->arena, &reply->doc, NULL) < 0) {
        buf_printf(&text, "%.*s answered with %s in place of JSON; is it a gateway?", STR_FMT(g->target.text),
                   a->fetch.content_type[0] ? a->fetch.content_type : "bytes of no type");
        return say(&text);
    }
    return CLI_OK;
}

int gateway_do(struct gateway_client *g, enum http_method method, struct str path, struct str body, unsigned accept,
               struct gateway_reply *reply)
{
    struct blocking_call b = { .ask = { .client = g, .method = method, .path = path, .body = body, .done = on_answered } };
    _cleanup_(buf_fini) struct buf text = { 0 };
    int status;

    *reply = (struct gateway_reply){ 0 };
    arena_init(&reply->arena, /* cache= */ NULL, /* max_bytes= */ 0);
    b.ask.owner = &b;
    g->asking = &b.ask;
    if (!g->interrupted)
        run_blocking(g, &b, begin_ask);
    g->asking = NULL;
    if (g->interrupted) {
        status = CLI_INTERRUPTED;
    } else if (b.status < 0) {
        gateway_explain_failure(g, &g->target, b.status, &text);
        (void)say(&text);
        status = CLI_UNREACHABLE;
    } else {
        status = read_reply(g, &b.ask, accept, reply);
    }
    gateway_ask_fini(&b.ask);
    return status;
}

void gateway_reply_fini(struct gateway_reply *r)
{
    buf_fini(&r->body);
    arena_fini(&r->arena);
}

int gateway_print(const struct gateway_reply *r)
{
    bool newline = r->body.n == 0 || r->body.p[r->body.n - 1] != '\n';

    if (fwrite(r->body.p ? r->body.p : "", 1, r->body.n, stdout) != r->body.n || (newline && putchar('\n') == EOF) ||
        fflush(stdout))
        return cli_fail(&(struct err){ ERR_IO, "standard output could not be written" });
    return CLI_OK;
}

struct str gateway_text(struct gateway_reply *r, struct json object, struct str key)
{
    return text_clean(json_str(json_get(object, key), &r->arena), &r->arena);
}

/* ---- a command ---- */

int cli_run_with_gateway(const struct option_table *table, int argc, const char *const *argv, void *config, size_t config_size,
                         int (*run)(struct gateway_client *g, void *config, struct arena *arena))
{
    struct option_input in = { .argc = argc, .argv = argv, .env = option_getenv };
    struct option_report report = { 0 };
    struct gateway_client g = { 0 };
    struct err err = { 0 };
    struct arena arena;
    int status, r;

    arena_init(&arena, /* cache= */ NULL, /* max_bytes= */ 0);
    r = options_parse(table, &in, &arena, config, config_size, &report);
    status = cli_parsed(r, table, &report);
    if (r == 0 && status == 0) {
        r = gateway_open(&g, config, option_getenv(NULL, "SMG_TOKEN"), &arena, &err);
        if (r < 0)
            status = cli_fail(&err) == 1 && r == ERR_INVALID ? CLI_USAGE : CLI_FAILED;
        else
            status = run(&g, config, &arena);
        gateway_close(&g);
    }
    arena_fini(&arena);
    return status;
}
