/* fetch/hub_cache.h -- the folders of huggingface_hub's cache, read and written as it does
 *
 *   CACHE/models--ORG--NAME/refs/REVISION              the commit, no line end
 *                           blobs/ETAG                 the bytes of a file; ETAG.incomplete while they come
 *                           snapshots/COMMIT/NAME      a relative symbolic link to the blob (a copy where links cannot be made)
 *                           .no_exist/COMMIT/NAME      empty: the commit has no such file
 *   CACHE/.locks/models--ORG--NAME/ETAG.lock           flock(2): held while the blob is written
 *
 * Each step leaves the cache good for whoever reads it at the same time: blobs and refs come by rename, links are made when their blob is there. */
#pragma once

#include <limits.h>

#include "fetch/hub_list.h"

struct hub_cache {
    char folder[PATH_MAX]; /* CACHE/models--ORG--NAME; need not exist */
    char locks[PATH_MAX];
    bool copies;
};

/* Only makes the paths. ERR_LIMIT when they would be too long. */
int hub_cache_init(struct hub_cache *c, const struct hub_config *config, struct str id, struct err *err) _must_check_;

/* The commit of a revision, by its ref or by itself; false when unknown. */
bool hub_cache_commit(const struct hub_cache *c, struct str revision, char ret[HUB_COMMIT_MAX]);

/* The wanted files of a snapshot; an empty list when there is none. Links without blobs do not count. ERR_NOMEM, ERR_LIMIT. */
int hub_cache_list(const struct hub_cache *c, const char *commit, struct arena *arena, struct hub_list *ret,
                   struct err *err) _must_check_;

bool hub_cache_has(const struct hub_cache *c, const char *commit, struct str name);
bool hub_cache_lacks(const struct hub_cache *c, const char *commit, struct str name); /* .no_exist */
void hub_cache_note_lack(const struct hub_cache *c, const char *commit,
                         struct str name); /* failing costs a question next time, no more */

/* Of the file NAME in the snapshot. ERR_LIMIT. */
int hub_cache_path(const struct hub_cache *c, const char *commit, struct str name, char ret[PATH_MAX],
                   struct err *err) _must_check_;

struct hub_lock {
    int fd; /* owned; -1 = the file system has no locks */
};

/* Makes the folders, waits until nobody else holds ETAG's lock. ERR_CANCELLED; ERR_BUSY after lock_s seconds; ERR_IO names the folder and HF_HUB_CACHE. */
int hub_cache_lock(const struct hub_cache *c, const struct hub_config *config, struct str etag, const _Atomic bool *cancel,
                   struct hub_progress *progress, struct hub_lock *ret, struct err *err) _must_check_;
void hub_cache_unlock(struct hub_lock *l);

/* blobs/ETAG, or with END behind it. ERR_LIMIT. */
int hub_cache_blob(const struct hub_cache *c, struct str etag, const char *end, char ret[PATH_MAX], struct err *err) _must_check_;

/* snapshots/COMMIT/NAME becomes a link to ETAG's blob, or a copy of it; nothing when it is there. */
int hub_cache_link(const struct hub_cache *c, const char *commit, struct str name, struct str etag, struct err *err) _must_check_;

/* refs/REVISION says COMMIT; nothing for a revision that is a commit. May be ignored: without a ref the hub is asked again. */
int hub_cache_write_ref(const struct hub_cache *c, struct str revision, const char *commit, struct err *err);
