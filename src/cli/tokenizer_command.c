/* cli/tokenizer_command.c -- `smg tokenizer list`, `add`, `status` and `rm`: the tokenizers of a running gateway
 *
 *   add --POST--> a job --GET .../status again and again, a line on a terminal shows how far it is--> loaded, or why not
 */
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/text_table.h"
#include "cli/worker_client.h"
#include "json/json_write.h"

#define POLL_FIRST_MS 20 /* a directory is loaded in a tenth of a second */
#define POLL_LAST_MS  500

struct tokenizer_config {
    struct gateway_options gateway;
    struct str target, name, chat_template; /* target: SOURCE of add, TOKENIZER of the others */
    bool no_wait;
    double wait_timeout_s;
    int output;
};

#define AT(member) .at = offsetof(struct tokenizer_config, member)

/* clang-format off */
#define OUTPUT_OPTION(names_of, text)                                                                     \
    { .name = "--output", .aliases = { "-o" }, .type = OPT_ENUM, .names = names_of, AT(output),           \
      .def = "table", .group = "Output", .help = text }
#define TOKENIZER_OPTION                                                                                  \
    { .name = "TOKENIZER", .type = OPT_STR, AT(target), .flags = OPT_REQUIRED, .group = "Tokenizer",      \
      .help = "its name or its id" }

static const struct option_name LIST_OUTPUTS[] = { { "table", OUTPUT_TABLE }, { "wide", OUTPUT_WIDE }, { "json", OUTPUT_JSON }, { 0 } };

static const struct option LIST_OPTIONS[] = {
    OUTPUT_OPTION(LIST_OUTPUTS, "table: what fits a terminal; wide: nothing shortened; json: what the API says, byte for byte"),
    GATEWAY_OPTIONS("30"),
};

static const struct option ADD_OPTIONS[] = {
    { .name = "SOURCE", .type = OPT_STR, AT(target), .flags = OPT_REQUIRED, .group = "Tokenizer",
      .help = "a directory or a file on the gateway's machine, or a Hugging Face id: org/name, org/name@revision" },
    { .name = "--name", .aliases = { "-n" }, .type = OPT_STR, AT(name), .value = "NAME", .def_help = "the source",
      .help = "what requests call it: the name of the model" },
    { .name = "--chat-template", .type = OPT_STR, AT(chat_template), .value = "PATH", .help = "a template in place of its own, on the gateway's machine" },
    { .name = "--no-wait", .type = OPT_FLAG, AT(no_wait), .group = "Waiting", .help = "return when the gateway has accepted the job" },
    { .name = "--wait-timeout", .type = OPT_F64, AT(wait_timeout_s), .def = "900", .min = 0, .max = 864000, .unit = "s", .value = "S",
      .help = "how long to wait; past it the exit status is 4 and the job goes on in the gateway" },
    OUTPUT_OPTION(WORKER_OUTPUTS, "table: a sentence; json: the API's last answer, byte for byte"),
    GATEWAY_OPTIONS("30"),
};

static const struct option STATUS_OPTIONS[] = {
    TOKENIZER_OPTION,
    OUTPUT_OPTION(WORKER_OUTPUTS, "table: a sentence; json: what the API says, byte for byte"),
    GATEWAY_OPTIONS("30"),
};

static const struct option RM_OPTIONS[] = {
    TOKENIZER_OPTION,
    OUTPUT_OPTION(WORKER_OUTPUTS, "table: a sentence; json: what the API says, byte for byte"),
    GATEWAY_OPTIONS("30"),
};
/* clang-format on */

const struct option_table TOKENIZER_LIST_TABLE = {
    .command = "tokenizer list",
    .summary = "Lists the tokenizers of a gateway that are loaded, by name.",
    .notes = GATEWAY_EXITS,
    .options = LIST_OPTIONS,
    .options_n = ARRAY_LEN(LIST_OPTIONS),
};
const struct option_table TOKENIZER_ADD_TABLE = {
    .command = "tokenizer add",
    .summary = "Loads a tokenizer into a gateway, waits until it is there, and shows meanwhile how far it is.",
    .notes =
        "The gateway reads the files, and fetches them if need be, with its own HF_TOKEN and cache. Ctrl+C ends the waiting, not "
        "the job. " GATEWAY_EXITS,
    .options = ADD_OPTIONS,
    .options_n = ARRAY_LEN(ADD_OPTIONS),
};
const struct option_table TOKENIZER_STATUS_TABLE = {
    .command = "tokenizer status",
    .summary = "Tells how the loading of a tokenizer goes: pending, processing, completed or failed.",
    .notes =
        "While it is not loaded, a tokenizer is known by its id only. The exit status is 1 for one that failed. " GATEWAY_EXITS,
    .options = STATUS_OPTIONS,
    .options_n = ARRAY_LEN(STATUS_OPTIONS),
};
const struct option_table TOKENIZER_RM_TABLE = {
    .command = "tokenizer rm",
    .summary = "Removes a tokenizer from a gateway; requests that use it go on to their end.",
    .notes = GATEWAY_EXITS,
    .options = RM_OPTIONS,
    .options_n = ARRAY_LEN(RM_OPTIONS),
};

