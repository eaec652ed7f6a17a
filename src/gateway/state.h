/* gateway/state.h -- --state-dir: the journal, opened for a gateway, and the registry's store on top of it
 *
 * Kinds in the journal: "worker" (key: the id, value: the description as JSON, worker_spec_write); "tokenizer" (catalog/commands.c writes it); "plugin" (plugin/registry_commands.c). Kinds that this version does not know stay in the file untouched.
 * Control thread, or before it runs.
 */
#pragma once

#include "journal/journal.h"
#include "worker/registry.h"

struct gateway_state;

/* Takes the directory (its lock is held until gateway_state_free), reads the file and logs what was found, damage too. Blocks; before the loops run. */
int gateway_state_open(struct str directory, struct loop *control, struct gateway_state **ret, struct err *err) _must_check_;

struct registry_store *gateway_state_store(struct gateway_state *s); /* for registry_conf; NULL is fine */

/* Brings the kept workers back: before those of the command line. One that cannot be brought back is logged and stays in the file. NULL is fine. */
void gateway_state_restore(struct gateway_state *s, struct registry *registry);

bool gateway_state_stats(const struct gateway_state *s, struct journal_stats *ret); /* false: NULL, there is none */

struct journal *gateway_state_journal(struct gateway_state *s); /* for catalog_conf; NULL: there is none */

void gateway_state_stop(struct gateway_state *s); /* behind registry_stop; NULL is fine */
void gateway_state_free(struct gateway_state *s); /* no loop runs, the loops are not freed yet; NULL is fine */
