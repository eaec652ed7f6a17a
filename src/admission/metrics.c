/* metrics.c -- what became of requests in front of the handlers (spec operations 8.4, 8.8)
 *
 * Each counter belongs to the loop of the request that it counts. smg_admission_requests_total and smg_admission_ended_total are ours, in every mode: at rest
 *   sum of requests_total = every request that came here;   outcome "admitted" = ended_total.
 */
#include <stdlib.h>

#include "admission/admission_internal.h"

static const char *const OUTCOME_TEXTS[OUTCOMES] = {
    [OUTCOME_ADMITTED] = "admitted",
    [OUTCOME_QUEUE_FULL] = "rejected_queue_full",
    [OUTCOME_QUEUE_TIMEOUT] = "rejected_queue_timeout",
    [OUTCOME_PREEMPTED] = "preempted",
    [OUTCOME_CLIENT_LEFT] = "client_cancelled",
    [OUTCOME_RATE_LIMITED] = "rejected_rate_limit",
    [OUTCOME_TENANT_LIMITED] = "rejected_tenant_limit",
};

static const struct metric_family REQUESTS = { .name = "smg_admission_requests_total",
                                               .help = "Inference requests by what admission made of them",
                                               .type = METRIC_COUNTER,
                                               .labels = { "outcome" } };
static const struct metric_family ENDED = { .name = "smg_admission_ended_total",
                                            .help = "Admitted requests that ended and gave their permit back",
                                            .type = METRIC_COUNTER,
                                            .labels = { NULL } };
static const struct metric_family WAIT = { .name = "smg_admission_wait_seconds",
                                           .help = "How long queued requests waited for their permit",
                                           .type = METRIC_HISTOGRAM,
                                           .labels = { NULL } };
static const struct metric_family RATE_LIMIT = { .name = "smg_http_rate_limit_total",
                                                 .help = "Decisions of the concurrency and rate limits",
                                                 .type = METRIC_COUNTER,
                                                 .labels = { "result" } };
static const struct metric_family ADMIT = { .name = "smg_scheduler_admit_total",
                                            .help = "Requests by priority class and what the scheduler made of them",
                                            .type = METRIC_COUNTER,
                                            .labels = { "class", "outcome" } };
static const struct metric_family QUEUE_WAIT = { .name = "smg_scheduler_queue_wait_seconds",
                                                 .help = "How long admitted requests had waited in their class's queue",
                                                 .type = METRIC_HISTOGRAM,
                                                 .labels = { "class" } };
static const struct metric_family PREEMPTION = { .name = "smg_scheduler_preemption_total",
                                                 .help = "Requests that lost their slot to a higher class",
                                                 .type = METRIC_COUNTER,
                                                 .labels = { "victim_class", "by_class" } };
static const struct metric_family CLAMP = { .name = "smg_scheduler_clamp_total",
                                            .help = "Requests that asked for a higher class than their tenant may have",
                                            .type = METRIC_COUNTER,
                                            .labels = { "tenant", "requested_class", "effective_class" } };
static const struct metric_family UNKNOWN = { .name = "smg_scheduler_unknown_priority_value_total",
                                              .help = "Requests whose X-SMG-Priority names no class",
                                              .type = METRIC_COUNTER,
                                              .labels = { "tenant" } };
static const struct metric_family PROMOTION = { .name = "smg_scheduler_starvation_promotion_total",
                                                .help = "Requests that were admitted because they had waited for long",
                                                .type = METRIC_COUNTER,
                                                .labels = { "class" } };
static const struct metric_family TENANT_TOKENS = { .name = "smg_tenant_limit_tokens_total",
                                                    .help = "Tokens that replies told and tenants were charged with",
                                                    .type = METRIC_COUNTER,
                                                    .labels = { "token_type" } };

struct admission_cells {
    struct metric_cell *requests[OUTCOMES], *ended, *wait, *allowed, *rejected;
    struct metric_cell *admit[CLASSES][OUTCOMES], *queue_wait[CLASSES]; /* with a scheduler */
};

static struct metric_cell *cell(struct admission_thread *t, const struct metric_family *f, const char *a, const char *b)
{
    struct str v[] = { str_of(a), str_of(b) };

