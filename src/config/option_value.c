/* config/option_value.c -- one piece of text to one member: the types of options and their bounds
 *
 * Command line, environment, file and default all pass here, so that a value means the same wherever it comes from.
 */
#include "config/option_internal.h"

#include <stdio.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

bool option_next_word(struct str *list, struct str *ret)
{
    size_t from = 0, to;

    while (from < list->n && is_blank(list->p[from]))
        from++;
    for (to = from; to < list->n && !is_blank(list->p[to]);)
        to++;
    if (from == to)
        return false;
    *ret = (struct str){ list->p + from, to - from };
    *list = str_skip(*list, to);
    return true;
}

bool option_word_in(const char *list, struct str text)
{
    struct str rest = str_of(list), word;

    while (option_next_word(&rest, &word)) {
        if (str_eq(word, text))
            return true;
    }
    return false;
}

const char *option_value_word(const struct option *o)
{
    static const char *const WORDS[] = {
        [OPT_FLAG] = "",     [OPT_STR] = "TEXT",  [OPT_PATH] = "PATH",       [OPT_U16] = "N",       [OPT_U32] = "N",
        [OPT_U64] = "N",     [OPT_I32] = "N",     [OPT_I64] = "N",           [OPT_F64] = "NUMBER",  [OPT_BYTES] = "BYTES",
        [OPT_ENUM] = "NAME", [OPT_LIST] = "TEXT", [OPT_F64_LIST] = "NUMBER", [OPT_APPEND] = "TEXT", [OPT_ENDPOINTS] = "URL",
    };

    return o->value ? o->value : WORDS[o->type];
}

/* ---- numbers ---- */

/* The bounds of an integer type, as far as a 64-bit sign and magnitude can say them. */
struct bounds {
    int64_t min;
    uint64_t max;
};

static struct bounds type_bounds(enum option_type type)
{
    switch (type) {
    case OPT_U16:
        return (struct bounds){ 0, UINT16_MAX };
    case OPT_U32:
        return (struct bounds){ 0, UINT32_MAX };
    case OPT_I32:
        return (struct bounds){ INT32_MIN, INT32_MAX };
    case OPT_I64:
        return (struct bounds){ INT64_MIN, INT64_MAX };
    default:
        return (struct bounds){ 0, UINT64_MAX };
    }
}

/* The row's own bounds narrow those of the type; rows write whole numbers below 2^53 for integers. */
static struct bounds row_bounds(const struct option *o)
{
    struct bounds b = type_bounds(o->type);

    if (o->min < o->max) {
        if (o->min > (double)b.min)
            b.min = (int64_t)o->min;
        if (o->max < (double)b.max)
            b.max = (uint64_t)o->max;
    }
    return b;
}

static int out_of_bounds(struct bounds b, struct err *err)
{
    return err_set(err, ERR_INVALID, "not in %lld..=%llu", (long long)b.min, (unsigned long long)b.max);
}

/* "512M" -> 512 << 20; the letters in either case, with or without "B" or "iB". */
static int split_byte_suffix(struct str *text, unsigned *ret_shift)
{
    static const char LETTERS[] = "kmgt";
    struct str s = *text;
    unsigned shift = 0;

    if (s.n && (s.p[s.n - 1] | 0x20) == 'b') {
        s.n--;
        if (s.n && (s.p[s.n - 1] | 0x20) == 'i')
            s.n--;
    }
    for (unsigned i = 0; s.n && i < 4; i++) {
        if ((s.p[s.n - 1] | 0x20) == LETTERS[i]) {
            shift = 10 * (i + 1);
            s.n--;
            break;
        }
    }
    if (shift == 0 && text->n - s.n > 1)
        return ERR_SYNTAX; /* "iB" alone */
    *text = s;
    *ret_shift = shift;
    return 0;
}

