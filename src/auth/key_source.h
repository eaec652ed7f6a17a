/* auth/key_source.h -- the issuer's keys, kept fresh (spec control-plane 4.6 with its BETTER points)
 *
 *   any loop: key_source_keys() --kid not in them--> key_wait_post() --message--> control thread: one fetch for all who wait
 *                                                       answered() <--message-- when it ended, or at once when it may not be asked again yet
 *
 *   control thread:      IDLE --begin: start, refresh timer, an unknown kid--> FETCHING --on_fetched--> IDLE
 *                                                                                  on success the new set is published; on failure the old one stays
 *
 * The whole set is replaced at a time. It is fetched again KEY_REFRESH_S after it came, long before KEY_FRESH_S are over; when that fails, again after 5 s, 10 s ... 5 minutes, and the old
 * set stays in use (stale-if-error) until it is KEY_STALE_S old: a day without the provider must not lock operators out, a revoked key must not work for ever.
 * An unknown kid means one fetch at most, shared by all who wait for one (single flight), and KEY_ASKS of them in a row, then one per KEY_ASK_S: anybody can make up kids.
 * Bound: KEY_WAITS_MAX wait at a time.
 * Threads: key_source_new, _start, _stop, _free: control thread (or before it runs). key_source_keys, key_wait_post: any loop.
 */
#pragma once

#include "auth/jwk.h"
#include "fetch/fetch.h"
#include "loop/snapshot.h"

#define KEY_FRESH_S   3600
#define KEY_REFRESH_S 2700
#define KEY_STALE_S   86400
#define KEY_ASKS      3
#define KEY_ASK_S     10
#define KEY_WAITS_MAX 1024
#define KEY_BYTES_MAX (1024 * 1024)
#define KEY_FETCH_MS  10000

struct key_source_conf {
    struct str uri, ca_file; /* borrowed for the source's life */
    uint32_t retry_ms;       /* 0 = 5000: the first pause after a failure */
};

struct key_source;

int key_source_new(const struct key_source_conf *conf, struct key_source **ret) _must_check_;
int key_source_start(struct key_source *s, struct loop *control, struct err *err) _must_check_; /* the first fetch begins */
void key_source_stop(struct key_source *s); /* who waits then is answered KEYS_UNREACHABLE; the keys stay readable. NULL is fine */
void key_source_free(struct key_source *s); /* when no loop runs any more. NULL is fine */

/* The keys as of now, until the end of LOOP's turn; never NULL. */
const struct key_set *key_source_keys(struct key_source *s, struct loop *loop);

/* May S be used at all: it came, and not longer ago than KEY_STALE_S. */
bool key_set_usable(const struct key_set *s);

enum keys_answer {
    KEYS_CHANGED,     /* a set was published since the asker looked */
    KEYS_SAME,        /* the issuer was asked too often already: nothing new */
    KEYS_UNREACHABLE, /* it was asked and had no answer, or too many wait for one */
};

/* Embedded in the asker's object, which lives until `answered`. */
struct key_wait {
    struct message message; /* internal */
    struct key_source *source;
    struct loop *loop;   /* the asker's */
    uint64_t generation; /* of the set that the asker looked at */
    enum keys_answer answer;
    void (*answered)(struct key_wait *w); /* on LOOP, once */
    struct list link;                     /* key_source.waiting */
};

void key_wait_post(struct key_wait *w);
