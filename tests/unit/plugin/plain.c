#include "plugin/plain.h"

#include "plugin/guest.h"
#include "plugin/test_arena.h"

static bool find(struct str bytes, struct plain *ret)
{
    struct component c;

    return component_scan(bytes, &arena, &c, NULL) == 0 && plain_find(bytes, c.interfaces, &arena, ret);
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
    assert_int_equal(p.initialize.n, 0);
    assert_false(p.asks);
}

static void what_exports_one_interface_or_another_world_is_plain_as_well(void **state)
{
    static const char *const NAMES[] = { "onlyreq", "onlyresp", "hook_cols", "readheader", "bodyecho", "spin", "loop", "trap" };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++)
        if (!is_plain(NAMES[i]))
            fail_msg("%s", NAMES[i]);
}

/* Of what stands beside it nothing runs before it asks. */
static void a_guest_that_imports_functions_is_plain_and_asks(void **state)
{
    static const char *const NAMES[] = { "printer", "sleeper", "slow", "sometimes", "missing_import" };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
        _cleanup_(buf_fini) struct buf bytes = { 0 };
        struct plain p;

        read_component(NAMES[i], &bytes);
        if (!find(buf_str(&bytes), &p) || !p.asks)
            fail_msg("%s", NAMES[i]);
        assert_str(p.memory, "memory");
    }
    assert_false(is_plain("empty"));
}

static void an_initialiser_that_the_component_calls_is_found(void **state)
{
    _cleanup_(buf_fini) struct buf bytes = { 0 };
    struct plain p;

    (void)state;
    read_component("initialized", &bytes);
    assert_true(find(buf_str(&bytes), &p));
    assert_str(p.initialize, "_initialize");
    assert_false(p.asks);
}

/* The section of ID of a core module inside of the bytes, from its id byte on; the module's sections stand one behind the other. */
static char *core_section(struct buf *bytes, struct str module, uint8_t id)
{
    size_t start = (size_t)(module.p - bytes->p);
    struct wasm_reader r = wasm_reader_of(module);

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
    *core_section(&bytes, p.module, 6) = 8; /* its globals: as if they were one */
    assert_false(find(buf_str(&bytes), &p));
}

/* The core module of number N in the component. */
static struct str core_module(struct buf *bytes, unsigned n)
{
    struct wasm_reader r = wasm_reader_of(buf_str(bytes));

    for (r.at += WASM_HEADER_BYTES; r.at < r.end;) {
        uint8_t id = wasm_read_byte(&r);
        struct str section = wasm_read_bytes(&r);

        if (id == WASM_SECTION_CORE_MODULE && n-- == 0)
            return section;
    }
    fail_msg("no core module");
    return STR_NONE;
}

/* One that writes into the guest's memory, or runs, when it is instantiated. */
static void a_guest_whose_neighbours_do_something_is_not_plain(void **state)
{
    enum { TABLES = 4, ELEMENTS = 9, DATA = 11, START = 8, SHIM = 1, FIXUP = 2 };
    _cleanup_(buf_fini) struct buf bytes = { 0 };
    struct plain p;
    char *id;

    (void)state;
    read_component("sometimes", &bytes);
    assert_true(find(buf_str(&bytes), &p));
    id = core_section(&bytes, core_module(&bytes, FIXUP), ELEMENTS);
    *id = DATA;
    assert_false(find(buf_str(&bytes), &p));
    *id = ELEMENTS;
    assert_true(find(buf_str(&bytes), &p));
    *core_section(&bytes, core_module(&bytes, SHIM), TABLES) = START;
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
        RULE(a_guest_that_imports_functions_is_plain_and_asks),
        RULE(an_initialiser_that_the_component_calls_is_found),
        RULE(a_module_with_a_start_function_is_not_plain),
        RULE(a_guest_whose_neighbours_do_something_is_not_plain),
        RULE(damaged_bytes_lead_nowhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
