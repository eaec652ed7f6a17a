/* wrong_world.wasm -- a sound component that is not a plugin
 * world: wrong-world ../tests/wasm/wit/wrong_world.wit
 */
#include "smg_plugin.h"

__attribute__((export_name("acme:wrong/greeter#greet"))) uint32_t greet(const char *name, uint32_t n)
{
    return n + (unsigned char)name[0];
}
