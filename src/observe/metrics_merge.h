/* observe/metrics_merge.h -- many engines' metrics on one page (spec control-plane 15.4, operations 9)
 *
 *   scrape, its origin --metrics_merge_add--> checked, taken --metrics_merge_next--> one page, family by family, in pieces
 *
 *   - Families with the same name become one, with one HELP and one TYPE, in the order in which they were first seen; a family without samples is left out.
 *   - Each sample gets the label LABEL="<origin>"; one of that name that the engine set itself becomes exported_LABEL, as in Prometheus.
 *   - ':' in metric names, which is for recording rules, becomes '_'; label values and help texts stay as they are (BETTER: SMG replaces it everywhere).
 *   - Labels are sorted by name, `le` and `quantile` last; a label that other samples of the family have and this one lacks is added with the value "".
 *   - A histogram's or summary's _bucket, _sum and _count are its samples, in this order. Numbers print in their shortest decimal form.
 * A text that is no Prometheus text is refused as a whole, and nothing of it is merged: half of an engine's numbers would look like all of them.
 * Merging the result again (without a label) gives the result again: the fuzz target says so.
 * Memory: the texts themselves (owned, drawn from the memory budget), some 1.2 KB for each family (bounded, per text and in all) and 12 bytes for each run of lines of one family. One thread.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

struct metrics_merge;

/* LABEL: a label name that outlives the merge, or empty: none is added. TEXT_MAX: bytes of all texts together. NULL: memory is out. */
struct metrics_merge *metrics_merge_new(struct str label, size_t text_max) _must_check_;
void metrics_merge_free(struct metrics_merge *m); /* NULL is fine */

/* Takes the bytes of *TEXT (which is empty then) on success. ERR_SYNTAX: not a Prometheus text; ERR_LIMIT: over TEXT_MAX or the budget, too many families, or a family with too many labels; ERR_INVALID: a family has
 * another type than in a text before, *ERR says which; ERR_NOMEM. After each of them *TEXT is still the caller's (with ':' of names replaced), and
 * the merge is as it was but for names of families and labels that it saw. */
int metrics_merge_add(struct metrics_merge *m, struct buf *text, struct str origin, struct err *err) _must_check_;

size_t metrics_merge_texts(const struct metrics_merge *m); /* taken so far */

/* Appends whole lines of the page until OUT has ROOM bytes or a little more (at most one line). True: that was the last of it. No adding after the first call. */
bool metrics_merge_next(struct metrics_merge *m, struct buf *out, size_t room);
