/* tests/fuzz/splice.c -- setting members of a text: what was an object is one after it, has the members that were asked for, and the rest as before */
#include <stdlib.h>

#include "dispatch/splice.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct splice SET[] = {
    { STR_INIT("stream"), STR_INIT("false"), SPLICE_ALWAYS },
    { STR_INIT("bootstrap_room"), STR_INIT("[1,2]"), SPLICE_ALWAYS },
    { STR_INIT("n"), STR_INIT("1"), SPLICE_IF_THERE },
};

static void expect(bool holds)
{
    if (!holds)
        abort();
}

static bool is_set(struct json key)
{
    for (size_t i = 0; i < ARRAY_LEN(SET); i++)
        if (json_str_eq(key, SET[i].name))
            return true;
    return false;
}

/* Every member of BEFORE that was not set stands in AFTER, its bytes unchanged, in the same order. */
static void compare(struct json before, struct json after)
{
    struct json_iter a = json_iter(before), b = json_iter(after);

    while (json_next(&a)) {
        if (is_set(a.key))
            continue;
        do
            expect(json_next(&b));
        while (is_set(b.key));
        expect(str_eq(json_raw(a.key), json_raw(b.key)));
        expect(str_eq(json_raw(a.value), json_raw(b.value)));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = { (const char *)data, size };
    struct json_doc before, after;
    struct arena arena;
    struct buf out = { 0 };
    bool object;

    arena_init(&arena, NULL, 0);
    object = json_parse(text, &arena, &before, NULL) == 0 && json_is(json_root(&before), JSON_OBJECT);
    expect(splice_members(text, SET, ARRAY_LEN(SET), &arena, &out) == (object ? 0 : ERR_INVALID));
    if (object) {
        struct json root;

        expect(json_parse(buf_str(&out), &arena, &after, NULL) == 0);
        root = json_root(&after);
        expect(str_eq(json_raw(json_get(root, SET[0].name)), SET[0].value));
        expect(str_eq(json_raw(json_get(root, SET[1].name)), SET[1].value));
        expect(json_exists(json_get(root, SET[2].name)) == json_exists(json_get(json_root(&before), SET[2].name)));
        compare(json_root(&before), root);
    }
    buf_fini(&out);
    arena_fini(&arena);
    return 0;
}
