/* journal/frame.h -- the journal's file format, version 1: bytes in, values out; no I/O
 *
 *   file    = header header frame*        the header stands twice: one flipped bit must not cost the file
 *   header  = "smgstate" version:u32 snapshot:u32 salt:u64 zero:u32 crc:u32                                  32 bytes
 *   frame   = "SMGF" length:u32 sequence:u64 payload_crc:u32 head_crc:u32 payload[length]                    24 bytes + payload
 *   payload = record*                      one frame = the unit of a commit: all of its records count, or none
 *   record  = op:u8 kind_n:u8 key_n:u16 value_n:u32 kind key value     op 1 = put, 2 = delete (no value)     8 bytes + texts
 *
 * All numbers are little-endian. `crc` is the CRC-32C of the bytes before it in the header; a frame's two checksums begin with the salt, so what one file held is
 * never taken for a frame of another, and no value can contain a frame that a reader would believe (the salt is random and secret). Sequences begin at 1 and have no gaps;
 * the first `snapshot` frames are what was live when the file was written, the others were appended.
 * A later version keeps the header's size, magic, version and crc, so that an older reader can refuse it by name.
 *
 * Reading never fails on damage: it skips to the next frame that is whole and later than the last one, and says what it skipped. Damage at the end is what a crash leaves (an
 * unfinished write, never acknowledged); damage in the middle is a fault of the disk, and the frames behind it still hold: each record is complete by itself.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#define JOURNAL_VERSION   1
#define HEADER_BYTES      32
#define FILE_HEAD_BYTES   (2 * HEADER_BYTES)
#define FRAME_HEAD_BYTES  24
#define RECORD_HEAD_BYTES 8
#define FRAME_BYTES_MAX   (8u << 20) /* of a payload: one commit */
#define KIND_BYTES_MAX    32
#define KEY_BYTES_MAX     512

enum record_op { RECORD_PUT = 1, RECORD_DELETE = 2 };

struct record {
    enum record_op op;
    struct str kind, key; /* 1..KIND_BYTES_MAX bytes without a NUL, 1..KEY_BYTES_MAX bytes */
    struct str value;     /* empty for RECORD_DELETE */
};

struct file_header {
    uint32_t version;
    uint32_t snapshot_frames;
    uint64_t salt;
};

/* ---- writing ---- */

void header_write(const struct file_header *h, char out[FILE_HEAD_BYTES]);

void record_write(struct buf *out, const struct record *r); /* sticky, as all of buf.h */
size_t record_bytes(const struct record *r);

/* OUT holds FRAME_HEAD_BYTES of room, then the payload: fills in the head. */
void frame_seal(struct str frame, char *head, uint64_t salt, uint64_t sequence);

/* ---- reading ---- */

/* Of the file's first bytes. ERR_UNSUPPORTED: another version (*ERR says which); ERR_SYNTAX: neither copy is whole. */
int header_read(struct str file, struct file_header *ret, struct err *err) _must_check_;

/* The next record of a payload; *REST moves on. 1; 0 at the end; ERR_SYNTAX. Views into the payload. */
int record_next(struct str *rest, struct record *ret) _must_check_;

struct journal_damage {
    unsigned places;    /* 0 = none */
    uint64_t at;        /* offset of the first place */
    const char *reason; /* static; of the first place */
    uint64_t bytes;     /* skipped, all places together */
    uint64_t
        frames_lost; /* that stood between whole ones, by their sequences, or that the snapshot promised; those of a torn end are not known */
    bool tail_only; /* the one place reaches to the end of the file */
};

struct frame_reader {
    struct str file; /* borrowed: the whole file */
    size_t at;       /* the next byte */
    uint64_t salt, sequence, snapshot_frames;
    struct journal_damage damage; /* so far */
};

void frame_reader_init(struct frame_reader *r, struct str file, const struct file_header *h);

/* The payload of the next whole frame: true, or false at the end of the file (then the damage is complete). */
bool frame_reader_next(struct frame_reader *r, struct str *ret_payload);
