/* text/tokenizer/pretokenizer.c -- reads pre-tokenizers, and looks at the chain once: is there a scanner that does it all, and does the model see bytes?
 *
 * Sequences are flattened; BertPreTokenizer is two steps. A ByteLevel at the end that neither prefixes nor splits is no step at all: the model works on raw bytes (vocab.h).
 * A ByteLevel with other steps behind it maps for them, and where those only cut, the pieces are turned into bytes at the end: every mapped character is one byte.
 */
#include "text/tokenizer/pretokenizer.h"

#include <stdlib.h>

#include "text/tokenizer/pretokenizer_internal.h"

#include "base/utf8.h"

#define DEPTH_MAX 16 /* sequences inside each other */
#define STEPS_MAX 32 /* the longest chain seen has 5 */

struct parser {
    struct pretokenizer *p;
    struct arena arena;
    struct err *err;
};

static int parse_one(struct parser *p, struct json v, unsigned depth);

/* ---- members ---- */

static int want_bool(struct parser *p, struct json v, const char *type, const char *member, const bool *absent, bool *ret)
{
    struct json m = json_get(v, str_of(member));
    if (absent && !json_exists(m)) {
        *ret = *absent;
        return 0;
    }
    if (!json_is_bool(m))
        return err_set(p->err, ERR_INVALID, "pre_tokenizer %s: \"%s\" must be true or false", type, member);
    *ret = json_is(m, JSON_TRUE);
    return 0;
}

static int want_char(struct parser *p, struct json v, const char *type, const char *member, struct step *s)
{
    struct json m = json_get(v, str_of(member));
    struct str text = json_is(m, JSON_STRING) ? json_str(m, &p->arena) : STR_NONE;
    if (p->arena.failed)
        return err_set(p->err, ERR_NOMEM, "out of memory");
    if (!text.n || utf8_length(text) != text.n)
        return err_set(p->err, ERR_INVALID, "pre_tokenizer %s: \"%s\" must be a string of one character", type, member);
    memcpy(s->mark, text.p, text.n);
    s->mark_n = (uint8_t)text.n;
    return 0;
}

static int want_behavior(struct parser *p, struct json v, const char *type, const enum behavior *absent, enum behavior *ret)
{
    static const char *const NAMES[] = { "Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous" };
    struct json m = json_get(v, STR("behavior"));
    if (absent && !json_exists(m)) {
        *ret = *absent;
        return 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++)
        if (json_str_eq(m, str_of(NAMES[i]))) {
            *ret = (enum behavior)i;
            return 0;
        }
    return err_set(p->err, ERR_INVALID,
                   "pre_tokenizer %s: \"behavior\" must be Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous",
                   type);
}

/* ---- types ---- */

/* One regex that a scanner knows: then the regex itself is not needed. */
static int take_regex(struct str text, struct step *s, struct err *err)
{
    s->source = str_dup(text.p ? text : STR(""));
    if (!s->source)
        return err_set(err, ERR_NOMEM, "out of memory");
    s->source_n = text.n;
    struct str source = { s->source, s->source_n };
    bool covers = s->kind == BYTE_LEVEL || (s->behavior == ISOLATED && !s->invert) || (s->behavior == REMOVED && s->invert);
    s->scanner = covers ? scanner_find(&source, 1, false) : NULL;
    return s->scanner ? 0 : regex_new(source, &s->regex, err);
}

