/* json_rivals.h -- the libraries that the JSON reader is measured against, behind one signature each */
#pragma once

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* simdjson's DOM parser, kept and reused between calls. TEXT must have rival_simdjson_padding() readable bytes behind it. False = refused. */
int rival_simdjson(const char *text, size_t n);
size_t rival_simdjson_padding(void);
const char *rival_simdjson_name(void); /* of the implementation that it chose for this processor */

int rival_jansson(const char *text, size_t n);

#ifdef __cplusplus
}
#endif
