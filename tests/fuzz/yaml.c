/* yaml.c -- any bytes as a configuration file
 *
 * Oracles: what is written is JSON; it is no longer than a small multiple of the text; read once more, as YAML that happens to be JSON, it means the same; a refusal says why, in
 * one line.
 */
#include <stdlib.h>

#include "config/yaml.h"
#include "json/json_write.h"

#define FUZZ_ASSERT(x) \
    do {               \
        if (!(x))      \
            abort();   \
    } while (0)

/* Structure and strings of two documents; numbers may be written differently. */
static bool same(struct json a, struct json b, struct arena *arena)
{
    struct json_iter i, j;

    if (json_node(a)->type != json_node(b)->type || json_count(a) != json_count(b))
        return false;
    if (json_is(a, JSON_STRING))
        return str_eq(json_str(a, arena), json_str(b, arena));
    i = json_iter(a);
    j = json_iter(b);
    if (!json_is(a, JSON_ARRAY) && !json_is(a, JSON_OBJECT))
        return true;
    while (json_next(&i)) {
        FUZZ_ASSERT(json_next(&j));
        if (i.object && !str_eq(json_str(i.key, arena), json_str(j.key, arena)))
            return false;
        if (!same(i.value, j.value, arena))
            return false;
    }
    return true;
}

/* JSON lets U+0085, U+2028 and U+2029 stand in a string as they are; libyaml, which reads YAML 1.1, folds them as line breaks. Both read their escapes alike. */
static void escape_line_breaks(struct str json, struct buf *out)
{
    static const struct {
        struct str raw, escaped;
    } BREAKS[] = { { STR_INIT("\xc2\x85"), STR_INIT("\\u0085") },
                   { STR_INIT("\xe2\x80\xa8"), STR_INIT("\\u2028") },
                   { STR_INIT("\xe2\x80\xa9"), STR_INIT("\\u2029") } };
    size_t i;

    while (json.n) {
        for (i = 0; i < ARRAY_LEN(BREAKS) && !str_has_prefix(json, BREAKS[i].raw); i++)
            ;
        buf_put(out, i < ARRAY_LEN(BREAKS) ? BREAKS[i].escaped : str_first(json, 1));
        json = str_skip(json, i < ARRAY_LEN(BREAKS) ? BREAKS[i].raw.n : 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = { (const char *)data, size };
    struct buf json = { 0 }, escaped = { 0 }, again = { 0 };
    struct err err = { 0 };
    struct json_doc first, second;
    struct arena arena;

    arena_init(&arena, NULL, 0);
    if (yaml_to_json(text, &json, &err) < 0) {
        FUZZ_ASSERT(err.message[0]);
    } else {
        FUZZ_ASSERT(json.n <= 8 * size + 8);
        FUZZ_ASSERT(json_parse(buf_str(&json), &arena, &first, NULL) == 0);
        escape_line_breaks(buf_str(&json), &escaped);
        if (yaml_to_json(buf_str(&escaped), &again, NULL) ==
            0) { /* YAML has no surrogate pairs and bounds the length of keys in braces */
            FUZZ_ASSERT(json_parse(buf_str(&again), &arena, &second, NULL) == 0);
            FUZZ_ASSERT(same(json_root(&first), json_root(&second), &arena));
        }
    }
    if (yaml_parse(text, &arena, &second, NULL) == 0)
        FUZZ_ASSERT(second.n > 0);
    arena_fini(&arena);
    buf_fini(&json);
    buf_fini(&escaped);
    buf_fini(&again);
    return 0;
}
