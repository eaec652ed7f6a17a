/* cli/bench_command.c -- `smg bench`: options, progress on the terminal, the report
 *
 * Exit status: 0 when at least one measured request succeeded, 1 when none did or the run could not start, 2 for wrong usage.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/url.h"
#include "cli/cli.h"
#include "http/client.h"
#include "load/load.h"
#include "load/popularity.h"

#define BODY_MAX (64u << 20) /* bytes of --body-file */

/* The members that options fill; what load/ wants is made of it. */
struct bench_config {
    struct str url;
    int endpoint; /* enum load_endpoint */
    struct str model, api_key, body_file, json;
    struct option_list headers, ca_cert_paths;
    struct str client_cert_path, client_key_path;
    bool stream, ignore_eos, done_optional, progress, quiet;
    uint32_t max_tokens, prompt_bytes, prefixes, concurrency, threads;
    struct str prefix_header;
    double shared_prefix, popularity, rate, duration_s, warmup_s, drain_s, connect_s, timeout_s, idle_s;
    uint64_t requests, seed;
};

static const struct option_name ENDPOINTS[] = {
    { "chat", LOAD_CHAT }, { "completions", LOAD_COMPLETIONS }, { "generate", LOAD_GENERATE }, { "get", LOAD_GET }, { 0 },
};

#define AT(member) offsetof(struct bench_config, member)

