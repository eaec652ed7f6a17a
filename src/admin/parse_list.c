/* admin/parse_list.c -- GET /parse/parsers: both registries as they are, by kind and name */
#include "admin/parse.h"

#include "admin/body.h"
#include "json/json_write.h"
#include "text/reasoning/reasoning.h"
#include "text/toolcall/constraint.h"
#include "text/toolcall/toolcall.h"

static void put_tool_parsers(struct json_writer *w)
{
    size_t n;
    const struct toolcall_format *const *formats = toolcall_formats(&n);

    for (size_t i = 0; i < n; i++) {
        json_object(w);
        json_put_str(w, "name", toolcall_name(formats[i]));
        json_put_str(w, "kind", STR("tool_call"));
        json_put_array(w, "aliases");
        for (const char *const *a = toolcall_aliases(formats[i]); *a; a++)
            json_value_str(w, str_of(*a));
        json_end(w);
        json_put_str(w, "format", toolcall_summary(formats[i]));
        json_put_bool(w, "structural_tag", constraint_has_tag(formats[i]));
        json_end(w);
    }
}

static void put_reasoning_parsers(struct json_writer *w)
{
    size_t n, aliases_n;
    const struct reasoning_format *const *formats = reasoning_formats(&n);

    for (size_t i = 0; i < n; i++) {
        const struct str *aliases = reasoning_aliases(formats[i], &aliases_n);

        json_object(w);
        json_put_str(w, "name", reasoning_name(formats[i]));
        json_put_str(w, "kind", STR("reasoning"));
        json_put_array(w, "aliases");
        for (size_t a = 0; a < aliases_n; a++)
            json_value_str(w, aliases[a]);
        json_end(w);
        json_put_str(w, "format", reasoning_summary(formats[i]));
        json_end(w);
    }
}

void admin_list_parsers(struct exchange *ex, void *context)
{
    _cleanup_(buf_fini) struct buf out = { 0 };
    struct json_writer w;

    (void)context;
    json_begin(&w, &out);
    json_object(&w);
    json_put_array(&w, "parsers");
    put_tool_parsers(&w);
    put_reasoning_parsers(&w);
    json_end(&w);
    json_end(&w);
    if (out.failed)
        admin_refuse_memory(ex);
    else
        exchange_reply(ex, 200, TYPE_JSON, buf_str(&out));
}
