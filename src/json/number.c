/* json/number.c -- shortest floating-point text; number.h says how and why */
#include "json/number.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS_MAX 17

/* A positive number: 0.DIGITS * 10^POINT, no trailing zero in the digits. */
struct decimal {
    char digits[DIGITS_MAX];
    int n;
    int point;
};

/* Where the plain layout ends, in ryu's terms: 10^above_max is the first number with an exponent, below 10^(below_min) the next. */
struct layout {
    int point_max; /* largest `point` without exponent */
    int point_min; /* smallest `point` without exponent */
};

static const struct layout LAYOUT_F64 = { 16, -4 };
static const struct layout LAYOUT_F32 = { 13, -5 };

/* Takes "d.ddde+XX" apart. The byte behind the first digit is the locale's decimal point, whatever its length. */
static void take_apart(const char *text, struct decimal *ret)
{
    const char *exponent = strchr(text, 'e');

    ret->n = 0;
    for (const char *p = text; p < exponent; p++) {
        if (*p >= '0' && *p <= '9' && ret->n < DIGITS_MAX)
            ret->digits[ret->n++] = *p;
    }
    while (ret->n > 1 && ret->digits[ret->n - 1] == '0')
        ret->n--;
    ret->point = (int)strtol(exponent + 1, NULL, 10) + 1;
}

static void shortest_f64(double v, struct decimal *ret)
{
    char text[64];

    /* 15 digits always survive the way there and back, so shorter forms show as zeros at the end; but not among subnormal numbers. */
    for (int precision = fpclassify(v) == FP_SUBNORMAL ? 1 : 15; precision <= 17; precision++) {
        snprintf(text, sizeof text, "%.*e", precision - 1, v);
        if (strtod(text, NULL) == v)
            break;
    }
    take_apart(text, ret);
}

static void shortest_f32(float v, struct decimal *ret)
{
    char text[64];

    for (int precision = fpclassify(v) == FP_SUBNORMAL ? 1 : 6; precision <= 9; precision++) {
        snprintf(text, sizeof text, "%.*e", precision - 1, (double)v);
        if (strtof(text, NULL) == v)
            break;
    }
    take_apart(text, ret);
}

static size_t put_zeros(char *out, int n)
{
    if (n <= 0)
        return 0;
    memset(out, '0', (size_t)n);
    return (size_t)n;
}

static size_t put_digits(char *out, const char *digits, int n)
{
    memcpy(out, digits, (size_t)n);
    return (size_t)n;
}

static size_t put_exponent(char *out, const struct decimal *d)
{
    size_t n = 0;

    out[n++] = d->digits[0];
    if (d->n > 1) {
        out[n++] = '.';
        n += put_digits(out + n, d->digits + 1, d->n - 1);
    }
    out[n++] = 'e';
    int exponent = d->point - 1;
    if (exponent < 0) {
        out[n++] = '-';
        exponent = -exponent;
    }
    char reversed[4];
    int digits = 0;
    do {
        reversed[digits++] = (char)('0' + exponent % 10);
        exponent /= 10;
    } while (exponent);
    while (digits)
        out[n++] = reversed[--digits];
    return n;
}

static size_t lay_out(char *out, const struct decimal *d, const struct layout *layout)
{
    size_t n = 0;

    if (d->point > layout->point_max || d->point < layout->point_min)
        return put_exponent(out, d);
    if (d->point <= 0) { /* 0.00123 */
        out[n++] = '0';
        out[n++] = '.';
        n += put_zeros(out + n, -d->point);
        return n + put_digits(out + n, d->digits, d->n);
    }
    if (d->point >= d->n) { /* 12300.0 */
        n += put_digits(out, d->digits, d->n);
        n += put_zeros(out + n, d->point - d->n);
        out[n++] = '.';
        out[n++] = '0';
        return n;
    }
    n += put_digits(out, d->digits, d->point); /* 12.3 */
    out[n++] = '.';
    return n + put_digits(out + n, d->digits + d->point, d->n - d->point);
}

/* Whole numbers that a double holds exactly need no search. */
static bool whole(double v, struct decimal *ret)
{
    if (v >= 1e15 || v != (double)(uint64_t)v)
        return false;
    char reversed[DIGITS_MAX];
    uint64_t rest = (uint64_t)v;
    int n = 0;

    while (rest) {
        reversed[n++] = (char)('0' + rest % 10);
        rest /= 10;
    }
    ret->point = n;
    ret->n = n;
    for (int i = 0; i < n; i++)
        ret->digits[i] = reversed[n - 1 - i];
    return true;
}

static size_t put_zero(char *out)
{
    memcpy(out, "0.0", 3);
    return 3;
}

size_t json_format_f64(char out[JSON_NUMBER_MAX], double v)
{
    struct decimal d;
    size_t sign = 0;

    if (signbit(v)) {
        out[sign++] = '-';
        v = -v;
    }
    if (v == 0)
        return sign + put_zero(out + sign);
    if (!whole(v, &d))
        shortest_f64(v, &d);
    return sign + lay_out(out + sign, &d, &LAYOUT_F64);
}

size_t json_format_f32(char out[JSON_NUMBER_MAX], float v)
{
    struct decimal d;
    size_t sign = 0;

    if (signbit(v)) {
        out[sign++] = '-';
        v = -v;
    }
    if (v == 0)
        return sign + put_zero(out + sign);
    /* Above 2^24 a float's shortest digits are fewer than its exact ones. */
    if (v >= 16777216.0f || !whole((double)v, &d))
        shortest_f32(v, &d);
    return sign + lay_out(out + sign, &d, &LAYOUT_F32);
}
