/* herd.h -- some workers to choose among, and what a request's hint needs; for tests of policies */
#pragma once

#include <stdio.h>
#include <stdlib.h>

#include "test.h"

#include "base/random.h"
#include "routing/policies.h"

#define HERD_MAX 1024

static struct {
    struct worker workers[HERD_MAX];
    struct worker_live lives[HERD_MAX];
    const struct worker *all[HERD_MAX];
    char urls[HERD_MAX][40];
    struct worker_model group;
    struct random random;
    struct policy_hint hint;
    struct policy_choice choice;
} herd;

/* N ready workers http://w1:8000 ... in order of registration, of one model, without load. */
static inline void herd_make(size_t n)
{
    memset(&herd, 0, sizeof herd);
    random_init(&herd.random, 7);
    for (size_t i = 0; i < n; i++) {
        struct worker *w = &herd.workers[i];
        int len = snprintf(herd.urls[i], sizeof herd.urls[i], "http://w%zu:8000", i + 1);

        w->spec.url = (struct str){ herd.urls[i], (size_t)len };
        snprintf(w->id, sizeof w->id, "0000-%zu", i + 1);
        w->order = i * 10 + 5;
        w->live = &herd.lives[i];
        atomic_store(&w->live->status, WORKER_READY);
        herd.all[i] = w;
    }
    herd.group = (struct worker_model){ .id = STR("m"), .workers = herd.all, .n = n };
    herd.hint = (struct policy_hint){
        .model = STR("m"), .group = &herd.group, .table_serial = 1, .now_us = 1000000000, .random = &herd.random
    };
}

static inline struct policy *herd_policy(const struct policy_ops *ops, const struct policy_conf *conf)
{
    struct policy *p;

    assert_int_equal(policy_new(ops, conf ? conf : &POLICY_CONF_DEFAULTS, &p, NULL), 0);
    return p;
}

/* Number 1.. of the chosen worker, 0 = none; MASK says which are candidates, bit 0 for worker 1. */
static inline size_t herd_pick_of(struct policy *p, uint64_t mask)
{
    const struct worker *cand[64];
    size_t n = 0;
    int at;

    for (size_t i = 0; i < herd.group.n && i < 64; i++)
        if (mask >> i & 1)
            cand[n++] = herd.all[i];
    at = policy_pick(p, cand, n, &herd.hint, &herd.choice);
    assert_non_null(herd.choice.branch);
    return at < 0 ? 0 : (size_t)(cand[at] - herd.workers) + 1;
}

static inline size_t herd_pick(struct policy *p)
{
    return herd_pick_of(p, UINT64_MAX);
}

static inline void herd_report(size_t worker, double usage, double throughput, int64_t queued)
{
    struct worker_report *r = &herd.lives[worker - 1].report;

    atomic_store(&r->at_us, 1);
    atomic_store(&r->kv_usage, usage);
    atomic_store(&r->throughput, throughput);
    atomic_store(&r->queued_tokens, queued);
}
