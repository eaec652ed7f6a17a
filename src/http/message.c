/* http/message.c -- methods, field names, field lists, status texts: the vocabulary that all wires share
 *
 * The tables behind the recognition of field names (field_id.h) are filled here. The order of the status texts is that of their frequency: the search is linear.
 */
#include "http/message.h"

#include "http/field_id.h"
#include "http/scan.h"

/* ---- bytes ---- */

#define T 1
const bool HTTP_TCHAR[256] = {
    ['!'] = T, ['#'] = T, ['$'] = T, ['%'] = T, ['&'] = T, ['\''] = T, ['*'] = T,         ['+'] = T,         ['-'] = T,
    ['.'] = T, ['^'] = T, ['_'] = T, ['`'] = T, ['|'] = T, ['~'] = T,  ['0' ... '9'] = T, ['A' ... 'Z'] = T, ['a' ... 'z'] = T,
};
#undef T

bool http_is_token(struct str s)
{
    return s.n > 0 && scan_token_end(s.p, s.p, s.p + s.n) == s.p + s.n;
}

bool http_is_field_value(struct str s)
{
    return s.n == 0 || scan_control(s.p, s.p, s.p + s.n) == s.p + s.n;
}

/* ---- methods ---- */

static const struct str METHODS[] = {
    [HTTP_GET] = STR_INIT("GET"),         [HTTP_HEAD] = STR_INIT("HEAD"),     [HTTP_POST] = STR_INIT("POST"),
    [HTTP_PUT] = STR_INIT("PUT"),         [HTTP_DELETE] = STR_INIT("DELETE"), [HTTP_PATCH] = STR_INIT("PATCH"),
    [HTTP_OPTIONS] = STR_INIT("OPTIONS"), [HTTP_OTHER] = STR_INIT("OTHER"),
};

struct str http_method_text(enum http_method m)
{
    return METHODS[m];
}

enum http_method http_method_of(struct str token)
{
    for (enum http_method m = HTTP_GET; m < HTTP_OTHER; m++)
        if (str_eq(token, METHODS[m]))
            return m;
    return HTTP_OTHER;
}

/* ---- field names ---- */

static const struct str FIELD_NAMES[HF_COUNT] = {
#define X(id, name) [id] = STR_INIT(name),
    HTTP_FIELD_LIST(X)
#undef X
};

_Static_assert(HF_COUNT < FIELD_SLOTS / 4, "the field table is too small");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "field_id.h takes the first letter from the lowest byte");

uint8_t http_field_slots[FIELD_SLOTS];         /* written before main() only */
struct field_words http_field_words[HF_COUNT]; /* likewise */

static uint64_t first_word(struct str name)
{
    uint64_t first = 0;

    memcpy(&first, name.p, name.n < sizeof first ? name.n : sizeof first);
    return first;
}

__attribute__((constructor)) static void fill_field_tables(void)
{
    for (unsigned id = 1; id < HF_COUNT; id++) {
        struct str name = FIELD_NAMES[id];
        struct field_words *w = &http_field_words[id];
        unsigned at;

        w->n = name.n;
        w->first = first_word(name);
        w->last = name.n > 8 ? field_load(name.p + name.n - 8) : 0;
        w->second = name.n > 16 ? field_load(name.p + 8) : 0;
        w->third = name.n > 24 ? field_load(name.p + 16) : 0;
        at = field_slot(w->first, name.n);
        while (http_field_slots[at])
            at = (at + 1) % FIELD_SLOTS;
        http_field_slots[at] = (uint8_t)id;
    }
}

enum http_field_id http_field_id(struct str name)
{
    uint64_t first;

    if (name.n < FIELD_NAME_MIN || name.n > FIELD_NAME_MAX || !http_is_token(name))
        return HF_UNKNOWN;
    first = field_lower(first_word(name));
    if (name.n < 8)
        first &= ((uint64_t)1 << 8 * name.n) - 1;
    return field_find(first, name.p, name.n);
}

struct str http_field_name(enum http_field_id id)
{
    return FIELD_NAMES[id];
}

bool http_is_hop_by_hop(enum http_field_id id)
{
    static const bool HOP[HF_COUNT] = {
        [HF_CONNECTION] = true,
        [HF_KEEP_ALIVE] = true,
        [HF_PROXY_AUTHENTICATE] = true,
        [HF_PROXY_AUTHORIZATION] = true,
        [HF_PROXY_CONNECTION] = true,
        [HF_TE] = true,
        [HF_TRAILER] = true,
        [HF_TRAILERS] = true,
        [HF_TRANSFER_ENCODING] = true,
        [HF_UPGRADE] = true,
        [HF_HOST] = true,
    };

    return HOP[id];
}

