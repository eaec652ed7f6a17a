/* smg_clock.h -- time for plugins of the world smg-timing
 *
 * A request already carries the time of day (now_ms); this clock measures what passes during a call.
 */
#pragma once

#include "smg_plugin.h"

__attribute__((import_module("wasi:clocks/monotonic-clock@0.2.0"), import_name("now"))) uint64_t smg_now_ns(void);
__attribute__((import_module("wasi:clocks/monotonic-clock@0.2.0"), import_name("subscribe-duration"))) int32_t smg_subscribe_(
    uint64_t ns);
__attribute__((import_module("wasi:io/poll@0.2.0"), import_name("[method]pollable.block"))) void smg_block_(int32_t pollable);
__attribute__((import_module("wasi:io/poll@0.2.0"), import_name("[resource-drop]pollable"))) void smg_drop_pollable_(
    int32_t pollable);

/* Waits inside the host: the call's time limit counts on. */
static inline void smg_sleep_ms(uint64_t ms)
{
    int32_t p = smg_subscribe_(ms * 1000000);
    smg_block_(p);
    smg_drop_pollable_(p);
}
