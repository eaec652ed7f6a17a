/* bench/http_rivals.h -- between http_parse.c and http_rivals.c */
#pragma once

#include <stddef.h>

#define CHUNKED_MAX 8192 /* bytes of a chunked input */

extern size_t sink; /* what the parsers found; decides the exit status, so that nothing is optimised away */

const char *node_version(void);
void node_request(const char *p, size_t n);
void node_reply(const char *p, size_t n);
void node_chunked(const char *p, size_t n); /* behind a head that was parsed before */
void pico_request(const char *p, size_t n);
void pico_reply(const char *p, size_t n);
void pico_chunked(const char *p, size_t n);
