/* load/load.h -- the load generator behind `smg bench`: makes inference requests at a given pace and measures what comes back
 *
 *   load_conf --load_request--> prebuilt request bytes --\
 *   arrivals (Poisson, or "when one ended") --------------+--> drivers (one loop thread each) --> tallies --merge--> load_report --> table, JSON
 *
 * Closed loop: CONCURRENCY requests are always in flight; the next one starts when one ends. Open loop (rate > 0): requests are due at times drawn in advance
 * (exponential gaps), whatever the target does; latency counts from the due time, so a target that stalls cannot hide the requests it kept from being sent
 * ("coordinated omission"). A due request that finds all CONCURRENCY slots busy waits for one; that is counted, and is part of its latency.
 * How well the generator kept its own times is part of the report: `lag` (start minus due time, open loop) and the length of its loops' turns.
 *
 * What is measured: requests that are due at or after the warm-up's end. Latencies are those of successful requests (first token and token gaps also of streams
 * that broke later); failures are counted by kind.
 * Rates are those of the window from the warm-up's end to the run's end: what ends later (the drain) counts for latency, not for rates.
 * Success: status 2xx, the whole reply, and for streams: an event stream of JSON events that ends with [DONE] and holds no error event.
 *
 * Memory: one slot per request in flight (750 bytes, 1.1 KB more for its connection, and the part of the prompt that is not shared); nothing is allocated
 * per request. Threads: load_run is called on a thread without a loop and blocks; it makes its own.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/histogram.h"
#include "base/str.h"

struct tls_context;

#define LOAD_THREADS_MAX     64
#define LOAD_CONCURRENCY_MAX 1000000
#define LOAD_PROMPT_MAX      (16u << 20) /* bytes */
#define LOAD_PREFIXES_MAX    65536
#define LOAD_MEMORY_MAX      (1ull << 30) /* bytes of prompts: prefixes and the unshared parts of all slots */

/* What is asked for. LOAD_GET sends no body: for pages such as /health. */
enum load_endpoint { LOAD_CHAT, LOAD_COMPLETIONS, LOAD_GENERATE, LOAD_GET };

struct load_header {
    struct str name, value;
};

/* Everything is borrowed until load_run returns. Zeroed members have the meaning given. */
struct load_conf {
    /* the target */
    struct str host; /* name or IP literal, without brackets */
    uint16_t port;
    struct tls_context *tls; /* NULL = plain HTTP */
    struct str authority;    /* value of the Host field */
    struct str path;         /* with its query; empty = the endpoint's usual one */
    struct str api_key;      /* secret: sent as a bearer token, never printed; empty = none */
    const struct load_header *headers;
    size_t headers_n;

    /* the requests */
    enum load_endpoint endpoint;
    struct str model;
    bool stream;
    bool ignore_eos;       /* SGLang's and vLLM's: the answer has max_tokens tokens whatever the model says */
    bool done_optional;    /* a stream without [DONE] is complete */
    uint32_t max_tokens;   /* 0 = not sent */
    uint32_t prompt_bytes; /* text of a prompt, at least about 20 */
    double shared_prefix;  /* 0..1: share of the prompt that comes from one of `prefixes` texts; the rest is of no other request */
    uint32_t prefixes;     /* 0 = 1; each request draws one */
    double popularity;     /* Zipf's exponent for that (load/popularity.h); 0 = all equally likely */
    struct str prefix_header; /* name of a header that says which one it is, "prefix-0" and so on; empty = none */
    struct str body;          /* sent as it is in place of all this; p = NULL: none */
    uint64_t seed;            /* same seed, same texts and arrival times */

    /* the pace */
    uint32_t concurrency; /* requests in flight at most; 0 = 16, in the open loop 10000 or what file descriptors allow */
    double rate;          /* requests a second of all threads; 0 = closed loop */
    double duration_s;    /* from the warm-up's end; 0 = until `requests` were made */
    double warmup_s;
    uint64_t requests; /* at most this many in all, warm-up included; 0 = no limit. One of duration_s and requests is > 0 */
    double drain_s;    /* how long requests in flight are waited for after duration_s; 0 = not at all */
    unsigned threads;  /* 0 = 1 */

    uint32_t connect_ms;  /* 0 = 10000 */
    uint32_t head_ms;     /* from sent to the reply's head; 0 = none */
    uint32_t idle_ms;     /* between two reads of a reply; 0 = none */
    uint32_t progress_ms; /* between two progress calls; 0 = 500 */
    unsigned loop_index;  /* the first of threads + 1 free loop indices (loop/loop.h) */
    bool ignore_signals;  /* SIGINT and SIGTERM are left alone; otherwise they end the run, and load_run returns what there is */
};

