/* journal/crc32c.h -- the checksum of the journal's frames: CRC-32C (Castagnoli; RFC 3720 B.4, as iSCSI, ext4 and Btrfs use it)
 *
 * It finds every burst of up to 32 bits, which is what torn sectors and flipped bits are; it is no defence against somebody who can write the file.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* The checksum of what CRC stands for (0: nothing) followed by the N bytes at P. */
uint32_t crc32c(uint32_t crc, const void *p, size_t n);

/* The same without the CPU's instruction: for machines that have none, and for the test that compares the two. */
uint32_t crc32c_portable(uint32_t crc, const void *p, size_t n);
