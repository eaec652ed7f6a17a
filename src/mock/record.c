/* record.c -- the ring of received requests */
#include "mock/record.h"

#include "base/clock.h"

void record_init(struct record_ring *r)
{
    pthread_mutex_init(&r->lock, NULL);
}

void record_fini(struct record_ring *r)
{
    for (size_t i = 0; i < RECORD_SLOTS; i++) {
        buf_fini(&r->slots[i].target);
        buf_fini(&r->slots[i].fields);
        buf_fini(&r->slots[i].body);
    }
    pthread_mutex_destroy(&r->lock);
}

static void put_lowercase(struct buf *out, struct str name)
{
    char *p = buf_reserve(out, name.n);

    if (!p)
        return;
    for (size_t i = 0; i < name.n; i++)
        p[i] = (char)(name.p[i] >= 'A' && name.p[i] <= 'Z' ? name.p[i] + 32 : name.p[i]);
    out->n += name.n;
}

static void fill(struct record *to, const struct exchange *ex)
{
    to->wall_us = clock_wall_us();
    to->method = ex->req.method;
    to->body_bytes = ex->body.n;
    buf_clear(&to->target);
    buf_clear(&to->fields);
    buf_clear(&to->body);
    buf_put(&to->target, str_first(ex->req.target, RECORD_HEAD_MAX));
    for (unsigned i = 0; i < ex->req.fields.n; i++) {
        const struct http_field *f = &ex->req.fields.v[i];

        if (to->fields.n + f->name.n + f->value.n + 3 > RECORD_HEAD_MAX)
            break;
        put_lowercase(&to->fields, f->name);
        buf_puts(&to->fields, ": ");
        buf_put(&to->fields, f->value);
        buf_put_char(&to->fields, '\n');
    }
    if (ex->body.n <= RECORD_BODY_MAX)
        buf_put(&to->body, ex->body);
}

void record_add(struct record_ring *r, const struct exchange *ex)
{
    struct record *to;

    pthread_mutex_lock(&r->lock);
    to = &r->slots[r->total++ % RECORD_SLOTS];
    to->number = r->total;
    fill(to, ex);
    pthread_mutex_unlock(&r->lock);
}

void record_clear(struct record_ring *r)
{
    pthread_mutex_lock(&r->lock);
    for (size_t i = 0; i < RECORD_SLOTS; i++)
        r->slots[i].number = 0;
    pthread_mutex_unlock(&r->lock);
}

/* The next "name: value" of *LEFT. */
static bool next_field(struct str *left, struct str *name, struct str *value)
{
    struct str line, rest;

    if (left->n == 0)
        return false;
    (void)str_split(*left, '\n', &line, &rest);
    (void)str_split(line, ':', name, value);
    *value = str_trim(*value);
    *left = rest;
    return true;
}

static bool seen_before(struct str fields, const char *at, struct str name)
{
    struct str left = str_range(fields.p, at), earlier, value;

    while (next_field(&left, &earlier, &value))
        if (str_eq(earlier, name))
            return true;
    return false;
}

/* An object; fields that came several times are joined with ", ", as RFC 9110 5.2 reads them. */
static void write_fields(struct str fields, struct json_writer *w)
{
    _cleanup_(buf_fini) struct buf joined = { 0 };
    struct str left = fields, name, value, after, again, more;

    json_object(w);
    for (const char *at = left.p; next_field(&left, &name, &value); at = left.p) {
        if (seen_before(fields, at, name))
            continue;
        buf_clear(&joined);
        buf_put(&joined, value);
        for (after = left; next_field(&after, &again, &more);) {
            if (str_eq(again, name)) {
                buf_puts(&joined, ", ");
                buf_put(&joined, more);
            }
        }
        json_key(w, name);
        json_value_str(w, buf_str(&joined));
    }
    json_end(w);
}

static void write_record(const struct record *r, struct json_writer *w)
{
    char when[CLOCK_TEXT_MAX];
    struct str target = buf_str(&r->target), path, query;

    (void)str_split(target, '?', &path, &query);
    json_object(w);
    json_put_u64(w, "number", r->number);
    json_put_str(w, "time", ((struct str){ when, clock_rfc3339(when, r->wall_us, /* fraction= */ 3) }));
    json_put_str(w, "method", http_method_text(r->method));
    json_put_str(w, "path", path);
    json_put_str(w, "query", query);
    json_key(w, STR("headers"));
    write_fields(buf_str(&r->fields), w);
    json_put_u64(w, "body_bytes", r->body_bytes);
    if (r->body_bytes > RECORD_BODY_MAX)
        json_put_null(w, "body");
    else
        json_put_str(w, "body", buf_str(&r->body));
    json_end(w);
}

void record_write_json(struct record_ring *r, struct json_writer *w)
{
    pthread_mutex_lock(&r->lock);
    json_array(w);
    for (size_t i = 0; i < RECORD_SLOTS; i++) {
        const struct record *one = &r->slots[(r->total + i) % RECORD_SLOTS];

        if (one->number > 0)
            write_record(one, w);
    }
    json_end(w);
    pthread_mutex_unlock(&r->lock);
}
