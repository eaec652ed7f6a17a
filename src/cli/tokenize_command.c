/* cli/tokenize_command.c -- `smg tokenize`: text to token ids and back, in this process or by a gateway
 *
 *   --model-path given   the tokenizer is loaded here, no gateway is asked
 *   else                 the gateway's tokenizer of --model is asked
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "catalog/source.h"
#include "cli/text_table.h"
#include "cli/gateway_client.h"
#include "json/json_write.h"

#define INPUT_MAX (64u << 20) /* bytes of a text: what the gateway takes */

enum form { FORM_TABLE, FORM_IDS, FORM_PIECES, FORM_JSON };

struct tokenize_config {
    struct gateway_options gateway;
    struct str text, model_path, model;
    bool decode, ids, pieces, json, specials;
};

#define AT(member) .at = offsetof(struct tokenize_config, member)

/* clang-format off */
static const struct option OPTIONS[] = {
    { .name = "TEXT", .type = OPT_STR, AT(text), .def_help = "stdin", .group = "Input",
      .help = "the text, or with --decode the ids, separated by blanks or commas; - = from stdin" },
    { .name = "--decode", .aliases = { "-d" }, .type = OPT_FLAG, AT(decode), .help = "ids to text" },
    { .name = "--special-tokens", .aliases = { "-s" }, .type = OPT_FLAG, AT(specials),
      .help = "add what the model wants before and behind a text (BOS ...); with --decode: keep special tokens in the text" },
    { .name = "--model-path", .type = OPT_STR, AT(model_path), .value = "SOURCE", .group = "Tokenizer",
      .help = "a directory, a file or a Hugging Face id, loaded in this process: no gateway is asked" },
    { .name = "--model", .aliases = { "-m" }, .type = OPT_STR, AT(model), .def = "unknown", .value = "NAME", .def_help = "the gateway's first",
      .help = "without --model-path: the tokenizer of the gateway, by name, id or alias of a model" },
    { .name = "--ids", .type = OPT_FLAG, AT(ids), .group = "Output", .help = "the ids alone, in a line" },
    { .name = "--pieces", .type = OPT_FLAG, AT(pieces), .help = "each id and the token as the vocabulary spells it, a line each; needs --model-path" },
    { .name = "--json", .type = OPT_FLAG, AT(json), .help = "as POST /v1/tokenize and /v1/detokenize answer" },
    GATEWAY_OPTIONS("60"),
};
/* clang-format on */

const struct option_table TOKENIZE_TABLE = {
    .command = "tokenize",
    .usage = "tokenize [OPTIONS] [TEXT]",
    .summary = "Turns text into token ids, or ids into text.",
    .notes = "Without --ids, --pieces or --json it prints the ids and how many there are. " GATEWAY_EXITS,
    .options = OPTIONS,
    .options_n = ARRAY_LEN(OPTIONS),
};

static int fail(int code, const char *message)
{
    struct err err = { 0 };

    (void)err_set(&err, code, "%s", message);
    return cli_fail(&err);
}

static int print(struct buf *out)
{
    if (out->failed)
        return fail(ERR_NOMEM, err_text(ERR_NOMEM));
    fwrite(out->p ? out->p : "", 1, out->n, stdout);
    return cli_flush();
}

/* ---- input ---- */

static int read_stdin(struct buf *out)
{
    for (;;) {
        char *to = buf_reserve(out, 65536);
        ssize_t n = to ? read(STDIN_FILENO, to, 65536) : -1;

        if (n < 0 || out->n > INPUT_MAX)
            return fail(ERR_IO, out->n > INPUT_MAX ? "stdin has more than 64 MiB" : "stdin could not be read");
        if (n == 0)
            return CLI_OK;
        out->n += (size_t)n;
    }
}

static bool is_separator(char c)
{
    return c == ' ' || c == ',' || c == '\t' || c == '\n' || c == '\r' || c == '[' || c == ']';
}

