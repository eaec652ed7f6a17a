/* admission/tenant.h -- whose request it is (spec data-plane 11.4), and what a tenant key may look like
 *
 * In this order: who authenticated with a serving key ("auth:<tenant>", "auth:<SHA-256 of the shared key>"); the header of a trusted proxy ("header:<value>", --trust-tenant-header);
 * the client's address ("ip:<address>"); "anonymous". X-Forwarded-For is not looked at: anybody can write it.
 */
#pragma once

#include "base/err.h"
#include "http/exchange.h"

struct tenant_conf {
    bool trust_header;
    struct str header; /* lower case; borrowed for life */
};

/* Longer values of the header are cut: a key is a name, and stands in tables. */
#define TENANT_KEY_MAX 256

/* Arena or static memory; never empty ("anonymous" also when memory is out). */
struct str tenant_of(const struct tenant_conf *conf, struct exchange *ex);

/* A key of a configuration file: "auth:x", "header:x" (only with TRUST_HEADER), "ip:<address>", "anonymous", trimmed, an address in its canonical form. ERR_INVALID. */
int tenant_key_check(struct str key, bool trust_header, struct err *err) _must_check_;
