/* base/str.c -- searching, numbers and hashing over views of bytes
 *
 * Numbers are read without the locale: the decimal point is a point. Short decimals (at most 15 significant digits and a power of ten up
 * to 22: nearly all that people write) are exact in double arithmetic and take the quick way; the rest is brought into a normal form
 * of bounded length and left to the C library, which rounds correctly.
 */
#include "base/str.h"

#include "base/err.h"

#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>

static unsigned char fold(char c)
{
    unsigned char u = (unsigned char)c;

    return u >= 'A' && u <= 'Z' ? u | 0x20 : u;
}

bool str_eq_nocase(struct str a, struct str b)
{
    return a.n == b.n && str_has_prefix_nocase(a, b);
}

bool str_has_prefix_nocase(struct str s, struct str prefix)
{
    if (s.n < prefix.n)
        return false;
    for (size_t i = 0; i < prefix.n; i++)
        if (fold(s.p[i]) != fold(prefix.p[i]))
            return false;
    return true;
}

int str_cmp(struct str a, struct str b)
{
    size_t n = MIN(a.n, b.n);
    int d = n ? memcmp(a.p, b.p, n) : 0;

    return d ? d : (a.n > b.n) - (a.n < b.n);
}

size_t str_find_char(struct str s, char c)
{
    const char *at = s.n ? memchr(s.p, c, s.n) : NULL;

    return at ? (size_t)(at - s.p) : STR_NPOS;
}

size_t str_find(struct str s, struct str needle)
{
    const char *at;

    if (needle.n == 0)
        return 0;
    if (s.n < needle.n)
        return STR_NPOS;
    at = memmem(s.p, s.n, needle.p, needle.n);
    return at ? (size_t)(at - s.p) : STR_NPOS;
}

size_t str_rfind_char(struct str s, char c)
{
    const char *at = s.n ? memrchr(s.p, c, s.n) : NULL;

    return at ? (size_t)(at - s.p) : STR_NPOS;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str str_trim(struct str s)
{
    while (s.n && is_blank(s.p[0]))
        s = str_skip(s, 1);
    while (s.n && is_blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

bool str_split(struct str s, char sep, struct str *head, struct str *tail)
{
    size_t at = str_find_char(s, sep);

    if (at == STR_NPOS) {
        *head = s;
        *tail = STR_NONE;
        return false;
    }
    *head = str_first(s, at);
    *tail = str_skip(s, at + 1);
    return true;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

int str_to_u64(struct str s, uint64_t *ret)
{
    uint64_t v = 0;
    bool over = false;

    if (s.n == 0)
        return ERR_SYNTAX;
    for (size_t i = 0; i < s.n; i++) {
        if (!is_digit(s.p[i]))
            return ERR_SYNTAX; /* also behind a number that is too large */
        over |= __builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v);
    }
    if (over)
        return ERR_LIMIT;
    *ret = v;
    return 0;
}

/* A double's value never hangs on more than 767 significant digits, but for whether a nonzero one follows. */
#define DIGITS_MAX 768

/* A decimal taken apart: 0.D1D2D3... * 10^exponent, without leading zeros. */
struct decimal {
    bool negative;
    size_t n;         /* digits kept; 0 = the number is zero */
    int64_t exponent; /* of ten */
    char digits[DIGITS_MAX + 1];
};

/* Takes the digits of one run; those behind the point lower the exponent while nothing but zeros was seen. */
static size_t take_digits(struct decimal *d, struct str s, size_t i, bool behind_point)
{
    for (; i < s.n && is_digit(s.p[i]); i++) {
        if (d->n == 0 && s.p[i] == '0') {
            d->exponent -= behind_point;
            continue;
        }
        if (d->n < DIGITS_MAX)
            d->digits[d->n++] = s.p[i];
        else if (s.p[i] != '0')
            d->digits[DIGITS_MAX - 1] = '1'; /* below all that counts; it only says "a little more" */
        d->exponent += !behind_point;
    }
    return i;
}

static int take_apart(struct str s, struct decimal *d)
{
    size_t i = 0, from;
    bool any;

    d->negative = s.n && s.p[0] == '-';
    d->n = 0;
    d->exponent = 0;
    if (s.n && (s.p[0] == '-' || s.p[0] == '+'))
        i++;
    from = i;
    i = take_digits(d, s, i, /* behind_point= */ false);
    any = i > from;
    if (i < s.n && s.p[i] == '.') {
        from = ++i;
        i = take_digits(d, s, i, /* behind_point= */ true);
        any |= i > from;
    }
    if (!any)
        return ERR_SYNTAX;
    if (i < s.n && (s.p[i] == 'e' || s.p[i] == 'E')) {
        int64_t e = 0;
        bool down;

        i++;
        down = i < s.n && s.p[i] == '-';
        if (i < s.n && (s.p[i] == '-' || s.p[i] == '+'))
            i++;
        for (from = i; i < s.n && is_digit(s.p[i]); i++)
            e = MIN(e * 10 + (s.p[i] - '0'), INT64_C(1) << 50); /* far past any double, and safe to add */
        if (i == from)
            return ERR_SYNTAX;
        d->exponent += down ? -e : e;
    }
    return i == s.n ? 0 : ERR_SYNTAX;
}

static locale_t c_locale;

static void make_c_locale(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0); /* glibc answers "C" from static memory: it cannot fail */
}

static double convert_slowly(const struct decimal *d)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    char text[DIGITS_MAX + 32], *p = text;
    int64_t e = MAX(MIN(d->exponent, 100000), -100000);

    pthread_once(&once, make_c_locale);
    *p++ = '.';
    memcpy(p, d->digits, d->n);
    p += d->n;
    *p++ = 'e';
    *p++ = e < 0 ? '-' : '+';
    e = e < 0 ? -e : e;
    for (int64_t unit = 100000; unit; unit /= 10)
        *p++ = (char)('0' + e / unit % 10);
    *p = 0;
    return strtod_l(text, NULL, c_locale);
}

static double convert(const struct decimal *d)
{
    static const double TEN_TO[] = { 1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                     1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };
    int64_t shift = d->exponent - (int64_t)d->n;
    uint64_t whole = 0;

    if (d->n == 0)
        return 0.0;
    if (d->n > 15 || shift < -22 || shift > 22)
        return convert_slowly(d);
    for (size_t i = 0; i < d->n; i++)
        whole = whole * 10 + (uint64_t)(d->digits[i] - '0');
    return shift < 0 ? (double)whole / TEN_TO[-shift] : (double)whole * TEN_TO[shift];
}

int str_to_double(struct str s, double *ret)
{
    struct decimal d;
    double v;

    if (take_apart(s, &d) < 0)
        return ERR_SYNTAX;
    v = convert(&d);
    if (isinf(v))
        return ERR_LIMIT;
    *ret = d.negative ? -v : v;
    return 0;
}

static uint64_t load8(const char *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof v);
    return v;
}

