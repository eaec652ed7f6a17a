/* base/budget.h -- the process's one memory budget (--memory-limit)
 *
 * Everything that grows with traffic (bodies, pending output, caches, indexes) takes its bytes here before it allocates and gives them back when it frees.
 * A refusal is back-pressure: the taker sheds (503, 413, 429) or evicts, as its header says. One atomic counter; relaxed is enough, for no other memory hangs on it.
 * Any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

void budget_set_limit(size_t bytes); /* 0 = none (the start value) */
bool budget_take(size_t bytes);      /* false: over the limit, nothing was taken */
void budget_give(size_t bytes);
size_t budget_used(void);
size_t budget_limit(void);
size_t budget_refusals(void);
