#include "plugin/bridge.h"

/* How a function of the worlds looks: as a component's type, and flattened to core WebAssembly. */
struct shape {
    const char *name, *parameters, *result;
    unsigned words;  /* arguments of 32 bits */
    bool has_long;   /* behind them one of 64 bits, told in two words of 28 */
    unsigned worlds; /* which of the type texts it needs */
};

enum { WORLD_GATEWAY = 1, WORLD_STORAGE = 2 };

static const struct shape SHAPES[COMPONENT_INTERFACES] = {
    [COMPONENT_ON_REQUEST] = { "on-request", "(param \"req\" $request)", "$action", 12, true, WORLD_GATEWAY },
    [COMPONENT_ON_RESPONSE] = { "on-response", "(param \"resp\" $response)", "$action", 5, false, WORLD_GATEWAY },
    [COMPONENT_BEFORE] = { "before", "(param \"op\" $operation) (param \"context\" $contexts) (param \"payload\" string)",
                           "$before-result", 5, false, WORLD_STORAGE },
    [COMPONENT_AFTER] = { "after",
                          "(param \"op\" $operation) (param \"context\" $contexts) (param \"payload\" string) (param "
                          "\"result-json\" string) (param \"extra\" $columns)",
                          "$columns", 9, false, WORLD_STORAGE },
};

/* ---- types (spec wasm-plugins 3.1 and 4.1) ---- */

/* A named type and its definition. What it refers to stands above it. */
struct type_row {
    unsigned world;
    const char *name; /* NULL: without a name of its own, for use below */
    const char *handle, *definition;
};

static const struct type_row TYPES[] = {
    { WORLD_GATEWAY, "header", "$header", "(record (field \"name\" string) (field \"value\" string))" },
    { WORLD_GATEWAY, NULL, "$headers", "(list $header)" },
    { WORLD_GATEWAY, NULL, "$bytes", "(list u8)" },
    { WORLD_GATEWAY, NULL, "$names", "(list string)" },
    { WORLD_GATEWAY, NULL, "$maybe-bytes", "(option $bytes)" },
    { WORLD_GATEWAY, NULL, "$maybe-status", "(option u16)" },
    { WORLD_GATEWAY, "request", "$request",
      "(record (field \"method\" string) (field \"path\" string) (field \"query\" string) (field \"headers\" $headers) (field "
      "\"body\" $bytes) (field \"request-id\" string) (field \"now-epoch-ms\" u64))" },
    { WORLD_GATEWAY, "response", "$response",
      "(record (field \"status\" u16) (field \"headers\" $headers) (field \"body\" $bytes))" },
    { WORLD_GATEWAY, "modify-action", "$modify",
      "(record (field \"status\" $maybe-status) (field \"headers-set\" $headers) (field \"headers-add\" $headers) (field "
      "\"headers-remove\" $names) (field \"body-replace\" $maybe-bytes))" },
    { WORLD_GATEWAY, "action", "$action", "(variant (case \"continue\") (case \"reject\" u16) (case \"modify\" $modify))" },
    { WORLD_STORAGE, "context-entry", "$context", "(record (field \"key\" string) (field \"value\" string))" },
    { WORLD_STORAGE, "extra-column", "$column", "(record (field \"name\" string) (field \"value\" string))" },
    { WORLD_STORAGE, NULL, "$contexts", "(list $context)" },
    { WORLD_STORAGE, NULL, "$columns", "(list $column)" },
    { WORLD_STORAGE, "operation", "$operation",
      "(enum \"create-conversation\" \"get-conversation\" \"update-conversation\" \"delete-conversation\" \"create-item\" "
      "\"link-item\" \"link-items\" \"list-items\" \"get-item\" \"is-item-linked\" "
      "\"delete-item\" \"store-response\" \"get-response\" \"delete-response\" \"get-response-chain\" "
      "\"list-identifier-responses\" \"delete-identifier-responses\")" },
    { WORLD_STORAGE, "before-result", "$before-result", "(variant (case \"do-continue\" $columns) (case \"reject\" string))" },
};

static unsigned worlds_of(unsigned mask)
{
    unsigned worlds = 0;

    for (int i = 0; i < COMPONENT_INTERFACES; i++) {
        if (mask & 1u << i)
            worlds |= SHAPES[i].worlds;
    }
    return worlds;
}

void bridge_write_types(unsigned mask, struct buf *out)
{
    buf_puts(out, "(component\n");
    for (size_t i = 0; i < ARRAY_LEN(TYPES); i++) {
        const struct type_row *t = &TYPES[i];

        if (!(t->world & worlds_of(mask)))
            continue;
        if (t->name)
            buf_printf(out, "(type %s-plain %s) (export %s \"%s\" (type %s-plain))\n", t->handle, t->definition, t->handle, t->name,
                       t->handle);
        else
            buf_printf(out, "(type %s %s)\n", t->handle, t->definition);
    }
    buf_puts(out, ")\n");
}

