/* http/h1_head.c -- the head of an HTTP/1.1 message: finding its end, taking it apart, deciding how the body is framed (RFC 9112 2 to 6)
 *
 *    h1_head_end        frames: nothing below ever sees half a head
 *    parse_request_line method, target and its forms, version
 *    parse_status_line  version, status, reason
 *    parse_fields       each line into a field; the few that decide framing and routing are noted in `struct noted` on the way
 *    frame_request      what the notes say about the body (6.3), the connection (9.3) and the host (3.2)
 *    frame_reply        the same for replies
 *
 * One pass over the bytes, no allocation, no copies.
 * Where RFC 9112 leaves a choice between repairing and refusing, requests and replies are refused: whoever stands on the other side may have repaired differently.
 */
#include "http/h1.h"

#include "http/field_id.h"
#include "http/scan.h"

/* What parse_fields met of the fields that the codec itself needs. */
struct noted {
    unsigned hosts, lengths, codings; /* how often Host, Content-Length and Transfer-Encoding came */
    struct str host, length, coding;  /* their last values */
    bool close, keep_alive;           /* Connection options */
    bool expect_continue;
};

/* What the request line says. */
struct request_line {
    enum http_method method;
    unsigned minor;
    struct str method_text, target, path, query;
    struct str authority; /* of an absolute-form target, else empty */
};

/* How the body is framed. */
struct framing {
    enum http_body_kind body;
    uint64_t length;
};

static int refuse(struct h1_error *error, unsigned status, const char *message)
{
    *error = (struct h1_error){ .status = status, .message = message };
    return ERR_PROTOCOL;
}

/* ---- frame ---- */

size_t h1_skip_empty_lines(const char *p, size_t n)
{
    size_t at = 0;

    while (n - at >= 2 && p[at] == '\r' && p[at + 1] == '\n')
        at += 2;
    return at;
}

/* What stands at LF, which has a CR or LF behind it: the length of the head that ends there, 0 = no end, or not yet. */
static size_t end_at(const char *p, const char *lf, const char *end)
{
    if (lf[1] == '\n')
        return (size_t)(lf - p) + 2;
    return end - lf >= 3 && lf[2] == '\n' ? (size_t)(lf - p) + 3 : 0;
}

/* A head that ends its lines with a bare LF ends here as well: better refused at once by the parser than waited for. */
size_t h1_head_end(const char *p, size_t n, size_t *scanned)
{
    const char *at = p + *scanned, *end = p + n;

    for (; end - at > 16; at += 16) {
        for (unsigned hits = scan_lf_then_line_end_bits(at); hits; hits &= hits - 1) {
            size_t length = end_at(p, at + __builtin_ctz(hits), end);

            if (length)
                return length;
        }
    }
    if (n > 16) { /* the last seventeen, some of them for the second time */
        for (unsigned hits = scan_lf_then_line_end_bits(end - 17); hits; hits &= hits - 1) {
            size_t length = end_at(p, end - 17 + __builtin_ctz(hits), end);

            if (length)
                return length;
        }
    } else {
        for (; end - at >= 2; at++) {
            size_t length = at[0] == '\n' && scan_is_line_end(at[1]) ? end_at(p, at, end) : 0;

            if (length)
                return length;
        }
    }
    *scanned = n > 2 ? n - 2 : 0; /* a LF there may still become the end */
    return 0;
}

void h1_head_overflow(const char *p, size_t n, struct h1_error *error)
{
    if (!memchr(p, '\n', n))
        (void)refuse(error, 414, "request line too long"); /* the caller has the verdict already */
    else
        (void)refuse(error, 431, "request head too large");
}

/* ---- the first line ---- */

static inline bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "HTTP/1.x" at P, at least 8 bytes. 1.2 and later are read as 1.1 (RFC 9110 2.5). */
static inline int parse_version(const char *p, unsigned *ret_minor, struct h1_error *error)
{
    if (_likely_(memcmp(p, "HTTP/1.", 7) == 0 && is_digit(p[7]))) {
        *ret_minor = p[7] == '0' ? 0 : 1;
        return 0;
    }
    if (memcmp(p, "HTTP/", 5) != 0 || !is_digit(p[5]) || p[6] != '.' || !is_digit(p[7]))
        return refuse(error, 400, "malformed HTTP version");
    return refuse(error, 505, "HTTP version not supported: only HTTP/1.0 and HTTP/1.1 are");
}