static const struct option OPTIONS[] = {
    { .name = "URL",
      .type = OPT_STR,
      .at = AT(url),
      .flags = OPT_REQUIRED,
      .group = "Target",
      .help = "http:// or https://host:port of a gateway or an engine; a path in it replaces the endpoint's own" },
    { .name = "--endpoint",
      .type = OPT_ENUM,
      .names = ENDPOINTS,
      .at = AT(endpoint),
      .def = "chat",
      .help = "what is asked: /v1/chat/completions, /v1/completions, /generate, or a plain GET" },
    { .name = "--api-key",
      .env = { "SMG_API_KEY" },
      .file = "--api-key-file",
      .type = OPT_STR,
      .at = AT(api_key),
      .flags = OPT_SECRET,
      .value = "KEY",
      .help = "sent as a bearer token" },
    { .name = "--header",
      .aliases = { "-H" },
      .type = OPT_APPEND,
      .at = AT(headers),
      .value = "NAME:VALUE",
      .help = "one more header field; repeatable" },

    { .name = "--ca-cert-paths",
      .type = OPT_LIST,
      .at = AT(ca_cert_paths),
      .value = "PATH",
      .help = "https: authorities beside the system's, PEM" },
    { .name = "--client-cert-path", .type = OPT_PATH, .at = AT(client_cert_path), .help = "https: certificate to show, PEM" },
    { .name = "--client-key-path", .type = OPT_PATH, .at = AT(client_key_path), .help = "https: its private key, PEM" },

    { .name = "--concurrency",
      .aliases = { "-c" },
      .type = OPT_U32,
      .at = AT(concurrency),
      .min = 1,
      .max = LOAD_CONCURRENCY_MAX,
      .def_help = "16; with --rate: 10000",
      .value = "N",
      .group = "Pace",
      .help = "requests in flight: always (closed loop), at most (with --rate)" },
    { .name = "--rate",
      .aliases = { "-r" },
      .type = OPT_F64,
      .at = AT(rate),
      .min = 0.001,
      .max = 10000000,
      .value = "N",
      .help = "open loop: requests a second that are due at random (Poisson) times, whatever the target does" },
    { .name = "--duration",
      .aliases = { "-d" },
      .type = OPT_F64,
      .at = AT(duration_s),
      .min = 0.01,
      .max = 864000,
      .unit = "s",
      .def_help = "10; with --requests: no end",
      .value = "S",
      .help = "how long requests are started, behind the warm-up" },
    { .name = "--requests",
      .aliases = { "-n" },
      .type = OPT_U64,
      .at = AT(requests),
      .min = 1,
      .max = 1e15,
      .value = "N",
      .help = "end when so many were started, warm-up included" },
    { .name = "--warmup",
      .type = OPT_F64,
      .at = AT(warmup_s),
      .def = "0",
      .min = 0,
      .max = 86400,
      .unit = "s",
      .value = "S",
      .help = "time before anything is measured" },
    { .name = "--drain",
      .type = OPT_F64,
      .at = AT(drain_s),
      .def = "30",
      .min = 0,
      .max = 86400,
      .unit = "s",
      .value = "S",
      .help = "how long requests in flight are waited for at the end" },
    { .name = "--threads",
      .aliases = { "-t" },
      .type = OPT_U32,
      .at = AT(threads),
      .def = "1",
      .min = 1,
      .max = LOAD_THREADS_MAX,
      .value = "N",
      .help = "threads that make the load" },
    { .name = "--seed",
      .type = OPT_U64,
      .at = AT(seed),
      .def = "1",
      .value = "N",
      .help = "same seed, same prompts and arrival times" },

    { .name = "--model",
      .aliases = { "-m" },
      .type = OPT_STR,
      .at = AT(model),
      .def = "mock-model",
      .value = "NAME",
      .group = "Requests",
      .help = "the request's model" },
    { .name = "--stream", .type = OPT_FLAG, .at = AT(stream), .help = "ask for a stream of events" },
    { .name = "--max-tokens",
      .type = OPT_U32,
      .at = AT(max_tokens),
      .def = "64",
      .value = "N",
      .help = "length of an answer; 0 = not sent" },
    { .name = "--ignore-eos",
      .type = OPT_FLAG,
      .at = AT(ignore_eos),
      .help = "answers have exactly --max-tokens tokens (SGLang, vLLM)" },
    { .name = "--prompt-bytes",
      .type = OPT_U32,
      .at = AT(prompt_bytes),
      .def = "256",
      .min = 1,
      .max = LOAD_PROMPT_MAX,
      .value = "N",
      .unit = "bytes",
      .help = "text of a prompt; a token is about four bytes" },
    { .name = "--shared-prefix",
      .type = OPT_F64,
      .at = AT(shared_prefix),
      .def = "0",
      .min = 0,
      .max = 1,
      .value = "SHARE",
      .help = "share of each prompt that it has in common with others (0 to 1)" },
    { .name = "--prefixes",
      .type = OPT_U32,
      .at = AT(prefixes),
      .def = "1",
      .min = 1,
      .max = LOAD_PREFIXES_MAX,
      .value = "N",
      .help = "how many different shared prefixes there are; each request draws one" },
    { .name = "--popularity",
      .type = OPT_F64,
      .at = AT(popularity),
      .def = "0",
      .min = 0,
      .max = POPULARITY_EXPONENT_MAX,
      .value = "EXPONENT",
      .help = "Zipf's law for the draw: prefix i comes in proportion to 1 / i^EXPONENT; 0 = all equally often" },
    { .name = "--prefix-header",
      .type = OPT_STR,
      .at = AT(prefix_header),
      .value = "NAME",
      .help = "header that names a request's prefix (prefix-0, prefix-1, ...), as a session key would: x-smg-routing-key" },
    { .name = "--body-file",
      .type = OPT_PATH,
      .at = AT(body_file),
      .value = "FILE",
      .help = "send this body as it is in place of a made one" },
    { .name = "--done-optional",
      .type = OPT_FLAG,
      .at = AT(done_optional),
      .help = "a stream that ends without [DONE] is no failure" },

    { .name = "--connect-timeout",
      .type = OPT_F64,
      .at = AT(connect_s),
      .def = "10",
      .min = 0.001,
      .max = 86400,
      .unit = "s",
      .value = "S",
      .group = "Timeouts",
      .help = "to the connection" },
    { .name = "--timeout",
      .type = OPT_F64,
      .at = AT(timeout_s),
      .def = "120",
      .min = 0,
      .max = 86400,
      .unit = "s",
      .value = "S",
      .help = "from the request sent to the reply's head; 0 = none" },
    { .name = "--idle-timeout",
      .type = OPT_F64,
      .at = AT(idle_s),
      .def = "120",
      .min = 0,
      .max = 86400,
      .unit = "s",
      .value = "S",
      .help = "without a byte inside a reply; 0 = none" },

    { .name = "--json",
      .type = OPT_STR,
      .at = AT(json),
      .value = "FILE",
      .group = "Output",
      .help = "also write the report as JSON to FILE; - = to stdout in place of the table" },
    { .name = "--progress", .type = OPT_FLAG, .at = AT(progress), .help = "progress lines on stderr also when it is no terminal" },
    { .name = "--quiet", .aliases = { "-q" }, .type = OPT_FLAG, .at = AT(quiet), .help = "no progress line" },
};

