/* cli/load_sum.c -- sums over ranks; ratios are weighed by tokens where those are told, else averaged */
#include "cli/load_sum.h"

static double number(struct json rank, const char *key, double absent)
{
    double v;

    return json_to_double(json_get(rank, str_of(key)), &v) == 0 ? v : absent;
}

void load_sum_read(struct json worker, struct load_sum *ret)
{
    struct json_iter it = json_iter(json_get(json_get(worker, STR("details")), STR("loads")));
    double used = 0, room = 0, usage = 0, hits = 0, running = 0, waiting = 0, rate = -1;
    unsigned ranks = 0, with_usage = 0, with_hits = 0;

    *ret = (struct load_sum){ .tokens = -1, .kv_use = -1, .tokens_s = -1, .hit_rate = -1 };
    if (json_to_i64(json_get(worker, STR("load")), &ret->tokens) < 0)
        ret->tokens = -1;
    while (json_next(&it)) {
        double u = number(it.value, "token_usage", -1), h = number(it.value, "cache_hit_rate", -1),
               r = number(it.value, "gen_throughput", -1);

        ranks++;
        running += number(it.value, "num_running_reqs", 0);
        waiting += number(it.value, "num_waiting_reqs", 0);
        used += number(it.value, "num_used_tokens", 0);
        room += number(it.value, "max_total_num_tokens", 0);
        usage += u >= 0 ? u : 0;
        with_usage += u >= 0;
        hits += h >= 0 ? h : 0;
        with_hits += h >= 0;
        if (r >= 0)
            rate = r + (rate >= 0 ? rate : 0);
    }
    if (ranks == 0)
        return;
    ret->known = true;
    ret->running = running > 0 ? (uint64_t)running : 0;
    ret->waiting = waiting > 0 ? (uint64_t)waiting : 0;
    ret->kv_use = room > 0 ? used / room : with_usage ? usage / with_usage : -1;
    ret->hit_rate = with_hits ? hits / with_hits : -1;
    ret->tokens_s = rate;
}
