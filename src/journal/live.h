/* journal/live.h -- what the journal holds at this moment: (kind, key) -> value, in the order in which the keys came
 *
 * A change has two steps, because a change that is durable cannot fail any more: live_prepare allocates all that it will need, live_settle makes the prepared changes true (no
 * allocation), live_drop forgets them. A key that only prepared changes name is not seen by a walk.
 * Owner: one thread at a time (the journal's loop; its job only walks, while nothing settles).
 */
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "journal/frame.h"

struct live_entry {
    struct list link;                /* live.entries while it has a value */
    struct str name;                 /* kind, NUL, key; in `text` */
    struct str kind, key, value;     /* in `text`, and in value_owner */
    struct live_change *value_owner; /* owned; NULL = no value */
    unsigned prepared;               /* changes that name it */
    char text[];
};

struct live_change {
    struct list link; /* the list that live_prepare was given */
    struct live_entry *entry;
    enum record_op op;
    size_t bytes; /* record_bytes() */
    size_t value_n;
    char value[];
};

struct live {
    struct list entries;     // live_entry.link
    struct map by_name;      /* entry->name -> entry */
    size_t n;                /* with a value */
    uint64_t bytes;          /* record_bytes() of all that have a value */
    uint64_t prepared_bytes; /* of the puts that are prepared */
};

void live_init(struct live *l);
void live_fini(struct live *l); /* nothing is prepared any more */

/* Appends the change to CHANGES. 0 or ERR_NOMEM (nothing happened). */
int live_prepare(struct live *l, const struct record *r, struct list *changes) _must_check_;
void live_settle(struct live *l, struct list *changes); /* in order; CHANGES is empty after it */
void live_drop(struct live *l, struct list *changes);
