/* config/yaml.c -- libyaml's events, written down as JSON
 *
 *   event            what is written                         who
 *   scalar           a key, or a value by the core schema    on_scalar
 *   map/list start   { or [, a level is pushed               push
 *   map/list end     } or ], the level is popped             pop
 *   anything else    nothing, or a refusal                   on_event
 *
 * Before each piece, come_to() adds line breaks and blanks until the output stands where the piece stands in the YAML text: what later complains about the JSON names the
 * file's lines. Blanks between tokens mean nothing in JSON, and there are never more of them than bytes in the text.
 */
#include "config/yaml.h"

#include <yaml.h>

#include "base/file.h"
#include "base/map.h"
#include "json/json_write.h"

#define TAG_PREFIX STR("tag:yaml.org,2002:")
#define KEY_SHOWN  100 /* bytes of a key in a message */

/* One open map or list. */
struct level {
    bool is_map;
    bool key_due;    /* map: the next scalar is a key */
    bool has_member; /* a comma is due */
    struct map keys; /* map: those met; in `arena` */
};

struct reader {
    yaml_parser_t parser;
    struct buf *out;      /* borrowed */
    size_t line_began;    /* of the current line, in out */
    size_t line;          /* from 0 */
    struct arena *arena;  /* keys */
    struct err *err;      /* borrowed; may be NULL */
    struct level *levels; /* YAML_DEPTH_MAX of them */
    unsigned depth, documents;
};

static int on_event(struct reader *r, const yaml_event_t *e);

/* ---- where we are ---- */

_printf_(4, 5) static int refuse(struct reader *r, int code, yaml_mark_t at, const char *fmt, ...)
{
    char message[ERR_MESSAGE_MAX];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    return err_set(r->err, code, "line %zu, column %zu: %s", at.line + 1, at.column + 1, message);
}

static void come_to(struct reader *r, yaml_mark_t at, size_t column)
{
    size_t here;

    for (; r->line < at.line; r->line++) {
        buf_put_char(r->out, '\n');
        r->line_began = r->out->n;
    }
    for (here = r->out->n - r->line_began; r->line == at.line && here < column; here++)
        buf_put_char(r->out, ' ');
}

static struct level *top(struct reader *r)
{
    return r->depth ? &r->levels[r->depth - 1] : NULL;
}

/* A value begins: what must stand between it and the last one. */
static void separate(struct reader *r)
{
    struct level *l = top(r);

    if (!l)
        return;
    if (!l->is_map && l->has_member)
        buf_put_char(r->out, ',');
    l->has_member = true;
    l->key_due = l->is_map; /* behind this value */
}

/* ---- scalars ---- */

enum kind { KIND_STR, KIND_NULL, KIND_BOOL, KIND_INT, KIND_FLOAT, KIND_NO_NUMBER };

static bool is_one_of(struct str s, const char *const *words)
{
    for (; *words; words++)
        if (str_eq(s, str_of(*words)))
            return true;
    return false;
}

/* 0..15, or 16 for what is no digit. */
static unsigned digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10 : 16;
}

static size_t count_digits(struct str s, size_t from, unsigned base)
{
    size_t i = from;

    while (i < s.n && digit_value(s.p[i]) < base)
        i++;
    return i - from;
}

/* 0x or 0o and at least one byte. */
static bool has_base(struct str s)
{
    return s.n > 2 && s.p[0] == '0' && (s.p[1] == 'x' || s.p[1] == 'o');
}

/* [-+] digits [. digits] [e [-+] digits], at least one digit before the exponent. */
static enum kind number_kind(struct str s)
{
    size_t i = s.n && (s.p[0] == '-' || s.p[0] == '+'), whole, fraction = 0, exponent;
    enum kind kind = KIND_INT;

    if (has_base(s))
        return count_digits(s, 2, s.p[1] == 'x' ? 16 : 8) == s.n - 2 ? KIND_INT : KIND_STR;
    whole = count_digits(s, i, 10);
    if (whole > 1 && s.p[i] == '0')
        return KIND_STR;
    i += whole;
    if (i < s.n && s.p[i] == '.') {
        fraction = count_digits(s, ++i, 10);
        i += fraction;
        kind = KIND_FLOAT;
    }
    if (whole + fraction == 0)
        return KIND_STR;
    if (i < s.n && (s.p[i] | 0x20) == 'e') {
        i++;
        i += i < s.n && (s.p[i] == '-' || s.p[i] == '+');
        exponent = count_digits(s, i, 10);
        if (exponent == 0)
            return KIND_STR;
        i += exponent;
        kind = KIND_FLOAT;
    }
    return i == s.n ? kind : KIND_STR;
}

