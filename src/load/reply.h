/* load/reply.h -- what a reply said: events with content, the end mark, errors, usage; exact however the bytes are cut
 *
 * No JSON tree is built: an event is looked through for the few keys that say whether it has content. A key inside a string has backslashes before
 * its quotes and is not taken for one.
 */
#pragma once

#include "http/sse.h"
#include "load/load.h"

#define REPLY_EVENT_MAX (1u << 20) /* bytes of one event */
#define REPLY_CARRY     40         /* bytes kept of a part for a number that the cut goes through */

struct load_reply {
    struct sse_reader sse; /* its memory is kept from reply to reply */
    bool stream;
    bool done;  /* [DONE] came */
    bool error; /* an error event came */
    bool bad;   /* something that is no JSON event, or an event behind [DONE] */
    uint32_t content_events;
    uint64_t usage_tokens; /* completion_tokens of the reply; 0 = not said */
    /* of a reply that is no stream */
    unsigned carry_n;
    char carry[2 * REPLY_CARRY];
};

void load_reply_init(struct load_reply *r); /* of zeroed memory */
void load_reply_fini(struct load_reply *r);
void load_reply_begin(struct load_reply *r, bool stream); /* the next reply */

/* The next bytes of the body. Returns how many events with content they completed (always 0 for a reply that is no stream). */
unsigned load_reply_feed(struct load_reply *r, struct str part);

/* Does the event's JSON have text, reasoning or arguments of a tool call that are not empty? */
bool load_has_content(struct str data);
