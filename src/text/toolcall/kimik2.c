/* text/toolcall/kimik2.c -- <|tool_call_begin|>functions.F:0<|tool_call_argument_begin|>{...}<|tool_call_end|>: Kimi K2 (spec 6.14)
 *
 *   TEXT --section--> SECTION --call--> ID --separator--> ARGUMENTS --object--> CLOSER --end, or what may stand for it--> SECTION
 *     +---------------------------------^   +----- no id, no object, no end -----+--> SKIP --end--> SECTION       (dropped)
 *
 * The section's tokens may be missing. Arguments are given out as they stand. A call's end is looked for behind its arguments, so that they may hold any marker; it may be missing where the
 * reply or the section ends, or another call begins. What stands between section and calls is markup; text behind the first call is left out, as SMG does.
 * outside() leaves TEXT, section() SECTION, id() ID, arguments() ARGUMENTS, closer() CLOSER, skip() SKIP; enter() sets the phase.
 */
#include <string.h>

#include "text/toolcall/format.h"

enum { TEXT, SECTION, ID, ARGUMENTS, CLOSER, SKIP };
enum { SECTION_BEGIN, CALL_BEGIN, SECTION_END, CALL_END };

#define ID_MAX 512 /* bytes of an id */

struct state {
    struct markers openers; /* the first two of MARKERS */
    struct markers all;
    struct json_scan scan;
    uint8_t phase;
    bool in_section; /* its beginning was seen */
    size_t id_end;   /* in the block, as all of these */
    size_t name_at, name_n;
    size_t value_at, value_end; /* value_at 0: not found yet */
};

static const struct str MARKERS[] = { STR_INIT("<|tool_calls_section_begin|>"), STR_INIT("<|tool_call_begin|>"),
                                      STR_INIT("<|tool_calls_section_end|>"), STR_INIT("<|tool_call_end|>") };
static const struct str SEP = STR_INIT("<|tool_call_argument_begin|>");

static void start(struct toolcall_parser *p)
{
    struct state *s = p->state;
    markers_init(&s->openers, MARKERS, 2);
    markers_init(&s->all, MARKERS, ARRAY_LEN(MARKERS));
    p->drop_after = true;
}

static void enter(struct toolcall_parser *p, uint8_t phase)
{
    struct state *s = p->state;
    s->phase = phase;
    p->in_call = phase != TEXT;
}

/* The first N bytes of TEXT are used, and are nothing. */
static size_t drop(struct toolcall_parser *p, struct str text, size_t n, uint8_t phase)
{
    parser_drop(p, str_first(text, n));
    enter(p, phase);
    return n;
}

static size_t tell(struct toolcall_parser *p, struct str text, size_t end)
{
    struct state *s = p->state;
    parser_call(p, (struct str){ text.p + s->name_at, s->name_n },
                (struct str){ text.p + s->value_at, s->value_end - s->value_at });
    enter(p, SECTION);
    return end;
}

static size_t blanks(struct str text, size_t at)
{
    while (at < text.n && text.p[at] && strchr(" \t\r\n", text.p[at]))
        at++;
    return at;
}

static size_t closer(struct toolcall_parser *p, struct str text, bool ended)
{
    struct state *s = p->state;
    size_t at;
    p->seen = blanks(text, p->seen);
    int marker = markers_find(&s->all, str_skip(text, p->seen), 0, ended, &at);
    if (p->seen == text.n && ended)
        return tell(p, text, text.n);
    if (at == 0 && marker == CALL_END)
        return tell(p, text, p->seen + MARKERS[CALL_END].n);
    if (at == 0 && marker >= 0)
        return tell(p, text, p->seen);
    if (at == 0)
        return 0;
    return drop(p, text, p->seen, SKIP);
}

static size_t arguments(struct toolcall_parser *p, struct str text, bool ended)
{
    struct state *s = p->state;
    size_t used;
    if (!s->value_at) {
        p->seen = blanks(text, p->seen);
        if (p->seen == text.n && !ended)
            return 0;
        if (p->seen == text.n || text.p[p->seen] != '{')
            return drop(p, text, p->seen, SKIP);
        s->value_at = p->seen;
        json_scan_init(&s->scan);
    }
    enum json_scan_result r = json_scan_feed(&s->scan, str_skip(text, p->seen), &used);
    p->seen += used;
    if (r == JSON_SCAN_BAD || (r == JSON_SCAN_MORE && ended))
        return drop(p, text, p->seen, SKIP);
    if (r == JSON_SCAN_MORE)
        return 0;
    s->value_end = p->seen;
    enter(p, CLOSER);
    return closer(p, text, ended);
}

