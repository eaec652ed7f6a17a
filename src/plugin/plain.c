#include "plugin/plain.h"

#define ENTRIES_MAX 64 /* of each kind; a component with more is not called plain */
#define PASSED_MAX  4  /* functions that a nested component passes on */
#define NOTHING     UINT32_MAX

enum { CANON_LIFT = 0, OPTION_UTF8 = 0, OPTION_MEMORY = 3, OPTION_REALLOC = 4, OPTION_POST_RETURN = 5 };

/* A core function as the component shows it; KNOWN: we know which. */
struct lifted {
    bool known;
    struct str function, memory, realloc;
};

/* Functions by name: of an instance, numbers among all; of a nested component, which of its imports each export is. */
struct passed {
    struct str name, import;
    uint32_t func;
};
struct group {
    struct passed v[PASSED_MAX];
    size_t n;
};

/* What has been seen so far, each in the order of its numbers. */
struct plain_scan {
    struct wasm_reader in;
    struct str module;
    bool instantiated;
    struct str core_funcs[ENTRIES_MAX], core_memories[ENTRIES_MAX];
    struct lifted funcs[ENTRIES_MAX];
    struct group components[ENTRIES_MAX], instances[ENTRIES_MAX];
    size_t core_funcs_n, core_memories_n, funcs_n, components_n, instances_n;
    struct { /* instances that are exported as one of the interfaces */
        enum component_interface of;
        uint32_t instance;
    } exports[COMPONENT_INTERFACES];
    size_t exports_n;
};

static void not_plain(struct plain_scan *s)
{
    wasm_read_wrong(&s->in, "is not plain");
}

/* ---- numbering ---- */

