/* generation.c -- the life of one answer: delay, faults, tokens as they become available, and the ways out
 *
 *    (new) --> DELAYED --> (FETCHING) --> RUNNING --> DONE
 *                             |          ^
 *                             v          |
 *                          STALLED ------+ (the client leaves)
 *
 *   from      to        by                when
 *   (new)     DELAYED   generation_begin  --ttft-ms, --gen-ms or the header's delay say so
 *   (new), D  RUNNING   start             the delay is over
 *   (new), D  FETCHING  start             a decode engine asks for the blocks of its prompt
 *   FETCHING  RUNNING   on_fetched        they are there; DONE: they did not come
 *   RUNNING   STALLED   pump, finish      the fault `stall` is reached; nothing wakes it but the client's end
 *   RUNNING   DONE      end_stream        the last token went out;  reply_whole: the reply that is no stream;  break_off: the fault `cut`
 *   D         DONE      start             a failure status
 *   any       DONE      on_abort          the client left
 *
 * Tokens become available at once (canned), by the clock (--tokens-per-second), or when the model says so (realistic); pump() sends what is available and not
 * sent, unless the client is slow: then on_ready() pumps again.
 */
#include "mock/generation.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>

#include "base/clock.h"

static void begin(struct generation *g, struct mock_engine *e);
static void on_delay_over(struct due *d);
static void start(struct generation *g);
static void on_fetched(struct handover *h, int status);
static void run(struct generation *g);
static void on_pace(struct due *d);
static void produced(struct generation *g, uint64_t available);
static void pump(struct generation *g);
static void on_ready(struct exchange *ex, void *arg);
/* ... and the ways out. */
static void end_stream(struct generation *g);
static void reply_whole(struct generation *g);
static void break_off(struct generation *g);
static void on_abort(struct exchange *ex, void *arg);

static const struct exchange_owner OWNER = { .on_ready = on_ready, .on_abort = on_abort };

static void enter(struct generation *g, enum generation_state state)
{
    assert(g->state != GEN_DONE && state >= g->state);
    g->state = state;
    if (state == GEN_DONE || state == GEN_STALLED) {
        handover_cancel(&g->handover);
        schedule_remove(&g->engine->schedule, &g->due);
        if (g->engine->shared->conf.mode == MOCK_REALISTIC)
            model_cancel(&g->engine->model, &g->model);
    }
    if (state == GEN_DONE) {
        ENGINE_COUNT(g->engine, running, -1);
        ENGINE_COUNT(g->engine, cached_tokens, g->model.cached_tokens);
    }
}

/* ---- what the answer will be ---- */

static bool read_faults(struct generation *g, struct err *err)
{
    const struct mock_faults *f = engine_faults(g->engine);
    const struct mock_conf *conf = &g->engine->shared->conf;
    const struct http_field *header = http_find_name(&g->ex->req.fields, STR("x-mock-fault"));

    g->faults =
        (struct mock_request_faults){ .stall_after = f->stall_after, .cut_after = f->cut_after, .wrong_length = f->wrong_length };
    if (f->fail_rate > 0 && random_unit(&g->engine->random) < f->fail_rate)
        g->faults.status = f->fail_status;
    g->faults.retry_after_s = f->retry_after_s;
    g->faults.delay_ms = f->ttft_ms + (conf->mode == MOCK_CANNED ? conf->gen_ms : 0);
    return !header || faults_read_header(header->value, &g->faults, err) == 0;
}

/* How many tokens an answer has that could have WANTED; the sum over the choices stays within ASK_OUTPUT_MAX. */
static uint64_t limit(const struct generation *g, uint64_t wanted)
{
    const struct ask *a = &g->ask;

    if (g->engine->shared->conf.role == MOCK_ROLE_PREFILL)
        return 1; /* the first token comes with the prompt; the rest is the decode engine's */
    wanted = MAX(wanted, a->min_tokens);
    if (a->max_tokens)
        wanted = a->ignore_eos ? a->max_tokens : MIN(wanted, a->max_tokens);
    return MIN(wanted, ASK_OUTPUT_MAX / g->choices_n);
}

