/* mock/record.h -- the last requests that a simulated engine received, for GET /mock/requests: what did the gateway really send?
 *
 * A ring of RECORD_SLOTS, shared by the loops of one engine under a lock that is held for one copy. Heads are kept up to RECORD_HEAD_MAX bytes (whole fields),
 * bodies up to RECORD_BODY_MAX (longer ones are counted only). Credentials are kept as they came: they are what such a test asks about.
 */
#pragma once

#include <pthread.h>

#include "http/exchange.h"
#include "json/json_write.h"

#define RECORD_SLOTS    256
#define RECORD_HEAD_MAX 8192
#define RECORD_BODY_MAX 4096

struct record {
    uint64_t number; /* from 1; 0 = the slot is empty */
    uint64_t wall_us;
    enum http_method method;
    size_t body_bytes;
    struct buf target; /* with the query */
    struct buf fields; /* "name: value\n" each, names in lowercase */
    struct buf body;   /* empty when it was longer than RECORD_BODY_MAX */
};

struct record_ring {
    pthread_mutex_t lock;
    uint64_t total;
    struct record slots[RECORD_SLOTS];
};

void record_init(struct record_ring *r);
void record_fini(struct record_ring *r);

/* Any thread. Not enough memory: the record is shorter. */
void record_add(struct record_ring *r, const struct exchange *ex);
void record_clear(struct record_ring *r);

/* Writes the value of "requests": an array, the oldest first. */
void record_write_json(struct record_ring *r, struct json_writer *w);
