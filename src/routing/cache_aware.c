/* routing/cache_aware.c -- the worker that has seen most of the prompt, unless the fleet is out of balance (spec data-plane 6.11)
 *
 *   loads or KV usage out of balance?  --yes--> the least loaded worker                               "imbalanced"
 *     |no
 *   tokens, and engines' events for the model?  --yes--> the one that has most of its blocks          "event_hit"
 *     |no                                                (nobody has any: the least loaded)           "event_miss"
 *   share of the prompt that is known > cache_threshold?  --no--> the least loaded worker             "cache_miss"
 *     |yes
 *   is a candidate among the holders of the deepest known block?  --yes--> the least loaded of them   "cache_hit"
 *     |no: they are gone, cool down or were tried
 *   among those of a block before it, where the share still exceeds the threshold?  --yes--> he       "cache_hit"
 *     |no
 *   the least loaded worker (BETTER: SMG takes the first of the list)                                 "holder_unavailable"
 *
 * Whoever is chosen holds the prompt from then on. A block that is wide (prefix_index.h), such as the end of a system prompt that all send, is on many workers: the least
 * loaded of all is taken unless one of the known holders has as little load. Among equals: who was chosen for the block last.
 * The share is counted in characters of a text, as SMG does, or in tokens.
 * A worker that comes back after a pause holds what it held: prompts that only it knows return to it, conversations that went on elsewhere stay there, and the balance
 * thresholds bound what comes at once. A removed worker's number leads to no candidate from then on; the index's next sweep forgets it.
 * Loads are read without a lock: loops that decide in the same moment do not see each other's choices.
 */
#include "routing/cache_aware.h"

#include <math.h>
#include <stdlib.h>

#include "base/ids.h"
#include "base/random.h"
#include "routing/policies.h"

struct event_index {
    struct str model; /* owned */
    struct kv_events *events;
};

struct cache_aware {
    struct policy policy;
    struct prefix_index *index; /* owned */
    /* Owned; filled from the front, never changed once there: a reader acquires what the control thread has released. */
    struct event_index *_Atomic events[CACHE_AWARE_MODELS];
};

/* One decision. */
struct decision {
    const struct cache_aware *ca;
    const struct worker *const *cand;
    size_t n;
    const struct policy_hint *hint;
    struct policy_board *board; /* NULL: everybody is looked at */
    struct board_view view;
    uint64_t now_s;
};

static int init(struct policy *p, struct err *err)
{
    struct cache_aware *ca = CONTAINER_OF(p, struct cache_aware, policy);
    struct prefix_index_conf conf = { .units_max = p->conf.max_tree_size, .interval_s = p->conf.eviction_interval_s };

    random_bytes(&conf.seed, sizeof conf.seed); /* so that nobody can make prompts that push others' out */
    if (prefix_index_new(&conf, &ca->index) < 0)
        return err_set(err, ERR_NOMEM, "policy cache_aware: no memory for its index");
    return 0;
}

static void fini(struct policy *p)
{
    struct cache_aware *ca = CONTAINER_OF(p, struct cache_aware, policy);
    struct event_index *e;

    for (size_t i = 0; i < CACHE_AWARE_MODELS && (e = atomic_load_explicit(&ca->events[i], memory_order_relaxed)) != NULL; i++) {
        kv_events_free(e->events);
        free((char *)e->model.p);
        free(e);
    }
    prefix_index_free(ca->index);
}

/* ---- engines' events ---- */

static struct kv_events *events_of(const struct cache_aware *ca, struct str model)
{
    struct event_index *e;

    for (size_t i = 0; i < CACHE_AWARE_MODELS && (e = atomic_load_explicit(&ca->events[i], memory_order_acquire)) != NULL; i++)
        if (str_eq(e->model, model))
            return e->events;
    return NULL;
}

struct kv_events *cache_aware_events(struct policy *p, struct str model)
{
    struct cache_aware *ca = CONTAINER_OF(p, struct cache_aware, policy);
    struct kv_events *events = events_of(ca, model);
    struct event_index *e;
    size_t at = 0;