/* N bytes, 1..8, from two loads that overlap. */
static uint64_t load_short(const char *p, size_t n)
{
    uint32_t low, high;

    if (n < 4)
        return (uint64_t)(unsigned char)p[0] << 16 | (uint64_t)(unsigned char)p[n / 2] << 8 | (unsigned char)p[n - 1];
    memcpy(&low, p, sizeof low);
    memcpy(&high, p + n - sizeof high, sizeof high);
    return (uint64_t)high << 32 | low;
}

static uint64_t mix(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Folded 64x64 multiplications of 16 bytes at a time; of the last product both halves go into one more, which spreads what little the
 * keys differ in (names with a number at their end) over all bits. The seed is where the kernel put the program, so that keys which
 * collide cannot be worked out beforehand. The factors have about 32 bits set: digits of the square roots of 2, 3 and 5. */
uint64_t str_hash(struct str s)
{
    static const char anchor;
    const uint64_t k1 = 0x6a09e667f3bcc909, k2 = 0xbb67ae8584caa73b, k3 = 0x3c6ef372fe94f82b;
    uint64_t h = k1 ^ (uint64_t)(uintptr_t)&anchor, first = 0, last = 0;
    unsigned __int128 product;
    const char *p = s.p;
    size_t n = s.n;

    h = mix(h, k3);
    for (; n > 16; p += 16, n -= 16)
        h = mix(load8(p) ^ k2, load8(p + 8) ^ h);
    if (n > 8) {
        first = load8(p);
        last = load8(p + n - 8);
    } else if (n) {
        first = load_short(p, n);
    }
    product = (unsigned __int128)(first ^ k2) * (last ^ h);
    return mix((uint64_t)product ^ k3 ^ s.n, (uint64_t)(product >> 64) ^ k1);
}

char *str_dup(struct str s)
{
    char *copy = malloc(s.n + 1);

    if (!copy)
        return NULL;
    if (s.n)
        memcpy(copy, s.p, s.n);
    copy[s.n] = 0;
    return copy;
}

bool str_eq_secret(struct str a, struct str b)
{
    volatile unsigned char differ = a.n != b.n;

    for (size_t i = 0; i < b.n; i++)
        differ |= (unsigned char)((i < a.n ? a.p[i] : 0) ^ b.p[i]);
    return differ == 0;
}
