/* fleet.h -- many workers on one loop: a table that nobody probes, and one server that plays all the engines
 *
 *     main thread, one loop: code under test --probes--> http_server (worker N is http://127.0.0.1:port/N; routes begin with "/{n}")
 *
 * fleet_open, add_worker..., fleet_publish, fleet_run(begin): runs BEGIN on the loop and returns when fleet_end was called; what is left over then fails the test.
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>

#include "test.h"

#include "base/budget.h"
#include "http/server.h"
#include "worker/registry_internal.h"

#define FLEET_MAX         128
#define FLEET_PATIENCE_MS 20000

static struct fleet {
    struct loop *loop;
    struct http_client *client;
    struct http_server *server;
    struct router *router;
    struct registry registry; /* only its table */
    struct worker *workers[FLEET_MAX];
    size_t workers_n;
    uint16_t port;
    struct timer patience;
    struct message begin;
    void (*begins)(void);
} fleet;

static inline void fleet_out_of_patience(struct timer *t)
{
    (void)t;
    fail_msg("nothing ended the test within %d ms", FLEET_PATIENCE_MS);
}

static inline void fleet_open(const struct route *routes, size_t n)
{
    static void *contexts[] = { NULL };
    struct http_server_conf conf = { .contexts = contexts };
    struct net_address address;

    memset(&fleet, 0, sizeof fleet);
    assert_int_equal(loop_new("fleet", 0, &fleet.loop, NULL), 0);
    assert_int_equal(router_new(routes, n, &fleet.router, NULL), 0);
    conf.router = fleet.router;
    assert_int_equal(http_server_new(fleet.loop, &conf, &fleet.server), 0);
    assert_int_equal(net_address_parse(STR("127.0.0.1"), 0, &address), 0);
    assert_int_equal(http_server_listen(fleet.server, &address, LISTENER_ALONE, &fleet.port, NULL), 0);
    assert_int_equal(http_client_new(fleet.loop, &(struct http_client_conf){ 0 }, &fleet.client), 0);
    timer_start(fleet.loop, &fleet.patience, FLEET_PATIENCE_MS, fleet_out_of_patience);
}

/* BASE: its URL, %u for the server's port; NULL: the next number. RANK >= 0: of the data-parallel engine at BASE. */
static inline struct worker *add_worker_of(enum worker_runtime runtime, const char *base, int64_t rank)
{
    char url[128], base_url[100], id[UUID_TEXT_LEN + 1];
    struct worker_spec spec;
    struct worker *w;

    assert_true(fleet.workers_n < FLEET_MAX);
    worker_spec_defaults(&spec);
    uuid_text(uuid_v7(), id);
    if (base)
        snprintf(base_url, sizeof base_url, base, fleet.port);
    else
        snprintf(base_url, sizeof base_url, "http://127.0.0.1:%u/%zu", fleet.port, fleet.workers_n);
    snprintf(url, sizeof url, rank >= 0 ? "%s@%d" : "%s", base_url, (int)rank);
    spec.url = str_of(url);
    spec.runtime = runtime;
    spec.api_key = STR("engine-key");
    if (rank >= 0) {
        spec.dp_base_url = str_of(base_url);
        spec.dp_rank = rank;
    }
    w = worker_new(&spec, id, 0, fleet.workers_n, NULL);
    assert_non_null(w);
    atomic_store(&w->live->status, WORKER_READY);
    fleet.workers[fleet.workers_n++] = w;
    return w;
}

static inline void add_worker(const char *base, int64_t rank)
{
    add_worker_of(RUNTIME_SGLANG, base, rank);
}

static inline void fleet_free_table(void *table)
{
    worker_table_free(table);
}

static inline void fleet_publish(void)
{
    struct worker_table *table = worker_table_new((const struct worker *const *)fleet.workers, fleet.workers_n);

    assert_non_null(table);
    snapshot_init(&fleet.registry.table, table, fleet_free_table);
}

static inline void fleet_end(void)
{
    timer_stop(&fleet.patience);
    http_server_close(fleet.server);
    http_server_free(fleet.server);
    http_client_free(fleet.client);
    loop_stop(fleet.loop);
}

static inline void fleet_begin(struct loop *loop, struct message *m)
{
    (void)loop;
    (void)m;
    fleet.begins();
}

/* Nothing may be left: no reference on a worker, no memory of the budget. */
static inline void fleet_run(void (*begin)(void))
{
    fleet.begins = begin;
    fleet.begin.run = fleet_begin;
    loop_post(fleet.loop, &fleet.begin);
    loop_run(fleet.loop);
    router_free(fleet.router);
    loop_free(fleet.loop);
    snapshot_fini(&fleet.registry.table);
    for (size_t i = 0; i < fleet.workers_n; i++) {
        assert_int_equal(atomic_load(&fleet.workers[i]->refs), 1);
        worker_unref(fleet.workers[i]);
    }
    assert_int_equal(budget_used(), 0);
}
