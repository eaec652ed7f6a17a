/* worker/restore.c -- workers that stand at the start: those that the store kept, those of the command line */
#include "worker/registry_internal.h"

#include "base/url.h"

static void on_begin(struct loop *loop, struct message *m)
{
    struct registry *r = CONTAINER_OF(m, struct registry, begin);
    struct entry *e;

    (void)loop;
    r->begin_posted = false;
    if (r->stopped)
        return;
    LIST_EACH(e, &r->unlisted, link)
    {
        if (e->job.status == JOB_NONE && job_begin(e, JOB_ADD, JOB_FREE) == 0)
            registration_begin(e);
    }
}

/* Waits for the loop to run. */
static void begin_later(struct registry *r, struct entry *e)
{
    list_remove(&e->link);
    list_append(&r->unlisted, &e->link);
    if (r->begin_posted)
        return;
    r->begin_posted = true;
    r->begin.run = on_begin;
    loop_post(r->loop, &r->begin);
}

int registry_restore(struct registry *r, struct str id, struct str text, struct err *err)
{
    struct arena arena;
    struct worker_spec spec;
    struct json_doc doc;
    struct json_error where;
    struct uuid uuid;
    char name[UUID_TEXT_LEN + 1];
    struct entry *e;
    int status;

    if (uuid_parse(id, &uuid, err) < 0)
        return err_wrap(err, ERR_INVALID, "worker id \"%.*s\"", STR_FMT(str_first(id, 64)));
    uuid_text(uuid, name);
    arena_init(&arena, /* cache= */ NULL, /* max_bytes= */ 0);
    status = json_parse(text, &arena, &doc, &where);
    if (status == ERR_SYNTAX)
        status = err_set(err, ERR_INVALID, "%s at line %u column %u", where.message, where.line, where.column);
    if (status == 0)
        status = worker_spec_read(&doc, &arena, &spec, err);
    if (status == 0)
        status = url_check_worker(spec.url, err);
    if (status == 0)
        status = worker_spec_check(&spec, err);
    if (status == 0 && (map_get(&r->by_url, spec.url) || map_get(&r->by_id, (struct str){ name, UUID_TEXT_LEN })))
        status = err_set(err, ERR_EXISTS, "worker %.*s is known already", STR_FMT(spec.url));
    if (status == 0)
        status = registry_entry_new(r, &spec, name, ORIGIN_API, &e);
    arena_fini(&arena);
    if (status == ERR_LIMIT || status == ERR_NOMEM)
        return err_set(err, status, status == ERR_LIMIT ? "more than %d workers" : "out of memory", WORKERS_MAX);
    if (status == 0)
        begin_later(r, e);
    return status;
}

int registry_add_startup(struct registry *r, const struct registry_startup *w, struct err *err)
{
    struct arena arena;
    struct worker_spec spec;
    struct entry *e;
    int status;

    status = url_check_worker(w->url, err);
    if (status < 0)
        return status;
    arena_init(&arena, /* cache= */ NULL, /* max_bytes= */ 0);
    worker_spec_defaults(&spec);
    spec.url = worker_url_canonical(w->url, &arena);
    spec.mode = worker_mode_of(spec.url);
    spec.api_key = w->api_key;
    spec.type = w->type;
    spec.bootstrap_port = w->bootstrap_port;
    if (!spec.url.p)
        status = ERR_NOMEM;
    else if ((e = map_get(&r->by_url, spec.url)) != NULL)
        e->origin = ORIGIN_STARTUP; /* twice on the command line is once; a kept one is the command line's too */
    else if ((status = registry_entry_new(r, &spec, /* id= */ NULL, ORIGIN_STARTUP, &e)) == 0)
        begin_later(r, e);
    arena_fini(&arena);
    if (status < 0)
        return err_set(err, status, status == ERR_LIMIT ? "more than %d workers" : "out of memory", WORKERS_MAX);
    return 0;
}
