/* admin/body.h -- reading a JSON request body, and the ends of an answer that handlers share. What is refused while reading has SMG's words (spec control-plane 3.1; bodies as decision 2, row 6):
 *
 *   415 unsupported_media_type   no Content-Type application/json or application/...+json
 *   400 json_parse_error         not JSON: "Failed to parse the request body as JSON: EOF while parsing a value at line 1 column 0"
 *   422 json_data_error          JSON of another shape: "Failed to deserialize the JSON body into the target type: missing field `url` at line 1 column 2"
 *   503 out_of_memory
 */
#pragma once

#include "http/exchange.h"
#include "json/json.h"

/* The body as a document in the exchange's arena. False: the exchange is answered. */
bool admin_read_json(struct exchange *ex, struct json_doc *ret);

/* The reply for a body whose shape is wrong (ERR_INVALID with serde's text in *ERR) or that memory was missing for. */
void admin_refuse_shape(struct exchange *ex, int status, const struct err *err);
void admin_refuse_memory(struct exchange *ex);

/* Answers with OUT, JSON, which is freed; 503 when memory was missing for it. */
void admin_reply_json(struct exchange *ex, unsigned status, struct buf *out);
/* EX waits for what another thread does. The client may leave: what was begun is done all the same, and finds nobody (exchange_from_ref). */
struct exchange_ref admin_await(struct exchange *ex) _must_check_;