    return metric_cell(t->loop->metrics, f, v);
}

/* A series begins with its first count: a gateway without limits shows none of them. */
static void count(struct admission_thread *t, struct metric_cell **c, const struct metric_family *f, const char *a, const char *b)
{
    if (_unlikely_(!*c))
        *c = cell(t, f, a, b);
    metric_add(*c, 1);
}

int admission_cells_new(struct admission_thread *t)
{
    t->cells = calloc(1, sizeof(*t->cells));
    return t->cells ? 0 : ERR_NOMEM;
}

static const char *class_text(int class)
{
    return sched_class_name((enum sched_class) class).p;
}

static bool is_limited(const struct admission *a)
{
    return atomic_load_explicit(&a->permits.limit, memory_order_relaxed) != PERMITS_UNLIMITED ||
           atomic_load_explicit(&a->rate.token_ns, memory_order_relaxed) != 0;
}

/* SMG's counter of its plain limiter; of the scheduler's mode it has the requests per second only. */
static void count_rate_limit(struct admission_thread *t, enum admission_outcome outcome)
{
    const struct admission *a = t->admission;

    if (a->has_scheduler ? outcome != OUTCOME_RATE_LIMITED : !is_limited(a))
        return;
    switch (outcome) {
    case OUTCOME_ADMITTED:
        count(t, &t->cells->allowed, &RATE_LIMIT, "allowed", NULL);
        break;
    case OUTCOME_QUEUE_FULL:
    case OUTCOME_QUEUE_TIMEOUT:
    case OUTCOME_RATE_LIMITED:
        count(t, &t->cells->rejected, &RATE_LIMIT, "rejected", NULL);
        break;
    default:
        break;
    }
}

void admission_count(struct admission_thread *t, enum admission_outcome outcome, int class)
{
    if (outcome != OUTCOME_PREEMPTED) /* that request was counted when it was admitted */
        count(t, &t->cells->requests[outcome], &REQUESTS, OUTCOME_TEXTS[outcome], NULL);
    count_rate_limit(t, outcome);
    if (class >= 0)
        count(t, &t->cells->admit[class][outcome], &ADMIT, class_text(class), OUTCOME_TEXTS[outcome]);
}

void admission_count_ended(struct admission_thread *t)
{
    count(t, &t->cells->ended, &ENDED, NULL, NULL);
}

void admission_count_wait(struct admission_thread *t, int class, uint64_t us)
{
    struct metric_cell **c = class >= 0 ? &t->cells->queue_wait[class] : &t->cells->wait;

    if (!*c)
        *c = class >= 0 ? cell(t, &QUEUE_WAIT, class_text(class), NULL) : cell(t, &WAIT, NULL, NULL);
    metric_observe_us(*c, us);
}

void admission_count_preemption(struct admission_thread *t, enum sched_class victim, enum sched_class by)
{
    metric_add(cell(t, &PREEMPTION, class_text(victim), class_text(by)), 1);
}

void admission_count_promotion(struct admission_thread *t, enum sched_class class)
{
    metric_add(cell(t, &PROMOTION, class_text(class), NULL), 1);
}

void admission_count_clamp(struct admission_thread *t, struct str tenant, enum sched_class requested, enum sched_class effective)
{
    struct str v[] = { admission_tenant_label(t->admission, tenant), sched_class_name(requested), sched_class_name(effective) };

    metric_add(metric_cell(t->loop->metrics, &CLAMP, v), 1);
}

void admission_count_unknown(struct admission_thread *t, struct str tenant)
{
    struct str v[] = { admission_tenant_label(t->admission, tenant) };

    metric_add(metric_cell(t->loop->metrics, &UNKNOWN, v), 1);
}

void admission_count_settled(struct admission_thread *t, uint64_t input, uint64_t output)
{
    metric_add(cell(t, &TENANT_TOKENS, "input", NULL), (int64_t)MIN(input, UINT32_MAX));
    metric_add(cell(t, &TENANT_TOKENS, "output", NULL), (int64_t)MIN(output, UINT32_MAX));
}
