/* smg_hook.h -- write a storage hook in C, without a C library
 *
 *   static struct smg_before_result before(const struct smg_hook_call *c) { ... }
 *   static struct smg_columns after(const struct smg_hook_call *c, struct smg_str result_json, struct smg_columns extra) { ... }
 *   SMG_BEFORE(before)
 *   SMG_AFTER(after)
 *
 * Line 2 of the source: `world: storage-hook wit/storage`. Everything of smg_plugin.h but the two middleware exports serves here too.
 */
#pragma once

#include "smg_plugin.h"

enum smg_operation {
    SMG_CREATE_CONVERSATION,
    SMG_GET_CONVERSATION,
    SMG_UPDATE_CONVERSATION,
    SMG_DELETE_CONVERSATION,
    SMG_CREATE_ITEM,
    SMG_LINK_ITEM,
    SMG_LINK_ITEMS,
    SMG_LIST_ITEMS,
    SMG_GET_ITEM,
    SMG_IS_ITEM_LINKED,
    SMG_DELETE_ITEM,
    SMG_STORE_RESPONSE,
    SMG_GET_RESPONSE,
    SMG_DELETE_RESPONSE,
    SMG_GET_RESPONSE_CHAIN,
    SMG_LIST_IDENTIFIER_RESPONSES,
    SMG_DELETE_IDENTIFIER_RESPONSES,
};

/* Context entries (key, value) and extra columns (name, value) have a header's layout. */
#define smg_columns smg_headers

struct smg_hook_call {
    enum smg_operation op;
    struct smg_headers context;
    struct smg_str payload; /* compact JSON */
};
struct smg_before_result {
    uint8_t rejected;
    union {
        struct smg_columns columns; /* not rejected */
        struct smg_str message;
    };
};
_Static_assert(sizeof(struct smg_before_result) == 12 && offsetof(struct smg_before_result, columns) == 4, "the canonical ABI");

static inline void smg_add_column(struct smg_columns *c, struct smg_str name, struct smg_str value)
{
    smg_append_(c, name, value);
}

#define SMG_BEFORE(function)                                                                                                  \
    __attribute__((export_name("smg:storage/storage-hook-before#before"))) struct smg_before_result *smg_before_(             \
        uint32_t op, struct smg_header *context, uint32_t context_n, const char *payload, uint32_t payload_n)                 \
    {                                                                                                                         \
        static struct smg_before_result result;                                                                               \
        result = function(&(struct smg_hook_call){ (enum smg_operation)op, { context, context_n }, { payload, payload_n } }); \
        return &result;                                                                                                       \
    }

#define SMG_AFTER(function)                                                                                                       \
    __attribute__((export_name("smg:storage/storage-hook-after#after"))) struct smg_columns *smg_after_(                          \
        uint32_t op, struct smg_header *context, uint32_t context_n, const char *payload, uint32_t payload_n, const char *result, \
        uint32_t result_n, struct smg_header *extra, uint32_t extra_n)                                                            \
    {                                                                                                                             \
        static struct smg_columns columns;                                                                                        \
        columns = function(&(struct smg_hook_call){ (enum smg_operation)op, { context, context_n }, { payload, payload_n } },     \
                           (struct smg_str){ result, result_n }, (struct smg_columns){ extra, extra_n });                         \
        return &columns;                                                                                                          \
    }
