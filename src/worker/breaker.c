#include "worker/breaker.h"

#include "base/attr.h"

/* ---- the word ---- */

/* state:2 gentle:1 probing:1 failures:14 successes:14 since:32; `since` in units of 2^14 us: when OPEN began, or the first failure of a row */
struct state {
    enum breaker_state state;
    bool gentle;  /* HALF_OPEN */
    bool probing; /* HALF_OPEN: the one request is on its way */
    unsigned failures, successes;
    uint32_t since;
};

#define TICK_SHIFT 14

static struct state unpack(uint64_t word)
{
    return (struct state){ .state = (enum breaker_state)(word & 3),
                           .gentle = word >> 2 & 1,
                           .probing = word >> 3 & 1,
                           .failures = word >> 4 & BREAKER_COUNT_MAX,
                           .successes = word >> 18 & BREAKER_COUNT_MAX,
                           .since = (uint32_t)(word >> 32) };
}

static uint64_t pack(struct state s)
{
    return (uint64_t)s.state | (uint64_t)s.gentle << 2 | (uint64_t)s.probing << 3 | (uint64_t)s.failures << 4 |
           (uint64_t)s.successes << 18 | (uint64_t)s.since << 32;
}

static uint32_t ticks(uint64_t us)
{
    return (uint32_t)(us >> TICK_SHIFT);
}

/* Loops' clocks differ by a turn: what began "later" began now. */
static uint64_t elapsed_us(const struct state *s, uint64_t now_us)
{
    int32_t d = (int32_t)(ticks(now_us) - s->since);

    return d > 0 ? (uint64_t)d << TICK_SHIFT : 0;
}

static unsigned one_more(unsigned n)
{
    return n < BREAKER_COUNT_MAX ? n + 1 : n;
}

/* A threshold of BREAKER_COUNT_MAX and above is out of reach. */
static bool reached(unsigned n, uint32_t threshold)
{
    return n >= threshold && n < BREAKER_COUNT_MAX;
}

/* ---- the machine: pure ---- */

static struct state opened(struct state s, uint64_t now_us)
{
    return (struct state){ .state = BREAKER_OPEN, .failures = s.failures, .since = ticks(now_us) };
}

static struct state next_failure(struct state s, const struct breaker_conf *conf, uint64_t now_us)
{
    if (s.failures == 0 || elapsed_us(&s, now_us) > conf->window_ms * 1000) {
        s.failures = 0;
        s.since = ticks(now_us);
    }
    s.failures = one_more(s.failures);
    s.successes = 0;
    return reached(s.failures, conf->failure_threshold) ? opened(s, now_us) : s;
}

static struct state next_probe_end(struct state s, const struct breaker_conf *conf, enum breaker_outcome outcome, uint64_t now_us)
{
    s.probing = false;
    switch (outcome) {
    case BREAKER_SUCCESS:
        s.successes = one_more(s.successes);
        if (s.gentle || s.successes >= conf->success_threshold)
            return (struct state){ .state = BREAKER_CLOSED };
        return s;
    case BREAKER_FAILURE:
        if (s.gentle)
            return next_failure(s, conf, now_us);
        s.failures = one_more(s.failures);
        return opened(s, now_us);
    case BREAKER_NOTHING:
        break;
    }
    return s;
}

static struct state next_outcome(struct state s, const struct breaker_conf *conf, enum breaker_outcome outcome, bool probe,
                                 uint64_t now_us)
{
    if (s.state == BREAKER_HALF_OPEN && probe)
        return next_probe_end(s, conf, outcome, now_us);
    if (s.state != BREAKER_CLOSED)
        return s;
    if (outcome == BREAKER_FAILURE)
        return next_failure(s, conf, now_us);
    if (outcome == BREAKER_SUCCESS)
        return (struct state){ .state = BREAKER_CLOSED, .successes = one_more(s.successes) };
    return s;
}

static bool is_due(const struct state *s, const struct breaker_conf *conf, uint64_t now_us)
{
    return elapsed_us(s, now_us) >= conf->timeout_ms * 1000;
}

/* A request comes; *PASS says how. */
static struct state next_entry(struct state s, const struct breaker_conf *conf, uint64_t now_us, enum breaker_pass *pass)
{
    *pass = BREAKER_REFUSED;
    switch (s.state) {
    case BREAKER_CLOSED:
        *pass = BREAKER_PASSED;
        return s;
    case BREAKER_OPEN:
        if (!is_due(&s, conf, now_us))
            return s;
        *pass = BREAKER_PROBE;
        return (struct state){ .state = BREAKER_HALF_OPEN, .probing = true };
    default:
        break;
    }
    if (s.probing) {
        *pass = s.gentle ? BREAKER_PASSED : BREAKER_REFUSED;
        return s;
    }
    *pass = BREAKER_PROBE;
    s.probing = true;
    return s;
}

