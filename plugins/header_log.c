/* header_log.wasm -- tells the log about requests and answers, and marks both with headers
 * world: smg-logging
 *
 * Attach it to OnRequest and OnResponse. Each instance lives for one call, so the answer's line cannot know the request: the log line carries the request's id, which ties them together.
 * A request gets the time at which it came, and loses x-debug; an answer gets the number of its bytes, and loses the name of the server.
 */
#include "smg_log.h"

static struct smg_action on_request(const struct smg_request *r)
{
    struct smg_action a = smg_modify();
    struct smg_str agent = smg_header(r->headers, SMG_STR("user-agent"));

    smg_log(smg_join(r->method, SMG_STR(" "), r->path), SMG_STR(", bytes: "), smg_from_u64(r->body.n));
    if (agent.n > 0)
        smg_log(SMG_STR("user agent: "), agent, SMG_STR(""));
    smg_set_header(&a, SMG_STR("x-request-received-ms"), smg_from_u64(r->now_ms));
    smg_remove_header(&a, SMG_STR("x-debug"));
    return a;
}

static struct smg_action on_response(const struct smg_response *r)
{
    struct smg_action a = smg_modify();

    smg_log(SMG_STR("answered "), smg_from_u64(r->status), smg_join(SMG_STR(", bytes: "), smg_from_u64(r->body.n), SMG_STR("")));
    smg_set_header(&a, SMG_STR("x-answer-bytes"), smg_from_u64(r->body.n));
    smg_remove_header(&a, SMG_STR("server"));
    return a;
}

SMG_ON_REQUEST(on_request)
SMG_ON_RESPONSE(on_response)
