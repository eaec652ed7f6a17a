/* inference/patches.c -- a text with some places replaced: what stands between them is copied as it is */
#include "inference/parsed.h"

struct patch {
    const char *from;
    size_t n;        /* bytes that go */
    size_t at, text; /* what comes: p->texts[at, at + text) */
};

static struct patch *items(const struct patches *p, size_t *ret_n)
{
    *ret_n = p->list.n / sizeof(struct patch);
    return (struct patch *)(void *)p->list.p;
}

void patches_fini(struct patches *p)
{
    buf_fini(&p->list);
    buf_fini(&p->texts);
}

void patches_clear(struct patches *p)
{
    buf_clear(&p->list);
    buf_clear(&p->texts);
}

void patches_add(struct patches *p, struct str old, size_t at)
{
    struct patch added = { old.p, old.n, at, p->texts.n - at };
    struct patch *v;
    size_t n;

    buf_put(&p->list, (struct str){ (const char *)&added, sizeof added });
    v = items(p, &n);
    if (p->list.failed)
        return;
    for (; n > 1 && v[n - 2].from > v[n - 1].from; n--) { /* they come almost in order */
        struct patch later = v[n - 2];

        v[n - 2] = v[n - 1];
        v[n - 1] = later;
    }
}

void patches_apply(const struct patches *p, struct str text, struct buf *out)
{
    const char *copied = text.p;
    size_t n;
    const struct patch *v = items(p, &n);

    out->failed |= p->list.failed || p->texts.failed;
    for (size_t i = 0; i < n && !out->failed; i++) {
        buf_put(out, str_range(copied, v[i].from));
        buf_put(out, (struct str){ p->texts.p + v[i].at, v[i].text });
        copied = v[i].from + v[i].n;
    }
    buf_put(out, str_range(copied, text.p + text.n));
}
