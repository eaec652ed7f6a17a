/* admin/engine_metrics.c -- GET /engine_metrics: the metrics of all engines on one page (spec control-plane 15.4, operations 9)
 *
 * Public, as SMG's: a scraper has no key. So it is bounded twice: by FANOUTS_MAX at a time, and by the bytes of all scrapes together; what is past them is left out, and a
 * comment at the page's end says how much. gRPC and ZMQ workers have no page and are not asked.
 */
#include "admin/fan.h"
#include "base/log.h"
#include "http/error.h"
#include "observe/metrics_merge.h"

#define TARGET       "smg::metrics"
#define EACH_MS      5000
#define ALL_MS       15000       /* a scraper's patience (Prometheus: 10 s by default) is not longer */
#define SCRAPE_BYTES (4u << 20)  /* of one engine; a large vLLM has 300 KiB */
#define ALL_BYTES    (64u << 20) /* of all engines */
#define PIECE_BYTES  (48u << 10) /* of the 64 KiB that a turn may yield, with room for one long line */

struct page {
    struct fan fan;
    struct metrics_merge *merge; /* owned, until the reply has it */
    size_t known, left_out;
    struct err conflict; /* code 0 = none */
};

static bool wants(const struct worker *w, void *owner)
{
    CONTAINER_OF((struct fan *)owner, struct page, fan)->known++;
    return w->spec.mode == WORKER_HTTP && w->spec.runtime != RUNTIME_EXTERNAL;
}

static bool on_scrape(struct fanout *f, struct fanout_target *t, struct buf *body)
{
    struct page *p = CONTAINER_OF((struct fan *)f->owner, struct page, fan);
    int r;

    if (!fanout_succeeded(t->result))
        return true;
    r = t->cut ? ERR_LIMIT : metrics_merge_add(p->merge, body, t->base_url, &p->conflict);
    if (r == ERR_INVALID)
        return false;
    if (r < 0)
        log_warn(TARGET, "the metrics of a worker were left out", LF_STR("worker", t->base_url), LF_CSTR("reason", err_text(r)));
    p->left_out += r == ERR_LIMIT || r == ERR_NOMEM;
    return true;
}

static bool proceed(struct exchange *ex, struct buf *out, void *arg)
{
    struct page *p = arg;

    (void)ex;
    if (!metrics_merge_next(p->merge, out, PIECE_BYTES))
        return false;
    if (p->left_out)
        buf_printf(out, "# %zu workers left out: their metrics are too large; scrape them themselves\n", p->left_out);
    return true;
}

static void stop(struct exchange *ex, void *arg)
{
    struct page *p = arg;

    (void)ex;
    metrics_merge_free(STEAL(p->merge));
}

static void refuse(struct exchange *ex, struct str code, struct str message)
{
    http_error(ex, 500, code, message);
}

/* The reasons that SMG gives, as JSON (decision 2). */
static bool is_refused(struct exchange *ex, const struct page *p, const struct fanout *f)
{
    bool any = false;

    for (size_t i = 0; i < f->targets_n; i++)
        any |= fanout_succeeded(f->targets[i].result);
    if (p->known == 0)
        refuse(ex, STR("no_workers"), STR("No available workers"));
    else if (p->conflict.code)
        refuse(ex, STR("metrics_conflict"), arena_printf(&ex->arena, "Failed to aggregate metrics: %s", p->conflict.message));
    else if (!any)
        refuse(ex, STR("all_backends_failed"), STR("All backend requests failed"));
    else
        return false;
    return true;
}

static void reply(struct fan *fan)
{
    static const struct exchange_generator PAGE = { .proceed = proceed, .stop = stop };
    struct page *p = CONTAINER_OF(fan, struct page, fan), *kept;

    if (is_refused(fan->ex, p, fan->fanout))
        return;
    kept = arena_new(&fan->ex->arena, struct page);
    if (!kept) {
        http_error(fan->ex, 503, STR("out_of_memory"), STR("The gateway is out of memory for this request"));
        return;
    }
    kept->merge = STEAL(p->merge);
    kept->left_out = p->left_out;
    exchange_generate(fan->ex, 200, TYPE_TEXT, &PAGE, kept);
}

static void dropped(struct fan *fan)
{
    metrics_merge_free(STEAL(CONTAINER_OF(fan, struct page, fan)->merge));
}

void admin_engine_metrics(struct exchange *ex, void *context)
{
    struct page *p = arena_new(&ex->arena, struct page);
    struct fanout_ask ask = {
        .kind = FANOUT_PUBLIC,
        .all_ms = ALL_MS,
        .wants = wants,
        .question = { .method = HTTP_GET, .path = STR("/metrics"), .total_ms = EACH_MS, .body_max = SCRAPE_BYTES },
        .answered = on_scrape,
    };

    if (p)
        p->merge = metrics_merge_new(STR("worker_addr"), ALL_BYTES);
    if (!p || !p->merge) {
        http_error(ex, 503, STR("out_of_memory"), STR("The gateway is out of memory for this request"));
        return;
    }
    p->fan.done = reply;
    p->fan.dropped = dropped;
    fan_start(ex, context, &p->fan, &ask);
}
