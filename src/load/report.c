/* load/report.c -- tallies added up, and shown: the table, the JSON, the progress line */
#include "load/load.h"

#include <inttypes.h>

#include "json/json_write.h"

/* ---- sums ---- */

void load_tally_init(struct load_tally *t)
{
    *t = (struct load_tally){ 0 };
    histogram_init(&t->latency);
    histogram_init(&t->ttft);
    histogram_init(&t->itl);
    histogram_init(&t->lag);
}

void load_tally_merge(struct load_tally *into, const struct load_tally *from)
{
    histogram_merge(&into->latency, &from->latency);
    histogram_merge(&into->ttft, &from->ttft);
    histogram_merge(&into->itl, &from->itl);
    histogram_merge(&into->lag, &from->lag);
    for (unsigned i = 0; i < LOAD_FAILURE_N; i++)
        into->failures[i] += from->failures[i];
    for (unsigned i = 0; i < LOAD_STATUS_N; i++)
        into->statuses[i] += from->statuses[i];
    into->ok += from->ok;
    into->failed += from->failed;
    into->unfinished += from->unfinished;
    into->unstarted += from->unstarted;
    into->queued += from->queued;
    into->warmup += from->warmup;
    into->output_tokens += from->output_tokens;
    into->window_ok += from->window_ok;
    into->window_tokens += from->window_tokens;
    into->window_bytes += from->window_bytes;
    into->connections += from->connections;
    into->peak_in_flight += from->peak_in_flight;
    into->peak_streams += from->peak_streams;
}

static double per_second(uint64_t n, uint64_t us)
{
    return us ? (double)n * 1e6 / (double)us : 0;
}

/* ---- names ---- */

static const char *const ENDPOINT_NAMES[] = {
    [LOAD_CHAT] = "chat",
    [LOAD_COMPLETIONS] = "completions",
    [LOAD_GENERATE] = "generate",
    [LOAD_GET] = "get",
};

static const struct {
    const char *name, *words;
} FAILURES[] = {
#define X(id, name, words) [id] = { name, words },
    LOAD_FAILURE_LIST(X)
#undef X
};

static const struct {
    const char *name;
    double q;
} QUANTILES[] = { { "p50", 0.5 }, { "p90", 0.9 }, { "p99", 0.99 }, { "p999", 0.999 } };

/* ---- the table ---- */

/* Three digits and a unit, nine columns. */
static void put_time(struct buf *out, uint64_t us)
{
    double v = (double)us;

    if (us < 1000)
        buf_printf(out, "%6" PRIu64 " us", us);
    else if (us < 10000)
        buf_printf(out, "%6.2f ms", v / 1e3);
    else if (us < 1000000)
        buf_printf(out, "%6.1f ms", v / 1e3);
    else
        buf_printf(out, "%6.2f s ", v / 1e6);
}

static void put_row(struct buf *out, const char *name, const struct histogram *h)
{
    if (h->count == 0)
        return;
    buf_printf(out, "%-12s", name);
    for (unsigned i = 0; i < ARRAY_LEN(QUANTILES); i++) {
        buf_puts(out, "  ");
        put_time(out, histogram_quantile(h, QUANTILES[i].q));
    }
    buf_puts(out, "  ");
    put_time(out, h->max);
    buf_puts(out, "  ");
    put_time(out, (uint64_t)histogram_mean(h));
    buf_puts(out, "\n");
}

static void put_setting(struct buf *out, const struct load_report *r, const struct load_conf *c)
{
    if (c->rate > 0)
        buf_printf(out, "open loop, %g requests/s due", c->rate);
    else
        buf_puts(out, "closed loop");
    buf_printf(out, ", at most %u in flight, %u thread%s, %.2f s measured%s\n", r->concurrency, r->threads,
               r->threads == 1 ? "" : "s", (double)r->window_us / 1e6, r->interrupted ? " (interrupted)" : "");
}

