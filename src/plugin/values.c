#include "plugin/values.h"

#include "base/utf8.h"

/* ---- arguments ---- */

/* SMG shows plugins the headers whose values are visible ASCII (and tab); names are. */
static bool can_show(struct str value)
{
    for (size_t i = 0; i < value.n; i++) {
        unsigned char c = (unsigned char)value.p[i];

        if ((c < 0x20 && c != '\t') || c > 0x7e)
            return false;
    }
    return true;
}

static struct wasm_headers shown(struct wasm_headers all, struct arena *arena)
{
    size_t n = 0;
    struct wasm_header *v;

    while (n < all.n && can_show(all.v[n].value) && can_show(all.v[n].name))
        n++;
    if (n == all.n)
        return all;
    v = arena_array(arena, all.n, sizeof *v);
    n = 0;
    for (size_t i = 0; v && i < all.n; i++) {
        if (can_show(all.v[i].value) && can_show(all.v[i].name))
            v[n++] = all.v[i];
    }
    return (struct wasm_headers){ v, n };
}

/* A string of the worlds must be UTF-8. Bytes that are not are told as in a URL: %FF. */
static struct str as_text(struct str s, struct arena *arena)
{
    static const char HEX[] = "0123456789ABCDEF";
    char *p;
    size_t n = 0;

    if (utf8_valid(s))
        return s;
    p = arena_alloc(arena, s.n * 3);
    for (struct str rest = s; p && rest.n > 0;) {
        size_t good = utf8_length(rest);

        if (good > 0) {
            memcpy(p + n, rest.p, good);
            n += good;
        } else {
            p[n++] = '%';
            p[n++] = HEX[(unsigned char)rest.p[0] >> 4];
            p[n++] = HEX[(unsigned char)rest.p[0] & 15];
        }
        rest = str_skip(rest, good ? good : 1);
    }
    return (struct str){ p, p ? n : 0 };
}

static void add(struct wasm_values *v, struct wasm_value value)
{
    v->v[v->n++] = value;
}

static void add_text(struct wasm_values *v, struct str s, struct arena *arena)
{
    add(v, (struct wasm_value){ .kind = VALUE_TEXT, .bytes = as_text(s, arena) });
}

static void add_word(struct wasm_values *v, uint32_t n)
{
    add(v, (struct wasm_value){ .kind = VALUE_WORD, .number = n });
}

static void add_headers(struct wasm_values *v, struct wasm_headers all, struct arena *arena)
{
    add(v, (struct wasm_value){ .kind = VALUE_PAIRS, .pairs = shown(all, arena) });
}

static size_t bytes_of(const struct wasm_value *v)
{
    size_t n = v->bytes.n;

    for (size_t i = 0; i < v->pairs.n; i++)
        n += VALUES_PAIR_BYTES + v->pairs.v[i].name.n + v->pairs.v[i].value.n;
    return n;
}

/* Sizes of our own requests cannot overflow; whether a guest can be given so much is checked here. */
static int end(const struct wasm_values *v, struct arena *arena, struct err *err)
{
    size_t n = 0;

    if (arena->failed)
        return err_set(err, ERR_NOMEM, "no memory for a plugin's arguments");
    for (size_t i = 0; i < v->n; i++)
        n += bytes_of(&v->v[i]);
    return n < VALUES_BYTES_MAX ? 0 : err_set(err, ERR_LIMIT, "%zu bytes are more than can be given to a plugin (255 MiB)", n);
}

int values_of_request(const struct wasm_request *req, struct arena *arena, struct wasm_values *ret, struct err *err)
{
    ret->n = 0;
    add_text(ret, req->method, arena);
    add_text(ret, req->path, arena);
    add_text(ret, req->query, arena);
    add_headers(ret, req->headers, arena);
    add(ret, (struct wasm_value){ .kind = VALUE_BYTES, .bytes = req->body });
    add_text(ret, req->request_id, arena);
    add(ret, (struct wasm_value){ .kind = VALUE_LONG, .number = req->now_ms });
    return end(ret, arena, err);
}

