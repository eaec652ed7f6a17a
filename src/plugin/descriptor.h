/* plugin/descriptor.h -- what somebody says about a plugin, and whether its file may be one (spec wasm-plugins 2.2, 2.4, 2.5)
 *
 * BETTER than SMG: the file is opened once; what is checked, hashed and compiled are the same bytes. Only regular files, at most PLUGIN_FILE_MAX; /run/ is closed as /var/run/ is.
 * Messages are SMG's, in SMG's order. Blocking: on a pool thread, or before the loops run.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "json/json.h"
#include "json/json_shape.h"
#include "plugin/engine.h"

#define PLUGIN_FILE_MAX    (64u << 20)
#define PLUGIN_NAME_MAX    1024 /* bytes of a name; SMG has no bound */
#define PLUGIN_PATH_MAX    4096
#define PLUGIN_ATTACH_MAX  64  /* entries of attach_points, repetitions included */
#define PLUGIN_AT_A_TIME   256 /* modules of one request */
#define PLUGIN_TIMEOUT_MAX 300000
#define PLUGIN_PAGES_MAX   65536

enum plugin_failure { PLUGIN_FAILURE_ALLOW, PLUGIN_FAILURE_REJECT };

struct plugin_descriptor {
    struct str name, path;
    const int *attach; /* enum plugin_point each, as given */
    size_t attach_n;
    enum plugin_failure on_failure;
    uint32_t timeout_ms, max_memory_pages; /* 0 = the gateway's */
    bool without_body;                     /* "body": false */
};

/* The body of POST /wasm, and of a file of --wasm-modules. */
struct plugin_list {
    struct plugin_descriptor *v; /* arena */
    size_t n;
};
extern const struct json_shape PLUGIN_LIST_SHAPE; /* for the OpenAPI document; plugin_list_read reads */
/* 0; ERR_INVALID with serde's words; ERR_LIMIT; ERR_NOMEM. What it points to is in ARENA. */
int plugin_list_read(struct json value, struct arena *arena, struct plugin_list *ret, struct err *err) _must_check_;

/* Everything that is known without the file: checks 1 to 6, and the optional members. */
int plugin_descriptor_check(const struct plugin_descriptor *d, struct err *err) _must_check_;

struct plugin_file {
    struct buf bytes; /* owned */
    char sha256[65];
};
/* Checks 7 to 11, then the bytes and their hash. *RET_STEP is the step of SMG's workflow that failed. A path of the command line is the operator's own word: its place and its
 * name are not checked. */
enum plugin_origin { PLUGIN_OF_API, PLUGIN_OF_OPERATOR };
int plugin_file_read(struct str path, enum plugin_origin origin, struct plugin_file *ret, const char **ret_step,
                     struct err *err) _must_check_;
void plugin_file_fini(struct plugin_file *f);