/* Kinds of failure: name in JSON, words in the table. */
#define LOAD_FAILURE_LIST(X)                                            \
    X(LOAD_REFUSED, "refused", "connection refused")                    \
    X(LOAD_UNREACHABLE, "unreachable", "host unreachable")              \
    X(LOAD_RESOLVE, "resolve", "name not resolved")                     \
    X(LOAD_RESET, "reset", "connection reset")                          \
    X(LOAD_CLOSED, "closed", "connection closed before the reply")      \
    X(LOAD_TIMEOUT, "timeout", "timed out")                             \
    X(LOAD_PROTOCOL, "protocol", "reply breaks HTTP/1.1")               \
    X(LOAD_STATUS, "status", "HTTP status other than 2xx")              \
    X(LOAD_CUT, "cut", "reply cut short (for streams: no [DONE])")      \
    X(LOAD_BAD_SSE, "bad_sse", "not a stream of JSON events")           \
    X(LOAD_STREAM_ERROR, "stream_error", "error event inside a stream") \
    X(LOAD_OTHER, "other", "other: no memory, no file descriptor, no local port, I/O error")

enum load_failure {
#define X(id, name, words) id,
    LOAD_FAILURE_LIST(X)
#undef X
        LOAD_FAILURE_N
};

#define LOAD_STATUS_N 1000 /* statuses are 100..999 */

/* What one driver counted; merged into the report. Only measured requests, unless it says so. Times in microseconds. */
struct load_tally {
    struct histogram latency; /* due (closed loop: started) to the reply's last byte */
    struct histogram ttft;    /* the same to the first event with content; of a reply that is no stream: to its first byte */
    struct histogram itl;     /* between two events with content of one stream */
    struct histogram lag;     /* open loop: due to started */
    uint64_t ok;              /* measured requests that succeeded */
    uint64_t failed;          /* sum of failures */
    uint64_t failures[LOAD_FAILURE_N];
    uint64_t statuses[LOAD_STATUS_N];
    uint64_t unfinished;                   /* cancelled: the drain was over, or the run was interrupted */
    uint64_t unstarted;                    /* open loop: due before the end, but no slot became free */
    uint64_t queued;                       /* open loop: found no free slot when due */
    uint64_t warmup;                       /* requests that ended, however, and were not measured */
    uint64_t output_tokens;                /* of successful requests: what usage says, else events with content */
    uint64_t window_ok;                    /* measured successes that ended inside the window */
    uint64_t window_tokens;                /* tokens that came inside the window, of whatever request */
    uint64_t window_bytes;                 /* body bytes that came inside the window */
    uint64_t connections;                  /* opened or tried, warm-up included */
    uint64_t peak_in_flight, peak_streams; /* warm-up included; sums of the threads' own peaks */
};

struct load_report {
    struct load_tally t;
    uint64_t window_us;                             /* what rates are divided by */
    uint64_t elapsed_us;                            /* first start to last end */
    uint64_t turn_p50_us, turn_p99_us, turn_max_us; /* turns of the generator's loops, the worst thread's */
    bool interrupted;
    uint32_t concurrency; /* as it was: the default that was taken */
    unsigned threads;
};

/* A look at a running load. Rates are those since the look before. */
struct load_progress {
    uint64_t elapsed_us;
    uint64_t in_flight, ended, failed; /* warm-up included */
    double requests_per_s, tokens_per_s;
    uint64_t p50_us, p99_us; /* latency so far; 0 = nothing measured yet */
    bool warming_up;
};

/* ERR_INVALID (a CONF that makes no sense), ERR_LIMIT (file descriptors, memory), ERR_NOMEM and what loops can fail with. *RET (large: not for the stack) is
 * filled on success, which says nothing about the success of the requests. PROGRESS may be NULL; it is called on the calling thread. */
int load_run(const struct load_conf *conf, struct load_report *ret, void (*progress)(void *arg, const struct load_progress *p),
             void *arg, struct err *err) _must_check_;

/* ---- report.c ---- */

void load_tally_init(struct load_tally *t);
void load_tally_merge(struct load_tally *into, const struct load_tally *from);

/* For people, and for scripts (docs/bench.md lists the keys; they are stable). OUT fails stickily. */
void load_report_table(const struct load_report *r, const struct load_conf *conf, struct buf *out);
void load_report_json(const struct load_report *r, const struct load_conf *conf, struct buf *out);
/* One line without its newline, at most 120 columns. */
void load_progress_line(const struct load_progress *p, struct buf *out);
