/* fleet.h -- workers for tests of policies: plain structs whose numbers, loads and reports the test sets */
#pragma once

#include "routing/policies.h"

#define FLEET_MAX 1024

static struct worker fleet_workers[FLEET_MAX];
static struct worker_live fleet_lives[FLEET_MAX];
static const struct worker *fleet[FLEET_MAX];

/* All idle; numbers from 1 on. */
static inline void fleet_reset(void)
{
    memset(fleet_lives, 0, sizeof fleet_lives);
    for (size_t i = 0; i < FLEET_MAX; i++) {
        fleet_workers[i].live = &fleet_lives[i];
        fleet_lives[i].number = (uint16_t)(i + 1);
        fleet[i] = &fleet_workers[i];
    }
}

static inline void fleet_load(size_t at, int64_t load)
{
    atomic_store(&fleet_lives[at].load, load);
}

static inline void fleet_usage(size_t at, double usage)
{
    atomic_store(&fleet_lives[at].report.at_us, 1);
    atomic_store(&fleet_lives[at].report.kv_usage, usage);
}
