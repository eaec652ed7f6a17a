/* inference/parse_stream.c -- a stream of chat completion chunks with thoughts and tool calls told from its text (spec parsers 4.4)
 *
 *   bytes --whole events--> take_event --chunk--> take_choice --content--> reply_chain --pieces--> one delta each
 *
 * What comes of one event: the pieces of its text are put together as long as they are of one kind. All but the last go out in events of their own, made from the first chunk's id, model and so
 * on; the last goes out with the event itself, in place of its content, so that its log-probabilities, usage and whatever else it carries stay where they are. An event whose pieces are its
 * content goes out byte for byte; one whose text is held back and that carries nothing else does not go out.
 * The end of a choice (finish_reason) ends its parsers: what they held goes out before it. So does [DONE] for a choice that the engine did not end, and the end of the stream.
 * Events end with an empty line, LF or CRLF.
 */
#include "inference/parsed.h"

#include <stdlib.h>

#include "json/json_write.h"

struct stream_choice {
    uint64_t index;
    bool finished;
    struct reply_chain chain;
};

struct parse_stream {
    const struct parse_order *order; /* borrowed */
    struct toolcall_tools tools;
    struct arena arena;        /* owned: tools and choices, for the stream */
    struct arena scratch;      /* owned: of one event */
    struct json_doc tools_doc; /* arena */

    struct buf block; /* owned: an event whose end is not there yet */
    size_t line_n;    /* bytes of its last line, without an end */
    bool line_cr;     /* they begin with CR */

    struct stream_choice *choices[PARSE_CHOICES_MAX]; /* arena; by arrival */
    unsigned choices_n;
    struct buf joined;   /* owned: the data of an event of several lines */
    struct buf skeleton; /* owned: what events of our own begin with; empty = no chunk came yet */
    struct patches patches;
    struct parse_outcome outcome;

    /* of the choice at hand */
    struct stream_choice *choice;
    bool has_piece, copied;
    enum piece_kind kind;
    unsigned call;
    struct buf piece; /* owned */

    struct buf *out; /* the caller's, during a call */
};

/* ---- deltas ---- */

static void put_string(struct buf *out, struct str s)
{
    buf_put_char(out, '"');
    json_escape(out, s);
    buf_put_char(out, '"');
}

/* The value of the member that says the piece at hand. */
static void put_piece(struct parse_stream *s, struct buf *out)
{
    switch (s->kind) {
    case PIECE_THOUGHT:
    case PIECE_TEXT:
        put_string(out, buf_str(&s->piece));
        return;
    case PIECE_CALL:
        buf_puts(out, "[{\"index\":");
        buf_put_u64(out, s->call);
        buf_put_char(out, ',');
        reply_put_call(out, s->order, buf_str(&s->piece), s->call);
        buf_puts(out, "\"\"}}]");
        return;
    case PIECE_ARGUMENTS:
    default:
        buf_puts(out, "[{\"index\":");
        buf_put_u64(out, s->call);
        buf_puts(out, ",\"function\":{\"arguments\":");
        put_string(out, buf_str(&s->piece));
        buf_puts(out, "}}]");
    }
}

static struct str member_of(enum piece_kind kind)
{
    return kind == PIECE_TEXT ? STR("content") : kind == PIECE_THOUGHT ? STR("reasoning_content") : STR("tool_calls");
}

static void put_piece_member(struct parse_stream *s, struct buf *out)
{
    buf_put_char(out, '"');
    buf_put(out, member_of(s->kind));
    buf_puts(out, "\":");
    put_piece(s, out);
}

/* The piece at hand in an event of its own. */
static void send_piece(struct parse_stream *s)
{
    if (!s->has_piece)
        return;
    buf_puts(s->out, "data: ");
    buf_put(s->out, buf_str(&s->skeleton));
    buf_puts(s->out, "{\"index\":");
    buf_put_u64(s->out, s->choice->index);
    buf_puts(s->out, ",\"delta\":{");
    put_piece_member(s, s->out);
    buf_puts(s->out, "},\"finish_reason\":null}]}\n\n");
    s->has_piece = false;
    s->copied = true;
}

static void on_piece(void *owner, enum piece_kind kind, unsigned index, struct str text)
{
    struct parse_stream *s = owner;

    if (s->has_piece && (s->kind != kind || kind == PIECE_CALL || s->call != index))
        send_piece(s);
    if (!s->has_piece)
        buf_clear(&s->piece);
    s->has_piece = true;
    s->kind = kind;
    s->call = index;
    buf_put(&s->piece, text);
}

/* ---- choices ---- */

/* NULL: there are too many (0), or memory is out (*RET_STATUS). */
static struct stream_choice *choice_of(struct parse_stream *s, uint64_t index, int *ret_status)
{
    struct stream_choice *c;

