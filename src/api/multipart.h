/* api/multipart.h -- multipart/form-data bodies (RFC 7578, RFC 2046 5.1): where each part stands, nothing copied
 *
 * In: the Content-Type field and the whole body.   Out: views into both.
 * Strict about what could be read in two ways: a body that does not begin with its boundary (a preamble of blank lines is passed over), a part that does not end with one, a part
 * without a name. Lenient where clients are careless: epilogues, further header fields, names with or without quotes.
 * Thread: any. Bounds: MULTIPART_PARTS_MAX parts, MULTIPART_HEAD_MAX bytes of a part's header. Time is linear in the body.
 */
#pragma once

#include "base/err.h"
#include "base/str.h"

#define MULTIPART_PARTS_MAX 64
#define MULTIPART_HEAD_MAX  8192
#define BOUNDARY_MAX        70 /* bytes; RFC 2046 5.1.1 */

struct multipart_part {
    struct str name;         /* without its quotes; escapes stay */
    struct str filename;     /* empty = none given */
    struct str content_type; /* of this part; empty = none given */
    struct str data;
};

struct multipart {
    struct multipart_part parts[MULTIPART_PARTS_MAX];
    size_t n;
};

/* The boundary parameter of multipart/form-data; empty: it is another type, or has none that is allowed. */
struct str multipart_boundary(struct str content_type);

/* 0; ERR_INVALID with a reason for the client; ERR_LIMIT: too many parts, or a header that is too long. */
int multipart_read(struct str body, struct str boundary, struct multipart *ret, struct err *err) _must_check_;

/* The first part called NAME, or NULL. */
const struct multipart_part *multipart_find(const struct multipart *m, struct str name);
