/* journal/crc32c.c -- eight bytes per instruction where the CPU has one, four bits per step where it has none */
#include "journal/crc32c.h"

#include <string.h>

/* The reflected polynomial 0x82F63B78 applied to each half byte: small enough to be read and checked. A portable machine pays about 5 ms per megabyte. */
static const uint32_t NIBBLE[16] = {
    0x00000000, 0x105EC76F, 0x20BD8EDE, 0x30E349B1, 0x417B1DBC, 0x5125DAD3, 0x61C69362, 0x7198540D,
    0x82F63B78, 0x92A8FC17, 0xA24BB5A6, 0xB21572C9, 0xC38D26C4, 0xD3D3E1AB, 0xE330A81A, 0xF36E6F75,
};

uint32_t crc32c_portable(uint32_t crc, const void *p, size_t n)
{
    const uint8_t *b = p;

    crc = ~crc;
    for (size_t i = 0; i < n; i++) {
        crc ^= b[i];
        crc = NIBBLE[crc & 15] ^ (crc >> 4);
        crc = NIBBLE[crc & 15] ^ (crc >> 4);
    }
    return ~crc;
}

#if defined(__x86_64__)

#include <nmmintrin.h>

__attribute__((target("sse4.2"))) static uint32_t crc32c_sse42(uint32_t crc, const void *p, size_t n)
{
    const char *b = p;
    uint64_t c = ~crc, word;

    for (; n >= sizeof word; n -= sizeof word, b += sizeof word) {
        memcpy(&word, b, sizeof word);
        c = _mm_crc32_u64(c, word);
    }
    for (; n; n--, b++)
        c = _mm_crc32_u8((uint32_t)c, (uint8_t)*b);
    return ~(uint32_t)c;
}

uint32_t crc32c(uint32_t crc, const void *p, size_t n)
{
    return __builtin_cpu_supports("sse4.2") ? crc32c_sse42(crc, p, n) : crc32c_portable(crc, p, n);
}

#else

uint32_t crc32c(uint32_t crc, const void *p, size_t n)
{
    return crc32c_portable(crc, p, n);
}

#endif