    for (unsigned i = 0; i < s->choices_n; i++)
        if (s->choices[i]->index == index)
            return s->choices[i];
    if (s->choices_n == PARSE_CHOICES_MAX)
        return NULL;
    c = arena_new(&s->arena, struct stream_choice);
    if (!c) {
        *ret_status = ERR_NOMEM;
        return NULL;
    }
    c->index = index;
    s->choices[s->choices_n++] = c;
    *ret_status = reply_chain_init(&c->chain, s->order, &s->tools, on_piece, s);
    return *ret_status < 0 ? NULL : c;
}

static int finish_choice(struct parse_stream *s, struct stream_choice *c)
{
    int r = reply_chain_finish(&c->chain);

    c->finished = true;
    s->outcome.calls += c->chain.calls_n;
    s->outcome.thoughts += c->chain.thought_told;
    return r;
}

/* Those that the engine did not end. */
static int finish_choices(struct parse_stream *s)
{
    int r = 0;

    for (unsigned i = 0; i < s->choices_n && r == 0; i++) {
        struct stream_choice *c = s->choices[i];

        if (c->finished)
            continue;
        s->choice = c;
        s->has_piece = false;
        r = finish_choice(s, c);
        s->outcome.changed |= s->has_piece;
        send_piece(s);
    }
    return r;
}

/* ---- one chunk ---- */

static bool has_text(struct json v)
{
    return json_is(v, JSON_STRING) && json_raw_str(v).n > 0;
}

/* What events of our own begin with: the chunk's scalars, which say whose it is, and the beginning of the choices. */
static void make_skeleton(struct parse_stream *s, struct json root)
{
    struct json_iter it = json_iter(root);

    buf_puts(&s->skeleton, "{");
    while (json_next(&it)) {
        if (json_is(it.value, JSON_OBJECT) || json_is(it.value, JSON_ARRAY))
            continue;
        if (json_str_eq(it.key, STR("usage")) || json_str_eq(it.key, STR("choices")))
            continue;
        buf_put(&s->skeleton, json_raw(it.key));
        buf_put_char(&s->skeleton, ':');
        buf_put(&s->skeleton, json_raw(it.value));
        buf_put_char(&s->skeleton, ',');
    }
    buf_puts(&s->skeleton, "\"choices\":[");
}

/* The engine tells some of it by itself. */
static int heed_engine(struct stream_choice *c, struct json delta)
{
    struct json calls = json_get(delta, STR("tool_calls"));
    int r = 0;

    if (has_text(json_get(delta, STR("reasoning_content"))) || has_text(json_get(delta, STR("reasoning"))))
        r = reply_chain_leave_thoughts(&c->chain);
    if (r == 0 && json_is(calls, JSON_ARRAY) && json_count(calls))
        r = reply_chain_leave_calls(&c->chain);
    return r;
}

/* The content's place gets the piece at hand, or nothing when all is held back. */
static void patch_content(struct parse_stream *s, struct json delta, struct json content)
{
    struct patches *p = &s->patches;
    struct json old = s->has_piece ? json_get(delta, member_of(s->kind)) : content;
    struct json_iter it = json_iter(delta);
    size_t at = p->texts.n;

    if (!s->has_piece) {
        buf_puts(&p->texts, "\"\"");
        patches_add(p, json_raw(content), at);
        return;
    }
    if (json_exists(old)) { /* the content itself, or a member that was null so far */
        put_piece(s, &p->texts);
        patches_add(p, json_raw(old), at);
        at = p->texts.n;
        if (s->kind != PIECE_TEXT) {
            buf_puts(&p->texts, "null");
            patches_add(p, json_raw(content), at);
        }
        return;
    }
    while (json_next(&it) && it.value.i != content.i)
        ;
    put_piece_member(s, &p->texts);
    patches_add(p, str_range(json_raw(it.key).p, json_raw(content).p + json_raw(content).n), at);
}

static void patch_reason(struct parse_stream *s, struct json reason)
{
    size_t at = s->patches.texts.n;

    buf_puts(&s->patches.texts, "\"tool_calls\"");
    patches_add(&s->patches, json_raw(reason), at);
}

/* Does CHOICE say anything but its content, which is held back? */
static bool says_more(struct json choice, struct json delta)
{
    struct json_iter it = json_iter(delta);

    while (json_next(&it))
        if (!json_is_null(it.value) && !json_str_eq(it.key, STR("content")))
            return true;
    return !json_is_null(json_get(choice, STR("logprobs"))) || !json_is_null(json_get(choice, STR("finish_reason")));
}

