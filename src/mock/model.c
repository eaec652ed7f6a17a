/* model.c -- the steps of the simulated engine
 *
 *    IDLE --submit--> WAITING --admit--> RUNNING --end_step--> DONE
 *                        |                  |
 *                        +---- cancel ------+--> IDLE
 *
 * KV blocks of a running request: held blocks with a name (cached prefix, then its own prompt once prefilled) and unnamed ones (the rest). Invariant: held +
 * unnamed = ceil(tokens / block_size), where tokens counts the whole prompt from admission on, as engines reserve it.
 */
#include "mock/model.h"

#include <assert.h>
#include <math.h>

#define THROUGHPUT_WEIGHT 0.3
#define HIT_RATE_WEIGHT   0.2

int model_init(struct model *m, const struct model_conf *conf)
{
    *m = (struct model){ .conf = *conf };
    list_init(&m->waiting);
    list_init(&m->running);
    return kv_cache_init(&m->cache, MAX(conf->kv_tokens / conf->block_size, 1));
}

void model_fini(struct model *m)
{
    kv_cache_fini(&m->cache);
}

/* Blocks of R's prompt that a cache may give: the last prompt token is always computed, for its logits. */
static size_t matched_blocks(const struct model *m, const struct model_request *r)
{
    size_t most = (r->prompt_tokens - 1) / m->conf.block_size;

    if (!m->conf.prefix_cache)
        return 0;
    return kv_cache_match(&m->cache, r->blocks, MIN(most, r->blocks_n));
}

static size_t blocks_for(const struct model *m, uint64_t tokens)
{
    return (tokens + m->conf.block_size - 1) / m->conf.block_size;
}

void model_submit(struct model *m, struct model_request *r, uint64_t now_us)
{
    assert(r->state == MODEL_IDLE && r->prompt_tokens > 0 && r->output_tokens > 0 && r->choices > 0);
    r->state = MODEL_WAITING;
    r->submitted_us = now_us;
    r->waiting_tokens = r->remote ? 1 : r->prompt_tokens - matched_blocks(m, r) * m->conf.block_size;
    m->waiting_uncached_tokens += r->waiting_tokens;
    m->waiting_n++;
    list_append(&m->waiting, &r->link);
}

static void leave_queue(struct model *m, struct model_request *r)
{
    list_remove(&r->link);
    m->waiting_n--;
    m->waiting_uncached_tokens -= r->waiting_tokens;
}

static void set_unnamed(struct model *m, struct model_request *r, size_t n)
{
    m->cache.unnamed = m->cache.unnamed - r->unnamed + n;
    r->unnamed = n;
}

/* Names R's blocks up to TOKENS tokens, so that others find them. */
static void name_blocks(struct model *m, struct model_request *r, uint64_t tokens)
{
    size_t full = MIN(tokens / m->conf.block_size, r->blocks_n);

    if (!m->conf.prefix_cache)
        return;
    while (r->held < full && r->unnamed > 0 && kv_cache_insert(&m->cache, r->blocks[r->held])) {
        r->held++;
        r->unnamed--;
    }
}

static void leave_batch(struct model *m, struct model_request *r)
{
    list_remove(&r->link);
    m->running_n--;
    set_unnamed(m, r, 0);
    kv_cache_unpin(&m->cache, r->blocks, r->held);
    r->held = 0;
}

void model_cancel(struct model *m, struct model_request *r)
{
    if (r->state == MODEL_WAITING)
        leave_queue(m, r);
    else if (r->state == MODEL_RUNNING)
        leave_batch(m, r);
    r->state = MODEL_IDLE;
}

static bool fits(const struct model *m, const struct model_request *r, size_t matched)
{
    size_t needed = blocks_for(m, r->prompt_tokens) - matched;
    size_t in_use = kv_cache_in_use(&m->cache);

    return m->running_n == 0 || (in_use < m->cache.capacity && needed <= m->cache.capacity - in_use);
}

