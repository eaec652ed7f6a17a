/* wrong_type.wasm -- the right names, the wrong types
 * world: wrong-type ../tests/wasm/wit/wrong_type.wit
 */
#include "smg_plugin.h"

__attribute__((export_name("smg:gateway/middleware-on-request#on-request"))) uint32_t on_request(const char *path, uint32_t n)
{
    return n + (unsigned char)path[0];
}

__attribute__((export_name("smg:gateway/middleware-on-response#on-response"))) uint32_t on_response(uint32_t status)
{
    return status;
}
