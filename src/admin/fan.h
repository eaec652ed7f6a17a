/* admin/fan.h -- what the handlers that ask many workers share: waiting for a fan-out, lists of those that did well and of those that failed, long replies
 *
 *   handler --fan_start--> worker/fanout --done--> reply            the client leaves: the fan-out and all its questions end in the same turn
 */
#pragma once

#include "admin/admin.h"
#include "admin/body.h"
#include "worker/fanout.h"

/* One request that waits for its fan-out. First member of what a handler keeps; in the exchange's arena. */
struct fan {
    struct exchange *ex; /* NULL when the client left */
    struct fanout *fanout;
    void (*done)(struct fan *fan);    /* the fan-out has ended: reply; then the fan-out is freed */
    void (*dropped)(struct fan *fan); /* optional: after `done`, or when the client left */
};

/* Starts ASK for EX; ask->done and ask->owner are filled here. On failure EX is answered. */
void fan_start(struct exchange *ex, const struct admin *admin, struct fan *fan, struct fanout_ask *ask);

/* Sends BODY (taken) in pieces of one turn each, however long it is. */
void fan_reply(struct exchange *ex, unsigned status, struct str type, struct buf *body);

/* What flush and profile say about their workers (spec control-plane 15.1, 15.3). */
struct fan_counts {
    size_t succeeded, failed;
};
struct fan_counts fan_count(const struct fanout *f);

/* "success", "partial_success", or "error" when nothing succeeded. */
struct str fan_status(struct fan_counts c);

/* "successful":[url...],"failed":[{"worker":url,"error":"OPERATION failed for worker URL/PATH: WHY"}...] */
void fan_write_lists(struct json_writer *w, const struct fanout *f, const char *operation, const char *path);
