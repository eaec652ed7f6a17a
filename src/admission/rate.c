/* rate.c -- requests per second */
#include "admission/rate.h"

#include "base/attr.h"

#define SECOND_NS 1000000000ull

void rate_configure(struct rate *r, uint32_t per_second)
{
    atomic_store_explicit(&r->token_ns, per_second ? MAX(1, SECOND_NS / per_second) : 0, memory_order_relaxed);
}

bool rate_take(struct rate *r, uint64_t now_ns, uint64_t *ret_wait_ns)
{
    uint64_t token = atomic_load_explicit(&r->token_ns, memory_order_relaxed), full_at, next;
    uint64_t burst = MAX(SECOND_NS, token);

    if (token == 0)
        return true;
    full_at = atomic_load_explicit(&r->full_at_ns, memory_order_relaxed);
    do {
        next = MAX(full_at, now_ns) + token;
        if (next > now_ns + burst) {
            *ret_wait_ns = next - now_ns - burst;
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(&r->full_at_ns, &full_at, next, memory_order_relaxed, memory_order_relaxed));
    return true;
}