static void choose_text(struct generation *g, struct choice *c)
{
    const struct mock_conf *conf = &g->engine->shared->conf;
    size_t bytes;

    if (g->ask.says_n) {
        c->say = &g->ask.says[c->index % g->ask.says_n];
        c->tokens = MIN(limit(g, c->say->n), c->say->n);
        c->text = str_first(c->say->text, c->tokens ? c->say->ends[c->tokens - 1] : 0);
        c->cut_short = c->tokens < c->say->n;
        return;
    }
    if (conf->echo) {
        c->tokens = text_count(c->prompt->echo, limit(g, ASK_OUTPUT_MAX), &bytes);
        c->text = str_first(c->prompt->echo, bytes);
        c->cut_short = bytes < c->prompt->echo.n;
        return;
    }
    c->tokens = limit(g, conf->output_tokens);
    c->cut_short = g->ask.max_tokens && c->tokens == g->ask.max_tokens;
    c->text = text_reply(&g->engine->shared->text, text_mix(c->prompt->hash, conf->seed + c->index), c->tokens, &g->ex->arena);
}

/* Which half of a pair the request is, for an engine that has a role. */
static int read_order(struct generation *g, struct err *err)
{
    const struct mock_conf *conf = &g->engine->shared->conf;
    uint64_t serial = atomic_fetch_add_explicit(&g->engine->shared->serial, 1, memory_order_relaxed);

    if (conf->role == MOCK_ROLE_BOTH)
        return 0;
    g->order = arena_new(&g->ex->arena, struct handover_order);
    if (!g->order)
        return err_set(err, ERR_NOMEM, "out of memory");
    return handover_read(conf->role, conf->runtime, g->ask.root, conf->bootstrap_port, serial, g->order, err);
}

static bool choose_texts(struct generation *g)
{
    g->choices_n = g->ask.prompts_n * g->ask.n;
    g->choices = arena_array(&g->ex->arena, g->choices_n, sizeof(*g->choices));
    if (!g->choices)
        return false;
    for (unsigned i = 0; i < g->choices_n; i++) {
        struct choice *c = &g->choices[i];

        c->index = i;
        c->prompt = &g->ask.prompts[i / g->ask.n];
        choose_text(g, c);
        g->tokens = MAX(g->tokens, c->tokens);
    }
    for (unsigned i = 0; i < g->ask.prompts_n; i++)
        g->prompt_tokens += MAX((g->ask.prompts[i].bytes + MOCK_TOKEN_BYTES - 1) / MOCK_TOKEN_BYTES, 1);
    return !g->ex->arena.failed;
}

static void choose_names(struct generation *g)
{
    struct mock_shared *s = g->engine->shared;
    uint64_t serial = atomic_fetch_add_explicit(&s->serial, 1, memory_order_relaxed);

    (void)snprintf(g->id, sizeof(g->id), "%s%016llx", g->dialect->id_prefix,
                   (unsigned long long)text_mix(text_mix(s->conf.seed, s->conf.instance), serial));
    g->created_s = clock_wall_s();
    g->model_json = g->ask.model_json.n ? g->ask.model_json : buf_str(&s->model_json);
}

/* The answer joins the chain of the prompt: the next turn of a conversation finds both. */
static void prepare_model(struct generation *g, struct kv_hasher *hasher)
{
    if (g->choices[0].text.n)
        kv_hasher_feed(hasher, g->choices[0].text);
    g->model = (struct model_request){
        .prompt_tokens = g->prompt_tokens,
        .output_tokens = MAX(g->tokens, 1),
        .choices = g->choices_n,
        .blocks = hasher->hashes,
        .blocks_n = hasher->n,
    };
}

void generation_begin(struct exchange *ex, struct mock_engine *e, const struct dialect *dialect)
{
    const struct mock_conf *conf = &e->shared->conf;
    struct generation *g = arena_new(&ex->arena, struct generation);
    struct kv_hasher hasher;
    struct err err = { 0 };
    int r;

    ENGINE_COUNT(e, requests, 1);
    if (!g) {
        ENGINE_COUNT(e, failed, 1);
        engine_error(e, ex, 503, "out of memory");
        return;
    }
    g->engine = e;
    g->ex = ex;
    g->dialect = dialect;
    kv_hasher_init(&hasher, &ex->arena, (size_t)conf->block_size * MOCK_TOKEN_BYTES);
    r = ask_read(dialect->kind, ex->body, &ex->arena, conf->mode == MOCK_REALISTIC ? &hasher : NULL, &g->ask, &err);
    if (r == 0)
        r = read_order(g, &err);
    if (r < 0 || !read_faults(g, &err)) {
        ENGINE_COUNT(e, failed, 1);
        engine_error(e, ex, r == ERR_NOMEM ? 503 : 400, err.message);
        return;
    }
    if (!choose_texts(g)) {
        ENGINE_COUNT(e, failed, 1);
        engine_error(e, ex, 503, "out of memory");
        return;
    }
    if (conf->mode == MOCK_REALISTIC)
        prepare_model(g, &hasher);
    choose_names(g);
    begin(g, e);
}

