/* config/yaml.h -- configuration files in YAML or JSON, read as JSON documents
 *
 *   text --yaml_to_json--> JSON text --json_parse--> struct json_doc --json_shape_read--> a struct of the reader's own
 *
 * So everything that reads JSON (json_get, json_shape) reads YAML, too. A value stands on the same line of the JSON text as of the YAML text, and almost always at the same column:
 * positions that json_shape puts into its messages are the file's.
 *
 * What is understood: YAML as libyaml parses it, scalars by the core schema of YAML 1.2: true, false, null, ~ and nothing, decimal, 0x and 0o integers, decimal fractions. The
 * rest is text; so are numbers with a leading zero ("007"), and yes, no, on and off. Quoted scalars are text. !!str and its like are honoured. Keys are taken as text.
 * What is refused, with line and column: aliases (a few bytes could stand for gigabytes), keys that are lists or maps, a key twice in a map, .inf and .nan (JSON has no such
 * numbers), tags of one's own, a second document. An empty text is null.
 * Bounds: YAML_TEXT_MAX bytes, YAML_DEPTH_MAX levels; time and memory grow with the length of the text.
 * Blocking only in yaml_read_file: at the start, or on the pool. No threads, no globals. The text of a file is configuration: messages may show a key of a map, never a value.
 */
#pragma once

#include "json/json.h"

#define YAML_TEXT_MAX  (4u << 20)
#define YAML_DEPTH_MAX 64

/* Appends TEXT, as JSON, to *OUT. 0; ERR_SYNTAX ("line 3, column 5: ..."); ERR_LIMIT; ERR_UNSUPPORTED; ERR_NOMEM. */
int yaml_to_json(struct str text, struct buf *out, struct err *err) _must_check_;

/* TEXT, YAML or JSON, as a document in ARENA, which is independent of TEXT. Failures as above. */
int yaml_parse(struct str text, struct arena *arena, struct json_doc *ret, struct err *err) _must_check_;

/* The file PATH; what file_read and yaml_parse say, the path in front. */
int yaml_read_file(const char *path, struct arena *arena, struct json_doc *ret, struct err *err) _must_check_;
