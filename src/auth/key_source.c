#include "auth/key_source.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"

#define TARGET       "smg::auth"
#define RETRY_MS     5000
#define RETRY_MS_MAX 300000
#define ASK_US       (KEY_ASK_S * 1000000ull)

struct key_source {
    struct key_source_conf conf;
    struct snapshot_cell cell; /* struct key_set */
    struct loop *control;
    struct fetcher *fetcher; /* owned */
    struct fetch *fetch;     /* not NULL exactly while FETCHING */
    struct timer refresh;
    struct list waiting; // key_wait.link
    unsigned waiting_n;
    unsigned failures;   /* in a row */
    uint64_t generation; /* of the published set */
    uint64_t asked_us;   /* when the tokens below were counted last */
    unsigned asks;       /* fetches for unknown kids that may begin now */
    bool stopped;
};

static void begin(struct key_source *s);
static void on_fetched(void *owner, int status, const struct fetch_reply *reply, const struct err *err);
static void on_refresh(struct timer *t);

static void free_set(void *set)
{
    key_set_free(set);
}

int key_source_new(const struct key_source_conf *conf, struct key_source **ret)
{
    struct key_source *s = calloc(1, sizeof(*s));
    struct key_set *none = key_set_new_empty();

    if (!s || !none) {
        free(s);
        key_set_free(none);
        return ERR_NOMEM;
    }
    s->conf = *conf;
    if (s->conf.retry_ms == 0)
        s->conf.retry_ms = RETRY_MS;
    s->asks = KEY_ASKS;
    list_init(&s->waiting);
    snapshot_init(&s->cell, none, free_set);
    *ret = s;
    return 0;
}

int key_source_start(struct key_source *s, struct loop *control, struct err *err)
{
    s->control = control;
    if (fetcher_new(control, &s->fetcher) < 0)
        return err_set(err, ERR_NOMEM, "out of memory");
    s->asked_us = clock_now_us();
    begin(s);
    return 0;
}

const struct key_set *key_source_keys(struct key_source *s, struct loop *loop)
{
    return snapshot_get(loop, &s->cell);
}

bool key_set_usable(const struct key_set *s)
{
    return s->fetched_us && clock_now_us() - s->fetched_us < KEY_STALE_S * 1000000ull;
}

/* ---- fetching ---- */

static void retry_later(struct key_source *s)
{
    uint64_t ms = (uint64_t)s->conf.retry_ms << MIN(s->failures, 16u);

    s->failures++;
    timer_start(s->control, &s->refresh, MIN(ms, RETRY_MS_MAX), on_refresh);
}

static void failed(struct key_source *s, const char *why)
{
    log_warn(TARGET, "cannot fetch the identity provider's keys; trying again", LF_STR("uri", s->conf.uri), LF_CSTR("error", why),
             LF_UINT("failures", s->failures + 1));
    retry_later(s);
}

static void publish(struct key_source *s, struct key_set *set)
{
    set->fetched_us = clock_now_us();
    set->generation = ++s->generation;
    log_info(TARGET, "identity provider's keys are here", LF_UINT("keys", set->n), LF_UINT("skipped", set->skipped));
    snapshot_publish(&s->cell, set);
    s->failures = 0;
    timer_start(s->control, &s->refresh, KEY_REFRESH_S * 1000ull, on_refresh);
}

static void answer(struct key_wait *w, enum keys_answer a);

static void answer_all(struct key_source *s, enum keys_answer a)
{
    struct list waiting;
    struct key_wait *w;

    list_init(&waiting);
    list_move(&waiting, &s->waiting);
    s->waiting_n = 0;
    LIST_EACH(w, &waiting, link)
    {
        list_remove(&w->link);
        answer(w, a);
    }
}

static void begin(struct key_source *s)
{
    struct fetch_request r = { .url = s->conf.uri,
                               .accept = STR("application/json"),
                               .ca_file = s->conf.ca_file,
                               .max_bytes = KEY_BYTES_MAX,
                               .total_ms = KEY_FETCH_MS };
    struct err err = { 0 };

    timer_stop(&s->refresh);
    if (fetch_start(s->fetcher, &r, on_fetched, s, &s->fetch, &err) == 0)
        return;
    failed(s, err.message);
    answer_all(s, KEYS_UNREACHABLE);
}

static int take(const struct fetch_reply *reply, struct key_set **ret, struct err *err)
{
    if (reply->status < 200 || reply->status > 299)
        return err_set(err, ERR_PROTOCOL, "the answer's status is %u", reply->status);
    return key_set_parse(reply->body, ret, err);
}

static void on_fetched(void *owner, int status, const struct fetch_reply *reply, const struct err *err)
{
    struct key_source *s = owner;
    struct key_set *set = NULL;
    struct err reason = { 0 };

    s->fetch = NULL;
    if (status == 0)
        status = take(reply, &set, &reason);
    else
        reason = *err;
    if (status == 0)
        publish(s, set);
    else
        failed(s, reason.message);
    answer_all(s, status == 0 ? KEYS_CHANGED : KEYS_UNREACHABLE);
}

static void on_refresh(struct timer *t)
{
    struct key_source *s = CONTAINER_OF(t, struct key_source, refresh);

    if (!s->fetch)
        begin(s);
}

/* ---- who waits ---- */

static void run_answered(struct loop *loop, struct message *m)
{
    struct key_wait *w = CONTAINER_OF(m, struct key_wait, message);

    (void)loop;
    w->answered(w);
}

static void answer(struct key_wait *w, enum keys_answer a)
{
    w->answer = a;
    w->message.run = run_answered;
    loop_post(w->loop, &w->message);
}

/* A token bucket: may an unknown kid ask the issuer now? */
static bool may_ask(struct key_source *s)
{
    uint64_t earned = (clock_now_us() - s->asked_us) / ASK_US;

    s->asked_us += earned * ASK_US;
    s->asks = (unsigned)MIN(s->asks + earned, (uint64_t)KEY_ASKS);
    if (s->asks == 0)
        return false;
    s->asks--;
    return true;
}

static void run_asked(struct loop *control, struct message *m)
{
    struct key_wait *w = CONTAINER_OF(m, struct key_wait, message);
    struct key_source *s = w->source;

    (void)control;
    if (w->generation != s->generation) {
        answer(w, KEYS_CHANGED);
        return;
    }
    if (s->stopped || s->waiting_n >= KEY_WAITS_MAX || (!s->fetch && !may_ask(s))) {
        answer(w, s->stopped || s->waiting_n >= KEY_WAITS_MAX ? KEYS_UNREACHABLE : KEYS_SAME);
        return;
    }
    list_append(&s->waiting, &w->link);
    s->waiting_n++;
    if (!s->fetch)
        begin(s);
}

void key_wait_post(struct key_wait *w)
{
    w->message.run = run_asked;
    loop_post(w->source->control, &w->message);
}

/* ---- the end ---- */

void key_source_stop(struct key_source *s)
{
    if (!s || s->stopped)
        return;
    s->stopped = true;
    timer_stop(&s->refresh);
    fetcher_free(STEAL(s->fetcher)); /* a running fetch ends silently with it */
    s->fetch = NULL;
    answer_all(s, KEYS_UNREACHABLE);
}

void key_source_free(struct key_source *s)
{
    if (!s)
        return;
    snapshot_fini(&s->cell);
    free(s);
}