/* The method and the blank behind it. The two that make nearly all traffic are found by one comparison. */
static const char *parse_method(const char *p, const char *end, struct request_line *ret)
{
    const char *at = p;

    if (end - p > 5 && memcmp(p, "POST ", 5) == 0) {
        ret->method = HTTP_POST;
        ret->method_text = (struct str){ p, 4 };
        return p + 5;
    }
    if (end - p > 5 && memcmp(p, "GET ", 4) == 0) {
        ret->method = HTTP_GET;
        ret->method_text = (struct str){ p, 3 };
        return p + 4;
    }
    while (at < end && scan_is_tchar(*at))
        at++;
    if (at == p || at == end || *at != ' ')
        return NULL;
    ret->method_text = str_range(p, at);
    ret->method = http_method_of(ret->method_text);
    return at + 1;
}

/* The target at P up to its blank, with path and query as in origin-form. Returns the address behind it, NULL for a fragment. */
static const char *scan_target(const char *begin, const char *p, const char *end, struct request_line *ret)
{
    const char *at = scan_path_end(begin, p, end), *path_end = at;

    ret->query = STR_NONE;
    if (at < end && *at == '?') {
        at = scan_invisible_byte(begin, at, end);
        ret->query = str_range(path_end + 1, at);
        if (memchr(ret->query.p, '#', ret->query.n))
            return NULL;
    } else if (at < end && *at == '#') {
        return NULL;
    }
    ret->path = str_range(p, path_end);
    ret->target = str_range(p, at);
    return at;
}

/* RFC 9112 3.2.2 to 3.2.4: what is not origin-form. */
static int parse_other_form(struct request_line *line, struct h1_error *error)
{
    size_t scheme, slash;

    if (line->target.n == 0)
        return refuse(error, 400, "empty request target");
    if (str_eq(line->method_text, STR("CONNECT")))
        return refuse(error, 501, "CONNECT is not supported");
    if (str_eq(line->target, STR("*"))) {
        if (line->method == HTTP_OPTIONS)
            return 0;
        return refuse(error, 400, "request target * with a method other than OPTIONS");
    }
    if (str_has_prefix_nocase(line->path, STR("http://")))
        scheme = 7;
    else if (str_has_prefix_nocase(line->path, STR("https://")))
        scheme = 8;
    else
        return refuse(error, 400, "malformed request target");
    line->path = str_skip(line->path, scheme);
    slash = str_find_char(line->path, '/');
    line->authority = str_first(line->path, slash);
    if (line->authority.n == 0)
        return refuse(error, 400, "request target without a host");
    line->path = slash == STR_NPOS ? STR("/") : str_skip(line->path, slash);
    return 0;
}

/* Returns the address behind the line, NULL when it was refused. */
static const char *parse_request_line(const char *p, const char *end, struct request_line *ret, struct h1_error *error)
{
    const char *target = parse_method(p, end, ret), *at;

    ret->authority = STR_NONE;
    if (!target) {
        (void)refuse(error, 400, "malformed method");
        return NULL;
    }
    at = scan_target(p, target, end, ret);
    if (!at) {
        (void)refuse(error, 400, "fragment in the request target");
        return NULL;
    }
    if (end - at < 11 || *at != ' ') {
        (void)refuse(error, 400, at < end && *at == '\r' ? "request line without an HTTP version" : "malformed request target");
        return NULL;
    }
    if (parse_version(at + 1, &ret->minor, error) < 0)
        return NULL;
    if (*target != '/' && parse_other_form(ret, error) < 0)
        return NULL;
    if (at[9] != '\r' || at[10] != '\n') {
        (void)refuse(error, 400, "malformed request line");
        return NULL;
    }
    return at + 11;
}

/* What the status line says. */
struct status_line {
    unsigned minor, status;
    struct str reason;
};