int values_of_response(const struct wasm_response *resp, struct arena *arena, struct wasm_values *ret, struct err *err)
{
    ret->n = 0;
    add_word(ret, resp->status);
    add_headers(ret, resp->headers, arena);
    add(ret, (struct wasm_value){ .kind = VALUE_BYTES, .bytes = resp->body });
    return end(ret, arena, err);
}

static void add_pairs(struct wasm_values *v, struct hook_pairs all, struct arena *arena)
{
    struct wasm_header *h = arena_array(arena, all.n, sizeof *h);

    for (size_t i = 0; h && i < all.n; i++)
        h[i] = (struct wasm_header){ as_text(all.v[i].name, arena), as_text(all.v[i].value, arena) };
    add(v, (struct wasm_value){ .kind = VALUE_PAIRS, .pairs = { h, h ? all.n : 0 } });
}

int values_of_before(const struct hook_call *c, struct arena *arena, struct wasm_values *ret, struct err *err)
{
    ret->n = 0;
    add_word(ret, c->op);
    add_pairs(ret, c->context, arena);
    add_text(ret, c->payload, arena);
    return end(ret, arena, err);
}

int values_of_after(const struct hook_call *c, struct str result_json, struct hook_pairs extra, struct arena *arena,
                    struct wasm_values *ret, struct err *err)
{
    ret->n = 0;
    add_word(ret, c->op);
    add_pairs(ret, c->context, arena);
    add_text(ret, c->payload, arena);
    add_text(ret, result_json, arena);
    add_pairs(ret, extra, arena);
    return end(ret, arena, err);
}

/* ---- answers ---- */

/* Reading is sticky: a place outside of the memory gives zeros and sets WRONG. */
struct lift {
    struct answer a;
    struct arena *arena;
    const char *wrong; /* the first thing that makes no sense; NULL = none yet */
    bool many, much;
};

static void wrong(struct lift *l, const char *what)
{
    if (!l->wrong)
        l->wrong = what;
}

static uint32_t aligned(struct lift *l, uint32_t address)
{
    if (address % VALUES_ALIGNMENT != 0)
        wrong(l, "a pointer is not aligned");
    return address;
}

/* N bytes at ADDRESS of the memory. */
static const uint8_t *at(struct lift *l, uint32_t address, uint64_t n)
{
    if (address < l->a.from || address - l->a.from > l->a.n || n > l->a.n - (address - l->a.from)) {
        wrong(l, "a pointer is out of bounds");
        return NULL;
    }
    return l->a.p + (address - l->a.from);
}

static uint8_t get_8(struct lift *l, uint32_t address)
{
    const uint8_t *p = at(l, address, 1);

    return p ? p[0] : 0;
}

static uint16_t get_16(struct lift *l, uint32_t address)
{
    const uint8_t *p = at(l, address, 2);

    return p ? (uint16_t)(p[0] | p[1] << 8) : 0;
}