static void put_counts(struct buf *out, const struct load_tally *t, uint64_t window_us)
{
    buf_printf(out, "%-12s  %" PRIu64 " succeeded, %" PRIu64 " failed", "requests", t->ok, t->failed);
    if (t->unfinished)
        buf_printf(out, ", %" PRIu64 " unfinished", t->unfinished);
    if (t->unstarted)
        buf_printf(out, ", %" PRIu64 " due but never started", t->unstarted);
    if (t->queued)
        buf_printf(out, ", %" PRIu64 " waited for a free slot", t->queued);
    if (t->warmup)
        buf_printf(out, "; %" PRIu64 " in the warm-up", t->warmup);
    buf_printf(out, "\n%-12s  %.1f requests/s", "throughput", per_second(t->window_ok, window_us));
    if (t->window_tokens)
        buf_printf(out, ", %.1f tokens/s", per_second(t->window_tokens, window_us));
    buf_printf(out, ", %.2f MB/s\n", per_second(t->window_bytes, window_us) / 1e6);
}

static void put_failures(struct buf *out, const struct load_tally *t)
{
    for (unsigned i = 0; i < LOAD_FAILURE_N; i++)
        if (t->failures[i])
            buf_printf(out, "%-12s  %" PRIu64 " x %s\n", "failed", t->failures[i], FAILURES[i].words);
    for (unsigned i = 100; i < LOAD_STATUS_N; i++)
        if (t->statuses[i] && (i < 200 || i > 299))
            buf_printf(out, "%-12s  %" PRIu64 " x HTTP %u\n", "status", t->statuses[i], i);
}

void load_report_table(const struct load_report *r, const struct load_conf *conf, struct buf *out)
{
    const struct load_tally *t = &r->t;

    put_setting(out, r, conf);
    put_counts(out, t, r->window_us);
    if (t->ttft.count || t->latency.count || t->lag.count)
        buf_printf(out, "\n%-12s  %9s  %9s  %9s  %9s  %9s  %9s\n", "", "p50   ", "p90   ", "p99   ", "p99.9  ", "max   ",
                   "mean   ");
    put_row(out, "latency", &t->latency);
    put_row(out, conf->stream ? "first token" : "first byte", &t->ttft);
    put_row(out, "token gap", &t->itl);
    put_row(out, "lag", &t->lag);
    buf_printf(out, "\n%-12s  %" PRIu64 " opened, at most %" PRIu64 " requests and %" PRIu64 " streams at one time\n",
               "connections", t->connections, t->peak_in_flight, t->peak_streams);
    buf_printf(out, "%-12s  turns p50 ", "generator");
    put_time(out, r->turn_p50_us);
    buf_puts(out, ", p99 ");
    put_time(out, r->turn_p99_us);
    buf_puts(out, ", max ");
    put_time(out, r->turn_max_us);
    buf_puts(out, "\n");
    put_failures(out, t);
}

/* ---- JSON ---- */

static void put_config(struct json_writer *w, const struct load_report *r, const struct load_conf *c)
{
    json_put_object(w, "config");
    json_put_str(w, "mode", c->rate > 0 ? STR("open") : STR("closed"));
    json_put_str(w, "target", c->authority);
    json_put_str(w, "endpoint", str_of(ENDPOINT_NAMES[c->endpoint]));
    json_put_str(w, "path", c->path);
    json_put_str(w, "model", c->model);
    json_put_bool(w, "stream", c->stream);
    json_put_u64(w, "concurrency", r->concurrency);
    json_put_f64(w, "rate", c->rate);
    json_put_u64(w, "threads", r->threads);
    json_put_f64(w, "duration_s", c->duration_s);
    json_put_f64(w, "warmup_s", c->warmup_s);
    json_put_u64(w, "requests", c->requests);
    json_put_u64(w, "max_tokens", c->max_tokens);
    json_put_u64(w, "prompt_bytes", c->prompt_bytes);
    json_put_f64(w, "shared_prefix", c->shared_prefix);
    json_put_u64(w, "prefixes", c->prefixes);
    json_put_f64(w, "popularity", c->popularity);
    json_put_u64(w, "seed", c->seed);
    json_end(w);
}

static void put_counters(struct json_writer *w, const struct load_report *r)
{
    const struct load_tally *t = &r->t;

    json_put_object(w, "requests");
    json_put_u64(w, "ok", t->ok);
    json_put_u64(w, "failed", t->failed);
    json_put_u64(w, "unfinished", t->unfinished);
    json_put_u64(w, "unstarted", t->unstarted);
    json_put_u64(w, "queued", t->queued);
    json_put_u64(w, "warmup", t->warmup);
    json_end(w);
    json_put_u64(w, "output_tokens", t->output_tokens);
    json_put_object(w, "throughput");
    json_put_f64(w, "requests_per_s", per_second(t->window_ok, r->window_us));
    json_put_f64(w, "output_tokens_per_s", per_second(t->window_tokens, r->window_us));
    json_put_f64(w, "bytes_per_s", per_second(t->window_bytes, r->window_us));
    json_end(w);
}

