/* text/tokenizer/regex.c -- compiled regular expressions, and searching with bounds
 *
 * A search goes in windows of WINDOW start places, so that processor time can be looked at in between, with FEW_STEPS of backtracking for each; only where these do not suffice is a window searched
 * again place by place with REGEX_STEPS_MAX. So the usual case costs one call per match, and the worst one (no match after all steps, at each place) ends when the allowance is used up.
 * With machine code PCRE2 counts the rounds of groups as steps; without (no JIT on this processor, or a system that forbids writable code) it counts every try, and keeps its backtracking on the heap.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <time.h>

#include "text/tokenizer/regex.h"

#include "base/utf8.h"

#define WINDOW     1024u
#define FEW_STEPS  10000u
#define LOOK_EVERY 1024u /* matches between two looks at the clock */

struct regex {
    pcre2_code *code; /* owned; NULL: literal */
    char *literal;    /* owned */
    size_t literal_n;
};

struct regex_work {
    pcre2_match_data *match; /* owned */
    pcre2_match_context *context;
    pcre2_jit_stack *stack; /* owned; made when a match wants more than the 32 KB that PCRE2 has on its own */
    uint64_t deadline_ns;   /* of the thread's processor time */
    unsigned until_look;
};

int regex_new_literal(struct str text, struct regex **ret)
{
    struct regex *r = calloc(1, sizeof(*r));
    char *copy = str_dup(text);
    if (!r || !copy) {
        free(r);
        free(copy);
        return ERR_NOMEM;
    }
    r->literal = copy;
    r->literal_n = text.n;
    *ret = r;
    return 0;
}

static int compile(struct str pattern, struct str translated, struct regex *r, struct err *err)
{
    pcre2_compile_context *c = pcre2_compile_context_create(NULL);
    if (!c || pcre2_set_newline(c, PCRE2_NEWLINE_LF) || pcre2_set_parens_nest_limit(c, 4 * REGEX_DEPTH_MAX)) {
        pcre2_compile_context_free(c);
        return err_set(err, ERR_NOMEM, "out of memory");
    }
    int code;
    size_t at;
    r->code = pcre2_compile((PCRE2_SPTR)translated.p, translated.n,
                            PCRE2_UTF | PCRE2_NO_UTF_CHECK | PCRE2_MULTILINE | PCRE2_USE_OFFSET_LIMIT | PCRE2_NEVER_BACKSLASH_C,
                            &code, &at, c);
    pcre2_compile_context_free(c);
    if (!r->code && (code == PCRE2_ERROR_NOMEMORY || code == PCRE2_ERROR_HEAP_FAILED))
        return err_set(err, ERR_NOMEM, "out of memory");
    if (!r->code) {
        char why[128] = "";
        (void)pcre2_get_error_message(code, (PCRE2_UCHAR *)why, sizeof(why)); /* cut when longer */
        struct str shown = utf8_first(pattern, 160);
        return err_set(err, ERR_UNSUPPORTED, "regex `%.*s%s`: %s", STR_FMT(shown), shown.n < pattern.n ? "..." : "", why);
    }
    (void)pcre2_jit_compile(r->code, PCRE2_JIT_COMPLETE); /* where it cannot, the interpreter does the same */
    return 0;
}

int regex_new(struct str pattern, struct regex **ret, struct err *err)
{
    struct buf translated = { 0 };
    struct regex *r = NULL;
    int code = regex_translate(pattern, &translated, err);
    if (code == 0) {
        r = calloc(1, sizeof(*r));
        code =
            r ? compile(pattern, translated.n ? buf_str(&translated) : STR(""), r, err) : err_set(err, ERR_NOMEM, "out of memory");
    }
    buf_fini(&translated);
    if (code < 0) {
        regex_free(r);
        return code;
    }
    *ret = r;
    return 0;
}

void regex_free(struct regex *r)
{
    if (!r)
        return;
    pcre2_code_free(r->code);
    free(r->literal);
    free(r);
}

size_t regex_memory(const struct regex *r)
{
    size_t size = 0, machine = 0;
    if (!r)
        return 0;
    if (r->code) {
        (void)pcre2_pattern_info(r->code, PCRE2_INFO_SIZE, &size);
        (void)pcre2_pattern_info(r->code, PCRE2_INFO_JITSIZE, &machine); /* 0 without JIT */
    }
    return sizeof(*r) + r->literal_n + size + machine;
}

int regex_work_new(struct regex_work **ret)
{
    struct regex_work *w = calloc(1, sizeof(*w));
    if (!w)
        return ERR_NOMEM;
    w->match = pcre2_match_data_create(1, NULL);
    w->context = pcre2_match_context_create(NULL);
    if (!w->match || !w->context) {
        regex_work_free(w);
        return ERR_NOMEM;
    }
    (void)pcre2_set_heap_limit(w->context, REGEX_STACK_MAX / 1024);
    *ret = w;
    return 0;
}

