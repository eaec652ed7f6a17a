/* cli/worker_list.c -- `smg worker list` and `smg worker get` */
#include <stdio.h>

#include "base/clock.h"
#include "base/ids.h"
#include "cli/text_table.h"
#include "cli/worker_client.h"

/* ---- options ---- */

struct list_config {
    struct gateway_options gateway;
    struct str model, status, type;
    int output;
};

struct get_config {
    struct gateway_options gateway;
    struct str target;
    int output;
};

static const struct option_name LIST_OUTPUTS[] = {
    { "table", OUTPUT_TABLE }, { "wide", OUTPUT_WIDE }, { "json", OUTPUT_JSON }, { 0 }
};

static const struct option LIST_OPTIONS[] = {
    { .name = "--model",
      .aliases = { "-m" },
      .type = OPT_STR,
      .at = offsetof(struct list_config, model),
      .value = "NAME",
      .group = "Which workers",
      .help = "those that serve this model (id or alias), and those that serve any" },
    { .name = "--status",
      .type = OPT_STR,
      .at = offsetof(struct list_config, status),
      .value = "STATUS",
      .help = "ready, not_ready, failed or draining" },
    { .name = "--type",
      .type = OPT_STR,
      .at = offsetof(struct list_config, type),
      .value = "TYPE",
      .help = "regular, prefill, decode or encode" },
    { .name = "--output",
      .aliases = { "-o" },
      .type = OPT_ENUM,
      .names = LIST_OUTPUTS,
      .at = offsetof(struct list_config, output),
      .def = "table",
      .group = "Output",
      .help = "table: what fits 80 columns; wide: more, and nothing shortened; json: what the API says, byte for byte" },
    GATEWAY_OPTIONS("30"),
};

const struct option_table WORKER_LIST_TABLE = {
    .command = "worker list",
    .summary = "Lists the workers of a gateway, in the order in which they were registered.",
    .notes =
        "The column ID shows the end of a worker's id, which every `smg worker` command takes for the whole. On a terminal that is "
        "too narrow, long URLs and model names lose their beginning; a pipe gets them whole. " GATEWAY_EXITS,
    .options = LIST_OPTIONS,
    .options_n = ARRAY_LEN(LIST_OPTIONS),
};

static const struct option GET_OPTIONS[] = {
    { .name = "WORKER",
      .type = OPT_STR,
      .at = offsetof(struct get_config, target),
      .flags = OPT_REQUIRED,
      .group = "Worker",
      .help = "its id, the beginning or end of it (4 characters or more), or its URL" },
    { .name = "--output",
      .aliases = { "-o" },
      .type = OPT_ENUM,
      .names = WORKER_OUTPUTS,
      .at = offsetof(struct get_config, output),
      .def = "table",
      .group = "Output",
      .help = "table: one line per member; json: what the API says, byte for byte" },
    GATEWAY_OPTIONS("30"),
};

const struct option_table WORKER_GET_TABLE = {
    .command = "worker get",
    .summary = "Shows one worker, and its job while it has one.",
    .notes = GATEWAY_EXITS,
    .options = GET_OPTIONS,
    .options_n = ARRAY_LEN(GET_OPTIONS),
};

/* ---- list ---- */

/* "?model=..&status=.." */
static void put_query(struct buf *out, const char *key, struct str value)
{
    static const char HEX[] = "0123456789ABCDEF";

    if (!value.p)
        return;
    buf_printf(out, "%c%s=", str_find_char(buf_str(out), '?') == STR_NPOS ? '?' : '&', key);
    for (size_t i = 0; i < value.n; i++) {
        unsigned char c = (unsigned char)value.p[i];

        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' ||
            c == '~') {
            buf_put_char(out, (char)c);
        } else {
            buf_put_char(out, '%');
            buf_put_char(out, HEX[c >> 4]);
            buf_put_char(out, HEX[c & 15]);
        }
    }
}

static struct str member(struct json worker, const char *key, struct gateway_reply *r)
{
    struct json v = json_get(worker, str_of(key));

    return text_clean(json_is(v, JSON_STRING) ? json_str(v, &r->arena) : json_is_null(v) ? STR("-") : json_raw(v), &r->arena);
}

static struct str short_id(struct json worker, struct gateway_reply *r)
{
    struct str id = member(worker, "id", r);

    return id.n == UUID_TEXT_LEN ? str_skip(id, 24) : id; /* the last group: random, unlike the first */
}

static struct str models_of(struct json worker, struct gateway_reply *r)
{
    struct json models = json_get(worker, STR("models"));
    size_t n = json_count(models);
    struct str first = n ? member(json_at(models, 0), "id", r) : STR("(any)");

    return n > 1 ? arena_printf(&r->arena, "%.*s +%zu", STR_FMT(first), n - 1) : first;
}

static int print_table(struct gateway_reply *r)
{
    static const struct text_column COLUMNS[] = {
        { "ID" }, { "URL", .shrinks = true }, { "MODEL", .shrinks = true }, { "TYPE" }, { "STATUS" }, { "LOAD", .right = true },
    };
    struct json_iter it = json_iter(json_get(json_root(&r->doc), STR("workers")));
    struct text_table t;
    int status;

    text_table_init(&t, COLUMNS, ARRAY_LEN(COLUMNS));
    while (json_next(&it)) {
        text_table_cell(&t, short_id(it.value, r));
        text_table_cell(&t, member(it.value, "url", r));
        text_table_cell(&t, models_of(it.value, r));
        text_table_cell(&t, member(it.value, "worker_type", r));
        text_table_cell(&t, member(it.value, "status", r));
        text_table_cell(&t, member(it.value, "load", r));
    }
    status = text_table_print(&t);
    text_table_fini(&t);
    return status;
}