    if (events)
        return events;
    while (at < CACHE_AWARE_MODELS && atomic_load_explicit(&ca->events[at], memory_order_relaxed))
        at++;
    e = at < CACHE_AWARE_MODELS ? calloc(1, sizeof(*e)) : NULL;
    if (!e)
        return NULL;
    e->model = (struct str){ str_dup(model), model.n };
    if (!e->model.p || kv_events_new(&e->events) < 0) {
        free((char *)e->model.p);
        free(e);
        return NULL;
    }
    atomic_store_explicit(&ca->events[at], e, memory_order_release);
    return e->events;
}

static void tick(struct policy *p, uint64_t now_us)
{
    struct cache_aware *ca = CONTAINER_OF(p, struct cache_aware, policy);
    struct event_index *e;

    prefix_index_tick(ca->index, now_us / 1000000);
    for (size_t i = 0; i < CACHE_AWARE_MODELS && (e = atomic_load_explicit(&ca->events[i], memory_order_relaxed)) != NULL; i++)
        kv_events_tick(e->events, now_us / 1000000);
}

static void forget(struct policy *p, const struct worker *w)
{
    struct cache_aware *ca = CONTAINER_OF(p, struct cache_aware, policy);
    struct event_index *e;

    prefix_index_forget(ca->index, w->live->number);
    for (size_t i = 0; i < CACHE_AWARE_MODELS && (e = atomic_load_explicit(&ca->events[i], memory_order_relaxed)) != NULL; i++)
        kv_events_cleared(e->events, w->live->number);
}

bool policy_is_cache_aware(const struct policy *p)
{
    return p->ops == &policy_cache_aware;
}

void cache_aware_stats(const struct policy *p, struct prefix_index_stats *ret)
{
    prefix_index_stats(CONTAINER_OF(p, const struct cache_aware, policy)->index, ret);
}

/* ---- a choice ---- */

static int place_of(const struct decision *d, uint16_t number)
{
    if (d->board)
        return board_place(d->board, number);
    for (size_t i = 0; i < d->n; i++)
        if (d->cand[i]->live->number == number)
            return (int)i;
    return -1;
}

static int take_min(const struct decision *d)
{
    if (d->board)
        board_use_min(d->board);
    return d->view.min;
}

/* BETTER of spec data-plane 6.11: SMG's max is that of a look at all; ours may be a moment old, so whoever is about to be chosen counts as he is. */
static bool is_imbalanced(const struct decision *d, int64_t load_max)
{
    const struct policy_conf *c = &d->ca->policy.conf;
    const struct board_view *v = &d->view;

    if (v->usage_max > c->overload_token_usage_threshold && c->overload_token_usage_threshold < 1)
        return true;
    if (v->usage_max >= 0 && c->balance_token_usage_threshold < 1 && v->usage_max - v->usage_min > c->balance_token_usage_threshold)
        return true;
    return load_max > v->load_min && (uint64_t)(load_max - v->load_min) > c->balance_abs_threshold &&
           (float)load_max > (float)v->load_min * (float)c->balance_rel_threshold;
}

/* The least loaded candidate among H; who was chosen last, of equals. -1: none of them is a candidate. */
static int best_holder(const struct decision *d, const struct prefix_holders *h, int64_t *ret_load)
{
    int best = -1;

    for (unsigned i = 0; i < h->n; i++) {
        int at = place_of(d, h->numbers[i]);
        int64_t load;

        if (at < 0 || d->now_s < h->ages_s[i] || d->now_s - h->ages_s[i] < d->cand[at]->live->born_us / 1000000)
            continue; /* or the number was another worker's then */
        load = policy_load(d->hint, d->cand[at]);
        if (best < 0 || load < *ret_load) {
            best = at;
            *ret_load = load;
        }
    }
    return best;
}

