/* dispatch/pair_reply.c -- reading and splicing the replies of prefill and decode engines */
#include "dispatch/pair_reply.h"

#include "json/json_write.h"

#define ERROR_TEXT_MAX 2048

/* ---- the end of a stream ----
 *
 *   AT_LINE --"data: [DONE]"--> MARK --line end--> MARKED_LINE --line end--> found
 *      ^  \--another byte--> IN_LINE <--another byte--/    |
 *      +--------line end--------/ <------- another byte (IN_LINE or the mark again)
 */

static const char MARK[] = "data: [DONE]";
#define MARK_LEN (sizeof MARK - 1)

static void line_goes_on(struct done_scan *s, char c)
{
    if (s->at == DONE_MARKED_LINE) { /* the event has another line */
        s->at = DONE_AT_LINE;
        s->matched = 0;
    }
    if (s->at == DONE_AT_LINE && c == MARK[s->matched]) {
        if (++s->matched == MARK_LEN)
            s->at = DONE_MARK;
        return;
    }
    s->at = DONE_IN_LINE;
}

static void line_ends(struct done_scan *s)
{
    if (s->at == DONE_MARKED_LINE)
        s->found = true;
    s->at = s->at == DONE_MARK ? DONE_MARKED_LINE : DONE_AT_LINE;
    s->matched = 0;
}

static const char *skip_line(const char *p, const char *end)
{
    while (p < end && *p != '\n' && *p != '\r')
        p++;
    return p;
}

size_t done_scan(struct done_scan *s, struct str part)
{
    const char *p = part.p, *end = part.p + part.n;

    while (p < end && !s->found) {
        char c = *p;

        if (c == '\n' && s->after_cr)
            s->after_cr = false;
        else if (c == '\n' || c == '\r') {
            s->after_cr = c == '\r';
            line_ends(s);
        } else {
            s->after_cr = false;
            line_goes_on(s, c);
        }
        p++;
        if (s->at == DONE_IN_LINE)
            p = skip_line(p, end);
    }
    if (s->found && s->after_cr && p < end && *p == '\n')
        p++; /* the LF of the last line end */
    return (size_t)(p - part.p);
}

/* ---- log-probabilities ---- */

static struct json logprobs_of(struct json answer)
{
    struct json array = json_get(json_get(answer, STR("meta_info")), STR("input_token_logprobs"));

    return json_is(array, JSON_ARRAY) ? array : JSON_NONE;
}

/* Where an answer belongs: its index, or else where it stands. */
static size_t place_of(struct json answer, size_t position)
{
    uint64_t index;

    return json_to_u64(json_get(answer, STR("index")), &index) == 0 ? (size_t)index : position;
}

static void take_answer(struct json answer, size_t position, struct prompt_logprobs *ret)
{
    size_t place = place_of(answer, position);
    struct json array = logprobs_of(answer);

    if (!json_exists(array) || place >= LOGPROB_ANSWERS_MAX)
        return;
    ret->of[place] = json_raw(array);
    ret->n = MAX(ret->n, (unsigned)place + 1);
}

static void take_reply(struct json root, struct prompt_logprobs *ret)
{
    struct json_iter it = json_iter(root);
    size_t at = 0;

    if (json_is(root, JSON_OBJECT))
        take_answer(root, 0, ret);
    else if (json_is(root, JSON_ARRAY))
        while (json_next(&it))
            take_answer(it.value, at++, ret);
}

/* The next line of *REST that is an event's data, without its name. */
static bool next_data(struct str *rest, struct str *ret)
{
    while (rest->n) {
        struct str line;

        if (!str_split(*rest, '\n', &line, rest))
            *rest = STR_NONE;
        if (str_has_prefix(line, STR("data:"))) {
            *ret = str_trim(str_skip(line, 5));
            return true;
        }
    }
    return false;
}

void prompt_logprobs_read(struct str reply, struct arena *scratch, struct prompt_logprobs *ret)
{
    struct json_doc doc;
    struct str data;

    *ret = (struct prompt_logprobs){ 0 };
    if (json_parse(reply, scratch, &doc, NULL) == 0) {
        take_reply(json_root(&doc), ret);
        return;
    }
    while (next_data(&reply, &data))
        if (json_parse(data, scratch, &doc, NULL) == 0)
            take_reply(json_root(&doc), ret);
}

static bool is_empty_array(struct str raw)
{
    return str_trim(str_range(raw.p + 1, raw.p + raw.n - 1)).n == 0;
}

/* Copies up to ARRAY's '[' and puts what prefill had behind it. */
static const char *put_in_front(struct str prefill, struct str array, const char *copied, struct buf *out)
{
    buf_put(out, str_range(copied, array.p + 1));
    buf_put(out, str_range(prefill.p + 1, prefill.p + prefill.n - 1));
    if (!is_empty_array(prefill) && !is_empty_array(array))
        buf_put_char(out, ',');
    return array.p + 1;
}

