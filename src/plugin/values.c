#include "plugin/values.h"

#include "base/utf8.h"

/* ---- arguments ---- */

/* An image being written. Two rows of words (arguments, then tables), then texts; all sizes are known before the first byte is written. */
struct writer {
    char *p;
    size_t argument, table, text; /* where the next one goes, in bytes from P */
};

static void put_word_at(struct writer *w, size_t at, size_t v)
{
    for (int i = 0; i < 4; i++)
        w->p[at + (size_t)i] = (char)(v >> (7 * i) & 0x7f);
}

static void put_word(struct writer *w, size_t *row, size_t v)
{
    put_word_at(w, *row, v);
    *row += 4;
}

static void put_text(struct writer *w, size_t *row, struct str s)
{
    put_word(w, row, BRIDGE_IMAGE + w->text);
    put_word(w, row, s.n);
    if (s.n > 0)
        memcpy(w->p + w->text, s.p, s.n);
    w->text += s.n;
}

static void put_pairs(struct writer *w, const struct wasm_header *v, size_t n)
{
    put_word(w, &w->argument, BRIDGE_IMAGE + w->table);
    put_word(w, &w->argument, n);
    for (size_t i = 0; i < n; i++) {
        put_text(w, &w->table, v[i].name);
        put_text(w, &w->table, v[i].value);
    }
}

static size_t pairs_bytes(const struct wasm_header *v, size_t n)
{
    size_t sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += 16 + v[i].name.n + v[i].value.n;
    return sum;
}

/* Room for an image of so many arguments, and what stands behind them. Sizes of our own requests cannot overflow; whether they fit is checked here. */
static int begin(struct writer *w, size_t arguments, size_t pairs_n, size_t rest, size_t body, size_t *ret_head,
                 struct arena *arena, struct err *err)
{
    size_t words = 1 + arguments + 4 * pairs_n;
    size_t head = 4 * (1 + arguments) + rest;
    bool join = body <= VALUES_JOIN_MAX;

    head += head & 1; /* see BRIDGE_PIECE: pieces of bytes have even lengths */
    if (head >= VALUES_IMAGE_MAX || body >= VALUES_IMAGE_MAX - head)
        return err_set(err, ERR_LIMIT, "%zu bytes are more than can be given to a plugin (256 MiB)", head + body);
    w->p = arena_alloc(arena, head + (join ? body : 0) + 1);
    if (!w->p)
        return err_set(err, ERR_NOMEM, "no memory for a plugin's arguments");
    w->argument = 4;
    w->table = 4 * (1 + arguments);
    w->text = w->table + 16 * pairs_n;
    w->p[head - 1] = 0; /* the byte that makes it even */
    put_word_at(w, 0, words);
    *ret_head = head;
    return 0;
}

static void end(struct writer *w, size_t head, struct str body, struct image *ret)
{
    ret->text = utf8_valid(body);
    if (body.n > VALUES_JOIN_MAX) {
        ret->head = (struct str){ w->p, head };
        ret->body = body;
        return;
    }
    if (body.n > 0)
        memcpy(w->p + head, body.p, body.n);
    ret->head = (struct str){ w->p, head + body.n };
    ret->body = STR_NONE;
}

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

int values_of_request(const struct wasm_request *req, struct arena *arena, struct image *ret, struct err *err)
{
    struct str method = as_text(req->method, arena), path = as_text(req->path, arena), query = as_text(req->query, arena);
    struct str id = as_text(req->request_id, arena);
    struct wasm_headers h = shown(req->headers, arena);
    struct writer w;
    size_t head;
    int r;

    r = begin(&w, 14, h.n, pairs_bytes(h.v, h.n) + method.n + path.n + query.n + id.n, req->body.n, &head, arena, err);
    if (r < 0)
        return r;
    put_text(&w, &w.argument, method);
    put_text(&w, &w.argument, path);
    put_text(&w, &w.argument, query);
    put_pairs(&w, h.v, h.n);
    put_word(&w, &w.argument, BRIDGE_IMAGE + head);
    put_word(&w, &w.argument, req->body.n);
    put_text(&w, &w.argument, id);
    put_word(&w, &w.argument, req->now_ms & ((1u << BRIDGE_WORD_BITS) - 1));
    put_word(&w, &w.argument, req->now_ms >> BRIDGE_WORD_BITS);
    end(&w, head, req->body, ret);
    return arena->failed ? err_set(err, ERR_NOMEM, "no memory for a plugin's arguments") : 0;
}

int values_of_response(const struct wasm_response *resp, struct arena *arena, struct image *ret, struct err *err)
{
    struct wasm_headers h = shown(resp->headers, arena);
    struct writer w;
    size_t head;
    int r;

    r = begin(&w, 5, h.n, pairs_bytes(h.v, h.n), resp->body.n, &head, arena, err);
    if (r < 0)
        return r;
    put_word(&w, &w.argument, resp->status);
    put_pairs(&w, h.v, h.n);
    put_word(&w, &w.argument, BRIDGE_IMAGE + head);
    put_word(&w, &w.argument, resp->body.n);
    end(&w, head, resp->body, ret);
    return arena->failed ? err_set(err, ERR_NOMEM, "no memory for a plugin's arguments") : 0;
}

/* ---- arguments of hooks ---- */

/* Pairs as the writer takes them, and as text. */
static struct wasm_headers as_pairs(struct hook_pairs all, struct arena *arena)
{
    struct wasm_header *v = arena_array(arena, all.n, sizeof *v);

