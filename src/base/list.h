/* base/list.h -- a doubly linked list through its members
 *
 * A head names its member type and link: `struct list calls; // http_call.in_exchange`. A link that is in no list points to itself
 * (list_init), so list_remove may be called twice. Insertion and removal cost O(1) and no memory.
 */
#pragma once

#include <stdbool.h>

#include "base/attr.h"

struct list {
    struct list *prev, *next;
};

static inline void list_init(struct list *l)
{
    l->prev = l->next = l;
}

static inline bool list_empty(const struct list *l)
{
    return l->next == l;
}

static inline void list_insert_before(struct list *at, struct list *link)
{
    link->prev = at->prev;
    link->next = at;
    at->prev->next = link;
    at->prev = link;
}

static inline void list_append(struct list *head, struct list *link)
{
    list_insert_before(head, link);
}

static inline void list_prepend(struct list *head, struct list *link)
{
    list_insert_before(head->next, link);
}

static inline void list_remove(struct list *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    list_init(link);
}

/* Moves all of FROM to the end of TO; FROM is empty after it. For "move the list to a local one before calling out". */
static inline void list_move(struct list *to, struct list *from)
{
    if (list_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

#define list_first(head, type, member) (list_empty(head) ? NULL : CONTAINER_OF((head)->next, type, member))

/* V, a plain variable, walks the members; the current one may be removed. Loops may be nested. */
#define LIST_EACH(v, head, member)                                                                                         \
    for (struct list *v##_link_ = (head)->next, *v##_after_;                                                               \
         v##_link_ != (head) && (v = CONTAINER_OF(v##_link_, __typeof__(*v), member), v##_after_ = v##_link_->next, true); \
         v##_link_ = v##_after_)
