/* base/file.h -- whole files: read with a bound, written so that a crash leaves the old one or the new one. Blocking: never on a loop thread. */
#pragma once

#include <dirent.h>

#include "base/buf.h"
#include "base/err.h"

/* Appends the file's bytes to *OUT. ERR_NOT_FOUND, ERR_LIMIT past MAX_BYTES, ERR_IO; the message names the path and the reason. */
int file_read(const char *path, size_t max_bytes, struct buf *out, struct err *err) _must_check_;

/* Writes PATH.tmp, fsyncs, renames over PATH, fsyncs the folder. */
int file_write_atomic(const char *path, struct str bytes, unsigned mode, struct err *err) _must_check_;

/* The whole number of a one-line file such as those of /sys and /proc; ERR_SYNTAX when it is none ("max"). */
int file_read_u64(const char *path, uint64_t *ret) _must_check_;

/* opendir(), but by open(): a checker of threads that does not see libuv close a descriptor would otherwise take its next life in a folder for the last one. NULL and errno when it cannot. */
DIR *file_open_dir(const char *path);