static int read_integer(const struct option *o, struct str text, bool *ret_negative, uint64_t *ret, struct err *err)
{
    bool is_signed = o->type == OPT_I32 || o->type == OPT_I64;
    bool negative = is_signed && text.n > 1 && text.p[0] == '-';
    struct bounds b = row_bounds(o);
    unsigned shift = 0;
    uint64_t magnitude;
    int r;

    if (o->type == OPT_BYTES && split_byte_suffix(&text, &shift) < 0)
        return err_set(err, ERR_INVALID, "a whole number is expected, optionally with K, M, G or T behind it");
    r = str_to_u64(negative ? str_skip(text, 1) : text, &magnitude);
    if (r == ERR_LIMIT)
        return out_of_bounds(b, err);
    if (r < 0)
        return err_set(err, ERR_INVALID,
                       o->type == OPT_BYTES ? "a whole number is expected, optionally with K, M, G or T behind it"
                                            : "a whole number is expected");
    if (magnitude > UINT64_MAX >> shift)
        return out_of_bounds(b, err);
    magnitude <<= shift;
    if (negative && magnitude == 0)
        negative = false;
    if (negative ? b.min >= 0 || magnitude > 0 - (uint64_t)b.min : magnitude > b.max || (b.min > 0 && magnitude < (uint64_t)b.min))
        return out_of_bounds(b, err);
    *ret_negative = negative;
    *ret = magnitude;
    return 0;
}

static int set_integer(const struct option *o, struct str text, void *member, struct err *err)
{
    uint64_t magnitude = 0, bits;
    bool negative = false;
    int r;

    r = read_integer(o, text, &negative, &magnitude, err);
    if (r < 0)
        return r;
    bits = negative ? 0 - magnitude : magnitude; /* two's complement */
    switch (o->type) {
    case OPT_U16:
        *(uint16_t *)member = (uint16_t)bits;
        break;
    case OPT_U32:
    case OPT_I32:
        *(uint32_t *)member = (uint32_t)bits;
        break;
    default:
        *(uint64_t *)member = bits;
        break;
    }
    return 0;
}

static int read_double(const struct option *o, struct str text, double *ret, struct err *err)
{
    double v;

    if (str_to_double(text, &v) < 0)
        return err_set(err, ERR_INVALID, "a number is expected");
    if (o->min < o->max && (v < o->min || v > o->max))
        return err_set(err, ERR_INVALID, "not in %g..=%g", o->min, o->max);
    *ret = v;
    return 0;
}

double option_value_number(const struct option *o, const void *member)
{
    switch (o->type) {
    case OPT_U16:
        return *(const uint16_t *)member;
    case OPT_U32:
        return *(const uint32_t *)member;
    case OPT_I32:
        return *(const int32_t *)member;
    case OPT_I64:
        return (double)*(const int64_t *)member;
    case OPT_U64:
    case OPT_BYTES:
        return (double)*(const uint64_t *)member;
    case OPT_F64:
        return *(const double *)member;
    default:
        return 0;
    }
}

/* ---- names and switches ---- */

static int set_flag(struct str text, bool *member, struct err *err)
{
    static const char *const ON[] = { "true", "1", "yes", "on" }, *const OFF[] = { "false", "0", "no", "off" };

    for (size_t i = 0; i < ARRAY_LEN(ON); i++) {
        if (str_eq_nocase(text, str_of(ON[i])) || str_eq_nocase(text, str_of(OFF[i]))) {
            *member = str_eq_nocase(text, str_of(ON[i]));
            return 0;
        }
    }
    return err_set(err, ERR_INVALID, "true or false is expected");
}

static int set_name(const struct option *o, struct str text, void *member, struct err *err)
{
    char names[400];
    size_t n = 0;

    for (const struct option_name *c = o->names; c->name; c++) {
        if (str_eq(text, str_of(c->name))) {
            if (c->state == OPT_NOT_YET)
                return ERR_UNSUPPORTED;
            *(int *)member = c->value;
            return 0;
        }
    }
    names[0] = 0;
    for (const struct option_name *c = o->names; c->name && n < sizeof names; c++) {
        if (c->state == OPT_AVAILABLE)
            n += (size_t)snprintf(names + n, sizeof names - n, "%s%s", n ? ", " : "", c->name);
    }
    return err_set(err, ERR_INVALID, "possible values: %s", names);
}

