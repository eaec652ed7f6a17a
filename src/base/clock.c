/* base/clock.c -- clocks, and dates without the C library's locks
 *
 * gmtime_r takes a process-wide lock for the time zone; a calendar in UTC needs none.
 */
#include "base/clock.h"

#include "base/attr.h"

#include <string.h>
#include <time.h>

static uint64_t now_ns(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts); /* cannot fail for these two ids */
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t clock_now_us(void)
{
    return now_ns(CLOCK_MONOTONIC) / 1000;
}

uint64_t clock_now_ns(void)
{
    return now_ns(CLOCK_MONOTONIC);
}

uint64_t clock_wall_us(void)
{
    return now_ns(CLOCK_REALTIME) / 1000;
}

uint64_t clock_wall_s(void)
{
    return now_ns(CLOCK_REALTIME) / 1000000000u;
}

struct date {
    uint64_t year;
    unsigned month, day; /* from 1 */
    unsigned weekday;    /* 0 = Sunday */
    unsigned hour, minute, second;
};

/* Proleptic Gregorian. Counted from 1 March of year 0, so that the leap day is the last of its year: then the months before month M
 * have (153 M + 2) / 5 days, and 400 years have 146097. */
static struct date date_of(uint64_t wall_s)
{
    uint64_t days = wall_s / 86400, since_march = days + 719468;
    unsigned rest = (unsigned)(wall_s % 86400);
    uint64_t era = since_march / 146097;
    unsigned day_of_era = (unsigned)(since_march % 146097);
    unsigned year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned m = (5 * day_of_year + 2) / 153; /* 0 = March */

    return (struct date){
        .year = era * 400 + year_of_era + (m >= 10),
        .month = m < 10 ? m + 3 : m - 9,
        .day = day_of_year - (153 * m + 2) / 5 + 1,
        .weekday = (unsigned)((days + 4) % 7), /* 1970-01-01 was a Thursday */
        .hour = rest / 3600,
        .minute = rest / 60 % 60,
        .second = rest % 60,
    };
}

/* At least WIDTH digits, with leading zeros. */
static char *put_number(char *p, uint64_t v, unsigned width)
{
    uint64_t above = v / 10;

    if (width > 1 || above)
        p = put_number(p, above, width > 1 ? width - 1 : 1);
    *p++ = (char)('0' + v % 10);
    return p;
}

static char *put_day(char *p, const struct date *d)
{
    p = put_number(p, d->year, 4);
    *p++ = '-';
    p = put_number(p, d->month, 2);
    *p++ = '-';
    return put_number(p, d->day, 2);
}

static char *put_time(char *p, const struct date *d)
{
    p = put_number(p, d->hour, 2);
    *p++ = ':';
    p = put_number(p, d->minute, 2);
    *p++ = ':';
    return put_number(p, d->second, 2);
}

static size_t finish(const char *out, char *end)
{
    *end = 0;
    return (size_t)(end - out);
}

size_t clock_text(char out[CLOCK_TEXT_MAX], uint64_t wall_us)
{
    struct date d = date_of(wall_us / 1000000);
    char *p = put_day(out, &d);

    *p++ = ' ';
    return finish(out, put_time(p, &d));
}

size_t clock_rfc3339(char out[CLOCK_TEXT_MAX], uint64_t wall_us, unsigned fraction)
{
    struct date d = date_of(wall_us / 1000000);
    uint64_t part = wall_us % 1000000;
    char *p = put_day(out, &d);

    *p++ = 'T';
    p = put_time(p, &d);
    if (fraction) {
        *p++ = '.';
        p = put_number(p, fraction <= 3 ? part / 1000 : part, fraction <= 3 ? 3 : 6);
        if (fraction > 6)
            p = put_number(p, 0, 3);
    }
    *p++ = 'Z';
    return finish(out, p);
}

size_t clock_http_date(char out[CLOCK_TEXT_MAX], uint64_t wall_s)
{
    static const char DAYS[][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
    static const char MONTHS[][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
    struct date d = date_of(wall_s);
    char *p = out;

    p = mempcpy(p, DAYS[d.weekday], 3);
    p = mempcpy(p, ", ", 2);
    p = put_number(p, d.day, 2);
    *p++ = ' ';
    p = mempcpy(p, MONTHS[d.month - 1], 3);
    *p++ = ' ';
    p = put_number(p, d.year, 4);
    *p++ = ' ';
    p = put_time(p, &d);
    return finish(out, mempcpy(p, " GMT", 4));
}