/* "1 2 3", "[1,2,3]" */
static int read_ids(struct str text, struct ids *ids)
{
    while (text.n) {
        size_t n = 0;
        uint64_t id;

        if (is_separator(text.p[0])) {
            text = str_skip(text, 1);
            continue;
        }
        while (n < text.n && !is_separator(text.p[n]))
            n++;
        if (str_to_u64(str_first(text, n), &id) < 0 || id > UINT32_MAX) {
            fprintf(stderr, "smg: error: '%.*s' is no token id: a number from 0 to 4294967295 is\n", (int)MIN(n, (size_t)40),
                    text.p);
            return CLI_USAGE;
        }
        ids_put(ids, (uint32_t)id);
        text = str_skip(text, n);
    }
    return ids->failed ? fail(ERR_NOMEM, err_text(ERR_NOMEM)) : CLI_OK;
}

/* ---- output ---- */

static void put_ids(const struct ids *ids, char between, struct buf *out)
{
    for (size_t i = 0; i < ids->n; i++) {
        if (i)
            buf_put_char(out, between);
        buf_put_u64(out, ids->v[i]);
    }
}

static void put_pieces(const struct tokenizer *t, const struct ids *ids, struct buf *out)
{
    for (size_t i = 0; i < ids->n; i++) {
        _cleanup_(buf_fini) struct buf piece = { 0 };

        (void)tokenizer_token(t, ids->v[i], &piece);
        buf_printf(out, "%8u  ", ids->v[i]);
        json_escape(out, buf_str(&piece)); /* line breaks and what is not UTF-8 must not reach a terminal */
        buf_put_char(out, '\n');
        out->failed |= piece.failed;
    }
}

static size_t characters(struct str s)
{
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++)
        n += ((unsigned char)s.p[i] & 0xC0) != 0x80;
    return n;
}

static enum form form_of(const struct tokenize_config *c)
{
    return c->json ? FORM_JSON : c->pieces ? FORM_PIECES : c->ids ? FORM_IDS : FORM_TABLE;
}

static int print_ids(const struct tokenize_config *c, const struct tokenizer *t, struct str text, const struct ids *ids)
{
    _cleanup_(buf_fini) struct buf out = { 0 };

    switch (form_of(c)) {
    case FORM_JSON:
        buf_puts(&out, "{\"tokens\":[");
        put_ids(ids, ',', &out);
        buf_printf(&out, "],\"count\":%zu,\"char_count\":%zu}\n", ids->n, characters(text));
        break;
    case FORM_PIECES:
        put_pieces(t, ids, &out);
        break;
    case FORM_IDS:
        put_ids(ids, ' ', &out);
        buf_put_char(&out, '\n');
        break;
    case FORM_TABLE:
    default:
        put_ids(ids, ' ', &out);
        buf_printf(&out, "\n%zu tokens, %zu characters, %zu bytes\n", ids->n, characters(text), text.n);
    }
    return print(&out);
}

static int print_text(const struct tokenize_config *c, struct str text)
{
    _cleanup_(buf_fini) struct buf out = { 0 };
    struct json_writer w;

    if (c->json) {
        json_begin(&w, &out);
        json_object(&w);
        json_put_str(&w, "text", text);
        json_end(&w);
    } else {
        buf_put(&out, text);
    }
    buf_put_char(&out, '\n');
    return print(&out);
}

/* ---- here ---- */

static int encode_here(const struct tokenize_config *c, const struct tokenizer *t, struct str text, struct err *err)
{
    struct tokenizer_encoder *encoder;
    struct ids ids = { 0 };
    int r = tokenizer_encoder_new(t, 1u << 20, &encoder), status;

    if (r < 0)
        return fail(r, err_text(r));
    r = tokenizer_encode(encoder, text, c->specials ? ENCODE_SPECIALS : 0, &ids, err);
    status = r < 0 ? fail(r, err->message[0] ? err->message : err_text(r)) : print_ids(c, t, text, &ids);
    tokenizer_encoder_free(encoder);
    ids_fini(&ids);
    return status;
}

static int decode_here(const struct tokenize_config *c, const struct tokenizer *t, struct str text, struct err *err)
{
    _cleanup_(buf_fini) struct buf out = { 0 };
    struct ids ids = { 0 };
    int status = read_ids(text, &ids), r;

    if (status == CLI_OK && c->pieces) {
        put_pieces(t, &ids, &out);
        status = print(&out);
    } else if (status == CLI_OK) {
        r = tokenizer_decode(t, ids.v, ids.n, !c->specials, &out, err);
        status = r < 0 ? fail(r, err->message[0] ? err->message : err_text(r)) : print_text(c, buf_str(&out));
    }
    ids_fini(&ids);
    return status;
}

