/* text/scan/json_scan.c
 *
 *            VALUE --{--> KEY_OR_END --"--> string --> COLON --:--> VALUE
 *              |  --[--> VALUE_OR_END         ^                       |
 *              |                              +--"-- KEY <--,-- AFTER-+   (AFTER: behind a value; , or the closing bracket; at depth 0: DONE)
 *              +--> string, number, literal ----------------------> AFTER
 *
 * value_begins() leaves VALUE and VALUE_OR_END, in_string() the string states, in_number() the numbers, in_literal() the words, structure() everything else; value_ended() enters AFTER.
 */
#include "text/scan/json_scan.h"

#include <string.h>

enum {
    VALUE,
    VALUE_OR_END,
    KEY,
    KEY_OR_END,
    COLON,
    AFTER,
    STRING,
    ESCAPE,
    HEX1,
    HEX2,
    HEX3,
    HEX4,
    LOW_BACKSLASH, /* behind a high surrogate: its other half must follow */
    LOW_U,
    LOW_HEX1,
    LOW_HEX2,
    LOW_HEX3,
    LOW_HEX4,
    LITERAL,
    MINUS,
    ZERO,
    INTEGER,
    POINT,
    FRACTION,
    EXPONENT,
    EXPONENT_SIGN,
    EXPONENT_DIGITS,
    DONE
};

/* A string that is a key: its end is followed by a colon. Kept in the state as an offset. */
#define IN_KEY 64

void json_scan_init(struct json_scan *s)
{
    *s = (struct json_scan){ .state = VALUE };
}

static bool top_is_object(const struct json_scan *s)
{
    unsigned level = s->depth - 1u;
    return s->is_object[level / 64] >> (level % 64) & 1;
}

static bool push(struct json_scan *s, bool object)
{
    if (s->depth >= JSON_SCAN_DEPTH)
        return false;
    unsigned level = s->depth++;
    uint64_t bit = 1ull << (level % 64);
    s->is_object[level / 64] = object ? s->is_object[level / 64] | bit : s->is_object[level / 64] & ~bit;
    s->state = object ? KEY_OR_END : VALUE_OR_END;
    return true;
}

static void value_ended(struct json_scan *s)
{
    s->state = s->depth ? AFTER : DONE;
}

