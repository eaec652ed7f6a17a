/* json/scan_impl.h -- the scanner's one body, included by scan_portable.c, scan_sse2.c and scan_avx2.c
 *
 * The text is cut into blocks of 64 bytes, and a question about a block is answered for all of its bytes at once, as a mask. A mask is kept
 * until another block is asked for, so that the next short string or number in the same block costs a shift and a count of zeros, not a
 * load: the end of one token is where the next begins, and this is the chain that sets the speed. The including file defines SCAN_NAME and
 *
 *     block_string(p, &high)  one bit per byte that a string cannot pass over: quote, backslash, control; in *high those from 0x80 up
 *     block_blank(p)          one bit per byte that is no blank
 *     block_digits(p)         one bit per byte that is no digit
 *     scan_utf8(p, end)       the first byte that is not UTF-8, or end
 *
 * The text's last block is looked at in a copy that is filled up, so that nothing outside of the text is read.
 *
 *   place       by                   goes to
 *   value       [ {                  first_element, first_key
 *               scalar               after
 *   first_key   "                    key -> value          }  close
 *   after       , in an object       key -> value          }  close
 *               , in an array        value_here            ]  close
 *               depth 0              end of text
 *   close                            after
 */

struct level {
    uint32_t node;  /* of the container */
    uint32_t count; /* members or elements so far */
    bool object;
};

/* The masks that were made last, each with its block's number. */
struct masks {
    const char *text;    /* borrowed */
    const char *last;    /* the copy of the last block */
    size_t last_block;   /* its number */
    size_t string_block; /* SIZE_MAX = none yet, as below */
    size_t blank_block;
    size_t digits_block;
    uint64_t string, high; /* as block_string gives them */
    uint64_t blank;
    uint64_t digits;
};

static inline const char *block_bytes(const struct masks *m, size_t block)
{
    return _likely_(block != m->last_block) ? m->text + block * SCAN_BLOCK : m->last;
}

/* The first byte from P on that is no blank; END when there is none. */
static inline const char *skip_blanks(struct masks *m, const char *p, const char *end)
{
    if (_unlikely_(p >= end) || (unsigned char)*p > ' ')
        return p;
    if (*p == ' ' && p + 1 < end && (unsigned char)p[1] > ' ') /* behind a comma or a colon */
        return p + 1;
    for (;;) {
        size_t at = (size_t)(p - m->text), block = at / SCAN_BLOCK;
        if (block != m->blank_block) {
            m->blank = block_blank(block_bytes(m, block));
            m->blank_block = block;
        }
        uint64_t other = m->blank >> at % SCAN_BLOCK;
        if (_likely_(other))
            return p + __builtin_ctzll(other);
        p = m->text + (block + 1) * SCAN_BLOCK;
        if (p >= end)
            return end;
    }
}

static inline const char *skip_digits(struct masks *m, const char *p, const char *end)
{
    while (p < end) {
        size_t at = (size_t)(p - m->text), block = at / SCAN_BLOCK;
        if (_unlikely_(block != m->digits_block)) {
            m->digits = block_digits(block_bytes(m, block));
            m->digits_block = block;
        }
        uint64_t other = m->digits >> at % SCAN_BLOCK;
        if (_likely_(other))
            return p + __builtin_ctzll(other);
        p = m->text + (block + 1) * SCAN_BLOCK;
    }
    return end;
}

/* Notes why and where it failed; NULL for the caller to return. */
static const char *stop(struct scan *s, const char *at, const char *message)
{
    s->at = at;
    s->message = message;
    return NULL;
}

