/* plugin/registry.c -- life of the registry, its table, and what stands at the start */
#include "plugin/registry_internal.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"

#define LIST_BYTES_MAX (1u << 20) /* of a file of --wasm-modules */

static void free_table(void *table)
{
    plugin_table_unref(table);
}

struct plugin_table *plugin_registry_table(struct plugin_registry *r, struct loop *loop)
{
    return snapshot_get(loop, &r->table);
}

struct plugin_totals *plugin_registry_totals(struct plugin_registry *r)
{
    return &r->totals;
}

void plugin_registry_publish(struct plugin_registry *r, struct plugin_table *next)
{
    snapshot_publish(&r->table, next);
    r->now = next;
}

int plugin_registry_new(const struct plugin_registry_conf *conf, struct plugin_registry **ret, struct err *err)
{
    struct plugin_registry *r = calloc(1, sizeof(*r));
    struct plugin_table *empty = plugin_table_next(/* now= */ NULL, /* with= */ NULL, /* without= */ NULL);
    int status = r && empty ? pool_new(1, &r->pool, err) : err_set(err, ERR_NOMEM, "plugins: %s", err_text(ERR_NOMEM));

    if (status < 0) {
        plugin_table_unref(empty);
        free(r);
        return status;
    }
    r->conf = *conf;
    snapshot_init(&r->table, empty, free_table);
    r->now = empty;
    plugin_commands_init(r);
    *ret = r;
    return 0;
}

void plugin_registry_stop(struct plugin_registry *r)
{
    if (!r || r->stopped)
        return;
    r->stopped = true;
    plugin_commands_stop(r);
}

void plugin_registry_free(struct plugin_registry *r)
{
    if (!r)
        return;
    plugin_registry_stop(r);
    pool_free(r->pool);
    plugin_commands_free(r);
    snapshot_fini(&r->table);
    free(r);
}

/* ---- one module ---- */

void plugin_module_born(struct plugin_module *m)
{
    uuid_text(uuid_v7(), m->id);
    m->created_us = clock_wall_us();
    atomic_store_explicit(&m->accessed_us, m->created_us, memory_order_relaxed);
}

static bool is_component(struct str bytes)
{
    return str_has_prefix(bytes, STR("\0asm\r\0\1\0"));
}

/* What the component exports does not serve one of the points that it is to be attached to. */
static int check_points(const struct plugin_descriptor *d, unsigned points, struct err *err)
{
    for (size_t i = 0; i < d->attach_n; i++)
        if (!(points & 1u << d->attach[i]))
            return err_set(err, ERR_INVALID, "Invalid WASM component: it is attached to %s and does not export smg:gateway/%s",
                           plugin_point_name((enum plugin_point)d->attach[i]),
                           d->attach[i] == PLUGIN_ON_REQUEST ? "middleware-on-request" : "middleware-on-response");
    return 0;
}

int plugin_load(struct plugin_registry *r, const struct plugin_descriptor *d, const struct plugin_file *f,
                struct plugin_module **ret, struct err *err)
{
    struct plugin_engine *engine = r->conf.engine;
    struct str bytes = buf_str(&f->bytes);
    struct plugin_module *m = plugin_module_new(engine, d);
    unsigned points = 0;
    void *code = NULL;
    int status;

    if (!m)
        return err_set(err, ERR_NOMEM, "Failed to create WASM engine: %s", err_text(ERR_NOMEM));
    status = engine->compile(engine, d->name, bytes, &code, &points, err);
    if (status < 0) {
        plugin_module_unref(m);
        return err_wrap(err, is_component(bytes) || status == ERR_NOMEM ? status : ERR_SYNTAX, "Invalid WASM component");
    }
    m->code = code;
    status = check_points(d, points, err);
    if (status < 0) {
        plugin_module_unref(m);
        return status;
    }
    memcpy(m->sha256, f->sha256, sizeof m->sha256);
    m->size_bytes = bytes.n;
    *ret = m;
    return 0;
}

#define HINT                                                                                                                  \
    ". Hint: The WASM file must be in component format. If you're using wit-bindgen, use 'wasm-tools component new' to wrap " \
    "the WASM module into a component."

struct str plugin_failure_text(struct arena *arena, const char *step, const struct err *err)
{
    const char *message = err->message[0] ? err->message : err_text(err->code);
    bool hint = strcmp(step, "validate_wasm_component") == 0 && err->code == ERR_SYNTAX;

    return arena_printf(arena, "Workflow failed at step %s: Step failed: %s - %s%s", step, step, message, hint ? HINT : "");
}