static enum kind plain_kind(struct str s)
{
    static const char *const NULLS[] = { "", "~", "null", "Null", "NULL", NULL };
    static const char *const BOOLS[] = { "true", "True", "TRUE", "false", "False", "FALSE", NULL };
    static const char *const OTHERS[] = { ".inf",  ".Inf",  ".INF", "-.inf", "-.Inf", "-.INF", "+.inf",
                                          "+.Inf", "+.INF", ".nan", ".NaN",  ".NAN",  NULL };

    if (is_one_of(s, NULLS))
        return KIND_NULL;
    if (is_one_of(s, BOOLS))
        return KIND_BOOL;
    if (is_one_of(s, OTHERS))
        return KIND_NO_NUMBER;
    return number_kind(s);
}

/* What a tag says a scalar is; KIND_NO_NUMBER: nothing that we know. */
static enum kind tagged_kind(struct str tag)
{
    static const struct {
        struct str name;
        enum kind kind;
    } TAGS[] = { { STR_INIT("str"), KIND_STR },
                 { STR_INIT("null"), KIND_NULL },
                 { STR_INIT("bool"), KIND_BOOL },
                 { STR_INIT("int"), KIND_INT },
                 { STR_INIT("float"), KIND_FLOAT } };

    if (str_eq(tag, STR("!")))
        return KIND_STR;
    for (size_t i = 0; i < ARRAY_LEN(TAGS); i++)
        if (str_has_prefix(tag, TAG_PREFIX) && str_eq(str_skip(tag, TAG_PREFIX.n), TAGS[i].name))
            return TAGS[i].kind;
    return KIND_NO_NUMBER;
}

/* 0x and 0o integers, and numbers that YAML writes in ways that JSON does not (+1, .5, 1.), in JSON's own form. */
static int put_number(struct reader *r, struct str s, yaml_mark_t at)
{
    struct json_writer w;
    uint64_t u = 0;
    double d;

    if (has_base(s)) {
        unsigned shift = s.p[1] == 'x' ? 4 : 3;

        for (size_t i = 2; i < s.n; i++) {
            if (u >> (64 - shift))
                return refuse(r, ERR_LIMIT, at, "the number does not fit into 64 bits");
            u = u << shift | digit_value(s.p[i]);
        }
        buf_put_u64(r->out, u);
        return 0;
    }
    if (s.p[0] == '+')
        s = str_skip(s, 1);
    if (s.p[s.n - 1] != '.' && s.p[0] != '.' && !str_has_prefix(s, STR("-.")) && str_find(s, STR(".e")) == STR_NPOS &&
        str_find(s, STR(".E")) == STR_NPOS) {
        buf_put(r->out, s);
        return 0;
    }
    if (str_to_double(s, &d) < 0)
        return refuse(r, ERR_LIMIT, at, "the number is out of range");
    json_begin(&w, r->out);
    json_value_f64(&w, d);
    return 0;
}

static void put_text(struct reader *r, struct str s)
{
    buf_put_char(r->out, '"');
    json_escape(r->out, s);
    buf_put_char(r->out, '"');
}

