/* cli/mock_command.c -- `smg mock-engine`: options, then engines on consecutive ports until a signal comes
 *
 *   main thread: loops, engines, listeners --start threads--> waits for SIGINT or SIGTERM --a message to each loop--> joins and frees
 *
 * Canned engines are served by all loops (SO_REUSEPORT); a realistic one has one batch and lives on one loop, as does one that only prefills or decodes; they are dealt out in turn.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "http/server.h"
#include "mock/mock.h"

#define COUNT_MAX   256
#define THREADS_MAX 64

struct mock_options {
    struct str host;
    uint16_t port;
    uint32_t count, threads;
    int prefix_cache;
    struct str tls_cert_path, tls_key_path, tls_client_ca_path;
    struct mock_conf conf;
};

static const struct option_name MODES[] = { { "canned", MOCK_CANNED }, { "realistic", MOCK_REALISTIC }, { 0 } };
static const struct option_name RUNTIMES[] = {
    { "sglang", MOCK_SGLANG },     { "vllm", MOCK_VLLM },     { "trtllm", MOCK_TRTLLM },
    { "openai", MOCK_OPENAI },     { "mlx", MOCK_MLX },       { "tokenspeed", MOCK_TOKENSPEED },
    { "llamacpp", MOCK_LLAMACPP }, { "ollama", MOCK_OLLAMA }, { 0 },
};
static const struct option_name ROLES[] = {
    { "null", MOCK_ROLE_BOTH }, { "prefill", MOCK_ROLE_PREFILL }, { "decode", MOCK_ROLE_DECODE }, { 0 }
};
static const struct option_name SWITCH[] = { { "true", true }, { "false", false }, { 0 } };

#define AT(member)   offsetof(struct mock_options, member)
#define CONF(member) offsetof(struct mock_options, conf.member)

/* clang-format off */
static const struct option OPTIONS[] = {
    { .name = "--host", .type = OPT_STR, .at = AT(host), .def = "127.0.0.1", .group = "Where",
      .help = "IP address to listen on" },
    { .name = "--http-base-port", .aliases = { "--port" }, .type = OPT_U16, .at = AT(port), .def = "9000",
      .help = "port of the first engine; 0 = any free ones" },
    { .name = "--http-count", .aliases = { "--count" }, .type = OPT_U32, .at = AT(count), .def = "1", .min = 1, .max = COUNT_MAX,
      .help = "engines, on consecutive ports" },
    { .name = "--tls-cert-path", .type = OPT_PATH, .at = AT(tls_cert_path), .help = "certificate chain, PEM: the engines speak HTTPS" },
    { .name = "--tls-key-path", .type = OPT_PATH, .at = AT(tls_key_path), .help = "its private key, PEM" },
    { .name = "--tls-client-ca-path", .type = OPT_PATH, .at = AT(tls_client_ca_path),
      .help = "clients must show a certificate of one of the authorities in this PEM file" },
    { .name = "--threads", .type = OPT_U32, .at = AT(threads), .def = "1", .min = 1, .max = THREADS_MAX, .help = "event loops" },

    { .name = "--model", .type = OPT_STR, .at = CONF(model), .def = "mock-model", .group = "Identity",
      .help = "name of the model that the engines serve" },
    { .name = "--runtime", .type = OPT_ENUM, .names = RUNTIMES, .at = CONF(runtime), .def = "sglang",
      .help = "which engine it shows itself as: information endpoints, metric names, owned_by" },
    { .name = "--disaggregation-mode", .type = OPT_ENUM, .names = ROLES, .at = CONF(role), .def = "null",
      .help = "prefill: compute prompts for decode engines; decode: answer when a prefill engine has computed the prompt; null: both" },
    { .name = "--disaggregation-bootstrap-port", .type = OPT_U16, .at = CONF(bootstrap_port), .def = "8998",
      .help = "prefill: port of the first engine where decode engines ask; decode: where to ask when a request names no port" },
    { .name = "--seed", .type = OPT_U64, .at = CONF(seed), .def = "0", .help = "of texts, ids, vectors and random failures" },

    { .name = "--engine", .type = OPT_ENUM, .names = MODES, .at = CONF(mode), .def = "canned", .group = "Answers",
      .help = "canned: words at once or at a fixed rate; realistic: continuous batching is simulated" },
    { .name = "--output-tokens", .type = OPT_U32, .at = CONF(output_tokens), .def = "8", .min = 1, .max = 131072,
      .help = "length of an answer, where the request does not set it" },
    { .name = "--echo", .type = OPT_FLAG, .at = CONF(echo), .help = "answer with the prompt, cut at the request's maximum" },
    { .name = "--tokens-per-chunk", .type = OPT_U32, .at = CONF(tokens_per_chunk), .def = "1", .min = 1, .max = 100000,
      .help = "tokens in one event of a stream" },
    { .name = "--flush-each", .type = OPT_FLAG, .at = CONF(flush_each), .help = "write every event of a stream by itself" },
    { .name = "--ttft-ms", .type = OPT_U32, .at = CONF(faults.ttft_ms), .def = "0", .max = 3600000, .min = 0, .unit = "ms",
      .help = "delay before the head of a reply" },
    { .name = "--startup-ms", .type = OPT_U32, .at = CONF(startup_ms), .def = "0", .min = 0, .max = 3600000, .unit = "ms",
      .help = "time after the start in which /health answers 503" },

    { .name = "--gen-ms", .type = OPT_U32, .at = CONF(gen_ms), .def = "0", .min = 0, .max = 3600000, .unit = "ms", .group = "Canned engine",
      .help = "time that an answer takes before its first token" },
    { .name = "--tokens-per-second", .type = OPT_F64, .at = CONF(tokens_per_second), .def = "0", .min = 0, .max = 1000000,
      .help = "rate of one answer; 0 = all at once" },
    { .name = "--burst", .type = OPT_U32, .at = CONF(burst), .def = "1", .min = 1, .max = 100000,
      .help = "with a rate: so many events of a stream come at a time, as from multi-step scheduling and speculative decoding" },

    { .name = "--prefill-tps", .type = OPT_F64, .at = CONF(prefill_tps), .def = "8000", .min = 0.001, .max = 1e9, .group = "Realistic engine",
      .help = "prompt tokens prefilled per second" },
    { .name = "--decode-base-ms", .type = OPT_F64, .at = CONF(decode_base_ms), .def = "6.0", .min = 0, .max = 1e6, .unit = "ms",
      .help = "duration of a decode step" },
    { .name = "--decode-per-req-ms", .type = OPT_F64, .at = CONF(decode_per_req_ms), .def = "0.35", .min = 0, .max = 1e6, .unit = "ms",
      .help = "more of it for each answer in the batch" },
    { .name = "--prefill-chunk", .type = OPT_U32, .at = CONF(prefill_chunk), .def = "2048", .min = 1, .max = 1000000000,
      .help = "prompt tokens in one step" },
    { .name = "--max-running", .type = OPT_U32, .at = CONF(max_running), .def = "256", .min = 1, .max = 1000000,
      .help = "requests in the batch" },
    { .name = "--kv-tokens", .type = OPT_U64, .at = CONF(kv_tokens), .def = "524288", .min = 1, .max = 67108864,
      .help = "capacity of the KV cache in tokens" },
    { .name = "--block-size", .type = OPT_U32, .at = CONF(block_size), .def = "16", .min = 1, .max = 65536,
      .help = "tokens of a KV block" },
    { .name = "--prefix-cache", .type = OPT_ENUM, .names = SWITCH, .at = AT(prefix_cache), .def = "true",
      .help = "reuse the KV blocks of known prefixes" },

    { .name = "--fail-rate", .type = OPT_F64, .at = CONF(faults.fail_rate), .def = "0", .min = 0, .max = 1, .group = "Faults",
      .help = "share of inference requests that fail" },
    { .name = "--fail-status", .type = OPT_U32, .at = CONF(faults.fail_status), .def = "500", .min = 400, .max = 599,
      .help = "status of a failure" },
    { .name = "--stall-after", .type = OPT_I64, .at = CONF(faults.stall_after), .def = "-1", .min = -1, .max = 1e9,
      .help = "send so many tokens, then nothing; -1 = never" },
    { .name = "--cut-after", .type = OPT_I64, .at = CONF(faults.cut_after), .def = "-1", .min = -1, .max = 1e9,
      .help = "send so many tokens, then end the connection; -1 = never" },
    { .name = "--wrong-length", .type = OPT_I64, .at = CONF(faults.wrong_length), .def = "0", .min = -1e9, .max = 1e9, .unit = "bytes",
      .help = "announce so many bytes too many (or too few) for a reply that is no stream" },
    { .name = "--slow-health-ms", .type = OPT_U32, .at = CONF(faults.slow_health_ms), .def = "0", .min = 0, .max = 3600000, .unit = "ms",
      .help = "delay before /health answers" },
    { .name = "--unhealthy", .type = OPT_FLAG, .at = CONF(faults.unhealthy), .help = "answer 503 to /health" },
};
/* clang-format on */

