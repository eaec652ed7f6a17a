/* text/tokenizer/post_processor.c -- reading post-processors (spec 3.6)
 *
 *   Sequence            its processors, one around the other
 *   TemplateProcessing  `single`: the ids before $A and those behind it
 *   BertProcessing, RobertaProcessing   cls before, sep behind
 *   ByteLevel           offsets only: nothing
 * A template that names the text twice, or not at all, is not known of any model and refused.
 */
#include "text/tokenizer/post_processor.h"

#include <stdlib.h>
#include <string.h>

#include "base/attr.h"

#define DEPTH_MAX 16
#define IDS_MAX   4096 /* on each side */

void post_processor_fini(struct post_processor *p)
{
    free(p->before);
    free(p->after);
    *p = (struct post_processor){ 0 };
}

/* Ids put at the front (before) or at the end (after) of a list. */
static int insert(uint32_t **list, size_t *n, size_t at, const uint32_t *ids, size_t k, struct err *err)
{
    if (k == 0)
        return 0;
    if (*n + k > IDS_MAX)
        return err_set(err, ERR_LIMIT, "post_processor: more than %d ids on one side of the text", IDS_MAX);
    uint32_t *v = reallocarray(*list, *n + k, sizeof(*v));
    if (!v)
        return err_set(err, ERR_NOMEM, "post_processor: out of memory");
    memmove(v + at + k, v + at, (*n - at) * sizeof(*v));
    memcpy(v + at, ids, k * sizeof(*v));
    *list = v;
    *n += k;
    return 0;
}

/* INNER as it is, OUTER around it. */
static int put_around(struct post_processor *inner, const struct post_processor *outer, struct err *err)
{
    int r = insert(&inner->before, &inner->before_n, 0, outer->before, outer->before_n, err);

    return r < 0 ? r : insert(&inner->after, &inner->after_n, inner->after_n, outer->after, outer->after_n, err);
}

static int read_id(struct json v, const char *where, uint32_t *ret, struct err *err)
{
    uint64_t id;

    if (json_to_u64(v, &id) < 0 || id >= UINT32_MAX)
        return err_set(err, ERR_INVALID, "post_processor.%s: not an id of a token", where);
    *ret = (uint32_t)id;
    return 0;
}

/* ["</s>", 2] */
static int read_pair(struct json v, const char *member, uint32_t *ret, struct err *err)
{
    struct json pair = json_get(v, str_of(member));

    if (json_count(pair) != 2 || !json_is(pair, JSON_ARRAY))
        return err_set(err, ERR_INVALID, "post_processor.%s: expected [token, id]", member);
    return read_id(json_at(pair, 1), member, ret, err);
}

static int read_cls_sep(struct json v, struct post_processor *p, struct err *err)
{
    uint32_t cls, sep;
    int r = read_pair(v, "cls", &cls, err);

    if (r >= 0)
        r = read_pair(v, "sep", &sep, err);
    return r < 0 ? r : put_around(p, &(struct post_processor){ &cls, &sep, 1, 1 }, err);
}

/* The ids of a special token of the template, appended to one side. */
static int read_special(struct json specials, struct json piece, struct post_processor *p, bool behind, struct err *err)
{
    struct json name = json_get(piece, STR("id")), found = JSON_NONE;
    struct str raw = json_raw_str(name);

    if (!json_is(name, JSON_STRING))
        return err_set(err, ERR_INVALID, "post_processor.single: a SpecialToken needs an `id`, the name of the token");
    for (struct json_iter it = json_iter(specials); json_next(&it);) {
        if (str_eq(json_raw_str(it.key), raw)) /* one writer spelled both */
            found = it.value;
    }
    struct json list = json_get(found, STR("ids"));
    if (!json_is(list, JSON_ARRAY))
        return err_set(err, ERR_INVALID, "post_processor.special_tokens: `%.*s` is missing or has no ids",
                       STR_FMT(str_first(raw, 80)));
    for (struct json_iter it = json_iter(list); json_next(&it);) {
        uint32_t id;
        int r = read_id(it.value, "special_tokens", &id, err);
        if (r >= 0)
            r = behind ? insert(&p->after, &p->after_n, p->after_n, &id, 1, err)
                       : insert(&p->before, &p->before_n, p->before_n, &id, 1, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int read_single(struct json v, struct post_processor *p, struct err *err)
{
    struct json single = json_get(v, STR("single")), specials = json_get(v, STR("special_tokens"));
    bool behind = false;

    if (!json_is(single, JSON_ARRAY))
        return err_set(err, ERR_INVALID, "post_processor.single: expected a list of pieces");
    for (struct json_iter it = json_iter(single); json_next(&it);) {
        struct json special = json_get(it.value, STR("SpecialToken")), text = json_get(it.value, STR("Sequence"));
        if (json_is(special, JSON_OBJECT)) {
            int r = read_special(specials, special, p, behind, err);
            if (r < 0)
                return r;
        } else if (!json_is(text, JSON_OBJECT) || !json_str_eq(json_get(text, STR("id")), STR("A"))) {
            return err_set(err, ERR_INVALID, "post_processor.single: each piece is a SpecialToken or the Sequence A");
        } else if (behind) {
            return err_set(err, ERR_UNSUPPORTED, "post_processor.single: the text stands in it twice");
        } else {
            behind = true;
        }
    }
    return behind ? 0 : err_set(err, ERR_UNSUPPORTED, "post_processor.single: the text does not stand in it");
}

static int read_template(struct json v, struct post_processor *p, struct err *err)
{
    struct post_processor outer = { 0 };
    int r = read_single(v, &outer, err);

    if (r >= 0)
        r = put_around(p, &outer, err);
    post_processor_fini(&outer);
    return r;
}

static int read_any(struct json v, unsigned depth, struct post_processor *p, struct err *err)
{
    struct json type = json_get(v, STR("type"));

    if (json_is_null(v))
        return 0;
    if (depth > DEPTH_MAX)
        return err_set(err, ERR_LIMIT, "post_processor: sequences nested deeper than %d", DEPTH_MAX);
    if (json_str_eq(type, STR("ByteLevel")))
        return 0;
    if (json_str_eq(type, STR("TemplateProcessing")) || (!json_exists(type) && json_exists(json_get(v, STR("single")))))
        return read_template(v, p, err);
    if (json_str_eq(type, STR("BertProcessing")) || json_str_eq(type, STR("RobertaProcessing")) ||
        (!json_exists(type) && json_exists(json_get(v, STR("cls")))))
        return read_cls_sep(v, p, err);
    if (!json_str_eq(type, STR("Sequence")) && (json_exists(type) || !json_exists(json_get(v, STR("processors")))))
        return err_set(err, ERR_UNSUPPORTED, "post_processor.type: `%.*s` is not known",
                       STR_FMT(str_first(json_raw_str(type), 80)));

    struct json list = json_get(v, STR("processors"));
    if (!json_is(list, JSON_ARRAY))
        return err_set(err, ERR_INVALID, "post_processor.processors: expected a list");
    for (struct json_iter it = json_iter(list); json_next(&it);) {
        int r = read_any(it.value, depth + 1, p, err);
        if (r < 0)
            return r;
    }
    return 0;
}

int post_processor_parse(struct json v, struct post_processor *ret, struct err *err)
{
    struct post_processor p = { 0 };
    int r = read_any(v, 0, &p, err);

    if (r < 0) {
        post_processor_fini(&p);
        return r;
    }
    *ret = p;
    return 0;
}