static int put_value(struct reader *r, const yaml_event_t *e, struct str text)
{
    bool tagged = e->data.scalar.tag != NULL;
    enum kind kind = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE ? plain_kind(text) : KIND_STR;
    enum kind asked = tagged ? tagged_kind(str_of((const char *)e->data.scalar.tag)) : kind;

    if (tagged && asked == KIND_NO_NUMBER)
        return refuse(r, ERR_UNSUPPORTED, e->start_mark,
                      "tags other than !!str, !!int, !!float, !!bool and !!null are not understood");
    if (tagged && asked != KIND_STR) {
        kind = plain_kind(text);
        if (kind != asked && !(kind == KIND_INT && asked == KIND_FLOAT))
            return refuse(r, ERR_SYNTAX, e->start_mark, "the value is not what its tag says");
    } else if (tagged) {
        kind = KIND_STR;
    }
    come_to(r, e->start_mark, e->start_mark.column);
    switch (kind) {
    case KIND_STR:
        put_text(r, text);
        return 0;
    case KIND_NULL:
        buf_puts(r->out, "null");
        return 0;
    case KIND_BOOL:
        buf_put(r->out, (text.p[0] | 0x20) == 't' ? STR("true") : STR("false"));
        return 0;
    case KIND_INT:
    case KIND_FLOAT:
        return put_number(r, text, e->start_mark);
    case KIND_NO_NUMBER:
        break;
    }
    return refuse(r, ERR_UNSUPPORTED, e->start_mark, ".inf and .nan are not understood: write a number");
}

/* The opening quote goes one column to the left, so that the value behind "key": stands where it stands in the file. */
static int put_key(struct reader *r, const yaml_event_t *e, struct str text)
{
    struct level *l = top(r);
    struct str key;

    if (map_get(&l->keys, text))
        return refuse(r, ERR_SYNTAX, e->start_mark, "the key \"%.*s\" stands here a second time",
                      STR_FMT(str_first(text, KEY_SHOWN)));
    key = arena_str(r->arena, text);
    if (!key.p || map_put(&l->keys, key, l, /* ret_old= */ NULL) < 0)
        return ERR_NOMEM;
    if (l->has_member)
        buf_put_char(r->out, ',');
    come_to(r, e->start_mark, e->start_mark.column ? e->start_mark.column - 1 : 0);
    put_text(r, text);
    buf_put_char(r->out, ':');
    l->key_due = false;
    return 0;
}

static int on_scalar(struct reader *r, const yaml_event_t *e)
{
    struct str text = { (const char *)e->data.scalar.value, e->data.scalar.length };
    struct level *l = top(r);

    if (l && l->key_due)
        return put_key(r, e, text);
    separate(r);
    return put_value(r, e, text);
}

/* ---- maps and lists ---- */

static int push(struct reader *r, const yaml_event_t *e, bool is_map)
{
    struct level *l = top(r);
    const yaml_char_t *tag = is_map ? e->data.mapping_start.tag : e->data.sequence_start.tag;

    if (l && l->key_due)
        return refuse(r, ERR_UNSUPPORTED, e->start_mark, "a key must be text, not a list or a map");
    if (r->depth == YAML_DEPTH_MAX)
        return refuse(r, ERR_LIMIT, e->start_mark, "more than %d levels of lists and maps", YAML_DEPTH_MAX);
    if (tag && strcmp((const char *)tag, "!") != 0 && strcmp((const char *)tag, is_map ? YAML_MAP_TAG : YAML_SEQ_TAG) != 0)
        return refuse(r, ERR_UNSUPPORTED, e->start_mark, "tags other than !!map and !!seq are not understood here");
    separate(r);
    come_to(r, e->start_mark, /* column= */ 0);
    buf_put_char(r->out, is_map ? '{' : '[');
    r->levels[r->depth++] = (struct level){ .is_map = is_map, .key_due = is_map };
    return 0;
}

static int pop(struct reader *r)
{
    struct level *l = &r->levels[--r->depth];

    buf_put_char(r->out, l->is_map ? '}' : ']');
    map_fini(&l->keys);
    return 0;
}

static int on_event(struct reader *r, const yaml_event_t *e)
{
    switch (e->type) {
    case YAML_SCALAR_EVENT:
        return on_scalar(r, e);
    case YAML_MAPPING_START_EVENT:
        return push(r, e, /* is_map= */ true);
    case YAML_SEQUENCE_START_EVENT:
        return push(r, e, /* is_map= */ false);
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        return pop(r);
    case YAML_ALIAS_EVENT:
        return refuse(r, ERR_UNSUPPORTED, e->start_mark, "aliases (*%.*s) are not understood: write the value out",
                      STR_FMT(str_first(str_of((const char *)e->data.alias.anchor), KEY_SHOWN)));
    case YAML_DOCUMENT_START_EVENT:
        return r->documents++ ? refuse(r, ERR_UNSUPPORTED, e->start_mark, "a second document begins here; one is understood") : 0;
    default:
        return 0;
    }
}