/* ---- what they share ---- */

/* "/v1/tokenizers/<name or id, escaped>" + BEHIND */
static struct str path_of(struct str key, const char *behind, struct arena *arena)
{
    _cleanup_(buf_fini) struct buf out = { 0 };

    buf_puts(&out, "/v1/tokenizers/");
    for (size_t i = 0; i < key.n; i++) {
        unsigned char c = (unsigned char)key.p[i];

        if ((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '-' || c == '_' || c == '~' ||
            (c == '.' && key.n > 2)) /* "." and ".." are no names in a path */
            buf_put_char(&out, (char)c);
        else
            buf_printf(&out, "%%%02X", c);
    }
    buf_put(&out, str_of(behind));
    return out.failed ? STR_NONE : arena_str(arena, buf_str(&out));
}

static int ask_path(struct gateway_client *g, enum http_method method, struct str path, struct gateway_reply *r)
{
    if (path.p)
        return gateway_do(g, method, path, STR_NONE, /* accept= */ 0, r);
    *r = (struct gateway_reply){ 0 };
    return cli_fail(&(struct err){ .code = ERR_NOMEM });
}

/* ---- list ---- */

static int print_list(struct gateway_reply *r, bool whole)
{
    static const struct text_column COLUMNS[] = { { .title = "NAME", .shrinks = true },
                                                  { .title = "VOCABULARY", .right = true },
                                                  { .title = "SOURCE", .shrinks = true },
                                                  { .title = "ID" } };
    struct json_iter it = json_iter(json_get(json_root(&r->doc), STR("tokenizers")));
    struct text_table t;
    _cleanup_(buf_fini) struct buf out = { 0 };
    int status = CLI_OK;

    text_table_init(&t, COLUMNS, ARRAY_LEN(COLUMNS));
    while (json_next(&it)) {
        text_table_cell(&t, gateway_text(r, it.value, STR("name")));
        text_table_cell(&t, text_clean(json_raw(json_get(it.value, STR("vocab_size"))), &r->arena));
        text_table_cell(&t, gateway_text(r, it.value, STR("source")));
        text_table_cell(&t, gateway_text(r, it.value, STR("id")));
    }
    if (whole) {
        text_table_render(&t, /* width= */ 0, &out);
        fwrite(out.p ? out.p : "", 1, out.n, stdout);
        status = out.failed ? cli_fail(&(struct err){ .code = ERR_NOMEM }) : cli_flush();
    } else {
        status = text_table_print(&t);
    }
    text_table_fini(&t);
    return status;
}

static int run_list(struct gateway_client *g, void *config, struct arena *arena)
{
    const struct tokenizer_config *c = config;
    struct gateway_reply r;
    int status = gateway_do(g, HTTP_GET, STR("/v1/tokenizers"), STR_NONE, /* accept= */ 0, &r);

    (void)arena;
    if (status == CLI_OK)
        status = c->output == OUTPUT_JSON ? gateway_print(&r) : print_list(&r, c->output == OUTPUT_WIDE);
    gateway_reply_fini(&r);
    return status;
}

/* ---- add ---- */

/* The line on a terminal; SHOWN: columns of the one that stands there. */
static void show(struct str text, size_t *shown)
{
    text = str_first(text, 79);
    fprintf(stderr, "\r%.*s%*s", STR_FMT(text), (int)(*shown > text.n ? *shown - text.n : 0), "");
    fflush(stderr);
    *shown = text.n;
}

static void clear(size_t *shown)
{
    if (*shown)
        fprintf(stderr, "\r%*s\r", (int)*shown, "");
    *shown = 0;
}

static bool is_over(const struct gateway_reply *r)
{
    struct json status = json_get(json_root(&r->doc), STR("status"));

    return json_str_eq(status, STR("completed")) || json_str_eq(status, STR("failed"));
}

/* *LAST is the status as last seen, fini'd by the caller in any case. CLI_OK: the job is over. */
static int wait_for(struct gateway_client *g, struct str path, double timeout_s, struct gateway_reply *last)
{
    uint64_t began_us = clock_now_us(), pause_ms = POLL_FIRST_MS;
    bool terminal = isatty(STDERR_FILENO);
    size_t shown = 0;
    int status = ask_path(g, HTTP_GET, path, last);

    while (status == CLI_OK && !is_over(last)) {
        if (terminal)
            show(gateway_text(last, json_root(&last->doc), STR("message")), &shown);
        if ((double)(clock_now_us() - began_us) / 1e6 >= timeout_s) {
            clear(&shown);
            fprintf(stderr, "smg: error: not done after %g s; it goes on in the gateway\n", timeout_s);
            return CLI_TIMEOUT;
        }
        status = gateway_pause(g, pause_ms);
        pause_ms = MIN(pause_ms * 2, (uint64_t)POLL_LAST_MS);
        if (status == CLI_OK) {
            gateway_reply_fini(last);
            status = ask_path(g, HTTP_GET, path, last);
        }
    }
    clear(&shown);
    return status;
}

/* What a status comes to: a sentence or the bytes, and the exit status. */
static int tell(struct gateway_reply *r, int output)
{
    struct json root = json_root(&r->doc);
    bool failed = json_str_eq(json_get(root, STR("status")), STR("failed"));
    struct str message = gateway_text(r, root, STR("message"));
    int status;

    if (output == OUTPUT_JSON) {
        status = gateway_print(r);
        return status == CLI_OK && failed ? CLI_FAILED : status;
    }
    if (failed) {
        fprintf(stderr, "smg: error: %.*s\n", STR_FMT(message));
        return CLI_FAILED;
    }
    printf("%.*s: %.*s", STR_FMT(gateway_text(r, root, STR("id"))), STR_FMT(message));
    if (json_exists(json_get(root, STR("vocab_size"))))
        printf(" (vocabulary: %.*s)", STR_FMT(json_raw(json_get(root, STR("vocab_size")))));
    putchar('\n');
    return cli_flush();
}

static void put_request(const struct tokenizer_config *c, struct buf *out)
{
    struct json_writer w;

    json_begin(&w, out);
    json_object(&w);
    json_put_str(&w, "name", c->name.n ? c->name : c->target);
    json_put_str(&w, "source", c->target);
    if (c->chat_template.n)
        json_put_str(&w, "chat_template_path", c->chat_template);
    json_end(&w);
}

static int run_add(struct gateway_client *g, void *config, struct arena *arena)
{
    const struct tokenizer_config *c = config;
    _cleanup_(buf_fini) struct buf body = { 0 };
    struct gateway_reply r, last = { 0 };
    struct str path = STR_NONE;
    int status;

    put_request(c, &body);
    if (body.failed)
        return cli_fail(&(struct err){ .code = ERR_NOMEM });
    status = gateway_do(g, HTTP_POST, STR("/v1/tokenizers"), buf_str(&body), /* accept= */ 0, &r);
    if (status == CLI_OK && c->no_wait)
        status = tell(&r, c->output);
    else if (status == CLI_OK)
        path = path_of(json_str(json_get(json_root(&r.doc), STR("id")), &r.arena), "/status", arena);
    gateway_reply_fini(&r);
    if (status != CLI_OK || c->no_wait)
        return status;
    status = wait_for(g, path, c->wait_timeout_s, &last);
    if (status == CLI_OK)
        status = tell(&last, c->output);
    gateway_reply_fini(&last);
    return status;
}

/* ---- status and rm ---- */

static int run_status(struct gateway_client *g, void *config, struct arena *arena)
{
    const struct tokenizer_config *c = config;
    struct gateway_reply r;
    int status = ask_path(g, HTTP_GET, path_of(c->target, "/status", arena), &r);

    if (status == CLI_OK)
        status = tell(&r, c->output);
    gateway_reply_fini(&r);
    return status;
}

static int run_rm(struct gateway_client *g, void *config, struct arena *arena)
{
    const struct tokenizer_config *c = config;
    struct gateway_reply r;
    int status = ask_path(g, HTTP_DELETE, path_of(c->target, "", arena), &r);

    if (status == CLI_OK && c->output == OUTPUT_JSON) {
        status = gateway_print(&r);
    } else if (status == CLI_OK) {
        printf("%.*s\n", STR_FMT(gateway_text(&r, json_root(&r.doc), STR("message"))));
        status = cli_flush();
    }
    gateway_reply_fini(&r);
    return status;
}

int cli_tokenizer_list(int argc, const char *const *argv)
{
    struct tokenizer_config config;

    return cli_run_with_gateway(&TOKENIZER_LIST_TABLE, argc, argv, &config, sizeof config, run_list);
}

int cli_tokenizer_add(int argc, const char *const *argv)
{
    struct tokenizer_config config;

    return cli_run_with_gateway(&TOKENIZER_ADD_TABLE, argc, argv, &config, sizeof config, run_add);
}

int cli_tokenizer_status(int argc, const char *const *argv)
{
    struct tokenizer_config config;

    return cli_run_with_gateway(&TOKENIZER_STATUS_TABLE, argc, argv, &config, sizeof config, run_status);
}

int cli_tokenizer_rm(int argc, const char *const *argv)
{
    struct tokenizer_config config;

    return cli_run_with_gateway(&TOKENIZER_RM_TABLE, argc, argv, &config, sizeof config, run_rm);
}