static void admit(struct model *m, struct model_request *r, size_t matched)
{
    double hit;

    leave_queue(m, r);
    list_append(&m->running, &r->link);
    m->running_n++;
    r->state = MODEL_RUNNING;
    kv_cache_pin(&m->cache, r->blocks, matched);
    r->held = matched;
    r->cached_tokens = r->prefilled = (uint64_t)matched * m->conf.block_size;
    set_unnamed(m, r, blocks_for(m, r->prompt_tokens) - matched);
    kv_cache_shrink(&m->cache, m->cache.capacity);
    hit = (double)r->cached_tokens / (double)r->prompt_tokens;
    m->cache_hit_rate += HIT_RATE_WEIGHT * (hit - m->cache_hit_rate);
    m->prompt_tokens += r->prompt_tokens;
    m->cached_tokens += r->cached_tokens;
    if (r->remote)
        r->prefilled = r->prompt_tokens - 1;
}

static void admit_waiting(struct model *m)
{
    struct model_request *r;

    while (m->running_n < m->conf.max_running && (r = list_first(&m->waiting, struct model_request, link)) != NULL) {
        size_t matched = matched_blocks(m, r);

        if (!fits(m, r, matched))
            break;
        admit(m, r, matched);
    }
}

uint64_t model_begin_step(struct model *m, uint64_t now_us)
{
    uint64_t budget = m->conf.prefill_chunk, decoding = 0;
    double prefill_us, decode_us;
    struct model_request *r;

    assert(!m->stepping);
    admit_waiting(m);
    if (m->running_n == 0) {
        m->throughput = 0;
        return 0;
    }
    LIST_EACH(r, &m->running, link)
    {
        r->step_prefill = MIN(budget, r->prompt_tokens - r->prefilled);
        budget -= r->step_prefill;
        r->step_decode = r->prefilled + r->step_prefill == r->prompt_tokens;
        decoding += r->step_decode ? r->choices : 0;
    }
    prefill_us = (double)(m->conf.prefill_chunk - budget) / m->conf.prefill_tps * 1e6;
    decode_us = decoding ? (m->conf.decode_base_ms + m->conf.decode_per_req_ms * (double)decoding) * 1e3 : 0;
    m->step_us = (uint64_t)llround(fmax(fmax(prefill_us, decode_us), MODEL_STEP_MIN_US));
    m->stepping = true;
    return m->step_us;
}

static void decode_one(struct model *m, struct model_request *r, uint64_t now_us)
{
    uint64_t tokens;

    r->produced++;
    m->step_tokens += r->choices;
    if (r->produced == 1)
        r->first_token_us = now_us;
    tokens = r->prompt_tokens + r->produced * r->choices;
    set_unnamed(m, r, blocks_for(m, tokens) - r->held);
    if (r->produced == r->output_tokens) {
        name_blocks(m, r, r->prompt_tokens + r->produced);
        leave_batch(m, r);
        r->state = MODEL_DONE;
        r->done_us = now_us;
        m->finished++;
    }
    m->on_token(m, r, m->arg);
}

void model_end_step(struct model *m, uint64_t now_us)
{
    size_t capacity = m->cache.capacity;
    struct model_request *r;

    assert(m->stepping);
    m->stepping = false;
    m->steps++;
    m->step_tokens = 0;
    LIST_EACH(r, &m->running, link)
    {
        r->prefilled += r->step_prefill;
        if (r->step_prefill > 0 && r->prefilled == r->prompt_tokens)
            name_blocks(m, r, r->prompt_tokens);
        r->step_prefill = 0;
        if (r->step_decode)
            decode_one(m, r, now_us);
    }
    m->output_tokens += m->step_tokens;
    m->throughput += THROUGHPUT_WEIGHT * ((double)m->step_tokens * 1e6 / (double)m->step_us - m->throughput);
    if ((double)kv_cache_total(&m->cache) > MODEL_HIGH * (double)capacity)
        kv_cache_shrink(&m->cache, (size_t)(MODEL_LOW * (double)capacity));
}

uint64_t model_used_tokens(const struct model *m)
{
    return MIN(kv_cache_in_use(&m->cache), m->cache.capacity) * m->conf.block_size;
}

double model_usage(const struct model *m)
{
    return (double)MIN(kv_cache_in_use(&m->cache), m->cache.capacity) / (double)m->cache.capacity;
}

void model_flush_cache(struct model *m)
{
    kv_cache_shrink(&m->cache, 0);
}
