/* http/h1.h -- HTTP/1.1 on the wire (RFC 9112): frame first, then parse; no I/O inside
 *
 *   bytes --h1_head_end--> a whole head --h1_parse_request / h1_parse_reply--> struct http_head (views into those bytes, framing decided)
 *   bytes --h1_body_feed--> parts of the body (views), its end, or a verdict
 *   h1_put_*: the writers
 *
 * Strict where leniency lets requests be smuggled: bare CR or LF, obs-fold, blanks before the colon, CL together with TE, repeated or signed lengths, TE other
 * than exactly one final "chunked" (in HTTP/1.0: any), bad chunk sizes or endings, NUL and control bytes, a missing or repeated Host: all refused. The table with the
 * RFC section for each verdict is tests/unit/http/h1_smuggling.c; docs/http.md says what operators see.
 */
#pragma once

#include "base/buf.h"
#include "http/message.h"

#define H1_HEAD_MAX       (64 * 1024) /* bytes of a head; past that 431 (a request line alone: 414) */
#define H1_FIELDS_MAX     128         /* fields of a head; past that 431 */
#define H1_CHUNK_LINE_MAX 256         /* chunk size with its extensions; trailers count against H1_HEAD_MAX */

/* Why a message was refused: the status to answer with and a sentence for log and reply. */
struct h1_error {
    unsigned status;     /* 400, 414, 431, 501, 505; replies: 502 */
    const char *message; /* static */
};

/* Length of the head at P (with its empty line), 0 = not complete yet. *SCANNED remembers how far earlier calls looked (start with 0). Leading empty
 * lines (RFC 9112 2.2) are the caller's to skip: h1_skip_empty_lines. */
size_t h1_head_end(const char *p, size_t n, size_t *scanned);
size_t h1_skip_empty_lines(const char *p, size_t n);
/* The verdict on P..P+N (N >= H1_HEAD_MAX) that is no whole head yet: 414 when not even its first line ended, else 431. */
void h1_head_overflow(const char *p, size_t n, struct h1_error *error);

/* P..P+N is one head. FIELDS has room for H1_FIELDS_MAX. 0 or ERR_PROTOCOL. Views point into P. */
int h1_parse_request(const char *p, size_t n, struct http_field *fields, struct http_head *ret,
                     struct h1_error *error) _must_check_;
/* REQUEST_METHOD decides whether a body follows (HEAD). */
int h1_parse_reply(const char *p, size_t n, enum http_method request_method, struct http_field *fields, struct http_head *ret,
                   struct h1_error *error) _must_check_;

/* A body being read. */
struct h1_body {
    enum http_body_kind kind;
    uint64_t left; /* bytes of the body (LENGTH) or of the chunk (CHUNKED) still to come */
    uint8_t step;  /* internal: of the chunk machine */
    uint16_t line; /* internal: bytes of the current chunk or trailer line */
    uint32_t trailer;
    bool done;
};

void h1_body_init(struct h1_body *b, const struct http_head *head);

/* Takes bytes from P: consumes up to *RET_USED <= N of them and gives at most one part of the body (may be empty: framing only). Call again while bytes are
 * left and !b->done. 0 or ERR_PROTOCOL (*error filled, may be NULL). Trailers are checked and dropped. */
int h1_body_feed(struct h1_body *b, const char *p, size_t n, size_t *ret_used, struct str *ret_part,
                 struct h1_error *error) _must_check_;

/* The connection ended: 0 when that is a proper end (UNTIL_CLOSE or done), else ERR_CLOSED: cut short. */
int h1_body_eof(struct h1_body *b) _must_check_;

/* Writers. Names and values come from us or were checked; h1_put_field skips a value that would break the framing (CR, LF, NUL) and returns false. */
void h1_put_request_line(struct buf *out, struct str method, struct str target); /* HTTP/1.1 */
void h1_put_status_line(struct buf *out, unsigned status);
bool h1_put_field(struct buf *out, struct str name, struct str value);
void h1_put_length(struct buf *out, uint64_t length); /* content-length: N */
#define h1_put_end(out) buf_puts((out), "\r\n")

#define H1_CHUNK_PREFIX_MAX 18 /* 16 hex digits, CR, LF */
/* "1a2b\r\n" into OUT; returns its length. N > 0. The part goes behind it, then "\r\n"; "0\r\n\r\n" ends the body. */
size_t h1_chunk_prefix(char out[H1_CHUNK_PREFIX_MAX], size_t n);
