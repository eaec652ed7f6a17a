/* plugin/filter.h -- plugins between a client and the handlers: a filter, and the hold of a reply (http/exchange.h)
 *
 *   auth, 404, 405 --> [ on_head ] --> body --> [ on_body: OnRequest ] --> admission --> handler --> reply --wants? no--> client
 *                                                                                                      \--> held --> [ OnError, OnResponse ] --> client
 *
 * Decision 3: who is not who they say never reaches a plugin, neither with a request nor with the 401. (SMG lets plugins see and rewrite both.)
 * With no module attached nothing is copied or held: one look at a snapshot per request and one per reply.
 * Covered: the data plane but for routes that say ROUTE_PLUGINS_NEVER (spec wasm-plugins 5.1).
 * Streams (text/event-stream, application/x-ndjson, replies of unknown length) bypass OnResponse: counted, told in x-smg-plugins to whoever may ask with x-smg-debug.
 * OnError sees replies of 500 and more that the gateway itself made.
 * Threads: the loop of the exchange.
 */
#pragma once

#include "http/exchange.h"
#include "plugin/chain.h"

struct plugin_filter {
    struct plugin_registry *registry; /* borrowed; NULL: plugins are off */
    struct loop *loop;
    struct plugin_chain chain;
    struct exchange_hold hold;
    struct metric_cell *bypassed;
};

void plugin_filter_init(struct plugin_filter *f, struct plugin_registry *registry, const struct plugin_chain_conf *conf,
                        struct loop *loop);
void plugin_filter_fini(struct plugin_filter *f); /* as plugin_chain_fini */

/* CONTEXT: struct plugin_filter */
enum filter_verdict plugin_on_head(struct exchange *ex, void *context);
enum filter_verdict plugin_on_body(struct exchange *ex, void *context);
void plugin_on_end(struct exchange *ex, void *context);