static void begin(struct generation *g, struct mock_engine *e)
{
    ENGINE_COUNT(e, running, 1);
    exchange_own(g->ex, &OWNER, g);
    if (g->faults.delay_ms == 0) {
        start(g);
        return;
    }
    if (schedule_add(&e->schedule, &g->due, loop_now_us(e->loop) + (uint64_t)g->faults.delay_ms * 1000, on_delay_over) < 0)
        start(g); /* without memory for a timer: at once */
}

static void on_delay_over(struct due *d)
{
    start(CONTAINER_OF(d, struct generation, due));
}

/* ---- tokens become available ---- */

static void fail(struct generation *g)
{
    enter(g, GEN_DONE);
    engine_fail(g->engine, g->ex, &g->faults);
}

/* A decode engine has nothing to say before the blocks of its prompt are there. */
static void fetch(struct generation *g)
{
    struct mock_engine *e = g->engine;

    enter(g, GEN_FETCHING);
    if (handover_start(&g->handover, e->client, g->order, on_fetched) < 0)
        on_fetched(&g->handover, ERR_NOMEM);
}

static void on_fetched(struct handover *h, int status)
{
    struct generation *g = CONTAINER_OF(h, struct generation, handover);
    struct mock_engine *e = g->engine;
    struct exchange *ex = g->ex;

    if (status == 0) {
        g->transferred = g->model.remote = true;
        run(g);
        return;
    }
    enter(g, GEN_DONE);
    ENGINE_COUNT(e, failed, 1);
    engine_error(e, ex, 500, "the KV blocks of the prompt did not come from the prefill engine");
}

static void start(struct generation *g)
{
    if (g->faults.status)
        fail(g);
    else if (g->order && g->order->any && g->engine->client)
        fetch(g);
    else
        run(g);
}

static void run(struct generation *g)
{
    const struct mock_conf *conf = &g->engine->shared->conf;

    enter(g, GEN_RUNNING);
    g->started_us = MAX(loop_now_us(g->engine->loop), g->due.at_us);
    ENGINE_COUNT(g->engine, prompt_tokens, g->prompt_tokens);
    if (conf->mode == MOCK_REALISTIC) {
        if (engine_submit(g->engine, &g->model) < 0)
            produced(g, g->tokens);
    } else if (conf->tokens_per_second > 0 && g->tokens > 1) {
        on_pace(&g->due);
    } else {
        produced(g, g->tokens);
    }
}

/* Token k of a paced answer is due k / rate after the start; of a stream, with the last one of its burst. */
static void on_pace(struct due *d)
{
    struct generation *g = CONTAINER_OF(d, struct generation, due);
    const struct mock_conf *conf = &g->engine->shared->conf;
    double rate = conf->tokens_per_second;
    uint64_t passed_us =
        MAX(loop_now_us(g->engine->loop), d->at_us) - g->started_us; /* a turn's time may lie before what fell due in it */
    uint64_t available = MIN((uint64_t)((double)passed_us * rate / 1e6 + 1e-6) + 1, g->tokens);
    uint64_t together = (uint64_t)conf->tokens_per_chunk * conf->burst;
    uint64_t next = g->tokens - 1, at_us;

    if (g->ask.stream) {
        if (available < g->tokens)
            available -= available % together;
        next = MIN(available + together, g->tokens) - 1;
    }
    at_us = g->started_us + (uint64_t)ceil((double)next / rate * 1e6);

    if (available < g->tokens && schedule_add(&g->engine->schedule, &g->due, at_us, on_pace) < 0)
        available = g->tokens; /* without memory for a timer: at once */
    produced(g, available);
}

/* A prefill engine's prompt is computed: whoever asks for its blocks gets them. One that is to stall or to break off has none to give. */
static void hand_out(struct generation *g)
{
    g->handed = true;
    for (unsigned i = 0; i < g->order->n && g->faults.stall_after < 0 && g->faults.cut_after < 0; i++)
        bootstrap_open(g->engine->bootstrap, g->order->rooms[i].room);
}

