/* scanners.h -- every scanner that this machine can run, for tests that compare them */
#pragma once

#include "json/scan.h"

struct scanner {
    const char *name;
    json_scan_fn *scan;
};

/* Fills OUT; returns how many. The first is the portable one, which the others must agree with. */
static inline size_t scanners_list(struct scanner out[3])
{
    size_t n = 0;

    out[n++] = (struct scanner){ "portable", json_scan_portable };
#ifdef __x86_64__
    out[n++] = (struct scanner){ "sse2", json_scan_sse2 };
    if (json_scan_has_avx2())
        out[n++] = (struct scanner){ "avx2", json_scan_avx2 };
#endif
    return n;
}
