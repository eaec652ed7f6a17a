/* text/toolcall/partial_json.c
 *
 *   VALUE --{--> KEY --"--> STRING --> COLON --:--> VALUE       each level that ends goes back to AFTER of the one around it, the outermost to DONE
 *     | --[--> VALUE                                  |
 *     +--> STRING, NUMBER, WORD -----------------> AFTER --,--> KEY or VALUE
 *
 * A byte that fits nowhere ends the innermost level and is looked at again in the one around it; the text's end ends them all. One byte is looked at once per level at most.
 * structure() leaves VALUE, KEY, COLON and AFTER, string() the states of strings, number() those of numbers, word() WORD; value_ended() enters AFTER or DONE.
 */
#include "text/toolcall/partial_json.h"

#include "base/err.h"
#include "json/json_write.h"
#include "text/toolcall/arguments.h"

enum { VALUE, KEY, COLON, AFTER, STRING, ESCAPE, HEX, MINUS, ZERO, INTEGER, FRACTION, EXPONENT, EXPONENT_DIGITS, WORD, DONE };

static const struct str WORDS[] = { STR_INIT("true"), STR_INIT("false"), STR_INIT("null") };

void partial_json_init(struct partial_json *s, bool partial_strings)
{
    *s = (struct partial_json){ .partial_strings = partial_strings };
}

void partial_json_fini(struct partial_json *s)
{
    buf_fini(&s->out);
}

/* ---- levels ---- */

static bool in_object(const struct partial_json *s)
{
    return s->depth && (s->objects >> s->depth & 1);
}

static void value_ended(struct partial_json *s)
{
    s->state = s->depth ? AFTER : DONE;
}

static void open_level(struct partial_json *s, bool object)
{
    s->depth++;
    s->objects = (s->objects & ~(UINT64_C(1) << s->depth)) | (uint64_t)object << s->depth;
    s->state = object ? KEY : VALUE;
    buf_put_char(&s->out, object ? '{' : '[');
}

static void close_level(struct partial_json *s)
{
    buf_put_char(&s->out, in_object(s) ? '}' : ']');
    s->depth--;
    value_ended(s);
}

/* A member or an element begins. */
static void begin_member(struct partial_json *s)
{
    s->member_at = s->out.n;
    char last = s->out.n ? s->out.p[s->out.n - 1] : '[';
    if (s->depth && last != '{' && last != '[')
        buf_put_char(&s->out, ',');
}

static void cut(struct partial_json *s, size_t at)
{
    if (!s->out.failed)
        s->out.n = at;
}

/* What began as a value is none: the level around it ends. */
static void no_value(struct partial_json *s)
{
    if (!s->depth) {
        s->failed = true;
        s->state = DONE;
        return;
    }
    cut(s, s->partial_strings ? s->value_at : s->member_at);
    if (s->partial_strings)
        buf_puts(&s->out, "null");
    close_level(s);
}

static void no_key(struct partial_json *s)
{
    cut(s, s->member_at);
    close_level(s);
}

/* ---- strings ---- */

static void string_ended(struct partial_json *s)
{
    buf_put_char(&s->out, '"');
    if (s->in_key)
        s->state = COLON;
    else
        value_ended(s);
}

static void put_unit(struct partial_json *s, uint32_t c)
{
    char utf8[3] = { (char)(0xE0 | c >> 12), (char)(0x80 | (c >> 6 & 0x3F)), (char)(0x80 | (c & 0x3F)) };
    char two[2] = { (char)(0xC0 | c >> 6), (char)(0x80 | (c & 0x3F)) }, one = (char)c;
    if (c < 0x80)
        json_escape(&s->out, (struct str){ &one, 1 });
    else
        buf_put(&s->out, c < 0x800 ? (struct str){ two, 2 } : (struct str){ utf8, 3 });
}

