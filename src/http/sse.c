/* http/sse.c -- server-sent events (WHATWG HTML 9.2.5, 9.2.6)
 *
 * A line that came whole is used where it lies; only a line or an event that the input cuts is copied. The usual event, one data line that came whole with
 * its empty line, is handed on as a view into the input.
 */
#include "http/sse.h"

#include "http/scan.h"

/* What one sse_feed call knows beside the reader. */
struct feed {
    struct sse_reader *r;
    struct str only; /* the event's first data line, while it is still a view into the input and r->data is empty */
    void (*on_event)(void *arg, struct str event, struct str data);
    void *arg;
};

void sse_init(struct sse_reader *r, size_t max_event_bytes)
{
    *r = (struct sse_reader){ .max = max_event_bytes };
}

void sse_fini(struct sse_reader *r)
{
    buf_fini(&r->line);
    buf_fini(&r->data);
    buf_fini(&r->event);
}

static void keep_only(struct feed *f)
{
    if (f->only.n)
        buf_put(&f->r->data, f->only);
    f->only = STR_NONE;
}

static void add_data(struct feed *f, struct str value)
{
    struct sse_reader *r = f->r;

    if (!r->has_data) {
        r->has_data = true;
        f->only = value;
        return;
    }
    keep_only(f);
    buf_put_char(&r->data, '\n');
    buf_put(&r->data, value);
}

static void dispatch(struct feed *f)
{
    struct sse_reader *r = f->r;

    if (r->has_data)
        f->on_event(f->arg, buf_str(&r->event), f->only.n ? f->only : buf_str(&r->data));
    r->has_data = false;
    f->only = STR_NONE;
    buf_clear(&r->data);
    buf_clear(&r->event);
}

static void take_field(struct feed *f, struct str line)
{
    struct str name, value;

    str_split(line, ':', &name, &value);
    if (value.n && value.p[0] == ' ')
        value = str_skip(value, 1);
    if (str_eq(name, STR("data"))) {
        add_data(f, value);
    } else if (str_eq(name, STR("event"))) {
        buf_clear(&f->r->event);
        buf_put(&f->r->event, value);
    }
}

/* Bytes that the event would hold with N more. */
static bool is_too_long(const struct feed *f, size_t n)
{
    return f->r->data.n + f->only.n + f->r->event.n + n > f->r->max;
}

static int take_line(struct feed *f, struct str line)
{
    struct sse_reader *r = f->r;

    if (is_too_long(f, line.n))
        return ERR_LIMIT;
    if (!r->begun && str_has_prefix(line, STR("\xEF\xBB\xBF")))
        line = str_skip(line, 3);
    r->begun = true;
    if (line.n == 0)
        dispatch(f);
    else if (line.p[0] != ':')
        take_field(f, line);
    return r->data.failed || r->event.failed ? ERR_NOMEM : 0;
}

/* The end of a line that earlier input began. Data that lies in r->line must not stay a view: the next line is written there. */
static int take_kept_line(struct feed *f, struct str rest)
{
    struct sse_reader *r = f->r;
    int status;

    buf_put(&r->line, rest);
    if (r->line.failed)
        return ERR_NOMEM;
    status = take_line(f, buf_str(&r->line));
    keep_only(f);
    buf_clear(&r->line);
    return status < 0 ? status : r->data.failed ? ERR_NOMEM : 0;
}

int sse_feed(struct sse_reader *r, struct str bytes, void (*on_event)(void *arg, struct str event, struct str data), void *arg)
{
    struct feed f = { .r = r, .on_event = on_event, .arg = arg };
    const char *p = bytes.p, *end;

    if (bytes.n == 0)
        return 0;
    end = bytes.p + bytes.n;
    while (p < end) {
        const char *line_end;
        int status;

        if (r->after_cr) {
            r->after_cr = false;
            if (*p == '\n') {
                p++;
                continue;
            }
        }
        line_end = scan_line_end(bytes.p, p, end);
        if (line_end == end) {
            if (is_too_long(&f, r->line.n + (size_t)(end - p)))
                return ERR_LIMIT;
            buf_put(&r->line, str_range(p, end));
            break;
        }
        status = r->line.n ? take_kept_line(&f, str_range(p, line_end)) : take_line(&f, str_range(p, line_end));
        if (status < 0)
            return status;
        r->after_cr = *line_end == '\r';
        p = line_end + 1;
    }
    keep_only(&f);
    return r->line.failed || r->data.failed ? ERR_NOMEM : 0;
}

void sse_put(struct buf *out, struct str event, struct str data)
{
    const char *begin = data.n ? data.p : "", *p = begin, *end = p + data.n, *line_end;

    if (event.n) {
        buf_puts(out, "event: ");
        buf_put(out, event);
        buf_puts(out, "\n");
    }
    for (;;) {
        line_end = scan_line_end(begin, p, end);
        buf_puts(out, "data: ");
        buf_put(out, str_range(p, line_end));
        buf_puts(out, "\n");
        if (line_end == end)
            break;
        p = line_end + (line_end[0] == '\r' && end - line_end > 1 && line_end[1] == '\n' ? 2 : 1);
    }
    buf_puts(out, "\n");
}
