/* inference/json_mode.c -- replies of engines that let a JSON schema bind the model to call (spec parsers 4.3, 4.5)
 *
 *   tool_choice                              the reply
 *   required, allowed_tools(required)        [{"name": F, "parameters": {...}}, ...]
 *   a function F                             F's arguments: any JSON value; or, as SGLang has it, F in such a list, or one such object
 *
 * Nobody says whether an engine did that or let the model write its own markup, so the text decides. While all that came may be such JSON it is held; what begins otherwise, or goes on otherwise
 * behind it, is the model's own at once:
 *
 *   BLANK --'[', or what else may begin--> VALUE --its end--> BEHIND        white space may follow, nothing else
 *
 * At the end, what is held whole is the calls that it says. Formats that are bare JSON themselves (json, llama) come first: where the model's parser leaves no text and finds a call of an offered
 * function, what it finds counts; {"name": "Bob"} for a function that has a parameter of that name is no call of Bob. A list without calls, [] too, is text, as the engine ended it
 * (BETTER than SMG's empty tool_calls). Nothing is told before the end, for JSON that breaks off is text, whole and streamed alike.
 */
#include "inference/parsed.h"

#include <assert.h>
#include <string.h>

#include "text/toolcall/arguments.h"

#define JSON_BLANKS " \t\r\n"

/* ---- while it comes ---- */

static void enter(struct json_hold *h, enum json_hold_state state)
{
    assert(state == h->state + 1);
    h->state = state;
    if (state == HOLD_VALUE)
        json_scan_init(&h->scan);
}

void json_hold_clear(struct json_hold *h)
{
    buf_fini(&h->text);
    *h = (struct json_hold){ 0 };
}

static struct str skip_blanks(struct str s)
{
    size_t n = 0;

    while (n < s.n && strchr(JSON_BLANKS, s.p[n]) && s.p[n])
        n++;
    return str_skip(s, n);
}

/* Whether the value may begin so, any function being called for. */
static bool may_begin(const struct parse_order *order, char c)
{
    return order->function.n || c == '[';
}

bool json_hold_feed(struct json_hold *h, const struct parse_order *order, struct str text)
{
    struct str rest = text;
    size_t used;

    if (h->state == HOLD_BLANK) {
        rest = skip_blanks(rest);
        if (rest.n && !may_begin(order, rest.p[0]))
            return false;
        if (rest.n)
            enter(h, HOLD_VALUE);
    }
    if (h->state == HOLD_VALUE) {
        enum json_scan_result r = json_scan_feed(&h->scan, rest, &used);

        if (r == JSON_SCAN_BAD)
            return false;
        rest = str_skip(rest, used);
        if (r == JSON_SCAN_DONE)
            enter(h, HOLD_BEHIND);
    }
    if (h->state == HOLD_BEHIND && skip_blanks(rest).n)
        return false;
    buf_put(&h->text, text);
    return true;
}

/* ---- when it is whole ---- */

/* {"name": FUNCTION, or any name, "parameters": ...} */
static bool is_call(struct json v, struct json function, struct arena *arena)
{
    struct json name = json_get(v, STR("name"));

    return json_is(name, JSON_STRING) && json_exists(json_get(v, STR("parameters"))) &&
           (!json_exists(function) || json_str_eq(name, json_str(function, arena)));
}

static bool are_calls(struct json list, struct json function, struct arena *arena)
{
    struct json_iter it = json_iter(list);

    while (json_next(&it))
        if (!is_call(it.value, function, arena))
            return false;
    return json_count(list) > 0;
}

static struct toolcall_call call(struct json name, struct json arguments, struct arena *arena, struct buf *work)
{
    buf_clear(work);
    arguments_compact(arguments, arena, work);
    arena->failed |= work->failed;
    return (struct toolcall_call){ json_str(name, arena), arena_str(arena, buf_str(work)) };
}

/* Elements that are no calls are left out. */
static struct toolcall_result listed(struct json list, struct arena *arena, struct buf *work)
{
    struct toolcall_result r = { .calls = arena_array(arena, json_count(list) + 1, sizeof *r.calls) };
    struct json_iter it = json_iter(list);

    while (r.calls && json_next(&it))
        if (is_call(it.value, JSON_NONE, arena))
            r.calls[r.calls_n++] = call(json_get(it.value, STR("name")), json_get(it.value, STR("parameters")), arena, work);
    return r;
}

static struct toolcall_result one(struct json name, struct json arguments, struct arena *arena, struct buf *work)
{
    struct toolcall_result r = { .calls = arena_new(arena, struct toolcall_call) };

    if (r.calls)
        r.calls[r.calls_n++] = call(name, arguments, arena, work);
    return r;
}

/* FUNCTION: absent = any. */
static struct toolcall_result said(struct json root, struct json function, struct arena *arena, struct buf *work)
{
    if (!json_exists(function) || (json_is(root, JSON_ARRAY) && are_calls(root, function, arena)))
        return json_is(root, JSON_ARRAY) ? listed(root, arena, work) : (struct toolcall_result){ 0 };
    if (json_is(root, JSON_OBJECT) && is_call(root, function, arena))
        return one(function, json_get(root, STR("parameters")), arena, work);
    return one(function, root, arena, work);
}

/* Did the model's own parser read all of it as calls, one of which was offered? */
static bool is_models_own(const struct toolcall_result *r, const struct toolcall_tools *tools)
{
    for (size_t i = 0; i < r->calls_n; i++)
        if (toolcall_tool_find(tools, r->calls[i].name))
            return skip_blanks(r->text).n == 0;
    return false;
}

int json_mode_read(const struct parse_order *order, const struct toolcall_tools *tools, struct str text, struct arena *arena,
                   struct toolcall_result *ret)
{
    struct toolcall_result found, own = { 0 };
    struct json_doc doc, function_doc;
    struct json function = JSON_NONE;
    struct buf work = { 0 };
    int r = json_parse(text, arena, &doc, NULL);

    *ret = (struct toolcall_result){ 0 };
    if (r < 0)
        return r == ERR_NOMEM ? r : 0;
    if (order->function.n) {
        r = json_parse(order->function, arena, &function_doc, NULL);
        if (r < 0)
            return r;
        function = json_root(&function_doc);
    }
    found = said(json_root(&doc), function, arena, &work);
    buf_fini(&work);
    if (found.calls_n)
        r = toolcall_parse(order->calls, tools, text, arena, &own, /* err= */ NULL);
    if (arena->failed || r < 0)
        return ERR_NOMEM;
    *ret = is_models_own(&own, tools) ? own : found;
    return 0;
}
