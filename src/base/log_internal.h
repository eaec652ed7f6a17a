/* base/log_internal.h -- the parts of the log, for log*.c only
 *
 *   log.c         the front: thread buffers, levels                      -- calls all the others
 *   log_filter.c  which level a target has
 *   log_format.c  a line as text or JSON
 *   log_writer.c  the bounded queue, the writer thread, stdout and the daily file
 *
 * Order of locks: list of threads (log.c), one thread's buffer (log.c), the queue (log_writer.c). The queue's lock is never held while
 * anything is written.
 */
#pragma once

#include "base/buf.h"
#include "base/log.h"

#define LOG_HAND_OVER_US 50000 /* a buffered line waits that long at most */

/* ---- log_filter.c ---- */

#define LOG_RULES_MAX    64
#define LOG_TARGET_BYTES 64

struct log_rule {
    char target[LOG_TARGET_BYTES]; /* NUL-terminated prefix; "" = everything */
    size_t n;
    enum log_level level;
};

struct log_filter {
    struct log_rule rules[LOG_RULES_MAX]; /* longest target first */
    unsigned n;
    enum log_level highest; /* no rule lets more through */
};

int log_filter_parse(struct log_filter *ret, const char *text, struct err *err) _must_check_;
enum log_level log_filter_level(const struct log_filter *f, const char *target);

/* ---- log_format.c ---- */

struct log_style {
    enum log_format format;
    bool colour;
    bool rfc3339_ms;
};

struct log_line {
    uint64_t wall_us;
    enum log_level level;
    const char *target, *file, *message;
    int line;
    const struct log_field *fields;
    size_t fields_n;
};

/* Appends the line with its LF, which is the only one in it. On failure (see OUT->failed) a part of it may have been written. */
void log_format_line(struct buf *out, const struct log_style *style, const struct log_line *line);

/* ---- log_writer.c ---- */

/* COLLECT is called by the writer thread, LOG_HAND_OVER_US after log_writer_expect, to push what waits in the threads' buffers. */
int log_writer_start(const char *dir, const struct log_style *style, void (*collect)(void), struct err *err) _must_check_;
void log_writer_stop(void);             /* after the last push */
void log_writer_push(struct str lines); /* whole lines; dropped and counted past the bound */
void log_writer_expect(void);
void log_writer_count_dropped(uint64_t lines);
