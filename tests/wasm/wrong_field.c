/* wrong_field.wasm -- one field of the request has another type, with the same layout
 * world: wrong-field ../tests/wasm/wit/wrong_field.wit
 */
#include "smg_plugin.h"

SMG_ON_REQUEST(smg_pass_request)
