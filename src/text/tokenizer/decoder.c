/* text/tokenizer/decoder.c -- reading a decoder, and choosing the way that its chain allows
 *
 * Steps are those of tokenizer.json, in its order, nested sequences laid flat. Most chains need no list of texts: see enum decoder_kind.
 */
#include "text/tokenizer/decoder_internal.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/utf8.h"

#define DEPTH_MAX 16

void decoder_free(struct decoder *d)
{
    if (!d)
        return;
    for (size_t i = 0; i < d->steps_n; i++)
        regex_free(d->steps[i].regex);
    arena_fini(&d->arena);
    free(d);
}

/* ---- reading ---- */

static struct step *new_step(struct decoder *d, enum step_type type)
{
    struct step *s = &d->steps[d->steps_n++];
    *s = (struct step){ .type = type };
    return s;
}

/* A string member; FALLBACK (p not NULL) when it is absent. */
static int read_string(struct decoder *d, struct json v, const char *name, const char *fallback, struct str *ret, struct err *err)
{
    struct json m = json_get(v, str_of(name));
    if (json_is_null(m) && fallback) {
        *ret = str_of(fallback);
        return 0;
    }
    if (!json_is(m, JSON_STRING))
        return err_set(err, ERR_INVALID, "decoder: `%s` must be a string", name);
    struct str s = json_str(m, &d->arena);
    *ret = s.p ? arena_str(&d->arena, s) : STR_NONE;
    return ret->p ? 0 : ERR_NOMEM;
}

static int read_char(struct decoder *d, struct json v, const char *name, const char *fallback, struct str *ret, struct err *err)
{
    int rc = read_string(d, v, name, fallback, ret, err);
    if (!rc && (!ret->n || utf8_length(*ret) != ret->n))
        return err_set(err, ERR_INVALID, "decoder: `%s` must be one character, not \"%.*s\"", name, STR_FMT(*ret));
    return rc;
}

static int read_bool(struct json v, const char *name, bool fallback, bool *ret, struct err *err)
{
    struct json m = json_get(v, str_of(name));
    if (!json_is_null(m) && !json_is_bool(m))
        return err_set(err, ERR_INVALID, "decoder: `%s` must be true or false", name);
    *ret = json_is_null(m) ? fallback : json_is(m, JSON_TRUE);
    return 0;
}

static int read_count(struct json v, const char *name, size_t *ret, struct err *err)
{
    uint64_t n = 0;
    struct json m = json_get(v, str_of(name));
    if (!json_exists(m) || json_to_u64(m, &n) || n > UINT32_MAX)
        return err_set(err, ERR_INVALID, "decoder: `%s` must be a count", name);
    *ret = (size_t)n;
    return 0;
}

static int read_metaspace(struct decoder *d, struct json v, struct err *err)
{
    struct step *s = new_step(d, STEP_METASPACE);
    struct json scheme = json_get(v, STR("prepend_scheme"));
    bool prefixed = true;
    int rc = read_char(d, v, "replacement", NULL, &s->from, err);
    if (!rc)
        rc = read_bool(v, "add_prefix_space", true, &prefixed, err);
    if (rc)
        return rc;
    if (json_is_null(scheme))
        s->flag = prefixed;
    else if (json_str_eq(scheme, STR("never")))
        s->flag = false;
    else if (!json_str_eq(scheme, STR("first")) && !json_str_eq(scheme, STR("always")))
        return err_set(err, ERR_INVALID, "decoder Metaspace: `prepend_scheme` must be always, first or never");
    else if (!prefixed)
        return err_set(err, ERR_INVALID, "decoder Metaspace: add_prefix_space does not match declared prepend_scheme");
    else
        s->flag = true;
    return 0;
}

static int read_replace(struct decoder *d, struct json v, struct err *err)
{
    struct step *s = new_step(d, STEP_REPLACE);
    struct json pattern = json_get(v, STR("pattern"));
    if (json_exists(json_get(pattern, STR("Regex")))) {
        struct str text;
        int rc = read_string(d, pattern, "Regex", NULL, &text, err);
        if (!rc)
            rc = regex_new(text, &s->regex, err);
        if (rc)
            return rc;
        d->has_regex = true;
        return read_string(d, v, "content", NULL, &s->to, err);
    }
    int rc = read_string(d, pattern, "String", NULL, &s->from, err);
    if (!rc && !s->from.n)
        return err_set(err, ERR_INVALID, "decoder Replace: the pattern must not be empty");
    return rc ? rc : read_string(d, v, "content", NULL, &s->to, err);
}

static int read_strip(struct decoder *d, struct json v, struct err *err)
{
    struct step *s = new_step(d, STEP_STRIP);
    int rc = read_char(d, v, "content", NULL, &s->from, err);
    if (!rc)
        rc = read_count(v, "start", &s->start, err);
    return rc ? rc : read_count(v, "stop", &s->stop, err);
}

static int read_word_piece(struct decoder *d, struct json v, struct err *err)
{
    struct step *s = new_step(d, STEP_WORD_PIECE);
    int rc = read_string(d, v, "prefix", "##", &s->from, err);
    return rc ? rc : read_bool(v, "cleanup", true, &s->flag, err);
}

static int read_bpe(struct decoder *d, struct json v, struct err *err)
{
    struct step *s = new_step(d, STEP_BPE);
    int rc = read_string(d, v, "suffix", "</w>", &s->from, err);
    if (!rc && !s->from.n)
        return err_set(err, ERR_INVALID, "decoder BPEDecoder: `suffix` must not be empty");
    return rc;
}