static int parse_split(struct parser *p, struct json v, struct step *s)
{
    struct json pattern = json_get(v, STR("pattern"));
    struct json string = json_get(pattern, STR("String")), regex = json_get(pattern, STR("Regex"));
    bool literal = json_is(string, JSON_STRING);
    if (!json_is(pattern, JSON_OBJECT) || json_count(pattern) != 1 || (!literal && !json_is(regex, JSON_STRING)))
        return err_set(p->err, ERR_INVALID,
                       "pre_tokenizer Split: \"pattern\" must be {\"String\": \"...\"} or {\"Regex\": \"...\"}");
    int r = want_behavior(p, v, "Split", NULL, &s->behavior);
    if (r == 0)
        r = want_bool(p, v, "Split", "invert", NULL, &s->invert);
    if (r < 0)
        return r;
    struct str text = json_str(literal ? string : regex, &p->arena);
    if (p->arena.failed)
        return err_set(p->err, ERR_NOMEM, "out of memory");
    if (literal) {
        r = regex_new_literal(text.p ? text : STR(""), &s->regex);
        return r < 0 ? err_set(p->err, r, "out of memory") : 0;
    }
    r = take_regex(text, s, p->err);
    return r < 0 ? err_wrap(p->err, r, "pre_tokenizer Split: \"pattern\"") : 0;
}

static int parse_digits(struct parser *p, struct json v, struct step *s)
{
    bool individual;
    int r = want_bool(p, v, "Digits", "individual_digits", NULL, &individual);
    if (r == 0)
        s->behavior = individual ? ISOLATED : CONTIGUOUS;
    return r;
}

static int parse_punctuation(struct parser *p, struct json v, struct step *s)
{
    return want_behavior(p, v, "Punctuation", &(const enum behavior){ ISOLATED }, &s->behavior);
}

static int parse_white_space(struct parser *p, struct json v, struct step *s)
{
    s->behavior = REMOVED;
    return 0;
}

static int parse_delimiter(struct parser *p, struct json v, struct step *s)
{
    s->behavior = REMOVED;
    return want_char(p, v, "CharDelimiterSplit", "delimiter", s);
}

static int parse_fixed_length(struct parser *p, struct json v, struct step *s)
{
    struct json m = json_get(v, STR("length"));
    uint64_t length = 5;
    if (json_exists(m) && (json_to_u64(m, &length) < 0 || length < 1))
        return err_set(p->err, ERR_INVALID, "pre_tokenizer FixedLength: \"length\" must be a whole number, at least 1");
    s->length = (uint32_t)MIN(length, UINT32_MAX);
    return 0;
}

/* Old files have add_prefix_space in place of prepend_scheme, some have both. */
static int parse_metaspace(struct parser *p, struct json v, struct step *s)
{
    static const char *const SCHEMES[] = { "always", "first", "never" };
    struct json scheme = json_get(v, STR("prepend_scheme")), add = json_get(v, STR("add_prefix_space"));
    bool add_prefix = true;
    int r = want_char(p, v, "Metaspace", "replacement", s);
    if (r < 0)
        return r;
    s->split = true;
    if (!json_is_null(json_get(v, STR("split"))))
        r = want_bool(p, v, "Metaspace", "split", NULL, &s->split);
    if (r == 0 && !json_is_null(add))
        r = want_bool(p, v, "Metaspace", "add_prefix_space", NULL, &add_prefix);
    if (r < 0)
        return r;
    s->prepend = add_prefix ? PREPEND_ALWAYS : PREPEND_NEVER;
    if (!json_exists(scheme))
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(SCHEMES); i++)
        if (json_str_eq(scheme, str_of(SCHEMES[i]))) {
            s->prepend = (enum prepend)i;
            if (!add_prefix && s->prepend != PREPEND_NEVER)
                return err_set(p->err, ERR_INVALID,
                               "pre_tokenizer Metaspace: \"add_prefix_space\" is false, so \"prepend_scheme\" must be \"never\"");
            return 0;
        }
    return err_set(p->err, ERR_INVALID, "pre_tokenizer Metaspace: \"prepend_scheme\" must be \"always\", \"first\" or \"never\"");
}

static int parse_byte_level(struct parser *p, struct json v, struct step *s)
{
    int r = want_bool(p, v, "ByteLevel", "add_prefix_space", NULL, &s->prefix);
    if (r == 0)
        r = want_bool(p, v, "ByteLevel", "use_regex", &(const bool){ true }, &s->split);
    s->behavior = ISOLATED;
    if (r == 0 && s->split)
        r = take_regex(SCANNER_REGEX_GPT2, s, p->err);
    return r;
}