/* Behind a backslash. An escape that JSON does not know is the character itself. */
static void escape(struct partial_json *s, char c)
{
    static const char FROM[] = "bfnrt", TO[] = "\b\f\n\r\t";
    const char *at = memchr(FROM, c, sizeof(FROM) - 1);
    s->state = STRING;
    if (c == 'u') {
        s->state = HEX;
        s->hex_n = 0;
        s->unit = 0;
    } else if (at)
        put_unit(s, (uint8_t)TO[at - FROM]);
    else if ((uint8_t)c < 0x80)
        put_unit(s, (uint8_t)c);
    else
        buf_put_char(&s->out, c);
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A digit of \uXXXX; false: C is none, and is looked at again. */
static bool hex_digit(struct partial_json *s, char c)
{
    int digit = hex(c);
    if (digit < 0) {
        put_unit(s, 0xFFFD);
        s->state = STRING;
        return false;
    }
    s->unit = (uint16_t)(s->unit << 4 | digit);
    if (++s->hex_n < 4)
        return true;
    s->state = STRING;
    if (s->unit < 0xD800 || s->unit >= 0xE000)
        put_unit(s, s->unit);
    else if (s->in_key)
        no_key(s);
    else
        no_value(s);
    return true;
}

static bool string(struct partial_json *s, char c)
{
    if (s->state == HEX)
        return hex_digit(s, c);
    if (s->state == ESCAPE)
        escape(s, c);
    else if (c == '"')
        string_ended(s);
    else if (c == '\\')
        s->state = ESCAPE;
    else if ((uint8_t)c < 0x20)
        put_unit(s, (uint8_t)c);
    else
        buf_put_char(&s->out, c);
    return true;
}

/* ---- numbers and words ---- */

static bool to_i64(struct str text, int64_t *ret)
{
    bool negative = text.n && text.p[0] == '-';
    int64_t v = 0;
    if (text.n == negative)
        return false;
    for (size_t i = negative; i < text.n; i++) {
        int digit = text.p[i] - '0';
        if (digit < 0 || digit > 9 || __builtin_mul_overflow(v, 10, &v) ||
            (negative ? __builtin_sub_overflow(v, digit, &v) : __builtin_add_overflow(v, digit, &v)))
            return false;
    }
    *ret = v;
    return true;
}

/* The number's characters stand at the end of `out`; what is no number is 0. */
static void number_ended(struct partial_json *s)
{
    struct str text = str_skip(buf_str(&s->out), s->value_at);
    int64_t i;
    double d;
    struct json_writer w;
    value_ended(s);
    if (s->out.failed)
        return;
    bool integer = to_i64(text, &i), real = !integer && str_to_double(text, &d) == 0;
    cut(s, s->value_at);
    json_begin(&w, &s->out);
    if (integer)
        json_value_i64(&w, i);
    else if (real)
        json_value_f64(&w, d);
    else
        buf_put_char(&s->out, '0');
}

/* False: C does not belong to the number, which ended. */
static bool number(struct partial_json *s, char c)
{
    bool digit = c >= '0' && c <= '9';
    bool goes_on = digit && s->state != ZERO;
    if (s->state == MINUS && digit)
        s->state = c == '0' ? ZERO : INTEGER;
    else if (s->state <= INTEGER && c == '.') {
        s->state = FRACTION;
        goes_on = true;
    } else if (s->state <= FRACTION && (c | 0x20) == 'e') {
        s->state = EXPONENT;
        goes_on = true;
    } else if (s->state == EXPONENT && (digit || c == '+' || c == '-')) {
        s->state = EXPONENT_DIGITS;
        goes_on = true;
    }
    if (goes_on)
        buf_put_char(&s->out, c);
    else
        number_ended(s);
    return goes_on;
}

static void word_ended(struct partial_json *s)
{
    buf_put(&s->out, WORDS[s->word]);
    value_ended(s);
}

/* The text's end, or a byte that nothing can be made of. */
static void end(struct partial_json *s);

/* False: C does not belong to the word. Its beginning will do. */
static bool word(struct partial_json *s, char c)
{
    struct str w = WORDS[s->word];
    if (!((c | 0x20) >= 'a' && (c | 0x20) <= 'z') && (uint8_t)c < 0x80) {
        word_ended(s);
        return false;
    }
    if (s->word_n < w.n && c == w.p[s->word_n]) {
        s->word_n++;
        return true;
    }
    s->used = s->literal_used; /* where no level can go on: all of them end */
    no_value(s);
    end(s);
    return false;
}

/* ---- between values ---- */

static bool begin_value(struct partial_json *s, char c)
{
    if (!in_object(s))
        begin_member(s);
    s->value_at = s->out.n;
    if (s->depth > PARTIAL_JSON_DEPTH) {
        no_value(s);
        return false;
    }
    switch (c) {
    case '{':
    case '[':
        open_level(s, c == '{');
        return true;
    case '"':
        s->state = STRING;
        s->in_key = false;
        buf_put_char(&s->out, c);
        return true;
    case 't':
    case 'f':
    case 'n':
        s->state = WORD;
        s->word = c == 't' ? 0 : c == 'f' ? 1 : 2;
        s->word_n = 1;
        s->literal_used = s->used;
        return true;
    default:
        break;
    }
    if (c == '-' || (c >= '0' && c <= '9')) {
        s->state = c == '-' ? MINUS : c == '0' ? ZERO : INTEGER;
        buf_put_char(&s->out, c);
        return true;
    }
    buf_puts(&s->out, "null");
    value_ended(s);
    return false;
}

/* False: C is looked at again. */
static bool structure(struct partial_json *s, char c)
{
    switch (s->state) {
    case VALUE:
        if (c != ']' || !s->depth || in_object(s))
            return begin_value(s, c);
        close_level(s);
        return true;
    case KEY:
        if (c == '"') {
            begin_member(s);
            buf_put_char(&s->out, c);
            s->state = STRING;
            s->in_key = true;
            return true;
        }
        close_level(s);
        return c == '}';
    case COLON:
        if (c == ':') {
            buf_put_char(&s->out, c);
            s->state = VALUE;
            return true;
        }
        buf_puts(&s->out, ":null");
        close_level(s);
        return false;
    default: /* AFTER */
        if (c == ',') {
            s->state = in_object(s) ? KEY : VALUE;
            return true;
        }
        bool closes = c == (in_object(s) ? '}' : ']');
        close_level(s);
        return closes;
    }
}

static bool between(const struct partial_json *s)
{
    return s->state <= AFTER;
}

/* A byte of a character beyond ASCII, which may be white space; else nothing can be made of it. */
static void wide(struct partial_json *s, char c)
{
    s->wide[s->wide_n++] = c;
    struct str character = { s->wide, s->wide_n };
    if (arguments_whole_characters(character) == 0)
        return;
    if (arguments_trim_front(character).n == 0)
        s->used += s->wide_n;
    else
        end(s);
    s->wide_n = 0;
}

static bool byte(struct partial_json *s, char c)
{
    if (between(s)) {
        if (c == ' ' || (c >= '\t' && c <= '\r'))
            return true;
        return structure(s, c);
    }
    if (s->state == WORD)
        return word(s, c);
    return s->state <= HEX ? string(s, c) : number(s, c);
}

/* How many bytes at the front of TEXT are a string's ordinary ones. */
static size_t ordinary(struct str text)
{
    size_t n = 0;
    while (n < text.n && text.p[n] != '"' && text.p[n] != '\\' && (uint8_t)text.p[n] >= 0x20)
        n++;
    return n;
}

void partial_json_feed(struct partial_json *s, struct str text)
{
    while (text.n && s->state != DONE) {
        size_t n = s->state == STRING ? ordinary(text) : 0;
        bool is_wide = between(s) && ((uint8_t)text.p[0] >= 0x80 || s->wide_n);
        if (n)
            buf_put(&s->out, str_first(text, n));
        else if (is_wide)
            wide(s, text.p[0]);
        else
            n = byte(s, text.p[0]);
        s->used += n;
        text = str_skip(text, is_wide ? 1 : n);
    }
}

static void string_cut_off(struct partial_json *s)
{
    if (s->state == HEX)
        put_unit(s, 0xFFFD);
    if (!s->out.failed)
        s->out.n = arguments_whole_characters(buf_str(&s->out));
    if (s->partial_strings)
        string_ended(s);
    else if (s->in_key)
        no_key(s);
    else
        no_value(s);
}

static void end(struct partial_json *s)
{
    while (s->state != DONE)
        if (between(s))
            structure(s, '\0');
        else if (s->state == WORD)
            word_ended(s);
        else if (s->state <= HEX)
            string_cut_off(s);
        else
            number_ended(s);
}

int partial_json_read(const struct partial_json *s, struct buf *out, size_t *ret_used)
{
    struct partial_json ended = *s;
    ended.out = (struct buf){ 0 };
    buf_put(&ended.out, buf_str(&s->out));
    end(&ended);
    int r = s->out.failed || ended.out.failed ? ERR_NOMEM : ended.failed ? ERR_SYNTAX : 0;
    if (r == 0) {
        buf_put(out, buf_str(&ended.out));
        r = out->failed ? ERR_NOMEM : 0;
    }
    if (r == 0 && ret_used)
        *ret_used = ended.used;
    buf_fini(&ended.out);
    return r;
}

int partial_json(struct str text, bool partial_strings, struct buf *out, size_t *ret_used)
{
    struct partial_json s;
    partial_json_init(&s, partial_strings);
    partial_json_feed(&s, text);
    int r = partial_json_read(&s, out, ret_used);
    partial_json_fini(&s);
    return r;
}
