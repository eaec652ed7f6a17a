/* text/tokenizer/score.c -- decimal to double in two roundings
 *
 * The digits become a 64-bit integer (those that do not fit are dropped), the integer becomes a double (first rounding), and the double is multiplied or divided by a power of ten (second
 * rounding). A correctly rounded reader gives another last bit for about a quarter of the scores with 17 digits. Two ways to cut "``````" whose scores are sums of the same numbers in
 * another order are equal or not by that bit.
 */
#include "text/tokenizer/score.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define POWER_MAX    308 /* the largest power of ten that is a double */
#define EXPONENT_MAX 100000

struct decimal {
    uint64_t digits;
    int exponent; /* the value is digits * 10^exponent */
    bool full;    /* a digit did not fit */
};

/* Takes the digits at the front of S; each of them moves the exponent by KEPT when it fits, and by DROPPED when it does not. */
static struct str take_digits(struct decimal *d, struct str s, int kept, int dropped)
{
    for (; s.n && s.p[0] >= '0' && s.p[0] <= '9'; s = str_skip(s, 1)) {
        uint64_t more;
        if (d->full || __builtin_mul_overflow(d->digits, 10, &more) ||
            __builtin_add_overflow(more, (uint64_t)(s.p[0] - '0'), &more)) {
            d->full = true;
            d->exponent += dropped;
        } else {
            d->digits = more;
            d->exponent += kept;
        }
    }
    return s;
}

static struct str take_sign(struct str s, bool *ret_negative)
{
    *ret_negative = s.n && s.p[0] == '-';
    return s.n && (s.p[0] == '-' || s.p[0] == '+') ? str_skip(s, 1) : s;
}

static double power_of_ten(int n) /* 0..POWER_MAX, correctly rounded */
{
    char text[16];

    snprintf(text, sizeof(text), "1e%d", n);
    return strtod(text, NULL);
}

bool score_read(struct str number, double *ret)
{
    struct decimal d = { 0 };
    bool negative;
    struct str s = take_digits(&d, take_sign(number, &negative), 0, 1);

    if (s.n && s.p[0] == '.')
        s = take_digits(&d, str_skip(s, 1), -1, 0);
    if (s.n && (s.p[0] == 'e' || s.p[0] == 'E')) {
        bool down;
        int exponent = 0;
        for (s = take_sign(str_skip(s, 1), &down); s.n; s = str_skip(s, 1))
            exponent = exponent < EXPONENT_MAX ? exponent * 10 + (s.p[0] - '0') : exponent;
        d.exponent += down ? -exponent : exponent;
    }

    double v = (double)d.digits;
    if (d.exponent < -POWER_MAX) {
        v /= 1e308;
        d.exponent += POWER_MAX;
    }
    if (d.exponent < -POWER_MAX)
        v = 0;
    else if (d.exponent < 0)
        v /= power_of_ten(-d.exponent);
    else if (d.exponent > 0 && v > 0)
        v = d.exponent <= POWER_MAX ? v * power_of_ten(d.exponent) : INFINITY;
    if (isinf(v))
        return false;
    *ret = negative ? -v : v;
    return true;
}
