/* routing/choose.c -- what several policies do with a list of candidates */
#include "routing/choose.h"

#include "base/random.h"
#include "routing/hash_ring.h"

#define SLOW_MAX 32 /* candidates that are hashed for one pick: a millisecond, for as long as the ring is being made */

int choose_least_loaded(const struct worker *const *cand, size_t n, const struct policy_hint *hint, struct policy_choice *choice)
{
    int64_t least = INT64_MAX;
    size_t at = 0;

    for (size_t i = 0; i < n; i++) {
        int64_t load = policy_load(hint, cand[i]);

        if (choice->scores)
            choice->scores[i] = (double)load;
        if (load < least) {
            least = load;
            at = i;
        }
    }
    choice->score_name = "load";
    return (int)at;
}

int choose_least(const struct worker *const *cand, size_t n, const struct policy_hint *hint,
                 int64_t (*amount)(const struct policy_hint *hint, const struct worker *w))
{
    int64_t least = INT64_MAX;
    size_t at = 0, ties = 0;

    for (size_t i = 0; i < n; i++) {
        int64_t a = amount(hint, cand[i]);

        if (a > least)
            continue;
        ties = a < least ? 1 : ties + 1;
        least = a;
        if (ties == 1 || random_below(hint->random, ties) == 0) /* the k-th of k equals takes over in one of k cases */
            at = i;
    }
    return (int)at;
}

int choose_by_order(const struct worker *const *cand, size_t n, uint64_t order)
{
    size_t low = 0, high = n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (cand[middle]->order < order)
            low = middle + 1;
        else
            high = middle;
    }
    return low < n && cand[low]->order == order ? (int)low : -1;
}

int choose_by_position(const struct worker *const *cand, size_t n, const struct policy_hint *hint, uint64_t position)
{
    int at = hint->ring && hint->ring->n ? hash_ring_find(hint->ring, position, cand, n) : -1;

    if (at < 0 && n <= SLOW_MAX)
        at = hash_ring_find_slowly(position, cand, n);
    return at < 0 ? (int)(position % n) : at;
}
