/* http/error.h -- every error body of the gateway: one function per row of the table in decisions.md (2)
 *
 * Members in OpenAI's order: {"error":{"message":M,"type":T,"param":P,"code":C}}. Each call is the whole reply: the exchange is answered after it.
 * Texts may come from anywhere; they are escaped here. They never carry internal worker URLs or secrets: the caller's duty.
 */
#pragma once

#include "http/exchange.h"

/* Row 1, a gateway error of the data plane: type = reason phrase of STATUS, CODE also as x-smg-error-code (and facts.error_code).
 * In a route with ROUTE_ERRORS_ANTHROPIC: row 3 (type by status: invalid_request_error, authentication_error, permission_error, not_found_error,
 * request_too_large, rate_limit_error, api_error, overloaded_error (503)). */
void http_error(struct exchange *ex, unsigned status, struct str code, struct str message);

/* Row 2, validation: type invalid_request_error, PARAM the path of the member ("messages[0].role"; empty = null), CODE a string or, when empty, the number 400.
 * No x-smg-error-code. Anthropic routes: row 3. */
void http_error_invalid(struct exchange *ex, unsigned status, struct str code, struct str param, struct str message);

/* Row 4, /workers: {"error":M,"code":CODE}. */
void http_error_workers(struct exchange *ex, unsigned status, struct str code, struct str message);

/* The form of /v1/tokenizers and /v1/tokenize (spec control-plane 12, 13): {"error":{"message":M,"type":TYPE}}. */
void http_error_typed(struct exchange *ex, unsigned status, struct str type, struct str message);

/* The form of /parse/... (spec control-plane 14): {"error":M,"success":false}, and AVAILABLE, N names, where a name is unknown. */
void http_error_parse(struct exchange *ex, unsigned status, struct str message, const struct str *available, size_t n);

/* Row 6: 401 (WWW-Authenticate: CHALLENGE when not empty), 404, 405 (Allow from ex->route_allow), 413, 415, 422 and the codec's 4xx: row 1's body. */
void http_error_unauthorized(struct exchange *ex, struct str challenge, struct str message);
void http_error_not_found(struct exchange *ex);
void http_error_method(struct exchange *ex);
void http_error_too_large(struct exchange *ex, uint64_t limit_bytes);
void http_error_media_type(struct exchange *ex);
void http_error_malformed(struct exchange *ex, unsigned status, struct str message);

/* Adds Retry-After: SECONDS to the error that follows. */
void http_error_retry_after(struct exchange *ex, unsigned seconds);