/* From behind the quote at START to the closing quote, which it returns; NULL on failure. */
static inline const char *scan_string(struct scan *s, struct masks *m, const char *start, const char *end, bool *escaped)
{
    const char *p = start;
    uint64_t high_seen = 0;

    *escaped = false;
    while (_likely_(p < end)) {
        size_t at = (size_t)(p - m->text), block = at / SCAN_BLOCK;
        if (block != m->string_block) {
            m->string = block_string(block_bytes(m, block), &m->high);
            m->string_block = block;
        }
        uint64_t stops = m->string >> at % SCAN_BLOCK, high = m->high >> at % SCAN_BLOCK;
        if (!stops) {
            high_seen |= high;
            p = m->text + (block + 1) * SCAN_BLOCK;
            continue;
        }
        p += __builtin_ctzll(stops);
        high_seen |= high & (stops ^ (stops - 1));
        if (_likely_(*p == '"')) {
            const char *bad = _unlikely_(high_seen) ? scan_utf8(start, p) : p;
            return _likely_(bad == p) ? p : stop(s, bad, "invalid unicode code point");
        }
        if (*p != '\\')
            return stop(s, p, "control character (\\u0000-\\u001F) found while parsing a string");
        *escaped = true;
        p = json_scan_escape(s, p + 1, end);
        if (_unlikely_(!p))
            return NULL;
    }
    return stop(s, end, "EOF while parsing a string");
}

static const char *stop_number(struct scan *s, const char *p, const char *end)
{
    return p == end ? stop(s, end, "EOF while parsing a value") : stop(s, p, "invalid number");
}

/* RFC 8259 6: [ minus ] int [ frac ] [ exp ]. START is at the minus or the first digit. */
static inline const char *scan_number(struct scan *s, struct masks *m, const char *start, const char *end, bool *integer)
{
    const char *p = start, *digits;

    *integer = true;
    if (*p == '-' && ++p == end)
        return stop_number(s, p, end);
    if (*p == '0') {
        p++;
        if (p < end && *p >= '0' && *p <= '9')
            return stop_number(s, p, end);
    } else {
        digits = p;
        p = skip_digits(m, p, end);
        if (p == digits)
            return stop_number(s, p, end);
    }
    if (p < end && *p == '.') {
        *integer = false;
        digits = ++p;
        p = skip_digits(m, p, end);
        if (p == digits)
            return stop_number(s, p, end);
    }
    if (p < end && (*p | 0x20) == 'e') {
        *integer = false;
        p++;
        if (p < end && (*p == '+' || *p == '-'))
            p++;
        digits = p;
        p = skip_digits(m, p, end);
        if (p == digits)
            return stop_number(s, p, end);
    }
    return p;
}

/* The rest of a word whose first letter was seen. */
static inline const char *scan_word(struct scan *s, const char *p, const char *end, struct str word)
{
    size_t room = (size_t)(end - p), i = 1;

    if (_likely_(room >= word.n && memcmp(p, word.p, word.n) == 0))
        return p + word.n;
    while (i < room && p[i] == word.p[i])
        i++;
    return stop(s, p + i, i == room ? "EOF while parsing a value" : "expected ident");
}

/* `return fail(...)` where the scan as a whole has failed. */
static long fail(struct scan *s, const char *at, const char *message)
{
    stop(s, at, message);
    return ERR_SYNTAX;
}

