#include "plugin/plain.h"

#include "plugin/guest.h"
#include "plugin/test_arena.h"

static bool find(struct str bytes, struct plain *ret)
{
    struct component c;

    return component_scan(bytes, &arena, &c, NULL) == 0 && plain_find(bytes, c.interfaces, ret);
}

static bool is_plain(const char *name)
{
    _cleanup_(buf_fini) struct buf bytes = { 0 };
    struct plain p;

    read_component(name, &bytes);
    return find(buf_str(&bytes), &p);
}

static void the_core_module_of_a_plain_component_is_found(void **state)
{
    _cleanup_(buf_fini) struct buf bytes = { 0 };
    struct plain p;

    (void)state;
    read_component("stamp", &bytes);
    assert_true(find(buf_str(&bytes), &p));
    assert_memory_equal(p.module.p, "\0asm\1\0\0\0", 8);
    assert_str(p.memory, "memory");
    assert_str(p.realloc, "cabi_realloc");
    assert_str(p.functions[COMPONENT_ON_REQUEST], "smg:gateway/middleware-on-request#on-request");
    assert_str(p.functions[COMPONENT_ON_RESPONSE], "smg:gateway/middleware-on-response#on-response");
    assert_int_equal(p.functions[COMPONENT_BEFORE].n, 0);
}

static void what_exports_one_interface_or_another_world_is_plain_as_well(void **state)
{
    static const char *const NAMES[] = { "onlyreq", "onlyresp", "hook_cols", "readheader", "bodyecho", "spin", "loop", "trap" };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++)
        if (!is_plain(NAMES[i]))
            fail_msg("%s", NAMES[i]);
}

static void guests_that_import_something_are_not_plain(void **state)
{
    static const char *const NAMES[] = { "printer", "sleeper", "missing_import", "empty" };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++)
        if (is_plain(NAMES[i]))
            fail_msg("%s", NAMES[i]);
}

/* The section of ID of the core module, from its id byte on; the module's sections stand one behind the other. */
static char *core_section(struct buf *bytes, const struct plain *p, uint8_t id)
{
    size_t start = (size_t)(p->module.p - bytes->p);
    struct wasm_reader r = wasm_reader_of(p->module);

    for (r.at += WASM_HEADER_BYTES; r.at < r.end;) {
        char *at = bytes->p + start + (r.at - r.start);

        if (wasm_read_byte(&r) == id)
            return at;
        (void)wasm_read_bytes(&r);
    }
    fail_msg("no section %u", id);
    return NULL;
}

/* A start function runs when the module is instantiated, where nobody looks at the clock of a loop. */
static void a_module_with_a_start_function_is_not_plain(void **state)
{
    _cleanup_(buf_fini) struct buf bytes = { 0 };
    struct plain p;

    (void)state;
    read_component("stamp", &bytes);
    assert_true(find(buf_str(&bytes), &p));
    *core_section(&bytes, &p, 6) = 8; /* its globals: as if they were one */
    assert_false(find(buf_str(&bytes), &p));
}

/* Whatever a byte becomes: what is found is inside of the bytes. */
static void damaged_bytes_lead_nowhere(void **state)
{
    _cleanup_(buf_fini) struct buf bytes = { 0 };
    struct plain p;
    const char *end;

    (void)state;
    read_component("onlyreq", &bytes);
    end = bytes.p + bytes.n;
    for (size_t i = 8; i < bytes.n; i++) {
        char was = bytes.p[i];

        for (unsigned v = 0; v < 256; v += 5) {
            bytes.p[i] = (char)v;
            if (find(buf_str(&bytes), &p))
                assert_true(p.module.p >= bytes.p && p.module.p + p.module.n <= end && p.realloc.p > bytes.p && p.realloc.p < end &&
                            p.functions[COMPONENT_ON_REQUEST].p < end);
            arena_fini(&arena);
        }
        bytes.p[i] = was;
        (void)find(str_first(buf_str(&bytes), i), &p);
        arena_fini(&arena);
    }
}

#define RULE(name) cmocka_unit_test_setup_teardown(name, fresh_arena, drop_arena)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(the_core_module_of_a_plain_component_is_found),
        RULE(what_exports_one_interface_or_another_world_is_plain_as_well),
        RULE(guests_that_import_something_are_not_plain),
        RULE(a_module_with_a_start_function_is_not_plain),
        RULE(damaged_bytes_lead_nowhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
