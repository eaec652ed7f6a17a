/* cli/load_sum.h -- what an engine said about its load, over its ranks (spec control-plane 15.2) */
#pragma once

#include "json/json.h"

struct load_sum {
    bool known;     /* the engine answered: else the rest is zero */
    int64_t tokens; /* as the gateway says: KV tokens in use, or -1 */
    uint64_t running, waiting;
    double kv_use;   /* 0..1; negative = not told */
    double tokens_s; /* generated a second; negative = not told */
    double hit_rate; /* of the prefix cache, 0..1; negative = not told */
};

/* WORKER is an element of `workers` of GET /get_loads. */
void load_sum_read(struct json worker, struct load_sum *ret);