/* ---- the whole ---- */

static int parser_failed(struct reader *r)
{
    const yaml_parser_t *p = &r->parser;

    if (p->error == YAML_MEMORY_ERROR)
        return ERR_NOMEM;
    if (p->error == YAML_READER_ERROR)
        return err_set(r->err, ERR_SYNTAX, "byte %zu: %s", p->problem_offset, p->problem ? p->problem : "not UTF-8");
    return refuse(r, ERR_SYNTAX, p->problem_mark, "%s%s%s", p->problem ? p->problem : "not YAML", p->context ? " " : "",
                  p->context ? p->context : "");
}

static int convert(struct reader *r)
{
    yaml_event_t e;
    bool last = false;
    int status = 0;

    while (!last && status == 0) {
        if (!yaml_parser_parse(&r->parser, &e))
            return parser_failed(r);
        last = e.type == YAML_STREAM_END_EVENT;
        status = on_event(r, &e);
        yaml_event_delete(&e);
        if (r->out->failed)
            status = ERR_NOMEM;
    }
    if (status == 0 && r->documents == 0)
        buf_puts(r->out, "null");
    return status;
}

int yaml_to_json(struct str text, struct buf *out, struct err *err)
{
    struct level levels[YAML_DEPTH_MAX];
    struct arena keys;
    struct reader r = { .out = out, .line_began = out->n, .arena = &keys, .err = err, .levels = levels };
    int status;

    if (text.n > YAML_TEXT_MAX)
        return err_set(err, ERR_LIMIT, "longer than %u MiB", YAML_TEXT_MAX >> 20);
    if (!yaml_parser_initialize(&r.parser))
        return err_set(err, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)(text.n ? text.p : ""), text.n);
    arena_init(&keys, /* cache= */ NULL, /* max_bytes= */ 0);
    status = convert(&r);
    if (status == 0 && out->failed)
        status = ERR_NOMEM;
    if (status == ERR_NOMEM)
        (void)err_set(err, status, "%s", err_text(status));
    while (r.depth)
        map_fini(&levels[--r.depth].keys);
    arena_fini(&keys);
    yaml_parser_delete(&r.parser);
    return status;
}

/* JSON is nearly YAML, but not quite: escaped surrogate pairs, for one, and tabs. So what is JSON is read as such. */
static bool parse_as_json(struct str text, struct arena *arena, struct json_doc *ret)
{
    struct str trimmed = str_trim(text), copy;

    if (trimmed.n == 0 || (trimmed.p[0] != '{' && trimmed.p[0] != '['))
        return false;
    copy = arena_str(arena, text);
    return copy.p && json_parse(copy, arena, ret, /* ret_error= */ NULL) == 0;
}

int yaml_parse(struct str text, struct arena *arena, struct json_doc *ret, struct err *err)
{
    _cleanup_(buf_fini) struct buf json = { 0 };
    struct json_error error;
    struct str copy;
    int status;

    if (text.n > YAML_TEXT_MAX)
        return err_set(err, ERR_LIMIT, "longer than %u MiB", YAML_TEXT_MAX >> 20);
    if (parse_as_json(text, arena, ret))
        return 0;
    status = yaml_to_json(text, &json, err);
    if (status < 0)
        return status;
    copy = arena_str(arena, buf_str(&json));
    if (!copy.p)
        return err_set(err, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
    status = json_parse(copy, arena, ret, &error);
    if (status == ERR_SYNTAX) /* no text reaches this: what yaml_to_json writes is JSON */
        return err_set(err, status, "line %u, column %u: %s", error.line, error.column, error.message);
    return status < 0 ? err_set(err, status, "%s", err_text(status)) : 0;
}

int yaml_read_file(const char *path, struct arena *arena, struct json_doc *ret, struct err *err)
{
    _cleanup_(buf_fini) struct buf text = { 0 };
    int status = file_read(path, YAML_TEXT_MAX, &text, err);

    if (status < 0)
        return status;
    status = yaml_parse(buf_str(&text), arena, ret, err);
    return status < 0 ? err_wrap(err, status, "%s", path) : 0;
}