const struct option_table BENCH_TABLE = {
    .command = "bench",
    .summary = "Makes load on a gateway or an engine and measures it: time to first token, gaps between tokens, latency, "
               "throughput, failures.",
    .notes = "Without --rate the loop is closed: --concurrency requests are always in flight. With --rate it is open: latency "
             "counts from the time at which a "
             "request was due, so a stalling target shows in full. Ctrl+C ends the run and prints what there is. The JSON keys are "
             "listed in docs/bench.md.",
    .options = OPTIONS,
    .options_n = ARRAY_LEN(OPTIONS),
};

/* ---- from options to a load ---- */

static uint32_t ms_of(double seconds)
{
    return (uint32_t)(seconds * 1000);
}

static int read_headers(const struct option_list *list, struct arena *arena, struct load_conf *out, struct err *err)
{
    struct load_header *headers = arena_array(arena, list->n, sizeof *headers);

    if (!headers)
        return err_set(err, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
    for (size_t i = 0; i < list->n; i++) {
        struct str name, value;

        if (!str_split(list->items[i], ':', &name, &value))
            return err_set(err, ERR_INVALID, "--header wants NAME:VALUE"); /* the text may be a secret: it is not repeated */
        headers[i] = (struct load_header){ str_trim(name), str_trim(value) };
    }
    out->headers = headers;
    out->headers_n = list->n;
    return 0;
}

/* The Host field and the request target as the URL has them. */
static int read_url(struct str text, struct arena *arena, struct load_conf *out, struct err *err)
{
    struct url url;
    int r = url_parse(text, &url, err);

    if (r < 0)
        return err_wrap(err, r, "URL");
    if (!str_eq(url.scheme, STR("http")) && !str_eq(url.scheme, STR("https")))
        return err_set(err, ERR_INVALID, "URL: only http:// and https:// can be measured, not %.*s://", STR_FMT(url.scheme));
    if (url.host.n == 0)
        return err_set(err, ERR_INVALID, "URL: no host; write http://host:port");
    out->host = url.host;
    out->port = url.port;
    out->authority = arena_printf(arena, url.host_is_ipv6 ? "[%.*s]:%u" : "%.*s:%u", STR_FMT(url.host), url.port);
    if (url.query.n)
        out->path = arena_printf(arena, "%.*s?%.*s", STR_FMT(url.path.n ? url.path : STR("/")), STR_FMT(url.query));
    else if (url.path.n > 1)
        out->path = url.path;
    return arena->failed ? err_set(err, ERR_NOMEM, "%s", err_text(ERR_NOMEM)) : 0;
}

static int make_conf(const struct bench_config *c, struct arena *arena, struct buf *body, struct load_conf *out, struct err *err)
{
    int r;

    *out = (struct load_conf){
        .api_key = c->api_key,
        .endpoint = (enum load_endpoint)c->endpoint,
        .model = c->model,
        .stream = c->stream,
        .ignore_eos = c->ignore_eos,
        .done_optional = c->done_optional,
        .max_tokens = c->max_tokens,
        .prompt_bytes = c->prompt_bytes,
        .shared_prefix = c->shared_prefix,
        .prefixes = c->prefixes,
        .popularity = c->popularity,
        .prefix_header = c->prefix_header,
        .seed = c->seed,
        .concurrency = c->concurrency,
        .rate = c->rate,
        .duration_s = c->duration_s > 0 || c->requests ? c->duration_s : 10,
        .warmup_s = c->warmup_s,
        .requests = c->requests,
        .drain_s = c->drain_s,
        .threads = c->threads,
        .connect_ms = ms_of(c->connect_s),
        .head_ms = ms_of(c->timeout_s),
        .idle_ms = ms_of(c->idle_s),
    };
    r = read_url(c->url, arena, out, err);
    if (r == 0)
        r = read_headers(&c->headers, arena, out, err);
    if (r < 0 || c->body_file.n == 0)
        return r;
    r = file_read(arena_str(arena, c->body_file).p, BODY_MAX, body, err);
    if (r < 0)
        return r;
    out->body = (struct str){ body->p ? body->p : "", body->n };
    return 0;
}

/* ---- output ---- */

struct display {
    bool terminal; /* one line that is written again and again; else a line each time */
    unsigned columns;
    size_t shown; /* columns of the line that stands there */
};

static void show_progress(void *arg, const struct load_progress *p)
{
    struct display *d = arg;
    _cleanup_(buf_fini) struct buf line = { 0 };

    load_progress_line(p, &line);
    if (line.failed)
        return;
    if (d->terminal) {
        line.n = MIN(line.n, (size_t)d->columns - 1);
        fprintf(stderr, "\r%.*s%*s", (int)line.n, line.p, (int)(d->shown > line.n ? d->shown - line.n : 0), "");
        d->shown = line.n;
    } else {
        fprintf(stderr, "%.*s\n", (int)line.n, line.p);
    }
    fflush(stderr);
}

static void clear_progress(struct display *d)
{
    if (d->terminal && d->shown)
        fprintf(stderr, "\r%*s\r", (int)d->shown, "");
}

static int print(struct buf *text, struct err *err)
{
    if (text->failed)
        return err_set(err, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
    if (fwrite(text->p, 1, text->n, stdout) != text->n || fflush(stdout) != 0)
        return err_set(err, ERR_IO, "standard output could not be written");
    return 0;
}

static int show_report(const struct bench_config *c, const struct load_conf *conf, const struct load_report *report,
                       struct arena *arena, struct err *err)
{
    _cleanup_(buf_fini) struct buf table = { 0 };
    _cleanup_(buf_fini) struct buf json = { 0 };
    int r;

    load_report_table(report, conf, &table);
    load_report_json(report, conf, &json);
    if (str_eq(c->json, STR("-")))
        return print(&json, err);
    r = print(&table, err);
    if (r < 0 || c->json.n == 0)
        return r;
    if (json.failed)
        return err_set(err, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
    return file_write_atomic(arena_str(arena, c->json).p, buf_str(&json), 0644, err);
}

/* ---- the command ---- */

static struct display make_display(void)
{
    struct display d = { .terminal = isatty(STDERR_FILENO), .columns = 120 };
    struct winsize w;

    if (d.terminal && ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 1)
        d.columns = w.ws_col;
    return d;
}

/* For an https:// URL: the system's authorities and those of --ca-cert-paths. */
static int make_tls(const struct bench_config *c, struct load_conf *conf, struct err *err)
{
    struct tls_client_conf tls = { .ca_paths = c->ca_cert_paths.items,
                                   .ca_paths_n = c->ca_cert_paths.n,
                                   .cert_path = c->client_cert_path,
                                   .key_path = c->client_key_path };

    return str_has_prefix(c->url, STR("https:")) ? tls_client_new(&tls, &conf->tls, err) : 0;
}

static int run(const struct bench_config *c, struct arena *arena)
{
    _cleanup_(buf_fini) struct buf body = { 0 };
    struct display display = make_display();
    bool watch = !c->quiet && (c->progress || display.terminal);
    struct load_report *report;
    struct load_conf conf;
    struct err err = { 0 };
    int status;

    if (make_conf(c, arena, &body, &conf, &err) < 0) {
        (void)cli_fail(&err);
        return 2;
    }
    report = malloc(sizeof *report);
    if (!report)
        return cli_fail(&(struct err){ .code = ERR_NOMEM });
    status = make_tls(c, &conf, &err);
    if (status == 0)
        status = load_run(&conf, report, watch ? show_progress : NULL, &display, &err);
    clear_progress(&display);
    if (status == 0)
        status = show_report(c, &conf, report, arena, &err);
    status = status < 0 ? cli_fail(&err) : report->t.ok == 0;
    free(report);
    tls_context_free(conf.tls);
    return status;
}

int cli_bench(int argc, const char *const *argv)
{
    struct option_input in = { .argc = argc, .argv = argv, .env = option_getenv };
    struct bench_config config;
    struct option_report report = { 0 };
    struct arena arena;
    int status, r;

    arena_init(&arena, /* cache= */ NULL, /* max_bytes= */ 0);
    r = options_parse(&BENCH_TABLE, &in, &arena, &config, sizeof config, &report);
    status = cli_parsed(r, &BENCH_TABLE, &report);
    if (r == 0 && status == 0)
        status = run(&config, &arena);
    arena_fini(&arena);
    return status;
}