static const struct type {
    const char *name;
    enum step_kind kind;
    int (*parse)(struct parser *p, struct json v, struct step *s); /* NULL: no members */
} TYPES[] = {
    { "ByteLevel", BYTE_LEVEL, parse_byte_level },
    { "Split", SPLIT, parse_split },
    { "Digits", DIGITS, parse_digits },
    { "Metaspace", METASPACE, parse_metaspace },
    { "Punctuation", PUNCTUATION, parse_punctuation },
    { "Whitespace", WHITESPACE, NULL },
    { "WhitespaceSplit", WHITESPACE_SPLIT, parse_white_space },
    { "CharDelimiterSplit", DELIMITER, parse_delimiter },
    { "Delimiter", DELIMITER, parse_delimiter },
    { "UnicodeScripts", SCRIPTS, NULL },
    { "FixedLength", FIXED_LENGTH, parse_fixed_length },
};

static int new_step(struct parser *p, enum step_kind kind, struct step **ret)
{
    if (p->p->n == STEPS_MAX)
        return err_set(p->err, ERR_LIMIT, "pre_tokenizer: more than %d steps", STEPS_MAX);
    *ret = &p->p->steps[p->p->n++];
    **ret = (struct step){ .kind = kind };
    return 0;
}

static int parse_sequence(struct parser *p, struct json v, unsigned depth)
{
    struct json list = json_get(v, STR("pretokenizers"));
    if (!json_is(list, JSON_ARRAY))
        return err_set(p->err, ERR_INVALID, "pre_tokenizer Sequence: \"pretokenizers\" must be an array");
    if (depth >= DEPTH_MAX)
        return err_set(p->err, ERR_LIMIT, "pre_tokenizer Sequence: more than %d inside each other", DEPTH_MAX);
    struct json_iter it = json_iter(list);
    while (json_next(&it)) {
        int r = parse_one(p, it.value, depth + 1);
        if (r < 0)
            return r;
    }
    return 0;
}

static int parse_bert(struct parser *p)
{
    struct step *s;
    int r = new_step(p, WHITESPACE_SPLIT, &s);
    if (r < 0)
        return r;
    s->behavior = REMOVED;
    r = new_step(p, PUNCTUATION, &s);
    if (r == 0)
        s->behavior = ISOLATED;
    return r;
}

static int parse_one(struct parser *p, struct json v, unsigned depth)
{
    struct json type = json_get(v, STR("type"));
    if (!json_is(type, JSON_STRING))
        return err_set(p->err, ERR_INVALID, "pre_tokenizer: must be an object whose \"type\" is a string");
    if (json_str_eq(type, STR("Sequence")))
        return parse_sequence(p, v, depth);
    if (json_str_eq(type, STR("BertPreTokenizer")))
        return parse_bert(p);
    for (size_t i = 0; i < ARRAY_LEN(TYPES); i++) {
        struct step *s;
        if (!json_str_eq(type, str_of(TYPES[i].name)))
            continue;
        int r = new_step(p, TYPES[i].kind, &s);
        if (r < 0)
            return r;
        return TYPES[i].parse ? TYPES[i].parse(p, v, s) : 0;
    }
    struct str name = str_first(json_raw_str(type), 64);
    return err_set(p->err, ERR_UNSUPPORTED, "pre_tokenizer: the type \"%.*s\" is not known", STR_FMT(name));
}

/* ---- looking at the chain ---- */

static bool only_cuts(const struct step *s)
{
    return s->kind != METASPACE && s->kind != BYTE_LEVEL;
}

static void look_at_bytes(struct pretokenizer *p)
{
    bool cuts = true; /* all that comes behind */
    for (size_t i = p->n; i-- > 0;) {
        struct step *s = &p->steps[i];
        if (s->kind == BYTE_LEVEL) {
            bool last = i + 1 == p->n;
            s->map = !last;
            if (cuts) {
                p->byte_level = true;
                p->unmap = !last;
            }
        }
        cuts = cuts && only_cuts(s);
    }
}

