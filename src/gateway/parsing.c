/* gateway/parsing.c -- which parsers --reasoning-parser and --tool-call-parser name (spec parsers 1) */
#include "gateway/gateway_internal.h"

#include "base/log.h"
#include "text/reasoning/reasoning.h"
#include "text/toolcall/toolcall.h"

#define TARGET      "smg::gateway"
#define NAMES_SHOWN 380 /* bytes of the list in an error, which has room for no more */

static bool is_automatic(struct str name)
{
    return name.n == 0 || str_eq_nocase(str_trim(name), STR("auto"));
}

static void add_name(struct buf *names, struct str name)
{
    if (names->n)
        buf_puts(names, ", ");
    buf_put(names, name);
}

/* NAMES: all that there are. Takes it. */
static int refuse(const char *kind, struct str name, struct buf *names, struct err *err)
{
    bool more = names->n > NAMES_SHOWN;
    int r;

    log_error(TARGET, "a parser that is not known", LF_STR("parser", name), LF_STR("available", buf_str(names)));
    r = err_set(err, ERR_INVALID, "unknown %s parser '%.*s'; known: %.*s%s", kind, STR_FMT(str_first(name, 40)),
                STR_FMT(str_first(buf_str(names), NAMES_SHOWN)), more ? "..." : "");
    buf_fini(names);
    return r;
}

static int refuse_reasoning(struct str name, struct err *err)
{
    struct buf names = { 0 };
    size_t n;
    const struct reasoning_format *const *formats = reasoning_formats(&n);

    for (size_t i = 0; i < n; i++)
        add_name(&names, reasoning_name(formats[i]));
    return refuse("reasoning", name, &names, err);
}

static int refuse_calls(struct str name, struct err *err)
{
    struct buf names = { 0 };
    size_t n;
    const struct toolcall_format *const *formats = toolcall_formats(&n);

    for (size_t i = 0; i < n; i++)
        add_name(&names, toolcall_name(formats[i]));
    return refuse("tool-call", name, &names, err);
}

int gateway_make_parsing(struct gateway *g, struct err *err)
{
    const struct launch_config *c = g->config;

    g->parsing.on = c->parse_http_replies;
    if (!is_automatic(c->reasoning_parser)) {
        g->parsing.reasoning = reasoning_find(c->reasoning_parser);
        if (!g->parsing.reasoning)
            return refuse_reasoning(c->reasoning_parser, err);
    }
    if (!is_automatic(c->tool_call_parser)) {
        g->parsing.calls = toolcall_find(c->tool_call_parser);
        if (!g->parsing.calls)
            return refuse_calls(c->tool_call_parser, err);
    }
    return 0;
}
