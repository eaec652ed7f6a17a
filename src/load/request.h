/* load/request.h -- the bytes of the requests, built once
 *
 *   POST ... HTTP/1.1 CRLF fields CRLF CRLF { "model": ..., "messages":[{"system": shared text}, {"user":" | 0123456789abcdef unshared text"}], ... }
 *   <------------------ prefix: one per shared text, same for all slots --------------------------------> <--------- tail: one per slot --------->
 *
 * What http_call takes as head and body are two parts that leave in one write, wherever the head really ends: so the long shared part is never copied. The
 * tail begins with 16 hexadecimal digits that no other request has, so no cache finds more of a prompt than its shared part.
 * Constant after load_request_init, so all threads read it. Prompts are words of letters: no JSON escapes.
 */
#pragma once

#include "base/arena.h"
#include "load/load.h"
#include "load/popularity.h"

#define LOAD_ID_DIGITS 16

struct load_request {
    struct arena arena;   /* everything below lies here */
    struct str *prefixes; /* whole beginnings, HTTP head included */
    uint32_t prefixes_n;
    struct popularity popularity; /* owned; of the prefixes */
    struct str tail;              /* template of a slot's tail, its id all zeros; empty for requests without a unique part */
    bool stream;
};

/* ERR_INVALID (a header that would break the framing), ERR_LIMIT (memory), ERR_NOMEM. */
int load_request_init(struct load_request *r, const struct load_conf *conf, struct err *err) _must_check_;
void load_request_fini(struct load_request *r);

/* The shared text number PREFIX of a run with SEED, BYTES long; what simulators without a wire use, too. OUT fails stickily. */
void load_put_prefix(struct buf *out, uint64_t seed, uint32_t prefix, size_t bytes);

/* Writes the id of request number N into a slot's TAIL (a copy of the template). Different N give different ids. */
void load_request_mark(char *tail, uint64_t seed, uint64_t n);