static const char *merge_answer(const struct prompt_logprobs *from, struct json answer, size_t position, const char *copied,
                                struct buf *out)
{
    size_t place = place_of(answer, position);
    struct json array = logprobs_of(answer);

    if (!json_exists(array) || place >= from->n || from->of[place].n == 0)
        return copied;
    return put_in_front(from->of[place], json_raw(array), copied, out);
}

bool prompt_logprobs_merge(const struct prompt_logprobs *from, struct str text, struct arena *scratch, struct buf *out)
{
    const char *copied = text.p;
    struct json_doc doc;
    struct json root;
    struct json_iter it;
    size_t at = 0;

    if (from->n > 0 && json_parse(text, scratch, &doc, NULL) == 0) {
        root = json_root(&doc);
        it = json_iter(root);
        if (json_is(root, JSON_OBJECT))
            copied = merge_answer(from, root, 0, copied, out);
        else if (json_is(root, JSON_ARRAY))
            while (json_next(&it))
                copied = merge_answer(from, it.value, at++, copied, out);
    }
    buf_put(out, str_range(copied, text.p + text.n));
    return copied != text.p;
}

/* The bytes of the first whole event of TEXT, its empty line included; 0 when there is none yet. None ends in the first SCANNED bytes. */
static size_t event_end(struct str text, size_t scanned)
{
    for (size_t i = scanned; i + 1 < text.n; i++) {
        if (text.p[i] != '\n')
            continue;
        if (text.p[i + 1] == '\n')
            return i + 2;
        if (i + 2 < text.n && text.p[i + 1] == '\r' && text.p[i + 2] == '\n')
            return i + 3;
    }
    return 0;
}

/* An event that is one line "data: {...}" is merged, any other goes as it is. */
static void put_event(struct logprob_stream *s, struct str event, struct buf *out)
{
    size_t line = str_find_char(event, '\n');
    struct arena scratch;

    if (!str_has_prefix(event, STR("data: {")) || str_trim(str_skip(event, line)).n > 0) {
        buf_put(out, event);
        return;
    }
    arena_init(&scratch, /* cache= */ NULL, /* max_bytes= */ 0);
    buf_puts(out, "data: ");
    (void)prompt_logprobs_merge(s->from, str_range(event.p + 6, event.p + line), &scratch, out);
    buf_put(out, str_skip(event, line));
    arena_fini(&scratch);
}

void logprob_stream_feed(struct logprob_stream *s, struct str part, struct buf *out)
{
    size_t begun = 0, n;

    buf_put(&s->pending, part);
    while ((n = event_end(str_skip(buf_str(&s->pending), begun), s->scanned)) > 0) {
        put_event(s, str_first(str_skip(buf_str(&s->pending), begun), n), out);
        begun += n;
        s->scanned = 0;
    }
    buf_consume(&s->pending, begun);
    s->scanned = s->pending.n > 2 ? s->pending.n - 2 : 0; /* an end may have begun in the last two */
    if (s->pending.n > LOGPROB_EVENT_MAX)
        logprob_stream_end(s, out);
    out->failed |= s->pending.failed;
}

void logprob_stream_end(struct logprob_stream *s, struct buf *out)
{
    buf_put(out, buf_str(&s->pending));
    buf_clear(&s->pending);
    s->scanned = 0;
}

void logprob_stream_fini(struct logprob_stream *s)
{
    buf_fini(&s->pending);
}

/* ---- errors ---- */

/* The first bytes of S, whole characters. */
static struct str cut(struct str s)
{
    size_t n = MIN(s.n, (size_t)ERROR_TEXT_MAX);

    while (n > 0 && n < s.n && ((unsigned char)s.p[n] & 0xC0) == 0x80)
        n--;
    return str_first(s, n);
}

struct str pair_error_message(struct str body, struct arena *arena)
{
    struct json_doc doc;
    struct json root, message = JSON_NONE;

    if (json_parse(body, arena, &doc, NULL) == 0) {
        root = json_root(&doc);
        message = json_get(json_get(root, STR("error")), STR("message"));
        if (!json_is(message, JSON_STRING))
            message = json_get(root, STR("message"));
    }
    return arena_str(arena, cut(json_is(message, JSON_STRING) ? json_str(message, arena) : body));
}

/* Line ends are blanks between the tokens of a JSON text; in an event they would end a line. */
static void put_on_one_line(struct str json, struct buf *out)
{
    for (size_t i = 0; i < json.n; i++)
        buf_put_char(out, json.p[i] == '\n' || json.p[i] == '\r' ? ' ' : json.p[i]);
}

void pair_error_event(struct str body, unsigned status, struct arena *scratch, struct buf *out)
{
    struct json_doc doc;

    buf_puts(out, "data: {\"error\":{\"message\":");
    if (json_parse(body, scratch, &doc, NULL) == 0) {
        put_on_one_line(str_trim(body), out);
    } else {
        buf_put_char(out, '"');
        json_escape(out, cut(body));
        buf_put_char(out, '"');
    }
    buf_puts(out, ",\"status\":");
    buf_put_u64(out, status);
    buf_puts(out, "}}\n\n");
}