/* AVAILABLE tokens of each choice are there. May end the generation: the caller's last statement. */
static void produced(struct generation *g, uint64_t available)
{
    if (g->order && g->order->any && g->engine->bootstrap && !g->handed)
        hand_out(g);
    ENGINE_COUNT(g->engine, output_tokens, (available - g->available) * g->choices_n);
    g->available = available;
    if (g->ask.stream)
        pump(g);
    else if (available >= g->tokens)
        reply_whole(g);
}

/* ---- a stream ---- */

static void open_stream(struct generation *g, struct buf *out)
{
    g->opened = true;
    exchange_add(g->ex, HF_CONTENT_TYPE, STR("text/event-stream"));
    exchange_reply_head(g->ex, 200, HTTP_LENGTH_UNKNOWN);
    g->dialect->open(g, out);
}

/* Where the next token of C, which begins at FROM, ends. */
static size_t token_end(const struct choice *c, size_t from)
{
    return c->say ? c->say->ends[c->sent] : text_token_end(c->text, from);
}

/* One event for each choice, with the next N tokens. */
static void put_pieces(struct generation *g, uint64_t n, struct buf *out)
{
    for (unsigned i = 0; i < g->choices_n; i++) {
        struct choice *c = &g->choices[i];
        size_t end = c->at;

        for (uint64_t k = 0; k < n && end < c->text.n; k++, c->sent++)
            end = token_end(c, end);
        if (end > c->at) {
            struct str words = str_range(c->text.p + c->at, c->text.p + end);

            c->at = end;
            g->dialect->piece(g, c, words, out);
        }
    }
    g->emitted += n;
}

static void send_out(struct generation *g, struct buf *out)
{
    g->broken |= out->failed;
    if (out->n > 0 && exchange_send(g->ex, buf_str(out)) == SEND_FULL)
        g->full = true;
    if (g->engine->shared->conf.flush_each && exchange_flush(g->ex) == SEND_FULL)
        g->full = true;
    buf_clear(out);
}

/* How many tokens may be sent before a fault comes; all when none does. */
static uint64_t allowed(const struct generation *g)
{
    uint64_t n = g->tokens;

    if (g->faults.stall_after >= 0)
        n = MIN(n, (uint64_t)g->faults.stall_after);
    if (g->faults.cut_after >= 0)
        n = MIN(n, (uint64_t)g->faults.cut_after);
    return n;
}

static bool cut_is_due(const struct generation *g)
{
    return g->faults.cut_after >= 0 && g->emitted >= (uint64_t)g->faults.cut_after;
}

static bool stall_is_due(const struct generation *g)
{
    return g->faults.stall_after >= 0 && g->emitted >= (uint64_t)g->faults.stall_after;
}

/* The available tokens, a chunk at a time; a chunk that is not full waits, unless it is the last. */
static void put_available(struct generation *g, struct buf *out)
{
    const struct mock_conf *conf = &g->engine->shared->conf;
    uint64_t stop = allowed(g), until = MIN(g->available, stop);

    while (g->emitted < until && !g->full && !g->broken) {
        uint64_t n = MIN(conf->tokens_per_chunk, until - g->emitted);

        if (n < conf->tokens_per_chunk && g->emitted + n < stop)
            break;
        put_pieces(g, n, out);
        if (conf->flush_each || out->n >= MOCK_OUT_BYTES)
            send_out(g, out);
    }
}

/* Sends what is available. May end the generation: the caller's last statement. */
static void pump(struct generation *g)
{
    struct buf *out = &g->engine->out;

    if (g->state != GEN_RUNNING || g->full)
        return;
    if (g->faults.cut_after == 0) {
        break_off(g);
        return;
    }
    buf_clear(out);
    if (!g->opened)
        open_stream(g, out);
    put_available(g, out);
    if (g->broken || out->failed) {
        break_off(g);
        return;
    }
    if (g->emitted == g->tokens && !cut_is_due(g) && !stall_is_due(g)) {
        end_stream(g);
        return;
    }
    send_out(g, out);
    if (cut_is_due(g))
        break_off(g);
    else if (stall_is_due(g))
        enter(g, GEN_STALLED);
}

