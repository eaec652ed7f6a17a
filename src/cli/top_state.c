/* cli/top_state.c -- three kinds of answers become rows */
#include "cli/top_state.h"

#include <stdlib.h>

#include "cli/text_table.h"

#define UNKNOWN (-1.0)

void top_state_init(struct top_state *s)
{
    *s = (struct top_state){ 0 };
    arena_init(&s->arena, /* cache= */ NULL, /* max_bytes= */ 0);
}

void top_state_fini(struct top_state *s)
{
    map_fini(&s->by_url);
    arena_fini(&s->arena);
    free(s->rows);
    *s = (struct top_state){ 0 };
}

/* ---- the list ---- */

static struct str keep(struct json worker, const char *key, struct arena *arena)
{
    struct str text = json_str(json_get(worker, str_of(key)), arena);

    return arena_str(arena, text_clean(text, arena));
}

static void read_row(struct json worker, struct arena *arena, struct top_row *row)
{
    *row = (struct top_row){
        .id = keep(worker, "id", arena),
        .url = keep(worker, "url", arena),
        .model = keep(worker, "model_id", arena),
        .status = keep(worker, "status", arena),
        .engine = { .tokens = -1, .kv_use = -1, .tokens_s = -1, .hit_rate = -1 },
        .rate = UNKNOWN,
        .errors = UNKNOWN,
        .latency_s = UNKNOWN,
    };
    if (json_to_u64(json_get(worker, STR("load")), &row->load) < 0)
        row->load = 0;
}

static void inherit(struct top_row *row, const struct top_row *old)
{
    row->engine = old->engine;
    row->seen = old->seen;
    row->seen_us = old->seen_us;
    row->before = old->before;
    row->rate = old->rate;
    row->errors = old->errors;
    row->latency_s = old->latency_s;
}

static int build(const struct top_state *old, struct top_state *fresh, struct json workers)
{
    struct json_iter it = json_iter(workers);

    fresh->rows = calloc(MAX(json_count(workers), (size_t)1), sizeof *fresh->rows);
    if (!fresh->rows)
        return ERR_NOMEM;
    while (json_next(&it)) {
        struct top_row *row = &fresh->rows[fresh->n], *before;

        read_row(it.value, &fresh->arena, row);
        if (row->url.n == 0 || map_get(&fresh->by_url, row->url))
            continue;
        before = map_get(&old->by_url, row->url);
        if (before)
            inherit(row, before);
        if (map_put(&fresh->by_url, row->url, row, NULL) < 0)
            return ERR_NOMEM;
        fresh->n++;
    }
    return fresh->arena.failed ? ERR_NOMEM : 0;
}

int top_set_workers(struct top_state *s, struct str body)
{
    struct top_state fresh;
    struct json_doc doc;
    struct json workers;
    struct arena arena;
    int r;

    arena_init(&arena, /* cache= */ NULL, /* max_bytes= */ 0);
    top_state_init(&fresh);
    r = json_parse(body, &arena, &doc, NULL);
    if (r == 0) {
        workers = json_get(json_root(&doc), STR("workers"));
        r = json_is(workers, JSON_ARRAY) ? build(s, &fresh, workers) : ERR_SYNTAX;
    }
    arena_fini(&arena);
    if (r < 0) {
        top_state_fini(&fresh);
        return r == ERR_NOMEM ? r : ERR_SYNTAX;
    }
    fresh.listed = true;
    fresh.rated = s->rated;
    top_state_fini(s);
    *s = fresh;
    return 0;
}

/* ---- loads ---- */

int top_set_loads(struct top_state *s, struct str body)
{
    struct json_doc doc;
    struct json workers;
    struct json_iter it;
    struct arena arena;
    int r;

    arena_init(&arena, /* cache= */ NULL, /* max_bytes= */ 0);
    r = json_parse(body, &arena, &doc, NULL);
    workers = r == 0 ? json_get(json_root(&doc), STR("workers")) : JSON_NONE;
    if (r == 0 && !json_is(workers, JSON_ARRAY))
        r = ERR_SYNTAX;
    it = json_iter(workers);
    while (r == 0 && json_next(&it)) {
        struct str url = json_str(json_get(it.value, STR("worker")), &arena);
        struct top_row *row = url.n ? map_get(&s->by_url, url) : NULL;

        if (row)
            load_sum_read(it.value, &row->engine);
    }
    arena_fini(&arena);
    return r == 0 || r == ERR_NOMEM ? r : ERR_SYNTAX;
}

/* ---- metrics ---- */

static double *counter_of(struct top_counters *c, struct str family)
{
    if (str_eq(family, STR("smg_worker_requests_total")))
        return &c->requests;
    if (str_eq(family, STR("smg_worker_requests_active")))
        return &c->active;
    if (str_eq(family, STR("smg_worker_failures_total")))
        return &c->failures;
    if (str_eq(family, STR("smg_worker_request_seconds_total")))
        return &c->seconds;
    return NULL;
}

/* FAMILY{worker="URL"} NUMBER. URLs have nothing that the format would escape. */
static bool split_sample(struct str line, struct str *family, struct str *url, double *value)
{
    struct str rest, number;

    if (!str_split(line, '{', family, &rest) || !str_has_prefix(rest, STR("worker=\"")))
        return false;
    return str_split(str_skip(rest, 8), '"', url, &rest) && str_has_prefix(rest, STR("} ")) &&
           (number = str_skip(rest, 2), str_to_double(number, value) == 0);
}

static bool is_whole(const struct top_counters *c)
{
    return c->requests >= 0 && c->active >= 0 && c->failures >= 0 && c->seconds >= 0;
}

/* What the time between two pages brought. A counter that went back belongs to another life of the gateway. */
static void rate_row(struct top_row *row, double passed_s)
{
    const struct top_counters *a = &row->before, *b = &row->seen;
    double finished = (b->requests - b->active) - (a->requests - a->active);

    row->rate = row->errors = row->latency_s = UNKNOWN;
    if (!is_whole(a) || !is_whole(b) || passed_s <= 0 || b->requests < a->requests || b->failures < a->failures ||
        b->seconds < a->seconds)
        return;
    row->rate = MAX(finished, 0.0) / passed_s;
    row->errors = (b->failures - a->failures) / passed_s;
    if (finished >= 1)
        row->latency_s = (b->seconds - a->seconds) / finished;
}

static void begin_page(struct top_state *s)
{
    for (size_t i = 0; i < s->n; i++) {
        s->rows[i].before = s->rows[i].seen;
        s->rows[i].seen = (struct top_counters){ UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN };
    }
}

static void end_page(struct top_state *s, uint64_t now_us)
{
    for (size_t i = 0; i < s->n; i++) {
        struct top_row *row = &s->rows[i];

        if (row->seen_us && row->seen_us < now_us) {
            rate_row(row, (double)(now_us - row->seen_us) / 1e6);
            s->rated |= row->rate >= 0;
        }
        row->seen_us = is_whole(&row->seen) ? now_us : 0;
    }
}

void top_set_metrics(struct top_state *s, struct str page, uint64_t now_us)
{
    struct str line;

    begin_page(s);
    while (page.n) {
        struct str family, url;
        double value, *counter;
        struct top_row *row;

        (void)str_split(page, '\n', &line, &page); /* the last line may lack its end */
        if (!str_has_prefix(line, STR("smg_worker_")) || !split_sample(line, &family, &url, &value))
            continue;
        row = map_get(&s->by_url, url);
        counter = row ? counter_of(&row->seen, family) : NULL;
        if (counter)
            *counter = value;
    }
    end_page(s, now_us);
}
