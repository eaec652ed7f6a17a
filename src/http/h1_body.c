/* http/h1_body.c -- reading the body of an HTTP/1.1 message (RFC 9112 6.2, 6.3, 7.1), byte-exact and resumable at every byte
 *
 *   chunked, one letter of input per arrow unless said otherwise; every other byte in a step is refused:
 *
 *    SIZE ------hex----> SIZE_MORE --CR--> SIZE_LF --LF, size > 0--> DATA --size bytes--> DATA_CR --CR--> DATA_LF --LF--> SIZE
 *                        |   ^ hex, |            |
 *                        |   +------+ BWS ; --> EXT (QUOTED, ESCAPED) --CR--> SIZE_LF
 *                                                |
 *                        LF, size == 0 ----------+--> LINE --CR--> END_LF --LF--> (done)
 *                                                      |  ^
 *                                     tchar --> NAME --+  +--LF-- LINE_LF <--CR-- VALUE <--colon-- NAME
 *
 * step_framing() does every transition byte by byte; take_data() and quick_size() do the usual way from DATA to the next DATA at once.
 * Sizes have up to 16 significant digits; a size line is bounded by H1_CHUNK_LINE_MAX, trailers by H1_HEAD_MAX.
 * Trailers are checked as fields are and dropped: nothing that comes behind the body may change what was decided about it.
 */
#include "http/h1.h"

#include "http/scan.h"

enum step {
    SIZE,
    SIZE_MORE,
    SIZE_BLANK,
    EXT,
    QUOTED,
    ESCAPED,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    LINE,
    NAME,
    VALUE,
    LINE_LF,
    END_LF
};

void h1_body_init(struct h1_body *b, const struct http_head *head)
{
    *b = (struct h1_body){ .kind = head->body, .step = SIZE };
    if (head->body == HTTP_BODY_LENGTH)
        b->left = head->length;
    b->done = head->body == HTTP_BODY_NONE || (head->body == HTTP_BODY_LENGTH && head->length == 0);
}

static const char *const MESSAGES[] = {
    [SIZE] = "malformed chunk size",
    [SIZE_MORE] = "malformed chunk size",
    [SIZE_BLANK] = "blank behind a chunk size",
    [EXT] = "malformed chunk extension",
    [QUOTED] = "malformed chunk extension",
    [ESCAPED] = "malformed chunk extension",
    [SIZE_LF] = "chunk size line without its LF",
    [DATA] = "malformed chunk",
    [DATA_CR] = "chunk longer than its size",
    [DATA_LF] = "chunk without its LF",
    [LINE] = "malformed trailer field",
    [NAME] = "malformed trailer field",
    [VALUE] = "control byte in a trailer field",
    [LINE_LF] = "trailer field without its LF",
    [END_LF] = "trailers without their last LF",
};

/* The value of a hex digit, 0xff for other bytes. The table holds value + 1, so that its zeros mean "none". */
static inline uint8_t hex_value(char c)
{
    static const uint8_t HEX[256] = {
        ['0'] = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, ['a'] = 11, 12, 13, 14, 15, 16, ['A'] = 11, 12, 13, 14, 15, 16,
    };

    return (uint8_t)(HEX[(unsigned char)c] - 1);
}

/* Moves to NEXT: for `return go(b, EXT)`. */
static bool go(struct h1_body *b, enum step next)
{
    b->step = (uint8_t)next;
    return true;
}

static bool add_digit(struct h1_body *b, char c)
{
    uint8_t digit = hex_value(c);

    if (digit > 15 || b->left >> 60)
        return false;
    b->left = b->left << 4 | digit;
    return go(b, SIZE_MORE);
}

static bool in_size_line(struct h1_body *b, char c)
{
    switch ((enum step)b->step) {
    case SIZE:
        return add_digit(b, c);
    case SIZE_MORE:
        if (c == '\r')
            return go(b, SIZE_LF);
        if (c == ';')
            return go(b, EXT);
        if (c == ' ' || c == '\t')
            return go(b, SIZE_BLANK);
        return add_digit(b, c);
    case SIZE_BLANK: /* only in front of an extension: 7.1.1 */
        if (c == ';')
            return go(b, EXT);
        return c == ' ' || c == '\t';
    case EXT:
        if (c == '\r')
            return go(b, SIZE_LF);
        if (c == '"')
            return go(b, QUOTED);
        return scan_is_tchar(c) || c == ';' || c == '=' || c == ' ' || c == '\t';
    case QUOTED:
        if (c == '"')
            return go(b, EXT);
        if (c == '\\')
            return go(b, ESCAPED);
        return !scan_is_control(c);
    case ESCAPED:
        return !scan_is_control(c) && go(b, QUOTED);
    default:
        return false;
    }
}

