#include "plugin/plain.h"

#include "plugin/core_contents.h"

#define ENTRIES_MAX 256 /* of each kind; a component with more is not called plain */
#define PASSED_MAX  4   /* functions that a nested component passes on */
#define NOTHING     UINT32_MAX

enum { CANON_LIFT = 0, CANON_LOWER = 1, CANON_RESOURCE_NEW = 2, CANON_RESOURCE_REP = 4 };
enum { OPTION_UTF8 = 0, OPTION_LATIN1 = 2, OPTION_MEMORY = 3, OPTION_REALLOC = 4, OPTION_POST_RETURN = 5 };

struct core_export {
    uint32_t instance; /* NOTHING: the component made it itself */
    struct str name;
};

/* A core function as the component shows it; KNOWN: we know which. */
struct lifted {
    bool known;
    struct core_export function, memory, realloc;
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

/* What has been seen so far, each in the order of its numbers; lists have as many entries as their _n says. */
struct plain_scan {
    struct wasm_reader in;
    struct core_contents modules[ENTRIES_MAX];
    struct core_instance {
        uint32_t module;  /* NOTHING: put together from what others export */
        bool given_away;  /* more of it than its functions and its memory is in others' hands */
        bool initialized; /* a start function calls its _initialize */
    } core_instances[ENTRIES_MAX];
    struct core_export core_funcs[ENTRIES_MAX], core_memories[ENTRIES_MAX];
    struct lifted funcs[ENTRIES_MAX];
    struct group components[ENTRIES_MAX], instances[ENTRIES_MAX];
    size_t modules_n, core_instances_n, core_funcs_n, core_memories_n, funcs_n, components_n, instances_n;
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

static const struct core_export NOBODYS = { .instance = NOTHING };

static struct core_export core_func(struct plain_scan *s, uint32_t i)
{
    if (i < s->core_funcs_n)
        return s->core_funcs[i];
    not_plain(s);
    return NOBODYS;
}

static struct core_export core_memory(struct plain_scan *s, uint32_t i)
{
    if (i < s->core_memories_n)
        return s->core_memories[i];
    not_plain(s);
    return NOBODYS;
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

static void see_module(struct plain_scan *s, struct str bytes)
{
    struct core_contents c;

    if (!core_contents_read(bytes, &c))
        not_plain(s);
    ADD(s, modules, c);
}

static void give_away(struct plain_scan *s, uint32_t instance)
{
    if (instance < s->core_instances_n)
        s->core_instances[instance].given_away = true;
    else
        not_plain(s);
}

/* The instance NUMBER, with all that it exports, for what TO imports from NAME. */
static void see_argument(struct plain_scan *s, const struct core_contents *to, struct str name, uint32_t number)
{
    if (number >= s->core_instances_n) {
        not_plain(s);
        return;
    }
    if (to->more_of_many || (to->more && str_eq(to->more_from, name)))
        give_away(s, number);
    if (to->start && str_eq(to->initialize_from, name))
        s->core_instances[number].initialized = true;
}

/* Of a module with other instances as arguments, or exports put together by name. */
static void see_core_instance(struct plain_scan *s)
{
    struct wasm_reader *r = &s->in;
    bool together = wasm_read_byte(r) == 1;
    uint32_t module = together ? NOTHING : wasm_read_number(r);

    if (!together && module >= s->modules_n) {
        not_plain(s);
        return;
    }
    for (uint32_t n = wasm_read_number(r); n > 0 && !r->wrong; n--) {
        struct str name = wasm_read_bytes(r);
        uint32_t number;

        (void)wasm_read_byte(r); /* its sort */
        number = wasm_read_number(r);
        if (!together && !r->wrong)
            see_argument(s, &s->modules[module], name, number);
    }
    ADD(s, core_instances, (struct core_instance){ .module = module });
}

static void see_core_alias(struct plain_scan *s, uint8_t core, uint32_t instance)
{
    struct core_export e = { instance, wasm_read_bytes(&s->in) };

    if (instance >= s->core_instances_n)
        not_plain(s);
    else if (core == WASM_CORE_FUNC)
        ADD(s, core_funcs, e);
    else if (core == WASM_CORE_MEMORY)
        ADD(s, core_memories, e);
    else
        give_away(s, instance);
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
    if (target == OF_CORE_INSTANCE && sort == COMPONENT_CORE) {
        see_core_alias(s, core, instance);
        return;
    }
    (void)wasm_read_bytes(r);
    if (target == OF_INSTANCE)
        add_unknown(s, sort);
    else
        not_plain(s);
}

/* ENCODING_MAX: the last of the text encodings that may be. L: what else was said; what is freed behind a call goes away with the whole memory. */
static void see_options(struct plain_scan *s, uint8_t encoding_max, struct lifted *l)
{
    struct wasm_reader *r = &s->in;

    for (uint32_t n = wasm_read_number(r); n > 0 && !r->wrong; n--) {
        uint8_t option = wasm_read_byte(r);

        if (option <= encoding_max)
            continue;
        if (option == OPTION_MEMORY)
            l->memory = core_memory(s, wasm_read_number(r));
        else if (option == OPTION_REALLOC)
            l->realloc = core_func(s, wasm_read_number(r));
        else if (option == OPTION_POST_RETURN)
            (void)wasm_read_number(r);
        else
            not_plain(s);
    }
}

static void see_canon(struct plain_scan *s)
{
    struct wasm_reader *r = &s->in;
    struct lifted l = { .known = true, .memory = NOBODYS, .realloc = NOBODYS };
    uint8_t what = wasm_read_byte(r);

    if ((what == CANON_LIFT || what == CANON_LOWER) && wasm_read_byte(r) != 0)
        not_plain(s);
    if (what == CANON_LIFT) {
        l.function = core_func(s, wasm_read_number(r));
        see_options(s, OPTION_UTF8, &l);
        (void)wasm_read_number(r); /* type */
        ADD(s, funcs, l);
        return;
    }
    (void)wasm_read_number(r); /* of a function, or of a resource's type */
    if (what == CANON_LOWER)
        see_options(s, OPTION_LATIN1, &l);
    else if (what < CANON_RESOURCE_NEW || what > CANON_RESOURCE_REP)
        not_plain(s);
    ADD(s, core_funcs, NOBODYS);
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

static bool take(struct plain *p, enum component_interface i, const struct lifted *l, uint32_t *instance)
{
    if (!l || l->function.name.n == 0 || l->memory.name.n == 0 || l->realloc.name.n == 0)
        return false;
    if (*instance != NOTHING && !(str_eq(p->memory, l->memory.name) && str_eq(p->realloc, l->realloc.name)))
        return false;
    if (*instance == NOTHING)
        *instance = l->function.instance;
    p->memory = l->memory.name;
    p->realloc = l->realloc.name;
    p->functions[i] = l->function.name;
    return l->function.instance == *instance && l->memory.instance == *instance && l->realloc.instance == *instance;
}

/* Whether the component calls the guest's initialiser: encoders do it by a module whose start function is an imported one, from the guest itself, or picked out of it. */
static bool is_initialized(const struct plain_scan *s, uint32_t instance)
{
    if (s->core_instances[instance].initialized)
        return true;
    for (size_t i = 0; i < s->core_funcs_n; i++)
        if (s->core_funcs[i].instance == instance && str_eq(s->core_funcs[i].name, STR(CORE_INITIALIZE)))
            return true;
    return false;
}

/* Whether the guest INSTANCE can be had without everything beside it. */
static bool stands_alone(const struct plain_scan *s, uint32_t instance, struct plain *ret)
{
    const struct core_contents *m;
    bool starts = false;

    if (instance >= s->core_instances_n || s->core_instances[instance].module == NOTHING || s->core_instances[instance].given_away)
        return false;
    m = &s->modules[s->core_instances[instance].module];
    for (size_t i = 0; i < s->modules_n; i++) {
        const struct core_contents *other = &s->modules[i];

        if (other == m)
            continue;
        if (other->data || (other->start && other->code))
            return false;
        starts = starts || other->start;
    }
    ret->module = m->bytes;
    ret->asks = m->imports;
    if (starts)
        ret->initialize = STR(CORE_INITIALIZE);
    return !m->start && !m->more && (!starts || is_initialized(s, instance));
}

static bool find_in(struct plain_scan *s, struct str bytes, unsigned interfaces, struct plain *ret)
{
    uint32_t instance = NOTHING;
    bool good;

    s->in = wasm_reader_of(bytes);
    s->in.at += MIN(bytes.n, (size_t)WASM_HEADER_BYTES);
    while (s->in.at < s->in.end && !s->in.wrong) {
        uint8_t id = wasm_read_byte(&s->in);
        struct str contents = wasm_read_bytes(&s->in);

        see_section(s, id, contents);
    }
    good = !s->in.wrong && interfaces != 0;
    for (int i = 0; good && i < COMPONENT_INTERFACES; i++)
        if (interfaces & 1u << i)
            good = take(ret, i, find(s, i), &instance);
    return good && stands_alone(s, instance, ret);
}

bool plain_find(struct str bytes, unsigned interfaces, struct arena *scratch, struct plain *ret)
{
    struct plain_scan *s = arena_alloc(scratch, sizeof *s);

    *ret = (struct plain){ 0 };
    if (!s)
        return false;
    s->modules_n = s->core_instances_n = s->core_funcs_n = s->core_memories_n = 0;
    s->funcs_n = s->components_n = s->instances_n = s->exports_n = 0;
    return find_in(s, bytes, interfaces, ret);
}
