/* json/json_schema.h -- a table of members as JSON Schema (draft 2020-12, the dialect of OpenAPI 3.1)
 *
 * What json_shape_read accepts and what the published document says come from the same rows, so they cannot differ.
 */
#pragma once

#include "json/json_shape.h"
#include "json/json_write.h"

/* The schema of SHAPE as the next value of W, nested shapes written in place. Members that are not named are allowed, as json_shape_read ignores them. */
void json_schema_write(struct json_writer *w, const struct json_shape *shape);