/* functions.NAME:DIGITS with white space around it; the prefix may be missing. */
static bool read_id(struct state *s, struct str text)
{
    static const struct str PREFIX = STR_INIT("functions.");
    struct str id = arguments_trim((struct str){ text.p + MARKERS[CALL_BEGIN].n, s->id_end - MARKERS[CALL_BEGIN].n });
    size_t colon = str_rfind_char(id, ':');
    if (colon == STR_NPOS || colon + 1 == id.n)
        return false;
    for (size_t i = colon + 1; i < id.n; i++)
        if (id.p[i] < '0' || id.p[i] > '9')
            return false;
    struct str name = str_first(id, colon);
    if (str_has_prefix(name, PREFIX))
        name = str_skip(name, PREFIX.n);
    for (size_t i = 0; i < name.n; i++)
        if ((uint8_t)name.p[i] <= ' ')
            return false;
    s->name_at = (size_t)(name.p - text.p);
    s->name_n = name.n;
    return name.n > 0;
}

/* Outside a section what opened nothing was a word about tokens: only the opener goes. */
static size_t no_id(struct toolcall_parser *p, struct str text)
{
    struct state *s = p->state;
    return drop(p, text, MARKERS[CALL_BEGIN].n, s->in_section ? SKIP : TEXT);
}

static size_t id(struct toolcall_parser *p, struct str text, bool ended)
{
    struct state *s = p->state;
    const char *found = memchr(text.p + p->seen, '<', text.n - p->seen);
    s->id_end = found ? (size_t)(found - text.p) : text.n;
    p->seen = s->id_end;
    struct str rest = str_skip(text, s->id_end);
    if (s->id_end > MARKERS[CALL_BEGIN].n + ID_MAX ||
        (!str_has_prefix(rest, SEP) && (ended || (rest.n && !str_has_prefix(SEP, rest)))))
        return no_id(p, text);
    if (!str_has_prefix(rest, SEP))
        return 0;
    if (!read_id(s, text))
        return no_id(p, text);
    p->seen = s->id_end + SEP.n;
    s->value_at = 0;
    enter(p, ARGUMENTS);
    return arguments(p, text, ended);
}

static size_t open_call(struct toolcall_parser *p, struct str text, bool ended)
{
    p->seen = MARKERS[CALL_BEGIN].n;
    enter(p, ID);
    return id(p, text, ended);
}

static size_t section(struct toolcall_parser *p, struct str text, bool ended)
{
    struct state *s = p->state;
    size_t at;
    int marker = markers_find(&s->all, text, 0, ended, &at);
    if (at)
        return drop(p, text, at, SECTION);
    if (marker < 0)
        return 0;
    if (marker == CALL_BEGIN)
        return open_call(p, text, ended);
    s->in_section = marker != SECTION_END && (s->in_section || marker == SECTION_BEGIN);
    return drop(p, text, MARKERS[marker].n, marker == SECTION_END ? TEXT : SECTION);
}

/* From a call that is none to its end, or to what may stand for it. */
static size_t skip(struct toolcall_parser *p, struct str text, bool ended)
{
    struct state *s = p->state;
    size_t at;
    int marker = markers_find(&s->all, text, 0, ended, &at);
    if (marker == CALL_END)
        return drop(p, text, at + MARKERS[CALL_END].n, SECTION);
    if (marker < 0 || at)
        return drop(p, text, at, marker < 0 ? SKIP : SECTION);
    enter(p, SECTION);
    return section(p, text, ended);
}

static size_t outside(struct toolcall_parser *p, struct str text, bool ended)
{
    struct state *s = p->state;
    int marker;
    size_t used = parser_text_until(p, &s->openers, text, ended, &marker);
    if (used || marker < 0)
        return used;
    if (marker == CALL_BEGIN)
        return open_call(p, text, ended);
    s->in_section = true;
    return drop(p, text, MARKERS[SECTION_BEGIN].n, SECTION);
}

static size_t step(struct toolcall_parser *p, struct str text, bool ended)
{
    struct state *s = p->state;
    switch (s->phase) {
    case TEXT:
        return outside(p, text, ended);
    case SECTION:
        return section(p, text, ended);
    case ID:
        return id(p, text, ended);
    case ARGUMENTS:
        return arguments(p, text, ended);
    case CLOSER:
        return closer(p, text, ended);
    default:
        return skip(p, text, ended);
    }
}

static const char *const ALIASES[] = { "kimi_k2", "kimi", "kimi_k25", NULL };
const struct toolcall_format TOOLCALL_KIMIK2 = {
    .name = "kimik2",
    .summary = "<|tool_calls_section_begin|><|tool_call_begin|>functions.F:0<|tool_call_argument_begin|>{...}<|tool_call_end|>"
               "<|tool_calls_section_end|>",
    .aliases = ALIASES,
    .state_bytes = sizeof(struct state),
    .start = start,
    .step = step,
};