static int run_here(const struct tokenize_config *c, struct str text)
{
    struct hub_config hub = { 0 };
    struct tokenizer *t = NULL;
    struct err err = { 0 };
    struct source_request request = { .source = c->model_path, .hub = &hub };
    int r = hub_config_from_env(&hub, &err), status;

    if (r == 0)
        r = tokenizer_source_load(&request, &t, &err);
    status = r < 0       ? fail(r, err.message[0] ? err.message : err_text(r))
                   : c->decode ? decode_here(c, t, text, &err)
                         : encode_here(c, t, text, &err);
    tokenizer_free(t);
    hub_config_fini(&hub);
    return status;
}

/* ---- a gateway's ---- */

static int put_question(const struct tokenize_config *c, struct str text, struct buf *out)
{
    struct ids ids = { 0 };
    struct json_writer w;
    int status = c->decode ? read_ids(text, &ids) : CLI_OK;

    json_begin(&w, out);
    json_object(&w);
    json_put_str(&w, "model", c->model);
    if (c->decode) {
        json_put_array(&w, "tokens");
        for (size_t i = 0; i < ids.n; i++)
            json_value_u64(&w, ids.v[i]);
        json_end(&w);
        json_put_bool(&w, "skip_special_tokens", !c->specials);
    } else {
        json_put_str(&w, "prompt", text);
        json_put_bool(&w, "add_special_tokens", c->specials);
    }
    json_end(&w);
    ids_fini(&ids);
    return status == CLI_OK && out->failed ? fail(ERR_NOMEM, err_text(ERR_NOMEM)) : status;
}

static int print_answer(const struct tokenize_config *c, struct str text, struct gateway_reply *r)
{
    struct json_iter it = json_iter(json_get(json_root(&r->doc), STR("tokens")));
    struct ids ids = { 0 };
    uint64_t id;
    int status;

    if (c->json)
        return gateway_print(r);
    if (c->decode)
        return print_text(c, json_str(json_get(json_root(&r->doc), STR("text")), &r->arena));
    while (json_next(&it))
        if (json_to_u64(it.value, &id) == 0)
            ids_put(&ids, (uint32_t)id);
    status = ids.failed ? fail(ERR_NOMEM, err_text(ERR_NOMEM)) : print_ids(c, /* t= */ NULL, text, &ids);
    ids_fini(&ids);
    return status;
}

static int run_there(struct gateway_client *g, const struct tokenize_config *c, struct str text)
{
    _cleanup_(buf_fini) struct buf body = { 0 };
    struct gateway_reply r;
    int status = put_question(c, text, &body);

    if (status != CLI_OK)
        return status;
    status = gateway_do(g, HTTP_POST, c->decode ? STR("/v1/detokenize") : STR("/v1/tokenize"), buf_str(&body), /* accept= */ 0, &r);
    if (status == CLI_OK)
        status = print_answer(c, text, &r);
    gateway_reply_fini(&r);
    return status;
}

static int usage(const char *message)
{
    fprintf(stderr, "smg: error: %s\nFor more information, try '--help'.\n", message);
    return CLI_USAGE;
}

static int run(struct gateway_client *g, void *config, struct arena *arena)
{
    const struct tokenize_config *c = config;
    _cleanup_(buf_fini) struct buf input = { 0 };
    bool from_stdin = !c->text.p || str_eq(c->text, STR("-"));
    struct str text;
    int status;

    (void)arena;
    if (c->ids + c->pieces + c->json > 1)
        return usage("--ids, --pieces and --json exclude each other");
    if (c->pieces && !c->model_path.n)
        return usage("--pieces needs --model-path: a gateway does not tell how its vocabulary is spelt");
    status = from_stdin ? read_stdin(&input) : CLI_OK;
    if (status != CLI_OK)
        return status;
    text = from_stdin ? buf_str(&input) : c->text;
    return c->model_path.n ? run_here(c, text) : run_there(g, c, text);
}

int cli_tokenize(int argc, const char *const *argv)
{
    struct tokenize_config config;

    return cli_run_with_gateway(&TOKENIZE_TABLE, argc, argv, &config, sizeof config, run);
}
