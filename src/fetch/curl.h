/* fetch/curl.h -- libcurl, opened when it is first needed; for this room only */
#pragma once

#define CURL_DISABLE_TYPECHECK   /* its macros would call the functions by name */
#define CURL_DISABLE_DEPRECATION /* the options that all libraries of the .so.4 line know */
#include <curl/curl.h>

#include "base/url.h"

#define CURL_FUNCTIONS(X)                            \
    X(global_init, curl_global_init)                 \
    X(easy_init, curl_easy_init)                     \
    X(easy_setopt, curl_easy_setopt)                 \
    X(easy_perform, curl_easy_perform)               \
    X(easy_getinfo, curl_easy_getinfo)               \
    X(easy_strerror, curl_easy_strerror)             \
    X(easy_reset, curl_easy_reset)                   \
    X(easy_cleanup, curl_easy_cleanup)               \
    X(slist_append, curl_slist_append)               \
    X(slist_free_all, curl_slist_free_all)           \
    X(multi_init, curl_multi_init)                   \
    X(multi_setopt, curl_multi_setopt)               \
    X(multi_add_handle, curl_multi_add_handle)       \
    X(multi_remove_handle, curl_multi_remove_handle) \
    X(multi_socket_action, curl_multi_socket_action) \
    X(multi_info_read, curl_multi_info_read)         \
    X(multi_assign, curl_multi_assign)               \
    X(multi_cleanup, curl_multi_cleanup)

struct curl_library {
#define X(member, function) __typeof__(function) *member;
    CURL_FUNCTIONS(X)
#undef X
};

/* The library, opened once for the process and kept; any thread. NULL with ERR_UNSUPPORTED in *ERR. */
const struct curl_library *curl_library(struct err *err);

/* The same from the file NAME, not kept: for tests of what a missing or foreign library does. */
int curl_library_open(const char *name, struct curl_library *ret, struct err *err) _must_check_;

/* What a failure of libcurl is called here: ERR_TIMEOUT, ERR_RESOLVE, ERR_REFUSED, ERR_RESET, ERR_PROTOCOL (TLS and HTTP), ERR_NOMEM, ERR_IO. */
int curl_status(CURLcode code);

/* libcurl leaves HTTP_PROXY in capitals alone, for the sake of CGI programs; here no client sets our environment. Its value where it counts for U, or NULL. */
const char *curl_shouted_proxy(const struct url *u);
