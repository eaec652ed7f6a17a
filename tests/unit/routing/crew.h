/* crew.h -- workers that only stand there to be chosen, and a hint to choose by: shared by the tests of policies */
#pragma once

#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/random.h"
#include "routing/hash_ring.h"
#include "routing/policies.h"

#define CREW_MAX 16

static struct worker crew[CREW_MAX];
static struct worker_live lives[CREW_MAX];
static const struct worker *everybody[CREW_MAX]; /* the crew by order */
static const struct worker *cand[CREW_MAX];      /* whom a pick may choose: all, unless a test leaves somebody out */
static size_t cand_n;
static struct worker_model group;
static struct random dice;
static struct policy_hint hint;
static struct policy_choice choice;

/* N workers http://w1:8000 ... with nothing to do, all of them candidates. */
static inline void gather(size_t n)
{
    static char urls[CREW_MAX][32];

    memset(crew, 0, sizeof crew);
    memset(lives, 0, sizeof lives);
    for (size_t i = 0; i < n; i++) {
        int len = snprintf(urls[i], sizeof urls[i], "http://w%zu:8000", i + 1);

        crew[i].spec.url = (struct str){ urls[i], (size_t)len };
        crew[i].order = (i + 1) * 10;
        crew[i].live = &lives[i];
        snprintf(crew[i].id, sizeof crew[i].id, "00000000-0000-4000-8000-%012zu", i + 1);
        atomic_store(&lives[i].status, WORKER_READY);
        everybody[i] = cand[i] = &crew[i];
    }
    cand_n = n;
    group = (struct worker_model){ STR("m"), everybody, n };
    random_init(&dice, 42);
    hint = (struct policy_hint){ .model = STR("m"), .group = &group, .random = &dice, .now_us = 1000000 };
    choice = (struct policy_choice){ 0 };
}

/* Worker I (from 0) is no candidate; its status says so, too. */
static inline void leave_out(size_t i)
{
    size_t n = 0;

    for (size_t k = 0; k < cand_n; k++)
        if (cand[k] != &crew[i])
            cand[n++] = cand[k];
    cand_n = n;
    atomic_store(&lives[i].status, WORKER_NOT_READY);
}

static inline void come_back(size_t i)
{
    size_t at = 0;

    atomic_store(&lives[i].status, WORKER_READY);
    while (at < cand_n && cand[at]->order < crew[i].order)
        at++;
    memmove(&cand[at + 1], &cand[at], (cand_n - at) * sizeof(cand[0]));
    cand[at] = &crew[i];
    cand_n++;
}

static inline void give_load(size_t i, int64_t load)
{
    atomic_store(&lives[i].load, load);
}

static inline void report(size_t i, double usage, double throughput, int64_t queued)
{
    atomic_store(&lives[i].report.at_us, 1);
    atomic_store(&lives[i].report.kv_usage, usage);
    atomic_store(&lives[i].report.throughput, throughput);
    atomic_store(&lives[i].report.queued_tokens, queued);
}

static inline struct policy *a_policy_with(const char *name, const struct policy_conf *conf)
{
    struct policy *p;

    assert_non_null(policy_find(str_of(name)));
    assert_int_equal(policy_new(policy_find(str_of(name)), conf, &p, NULL), 0);
    return p;
}

static inline struct policy *a_policy(const char *name)
{
    return a_policy_with(name, &POLICY_CONF_DEFAULTS);
}

/* The number of the worker (from 1) that P chooses; 0: nobody. */
static inline int chosen(struct policy *p)
{
    int at = policy_pick(p, cand, cand_n, &hint, &choice);

    return at < 0 ? 0 : (int)(cand[at] - crew) + 1;
}

static inline void assert_branch(const char *branch)
{
    assert_string_equal(choice.branch, branch);
}
