/* cli/worker_body.c -- a worker's description as JSON, from options or from a file (spec control-plane 6.1, 7.5) */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/worker_client.h"
#include "json/json_write.h"

#define FILE_MAX (1u << 20) /* the gateway takes no more */
#define KEY_MAX  (64u << 10)

const struct option_name WORKER_OUTPUTS[] = { { "table", OUTPUT_TABLE }, { "json", OUTPUT_JSON }, { 0 } };

static int usage(const struct err *err)
{
    (void)cli_fail(err); /* it is wrong usage in place of a failure */
    return CLI_USAGE;
}

/* ---- from a file ---- */

static int read_stdin(struct buf *out, struct err *err)
{
    for (;;) {
        char *to = buf_reserve(out, 65536);
        ssize_t n = to ? read(STDIN_FILENO, to, 65536) : 0;

        if (!to)
            return err_set(err, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
        if (n < 0)
            return err_set(err, ERR_IO, "--file -: standard input could not be read");
        out->n += (size_t)n;
        if (out->n > FILE_MAX)
            return err_set(err, ERR_LIMIT, "--file -: more than %u bytes", FILE_MAX);
        if (n == 0)
            return 0;
    }
}

static int body_of_file(const struct worker_description *d, struct arena *arena, struct buf *out)
{
    bool from_stdin = str_eq(d->file, STR("-"));
    struct json_error where;
    struct json_doc doc;
    struct err err = { 0 };
    int r = from_stdin ? read_stdin(out, &err) : file_read(arena_str(arena, d->file).p, FILE_MAX, out, &err);

    if (r < 0)
        return cli_fail(&err);
    if (json_parse(buf_str(out), arena, &doc, &where) < 0) {
        err_set(&err, ERR_SYNTAX, "--file %.*s is no JSON: %s at line %u, column %u", STR_FMT(d->file), where.message, where.line,
                where.column);
        return usage(&err);
    }
    return CLI_OK;
}

/* ---- from options ---- */

/* "KEY=VALUE" of the option NAME. */
static int split_pair(struct str item, const char *name, struct str *key, struct str *value)
{
    struct err err;

    if (str_split(item, '=', key, value) && key->n)
        return CLI_OK;
    err_set(&err, ERR_INVALID, "%s: '%.*s' is not KEY=VALUE", name, STR_FMT(str_first(item, 100)));
    return usage(&err);
}

static int put_labels(struct json_writer *w, const struct worker_description *d)
{
    struct str key, value;
    int status = CLI_OK;

    if (d->labels.n + d->remove_labels.n == 0)
        return CLI_OK;
    json_put_object(w, "labels");
    for (size_t i = 0; i < d->labels.n && status == CLI_OK; i++) {
        status = split_pair(d->labels.items[i], "--label", &key, &value);
        if (status == CLI_OK) {
            json_key(w, key);
            json_value_str(w, value);
        }
    }
    for (size_t i = 0; i < d->remove_labels.n; i++) {
        json_key(w, d->remove_labels.items[i]);
        json_value_null(w);
    }
    json_end(w);
    return status;
}

/* Numbers and booleans only: the members of `health` are nothing else. */
static bool is_plain_value(struct str v)
{
    uint64_t number;

    return str_eq(v, STR("true")) || str_eq(v, STR("false")) || str_to_u64(v, &number) == 0;
}

static int put_health(struct json_writer *w, const struct worker_description *d)
{
    struct str key, value;
    int status = CLI_OK;

    if (d->health.n == 0)
        return CLI_OK;
    json_put_object(w, "health");
    for (size_t i = 0; i < d->health.n && status == CLI_OK; i++) {
        struct err err;

        status = split_pair(d->health.items[i], "--health", &key, &value);
        if (status == CLI_OK && !is_plain_value(value)) {
            err_set(&err, ERR_INVALID, "--health %.*s: the value must be a whole number, true or false",
                    STR_FMT(d->health.items[i]));
            status = usage(&err);
        }
        if (status == CLI_OK) {
            json_key(w, key);
            json_value_raw(w, value);
        }
    }
    json_end(w);
    return status;
}

static int put_api_key(struct json_writer *w, const struct worker_description *d, struct arena *arena)
{
    _cleanup_(buf_fini) struct buf key = { 0 };
    struct err err = { 0 };

    if (d->api_key_file.n == 0)
        return CLI_OK;
    if (file_read(arena_str(arena, d->api_key_file).p, KEY_MAX, &key, &err) < 0) {
        err_wrap(&err, err.code, "--api-key-file");
        return cli_fail(&err);
    }
    json_put_str(w, "api_key", str_trim(buf_str(&key)));
    return CLI_OK;
}

static void put_models(struct json_writer *w, const struct option_list *models)
{
    if (models->n == 0)
        return;
    json_put_array(w, "models");
    for (size_t i = 0; i < models->n; i++) {
        json_object(w);
        json_put_str(w, "id", models->items[i]);
        json_end(w);
    }
    json_end(w);
}

static bool says_something(const struct worker_description *d)
{
    return d->models.n || d->labels.n || d->remove_labels.n || d->health.n || d->type.n || d->runtime.n || d->provider.n ||
           d->api_key_file.n || d->priority >= 0 || d->cost >= 0 || d->bootstrap_port;
}

int worker_body(const struct worker_description *d, struct arena *arena, struct buf *out)
{
    struct json_writer w;
    int status;

    if (d->file.n && (d->url.n || says_something(d)))
        return usage(&(struct err){ ERR_INVALID, "--file has the whole description: the other options cannot be given with it" });
    if (d->file.n)
        return body_of_file(d, arena, out);
    json_begin(&w, out);
    json_object(&w);
    if (d->url.n)
        json_put_str(&w, "url", d->url);
    put_models(&w, &d->models);
    if (d->type.n)
        json_put_str(&w, "worker_type", d->type);
    if (d->runtime.n)
        json_put_str(&w, "runtime_type", d->runtime);
    if (d->provider.n)
        json_put_str(&w, "provider", d->provider);
    status = put_labels(&w, d);
    if (d->priority >= 0)
        json_put_u64(&w, "priority", (uint64_t)d->priority);
    if (d->cost >= 0)
        json_put_f64(&w, "cost", d->cost);
    if (status == CLI_OK)
        status = put_api_key(&w, d, arena);
    if (d->bootstrap_port)
        json_put_u64(&w, "bootstrap_port", d->bootstrap_port);
    if (status == CLI_OK)
        status = put_health(&w, d);
    json_end(&w);
    if (status == CLI_OK && out->failed)
        status = cli_fail(&(struct err){ .code = ERR_NOMEM });
    return status;
}