/* ---- lists of fields ---- */

const struct http_field *http_find(const struct http_fields *f, enum http_field_id id)
{
    for (unsigned i = 0; i < f->n; i++)
        if (f->v[i].id == id)
            return &f->v[i];
    return NULL;
}

const struct http_field *http_find_name(const struct http_fields *f, struct str name)
{
    for (unsigned i = 0; i < f->n; i++)
        if (str_eq_nocase(f->v[i].name, name))
            return &f->v[i];
    return NULL;
}

struct str http_value(const struct http_fields *f, enum http_field_id id)
{
    const struct http_field *field = http_find(f, id);

    return field ? field->value : STR_NONE;
}

#define FIELDS_FIRST 16 /* room of the first array: most replies add fewer */

static void add(struct http_fields *f, struct arena *arena, struct http_field field)
{
    if (f->n == f->cap) {
        unsigned cap = f->cap ? f->cap * 2 : FIELDS_FIRST;
        struct http_field *v = arena_array(arena, cap, sizeof *v);

        if (!v)
            return;
        if (f->n)
            memcpy(v, f->v, f->n * sizeof *v);
        f->v = v;
        f->cap = cap;
    }
    f->v[f->n++] = field;
}

void http_add(struct http_fields *f, struct arena *arena, enum http_field_id id, struct str value)
{
    add(f, arena, (struct http_field){ .name = FIELD_NAMES[id], .value = value, .id = id });
}

void http_add_name(struct http_fields *f, struct arena *arena, struct str lowercase_name, struct str value)
{
    add(f, arena, (struct http_field){ .name = lowercase_name, .value = value, .id = http_field_id(lowercase_name) });
}

bool http_list_has(struct str list, struct str token)
{
    while (list.n) {
        struct str item;

        str_split(list, ',', &item, &list);
        if (str_eq_nocase(str_trim(item), token))
            return true;
    }
    return false;
}

/* ---- status texts (RFC 9110 15, RFC 6585, the IANA registry) ---- */

const char *http_reason(unsigned status)
{
    static const struct {
        unsigned status;
        const char *text;
    } REASONS[] = {
        { 200, "OK" },
        { 400, "Bad Request" },
        { 404, "Not Found" },
        { 429, "Too Many Requests" },
        { 500, "Internal Server Error" },
        { 503, "Service Unavailable" },
        { 100, "Continue" },
        { 101, "Switching Protocols" },
        { 102, "Processing" },
        { 103, "Early Hints" },
        { 201, "Created" },
        { 202, "Accepted" },
        { 203, "Non-Authoritative Information" },
        { 204, "No Content" },
        { 205, "Reset Content" },
        { 206, "Partial Content" },
        { 207, "Multi-Status" },
        { 208, "Already Reported" },
        { 226, "IM Used" },
        { 300, "Multiple Choices" },
        { 301, "Moved Permanently" },
        { 302, "Found" },
        { 303, "See Other" },
        { 304, "Not Modified" },
        { 305, "Use Proxy" },
        { 307, "Temporary Redirect" },
        { 308, "Permanent Redirect" },
        { 401, "Unauthorized" },
        { 402, "Payment Required" },
        { 403, "Forbidden" },
        { 405, "Method Not Allowed" },
        { 406, "Not Acceptable" },
        { 407, "Proxy Authentication Required" },
        { 408, "Request Timeout" },
        { 409, "Conflict" },
        { 410, "Gone" },
        { 411, "Length Required" },
        { 412, "Precondition Failed" },
        { 413, "Payload Too Large" },
        { 414, "URI Too Long" },
        { 415, "Unsupported Media Type" },
        { 416, "Range Not Satisfiable" },
        { 417, "Expectation Failed" },
        { 418, "I'm a teapot" },
        { 421, "Misdirected Request" },
        { 422, "Unprocessable Entity" },
        { 423, "Locked" },
        { 424, "Failed Dependency" },
        { 425, "Too Early" },
        { 426, "Upgrade Required" },
        { 428, "Precondition Required" },
        { 431, "Request Header Fields Too Large" },
        { 451, "Unavailable For Legal Reasons" },
        { 501, "Not Implemented" },
        { 502, "Bad Gateway" },
        { 504, "Gateway Timeout" },
        { 505, "HTTP Version Not Supported" },
        { 506, "Variant Also Negotiates" },
        { 507, "Insufficient Storage" },
        { 508, "Loop Detected" },
        { 510, "Not Extended" },
        { 511, "Network Authentication Required" },
    };

    for (size_t i = 0; i < ARRAY_LEN(REASONS); i++)
        if (REASONS[i].status == status)
            return REASONS[i].text;
    return "Unknown Status Code";
}
