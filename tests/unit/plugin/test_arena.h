/* test_arena.h -- an arena for each test of a program: RULE-like macros name the two as set-up and tear-down */
#pragma once

#include "base/arena.h"
#include "test.h"

static struct arena arena; /* of the test that runs */

static inline int fresh_arena(void **state)
{
    (void)state;
    arena_init(&arena, NULL, 0);
    return 0;
}

static inline int drop_arena(void **state)
{
    (void)state;
    arena_fini(&arena);
    return 0;
}
