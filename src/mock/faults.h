/* mock/faults.h -- what a simulated engine does wrong, on purpose: for every request by flags and POST /mock/faults, for one by a header
 *
 *   x-mock-fault: status=503, retry-after=1       items NAME=NUMBER, separated by commas, semicolons or blanks; unknown ones are an error (400), for a
 *   x-mock-fault: delay=200; cut=5                test that asks for a fault must get it
 *
 * In one request: the delay passes, then a failure status answers; else the answer begins and stalls or is cut where the knobs say.
 */
#pragma once

#include "base/err.h"
#include "base/str.h"
#include "json/json.h"
#include "json/json_write.h"

struct mock_faults {
    double fail_rate;       /* share of inference requests that get fail_status; 0..1 */
    uint32_t fail_status;   /* 400..599 */
    uint32_t retry_after_s; /* Retry-After of those; 0 = no such field */
    uint32_t ttft_ms;       /* before the reply's head */
    int64_t stall_after;    /* tokens, then silence until the client leaves; -1 = never. A reply that is no stream does not begin */
    int64_t
        cut_after; /* tokens, then the connection ends in the middle; -1 = never. 0: before the head. A reply that is no stream: half of it */
    int64_t wrong_length;    /* replies that are no streams announce so many bytes too many (or too few); 0 = the truth */
    uint32_t slow_health_ms; /* before GET /health answers */
    bool unhealthy;          /* GET /health answers 503 */
};

/* The faults of one request: those of the engine, changed by the header. */
struct mock_request_faults {
    uint32_t status; /* 0 = none */
    uint32_t delay_ms;
    uint32_t retry_after_s; /* with status; 0 = no such field */
    int64_t stall_after, cut_after, wrong_length;
};

/* Initialiser: no faults. */
#define MOCK_FAULTS_NONE                                       \
    {                                                          \
        .fail_status = 500, .stall_after = -1, .cut_after = -1 \
    }

/* Applies HEADER's items to *F. ERR_INVALID: the message names the item. */
int faults_read_header(struct str header, struct mock_request_faults *f, struct err *err) _must_check_;

/* Applies the members of OBJECT (names as the flags', with '-' or '_') to *F; ERR_INVALID: nothing changed and the message names the member. */
int faults_read_json(struct json object, struct mock_faults *f, struct err *err) _must_check_;

void faults_write_json(const struct mock_faults *f, struct json_writer *w);
