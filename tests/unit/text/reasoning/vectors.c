/* vectors.c -- tests/vectors/parsers/reasoning.json: every vector of spec parsers 8 by its number, the models of 3.3, the names of 10, and what was added. Each is read whole and cut in every
 * way. A row that differs from SMG has `smg`, what SMG gives, and `why`. */
#include "cuts.h"

#include "json/json.h"

static struct arena arena;
static struct json_doc doc;

static int vectors_up(void **state)
{
    struct buf file = { 0 };
    FILE *f = fopen(VECTORS, "rb");
    size_t n;
    assert_non_null(f);
    do {
        char *room = buf_reserve(&file, 65536);
        assert_non_null(room);
        n = fread(room, 1, 65536, f);
        file.n += n;
    } while (n);
    fclose(f);
    arena_init(&arena, NULL, 0);
    struct str text = arena_str(&arena, buf_str(&file));
    buf_fini(&file);
    return json_parse(text, &arena, &doc, NULL);
}

static int vectors_down(void **state)
{
    arena_fini(&arena);
    return 0;
}

static struct str member(struct json row, const char *key)
{
    return json_str(json_get(row, str_of(key)), &arena);
}

static bool is_set(struct json row, const char *key)
{
    return json_is(json_get(row, str_of(key)), JSON_TRUE);
}

static void read_config(struct json row, struct reasoning_config *c, struct str interrupts[REASONING_INTERRUPTS_MAX])
{
    *c = (struct reasoning_config){
        .started = is_set(row, "started"),
        .tag_was_given = is_set(row, "tag_was_given"),
        .content_only = is_set(row, "content_only"),
        .interrupts = interrupts,
    };
    struct json list = json_get(row, STR("interrupts"));
    if (!json_exists(list))
        return;
    struct json_iter it = json_iter(list);
    while (json_next(&it))
        interrupts[c->interrupts_n++] = json_str(it.value, &arena);
}

static void assert_said(struct json row, struct str parser, const char *what, const struct buf *said, struct str wanted)
{
    if (!str_eq(buf_str(said), wanted))
        fail_msg("%.*s, %.*s: %s is \"%.*s\", not \"%.*s\"", STR_FMT(member(row, "id")), STR_FMT(parser), what,
                 STR_FMT(buf_str(said)), STR_FMT(wanted));
}

/* ROW has what the whole text gives. */
static void assert_whole(struct json row, struct str parser, const struct reasoning_config *c)
{
    const struct reasoning_format *f = reasoning_find(parser);
    struct seen s = { 0 };
    assert_cuts_agree(f, c, member(row, "text"), 12, &s);
    assert_said(row, parser, "the text", &s.text, member(row, "normal"));
    assert_said(row, parser, "the thoughts", &s.thoughts, member(row, "thoughts"));
    seen_fini(&s);
}

/* ROW has what each piece gives, and the end (`rest`: nothing unless it is there). */
static void assert_pieces(struct json row, struct str parser, const struct reasoning_config *c)
{
    const struct reasoning_format *f = reasoning_find(parser);
    struct seen s = { 0 }, all = { 0 }, whole = { 0 };
    struct buf text = { 0 };
    struct reasoning_parser *p = a_parser(f, c, &s);
    struct json_iter it = json_iter(json_get(row, STR("pieces")));
    bool more = json_next(&it);
    for (;;) {
        struct json wanted = more ? it.value : json_get(row, STR("rest"));
        if (more) {
            feed_copy(p, member(wanted, "piece"));
            buf_put(&text, member(wanted, "piece"));
        } else
            assert_int_equal(reasoning_finish(p), 0);
        assert_said(row, parser, "a piece's text", &s.text, member(wanted, "normal"));
        assert_said(row, parser, "a piece's thought", &s.thoughts, member(wanted, "thoughts"));
        buf_put(&all.text, buf_str(&s.text));
        buf_put(&all.thoughts, buf_str(&s.thoughts));
        buf_clear(&s.text);
        buf_clear(&s.thoughts);
        if (!more)
            break;
        more = json_next(&it);
    }
    assert_cuts_agree(f, c, buf_str(&text), 12, &whole);
    assert_same(f, &whole, &all, "streaming", buf_str(&text));
    reasoning_parser_free(p);
    seen_fini(&s);
    seen_fini(&all);
    seen_fini(&whole);
    buf_fini(&text);
}

