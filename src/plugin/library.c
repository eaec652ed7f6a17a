#include "plugin/library.h"

#include <dlfcn.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__aarch64__)
#define ARCH "aarch64"
#else
#define ARCH "x86_64"
#endif

#define INSTALL                                                                                                                \
    "install the Python package wasmtime (pip install 'wasmtime>=39'), or name its libwasmtime.so with --wasm-runtime-lib or " \
    "SMG_WASMTIME_LIB"

/* One way to try; keeps the loader's words when it fails. */
static void *try_open(const char *path, char why[256])
{
    void *h = dlopen(path, RTLD_NOW | RTLD_LOCAL);

    if (!h) {
        const char *text = dlerror();

        snprintf(why, 256, "%s", text ? text : "no reason given");
    }
    return h;
}

/* Beside the binary: its folder's ../lib, as packages lay it out. */
static void *try_origin(char why[256])
{
    char path[512];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - sizeof "/../lib/libwasmtime.so");
    char *slash;

    if (n <= 0)
        return NULL;
    path[n] = 0;
    slash = strrchr(path, '/');
    if (!slash)
        return NULL;
    memcpy(slash, "/../lib/libwasmtime.so", sizeof "/../lib/libwasmtime.so");
    return try_open(path, why);
}

static void *try_glob(const char *pattern, char why[256])
{
    glob_t found;
    void *h = NULL;

    if (glob(pattern, 0, NULL, &found) != 0)
        return NULL;
    /* Newest Python last in the alphabet; one that opens is enough. */
    for (size_t i = found.gl_pathc; i-- > 0 && !h;)
        h = try_open(found.gl_pathv[i], why);
    globfree(&found);
    return h;
}

static void *try_python(char why[256])
{
    static const char TAIL[] = "/wasmtime/linux-" ARCH "/_libwasmtime.so";
    static const struct {
        const char *env, *pattern;
    } PLACES[] = {
        { "VIRTUAL_ENV", "/lib/python3*/site-packages" },  { NULL, "/usr/local/lib/python3*/site-packages" },
        { NULL, "/usr/local/lib/python3*/dist-packages" }, { NULL, "/usr/lib/python3*/site-packages" },
        { NULL, "/usr/lib/python3/dist-packages" },        { "HOME", "/.local/lib/python3*/site-packages" },
    };
    char pattern[1024];
    void *h = NULL;

    for (size_t i = 0; i < ARRAY_LEN(PLACES) && !h; i++) {
        const char *root = PLACES[i].env ? getenv(PLACES[i].env) : "";

        if (!root || (PLACES[i].env && !root[0]))
            continue;
        if ((size_t)snprintf(pattern, sizeof pattern, "%s%s%s", root, PLACES[i].pattern, TAIL) < sizeof pattern)
            h = try_glob(pattern, why);
    }
    return h;
}

static int find(const char *named, void **ret, struct err *err)
{
    const char *from_env = getenv("SMG_WASMTIME_LIB");
    char why[256] = "";
    void *h;

    if (named || (from_env && from_env[0])) {
        const char *path = named ? named : from_env;

        h = try_open(path, why);
        if (!h)
            return err_set(err, ERR_NOT_FOUND, "the WASM runtime \"%s\" (%s) cannot be opened: %s", path,
                           named ? "--wasm-runtime-lib" : "SMG_WASMTIME_LIB", why);
    } else {
        h = try_origin(why);
        if (!h)
            h = try_open("libwasmtime.so", why);
        if (!h)
            h = try_python(why);
        if (!h)
            return err_set(err, ERR_NOT_FOUND, "the WASM runtime libwasmtime.so was not found: " INSTALL);
    }
    *ret = h;
    return 0;
}

/* dlsym gives a pointer to data where a function is meant; POSIX wants it copied like this. */
static bool look_up(void *h, const char *name, void *slot)
{
    void *at = dlsym(h, name);

    memcpy(slot, &at, sizeof at);
    return at != NULL;
}

int library_open(const char *named, struct library *ret, struct err *err)
{
    struct library l = { 0 };
    const char *missing = NULL;
    void *h = NULL;
    Dl_info where;
    int r;

    r = find(named, &h, err);
    if (r < 0)
        return r;
#define X(type, name, parameters)                    \
    if (!look_up(h, #name, &l.api.name) && !missing) \
        missing = #name;
    WASMTIME_NEEDED(X)
#undef X
#define X(type, name, parameters) (void)look_up(h, #name, &l.api.name); /* NULL: this version has none */
    WASMTIME_OPTIONAL(X)
#undef X
    if (!missing && dladdr((void *)l.api.wasm_engine_delete, &where) && where.dli_fname)
        snprintf(l.path, sizeof l.path, "%s", where.dli_fname);
    if (missing) {
        /* Versions that have this one and lack another are built without a feature. */
        bool old = dlsym(h, "wasm_engine_new") && !dlsym(h, "wasmtime_component_linker_define_unknown_imports_as_traps");

        snprintf(l.path, sizeof l.path, "%s", named ? named : "libwasmtime.so");
        (void)dlclose(h); /* nothing of it has run */
        if (old)
            return err_set(err, ERR_UNSUPPORTED, "the WASM runtime %s is older than version 39 (it lacks %s): " INSTALL, l.path,
                           missing);
        return err_set(err, ERR_UNSUPPORTED,
                       "the WASM runtime %s lacks the function %s: it is no wasmtime with the component model, WASI and the text "
                       "format; " INSTALL,
                       l.path, missing);
    }
    *ret = l;
    return 0;
}