static int read_ctc(struct decoder *d, struct json v, struct err *err)
{
    struct step *s = new_step(d, STEP_CTC);
    int rc = read_string(d, v, "pad_token", "<pad>", &s->from, err);
    if (!rc)
        rc = read_string(d, v, "word_delimiter_token", "|", &s->to, err);
    if (!rc && (!s->from.n || !s->to.n))
        return err_set(err, ERR_INVALID, "decoder CTC: `pad_token` and `word_delimiter_token` must not be empty");
    return rc ? rc : read_bool(v, "cleanup", true, &s->flag, err);
}

static int read_step(struct decoder *d, struct json v, unsigned depth, struct err *err)
{
    struct json type = json_get(v, STR("type"));
    if (d->steps_n == STEPS_MAX || depth > DEPTH_MAX)
        return err_set(err, ERR_LIMIT, "decoder: at most %d steps, nested at most %d deep, are supported", STEPS_MAX, DEPTH_MAX);
    if (json_str_eq(type, STR("Sequence"))) {
        struct json list = json_get(v, STR("decoders"));
        if (!json_is(list, JSON_ARRAY))
            return err_set(err, ERR_INVALID, "decoder Sequence: `decoders` must be an array");
        int rc = 0;
        struct json_iter it = json_iter(list);
        while (!rc && json_next(&it))
            rc = read_step(d, it.value, depth + 1, err);
        return rc;
    }
    if (json_str_eq(type, STR("ByteLevel")))
        return new_step(d, STEP_BYTE_LEVEL), 0;
    if (json_str_eq(type, STR("ByteFallback")))
        return new_step(d, STEP_BYTE_FALLBACK), 0;
    if (json_str_eq(type, STR("Fuse")))
        return new_step(d, STEP_FUSE), 0;
    if (json_str_eq(type, STR("Metaspace")))
        return read_metaspace(d, v, err);
    if (json_str_eq(type, STR("Replace")))
        return read_replace(d, v, err);
    if (json_str_eq(type, STR("Strip")))
        return read_strip(d, v, err);
    if (json_str_eq(type, STR("WordPiece")))
        return read_word_piece(d, v, err);
    if (json_str_eq(type, STR("BPEDecoder")))
        return read_bpe(d, v, err);
    if (json_str_eq(type, STR("CTC")))
        return read_ctc(d, v, err);
    struct str name = json_raw_str(type);
    return err_set(err, ERR_INVALID, "decoder: unknown type \"%.*s\"", (int)(name.n < 64 ? name.n : 64), name.p ? name.p : "");
}

/* ---- the way ---- */

/* Turns one token's text into one, without regard to the others (but to whether it is the first). */
static bool is_local(const struct step *s)
{
    return s->type == STEP_JOINED || s->type == STEP_METASPACE || s->type == STEP_STRIP || s->type == STEP_WORD_PIECE ||
           (s->type == STEP_REPLACE && !s->regex);
}

/* Can be done on a text that grows, whole characters at a time? One Strip only: more than one must know of each other. */
static bool is_gradual(const struct step *s, size_t *strips)
{
    if (s->type == STEP_STRIP)
        return !s->stop && !(*strips)++;
    return s->type == STEP_FUSE || (s->type == STEP_REPLACE && !s->regex && utf8_length(s->from) == s->from.n);
}

static enum decoder_kind find_kind(struct decoder *d)
{
    size_t i = 0, strips = 0;
    if (d->steps_n == 1 && (d->steps[0].type == STEP_BYTES || d->steps[0].type == STEP_BYTE_LEVEL))
        return KIND_BYTES;
    while (i < d->steps_n && is_local(&d->steps[i]))
        i++;
    d->before_n = i;
    if (i < d->steps_n && d->steps[i].type == STEP_BYTE_FALLBACK) {
        d->fallback = true;
        i++;
    }
    d->joined_at = i;
    if (i < d->steps_n && d->steps[i].type == STEP_FUSE)
        while (i < d->steps_n && is_gradual(&d->steps[i], &strips))
            i++;
    return i == d->steps_n ? KIND_DIRECT : KIND_STEPS;
}

int decoder_parse(struct json v, bool byte_level, struct decoder **ret, struct err *err)
{
    (void)byte_level; /* what the texts are is known when they are asked for: decoder_source.byte_level */
    struct decoder *d = calloc(1, sizeof(*d));
    if (!d)
        return err_set(err, ERR_NOMEM, "out of memory");
    arena_init(&d->arena, NULL, 0);
    int rc = 0;
    if (json_is_null(v))
        new_step(d, STEP_JOINED);
    else
        rc = read_step(d, v, 0, err);
    if (rc) {
        decoder_free(d);
        return rc == ERR_NOMEM ? err_set(err, rc, "out of memory") : rc;
    }
    d->kind = find_kind(d);
    *ret = d;
    return 0;
}

int decoder_new_bytes(struct decoder **ret)
{
    struct decoder *d = calloc(1, sizeof(*d));
    if (!d)
        return ERR_NOMEM;
    arena_init(&d->arena, NULL, 0);
    new_step(d, STEP_BYTES);
    d->kind = find_kind(d);
    *ret = d;
    return 0;
}

bool decoder_is_direct(const struct decoder *d)
{
    return d->kind != KIND_STEPS;
}

int decoder_decode(const struct decoder *d, const struct decoder_source *s, const uint32_t *ids, size_t n, bool skip_specials,
                   struct buf *out, struct err *err)
{
    return d->kind == KIND_STEPS ? decoder_decode_steps(d, s, ids, n, skip_specials, out, err)
                                 : decoder_decode_direct(d, s, ids, n, skip_specials, out, err);
}
