/* fetch/curl.c -- opening libcurl
 *
 * It stays open to the end of the process: it has state of its own (TLS, name cache), and closing it under a running resolver thread is not safe.
 */
#include "fetch/curl.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>

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

int curl_status(CURLcode code)
{
    switch (code) {
    case CURLE_OUT_OF_MEMORY:
        return ERR_NOMEM;
    case CURLE_OPERATION_TIMEDOUT:
        return ERR_TIMEOUT;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return ERR_RESOLVE;
    case CURLE_COULDNT_CONNECT:
        return ERR_REFUSED;
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_PARTIAL_FILE:
        return ERR_RESET;
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_TOO_MANY_REDIRECTS:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
        return ERR_PROTOCOL;
    default:
        return ERR_IO;
    }
}

const char *curl_shouted_proxy(const struct url *u)
{
    const char *shouted = getenv("HTTP_PROXY");

    return str_eq(u->scheme, STR("http")) && !getenv("http_proxy") && shouted && *shouted ? shouted : NULL;
}
