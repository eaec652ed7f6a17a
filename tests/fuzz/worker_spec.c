/* worker_spec.c -- whatever a client sends as a worker's description or as a change of one: read or refused; what was read is written and read back the same
 *
 * Input: the description, a zero byte, the change.
 */
#include <assert.h>
#include <stdlib.h>

#include "worker/registry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct str write_spec(const struct worker_spec *s, struct arena *arena)
{
    struct buf out = { 0 };
    struct json_writer w;
    struct str text;

    json_begin(&w, &out);
    worker_spec_write(&w, s);
    text = arena_str(arena, buf_str(&out));
    buf_fini(&out);
    return text;
}

static bool read_spec(struct str text, struct arena *arena, struct worker_spec *ret)
{
    struct json_doc doc;
    struct err err;

    return json_parse(text, arena, &doc, NULL) == 0 && worker_spec_read(&doc, arena, ret, &err) == 0;
}

/* What the store keeps must come back: written, read and written again it is the same text. */
static void check_kept(const struct worker_spec *s, struct arena *arena)
{
    struct str once = write_spec(s, arena), twice;
    struct worker_spec again;

    if (worker_spec_check(s, NULL) < 0)
        return; /* refused at the door, infinities among them */
    if (!read_spec(once, arena, &again))
        abort();
    twice = write_spec(&again, arena);
    if (!str_eq(once, twice))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct str text = { (const char *)data, n }, first = text, second = STR_NONE;
    struct worker_spec spec, changed;
    struct worker_patch patch;
    struct json_doc doc;
    struct arena arena;
    struct err err;

    (void)str_split(text, 0, &first, &second);
    arena_init(&arena, NULL, 0);
    if (read_spec(first, &arena, &spec)) {
        check_kept(&spec, &arena);
        if (json_parse(second, &arena, &doc, NULL) == 0 && worker_patch_read(&doc, &arena, &patch, &err) == 0 &&
            worker_patch_check(&patch, &err) == 0) {
            if (worker_patch_apply(&patch, &spec, &arena, &changed) < 0)
                abort();
            check_kept(&changed, &arena);
        }
    }
    arena_fini(&arena);
    return 0;
}