/* ---- lists ---- */

/* All lists have the same shape: a pointer, then a count. */
static void *list_grow(void **items, size_t *n, size_t item_size, struct arena *arena, struct option_seen *seen)
{
    if (*n == seen->cap) {
        size_t cap = seen->cap ? seen->cap * 2 : 8;
        void *larger = arena_array(arena, cap, item_size);

        if (!larger)
            return NULL;
        if (*n)
            memcpy(larger, *items, *n * item_size);
        *items = larger;
        seen->cap = cap;
    }
    return (char *)*items + (*n)++ * item_size;
}

static int add_str(struct str text, struct arena *arena, struct option_list *list, struct option_seen *seen)
{
    void *items = list->items;
    struct str *item = list_grow(&items, &list->n, sizeof *item, arena, seen);

    if (!item)
        return ERR_NOMEM;
    *item = text;
    list->items = items;
    return 0;
}

static int add_number(const struct option *o, struct str text, struct arena *arena, struct option_numbers *list,
                      struct option_seen *seen, struct err *err)
{
    void *items = list->items;
    double v = 0, *item; /* gcc does not see that a success sets it */
    int r;

    r = read_double(o, text, &v, err);
    if (r < 0)
        return r;
    item = list_grow(&items, &list->n, sizeof *item, arena, seen);
    if (!item)
        return ERR_NOMEM;
    *item = v;
    list->items = items;
    return 0;
}

/* "URL" or "URL,PORT"; the walker joins the form of two tokens. */
static int add_endpoint(struct str text, struct arena *arena, struct option_endpoints *list, struct option_seen *seen,
                        struct err *err)
{
    size_t comma = str_rfind_char(text, ',');
    struct option_endpoint e = { .url = text, .port = -1 }, *item;
    void *items = list->items;

    if (comma != STR_NPOS) {
        struct str port = str_skip(text, comma + 1);
        uint64_t v;

        e.url = str_first(text, comma);
        if (!str_eq_nocase(port, STR("none"))) {
            if (str_to_u64(port, &v) < 0 || v > UINT16_MAX)
                return err_set(err, ERR_INVALID, "the bootstrap port must be a number in 0..=65535 or 'none'");
            e.port = (int32_t)v;
        }
    }
    item = list_grow(&items, &list->n, sizeof *item, arena, seen);
    if (!item)
        return ERR_NOMEM;
    *item = e;
    list->items = items;
    return 0;
}

int option_value_read(const struct option *o, struct str text, struct arena *arena, void *member, struct option_seen *seen,
                      struct err *err)
{
    int r = o->syntax ? o->syntax(text, err) : 0;

    if (r < 0)
        return r == ERR_NOMEM ? r : ERR_INVALID;
    switch (o->type) {
    case OPT_FLAG:
        return set_flag(text, member, err);
    case OPT_PATH:
        if (text.n == 0)
            return err_set(err, ERR_INVALID, "a path is expected");
        *(struct str *)member = text;
        return 0;
    case OPT_STR:
        *(struct str *)member = text;
        return 0;
    case OPT_U16:
    case OPT_U32:
    case OPT_U64:
    case OPT_I32:
    case OPT_I64:
    case OPT_BYTES:
        return set_integer(o, text, member, err);
    case OPT_F64:
        return read_double(o, text, member, err);
    case OPT_ENUM:
        return set_name(o, text, member, err);
    case OPT_LIST:
    case OPT_APPEND:
        return add_str(text, arena, member, seen);
    case OPT_F64_LIST:
        return add_number(o, text, arena, member, seen, err);
    case OPT_ENDPOINTS:
        return add_endpoint(text, arena, member, seen, err);
    }
    return ERR_INVALID;
}