/* The same types, imported as an instance that must have exactly these. */
static void write_imports(unsigned mask, struct buf *out)
{
    unsigned worlds = worlds_of(mask);

    buf_puts(out, "(import \"types\" (instance $types\n");
    for (size_t i = 0; i < ARRAY_LEN(TYPES); i++) {
        const struct type_row *t = &TYPES[i];

        if (!(t->world & worlds))
            continue;
        if (t->name)
            buf_printf(out, "(type %s-plain %s) (export \"%s\" (type %s (eq %s-plain)))\n", t->handle, t->definition, t->name,
                       t->handle, t->handle);
        else
            buf_printf(out, "(type %s %s)\n", t->handle, t->definition);
    }
    buf_puts(out, "))\n");
    for (size_t i = 0; i < ARRAY_LEN(TYPES); i++) {
        const struct type_row *t = &TYPES[i];

        if (!(t->world & worlds))
            continue;
        if (t->name)
            buf_printf(out, "(alias export $types \"%s\" (type %s))\n", t->name, t->handle);
        else
            buf_printf(out, "(type %s %s)\n", t->handle, t->definition);
    }
    for (int i = 0; i < COMPONENT_INTERFACES; i++) {
        if (mask & 1u << i)
            buf_printf(out, "(import \"%s\" (func $guest-%s %s (result %s)))\n", SHAPES[i].name, SHAPES[i].name,
                       SHAPES[i].parameters, SHAPES[i].result);
    }
}

/* ---- the core modules ---- */

/* The memory, and the allocator that the canonical ABI asks: a line that moves up. The newest piece grows and shrinks where it is, so the pieces of an image join without a gap. */
static const char MEMORY_TEXT[] =
    "(core module $base-module\n"
    "  (memory (export \"memory\") 1)\n"
    "  (global $top (export \"top\") (mut i32) (i32.const 128))\n"
    "  (func (export \"realloc\") (param $old i32) (param $old-n i32) (param $align i32) (param $n i32) (result i32)\n"
    "    (local $at i32) (local $end i32)\n"
    "    (if (i32.and (i32.ne (local.get $old) (i32.const 0)) (i32.eq (i32.add (local.get $old) (local.get $old-n)) (global.get "
    "$top)))\n"
    "      (then (local.set $at (local.get $old)))\n"
    "      (else (local.set $at (i32.and (i32.add (global.get $top) (i32.sub (local.get $align) (i32.const 1)))\n"
    "                                    (i32.sub (i32.const 0) (local.get $align))))))\n"
    "    (local.set $end (i32.add (local.get $at) (local.get $n)))\n"
    "    (if (i32.lt_u (local.get $end) (local.get $at)) (then (unreachable)))\n"
    "    (if (i64.gt_u (i64.extend_i32_u (local.get $end)) (i64.shl (i64.extend_i32_u (memory.size)) (i64.const 16)))\n"
    "      (then (if (i32.eq (memory.grow (i32.sub (i32.add (i32.shr_u (i32.sub (local.get $end) (i32.const 1)) (i32.const 16)) "
    "(i32.const 1))\n"
    "                                              (memory.size)))\n"
    "                        (i32.const -1))\n"
    "              (then (unreachable)))))\n"
    "    (if (i32.ne (local.get $at) (local.get $old))\n"
    "      (then (memory.copy (local.get $at) (local.get $old)\n"
    "        (select (local.get $old-n) (local.get $n) (i32.lt_u (local.get $old-n) (local.get $n))))))\n"
    "    (global.set $top (local.get $end))\n"
    "    (local.get $at)))\n"
    "(core instance $base (instantiate $base-module))\n";

/* decode: the words at the image's front, from four groups of 7 bits each to plain ones. piece: a (pointer, length) for the answer from AT on, at most BRIDGE_PIECE bytes. */
static const char CALLS_TEXT[] =
    "  (func $decode (local $at i32) (local $end i32) (local $x i32)\n"
    "    (local.set $at (i32.const 128)) (local.set $end (i32.const 132))\n"
    "    (loop $next\n"
    "      (local.set $x (i32.load (local.get $at)))\n"
    "      (i32.store (local.get $at)\n"
    "        (i32.or (i32.or (i32.and (local.get $x) (i32.const 0x7f)) (i32.and (i32.shr_u (local.get $x) (i32.const 1)) "
    "(i32.const 0x3f80)))\n"
    "                (i32.or (i32.and (i32.shr_u (local.get $x) (i32.const 2)) (i32.const 0x1fc000)) (i32.and (i32.shr_u "
    "(local.get $x) (i32.const 3)) (i32.const 0xfe00000)))))\n"
    "      (if (i32.eq (local.get $at) (i32.const 128))\n"
    "        (then (local.set $end (i32.add (i32.const 128) (i32.shl (i32.load (i32.const 128)) (i32.const 2))))))\n"
    "      (br_if $next (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 4))) (local.get $end)))))\n"
    "  (func $piece (param $at i32) (result i32) (local $n i32)\n"
    "    (local.set $n (i32.sub (global.get $top) (local.get $at)))\n"
    "    (if (i32.gt_u (local.get $n) (i32.const 32768)) (then (local.set $n (i32.const 32768))))\n"
    "    (i32.store (i32.const 0) (local.get $at)) (i32.store (i32.const 4) (local.get $n)) (i32.const 0))\n"
    "  (func (export \"put\") (param i32 i32))\n"
    "  (func (export \"get\") (param i32) (result i32) (call $piece (local.get 0)))\n";

