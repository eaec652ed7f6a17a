/* dispatch/splice.h -- setting members of a JSON object in its text, every other byte as the client wrote it (decision 4); no I/O
 *
 *   {"a":1, "stream":true}  + stream=false, room=7  -->  {"a":1, "stream":false,"room":7}
 *
 * A member that is there keeps its place, each time it is there: engines differ in which of two they take. A missing one goes to the end. Only the outermost object's members count.
 */
#pragma once

#include "base/buf.h"
#include "json/json.h"

enum splice_when { SPLICE_ALWAYS, SPLICE_IF_THERE };

struct splice {
    struct str name;  /* needs no escaping */
    struct str value; /* raw JSON */
    enum splice_when when;
};

#define SPLICES_MAX 16

/* Appends TEXT with the N (at most SPLICES_MAX) members set. SCRATCH holds the nodes of the parsed text. 0; ERR_INVALID: TEXT is not a JSON object; ERR_NOMEM. On failure
 * what OUT got is undefined. */
int splice_members(struct str text, const struct splice *set, size_t n, struct arena *scratch, struct buf *out) _must_check_;
