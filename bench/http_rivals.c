/* bench/http_rivals.c -- the public parsers that http_parse is measured against; apart, because their names collide with ours */
#include "http_rivals.h"

#include <http_parser.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"

#define RIVAL_CAP 64

/* ---- http_parser: callbacks ---- */

struct found {
    struct str names[RIVAL_CAP], values[RIVAL_CAP], target;
    size_t names_n, values_n, bytes;
};

static int on_url(http_parser *parser, const char *p, size_t n)
{
    ((struct found *)parser->data)->target = (struct str){ p, n };
    return 0;
}

static int on_name(http_parser *parser, const char *p, size_t n)
{
    struct found *f = parser->data;

    f->names[f->names_n++] = (struct str){ p, n };
    return 0;
}

static int on_value(http_parser *parser, const char *p, size_t n)
{
    struct found *f = parser->data;

    f->values[f->values_n++] = (struct str){ p, n };
    return 0;
}

static int on_body(http_parser *parser, const char *p, size_t n)
{
    ((struct found *)parser->data)->bytes += n;
    return 0;
}

static int on_headers_complete(http_parser *parser)
{
    return 0;
}

static const http_parser_settings SETTINGS = { .on_url = on_url,
                                               .on_header_field = on_name,
                                               .on_header_value = on_value,
                                               .on_body = on_body,
                                               .on_headers_complete = on_headers_complete };

static void node(enum http_parser_type type, const char *p, size_t n)
{
    struct found f;
    http_parser parser;

    f.names_n = f.values_n = f.bytes = 0;
    f.target.n = 0;
    http_parser_init(&parser, type);
    parser.data = &f;
    if (http_parser_execute(&parser, &SETTINGS, p, n) != n)
        abort();
    sink += f.names_n + f.bytes;
}

void node_request(const char *p, size_t n)
{
    node(HTTP_REQUEST, p, n);
}

void node_reply(const char *p, size_t n)
{
    node(HTTP_RESPONSE, p, n);
}

void node_chunked(const char *p, size_t n)
{
    static const char HEAD[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    static http_parser ready;
    struct found f;
    http_parser parser;

    f.names_n = f.values_n = f.bytes = 0;
    if (ready.data == NULL) { /* the head is not part of this row */
        http_parser_init(&ready, HTTP_RESPONSE);
        ready.data = &f;
        if (http_parser_execute(&ready, &SETTINGS, HEAD, sizeof HEAD - 1) != sizeof HEAD - 1)
            abort();
    }
    parser = ready;
    parser.data = &f;
    f.bytes = 0;
    if (http_parser_execute(&parser, &SETTINGS, p, n) != n)
        abort();
    sink += f.bytes;
}

const char *node_version(void)
{
    static char text[32];

    snprintf(text, sizeof text, "%lu.%lu", http_parser_version() >> 16, http_parser_version() >> 8 & 255);
    return text;
}

/* ---- picohttpparser: one call ---- */

/* picohttpparser's interface; the distribution ships it inside libh2o-evloop, without a header. */
struct phr_header {
    const char *name;
    size_t name_len;
    const char *value;
    size_t value_len;
};
struct phr_chunked_decoder {
    size_t bytes_left_in_chunk;
    char consume_trailer, hex_count, state;
};
int phr_parse_request(const char *buf, size_t len, const char **method, size_t *method_len, const char **path, size_t *path_len,
                      int *minor, struct phr_header *headers, size_t *num_headers, size_t last_len);
int phr_parse_response(const char *buf, size_t len, int *minor, int *status, const char **msg, size_t *msg_len,
                       struct phr_header *headers, size_t *num_headers, size_t last_len);
ssize_t phr_decode_chunked(struct phr_chunked_decoder *decoder, char *buf, size_t *bufsz);

/* What http_parser and ours have done by now and every server has to do before it can go on: find the fields that decide about host, body and connection. */
static size_t find_framing(const struct phr_header *fields, size_t n)
{
    static const struct {
        const char *name;
        size_t n;
    } WANTED[] = { { "host", 4 },        { "content-length", 14 }, { "transfer-encoding", 17 },
                   { "connection", 10 }, { "expect", 6 },          { "upgrade", 7 } };
    size_t found = 0;

    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < sizeof WANTED / sizeof WANTED[0]; k++)
            if (fields[i].name_len == WANTED[k].n && strncasecmp(fields[i].name, WANTED[k].name, WANTED[k].n) == 0)
                found += fields[i].value_len;
    return found;
}

void pico_request(const char *p, size_t n)
{
    struct phr_header fields[RIVAL_CAP];
    size_t fields_n = RIVAL_CAP, method_n, target_n;
    const char *method, *target;
    int minor;

    if (phr_parse_request(p, n, &method, &method_n, &target, &target_n, &minor, fields, &fields_n, 0) != (int)n)
        abort();
    sink += fields_n + target_n + find_framing(fields, fields_n);
}

void pico_reply(const char *p, size_t n)
{
    struct phr_header fields[RIVAL_CAP];
    size_t fields_n = RIVAL_CAP, reason_n;
    const char *reason;
    int minor, status;

    if (phr_parse_response(p, n, &minor, &status, &reason, &reason_n, fields, &fields_n, 0) != (int)n)
        abort();
    sink += fields_n + (size_t)status + find_framing(fields, fields_n);
}

/* It decodes in place, so it needs a fresh copy each time; the copy is small beside the work and is counted for the others' benefit in no row. */
void pico_chunked(const char *p, size_t n)
{
    char copy[CHUNKED_MAX];
    struct phr_chunked_decoder decoder = { .consume_trailer = 1 };

    memcpy(copy, p, n);
    if (phr_decode_chunked(&decoder, copy, &n) != 0)
        abort();
    sink += n;
}