_Static_assert(BRIDGE_PIECE == 32768 && BRIDGE_IMAGE == 128 && BRIDGE_RETURNED == 64 && BRIDGE_ANSWER == 60,
               "the numbers in the texts above and below");

static void write_core_type(const struct shape *s, struct buf *out)
{
    buf_puts(out, "(param");
    for (unsigned i = 0; i < s->words; i++)
        buf_puts(out, " i32");
    if (s->has_long)
        buf_puts(out, " i64");
    buf_puts(out, " i32)"); /* where the result goes */
}

/* Calls the guest with the image's words, and gives the first piece of its answer. */
static void write_call(const struct shape *s, struct buf *out)
{
    unsigned at = BRIDGE_IMAGE + 4;

    buf_printf(out,
               "  (func (export \"%s\") (result i32)\n    (call $decode) (global.set $top (i32.const 128))\n    (call $guest-%s",
               s->name, s->name);
    for (unsigned i = 0; i < s->words; i++, at += 4)
        buf_printf(out, " (i32.load (i32.const %u))", at);
    if (s->has_long)
        buf_printf(out,
                   " (i64.or (i64.extend_i32_u (i32.load (i32.const %u))) (i64.shl (i64.extend_i32_u (i32.load (i32.const %u))) "
                   "(i64.const %d)))",
                   at, at + 4, BRIDGE_WORD_BITS);
    buf_puts(out, " (i32.const 64))\n    (i32.store (i32.const 60) (global.get $top))\n    (call $piece (i32.const 60)))\n");
}

#define LIFT " (memory $base \"memory\") (realloc (func $base \"realloc\")) string-encoding="

void bridge_write_text(unsigned mask, struct buf *out)
{
    buf_puts(out, "(component\n");
    write_imports(mask, out);
    buf_put(out, str_of(MEMORY_TEXT));
    for (int i = 0; i < COMPONENT_INTERFACES; i++) {
        if (mask & 1u << i)
            buf_printf(out, "(core func $lowered-%s (canon lower (func $guest-%s)" LIFT "utf8))\n", SHAPES[i].name, SHAPES[i].name);
    }
    buf_puts(out, "(core module $calls-module\n  (import \"base\" \"memory\" (memory 1))\n  (import \"base\" \"top\" (global $top "
                  "(mut i32)))\n");
    for (int i = 0; i < COMPONENT_INTERFACES; i++) {
        if (!(mask & 1u << i))
            continue;
        buf_printf(out, "  (import \"guest\" \"%s\" (func $guest-%s ", SHAPES[i].name, SHAPES[i].name);
        write_core_type(&SHAPES[i], out);
        buf_puts(out, "))\n");
    }
    buf_put(out, str_of(CALLS_TEXT));
    for (int i = 0; i < COMPONENT_INTERFACES; i++) {
        if (mask & 1u << i)
            write_call(&SHAPES[i], out);
    }
    buf_puts(out, ")\n(core instance $calls (instantiate $calls-module (with \"base\" (instance $base)) (with \"guest\" (instance");
    for (int i = 0; i < COMPONENT_INTERFACES; i++) {
        if (mask & 1u << i)
            buf_printf(out, " (export \"%s\" (func $lowered-%s))", SHAPES[i].name, SHAPES[i].name);
    }
    buf_puts(out, "))))\n"
                  "(func (export \"put-text\") (param \"s\" string) (canon lift (core func $calls \"put\")" LIFT "utf8))\n"
                  "(func (export \"put-bytes\") (param \"s\" string) (canon lift (core func $calls \"put\")" LIFT "latin1+utf16))\n"
                  "(func (export \"get\") (param \"at\" u32) (result string) (canon lift (core func $calls \"get\")" LIFT
                  "latin1+utf16))\n");
    for (int i = 0; i < COMPONENT_INTERFACES; i++) {
        if (mask & 1u << i)
            buf_printf(out, "(func (export \"%s\") (result string) (canon lift (core func $calls \"%s\")" LIFT "latin1+utf16))\n",
                       SHAPES[i].name, SHAPES[i].name);
    }
    buf_puts(out, ")\n");
}

