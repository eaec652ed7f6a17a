/* plugin/edits.c -- header edits and body replacement */
#include "plugin/edits.h"

static struct str lowercase(struct arena *arena, struct str name)
{
    char *p = arena_alloc(arena, name.n);

    for (size_t i = 0; p && i < name.n; i++)
        p[i] = (char)(name.p[i] >= 'A' && name.p[i] <= 'Z' ? name.p[i] | 0x20 : name.p[i]);
    return p ? (struct str){ p, name.n } : STR_NONE;
}

void plugin_message_take_fields(struct plugin_message *m, const struct http_fields *from)
{
    for (unsigned i = 0; i < from->n && !m->arena->failed; i++)
        http_add_name(&m->fields, m->arena, lowercase(m->arena, from->v[i].name), arena_str(m->arena, from->v[i].value));
}

static bool is_visible(struct str value)
{
    for (size_t i = 0; i < value.n; i++)
        if (((unsigned char)value.p[i] < 0x20 && value.p[i] != '\t') || (unsigned char)value.p[i] > 0x7e)
            return false;
    return true;
}

struct wasm_headers plugin_message_headers(const struct plugin_message *m, struct arena *arena)
{
    struct wasm_header *v = arena_array(arena, m->fields.n + 1, sizeof(*v));
    size_t n = 0;

    for (unsigned i = 0; v && i < m->fields.n; i++)
        if (is_visible(m->fields.v[i].value))
            v[n++] = (struct wasm_header){ m->fields.v[i].name, m->fields.v[i].value };
    return (struct wasm_headers){ v, n };
}

/* ---- edits ---- */

static bool is_ours(enum plugin_side side, enum http_field_id id)
{
    return http_is_hop_by_hop(id) || id == HF_CONTENT_LENGTH || id == HF_EXPECT || (side == PLUGIN_REPLY && id == HF_X_REQUEST_ID);
}

static bool may_touch(const struct plugin_message *m, struct str name)
{
    return http_is_token(name) && !is_ours(m->side, http_field_id(name));
}

static void drop(struct plugin_message *m, struct str name)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < m->fields.n; i++)
        if (!str_eq_nocase(m->fields.v[i].name, name))
            m->fields.v[kept++] = m->fields.v[i];
    m->fields_changed |= kept != m->fields.n;
    m->fields.n = kept;
}

static void append(struct plugin_message *m, const struct wasm_header *h)
{
    http_add_name(&m->fields, m->arena, lowercase(m->arena, h->name), str_trim(h->value));
    m->fields_changed = true;
}

static bool can_be_field(const struct plugin_message *m, const struct wasm_header *h)
{
    return may_touch(m, h->name) && is_visible(h->value);
}

static void edit_fields(struct plugin_message *m, const struct wasm_action *a)
{
    for (size_t i = 0; i < a->set.n; i++) {
        if (!can_be_field(m, &a->set.v[i]))
            continue;
        drop(m, a->set.v[i].name);
        append(m, &a->set.v[i]);
    }
    for (size_t i = 0; i < a->add.n; i++)
        if (can_be_field(m, &a->add.v[i]))
            append(m, &a->add.v[i]);
    for (size_t i = 0; i < a->remove_n; i++)
        if (may_touch(m, a->remove[i]))
            drop(m, a->remove[i]);
}

static bool sets_encoding(const struct wasm_action *a)
{
    for (size_t i = 0; i < a->set.n; i++)
        if (http_field_id(a->set.v[i].name) == HF_CONTENT_ENCODING)
            return true;
    return false;
}

static void replace_body(struct plugin_message *m, const struct wasm_action *a)
{
    m->body = a->body;
    m->body_changed = true;
    if (!sets_encoding(a))
        drop(m, http_field_name(HF_CONTENT_ENCODING));
    for (unsigned i = 0; i < m->fields.n; i++) {
        if (m->fields.v[i].id != HF_CONTENT_LENGTH)
            continue;
        m->fields.v[i].value = arena_printf(m->arena, "%zu", a->body.n);
        m->fields_changed = true;
    }
}

static bool is_final(unsigned status)
{
    return status >= 200 && status <= 999;
}

int plugin_message_modify(struct plugin_message *m, const struct wasm_action *a, size_t max_body, struct err *err)
{
    if (a->has_body && a->body.n > max_body)
        return err_set(err, ERR_LIMIT, "its body of %zu bytes is longer than the %zu that are allowed (--wasm-max-body-size)",
                       a->body.n, max_body);
    edit_fields(m, a);
    if (a->has_body)
        replace_body(m, a);
    if (m->side == PLUGIN_REPLY && a->has_status && is_final(a->status))
        m->status = a->status;
    return m->arena->failed ? err_set(err, ERR_NOMEM, "%s", err_text(ERR_NOMEM)) : 0;
}

unsigned plugin_reject_status(unsigned status)
{
    return is_final(status) ? status : 400;
}
