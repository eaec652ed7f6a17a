/* admin/workers_internal.h -- what workers.c and workers_list.c share */
#pragma once

#include "admin/admin.h"

void workers_bad_request(struct exchange *ex, struct str message);
void workers_refuse(struct exchange *ex, int result); /* 503, with Retry-After */

/* NULL: answered. */
struct registry_command *workers_command_new(struct exchange *ex, const struct admin *admin, enum registry_command_kind kind,
                                             void (*answered)(struct registry_command *c));
/* The exchange waits; `answered` finds it through c->exchange, if the client is still there. */
void workers_command_send(struct exchange *ex, struct registry_command *c);
