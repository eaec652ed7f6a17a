/* smg_log.h -- lines of a plugin in the gateway's log
 *
 * For plugins of the world smg-logging (line 2 of the source: `world: smg-logging`). What a plugin writes to its stdout appears in the log as a line with the module's name and
 * the request's id. Needs no more of WASI than two functions.
 */
#pragma once

#include "smg_plugin.h"

__attribute__((import_module("wasi:cli/stdout@0.2.0"), import_name("get-stdout"))) int32_t smg_get_stdout_(void);
__attribute__((import_module("wasi:cli/stderr@0.2.0"), import_name("get-stderr"))) int32_t smg_get_stderr_(void);
__attribute__((import_module("wasi:io/streams@0.2.0"), import_name("[method]output-stream.blocking-write-and-flush"))) void
smg_write_(int32_t stream, const char *p, uint32_t n, void *result);
__attribute__((import_module("wasi:io/streams@0.2.0"), import_name("[resource-drop]output-stream"))) void smg_drop_stream_(
    int32_t stream);
__attribute__((import_module("wasi:io/error@0.2.0"), import_name("[resource-drop]error"))) void smg_drop_error_(int32_t error);

/* The bytes as they are; a stream that takes no more is not the plugin's trouble. */
static inline void smg_write(bool to_stderr, struct smg_str bytes)
{
    int32_t stream = to_stderr ? smg_get_stderr_() : smg_get_stdout_();
    while (bytes.n) {
        uint32_t n = bytes.n < 4096 ? bytes.n : 4096; /* the most that one call may carry */
        struct {
            uint8_t failed;
            uint8_t closed __attribute__((aligned(4)));
            int32_t error;
        } result = { 0 };
        smg_write_(stream, bytes.p, n, &result);
        if (result.failed) {
            if (!result.closed)
                smg_drop_error_(result.error);
            break;
        }
        bytes = smg_after(bytes, n);
    }
    smg_drop_stream_(stream);
}

/* One line: A, B and C behind one another. */
static inline void smg_log(struct smg_str a, struct smg_str b, struct smg_str c)
{
    smg_write(false, smg_join(smg_join(a, b, c), SMG_STR("\n"), SMG_STR("")));
}