const struct option_table MOCK_TABLE = {
    .command = "mock-engine",
    .summary = "Run simulated inference engines: to try the gateway, and to plan capacity.",
    .notes =
        "Engines speak OpenAI's chat, completions, embeddings and responses APIs, Anthropic's messages, and SGLang's /generate. "
        "The fault options can be changed while an engine runs (POST /mock/faults) and for one request (header x-mock-fault); "
        "GET /mock/requests shows what was received.",
    .options = OPTIONS,
    .options_n = ARRAY_LEN(OPTIONS),
};

/* One loop and the engines, or parts of engines, on it. */
struct thread {
    struct message stop;
    struct loop *loop;                      /* owned */
    struct mock_engine *engines[COUNT_MAX]; /* owned */
    size_t n;
};

struct process {
    struct thread threads[THREADS_MAX];
    uint32_t threads_n;
};

static void print_engine(const struct mock_options *o, uint16_t port, uint16_t bootstrap_port)
{
    bool ipv6 = str_find_char(o->host, ':') != STR_NPOS;

    printf("mock engine: %s://%s%.*s%s:%u model %.*s", o->conf.tls ? "https" : "http", ipv6 ? "[" : "", STR_FMT(o->host),
           ipv6 ? "]" : "", port, STR_FMT(o->conf.model));
    if (o->conf.role == MOCK_ROLE_PREFILL)
        printf(" prefill, bootstrap port %u", bootstrap_port);
    else if (o->conf.role == MOCK_ROLE_DECODE)
        printf(" decode");
    printf("\n");
    fflush(stdout);
}