static int print_wide(struct gateway_reply *r)
{
    static const struct text_column COLUMNS[] = {
        { "ID" },
        { "URL" },
        { "MODEL" },
        { "TYPE" },
        { "RUNTIME" },
        { "STATUS" },
        { "LOAD", .right = true },
        { "PRIORITY", .right = true },
        { "COST", .right = true },
        { "KEY" },
    };
    struct json_iter it = json_iter(json_get(json_root(&r->doc), STR("workers")));
    _cleanup_(buf_fini) struct buf out = { 0 };
    struct text_table t;

    text_table_init(&t, COLUMNS, ARRAY_LEN(COLUMNS));
    while (json_next(&it)) {
        text_table_cell(&t, member(it.value, "id", r));
        text_table_cell(&t, member(it.value, "url", r));
        text_table_cell(&t, models_of(it.value, r));
        text_table_cell(&t, member(it.value, "worker_type", r));
        text_table_cell(&t, member(it.value, "runtime_type", r));
        text_table_cell(&t, member(it.value, "status", r));
        text_table_cell(&t, member(it.value, "load", r));
        text_table_cell(&t, member(it.value, "priority", r));
        text_table_cell(&t, member(it.value, "cost", r));
        text_table_cell(&t, json_is(json_get(it.value, STR("has_api_key")), JSON_TRUE) ? STR("yes") : STR("no"));
    }
    text_table_render(&t, /* width= */ 0, &out);
    text_table_fini(&t);
    return cli_print(&out);
}

static int run_list(struct gateway_client *g, void *config, struct arena *arena)
{
    const struct list_config *c = config;
    _cleanup_(buf_fini) struct buf path = { 0 };
    struct gateway_reply r;
    int status;

    (void)arena;
    buf_puts(&path, "/workers");
    put_query(&path, "model", c->model);
    put_query(&path, "status", c->status);
    put_query(&path, "worker_type", c->type);
    if (path.failed)
        return cli_fail(&(struct err){ .code = ERR_NOMEM });
    status = gateway_do(g, HTTP_GET, buf_str(&path), STR_NONE, /* accept= */ 0, &r);
    if (status == CLI_OK && c->output == OUTPUT_JSON)
        status = gateway_print(&r);
    else if (status == CLI_OK)
        status = c->output == OUTPUT_WIDE ? print_wide(&r) : print_table(&r);
    gateway_reply_fini(&r);
    return status;
}

int cli_worker_list(int argc, const char *const *argv)
{
    struct list_config config;

    return cli_run_with_gateway(&WORKER_LIST_TABLE, argc, argv, &config, sizeof config, run_list);
}

/* ---- get ---- */

static void put_line(struct buf *out, struct str key, struct str value)
{
    buf_printf(out, "%-32.*s %.*s\n", STR_FMT(key), STR_FMT(value));
}

/* "a, b": the ids of model cards. */
static struct str ids_of(struct json models, struct gateway_reply *r)
{
    struct json_iter it = json_iter(models);
    struct str all = STR_NONE;

    while (json_next(&it)) {
        struct str id = json_str(json_get(it.value, STR("id")), &r->arena);

        all = all.n ? arena_printf(&r->arena, "%.*s, %.*s", STR_FMT(all), STR_FMT(id)) : id;
    }
    return all;
}

/* One line per member, a dotted name for what is inside an object; arrays as they stand. */
static void put_members(struct json object, struct str prefix, struct gateway_reply *r, struct buf *out)
{
    struct json_iter it = json_iter(object);

    while (json_next(&it)) {
        struct str name = text_clean(json_str(it.key, &r->arena), &r->arena), value;

        if (prefix.n)
            name = arena_printf(&r->arena, "%.*s.%.*s", STR_FMT(prefix), STR_FMT(name));
        if (json_is(it.value, JSON_OBJECT) && prefix.n == 0) {
            put_members(it.value, name, r, out);
            continue;
        }
        if (str_eq(name, STR("models")))
            value = ids_of(it.value, r);
        else
            value = json_is(it.value, JSON_STRING) ? json_str(it.value, &r->arena) : json_raw(it.value);
        put_line(out, name, text_clean(value, &r->arena));
        if (str_has_suffix(name, STR(".timestamp"))) {
            uint64_t at, now = clock_wall_s();
            struct buf age = { 0 };

            if (json_to_u64(it.value, &at) == 0 && at <= now) {
                out->n--;
                text_put_duration((now - at) * 1000, &age);
                buf_printf(out, " (%.*s ago)\n", (int)age.n, age.p ? age.p : "");
            }
            buf_fini(&age);
        }
    }
}

static int print_worker(struct gateway_reply *r)
{
    _cleanup_(buf_fini) struct buf out = { 0 };

    put_members(json_root(&r->doc), STR_NONE, r, &out);
    return cli_print(&out);
}

static int run_get(struct gateway_client *g, void *config, struct arena *arena)
{
    const struct get_config *c = config;
    struct gateway_reply r;
    struct str id;
    int status = worker_resolve(g, c->target, arena, &id);

    if (status != CLI_OK)
        return status;
    status = gateway_do(g, HTTP_GET, worker_path(id, arena), STR_NONE, /* accept= */ 0, &r);
    if (status == CLI_OK)
        status = c->output == OUTPUT_JSON ? gateway_print(&r) : print_worker(&r);
    gateway_reply_fini(&r);
    return status;
}

int cli_worker_get(int argc, const char *const *argv)
{
    struct get_config config;

    return cli_run_with_gateway(&WORKER_GET_TABLE, argc, argv, &config, sizeof config, run_get);
}
