#include "auth/audit.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/utf8.h"

#define TARGET    "smg::audit"
#define TRUNCATED "...[TRUNCATED]"

void audit_decided(struct exchange *ex, const char *method, struct str details)
{
    ex->principal.decided_us = clock_wall_us();
    ex->principal.method = method;
    ex->principal.denied = details;
}

static void put_byte(struct buf *out, unsigned char c)
{
    if (c == '\n')
        buf_puts(out, "\\n");
    else if (c == '\r')
        buf_puts(out, "\\r");
    else if (c == '\t')
        buf_puts(out, "\\t");
    else if (c == '\\')
        buf_puts(out, "\\\\");
    else if (c < ' ' || c == 0x7f)
        buf_printf(out, "\\x%02x", c);
    else
        buf_put_char(out, (char)c);
}

void audit_sanitise(struct buf *out, struct str text)
{
    bool cut = text.n > AUDIT_TEXT_MAX;

    for (unsigned i = 0; i < AUDIT_TEXT_MAX && text.n; i++) {
        size_t n = utf8_length(text);
        unsigned c1 = n == 2 ? ((unsigned)(text.p[0] & 0x1f) << 6 | (text.p[1] & 0x3f)) : 0xa0;

        if (c1 < 0xa0) /* U+0080..U+009F are control characters too */
            buf_printf(out, "\\x%02x", c1);
        else if (n > 1)
            buf_put(out, str_first(text, n));
        else
            put_byte(out, (unsigned char)text.p[0]); /* what is no UTF-8 is the log's to replace */
        text = str_skip(text, MAX(n, 1u));
    }
    if (cut)
        buf_puts(out, TRUNCATED);
}

/* Appends to OUT; the view comes later, when OUT no longer moves. */
struct piece {
    const char *key;
    size_t from, to;
};

static struct piece put(struct buf *out, const char *key, struct str text)
{
    struct piece p = { .key = key, .from = out->n };

    audit_sanitise(out, text);
    p.to = out->n;
    return p;
}

void audit_write(const struct exchange *ex)
{
    const struct exchange_principal *who = &ex->principal;
    struct str resource = ex->facts.resource.n ? ex->facts.resource : ex->params[0];
    char time[CLOCK_TEXT_MAX];
    struct log_field f[11];
    struct piece pieces[10];
    struct buf text = { 0 };
    size_t n = 0, m = 0;

    if (who->decided_us == 0)
        return;
    (void)clock_rfc3339(time, who->decided_us, 6);
    pieces[n++] = put(&text, "timestamp", str_of(time));
    pieces[n++] = put(&text, "principal", who->id.n ? who->id : STR("unauthenticated"));
    pieces[n++] = put(&text, "auth_method", str_of(who->method));
    pieces[n++] = put(&text, "role", who->admin ? STR("admin") : STR("user"));
    pieces[n++] = put(&text, "method", ex->req.method_text);
    pieces[n++] = put(&text, "path", ex->req.path);
    if (resource.n)
        pieces[n++] = put(&text, "resource", resource);
    pieces[n++] = put(&text, "outcome", who->denied.n ? STR("denied") : STR("success"));
    pieces[n++] = put(&text, "request_id", ex->request_id);
    if (who->denied.n)
        pieces[n++] = put(&text, "details", who->denied);
    for (; m < n; m++)
        f[m] = text.failed ? LF_CSTR(pieces[m].key, "?")
                           : LF_STR(pieces[m].key, ((struct str){ text.p + pieces[m].from, pieces[m].to - pieces[m].from }));
    f[m++] = LF_UINT("status", ex->status ? ex->status : 499); /* 499: the client left before there was one */
    log_write(LOG_INFO, TARGET, __FILE__, __LINE__, "control_plane_audit", f, m);
    buf_fini(&text);
}