/* The reason phrase may be missing, with or without its blank: engines leave it out. */
static const char *parse_status_line(const char *p, const char *end, struct status_line *ret, struct h1_error *error)
{
    const char *begin = p, *at;

    if (_likely_(end - p >= 17 && memcmp(p, "HTTP/1.1 200 OK\r\n", 17) == 0)) {
        *ret = (struct status_line){ .minor = 1, .status = 200, .reason = { p + 13, 2 } };
        return p + 17;
    }
    if (end - p < 14 || parse_version(p, &ret->minor, error) < 0 || p[8] != ' ' || p[9] < '1' || p[9] > '9' || !is_digit(p[10]) ||
        !is_digit(p[11]) || (p[12] != ' ' && p[12] != '\r')) {
        (void)refuse(error, 502, "malformed status line");
        return NULL;
    }
    ret->status = (unsigned)(p[9] - '0') * 100 + (unsigned)(p[10] - '0') * 10 + (unsigned)(p[11] - '0');
    p += p[12] == ' ' ? 13 : 12;
    at = scan_control(begin, p, end);
    ret->reason = str_range(p, at);
    if (end - at < 2 || at[0] != '\r' || at[1] != '\n') {
        (void)refuse(error, 502, "malformed status line");
        return NULL;
    }
    return at + 2;
}

/* ---- fields ---- */

static void note_connection(struct noted *noted, struct str value)
{
    if (str_eq(value, STR("keep-alive"))) {
        noted->keep_alive = true;
        return;
    }
    noted->close = noted->close || http_list_has(value, STR("close"));
    noted->keep_alive = noted->keep_alive || http_list_has(value, STR("keep-alive"));
}

#define BIT(id) (UINT64_C(1) << (id))
static const uint64_t NOTED =
    BIT(HF_HOST) | BIT(HF_CONTENT_LENGTH) | BIT(HF_TRANSFER_ENCODING) | BIT(HF_CONNECTION) | BIT(HF_EXPECT);
_Static_assert(HF_COUNT <= 64, "one bit for each field");

static inline void note(struct noted *noted, const struct http_field *f)
{
    if (_likely_(!(NOTED >> f->id & 1)))
        return;
    switch (f->id) {
    case HF_HOST:
        noted->hosts++;
        noted->host = f->value;
        break;
    case HF_CONTENT_LENGTH:
        noted->lengths++;
        noted->length = f->value;
        break;
    case HF_TRANSFER_ENCODING:
        noted->codings++;
        noted->coding = f->value;
        break;
    case HF_CONNECTION:
        note_connection(noted, f->value);
        break;
    case HF_EXPECT:
        noted->expect_continue = str_eq_nocase(f->value, STR("100-continue"));
        break;
    default:
        break;
    }
}

/* Why the line at P has no good name. COLON: where the scan for its end stopped. */
static int refuse_name(const char *p, const char *colon, const char *end, struct h1_error *error)
{
    if (*p == ' ' || *p == '\t')
        return refuse(error, 400, "folded header field");
    if (colon < end && (*colon == ' ' || *colon == '\t'))
        return refuse(error, 400, "blank in or behind the name of a header field");
    return refuse(error, 400, "malformed name of a header field");
}

static int refuse_value(const char *at, const char *end, struct h1_error *error)
{
    if (at < end && scan_is_line_end(*at))
        return refuse(error, 400, "bare CR or LF in the head");
    return refuse(error, 400, "control byte in a header field");
}

static inline bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* The line "name: value" at P. Returns the address behind it, NULL when it was refused. */
static inline const char *parse_field(const char *begin, const char *p, const char *end, struct http_field *ret,
                                      struct h1_error *error)
{
    const char *colon = scan_token_end(begin, p, end), *value, *line_end;
    struct str name = str_range(p, colon);