#define ADD(s, list, value)                       \
    do {                                          \
        if ((s)->list##_n < ARRAY_LEN((s)->list)) \
            (s)->list[(s)->list##_n++] = (value); \
        else                                      \
            not_plain(s);                         \
    } while (0)

static struct str core_func(struct plain_scan *s, uint32_t i)
{
    if (i < s->core_funcs_n)
        return s->core_funcs[i];
    not_plain(s);
    return STR_NONE;
}

static struct str core_memory(struct plain_scan *s, uint32_t i)
{
    if (i < s->core_memories_n)
        return s->core_memories[i];
    not_plain(s);
    return STR_NONE;
}

/* Something of SORT that we do not look into has got a number. */
static void add_unknown(struct plain_scan *s, enum component_sort sort)
{
    switch (sort) {
    case COMPONENT_FUNC:
        ADD(s, funcs, (struct lifted){ 0 });
        break;
    case COMPONENT_INSTANCE:
        ADD(s, instances, (struct group){ 0 });
        break;
    case COMPONENT_COMPONENT:
        ADD(s, components, (struct group){ 0 });
        break;
    case COMPONENT_TYPE:
        break;
    default:
        not_plain(s);
    }
}

static void add_passed(struct plain_scan *s, struct group *g, struct passed p)
{
    if (g->n < PASSED_MAX)
        g->v[g->n++] = p;
    else
        not_plain(s);
}

/* ---- core modules ---- */

/* Whether MODULE runs nothing but what it is asked for, and asks nobody. */
static bool stands_alone(struct str module)
{
    enum { CORE_SECTION_IMPORT = 2, CORE_SECTION_START = 8 };
    static const char HEADER[WASM_HEADER_BYTES] = { 0, 'a', 's', 'm', 1, 0, 0, 0 };
    struct wasm_reader r = wasm_reader_of(module);

    if (module.n < sizeof HEADER || memcmp(module.p, HEADER, sizeof HEADER) != 0)
        return false;
    r.at += sizeof HEADER;
    while (r.at < r.end && !r.wrong) {
        uint8_t id = wasm_read_byte(&r);
        struct str contents = wasm_read_bytes(&r);

        if (id == CORE_SECTION_START || (id == CORE_SECTION_IMPORT && !(contents.n == 1 && contents.p[0] == 0)))
            return false;
    }
    return !r.wrong;
}

static void see_module(struct plain_scan *s, struct str contents)
{
    if (s->module.n > 0 || !stands_alone(contents))
        not_plain(s);
    s->module = contents;
}

/* Of the one module, once, with nothing. */
static void see_core_instance(struct plain_scan *s)
{
    struct wasm_reader *r = &s->in;

    if (wasm_read_byte(r) != 0 || wasm_read_number(r) != 0 || wasm_read_number(r) != 0 || s->module.n == 0 || s->instantiated)
        not_plain(s);
    s->instantiated = true;
}

static void see_alias(struct plain_scan *s)
{
    enum { OF_INSTANCE, OF_CORE_INSTANCE, OUTER };
    struct wasm_reader *r = &s->in;
    uint8_t core, target;
    enum component_sort sort = wasm_read_sort(r, &core);
    uint32_t instance;

    target = wasm_read_byte(r);
    instance = wasm_read_number(r);
    if (target == OUTER) {
        (void)wasm_read_number(r);
        add_unknown(s, sort);
        return;
    }
    if (target == OF_CORE_INSTANCE && sort == COMPONENT_CORE && instance == 0) {
        struct str name = wasm_read_bytes(r);

        if (core == WASM_CORE_FUNC)
            ADD(s, core_funcs, name);
        else if (core == WASM_CORE_MEMORY)
            ADD(s, core_memories, name);
        return;
    }
    (void)wasm_read_bytes(r);
    if (target == OF_INSTANCE)
        add_unknown(s, sort);
    else
        not_plain(s);
}

static void see_canon(struct plain_scan *s)
{
    struct wasm_reader *r = &s->in;
    struct lifted l = { .known = true };

    if (wasm_read_byte(r) != CANON_LIFT || wasm_read_byte(r) != 0)
        not_plain(s);
    l.function = core_func(s, wasm_read_number(r));
    for (uint32_t n = wasm_read_number(r); n > 0 && !r->wrong; n--) {
        switch (wasm_read_byte(r)) {
        case OPTION_UTF8:
            break;
        case OPTION_MEMORY:
            l.memory = core_memory(s, wasm_read_number(r));
            break;
        case OPTION_REALLOC:
            l.realloc = core_func(s, wasm_read_number(r));
            break;
        case OPTION_POST_RETURN: /* frees what was returned: the whole memory goes away instead */
            (void)wasm_read_number(r);
            break;
        default:
            not_plain(s);
        }
    }
    (void)wasm_read_number(r); /* type */
    ADD(s, funcs, l);
}

/* ---- components ---- */

struct nested_scan {
    struct wasm_reader in;
    struct str funcs[ENTRIES_MAX]; /* the import that each is */
    size_t funcs_n;
};

static void add_nested(struct plain_scan *s, struct nested_scan *n, struct str import)
{
    if (n->funcs_n < ENTRIES_MAX)
        n->funcs[n->funcs_n++] = import;
    else
        not_plain(s);
}

static void see_nested_import(struct plain_scan *s, struct nested_scan *n)
{
    struct str name = wasm_read_extern_name(&n->in);

    if (wasm_read_extern_type(&n->in) == COMPONENT_FUNC)
        add_nested(s, n, name);
}

static void see_nested_export(struct plain_scan *s, struct nested_scan *n, struct group *ret)
{
    struct str name = wasm_read_extern_name(&n->in);
    enum component_sort sort = wasm_read_sort(&n->in, NULL);
    uint32_t number = wasm_read_number(&n->in);

    if (wasm_read_byte(&n->in) == 1)
        (void)wasm_read_extern_type(&n->in);
    if (sort != COMPONENT_FUNC)
        return;
    if (number >= n->funcs_n) {
        not_plain(s);
        return;
    }
    add_passed(s, ret, (struct passed){ .name = name, .import = n->funcs[number] });
    add_nested(s, n, n->funcs[number]);
}

/* A component that only passes on what it imports. */
static void see_component(struct plain_scan *s, struct str contents)
{
    struct nested_scan n = { .in = wasm_reader_of(contents) };
    struct wasm_reader *r = &n.in;
    struct group passed = { 0 };

    r->at += MIN(contents.n, (size_t)WASM_HEADER_BYTES);
    while (r->at < r->end && !r->wrong) {
        uint8_t id = wasm_read_byte(r);
        struct str section = wasm_read_bytes(r);
        struct wasm_reader all = *r;

        if (id == WASM_SECTION_CUSTOM || id == WASM_SECTION_TYPE || r->wrong)
            continue;
        if (id != WASM_SECTION_IMPORT && id != WASM_SECTION_EXPORT) {
            not_plain(s);
            return;
        }
        *r = wasm_reader_of(section);
        for (uint32_t k = wasm_read_number(r); k > 0 && !r->wrong; k--) {
            if (id == WASM_SECTION_IMPORT)
                see_nested_import(s, &n);
            else
                see_nested_export(s, &n, &passed);
        }
        all.wrong = r->wrong;
        *r = all;
    }
    if (r->wrong)
        not_plain(s);
    ADD(s, components, passed);
}

/* The arguments of an instantiation of C, or, without one, the exports of an instance that is put together. */
static void see_instance(struct plain_scan *s)
{
    struct wasm_reader *r = &s->in;
    bool together = wasm_read_byte(r) == 1;
    uint32_t c = together ? NOTHING : wasm_read_number(r);
    struct group made = { 0 };

    if (!together && c >= s->components_n) {
        not_plain(s);
        return;
    }
    for (uint32_t n = wasm_read_number(r); n > 0 && !r->wrong; n--) {
        struct str name = together ? wasm_read_extern_name(r) : wasm_read_bytes(r);
        enum component_sort sort = wasm_read_sort(r, NULL);
        uint32_t number = wasm_read_number(r);

        if (sort != COMPONENT_FUNC)
            continue;
        if (together)
            add_passed(s, &made, (struct passed){ .name = name, .func = number });
        for (size_t i = 0; !together && i < s->components[c].n; i++)
            if (str_eq(s->components[c].v[i].import, name))
                add_passed(s, &made, (struct passed){ .name = s->components[c].v[i].name, .func = number });
    }
    ADD(s, instances, made);
}

static void see_import(struct plain_scan *s)
{
    (void)wasm_read_extern_name(&s->in);
    add_unknown(s, wasm_read_extern_type(&s->in));
}

/* What is exported gets a number of its own. */
static void see_export(struct plain_scan *s)
{
    struct str name = wasm_read_extern_name(&s->in);
    enum component_sort sort = wasm_read_sort(&s->in, NULL);
    uint32_t number = wasm_read_number(&s->in);

    if (wasm_read_byte(&s->in) == 1)
        (void)wasm_read_extern_type(&s->in);
    if (sort != COMPONENT_INSTANCE || number >= s->instances_n) {
        add_unknown(s, sort);
        return;
    }
    for (int i = 0; i < COMPONENT_INTERFACES; i++) {
        if (str_eq(name, component_interface_name(i)) && s->exports_n < COMPONENT_INTERFACES) {
            s->exports[s->exports_n].of = i;
            s->exports[s->exports_n++].instance = number;
        }
    }
    ADD(s, instances, s->instances[number]);
}

static void see_each(struct plain_scan *s, struct str contents, void (*one)(struct plain_scan *))
{
    struct wasm_reader all = s->in;

    s->in = wasm_reader_of(contents);
    for (uint32_t n = wasm_read_number(&s->in); n > 0 && !s->in.wrong; n--)
        one(s);
    all.wrong = s->in.wrong;
    s->in = all;
}

static void see_section(struct plain_scan *s, uint8_t id, struct str contents)
{
    static void (*const EACH[WASM_SECTIONS])(struct plain_scan *) = {
        [WASM_SECTION_CORE_INSTANCE] = see_core_instance,
        [WASM_SECTION_INSTANCE] = see_instance,
        [WASM_SECTION_ALIAS] = see_alias,
        [WASM_SECTION_CANON] = see_canon,
        [WASM_SECTION_IMPORT] = see_import,
        [WASM_SECTION_EXPORT] = see_export,
    };

    if (id < WASM_SECTIONS && EACH[id])
        see_each(s, contents, EACH[id]);
    else if (id == WASM_SECTION_CORE_MODULE)
        see_module(s, contents);
    else if (id == WASM_SECTION_COMPONENT)
        see_component(s, contents);
    else if (id != WASM_SECTION_CUSTOM && id != WASM_SECTION_TYPE && id != WASM_SECTION_CORE_TYPE)
        not_plain(s);
}

/* ---- the whole ---- */

/* The core function behind an interface that is exported; NULL when that cannot be told. */
static const struct lifted *find(const struct plain_scan *s, enum component_interface of)
{
    for (size_t i = 0; i < s->exports_n; i++) {
        const struct group *g = &s->instances[s->exports[i].instance];

        if (s->exports[i].of != of)
            continue;
        for (size_t k = 0; k < g->n; k++)
            if (str_eq(g->v[k].name, component_function_name(of)) && g->v[k].func < s->funcs_n && s->funcs[g->v[k].func].known)
                return &s->funcs[g->v[k].func];
    }
    return NULL;
}

static bool take(struct plain *p, enum component_interface i, const struct lifted *l)
{
    if (!l || l->memory.n == 0 || l->realloc.n == 0)
        return false;
    if (p->memory.n > 0 && !(str_eq(p->memory, l->memory) && str_eq(p->realloc, l->realloc)))
        return false;
    p->memory = l->memory;
    p->realloc = l->realloc;
    p->functions[i] = l->function;
    return l->function.n > 0;
}

bool plain_find(struct str bytes, unsigned interfaces, struct plain *ret)
{
    struct plain_scan s = { .in = wasm_reader_of(bytes) };
    bool good;

    s.in.at += MIN(bytes.n, (size_t)WASM_HEADER_BYTES);
    while (s.in.at < s.in.end && !s.in.wrong) {
        uint8_t id = wasm_read_byte(&s.in);
        struct str contents = wasm_read_bytes(&s.in);

        see_section(&s, id, contents);
    }
    *ret = (struct plain){ .module = s.module };
    good = !s.in.wrong && s.instantiated && interfaces != 0;
    for (int i = 0; good && i < COMPONENT_INTERFACES; i++)
        if (interfaces & 1u << i)
            good = take(ret, i, find(&s, i));
    return good;
}
