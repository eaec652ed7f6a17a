/* plugin/storage_hook.h -- a component that is asked before and told after every operation on the chat history (spec wasm-plugins 4)
 *
 *   history backend:   hook_before --(continue, columns)--> the operation --(succeeded)--> hook_after
 *                              \--(reject, why)--> ERR_REFUSED: neither the operation nor hook_after
 *
 * For whoever calls it (the history rooms, when they come): one call of each around every operation of every backend, with the payloads of the table in spec 4.2, on a thread that may wait (loop/pool.h).
 * A hook that fails (trap, deadline, memory) is no reason to fail the operation: log the message, go on as if it had said continue.
 * What a hook may use: HOOK_MEMORY_PAGES of memory, HOOK_TIMEOUT_MS, counted for each call alone.
 */
#pragma once

#include "plugin/wasm.h"

#define HOOK_TIMEOUT_MS   5000u
#define HOOK_MEMORY_PAGES 160u /* of 64 KiB: 10 MiB */
#define HOOK_FILE_MAX     ((size_t)64 << 20)

/* In the order of the world's enum. X(NAME, the world's name, the name in SMG's log lines) */
#define HOOK_OPERATIONS(X)                                                                    \
    X(HOOK_CREATE_CONVERSATION, "create-conversation", "CreateConversation")                  \
    X(HOOK_GET_CONVERSATION, "get-conversation", "GetConversation")                           \
    X(HOOK_UPDATE_CONVERSATION, "update-conversation", "UpdateConversation")                  \
    X(HOOK_DELETE_CONVERSATION, "delete-conversation", "DeleteConversation")                  \
    X(HOOK_CREATE_ITEM, "create-item", "CreateItem")                                          \
    X(HOOK_LINK_ITEM, "link-item", "LinkItem")                                                \
    X(HOOK_LINK_ITEMS, "link-items", "LinkItems")                                             \
    X(HOOK_LIST_ITEMS, "list-items", "ListItems")                                             \
    X(HOOK_GET_ITEM, "get-item", "GetItem")                                                   \
    X(HOOK_IS_ITEM_LINKED, "is-item-linked", "IsItemLinked")                                  \
    X(HOOK_DELETE_ITEM, "delete-item", "DeleteItem")                                          \
    X(HOOK_STORE_RESPONSE, "store-response", "StoreResponse")                                 \
    X(HOOK_GET_RESPONSE, "get-response", "GetResponse")                                       \
    X(HOOK_DELETE_RESPONSE, "delete-response", "DeleteResponse")                              \
    X(HOOK_GET_RESPONSE_CHAIN, "get-response-chain", "GetResponseChain")                      \
    X(HOOK_LIST_IDENTIFIER_RESPONSES, "list-identifier-responses", "ListIdentifierResponses") \
    X(HOOK_DELETE_IDENTIFIER_RESPONSES, "delete-identifier-responses", "DeleteIdentifierResponses")

enum hook_operation {
#define X(name, text, log) name,
    HOOK_OPERATIONS(X)
#undef X
        HOOK_OPERATIONS_N
};

const char *hook_operation_name(enum hook_operation op); /* "create-conversation" */
const char *hook_operation_log(enum hook_operation op);  /* "CreateConversation" */

/* Context entries (key, value) or extra columns (name, value); UTF-8. */
struct hook_pair {
    struct str name, value;
};
struct hook_pairs {
    const struct hook_pair *v;
    size_t n;
};

struct hook_call {
    enum hook_operation op;
    struct hook_pairs context; /* from --storage-context-headers; empty = none */
    struct str payload;        /* compact JSON, spec 4.2 */
    struct str request_id;     /* for the log of the hook's output; may be empty */
};

struct hook_verdict {
    bool reject;
    struct str reason;         /* of a reject: the operation fails with "Storage error: REASON" */
    struct hook_pairs columns; /* of a continue: for the backend, and for hook_after; of two with one name the last counts */
};

struct hook;

/* Reads, compiles and checks the component at PATH (any path; both functions must be exported). The messages are SMG's start-up failures: "failed to read WASM storage hook at PATH: ...",
 * "failed to compile WASM storage hook at PATH: component compilation failed: ...". R outlives the hook. */
int hook_load(struct wasm_runtime *r, const char *path, struct hook **ret, struct err *err) _must_check_;
void hook_free(struct hook *h); /* behind the last call; NULL is fine */
/* Of each call, instead of HOOK_TIMEOUT_MS; before the first call. */
void hook_set_timeout(struct hook *h, uint32_t ms);

/* Any thread that may wait. Results point into ARENA. Errors as those of wasm_call_on_request; the message is SMG's log line: "before hook error for StoreResponse, continuing: hook error: WASM before() call failed: ...". */
int hook_before(struct hook *h, const struct hook_call *c, struct arena *arena, struct hook_verdict *ret,
                struct err *err) _must_check_;
int hook_after(struct hook *h, const struct hook_call *c, struct str result_json, struct hook_pairs extra, struct arena *arena,
               struct hook_pairs *ret, struct err *err) _must_check_;