/* ---- applied ---- */

/* Who comes back gently was never broken: to everybody but the candidates' lists the breaker is closed. */
static enum breaker_state shown(const struct state *s)
{
    return s->gentle ? BREAKER_CLOSED : s->state;
}

/* TO in place of *SEEN, with the transition counted. False: somebody was faster, and *SEEN is what stands now. */
static bool replace(struct breaker *b, uint64_t *seen, struct state to)
{
    struct state from = unpack(*seen);
    uint64_t word = pack(to);

    if (word == *seen)
        return true;
    if (!atomic_compare_exchange_weak_explicit(&b->word, seen, word, memory_order_relaxed, memory_order_relaxed))
        return false;
    if (shown(&from) != shown(&to))
        atomic_fetch_add_explicit(&b->transitions[shown(&from)][shown(&to)], 1, memory_order_relaxed);
    return true;
}

enum breaker_pass breaker_enter(struct breaker *b, const struct breaker_conf *conf, uint64_t now_us)
{
    uint64_t seen = atomic_load_explicit(&b->word, memory_order_relaxed);
    enum breaker_pass pass;
    struct state to;

    if (conf->disabled)
        return BREAKER_PASSED;
    do {
        to = next_entry(unpack(seen), conf, now_us, &pass);
    } while (!replace(b, &seen, to));
    return pass;
}

/* Do requests find another answer than before? */
static bool admits_otherwise(const struct state *a, const struct state *b)
{
    return a->state != b->state || a->probing != b->probing;
}

bool breaker_report(struct breaker *b, const struct breaker_conf *conf, enum breaker_outcome outcome, bool probe, uint64_t now_us)
{
    uint64_t seen = atomic_load_explicit(&b->word, memory_order_relaxed);
    struct state from, to;

    if (outcome != BREAKER_NOTHING)
        atomic_fetch_add_explicit(outcome == BREAKER_SUCCESS ? &b->successes : &b->failures, 1, memory_order_relaxed);
    if (conf->disabled)
        return false;
    do {
        from = unpack(seen);
        to = next_outcome(from, conf, outcome, probe, now_us);
    } while (!replace(b, &seen, to));
    return admits_otherwise(&from, &to);
}

void breaker_recover(struct breaker *b, const struct breaker_conf *conf)
{
    uint64_t seen = atomic_load_explicit(&b->word, memory_order_relaxed);

    while (!conf->disabled && unpack(seen).state == BREAKER_CLOSED &&
           !replace(b, &seen, (struct state){ .state = BREAKER_HALF_OPEN, .gentle = true }))
        ;
}

void breaker_reset(struct breaker *b)
{
    uint64_t seen = atomic_load_explicit(&b->word, memory_order_relaxed);

    while (!replace(b, &seen, (struct state){ .state = BREAKER_CLOSED }))
        ;
}

/* ---- looking ---- */

static void earlier(uint64_t *recheck_us, uint64_t us)
{
    if (us < *recheck_us)
        *recheck_us = us;
}

static enum breaker_admission look_at(const struct state *s, const struct breaker_conf *conf, uint64_t now_us, uint64_t *recheck_us)
{
    uint64_t passed = elapsed_us(s, now_us), timeout = conf->timeout_ms * 1000;

    switch (s->state) {
    case BREAKER_CLOSED:
        return BREAKER_YES;
    case BREAKER_OPEN:
        if (passed >= timeout)
            return BREAKER_YES;
        earlier(recheck_us, now_us + (timeout - passed));
        return BREAKER_NO;
    default:
        break;
    }
    if (!s->probing)
        return BREAKER_YES;
    return s->gentle ? BREAKER_RESERVE : BREAKER_NO;
}

enum breaker_admission breaker_look(const struct breaker *b, const struct breaker_conf *conf, uint64_t now_us, uint64_t *recheck_us)
{
    struct state s = unpack(atomic_load_explicit(&b->word, memory_order_relaxed));

    return conf->disabled ? BREAKER_YES : look_at(&s, conf, now_us, recheck_us);
}

struct breaker_view breaker_view(const struct breaker *b)
{
    struct state s = unpack(atomic_load_explicit(&b->word, memory_order_relaxed));

    return (struct breaker_view){ .state = shown(&s), .failures = s.failures, .successes = s.successes };
}

bool breaker_conf_eq(const struct breaker_conf *a, const struct breaker_conf *b)
{
    return a->failure_threshold == b->failure_threshold && a->success_threshold == b->success_threshold &&
           a->timeout_ms == b->timeout_ms && a->window_ms == b->window_ms && a->disabled == b->disabled;
}

struct str breaker_state_text(enum breaker_state s)
{
    static const struct str NAMES[] = { STR_INIT("closed"), STR_INIT("open"), STR_INIT("half_open") };

    return NAMES[s];
}
