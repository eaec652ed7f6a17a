/* fetch/curl.c -- opening libcurl
 *
 * It stays open to the end of the process: it has state of its own (TLS, name cache), and closing it under a running resolver thread is not safe.
 */
#include "fetch/curl.h"

#include <dlfcn.h>
#include <pthread.h>

#define LIBRARY "libcurl.so.4"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct curl_library library;
static int opened;
static struct err open_error;

int curl_library_open(const char *name, struct curl_library *ret, struct err *err)
{
    struct curl_library l;
    void *handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);

    if (!handle)
        return err_set(err, ERR_UNSUPPORTED,
                       "fetching documents needs %s, which cannot be opened; install libcurl (Debian: apt install libcurl4): %s",
                       LIBRARY, dlerror());
#define X(member, function)                                                                                             \
    *(void **)&l.member = dlsym(handle, #function);                                                                     \
    if (!l.member) {                                                                                                    \
        dlclose(handle);                                                                                                \
        return err_set(err, ERR_UNSUPPORTED, "%s has no function %s; install a libcurl of version 7.58 or later", name, \
                       #function);                                                                                      \
    }
    CURL_FUNCTIONS(X)
#undef X
    *ret = l;
    return 0;
}

static void open_library(void)
{
    opened = curl_library_open(LIBRARY, &library, &open_error);
    if (opened == 0 && library.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        opened = err_set(&open_error, ERR_UNSUPPORTED, "%s could not be initialised", LIBRARY);
}

const struct curl_library *curl_library(struct err *err)
{
    pthread_once(&once, open_library);
    if (opened == 0)
        return &library;
    (void)err_set(err, opened, "%s", open_error.message);
    return NULL;
}
