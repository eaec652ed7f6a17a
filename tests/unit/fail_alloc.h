/* fail_alloc.h -- what holds when memory runs out: every allocation of a piece of code fails once
 *
 *     FOR_EACH_FAILING_ALLOCATION(n) {
 *         ... run the scenario; it must succeed or fail cleanly ...
 *     }
 *
 * The body runs once to count the allocations that it makes, then once per allocation with that one failing (n = 0 in the first run, then
 * 1, 2, ...). Leave it only through its end: no break, no return. Bodies do not nest. Allocations of other threads are counted too.
 * A test that wants this links `fail_alloc` (tests/unit/meson.build): the linker then leads malloc, calloc, realloc and reallocarray of
 * the code under test here. What libc allocates inside itself does not fail.
 */
#pragma once

#include <stdbool.h>

bool fail_alloc_next(unsigned *n);

#define FOR_EACH_FAILING_ALLOCATION(n) for (unsigned n = FAIL_ALLOC_START; fail_alloc_next(&n);)

#define FAIL_ALLOC_START (~0u)

/* Was the allocation that was to fail reached? False in the counting run. */
bool fail_alloc_failed(void);