    for (size_t i = 0; v && i < all.n; i++)
        v[i] = (struct wasm_header){ as_text(all.v[i].name, arena), as_text(all.v[i].value, arena) };
    return (struct wasm_headers){ v, v ? all.n : 0 };
}

int values_of_before(const struct hook_call *c, struct arena *arena, struct image *ret, struct err *err)
{
    struct wasm_headers context = as_pairs(c->context, arena);
    struct str payload = as_text(c->payload, arena);
    struct writer w;
    size_t head;
    int r;

    r = begin(&w, 5, context.n, pairs_bytes(context.v, context.n) + payload.n, 0, &head, arena, err);
    if (r < 0)
        return r;
    put_word(&w, &w.argument, c->op);
    put_pairs(&w, context.v, context.n);
    put_text(&w, &w.argument, payload);
    end(&w, head, STR_NONE, ret);
    return arena->failed ? err_set(err, ERR_NOMEM, "no memory for a hook's arguments") : 0;
}

int values_of_after(const struct hook_call *c, struct str result_json, struct hook_pairs extra, struct arena *arena,
                    struct image *ret, struct err *err)
{
    struct wasm_headers context = as_pairs(c->context, arena), columns = as_pairs(extra, arena);
    struct str payload = as_text(c->payload, arena), result = as_text(result_json, arena);
    struct writer w;
    size_t head;
    int r;

    r = begin(&w, 9, context.n + columns.n,
              pairs_bytes(context.v, context.n) + pairs_bytes(columns.v, columns.n) + payload.n + result.n, 0, &head, arena, err);
    if (r < 0)
        return r;
    put_word(&w, &w.argument, c->op);
    put_pairs(&w, context.v, context.n);
    put_text(&w, &w.argument, payload);
    put_text(&w, &w.argument, result);
    put_pairs(&w, columns.v, columns.n);
    end(&w, head, STR_NONE, ret);
    return arena->failed ? err_set(err, ERR_NOMEM, "no memory for a hook's arguments") : 0;
}

/* ---- answers ---- */

/* Reading is sticky: a place outside of the answer gives zeros and sets WRONG. */
struct lift {
    struct answer a;
    struct arena *arena;
    bool wrong, many;
};

/* N bytes at ADDRESS of the bridge's memory. */
static const uint8_t *at(struct lift *l, uint32_t address, uint64_t n)
{
    if (address < BRIDGE_ANSWER || address - BRIDGE_ANSWER > l->a.n || n > l->a.n - (address - BRIDGE_ANSWER)) {
        l->wrong = true;
        return NULL;
    }
    return l->a.p + (address - BRIDGE_ANSWER);
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
    return p ? (struct str){ (const char *)p, n } : STR_NONE;
}

static struct str get_text(struct lift *l, uint32_t address)
{
    struct str s = get_bytes(l, address);

    if (!utf8_valid(s))
        l->wrong = true;
    return s;
}

/* The list whose (pointer, count) stands at ADDRESS: how many entries of SIZE bytes, and where they begin. */
static size_t get_list(struct lift *l, uint32_t address, uint32_t size, uint32_t *ret_from)
{
    uint32_t n = get_32(l, address + 4);

    *ret_from = get_32(l, address);
    if (n > VALUES_HEADERS_MAX) {
        l->many = true;
        return 0;
    }
    return n > 0 && at(l, *ret_from, (uint64_t)n * size) ? n : 0;
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
    if (l->wrong)
        return err_set(
            err, ERR_INVALID,
            "the plugin's answer makes no sense: it points outside of itself, or has a variant or a text that does not exist");
    if (l->arena->failed)
        return err_set(err, ERR_NOMEM, "no memory for a plugin's answer");
    return 0;
}

static void get_modify(struct lift *l, uint32_t from, struct wasm_action *ret)
{
    uint8_t status = get_8(l, from), body = get_8(l, from + 28);
    uint32_t names;

    l->wrong = l->wrong || status > 1 || body > 1;
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

int values_to_action(struct answer a, struct arena *arena, struct wasm_action *ret, struct err *err)
{
    struct lift l = { .a = a, .arena = arena };
    struct wasm_action action = { 0 };
    int r;

    switch (get_8(&l, BRIDGE_RETURNED)) {
    case 0:
        action.type = WASM_CONTINUE;
        break;
    case 1:
        action.type = WASM_REJECT;
        action.status = get_16(&l, BRIDGE_RETURNED + 4);
        break;
    case 2:
        get_modify(&l, BRIDGE_RETURNED + 4, &action);
        break;
    default:
        l.wrong = true;
    }
    r = lifted(&l, err);
    if (r == 0)
        *ret = action;
    return r;
}

int values_to_before(struct answer a, struct arena *arena, struct hook_verdict *ret, struct err *err)
{
    struct lift l = { .a = a, .arena = arena };
    struct hook_verdict v = { 0 };
    int r;

    switch (get_8(&l, BRIDGE_RETURNED)) {
    case 0:
        v.columns = get_columns(&l, BRIDGE_RETURNED + 4);
        break;
    case 1:
        v.reject = true;
        v.reason = get_text(&l, BRIDGE_RETURNED + 4);
        break;
    default:
        l.wrong = true;
    }
    r = lifted(&l, err);
    if (r == 0)
        *ret = v;
    return r;
}

int values_to_columns(struct answer a, struct arena *arena, struct hook_pairs *ret, struct err *err)
{
    struct lift l = { .a = a, .arena = arena };
    struct hook_pairs columns = get_columns(&l, BRIDGE_RETURNED);
    int r = lifted(&l, err);

    if (r == 0)
        *ret = columns;
    return r;
}
