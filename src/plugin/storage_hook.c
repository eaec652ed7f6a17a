#include "plugin/storage_hook.h"

#include <errno.h>
#include <stdlib.h>

#include "base/file.h"
#include "plugin/call.h"

struct hook {
    struct wasm_module *module; /* owned */
    struct wasm_limits limits;  /* of each call */
};

static const struct {
    const char *name, *log;
} OPERATIONS[HOOK_OPERATIONS_N] = {
#define X(value, text, logged) [value] = { text, logged },
    HOOK_OPERATIONS(X)
#undef X
};

const char *hook_operation_name(enum hook_operation op)
{
    return OPERATIONS[op].name;
}

const char *hook_operation_log(enum hook_operation op)
{
    return OPERATIONS[op].log;
}

/* ---- loading ---- */

/* SMG prints the operating system's words as Rust does. */
static int read_failed(const char *path, int e, const struct err *why, struct err *err)
{
    if (e)
        return err_set(err, err_from_errno(-e), "failed to read WASM storage hook at %s: %s (os error %d)", path, strerror(e), e);
    return err_set(err, why->code, "failed to read WASM storage hook at %s: %s", path, why->message);
}

int hook_load(struct wasm_runtime *r, const char *path, struct hook **ret, struct err *err)
{
    _cleanup_(buf_fini) struct buf bytes = { 0 };
    struct wasm_module *m = NULL;
    struct err why = { 0 };
    struct hook *h;
    int e;

    errno = 0;
    e = file_read(path, HOOK_FILE_MAX, &bytes, &why);
    if (e < 0)
        return read_failed(path, e == ERR_LIMIT || e == ERR_NOMEM ? 0 : errno, &why, err);
    e = wasm_module_compile(r, STR("storage hook"), buf_str(&bytes), &m, &why);
    if (e < 0)
        return err_set(err, e, "failed to compile WASM storage hook at %s: component compilation failed: %s", path, why.message);
    if ((m->exports & (WASM_STORAGE_BEFORE | WASM_STORAGE_AFTER)) != (WASM_STORAGE_BEFORE | WASM_STORAGE_AFTER)) {
        e = err_set(err, ERR_INVALID,
                    "the WASM storage hook at %s does not export %s; a hook exports smg:storage/storage-hook-before and "
                    "smg:storage/storage-hook-after",
                    path,
                    m->exports & WASM_STORAGE_BEFORE  ? "smg:storage/storage-hook-after"
                    : m->exports & WASM_STORAGE_AFTER ? "smg:storage/storage-hook-before"
                                                      : "either of its functions");
        wasm_module_unref(m);
        return e;
    }
    h = calloc(1, sizeof *h);
    if (!h) {
        wasm_module_unref(m);
        return err_set(err, ERR_NOMEM, "no memory for the WASM storage hook at %s", path);
    }
    h->module = m;
    h->limits = (struct wasm_limits){ HOOK_TIMEOUT_MS, HOOK_MEMORY_PAGES };
    *ret = h;
    return 0;
}

void hook_free(struct hook *h)
{
    if (!h)
        return;
    wasm_module_unref(h->module);
    free(h);
}

void hook_set_timeout(struct hook *h, uint32_t ms)
{
    h->limits.timeout_ms = ms;
}

/* ---- calls ---- */

int hook_before(struct hook *h, const struct hook_call *c, struct arena *arena, struct hook_verdict *ret, struct err *err)
{
    union wasm_result result = { 0 };
    struct wasm_values values;
    int r = values_of_before(c, arena, &values, err);

    if (r == 0)
        r = call_run(h->module, COMPONENT_BEFORE, &h->limits, &values, c->request_id, arena, &result, err);
    if (r == 0)
        *ret = result.verdict;
    return r == 0 ? 0
                  : err_wrap(err, r, "before hook error for %s, continuing: hook error: WASM before() call failed",
                             hook_operation_log(c->op));
}

int hook_after(struct hook *h, const struct hook_call *c, struct str result_json, struct hook_pairs extra, struct arena *arena,
               struct hook_pairs *ret, struct err *err)
{
    union wasm_result result = { 0 };
    struct wasm_values values;
    int r = values_of_after(c, result_json, extra, arena, &values, err);

    if (r == 0)
        r = call_run(h->module, COMPONENT_AFTER, &h->limits, &values, c->request_id, arena, &result, err);
    if (r == 0)
        *ret = result.columns;
    return r == 0 ? 0
                  : err_wrap(err, r, "after hook error for %s: hook error: WASM after() call failed", hook_operation_log(c->op));
}
