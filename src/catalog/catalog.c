/* catalog/catalog.c -- life of the catalog, its table, and what stands at the start */
#include "catalog/catalog_internal.h"

#include <assert.h>
#include <stdlib.h>

#include "base/log.h"
#include "json/json.h"

static void free_table(void *table)
{
    tokenizer_table_free(table);
}

const struct tokenizer_table *catalog_table(struct catalog *c, struct loop *loop)
{
    return snapshot_get(loop, &c->table);
}

int catalog_publish(struct catalog *c, struct tokenizer_entry *with, const struct tokenizer_entry *without)
{
    const struct tokenizer_table *now = catalog_now(c);
    struct tokenizer_entry **entries = calloc(now->n + 1, sizeof(struct tokenizer_entry *));
    struct tokenizer_table *next;
    size_t n = 0;

    if (!entries)
        return ERR_NOMEM;
    for (size_t i = 0; i < now->n; i++)
        if (now->entries[i] != without)
            entries[n++] = now->entries[i];
    if (with)
        entries[n++] = with;
    next = tokenizer_table_new(entries, n);
    free(entries);
    if (!next)
        return ERR_NOMEM;
    snapshot_publish(&c->table, next);
    c->now = next;
    return 0;
}

int catalog_new(const struct catalog_conf *conf, struct catalog **ret, struct err *err)
{
    struct catalog *c = calloc(1, sizeof(*c));
    struct tokenizer_table *empty = tokenizer_table_new(NULL, 0);
    int r;

    if (!c || !empty) {
        free(c);
        tokenizer_table_free(empty);
        return err_set(err, ERR_NOMEM, "tokenizers: %s", err_text(ERR_NOMEM));
    }
    r = pool_new(LOADS_AT_A_TIME, &c->pool, err);
    if (r < 0) {
        free(c);
        tokenizer_table_free(empty);
        return r;
    }
    c->conf = *conf;
    c->loop = conf->control;
    if (conf->hub) {
        c->hub_offline = *conf->hub;
        c->hub_offline.offline = true;
    }
    snapshot_init(&c->table, empty, free_table);
    c->now = empty;
    list_init(&c->queued);
    list_init(&c->loading);
    list_init(&c->pausing);
    list_init(&c->failed);
    catalog_commands_init(c);
    *ret = c;
    return 0;
}

void catalog_stop(struct catalog *c)
{
    if (!c || c->stopped)
        return;
    c->stopped = true;
    catalog_commands_stop(c);
    catalog_jobs_stop(c);
}

void catalog_free(struct catalog *c)
{
    if (!c)
        return;
    c->stopped = true;
    catalog_jobs_stop(c);
    pool_free(c->pool);
    catalog_jobs_free(c);
    catalog_commands_stop(c);
    catalog_commands_free(c);
    snapshot_fini(&c->table);
    free(c);
}

/* ---- what stands at the start ---- */

void catalog_want(struct catalog *c, struct str name, struct str source, struct str chat_template, enum catalog_reach reach)
{
    char id[UUID_TEXT_LEN + 1];
    struct job *j;

    assert(name.n && source.n);
    if (c->stopped || map_get(&catalog_now(c)->by_name, name) || catalog_job_by_name(c, name))
        return;
    uuid_text(uuid_v7(), id);
    j = c->jobs_n + catalog_now(c)->n < CATALOG_NAMES_MAX ? catalog_job_new(c, id, name, source, chat_template, JOB_WANTED) : NULL;
    if (!j) {
        log_warn(CATALOG_TARGET, "no room for another tokenizer", LF_STR("name", name));
        return;
    }
    j->reach = reach;
    catalog_job_begin(j);
}

static int restore(struct catalog *c, struct str id, struct str text, struct err *err)
{
    struct str name, source, chat_template;
    char canonical[UUID_TEXT_LEN + 1];
    struct json_doc doc;
    struct arena arena;
    struct uuid uuid;
    struct job *j = NULL;
    int r = uuid_parse(id, &uuid, err);

    if (r < 0)
        return r;
    uuid_text(uuid, canonical);
    arena_init(&arena, /* cache= */ NULL, /* max_bytes= */ 0);
    r = json_parse(text, &arena, &doc, /* ret_error= */ NULL);
    if (r == 0) {
        name = json_str(json_get(json_root(&doc), STR("name")), &arena);
        source = json_str(json_get(json_root(&doc), STR("source")), &arena);
        chat_template = json_str(json_get(json_root(&doc), STR("chat_template_path")), &arena);
        r = !name.n || !source.n ? ERR_INVALID : catalog_job_by_name(c, name) ? ERR_EXISTS : 0;
    }
    if (r == 0 && !(j = catalog_job_new(c, canonical, name, source, chat_template, JOB_RESTORED)))
        r = ERR_NOMEM;
    arena_fini(&arena);
    if (r < 0)
        return err_set(err, r, "%s", err_text(r));
    j->stored = true;
    catalog_job_begin(j);
    return 0;
}

void catalog_restore(struct catalog *c)
{
    const void *cursor = NULL;
    struct journal_entry e;
    unsigned restored = 0;

    while (c->conf.journal && journal_next(c->conf.journal, &cursor, &e)) {
        struct err err = { 0 };

        if (!str_eq(e.kind, KIND_TOKENIZER))
            continue;
        if (restore(c, e.key, e.value, &err) == 0)
            restored++;
        else
            log_error(CATALOG_TARGET, "a saved tokenizer cannot be brought back; it stays in the state file", LF_STR("id", e.key),
                      LF_CSTR("error", err.message));
    }
    if (c->conf.journal)
        log_info(CATALOG_TARGET, "saved tokenizers are loaded again", LF_UINT("tokenizers", restored));
}
