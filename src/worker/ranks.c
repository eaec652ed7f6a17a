/* worker/ranks.c -- data-parallel groups: one engine, so many workers (spec control-plane 9.7; --dp-aware)
 *
 *   entry --worker--> http://h:1          the group: its id is the one that POST returned; its status is everybody's; probed once
 *         --ranks---> http://h:1@0 ... @n-1   what the table has in its place: ids, loads of their own; requests go to the base URL and carry data_parallel_rank
 *
 * A rank is the group's description with another URL. So a PATCH of any of them changes the group, and the ranks are made anew of it, sharing their live parts.
 * The ids of ranks lead to the group's entry; they are new after a restart, the group's is not.
 */
#include "worker/registry_internal.h"

#include <stdlib.h>

struct entry_rows entry_rows(const struct entry *e)
{
    if (e->ranks)
        return (struct entry_rows){ e->ranks, e->ranks_n };
    return (struct entry_rows){ &e->worker, 1 };
}

int64_t entry_load(const struct entry *e)
{
    struct entry_rows rows = entry_rows(e);
    int64_t load = 0;

    for (unsigned i = 0; i < rows.n; i++)
        load += worker_load(rows.workers[i]);
    return load;
}

const struct worker *entry_row(const struct entry *e, const char *id)
{
    for (unsigned i = 0; i < e->ranks_n; i++)
        if (strcmp(e->ranks[i]->id, id) == 0)
            return e->ranks[i];
    if (e->ranks) /* a group has no requests of its own */
        atomic_store_explicit(&e->worker->live->load, entry_load(e), memory_order_relaxed);
    return e->worker;
}

int ranks_size(const struct worker_spec *s, unsigned *ret, struct err *err)
{
    int r = detect_check_dp(s, err);

    if (r == 0)
        *ret = (unsigned)s->dp_size;
    return r;
}

static const struct worker *make_rank(const struct entry *e, const struct worker *base, unsigned rank)
{
    const struct worker *old = rank < e->ranks_n ? e->ranks[rank] : NULL;
    struct worker_spec spec = base->spec;
    char id[UUID_TEXT_LEN + 1];
    struct buf url = { 0 };
    struct worker *w = NULL;

    if (old)
        memcpy(id, old->id, sizeof id);
    else
        uuid_text(uuid_v7(), id);
    buf_printf(&url, "%.*s@%u", STR_FMT(e->url), rank);
    spec.url = buf_str(&url);
    spec.dp_rank = rank;
    if (!url.failed)
        w = worker_new(&spec, id, base->revision, base->order + rank, old ? old->live : NULL);
    buf_fini(&url);
    return w;
}

int ranks_make(const struct entry *e, const struct worker *base, unsigned n, const struct worker ***ret)
{
    const struct worker **ranks = calloc(n, sizeof(*ranks));

    for (unsigned i = 0; ranks && i < n; i++) {
        ranks[i] = make_rank(e, base, i);
        if (!ranks[i]) {
            ranks_free(ranks, i);
            ranks = NULL;
        }
    }
    if (!ranks)
        return ERR_NOMEM;
    *ret = ranks;
    return 0;
}

void ranks_free(const struct worker **ranks, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        worker_unref(ranks[i]);
    free(ranks);
}

static struct str id_of(const struct worker *w)
{
    return (struct str){ w->id, UUID_TEXT_LEN };
}

int ranks_index(struct entry *e)
{
    struct map *by_id = &e->registry->by_id;

    for (unsigned i = 0; i < e->ranks_n; i++)
        if (map_put(by_id, id_of(e->ranks[i]), e, /* ret_old= */ NULL) < 0) {
            while (i-- > 0)
                map_remove(by_id, id_of(e->ranks[i]));
            return ERR_NOMEM;
        }
    return 0;
}

void ranks_unindex(struct entry *e)
{
    for (unsigned i = 0; i < e->ranks_n; i++)
        map_remove(&e->registry->by_id, id_of(e->ranks[i]));
}
