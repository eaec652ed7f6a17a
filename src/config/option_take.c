/* config/option_take.c -- two fillings of one table compared, and the live rows of the newer one taken over */
#include "config/option_internal.h"

static size_t member_size(const struct option *o)
{
    switch (o->type) {
    case OPT_FLAG:
        return sizeof(bool);
    case OPT_STR:
    case OPT_PATH:
        return sizeof(struct str);
    case OPT_U16:
        return sizeof(uint16_t);
    case OPT_U32:
    case OPT_I32:
        return sizeof(uint32_t);
    case OPT_U64:
    case OPT_I64:
    case OPT_BYTES:
        return sizeof(uint64_t);
    case OPT_F64:
        return sizeof(double);
    case OPT_ENUM:
        return sizeof(int);
    case OPT_LIST:
    case OPT_APPEND:
        return sizeof(struct option_list);
    case OPT_F64_LIST:
        return sizeof(struct option_numbers);
    case OPT_ENDPOINTS:
        return sizeof(struct option_endpoints);
    }
    return 0;
}

static bool same_lists(const struct option_list *a, const struct option_list *b)
{
    bool same = a->n == b->n;

    for (size_t i = 0; same && i < a->n; i++)
        same = str_eq(a->items[i], b->items[i]);
    return same;
}

static bool same_endpoints(const struct option_endpoints *a, const struct option_endpoints *b)
{
    bool same = a->n == b->n;

    for (size_t i = 0; same && i < a->n; i++)
        same = a->items[i].port == b->items[i].port && str_eq(a->items[i].url, b->items[i].url);
    return same;
}

static bool same_numbers(const struct option_numbers *a, const struct option_numbers *b)
{
    return a->n == b->n && (a->n == 0 || memcmp(a->items, b->items, a->n * sizeof(*a->items)) == 0);
}

static bool same(const struct option *o, const void *a, const void *b)
{
    switch (o->type) {
    case OPT_STR:
    case OPT_PATH:
        return str_eq(*(const struct str *)a, *(const struct str *)b);
    case OPT_LIST:
    case OPT_APPEND:
        return same_lists(a, b);
    case OPT_F64_LIST:
        return same_numbers(a, b);
    case OPT_ENDPOINTS:
        return same_endpoints(a, b);
    default:
        return memcmp(a, b, member_size(o)) == 0;
    }
}

unsigned options_take(const struct option_table *table, const void *from, void *into,
                      void (*fn)(const struct option *o, bool taken, void *arg), void *arg)
{
    unsigned taken = 0;

    for (size_t i = 0; i < table->options_n; i++) {
        const struct option *o = &table->options[i];
        const char *newer = (const char *)from + o->at;
        char *older = (char *)into + o->at;
        bool differs = !same(o, newer, older), live = o->flags & OPT_LIVE;

        if (live) /* the older memory may go: strings are taken over even if their texts are the same */
            memcpy(older, newer, member_size(o));
        taken += differs && live;
        if (differs)
            fn(o, live, arg);
    }
    return taken;
}
