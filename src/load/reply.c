/* load/reply.c -- reading replies with as little work as counting allows */
#include "load/reply.h"

void load_reply_init(struct load_reply *r)
{
    *r = (struct load_reply){ 0 };
    sse_init(&r->sse, REPLY_EVENT_MAX);
}

void load_reply_fini(struct load_reply *r)
{
    sse_fini(&r->sse);
}

void load_reply_begin(struct load_reply *r, bool stream)
{
    buf_clear(&r->sse.line);
    buf_clear(&r->sse.data);
    buf_clear(&r->sse.event);
    r->sse.has_data = r->sse.after_cr = r->sse.begun = false;
    r->stream = stream;
    r->done = r->error = r->bad = false;
    r->content_events = 0;
    r->usage_tokens = 0;
    r->carry_n = 0;
}

/* ---- looking into JSON ---- */

/* Where the value of a member begins whose key ends with KEY (quote and colon included); *TEXT moves behind the key. NULL when there is none. */
static const char *find_value(struct str *text, struct str key)
{
    const char *p = memmem(text->p, text->n, key.p, key.n), *end = text->p + text->n;

    if (!p)
        return NULL;
    p += key.n;
    *text = str_range(p, end);
    while (p < end && (*p == ' ' || *p == '\t'))
        p++;
    return p;
}

/* Is there a member whose key ends with KEY and whose value is a string that is not empty? */
static bool has_text(struct str data, struct str key)
{
    const char *end = data.p + data.n, *p;

    while ((p = find_value(&data, key)) != NULL)
        if (end - p >= 2 && p[0] == '"' && p[1] != '"')
            return true;
    return false;
}

bool load_has_content(struct str data)
{
    if (data.n == 0)
        return false;
    /* "content" and "reasoning_content"; "text" of completions and of /generate; tool calls */
    return has_text(data, STR("content\":")) || has_text(data, STR("\"text\":")) || has_text(data, STR("\"arguments\":"));
}

/* The number behind the last "completion_tokens" of TEXT, if there is one. */
static void take_usage(struct load_reply *r, struct str text)
{
    const char *p, *end;

    if (text.n == 0)
        return;
    end = text.p + text.n;
    while ((p = find_value(&text, STR("\"completion_tokens\":"))) != NULL) {
        uint64_t n = 0;

        for (unsigned digits = 0; p < end && *p >= '0' && *p <= '9' && digits < 12; p++, digits++)
            n = n * 10 + (unsigned)(*p - '0');
        if (n)
            r->usage_tokens = n;
    }
}

/* ---- streams ---- */

static void on_event(void *arg, struct str event, struct str data)
{
    struct load_reply *r = arg;

    if (r->done) {
        r->bad = true;
    } else if (str_eq(data, STR("[DONE]"))) {
        r->done = true;
    } else if (data.n == 0 || data.p[0] != '{') {
        r->bad = true;
    } else if (load_has_content(data)) {
        r->content_events++;
    } else {
        if (str_has_prefix(data, STR("{\"error\"")) || str_eq(event, STR("error")))
            r->error = true;
        take_usage(r, data);
    }
}

/* ---- other replies ---- */

/* A part may end inside the key or the number: the bytes around each cut are looked at once more. */
static void feed_whole(struct load_reply *r, struct str part)
{
    struct str end;

    if (r->carry_n) {
        struct str begin = str_first(part, REPLY_CARRY);

        memcpy(r->carry + r->carry_n, begin.p, begin.n);
        take_usage(r, (struct str){ r->carry, r->carry_n + begin.n });
        if (part.n < REPLY_CARRY) { /* the rest of the number may still come */
            r->carry_n += (unsigned)part.n;
            if (r->carry_n > REPLY_CARRY) {
                memmove(r->carry, r->carry + r->carry_n - REPLY_CARRY, REPLY_CARRY);
                r->carry_n = REPLY_CARRY;
            }
            return;
        }
    }
    take_usage(r, part);
    end = part.n > REPLY_CARRY ? str_skip(part, part.n - REPLY_CARRY) : part;
    memcpy(r->carry, end.p, end.n);
    r->carry_n = (unsigned)end.n;
}

unsigned load_reply_feed(struct load_reply *r, struct str part)
{
    uint32_t before = r->content_events;

    if (part.n == 0)
        return 0;
    if (!r->stream)
        feed_whole(r, part);
    else if (sse_feed(&r->sse, part, on_event, r) < 0)
        r->bad = true;
    return r->content_events - before;
}