static void gives_what_the_vectors_say(void **state)
{
    struct json_iter rows = json_iter(json_get(json_root(&doc), STR("rows")));
    unsigned n = 0;
    for (; json_next(&rows); n++) {
        struct reasoning_config c;
        struct str interrupts[REASONING_INTERRUPTS_MAX];
        read_config(rows.value, &c, interrupts);
        struct json_iter parsers = json_iter(json_get(rows.value, STR("parsers")));
        while (json_next(&parsers)) {
            struct str parser = json_str(parsers.value, &arena);
            assert_non_null(reasoning_find(parser));
            if (json_exists(json_get(rows.value, STR("pieces"))))
                assert_pieces(rows.value, parser, &c);
            else
                assert_whole(rows.value, parser, &c);
        }
    }
    assert_true(n >= 100);
}

static void parses_whole_texts_as_the_vectors_say(void **state)
{
    struct json_iter rows = json_iter(json_get(json_root(&doc), STR("rows")));
    while (json_next(&rows)) {
        if (json_exists(json_get(rows.value, STR("pieces"))) || is_set(rows.value, "started") ||
            is_set(rows.value, "content_only") || json_exists(json_get(rows.value, STR("interrupts"))))
            continue;
        struct json_iter parsers = json_iter(json_get(rows.value, STR("parsers")));
        while (json_next(&parsers)) {
            struct str text, thoughts;
            const struct reasoning_format *f = reasoning_find(json_str(parsers.value, &arena));
            assert_int_equal(reasoning_parse(f, member(rows.value, "text"), &arena, &text, &thoughts, NULL), 0);
            assert_true(str_eq(text, member(rows.value, "normal")) && str_eq(thoughts, member(rows.value, "thoughts")));
        }
    }
}

static void assert_named(struct str what, const struct reasoning_format *f, struct json parser)
{
    struct str wanted = json_is(parser, JSON_STRING) ? json_str(parser, &arena) : STR("no parser");
    struct str got = f ? reasoning_name(f) : STR("no parser");
    if (!str_eq(wanted, got))
        fail_msg("\"%.*s\" has %.*s, not %.*s", STR_FMT(what), STR_FMT(got), STR_FMT(wanted));
}

static void finds_the_parser_of_a_model(void **state)
{
    struct json_iter rows = json_iter(json_get(json_root(&doc), STR("models")));
    while (json_next(&rows)) {
        struct str model = member(rows.value, "model");
        assert_named(model, reasoning_for_model(model), json_get(rows.value, STR("parser")));
    }
}

static void finds_a_parser_by_its_names(void **state)
{
    struct json_iter rows = json_iter(json_get(json_root(&doc), STR("names")));
    while (json_next(&rows)) {
        struct str name = member(rows.value, "name");
        assert_named(name, reasoning_find(name), json_get(rows.value, STR("parser")));
    }
}

static void lists_all_parsers_by_name_with_what_they_are(void **state)
{
    size_t n, aliases_n;
    const struct reasoning_format *const *all = reasoning_formats(&n);
    assert_int_equal(n, 27);
    for (size_t i = 0; i < n; i++) {
        if (i)
            assert_true(str_cmp(reasoning_name(all[i - 1]), reasoning_name(all[i])) < 0);
        assert_true(reasoning_summary(all[i]).n > 0);
        assert_ptr_equal(reasoning_find(reasoning_name(all[i])), all[i]);
        const struct str *aliases = reasoning_aliases(all[i], &aliases_n);
        for (size_t k = 0; k < aliases_n; k++)
            assert_ptr_equal(reasoning_find(aliases[k]), all[i]);
    }
}

static void says_which_need_special_tokens(void **state)
{
    static const char *const NEED[] = { "apertus", "gemma4", "inkling", "kimi_k3", "mistral", "solar_open2" };
    size_t n, needing = 0;
    const struct reasoning_format *const *all = reasoning_formats(&n);
    for (size_t i = 0; i < n; i++)
        if (reasoning_needs_specials(all[i]))
            assert_true(needing < ARRAY_LEN(NEED) && str_eq(reasoning_name(all[i]), str_of(NEED[needing++])));
    assert_int_equal(needing, ARRAY_LEN(NEED));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_what_the_vectors_say),
        cmocka_unit_test(parses_whole_texts_as_the_vectors_say),
        cmocka_unit_test(finds_the_parser_of_a_model),
        cmocka_unit_test(finds_a_parser_by_its_names),
        cmocka_unit_test(lists_all_parsers_by_name_with_what_they_are),
        cmocka_unit_test(says_which_need_special_tokens),
    };
    return cmocka_run_group_tests(tests, vectors_up, vectors_down);
}
