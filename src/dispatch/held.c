#include "dispatch/held.h"

#include <stdlib.h>

#include "base/budget.h"
#include "dispatch/dispatch.h"

void held_drop(struct held *h)
{
    h->any = h->lost = false;
    buf_clear(&h->text);
    buf_clear(&h->body);
    budget_give(h->budgeted);
    h->budgeted = 0;
}

void held_fini(struct held *h)
{
    held_drop(h);
    free(h->fields);
    buf_fini(&h->text);
    buf_fini(&h->body);
    *h = (struct held){ 0 };
}

static bool take_budget(struct held *h, size_t n)
{
    if (!budget_take(n))
        return false;
    h->budgeted += n;
    return true;
}

/* The texts stand in `text` one behind the other, in the order of the fields. */
static void point_to_texts(struct held *h)
{
    const char *at = h->text.p;

    for (unsigned i = 0; i < h->head.fields.n; i++) {
        struct http_field *f = &h->fields[i];

        f->name.p = at;
        at += f->name.n;
        f->value.p = at;
        at += f->value.n;
    }
}

int held_begin(struct held *h, const struct http_head *head)
{
    unsigned n = head->fields.n;
    struct http_field *fields;

    held_drop(h);
    fields = reallocarray(h->fields, n + 1, sizeof(*fields));
    if (!fields)
        return ERR_NOMEM;
    h->fields = fields;
    for (unsigned i = 0; i < n; i++) {
        fields[i] = head->fields.v[i];
        buf_put(&h->text, fields[i].name);
        buf_put(&h->text, fields[i].value);
    }
    if (h->text.failed || !take_budget(h, h->text.n + n * sizeof(*fields))) {
        held_fini(h);
        return ERR_NOMEM;
    }
    h->head = (struct http_head){ .status = head->status, .minor = head->minor, .body = head->body };
    h->head.fields = (struct http_fields){ .v = fields, .n = n, .cap = n };
    point_to_texts(h);
    h->any = true;
    return 0;
}

void held_put(struct held *h, struct str part)
{
    if (h->lost)
        return;
    if (h->body.n + part.n <= DISPATCH_HELD_MAX && take_budget(h, part.n)) {
        buf_put(&h->body, part);
        h->lost = h->body.failed;
    } else {
        h->lost = true;
    }
}