/* Engine K: its first part on one loop, and for a canned one a part on each other loop, at the same port. */
static int start_engine(struct process *p, const struct mock_options *o, uint32_t k, struct err *err)
{
    bool shared = o->conf.mode == MOCK_CANNED && o->conf.role == MOCK_ROLE_BOTH && p->threads_n > 1;
    uint16_t port = o->port ? (uint16_t)(o->port + k) : 0;
    struct mock_conf conf = o->conf;
    struct mock_engine *first = NULL;

    conf.instance = k;
    conf.host = o->host;
    if (conf.role == MOCK_ROLE_PREFILL)
        conf.bootstrap_port = (uint16_t)(conf.bootstrap_port ? conf.bootstrap_port + k : 0);
    for (uint32_t i = 0; i < (shared ? p->threads_n : 1); i++) {
        struct thread *t = &p->threads[(k + i) % p->threads_n];
        struct mock_engine *e = NULL;
        int r = i == 0 ? mock_engine_new(t->loop, &conf, &e, err) : mock_engine_join(t->loop, first, &e, err);

        if (r < 0)
            return r;
        t->engines[t->n++] = e;
        first = i == 0 ? e : first;
        r = mock_engine_listen(e, o->host, port, shared ? MOCK_SHARED_PORT : MOCK_ALONE, &port, err);
        if (r < 0)
            return r;
    }
    print_engine(o, port, mock_engine_bootstrap_port(first));
    return 0;
}

static void close_engines(struct loop *loop, struct message *m)
{
    struct thread *t = CONTAINER_OF(m, struct thread, stop);

    for (size_t i = 0; i < t->n; i++) {
        mock_engine_close(t->engines[i]);
        mock_engine_free(t->engines[i]);
    }
    loop_stop(loop);
}

