/* base/log.h -- the log of the process: lines of text or JSON objects, never a blocked thread
 *
 *   any thread: log_info(...) --> buffer of that thread --(full, 50 ms, or an error line)--> bounded queue --> writer thread --> stdout, file
 *
 * Formats: spec operations 10.2. Text: `TIME LEVEL TARGET: message k=v k="text"` (SMG prints FILE:LINE behind the target; we do so at debug only);
 * JSON: timestamp, level, message, then the fields, target. Fields stand on the event itself, so a line keeps its request id at every level.
 * Colours only when stdout is a terminal and NO_COLOR is unset or empty; never in the file.
 * Bound: a text is cut after LOG_TEXT_MAX bytes. LOG_QUEUE_BYTES are waiting at most; past that lines are dropped, counted (log_dropped) and reported in the log when it flows again.
 * Threads: every function may be called on any thread; log_start and log_stop once, by main. Before log_start and after log_stop lines go to stderr directly (info and up, as text).
 * Secrets never reach a log call: the caller's duty.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

enum log_level { LOG_OFF, LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

#define LOG_QUEUE_BYTES (8u << 20)
#define LOG_TEXT_MAX    8192 /* bytes of a message or of the text of a field */

enum log_format { LOG_TEXT, LOG_JSON };

struct log_conf {
    enum log_level level;
    enum log_format format;
    const char *filter; /* borrowed during log_start: RUST_LOG syntax ("smg=debug,warn"); the longest prefix decides;
                         * "" = errors only); NULL = `level` for every target */
    const char *dir;    /* borrowed during log_start: a file DIR/smg.YYYY-MM-DD (UTC) beside stdout; NULL = none */
    bool rfc3339_ms;    /* timestamps as RFC 3339 with milliseconds instead of SMG's "YYYY-MM-DD HH:MM:SS" */
};

/* Opens the file and starts the writer thread. Fails on a directory that cannot be made or written (ERR_IO and its like) and on a filter
 * that is not understood (ERR_INVALID); the log then stays as it was before. */
int log_start(const struct log_conf *conf, struct err *err) _must_check_;

/* Writes out what waits (at most 2 s for a blocked stdout) and ends the writer. */
void log_stop(void);

/* Hands this thread's buffered lines to the writer; loops call it from a timer. */
void log_flush(void);

uint64_t log_dropped(void); /* lines lost at the bound since the start */

enum log_field_type { LOG_FIELD_STR, LOG_FIELD_BARE, LOG_FIELD_INT, LOG_FIELD_UINT, LOG_FIELD_FLOAT, LOG_FIELD_BOOL };

struct log_field {
    const char *key; /* static */
    enum log_field_type type;
    union {
        struct str str; /* LOG_FIELD_STR is quoted in text, LOG_FIELD_BARE is not; control bytes are escaped in both */
        int64_t i;
        uint64_t u;
        double f;
        bool b;
    };
};

#define LF_STR(k, v)   ((struct log_field){ .key = (k), .type = LOG_FIELD_STR, .str = (v) })
#define LF_CSTR(k, v)  ((struct log_field){ .key = (k), .type = LOG_FIELD_STR, .str = str_of(v) })
#define LF_BARE(k, v)  ((struct log_field){ .key = (k), .type = LOG_FIELD_BARE, .str = (v) })
#define LF_INT(k, v)   ((struct log_field){ .key = (k), .type = LOG_FIELD_INT, .i = (v) })
#define LF_UINT(k, v)  ((struct log_field){ .key = (k), .type = LOG_FIELD_UINT, .u = (v) })
#define LF_FLOAT(k, v) ((struct log_field){ .key = (k), .type = LOG_FIELD_FLOAT, .f = (v) })
#define LF_BOOL(k, v)  ((struct log_field){ .key = (k), .type = LOG_FIELD_BOOL, .b = (v) })

/* TARGET is a static name as SMG's ("smg::request", "smg::worker"): the filter matches its prefix. */
bool log_enabled(enum log_level level, const char *target);

void log_write(enum log_level level, const char *target, const char *file, int line, const char *message,
               const struct log_field *fields, size_t n);

#define LOG_(level, target, message, ...)                                                               \
    do {                                                                                                \
        if (log_enabled(level, target)) {                                                               \
            const struct log_field fields_[] = { { 0 }, ##__VA_ARGS__ };                                \
            log_write(level, target, __FILE__, __LINE__, message, fields_ + 1, ARRAY_LEN(fields_) - 1); \
        }                                                                                               \
    } while (0)

/* log_info("smg::worker", "worker registered", LF_STR("worker", url), LF_UINT("workers", n)); */
#define log_error(target, message, ...) LOG_(LOG_ERROR, target, message, ##__VA_ARGS__)
#define log_warn(target, message, ...)  LOG_(LOG_WARN, target, message, ##__VA_ARGS__)
#define log_info(target, message, ...)  LOG_(LOG_INFO, target, message, ##__VA_ARGS__)
#define log_debug(target, message, ...) LOG_(LOG_DEBUG, target, message, ##__VA_ARGS__)