    if (_unlikely_(colon == end || *colon != ':' || name.n == 0)) {
        (void)refuse_name(p, colon, end, error);
        return NULL;
    }
    ret->name = name;
    ret->id = end - p >= 8 ? field_find_within(p, name.n) : http_field_id(name);
    value = colon + 1;
    while (value < end && is_blank(*value))
        value++;
    line_end = scan_control(begin, value, end);
    if (_unlikely_(end - line_end < 2 || line_end[0] != '\r' || line_end[1] != '\n')) {
        (void)refuse_value(line_end, end, error);
        return NULL;
    }
    p = line_end + 2;
    while (line_end > value && is_blank(line_end[-1]))
        line_end--;
    ret->value = str_range(value, line_end);
    return p;
}

/* The lines from P to END, the empty one included; BEGIN is where the head begins. */
static int parse_fields(const char *begin, const char *p, const char *end, struct http_field *fields, struct http_fields *ret,
                        struct noted *noted, struct h1_error *error)
{
    const char *last = end - 2; /* the empty line */
    unsigned n = 0;

    while (p < last) {
        if (n == H1_FIELDS_MAX)
            return refuse(error, 431, "too many header fields");
        p = parse_field(begin, p, end, &fields[n], error);
        if (!p)
            return ERR_PROTOCOL;
        note(noted, &fields[n++]);
    }
    if (p != last || p[0] != '\r' || p[1] != '\n')
        return refuse(error, 400, "bare CR or LF in the head");
    *ret = (struct http_fields){ .v = fields, .n = n, .cap = H1_FIELDS_MAX };
    return 0;
}

/* ---- what follows the head ---- */

#define LENGTH_DIGITS_MAX 19 /* the largest number of them that cannot overflow 64 bits */

static bool parse_length(struct str s, uint64_t *ret)
{
    uint64_t v = 0;

    if (s.n == 0 || s.n > LENGTH_DIGITS_MAX)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (!is_digit(s.p[i]))
            return false;
        v = v * 10 + (uint64_t)(s.p[i] - '0');
    }
    *ret = v;
    return true;
}

/* RFC 9112 6.3, of what requests and replies have in common; NONE when neither field came. */
static int frame_body(const struct noted *noted, unsigned minor, struct framing *ret, struct h1_error *error)
{
    *ret = (struct framing){ HTTP_BODY_NONE, 0 };
    if (noted->codings) {
        if (noted->lengths)
            return refuse(error, 400, "Content-Length together with Transfer-Encoding");
        if (minor == 0)
            return refuse(error, 400, "Transfer-Encoding in an HTTP/1.0 message");
        if (noted->codings == 1 && (str_eq(noted->coding, STR("chunked")) || str_eq_nocase(noted->coding, STR("chunked")))) {
            ret->body = HTTP_BODY_CHUNKED;
            return 0;
        }
        if (noted->coding.n == 0 || noted->codings > 1 || http_list_has(noted->coding, STR("chunked")))
            return refuse(error, 400, "Transfer-Encoding must be exactly one chunked");
        return refuse(error, 501, "transfer coding not supported: only chunked is");
    }
    if (noted->lengths) {
        if (noted->lengths > 1)
            return refuse(error, 400, "more than one Content-Length");
        if (!parse_length(noted->length, &ret->length))
            return refuse(error, 400, "malformed Content-Length");
        ret->body = HTTP_BODY_LENGTH;
    }
    return 0;
}

/* uri-host [ ":" port ] of RFC 3986 3.2: what may stand in a Host field. BEGIN as in scan.h. */
static bool is_host(const char *begin, struct str s)
{
    static const bool HOST_CHARS[256] = {
        ['0' ... '9'] = true, ['A' ... 'Z'] = true, ['a' ... 'z'] = true, ['-'] = true,  ['.'] = true, ['_'] = true, ['~'] = true,
        ['!'] = true,         ['$'] = true,         ['&'] = true,         ['\''] = true, ['('] = true, [')'] = true, ['*'] = true,
        ['+'] = true,         [';'] = true,         ['='] = true,         ['%'] = true,  ['['] = true, [']'] = true, [':'] = true,
    };

    if (s.n == 0 || s.p[0] == ':')
        return false;
    for (const char *at = scan_host(begin, s.p, s.p + s.n); at < s.p + s.n; at++)
        if (!HOST_CHARS[(unsigned char)*at])
            return false;
    return true;
}