/* Digits(individual)? Split(regex)+ ByteLevel */
static void look_for_scanner(struct pretokenizer *p)
{
    struct str regexes[STEPS_MAX];
    size_t n = 0, i = 0;
    if (!p->byte_level || p->unmap || p->steps[p->n - 1].prefix)
        return;
    bool digits = p->steps[0].kind == DIGITS && p->steps[0].behavior == ISOLATED;
    for (i = digits; i < p->n; i++) {
        const struct step *s = &p->steps[i];
        bool last = i + 1 == p->n;
        if (last ? s->kind != BYTE_LEVEL : s->kind != SPLIT)
            return;
        if (last && !s->split)
            break;
        bool isolated = s->kind == BYTE_LEVEL || (s->behavior == ISOLATED && !s->invert);
        /* Removed and inverted drops what does not match: the same only for a regex that matches everything, as those that have a scanner alone do. */
        if (!s->source || !(isolated || s->scanner))
            return;
        regexes[n++] = (struct str){ s->source, s->source_n };
    }
    if (n)
        p->scanner = scanner_find(regexes, n, digits);
}

static void finish(struct pretokenizer *p)
{
    look_at_bytes(p);
    if (p->n)
        look_for_scanner(p);
    /* Nothing left to do for it. */
    if (p->n && p->steps[p->n - 1].kind == BYTE_LEVEL && !p->steps[p->n - 1].prefix && !p->steps[p->n - 1].split)
        p->n--;
}

static int begin(struct parser *p, struct err *err)
{
    *p = (struct parser){ .p = calloc(1, sizeof(*p->p)), .err = err };
    if (p->p)
        p->p->steps = calloc(STEPS_MAX, sizeof(*p->p->steps));
    arena_init(&p->arena, NULL, 0);
    return p->p && p->p->steps ? 0 : err_set(err, ERR_NOMEM, "out of memory");
}

static int end(struct parser *p, int r, struct pretokenizer **ret)
{
    arena_fini(&p->arena);
    if (r < 0) {
        pretokenizer_free(p->p);
        return r;
    }
    finish(p->p);
    struct step *fit = realloc(p->p->steps, (p->p->n ? p->p->n : 1) * sizeof(*fit));
    p->p->steps = fit ? fit : p->p->steps;
    *ret = p->p;
    return 0;
}

int pretokenizer_parse(struct json v, struct pretokenizer **ret, struct err *err)
{
    struct parser p;
    if (json_is_null(v)) {
        *ret = NULL;
        return 0;
    }
    int r = begin(&p, err);
    return end(&p, r < 0 ? r : parse_one(&p, v, 0), ret);
}

int pretokenizer_from_regex(struct str regex, bool add_prefix_space, struct pretokenizer **ret, struct err *err)
{
    struct parser p;
    struct step *s;
    int r = begin(&p, err);
    if (r == 0) {
        r = new_step(&p, SPLIT, &s);
        if (r == 0) {
            s->behavior = ISOLATED;
            r = take_regex(regex, s, err);
        }
        if (r == 0)
            r = new_step(&p, BYTE_LEVEL, &s);
        if (r == 0)
            s->prefix = add_prefix_space;
    }
    return end(&p, r, ret);
}

void pretokenizer_free(struct pretokenizer *p)
{
    if (!p)
        return;
    for (size_t i = 0; p->steps && i < p->n; i++) {
        regex_free(p->steps[i].regex);
        free(p->steps[i].source);
    }
    free(p->steps);
    free(p);
}

size_t pretokenizer_memory(const struct pretokenizer *p)
{
    if (!p)
        return 0;
    size_t sum = sizeof(*p) + p->n * sizeof(*p->steps);
    for (size_t i = 0; i < p->n; i++)
        sum += regex_memory(p->steps[i].regex) + p->steps[i].source_n;
    return sum;
}

const struct scanner *pretokenizer_scanner(const struct pretokenizer *p)
{
    return p ? p->scanner : NULL;
}

bool pretokenizer_is_byte_level(const struct pretokenizer *p)
{
    return p && p->byte_level;
}
