/* catalog/tokenizer_entry.h -- a loaded tokenizer under its name, and the table of them
 *
 *   table = catalog_table(catalog, loop);  e = tokenizer_table_find(table, model);     good until the end of the turn
 *   tokenizer_entry_ref(e) ... tokenizer_entry_unref(e)                                for longer
 *   on a loop:        tokenizer_entry_encoder(e, loop)                                  its own encoder, made on first use, never freed before the entry
 *   on a pool thread: tokenizer_entry_borrow(e) ... tokenizer_entry_give_back(e, enc)   one of a few that threads share
 *
 * Why so: encoders have caches that are worth keeping warm, and belong to one thread at a time. A loop finds its own without a lock; the pool's cost one per request.
 * Threads: entries and tables are immutable but for the encoders: any thread, unless said otherwise.
 * Memory: the tokenizer's, and ENCODER_CACHE_BYTES for each thread that has encoded with it.
 */
#pragma once

#include "base/ids.h"
#include "base/map.h"
#include "loop/snapshot.h"
#include "text/tokenizer/tokenizer.h"

#define ENCODER_CACHE_BYTES (1u << 20)

struct tokenizer_entry {
    _Atomic unsigned refs;
    char id[UUID_TEXT_LEN + 1];
    struct str name, source, chat_template; /* owned; the path of a template, empty = none was given */
    const struct tokenizer *tokenizer;      /* owned */
    uint32_t vocab_size;
    bool stored; /* the journal has it; control thread */

    struct tokenizer_encoder *of_loops[LOOP_MAX]; /* owned; each written and read by its loop alone, by loop.index */
    uv_mutex_t lock;                              /* guards the two below */
    struct tokenizer_encoder *idle[16];           /* owned; of pool threads, while none uses them */
    unsigned idle_n;
};

/* TOKENIZER is taken, in any case. One reference. NULL: memory is out. */
struct tokenizer_entry *tokenizer_entry_new(const char id[UUID_TEXT_LEN + 1], struct str name, struct str source,
                                            struct str chat_template, struct tokenizer *tokenizer) _must_check_;
struct tokenizer_entry *tokenizer_entry_ref(struct tokenizer_entry *e);
void tokenizer_entry_unref(struct tokenizer_entry *e); /* NULL is fine */

/* NULL: memory is out. */
struct tokenizer_encoder *tokenizer_entry_encoder(struct tokenizer_entry *e, struct loop *loop);
struct tokenizer_encoder *tokenizer_entry_borrow(struct tokenizer_entry *e);
void tokenizer_entry_give_back(struct tokenizer_entry *e, struct tokenizer_encoder *encoder); /* NULL is fine */

struct tokenizer_table {
    struct tokenizer_entry **entries; /* owned, referenced; by name, in byte order */
    size_t n;
    struct map by_name, by_id;
};

/* ENTRIES in any order; each gets a reference. NULL: memory is out. */
struct tokenizer_table *tokenizer_table_new(struct tokenizer_entry *const *entries, size_t n) _must_check_;
void tokenizer_table_free(struct tokenizer_table *t); /* NULL is fine */

/* By name, then by id. NULL: none. */
struct tokenizer_entry *tokenizer_table_find(const struct tokenizer_table *t, struct str key);
/* By id, then by name: what stands in a path. */
struct tokenizer_entry *tokenizer_table_find_id(const struct tokenizer_table *t, struct str key);