void plugin_write_descriptor(struct json_writer *w, const struct plugin_descriptor *d)
{
    json_put_str(w, "name", d->name);
    json_put_str(w, "file_path", d->path);
    json_put_str(w, "module_type", STR("Middleware"));
    json_put_array(w, "attach_points");
    for (size_t i = 0; i < d->attach_n; i++) {
        json_object(w);
        json_put_str(w, "Middleware", str_of(plugin_point_name((enum plugin_point)d->attach[i])));
        json_end(w);
    }
    json_end(w);
    if (d->on_failure == PLUGIN_FAILURE_REJECT)
        json_put_str(w, "on_failure", STR("reject"));
    if (d->timeout_ms && d->timeout_ms <= PLUGIN_TIMEOUT_MAX)
        json_put_u64(w, "timeout_ms", d->timeout_ms);
    if (d->max_memory_pages && d->max_memory_pages <= PLUGIN_PAGES_MAX)
        json_put_u64(w, "max_memory_pages", d->max_memory_pages);
    if (d->without_body)
        json_put_bool(w, "body", false);
}

/* ---- at the start ---- */

/* Takes M. */
static int append(struct plugin_registry *r, struct plugin_module *m, struct err *err)
{
    struct plugin_table *next = NULL;
    int status = 0;

    if (r->now->n >= PLUGIN_MODULES_MAX)
        status = err_set(err, ERR_LIMIT, "there are %d plugins already", PLUGIN_MODULES_MAX);
    else if (!(next = plugin_table_next(r->now, m, /* without= */ NULL)))
        status = err_set(err, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
    if (next)
        plugin_registry_publish(r, next);
    plugin_module_unref(m);
    return status;
}

static void log_loaded(const struct plugin_module *m, const char *from)
{
    log_info(PLUGIN_TARGET, "plugin loaded", LF_STR("name", m->d.name), LF_CSTR("id", m->id), LF_CSTR("sha256", m->sha256),
             LF_UINT("bytes", m->size_bytes), LF_CSTR("from", from));
}

/* "/opt/plugins/stamp.wasm" -> "stamp" */
static struct str name_of(struct str path)
{
    size_t slash = str_rfind_char(path, '/');
    struct str name = slash == STR_NPOS ? path : str_skip(path, slash + 1);

    return name.n > 5 && str_eq_nocase(str_skip(name, name.n - 5), STR(".wasm")) ? str_first(name, name.n - 5) : name;
}

/* Attached where it can be. OnError is not: an on-response export was meant for all replies. */
static int load_operators(struct plugin_registry *r, struct str path, const struct plugin_file *f, struct plugin_module **ret,
                          struct err *err)
{
    static const int POINTS[] = { PLUGIN_ON_REQUEST, PLUGIN_ON_RESPONSE };
    struct plugin_descriptor d = { .name = name_of(path), .path = path, .attach = POINTS };
    struct plugin_engine *engine = r->conf.engine;
    unsigned points = 0;
    void *code = NULL;
    int status = engine->compile(engine, d.name, buf_str(&f->bytes), &code, &points, err);

    if (status < 0)
        return err_wrap(err, status, "invalid WASM component");
    engine->release(engine, code);
    if (!(points & (1u << PLUGIN_ON_REQUEST | 1u << PLUGIN_ON_RESPONSE)))
        return err_set(err, ERR_INVALID,
                       "it exports neither smg:gateway/middleware-on-request nor smg:gateway/middleware-on-response");
    if (!(points & 1u << PLUGIN_ON_REQUEST))
        d.attach = POINTS + 1;
    d.attach_n = (points & 1u << PLUGIN_ON_REQUEST ? 1 : 0) + (points & 1u << PLUGIN_ON_RESPONSE ? 1 : 0);
    return plugin_load(r, &d, f, ret, err);
}

int plugin_registry_load_file(struct plugin_registry *r, struct str path, struct err *err)
{
    struct plugin_file f = { 0 };
    struct plugin_module *m = NULL;
    const char *step;
    int status = plugin_file_read(path, PLUGIN_OF_OPERATOR, &f, &step, err);

    if (status == 0 && plugin_table_by_hash(r->now, f.sha256))
        status = err_set(err, ERR_EXISTS, "the same bytes are loaded already");
    if (status == 0)
        status = load_operators(r, path, &f, &m, err);
    plugin_file_fini(&f);
    if (status == 0) {
        plugin_module_born(m);
        log_loaded(m, "--wasm-module");
        status = append(r, m, err);
    }
    return status < 0 ? err_wrap(err, status, "--wasm-module %.*s", STR_FMT(path)) : 0;
}

static int load_described(struct plugin_registry *r, const struct plugin_descriptor *d, struct plugin_module **ret, struct err *err)
{
    struct plugin_file f = { 0 };
    const char *step;
    int status = plugin_descriptor_check(d, err);

    if (status == 0)
        status = plugin_file_read(d->path, PLUGIN_OF_API, &f, &step, err);
    if (status == 0 && plugin_table_by_hash(r->now, f.sha256))
        status = err_set(err, ERR_EXISTS, "module with same sha256 already exists: %s", f.sha256);
    if (status == 0)
        status = plugin_load(r, d, &f, ret, err);
    plugin_file_fini(&f);
    return status;
}

static int read_json(struct str text, struct arena *arena, struct json_doc *doc, struct err *err)
{
    struct json_error trouble = { 0 };
    int status = json_parse(text, arena, doc, &trouble);

    return status < 0 ? err_set(err, status, "not JSON: %s at line %u column %u", trouble.message, trouble.line, trouble.column)
                      : 0;
}

static int load_list(struct plugin_registry *r, struct str text, struct arena *arena, struct err *err)
{
    struct plugin_list list = { 0 };
    struct json_doc doc;
    int status = read_json(text, arena, &doc, err);

    if (status == 0)
        status = plugin_list_read(json_root(&doc), arena, &list, err);
    for (size_t i = 0; i < list.n && status == 0; i++) {
        struct plugin_module *m = NULL;

        status = load_described(r, &list.v[i], &m, err);
        if (status < 0)
            return err_wrap(err, status, "modules[%zu]", i);
        plugin_module_born(m);
        log_loaded(m, "--wasm-modules");
        status = append(r, m, err);
    }
    return status;
}

int plugin_registry_load_list(struct plugin_registry *r, struct str path, struct err *err)
{
    _cleanup_(buf_fini) struct buf text = { 0 };
    struct arena arena;
    char *name = str_dup(path);
    int status = name ? file_read(name, LIST_BYTES_MAX, &text, err) : err_set(err, ERR_NOMEM, "%s", err_text(ERR_NOMEM));

    free(name);
    arena_init(&arena, /* cache= */ NULL, /* max_bytes= */ 0);
    if (status == 0)
        status = load_list(r, buf_str(&text), &arena, err);
    arena_fini(&arena);
    return status < 0 ? err_wrap(err, status, "--wasm-modules %.*s", STR_FMT(path)) : 0;
}

/* ---- what the journal kept ---- */

struct kept {
    struct plugin_descriptor d;
    struct str sha256;
    uint64_t created_us;
};

static int read_kept(struct str text, struct arena *arena, struct kept *ret, struct err *err)
{
    struct plugin_list list;
    struct json_doc doc;
    int status = read_json(text, arena, &doc, err);

    if (status == 0)
        status = plugin_list_read(json_root(&doc), arena, &list, err);
    if (status < 0)
        return status;
    if (list.n != 1)
        return err_set(err, ERR_INVALID, "a record of %zu plugins", list.n);
    ret->d = list.v[0];
    ret->sha256 = json_str(json_get(json_root(&doc), STR("sha256")), arena);
    if (json_to_u64(json_get(json_root(&doc), STR("created_us")), &ret->created_us) < 0)
        ret->created_us = clock_wall_us();
    return 0;
}

/* It stays in its place and fails as its policy says: whoever wants requests refused without it gets that. */
static struct plugin_module *without_code(struct plugin_registry *r, const struct kept *k, const struct err *err)
{
    struct plugin_module *m = plugin_module_new(r->conf.engine, &k->d);

    if (!m)
        return NULL;
    m->trouble = arena_str(&m->arena, str_of(err->message));
    memcpy(m->sha256, k->sha256.p, MIN(k->sha256.n, sizeof m->sha256 - 1));
    return m;
}

static int restore(struct plugin_registry *r, const struct journal_entry *e, struct arena *arena, struct err *err)
{
    struct kept k = { 0 };
    struct plugin_module *m = NULL;
    struct uuid id;
    int status = uuid_parse(e->key, &id, err);

    if (status == 0)
        status = read_kept(e->value, arena, &k, err);
    if (status < 0)
        return status;
    status = load_described(r, &k.d, &m, err);
    if (status == ERR_EXISTS || status == ERR_NOMEM)
        return status;
    if (status < 0) {
        log_error(PLUGIN_TARGET, "a saved plugin cannot be loaded; it fails as its on_failure says until it can, or is removed",
                  LF_STR("name", k.d.name), LF_STR("id", e->key), LF_CSTR("error", err->message),
                  LF_CSTR("on_failure", k.d.on_failure == PLUGIN_FAILURE_REJECT ? "reject" : "allow"));
        m = without_code(r, &k, err);
        if (!m)
            return err_set(err, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
    } else if (!str_eq(k.sha256, str_of(m->sha256))) {
        log_warn(PLUGIN_TARGET, "the file of a saved plugin is another one than when it was registered; what is there now is used",
                 LF_STR("name", k.d.name), LF_STR("was", k.sha256), LF_CSTR("is", m->sha256));
    }
    uuid_text(id, m->id);
    m->created_us = k.created_us;
    atomic_store_explicit(&m->accessed_us, k.created_us, memory_order_relaxed);
    m->stored = true;
    if (m->code)
        log_loaded(m, "--state-dir");
    return append(r, m, err);
}

void plugin_registry_restore(struct plugin_registry *r)
{
    const void *cursor = NULL;
    struct journal_entry e;

    while (r->conf.journal && journal_next(r->conf.journal, &cursor, &e)) {
        struct err err = { 0 };
        struct arena arena;

        if (!str_eq(e.kind, KIND_PLUGIN))
            continue;
        arena_init(&arena, /* cache= */ NULL, /* max_bytes= */ 0);
        if (restore(r, &e, &arena, &err) < 0)
            log_error(PLUGIN_TARGET, "a saved plugin is not brought back; it stays in the state file", LF_STR("id", e.key),
                      LF_CSTR("error", err.message));
        arena_fini(&arena);
    }
}