/* Of the bytes of a text, those that begin a character: all but 10xxxxxx. */
static size_t characters(const char *p, size_t n)
{
    size_t count = n, i = 0;

    while (n - i >= 8) {
        uint64_t lanes = 0, word; /* eight counts of at most 255 */

        for (size_t k = 0; k < 255 && n - i >= 8; k++, i += 8) {
            memcpy(&word, p + i, 8);
            lanes += word >> 7 & ~word >> 6 & 0x0101010101010101;
        }
        for (unsigned k = 0; k < 64; k += 8)
            count -= lanes >> k & 0xff;
    }
    for (; i < n; i++)
        count -= ((unsigned char)p[i] & 0xc0) == 0x80;
    return count;
}

/* Is more than the threshold of the prompt in its first MATCHED units? In single precision, as SMG computes. */
static bool exceeds_threshold(const struct decision *d, const struct prefix_prompt *prompt, size_t matched, size_t total)
{
    float threshold = (float)d->ca->policy.conf.cache_threshold, known = (float)matched, rest = (float)(total - matched);

    if (matched == 0)
        return false;
    if (prompt->unit > 1 || matched == total)
        return known / (known + rest) > threshold;
    /* A character has one to four bytes; mostly that is all one must know. */
    if (known / (known + rest / 4) <= threshold)
        return false;
    if (known / (known + rest * 4) > threshold)
        return true;
    known = (float)characters(prompt->units, matched);
    rest = (float)characters((const char *)prompt->units + matched, total - matched);
    return known / (known + rest) > threshold;
}

/* The deepest step with a candidate among its holders; a block's holders hold those before it, so halves tell. -1: there is none, or not deep enough. */
static int shallower_holder(const struct decision *d, const struct prefix_prompt *prompt, const struct prefix_path *path,
                            size_t total)
{
    size_t from = 0, to = prefix_index_steps(path), matched = 0; /* steps below FROM have one; those from TO on have none */
    int found = -1;

    while (from < to) {
        size_t mid = from + (to - from) / 2, end;
        struct prefix_holders h;
        int64_t load;
        int at;

        end = prefix_index_step(path, mid, d->now_s, &h);
        while (h.n == 0 && mid > from) /* a gap tells nothing */
            end = prefix_index_step(path, --mid, d->now_s, &h);
        at = best_holder(d, &h, &load);
        if (at < 0) {
            to = mid;
            continue;
        }
        found = at;
        matched = end;
        from = mid + 1;
    }
    return exceeds_threshold(d, prompt, matched, total) ? found : -1;
}

/* For somebody who asks: how much of the prompt those have who know most of it; of the others is known only that it is less. */
static void tell_matches(const struct decision *d, const struct prefix_match *match, struct policy_choice *choice)
{
    if (!choice->scores || !match->matched)
        return;
    choice->score_name = "matched";
    for (size_t i = 0; i < d->n; i++)
        choice->scores[i] = NAN;
    for (unsigned i = 0; i < match->holders.n; i++) {
        int at = place_of(d, match->holders.numbers[i]);

        if (at >= 0)
            choice->scores[at] = (double)match->matched;
    }
}

static int by_prompt(struct decision *d, struct policy_choice *choice)
{
    const struct policy_hint *hint = d->hint;
    struct prefix_prompt prompt = { .units = hint->text.p, .n = hint->text.n, .unit = 1 };
    struct prefix_path path;
    struct prefix_match match;
    int64_t load = 0;
    int at = -1;

    if (hint->tokens_n)
        prompt = (struct prefix_prompt){ .units = hint->tokens, .n = hint->tokens_n, .unit = sizeof(*hint->tokens) };
    prompt.seed = str_hash(hint->model) + hint->leg;
    prefix_index_match(d->ca->index, &prompt, d->now_s, &path, &match);
    choice->matched = match.matched;
    choice->total = match.total;
    tell_matches(d, &match, choice);
    choice->branch = "cache_miss";
    if (is_imbalanced(d, d->view.load_max)) {
        choice->branch = "imbalanced";
    } else if (exceeds_threshold(d, &prompt, match.matched, match.total)) {
        choice->branch = "cache_hit";
        at = best_holder(d, &match.holders, &load);
        if (at < 0)
            at = shallower_holder(d, &prompt, &path, match.total);
        else if (match.holders.wide && d->view.load_min < load)
            at = take_min(d);
        if (at < 0)
            choice->branch = "holder_unavailable";
        else if (is_imbalanced(d, policy_load(hint, d->cand[at]))) {
            choice->branch = "imbalanced";
            at = -1;
        }
    }
    path.is_hit = at >= 0;
    if (at < 0)
        at = take_min(d);
    if (d->cand[at]->live->number)
        prefix_index_hold(d->ca->index, &path, d->cand[at]->live->number, d->now_s);
    return at;
}

