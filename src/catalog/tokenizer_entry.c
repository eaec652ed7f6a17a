/* catalog/tokenizer_entry.c -- loaded tokenizers and their table */
#include "catalog/tokenizer_entry.h"

#include <assert.h>
#include <stdlib.h>

/* NULL stands for the empty text too: callers check `failed`. */
static struct str keep(struct str s, bool *failed)
{
    char *p = str_dup(s);

    *failed |= !p;
    return (struct str){ p, p ? s.n : 0 };
}

static void free_entry(struct tokenizer_entry *e)
{
    for (size_t i = 0; i < LOOP_MAX; i++)
        tokenizer_encoder_free(e->of_loops[i]);
    for (unsigned i = 0; i < e->idle_n; i++)
        tokenizer_encoder_free(e->idle[i]);
    tokenizer_free((struct tokenizer *)e->tokenizer);
    uv_mutex_destroy(&e->lock);
    free((char *)e->name.p);
    free((char *)e->source.p);
    free((char *)e->chat_template.p);
    free(e);
}

struct tokenizer_entry *tokenizer_entry_new(const char id[UUID_TEXT_LEN + 1], struct str name, struct str source,
                                            struct str chat_template, struct tokenizer *tokenizer)
{
    struct tokenizer_entry *e = calloc(1, sizeof(*e));
    bool failed = false;

    if (!e || uv_mutex_init(&e->lock) < 0) {
        free(e);
        tokenizer_free(tokenizer);
        return NULL;
    }
    atomic_init(&e->refs, 1);
    memcpy(e->id, id, sizeof e->id);
    e->tokenizer = tokenizer;
    e->vocab_size = tokenizer_vocab_size(tokenizer);
    e->name = keep(name, &failed);
    e->source = keep(source, &failed);
    e->chat_template = keep(chat_template, &failed);
    if (!failed)
        return e;
    free_entry(e);
    return NULL;
}

struct tokenizer_entry *tokenizer_entry_ref(struct tokenizer_entry *e)
{
    atomic_fetch_add_explicit(&e->refs, 1, memory_order_relaxed);
    return e;
}

void tokenizer_entry_unref(struct tokenizer_entry *e)
{
    /* Release: what this thread did to its encoder; acquire: the last one sees what all did. */
    if (e && atomic_fetch_sub_explicit(&e->refs, 1, memory_order_acq_rel) == 1)
        free_entry(e);
}

/* ---- encoders ---- */

struct tokenizer_encoder *tokenizer_entry_encoder(struct tokenizer_entry *e, struct loop *loop)
{
    struct tokenizer_encoder **own = &e->of_loops[loop->index];

    assert(loop_is_mine(loop));
    if (!*own && tokenizer_encoder_new(e->tokenizer, ENCODER_CACHE_BYTES, own) < 0)
        *own = NULL;
    return *own;
}

struct tokenizer_encoder *tokenizer_entry_borrow(struct tokenizer_entry *e)
{
    struct tokenizer_encoder *encoder = NULL;

    uv_mutex_lock(&e->lock);
    if (e->idle_n)
        encoder = e->idle[--e->idle_n];
    uv_mutex_unlock(&e->lock);
    if (!encoder && tokenizer_encoder_new(e->tokenizer, ENCODER_CACHE_BYTES, &encoder) < 0)
        encoder = NULL;
    return encoder;
}

void tokenizer_entry_give_back(struct tokenizer_entry *e, struct tokenizer_encoder *encoder)
{
    if (!encoder)
        return;
    uv_mutex_lock(&e->lock);
    if (e->idle_n < ARRAY_LEN(e->idle))
        e->idle[e->idle_n++] = STEAL(encoder);
    uv_mutex_unlock(&e->lock);
    tokenizer_encoder_free(encoder);
}

/* ---- the table ---- */

static int by_name(const void *a, const void *b)
{
    const struct tokenizer_entry *const *left = a, *const *right = b;

    return str_cmp((*left)->name, (*right)->name);
}

struct tokenizer_table *tokenizer_table_new(struct tokenizer_entry *const *entries, size_t n)
{
    struct tokenizer_table *t = calloc(1, sizeof(*t));
    int r = 0;

    if (!t)
        return NULL;
    t->entries = calloc(n + 1, sizeof(struct tokenizer_entry *));
    if (!t->entries) {
        free(t);
        return NULL;
    }
    for (; t->n < n; t->n++)
        t->entries[t->n] = tokenizer_entry_ref(entries[t->n]);
    qsort(t->entries, n, sizeof(struct tokenizer_entry *), by_name);
    for (size_t i = 0; i < n && r == 0; i++) {
        struct tokenizer_entry *e = t->entries[i];

        r = map_put(&t->by_name, e->name, e, /* ret_old= */ NULL);
        if (r == 0)
            r = map_put(&t->by_id, (struct str){ e->id, UUID_TEXT_LEN }, e, /* ret_old= */ NULL);
    }
    if (r == 0)
        return t;
    tokenizer_table_free(t);
    return NULL;
}

void tokenizer_table_free(struct tokenizer_table *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->n; i++)
        tokenizer_entry_unref(t->entries[i]);
    map_fini(&t->by_name);
    map_fini(&t->by_id);
    free(t->entries);
    free(t);
}

struct tokenizer_entry *tokenizer_table_find(const struct tokenizer_table *t, struct str key)
{
    struct tokenizer_entry *e = map_get(&t->by_name, key);

    return e ? e : map_get(&t->by_id, key);
}

struct tokenizer_entry *tokenizer_table_find_id(const struct tokenizer_table *t, struct str key)
{
    struct tokenizer_entry *e = map_get(&t->by_id, key);

    return e ? e : map_get(&t->by_name, key);
}