static int check_host(const char *begin, const struct noted *noted, const struct request_line *line, struct h1_error *error)
{
    if (noted->hosts > 1)
        return refuse(error, 400, "more than one Host");
    if (noted->hosts == 0 && line->minor > 0)
        return refuse(error, 400, "Host is missing");
    if (noted->hosts && !is_host(begin, noted->host))
        return refuse(error, 400, "malformed Host");
    if (line->authority.n && !is_host(begin, line->authority))
        return refuse(error, 400, "malformed host in the request target");
    if (line->authority.n && noted->hosts && !str_eq_nocase(line->authority, noted->host))
        return refuse(error, 400, "Host differs from the request target");
    return 0;
}

/* RFC 9112 9.3. */
static bool stays_open(const struct noted *noted, unsigned minor)
{
    return !noted->close && (minor > 0 || noted->keep_alive);
}

int h1_parse_request(const char *p, size_t n, struct http_field *fields, struct http_head *ret, struct h1_error *error)
{
    const char *begin = p, *end = p + n;
    struct request_line line;
    struct noted noted = { 0 };
    struct framing framing;
    struct http_fields list;
    int r;

    if (n > H1_HEAD_MAX) {
        h1_head_overflow(p, H1_HEAD_MAX, error);
        return ERR_PROTOCOL;
    }
    p = parse_request_line(p, end, &line, error);
    if (!p)
        return ERR_PROTOCOL;
    r = parse_fields(begin, p, end, fields, &list, &noted, error);
    if (r < 0)
        return r;
    r = check_host(begin, &noted, &line, error);
    if (r < 0)
        return r;
    r = frame_body(&noted, line.minor, &framing, error);
    if (r < 0)
        return r;
    /* One by one: an initialiser would clear the whole struct first, a tenth of the time of a small head. */
    ret->method = line.method;
    ret->method_text = line.method_text;
    ret->target = line.target;
    ret->path = line.path;
    ret->query = line.query;
    ret->host = noted.hosts ? noted.host : line.authority;
    ret->expect_continue = noted.expect_continue && line.minor > 0 && framing.body != HTTP_BODY_NONE;
    ret->status = 0;
    ret->reason = STR_NONE;
    ret->minor = line.minor;
    ret->keep_alive = stays_open(&noted, line.minor);
    ret->body = framing.body;
    ret->length = framing.length;
    ret->fields = list;
    return 0;
}

/* RFC 9112 6.3: some replies never have a body, whatever their fields say. */
static bool is_bodiless(unsigned status, enum http_method request_method)
{
    return request_method == HTTP_HEAD || status < 200 || status == 204 || status == 304;
}

int h1_parse_reply(const char *p, size_t n, enum http_method request_method, struct http_field *fields, struct http_head *ret,
                   struct h1_error *error)
{
    const char *begin = p, *end = p + n;
    struct status_line line;
    struct noted noted = { 0 };
    struct framing framing;
    struct http_fields list;
    int r;

    if (n > H1_HEAD_MAX)
        return refuse(error, 502, "reply head too large");
    p = parse_status_line(p, end, &line, error);
    if (!p)
        return ERR_PROTOCOL;
    r = parse_fields(begin, p, end, fields, &list, &noted, error);
    if (r == 0)
        r = frame_body(&noted, line.minor, &framing, error);
    if (r < 0) {
        error->status = 502;
        return r;
    }
    if (is_bodiless(line.status, request_method))
        framing = (struct framing){ HTTP_BODY_NONE, 0 };
    else if (framing.body == HTTP_BODY_NONE)
        framing.body = HTTP_BODY_UNTIL_CLOSE;
    ret->method = request_method;
    ret->method_text = ret->target = ret->path = ret->query = ret->host = STR_NONE;
    ret->expect_continue = false;
    ret->status = line.status;
    ret->reason = line.reason;
    ret->minor = line.minor;
    ret->keep_alive = stays_open(&noted, line.minor) && framing.body != HTTP_BODY_UNTIL_CLOSE;
    ret->body = framing.body;
    ret->length = framing.length;
    ret->fields = list;
    return 0;
}
