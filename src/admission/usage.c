/* usage.c -- tokens before and after
 *
 * usage_read looks for `_tokens":`, which is rare, and looks closer only there. What lies across the border of two parts is found in a small copy of both sides; a number
 * that a cut made shorter is read again, whole, in that copy.
 */
#include "admission/usage.h"

#include "json/json.h"

#define BYTES_PER_TOKEN 4

static const struct str PROMPT_MEMBERS[] = { STR_INIT("messages"),  STR_INIT("prompt"), STR_INIT("input"),
                                             STR_INIT("input_ids"), STR_INIT("text"),   STR_INIT("query"),
                                             STR_INIT("documents"), STR_INIT("system"), STR_INIT("instructions"),
                                             STR_INIT("tools") };

static bool is_prompt(struct json key)
{
    for (size_t i = 0; i < ARRAY_LEN(PROMPT_MEMBERS); i++)
        if (str_eq(json_raw_str(key), PROMPT_MEMBERS[i]))
            return true;
    return false;
}

static bool is_media(struct json key, struct json value)
{
    struct str name = json_raw_str(key);

    return str_eq(name, STR("url")) || str_eq(name, STR("data")) || str_has_prefix(json_raw_str(value), STR("data:"));
}

/* Bytes of text in VALUE. As deep as json_parse allows (JSON_DEPTH_MAX). */
static uint64_t text_bytes(struct json value)
{
    struct json_iter it = json_iter(value);
    uint64_t n = 0;

    if (json_is(value, JSON_STRING))
        return json_raw_str(value).n;
    if (!json_is(value, JSON_ARRAY) && !json_is(value, JSON_OBJECT))
        return 0;
    while (json_next(&it)) {
        if (!it.object && json_is(it.value, JSON_NUMBER))
            n += BYTES_PER_TOKEN;
        else if (!(it.object && is_media(it.key, it.value)))
            n += text_bytes(it.value);
    }
    return n;
}

uint64_t usage_guess(struct str body, struct arena *arena, struct str *ret_model)
{
    uint64_t n = 0;
    struct json_doc doc;
    struct json_iter it;

    *ret_model = STR_NONE;
    if (json_parse(body, arena, &doc, /* ret_error= */ NULL) < 0 || !json_is(json_root(&doc), JSON_OBJECT))
        return 0;
    it = json_iter(json_root(&doc));
    while (json_next(&it)) {
        if (is_prompt(it.key))
            n += text_bytes(it.value);
        else if (str_eq(json_raw_str(it.key), STR("model")))
            *ret_model = json_str(it.value, arena);
    }
    return (n + BYTES_PER_TOKEN - 1) / BYTES_PER_TOKEN;
}

/* ---- the reply ---- */

#define TAIL STR("_tokens\"")

static const struct {
    struct str name;
    bool output;
} COUNTS[] = { { STR_INIT("\"prompt"), false },
               { STR_INIT("\"input"), false },
               { STR_INIT("\"completion"), true },
               { STR_INIT("\"output"), true } };

static bool read_number(struct str s, uint64_t *ret)
{
    size_t i = 0;
    uint64_t v = 0;

    while (i < s.n && (s.p[i] == ' ' || s.p[i] == '\t'))
        i++;
    if (i == s.n || s.p[i++] != ':')
        return false;
    while (i < s.n && (s.p[i] == ' ' || s.p[i] == '\t'))
        i++;
    if (i == s.n || s.p[i] < '0' || s.p[i] > '9')
        return false;
    for (; i < s.n && s.p[i] >= '0' && s.p[i] <= '9' && v < UINT64_MAX / 100; i++)
        v = v * 10 + (uint64_t)(s.p[i] - '0');
    *ret = v;
    return true;
}

static void look(struct usage_reader *u, struct str s)
{
    for (;;) {
        const char *hit = memmem(s.p, s.n, TAIL.p, TAIL.n);
        struct str before, after;
        uint64_t v;

        if (!hit)
            return;
        before = str_range(s.p, hit);
        after = str_range(hit + TAIL.n, s.p + s.n);
        for (size_t i = 0; i < ARRAY_LEN(COUNTS); i++) {
            if (!str_has_suffix(before, COUNTS[i].name) || !read_number(after, &v))
                continue;
            *(COUNTS[i].output ? &u->output : &u->input) = v;
            *(COUNTS[i].output ? &u->has_output : &u->has_input) = true;
        }
        s = str_range(after.p - 1, s.p + s.n); /* from the quote on: it may begin the next name */
    }
}

void usage_read(struct usage_reader *u, struct str part)
{
    char both[2 * USAGE_CARRY];
    size_t n = MIN(part.n, USAGE_CARRY), keep;

    if (part.n == 0)
        return;
    memcpy(both, u->carry, u->carry_n);
    memcpy(both + u->carry_n, part.p, n);
    if (u->carry_n)
        look(u, (struct str){ both, u->carry_n + n });
    if (part.n > n || u->carry_n == 0)
        look(u, part);
    if (part.n >= USAGE_CARRY) {
        memcpy(u->carry, part.p + part.n - USAGE_CARRY, USAGE_CARRY);
        u->carry_n = USAGE_CARRY;
        return;
    }
    keep = MIN(u->carry_n, USAGE_CARRY - part.n);
    memmove(u->carry, u->carry + u->carry_n - keep, keep);
    memcpy(u->carry + keep, part.p, part.n);
    u->carry_n = keep + part.n;
}
