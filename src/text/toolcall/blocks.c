/* text/toolcall/blocks.c */
#include "text/toolcall/blocks.h"

#include "text/toolcall/markup.h"

enum { TEXT, SECTION, UNIT, VALUE };
enum { SECTION_OPENER, OTHER_OPENER };             /* of `openers` */
enum { UNIT_OPENER, CLOSER_BETWEEN };              /* of `between` */
enum { UNIT_AGAIN, VALUE_WITHIN };                 /* of `again` */
enum { UNIT_CLOSER, CLOSER_WITHIN, VALUE_OPENER }; /* of `within` */

#define AGAIN SIZE_MAX /* the phase changed, nothing was used */

static void spell(struct blocks_state *s, const struct blocks *b)
{
    struct str between[] = { b->unit_opener, b->closer }, within[] = { b->unit_closer, b->closer, b->json_behind };
    struct str again[] = { b->unit_opener.n ? b->unit_opener : b->opener, b->value_opener };
    if (s->row == b)
        return;
    s->row = b;
    if (b->value_opener.n)
        markers_init(&s->again, again, ARRAY_LEN(again));
    if (b->unit_opener.n) {
        markers_init(&s->between, between, 2);
        markers_init(&s->within, within, b->json_behind.n ? 3 : 2);
    } else
        markers_init(&s->within, &b->closer, 1);
}

void blocks_start(struct toolcall_parser *p, const struct blocks *b)
{
    struct blocks_state *s = p->state;
    struct str openers[] = { b->opener, b->other ? b->other->opener : b->unit_opener };
    markers_init(&s->openers, openers, b->other || b->reopens ? 2 : 1);
    spell(s, b);
    p->drop_after = !b->keep_after;
}

/* The section ends with BLOCK, the bytes of it that were not used yet, of which PLACED are done with. */
static size_t leave(struct toolcall_parser *p, const struct blocks *b, struct str block, size_t placed)
{
    struct blocks_state *s = p->state;
    s->phase = TEXT;
    p->in_call = false;
    if (s->calls || b->empty == BLOCKS_GONE)
        return block.n;
    if (b->empty == BLOCKS_TEXT && !p->calls)
        parser_text(p, str_skip(block, placed));
    else
        parser_drop(p, str_skip(block, placed));
    return block.n;
}

/* Behind a unit that ends at END, told or not. */
static size_t behind_unit(struct toolcall_parser *p, size_t end)
{
    struct blocks_state *s = p->state;
    s->phase = SECTION;
    if (s->calls)
        return end;
    p->seen = end;
    return AGAIN;
}

static void enter_value(struct toolcall_parser *p)
{
    struct blocks_state *s = p->state;
    s->phase = VALUE;
    s->value_at = p->seen;
    json_scan_init(&s->scan);
}

/* The JSON of a unit. Where it turns out to be none, its closer is looked for from its beginning. */
static size_t value(struct toolcall_parser *p, struct str text, bool ended)
{
    struct blocks_state *s = p->state;
    size_t used;
    enum json_scan_result r = json_scan_feed(&s->scan, str_skip(text, p->seen), &used);
    p->seen += used;
    if (r == JSON_SCAN_MORE && !ended)
        return 0;
    if (r != JSON_SCAN_DONE)
        p->seen = s->value_at;
    s->phase = UNIT;
    return AGAIN;
}

/* JSON stands behind the tag: what looks like markup is in its strings. */
static bool holds_json(struct str unit)
{
    struct str attributes, rest;
    return markup_tag(unit, &attributes, &rest) && str_has_prefix(arguments_trim(rest), STR("{"));
}

/* Where another unit begins in UNIT, outside its values, or STR_NPOS; *RET_VALUES: some stood in front of it. */
static size_t next_unit(const struct blocks_state *s, const struct blocks *b, struct str unit, bool *ret_values)
{
    size_t at, from = 0;
    int marker;
    *ret_values = false;
    while ((marker = markers_find(&s->again, unit, from, true, &at)) == VALUE_WITHIN) {
        size_t end = str_find(str_skip(unit, at), b->value_closer);
        if (end == STR_NPOS)
            return STR_NPOS;
        from = at + end + b->value_closer.n;
        *ret_values = true;
    }
    return marker < 0 || (b->json_body && holds_json(str_first(unit, at))) ? STR_NPOS : at;
}

#define END_BEGINS 4 /* bytes of a closer: what is left of a damaged one */

/* The unit that ends at END, and those in it that others began in. Returns how many bytes of TEXT have found their place. */
static size_t tell_units(struct toolcall_parser *p, const struct blocks *b, struct str text, size_t end, bool closed)
{
    struct blocks_state *s = p->state;
    struct str rest = { text.p + s->unit_at, end - s->unit_at };
    struct str end_begins = str_first(b->unit_closer.n ? b->unit_closer : b->closer, END_BEGINS);
    size_t at, placed = 0;
    bool values;
    while (b->value_opener.n && (at = next_unit(s, b, rest, &values)) != STR_NPOS) {
        struct str front = str_first(rest, at);
        bool counts = values || str_find(front, end_begins) != STR_NPOS;
        bool told = counts && b->unit(p, front, true);
        rest = str_skip(rest, at + s->again.strings[UNIT_AGAIN].n);
        s->calls |= told;
        if (b->unit_opener.n)
            continue;
        struct str bytes = str_range(text.p + placed, front.p + front.n);
        if (!told && !counts && arguments_trim(front).n)
            parser_text(p, bytes);
        else if (!told)
            parser_drop(p, bytes);
        placed += bytes.n;
    }
    s->calls |= b->unit(p, rest, closed);
    return placed;
}