/* Is the score S of the worker at A better than that of the one at B? Spec data-plane 6.14. */
static bool is_better(const struct decision *d, const struct kv_events *events, uint32_t blocks, int at, uint32_t best_blocks,
                      int best)
{
    int64_t load, best_load;
    uint64_t held, best_held;

    if (best < 0 || blocks != best_blocks)
        return best < 0 || blocks > best_blocks;
    load = policy_load(d->hint, d->cand[at]);
    best_load = policy_load(d->hint, d->cand[best]);
    if (load != best_load)
        return load < best_load;
    held = kv_events_blocks(events, d->cand[at]->live->number);
    best_held = kv_events_blocks(events, d->cand[best]->live->number);
    return held != best_held ? held < best_held : at > best;
}

static int by_events(struct decision *d, const struct kv_events *events, struct policy_choice *choice)
{
    struct kv_score scores[PREFIX_EVERY_MAX];
    uint32_t size = (uint32_t)MIN(d->ca->policy.conf.block_size, UINT32_MAX), best_blocks = 0;
    unsigned n = kv_events_scores(events, d->hint->tokens, d->hint->tokens_n, size, scores);
    int best = -1;

    for (unsigned i = 0; i < n; i++) {
        int at = place_of(d, scores[i].worker);

        if (at < 0 || !is_better(d, events, scores[i].blocks, at, best_blocks, best))
            continue;
        best = at;
        best_blocks = scores[i].blocks;
    }
    if (kv_events_block_size(events))
        size = kv_events_block_size(events);
    choice->branch = best < 0 ? "event_miss" : "event_hit";
    choice->matched = (uint64_t)best_blocks * size;
    choice->total = d->hint->tokens_n;
    return best < 0 ? take_min(d) : best;
}

/* For somebody who asks: everybody's load. */
static void tell_loads(const struct decision *d, struct policy_choice *choice)
{
    choice->score_name = "load";
    for (size_t i = 0; choice->scores && i < d->n; i++)
        choice->scores[i] = (double)policy_load(d->hint, d->cand[i]);
}

static int pick(struct policy *p, const struct worker *const *cand, size_t n, const struct policy_hint *hint,
                struct policy_choice *choice)
{
    struct decision d = {
        .ca = CONTAINER_OF(p, struct cache_aware, policy),
        .cand = cand,
        .n = n,
        .hint = hint,
        .board = hint->board && board_ready(hint->board, cand, n) ? hint->board : NULL,
        .now_s = hint->now_us / 1000000,
    };
    const struct kv_events *events = hint->tokens_n ? events_of(d.ca, hint->model) : NULL;

    if (d.board)
        board_look(d.board, cand, n, hint->shadow, hint->now_us, &d.view);
    else
        board_look_at_all(cand, n, hint->shadow, &d.view);
    tell_loads(&d, choice);
    if (events && kv_events_count(events) && !is_imbalanced(&d, d.view.load_max))
        return by_events(&d, events, choice);
    return by_prompt(&d, choice);
}

const struct policy_ops policy_cache_aware = {
    .name = "cache_aware",
    .size = sizeof(struct cache_aware),
    .wants_text = true,
    .wants_usage = true,
    .init = init,
    .pick = pick,
    .tick = tick,
    .forget = forget,
    .fini = fini,
};
