#include "base/budget.h"

#include <stdatomic.h>

static _Atomic size_t limit, used, refusals;

void budget_set_limit(size_t bytes)
{
    atomic_store_explicit(&limit, bytes, memory_order_relaxed);
}

bool budget_take(size_t bytes)
{
    size_t max = atomic_load_explicit(&limit, memory_order_relaxed);
    size_t before = atomic_fetch_add_explicit(&used, bytes, memory_order_relaxed);

    if (max == 0 || (before <= max && bytes <= max - before))
        return true;
    atomic_fetch_sub_explicit(&used, bytes, memory_order_relaxed);
    atomic_fetch_add_explicit(&refusals, 1, memory_order_relaxed);
    return false;
}

void budget_give(size_t bytes)
{
    atomic_fetch_sub_explicit(&used, bytes, memory_order_relaxed);
}

size_t budget_used(void)
{
    return atomic_load_explicit(&used, memory_order_relaxed);
}

size_t budget_limit(void)
{
    return atomic_load_explicit(&limit, memory_order_relaxed);
}

size_t budget_refusals(void)
{
    return atomic_load_explicit(&refusals, memory_order_relaxed);
}