static bool pop(struct json_scan *s)
{
    s->depth--;
    value_ended(s);
    return true;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool literal_begins(struct json_scan *s, const char *word)
{
    s->literal = word;
    s->literal_at = 1;
    s->state = LITERAL;
    return true;
}

static bool value_begins(struct json_scan *s, char c)
{
    switch (c) {
    case '{':
        return push(s, true);
    case '[':
        return push(s, false);
    case '"':
        s->state = STRING;
        return true;
    case '-':
        s->state = MINUS;
        return true;
    case '0':
        s->state = ZERO;
        return true;
    case 't':
        return literal_begins(s, "true");
    case 'f':
        return literal_begins(s, "false");
    case 'n':
        return literal_begins(s, "null");
    default:
        if (!is_digit(c))
            return false;
        s->state = INTEGER;
        return true;
    }
}

static bool structure(struct json_scan *s, char c)
{
    if (is_space(c))
        return true;
    switch (s->state) {
    case VALUE:
        return value_begins(s, c);
    case VALUE_OR_END:
        return c == ']' ? pop(s) : value_begins(s, c);
    case KEY_OR_END:
        if (c == '}')
            return pop(s);
        __attribute__((fallthrough));
    case KEY:
        if (c != '"')
            return false;
        s->state = STRING | IN_KEY;
        return true;
    case COLON:
        if (c != ':')
            return false;
        s->state = VALUE;
        return true;
    default: /* AFTER */
        if (c == (top_is_object(s) ? '}' : ']'))
            return pop(s);
        if (c != ',')
            return false;
        s->state = top_is_object(s) ? KEY : VALUE;
        return true;
    }
}

static int hex(char c)
{
    if (is_digit(c))
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One byte inside a string, which is not an ordinary character. */
static bool in_string(struct json_scan *s, char c)
{
    unsigned key = s->state & IN_KEY, state = s->state & ~IN_KEY;
    int digit;
    switch (state) {
    case STRING:
        if (c == '"') {
            if (key)
                s->state = COLON;
            else
                value_ended(s);
            return true;
        }
        s->state = (uint8_t)(ESCAPE | key);
        return c == '\\'; /* else a control character */
    case ESCAPE:
        s->unit = 0;
        s->state = (uint8_t)((c == 'u' ? HEX1 : STRING) | key);
        return c != '\0' && strchr("\"\\/bfnrtu", c);
    case LOW_BACKSLASH:
        s->state = (uint8_t)(LOW_U | key);
        return c == '\\';
    case LOW_U:
        s->unit = 0;
        s->state = (uint8_t)(LOW_HEX1 | key);
        return c == 'u';
    default:
        digit = hex(c);
        if (digit < 0)
            return false;
        s->unit = (uint16_t)(s->unit << 4 | digit);
        if (state != HEX4 && state != LOW_HEX4) {
            s->state++;
            return true;
        }
        bool high = s->unit >= 0xD800 && s->unit < 0xDC00, low = s->unit >= 0xDC00 && s->unit < 0xE000;
        if (state == LOW_HEX4 ? !low : low)
            return false;
        s->state = (uint8_t)((state == HEX4 && high ? LOW_BACKSLASH : STRING) | key);
        return true;
    }
}

static bool in_literal(struct json_scan *s, char c)
{
    if (c != s->literal[s->literal_at++])
        return false;
    if (!s->literal[s->literal_at])
        value_ended(s);
    return true;
}

/* 1: the byte belongs to the number; 0: the number ended in front of it; -1: wrong. */
static int in_number(struct json_scan *s, char c)
{
    switch (s->state) {
    case MINUS:
        s->state = c == '0' ? ZERO : INTEGER;
        return is_digit(c) ? 1 : -1;
    case POINT:
        s->state = FRACTION;
        return is_digit(c) ? 1 : -1;
    case EXPONENT:
        s->state = c == '+' || c == '-' ? EXPONENT_SIGN : EXPONENT_DIGITS;
        return is_digit(c) || c == '+' || c == '-' ? 1 : -1;
    case EXPONENT_SIGN:
        s->state = EXPONENT_DIGITS;
        return is_digit(c) ? 1 : -1;
    default:
        break;
    }
    if (is_digit(c) && s->state != ZERO)
        return 1;
    if (c == '.' && (s->state == ZERO || s->state == INTEGER))
        s->state = POINT;
    else if ((c == 'e' || c == 'E') && s->state != EXPONENT_DIGITS)
        s->state = EXPONENT;
    else {
        value_ended(s);
        return 0;
    }
    return 1;
}

/* How many bytes at the front of text are ordinary characters of a string. */
static size_t ordinary(struct str text)
{
    size_t i = 0;
    while (i < text.n && text.p[i] != '"' && text.p[i] != '\\' && (uint8_t)text.p[i] >= 0x20)
        i++;
    return i;
}

/* One byte; as in_number. */
static int byte(struct json_scan *s, char c)
{
    unsigned state = s->state & ~IN_KEY;
    if (state >= STRING && state <= LOW_HEX4)
        return in_string(s, c) ? 1 : -1;
    if (state == LITERAL)
        return in_literal(s, c) ? 1 : -1;
    if (state > LITERAL)
        return in_number(s, c);
    return structure(s, c) ? 1 : -1;
}

enum json_scan_result json_scan_feed(struct json_scan *s, struct str text, size_t *ret_used)
{
    size_t i = 0;
    enum json_scan_result result = s->state == DONE ? JSON_SCAN_DONE : JSON_SCAN_MORE;
    while (result == JSON_SCAN_MORE) {
        if ((s->state & ~IN_KEY) == STRING)
            i += ordinary((struct str){ text.p + i, text.n - i });
        if (i == text.n)
            break;
        int used = byte(s, text.p[i]);
        if (used < 0)
            result = JSON_SCAN_BAD;
        else {
            i += (size_t)used;
            if (s->state == DONE)
                result = JSON_SCAN_DONE;
        }
    }
    *ret_used = i;
    return result;
}

enum json_scan_result json_scan_end(const struct json_scan *s)
{
    bool number = !s->depth && (s->state == ZERO || s->state == INTEGER || s->state == FRACTION || s->state == EXPONENT_DIGITS);
    return s->state == DONE || number ? JSON_SCAN_DONE : JSON_SCAN_BAD;
}

bool json_scan_in_string(const struct json_scan *s)
{
    unsigned state = s->state & ~IN_KEY;
    return state >= STRING && state <= LOW_HEX4;
}