/* Loops that have no thread yet do what is left on this one. */
enum loops { NOT_STARTED, STARTED };

static void stop(struct process *p, enum loops loops)
{
    for (uint32_t i = 0; i < p->threads_n; i++) {
        struct thread *t = &p->threads[i];

        t->stop.run = close_engines;
        loop_post(t->loop, &t->stop);
        if (loops == NOT_STARTED)
            loop_run(t->loop);
    }
    for (uint32_t i = 0; i < p->threads_n; i++) {
        if (loops == STARTED)
            loop_join(p->threads[i].loop);
        loop_free(p->threads[i].loop);
    }
}

static int start_loops(struct process *p, uint32_t n, struct err *err)
{
    for (uint32_t i = 0; i < n; i++) {
        int r = loop_new("mock", i, &p->threads[i].loop, err);

        if (r < 0)
            return r;
        p->threads_n++;
    }
    return 0;
}

static int start_threads(struct process *p, struct err *err)
{
    for (uint32_t i = 0; i < p->threads_n; i++) {
        int r = loop_start_thread(p->threads[i].loop, err);

        if (r < 0)
            return r;
    }
    return 0;
}

static int run(const struct mock_options *o, struct process *p, struct err *err)
{
    sigset_t ends;
    int number, r;

    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &ends, NULL); /* the threads inherit it: the signals wait for sigwait */
    signal(SIGPIPE, SIG_IGN);
    if (o->port && (uint32_t)o->port + o->count - 1 > UINT16_MAX)
        return err_set(err, ERR_INVALID, "ports %u to %u: the last must not be over %u", o->port, o->port + o->count - 1,
                       UINT16_MAX);
    if (o->conf.role == MOCK_ROLE_PREFILL && (uint32_t)o->conf.bootstrap_port + o->count - 1 > UINT16_MAX)
        return err_set(err, ERR_INVALID, "bootstrap ports from %u on: the last of %u must not be over %u", o->conf.bootstrap_port,
                       o->count, UINT16_MAX);
    r = start_loops(p, o->threads, err);
    for (uint32_t k = 0; k < o->count && r == 0; k++)
        r = start_engine(p, o, k, err);
    if (r < 0) {
        stop(p, NOT_STARTED);
        return r;
    }
    r = start_threads(p, err);
    if (r < 0)
        return r;                  /* some loops run: the process ends as it is */
    (void)sigwait(&ends, &number); /* fails only for a bad set */
    stop(p, STARTED);
    return 0;
}

/* With the flags for it, the certificate that all engines show. */
static int run_with_tls(struct mock_options *o, struct process *p, struct err *err)
{
    struct tls_server_conf conf = { .cert_path = o->tls_cert_path,
                                    .key_path = o->tls_key_path,
                                    .client_ca_path = o->tls_client_ca_path };
    int r = 0;

    if (!o->tls_cert_path.n != !o->tls_key_path.n)
        return err_set(err, ERR_INVALID, "Both --tls-cert-path and --tls-key-path must be specified together");
    o->conf.tls = NULL;
    if (o->tls_cert_path.n)
        r = tls_server_new(&conf, &o->conf.tls, err);
    if (r == 0)
        r = run(o, p, err);
    tls_context_free(o->conf.tls);
    return r;
}

int cli_mock_engine(int argc, const char *const *argv)
{
    struct option_input in = { .argc = argc, .argv = argv, .env = option_getenv };
    struct option_report report = { 0 };
    struct mock_options options;
    struct process *process;
    struct err err = { 0 };
    struct arena arena;
    int status, r;

    arena_init(&arena, /* cache= */ NULL, /* max_bytes= */ 0);
    report.arena = &arena;
    process = calloc(1, sizeof(*process));
    r = process ? options_parse(&MOCK_TABLE, &in, &arena, &options, sizeof(options), &report) : ERR_NOMEM;
    status = cli_parsed(r, &MOCK_TABLE, &report);
    if (r == 0 && status == 0) {
        options.conf.prefix_cache = options.prefix_cache;
        status = run_with_tls(&options, process, &err) < 0 ? cli_fail(&err) : 0;
    }
    free(process);
    arena_fini(&arena);
    return status;
}