static size_t unit(struct toolcall_parser *p, const struct blocks *b, struct str text, bool ended)
{
    struct blocks_state *s = p->state;
    size_t at;
    int marker = markers_find(&s->within, text, p->seen, ended, &at);
    if (marker < 0 && !ended) {
        p->seen = at;
        return 0;
    }
    if (marker == VALUE_OPENER) {
        p->seen = at + b->json_behind.n;
        if (!s->value_at)
            enter_value(p);
        return AGAIN;
    }
    bool closed = marker == UNIT_CLOSER;
    size_t placed = tell_units(p, b, text, at, closed);
    if (marker < 0)
        return leave(p, b, text, placed);
    if (!b->unit_opener.n || !closed)
        return leave(p, b, str_first(text, at + b->closer.n), placed);
    return behind_unit(p, at + b->unit_closer.n);
}

static size_t section(struct toolcall_parser *p, const struct blocks *b, struct str text, bool ended)
{
    struct blocks_state *s = p->state;
    size_t at;
    int marker = markers_find(&s->between, text, p->seen, ended, &at);
    if (marker == UNIT_OPENER) {
        s->phase = UNIT;
        s->value_at = 0;
        s->unit_at = p->seen = at + b->unit_opener.n;
        return AGAIN;
    }
    if (marker == CLOSER_BETWEEN)
        return leave(p, b, str_first(text, at + b->closer.n), 0);
    if (ended)
        return leave(p, b, text, 0);
    p->seen = at;
    return s->calls ? at : 0;
}

/* Text from the front of which no white space is given out before something else follows; only the opener makes it go. */
static size_t text_trimmed(struct toolcall_parser *p, const struct blocks *b, struct str text, bool ended, int *ret_marker)
{
    struct blocks_state *s = p->state;
    size_t at, from = p->seen;
    *ret_marker = markers_find(&s->openers, text, from, ended, &at);
    if (*ret_marker < 0 && ended) {
        parser_text(p, text);
        return text.n;
    }
    if (*ret_marker < 0)
        at = arguments_whole_characters(str_first(text, at));
    struct str core = arguments_trim((struct str){ text.p + from, at - from });
    if (!core.n) { /* white space only, so far */
        p->seen = at;
        if (*ret_marker < 0)
            return 0;
        if (b->empty != BLOCKS_GONE)
            parser_drop(p, str_first(text, at));
        return at;
    }
    size_t used = (size_t)(core.p - text.p) + core.n;
    parser_text(p, str_first(text, used));
    return used;
}

/* What is neither a section nor content. */
static size_t text_gone(struct toolcall_parser *p, struct str text, bool ended, int *ret_marker)
{
    struct blocks_state *s = p->state;
    size_t at;
    *ret_marker = markers_find(&s->openers, text, 0, ended, &at);
    return at;
}

/* A unit without a section around it. */
static size_t unit_alone(struct toolcall_parser *p, const struct blocks *b, struct str text)
{
    struct blocks_state *s = p->state;
    if (!s->opened) {
        parser_text(p, str_first(text, b->unit_opener.n));
        return b->unit_opener.n;
    }
    s->phase = UNIT;
    s->unit_at = p->seen = b->unit_opener.n;
    s->value_at = 0;
    s->calls = false;
    p->in_call = true;
    return AGAIN;
}

static size_t text(struct toolcall_parser *p, const struct blocks *b, struct str text, bool ended)
{
    struct blocks_state *s = p->state;
    int marker;
    size_t used = s->gone          ? text_gone(p, text, ended, &marker)
                  : b->trim_before ? text_trimmed(p, b, text, ended, &marker)
                                   : parser_text_until(p, &s->openers, text, ended, &marker);
    if (used || marker < 0)
        return used;
    if (marker == OTHER_OPENER && b->reopens)
        return unit_alone(p, b, text);
    spell(s, marker ? b->other : b);
    s->phase = s->row->unit_opener.n ? SECTION : UNIT;
    s->unit_at = p->seen = s->row->opener.n;
    s->calls = false;
    s->opened = true;
    s->gone = b->empty == BLOCKS_GONE;
    p->in_call = true;
    return AGAIN;
}

size_t blocks_step(struct toolcall_parser *p, const struct blocks *b, struct str bytes, bool ended)
{
    struct blocks_state *s = p->state;
    size_t used;
    do
        used = s->phase == TEXT      ? text(p, b, bytes, ended)
               : s->phase == SECTION ? section(p, s->row, bytes, ended)
               : s->phase == VALUE   ? value(p, bytes, ended)
                                     : unit(p, s->row, bytes, ended);
    while (used == AGAIN);
    return used;
}
