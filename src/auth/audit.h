/* auth/audit.h -- who did what to the control plane, one record per request (spec control-plane 5, operations 10.6)
 *
 * A log line of target smg::audit and message control_plane_audit, with SMG's field names. It is written when the request ends, so that it also has what came of it: `status` (BETTER: SMG
 * writes it before the handler runs); `timestamp` is the moment of the decision. The log level and filters do not silence it; --disable-audit-logging does.
 *   timestamp principal auth_method role method path resource outcome request_id status details
 * outcome: `success` = was let in (the status tells whether it worked), `denied`. resource and details stand only where there are any; texts are plain ones, not SMG's Some("...").
 */
#pragma once

#include "http/exchange.h"

#define AUDIT_TEXT_MAX 1024 /* characters of a text */

/* The decision about EX was made: remembered in ex->principal. METHOD: "jwt", "api_key" or "none" (static). DETAILS: why it was denied, static or arena; empty = let in. */
void audit_decided(struct exchange *ex, const char *method, struct str details);

/* Writes the record of an exchange that ended, if a decision was made about it. */
void audit_write(const struct exchange *ex);

/* The text as it may stand in a record: at most AUDIT_TEXT_MAX characters, then "...[TRUNCATED]" when it had more bytes than that; \n \r \t \\ as two characters, other control
 * characters as \xNN. Appended to OUT. */
void audit_sanitise(struct buf *out, struct str text);