void regex_work_free(struct regex_work *w)
{
    if (!w)
        return;
    pcre2_match_data_free(w->match);
    pcre2_match_context_free(w->context);
    pcre2_jit_stack_free(w->stack);
    free(w);
}

static uint64_t processor_time(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void regex_work_begin(struct regex_work *w, size_t bytes)
{
    w->deadline_ns = processor_time() + REGEX_CPU_BASE_NS + (uint64_t)bytes * REGEX_CPU_BYTE_NS;
    w->until_look = LOOK_EVERY;
}

static bool over_time(struct regex_work *w, bool now)
{
    if (!now && --w->until_look)
        return false;
    w->until_look = LOOK_EVERY;
    return processor_time() > w->deadline_ns;
}

static size_t next_char(struct str text, size_t at)
{
    do
        at++;
    while (at < text.n && ((unsigned char)text.p[at] & 0xc0) == 0x80);
    return at;
}

static int gave_up(struct err *err)
{
    return err_set(err, ERR_LIMIT, "a regex of the tokenizer needs too much work for this text");
}

/* One try with the start at FROM..LAST: 1 = found, 0 = none, 2 = more than STEPS at one place, or an error. */
static int try_window(struct regex_scan *s, size_t from, size_t last, uint32_t steps, struct err *err)
{
    struct regex_work *w = s->w;
    (void)pcre2_set_match_limit(w->context, steps);
    (void)pcre2_set_offset_limit(w->context, last);
    for (;;) {
        int r = pcre2_match(s->r->code, (PCRE2_SPTR)s->text.p, s->text.n, from, PCRE2_NO_UTF_CHECK, w->match, w->context);
        if (r >= 0)
            return 1;
        switch (r) {
        case PCRE2_ERROR_NOMATCH:
            return 0;
        case PCRE2_ERROR_MATCHLIMIT:
            return 2;
        case PCRE2_ERROR_JIT_STACKLIMIT:
            if (w->stack)
                return gave_up(err);
            w->stack = pcre2_jit_stack_create(64 * 1024, REGEX_STACK_MAX, NULL);
            if (!w->stack)
                return err_set(err, ERR_NOMEM, "out of memory");
            pcre2_jit_stack_assign(w->context, NULL, w->stack);
            continue;
        case PCRE2_ERROR_NOMEMORY:
            return err_set(err, ERR_NOMEM, "out of memory");
        default:
            return gave_up(err);
        }
    }
}

/* The first match that starts at or behind FROM. */
static int search(struct regex_scan *s, size_t from, size_t *ret_start, size_t *ret_end, struct err *err)
{
    bool slow = false, first = true;
    size_t slow_end = 0;
    while (from <= s->text.n) {
        size_t last = slow ? from : MIN(from + WINDOW, s->text.n);
        int r = try_window(s, from, last, slow ? REGEX_STEPS_MAX : FEW_STEPS, err);
        if (r < 0)
            return r;
        if (r == 1) {
            size_t *at = pcre2_get_ovector_pointer(s->w->match);
            *ret_start = at[0];
            *ret_end = at[1];
            return 1;
        }
        if (r == 2) {
            if (slow)
                return gave_up(err);
            slow = true;
            slow_end = last;
        } else {
            from = next_char(s->text, last);
            slow = slow && from <= slow_end;
        }
        if (over_time(s->w, slow || !first))
            return gave_up(err);
        first = false;
    }
    return 0;
}

static int search_literal(const struct regex_scan *s, size_t from, size_t *ret_start, size_t *ret_end)
{
    const struct regex *r = s->r;
    if (from > s->text.n)
        return 0;
    const char *hit = r->literal_n ? memmem(s->text.p + from, s->text.n - from, r->literal, r->literal_n) : s->text.p + from;
    if (!hit)
        return 0;
    *ret_start = (size_t)(hit - s->text.p);
    *ret_end = *ret_start + r->literal_n;
    return 1;
}

int regex_next(struct regex_scan *s, size_t *ret_start, size_t *ret_end, struct err *err)
{
    for (;;) {
        size_t start = s->at, end = s->at;
        int r;
        if (s->r->literal)
            r = search_literal(s, s->at, &start, &end);
        else
            r = search(s, s->at, &start, &end, err);
        if (r <= 0)
            return r;
        if (!s->r->literal && over_time(s->w, false))
            return gave_up(err);
        if (start == end && s->any && s->last_end == end) {
            s->at = next_char(s->text, end);
            continue;
        }
        s->at = end;
        s->last_end = end;
        s->any = true;
        *ret_start = start;
        *ret_end = end;
        return 1;
    }
}
