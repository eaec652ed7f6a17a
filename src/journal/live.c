/* journal/live.c -- the live set */
#include "journal/live.h"

#include <assert.h>
#include <stdlib.h>

void live_init(struct live *l)
{
    *l = (struct live){ 0 };
    list_init(&l->entries);
}

void live_fini(struct live *l)
{
    struct map_entry *m;

    for (size_t i = 0; (m = map_next(&l->by_name, &i)) != NULL;) {
        struct live_entry *e = m->value;

        free(e->value_owner);
        free(e);
    }
    map_fini(&l->by_name);
}

static struct live_entry *entry_new(const struct record *r)
{
    size_t name_n = r->kind.n + 1 + r->key.n;
    struct live_entry *e = calloc(1, sizeof *e + name_n);

    if (!e)
        return NULL;
    list_init(&e->link);
    memcpy(e->text, r->kind.p, r->kind.n);
    memcpy(e->text + r->kind.n + 1, r->key.p, r->key.n);
    e->name = (struct str){ e->text, name_n };
    e->kind = (struct str){ e->text, r->kind.n };
    e->key = (struct str){ e->text + r->kind.n + 1, r->key.n };
    return e;
}

/* The entry that R names; a new one, without a value, when there is none. */
static struct live_entry *entry_of(struct live *l, const struct record *r)
{
    char name[KIND_BYTES_MAX + 1 + KEY_BYTES_MAX];
    struct live_entry *e;

    assert(r->kind.n <= KIND_BYTES_MAX && r->key.n <= KEY_BYTES_MAX && !memchr(r->kind.p, 0, r->kind.n));
    memcpy(name, r->kind.p, r->kind.n);
    name[r->kind.n] = 0;
    memcpy(name + r->kind.n + 1, r->key.p, r->key.n);
    e = map_get(&l->by_name, (struct str){ name, r->kind.n + 1 + r->key.n });
    if (e)
        return e;
    e = entry_new(r);
    if (e && map_put(&l->by_name, e->name, e, /* ret_old= */ NULL) < 0) {
        free(e);
        return NULL;
    }
    return e;
}

static void free_if_unused(struct live *l, struct live_entry *e)
{
    if (e->value_owner || e->prepared)
        return;
    map_remove(&l->by_name, e->name);
    free(e);
}

int live_prepare(struct live *l, const struct record *r, struct list *changes)
{
    struct live_change *c = malloc(sizeof *c + r->value.n);
    struct live_entry *e = c ? entry_of(l, r) : NULL;

    if (!e) {
        free(c);
        return ERR_NOMEM;
    }
    *c = (struct live_change){ .entry = e, .op = r->op, .bytes = record_bytes(r), .value_n = r->value.n };
    if (r->value.n)
        memcpy(c->value, r->value.p, r->value.n);
    e->prepared++;
    l->prepared_bytes += r->op == RECORD_PUT ? c->bytes : 0;
    list_append(changes, &c->link);
    return 0;
}

static struct live_change *take_first(struct live *l, struct list *changes)
{
    struct live_change *c = list_first(changes, struct live_change, link);

    if (!c)
        return NULL;
    list_remove(&c->link);
    c->entry->prepared--;
    l->prepared_bytes -= c->op == RECORD_PUT ? c->bytes : 0;
    return c;
}

static void clear_value(struct live *l, struct live_entry *e)
{
    if (!e->value_owner)
        return;
    l->bytes -= e->value_owner->bytes;
    l->n--;
    free(STEAL(e->value_owner));
    e->value = STR_NONE;
}

void live_settle(struct live *l, struct list *changes)
{
    struct live_change *c;

    while ((c = take_first(l, changes)) != NULL) {
        struct live_entry *e = c->entry;

        clear_value(l, e);
        if (c->op == RECORD_PUT) {
            e->value_owner = c;
            e->value = (struct str){ c->value, c->value_n };
            l->bytes += c->bytes;
            l->n++;
            if (list_empty(&e->link)) /* a key that has a value already keeps its place */
                list_append(&l->entries, &e->link);
            continue;
        }
        list_remove(&e->link);
        free(c);
        free_if_unused(l, e);
    }
}

void live_drop(struct live *l, struct list *changes)
{
    struct live_change *c;

    while ((c = take_first(l, changes)) != NULL) {
        struct live_entry *e = c->entry;

        free(c);
        free_if_unused(l, e);
    }
}