long SCAN_NAME(struct scan *s)
{
    /* Copies: the compiler must believe that a store to a node could change what stands in *s. */
    const char *const text = s->text, *const end = s->end;
    struct json_node *nodes = s->nodes, *node;
    uint32_t n = 0, cap = s->cap;
    struct level levels[JSON_DEPTH_MAX + 1]; /* what encloses the innermost open container */
    unsigned depth = 0;
    struct level in = { 0 }; /* the innermost open container; unused at depth 0 */
    const char *p = text, *start;
    bool flag;
    char last[SCAN_BLOCK];
    struct masks m = { .text = text,
                       .last = last,
                       .last_block = (size_t)(end - text) / SCAN_BLOCK,
                       .string_block = SIZE_MAX,
                       .blank_block = SIZE_MAX,
                       .digits_block = SIZE_MAX };

    memset(last, 'x', sizeof last); /* stops the search for other bytes than blanks and digits, but no string */
    memcpy(last, text + m.last_block * SCAN_BLOCK, (size_t)(end - text) % SCAN_BLOCK);

/* A fresh node in `node`. */
#define ADD_NODE()                     \
    do {                               \
        if (_unlikely_(n == cap)) {    \
            if (!json_scan_grow(s, p)) \
                return ERR_NOMEM;      \
            nodes = s->nodes;          \
            cap = s->cap;              \
        }                              \
        node = &nodes[n++];            \
    } while (0)

value:
    p = skip_blanks(&m, p, end);
    if (p == end)
        return fail(s, p, "EOF while parsing a value");
value_here:
    ADD_NODE();
    start = p;
    switch (*p) {
    case '"':
        p = scan_string(s, &m, ++start, end, &flag);
        if (_unlikely_(!p))
            return ERR_SYNTAX;
        *node = (struct json_node){ .len = (uint32_t)(p - start), .type = JSON_STRING, .escaped = flag };
        p++;
        break;
    case '{':
    case '[':
        if (depth == JSON_DEPTH_MAX)
            return fail(s, p, "recursion limit exceeded");
        levels[depth++] = in;
        in = (struct level){ .node = n - 1, .object = *p == '{' };
        *node = (struct json_node){ .at = (uint32_t)(p - text), .type = in.object ? JSON_OBJECT : JSON_ARRAY };
        p = skip_blanks(&m, p + 1, end);
        if (in.object)
            goto first_key;
        goto first_element;
    case '-':
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
    case '7':
    case '8':
    case '9':
        p = scan_number(s, &m, start, end, &flag);
        if (_unlikely_(!p))
            return ERR_SYNTAX;
        *node = (struct json_node){ .len = (uint32_t)(p - start), .type = JSON_NUMBER, .integer = flag, .negative = *start == '-' };
        break;
    case 't':
    case 'f':
    case 'n':
        p = scan_word(s, start, end, *p == 't' ? STR("true") : *p == 'f' ? STR("false") : STR("null"));
        if (_unlikely_(!p))
            return ERR_SYNTAX;
        *node = (struct json_node){ .len = (uint32_t)(p - start),
                                    .type = *start == 't'   ? JSON_TRUE
                                            : *start == 'f' ? JSON_FALSE
                                                            : JSON_NULL };
        break;
    default:
        return fail(s, p, "expected value");
    }
    node->at = (uint32_t)(start - text);
    node->next = n;

after:
    p = skip_blanks(&m, p, end);
    if (_unlikely_(depth == 0))
        return p == end ? (long)n : fail(s, p, "trailing characters");
    in.count++;
    if (in.object) {
        if (p == end)
            return fail(s, p, "EOF while parsing an object");
        if (*p == '}')
            goto close;
        if (*p != ',')
            return fail(s, p, "expected `,` or `}`");
        p = skip_blanks(&m, p + 1, end);
        if (p == end)
            return fail(s, p, "EOF while parsing a value");
        if (*p == '}')
            return fail(s, p, "trailing comma");
        goto key;
    }
    if (p == end)
        return fail(s, p, "EOF while parsing a list");
    if (*p == ']')
        goto close;
    if (*p != ',')
        return fail(s, p, "expected `,` or `]`");
    p = skip_blanks(&m, p + 1, end);
    if (p == end)
        return fail(s, p, "EOF while parsing a value");
    if (*p == ']')
        return fail(s, p, "trailing comma");
    goto value_here;

first_element:
    if (p == end)
        return fail(s, p, "EOF while parsing a list");
    if (*p != ']')
        goto value_here;
    goto close;

first_key:
    if (p == end)
        return fail(s, p, "EOF while parsing an object");
    if (*p == '}')
        goto close;
key:
    if (_unlikely_(*p != '"'))
        return fail(s, p, "key must be a string");
    ADD_NODE();
    start = ++p;
    p = scan_string(s, &m, start, end, &flag);
    if (_unlikely_(!p))
        return ERR_SYNTAX;
    *node = (struct json_node){
        .at = (uint32_t)(start - text), .len = (uint32_t)(p - start), .next = n, .type = JSON_STRING, .escaped = flag
    };
    p = skip_blanks(&m, p + 1, end);
    if (p == end)
        return fail(s, p, "EOF while parsing an object");
    if (*p++ != ':')
        return fail(s, p - 1, "expected `:`");
    goto value;

close:
    p++;
    node = &nodes[in.node];
    node->len = (uint32_t)(p - text) - node->at;
    node->next = n;
    node->count = MIN(in.count, JSON_COUNT_MAX);
    in = levels[--depth];
    goto after;
#undef ADD_NODE
}
