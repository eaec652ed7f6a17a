/* dispatch/pair_reply.h -- what two engines' replies become: where a stream ends, the prompt's log-probabilities, what an error says; no I/O
 *
 * Spec data-plane 13.3 to 13.5. Texts of engines are spliced, never written anew.
 */
#pragma once

#include "base/buf.h"
#include "json/json.h"

/* ---- the end of a stream ---- */

/* Finds the event "data: [DONE]" whatever the cuts and line ends. Zeroed = at the beginning of a line. */
struct done_scan {
    enum { DONE_AT_LINE, DONE_IN_LINE, DONE_MARK, DONE_MARKED_LINE } at;
    uint8_t matched; /* bytes of the mark, in DONE_MARK and DONE_AT_LINE */
    bool after_cr;   /* a LF now belongs to the line end before it */
    bool found;
};

/* How many bytes of PART belong to the stream: all, or up to the end of the event; then s->found is set. Not called again after that. */
size_t done_scan(struct done_scan *s, struct str part);

/* ---- log-probabilities of the prompt ---- */

#define LOGPROB_ANSWERS_MAX 64
#define LOGPROB_EVENT_MAX   (8u << 20) /* bytes of one event of a stream that is taken apart */

/* meta_info.input_token_logprobs of each answer of the prefill engine: raw arrays, views of its reply. */
struct prompt_logprobs {
    struct str of[LOGPROB_ANSWERS_MAX]; /* empty = none */
    unsigned n;
};

/* From a whole reply (an object, or a list of them) or a stream's events. No arrays: n = 0. */
void prompt_logprobs_read(struct str prefill_reply, struct arena *scratch, struct prompt_logprobs *ret);

/* Appends TEXT, an answer of the decode engine, prefill's arrays put in front of its own where both are there. True: something was put in. */
bool prompt_logprobs_merge(const struct prompt_logprobs *from, struct str text, struct arena *scratch, struct buf *out);

/* The same for a stream, in parts: whole events are appended to OUT, the rest waits in s->pending. An event over LOGPROB_EVENT_MAX goes through as it is. */
struct logprob_stream {
    const struct prompt_logprobs *from; /* borrowed */
    struct buf pending;                 /* owned */
    size_t scanned;                     /* bytes of it in which no event ends */
};
void logprob_stream_feed(struct logprob_stream *s, struct str part, struct buf *out);
void logprob_stream_end(struct logprob_stream *s, struct buf *out); /* what is left */
void logprob_stream_fini(struct logprob_stream *s);

/* ---- errors ---- */

/* What an engine's error body says: error.message, else message, else the text itself; at most 2 KiB. ARENA. */
struct str pair_error_message(struct str body, struct arena *arena);

/* data: {"error":{"message":<the body as JSON, or as a string>,"status":N}} as one event. */
void pair_error_event(struct str body, unsigned status, struct arena *scratch, struct buf *out);