static void on_ready(struct exchange *ex, void *arg)
{
    struct generation *g = arg;

    g->full = false;
    pump(g);
}

/* ---- the ways out ---- */

static void end_stream(struct generation *g)
{
    struct buf *out = &g->engine->out;
    struct exchange *ex = g->ex;

    g->dialect->close(g, out);
    enter(g, GEN_DONE);
    ENGINE_COUNT(g->engine, finished, 1);
    if (out->failed) {
        exchange_break(ex);
        return;
    }
    (void)exchange_send(ex, buf_str(out)); /* whether the client is slow does not matter any more */
    buf_clear(out);
    exchange_end(ex);
}

/* A reply whose announced length is not its own: too long a promise is broken, too short a one cuts the text. */
static void reply_with_wrong_length(struct exchange *ex, struct str body, int64_t by)
{
    uint64_t announced = by < 0 && (uint64_t)-by > body.n ? 0 : body.n + (uint64_t)by;

    exchange_add(ex, HF_CONTENT_TYPE, TYPE_JSON);
    exchange_reply_head(ex, 200, announced);
    (void)exchange_send(ex, str_first(body, announced)); /* the end follows in any case */
    if (announced > body.n)
        exchange_break(ex);
    else
        exchange_end(ex);
}

static void reply_half(struct exchange *ex, struct str body)
{
    exchange_add(ex, HF_CONTENT_TYPE, TYPE_JSON);
    exchange_reply_head(ex, 200, body.n);
    (void)exchange_send(ex, str_first(body, body.n / 2)); /* the end follows in any case */
    exchange_break(ex);
}

static void reply_whole(struct generation *g)
{
    struct mock_engine *e = g->engine;
    struct exchange *ex = g->ex;
    struct mock_request_faults faults = g->faults;

    if (faults.cut_after == 0) {
        break_off(g);
        return;
    }
    if (faults.stall_after >= 0) {
        enter(g, GEN_STALLED);
        return;
    }
    buf_clear(&e->out);
    g->dialect->whole(g, &e->out);
    enter(g, GEN_DONE);
    if (faults.cut_after > 0 || faults.wrong_length)
        ENGINE_COUNT(e, failed, 1);
    else
        ENGINE_COUNT(e, finished, 1);
    if (faults.cut_after > 0)
        reply_half(ex, buf_str(&e->out));
    else if (faults.wrong_length)
        reply_with_wrong_length(ex, buf_str(&e->out), faults.wrong_length);
    else
        engine_reply_out(e, ex, TYPE_JSON);
}

static void break_off(struct generation *g)
{
    struct exchange *ex = g->ex;

    enter(g, GEN_DONE);
    ENGINE_COUNT(g->engine, failed, 1);
    exchange_break(ex);
}

static void on_abort(struct exchange *ex, void *arg)
{
    struct generation *g = arg;

    enter(g, GEN_DONE);
    ENGINE_COUNT(g->engine, aborted, 1);
}

/* ---- for the dialects and the engine ---- */

void generation_on_token(struct model *m, struct model_request *r, void *arg)
{
    struct generation *g = CONTAINER_OF(r, struct generation, model);

    produced(g, MIN(r->produced, g->tokens));
}

struct str generation_reason(const struct choice *c)
{
    return c->cut_short ? STR("length") : STR("stop");
}

uint64_t generation_output_tokens(const struct generation *g)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < g->choices_n; i++)
        n += g->choices[i].tokens;
    return n;
}

uint64_t generation_cached_tokens(const struct generation *g)
{
    return g->transferred ? g->prompt_tokens : g->model.cached_tokens;
}

void generation_put_kv_params(const struct generation *g, struct buf *out)
{
    const struct mock_engine *e = g->engine;

    if (!g->order || !g->order->answer)
        return;
    buf_puts(out, ",\"kv_transfer_params\":{\"do_remote_prefill\":true,\"do_remote_decode\":false,\"remote_block_ids\":[");
    buf_put_u64(out, g->order->rooms[0].room);
    buf_puts(out, "],\"remote_engine_id\":\"mock-");
    buf_put_u64(out, e->shared->conf.instance);
    buf_puts(out, "\",\"remote_host\":\"");
    json_escape(out, e->shared->conf.host);
    buf_puts(out, "\",\"remote_port\":");
    buf_put_u64(out, e->bootstrap->port);
    buf_puts(out, "}");
}
