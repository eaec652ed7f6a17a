/* fetch/hub_file.h -- one file of a model: what it is (asked with a range of one byte), and its bytes, as a blob of the cache */
#pragma once

#include "fetch/hub_cache.h"
#include "fetch/hub_http.h"

struct hub_file {
    struct str name;             /* view */
    struct str url;              /* arena; where its bytes are to be had: the hub, or where the hub sends us */
    char etag[HUB_ETAG_MAX];     /* its blob's name */
    char commit[HUB_COMMIT_MAX]; /* "" = not told */
    bool has_size;
    uint64_t size;
};

/* Asks the hub for the file NAME of ID at REVISION. Besides hub_http_get's codes ERR_NOT_FOUND, ERR_LIMIT (file_bytes_max), ERR_PROTOCOL (no ETag: not a hub). */
int hub_file_ask(struct hub_http *h, struct str id, struct str revision, struct str name, struct arena *arena, struct hub_file *ret,
                 struct err *err) _must_check_;

/* After it the blob F->etag is in the cache, whole and checked. A part that an earlier attempt (of any process) left is continued. Adds to progress.bytes_done what the file has, and
 * takes it back on failure. ID, REVISION and ARENA as they were asked with: an address that has expired is asked for again. */
int hub_file_fetch(struct hub_http *h, const struct hub_cache *cache, struct str id, struct str revision, struct arena *arena,
                   struct hub_file *f, struct err *err) _must_check_;