/* One byte of framing; false when it must not stand there. */
static bool step_framing(struct h1_body *b, char c)
{
    switch ((enum step)b->step) {
    case SIZE:
    case SIZE_MORE:
    case SIZE_BLANK:
    case EXT:
    case QUOTED:
    case ESCAPED:
        return ++b->line <= H1_CHUNK_LINE_MAX && in_size_line(b, c);
    case SIZE_LF:
        b->line = 0;
        return c == '\n' && go(b, b->left ? DATA : LINE);
    case DATA_CR:
        return c == '\r' && go(b, DATA_LF);
    case DATA_LF:
        return c == '\n' && go(b, SIZE);
    case LINE:
        if (c == '\r')
            return go(b, END_LF);
        return scan_is_tchar(c) && go(b, NAME);
    case NAME:
        if (c == ':')
            return go(b, VALUE);
        return scan_is_tchar(c);
    case VALUE:
        if (c == '\r')
            return go(b, LINE_LF);
        return !scan_is_control(c);
    case LINE_LF:
        return c == '\n' && go(b, LINE);
    case END_LF:
        b->done = c == '\n';
        return b->done;
    case DATA:
        break;
    }
    return false;
}

static int refuse(const char *message, struct h1_error *error)
{
    if (error)
        *error = (struct h1_error){ .status = 400, .message = message };
    return ERR_PROTOCOL;
}

#define QUICK_DIGITS 7 /* a chunk of up to 256 MiB */

/* The usual size line at P, all of it there, without an extension, not the last: its length, and the size in b->left. 0 = let step_framing look. */
static inline size_t quick_size(struct h1_body *b, const char *p, size_t n)
{
    uint64_t size = 0;
    size_t at = 0, most = n < QUICK_DIGITS ? n : QUICK_DIGITS;

    for (uint8_t digit; at < most && (digit = hex_value(p[at])) <= 15; at++)
        size = size << 4 | digit;
    if (size == 0 || n - at < 2 || p[at] != '\r' || p[at + 1] != '\n')
        return 0;
    b->left = size;
    b->step = DATA;
    return at + 2;
}

/* Takes what is there of the chunk's data, and its CRLF with the size line behind it when those came whole. Returns the bytes used. */
static inline size_t take_data(struct h1_body *b, const char *p, size_t n, struct str *ret_part)
{
    size_t at;

    if (n < b->left) {
        *ret_part = (struct str){ p, n };
        b->left -= n;
        return n;
    }
    at = (size_t)b->left;
    *ret_part = (struct str){ p, at };
    b->left = 0;
    if (n - at < 2 || p[at] != '\r' || p[at + 1] != '\n') {
        b->step = DATA_CR;
        return at;
    }
    at += 2;
    b->step = SIZE;
    return at + quick_size(b, p + at, n - at);
}

/* Goes on behind the part that it gives until the next part begins, so that a chunk that came whole, and the end behind it, cost one call. */
static int feed_chunked(struct h1_body *b, const char *p, size_t n, size_t *ret_used, struct str *ret_part, struct h1_error *error)
{
    struct str part = STR_NONE;
    size_t at = 0;

    if (_likely_(b->step == DATA && n > 0)) {
        at = take_data(b, p, n, &part);
        if (_likely_(at == n || b->step == DATA)) {
            *ret_used = at;
            *ret_part = part;
            return 0;
        }
    }
    while (at < n && !b->done) {
        if (b->step == DATA) {
            if (part.n)
                break;
            at += take_data(b, p + at, n - at, &part);
            continue;
        }
        if (b->step >= LINE && ++b->trailer > H1_HEAD_MAX)
            return refuse("trailers too large", error);
        if (!step_framing(b, p[at]))
            return refuse(b->line > H1_CHUNK_LINE_MAX ? "chunk size line too long" : MESSAGES[b->step], error);
        at++;
    }
    *ret_used = at;
    *ret_part = part;
    return 0;
}

int h1_body_feed(struct h1_body *b, const char *p, size_t n, size_t *ret_used, struct str *ret_part, struct h1_error *error)
{
    size_t take = n;

    if (b->done)
        take = 0;
    else if (b->kind == HTTP_BODY_CHUNKED)
        return feed_chunked(b, p, n, ret_used, ret_part, error);
    else if (b->kind == HTTP_BODY_LENGTH) {
        take = n < b->left ? n : (size_t)b->left;
        b->left -= take;
        b->done = b->left == 0;
    }
    *ret_used = take;
    *ret_part = (struct str){ p, take };
    return 0;
}

int h1_body_eof(struct h1_body *b)
{
    if (!b->done && b->kind != HTTP_BODY_UNTIL_CLOSE)
        return ERR_CLOSED;
    b->done = true;
    return 0;
}
