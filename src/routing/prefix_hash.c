/* routing/prefix_hash.c -- prompts that begin alike to the same worker, unless it has too much to do (spec data-plane 6.8)
 *
 *   beginning of the prompt --XXH3--> 16 hex digits --blake3--> ring --its worker's load within load_factor of the mean?--> it
 *                                                                                   \--no--> the least loaded of those that are; if none is: it
 *
 * The beginning is the first prefix_token_count tokens where somebody tokenizes, as in SMG; over HTTP, where nobody does, so many times four bytes of the routing text
 * (BETTER: SMG answers 503). Without either the least loaded worker is taken.
 */
#include <assert.h>
#include <xxhash.h>

#include "routing/blake3.h"
#include "routing/choose.h"
#include "routing/policies.h"

#define BYTES_PER_TOKEN 4 /* as a rule of thumb */

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tokens are hashed as they lie in memory: little-endian words");

static uint64_t hash_prefix(const struct policy_conf *conf, const struct policy_hint *hint)
{
    uint64_t tokens = conf->prefix_token_count;

    if (hint->tokens_n)
        return XXH3_64bits(hint->tokens, MIN(hint->tokens_n, tokens) * sizeof(*hint->tokens));
    return XXH3_64bits(hint->text.p, MIN(hint->text.n, tokens > SIZE_MAX / BYTES_PER_TOKEN ? SIZE_MAX : tokens * BYTES_PER_TOKEN));
}

static uint64_t position_of(uint64_t hash)
{
    static const char DIGITS[] = "0123456789abcdef";
    char hex[16];

    for (unsigned i = 0; i < sizeof hex; i++)
        hex[i] = DIGITS[hash >> (60 - 4 * i) & 15];
    return blake3_u64((struct str){ hex, sizeof hex });
}

/* How many requests a worker may have; the request to be is one of the total. */
struct limit {
    int64_t total;
    double most;
};

static struct limit limit_of(const struct worker *const *cand, size_t n, const struct policy_hint *hint, double load_factor)
{
    struct limit l = { 0 };

    for (size_t i = 0; i < n; i++)
        l.total += policy_load(hint, cand[i]);
    l.most = (double)(l.total + 1) / (double)n * load_factor;
    return l;
}

static bool is_within(struct limit l, int64_t load)
{
    return l.total == 0 || (double)load <= l.most;
}

static int pick(struct policy *p, const struct worker *const *cand, size_t n, const struct policy_hint *hint,
                struct policy_choice *choice)
{
    struct limit limit;
    int home, least;

    if (!hint->tokens_n && !hint->text.n) {
        choice->branch = "no_tokens";
        return choose_least_loaded(cand, n, hint, choice);
    }
    home = choose_by_position(cand, n, hint, position_of(hash_prefix(&p->conf, hint)));
    limit = limit_of(cand, n, hint, p->conf.load_factor);
    choice->branch = "ring_hit";
    if (is_within(limit, policy_load(hint, cand[home])))
        return home;
    least = choose_least_loaded(cand, n, hint, choice);
    choice->branch = is_within(limit, policy_load(hint, cand[least])) ? "load_balance_walk" : "fallback_least_load";
    return is_within(limit, policy_load(hint, cand[least])) ? least : home;
}

const struct policy_ops policy_prefix_hash = {
    .name = "prefix_hash",
    .size = sizeof(struct policy),
    .wants_text = true,
    .wants_ring = true,
    .pick = pick,
};
