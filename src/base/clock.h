/* base/clock.h -- time: a monotonic clock for measuring, the calendar for people */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Monotonic, since an unspecified start. Any thread; about 25 ns. A loop's own turn time is loop_now_us(). */
uint64_t clock_now_us(void);
uint64_t clock_now_ns(void);

/* Since 1970-01-01 UTC. */
uint64_t clock_wall_us(void);
uint64_t clock_wall_s(void);

#define CLOCK_TEXT_MAX 40 /* bytes, NUL included, of the longest text below */

/* "2025-03-01 12:00:01" (UTC). Returns the length. */
size_t clock_text(char out[CLOCK_TEXT_MAX], uint64_t wall_us);

/* "2025-03-01T12:00:01.042Z" (RFC 3339, UTC, FRACTION 0, 3, 6 or 9 digits). Returns the length. */
size_t clock_rfc3339(char out[CLOCK_TEXT_MAX], uint64_t wall_us, unsigned fraction);

/* "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 5.6.7). Returns the length. */
size_t clock_http_date(char out[CLOCK_TEXT_MAX], uint64_t wall_s);