static uint32_t get_32(struct lift *l, uint32_t address)
{
    const uint8_t *p = at(l, address, 4);

    return p ? (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24 : 0;
}

/* The (pointer, length) that stands at ADDRESS. */
static struct str get_bytes(struct lift *l, uint32_t address)
{
    uint32_t from = get_32(l, address), n = get_32(l, address + 4);
    const uint8_t *p;

    if (n == 0)
        return STR_NONE; /* the pointer of an empty list says nothing */
    p = at(l, from, n);
    if (!p || !l->a.passing)
        return (struct str){ (const char *)p, p ? n : 0 };
    if (n > l->a.room) {
        l->much = true;
        return STR_NONE;
    }
    l->a.room -= n;
    return arena_str(l->arena, (struct str){ (const char *)p, n });
}

static struct str get_text(struct lift *l, uint32_t address)
{
    struct str s = get_bytes(l, address);

    if (!utf8_valid(s))
        wrong(l, "a text is not UTF-8");
    return s;
}

/* The list whose (pointer, count) stands at ADDRESS: how many entries of SIZE bytes, and where they begin. */
static size_t get_list(struct lift *l, uint32_t address, uint32_t size, uint32_t *ret_from)
{
    uint32_t n = get_32(l, address + 4);

    *ret_from = get_32(l, address);
    if (n == 0)
        return 0; /* the pointer of an empty list says nothing */
    if (!at(l, aligned(l, *ret_from), (uint64_t)n * size))
        return 0;
    l->many = l->many || n > VALUES_HEADERS_MAX;
    return l->many ? 0 : n;
}

static struct wasm_headers get_pairs(struct lift *l, uint32_t address)
{
    uint32_t from;
    size_t n = get_list(l, address, 16, &from);
    struct wasm_header *v = n ? arena_array(l->arena, n, sizeof *v) : NULL;

    for (size_t i = 0; v && i < n; i++, from += 16)
        v[i] = (struct wasm_header){ get_text(l, from), get_text(l, from + 8) };
    return (struct wasm_headers){ v, v ? n : 0 };
}

static struct hook_pairs get_columns(struct lift *l, uint32_t address)
{
    struct wasm_headers h = get_pairs(l, address);
    struct hook_pair *v = h.n ? arena_array(l->arena, h.n, sizeof *v) : NULL;

    for (size_t i = 0; v && i < h.n; i++)
        v[i] = (struct hook_pair){ h.v[i].name, h.v[i].value };
    return (struct hook_pairs){ v, v ? h.n : 0 };
}

static int lifted(const struct lift *l, struct err *err)
{
    if (l->many)
        return err_set(err, ERR_LIMIT, "the plugin's answer has a list of more than %d entries", VALUES_HEADERS_MAX);
    if (l->much)
        return err_set(err, ERR_LIMIT, "the plugin's answer is larger than the memory that it may have");
    if (l->wrong)
        return err_set(err, ERR_INVALID, "the plugin's answer makes no sense: %s", l->wrong);
    if (l->arena->failed)
        return err_set(err, ERR_NOMEM, "no memory for a plugin's answer");
    return 0;
}

static void get_modify(struct lift *l, uint32_t from, struct wasm_action *ret)
{
    uint8_t status = get_8(l, from), body = get_8(l, from + 28);
    uint32_t names;

    if (status > 1 || body > 1)
        wrong(l, "an option is neither there nor not there");
    ret->type = WASM_MODIFY;
    ret->has_status = status == 1;
    ret->status = ret->has_status ? get_16(l, from + 2) : 0;
    ret->set = get_pairs(l, from + 4);
    ret->add = get_pairs(l, from + 12);
    ret->remove_n = get_list(l, from + 20, 8, &names);
    if (ret->remove_n > 0) {
        struct str *v = arena_array(l->arena, ret->remove_n, sizeof *v);

        for (size_t i = 0; v && i < ret->remove_n; i++)
            v[i] = get_text(l, names + 8 * (uint32_t)i);
        ret->remove = v;
    }
    ret->has_body = body == 1;
    ret->body = ret->has_body ? get_bytes(l, from + 32) : STR_NONE;
}

static void get_action(struct lift *l, uint32_t from, struct wasm_action *ret)
{
    switch (get_8(l, from)) {
    case 0:
        ret->type = WASM_CONTINUE;
        break;
    case 1:
        ret->type = WASM_REJECT;
        ret->status = get_16(l, from + 4);
        break;
    case 2:
        get_modify(l, from + 4, ret);
        break;
    default:
        wrong(l, "a variant does not exist");
    }
}

static void get_verdict(struct lift *l, uint32_t from, struct hook_verdict *ret)
{
    switch (get_8(l, from)) {
    case 0:
        ret->columns = get_columns(l, from + 4);
        break;
    case 1:
        ret->reject = true;
        ret->reason = get_text(l, from + 4);
        break;
    default:
        wrong(l, "a variant does not exist");
    }
}

int values_to_result(enum component_interface f, struct answer a, struct arena *arena, union wasm_result *ret, struct err *err)
{
    struct lift l = { .a = a, .arena = arena };

    memset(ret, 0, sizeof *ret);
    a.returned = aligned(&l, a.returned);
    switch (f) {
    case COMPONENT_ON_REQUEST:
    case COMPONENT_ON_RESPONSE:
        get_action(&l, a.returned, &ret->action);
        break;
    case COMPONENT_BEFORE:
        get_verdict(&l, a.returned, &ret->verdict);
        break;
    default:
        ret->columns = get_columns(&l, a.returned);
    }
    return lifted(&l, err);
}