/* ---- the outer component ---- */

static void put_number(struct buf *out, uint32_t v)
{
    for (; v > 0x7f; v >>= 7)
        buf_put_char(out, (char)(v | 0x80));
    buf_put_char(out, (char)v);
}

static void put_name(struct buf *out, struct str s)
{
    put_number(out, (uint32_t)s.n);
    buf_put(out, s);
}

static void put_section(struct buf *out, char id, struct str contents)
{
    buf_put_char(out, id);
    put_name(out, contents);
}

/* The section that S holds, and S empty for the next one. */
static void end_section(struct buf *out, char id, struct buf *s)
{
    put_section(out, id, buf_str(s));
    if (s->failed)
        out->failed = true;
    buf_clear(s);
}

enum { SECTION_COMPONENT = 4, SECTION_INSTANCE = 5, SECTION_ALIAS = 6, SECTION_EXPORT = 11 };

static void put_sort(struct buf *out, enum component_sort sort)
{
    if (sort == COMPONENT_CORE_MODULE) {
        buf_put_char(out, 0);
        buf_put_char(out, 0x11);
    } else {
        buf_put_char(out, (char)sort);
    }
}

static void put_instantiate(struct buf *out, uint32_t component, size_t arguments)
{
    put_number(out, 1); /* one instance in this section */
    buf_put_char(out, 0);
    put_number(out, component);
    put_number(out, (uint32_t)arguments);
}

static void put_argument(struct buf *out, struct str name, enum component_sort sort, uint32_t number)
{
    put_name(out, name);
    put_sort(out, sort);
    put_number(out, number);
}

static void put_alias(struct buf *out, enum component_sort sort, uint32_t instance, struct str name)
{
    put_sort(out, sort);
    buf_put_char(out, 0);
    put_number(out, instance);
    put_name(out, name);
}

/* The interfaces of the user's instance, then the function of each. */
static void put_aliases(struct buf *s, unsigned mask, uint32_t user, uint32_t first)
{
    uint32_t n = (uint32_t)__builtin_popcount(mask);

    put_number(s, 2 * n);
    for (int i = 0; i < COMPONENT_INTERFACES; i++) {
        if (mask & 1u << i)
            put_alias(s, COMPONENT_INSTANCE, user, component_interface_name(i));
    }
    for (int i = 0; i < COMPONENT_INTERFACES; i++) {
        if (mask & 1u << i)
            put_alias(s, COMPONENT_FUNC, first++, component_function_name(i));
    }
}

void bridge_wrap(struct str user, const struct component *c, struct str types, struct str bridge, struct buf *out)
{
    static const char HEADER[8] = { 0, 'a', 's', 'm', 0x0d, 0, 1, 0 };
    uint32_t component = c->counts[COMPONENT_COMPONENT], instance = c->counts[COMPONENT_INSTANCE], func = c->counts[COMPONENT_FUNC];
    uint32_t n = (uint32_t)__builtin_popcount(c->interfaces);
    _cleanup_(buf_fini) struct buf s = { 0 };

    buf_put(out, (struct str){ HEADER, sizeof HEADER });
    for (size_t i = 0; i < c->front_n; i++)
        buf_put(out, c->front[i]);
    put_section(out, SECTION_COMPONENT, user);
    put_section(out, SECTION_COMPONENT, types);
    put_section(out, SECTION_COMPONENT, bridge);

    put_instantiate(&s, component, c->imports_n);
    for (size_t i = 0; i < c->imports_n; i++)
        put_argument(&s, c->imports[i].name, c->imports[i].sort, c->imports[i].number);
    end_section(out, SECTION_INSTANCE, &s); /* number `instance`: the user's */

    put_instantiate(&s, component + 1, 0);
    end_section(out, SECTION_INSTANCE, &s); /* instance + 1: the types */

    put_aliases(&s, c->interfaces, instance, instance + 2);
    end_section(out, SECTION_ALIAS, &s); /* instance + 2 and on: the user's interfaces */

    put_instantiate(&s, component + 2, n + 1);
    put_argument(&s, STR("types"), COMPONENT_INSTANCE, instance + 1);
    for (int i = 0; i < COMPONENT_INTERFACES; i++) {
        if (c->interfaces & 1u << i)
            put_argument(&s, component_function_name(i), COMPONENT_FUNC, func++);
    }
    end_section(out, SECTION_INSTANCE, &s); /* instance + 2 + n: the bridge */

    put_number(&s, 1);
    buf_put_char(&s, 0);
    put_argument(&s, STR(BRIDGE_INSTANCE), COMPONENT_INSTANCE, instance + 2 + n);
    buf_put_char(&s, 0);
    end_section(out, SECTION_EXPORT, &s);
}