static int feed_choice(struct parse_stream *s, struct stream_choice *c, struct json delta, struct str text, bool ends)
{
    int r = heed_engine(c, delta);

    if (r == 0 && text.n)
        r = reply_chain_feed(&c->chain, text);
    if (r == 0 && ends)
        r = finish_choice(s, c);
    return r;
}

/* *SILENT stays true when the choice needs no event. */
static int take_choice(struct parse_stream *s, struct json choice, bool *silent)
{
    struct json delta = json_get(choice, STR("delta")), content = json_get(delta, STR("content"));
    struct json reason = json_get(choice, STR("finish_reason"));
    struct str text = has_text(content) ? json_str(content, &s->scratch) : STR_NONE;
    uint64_t index = 0;
    struct stream_choice *c;
    bool same;
    int r = 0;

    if (json_to_u64(json_get(choice, STR("index")), &index) < 0)
        index = 0;
    c = choice_of(s, index, &r);
    if (!c || c->finished || s->scratch.failed) {
        *silent = false;
        return s->scratch.failed ? ERR_NOMEM : r;
    }
    s->choice = c;
    s->has_piece = s->copied = false;
    r = feed_choice(s, c, delta, text, has_text(reason));
    if (r < 0)
        return r;
    if (!text.n)
        send_piece(s); /* there is no content whose place it could take */
    same = text.n == 0 || (s->has_piece && !s->copied && s->kind == PIECE_TEXT && str_eq(buf_str(&s->piece), text));
    if (!same)
        patch_content(s, delta, content);
    if (c->chain.calls_n && has_text(reason))
        patch_reason(s, reason);
    s->outcome.changed |= !same || s->copied;
    if (same || s->has_piece || says_more(choice, delta))
        *silent = false;
    return s->piece.failed || s->skeleton.failed ? ERR_NOMEM : 0;
}

/* ---- one event ---- */

/* The next line of *REST without its end; false when there is none. */
static bool next_line(struct str *rest, struct str *ret)
{
    size_t end;

    if (!rest->n)
        return false;
    end = str_find_char(*rest, '\n');
    *ret = str_first(*rest, end);
    *rest = str_skip(*rest, end == STR_NPOS ? rest->n : end + 1);
    if (ret->n && ret->p[ret->n - 1] == '\r')
        ret->n--;
    return true;
}

static bool is_data(struct str line, struct str *ret)
{
    if (!str_has_prefix(line, STR("data:")))
        return false;
    *ret = str_skip(line, 5);
    if (ret->n && ret->p[0] == ' ')
        *ret = str_skip(*ret, 1);
    return true;
}

/* The data of an event; several lines are one text. Empty: there is none. */
static struct str data_of(struct parse_stream *s, struct str raw)
{
    struct str line, one, data = STR_NONE;
    unsigned n = 0;

    while (next_line(&raw, &line)) {
        if (!is_data(line, &one))
            continue;
        if (++n == 1) {
            data = one;
            continue;
        }
        if (n == 2) {
            buf_clear(&s->joined);
            buf_put(&s->joined, data);
        }
        buf_put_char(&s->joined, '\n');
        buf_put(&s->joined, one);
        data = buf_str(&s->joined);
    }
    return data;
}

/* The event with its patches; its other lines as they are. */
static void put_changed(struct parse_stream *s, struct str raw, struct str data)
{
    struct str line, one;
    size_t at;

    while (next_line(&raw, &line)) {
        if (!line.n || is_data(line, &one))
            continue;
        buf_put(s->out, line);
        buf_put_char(s->out, '\n');
    }
    buf_puts(s->out, "data: ");
    at = s->out->n;
    patches_apply(&s->patches, data, s->out);
    for (; at < s->out->n; at++) /* between the tokens of a JSON text of several lines: a blank does as well */
        if (s->out->p[at] == '\n')
            s->out->p[at] = ' ';
    buf_puts(s->out, "\n\n");
}

static int take_chunk(struct parse_stream *s, struct str raw, struct str data)
{
    struct json_doc doc;
    struct json_iter it;
    struct json choices;
    bool silent = true;
    int r;

    arena_fini(&s->scratch);
    r = json_parse(data, &s->scratch, &doc, NULL);
    choices = r == 0 ? json_get(json_root(&doc), STR("choices")) : JSON_NONE;
    if (r == ERR_NOMEM)
        return r;
    if (!json_is(choices, JSON_ARRAY) || !json_count(choices)) { /* usage, an error, what is no JSON */
        buf_put(s->out, raw);
        return 0;
    }
    if (!s->skeleton.n)
        make_skeleton(s, json_root(&doc));
    patches_clear(&s->patches);
    it = json_iter(choices);
    r = 0;
    while (r == 0 && json_next(&it))
        r = take_choice(s, it.value, &silent);
    if (r < 0)
        return r;
    if (silent && json_is_null(json_get(json_root(&doc), STR("usage"))))
        return 0;
    if (s->patches.list.n)
        put_changed(s, raw, data);
    else
        buf_put(s->out, raw);
    return 0;
}

