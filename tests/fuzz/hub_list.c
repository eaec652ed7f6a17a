/* tests/fuzz/hub_list.c -- any text as the hub's description of a model: what was taken stays below its folder, is wanted, and stands there once */
#include <stdlib.h>

#include "fetch/hub_list.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool holds)
{
    if (!holds)
        abort();
}

static void check_source(struct str text)
{
    struct hub_source s;

    if (hub_source_parse(text, &s, NULL) < 0)
        return;
    expect(s.id.n > 0 && s.id.n <= 96 && str_find(s.id, STR("..")) == STR_NPOS && s.id.p[0] != '/');
    expect(hub_name_is_safe(s.id) && hub_name_is_safe(s.revision));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = { (const char *)data, size };
    struct hub_list l = { 0 };
    struct err err = { 0 };
    struct arena arena;
    struct str folder;

    arena_init(&arena, NULL, 16u << 20);
    check_source(text);
    if (hub_list_parse(text, &arena, &l, &err) < 0) {
        expect(l.names == NULL && err.message[0] != 0);
        arena_fini(&arena);
        return 0;
    }
    expect(l.n <= HUB_FILES_MAX && l.n <= l.files);
    expect(l.commit[0] == 0 || hub_is_commit(str_of(l.commit)));
    for (size_t i = 0; i < l.n; i++) {
        struct str name = l.names[i];
        struct hub_list before = { .names = l.names, .n = i };

        expect(hub_want_of(name) != HUB_UNWANTED && hub_name_is_safe(name) && name.p[0] != '/');
        expect(memchr(name.p, 0, name.n) == NULL && memchr(name.p, '\\', name.n) == NULL);
        expect(!hub_list_has(&before, name) && hub_list_has(&l, name));
    }
    folder = hub_list_folder(&l);
    expect(folder.n == 0 || hub_name_is_safe(folder));
    expect(folder.n == 0 || hub_list_has_tokenizer(&l));
    arena_fini(&arena);
    return 0;
}