static void put_histogram(struct json_writer *w, struct str name, const struct histogram *h)
{
    json_key(w, name);
    json_object(w);
    json_put_u64(w, "count", h->count);
    json_put_f64(w, "mean", (double)(uint64_t)(histogram_mean(h) + 0.5) / 1e3);
    json_put_f64(w, "min", h->count ? (double)h->min / 1e3 : 0);
    for (unsigned i = 0; i < ARRAY_LEN(QUANTILES); i++) {
        json_key(w, str_of(QUANTILES[i].name));
        json_value_f64(w, (double)histogram_quantile(h, QUANTILES[i].q) / 1e3);
    }
    json_put_f64(w, "max", (double)h->max / 1e3);
    json_end(w);
}

static void put_generator(struct json_writer *w, const struct load_report *r)
{
    json_put_object(w, "generator");
    json_put_u64(w, "connections", r->t.connections);
    json_put_u64(w, "peak_in_flight", r->t.peak_in_flight);
    json_put_u64(w, "peak_streams", r->t.peak_streams);
    json_put_object(w, "turn_ms");
    json_put_f64(w, "p50", (double)r->turn_p50_us / 1e3);
    json_put_f64(w, "p99", (double)r->turn_p99_us / 1e3);
    json_put_f64(w, "max", (double)r->turn_max_us / 1e3);
    json_end(w);
    json_end(w);
}

static void put_failure_counts(struct json_writer *w, const struct load_tally *t)
{
    char code[4] = "";

    json_put_object(w, "failures");
    for (unsigned i = 0; i < LOAD_FAILURE_N; i++) {
        json_key(w, str_of(FAILURES[i].name));
        json_value_u64(w, t->failures[i]);
    }
    json_end(w);
    json_put_object(w, "statuses");
    for (unsigned i = 100; i < LOAD_STATUS_N; i++) {
        if (!t->statuses[i])
            continue;
        code[0] = (char)('0' + i / 100);
        code[1] = (char)('0' + i / 10 % 10);
        code[2] = (char)('0' + i % 10);
        json_key(w, str_of(code));
        json_value_u64(w, t->statuses[i]);
    }
    json_end(w);
}

void load_report_json(const struct load_report *r, const struct load_conf *conf, struct buf *out)
{
    struct json_writer w;

    json_begin(&w, out);
    json_object(&w);
    put_config(&w, r, conf);
    json_put_f64(&w, "window_s", (double)r->window_us / 1e6);
    json_put_f64(&w, "elapsed_s", (double)r->elapsed_us / 1e6);
    json_put_bool(&w, "interrupted", r->interrupted);
    put_counters(&w, r);
    put_histogram(&w, STR("latency_ms"), &r->t.latency);
    put_histogram(&w, STR("ttft_ms"), &r->t.ttft);
    put_histogram(&w, STR("itl_ms"), &r->t.itl);
    put_histogram(&w, STR("lag_ms"), &r->t.lag);
    put_generator(&w, r);
    put_failure_counts(&w, &r->t);
    json_end(&w);
    buf_puts(out, "\n");
}

/* ---- progress ---- */

void load_progress_line(const struct load_progress *p, struct buf *out)
{
    buf_printf(out, "%7.1f s  in flight %-6" PRIu64 " ended %-9" PRIu64 " %9.1f req/s %10.1f tok/s", (double)p->elapsed_us / 1e6,
               p->in_flight, p->ended, p->requests_per_s, p->tokens_per_s);
    if (p->p50_us) {
        buf_puts(out, "  p50");
        put_time(out, p->p50_us);
        buf_puts(out, " p99");
        put_time(out, p->p99_us);
    }
    if (p->failed)
        buf_printf(out, "  failed %" PRIu64, p->failed);
    if (p->warming_up)
        buf_puts(out, "  warm-up");
}