static int take_event(struct parse_stream *s, struct str raw)
{
    struct str data = data_of(s, raw);
    int r = 0;

    if (s->joined.failed)
        return ERR_NOMEM;
    if (data.n && data.p[0] == '{')
        return take_chunk(s, raw, data);
    if (str_eq(str_trim(data), STR("[DONE]")))
        r = finish_choices(s);
    buf_put(s->out, raw);
    return r;
}

/* ---- bytes to events ---- */

/* The length of BYTES up to the end of the event that s->block begins, or 0: it is not there yet. */
static size_t event_end(struct parse_stream *s, struct str bytes)
{
    size_t line = 0; /* where the current line begins in BYTES */

    for (;;) {
        size_t end = str_find_char(str_skip(bytes, line), '\n');
        struct str piece = str_first(str_skip(bytes, line), end);
        bool cr = s->line_n ? s->line_cr : piece.n && piece.p[0] == '\r';

        if (end == STR_NPOS) {
            s->line_n += piece.n;
            s->line_cr = cr;
            return 0;
        }
        line += end + 1;
        if (s->line_n + piece.n == 0 || (s->line_n + piece.n == 1 && cr)) {
            s->line_n = 0;
            return line;
        }
        s->line_n = 0;
    }
}

static int describe(struct parse_stream *s, int r, struct err *err)
{
    const char *why = s->choice && s->choice->chain.err.message[0] ? s->choice->chain.err.message : err_text(r);

    return err && err->code ? r : err_set(err, r, "%s", why);
}

int parse_stream_feed(struct parse_stream *s, struct str bytes, struct buf *out, struct err *err)
{
    int r = 0;

    s->out = out;
    while (bytes.n && r == 0) {
        size_t end = event_end(s, bytes);
        struct str piece = str_first(bytes, end ? end : bytes.n);

        if (s->block.n + piece.n > PARSE_EVENT_MAX)
            return err_set(err, ERR_LIMIT, "Event too long: more than %u bytes", PARSE_EVENT_MAX);
        bytes = str_skip(bytes, piece.n);
        if (s->block.n || !end)
            buf_put(&s->block, piece);
        if (s->block.failed)
            r = ERR_NOMEM;
        else if (end) {
            r = take_event(s, s->block.n ? buf_str(&s->block) : piece);
            buf_clear(&s->block);
        }
    }
    if (r == 0 && out->failed)
        r = ERR_NOMEM;
    return r < 0 ? describe(s, r, err) : 0;
}

int parse_stream_end(struct parse_stream *s, struct buf *out, struct err *err)
{
    int r = 0;

    s->out = out;
    if (s->block.n)
        r = take_event(s, buf_str(&s->block));
    buf_clear(&s->block);
    if (r == 0)
        r = finish_choices(s);
    if (r == 0 && out->failed)
        r = ERR_NOMEM;
    return r < 0 ? describe(s, r, err) : 0;
}

const struct parse_outcome *parse_stream_outcome(const struct parse_stream *s)
{
    return &s->outcome;
}

/* ---- life ---- */

int parse_stream_new(const struct parse_order *order, struct arena_cache *cache, struct parse_stream **ret)
{
    struct parse_stream *s = calloc(1, sizeof(*s));
    int r = 0;

    if (!s)
        return ERR_NOMEM;
    s->order = order;
    arena_init(&s->arena, cache, /* max_bytes= */ 0);
    arena_init(&s->scratch, cache, /* max_bytes= */ 0);
    s->tools.arena = &s->arena;
    if (order->calls && order->tools.n) {
        r = json_parse(order->tools, &s->arena, &s->tools_doc, NULL);
        if (r == 0)
            r = toolcall_tools_read(json_root(&s->tools_doc), &s->arena, &s->tools);
    }
    if (r < 0) {
        parse_stream_free(s);
        return r;
    }
    *ret = s;
    return 0;
}

void parse_stream_free(struct parse_stream *s)
{
    if (!s)
        return;
    for (unsigned i = 0; i < s->choices_n; i++)
        reply_chain_fini(&s->choices[i]->chain);
    buf_fini(&s->block);
    buf_fini(&s->joined);
    buf_fini(&s->skeleton);
    buf_fini(&s->piece);
    patches_fini(&s->patches);
    arena_fini(&s->scratch);
    arena_fini(&s->arena);
    free(s);
}
